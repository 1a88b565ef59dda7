/* net_uart - sandbox.h over a UART (CMSDK, as on Arm's MPS2 boards) whose other end is a
   pipe to the host: a modem in its transparent mode, a gateway, here qemu's
   `-serial tcp:`. No IP stack: the bytes of one connection go in and out. TLS runs here,
   on this side of the pipe, so what carries it need not be trusted.

   One pipe is one connection. sandbox.h keeps a connection between calls, so that a
   firmware gets by with one; if the host closes it, this example is at its end, where a
   modem would be told to dial again in pipe_open(). */
#include "net.h"
#include "board.h"

#define UART(offset) (*(volatile uint32_t *)(uintptr_t)(0x40004000u + (offset)))
#define UART_DATA UART(0x00)
#define UART_STATE UART(0x04)
#define UART_CONTROL UART(0x08)
#define UART_INTERRUPT UART(0x0C)
#define UART_DIVIDER UART(0x10)
enum { TX_FULL = 1, RX_FULL = 2 };              /* STATE */
enum { TX_ON = 1, RX_ON = 2, RX_INTERRUPT = 8 }; /* CONTROL */

/* Filled by the interrupt, emptied by recv(). When it is full the interrupt is switched
   off: the emulated UART then waits with its byte. A real one does not wait, and its
   bytes would be lost while TLS computes for hundreds of milliseconds: connect RTS and
   CTS, or let DMA fill a ring of some KiB. */
#define RING 512u               /* a power of two */
static volatile unsigned char ring[RING];
static volatile uint32_t head, tail; /* they only grow; head - tail is what is in */
static bool in_use, used_up;

void board_uart0_rx_irq(void)
{
    UART_INTERRUPT = RX_FULL;   /* writing 1 clears it */
    while (UART_STATE & RX_FULL) {
        if (head - tail == RING) {
            board_disable(BOARD_UART0_RX);
            break;
        }
        ring[head % RING] = (unsigned char)UART_DATA;
        head++;
    }
}

static int pipe_open(void *ctx, void **conn, const char *host, uint16_t port, bool tls)
{
    (void)ctx;
    (void)host;                 /* where it leads is up to who laid the pipe */
    (void)port;
    (void)tls;
    if (in_use || used_up) return SBX_E_CONNECT;
    in_use = true;
    *conn = &in_use;
    return SBX_OK;
}

static int pipe_send(void *ctx, void *conn, const void *buf, size_t len, size_t *sent)
{
    const unsigned char *p = buf;
    (void)ctx;
    (void)conn;
    for (*sent = 0; *sent < len && !(UART_STATE & TX_FULL); ++*sent) UART_DATA = p[*sent];
    return *sent ? SBX_OK : SBX_E_AGAIN;
}

static int pipe_recv(void *ctx, void *conn, void *buf, size_t cap, size_t *got)
{
    unsigned char *p = buf;
    (void)ctx;
    (void)conn;
    for (*got = 0; *got < cap && head != tail; ++*got) {
        p[*got] = ring[tail % RING];
        tail++;
    }
    board_enable(BOARD_UART0_RX);
    return *got ? SBX_OK : SBX_E_AGAIN;
}

static void pipe_close(void *ctx, void *conn)
{
    (void)ctx;
    (void)conn;
    in_use = false;
    used_up = true;
}

static int pipe_ready(int want)
{
    int ready = 0;
    if ((want & SBX_WANT_READ) && head != tail) ready |= SBX_WANT_READ;
    if ((want & SBX_WANT_WRITE) && !(UART_STATE & TX_FULL)) ready |= SBX_WANT_WRITE;
    return ready;
}

static int pipe_wait(void *ctx, sbx_wait *waits, size_t n, uint32_t timeout_ms)
{
    uint64_t end = board_ms(NULL) + timeout_ms;
    (void)ctx;
    for (;;) {
        int ready = 0;
        size_t i;
        for (i = 0; i < n; i++) {
            waits[i].ready = pipe_ready(waits[i].want);
            ready |= waits[i].ready;
        }
        if (ready || board_ms(NULL) >= end) return SBX_OK;
        board_sleep();
    }
}

int net_init(sbx_net *net)
{
    UART_DIVIDER = 16;          /* the fastest: 1.5 Mbaud of 25 MHz */
    UART_CONTROL = TX_ON | RX_ON | RX_INTERRUPT;
    board_enable(BOARD_UART0_RX);
    net->open = pipe_open;
    net->send = pipe_send;
    net->recv = pipe_recv;
    net->close = pipe_close;
    net->wait = pipe_wait;
    net->now_ms = board_ms;
    net->unix_ms = board_unix_ms;
    net->entropy = board_entropy;
    net->flags = SBX_NET_READY;
    return SBX_OK;
}
