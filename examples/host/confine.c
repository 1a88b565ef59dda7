/* sandboxd: what is taken away from a sandbox's processes beyond namespaces:
   capabilities, new privileges, limits; on rung 3 Landlock (files outside, and
   signals to others) and seccomp (sockets, when internet is off). */
#include "host.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define BIT(n) (1ull << (n))
/* What root keeps inside: owning files, changing users, low ports. */
#define KEPT_CAPS (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | \
                   BIT(CAP_KILL) | BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETPCAP) | \
                   BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_NET_RAW) | BIT(CAP_SYS_CHROOT) | \
                   BIT(CAP_SETFCAP))

/* What the agent alone has: to move commands into another network. They lose it
   when they become another user, or by exec, as the bounding set is without it. */
#define AGENT_CAPS (BIT(CAP_SYS_ADMIN) | BIT(CAP_NET_ADMIN))

static int keep_capabilities(uint64_t kept)
{
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2];

    for (int cap = 0; cap <= 63; cap++)
        if (!(KEPT_CAPS & BIT(cap)) && prctl(PR_CAPBSET_READ, cap) == 1 &&
            prctl(PR_CAPBSET_DROP, cap) != 0)
            return -1;
    for (int i = 0; i < 2; i++) {
        data[i].effective = data[i].permitted = (uint32_t)(kept >> (32 * i));
        data[i].inheritable = 0;
    }
    return (int)syscall(SYS_capset, &head, data);
}

static void limit(int what, uint64_t value)
{
    struct rlimit r;

    if (getrlimit((__rlimit_resource_t)what, &r) != 0)
        return;
    if (r.rlim_max == RLIM_INFINITY || r.rlim_max > value)
        r.rlim_max = value;
    r.rlim_cur = r.rlim_max;
    setrlimit((__rlimit_resource_t)what, &r);
}

int confine_reader(void)
{
    return conf.rung == 1 ? keep_capabilities(KEPT_CAPS) : 0;
}

int confine_agent(int rung)
{
    bool groups = cgroup_limits();

    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, 65536);
    if (!groups && conf.memory_mib > 0)
        limit(RLIMIT_DATA, (uint64_t)conf.memory_mib << 20);
    if (rung == 2 && conf.max_procs > 0)
        limit(RLIMIT_NPROC, (uint64_t)conf.max_procs); /* counted per user namespace */
    if (rung == 3 && conf.disk_mib > 0)
        limit(RLIMIT_FSIZE, (uint64_t)conf.disk_mib << 20);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    if (rung == 1 && keep_capabilities(KEPT_CAPS | AGENT_CAPS) != 0)
        return -1;
    /* Nobody inside may trace the agent or open its descriptors. */
    return prctl(PR_SET_DUMPABLE, 0);
}

/* ---- Landlock; the numbers are the kernel's, headers may be older ---- */
#define LL_EXECUTE BIT(0)
#define LL_WRITE_FILE BIT(1)
#define LL_READ_FILE BIT(2)
#define LL_READ_DIR BIT(3)
#define LL_TRUNCATE BIT(14)
#define LL_IOCTL_DEV BIT(15)
#define LL_SCOPE_SOCKET BIT(0)
#define LL_SCOPE_SIGNAL BIT(1)

static int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u);

    return abi > 0 ? (int)abi : 0;
}

bool landlock_there(void)
{
    return landlock_abi() > 0;
}

static void allow(int ruleset, const char *path, uint64_t access)
{
    struct __attribute__((packed)) { uint64_t access; int32_t fd; } rule;
    struct stat st;

    rule.fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.fd < 0)
        return;
    if (fstat(rule.fd, &st) == 0 && !S_ISDIR(st.st_mode))
        access &= LL_EXECUTE | LL_WRITE_FILE | LL_READ_FILE | LL_TRUNCATE | LL_IOCTL_DEV;
    rule.access = access;
    syscall(SYS_landlock_add_rule, ruleset, 1, &rule, 0u);
    close(rule.fd);
}

static void landlock(const char *root)
{
    static const char *const readable[] = { "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64",
        "/libx32", "/etc", "/opt", "/proc", "/sys", "/nix/store" };
    static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
        "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts" };
    struct { uint64_t fs, net, scoped; } attr = { 0, 0, 0 };
    int abi = landlock_abi(), fd;
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;

    if (abi == 0)
        return;
    attr.fs = BIT(abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13) - 1;
    if (abi >= 6)
        attr.scoped = LL_SCOPE_SOCKET | LL_SCOPE_SIGNAL;
    fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0u);
    if (fd < 0)
        return;
    for (size_t i = 0; i < sizeof readable / sizeof *readable; i++)
        allow(fd, readable[i], attr.fs & (LL_EXECUTE | LL_READ_FILE | LL_READ_DIR));
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        allow(fd, devices[i], attr.fs & (LL_READ_FILE | LL_WRITE_FILE | LL_READ_DIR |
                                         LL_TRUNCATE | LL_IOCTL_DEV));
    allow(fd, "/dev", attr.fs & LL_READ_DIR);
    allow(fd, root, attr.fs);
    syscall(SYS_landlock_restrict_self, fd, 0u);
    close(fd);
}

/* ---- seccomp: no sockets of the internet families ---- */
#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

bool rung3_can_cut_net(void)
{
#ifdef THIS_ARCH
    return true;
#else
    return false;
#endif
}

#ifdef THIS_ARCH
static int no_internet_sockets(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), /* the x32 calls */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 425, 3, 0), /* io_uring could make sockets */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = { sizeof code / sizeof *code, code };

    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}
#endif

/* In a command's process, before exec. */
int confine_rung3(const char *root, bool no_net)
{
    landlock(root);
#ifdef THIS_ARCH
    if (no_net)
        return no_internet_sockets();
#else
    if (no_net)
        return -1;
#endif
    return 0;
}
