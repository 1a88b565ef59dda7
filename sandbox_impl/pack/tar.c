/* tar - what stands around the files of an archive: POSIX ustar headers, as Python's
   tarfile writes them, with a pax header before each whose texts or numbers do not
   fit. Blocks of 512 bytes out; no IO, no memory of its own, nothing of any size is
   refused for its length but names beyond SBXI_TAR_TEXT_MAX.

   An archive is, for every entry: sbxi_tar_begin(), the blocks of sbxi_tar_block()
   until it says false; the `size` bytes of the content; sbxi_tar_padding(size) zeros.
   Behind the last entry SBXI_TAR_END zeros. The same entry always gives the same
   bytes, and sbxi_tar_size() says beforehand how many. */

#ifndef SBX_NO_TEMPLATE

#define SBXI_TAR_BLOCK 512u
#define SBXI_TAR_END 1024u
#define SBXI_TAR_TEXT_MAX 0x2000u /* bytes of a name, a target, an owner's name */

enum { SBXI_TAR_FILE = '0', SBXI_TAR_LINK = '2', SBXI_TAR_DIR = '5' };

/* Texts are bytes without NUL, of any encoding (those that are not UTF-8 are marked
   so); they are borrowed until the last block is out. */
typedef struct sbxi_tar_entry {
    sbxi_span name;         /* relative, with /; the / at the end of a directory's is
                               added where it is missing */
    sbxi_span link;         /* a link's target, as it is; else empty */
    sbxi_span user, group;  /* names of the owner, may be empty */
    int64_t size;           /* bytes of content; 0 but for files */
    int64_t mtime;          /* seconds since 1970, may be negative */
    uint32_t mode;          /* permissions; other bits than 07777 are dropped */
    uint32_t uid, gid;
    uint8_t type;           /* SBXI_TAR_FILE, _LINK, _DIR */
} sbxi_tar_entry;

typedef struct sbxi_tar {
    sbxi_tar_entry entry;
    uint32_t pax;           /* bytes of records; 0: no pax header */
    uint32_t at, blocks;    /* blocks out, and of all */
    uint8_t needs;          /* which texts have a record, a bit each */
    bool binary;            /* one of them is not UTF-8 */
} sbxi_tar;

/* Where the records go: those of [from, from + 512) into a block, all are counted. */
typedef struct sbxi_tar_out { unsigned char *block; uint32_t from, at; } sbxi_tar_out;

static void sbxi_tar_put(sbxi_tar_out *o, const char *text, size_t len)
{
    uint32_t begin = SBXI_MAX(o->at, o->from);
    uint32_t end = SBXI_MIN(o->at + (uint32_t)len, o->from + SBXI_TAR_BLOCK);
    if (o->block && begin < end)
        memcpy(o->block + (begin - o->from), text + (begin - o->at),
            (size_t)(end - begin));
    o->at += (uint32_t)len;
}

/* "LEN key=value\n", where LEN counts its own digits too. */
static void sbxi_tar_record(sbxi_tar_out *o, const char *key, sbxi_span value, bool slash)
{
    char digits[SBXI_DECIMAL_MAX];
    size_t len = strlen(key) + value.len + slash + 3, n = 0, more;
    do {
        more = n;
        n = sbxi_print_u64(digits, len + more);
    } while (n != more);
    sbxi_tar_put(o, digits, n);
    sbxi_tar_put(o, " ", 1);
    sbxi_tar_put(o, key, strlen(key));
    sbxi_tar_put(o, "=", 1);
    sbxi_tar_put(o, value.ptr, value.len);
    sbxi_tar_put(o, &"/\n"[!slash], slash + 1u);
}

/* Whether an ustar header holds it: short, ASCII. */
static bool sbxi_tar_plain(sbxi_span text, size_t room)
{
    size_t i;
    for (i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] >= 0x80) return false;
    return text.len <= room;
}

/* The texts and numbers of a header: place, length, pax keyword. */
typedef struct sbxi_tar_field { uint16_t at, len; char key[10]; } sbxi_tar_field;
static const sbxi_tar_field sbxi_tar_texts[4] = { { 0, 100, "path" }, { 157, 100, "linkpath" },
    { 265, 31, "uname" }, { 297, 31, "gname" } };
static const sbxi_tar_field sbxi_tar_numbers[5] = { { 124, 12, "size" }, { 136, 12, "mtime" },
    { 108, 8, "uid" }, { 116, 8, "gid" }, { 100, 8, "mode" } };

static void sbxi_tar_values(const sbxi_tar_entry *e, sbxi_span text[4], int64_t number[5])
{
    text[0] = e->name;
    text[1] = e->link;
    text[2] = e->user;
    text[3] = e->group;
    number[0] = e->size;
    number[1] = e->mtime;
    number[2] = e->uid;
    number[3] = e->gid;
    number[4] = e->mode & 07777;
}

/* Octal digits and a NUL. What is too large, or negative, has a record; here it is 0. */
static bool sbxi_tar_octal(unsigned char *p, unsigned len, int64_t number)
{
    uint64_t v = (uint64_t)number;
    bool fits = v >> (3 * (len - 1)) == 0;
    p[--len] = 0;
    for (; len; v >>= 3) p[--len] = (unsigned char)('0' + (fits ? v & 7 : 0));
    return fits;
}

static bool sbxi_tar_slash(const sbxi_tar_entry *e)
{
    return e->type == SBXI_TAR_DIR && e->name.ptr[e->name.len - 1] != '/';
}

/* Which texts need a record. */
static void sbxi_tar_judge(sbxi_tar *t, const sbxi_span text[4])
{
    unsigned i;
    t->needs = 0;
    t->binary = false;
    for (i = 0; i < 4; i++) {
        bool slash = i == 0 && sbxi_tar_slash(&t->entry);
        if (!sbxi_tar_plain(text[i], sbxi_tar_texts[i].len - slash))
            t->needs = (uint8_t)(t->needs | 1u << i);
        if (!sbxi_is_utf8(text[i])) t->binary = true;
    }
}

/* The records of all that does not fit. */
static void sbxi_tar_records(const sbxi_tar *t, sbxi_tar_out *o)
{
    static const sbxi_span binary = { "BINARY", 6 };
    unsigned char scratch[12];
    char digits[1 + SBXI_DECIMAL_MAX];
    sbxi_span text[4];
    int64_t number[5];
    size_t i;
    sbxi_tar_values(&t->entry, text, number);
    if (t->binary) sbxi_tar_record(o, "hdrcharset", binary, false);
    for (i = 0; i < 4; i++)
        if (t->needs >> i & 1)
            sbxi_tar_record(o, sbxi_tar_texts[i].key, text[i],
                i == 0 && sbxi_tar_slash(&t->entry));
    for (i = 0; i < 5; i++) {
        sbxi_span s = { digits, 0 };
        bool minus = number[i] < 0;
        if (sbxi_tar_octal(scratch, sbxi_tar_numbers[i].len, number[i])) continue;
        digits[0] = '-';
        s.len = minus + sbxi_print_u64(digits + minus,
            minus ? 0 - (uint64_t)number[i] : (uint64_t)number[i]);
        sbxi_tar_record(o, sbxi_tar_numbers[i].key, s, false);
    }
}

/* A header block. */
static void sbxi_tar_header(const sbxi_tar_entry *e, unsigned char *block)
{
    sbxi_span text[4];
    int64_t number[5];
    uint32_t sum = 0;
    size_t i, k, n;
    sbxi_tar_values(e, text, number);
    memset(block, 0, SBXI_TAR_BLOCK);
    for (i = 0; i < 4; i++) {
        unsigned char *p = block + sbxi_tar_texts[i].at;
        for (k = n = 0; k < text[i].len && n < sbxi_tar_texts[i].len; k++) {
            unsigned char c = (unsigned char)text[i].ptr[k];
            if (c < 0x80 || c >= 0xC0) p[n++] = c < 0x80 ? c : '?';
        }
        if (i == 0 && sbxi_tar_slash(e) && n < 100) p[n] = '/';
    }
    for (i = 0; i < 5; i++)
        (void)sbxi_tar_octal(block + sbxi_tar_numbers[i].at, sbxi_tar_numbers[i].len, number[i]);
    memset(block + 148, ' ', 8);
    block[156] = e->type;
    memcpy(block + 257, "ustar\0" "00", 8);
    for (i = 0; i < SBXI_TAR_BLOCK; i++) sum += block[i];
    (void)sbxi_tar_octal(block + 148, 7, (int64_t)sum);
}

/* SBX_E_ARG: no name, a NUL in a text, a text that is too long, or a size that is
   negative or of what has no content. */
static SBXI_MAYBE int sbxi_tar_begin(sbxi_tar *t, const sbxi_tar_entry *entry)
{
    sbxi_tar_out count = { NULL, 0, 0 };
    sbxi_span text[4];
    int64_t number[5];
    size_t i;
    sbxi_tar_values(entry, text, number);
    for (i = 0; i < 4; i++)
        if (text[i].len > SBXI_TAR_TEXT_MAX || (text[i].len && memchr(text[i].ptr, 0, text[i].len)))
            return SBX_E_ARG;
    if (!entry->name.len || entry->size < 0 || (entry->size && entry->type != SBXI_TAR_FILE))
        return SBX_E_ARG;
    t->entry = *entry;
    sbxi_tar_judge(t, text);
    sbxi_tar_records(t, &count);
    t->pax = count.at;
    t->at = 0;
    t->blocks = t->pax ? 2 + (t->pax + SBXI_TAR_BLOCK - 1) / SBXI_TAR_BLOCK : 1;
    return SBX_OK;
}

/* Fills the next block of 512 bytes before the content. False: there is none left. */
static SBXI_MAYBE bool sbxi_tar_block(sbxi_tar *t, unsigned char *block)
{
    uint32_t at = t->at;
    if (at == t->blocks) return false;
    t->at++;
    if (t->at == t->blocks) {
        sbxi_tar_header(&t->entry, block);
    } else if (at == 0) {
        sbxi_tar_entry pax;
        memset(&pax, 0, sizeof pax);
        pax.name = sbxi_span_of("././@PaxHeader");
        pax.size = t->pax;
        pax.type = 'x';
        sbxi_tar_header(&pax, block);
    } else {
        sbxi_tar_out o = { NULL, 0, 0 };
        o.block = block;
        o.from = (at - 1) * SBXI_TAR_BLOCK;
        memset(block, 0, SBXI_TAR_BLOCK);
        sbxi_tar_records(t, &o);
    }
    return true;
}

/* Zeros behind `size` bytes of content. */
static SBXI_MAYBE unsigned sbxi_tar_padding(int64_t size)
{
    return (SBXI_TAR_BLOCK - ((unsigned)size & (SBXI_TAR_BLOCK - 1))) & (SBXI_TAR_BLOCK - 1);
}

/* Bytes of the begun entry in the archive: blocks, content, padding. At most 2^63 - 1
   for sizes below that by some blocks; a sum of several is the caller's to check. */
static SBXI_MAYBE uint64_t sbxi_tar_size(const sbxi_tar *t)
{
    return (uint64_t)t->blocks * SBXI_TAR_BLOCK + (uint64_t)t->entry.size
        + sbxi_tar_padding(t->entry.size);
}

#endif
