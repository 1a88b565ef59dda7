/* stream_output - output of a command as it comes, stdout and stderr apart, then
   the exit code. Nothing accumulates: gigabytes would pass through as well. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>

typedef struct stream { const char *name; unsigned long pieces, bytes; } stream;

/* A sink: takes all of data. Pieces end where the network cut them, not at
   lines, and are bytes, not text. */
static int show(void *ctx, const void *data, size_t len)
{
    stream *s = ctx;
    s->pieces++;
    s->bytes += (unsigned long)len;
    printf("%s: %.*s", s->name, (int)len, (const char *)data);
    fflush(stdout);
    return SBX_OK;
}

static void started(void *ctx, uint32_t pid)
{
    (void)ctx;
    printf("started as pid %lu\n", (unsigned long)pid);
}

static int run(sbx_client *client, sbx_sandbox *box)
{
    stream out = { "stdout", 0, 0 }, err = { "stderr", 0, 0 };
    sbx_command_options options = {0};
    sbx_command_result result;
    options.out.put = show;
    options.out.ctx = &out;
    options.err.put = show;
    options.err.ctx = &err;
    options.started = started;
    if (sbx_command_run(box,
            "for i in 1 2 3; do echo line $i; sleep 0.3; done; echo a warning >&2; exit 3",
            &options, &result, NULL) != SBX_OK) {
        fprintf(stderr, "run: %s\n", sbx_client_error(client)->message);
        return 1;
    }
    printf("%lu bytes in %lu pieces, exit code %d (%s)\n", out.bytes + err.bytes,
        out.pieces + err.pieces, (int)result.exit_code, result.reason);
    return 0;
}

int main(void)
{
    sbx_client *client;
    sbx_sandbox *box;
    sbx_error error;
    sbx_config config = {0};
    int failed = 1;
    config.error = &error;
    if (sbx_open(&client, &config) != SBX_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    if (sbx_sandbox_create(client, NULL, &box, NULL) == SBX_OK) {
        failed = run(client, box);
        sbx_sandbox_kill(box, NULL, NULL);
        sbx_sandbox_release(box);
    } else {
        fprintf(stderr, "create: %s\n", sbx_client_error(client)->message);
    }
    sbx_close(client);
    return failed;
}
