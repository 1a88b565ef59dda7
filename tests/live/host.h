/* host.h - for live tests that start hosts of their own: SANDBOXD, else
   build/sandboxd, on a free port, with its default key. */
#ifndef SBX_LIVE_HOST_H
#define SBX_LIVE_HOST_H

#include "live.h"
#include <signal.h>
#include <sys/wait.h>

typedef struct host { pid_t pid; char url[64]; } host;

/* args: further ones, to a NULL; or NULL. */
static bool host_start(host *h, const char *const *args)
{
    int out[2];
    size_t n = 0;
    char line[256], *url;
    const char *path = getenv("SANDBOXD"), *argv[64] = { "sandboxd", "--port", "0" };
    int count = 3;
    for (; args && *args && count < 63; args++) argv[count++] = *args;
    if (!path) path = "build/sandboxd";
    if (pipe(out) != 0) return false;
    h->pid = fork();
    if (h->pid == 0) {
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        if (!freopen("/dev/null", "w", stderr)) _exit(126);
        unsetenv("E2B_API_URL");
        execv(path, (char **)argv);
        _exit(127);
    }
    close(out[1]);
    while (n < sizeof line - 1 && read(out[0], line + n, 1) == 1 && line[n] != '\n') n++;
    line[n] = 0;
    close(out[0]);
    url = strstr(line, "http://");
    if (!url) return false;
    sbxi_put_text(h->url, sizeof h->url, url, strlen(url));
    return true;
}

static void host_end(host *h, int sig)
{
    int status;
    if (h->pid > 0) {
        kill(h->pid, sig);
        waitpid(h->pid, &status, 0);
    }
    h->pid = 0;
}

/* base: of what may be set beside it. */
static sbx_client *host_client_with(const host *h, const sbx_config *base)
{
    sbx_config cfg = *base;
    cfg.provider = &sbx_e2b;
    cfg.api_key = "e2b_0000000000000000000000000000000000000000";
    cfg.api_url = cfg.sandbox_url = h->url;
    cfg.environment = SBX_NO;
    return live_open(&cfg);
}

static TEST_UNUSED sbx_client *host_client(const host *h)
{
    sbx_config cfg;
    memset(&cfg, 0, sizeof cfg);
    return host_client_with(h, &cfg);
}

#endif
