/* A peer whose TLS is bad, or odd: certificates it should not show, answers that are
   cut, spoiled or forged, and what a client must ask for. Each call ends with its own
   error, in time, leaks nothing, and the next one works. The peers are tls_server's;
   certificates come from SBX_TEST_CERTS (tests/live/certs.sh). */
#define _GNU_SOURCE
#include "live.h"
#include "../peer/hostile.h"
#include <sys/mman.h>
#include <sys/wait.h>
#define main tls_server_main
#include "../peer/tls_server.c"
#undef main

enum { CREATE, READ, READ_TO_CLOSE, RUN };

static const char created[] = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
    "Content-Length: 86\r\n\r\n" HOSTILE_CREATED;
static const char to_close[] = "HTTP/1.1 200 OK\r\n\r\nhello";
static const struct { const char *bytes; size_t len; } answers[] = {
    { created, sizeof created - 1 }, { hostile_file, sizeof hostile_file - 1 },
    { to_close, sizeof to_close - 1 }, { hostile_stream, sizeof hostile_stream - 1 } };

typedef struct meeting {
    const char *cert;       /* NULL: localhost */
    const char *host;       /* in the URL, NULL: localhost */
    const char *options[8]; /* of the server */
    int what;
    sbx_tls tls;
    int32_t retries;
    /* of the peer and the client */
    pid_t pid;
    uint16_t port;
    sbx_client *client;
    sbx_sandbox *sandbox;
    sbx_error error;
    char got[64];
    size_t got_len;
    double took;
} meeting;

static const char *file_of(char out[512], const char *name, const char *ending)
{
    snprintf(out, 512, "%s/%s.%s", getenv("SBX_TEST_CERTS"), name, ending);
    return out;
}

/* 1: it runs. 0: it did not start. 3: this mbedTLS cannot do that. */
static int meeting_peer(meeting *m)
{
    char cert[512], key[512], answer[512], line[16] = "";
    const char *argv[20] = { "tls_server", "--listen", "0", "--cert", cert, "--key", key,
        "--answer", answer };
    const char *name = m->cert ? m->cert : "localhost";
    int out[2], n = 9, i, status = 0;
    FILE *f;
    file_of(cert, name, "pem");
    file_of(key, name, "key");
    snprintf(answer, sizeof answer, "%s/answer-%d", getenv("SBX_TEST_CERTS"), (int)getpid());
    f = fopen(answer, "wb");
    if (!f || fwrite(answers[m->what].bytes, 1, answers[m->what].len, f) != answers[m->what].len
        || fclose(f) != 0 || pipe(out) != 0) return 0;
    for (i = 0; i < 8 && m->options[i]; i++) argv[n++] = m->options[i];
    m->pid = fork();
    if (m->pid == 0) {
        dup2(out[1], 1);
        close(out[0]);
        alarm(300);
        _exit(tls_server_main(n, (char **)argv));
    }
    close(out[1]);
    for (i = 0; i < 15 && read(out[0], line + i, 1) == 1 && line[i] != '\n'; i++) {}
    close(out[0]);
    unlink(answer);
    m->port = (uint16_t)atoi(line);
    if (m->port) return 1;
    waitpid(m->pid, &status, 0);
    m->pid = 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 3 ? 3 : 0;
}

static int meeting_call(meeting *m)
{
    sbx_call call;
    sbx_command_options o;
    sbx_memory to;
    sbx_sandbox *made = NULL;
    double t = live_now();
    int rc;
    memset(&call, 0, sizeof call);
    memset(&o, 0, sizeof o);
    memset(&to, 0, sizeof to);
    memset(&m->error, 0, sizeof m->error);
    call.error = &m->error;
    call.timeout_ms = 5000;
    to.data = m->got;
    to.cap = sizeof m->got;
    o.out = sbx_sink_memory(&to);
    if (m->what == CREATE) rc = sbx_sandbox_create(m->client, NULL, &made, &call);
    else if (m->what == RUN) rc = sbx_command_run(m->sandbox, "true", &o, NULL, &call);
    else rc = sbx_files_read(m->sandbox, "x", NULL, sbx_sink_memory(&to), &call);
    m->took = live_now() - t;
    m->got_len = to.len;
    sbx_sandbox_release(made);
    return rc;
}

/* False: no peer, no client, or not with this mbedTLS. */
static bool meeting_begin(meeting *m)
{
    sbx_sandbox_access access;
    sbx_config cfg;
    char url[64], ca[512];
    int peer = meeting_peer(m);
    if (peer == 3) printf("  %s: not with this mbedTLS\n", test_row ? test_row : "");
    if (peer == 3 || !CHECK_INT(peer, 1)) return false;
    memset(&cfg, 0, sizeof cfg);
    memset(&access, 0, sizeof access);
    snprintf(url, sizeof url, "https://%s:%u", m->host ? m->host : "localhost", m->port);
    cfg.provider = &sbx_e2b;
    cfg.environment = SBX_NO;
    cfg.api_key = "e2b_0000000000000000000000000000000000000000";
    cfg.api_url = cfg.sandbox_url = url;
    cfg.retries = m->retries ? m->retries : SBX_NEVER;
    cfg.tls = m->tls;
    cfg.tls.ca_file = file_of(ca, "ca", "pem");
    access.access_token = "tok";
    access.daemon_version = "0.6.4";
    m->client = live_open(&cfg);
    return CHECK(m->client)
        && CHECK_INT(sbx_sandbox_attach(m->client, "box1", &access, &m->sandbox), SBX_OK);
}

static void meeting_end(meeting *m)
{
    sbx_sandbox_release(m->sandbox);
    if (m->client) live_close(m->client);
    if (m->pid > 0) {
        kill(m->pid, SIGKILL);
        waitpid(m->pid, NULL, 0);
    }
}

static void check_good(meeting *m)
{
    int rc = meeting_call(m);
    if (rc != SBX_OK) printf("  %s: %s\n", sbx_status_name(rc), m->error.message);
    CHECK_INT(rc, SBX_OK);
    if (m->what != CREATE) CHECK_MEM(m->got, m->got_len, "hello", 5);
}

/* Nothing was asked of a peer that is not the right one. */
static void check_refused(meeting *m, int status, sbx_tls_check tls)
{
    int rc = meeting_call(m);
    if (rc != status || m->error.tls != tls)
        printf("  %s: %s\n", sbx_status_name(rc), m->error.message);
    CHECK_INT(rc, status);
    CHECK_INT(m->error.tls, tls);
    CHECK_INT(m->error.http_status, 0);
    CHECK(m->error.may_exist != SBX_YES && m->error.message[0]);
    CHECK_INT(m->got_len, 0);
    CHECK(m->took < 3);
}

#define NEED_CERTS() do { if (!getenv("SBX_TEST_CERTS")) SKIP("no SBX_TEST_CERTS"); } while (0)
#define COUNT(list) (sizeof (list) / sizeof *(list))

TEST(certificates)
{
    static const struct { const char *cert; sbx_tls_check tls; const char *host; } list[] = {
        { "localhost", SBX_TLS_NONE, NULL }, { "rsa", SBX_TLS_NONE, NULL }, { "chain", SBX_TLS_NONE, NULL },
        { "noinner", SBX_TLS_UNTRUSTED, NULL }, { "selfsigned", SBX_TLS_UNTRUSTED, NULL },
        { "byleaf", SBX_TLS_UNTRUSTED, NULL }, { "expired", SBX_TLS_EXPIRED, NULL },
        { "chainexpired", SBX_TLS_EXPIRED, NULL }, { "future", SBX_TLS_NOT_YET_VALID, NULL },
        { "wronghost", SBX_TLS_WRONG_HOST, NULL }, { "ip", SBX_TLS_WRONG_HOST, NULL },
        { "sha1", SBX_TLS_BAD_CERT, NULL }, { "weak", SBX_TLS_BAD_CERT, NULL },
        { "clientonly", SBX_TLS_BAD_CERT, NULL }, { "oldkey", SBX_TLS_BAD_CERT, NULL },
        { "constrained", SBX_TLS_BAD_CERT, NULL },
        { "nulname", SBX_TLS_WRONG_HOST, NULL }, { "wildip", SBX_TLS_WRONG_HOST, NULL },
        { "ip", SBX_TLS_NONE, "127.0.0.1" }, { "localhost", SBX_TLS_WRONG_IP, "127.0.0.1" },
        { "noip", SBX_TLS_WRONG_IP, "127.0.0.1" }, { "wildip", SBX_TLS_WRONG_IP, "127.0.0.1" },
        { "selfsigned", SBX_TLS_UNTRUSTED, "127.0.0.1" }
    };
    size_t i;
    NEED_CERTS();
    for (i = 0; i < 2 * COUNT(list); i++) {
        meeting m;
        memset(&m, 0, sizeof m);
        test_row = m.cert = list[i / 2].cert;
        m.host = list[i / 2].host;
        m.what = i % 2 ? READ : CREATE;
        if (meeting_begin(&m)) {
            if (list[i / 2].tls == SBX_TLS_NONE) check_good(&m);
            else check_refused(&m, SBX_E_TLS, list[i / 2].tls);
            if (list[i / 2].tls != SBX_TLS_NONE) check_refused(&m, SBX_E_TLS, list[i / 2].tls);
        }
        meeting_end(&m);
    }
    test_row = NULL;
}

/* What a peer may do. */
TEST(odd_but_good)
{
    static const struct { const char *name, *options[6]; int32_t max_fragment; bool known; } list[] = {
        { "TLS 1.2", { "--version", "1.2" }, 0, false },
        { "TLS 1.3, a second hello", { "--version", "1.3" }, 0, false },
        { "TLS 1.3, one hello", { "--version", "1.3", "--curve", "x25519" }, 0, false },
        { "no tickets", { "--tickets", "0" }, 0, false },
        { "many tickets", { "--tickets", "20" }, 0, false },
        { "byte by byte", { "--split", "1" }, 0, false },
        { "byte by byte, 1.3", { "--split", "1", "--version", "1.3", "--tickets", "9" }, 0, false },
        { "ALPN", { "--alpn", "http/1.1" }, 0, false },
        { "ALPN, others first", { "--alpn", "h2,http/1.1" }, 0, false },
        { "small records", { "--max-fragment", "1024", "--version", "1.2" }, 1024, false },
        { "who is there?", { "--client-ca", "ca", "--version", "1.2" }, 0, true },
        { "who is there, 1.3?", { "--client-ca", "ca", "--version", "1.3" }, 0, true },
        { "a warning in the head", { "--at", "20", "alert:1:90", "--version", "1.2" }, 0, false },
        { "a warning first", { "--at", "0", "alert:1:90", "--version", "1.2" }, 0, false },
        { "once more?", { "--at", "0", "renegotiate", "--version", "1.2" }, 0, false },
        { "once more in a head?", { "--at", "20", "renegotiate", "--version", "1.2" }, 0, false },
    };
    char ca[512], cert[512], key[512];
    size_t i;
    int what;
    NEED_CERTS();
    for (i = 0; i < COUNT(list); i++)
        for (what = CREATE; what <= RUN; what++) {
            meeting m;
            if (what == READ_TO_CLOSE) continue; /* tls_server keeps its connections */
            memset(&m, 0, sizeof m);
            test_row = list[i].name;
            memcpy(m.options, list[i].options, sizeof list[i].options);
            m.what = what;
            m.tls.max_fragment = list[i].max_fragment;
            if (list[i].known) {
                m.options[1] = file_of(ca, "ca", "pem");
                m.tls.cert_file = file_of(cert, "client", "pem");
                m.tls.key_file = file_of(key, "client", "key");
            }
            if (meeting_begin(&m)) {
                check_good(&m);
                check_good(&m);
            }
            meeting_end(&m);
        }
    test_row = NULL;
}

TEST(no_agreement)
{
    static const struct { const char *name, *options[6]; const char *says; } list[] = {
        { "ALPN", { "--alpn", "h2" }, "handshake" },
        { "large records", { "--max-fragment", "1024", "--version", "1.2" }, "handshake" },
        { "who is there?", { "--client-ca", "ca", "--version", "1.2" }, "client certificate" },
        { "an alert first", { "--at-wire", "0", "alert:2:40" }, "handshake" },
        { "an alert in the handshake", { "--at-wire", "60", "alert:2:80" }, NULL },
        { "HTTP on a port for TLS", { "--at-wire", "0", "garbage" }, "TLS" },
        { "garbage in the handshake", { "--at-wire", "200", "garbage" }, NULL },
    };
    char ca[512];
    size_t i;
    NEED_CERTS();
    for (i = 0; i < 2 * COUNT(list); i++) {
        meeting m;
        memset(&m, 0, sizeof m);
        test_row = list[i / 2].name;
        memcpy(m.options, list[i / 2].options, sizeof list[i / 2].options);
        if (!strcmp(m.options[0], "--client-ca")) m.options[1] = file_of(ca, "ca", "pem");
        m.what = i % 2 ? READ : CREATE;
        if (meeting_begin(&m)) {
            check_refused(&m, SBX_E_TLS, SBX_TLS_HANDSHAKE);
            if (list[i / 2].says && !CHECK(strstr(m.error.message, list[i / 2].says)))
                printf("  %s\n", m.error.message);
        }
        meeting_end(&m);
    }
    test_row = NULL;
}

/* In TLS 1.3 the peer looks at our certificate when all is over for us. mbedTLS then
   says no under keys that a client has left behind: what comes cannot be read. */
TEST(no_agreement_too_late)
{
    char ca[512];
    int what;
    NEED_CERTS();
    for (what = CREATE; what <= READ; what++) {
        meeting m;
        memset(&m, 0, sizeof m);
        m.options[0] = "--client-ca";
        m.options[1] = file_of(ca, "ca", "pem");
        m.options[2] = "--version";
        m.options[3] = "1.3";
        m.what = what;
        if (meeting_begin(&m)) {
            CHECK_INT(meeting_call(&m), what == CREATE ? SBX_E_NETWORK : SBX_E_UNREACHABLE);
            CHECK_INT(m.error.tls, SBX_TLS_BROKEN);
            CHECK_INT(m.error.may_exist, what == CREATE ? SBX_YES : SBX_DEFAULT);
            if (what == CREATE) CHECK(strstr(m.error.message, "alert"));
        }
        meeting_end(&m);
    }
}

/* ---- one peer for many connections: what it does to each is shared with it ---- */

static bool sharing_begin(meeting *m, int what, sbx_choice resume)
{
    memset(m, 0, sizeof *m);
    if (tls_shared) munmap(tls_shared, sizeof *tls_shared);
    tls_shared = mmap(NULL, sizeof *tls_shared, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tls_shared->act.at = tls_shared->wire.at = -1;
    m->what = what;
    m->retries = SBX_NEVER;
    m->tls.resume = resume;
    return meeting_begin(m);
}

static void sharing_end(meeting *m)
{
    meeting_end(m);
    munmap(tls_shared, sizeof *tls_shared);
    tls_shared = NULL;
    test_row = NULL;
}

/* Cut in the handshake: nobody was asked anything, so all of it may be tried again. */
TEST(cut_in_the_handshake)
{
    char row[32];
    meeting m;
    int n;
    NEED_CERTS();
    if (sharing_begin(&m, CREATE, SBX_NO)) {
        for (n = 0; n < 2 * 700; n += n < 12 ? 1 : 23) {
            test_row = row;
            snprintf(row, sizeof row, "%d, %s", n / 2, n % 2 ? "reset" : "closed");
            tls_shared->wire.at = n / 2;
            tls_shared->wire.what = n % 2 ? TLS_END_RST : TLS_END_FIN;
            check_refused(&m, SBX_E_NETWORK, SBX_TLS_NONE);
        }
        tls_shared->wire.at = -1;
        check_good(&m);
    }
    sharing_end(&m);
}

/* ... by a client that may: it is as if nothing had been. */
TEST(tried_again)
{
    meeting m;
    NEED_CERTS();
    memset(&m, 0, sizeof m);
    m.retries = 1;
    m.options[0] = "--at-wire";
    m.options[1] = "100";
    m.options[2] = "rst";
    m.options[3] = "--times";
    m.options[4] = "1";
    if (meeting_begin(&m)) check_good(&m);
    meeting_end(&m);
}

/* Without close_notify an end is no end, wherever it comes; and what stands in no
   record of the connection is no answer. The probe after a call is spoiled too. */
static void spoiled(int what, tls_act act, size_t step)
{
    bool broken = act.what >= TLS_END_ALERT;
    size_t n, len = answers[what].len, whole = what == READ_TO_CLOSE ? len + 1 : len;
    meeting m;
    if (what == RUN) /* its end event has come */
        whole = (size_t)((const char *)memmem(hostile_stream, len, "exited\"}}}", 10)
                         - hostile_stream) + 10;
    if (!sharing_begin(&m, what, SBX_DEFAULT)) return;
    for (n = 0; n <= len; n += step) {
        char row[64];
        int rc, want = what == CREATE ? SBX_E_NETWORK : SBX_E_UNREACHABLE;
        test_row = row;
        snprintf(row, sizeof row, "call %d, end %d after %u of %u", what, act.what, (unsigned)n,
                 (unsigned)len);
        act.at = (long)n;
        tls_shared->act = act;
        rc = meeting_call(&m);
        CHECK_INT(rc, n >= whole ? SBX_OK : want);
        CHECK_INT(m.error.tls, rc == SBX_OK || !broken ? SBX_TLS_NONE : SBX_TLS_BROKEN);
        CHECK(m.took < 3);
        CHECK(m.got_len <= 5 && memcmp(m.got, "hello", m.got_len) == 0);
        if (rc != SBX_OK) CHECK(m.error.message[0]);
        if (what == CREATE && n < whole) CHECK_INT(m.error.may_exist, SBX_YES);
        if (n % 16 || what == READ_TO_CLOSE) continue;
        tls_shared->act.at = (long)len; /* and no connection is kept */
        tls_shared->act.what = TLS_END_CLOSE;
        check_good(&m);
    }
    sharing_end(&m);
}

TEST(truncated_at_every_byte)
{
    static const tls_act fin = { 0, TLS_END_FIN, 0, 0 }, rst = { 0, TLS_END_RST, 0, 0 };
    int what;
    NEED_CERTS();
    for (what = CREATE; what <= RUN; what++) {
        spoiled(what, fin, what == RUN ? 5 : 1);
        spoiled(what, rst, 11);
    }
}

/* Said properly, but too early. */
TEST(closed_in_the_middle)
{
    static const tls_act notify = { 0, TLS_END_CLOSE, 0, 0 };
    NEED_CERTS();
    spoiled(CREATE, notify, 13);
    spoiled(READ, notify, 13);
    spoiled(RUN, notify, 13);
}

/* What nobody signed is no answer; the peer that gives up has not answered. */
TEST(forged_in_the_middle)
{
    static const tls_act how[] = { { 0, TLS_END_GARBAGE, 0, 0 }, { 0, TLS_END_FORGED, 0, 0 },
        { 0, TLS_END_ALERT, 2, 20 }, { 0, TLS_END_ALERT, 2, 80 }, { 0, TLS_END_ALERT, 2, 48 } };
    size_t i;
    int what;
    NEED_CERTS();
    for (i = 0; i < COUNT(how); i++)
        for (what = CREATE; what <= RUN; what++) spoiled(what, how[i], 31);
}

/* The one way in which a body without a length ends. */
TEST(close_notify_ends_a_body)
{
    char at[16];
    meeting m;
    NEED_CERTS();
    memset(&m, 0, sizeof m);
    snprintf(at, sizeof at, "%u", (unsigned)sizeof to_close - 1);
    m.what = READ_TO_CLOSE;
    m.options[0] = "--at";
    m.options[1] = at;
    m.options[2] = "close";
    if (meeting_begin(&m)) check_good(&m);
    meeting_end(&m);
}
