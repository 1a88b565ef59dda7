/* error_handling - provokes the usual failures and shows what sbx_error says.
   The status tells a program what to do, the message tells a person. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>

static void tell(const char *what, int status, const sbx_error *e)
{
    printf("%s: %s\n", what, sbx_status_name(status));
    if (status == SBX_OK) return;
    printf("    %s\n", e->message);
    if (e->http_status) printf("    HTTP %d, code \"%s\"\n", e->http_status, e->code);
    if (e->retry_after_ms >= 0) printf("    wait %ld ms\n", (long)e->retry_after_ms);
    if (e->clock == SBX_CLOCK_TOTAL) printf("    the clock of the whole call ran out\n");
    if (e->process_alive == SBX_NO) printf("    process %lu is dead\n", (unsigned long)e->pid);
    if (e->sandbox_alive == SBX_NO) printf("    the sandbox is gone\n");
    if (e->may_exist == SBX_YES) printf("    a sandbox may have been made\n");
}

/* A client that differs from the environment's: another key, or another host. */
static void create_with(const char *what, const char *key, const char *api_url)
{
    sbx_client *client;
    sbx_sandbox *box = NULL;
    sbx_error error;
    sbx_config config = {0};
    sbx_call call = {0};
    int status;
    config.api_key = key;
    config.api_url = api_url;
    config.retries = SBX_NEVER;
    config.error = call.error = &error;
    status = sbx_open(&client, &config);
    if (status == SBX_OK) status = sbx_sandbox_create(client, NULL, &box, &call);
    tell(what, status, &error);
    sbx_sandbox_release(box);
    sbx_close(client);
}

static void provoke(sbx_client *client, sbx_sandbox *box)
{
    sbx_sandbox_options unknown = {0};
    sbx_command_options options = {0};
    sbx_command_result result = {0};
    sbx_sandbox *none = NULL;
    sbx_error e;
    sbx_call call = {0};
    sbx_sink nowhere = {0};
    int rc;
    call.error = &e; /* else: sbx_client_error(client) */

    unknown.template_id = "no-such-template";
    tell("unknown template", sbx_sandbox_create(client, &unknown, &none, &call), &e);
    tell("missing file", sbx_files_read(box, "/no/such/file", NULL, nowhere, &call), &e);
    tell("directory as a file", sbx_files_read(box, "/tmp", NULL, nowhere, &call), &e);

    rc = sbx_command_run(box, "exit 7", NULL, &result, &call);
    tell("command that fails", rc, &e); /* the call went well: look at exit_code */
    printf("    exit code %d\n", (int)result.exit_code);

    options.timeout_ms = 500;
    tell("command too long", sbx_command_run(box, "sleep 30", &options, NULL, &call), &e);
    call.timeout_ms = 500;
    tell("call too long", sbx_command_run(box, "sleep 5", NULL, NULL, &call), &e);
    call.timeout_ms = 0;

    sbx_sandbox_kill(box, NULL, NULL);
    tell("sandbox that was killed", sbx_command_run(box, "true", NULL, NULL, &call), &e);
}

int main(void)
{
    sbx_client *client;
    sbx_sandbox *box;
    sbx_error error;
    sbx_config config = {0};
    config.error = &error;
    if (sbx_open(&client, &config) != SBX_OK) {
        tell("open", error.status, &error);
        return 1;
    }
    create_with("wrong key", "e2b_1111111111111111111111111111111111111111", NULL);
    create_with("nobody there", NULL, "http://127.0.0.1:1");
    if (sbx_sandbox_create(client, NULL, &box, NULL) != SBX_OK) {
        tell("create", sbx_client_error(client)->status, sbx_client_error(client));
        sbx_close(client);
        return 1;
    }
    provoke(client, box);
    sbx_sandbox_release(box);
    sbx_close(client);
    return 0;
}
