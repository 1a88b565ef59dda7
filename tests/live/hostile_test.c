/* A peer that means no good, or none at all: whatever it answers, the call ends
   with the right status, in bounded time and memory, leaks nothing, and the
   client can be used afterwards. Peers of its own; the host is not needed.

   The classes of curl's vulnerabilities, and where each is tried:
     verification off, IP hosts, NUL and      tls_test (unit), tls_peer_test
       wildcards in names
     sessions across different trust          tls_test (unit): sessions_*
     connections with the wrong identity      net_test (unit), bytes_behind_an_answer
     credentials to another host              redirects_are_errors, the_key_stays_...
     headers and memory without bounds        floods, json_floods, pages_without_end
     loops without end                        floods, slow_loris, stalls, pages_...
     URL confusion, request injection         names_from_a_reply
     truncated or odd numbers                 framing, chunks, every_flag_of_..., streams */
#define _GNU_SOURCE
#define SBX_MAX_RESULT 8192
#include "live.h"
#include "../peer/hostile.h"

enum { CREATE = 1, RUN = 2, READ = 4, LIST = 8, STAT = 16, LSDIR = 32, WRITE = 64, ALL = 7,
       EACH = 127 };
#define MEMORY 98304 /* kept connections, eight at most, take 67,000 of it */
#define KEY "e2b_5ec4e7000000000000000000000000000000000f"

typedef struct site {
    hostile ctl, box;       /* control plane, and the host of sandboxes */
    char ctl_url[64], box_url[64];
    unsigned char *memory;
    sbx_fixed fixed;
    sbx_client *client;
    sbx_sandbox *sandbox;
    char got[4096];
    sbx_memory sink;
    sbx_error error;
    double took;
} site;

static bool site_open(site *s, const sbx_clocks *clocks)
{
    sbx_config cfg;
    sbx_sandbox_access access;
    memset(&cfg, 0, sizeof cfg);
    memset(&access, 0, sizeof access);
    memset(&s->fixed, 0, sizeof s->fixed);
    s->memory = malloc(MEMORY);
    cfg.provider = &sbx_e2b;
    cfg.environment = SBX_NO;
    cfg.api_key = KEY;
    cfg.api_url = s->ctl_url;
    cfg.sandbox_url = s->box_url;
    cfg.alloc = sbx_alloc_fixed(&s->fixed, s->memory, MEMORY);
    cfg.retries = SBX_NEVER;
    if (clocks) cfg.clocks = *clocks;
    access.access_token = "tok";
    access.daemon_version = "0.6.4";
    return CHECK_INT(sbx_open(&s->client, &cfg), SBX_OK)
        && CHECK_INT(sbx_sandbox_attach(s->client, "box1", &access, &s->sandbox), SBX_OK);
}

/* Every byte must have come back. */
static void site_close(site *s)
{
    sbx_sandbox_release(s->sandbox);
    CHECK_INT(sbx_close(s->client), SBX_OK);
    CHECK_INT(s->fixed.used, 0);
    free(s->memory);
}

static bool site_start(site *s, const sbx_clocks *clocks)
{
    memset(s, 0, sizeof *s);
    if (!CHECK(hostile_start(&s->ctl)) || !CHECK(hostile_start(&s->box))) return false;
    snprintf(s->ctl_url, sizeof s->ctl_url, "http://127.0.0.1:%u", s->ctl.port);
    snprintf(s->box_url, sizeof s->box_url, "http://127.0.0.1:%u", s->box.port);
    return site_open(s, clocks);
}

static void site_end(site *s)
{
    site_close(s);
    hostile_end(&s->ctl);
    hostile_end(&s->box);
}

static int one_item(void *ctx, const sbx_sandbox_info *info)
{
    sbx_memory *m = ctx;
    CHECK(info->id != NULL);
    if (m->len < m->cap) ((char *)m->data)[m->len++] = 'i';
    return SBX_OK;
}

static int one_file(void *ctx, const sbx_file_info *info)
{
    sbx_memory *m = ctx;
    CHECK(info->name != NULL);
    if (m->len < m->cap) ((char *)m->data)[m->len++] = 'f';
    return SBX_OK;
}

/* One call; what came out stands in got, ms bounds it (0: only the clocks). */
static int site_call(site *s, int what, int32_t ms)
{
    sbx_call call;
    sbx_command_options o;
    sbx_command_result r;
    sbx_sandbox *made = NULL;
    sbx_file_info *file = NULL;
    double t = live_now();
    int rc;
    memset(&call, 0, sizeof call);
    memset(&o, 0, sizeof o);
    memset(&r, 0, sizeof r);
    memset(&s->error, 0, sizeof s->error);
    s->sink.data = s->got;
    s->sink.cap = sizeof s->got;
    s->sink.len = 0;
    s->sink.cut = 0;
    call.error = &s->error;
    call.timeout_ms = ms;
    o.out = o.err = sbx_sink_memory(&s->sink);
    if (what == CREATE)
        rc = sbx_sandbox_create(s->client, NULL, &made, &call);
    else if (what == RUN)
        rc = sbx_command_run(s->sandbox, "true", &o, &r, &call);
    else if (what == LIST)
        rc = sbx_sandbox_list(s->client, NULL, NULL, one_item, &s->sink, &call);
    else if (what == LSDIR)
        rc = sbx_files_list(s->sandbox, "/", NULL, one_file, &s->sink, &call);
    else if (what == STAT)
        rc = sbx_files_stat(s->sandbox, "/x", NULL, &file, &call);
    else if (what == WRITE)
        rc = sbx_files_write_bytes(s->sandbox, "x", s->got, sizeof s->got, NULL, &file, &call);
    else
        rc = sbx_files_read(s->sandbox, "x", NULL, sbx_sink_memory(&s->sink), &call);
    s->took = live_now() - t;
    CHECK((rc == SBX_OK) == (what == CREATE && made) || (rc == SBX_OK && what != CREATE));
    sbx_sandbox_release(made);
    sbx_free(file);
    return rc;
}

static bool at_control(int what) { return what == CREATE || what == LIST; }

static void site_attack(site *s, int what, const hostile_reply *r)
{
    const char *to = what == RUN ? "/Start" : what == STAT ? "/Stat" : what == LSDIR ? "/ListDir"
        : what == WRITE ? "POST /files" : "GET /files";
    hostile_set(&s->ctl, "/sandboxes", at_control(what) ? r : NULL);
    hostile_set(&s->box, to, at_control(what) ? NULL : r);
}

/* The client works after what it went through. */
static void site_good(site *s, int what)
{
    site_attack(s, what, NULL);
    CHECK_INT(site_call(s, what, 5000), SBX_OK);
    if (what == RUN || what == READ) CHECK_MEM(s->got, s->sink.len, "hello", 5);
    if (what == LIST || what == LSDIR) CHECK_INT(s->sink.len, 1);
}

static const char *what_name(int what)
{
    static const char *const names[] = { "create", "run", "read", "list", "stat", "list files",
        "write" };
    int i = 0;
    while (what >> i > 1) i++;
    return names[i];
}

typedef struct attack {
    const char *name;
    int what;               /* calls it is tried on */
    int status;             /* expected of each */
    hostile_reply reply;
    const char *got;        /* exact output, NULL: not looked at */
} attack;

/* A client for each case, so that nothing is learned from the one before. */
static void attack_run(site *s, const attack *a, int what)
{
    char row[128];
    int rc;
    snprintf(row, sizeof row, "%s, %s", a->name, what_name(what));
    test_row = row;
    site_attack(s, what, &a->reply);
    rc = site_call(s, what, a->status == SBX_E_TIMEOUT ? 150 : 500);
    if (rc != a->status)
        printf("  %s: %s: %s\n", row, sbx_status_name(rc), s->error.message);
    CHECK_INT(rc, a->status);
    CHECK(s->took < 1.0);
    CHECK(s->fixed.peak < 40000);
    if (rc != SBX_OK) CHECK(s->error.message[0] && s->error.status == rc);
    if (rc != SBX_OK && what == CREATE && s->error.http_status < 300)
        CHECK_INT(s->error.may_exist, SBX_YES);
    if (a->got) CHECK_MEM(s->got, s->sink.len, a->got, strlen(a->got));
    site_good(s, what);
    test_row = NULL;
    site_close(s);
    (void)site_open(s, NULL);
}

static void attack_all(const attack *list, size_t n)
{
    site s;
    size_t i;
    int what;
    REQUIRE(site_start(&s, NULL));
    for (i = 0; i < n; i++)
        for (what = CREATE; what <= WRITE; what *= 2)
            if (list[i].what & what) attack_run(&s, &list[i], what);
    site_end(&s);
}

#define COUNT(list) (sizeof (list) / sizeof *(list))
#define RAW(text) { .bytes = (text), .len = sizeof (text) - 1 }
#define BODY "\r\n\r\nhello"

/* ---- heads: the same for every call ---------------------------------------- */

#define HEAD(name, lines) { name, ALL, SBX_E_PROTOCOL, RAW("HTTP/1.1 200 OK\r\n" lines BODY), "" }
#define LINE(name, line) { name, ALL, SBX_E_PROTOCOL, RAW(line "\r\nContent-Length: 5" BODY), "" }

TEST(framing)
{
    static const attack list[] = {
        HEAD("CL and TE", "Content-Length: 5\r\nTransfer-Encoding: chunked"),
        HEAD("TE and CL", "Transfer-Encoding: chunked\r\nContent-Length: 5"),
        HEAD("two lengths", "Content-Length: 5\r\nContent-Length: 6"),
        HEAD("the same length twice", "Content-Length: 5\r\nContent-Length: 5"),
        HEAD("list of lengths", "Content-Length: 5, 5"),
        HEAD("empty length", "Content-Length:"),
        HEAD("negative length", "Content-Length: -5"),
        HEAD("length with plus", "Content-Length: +5"),
        HEAD("hex length", "Content-Length: 0x5"),
        HEAD("length with text", "Content-Length: 5 bytes"),
        HEAD("list of different lengths", "Content-Length: 5,6"),
        HEAD("two lengths in one value", "Content-Length: 5 5"),
        HEAD("length with a comma", "Content-Length: 5,"),
        HEAD("length with a semicolon", "Content-Length: 5;"),
        HEAD("length with a dot", "Content-Length: 5.0"),
        HEAD("length with an exponent", "Content-Length: 5e0"),
        HEAD("quoted length", "Content-Length: \"5\""),
        HEAD("two lengths, one in capitals", "Content-Length: 5\r\nCONTENT-LENGTH: 5"),
        HEAD("length, chunked and length", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
            "Content-Length: 5"),
        HEAD("length of 2^32 digits' kind", "Content-Length: 99999999999999999999999999999999999999"),
        HEAD("length of 2^63", "Content-Length: 9223372036854775808"),
        HEAD("length of 2^64 + 5", "Content-Length: 18446744073709551621"),
        HEAD("length with underscore", "Content-Length: 0_5"),
        HEAD("empty coding", "Transfer-Encoding:"),
        HEAD("chunked,", "Transfer-Encoding: chunked,"),
        HEAD("chunked;q=1", "Transfer-Encoding: chunked;q=1"),
        HEAD("chunked with a NUL", "Transfer-Encoding: chunked\0"),
        HEAD("identity", "Transfer-Encoding: identity\r\nContent-Length: 5"),
        HEAD("chunked, identity", "Transfer-Encoding: chunked, identity"),
        HEAD("chunked, then gzip", "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip"),
        HEAD("unknown coding", "Transfer-Encoding: gzip"),
        HEAD(",chunked", "Transfer-Encoding: ,chunked"),
        HEAD("gzip, chunked", "Transfer-Encoding: gzip, chunked"),
        HEAD("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        HEAD("chunked, chunked", "Transfer-Encoding: chunked, chunked"),
        HEAD("xchunked", "Transfer-Encoding: xchunked"),
        HEAD("vertical tab", "Transfer-Encoding: \vchunked"),
        HEAD("gzip not asked for", "Content-Encoding: gzip\r\nContent-Length: 5"),
        HEAD("unknown content coding", "Content-Encoding: br\r\nContent-Length: 5"),
        HEAD("NUL in a value", "A: b\0c\r\nContent-Length: 5"),
        HEAD("CR in a value", "A: b\rc\r\nContent-Length: 5"),
        HEAD("ESC in a value", "A: \033[2Jb\r\nContent-Length: 5"),
        HEAD("CR in a name", "A\rB: c\r\nContent-Length: 5"),
        HEAD("NUL in a name", "A\0B: c\r\nContent-Length: 5"),
        HEAD("CR LF after CR", "A: b\r\r\nContent-Length: 5"),
        HEAD("CR X for a line's end", "A: b\rXContent-Length: 5"),
        HEAD("bare LF", "A: b\nContent-Length: 5"),
        HEAD("DEL in a value", "A: b\177\r\nContent-Length: 5"),
        HEAD("folded line", "A: b\r\n c\r\nContent-Length: 5"),
        HEAD("folded length", "Content-Length:\r\n 5"),
        HEAD("space before the colon", "Content-Length : 5"),
        HEAD("tab before the colon", "Content-Length\t: 5"),
        HEAD("no name", ": b\r\nContent-Length: 5"),
        HEAD("no colon", "Content-Length 5"),
        HEAD("space in a name", "Content Length: 5"),
        HEAD("8-bit name", "\303\204: b\r\nContent-Length: 5"),
        LINE("HTTP/1.256", "HTTP/1.256 200 OK"),
        LINE("HTTP/257.1", "HTTP/257.1 200 OK"),
        LINE("HTTP/2", "HTTP/2 200 OK"),
        LINE("HTTP/2.0", "HTTP/2.0 200 OK"),
        LINE("HTTP/0.9", "HTTP/0.9 200 OK"),
        LINE("HTTP/1.2", "HTTP/1.2 200 OK"),
        LINE("8-bit version", "HTTP/1.\261 200 OK"),
        LINE("lower case", "http/1.1 200 OK"),
        LINE("ICY", "ICY 200 OK"),
        LINE("status of two digits", "HTTP/1.1 20 OK"),
        LINE("status of four digits", "HTTP/1.1 2000 OK"),
        LINE("status 099", "HTTP/1.1 099 OK"),
        LINE("status 000", "HTTP/1.1 000 OK"),
        LINE("status 1000", "HTTP/1.1 1000 OK"),
        LINE("status with a sign", "HTTP/1.1 +20 OK"),
        LINE("status in hex", "HTTP/1.1 0xC8 OK"),
        LINE("status with a letter", "HTTP/1.1 20O OK"),
        LINE("status with a dot", "HTTP/1.1 200.1 OK"),
        LINE("status behind a tab", "HTTP/1.1\t200 OK"),
        LINE("reason with a control", "HTTP/1.1 200 O\bK"),
        LINE("reason with a NUL", "HTTP/1.1 200 O\0K"),
        LINE("reason with CR", "HTTP/1.1 200 O\rK"),
        LINE("reason with ESC", "HTTP/1.1 200 \033[31mOK"),
        LINE("HTTP/1.1.1", "HTTP/1.1.1 200 OK"),
        LINE("HTTP/1.01", "HTTP/1.01 200 OK"),
        LINE("HTTP/1.", "HTTP/1. 200 OK"),
        LINE("HTTP/11", "HTTP/11 200 OK"),
        LINE("HTTP/0.1", "HTTP/0.1 200 OK"),
        LINE("HTTP 1.1", "HTTP 1.1 200 OK"),
        LINE("negative status", "HTTP/1.1 -20 OK"),
        LINE("two spaces", "HTTP/1.1  200 OK"),
        LINE("space in front", " HTTP/1.1 200 OK"),
        LINE("empty line in front", "\r\nHTTP/1.1 200 OK"),
        LINE("no status", "HTTP/1.1"),
        LINE("101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket"),
        { "an answer of 0.9", ALL, SBX_E_PROTOCOL, RAW("<html>hello</html>\r\n"), "" },
        { "101 without a word", ALL, SBX_E_PROTOCOL, RAW("HTTP/1.1 101 OK\r\n\r\n"), "" },
        { "no HTTP at all", ALL, SBX_E_PROTOCOL, RAW("SSH-2.0-OpenSSH_9.6\r\n"), "" },
        { "TLS on a plain port", ALL, SBX_E_PROTOCOL, RAW("\25\3\1\0\2\2\106"), "" },
        { "HTTP/1.0 with chunks", ALL, SBX_E_PROTOCOL,
            RAW("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "" },
        { "interim with a body", ALL, SBX_E_PROTOCOL,
            RAW("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n"), "" },
    };
    attack_all(list, COUNT(list));
}

/* ---- chunks ---------------------------------------------------------------- */

#define CHUNKS(name, text, out) { name, READ, SBX_E_PROTOCOL, \
    RAW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" text), out }
#define SIZE(name, text) CHUNKS(name, text "\r\nhello\r\n0\r\n\r\n", "")

TEST(chunks)
{
    static const attack list[] = {
        SIZE("0x", "0x5"), SIZE("plus", "+5"), SIZE("minus", "-5"), SIZE("underscore", "0_5"),
        SIZE("empty size", ""), SIZE("only an extension", ";a=b"), SIZE("leading space", " 5"),
        SIZE("trailing space", "5 "), SIZE("trailing tab", "5\t"), SIZE("no digit", "g"),
        SIZE("text behind", "5hello"), SIZE("2^64 + 5", "10000000000000005"),
        SIZE("2^64", "10000000000000000"), SIZE("0X", "0X5"), SIZE("comma", "5,5"),
        SIZE("two spaces", "  5"), SIZE("tab", "\t5"), SIZE("vertical tab", "\v5"),
        SIZE("h for hex", "5h"), SIZE("quoted", "\"5\""), SIZE("dot", "5.0"), SIZE("space inside", "5 5"),
        SIZE("CR inside", "5\r"), SIZE("DEL", "5\177"), SIZE("8 bit", "\265"),
        SIZE("2^63", "8000000000000000"), SIZE("all ones", "ffffffffffffffff"),
        SIZE("17 digits", "00000000000000005"), SIZE("NUL", "5\0"), SIZE("bare LF", "5\n"),
        SIZE("bare LF in an extension", "5;a\nb"), SIZE("CR in an extension", "5;a\rb"),
        SIZE("open quote", "5;a=\"b"), SIZE("empty extension", "5;;a"),
        CHUNKS("LF instead of CR LF", "5\nhello\r\n0\r\n\r\n", ""),
        CHUNKS("no CR LF after the data", "5\r\nhello0\r\n\r\n", "hello"),
        CHUNKS("XX after the data", "5\r\nhelloXX0\r\n\r\n", "hello"),
        CHUNKS("LF after the data", "5\r\nhello\n0\r\n\r\n", "hello"),
        CHUNKS("CR X after the data", "5\r\nhello\rX0\r\n\r\n", "hello"),
        CHUNKS("more than the size", "3\r\nhello\r\n0\r\n\r\n", "hel"),
        CHUNKS("bad trailer", "5\r\nhello\r\n0\r\nno colon\r\n\r\n", "hello"),
        CHUNKS("folded trailer", "5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n", "hello"),
        CHUNKS("bare LF at the end", "5\r\nhello\r\n0\r\n\n", "hello"),
        { "extensions and trailers", READ, SBX_OK, RAW("HTTP/1.1 200 OK\r\n"
            "Transfer-Encoding: chunked\r\n\r\n05;a=\"b;c\\\"\"\r\nhello\r\n"
            "0;x\r\nContent-Length: 9\r\nB: c\r\n\r\nSTRAY"), "hello" },
    };
    attack_all(list, COUNT(list));
}

/* ---- floods ---------------------------------------------------------------- */

#define FLOOD(id, text) \
    static bool flood_##id(int fd) { return hostile_send(fd, text, sizeof (text) - 1); }
FLOOD(headers, "Abc: d\r\n")
FLOOD(line, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
FLOOD(blank, "                                                                            ")
FLOOD(interim, "HTTP/1.1 100 Continue\r\n\r\n")
FLOOD(empty_lines, "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n")
FLOOD(chunks, "1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n")
FLOOD(trailers, "A: b\r\n")
FLOOD(depth, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[")
FLOOD(digits, "99999999999999999999999999999999999999999999999999")
FLOOD(escapes, "\\u0041\\ud800\\n\\u0041\\ud800\\n\\u0041\\ud800\\n")
FLOOD(members, "\"k\":[1,{}],\"k\":[1,{}],\"k\":[1,{}],")
FLOOD(frames, "\0\0\0\0\x1a{\"event\":{\"keepalive\":{}}}")
FLOOD(empty_frames, "\0\0\0\0\0\0\0\0\0\0")

#define ENDLESS(text, id) { .bytes = (text), .len = sizeof (text) - 1, .flood = flood_##id }
#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define TO_CLOSE "HTTP/1.1 200 OK\r\n\r\n"
#define STARTED "\0\0\0\0\x1d{\"event\":{\"start\":{\"pid\":7}}}"

TEST(floods)
{
    static const attack list[] = {
        { "header count", ALL, SBX_E_TOO_LARGE, ENDLESS(OK_HEAD, headers), "" },
        { "endless line", ALL, SBX_E_TOO_LARGE, ENDLESS(OK_HEAD "A: ", line), "" },
        { "endless name", ALL, SBX_E_TOO_LARGE, ENDLESS(OK_HEAD, line), "" },
        { "endless reason", ALL, SBX_E_TOO_LARGE, ENDLESS("HTTP/1.1 200 ", line), "" },
        { "endless blanks", ALL, SBX_E_TOO_LARGE, ENDLESS(OK_HEAD "A:", blank), "" },
        { "endless 1xx", ALL, SBX_E_TOO_LARGE, ENDLESS("", interim), "" },
        { "empty lines", ALL, SBX_E_PROTOCOL, ENDLESS("", empty_lines), "" },
        { "chunk extension", READ, SBX_E_PROTOCOL,
            ENDLESS(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5;", line), "" },
        { "trailers", READ, SBX_E_TOO_LARGE,
            ENDLESS(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n", trailers), "" },
        { "JSON depth", CREATE, SBX_E_TOO_LARGE, ENDLESS(TO_CLOSE "{\"a\":", depth), NULL },
        { "JSON result", CREATE, SBX_E_TOO_LARGE, ENDLESS(TO_CLOSE "{\"sandboxID\":\"", line), NULL },
        { "JSON depth in a frame", RUN, SBX_E_PROTOCOL,
            ENDLESS(TO_CLOSE "\0\xff\xff\xff\xff[", depth), "" },
        { "empty frames", RUN, SBX_E_PROTOCOL, ENDLESS(TO_CLOSE, empty_frames), "" },
        /* endless but lawful: the clock of the call ends it */
        { "endless body", READ, SBX_E_TIMEOUT, ENDLESS(TO_CLOSE, line), NULL },
        { "small chunks", READ, SBX_E_TIMEOUT,
            ENDLESS(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n", chunks), NULL },
        { "JSON number", CREATE, SBX_E_TIMEOUT, ENDLESS(TO_CLOSE "{\"a\":", digits), NULL },
        { "JSON string", CREATE, SBX_E_TIMEOUT, ENDLESS(TO_CLOSE "{\"a\":\"", escapes), NULL },
        { "JSON key", CREATE, SBX_E_TIMEOUT, ENDLESS(TO_CLOSE "{\"", line), NULL },
        { "JSON white space", CREATE, SBX_E_TIMEOUT, ENDLESS(TO_CLOSE, blank), NULL },
        { "JSON members", CREATE, SBX_E_TIMEOUT, ENDLESS(TO_CLOSE "{", members), NULL },
        { "error body", ALL, SBX_E_TIMEOUT, ENDLESS("HTTP/1.1 400 No\r\n\r\n", line), NULL },
        { "endless frame", RUN, SBX_E_TIMEOUT, ENDLESS(TO_CLOSE STARTED
            "\0\xff\xff\xff\xff{\"event\":{\"data\":{\"stdout\":\"", line), NULL },
        { "keep-alives", RUN, SBX_E_TIMEOUT, ENDLESS(TO_CLOSE STARTED, frames), "" },
    };
    attack_all(list, COUNT(list));
}

/* ---- bodies of results ------------------------------------------------------ */

#define RESULT(name, text) { name, CREATE, SBX_E_PROTOCOL, RAW(TO_CLOSE text), NULL }
#define ANSWER(name, what, status, text) { name, what, status, RAW(text), NULL }

/* Wherever JSON is read: a result, a list, inside of an answer, an answer to an upload. */
#define OBJECTS (CREATE | STAT | LSDIR)
#define LISTS (LIST | WRITE)
#define JSON_CALLS (OBJECTS | LISTS)

TEST(results)
{
    static const attack list[] = {
        RESULT("empty", ""), RESULT("text", "all is well"), RESULT("list", "[]"),
        RESULT("no id", "{}"), RESULT("null", "null"), RESULT("null id", "{\"sandboxID\":null}"),
        RESULT("number as id", "{\"sandboxID\":7}"), RESULT("unterminated", "{\"sandboxID\":\"a\""),
        RESULT("cut string", "{\"sandboxID\":\"a"), RESULT("two values", HOSTILE_CREATED "{}"),
        RESULT("trailing comma", "{\"sandboxID\":\"a\",}"), RESULT("comment", "/**/" HOSTILE_CREATED),
        RESULT("byte order mark", "\xef\xbb\xbf" HOSTILE_CREATED),
        RESULT("UTF-16", "\xff\xfe{\0}\0"), RESULT("NUL behind", HOSTILE_CREATED "\0"),
        RESULT("invalid UTF-8", "{\"sandboxID\":\"a\xff\"}"),
        RESULT("overlong UTF-8", "{\"sandboxID\":\"\xc0\xaf\"}"),
        RESULT("surrogate in UTF-8", "{\"sandboxID\":\"\xed\xa0\x80\"}"),
        RESULT("unquoted", "{sandboxID:1}"), RESULT("NaN", "{\"a\":NaN,\"sandboxID\":\"a\"}"),
        RESULT("HTML", "<!DOCTYPE html><html><body>Log in</body></html>"),
        RESULT("empty id", "{\"sandboxID\":\"\"}"),
        ANSWER("204 with a body", CREATE, SBX_E_PROTOCOL, "HTTP/1.1 204 No Content\r\n"
            "Content-Length: 2\r\n\r\n{}"),
        ANSWER("204 to a stream", RUN, SBX_E_NO_END, "HTTP/1.1 204 No Content\r\n\r\n"),
        ANSWER("204 with a body", READ, SBX_OK, "HTTP/1.1 204 No Content\r\n"
            "Content-Length: 5\r\n\r\nhello"),
        ANSWER("304", ALL, SBX_E_PROTOCOL, "HTTP/1.1 304 Not Modified\r\n\r\n"),
        ANSWER("400 with HTML", ALL, SBX_E_REFUSED, "HTTP/1.1 400 No\r\n\r\n<html>\xff</html>"),
        ANSWER("400 with half a JSON", ALL, SBX_E_REFUSED, "HTTP/1.1 400 No\r\n\r\n{\"message\":\"x"),
        ANSWER("500 without a body", ALL, SBX_E_SERVER, "HTTP/1.1 500 No\r\n"
            "Content-Length: 0\r\n\r\n"),
        ANSWER("999", ALL, SBX_E_SERVER, "HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n"),
        ANSWER("429 that says wait long", CREATE, SBX_E_RATE_LIMITED,
            "HTTP/1.1 429 No\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n"),
    };
    attack_all(list, COUNT(list));
}

FLOOD(objects, "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":")
FLOOD(minus, "-")
FLOOD(zeros, "0.00000000000000000000000000000000000000000")
FLOOD(listed, "{\"sandboxID\":\"a\"},{\"sandboxID\":\"a\"},")
FLOOD(commas, ",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,")
#define FLOODED(name, what, status, text, id) { name, what, status, ENDLESS(text, id), NULL }

/* Bounded by what is kept, else by the clock of the call: a service may say as much
   as it likes of what nobody asked for. */
TEST(json_floods)
{
    static const attack list[] = {
        FLOODED("depth", OBJECTS, SBX_E_TOO_LARGE, TO_CLOSE "{\"a\":", depth),
        FLOODED("depth in a list", LISTS, SBX_E_TOO_LARGE, TO_CLOSE "[{\"a\":", depth),
        FLOODED("depth of objects", OBJECTS, SBX_E_TOO_LARGE, TO_CLOSE, objects),
        FLOODED("depth in an entry", STAT, SBX_E_TOO_LARGE, TO_CLOSE "{\"entry\":{\"zzz\":", depth),
        FLOODED("minus signs", JSON_CALLS, SBX_E_PROTOCOL, TO_CLOSE "[", minus),
        FLOODED("commas", JSON_CALLS, SBX_E_PROTOCOL, TO_CLOSE "[", commas),
        FLOODED("a number", OBJECTS, SBX_E_TIMEOUT, TO_CLOSE "{\"a\":", digits),
        FLOODED("a number in a list", LISTS, SBX_E_TIMEOUT, TO_CLOSE "[{\"a\":", digits),
        FLOODED("a size", STAT, SBX_E_PROTOCOL, TO_CLOSE "{\"entry\":{\"size\":", zeros),
        FLOODED("a string", OBJECTS, SBX_E_TIMEOUT, TO_CLOSE "{\"a\":\"", escapes),
        FLOODED("a string in a list", LISTS, SBX_E_TIMEOUT, TO_CLOSE "[{\"a\":\"", escapes),
        FLOODED("a key", OBJECTS, SBX_E_TIMEOUT, TO_CLOSE "{\"", line),
        FLOODED("a key in a list", LISTS, SBX_E_TIMEOUT, TO_CLOSE "[{\"", line),
        FLOODED("white space", JSON_CALLS, SBX_E_TIMEOUT, TO_CLOSE, blank),
        FLOODED("a string that is kept", STAT, SBX_E_TOO_LARGE,
            TO_CLOSE "{\"entry\":{\"name\":\"", line),
        FLOODED("a string of an item", LSDIR, SBX_E_TOO_LARGE,
            TO_CLOSE "{\"entries\":[{\"name\":\"", line),
        FLOODED("a string of a sandbox", LIST, SBX_E_TOO_LARGE, TO_CLOSE "[{\"sandboxID\":\"", line),
        FLOODED("sandboxes", LIST, SBX_E_TIMEOUT, TO_CLOSE "[", listed),
        FLOODED("an error's depth", EACH, SBX_E_TIMEOUT, "HTTP/1.1 400 No\r\n\r\n", depth),
        FLOODED("an error's number", EACH, SBX_E_TIMEOUT, "HTTP/1.1 400 No\r\n\r\n{\"code\":", digits),
        FLOODED("an error's message", EACH, SBX_E_TIMEOUT,
            "HTTP/1.1 400 No\r\n\r\n{\"message\":\"", line),
        FLOODED("an error's escapes", EACH, SBX_E_TIMEOUT,
            "HTTP/1.1 400 No\r\n\r\n{\"message\":\"", escapes),
        FLOODED("an error's key", EACH, SBX_E_TIMEOUT, "HTTP/1.1 500 No\r\n\r\n{\"", line),
        FLOODED("an error's text", EACH, SBX_E_TIMEOUT, "HTTP/1.1 503 No\r\n\r\n", blank),
        FLOODED("depth in an event", RUN, SBX_E_TOO_LARGE,
            TO_CLOSE STARTED "\0\xff\xff\xff\xff{\"event\":", objects),
        FLOODED("a number in an event", RUN, SBX_E_TIMEOUT,
            TO_CLOSE STARTED "\0\xff\xff\xff\xff{\"event\":", digits),
        FLOODED("a key in an event", RUN, SBX_E_TIMEOUT,
            TO_CLOSE STARTED "\0\xff\xff\xff\xff{\"", line),
        FLOODED("white space in an event", RUN, SBX_E_TIMEOUT,
            TO_CLOSE STARTED "\0\xff\xff\xff\xff", blank),
        FLOODED("an error in a stream", RUN, SBX_E_TIMEOUT,
            TO_CLOSE STARTED "\2\xff\xff\xff\xff{\"error\":{\"message\":\"", line),
    };
    attack_all(list, COUNT(list));
}

/* Cut short, it is a lost connection where a length says so, else a broken answer. */
TEST(no_json)
{
    static const attack list[] = {
        { "nothing", JSON_CALLS, SBX_E_PROTOCOL, RAW(TO_CLOSE), "" },
        { "text", JSON_CALLS, SBX_E_PROTOCOL, RAW(TO_CLOSE "all is well"), "" },
        { "HTML", JSON_CALLS, SBX_E_PROTOCOL, RAW(TO_CLOSE "<html>Log in</html>"), "" },
        { "a string", JSON_CALLS, SBX_E_PROTOCOL, RAW(TO_CLOSE "\"x\""), "" },
        { "a number", JSON_CALLS, SBX_E_PROTOCOL, RAW(TO_CLOSE "1"), "" },
        { "the other bracket", JSON_CALLS, SBX_E_PROTOCOL, RAW(TO_CLOSE "[}"), "" },
        { "open", JSON_CALLS, SBX_E_PROTOCOL, RAW(TO_CLOSE "["), "" },
        { "invalid UTF-8", JSON_CALLS, SBX_E_PROTOCOL, RAW(TO_CLOSE "[\"\xff\"]"), "" },
        { "NUL", JSON_CALLS, SBX_E_PROTOCOL, RAW(TO_CLOSE "[\0]"), "" },
        { "UTF-16", JSON_CALLS, SBX_E_PROTOCOL, RAW(TO_CLOSE "\xff\xfe[\0]\0"), "" },
        { "one and more", LISTS, SBX_E_PROTOCOL, RAW(TO_CLOSE "[][]"), "" },
        { "two answers", STAT, SBX_E_PROTOCOL, RAW(TO_CLOSE "{\"entry\":" HOSTILE_ENTRY "}{}"), "" },
    };
    attack_all(list, COUNT(list));
}

/* ---- streams ---------------------------------------------------------------- */

#define STREAM(name, status, frames, out) { name, RUN, status, RAW(TO_CLOSE frames), out }
#define HELLO "\0\0\0\0\x28{\"event\":{\"data\":{\"stdout\":\"aGVsbG8=\"}}}"
#define ENDED "\0\0\0\0\x22{\"event\":{\"end\":{\"exited\":true}}}\n"
#define LAST "\2\0\0\0\2{}"
#define BASE64(text) "\0\0\0\0\x28{\"event\":{\"data\":{\"stdout\":\"" text "\"}}}"

TEST(streams)
{
    static const attack list[] = {
        STREAM("as it should be", SBX_OK, STARTED HELLO ENDED LAST, "hello"),
        STREAM("empty", SBX_E_NO_END, "", ""),
        STREAM("no start", SBX_E_PROTOCOL, HELLO ENDED LAST, ""),
        STREAM("end at once", SBX_E_PROTOCOL, ENDED LAST, ""),
        STREAM("two starts", SBX_E_PROTOCOL, STARTED STARTED ENDED LAST, ""),
        STREAM("output after the end", SBX_E_PROTOCOL, STARTED ENDED HELLO LAST, ""),
        STREAM("two ends", SBX_E_PROTOCOL, STARTED HELLO ENDED ENDED LAST, "hello"),
        STREAM("no end event", SBX_E_NO_END, STARTED HELLO LAST, "hello"),
        STREAM("end of stream twice", SBX_E_PROTOCOL, STARTED ENDED LAST LAST, ""),
        STREAM("message after the end of stream", SBX_E_PROTOCOL, STARTED ENDED LAST HELLO, ""),
        STREAM("only the end of stream", SBX_E_NO_END, LAST, ""),
        STREAM("compressed flag", SBX_E_PROTOCOL, STARTED "\1\0\0\0\2{}", ""),
        STREAM("flag 4", SBX_E_PROTOCOL, STARTED "\4\0\0\0\2{}", ""),
        STREAM("flag 128", SBX_E_PROTOCOL, STARTED "\200\0\0\0\2{}", ""),
        STREAM("flags 3", SBX_E_PROTOCOL, STARTED ENDED "\3\0\0\0\2{}", ""),
        STREAM("length too short", SBX_E_PROTOCOL, "\0\0\0\0\x1c{\"event\":{\"start\":{\"pid\":7}}}"
            ENDED LAST, ""),
        STREAM("length too long", SBX_E_PROTOCOL, "\0\0\0\0\x1e{\"event\":{\"start\":{\"pid\":7}}}"
            ENDED LAST, ""),
        STREAM("length of 2^32 - 1", SBX_E_PROTOCOL, STARTED "\0\xff\xff\xff\xff{}{}", ""),
        STREAM("cut in a message", SBX_E_NO_END, STARTED "\0\0\0\0\x28{\"event\":", ""),
        STREAM("cut in a head", SBX_E_NO_END, STARTED "\0\0\0", ""),
        STREAM("empty message", SBX_E_PROTOCOL, STARTED "\0\0\0\0\0" ENDED LAST, ""),
        STREAM("text as message", SBX_E_PROTOCOL, STARTED "\0\0\0\0\2hi" ENDED LAST, ""),
        STREAM("invalid UTF-8", SBX_E_PROTOCOL, STARTED "\0\0\0\0\7{\"\xff\":1}", ""),
        STREAM("base64 garbage", SBX_E_PROTOCOL, STARTED BASE64("aGV*bG8=") ENDED LAST, NULL),
        STREAM("base64 cut", SBX_E_PROTOCOL, STARTED BASE64("aGVsbG8=aGVsb") ENDED LAST, NULL),
        STREAM("base64 of one letter", SBX_E_PROTOCOL, STARTED
            "\0\0\0\0\x21{\"event\":{\"data\":{\"stdout\":\"a\"}}}" ENDED LAST, ""),
        STREAM("base64 with a newline", SBX_E_PROTOCOL, STARTED BASE64("aGVs\\n==") ENDED LAST, NULL),
        STREAM("JSON error with 200", SBX_E_PROTOCOL, "{\"code\":\"not_found\"}", ""),
        STREAM("HTML with 200", SBX_E_PROTOCOL, "<html></html>", ""),
        STREAM("error at the end", SBX_E_NOT_FOUND, STARTED
            "\2\0\0\0\x1e{\"error\":{\"code\":\"not_found\"}}", ""),
        STREAM("error as text", SBX_E_SERVER, STARTED "\2\0\0\0\x0c{\"error\":\"\"}", ""),
    };
    attack_all(list, COUNT(list));
}

/* ---- cut everywhere ---------------------------------------------------------- */

/* The canonical answer, closed after every number of its bytes. */
static void cut_all(site *s, int what, const char *bytes, size_t len)
{
    hostile_reply r;
    char row[64];
    memset(&r, 0, sizeof r);
    r.bytes = bytes;
    r.len = len;
    for (r.cut = 1; r.cut <= len; r.cut++) {
        int rc, want = at_control(what) ? SBX_E_NETWORK : SBX_E_UNREACHABLE;
        const char *end = what == RUN ? strstr(bytes + 200, "exited\"}}}") : NULL;
        bool told = end && r.cut - 1 >= (size_t)(end - bytes) + 10;
        snprintf(row, sizeof row, "%s cut at %u", what_name(what), (unsigned)r.cut - 1);
        test_row = row;
        site_attack(s, what, &r);
        rc = site_call(s, what, 3000);
        CHECK_INT(rc, told ? SBX_OK : want);
        CHECK(s->took < 1);
        if (what == CREATE) CHECK_INT(s->error.may_exist, SBX_YES);
        else if (!told && what != LIST) CHECK_INT(s->error.sandbox_alive, SBX_YES);
        CHECK(s->sink.len <= 5 && memcmp(s->got, "hello", what == LIST ? 0 : s->sink.len) == 0);
        site_good(s, what);
    }
    test_row = NULL;
}

TEST(closed_at_every_byte)
{
    static const char created[] = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
        "Content-Length: 86\r\n\r\n" HOSTILE_CREATED;
    char listed[512];
    static const char missing[] = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"
        "Content-Length: 49\r\n\r\n{\"code\":404,\"message\":\"file '/x' does not exist\"}";
    static char stream[sizeof hostile_stream];
    site s;
    size_t i;
    for (i = 0; i + 1 < sizeof stream; i++) /* for strstr */
        stream[i] = (char)(hostile_stream[i] ? hostile_stream[i] : ' ');
    REQUIRE(site_start(&s, NULL));
    CHECK_INT(strlen(HOSTILE_CREATED), 86);
    cut_all(&s, CREATE, created, sizeof created - 1);
    cut_all(&s, READ, hostile_file, sizeof hostile_file - 1);
    cut_all(&s, RUN, hostile_stream, sizeof hostile_stream - 1);
    snprintf(listed, sizeof listed, OK_HEAD "Content-Length: %u\r\n\r\n[" HOSTILE_LISTED "]",
             (unsigned)strlen("[" HOSTILE_LISTED "]"));
    cut_all(&s, LIST, listed, strlen(listed));
    cut_all(&s, READ, missing, sizeof missing - 1);
    cut_all(&s, STAT, missing, sizeof missing - 1);
    cut_all(&s, WRITE, missing, sizeof missing - 1);
    site_end(&s);
}

/* ---- more than one answer, too early, too late ------------------------------- */

#define EVIL "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
#define STRAY(name, what, status, text) \
    { name, what, status, { .bytes = text EVIL, .len = sizeof (text EVIL) - 1, .keep = true }, NULL }

/* What comes behind an answer is no answer to the next question. */
TEST(bytes_behind_an_answer)
{
    static const attack list[] = {
        STRAY("after 204", READ, SBX_OK, "HTTP/1.1 204 No Content\r\n\r\n"),
        STRAY("after 204 with a length", READ, SBX_OK, "HTTP/1.1 204 No Content\r\n"
            "Content-Length: 5\r\n\r\nhello"),
        STRAY("after 304", READ, SBX_E_PROTOCOL, "HTTP/1.1 304 Not Modified\r\n\r\n"),
        STRAY("after its length", READ, SBX_OK, OK_HEAD "Content-Length: 5" BODY),
        STRAY("after the last chunk", READ, SBX_OK,
            OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        STRAY("after an error", READ, SBX_E_NOT_FOUND,
            "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}"),
        STRAY("after a list", LIST, SBX_OK, OK_HEAD "Content-Length: 2\r\n\r\n[]"),
        STRAY("after no body", STAT, SBX_E_PROTOCOL, OK_HEAD "Content-Length: 0\r\n\r\n"),
    };
    site s;
    size_t i;
    REQUIRE(site_start(&s, NULL));
    for (i = 0; i < COUNT(list); i++) {
        const attack *a = &list[i];
        test_row = a->name;
        site_attack(&s, a->what, &a->reply);
        CHECK_INT(site_call(&s, a->what, 1000), a->status);
        CHECK(!memmem(s.got, s.sink.len, "evil", 4));
        usleep(2000);
        site_good(&s, a->what);
        site_good(&s, a->what);
    }
    test_row = NULL;
    site_end(&s);
}

/* On a fresh connection nobody can tell; it must not end in anything but an answer. */
TEST(answers_before_the_question)
{
    static const hostile_reply r = { .bytes = OK_HEAD "Content-Length: 5" BODY, .stay = true,
        .deaf = true };
    site s;
    REQUIRE(site_start(&s, NULL));
    site_attack(&s, READ, &r);
    CHECK_INT(site_call(&s, READ, 1000), SBX_OK);
    CHECK_MEM(s.got, s.sink.len, "hello", 5);
    site_good(&s, READ);
    site_end(&s);
}

static int zeros(void *ctx, void *buf, size_t cap, size_t *got);

/* The answer is there, the body is not read: sending more would be in vain, and the
   rest of it must not become the next request. */
TEST(answers_to_half_an_upload)
{
    static const struct { const char *bytes; int status; bool stay; } list[] = {
        { "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}", SBX_E_TOO_LARGE, true },
        { "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n{}", SBX_E_AUTH, true },
        { "HTTP/1.1 507 Full\r\nContent-Length: 0\r\n\r\n", SBX_E_NO_SPACE, true },
        { "HTTP/1.1 500 No\r\n\r\n", SBX_E_SERVER, false },
        { "SSH-2.0-OpenSSH_9.6\r\n", SBX_E_PROTOCOL, true },
    };
    size_t i;
    site s;
    REQUIRE(site_start(&s, NULL));
    for (i = 0; i < COUNT(list); i++) {
        hostile_reply r;
        sbx_source from;
        sbx_call call;
        double t = live_now();
        int rc;
        memset(&r, 0, sizeof r);
        memset(&from, 0, sizeof from);
        memset(&call, 0, sizeof call);
        test_row = r.bytes = list[i].bytes;
        r.hasty = true;
        r.stay = list[i].stay;
        from.get = zeros;
        from.size = 1 << 30;
        call.error = &s.error;
        call.timeout_ms = 3000;
        site_attack(&s, WRITE, &r);
        rc = sbx_files_write(s.sandbox, "x", from, NULL, NULL, &call);
        if (list[i].stay || rc == list[i].status) CHECK_INT(rc, list[i].status);
        else CHECK_INT(rc, SBX_E_UNREACHABLE); /* the reset took the answer along */
        CHECK(live_now() - t < 1);
        site_good(&s, WRITE);
    }
    test_row = NULL;
    site_end(&s);
}

TEST(every_flag_of_an_envelope)
{
    site s;
    int flags;
    REQUIRE(site_start(&s, NULL));
    for (flags = 0; flags < 256; flags++) {
        char bytes[128] = TO_CLOSE STARTED, row[24];
        size_t at = sizeof (TO_CLOSE STARTED) - 1;
        hostile_reply r;
        memset(&r, 0, sizeof r);
        memcpy(bytes, TO_CLOSE STARTED, at);
        bytes[at] = (char)flags;
        memcpy(bytes + at + 1, "\0\0\0\2{}", 6);
        r.bytes = bytes;
        r.len = at + 7;
        snprintf(row, sizeof row, "flags %d", flags);
        test_row = row;
        site_attack(&s, RUN, &r);
        CHECK_INT(site_call(&s, RUN, 1000), flags == 0 || flags == 2 ? SBX_E_NO_END : SBX_E_PROTOCOL);
    }
    site_good(&s, RUN);
    test_row = NULL;
    site_end(&s);
}

static int page;

/* A list with one more page, for ever. */
static bool one_page(int fd)
{
    char text[256];
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nX-Next-Token: t%d\r\nContent-Length: 2\r\n\r\n[]",
             page++);
    hostile_send(fd, text, strlen(text));
    return false;
}

TEST(pages_without_end)
{
    static const hostile_reply r = { .flood = one_page, .keep = true };
    static char long_token[4096];
    hostile_reply huge;
    site s;
    REQUIRE(site_start(&s, NULL));
    site_attack(&s, LIST, &r);
    page = 0;
    CHECK_INT(site_call(&s, LIST, 300), SBX_E_TIMEOUT);
    CHECK(s.took < 1 && page > 3);
    site_good(&s, LIST);
    memset(&huge, 0, sizeof huge);
    snprintf(long_token, sizeof long_token, "HTTP/1.1 200 OK\r\nX-Next-Token: %02000d\r\n"
             "Content-Length: 2\r\n\r\n[]", 7);
    huge.bytes = long_token;
    site_attack(&s, LIST, &huge);
    CHECK_INT(site_call(&s, LIST, 1000), SBX_E_TOO_LARGE);
    site_good(&s, LIST);
    site_end(&s);
}

/* ---- what a service may not make the client say -------------------------------- */

TEST(names_from_a_reply)
{
    static const struct { const char *id, *token; } list[] = {
        { "../../v2/x", "tok" }, { "a/b", "tok" }, { "a?b=c", "tok" }, { "a#b", "tok" },
        { "a%2Fb", "tok" }, { "a\\\\b", "tok" }, { "a b", "tok" }, { ".", "tok" }, { "..", "tok" },
        { "a\\r\\nX-Evil: 1", "tok" }, { "a\\nX-Evil: 1", "tok" }, { "a\\u0000b", "tok" },
        { "a\\u007fb", "tok" }, { "a\\u0085b", "tok" }, { "a@b", "tok" }, { "a:b", "tok" },
        { "box1", "a\\r\\nX-Evil: 1" }, { "box1", "a\\nX-Evil: 1" }, { "box1", "\\u0000X-Evil: 1" },
        { "box1", "a\\u0001" }, { "box1", "a\\u001b[2J" },
    };
    site s;
    size_t i;
    REQUIRE(site_start(&s, NULL));
    for (i = 0; i < COUNT(list); i++) {
        char text[512];
        hostile_reply r;
        sbx_sandbox *made = NULL;
        int rc, kill_rc = 1, read_rc = 1;
        const char *at;
        memset(&r, 0, sizeof r);
        r.bytes = text;
        snprintf(text, sizeof text, TO_CLOSE "{\"sandboxID\":\"%s\",\"templateID\":\"base\","
                 "\"envdVersion\":\"0.6.4\",\"envdAccessToken\":\"%s\"}", list[i].id, list[i].token);
        test_row = text + strlen(TO_CLOSE);
        site_attack(&s, CREATE, &r);
        rc = sbx_sandbox_create(s.client, NULL, &made, NULL);
        site_attack(&s, READ, NULL);
        if (CHECK_INT(rc, SBX_OK)) {
            read_rc = sbx_files_read(made, "x", NULL, sbx_sink_memory(&s.sink), NULL);
            kill_rc = sbx_sandbox_kill(made, NULL, NULL);
        }
        CHECK_INT(kill_rc, SBX_OK); /* one segment, whatever is in it */
        at = strstr(s.ctl.seen, "DELETE /sandboxes/");
        if (CHECK(at)) CHECK(at[18 + strcspn(at + 18, "/?# \r\n")] == ' ');
        CHECK(read_rc == SBX_OK || read_rc == SBX_E_ARG);
        if (strstr(list[i].id, "\\n") || list[i].token[0] == 'a') CHECK_INT(read_rc, SBX_E_ARG);
        if (read_rc == SBX_E_ARG) CHECK_INT(s.box.requests, 0);
        CHECK(!strstr(s.box.seen, "\nX-Evil") && !strstr(s.ctl.seen, "\nX-Evil"));
        sbx_sandbox_release(made);
        site_good(&s, CREATE);
    }
    test_row = NULL;
    site_end(&s);
}

TEST(cookies_are_not_kept)
{
    static const hostile_reply r = { .bytes = OK_HEAD "Set-Cookie: a=b; Path=/\r\n"
        "Set-Cookie2: c=d\r\nAuthorization: Basic eA==\r\nContent-Length: 5" BODY, .keep = true };
    site s;
    REQUIRE(site_start(&s, NULL));
    site_attack(&s, READ, &r);
    CHECK_INT(site_call(&s, READ, 1000), SBX_OK);
    CHECK_INT(site_call(&s, READ, 1000), SBX_OK);
    CHECK_INT(hostile_count(&s.box), 2);
    CHECK(!hostile_heard(&s.box, "ookie") && !hostile_heard(&s.box, "eA=="));
    site_good(&s, READ);
    site_end(&s);
}

/* ---- redirects and keys -------------------------------------------------------- */

TEST(redirects_are_errors)
{
    static const char *const kinds[] = { "301 Moved", "302 Found", "303 See Other",
        "307 Temporary", "308 Permanent", "300 Choices" };
    site s;
    hostile elsewhere;
    size_t i;
    int what;
    REQUIRE(site_start(&s, NULL));
    REQUIRE(hostile_start(&elsewhere));
    for (i = 0; i < COUNT(kinds); i++)
        for (what = CREATE; what <= READ; what *= 2) {
            char text[256];
            hostile_reply r;
            memset(&r, 0, sizeof r);
            r.bytes = text;
            snprintf(text, sizeof text, "HTTP/1.1 %s\r\nLocation: http://127.0.0.1:%u/files\r\n"
                "Content-Length: 0\r\n\r\n", kinds[i], elsewhere.port);
            test_row = kinds[i];
            site_attack(&s, what, &r);
            CHECK_INT(site_call(&s, what, 1500), SBX_E_PROTOCOL);
            CHECK(s.error.http_status / 100 == 3);
            CHECK_INT(hostile_count(what == CREATE ? &s.ctl : &s.box), 1);
            site_good(&s, what);
        }
    test_row = NULL;
    CHECK_INT(hostile_count(&elsewhere), 0);
    site_end(&s);
    hostile_end(&elsewhere);
}

TEST(the_key_stays_with_the_control_plane)
{
    site s;
    int what;
    REQUIRE(site_start(&s, NULL));
    hostile_set(&s.ctl, NULL, NULL);
    hostile_set(&s.box, NULL, NULL);
    for (what = CREATE; what <= READ; what *= 2)
        CHECK_INT(site_call(&s, what, 1500), SBX_OK);
    CHECK(hostile_heard(&s.ctl, KEY));
    CHECK_INT(hostile_count(&s.box), 2);
    CHECK(hostile_heard(&s.box, "X-Access-Token: tok"));
    CHECK(!hostile_heard(&s.box, KEY));
    CHECK(!hostile_heard(&s.ctl, "X-Access-Token"));
    site_end(&s);
}

/* ---- the clocks ----------------------------------------------------------------- */

typedef struct stall {
    const char *name;
    int what;
    sbx_clock clock;
    hostile_reply reply;
} stall;

/* The clock named by the error ran out, and took its time but not more. */
static void stalled(site *s, const char *name, int rc, sbx_clock clock, double at)
{
    test_row = name;
    CHECK_INT(rc, SBX_E_TIMEOUT);
    CHECK_INT(s->error.clock, clock);
    CHECK(s->took > at - 0.02 && s->took < at + 0.25);
    test_row = NULL;
}

#define HALF(text) { .bytes = (text), .len = sizeof (text) - 1, .stay = true }

TEST(stalls)
{
    static const stall list[] = {
        { "no answer", CREATE, SBX_CLOCK_FIRST_BYTE, { .stay = true } },
        { "no answer", RUN, SBX_CLOCK_FIRST_BYTE, { .stay = true } },
        { "no answer", READ, SBX_CLOCK_FIRST_BYTE, { .stay = true } },
        { "request not read", READ, SBX_CLOCK_FIRST_BYTE, { .stay = true, .deaf = true } },
        { "half a line", READ, SBX_CLOCK_IDLE, HALF("HTTP/1.1 20") },
        { "half a head", CREATE, SBX_CLOCK_IDLE, HALF("HTTP/1.1 201 Created\r\nContent-Le") },
        { "only interim", READ, SBX_CLOCK_IDLE, HALF("HTTP/1.1 100 Continue\r\n\r\n") },
        { "half a body", CREATE, SBX_CLOCK_IDLE, HALF(TO_CLOSE "{\"sandboxID\":") },
        { "half a body", READ, SBX_CLOCK_IDLE, HALF(OK_HEAD "Content-Length: 9" BODY) },
        { "half a chunk size", READ, SBX_CLOCK_IDLE,
            HALF(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1") },
        { "half an error", READ, SBX_CLOCK_IDLE,
            HALF("HTTP/1.1 404 No\r\nContent-Length: 99\r\n\r\n{\"message\":\"gone") },
        { "half a frame head", RUN, SBX_CLOCK_IDLE, HALF(TO_CLOSE STARTED "\0\0") },
        { "half a frame", RUN, SBX_CLOCK_IDLE, HALF(TO_CLOSE STARTED "\0\0\0\1\0{\"event\":") },
        { "frame of 2^32 - 1", RUN, SBX_CLOCK_IDLE, HALF(TO_CLOSE STARTED "\0\xff\xff\xff\xff{") },
        { "no close after the body", READ, SBX_CLOCK_IDLE, HALF(TO_CLOSE "hello") },
    };
    static const sbx_clocks clocks = { 300, 250, 250, 2000 };
    site s;
    size_t i;
    REQUIRE(site_start(&s, &clocks));
    for (i = 0; i < COUNT(list); i++) {
        site_attack(&s, list[i].what, &list[i].reply);
        stalled(&s, list[i].name, site_call(&s, list[i].what, 0), list[i].clock, 0.25);
        if (list[i].what == CREATE) CHECK_INT(s.error.may_exist, SBX_YES);
        site_good(&s, list[i].what);
    }
    site_end(&s);
}

/* Complete, "close" announced, but not done: that is the peer's affair. */
TEST(a_peer_that_does_not_close)
{
    static const hostile_reply r = HALF(OK_HEAD "Connection: close\r\nContent-Length: 5" BODY);
    site s;
    REQUIRE(site_start(&s, NULL));
    site_attack(&s, READ, &r);
    CHECK_INT(site_call(&s, READ, 1000), SBX_OK);
    CHECK(s.took < 0.3);
    CHECK_MEM(s.got, s.sink.len, "hello", 5);
    site_good(&s, READ);
    site_end(&s);
}

static bool trickle(int fd)
{
    return !(!hostile_rest(fd, 50) || !hostile_send(fd, "a", 1));
}

/* A byte now and then resets the idle clock, not the total one. */
TEST(slow_loris)
{
    static const sbx_clocks patient = { 1000, 1000, 1000, 400 }, short_idle = { 1000, 1000, 20, 0 };
    static const hostile_reply head = { .bytes = OK_HEAD "X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        .slice = 1, .delay_ms = 50 };
    static const hostile_reply body = { .bytes = TO_CLOSE, .flood = trickle };
    static const hostile_reply string = { .bytes = TO_CLOSE "{\"a\":\"", .flood = trickle };
    static const hostile_reply frame = ENDLESS(TO_CLOSE STARTED
        "\0\xff\xff\xff\xff{\"event\":{\"data\":{\"stdout\":\"", line);
    hostile_reply slow = frame;
    site s;
    slow.flood = trickle;
    REQUIRE(site_start(&s, &patient));
    site_attack(&s, CREATE, &head);
    stalled(&s, "head of a create", site_call(&s, CREATE, 0), SBX_CLOCK_TOTAL, 0.4);
    site_good(&s, CREATE);
    site_attack(&s, CREATE, &string);
    stalled(&s, "string of a result", site_call(&s, CREATE, 0), SBX_CLOCK_TOTAL, 0.4);
    site_good(&s, CREATE);
    site_attack(&s, READ, &head);
    stalled(&s, "head of a file", site_call(&s, READ, 300), SBX_CLOCK_TOTAL, 0.3);
    site_attack(&s, READ, &body);
    stalled(&s, "body of a file", site_call(&s, READ, 300), SBX_CLOCK_TOTAL, 0.3);
    site_attack(&s, RUN, &slow);
    stalled(&s, "output", site_call(&s, RUN, 300), SBX_CLOCK_TOTAL, 0.3);
    site_good(&s, RUN);
    site_close(&s);
    REQUIRE(site_open(&s, &short_idle));
    site_attack(&s, READ, &body);
    stalled(&s, "idle", site_call(&s, READ, 0), SBX_CLOCK_IDLE, 0.02);
    site_good(&s, READ);
    site_end(&s);
}

/* A peer whose queue of connections is full drops what comes: no answer to the
   SYN. And one that accepts, but never says a word of TLS. */
TEST(stalls_while_connecting)
{
    static const sbx_clocks clocks = { 300, 5000, 5000, 5000 };
    const char *certs = getenv("SBX_TEST_CERTS");
    struct sockaddr_in a;
    hostile full;
    char ca[512];
    int held[4];
    size_t i;
    site s;
    memset(&s, 0, sizeof s);
    memset(&a, 0, sizeof a);
    REQUIRE(hostile_listen(&full, 0));
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons(full.port);
    snprintf(s.ctl_url, sizeof s.ctl_url, "https://127.0.0.1:%u", full.port);
    snprintf(s.box_url, sizeof s.box_url, "http://127.0.0.1:%u", full.port);
    snprintf(ca, sizeof ca, "%s/ca.pem", certs ? certs : "");
    if (certs) setenv("SSL_CERT_FILE", ca, 1);
    REQUIRE(site_open(&s, &clocks));
    i = (size_t)site_call(&s, CREATE, 0);
    if ((int)i == SBX_E_NO_CA) printf("  no CA: TLS left out\n");
    else stalled(&s, "TLS handshake", (int)i, SBX_CLOCK_CONNECT, 0.3);
    CHECK(s.error.may_exist != SBX_YES);
    for (i = 0; i < COUNT(held); i++) { /* one fits, one waits in the kernel */
        held[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(held[i], (struct sockaddr *)&a, sizeof a);
    }
    usleep(50000);
    stalled(&s, "full backlog", site_call(&s, READ, 0), SBX_CLOCK_CONNECT, 0.3);
    for (i = 0; i < COUNT(held); i++) close(held[i]);
    site_close(&s);
    close(full.fd);
}

/* An upload nobody reads stops the sending: the idle clock, or the call's. */
static int zeros(void *ctx, void *buf, size_t cap, size_t *got)
{
    (void)ctx;
    memset(buf, 0, cap);
    *got = cap;
    return SBX_OK;
}

TEST(an_upload_nobody_reads)
{
    static const sbx_clocks clocks = { 300, 5000, 300, 5000 };
    static const hostile_reply deaf = { .stay = true, .deaf = true };
    sbx_source from;
    sbx_call call;
    double t;
    site s;
    int i;
    memset(&from, 0, sizeof from);
    memset(&call, 0, sizeof call);
    from.get = zeros;
    from.size = 1 << 30;
    call.error = &s.error;
    REQUIRE(site_start(&s, &clocks));
    for (i = 0; i < 2; i++) {
        int rc;
        call.timeout_ms = i ? 200 : 0;
        site_attack(&s, READ, &deaf);
        t = live_now();
        rc = sbx_files_write(s.sandbox, "x", from, NULL, NULL, &call);
        s.took = live_now() - t;
        test_row = i ? "total" : "idle";
        CHECK_INT(rc, SBX_E_TIMEOUT);
        CHECK_INT(s.error.clock, i ? SBX_CLOCK_TOTAL : SBX_CLOCK_IDLE);
        CHECK(s.took > 0.18 && s.took < 1.5); /* the kernel takes some of it */
        test_row = NULL;
        site_good(&s, READ);
    }
    site_end(&s);
}

/* A kept connection that dies under a request may be a stale one, or the service
   has read it all: a create would leave a second sandbox nobody knows of. */
TEST(a_create_is_not_sent_twice)
{
    static const hostile_reply hang_up = { .bytes = "" };
    site s;
    REQUIRE(site_start(&s, NULL));
    site_good(&s, CREATE);
    site_attack(&s, CREATE, &hang_up);
    CHECK_INT(site_call(&s, CREATE, 1000), SBX_E_NETWORK);
    CHECK_INT(s.error.may_exist, SBX_YES);
    CHECK_INT(hostile_count(&s.ctl), 1);
    site_good(&s, CREATE);
    site_end(&s);
}
