/* op - the driver of operations: starts them, runs their exchanges and naps,
   and is the one place that knows deadlines, retries, probing, cancelling and
   blocking. Called by api/ to start, by the user to poll. */

/* ---- what a step may ask for ---------------------------------------------- */

/* One exchange by a route; the step function is called with `next` after it. */
static int sbxi_ask(sbx_op *op, unsigned route, uint8_t next)
{
    op->route = sbxi_op_route(op, route);
    op->step = next;
    op->tries = op->hops = 0;
    op->fresh = op->mid_stream = false;
    op->phase = SBXI_PHASE_EXCHANGE;
    return SBX_PENDING;
}

/* The same after a while. */
static SBXI_MAYBE int sbxi_ask_later(sbx_op *op, unsigned route, uint8_t next, int32_t ms)
{
    (void)sbxi_ask(op, route, next);
    op->nap_since = sbxi_now(&op->client->link);
    op->nap_ms = ms;
    op->phase = SBXI_PHASE_NAP;
    return SBX_PENDING;
}

/* No exchange: the step itself once more, after a while. What returns SBX_PENDING
   without asking for anything is called again when others had their turn. */
static SBXI_MAYBE int sbxi_step_later(sbx_op *op, int32_t ms)
{
    op->nap_since = sbxi_now(&op->client->link);
    op->nap_ms = ms;
    op->phase = SBXI_PHASE_NAP;
    op->dreams = true;
    return SBX_PENDING;
}

/* The route of the function itself, and that was it. */
static SBXI_MAYBE int sbxi_ask_default(sbx_op *op)
{
    return sbxi_ask(op, op->feature, SBXI_STEP_DONE);
}

/* ---- exchanges ------------------------------------------------------------ */

/* How long its reply may be silent, 0: by the clocks. */
static int32_t sbxi_op_quiet_ms(const sbx_op *op)
{
#ifndef SBX_NO_RUN_CODE
    if (op->route->recv == SBXI_RECV_LINES) return op->args.of.code.o.timeout_ms;
#endif
    (void)op;
    return 0;
}

static SBXI_APART int sbxi_op_connect(sbx_op *op)
{
    sbxi_url url;
    int rc;
    sbxi_reply_clear(op);
    if (!op->probing) sbxi_error_clear(&op->error);
    rc = sbxi_op_build(op, &url);
    if (rc != SBX_OK) return rc;
    if (op->feature == SBX_FEATURE_SANDBOX_CREATE && !op->sandbox && !sbxi_sandbox_reserve(op))
        return SBX_E_NOMEM;
    if ((op->tries || op->hops) && op->x.sent && !sbxi_op_rewind(op)) return SBX_E_SOURCE;
    op->held_len = 0;
    op->started = op->ended = op->asleep = false;
    sbxi_exchange_init(&op->x, &op->client->link, &op->out);
    op->x.quiet_ms = sbxi_op_quiet_ms(op);
    sbxi_trace_begin(op);
    sbx_http_init(&op->x.http, op->line, sizeof op->line, false, &sbxi_reply_events, op);
    /* what must not be sent twice does not go out on a kept connection: when that
       dies, nobody can tell a stale one from a service that had read it all */
    return sbxi_exchange_start(&op->x, &url,
        op->fresh || (op->route->retry == SBXI_RETRY_REJECTED && !op->repeatable));
}

/* Frees what an exchange needed. */
static void sbxi_op_disconnect(sbx_op *op)
{
    sbxi_trace_end(op);
    sbxi_reply_end_unpacking(op);
    if (op->x.conn) sbxi_exchange_end(&op->x);
}

/* Backoff: what the service asked for, else 0.1 s doubling up to 10 s, of which
   a random half is taken off: jitter needs no strength, only difference. */
static int32_t sbxi_backoff(sbx_op *op)
{
    const sbxi_link *link = &op->client->link;
    uint32_t jitter = sbxi_now(link) * UINT32_C(2654435761); /* without entropy: mixed */
    int32_t ms = 100;
    unsigned i;
    if (op->reply.retry_after_ms >= 0) return op->reply.retry_after_ms;
    for (i = 0; i < op->tries && ms < 10000; i++) ms *= 2;
    ms = SBXI_MIN(ms, 10000);
    if (link->net.entropy) (void)link->net.entropy(link->net.ctx, &jitter, sizeof jitter);
    return ms - (int32_t)((jitter >> 22) * (uint32_t)(ms / 2) >> 10);
}

/* What is left of the total clock. */
static uint32_t sbxi_op_left(const sbx_op *op, uint32_t now)
{
    return sbxi_left(op->since, op->total_ms, now);
}

/* Whether what the service says lets the request be sent again. */
static bool sbxi_reply_lets_retry(const sbxi_reply *r, uint8_t class)
{
    if (r->happy || class == SBXI_RETRY_NEVER) return false;
    if (r->should_retry != SBX_DEFAULT) return r->should_retry == SBX_YES;
    if (r->http == 429 || r->http == 503) return true;
    return class == SBXI_RETRY_SAFE && (r->http == 502 || r->http == 504);
}

/* Whether the failed exchange may be sent again, by the route's class. */
static bool sbxi_may_retry(const sbx_op *op, int rc)
{
    const sbxi_reply *r = &op->reply;
    uint8_t class = op->repeatable ? SBXI_RETRY_SAFE : op->route->retry;
    if (op->mid_stream || op->probing) return false;
    if (op->detached && op->route->retry != SBXI_RETRY_SAFE) return false; /* the create */
    if (r->http) return sbxi_reply_lets_retry(r, class);
    return rc == SBX_E_CONNECT
        || (rc == SBX_E_NETWORK && (!op->x.sent || class == SBXI_RETRY_SAFE));
}

/* Whether what was sent can be sent again. */
static bool sbxi_op_rewinds(const sbx_op *op)
{
    size_t i;
    for (i = 0; i < op->out.part_count; i++)
        if (!op->out.parts[i].source.rewind) return false;
    return true;
}

/* A kept connection that died before one byte came back; a create that is followed
   up, without a sandbox yet, is not sent again for it, nor what a process reads: it
   may have read it. */
static bool sbxi_op_is_stale(const sbx_op *op, int rc)
{
    return rc == SBX_E_NETWORK && op->x.reused && !op->x.answered && !op->fresh
        && !op->mid_stream && !(op->detached && !op->sandbox)
        && (unsigned)op->feature - SBX_FEATURE_COMMAND_SEND_STDIN
            > SBX_FEATURE_PTY_STREAM_INPUT - SBX_FEATURE_COMMAND_SEND_STDIN;
}

/* A call without a deadline of its own is not made to sleep longer. */
#define SBXI_NAP_MS 60000u

/* Arranges another try. False: the failure stands. */
static bool sbxi_op_retry(sbx_op *op, int rc)
{
    const sbx_client *c = op->client;
    int32_t limit = c->config.retries == 0 ? 3 : c->config.retries < 0 ? 0 : c->config.retries;
    uint32_t now;
    int32_t ms;
    if (sbxi_op_is_stale(op, rc)) {
        if (!sbxi_op_rewinds(op)) return false;
        if (op->tries == 0) op->tries = 1;
        op->fresh = true;
        sbxi_op_disconnect(op);
        op->phase = SBXI_PHASE_EXCHANGE;
        return true;
    }
    if (op->tries >= limit || !sbxi_may_retry(op, rc)) return false;
    now = sbxi_now(&c->link);
    ms = sbxi_backoff(op);
    if ((uint32_t)ms >= (op->total_ms < 0 ? SBXI_NAP_MS : sbxi_op_left(op, now))) return false;
    op->tries++;
    sbxi_op_disconnect(op);
    op->nap_since = now;
    op->nap_ms = ms;
    op->phase = SBXI_PHASE_NAP;
    return true;
}

/* ---- redirects ------------------------------------------------------------ */

#ifdef SBX_NO_REDIRECT

static bool sbxi_op_is_redirect(const sbx_op *op)
{
    (void)op;
    return false;
}

static int sbxi_op_redirect(sbx_op *op) { return op->status; }

#else

/* 301, 302, 303, 307, 308, and they are followed. */
static bool sbxi_op_is_redirect(const sbx_op *op)
{
    unsigned n = (unsigned)op->reply.http - 301;
    return op->client->config.redirects > 0 && n < 8 && 0xC7 >> n & 1;
}

static bool sbxi_url_same_origin(const sbxi_url *a, const sbxi_url *b)
{
    return a->tls == b->tls && a->port == b->port && a->host.len == b->host.len
        && sbxi_ends_nocase(a->host, b->host);
}

/* Turns op->url to where the reply points: a path, or a URL of the same origin,
   whose bytes stay as they are. False: it is neither. */
static bool sbxi_op_turn(sbx_op *op)
{
    sbxi_span now_text = { op->url.data, op->url.len }, to = { op->block.data, op->block.len };
    sbxi_url now, other;
    if (!sbxi_url_origin(now_text, &now)) return false;
    if (!to.len || to.ptr[0] != '/' || (to.len > 1 && to.ptr[1] == '/')) {
        if (!sbxi_url_origin(to, &other) || !sbxi_url_same_origin(&other, &now)) return false;
        to = other.path;
    }
    if (!sbxi_is_target(to, '#')) return false;
    op->url.len = (size_t)(now.path.ptr - op->url.data);
    return sbxi_buf_add(&op->url, to.len ? to.ptr : "/", to.len ? to.len : 1) == SBX_OK;
}

/* Goes where the reply points (SBX_PENDING), if that is allowed. Requests keep their
   method: what is not a GET would have to become one after 301 to 303. */
static int sbxi_op_redirect(sbx_op *op)
{
    bool get = op->route->method == SBXI_GET;
    const char *why = NULL;
    op->reply.raw_len = 0;
    op->error.message[0] = 0;
    if (op->reply.locations && op->block.status) return op->block.status;
    if (op->hops >= op->client->config.redirects || op->hops == UINT8_MAX)
        why = SBXI_TEXT("more redirects than config.redirects: do they go round in a circle?");
    else if (!get && (op->reply.http < 307 || !sbxi_op_rewinds(op)))
        why = SBXI_TEXT("a redirect that this request cannot follow: it would lose its body");
    else if (op->reply.locations != 1)
        why = SBXI_TEXT("a redirect without one usable Location");
    else if (!sbxi_op_turn(op))
        why = SBXI_TEXT("a redirect to another host or scheme, or to what is no http URL or path: "
            "not followed");
    else {
        op->hops++;
        sbxi_op_disconnect(op);
        op->phase = SBXI_PHASE_EXCHANGE;
        return SBX_PENDING;
    }
    return sbxi_op_fail(op, SBX_E_PROTOCOL, why);
}

#endif

/* ---- the end -------------------------------------------------------------- */

static void sbxi_op_unlink(sbx_op *op)
{
    sbx_op **at = &op->client->ops;
    while (*at && *at != op) at = &(*at)->next;
    if (*at) *at = op->next;
}

static void sbxi_proc_unref(sbx_proc *p);

/* Frees the memory of a run; the struct stays until the user releases it. */
static void sbxi_op_clean(sbx_op *op)
{
    sbxi_op_disconnect(op);
    sbxi_op_drop_parts(op);
    if (SBXI_HAS_TEMPLATE && op->clean) op->clean(&op->args);
    op->clean = NULL;
    sbxi_buf_free(&op->out.text);
    sbxi_buf_free(&op->url);
    sbxi_buf_free(&op->block);
    sbxi_buf_free(&op->captured[0].buf);
    sbxi_buf_free(&op->captured[1].buf);
#ifndef SBX_NO_RUN_CODE
    if (op->feature == SBX_FEATURE_RUN_CODE) sbxi_buf_free(&op->args.of.code.traceback.buf);
#endif
    sbx_free(op->kept);
    op->kept = NULL;
    sbx_free(op->result);
    op->result = NULL;
    sbxi_sandbox_unref(op->sandbox);
    op->sandbox = NULL;
    sbxi_sandbox_unref(op->spare);
    op->spare = NULL;
    if (SBXI_HAS_PROC && op->until) sbxi_proc_unref(op->proc);
    op->proc = NULL;
}

static void sbxi_op_free(sbx_op *op)
{
    const sbx_alloc *a = &op->client->link.alloc;
    sbxi_op_unlink(op);
    sbxi_op_clean(op);
    sbxi_alloc_wipe(a, op, sizeof *op);
}

/* Tells the user, once. */
static void sbxi_op_tell(sbx_op *op, int status)
{
    sbx_client *c = op->client;
    op->status = status;
    if (op->reply.raw_len) op->error.message[0] = 0; /* half an error body */
    if (status != SBX_OK) {
        sbxi_error_set(&op->error, status, NULL);
        op->error.status = status;
        if (!op->error.pid) op->error.pid = op->pid;
        if (!op->error.http_status) op->error.http_status = op->reply.http;
        if (sbxi_op_proc(op)) op->proc->error = op->error;
        else if (op->call.error) *op->call.error = op->error;
        else if (!op->released) c->error = op->error;
    }
    if (sbxi_op_proc(op)) sbxi_proc_ended(op, status);
    if (op->call.op && op->call.done) {
        c->callbacks++;
        op->call.done(op->call.user, op, status);
        c->callbacks--;
    }
}

/* A create whose reply is missing, or was not understood, may have made a
   sandbox; one that could not be undone did. */
static void sbxi_op_note_create(sbx_op *op)
{
    bool create = op->feature == SBX_FEATURE_SANDBOX_CREATE;
    bool cut = op->cut || (create && op->sandbox)
        || (op->x.sent && (!op->reply.http || op->reply.happy));
    if ((create || op->feature == SBX_FEATURE_SANDBOX_FORK) && cut)
        op->error.may_exist = SBX_YES;
}

static void sbxi_op_finish(sbx_op *op, int status)
{
    sbx_proc *proc = op->until ? NULL : sbxi_op_proc(op);
    if (status == SBX_OK && !op->detached) status = sbxi_op_deliver(op);
    else if (proc && sbxi_is_stream(op->feature)) (void)sbxi_deliver_command(op); /* so far */
    if (status != SBX_OK) {
        sbxi_op_note_create(op);
        if (op->feature == SBX_FEATURE_COMMAND_RUN && op->args.of.command.result)
            memset(op->args.of.command.result, 0, sizeof(sbx_command_result));
#ifndef SBX_NO_RUN_CODE
        if (op->feature == SBX_FEATURE_RUN_CODE && op->args.of.code.result)
            memset(op->args.of.code.result, 0, sizeof(sbx_run_code_result));
#endif
    }
    op->phase = SBXI_PHASE_END;
    sbxi_op_clean(op);
    op->proc = proc;
    if (!op->detached) sbxi_op_tell(op, status);
}

/* ---- is the sandbox still there? ------------------------------------------ */

#define SBXI_PROBE_MS 5000

/* After a connection was lost in the middle, or a process' stream ended without its
   end: asks the sandbox, so that the error can say what lives. False: nothing to ask. */
static bool sbxi_op_probe(sbx_op *op, int rc)
{
    bool no_end = SBXI_HAS_EXTRAS && rc == SBX_E_NO_END && op->pid;
    unsigned ask = no_end ? SBX_FEATURE_COMMAND_LIST : SBXI_ROUTE_HEALTH;
    const sbxi_route *route = sbxi_route_of(op->client->provider, ask);
    uint32_t now = sbxi_now(&op->client->link);
    if (op->probing || !route || op->route == route
        || op->route->host == SBXI_HOST_CONTROL)
        return false;
    if (!no_end && (rc != SBX_E_NETWORK || !op->x.sent)) return false;
    sbxi_error_set(&op->error, rc, NULL);
    sbxi_op_disconnect(op);
    op->probing = true;
    if (sbxi_op_left(op, now) > SBXI_PROBE_MS) {
        op->since = now;
        op->total_ms = SBXI_PROBE_MS;
    }
    (void)sbxi_ask(op, ask, SBXI_STEP_HEALTH);
    return true;
}

/* The answer of the probe: the status the operation ends with. */
static int sbxi_op_probed(sbx_op *op, int rc)
{
    sbx_error *e = &op->error;
    /* which processes there are */
    bool listed = SBXI_HAS_EXTRAS && op->route->recv != SBXI_RECV_NOTHING;
    e->message[0] = 0;
    e->clock = SBX_CLOCK_NONE;
    if (rc == SBX_OK && !op->reply.no) {
        op->reply.http = 0; /* a 204 is not what happened to the call */
        e->sandbox_alive = SBX_YES;
        if (listed) {
            e->process_alive = op->ended ? SBX_YES : SBX_NO;
            return sbxi_error_set(e, SBX_E_NO_END, op->ended
                ? SBXI_TEXT("the stream ended, the process runs on: connect to its pid")
                : SBXI_TEXT("the stream ended without the end of its process, which is over; "
                            "connecting to its pid at once may still tell it"));
        }
        return sbxi_error_set(e, SBX_E_UNREACHABLE,
            SBXI_TEXT("the connection was lost; the sandbox answers, its command may still run"));
    }
    if (op->reply.http && (op->reply.no || rc == SBX_E_SANDBOX_GONE)) {
        e->sandbox_alive = e->process_alive = SBX_NO;
        return sbxi_error_set(e, SBX_E_SANDBOX_GONE,
            SBXI_TEXT("the sandbox was killed or reached its end while the call ran"));
    }
    if (listed) return sbxi_error_set(e, SBX_E_NO_END, NULL);
    return sbxi_error_set(e, SBX_E_UNREACHABLE,
        SBXI_TEXT("the connection was lost and the sandbox does not answer: ask with get_info"));
}

/* A create that fails, or is cancelled, inside the sandbox it made: its step undoes
   it, for which it gets a little time. False: it has not come that far. */
static bool sbxi_op_undo(sbx_op *op, int rc)
{
    if (op->feature != SBX_FEATURE_SANDBOX_CREATE || !op->sandbox
        || op->route->host == SBXI_HOST_CONTROL)
        return false;
    sbxi_op_disconnect(op);
    op->why = rc;
    op->why_clock = op->error.clock;
    op->probing = false;
    op->since = sbxi_now(&op->client->link);
    op->total_ms = SBXI_PROBE_MS;
    op->phase = SBXI_PHASE_STEP;
    return true;
}

/* ---- sandbox handles ------------------------------------------------------ */

/* The reply told a sandbox's credentials: the handle takes them over. */
static int sbxi_sandbox_learn(sbx_op *op)
{
    sbx_sandbox *s = op->sandbox;
    if (!op->result) return sbxi_op_fail(op, SBX_E_PROTOCOL,
        SBXI_TEXT("the reply names no sandbox"));
    sbx_free(s->block);
    s->block = op->result;
    op->result = NULL;
    s->access = ((const sbxi_access *)s->block)->of;
    if (s->given) { /* a base URL of the user's own outlives credentials */
        s->access.data_url = s->given->data_url;
        if (!s->access.domain) s->access.domain = s->given->domain;
    }
    s->known = true;
    return SBX_OK;
}

/* ---- when --------------------------------------------------------------------- */

/* open() may have more to do than to wait for its connection: another address. */
#define SBXI_OPEN_MS 1000u

/* Whether it waits for its connection. */
static bool sbxi_op_waits(const sbx_op *op)
{
    return op->phase == SBXI_PHASE_EXCHANGE && op->x.conn && op->x.want;
}

/* Input whose source is silent says so often that it is still there; files that are
   packed are asked so often for more. Other sources wake their operation. */
#define SBXI_PING_MS 50000
#define SBXI_FILES_MS 10

static uint32_t sbxi_op_ping_left(const sbx_op *op, uint32_t now)
{
    bool dry = op->asleep && op->x.dry;
    int32_t ms = SBX_NEVER;
    if (SBXI_HAS_PROC && dry && op->route->send == SBXI_SEND_INPUT) ms = SBXI_PING_MS;
    if (SBXI_HAS_TEMPLATE && dry && op->route->send == SBXI_SEND_UPLOAD) ms = SBXI_FILES_MS;
    return sbxi_left(op->x.since, ms, now);
}

/* After how long this operation must run even if nothing happens on its connection. */
static uint32_t sbxi_op_due(const sbx_op *op, uint32_t now)
{
    uint32_t total = sbxi_op_left(op, now), other = UINT32_MAX;
    sbx_clock clock;
    if (op->cancelled || op->phase == SBXI_PHASE_STEP) return 0;
    if (SBXI_HAS_PROC && op->phase == SBXI_PHASE_WAIT) return sbxi_proc_has(op) ? 0 : total;
    if (op->phase == SBXI_PHASE_NAP) {
        other = sbxi_left(op->nap_since, op->nap_ms, now);
    } else {
        if (!op->x.conn || (op->asleep && op->woken)) return 0;
        other = op->asleep ? sbxi_op_ping_left(op, now)
            : sbxi_exchange_left(&op->x, now, &clock);
        if (op->x.state == SBXI_X_OPEN) other = SBXI_MIN(other, SBXI_OPEN_MS);
    }
    return SBXI_MIN(total, other);
}

/* ---- running -------------------------------------------------------------- */

/* The provider's part of a step. Trees and logs of a build are the user's: they may
   cancel the operation, which then must not vanish under it. */
static int sbxi_op_advance(sbx_op *op)
{
    sbx_client *c = op->client;
    int rc;
    c->callbacks += SBXI_HAS_TEMPLATE;
    rc = c->provider->step(op);
    c->callbacks -= SBXI_HAS_TEMPLATE;
    return SBXI_HAS_TEMPLATE && op->cancelled && !op->detached ? SBX_E_CANCELLED : rc;
}

static SBXI_APART void sbxi_op_step(sbx_op *op)
{
    bool in_sandbox = sbxi_op_route(op, op->feature)->host != SBXI_HOST_CONTROL;
    int rc;
    if (op->step == SBXI_STEP_ACCESS) {
        rc = sbxi_sandbox_learn(op);
        op->step = SBXI_STEP_START;
        if (rc != SBX_OK) {
            sbxi_op_finish(op, rc);
            return;
        }
    }
    /* asking whether it runs needs no credentials */
    if (op->step == SBXI_STEP_START && in_sandbox && op->feature != SBXI_ROUTE_HEALTH
        && !op->sandbox->known)
        rc = sbxi_ask(op, SBXI_ROUTE_ACCESS, SBXI_STEP_ACCESS);
    else
        rc = sbxi_op_advance(op);
    if (rc != SBX_PENDING) sbxi_op_finish(op, rc);
}

/* What the end of the exchange means. SBX_PENDING: it goes on elsewhere. */
static int sbxi_op_outcome(sbx_op *op, int rc)
{
    if (rc == SBX_OK)
        rc = !op->probing && sbxi_op_is_redirect(op) ? sbxi_op_redirect(op) : sbxi_reply_end(op);
    if (rc == SBX_E_NETWORK && op->x.sent) op->cut = true;
    if (rc == SBX_E_BAD_JSON && !op->x.stop)
        rc = sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the reply is not JSON, or was cut short"));
    /* the command's end has come; that the rest was cut, or does not come, changes nothing */
    return (rc == SBX_E_NETWORK || rc == SBX_E_TIMEOUT) && op->ended ? SBX_OK : rc;
}

/* The exchange is over, well or not. */
static void sbxi_op_answered(sbx_op *op, int rc)
{
    rc = sbxi_op_outcome(op, SBXI_HAS_EXTRAS && op->reply.enough ? SBX_OK : rc);
    if (rc == SBX_PENDING) return;
    if (op->probing) rc = sbxi_op_probed(op, rc);
    else if (rc != SBX_OK && !op->x.stop && (sbxi_op_retry(op, rc) || sbxi_op_probe(op, rc)))
        return;
    sbxi_op_disconnect(op);
    if (rc == SBX_OK)
        op->phase = SBXI_PHASE_STEP;
    else if (!sbxi_op_undo(op, rc))
        sbxi_op_finish(op, rc);
}

/* A source that has nothing is asked again; input says that it is still there. */
static void sbxi_op_ping(sbx_op *op)
{
    op->woken = true;
    if (op->route->send == SBXI_SEND_INPUT) op->args.of.process.ping = true;
}

/* False: blocked for now. */
static bool sbxi_op_exchange(sbx_op *op, uint32_t now)
{
    int rc = SBX_OK;
    op->client->callbacks++; /* sources and sinks are the user's */
    if (!op->x.conn) rc = sbxi_op_connect(op);
    if (!sbxi_op_ping_left(op, now)) sbxi_op_ping(op);
    if (op->asleep && rc == SBX_OK) {
        if (!op->x.dry) rc = SBX_E_AGAIN;
        if (op->woken) {
            op->woken = false;
            rc = sbxi_reply_wake(op);
        }
    }
    if (op->cancelled) rc = SBX_E_CANCELLED;
    if (rc == SBX_OK) rc = sbxi_exchange_run(&op->x, now, &op->error);
    op->client->callbacks--;
    if (rc == SBX_E_AGAIN) {
        op->asleep = !op->x.want || op->x.dry;
        return false;
    }
    sbxi_op_answered(op, rc);
    return true;
}

/* Whether it was cancelled or its time is over, which ends it, or what it is at. */
static bool sbxi_op_overdue(sbx_op *op, uint32_t now)
{
    bool cancelled = op->cancelled && !op->detached;
    if (!cancelled && (op->phase == SBXI_PHASE_STEP || sbxi_op_left(op, now))) return false;
    if (!cancelled) op->error.clock = SBX_CLOCK_TOTAL;
    if (cancelled || op->dreams || (SBXI_HAS_PROC && op->until)) /* which has no exchange */
        sbxi_op_finish(op, cancelled ? SBX_E_CANCELLED : SBX_E_TIMEOUT);
    else
        sbxi_op_answered(op, SBX_E_TIMEOUT);
    return true;
}

/* A nap is over. */
static void sbxi_op_rise(sbx_op *op)
{
    op->phase = op->dreams ? SBXI_PHASE_STEP : SBXI_PHASE_EXCHANGE;
    op->dreams = false;
}

static void sbxi_op_run(sbx_op *op, uint32_t now)
{
    bool go = true;
    while (go && op->phase != SBXI_PHASE_END) {
        if (sbxi_op_overdue(op, now)) continue;
        switch (op->phase) {
        case SBXI_PHASE_STEP:
            sbxi_op_step(op);
            go = op->phase != SBXI_PHASE_STEP;
            break;
        case SBXI_PHASE_EXCHANGE:
            go = sbxi_op_exchange(op, now);
            break;
        case SBXI_PHASE_WAIT:
            go = SBXI_HAS_PROC && sbxi_proc_has(op);
            if (go) sbxi_op_finish(op, sbxi_proc_take(op));
            break;
        default:
            if (now - op->nap_since > INT32_MAX) op->nap_since = now; /* it had looked too far */
            go = !sbxi_left(op->nap_since, op->nap_ms, now);
            if (go) sbxi_op_rise(op);
        }
    }
}

/* Runs every operation once, but for the quiet. Callbacks may start and release
   operations: new ones stand at the end, released ones stay linked until this is
   over. */
static void sbxi_run_all(sbx_client *c)
{
    sbx_op *op, *next;
    sbxi_tick(&c->link);
    for (op = c->ops; op; op = op->next) {
        uint32_t now = sbxi_now(&c->link);
        bool rest = op->quiet && sbxi_op_due(op, now);
        op->quiet = false;
        if (!rest && op->phase != SBXI_PHASE_END) sbxi_op_run(op, now);
    }
    for (op = c->ops; op; op = next) {
        next = op->next;
        if (op->released && op->phase == SBXI_PHASE_END) sbxi_op_free(op);
    }
}

/* ---- waiting -------------------------------------------------------------- */

SBX_API int sbx_waits(const sbx_client *client, sbx_wait *out, size_t cap, size_t *n,
                      uint32_t *next_ms)
{
    const sbx_op *op;
    uint32_t now;
    if (!client || !n || !next_ms || (cap && !out)) return SBX_E_ARG;
    now = sbxi_now(&client->link);
    *n = 0;
    *next_ms = UINT32_MAX;
    for (op = client->ops; op; op = op->next) {
        uint32_t due;
        if (op->phase == SBXI_PHASE_END) continue;
        due = sbxi_op_due(op, now);
        *next_ms = SBXI_MIN(*next_ms, due);
        if (!sbxi_op_waits(op)) continue;
        if (*n < cap) {
            out[*n].conn = op->x.conn->raw;
            out[*n].want = op->x.want;
            out[*n].ready = 0;
        }
        ++*n;
    }
    return SBX_OK;
}

/* Who waits and is not in the list runs: it may be a part. The search begins where
   the last one ended, as both stand in the same order. */
SBX_API int sbx_ready(sbx_client *client, const sbx_wait *waits, size_t n)
{
    size_t at = 0, i;
    sbx_op *op;
    if (!client || (n && !waits)) return SBX_E_ARG;
    for (op = client->ops; op; op = op->next) {
        op->quiet = false;
        for (i = 0; i < n && sbxi_op_waits(op) && op->x.state != SBXI_X_OPEN; i++) {
            const sbx_wait *w = &waits[at];
            at = at + 1 < n ? at + 1 : 0;
            if (w->conn != op->x.conn->raw) continue;
            op->quiet = !w->ready;
            break;
        }
    }
    return SBX_OK;
}

#define SBXI_WAITS 16 /* on the stack; more are taken from the allocator */

/* Sleeps until there is something to do, `ms` at most. */
static int sbxi_wait(sbx_client *c, uint32_t ms)
{
    sbx_wait few[SBXI_WAITS], *waits = few;
    size_t n, cap = SBXI_WAITS;
    uint32_t next;
    int rc;
    if (!c->link.net.wait) return SBX_E_NO_WAIT;
    (void)sbx_waits(c, few, cap, &n, &next);
    if (n > cap) {
        cap = n;
        waits = (sbx_wait *)sbxi_alloc_get(&c->link.alloc, cap * sizeof *waits);
        if (!waits) return SBX_E_NOMEM;
        (void)sbx_waits(c, waits, cap, &n, &next);
    }
    rc = n || next ? c->link.net.wait(c->link.net.ctx, waits, n, SBXI_MIN(ms, next)) : SBX_OK;
    if (rc == SBX_OK && (c->link.net.flags & SBX_NET_READY)) (void)sbx_ready(c, waits, n);
    if (waits != few) sbxi_alloc_free(&c->link.alloc, waits, cap * sizeof *waits);
    return rc;
}

SBX_API int sbx_poll(sbx_client *client, uint32_t timeout_ms, size_t *running)
{
    sbx_op *op;
    int rc = SBX_OK;
    if (!client) return SBX_E_ARG;
    if (client->callbacks) return SBX_E_REENTRANT;
    if (timeout_ms) {
        for (op = client->ops; op; op = op->next) op->quiet = sbxi_op_waits(op);
        sbxi_run_all(client);
        rc = sbxi_wait(client, timeout_ms);
    }
    sbxi_run_all(client);
    if (running)
        for (*running = 0, op = client->ops; op; op = op->next)
            *running += op->phase != SBXI_PHASE_END;
    return rc;
}

/* ---- starting ------------------------------------------------------------- */

static void sbxi_op_init(sbx_op *op, const sbxi_call *k)
{
    const sbx_alloc *a = &k->client->link.alloc;
    size_t limit = SBX_MAX_REQUEST, capture = 0;
    op->client = k->client;
    op->feature = k->feature;
    op->args = k->args;
    if (k->call) op->call = *k->call;
    op->status = SBX_PENDING;
    sbxi_error_clear(&op->error);
    sbxi_buf_init(&op->out.text, a, SBX_MAX_REQUEST);
    sbxi_buf_init(&op->url, a, SBXI_MAX_URL);
    sbxi_buf_init(&op->block, a, SBX_MAX_RESULT);
    if (sbxi_is_stream(op->feature)) capture = op->args.of.command.o.capture_limit;
#ifndef SBX_NO_RUN_CODE
    if (op->feature == SBX_FEATURE_RUN_CODE) capture = op->args.of.code.o.capture_limit;
#endif
    if (capture && !sbxi_size_add(&limit, capture, sizeof(sbxi_owned) + 1)) limit = SIZE_MAX;
    sbxi_buf_init(&op->captured[0].buf, a, limit);
    sbxi_buf_init(&op->captured[1].buf, a, limit);
#ifndef SBX_NO_RUN_CODE
    if (op->feature == SBX_FEATURE_RUN_CODE)
        sbxi_buf_init(&op->args.of.code.traceback.buf, a, limit);
#endif
}

/* A single file to write is a list of one. */
static void sbxi_op_one_file(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    if (op->feature == SBX_FEATURE_FILES_WRITE_MANY && !a->count) op->step = SBXI_STEP_DONE;
    if (op->feature != SBX_FEATURE_FILES_WRITE) return;
    if (a->from_bytes) a->one.from.ctx = &a->reading;
    a->one.path = a->path;
    a->files = &a->one;
    a->count = 1;
}

/* Where a call's failure goes when there is no operation yet. */
static int sbxi_call_fail(sbx_client *c, const sbx_call *call, int status, const char *message)
{
    sbx_error *e = call && call->error ? call->error : &c->error;
    if (call && call->op) *call->op = NULL;
    sbxi_error_clear(e);
    return sbxi_error_set(e, status, message);
}

static int sbxi_block(sbx_client *c, sbx_op *op)
{
    int status;
    while (op->phase != SBXI_PHASE_END) {
        int rc = sbxi_wait(c, UINT32_MAX);
        if (rc == SBX_OK) sbxi_run_all(c);
        else sbxi_op_finish(op, rc);
    }
    status = op->status;
    sbxi_op_free(op);
    return status;
}

/* ---- what api/ does with a call -------------------------------------------- */

/* With a feature: of no use without a place for its result. */
#define SBXI_WANTS 0x80u

static void sbxi_call_on(sbxi_call *k, sbx_client *client, unsigned feature, const sbx_call *call)
{
    memset(k, 0, sizeof *k);
    k->client = client;
    k->feature = (sbx_feature)(feature & ~SBXI_WANTS);
    k->wants = (feature & SBXI_WANTS) != 0;
    k->call = call;
}

static void sbxi_call_in(sbxi_call *k, sbx_sandbox *sandbox, unsigned feature,
                         const sbx_call *call)
{
    sbxi_call_on(k, sandbox ? sandbox->client : NULL, feature, call);
    k->sandbox = sandbox;
}

/* What must be so; the first that is not is what the user hears of. */
static void sbxi_need(sbxi_call *k, bool fine, const char *message)
{
    if (fine || k->status) return;
    k->status = SBX_E_ARG;
    k->message = message;
}

/* What speaks against a call to this client, now. */
static int sbxi_call_refused(const sbxi_call *k)
{
    const sbx_client *c = k->client;
    const sbx_call *call = k->call;
    bool blocks = !call || !call->op, key = c->config.api_key || (call && call->api_key);
    if (blocks && c->callbacks) return SBX_E_REENTRANT;
    if (blocks && !c->link.net.wait) return SBX_E_NO_WAIT;
    if (!sbx_supports(c, k->feature)) return SBX_E_UNSUPPORTED;
    return key || c->debug || k->until ? SBX_OK : SBX_E_AUTH;
}

/* The checks of all calls. */
static void sbxi_call_check(sbxi_call *k)
{
    const sbxi_args *a = &k->args;
    sbxi_need(k, !k->wants || a->out || a->answer || a->each.file,
        SBXI_TEXT("out, each or exists is NULL"));
    if (k->status) return;
    k->status = sbxi_call_refused(k);
    if (k->status == SBX_E_AUTH)
        k->message = SBXI_TEXT("no API key: set config.api_key or its variable");
}

/* The total clock of a call: its own, its function's, its route's. */
static int32_t sbxi_call_ms(const sbxi_call *k)
{
    const sbx_client *c = k->client;
    const sbxi_route *route = sbxi_route_of(c->provider, k->feature);
    if (k->call && k->call->timeout_ms) return k->call->timeout_ms;
    if (k->total_ms) return k->total_ms;
    return route->send >= SBXI_SEND_RAW || route->recv >= SBXI_RECV_SINK ? SBX_NEVER
        : c->link.clocks.total_ms;
}

/* The operation of a call, linked to its client; NULL: no memory. */
static sbx_op *sbxi_op_new(const sbxi_call *k)
{
    sbx_client *c = k->client;
    sbx_op *op = (sbx_op *)sbxi_alloc_get(&c->link.alloc, sizeof *op), **end = &c->ops;
    if (!op) return NULL;
    sbxi_op_init(op, k);
    op->since = sbxi_now(&c->link);
    op->total_ms = sbxi_call_ms(k);
    op->sandbox = k->sandbox;
    if (op->sandbox) op->sandbox->refs++;
    op->proc = k->proc;
    op->until = k->until;
    if (SBXI_HAS_PROC && op->until > SBXI_UNTIL_ASKED) {
        op->phase = SBXI_PHASE_WAIT;
    } else if (op->call.op || op->proc || op->feature >= SBX_FEATURE_FILES_WATCH) {
        op->kept = sbxi_keep(&c->link.alloc, sbxi_args_of(op->feature), op, 0);
        if (!op->kept) {
            sbxi_sandbox_unref(op->sandbox);
            sbxi_alloc_free(&c->link.alloc, op, sizeof *op);
            return NULL;
        }
    }
    op->clean = k->clean;
    if (SBXI_HAS_PROC && op->until) op->proc->refs++;
    sbxi_op_one_file(op);
    while (*end) end = &(*end)->next;
    *end = op;
    return op;
}

/* Whether the call may start; what it hands out is empty from here on. */
static int sbxi_check(sbxi_call *k)
{
    if (k->args.answer) *k->args.answer = false;
    if (k->args.out) memset(k->args.out, 0, sizeof(void *)); /* some struct's pointer */
    if (k->call && k->call->op) *k->call->op = NULL;
    if (!k->client) return SBX_E_ARG;
    sbxi_call_check(k);
    return k->status ? sbxi_call_fail(k->client, k->call, k->status, k->message) : SBX_OK;
}

/* Runs the operation of a checked call: to its end, unless call->op is set. */
static int sbxi_go(sbx_op *op)
{
    if (!op->call.op) return sbxi_block(op->client, op);
    *op->call.op = op;
    return SBX_PENDING;
}

static int sbxi_run(const sbxi_call *k)
{
    sbx_op *op = sbxi_op_new(k);
    return op ? sbxi_go(op) : sbxi_call_fail(k->client, k->call, SBX_E_NOMEM, NULL);
}

static int sbxi_start(sbxi_call *k)
{
    int rc = sbxi_check(k);
    return rc == SBX_OK ? sbxi_run(k) : rc;
}

/* ---- letting go of a process ------------------------------------------------ */

/* Nothing of the stream comes any more; it ends at the next run. */
static sbx_op *sbxi_unfollow(sbx_proc *p)
{
    sbx_op *stream = p->stream;
    if (!stream) return NULL;
    p->stream = NULL;
    stream->proc = NULL;
    stream->released = stream->cancelled = stream->x.stop = true;
    if (sbxi_is_stream(stream->feature)) stream->args.of.command.result = NULL;
    return stream;
}

/* A call about a watch that the host knows by an id. */
static void sbxi_watch_in(sbxi_call *k, sbx_proc *p, unsigned feature, const sbx_call *call)
{
    sbxi_call_in(k, p->sandbox, feature, call);
    k->args.of.files.watcher = p->id;
    k->args.of.files.o.user = p->user;
    k->args.each.watch = p->each;
    k->args.ctx = p->ctx;
    if (feature != SBX_FEATURE_WATCH_POLL) return;
    k->proc = p;
    k->until = SBXI_UNTIL_ASKED;
}

/* The host forgets a watch nobody wants; nobody waits for that. */
static void sbxi_unwatch(sbx_proc *p)
{
    sbxi_call k;
    sbx_op *op;
    sbxi_watch_in(&k, p, SBX_FEATURE_WATCH_STOP, NULL);
    op = sbxi_op_new(&k);
    if (op) op->released = op->detached = true;
}

/* One who holds it lets go. It may be an operation that is being freed, so no other
   is freed here. */
static void sbxi_proc_unref(sbx_proc *p)
{
    sbx_alloc alloc;
    if (!p || --p->refs > 0) return;
    alloc = p->sandbox->client->link.alloc;
    (void)sbxi_unfollow(p);
    if (SBXI_HAS_WATCH && p->id) sbxi_unwatch(p);
    sbx_free(p->block);
    sbx_free(p->kept);
    sbx_free(p->result.out);
    sbx_free(p->result.err);
    sbxi_sandbox_unref(p->sandbox);
    sbxi_alloc_wipe(&alloc, p, sizeof *p);
}

/* ---- the user's handle of an operation ------------------------------------ */

SBX_API int sbx_op_status(const sbx_op *op) { return op ? op->status : SBX_E_ARG; }

SBX_API void sbx_op_wake(sbx_op *op)
{
    if (op) op->woken = true;
}

/* A create that was sent goes on, to be undone: nobody waits for that. */
static bool sbxi_op_detach(sbx_op *op)
{
    if (op->feature != SBX_FEATURE_SANDBOX_CREATE
        || !((op->x.conn && op->x.sent) || op->sandbox))
        return false;
    op->error.may_exist = SBX_YES;
    op->detached = true;
    (void)sbxi_op_undo(op, SBX_E_CANCELLED);
    sbxi_op_tell(op, SBX_E_CANCELLED);
    return true;
}

SBX_API void sbx_op_cancel(sbx_op *op)
{
    if (!op || op->phase == SBXI_PHASE_END || op->detached || sbxi_op_detach(op)) return;
    /* inside one of its own callbacks the exchange must not vanish: the driver
       ends it as soon as the callback has returned */
    op->cancelled = op->x.stop = true;
    if (SBXI_HAS_PROC && op->until == SBXI_UNTIL_START) (void)sbxi_unfollow(op->proc);
    if (!op->client->callbacks) sbxi_op_finish(op, SBX_E_CANCELLED);
}

SBX_API void sbx_op_release(sbx_op *op)
{
    if (!op) return;
    op->released = true;
    op->call.done = NULL;
    op->call.error = NULL;
    sbx_op_cancel(op);
    if (op->phase == SBXI_PHASE_END && !op->client->callbacks) sbxi_op_free(op);
}

/* Cancelled creates get a little time to be undone. */
static void sbxi_follow_up(sbx_client *c)
{
    uint32_t since = sbxi_now(&c->link), left = SBXI_PROBE_MS;
    sbx_op *op = c->ops;
    while (op && c->link.net.wait && left) {
        for (op = c->ops; op && !(op->detached && op->phase != SBXI_PHASE_END); op = op->next) {}
        if (!op) break;
        if (sbxi_wait(c, left) != SBX_OK) break;
        sbxi_run_all(c);
        left = sbxi_left(since, SBXI_PROBE_MS, sbxi_now(&c->link));
    }
}

SBX_API int sbx_close(sbx_client *client)
{
    sbx_op *op;
    if (!client) return SBX_OK;
    if (client->callbacks) return SBX_E_REENTRANT;
    for (op = client->ops; op; op = op->next) {
        op->call.done = NULL;
        sbx_op_cancel(op); /* a create that was sent goes on, to be undone */
    }
    sbxi_follow_up(client);
    while ((op = client->ops) != NULL) {
        if (op->phase != SBXI_PHASE_END) sbxi_op_finish(op, SBX_E_CANCELLED);
        sbxi_op_free(op);
    }
    sbxi_client_free(client);
    return SBX_OK;
}
