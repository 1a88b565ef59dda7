/* Tar: what a small reader finds in the headers of an entry is the entry: texts of any
   bytes, numbers of any size. Input: flags, then as they say: type, numbers, lengths of
   four texts, the texts. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "fuzz.h"

typedef struct reading {
    char texts[4][SBXI_TAR_TEXT_MAX + 2];
    size_t lens[4];
    int64_t numbers[5];
    bool binary;
} reading;

static int64_t octal(const unsigned char *p, size_t n)
{
    int64_t v = 0;
    FUZZ_REQUIRE(p[n - 1] == 0);
    for (; --n; p++) {
        FUZZ_REQUIRE(*p >= '0' && *p <= '7');
        v = v * 8 + (*p - '0');
    }
    return v;
}

static void read_header(const unsigned char *b, reading *r)
{
    static const size_t places[9] = { 0, 157, 265, 297, 124, 136, 108, 116, 100 };
    static const size_t sizes[9] = { 100, 100, 32, 32, 12, 12, 8, 8, 8 };
    unsigned sum = 0, i;
    for (i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? ' ' : b[i];
    FUZZ_REQUIRE(octal(b + 148, 7) == sum && b[155] == ' ');
    FUZZ_REQUIRE(memcmp(b + 257, "ustar\0" "00", 8) == 0);
    for (i = 0; i < 4; i++) {
        r->lens[i] = strnlen((const char *)b + places[i], sizes[i]);
        memcpy(r->texts[i], b + places[i], r->lens[i]);
    }
    for (; i < 9; i++) r->numbers[i - 4] = octal(b + places[i], sizes[i]);
}

/* "LEN key=value\n", in any order, up to the end. */
static void read_records(const char *p, size_t len, reading *r)
{
    static const char *const keys[9] = { "path", "linkpath", "uname", "gname", "size", "mtime",
        "uid", "gid", "mode" };
    while (len) {
        char *end;
        unsigned long n = strtoul(p, &end, 10), i;
        const char *key = end + 1, *eq = memchr(p, '=', len);
        FUZZ_REQUIRE(n <= len && n > 0 && *end == ' ' && eq && eq < p + n && p[n - 1] == '\n');
        for (i = 0; i < 9; i++)
            if (strlen(keys[i]) == (size_t)(eq - key) && !memcmp(keys[i], key, (size_t)(eq - key))) break;
        if (i < 4) {
            r->lens[i] = (size_t)(p + n - 1 - (eq + 1));
            memcpy(r->texts[i], eq + 1, r->lens[i]);
        } else if (i < 9) {
            r->numbers[i - 4] = (int64_t)strtoll(eq + 1, &end, 10);
            FUZZ_REQUIRE(end == p + n - 1);
        } else {
            FUZZ_REQUIRE(n == 21 && !memcmp(p, "21 hdrcharset=BINARY\n", 21));
            r->binary = true;
        }
        p += n;
        len -= n;
    }
}

static const uint8_t *number(const uint8_t *p, const uint8_t *end, uint64_t *v)
{
    unsigned n;
    *v = 0;
    if (p == end) return p;
    for (n = *p++ % 9; n && p < end; n--) *v = *v << 8 | *p++;
    return p;
}

/* Reads back all blocks of an entry. */
static void check(const sbxi_tar_entry *e, sbxi_tar *t)
{
    static reading r;
    static char records[5 * SBXI_TAR_TEXT_MAX];
    unsigned char block[512];
    size_t len = 0, left = 0, i, blocks = 1;
    const sbxi_span texts[4] = { e->name, e->link, e->user, e->group };
    memset(&r, 0, sizeof r);
    FUZZ_REQUIRE(sbxi_tar_block(t, block));
    if (block[156] == 'x') {
        read_header(block, &r);
        len = left = (size_t)r.numbers[0];
        FUZZ_REQUIRE(len > 0 && len <= sizeof records - 512);
        for (i = 0; i < len; i += 512, blocks++) {
            FUZZ_REQUIRE(sbxi_tar_block(t, (unsigned char *)records + i));
            left = len - i;
        }
        for (; left < 512; left++, i++) FUZZ_REQUIRE(records[len - (len & 511) + left] == 0);
        FUZZ_REQUIRE(sbxi_tar_block(t, block));
        blocks++;
    }
    FUZZ_REQUIRE(block[156] == e->type);
    read_header(block, &r);
    records[len] = 0;
    read_records(records, len, &r);
    FUZZ_REQUIRE(!sbxi_tar_block(t, block));
    FUZZ_REQUIRE(sbxi_tar_size(t) == blocks * 512 + (uint64_t)e->size + sbxi_tar_padding(e->size));
    for (i = 0; i < 4; i++) {
        size_t n = texts[i].len;
        bool slash = i == 0 && e->type == SBXI_TAR_DIR && texts[0].ptr[n - 1] != '/';
        FUZZ_REQUIRE(r.lens[i] == n + slash);
        FUZZ_REQUIRE(!n || memcmp(r.texts[i], texts[i].ptr, n) == 0);
        FUZZ_REQUIRE(!slash || r.texts[0][n] == '/');
    }
    FUZZ_REQUIRE(r.numbers[0] == e->size && r.numbers[1] == e->mtime);
    FUZZ_REQUIRE(r.numbers[2] == e->uid && r.numbers[3] == e->gid);
    FUZZ_REQUIRE(r.numbers[4] == (e->mode & 07777));
}

FUZZ_TARGET(data, size)
{
    static const uint8_t types[4] = { SBXI_TAR_FILE, SBXI_TAR_LINK, SBXI_TAR_DIR, SBXI_TAR_FILE };
    const uint8_t *p = data, *end = data + size;
    uint64_t v[9];
    char *texts[4];
    sbxi_span s[4];
    sbxi_tar_entry e;
    sbxi_tar t;
    unsigned i;
    bool bad = false;
    int rc;
    if (size < 2) return;
    memset(&e, 0, sizeof e);
    e.type = types[*p++ & 3];
    for (i = 0; i < 9; i++) p = number(p, end, &v[i]);
    for (i = 0; i < 4; i++) {
        s[i].len = (size_t)(v[5 + i] % (SBXI_TAR_TEXT_MAX + 16));
        if (s[i].len > (size_t)(end - p)) { /* what is not there is its first byte, over again */
            texts[i] = (char *)malloc(s[i].len + 1);
            memset(texts[i], p < end ? *p : 'x', s[i].len);
        } else {
            texts[i] = fuzz_copy(p, s[i].len);
            p += s[i].len;
        }
        s[i].ptr = texts[i];
        bad = bad || s[i].len > SBXI_TAR_TEXT_MAX || memchr(texts[i], 0, s[i].len);
    }
    e.name = s[0];
    e.link = s[1];
    e.user = s[2];
    e.group = s[3];
    e.size = (int64_t)v[0];
    e.mtime = (int64_t)v[1];
    e.mode = (uint32_t)v[2];
    e.uid = (uint32_t)v[3];
    e.gid = (uint32_t)v[4];
    bad = bad || !s[0].len || e.size < 0 || (e.size && e.type != SBXI_TAR_FILE);
    rc = sbxi_tar_begin(&t, &e);
    FUZZ_REQUIRE(rc == (bad ? SBX_E_ARG : SBX_OK));
    if (rc == SBX_OK) check(&e, &t);
    for (i = 0; i < 4; i++) free(texts[i]);
}
