/* sandboxd: processes of a sandbox and their output.

   Each process has one ring, filled by the reactor from its pipes and read by
   any number of readers, each at its own place. When the slowest has not made
   room the pipes are left alone: they fill, the process waits. Without a reader
   output is thrown away. Memory of a stream: the ring, whatever its length. */
#include "watch.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#define READ_BYTES 32768u       /* the most of one piece */
#define PTY_READ_BYTES 16384u
#define ITEM_HEAD 4u

/* ---- life of the object ---- */
static void proc_free(proc *p)
{
    box *b = p->b;

    if (p->out.fd >= 0)
        close(p->out.fd);
    if (p->err.fd >= 0)
        close(p->err.fd);
    if (p->in >= 0)
        close(p->in);
    for (size_t i = 0; i < p->argc; i++)
        free(p->args[i]);
    free(p->args);
    free(p->cmd);
    free(p->cwd);
    free(p->tag);
    free(p->ring);
    pairs_free(&p->envs);
    pthread_mutex_destroy(&p->in_lock);
    free(p);
    box_unref(b);
}

void proc_unref(void *ptr)
{
    proc *p = ptr;
    int left;

    pthread_mutex_lock(&p->b->lock);
    left = --p->refs;
    pthread_mutex_unlock(&p->b->lock);
    if (left == 0)
        proc_free(p);
}

/* Reactor thread, under lock: the list lets go of it. */
static void unlist(proc *p)
{
    proc **at = &p->b->procs;

    if (!p->listed)
        return;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    p->listed = false;
    reactor_later(proc_unref, p);
}

static void wake_readers(proc *p)
{
    uint64_t one = 1;

    for (sub *s = p->subs; s; s = s->next)
        if (s->waiting) {
            s->waiting = false;
            if (write(s->event, &one, sizeof one) < 0)
                log_at(2, "eventfd: %s", strerror(errno));
        }
}

static void close_input_if_free(proc *p)
{
    if (pthread_mutex_trylock(&p->in_lock) != 0)
        return; /* a writer has it, and closes it when done */
    if (p->in >= 0)
        close(p->in);
    p->in = -1;
    pthread_mutex_unlock(&p->in_lock);
}

static void check_end(proc *p)
{
    if (!p->exited || p->out.fd >= 0 || p->err.fd >= 0 || p->ended)
        return;
    p->ended = true;
    p->ended_at = mono_ms();
    p->deadline = 0;
    close_input_if_free(p);
    reactor_deadline(p->ended_at + KEEP_ENDED_MS);
    wake_readers(p);
}

static void drop_pipe(proc *p, watch *w)
{
    if (w->fd < 0)
        return;
    if (w->on)
        reactor_later(proc_unref, p);
    reactor_drop(w);
}

/* ---- ring ---- */
static size_t room(const proc *p)
{
    uint64_t tail = p->head;

    for (const sub *s = p->subs; s; s = s->next)
        if (s->at < tail)
            tail = s->at;
    return (size_t)(RING_BYTES - (p->head - tail));
}

/* Returns read()'s result; bytes land behind the place of the item's head. */
static ssize_t read_into_ring(proc *p, int fd, size_t max, piece_kind kind)
{
    size_t start = (size_t)((p->head + ITEM_HEAD) % RING_BYTES);
    size_t first = RING_BYTES - start < max ? RING_BYTES - start : max;
    struct iovec iov[2] = { { p->ring + start, first }, { p->ring, max - first } };
    ssize_t n = readv(fd, iov, max > first ? 2 : 1);

    if (n > 0) {
        unsigned char head[ITEM_HEAD] = { (unsigned char)kind, (unsigned char)(n >> 16),
                                          (unsigned char)(n >> 8), (unsigned char)n };

        for (size_t i = 0; i < ITEM_HEAD; i++)
            p->ring[(p->head + i) % RING_BYTES] = head[i];
        p->head += ITEM_HEAD + (size_t)n;
    }
    return n;
}

/* One read from a pipe. 1: there may be more, 0: nothing now, -1: closed. */
static int read_pipe(proc *p, watch *w)
{
    static unsigned char waste[65536]; /* reactor thread only */
    piece_kind kind = p->pty ? PIECE_PTY : w == &p->out ? PIECE_OUT : PIECE_ERR;
    ssize_t n;

    if (p->subs && p->ring) {
        size_t free_bytes = room(p), max = p->pty ? PTY_READ_BYTES : READ_BYTES;

        if (free_bytes < ITEM_HEAD + READ_BYTES) {
            p->paused = true;
            reactor_pause(&p->out, true);
            reactor_pause(&p->err, true);
            return 0;
        }
        n = read_into_ring(p, w->fd, max, kind);
    } else {
        n = read(w->fd, waste, sizeof waste);
    }
    if (n > 0)
        return 1;
    /* A terminal is hung up when the leader of its session ends, but does not tell
       while a child has it open: empty is its end then. */
    if (n < 0 && (errno == EINTR || (errno == EAGAIN && !(p->pty && p->exited))))
        return 0;
    drop_pipe(p, w);
    return -1;
}

void proc_readable(proc *p, watch *w)
{
    pthread_mutex_lock(&p->b->lock);
    if (w->fd >= 0 && read_pipe(p, w) != 0) {
        wake_readers(p);
        check_end(p);
    }
    pthread_mutex_unlock(&p->b->lock);
}

static void take_rest(proc *p, watch *w)
{
    for (int i = 0; i < 64 && w->fd >= 0 && read_pipe(p, w) == 1; i++)
        ;
    drop_pipe(p, w);
}

void proc_log_end(box *b, int32_t pid, int status)
{
    if (WIFSIGNALED(status))
        box_log(b, "info", "process %d ended: signal %d", (int)pid, WTERMSIG(status));
    else
        box_log(b, "info", "process %d ended: exit status %d", (int)pid, WEXITSTATUS(status));
}

void proc_exited(box *b, uint64_t token, int status)
{
    int32_t pid = 0;

    pthread_mutex_lock(&b->lock);
    for (proc *p = b->procs; p; p = p->next) {
        if (p->token != token)
            continue;
        p->exited = true;
        p->status = status;
        pid = p->told ? p->pid : 0; /* else who started it tells of both */
        /* One that was told to end does not wait for children that hold its
           pipes open. */
        if (p->signalled || p->deadline_hit) {
            take_rest(p, &p->out);
            take_rest(p, &p->err);
            wake_readers(p);
        } else if (p->pty && p->out.fd >= 0) {
            p->out.nudge = true;
            if (!p->paused)
                reactor_pause(&p->out, false);
        }
        check_end(p);
        break;
    }
    pthread_mutex_unlock(&b->lock);
    if (pid)
        proc_log_end(b, pid, status);
}

void procs_lost(box *b)
{
    proc *next;

    watchers_lost(b);
    for (proc *p = b->procs; p; p = next) {
        next = p->next;
        p->lost = true;
        drop_pipe(p, &p->out);
        drop_pipe(p, &p->err);
        close_input_if_free(p);
        wake_readers(p);
        unlist(p);
    }
}

void procs_expire(box *b, int64_t now, int64_t *next)
{
    proc *following;

    for (proc *p = b->procs; p; p = following) {
        int64_t at = 0;

        following = p->next;
        if (p->deadline && !p->exited && p->pid > 0) {
            if (now >= p->deadline) {
                token_msg m = { M_SIGNAL, SIGKILL, p->token };

                p->deadline = 0;
                p->deadline_hit = true;
                p->cutoff = p->head;
                msg_send(b->sock.fd, &m, sizeof m, NULL, 0);
                wake_readers(p);
            } else {
                at = p->deadline;
            }
        }
        if (p->ended) {
            at = p->ended_at + KEEP_ENDED_MS;
            if (now >= at) {
                unlist(p);
                at = 0;
            }
        }
        if (at && at < *next)
            *next = at;
    }
}

/* ---- readers ---- */
sub *sub_attach(proc *p)
{
    sub *s = xalloc(sizeof *s);

    s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->event < 0) {
        free(s);
        return NULL;
    }
    pthread_mutex_lock(&p->b->lock);
    if (!p->ring && !p->ended)
        p->ring = malloc(RING_BYTES);
    s->p = p;
    s->at = p->head;
    s->next = p->subs;
    p->subs = s;
    p->refs++;
    pthread_mutex_unlock(&p->b->lock);
    return s;
}

static void resume(proc *p)
{
    if (p->paused && (!p->subs || room(p) >= RING_BYTES / 2)) {
        p->paused = false;
        reactor_pause(&p->out, false);
        reactor_pause(&p->err, false);
    }
}

void sub_detach(sub *s)
{
    proc *p = s->p;
    sub **at;

    pthread_mutex_lock(&p->b->lock);
    for (at = &p->subs; *at != s; at = &(*at)->next)
        ;
    *at = s->next;
    if (!p->subs) {
        free(p->ring);
        p->ring = NULL;
    }
    resume(p);
    pthread_mutex_unlock(&p->b->lock);
    close(s->event);
    free(s);
    proc_unref(p);
}

sub_state sub_peek(sub *s, sub_piece *piece)
{
    proc *p = s->p;
    sub_state state = SUB_WAIT;
    size_t at;

    pthread_mutex_lock(&p->b->lock);
    if (s->left == 0 && s->at < p->head && p->ring) {
        unsigned char head[ITEM_HEAD];

        for (size_t i = 0; i < ITEM_HEAD; i++)
            head[i] = p->ring[(s->at + i) % RING_BYTES];
        s->kind = (piece_kind)head[0];
        s->left = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        s->at += ITEM_HEAD;
    }
    if (p->lost) {
        state = SUB_LOST;
    } else if (s->owner && p->deadline_hit && s->at >= p->cutoff) {
        state = SUB_DEADLINE;
    } else if (s->left > 0) {
        at = (size_t)(s->at % RING_BYTES);
        piece->kind = s->kind;
        piece->data = p->ring + at;
        piece->len = s->left < RING_BYTES - at ? s->left : RING_BYTES - at;
        state = SUB_DATA;
    } else if (p->ended) {
        state = SUB_END;
    } else {
        s->waiting = true;
    }
    pthread_mutex_unlock(&p->b->lock);
    return state;
}

void sub_take(sub *s, size_t len)
{
    pthread_mutex_lock(&s->p->b->lock);
    s->at += len;
    s->left -= len;
    resume(s->p);
    pthread_mutex_unlock(&s->p->b->lock);
}

/* ---- what clients ask of a process ---- */
proc *proc_find(box *b, int64_t pid, const char *tag)
{
    proc *found = NULL;

    pthread_mutex_lock(&b->lock);
    for (proc *p = b->procs; p; p = p->next) {
        if (p->pid <= 0 || (tag ? !p->tag || strcmp(p->tag, tag) : p->pid != pid))
            continue;
        if (!found || found->ended) /* a pid may have been used again */
            found = p;
    }
    if (found)
        found->refs++;
    pthread_mutex_unlock(&b->lock);
    return found;
}

int proc_signal(proc *p, int sig)
{
    token_msg m = { M_SIGNAL, sig, p->token };
    int result = -ESRCH;

    pthread_mutex_lock(&p->b->lock);
    if (!p->exited && !p->lost && p->b->sock.fd >= 0) {
        p->signalled |= sig == SIGKILL || sig == SIGTERM;
        result = msg_send(p->b->sock.fd, &m, sizeof m, NULL, 0) == 0 ? 0 : -EIO;
    }
    pthread_mutex_unlock(&p->b->lock);
    return result;
}

static bool is_over(proc *p)
{
    bool over;

    pthread_mutex_lock(&p->b->lock);
    over = p->ended || p->lost;
    pthread_mutex_unlock(&p->b->lock);
    return over;
}

int proc_input(proc *p, const void *data, size_t len, int conn_fd)
{
    const char *at = data;
    int result = 0;

    pthread_mutex_lock(&p->in_lock);
    while (len > 0 && result == 0) {
        ssize_t n = p->in >= 0 ? write(p->in, at, len) : -1;

        if (p->in < 0) {
            result = -EBADF;
        } else if (n >= 0) {
            at += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd w[2] = { { p->in, POLLOUT, 0 }, { conn_fd, POLLRDHUP, 0 } };

            poll(w, 2, 1000);
            if (w[1].revents & (POLLRDHUP | POLLHUP | POLLERR))
                result = -ECANCELED; /* the client left */
            else if (is_over(p))
                result = -EPIPE; /* a child may hold the other end */
        } else if (errno != EINTR) {
            result = -errno;
        }
    }
    pthread_mutex_unlock(&p->in_lock);
    pthread_mutex_lock(&p->b->lock);
    if (p->ended || p->lost)
        close_input_if_free(p);
    pthread_mutex_unlock(&p->b->lock);
    return result;
}

int proc_resize(proc *p, uint16_t cols, uint16_t rows)
{
    struct winsize size = { .ws_row = rows, .ws_col = cols };
    int result = p->pty ? -EBADF : -ENOTTY;

    pthread_mutex_lock(&p->b->lock);
    if (p->pty && p->out.fd >= 0)
        result = ioctl(p->out.fd, TIOCSWINSZ, &size) == 0 ? 0 : -errno;
    pthread_mutex_unlock(&p->b->lock);
    return result;
}

int proc_close_input(proc *p)
{
    int result = -EBADF;

    pthread_mutex_lock(&p->in_lock);
    if (p->in >= 0 && !p->pty) {
        close(p->in);
        p->in = -1;
        result = 0;
    }
    pthread_mutex_unlock(&p->in_lock);
    return result;
}
