/* two_at_once - two commands of one sandbox run side by side, without threads:
   with call.op set a call only starts, and sbx_poll() drives all of them. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>

typedef struct job {
    const char *name, *cmd;
    sbx_op *op;
    sbx_error error;
    sbx_command_result result;
} job;

static int show(void *ctx, const void *data, size_t len)
{
    printf("%s %.*s", ((job *)ctx)->name, (int)len, (const char *)data);
    fflush(stdout);
    return SBX_OK;
}

static void done(void *user, sbx_op *op, int status)
{
    job *j = user;
    (void)op;
    if (status == SBX_OK) printf("%s ended with %d\n", j->name, (int)j->result.exit_code);
    else fprintf(stderr, "%s: %s\n", j->name, j->error.message);
}

/* Starts the job; options and call are copied, the job itself must stay. */
static int start(sbx_sandbox *box, job *j)
{
    sbx_command_options options = {0};
    sbx_call call = {0};
    options.out.put = show;
    options.out.ctx = j;
    call.op = &j->op;
    call.error = &j->error;
    call.done = done;
    call.user = j;
    return sbx_command_run(box, j->cmd, &options, &j->result, &call);
}

static int run(sbx_client *client, sbx_sandbox *box)
{
    job jobs[2] = {
        { .name = "[left] ", .cmd = "for i in 1 2 3; do echo $i; sleep 0.4; done" },
        { .name = "[right]", .cmd = "sleep 0.2; for i in a b c; do echo $i; sleep 0.4; done" }
    };
    size_t i, running = 2;
    int failed = 0, status = SBX_OK;
    for (i = 0; i < 2; i++)
        if (start(box, &jobs[i]) != SBX_PENDING) {
            fprintf(stderr, "%s: %s\n", jobs[i].name, jobs[i].error.message);
            failed = 1;
        }
    /* A program with work of its own would do it here, between the polls. */
    while (running > 0 && status == SBX_OK) status = sbx_poll(client, 1000, &running);
    for (i = 0; i < 2; i++) {
        if (!jobs[i].op || sbx_op_status(jobs[i].op) != SBX_OK) failed = 1;
        sbx_op_release(jobs[i].op);
    }
    return failed;
}

int main(void)
{
    sbx_client *client;
    sbx_sandbox *box;
    sbx_error error;
    sbx_config config = {0};
    int failed = 1;
    config.error = &error;
    if (sbx_open(&client, &config) != SBX_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    if (sbx_sandbox_create(client, NULL, &box, NULL) == SBX_OK) {
        failed = run(client, box);
        sbx_sandbox_kill(box, NULL, NULL);
        sbx_sandbox_release(box);
    } else {
        fprintf(stderr, "create: %s\n", sbx_client_error(client)->message);
    }
    sbx_close(client);
    return failed;
}
