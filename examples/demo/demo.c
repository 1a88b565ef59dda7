/* demo - the main job, from one header to a real sandbox doing real work: uploads
   sandbox.h and a program, compiles and runs it there while the output streams,
   fetches the binary, compares hashes, and ends the sandbox. The whole client
   lives in one fixed buffer. `make demo` runs it on a local host; with E2B_API_KEY
   set it works on the cloud. Run it where sandbox.h is. */
#define _POSIX_C_SOURCE 200809L
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static struct timespec began;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - began.tv_sec) + (double)(now.tv_nsec - began.tv_nsec) / 1e9;
}

static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%7.3f s  ", seconds());
    vprintf(format, args);
    printf("\n");
    fflush(stdout);
    va_end(args);
}

/* ---- sinks: lines with a time stamp, and a hash ---------------------------- */

typedef struct lines { size_t len; char text[200]; } lines;

static void end_line(lines *l)
{
    if (l->len) say("  | %.*s", (int)l->len, l->text);
    l->len = 0;
}

static int show_lines(void *ctx, const void *data, size_t len)
{
    lines *l = ctx;
    const char *p = data;
    size_t i;
    for (i = 0; i < len; i++) {
        if (p[i] == '\n' || l->len == sizeof l->text) end_line(l);
        if (p[i] != '\n') l->text[l->len++] = p[i];
    }
    return SBX_OK;
}

typedef struct hashed { sbx_sha256 sha; unsigned long bytes; } hashed;

static int hash(void *ctx, const void *data, size_t len)
{
    hashed *h = ctx;
    sbx_sha256_add(&h->sha, data, len);
    h->bytes += (unsigned long)len;
    return SBX_OK;
}

static int show_entry(void *ctx, const sbx_file_info *info)
{
    (void)ctx;
    say("  %s %8ld  %s", info->permissions, (long)info->size, info->path);
    return SBX_OK;
}

/* ---- the steps; each returns SBX_OK or what went wrong --------------------- */

static int upload(sbx_sandbox *box, const char *local, const char *path)
{
    FILE *file = fopen(local, "rb");
    double at = seconds();
    int status;
    if (!file) {
        fprintf(stderr, "demo: cannot open %s: run it where sandbox.h is\n", local);
        return SBX_E_SOURCE;
    }
    status = sbx_files_write(box, path, sbx_source_file(file), NULL, NULL, NULL);
    if (status == SBX_OK)
        say("uploaded %s, %ld bytes in %.0f ms", local, ftell(file), (seconds() - at) * 1e3);
    fclose(file);
    return status;
}

/* Runs cmd with its output shown; a non-zero exit code counts as a failure. */
static int run(sbx_sandbox *box, const char *cmd)
{
    lines out = {0}, err = {0};
    sbx_command_options options = {0};
    sbx_command_result result = {0};
    int status;
    options.out.put = options.err.put = show_lines;
    options.out.ctx = &out;
    options.err.ctx = &err;
    options.timeout_ms = 300000;
    status = sbx_command_run(box, cmd, &options, &result, NULL);
    end_line(&out);
    end_line(&err);
    if (status != SBX_OK) return status;
    say("exit code %d", (int)result.exit_code);
    return result.exit_code == 0 ? SBX_OK : SBX_E_CONFLICT;
}

static int compile(sbx_sandbox *box)
{
    return run(box,
        "cd demo && set -e\n"
        "command -v cc >/dev/null || { echo 'no compiler here: installing gcc'; sudo apt-get -qq "
        "update && sudo apt-get -qq install -y gcc libc6-dev; }\n"
        "echo \"$(cc --version | head -n 1)\"\n"
        "if echo '#include <mbedtls/ssl.h>' | cc -E -x c - >/dev/null 2>&1\n"
        "then tls='-lmbedtls -lmbedx509 -lmbedcrypto'; echo 'with TLS'\n"
        "else tls=-DSBX_NO_TLS; echo 'without TLS: no mbedTLS headers in the sandbox'; fi\n"
        "echo 'compiling inside.c'\n"
        "cc -std=c99 -Wall -Wextra -O2 -o inside inside.c $tls || cc -std=c99 -Wall -O2 "
        "-o inside inside.c -DSBX_NO_TLS\n"
        "echo \"made $(wc -c <inside) bytes\"");
}

/* The binary comes down as a stream; its hash must be the one told up there. */
static int fetch(sbx_sandbox *box)
{
    hashed h = {0};
    unsigned char digest[32];
    char hex[65];
    sbx_sink sink;
    sbx_command_options options = {0};
    sbx_command_result result = {0};
    size_t i;
    double at = seconds();
    int status;
    sbx_sha256_init(&h.sha);
    sink.put = hash;
    sink.ctx = &h;
    status = sbx_files_read(box, "demo/inside", NULL, sink, NULL);
    if (status != SBX_OK) return status;
    sbx_sha256_end(&h.sha, digest);
    for (i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    say("downloaded the binary, %lu bytes in %.0f ms", h.bytes, (seconds() - at) * 1e3);

    options.capture_limit = 256;
    status = sbx_command_run(box, "sha256sum demo/inside", &options, &result, NULL);
    if (status == SBX_OK) {
        bool same = result.out_len > 64 && memcmp(result.out, hex, 64) == 0;
        say("SHA-256 here  %s", hex);
        say("SHA-256 there %.64s: %s", result.out_len > 64 ? result.out : "?",
            same ? "the same" : "DIFFERENT");
        if (!same) status = SBX_E_CHANGED;
    }
    sbx_free(result.out);
    sbx_free(result.err);
    return status;
}

static int work(sbx_sandbox *box)
{
    sbx_files_options deep = {0};
    int status = upload(box, "sandbox.h", "demo/sandbox.h");
    if (status == SBX_OK) status = upload(box, "examples/demo/inside.c", "demo/inside.c");
    if (status == SBX_OK) status = compile(box);
    if (status == SBX_OK) status = run(box, "./demo/inside");
    if (status == SBX_OK) status = fetch(box);
    deep.depth = 3;
    if (status == SBX_OK) say("the tree:");
    if (status == SBX_OK) status = sbx_files_list(box, "demo", &deep, show_entry, NULL, NULL);
    return status;
}

int main(void)
{
    static unsigned char memory[64 * 1024];
    sbx_fixed heap;
    sbx_client *client;
    sbx_sandbox *box;
    sbx_error error;
    sbx_config config = {0};
    bool existed = false;
    int status, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);
    config.alloc = sbx_alloc_fixed(&heap, memory, sizeof memory);
    config.error = &error;
    if (sbx_open(&client, &config) != SBX_OK) {
        fprintf(stderr, "demo: %s\n", error.message);
        return 1;
    }
    say("creating a sandbox");
    status = sbx_sandbox_create(client, NULL, &box, NULL);
    if (status == SBX_OK) {
        say("sandbox %s runs", sbx_sandbox_id(box));
        status = work(box);
        if (status != SBX_OK)
            fprintf(stderr, "demo: %s: %s\n", sbx_status_name(status),
                sbx_client_error(client)->message);
        ended = sbx_sandbox_kill(box, &existed, NULL);
        if (ended == SBX_OK) say("sandbox killed%s", existed ? "" : ", but it was gone already");
        else fprintf(stderr, "demo: kill: %s\n", sbx_client_error(client)->message);
        if (status == SBX_OK) status = ended;
        sbx_sandbox_release(box);
    } else {
        fprintf(stderr, "demo: create: %s\n", sbx_client_error(client)->message);
    }
    say("the client needed %lu bytes of heap at most", (unsigned long)heap.peak);
    sbx_close(client);
    return status != SBX_OK;
}
