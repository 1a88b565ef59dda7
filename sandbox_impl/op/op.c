/* op - the driver of operations: starts them, runs their exchanges and naps,
   and is the one place that knows deadlines, retries, probing, cancelling and
   blocking. Called by api/ to start, by the user to poll. */

static uint64_t sbxi_now(const sbx_client *c) { return c->link.net.now_ms(c->link.net.ctx); }

/* now + ms, SBX_NEVER being for ever. */
static uint64_t sbxi_after(uint64_t now, int32_t ms)
{
    return ms < 0 ? UINT64_MAX : now + (uint64_t)ms;
}

/* ---- what a step may ask for ---------------------------------------------- */

/* One exchange by a route; the step function is called with `next` after it. */
static int sbxi_ask(sbx_op *op, const sbxi_route *route, uint8_t next)
{
    op->route = route;
    op->step = next;
    op->tries = 0;
    op->fresh = false;
    op->phase = SBXI_PHASE_EXCHANGE;
    return SBX_PENDING;
}

/* ---- exchanges ------------------------------------------------------------ */

static int sbxi_op_connect(sbx_op *op)
{
    sbxi_url url;
    int rc = sbxi_op_build(op, op->route, &url);
    if (rc != SBX_OK) return rc;
    if (op->tries && !sbxi_op_rewind(op)) return SBX_E_SOURCE;
    sbxi_reply_clear(op);
    if (!op->probing) sbxi_error_clear(&op->error);
    op->held_len = 0;
    op->started = op->ended = false;
    return sbxi_exchange_start(&op->x, &op->client->link, &url, &op->out, op->fresh, op->line,
                               &sbxi_reply_events, op);
}

/* Frees what an exchange needed. */
static void sbxi_op_disconnect(sbx_op *op)
{
    if (op->x.conn) sbxi_exchange_end(&op->x);
}

/* xorshift: jitter needs no strength, only difference. */
static uint32_t sbxi_jitter(sbx_client *c)
{
    const sbx_net *n = &c->link.net;
    if (!c->jitter && n->entropy) (void)n->entropy(n->ctx, &c->jitter, sizeof c->jitter);
    if (!c->jitter) c->jitter = (uint32_t)sbxi_now(c) | 1;
    c->jitter ^= c->jitter << 13;
    c->jitter ^= c->jitter >> 17;
    c->jitter ^= c->jitter << 5;
    return c->jitter;
}

/* Backoff: what the service asked for, else 0.1 s doubling up to 10 s, of which
   a random half is taken off. */
static int32_t sbxi_backoff(sbx_op *op)
{
    int32_t ms = 100;
    unsigned i;
    if (op->reply.retry_after_ms >= 0) return op->reply.retry_after_ms;
    for (i = 0; i < op->tries && ms < 10000; i++) ms *= 2;
    ms = SBXI_MIN(ms, 10000);
    return ms - (int32_t)((sbxi_jitter(op->client) & 1023) * (uint32_t)(ms / 2) >> 10);
}

/* Whether the failed exchange may be sent again, by the route's class. */
static bool sbxi_may_retry(const sbx_op *op, int rc)
{
    const sbxi_reply *r = &op->reply;
    uint8_t class = op->repeatable ? SBXI_RETRY_SAFE : op->route->retry;
    if (op->mid_stream || op->detached || op->probing) return false;
    if (!r->http) {
        if (rc == SBX_E_CONNECT) return true;
        if (rc != SBX_E_NETWORK) return false;
        return !op->x.sent || class == SBXI_RETRY_SAFE;
    }
    if (r->happy || class == SBXI_RETRY_NEVER) return false;
    if (r->should_retry != SBX_DEFAULT) return r->should_retry == SBX_YES;
    if (r->http == 429 || r->http == 503) return true;
    return class == SBXI_RETRY_SAFE && (r->http == 502 || r->http == 504);
}

/* Arranges another try. False: the failure stands. */
static bool sbxi_op_retry(sbx_op *op, int rc)
{
    const sbx_client *c = op->client;
    int32_t limit = c->config.retries == 0 ? 3 : c->config.retries < 0 ? 0 : c->config.retries;
    bool stale = rc == SBX_E_NETWORK && op->x.reused && !op->x.answered && !op->fresh;
    uint64_t until;
    if (stale && !op->mid_stream) {
        size_t i;
        for (i = 0; i < op->out.part_count; i++)
            if (!op->out.parts[i].source.rewind) return false;
        if (op->tries == 0) op->tries = 1;
        op->fresh = true;
        sbxi_op_disconnect(op);
        op->phase = SBXI_PHASE_EXCHANGE;
        return true;
    }
    if (op->tries >= limit || !sbxi_may_retry(op, rc)) return false;
    until = sbxi_after(sbxi_now(c), sbxi_backoff(op));
    if (until >= op->deadline) return false;
    op->tries++;
    sbxi_op_disconnect(op);
    op->nap_until = until;
    op->phase = SBXI_PHASE_NAP;
    return true;
}

/* ---- the end -------------------------------------------------------------- */

static void sbxi_op_unlink(sbx_op *op)
{
    sbx_op **at = &op->client->ops;
    while (*at && *at != op) at = &(*at)->next;
    if (*at) *at = op->next;
}

static void sbxi_sandbox_unref(sbx_sandbox *s)
{
    if (s && --s->refs == 0) {
        sbx_alloc alloc = s->client->link.alloc;
        sbx_free(s->block);
        sbxi_alloc_wipe(&alloc, s, s->size);
    }
}

/* Frees the memory of a run; the struct stays until the user releases it. */
static void sbxi_op_clean(sbx_op *op)
{
    const sbx_alloc *a = &op->client->link.alloc;
    sbxi_op_disconnect(op);
    sbxi_op_drop_parts(op);
    sbxi_buf_free(&op->out.text);
    sbxi_buf_free(&op->url);
    sbxi_buf_free(&op->block);
    sbxi_buf_free(&op->scratch);
    sbxi_buf_free(&op->captured[0].buf);
    sbxi_buf_free(&op->captured[1].buf);
    sbxi_alloc_wipe(a, op->kept.block, op->kept.size);
    sbxi_alloc_wipe(a, op->kept_files.block, op->kept_files.size);
    sbxi_alloc_wipe(a, op->kept_call.block, op->kept_call.size);
    op->kept.block = op->kept_files.block = op->kept_call.block = NULL;
    sbx_free(op->result);
    op->result = NULL;
    sbxi_sandbox_unref(op->sandbox);
    op->sandbox = NULL;
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
    if (status != SBX_OK) {
        sbxi_error_set(&op->error, status, NULL);
        op->error.status = status;
        if (!op->error.pid) op->error.pid = op->pid;
        if (!op->error.http_status) op->error.http_status = op->reply.http;
        *(op->call.error ? op->call.error : &c->error) = op->error;
    }
    if (op->call.op && op->call.done) {
        c->callbacks++;
        op->call.done(op->call.user, op, status);
        c->callbacks--;
    }
}

/* A create whose reply is missing may have made a sandbox. */
static void sbxi_op_note_create(sbx_op *op, int status)
{
    bool cut = status == SBX_E_NETWORK || status == SBX_E_TIMEOUT || status == SBX_E_PROTOCOL
        || status == SBX_E_NOMEM || status == SBX_E_TOO_LARGE || status == SBX_E_CANCELLED;
    if (op->feature == SBX_FEATURE_SANDBOX_CREATE && op->x.sent && cut
        && op->error.may_exist == SBX_DEFAULT)
        op->error.may_exist = SBX_YES;
}

static void sbxi_op_finish(sbx_op *op, int status)
{
    if (status == SBX_OK && op->deliver && !op->detached) status = op->deliver(op);
    sbxi_op_note_create(op, status);
    op->phase = SBXI_PHASE_END;
    sbxi_op_clean(op);
    if (!op->detached) sbxi_op_tell(op, status);
}

/* ---- is the sandbox still there? ------------------------------------------ */

#define SBXI_PROBE_MS 5000

/* After a connection was lost in the middle: asks the sandbox, so that the error
   can say what lives. False: nothing to ask. */
static bool sbxi_op_probe(sbx_op *op, int rc)
{
    const sbxi_route *health = op->client->provider->health;
    uint64_t until = sbxi_after(sbxi_now(op->client), SBXI_PROBE_MS);
    if (op->probing || !health || op->route == health || op->route->host != SBXI_HOST_SANDBOX)
        return false;
    if (rc != SBX_E_NETWORK || !op->x.sent) return false;
    sbxi_error_set(&op->error, rc, NULL);
    sbxi_op_disconnect(op);
    op->probing = true;
    op->deadline = SBXI_MIN(op->deadline, until);
    (void)sbxi_ask(op, health, SBXI_STEP_HEALTH);
    return true;
}

/* The answer of the probe: the status the operation ends with. */
static int sbxi_op_probed(sbx_op *op, int rc)
{
    sbx_error *e = &op->error;
    e->message[0] = 0;
    if (rc == SBX_OK && !op->reply.no) {
        e->sandbox_alive = SBX_YES;
        return sbxi_error_set(e, SBX_E_UNREACHABLE,
            SBXI_TEXT("the connection was lost; the sandbox answers, its command may still run"));
    }
    if (op->reply.http && (op->reply.no || rc == SBX_E_SANDBOX_GONE)) {
        e->sandbox_alive = e->process_alive = SBX_NO;
        return sbxi_error_set(e, SBX_E_SANDBOX_GONE,
            SBXI_TEXT("the sandbox was killed or reached its end while the call ran"));
    }
    return sbxi_error_set(e, SBX_E_UNREACHABLE,
        SBXI_TEXT("the connection was lost and the sandbox does not answer: ask with get_info"));
}

/* ---- sandbox handles ------------------------------------------------------ */

static sbx_sandbox *sbxi_sandbox_new(sbx_client *c, const char *id)
{
    size_t len = strlen(id), size;
    sbx_sandbox *s;
    if (!sbxi_size_add(&size, sizeof *s, len)) return NULL;
    s = (sbx_sandbox *)sbxi_alloc_get(&c->link.alloc, size);
    if (!s) return NULL;
    s->client = c;
    s->refs = 1;
    s->size = size;
    memcpy(s->id, id, len + 1);
    return s;
}

/* The reply told a sandbox's credentials: the handle takes them over. */
static int sbxi_sandbox_learn(sbx_op *op)
{
    sbx_sandbox *s = op->sandbox;
    if (!op->result) return sbxi_op_fail(op, SBX_E_PROTOCOL,
        SBXI_TEXT("the reply names no sandbox"));
    sbx_free(s->block);
    s->block = op->result;
    op->result = NULL;
    s->access = *(const sbxi_access *)s->block;
    s->known = true;
    return SBX_OK;
}

/* ---- running -------------------------------------------------------------- */

static void sbxi_op_step(sbx_op *op)
{
    const sbxi_entry *entry = &op->client->provider->entries[op->feature];
    int rc;
    if (op->step == SBXI_STEP_ACCESS) {
        rc = sbxi_sandbox_learn(op);
        op->step = SBXI_STEP_START;
        if (rc != SBX_OK) {
            sbxi_op_finish(op, rc);
            return;
        }
    }
    if (op->step == SBXI_STEP_START && entry->needs_access && !op->sandbox->known)
        rc = sbxi_ask(op, op->client->provider->access, SBXI_STEP_ACCESS);
    else if (entry->step)
        rc = entry->step(op);
    else
        rc = op->step == SBXI_STEP_START ? sbxi_ask(op, entry->route, SBXI_STEP_DONE) : SBX_OK;
    if (rc != SBX_PENDING) sbxi_op_finish(op, rc);
}

/* The exchange is over, well or not. */
static void sbxi_op_answered(sbx_op *op, int rc)
{
    if (rc == SBX_OK) rc = sbxi_reply_end(op);
    /* the command's end has come; that the rest was cut changes nothing */
    if (rc == SBX_E_NETWORK && op->route->recv == SBXI_RECV_EVENTS && op->ended) rc = SBX_OK;
    if (op->probing) {
        sbxi_op_finish(op, sbxi_op_probed(op, rc));
        return;
    }
    if (rc != SBX_OK && sbxi_op_retry(op, rc)) return;
    if (rc != SBX_OK && sbxi_op_probe(op, rc)) return;
    sbxi_op_disconnect(op);
    if (rc == SBX_OK)
        op->phase = SBXI_PHASE_STEP;
    else
        sbxi_op_finish(op, rc);
}

/* False: blocked for now. */
static bool sbxi_op_exchange(sbx_op *op, uint64_t now)
{
    int rc = SBX_OK;
    if (!op->x.conn) rc = sbxi_op_connect(op);
    if (op->asleep && rc == SBX_OK) {
        if (!op->woken) return false;
        op->woken = false;
        rc = sbxi_reply_wake(op);
        if (rc == SBX_E_AGAIN) return false;
    }
    if (rc == SBX_OK) rc = sbxi_exchange_run(&op->x, now, &op->error);
    if (rc == SBX_E_AGAIN && op->x.want == 0) op->asleep = true;
    if (rc == SBX_E_AGAIN) return false;
    sbxi_op_answered(op, rc);
    return true;
}

static void sbxi_op_run(sbx_op *op, uint64_t now)
{
    bool go = true;
    while (go && op->phase != SBXI_PHASE_END) {
        if (op->cancelled && !op->detached) {
            sbxi_op_finish(op, SBX_E_CANCELLED);
            return;
        }
        if (now >= op->deadline) {
            op->error.clock = SBX_CLOCK_TOTAL;
            if (op->probing)
                sbxi_op_finish(op, sbxi_op_probed(op, SBX_E_TIMEOUT));
            else
                sbxi_op_finish(op, SBX_E_TIMEOUT);
            return;
        }
        switch (op->phase) {
        case SBXI_PHASE_STEP:
            sbxi_op_step(op);
            break;
        case SBXI_PHASE_EXCHANGE:
            go = sbxi_op_exchange(op, now);
            break;
        default:
            go = now >= op->nap_until;
            if (go) op->phase = SBXI_PHASE_EXCHANGE;
        }
    }
}

/* Runs every operation once. Callbacks may start and release operations: new
   ones stand at the end, released ones stay linked until this is over. */
static void sbxi_run_all(sbx_client *c)
{
    sbx_op *op, *next;
    for (op = c->ops; op; op = op->next)
        if (op->phase != SBXI_PHASE_END) sbxi_op_run(op, sbxi_now(c));
    for (op = c->ops; op; op = next) {
        next = op->next;
        if (op->released && op->phase == SBXI_PHASE_END) sbxi_op_free(op);
    }
}

/* ---- waiting -------------------------------------------------------------- */

/* When this operation must run even if nothing happens on its connection. */
static uint64_t sbxi_op_due(const sbx_op *op)
{
    uint64_t due = op->cancelled ? 0 : op->deadline, other = UINT64_MAX;
    sbx_clock clock;
    if (op->phase == SBXI_PHASE_NAP) other = op->nap_until;
    if (op->phase == SBXI_PHASE_STEP) return 0;
    if (op->phase == SBXI_PHASE_EXCHANGE) {
        if (!op->x.conn || (op->asleep && op->woken)) return 0;
        if (!op->asleep) other = sbxi_exchange_due(&op->x, &clock);
    }
    return SBXI_MIN(due, other);
}

SBX_API int sbx_waits(const sbx_client *client, sbx_wait *out, size_t cap, size_t *n,
                      uint32_t *next_ms)
{
    uint64_t now, due = UINT64_MAX;
    const sbx_op *op;
    if (!client || !n || !next_ms || (cap && !out)) return SBX_E_ARG;
    now = sbxi_now(client);
    *n = 0;
    for (op = client->ops; op; op = op->next) {
        uint64_t d;
        if (op->phase == SBXI_PHASE_END) continue;
        d = sbxi_op_due(op);
        due = SBXI_MIN(due, d);
        if (op->phase != SBXI_PHASE_EXCHANGE || !op->x.conn || op->asleep || !op->x.want) continue;
        if (*n < cap) {
            out[*n].conn = op->x.conn->raw;
            out[*n].want = op->x.want;
        }
        ++*n;
    }
    *next_ms = due == UINT64_MAX ? UINT32_MAX
             : due <= now        ? 0
             : due - now > UINT32_MAX - 1 ? UINT32_MAX - 1 : (uint32_t)(due - now);
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
    rc = next == 0 ? SBX_OK : c->link.net.wait(c->link.net.ctx, waits, n, SBXI_MIN(ms, next));
    if (waits != few) sbxi_alloc_free(&c->link.alloc, waits, cap * sizeof *waits);
    return rc;
}

SBX_API int sbx_poll(sbx_client *client, uint32_t timeout_ms, size_t *running)
{
    const sbx_op *op;
    int rc = SBX_OK;
    if (!client) return SBX_E_ARG;
    if (client->callbacks) return SBX_E_REENTRANT;
    sbxi_run_all(client);
    if (timeout_ms) {
        rc = sbxi_wait(client, timeout_ms);
        sbxi_run_all(client);
    }
    if (running)
        for (*running = 0, op = client->ops; op; op = op->next)
            *running += op->phase != SBXI_PHASE_END;
    return rc;
}

/* ---- starting ------------------------------------------------------------- */

static void sbxi_op_init(sbx_op *op, sbx_client *c, sbx_feature feature, const sbxi_args *args)
{
    const sbx_alloc *a = &c->link.alloc;
    op->client = c;
    op->feature = feature;
    op->args = *args;
    op->status = SBX_PENDING;
    sbxi_error_clear(&op->error);
    sbxi_buf_init(&op->out.text, a, SBX_MAX_REQUEST);
    sbxi_buf_init(&op->url, a, 1024);
    sbxi_buf_init(&op->block, a, SBX_MAX_RESULT);
    sbxi_buf_init(&op->scratch, a, SBX_MAX_REQUEST);
    if (feature == SBX_FEATURE_COMMAND_RUN) {
        size_t limit = args->of.command.o.capture_limit;
        if (!sbxi_size_add(&limit, limit, sizeof(sbxi_owned) + 1)) limit = SIZE_MAX;
        sbxi_buf_init(&op->captured[0].buf, a, limit);
        sbxi_buf_init(&op->captured[1].buf, a, limit);
    } else {
        sbxi_buf_init(&op->captured[0].buf, a, 0);
        sbxi_buf_init(&op->captured[1].buf, a, 0);
    }
}

/* The list of files of write_many with its paths, in one block. */
static int sbxi_op_keep_files(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    sbxi_cursor c = { NULL, 0, false };
    sbx_file_write *copy;
    size_t i;
    if (a->count > SIZE_MAX / sizeof *copy) return SBX_E_NOMEM;
    sbxi_cursor_put(&c, a->files, a->count * sizeof *copy, 1);
    for (i = 0; i < a->count; i++) sbxi_cursor_text(&c, a->files[i].path);
    if (c.overflow) return SBX_E_NOMEM;
    op->kept_files.size = c.at;
    op->kept_files.block = c.data = (char *)sbxi_alloc_get(&op->client->link.alloc, c.at);
    if (!c.data) return SBX_E_NOMEM;
    c.at = 0;
    copy = (sbx_file_write *)sbxi_cursor_put(&c, a->files, a->count * sizeof *copy, 1);
    for (i = 0; i < a->count; i++) copy[i].path = sbxi_cursor_text(&c, copy[i].path);
    a->files = copy;
    return SBX_OK;
}

/* Copies what must outlive the call that starts the operation: the arguments
   and the call's own texts. */
static int sbxi_op_keep(sbx_op *op)
{
    static const sbxi_field call_fields[] = {
        { NULL, NULL, (uint16_t)offsetof(sbx_call, api_key), 0, SBXI_T_STRING, 0 },
        { NULL, NULL, (uint16_t)offsetof(sbx_call, domain), 0, SBXI_T_STRING, 0 }
    };
    static const sbxi_shape call_shape = SBXI_SHAPE(call_fields, sbx_call);
    const sbx_alloc *alloc = &op->client->link.alloc;
    sbxi_shape shape = sbxi_keep_shape(op->feature);
    int rc = sbxi_keep(&op->kept, alloc, &shape, &op->args);
    if (rc == SBX_OK && (op->call.api_key || op->call.domain))
        rc = sbxi_keep(&op->kept_call, alloc, &call_shape, &op->call);
    if (rc == SBX_OK && op->feature == SBX_FEATURE_FILES_WRITE_MANY && op->args.of.files.count)
        rc = sbxi_op_keep_files(op);
    return rc;
}

/* A single file to write is a list of one. */
static void sbxi_op_one_file(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    if (op->feature == SBX_FEATURE_FILES_WRITE_MANY && !a->count) op->step = SBXI_STEP_DONE;
    if (op->feature != SBX_FEATURE_FILES_WRITE) return;
    if (a->from_bytes) {
        a->reading.data = a->bytes.data;
        a->reading.len = a->bytes.len;
        a->one.from = sbx_source_memory(&a->reading);
    }
    a->one.path = a->path;
    a->files = &a->one;
}

/* Where a call's failure goes when there is no operation yet. */
static int sbxi_call_fail(sbx_client *c, const sbx_call *call, int status, const char *message)
{
    sbx_error *e = call && call->error ? call->error : &c->error;
    sbxi_error_clear(e);
    return sbxi_error_set(e, status, message);
}

static int sbxi_block(sbx_client *c, sbx_op *op)
{
    int status;
    while (op->phase != SBXI_PHASE_END) {
        int rc;
        sbxi_run_all(c);
        if (op->phase == SBXI_PHASE_END) break;
        rc = sbxi_wait(c, UINT32_MAX);
        if (rc != SBX_OK) sbxi_op_finish(op, rc);
    }
    status = op->status;
    sbxi_op_free(op);
    return status;
}

/* Starts an operation and, unless call->op is set, runs it to its end. `total_ms`
   is the default of its total clock. `error` is the status of the checks the
   caller made, with its message. */
static int sbxi_start(sbx_client *c, sbx_sandbox *s, sbx_feature feature, const sbxi_args *args,
                      int (*deliver)(sbx_op *op), int32_t total_ms, const sbx_call *call)
{
    sbx_op *op, **end = &c->ops;
    int32_t ms = call && call->timeout_ms ? call->timeout_ms : total_ms;
    bool later = call && call->op;
    if (later) *call->op = NULL;
    if (!later && c->callbacks) return sbxi_call_fail(c, call, SBX_E_REENTRANT, NULL);
    if (!later && !c->link.net.wait) return sbxi_call_fail(c, call, SBX_E_NO_WAIT, NULL);
    if (!sbx_supports(c, feature)) return sbxi_call_fail(c, call, SBX_E_UNSUPPORTED, NULL);
    if (!c->config.api_key && !(call && call->api_key) && !c->debug)
        return sbxi_call_fail(c, call, SBX_E_AUTH,
            SBXI_TEXT("no API key: set config.api_key or its variable"));
    op = (sbx_op *)sbxi_alloc_get(&c->link.alloc, sizeof *op);
    if (!op) return sbxi_call_fail(c, call, SBX_E_NOMEM, NULL);
    sbxi_op_init(op, c, feature, args);
    if (call) op->call = *call;
    op->deliver = deliver;
    op->deadline = sbxi_after(sbxi_now(c), ms);
    op->sandbox = s;
    if (s) s->refs++;
    if (later && sbxi_op_keep(op) != SBX_OK) {
        sbxi_op_free(op);
        return sbxi_call_fail(c, call, SBX_E_NOMEM, NULL);
    }
    sbxi_op_one_file(op);
    while (*end) end = &(*end)->next;
    *end = op;
    if (!later) return sbxi_block(c, op);
    *call->op = op;
    return SBX_PENDING;
}

/* ---- the user's handle of an operation ------------------------------------ */

SBX_API int sbx_op_status(const sbx_op *op) { return op ? op->status : SBX_E_ARG; }

SBX_API void sbx_op_wake(sbx_op *op)
{
    if (op) op->woken = true;
}

SBX_API void sbx_op_cancel(sbx_op *op)
{
    if (!op || op->phase == SBXI_PHASE_END || op->detached) return;
    if (op->feature == SBX_FEATURE_SANDBOX_CREATE && op->x.conn && op->x.sent) {
        op->error.may_exist = SBX_YES;
        op->detached = true;
        sbxi_op_tell(op, SBX_E_CANCELLED);
        return;
    }
    /* inside one of its own callbacks the exchange must not vanish: the driver
       ends it as soon as the callback has returned */
    op->cancelled = true;
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
    uint64_t until = sbxi_after(sbxi_now(c), SBXI_PROBE_MS);
    sbx_op *op = c->ops;
    while (op && c->link.net.wait && sbxi_now(c) < until) {
        for (op = c->ops; op && !(op->detached && op->phase != SBXI_PHASE_END); op = op->next) {}
        if (!op) break;
        sbxi_run_all(c);
        if (sbxi_wait(c, SBXI_PROBE_MS) != SBX_OK) break;
    }
}

SBX_API int sbx_close(sbx_client *client)
{
    if (!client) return SBX_OK;
    if (client->callbacks) return SBX_E_REENTRANT;
    sbxi_follow_up(client);
    while (client->ops) {
        sbx_op *op = client->ops;
        if (op->phase != SBXI_PHASE_END) {
            op->call.done = NULL;
            sbxi_op_finish(op, SBX_E_CANCELLED);
        }
        sbxi_op_free(op);
    }
    sbxi_client_free(client);
    return SBX_OK;
}
