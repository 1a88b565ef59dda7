/* pty_shell - a shell in a sandbox, on this terminal: raw while it lasts, resized as
   this one is, put back whatever happens. Ends with the shell (exit, ^D). */
#define _DEFAULT_SOURCE /* cfmakeraw() */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { MOST = 16 };
static struct termios before;
static volatile sig_atomic_t raw, resized, ended;

static void put_back(void) { if (raw) tcsetattr(0, TCSANOW, &before); raw = 0; }

static void on_signal(int sig)
{
    if (sig == SIGWINCH) resized = 1;
    else if (sig == SIGHUP || sig == SIGINT || sig == SIGTERM) ended = 1; /* sandbox too */
    else put_back();            /* a crash; SA_RESETHAND: it goes on as one */
}

static void go_raw(void)
{
    static const int signals[7] = { SIGWINCH, SIGHUP, SIGINT, SIGTERM, SIGSEGV, SIGBUS, SIGABRT };
    struct sigaction action = {0};
    struct termios now;
    int i;
    action.sa_handler = on_signal;  /* no SA_RESTART: poll() returns at once */
    for (i = 0; i < 7; action.sa_flags = i < 4 ? 0 : (int)SA_RESETHAND)
        sigaction(signals[i++], &action, NULL);
    atexit(put_back);
    if (tcgetattr(0, &before) != 0) return; /* a pipe: fine as it is */
    now = before;
    cfmakeraw(&now);
    raw = 1;
    tcsetattr(0, TCSADRAIN, &now);
}

static int shell(sbx_client *client, sbx_sandbox *box)
{
    struct winsize size = {0};
    struct pollfd fds[MOST + 1] = { { 0, POLLIN, 0 } };
    sbx_command_options options = {0};
    sbx_wait waits[MOST];
    sbx_proc *proc;
    char keys[4096];
    int status;
    options.out = sbx_sink_fd(1);
    options.timeout_ms = SBX_NEVER;
    ioctl(0, TIOCGWINSZ, &size);
    status = sbx_pty_create(box, size.ws_col, size.ws_row, &options, &proc, NULL);
    if (status != SBX_OK) return status;
    go_raw();
    while (status == SBX_OK && !ended && sbx_proc_status(proc) == SBX_PENDING) {
        uint32_t next_ms;
        size_t i, n;
        sbx_waits(client, waits, MOST, &n, &next_ms);
        for (i = 0; i < n && i < MOST; i++) {
            fds[i + 1].fd = sbx_wait_fd(&waits[i]);
            fds[i + 1].events = waits[i].want & SBX_WANT_WRITE ? POLLIN | POLLOUT : POLLIN;
        }
        fds[0].revents = 0;
        poll(fds, (nfds_t)i + 1, next_ms > 1000 ? 1000 : (int)next_ms);
        if (fds[0].revents) {
            ssize_t got = read(0, keys, sizeof keys);
            if (got > 0) status = sbx_proc_write(proc, keys, (size_t)got, NULL);
            else fds[0].fd = -1, status = sbx_proc_write(proc, "\004", 1, NULL); /* its ^D */
        }
        if (resized && ioctl(0, TIOCGWINSZ, &size) == 0)
            status = sbx_proc_resize(proc, size.ws_col, size.ws_row, NULL);
        resized = 0;
        sbx_poll(client, 0, NULL);
    }
    if (sbx_proc_status(proc) != SBX_PENDING) status = sbx_proc_status(proc);
    sbx_proc_release(proc);
    put_back();
    return status;
}

int main(void)
{
    sbx_client *client; sbx_sandbox *box;
    sbx_error error; sbx_config config = {0};
    int status;
    config.error = &error;
    if (sbx_open(&client, &config) != SBX_OK) return fprintf(stderr, "%s\n", error.message) > 0;
    if ((status = sbx_sandbox_create(client, NULL, &box, NULL)) == SBX_OK) {
        status = shell(client, box);
        sbx_sandbox_kill(box, NULL, NULL);
        sbx_sandbox_release(box);
    }
    if (status != SBX_OK) fprintf(stderr, "%s\n", sbx_status_name(status));
    sbx_close(client);
    return status != SBX_OK;
}
