/* trace - tells config.trace what goes out and what comes back, without secrets.
   Called by op.c and reply.c, and by the exchange through its tap.

   Bytes pass two filters one at a time; a few bytes of state for each direction
   carry over from piece to piece, so no cut can show what is hidden elsewhere. The
   first knows names: the value behind one that sounds secret is dropped. The second
   knows values: once the first eight bytes of a known one have come, all that
   follows of it is dropped. Until then they are held back. */

#ifndef SBX_NO_TRACE

#define SBXI_TRACE_LIMIT 4096

/* Where the first filter is. From QUOTED on bytes are dropped. */
enum { SBXI_TR_TEXT, SBXI_TR_HOT, SBXI_TR_AFTER, SBXI_TR_HEADER, SBXI_TR_COLON, SBXI_TR_QUOTED,
    SBXI_TR_LINE, SBXI_TR_WORD, SBXI_TR_ESCAPED };

typedef struct sbxi_tracer {
    sbx_op *op;
    sbx_trace_part part;
    const char *secrets[4];
    size_t len;
    char out[96];
} sbxi_tracer;

static void sbxi_trace_flush(sbxi_tracer *t)
{
    const sbx_trace *to = t->op->client->config.trace;
    if (t->len) to->put(to->ctx, t->op->number, t->part, t->out, t->len);
    t->len = 0;
}

static void sbxi_trace_out(sbxi_tracer *t, char c)
{
    if (t->len == sizeof t->out) sbxi_trace_flush(t);
    t->out[t->len++] = c;
}

/* The second filter. Held is what a secret may begin with, never more than that; what
   is shorter than held is a word like others. */
static void sbxi_trace_value(sbxi_tracer *t, sbxi_tracing *s, char c)
{
    const char *known;
    size_t n = s->held_len, i = 0;
    s->held[n++] = c;
    while (n) {
        known = t->secrets[i];
        if (known && c && strncmp(known, s->held, n) == 0) break; /* none has a NUL */
        if (++i < SBXI_LEN(t->secrets)) continue;
        i = 0;
        sbxi_trace_out(t, s->held[0]);
        memmove(s->held, s->held + 1, --n);
    }
    if (n == sizeof s->held) {
        s->state = SBXI_TR_WORD;
        n = 0;
    }
    s->held_len = (uint8_t)n;
}

/* What it sees, and where it goes then. */
static const char sbxi_trace_marks[] = ":=\" \\\r\n{[&"; /* then others, then what names have */

static const char sbxi_trace_next[] =
    "000000000000"         /* in text */
    "342220000001"         /* in a name that sounds secret */
    "442220000000"         /* behind it: a quote, a space */
    "666360066666"         /* behind the colon of a header */
    "775440000777"         /* behind another colon or a =; from here on it is dropped: */
    "550585555555"         /* a JSON string */
    "666660066666"         /* a line */
    "770070077077"         /* a word */
    "555555555555";         /* behind the backslash of a string */

/* Whether the name so far ends in what sounds secret. */
static bool sbxi_trace_is_hot(uint32_t name)
{
#define SBXI_WORD(a, b, c, d) ((uint32_t)a << 24 | (uint32_t)b << 16 | (uint32_t)c << 8 | d)
    static const uint32_t words[] = { SBXI_WORD('a', 'u', 't', 'h'), SBXI_WORD('o', 'k', 'e', 'n'),
        SBXI_WORD('e', 'c', 'r', 'e'), SBXI_WORD('a', 's', 's', 'w'), SBXI_WORD('i', 'g', 'n', 'a'),
        SBXI_WORD('c', 'o', 'o', 'k'), SBXI_WORD('r', 'e', 'd', 'e'), SBXI_WORD('v', 'a', 't', 'e'),
        SBXI_WORD('v', 'a', 'l', 'u'), SBXI_WORD('p', 'i', '-', 'k'), SBXI_WORD('p', 'i', '_', 'k'),
        SBXI_WORD('p', 'i', 'k', 'e'), SBXI_WORD('s', '-', 'k', 'e'), SBXI_WORD('s', '_', 'k', 'e'),
        SBXI_WORD('s', 's', 'k', 'e'), SBXI_WORD(0, 's', 'i', 'g') };
#undef SBXI_WORD
    size_t i;
    for (i = 0; i < SBXI_LEN(words) && name != words[i]; i++) {}
    return i < SBXI_LEN(words);
}

/* The class of a byte; the name so far grows by it, or is over. */
static size_t sbxi_trace_class(sbxi_tracing *s, char c)
{
    const char *mark = strchr(sbxi_trace_marks, c); /* NUL: as others */
    if (sbxi_is_alnum(c) || c == '-' || c == '_') {
        s->name = s->name << 8 | (unsigned char)sbxi_lower(c);
        return sizeof sbxi_trace_marks;
    }
    s->name = 0;
    return mark ? (size_t)(mark - sbxi_trace_marks) : sizeof sbxi_trace_marks - 1;
}

static void sbxi_trace_char(sbxi_tracer *t, sbxi_tracing *s, char c)
{
    size_t class = sbxi_trace_class(s, c), i;
    uint8_t before = s->state;
    s->state = (uint8_t)(sbxi_trace_next[before * (sizeof sbxi_trace_marks + 1) + class] - '0');
    if (s->state == SBXI_TR_TEXT && sbxi_trace_is_hot(s->name)) s->state = SBXI_TR_HOT;
    if (s->state < SBXI_TR_QUOTED || (s->state == SBXI_TR_QUOTED && before == SBXI_TR_COLON))
        sbxi_trace_value(t, s, c);
    if (before < SBXI_TR_QUOTED && s->state >= SBXI_TR_QUOTED)
        for (i = 0; i < 3; i++) sbxi_trace_value(t, s, '*');
}

static void sbxi_trace(sbx_op *op, sbx_trace_part part, const char *data, size_t len)
{
    const sbx_client *c = op->client;
    sbxi_tracing *s = &op->tracing[part];
    sbxi_tracer t;
    uint32_t limit;
    if (!c->config.trace) return;
    limit = c->config.trace->limit ? (uint32_t)c->config.trace->limit : SBXI_TRACE_LIMIT;
    t.op = op;
    t.part = part;
    t.len = 0;
    t.secrets[0] = c->config.api_key;
    t.secrets[1] = op->call.api_key;
    t.secrets[2] = op->sandbox ? op->sandbox->access.access_token : NULL;
    t.secrets[3] = op->sandbox ? op->sandbox->access.traffic_token : NULL;
    for (; len && s->seen < limit; len--, s->seen++) sbxi_trace_char(&t, s, *data++);
    sbxi_trace_flush(&t);
}

/* The tap of an exchange. */
static void sbxi_trace_sent(sbxi_exchange *x, const char *data, size_t len)
{
    sbxi_trace((sbx_op *)(void *)((char *)x - offsetof(sbx_op, x)), SBX_TRACE_REQUEST, data, len);
}

/* An exchange begins, which has just been cleared. */
static void sbxi_trace_begin(sbx_op *op)
{
    if (!op->client->config.trace) return;
    memset(op->tracing, 0, sizeof op->tracing);
    op->number = ++op->client->exchanges;
    op->x.tap = sbxi_trace_sent;
}

static void sbxi_trace_text(sbx_op *op, const char *text)
{
    sbxi_trace(op, SBX_TRACE_REPLY, text, strlen(text));
}

/* A header line, NULL: the empty one behind them. The status goes before the first. */
static void sbxi_trace_header(sbx_op *op, const char *name, const char *value)
{
    const sbx_http_head *h = &op->x.http.head_;
    char status[SBXI_DECIMAL_MAX];
    if (!op->x.tap) return;
    if (!op->tracing[SBX_TRACE_REPLY].seen) {
        sbxi_trace(op, SBX_TRACE_REQUEST, "\n", 1);
        sbxi_trace_text(op, h->minor ? "HTTP/1.1 " : "HTTP/1.0 ");
        sbxi_trace(op, SBX_TRACE_REPLY, status, sbxi_print_u64(status, (unsigned)h->status));
        sbxi_trace_text(op, "\r\n");
    }
    if (name) {
        sbxi_trace_text(op, name);
        sbxi_trace_text(op, ": ");
        sbxi_trace_text(op, value);
    }
    sbxi_trace_text(op, "\r\n");
}

static void sbxi_trace_body(sbx_op *op, const char *data, size_t len)
{
    sbxi_trace(op, SBX_TRACE_REPLY, data, len);
}

/* The exchange is over, if one was. */
static void sbxi_trace_end(sbx_op *op)
{
    sbx_trace_part part;
    if (!op->x.tap) return;
    op->x.tap = NULL;
    part = op->tracing[SBX_TRACE_REPLY].seen ? SBX_TRACE_REPLY : SBX_TRACE_REQUEST;
    sbxi_trace(op, part, "\n", 1);
}

#else
static void sbxi_trace_begin(sbx_op *op) { (void)op; }
static void sbxi_trace_end(sbx_op *op) { (void)op; }
static void sbxi_trace_header(sbx_op *op, const char *name, const char *value)
{
    (void)op;
    (void)name;
    (void)value;
}
static void sbxi_trace_body(sbx_op *op, const char *data, size_t len)
{
    (void)op;
    (void)data;
    (void)len;
}
#endif
