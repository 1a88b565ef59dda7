/* epoll_loop - a loop of one's own (Linux): two streams of output and a timer are
   waited for in one place. sbx_waits() says what the client waits for, sbx_ready()
   tells it what has happened, sbx_poll() with 0 does the work and never sleeps. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>
#ifdef __linux__
#include <sys/epoll.h>
#include <sys/timerfd.h>

enum { MOST = 16, TIMER = MOST };

static int show(void *name, const void *data, size_t len)
{
    printf("%s: %.*s", (const char *)name, (int)len, (const char *)data);
    return SBX_OK;
}

static void done(void *name, sbx_op *op, int status)
{
    printf("%s: %s\n", (const char *)name, sbx_status_name(status));
    sbx_op_release(op);
}

static int start(sbx_sandbox *box, char *name, const char *cmd)
{
    static sbx_op *op;  /* done() releases it */
    sbx_command_options options = {0};
    sbx_call call = {0};
    options.out.put = show;
    options.out.ctx = call.user = name;
    call.op = &op;
    call.done = done;
    return sbx_command_run(box, cmd, &options, NULL, &call);
}

/* Registers the descriptor, or arms it again: it fires once, so that one of a
   connection that is no longer waited for does no harm. */
static void arm(int epoll, int fd, unsigned index, int want)
{
    struct epoll_event e = {0};
    e.data.u32 = index;
    e.events = (want & SBX_WANT_READ ? EPOLLIN : 0) | (want & SBX_WANT_WRITE ? EPOLLOUT : 0);
    e.events |= EPOLLONESHOT;
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &e) != 0) epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
}

static int loop(sbx_client *client, int epoll, int timer)
{
    sbx_wait waits[MOST];
    size_t running = 2, n, i;
    int status = SBX_OK;
    while (running > 0 && status == SBX_OK) {
        struct epoll_event events[8];
        uint64_t rings;
        uint32_t next_ms;
        int got;
        sbx_waits(client, waits, MOST, &n, &next_ms);
        n = n < MOST ? n : MOST;    /* connections that found no room are tried anyway */
        for (i = 0; i < n; i++) arm(epoll, sbx_wait_fd(&waits[i]), (unsigned)i, waits[i].want);
        arm(epoll, timer, TIMER, SBX_WANT_READ);
        got = epoll_wait(epoll, events, 8, next_ms > 1000000 ? 1000000 : (int)next_ms);
        while (got-- > 0) {
            if (events[got].data.u32 < n) waits[events[got].data.u32].ready = 1;
            else if (events[got].data.u32 == TIMER && read(timer, &rings, sizeof rings) > 0)
                printf("timer: rings\n");
        }
        sbx_ready(client, waits, n);
        status = sbx_poll(client, 0, &running);
    }
    return status;
}

int main(void)
{
    sbx_client *client;
    sbx_sandbox *box;
    struct itimerspec each = { { 0, 300000000 }, { 0, 300000000 } };
    int epoll = epoll_create1(EPOLL_CLOEXEC), status = SBX_E_ARG;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (epoll < 0 || timer < 0 || sbx_open(&client, NULL) != SBX_OK) return 1;
    if (sbx_sandbox_create(client, NULL, &box, NULL) == SBX_OK) {
        timerfd_settime(timer, 0, &each, NULL);
        if (start(box, "one", "for i in 1 2 3; do echo $i; sleep 0.4; done") == SBX_PENDING
            && start(box, "two", "sleep 0.2; for i in a b; do echo $i; sleep 0.4; done")
                == SBX_PENDING)
            status = loop(client, epoll, timer);
        sbx_sandbox_kill(box, NULL, NULL);
        sbx_sandbox_release(box);
    }
    if (status != SBX_OK) fprintf(stderr, "%s\n", sbx_client_error(client)->message);
    sbx_close(client);
    return status != SBX_OK;
}
#else
int main(void) { return fprintf(stderr, "epoll is Linux's: see two_at_once.c\n") > 0; }
#endif
