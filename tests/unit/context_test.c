/* context_test - trees of files, what of them a COPY takes, its hash and its archive:
   the official vectors over a directory and over memory, archives read back by Python,
   what changes between passes, and how little memory it takes. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "vectors.h"
#include "../test.h"

static const sbx_alloc std_alloc = { sbxi_std_resize, NULL };
static sbx_error error;

/* ---- the fixture of the vectors, in memory and as a directory ---------------- */

typedef struct fixture {
    sbx_tree_file files[64];
    sbx_memory_tree memory;
    sbx_dir_tree dir;
    char root[64];
    sbx_tree trees[2];
} fixture;

static const char *under(const fixture *f, const char *path)
{
    static char full[512];
    snprintf(full, sizeof full, "%s/%s", f->root, path);
    return full;
}

static bool disk(const fixture *f, const sbx_tree_file *file)
{
    const char *full = under(f, file->path);
    FILE *out;
    if (file->link) return symlink(file->link, full) == 0;
    if (file->path[strlen(file->path) - 1] == '/')
        return mkdir(full, 0755) == 0 && chmod(full, file->mode) == 0;
    out = fopen(full, "wb");
    if (!out) return false;
    if (file->len) fwrite(file->data, 1, file->len, out);
    return fclose(out) == 0 && chmod(full, file->mode) == 0;
}

static bool lay_out(fixture *f, const sbx_tree_file *files, size_t count)
{
    size_t i;
    memset(f, 0, sizeof *f);
    strcpy(f->root, "/tmp/context_test.XXXXXX");
    if (!mkdtemp(f->root) || count > 64 || chmod(f->root, 0755) != 0) return false;
    memcpy(f->files, files, count * sizeof *files);
    f->memory.files = f->files;
    f->memory.count = count;
    f->dir.root = f->root;
    f->trees[0] = sbx_tree_memory(&f->memory);
    f->trees[1] = sbx_tree_dir(&f->dir);
    for (i = 0; i < count; i++)
        if (!disk(f, &files[i])) return false;
    return true;
}

static void tear_down(fixture *f)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", f->root);
    CHECK_INT(system(command), 0);
}

static bool from_recording(fixture *f, const node *recorded)
{
    sbx_tree_file files[64];
    size_t count = 0;
    const node *n;
    memset(files, 0, sizeof files);
    for (n = dom_get(dom_get(recorded, "fixture"), "files")->first; n; n = n->next, count++) {
        sbx_tree_file *file = &files[count];
        const char *link = dom_text(n, "symlink"), *data = dom_text(n, "content_b64");
        text path = { 0 };
        sbx_base64 b = { 0 };
        text_put(&path, dom_text(n, "path"));
        if (dom_get(n, "dir")) text_put(&path, "/");
        file->path = path.p;
        file->mode = (uint32_t)dom_get(n, "st_mode")->i & 07777;
        file->link = link;
        file->modified_unix_s = 1700000000;
        if (data) {
            char *out = keep(strlen(data) + 4);
            if (sbx_base64_decode(&b, data, strlen(data), out, &file->len) != SBX_OK) return false;
            file->data = out;
        }
    }
    return lay_out(f, files, count);
}

static sbxi_plan plan_of(const sbx_tree *tree, const char *src, const char *dest)
{
    sbxi_plan p;
    memset(&p, 0, sizeof p);
    sbxi_error_clear(&error);
    p.tree = tree;
    p.alloc = &std_alloc;
    p.error = &error;
    p.src = src;
    p.dest = dest;
    p.dialect = SBXI_GLOB_SOURCE;
    return p;
}

static int finish(sbxi_context *c)
{
    int rc;
    while ((rc = sbxi_context_step(c, 700)) == SBX_PENDING) {}
    return rc;
}

TEST(official_hashes)
{
    node *all = vectors("tests/golden/e2b.jsonl", "filesHash vectors"), *v, *n;
    fixture f;
    unsigned count = 0, kind;
    REQUIRE(all && from_recording(&f, all));
    for (v = dom_get(all, "vectors")->first; v; v = v->next)
        for (kind = 0; kind < 2; kind++, count++) {
            sbxi_ignores g;
            sbxi_plan p = plan_of(&f.trees[kind], dom_text(v, "src"), dom_text(v, "dest"));
            const char *want = dom_text(v, "sha256");
            sbxi_context *c;
            test_row = p.src;
            sbxi_ignore_init(&g, SBXI_GLOB_DOCKER, &std_alloc);
            CHECK_INT(sbxi_tree_rules(p.tree, ".dockerignore", &g, &error), SBX_OK);
            for (n = dom_get(v, "extra_ignore")->first; n; n = n->next)
                CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of(n->s), &error), SBX_OK);
            p.ignore = &g;
            p.follow = dom_get(v, "resolve_symlinks")->i != 0;
            REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
            CHECK_INT(finish(c), want ? SBX_OK : SBX_E_NOT_FOUND);
            if (want) {
                CHECK_STR(c->hash, want);
                CHECK_INT(c->entries, dom_get(v, "files")->count);
                CHECK_INT(sbxi_context_begin(c, SBXI_PASS_HASH), SBX_OK);
                CHECK_INT(finish(c), SBX_OK);
                CHECK_INT(sbxi_context_begin(c, SBXI_PASS_COUNT), SBX_OK);
                if (!p.follow) CHECK_INT(finish(c), SBX_OK);
            } else {
                CHECK(strstr(error.message, p.src) && strstr(error.message, "no such file"));
            }
            sbxi_context_close(c);
            sbxi_ignore_free(&g);
        }
    CHECK_INT(count, 2 * 16);
    test_row = NULL;
    tear_down(&f);
    keep_drop(NULL);
}

/* ---- what is selected, in which order ----------------------------------------- */

static const sbx_tree_file many[] = {
    { .path = "a.b", .data = "1", .len = 1, .mode = 0644 }, { .path = "a/", .mode = 0755 },
    { .path = "a/-", .mode = 0600 }, { .path = "a/b/", .mode = 0700 },
    { .path = "a/b/c.txt", .data = "ccc", .len = 3, .mode = 0644 },
    { .path = "a-/", .mode = 0755 }, { .path = "a-/x", .mode = 0644 },
    { .path = "a--", .mode = 0644 }, { .path = "a0", .mode = 0644 },
    { .path = "a!/", .mode = 0755 }, { .path = "a!/y", .mode = 0644 },
    { .path = "z/", .mode = 0755 }, { .path = "z/to-b", .link = "../a/b" },
    { .path = "z/to-file", .link = "to-b/c.txt" }, { .path = "z/lost", .link = "/nowhere" },
    { .path = ".d/", .mode = 0755 }, { .path = ".d/\xC3\xA9", .mode = 0644 } };
#define MANY (sizeof many / sizeof *many)

static void selected(fixture *f, const char *src, const char *rules, bool by_name, bool links,
    const char *want)
{
    unsigned kind;
    for (kind = 0; kind < 2; kind++) {
        sbxi_ignores g;
        sbxi_walk *w = calloc(1, sizeof *w);
        char clean[SBXI_GLOB_MAX + 1];
        text got = { 0 };
        int rc;
        sbxi_error_clear(&error);
        sbxi_ignore_init(&g, SBXI_GLOB_DOCKER, &std_alloc);
        CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of(rules), &error), SBX_OK);
        w->tree = &f->trees[kind];
        w->ignore = *rules ? &g : NULL;
        w->error = &error;
        w->source.dialect = SBXI_GLOB_SOURCE;
        w->by_name = by_name;
        w->links = links;
        test_row = src;
        text_put(&got, "");
        CHECK_INT(sbxi_walk_init(w, src, clean), SBX_OK);
        while ((rc = sbxi_walk_next(w)) == SBX_OK || rc == SBX_PENDING)
            if (rc == SBX_OK)
                text_format(&got, "%s%s", got.len ? " " : "", w->path[0] ? w->path : ".");
        CHECK_INT(rc, SBX_E_NOT_FOUND);
        CHECK_STR(got.p, want);
        sbxi_ignore_free(&g);
        free(w);
        keep_drop(NULL);
    }
    test_row = NULL;
}

TEST(selection)
{
    fixture f;
    REQUIRE(lay_out(&f, many, MANY));
    selected(&f, ".", "", false, false, ". .d .d/\xC3\xA9 a a! a!/y a- a-- a-/x a.b a/- a/b a/b/c.txt a0 "
        "z z/lost z/to-b z/to-file");
    selected(&f, "./", "", true, false, ". .d .d/\xC3\xA9 a a/- a/b a/b/c.txt a! a!/y a- a-/x a-- a.b a0 "
        "z z/lost z/to-b z/to-file");
    selected(&f, "z/../a", "", false, false, "a a/- a/b a/b/c.txt");
    selected(&f, "a/", "", false, false, "a a/- a/b a/b/c.txt");
    selected(&f, "a0/", "", false, false, "");
    selected(&f, "", "", false, false, "");
    selected(&f, "q", "", false, false, "");
    selected(&f, "**", "", false, false, ".d .d/\xC3\xA9 a a! a!/y a- a-- a-/x a.b a/- a/b a/b/c.txt a0 "
        "z z/lost z/to-b z/to-file");
    selected(&f, "**/", "", false, false, ".d .d/\xC3\xA9 a a! a!/y a- a-/x a/- a/b a/b/c.txt z z/lost "
        "z/to-b z/to-file");
    selected(&f, "**/*.txt", "", false, false, "a/b/c.txt");
    selected(&f, "z/*/c.txt", "", false, false, "z/to-b/c.txt");
    selected(&f, "**/to-b/*", "", false, false, "z/to-b/c.txt");
    selected(&f, "z/to-b/**", "", false, false, "z/to-b z/to-b/c.txt");
    selected(&f, "z/to-b/", "", false, false, "z/to-b");
    selected(&f, "z/to-b", "", true, true, "z/to-b z/to-b/c.txt");
    selected(&f, "z", "", true, true, "z z/lost z/to-b z/to-b/c.txt z/to-file");
    selected(&f, "z", "", false, true, "z z/lost z/to-b z/to-b/c.txt z/to-file");
    selected(&f, "z/to-file/", "", false, false, "");
    selected(&f, "a*", "a/b\na-\n!a-/x", false, false, "a a! a!/y a-- a.b a/- a0");
    selected(&f, "a", "a\n!a/b/c.txt", false, false, "");
    selected(&f, "a/**", "a\n!a/b/c.txt", false, false, "a/b/c.txt");
    selected(&f, "a", "a/b\n!a/b/c.txt", false, false, "a a/- a/b/c.txt");
    selected(&f, ".", "*", false, false, ".");
    selected(&f, "[.z]*", "**/to*", false, false, ".d .d/\xC3\xA9 z z/lost");
    selected(&f, ".d", "", false, false, ".d .d/\xC3\xA9"); /* not the root */
    tear_down(&f);
}

TEST(sources_that_are_none)
{
    static const char *const bad[] = { "/a", "..", "../a", "a/../..", "a/../../b", "[[:digit:]]" };
    sbx_memory_tree m = { many, MANY, 0, 0, "" };
    sbx_tree tree = sbx_tree_memory(&m);
    char long_src[600];
    sbxi_context *c;
    size_t i;
    for (i = 0; i <= sizeof bad / sizeof *bad; i++) {
        sbxi_plan p = plan_of(&tree, i ? bad[i - 1] : long_src, "/");
        memset(long_src, 'a', sizeof long_src);
        long_src[SBXI_GLOB_MAX + 1] = 0;
        test_row = p.src;
        CHECK_INT(sbxi_context_open(&c, &p), i ? SBX_E_ARG : SBX_E_TOO_LARGE);
        CHECK(c == NULL && strstr(error.message, i ? "a source is a path" : "at most 511 bytes"));
    }
    test_row = NULL;
}

/* A name that is no pattern has no / at its end either. */
TEST(a_plain_name_with_a_slash)
{
    sbx_memory_tree m = { many, MANY, 0, 0, "" };
    sbx_tree tree = sbx_tree_memory(&m);
    sbxi_plan p = plan_of(&tree, "a0/", "/");
    sbxi_context *c;
    p.dialect = SBXI_GLOB_PLAIN;
    REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
    CHECK_INT(finish(c), SBX_OK);
    CHECK_INT(c->entries, 1);
    sbxi_context_close(c);
}

/* ---- the tree in memory ---------------------------------------------------------- */

static int nothing_to_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    (void)ctx; (void)buf; (void)cap;
    return *got = 0, SBX_OK;
}

#define LINK_MAX_ (sizeof ((sbx_memory_tree *)0)->path_ - 2) /* of a target, at the root */
static char longest[LINK_MAX_ + 1], too_long[LINK_MAX_ + 2];
static const sbx_source no_way_back = { nothing_to_get, NULL, NULL, 0 };

static const sbx_tree_file few[] = {
    { .path = "", .mode = 0700 }, { .path = "d/", .mode = 0711 },
    { .path = "d/f", .data = "x", .len = 1 }, { .path = "d/n", .from = &no_way_back },
    { .path = "l", .link = "d" }, { .path = "e", .link = "" }, { .path = "abs", .link = "/d" },
    { .path = "far", .link = longest }, { .path = "farther", .link = too_long },
    { .path = "up", .link = "d/.." }, { .path = "a", .link = "b" }, { .path = "b", .link = "a" },
    { .path = "u/x", .data = "", .mode = 0600 } };

TEST(looks_at_a_tree_in_memory)
{
    static const struct { const char *path; bool follow; int rc, type; uint32_t mode; int64_t size; }
    rows[] = {
        { "", false, SBX_OK, SBX_FILE_DIR, 0700, 0 }, { "d", false, SBX_OK, SBX_FILE_DIR, 0711, 0 },
        { "d/f", false, SBX_OK, SBX_FILE_REGULAR, 0644, 1 },
        { "l", false, SBX_OK, SBX_FILE_SYMLINK, 0777, 1 },
        { "l", true, SBX_OK, SBX_FILE_DIR, 0711, 0 },
        { "l/f", false, SBX_OK, SBX_FILE_REGULAR, 0644, 1 },
        { "up", true, SBX_OK, SBX_FILE_DIR, 0700, 0 },
        { "up/u/x", true, SBX_OK, SBX_FILE_REGULAR, 0600, 0 },
        { "u", false, SBX_OK, SBX_FILE_DIR, 0755, 0 },
        { "far", true, SBX_OK, SBX_FILE_DIR, 0711, 0 },
        { "farther", true, SBX_E_NOT_FOUND, 0, 0, 0 }, { "e", true, SBX_E_NOT_FOUND, 0, 0, 0 },
        { "abs", true, SBX_E_NOT_FOUND, 0, 0, 0 }, { "a", true, SBX_E_NOT_FOUND, 0, 0, 0 },
        { "none", false, SBX_E_NOT_FOUND, 0, 0, 0 }, { "d/f/x", false, SBX_E_NOT_FOUND, 0, 0, 0 } };
    sbx_memory_tree m = { few, sizeof few / sizeof *few, 0, 0, "" };
    sbx_tree t = sbx_tree_memory(&m);
    size_t i;
    for (i = 0; i < LINK_MAX_; i += 2) memcpy(longest + i, "./", 3);
    memcpy(longest + LINK_MAX_ - 2, "/d", 3);
    snprintf(too_long, sizeof too_long, "%s/", longest);
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        sbx_tree_entry e;
        test_row = rows[i].path;
        CHECK_INT(t.stat(t.ctx, rows[i].path, rows[i].follow, &e), rows[i].rc);
        CHECK_INT(e.type, rows[i].type);
        CHECK_INT(e.mode, rows[i].mode);
        CHECK_INT(e.size, rows[i].size);
    }
    test_row = NULL;
}

enum { NEXT, LINK, OPEN };
TEST(what_a_tree_in_memory_tells)
{
    static const struct { int what; const char *path; size_t cap; int rc; const char *told; } rows[] = {
        { NEXT, "", 2, SBX_OK, "a" }, { NEXT, "", 1, SBX_E_TOO_LARGE, NULL },
        { NEXT, "l", 9, SBX_OK, "f" }, { NEXT, "none", 9, SBX_E_NOT_FOUND, NULL },
        { NEXT, "d/f", 9, SBX_E_NOT_FOUND, NULL }, { LINK, "l", 2, SBX_OK, "d" },
        { LINK, "l", 1, SBX_E_TOO_LARGE, NULL }, { LINK, "none", 9, SBX_E_NOT_FOUND, NULL },
        { LINK, "u", 9, SBX_E_NOT_FOUND, NULL }, { LINK, "d/f", 9, SBX_E_NOT_FOUND, NULL },
        { OPEN, "l/f", 0, SBX_OK, NULL }, { OPEN, "d", 0, SBX_E_NOT_A_FILE, NULL },
        { OPEN, "u", 0, SBX_E_NOT_A_FILE, NULL }, { OPEN, "none", 0, SBX_E_NOT_FOUND, NULL },
        { OPEN, "d/n", 0, SBX_E_ARG, NULL } };
    sbx_memory_tree m = { few, sizeof few / sizeof *few, 0, 0, "" };
    sbx_tree t = sbx_tree_memory(&m);
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *name = malloc(rows[i].cap ? rows[i].cap : 1); /* a byte too many is seen */
        void *file;
        int rc;
        test_row = rows[i].path;
        rc = rows[i].what == NEXT ? t.next(t.ctx, rows[i].path, "", name, rows[i].cap)
            : rows[i].what == LINK ? t.link(t.ctx, rows[i].path, name, rows[i].cap)
            : t.open(t.ctx, rows[i].path, &file);
        CHECK_INT(rc, rows[i].rc);
        if (rows[i].told) CHECK_STR(name, rows[i].told);
        free(name);
    }
    test_row = NULL;
}

/* ---- archives ------------------------------------------------------------------ */

static const char check_archive[] =
    "import sys, tarfile, os, stat\n"
    "root, tar, order = sys.argv[1:4]\n"
    "follow = len(sys.argv) > 4\n"
    "t = tarfile.open(tar)\n"
    "members = t.getmembers()\n"
    "assert ' '.join(m.name for m in members) == order, [m.name for m in members]\n"
    "for m in members:\n"
    "    p = os.path.join(root, m.name)\n"
    "    s = os.stat(p) if follow else os.lstat(p)\n"
    "    assert (m.mtime, m.uid, m.gid, m.uname) == (int(s.st_mtime), 0, 0, 'root'), m.name\n"
    "    if stat.S_ISLNK(s.st_mode):\n"
    "        assert m.issym() and m.linkname == os.readlink(p) and m.mode == 0o777, m.name\n"
    "        continue\n"
    "    assert m.mode == stat.S_IMODE(s.st_mode), m.name\n"
    "    assert m.isdir() if stat.S_ISDIR(s.st_mode) else m.isfile(), m.name\n"
    "    if m.isfile(): assert t.extractfile(m).read() == open(p, 'rb').read(), m.name\n";

/* Takes the archive by pieces of odd sizes into a file. */
static int64_t fetch(sbx_source s, const char *path)
{
    unsigned char buf[700];
    FILE *out = path ? fopen(path, "wb") : NULL;
    size_t got, n = 1;
    int64_t sum = 0;
    int rc = s.rewind(s.ctx);
    while (rc == SBX_OK) {
        rc = s.get(s.ctx, buf, n, &got);
        if (rc != SBX_OK || got == 0) break;
        if (out) fwrite(buf, 1, got, out);
        sum += (int64_t)got;
        n = n * 7 % 699 + 1;
    }
    if (out) fclose(out);
    return rc == SBX_OK ? sum : rc;
}

static void read_back(const fixture *f, const char *tar, const char *order, bool follow)
{
    char command[4096];
    char *script = strdup(tar);
    FILE *out;
    strcpy(script + strlen(script) - 3, "py");
    out = fopen(script, "w");
    fputs(check_archive, out);
    fclose(out);
    snprintf(command, sizeof command, "python3 '%s' '%s' '%s' '%s' %s && tar tf '%s' >/dev/null",
        script, f->root, tar, order, follow ? "follow" : "", tar);
    CHECK_INT(system(command), 0);
    free(script);
}

TEST(archives)
{
    fixture f, out;
    unsigned k;
    char tar[96];
    REQUIRE(lay_out(&f, many, MANY) && lay_out(&out, many, 0));
    snprintf(tar, sizeof tar, "%s/tar", out.root);
    for (k = 0; k < 5; k++) {
        static const uint8_t levels[] = { 0, 1, 6, 9, 0 };
        sbxi_plan p = plan_of(&f.trees[1], ".", "/");
        sbxi_context *c;
        p.level = levels[k];
        p.tar = k == 4;
        REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
        CHECK_INT(finish(c), SBX_OK);
        CHECK_INT(c->size, -1);
        CHECK_INT(sbxi_context_begin(c, SBXI_PASS_COUNT), SBX_OK);
        CHECK_INT(finish(c), SBX_OK);
        CHECK(c->size > 0 && c->sent == c->size);
        CHECK_INT(sbxi_context_source(c).size, c->size);
        CHECK_INT(fetch(sbxi_context_source(c), tar), c->size);
        read_back(&f, tar, ". .d .d/\xC3\xA9 a a! a!/y a- a-- a-/x a.b a/- a/b a/b/c.txt a0 "
            "z z/lost z/to-b z/to-file", false);
        CHECK_INT(fetch(sbxi_context_source(c), NULL), c->size); /* once more */
        sbxi_context_close(c);
    }
    tear_down(&out);
    tear_down(&f);
}

TEST(links_are_followed)
{
    fixture f, out;
    char tar[96];
    unsigned k;
    REQUIRE(lay_out(&f, many, MANY) && lay_out(&out, many, 0));
    snprintf(tar, sizeof tar, "%s/tar", out.root);
    for (k = 0; k < 3; k++) {
        sbxi_plan p = plan_of(&f.trees[1], k == 0 ? "z" : "z/to-*", "/");
        sbxi_context *c;
        p.follow = true;
        p.links = p.by_name = k == 2;
        REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
        CHECK_INT(finish(c), SBX_OK);
        CHECK_INT(sbxi_context_begin(c, SBXI_PASS_COUNT), SBX_OK);
        CHECK_INT(finish(c), k ? SBX_OK : SBX_E_NOT_FOUND);
        if (k == 0) {
            CHECK_STR(error.message, "z/lost: the link leads nowhere, and links are to be followed");
        } else {
            CHECK_INT(fetch(sbxi_context_source(c), tar), c->size);
            read_back(&f, tar, k == 1 ? "z/to-b z/to-file" : "z/to-b z/to-b/c.txt z/to-file", true);
        }
        sbxi_context_close(c);
    }
    tear_down(&out);
    tear_down(&f);
}

/* SeaCloud: the hash is that of the archive, and the same whenever it is made. */
TEST(archive_hashes)
{
    fixture f;
    char hash[2][65], sum[65];
    unsigned k;
    REQUIRE(lay_out(&f, many, MANY));
    for (k = 0; k < 2; k++) {
        sbxi_plan p = plan_of(&f.trees[k], "a", "/");
        sbxi_context *c;
        unsigned char buf[64];
        sbx_sha256 sha;
        sbx_source s;
        size_t got;
        p.dialect = SBXI_GLOB_PLAIN;
        p.by_name = p.archive_hash = p.no_times = p.own_mode = true;
        p.mode = 0750;
        p.level = 6;
        REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
        CHECK_INT(finish(c), SBX_OK);
        memcpy(hash[k], c->hash, 65);
        s = sbxi_context_source(c);
        CHECK_INT(s.rewind(s.ctx), SBX_OK);
        sbx_sha256_init(&sha);
        while (s.get(s.ctx, buf, sizeof buf, &got) == SBX_OK && got) sbx_sha256_add(&sha, buf, got);
        sbxi_hash_end(&sha, sum);
        CHECK_STR(sum, hash[k]);
        CHECK_INT(c->entries, 4);
        sbxi_context_close(c);
    }
    CHECK_STR(hash[0], hash[1]);
    tear_down(&f);
}

/* ---- what is not the same the second time --------------------------------------- */

typedef enum change { LONGER, SHORTER, OTHER, TOUCHED, GONE, NEW, A_DIR, MODE, CHANGES } change;

static void apply(const fixture *f, change what)
{
    const char *full = under(f, "a/b/c.txt");
    struct timespec then[2] = { { 1000, 0 }, { 1000, 0 } };
    FILE *out;
    switch (what) {
    case LONGER: case SHORTER: case OTHER:
        out = fopen(full, "w");
        fputs(what == LONGER ? "cccc" : what == SHORTER ? "cc" : "cCc", out);
        fclose(out);
        break;
    case TOUCHED: utimensat(AT_FDCWD, full, then, 0); break;
    case GONE: unlink(full); break;
    case A_DIR: unlink(full); mkdir(full, 0755); break;
    case NEW: fclose(fopen(under(f, "a/b/d"), "w")); break;
    default: chmod(full, 0600);
    }
}

static void set_times(const fixture *f)
{
    struct timespec then[2] = { { 2000, 0 }, { 2000, 0 } };
    utimensat(AT_FDCWD, under(f, "a/b/c.txt"), then, 0);
    utimensat(AT_FDCWD, under(f, "a/b"), then, 0);
}

TEST(changed_between_passes)
{
    unsigned k;
    for (k = 0; k < CHANGES * 4; k++) {
        change what = (change)(k / 4);
        fixture f;
        char row[32];
        sbxi_plan p;
        sbxi_context *c;
        int rc;
        snprintf(row, sizeof row, "change %d, way %u", what, k % 4);
        test_row = row;
        REQUIRE(lay_out(&f, many, MANY));
        set_times(&f);
        p = plan_of(&f.trees[1], "a", "/");
        p.tar = k & 1;
        REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
        CHECK_INT(finish(c), SBX_OK);
        CHECK_INT(sbxi_context_begin(c, SBXI_PASS_COUNT), SBX_OK);
        if (k & 2) { /* between hash and count: what the hash tells, matters */
            apply(&f, what);
            rc = finish(c);
            CHECK_INT(rc, what == TOUCHED ? SBX_OK : SBX_E_CHANGED);
        } else {
            CHECK_INT(finish(c), SBX_OK);
            apply(&f, what);
            CHECK_INT(fetch(sbxi_context_source(c), NULL), SBX_E_CHANGED);
            CHECK(c->sent < c->size);
        }
        CHECK(!!error.message[0] == !(k & 2 && what == TOUCHED));
        sbxi_context_close(c);
        tear_down(&f);
    }
    test_row = NULL;
}

/* A tree whose files are not what they are said to be. */
typedef struct odd { int stat, open, read, next; int64_t more, size; sbx_file_type type;
    const char *second; int follow; sbx_file_type leads; /* of what a link is to */
    unsigned opened, closed; } odd;
enum { READS_ON = 1, READS_LESS, READS_LIE };

static int odd_next(void *ctx, const char *dir, const char *after, char *name, size_t cap)
{
    odd *o = ctx;
    if (o->next) return o->next;
    if (o->second && *after) return strcpy(name, o->second), SBX_OK;
    if (*dir || *after) return SBX_E_NOT_FOUND;
    return CHECK(cap >= 256) ? (strcpy(name, "file"), SBX_OK) : SBX_E_SOURCE;
}

static int odd_stat(void *ctx, const char *path, bool follow, sbx_tree_entry *out)
{
    odd *o = ctx;
    memset(out, 0, sizeof *out);
    out->type = !*path ? SBX_FILE_DIR : follow ? o->leads : o->type;
    out->size = o->size ? o->size : 1000;
    out->mode = 0xFFFFFFFF;
    return !*path ? SBX_OK : follow ? o->follow : o->stat;
}

static int odd_open(void *ctx, const char *path, void **file)
{
    odd *o = ctx;
    (void)path;
    *file = NULL;
    o->opened += o->open == SBX_OK;
    o->more = o->read == READS_ON ? 1001 : o->read == READS_LESS ? 999 : 1000;
    return o->open;
}

static int odd_read(void *ctx, void *file, void *buf, size_t cap, size_t *got)
{
    odd *o = ctx;
    (void)file;
    if (o->read < 0 || o->read > READS_LIE) return o->read;
    *got = (size_t)SBXI_MIN((int64_t)SBXI_MIN(cap, (size_t)77), o->more);
    memset(buf, 'x', *got);
    o->more -= (int64_t)*got;
    if (o->read == READS_LIE) *got = cap + 1;
    return SBX_OK;
}

static void odd_close(void *ctx, void *file)
{
    (void)file;
    ((odd *)ctx)->closed++;
}

static void no_close(void *ctx, void *file) { (void)ctx; (void)file; }

static int wide_stat(void *ctx, const char *path, bool follow, sbx_tree_entry *out)
{
    (void)ctx; (void)follow;
    memset(out, 0, sizeof *out);
    out->type = *path ? SBX_FILE_REGULAR : SBX_FILE_DIR;
    return SBX_OK;
}

static int wide_open(void *ctx, const char *path, void **file)
{
    (void)path;
    *file = ctx;
    return SBX_OK;
}

static int wide_read(void *ctx, void *file, void *buf, size_t cap, size_t *got)
{
    (void)ctx; (void)file; (void)buf; (void)cap;
    *got = 0;
    return SBX_OK;
}

TEST(odd_trees)
{
    static const struct { odd o; int want; const char *has; } rows[] = {
        { { .type = SBX_FILE_REGULAR }, SBX_OK, "" },
        { { .type = SBX_FILE_REGULAR, .read = READS_ON }, SBX_E_CHANGED, "file: the file changed" },
        { { .type = SBX_FILE_REGULAR, .read = READS_LESS }, SBX_E_CHANGED, "file: the file changed" },
        { { .type = SBX_FILE_REGULAR, .read = SBX_E_SOURCE }, SBX_E_SOURCE, "file: " },
        { { .type = SBX_FILE_REGULAR, .read = READS_LIE }, SBX_E_SOURCE, "file: " },
        { { .type = SBX_FILE_REGULAR, .read = SBX_E_AGAIN }, SBX_E_AGAIN, "" },
        { { .type = SBX_FILE_REGULAR, .open = SBX_E_DENIED }, SBX_E_DENIED, "file: " },
        { { .type = SBX_FILE_REGULAR, .open = SBX_E_NOT_A_FILE }, SBX_E_CHANGED, "file: " },
        { { .type = SBX_FILE_REGULAR, .stat = SBX_E_NOT_FOUND }, SBX_E_CHANGED, "file: " },
        { { .type = SBX_FILE_REGULAR, .stat = SBX_E_NOMEM }, SBX_E_NOMEM, "file: " },
        { { .type = SBX_FILE_UNKNOWN }, SBX_E_NOT_A_FILE, "file: neither a file" },
        { { .type = SBX_FILE_SYMLINK }, SBX_E_CHANGED, "file: " }, /* no link() */
        { { .type = SBX_FILE_REGULAR, .next = SBX_E_SOURCE }, SBX_E_SOURCE, ".: " },
        { { .type = (sbx_file_type)4 }, SBX_E_SOURCE, "file: " },
        { { .type = SBX_FILE_REGULAR, .size = -1 }, SBX_E_ARG, "file: " },
        /* no status of a tree is positive, SBX_PENDING included */
        { { .type = SBX_FILE_REGULAR, .next = SBX_PENDING }, SBX_E_SOURCE, ".: " },
        { { .type = SBX_FILE_REGULAR, .stat = SBX_PENDING }, SBX_E_SOURCE, "file: " },
        { { .type = SBX_FILE_REGULAR, .open = SBX_PENDING }, SBX_E_SOURCE, "file: " },
        { { .type = SBX_FILE_REGULAR, .read = 99 }, SBX_E_SOURCE, "file: " },
        /* names that are none, or would never come to an end */
        { { .type = SBX_FILE_REGULAR, .second = "" }, SBX_E_SOURCE, "file: next()" },
        { { .type = SBX_FILE_REGULAR, .second = "file" }, SBX_E_SOURCE, "file: next()" },
        { { .type = SBX_FILE_REGULAR, .second = "a" }, SBX_E_SOURCE, "file: next()" },
        { { .type = SBX_FILE_REGULAR, .second = "g/h" }, SBX_E_SOURCE, "file: next()" },
        { { .type = SBX_FILE_REGULAR, .second = ".." }, SBX_E_SOURCE, "file: next()" } };
    size_t i;
    for (i = 0; i < 2 * (sizeof rows / sizeof *rows); i++) { /* each in both passes */
        odd o = rows[i / 2].o;
        sbx_tree t = { odd_next, odd_stat, NULL, odd_open, odd_read, odd_close, &o };
        sbxi_plan p = plan_of(&t, ".", "/");
        sbxi_context *c;
        test_row = rows[i / 2].has;
        p.archive_hash = i & 1;
        REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
        CHECK_INT(finish(c), rows[i / 2].want);
        CHECK(strncmp(error.message, rows[i / 2].has, strlen(rows[i / 2].has)) == 0);
        sbxi_context_close(c);
        CHECK_INT(o.closed, o.opened);
    }
    test_row = NULL;
}

/* Ended, or begun anew, in the middle of a file it is closed. */
TEST(files_are_closed)
{
    unsigned steps;
    for (steps = 0; steps < 40; steps++) {
        odd o = { .type = SBX_FILE_REGULAR };
        sbx_tree t = { odd_next, odd_stat, NULL, odd_open, odd_read, odd_close, &o };
        sbxi_plan p = plan_of(&t, ".", "/");
        sbxi_context *c;
        unsigned i;
        REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
        for (i = 0; i < steps / 2; i++) (void)sbxi_context_step(c, 1);
        if (steps & 1) CHECK_INT(sbxi_context_begin(c, SBXI_PASS_COUNT), SBX_OK);
        if (steps & 1) CHECK_INT(o.closed, o.opened);
        sbxi_context_close(c);
        CHECK_INT(o.closed, o.opened);
        CHECK(steps < 10 || o.opened);
    }
}

/* A name that its tree did not end is cut, not read beyond; "." and ".." never come. */
static int endless_next(void *ctx, const char *dir, const char *after, char *name, size_t cap)
{
    (void)ctx; (void)dir;
    if (*after) return SBX_E_NOT_FOUND;
    memset(name, 'n', cap);
    return SBX_OK;
}

static int dots_next(void *ctx, const char *dir, const char *after, char *name, size_t cap)
{
    (void)dir; (void)after; (void)cap;
    strcpy(name, ctx);
    return SBX_OK;
}

TEST(names_of_odd_trees)
{
    odd o = { .type = SBX_FILE_REGULAR };
    sbx_tree t = { endless_next, odd_stat, NULL, odd_open, odd_read, odd_close, &o };
    sbx_tree dots = { dots_next, wide_stat, NULL, wide_open, wide_read, no_close, "." };
    sbxi_plan p = plan_of(&t, ".", "/");
    sbxi_context *c;
    REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
    CHECK_INT(finish(c), SBX_OK);
    CHECK_INT(strlen(c->walk.path), SBXI_NAME_MAX - 1);
    CHECK_INT(c->entry.mode, 07777);
    sbxi_context_close(c);
    p = plan_of(&dots, ".", "/");
    REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
    dots.ctx = "..";
    CHECK_INT(finish(c), SBX_E_SOURCE);
    sbxi_context_close(c);
    REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
    dots.ctx = ".";
    CHECK_INT(finish(c), SBX_E_SOURCE);
    sbxi_context_close(c);
}

static int odd_link(void *ctx, const char *path, char *target, size_t cap)
{
    (void)ctx; (void)path; (void)cap;
    return strcpy(target, "where"), SBX_OK;
}

/* A link that cannot be looked through is no broken link, in no pass; one that leads to
   a pipe is. */
TEST(links_that_lead_to_no_file)
{
    static const struct { int follow; sbx_file_type leads; int hash, count; } rows[] = {
        { SBX_E_DENIED, SBX_FILE_REGULAR, SBX_E_DENIED, SBX_E_DENIED },
        { SBX_OK, SBX_FILE_UNKNOWN, SBX_OK, SBX_E_NOT_FOUND },
        { SBX_E_NOT_FOUND, SBX_FILE_REGULAR, SBX_OK, SBX_E_NOT_FOUND },
        { SBX_OK, SBX_FILE_REGULAR, SBX_OK, SBX_OK } };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        odd o = { .type = SBX_FILE_SYMLINK, .follow = rows[i].follow, .leads = rows[i].leads };
        sbx_tree t = { odd_next, odd_stat, odd_link, odd_open, odd_read, odd_close, &o };
        sbxi_plan p = plan_of(&t, ".", "/");
        sbxi_context *c;
        p.follow = true;
        REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
        CHECK_INT(finish(c), rows[i].hash);
        CHECK_INT(sbxi_context_begin(c, SBXI_PASS_COUNT), SBX_OK);
        CHECK_INT(finish(c), rows[i].count);
        sbxi_context_close(c);
    }
}

/* Directories in each other without end: names of `len` bytes, `last` in the last one. */
typedef struct deep { unsigned len, last, levels; } deep;

static int deep_next(void *ctx, const char *dir, const char *after, char *name, size_t cap)
{
    deep *d = ctx;
    unsigned level = ((unsigned)strlen(dir) + 1) / (d->len + 1);
    (void)cap;
    if (*after) return SBX_E_NOT_FOUND;
    memset(name, 'n', 256);
    name[level < d->levels ? d->len : d->last] = 0;
    return SBX_OK;
}

static int deep_stat(void *ctx, const char *path, bool follow, sbx_tree_entry *out)
{
    (void)ctx; (void)path; (void)follow;
    memset(out, 0, sizeof *out);
    out->type = SBX_FILE_DIR;
    return SBX_OK;
}

/* A path is SBX_MAX_PATH - 1 bytes at most, with the / behind a directory. */
TEST(paths_that_are_too_long)
{
    static const struct { deep d; unsigned len; char end; } rows[] = {
        { { 255, 255, 15 }, 4095, 'n' }, { { 255, 254, 15 }, 4095, '/' },
        { { 200, 75, 20 }, 4095, 'n' }, { { 200, 76, 20 }, 4020, '/' } };
    size_t i;
    for (i = 0; i < 2 * (sizeof rows / sizeof *rows); i++) {
        deep d = rows[i / 2].d;
        sbx_tree t = { deep_next, deep_stat, NULL, wide_open, wide_read, no_close, &d };
        sbxi_plan p = plan_of(&t, ".", "/");
        sbxi_context *c;
        p.by_name = i & 1;
        REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
        CHECK_INT(finish(c), SBX_E_TOO_LARGE);
        CHECK_INT(strlen(c->walk.path), rows[i / 2].len);
        CHECK_INT(c->walk.path[rows[i / 2].len - 1], rows[i / 2].end);
        sbxi_context_close(c);
    }
}

/* "a", a directory or a link to one, and "a.b": each further look at "a" comes when its
   content is due, and behind a link's when that is done. The n-th fails. */
typedef struct late { sbx_file_type type; unsigned looks, fail_at; int rc; } late;

static int late_next(void *ctx, const char *dir, const char *after, char *name, size_t cap)
{
    (void)ctx; (void)cap;
    if (*dir || strcmp(after, "a.b") >= 0) return SBX_E_NOT_FOUND;
    return strcpy(name, *after ? "a.b" : "a"), SBX_OK;
}

static int late_stat(void *ctx, const char *path, bool follow, sbx_tree_entry *out)
{
    late *l = ctx;
    memset(out, 0, sizeof *out);
    out->type = strcmp(path, "a") != 0 ? *path ? SBX_FILE_REGULAR : SBX_FILE_DIR
        : follow ? SBX_FILE_DIR : l->type;
    return strcmp(path, "a") == 0 && !follow && ++l->looks == l->fail_at ? l->rc : SBX_OK;
}

TEST(directories_that_go_meanwhile)
{
    static const struct { late l; int want; } rows[] = {
        { { SBX_FILE_DIR, 0, 0, 0 }, SBX_OK }, { { SBX_FILE_SYMLINK, 0, 0, 0 }, SBX_OK },
        { { SBX_FILE_DIR, 0, 1, SBX_E_NOT_FOUND }, SBX_E_CHANGED },
        { { SBX_FILE_DIR, 0, 2, SBX_E_DENIED }, SBX_E_DENIED },
        { { SBX_FILE_SYMLINK, 0, 2, SBX_E_DENIED }, SBX_E_DENIED },
        { { SBX_FILE_SYMLINK, 0, 3, SBX_E_DENIED }, SBX_E_DENIED },
        { { SBX_FILE_SYMLINK, 0, 3, SBX_E_NOT_FOUND }, SBX_E_CHANGED } };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        late l = rows[i].l;
        sbx_tree t = { late_next, late_stat, NULL, wide_open, wide_read, no_close, &l };
        sbxi_plan p = plan_of(&t, ".", "/");
        sbxi_context *c;
        p.follow = p.links = true;
        REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
        CHECK_INT(finish(c), rows[i].want);
        if (rows[i].want == SBX_OK) CHECK_INT(c->entries, 3);
        else CHECK(strncmp(error.message, "a: ", 3) == 0);
        sbxi_context_close(c);
    }
}

/* Names that nothing takes are passed over a few at a time. */
static int wide_next(void *ctx, const char *dir, const char *after, char *name, size_t cap)
{
    unsigned *asked = ctx, n = *after ? (unsigned)strtoul(after, NULL, 10) + 1 : 100000;
    (void)dir;
    ++*asked;
    if (*after == 'f') return SBX_E_NOT_FOUND;
    if (n >= 105000) return strcpy(name, "file.txt"), SBX_OK;
    snprintf(name, cap, "%06u", n);
    return SBX_OK;
}

TEST(a_step_is_short)
{
    unsigned asked = 0, most = 0, before, agains = 0;
    sbx_tree t = { wide_next, wide_stat, NULL, wide_open, wide_read, no_close, &asked };
    sbxi_plan p = plan_of(&t, "*.txt", "/");
    sbxi_context *c;
    sbx_source from;
    char block[4096];
    size_t got;
    int rc, pass;
    p.tar = true;
    REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
    for (pass = 0; pass < 2; pass++) {
        if (pass) CHECK_INT(sbxi_context_begin(c, SBXI_PASS_COUNT), SBX_OK);
        do {
            before = asked;
            rc = sbxi_context_step(c, 700);
            most = SBXI_MAX(most, asked - before);
        } while (rc == SBX_PENDING);
        CHECK_INT(rc, SBX_OK);
    }
    CHECK(most <= 2);
    from = sbxi_context_source(c);
    CHECK_INT(from.rewind(from.ctx), SBX_OK);
    do {
        before = asked;
        rc = from.get(from.ctx, block, sizeof block, &got);
        CHECK(asked - before <= SBXI_CONTEXT_PASSED + 1);
        agains += rc == SBX_E_AGAIN;
    } while (rc == SBX_E_AGAIN || (rc == SBX_OK && got));
    CHECK_INT(rc, SBX_OK);
    CHECK(agains >= 4);
    sbxi_context_close(c);
}

TEST(pipes_are_named)
{
    fixture f;
    sbxi_plan p;
    sbxi_context *c;
    sbxi_ignores g;
    REQUIRE(lay_out(&f, many, MANY));
    REQUIRE(mkfifo(under(&f, "a/pipe"), 0600) == 0);
    p = plan_of(&f.trees[1], "a", "/");
    REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
    CHECK_INT(finish(c), SBX_E_NOT_A_FILE);
    CHECK(strncmp(error.message, "a/pipe: ", 8) == 0);
    sbxi_context_close(c);
    sbxi_ignore_init(&g, SBXI_GLOB_DOCKER, &std_alloc);
    CHECK_INT(sbxi_ignore_add(&g, sbxi_span_of("a/pipe"), &error), SBX_OK);
    p.ignore = &g;
    REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
    CHECK_INT(finish(c), SBX_OK);
    sbxi_context_close(c);
    sbxi_ignore_free(&g);
    tear_down(&f);
}

TEST(contexts_without_memory)
{
    static uint64_t heap[8192];
    static const struct { size_t size; int open, count; } rows[] = {
        { sizeof(sbxi_context), SBX_E_NOMEM, 0 }, { sizeof(sbxi_context) + 256, SBX_OK, SBX_E_NOMEM },
        { sizeof heap, SBX_OK, SBX_OK } };
    sbx_memory_tree m = { many, MANY, 0, 0, "" };
    sbx_tree tree = sbx_tree_memory(&m);
    size_t i;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        sbxi_plan p = plan_of(&tree, "a", "/");
        sbx_fixed state;
        sbx_alloc alloc = sbx_alloc_fixed(&state, heap, rows[i].size);
        sbxi_context *c;
        p.alloc = &alloc;
        p.level = 6;
        CHECK_INT(sbxi_context_open(&c, &p), rows[i].open);
        CHECK((c != NULL) == (rows[i].open == SBX_OK));
        if (c) CHECK_INT(sbxi_context_begin(c, SBXI_PASS_COUNT), rows[i].count);
        CHECK_INT(error.status, rows[i].open ? rows[i].open : rows[i].count);
        sbxi_context_close(c);
        CHECK_INT(state.used, 0);
    }
}

TEST(as_many_as_were_counted)
{
    sbx_memory_tree m = { many, MANY, 0, 0, "" };
    sbx_tree tree = sbx_tree_memory(&m);
    sbxi_plan p = plan_of(&tree, "a", "/");
    sbxi_context *c;
    REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
    CHECK_INT(sbxi_context_begin(c, SBXI_PASS_COUNT), SBX_OK);
    CHECK_INT(finish(c), SBX_OK);
    CHECK_INT(fetch(sbxi_context_source(c), NULL), c->size);
    c->known_entries++; /* as if other files had the same checksum */
    CHECK_INT(fetch(sbxi_context_source(c), NULL), SBX_E_CHANGED);
    sbxi_context_close(c);
}

/* ---- size ----------------------------------------------------------------------- */

/* 10 MiB in 40 files that are made while they are read: in far less memory. */
typedef struct stuff { uint32_t seed; int64_t left; } stuff;
#define MADE_SIZE (256 * 1024)

static int made_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    stuff *m = ctx;
    unsigned char *p = buf;
    size_t i;
    *got = (size_t)SBXI_MIN((int64_t)cap, m->left);
    for (i = 0; i < *got; i++) {
        m->seed = m->seed * 1664525u + 1013904223u;
        p[i] = (unsigned char)(m->seed >> 28);
    }
    m->left -= (int64_t)*got;
    return SBX_OK;
}

static int made_rewind(void *ctx)
{
    ((stuff *)ctx)->left = MADE_SIZE;
    ((stuff *)ctx)->seed = 7;
    return SBX_OK;
}

TEST(ten_mib_in_64_kib)
{
    static unsigned char heap[65536];
    enum { FILES = 40 };
    static sbx_tree_file files[FILES];
    static char names[FILES][32];
    static const uint8_t levels[] = { 0, 1, 6 };
    stuff m;
    sbx_source from = { made_get, made_rewind, &m, MADE_SIZE };
    size_t i, k;
    for (i = 0; i < FILES; i++) {
        snprintf(names[i], sizeof names[i], "d%u/f%u.bin", (unsigned)(i % 7), (unsigned)i);
        files[i].path = names[i];
        files[i].from = &from;
    }
    for (k = 0; k < 3; k++) {
        sbx_memory_tree tree = { files, k == 0 ? FILES : 6, 0, 0, "" };
        sbx_tree t = sbx_tree_memory(&tree);
        sbxi_plan p = plan_of(&t, ".", "/");
        sbx_fixed state;
        sbx_alloc alloc = sbx_alloc_fixed(&state, heap, sizeof heap);
        sbxi_context *c;
        p.alloc = &alloc;
        p.level = levels[k];
        REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
        CHECK_INT(sbxi_context_begin(c, SBXI_PASS_COUNT), SBX_OK);
        CHECK_INT(finish(c), SBX_OK);
        CHECK_INT(fetch(sbxi_context_source(c), NULL), c->size);
        sbxi_context_close(c);
        CHECK_INT(state.used, 0);
        CHECK(state.peak <= 65536);
        /* Beside the paths: the packer and what the archive is made with. */
        if (k == 0) CHECK(state.peak - 2 * SBX_MAX_PATH - SBXI_NAME_MAX - SBXI_GLOB_MAX <= 2560);
    }
}

/* ---- directories of the host ---------------------------------------------------- */

TEST(a_wide_directory)
{
    fixture f;
    unsigned i, n = 0;
    char name[300], last[300] = "";
    REQUIRE(lay_out(&f, many, 0));
    for (i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "%s/%u-a-name-of-some-length", f.root, i * 7919u % 3000u);
        fclose(fopen(name, "w"));
    }
    memset(name, 'q', 255);
    name[255] = 0;
    fclose(fopen(under(&f, name), "w"));
    while (f.trees[1].next(f.trees[1].ctx, "", last, name, 256) == SBX_OK) {
        CHECK(strcmp(last, name) < 0);
        strcpy(last, name);
        n++;
    }
    CHECK_INT(n, 3001);
    CHECK_INT(f.trees[1].next(f.trees[1].ctx, "", "qq", name, 255), SBX_E_TOO_LARGE);
    CHECK_INT(f.trees[1].next(f.trees[1].ctx, "none", "", name, 256), SBX_E_NOT_FOUND);
    CHECK_INT(f.trees[1].next(f.trees[1].ctx, "none", "x", name, 256), SBX_E_NOT_FOUND);
    tear_down(&f);
}

/* Long and short names, made in any order: what does not fit a window comes in the next. */
TEST(names_of_all_lengths)
{
    static char names[997][252];
    fixture f;
    uint32_t seed = 1;
    unsigned i, n = 0;
    char name[256], last[256] = "";
    REQUIRE(lay_out(&f, many, 0));
    for (i = 0; i < 997; i++) {
        seed = seed * 1664525u + 1013904223u;
        snprintf(names[i], sizeof names[i], "%04u%0*u", i * 7919u % 997u,
            1 + (int)(seed >> 16) % 246, i);
        fclose(fopen(under(&f, names[i]), "w"));
    }
    while (f.trees[1].next(f.trees[1].ctx, "", last, name, sizeof name) == SBX_OK) {
        CHECK(strcmp(last, name) < 0);
        strcpy(last, name);
        n++;
    }
    CHECK_INT(n, 997);
    tear_down(&f);
}

/* What no window holds, alone or before others, is not passed over. */
TEST(a_name_that_fits_no_window)
{
    static sbx_dir_tree d;
    static char name[SBX_TREE_WINDOW_ + 8];
    sbxi_window w = { &d.window_[0].end_, &d.window_[0].whole_, d.window_[0].text_,
        d.window_[0].text_ };
    memset(name, 'b', sizeof name - 1);
    *w.whole = true;
    sbxi_window_put(&w, "c");
    sbxi_window_put(&w, name);
    CHECK_INT(*w.end, 0);
    CHECK(!*w.whole);
    sbxi_window_put(&w, "d");
    CHECK_INT(*w.end, 0);
    sbxi_window_put(&w, "a");
    CHECK_INT(*w.end, 0);
}

TEST(paths_of_the_host)
{
    static char deep[SBX_MAX_PATH + 10];
    fixture f;
    sbx_tree_entry e;
    void *file;
    char target[8];
    const sbx_tree *t;
    REQUIRE(lay_out(&f, many, MANY));
    t = &f.trees[1];
    memset(deep, 'a', SBX_MAX_PATH);
    CHECK_INT(t->stat(t->ctx, deep, false, &e), SBX_E_TOO_LARGE);
    CHECK_INT(t->open(t->ctx, deep, &file), SBX_E_TOO_LARGE);
    CHECK_INT(t->link(t->ctx, deep, target, sizeof target), SBX_E_TOO_LARGE);
    CHECK_INT(t->next(t->ctx, deep, "", deep, 256), SBX_E_TOO_LARGE);
    deep[300] = 0;
    CHECK_INT(t->stat(t->ctx, deep, false, &e), SBX_E_TOO_LARGE); /* ENAMETOOLONG */
    CHECK_INT(t->link(t->ctx, "z/lost", target, sizeof target), SBX_E_TOO_LARGE);
    CHECK_INT(t->link(t->ctx, "a0", target, sizeof target), SBX_E_SOURCE);
    CHECK_INT(t->open(t->ctx, "a", &file), SBX_E_NOT_A_FILE);
    CHECK_INT(t->open(t->ctx, "a0/x", &file), SBX_E_NOT_FOUND);
    CHECK_INT(t->stat(t->ctx, "z/to-b", true, &e), SBX_OK);
    CHECK_INT(e.type, SBX_FILE_DIR);
    tear_down(&f);
}

TEST(links_in_circles)
{
    fixture f;
    sbxi_plan p;
    sbxi_context *c;
    REQUIRE(lay_out(&f, many, MANY));
    CHECK_INT(symlink(".", under(&f, "z/again")), 0);
    p = plan_of(&f.trees[1], "z", "/");
    p.follow = p.links = true;
    REQUIRE(sbxi_context_open(&c, &p) == SBX_OK);
    CHECK_INT(finish(c), SBX_E_TOO_LARGE);
    CHECK(strstr(error.message, "in circles") != NULL);
    sbxi_context_close(c);
    tear_down(&f);
}
