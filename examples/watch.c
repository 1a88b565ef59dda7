/* watch - what happens in a directory and below it, as it happens. Events come in
   each(), while any call of this client runs or sbx_poll() waits. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

static int each(void *ctx, const sbx_watch_event *event)
{
    static const char *const words[] = { "?", "created", "written", "removed", "renamed", "changed" };
    bool *done = ctx;
    printf("%s %s", words[event->type], event->name);
    if (event->entry) /* as it was when the host looked */
        printf(" (%s, by %s)", event->entry->permissions, event->entry->owner);
    printf("\n");
    if (strcmp(event->name, "the end") == 0) *done = true;
    return SBX_OK;          /* a negative one would end the watch */
}

static int work(sbx_client *client, sbx_sandbox *box)
{
    sbx_watch_options options = {0};
    sbx_watch *watch;
    bool done = false;
    int status = sbx_files_make_dir(box, "watched/sub", NULL, NULL, NULL);
    if (status != SBX_OK) return status;
    options.recursive = SBX_YES;
    options.entries = SBX_YES;
    status = sbx_files_watch(box, "watched", &options, each, &done, &watch, NULL);
    if (status != SBX_OK) return status;
    status = sbx_command_run(box, "cd watched && echo 1 > sub/a && mv sub/a sub/b"
                             " && chmod 600 sub/b && rm sub/b && touch 'the end'", NULL, NULL, NULL);
    while (status == SBX_OK && !done && sbx_watch_status(watch) == SBX_PENDING)
        status = sbx_poll(client, 1000, NULL);
    if (status == SBX_OK && !done) status = sbx_watch_status(watch);
    if (status == SBX_OK) status = sbx_watch_stop(watch, NULL);
    sbx_watch_release(watch);
    return status;
}

int main(void)
{
    sbx_client *client;
    sbx_sandbox *box;
    sbx_error error;
    sbx_config config = {0};
    int status;
    config.error = &error;
    if (sbx_open(&client, &config) != SBX_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    if ((status = sbx_sandbox_create(client, NULL, &box, NULL)) == SBX_OK) {
        status = work(client, box);
        if (status != SBX_OK) fprintf(stderr, "%s\n", sbx_client_error(client)->message);
        sbx_sandbox_kill(box, NULL, NULL);
        sbx_sandbox_release(box);
    } else {
        fprintf(stderr, "create: %s\n", sbx_client_error(client)->message);
    }
    sbx_close(client);
    return status != SBX_OK;
}
