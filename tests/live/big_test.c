/* 1 GiB of output and a 1 GiB file through a client that owns 16 KiB in all.
   SBX_TEST_MIB makes it smaller (sanitizer builds are slow). */
#include "live.h"

#define HEAP 16384

/* mbedTLS's own structs come from the client's heap too; they are no part of the
   limit. */
#define HEAP_TLS (sizeof(sbxi_tls_trust) + sizeof(sbxi_tls_conn) + 2 * sizeof(sbxi_cell))

static size_t heap_limit(void)
{
    return getenv("SBX_TEST_CA") ? HEAP + HEAP_TLS : HEAP;
}

static uint64_t big_bytes(void)
{
    const char *v = getenv("SBX_TEST_MIB");
    uint64_t mib = 1024;
    if (v) sbxi_parse_u64(sbxi_span_of(v), 65536, &mib);
    return mib << 20;
}

/* Content that shows misplaced bytes: a counter in every 8 bytes. */
typedef struct flow { uint64_t at, wrong; } flow;

static unsigned char flow_byte(uint64_t at)
{
    return (unsigned char)((at >> 3) * 0x9E3779B97F4A7C15u >> (8 * (at & 7)));
}

static int flow_put(void *ctx, const void *data, size_t len)
{
    flow *f = (flow *)ctx;
    const unsigned char *p = (const unsigned char *)data;
    size_t i;
    for (i = 0; i < len; i++) f->wrong += p[i] != flow_byte(f->at + i);
    f->at += len;
    return SBX_OK;
}

static int flow_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    flow *f = (flow *)ctx;
    unsigned char *p = (unsigned char *)buf;
    uint64_t left = big_bytes() - f->at;
    size_t i;
    *got = left < cap ? (size_t)left : cap;
    for (i = 0; i < *got; i++) p[i] = flow_byte(f->at + i);
    f->at += *got;
    return SBX_OK;
}

static int zero_put(void *ctx, const void *data, size_t len)
{
    flow *f = (flow *)ctx;
    const char *p = (const char *)data;
    size_t i;
    for (i = 0; i < len; i++) f->wrong += p[i] != 'y' && p[i] != '\n';
    f->at += len;
    return SBX_OK;
}

static sbx_client *small_client(sbx_fixed *heap)
{
    static unsigned char memory[HEAP + HEAP_TLS];
    sbx_config cfg;
    sbx_client *c = NULL;
    memset(&cfg, 0, sizeof cfg);
    cfg.alloc = sbx_alloc_fixed(heap, memory, heap_limit());
    cfg.tls.ca_file = getenv("SBX_TEST_CA");
    if (sbx_open(&c, &cfg) != SBX_OK) return NULL;
    return c;
}

TEST(stdout_of_1_gib)
{
    sbx_fixed heap;
    sbx_client *c = small_client(&heap);
    sbx_sandbox *s;
    sbx_command_options o;
    sbx_command_result r;
    flow f = { 0, 0 };
    char cmd[64] = "yes | head -c ";
    REQUIRE(c);
    memset(&o, 0, sizeof o);
    s = live_sandbox(c);
    REQUIRE(s);
    o.out.put = zero_put;
    o.out.ctx = &f;
    o.timeout_ms = 600000;
    cmd[14 + sbxi_print_u64(cmd + 14, big_bytes())] = 0;
    CHECK_INT(sbx_command_run(s, cmd, &o, &r, NULL), SBX_OK);
    CHECK_INT(r.exit_code, 0);
    CHECK_INT(f.at, big_bytes());
    CHECK_INT(f.wrong, 0);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    sbx_close(c);
    CHECK_INT(heap.used, 0);
    CHECK(heap.peak <= heap_limit());
    printf("peak heap of the client: %u bytes\n", (unsigned)heap.peak);
}

TEST(file_of_1_gib)
{
    sbx_fixed heap;
    sbx_client *c = small_client(&heap);
    sbx_sandbox *s;
    sbx_source from;
    sbx_sink to;
    flow up = { 0, 0 }, down = { 0, 0 };
    REQUIRE(c);
    memset(&from, 0, sizeof from);
    s = live_sandbox(c);
    REQUIRE(s);
    from.get = flow_get;
    from.ctx = &up;
    from.size = (int64_t)big_bytes();
    CHECK_INT(sbx_files_write(s, "big", from, NULL, NULL, NULL), SBX_OK);
    to.put = flow_put;
    to.ctx = &down;
    CHECK_INT(sbx_files_read(s, "big", NULL, to, NULL), SBX_OK);
    CHECK_INT(down.at, big_bytes());
    CHECK_INT(down.wrong, 0);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    sbx_close(c);
    CHECK_INT(heap.used, 0);
    CHECK(heap.peak <= heap_limit());
    printf("peak heap of the client: %u bytes\n", (unsigned)heap.peak);
}
