/* sandboxd: the isolation ladder. Rungs 1 (root) and 2 (user namespaces) build
   the same thing: an overlay over a lower tree, own /proc and /dev, pivot_root.
   Rung 3 is a directory. box_enter() runs in the fresh child of the zygote, in
   its new namespaces, and leaves it inside; what it made dies with them. */
#include "fs.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#define SET_RECURSIVE 0x8000u
#define ATTR_RDONLY 1u
#define ATTR_NOSUID 2u
#define ATTR_NODEV 4u

int clone_flags(int rung)
{
    int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC;

    if (rung == 3)
        return 0;
    if (rung == 2)
        flags |= CLONE_NEWUSER;
    if (conf.own_net)
        flags |= CLONE_NEWNET;
    return flags;
}

/* The only mapping anyone may make without help: one id, our own. */
static bool map_ids(int inside, unsigned uid, unsigned gid)
{
    char line[64];
    bool ok;

    write_text("/proc/self/setgroups", "deny");
    snprintf(line, sizeof line, "%d %u 1\n", inside, uid);
    ok = write_text("/proc/self/uid_map", line);
    snprintf(line, sizeof line, "%d %u 1\n", inside, gid);
    return ok && write_text("/proc/self/gid_map", line);
}

int box_command_root(void)
{
    prctl(PR_SET_DUMPABLE, 1); /* else /proc/self is not ours to write */
    if (unshare(CLONE_NEWUSER) != 0)
        return -1;
    return map_ids(0, USER_UID, USER_UID) ? 0 : -1;
}

static void loopback_up(void)
{
    struct ifreq ifr;
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memset(&ifr, 0, sizeof ifr);
    memcpy(ifr.ifr_name, "lo", 3);
    ifr.ifr_flags = IFF_UP | IFF_RUNNING;
    if (s >= 0) {
        ioctl(s, SIOCSIFFLAGS, &ifr);
        close(s);
    }
}

/* The agent stays where it is: a child makes the namespace and hands it over. */
int box_closed_net(void)
{
    int pair[2], fd = -1, n = 1, status = 0;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        /* what an agent of user namespaces may not read in its own /proc */
        prctl(PR_SET_DUMPABLE, 1);
        if (unshare(CLONE_NEWNET) != 0)
            _exit(1);
        loopback_up();
        fd = open(conf.rung == 3 ? "/proc/thread-self/ns/net" : "/proc/self/ns/net",
                  O_RDONLY | O_CLOEXEC);
        _exit(fd >= 0 && msg_send(pair[1], &n, sizeof n, &fd, 1) == 0 ? 0 : 1);
    }
    close(pair[1]);
    if (pid < 0 || msg_recv(pair[0], &status, sizeof status, &fd, &n, 0) <= 0 || n != 1)
        fd = -1;
    close(pair[0]);
    return fd;
}

/* Read-only for the mount and everything below; the older call for the top only. */
static bool make_readonly(const char *path, bool readonly)
{
    struct { uint64_t set, clear, propagation, userns; } attr =
        { ATTR_NOSUID | ATTR_NODEV | (readonly ? ATTR_RDONLY : 0), 0, 0, 0 };
    unsigned long flags = MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV | (readonly ? MS_RDONLY : 0);
    struct statvfs st;

    if (syscall(SYS_mount_setattr, -1, path, SET_RECURSIVE, &attr, sizeof attr) == 0)
        return true;
    if (statvfs(path, &st) != 0)
        return false;
    if (st.f_flag & ST_NOEXEC)
        flags |= MS_NOEXEC; /* locked by the owner of the mount */
    if (st.f_flag & ST_RELATIME)
        flags |= MS_RELATIME;
    if (st.f_flag & ST_NOATIME)
        flags |= MS_NOATIME;
    return mount(NULL, path, NULL, flags, NULL) == 0;
}

static bool bind_readonly(const char *from, const char *to)
{
    return mount(from, to, NULL, MS_BIND | MS_REC, NULL) == 0 && make_readonly(to, true);
}

static bool mount_tmpfs(const char *at, const char *options)
{
    return mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0;
}

/* Layers by names from here: their whole paths would not fit. */
static bool overlay(const char *dir, const image *im, const char *layers)
{
    char options[4096], lower[MAX_LAYERS * (LAYER_ID + 3) + 1];
    size_t n = 0;
    int len;

    if (*layers && (snprintf(options, sizeof options, "%s/layers", conf.state) < 0 ||
                    chdir(options) != 0))
        return false;
    for (; *layers && n + LAYER_ID + 3 < sizeof lower; layers += LAYER_ID + (layers[LAYER_ID] != 0))
        n += (size_t)snprintf(lower + n, sizeof lower - n, "%.*s/f:", LAYER_ID, layers);
    lower[n] = '\0';

    snprintf(options, sizeof options, "%s/upper", dir);
    mkdir(options, 0755);
    snprintf(options, sizeof options, "%s/work", dir);
    mkdir(options, 0755);
    snprintf(options, sizeof options, "%s/root", dir);
    mkdir(options, 0755);
    len = snprintf(options, sizeof options, "lowerdir=%s%s,upperdir=%s/upper,workdir=%s/work%s",
                   lower, im->lower, dir, dir, conf.rung == 2 ? ",userxattr" : ",redirect_dir=on");
    errno = E2BIG;
    if (len >= (int)sizeof options - 1)
        return false;
    {
        char at[400];

        snprintf(at, sizeof at, "%s/root", dir);
        return mount("overlay", at, "overlay", MS_NOSUID | MS_NODEV, options) == 0;
    }
}

static bool mount_programs(const image *im)
{
    static const char *const dirs[] = { "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32" };
    char from[16];

    if (im->tree[0])
        return true;
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        struct stat st;

        snprintf(from, sizeof from, "/%s", dirs[i]);
        if (lstat(from, &st) != 0 || !S_ISDIR(st.st_mode))
            continue; /* a link into /usr, made in the base tree */
        if (!bind_readonly(from, dirs[i]))
            return false;
    }
    return true;
}

static bool mount_dev(void)
{
    static const char *const nodes[] = { "null", "zero", "full", "random", "urandom", "tty" };
    char from[32];
    int fd;

    if (mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") != 0)
        return false;
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        snprintf(from, sizeof from, "/dev/%s", nodes[i]);
        fd = open(from + 1, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd >= 0)
            close(fd);
        if (mount(from, from + 1, NULL, MS_BIND, NULL) != 0)
            return false;
    }
    if (symlink("/proc/self/fd", "dev/fd") || symlink("/proc/self/fd/0", "dev/stdin") ||
        symlink("/proc/self/fd/1", "dev/stdout") || symlink("/proc/self/fd/2", "dev/stderr") ||
        symlink("pts/ptmx", "dev/ptmx") || mkdir("dev/pts", 0755) || mkdir("dev/shm", 01777))
        return false;
    if (mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
              conf.rung == 1 ? "newinstance,ptmxmode=0666,mode=0620,gid=5"
                             : "newinstance,ptmxmode=0666,mode=0620") != 0)
        return false;
    return mount_tmpfs("dev/shm", "mode=1777,size=64m");
}

/* Root on rung 1 is root of this system for whatever /proc offers beyond
   processes: nothing of that may be written, and secrets of the kernel not read.
   On rung 2 the kernel itself refuses. */
static bool mask_proc(void)
{
    static const char *const readonly[] = { "proc/sys", "proc/sysrq-trigger", "proc/irq",
        "proc/bus", "proc/fs", "proc/mtrr" };
    static const char *const hidden[] = { "proc/kcore", "proc/keys", "proc/kmsg",
        "proc/timer_list", "proc/sched_debug" };

    for (size_t i = 0; i < sizeof readonly / sizeof *readonly; i++)
        if (access(readonly[i], F_OK) == 0 && !bind_readonly(readonly[i], readonly[i]))
            return false;
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (access(hidden[i], F_OK) == 0 && mount("/dev/null", hidden[i], NULL, MS_BIND, NULL) != 0)
            return false;
    return true;
}

static bool change_root(void)
{
    if (syscall(SYS_pivot_root, ".", ".") == 0)
        return umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
    /* an initial ramdisk cannot be pivoted away from */
    return mount(".", "/", NULL, MS_MOVE, NULL) == 0 && chroot(".") == 0 && chdir("/") == 0;
}

#define STEP(what, ok) do { if (!(ok)) { snprintf(why, cap, "%s: %s", what, strerror(errno)); \
                                         return -1; } } while (0)

/* Files from before: a tree put aside, or the layer itself if that is to be on a
   disk of its own from now on. -1: none. */
static int earlier_files(const char *dir, bool own_disk)
{
    char at[400];
    int fd;

    snprintf(at, sizeof at, "%s/saved", dir);
    fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && own_disk) {
        snprintf(at, sizeof at, "%s/upper", dir);
        fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return fd;
}

static bool restore(const char *dir, int from)
{
    char at[400];
    int to, result;

    snprintf(at, sizeof at, "%s/upper", dir);
    if (!fs_remove_path(at) || mkdir(at, 0755) != 0)
        return false;
    to = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    result = to < 0 ? -errno : fs_copy(from, to);
    if (to >= 0)
        close(to);
    errno = -result;
    return result == 0;
}

static int enter_namespaces(const make_msg *m, const char *dir, int *dirfd, char *why, size_t cap)
{
    const image *im = &conf.images[m->image];
    char at[400], size[40];
    bool own_disk = conf.disk_mib > 0;
    int from = earlier_files(dir, own_disk);

    if (conf.rung == 2)
        STEP("user namespace", map_ids(USER_UID, conf.uid, conf.gid));
    STEP("private mounts", mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    STEP("host name", sethostname("sandbox", 7) == 0);
    snprintf(size, sizeof size, "size=%dm,mode=755", conf.disk_mib > 0 ? conf.disk_mib : 1024);
    if (own_disk)
        STEP("disk of its own", mount_tmpfs(dir, size));
    STEP("earlier files", from < 0 || restore(dir, from));
    if (!overlay(dir, im, m->layers)) {
        /* A state directory that is itself on an overlay cannot hold the upper
           layer: memory can. */
        if (from < 0)
            from = earlier_files(dir, true);
        STEP("overlay", !own_disk && mount_tmpfs(dir, size) &&
             (from < 0 || restore(dir, from)) && overlay(dir, im, m->layers));
    }
    if (from >= 0)
        close(from);
    *dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    snprintf(at, sizeof at, "%s/root", dir);
    STEP("root directory", chdir(at) == 0);
    STEP("programs", mount_programs(im));
    STEP("/dev", mount_dev());
    STEP("/proc", mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0);
    if (conf.rung == 1)
        STEP("masks of /proc", mask_proc());
    STEP("pivot_root", change_root());
    if (conf.own_net) {
        uplink_names();
        errno = uplink_await();
        STEP("network by slirp4netns", errno == 0);
    }
    return 0;
}

/* A template may ask for less than the host gives. */
static void own_limits(const make_msg *m)
{
    cpu_set_t all, some;
    int skip, left = m->cpus;

    if (m->memory_mib > 0)
        conf.memory_mib = m->memory_mib; /* of this process */
    if (left <= 0 || sched_getaffinity(0, sizeof all, &all) != 0 || left >= CPU_COUNT(&all))
        return;
    CPU_ZERO(&some);
    skip = (int)(mono_ms() % CPU_COUNT(&all)); /* not all on the first ones */
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < CPU_SETSIZE && left > 0; i++)
            if (CPU_ISSET(i, &all) && !CPU_ISSET(i, &some) && skip-- <= 0) {
                CPU_SET(i, &some);
                left--;
            }
    sched_setaffinity(0, sizeof some, &some);
}

int box_enter(const make_msg *m, int fds[2], char *why, size_t cap)
{
    char dir[360];

    snprintf(dir, sizeof dir, "%s/boxes/%s", conf.state, m->id);
    umask(0);
    own_limits(m);
    cgroup_enter(m->id);
    if (conf.rung < 3) {
        if (enter_namespaces(m, dir, &fds[1], why, cap) != 0)
            return -1;
        fds[0] = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    } else {
        char at[400];

        snprintf(at, sizeof at, "%s/root", dir);
        if (mkdir(at, 0755) == 0)
            base_tree_rung3(at);
        STEP("root directory", chdir(at) == 0);
        fds[0] = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
        fds[1] = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    STEP("root descriptor", fds[0] >= 0 && fds[1] >= 0);
    umask(022);
    STEP("limits", confine_agent(conf.rung) == 0);
    return 0;
}
