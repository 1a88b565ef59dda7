/* tls-verdict --ca F [--crl F] [--at UNIX] --host H HOST:PORT

   Connects with this library's own sockets and TLS and says what it thinks of the
   certificate. H is the name or address to check, HOST:PORT where to connect ([::1]:443
   for an IPv6 address). --at judges the validity period at that time (seconds), --crl
   holds revocation lists.
   Exit status 0: accepted; 1: refused, the check is printed; 2: wrong usage. */
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#define SANDBOX_IMPLEMENTATION
#include "../sandbox_impl/sandbox_all.h"

#include <stdio.h>

#define CONNECT_MS 15000u

static int64_t at_seconds = -1;

static int64_t fixed_unix_ms(void *ctx)
{
    (void)ctx;
    return at_seconds * 1000;
}

static const char *check_name(sbx_tls_check check)
{
    static const char *const names[] = { "NONE", "UNTRUSTED", "WRONG_HOST", "WRONG_IP", "EXPIRED",
        "NOT_YET_VALID", "REVOKED", "NO_CLOCK", "BAD_CERT", "BAD_CONFIG", "HANDSHAKE", "PIN",
        "BROKEN" };
    return (size_t)check < SBXI_LEN(names) ? names[check] : "?";
}

static int usage(void)
{
    fprintf(stderr, "usage: tls-verdict --ca FILE [--crl FILE] [--at UNIX] --host NAME HOST:PORT\n");
    return 2;
}

/* Cuts HOST:PORT in place. */
static bool split(char *where, char **host, uint16_t *port)
{
    char *colon = strrchr(where, ':');
    uint64_t v;
    if (!colon || !sbxi_parse_u64(sbxi_span_of(colon + 1), 65535, &v)) return false;
    *colon = 0;
    *port = (uint16_t)v;
    *host = where;
    if (where[0] == '[' && colon > where && colon[-1] == ']') {
        colon[-1] = 0;
        *host = where + 1;
    }
    return **host != 0;
}

static int wait_for(const sbx_net *net, void *raw, int want, uint64_t until)
{
    sbx_wait w = { NULL, 0, 0 };
    uint64_t now = net->now_ms(net->ctx);
    w.conn = raw;
    w.want = want;
    if (now >= until) return SBX_E_TIMEOUT;
    return net->wait(net->ctx, &w, 1, (uint32_t)(until - now));
}

static int connect_to(const sbx_net *net, void **raw, const char *host, uint16_t port,
                      uint64_t until)
{
    int rc;
    while ((rc = net->open(net->ctx, raw, host, port, false)) == SBX_E_AGAIN) {
        rc = wait_for(net, *raw, SBX_WANT_WRITE, until);
        if (rc != SBX_OK) return rc;
    }
    return rc;
}

static int shake(const sbx_net *net, sbxi_tls_trust *trust, void *raw, const char *name,
                 uint64_t until, sbx_error *e)
{
    sbxi_tls_conn *tls;
    int want, rc = sbxi_tls_start(&tls, trust, raw, name, 0, e);
    if (rc != SBX_OK) return rc;
    while ((rc = sbxi_tls_handshake(tls, &want, e)) == SBX_E_AGAIN) {
        rc = wait_for(net, raw, want, until);
        if (rc != SBX_OK) break;
    }
    sbxi_tls_end(tls);
    return rc;
}

static int verdict(const sbx_tls *options, const char *name, const char *host, uint16_t port,
                   sbx_error *e)
{
    sbx_alloc alloc = { sbxi_std_resize, NULL };
    sbx_net net;
    sbxi_tls_trust *trust;
    void *raw = NULL;
    uint64_t until;
    sbxi_posix context = { &alloc, 15000, NULL };
    int rc = sbxi_net_posix_init(&net, &context);
    unsigned char ip[16];
    if (rc != SBX_OK) return rc;
    if (!sbxi_is_host(sbxi_span_of(name)) && !sbxi_ip_parse(name, ip)) /* as in a URL */
        return sbxi_error_set(e, SBX_E_ARG, "--host is neither a host name nor an address");
    if (at_seconds >= 0) net.unix_ms = fixed_unix_ms;
    rc = sbxi_tls_trust_open(&trust, &alloc, &net, options, NULL, e);
    if (rc != SBX_OK) return rc;
    until = net.now_ms(net.ctx) + CONNECT_MS;
    rc = connect_to(&net, &raw, host, port, until);
    if (rc == SBX_OK) rc = shake(&net, trust, raw, name, until, e);
    if (raw) net.close(net.ctx, raw);
    sbxi_tls_trust_close(trust);
    return rc;
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    sbx_tls options;
    char *host;
    uint16_t port;
    sbx_error e;
    int i = 1, rc;
    memset(&options, 0, sizeof options);
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        uint64_t v;
        if (strcmp(argv[i], "--ca") == 0) options.ca_file = argv[i + 1];
        else if (strcmp(argv[i], "--crl") == 0) options.crl_file = argv[i + 1];
        else if (strcmp(argv[i], "--host") == 0) name = argv[i + 1];
        else if (strcmp(argv[i], "--at") == 0
                 && sbxi_parse_u64(sbxi_span_of(argv[i + 1]), INT64_MAX / 1000, &v))
            at_seconds = (int64_t)v;
        else return usage();
    }
    if (i + 1 != argc || !options.ca_file || !name || !split(argv[i], &host, &port)) return usage();
    sbxi_error_clear(&e);
    rc = verdict(&options, name, host, port, &e);
    if (rc == SBX_OK) {
        printf("accepted\n");
        return 0;
    }
    sbxi_error_set(&e, rc, NULL);
    printf("refused: %s: %s\n", rc == SBX_E_TLS ? check_name(e.tls) : sbx_status_name(rc),
           e.message);
    return 1;
}
