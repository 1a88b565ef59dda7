/* forward - a small HTTP forward proxy, and some bad ones:
     forward --listen PORT [--user NAME:PASSWORD] [--say TEXT] [--surplus] [--drip MS]
   --listen 0 takes a free port; the port is the first line it prints, then the request
   line of every request. CONNECT makes a tunnel, http:// URLs are fetched, anything
   else is 400, a host that cannot be reached 502. --user asks for Basic credentials
   (407). The bad ones: --say answers everything with TEXT (\r, \n, \0 in it) and
   closes, --surplus sends more than the answer to CONNECT, --drip sends that byte by
   byte. Ends with SIGTERM. A process for each connection. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct forward {
    char basic[256];        /* what the credentials must be, "": any */
    char say[1024];
    size_t say_len;
    bool surplus;
    unsigned drip_ms;
} forward;

/* One connection of a client. What comes from it is a row of requests: heads are
   rewritten, bodies counted so that the next head is found. */
typedef struct visitor {
    int client, host;
    char to[300];           /* host:port that `host` leads to */
    bool tunnel, chunked;
    long left;              /* of the body, or of a chunk with its end */
    char buf[16384];
    size_t len;
} visitor;

static bool send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool send_text(int fd, const char *text) { return send_all(fd, text, strlen(text)); }

static void basic_of(const char *text, char *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(text), i;
    for (i = 0; i < n; i += 3) {
        unsigned v = (unsigned char)text[i] << 16;
        if (i + 1 < n) v |= (unsigned)(unsigned char)text[i + 1] << 8;
        if (i + 2 < n) v |= (unsigned char)text[i + 2];
        *out++ = letters[v >> 18];
        *out++ = letters[v >> 12 & 63];
        *out++ = i + 1 < n ? letters[v >> 6 & 63] : '=';
        *out++ = i + 2 < n ? letters[v & 63] : '=';
    }
    *out = 0;
}

/* A connection to host:port or [address]:port, -1: there is none. */
static int reach(const char *to, const char *default_port)
{
    char host[300];
    const char *colon = strrchr(to, ':'), *port = default_port;
    struct addrinfo hints, *all, *a;
    size_t n = strlen(to);
    int fd = -1;
    if (colon && !strchr(colon, ']')) {
        port = colon + 1;
        n = (size_t)(colon - to);
    }
    if (n && to[0] == '[') {
        to++;
        n -= 2;
    }
    if (n == 0 || n >= sizeof host) return -1;
    memcpy(host, to, n);
    host[n] = 0;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, port, &hints, &all) != 0) return -1;
    for (a = all; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM, 0);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(all);
    return fd;
}

/* The value of a header in a head that ends with an empty line, NULL: not there. */
static const char *header(const char *head, const char *name)
{
    const char *at = strstr(head, name);
    return at ? at + strlen(name) : NULL;
}

static bool allowed(const forward *f, const char *head)
{
    const char *value = header(head, "\r\nProxy-Authorization: Basic ");
    size_t n = strlen(f->basic);
    return n == 0 || (value && strncmp(value, f->basic, n) == 0 && value[n] == '\r');
}

static bool tunnel(const forward *f, visitor *v, const char *to)
{
    const char *yes = "HTTP/1.1 200 Connection established\r\n\r\n", *p;
    v->host = reach(to, "443");
    if (v->host < 0) return send_text(v->client, "HTTP/1.1 502 Bad Gateway\r\n\r\n") && false;
    v->tunnel = true;
    for (p = yes; f->drip_ms && *p; p++) {
        if (!send_all(v->client, p, 1)) return false;
        usleep(f->drip_ms * 1000);
    }
    if (!f->drip_ms && !f->surplus) return send_text(v->client, yes);
    return !f->surplus || send_text(v->client, "HTTP/1.1 200 OK\r\n\r\n\x15\x03\x03 surplus");
}

/* Sends the head on with a path in place of the URL and without the credentials. */
static bool fetch(visitor *v, char *head, size_t len, char *url, char *version)
{
    char to[300], *path = strchr(url + 7, '/'), *auth, *rest = strstr(version + 1, "\r\n") + 2;
    const char *value;
    size_t n = path ? (size_t)(path - url) - 7 : strlen(url + 7);
    if (n >= sizeof to) return false;
    memcpy(to, url + 7, n);
    to[n] = 0;
    if (v->host >= 0 && strcmp(v->to, to) != 0) { /* one connection, one host: no need so far */
        close(v->host);
        v->host = -1;
    }
    strcpy(v->to, to);
    if (v->host < 0) v->host = reach(to, "80");
    if (v->host < 0)
        return send_text(v->client, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n") && false;
    value = header(rest - 2, "\r\nContent-Length: ");
    v->left = value ? strtol(value, NULL, 10) : 0;
    v->chunked = header(rest - 2, "\r\nTransfer-Encoding: chunked\r\n") != NULL;
    if (!send_text(v->host, head) || !send_text(v->host, " ") || !send_text(v->host, path ? path : "/")
        || !send_text(v->host, " HTTP/1.1\r\n"))
        return false;
    auth = strstr(rest - 2, "\r\nProxy-Authorization:");
    if (auth) {
        char *end = strstr(auth + 2, "\r\n") + 2;
        if (!send_all(v->host, rest, (size_t)(auth + 2 - rest))) return false;
        rest = end;
    }
    return send_all(v->host, rest, (size_t)(head + len - rest));
}

/* A whole head is there. False: the connection is over. */
static bool request(const forward *f, visitor *v, size_t len)
{
    char head[16385], *target, *version;
    memcpy(head, v->buf, len);
    head[len] = 0;
    printf("%.*s\n", (int)strcspn(head, "\r"), head);
    fflush(stdout);
    if (f->say_len) return send_all(v->client, f->say, f->say_len) && false;
    if (!allowed(f, head))
        return send_text(v->client, "HTTP/1.1 407 Proxy Authentication Required\r\n"
                         "Proxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 4\r\n\r\nno!\n") && false;
    target = strchr(head, ' ');
    version = target ? strchr(target + 1, ' ') : NULL;
    if (!version) return false;
    *target++ = 0;
    *version = 0;
    if (strcmp(head, "CONNECT") == 0) return tunnel(f, v, target);
    if (strncmp(target, "http://", 7) == 0) return fetch(v, head, len, target, version);
    return send_text(v->client, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") && false;
}

/* Passes on what has come from the client. False: the connection is over. */
static bool pass(const forward *f, visitor *v)
{
    while (v->len) {
        size_t n = v->len;
        char *end;
        v->buf[v->len] = 0;
        if (v->left > 0 && (long)n > v->left) n = (size_t)v->left;
        if (v->tunnel || v->left > 0) {
            if (!send_all(v->host, v->buf, n)) return false;
            if (!v->tunnel) v->left -= (long)n;
        } else if (v->chunked) {
            end = strstr(v->buf, "\r\n");
            if (!end) return n < 32;
            n = (size_t)(end - v->buf) + 2;
            v->left = strtol(v->buf, NULL, 16);
            v->chunked = v->left > 0;
            v->left += 2; /* the end of the chunk, or of all */
            if (!send_all(v->host, v->buf, n)) return false;
        } else {
            end = strstr(v->buf, "\r\n\r\n");
            if (!end) return n < sizeof v->buf - 1;
            n = (size_t)(end - v->buf) + 4;
            if (!request(f, v, n)) return false;
        }
        memmove(v->buf, v->buf + n, v->len - n);
        v->len -= n;
    }
    return true;
}

static void serve(const forward *f, int client)
{
    static visitor v;
    char back[16384];
    ssize_t n;
    v.client = client;
    v.host = -1;
    for (;;) {
        struct pollfd fds[2] = { { client, POLLIN, 0 }, { v.host, POLLIN, 0 } };
        if (poll(fds, 2, -1) < 0) return;
        if (fds[1].revents) {
            n = recv(v.host, back, sizeof back, 0);
            if (n <= 0 || !send_all(client, back, (size_t)n)) return;
        }
        if (!fds[0].revents) continue;
        n = recv(client, v.buf + v.len, sizeof v.buf - 1 - v.len, 0);
        if (n <= 0) return;
        v.len += (size_t)n;
        if (!pass(f, &v)) break;
    }
    shutdown(client, SHUT_WR); /* so that the last answer is not lost in a reset */
    while (recv(client, back, sizeof back, 0) > 0) {}
}

static void unescape(forward *f, const char *text)
{
    for (; *text && f->say_len < sizeof f->say; text++) {
        char c = *text;
        if (c == '\\' && text[1]) c = *++text == 'r' ? '\r' : *text == 'n' ? '\n' : *text == '0' ? 0 : *text;
        f->say[f->say_len++] = c;
    }
}

int main(int argc, char **argv)
{
    static forward f;
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    int port = -1, i, on = 1, fd;
    for (i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--surplus")) {
            f.surplus = true;
            continue;
        }
        if (!strcmp(argv[i], "--listen")) port = atoi(value);
        else if (!strcmp(argv[i], "--drip")) f.drip_ms = (unsigned)atoi(value);
        else if (!strcmp(argv[i], "--say")) unescape(&f, value);
        else if (!strcmp(argv[i], "--user") && strlen(value) < 180) basic_of(value, f.basic);
        else port = -1;
        i++;
    }
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons((uint16_t)port);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (port < 0 || bind(fd, (struct sockaddr *)&a, len) != 0 || listen(fd, 64) != 0
        || getsockname(fd, (struct sockaddr *)&a, &len) != 0) {
        fprintf(stderr, "forward: see the beginning of forward.c\n");
        return 2;
    }
    signal(SIGCHLD, SIG_IGN);
    printf("%u\n", ntohs(a.sin_port));
    fflush(stdout);
    for (;;) {
        int client = accept(fd, NULL, NULL);
        if (client < 0) continue;
        if (fork() == 0) {
            close(fd);
            signal(SIGTERM, SIG_DFL);
            serve(&f, client);
            _exit(0);
        }
        close(client);
    }
}
