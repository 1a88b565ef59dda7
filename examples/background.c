/* background - a program that runs while we do something else: feed its standard
   input, take its output when we like, let go of it, follow it again, end it. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

/* Pulls what the process says, up to and with `last`, or its end. */
static int show_until(sbx_proc *proc, const char *last)
{
    sbx_proc_event event;
    int status;
    while ((status = sbx_proc_next(proc, &event, NULL)) == SBX_OK) {
        if (event.part == SBX_PROC_END) break;
        printf("%s%.*s", event.part == SBX_PROC_ERR ? "(stderr) " : "", (int)event.len,
            (const char *)event.data);
        if (event.len >= strlen(last) && memcmp(event.data, last, strlen(last)) == 0) break;
    }
    return status;
}

static int work(sbx_sandbox *box)
{
    static const char cmd[] = "echo ready; while read x; do echo \"$x squared is $((x * x))\"; done;"
                              " echo no more input; sleep 1000";
    sbx_command_options options = {0};
    sbx_command_result result;
    sbx_proc *proc;
    uint32_t pid;
    bool existed;
    int status;
    options.keep_stdin = SBX_YES;
    options.pull = SBX_YES;     /* output waits until sbx_proc_next() takes it */
    if ((status = sbx_command_start(box, cmd, &options, &proc, NULL)) != SBX_OK) return status;
    pid = sbx_proc_pid(proc);
    printf("started as pid %lu\n", (unsigned long)pid);
    if ((status = show_until(proc, "ready")) == SBX_OK
        && (status = sbx_proc_write(proc, "12\n", 3, NULL)) == SBX_OK)
        status = show_until(proc, "12");
    sbx_proc_release(proc);     /* the process goes on */
    if (status != SBX_OK) return status;

    /* Another handle, perhaps of another program. */
    if ((status = sbx_command_connect(box, pid, &options, &proc, NULL)) != SBX_OK) return status;
    if ((status = sbx_proc_write(proc, "34\n", 3, NULL)) == SBX_OK
        && (status = show_until(proc, "34")) == SBX_OK
        && (status = sbx_proc_close_stdin(proc, NULL)) == SBX_OK
        && (status = show_until(proc, "no more")) == SBX_OK
        && (status = sbx_proc_kill(proc, &existed, NULL)) == SBX_OK
        && (status = sbx_proc_wait(proc, &result, NULL)) == SBX_OK)
        printf("exit code %d (%s)\n", (int)result.exit_code, result.reason);
    sbx_proc_release(proc);
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
        status = work(box);
        if (status != SBX_OK) fprintf(stderr, "%s\n", sbx_client_error(client)->message);
        sbx_sandbox_kill(box, NULL, NULL);
        sbx_sandbox_release(box);
    } else {
        fprintf(stderr, "create: %s\n", sbx_client_error(client)->message);
    }
    sbx_close(client);
    return status != SBX_OK;
}
