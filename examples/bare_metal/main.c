/* bare_metal - a whole client on a Cortex-M3: no operating system, no heap, TLS with
   verified certificates. It creates a sandbox, runs a command, streams its output,
   writes a file and reads it back, and ends the sandbox; files and output pass through
   buffers of 1 KiB and are never held.

     make bare-metal        builds both variants, runs them in qemu on sandboxd

   File by file, for your own board:

     main.c            this: the client. Nothing in it knows the board or the network
     client.h          which parts of sandbox.h are built
     sandbox.c         the implementation, compiled once
     net.h             fills in an sbx_net; two of them, one is linked:
     net_lwip.c          over lwIP's raw API, with lwipopts.h, arch/cc.h and the driver
     lan9118.c           of the Ethernet chip
     net_uart.c          over a UART whose other end is a pipe to the host
     board.c           start, clock, entropy (read it: the emulator's is no entropy),
                       sleep, stack, console
     tls_config.h      TLS 1.2, P-256, AES-128-GCM, records of 1 KiB

   To build it: compile these with mbedTLS 3.6 and lwIP 2.1 (no configure, no cmake: all
   of their C files, --gc-sections drops the rest) as tests/tools/bare_metal.sh does; that
   is the whole list of flags. Memory is laid out by the C library's linker script
   (picolibc), and --defsym makes the limits of flash, RAM and stack errors of the linker.

   target.h is written by the build: TARGET_URL, TARGET_KEY, TARGET_CA, TARGET_UNIX_MS,
   TARGET_SEED. A product keeps the first three where it keeps its settings. */
#include "net.h"
#include "board.h"
#include "target.h"
#include <mbedtls/memory_buffer_alloc.h>
#include <string.h>

#ifndef LINES                   /* what the UART is too slow for, it has less of */
#define LINES 100000
#define FILE_BYTES 1048576
#endif
#define TEXT_(n) #n
#define TEXT(n) TEXT_(n)

/* All memory there is, besides the stack and lwIP's pools. */
static unsigned char heap_mbedtls[HEAP_MBEDTLS] __attribute__((aligned(8)));
static unsigned char heap_sandbox[HEAP_SANDBOX] __attribute__((aligned(8)));
static sbx_fixed fixed;
static sbx_client *client;

/* ---- streams ---------------------------------------------------------------- */

/* Takes the output of `seq`: each line must be the number after the one before. */
typedef struct counter { uint32_t lines, number, bytes; } counter;

static int count(void *ctx, const void *data, size_t len)
{
    counter *c = ctx;
    const char *p = data, *end = p + len;
    c->bytes += (uint32_t)len;
    for (; p < end; p++) {
        if (*p >= '0' && *p <= '9') {
            c->number = c->number * 10 + (uint32_t)(*p - '0');
            continue;
        }
        if (*p != '\n' || c->number != c->lines + 1) return SBX_E_SINK;
        c->lines++;
        c->number = 0;
    }
    return SBX_OK;
}

static int show(void *ctx, const void *data, size_t len)
{
    char text[65];
    (void)ctx;
    while (len > 0) {
        size_t n = len < sizeof text - 1 ? len : sizeof text - 1;
        memcpy(text, data, n);
        text[n] = 0;
        say(text);
        data = (const char *)data + n;
        len -= n;
    }
    return SBX_OK;
}

/* A file that is made while it is sent, and made again to compare what comes back. */
typedef struct pattern { uint32_t state, at; } pattern;

static unsigned char pattern_next(pattern *p)
{
    p->state = p->state * 1664525u + 1013904223u;
    p->at++;
    return (unsigned char)(p->state >> 24);
}

static int pattern_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    pattern *p = ctx;
    unsigned char *out = buf;
    for (*got = 0; *got < cap && p->at < FILE_BYTES; ++*got) out[*got] = pattern_next(p);
    return SBX_OK;
}

static int pattern_rewind(void *ctx)
{
    memset(ctx, 0, sizeof(pattern));
    return SBX_OK;
}

static int pattern_check(void *ctx, const void *data, size_t len)
{
    pattern *p = ctx;
    const unsigned char *in = data;
    for (; len > 0; len--)
        if (*in++ != pattern_next(p)) return SBX_E_SINK;
    return SBX_OK;
}

/* ---- the job ---------------------------------------------------------------- */

static int failed(const char *what, int rc)
{
    const char *why = client ? sbx_client_error(client)->message : "";
    say("bare-metal: ");
    say(what);
    say(": ");
    say(sbx_status_name(rc));
    say(" ");
    say(why);
    say("\n");
    return rc;
}

static void took(const char *what, uint32_t n, const char *of, uint64_t since)
{
    say(what);
    say_number(n);
    say(of);
    say(" in ");
    say_number((uint32_t)(board_ms(NULL) - since));
    say(" ms\n");
}

static int command(sbx_sandbox *box, const char *cmd, sbx_sink out)
{
    sbx_command_options options = {0};
    sbx_command_result result = {0};
    int rc;
    options.out = out;
    options.timeout_ms = 120000;
    rc = sbx_command_run(box, cmd, &options, &result, NULL);
    if (rc != SBX_OK) return failed(cmd, rc);
    return result.exit_code == 0 ? SBX_OK : failed(cmd, SBX_E_SERVER);
}

static int commands(sbx_sandbox *box)
{
    counter lines = {0};
    uint64_t since;
    int rc = command(box, "echo hello from $(uname -s)", (sbx_sink){ show, NULL });
    if (rc != SBX_OK) return rc;
    since = board_ms(NULL);
    rc = command(box, "seq " TEXT(LINES), (sbx_sink){ count, &lines });
    if (rc != SBX_OK) return rc;
    if (lines.lines != LINES) return failed("lines are missing", SBX_E_PROTOCOL);
    took("streamed ", lines.lines, " lines, all of them checked,", since);
    return SBX_OK;
}

static int file(sbx_sandbox *box)
{
    pattern out = {0}, in = {0};
    sbx_source source = { pattern_get, pattern_rewind, &out, FILE_BYTES };
    uint64_t since = board_ms(NULL);
    int rc = sbx_files_write(box, "pattern", source, NULL, NULL, NULL);
    if (rc != SBX_OK) return failed("write", rc);
    took("wrote ", FILE_BYTES, " bytes", since);
    since = board_ms(NULL);
    rc = sbx_files_read(box, "pattern", NULL, (sbx_sink){ pattern_check, &in }, NULL);
    if (rc != SBX_OK) return failed("read", rc);
    if (in.at != FILE_BYTES) return failed("bytes are missing", SBX_E_PROTOCOL);
    took("read ", in.at, " bytes, all of them compared,", since);
    return SBX_OK;
}

/* The sandbox is killed whatever happened in it. */
static int job(void)
{
    sbx_sandbox *box;
    uint64_t since = board_ms(NULL);
    int rc = sbx_sandbox_create(client, NULL, &box, NULL), killed;
    if (rc != SBX_OK) return failed("create", rc);
    took("created a sandbox with ", 1, " TLS handshake", since);
    rc = commands(box);
    if (rc == SBX_OK) rc = file(box);
    killed = sbx_sandbox_kill(box, NULL, NULL);
    sbx_sandbox_release(box);
    if (killed != SBX_OK) return failed("kill", killed);
    return rc;
}

static int open_client(void)
{
    static sbx_config config;
    sbx_error error = {0};
    int rc = net_init(&config.net);
    if (rc != SBX_OK) return failed("network", rc);
    config.provider = &sbx_e2b;
    config.api_key = TARGET_KEY;
    config.api_url = TARGET_URL; /* on E2B itself leave both out: https://api.e2b.app */
    config.sandbox_url = TARGET_URL;
    config.tls.ca_pem = TARGET_CA;
#ifndef TLS_PUBLIC_WEB
    config.tls.max_fragment = 1024; /* tls_config.h has no room for more */
#endif
    config.alloc = sbx_alloc_fixed(&fixed, heap_sandbox, sizeof heap_sandbox);
    config.error = &error;
    rc = sbx_open(&client, &config);
    if (rc == SBX_OK) return rc;
    (void)failed("open", rc);
    say(error.message);
    say("\n");
    return rc;
}

/* ---- what it took ----------------------------------------------------------- */

#define PAINT 0xA5

static uint32_t painted(const unsigned char *memory, size_t size)
{
    while (size > 0 && memory[size - 1] == PAINT) size--;
    return (uint32_t)size;
}

static void use(const char *what, uint32_t used, uint32_t size)
{
    say("  ");
    say(what);
    say_number(used);
    say(" of ");
    say_number(size);
    say("\n");
}

int main(void)
{
    int rc;
    board_init();
    mbedtls_memory_buffer_alloc_init(heap_mbedtls, sizeof heap_mbedtls);
    memset(heap_mbedtls + 64, PAINT, sizeof heap_mbedtls - 64); /* behind the first header */
    rc = open_client();
    if (rc == SBX_OK) rc = job();
    (void)sbx_close(client);
    client = NULL;
    if (rc == SBX_OK && fixed.used) rc = failed("memory was not given back", SBX_E_NOMEM);
    say("memory used at the most, in bytes:\n");
    use("stack               ", board_stack_used(), board_stack_size());
    use("buffer of mbedTLS   ", painted(heap_mbedtls, sizeof heap_mbedtls), sizeof heap_mbedtls);
    use("buffer of sandbox.h ", (uint32_t)fixed.peak, sizeof heap_sandbox);
    return rc == SBX_OK ? 0 : 1;
}
