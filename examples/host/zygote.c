/* sandboxd: the zygote. Forked before the first thread, so that it can fork
   freely: it makes sandboxes, ends and reaps them, and cleans up by itself when
   the host is gone without a word. It also probes the isolation ladder. */
#include "fs.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

typedef struct made { pid_t pid, uplink; char id[ID_LEN + 3]; bool ending; } made;

typedef struct probe_result { uint32_t rung, own_net; char notes[500]; } probe_result;

static made *boxes;
static size_t box_count, box_room;
static int host_sock;

static pid_t clone_box(int sock, const make_msg *m, pid_t *uplink)
{
    pid_t pid = (pid_t)syscall(SYS_clone, (long)(clone_flags(conf.rung) | SIGCHLD),
                               0L, 0L, 0L, 0L);

    if (pid == 0)
        agent_run(sock, m);
    *uplink = pid > 0 && conf.own_net ? uplink_start(pid) : 0;
    return pid;
}

/* ---- probing ---- */

/* Runs one command in a sandbox that was just made. */
static bool try_command(int sock, char *why, size_t cap)
{
    static const char payload[] = "/\0/bin/sh\0-c\0exit 7";
    spawn_msg s = { .type = M_SPAWN, .argc = 3, .token = 1, .payload = sizeof payload };
    int pair[2], null = open("/dev/null", O_RDWR | O_CLOEXEC), mem;
    char path[300];
    token_msg exited;
    bool ok = false;

    snprintf(path, sizeof path, "%s/probe", conf.state);
    mem = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    unlink(path);
    s.uid = s.gid = conf.uid == 0 ? USER_UID : 0;
    if (mem >= 0 && null >= 0 && write_all(mem, payload, sizeof payload) == 0 &&
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0) {
        int fds[5] = { pair[1], mem, null, null, null };
        struct pollfd p = { sock, POLLIN, 0 };

        ok = msg_send(sock, &s, sizeof s, fds, 5) == 0 && poll(&p, 1, 10000) == 1 &&
             msg_recv(sock, &exited, sizeof exited, NULL, NULL, 0) == sizeof exited &&
             WIFEXITED(exited.value) && WEXITSTATUS(exited.value) == 7;
        close(pair[0]);
        close(pair[1]);
    }
    if (!ok)
        snprintf(why, cap, "a command in it does not run");
    close(mem);
    close(null);
    return ok;
}

static bool try_rung(int rung, char *why, size_t cap)
{
    make_msg m = { .type = M_MAKE, .id = "probe" };
    ready_msg ready = { .err = -1 };
    int pair[2], fds[2], nfds = 2, status;
    struct pollfd p;
    bool ok = false;
    char dir[400];
    pid_t pid, uplink;

    conf.rung = rung;
    if (rung == 1 && conf.uid != 0) {
        snprintf(why, cap, "not root");
        return false;
    }
    base_tree_own_homes();
    snprintf(dir, sizeof dir, "%s/boxes/probe", conf.state);
    mkdir(dir, 0711);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    pid = clone_box(pair[1], &m, &uplink);
    snprintf(why, cap, "namespaces: %s", strerror(errno));
    close(pair[1]);
    p = (struct pollfd){ pair[0], POLLIN, 0 };
    if (pid > 0) {
        snprintf(why, cap, "no answer");
        if (poll(&p, 1, 10000) == 1 &&
            msg_recv(pair[0], &ready, sizeof ready, fds, &nfds, 0) == sizeof ready) {
            ready.why[sizeof ready.why - 1] = '\0';
            snprintf(why, cap, "%s", ready.err ? ready.why : "");
            while (nfds > 0)
                close(fds[--nfds]);
            ok = ready.err == 0 && try_command(pair[0], why, cap);
        }
        kill(pid, rung < 3 ? SIGKILL : SIGTERM);
    }
    close(pair[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (uplink > 0) {
        kill(uplink, SIGKILL);
        waitpid(uplink, &status, 0);
    }
    cgroup_remove("probe");
    fs_remove_path(dir);
    return ok;
}

static probe_result probe(void)
{
    static const char *const names[] = { "", "1 (root: namespaces, overlay, own /proc and /dev)",
        "2 (user namespaces)", "3 (directory, process sweep" };
    probe_result r = { 0, 0, "" };
    size_t n = 0;
    char why[300];

    for (int rung = conf.isolation ? conf.isolation : 1; rung <= 3; rung++) {
        conf.own_net = conf.network != NET_SHARED && rung < 3;
        if (conf.own_net && try_rung(rung, why, sizeof why)) {
            r.rung = (uint32_t)rung;
            r.own_net = 1;
            snprintf(r.notes + n, sizeof r.notes - n, "%s; networks of their own", names[rung]);
            break;
        }
        if (conf.own_net && conf.network == NET_AUTO)
            n += (size_t)snprintf(r.notes + n, sizeof r.notes - n, "no own network: %.120s; ", why);
        if (conf.network == NET_OWN) {
            n += (size_t)snprintf(r.notes + n, sizeof r.notes - n, "not %d: %.120s; ", rung,
                                  rung < 3 ? why : "it has no networks");
            if (conf.isolation)
                break;
            continue;
        }
        conf.own_net = false;
        if (try_rung(rung, why, sizeof why)) {
            r.rung = (uint32_t)rung;
            n += (size_t)snprintf(r.notes + n, sizeof r.notes - n, "%s", names[rung]);
            if (rung == 3)
                snprintf(r.notes + n, sizeof r.notes - n, "%s)", landlock_there() ?
                         ", Landlock" : ", no Landlock: commands can write what you can");
            break;
        }
        if (conf.isolation) {
            snprintf(r.notes, sizeof r.notes, "%s", why);
            break;
        }
        n += (size_t)snprintf(r.notes + n, sizeof r.notes - n, "not %d: %.120s; ", rung, why);
    }
    return r;
}

/* ---- service ---- */
static void dead(const char *id, int status)
{
    id_msg m = { .type = M_DEAD, .status = (uint32_t)status };

    snprintf(m.id, sizeof m.id, "%s", id);
    msg_send(host_sock, &m, sizeof m, NULL, 0);
}

static void make(const make_msg *m, int sock)
{
    pid_t pid;

    if (box_count == box_room) {
        size_t room = box_room ? box_room * 2 : 64;
        made *grown = realloc(boxes, room * sizeof *grown);

        if (!grown) {
            dead(m->id, -1);
            return;
        }
        boxes = grown;
        box_room = room;
    }
    pid = clone_box(sock, m, &boxes[box_count].uplink);
    if (pid < 0) {
        ready_msg ready = { .type = M_READY, .err = -1 };

        snprintf(ready.why, sizeof ready.why, "namespaces: %s", strerror(errno));
        msg_send(sock, &ready, sizeof ready, NULL, 0);
        dead(m->id, -1);
        return;
    }
    boxes[box_count].pid = pid;
    boxes[box_count].ending = false;
    snprintf(boxes[box_count].id, sizeof boxes->id, "%s", m->id);
    box_count++;
}

/* Rung 3: an agent that was killed leaves its processes to us (subreaper). */
static void kill_strays(void)
{
    char list[65536], *at = list;
    ssize_t n = read_small(AT_FDCWD, "/proc/thread-self/children", list, sizeof list);

    while (n > 0 && *at) {
        long p = strtol(at, &at, 10);
        bool ours = false;

        if (p <= 0)
            break;
        for (size_t i = 0; i < box_count; i++)
            ours |= boxes[i].pid == (pid_t)p;
        if (!ours)
            kill((pid_t)p, SIGKILL);
        while (*at == ' ')
            at++;
    }
}

static void reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < box_count; i++) {
            char id[ID_LEN + 3];

            if (boxes[i].uplink == pid)
                boxes[i].uplink = 0;
            if (boxes[i].pid != pid)
                continue;
            memcpy(id, boxes[i].id, sizeof id);
            if (boxes[i].uplink > 0)
                kill(boxes[i].uplink, SIGKILL);
            boxes[i] = boxes[--box_count];
            dead(id, status);
            break;
        }
        if (conf.rung == 3)
            kill_strays();
    }
}

static void end_box(made *b)
{
    b->ending = true;
    if (b->uplink > 0)
        kill(b->uplink, SIGKILL);
    kill(b->pid, conf.rung < 3 ? SIGKILL : SIGTERM);
    if (cgroup_can_freeze())
        cgroup_freeze(b->id, false); /* the frozen do not die before */
}

/* The host is gone: end everything, remove what it would have removed. */
static void __attribute__((noreturn)) end_all(void)
{
    int64_t until = mono_ms() + 20000;

    for (size_t i = 0; i < box_count; i++)
        end_box(&boxes[i]);
    while (mono_ms() < until) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (pid < 0)
            break;
        if (pid == 0) {
            if (conf.rung == 3)
                kill_strays();
            usleep(1000);
        }
    }
    for (size_t i = 0; i < box_count; i++)
        cgroup_remove(boxes[i].id);
    cgroup_sweep();
    state_clean(true);
    _exit(0);
}

static void serve(void)
{
    union { uint32_t type; make_msg make; id_msg id; } m;
    int fd = -1, nfds = 1;
    ssize_t n = msg_recv(host_sock, &m, sizeof m, &fd, &nfds, MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN))
        end_all();
    if (n == (ssize_t)sizeof m.make && m.type == M_MAKE && nfds == 1)
        make(&m.make, fd);
    else if (n == (ssize_t)sizeof m.id && m.type == M_KILL)
        for (size_t i = 0; i < box_count; i++)
            if (!strcmp(boxes[i].id, m.id.id) && !boxes[i].ending)
                end_box(&boxes[i]);
    if (n > 0 && nfds == 1)
        close(fd);
}

/* Whatever is forked from here on is seen by sandboxes: what ps shows, and files like
   /proc/1/cmdline and /proc/self/environ, must not tell what this host was given. */
static void forget_start(void)
{
    static const char *const kept[] = { "PATH", "TZ" };
    char *values[sizeof kept / sizeof *kept] = { NULL };

    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (getenv(kept[i]))
            values[i] = xstrdup(getenv(kept[i]));
    for (char **entry = environ; entry && *entry; entry++)
        explicit_bzero(*entry, strlen(*entry));
    clearenv();
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (values[i] && setenv(kept[i], values[i], 1) != 0)
            die("out of memory");
        free(values[i]);
    }
    memset(conf.title, 0, conf.title_len);
    snprintf(conf.title, conf.title_len, "sandboxd");
    explicit_bzero(conf.api_key, sizeof conf.api_key);
}

static void __attribute__((noreturn)) zygote_main(int sock)
{
    probe_result r;
    sigset_t mask;
    int sigfd;

    host_sock = sock;
    setsid(); /* a Ctrl-C is for the host, which tells us */
    prctl(PR_SET_NAME, "sandbox-zygote");
    forget_start();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigfillset(&mask);
    sigdelset(&mask, SIGSEGV);
    sigdelset(&mask, SIGABRT);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    r = probe();
    conf.rung = (int)r.rung;
    conf.own_net = r.own_net != 0;
    if (msg_send(sock, &r, sizeof r, NULL, 0) != 0 || r.rung == 0)
        _exit(1);
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigfd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    for (;;) {
        struct pollfd p[2] = { { sock, POLLIN, 0 }, { sigfd, POLLIN, 0 } };
        struct signalfd_siginfo info;

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            end_all();
        while (read(sigfd, &info, sizeof info) > 0)
            ;
        reap();
        if (p[0].revents)
            serve();
    }
}

int zygote_start(pid_t *zygote)
{
    probe_result r = { 0, 0, "" };
    int pair[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        die("socketpair: %s", strerror(errno));
    fflush(NULL);
    pid = fork();
    if (pid < 0)
        die("fork: %s", strerror(errno));
    if (pid == 0) {
        close(pair[0]);
        zygote_main(pair[1]);
    }
    *zygote = pid;
    close(pair[1]);
    if (msg_recv(pair[0], &r, sizeof r, NULL, NULL, 0) != (ssize_t)sizeof r)
        die("the helper process died while it probed the isolation");
    r.notes[sizeof r.notes - 1] = '\0';
    if (r.rung == 0)
        die("no isolation possible: %s", r.notes);
    conf.rung = (int)r.rung;
    conf.own_net = r.own_net != 0;
    snprintf(conf.rung_notes, sizeof conf.rung_notes, "%s", r.notes);
    return pair[0];
}
