/* pause_resume - a sandbox that costs nothing while nobody needs it: paused in the
   middle of its work, found again by its id, and gone on with. Then a snapshot: a
   template to start others from. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

/* Runs a command and shows what it says. */
static int say(sbx_sandbox *box, const char *cmd)
{
    sbx_command_options options = {0};
    sbx_command_result result;
    int status;
    options.capture_limit = 4096;
    status = sbx_command_run(box, cmd, &options, &result, NULL);
    if (status != SBX_OK) return status;
    printf("  %s -> %s", cmd, result.out);
    sbx_free(result.out);
    sbx_free(result.err);
    return SBX_OK;
}

/* The process counts on, from where it was. */
static int sleep_and_wake(sbx_client *client, sbx_sandbox *box)
{
    sbx_sandbox *same = NULL;
    char id[64];
    bool resumed = false;
    int status;
    sbx_proc *counter = NULL;
    strncpy(id, sbx_sandbox_id(box), sizeof id - 1);
    id[sizeof id - 1] = '\0';
    status = sbx_command_start(box, "i=0; while sleep 0.1; do i=$((i+1)); echo $i > count; done",
        NULL, &counter, NULL);
    if (status != SBX_OK) return status;
    sbx_proc_release(counter); /* only the handle: the process runs on */
    if ((status = sbx_sandbox_pause(box, NULL, NULL, NULL)) != SBX_OK) return status;
    printf("paused\n");
    /* Later, perhaps in another program: the id is enough. */
    status = sbx_sandbox_attach(client, id, NULL, &same);
    if (status == SBX_OK) status = sbx_sandbox_connect(same, 300, &resumed, NULL);
    if (status == SBX_OK) {
        printf("resumed: %s\n", resumed ? "yes" : "it ran already");
        status = say(same, "sleep 0.5; test $(cat count) -gt 1 && echo it counts");
    }
    sbx_sandbox_release(same);
    return status;
}

static int start_from_a_copy(sbx_client *client, sbx_sandbox *box)
{
    sbx_snapshot_info *snapshot = NULL;
    sbx_sandbox_options options = {0};
    sbx_sandbox *copy = NULL;
    int status = say(box, "echo prepared > work; cat work");
    if (status == SBX_OK) status = sbx_snapshot_create(box, NULL, &snapshot, NULL);
    if (status != SBX_OK) return status;
    printf("snapshot made\n");
    options.template_id = snapshot->id;
    status = sbx_sandbox_create(client, &options, &copy, NULL);
    if (status == SBX_OK) status = say(copy, "cat work");
    if (copy) sbx_sandbox_kill(copy, NULL, NULL);
    sbx_sandbox_release(copy);
    if (sbx_snapshot_delete(client, snapshot->id, NULL, NULL) == SBX_OK)
        printf("snapshot deleted\n");
    sbx_free(snapshot);
    return status;
}

int main(void)
{
    sbx_client *client;
    sbx_sandbox *box = NULL;
    sbx_error error;
    sbx_config config = {0};
    int status;
    config.error = &error;
    if (sbx_open(&client, &config) != SBX_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    status = sbx_sandbox_create(client, NULL, &box, NULL);
    if (status == SBX_OK) status = sleep_and_wake(client, box);
    if (status == SBX_OK) status = start_from_a_copy(client, box);
    if (status != SBX_OK) fprintf(stderr, "%s\n", sbx_client_error(client)->message);
    if (box) sbx_sandbox_kill(box, NULL, NULL);
    sbx_sandbox_release(box);
    sbx_close(client);
    return status != SBX_OK;
}
