/* board - start, clock, entropy, stack and console of the emulated board. */
#include "board.h"
#include <semihost.h>
#include <stdlib.h>
#include "target.h"

/* ---- registers of the core -------------------------------------------------- */

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define SYSTICK_CONTROL REG(0xE000E010u)
#define SYSTICK_RELOAD REG(0xE000E014u)
#define SYSTICK_NOW REG(0xE000E018u)
#define NVIC_ENABLE REG(0xE000E100u)
#define NVIC_DISABLE REG(0xE000E180u)
#define CORE_HZ 25000000u

void board_enable(unsigned irq) { NVIC_ENABLE = 1u << irq; }
void board_disable(unsigned irq) { NVIC_DISABLE = 1u << irq; }

/* ---- vectors ---------------------------------------------------------------- */

extern char __stack[], __heap_end[], __heap_start[]; /* of the linker script */
void _start(void);              /* of the C library: data, bss, main(), exit() */

static void fault(void)
{
    say("bare-metal: fault of the processor\n");
    exit(1);
}

static volatile uint32_t ticks, ticks_high;

static void tick(void)
{
    if (++ticks == 0) ticks_high++;
}

/* A driver that is not linked has no handler; nor is its line ever enabled. */
static void stray(void) { fault(); }
void board_nmi_irq(void) __attribute__((weak, alias("stray")));
void board_uart0_rx_irq(void) __attribute__((weak, alias("stray")));
void board_ethernet_irq(void) __attribute__((weak, alias("stray")));

typedef void (*handler)(void);
extern const handler __interrupt_vector[]; /* where the linker script looks for it */
__attribute__((section(".data.init.enter"), aligned(128), used))
const handler __interrupt_vector[32] = {
    (handler)(uintptr_t)__stack, _start, board_nmi_irq, fault, fault, fault, fault, 0, 0, 0, 0,
    fault, fault, 0, fault, tick,
    [16 + BOARD_UART0_RX] = board_uart0_rx_irq,
    [16 + BOARD_ETHERNET] = board_ethernet_irq
};

/* ---- clock ------------------------------------------------------------------ */

uint64_t board_ms(void *ctx)
{
    uint32_t high, low;
    (void)ctx;
    do {                        /* the tick may come in between */
        high = ticks_high;
        low = ticks;
    } while (high != ticks_high);
    return (uint64_t)high << 32 | low;
}

/* Certificates are judged by this. The board has no calendar: its time is that of the
   build, counted on, so a certificate that ended since then would still pass. A device
   has a battery-backed clock, or asks a time server it can trust (SNTP as such is not
   signed), and keeps the latest time it ever saw in flash, to never go back behind it. */
int64_t board_unix_ms(void *ctx)
{
    return TARGET_UNIX_MS + (int64_t)board_ms(ctx);
}

void board_sleep(void)
{
    __asm__ volatile("wfi");
}

/* ---- entropy ---------------------------------------------------------------- */

/* ONLY FOR THE EMULATOR. Keys made from this can be guessed: the emulated board has no
   source of randomness at all. What is here is a seed the build drew from the host's,
   different in each build, stirred with the jitter of the clock, through SHA-256.

   A product reads its hardware generator instead (RNG of an STM32, TRNG of an nRF or
   RP2350, a secure element) and returns SBX_E_ENTROPY when that reports a failure. A
   board without one gets a seed of its own in the factory, and writes the next one to
   flash at every start before it uses this one. */
#ifndef BOARD_IS_EMULATED
#error "board_entropy(): read the generator of your board here"
#endif

#include "client.h"

int board_entropy(void *ctx, void *buf, size_t len)
{
    static unsigned char pool[32] = TARGET_SEED;
    unsigned char *out = buf;
    sbx_sha256 s;
    (void)ctx;
    while (len > 0) {
        uint32_t jitter[2] = { SYSTICK_NOW, ticks };
        size_t n = len < 16 ? len : 16;
        sbx_sha256_init(&s);
        sbx_sha256_add(&s, pool, sizeof pool);
        sbx_sha256_add(&s, jitter, sizeof jitter);
        sbx_sha256_end(&s, pool);
        for (; n > 0; n--, len--) *out++ = pool[16 + n - 1];
        sbx_sha256_init(&s);    /* what went out cannot be told from what stays */
        sbx_sha256_add(&s, pool, sizeof pool);
        sbx_sha256_end(&s, pool);
    }
    return SBX_OK;
}

/* ---- stack ------------------------------------------------------------------ */

#define PAINT 0x5AA55AA5u

uint32_t board_stack_size(void) { return (uint32_t)(__stack - __heap_end); }

uint32_t board_stack_used(void)
{
    const uint32_t *p = (const uint32_t *)(uintptr_t)__heap_end;
    while (*p == PAINT) p++;
    return (uint32_t)(__stack - (const char *)p);
}

void board_init(void)
{
    uint32_t here, *p = (uint32_t *)(uintptr_t)__heap_end;
    while (p < &here) *p++ = PAINT;
    SYSTICK_RELOAD = CORE_HZ / 1000 - 1;
    SYSTICK_NOW = 0;
    SYSTICK_CONTROL = 7;        /* the core's clock, an interrupt, on */
}

/* ---- console ---------------------------------------------------------------- */

/* Through the debugger (semihosting), which is all that it is used for. */
void say(const char *text) { sys_semihost_write0(text); }

void say_number(uint32_t n)
{
    char text[16], *p = text + sizeof text - 1;
    unsigned digits = 0;
    *p = 0;
    do {
        if (digits > 0 && digits % 3 == 0) *--p = ',';
        *--p = (char)('0' + n % 10);
        digits++;
        n /= 10;
    } while (n > 0);
    say(p);
}
