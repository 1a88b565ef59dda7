/* JSONTestSuite: y_ files are accepted, n_ refused, i_ have one verdict; however
   the text is fed. Also the Big List of Naughty Strings, out and back.
   Runs from the repository's root. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"
#include <dirent.h>

static int ignore(void *ctx, const sbx_json_event *event)
{
    (void)ctx;
    (void)event;
    return SBX_OK;
}

/* Feeds text[0..n) in two parts, the second in steps. */
static bool accepted(const char *text, size_t n, size_t first, size_t step)
{
    sbx_json_reader r;
    size_t i;
    int rc;
    sbx_json_init(&r, ignore, NULL);
    rc = sbx_json_feed(&r, text, first, NULL);
    for (i = first; i < n && rc == SBX_OK; i += step)
        rc = sbx_json_feed(&r, text + i, n - i < step ? n - i : step, NULL);
    if (rc == SBX_OK) rc = sbx_json_end(&r);
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

TEST(corpus_json_test_suite)
{
    static const char dir[] = "tests/data/json/test_parsing";
    unsigned yes = 0, no = 0, either = 0;
    struct dirent *entry;
    DIR *d = opendir(dir);
    REQUIRE(d != NULL);
    while ((entry = readdir(d)) != NULL) {
        char path[400], *text;
        size_t n, cut;
        bool whole;
        if (!strstr(entry->d_name, ".json")) continue;
        snprintf(path, sizeof path, "%s/%.300s", dir, entry->d_name);
        test_row = entry->d_name;
        text = load(path, &n);
        REQUIRE(text != NULL);
        whole = accepted(text, n, n, 1);
        if (entry->d_name[0] == 'y') yes += CHECK(whole);
        else if (entry->d_name[0] == 'n') no += CHECK(!whole);
        else either++;
        CHECK(accepted(text, n, 0, 1) == whole);
        CHECK(accepted(text, n, 0, 7) == whole);
        for (cut = 0; n < 2048 && cut <= n; cut++) CHECK(accepted(text, n, cut, n) == whole);
        free(text);
    }
    test_row = NULL;
    closedir(d);
    CHECK_INT(yes, 95);
    CHECK_INT(no, 188);
    CHECK_INT(either, 35);
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

typedef struct strings { char text[100000]; size_t len, count; sbx_json_writer *copy; size_t from; } strings;

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
    CHECK(a.count > 500);
    for (step = 1; step < 70; step += 11) {
        CHECK_INT(read_strings(&b, copied, copied_len, step), SBX_OK);
        CHECK_INT(b.count, a.count);
        CHECK_MEM(b.text, b.len, a.text, a.len);
    }
    free(text);
}
