/* sandboxd: the agent, first process of a sandbox. It starts commands for the
   host, forwards signals, reports exits, and takes everything with it when it
   ends: as pid 1 of the namespace by the kernel, on rung 3 by its own sweep.
   Single-threaded; it never touches files and never waits for anyone but the host. */
#include "host.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define MAX_PAYLOAD (8u << 20)

extern char **environ;

typedef struct child { pid_t pid; uint64_t token; } child;

typedef struct agent {
    int sock, sigfd;
    bool net;                   /* commands get the network of this system */
    int closed_net;             /* else this one; -1: not made yet */
    const make_msg *make;
    child *children;
    size_t count, room;
} agent;

/* ---- in the forked process, before exec ---- */
static void __attribute__((noreturn)) fail(int answer, int stage)
{
    spawn_answer a = { 0, stage, errno };

    msg_send(answer, &a, sizeof a, NULL, 0);
    _exit(127);
}

static bool become(uint32_t uid, uint32_t gid)
{
    if (conf.rung == 2)
        return uid != 0 || box_command_root() == 0;
    if (conf.uid != 0)
        return true; /* rung 3: everything runs as the host's own user */
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0)
        return false;
    return setresuid(uid, uid, uid) == 0;
}

/* A terminal from the sandbox's own /dev/pts, owned by the user, controlling the
   session of this process. The host gets the other end. */
static bool take_terminal(int answer, const spawn_msg *s, int fds[5])
{
    int locked = 0, master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
    struct winsize size = { .ws_row = s->rows, .ws_col = s->cols };
    spawn_answer a = { 0, 0, 0 };

    if (master < 0 || ioctl(master, TIOCSPTLCK, &locked) != 0 ||
        ioctl(master, TIOCSWINSZ, &size) != 0)
        return false;
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) != 0)
        return false;
    fds[2] = fds[3] = fds[4] = slave;
    return msg_send(answer, &a, sizeof a, &master, 1) == 0;
}

static void __attribute__((noreturn)) child_main(const agent *ag, const spawn_msg *s,
                                                 const char *cwd, char **argv, char **envp,
                                                 int *fds)
{
    int answer = fds[0];
    struct sigaction sa;
    sigset_t none;
    char root[400];

    memset(&sa, 0, sizeof sa);
    sa.sa_handler = SIG_DFL;
    for (int sig = 1; sig < 32; sig++)
        sigaction(sig, &sa, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (!ag->net && ag->closed_net >= 0 && setns(ag->closed_net, CLONE_NEWNET) != 0)
        fail(answer, SPAWN_AT_USER);
    if (!become((s->flags & SPAWN_ROOT) ? 0 : s->uid, s->gid))
        fail(answer, SPAWN_AT_USER);
    /* As the user, so that it cannot enter what it may not. */
    if (chdir(cwd) != 0)
        fail(answer, SPAWN_AT_CWD);
    if ((s->flags & SPAWN_PTY) && !take_terminal(answer, s, fds))
        fail(answer, SPAWN_AT_PTY);
    for (int i = 0; i < 3; i++)
        if (dup2(fds[2 + i], i) < 0)
            fail(answer, SPAWN_AT_FORK);
    if (conf.rung == 3) {
        snprintf(root, sizeof root, "%s/boxes/%s/root", conf.state, ag->make->id);
        if (confine_rung3(root, !ag->net) != 0)
            fail(answer, SPAWN_AT_USER);
    }
    environ = envp;
    execvp(argv[0], argv);
    fail(answer, SPAWN_AT_EXEC);
}

/* ---- requests ---- */

/* Splits the payload into cwd, arguments and environment; false: malformed. */
static bool split(char *p, size_t len, uint32_t argc, uint32_t envc, char ***argv, char ***envp)
{
    char *end = p + len, **list;

    if (len == 0 || end[-1] != '\0' || argc == 0 || argc > 100000 || envc > 100000)
        return false;
    list = calloc((size_t)argc + envc + 2, sizeof *list);
    if (!list)
        return false;
    *argv = list;
    *envp = list + argc + 1;
    p += strlen(p) + 1;
    for (uint32_t i = 0; i < argc + envc; i++) {
        if (p >= end) {
            free(list);
            return false;
        }
        list[i < argc ? i : i + 1] = p;
        p += strlen(p) + 1;
    }
    return true;
}

static bool remember(agent *ag, pid_t pid, uint64_t token)
{
    if (ag->count == ag->room) {
        size_t room = ag->room ? ag->room * 2 : 16;
        child *grown = realloc(ag->children, room * sizeof *grown);

        if (!grown)
            return false;
        ag->children = grown;
        ag->room = room;
    }
    ag->children[ag->count++] = (child){ pid, token };
    return true;
}

static void spawn(agent *ag, const spawn_msg *s, int *fds)
{
    spawn_answer a = { 0, SPAWN_AT_FORK, EINVAL };
    char **argv = NULL, **envp = NULL, *payload = NULL;
    pid_t pid = -1;

    if (s->payload > 0 && s->payload <= MAX_PAYLOAD)
        payload = mmap(NULL, s->payload, PROT_READ | PROT_WRITE, MAP_PRIVATE, fds[1], 0);
    if (payload == MAP_FAILED)
        payload = NULL;
    if (payload && split(payload, s->payload, s->argc, s->envc, &argv, &envp)) {
        fflush(NULL);
        pid = fork();
        if (pid == 0)
            child_main(ag, s, payload, argv, envp, fds);
        a.err = errno;
    }
    if (pid > 0 && !remember(ag, pid, s->token)) {
        kill(pid, SIGKILL);
        a.err = ENOMEM;
    } else if (pid > 0) {
        a = (spawn_answer){ pid, 0, 0 };
    }
    /* The answer socket is shared with the child, which closes it by exec or
       writes why it failed: the host reads until the end. */
    msg_send(fds[0], &a, sizeof a, NULL, 0);
    if (payload)
        munmap(payload, s->payload);
    free(argv);
}

static void reap(agent *ag)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < ag->count; i++) {
            token_msg m;

            if (ag->children[i].pid != pid)
                continue;
            m = (token_msg){ M_EXIT, status, ag->children[i].token };
            ag->children[i] = ag->children[--ag->count];
            msg_send(ag->sock, &m, sizeof m, NULL, 0);
            break;
        }
    }
}

static void forward_signal(const agent *ag, const token_msg *m)
{
    for (size_t i = 0; i < ag->count; i++)
        if (ag->children[i].token == m->token)
            kill(ag->children[i].pid, m->value); /* not reaped yet: the pid is its own */
}

/* ---- the life of the whole ---- */
static int set_net(agent *ag, bool on)
{
    if (conf.own_net)
        return uplink_set(on);
    if (!on && conf.rung < 3 && ag->closed_net < 0 && (ag->closed_net = box_closed_net()) < 0)
        return errno ? errno : EPERM;
    ag->net = on;
    return 0;
}

static int freeze(bool on)
{
    if (!on)
        tree_continue();
    return on && !tree_stop(FREEZE_WAIT_MS) ? ETIMEDOUT : 0;
}

/* A connection to a port of the closed network: made by a child that enters it. */
static void connect_inside(const agent *ag, int port, int answer)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port),
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    spawn_answer a = { 0, 0, 0 };
    int fd;

    if (fork() != 0)
        return;
    if (ag->closed_net >= 0 && setns(ag->closed_net, CLONE_NEWNET) != 0)
        fail(answer, SPAWN_AT_FORK);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&v4, sizeof v4) != 0) {
        close(fd);
        fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&v6, sizeof v6) != 0)
            fail(answer, SPAWN_AT_EXEC);
    }
    _exit(msg_send(answer, &a, sizeof a, &fd, 1) == 0 ? 0 : 1);
}

/* A file of /proc answers by the rights of who opens and reads it: a child does both
   as a command of that user would, and ends when nobody listens any more. */
static void read_inside(const agent *ag, const read_msg *m, int answer)
{
    spawn_answer a = { 0, 0, 0 };
    char piece[16384];
    struct statfs fs;
    struct stat st;
    int fd, pair[2];
    ssize_t n;

    if (fork() != 0)
        return;
    signal(SIGPIPE, SIG_DFL);
    if ((!ag->net && ag->closed_net >= 0 && setns(ag->closed_net, CLONE_NEWNET) != 0) ||
        confine_reader() != 0 || !become(m->uid, m->gid))
        fail(answer, SPAWN_AT_USER);
    fd = open(m->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0)
        fail(answer, SPAWN_AT_EXEC);
    errno = S_ISDIR(st.st_mode) ? EISDIR : ENOTSUP;
    if (!S_ISREG(st.st_mode) || fs.f_type != FS_PROC_MAGIC)
        fail(answer, SPAWN_AT_EXEC);
    n = read(fd, piece, sizeof piece); /* many refuse here, not before */
    if (n < 0 || pipe2(pair, O_CLOEXEC) != 0)
        fail(answer, SPAWN_AT_EXEC);
    if (msg_send(answer, &a, sizeof a, &pair[0], 1) != 0)
        _exit(1);
    close(pair[0]);
    while (n > 0 && write_all(pair[1], piece, (size_t)n) == 0)
        n = read(fd, piece, sizeof piece);
    _exit(0);
}

static void whole_message(agent *ag, const token_msg *m, const int *fds, int nfds)
{
    token_msg done = { M_DONE, 0, m->token };

    if (m->type == M_CONNECT && nfds == 1)
        connect_inside(ag, m->value, fds[0]);
    if (m->type != M_FREEZE && m->type != M_NET)
        return;
    done.value = m->type == M_NET ? set_net(ag, m->value != 0) : freeze(m->value != 0);
    msg_send(ag->sock, &done, sizeof done, NULL, 0);
}

/* ---- the end ---- */

/* Rung 3: kills children until none is left. Orphans of killed ones come to us
   (subreaper), so the loop reaches every generation. */
static void __attribute__((noreturn)) end_all(void)
{
    char list[65536], *at;
    int rounds = 0;

    if (conf.rung < 3)
        _exit(0);
    for (;;) {
        ssize_t n = read_small(AT_FDCWD, "/proc/thread-self/children", list, sizeof list);
        int status;
        pid_t pid;

        at = list;
        while (n > 0 && *at) {
            long p = strtol(at, &at, 10);

            if (p <= 0)
                break;
            kill((pid_t)p, SIGKILL);
            while (*at == ' ')
                at++;
        }
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            ;
        if ((pid < 0 && errno == ECHILD) || ++rounds > 20000)
            _exit(0);
        usleep(500);
    }
}

static void serve_message(agent *ag)
{
    union { uint32_t type; spawn_msg spawn; token_msg token; read_msg read; } m;
    int fds[5], nfds = 5;
    ssize_t n = msg_recv(ag->sock, &m, sizeof m, fds, &nfds, MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN))
        end_all(); /* the host is gone */
    if (n == (ssize_t)sizeof m.spawn && m.type == M_SPAWN &&
        nfds == (m.spawn.flags & SPAWN_PTY ? 2 : 5))
        spawn(ag, &m.spawn, fds);
    else if (n == (ssize_t)sizeof m.token && m.type == M_SIGNAL)
        forward_signal(ag, &m.token);
    else if (n == (ssize_t)sizeof m.read && m.type == M_READ && nfds == 1)
        read_inside(ag, &m.read, fds[0]);
    else if (n == (ssize_t)sizeof m.token)
        whole_message(ag, &m.token, fds, nfds);
    for (int i = 0; n > 0 && i < nfds; i++)
        close(fds[i]);
}

void agent_run(int sock, const make_msg *make)
{
    ready_msg ready = { .type = M_READY };
    agent ag = { .sock = 3, .net = true, .make = make, .closed_net = -1 };
    int fds[2] = { -1, -1 };
    sigset_t mask;

    prctl(PR_SET_NAME, "sandbox-agent");
    prctl(PR_SET_PDEATHSIG, conf.rung < 3 ? SIGKILL : SIGTERM);
    if (sock != 3)
        dup3(sock, 3, O_CLOEXEC);
    close_range(4, ~0u, 0);
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigaddset(&mask, SIGTERM);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    ag.sigfd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (conf.rung == 3)
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    ready.err = box_enter(make, fds, ready.why, sizeof ready.why);
    ready.pid = (int32_t)getpid();
    if (ready.err == 0 && (make->flags & MAKE_NO_NET) && (ready.err = set_net(&ag, false)) != 0)
        snprintf(ready.why, sizeof ready.why, "closed network: %s", strerror(ready.err));
    if (msg_send(3, &ready, sizeof ready, fds, ready.err ? 0 : 2) != 0 || ready.err)
        _exit(1);
    close(fds[0]);
    close(fds[1]);
    for (;;) {
        struct pollfd p[2] = { { 3, POLLIN, 0 }, { ag.sigfd, POLLIN, 0 } };
        struct signalfd_siginfo info;

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            end_all();
        while (read(ag.sigfd, &info, sizeof info) > 0)
            if (info.ssi_signo == SIGTERM)
                end_all();
        reap(&ag);
        if (p[0].revents)
            serve_message(&ag);
    }
}
