/* dockerfile_test - the Dockerfiles of tests/data: what they become is what the official
   SDK makes of them, with LF or CR LF at the ends of their lines, as dockerfile_check.py
   compares; and cut off anywhere each is taken or refused with a reason. Runs from the
   repository's root. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include "op_rig.h"
#include <dirent.h>

#define DIR_OF_FILES "tests/data/dockerfiles"

typedef void visit(rig *r, const char *name, const ptext *file, void *ctx);

static bool read_file(const char *name, ptext *to)
{
    char path[512];
    FILE *f;
    int c;
    snprintf(path, sizeof path, "%s/%s", DIR_OF_FILES, name);
    f = fopen(path, "rb");
    to->len = 0;
    while (f && (c = getc(f)) != EOF) {
        char byte = (char)c;
        pt_add(to, &byte, 1);
    }
    if (f) fclose(f);
    return f && to->len;
}

/* Every Dockerfile there is. */
static void each(visit *visit, void *ctx)
{
    DIR *d = opendir(DIR_OF_FILES);
    struct dirent *entry;
    ptext file = { 0 };
    size_t count = 0;
    rig r;
    REQUIRE(d != NULL);
    rig_start(&r);
    rig_open(&r);
    while ((entry = readdir(d)) != NULL) {
        test_row = entry->d_name;
        if (!strstr(entry->d_name, ".Dockerfile")) continue;
        count++;
        if (CHECK(read_file(entry->d_name, &file))) visit(&r, entry->d_name, &file, ctx);
    }
    test_row = NULL;
    CHECK(count >= 50);
    rig_end(&r);
    pt_free(&file);
    closedir(d);
}

/* What it becomes: its JSON, or "" and in *why the reason. The text is in memory that
   ends where it does. */
static int convert(rig *r, const char *text, size_t len, ptext *json, ptext *why)
{
    sbx_template *t = sbx_template_new(r->c);
    char *exact = malloc(len ? len : 1);
    sbx_sink to = { text_put, json };
    const sbx_error *e;
    int rc;
    memcpy(exact, text, len);
    rc = sbx_template_from_dockerfile(t, exact, len, NULL, NULL);
    free(exact);
    e = sbx_template_error(t);
    CHECK_INT(e->status, rc);
    json->len = why->len = 0;
    pt_put(json, "");
    pt_put(why, e->message);
    if (rc == SBX_OK) rc = sbx_template_to_json(t, to);
    sbx_template_release(t);
    return rc;
}

/* Of each a line of its name, "lf" or "crlf" and its status; then one of what it is. */
static void tell(rig *r, const char *name, const ptext *file, void *check)
{
    ptext json = { 0 }, why = { 0 }, crlf = { 0 };
    size_t i;
    int rc;
    for (i = 0; i < file->len; i++) {
        if (file->p[i] == '\n' && (i == 0 || file->p[i - 1] != '\r')) pt_add(&crlf, "\r", 1);
        pt_add(&crlf, file->p + i, 1);
    }
    rc = convert(r, file->p, file->len, &json, &why);
    fprintf(check, "%s lf %d\n%s\n", name, rc, rc == SBX_OK ? json.p : why.p);
    rc = convert(r, crlf.p, crlf.len, &json, &why);
    fprintf(check, "%s crlf %d\n%s\n", name, rc, rc == SBX_OK ? json.p : why.p);
    pt_free(&json);
    pt_free(&why);
    pt_free(&crlf);
}

TEST(as_the_sdk)
{
    char command[128];
    FILE *f;
    snprintf(command, sizeof command, "python3 tests/unit/dockerfile_check.py %s/expected.jsonl %d",
        DIR_OF_FILES, SBX_E_ARG);
    f = popen(command, "w");
    REQUIRE(f != NULL);
    each(tell, f);
    CHECK_INT(pclose(f), 0);
}

typedef struct outcomes { size_t taken, refused; } outcomes;

static void cut(rig *r, const char *name, const ptext *file, void *ctx)
{
    ptext json = { 0 }, why = { 0 };
    outcomes *o = ctx;
    size_t n;
    (void)name;
    for (n = 0; n <= file->len; n++) {
        int rc = convert(r, file->p, n, &json, &why);
        bool half_utf8 = rc == SBX_E_ARG && !why.len && n < file->len
            && ((unsigned char)file->p[n] & 0xC0) == 0x80;
        if (rc == SBX_OK) {
            o->taken++;
            CHECK(!why.len && json.len > 2 && json.p[json.len - 1] == '}');
        } else if (!half_utf8) { /* which JSON can't say */
            o->refused++;
            if (!CHECK_INT(rc, SBX_E_ARG) || !CHECK(strncmp(why.p, "line ", 5) == 0
                    || strcmp(why.p, "a Dockerfile needs a FROM") == 0))
                printf("  %u bytes of it: %s\n", (unsigned)n, why.p);
        }
    }
    pt_free(&json);
    pt_free(&why);
}

TEST(cut_anywhere)
{
    outcomes o = { 0, 0 };
    each(cut, &o);
    CHECK(o.taken > 1000);
    CHECK(o.refused > 500);
}
