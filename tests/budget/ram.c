/* ram - memory a client needs for a streaming command, by the fixed allocator:
   open, create, run with 100,000 lines of output, kill, close, over a transport
   in memory. Built with the small limits. Prints `ram_streaming_command` and the peak in bytes; fails above
   argv[1]. */
#ifndef SBX_SMALL
#define SBX_SMALL
#endif
#define SBX_NO_TLS
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox.h"
#include <stdio.h>
#include <stdlib.h>

#define LINES 100000L /* more than 16 bits can count */

/* The peer: one answer a request, told apart by how the request begins. */
typedef struct peer {
    const char *text;
    size_t left;
    uint32_t lines;         /* still to come as messages */
    char message[96];
    uint64_t now;
} peer;

#define HEAD "HTTP/1.1 "
#define CREATED "{\"templateID\":\"base\",\"sandboxID\":\"i1a2b3c4d5e6f7g8h9i0j\"," \
    "\"envdVersion\":\"0.6.4\",\"envdAccessToken\":" \
    "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}"

static int peer_open(void *ctx, void **conn, const char *host, uint16_t port, bool tls)
{
    (void)host;
    (void)port;
    (void)tls;
    *conn = ctx;
    return SBX_OK;
}

static void peer_say(peer *p, const char *text, size_t len)
{
    p->text = text;
    p->left = len;
}

static int peer_send(void *ctx, void *conn, const void *buf, size_t len, size_t *sent)
{
    static const char created[] = HEAD "201 Created\r\nContent-Length: 164\r\n\r\n" CREATED;
    static const char killed[] = HEAD "204 No Content\r\n\r\n";
    static const char started[] = HEAD "200 OK\r\nContent-Type: application/connect+json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n25\r\n\0\0\0\0\x20{\"event\":{\"start\":{\"pid\":1234}}}\r\n";
    peer *p = (peer *)ctx;
    const char *b = (const char *)buf;
    (void)conn;
    *sent = len;
    if (memcmp(b, "POST /v2/", 9) == 0) peer_say(p, created, sizeof created - 1);
    if (memcmp(b, "DELETE ", 7) == 0) peer_say(p, killed, sizeof killed - 1);
    if (memcmp(b, "POST /process", 13) == 0) {
        peer_say(p, started, sizeof started - 1);
        p->lines = LINES;
    }
    return SBX_OK;
}

static int peer_recv(void *ctx, void *conn, void *buf, size_t cap, size_t *got)
{
    static const char line[] = "39\r\n\0\0\0\0\x34{\"event\":{\"data\":{\"stdout\":\"YSBsaW5lIG9mIHRleHQK\"}}}\r\n";
    static const char end[] = "38\r\n\0\0\0\0\x33{\"event\":{\"end\":{\"exited\":true,\"status\":\"exited\"}}}\r\n"
        "7\r\n\2\0\0\0\2{}\r\n0\r\n\r\n";
    peer *p = (peer *)ctx;
    (void)conn;
    if (!p->left && p->lines) {
        if (--p->lines == 0)
            peer_say(p, end, sizeof end - 1);
        else
            peer_say(p, line, sizeof line - 1);
    }
    if (!p->left) return SBX_E_AGAIN;
    *got = p->left < cap ? p->left : cap;
    memcpy(buf, p->text, *got);
    p->text += *got;
    p->left -= *got;
    return SBX_OK;
}

static void peer_close(void *ctx, void *conn) { (void)ctx; (void)conn; }

static int peer_wait(void *ctx, sbx_wait *waits, size_t n, uint32_t ms)
{
    (void)waits;
    (void)n;
    if (!((peer *)ctx)->left && !((peer *)ctx)->lines) ((peer *)ctx)->now += ms;
    return SBX_OK;
}

static uint64_t peer_now(void *ctx) { return ((peer *)ctx)->now; }

static int count_put(void *ctx, const void *data, size_t len)
{
    (void)data;
    *(uint32_t *)ctx += (uint32_t)len;
    return SBX_OK;
}

static int say(const char *what, int rc)
{
    fprintf(stderr, "ram: %s: %s\n", what, sbx_status_name(rc));
    return 1;
}

int main(int argc, char **argv)
{
    static unsigned char memory[16384];
    static peer p;
    sbx_fixed heap;
    sbx_config cfg;
    sbx_client *client;
    sbx_sandbox *box;
    sbx_command_options o;
    sbx_command_result r;
    uint32_t seen = 0;
    int rc;
    memset(&cfg, 0, sizeof cfg);
    memset(&o, 0, sizeof o);
    cfg.provider = &sbx_e2b;
    cfg.api_key = "e2b_0000000000000000000000000000000000000000";
    cfg.api_url = cfg.sandbox_url = "http://host";
    cfg.environment = SBX_NO;
    cfg.alloc = sbx_alloc_fixed(&heap, memory, sizeof memory);
    cfg.net.open = peer_open;
    cfg.net.send = peer_send;
    cfg.net.recv = peer_recv;
    cfg.net.close = peer_close;
    cfg.net.wait = peer_wait;
    cfg.net.now_ms = peer_now;
    cfg.net.ctx = &p;
    rc = sbx_open(&client, &cfg);
    if (rc != SBX_OK) return say("open", rc);
    rc = sbx_sandbox_create(client, NULL, &box, NULL);
    if (rc != SBX_OK) return say(sbx_client_error(client)->message, rc);
    o.out.put = count_put;
    o.out.ctx = &seen;
    rc = sbx_command_run(box, "seq 100000", &o, &r, NULL);
    if (rc != SBX_OK) return say(sbx_client_error(client)->message, rc);
    rc = sbx_sandbox_kill(box, NULL, NULL);
    if (rc != SBX_OK) return say("kill", rc);
    sbx_sandbox_release(box);
    sbx_close(client);
    if (seen != (LINES - 1) * 15u || heap.used) return say("bytes are missing", SBX_E_PROTOCOL);
    printf("ram_streaming_command %u\n", (unsigned)heap.peak);
    return argc > 1 && heap.peak > (size_t)atoi(argv[1]);
}
