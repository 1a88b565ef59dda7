/* x509-limbo (tests/data/x509): every chain is shown to our own connect path by a TLS
   server in this process, in the right order and in the corpus's, and then over loopback
   to tls-verdict, which must say the same. What must fail fails, at the case's time. Where a verdict differs,
   DEVIATIONS names the case with its cause; a listed one that no longer differs fails
   too. Runs from the repository's root. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#define DIR_NAME "tests/data/x509"
#define TODAY 1735689600 /* for cases without a time: 2025-01-01 00:00:00 */

/* ---- the cases ------------------------------------------------------------ */

typedef struct text { char *p; size_t len, cap; } text;

static void add(text *t, const char *s, size_t n)
{
    if (t->len + n + 1 > t->cap) {
        t->cap = (t->len + n + 1) * 2;
        t->p = (char *)realloc(t->p, t->cap);
        if (!t->p) abort();
    }
    memcpy(t->p + t->len, s, n);
    t->len += n;
    t->p[t->len] = 0;
}

/* Strings of a case by member; those of a list stand one behind the other. */
enum { ID, WANT, KIND, AT, NAME, ROOTS, CHAIN, LEAF, KEY, CRLS, MEMBERS };
static const char *const members[MEMBERS] = { "id", "expected_result", "validation_kind",
    "validation_time", "expected_peer_name", "trusted_certs", "untrusted_intermediates",
    "peer_certificate", "peer_certificate_key", "crls" };

typedef struct limbo { text m[MEMBERS]; } limbo;
static limbo cases[400];
static size_t case_count;

typedef struct loader { int member; bool is_value; limbo *c; } loader;

static int on_event(void *ctx, const sbx_json_event *ev)
{
    loader *l = (loader *)ctx;
    size_t i;
    if (ev->type == SBX_JSON_OBJECT && ev->depth == 2) {
        if (case_count == SBXI_LEN(cases)) return SBX_E_TOO_LARGE;
        l->c = &cases[case_count++];
    }
    if (ev->type == SBX_JSON_KEY && ev->depth == 3) {
        l->member = -1;
        for (i = 0; i < MEMBERS; i++)
            if (ev->len == strlen(members[i]) && memcmp(ev->text, members[i], ev->len) == 0)
                l->member = (int)i;
    }
    if (ev->type == SBX_JSON_KEY && ev->depth == 4) /* of a name: its kind is seen by its form */
        l->is_value = ev->len == 5 && memcmp(ev->text, "value", 5) == 0;
    if (ev->type != SBX_JSON_STRING || l->member < 0) return SBX_OK;
    if (l->member == NAME && !l->is_value) return SBX_OK;
    add(&l->c->m[l->member], ev->text, ev->len);
    return SBX_OK;
}

static const char *of(const limbo *c, int member)
{
    return c->m[member].p ? c->m[member].p : "";
}

static bool load_cases(void)
{
    static char piece[65536];
    loader l = { -1, false, NULL };
    sbx_json_reader r;
    size_t n;
    int rc = SBX_OK;
    FILE *f = case_count ? NULL : fopen(DIR_NAME "/limbo.json", "rb");
    if (case_count) return true;
    if (!f) return false;
    sbx_json_init(&r, on_event, &l);
    while (rc == SBX_OK && (n = fread(piece, 1, sizeof piece, f)) > 0)
        rc = sbx_json_feed(&r, piece, n, NULL);
    fclose(f);
    return rc == SBX_OK && sbx_json_end(&r) == SBX_OK;
}

static int64_t at_ms(const limbo *c)
{
    struct tm t;
    double seconds;
    memset(&t, 0, sizeof t);
    if (sscanf(of(c, AT), "%d-%d-%dT%d:%d:%lf", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour,
               &t.tm_min, &seconds) != 6) return TODAY * INT64_C(1000);
    t.tm_year -= 1900;
    t.tm_mon--;
    return (int64_t)timegm(&t) * 1000 + (int64_t)(seconds * 1000 + 0.5);
}

/* Who is connected to. A client's certificate names nobody who could be. */
static const char *host_of(const limbo *c)
{
    return of(c, NAME)[0] ? of(c, NAME) : "example.com";
}

/* ---- the server ----------------------------------------------------------- */

/* Certificates as they come, also those mbedTLS itself would not read: it sends raw
   and chooses by pk, nothing else. */
typedef struct shown { mbedtls_x509_crt crt[110]; size_t count, bytes; bool has_key; } shown;

static void show_pem(shown *s, const char *pem)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    while ((pem = strstr(pem, begin)) != NULL) {
        mbedtls_x509_crt *crt = &s->crt[s->count];
        sbx_base64 state = { 0, 0, 0 };
        size_t n = 0, got;
        const char *p = pem + strlen(begin);
        if (s->count == SBXI_LEN(s->crt)) abort();
        mbedtls_x509_crt_init(crt);
        crt->raw.p = (unsigned char *)malloc(strlen(p) + 3);
        if (!crt->raw.p) abort();
        for (; *p != '-'; p++) {
            if (*p == '\n' || *p == '\r') continue;
            if (sbx_base64_decode(&state, p, 1, crt->raw.p + n, &got) != SBX_OK) abort();
            n += got;
        }
        crt->raw.len = n;
        s->bytes += n + 3;
        if (s->count++ > 0) crt[-1].next = crt;
        pem = p;
    }
}

#ifdef SBXI_TLS_DRBG
static int noise(void *ctx, unsigned char *out, size_t n)
{
    static uint32_t x = 2463534242u;
    (void)ctx;
    while (n--) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        *out++ = (unsigned char)x;
    }
    return 0;
}
#endif

static int parse_key(mbedtls_pk_context *pk, const text *key)
{
    return mbedtls_pk_parse_key(pk, (const unsigned char *)key->p, key->len + 1, NULL, 0
#if MBEDTLS_VERSION_NUMBER >= 0x03000000 && defined(SBXI_TLS_DRBG)
        , noise, NULL
#endif
        );
}

/* The corpus lists the certificates from the root on; a server shows them from its
   own on, unless asked for the order of the corpus. */
static void shown_order(shown *s)
{
    size_t i = 1, k = s->count - 1;
    for (; i < k; i++, k--) {
        mbedtls_x509_buf raw = s->crt[i].raw;
        s->crt[i].raw = s->crt[k].raw;
        s->crt[k].raw = raw;
    }
}

static void shown_open(shown *s, const limbo *c, bool as_listed)
{
    memset(s, 0, sizeof *s);
    show_pem(s, of(c, LEAF));
    show_pem(s, of(c, CHAIN));
    if (!as_listed) shown_order(s);
    /* mbedTLS sends no message larger than a record. */
    s->has_key = s->bytes < 16000 && c->m[KEY].len && parse_key(&s->crt[0].pk, &c->m[KEY]) == 0;
}

static void shown_close(shown *s)
{
    size_t i;
    for (i = 0; i < s->count; i++) free(s->crt[i].raw.p);
    mbedtls_pk_free(&s->crt[0].pk);
}

/* Both directions between client and server: in memory, or a socket. */
typedef struct wire { text to_client, to_server; size_t client_at, server_at; int fd; } wire;

static int server_send(void *ctx, const unsigned char *p, size_t n)
{
    wire *w = (wire *)ctx;
    if (w->fd >= 0) return (int)send(w->fd, p, n, MSG_NOSIGNAL);
    add(&w->to_client, (const char *)p, n);
    return (int)n;
}

static int server_recv(void *ctx, unsigned char *p, size_t cap)
{
    wire *w = (wire *)ctx;
    size_t n = w->to_server.len - w->server_at;
    if (w->fd >= 0) return (int)recv(w->fd, p, cap, 0);
    if (n == 0) return MBEDTLS_ERR_SSL_WANT_READ;
    if (n > cap) n = cap;
    memcpy(p, w->to_server.p + w->server_at, n);
    w->server_at += n;
    return (int)n;
}

typedef struct server {
    wire w;
    shown certs;
    mbedtls_ssl_config conf;
    mbedtls_ssl_context ssl;
    mbedtls_pk_context key;
} server;

/* Without a key, or with more than a record holds, the server says what it can of a
   TLS 1.2 handshake by hand: hello and certificates; and then nothing more. */
static void server_by_hand(server *s)
{
    static const unsigned char hello[] = { 2, 0, 0, 38, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
        13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0,
        0xC0, 0x2B, 0 }; /* ECDHE-ECDSA-AES128-GCM-SHA256 */
    text all = { NULL, 0, 0 };
    size_t i, at, n = s->certs.bytes;
    unsigned char head[7];
    add(&all, (const char *)hello, sizeof hello);
    head[0] = 11;
    for (i = 0; i < 2; i++) { /* length of the message, and of the list in it */
        size_t len = n + (i ? 0 : 3);
        head[1 + 3 * i] = (unsigned char)(len >> 16);
        head[2 + 3 * i] = (unsigned char)(len >> 8);
        head[3 + 3 * i] = (unsigned char)len;
    }
    add(&all, (const char *)head, 7);
    for (i = 0; i < s->certs.count; i++) {
        n = s->certs.crt[i].raw.len;
        head[0] = (unsigned char)(n >> 16);
        head[1] = (unsigned char)(n >> 8);
        head[2] = (unsigned char)n;
        add(&all, (const char *)head, 3);
        add(&all, (const char *)s->certs.crt[i].raw.p, n);
    }
    for (at = 0; at < all.len; at += n) {
        n = at == 0 ? sizeof hello : SBXI_MIN(all.len - at, 16384u);
        head[0] = 22;
        head[1] = head[2] = 3;
        head[3] = (unsigned char)(n >> 8);
        head[4] = (unsigned char)n;
        server_send(&s->w, head, 5);
        server_send(&s->w, (const unsigned char *)all.p + at, n);
    }
    free(all.p);
}

static void server_open(server *s, const limbo *c, int fd, bool as_listed)
{
    memset(s, 0, sizeof *s);
    s->w.fd = fd;
    shown_open(&s->certs, c, as_listed);
    mbedtls_ssl_config_init(&s->conf);
    mbedtls_ssl_init(&s->ssl);
    mbedtls_pk_init(&s->key);
    if (!s->certs.has_key) {
        server_by_hand(s);
        return;
    }
    CHECK(parse_key(&s->key, &c->m[KEY]) == 0);
    CHECK(mbedtls_ssl_config_defaults(&s->conf, MBEDTLS_SSL_IS_SERVER,
        MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT) == 0);
#ifdef SBXI_TLS_DRBG
    mbedtls_ssl_conf_rng(&s->conf, noise, NULL);
#endif
    CHECK(mbedtls_ssl_conf_own_cert(&s->conf, s->certs.crt, &s->key) == 0);
    CHECK(mbedtls_ssl_setup(&s->ssl, &s->conf) == 0);
    mbedtls_ssl_set_bio(&s->ssl, &s->w, server_send, server_recv, NULL);
}

static void server_close(server *s)
{
    mbedtls_ssl_free(&s->ssl);
    mbedtls_ssl_config_free(&s->conf);
    mbedtls_pk_free(&s->key);
    shown_close(&s->certs);
    free(s->w.to_client.p);
    free(s->w.to_server.p);
}

/* false: the server has said all it will. */
static bool server_turn(server *s)
{
    int rc;
    if (!s->certs.has_key) return false;
    rc = mbedtls_ssl_handshake(&s->ssl);
    return rc == MBEDTLS_ERR_SSL_WANT_READ;
}

/* ---- our side, in memory -------------------------------------------------- */

typedef struct ours { server s; int64_t unix_ms; bool served; } ours;

static int our_send(void *ctx, void *conn, const void *buf, size_t len, size_t *sent)
{
    (void)conn;
    add(&((ours *)ctx)->s.w.to_server, (const char *)buf, len);
    *sent = len;
    return SBX_OK;
}

static int our_recv(void *ctx, void *conn, void *buf, size_t cap, size_t *got)
{
    ours *o = (ours *)ctx;
    wire *w = &o->s.w;
    (void)conn;
    if (w->client_at == w->to_client.len && !o->served) o->served = !server_turn(&o->s);
    *got = SBXI_MIN(cap, w->to_client.len - w->client_at);
    memcpy(buf, w->to_client.p + w->client_at, *got);
    w->client_at += *got;
    return SBX_OK; /* 0 bytes: it closed */
}

static int our_entropy(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    memset(buf, 42, len);
    return SBX_OK;
}

static int64_t our_unix_ms(void *ctx)
{
    return ((ours *)ctx)->unix_ms;
}

/* A verdict as tls-verdict words it. reached: the chain was looked at. */
typedef struct verdict { char word[40]; bool accepted, reached; } verdict;

static const char *check_name(int check)
{
    static const char *const names[] = { "NONE", "UNTRUSTED", "WRONG_HOST", "WRONG_IP", "EXPIRED",
        "NOT_YET_VALID", "REVOKED", "NO_CLOCK", "BAD_CERT", "BAD_CONFIG", "HANDSHAKE", "PIN", "BROKEN" };
    return (size_t)check < SBXI_LEN(names) ? names[check] : "?";
}

static void put_verdict(verdict *v, int rc, const sbx_error *e)
{
    snprintf(v->word, sizeof v->word, "%s", rc == SBX_OK ? "accepted"
        : rc == SBX_E_TLS ? check_name(e->tls) : sbx_status_name(rc));
}

static void connect_in_memory(const limbo *c, bool as_listed, verdict *v)
{
    static const sbx_alloc heap = { sbxi_std_resize, NULL };
    static ours o;
    sbx_net net;
    sbx_tls options;
    sbxi_tls_trust *trust;
    sbxi_tls_conn *conn = NULL;
    sbx_error e;
    int want, rc;
    memset(v, 0, sizeof *v);
    memset(&net, 0, sizeof net);
    memset(&options, 0, sizeof options);
    memset(&o, 0, sizeof o);
    sbxi_error_clear(&e);
    net.send = our_send;
    net.recv = our_recv;
    net.entropy = our_entropy;
    net.unix_ms = our_unix_ms;
    net.ctx = &o;
    o.unix_ms = at_ms(c);
    options.ca_pem = of(c, ROOTS);
    options.crl_pem = c->m[CRLS].p;
    rc = sbxi_tls_trust_open(&trust, &heap, &net, &options, NULL, &e);
    if (rc != SBX_OK) {
        put_verdict(v, rc, &e);
        return;
    }
    server_open(&o.s, c, -1, as_listed);
    rc = sbxi_tls_start(&conn, trust, &o, host_of(c), 443, &e);
    if (rc == SBX_OK) rc = sbxi_tls_handshake(conn, &want, &e);
    put_verdict(v, rc, &e);
    v->reached = conn && conn->judged;
    v->accepted = rc == SBX_OK || (rc == SBX_E_NETWORK && !o.s.certs.has_key && v->reached
                                   && !conn->flags);
    if (conn) sbxi_tls_end(conn);
    server_close(&o.s);
    sbxi_tls_trust_close(trust);
}

static const verdict *in_order(size_t i) /* of a case, made once */
{
    static verdict all[SBXI_LEN(cases)];
    if (!all[i].word[0]) connect_in_memory(&cases[i], false, &all[i]);
    return &all[i];
}

/* ---- tls-verdict ---------------------------------------------------------- */

typedef struct listener { int fd; unsigned port; char folder[40]; } listener;

static bool listen_on(listener *l)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(l->folder, sizeof l->folder, "/tmp/sbx-limbo-XXXXXX");
    l->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (l->fd < 0 || !mkdtemp(l->folder)) return false;
    if (bind(l->fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(l->fd, 4) != 0) return false;
    if (getsockname(l->fd, (struct sockaddr *)&a, &n) != 0) return false;
    l->port = ntohs(a.sin_port);
    return true;
}

static void write_file(const listener *l, const char *name, const char *data)
{
    char path[80];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", l->folder, name);
    f = fopen(path, "w");
    if (!f || fputs(data, f) < 0 || fclose(f) != 0) abort();
}

/* One connection, if it comes before the program ends. */
static void serve(const listener *l, const limbo *c, int out)
{
    static server s;
    struct pollfd p[2];
    struct timeval limit = { 10, 0 };
    char rest[256];
    int fd;
    memset(p, 0, sizeof p);
    p[0].fd = l->fd;
    p[1].fd = out;
    p[0].events = p[1].events = POLLIN;
    if (poll(p, 2, 10000) <= 0 || !(p[0].revents & POLLIN)) return;
    fd = accept(l->fd, NULL, NULL);
    if (fd < 0) return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    server_open(&s, c, fd, false);
    (void)server_turn(&s);
    server_close(&s);
    shutdown(fd, SHUT_WR); /* and no reset before it has read all */
    while (recv(fd, rest, sizeof rest, 0) > 0) continue;
    close(fd);
}

/* The program's word, as above. */
static void run_program(const listener *l, const limbo *c, char word[40])
{
    static char line[1024];
    const char *build = getenv("BUILD");
    char command[400], crl[60] = "";
    const char *colon;
    FILE *out;
    int status;
    write_file(l, "ca.pem", of(c, ROOTS));
    write_file(l, "crl.pem", of(c, CRLS));
    if (c->m[CRLS].len) snprintf(crl, sizeof crl, "--crl %s/crl.pem ", l->folder);
    snprintf(command, sizeof command, "exec %s/tls-verdict --ca %s/ca.pem %s--at %lld --host '%s' "
        "127.0.0.1:%u 2>&1", build ? build : "build", l->folder, crl, (long long)(at_ms(c) / 1000),
        host_of(c), l->port);
    word[0] = line[0] = 0;
    out = popen(command, "r");
    if (!CHECK(out != NULL)) return;
    serve(l, c, fileno(out));
    if (!fgets(line, sizeof line, out)) line[0] = 0;
    status = pclose(out);
    CHECK_INT(WEXITSTATUS(status), strncmp(line, "accepted", 8) != 0);
    colon = strncmp(line, "refused: ", 9) == 0 ? line + 9 : line;
    snprintf(word, 40, "%.*s", (int)strcspn(colon, ":\n"), colon);
}

/* ---- verdicts ------------------------------------------------------------- */

static char deviations[32768];

static void load_deviations(void)
{
    static const unsigned here = MBEDTLS_VERSION_NUMBER >> 16;
    FILE *f = fopen(DIR_NAME "/DEVIATIONS", "r");
    char line[400], *from, when[8];
    unsigned major, minor;
    size_t len = 1;
    if (!CHECK(f != NULL)) return;
    deviations[0] = '\n';
    while (fgets(line, sizeof line, f)) {
        from = strchr(line, ' ') ? strchr(strchr(line, ' ') + 1, ' ') : NULL;
        if (from && sscanf(from, " %7[a-z] %u.%u", when, &major, &minor) == 3) {
            if (!CHECK(!strcmp(when, "from") || !strcmp(when, "before"))) continue;
            if ((here >= (major << 8 | minor)) != !strcmp(when, "from")) continue;
            memmove(from, strstr(from, " -- "), strlen(strstr(from, " -- ")) + 1);
        }
        if (CHECK(len + strlen(line) < sizeof deviations))
            len += (size_t)sprintf(deviations + len, "%s", line);
    }
    fclose(f);
}

/* "id accepted|refused -- cause" is a line of the list; before the cause may stand the
   versions of mbedTLS it is for: "from 3.5", "before 3.5". */
static bool is_listed(const limbo *c, bool accepted)
{
    char row[200], *at;
    snprintf(row, sizeof row, "\n%s %s -- ", of(c, ID), accepted ? "accepted" : "refused");
    at = strstr(deviations, row);
    return at && at[strlen(row)] > ' ';
}

TEST(limbo)
{
    unsigned counts[2][2] = { { 0, 0 }, { 0, 0 } }, listed = 0, lines = 0;
    const char *p;
    size_t i;
    REQUIRE(load_cases());
    load_deviations();
    for (i = 0; i < case_count; i++) {
        const limbo *c = &cases[i];
        bool want = strcmp(of(c, WANT), "SUCCESS") == 0;
        verdict v;
        char row[200];
        connect_in_memory(c, true, &v);
        snprintf(row, sizeof row, "%s in another order", of(c, ID));
        test_row = row;
        if (v.accepted && !want) CHECK(is_listed(c, true));
        v = *in_order(i);
        snprintf(row, sizeof row, "%s is %s", of(c, ID), v.word);
        counts[want][v.accepted]++;
        if (want == v.accepted) CHECK(!is_listed(c, true) && !is_listed(c, false));
        else listed += CHECK(is_listed(c, v.accepted));
    }
    test_row = NULL;
    for (p = strstr(deviations, " -- "); p; p = strstr(p + 4, " -- ")) lines++;
    CHECK_INT(listed, lines);
    CHECK_INT(case_count, 130);
    printf("x509-limbo: of %u that must fail %u fail, of %u that must pass %u pass\n",
        counts[0][0] + counts[0][1], counts[0][0], counts[1][0] + counts[1][1], counts[1][1]);
}

TEST(limbo_tls_verdict)
{
    char command[80];
    listener l;
    size_t i;
    REQUIRE(load_cases());
    REQUIRE(listen_on(&l));
    for (i = 0; i < case_count; i++) {
        char word[40];
        test_row = of(&cases[i], ID);
        run_program(&l, &cases[i], word);
        CHECK_STR(word, in_order(i)->word);
    }
    test_row = NULL;
    close(l.fd);
    snprintf(command, sizeof command, "rm -r %s", l.folder);
    CHECK(system(command) == 0);
}
