/* JSONTestSuite: y_ files are accepted, n_ refused, what i_ files and transforms give
   is in VERDICTS; all with the same events however the text is fed. Also the Big
   List of Naughty Strings, out and back. Runs from the repository's root. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"
#include <dirent.h>

/* The events of a text as one line: containers and literals as they stand, keys
   "name":, strings joined "text", numbers as written; "~" behind what held a lone
   surrogate, "!" behind what was cut. A text that is refused ends in its status; how
   much came of a string with the offender inside is the split's matter. */
typedef struct stream { char text[8192]; size_t len, start; unsigned flags; bool open; } stream;

static void put(stream *s, const char *data, size_t n)
{
    if (n > sizeof s->text - 1 - s->len) n = sizeof s->text - 1 - s->len;
    memcpy(s->text + s->len, data, n);
    s->len += n;
    s->text[s->len] = 0;
}

static void put_bytes(stream *s, const char *data, size_t n)
{
    char hex[8];
    for (; n > 0; n--, data++) {
        bool plain = *data >= 32 && *data < 127 && *data != '"' && *data != '\\';
        snprintf(hex, sizeof hex, plain ? "%c" : "\\x%02x", (unsigned char)*data);
        put(s, hex, strlen(hex));
    }
}

static int on_event(void *ctx, const sbx_json_event *ev)
{
    static const char *const words[] = { "{", "}", "[", "]", "", "", "", "true ", "false ",
        "null " };
    stream *s = (stream *)ctx;
    bool quoted = ev->type == SBX_JSON_STRING || ev->type == SBX_JSON_KEY;
    if (!s->open) s->start = s->len;
    if (quoted && !s->open) put(s, "\"", 1);
    put(s, words[ev->type], strlen(words[ev->type]));
    if (quoted || ev->type == SBX_JSON_NUMBER) put_bytes(s, ev->text, ev->len);
    s->flags |= ev->flags;
    s->open = (ev->flags & SBX_JSON_MORE) != 0;
    if (s->open) return SBX_OK;
    if (quoted) put(s, "\"", 1);
    if (s->flags & SBX_JSON_LONE) put(s, "~", 1);
    if (s->flags & SBX_JSON_CUT) put(s, "!", 1);
    if (ev->type == SBX_JSON_KEY) put(s, ":", 1);
    if (ev->type == SBX_JSON_STRING || ev->type == SBX_JSON_NUMBER) put(s, " ", 1);
    s->flags = 0;
    return SBX_OK;
}

/* Feeds text[0..n) in two parts, the second in steps. */
static bool accepted(const char *text, size_t n, size_t first, size_t step, stream *s)
{
    sbx_json_reader r;
    size_t i;
    int rc;
    s->len = s->flags = 0;
    s->open = false;
    s->text[0] = 0;
    sbx_json_init(&r, on_event, s);
    rc = sbx_json_feed(&r, text, first, NULL);
    for (i = first; i < n && rc == SBX_OK; i += step)
        rc = sbx_json_feed(&r, text + i, n - i < step ? n - i : step, NULL);
    if (rc == SBX_OK) rc = sbx_json_end(&r);
    if (rc != SBX_OK && s->open) s->len = s->start;
    if (rc != SBX_OK) put(s, sbx_status_name(rc), strlen(sbx_status_name(rc)));
    return rc == SBX_OK;
}

static char *load(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *data = NULL;
    long size;
    *len = 0;
    if (!f) return NULL;
    if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0) {
        rewind(f);
        data = (char *)malloc((size_t)size + 1); /* exactly one spare byte: never read */
        if (data) *len = fread(data, 1, (size_t)size, f);
    }
    fclose(f);
    return data;
}

/* Verdict and events are the same at every split in two, and in steps. */
static bool check_splits(const char *text, size_t n, stream *whole)
{
    static stream got;
    bool yes = accepted(text, n, n, 1, whole);
    size_t i;
    for (i = 0; i <= n + 20; i++) {
        size_t first = i <= n ? i : 0, step = i <= n ? n + 1 : i - n;
        if (!CHECK(accepted(text, n, first, step, &got) == yes)
            || !CHECK_MEM(got.text, got.len, whole->text, whole->len)) break;
    }
    return yes;
}

#define JSON_DIR "tests/data/json"
static char verdicts[32768];
static unsigned counts[4]; /* of y_, n_, i_ and transforms as they should be */

/* What is neither required nor forbidden: "name: events" is in VERDICTS. */
static bool is_recorded(const char *name, const stream *s)
{
    static char row[9000];
    snprintf(row, sizeof row, "\n%s: %s\n", name, s->text);
    if (strstr(verdicts, row)) return true;
    printf("not in VERDICTS: %s", row + 1);
    return false;
}

static void check_file(const char *folder, const char *name)
{
    static stream whole;
    char path[400], *text;
    size_t n;
    bool yes;
    snprintf(path, sizeof path, JSON_DIR "/%s/%.300s", folder, name);
    text = load(path, &n);
    REQUIRE(text != NULL);
    test_row = name;
    yes = check_splits(text, n, &whole);
    free(text);
    if (strcmp(folder, "test_transform") == 0) counts[3] += CHECK(is_recorded(name, &whole));
    else if (name[0] == 'y') counts[0] += CHECK(yes);
    else if (name[0] == 'n') counts[1] += CHECK(!yes);
    else counts[2] += CHECK(is_recorded(name, &whole));
    test_row = NULL;
}

static void check_folder(const char *folder)
{
    char path[100];
    struct dirent *entry;
    DIR *d;
    snprintf(path, sizeof path, JSON_DIR "/%s", folder);
    d = opendir(path);
    REQUIRE(d != NULL);
    while ((entry = readdir(d)) != NULL)
        if (strstr(entry->d_name, ".json")) check_file(folder, entry->d_name);
    closedir(d);
}

TEST(corpus_json_test_suite)
{
    FILE *f = fopen(JSON_DIR "/VERDICTS", "r");
    unsigned rows = 0;
    const char *p;
    REQUIRE(f != NULL);
    verdicts[0] = '\n';
    verdicts[1 + fread(verdicts + 1, 1, sizeof verdicts - 2, f)] = 0;
    fclose(f);
    check_folder("test_parsing");
    check_folder("test_transform");
    for (p = strchr(verdicts + 1, '\n'); p; p = strchr(p + 1, '\n')) rows++;
    CHECK_INT(counts[0], 95);
    CHECK_INT(counts[1], 188);
    CHECK_INT(counts[2], 35);
    CHECK_INT(counts[3], 22);
    CHECK_INT(rows, 35 + 22);
}

/* ---- naughty strings ------------------------------------------------------ */

static char copied[200000];
static size_t copied_len;

static int put_copied(void *ctx, const void *data, size_t len)
{
    (void)ctx;
    if (len > sizeof copied - copied_len) return SBX_E_TOO_LARGE;
    memcpy(copied + copied_len, data, len);
    copied_len += len;
    return SBX_OK;
}

typedef struct strings {
    char text[100000];
    size_t len, count;
    sbx_json_writer *copy;
    size_t from;
} strings;

static int on_string(void *ctx, const sbx_json_event *ev)
{
    strings *s = (strings *)ctx;
    if (ev->type != SBX_JSON_STRING) return SBX_OK;
    if (s->len + ev->len + 1 > sizeof s->text) return SBX_E_TOO_LARGE;
    memcpy(s->text + s->len, ev->text, ev->len);
    s->len += ev->len;
    if (ev->flags & SBX_JSON_MORE) return SBX_OK;
    if (s->copy) sbx_json_string(s->copy, s->text + s->from, s->len - s->from);
    s->text[s->len++] = 0;
    s->from = s->len;
    s->count++;
    return SBX_OK;
}

static int read_strings(strings *s, const char *text, size_t n, size_t step)
{
    sbx_json_reader r;
    size_t i;
    int rc = SBX_OK;
    memset(s, 0, offsetof(strings, copy));
    s->from = 0;
    sbx_json_init(&r, on_string, s);
    for (i = 0; i < n && rc == SBX_OK; i += step)
        rc = sbx_json_feed(&r, text + i, n - i < step ? n - i : step, NULL);
    return rc == SBX_OK ? sbx_json_end(&r) : rc;
}

TEST(corpus_naughty_strings)
{
    static strings a, b;
    size_t n, step;
    sbx_json_writer w;
    sbx_sink sink = { put_copied, NULL };
    char *text = load("tests/data/blns.json", &n);
    REQUIRE(text != NULL);
    sbx_json_writer_init(&w, sink);
    a.copy = &w;
    sbx_json_begin_array(&w);
    CHECK_INT(read_strings(&a, text, n, n), SBX_OK);
    sbx_json_end_array(&w);
    CHECK_INT(w.status, SBX_OK);
    CHECK_INT(a.count, 515);
    for (step = 1; step < 70; step += 11) {
        CHECK_INT(read_strings(&b, copied, copied_len, step), SBX_OK);
        CHECK_INT(b.count, a.count);
        CHECK_MEM(b.text, b.len, a.text, a.len);
    }
    free(text);
}
