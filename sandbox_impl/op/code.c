/* code - what comes of code that runs: lines of JSON, a message each, are taken apart
   while they arrive. Texts go to sinks and callbacks in the pieces the JSON reader
   makes; JSON inside a message goes as it came. Called by reply.c.

   Invariants: a message's "type" stands in front of what it holds, as all services
   write it, so nothing needs to be kept. What a sink does not take lies in op->held
   and the reader rests until it does. */

#ifndef SBX_NO_RUN_CODE

enum { SBXI_CODE_UNKNOWN, SBXI_CODE_OUT, SBXI_CODE_ERR, SBXI_CODE_RESULT, SBXI_CODE_ERROR,
    SBXI_CODE_COUNT, SBXI_CODE_OVER }; /* kinds of messages */

/* Members: formats of results, then others, in the order of the names below. */
enum { SBXI_CODE_NAME = SBX_CODE_EXTRA + 1, SBXI_CODE_VALUE, SBXI_CODE_TRACEBACK,
    SBXI_CODE_MAIN, SBXI_CODE_NUMBER, SBXI_CODE_TYPE };

/* JSON that is passed on as it is: its colon is awaited, it comes, or is a null. */
enum { SBXI_RAW_NONE, SBXI_RAW_WAITS, SBXI_RAW_COMES, SBXI_RAW_NULL };

static const char *const sbxi_code_kinds[] = { "stdout", "stderr", "result", "error",
    "number_of_executions", "end_of_execution" };
static const char *const sbxi_code_members[] = { "text", "html", "markdown", "svg", "latex",
    "javascript", "png", "jpeg", "pdf", "json", "data", "chart", "extra", "name", "value",
    "traceback", "is_main_result", "execution_count", "type" };

/* The place of a text among names, from 1; 0: it is none of them. */
static uint8_t sbxi_code_find(const char *const *names, size_t n, const char *text, size_t len)
{
    size_t i;
    for (i = 0; i < n; i++)
        if (strlen(names[i]) == len && memcmp(names[i], text, len) == 0) return (uint8_t)(i + 1);
    return 0;
}

static int sbxi_code_sink(sbx_op *op, const sbx_sink *s, sbxi_capture *c, const void *data,
    size_t len)
{
    if (s->put) return sbxi_op_sink_put(op, s, data, len);
    return op->args.of.code.o.capture_limit ? sbxi_capture_put(c, data, len) : SBX_OK;
}

static int sbxi_code_each(sbx_op *op, sbx_code_format format, const void *data, size_t len)
{
    sbxi_code_args *a = &op->args.of.code;
    sbx_code_piece piece;
    int rc;
    if (!a->o.each) return SBX_OK;
    piece.format = format;
    piece.result = a->results;
    piece.main_result = !format && a->main;
    piece.data = data;
    piece.len = len;
    rc = a->o.each(a->o.each_ctx, &piece);
    return sbxi_op_said(op, rc > 0 || (rc == SBX_E_AGAIN && !format) ? SBX_E_ARG : rc);
}

/* Adds to a fixed text, which was zeroed, cut to fit. */
static void sbxi_code_text(char *out, size_t cap, const void *data, size_t len)
{
    size_t at = strlen(out);
    memcpy(out + at, data, SBXI_MIN(len, cap - 1 - at));
}

/* Decoded bytes of the present member go where they belong. */
static int sbxi_code_put(sbx_op *op, const void *data, size_t len)
{
    sbxi_code_args *a = &op->args.of.code;
    if (len == 0) return SBX_OK;
    op->mid_stream = true;
    switch (a->kind) {
    case SBXI_CODE_OUT:
        return sbxi_code_sink(op, &a->o.out, &op->captured[0], data, len);
    case SBXI_CODE_ERR:
        return sbxi_code_sink(op, &a->o.err, &op->captured[1], data, len);
    case SBXI_CODE_RESULT:
        return sbxi_code_each(op, (sbx_code_format)a->member, data, len);
    default:
        if (!a->result) return SBX_OK;
        if (a->member == SBXI_CODE_TRACEBACK)
            return a->o.capture_limit ? sbxi_capture_put(&a->traceback, data, len) : SBX_OK;
        if (a->member == SBXI_CODE_NAME)
            sbxi_code_text(a->result->error_name, sizeof a->result->error_name, data, len);
        else
            sbxi_code_text(a->result->error_value, sizeof a->result->error_value, data, len);
        return SBX_OK;
    }
}

/* The same for bytes that are gone afterwards: what is not taken is held. */
static int sbxi_code_pass(sbx_op *op, const void *data, size_t len)
{
    int rc = sbxi_code_put(op, data, len);
    if (rc != SBX_E_AGAIN) return rc;
    memmove(op->held.piece, data, len);
    op->held_len = len;
    return SBX_PENDING;
}

/* Base64, which notebooks break into lines. */
static int sbxi_code_decode(sbx_op *op, const char *text, size_t len, bool more)
{
    size_t out = 0;
    int rc = SBX_OK;
    while (len && rc == SBX_OK) {
        size_t n = 0, got = 0;
        while (n < len && (unsigned char)text[n] > ' ') n++;
        if (n) rc = sbx_base64_decode(&op->base64, text, n, op->held.piece + out, &got);
        out += got;
        n += n < len;
        text += n;
        len -= n;
    }
    if (rc == SBX_OK && !more) {
        rc = sbx_base64_end(&op->base64);
        memset(&op->base64, 0, sizeof op->base64);
    }
    return rc == SBX_OK ? sbxi_code_pass(op, op->held.piece, out) : rc;
}

/* Whether the present member is of use in this kind of message. */
static bool sbxi_code_wants(const sbxi_code_args *a)
{
    switch (a->kind) {
    case SBXI_CODE_OUT:
    case SBXI_CODE_ERR: return a->member == SBX_CODE_TEXT;
    case SBXI_CODE_RESULT: return a->member >= SBX_CODE_TEXT && a->member <= SBX_CODE_EXTRA;
    case SBXI_CODE_ERROR: return a->member >= SBXI_CODE_NAME && a->member <= SBXI_CODE_TRACEBACK;
    default: return false;
    }
}

static int sbxi_code_string(sbx_op *op, const sbx_json_event *ev)
{
    sbxi_code_args *a = &op->args.of.code;
    bool more = (ev->flags & SBX_JSON_MORE) != 0;
    if (a->member == SBXI_CODE_TYPE) {
        size_t n = SBXI_MIN(ev->len, sizeof a->word - a->word_len);
        memcpy(a->word + a->word_len, ev->text, n);
        a->word_len = (uint8_t)(a->word_len + n);
        if (more) return SBX_OK;
        a->kind = sbxi_code_find(sbxi_code_kinds, SBXI_LEN(sbxi_code_kinds), a->word, a->word_len);
        a->typed = true;
        return SBX_OK;
    }
    if (!sbxi_code_wants(a)) return SBX_OK;
    if (a->member >= SBX_CODE_PNG && a->member <= SBX_CODE_PDF)
        return sbxi_code_decode(op, ev->text, ev->len, more);
    return sbxi_code_pass(op, ev->text, ev->len);
}

/* A member begins: JSON of a result is taken from the bytes themselves. */
static int sbxi_code_key(sbx_op *op, const sbx_json_event *ev)
{
    sbxi_code_args *a = &op->args.of.code;
    a->member = sbxi_code_find(sbxi_code_members, SBXI_LEN(sbxi_code_members), ev->text, ev->len);
    if (a->member && a->member < SBXI_CODE_MAIN && !a->typed)
        return sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("a message of the code interpreter does not begin with its type"));
    if (a->member < SBX_CODE_JSON || !sbxi_code_wants(a) || a->kind != SBXI_CODE_RESULT)
        return SBX_OK;
    a->raw = SBXI_RAW_WAITS;
    return SBX_PENDING;
}

static void sbxi_code_number(sbxi_code_args *a, const sbx_json_event *ev)
{
    uint64_t v;
    sbxi_span s;
    s.ptr = ev->text;
    s.len = ev->len;
    if (a->member == SBXI_CODE_NUMBER && a->kind == SBXI_CODE_COUNT && a->result
        && sbxi_parse_u64(s, INT32_MAX, &v))
        a->result->execution_count = (int32_t)v;
}

/* A member of a message, or its value. */
static int sbxi_code_value(sbx_op *op, const sbx_json_event *ev)
{
    sbxi_code_args *a = &op->args.of.code;
    switch (ev->type) {
    case SBX_JSON_KEY: return sbxi_code_key(op, ev);
    case SBX_JSON_STRING: return sbxi_code_string(op, ev);
    case SBX_JSON_NUMBER: sbxi_code_number(a, ev); break;
    case SBX_JSON_TRUE: a->main = a->main || a->member == SBXI_CODE_MAIN; break;
    default: break;
    }
    return SBX_OK;
}

/* One event of the JSON reader. SBX_PENDING: raw JSON begins or ends here, or a sink
   did not take something. */
static int sbxi_code_event(void *ctx, const sbx_json_event *ev)
{
    sbx_op *op = (sbx_op *)ctx;
    sbxi_code_args *a = &op->args.of.code;
    if (ev->depth == 0) return ev->type <= SBX_JSON_OBJECT_END ? SBX_OK : SBX_E_BAD_JSON;
    if (ev->depth > 1) return SBX_OK;
    if (!a->raw) return sbxi_code_value(op, ev);
    if (ev->type == SBX_JSON_OBJECT || ev->type == SBX_JSON_ARRAY || (ev->flags & SBX_JSON_MORE))
        return SBX_OK;
    a->raw_over = true;
    return SBX_PENDING;
}

/* ---- lines ---------------------------------------------------------------- */

static int sbxi_code_begin(void *ctx)
{
    sbx_op *op = (sbx_op *)ctx;
    sbxi_code_args *a = &op->args.of.code;
    a->kind = a->member = a->raw = a->word_len = 0;
    a->typed = a->main = a->raw_over = false;
    memset(&op->base64, 0, sizeof op->base64);
    sbx_json_init(&op->reply.json, sbxi_code_event, op);
    return SBX_OK;
}

/* n bytes were read while raw JSON was awaited or came. */
static int sbxi_code_raw(sbx_op *op, const char *data, size_t n)
{
    sbxi_code_args *a = &op->args.of.code;
    int rc = a->raw == SBXI_RAW_COMES ? sbxi_code_pass(op, data, n) : SBX_OK;
    if (a->raw_over) a->raw = SBXI_RAW_NONE;
    a->raw_over = false;
    return rc;
}

/* Slices are small enough for what is not taken to fit op->held. */
static int sbxi_code_data(void *ctx, const char *data, size_t len, size_t *used)
{
    sbx_op *op = (sbx_op *)ctx;
    sbxi_code_args *a = &op->args.of.code;
    size_t pos = 0;
    int rc = SBX_OK;
    while (pos < len && rc == SBX_OK) {
        size_t n = SBXI_MIN(len - pos, SBX_PIECE_BYTES), took = 0;
        uint8_t raw;
        if (a->raw == SBXI_RAW_WAITS) { /* the colon, then blanks, then the value */
            char c = data[pos];
            if (c == ':' || c == ' ' || c == '\t') n = 1;
            else a->raw = c == 'n' ? SBXI_RAW_NULL : SBXI_RAW_COMES;
        }
        raw = a->raw;
        rc = sbx_json_feed(&op->reply.json, data + pos, n, &took);
        if (rc >= 0 && raw) rc = sbxi_code_raw(op, data + pos, took);
        pos += took;
        if (rc == SBX_PENDING) rc = op->held_len ? SBX_E_AGAIN : SBX_OK;
    }
    *used = pos;
    return rc;
}

/* A message is whole: what it says beyond its texts. */
static int sbxi_code_end(void *ctx)
{
    sbx_op *op = (sbx_op *)ctx;
    sbxi_code_args *a = &op->args.of.code;
    int rc = sbx_json_end(&op->reply.json);
    if (rc != SBX_OK) return rc;
    if (a->kind == SBXI_CODE_OVER) op->ended = true;
    if (a->kind) a->may_end = a->kind >= SBXI_CODE_ERROR;
    if (a->kind == SBXI_CODE_ERROR && a->result) a->result->failed = true;
    if (a->kind != SBXI_CODE_RESULT) return SBX_OK;
    rc = sbxi_code_each(op, SBX_CODE_END, NULL, 0);
    a->results++;
    return rc;
}

static const sbxi_ndjson_events sbxi_code_lines = { sbxi_code_begin, sbxi_code_data,
    sbxi_code_end };

static int sbxi_code_feed(sbx_op *op, const char *data, size_t len, size_t *used)
{
    return sbxi_ndjson_feed(&op->args.of.code.lines, data, len, used);
}

/* The reply is over: with a message that ends it, or cut. */
static int sbxi_code_over(sbx_op *op)
{
    int rc = sbxi_ndjson_end(&op->args.of.code.lines);
    if (rc != SBX_OK && rc != SBX_E_BAD_JSON) return rc;
    if (op->ended || (rc == SBX_OK && op->args.of.code.may_end)) return SBX_OK;
    return sbxi_op_fail(op, SBX_E_NO_END,
        SBXI_TEXT("the stream ended before the code did, which may run on: restart its context"));
}

/* A sink is asked once more. */
static int sbxi_code_wake(sbx_op *op)
{
    int rc = sbxi_code_put(op, op->held.piece, op->held_len);
    if (rc == SBX_OK) op->held_len = 0;
    return rc;
}

/* A run begins, or begins anew on another connection. */
static void sbxi_code_start(sbx_op *op)
{
    sbxi_code_args *a = &op->args.of.code;
    sbxi_ndjson_init(&a->lines, &sbxi_code_lines, op);
    a->may_end = false;
    a->results = 0;
    if (a->result) memset(a->result, 0, sizeof *a->result);
}

#endif
