/* context - one COPY by the C client, without a service: its files' hash and archive.
   context DIRECTORY SRC DEST FOLLOW ARCHIVE [RULE...] prints the hash, or the error;
   tests/sdk/context.py compares both with what the SDK makes of the same. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "sandbox.h"

static int fetch(sbxi_context *c, const char *path)
{
    sbx_source s = sbxi_context_source(c);
    char buf[4096];
    size_t got = 1;
    FILE *out = fopen(path, "wb");
    int rc = out ? s.rewind(s.ctx) : SBX_E_SINK;
    while (rc == SBX_OK && got) {
        rc = s.get(s.ctx, buf, sizeof buf, &got);
        if (rc == SBX_OK && fwrite(buf, 1, got, out) != got) rc = SBX_E_SINK;
    }
    if (out) fclose(out);
    return rc;
}

static int finish(sbxi_context *c)
{
    int rc = SBX_PENDING;
    while (rc == SBX_PENDING) rc = sbxi_context_step(c, 100000);
    return rc;
}

int main(int argc, char **argv)
{
    static const sbx_alloc alloc = { sbxi_std_resize, NULL };
    static sbx_dir_tree dir;
    sbx_error error;
    sbxi_ignores rules;
    sbxi_context *c = NULL;
    sbxi_plan plan;
    sbx_tree tree;
    int i, rc;
    if (argc < 6) return 2;
    memset(&plan, 0, sizeof plan);
    sbxi_error_clear(&error);
    dir.root = argv[1];
    tree = sbx_tree_dir(&dir);
    sbxi_ignore_init(&rules, SBXI_GLOB_DOCKER, &alloc);
    rc = sbxi_tree_rules(&tree, ".dockerignore", &rules, &error);
    for (i = 6; rc == SBX_OK && i < argc; i++)
        rc = sbxi_ignore_add(&rules, sbxi_span_of(argv[i]), &error);
    plan.tree = &tree;
    plan.ignore = &rules;
    plan.alloc = &alloc;
    plan.error = &error;
    plan.src = argv[2];
    plan.dest = argv[3];
    plan.dialect = SBXI_GLOB_SOURCE;
    plan.follow = argv[4][0] == '1';
    plan.level = 6;
    if (rc == SBX_OK) rc = sbxi_context_open(&c, &plan);
    if (rc == SBX_OK) rc = finish(c);
    if (rc == SBX_OK) puts(c->hash);
    if (rc == SBX_OK) rc = sbxi_context_begin(c, SBXI_PASS_COUNT);
    if (rc == SBX_OK) rc = finish(c);
    if (rc == SBX_OK) rc = fetch(c, argv[5]);
    if (rc != SBX_OK) printf("%s %s\n", sbx_status_name(rc), error.message);
    sbxi_context_close(c);
    sbxi_ignore_free(&rules);
    return rc != SBX_OK;
}
