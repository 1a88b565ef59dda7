/* template_from_memory - a template whose files are made by the program: a device
   without a file system can build one. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

static const char script[] = "#!/bin/sh\necho made in memory\n";

/* A file that does not exist before it is read: a line for each number. It is asked for
   piece by piece, of any size, and more than once. */
typedef struct numbers { size_t at; } numbers;
enum { NUMBERS = 1000, LINE = 5 };

static int numbers_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    numbers *n = ctx;
    char line[16], *out = buf;
    for (*got = 0; *got < cap && n->at < NUMBERS * LINE; n->at++) {
        snprintf(line, sizeof line, "%04u\n", (unsigned)(n->at / LINE));
        out[(*got)++] = line[n->at % LINE];
    }
    return SBX_OK;
}

static int numbers_rewind(void *ctx)
{
    ((numbers *)ctx)->at = 0;
    return SBX_OK;
}

static int build(sbx_client *client, sbx_build_info **info)
{
    numbers count = {0};
    sbx_source made = { numbers_get, numbers_rewind, NULL, NUMBERS * LINE };
    sbx_tree_file files[2] = { {0}, {0} };
    sbx_memory_tree memory = {0};
    sbx_build_options options = {0};
    sbx_template *t = sbx_template_new(client);
    sbx_tree tree;
    int status;
    made.ctx = &count;
    files[0].path = "bin/hello";
    files[0].data = script;
    files[0].len = sizeof script - 1;
    files[0].mode = 0755;
    files[1].path = "share/numbers";
    files[1].from = &made;
    memory.files = files;
    memory.count = 2;
    tree = sbx_tree_memory(&memory);
    sbx_template_from(t, SBX_IMAGE_BASE, NULL);
    sbx_template_context(t, &tree, NULL);
    sbx_template_copy(t, ".", "/opt/", NULL);
    sbx_template_run(t, "/opt/bin/hello && tail -n 1 /opt/share/numbers", NULL);
    options.name = "sandbox-h-memory";
    status = sbx_template_build(t, &options, info, NULL);
    sbx_template_release(t);
    return status;
}

int main(void)
{
    sbx_client *client;
    sbx_build_info *info = NULL;
    sbx_error error;
    sbx_config config = {0};
    int status;
    config.error = &error;
    if (sbx_open(&client, &config) != SBX_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    status = build(client, &info);
    if (status == SBX_OK) printf("template %s\n", info->template_id);
    else fprintf(stderr, "%s\n", sbx_client_error(client)->message);
    if (info) sbx_template_delete(client, info->template_id, NULL, NULL);
    sbx_free(info);
    sbx_close(client);
    return status != SBX_OK;
}
