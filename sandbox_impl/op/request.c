/* request - builds the bytes of a request from a route and the operation's
   arguments: base URL, head, query, body. Everything lands in op->out.text, so
   that a retry sends the same again. Called by op.c before an exchange. */

/* ---- URL ------------------------------------------------------------------ */

/* Whether it goes to a URL that a reply has told: of our own headers none belong there. */
static bool sbxi_op_uploads(const sbx_op *op)
{
    return SBXI_HAS_TEMPLATE && op->route->send == SBXI_SEND_UPLOAD;
}

/* That URL, as it was told. */
static int sbxi_op_given(sbx_op *op, sbxi_url *url)
{
#ifndef SBX_NO_TEMPLATE
    sbxi_span text = sbxi_span_of(op->args.of.build.upload->url);
    sbxi_buf_clear(&op->url);
    if (sbxi_buf_add(&op->url, text.ptr, text.len) != SBX_OK) return op->url.status;
    text.ptr = op->url.data;
    if (sbxi_url_origin(text, url) && !url->path.len) text.len++;
    if (text.len > op->url.len && sbxi_buf_text(&op->url, "/") != SBX_OK) return op->url.status;
    text.ptr = op->url.data;
    if (sbxi_url_origin(text, url) && sbxi_is_target(url->path, '#')) return SBX_OK;
#else
    (void)url;
#endif
    return sbxi_op_fail(op, SBX_E_PROTOCOL,
        SBXI_TEXT("the service wants files sent to what is no http URL"));
}

/* The URL of the route into op->url, and its parts. */
static int sbxi_op_url(sbx_op *op, sbxi_url *url)
{
    const sbx_provider *p = op->client->provider;
    const char *parts[3], *values[SBXI_PLACES];
    if (sbxi_op_uploads(op) && !op->hops) return sbxi_op_given(op, url);
    if (op->hops) { /* checked when it came */
        sbxi_span text = { op->url.data, op->url.len };
        return sbxi_url_origin(text, url) ? op->url.status : SBX_E_PROTOCOL;
    }
    parts[0] = p->base(op);
    parts[1] = p->prefixes[op->route->prefix];
    parts[2] = op->route->path;
    values[0] = op->sandbox ? op->sandbox->id : op->args.target;
    values[1] = sbxi_op_port(op);
    values[2] = sbxi_op_domain(op);
    values[3] = op->args.key;
    if (sbxi_make_url(&op->url, parts, values, url) == SBX_E_ARG)
        sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("the base URL is not http(s)://host[:port][/path]; it may hold "
                      "{id} {port} {domain}"));
    return op->url.status;
}

/* ---- head ----------------------------------------------------------------- */

/* One query parameter per text that is set, in table order. */
static void sbxi_op_query(sbx_op *op, const sbxi_shape *shape)
{
    sbxi_buf *b = &op->out.text;
    const char *mark = "?";
    uint16_t i;
    for (i = 0; i < shape->count; i++) {
        const sbxi_field *f = &shape->fields[i];
        const char *text;
        memcpy(&text, (const char *)&op->args + f->offset, sizeof text);
        if (!text) continue;
        sbxi_buf_texts(b, mark, f->name, "=");
        sbxi_percent(b, sbxi_span_of(text), SBXI_PERCENT_FORM);
        mark = "&";
    }
}

/* "Authorization: Basic" for a user without password; NULL: no such line. */
static SBXI_MAYBE void sbxi_op_user(sbx_op *op, const char *user)
{
    sbxi_buf *b = &op->out.text;
    char *plain = op->line; /* free until the reply comes */
    size_t len = user ? strlen(user) : 0;
    if (!user) return;
    if (len > 255 || strchr(user, ':')) {
        b->status = sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("user is longer than 255 bytes or holds a colon"));
        return;
    }
    memcpy(plain, user, len);
    plain[len] = ':';
    sbxi_buf_text(b, "Authorization: ");
    sbxi_basic(b, plain, len + 1);
}

/* Whether the reply may be packed, and whether the body is. A part of a file is one of
   it as it is. */
static bool sbxi_op_unzips(const sbx_op *op)
{
    const sbx_files_options *o = &op->args.of.files.o;
    return SBXI_HAS_GZIP && sbxi_reads_file(op->feature) && op->route->recv == SBXI_RECV_SINK
        && o->gzip == SBX_YES && !o->offset && !o->length;
}

static SBXI_MAYBE bool sbxi_op_zips(const sbx_op *op)
{
    return SBXI_HAS_GZIP && op->route->send == SBXI_SEND_RAW
        && op->args.of.files.o.gzip == SBX_YES;
}

/* The first line and the host. */
static void sbxi_op_request_line(sbx_op *op, const sbxi_url *url, const sbxi_proxy *proxy)
{
    sbxi_buf *b = &op->out.text;
    const sbxi_route *r = op->route;
    const sbxi_invoke_args *own = sbxi_op_invoked(op);
    const char *authority = op->url.data + (url->tls ? 8 : 7); /* behind its scheme */
    const char *target = url->path.ptr;
    if (proxy) target = op->url.data; /* who reads it must know where to send it */
    sbxi_buf_texts(b, sbxi_methods[r->method], " ", NULL);
    sbxi_buf_add(b, target, (size_t)(url->path.ptr + url->path.len - target));
    if (!op->hops && r->fields && r->send != SBXI_SEND_JSON && r->send != SBXI_SEND_ENVELOPE)
        sbxi_op_query(op, r->fields);
    if (!op->hops && own && own->query[0]) sbxi_buf_texts(b, "?", own->query, NULL);
    sbxi_buf_text(b, " HTTP/1.1\r\nHost: ");
    sbxi_buf_add(b, authority, (size_t)(url->path.ptr - authority));
}

/* The headers that a reply has told to send with the files; host and framing are our own. */
static void sbxi_op_told(sbx_op *op)
{
#ifndef SBX_NO_TEMPLATE
    static const char *const own[] = { "host", "content-length", "transfer-encoding",
        "connection" };
    const sbx_pairs *h = &op->args.of.build.upload->headers;
    sbxi_buf *b = &op->out.text;
    size_t i, k;
    for (i = 0; i < h->count; i++) {
        sbxi_span name = sbxi_span_of(h->items[i].key);
        for (k = 0; k < SBXI_LEN(own) && !sbxi_span_is_nocase(name, own[k]); k++) {}
        if (k < SBXI_LEN(own)) continue;
        sbxi_header_line(b, h->items[i].key, h->items[i].value);
        if (sbxi_is_token(name) && b->status != SBX_E_ARG) continue;
        b->status = sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("the service wants a header sent with files that is none"));
    }
#else
    (void)op;
#endif
}

static void sbxi_op_head(sbx_op *op, const sbxi_url *url)
{
    sbxi_buf *b = &op->out.text;
    const sbx_client *c = op->client;
    const sbxi_invoke_args *own = sbxi_op_invoked(op);
    const sbxi_proxy *proxy = url->tls ? NULL : sbxi_link_proxy(&c->link, url);
    sbxi_op_request_line(op, url, proxy);
    sbxi_buf_text(b, "\r\nUser-Agent: sandbox.h/" SBX_VERSION);
    if (c->config.user_agent) sbxi_buf_texts(b, " ", c->config.user_agent, NULL);
    sbxi_buf_texts(b, "\r\nAccept: */*\r\nAccept-Encoding: ",
                   sbxi_op_unzips(op) ? "gzip" : "identity", "\r\n");
#ifndef SBX_NO_PROXY
    if (proxy) sbxi_proxy_auth(b, proxy);
#endif
    if (own && own->bearer) sbxi_header_line(b, "Authorization", own->bearer);
    else if (sbxi_op_uploads(op)) sbxi_op_told(op);
    else c->provider->headers(op);
    if (op->route->host == SBXI_HOST_CONTROL && !sbxi_op_uploads(op))
        sbxi_buf_add(b, c->extra.data, c->extra.len);
    if (b->status == SBX_E_ARG)
        sbxi_op_fail(op, SBX_E_ARG, SBXI_TEXT("a header value holds a control character"));
}

/* ---- body ----------------------------------------------------------------- */

/* 16 random bytes as hex digits, NUL-terminated; with dashes they are a UUID,
   the digits being those of version 4 anyway. */
static int sbxi_random_hex(sbx_op *op, char *out, bool dashes)
{
    const sbx_net *n = &op->client->link.net;
    unsigned char raw[16];
    unsigned i;
    if (!n->entropy || n->entropy(n->ctx, raw, sizeof raw) != SBX_OK) return SBX_E_ENTROPY;
    raw[6] = (unsigned char)((raw[6] & 0x0F) | 0x40);
    raw[8] = (unsigned char)((raw[8] & 0x3F) | 0x80);
    for (i = 0; i < 16; i++) {
        if (dashes && i >= 4 && i <= 10 && i % 2 == 0) *out++ = '-';
        out = sbxi_print_hex(out, &raw[i], 1);
    }
    *out = 0;
    return SBX_OK;
}

static void sbxi_op_json(sbx_op *op)
{
    sbxi_buf *b = &op->out.text;
    bool frame = op->route->send == SBXI_SEND_ENVELOPE;
    size_t start = b->len;
    sbx_json_writer w;
    sbx_sink sink;
    if (frame) sbxi_buf_add(b, "\0\0\0\0\0", 5);
    sink.put = sbxi_buf_put;
    sink.ctx = b;
    sbx_json_writer_init(&w, sink);
    if (op->route->fields)
        sbxi_bind_write(&w, op->route->fields, &op->args);
    else if (sbxi_op_invoked(op))
        sbxi_buf_add(b, op->args.of.invoke.body.data, op->args.of.invoke.body.len);
    else
        sbxi_buf_text(b, "{}");
    if (w.status == SBX_E_ARG)
        b->status = sbxi_op_fail(op, SBX_E_ARG, SBXI_TEXT("a text is not valid UTF-8"));
    if (b->status == SBX_OK && frame)
        sbxi_connect_head((unsigned char *)b->data + start, 0, (uint32_t)(b->len - start - 5));
}

static void sbxi_op_drop_parts(sbx_op *op)
{
    sbxi_alloc_free(&op->client->link.alloc, op->out.parts,
                    op->out.part_count * sizeof *op->out.parts);
    op->out.parts = NULL;
    op->out.part_count = 0;
}

/* *out: the source as it is sent, if it goes out packed. */
static void sbxi_op_pack(sbx_op *op, const sbx_source *from, sbx_source *out)
{
#ifdef SBX_NO_GZIP
    (void)op;
    (void)from;
    (void)out;
#else
    if (sbxi_op_zips(op) && !sbxi_deflate_init(&op->args.of.files.as.zip, from, out))
        op->out.text.status = sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("the source is too large to pack"));
#endif
}

/* Where a body comes from that is one stream. */
static const sbx_source *sbxi_op_stream(const sbx_op *op)
{
#ifndef SBX_NO_TEMPLATE
    if (sbxi_op_uploads(op)) return &op->args.of.build.body;
#endif
    return &op->args.of.process.body;
}

/* The sources of the body, and with a boundary the text around each. */
static int sbxi_op_parts(sbx_op *op, const char *boundary)
{
    const sbxi_files_args *a = &op->args.of.files;
    sbxi_buf *b = &op->out.text;
    size_t n = boundary ? a->count : 1, i;
    sbxi_part *parts = NULL;
    if (n <= SIZE_MAX / sizeof *parts)
        parts = (sbxi_part *)sbxi_alloc_get(&op->client->link.alloc, n * sizeof *parts);
    if (!parts) return SBX_E_NOMEM;
    op->out.parts = parts;
    op->out.part_count = n;
    if (op->route->send >= SBXI_SEND_INPUT) {
        parts->source = *sbxi_op_stream(op);
        parts->text_end = b->len;
        return b->status;
    }
    for (i = 0; i < n; i++) {
        const sbx_file_write *f = &a->files[a->at + i];
        parts[i].source = f->from;
        sbxi_op_pack(op, &f->from, &parts[i].source);
        if (boundary && f->from.size < 0)
            return sbxi_op_fail(op, SBX_E_ARG,
                SBXI_TEXT("this host needs the size of every source"));
        if (n > 1 && !sbxi_multipart_says(f->path))
            return sbxi_op_fail(op, SBX_E_ARG,
                SBXI_TEXT("a quote or control character in a path: write that file alone"));
        if (boundary) sbxi_multipart_part(b, boundary, i == 0, "file", f->path);
        parts[i].text_end = b->len;
    }
    if (boundary) sbxi_multipart_end(b, boundary);
    return b->status;
}

/* The body is known: its length replaces the zeros, what is behind them moves up. */
static void sbxi_op_length(sbx_op *op, size_t body)
{
    sbxi_buf *b = &op->out.text;
    char *digits = b->data + body - 4 - SBXI_DECIMAL_MAX;
    uint64_t length = b->len - body;
    size_t i, cut = SBXI_DECIMAL_MAX;
    for (i = 0; i < op->out.part_count; i++) length += (uint64_t)op->out.parts[i].source.size;
    cut -= sbxi_print_u64(digits, length);
    memmove(digits + SBXI_DECIMAL_MAX - cut, digits + SBXI_DECIMAL_MAX, b->len - body + 4);
    b->len -= cut;
    for (i = 0; i < op->out.part_count; i++) op->out.parts[i].text_end -= cut;
}

/* The type of a multipart body, which ends with its boundary, that goes to out. */
static int sbxi_op_boundary(sbx_op *op, const char **type, const char **out)
{
    char *text = op->line; /* free until the reply comes */
    size_t len = strlen(*type);
    memcpy(text, *type, len);
    *type = text;
    *out = text + len;
    return sbxi_random_hex(op, text + len, false);
}

/* How the end of the body is told: none, by chunks, by its length. */
static unsigned sbxi_op_framing(sbx_op *op, bool typed)
{
    const sbxi_files_args *a = &op->args.of.files;
    uint8_t send = op->route->send;
    op->out.chunked = send == SBXI_SEND_INPUT
        || (send == SBXI_SEND_RAW && a->files[a->at].from.size < 0);
    if (!typed && op->route->method != SBXI_POST && !sbxi_op_uploads(op)) return 0;
    return op->out.chunked ? 1 : 2;
}

/* Ends the head and adds the body. Files whose size is not known go in chunks;
   in a multipart body, which has further text behind them, they are refused. */
static int sbxi_op_body(sbx_op *op)
{
    static const char *const types[] = { NULL, "application/json", "application/connect+json",
        "application/octet-stream", "multipart/form-data; boundary=", "application/connect+json",
        NULL };
    static const char *const ends[] = { "\r\n", "Transfer-Encoding: chunked\r\n\r\n",
        "Content-Length: 00000000000000000000\r\n\r\n" };
    sbxi_buf *b = &op->out.text;
    uint8_t send = op->route->send;
    const char *type = types[send], *boundary = NULL;
    size_t body;
    unsigned end;
    int rc = SBX_OK;
    if (send == SBXI_SEND_MULTIPART) rc = sbxi_op_boundary(op, &type, &boundary);
    if (rc != SBX_OK) return rc;
    if (sbxi_op_invoked(op)) type = op->args.of.invoke.type;
    sbxi_header_line(b, "Content-Type", type);
    end = sbxi_op_framing(op, type != NULL);
    sbxi_buf_text(b, ends[end]);
    body = b->len;
    if (send >= SBXI_SEND_RAW) rc = sbxi_op_parts(op, boundary);
    else if (type) sbxi_op_json(op);
    if (rc != SBX_OK || b->status != SBX_OK) return rc != SBX_OK ? rc : b->status;
    if (end == 2) sbxi_op_length(op, body);
    return SBX_OK;
}

/* Sources start over for a repeated request. False: one cannot. */
static bool sbxi_op_rewind(sbx_op *op)
{
    size_t i;
    for (i = 0; i < op->out.part_count; i++) {
        const sbx_source *s = &op->out.parts[i].source;
        if (!s->rewind || s->rewind(s->ctx) != SBX_OK) return false;
    }
    return true;
}

/* Builds the whole request. `url` points into op->url afterwards. */
static int sbxi_op_build(sbx_op *op, sbxi_url *url)
{
    sbxi_buf *b = &op->out.text;
    int rc = sbxi_op_url(op, url);
    if (rc != SBX_OK) return rc;
    sbxi_op_drop_parts(op);
    sbxi_buf_clear(b);
    sbxi_buf_reserve(b, SBX_LIMIT_(1000, 480)); /* most fit: no growing in steps */
    sbxi_op_head(op, url);
    rc = sbxi_op_body(op);
    if (rc == SBX_E_TOO_LARGE) sbxi_op_fail(op, rc,
        SBXI_TEXT("the request is larger than SBX_MAX_REQUEST"));
    return rc;
}
