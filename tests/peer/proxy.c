/* proxy - bytes between a client and a server, spoiled on the way:
     proxy --listen PORT --to HOST:PORT [--drop-after N up|down] [--truncate N]
           [--stall N up|down] [--delay MS] [--chunk N] [--loris MS] [--duplicate-headers]
   --listen 0 takes a free port; the port is the one line it prints. HOST is an
   IPv4 address. "up" is from the client to the server. N counts the bytes of all
   connections together; what happens there happens once: --drop-after resets both
   sides, --truncate closes the answer cleanly, --stall lets nothing more pass on that
   connection and keeps it open. --delay waits before each piece,
   --chunk passes pieces of N bytes, --loris answers byte by byte,
   --duplicate-headers says every header line of each connection's first answer
   twice. Ends with SIGTERM. One thread: a delay holds up all connections. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS 32

enum { UP, DOWN };

typedef struct proxy_pair {
    int fd[2];              /* of the client, of the server; -1: free */
    bool shut[2];           /* that side has said its last */
    bool stalled;           /* whatever is said goes nowhere */
    bool headed;            /* the first head of an answer is over */
    char line[1024];        /* a header line being repeated */
    size_t line_len;
} proxy_pair;

typedef struct proxy {
    struct sockaddr_in to;
    int listen;
    long drop, truncate;    /* -1: never */
    int drop_way, stall_way;
    long stall;             /* -1: never */
    long passed[2];
    unsigned delay_ms, loris_ms;
    size_t chunk;
    bool twice;
    proxy_pair pairs[PAIRS];
} proxy;

static void proxy_close(proxy_pair *c, bool reset)
{
    struct linger hard = { 1, 0 };
    int i;
    for (i = 0; i < 2; i++) {
        if (reset) setsockopt(c->fd[i], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(c->fd[i]);
        c->fd[i] = -1;
    }
}

static bool proxy_put(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* Passes on one piece. False: the pair is closed. */
static bool proxy_piece(proxy *p, proxy_pair *c, int way, const char *data, size_t len)
{
    long *passed = &p->passed[way], limit = way == p->drop_way ? p->drop : -1;
    bool drop = limit >= 0 && *passed + (long)len >= limit;
    bool cut = !drop && way == DOWN && p->truncate >= 0 && *passed + (long)len >= p->truncate;
    unsigned wait = way == DOWN && p->loris_ms ? p->loris_ms : p->delay_ms;
    bool stall = p->stall >= 0 && way == p->stall_way && *passed + (long)len >= p->stall;
    if (c->stalled) return true;
    if (stall) {
        len = (size_t)(p->stall - *passed);
        p->stall = -1;
        c->stalled = true;
    }
    if (drop) len = (size_t)(limit - *passed);
    if (cut) len = (size_t)(p->truncate - *passed);
    if (wait) usleep(wait * 1000);
    *passed += (long)len;
    if (!proxy_put(c->fd[way == UP], data, len)) {
        proxy_close(c, false);
        return false;
    }
    if (drop) p->drop = -1;
    if (cut) p->truncate = -1;
    if (drop) usleep(2000); /* so that the last bytes arrive before the reset */
    if (drop || cut) proxy_close(c, drop);
    return !drop && !cut;
}

static bool proxy_pieces(proxy *p, proxy_pair *c, int way, const char *data, size_t len)
{
    size_t most = way == DOWN && p->loris_ms ? 1 : p->chunk ? p->chunk : len;
    while (len) {
        size_t n = most < len ? most : len;
        if (!proxy_piece(p, c, way, data, n)) return false;
        data += n;
        len -= n;
    }
    return true;
}

/* Line by line until the head is over; the status line is said once. */
static bool proxy_twice(proxy *p, proxy_pair *c, const char *data, size_t len)
{
    while (len && !c->headed) {
        bool status = !strncmp(c->line, "HTTP/", 5);
        c->line[c->line_len++] = *data++;
        c->line[c->line_len] = 0;
        len--;
        if (data[-1] != '\n' && c->line_len < sizeof c->line - 1) continue;
        c->headed = c->line_len == 2;
        if (!proxy_pieces(p, c, DOWN, c->line, c->line_len)) return false;
        if (!c->headed && !status && !proxy_pieces(p, c, DOWN, c->line, c->line_len)) return false;
        c->line_len = 0;
        c->line[0] = 0;
    }
    return proxy_pieces(p, c, DOWN, data, len);
}

/* One side has something to say. */
static void proxy_pump(proxy *p, proxy_pair *c, int way)
{
    char buf[16384];
    ssize_t n = recv(c->fd[way], buf, sizeof buf, 0);
    if (n < 0) {
        proxy_close(c, true);
    } else if (n == 0) {
        if (!c->stalled || way == UP) shutdown(c->fd[way == UP], SHUT_WR);
        c->shut[way] = true;
        if (c->shut[!way]) proxy_close(c, false);
    } else if (way == DOWN && p->twice) {
        proxy_twice(p, c, buf, (size_t)n);
    } else {
        proxy_pieces(p, c, way, buf, (size_t)n);
    }
}

static void proxy_accept(proxy *p)
{
    proxy_pair *c = p->pairs;
    int fd = accept(p->listen, NULL, NULL), on = 1;
    if (fd < 0) return;
    while (c < p->pairs + PAIRS && c->fd[0] >= 0) c++;
    if (c < p->pairs + PAIRS) {
        memset(c, 0, sizeof *c);
        c->fd[0] = fd;
        c->fd[1] = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(c->fd[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(c->fd[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(c->fd[1], (struct sockaddr *)&p->to, sizeof p->to) != 0) proxy_close(c, true);
    } else {
        close(fd);
    }
}

static void proxy_loop(proxy *p)
{
    for (;;) {
        struct pollfd fds[2 * PAIRS + 1];
        int i;
        for (i = 0; i < 2 * PAIRS; i++) {
            const proxy_pair *c = &p->pairs[i / 2];
            fds[i].fd = c->shut[i % 2] ? -1 : c->fd[i % 2];
            fds[i].events = POLLIN;
        }
        fds[i].fd = p->listen;
        fds[i].events = POLLIN;
        if (poll(fds, 2 * PAIRS + 1, -1) < 0) continue;
        for (i = 0; i < 2 * PAIRS; i++)
            if (fds[i].revents && p->pairs[i / 2].fd[i % 2] == fds[i].fd)
                proxy_pump(p, &p->pairs[i / 2], i % 2);
        if (fds[i].revents) proxy_accept(p);
    }
}

static bool proxy_option(proxy *p, const char *name, const char *value)
{
    char host[64];
    const char *colon = strchr(value, ':');
    long n = strtol(value, NULL, 10);
    if (!strcmp(name, "--drop-after")) p->drop = n;
    else if (!strcmp(name, "--stall")) p->stall = n;
    else if (!strcmp(name, "--truncate")) p->truncate = n;
    else if (!strcmp(name, "--delay")) p->delay_ms = (unsigned)n;
    else if (!strcmp(name, "--loris")) p->loris_ms = (unsigned)n;
    else if (!strcmp(name, "--chunk")) p->chunk = (size_t)n;
    else if (strcmp(name, "--to") || !colon || colon - value >= (ptrdiff_t)sizeof host) return false;
    else {
        memcpy(host, value, (size_t)(colon - value));
        host[colon - value] = 0;
        p->to.sin_family = AF_INET;
        p->to.sin_port = htons((uint16_t)atoi(colon + 1));
        return inet_pton(AF_INET, host, &p->to.sin_addr) == 1;
    }
    return n >= 0;
}

static bool proxy_options(proxy *p, int argc, char **argv, int *port)
{
    int i;
    for (i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (!strcmp(name, "--duplicate-headers")) {
            p->twice = true;
            continue;
        }
        if (++i == argc) return false;
        if (!strcmp(name, "--listen")) *port = atoi(argv[i]);
        else if (!proxy_option(p, name, argv[i])) return false;
        if (strcmp(name, "--drop-after") && strcmp(name, "--stall")) continue;
        if (++i == argc || (strcmp(argv[i], "up") && strcmp(argv[i], "down"))) return false;
        *(strcmp(name, "--stall") ? &p->drop_way : &p->stall_way) = strcmp(argv[i], "up") ? DOWN : UP;
    }
    return *port >= 0 && p->to.sin_port;
}

int main(int argc, char **argv)
{
    static proxy p;
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    int port = -1, i, on = 1;
    p.drop = p.truncate = p.stall = -1;
    for (i = 0; i < PAIRS; i++) p.pairs[i].fd[0] = p.pairs[i].fd[1] = -1;
    if (!proxy_options(&p, argc, argv, &port)) {
        fprintf(stderr, "proxy: see the beginning of proxy.c\n");
        return 2;
    }
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons((uint16_t)port);
    p.listen = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(p.listen, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(p.listen, (struct sockaddr *)&a, len) != 0 || listen(p.listen, 64) != 0
        || getsockname(p.listen, (struct sockaddr *)&a, &len) != 0) {
        perror("proxy");
        return 1;
    }
    printf("%u\n", ntohs(a.sin_port));
    fflush(stdout);
    proxy_loop(&p);
    return 0;
}
