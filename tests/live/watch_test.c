/* Watching on a real host: every way of it, trees with renames, entries, what ends
   a watch; and signed URLs, which are of files too. */
#include "live.h"
#include <arpa/inet.h>
#include <sys/socket.h>

typedef struct seen { char text[8192]; size_t len; bool entry; int answer; } seen;

static int note(void *ctx, const sbx_watch_event *e)
{
    static const char letters[] = "?CWRNM"; /* create, write, remove, rename, mode */
    seen *s = (seen *)ctx;
    int n = snprintf(s->text + s->len, sizeof s->text - s->len, "%c %s\n", letters[e->type], e->name);
    if (n > 0 && (size_t)n < sizeof s->text - s->len) s->len += (size_t)n;
    if (e->entry) {
        s->entry = true;
        CHECK(e->type != SBX_WATCH_REMOVE && e->type != SBX_WATCH_RENAME);
        CHECK(strstr(e->entry->path, e->name) && e->entry->owner[0] && e->entry->permissions[0]);
    }
    return s->answer;
}

static void sh(sbx_sandbox *s, const char *cmd)
{
    sbx_command_result r;
    if (!CHECK_INT(live_sh(s, cmd, &r), SBX_OK) || !CHECK_INT(r.exit_code, 0))
        printf("%s: %s\n", cmd, r.err ? r.err : "");
    sbx_free(r.out);
    sbx_free(r.err);
}

/* Until `last` has come, by whatever way the watch works. */
static bool wait_for(sbx_client *c, sbx_watch *w, bool ask, seen *got, const char *last)
{
    double t = live_now();
    while (!strstr(got->text, last) && live_now() - t < 15 && sbx_watch_status(w) == SBX_PENDING) {
        if (ask && sbx_watch_poll(w, NULL) != SBX_OK) return false;
        sbx_poll(c, 20, NULL);
    }
    return strstr(got->text, last) != NULL;
}

TEST(every_way)
{
    static const struct { const char *name; sbx_watch_mode mode; int32_t interval; } ways[] = {
        { "default", SBX_WATCH_DEFAULT, 0 }, { "stream", SBX_WATCH_STREAM, 0 },
        { "ask", SBX_WATCH_ASK, 100 }, { "manual", SBX_WATCH_ASK, SBX_NEVER } };
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    size_t i;
    REQUIRE(s);
    for (i = 0; i < sizeof ways / sizeof *ways; i++) {
        sbx_watch_options o;
        sbx_watch *w = NULL;
        static seen got;
        bool manual = ways[i].interval == SBX_NEVER;
        test_row = ways[i].name;
        memset(&o, 0, sizeof o);
        memset(&got, 0, sizeof got);
        sh(s, "rm -rf w; mkdir -p w/sub");
        o.mode = ways[i].mode;
        o.interval_ms = ways[i].interval;
        CHECK_INT(sbx_files_watch(s, "w", &o, note, &got, &w, NULL), SBX_OK);
        REQUIRE(w);
        sh(s, "cd w; echo 1 > f; chmod 600 f; mv f g; : > sub/unseen; rm g; : > end");
        CHECK(wait_for(c, w, manual, &got, "C end\n"));
        CHECK(strncmp(got.text, "C f\nW f\nM f\nN f\nC g\nR g\nC end\n", 30) == 0);
        CHECK(!got.entry);
        got.len = 0;
        got.text[0] = 0;
        CHECK_INT(sbx_files_write_bytes(s, "w/up", "1", 1, NULL, NULL, NULL), SBX_OK);
        CHECK(wait_for(c, w, manual, &got, "W up\n"));
        CHECK(strstr(got.text, "C up\nW up\n"));
        CHECK(!strstr(got.text, ".sbx"));
        CHECK_INT(sbx_watch_status(w), SBX_PENDING);
        CHECK_INT(sbx_watch_stop(w, NULL), SBX_OK);
        CHECK_INT(sbx_watch_status(w), SBX_OK);
        got.len = 0;
        got.text[0] = 0;
        sh(s, ": > w/after");
        CHECK_INT(got.len, 0);
        sbx_watch_release(w);
    }
    test_row = NULL;
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

TEST(a_tree)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_watch_options o;
    int way;
    REQUIRE(s);
    for (way = 0; way < 2; way++) {
        sbx_watch *w = NULL;
        static seen got;
        memset(&o, 0, sizeof o);
        memset(&got, 0, sizeof got);
        sh(s, "rm -rf w away; mkdir -p w/sub/deep");
        o.mode = way ? SBX_WATCH_ASK : SBX_WATCH_STREAM;
        o.interval_ms = 50;
        o.recursive = SBX_YES;
        o.entries = SBX_YES;
        CHECK_INT(sbx_files_watch(s, "w", &o, note, &got, &w, NULL), SBX_OK);
        REQUIRE(w);
        /* what was in a new directory is told once it was listed: it stays until then */
        sh(s, "cd w; : > sub/deep/x; mkdir -p n/a; mv n sub/m; : > sub/m/a/y");
        CHECK(wait_for(c, w, false, &got, "C sub/m/a/y\n"));
        sh(s, "cd w; mv sub/m ../away; : > ../away/a/z; rm -r sub; : > end");
        CHECK(wait_for(c, w, false, &got, "C end\n"));
        CHECK(strstr(got.text, "C sub/deep/x\n"));
        CHECK(strstr(got.text, "N n\nC sub/m\n"));
        CHECK(strstr(got.text, "C sub/m/a/y\n"));
        CHECK(strstr(got.text, "N sub/m\n"));
        CHECK(!strstr(got.text, "/z\n"));
        CHECK(strstr(got.text, "R sub/deep/x\n"));
        CHECK(strstr(got.text, "R sub\n"));
        CHECK(got.entry);
        sbx_watch_release(w); /* stopped behind our back */
    }
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}

TEST(ends)
{
    sbx_client *c = live_open(NULL);
    sbx_sandbox *s = live_sandbox(c);
    sbx_watch_options o;
    sbx_watch *w = NULL, *asked = NULL;
    static seen got, other;
    double t;
    REQUIRE(s);
    memset(&o, 0, sizeof o);
    memset(&got, 0, sizeof got);
    memset(&other, 0, sizeof other);
    CHECK_INT(sbx_files_watch(s, "none", &o, note, &got, &w, NULL), SBX_E_NOT_FOUND);
    CHECK(w == NULL);
    sh(s, "mkdir w; : > file");
    CHECK_INT(sbx_files_watch(s, "file", &o, note, &got, &w, NULL), SBX_E_NOT_A_FILE);
    CHECK(w == NULL);
    /* the callback has enough */
    got.answer = SBX_E_TOO_LARGE;
    CHECK_INT(sbx_files_watch(s, "w", &o, note, &got, &w, NULL), SBX_OK);
    REQUIRE(w);
    sh(s, ": > w/a");
    for (t = live_now(); sbx_watch_status(w) == SBX_PENDING && live_now() - t < 10;)
        sbx_poll(c, 20, NULL);
    CHECK_INT(sbx_watch_status(w), SBX_E_TOO_LARGE);
    sbx_watch_release(w);
    /* the sandbox dies */
    got.answer = SBX_OK;
    CHECK_INT(sbx_files_watch(s, "w", &o, note, &got, &w, NULL), SBX_OK);
    o.mode = SBX_WATCH_ASK;
    o.interval_ms = SBX_NEVER;
    CHECK_INT(sbx_files_watch(s, "w", &o, note, &other, &asked, NULL), SBX_OK);
    REQUIRE(w && asked);
    CHECK_INT(sbx_sandbox_kill(s, NULL, NULL), SBX_OK);
    for (t = live_now(); sbx_watch_status(w) == SBX_PENDING && live_now() - t < 10;)
        sbx_poll(c, 20, NULL);
    CHECK_INT(sbx_watch_status(w), SBX_E_SANDBOX_GONE);
    CHECK_INT(sbx_watch_poll(asked, NULL), SBX_E_SANDBOX_GONE);
    sbx_watch_release(w);
    sbx_watch_release(asked);
    sbx_sandbox_release(s);
    live_close(c);
}

/* ---- signed URLs ---- */

/* The status of a plain request; its body to *body. */
static int http_request(const char *method, const char *url, const char *id, const char *send,
    char *body, size_t cap)
{
    static char text[8192];
    struct sockaddr_in to;
    const char *path = strchr(url + 7, '/'), *colon = strchr(url + 7, ':');
    int fd = socket(AF_INET, SOCK_STREAM, 0), status = 0, n;
    size_t len = 0;
    ssize_t got;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!path || !colon) return -1;
    to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) return -1;
    n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: localhost\r\nE2b-Sandbox-Id: %s\r\n"
        "E2b-Sandbox-Port: 49983\r\nContent-Type: application/octet-stream\r\nContent-Length: %u\r\n"
        "Connection: close\r\n\r\n%s", method, path, id, (unsigned)strlen(send), send);
    if (write(fd, text, (size_t)n) != n) return -1;
    while ((got = read(fd, text + len, sizeof text - 1 - len)) > 0) len += (size_t)got;
    text[len] = 0;
    close(fd);
    sscanf(text, "HTTP/1.1 %d", &status);
    snprintf(body, cap, "%s", strstr(text, "\r\n\r\n") ? strstr(text, "\r\n\r\n") + 4 : "");
    return status;
}

TEST(signed_urls)
{
    sbx_client *c;
    sbx_sandbox *s;
    sbx_url_options o;
    const char *id;
    char url[1024], body[512];
    if (!getenv("SBX_TEST_HOST") || strcmp(getenv("SBX_TEST_HOST"), "plain") != 0) SKIP("plain only");
    c = live_open(NULL);
    s = live_sandbox(c);
    REQUIRE(s);
    id = sbx_sandbox_id(s);
    memset(&o, 0, sizeof o);
    o.upload = SBX_YES;
    CHECK_INT(sbx_files_url(s, "/home/user/a b+c.txt", &o, url, sizeof url, NULL), SBX_OK);
    CHECK_INT(http_request("POST", url, id, "by url", body, sizeof body), 200);
    CHECK_INT(http_request("GET", url, id, "", body, sizeof body), 401);
    CHECK(strstr(body, "invalid signature"));
    o.upload = SBX_NO;
    o.expires_s = 2;
    CHECK_INT(sbx_files_url(s, "/home/user/a b+c.txt", &o, url, sizeof url, NULL), SBX_OK);
    CHECK_INT(http_request("GET", url, id, "", body, sizeof body), 200);
    CHECK_STR(body, "by url");
    sleep(4);
    CHECK_INT(http_request("GET", url, id, "", body, sizeof body), 401);
    CHECK(strstr(body, "expired"));
    o.expires_s = 0;
    o.user = "root";
    CHECK_INT(sbx_files_url(s, "/home/user/a b+c.txt", &o, url, sizeof url, NULL), SBX_OK);
    CHECK_INT(http_request("GET", url, id, "", body, sizeof body), 200);
    url[strlen(url) - 1] = url[strlen(url) - 1] == 'A' ? 'B' : 'A';
    CHECK_INT(http_request("GET", url, id, "", body, sizeof body), 401);
    sbx_sandbox_kill(s, NULL, NULL);
    sbx_sandbox_release(s);
    live_close(c);
}
