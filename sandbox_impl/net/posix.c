/* posix - the built-in transport: non-blocking TCP sockets, poll, the clocks and
   the randomness of a POSIX system. Used through sbx_net only, by the exchange.

   open() looks the name up with getaddrinfo, which blocks, then tries the
   addresses one after another in the resolver's order (IPv6 and IPv4 as they
   come) without blocking. A silent address loses its turn when its share of the
   connect clock is over, if there is another.

   Where there is one thing to wait for, bytes that come in, and time enough, wait()
   leaves it to the recv() that follows, which blocks then, for up to SBXI_EAGER_MS:
   poll() would cost a small reply as much as reading it. */
#ifndef SBX_NO_POSIX

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>

#if defined(__has_include)
#if __has_include(<sys/random.h>)
#include <sys/random.h>
#if defined(__linux__)
#define SBXI_RANDOM(buf, n) getrandom(buf, n, 0)
#elif defined(__APPLE__) || defined(__FreeBSD__)
#define SBXI_RANDOM(buf, n) (getentropy(buf, n) == 0 ? (ssize_t)(n) : -1)
#endif
#endif
#endif

#ifdef MSG_NOSIGNAL
#define SBXI_NO_SIGNAL MSG_NOSIGNAL
#else
#define SBXI_NO_SIGNAL 0 /* SO_NOSIGPIPE does it there */
#endif

#if defined(MSG_DONTWAIT) && defined(SO_RCVTIMEO)
#define SBXI_DONT_WAIT MSG_DONTWAIT
#else
#define SBXI_DONT_WAIT 0 /* no socket ever blocks there */
#endif

#define SBXI_EAGER_MS 1000u
#define SBXI_TURN_MS 3000u /* for one address while there are others, at most */
#define SBXI_POLL_STACK 64

/* The context of the transport. */
typedef struct sbxi_posix {
    const sbx_alloc *alloc;
    int32_t connect_ms;     /* of the clocks */
    const void *eager;      /* the connection whose next recv() waits, NULL: none */
} sbxi_posix;

typedef struct sbxi_socket {
    int fd;                 /* -1: none */
    struct addrinfo *all;   /* NULL once connected */
    struct addrinfo *next;  /* to try when fd fails */
    uint64_t since;         /* the try at fd began */
    uint32_t turn_ms;       /* of each try but the last */
    bool blocks;            /* unless told not to, for SBXI_EAGER_MS */
} sbxi_socket;

static uint64_t sbxi_posix_clock(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t) != 0) return 0;
    return (uint64_t)t.tv_sec * 1000 + (uint32_t)t.tv_nsec / 1000000;
}

static uint64_t sbxi_posix_now(void *ctx)
{
    (void)ctx;
    return sbxi_posix_clock(CLOCK_MONOTONIC);
}

static int64_t sbxi_posix_unix(void *ctx)
{
    (void)ctx;
    return (int64_t)sbxi_posix_clock(CLOCK_REALTIME);
}

/* ---- entropy -------------------------------------------------------------- */

static bool sbxi_posix_device(unsigned char *p, size_t len)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    size_t got = 0;
    int rc = SBX_OK;
    if (fd < 0) return false;
    while (len > 0 && rc == SBX_OK) {
        rc = sbxi_fd_get((void *)(intptr_t)fd, p, len, &got);
        if (got == 0) break;
        p += got;
        len -= got;
    }
    close(fd);
    return len == 0;
}

static int sbxi_posix_entropy(void *ctx, void *buf, size_t len)
{
    unsigned char *p = (unsigned char *)buf;
    (void)ctx;
#ifdef SBXI_RANDOM
    while (len > 0) {
        ssize_t n = SBXI_RANDOM(p, SBXI_MIN(len, (size_t)256));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        p += n;
        len -= (size_t)n;
    }
#endif
    return len == 0 || sbxi_posix_device(p, len) ? SBX_OK : SBX_E_ENTROPY;
}

/* ---- connecting ----------------------------------------------------------- */

static void sbxi_socket_drop(sbxi_socket *s)
{
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}

static void sbxi_socket_forget(sbxi_socket *s)
{
    if (s->all) freeaddrinfo(s->all);
    s->all = s->next = NULL;
}

static void sbxi_posix_close(void *ctx, void *conn)
{
    sbxi_socket *s = (sbxi_socket *)conn;
    sbxi_socket_drop(s);
    sbxi_socket_forget(s);
    sbxi_alloc_free(((const sbxi_posix *)ctx)->alloc, s, sizeof *s);
}

static int sbxi_socket_lookup(sbxi_socket *s, const char *host, uint16_t port)
{
    struct addrinfo hints;
    char service[SBXI_DECIMAL_MAX + 1];
    int rc;
    service[sbxi_print_u64(service, port)] = 0;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    rc = getaddrinfo(host, service, &hints, &s->all);
    if (rc != 0) {
        s->all = NULL;
        return rc == EAI_MEMORY ? SBX_E_NOMEM : SBX_E_DNS;
    }
    s->next = s->all;
    return SBX_OK;
}

/* A socket that does not block, never signals and is not inherited, or -1. */
static int sbxi_socket_make(const struct addrinfo *a)
{
    int on = 1, flags, fd;
#ifdef SOCK_CLOEXEC
    fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
#else
    fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
    if (fd < 0) return -1;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        close(fd);
        return -1;
    }
    /* Without it a small request waits for the answer to the last one. Where it
       does not exist the connection is slower, not wrong. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
#ifdef SO_NOSIGPIPE
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return fd;
}

/* Starts with the next address that can be started with: SBX_OK, SBX_E_AGAIN, or
   SBX_E_CONNECT when none is left. */
static int sbxi_socket_next(sbxi_socket *s)
{
    while (s->next) {
        const struct addrinfo *a = s->next;
        s->next = a->ai_next;
        s->fd = sbxi_socket_make(a);
        if (s->fd < 0) continue;
        s->since = sbxi_posix_now(NULL);
        if (connect(s->fd, a->ai_addr, a->ai_addrlen) == 0) return SBX_OK;
        if (errno == EINPROGRESS || errno == EINTR) return SBX_E_AGAIN;
        sbxi_socket_drop(s);
    }
    return SBX_E_CONNECT;
}

/* Has the try that runs come to an end? SBX_E_CONNECT: it failed. */
static int sbxi_socket_check(const sbxi_socket *s)
{
    struct pollfd p;
    int error = 0;
    socklen_t len = sizeof error;
    p.fd = s->fd;
    p.events = POLLOUT;
    p.revents = 0;
    if (poll(&p, 1, 0) <= 0) {
        bool over = s->next && sbxi_posix_now(NULL) - s->since >= s->turn_ms;
        return over ? SBX_E_CONNECT : SBX_E_AGAIN;
    }
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) return SBX_E_CONNECT;
    return error == 0 ? SBX_OK : SBX_E_CONNECT;
}

static int sbxi_socket_go_on(sbxi_socket *s)
{
    int rc = s->fd >= 0 ? sbxi_socket_check(s) : SBX_E_CONNECT;
    if (rc == SBX_E_CONNECT) {
        sbxi_socket_drop(s);
        rc = sbxi_socket_next(s);
    }
    return rc;
}

/* Each of the addresses has the same share of the connect clock. */
static uint32_t sbxi_socket_turn(const sbxi_socket *s, int32_t connect_ms)
{
    const struct addrinfo *a;
    uint32_t n = 0, ms;
    for (a = s->all; a; a = a->ai_next) n++;
    ms = connect_ms < 0 || n == 0 ? SBXI_TURN_MS : (uint32_t)connect_ms / n;
    return SBXI_MIN(ms, SBXI_TURN_MS);
}

/* It is connected. */
static void sbxi_socket_settle(sbxi_socket *s)
{
#if defined(MSG_DONTWAIT) && defined(SO_RCVTIMEO)
    struct timeval most;
    int flags = fcntl(s->fd, F_GETFL);
    memset(&most, 0, sizeof most);
    most.tv_sec = SBXI_EAGER_MS / 1000;
    s->blocks = flags >= 0 && setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most) == 0
        && fcntl(s->fd, F_SETFL, flags & ~O_NONBLOCK) == 0;
#endif
    sbxi_socket_forget(s);
}

static int sbxi_posix_open(void *ctx, void **conn, const char *host, uint16_t port, bool tls)
{
    const sbxi_posix *p = (const sbxi_posix *)ctx;
    sbxi_socket *s = (sbxi_socket *)*conn;
    int rc = SBX_OK;
    (void)tls;
    if (!s) {
        s = (sbxi_socket *)sbxi_alloc_get(p->alloc, sizeof *s);
        if (!s) return SBX_E_NOMEM;
        s->fd = -1;
        *conn = s;
        rc = sbxi_socket_lookup(s, host, port);
        s->turn_ms = sbxi_socket_turn(s, p->connect_ms);
    }
    if (rc == SBX_OK) rc = sbxi_socket_go_on(s);
    if (rc == SBX_OK) sbxi_socket_settle(s);
    if (rc != SBX_OK && rc != SBX_E_AGAIN) {
        sbxi_posix_close(ctx, s);
        *conn = NULL;
    }
    return rc;
}

/* ---- bytes ---------------------------------------------------------------- */

/* The status of a failed send or recv; SBX_OK: try again at once. */
static int sbxi_posix_failed(void)
{
    if (errno == EINTR) return SBX_OK;
    return errno == EAGAIN || errno == EWOULDBLOCK ? SBX_E_AGAIN : SBX_E_NETWORK;
}

static int sbxi_posix_send(void *ctx, void *conn, const void *buf, size_t len, size_t *sent)
{
    ((sbxi_posix *)ctx)->eager = NULL;
    *sent = 0;
    for (;;) {
        ssize_t n = send(((sbxi_socket *)conn)->fd, buf, SBXI_MIN(len, SBXI_FD_MOST),
                         SBXI_NO_SIGNAL | SBXI_DONT_WAIT);
        int rc = n < 0 ? sbxi_posix_failed() : SBX_OK;
        if (n >= 0) *sent = (size_t)n;
        if (n >= 0 || rc != SBX_OK) return rc;
    }
}

static int sbxi_posix_recv(void *ctx, void *conn, void *buf, size_t cap, size_t *got)
{
    sbxi_posix *p = (sbxi_posix *)ctx;
    int flags = p->eager == conn ? 0 : SBXI_DONT_WAIT;
    *got = 0;
    p->eager = NULL;
    for (;;) {
        ssize_t n = recv(((sbxi_socket *)conn)->fd, buf, SBXI_MIN(cap, SBXI_FD_MOST), flags);
        int rc = n < 0 ? sbxi_posix_failed() : SBX_OK;
        flags = SBXI_DONT_WAIT; /* after a signal: the clocks come first */
        if (n >= 0) *got = (size_t)n;
        if (n >= 0 || rc != SBX_OK) return rc;
    }
}

/* ---- waiting -------------------------------------------------------------- */

/* Fills the array; returns the wait cut to the end of the first turn. */
static uint32_t sbxi_posix_list(struct pollfd *p, const sbx_wait *waits, size_t n, uint32_t ms)
{
    uint64_t now = sbxi_posix_now(NULL);
    size_t i;
    for (i = 0; i < n; i++) {
        const sbxi_socket *s = (const sbxi_socket *)waits[i].conn;
        p[i].fd = s->fd;
        p[i].events = (short)((waits[i].want & SBX_WANT_READ ? POLLIN : 0)
                              | (waits[i].want & SBX_WANT_WRITE ? POLLOUT : 0));
        p[i].revents = 0;
        if (s->all && s->next) {
            uint64_t used = now - s->since;
            uint32_t left = used < s->turn_ms ? s->turn_ms - (uint32_t)used : 0;
            ms = SBXI_MIN(ms, left);
        }
    }
    return SBXI_MIN(ms, (uint32_t)INT32_MAX);
}

static int sbxi_posix_poll(struct pollfd *p, size_t n, uint32_t ms)
{
    uint64_t end = sbxi_posix_now(NULL) + ms;
    for (;;) {
        uint64_t now;
        if (poll(p, (nfds_t)n, (int)ms) >= 0) return SBX_OK;
        if (errno != EINTR) return SBX_E_NETWORK;
        now = sbxi_posix_now(NULL);
        ms = now < end ? (uint32_t)(end - now) : 0;
    }
}

/* Whether the next recv() can wait instead. */
static bool sbxi_posix_is_eager(const sbx_wait *waits, size_t n, uint32_t timeout_ms)
{
    return n == 1 && waits->want == SBX_WANT_READ && timeout_ms >= SBXI_EAGER_MS
        && ((const sbxi_socket *)waits->conn)->blocks;
}

static int sbxi_posix_wait(void *ctx, sbx_wait *waits, size_t n, uint32_t timeout_ms)
{
    const sbx_alloc *alloc = ((const sbxi_posix *)ctx)->alloc;
    struct pollfd few[SBXI_POLL_STACK], *p = few;
    size_t size = 0, i;
    int rc;
    if (sbxi_posix_is_eager(waits, n, timeout_ms)) {
        ((sbxi_posix *)ctx)->eager = waits->conn;
        waits->ready = SBX_WANT_READ;
        return SBX_OK;
    }
    if (n > SBXI_POLL_STACK) {
        if (n > SIZE_MAX / sizeof *p) return SBX_E_NOMEM;
        size = n * sizeof *p;
        p = (struct pollfd *)sbxi_alloc_get(alloc, size);
        if (!p) return SBX_E_NOMEM;
    }
    timeout_ms = sbxi_posix_list(p, waits, n, timeout_ms);
    rc = sbxi_posix_poll(p, n, timeout_ms);
    for (i = 0; rc == SBX_OK && i < n; i++) waits[i].ready = p[i].revents;
    if (size) sbxi_alloc_free(alloc, p, size);
    return rc;
}

SBX_API int sbx_wait_fd(const sbx_wait *wait)
{
    return wait->conn ? ((const sbxi_socket *)wait->conn)->fd : -1;
}

/* Fills *out. The context must live as long as the transport. */
static SBXI_MAYBE int sbxi_net_posix_init(sbx_net *out, sbxi_posix *context)
{
    memset(out, 0, sizeof *out);
    out->open = sbxi_posix_open;
    out->send = sbxi_posix_send;
    out->recv = sbxi_posix_recv;
    out->close = sbxi_posix_close;
    out->wait = sbxi_posix_wait;
    out->now_ms = sbxi_posix_now;
    out->unix_ms = sbxi_posix_unix;
    out->entropy = sbxi_posix_entropy;
    out->flags = SBX_NET_READY;
    out->ctx = context;
    return SBX_OK;
}
#endif
