/* ours - the jobs of bench.h by sandbox.h, as a user would write them. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox.h"
#include "bench.h"

static sbx_client *client;
static sbx_sandbox *box;

static void need(int rc, const char *what)
{
    if (rc == SBX_OK) return;
    fprintf(stderr, "%s: %s\n", what, client ? sbx_client_error(client)->message : "no client");
    exit(1);
}

static int count(void *ctx, const void *data, size_t len)
{
    (void)data;
    *(size_t *)ctx += len;
    return SBX_OK;
}

static void command(const char *cmd, int show, size_t expect)
{
    sbx_command_options o;
    sbx_command_result r;
    size_t got = 0;
    memset(&o, 0, sizeof o);
    if (show) {
        o.out = sbx_sink_fd(1);
    } else {
        o.out.put = count;
        o.out.ctx = &got;
    }
    need(sbx_command_run(box, cmd, &o, &r, NULL), "command");
    if (r.exit_code != 0 || (!show && got != expect)) bench_die("wrong output");
}

static int nothing(void *ctx, void *buf, size_t cap, size_t *got)
{
    size_t *left = (size_t *)ctx;
    *got = cap < *left ? cap : *left;
    memset(buf, 'x', *got);
    *left -= *got;
    return SBX_OK;
}

static void upload(size_t bytes)
{
    sbx_source from;
    size_t left = bytes;
    memset(&from, 0, sizeof from);
    from.get = nothing;
    from.ctx = &left;
    from.size = (int64_t)bytes;
    need(sbx_files_write(box, BENCH_FILE, from, NULL, NULL, NULL), "upload");
}

static void download(size_t bytes)
{
    sbx_sink to;
    size_t got = 0;
    to.put = count;
    to.ctx = &got;
    need(sbx_files_read(box, BENCH_FILE, NULL, to, NULL), "download");
    if (got != bytes) bench_die("wrong length");
}

int main(int argc, char **argv)
{
    static const bench_jobs jobs = { command, upload, download };
    sbx_sandbox_access access;
    memset(&access, 0, sizeof access);
    access.access_token = bench_env("BENCH_TOKEN");
    access.daemon_version = bench_env("BENCH_VERSION");
    need(sbx_open(&client, NULL), "open");
    need(sbx_sandbox_attach(client, bench_env("BENCH_ID"), &access, &box), "attach");
    bench_main(argc, argv, &jobs);
    sbx_sandbox_release(box);
    sbx_close(client);
    return 0;
}
