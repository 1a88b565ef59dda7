/* hello - creates a sandbox, runs one command in it, ends it.
   cc hello.c -lmbedtls -lmbedx509 -lmbedcrypto && E2B_API_KEY=... ./a.out */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>

int main(void)
{
    sbx_client *client;
    sbx_sandbox *box;
    sbx_error error;
    sbx_config config = {0};
    sbx_command_options options = {0};
    sbx_command_result result = {0};
    int status;

    /* The key, and the address of a host other than e2b.app, come from the
       environment: E2B_API_KEY, E2B_API_URL, E2B_SANDBOX_URL. */
    config.error = &error;
    if (sbx_open(&client, &config) != SBX_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    status = sbx_sandbox_create(client, NULL, &box, NULL);
    if (status == SBX_OK) {
        printf("sandbox %s\n", sbx_sandbox_id(box));
        options.out = sbx_sink_file(stdout);
        status = sbx_command_run(box, "echo Hello from $(uname -s)", &options, &result, NULL);
        if (status == SBX_OK) printf("exit code %d\n", (int)result.exit_code);
        else fprintf(stderr, "run: %s\n", sbx_client_error(client)->message);
        sbx_sandbox_kill(box, NULL, NULL);
        sbx_sandbox_release(box);
    } else {
        fprintf(stderr, "create: %s\n", sbx_client_error(client)->message);
    }
    sbx_close(client);
    return status != SBX_OK;
}
