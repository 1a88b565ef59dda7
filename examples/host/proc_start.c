/* sandboxd: starting a process. The host makes the pipes and hands one end of
   each to the agent, which forks; the answer socket closes when exec worked. */
#include "box.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define SPAWN_WAIT_MS 20000

/* Defaults first: whatever the client says later wins. */
static void environment(box *b, const proc_options *o, const fs_user *u, pair_list *e)
{
    char at[FS_PATH];

    pairs_add(e, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if (b->real) {
        snprintf(at, sizeof at, "%s%s", b->real, u->home);
        pairs_add(e, "HOME", at);
        snprintf(at, sizeof at, "%s/tmp", b->real);
        pairs_add(e, "TMPDIR", at);
    } else {
        pairs_add(e, "HOME", u->home);
    }
    pairs_add(e, "USER", u->name);
    pairs_add(e, "LOGNAME", u->name);
    pairs_copy(e, &b->env);
    pairs_copy(e, o->envs);
}

static int payload_fd(box *b, const proc_options *o, const fs_user *u, const char *cwd,
                      spawn_msg *m)
{
    pair_list env = { 0 };
    text t = { 0 };
    int fd = memfd_create("spawn", MFD_CLOEXEC);
    size_t bytes;

    text_add(&t, cwd, strlen(cwd) + 1);
    text_add(&t, o->cmd, strlen(o->cmd) + 1);
    for (size_t i = 0; i < o->argc; i++)
        text_add(&t, o->args[i], strlen(o->args[i]) + 1);
    m->argc = (uint32_t)o->argc + 1;
    environment(b, o, u, &env);
    for (size_t i = 0; i < env.count; i++) {
        text_str(&t, env.keys[i]);
        text_add(&t, "=", 1);
        text_add(&t, env.values[i], strlen(env.values[i]) + 1);
    }
    m->envc = (uint32_t)env.count;
    pairs_free(&env);
    bytes = t.len;
    m->payload = bytes;
    if (fd >= 0 && (t.cut || write_all(fd, t.p, bytes) != 0)) {
        close(fd);
        fd = -1;
    }
    text_free(&t);
    return fd;
}

static proc *proc_new(box *b, const proc_options *o)
{
    proc *p = xalloc(sizeof *p);

    p->b = box_ref(b);
    p->refs = 1;
    p->cmd = xstrdup(o->cmd);
    p->cwd = o->cwd ? xstrdup(o->cwd) : NULL;
    p->tag = o->tag ? xstrdup(o->tag) : NULL;
    p->argc = o->argc;
    p->args = xalloc(sizeof *p->args * (o->argc + 1));
    for (size_t i = 0; i < o->argc; i++)
        p->args[i] = xstrdup(o->args[i]);
    pairs_copy(&p->envs, o->envs);
    p->in = -1;
    p->pty = o->pty;
    p->has_in = o->want_stdin && !o->pty;
    p->out = (watch){ .kind = W_OUT, .fd = -1, .owner = p };
    p->err = (watch){ .kind = W_ERR, .fd = -1, .owner = p };
    pthread_mutex_init(&p->in_lock, NULL);
    return p;
}

/* fds[2..4] get the process's ends. */
static int make_pipes(proc *p, int fds[5])
{
    int pair[2];

    fds[2] = fds[3] = fds[4] = -1;
    if (p->pty)
        return 0; /* it comes from the sandbox */
    if (pipe2(pair, O_CLOEXEC) != 0)
        return -errno;
    p->out.fd = pair[0];
    fds[3] = pair[1];
    if (pipe2(pair, O_CLOEXEC) != 0)
        return -errno;
    p->err.fd = pair[0];
    fds[4] = pair[1];
    if (p->has_in) {
        if (pipe2(pair, O_CLOEXEC) != 0)
            return -errno;
        fds[2] = pair[0];
        p->in = pair[1];
        fcntl(p->in, F_SETFL, O_NONBLOCK);
    } else {
        fds[2] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    fcntl(p->out.fd, F_SETFL, O_NONBLOCK);
    fcntl(p->err.fd, F_SETFL, O_NONBLOCK);
    return fds[2] < 0 ? -errno : 0;
}

/* The terminal's end for the host: to read and to write. */
static int take_terminal(proc *p, int fd)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
    p->out.fd = fd;
    p->in = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return p->in >= 0 ? 0 : -errno;
}

/* Waits for the agent's answer, the terminal, and the exec. */
static int await_exec(proc *p, int sock, int32_t *pid, int *stage)
{
    int64_t until = mono_ms() + SPAWN_WAIT_MS;
    int result = -EIO;

    for (;;) {
        struct pollfd pfd = { sock, POLLIN, 0 };
        int64_t left = until - mono_ms();
        int fd = -1, nfds = 1;
        spawn_answer a;

        if (left <= 0 || poll(&pfd, 1, (int)left) == 0)
            return -ETIMEDOUT;
        if (msg_recv(sock, &a, sizeof a, &fd, &nfds, MSG_DONTWAIT) != (ssize_t)sizeof a)
            return result == 0 && p->pty && p->out.fd < 0 ? -EIO : result;
        if (nfds > 0 && (!p->pty || p->out.fd >= 0)) {
            close(fd);
            return -EIO;
        }
        if (nfds > 0) {
            if ((fd = take_terminal(p, fd)) != 0)
                return fd;
            continue;
        }
        if (a.stage) {
            *stage = a.stage;
            return a.err > 0 ? -a.err : -EIO;
        }
        *pid = a.pid;
        result = 0;
    }
}

/* Under lock. */
static int watch_pipe(proc *p, watch *w)
{
    if (reactor_add(w) == 0) {
        p->refs++;
        return 0;
    }
    close(w->fd);
    w->fd = -1;
    return -1;
}

/* Under no lock; the process runs. Lets the reactor see its pipes. */
static int go_live(proc *p, int32_t pid, int64_t life_ms)
{
    box *b = p->b;
    bool over;
    int result = 0;

    pthread_mutex_lock(&b->lock);
    if (p->lost) {
        result = -EIO;
    } else {
        p->pid = pid;
        if (life_ms > 0) {
            p->deadline = mono_ms() + life_ms;
            reactor_deadline(p->deadline);
        }
        result = watch_pipe(p, &p->out) | (p->pty ? 0 : watch_pipe(p, &p->err)) ? -EMFILE : 0;
    }
    pthread_mutex_unlock(&b->lock);
    if (result != 0)
        return result;
    box_log(b, "info", "process %d started: %s", (int)pid,
            p->argc ? p->args[p->argc - 1] : p->cmd);
    pthread_mutex_lock(&b->lock);
    p->told = true;
    over = p->exited;
    pthread_mutex_unlock(&b->lock);
    if (over)
        proc_log_end(b, pid, p->status);
    return 0;
}

static int ask_agent(box *b, const spawn_msg *m, const int *fds)
{
    int result = -EIO;

    pthread_mutex_lock(&b->lock); /* the reactor may close the socket */
    if (box_settled(b) == BOX_RUNNING && b->sock.fd >= 0)
        result = msg_send(b->sock.fd, m, sizeof *m, fds, m->flags & SPAWN_PTY ? 2 : 5) == 0
                 ? 0 : -EIO;
    pthread_mutex_unlock(&b->lock);
    return result;
}

static int spawn(proc *p, const proc_options *o, const fs_user *u, const char *cwd, int *stage)
{
    spawn_msg m = { .type = M_SPAWN, .uid = u->uid, .gid = u->gid, .token = p->token };
    int fds[5] = { -1, -1, -1, -1, -1 }, pair[2] = { -1, -1 };
    int result = make_pipes(p, fds);
    int32_t pid = 0;

    *stage = SPAWN_AT_FORK;
    if (u->uid == 0)
        m.flags |= SPAWN_ROOT;
    if (p->pty) {
        m.flags |= SPAWN_PTY;
        m.cols = o->cols;
        m.rows = o->rows;
    }
    fds[1] = payload_fd(p->b, o, u, cwd, &m);
    if (result == 0 && (fds[1] < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)))
        result = -errno;
    fds[0] = pair[1];
    if (result == 0)
        result = ask_agent(p->b, &m, fds);
    for (int i = 0; i < 5; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (result == 0)
        result = await_exec(p, pair[0], &pid, stage);
    if (pair[0] >= 0)
        close(pair[0]);
    return result == 0 ? go_live(p, pid, o->life_ms) : result;
}

static void discard(proc *p)
{
    box *b = p->b;

    pthread_mutex_lock(&b->lock);
    if (p->listed && p->pid == 0) {
        proc **at = &b->procs;

        while (*at != p)
            at = &(*at)->next;
        *at = p->next;
        p->listed = false;
        p->refs--;
    }
    pthread_mutex_unlock(&b->lock);
    if (p->pid > 0)
        proc_signal(p, SIGKILL); /* runs already: it ends like any other */
    proc_unref(p);
}

int proc_start(box *b, const proc_options *o, proc **out, sub **reader, int *stage, char *cwd,
               size_t cap)
{
    char inside[FS_PATH];
    fs_user u;
    proc *p;
    int result, fd;

    *stage = SPAWN_AT_USER;
    if (fs_find_user(&b->root, o->user[0] ? o->user : fs_default_user(&b->root), &u) != 0)
        return -ENOKEY;
    if (conf.uid != 0 && u.uid != 0 && u.uid != USER_UID)
        return -ENOTSUP; /* these rungs have only these two */
    *stage = SPAWN_AT_CWD;
    if (fs_resolve(&b->root, &u, o->cwd ? o->cwd : "", inside) != NULL)
        return -ENOENT;
    snprintf(cwd, cap, "%s", inside);
    fd = fs_open(&b->root, inside, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    close(fd);
    if (b->real && snprintf(cwd, cap, "%s%s", b->real, inside) >= (int)cap)
        return -ENAMETOOLONG;
    p = proc_new(b, o);
    pthread_mutex_lock(&b->lock);
    p->token = ++b->last_token;
    p->listed = box_settled(b) == BOX_RUNNING;
    if (p->listed) {
        p->refs++;
        p->next = b->procs;
        b->procs = p;
    }
    result = p->listed ? 0 : -EIO;
    pthread_mutex_unlock(&b->lock);
    *reader = result == 0 ? sub_attach(p) : NULL;
    if (*reader)
        (*reader)->owner = true;
    if (result == 0)
        result = *reader ? spawn(p, o, &u, cwd, stage) : -EMFILE;
    if (b->real)
        snprintf(cwd, cap, "%s", inside);
    if (result == 0) {
        *out = p;
        return 0;
    }
    if (*reader)
        sub_detach(*reader);
    discard(p);
    *reader = NULL;
    return result;
}
