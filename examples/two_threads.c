/* two_threads - two threads with a client each. A client belongs to one thread at a
   time; clients share nothing, so that no locks are needed. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <pthread.h>
#include <stdio.h>

typedef struct worker {
    const char *cmd;
    pthread_t thread;
    char out[64];           /* the results, read after the thread's end */
    int32_t exit_code;
    sbx_error error;
} worker;

static int run(worker *w, sbx_client *client)
{
    sbx_call call = {0};
    sbx_command_options options = {0};
    sbx_command_result result;
    sbx_memory memory = {0};
    sbx_sandbox *box;
    int status;
    call.error = &w->error;
    memory.data = w->out;
    memory.cap = sizeof w->out - 1; /* stays NUL-terminated */
    options.out = sbx_sink_memory(&memory);
    status = sbx_sandbox_create(client, NULL, &box, &call);
    if (status != SBX_OK) return status;
    status = sbx_command_run(box, w->cmd, &options, &result, &call);
    w->exit_code = result.exit_code;
    sbx_sandbox_kill(box, NULL, NULL);
    sbx_sandbox_release(box);
    return status;
}

static void *work(void *arg)
{
    worker *w = arg;
    sbx_config config = {0};
    sbx_client *client;
    config.error = &w->error;
    if (sbx_open(&client, &config) != SBX_OK) return NULL;
    w->error.status = run(w, client);
    sbx_close(client);
    return NULL;
}

int main(void)
{
    worker workers[2] = { { .cmd = "echo first" }, { .cmd = "echo second; exit 2" } };
    int i, failed = 0;
#if defined(PSA_SUCCESS)
    psa_crypto_init();  /* state of the whole process: before the threads start */
#endif
    for (i = 0; i < 2; i++)
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) return 1;
    for (i = 0; i < 2; i++) {
        worker *w = &workers[i];
        pthread_join(w->thread, NULL);
        if (w->error.status == SBX_OK) printf("exit code %d: %s", (int)w->exit_code, w->out);
        else fprintf(stderr, "%s\n", w->error.message);
        failed |= w->error.status != SBX_OK;
    }
    return failed;
}
