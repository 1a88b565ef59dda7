/* op_rig.h - a client on the scripted peer of op_peer.h, checked for leaks at its
   end, with sinks and sources that have a will of their own. Include it after
   op_peer.h and test.h. */
#ifndef SBX_OP_RIG_H
#define SBX_OP_RIG_H

#include <strings.h>

/* ---- a client on a peer, checked for leaks at the end -------------------------- */

typedef struct rig {
    peer *p;
    sbx_client *c;
    sbx_sandbox *s;
    sbx_config g;
    sbx_error e;
} rig;

static void rig_start(rig *r)
{
    memset(r, 0, sizeof *r);
    r->p = peer_new();
    r->g = peer_config(r->p);
}

static void rig_open(rig *r)
{
    sbx_sandbox_access a;
    memset(&a, 0, sizeof a);
    a.access_token = "tok";
    a.daemon_version = "0.6.4";
    CHECK_INT(sbx_open(&r->c, &r->g), SBX_OK);
    CHECK_INT(sbx_sandbox_attach(r->c, "box1", &a, &r->s), SBX_OK);
}

static void rig_begin(rig *r, turn *turns, size_t n)
{
    rig_start(r);
    peer_script(r->p, turns, n);
    rig_open(r);
}

#define BEGIN(r, turns) rig_begin(r, turns, sizeof(turns) / sizeof((turns)[0]))

static void rig_end(rig *r)
{
    size_t i;
    sbx_sandbox_release(r->s);
    CHECK_INT(sbx_close(r->c), SBX_OK);
    CHECK_STR(r->p->complaint, "");
    CHECK_INT(r->p->heap.blocks, 0);
    CHECK_INT(r->p->heap.bytes, 0);
    CHECK(!r->p->heap.wrong_size);
    CHECK_INT(r->p->live, 0);
    for (i = 0; i < r->p->turn_count; i++)
        if (!r->p->turns[i].used) {
            printf("turn %u (%s): ", (unsigned)i, r->p->turns[i].expect
                ? r->p->turns[i].expect : "any");
            CHECK(!"was not used");
        }
    peer_free(r->p);
}

static sbx_call polled(rig *r, sbx_op **op)
{
    sbx_call call;
    memset(&call, 0, sizeof call);
    *op = NULL;
    call.op = op;
    call.error = &r->e;
    return call;
}

/* Polls until nothing can happen any more, or `rounds` are over. */
static size_t drive(rig *r, unsigned rounds)
{
    size_t running = 1;
    while (running && rounds--)
        if (sbx_poll(r->c, 60000, &running) != SBX_OK) break;
    return running;
}

static void until_end(rig *r, sbx_op *op)
{
    unsigned n = 20000;
    while (sbx_op_status(op) == SBX_PENDING && n--)
        if (sbx_poll(r->c, 60000, NULL) != SBX_OK) break;
}

/* One turn of an event loop of the user's own, which may tell what is ready.
   It has a timer of its own that rings after max_ms. False: something is wrong. */
static PEER_UNUSED bool own_turn_for(rig *r, bool tell, uint32_t max_ms, size_t *running)
{
    static sbx_wait waits[P_CONNS];
    size_t n;
    uint32_t next;
    if (!CHECK_INT(sbx_waits(r->c, waits, P_CONNS, &n, &next), SBX_OK)) return false;
    if (next > max_ms) next = max_ms;
    if (n || next) (void)peer_sleep(r->p, waits, n, next);
    if (tell) CHECK_INT(sbx_ready(r->c, waits, n), SBX_OK);
    return sbx_poll(r->c, 0, running) == SBX_OK && !r->p->stuck;
}

static PEER_UNUSED bool own_turn(rig *r, bool tell, size_t *running)
{
    return own_turn_for(r, tell, UINT32_MAX, running);
}

/* ---- sinks and sources with a will of their own -------------------------------- */

typedef struct picky {
    ptext got;
    unsigned refuse;        /* AGAIN so many times before each piece */
    unsigned left;
    unsigned calls, agains;
    int end;                /* returned instead of taking anything */
    sbx_op **op;            /* woken, cancelled, released from inside */
    sbx_op **other;
    rig *r;
    int wake, cancel, release, close_status, block_status;
    bool starts;
} picky;

static int picky_act(picky *k)
{
    if (k->wake) sbx_op_wake(*k->op);
    if (k->r) {
        bool b;
        k->close_status = sbx_close(k->r->c);
        k->block_status = sbx_sandbox_is_running(k->r->s, &b, NULL);
    }
    if (k->cancel) sbx_op_cancel(k->other ? *k->other : *k->op);
    if (k->release) {
        sbx_op **op = k->other ? k->other : k->op;
        sbx_op_release(*op);
        *op = NULL;
    }
    k->cancel = k->release = 0;
    return 0;
}

static int picky_put(void *ctx, const void *data, size_t len)
{
    picky *k = ctx;
    k->calls++;
    picky_act(k);
    if (k->end) return k->end;
    if (k->left) {
        k->left--;
        k->agains++;
        return SBX_E_AGAIN;
    }
    k->left = k->refuse;
    pt_add(&k->got, data, len);
    return SBX_OK;
}

static sbx_sink picky_sink(picky *k)
{
    sbx_sink s;
    s.put = picky_put;
    s.ctx = k;
    k->left = k->refuse;
    return s;
}

typedef struct well {       /* a source */
    const char *data;
    size_t len, pos;
    size_t piece;           /* at most so many bytes a time, 0: all */
    unsigned refuse, left, calls, rewinds, after_end;
    int end, rewind_end;
    picky *acts;
} well;

static int well_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    well *w = ctx;
    size_t n = w->len - w->pos;
    w->calls++;
    if (w->acts) picky_act(w->acts);
    if (w->end && n == 0) return w->end;
    if (w->left) {
        w->left--;
        return SBX_E_AGAIN;
    }
    w->left = w->refuse;
    if (n > cap) n = cap;
    if (w->piece && n > w->piece) n = w->piece;
    if (n) memcpy(buf, w->data + w->pos, n);
    w->pos += n;
    *got = n;
    return SBX_OK;
}

static int well_rewind(void *ctx)
{
    well *w = ctx;
    w->rewinds++;
    w->pos = 0;
    return w->rewind_end;
}

static sbx_source well_source(well *w, int64_t size, bool rewinds)
{
    sbx_source s;
    s.get = well_get;
    s.rewind = rewinds ? well_rewind : NULL;
    s.ctx = w;
    s.size = size;
    w->left = w->refuse;
    return s;
}

static char *pattern(size_t n)
{
    char *p = malloc(n + 1);
    size_t i;
    for (i = 0; i < n; i++) p[i] = (char)(i * 7 + i / 251);
    p[n] = 0;
    return p;
}

/* A whole stream of a command with the given output, each in one message. */
static void stream_of(ptext *t, const char *const *outs, size_t n)
{
    size_t i;
    pt_envelope(t, 0, "{\"event\":{\"start\":{\"pid\":77}}}");
    for (i = 0; i < n; i++) {
        size_t len = strlen(outs[i]);
        char *b64 = malloc(SBX_BASE64_LEN(len) + 64), *json = malloc(SBX_BASE64_LEN(len) + 128);
        b64[sbx_base64_encode(b64, outs[i], len)] = 0;
        sprintf(json, "{\"event\":{\"data\":{\"%s\":\"%s\"}}}", i & 1 ? "stderr" : "stdout", b64);
        pt_envelope(t, 0, json);
        free(b64);
        free(json);
    }
    pt_envelope(t, 0, "{\"event\":{\"end\":{\"exitCode\":3,\"exited\":true,"
        "\"status\":\"exit status 3\"}}}");
    pt_envelope(t, 2, "{}");
}

#define T_START "POST /process.Process/Start "
#define T_FILES "POST /files?"
#define T_READ "GET /files?"
#define CREATED "{\"sandboxID\":\"new1\",\"envdVersion\":\"0.6.4\",\"envdAccessToken\":\"t1\"}"
#define WRITTEN "[{\"name\":\"f\",\"path\":\"/f\",\"type\":\"file\"}]"

/* ---- what several tests ask --------------------------------------------------- */

/* Another handle of the same id, for a daemon of this version; NULL: not known. */
static void rig_version(rig *r, const char *version)
{
    sbx_sandbox_access a = { .access_token = "tok", .daemon_version = version };
    sbx_sandbox_release(r->s);
    CHECK_INT(sbx_sandbox_attach(r->c, "box1", &a, &r->s), SBX_OK);
}

/* Requests whose head begins so. */
static unsigned requests_of(const peer *p, const char *line)
{
    unsigned n = 0;
    size_t i;
    for (i = 0; i < p->requests; i++)
        if (strncmp(p->request[i].head, line, strlen(line)) == 0) n++;
    return n;
}

/* A sink into a text. */
static int text_put(void *ctx, const void *data, size_t len)
{
    pt_add(ctx, data, len);
    return SBX_OK;
}

static int no_sandbox(void *ctx, const sbx_sandbox_info *info)
{
    (void)ctx;
    (void)info;
    return SBX_OK;
}

#endif
