/* Running code: every kind of message, results in every format at every chunk size,
   sinks that wait, captures, ends that are missing, silence, what is refused. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include "op_rig.h"

#define EXECUTE "POST /execute "

typedef struct log_of {
    char text[2048];
    size_t len, agains;
    const void *again;      /* the piece that was put off last */
    unsigned patience;      /* AGAIN before each piece, so often */
    unsigned left;
    int says;
    bool ends_again;
    sbx_op **op;
} log_of;

static int wait_first(log_of *l)
{
    if (l->left == 0) {
        l->left = l->patience;
        return SBX_OK;
    }
    l->left--;
    l->agains++;
    if (l->op) sbx_op_wake(*l->op);
    return SBX_E_AGAIN;
}

static void add(log_of *l, const char *name, const void *data, size_t len)
{
    static const char *last;
    if (!l->len) last = NULL;
    if (last != name) {
        size_t n = strlen(name);
        memcpy(l->text + l->len, name, n);
        l->len += n;
    }
    last = name;
    if (len > sizeof l->text - 64 - l->len) len = sizeof l->text - 64 - l->len;
    if (len) memcpy(l->text + l->len, data, len);
    l->text[l->len += len] = 0;
}

static int on_out(void *ctx, const void *data, size_t len)
{
    log_of *l = ctx;
    int rc = wait_first(l);
    if (rc == SBX_OK) add(l, "|o:", data, len);
    return rc;
}

static int on_err(void *ctx, const void *data, size_t len)
{
    log_of *l = ctx;
    int rc = wait_first(l);
    if (rc == SBX_OK) add(l, "|e:", data, len);
    return rc;
}

static int on_piece(void *ctx, const sbx_code_piece *p)
{
    static const char *const names[] = { "", "|text:", "|html:", "|md:", "|svg:", "|latex:",
        "|js:", "|png:", "|jpeg:", "|pdf:", "|json:", "|data:", "|chart:", "|extra:" };
    log_of *l = ctx;
    int rc;
    if (p->format == SBX_CODE_END) {
        char text[24];
        if (l->ends_again) return SBX_E_AGAIN;
        snprintf(text, sizeof text, "%u%s", (unsigned)p->result, p->main_result ? "!" : ".");
        add(l, "|end ", text, strlen(text));
        return l->says;
    }
    CHECK(p->len > 0 && !p->main_result);
    rc = wait_first(l);
    if (rc == SBX_OK) add(l, names[p->format], p->data, p->len);
    return rc;
}

static sbx_run_code_options options_of(log_of *l)
{
    sbx_run_code_options o;
    memset(&o, 0, sizeof o);
    o.out.put = on_out;
    o.err.put = on_err;
    o.out.ctx = o.err.ctx = o.each_ctx = l;
    o.each = on_piece;
    return o;
}

#define OVER "{\"type\":\"end_of_execution\"}\n"

static const char all_of_it[] =
    "{\"type\":\"number_of_executions\",\"execution_count\":7}\r\n"
    "{\"type\":\"stdout\",\"text\":\"a\\n\\u00e9\",\"timestamp\":1735689600000000}\n\n"
    "{\"type\":\"stderr\",\"text\":\"w\\ud83d\\ude00\",\"timestamp\":1}\n"
    "{\"type\":\"new_kind\",\"text\":\"no\",\"deep\":{\"text\":[\"no\"]}}\n"
    "{\"type\":\"result\",\"text\":\"t\",\"html\":\"<b>\",\"markdown\":\"# m\",\"svg\":\"<svg/>\","
    "\"png\":\"AAEC\\n/f7/\\n\",\"jpeg\":null,\"pdf\":\"JVBERg==\",\"latex\":\"$x$\",\"json\":"
    "{\"k\":[1,{\"text\":\"in\\u0041\"}],\"json\":null},\"javascript\":\"f()\",\"data\": [1, 2.5e3],"
    "\"chart\":null,\"extra\":{},\"is_main_result\":false}\n"
    "{\"type\":\"result\",\"json\":\"q\\\"\",\"data\" : -12,\"chart\":true,\"extra\":12.5,"
    "\"text\":\"2\",\"is_main_result\":true}\n"
    OVER;
static const char all_told[] =
    "|o:a\n\xC3\xA9|e:w\xF0\x9F\x98\x80|text:t|html:<b>|md:# m|svg:<svg/>|png:\x01\x02\xFD\xFE\xFF"
    "|pdf:%PDF|latex:$x$|json:{\"k\":[1,{\"text\":\"in\\u0041\"}],\"json\":null}|js:f()"
    "|data:[1, 2.5e3]|extra:{}|end 0.|json:\"q\\\"\"|data:-12|chart:true|extra:12.5|text:2|end 1!";

/* The NUL of the picture is left out of what is compared. */
static void check_told(const log_of *l)
{
    char told[sizeof l->text];
    size_t i, n = 0;
    for (i = 0; i < l->len; i++)
        if (l->text[i]) told[n++] = l->text[i];
    told[n] = 0;
    CHECK_STR(told, all_told);
}

TEST(everything_at_every_chunk_size)
{
    size_t chunk;
    for (chunk = 1; chunk < sizeof all_of_it; chunk += chunk < 20 ? 1 : 37) {
        turn turns[] = { { EXECUTE, 200, 0, all_of_it, .chunk = chunk } };
        log_of l = { .len = 0 };
        sbx_run_code_options o = options_of(&l);
        sbx_run_code_result res;
        rig r;
        BEGIN(&r, turns);
        CHECK_INT(sbx_run_code(r.s, "1", &o, &res, NULL), SBX_OK);
        check_told(&l);
        CHECK_INT(res.execution_count, 7);
        CHECK_INT(res.results, 2);
        CHECK(!res.failed && !res.out && !res.err && !res.traceback);
        rig_end(&r);
    }
}

TEST(sinks_that_wait)
{
    size_t chunk;
    unsigned patience;
    for (patience = 1; patience < 3; patience++)
        for (chunk = 1; chunk < 1200; chunk += 57) {
            turn turns[] = { { EXECUTE, 200, 0, all_of_it, .chunk = chunk } };
            log_of l = { .patience = patience, .left = patience };
            sbx_run_code_options o = options_of(&l);
            sbx_op *op;
            rig r;
            sbx_call call;
            BEGIN(&r, turns);
            call = polled(&r, &op);
            l.op = &op;
            CHECK_INT(sbx_run_code(r.s, "1", &o, NULL, &call), SBX_PENDING);
            until_end(&r, op);
            CHECK_INT(sbx_op_status(op), SBX_OK);
            CHECK(l.agains > 10);
            check_told(&l);
            sbx_op_release(op);
            rig_end(&r);
        }
}

/* One reply each: how the call ends. */
TEST(ends)
{
    static const struct { const char *name, *body; int want; } rows[] = {
        { "its end", OVER, SBX_OK },
        { "an error", "{\"type\":\"error\",\"name\":\"N\",\"value\":\"v\",\"traceback\":\"t\"}\n",
            SBX_OK },
        { "a count", "{\"type\":\"number_of_executions\",\"execution_count\":1}", SBX_OK },
        { "nothing", "", SBX_E_NO_END },
        { "output behind the count", "{\"type\":\"number_of_executions\",\"execution_count\":1}\n"
            "{\"type\":\"stdout\",\"text\":\"x\"}\n", SBX_E_NO_END },
        { "a line that is cut", OVER "{\"type\":\"std", SBX_OK },
        { "the only line is cut", "{\"type\":\"end_of_exec", SBX_E_NO_END },
        { "cut in a value", "{\"type\":\"result\",\"json\":{\"a\":", SBX_E_NO_END },
        { "no JSON", "oops\n" OVER, SBX_E_PROTOCOL },
        { "no object", "[1]\n" OVER, SBX_E_PROTOCOL },
        { "text before the type", "{\"text\":\"x\",\"type\":\"stdout\"}\n" OVER, SBX_E_PROTOCOL },
        { "no base64", "{\"type\":\"result\",\"png\":\"*\"}\n" OVER, SBX_E_PROTOCOL },
        { "base64 that is cut", "{\"type\":\"result\",\"png\":\"A\"}\n" OVER, SBX_E_PROTOCOL },
        { "kinds of values", "{\"type\":\"number_of_executions\",\"execution_count\":\"x\","
            "\"is_main_result\":1,\"a\":[],\"b\":false}\n", SBX_OK }
    };
    size_t i;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        turn turns[] = { { EXECUTE, 200, 0, rows[i].body } };
        log_of l = { .len = 0 };
        sbx_run_code_options o = options_of(&l);
        sbx_run_code_result res;
        rig r;
        test_row = rows[i].name;
        BEGIN(&r, turns);
        CHECK_INT(sbx_run_code(r.s, "1", &o, &res, NULL), rows[i].want);
        if (rows[i].want != SBX_OK) CHECK(!res.failed && !res.execution_count && !res.results);
        rig_end(&r);
    }
}

TEST(captures_are_bounded)
{
    static const char body[] = "{\"type\":\"stdout\",\"text\":\"12345678\"}\n"
        "{\"type\":\"stdout\",\"text\":\"9\"}\n{\"type\":\"stderr\",\"text\":\"e\"}\n"
        "{\"type\":\"error\",\"name\":\"ZeroDivisionError\",\"value\":\"division by zero\","
        "\"traceback\":\"line 1\\nline 2\"}\n" OVER;
    turn turns[] = { { EXECUTE, 200, 0, body, .chunk = 3 } };
    sbx_run_code_options o;
    sbx_run_code_result res;
    rig r;
    memset(&o, 0, sizeof o);
    o.capture_limit = 6;
    BEGIN(&r, turns);
    CHECK_INT(sbx_run_code(r.s, "1/0", &o, &res, NULL), SBX_OK);
    CHECK(res.failed);
    CHECK_STR(res.error_name, "ZeroDivisionError");
    CHECK_STR(res.error_value, "division by zero");
    CHECK_STR(res.out, "123456");
    CHECK_INT(res.out_len, 6);
    CHECK_INT(res.out_cut, 3);
    CHECK_STR(res.err, "e");
    CHECK_STR(res.traceback, "line 1");
    CHECK_INT(res.traceback_cut, 7);
    sbx_free(res.out);
    sbx_free(res.err);
    sbx_free(res.traceback);
    rig_end(&r);
}

TEST(callbacks_have_the_last_word)
{
    static const char body[] = "{\"type\":\"result\",\"text\":\"x\"}\n" OVER;
    static const struct { int says; bool again; int want; } rows[] = {
        { SBX_E_SINK, false, SBX_E_SINK }, { 1, false, SBX_E_ARG }, { 0, true, SBX_E_ARG } };
    size_t i;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        turn turns[] = { { EXECUTE, 200, 0, body } };
        log_of l = { .says = rows[i].says, .ends_again = rows[i].again };
        sbx_run_code_options o = options_of(&l);
        rig r;
        BEGIN(&r, turns);
        CHECK_INT(sbx_run_code(r.s, "1", &o, NULL, NULL), rows[i].want);
        rig_end(&r);
    }
}

/* Code may be silent longer than the clocks of the client allow, not than its own. */
TEST(silence)
{
    int i;
    for (i = 0; i < 2; i++) {
        turn turns[] = { { EXECUTE, 200, 0, OVER, .delay_ms = 200000 },
            { "GET /health ", 204, .always = true, .used = 1 } };
        sbx_run_code_options o;
        rig r;
        memset(&o, 0, sizeof o);
        o.timeout_ms = i ? 150000 : 0;
        BEGIN(&r, turns);
        CHECK_INT(sbx_run_code(r.s, "1", &o, NULL, NULL), i ? SBX_E_TIMEOUT : SBX_OK);
        rig_end(&r);
    }
}

TEST(what_is_refused)
{
    turn turns[] = { { NULL, 500, .used = 1 } };
    sbx_pair bad = { "a", NULL };
    sbx_run_code_options o;
    rig r;
    BEGIN(&r, turns);
    memset(&o, 0, sizeof o);
    CHECK_INT(sbx_run_code(r.s, NULL, NULL, NULL, NULL), SBX_E_ARG);
    CHECK_INT(sbx_run_code(NULL, "1", NULL, NULL, NULL), SBX_E_ARG);
    o.language = "python";
    o.context_id = "c";
    CHECK_INT(sbx_run_code(r.s, "1", &o, NULL, NULL), SBX_E_ARG);
    memset(&o, 0, sizeof o);
    o.envs.items = &bad;
    o.envs.count = 1;
    CHECK_INT(sbx_run_code(r.s, "1", &o, NULL, NULL), SBX_E_ARG);
    CHECK(sbx_supports(r.c, SBX_FEATURE_RUN_CODE));
    rig_end(&r);
}

/* What a host or its edge answers instead of running code. */
TEST(answers_of_the_edge)
{
    static const struct { int http; const char *body; int want; } rows[] = {
        { 502, "{\"message\":\"The sandbox was not found\",\"code\":502}", SBX_E_SANDBOX_GONE },
        { 502, "{\"message\":\"The sandbox is running but port is not open\",\"code\":502}",
            SBX_E_UNREACHABLE },
        { 502, "gone", SBX_E_SANDBOX_GONE },
        { 501, "{\"message\":\"not implemented\",\"code\":501}", SBX_E_UNSUPPORTED_HOST },
        { 404, "no context", SBX_E_NOT_FOUND },
        { 401, "", SBX_E_AUTH }
    };
    size_t i;
    for (i = 0; i < SBXI_LEN(rows); i++) {
        turn turns[] = { { EXECUTE, rows[i].http, 0, rows[i].body, .has = "X-Access-Token: tok" } };
        rig r;
        BEGIN(&r, turns);
        CHECK_INT(sbx_run_code(r.s, "1", NULL, NULL, NULL), rows[i].want);
        rig_end(&r);
    }
}
