/* watch_test - watching a directory: which way is taken, when it ends, what the host
   is told of it. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include "op_rig.h"

#define T_WATCH "POST /filesystem.Filesystem/WatchDir "
#define T_NEW "POST /filesystem.Filesystem/CreateWatcher "
#define T_ASK "POST /filesystem.Filesystem/GetWatcherEvents "
#define T_REMOVE "POST /filesystem.Filesystem/RemoveWatcher "
#define WATCHER "{\"watcherId\":\"w1\"}"
#define CHANGE(name) "{\"name\":\"" name "\",\"type\":\"EVENT_TYPE_WRITE\"}"
#define CHANGES "{\"events\":[" CHANGE("a") "," CHANGE("b") "," CHANGE("c") "]}"

typedef struct seen {
    rig *r;
    ptext names;
    unsigned calls, at;     /* acts at this call */
    int answer;
    sbx_watch *release, *stop;
    int stop_status;
} seen;

static int see(void *ctx, const sbx_watch_event *e)
{
    seen *s = ctx;
    pt_format(&s->names, "%s%s", e->name, e->entry ? "+" : "");
    if (++s->calls != s->at) return SBX_OK;
    if (s->stop) s->stop_status = sbx_watch_stop(s->stop, NULL);
    sbx_watch_release(s->release);
    s->release = NULL;
    return s->answer;
}

static int watch(rig *r, sbx_watch_mode mode, int32_t interval_ms, seen *s, sbx_watch **w)
{
    sbx_watch_options o;
    memset(&o, 0, sizeof o);
    o.mode = mode;
    o.interval_ms = interval_ms;
    s->r = r;
    return sbx_files_watch(r->s, "/d", &o, see, s, w, NULL);
}

static void watch_end(rig *r, seen *s)
{
    pt_free(&s->names);
    rig_end(r);
}

/* A reply of one message, behind which nothing comes. */
static void message(turn *t, ptext *raw, unsigned flags, const char *text)
{
    ptext frame = { 0 };
    pt_envelope(&frame, flags, text);
    pt_put(raw, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    pt_format(raw, "%x\r\n", (unsigned)frame.len);
    pt_add(raw, frame.p, frame.len);
    pt_put(raw, "\r\n");
    if (flags) pt_put(raw, "0\r\n\r\n");
    t->raw = raw->p;
    t->raw_len = raw->len;
    pt_free(&frame);
}

/* Asking takes the stream's place where the host has none, not where the path is
   missing. */
TEST(which_way)
{
    static const struct {
        const char *name;
        int http;           /* 0: a message of a stream */
        const char *body;
        bool fallback;
        int want;
    } rows[] = {
        { "no such route", 404, "404 page not found", true, SBX_E_UNSUPPORTED_HOST },
        { "not implemented", 501, "{}", true, SBX_E_UNSUPPORTED_HOST },
        { "says so", 501, "{\"code\":\"unimplemented\"}", true, SBX_E_UNSUPPORTED_HOST },
        { "says so in the stream", 0, "{\"error\":{\"code\":\"unimplemented\"}}", true,
            SBX_E_UNSUPPORTED_HOST },
        { "no such path", 0, "{\"error\":{\"code\":\"not_found\",\"message\":\"p\"}}", false,
            SBX_E_NOT_FOUND },
        { "no such path, plain", 404, "{\"code\":\"not_found\",\"message\":\"p\"}", false,
            SBX_E_NOT_FOUND },
        { "no directory", 0, "{\"error\":{\"code\":\"invalid_argument\",\"message\":"
            "\"path is not a directory: /d\"}}", false, SBX_E_NOT_A_FILE },
        { "ends at once", 0, "{}", false, SBX_E_NO_END },
    };
    size_t i;
    int mode;
    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        for (mode = SBX_WATCH_DEFAULT; mode <= SBX_WATCH_STREAM; mode++) {
            turn turns[] = { { T_WATCH, rows[i].http, 0, rows[i].body },
                { T_NEW, 200, 0, WATCHER, .used = 1 }, { T_ASK, 200, 0, CHANGES, .used = 1 },
                { T_REMOVE, 200, 0, "{}", .used = 1 } };
            bool asks = rows[i].fallback && mode == SBX_WATCH_DEFAULT;
            ptext raw = { 0 };
            rig r;
            seen s = { 0 };
            sbx_watch *w = (sbx_watch *)&r;
            test_row = rows[i].name;
            if (!rows[i].http) message(&turns[0], &raw, 2, rows[i].body);
            BEGIN(&r, turns);
            turns[1].used = turns[2].used = turns[3].used = !asks;
            CHECK_INT(watch(&r, (sbx_watch_mode)mode, SBX_NEVER, &s, &w),
                asks ? SBX_OK : rows[i].want);
            CHECK(!w == !asks);
            if (w) {
                CHECK_INT(sbx_watch_poll(w, NULL), SBX_OK);
                CHECK_STR(s.names.p, "abc");
                CHECK_INT(sbx_watch_stop(w, NULL), SBX_OK);
            }
            sbx_watch_release(w);
            pt_free(&raw);
            watch_end(&r, &s);
        }
    test_row = NULL;
}

/* A host that has neither. */
TEST(no_way_at_all)
{
    turn turns[] = { { T_WATCH, 404, 0, "404 page not found" },
        { T_NEW, 404, 0, "404 page not found" } };
    rig r;
    seen s = { 0 };
    sbx_watch *w;
    BEGIN(&r, turns);
    CHECK_INT(watch(&r, SBX_WATCH_DEFAULT, 0, &s, &w), SBX_E_UNSUPPORTED_HOST);
    watch_end(&r, &s);
}

TEST(wrong_arguments)
{
    turn turns[] = { { NULL, 500, .used = 1 } };
    rig r;
    seen s = { 0 };
    sbx_watch *w;
    BEGIN(&r, turns);
    CHECK_INT(sbx_files_watch(r.s, "/d", NULL, see, &s, NULL, NULL), SBX_E_ARG);
    CHECK_INT(sbx_files_watch(r.s, "/d", NULL, NULL, &s, &w, NULL), SBX_E_ARG);
    CHECK_INT(sbx_files_watch(r.s, NULL, NULL, see, &s, &w, NULL), SBX_E_ARG);
    CHECK_INT(watch(&r, (sbx_watch_mode)3, 0, &s, &w), SBX_E_ARG);
    CHECK_INT(sbx_files_watch(NULL, "/d", NULL, see, &s, &w, NULL), SBX_E_ARG);
    watch_end(&r, &s);
}

/* Stopped once or twice, asked afterwards. */
TEST(after_a_stop)
{
    turn turns[] = { { T_NEW, 200, 0, WATCHER }, { T_REMOVE, 200, 0, "{}" } };
    rig r;
    seen s = { 0 };
    sbx_watch *w;
    BEGIN(&r, turns);
    CHECK_INT(watch(&r, SBX_WATCH_ASK, 0, &s, &w), SBX_OK);
    CHECK_INT(sbx_watch_status(w), SBX_PENDING);
    CHECK_INT(sbx_watch_stop(w, NULL), SBX_OK);
    CHECK_INT(sbx_watch_status(w), SBX_OK);
    CHECK_INT(sbx_watch_stop(w, NULL), SBX_OK);
    CHECK_INT(sbx_watch_poll(w, NULL), SBX_E_CONFLICT);
    CHECK(strstr(sbx_client_error(r.c)->message, "stopped") != NULL);
    CHECK_INT(r.p->requests, 2);
    sbx_watch_release(w);
    watch_end(&r, &s);
}

/* A stop that is refused has done nothing; the release sees to it. */
TEST(stop_in_a_callback)
{
    turn turns[] = { { T_NEW, 200, 0, WATCHER }, { T_ASK, 200, 0, CHANGES },
        { T_REMOVE, 200, 0, "{}" } };
    rig r;
    seen s = { 0 };
    sbx_watch *w;
    BEGIN(&r, turns);
    CHECK_INT(watch(&r, SBX_WATCH_ASK, 1000, &s, &w), SBX_OK);
    s.stop = w;
    s.at = 2;
    while (s.calls < 3) CHECK_INT(sbx_poll(r.c, 1000, NULL), SBX_OK);
    CHECK_INT(s.stop_status, SBX_E_REENTRANT);
    CHECK_INT(sbx_watch_status(w), SBX_PENDING);
    sbx_watch_release(w);
    drive(&r, 50);
    watch_end(&r, &s);
}

/* Released without a stop: the host forgets it, at the close too. */
TEST(release_without_stop)
{
    int close;
    for (close = 0; close < 2; close++) {
        turn turns[] = { { T_NEW, 200, 0, WATCHER }, { T_REMOVE, 200, 0, "{}", .delay_ms = 100 } };
        rig r;
        seen s = { 0 };
        sbx_watch *w;
        BEGIN(&r, turns);
        CHECK_INT(watch(&r, SBX_WATCH_ASK, 1000, &s, &w), SBX_OK);
        sbx_watch_release(w);
        sbx_sandbox_release(r.s);
        r.s = NULL;
        if (!close) CHECK_INT(drive(&r, 50), 0);
        CHECK_INT(sbx_close(r.c), SBX_OK);
        r.c = NULL;
        CHECK_MEM(r.p->request[1].body.p, r.p->request[1].body.len, WATCHER, strlen(WATCHER));
        watch_end(&r, &s);
    }
}

/* A callback that fails ends it, asked by itself, by hand, or by a stream. */
TEST(callback_ends_it)
{
    int way;
    for (way = 0; way < 3; way++) {
        turn turns[] = { { T_NEW, 200, 0, WATCHER }, { T_ASK, 200, 0, CHANGES },
            { T_REMOVE, 200, 0, "{}" }, { T_WATCH } };
        ptext raw = { 0 }, frame = { 0 };
        rig r;
        seen s = { 0 };
        sbx_watch *w;
        turns[3].used = way < 2;
        turns[0].used = turns[1].used = turns[2].used = way == 2;
        message(&turns[3], &raw, 0, "{\"start\":{}}");
        pt_envelope(&frame, 0, "{\"filesystem\":" CHANGE("a") "}");
        pt_envelope(&frame, 0, "{\"filesystem\":" CHANGE("b") "}");
        pt_envelope(&frame, 0, "{\"filesystem\":" CHANGE("c") "}");
        pt_format(&raw, "%x\r\n", (unsigned)frame.len);
        pt_add(&raw, frame.p, frame.len);
        pt_put(&raw, "\r\n");
        turns[3].raw = raw.p;
        turns[3].raw_len = raw.len;
        BEGIN(&r, turns);
        turns[3].used = way < 2;
        turns[0].used = turns[1].used = turns[2].used = way == 2;
        s.at = 2;
        s.answer = SBX_E_NO_SPACE;
        CHECK_INT(watch(&r, way < 2 ? SBX_WATCH_ASK : SBX_WATCH_STREAM, way ? SBX_NEVER : 1000, &s,
            &w), SBX_OK);
        if (way == 1) CHECK_INT(sbx_watch_poll(w, NULL), SBX_E_NO_SPACE);
        drive(&r, 50);
        CHECK_INT(sbx_watch_status(w), SBX_E_NO_SPACE);
        CHECK_STR(s.names.p, "ab");
        CHECK_INT(sbx_watch_poll(w, NULL), SBX_E_NO_SPACE);
        sbx_watch_release(w);
        drive(&r, 50);
        pt_free(&raw);
        pt_free(&frame);
        watch_end(&r, &s);
    }
}

/* Released inside its callback: not one event more. */
TEST(release_in_its_callback)
{
    int by_hand;
    for (by_hand = 0; by_hand < 2; by_hand++) {
        turn turns[] = { { T_NEW, 200, 0, WATCHER }, { T_ASK, 200, 0, CHANGES },
            { T_REMOVE, 200, 0, "{}" } };
        rig r;
        seen s = { 0 };
        sbx_watch *w;
        BEGIN(&r, turns);
        CHECK_INT(watch(&r, SBX_WATCH_ASK, by_hand ? SBX_NEVER : 1000, &s, &w), SBX_OK);
        s.at = 2;
        s.release = w;
        if (by_hand) CHECK_INT(sbx_watch_poll(w, NULL), SBX_E_CANCELLED);
        CHECK_INT(drive(&r, 50), 0);
        CHECK_STR(s.names.p, "ab");
        watch_end(&r, &s);
    }
}

/* Stopped while another call asks: what comes then is not told. */
TEST(stop_while_it_is_asked)
{
    turn turns[] = { { T_NEW, 200, 0, WATCHER }, { T_ASK, 200, 0, CHANGES, .delay_ms = 100 },
        { T_REMOVE, 200, 0, "{}" } };
    rig r;
    seen s = { 0 };
    sbx_watch *w;
    sbx_op *op;
    sbx_call call;
    BEGIN(&r, turns);
    CHECK_INT(watch(&r, SBX_WATCH_ASK, SBX_NEVER, &s, &w), SBX_OK);
    call = polled(&r, &op);
    CHECK_INT(sbx_watch_poll(w, &call), SBX_PENDING);
    sbx_poll(r.c, 1, NULL);
    CHECK_INT(sbx_watch_stop(w, NULL), SBX_OK);
    sbx_watch_release(w);
    CHECK_INT(drive(&r, 50), 0);
    CHECK_INT(s.calls, 0);
    CHECK_INT(sbx_op_status(op), SBX_E_CANCELLED);
    sbx_op_release(op);
    watch_end(&r, &s);
}

/* Asked every so often, with the entry where the host tells one. */
TEST(asking_at_intervals)
{
    turn turns[] = { { T_NEW, 200, 0, WATCHER },
        { T_ASK, 200, 0, "{\"events\":[{\"name\":\"x\",\"type\":\"EVENT_TYPE_CREATE\",\"entry\":"
            "{\"name\":\"x\"}}," CHANGE("y") "]}" }, { T_ASK, 200, 0, "{}", .always = true },
        { T_REMOVE, 404, 0, "{\"code\":\"not_found\"}" } };
    rig r;
    seen s = { 0 };
    sbx_watch *w;
    uint64_t since;
    size_t n;
    BEGIN(&r, turns);
    CHECK_INT(watch(&r, SBX_WATCH_ASK, 500, &s, &w), SBX_OK);
    since = r.p->now;
    while (r.p->requests < 11) CHECK_INT(sbx_poll(r.c, 60000, NULL), SBX_OK);
    CHECK_INT(r.p->now - since, 5000);
    CHECK_STR(s.names.p, "x+y");
    n = r.p->requests;
    CHECK_INT(sbx_watch_poll(w, NULL), SBX_OK); /* besides */
    CHECK_INT(r.p->requests, n + 1);
    CHECK_INT(sbx_watch_stop(w, NULL), SBX_OK); /* the host has forgotten it: no matter */
    sbx_watch_release(w);
    watch_end(&r, &s);
}

/* A start that is given up anywhere leaves nothing here. */
TEST(start_is_released_at_every_step)
{
    unsigned steps;
    bool over = false;
    for (steps = 0; steps < 500 && !over; steps++) {
        turn turns[] = { { T_WATCH, 404, 0, "no" }, { T_NEW, 200, 0, WATCHER },
            { T_REMOVE, 200, 0, "{}", .always = true }, { T_ASK, 200, 0, "{}", .always = true } };
        rig r;
        seen s = { 0 };
        sbx_watch *w;
        sbx_op *op;
        sbx_call call;
        unsigned i;
        BEGIN(&r, turns);
        r.p->recv_max = r.p->send_max = 40;
        r.p->would_block = true;
        call = polled(&r, &op);
        CHECK_INT(sbx_files_watch(r.s, "/d", NULL, see, &s, &w, &call), SBX_PENDING);
        for (i = 0; i < steps && sbx_op_status(op) == SBX_PENDING; i++) sbx_poll(r.c, 1, NULL);
        over = sbx_op_status(op) != SBX_PENDING;
        CHECK(!w == !over);
        sbx_op_release(op);
        sbx_watch_release(w);
        CHECK_INT(drive(&r, 200), 0);
        for (i = 0; i < 4; i++) turns[i].used = 1;
        watch_end(&r, &s);
    }
    CHECK(steps > 10 && over);
}
