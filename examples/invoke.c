/* invoke - what has no function of its own: the routes of the provider by name, with
   JSON in and the reply's bytes out. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

static void list_routes(const sbx_client *client)
{
    sbx_route route;
    size_t i;
    for (i = 0; sbx_invoke_route(client, i, &route) == SBX_OK; i++)
        if (strncmp(route.name, "volumes.f", 9) != 0) /* enough for a screen */
            printf("%-22s %-6s %s\n", route.name, route.method, route.path);
}

static int show(sbx_client *client, const char *what, int status)
{
    printf("\n%s: %s\n", what, status == SBX_OK ? "ok" : sbx_client_error(client)->message);
    return status;
}

int main(void)
{
    sbx_client *client;
    sbx_sandbox *box;
    sbx_sandbox_options options = {0};
    sbx_pair env = { "GREETING", "hello" };
    sbx_sink out = sbx_sink_file(stdout);
    sbx_error error;
    sbx_config config = {0};
    char args[80];
    int status;
    config.error = &error;
    if (sbx_open(&client, &config) != SBX_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    list_routes(client);
    options.envs.items = &env;
    options.envs.count = 1;
    status = sbx_sandbox_create(client, &options, &box, NULL);
    if (show(client, "create", status) == SBX_OK) {
        /* into a sandbox by its handle ... */
        status = sbx_sandbox_invoke(box, "sandbox.envs", NULL, out, NULL);
        show(client, "sandbox.envs", status);
        /* ... or by its id: then the credentials are asked for first */
        snprintf(args, sizeof args, "{\"sandboxID\":\"%s\"}", sbx_sandbox_id(box));
        show(client, "sandbox.metrics", sbx_invoke(client, "sandbox.metrics", args, out, NULL));
        /* arguments are checked before anything is sent */
        show(client, "secrets.get", sbx_invoke(client, "secrets.get", "{\"id\":1}", out, NULL));
        show(client, "secret.get", sbx_invoke(client, "secret.get", NULL, out, NULL));
        sbx_sandbox_kill(box, NULL, NULL);
        sbx_sandbox_release(box);
    }
    sbx_close(client);
    return status != SBX_OK;
}
