/* live.h - what the live tests share: a client on the host under test whose
   allocator counts, so that every test also proves that nothing leaks. The host
   comes from E2B_API_URL, E2B_SANDBOX_URL and E2B_API_KEY; SBX_TEST_CA is the
   authority of a TLS host. */
#ifndef SBX_LIVE_H
#define SBX_LIVE_H

#define SANDBOX_IMPLEMENTATION
#include "../../sandbox.h"
#include "../test.h"
#include <time.h>
#include <unistd.h>

static size_t live_blocks;

static void *live_resize(void *ctx, void *p, size_t old_size, size_t new_size)
{
    (void)ctx;
    (void)old_size;
    if (new_size == 0) {
        live_blocks -= p != NULL;
        free(p);
        return NULL;
    }
    live_blocks += p == NULL;
    return realloc(p, new_size);
}

static TEST_UNUSED sbx_client *live_open(const sbx_config *base)
{
    sbx_client *c = NULL;
    sbx_config cfg;
    sbx_error e;
    memset(&cfg, 0, sizeof cfg);
    if (base) cfg = *base;
    cfg.alloc.resize = live_resize;
    if (!cfg.tls.ca_file) cfg.tls.ca_file = getenv("SBX_TEST_CA");
    cfg.error = &e;
    if (sbx_open(&c, &cfg) != SBX_OK) printf("sbx_open: %s\n", e.message);
    return c;
}

/* Closes and checks that every block came back. */
static TEST_UNUSED void live_close(sbx_client *c)
{
    CHECK_INT(sbx_close(c), SBX_OK);
    CHECK_INT(live_blocks, 0);
}

static TEST_UNUSED sbx_sandbox *live_sandbox(sbx_client *c)
{
    sbx_sandbox *s = NULL;
    int rc = sbx_sandbox_create(c, NULL, &s, NULL);
    if (rc != SBX_OK) printf("create: %s: %s\n", sbx_status_name(rc), sbx_client_error(c)->message);
    return s;
}

static TEST_UNUSED double live_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Runs a command and captures what it says. */
static TEST_UNUSED int live_sh(sbx_sandbox *s, const char *cmd, sbx_command_result *r)
{
    sbx_command_options o;
    memset(&o, 0, sizeof o);
    o.capture_limit = 65536;
    return sbx_command_run(s, cmd, &o, r, NULL);
}

#endif
