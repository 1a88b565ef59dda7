/* tar_test - archives of pack/tar, read back by GNU tar, bsdtar and Python's tarfile:
   tests/unit/tar_check.py compares what they find with what was meant. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"
#include <unistd.h>

typedef struct archive { FILE *tar, *list; char dir[200]; uint64_t size; } archive;

static bool begin(archive *a)
{
    char path[256];
    snprintf(a->dir, sizeof a->dir, "%s/tar_test.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(a->dir)) return false;
    a->size = 0;
    snprintf(path, sizeof path, "%s/tar", a->dir);
    a->tar = fopen(path, "wb");
    snprintf(path, sizeof path, "%s/list", a->dir);
    a->list = fopen(path, "wb");
    return a->tar && a->list;
}

static void hex(FILE *f, sbxi_span s)
{
    size_t i;
    putc('x', f);
    for (i = 0; i < s.len; i++) fprintf(f, "%02x", (unsigned char)s.ptr[i]);
    putc(' ', f);
}

static void zeros(FILE *f, size_t n)
{
    while (n--) putc(0, f);
}

/* The content of a file is its number, over and over. */
static void put(archive *a, const sbxi_tar_entry *e)
{
    unsigned char block[SBXI_TAR_BLOCK];
    sbxi_tar t;
    unsigned blocks = 0;
    int64_t i;
    memset(block, 0xA5, sizeof block);
    if (!CHECK_INT(sbxi_tar_begin(&t, e), SBX_OK)) return;
    for (; sbxi_tar_block(&t, block); blocks++) {
        fwrite(block, 1, sizeof block, a->tar);
        memset(block, 0xA5, sizeof block);
    }
    CHECK(!sbxi_tar_block(&t, block));
    for (i = 0; i < e->size; i++) putc((int)(e->size + i) & 255, a->tar);
    zeros(a->tar, sbxi_tar_padding(e->size));
    a->size += sbxi_tar_size(&t);
    CHECK_INT(ftell(a->tar), a->size);
    hex(a->list, e->name);
    hex(a->list, e->link);
    hex(a->list, e->user);
    hex(a->list, e->group);
    fprintf(a->list, "%c %lld %lld %u %u %u\n", e->type, (long long)e->size, (long long)e->mtime,
        (unsigned)e->mode, (unsigned)e->uid, (unsigned)e->gid);
}

static sbxi_tar_entry entry(uint8_t type, const char *name, size_t len)
{
    sbxi_tar_entry e;
    memset(&e, 0, sizeof e);
    e.type = type;
    e.name.ptr = name;
    e.name.len = len;
    e.mode = type == SBXI_TAR_DIR ? 0755 : type == SBXI_TAR_LINK ? 0777 : 0644;
    e.mtime = 1700000000;
    return e;
}

/* extract: whether the tools unpack it too; else they only list it. */
static void end(archive *a, const char *how)
{
    char command[300];
    zeros(a->tar, SBXI_TAR_END);
    fclose(a->tar);
    fclose(a->list);
    snprintf(command, sizeof command, "python3 tests/unit/tar_check.py %s %s", a->dir, how);
    CHECK_INT(system(command), 0);
}

/* The others pass over it where it is not. */
TEST(bsdtar_reads_them_too)
{
    if (system("command -v bsdtar >/dev/null") != 0) SKIP("no bsdtar here");
}

TEST(names_of_every_length)
{
    archive a;
    char name[4096];
    unsigned len, i, kind;
    REQUIRE(begin(&a));
    for (len = 1; len <= 3900; len += len < 300 ? 1 : 450)
        for (kind = 0; kind < 3; kind++) {
            sbxi_tar_entry e;
            snprintf(name, sizeof name, "%c%03u", "fdu"[kind], len);
            for (i = (unsigned)strlen(name); i < len; i++)
                name[i] = i % 90 == 89 && i + 1 < len ? '/' : (char)('a' + i % 26);
            if (len < 4) memset(name, "xyz"[kind], len);
            if (kind == 2 && len > 5) memcpy(name + len - 2, "\xc3\xa9", 2);
            name[len] = 0;
            if (kind == 2 && len % 90 == 1 && len > 90) continue; /* the letter would be cut */
            e = entry(kind == 1 ? SBXI_TAR_DIR : SBXI_TAR_FILE, name, len);
            if (kind == 1 && len % 2) name[e.name.len++] = '/'; /* may be there already */
            put(&a, &e);
        }
    end(&a, "extract");
}

TEST(odd_names)
{
    static const char *const names[] = { "with\nnewline", "-dash", "--version", " ", "a b", "\t",
        "é", "日本語.txt", "\xff\xfe", "half \xc3", "emoji \xf0\x9f\x90\x9b", "a\\b", "\"q\"", "'q'",
        "*", "?", "[a]", "$HOME", "#", "~", ".hidden", "..dots", "100%", "key=value", "\x01\x7f",
        "12 path=x\n", "sub/ü/deep\nfile" };
    archive a;
    size_t i;
    REQUIRE(begin(&a));
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        sbxi_tar_entry e = entry(SBXI_TAR_FILE, names[i], strlen(names[i]));
        e.size = (int64_t)i;
        put(&a, &e);
    }
    end(&a, "extract");
}

TEST(sizes_modes_links)
{
    static const int sizes[] = { 0, 1, 511, 512, 513, 1023, 1024, 100000 };
    char target[400], name[32];
    archive a;
    size_t i;
    REQUIRE(begin(&a));
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        sbxi_tar_entry e = entry(SBXI_TAR_FILE, name, 0);
        e.name.len = (size_t)snprintf(name, sizeof name, "size%d", sizes[i]);
        e.size = sizes[i];
        put(&a, &e);
    }
    for (i = 0; i < 010000; i += i < 01000 ? 0111 : 0777) {
        sbxi_tar_entry e = entry(SBXI_TAR_FILE, name, 0);
        e.name.len = (size_t)snprintf(name, sizeof name, "mode%o", (unsigned)i);
        e.mode = (uint32_t)i | 0100000; /* what stat says of a file */
        put(&a, &e);
    }
    for (i = 1; i < sizeof target; i += i < 95 ? 47 : i < 105 ? 1 : 98) {
        sbxi_tar_entry e = entry(SBXI_TAR_LINK, name, 0);
        memset(target, 'a' + (int)(i % 26), i);
        if (i > 10) memcpy(target, "../x/\xc3\xa9/", 8);
        e.name.len = (size_t)snprintf(name, sizeof name, "link%zu", i);
        e.link.ptr = target;
        e.link.len = i;
        put(&a, &e);
    }
    end(&a, "extract");
}

TEST(numbers_and_owners)
{
    static const int64_t times[] = { 0, 1, -1, -62135596800, 8589934591, 8589934592, 253402300799 };
    char name[32];
    archive a;
    size_t i;
    REQUIRE(begin(&a));
    for (i = 0; i < sizeof times / sizeof *times; i++) {
        sbxi_tar_entry e = entry(SBXI_TAR_FILE, name, 0);
        e.name.len = (size_t)snprintf(name, sizeof name, "time%zu", i);
        e.mtime = times[i];
        e.uid = i & 1 ? 2097151 : 2097152;
        e.gid = i & 1 ? 4294967294u : 1000;
        e.user = sbxi_span_of(i & 1 ? "root" : "a name of an owner that is too l");
        e.group = sbxi_span_of(i & 1 ? "größe" : "staff");
        put(&a, &e);
    }
    end(&a, "list");
}

/* The header alone: the file would be too large for a test. */
TEST(large_sizes)
{
    static const int64_t sizes[] = { 8589934591, 8589934592, 1LL << 40, INT64_MAX - 511 };
    unsigned char block[SBXI_TAR_BLOCK];
    size_t i;
    for (i = 0; i < 4; i++) {
        sbxi_tar_entry e = entry(SBXI_TAR_FILE, "large", 5);
        sbxi_tar t;
        char want[64];
        e.size = sizes[i];
        CHECK_INT(sbxi_tar_begin(&t, &e), SBX_OK);
        CHECK(sbxi_tar_block(&t, block));
        if (i == 0) {
            CHECK_MEM(block + 124, 12, "77777777777\0", 12);
            CHECK_INT(block[156], '0');
        } else {
            CHECK_INT(block[156], 'x');
            CHECK(sbxi_tar_block(&t, block));
            snprintf(want, sizeof want, "%d size=%lld\n", i < 3 ? (i < 2 ? 19 : 22) : 28,
                (long long)sizes[i]);
            CHECK_STR((char *)block, want);
            CHECK_INT(block[SBXI_TAR_BLOCK - 1], 0);
            CHECK(sbxi_tar_block(&t, block));
            CHECK_MEM(block + 124, 12, "00000000000\0", 12);
        }
        CHECK(!sbxi_tar_block(&t, block));
        CHECK_INT(sbxi_tar_size(&t), (uint64_t)(sizes[i] + 511) / 512 * 512 + (i ? 1536 : 512));
    }
}

TEST(what_is_refused)
{
    static const char big[SBXI_TAR_TEXT_MAX + 1] = { 'x' };
    static const struct { const char *text; size_t len; int64_t size; uint8_t type; int rc; } rows[] = {
        { "a", 1, 0, SBXI_TAR_FILE, SBX_OK }, { "", 0, 0, SBXI_TAR_FILE, SBX_E_ARG },
        { "a\0b", 3, 0, SBXI_TAR_FILE, SBX_E_ARG }, { "a", 1, -1, SBXI_TAR_FILE, SBX_E_ARG },
        { "a", 1, 1, SBXI_TAR_DIR, SBX_E_ARG }, { "a", 1, 1, SBXI_TAR_LINK, SBX_E_ARG },
        { big, sizeof big, 0, SBXI_TAR_FILE, SBX_E_ARG } };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        sbxi_tar_entry e = entry(rows[i].type, rows[i].text, rows[i].len);
        sbxi_tar t;
        e.size = rows[i].size;
        CHECK_INT(sbxi_tar_begin(&t, &e), rows[i].rc);
        e = entry(SBXI_TAR_LINK, "a", 1);
        e.link.ptr = rows[i].text;
        e.link.len = rows[i].len;
        CHECK_INT(sbxi_tar_begin(&t, &e), i == 2 || i == 6 ? SBX_E_ARG : SBX_OK);
    }
}
