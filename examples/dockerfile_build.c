/* dockerfile_build - a template from a Dockerfile and the files around it:
   dockerfile_build DIRECTORY NAME builds DIRECTORY/Dockerfile. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>

/* What of the Dockerfile means nothing here. */
static void notice(void *ctx, int line, const char *text)
{
    (void)ctx;
    printf("line %d: %s\n", line, text);
}

static int build(sbx_client *client, const char *directory, const char *name)
{
    static sbx_dir_tree dir;
    sbx_build_printer printer = {0};
    sbx_build_options options = {0};
    sbx_build_info *info = NULL;
    sbx_template *t = sbx_template_new(client);
    sbx_tree tree;
    int status;
    dir.root = directory;
    tree = sbx_tree_dir(&dir);
    sbx_template_context(t, &tree, NULL);
    sbx_template_from_dockerfile_in(t, "Dockerfile", notice, NULL);
    printer.to = sbx_sink_file(stdout);
    printer.plain = SBX_YES;
    options.name = name;
    options.log = sbx_build_print;
    options.ctx = &printer;
    status = sbx_template_build(t, &options, &info, NULL);
    if (status == SBX_OK) printf("built %s\n", info->template_id);
    sbx_free(info);
    sbx_template_release(t);
    return status;
}

int main(int argc, char **argv)
{
    sbx_client *client;
    sbx_error error;
    sbx_config config = {0};
    int status;
    if (argc != 3) {
        fprintf(stderr, "usage: %s DIRECTORY NAME\n", argv[0]);
        return 2;
    }
    config.error = &error;
    if (sbx_open(&client, &config) != SBX_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    status = build(client, argv[1], argv[2]);
    if (status != SBX_OK) fprintf(stderr, "%s\n", sbx_client_error(client)->message);
    sbx_close(client);
    return status != SBX_OK;
}
