/* Rules and sources give the same verdict as a simple matcher that tries every way and
   remembers what it has tried. Input: a byte for the dialect, rules or a pattern up to a
   0, paths between further ones. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/public.h"
#include "../../sandbox_impl/template.h"
#include "../../sandbox_impl/base/base.c"
#include "../../sandbox_impl/base/alloc.c"
#include "../../sandbox_impl/base/buf.c"
#include "../../sandbox_impl/base/error.c"
#include "../../sandbox_impl/pack/glob.c"
#include "../../sandbox_impl/pack/ignore.c"
#define FUZZ_STEPS(size) (2000000 + 1000000 * (uint64_t)(size))
#include "fuzz.h"

enum { PATH = 64 }; /* longer paths are cut */

typedef struct matcher {
    const sbxi_glob *g;
    sbxi_span text;
    char tried[SBXI_GLOB_MAX + 1][PATH + 1]; /* 1: no, 2: yes */
} matcher;

static bool match(matcher *m, size_t i, size_t j);

static bool match_star(matcher *m, size_t after, size_t j, bool over_slash)
{
    for (;;) {
        if (match(m, after, j)) return true;
        if (j == m->text.len || (!over_slash && m->text.ptr[j] == '/')) return false;
        (void)sbxi_glob_char(m->text.ptr, m->text.len, &j);
    }
}

/* Two stars and what follows: here, or behind any slash. */
static bool match_deep(matcher *m, size_t after, size_t j)
{
    if (match(m, after, j)) return true;
    for (; j < m->text.len; j++)
        if (m->text.ptr[j] == '/' && match(m, after, j + 1)) return true;
    return false;
}

static bool match_now(matcher *m, size_t i, size_t j)
{
    const sbxi_glob *g = m->g;
    bool docker = g->dialect == SBXI_GLOB_DOCKER, hit = false;
    size_t end, next = j;
    uint32_t c;
    if (i == g->len) return j == m->text.len;
    if (g->p[i] == '*') {
        bool two = i + 1 < g->len && g->p[i + 1] == '*';
        bool whole = two && (i == 0 || g->p[i - 1] == '/') && (i + 2 == g->len || g->p[i + 2] == '/');
        bool plain = true;
        if (!two || !(docker || whole)) return match_star(m, i + 1, j, false);
        if (i + 2 == g->len) return match_star(m, i + 2, j, true);
        for (end = 2; end < g->len; end++) plain = plain && !strchr("*?[]\\", g->p[end]);
        if (docker && i == 0 && plain && g->p[2] != '/') return match_star(m, 2, j, true);
        return match_deep(m, i + 2 + (g->p[i + 2] == '/'), j);
    }
    if (j == m->text.len) return false;
    c = sbxi_glob_char(m->text.ptr, m->text.len, &next);
    if (g->p[i] == '?') return c != '/' && match(m, i + 1, next);
    if (g->p[i] == '[' && (end = sbxi_glob_class(g, i, c, &hit)) != 0) return hit && match(m, end, next);
    end = i + (g->p[i] == '\\' && i + 1 < g->len);
    return sbxi_glob_char(g->p, g->len, &end) == c && match(m, end, next);
}

static bool match(matcher *m, size_t i, size_t j)
{
    char *tried = &m->tried[i][j];
    if (!*tried) *tried = (char)(1 + match_now(m, i, j));
    return *tried == 2;
}

static matcher m;

static bool matches(const sbxi_glob *g, sbxi_span path)
{
    size_t i;
    for (i = 0; i <= g->len; i++) memset(m.tried[i], 0, sizeof m.tried[i]);
    m.g = g;
    m.text = path;
    return match(&m, 0, 0);
}

static bool inside(const sbxi_glob *g, sbxi_span path)
{
    sbxi_span part = path;
    for (part.len = 0; part.len < path.len; part.len++)
        if (path.ptr[part.len] == '/' && matches(g, part)) return true;
    return false;
}

/* As it is written in the documents, rule by rule, with the levels kept apart. */
static bool ignored(const sbxi_ignores *g, sbxi_span path)
{
    static bool above[65536];
    bool matched = false;
    sbxi_span part = path;
    sbxi_ignoring r;
    size_t at, n;
    memset(above, 0, sizeof above);
    for (part.len = 0; part.len <= path.len; part.len++) {
        if (part.len == 0 || (part.len < path.len && path.ptr[part.len] != '/')) continue;
        matched = false;
        for (at = n = 0; sbxi_ignore_rule(g, &at, &r); n++) {
            bool no = *r.flags & SBXI_RULE_NOT;
            if (!above[n] && no == matched) above[n] = matches(&r.glob, part);
            if (above[n]) matched = !no;
        }
    }
    return matched;
}

static bool ignored_by_git(const sbxi_ignores *g, sbxi_span path, bool dir)
{
    bool is = false;
    sbxi_ignoring r;
    size_t at = 0;
    while (sbxi_ignore_rule(g, &at, &r)) {
        bool here = matches(&r.glob, path) && (dir || !(*r.flags & SBXI_RULE_DIR));
        if (here || inside(&r.glob, path)) is = !(*r.flags & SBXI_RULE_NOT);
    }
    return is;
}

static void one_path(const sbxi_ignores *g, const sbxi_glob *source, sbxi_span path)
{
    char *exact;
    if (path.len > PATH) path.len = PATH;
    if (!path.len || path.ptr[path.len - 1] == '/' || *path.ptr == '/' || sbxi_find(path, "//")) return;
    path.ptr = exact = fuzz_copy(path.ptr, path.len);
    if (source) {
        unsigned found = sbxi_glob_run(source, path, false), shallow = sbxi_glob_run(source, path, true);
        FUZZ_REQUIRE(((found & SBXI_GLOB_HIT) != 0) == matches(source, path));
        FUZZ_REQUIRE(((found & SBXI_GLOB_INSIDE) != 0) == inside(source, path));
        FUZZ_REQUIRE((shallow & ~found) == 0);
    } else if (g->dialect == SBXI_GLOB_GIT) {
        FUZZ_REQUIRE(sbxi_ignored(g, path, false) == ignored_by_git(g, path, false));
        FUZZ_REQUIRE(sbxi_ignored(g, path, true) == ignored_by_git(g, path, true));
    } else {
        FUZZ_REQUIRE(sbxi_ignored(g, path, false) == ignored(g, path));
    }
    (void)sbxi_ignore_enters(g, path);
    free(exact);
}

FUZZ_TARGET(data, size)
{
    static const sbx_alloc alloc = { sbxi_std_resize, NULL };
    sbxi_ignores g;
    sbxi_glob source = { NULL, 0, SBXI_GLOB_SOURCE };
    sbxi_span rules, path;
    sbx_error e;
    const uint8_t *end;
    unsigned kind;
    char *exact;
    if (size < 2) return;
    kind = *data++ % 3;
    size--;
    end = memchr(data, 0, size);
    rules.len = end ? (size_t)(end - data) : size;
    if (rules.len > 300) return;
    rules.ptr = exact = fuzz_copy(data, rules.len);
    sbxi_ignore_init(&g, kind == 1 ? SBXI_GLOB_GIT : SBXI_GLOB_DOCKER, &alloc);
    source.p = rules.ptr;
    source.len = rules.len;
    if (kind < 2 ? sbxi_ignore_add(&g, rules, &e) == SBX_OK : sbxi_glob_check(&source) == SBX_OK) {
        data += rules.len;
        size -= rules.len;
        while (size > 1) {
            data++;
            size--;
            end = memchr(data, 0, size);
            path.ptr = (const char *)data;
            path.len = end ? (size_t)(end - data) : size;
            one_path(&g, kind == 2 ? &source : NULL, path);
            data += path.len;
            size -= path.len;
        }
    }
    sbxi_ignore_free(&g);
    free(exact);
}
