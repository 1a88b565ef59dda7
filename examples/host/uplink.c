/* sandboxd: networks of sandboxes (--network own). Each has one of its own, with an
   interface that slirp4netns, a process beside the sandbox, carries to the outside as
   the user who runs this host; nothing of it reaches this machine's loopback. Switched
   off the interface is down, which no one inside can change.
   uplink_start() is for the zygote, the others for the agent. */
#include "host.h"

#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define DEVICE "tap0"
#define GATEWAY 0x0a000202u     /* 10.0.2.2, as slirp4netns has it; .3 resolves names */
#define UP_WAIT_MS 8000

pid_t uplink_start(pid_t sandbox)
{
    pid_t pid = fork();
    sigset_t none;
    char number[16];
    int null;

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++)
        dup2(null, i);
    close_range(3, ~0u, 0);
    snprintf(number, sizeof number, "%d", (int)sandbox);
    execlp("slirp4netns", "slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback",
           number, DEVICE, (char *)NULL);
    _exit(127);
}

static int set_up(int s, const char *device, bool up)
{
    struct ifreq ifr;

    memset(&ifr, 0, sizeof ifr);
    strcpy(ifr.ifr_name, device);
    ifr.ifr_flags = up ? IFF_UP | IFF_RUNNING : 0;
    return ioctl(s, SIOCSIFFLAGS, &ifr);
}

static bool has_route(void)
{
    char line[256], device[32];
    unsigned to = 1;
    bool found = false;
    FILE *f = fopen("/proc/net/route", "re");

    while (f && !found && fgets(line, sizeof line, f))
        found = sscanf(line, "%31s %8x", device, &to) == 2 && to == 0 && !strcmp(device, DEVICE);
    if (f)
        fclose(f);
    return found;
}

/* Its way out was lost when the interface went down. */
static int add_route(int s)
{
    struct sockaddr_in to = { .sin_family = AF_INET }, by = to;
    struct rtentry r;
    char device[] = DEVICE;

    by.sin_addr.s_addr = htonl(GATEWAY);
    memset(&r, 0, sizeof r);
    memcpy(&r.rt_dst, &to, sizeof to);
    memcpy(&r.rt_genmask, &to, sizeof to);
    memcpy(&r.rt_gateway, &by, sizeof by);
    r.rt_flags = RTF_UP | RTF_GATEWAY;
    r.rt_dev = device;
    return ioctl(s, SIOCADDRT, &r) != 0 && errno != EEXIST ? -1 : 0;
}

int uplink_set(bool on)
{
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result;

    if (s < 0)
        return errno;
    result = set_up(s, DEVICE, on) != 0 || (on && add_route(s) != 0) ? errno : 0;
    close(s);
    return result;
}

int uplink_await(void)
{
    int64_t until = mono_ms() + UP_WAIT_MS;
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (s < 0 || set_up(s, "lo", true) != 0)
        return errno;
    close(s);
    while (!has_route())
        if (mono_ms() > until || usleep(1000) != 0)
            return ENETUNREACH;
    return 0;
}

/* Over the file, not into it: its tree may live on in another network. */
void uplink_names(void)
{
    static const char text[] = "nameserver 10.0.2.3\n", from[] = "/dev/.resolv.conf";
    int fd = open(from, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    if (fd < 0)
        return;
    if (write_all(fd, text, sizeof text - 1) == 0 &&
        mount(from, "/etc/resolv.conf", NULL, MS_BIND, NULL) != 0)
        log_at(2, "resolv.conf of a sandbox: %s", strerror(errno));
    close(fd);
    unlink(from);
}
