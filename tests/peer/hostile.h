/* hostile.h - a scripted TCP server in a thread of the test: it reads one whole
   request, answers what the script says, and closes, stays silent, or floods.
   Include it after the code under test, with _GNU_SOURCE; POSIX threads.

   One connection at a time: a client that gave up a call has closed its
   connection. What fits no attack gets the good answer of its route. Every
   request is kept, so that a test can look for what must not be in it. */
#ifndef SBX_HOSTILE_H
#define SBX_HOSTILE_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

/* What to say to a request whose first line contains `to`. */
typedef struct hostile_reply {
    const char *bytes;
    size_t len;             /* 0: strlen(bytes) */
    size_t cut;             /* > 0: only cut - 1 bytes of it */
    size_t slice;           /* > 0: so many bytes, then delay_ms, and so on */
    unsigned delay_ms;      /* before the first byte and each further slice */
    bool (*flood)(int fd);  /* then: called until it says false */
    bool stay;              /* do not close until the client does, or the attack
                               is over */
    bool deaf;              /* do not even read the request */
    bool keep;              /* then read the next request */
    bool hasty;             /* answer when its head has come */
} hostile_reply;

typedef struct hostile {
    int fd;                 /* listens */
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t lock;   /* of all below */
    const char *to;
    const hostile_reply *attack; /* NULL: be good */
    size_t requests;
    char seen[16384];       /* the heads of requests, one after another */
    size_t seen_len;
} hostile;

#define HOSTILE_CREATED "{\"sandboxID\":\"box1\",\"templateID\":\"base\"," \
    "\"envdVersion\":\"0.6.4\",\"envdAccessToken\":\"tok\"}"

#define HOSTILE_LISTED "{\"sandboxID\":\"box1\",\"templateID\":\"base\",\"clientID\":\"c\"," \
    "\"startedAt\":\"2026-01-01T00:00:00Z\",\"endAt\":\"2026-01-01T01:00:00Z\",\"cpuCount\":1," \
    "\"memoryMB\":1,\"diskSizeMB\":1,\"envdVersion\":\"0.6.4\",\"state\":\"running\"}"
#define HOSTILE_ENTRY "{\"name\":\"x\",\"type\":\"FILE_TYPE_FILE\",\"path\":\"/x\",\"size\":\"1\"}"

static const char hostile_stream[] = "HTTP/1.1 200 OK\r\n"
    "Content-Type: application/connect+json\r\nTransfer-Encoding: chunked\r\n\r\n"
    "22\r\n\0\0\0\0\x1d{\"event\":{\"start\":{\"pid\":7}}}\r\n"
    "2d\r\n\0\0\0\0\x28{\"event\":{\"data\":{\"stdout\":\"aGVsbG8=\"}}}\r\n"
    "45\r\n\0\0\0\0\x40{\"event\":{\"end\":{\"exitCode\":0,\"exited\":true,\"status\":\"exited\"}}}\r\n"
    "7\r\n\2\0\0\0\2{}\r\n0\r\n\r\n";
static const char hostile_file[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
    "Content-Length: 5\r\n\r\nhello";

/* False: the client is gone. */
static bool hostile_send(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0) return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* Waits as long as that, or until the client closes (false). */
static bool hostile_rest(int fd, unsigned ms)
{
    struct pollfd p = { fd, POLLRDHUP, 0 };
    return poll(&p, 1, (int)ms) <= 0;
}

/* The next request on a kept connection. False: another connection came first. */
static bool hostile_next(const hostile *h, int fd)
{
    struct pollfd p[2] = { { fd, POLLIN, 0 }, { h->fd, POLLIN, 0 } };
    poll(p, 2, -1);
    return p[0].revents != 0;
}

/* Reads a request, its body too unless the answer is hasty. False: none came. */
static bool hostile_read(hostile *h, int fd, char *head, size_t cap)
{
    size_t len = 0, body = 0;
    char *end = NULL, *at;
    char drop[4096];
    while (!end) {
        ssize_t n = len + 1 < cap ? recv(fd, head + len, cap - 1 - len, 0) : 0;
        if (n <= 0) return false;
        len += (size_t)n;
        head[len] = 0;
        end = strstr(head, "\r\n\r\n");
    }
    at = strstr(head, "Content-Length: ");
    if (at && at < end) body = (size_t)strtoull(at + 16, NULL, 10);
    len -= (size_t)(end + 4 - head);
    end[4] = 0;
    pthread_mutex_lock(&h->lock);
    if (h->attack && h->attack->hasty && strstr(head, h->to)) body = 0;
    pthread_mutex_unlock(&h->lock);
    while (len < body) {
        ssize_t n = recv(fd, drop, sizeof drop, 0);
        if (n <= 0) return false;
        len += (size_t)n;
    }
    return true;
}

static bool hostile_json(int fd, const char *json)
{
    char text[512];
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        "Content-Length: %u\r\n\r\n%s", (unsigned)strlen(json), json);
    return hostile_send(fd, text, strlen(text));
}

static bool hostile_good(int fd, const char *head)
{
    char text[512];
    if (!strncmp(head, "POST /v2/sandboxes", 18)) {
        snprintf(text, sizeof text, "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
            "Content-Length: %u\r\n\r\n%s", (unsigned)strlen(HOSTILE_CREATED), HOSTILE_CREATED);
        return hostile_send(fd, text, strlen(text));
    }
    if (strstr(head, "/process.Process/Start "))
        return hostile_send(fd, hostile_stream, sizeof hostile_stream - 1);
    if (!strncmp(head, "GET /v2/sandboxes", 17))
        return hostile_json(fd, "[" HOSTILE_LISTED "]");
    if (strstr(head, "/ListDir ")) return hostile_json(fd, "{\"entries\":[" HOSTILE_ENTRY "]}");
    if (strstr(head, "/Stat ")) return hostile_json(fd, "{\"entry\":" HOSTILE_ENTRY "}");
    if (!strncmp(head, "POST /files", 11)) return hostile_json(fd, "[" HOSTILE_ENTRY "]");
    if (!strncmp(head, "GET /files", 10))
        return hostile_send(fd, hostile_file, sizeof hostile_file - 1);
    return hostile_send(fd, "HTTP/1.1 204 No Content\r\n\r\n", 27);
}

/* A deaf peer cannot see the client go: it ends with its attack. */
static bool hostile_is(hostile *h, const hostile_reply *r)
{
    bool yes;
    pthread_mutex_lock(&h->lock);
    yes = h->attack == r;
    pthread_mutex_unlock(&h->lock);
    return yes;
}

/* False: the connection is over. */
static bool hostile_attack(hostile *h, int fd, const hostile_reply *r)
{
    size_t len = r->len || !r->bytes ? r->len : strlen(r->bytes), at = 0;
    if (r->cut) len = r->cut - 1;
    while (at < len) {
        size_t n = r->slice && r->slice < len - at ? r->slice : len - at;
        if (r->delay_ms && !hostile_rest(fd, r->delay_ms)) return false;
        if (!hostile_send(fd, r->bytes + at, n)) return false;
        at += n;
    }
    while (r->flood && r->flood(fd)) {}
    while (r->stay && hostile_is(h, r) && hostile_rest(fd, 20)) {}
    return r->keep;
}

static void hostile_connection(hostile *h, int fd)
{
    char head[8192];
    bool kept;
    for (kept = false;; kept = true) {
        const hostile_reply *attack;
        size_t n;
        pthread_mutex_lock(&h->lock);
        attack = h->attack && h->attack->deaf ? h->attack : NULL;
        pthread_mutex_unlock(&h->lock);
        if (!attack && kept && !hostile_next(h, fd)) return;
        if (!attack && !hostile_read(h, fd, head, sizeof head)) return;
        if (attack) snprintf(head, sizeof head, "deaf");
        pthread_mutex_lock(&h->lock);
        h->requests++;
        n = strlen(head);
        if (n < sizeof h->seen - h->seen_len) {
            memcpy(h->seen + h->seen_len, head, n + 1);
            h->seen_len += n;
        }
        if (!attack && h->attack && strstr(head, h->to)) attack = h->attack;
        pthread_mutex_unlock(&h->lock);
        if (!(attack ? hostile_attack(h, fd, attack) : hostile_good(fd, head))) return;
    }
}

static void *hostile_main(void *ctx)
{
    hostile *h = ctx;
    int fd, on = 1;
    while ((fd = accept(h->fd, NULL, NULL)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        hostile_connection(h, fd);
        close(fd);
    }
    return NULL;
}

static bool hostile_listen(hostile *h, int backlog)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    memset(h, 0, sizeof *h);
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (h->fd < 0 || bind(h->fd, (struct sockaddr *)&a, n) != 0 || listen(h->fd, backlog) != 0)
        return false;
    if (getsockname(h->fd, (struct sockaddr *)&a, &n) != 0) return false;
    h->port = ntohs(a.sin_port);
    return true;
}

static bool hostile_start(hostile *h)
{
    if (!hostile_listen(h, 64)) return false;
    pthread_mutex_init(&h->lock, NULL);
    return pthread_create(&h->thread, NULL, hostile_main, h) == 0;
}

/* The client must have closed its connections. */
static void hostile_end(hostile *h)
{
    shutdown(h->fd, SHUT_RDWR);
    pthread_join(h->thread, NULL);
    close(h->fd);
}

/* From now on requests with `to` in their head get this; NULL: be good again. */
static void hostile_set(hostile *h, const char *to, const hostile_reply *attack)
{
    pthread_mutex_lock(&h->lock);
    h->to = to;
    h->attack = attack;
    h->requests = h->seen_len = 0;
    h->seen[0] = 0;
    pthread_mutex_unlock(&h->lock);
}

static bool hostile_heard(hostile *h, const char *what)
{
    bool yes;
    pthread_mutex_lock(&h->lock);
    yes = strstr(h->seen, what) != NULL;
    pthread_mutex_unlock(&h->lock);
    return yes;
}

static size_t hostile_count(hostile *h)
{
    size_t n;
    pthread_mutex_lock(&h->lock);
    n = h->requests;
    pthread_mutex_unlock(&h->lock);
    return n;
}

#endif
