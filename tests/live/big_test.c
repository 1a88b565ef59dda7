/* 1 GiB of output and a 1 GiB file through a client that owns 16 KiB in all; a build
   context of 100 MiB through one of 64 KiB.
   SBX_TEST_MIB makes it smaller (sanitizer builds are slow). */
#include "live.h"

#define HEAP 16384
#define CONTEXT_HEAP (65536 - HEAP)

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
typedef struct flow { uint64_t at, wrong, size; } flow;

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
    uint64_t left = f->size - f->at;
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

static sbx_client *small_client(sbx_fixed *heap, size_t more)
{
    static unsigned char memory[HEAP + CONTEXT_HEAP + HEAP_TLS];
    sbx_config cfg;
    sbx_client *c = NULL;
    memset(&cfg, 0, sizeof cfg);
    cfg.alloc = sbx_alloc_fixed(heap, memory, heap_limit() + more);
    cfg.tls.ca_file = getenv("SBX_TEST_CA");
    if (sbx_open(&c, &cfg) != SBX_OK) return NULL;
    return c;
}

TEST(stdout_of_1_gib)
{
    sbx_fixed heap;
    sbx_client *c = small_client(&heap, 0);
    sbx_sandbox *s;
    sbx_command_options o;
    sbx_command_result r;
    flow f = { 0, 0, 0 };
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
    sbx_client *c = small_client(&heap, 0);
    sbx_sandbox *s;
    sbx_source from;
    sbx_sink to;
    flow up = { 0, 0, big_bytes() }, down = { 0, 0, 0 };
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

/* Files that are made while they are read. */
#define PARTS 10
static int part_rewind(void *ctx)
{
    ((flow *)ctx)->at = 0;
    return SBX_OK;
}

typedef struct counted { char want[16]; bool seen; } counted;

static int said(void *ctx, const sbx_build_log *log)
{
    counted *c = (counted *)ctx;
    if (log->step && strcmp(log->message, c->want) == 0) c->seen = true;
    return SBX_OK;
}

/* With TLS a tenth of it, packed: what differs there is not its length. */
TEST(context_of_100_mib)
{
    static sbx_tree_file files[PARTS];
    static char names[PARTS][8];
    sbx_fixed heap;
    sbx_client *c = small_client(&heap, CONTEXT_HEAP);
    uint64_t size = (uint64_t)(getenv("SBX_TEST_CA") ? 10 : 100) << 20;
    flow f = { 0, 0, size / PARTS };
    sbx_source from = { flow_get, part_rewind, NULL, (int64_t)(size / PARTS) };
    sbx_memory_tree memory;
    sbx_tree tree;
    sbx_build_options o;
    sbx_build_info *info = NULL;
    sbx_template *t;
    counted sum = { "", false };
    size_t i;
    REQUIRE(c);
    from.ctx = &f;
    for (i = 0; i < PARTS; i++) {
        memcpy(names[i], "part-0", 7);
        names[i][5] = (char)('0' + i);
        files[i].path = names[i];
        files[i].from = &from;
    }
    sum.want[sbxi_print_u64(sum.want, size)] = 0;
    memset(&memory, 0, sizeof memory);
    memset(&o, 0, sizeof o);
    memory.files = files;
    memory.count = PARTS;
    tree = sbx_tree_memory(&memory);
    t = sbx_template_new(c);
    sbx_template_context(t, &tree, NULL);
    sbx_template_copy(t, "part-*", "/opt/big/", NULL);
    sbx_template_run(t, "cat /opt/big/part-* | wc -c", NULL);
    o.name = "big-context";
    o.level = getenv("SBX_TEST_CA") ? 1 : SBX_NEVER;
    o.log = said;
    o.ctx = &sum;
    if (!CHECK_INT(sbx_template_build(t, &o, &info, NULL), SBX_OK))
        puts(sbx_client_error(c)->message);
    CHECK(sum.seen);
    if (info) CHECK_INT(sbx_template_delete(c, info->template_id, NULL, NULL), SBX_OK);
    sbx_free(info);
    sbx_template_release(t);
    sbx_close(c);
    CHECK_INT(heap.used, 0);
    CHECK(heap.peak <= heap_limit() + CONTEXT_HEAP);
    printf("peak heap of the client: %u bytes\n", (unsigned)heap.peak);
}
