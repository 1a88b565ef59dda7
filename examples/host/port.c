/* sandboxd: connections to servers inside a sandbox. One whose network is off or its
   own is entered: its agent makes the connection. The others share this
   machine's: a port counts as theirs only if the socket that listens there belongs
   to one of their processes. */
#include "port.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define MAX_LISTENERS 32

typedef struct listener { unsigned long inode; struct sockaddr_storage at; } listener;

static socklen_t address_len(const listener *l)
{
    return l->at.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* One line of /proc/net/tcp or tcp6: addresses are words of this machine in hex. */
static bool read_line(const char *line, int port, bool v6, listener *l)
{
    struct sockaddr_in *a = (struct sockaddr_in *)&l->at;
    struct sockaddr_in6 *b = (struct sockaddr_in6 *)&l->at;
    unsigned at, state;
    char hex[40];
    uint32_t word[4] = { 0, 0, 0, 0 };

    if (sscanf(line, " %*d: %32[0-9A-F]:%4X %*x:%*x %2X %*s %*s %*s %*s %*s %lu", hex, &at, &state,
               &l->inode) != 4 || at != (unsigned)port || state != 0x0A ||
        strlen(hex) != (v6 ? 32u : 8u))
        return false;
    for (int i = 0; i < (v6 ? 4 : 1); i++)
        if (sscanf(hex + 8 * i, "%8X", &word[i]) != 1)
            return false;
    memset(&l->at, 0, sizeof l->at);
    if (v6) {
        b->sin6_family = AF_INET6;
        b->sin6_port = htons((uint16_t)port);
        memcpy(&b->sin6_addr, word, 16);
        if (IN6_IS_ADDR_UNSPECIFIED(&b->sin6_addr))
            b->sin6_addr = in6addr_loopback;
    } else {
        a->sin_family = AF_INET;
        a->sin_port = htons((uint16_t)port);
        a->sin_addr.s_addr = word[0] ? word[0] : htonl(INADDR_LOOPBACK);
    }
    return true;
}

static size_t listeners_at(int port, listener *out)
{
    static const char *const files[] = { "/proc/net/tcp", "/proc/net/tcp6" };
    char line[512];
    size_t n = 0;

    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(files[i], "re");

        while (f && n < MAX_LISTENERS && fgets(line, sizeof line, f))
            n += read_line(line, port, i == 1, &out[n]);
        if (f)
            fclose(f);
    }
    return n;
}

/* Which of the listeners this process holds, or NULL. */
static const listener *held_by(int proc, const char *pid, const listener *l, size_t n)
{
    char path[64], link[64];
    const listener *found = NULL;
    struct dirent *e;
    unsigned long inode;
    ssize_t len;
    int fd;
    DIR *d;

    snprintf(path, sizeof path, "%.20s/fd", pid);
    fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    d = fd >= 0 ? fdopendir(fd) : NULL;
    while (d && !found && (e = readdir(d))) {
        len = readlinkat(dirfd(d), e->d_name, link, sizeof link - 1);
        link[len > 0 ? len : 0] = '\0';
        if (sscanf(link, "socket:[%lu]", &inode) != 1)
            continue;
        for (size_t i = 0; i < n && !found; i++)
            found = l[i].inode == inode ? &l[i] : NULL;
    }
    if (d)
        closedir(d);
    return found;
}

static const listener *held_by_box(box *b, const listener *l, size_t n)
{
    int fd = b->real ? open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                     : fs_open(&b->root, "/proc", O_RDONLY | O_DIRECTORY, 0);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    const listener *found = NULL;
    struct dirent *e;
    pid_t *pids = NULL;
    size_t count = d && b->real ? tree_of(b->agent_pid, &pids) : 0;
    char name[24];

    for (size_t i = 0; i < count && !found; i++) {
        snprintf(name, sizeof name, "%d", (int)pids[i]);
        found = held_by(dirfd(d), name, l, n);
    }
    while (d && !b->real && !found && (e = readdir(d)))
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
            found = held_by(dirfd(d), e->d_name, l, n);
    free(pids);
    if (d)
        closedir(d);
    return found;
}

static int connect_outside(box *b, int port)
{
    listener l[MAX_LISTENERS];
    size_t n = listeners_at(port, l);
    const listener *to = n > 0 ? held_by_box(b, l, n) : NULL;
    int fd = to ? socket(to->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to->at, address_len(to)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int connect_inside(box *b, int port)
{
    token_msg m = { M_CONNECT, port, 0 };

    return b->real ? -1 : box_ask_fd(b, &m, sizeof m);
}

int port_connect(box *b, int port)
{
    return b->internet && !conf.own_net ? connect_outside(b, port) : connect_inside(b, port);
}
