/* template_build - a template of one's own: steps on a base, what the build says as it
   goes, and a sandbox made from it. Files come from the directory named first. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

static void progress(void *ctx, int32_t done, int32_t all)
{
    (void)ctx;
    printf("step %d of %d\n", (int)done, (int)all);
}

/* A line of the log, to standard output without colours. */
static int show(void *ctx, const sbx_build_log *log)
{
    sbx_build_printer printer = {0};
    (void)ctx;
    printer.to = sbx_sink_file(stdout);
    printer.plain = SBX_YES;
    return sbx_build_print(&printer, log);
}

static int build(sbx_client *client, const char *directory, sbx_build_info **info)
{
    static sbx_dir_tree dir; /* large: it reads ahead */
    sbx_build_options options = {0};
    sbx_step_options as_root = {0};
    sbx_template *t = sbx_template_new(client);
    sbx_tree tree;
    sbx_pair env = { "GREETING", "hello from the build" };
    sbx_pairs envs = { &env, 1 };
    int status;
    dir.root = directory;
    tree = sbx_tree_dir(&dir);
    sbx_template_from(t, SBX_IMAGE_BASE, NULL);
    sbx_template_context(t, &tree, NULL);
    sbx_template_envs(t, envs);
    sbx_template_copy(t, "*.c", "/opt/src/", NULL);
    as_root.user = "root";
    sbx_template_run(t, "ls /opt/src | wc -l && echo \"$GREETING\" > /opt/greeting", &as_root);
    options.name = "sandbox-h-example";
    options.log = show;
    options.progress = progress;
    status = sbx_template_build(t, &options, info, NULL); /* also says what was wrong above */
    sbx_template_release(t);
    return status;
}

static int use(sbx_client *client, const char *template_id)
{
    sbx_sandbox_options options = {0};
    sbx_command_options command = {0};
    sbx_sandbox *box;
    int status;
    options.template_id = template_id;
    status = sbx_sandbox_create(client, &options, &box, NULL);
    if (status != SBX_OK) return status;
    command.out = sbx_sink_file(stdout);
    status = sbx_command_run(box, "cat /opt/greeting", &command, NULL, NULL);
    sbx_sandbox_kill(box, NULL, NULL);
    sbx_sandbox_release(box);
    return status;
}

int main(int argc, char **argv)
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
    status = build(client, argc > 1 ? argv[1] : ".", &info);
    if (status == SBX_OK) status = use(client, info->template_id);
    if (status != SBX_OK) fprintf(stderr, "%s\n", sbx_client_error(client)->message);
    if (info) sbx_template_delete(client, info->template_id, NULL, NULL);
    sbx_free(info);
    sbx_close(client);
    return status != SBX_OK;
}
