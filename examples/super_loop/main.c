/* super_loop - one loop that does everything, as firmware without a system has it: it
   feeds a watchdog, blinks, and lets sandbox.h do a piece of its work. Two commands
   stream at once, over two connections. Nothing blocks: sandboxes, commands and the end
   of them are operations that go on in sbx_poll(), one callback starting the next.

   The watchdog bites after 50 ms without food, and after 150 ms while a TLS handshake is
   under way, whose computations take seconds on this processor. mbedTLS is built with
   MBEDTLS_ECP_RESTARTABLE and interrupts them every MOST_OPS steps, which sandbox.h hands
   on to this loop; what it does not interrupt, a division here, a certificate there,
   takes the 150 ms. Where that cannot be had (RSA, TLS 1.3) a device needs a watchdog of
   seconds for the handshake, or a co-processor that computes it.

   Board, network and configuration are those of ../bare_metal; `make bare-metal
   VARIANTS=loop` runs it, in an emulator that counts instructions, about 31 million a
   second, so that 50 ms are the same on every host. */
#include "net.h"
#include "board.h"
#include "target.h"
#include <mbedtls/ecp.h>
#include <mbedtls/memory_buffer_alloc.h>
#include <stdlib.h>

#define BITE_MS 50u
#define BITE_HANDSHAKE_MS 150u
#define BLINK_MS 100u
#define MOST_OPS 200u           /* of mbedtls_ecp_set_max_ops(): 3,300 are one multiplication */

static unsigned char heap_mbedtls[HEAP_MBEDTLS] __attribute__((aligned(8)));
static unsigned char heap_sandbox[HEAP_SANDBOX] __attribute__((aligned(8)));
static sbx_fixed fixed;
static sbx_client *client;

/* ---- watchdog and light (CMSDK watchdog, FPGAIO of the MPS2 boards) ----------- */

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define WATCHDOG_LOAD REG(0x40008000u)
#define WATCHDOG_CONTROL REG(0x40008008u)
#define WATCHDOG_LOCK REG(0x40008C00u)
#define LIGHT REG(0x40028000u)

static uint32_t blinks;
static uint64_t turn_began;
static uint32_t longest[2];     /* turn of the loop, ms; [1]: during a handshake */
static unsigned to_start = 2;   /* streams that do not flow yet: handshakes are going on */

/* A product lets it reset the processor; here it ends the run. */
void board_nmi_irq(void)
{
    say("super-loop: the watchdog has bitten\n");
    exit(1);
}

static void watchdog_start(void)
{
    WATCHDOG_LOCK = 0x1ACCE551u;
    WATCHDOG_LOAD = BITE_HANDSHAKE_MS * 25000u;
    WATCHDOG_CONTROL = 1;       /* counts, and raises the NMI at 0 */
}

static void turn(void)
{
    uint64_t now = board_ms(NULL);
    uint32_t *most = &longest[to_start > 0];
    if (now - turn_began > *most) *most = (uint32_t)(now - turn_began);
    turn_began = now;
    WATCHDOG_LOAD = (to_start > 0 ? BITE_HANDSHAKE_MS : BITE_MS) * 25000u; /* fed */
    if (now / BLINK_MS != blinks) {
        blinks = (uint32_t)(now / BLINK_MS);
        LIGHT = blinks & 1;
    }
}

/* ---- operations -------------------------------------------------------------- */

typedef struct stream {
    const char *name, *cmd;
    uint32_t lines, expected;
    sbx_command_result result;
} stream;

static stream streams[2] = {
    { "slow", "for i in $(seq 40); do echo $i; sleep 0.2; done", 0, 40, { 0 } },
    { "fast", "seq 20000", 0, 20000, { 0 } }
};
static sbx_sandbox *box;
static sbx_error error;         /* of the first operation that failed */
static int status = SBX_OK;
static unsigned streaming;

static void note(int rc)
{
    if (rc < 0 && status == SBX_OK) status = rc;
}

/* All calls go on in the background; what is released in done() is forgotten after it. */
static sbx_call background(void (*done)(void *, sbx_op *, int), void *user)
{
    static sbx_op *op;          /* done() gets it, nobody else asks */
    sbx_call call = {0};
    call.op = &op;
    call.done = done;
    call.user = user;
    if (status == SBX_OK) call.error = &error;
    return call;
}

static void killed(void *user, sbx_op *op, int rc)
{
    (void)user;
    note(rc);
    sbx_op_release(op);
}

static void streamed(void *user, sbx_op *op, int rc)
{
    stream *s = user;
    sbx_call call = background(killed, NULL);
    note(rc);
    if (rc == SBX_OK && (s->lines != s->expected || s->result.exit_code != 0))
        note(SBX_E_PROTOCOL);
    say(s->name);
    say(": ");
    say_number(s->lines);
    say(" lines\n");
    sbx_op_release(op);
    if (--streaming == 0) note(sbx_sandbox_kill(box, NULL, &call));
}

/* Its connection is up, if it was a new one. */
static void started(void *user, uint32_t pid)
{
    (void)user;
    (void)pid;
    to_start--;
}

static int count(void *user, const void *data, size_t len)
{
    stream *s = user;
    const char *p = data;
#ifdef STALL_MS                 /* to see that the watchdog bites */
    uint64_t until = board_ms(NULL) + STALL_MS;
    while (!to_start && board_ms(NULL) < until) {}
#endif
    for (; len > 0; len--) s->lines += *p++ == '\n';
    return SBX_OK;
}

static void created(void *user, sbx_op *op, int rc)
{
    unsigned i;
    (void)user;
    note(rc);
    sbx_op_release(op);
    for (i = 0; rc == SBX_OK && i < 2; i++) {
        sbx_command_options options = {0};
        sbx_call call = background(streamed, &streams[i]);
        options.out.put = count;
        options.out.ctx = &streams[i];
        options.started = started;
        streaming++;
        note(sbx_command_run(box, streams[i].cmd, &options, &streams[i].result, &call));
    }
}

/* ---- the loop ---------------------------------------------------------------- */

static int open_client(void)
{
    static sbx_config config;
    int rc = net_init(&config.net);
    config.provider = &sbx_e2b;
    config.api_key = TARGET_KEY;
    config.api_url = config.sandbox_url = TARGET_URL;
    config.tls.ca_pem = TARGET_CA;
    config.tls.max_fragment = 1024;
    config.alloc = sbx_alloc_fixed(&fixed, heap_sandbox, sizeof heap_sandbox);
    config.error = &error;
    return rc == SBX_OK ? sbx_open(&client, &config) : rc;
}

static void loop(void)
{
    sbx_call call = background(created, NULL);
    size_t running = 1;
    note(sbx_sandbox_create(client, NULL, &box, &call));
    turn_began = board_ms(NULL);
    watchdog_start();
    while (running > 0) {
        turn();                 /* here stands what else the firmware does */
        note(sbx_poll(client, 5, &running));
    }
    WATCHDOG_CONTROL = 0;
}

int main(void)
{
    board_init();
    mbedtls_memory_buffer_alloc_init(heap_mbedtls, sizeof heap_mbedtls);
    mbedtls_ecp_set_max_ops(MOST_OPS);
    note(open_client());
    if (status == SBX_OK) loop();
    say("super-loop: ");
    say(sbx_status_name(status));
    say(" ");
    say(error.message);
    say("\n  blinked ");
    say_number(blinks);
    say(" times; longest turn of the loop ");
    say_number(longest[0]);
    say(" ms, in a handshake ");
    say_number(longest[1]);
    say(" ms\n  buffer of sandbox.h ");
    say_number((uint32_t)fixed.peak);
    say("; stack ");
    say_number(board_stack_used());
    say("\n");
    sbx_sandbox_release(box);
    (void)sbx_close(client);
    return status != SBX_OK;
}
