/* ignore_test - patterns and ignore rules in each dialect: the official vectors, the
   tables of the documents, what is refused, and that nothing takes long. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "vectors.h"
#include "../test.h"

static const sbx_alloc std_alloc = { sbxi_std_resize, NULL };

static bool ignored(uint8_t dialect, const char *rules, const char *path, bool is_dir)
{
    sbxi_ignores g;
    sbx_error e;
    bool yes;
    sbxi_ignore_init(&g, dialect, &std_alloc);
    CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of(rules), &e), SBX_OK);
    yes = sbxi_ignored(&g, sbxi_span_of(path), is_dir);
    sbxi_ignore_free(&g);
    return yes;
}

TEST(docker_vectors)
{
    node *all = vectors("tests/golden/e2b.jsonl", "dockerignore match vectors"), *v, *p;
    unsigned count = 0;
    REQUIRE(all != NULL);
    for (v = dom_get(all, "vectors")->first; v; v = v->next) {
        text rules = { 0 };
        for (p = dom_get(v, "patterns")->first; p; p = p->next) {
            text_put(&rules, p->s);
            text_put(&rules, "\n");
        }
        for (p = dom_get(v, "ignored")->first; p; p = p->next, count++) {
            test_row = p->key;
            CHECK_INT(ignored(SBXI_GLOB_DOCKER, rules.p, p->key, false), p->i);
        }
        test_row = NULL;
    }
    CHECK_INT(count, 36);
    keep_drop(NULL);
}

typedef struct row { const char *rules, *yes, *no; } row; /* paths, a / at the end of directories */

static void table(uint8_t dialect, const row *r, size_t n)
{
    for (; n--; r++) {
        unsigned want;
        for (want = 0; want < 2; want++) {
            const char *at = want ? r->yes : r->no;
            while (*at) {
                char path[128];
                size_t len = strcspn(at, " ");
                bool dir = len && at[len - 1] == '/';
                snprintf(path, sizeof path, "%.*s", (int)(len - dir), at);
                test_row = path;
                if (!CHECK_INT(ignored(dialect, r->rules, path, dir), want))
                    printf("    rules: %s\n", r->rules);
                test_row = NULL;
                at += len + (at[len] == ' ');
            }
        }
    }
}

TEST(git_rules)
{
    static const row rows[] = {
        { "*.log", "a.log d/a.log a.log/x", "a.logx" },
        { "/build", "build build/x", "sub/build/x" },
        { "build", "build sub/build/x", "builds" },
        { "docs/*.md", "docs/a.md", "x/docs/a.md docs/in/a.md" },
        { "secret/\n!secret/keep", "secret/ secret/x", "secret/keep secret" },
        { "*\n!a.txt", "b", "a.txt d/a.txt" },
        { "**/tmp\na/**\n", "tmp/x a/tmp/x a/x", "a" },
        { "a/**/b", "a/b a/x/y/b", "a b x/a/b" },
        { "foo \n\\#x\n#c\n[ab].c\n?.d\n[!a].e", "foo #x a.c x.d b.e", "#c xx.d a.e" },
        { "./a", "", "a" },
        { "foo\\ \nend\r\n\n", "end", "foo" },
        { "/\n!a", "", "a b" },
        { "\\!x\n[]]y\n[z-a]z\n[a\n[^a]q", "!x ]y [a bq", "x az aq" },
        { "a**b\n**", "a/x a", "" },
        { "a**b", "axxb ab x/ab", "a/b" },
        { "[a-]x\n[", "ax -x [", "bx" },
        { "\xE2\x82\n \n", "\xE2\x82", "\xE2\x82\xAC" },
        { "[a/b]c\nx[!y]z", "xaz [a/b]c", "ac x/z" },
    };
    table(SBXI_GLOB_GIT, rows, sizeof rows / sizeof *rows);
}

TEST(docker_rules)
{
    static const row rows[] = {
        { "\xEF\xBB\xBF" "a\n#b\n  # c\n\n  d  \r\n", "a d", "#b # c" },
        { "#b\n # c", "", "c b" },
        { "a/./b//c/../d/", "a/b/d a/b/d/x", "a/b/c a/b" },
        { "../x\n/..\n.", "../x", "x" }, /* as it is said, though no path is so */
        { "/\n//a", "a", "b" },
        { "*\n! keep", "a keep2", "keep keep/x" },
        { "a\n!a/b\na/b/c", "a a/x a/b/c", "a/b a/b/d" },
        { "**foo", "foo xfoo a/xfoo", "foox" },
        { "**foo*", "foo a/foox", "xfoo" },
        { "**/foo/**", "foo/x a/foo/b/c", "foo a/foo" },
        { "a**b", "ab a/b axx/b", "axb" },
        { "a**", "a ab a/b", "ba" },
        { "***", "a a/b", "" },
        { "a***b", "ab axb a/xb", "a/x" },
        { "[^a]x\n[b-d]y\n[\\]c]z", "bx by ]z", "ax ay az" },
        { "a[^b]c", "a/c axc", "abc" },     /* as Docker's expressions have it */
        { "*[^a]*x", "bb/x b/bx bbx", "ax" },
        { "a[/]b", "a/b", "a" },
        { "\xE2\x82z?", "\xE2\x82zy", "\xE2\x82z" },
        { "x]y\n\\[a]", "x]y [a]", "xy a" },
        { "\xC3\xA9?\n[\xC3\xA0-\xC3\xBF]b", "\xC3\xA9\xE2\x82\xAC \xC3\xA9\xF0\x9F\x90\x9B \xC3\xA9" "b",
            "\xC3\xA9 \xC2\xB5" "b \xC3\xA9xx" },
        { "a?", "a\xFF a\xC3 ab", "a\xE2\x82 a" },
        { "a.b+c(d)|{e}^$", "a.b+c(d)|{e}^$", "axb" },
        { "a", "a a/b", "A b ab" },
    };
    table(SBXI_GLOB_DOCKER, rows, sizeof rows / sizeof *rows);
}

TEST(what_is_no_rule)
{
    static const char *const bad[] = { "!", "! \t", "[", "[]", "[]a]", "[a", "[^]", "[a-]", "[-a]",
        "[a-", "[\\", "a\\", "[z-a]", "x[a\\", "[a-\\", "[^", "[a-b", "[\\a-" };
    sbxi_ignores g;
    sbx_error e;
    char long_rule[600];
    size_t i;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        test_row = bad[i];
        sbxi_error_clear(&e);
        sbxi_ignore_init(&g, SBXI_GLOB_DOCKER, &std_alloc);
        CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of("good\n"), &e), SBX_OK);
        CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of(bad[i]), &e), SBX_E_ARG);
        CHECK(strncmp(e.message, bad[i], 1) == 0 && strstr(e.message, ": is no rule"));
        CHECK_INT(e.status, SBX_E_ARG);
        CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of("good\n"), &e), SBX_E_ARG); /* it sticks */
        sbxi_ignore_free(&g);
    }
    test_row = NULL;
    for (i = 0; i < 2; i++) {
        uint8_t dialect = i ? SBXI_GLOB_GIT : SBXI_GLOB_DOCKER;
        memset(long_rule, 'a', sizeof long_rule);
        long_rule[SBXI_GLOB_MAX - (i ? 3 : 0)] = '\n';
        sbxi_ignore_init(&g, dialect, &std_alloc);
        CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of("\n"), &e), SBX_OK);
        long_rule[SBXI_GLOB_MAX + 1] = 0;
        CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of(long_rule), &e), SBX_OK);
        CHECK(sbxi_ignored(&g, (sbxi_span){ long_rule, SBXI_GLOB_MAX - (i ? 3 : 0) }, false));
        memset(long_rule, 'a', SBXI_GLOB_MAX + 1);
        CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of(long_rule), &e), SBX_E_TOO_LARGE);
        CHECK(strlen(e.message) < 200);
        sbxi_ignore_free(&g);
    }
    sbxi_ignore_init(&g, SBXI_GLOB_GIT, &std_alloc);
    CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of("!"), &e), SBX_E_ARG);
    sbxi_ignore_free(&g);
    sbxi_ignore_init(&g, SBXI_GLOB_GIT, &std_alloc);
    CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of("a[[:alpha:]]"), &e), SBX_E_ARG);
    sbxi_ignore_free(&g);
}

TEST(rules_are_bounded)
{
    sbxi_ignores g;
    sbx_error e;
    int rc, n;
    sbxi_ignore_init(&g, SBXI_GLOB_DOCKER, &std_alloc);
    for (rc = SBX_OK, n = 0; rc == SBX_OK && n < 100000; n++)
        rc = sbxi_ignore_add(&g, sbxi_span_of("0123456789abc\n"), &e);
    CHECK_INT(rc, SBX_E_TOO_LARGE);
    CHECK_INT(n, 65536 / 16 + 1);
    sbxi_ignore_free(&g);
}

TEST(no_memory_for_a_rule)
{
    uint64_t memory[6]; /* of which 32-bit machines have more for it */
    sbx_fixed state;
    sbx_alloc alloc = sbx_alloc_fixed(&state, memory, sizeof memory);
    sbxi_ignores g;
    sbx_error e;
    sbxi_error_clear(&e);
    sbxi_ignore_init(&g, SBXI_GLOB_DOCKER, &alloc);
    CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of("a-rule-that-is-longer-than-there-is-room-for/it"), &e),
        SBX_E_NOMEM);
    CHECK_INT(e.status, SBX_E_NOMEM);
    CHECK(strstr(e.message, "is no rule") == NULL);
    sbxi_ignore_free(&g);
    CHECK_INT(state.used, 0);
}

/* A tree of one file of rules that cannot be opened, or read. */
typedef struct broken { int open, read, pieces; } broken;
enum { LIES = 1000 }; /* as read: more bytes are said to be there than there was room for */

static int broken_open(void *ctx, const char *path, void **file)
{
    CHECK_STR(path, ".dockerignore");
    *file = ctx;
    return ((broken *)ctx)->open;
}

static int broken_read(void *ctx, void *file, void *buf, size_t cap, size_t *got)
{
    broken *b = ctx;
    CHECK(file == ctx);
    *got = b->pieces-- > 0 ? cap + (b->read == LIES) : 0;
    memset(buf, 'a', cap);
    if (*got) ((char *)buf)[cap - 1] = '\n';
    return b->pieces < 0 && b->read != LIES ? b->read : SBX_OK;
}

static void broken_close(void *ctx, void *file) { (void)ctx; (void)file; }

TEST(rules_of_a_file)
{
    static const struct { broken b; int want; } rows[] = { { { 0, 0, 3 }, SBX_OK },
        { { SBX_E_NOT_FOUND, 0, 0 }, SBX_OK }, { { SBX_E_DENIED, 0, 0 }, SBX_E_DENIED },
        { { 0, SBX_E_SOURCE, 2 }, SBX_E_SOURCE }, { { 0, 0, 1000 }, SBX_E_TOO_LARGE },
        { { 0, SBX_E_AGAIN, 2 }, SBX_E_SOURCE }, { { 0, SBX_E_NOT_FOUND, 2 }, SBX_E_SOURCE },
        { { 0, LIES, 2 }, SBX_E_SOURCE }, { { SBX_PENDING, 0, 0 }, SBX_E_SOURCE },
        { { 0, SBX_PENDING, 2 }, SBX_E_SOURCE } };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        broken b = rows[i].b;
        sbx_tree t = { NULL, NULL, NULL, broken_open, broken_read, broken_close, &b };
        sbxi_ignores g;
        sbx_error e;
        sbxi_error_clear(&e);
        sbxi_ignore_init(&g, SBXI_GLOB_DOCKER, &std_alloc);
        CHECK_INT(sbxi_tree_rules(&t, ".dockerignore", &g, &e), rows[i].want);
        CHECK((rows[i].want == SBX_OK) == !e.message[0]);
        if (e.message[0]) CHECK(strncmp(e.message, ".dockerignore: ", 15) == 0);
        sbxi_ignore_free(&g);
    }
}

TEST(what_may_be_re_included)
{
    static const struct { const char *rules, *dir; bool docker, git; } rows[] = {
        { "a", "a", false, false },
        { "a\n!a/b", "a", true, true },
        { "a\n!a/b", "a/b", false, true },
        { "a\n!a/b", "c", false, true },
        { "a\n!a/*/c", "a/b", true, true },
        { "a\n!?/[x]/\\c", "a/b", true, true },
        { "a\n!b/**", "a", false, true },
        { "a\n!**/b", "a/q/r", true, true },
        { "a\n!a**", "x/y", true, true },
        { "a\n!ab/c", "a", false, true },
    };
    size_t i;
    for (i = 0; i < 2 * (sizeof rows / sizeof *rows); i++) {
        sbxi_ignores g;
        sbx_error e;
        sbxi_ignore_init(&g, i & 1 ? SBXI_GLOB_GIT : SBXI_GLOB_DOCKER, &std_alloc);
        CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of(rows[i / 2].rules), &e), SBX_OK);
        test_row = rows[i / 2].rules;
        CHECK_INT(sbxi_ignore_enters(&g, sbxi_span_of(rows[i / 2].dir)),
            i & 1 ? rows[i / 2].git : rows[i / 2].docker);
        sbxi_ignore_free(&g);
    }
    test_row = NULL;
}

/* Patterns that make others try every way there is. */
TEST(no_pattern_takes_long)
{
    char path[4000], pattern[SBXI_GLOB_MAX + 1];
    sbxi_glob g;
    size_t i;
    memset(path, 'a', sizeof path);
    for (i = 9; i < sizeof path; i += 10) path[i] = '/';
    for (i = 0; i + 2 < sizeof pattern; i += 2) memcpy(pattern + i, "a*", 2);
    g.p = pattern;
    g.len = i;
    for (g.dialect = 0; g.dialect < SBXI_GLOB_PLAIN; g.dialect++)
        CHECK_INT(sbxi_glob_run(&g, (sbxi_span){ path, sizeof path }, false) & SBXI_GLOB_HIT, 0);
    for (i = 0; i + 3 < sizeof pattern; i += 3) memcpy(pattern + i, "**/", 3);
    pattern[i] = 'b';
    g.len = i + 1;
    for (g.dialect = 0; g.dialect < SBXI_GLOB_PLAIN; g.dialect++)
        CHECK_INT(sbxi_glob_run(&g, (sbxi_span){ path, sizeof path }, false) & SBXI_GLOB_HIT, 0);
}

TEST(sources)
{
    static const struct { const char *pattern, *path; unsigned found, shallow; } rows[] = {
        { "src", "src", 1, 1 }, { "src/", "src", 4, 4 }, { "src", "s", 0, 0 },
        { "src/*", "src", 8, 8 }, { "src/*", "src/a", 1, 1 }, { "src/*", "src/a/b", 2, 2 },
        { "src/**", "src", 12, 12 }, { "src/**", "src/a", 13, 0 }, { "**/a/*", "a", 8, 8 }, { "**/a/*", "x/a", 8, 8 }, { "**/a/*", "a/x", 9, 1 }, { "**", "a", 13, 0 },
        { "**/", "a", 12, 0 }, { "**/a", "b/a", 9, 1 }, { "a**", "abc", 1, 1 },
        { "src/***", "src", 8, 8 }, { "*/x", "a", 8, 8 }, { "[!a]x", "bx", 1, 1 },
        { "[a-", "[a-", 1, 1 }, { "\\*", "*", 1, 1 }, { "\\*", "a", 0, 0 }, { "a\\", "a\\", 1, 1 },
        { "*", ".hidden", 1, 1 }, { "{a,b}", "a", 0, 0 }, { "a/**/b", "a", 8, 8 },
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        sbxi_glob g = { rows[i].pattern, strlen(rows[i].pattern), SBXI_GLOB_SOURCE };
        test_row = rows[i].pattern;
        CHECK_INT(sbxi_glob_check(&g), SBX_OK);
        CHECK_INT(sbxi_glob_run(&g, sbxi_span_of(rows[i].path), false), rows[i].found);
        CHECK_INT(sbxi_glob_run(&g, sbxi_span_of(rows[i].path), true), rows[i].shallow);
    }
    test_row = NULL;
    {
        sbxi_glob g = { "a*[", 3, SBXI_GLOB_PLAIN };
        CHECK_INT(sbxi_glob_check(&g), SBX_OK);
        CHECK_INT(sbxi_glob_run(&g, sbxi_span_of("a*["), false), SBXI_GLOB_HIT);
        CHECK_INT(sbxi_glob_run(&g, sbxi_span_of("ab["), false), 0);
        g.len = 0;
        CHECK_INT(sbxi_glob_run(&g, sbxi_span_of("a"), false), 0);
        g.len = 2; /* "a*": the name, not a pattern */
        CHECK_INT(sbxi_glob_run(&g, sbxi_span_of("a*"), false), SBXI_GLOB_HIT);
    }
}

TEST(paths_are_cleaned)
{
    static const char *const rows[][2] = { { "a", "a" }, { "./a//b/", "a/b" }, { "a/../b", "b" },
        { "..", ".." }, { "../..", "../.." }, { "a/../..", ".." }, { "/..", "/" }, { "/a/../../b", "/b" },
        { ".", "." }, { "a/..", "." }, { "//", "/" }, { "..a/b..", "..a/b.." }, { "a/b/../../../c", "../c" },
        { "a/.../b", "a/.../b" }, { "x../..", "." }, { "a/x../..", "a" },
        { "ab/../c", "c" }, { "/ab/..", "/" } };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        char buf[64];
        test_row = rows[i][0];
        strcpy(buf, rows[i][0]);
        buf[sbxi_path_clean(buf, strlen(buf))] = 0;
        CHECK_STR(buf, rows[i][1]);
    }
    test_row = NULL;
}
