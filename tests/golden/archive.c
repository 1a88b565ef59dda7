/* archive - the files of a case: the fixture as a tree in memory, and what is in a tar,
   packed or not, so that two can be compared: names, kinds, modes, contents. */
#include "golden.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the fixture ----------------------------------------------------------------- */

/* {path, mode | st_mode, text | b64 | content_b64 | link | symlink | dir}. */
static void to_file(const node *n, sbx_tree_file *f, report *r)
{
    const char *path = dom_text(n, "path"), *p = "";
    const node *mode = dom_has(n, "mode"), *st = dom_has(n, "st_mode");
    const node *b64 = dom_has(n, "b64") ? dom_has(n, "b64") : dom_has(n, "content_b64");
    size_t len = 0;
    if (!path) { complain(r, "fixture: a file without a path"); path = "?"; }
    f->path = path;
    f->link = dom_text(n, "link") ? dom_text(n, "link") : dom_text(n, "symlink");
    f->mode = (uint32_t)((mode ? mode->i : st ? st->i : 0) & 07777);
    if (dom_has(n, "dir")) {
        text t = {0};
        text_format(&t, "%s/", path);
        f->path = t.p;
    } else if (b64) {
        node *wrap = dom_new(D_OBJECT);
        dom_add(wrap, "b64", dom_bytes(b64->s, b64->len));
        if (!dom_data(wrap, &p, &len)) complain(r, "fixture: %s is not base64", path);
    } else if (dom_has(n, "text")) {
        p = dom_text(n, "text");
        len = dom_get(n, "text")->len;
    }
    f->data = p;
    f->len = len;
    f->modified_unix_s = 1700000000;
}

/* The tree of a fixture; NULL: there is none. It lives as long as the case. */
sbx_tree *fixture_tree(const node *fixture, report *r)
{
    const node *list = dom_has(fixture, "files"), *n;
    sbx_memory_tree *m;
    sbx_tree_file *files;
    sbx_tree *tree;
    if (!list) return NULL;
    m = keep(sizeof *m);
    tree = keep(sizeof *tree);
    files = keep((list->count + 1) * sizeof *files);
    for (n = list->first; n; n = n->next) to_file(n, &files[m->count++], r);
    m->files = files;
    *tree = sbx_tree_memory(m);
    return tree;
}

/* ---- archives -------------------------------------------------------------------- */

typedef struct entry { const char *name, *link; const char *data; size_t len; unsigned mode;
    char type; } entry;

static uint64_t octal(const char *p, size_t n)
{
    uint64_t v = 0;
    for (; n && *p == ' '; n--) p++;
    for (; n && *p >= '0' && *p <= '7'; n--) v = v * 8 + (uint64_t)(*p++ - '0');
    return v;
}

/* path= and linkpath= of a pax header. */
static void pax(const char *p, size_t len, entry *e)
{
    const char *end = p + len;
    while (p < end) {
        size_t n = (size_t)strtoul(p, NULL, 10);
        const char *key = memchr(p, ' ', (size_t)(end - p));
        if (!n || !key || n > (size_t)(end - p)) return;
        key++;
        if (!strncmp(key, "path=", 5)) e->name = keep_bytes(key + 5, (size_t)(p + n - 1 - key - 5));
        if (!strncmp(key, "linkpath=", 9))
            e->link = keep_bytes(key + 9, (size_t)(p + n - 1 - key - 9));
        p += n;
    }
}

static size_t text_at(const char *p, size_t n) { return memchr(p, 0, n) ? strlen(p) : n; }

/* The name of a header, without a / at its end. */
static const char *name_of(const char *p)
{
    text t = {0};
    if (text_at(p + 345, 155)) {
        text_add(&t, p + 345, text_at(p + 345, 155));
        text_put(&t, "/");
    }
    text_add(&t, p, text_at(p, 100));
    return t.p;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

static bool is_gzip(const char *p, size_t len)
{
    return len > 2 && !memcmp(p, "\x1f\x8b", 2);
}

/* Its entries by name; false: it is none. */
static bool read_archive(const char *p, size_t len, entry **out, size_t *count)
{
    text plain = {0};
    entry *list = keep((len / 512 + 1) * sizeof *list), next = {0};
    size_t at = 0;
    *count = 0;
    *out = list;
    if (is_gzip(p, len)) {
        if (!unpack(p, len, &plain)) return false;
        p = plain.p;
        len = plain.len;
        list = keep((len / 512 + 1) * sizeof *list);
        *out = list;
    }
    while (at + 512 <= len && p[at]) {
        const char *h = p + at;
        uint64_t size = octal(h + 124, 12);
        char type = h[156] ? h[156] : '0';
        if (memcmp(h + 257, "ustar", 5) || size > len - at - 512) return false;
        at += 512;
        if (type == 'x') pax(p + at, (size_t)size, &next);
        else {
            entry *e = &list[(*count)++];
            char *slash;
            *e = next;
            memset(&next, 0, sizeof next);
            if (!e->name) e->name = name_of(h);
            if (!e->link) e->link = keep_bytes(h + 157, text_at(h + 157, 100));
            slash = strrchr(e->name, '/');
            if (slash && !slash[1]) *slash = 0;
            e->type = type;
            e->mode = type == '2' ? 0777 : (unsigned)octal(h + 100, 8) & 07777;
            e->data = p + at;
            e->len = (size_t)size;
        }
        at += (size_t)((size + 511) / 512 * 512);
    }
    qsort(list, *count, sizeof *list, by_name);
    return at + 512 <= len;
}

bool is_archive(const char *p, size_t len)
{
    return is_gzip(p, len) || (len > 512 && !memcmp(p + 257, "ustar", 5));
}

void compare_archives(const char *want, size_t want_len, const char *got, size_t got_len, report *r)
{
    entry *w, *g;
    size_t wn, gn, i;
    if (!read_archive(want, want_len, &w, &wn)) complain(r, "archive: the recorded one is damaged");
    if (!read_archive(got, got_len, &g, &gn)) complain(r, "archive: the one sent is damaged");
    for (i = 0; i < wn && i < gn; i++) {
        if (strcmp(w[i].name, g[i].name)) {
            complain(r, "archive: recorded %s, sent %s", w[i].name, g[i].name);
            return;
        }
        if (w[i].type != g[i].type || strcmp(w[i].link, g[i].link))
            complain(r, "archive: %s: type %c to %s recorded, %c to %s sent", w[i].name, w[i].type,
                w[i].link, g[i].type, g[i].link);
        if (w[i].mode != g[i].mode)
            complain(r, "archive: %s: mode %o recorded, %o sent", w[i].name, w[i].mode, g[i].mode);
        if (w[i].len != g[i].len || memcmp(w[i].data, g[i].data, w[i].len))
            complain(r, "archive: %s: another content", w[i].name);
    }
    if (wn != gn) complain(r, "archive: %u entries recorded, %u sent", (unsigned)wn, (unsigned)gn);
}
