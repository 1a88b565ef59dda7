/* net_lwip - sandbox.h over lwIP's raw API: no threads, no sockets, nothing blocks. lwIP
   calls back (the functions that end in _cb) while pump() runs; that leaves what came in the
   connection, where net_recv() finds it. pump() runs in wait(), that is, in every blocking
   call and every sbx_poll() that may wait; nowhere else, so that what one of them can find
   to do is bounded by the window.

   Flow control is TCP's: what net_recv() has not taken keeps the window shut. */
#include "net.h"
#include "board.h"
#include "lan9118.h"
#include "lwip/dns.h"
#include "lwip/init.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"
#include <string.h>

#define CONNS 2                 /* one that works and one kept, or closing */

/* ABANDONED: closed while DNS still works on its name; free when that has answered. */
typedef enum phase { FREE, LOOKUP, ABANDONED, FOUND, CONNECTING, UP, FAILED } phase;

typedef struct connection {
    phase phase;
    int error;                  /* FAILED: what open() says */
    bool ended;                 /* the peer will send no more */
    bool crowded;               /* lwIP had no memory for more, until some is acknowledged */
    struct tcp_pcb *pcb;        /* NULL: none yet, or gone (err_cb) */
    struct pbuf *received;      /* not yet taken */
    ip_addr_t address;
} connection;

static connection conns[CONNS];
static struct netif ethernet;

u32_t sys_now(void) { return (u32_t)board_ms(NULL); }

uint32_t net_random(void)
{
    uint32_t n = 0;
    (void)board_entropy(NULL, &n, sizeof n);
    return n;
}

static void pump(void)
{
    lan9118_poll(&ethernet);
    sys_check_timeouts();
}

/* ---- what lwIP reports ------------------------------------------------------ */

static err_t connected_cb(void *arg, struct tcp_pcb *pcb, err_t err)
{
    connection *c = arg;
    (void)pcb;
    (void)err;                  /* a failure comes by err_cb */
    c->phase = UP;
    return ERR_OK;
}

static err_t recv_cb(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    connection *c = arg;
    (void)pcb;
    (void)err;
    if (!p) c->ended = true;
    else if (c->received) pbuf_cat(c->received, p);
    else c->received = p;
    return ERR_OK;
}

static err_t sent_cb(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    connection *c = arg;
    (void)pcb;
    (void)len;
    c->crowded = false;
    return ERR_OK;
}

/* Refused, reset, or given up; lwIP has freed the pcb. What was received stays. */
static void err_cb(void *arg, err_t err)
{
    connection *c = arg;
    (void)err;
    c->pcb = NULL;
    c->error = SBX_E_CONNECT;
    c->phase = FAILED;
}

static void found_cb(const char *name, const ip_addr_t *address, void *arg)
{
    connection *c = arg;
    (void)name;
    if (c->phase == ABANDONED) {
        c->phase = FREE;
        return;
    }
    c->error = SBX_E_DNS;
    c->phase = address ? FOUND : FAILED;
    if (address) c->address = *address;
}

/* ---- what sandbox.h asks for ------------------------------------------------ */

static void net_close(void *ctx, void *conn)
{
    connection *c = conn;
    phase last = c->phase;
    (void)ctx;
    if (c->received) pbuf_free(c->received);
    if (c->pcb) {
        tcp_arg(c->pcb, NULL);
        tcp_recv(c->pcb, NULL);
        tcp_sent(c->pcb, NULL);
        tcp_err(c->pcb, NULL);
        if (tcp_close(c->pcb) != ERR_OK) tcp_abort(c->pcb);
    }
    memset(c, 0, sizeof *c);
    if (last == LOOKUP) c->phase = ABANDONED;
}

static int connect_to(connection *c, uint16_t port)
{
    c->pcb = tcp_new();
    if (!c->pcb) return SBX_E_NOMEM;
    tcp_arg(c->pcb, c);
    tcp_recv(c->pcb, recv_cb);
    tcp_sent(c->pcb, sent_cb);
    tcp_err(c->pcb, err_cb);
    tcp_nagle_disable(c->pcb);  /* a small request must not wait for an answer */
    c->phase = CONNECTING;
    return tcp_connect(c->pcb, &c->address, port, connected_cb) == ERR_OK ? SBX_OK
                                                                          : SBX_E_CONNECT;
}

static int look_up(connection *c, const char *host)
{
    err_t err;
    c->phase = LOOKUP;
    err = dns_gethostbyname(host, &c->address, found_cb, c);
    if (err != ERR_INPROGRESS) c->phase = FOUND; /* found_cb() will not be called */
    return err == ERR_OK || err == ERR_INPROGRESS ? SBX_OK : SBX_E_DNS;
}

static int net_open(void *ctx, void **conn, const char *host, uint16_t port, bool tls)
{
    connection *c = *conn;
    int rc = SBX_OK, i;
    (void)tls;                  /* done by sandbox.h, above this */
    for (i = 0; !c && i < CONNS; i++)
        if (conns[i].phase == FREE) c = &conns[i];
    if (!c) return SBX_E_NOMEM;
    *conn = c;
    if (c->phase == FREE) rc = look_up(c, host);
    if (rc == SBX_OK && c->phase == FOUND) rc = connect_to(c, port);
    if (rc == SBX_OK && c->phase == UP) return SBX_OK;
    if (rc == SBX_OK && c->phase == FAILED) rc = c->error;
    if (rc == SBX_OK) return SBX_E_AGAIN;
    net_close(ctx, c);
    *conn = NULL;
    return rc;
}

static int net_send(void *ctx, void *conn, const void *buf, size_t len, size_t *sent)
{
    connection *c = conn;
    size_t room;
    err_t err;
    (void)ctx;
    *sent = 0;
    if (c->phase != UP) return SBX_E_NETWORK;
    room = tcp_sndbuf(c->pcb);
    if (len > room) len = room;
    if (len == 0) return SBX_E_AGAIN;
    err = tcp_write(c->pcb, buf, (u16_t)len, TCP_WRITE_FLAG_COPY);
    if (err == ERR_MEM) {
        c->crowded = tcp_sndqueuelen(c->pcb) > 0;
        return SBX_E_AGAIN;
    }
    if (err != ERR_OK) return SBX_E_NETWORK;
    (void)tcp_output(c->pcb);
    *sent = len;
    return SBX_OK;
}

static int net_recv(void *ctx, void *conn, void *buf, size_t cap, size_t *got)
{
    connection *c = conn;
    u16_t n;
    (void)ctx;
    *got = 0;
    if (!c->received) {
        if (c->ended) return SBX_OK;
        return c->phase == UP ? SBX_E_AGAIN : SBX_E_NETWORK;
    }
    n = pbuf_copy_partial(c->received, buf, (u16_t)(cap < 0xFFFF ? cap : 0xFFFF), 0);
    c->received = pbuf_free_header(c->received, n);
    if (c->pcb) tcp_recved(c->pcb, n);
    *got = n;
    return SBX_OK;
}

static int ready(const connection *c, int want)
{
    int now = 0;
    if (c->phase == FOUND || c->phase == FAILED) return want;
    if (c->received || c->ended) now |= SBX_WANT_READ;
    if (c->phase == UP && tcp_sndbuf(c->pcb) > 0 && !c->crowded) now |= SBX_WANT_WRITE;
    return now & want;
}

static int net_wait(void *ctx, sbx_wait *waits, size_t n, uint32_t timeout_ms)
{
    uint64_t end = board_ms(NULL) + timeout_ms;
    (void)ctx;
    for (;;) {
        int any = 0;
        size_t i;
        pump();
        for (i = 0; i < n; i++) {
            waits[i].ready = ready(waits[i].conn, waits[i].want);
            any |= waits[i].ready;
        }
        if (any || board_ms(NULL) >= end) return SBX_OK;
        board_sleep();          /* a frame ends it, or the clock */
    }
}

int net_init(sbx_net *net)
{
    ip4_addr_t own, mask, gateway, dns;
    lwip_init();
    IP4_ADDR(&own, 10, 0, 2, 15); /* as qemu's user network has it */
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&gateway, 10, 0, 2, 2);
    IP4_ADDR(&dns, 10, 0, 2, 3);
    if (!netif_add(&ethernet, &own, &mask, &gateway, NULL, lan9118_init, ethernet_input))
        return SBX_E_NETWORK;
    netif_set_default(&ethernet);
    netif_set_up(&ethernet);
    dns_setserver(0, &dns);
    net->open = net_open;
    net->send = net_send;
    net->recv = net_recv;
    net->close = net_close;
    net->wait = net_wait;
    net->now_ms = board_ms;
    net->unix_ms = board_unix_ms;
    net->entropy = board_entropy;
    net->flags = SBX_NET_READY;
    return SBX_OK;
}
