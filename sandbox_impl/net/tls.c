/* tls - TLS client connections by mbedTLS 2.28, 3.6 or 4.x over any transport.
   The only module that sees mbedTLS. Called by the exchange: one trust for a
   client, made at its first https connection, one conn for each connection.

   Invariants: a certificate chain is always verified, with the host name or the
   address; the validity period is judged here against the client's clock, never
   by mbedTLS against the system's; what a failed handshake had against the peer
   becomes one sbx_tls_check, the gravest. A session is resumed only under the trust
   it was made under, with the host and port it was made with, and while the
   certificates then seen are valid. AGAIN always means that the transport
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

static SBXI_MAYBE void sbxi_tls_bind_to(sbxi_tls_trust *t, const void *data, size_t len)
{
    (void)t;
    (void)data;
    (void)len;
}

static int sbxi_tls_start(sbxi_tls_conn **out, sbxi_tls_trust *t, void *net_conn,
                          const char *host, uint16_t port, sbx_error *error)
{
    (void)t;
    (void)net_conn;
    (void)host;
    (void)port;
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

static int sbxi_tls_why(const sbxi_tls_conn *c, int rc, sbx_error *e)
{
    (void)c;
    (void)e;
    return rc;
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
#include <mbedtls/x509_crl.h>
#include <mbedtls/pk.h>

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

#ifdef MBEDTLS_PRIVATE /* since 3.0 */
#define SBXI_TLS_MEMBER(name) MBEDTLS_PRIVATE(name)
#else
#define SBXI_TLS_MEMBER(name) name
#endif

/* Of one call: bytes taken from the transport before the caller gets to look at its
   clock, and rounds. */
#define SBXI_TLS_BURST 65536
#define SBXI_TLS_TURNS 1000000
#define SBXI_TLS_NO_RESULT 0xFFFFFFFFu /* mbedtls_ssl_get_verify_result() has none */

/* Sessions a client keeps to resume, each of another (host, port). */
#ifdef SBX_SMALL
#define SBXI_TLS_SESSIONS 2
#define SBXI_TLS_BLOB 2048 /* of a session as session_load gives it */
#else
#define SBXI_TLS_SESSIONS 4
#define SBXI_TLS_BLOB 8192
#endif
#define SBXI_TLS_BLOB_HEAD 48 /* a hash and two times, then what mbedTLS saves */
/* A flag that mbedTLS leaves to us. */
#define SBXI_TLS_BAD_PIN MBEDTLS_X509_BADCERT_OTHER

/* A session is only ever tried under the trust it was made under: it lives there. */
typedef struct sbxi_tls_saved {
    struct sbxi_tls_saved *next;
    mbedtls_ssl_session session;
    int64_t from_ms, to_ms; /* when the whole chain is valid */
    size_t size;            /* of this struct with the host name */
    uint16_t port;
    char host[1];
} sbxi_tls_saved;

struct sbxi_tls_trust {
    const sbx_alloc *alloc;
    const sbx_net *net;
    const char *alpn[2];    /* mbedTLS keeps the pointer */
    sbx_tls options;        /* its texts outlive the trust */
    bool pin_only;
    bool resume;
    sbxi_tls_saved *saved;  /* the newest first */
    unsigned char bind[32]; /* SHA-256 of all that is trusted, for saved sessions */
    mbedtls_ssl_config conf;
    mbedtls_x509_crt ca;
    mbedtls_x509_crt own;   /* the client's certificate */
    mbedtls_pk_context key;
#ifdef MBEDTLS_X509_CRL_PARSE_C
    mbedtls_x509_crl crl;
#endif
#ifdef SBXI_TLS_DRBG
    mbedtls_ctr_drbg_context drbg;
#endif
};

struct sbxi_tls_conn {
    sbxi_tls_trust *trust;
    void *raw;              /* the transport's connection */
    mbedtls_ssl_context ssl;
    int64_t now_ms;         /* the validity period is judged at, 0: it is not */
    int64_t from_ms, to_ms; /* when the whole chain is valid */
    uint32_t flags;         /* MBEDTLS_X509_BADCERT_* of the chain */
    int blocked;            /* SBX_WANT_*: this call ended at the transport */
    size_t burst;           /* bytes this call may still receive */
    bool chain;             /* a certificate of the peer was looked at */
    bool judged;            /* the peer's own certificate was */
    bool offered;           /* a session was, to resume it */
    bool heard;             /* data or a ticket came: the peer took our certificate */
    uint16_t port;
    bool up;                /* the handshake is done */
    bool lost;              /* the transport failed or ended */
    bool broken;            /* it did not, but what came was damaged, or an alert */
    bool ended;             /* close_notify came */
    size_t size;            /* of this struct with the host name */
    size_t ip_len;          /* 4 or 16: the host is an address, 0: a name */
    unsigned char ip[16];
    char host[1];           /* NUL-terminated, allocated to its length */
};

/* ---- messages ------------------------------------------------------------- */

static SBXI_APART int sbxi_tls_fail(sbx_error *e, sbx_tls_check check, const char *text,
    const char *detail)
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
        detail[sizeof detail - 3 - i] = sbxi_hex[v & 15];
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

/* mbedTLS compared the names. Here one must be left that may count (RFC 9525): not the
   subject's CN, which it falls back to, and no wildcard right below a top-level domain. */
static bool sbxi_tls_names_host(const mbedtls_x509_crt *crt, const char *host)
{
    const mbedtls_x509_sequence *san;
    const char *dot = strchr(host, '.');
    size_t len = strlen(host), i;
    bool deep = dot && strchr(dot + 1, '.');
    for (san = &crt->subject_alt_names; san; san = san->next) {
        const char *name = (const char *)san->buf.p;
        if ((san->buf.tag & 0x1F) != 2) continue; /* dNSName */
        for (i = 0; i < len && len == san->buf.len; i++)
            if (sbxi_lower(name[i]) != sbxi_lower(host[i])) break;
        if (deep || i == len) return true;
    }
    return false;
}

/* Name constraints are not checked by mbedTLS: it refuses those marked critical and
   forgets the others. None is forgotten here. */
static bool sbxi_tls_constrained(const mbedtls_x509_crt *crt)
{
    const int seq = MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE;
    unsigned char *p = crt->v3_ext.p, *end = p + crt->v3_ext.len, *next;
    size_t n;
    if (!p || mbedtls_asn1_get_tag(&p, end, &n, seq) != 0) return false;
    for (; p < end && mbedtls_asn1_get_tag(&p, end, &n, seq) == 0; p = next) {
        next = p + n;
        if (mbedtls_asn1_get_tag(&p, end, &n, MBEDTLS_ASN1_OID) == 0 && n == 3
            && memcmp(p, "\x55\x1D\x1E", 3) == 0) return true;
    }
    return false;
}

/* Uses, where any are named, must name servers: "any" is none (so does OpenSSL judge). */
static bool sbxi_tls_serves(const mbedtls_x509_crt *crt)
{
    const mbedtls_x509_sequence *use = &crt->ext_key_usage;
    if (!use->buf.p) return true;
    for (; use; use = use->next)
        if (use->buf.len == 8 && memcmp(use->buf.p, "\x2B\x06\x01\x05\x05\x07\x03\x01", 8) == 0)
            return true;
    return false;
}

static int64_t sbxi_tls_time(const mbedtls_x509_time *t)
{
    const int16_t part[6] = { (int16_t)t->year, (int16_t)t->mon, (int16_t)t->day,
        (int16_t)t->hour, (int16_t)t->min, (int16_t)t->sec };
    return sbxi_unix_ms(part);
}

#ifdef MBEDTLS_X509_CRL_PARSE_C
/* Lists of the certificate's issuer: are they of this time? */
static uint32_t sbxi_tls_crl_period(const sbxi_tls_conn *c, const mbedtls_x509_crt *crt)
{
    const mbedtls_x509_crl *crl = &c->trust->crl;
    uint32_t flags = 0;
    for (; crl && crl->raw.p; crl = crl->next) {
        if (crl->issuer_raw.len != crt->issuer_raw.len
            || memcmp(crl->issuer_raw.p, crt->issuer_raw.p, crt->issuer_raw.len) != 0) continue;
        if (c->now_ms < sbxi_tls_time(&crl->this_update)) flags |= MBEDTLS_X509_BADCRL_FUTURE;
        if (crl->next_update.year && c->now_ms >= sbxi_tls_time(&crl->next_update) + 1000)
            flags |= MBEDTLS_X509_BADCRL_EXPIRED;
    }
    return flags;
}
#endif

/* Narrows the period the chain is valid in; the flags of this certificate's. */
static uint32_t sbxi_tls_period(sbxi_tls_conn *c, const mbedtls_x509_crt *crt)
{
    int64_t from = sbxi_tls_time(&crt->valid_from);
    int64_t to = sbxi_tls_time(&crt->valid_to) + 1000; /* it includes its last second */
    uint32_t flags = 0;
    if (!c->chain || from > c->from_ms) c->from_ms = from;
    if (!c->chain || to < c->to_ms) c->to_ms = to;
    c->chain = true;
    if (!c->now_ms) return 0;
    if (c->now_ms < from) flags |= MBEDTLS_X509_BADCERT_FUTURE;
    if (c->now_ms >= to) flags |= MBEDTLS_X509_BADCERT_EXPIRED;
#ifdef MBEDTLS_X509_CRL_PARSE_C
    flags |= sbxi_tls_crl_period(c, crt);
#endif
    return flags;
}

static bool sbxi_tls_pinned(const sbxi_tls_trust *t, const mbedtls_x509_crt *crt)
{
    unsigned char hash[32];
    sbx_sha256 s;
    if (!t->options.pins) return true;
    sbx_sha256_init(&s);
    sbx_sha256_add(&s, crt->pk_raw.p, crt->pk_raw.len);
    sbx_sha256_end(&s, hash);
    return sbxi_pin_has(t->options.pins, hash);
}

/* mbedTLS calls this for every certificate of the chain, the peer's own (depth
   0) last. Clearing a flag accepts, setting one refuses. */
static int sbxi_tls_judge(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    sbxi_tls_conn *c = (sbxi_tls_conn *)ctx;
    const sbxi_tls_trust *t = c->trust;
    if (t->pin_only) { /* the pin, required below, vouches for the peer's own alone */
        *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_NOT_TRUSTED;
        if (depth > 0) *flags = 0;
        if (depth > 0) return 0;
    }
    *flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE
                          | MBEDTLS_X509_BADCRL_EXPIRED | MBEDTLS_X509_BADCRL_FUTURE);
    *flags |= sbxi_tls_period(c, crt);
    if (sbxi_tls_constrained(crt)) *flags |= MBEDTLS_X509_BADCERT_KEY_USAGE;
    if (depth == 0) {
        c->judged = true;
        if (!sbxi_tls_serves(crt)) *flags |= MBEDTLS_X509_BADCERT_EXT_KEY_USAGE;
        if (!(c->ip_len ? sbxi_tls_names_ip(crt, c->ip, c->ip_len)
                        : sbxi_tls_names_host(crt, c->host)))
            *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
        if (!sbxi_tls_pinned(t, crt)) *flags |= SBXI_TLS_BAD_PIN;
    }
    c->flags |= *flags;
    return 0;
}

#define SBXI_TLS_BAD_CRL (MBEDTLS_X509_BADCRL_NOT_TRUSTED | MBEDTLS_X509_BADCRL_EXPIRED \
    | MBEDTLS_X509_BADCRL_FUTURE | MBEDTLS_X509_BADCRL_BAD_MD | MBEDTLS_X509_BADCRL_BAD_PK \
    | MBEDTLS_X509_BADCRL_BAD_KEY)

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
        { SBXI_TLS_BAD_CRL, SBX_TLS_REVOKED,
          "the revocation list (config.tls) is out of date or not by the CA: " },
        { SBXI_TLS_BAD_PIN, SBX_TLS_PIN,
          "the key of the certificate is none of config.tls.pins: " },
        { ~(uint32_t)(MBEDTLS_X509_BADCERT_CN_MISMATCH | MBEDTLS_X509_BADCERT_EXPIRED
                      | MBEDTLS_X509_BADCERT_FUTURE), SBX_TLS_BAD_CERT,
          "the certificate is weak, not for a server, or its CA is bound to some names: " },
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

/* ---- the sessions of a trust ---------------------------------------------- */

static void sbxi_tls_forget(const sbxi_tls_trust *t, sbxi_tls_saved *s)
{
    mbedtls_ssl_session_free(&s->session);
    sbxi_alloc_wipe(t->alloc, s, s->size);
}

/* Takes the session with this peer out, NULL: there is none. Whoever tries it puts
   it back when it worked, so one that was refused is gone. */
static sbxi_tls_saved *sbxi_tls_take(sbxi_tls_trust *t, const char *host, uint16_t port)
{
    sbxi_tls_saved **at = &t->saved, *s;
    while ((s = *at) != NULL && (s->port != port || strcmp(s->host, host) != 0)) at = &s->next;
    if (s) *at = s->next;
    return s;
}

static sbxi_tls_saved *sbxi_tls_saved_new(const sbxi_tls_trust *t, const char *host,
                                          uint16_t port)
{
    size_t size = sizeof(sbxi_tls_saved) + strlen(host);
    sbxi_tls_saved *s = (sbxi_tls_saved *)sbxi_alloc_get(t->alloc, size);
    if (!s) return NULL;
    mbedtls_ssl_session_init(&s->session);
    s->size = size;
    s->port = port;
    memcpy(s->host, host, strlen(host) + 1);
    return s;
}

/* ---- trust ---------------------------------------------------------------- */

static void sbxi_tls_trust_close(sbxi_tls_trust *t)
{
    while (t->saved) sbxi_tls_forget(t, sbxi_tls_take(t, t->saved->host, t->saved->port));
    mbedtls_ssl_config_free(&t->conf);
    mbedtls_x509_crt_free(&t->ca);
    mbedtls_x509_crt_free(&t->own);
    mbedtls_pk_free(&t->key);
#ifdef MBEDTLS_X509_CRL_PARSE_C
    mbedtls_x509_crl_free(&t->crl);
#endif
#ifdef SBXI_TLS_DRBG
    mbedtls_ctr_drbg_free(&t->drbg);
#endif
    sbxi_alloc_wipe(t->alloc, t, sizeof *t);
}

/* A positive answer of mbedTLS counts certificates it cannot read: stores have
   such, one good is enough. */
static int sbxi_tls_load_done(mbedtls_x509_crt *crt, int rc)
{
    if (rc >= 0 && crt->raw.p) return SBX_OK;
    mbedtls_x509_crt_free(crt);
    mbedtls_x509_crt_init(crt);
    return rc < 0 && sbxi_tls_no_memory(rc) ? SBX_E_NOMEM : SBX_E_TLS;
}

static int sbxi_tls_load_pem(mbedtls_x509_crt *crt, const char *pem, const char *text,
                             sbx_error *e)
{
    /* mbedTLS takes text for PEM only if its NUL is counted. */
    int code = mbedtls_x509_crt_parse(crt, (const unsigned char *)pem, strlen(pem) + 1);
    int rc = sbxi_tls_load_done(crt, code);
    return rc == SBX_E_TLS ? sbxi_tls_fail_code(e, SBX_TLS_BAD_CONFIG, text, code) : rc;
}

#if defined(MBEDTLS_FS_IO) && !defined(SBX_NO_STDLIB)
#define SBXI_TLS_FILES

/* What cannot be sized, as a directory, is "no memory" to mbedTLS. */
static int sbxi_tls_file_code(int code)
{
#if MBEDTLS_VERSION_NUMBER < 0x04000000
    if (code == MBEDTLS_ERR_PK_ALLOC_FAILED) code = MBEDTLS_ERR_PK_FILE_IO_ERROR;
#endif
    return code;
}

static int sbxi_tls_load_path(mbedtls_x509_crt *crt, const char *path)
{
    return sbxi_tls_load_done(crt, sbxi_tls_file_code(mbedtls_x509_crt_parse_file(crt, path)));
}

static int sbxi_tls_load_file(mbedtls_x509_crt *crt, const char *path, const char *text,
                              sbx_error *e)
{
    int rc = sbxi_tls_load_path(crt, path);
    return rc == SBX_E_TLS ? sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG, text, path) : rc;
}

/* The first of the paths that holds a certificate. */
static int sbxi_tls_load_first(sbxi_tls_trust *t, const char *const *paths, size_t n, sbx_error *e)
{
    char message[sizeof e->message] = "no CA certificates; give config.tls.ca_file; tried";
    size_t i;
    for (i = 0; i < n; i++) {
        int rc = sbxi_tls_load_path(&t->ca, paths[i]);
        if (rc != SBX_E_TLS) return rc;
        sbxi_add_text(message, sizeof message, " ");
        sbxi_add_text(message, sizeof message, paths[i]);
    }
    return sbxi_error_set(e, SBX_E_NO_CA, message);
}

static int sbxi_tls_load(sbxi_tls_trust *t, const char *env, sbx_error *e)
{
    static const char *const system[] = {
        "/etc/ssl/certs/ca-certificates.crt",  /* Debian, Ubuntu, Alpine, Arch, Gentoo */
        "/etc/pki/tls/certs/ca-bundle.crt",    /* Fedora, RHEL */
        "/etc/ssl/ca-bundle.pem",              /* openSUSE */
        "/etc/ssl/cert.pem",                   /* macOS, the BSDs, Alpine */
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/usr/local/share/certs/ca-root-nss.crt"
    };
    const sbx_tls *o = &t->options;
    if (o->ca_pem)
        return sbxi_tls_load_pem(&t->ca, o->ca_pem, "config.tls.ca_pem holds no certificate",
                                 e);
    if (o->ca_file)
        return sbxi_tls_load_file(&t->ca, o->ca_file,
                                  "config.tls.ca_file cannot be read as PEM: ", e);
    if (env && env[0]) {
        int code = mbedtls_x509_crt_parse_path(&t->ca, env); /* < 0: no directory */
        int rc = sbxi_tls_load_done(&t->ca, code);
        if (rc == SBX_E_TLS && code < 0) rc = sbxi_tls_load_path(&t->ca, env);
        return rc != SBX_E_TLS ? rc : sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG,
            "SSL_CERT_FILE (or SSL_CERT_DIR) holds no certificate in PEM: ", env);
    }
    return sbxi_tls_load_first(t, system, SBXI_LEN(system), e);
}

#else

static int sbxi_tls_load(sbxi_tls_trust *t, const char *env, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    (void)env;
    if (o->ca_pem)
        return sbxi_tls_load_pem(&t->ca, o->ca_pem, "config.tls.ca_pem holds no certificate",
                                 e);
    if (o->ca_file)
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

/* Who this client is, and what was revoked. A text in memory goes before a file.
   What files give is read by mbedTLS, so that keys pass through no buffer of ours. */
static SBXI_MAYBE int sbxi_tls_no_files(sbx_error *e)
{
    return sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG,
                         "this build reads no files: give config.tls texts in memory", "");
}

#if MBEDTLS_VERSION_NUMBER >= 0x03000000 && defined(SBXI_TLS_DRBG)
#define SBXI_TLS_RNG , mbedtls_ctr_drbg_random, &t->drbg
#else
#define SBXI_TLS_RNG
#endif

static int sbxi_tls_load_own(sbxi_tls_trust *t, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    if (o->cert_pem)
        return sbxi_tls_load_pem(&t->own, o->cert_pem, "config.tls.cert_pem holds no certificate",
                                 e);
#ifdef SBXI_TLS_FILES
    return sbxi_tls_load_file(&t->own, o->cert_file, "config.tls.cert_file cannot be read as PEM: ",
                              e);
#else
    return sbxi_tls_no_files(e);
#endif
}

static int sbxi_tls_load_key(sbxi_tls_trust *t, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    const unsigned char *word = (const unsigned char *)o->key_password;
    int code;
    if (o->key_pem) {
        code = mbedtls_pk_parse_key(&t->key, (const unsigned char *)o->key_pem,
            strlen(o->key_pem) + 1, word, word ? strlen(o->key_password) : 0 SBXI_TLS_RNG);
    } else {
#ifdef SBXI_TLS_FILES
        code = sbxi_tls_file_code(mbedtls_pk_parse_keyfile(&t->key, o->key_file,
            o->key_password SBXI_TLS_RNG));
#else
        return sbxi_tls_no_files(e);
#endif
    }
    if (code == 0) code = mbedtls_pk_check_pair(&t->own.pk, &t->key SBXI_TLS_RNG);
    if (code == 0) code = mbedtls_ssl_conf_own_cert(&t->conf, &t->own, &t->key);
    if (code == 0) return SBX_OK;
    if (sbxi_tls_no_memory(code)) return SBX_E_NOMEM;
    return sbxi_tls_fail_code(e, SBX_TLS_BAD_CONFIG, "the key of config.tls cannot be read, or "
                              "does not belong to the client certificate", code);
}

static int sbxi_tls_identity(sbxi_tls_trust *t, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    bool cert = o->cert_pem || o->cert_file, key = o->key_pem || o->key_file;
    int rc;
    if (cert != key)
        return sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG, "a client certificate needs its key: give "
                             "config.tls cert_pem and key_pem, or cert_file and key_file", "");
    if (!cert) return SBX_OK;
    rc = sbxi_tls_load_own(t, e);
    return rc == SBX_OK ? sbxi_tls_load_key(t, e) : rc;
}

#ifdef MBEDTLS_X509_CRL_PARSE_C
static int sbxi_tls_revoked(sbxi_tls_trust *t, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    int code;
    if (o->crl_pem) {
        code = mbedtls_x509_crl_parse(&t->crl, (const unsigned char *)o->crl_pem,
                                      strlen(o->crl_pem) + 1);
    } else if (o->crl_file) {
#ifdef SBXI_TLS_FILES
        code = sbxi_tls_file_code(mbedtls_x509_crl_parse_file(&t->crl, o->crl_file));
#else
        return sbxi_tls_no_files(e);
#endif
    } else {
        return SBX_OK;
    }
    if (code == 0 && t->crl.raw.p) return SBX_OK;
    if (sbxi_tls_no_memory(code)) return SBX_E_NOMEM;
    return sbxi_tls_fail_code(e, SBX_TLS_BAD_CONFIG,
                              "the revocation list of config.tls cannot be read", code);
}
#else
static int sbxi_tls_revoked(sbxi_tls_trust *t, sbx_error *e)
{
    if (!t->options.crl_pem && !t->options.crl_file) return SBX_OK;
    return sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG, "this mbedTLS knows no revocation lists", "");
}
#endif

/* What cannot be meant: an error, never a weaker check than asked for. */
static int sbxi_tls_check_options(const sbxi_tls_trust *t, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    const char *text = NULL;
    if (o->pins && !sbxi_pin_check(o->pins))
        text = "config.tls.pins: each is the base64 of a SHA-256, 44 letters";
    else if (t->pin_only && !o->pins)
        text = "config.tls.pin_only needs config.tls.pins";
    else if (t->pin_only && (o->crl_pem || o->crl_file))
        text = "config.tls.pin_only has no CA for a revocation list";
    return text ? sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG, text, "") : SBX_OK;
}

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

/* What no configuration may change. */
static void sbxi_tls_insist(sbxi_tls_trust *t)
{
    mbedtls_x509_crl *crl = NULL;
#ifdef MBEDTLS_X509_CRL_PARSE_C
    if (t->crl.raw.p) crl = &t->crl;
#endif
    mbedtls_ssl_conf_authmode(&t->conf, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&t->conf, &t->ca, crl);
#if MBEDTLS_VERSION_NUMBER >= 0x03020000
    mbedtls_ssl_conf_min_tls_version(&t->conf, MBEDTLS_SSL_VERSION_TLS1_2);
#else
    mbedtls_ssl_conf_min_version(&t->conf, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3);
#endif
}

/* mbedTLS does not negotiate the length in TLS 1.3, so that is not offered then. */
static int sbxi_tls_fragment(sbxi_tls_trust *t, sbx_error *e)
{
    int32_t n = t->options.max_fragment;
    int code = -1;
    if (n == 0) return SBX_OK;
#ifdef MBEDTLS_SSL_MAX_FRAGMENT_LENGTH
    if (n == 512 || n == 1024 || n == 2048 || n == 4096) {
        unsigned char log = MBEDTLS_SSL_MAX_FRAG_LEN_512;
        for (; n > 512; n /= 2) log++;
        code = mbedtls_ssl_conf_max_frag_len(&t->conf, log);
    }
#endif
#if MBEDTLS_VERSION_NUMBER >= 0x03020000
    mbedtls_ssl_conf_max_tls_version(&t->conf, MBEDTLS_SSL_VERSION_TLS1_2);
#endif
    if (code == 0) return SBX_OK;
    return sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG, "config.tls.max_fragment is 512, 1024, 2048 or "
                         "4096, and mbedTLS needs MBEDTLS_SSL_MAX_FRAGMENT_LENGTH", "");
}

static void sbxi_tls_tickets(sbxi_tls_trust *t)
{
#ifdef MBEDTLS_SSL_SESSION_TICKETS
    mbedtls_ssl_conf_session_tickets(&t->conf, t->resume
        ? MBEDTLS_SSL_SESSION_TICKETS_ENABLED : MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
#if defined(MBEDTLS_SSL_PROTO_TLS1_3) && MBEDTLS_VERSION_NUMBER >= 0x03060100 \
    && MBEDTLS_VERSION_NUMBER < 0x04000000
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(&t->conf, t->resume
        ? MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED
        : MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_DISABLED);
#endif
#else
    (void)t;
#endif
}

static int sbxi_tls_configure(sbxi_tls_trust *t, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    int rc, code = mbedtls_ssl_config_defaults(&t->conf, MBEDTLS_SSL_IS_CLIENT,
        MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
#ifdef MBEDTLS_SSL_ALPN
    t->alpn[0] = "http/1.1";
    if (code == 0) code = mbedtls_ssl_conf_alpn_protocols(&t->conf, t->alpn);
#endif
    if (code != 0 && sbxi_tls_no_memory(code)) return SBX_E_NOMEM;
    if (code != 0)
        return sbxi_tls_fail_code(e, SBX_TLS_BAD_CONFIG, "mbedTLS refused its settings", code);
    /* SHA-256, RSA 2048 and 256-bit curves or better; what 2.28 takes by default is less. */
    mbedtls_ssl_conf_cert_profile(&t->conf, &mbedtls_x509_crt_profile_next);
    sbxi_tls_tickets(t);
    rc = sbxi_tls_fragment(t, e);
    if (rc == SBX_OK) rc = sbxi_tls_identity(t, e);
    if (rc != SBX_OK) return rc;
    if (o->configure && o->configure(o->ctx, &t->conf) != 0)
        return sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG, "config.tls.configure refused", "");
    sbxi_tls_insist(t);
    return SBX_OK;
}

/* The hash that saved sessions carry: of whom we trust, who we are, and how strict. */
static void sbxi_tls_bind(sbxi_tls_trust *t)
{
    const sbx_tls *o = &t->options;
    const mbedtls_x509_crt *crt;
    unsigned char policy[4];
    sbx_sha256 s;
    sbx_sha256_init(&s);
    for (crt = &t->ca; crt; crt = crt->next) sbx_sha256_add(&s, crt->raw.p, crt->raw.len);
    sbx_sha256_add(&s, "own", 4);
    sbx_sha256_add(&s, t->own.raw.p, t->own.raw.len);
#ifdef MBEDTLS_X509_CRL_PARSE_C
    {
        const mbedtls_x509_crl *crl;
        sbx_sha256_add(&s, "crl", 4);
        for (crl = &t->crl; crl; crl = crl->next) sbx_sha256_add(&s, crl->raw.p, crl->raw.len);
    }
#endif
    if (o->pins) sbx_sha256_add(&s, o->pins, strlen(o->pins) + 1);
    policy[0] = t->pin_only;
    policy[1] = o->no_clock == SBX_YES;
    policy[2] = (unsigned char)(o->max_fragment >> 8);
    policy[3] = o->pins != NULL;
    sbx_sha256_add(&s, policy, sizeof policy);
    sbx_sha256_end(&s, t->bind);
}

/* Saved sessions are of use only where this is the same, too. */
static SBXI_MAYBE void sbxi_tls_bind_to(sbxi_tls_trust *t, const void *data, size_t len)
{
    sbx_sha256 s;
    sbx_sha256_init(&s);
    sbx_sha256_add(&s, t->bind, sizeof t->bind);
    sbx_sha256_add(&s, data, len);
    sbx_sha256_end(&s, t->bind);
}

static void sbxi_tls_trust_init(sbxi_tls_trust *t, const sbx_tls *options)
{
    if (options) t->options = *options;
    t->pin_only = t->options.pin_only == SBX_YES;
    t->resume = t->options.resume != SBX_NO;
    mbedtls_ssl_config_init(&t->conf);
    mbedtls_x509_crt_init(&t->ca);
    mbedtls_x509_crt_init(&t->own);
    mbedtls_pk_init(&t->key);
#ifdef MBEDTLS_X509_CRL_PARSE_C
    mbedtls_x509_crl_init(&t->crl);
#endif
#ifdef SBXI_TLS_DRBG
    mbedtls_ctr_drbg_init(&t->drbg);
#endif
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
    sbxi_tls_trust_init(t, options);
    rc = sbxi_tls_check_options(t, error);
    if (rc == SBX_OK) rc = sbxi_tls_psa(error);
    if (rc == SBX_OK) rc = sbxi_tls_seed(t, error);
    if (rc == SBX_OK && !t->pin_only) rc = sbxi_tls_load(t, env_ca_file, error);
    if (rc == SBX_OK) rc = sbxi_tls_revoked(t, error);
    if (rc == SBX_OK) rc = sbxi_tls_configure(t, error);
    if (rc != SBX_OK) {
        sbxi_tls_trust_close(t);
        return sbxi_error_set(error, rc, NULL);
    }
    sbxi_tls_bind(t);
    *out = t;
    return SBX_OK;
}

/* ---- resumption ----------------------------------------------------------- */

static void sbxi_tls_put64(unsigned char *out, int64_t v)
{
    int i;
    for (i = 0; i < 8; i++) out[i] = (unsigned char)((uint64_t)v >> (56 - 8 * i));
}

static int64_t sbxi_tls_get64(const unsigned char *in)
{
    uint64_t v = 0;
    int i;
    for (i = 0; i < 8; i++) v = v << 8 | in[i];
    return (int64_t)v;
}

/* What a blob begins with: all that is trusted, with whom, and the rest of it. */
static void sbxi_tls_blob_hash(const sbxi_tls_trust *t, const char *host, uint16_t port,
                               const unsigned char *blob, size_t len, unsigned char out[32])
{
    unsigned char at[2];
    sbx_sha256 s;
    at[0] = (unsigned char)(port >> 8);
    at[1] = (unsigned char)(port & 255);
    sbx_sha256_init(&s);
    sbx_sha256_add(&s, t->bind, sizeof t->bind);
    sbx_sha256_add(&s, host, strlen(host) + 1);
    sbx_sha256_add(&s, at, sizeof at);
    sbx_sha256_add(&s, blob + 32, len - 32);
    sbx_sha256_end(&s, out);
}

static void sbxi_tls_save(const sbxi_tls_trust *t, const sbxi_tls_saved *s)
{
    const sbx_tls *o = &t->options;
    unsigned char *blob;
    size_t len = 0, size;
    if (!o->session_save) return;
    (void)mbedtls_ssl_session_save(&s->session, NULL, 0, &len); /* only its length */
    if (len == 0 || len > SBXI_TLS_BLOB - SBXI_TLS_BLOB_HEAD) return;
    size = SBXI_TLS_BLOB_HEAD + len;
    blob = (unsigned char *)sbxi_alloc_get(t->alloc, size);
    if (!blob) return;
    sbxi_tls_put64(blob + 32, s->from_ms);
    sbxi_tls_put64(blob + 40, s->to_ms);
    if (mbedtls_ssl_session_save(&s->session, blob + SBXI_TLS_BLOB_HEAD, len, &len) == 0) {
        sbxi_tls_blob_hash(t, s->host, s->port, blob, size, blob);
        (void)o->session_save(o->ctx, s->host, s->port, blob, size);
    }
    sbxi_alloc_wipe(t->alloc, blob, size);
}

/* Whatever is wrong with a blob, also a version of mbedTLS it is not for: there is
   none. */
static sbxi_tls_saved *sbxi_tls_restore(const sbxi_tls_trust *t, const char *host, uint16_t port,
                                        const unsigned char *blob, size_t len)
{
    unsigned char hash[32];
    sbxi_tls_saved *s;
    if (len <= SBXI_TLS_BLOB_HEAD || len > SBXI_TLS_BLOB) return NULL;
    sbxi_tls_blob_hash(t, host, port, blob, len, hash);
    if (memcmp(hash, blob, sizeof hash) != 0) return NULL;
    s = sbxi_tls_saved_new(t, host, port);
    if (!s) return NULL;
    s->from_ms = sbxi_tls_get64(blob + 32);
    s->to_ms = sbxi_tls_get64(blob + 40);
    if (mbedtls_ssl_session_load(&s->session, blob + SBXI_TLS_BLOB_HEAD,
                                 len - SBXI_TLS_BLOB_HEAD) == 0) return s;
    sbxi_tls_forget(t, s);
    return NULL;
}

static sbxi_tls_saved *sbxi_tls_load_session(const sbxi_tls_trust *t, const char *host,
                                             uint16_t port)
{
    const sbx_tls *o = &t->options;
    sbxi_tls_saved *s = NULL;
    unsigned char *blob;
    size_t len = 0;
    if (!o->session_load) return NULL;
    blob = (unsigned char *)sbxi_alloc_get(t->alloc, SBXI_TLS_BLOB);
    if (!blob) return NULL;
    if (o->session_load(o->ctx, host, port, blob, SBXI_TLS_BLOB, &len) == SBX_OK)
        s = sbxi_tls_restore(t, host, port, blob, len);
    sbxi_alloc_wipe(t->alloc, blob, SBXI_TLS_BLOB);
    return s;
}

/* Keeps the session of a connection, best effort: without it the next handshake is
   a whole one. */
static void sbxi_tls_remember(sbxi_tls_conn *c)
{
    sbxi_tls_trust *t = c->trust;
    sbxi_tls_saved *s, **at, *old;
    size_t n = 0;
    if (!t->resume) return;
    s = sbxi_tls_saved_new(t, c->host, c->port);
    if (!s) return;
    if (mbedtls_ssl_get_session(&c->ssl, &s->session) != 0) {
        sbxi_tls_forget(t, s);
        return;
    }
    s->from_ms = c->from_ms;
    s->to_ms = c->to_ms;
    old = sbxi_tls_take(t, c->host, c->port);
    if (old) sbxi_tls_forget(t, old);
    s->next = t->saved;
    t->saved = s;
    for (at = &t->saved; *at && n < SBXI_TLS_SESSIONS; n++) at = &(*at)->next;
    old = *at;
    *at = NULL;
    if (old) sbxi_tls_forget(t, old);
    sbxi_tls_save(t, s);
}

/* Offers the session kept with this peer. Who resumes shows no certificate: the
   period of those seen before still counts. */
static int sbxi_tls_offer(sbxi_tls_conn *c)
{
    sbxi_tls_trust *t = c->trust;
    sbxi_tls_saved *s;
    int code = 0;
    if (!t->resume) return 0;
    s = sbxi_tls_take(t, c->host, c->port);
    if (!s) s = sbxi_tls_load_session(t, c->host, c->port);
    if (!s) return 0;
    if (!c->now_ms || (c->now_ms >= s->from_ms && c->now_ms < s->to_ms)) {
        code = mbedtls_ssl_set_session(&c->ssl, &s->session);
        c->offered = code == 0;
        c->from_ms = s->from_ms;
        c->to_ms = s->to_ms;
    }
    sbxi_tls_forget(t, s);
    return code != 0 && sbxi_tls_no_memory(code) ? code : 0;
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
    c->now_ms = sbxi_clock(c->trust->net);
    if (c->now_ms) return SBX_OK;
    if (c->trust->options.no_clock == SBX_YES || c->trust->pin_only) return SBX_OK;
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
                          const char *host, uint16_t port, sbx_error *error)
{
    size_t size = sizeof(sbxi_tls_conn) + strlen(host);
    sbxi_tls_conn *c = (sbxi_tls_conn *)sbxi_alloc_get(t->alloc, size);
    int code, rc;
    *out = NULL;
    if (!c) return sbxi_error_set(error, SBX_E_NOMEM, NULL);
    c->trust = t;
    c->raw = net_conn;
    c->port = port;
    c->size = size;
    memcpy(c->host, host, strlen(host) + 1);
    mbedtls_ssl_init(&c->ssl);
    rc = sbxi_tls_clock(c, error);
    code = rc == SBX_OK ? mbedtls_ssl_setup(&c->ssl, &t->conf) : 0;
    if (rc == SBX_OK && code == 0) code = sbxi_tls_name(c);
    if (rc == SBX_OK && code == 0) code = sbxi_tls_offer(c);
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

static bool sbxi_tls_is_13(const sbxi_tls_conn *c)
{
    return strcmp(mbedtls_ssl_get_version(&c->ssl), "TLSv1.3") == 0;
}

/* mbedTLS pauses a long computation (MBEDTLS_ECP_RESTARTABLE): the caller's loop gets its
   turn. It comes back at once, as a transport can be written to in a handshake. */
static bool sbxi_tls_computes(int code, int *want)
{
#ifdef MBEDTLS_ERR_SSL_CRYPTO_IN_PROGRESS
    *want = SBX_WANT_WRITE;
    return code == MBEDTLS_ERR_SSL_CRYPTO_IN_PROGRESS;
#else
    (void)code;
    (void)want;
    return false;
#endif
}

/* mbedTLS stopped, but not for the transport: it took a session ticket or some
   other message without data. */
static bool sbxi_tls_go_on(sbxi_tls_conn *c, int code)
{
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
    if (code == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
        c->heard = true;
        sbxi_tls_remember(c); /* in TLS 1.3 only now is there something to resume */
        return true;
    }
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

/* Alerts of a peer that does not like our certificate, or wants one. mbedTLS has no
   function that tells which alert came. */
static bool sbxi_tls_dislikes(const sbxi_tls_conn *c, int code)
{
    unsigned alert;
    if (code != MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE || !c->judged) return false;
    alert = c->ssl.SBXI_TLS_MEMBER(in_msg)[1];
    return alert == 116 || (alert >= 40 && alert <= 49 && alert != 47);
}

/* Why the connection failed with this status, SBX_E_TLS or SBX_E_NETWORK. */
static int sbxi_tls_why(const sbxi_tls_conn *c, int rc, sbx_error *e)
{
    if (rc != SBX_E_TLS) {
        if (c->broken) e->tls = SBX_TLS_BROKEN;
        return !c->broken ? rc : sbxi_error_set(e, rc, "the TLS connection was damaged or "
            "tampered with, or the peer broke it off by an alert");
    }
    return sbxi_tls_fail(e, SBX_TLS_HANDSHAKE, c->trust->own.raw.p
        ? "the peer refused this client's certificate (config.tls.cert_pem, cert_file): "
        : "the peer asks for a client certificate (give config.tls.cert_pem and key_pem): ",
        c->host);
}

/* The peer sent an alert. */
static int sbxi_tls_alerted(const sbxi_tls_conn *c, int code, sbx_error *e)
{
    if (sbxi_tls_dislikes(c, code)) return sbxi_tls_why(c, SBX_E_TLS, e);
    return sbxi_tls_fail_code(e, SBX_TLS_HANDSHAKE, c->judged
        ? "the peer broke the TLS handshake off"
        : "the peer refused the TLS handshake: no version or cipher in common, or it does "
          "not know the host", code);
}

static int sbxi_tls_refused(const sbxi_tls_conn *c, int code, sbx_error *e)
{
    uint32_t flags = mbedtls_ssl_get_verify_result(&c->ssl);
    flags = (flags == SBXI_TLS_NO_RESULT ? 0 : flags) | c->flags;
    if (flags) return sbxi_tls_verdict(c, flags, e);
    if (c->offered && !c->judged && !sbxi_tls_no_memory(code))
        return sbxi_error_set(e, SBX_E_CONNECT, "the peer refused to resume the TLS session, "
                              "which is forgotten now: connect again");
    if (c->lost)
        return sbxi_error_set(e, SBX_E_NETWORK, c->judged
            ? "the peer closed the connection in the TLS handshake, after its certificate was "
              "accepted: does it ask for a client certificate (config.tls.cert_pem)?"
            : "the peer closed the connection in the TLS handshake: is this its https port?");
    if (sbxi_tls_no_memory(code)) return sbxi_error_set(e, SBX_E_NOMEM, NULL);
    if (sbxi_tls_is_certificate(code))
        return sbxi_tls_fail_code(e, SBX_TLS_BAD_CERT, "the certificate cannot be read", code);
    if (sbxi_tls_is_version(code))
        return sbxi_tls_fail_code(e, SBX_TLS_HANDSHAKE, "the peer is too old: it has neither "
                                  "TLS 1.2 nor what this mbedTLS has above it", code);
    if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) return sbxi_tls_alerted(c, code, e);
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
    if (sbxi_tls_computes(code, want)) return SBX_E_AGAIN;
    if (sbxi_tls_would_block(c, code, want)) return SBX_E_AGAIN;
    if (code != 0) return sbxi_tls_refused(c, code, error);
    /* Cannot be as this is configured. If it ever were, nobody was verified. */
    if ((!c->judged && !c->offered) || c->flags)
        return sbxi_tls_verdict(c, c->flags | MBEDTLS_X509_BADCERT_MISSING, error);
    c->up = true;
    if (!sbxi_tls_is_13(c)) sbxi_tls_remember(c);
    return SBX_OK;
}

/* Nothing more will come or go. An end without close_notify (code 0) is a truncation.
   In TLS 1.3 the handshake is over before the peer looks at our certificate. */
static int sbxi_tls_over(sbxi_tls_conn *c, int code)
{
    bool disliked = !c->heard && sbxi_tls_is_13(c) && sbxi_tls_dislikes(c, code);
    if (!c->lost && !sbxi_tls_no_memory(code)) c->broken = true;
    c->lost = true;
    return disliked ? SBX_E_TLS : SBX_E_NETWORK;
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
    return sbxi_tls_over(c, code);
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
        c->heard = true;
        return SBX_OK;
    }
    c->ended = code == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY;
    if (c->ended) return SBX_OK;
    return sbxi_tls_over(c, code);
}

/* Bytes already decrypted. */
static size_t sbxi_tls_pending(const sbxi_tls_conn *c)
{
    return mbedtls_ssl_get_bytes_avail(&c->ssl);
}

#endif /* SBX_NO_TLS */
