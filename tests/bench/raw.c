/* raw - the commands of bench.h over a bare socket: the request in one send(), the
   reply read until its last chunk, nothing decoded. The least a client can do. */
#include "bench.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static int sock = -1;

static void dial(void)
{
    struct sockaddr_in to;
    int one = 1;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)atoi(bench_env("BENCH_PORT")));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sock = socket(AF_INET, SOCK_STREAM, 0);
    if (sock < 0 || connect(sock, (struct sockaddr *)&to, sizeof to) != 0) bench_die("connect");
    setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void command(const char *cmd, int show, size_t expect)
{
    static const char last[] = "\r\n0\r\n\r\n";
    static char buf[65536 + 8];
    char body[1000], head[1000];
    size_t body_len = bench_start_body(body, sizeof body, cmd), tail = 0, sum = 0;
    int n = snprintf(head, sizeof head, "POST /process.Process/Start HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n"
        "E2b-Sandbox-Id: %s\r\nE2b-Sandbox-Port: 49983\r\nX-Access-Token: %s\r\n"
        "Authorization: Basic dXNlcjo=\r\nContent-Type: application/connect+json\r\n"
        "Connect-Protocol-Version: 1\r\nContent-Length: %lu\r\n\r\n", bench_env("BENCH_PORT"),
        bench_env("BENCH_ID"), bench_env("BENCH_TOKEN"), (unsigned long)body_len);
    memcpy(head + n, body, body_len);
    if (sock < 0) dial();
    if (send(sock, head, (size_t)n + body_len, 0) != (ssize_t)((size_t)n + body_len)) bench_die("send");
    for (;;) {
        ssize_t got = recv(sock, buf + tail, sizeof buf - 8, 0);
        size_t have;
        if (got <= 0) bench_die("recv");
        if (!sum && memcmp(buf, "HTTP/1.1 200", 12) != 0) bench_die("not 200");
        sum += (size_t)got;
        have = tail + (size_t)got;
        if (have >= 7 && memcmp(buf + have - 7, last, 7) == 0) break;
        tail = have < 7 ? have : 7;
        memmove(buf, buf + have - tail, tail);
    }
    if (show || sum < expect) bench_die("wrong output");
}

int main(int argc, char **argv)
{
    static const bench_jobs jobs = { command, NULL, NULL };
    bench_main(argc, argv, &jobs);
    close(sock);
    return 0;
}
