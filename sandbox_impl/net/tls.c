/* tls - TLS client connections by mbedTLS 2.28, 3.6 or 4.x over any transport.
   The only module that sees mbedTLS. Called by the exchange: one trust for a
   client, made at its first https connection, one conn for each connection.

   Invariants: a certificate chain is always verified, with the host name or the
   address; the validity period is judged here against the client's clock, never
   by mbedTLS against the system's; what a failed handshake had against the peer
   becomes one sbx_tls_check, the gravest. AGAIN always means that the transport
   will wake up: it said so itself, or has more; nothing decrypted is left lying
   inside mbedTLS. */

typedef struct sbxi_tls_trust sbxi_tls_trust;
typedef struct sbxi_tls_conn sbxi_tls_conn;

#ifdef SBX_NO_TLS

static int sbxi_tls_trust_open(sbxi_tls_trust **out, const sbx_alloc *alloc, const sbx_net *net,
                               const sbx_tls *options, const char *env_ca_file, sbx_error *error)
{
    (void)alloc;
    (void)net;
    (void)options;
    (void)env_ca_file;
    *out = NULL;
    return sbxi_error_set(error, SBX_E_UNSUPPORTED, "TLS is compiled out (SBX_NO_TLS)");
}

static void sbxi_tls_trust_close(sbxi_tls_trust *t)
{
    (void)t;
}

static int sbxi_tls_start(sbxi_tls_conn **out, sbxi_tls_trust *t, void *net_conn,
                          const char *host, sbx_error *error)
{
    (void)t;
    (void)net_conn;
    (void)host;
    *out = NULL;
    return sbxi_error_set(error, SBX_E_UNSUPPORTED, "TLS is compiled out (SBX_NO_TLS)");
}

static int sbxi_tls_handshake(sbxi_tls_conn *c, int *want, sbx_error *error)
{
    (void)c;
    *want = 0;
    return sbxi_error_set(error, SBX_E_UNSUPPORTED, "TLS is compiled out (SBX_NO_TLS)");
}

static int sbxi_tls_send(sbxi_tls_conn *c, const void *buf, size_t len, size_t *sent, int *want)
{
    (void)c;
    (void)buf;
    (void)len;
    *sent = 0;
    *want = 0;
    return SBX_E_UNSUPPORTED;
}

static int sbxi_tls_recv(sbxi_tls_conn *c, void *buf, size_t cap, size_t *got, int *want)
{
    (void)c;
    (void)buf;
    (void)cap;
    *got = 0;
    *want = 0;
    return SBX_E_UNSUPPORTED;
}

static size_t sbxi_tls_pending(const sbxi_tls_conn *c)
{
    (void)c;
    return 0;
}

static void sbxi_tls_end(sbxi_tls_conn *c)
{
    (void)c;
}

#else

#include <mbedtls/version.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

/* Up to 3.x randomness is ours to give, by ctr_drbg; from 4.0 on it is PSA's. */
#if MBEDTLS_VERSION_NUMBER < 0x04000000
#define SBXI_TLS_DRBG
#include <mbedtls/ctr_drbg.h>
#endif
#if MBEDTLS_VERSION_NUMBER >= 0x04000000 || (defined(MBEDTLS_PSA_CRYPTO_C) \
    && (defined(MBEDTLS_USE_PSA_CRYPTO) || defined(MBEDTLS_SSL_PROTO_TLS1_3)))
#define SBXI_TLS_PSA
#include <psa/crypto.h>
#endif

/* Of one call: bytes taken from the transport before the caller gets to look at its
   clock, and rounds (a restartable computation of mbedTLS needs many). */
#define SBXI_TLS_BURST 65536
#define SBXI_TLS_TURNS 1000000
#define SBXI_TLS_NO_RESULT 0xFFFFFFFFu /* mbedtls_ssl_get_verify_result() has none */

struct sbxi_tls_trust {
    const sbx_alloc *alloc;
    const sbx_net *net;
    const char *alpn[2];    /* mbedTLS keeps the pointer */
    bool skip_clock;
    mbedtls_ssl_config conf;
    mbedtls_x509_crt ca;
#ifdef SBXI_TLS_DRBG
    mbedtls_ctr_drbg_context drbg;
#endif
};

struct sbxi_tls_conn {
    sbxi_tls_trust *trust;
    void *raw;              /* the transport's connection */
    mbedtls_ssl_context ssl;
    int64_t now_ms;         /* the validity period is judged at, 0: it is not */
    uint32_t flags;         /* MBEDTLS_X509_BADCERT_* of the chain */
    int blocked;            /* SBX_WANT_*: this call ended at the transport */
    size_t burst;           /* bytes this call may still receive */
    bool judged;            /* the peer's own certificate was looked at */
    bool up;                /* the handshake is done */
    bool lost;              /* the transport failed or ended */
    bool ended;             /* close_notify came */
    size_t size;            /* of this struct with the host name */
    size_t ip_len;          /* 4 or 16: the host is an address, 0: a name */
    unsigned char ip[16];
    char host[1];           /* NUL-terminated, allocated to its length */
};

/* ---- messages ------------------------------------------------------------- */

static int sbxi_tls_fail(sbx_error *e, sbx_tls_check check, const char *text, const char *detail)
{
    char message[sizeof e->message];
    message[0] = 0;
    sbxi_add_text(message, sizeof message, text);
    sbxi_add_text(message, sizeof message, detail);
    e->tls = check;
    return sbxi_error_set(e, SBX_E_TLS, message);
}

/* As above, with the code of mbedTLS for those who look it up. */
static int sbxi_tls_fail_code(sbx_error *e, sbx_tls_check check, const char *text, int code)
{
    char detail[] = " (mbedTLS -0x0000)";
    unsigned v = 0u - (unsigned)code;
    size_t i;
    for (i = 0; i < 4; i++) {
        detail[sizeof detail - 3 - i] = "0123456789ABCDEF"[v & 15];
        v >>= 4;
    }
    return sbxi_tls_fail(e, check, text, detail);
}

/* Codes up to 3.x are a module's code plus one of a lower module: those of ASN.1
   and big numbers say it too. From 4.0 on they are all one code of PSA. */
static bool sbxi_tls_no_memory(int rc)
{
#if MBEDTLS_VERSION_NUMBER < 0x04000000
    int low = -rc & 0x7F;
    if (low == 0x6A || low == 0x10) return true;
    if (rc == MBEDTLS_ERR_PK_ALLOC_FAILED) return true;
#endif
#ifdef SBXI_TLS_PSA
    if (rc == PSA_ERROR_INSUFFICIENT_MEMORY) return true;
#endif
#ifdef MBEDTLS_ERR_X509_ALLOC_FAILED
    if (rc == MBEDTLS_ERR_X509_ALLOC_FAILED) return true;
#endif
#ifdef MBEDTLS_ERR_SSL_ALLOC_FAILED
    if (rc == MBEDTLS_ERR_SSL_ALLOC_FAILED) return true;
#endif
    return false;
}

/* ---- addresses as text ---------------------------------------------------- */

/* Four decimal numbers. Leading zeros are refused: some read them as octal. */
static bool sbxi_ip4_parse(const char *s, size_t len, unsigned char *out)
{
    size_t i = 0, part;
    for (part = 0; part < 4; part++) {
        unsigned v = 0;
        size_t start;
        if (part > 0 && (i >= len || s[i++] != '.')) return false;
        start = i;
        for (; i < len && sbxi_is_digit(s[i]) && i - start < 3; i++)
            v = v * 10 + (unsigned)(s[i] - '0');
        if (i == start || v > 255 || (s[start] == '0' && i - start > 1)) return false;
        out[part] = (unsigned char)v;
    }
    return i == len;
}

/* One group of an IPv6 address to out[0..2); its length in text, 0: none. */
static size_t sbxi_ip6_group(const char *s, size_t len, unsigned char *out)
{
    unsigned v = 0;
    size_t i;
    for (i = 0; i < len && i < 4 && sbxi_hex_value(s[i]) >= 0; i++)
        v = v * 16 + (unsigned)sbxi_hex_value(s[i]);
    out[0] = (unsigned char)(v >> 8);
    out[1] = (unsigned char)(v & 255);
    return i;
}

/* out is zeroed by the caller. n counts its bytes, gap is where "::" stood. */
static bool sbxi_ip6_parse(const char *s, size_t len, unsigned char *out)
{
    size_t i = 0, n = 0, gap = SIZE_MAX;
    if (len >= 2 && s[0] == ':' && s[1] == ':') {
        gap = 0;
        i = 2;
    }
    while (i < len) {
        size_t g;
        if (n == 16) return false;
        if (n <= 12 && sbxi_ip4_parse(s + i, len - i, out + n)) {
            n += 4;
            break;
        }
        g = sbxi_ip6_group(s + i, len - i, out + n);
        if (g == 0) return false;
        i += g;
        n += 2;
        if (i == len) break;
        if (s[i++] != ':' || i == len) return false;
        if (s[i] != ':') continue;
        if (gap != SIZE_MAX) return false;
        gap = n;
        i++;
    }
    if (gap == SIZE_MAX) return n == 16;
    if (n > 14) return false;
    memmove(out + 16 - (n - gap), out + gap, n - gap);
    memset(out + gap, 0, 16 - n);
    return true;
}

/* 4 or 16: text is an address, now in out; 0: it is a name. A zone (%eth0) says
   which way to go, not who is there: it does not count. */
static size_t sbxi_ip_parse(const char *text, unsigned char out[16])
{
    const char *zone = strchr(text, '%');
    size_t len = zone ? (size_t)(zone - text) : strlen(text);
    memset(out, 0, 16);
    if (!zone && sbxi_ip4_parse(text, len, out)) return 4;
    return sbxi_ip6_parse(text, len, out) ? 16 : 0;
}

/* ---- judging the peer ----------------------------------------------------- */

/* mbedTLS 2.28 does not compare addresses, so none of them is asked to. */
static bool sbxi_tls_names_ip(const mbedtls_x509_crt *crt, const unsigned char *ip, size_t len)
{
    const mbedtls_x509_sequence *san;
    for (san = &crt->subject_alt_names; san; san = san->next) {
        bool is_ip = (san->buf.tag & 0x1F) == 7; /* iPAddress */
        if (is_ip && san->buf.len == len && memcmp(san->buf.p, ip, len) == 0) return true;
    }
    return false;
}

static int64_t sbxi_tls_time(const mbedtls_x509_time *t)
{
    const int16_t part[6] = { (int16_t)t->year, (int16_t)t->mon, (int16_t)t->day,
        (int16_t)t->hour, (int16_t)t->min, (int16_t)t->sec };
    return sbxi_unix_ms(part);
}

/* mbedTLS calls this for every certificate of the chain, the peer's own (depth
   0) last. Clearing a flag accepts, setting one refuses. */
static int sbxi_tls_judge(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    sbxi_tls_conn *c = (sbxi_tls_conn *)ctx;
    *flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
    if (c->now_ms) {
        if (c->now_ms < sbxi_tls_time(&crt->valid_from))
            *flags |= MBEDTLS_X509_BADCERT_FUTURE;
        if (c->now_ms >= sbxi_tls_time(&crt->valid_to) + 1000) /* it includes its last second */
            *flags |= MBEDTLS_X509_BADCERT_EXPIRED;
    }
    if (depth == 0) {
        c->judged = true;
        if (c->ip_len && !sbxi_tls_names_ip(crt, c->ip, c->ip_len))
            *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    }
    c->flags |= *flags;
    return 0;
}

/* The gravest of what is wrong, most important first. Only what mbedTLS has flags
   for and the last row, which takes all others. */
static int sbxi_tls_verdict(const sbxi_tls_conn *c, uint32_t flags, sbx_error *e)
{
    static const struct {
        uint32_t flags;
        sbx_tls_check check;
        const char *text;
    } rows[] = {
        { MBEDTLS_X509_BADCERT_NOT_TRUSTED | MBEDTLS_X509_BADCERT_MISSING, SBX_TLS_UNTRUSTED,
          "not signed by a trusted authority (give its CA in config.tls): " },
        { MBEDTLS_X509_BADCERT_REVOKED, SBX_TLS_REVOKED,
          "the certificate has been revoked: " },
        { ~(uint32_t)(MBEDTLS_X509_BADCERT_CN_MISMATCH | MBEDTLS_X509_BADCERT_EXPIRED
                      | MBEDTLS_X509_BADCERT_FUTURE), SBX_TLS_BAD_CERT,
          "the certificate is weak or not made for a server: " },
        { MBEDTLS_X509_BADCERT_CN_MISMATCH, SBX_TLS_WRONG_HOST,
          "the certificate does not name this host (check the URL): " },
        { MBEDTLS_X509_BADCERT_EXPIRED, SBX_TLS_EXPIRED,
          "the certificate has expired (renew it, or set this clock right): " },
        { MBEDTLS_X509_BADCERT_FUTURE, SBX_TLS_NOT_YET_VALID,
          "the certificate is not valid yet (set this clock right): " }
    };
    size_t i = 0;
    while (i < SBXI_LEN(rows) - 1 && !(rows[i].flags & flags)) i++;
    if (rows[i].check == SBX_TLS_WRONG_HOST && c->ip_len)
        return sbxi_tls_fail(e, SBX_TLS_WRONG_IP, "the certificate does not name this "
                             "address (use the host name, or add an IP SAN): ", c->host);
    return sbxi_tls_fail(e, rows[i].check, rows[i].text, c->host);
}

/* ---- trust ---------------------------------------------------------------- */

static void sbxi_tls_trust_close(sbxi_tls_trust *t)
{
    mbedtls_ssl_config_free(&t->conf);
    mbedtls_x509_crt_free(&t->ca);
#ifdef SBXI_TLS_DRBG
    mbedtls_ctr_drbg_free(&t->drbg);
#endif
    sbxi_alloc_wipe(t->alloc, t, sizeof *t);
}

/* A positive answer of mbedTLS counts certificates it cannot read: stores have
   such, one good is enough. */
static int sbxi_tls_load_done(sbxi_tls_trust *t, int rc)
{
    if (rc >= 0 && t->ca.raw.p) return SBX_OK;
    mbedtls_x509_crt_free(&t->ca);
    mbedtls_x509_crt_init(&t->ca);
    return rc < 0 && sbxi_tls_no_memory(rc) ? SBX_E_NOMEM : SBX_E_TLS;
}

static int sbxi_tls_load_pem(sbxi_tls_trust *t, const char *pem, sbx_error *e)
{
    /* mbedTLS takes text for PEM only if its NUL is counted. */
    int code = mbedtls_x509_crt_parse(&t->ca, (const unsigned char *)pem, strlen(pem) + 1);
    int rc = sbxi_tls_load_done(t, code);
    if (rc == SBX_E_TLS)
        return sbxi_tls_fail_code(e, SBX_TLS_BAD_CONFIG,
                                  "config.tls.ca_pem holds no certificate", code);
    return rc;
}

#if defined(MBEDTLS_FS_IO) && !defined(SBX_NO_STDLIB)

static int sbxi_tls_load_path(sbxi_tls_trust *t, const char *path)
{
    int code = mbedtls_x509_crt_parse_file(&t->ca, path);
    /* What cannot be sized, as a directory, is "no memory" to mbedTLS. */
#if MBEDTLS_VERSION_NUMBER < 0x04000000
    if (code == MBEDTLS_ERR_PK_ALLOC_FAILED) code = MBEDTLS_ERR_PK_FILE_IO_ERROR;
#endif
    return sbxi_tls_load_done(t, code);
}

static int sbxi_tls_load_file(sbxi_tls_trust *t, const char *path, const char *text, sbx_error *e)
{
    int rc = sbxi_tls_load_path(t, path);
    return rc == SBX_E_TLS ? sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG, text, path) : rc;
}

/* The first of the paths that holds a certificate. */
static int sbxi_tls_load_first(sbxi_tls_trust *t, const char *const *paths, size_t n, sbx_error *e)
{
    char message[sizeof e->message] = "no CA certificates; give config.tls.ca_file; tried";
    size_t i;
    for (i = 0; i < n; i++) {
        int rc = sbxi_tls_load_path(t, paths[i]);
        if (rc != SBX_E_TLS) return rc;
        sbxi_add_text(message, sizeof message, " ");
        sbxi_add_text(message, sizeof message, paths[i]);
    }
    return sbxi_error_set(e, SBX_E_NO_CA, message);
}

static int sbxi_tls_load(sbxi_tls_trust *t, const sbx_tls *o, const char *env, sbx_error *e)
{
    static const char *const system[] = {
        "/etc/ssl/certs/ca-certificates.crt",  /* Debian, Ubuntu, Alpine, Arch, Gentoo */
        "/etc/pki/tls/certs/ca-bundle.crt",    /* Fedora, RHEL */
        "/etc/ssl/ca-bundle.pem",              /* openSUSE */
        "/etc/ssl/cert.pem",                   /* macOS, the BSDs, Alpine */
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/usr/local/share/certs/ca-root-nss.crt"
    };
    if (o && o->ca_pem) return sbxi_tls_load_pem(t, o->ca_pem, e);
    if (o && o->ca_file)
        return sbxi_tls_load_file(t, o->ca_file, "config.tls.ca_file cannot be read as PEM: ", e);
    if (env && env[0])
        return sbxi_tls_load_file(t, env, "SSL_CERT_FILE cannot be read as PEM: ", e);
    return sbxi_tls_load_first(t, system, SBXI_LEN(system), e);
}

#else

static int sbxi_tls_load(sbxi_tls_trust *t, const sbx_tls *o, const char *env, sbx_error *e)
{
    (void)env;
    if (o && o->ca_pem) return sbxi_tls_load_pem(t, o->ca_pem, e);
    if (o && o->ca_file)
        return sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG,
                             "this build reads no files: give config.tls.ca_pem, not ca_file", "");
    return sbxi_error_set(e, SBX_E_NO_CA, "this build reads no files: give config.tls.ca_pem");
}

#endif

#ifdef SBXI_TLS_DRBG

static int sbxi_tls_entropy(void *ctx, unsigned char *out, size_t len)
{
    const sbx_net *net = (const sbx_net *)ctx;
    bool ok = net->entropy && net->entropy(net->ctx, out, len) == SBX_OK;
    return ok ? 0 : MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED;
}

static int sbxi_tls_seed(sbxi_tls_trust *t, sbx_error *e)
{
    static const unsigned char label[] = "sandbox.h";
    void *net = (void *)(uintptr_t)t->net; /* only read through it */
    int code = mbedtls_ctr_drbg_seed(&t->drbg, sbxi_tls_entropy, net, label, sizeof label - 1);
    if (code != 0)
        return sbxi_tls_no_memory(code) ? SBX_E_NOMEM : sbxi_error_set(e, SBX_E_ENTROPY, NULL);
    mbedtls_ssl_conf_rng(&t->conf, mbedtls_ctr_drbg_random, &t->drbg);
    return SBX_OK;
}

#else

static int sbxi_tls_seed(sbxi_tls_trust *t, sbx_error *e)
{
    (void)t;
    (void)e;
    return SBX_OK;
}

#endif

/* mbedTLS's own state, process-wide; before anything else is parsed. */
static int sbxi_tls_psa(sbx_error *e)
{
#ifdef SBXI_TLS_PSA
    psa_status_t code = psa_crypto_init();
    if (code == PSA_ERROR_INSUFFICIENT_MEMORY) return SBX_E_NOMEM;
    if (code == PSA_ERROR_INSUFFICIENT_ENTROPY) return sbxi_error_set(e, SBX_E_ENTROPY, NULL);
    if (code != PSA_SUCCESS)
        return sbxi_tls_fail_code(e, SBX_TLS_BAD_CONFIG, "psa_crypto_init() failed", (int)code);
#endif
    (void)e;
    return SBX_OK;
}

static int sbxi_tls_configure(sbxi_tls_trust *t, sbx_error *e)
{
    int code = mbedtls_ssl_config_defaults(&t->conf, MBEDTLS_SSL_IS_CLIENT,
        MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_authmode(&t->conf, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&t->conf, &t->ca, NULL);
#if MBEDTLS_VERSION_NUMBER >= 0x03020000
    mbedtls_ssl_conf_min_tls_version(&t->conf, MBEDTLS_SSL_VERSION_TLS1_2);
#else
    mbedtls_ssl_conf_min_version(&t->conf, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3);
#endif
#ifdef MBEDTLS_SSL_SESSION_TICKETS
    /* Sessions are not resumed, so the ticket is not asked for. */
    mbedtls_ssl_conf_session_tickets(&t->conf, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
#endif
#ifdef MBEDTLS_SSL_ALPN
    t->alpn[0] = "http/1.1";
    if (code == 0) code = mbedtls_ssl_conf_alpn_protocols(&t->conf, t->alpn);
#endif
    if (code == 0) return SBX_OK;
    if (sbxi_tls_no_memory(code)) return SBX_E_NOMEM;
    return sbxi_tls_fail_code(e, SBX_TLS_BAD_CONFIG, "mbedTLS refused its settings", code);
}

static int sbxi_tls_trust_open(sbxi_tls_trust **out, const sbx_alloc *alloc, const sbx_net *net,
                               const sbx_tls *options, const char *env_ca_file, sbx_error *error)
{
    sbxi_tls_trust *t = (sbxi_tls_trust *)sbxi_alloc_get(alloc, sizeof *t);
    int rc;
    *out = NULL;
    if (!t) return sbxi_error_set(error, SBX_E_NOMEM, NULL);
    t->alloc = alloc;
    t->net = net;
    t->skip_clock = options && options->no_clock == SBX_YES;
    mbedtls_ssl_config_init(&t->conf);
    mbedtls_x509_crt_init(&t->ca);
#ifdef SBXI_TLS_DRBG
    mbedtls_ctr_drbg_init(&t->drbg);
#endif
    rc = sbxi_tls_psa(error);
    if (rc == SBX_OK) rc = sbxi_tls_seed(t, error);
    if (rc == SBX_OK) rc = sbxi_tls_load(t, options, env_ca_file, error);
    if (rc == SBX_OK) rc = sbxi_tls_configure(t, error);
    if (rc != SBX_OK) {
        sbxi_tls_trust_close(t);
        return sbxi_error_set(error, rc, NULL);
    }
    *out = t;
    return SBX_OK;
}

/* ---- one connection ------------------------------------------------------- */

/* The transport as mbedTLS wants it. Failures are remembered in the connection:
   what mbedTLS makes of the code differs between versions. */
static int sbxi_tls_bio(sbxi_tls_conn *c, int rc, size_t n, int want)
{
    if (rc == SBX_E_AGAIN) {
        c->blocked = want;
        return want == SBX_WANT_READ ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_SSL_WANT_WRITE;
    }
    if (rc == SBX_OK && n > 0) return (int)n;
    c->lost = true;
    return MBEDTLS_ERR_SSL_CONN_EOF;
}

static int sbxi_tls_bio_send(void *ctx, const unsigned char *buf, size_t len)
{
    sbxi_tls_conn *c = (sbxi_tls_conn *)ctx;
    const sbx_net *net = c->trust->net;
    size_t n = 0;
    int rc = net->send(net->ctx, c->raw, buf, len, &n);
    return sbxi_tls_bio(c, rc, n, SBX_WANT_WRITE);
}

static int sbxi_tls_bio_recv(void *ctx, unsigned char *buf, size_t cap)
{
    sbxi_tls_conn *c = (sbxi_tls_conn *)ctx;
    const sbx_net *net = c->trust->net;
    size_t n = 0;
    int rc = SBX_E_AGAIN; /* of a peer that sends warnings without end: it waits */
    if (c->burst > 0) rc = net->recv(net->ctx, c->raw, buf, cap, &n);
    c->burst -= SBXI_MIN(n, c->burst);
    return sbxi_tls_bio(c, rc, n, SBX_WANT_READ);
}

/* Best effort, never blocks. */
static void sbxi_tls_end(sbxi_tls_conn *c)
{
    if (c->up && !c->lost) (void)mbedtls_ssl_close_notify(&c->ssl);
    mbedtls_ssl_free(&c->ssl);
    sbxi_alloc_free(c->trust->alloc, c, c->size);
}

static int sbxi_tls_clock(sbxi_tls_conn *c, sbx_error *e)
{
    const sbx_net *net = c->trust->net;
    c->now_ms = net->unix_ms ? net->unix_ms(net->ctx) : 0;
    if (c->now_ms > 0) return SBX_OK;
    c->now_ms = 0;
    if (c->trust->skip_clock) return SBX_OK;
    return sbxi_tls_fail(e, SBX_TLS_NO_CLOCK, "no clock to judge certificates by: give "
                         "config.net.unix_ms, or set config.tls.no_clock to SBX_YES", "");
}

/* An address is not sent as server name (RFC 6066), and a name without its final
   dot, which certificates do not have either. */
static int sbxi_tls_name(sbxi_tls_conn *c)
{
    size_t len = strlen(c->host);
    c->ip_len = sbxi_ip_parse(c->host, c->ip);
    if (c->ip_len) return mbedtls_ssl_set_hostname(&c->ssl, NULL);
    if (len > 1 && c->host[len - 1] == '.') c->host[len - 1] = 0;
    return mbedtls_ssl_set_hostname(&c->ssl, c->host);
}

static int sbxi_tls_start(sbxi_tls_conn **out, sbxi_tls_trust *t, void *net_conn,
                          const char *host, sbx_error *error)
{
    size_t size = sizeof(sbxi_tls_conn) + strlen(host);
    sbxi_tls_conn *c = (sbxi_tls_conn *)sbxi_alloc_get(t->alloc, size);
    int code, rc;
    *out = NULL;
    if (!c) return sbxi_error_set(error, SBX_E_NOMEM, NULL);
    c->trust = t;
    c->raw = net_conn;
    c->size = size;
    memcpy(c->host, host, strlen(host) + 1);
    mbedtls_ssl_init(&c->ssl);
    rc = sbxi_tls_clock(c, error);
    code = rc == SBX_OK ? mbedtls_ssl_setup(&c->ssl, &t->conf) : 0;
    if (rc == SBX_OK && code == 0) code = sbxi_tls_name(c);
    if (code != 0 && sbxi_tls_no_memory(code))
        rc = sbxi_error_set(error, SBX_E_NOMEM, NULL);
    else if (code != 0)
        rc = sbxi_tls_fail_code(error, SBX_TLS_BAD_CONFIG, "mbedTLS refused the host name", code);
    if (rc != SBX_OK) {
        sbxi_tls_end(c);
        return rc;
    }
    mbedtls_ssl_set_verify(&c->ssl, sbxi_tls_judge, c);
    mbedtls_ssl_set_bio(&c->ssl, c, sbxi_tls_bio_send, sbxi_tls_bio_recv, NULL);
    *out = c;
    return SBX_OK;
}

/* mbedTLS stopped, but not for the transport: it took a session ticket or some
   other message without data, or pauses a long computation. */
static bool sbxi_tls_go_on(const sbxi_tls_conn *c, int code)
{
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
    if (code == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) return true;
#endif
#ifdef MBEDTLS_ERR_SSL_CRYPTO_IN_PROGRESS
    if (code == MBEDTLS_ERR_SSL_CRYPTO_IN_PROGRESS) return true;
#endif
    return (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE)
        && !c->blocked;
}

static bool sbxi_tls_would_block(const sbxi_tls_conn *c, int code, int *want)
{
    *want = c->blocked;
    return c->blocked
        && (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE);
}

static bool sbxi_tls_is_version(int code)
{
#ifdef MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION
    return code == MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION;
#else
    return code == MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION;
#endif
}

static bool sbxi_tls_is_certificate(int code)
{
    int high = -code & 0x7F80;
#ifdef MBEDTLS_ERR_SSL_BAD_CERTIFICATE
    if (code == MBEDTLS_ERR_SSL_BAD_CERTIFICATE) return true;
#else
    if (code == MBEDTLS_ERR_SSL_BAD_HS_CERTIFICATE) return true;
#endif
    return high >= 0x2080 && high <= 0x2F80; /* the X.509 module */
}

static int sbxi_tls_refused(const sbxi_tls_conn *c, int code, sbx_error *e)
{
    uint32_t flags = mbedtls_ssl_get_verify_result(&c->ssl);
    flags = (flags == SBXI_TLS_NO_RESULT ? 0 : flags) | c->flags;
    if (flags) return sbxi_tls_verdict(c, flags, e);
    if (c->lost)
        return sbxi_error_set(e, SBX_E_NETWORK, "the peer closed the connection in the TLS "
                              "handshake: is this its https port?");
    if (sbxi_tls_no_memory(code)) return sbxi_error_set(e, SBX_E_NOMEM, NULL);
    if (sbxi_tls_is_certificate(code))
        return sbxi_tls_fail_code(e, SBX_TLS_BAD_CERT, "the certificate cannot be read", code);
    if (sbxi_tls_is_version(code))
        return sbxi_tls_fail_code(e, SBX_TLS_HANDSHAKE, "the peer is too old: it has neither "
                                  "TLS 1.2 nor what this mbedTLS has above it", code);
    if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
        return sbxi_tls_fail_code(e, SBX_TLS_HANDSHAKE, "the peer refused the TLS handshake: "
                                  "no version or cipher in common, or it does not know the host",
                                  code);
    return sbxi_tls_fail_code(e, SBX_TLS_HANDSHAKE, "no agreement with the peer: is this its "
                              "https port?", code);
}

static int sbxi_tls_handshake(sbxi_tls_conn *c, int *want, sbx_error *error)
{
    int code, turns = 0;
    c->burst = SBXI_TLS_BURST;
    do {
        c->blocked = 0;
        code = mbedtls_ssl_handshake(&c->ssl);
    } while (sbxi_tls_go_on(c, code) && ++turns < SBXI_TLS_TURNS);
    if (sbxi_tls_would_block(c, code, want)) return SBX_E_AGAIN;
    if (code != 0) return sbxi_tls_refused(c, code, error);
    /* Cannot be as this is configured. If it ever were, nobody was verified. */
    if (!c->judged || c->flags)
        return sbxi_tls_verdict(c, c->flags | MBEDTLS_X509_BADCERT_MISSING, error);
    c->up = true;
    return SBX_OK;
}

static int sbxi_tls_send(sbxi_tls_conn *c, const void *buf, size_t len, size_t *sent, int *want)
{
    int code, turns = 0;
    *sent = 0;
    *want = 0;
    if (len == 0) return SBX_OK;
    c->burst = SBXI_TLS_BURST;
    do {
        c->blocked = 0;
        code = mbedtls_ssl_write(&c->ssl, (const unsigned char *)buf, len);
    } while (sbxi_tls_go_on(c, code) && ++turns < SBXI_TLS_TURNS);
    if (sbxi_tls_would_block(c, code, want)) return SBX_E_AGAIN;
    if (code > 0) {
        *sent = (size_t)code;
        return SBX_OK;
    }
    c->lost = true;
    return SBX_E_NETWORK;
}

static int sbxi_tls_recv(sbxi_tls_conn *c, void *buf, size_t cap, size_t *got, int *want)
{
    int code, turns = 0;
    *got = 0;
    *want = 0;
    if (c->ended || cap == 0) return SBX_OK;
    c->burst = SBXI_TLS_BURST;
    do {
        c->blocked = 0;
        code = mbedtls_ssl_read(&c->ssl, (unsigned char *)buf, cap);
    } while (sbxi_tls_go_on(c, code) && ++turns < SBXI_TLS_TURNS);
    if (sbxi_tls_would_block(c, code, want)) return SBX_E_AGAIN;
    if (code > 0) {
        *got = (size_t)code;
        return SBX_OK;
    }
    c->ended = code == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY;
    if (c->ended) return SBX_OK;
    c->lost = true; /* code 0: it ended without close_notify, a truncation */
    return SBX_E_NETWORK;
}

/* Bytes already decrypted. */
static size_t sbxi_tls_pending(const sbxi_tls_conn *c)
{
    return mbedtls_ssl_get_bytes_avail(&c->ssl);
}

#endif /* SBX_NO_TLS */
