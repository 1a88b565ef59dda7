/* tls_server - a peer that speaks TLS by mbedTLS, as well or as badly as it is told:
     tls_server --listen PORT --cert F --key F [option...]
   --listen 0 takes a free port; the port is the one line it prints. Loopback only.
   It answers every request with --answer F, the bytes of a file (a 204), and keeps
   the connection. Ends with SIGTERM.

   --cert F, --key F     PEM: the chain as it is sent, and the key of its first
   --version 1.2|1.3     only that one
   --curve x25519        instead of P-256, for which a TLS 1.3 client that begins with
                         x25519, as mbedTLS does, is asked for a second hello
   --tickets N           0: no session tickets; TLS 1.3: N after each handshake
   --max-fragment N      no client that did not ask for records of N bytes or less
   --alpn A,B            the protocols it chooses from
   --client-ca F         no client without a certificate by one of these
   --split N             all that is sent goes out in TCP segments of N bytes
   --at N WHAT           after N bytes of each answer, once a connection:
     fin, rst            the end, without and with a reset, no close_notify
     close               the end, with close_notify
     alert:LEVEL:CODE    that alert; after a warning (1) it goes on
     garbage             bytes that are no record, and the end
     forged              a record nobody has signed, and the end
     renegotiate         asks for another handshake, goes on (TLS 1.2)
   --times N             does that to the first N connections only
   --at-wire N WHAT      after N bytes sent, those of the handshake too: fin, rst; after
                         N bytes and between records, in clear: garbage, alert:LEVEL:CODE

   Exit 3: this mbedTLS cannot do that. A process for each connection. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mbedtls/version.h>
#include <mbedtls/base64.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>
#if MBEDTLS_VERSION_NUMBER >= 0x04000000
#include <psa/crypto.h>
#else
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#define TLS_SERVER_DRBG
#endif
#if defined(MBEDTLS_PSA_CRYPTO_C) && MBEDTLS_VERSION_NUMBER >= 0x03000000
#include <psa/crypto.h>
#define TLS_SERVER_PSA
#endif

#ifndef MBEDTLS_PRIVATE
#define MBEDTLS_PRIVATE(member) member
#endif

enum { TLS_END_NONE, TLS_END_FIN, TLS_END_RST, TLS_END_CLOSE, TLS_END_ALERT, TLS_END_GARBAGE,
       TLS_END_FORGED, TLS_END_RENEGOTIATE };

typedef struct tls_act { long at; int what, level, code; } tls_act; /* at -1: never */

/* A program that runs this in a process of its own may share what is to be done to
   the next connection; then --at and --at-wire say nothing. */
static struct tls_acts { tls_act act, wire; } *tls_shared;

typedef struct tls_server {
    const char *cert, *key, *client_ca, *answer_file;
    int version;            /* 2, 3; 0: both */
    int tickets;            /* -1: as it is by default */
    int max_fragment, split, listen, times;
    bool x25519;
    const char *alpn[8];
    tls_act act, wire;
    char answer[70000];
    size_t answer_len;
    mbedtls_ssl_config conf;
    mbedtls_x509_crt chain, ca;
    mbedtls_pk_context pk;
    mbedtls_ssl_ticket_context ticket;
#ifdef TLS_SERVER_DRBG
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context drbg;
#endif
} tls_server;

/* One connection, in a process of its own. */
typedef struct tls_peer { tls_server *s; int fd; long sent; mbedtls_ssl_context ssl; } tls_peer;

/* ---- the wire ---- */
static void tls_leave(int fd, int how)
{
    struct linger hard = { 1, 0 };
    usleep(2000);           /* so that the last bytes are there before a reset */
    if (how == TLS_END_RST) setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    else shutdown(fd, SHUT_WR);
    if (how != TLS_END_RST) { /* unread bytes would make a reset of it */
        char drop[512];
        struct timeval t = { 1, 0 };
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        while (recv(fd, drop, sizeof drop, 0) > 0) {}
    }
    close(fd);
    _exit(0);
}

static void tls_raw(int fd, const void *data, size_t len)
{
    if (send(fd, data, len, MSG_NOSIGNAL) < 0) _exit(0);
}

/* What stands in no record of the connection. */
static void tls_spoil(int fd, const tls_act *a)
{
    static const char garbage[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    static const char forged[] = "\27\3\3\0\40aaaaaaaabbbbbbbbccccccccdddddddd";
    unsigned char alert[7] = { 21, 3, 3, 0, 2 };
    alert[5] = (unsigned char)a->level;
    alert[6] = (unsigned char)a->code;
    if (a->what == TLS_END_ALERT) tls_raw(fd, alert, sizeof alert);
    if (a->what == TLS_END_GARBAGE) tls_raw(fd, garbage, sizeof garbage - 1);
    if (a->what == TLS_END_FORGED) tls_raw(fd, forged, sizeof forged - 1);
    tls_leave(fd, a->what);
}

static int tls_send(void *ctx, const unsigned char *buf, size_t len)
{
    tls_peer *p = ctx;
    const tls_server *s = p->s;
    size_t n = s->split && (size_t)s->split < len ? (size_t)s->split : len;
    ssize_t put;
    if (s->wire.at >= 0 && s->wire.what > TLS_END_RST) {
        if (p->sent >= s->wire.at) n = 0; /* a call is a record */
    } else if (s->wire.at >= 0 && (long)n > s->wire.at - p->sent) n = (size_t)(s->wire.at - p->sent);
    if (n == 0) tls_spoil(p->fd, &s->wire);
    put = send(p->fd, buf, n, MSG_NOSIGNAL);
    if (put <= 0) return -0x50; /* NET_CONN_RESET, in all versions */
    p->sent += put;
    return (int)put;
}

static int tls_recv(void *ctx, unsigned char *buf, size_t len)
{
    ssize_t n = recv(((tls_peer *)ctx)->fd, buf, len, 0);
    return n < 0 ? -0x50 : (int)n;
}

/* ---- a connection ---- */
static bool tls_again(int rc)
{
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
    if (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) return true;
#endif
    return rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE;
}

static bool tls_put(tls_peer *p, const char *data, size_t len)
{
    while (len) {
        int n = mbedtls_ssl_write(&p->ssl, (const unsigned char *)data, len);
        if (tls_again(n)) continue;
        if (n <= 0) return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* Reads a request with its body. False: none came. */
static bool tls_request(tls_peer *p)
{
    char head[8192], *end = NULL, *length;
    size_t len = 0, want = 0;
    while (!end || len < want) {
        int n;
        if (len + 1 >= sizeof head) return false;
        n = mbedtls_ssl_read(&p->ssl, (unsigned char *)head + len, sizeof head - 1 - len);
        if (tls_again(n)) continue;
        if (n <= 0) return false;
        len += (size_t)n;
        head[len] = 0;
        if (!end && (end = strstr(head, "\r\n\r\n")) != NULL) {
            length = strcasestr(head, "\r\nContent-Length: ");
            want = (size_t)(end + 4 - head);
            if (length && length < end) want += strtoul(length + 18, NULL, 10);
        }
    }
    return true;
}

static void tls_do(tls_peer *p, const tls_act *a)
{
    switch (a->what) {
    case TLS_END_ALERT:
        mbedtls_ssl_send_alert_message(&p->ssl, (unsigned char)a->level, (unsigned char)a->code);
        if (a->level == 2) tls_leave(p->fd, TLS_END_FIN);
        break;
    case TLS_END_CLOSE:
        mbedtls_ssl_close_notify(&p->ssl);
        tls_leave(p->fd, TLS_END_FIN);
        break;
    case TLS_END_RENEGOTIATE:
#ifdef MBEDTLS_SSL_RENEGOTIATION
        mbedtls_ssl_renegotiate(&p->ssl);
#endif
        break;
    default:
        tls_spoil(p->fd, a);
    }
}

static bool tls_answer(tls_peer *p, bool first)
{
    const tls_server *s = p->s;
    const tls_act *a = &s->act;
    size_t at = 0;
    if (first && a->at >= 0) {
        at = (size_t)a->at < s->answer_len ? (size_t)a->at : s->answer_len;
        if (!tls_put(p, s->answer, at)) return false;
        tls_do(p, a);
    }
    return tls_put(p, s->answer + at, s->answer_len - at);
}

/* Records of at most that many bytes were agreed upon. */
static bool tls_small(const tls_peer *p)
{
#ifdef MBEDTLS_SSL_MAX_FRAGMENT_LENGTH
    int most = mbedtls_ssl_get_max_out_record_payload(&p->ssl);
    return !p->s->max_fragment || (most > 0 && most <= p->s->max_fragment);
#else
    (void)p;
    return true;
#endif
}

/* Step by step, to refuse what the client's hello says. */
static int tls_handshake(tls_peer *p)
{
    int rc = 0;
    while (!rc && p->ssl.MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_HANDSHAKE_OVER) {
        if (p->ssl.MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_SERVER_HELLO && !tls_small(p)) {
            mbedtls_ssl_send_alert_message(&p->ssl, 2, 40);
            return 1;
        }
        rc = mbedtls_ssl_handshake_step(&p->ssl);
    }
    return rc;
}

static void tls_connection(tls_server *s, int fd)
{
    static tls_peer p;
    bool first;
    int rc;
    p.s = s;
    p.fd = fd;
#ifdef TLS_SERVER_DRBG
    mbedtls_ctr_drbg_reseed(&s->drbg, (const unsigned char *)&p.fd, sizeof p.fd);
#endif
    mbedtls_ssl_init(&p.ssl);
    if (mbedtls_ssl_setup(&p.ssl, &s->conf) != 0) return;
    mbedtls_ssl_set_bio(&p.ssl, &p, tls_send, tls_recv, NULL);
    if (s->wire.at == 0) tls_spoil(fd, &s->wire);
    do rc = tls_handshake(&p); while (tls_again(rc));
    if (rc == MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE) /* it keeps that to itself */
        mbedtls_ssl_send_alert_message(&p.ssl, 2, 40);
    for (first = true; rc == 0 && tls_request(&p) && tls_answer(&p, first); first = false) {}
    tls_leave(fd, TLS_END_FIN);
}

/* ---- setting up ---- */
static int tls_versions(tls_server *s)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03020000
    mbedtls_ssl_protocol_version low = MBEDTLS_SSL_VERSION_TLS1_2, high = low;
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
    if (s->version != 2) high = MBEDTLS_SSL_VERSION_TLS1_3;
    if (s->version == 3) low = high;
#else
    if (s->version == 3) return 3;
#endif
    mbedtls_ssl_conf_min_tls_version(&s->conf, low);
    mbedtls_ssl_conf_max_tls_version(&s->conf, high);
#else
    if (s->version == 3) return 3;
    mbedtls_ssl_conf_min_version(&s->conf, 3, 3);
#endif
    return 0;
}

/* Its own choice would be the largest curve, which takes its time. */
static void tls_curve(tls_server *s)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03010000
    static const uint16_t groups[] = { MBEDTLS_SSL_IANA_TLS_GROUP_X25519, 0,
        MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, 0 };
    mbedtls_ssl_conf_groups(&s->conf, s->x25519 ? groups : groups + 2);
#else
    static const mbedtls_ecp_group_id groups[] = { MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_NONE,
        MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_NONE };
    mbedtls_ssl_conf_curves(&s->conf, s->x25519 ? groups : groups + 2);
#endif
}

static int tls_tickets(tls_server *s)
{
    int rc = 0;
    if (s->tickets == 0) {
        mbedtls_ssl_conf_session_tickets(&s->conf, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
        return 0;
    }
    mbedtls_ssl_ticket_init(&s->ticket);
#ifdef TLS_SERVER_DRBG
    rc = mbedtls_ssl_ticket_setup(&s->ticket, mbedtls_ctr_drbg_random, &s->drbg,
                                  MBEDTLS_CIPHER_AES_256_GCM, 3600);
#else
    rc = mbedtls_ssl_ticket_setup(&s->ticket, PSA_ALG_GCM, PSA_KEY_TYPE_AES, 256, 3600);
#endif
    mbedtls_ssl_conf_session_tickets_cb(&s->conf, mbedtls_ssl_ticket_write,
                                        mbedtls_ssl_ticket_parse, &s->ticket);
#if defined(MBEDTLS_SSL_PROTO_TLS1_3) && MBEDTLS_VERSION_NUMBER >= 0x03040000
    if (s->tickets > 0) mbedtls_ssl_conf_new_session_tickets(&s->conf, (uint16_t)s->tickets);
#else
    if (s->tickets > 1) return 3;
#endif
    return rc;
}

static int tls_extension(void *ctx, mbedtls_x509_crt const *crt, mbedtls_x509_buf const *oid,
                         int critical, const unsigned char *p, const unsigned char *end)
{
    (void)ctx, (void)crt, (void)oid, (void)critical, (void)p, (void)end;
    return 0;
}

/* The chain as it is: an extension this mbedTLS does not know is no reason, nor is a
   usage that is none of a server's. To refuse them is the client's affair. */
static int tls_chain(tls_server *s)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
    static unsigned char text[32768], der[16384];
    FILE *f = fopen(s->cert, "rb");
    size_t len = f ? fread(text, 1, sizeof text - 1, f) : 0, n;
    const char *p = (const char *)text, *q;
    mbedtls_x509_crt *c;
    int rc = len ? 0 : 1;
    if (f) fclose(f);
    text[len] = 0;
    while (!rc && (p = strstr(p, begin)) != NULL && (q = strstr(p, end)) != NULL) {
        p += sizeof begin - 1;
        rc = mbedtls_base64_decode(der, sizeof der, &n, (const unsigned char *)p, (size_t)(q - p));
        if (!rc) rc = mbedtls_x509_crt_parse_der_with_ext_cb(&s->chain, der, n, 1, tls_extension, NULL);
        p = q;
    }
    for (c = &s->chain; c; c = c->next) c->MBEDTLS_PRIVATE(ext_types) = 0;
    return rc ? rc : s->chain.raw.p ? 0 : 1;
}

static int tls_key(tls_server *s)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000 && defined(TLS_SERVER_DRBG)
    return mbedtls_pk_parse_keyfile(&s->pk, s->key, NULL, mbedtls_ctr_drbg_random, &s->drbg);
#else
    return mbedtls_pk_parse_keyfile(&s->pk, s->key, NULL);
#endif
}

/* 0; 3: not with this mbedTLS; else what failed. */
static int tls_setup(tls_server *s)
{
    int rc = 0;
    mbedtls_ssl_config_init(&s->conf);
    mbedtls_x509_crt_init(&s->chain);
    mbedtls_x509_crt_init(&s->ca);
    mbedtls_pk_init(&s->pk);
#ifdef TLS_SERVER_PSA
    if (psa_crypto_init() != PSA_SUCCESS) return 1;
#endif
#ifdef TLS_SERVER_DRBG
    mbedtls_entropy_init(&s->entropy);
    mbedtls_ctr_drbg_init(&s->drbg);
    rc = mbedtls_ctr_drbg_seed(&s->drbg, mbedtls_entropy_func, &s->entropy, NULL, 0);
#endif
    if (!rc) rc = tls_chain(s);
    if (!rc) rc = tls_key(s);
    if (!rc && s->client_ca) rc = mbedtls_x509_crt_parse_file(&s->ca, s->client_ca);
    if (!rc) rc = mbedtls_ssl_config_defaults(&s->conf, MBEDTLS_SSL_IS_SERVER,
        MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    if (!rc) rc = mbedtls_ssl_conf_own_cert(&s->conf, &s->chain, &s->pk);
    if (rc) return rc;
#ifndef MBEDTLS_SSL_RENEGOTIATION
    if (s->act.what == TLS_END_RENEGOTIATE) return 3;
#endif
#ifndef MBEDTLS_SSL_MAX_FRAGMENT_LENGTH
    if (s->max_fragment) return 3;
#endif
#ifdef TLS_SERVER_DRBG
    mbedtls_ssl_conf_rng(&s->conf, mbedtls_ctr_drbg_random, &s->drbg);
#endif
#ifdef MBEDTLS_SSL_RENEGOTIATION
    mbedtls_ssl_conf_renegotiation(&s->conf, MBEDTLS_SSL_RENEGOTIATION_ENABLED);
#endif
    if (s->client_ca) {
        mbedtls_ssl_conf_ca_chain(&s->conf, &s->ca, NULL);
        mbedtls_ssl_conf_authmode(&s->conf, MBEDTLS_SSL_VERIFY_REQUIRED);
    }
    tls_curve(s);
    if (s->alpn[0]) rc = mbedtls_ssl_conf_alpn_protocols(&s->conf, s->alpn);
    if (!rc) rc = tls_versions(s);
    return rc ? rc : tls_tickets(s);
}

/* fin, rst, close, alert:LEVEL:CODE, ... */
static bool tls_act_of(tls_act *a, const char *at, const char *word)
{
    static const char *const words[] = { "fin", "rst", "close", "alert:", "garbage", "forged",
        "renegotiate" };
    int i;
    a->at = strtol(at, NULL, 10);
    for (i = 0; i < 7 && strncmp(word, words[i], strlen(words[i])); i++) {}
    a->what = i + 1;
    if (a->what == TLS_END_ALERT) return sscanf(word, "alert:%d:%d", &a->level, &a->code) == 2;
    return i < 7 && !strcmp(word, words[i]);
}

static bool tls_option(tls_server *s, const char *name, const char *value, int *port)
{
    char *list;
    int i;
    if (!strcmp(name, "--listen")) *port = atoi(value);
    else if (!strcmp(name, "--cert")) s->cert = value;
    else if (!strcmp(name, "--key")) s->key = value;
    else if (!strcmp(name, "--client-ca")) s->client_ca = value;
    else if (!strcmp(name, "--answer")) s->answer_file = value;
    else if (!strcmp(name, "--version")) s->version = !strcmp(value, "1.3") ? 3 : 2;
    else if (!strcmp(name, "--curve")) s->x25519 = !strcmp(value, "x25519");
    else if (!strcmp(name, "--tickets")) s->tickets = atoi(value);
    else if (!strcmp(name, "--max-fragment")) s->max_fragment = atoi(value);
    else if (!strcmp(name, "--times")) s->times = atoi(value);
    else if (!strcmp(name, "--split")) s->split = atoi(value);
    else if (strcmp(name, "--alpn")) return false;
    else for (i = 0, list = strdup(value); i < 7 && (s->alpn[i] = strsep(&list, ",")) != NULL; i++) {}
    return true;
}

static bool tls_options(tls_server *s, int argc, char **argv, int *port)
{
    int i;
    for (i = 1; i < argc; i++) {
        tls_act *a = !strcmp(argv[i], "--at") ? &s->act
                   : !strcmp(argv[i], "--at-wire") ? &s->wire : NULL;
        if (i + 1 + (a != NULL) >= argc) return false;
        if (a ? !tls_act_of(a, argv[i + 1], argv[i + 2])
              : !tls_option(s, argv[i], argv[i + 1], port)) return false;
        i += 1 + (a != NULL);
    }
    return s->cert && s->key && *port >= 0;
}

static bool tls_load_answer(tls_server *s)
{
    static const char none[] = "HTTP/1.1 204 No Content\r\n\r\n";
    FILE *f = s->answer_file ? fopen(s->answer_file, "rb") : NULL;
    s->answer_len = sizeof none - 1;
    memcpy(s->answer, none, sizeof none);
    if (f) s->answer_len = fread(s->answer, 1, sizeof s->answer, f);
    if (f) fclose(f);
    return f || !s->answer_file;
}

int main(int argc, char **argv)
{
    static tls_server s;
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    int port = -1, rc, fd, on = 1;
    s.tickets = s.times = -1;
    s.act.at = s.wire.at = -1;
    if (!tls_options(&s, argc, argv, &port) || !tls_load_answer(&s)) {
        fprintf(stderr, "tls_server: see the beginning of tls_server.c\n");
        return 2;
    }
    rc = tls_setup(&s);
    if (rc == 3) return 3;
    if (rc) {
        fprintf(stderr, "tls_server: -0x%04x\n", rc < 0 ? -rc : rc);
        return 1;
    }
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons((uint16_t)port);
    s.listen = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(s.listen, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s.listen, (struct sockaddr *)&a, len) != 0 || listen(s.listen, 64) != 0
        || getsockname(s.listen, (struct sockaddr *)&a, &len) != 0) {
        perror("tls_server");
        return 1;
    }
    printf("%u\n", ntohs(a.sin_port));
    fflush(stdout);
    signal(SIGCHLD, SIG_IGN);
    while ((fd = accept(s.listen, NULL, NULL)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (tls_shared) s.act = tls_shared->act, s.wire = tls_shared->wire;
        if (s.times == 0) s.act.at = s.wire.at = -1;
        if (s.times > 0) s.times--;
        if (fork() == 0) {
            alarm(60); /* a forgotten one ends */
            close(s.listen);
            tls_connection(&s, fd);
            _exit(0);
        }
        close(fd);
    }
    return 1;
}
