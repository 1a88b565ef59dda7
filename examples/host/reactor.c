/* sandboxd: the one thread that waits: for output of all processes, messages of
   the agents and the zygote, and all clocks. It never blocks and never writes to
   a client, so a slow client costs nobody else anything. */
#include "box.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define BATCH 64

static int epoll_fd = -1;
static pthread_t thread;
static watch wake, zygote;
static bool stopping;
static pthread_mutex_t clock_lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t next_deadline = INT64_MAX;

/* Objects a later event of the same batch may still point to. */
static struct later { void (*fn)(void *); void *p; } *later;
static size_t later_count, later_room;

static void ring_the_bell(void)
{
    uint64_t one = 1;

    if (write(wake.fd, &one, sizeof one) < 0)
        return; /* full: it rings already */
}

static uint32_t listening(const watch *w)
{
    return w->nudge ? EPOLLIN | EPOLLOUT : EPOLLIN;
}

int reactor_add(watch *w)
{
    struct epoll_event e = { .events = listening(w), .data.ptr = w };

    w->on = true; /* before the reactor may see it */
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, w->fd, &e) == 0)
        return 0;
    w->on = false;
    return -errno;
}

void reactor_drop(watch *w)
{
    if (w->fd < 0)
        return;
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    close(w->fd);
    w->fd = -1;
    w->on = false;
}

void reactor_pause(watch *w, bool paused)
{
    /* A paused pipe that hangs up still reports EPOLLHUP: one-shot keeps it quiet. */
    struct epoll_event e = { .events = paused ? EPOLLONESHOT : listening(w), .data.ptr = w };

    if (w->on)
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, w->fd, &e);
}

void reactor_deadline(int64_t mono)
{
    bool sooner;

    pthread_mutex_lock(&clock_lock);
    sooner = mono < next_deadline;
    if (sooner)
        next_deadline = mono;
    pthread_mutex_unlock(&clock_lock);
    if (sooner)
        ring_the_bell();
}

void reactor_later(void (*fn)(void *), void *p)
{
    if (later_count == later_room) {
        size_t room = later_room ? later_room * 2 : BATCH;
        struct later *grown = realloc(later, room * sizeof *grown);

        if (!grown)
            return; /* a leak is better than a dangling event */
        later = grown;
        later_room = room;
    }
    later[later_count++] = (struct later){ fn, p };
}

static void zygote_message(void)
{
    id_msg m;
    ssize_t n;

    while ((n = msg_recv(zygote.fd, &m, sizeof m, NULL, NULL, MSG_DONTWAIT)) > 0)
        if (n == (ssize_t)sizeof m && m.type == M_DEAD)
            box_on_dead(m.id, (int)m.status);
    if (n == 0 && !stopping) {
        log_at(0, "the helper process died: every sandbox is gone, ending");
        _exit(1);
    }
}

static void serve(watch *w)
{
    uint64_t count;

    if (w->fd < 0)
        return; /* dropped earlier in this batch */
    switch (w->kind) {
    case W_WAKE:
        if (read(w->fd, &count, sizeof count) < 0)
            return;
        break;
    case W_ZYGOTE:
        zygote_message();
        break;
    case W_BOX:
        box_on_message(w->owner);
        break;
    case W_OUT:
    case W_ERR:
        proc_readable(w->owner, w);
        break;
    }
}

static int wait_ms(void)
{
    int64_t now = mono_ms(), left;

    pthread_mutex_lock(&clock_lock);
    left = next_deadline == INT64_MAX ? -1 : next_deadline > now ? next_deadline - now : 0;
    pthread_mutex_unlock(&clock_lock);
    return left > 1000000 ? 1000000 : (int)left;
}

static void check_clocks(void)
{
    int64_t now = mono_ms(), next = INT64_MAX;

    pthread_mutex_lock(&clock_lock);
    if (next_deadline > now) {
        pthread_mutex_unlock(&clock_lock);
        return;
    }
    next_deadline = INT64_MAX; /* what is set from here on counts again */
    pthread_mutex_unlock(&clock_lock);
    box_expire(now, &next);
    if (next != INT64_MAX)
        reactor_deadline(next);
}

static void *run(void *unused)
{
    struct epoll_event events[BATCH];

    (void)unused;
    while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
        int n = epoll_wait(epoll_fd, events, BATCH, wait_ms());

        for (int i = 0; i < n; i++)
            serve(events[i].data.ptr);
        check_clocks();
        while (later_count > 0) {
            struct later l = later[--later_count];

            l.fn(l.p);
        }
    }
    free(later);
    return NULL;
}

void reactor_start(int zygote_sock)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    wake = (watch){ .kind = W_WAKE, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
    zygote = (watch){ .kind = W_ZYGOTE, .fd = zygote_sock };
    if (epoll_fd < 0 || wake.fd < 0 || reactor_add(&wake) != 0 || reactor_add(&zygote) != 0)
        die("epoll: %s", strerror(errno));
    if (pthread_create(&thread, NULL, run, NULL) != 0)
        die("cannot start a thread");
}

void reactor_stop(void)
{
    __atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
    ring_the_bell();
    pthread_join(thread, NULL);
    close(wake.fd);
    close(epoll_fd);
}
