/* Files on a real host: any bytes, any names, both ways, and refusals. */
#include "live.h"

static unsigned char noise[200000];

static void make_noise(void)
{
    uint32_t x = 2463534242u;
    size_t i;
    for (i = 0; i < sizeof noise; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        noise[i] = (unsigned char)x;
    }
}

static void check_content(sbx_sandbox *s, const char *path, const void *want, size_t len)
{
    static unsigned char got[sizeof noise + 1];
    sbx_memory m;
    memset(&m, 0, sizeof m);
    m.data = got;
    m.cap = sizeof got;
    CHECK_INT(sbx_files_read(s, path, NULL, sbx_sink_memory(&m), NULL), SBX_OK);
    CHECK_INT(m.cut, 0);
    CHECK(m.len == len && memcmp(got, want, len) == 0);
}

TEST(round_trips)
{
    static const size_t sizes[] = { 0, 1, 2, 2047, 2048, 6000, 8191, 8192, 8193, 65536,
        sizeof noise };
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    size_t i;
    REQUIRE(s);
    make_noise();
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        sbx_reading in;
        sbx_source from;
        sbx_files_options o;
        sbx_file_info *info;
        memset(&in, 0, sizeof in);
        memset(&o, 0, sizeof o);
        in.data = noise;
        in.len = sizes[i];
        from = sbx_source_memory(&in);
        CHECK_INT(sbx_files_write_bytes(s, "multi/part.bin", noise, sizes[i], NULL, &info, NULL),
            SBX_OK);
        CHECK_STR(info ? info->name : "", "part.bin");
        CHECK_STR(info ? info->path : "", "/home/user/multi/part.bin");
        sbx_free(info);
        check_content(s, "multi/part.bin", noise, sizes[i]);
        CHECK_INT(sbx_files_write(s, "raw.bin", from, NULL, NULL, NULL), SBX_OK);
        check_content(s, "raw.bin", noise, sizes[i]);
        in.pos = 0;
        from.size = -1; /* in chunks */
        CHECK_INT(sbx_files_write(s, "/tmp/chunks.bin", from, NULL, NULL, NULL), SBX_OK);
        check_content(s, "/tmp/chunks.bin", noise, sizes[i]);
        in.pos = 0;
        from.size = (int64_t)sizes[i];
        o.octet_stream = SBX_NO; /* a source as multipart */
        o.user = "root";
        CHECK_INT(sbx_files_write(s, "/var/tmp/m.bin", from, &o, NULL, NULL), SBX_OK);
        check_content(s, "/var/tmp/m.bin", noise, sizes[i]);
    }
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

TEST(names)
{
    static const char *const names[] = { "plain", "with space", "a+b%2B&c=d?#e",
        "quote\"s'and`ticks",
        "back\\slash", "\xc5\xbe\xe6\x97\xa5\xf0\x9f\x98\x80", "new\nline", ".hidden", "-rf",
            "~tilde",
        "a;b\tc", "100%" };
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    size_t i;
    REQUIRE(s);
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128] = "/home/user/names/";
        sbx_file_info *info;
        bool flag;
        test_row = names[i];
        memcpy(path + 17, names[i], strlen(names[i]) + 1);
        CHECK_INT(sbx_files_write_bytes(s, path, path, strlen(path), NULL, NULL, NULL), SBX_OK);
        check_content(s, path, path, strlen(path));
        REQUIRE(sbx_files_stat(s, path, NULL, &info, NULL) == SBX_OK);
        CHECK_STR(info->name, names[i]);
        CHECK_STR(info->path, path);
        CHECK_INT(info->size, strlen(path));
        CHECK_INT(info->type, SBX_FILE_REGULAR);
        sbx_free(info);
        CHECK_INT(sbx_files_exists(s, path, NULL, &flag, NULL), SBX_OK);
        CHECK(flag);
    }
    test_row = NULL;
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

typedef struct listing { char names[512]; int n; } listing;

static int note(void *ctx, const sbx_file_info *info)
{
    listing *l = (listing *)ctx;
    sbxi_add_text(l->names, sizeof l->names, info->path);
    sbxi_add_text(l->names, sizeof l->names, info->type == SBX_FILE_DIR ? "/ " : " ");
    l->n++;
    return SBX_OK;
}

TEST(tree)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_reading in[3];
    sbx_file_write files[3];
    sbx_files_options o;
    sbx_file_info *info;
    listing l;
    bool flag;
    size_t i;
    REQUIRE(s);
    memset(in, 0, sizeof in);
    memset(&l, 0, sizeof l);
    memset(&o, 0, sizeof o);
    for (i = 0; i < 3; i++) {
        static const char *const paths[] = { "/home/user/t/a", "/home/user/t/d/b",
            "/home/user/t/d/e/c" };
        in[i].data = paths[i];
        in[i].len = strlen(paths[i]);
        files[i].path = paths[i];
        files[i].from = sbx_source_memory(&in[i]);
    }
    CHECK_INT(sbx_files_write_many(s, files, 3, NULL, note, &l, NULL), SBX_OK);
    CHECK_STR(l.names, "/home/user/t/a /home/user/t/d/b /home/user/t/d/e/c ");
    CHECK_INT(sbx_files_write_many(s, files, 0, NULL, note, &l, NULL), SBX_OK);
    for (i = 0; i < 3; i++) {
        check_content(s, files[i].path, files[i].path, strlen(files[i].path));
        in[i].pos = 0;
    }
    o.octet_stream = SBX_YES;
    memset(&l, 0, sizeof l);
    CHECK_INT(sbx_files_write_many(s, files, 3, &o, note, &l, NULL), SBX_OK);
    CHECK_INT(l.n, 3);
    memset(&l, 0, sizeof l);
    CHECK_INT(sbx_files_list(s, "/home/user/t", NULL, note, &l, NULL), SBX_OK);
    CHECK_STR(l.names, "/home/user/t/a /home/user/t/d/ ");
    memset(&l, 0, sizeof l);
    o.depth = 3;
    CHECK_INT(sbx_files_list(s, "/home/user/t", &o, note, &l, NULL), SBX_OK);
    CHECK_STR(l.names,
        "/home/user/t/a /home/user/t/d/ /home/user/t/d/b /home/user/t/d/e/ /home/user/t/d/e/c ");
    CHECK_INT(sbx_files_rename(s, "/home/user/t/d", "/home/user/t/z", NULL, &info, NULL), SBX_OK);
    CHECK_STR(info ? info->path : "", "/home/user/t/z");
    sbx_free(info);
    CHECK_INT(sbx_files_make_dir(s, "/home/user/t/new/dir", NULL, &flag, NULL), SBX_OK);
    CHECK(flag);
    CHECK_INT(sbx_files_make_dir(s, "/home/user/t/new/dir", NULL, &flag, NULL), SBX_OK);
    CHECK(!flag);
    CHECK_INT(sbx_files_make_dir(s, "/home/user/t/a", NULL, &flag, NULL), SBX_E_NOT_A_FILE);
    CHECK_INT(sbx_files_remove(s, "/home/user/t", NULL, NULL), SBX_OK);
    CHECK_INT(sbx_files_remove(s, "/home/user/t", NULL, NULL), SBX_OK);
    CHECK_INT(sbx_files_exists(s, "/home/user/t", NULL, &flag, NULL), SBX_OK);
    CHECK(!flag);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

/* A source that does not keep its word. */
static int short_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    size_t *left = (size_t *)ctx;
    *got = *left < cap ? *left : cap;
    memset(buf, 'x', *got);
    *left -= *got;
    return SBX_OK;
}

TEST(refusals)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_memory m;
    sbx_source from;
    sbx_files_options o;
    sbx_file_info *info;
    listing l;
    size_t left;
    bool flag;
    REQUIRE(s);
    memset(&m, 0, sizeof m);
    memset(&o, 0, sizeof o);
    memset(&from, 0, sizeof from);
    memset(&l, 0, sizeof l);
    CHECK_INT(sbx_files_read(s, "/no/such", NULL, sbx_sink_memory(&m), NULL), SBX_E_NOT_FOUND);
    CHECK_INT(sbx_client_error(c)->http_status, 404);
    CHECK_INT(sbx_files_read(s, "/home", NULL, sbx_sink_memory(&m), NULL), SBX_E_NOT_A_FILE);
    CHECK_INT(m.len + m.cut, 0); /* an error body never reaches the sink */
    CHECK_INT(sbx_files_list(s, "/etc/passwd", NULL, note, &l, NULL), SBX_E_NOT_A_FILE);
    CHECK_INT(sbx_files_list(s, "/no/such", NULL, note, &l, NULL), SBX_E_NOT_FOUND);
    CHECK_INT(sbx_files_stat(s, "/no/such", NULL, &info, NULL), SBX_E_NOT_FOUND);
    CHECK(info == NULL);
    CHECK_INT(sbx_files_rename(s, "/no/such", "/x", NULL, NULL, NULL), SBX_E_NOT_FOUND);
    CHECK_INT(sbx_files_write_bytes(s, "/home", "x", 1, NULL, NULL, NULL), SBX_E_NOT_A_FILE);
    o.user = "nobody-here";
    CHECK_INT(sbx_files_read(s, "x", &o, sbx_sink_memory(&m), NULL), SBX_E_AUTH);
    from.get = short_get;
    from.ctx = &left;
    left = 100;
    from.size = 200;
    CHECK_INT(sbx_files_write(s, "/home/user/short", from, NULL, NULL, NULL), SBX_E_SOURCE);
    left = 300;
    CHECK_INT(sbx_files_write(s, "/home/user/short", from, NULL, NULL, NULL), SBX_E_SOURCE);
    CHECK_INT(sbx_files_exists(s, "/home/user/short", NULL, &flag, NULL), SBX_OK);
    CHECK(!flag); /* no half-written file */
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}
