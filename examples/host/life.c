/* sandboxd: what happens to a sandbox between its beginning and its end: pause,
   resume, copies of its files, its network. Each takes the sandbox into BOX_BUSY,
   which nothing else enters, and leaves it by box_settle().

   A pause freezes the processes: by the freezer of a control group, else the agent
   stops them. A pause that keeps files only ends them, and so does the end of this
   host: then the sandbox is hollow, and boots anew from its files. */
#include "box.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#define ANSWER_WAIT_S 20

/* ---- words with the agent ---- */

/* Under lock. 0 or -errno. */
static int ask_agent(box *b, uint32_t type, int value)
{
    token_msg m = { type, value, ++b->last_token };
    struct timespec until;

    if (b->sock.fd < 0 || msg_send(b->sock.fd, &m, sizeof m, NULL, 0) != 0)
        return -EIO;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ANSWER_WAIT_S;
    while (b->done_token != m.token && !b->hollow)
        if (pthread_cond_timedwait(&b->changed, &b->lock, &until) == ETIMEDOUT)
            return -ETIMEDOUT;
    return b->hollow ? -EIO : -b->done_value;
}

int box_ask_fd(box *b, const void *m, size_t n)
{
    spawn_answer a = { 0, 1, 0 };
    int pair[2], fd = -1, fds = 1;
    bool asked = false;
    struct pollfd p;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -errno;
    pthread_mutex_lock(&b->lock);
    if (box_settled(b) == BOX_RUNNING && b->sock.fd >= 0)
        asked = msg_send(b->sock.fd, m, n, &pair[1], 1) == 0;
    pthread_mutex_unlock(&b->lock);
    close(pair[1]);
    p = (struct pollfd){ pair[0], POLLIN, 0 };
    if (!asked || poll(&p, 1, ANSWER_WAIT_S * 1000) != 1 ||
        msg_recv(pair[0], &a, sizeof a, &fd, &fds, 0) != (ssize_t)sizeof a || fds != 1)
        fd = a.err > 0 ? -a.err : -EIO;
    close(pair[0]);
    return fd;
}

static int set_frozen(box *b, bool frozen)
{
    int result;

    if (cgroup_can_freeze())
        return cgroup_freeze(b->id, frozen) ? 0 : -EIO;
    pthread_mutex_lock(&b->lock);
    result = ask_agent(b, M_FREEZE, frozen);
    pthread_mutex_unlock(&b->lock);
    return result;
}

/* ---- states ---- */
static bool enter_busy(box *b, box_state from, box_state *was)
{
    bool ok;

    pthread_mutex_lock(&b->lock);
    while (b->state == BOX_BUSY)
        pthread_cond_wait(&b->changed, &b->lock);
    *was = b->state;
    ok = b->state == from;
    if (ok)
        b->state = BOX_BUSY;
    pthread_mutex_unlock(&b->lock);
    return ok;
}

/* ---- files ---- */
static void box_path(const box *b, const char *name, char *out, size_t cap)
{
    snprintf(out, cap, "%s/boxes/%s/%s", conf.state, b->id, name);
}

/* Its files are in memory and end with its processes. */
static bool files_in_memory(const box *b)
{
    struct stat inside, outside;
    char path[400];

    box_path(b, ".", path, sizeof path);
    return fstat(b->dirfd, &inside) == 0 && stat(path, &outside) == 0 &&
           inside.st_dev != outside.st_dev;
}

static int copy_to(box *b, const char *path)
{
    int from = openat(b->dirfd, box_files(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;

    if (from < 0)
        return -errno;
    result = fs_copy_path(from, path);
    close(from);
    return result;
}

static int put_aside(box *b)
{
    char path[400];

    if (!files_in_memory(b))
        return 0;
    box_path(b, "saved", path, sizeof path);
    fs_remove_path(path);
    return copy_to(b, path);
}

int box_copy_files(box *b, const char *path, box_state *was)
{
    int result;

    if (!enter_busy(b, BOX_RUNNING, was))
        return -EBUSY;
    result = set_frozen(b, true);
    if (result == 0) {
        result = copy_to(b, path);
        set_frozen(b, false);
    }
    box_settle(b, BOX_RUNNING);
    return result;
}

/* ---- pause ---- */

/* The processes end; requests that still hold its root find nothing there. */
static void hollow_out(box *b)
{
    int nothing = open("/dev/null", O_PATH | O_CLOEXEC);

    pthread_mutex_lock(&b->lock);
    box_end_processes(b);
    pthread_mutex_unlock(&b->lock);
    if (nothing >= 0 && b->root.fd >= 0)
        dup3(nothing, b->root.fd, O_CLOEXEC);
    if (nothing >= 0)
        close(nothing);
    close(b->dirfd);
    b->dirfd = -1;
    cgroup_remove(b->id);
}

static int pause_busy(box *b, bool memory)
{
    int result = set_frozen(b, true);

    if (result == 0 && (!memory || !conf.state_is_temp)) {
        result = put_aside(b);
        if (result != 0)
            set_frozen(b, false);
    }
    if (result != 0) {
        log_at(0, "sandbox %s could not be paused: %s", b->id, strerror(-result));
        box_settle(b, BOX_RUNNING);
        return result;
    }
    if (!memory)
        hollow_out(b);
    b->paused_mono = mono_ms();
    if (!conf.state_is_temp && !b->hidden && !keep_box(b))
        log_at(0, "sandbox %s: not written down, it ends with this host", b->id);
    box_log(b, "info", memory ? "sandbox paused" : "sandbox paused, files only");
    box_settle(b, BOX_PAUSED);
    return 0;
}

int box_pause(box *b, bool memory, box_state *was)
{
    return enter_busy(b, BOX_RUNNING, was) ? pause_busy(b, memory) : -EBUSY;
}

int box_leave_files(box *b)
{
    box_state was;
    char path[400];
    int result = box_pause(b, false, &was), fd;

    if (result != 0)
        return result;
    box_path(b, "saved", path, sizeof path);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        box_path(b, box_files(), path, sizeof path);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return fd >= 0 ? fd : -errno;
}

void box_pause_queued(box *b)
{
    log_at(1, "sandbox %s: its time is over, it is paused", b->id);
    if (pause_busy(b, b->pause_memory) != 0)
        box_set_end(b, 5000, false); /* again soon */
}

/* ---- resume ---- */
static int boot_again(box *b, char *why, size_t cap)
{
    bool asked = false;
    int result;

    b->hollow = false;
    result = box_bring_up(b, why, cap, &asked);
    pthread_mutex_lock(&b->lock);
    if (result == 0) {
        fcntl(b->sock.fd, F_SETFL, 0);
        if (reactor_add(&b->sock) == 0)
            box_ref(b);
        else
            result = -EMFILE;
    }
    if (result != 0 && asked)
        box_end_processes(b);
    if (result != 0 && b->sock.fd >= 0 && !b->sock.on) {
        close(b->sock.fd);
        b->sock.fd = -1;
    }
    b->hollow = result != 0;
    pthread_mutex_unlock(&b->lock);
    return result;
}

/* The clocks of processes stood still. */
static void shift_clocks(box *b)
{
    int64_t stood = mono_ms() - b->paused_mono;

    pthread_mutex_lock(&b->lock);
    for (struct proc *p = b->procs; p; p = p->next)
        if (p->deadline) {
            p->deadline += stood;
            reactor_deadline(p->deadline);
        }
    pthread_mutex_unlock(&b->lock);
}

int box_resume(box *b, bool memory, int64_t timeout_ms, bool *resumed, char *why, size_t cap)
{
    box_state was;
    int result = 0;
    char path[400];

    *resumed = false;
    if (!enter_busy(b, BOX_PAUSED, &was)) {
        if (was == BOX_RUNNING)
            box_set_end(b, timeout_ms, true);
        return was == BOX_RUNNING ? 0 : -ENOENT;
    }
    if (!box_may_run()) {
        box_settle(b, BOX_PAUSED);
        return -EAGAIN;
    }
    snprintf(why, cap, "its processes cannot be thawed");
    keep_forget(b->id);
    if (!b->hollow && !memory && (result = put_aside(b)) == 0)
        hollow_out(b);
    if (result == 0)
        result = b->hollow ? boot_again(b, why, cap) : set_frozen(b, false);
    if (result != 0) {
        log_at(0, "sandbox %s could not be resumed: %s", b->id, why);
        if (!conf.state_is_temp)
            keep_box(b);
        box_settle(b, BOX_PAUSED);
        return -EIO;
    }
    box_path(b, "saved", path, sizeof path);
    fs_remove_path(path);
    shift_clocks(b);
    box_set_end(b, timeout_ms, false);
    box_log(b, "info", "sandbox resumed");
    *resumed = true;
    box_settle(b, BOX_RUNNING);
    return 0;
}

/* ---- network ---- */
bool box_has_processes(box *b)
{
    int fd = b->real ? -1 : fs_open(&b->root, "/proc", O_RDONLY | O_DIRECTORY, 0);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *e;
    bool found = false;
    pid_t *pids = NULL;

    while (d && (e = readdir(d)))
        found |= e->d_name[0] >= '1' && e->d_name[0] <= '9' && strcmp(e->d_name, "1") != 0;
    if (d)
        closedir(d);
    if (b->real)
        found = tree_of(b->agent_pid, &pids) > 0;
    free(pids);
    return found;
}

/* Of a shared one: a process keeps the network it was started in, none may be left. */
int box_set_net(box *b, bool on)
{
    box_state was;
    int result = 0;

    if (!enter_busy(b, BOX_RUNNING, &was))
        return -EBUSY;
    if (b->internet != on && !on && !conf.own_net && box_has_processes(b))
        result = -ETXTBSY;
    pthread_mutex_lock(&b->lock);
    if (result == 0 && b->internet != on)
        result = ask_agent(b, M_NET, on);
    if (result == 0) {
        b->internet = on;
        b->internet_choice = on;
    }
    pthread_mutex_unlock(&b->lock);
    box_settle(b, BOX_RUNNING);
    if (result == 0)
        box_log(b, "info", "network %s", on ? "on" : "off");
    return result;
}
