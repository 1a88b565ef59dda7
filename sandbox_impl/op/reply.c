/* reply - what becomes of the bytes of a response: headers, then by the route a
   bound result, items for a callback, a sink, or a stream of events; or, for an
   unhappy status, the fault that explains it. Events of the HTTP reader come
   in, the user's sinks and callbacks are called; nothing is collected on the
   way. Called by op.c. */

/* ---- what a fault means ---------------------------------------------------- */

static bool sbxi_rule_fits(const sbxi_rule *rule, const sbxi_fault *f, int http, uint8_t host)
{
    unsigned on = rule->when & (SBXI_ON_CONTROL | SBXI_ON_SANDBOX);
    if (on && on != (host ? SBXI_ON_SANDBOX : SBXI_ON_CONTROL)) return false;
    if (rule->http && rule->http != http) return false;
    if (!rule->text) return true;
    if (rule->when & SBXI_HAS) return strstr(f->message, rule->text) != NULL;
    return strcmp(f->word, rule->text) == 0;
}

/* What HTTP itself says, where neither route nor provider knows better. */
static int sbxi_http_meaning(int http)
{
    static const struct { uint8_t http; int8_t status; } rows[] = {
#define SBXI_ROW(http, status) { http - 400, SBX_E_##status }
        SBXI_ROW(400, REFUSED), SBXI_ROW(401, AUTH), SBXI_ROW(403, DENIED),
        SBXI_ROW(404, NOT_FOUND), SBXI_ROW(409, CONFLICT), SBXI_ROW(413, TOO_LARGE),
        SBXI_ROW(422, REFUSED), SBXI_ROW(429, RATE_LIMITED), SBXI_ROW(499, CANCELLED),
        SBXI_ROW(501, UNSUPPORTED_HOST), SBXI_ROW(502, BUSY), SBXI_ROW(503, BUSY),
        SBXI_ROW(504, BUSY), SBXI_ROW(505, UNSUPPORTED_HOST), SBXI_ROW(507, NO_SPACE)
#undef SBXI_ROW
    };
    size_t i;
    for (i = 0; i < SBXI_LEN(rows); i++)
        if (rows[i].http + 400 == http) return rows[i].status;
    return http >= 500 || http < 300 ? SBX_E_SERVER : SBX_E_PROTOCOL; /* < 300: in a stream */
}

/* The status of the first rule that fits, 0: none does. */
static int sbxi_rules_say(const sbx_op *op, const sbxi_rule *rule, const sbxi_fault *f, int http)
{
    while (rule->status && !sbxi_rule_fits(rule, f, http, op->route->host)) rule++;
    return rule->status;
}

/* The status a fault stands for: by the route's rules, the provider's, HTTP's. */
static int sbxi_fault_status(const sbx_op *op, const sbxi_fault *f, int http)
{
    const sbxi_rule *all = op->client->provider->rules;
    int status = op->route->rules ? sbxi_rules_say(op, all + op->route->rules, f, http) : 0;
    if (!status) status = sbxi_rules_say(op, all, f, http);
    return status ? status : sbxi_http_meaning(http);
}

/* ---- the user's side ------------------------------------------------------ */

static const sbx_sink *sbxi_op_sink(const sbx_op *op, unsigned id)
{
    if (op->route->recv == SBXI_RECV_SINK)
        return sbxi_op_invoked(op) ? &op->args.of.invoke.sink : &op->args.of.files.sink;
    return id == 2 ? &op->args.of.command.o.err : &op->args.of.command.o.out;
}

/* Keeps output that has no sink, up to the limit, which leaves room for a NUL. */
static int sbxi_op_capture(sbx_op *op, unsigned id, const void *data, size_t len)
{
    if (!op->args.of.command.o.capture_limit) return SBX_OK;
    return sbxi_capture_put(&op->captured[id == 2], data, len);
}

/* Gives bytes to the sink of a stream. SBX_E_AGAIN: it took nothing. */
static int sbxi_op_put(sbx_op *op, unsigned id, const void *data, size_t len)
{
    const sbx_sink *s = sbxi_op_sink(op, id);
    if (len == 0) return SBX_OK;
    op->mid_stream = true;
    if (sbxi_op_proc(op) && op->proc->pull)
        return sbxi_op_said(op, sbxi_proc_put(op->proc, id, data, len));
    if (SBXI_HAS_EXTRAS && op->feature == SBX_FEATURE_FILES_READ_BYTES) /* room for a NUL stays */
        return len < op->block.max - op->block.len ? sbxi_buf_add(&op->block, data, len)
            : SBX_E_TOO_LARGE;
    if (s->put) return sbxi_op_sink_put(op, s, data, len);
    return op->route->recv == SBXI_RECV_SINK ? SBX_OK : sbxi_op_capture(op, id, data, len);
}

/* A daemon that knows links says so beside the type of their target. */
static void sbxi_file_fix(sbx_file_info *info)
{
    if (info->is_symlink) info->type = SBX_FILE_SYMLINK;
}

/* What the answer of an each() means: it cannot pause. */
static int sbxi_each_said(int rc) { return rc > 0 || rc == SBX_E_AGAIN ? SBX_E_ARG : rc; }

/* An event of a watch for the user; none after a stop. */
static int sbxi_op_watched(sbx_op *op, sbxi_watch_item *item)
{
    int rc;
    if (!op->proc || op->proc->status != SBX_PENDING) return SBX_E_CANCELLED;
    sbxi_file_fix(&item->entry);
    if (item->has_entry) item->event.entry = &item->entry;
    rc = op->args.each.watch(op->args.ctx, &item->event);
    rc = sbxi_each_said(rc);
    if (rc && op->until) op->proc->status = rc; /* a stream's own end says it */
    return sbxi_op_said(op, rc);
}

#ifndef SBX_NO_EXTRAS
/* A copy of a sandbox for the user, or why there is none. What the callback answers
   waits until the others are told too: they run, and nobody else knows them. */
static void sbxi_op_forked(sbx_op *op, sbxi_fork_item *item)
{
    const char *url = op->sandbox->access.data_url, *id = item->access.id;
    sbxi_fault *f = &item->fault;
    sbx_error *e = &op->error; /* lent: nothing is wrong with the call */
    sbx_sandbox *s = NULL;
    int rc;
    if (id && id[0]) {
        if (url && strstr(url, "{id}")) item->access.of.data_url = url;
        s = sbxi_sandbox_with(op->client, &item->access);
        e->may_exist = SBX_YES;
        rc = sbxi_error_set(e, SBX_E_NOMEM, id);
        if (!s && !op->why) op->why = rc;
    } else {
        e->http_status = (int)f->number;
        sbxi_put_text(e->code, sizeof e->code, f->word, strlen(f->word));
        sbxi_error_set(e, sbxi_fault_status(op, f, e->http_status),
            f->message[0] ? f->message : NULL);
    }
    rc = op->args.each.fork(op->args.ctx, s, s ? NULL : e);
    if (!op->why) op->why = sbxi_each_said(rc);
    sbxi_error_clear(e);
}
#endif

#ifndef SBX_NO_TEMPLATE
/* Takes the escape sequences of a terminal out of a text: ESC, and what begins with a
   bracket up to its letter. */
static void sbxi_plain_text(char *text)
{
    char *to = text;
    while (*text) {
        if (*text != 0x1B) {
            *to++ = *text++;
            continue;
        }
        text++;
        if (*text == '[') {
            text++;
            while ((unsigned char)(*text - ' ') < '@' - ' ') text++;
        }
        text += *text != 0;
    }
    *to = 0;
}

/* A line of the log of a build. Those that came count when the build is asked again, so
   nothing is lost or told twice. */
static int sbxi_op_build_log(sbx_op *op, sbx_build_log *log)
{
    sbxi_build_args *b = &op->args.of.build;
    uint64_t step;
    int rc = SBX_OK;
    if (!log->level) log->level = "info";
    if (log->message) sbxi_plain_text((char *)(size_t)log->message); /* in our own block */
    if (log->step && sbxi_parse_u64(sbxi_span_of(log->step), SBX_MAX_STEPS, &step))
        b->step = (int32_t)step;
    b->lines++;
    b->fresh++;
    b->offset_text[sbxi_print_u64(b->offset_text, (uint64_t)b->lines)] = 0;
    if (op->args.each.build_log && log->message)
        rc = op->args.each.build_log(op->args.ctx, log);
    rc = sbxi_op_said(op, sbxi_each_said(rc));
    op->mid_stream = false;
    return rc;
}
#endif

/* An item of a list for the user: a dispatcher by the callback's type. */
static int sbxi_op_item(void *ctx, void *item)
{
    sbx_op *op = (sbx_op *)ctx;
    sbxi_args *a = &op->args;
    int rc = SBX_OK;
    switch (op->feature) {
#ifndef SBX_NO_EXTRAS
    case SBX_FEATURE_SANDBOX_METRICS:
        rc = a->each.metrics(a->ctx, (const sbx_metrics *)item);
        break;
    case SBX_FEATURE_SANDBOX_LOGS:
        rc = a->each.log(a->ctx, (const sbx_log *)item);
        break;
    case SBX_FEATURE_SNAPSHOT_LIST:
        rc = a->each.snapshot(a->ctx, (const sbx_snapshot_info *)item);
        break;
    case SBX_FEATURE_SANDBOX_FORK:
        sbxi_op_forked(op, (sbxi_fork_item *)item);
        break;
#endif
#ifndef SBX_NO_TEMPLATE
    case SBX_FEATURE_TEMPLATE_BUILD:
    case SBX_FEATURE_BUILD_GET_STATUS:
    case SBX_FEATURE_BUILD_WAIT:
        return sbxi_op_build_log(op, (sbx_build_log *)item);
    case SBX_FEATURE_TEMPLATE_LIST:
        rc = a->each.one_template(a->ctx, (const sbx_template_info *)item);
        break;
    case SBX_FEATURE_TEMPLATE_BUILDS:
        rc = a->each.build(a->ctx, (const sbx_template_build_item *)item);
        break;
    case SBX_FEATURE_TEMPLATE_LIST_TAGS:
        rc = a->each.tag(a->ctx, (const sbx_template_tag *)item);
        break;
#endif
    case SBX_FEATURE_FILES_WATCH:
    case SBX_FEATURE_WATCH_POLL:
        if (SBXI_HAS_WATCH) return sbxi_op_watched(op, (sbxi_watch_item *)item);
        break;
    case SBX_FEATURE_SANDBOX_LIST:
        rc = a->each.sandbox(a->ctx, (const sbx_sandbox_info *)item);
        break;
    case SBX_FEATURE_COMMAND_LIST:
        rc = a->each.process(a->ctx, (const sbx_process_info *)item);
        break;
    default:
        sbxi_file_fix((sbx_file_info *)item);
        if (a->each.file) rc = a->each.file(a->ctx, (const sbx_file_info *)item);
        if (!op->result)
            op->result = sbxi_keep(&op->client->link.alloc, SBXI_KEEP_FILE, item,
                                   sizeof(sbx_file_info));
        if (!op->result) rc = SBX_E_NOMEM;
    }
    return sbxi_op_said(op, sbxi_each_said(rc));
}

/* Processes that live, asked for when a stream had no end: is that of it among them? */
static int sbxi_op_listed(void *ctx, void *item)
{
    sbx_op *op = (sbx_op *)ctx;
    if (((const sbx_process_info *)item)->pid == op->pid) op->ended = true;
    return SBX_OK;
}

/* A piece of base64 text inside a message. */
static int sbxi_op_piece(void *ctx, unsigned id, const char *text, size_t len, bool more)
{
    sbx_op *op = (sbx_op *)ctx;
    size_t n = 0;
    int rc = sbx_base64_decode(&op->base64, text, len, op->held.piece, &n);
    if (rc == SBX_OK && !more) {
        rc = sbx_base64_end(&op->base64);
        memset(&op->base64, 0, sizeof op->base64);
    }
    if (rc == SBX_OK && (!op->started || op->ended)) rc = SBX_E_PROTOCOL;
    if (rc != SBX_OK) return rc;
    rc = sbxi_op_put(op, id, op->held.piece, n);
    if (rc != SBX_E_AGAIN) return rc;
    op->held_id = id;
    op->held_len = n;
    return SBX_PENDING;
}

/* ---- JSON, and streams of envelopes with JSON ------------------------------- */

/* What the JSON that comes now is bound to: the explanation of an unhappy reply, a
   message of a stream, a result, items. */
static int sbxi_reply_bind(sbx_op *op)
{
    sbxi_reply *r = &op->reply;
    const sbxi_route *route = op->route;
    int rc = SBX_OK;
    r->json_started = true;
    memset(&r->of, 0, sizeof r->of);
    memset(&op->base64, 0, sizeof op->base64);
    if (!r->happy) {
        sbxi_bind_init(&r->bind, op->client->provider->fault, NULL, &r->of.fault);
    } else if (route->recv == SBXI_RECV_EVENTS
               && (!SBXI_HAS_WATCH || op->feature != SBX_FEATURE_FILES_WATCH)) {
        sbxi_bind_init(&r->bind, route->reply, NULL, &r->of.event);
    } else {
        rc = sbxi_block_start(&op->block);
        if (route->recv == SBXI_RECV_EACH)
            sbxi_bind_each(&r->bind, route->reply, &op->block);
        else
            sbxi_bind_init(&r->bind, route->reply, &op->block, NULL);
    }
    r->bind.item = SBXI_HAS_EXTRAS && op->probing ? sbxi_op_listed : sbxi_op_item;
    r->bind.piece = sbxi_op_piece;
    r->bind.ctx = op;
    sbx_json_init(&r->json, sbxi_bind_event, &r->bind);
    return rc;
}

static int sbxi_frame_begin(void *ctx, unsigned flags, uint32_t len)
{
    (void)flags;
    (void)len;
    return sbxi_reply_bind((sbx_op *)ctx);
}

/* The slices are small enough for what they decode to fit op->piece. */
#define SBXI_SLICE ((SBX_PIECE_BYTES - 3) / 3 * 4)

static int sbxi_frame_data(void *ctx, const char *data, size_t len, size_t *used)
{
    sbx_op *op = (sbx_op *)ctx;
    size_t pos = 0;
    int rc = SBX_OK;
    while (pos < len && rc == SBX_OK) {
        size_t took = 0;
        rc = sbx_json_feed(&op->reply.json, data + pos, SBXI_MIN(len - pos, SBXI_SLICE), &took);
        pos += took;
    }
    *used = pos;
    return rc == SBX_PENDING ? SBX_E_AGAIN : rc;
}

static int sbxi_frame_end(void *ctx)
{
    sbx_op *op = (sbx_op *)ctx;
    int rc = sbx_json_end(&op->reply.json);
    return rc == SBX_OK ? op->client->provider->event(op) : rc;
}

/* ---- events of the HTTP reader -------------------------------------------- */

/* Retry-After: seconds, or a date to be compared with the clock. */
static int32_t sbxi_retry_after(const sbx_op *op, sbxi_span value)
{
    const int64_t now = sbxi_clock(&op->client->link.net);
    uint64_t s;
    int64_t date;
    if (sbxi_parse_u64(value, UINT64_MAX, &s))
        return s > INT32_MAX / 1000 ? INT32_MAX : (int32_t)s * 1000;
    if (!now || !sbxi_parse_http_date(value.ptr, &date)) return -1;
    date -= now;
    return date < 0 ? 0 : date > INT32_MAX ? INT32_MAX : (int32_t)date;
}

/* The next page's token; a service that repeats one would never end. */
static int sbxi_reply_token(sbx_op *op, const char *token, bool cut)
{
    const char *now = op->args.of.list.token;
    size_t len = strlen(token);
    if (cut || len >= sizeof op->held.token)
        return sbxi_op_fail(op, SBX_E_TOO_LARGE,
                            SBXI_TEXT("a page token is longer than SBX_MAX_TOKEN"));
    if (now && strcmp(now, token) == 0)
        return sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the list repeats a page"));
    memcpy(op->held.token, token, len + 1);
    op->reply.more = len > 0;
    return SBX_OK;
}

static bool sbxi_is_range(const sbx_op *op, const char *name)
{
    return SBXI_HAS_EXTRAS && sbxi_reads_file(op->feature) && strcmp(name, "content-range") == 0;
}

/* Which part of the file it is: "bytes 5-9/20" with the offset asked for. */
static void sbxi_reply_range(sbx_op *op, const char *value)
{
    sbxi_files_args *a = &op->args.of.files;
    sbxi_span first = { value + 6, strcspn(value, "-") };
    uint64_t at;
    if (strncmp(value, "bytes ", 6) != 0) return;
    first.len -= 6;
    a->placed = sbxi_parse_u64(first, INT64_MAX, &at) && at == (uint64_t)a->o.offset;
}

#define sbxi_file_too_large \
    SBXI_TEXT("the file is larger than options.max_len, or without it SBX_MAX_RESULT")

/* Room for the bytes that will come, as far as their number is known. */
static int sbxi_reply_room(sbx_op *op, const sbx_http_head *head)
{
    const sbxi_files_args *a = &op->args.of.files;
    size_t limit = a->o.max_len ? a->o.max_len : SBX_MAX_RESULT;
    uint64_t size = 0, length = head->gzip || head->length < 0 ? 0 : (uint64_t)head->length;
    int rc;
    if (!sbxi_size_add(&op->block.max, limit, sizeof(sbxi_owned) + 1)) op->block.max = SIZE_MAX;
    if (length > a->skip) size = SBXI_MIN(a->left, length - a->skip);
    rc = sbxi_block_start(&op->block);
    if (rc == SBX_OK) rc = size > limit ? SBX_E_TOO_LARGE
        : sbxi_buf_reserve(&op->block, (size_t)size + 1);
    return rc == SBX_E_TOO_LARGE ? sbxi_op_fail(op, rc, sbxi_file_too_large) : rc;
}

/* What of the body is the caller's, by whether the host heeded the range. */
static int sbxi_reply_file(sbx_op *op, const sbx_http_head *head)
{
    sbxi_files_args *a = &op->args.of.files;
    bool part = head->status == 206, placed = a->placed && (a->o.offset || a->o.length);
    a->placed = false;
    a->skip = part ? 0 : (uint64_t)a->o.offset;
    a->left = a->o.length ? (uint64_t)a->o.length : UINT64_MAX;
    if (part && !placed)
        return sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("the host sends a part of the file that was not asked for"));
    return op->feature == SBX_FEATURE_FILES_READ ? SBX_OK : sbxi_reply_room(op, head);
}

/* n bytes of `len` were the caller's. With the last of them the rest is of no use, but
   a host that sends the part alone ends there by itself. */
static int sbxi_reply_left(sbx_op *op, size_t n, size_t len)
{
    sbxi_files_args *a = &op->args.of.files;
    a->left -= n;
    if (a->left || (op->reply.http == 206 && n == len)) return SBX_OK;
    op->reply.enough = true;
    return SBX_E_CANCELLED;
}

/* Bytes of a body for the sink: of a file not more than the caller wants. */
static int sbxi_reply_sink(sbx_op *op, const char *data, size_t len, size_t *used)
{
    sbxi_files_args *a = &op->args.of.files;
    bool file = SBXI_HAS_EXTRAS && sbxi_reads_file(op->feature);
    size_t skip = 0, n = len;
    int rc;
    if (file) {
        skip = (size_t)SBXI_MIN(a->skip, len);
        n = (size_t)SBXI_MIN(a->left, len - skip);
    }
    rc = sbxi_op_put(op, 1, data + skip, n);
    if (SBXI_HAS_EXTRAS && rc == SBX_E_TOO_LARGE && op->feature == SBX_FEATURE_FILES_READ_BYTES)
        sbxi_op_fail(op, rc, sbxi_file_too_large);
    *used = rc == SBX_E_AGAIN ? skip : len;
    a->skip -= skip;
    if (!file || rc != SBX_OK) return rc;
    return sbxi_reply_left(op, n, len);
}

#ifndef SBX_NO_REDIRECT
/* Kept where a result would be, of which a redirect has none. */
static void sbxi_reply_location(sbx_op *op, sbxi_span value)
{
    sbxi_buf_clear(&op->block);
    sbxi_buf_add(&op->block, value.ptr, value.len);
    op->reply.locations = op->reply.locations ? 2 : 1;
}
#endif

/* Whether a header line names the next page of a list. */
static bool sbxi_is_page(const sbx_op *op, const char *name)
{
    const char *page = op->client->provider->page_header;
    return sbxi_is_paged(op->feature) && page && strcmp(name, page) == 0
        && op->x.http.head_.status < 300;
}

static int sbxi_reply_header(void *ctx, const char *name, const char *value, bool cut)
{
    sbx_op *op = (sbx_op *)ctx;
    sbxi_reply *r = &op->reply;
    sbxi_span v = sbxi_span_of(value);
    sbxi_trace_header(op, name, value);
    if (strcmp(name, "retry-after") == 0)
        r->retry_after_ms = sbxi_retry_after(op, v);
    else if (strcmp(name, "should-retry") == 0)
        r->should_retry = sbxi_span_is_nocase(v, "true") ? SBX_YES : SBX_NO;
#ifndef SBX_NO_REDIRECT
    else if (strcmp(name, "location") == 0 && op->x.http.head_.status / 100 == 3 && !cut)
        sbxi_reply_location(op, v);
#endif
    else if (!cut && sbxi_is_range(op, name))
        sbxi_reply_range(op, value);
    else if (sbxi_is_page(op, name))
        return sbxi_reply_token(op, value, cut);
    return SBX_OK;
}

/* JSON of a result. A broken error body is kept as text instead. */
static int sbxi_reply_json(sbx_op *op, const char *data, size_t len)
{
    sbxi_reply *r = &op->reply;
    int rc;
    if (!r->happy) { /* what is not JSON is shown as it is */
        size_t room = sizeof op->error.message - 1 - r->raw_len, n = SBXI_MIN(len, room);
        memcpy(op->error.message + r->raw_len, data, n);
        r->raw_len = (uint8_t)(r->raw_len + n);
    }
    rc = sbx_json_feed(&r->json, data, len, NULL);
    if (!r->happy) return SBX_OK;
    if (rc == SBX_E_TOO_LARGE)
        sbxi_op_fail(op, rc, SBXI_TEXT("the reply is larger than SBX_MAX_RESULT or deeper than "
                             "SBX_MAX_JSON_DEPTH"));
    return rc;
}

/* ---- packed bodies -------------------------------------------------------- */

#ifndef SBX_NO_GZIP

static int sbxi_reply_unpacked(void *ctx, const void *data, size_t len)
{
    sbx_op *op = (sbx_op *)ctx;
    size_t used;
    return op->reply.happy ? sbxi_reply_sink(op, (const char *)data, len, &used)
        : sbxi_reply_json(op, (const char *)data, len);
}

/* The body comes as gzip, which may have been asked for. */
static int sbxi_reply_packed(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    if (!sbxi_op_unzips(op))
        return sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("the reply is compressed though not asked for"));
    a->unzip = (sbxi_inflate *)sbxi_alloc_get(&op->client->link.alloc, sizeof *a->unzip);
    if (!a->unzip) return SBX_E_NOMEM;
    sbxi_inflate_init(a->unzip, sbxi_reply_unpacked, op);
    return SBX_OK;
}

/* What unpacks the body that comes, NULL: it is not packed. */
static sbxi_inflate *sbxi_reply_unzip(const sbx_op *op)
{
    return sbxi_reads_file(op->feature) ? op->args.of.files.unzip : NULL;
}

static int sbxi_reply_unpack(sbx_op *op, const char *data, size_t len, size_t *used)
{
    int rc = sbxi_inflate_feed(sbxi_reply_unzip(op), data, len, used);
    if (rc == SBX_E_PROTOCOL && !op->x.stop)
        sbxi_op_fail(op, rc, SBXI_TEXT("the body is not gzip, or damaged"));
    return rc;
}

/* Whether a packed body was whole. */
static bool sbxi_reply_unpacked_all(sbx_op *op)
{
    const sbxi_inflate *z = sbxi_reply_unzip(op);
    if (!z || sbxi_inflate_whole(z)) return true;
    sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the body ends in the middle of gzip"));
    return false;
}

static void sbxi_reply_end_unpacking(sbx_op *op)
{
    sbxi_inflate *z = sbxi_reply_unzip(op);
    if (!z) return;
    sbxi_alloc_free(&op->client->link.alloc, z, sizeof *z);
    op->args.of.files.unzip = NULL;
}

#else

static int sbxi_reply_packed(sbx_op *op)
{
    return sbxi_op_fail(op, SBX_E_PROTOCOL,
        SBXI_TEXT("the reply is compressed though not asked for"));
}

static void sbxi_reply_end_unpacking(sbx_op *op) { (void)op; }
static bool sbxi_reply_unpacked_all(sbx_op *op)
{
    (void)op;
    return true;
}

#endif

static int sbxi_reply_head(void *ctx, const sbx_http_head *head)
{
    static const sbxi_connect_events frames = { sbxi_frame_begin, sbxi_frame_data, sbxi_frame_end };
    sbx_op *op = (sbx_op *)ctx;
    sbxi_reply *r = &op->reply;
    uint8_t recv = op->route->recv;
    sbxi_trace_header(op, NULL, NULL);
    r->http = head->status;
    r->happy = head->status >= 200 && head->status < 300;
    if (head->gzip) {
        int rc = sbxi_reply_packed(op);
        if (rc != SBX_OK) return rc;
    }
    sbxi_connect_init(&op->frame, &frames, op);
#ifndef SBX_NO_RUN_CODE
    if (recv == SBXI_RECV_LINES) sbxi_code_start(op);
#endif
    if (SBXI_HAS_EXTRAS && r->happy && recv == SBXI_RECV_SINK && sbxi_reads_file(op->feature))
        return sbxi_reply_file(op, head);
    if (r->happy && (recv == SBXI_RECV_NOTHING || recv >= SBXI_RECV_SINK)) return SBX_OK;
    return sbxi_reply_bind(op);
}

static int sbxi_reply_body(void *ctx, const char *data, size_t len, size_t *used)
{
    sbx_op *op = (sbx_op *)ctx;
    int rc = SBX_OK;
    *used = len;
#ifndef SBX_NO_GZIP
    if (sbxi_reply_unzip(op)) {
        rc = sbxi_reply_unpack(op, data, len, used);
        sbxi_trace_body(op, data, *used);
        return rc;
    }
#endif
    if (!op->reply.happy) rc = sbxi_reply_json(op, data, len);
    else switch (op->route->recv) {
    case SBXI_RECV_NOTHING:
        break;
    case SBXI_RECV_SINK:
        rc = sbxi_reply_sink(op, data, len, used);
        break;
    case SBXI_RECV_EVENTS:
        rc = sbxi_connect_feed(&op->frame, data, len, used);
        break;
#ifndef SBX_NO_RUN_CODE
    case SBXI_RECV_LINES:
        rc = sbxi_code_feed(op, data, len, used);
        break;
#endif
    default:
        rc = sbxi_reply_json(op, data, len);
    }
    sbxi_trace_body(op, data, *used);
    return rc;
}

static const sbx_http_events sbxi_reply_events = { sbxi_reply_header, sbxi_reply_head,
    sbxi_reply_body };

/* Gives a sink once more what it did not take; then the stream can go on. */
static int sbxi_reply_wake(sbx_op *op)
{
    size_t used;
    int rc;
    op->asleep = op->x.dry = false;
    op->x.since = sbxi_now(&op->client->link);
#ifndef SBX_NO_GZIP
    if (sbxi_reply_unzip(op)) return sbxi_reply_unpack(op, "", 0, &used);
#endif
    if (!op->held_len) return SBX_OK;
#ifndef SBX_NO_RUN_CODE
    if (op->route->recv == SBXI_RECV_LINES) return sbxi_code_wake(op);
#endif
    rc = sbxi_op_put(op, op->held_id, op->held.piece, op->held_len);
    if (rc != SBX_OK) return rc;
    op->held_len = 0;
    return sbxi_connect_feed(&op->frame, NULL, 0, &used);
}

/* ---- the end of a response ------------------------------------------------ */

/* Puts a fault into the error and returns its meaning. */
static int sbxi_op_fault(sbx_op *op, const sbxi_fault *f, int http)
{
    sbx_error *e = &op->error;
    int status = sbxi_fault_status(op, f, f->number > 0 ? (int)f->number : http);
    if (status > 0) return status;
    e->http_status = http;
    e->retry_after_ms = op->reply.retry_after_ms;
    sbxi_put_text(e->code, sizeof e->code, f->word, strlen(f->word));
    if (status == SBX_E_SANDBOX_GONE) e->sandbox_alive = e->process_alive = SBX_NO;
    if (status == SBX_E_UNREACHABLE) e->sandbox_alive = SBX_YES; /* its gateway knows it */
    if (status == SBX_E_KILLED) e->process_alive = SBX_NO;
    return sbxi_error_set(e, status, f->message[0] ? f->message : NULL);
}

/* Not the service says that something is missing, but whoever knows no such route. */
static bool sbxi_reply_is_no_route(const sbx_op *op, const sbxi_fault *f)
{
    return op->reply.http == 404 && !f->number && !op->client->dialect
        && op->feature == SBX_FEATURE_SANDBOX_CREATE && op->route->host == SBXI_HOST_CONTROL
        && op->route->method == SBXI_POST;
}

static int sbxi_reply_unhappy(sbx_op *op)
{
    sbxi_reply *r = &op->reply;
    sbxi_fault *f = &r->of.fault;
    if (sbx_json_end(&r->json) != SBX_OK || (!f->message[0] && !f->word[0])) {
        memset(f, 0, sizeof *f);
        sbxi_put_text(f->message, sizeof f->message, op->error.message, r->raw_len);
    }
    r->raw_len = 0;
    op->error.message[0] = 0;
#ifndef SBX_NO_PROXY
    if (r->http == 407) return sbxi_proxy_refused(r->http, &op->error); /* whatever it says */
#endif
    if (sbxi_reply_is_no_route(op, f)) {
        op->error.http_status = r->http;
        return sbxi_op_fail(op, SBX_E_UNSUPPORTED_HOST, op->client->provider->no_create);
    }
    return sbxi_op_fault(op, f, r->http);
}

/* SBX_OK: the route got what it asked for. */
static int sbxi_reply_end(sbx_op *op)
{
    sbxi_reply *r = &op->reply;
    int rc = SBX_OK;
    if (!r->happy) {
        rc = sbxi_reply_unhappy(op);
        r->no = rc == SBXI_MEANS_NO;
        return rc > 0 ? SBX_OK : rc;
    }
    if (!sbxi_reply_unpacked_all(op)) return SBX_E_PROTOCOL;
#ifndef SBX_NO_RUN_CODE
    if (op->route->recv == SBXI_RECV_LINES) return sbxi_code_over(op);
#endif
    if (op->route->recv == SBXI_RECV_EVENTS) return op->ended ? SBX_OK : SBX_E_NO_END;
    if (!r->json_started) return SBX_OK;
    rc = sbx_json_end(&r->json);
    if (rc == SBX_OK && op->route->recv == SBXI_RECV_RESULT) {
        sbxi_buf_trim(&op->block);
        op->result = sbxi_bind_result(&r->bind);
        if (op->feature >= SBX_FEATURE_FILES_READ && op->feature < SBX_FEATURE_FILES_WATCH)
            sbxi_file_fix((sbx_file_info *)op->result);
        sbxi_block_take(&op->block);
    }
    return rc;
}

static void sbxi_reply_clear(sbx_op *op)
{
    memset(&op->reply, 0, offsetof(sbxi_reply, json));
    op->reply.retry_after_ms = -1;
}
