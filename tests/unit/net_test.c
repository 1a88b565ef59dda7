/* Sinks and sources (memory, FILE *, descriptor), the built-in sockets against a
   listener in this process, and what TLS answers when it is compiled out. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* the header's own comes too late after this include */
#include <netdb.h>

/* The resolver, which for one name answers with a list of ours. */
static struct addrinfo *two_addresses;

static int test_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                            struct addrinfo **out)
{
    if (!two_addresses || host[0] != '2') return getaddrinfo(host, port, hints, out);
    *out = two_addresses;
    return 0;
}

static void test_freeaddrinfo(struct addrinfo *list)
{
    if (list != two_addresses) freeaddrinfo(list);
}

#define getaddrinfo test_getaddrinfo
#define freeaddrinfo test_freeaddrinfo
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#undef getaddrinfo
#undef freeaddrinfo
#include "../test.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

static const sbx_alloc heap = { sbxi_std_resize, NULL };
static sbxi_posix home = { &heap, 15000, NULL };

/* An open file without a name, holding text, its offset at 0. */
static int temp_fd(const char *text)
{
    char name[] = "/tmp/sbx-net-XXXXXX";
    int fd = mkstemp(name);
    if (fd < 0) abort();
    unlink(name);
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) abort();
    lseek(fd, 0, SEEK_SET);
    return fd;
}

/* All of a source, `step` bytes at a time, up to cap. */
static int drain(sbx_source s, char *out, size_t cap, size_t step, size_t *len)
{
    size_t got = 1;
    *len = 0;
    while (got && *len < cap) {
        int rc = s.get(s.ctx, out + *len, SBXI_MIN(step, cap - *len), &got);
        if (rc != SBX_OK) return rc;
        *len += got;
    }
    return SBX_OK;
}

/* Reads it twice if it can be, in steps of 1 and all at once. */
static void check_source(sbx_source s, const char *text, bool again)
{
    char out[64];
    size_t len;
    CHECK_INT(s.size, strlen(text));
    CHECK_INT(drain(s, out, sizeof out, 1, &len), SBX_OK);
    CHECK_MEM(out, len, text, strlen(text));
    CHECK(!s.rewind == !again);
    if (!s.rewind) return;
    CHECK_INT(s.rewind(s.ctx), SBX_OK);
    CHECK_INT(drain(s, out, sizeof out, sizeof out, &len), SBX_OK);
    CHECK_MEM(out, len, text, strlen(text));
}

/* ---- streams ---- */

TEST(memory_sink_keeps_what_fits)
{
    char out[8];
    sbx_memory m = { NULL, 0, 0, 0 };
    sbx_sink s;
    m.data = out;
    m.cap = 5;
    s = sbx_sink_memory(&m);
    CHECK_INT(s.put(s.ctx, "abc", 3), SBX_OK);
    CHECK_INT(s.put(s.ctx, "", 0), SBX_OK);
    CHECK_INT(s.put(s.ctx, "defg", 4), SBX_OK);
    CHECK_INT(s.put(s.ctx, "h", 1), SBX_OK);
    CHECK_MEM(out, m.len, "abcde", 5);
    CHECK_INT(m.cut, 3);
}

TEST(memory_sink_without_memory_counts)
{
    sbx_memory m = { NULL, 0, 0, 0 };
    sbx_sink s = sbx_sink_memory(&m);
    CHECK_INT(s.put(s.ctx, "abc", 3), SBX_OK);
    CHECK_INT(m.len, 0);
    CHECK_INT(m.cut, 3);
}

TEST(memory_source)
{
    sbx_reading r = { "hello", 5, 0 };
    sbx_reading none = { NULL, 0, 0 };
    check_source(sbx_source_memory(&r), "hello", true);
    check_source(sbx_source_memory(&none), "", true);
}

TEST(file_sink)
{
    char out[16];
    FILE *f = tmpfile();
    sbx_sink s = sbx_sink_file(f);
    size_t n;
    REQUIRE(f != NULL);
    CHECK_INT(s.put(s.ctx, "one ", 4), SBX_OK);
    CHECK_INT(s.put(s.ctx, "", 0), SBX_OK);
    CHECK_INT(s.put(s.ctx, "two", 3), SBX_OK);
    rewind(f);
    n = fread(out, 1, sizeof out, f);
    CHECK_MEM(out, n, "one two", 7);
    fclose(f);
}

TEST(file_sink_fails_on_a_full_disk)
{
    FILE *f = fopen("/dev/full", "w");
    sbx_sink s;
    if (!f) SKIP("no /dev/full here");
    setvbuf(f, NULL, _IONBF, 0);
    s = sbx_sink_file(f);
    CHECK_INT(s.put(s.ctx, "x", 1), SBX_E_SINK);
    fclose(f);
}

TEST(file_source)
{
    FILE *f = fdopen(temp_fd("hello world"), "r+");
    REQUIRE(f != NULL);
    check_source(sbx_source_file(f), "hello world", true);
    CHECK_INT(fseek(f, 6, SEEK_SET), 0);
    check_source(sbx_source_file(f), "world", false); /* not its beginning: once only */
    CHECK_INT(fseek(f, 11, SEEK_SET), 0);
    check_source(sbx_source_file(f), "", false);
    fclose(f);
}

TEST(file_source_beyond_4_gib)
{
    char out[8];
    size_t len;
    sbx_source s;
    FILE *f = fdopen(temp_fd(""), "r+");
    REQUIRE(f != NULL);
    if (ftruncate(fileno(f), (off_t)5 << 30) != 0) SKIP("no sparse files here");
    s = sbx_source_file(f);
    CHECK_INT(s.size, (int64_t)5 << 30);
    CHECK_INT(fseeko(f, ((off_t)5 << 30) - 2, SEEK_SET), 0);
    s = sbx_source_file(f);
    CHECK_INT(s.size, 2);
    CHECK_INT(drain(s, out, sizeof out, 8, &len), SBX_OK);
    CHECK_MEM(out, len, "\0\0", 2);
    fclose(f);
}

TEST(file_source_of_unknown_size)
{
    static const char *const names[] = { "/proc/version", "/dev/zero" };
    size_t i, len;
    char out[8];
    for (i = 0; i < SBXI_LEN(names); i++) {
        FILE *f = fopen(names[i], "r");
        sbx_source s;
        if (!f) SKIP("no /proc or /dev here");
        test_row = names[i];
        s = sbx_source_file(f);
        CHECK_INT(s.size, -1);
        CHECK(s.rewind == NULL);
        CHECK_INT(drain(s, out, 4, 4, &len), SBX_OK);
        CHECK_INT(len, 4);
        fclose(f);
    }
}

TEST(file_source_of_a_pipe)
{
    char out[8];
    size_t len;
    sbx_source s;
    FILE *f = popen("printf abc", "r");
    REQUIRE(f != NULL);
    s = sbx_source_file(f);
    CHECK_INT(s.size, -1);
    CHECK(s.rewind == NULL);
    CHECK_INT(drain(s, out, sizeof out, 8, &len), SBX_OK);
    CHECK_MEM(out, len, "abc", 3);
    pclose(f);
}

TEST(file_source_that_cannot_be_read)
{
    FILE *f = fopen("/tmp", "r"); /* a directory opens and does not read */
    char out[8];
    size_t len;
    if (!f) SKIP("directories do not open here");
    CHECK_INT(drain(sbx_source_file(f), out, sizeof out, 8, &len), SBX_E_SOURCE);
    fclose(f);
}

TEST(fd_sink)
{
    char out[16];
    int fd = temp_fd("");
    sbx_sink s = sbx_sink_fd(fd);
    CHECK_INT(s.put(s.ctx, "one ", 4), SBX_OK);
    CHECK_INT(s.put(s.ctx, "", 0), SBX_OK);
    CHECK_INT(s.put(s.ctx, "two", 3), SBX_OK);
    CHECK_INT(pread(fd, out, sizeof out, 0), 7);
    CHECK_MEM(out, 7, "one two", 7);
    close(fd);
    CHECK_INT(s.put(s.ctx, "x", 1), SBX_E_SINK);
}

TEST(fd_source)
{
    int fd = temp_fd("hello world");
    char out[8];
    size_t len;
    check_source(sbx_source_fd(fd), "hello world", true);
    lseek(fd, 6, SEEK_SET);
    check_source(sbx_source_fd(fd), "world", false);
    lseek(fd, 20, SEEK_SET); /* behind its end */
    check_source(sbx_source_fd(fd), "", false);
    close(fd);
    CHECK_INT(drain(sbx_source_fd(fd), out, sizeof out, 8, &len), SBX_E_SOURCE);
    fd = open("/proc/version", O_RDONLY);
    if (fd >= 0) CHECK_INT(sbx_source_fd(fd).size, -1);
    close(fd);
}

static volatile sig_atomic_t alarms;
static void on_alarm(int sig) { (void)sig; alarms++; }

/* A signal every 2 ms that interrupts system calls. */
static void interrupt(bool on)
{
    struct sigaction a;
    struct itimerval t;
    memset(&a, 0, sizeof a);
    memset(&t, 0, sizeof t);
    a.sa_handler = on_alarm;
    sigaction(SIGALRM, &a, NULL);
    t.it_interval.tv_usec = t.it_value.tv_usec = on ? 2000 : 0;
    setitimer(ITIMER_REAL, &t, NULL);
}

/* Through pipes with slow other ends, blocking and not, under signals. */
static void check_pipe(bool nonblocking)
{
    enum { TOTAL = 300000 };
    char *sent = (char *)malloc(TOTAL), *got = (char *)malloc(TOTAL);
    int down[2], up[2], i;
    size_t len;
    sbx_sink sink;
    sbx_source source;
    if (!sent || !got || pipe(down) != 0 || pipe(up) != 0) abort();
    for (i = 0; i < TOTAL; i++) sent[i] = (char)(i * 7 + i / 251);
    if (fork() == 0) { /* keeps all, then gives it back */
        size_t n = 0;
        close(down[1]);
        close(up[0]);
        usleep(20000);
        while (n < TOTAL) {
            ssize_t r = read(down[0], got + n, TOTAL - n);
            if (r <= 0) _exit(1);
            n += (size_t)r;
        }
        usleep(20000);
        _exit(write(up[1], got, TOTAL) != TOTAL);
    }
    close(down[0]);
    close(up[1]);
    if (nonblocking) {
        fcntl(down[1], F_SETFL, O_NONBLOCK);
        fcntl(up[0], F_SETFL, O_NONBLOCK);
    }
    interrupt(true);
    sink = sbx_sink_fd(down[1]);
    CHECK_INT(sink.put(sink.ctx, sent, TOTAL), SBX_OK);
    source = sbx_source_fd(up[0]);
    CHECK_INT(source.size, -1);
    CHECK(source.rewind == NULL);
    CHECK_INT(drain(source, got, TOTAL, TOTAL, &len), SBX_OK);
    interrupt(false);
    CHECK_MEM(got, len, sent, TOTAL);
    close(down[1]);
    close(up[0]);
    while (wait(NULL) > 0) {}
    free(sent);
    free(got);
}

TEST(fd_pipes_under_signals)
{
    alarms = 0;
    check_pipe(false);
    check_pipe(true);
    CHECK(alarms > 0);
}

/* ---- sockets ---- */

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0) return 0;
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&a)->sin6_port
                                         : ((struct sockaddr_in *)(void *)&a)->sin_port);
}

/* A listener on the loopback, -1 if the family is absent here. */
static int listener(int family, int backlog, uint16_t *port)
{
    int fd = socket(family, SOCK_STREAM, 0), rc;
    if (family == AF_INET6) {
        struct sockaddr_in6 a;
        memset(&a, 0, sizeof a);
        a.sin6_family = AF_INET6;
        a.sin6_addr = in6addr_loopback;
        rc = bind(fd, (struct sockaddr *)&a, sizeof a);
    } else {
        struct sockaddr_in a;
        memset(&a, 0, sizeof a);
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        rc = bind(fd, (struct sockaddr *)&a, sizeof a);
    }
    if (fd < 0 || rc != 0 || listen(fd, backlog) != 0) {
        if (fd >= 0) close(fd);
        return -1;
    }
    *port = bound_port(fd);
    return fd;
}

static int wait_on(const sbx_net *net, void *conn, int want, uint32_t ms)
{
    sbx_wait w;
    w.conn = conn;
    w.want = want;
    return net->wait(net->ctx, &w, 1, ms);
}

static int dial(const sbx_net *net, void **conn, const char *host, uint16_t port)
{
    int rc, turns = 0;
    *conn = NULL;
    while ((rc = net->open(net->ctx, conn, host, port, false)) == SBX_E_AGAIN && turns++ < 100)
        wait_on(net, *conn, SBX_WANT_WRITE, 100);
    return rc;
}

/* A connection: ours through the transport, *peer the other end. */
static void *connected(sbx_net *net, int *peer)
{
    uint16_t port = 0;
    int fd = listener(AF_INET, 4, &port);
    void *conn;
    sbxi_net_posix_init(net, &home);
    if (fd < 0 || dial(net, &conn, "127.0.0.1", port) != SBX_OK) abort();
    *peer = accept(fd, NULL, NULL);
    close(fd);
    return conn;
}

static int fd_of(void *conn)
{
    sbx_wait w;
    w.conn = conn;
    w.want = 0;
    return sbx_wait_fd(&w);
}

TEST(socket_options)
{
    sbx_net net;
    int peer, on = 0;
    socklen_t len = sizeof on;
    void *conn = connected(&net, &peer);
    int fd = fd_of(conn);
    struct timeval most = { 0, 0 };
    socklen_t most_len = sizeof most;
    CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
    CHECK_INT(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, &most_len), 0);
    CHECK_INT(most.tv_sec * 1000 + most.tv_usec / 1000, SBXI_EAGER_MS);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_INT(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    CHECK(on != 0);
    CHECK_INT(fd_of(NULL), -1);
    net.close(net.ctx, conn);
    CHECK_INT(fcntl(fd, F_GETFD), -1);
    close(peer);
}

TEST(socket_bytes_both_ways)
{
    sbx_net net;
    char in[16];
    size_t n = 99;
    int peer;
    void *conn = connected(&net, &peer);
    CHECK_INT(net.recv(net.ctx, conn, in, sizeof in, &n), SBX_E_AGAIN);
    CHECK_INT(n, 0);
    CHECK_INT(net.send(net.ctx, conn, "ping", 4, &n), SBX_OK);
    CHECK_INT(n, 4);
    CHECK_INT(read(peer, in, sizeof in), 4);
    CHECK_MEM(in, 4, "ping", 4);
    CHECK_INT(write(peer, "pong!", 5), 5);
    CHECK_INT(wait_on(&net, conn, SBX_WANT_READ, 5000), SBX_OK);
    CHECK_INT(net.recv(net.ctx, conn, in, 3, &n), SBX_OK);
    CHECK_MEM(in, n, "pon", 3);
    CHECK_INT(net.recv(net.ctx, conn, in, sizeof in, &n), SBX_OK);
    CHECK_MEM(in, n, "g!", 2);
    shutdown(peer, SHUT_WR);
    CHECK_INT(wait_on(&net, conn, SBX_WANT_READ, 5000), SBX_OK);
    CHECK_INT(net.recv(net.ctx, conn, in, sizeof in, &n), SBX_OK);
    CHECK_INT(n, 0);
    net.close(net.ctx, conn);
    close(peer);
}

/* SIGPIPE has its default here: one would end this process. */
TEST(socket_send_blocks_and_breaks)
{
    static char block[65536];
    sbx_net net;
    struct linger now = { 1, 0 };
    int peer, rc, turns = 0;
    size_t n, total = 0;
    void *conn = connected(&net, &peer);
    while ((rc = net.send(net.ctx, conn, block, sizeof block, &n)) == SBX_OK) total += n;
    CHECK_INT(rc, SBX_E_AGAIN);
    CHECK_INT(n, 0);
    CHECK(total > 0);
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(peer); /* reset */
    do {
        wait_on(&net, conn, SBX_WANT_WRITE, 1000);
        rc = net.send(net.ctx, conn, block, sizeof block, &n);
    } while (rc != SBX_E_NETWORK && turns++ < 50);
    CHECK_INT(rc, SBX_E_NETWORK);
    CHECK_INT(net.send(net.ctx, conn, block, 1, &n), SBX_E_NETWORK);
    net.close(net.ctx, conn);
}

TEST(socket_reset_is_network)
{
    sbx_net net;
    struct linger now = { 1, 0 };
    char in[4];
    int peer;
    size_t n;
    void *conn = connected(&net, &peer);
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(peer);
    CHECK_INT(wait_on(&net, conn, SBX_WANT_READ, 5000), SBX_OK);
    CHECK_INT(net.recv(net.ctx, conn, in, sizeof in, &n), SBX_E_NETWORK);
    net.close(net.ctx, conn);
}

TEST(socket_families_and_names)
{
    static const struct { int family; const char *host; } rows[] = {
        { AF_INET, "127.0.0.1" }, { AF_INET, "localhost" }, { AF_INET6, "::1" },
        { AF_INET6, "localhost" }, { AF_INET6, "0:0:0:0:0:0:0:1" }
    };
    size_t i;
    for (i = 0; i < SBXI_LEN(rows); i++) { /* localhost: one of both families refuses */
        sbx_net net;
        uint16_t port = 0;
        void *conn = NULL;
        int fd = listener(rows[i].family, 4, &port);
        if (fd < 0) continue;
        test_row = rows[i].host;
        sbxi_net_posix_init(&net, &home);
        if (i == 3 && dial(&net, &conn, "ip6-localhost", port) != SBX_OK) {
            close(fd); /* this system's localhost is IPv4 only */
            continue;
        }
        if (conn) net.close(net.ctx, conn);
        CHECK_INT(dial(&net, &conn, rows[i].host, port), SBX_OK);
        CHECK(conn != NULL);
        if (conn) net.close(net.ctx, conn);
        close(fd);
    }
}

TEST(connect_refused)
{
    sbx_net net;
    uint16_t port = 0;
    void *conn;
    int fd = listener(AF_INET, 1, &port);
    REQUIRE(fd >= 0);
    close(fd);
    sbxi_net_posix_init(&net, &home);
    CHECK_INT(dial(&net, &conn, "127.0.0.1", port), SBX_E_CONNECT);
    CHECK(conn == NULL);
    CHECK_INT(dial(&net, &conn, "localhost", port), SBX_E_CONNECT);
    CHECK(conn == NULL);
}

TEST(name_not_found)
{
    static const char *const names[] = { "no-such-host.invalid", "", "256.256.256.256", "a b" };
    sbx_net net;
    size_t i;
    sbxi_net_posix_init(&net, &home);
    for (i = 0; i < SBXI_LEN(names); i++) {
        void *conn;
        test_row = names[i];
        CHECK_INT(dial(&net, &conn, names[i], 80), SBX_E_DNS);
        CHECK(conn == NULL);
    }
}

/* Every socket gone: the address cannot be tried, nothing leaks. */
TEST(no_descriptors_left)
{
    struct rlimit old, none;
    sbx_net net;
    void *conn;
    uint16_t port = 0;
    int fd = listener(AF_INET, 4, &port);
    REQUIRE(fd >= 0 && getrlimit(RLIMIT_NOFILE, &old) == 0);
    sbxi_net_posix_init(&net, &home);
    none = old;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    CHECK_INT(dial(&net, &conn, "127.0.0.1", port), SBX_E_CONNECT);
    setrlimit(RLIMIT_NOFILE, &old);
    CHECK(conn == NULL);
    close(fd);
}

static void *no_memory(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)ctx;
    (void)ptr;
    (void)old_size;
    (void)new_size;
    return NULL;
}

TEST(no_memory_left)
{
    static const sbx_alloc empty = { no_memory, NULL };
    static sbxi_posix none = { &empty, 15000, NULL };
    sbx_wait many[SBXI_POLL_STACK + 1];
    sbx_net net;
    void *conn = NULL;
    sbxi_net_posix_init(&net, &none);
    CHECK_INT(net.open(net.ctx, &conn, "127.0.0.1", 80, false), SBX_E_NOMEM);
    CHECK(conn == NULL);
    memset(many, 0, sizeof many);
    CHECK_INT(net.wait(net.ctx, many, SBXI_LEN(many), 0), SBX_E_NOMEM);
}

static struct addrinfo address(struct sockaddr_in *a, uint16_t port)
{
    struct addrinfo i;
    memset(a, 0, sizeof *a);
    a->sin_family = AF_INET;
    a->sin_port = htons(port);
    a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memset(&i, 0, sizeof i);
    i.ai_family = AF_INET;
    i.ai_socktype = SOCK_STREAM;
    i.ai_addr = (struct sockaddr *)a;
    i.ai_addrlen = sizeof *a;
    return i;
}

/* A listener nobody accepts from, its backlog full: who connects there waits. */
typedef struct silence {
    struct sockaddr_in a;
    struct addrinfo address;
    int fd, idle[20], n;
    sbxi_socket s;          /* one that waits */
} silence;

static bool silence_make(silence *q)
{
    uint16_t port = 0;
    memset(q, 0, sizeof *q);
    q->fd = listener(AF_INET, 0, &port);
    if (q->fd < 0) return false;
    q->address = address(&q->a, port);
    while (q->n < 20) {
        int rc;
        q->s.fd = sbxi_socket_make(&q->address);
        rc = connect(q->s.fd, q->address.ai_addr, q->address.ai_addrlen);
        usleep(1000);
        if (rc != 0 && sbxi_socket_check(&q->s) == SBX_E_AGAIN) return true;
        q->idle[q->n++] = q->s.fd;
    }
    q->s.fd = -1;
    return false;
}

static void silence_end(silence *q)
{
    sbxi_socket_drop(&q->s);
    while (q->n > 0) close(q->idle[--q->n]);
    close(q->fd);
}

/* The first address has been silent for its turn: the next one is taken, and a
   wait does not sleep past that moment. */
TEST(silent_address_loses_its_turn)
{
    struct sockaddr_in b;
    struct addrinfo good;
    silence q;
    sbxi_socket s;
    sbx_net net;
    uint64_t start;
    uint16_t good_port = 0;
    int good_fd = listener(AF_INET, 4, &good_port), rc;
    REQUIRE(good_fd >= 0);
    sbxi_net_posix_init(&net, &home);
    good = address(&b, good_port);
    if (silence_make(&q)) {
        s = q.s;
        q.s.fd = -1;
        s.all = s.next = &good;
        s.turn_ms = 700;
        s.since = sbxi_posix_now(NULL);
        CHECK_INT(sbxi_socket_go_on(&s), SBX_E_AGAIN);
        CHECK(s.next == &good);
        s.since -= s.turn_ms - 30;
        start = sbxi_posix_now(NULL);
        CHECK_INT(wait_on(&net, &s, SBX_WANT_WRITE, 5000), SBX_OK);
        CHECK(sbxi_posix_now(NULL) - start < 2000);
        while ((rc = sbxi_socket_go_on(&s)) == SBX_E_AGAIN && sbxi_posix_now(NULL) - start < 2000)
            wait_on(&net, &s, SBX_WANT_WRITE, 10);
        CHECK_INT(rc, SBX_OK);
        CHECK(s.next == NULL);
        sbxi_socket_drop(&s);
    } else {
        test_skipped = "the backlog does not fill here";
    }
    silence_end(&q);
    close(good_fd);
}

/* The same by a client, whose whole connect clock is shorter than a usual turn:
   blocking, polled, and by an event loop of the user's. */
TEST(silent_address_within_a_short_clock)
{
    static const char reply[] = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
    struct sockaddr_in b;
    struct addrinfo good;
    silence q;
    uint16_t port = 0;
    int fd = listener(AF_INET, 4, &port), way;
    if (fd < 0 || !silence_make(&q)) SKIP("the backlog does not fill here");
    good = address(&b, port);
    q.address.ai_next = &good;
    two_addresses = &q.address;
    for (way = 0; way < 3; way++) {
        sbx_config g;
        sbx_client *c = NULL;
        sbx_sandbox *s = NULL;
        sbx_call call;
        sbx_op *op = NULL;
        sbx_error e;
        bool existed = true;
        uint64_t start = sbxi_posix_now(NULL);
        int rc, peer, status;
        memset(&g, 0, sizeof g);
        memset(&call, 0, sizeof call);
        g.provider = &sbx_e2b;
        g.environment = SBX_NO;
        g.api_key = "k";
        g.api_url = "http://2.test";
        g.retries = SBX_NEVER;
        g.clocks.connect_ms = 1600;
        call.error = &e;
        if (way) call.op = &op;
        if (fork() == 0) {
            char in[2000];
            peer = accept(fd, NULL, NULL);
            if (read(peer, in, sizeof in) <= 0) _exit(1);
            if (write(peer, reply, sizeof reply - 1) != sizeof reply - 1) _exit(1);
            _exit(read(peer, in, 1) > 0);
        }
        CHECK_INT(sbx_open(&c, &g), SBX_OK);
        CHECK_INT(sbx_sandbox_attach(c, "box", NULL, &s), SBX_OK);
        rc = sbx_sandbox_kill(s, &existed, &call);
        while (rc == SBX_PENDING && sbxi_posix_now(NULL) - start < 5000) {
            sbx_wait waits[4];
            uint32_t next;
            size_t n;
            if (way == 1) {
                CHECK_INT(sbx_poll(c, 5000, NULL), SBX_OK);
            } else {
                CHECK_INT(sbx_poll(c, 0, NULL), SBX_OK);
                CHECK_INT(sbx_waits(c, waits, 4, &n, &next), SBX_OK);
                if (n) {
                    struct pollfd p = { sbx_wait_fd(&waits[0]), POLLIN | POLLOUT, 0 };
                    if (waits[0].want == SBX_WANT_READ) p.events = POLLIN;
                    poll(&p, 1, (int)SBXI_MIN(next, 1000u));
                }
            }
            rc = sbx_op_status(op);
        }
        CHECK_INT(rc, SBX_OK);
        CHECK(!existed);
        CHECK(sbxi_posix_now(NULL) - start >= 790);
        CHECK(sbxi_posix_now(NULL) - start < 1600);
        sbx_op_release(op);
        sbx_sandbox_release(s);
        CHECK_INT(sbx_close(c), SBX_OK);
        CHECK(wait(&status) > 0 && status == 0);
    }
    two_addresses = NULL;
    silence_end(&q);
    close(fd);
}

static void on_signal(int sig) { (void)sig; }

/* A single wait for bytes is left to recv(), once, and not past a signal. */
TEST(a_wait_that_is_left_to_recv)
{
    static const struct { uint16_t want; uint32_t ms; size_t n; bool eager; } rows[] = {
        { SBX_WANT_READ, SBXI_EAGER_MS, 1, true }, { SBX_WANT_READ, SBXI_EAGER_MS - 1, 1, false },
        { SBX_WANT_READ, 5000, 2, false }, { SBX_WANT_READ | SBX_WANT_WRITE, 5000, 1, false } };
    struct itimerval soon = { { 0, 0 }, { 0, 50000 } };
    struct sigaction act, old;
    sbx_net net;
    int peer;
    void *conn = connected(&net, &peer);
    sbx_wait w[2];
    char in[8];
    size_t got, i;
    uint64_t start;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        if (!rows[i].eager) CHECK_INT(write(peer, "x", 1), 1); /* so that no wait is long */
        memset(w, 0, sizeof w);
        w[0].conn = w[1].conn = conn;
        w[0].want = rows[i].want;
        w[1].want = SBX_WANT_READ;
        CHECK_INT(net.wait(net.ctx, w, rows[i].n, rows[i].ms), SBX_OK);
        CHECK(w[0].ready != 0);
        CHECK((home.eager == conn) == rows[i].eager);
        if (rows[i].eager) CHECK_INT(write(peer, "x", 1), 1);
        CHECK_INT(net.recv(net.ctx, conn, in, sizeof in, &got), SBX_OK);
        CHECK_INT(got, 1);
        CHECK(home.eager == NULL);
        CHECK_INT(net.recv(net.ctx, conn, in, sizeof in, &got), SBX_E_AGAIN);
    }
    start = sbxi_posix_now(NULL); /* silence */
    CHECK_INT(net.wait(net.ctx, w, 1, 1), SBX_OK);
    w[0].want = SBX_WANT_READ;
    CHECK_INT(net.wait(net.ctx, w, 1, 60000), SBX_OK);
    CHECK_INT(net.recv(net.ctx, conn, in, sizeof in, &got), SBX_E_AGAIN);
    CHECK(sbxi_posix_now(NULL) - start >= SBXI_EAGER_MS - 100);
    start = sbxi_posix_now(NULL);
    CHECK_INT(net.recv(net.ctx, conn, in, sizeof in, &got), SBX_E_AGAIN);
    CHECK_INT(net.wait(net.ctx, w, 1, 60000), SBX_OK); /* something else is sent first */
    CHECK_INT(net.send(net.ctx, conn, "y", 1, &got), SBX_OK);
    CHECK_INT(net.recv(net.ctx, conn, in, sizeof in, &got), SBX_E_AGAIN);
    memset(&act, 0, sizeof act);
    act.sa_handler = on_signal;
    sigaction(SIGALRM, &act, &old);
    CHECK_INT(net.wait(net.ctx, w, 1, 60000), SBX_OK);
    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK_INT(net.recv(net.ctx, conn, in, sizeof in, &got), SBX_E_AGAIN);
    CHECK(sbxi_posix_now(NULL) - start < SBXI_EAGER_MS);
    sigaction(SIGALRM, &old, NULL);
    net.close(net.ctx, conn);
    close(peer);
}

/* The clock of the connection is shared out, and nobody gets more than some seconds. */
TEST(shares_of_the_clock)
{
    static const struct { int n; int32_t connect_ms; uint32_t turn; } rows[] = {
        { 1, 15000, SBXI_TURN_MS }, { 2, 15000, SBXI_TURN_MS }, { 10, 15000, 1500 },
        { 2, 1000, 500 }, { 4, 2, 0 }, { 3, SBX_NEVER, SBXI_TURN_MS }, { 0, 5, SBXI_TURN_MS }
    };
    struct addrinfo list[10];
    size_t i;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        sbxi_socket s;
        int k;
        memset(&s, 0, sizeof s);
        memset(list, 0, sizeof list);
        for (k = 0; k + 1 < rows[i].n; k++) list[k].ai_next = &list[k + 1];
        if (rows[i].n) s.all = list;
        CHECK_INT(sbxi_socket_turn(&s, rows[i].connect_ms), rows[i].turn);
    }
}

/* A name with an IPv6 address where nobody listens and an IPv4 one where someone
   does, in either order: what the resolver says first must not decide. */
TEST(both_families_are_tried)
{
    int order;
    for (order = 0; order < 2; order++) {
        struct sockaddr_in a;
        struct sockaddr_in6 b;
        struct addrinfo four, six;
        sbxi_socket s;
        sbx_net net;
        uint16_t port = 0;
        int fd = listener(order ? AF_INET6 : AF_INET, 4, &port), rc, turns = 0;
        if (fd < 0) SKIP("no IPv6 here");
        sbxi_net_posix_init(&net, &home);
        four = six = address(&a, port);
        memset(&b, 0, sizeof b);
        b.sin6_family = AF_INET6;
        b.sin6_addr = in6addr_loopback;
        b.sin6_port = htons(port);
        six.ai_family = AF_INET6;
        six.ai_addr = (struct sockaddr *)&b;
        six.ai_addrlen = sizeof b;
        (order ? &four : &six)->ai_next = order ? &six : &four;
        memset(&s, 0, sizeof s);
        s.fd = -1;
        s.all = s.next = order ? &four : &six;
        s.turn_ms = SBXI_TURN_MS;
        while ((rc = sbxi_socket_go_on(&s)) == SBX_E_AGAIN && turns++ < 50)
            wait_on(&net, &s, SBX_WANT_WRITE, 100);
        CHECK_INT(rc, SBX_OK);
        CHECK(s.next == NULL);
        sbxi_socket_drop(&s);
        close(fd);
    }
}

TEST(wait_keeps_its_time)
{
    sbx_net net;
    uint64_t start, took;
    int peer;
    void *conn = connected(&net, &peer);
    start = net.now_ms(net.ctx);
    CHECK_INT(net.wait(net.ctx, NULL, 0, 30), SBX_OK);
    took = net.now_ms(net.ctx) - start;
    CHECK(took >= 29 && took < 1000);
    alarms = 0;
    interrupt(true);
    start = net.now_ms(net.ctx);
    CHECK_INT(wait_on(&net, conn, SBX_WANT_READ, 50), SBX_OK);
    took = net.now_ms(net.ctx) - start;
    interrupt(false);
    CHECK(took >= 49 && took < 1000);
    CHECK(alarms > 1);
    start = net.now_ms(net.ctx);
    CHECK_INT(wait_on(&net, conn, SBX_WANT_READ | SBX_WANT_WRITE, UINT32_MAX), SBX_OK);
    CHECK_INT(wait_on(&net, conn, 0, 0), SBX_OK);
    CHECK(net.now_ms(net.ctx) - start < 1000);
    net.close(net.ctx, conn);
    close(peer);
}

TEST(wait_on_more_than_the_stack_holds)
{
    enum { MANY = SBXI_POLL_STACK + 6 };
    sbx_wait waits[MANY];
    sbx_net net;
    uint64_t start;
    uint16_t port = 0;
    int fd = listener(AF_INET, MANY, &port), peers[MANY], i;
    REQUIRE(fd >= 0);
    sbxi_net_posix_init(&net, &home);
    for (i = 0; i < MANY; i++) {
        CHECK_INT(dial(&net, &waits[i].conn, "127.0.0.1", port), SBX_OK);
        peers[i] = accept(fd, NULL, NULL);
        waits[i].want = SBX_WANT_READ;
    }
    CHECK_INT(net.wait(net.ctx, waits, MANY, 10), SBX_OK);
    CHECK_INT(write(peers[MANY - 1], "x", 1), 1); /* the last one, beyond the stack's array */
    start = net.now_ms(net.ctx);
    CHECK_INT(net.wait(net.ctx, waits, MANY, 5000), SBX_OK);
    CHECK(net.now_ms(net.ctx) - start < 2000);
    CHECK(net.flags & SBX_NET_READY);
    for (i = 0; i < MANY; i++) CHECK_INT(waits[i].ready != 0, i == MANY - 1);
    shutdown(peers[3], SHUT_RDWR); /* an end is to be read, too */
    waits[5].want |= SBX_WANT_WRITE;
    CHECK_INT(net.wait(net.ctx, waits, MANY, 5000), SBX_OK);
    for (i = 0; i < MANY; i++) CHECK_INT(waits[i].ready != 0, i == 3 || i == 5 || i == MANY - 1);
    for (i = 0; i < MANY; i++) {
        net.close(net.ctx, waits[i].conn);
        close(peers[i]);
    }
    close(fd);
}

TEST(clocks_and_entropy)
{
    unsigned char a[600], b[600], zero[600] = { 0 };
    sbx_net net;
    uint64_t t;
    int64_t unix_ms;
    size_t i, same = 0;
    sbxi_net_posix_init(&net, &home);
    t = net.now_ms(net.ctx);
    CHECK(net.now_ms(net.ctx) >= t);
    unix_ms = net.unix_ms(net.ctx);
    CHECK(unix_ms / 1000 - (int64_t)time(NULL) <= 1 && unix_ms / 1000 - (int64_t)time(NULL) >= -1);
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    CHECK_INT(net.entropy(net.ctx, a, sizeof a), SBX_OK);
    CHECK(sbxi_posix_device(b, sizeof b));
    for (i = 0; i < sizeof a; i++) same += a[i] == b[i];
    CHECK(same < 60);
    CHECK(memcmp(a + 500, zero, 100) != 0 && memcmp(b + 500, zero, 100) != 0);
    CHECK_INT(net.entropy(net.ctx, a, 0), SBX_OK);
}

/* ---- SBX_NO_TLS ---- */

TEST(tls_compiled_out)
{
    sbxi_tls_trust *t = (sbxi_tls_trust *)(void *)&t;
    sbxi_tls_conn *c = (sbxi_tls_conn *)(void *)&c;
    sbx_error e;
    sbx_net net;
    sbxi_net_posix_init(&net, &home);
    sbxi_error_clear(&e);
    CHECK_INT(sbxi_tls_trust_open(&t, &heap, &net, NULL, NULL, &e), SBX_E_UNSUPPORTED);
    CHECK(t == NULL);
    CHECK_STR(e.message, "TLS is compiled out (SBX_NO_TLS)");
    CHECK_INT(sbxi_tls_start(&c, t, NULL, "host", 443, &e), SBX_E_UNSUPPORTED);
    CHECK(c == NULL);
}
