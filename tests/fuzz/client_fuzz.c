/* The whole client against a peer that answers anything: each call ends, with a
   status; nothing leaks, the transport is used as it must be, and the client works
   afterwards. Input: which call, bytes a read, then what the peer sends (a zero
   byte after 0xFF begins the answer to the next request). */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include <stddef.h>
#include "../../sandbox_impl/sandbox_all.h"
#define FUZZ_STEPS(size) (4000000 + 40000 * (uint64_t)(size))
#include "fuzz.h"
#include <strings.h>
#include "../unit/op_peer.h"

static int count_put(void *ctx, const void *data, size_t len)
{
    const unsigned char *p = (const unsigned char *)data;
    while (len--) *(size_t *)ctx += 1u + *p++;
    return SBX_OK;
}

static int count_text(void *ctx, const char *text)
{
    return text ? count_put(ctx, text, strlen(text)) : SBX_OK;
}

static int each_box(void *ctx, const sbx_sandbox_info *info)
{
    size_t i;
    for (i = 0; i < info->metadata.count; i++) count_text(ctx, info->metadata.items[i].value);
    return count_text(ctx, info->id);
}

static int each_file(void *ctx, const sbx_file_info *info) { return count_text(ctx, info->path); }

static int each_process(void *ctx, const sbx_process_info *info)
{
    size_t i;
    for (i = 0; i < info->args.count; i++) count_text(ctx, info->args.items[i]);
    return count_text(ctx, info->cmd);
}

static int run_command(sbx_sandbox *s, size_t *sum)
{
    sbx_command_options o;
    sbx_command_result r;
    memset(&o, 0, sizeof o);
    o.out.put = count_put;
    o.out.ctx = sum;
    o.err = o.out;
    return sbx_command_run(s, "x", &o, &r, NULL);
}

static int call(sbx_client *c, sbx_sandbox *s, unsigned which, size_t *sum)
{
    sbx_sandbox *made = NULL;
    sbx_sandbox_info *info = NULL;
    sbx_file_info *file = NULL;
    sbx_sink sink;
    bool yes;
    int rc;
    sink.put = count_put;
    sink.ctx = sum;
    switch (which % 12) {
    case 0:
        rc = sbx_sandbox_create(c, NULL, &made, NULL);
        FUZZ_REQUIRE((rc == SBX_OK) == (made != NULL));
        sbx_sandbox_release(made);
        return rc;
    case 1: return run_command(s, sum);
    case 2: return sbx_files_read(s, "/f", NULL, sink, NULL);
    case 3: return sbx_files_write_bytes(s, "/f", "data", 4, NULL, NULL, NULL);
    case 4: return sbx_files_list(s, "/", NULL, each_file, sum, NULL);
    case 5:
        rc = sbx_files_stat(s, "/f", NULL, &file, NULL);
        if (file) each_file(sum, file);
        sbx_free(file);
        return rc;
    case 6:
        rc = sbx_sandbox_get_info(s, &info, NULL);
        if (info) each_box(sum, info);
        sbx_free(info);
        return rc;
    case 7: return sbx_sandbox_list(c, NULL, NULL, each_box, sum, NULL);
    case 8: return sbx_sandbox_kill(s, &yes, NULL);
    case 9: return sbx_sandbox_is_running(s, &yes, NULL);
    case 10: return sbx_command_list(s, each_process, sum, NULL);
    default: return sbx_sandbox_set_timeout(s, 5, NULL);
    }
}

FUZZ_TARGET(data, size)
{
    static const char fine[] = "HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n";
    turn turns[8];
    size_t n = 0, pos = 2, start = 2, sum = 0;
    sbx_sandbox_access access;
    sbx_client *c;
    sbx_sandbox *s;
    sbx_config g;
    bool yes;
    peer *p;
    int rc;
    if (size < 2 || size > 4096) return;
    memset(turns, 0, sizeof turns);
    for (; pos <= size && n < 8; pos++)
        if (pos == size || (data[pos] == 0 && data[pos - 1] == 0xFF && pos > start)) {
            turns[n].raw = (const char *)data + start;
            turns[n].raw_len = pos - start;
            turns[n].shut = true;
            turns[n].always = pos == size || n == 7; /* the last answers all that follow */
            n += turns[n].raw_len > 0;
            start = pos + 1;
        }
    p = peer_new();
    p->recv_max = data[1];
    peer_script(p, turns, n);
    g = peer_config(p);
    g.retries = 1;
    memset(&access, 0, sizeof access);
    access.access_token = "tok";
    access.daemon_version = "0.6.4";
    FUZZ_REQUIRE(sbx_open(&c, &g) == SBX_OK);
    FUZZ_REQUIRE(sbx_sandbox_attach(c, "box", &access, &s) == SBX_OK);
    rc = call(c, s, data[0], &sum);
    FUZZ_REQUIRE(rc <= SBX_OK && strcmp(sbx_status_name(rc), "SBX_E_?") != 0);
    if (rc != SBX_OK) FUZZ_REQUIRE(sbx_client_error(c)->message[0]);
    /* And now a good peer. */
    memset(turns, 0, sizeof turns);
    turns[0].raw = fine;
    turns[0].always = true;
    turns[0].shut = true;
    peer_script(p, turns, 1);
    FUZZ_REQUIRE(sbx_sandbox_is_running(s, &yes, NULL) == SBX_OK && yes);
    sbx_sandbox_release(s);
    FUZZ_REQUIRE(sbx_close(c) == SBX_OK);
    if (p->complaint[0] && strncmp(p->complaint, "no turn for", 11) != 0)
        fprintf(stderr, "%s\n", p->complaint);
    FUZZ_REQUIRE(!p->complaint[0] || strncmp(p->complaint, "no turn for", 11) == 0);
    FUZZ_REQUIRE(p->heap.blocks == 0 && p->live == 0 && !p->heap.wrong_size);
    peer_free(p);
}
