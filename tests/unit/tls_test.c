/* TLS against `openssl s_server` with the certificates of tests/live/certs.sh: what
   is accepted, that each bad certificate is refused by its own check, and every way
   the transport can block, break or lie, by a shim between our TLS and our sockets. */
#define _GNU_SOURCE
#include <mbedtls/ssl.h>

/* Between our TLS and mbedTLS: calls that only say that a ticket came, which an old
   mbedTLS never does, and whether a write that blocked is repeated as it was. */
static struct {
    int handshake, read, write; /* so many calls say so */
    const void *buf;        /* of the write that blocked */
    size_t len, written;
    unsigned blocked, moved;
    int pauses;             /* so many handshake calls have more to compute */
} hook;

#ifndef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
#define MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET (-0x7BFF)
#endif

static int hook_handshake(mbedtls_ssl_context *ssl)
{
#ifdef MBEDTLS_ERR_SSL_CRYPTO_IN_PROGRESS
    if (hook.pauses > 0) return hook.pauses--, MBEDTLS_ERR_SSL_CRYPTO_IN_PROGRESS;
#endif
    if (hook.handshake-- > 0) return MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
    return mbedtls_ssl_handshake(ssl);
}

static int hook_read(mbedtls_ssl_context *ssl, unsigned char *buf, size_t len)
{
    if (hook.read-- > 0) return MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
    return mbedtls_ssl_read(ssl, buf, len);
}

static int hook_write(mbedtls_ssl_context *ssl, const unsigned char *buf, size_t len)
{
    int rc;
    if (hook.write-- > 0) return MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
    if (hook.buf && (hook.buf != buf || hook.len != len)) hook.moved++;
    rc = mbedtls_ssl_write(ssl, buf, len);
    hook.buf = rc == MBEDTLS_ERR_SSL_WANT_WRITE || rc == MBEDTLS_ERR_SSL_WANT_READ ? buf : NULL;
    hook.len = len;
    hook.blocked += hook.buf != NULL;
    if (rc > 0) hook.written += (size_t)rc;
    return rc;
}

#define mbedtls_ssl_handshake hook_handshake
#define mbedtls_ssl_read hook_read
#define mbedtls_ssl_write hook_write
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

#include <arpa/inet.h>
#include <sys/wait.h>

static const sbx_alloc heap = { sbxi_std_resize, NULL };
static sbxi_posix home = { &heap, 15000, NULL };
static char certs[32] = "/tmp/sbx-tls-XXXXXX";
static const char *no_openssl; /* why all that needs the peer is skipped */
static pid_t owner;

/* ---- the peer ---- */

typedef struct peer { char args[256]; pid_t pid; uint16_t port; } peer;
static peer peers[80];

/* `openssl s_server` in the folder of the certificates; its port, 0: it did not
   start. It ends by itself in five minutes if this program cannot end it. */
static uint16_t start_peer(peer *p, const char *args)
{
    int out[2];
    char line[256];
    unsigned port = 0;
    FILE *f;
    if (pipe(out) != 0) return 0;
    p->pid = fork();
    if (p->pid == 0) {
        char command[320];
        int null = open("/dev/null", O_RDWR);
        alarm(300);
        dup2(null, 0);
        dup2(out[1], 1);
        dup2(null, 2);
        close(out[0]);
        snprintf(command, sizeof command, "exec openssl s_server %s", args);
        if (chdir(certs) == 0) execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    f = fdopen(out[0], "r");
    while (port == 0 && f && fgets(line, sizeof line, f)) {
        const char *colon = strrchr(line, ':');
        if (strncmp(line, "ACCEPT", 6) == 0 && colon) port = (unsigned)atoi(colon + 1);
    }
    /* f stays open: the peer goes on writing to it. */
    return (uint16_t)port;
}

static uint16_t peer_port(const char *args)
{
    peer *p = peers;
    while (p->pid && strcmp(p->args, args) != 0) p++;
    if (!p->pid) {
        snprintf(p->args, sizeof p->args, "%s", args);
        p->port = start_peer(p, args);
    }
    return p->port;
}

/* One that sends each line back reversed, and ends after the line CLOSE. */
static uint16_t echo_peer(const char *cert, const char *more)
{
    char args[256];
    snprintf(args, sizeof args, "-accept 127.0.0.1:0 -rev -cert %s.pem -key %s.key "
             "-cert_chain %s.pem -cipher DEFAULT:@SECLEVEL=0 %s", cert, cert, cert, more);
    return peer_port(args);
}

static void tear_down(void)
{
    char command[64];
    peer *p;
    if (getpid() != owner) return;
    for (p = peers; p->pid; p++) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
    }
    snprintf(command, sizeof command, "rm -rf %s", certs);
    if (system(command) != 0) fprintf(stderr, "cannot remove %s\n", certs);
}

/* Makes the certificates, once. false: there is no openssl to make them. */
static bool set_up(void)
{
    static bool done;
    char command[400], here[] = __FILE__;
    char *slash = strrchr(here, '/');
    if (done) return !no_openssl;
    done = true;
    if (system("command -v openssl >/dev/null 2>&1") != 0) {
        no_openssl = "openssl is not installed";
        return false;
    }
    if (!mkdtemp(certs)) abort();
    owner = getpid();
    atexit(tear_down);
    if (slash) *slash = 0;
    snprintf(command, sizeof command, "sh %s/../live/certs.sh %s", slash ? here : ".", certs);
    if (!CHECK(system(command) == 0)) no_openssl = "certs.sh failed";
    return !no_openssl;
}

#define NEED_PEER() do { if (!set_up()) SKIP(no_openssl); } while (0)

static const char *cert_path(const char *name)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/%s.pem", certs, name);
    return path;
}

static char *read_text(const char *path)
{
    static char text[16384];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f) fclose(f);
    text[n] = 0;
    return text;
}

/* ---- the shim ---- */

typedef struct shim {
    sbx_net real;           /* unused with a script */
    const char *script;     /* what a peer that is not there sends */
    size_t script_len;
    size_t script_pos;
    bool script_repeats;    /* for ever */
    bool lazy;              /* AGAIN before every single call */
    bool eager_send;        /* but not of send */
    bool stutter, stuttered; /* AGAIN before every send, whatever recv does */
    size_t most;            /* bytes a call moves, 0: any */
    int64_t recv_left, send_left; /* bytes until the end, -1: none */
    int end;                /* SBX_OK: as if the peer closed, else that status */
    int64_t flip;           /* bytes until one is damaged, -1: none */
    const char *find;       /* a text in what is received, whose last byte is changed */
    bool found;
    bool said_again;        /* the last AGAIN was made up */
    int asked;              /* SBX_WANT_* of that AGAIN */
    uint64_t received, sent, calls;
    int64_t unix_ms;
} shim;

/* True: answer AGAIN first. */
static bool shim_lazy(shim *s, int want)
{
    s->calls++;
    s->said_again = s->lazy && !s->said_again && !(s->eager_send && want == SBX_WANT_WRITE);
    s->asked = want;
    return s->said_again;
}

static size_t shim_cut(const shim *s, size_t n, int64_t left)
{
    if (s->most) n = SBXI_MIN(n, s->most);
    return left >= 0 ? (size_t)SBXI_MIN((int64_t)n, left) : n;
}

static int shim_send(void *ctx, void *conn, const void *buf, size_t len, size_t *sent)
{
    shim *s = (shim *)ctx;
    int rc = SBX_OK;
    *sent = 0;
    if (shim_lazy(s, SBX_WANT_WRITE)) return SBX_E_AGAIN;
    s->stuttered = s->stutter && !s->stuttered;
    if (s->stuttered) return SBX_E_AGAIN;
    len = shim_cut(s, len, s->send_left);
    if (len == 0) return SBX_E_NETWORK;
    if (s->script) *sent = len;
    else rc = s->real.send(s->real.ctx, conn, buf, len, sent);
    s->sent += *sent;
    if (s->send_left >= 0) s->send_left -= (int64_t)*sent;
    return rc;
}

static int shim_script(shim *s, void *buf, size_t cap, size_t *got)
{
    size_t n = SBXI_MIN(cap, s->script_len - s->script_pos);
    if (n == 0) return s->end;
    memcpy(buf, s->script + s->script_pos, n);
    s->script_pos += n;
    if (s->script_repeats && s->script_pos == s->script_len) s->script_pos = 0;
    *got = n;
    return SBX_OK;
}

static int shim_recv(void *ctx, void *conn, void *buf, size_t cap, size_t *got)
{
    shim *s = (shim *)ctx;
    int rc;
    *got = 0;
    if (shim_lazy(s, SBX_WANT_READ)) return SBX_E_AGAIN;
    cap = shim_cut(s, cap, s->recv_left);
    if (cap == 0) return s->end;
    rc = s->script ? shim_script(s, buf, cap, got)
                   : s->real.recv(s->real.ctx, conn, buf, cap, got);
    if (s->find && rc == SBX_OK) {
        char *at = (char *)memmem(buf, *got, s->find, strlen(s->find));
        s->found = s->found || at;
        if (at) at[strlen(s->find) - 1] ^= 3;
    }
    if (s->flip >= 0 && s->flip < (int64_t)*got) ((char *)buf)[s->flip] ^= 1;
    if (s->flip >= 0) s->flip -= SBXI_MIN((int64_t)*got, s->flip + 1);
    s->received += *got;
    if (s->recv_left >= 0) s->recv_left -= (int64_t)*got;
    return rc;
}

static int shim_open(void *ctx, void **conn, const char *host, uint16_t port, bool tls)
{
    const sbx_net *real = &((shim *)ctx)->real;
    (void)host;
    return real->open(real->ctx, conn, "127.0.0.1", port, tls);
}

static void shim_close(void *ctx, void *conn)
{
    const sbx_net *real = &((shim *)ctx)->real;
    real->close(real->ctx, conn);
}

static int64_t shim_unix(void *ctx)
{
    return ((shim *)ctx)->unix_ms;
}

static int shim_entropy(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    return sbxi_posix_entropy(NULL, buf, len);
}

/* ---- a visit: connect, handshake, say, listen, leave ---- */

typedef struct visit {
    shim s;
    sbx_net net;            /* over s */
    sbx_tls tls;
    const char *env_ca;
    const char *host;
    uint16_t port;
    sbxi_tls_trust *trust;  /* of several visits; NULL: made for this one */
    const char *say;        /* NULL: only the handshake */
    size_t say_len;         /* 0: to its NUL */
    size_t expect;          /* bytes to wait for, 0: to the end */
    size_t cut_after;       /* the connection ends when so many were heard */
    int64_t damage;         /* which byte after the handshake, -1: none */
    /* results */
    bool met;               /* the handshake was done */
    bool shaken;            /* so was what came before sbxi_tls_end() */
    char heard[2048];
    uint64_t heard_len;
    uint64_t at_handshake;  /* bytes received until it was done */
    uint64_t end_sent;      /* bytes sent by sbxi_tls_end() */
    bool resumed;
    bool judged;            /* the peer's certificate was looked at */
    unsigned alpn_ok;
    sbx_error e;
} visit;

static void visit_init(visit *v, const char *host, uint16_t port)
{
    memset(v, 0, sizeof *v);
    sbxi_net_posix_init(&v->s.real, &home);
    v->s.recv_left = v->s.send_left = v->s.flip = v->damage = -1;
    v->net = v->s.real;
    v->net.open = shim_open;
    v->net.close = shim_close;
    v->net.send = shim_send;
    v->net.recv = shim_recv;
    v->net.unix_ms = shim_unix;
    v->net.entropy = shim_entropy;
    v->net.ctx = &v->s;
    v->s.unix_ms = v->s.real.unix_ms(NULL);
    v->tls.ca_file = cert_path("ca");
    v->host = host;
    v->port = port;
    sbxi_error_clear(&v->e);
}

/* After AGAIN: waits unless the shim made it up. false: nothing came for long. */
static bool visit_wait(visit *v, void *raw, int want)
{
    sbx_wait w;
    uint64_t start = v->s.real.now_ms(NULL);
    if (!CHECK(want == SBX_WANT_READ || want == SBX_WANT_WRITE)) return false;
    if (!CHECK_INT(want, v->s.asked)) return false;
    if (v->s.said_again) return true;
    w.conn = raw;
    w.want = want;
    if (v->s.script || v->s.real.wait(v->s.real.ctx, &w, 1, 5000) != SBX_OK) return false;
    return CHECK(v->s.real.now_ms(NULL) - start < 5000);
}

static int visit_talk(visit *v, sbxi_tls_conn *c, void *raw)
{
    const char *p = v->say;
    size_t left = v->say_len ? v->say_len : strlen(p), n;
    char buf[2048];
    int want, rc = SBX_OK;
    while (left > 0 && rc == SBX_OK) {
        rc = sbxi_tls_send(c, p, left, &n, &want);
        if (rc == SBX_E_AGAIN) {
            CHECK_INT(n, 0);
            rc = visit_wait(v, raw, want) ? SBX_OK : SBX_E_TIMEOUT;
        } else if (rc == SBX_OK) {
            CHECK(n > 0 && n <= left);
            p += n;
            left -= n;
        }
    }
    while (rc == SBX_OK && (v->expect == 0 || v->heard_len < v->expect)) {
        rc = sbxi_tls_recv(c, buf, sizeof buf, &n, &want);
        if (rc == SBX_E_AGAIN) {
            CHECK_INT(n, 0);
            rc = visit_wait(v, raw, want) ? SBX_OK : SBX_E_TIMEOUT;
            continue;
        }
        if (rc != SBX_OK || n == 0) break;
        if (v->heard_len + n <= sizeof v->heard) memcpy(v->heard + v->heard_len, buf, n);
        v->heard_len += n;
        if (v->cut_after && v->heard_len >= v->cut_after) v->s.recv_left = 0;
    }
    if (rc == SBX_OK && v->expect == 0) { /* the end stays the end */
        CHECK_INT(sbxi_tls_recv(c, buf, sizeof buf, &n, &want), SBX_OK);
        CHECK_INT(n, 0);
    }
    return rc;
}

static int visit_tls(visit *v, sbxi_tls_trust *t, void *raw)
{
    sbxi_tls_conn *c;
    uint64_t before;
    int want, rc = sbxi_tls_start(&c, t, raw, v->host, v->port, &v->e);
    if (rc != SBX_OK) {
        CHECK(c == NULL);
        return rc;
    }
    while ((rc = sbxi_tls_handshake(c, &want, &v->e)) == SBX_E_AGAIN)
        if (!visit_wait(v, raw, want)) break;
    v->met = rc == SBX_OK;
    v->at_handshake = v->s.received;
    v->judged = c->judged;
    v->s.flip = v->damage;
    if (v->met) {
        const char *alpn = mbedtls_ssl_get_alpn_protocol(&c->ssl);
        v->alpn_ok = alpn && strcmp(alpn, "http/1.1") == 0;
        v->resumed = c->offered && !c->judged;
        if (v->say) rc = visit_talk(v, c, raw);
        if (rc == SBX_E_TLS || rc == SBX_E_NETWORK) rc = sbxi_tls_why(c, rc, &v->e);
    }
    before = v->s.sent;
    sbxi_tls_end(c);
    v->end_sent = v->s.sent - before;
    return rc;
}

/* The status of what failed first. Messages are there if and only if it failed. */
static int visit_go(visit *v)
{
    sbxi_tls_trust *t = v->trust;
    void *raw = NULL;
    sbx_wait w;
    int rc = SBX_OK;
    if (!t) rc = sbxi_tls_trust_open(&t, &heap, &v->net, &v->tls, v->env_ca, &v->e);
    if (rc != SBX_OK) CHECK(t == NULL);
    if (rc != SBX_OK) return rc;
    while (!v->s.script && (rc = v->s.real.open(v->s.real.ctx, &raw, "127.0.0.1", v->port, true))
           == SBX_E_AGAIN) {
        w.conn = raw;
        w.want = SBX_WANT_WRITE;
        v->s.real.wait(v->s.real.ctx, &w, 1, 5000);
    }
    if (CHECK_INT(rc, SBX_OK)) rc = visit_tls(v, t, raw);
    if (raw) v->s.real.close(v->s.real.ctx, raw);
    if (!v->trust) sbxi_tls_trust_close(t);
    if (!v->met) CHECK_INT(v->e.status, rc == SBX_E_AGAIN ? SBX_OK : rc);
    return rc;
}

static void check_refused(visit *v, sbx_tls_check check)
{
    CHECK_INT(visit_go(v), SBX_E_TLS);
    CHECK_INT(v->e.tls, check);
    CHECK(v->e.message[0] != 0);
    CHECK(!v->met);
}

/* ---- certificates ---- */

TEST(accepted)
{
    static const struct { const char *cert, *host, *ca; } rows[] = {
        { "localhost", "localhost", "ca" }, { "localhost", "LocalHost", "ca" },
        { "localhost", "localhost.", "ca" }, { "rsa", "localhost", "ca" },
        { "chain", "localhost", "ca" }, { "ip", "127.0.0.1", "ca" }, { "ip", "::1", "ca" },
        { "ip", "0:0:0:0:0:0:0:1", "ca" }, { "ip", "::0.0.0.1", "ca" },
        { "ip", "::1%lo", "ca" }, { "wildcard", "a.example.test", "ca" },
        { "selfsigned", "localhost", "selfsigned" }, { "chain", "localhost", "sub" },
        { "noip", "localhost", "ca" }
    };
    size_t i;
    NEED_PEER();
    for (i = 0; i < SBXI_LEN(rows); i++) {
        visit v;
        test_row = rows[i].host;
        visit_init(&v, rows[i].host, echo_peer(rows[i].cert, ""));
        v.tls.ca_file = cert_path(rows[i].ca);
        v.say = "hello\n";
        v.expect = 6;
        CHECK_INT(visit_go(&v), SBX_OK);
        CHECK_MEM(v.heard, v.heard_len, "olleh\n", 6);
        CHECK_STR(v.e.message, "");
        CHECK(v.end_sent > 0); /* close_notify */
    }
}

TEST(refused)
{
    static const struct { const char *cert, *host, *ca; sbx_tls_check check; } rows[] = {
        { "localhost", "localhost", "otherca", SBX_TLS_UNTRUSTED },
        { "selfsigned", "localhost", "ca", SBX_TLS_UNTRUSTED },
        { "expired", "localhost", "otherca", SBX_TLS_UNTRUSTED },
        { "wronghost", "localhost", "otherca", SBX_TLS_UNTRUSTED },
        { "expired", "localhost", "ca", SBX_TLS_EXPIRED },
        { "chainexpired", "localhost", "ca", SBX_TLS_EXPIRED },
        { "future", "localhost", "ca", SBX_TLS_NOT_YET_VALID },
        { "wronghost", "localhost", "ca", SBX_TLS_WRONG_HOST },
        { "ip", "localhost", "ca", SBX_TLS_WRONG_HOST },
        { "localhost", "localhost.example", "ca", SBX_TLS_WRONG_HOST },
        { "localhost", "xlocalhost", "ca", SBX_TLS_WRONG_HOST },
        { "localhost", "", "ca", SBX_TLS_WRONG_HOST },
        { "wildcard", "example.test", "ca", SBX_TLS_WRONG_HOST },
        { "wildcard", "a.b.example.test", "ca", SBX_TLS_WRONG_HOST },
        { "localhost", "127.0.0.1", "ca", SBX_TLS_WRONG_IP },
        { "noip", "127.0.0.1", "ca", SBX_TLS_WRONG_IP },
        { "noip", "::1", "ca", SBX_TLS_WRONG_IP },
        { "ip", "127.0.0.2", "ca", SBX_TLS_WRONG_IP },
        { "ip", "::2", "ca", SBX_TLS_WRONG_IP },
        { "ip", "::ffff:127.0.0.1", "ca", SBX_TLS_WRONG_IP },
        { "weak", "localhost", "ca", SBX_TLS_BAD_CERT },
        { "clientonly", "localhost", "ca", SBX_TLS_BAD_CERT },
        { "anyuse", "localhost", "ca", SBX_TLS_BAD_CERT },
        { "cnonly", "localhost", "ca", SBX_TLS_WRONG_HOST },
        { "topwild", "example.test", "ca", SBX_TLS_WRONG_HOST }
    };
    size_t i;
    NEED_PEER();
    for (i = 0; i < SBXI_LEN(rows); i++) {
        char row[64];
        visit v;
        snprintf(row, sizeof row, "%s as %s by %s", rows[i].cert, rows[i].host, rows[i].ca);
        test_row = row;
        visit_init(&v, rows[i].host, echo_peer(rows[i].cert, ""));
        v.tls.ca_file = cert_path(rows[i].ca);
        check_refused(&v, rows[i].check);
        CHECK(strstr(v.e.message, rows[i].host) != NULL);
    }
    test_row = NULL;
}

/* The validity period against a clock that is ours alone, to the millisecond. */
TEST(validity_by_our_clock)
{
    static const struct { const char *cert; int64_t at; sbx_tls_check check; } rows[] = {
        { "localhost", 1704067200000, SBX_TLS_NONE }, /* 2024-01-01 00:00:00 */
        { "localhost", 1704067199999, SBX_TLS_NOT_YET_VALID },
        { "localhost", 4102444799999, SBX_TLS_NONE }, /* 2099-12-31 23:59:59 */
        { "localhost", 4102444800000, SBX_TLS_EXPIRED },
        { "localhost", 1, SBX_TLS_NOT_YET_VALID }, /* a clock that was never set */
        { "localhost", INT64_MAX, SBX_TLS_EXPIRED },
        { "expired", 1592000000000, SBX_TLS_NONE }, /* 2020-06-12 */
        { "future", 4050000000000, SBX_TLS_NONE }, /* 2098-05-03 */
        { "chainexpired", 1592000000000, SBX_TLS_NOT_YET_VALID } /* the leaf */
    };
    size_t i;
    NEED_PEER();
    for (i = 0; i < SBXI_LEN(rows); i++) {
        char row[64];
        visit v;
        snprintf(row, sizeof row, "%s at %lld", rows[i].cert, (long long)rows[i].at);
        test_row = row;
        visit_init(&v, "localhost", echo_peer(rows[i].cert, ""));
        v.s.unix_ms = rows[i].at;
        if (rows[i].check) check_refused(&v, rows[i].check);
        else CHECK_INT(visit_go(&v), SBX_OK);
    }
    test_row = NULL;
}

TEST(without_a_clock)
{
    int how;
    NEED_PEER();
    for (how = 0; how < 2; how++) {
        visit v;
        visit_init(&v, "localhost", echo_peer("localhost", ""));
        if (how == 0) v.net.unix_ms = NULL;
        else v.s.unix_ms = 0; /* there, but it does not know */
        check_refused(&v, SBX_TLS_NO_CLOCK);
        CHECK_INT(v.s.sent, 0);
        v.tls.no_clock = SBX_NO;
        sbxi_error_clear(&v.e);
        check_refused(&v, SBX_TLS_NO_CLOCK);
        v.tls.no_clock = SBX_YES;
        v.port = echo_peer("expired", "");
        sbxi_error_clear(&v.e);
        CHECK_INT(visit_go(&v), SBX_OK);
        v.host = "127.0.0.1"; /* only the period is skipped */
        sbxi_error_clear(&v.e);
        check_refused(&v, SBX_TLS_WRONG_IP);
    }
}

/* The peer has two certificates and shows one of them by the name it is asked for. */
TEST(server_name_for_names_only)
{
    visit v;
    NEED_PEER();
    visit_init(&v, "localhost", echo_peer("wronghost",
        "-servername localhost -cert2 localhost.pem -key2 localhost.key"));
    CHECK_INT(visit_go(&v), SBX_OK);
    visit_init(&v, "127.0.0.1", echo_peer("ip",
        "-servername 127.0.0.1 -cert2 wronghost.pem -key2 wronghost.key"));
    CHECK_INT(visit_go(&v), SBX_OK);
}

TEST(alpn)
{
    visit v;
    NEED_PEER();
    visit_init(&v, "localhost", echo_peer("localhost", "-alpn http/1.1"));
    CHECK_INT(visit_go(&v), SBX_OK);
    CHECK(v.alpn_ok);
    visit_init(&v, "localhost", echo_peer("localhost", "-alpn h2")); /* nothing in common */
    check_refused(&v, SBX_TLS_HANDSHAKE);
    visit_init(&v, "localhost", echo_peer("localhost", "")); /* does not know of it */
    CHECK_INT(visit_go(&v), SBX_OK);
    CHECK(!v.alpn_ok);
    visit_init(&v, "localhost", echo_peer("localhost", "-tls1_2 -alpn http/1.1"));
    v.s.find = "http/1.1"; /* a peer that chooses what was not offered */
    check_refused(&v, SBX_TLS_HANDSHAKE);
    CHECK(v.s.found);
}

TEST(versions_and_ciphers)
{
    visit v;
    NEED_PEER();
    visit_init(&v, "localhost", echo_peer("localhost", "-tls1_1"));
    check_refused(&v, SBX_TLS_HANDSHAKE);
    visit_init(&v, "localhost", echo_peer("localhost", "-tls1_2"));
    CHECK_INT(visit_go(&v), SBX_OK);
    visit_init(&v, "localhost", echo_peer("localhost", "-tls1_2 -cipher AECDH-AES128-SHA"));
    check_refused(&v, SBX_TLS_HANDSHAKE);
    visit_init(&v, "localhost", echo_peer("localhost", "-tls1_3"));
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
    CHECK_INT(visit_go(&v), SBX_OK);
#else
    check_refused(&v, SBX_TLS_HANDSHAKE);
#endif
}

/* ---- whom to trust ---- */

TEST(ca_sources)
{
    static char both[16384];
    visit v;
    NEED_PEER();
    visit_init(&v, "localhost", echo_peer("localhost", ""));
    v.tls.ca_pem = read_text(cert_path("ca"));
    v.tls.ca_file = "/nonexistent"; /* not looked at */
    CHECK_INT(visit_go(&v), SBX_OK);

    snprintf(both, sizeof both, "a comment\n%s", read_text(cert_path("otherca")));
    strcat(both, read_text(cert_path("ca")));
    v.tls.ca_pem = both;
    CHECK_INT(visit_go(&v), SBX_OK);

    v.tls.ca_pem = v.tls.ca_file = NULL;
    v.env_ca = cert_path("ca");
    CHECK_INT(visit_go(&v), SBX_OK);

    v.tls.ca_file = cert_path("otherca"); /* before the environment */
    check_refused(&v, SBX_TLS_UNTRUSTED);
}

/* A directory: all certificates of its files, whatever else is in there. */
TEST(ca_directory)
{
    char command[256], dir[64], empty[64];
    visit v;
    NEED_PEER();
    snprintf(dir, sizeof dir, "%s/dir", certs);
    snprintf(empty, sizeof empty, "%s/empty", certs);
    snprintf(command, sizeof command, "mkdir -p %s/dir/sub %s/empty && cd %s && cp otherca.pem dir/a.pem "
             "&& ln -sf ../ca.pem dir/b.0 && echo no >dir/c.txt && cp ca.pem dir/sub",
             certs, certs, certs);
    REQUIRE(system(command) == 0);
    visit_init(&v, "localhost", echo_peer("localhost", ""));
    v.tls.ca_file = NULL;
    v.env_ca = dir;
    CHECK_INT(visit_go(&v), SBX_OK);
    v.env_ca = empty;
    v.met = false;
    check_refused(&v, SBX_TLS_BAD_CONFIG);
    CHECK(strstr(v.e.message, "SSL_CERT_DIR") != NULL && strstr(v.e.message, empty) != NULL);
}

TEST(ca_that_cannot_be_read)
{
    static const char *const texts[] = { "", "no PEM here",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" };
    static const char *const files[] = { "/nonexistent/ca.pem", "/dev/null", "" };
    size_t i;
    visit v;
    for (i = 0; i < SBXI_LEN(texts); i++) {
        test_row = texts[i];
        visit_init(&v, "localhost", 1);
        v.tls.ca_pem = texts[i];
        check_refused(&v, SBX_TLS_BAD_CONFIG);
        CHECK(strstr(v.e.message, "ca_pem") != NULL);
    }
    for (i = 0; i < SBXI_LEN(files); i++) {
        test_row = files[i];
        visit_init(&v, "localhost", 1);
        v.tls.ca_file = files[i];
        check_refused(&v, SBX_TLS_BAD_CONFIG);
        CHECK(strstr(v.e.message, "ca_file") != NULL && strstr(v.e.message, files[i]) != NULL);
        if (!files[i][0]) continue; /* an empty variable is as none */
        visit_init(&v, "localhost", 1);
        v.tls.ca_file = NULL;
        v.env_ca = files[i];
        check_refused(&v, SBX_TLS_BAD_CONFIG);
        CHECK(strstr(v.e.message, "SSL_CERT_FILE") != NULL);
    }
    test_row = NULL;
}

TEST(ca_of_the_system)
{
    static const char *const none[] = { "/nonexistent/a.pem", "/dev/null", "/nonexistent/b" };
    const char *some[3];
    sbxi_tls_trust t;
    sbx_error e;
    memset(&t, 0, sizeof t);
    mbedtls_x509_crt_init(&t.ca);
    sbxi_error_clear(&e);
    CHECK_INT(sbxi_tls_load_first(&t, none, 3, &e), SBX_E_NO_CA);
    CHECK_INT(e.status, SBX_E_NO_CA);
    CHECK(strstr(e.message, "tried /nonexistent/a.pem /dev/null /nonexistent/b") != NULL);
    CHECK(strstr(e.message, "ca_file") != NULL);
    NEED_PEER();
    some[0] = none[0];
    some[1] = cert_path("ca");
    some[2] = none[2];
    CHECK_INT(sbxi_tls_load_first(&t, some, 3, &e), SBX_OK);
    CHECK(t.ca.raw.p != NULL && t.ca.next == NULL);
    mbedtls_x509_crt_free(&t.ca);
}

/* Whatever this system has: its store, or the error that says that it has none. */
TEST(ca_default)
{
    visit v;
    int rc;
    NEED_PEER();
    visit_init(&v, "localhost", echo_peer("localhost", ""));
    v.tls.ca_file = NULL;
    rc = visit_go(&v);
    if (rc == SBX_E_TLS) CHECK_INT(v.e.tls, SBX_TLS_UNTRUSTED);
    else CHECK_INT(rc, SBX_E_NO_CA);
}

#ifdef SBXI_TLS_DRBG
static int broken_entropy(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    memset(buf, 0, len);
    return SBX_E_ENTROPY;
}

TEST(without_entropy)
{
    visit v;
    visit_init(&v, "localhost", 1);
    v.net.entropy = NULL;
    CHECK_INT(visit_go(&v), SBX_E_ENTROPY);
    CHECK(v.e.message[0] != 0);
    visit_init(&v, "localhost", 1);
    v.net.entropy = broken_entropy;
    CHECK_INT(visit_go(&v), SBX_E_ENTROPY);
}
#endif

/* The n-th block of ours cannot be had. */
typedef struct counted { int left; size_t in_use; } counted;

static void *counted_resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    counted *c = (counted *)ctx;
    if (new_size && c->left-- <= 0) return NULL;
    c->in_use += new_size;
    c->in_use -= old_size;
    return sbxi_std_resize(NULL, ptr, old_size, new_size);
}

TEST(without_memory)
{
    counted count = { 0, 0 };
    sbx_alloc alloc = { counted_resize, NULL };
    sbxi_tls_trust *t;
    sbxi_tls_conn *c;
    visit v;
    NEED_PEER();
    alloc.ctx = &count;
    visit_init(&v, "localhost", 1);
    CHECK_INT(sbxi_tls_trust_open(&t, &alloc, &v.net, &v.tls, NULL, &v.e), SBX_E_NOMEM);
    CHECK(t == NULL);
    count.left = 1;
    sbxi_error_clear(&v.e);
    CHECK_INT(sbxi_tls_trust_open(&t, &alloc, &v.net, &v.tls, NULL, &v.e), SBX_OK);
    REQUIRE(t != NULL);
    CHECK_INT(sbxi_tls_start(&c, t, NULL, "localhost", 1, &v.e), SBX_E_NOMEM);
    CHECK(c == NULL);
    sbxi_tls_trust_close(t);
    CHECK_INT(count.in_use, 0);
}

TEST(host_name_too_long)
{
    char host[600];
    visit v;
    NEED_PEER();
    memset(host, 'a', sizeof host - 1);
    host[sizeof host - 1] = 0;
    visit_init(&v, host, echo_peer("localhost", ""));
    check_refused(&v, SBX_TLS_BAD_CONFIG);
}

/* ---- who the client is, and what else it asks for ---- */

#ifdef MBEDTLS_SSL_PROTO_TLS1_3
static const char *const versions[] = { "-tls1_2", "-tls1_3" };
#else
static const char *const versions[] = { "-tls1_2" };
#endif

static const char *file_in(char out[96], const char *name)
{
    snprintf(out, 96, "%s/%s", certs, name);
    return out;
}

static uint16_t asking_peer(const char *version)
{
    char more[128];
    snprintf(more, sizeof more, "-Verify 2 -verify_return_error -CAfile ca.pem %s", version);
    return echo_peer("localhost", more);
}

TEST(client_certificate)
{
    static char cert[8192], key[8192];
    char cert_file[96], key_file[96], locked[96];
    size_t i;
    NEED_PEER();
    strcpy(cert, read_text(file_in(cert_file, "client.pem")));
    strcpy(key, read_text(file_in(key_file, "client.key")));
    file_in(locked, "client-enc.key");
    for (i = 0; i < 3 * SBXI_LEN(versions); i++) {
        visit v;
        test_row = versions[i / 3];
        visit_init(&v, "localhost", asking_peer(versions[i / 3]));
        if (i % 3 == 0) v.tls.cert_pem = cert, v.tls.key_pem = key;
        else v.tls.cert_file = cert_file, v.tls.key_file = i % 3 == 1 ? key_file : locked;
        if (i % 3 == 2) v.tls.key_password = "secret";
        v.say = "hello\n";
        v.expect = 6;
        CHECK_INT(visit_go(&v), SBX_OK);
        CHECK_MEM(v.heard, v.heard_len, "olleh\n", 6);
    }
    test_row = NULL;
}

/* Refused by the peer: none is given, or one it does not trust. */
TEST(client_certificate_refused)
{
    char cert[96], key[96];
    size_t i;
    NEED_PEER();
    file_in(cert, "selfsigned.pem");
    file_in(key, "selfsigned.key");
    for (i = 0; i < 2 * SBXI_LEN(versions); i++) {
        visit v;
        test_row = versions[i / 2];
        visit_init(&v, "localhost", asking_peer(versions[i / 2]));
        if (i % 2) v.tls.cert_file = cert, v.tls.key_file = key;
        v.say = "hello\n";
        v.expect = 6;
        CHECK_INT(visit_go(&v), SBX_E_TLS);
        CHECK_INT(v.e.status, SBX_E_TLS);
        CHECK_INT(v.e.tls, SBX_TLS_HANDSHAKE);
        CHECK(strstr(v.e.message, i % 2 ? "refused this client's certificate"
                                        : "asks for a client certificate") != NULL);
    }
    test_row = NULL;
}

TEST(client_certificate_that_cannot_be_used)
{
    static const struct { const char *cert, *key, *word; } rows[] = {
        { "client.pem", NULL, NULL }, { NULL, "client.key", NULL },
        { "client.pem", "localhost.key", NULL }, { "client.pem", "client-enc.key", NULL },
        { "client.pem", "client-enc.key", "wrong" }, { "client.key", "client.key", NULL },
        { "client.pem", "client.pem", NULL }, { "nonexistent", "client.key", NULL },
        { "client.pem", "nonexistent", NULL }
    };
    char cert[96], key[96], text[2][8192];
    size_t i;
    NEED_PEER();
    for (i = 0; i < 2 * SBXI_LEN(rows); i++) {
        visit v;
        visit_init(&v, "localhost", 1);
        if (rows[i / 2].cert) v.tls.cert_file = file_in(cert, rows[i / 2].cert);
        if (rows[i / 2].key) v.tls.key_file = file_in(key, rows[i / 2].key);
        v.tls.key_password = rows[i / 2].word;
        if (i % 2) { /* the same from memory */
            snprintf(text[0], 8192, "%s", v.tls.cert_file ? read_text(cert) : "");
            snprintf(text[1], 8192, "%s", v.tls.key_file ? read_text(key) : "");
            if (v.tls.cert_file) v.tls.cert_pem = text[0];
            if (v.tls.key_file) v.tls.key_pem = text[1];
            v.tls.cert_file = v.tls.key_file = NULL;
        }
        check_refused(&v, SBX_TLS_BAD_CONFIG);
    }
}

/* What other tools make of the key of a certificate. */
static const char *pin_of(const char *name)
{
    static char pin[64];
    char command[320];
    FILE *f;
    snprintf(command, sizeof command, "openssl x509 -in %s -noout -pubkey | openssl pkey -pubin "
             "-outform DER | openssl dgst -sha256 -binary | openssl base64", cert_path(name));
    f = popen(command, "r");
    if (!f || !fgets(pin, sizeof pin, f)) pin[0] = 0;
    if (f) pclose(f);
    pin[strcspn(pin, "\n")] = 0;
    return pin;
}

TEST(pins)
{
    char good[64], other[64], list[256];
    visit v;
    NEED_PEER();
    strcpy(good, pin_of("localhost"));
    strcpy(other, pin_of("wronghost"));
    CHECK_INT(strlen(good), 44);
    visit_init(&v, "localhost", echo_peer("localhost", ""));
    v.tls.pins = good;
    CHECK_INT(visit_go(&v), SBX_OK);
    snprintf(list, sizeof list, "sha256//%s;sha256//%s", other, good);
    v.tls.pins = list;
    CHECK_INT(visit_go(&v), SBX_OK);
    v.tls.pins = other;
    check_refused(&v, SBX_TLS_PIN);
    strcpy(list, pin_of("ca")); /* the authority's does not count */
    v.tls.pins = list;
    check_refused(&v, SBX_TLS_PIN);
    v.tls.pins = good;
    v.tls.ca_file = cert_path("otherca"); /* in addition */
    check_refused(&v, SBX_TLS_UNTRUSTED);
}

TEST(pins_alone)
{
    static const struct { const char *cert, *host; sbx_tls_check check; } rows[] = {
        { "selfsigned", "localhost", SBX_TLS_NONE }, { "localhost", "localhost", SBX_TLS_NONE },
        { "chainexpired", "localhost", SBX_TLS_NONE }, { "ip", "127.0.0.1", SBX_TLS_NONE },
        { "wronghost", "localhost", SBX_TLS_WRONG_HOST }, { "ip", "::2", SBX_TLS_WRONG_IP },
        { "expired", "localhost", SBX_TLS_EXPIRED }, { "weak", "localhost", SBX_TLS_BAD_CERT }
    };
    char pin[64], other[64];
    size_t i;
    visit v;
    NEED_PEER();
    strcpy(other, pin_of("rsa"));
    for (i = 0; i < SBXI_LEN(rows); i++) {
        test_row = rows[i].cert;
        strcpy(pin, pin_of(rows[i].cert));
        visit_init(&v, rows[i].host, echo_peer(rows[i].cert, ""));
        v.tls.ca_file = NULL;
        v.tls.pins = pin;
        v.tls.pin_only = SBX_YES;
        if (rows[i].check) check_refused(&v, rows[i].check);
        else CHECK_INT(visit_go(&v), SBX_OK);
        v.tls.pins = other;
        CHECK_INT(visit_go(&v), SBX_E_TLS);
        if (rows[i].check == SBX_TLS_NONE) CHECK_INT(v.e.tls, SBX_TLS_PIN);
    }
    test_row = NULL;
    strcpy(pin, pin_of("expired"));
    visit_init(&v, "localhost", echo_peer("expired", "")); /* and without a clock */
    v.tls.pins = pin;
    v.tls.pin_only = SBX_YES;
    v.net.unix_ms = NULL;
    CHECK_INT(visit_go(&v), SBX_OK);
}

TEST(pins_that_are_none)
{
    static const char *const texts[] = { "", ";", "sha256//", "AAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* 43 letters */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
        "AAAAAAAAAAAAAAAAAAAAA AAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=;x",
        "md5//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,AAAA" };
    size_t i;
    visit v;
    for (i = 0; i < SBXI_LEN(texts); i++) {
        test_row = texts[i];
        visit_init(&v, "localhost", 1);
        v.tls.pins = texts[i];
        check_refused(&v, SBX_TLS_BAD_CONFIG);
        CHECK(strstr(v.e.message, "pins") != NULL);
    }
    test_row = NULL;
    visit_init(&v, "localhost", 1);
    v.tls.pin_only = SBX_YES;
    check_refused(&v, SBX_TLS_BAD_CONFIG);
    v.tls.pins = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    v.tls.crl_pem = "x";
    check_refused(&v, SBX_TLS_BAD_CONFIG);
}

TEST(revocation)
{
    static const struct { const char *cert, *crl; int64_t at; sbx_tls_check check; } rows[] = {
        { "localhost", "crl.pem", 0, SBX_TLS_NONE },
        { "revoked", "crl.pem", 0, SBX_TLS_REVOKED },
        { "revoked", "othercrl.pem", 0, SBX_TLS_NONE },
        { "localhost", "oldcrl.pem", 0, SBX_TLS_REVOKED },
        { "expired", "oldcrl.pem", 1592000000000, SBX_TLS_NONE },  /* by our clock */
        { "expired", "crl.pem", 1592000000000, SBX_TLS_REVOKED }, /* of the future */
        { "localhost", "nonexistent", 0, SBX_TLS_BAD_CONFIG },
        { "localhost", "ca.pem", 0, SBX_TLS_BAD_CONFIG }
    };
    static char text[16384];
    char path[96];
    size_t i;
    NEED_PEER();
    for (i = 0; i < 2 * SBXI_LEN(rows); i++) {
        visit v;
        test_row = rows[i / 2].crl;
        visit_init(&v, "localhost", echo_peer(rows[i / 2].cert, ""));
        if (rows[i / 2].at) v.s.unix_ms = rows[i / 2].at;
        v.tls.crl_file = file_in(path, rows[i / 2].crl);
        if (i % 2) {
            strcpy(text, read_text(path));
            v.tls.crl_pem = text;
            v.tls.crl_file = "/nonexistent";
        }
        if (rows[i / 2].check) check_refused(&v, rows[i / 2].check);
        else CHECK_INT(visit_go(&v), SBX_OK);
    }
    test_row = NULL;
}

TEST(max_fragment)
{
    static const int32_t good[] = { 512, 1024, 2048, 4096 };
    static const int32_t bad[] = { 1, 511, 1000, 8192, 16384, -1, INT32_MAX };
    static char line[6001];
    size_t i;
    visit v;
    NEED_PEER();
    memset(line, 'x', 5999);
    line[5999] = '\n';
    /* Before 3.6.3 a certificate has to fit into one record. */
    for (i = MBEDTLS_VERSION_NUMBER < 0x03060300; i < SBXI_LEN(good); i++) {
        visit_init(&v, "localhost", echo_peer("localhost", ""));
        v.tls.max_fragment = good[i];
        v.say = line;
        v.expect = 6000;
        CHECK_INT(visit_go(&v), SBX_OK);
        CHECK_INT(v.heard_len, 6000);
        /* a head and a tag for each record */
        CHECK(v.s.received - v.at_handshake > 6000u + 6000u / (unsigned)good[i] * 20u);
    }
    for (i = 0; i < SBXI_LEN(bad); i++) {
        visit_init(&v, "localhost", 1);
        v.tls.max_fragment = bad[i];
        check_refused(&v, SBX_TLS_BAD_CONFIG);
    }
}

static int weaken(void *ctx, void *config)
{
    mbedtls_ssl_config *conf = (mbedtls_ssl_config *)config;
    mbedtls_ssl_conf_authmode(conf, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_verify(conf, NULL, NULL);
    mbedtls_ssl_conf_ca_chain(conf, NULL, NULL);
    ++*(int *)ctx;
    return 0;
}

static int refuse(void *ctx, void *config)
{
    (void)config;
    ++*(int *)ctx;
    return -1;
}

static int one_cipher(void *ctx, void *config)
{
    static const int suites[] = { MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 0 };
    ++*(int *)ctx;
    mbedtls_ssl_conf_ciphersuites((mbedtls_ssl_config *)config, suites);
    return 0;
}

TEST(configure_hook)
{
    int calls = 0;
    visit v;
    NEED_PEER();
    visit_init(&v, "localhost", echo_peer("selfsigned", ""));
    v.tls.configure = weaken;
    v.tls.ctx = &calls;
    check_refused(&v, SBX_TLS_UNTRUSTED);
    CHECK_INT(calls, 1);
    v.port = echo_peer("localhost", "");
    CHECK_INT(visit_go(&v), SBX_OK);
    v.met = false;
    v.tls.configure = one_cipher; /* of RSA, the peer has another key */
    check_refused(&v, SBX_TLS_HANDSHAKE);
    v.tls.configure = refuse;
    check_refused(&v, SBX_TLS_BAD_CONFIG);
    CHECK_INT(calls, 4);
}

/* ---- resumption ---- */

typedef struct store {
    unsigned char data[8192];
    size_t len;
    char host[64];
    uint16_t port;
    int saves, loads;
} store;

static int store_save(void *ctx, const char *host, uint16_t port, const void *data, size_t len)
{
    store *s = (store *)ctx;
    s->saves++;
    if (!CHECK(len <= sizeof s->data)) return SBX_E_TOO_LARGE;
    memcpy(s->data, data, len);
    s->len = len;
    s->port = port;
    snprintf(s->host, sizeof s->host, "%s", host);
    return SBX_OK;
}

static int store_load(void *ctx, const char *host, uint16_t port, void *data, size_t cap,
                      size_t *len)
{
    store *s = (store *)ctx;
    (void)host;
    (void)port;
    s->loads++;
    if (s->len == 0 || s->len > cap) return SBX_E_NOT_FOUND;
    memcpy(data, s->data, s->len);
    *len = s->len;
    return SBX_OK;
}

/* Opens the trust that all visits with v share; close_trust() ends it. */
static bool open_trust(visit *v)
{
    v->say = "hello\n"; /* a ticket of TLS 1.3 comes with the answer */
    v->expect = 6;
    return CHECK_INT(sbxi_tls_trust_open(&v->trust, &heap, &v->net, &v->tls, NULL, &v->e), SBX_OK);
}

static void close_trust(visit *v)
{
    sbxi_tls_trust_close(v->trust);
    v->trust = NULL;
}

/* Once more: 1 the session was resumed, 0 not, else what failed. */
static int once_more(visit *v)
{
    int rc;
    v->heard_len = 0;
    v->met = v->resumed = false;
    sbxi_error_clear(&v->e);
    rc = visit_go(v);
    if (rc == SBX_OK) CHECK_MEM(v->heard, v->heard_len, "olleh\n", 6);
    return rc == SBX_OK ? v->resumed : rc;
}

static int saved_count(const sbxi_tls_trust *t)
{
    const sbxi_tls_saved *s;
    int n = 0;
    for (s = t->saved; s; s = s->next) n++;
    return n;
}

TEST(sessions_are_resumed)
{
    static const char *const how[] = { "-tls1_2", "-tls1_2 -no_ticket", "-tls1_3",
        "-tls1_3 -num_tickets 1" };
    size_t i, n = SBXI_LEN(versions) * 2;
    NEED_PEER();
    for (i = 0; i < 2 * n; i++) { /* also byte by byte */
        visit v;
        test_row = how[i % n];
        visit_init(&v, "localhost", echo_peer("chain", how[i % n]));
        /* openssl forgets the id of a session that ends without close_notify. */
        v.s.lazy = i >= n && i % n != 1;
        v.s.most = v.s.lazy ? 5 : 0;
        if (!open_trust(&v)) return;
        CHECK_INT(once_more(&v), 0);
        CHECK_INT(once_more(&v), 1);
        CHECK_INT(once_more(&v), 1);
        CHECK_INT(saved_count(v.trust), 1);
        v.host = "LOCALHOST"; /* another name is another peer */
        CHECK_INT(once_more(&v), 0);
        CHECK_INT(saved_count(v.trust), 2);
        close_trust(&v);
        v.tls.resume = SBX_NO;
        v.host = "localhost";
        if (!open_trust(&v)) return;
        CHECK_INT(once_more(&v), 0);
        CHECK_INT(once_more(&v), 0);
        CHECK(v.trust->saved == NULL);
        close_trust(&v);
    }
    test_row = NULL;
}

/* By the certificates of the first handshake: whole chain, both ends. */
TEST(resumed_sessions_expire)
{
    size_t i;
    NEED_PEER();
    for (i = 0; i < SBXI_LEN(versions); i++) {
        visit v;
        test_row = versions[i];
        visit_init(&v, "localhost", echo_peer("localhost", versions[i]));
        if (!open_trust(&v)) return;
        CHECK_INT(once_more(&v), 0);
        v.s.unix_ms = 4102444799999; /* its last millisecond */
        /* A ticket has its own life, counted by the system's clock. */
        CHECK_INT(once_more(&v), 1);
        v.s.unix_ms++;
        CHECK_INT(once_more(&v), SBX_E_TLS);
        CHECK_INT(v.e.tls, SBX_TLS_EXPIRED);
        CHECK(v.trust->saved == NULL);
        v.s.unix_ms = 1704067200000;
        CHECK_INT(once_more(&v), 0);
        CHECK_INT(once_more(&v), 1);
        v.s.unix_ms--;
        CHECK_INT(once_more(&v), SBX_E_TLS);
        CHECK_INT(v.e.tls, SBX_TLS_NOT_YET_VALID);
        close_trust(&v);
    }
    test_row = NULL;
}

TEST(sessions_are_few)
{
    static const char *const hosts[] = { "a.example.test", "b.example.test", "c.example.test",
        "d.example.test", "e.example.test" };
    size_t i;
    visit v;
    NEED_PEER();
    visit_init(&v, hosts[0], echo_peer("wildcard", "-tls1_2"));
    if (!open_trust(&v)) return;
    for (i = 0; i < 5; i++) {
        v.host = hosts[i];
        CHECK_INT(once_more(&v), 0);
        CHECK_INT(saved_count(v.trust), SBXI_MIN(i + 1, (size_t)SBXI_TLS_SESSIONS));
    }
    v.host = hosts[4];
    CHECK_INT(once_more(&v), 1);
    v.host = hosts[0]; /* the oldest is gone */
    CHECK_INT(once_more(&v), 0);
    v.host = "localhost"; /* and a failed handshake leaves none */
    CHECK_INT(once_more(&v), SBX_E_TLS);
    CHECK_INT(saved_count(v.trust), SBXI_TLS_SESSIONS);
    close_trust(&v);
}

/* Another peer at the same place does not know the session: a whole handshake. */
TEST(unknown_sessions)
{
    size_t i;
    NEED_PEER();
    for (i = 0; i < SBXI_LEN(versions); i++) {
        visit v;
        test_row = versions[i];
        visit_init(&v, "localhost", echo_peer("localhost", versions[i]));
        if (!open_trust(&v)) return;
        CHECK_INT(once_more(&v), 0);
        v.port = echo_peer("selfsigned", versions[i]);
        v.trust->saved->port = v.port;
        CHECK_INT(once_more(&v), SBX_E_TLS);
        CHECK_INT(v.e.tls, SBX_TLS_UNTRUSTED);
        CHECK(v.trust->saved == NULL);
        v.port = echo_peer("chain", versions[i]);
        CHECK_INT(once_more(&v), 0);
        v.port = echo_peer("rsa", versions[i]);
        v.trust->saved->port = v.port;
        CHECK_INT(once_more(&v), 0);
        CHECK_INT(once_more(&v), 1);
        v.trust->saved->port = 1; /* cut while resuming: to be tried again, without it */
        v.port = 1;
        v.s.script = "\25\3\3\0\2\2\50";
        v.s.script_len = 7;
        CHECK_INT(once_more(&v), SBX_E_CONNECT);
        CHECK(strstr(v.e.message, "resume") != NULL);
        CHECK(v.trust->saved == NULL);
        close_trust(&v);
    }
    test_row = NULL;
}

/* ... nor does one that speaks another version now: a session is of one. */
TEST(sessions_of_another_version)
{
    size_t i;
    NEED_PEER();
    for (i = 0; i < SBXI_LEN(versions); i++) {
        visit v;
        int rc;
        test_row = versions[i];
        visit_init(&v, "localhost", echo_peer("localhost", versions[i]));
        if (!open_trust(&v)) return;
        CHECK_INT(once_more(&v), 0);
        v.port = echo_peer("localhost", versions[(i + 1) % SBXI_LEN(versions)]);
        v.trust->saved->port = v.port;
        rc = once_more(&v);
        if (SBXI_LEN(versions) == 1) CHECK_INT(rc, 1);
        else if (rc == SBX_E_CONNECT) CHECK_INT(once_more(&v), 0); /* without it */
        else CHECK_INT(rc, 0);
        CHECK_INT(once_more(&v), 1);
        close_trust(&v);
    }
    test_row = NULL;
}

TEST(sessions_saved_and_loaded)
{
    size_t i, k;
    NEED_PEER();
    for (i = 0; i < SBXI_LEN(versions); i++) {
        static store s;
        char pin[64], own[4096], key[96];
        visit v;
        test_row = versions[i];
        memset(&s, 0, sizeof s);
        snprintf(own, sizeof own, "%s", read_text(cert_path("client")));
        visit_init(&v, "localhost", echo_peer("localhost", versions[i]));
        v.tls.session_save = store_save;
        v.tls.session_load = store_load;
        v.tls.ctx = &s;
        CHECK(open_trust(&v) && once_more(&v) == 0);
        CHECK(s.saves > 0 && s.loads == 1 && s.port == v.port);
        CHECK_STR(s.host, "localhost");
        close_trust(&v);
        CHECK(open_trust(&v) && once_more(&v) == 1); /* as after a sleep */
        close_trust(&v);
        v.s.unix_ms = 4102444800000;
        CHECK(open_trust(&v) && once_more(&v) == SBX_E_TLS);
        CHECK_INT(v.e.tls, SBX_TLS_EXPIRED);
        close_trust(&v);
        visit_init(&v, "LOCALHOST", v.port); /* that is another place */
        v.tls.session_load = store_load;
        v.tls.ctx = &s;
        CHECK(open_trust(&v) && once_more(&v) == 0);
        close_trust(&v);
        v.host = "localhost";
        CHECK(open_trust(&v) && once_more(&v) == 1);
        close_trust(&v);
        strcpy(pin, pin_of("localhost")); /* and that another trust */
        v.tls.pins = pin;
        v.tls.ca_file = cert_path("ca");
        CHECK(open_trust(&v) && once_more(&v) == 0);
        close_trust(&v);
        v.tls.pins = NULL;
        v.tls.cert_pem = own; /* or another identity */
        v.tls.key_file = file_in(key, "client.key");
        CHECK(open_trust(&v) && once_more(&v) == 0);
        close_trust(&v);
        v.tls.cert_pem = v.tls.key_file = NULL;
        if (!open_trust(&v)) return;
        sbxi_tls_bind_to(v.trust, "a proxy", 7);
        CHECK_INT(once_more(&v), 0);
        close_trust(&v);
        CHECK(open_trust(&v) && once_more(&v) == 1); /* as it was it still is good */
        close_trust(&v);
        v.tls.ca_file = cert_path("otherca");
        CHECK(open_trust(&v) && once_more(&v) == SBX_E_TLS);
        close_trust(&v);
        v.tls.ca_file = cert_path("ca");
        for (k = 0; k < s.len; k += 7) { /* any change: as if there were none */
            sbxi_tls_saved *got;
            s.data[k] ^= 1;
            if (!open_trust(&v)) return;
            got = sbxi_tls_load_session(v.trust, "localhost", v.port);
            if (!CHECK(got == NULL)) sbxi_tls_forget(v.trust, got);
            close_trust(&v);
            s.data[k] ^= 1;
        }
        for (k = 1; k < 60; k++) {
            s.len--;
            if (!open_trust(&v)) return;
            CHECK(sbxi_tls_load_session(v.trust, "localhost", v.port) == NULL);
            close_trust(&v);
        }
    }
    test_row = NULL;
}

/* What saved sessions belong to: any other way to the host is another one. */
TEST(sessions_belong_to_the_way)
{
    static const struct { const char *proxy, *none; } rows[] = {
        { NULL, NULL }, { "p:1", NULL }, { "p:2", NULL }, { "q:1", NULL }, { "u@p:1", NULL },
        { "u:w@p:1", NULL }, { "u:x@p:1", NULL }, { "p:1", "a.test" }, { "p:1", "b.test" }
    };
    unsigned char bind[SBXI_LEN(rows)][32];
    size_t i, k;
    NEED_PEER();
    for (i = 0; i < SBXI_LEN(rows); i++) {
        sbxi_link link;
        char *url = rows[i].proxy ? strdup(rows[i].proxy) : NULL;
        visit v;
        visit_init(&v, "localhost", 1);
        memset(&link, 0, sizeof link);
        link.alloc = heap;
        link.net = v.net;
        link.tls = &v.tls;
        link.proxies.of[1].url = url;
        link.proxies.none = rows[i].none;
        if (url) CHECK(sbxi_proxy_set(&link.proxies.of[1]));
        REQUIRE(sbxi_link_trust(&link, &v.e) == SBX_OK);
        memcpy(bind[i], link.trust->bind, 32);
        for (k = 0; k < i; k++) CHECK(memcmp(bind[k], bind[i], 32) != 0);
        sbxi_link_close(&link);
        free(url);
    }
}

/* A ticket may come in every call; it is neither an error nor the end of anything. */
TEST(tickets_in_every_call)
{
    size_t i;
    NEED_PEER();
    for (i = 0; i < SBXI_LEN(versions); i++) {
        visit v;
        visit_init(&v, "localhost", echo_peer("localhost", versions[i]));
        v.say = "hello\n";
        v.expect = 6;
        memset(&hook, 0, sizeof hook);
        hook.handshake = 3;
        hook.read = 2;
        hook.write = 2;
        CHECK_INT(visit_go(&v), SBX_OK);
        CHECK_MEM(v.heard, v.heard_len, "olleh\n", 6);
        CHECK(hook.handshake < 0 && hook.read < 0 && hook.write < 0);
    }
}

#ifdef MBEDTLS_ERR_SSL_CRYPTO_IN_PROGRESS
/* Each pause of a long computation is a turn for the caller's loop, to come back at once. */
TEST(pauses_of_a_computation)
{
    sbxi_tls_trust *t;
    sbxi_tls_conn *c;
    void *raw = NULL;
    visit v;
    int want = 0, rc, left;
    NEED_PEER();
    visit_init(&v, "localhost", echo_peer("localhost", "-tls1_2"));
    REQUIRE(sbxi_tls_trust_open(&t, &heap, &v.net, &v.tls, NULL, &v.e) == SBX_OK);
    while (v.s.real.open(v.s.real.ctx, &raw, "127.0.0.1", v.port, true) == SBX_E_AGAIN) {}
    REQUIRE(sbxi_tls_start(&c, t, raw, "localhost", 1, &v.e) == SBX_OK);
    hook.pauses = 3;
    for (left = 2; left >= 0; left--) {
        CHECK_INT(sbxi_tls_handshake(c, &want, &v.e), SBX_E_AGAIN);
        CHECK_INT(want, SBX_WANT_WRITE);
        CHECK_INT(hook.pauses, left);
    }
    while ((rc = sbxi_tls_handshake(c, &want, &v.e)) == SBX_E_AGAIN) visit_wait(&v, raw, want);
    CHECK_INT(rc, SBX_OK);
    sbxi_tls_end(c);
    v.s.real.close(v.s.real.ctx, raw);
    sbxi_tls_trust_close(t);
}
#endif

static int letters_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    size_t *left = (size_t *)ctx;
    *got = SBXI_MIN(SBXI_MIN(cap, *left), (size_t)1501);
    memset(buf, 'y', *got);
    *left -= *got;
    return SBX_OK;
}

/* A whole request over a connection that blocks before and in the middle of every
   record: what could not be written is given to mbedTLS again from the same place. */
TEST(blocked_writes_are_repeated)
{
    static char text[3000], line[1024];
    static const size_t most[] = { 0, 700, 33 };
    size_t i;
    NEED_PEER();
    memset(text, 'x', sizeof text); /* no line ends: the peer keeps quiet */
    for (i = 0; i < SBXI_LEN(most); i++) {
        size_t left[2] = { 5000, 4000 };
        sbxi_part parts[2] = { { 1000, { letters_get, NULL, NULL, 5000 } },
            { 1001, { letters_get, NULL, NULL, 4000 } } };
        static const sbx_http_events none = { NULL, NULL, NULL };
        sbxi_outgoing out;
        sbxi_exchange x;
        sbxi_link link;
        sbxi_url url;
        int rc, turns = 0;
        visit v;
        visit_init(&v, "localhost", echo_peer("localhost", "-tls1_2"));
        v.s.stutter = true;
        v.s.most = most[i];
        memset(&link, 0, sizeof link);
        memset(&out, 0, sizeof out);
        link.alloc = heap;
        link.net = v.net;
        link.tls = &v.tls;
        link.clocks.connect_ms = link.clocks.idle_ms = link.clocks.first_byte_ms = 5000;
        parts[0].source.ctx = &left[0];
        parts[1].source.ctx = &left[1];
        out.text.data = text;
        out.text.len = sizeof text;
        out.parts = parts;
        out.part_count = 2;
        REQUIRE(sbxi_url_split(sbxi_span_of("https://localhost"), &url));
        url.port = v.port;
        sbxi_exchange_init(&x, &link, &out);
        sbx_http_init(&x.http, line, sizeof line, false, &none, NULL);
        REQUIRE(sbxi_exchange_start(&x, &url, false) == SBX_OK);
        memset(&hook, 0, sizeof hook);
        while ((rc = sbxi_exchange_run(&x, sbxi_now(&link), &v.e)) == SBX_E_AGAIN) {
            sbx_wait w = { x.conn->raw, x.want, 0 };
            if (x.state == SBXI_X_RECV || turns++ > 20000) break;
            if (!v.s.stuttered) v.s.real.wait(v.s.real.ctx, &w, 1, 1000);
        }
        CHECK_INT(rc, SBX_E_AGAIN);
        CHECK_INT(x.state, SBXI_X_RECV);
        CHECK_INT(hook.written, sizeof text + 9000);
        CHECK(hook.blocked > 4);
        CHECK_INT(hook.moved, 0);
        CHECK_INT(left[0] + left[1], 0);
        sbxi_exchange_end(&x);
        sbxi_link_close(&link);
    }
}

/* ---- the transport ---- */

TEST(would_block_at_every_step)
{
    static const size_t most[] = { 0, 1, 7 };
    size_t i;
    NEED_PEER();
    for (i = 0; i < SBXI_LEN(most); i++) {
        visit v;
        visit_init(&v, "localhost", echo_peer("chain", ""));
        v.s.lazy = true;
        v.s.most = most[i];
        v.say = "hello, hello, hello\n";
        v.expect = 20;
        CHECK_INT(visit_go(&v), SBX_OK);
        CHECK_MEM(v.heard, v.heard_len, "olleh ,olleh ,olleh\n", 20);
        visit_init(&v, "localhost", echo_peer("wronghost", ""));
        v.s.lazy = true;
        v.s.most = most[i];
        check_refused(&v, SBX_TLS_WRONG_HOST);
    }
}

/* 300,000 bytes down, then the peer's close_notify; whole, and in odd pieces. */
TEST(a_long_body_and_its_end)
{
    enum { SIZE = 300000 };
    static const size_t most[] = { 0, 1000 };
    char path[64];
    size_t i;
    FILE *f;
    NEED_PEER();
    snprintf(path, sizeof path, "%s/body", certs);
    f = fopen(path, "w");
    REQUIRE(f != NULL);
    for (i = 0; i < SIZE; i++) fputc('a' + (int)(i % 23), f);
    fclose(f);
    for (i = 0; i < SBXI_LEN(most); i++) {
        visit v;
        visit_init(&v, "localhost", peer_port("-accept 127.0.0.1:0 -WWW -cert localhost.pem "
                                              "-key localhost.key"));
        v.s.most = most[i];
        v.s.lazy = most[i] != 0;
        v.say = "GET /body HTTP/1.0\r\n\r\n";
        CHECK_INT(visit_go(&v), SBX_OK);
        CHECK(v.heard_len > SIZE && v.heard_len < SIZE + 200);
        CHECK(memcmp(v.heard, "HTTP/1.0 200", 12) == 0);
    }
}

TEST(a_long_request)
{
    enum { SIZE = 16000 };
    static char line[SIZE + 1];
    visit v;
    NEED_PEER();
    memset(line, 'x', SIZE - 1);
    line[SIZE - 1] = '\n';
    visit_init(&v, "localhost", echo_peer("localhost", ""));
    v.say = line;
    v.expect = SIZE;
    v.s.most = 999;
    v.s.lazy = true;
    CHECK_INT(visit_go(&v), SBX_OK);
    CHECK_INT(v.heard_len, SIZE);
}

TEST(pending_after_a_short_read)
{
    static const char line[] = "abcdefgh\n";
    sbxi_tls_trust *t;
    sbxi_tls_conn *c;
    void *raw = NULL;
    visit v;
    char byte;
    size_t n = 0;
    int want, rc;
    NEED_PEER();
    visit_init(&v, "localhost", echo_peer("localhost", "-tls1_2"));
    REQUIRE(sbxi_tls_trust_open(&t, &heap, &v.net, &v.tls, NULL, &v.e) == SBX_OK);
    while (v.s.real.open(v.s.real.ctx, &raw, "127.0.0.1", v.port, true) == SBX_E_AGAIN) {}
    REQUIRE(sbxi_tls_start(&c, t, raw, "localhost", 1, &v.e) == SBX_OK);
    while ((rc = sbxi_tls_handshake(c, &want, &v.e)) == SBX_E_AGAIN) visit_wait(&v, raw, want);
    CHECK_INT(rc, SBX_OK);
    CHECK_INT(sbxi_tls_pending(c), 0);
    CHECK_INT(sbxi_tls_send(c, line, 0, &n, &want), SBX_OK);
    CHECK_INT(n, 0);
    CHECK_INT(sbxi_tls_send(c, line, 9, &n, &want), SBX_OK);
    while ((rc = sbxi_tls_recv(c, &byte, 1, &n, &want)) == SBX_E_AGAIN) visit_wait(&v, raw, want);
    CHECK_INT(rc, SBX_OK);
    CHECK_INT(n, 1);
    CHECK_INT(sbxi_tls_pending(c), 8);
    CHECK_INT(sbxi_tls_recv(c, &byte, 0, &n, &want), SBX_OK);
    CHECK_INT(n, 0);
    CHECK_INT(sbxi_tls_pending(c), 8);
    sbxi_tls_end(c);
    v.s.real.close(v.s.real.ctx, raw);
    sbxi_tls_trust_close(t);
}

TEST(close_notify_is_the_end)
{
    visit v;
    NEED_PEER();
    visit_init(&v, "localhost", echo_peer("localhost", ""));
    v.say = "CLOSE\n";
    CHECK_INT(visit_go(&v), SBX_OK);
    CHECK_INT(v.heard_len, 0);
}

/* Cut after every few bytes received: during the handshake the peer went away,
   afterwards it is a truncation. Never accepted, never an end. */
static void check_cuts(const char *more, int end)
{
    int64_t total, shake, cut;
    unsigned judged = 0;
    visit v;
    visit_init(&v, "localhost", echo_peer("localhost", more));
    v.say = "hello\n";
    v.expect = 6;
    CHECK_INT(visit_go(&v), SBX_OK);
    total = (int64_t)v.s.received;
    shake = (int64_t)v.at_handshake;
    CHECK(total > 300);
    for (cut = 0; cut < total - 60; cut += cut < 12 ? 1 : 31) {
        char row[48];
        snprintf(row, sizeof row, "after %d of %d bytes", (int)cut, (int)total);
        test_row = row;
        visit_init(&v, "localhost", echo_peer("localhost", more));
        v.s.recv_left = cut;
        v.s.end = end;
        v.say = "hello\n";
        CHECK_INT(visit_go(&v), SBX_E_NETWORK);
        if (cut < shake - 100) {
            CHECK(!v.met);
            CHECK_INT(v.e.tls, SBX_TLS_NONE);
            CHECK(strstr(v.e.message, "closed the connection") != NULL);
            CHECK((strstr(v.e.message, "client certificate") != NULL) == v.judged);
            judged += v.judged;
        }
        CHECK_INT(v.e.tls, SBX_TLS_NONE);
        CHECK_INT(v.heard_len, 0);
    }
    test_row = NULL;
    CHECK(judged > 0);
    visit_init(&v, "localhost", echo_peer("localhost", more));
    v.cut_after = 6;
    v.s.end = end;
    v.say = "hello\n";
    CHECK_INT(visit_go(&v), SBX_E_NETWORK); /* all of the line, but no close_notify */
    CHECK(v.met);
    CHECK_MEM(v.heard, v.heard_len, "olleh\n", 6);
    CHECK_INT(v.end_sent, 0); /* nothing is said on a dead connection */
}

TEST(cut_while_receiving)
{
    size_t i;
    NEED_PEER();
    for (i = 0; i < SBXI_LEN(versions); i++) {
        check_cuts(versions[i], SBX_OK);
        check_cuts(versions[i], SBX_E_NETWORK);
    }
}

/* A record that was changed on its way is told from one that was lost. */
TEST(damaged_while_receiving)
{
    enum { RECORD = 5 + 6 + 16 }; /* head, line, mark: the first is no shorter */
    size_t i;
    NEED_PEER();
    for (i = 0; i < RECORD * SBXI_LEN(versions); i++) {
        char row[48];
        visit v;
        if (i % RECORD == 3 || i % RECORD == 4) continue; /* the length: it waits for the rest */
        test_row = row;
        snprintf(row, sizeof row, "%s, byte %u", versions[i / RECORD], (unsigned)(i % RECORD));
        visit_init(&v, "localhost", echo_peer("localhost", versions[i / RECORD]));
        v.damage = (int64_t)(i % RECORD);
        v.say = "hello\n";
        v.expect = 6;
        CHECK_INT(visit_go(&v), SBX_E_NETWORK);
        CHECK(v.met);
        CHECK_INT(v.e.status, SBX_E_NETWORK);
        CHECK_INT(v.e.tls, SBX_TLS_BROKEN);
        CHECK(strstr(v.e.message, "tampered") != NULL);
        CHECK_INT(v.heard_len, 0);
        CHECK_INT(v.end_sent, 0);
    }
    test_row = NULL;
}

TEST(cut_while_sending)
{
    int64_t total, cut;
    visit v;
    NEED_PEER();
    visit_init(&v, "localhost", echo_peer("localhost", ""));
    v.say = "hello\n";
    v.expect = 6;
    CHECK_INT(visit_go(&v), SBX_OK);
    total = (int64_t)v.s.sent - (int64_t)v.end_sent;
    for (cut = 0; cut < total; cut += 23) {
        visit_init(&v, "localhost", echo_peer("localhost", ""));
        v.s.send_left = cut;
        v.say = "hello\n";
        v.expect = 6;
        CHECK_INT(visit_go(&v), SBX_E_NETWORK);
        CHECK_INT(v.heard_len, 0);
    }
}

/* Peers that do not speak TLS, or only to say no. Sends do not block: mbedTLS 3.6
   flushes an alert that blocked and then writes it again, so that it would go on as
   long as every other send blocks. The connect clock ends that. */
TEST(garbage_peers)
{
    static const struct { const char *name, *bytes; size_t len; int status; } rows[] = {
        { "HTTP", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 47, SBX_E_TLS },
        { "SSH", "SSH-2.0-OpenSSH_9.2\r\n", 21, SBX_E_TLS },
        { "zeros", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, SBX_E_TLS },
        { "ones", "\377\377\377\377\377\377\377\377\377\377", 10, SBX_E_TLS },
        { "no cipher", "\25\3\3\0\2\2\50", 7, SBX_E_TLS },
        { "no version", "\25\3\3\0\2\2\106", 7, SBX_E_TLS },
        { "too long", "\26\3\3\377\377aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 37, SBX_E_TLS },
        { "data first", "\27\3\3\0\4abcd", 9, SBX_E_TLS },
        { "bad hello", "\26\3\3\0\4\2\0\0\0", 9, SBX_E_TLS },
        { "closes", "", 0, SBX_E_NETWORK },
        { "half a record", "\26\3\3\0\100aaa", 8, SBX_E_NETWORK }
    };
    size_t i;
    NEED_PEER();
    for (i = 0; i < SBXI_LEN(rows); i++) {
        visit v;
        test_row = rows[i].name;
        visit_init(&v, "localhost", 1);
        v.s.script = rows[i].bytes;
        v.s.script_len = rows[i].len;
        v.s.lazy = v.s.eager_send = true;
        CHECK_INT(visit_go(&v), rows[i].status);
        CHECK_INT(v.e.tls, rows[i].status == SBX_E_TLS ? SBX_TLS_HANDSHAKE : SBX_TLS_NONE);
        CHECK(v.e.message[0] != 0);
    }
    test_row = NULL;
}

/* A peer that sends warnings without end does not keep a call for ever. */
TEST(a_call_takes_a_bounded_amount)
{
    visit v;
    int rc;
    NEED_PEER();
    visit_init(&v, "localhost", 1);
    v.s.script = "\25\3\3\0\2\1\132"; /* warning no_renegotiation */
    v.s.script_len = 7;
    v.s.script_repeats = true;
    rc = visit_go(&v);
    CHECK(rc == SBX_E_AGAIN || rc == SBX_E_TLS);
    CHECK(v.s.received <= 2 * SBXI_TLS_BURST);
}

#if defined(MBEDTLS_SSL_PROTO_TLS1_3) && defined(MBEDTLS_SSL_SESSION_TICKETS) \
    && MBEDTLS_VERSION_NUMBER >= 0x03060100 && MBEDTLS_VERSION_NUMBER < 0x04000000
/* Tickets are reported in the midst of reading: no error, no loss, and AGAIN only
   when there is really nothing more. */
TEST(session_tickets_are_no_error)
{
    int lazy;
    NEED_PEER();
    for (lazy = 0; lazy < 2; lazy++) {
        sbxi_tls_trust *t;
        void *raw = NULL;
        visit v;
        visit_init(&v, "localhost", echo_peer("localhost", "-tls1_3 -num_tickets 4"));
        v.s.lazy = lazy;
        v.say = "hello\n";
        v.expect = 6;
        REQUIRE(sbxi_tls_trust_open(&t, &heap, &v.net, &v.tls, NULL, &v.e) == SBX_OK);
        while (v.s.real.open(v.s.real.ctx, &raw, "127.0.0.1", v.port, true) == SBX_E_AGAIN) {}
        CHECK_INT(visit_tls(&v, t, raw), SBX_OK);
        CHECK_MEM(v.heard, v.heard_len, "olleh\n", 6);
        v.s.real.close(v.s.real.ctx, raw);
        sbxi_tls_trust_close(t);
    }
}
#endif

/* ---- addresses ---- */

TEST(addresses_as_text)
{
    static const char *const texts[] = { "127.0.0.1", "0.0.0.0", "255.255.255.255", "256.0.0.1",
        "1.2.3", "1.2.3.4.5", "1.2.3.4.", ".1.2.3.4", "01.2.3.4", "1.2.3.04", "1..2.3", "1.2.3.4a",
        "", "localhost", "1", "0x7f.0.0.1", "1.2.3.1234", "::", "::1", "1::", "1::8",
        "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8",
        "1::3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "::1::", ":::", ":", "1:", ":1", "1:2:3:4:5:6:7:",
        ":1:2:3:4:5:6:7:8", "12345::", "g::", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4",
        "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.4", "1.2.3.4::", "::1.2.3", "::1.2.3.4:5", "fe80::1",
        "ABCD:EF01:2345:6789:abcd:ef01:2345:6789", "::1.2.3.456", "1:2::3:1.2.3.4", "[::1]",
        "1::2::3" };
    size_t i;
    for (i = 0; i < SBXI_LEN(texts); i++) {
        unsigned char got[16], want[16];
        size_t len = 0;
        memset(want, 0, sizeof want);
        test_row = texts[i];
        if (inet_pton(AF_INET, texts[i], want) == 1) len = 4;
        else if (inet_pton(AF_INET6, texts[i], want) == 1) len = 16;
        if (CHECK_INT(sbxi_ip_parse(texts[i], got), len) && len) CHECK_MEM(got, len, want, len);
    }
    test_row = NULL;
}

/* Random texts of the characters that matter, against the system's opinion. */
TEST(addresses_as_random_text)
{
    static const char letters[] = "0123456789afAF::::....%x";
    uint32_t seed = 1;
    long i, addresses = 0;
    for (i = 0; i < 300000; i++) {
        unsigned char got[16], want[16];
        char text[24];
        size_t n, len = 0, k;
        seed = seed * 1664525u + 1013904223u;
        n = (seed >> 24) % 20;
        for (k = 0; k < n; k++) {
            seed = seed * 1664525u + 1013904223u;
            text[k] = letters[(seed >> 20) % (i & 1 ? sizeof letters - 3 : 7)];
            if (!(i & 1) && text[k] >= '2') text[k] = ":.:."[text[k] & 3];
        }
        text[n] = 0;
        if (strchr(text, '%')) continue;
        if (inet_pton(AF_INET, text, want) == 1) len = 4;
        else if (inet_pton(AF_INET6, text, want) == 1) len = 16;
        addresses += len != 0;
        test_row = text;
        if (!CHECK_INT(sbxi_ip_parse(text, got), len)) break;
        if (len && !CHECK_MEM(got, len, want, len)) break;
    }
    test_row = NULL;
    CHECK(addresses > 100);
}

TEST(address_zones)
{
    static const unsigned char link[16] = { 0xFE, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
    unsigned char got[16];
    CHECK_INT(sbxi_ip_parse("fe80::1%eth0", got), 16);
    CHECK_MEM(got, 16, link, 16);
    CHECK_INT(sbxi_ip_parse("127.0.0.1%eth0", got), 0);
    CHECK_INT(sbxi_ip_parse("%eth0", got), 0);
}
