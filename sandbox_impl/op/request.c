/* request - builds the bytes of a request from a route and the operation's
   arguments: base URL, head, query, body. Everything lands in op->out.text, so
   that a retry sends the same again. Called by op.c before an exchange. */

/* ---- URL ------------------------------------------------------------------ */

/* Expands {id} {port} {domain} of a base URL template. Names in braces that are
   none of these are an error: a typo must not become a host name. */
static int sbxi_expand(sbxi_buf *out, const char *t, const char *id, const char *port,
                       const char *domain)
{
    const char *const names[] = { "id", "port", "domain" };
    const char *const values[] = { id, port, domain };
    while (*t) {
        const char *open = strchr(t, '{'), *end = open ? strchr(open, '}') : NULL;
        size_t i = 0;
        if (!end) return sbxi_buf_text(out, t);
        sbxi_buf_add(out, t, (size_t)(open - t));
        for (; i < SBXI_LEN(names); i++) {
            sbxi_span name = { open + 1, (size_t)(end - open - 1) };
            if (sbxi_span_is(name, names[i])) break;
        }
        if (i == SBXI_LEN(names) || !values[i]) return out->status = SBX_E_ARG;
        sbxi_buf_text(out, values[i]);
        t = end + 1;
    }
    return out->status;
}

/* The base URL of a route into op->url, and its parts. */
static int sbxi_op_url(sbx_op *op, const sbxi_route *route, sbxi_url *url)
{
    const sbx_sandbox *s = op->sandbox;
    const char *domain = s && s->access.domain ? s->access.domain : sbxi_op_domain(op);
    const char *t = op->client->provider->base(op, route->host);
    sbxi_span text;
    int rc;
    sbxi_buf_clear(&op->url);
    rc = sbxi_expand(&op->url, t, s ? s->id : NULL, op->client->provider->port,
                     route->host == SBXI_HOST_SANDBOX ? domain : sbxi_op_domain(op));
    text.ptr = op->url.data;
    text.len = op->url.len;
    if (rc == SBX_OK && !sbxi_url_split(text, url)) rc = SBX_E_ARG;
    if (rc == SBX_E_ARG)
        sbxi_op_fail(op, rc,
            SBXI_TEXT("the base URL is not http(s)://host[:port][/path]; it may hold "
                             "{id} {port} {domain}"));
    return rc;
}

/* ---- head ----------------------------------------------------------------- */

static int sbxi_op_header(sbx_op *op, const char *name, const char *value)
{
    int rc = sbxi_header_line(&op->out.text, name, value);
    if (rc == SBX_E_ARG) sbxi_op_fail(op, rc,
        SBXI_TEXT("a header value holds a control character"));
    return rc;
}

/* A STRING or INT member of a table row: its text, or a number above 0, or
   nothing. Digits are written to `digits`. */
static const char *sbxi_op_member(const sbxi_field *f, const void *base,
                                  char digits[SBXI_DECIMAL_MAX + 1])
{
    const char *text = NULL;
    int32_t number = 0;
    if (f->type == SBXI_T_STRING) {
        memcpy(&text, (const char *)base + f->offset, sizeof text);
    } else {
        memcpy(&number, (const char *)base + f->offset, sizeof number);
        digits[sbxi_print_u64(digits, number > 0 ? (uint64_t)number : 0)] = 0;
        text = number > 0 ? digits : NULL;
    }
    return text;
}

/* One query parameter per member that is set, in table order. */
static void sbxi_op_query(sbx_op *op, const sbxi_shape *shape)
{
    sbxi_buf *b = &op->out.text;
    const char *mark = "?";
    uint16_t i;
    for (i = 0; shape && i < shape->count; i++) {
        char digits[SBXI_DECIMAL_MAX + 1];
        const char *text = sbxi_op_member(&shape->fields[i], &op->args, digits);
        if (!text) continue;
        sbxi_buf_text(b, mark);
        sbxi_buf_text(b, shape->fields[i].name);
        sbxi_buf_text(b, "=");
        sbxi_percent(b, sbxi_span_of(text), SBXI_PERCENT_FORM);
        mark = "&";
    }
}

/* "Authorization: Basic" for a user without password. */
static int sbxi_op_user(sbx_op *op, const char *user)
{
    sbxi_buf *b = &op->out.text;
    size_t len = strlen(user);
    char *plain;
    if (len > 255 || strchr(user, ':'))
        return sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("user is longer than 255 bytes or holds a colon"));
    sbxi_buf_text(b, "Authorization: Basic ");
    if (sbxi_buf_reserve(b, SBX_BASE64_LEN(len + 1) + len + 1) != SBX_OK) return b->status;
    plain = b->data + b->len + SBX_BASE64_LEN(len + 1);
    memcpy(plain, user, len);
    plain[len] = ':';
    b->len += sbx_base64_encode(b->data + b->len, plain, len + 1);
    return sbxi_buf_text(b, "\r\n");
}

/* The provider's headers, by its table. */
static int sbxi_op_heads(sbx_op *op, const sbxi_route *route)
{
    const sbxi_field *row = op->client->provider->heads;
    sbxi_heads h;
    memset(&h, 0, sizeof h);
    op->client->provider->headers(op, route, &h);
    for (; row->name; row++) {
        char digits[SBXI_DECIMAL_MAX + 1];
        const char *text = sbxi_op_member(row, &h, digits);
        int rc = text ? sbxi_op_header(op, row->name, text) : SBX_OK;
        if (rc != SBX_OK) return rc;
    }
    if (route->host == SBXI_HOST_CONTROL)
        sbxi_buf_add(&op->out.text, op->client->extra.data, op->client->extra.len);
    return h.user ? sbxi_op_user(op, h.user) : SBX_OK;
}

/* The path pattern with {id} as an encoded segment. */
static void sbxi_op_path(sbx_op *op, const char *pattern)
{
    const char *id = strstr(pattern, "{id}");
    if (!id) {
        sbxi_buf_text(&op->out.text, pattern);
        return;
    }
    sbxi_buf_add(&op->out.text, pattern, (size_t)(id - pattern));
    sbxi_percent(&op->out.text, sbxi_span_of(op->sandbox->id), SBXI_PERCENT_SEGMENT);
    sbxi_buf_text(&op->out.text, id + 4);
}

static void sbxi_op_host(sbx_op *op, const sbxi_url *url)
{
    sbxi_buf *b = &op->out.text;
    bool v6 = memchr(url->host.ptr, ':', url->host.len) != NULL;
    sbxi_buf_text(b, v6 ? "Host: [" : "Host: ");
    sbxi_buf_add(b, url->host.ptr, url->host.len);
    if (v6) sbxi_buf_text(b, "]");
    if (url->port != (url->tls ? 443 : 80)) {
        sbxi_buf_text(b, ":");
        sbxi_buf_u64(b, url->port);
    }
    sbxi_buf_text(b, "\r\nUser-Agent: sandbox.h/" SBX_VERSION);
    if (op->client->config.user_agent) {
        sbxi_buf_text(b, " ");
        sbxi_buf_text(b, op->client->config.user_agent);
    }
    sbxi_buf_text(b, "\r\nAccept: */*\r\nAccept-Encoding: identity\r\n");
}

static int sbxi_op_head(sbx_op *op, const sbxi_route *route, const sbxi_url *url)
{
    sbxi_buf *b = &op->out.text;
    sbxi_buf_text(b, route->method);
    sbxi_buf_text(b, " ");
    sbxi_buf_add(b, url->path.ptr, url->path.len);
    sbxi_op_path(op, route->path);
    sbxi_op_query(op, route->query);
    sbxi_buf_text(b, " HTTP/1.1\r\n");
    sbxi_op_host(op, url);
    return sbxi_op_heads(op, route);
}

/* ---- body ----------------------------------------------------------------- */

/* Inserts text at an earlier place of a buffer. */
static int sbxi_buf_insert(sbxi_buf *b, size_t at, const void *text, size_t n)
{
    int rc = sbxi_buf_reserve(b, n);
    if (rc != SBX_OK) return rc;
    memmove(b->data + at + n, b->data + at, b->len - at);
    memcpy(b->data + at, text, n);
    b->len += n;
    return SBX_OK;
}

/* Ends the head at `head`, the body following it: its length is known now. */
static int sbxi_op_length(sbx_op *op, size_t head, uint64_t extra)
{
    static const char name[] = "Content-Length: ", end[] = "\r\n\r\n";
    char line[sizeof name + SBXI_DECIMAL_MAX + sizeof end];
    size_t n = sizeof name - 1;
    memcpy(line, name, n);
    n += sbxi_print_u64(line + n, op->out.text.len - head + extra);
    memcpy(line + n, end, sizeof end - 1);
    return sbxi_buf_insert(&op->out.text, head, line, n + sizeof end - 1);
}

static int sbxi_op_json(sbx_op *op, const sbxi_route *route)
{
    sbxi_buf *b = &op->out.text;
    bool frame = route->send == SBXI_SEND_ENVELOPE;
    sbx_json_writer w;
    sbx_sink sink;
    size_t head;
    sbxi_op_header(op, "Content-Type", frame ? "application/connect+json" : "application/json");
    head = b->len;
    if (frame) sbxi_buf_add(b, "\0\0\0\0\0", 5);
    sink.put = sbxi_buf_put;
    sink.ctx = b;
    sbx_json_writer_init(&w, sink);
    if (route->body)
        sbxi_bind_write(&w, route->body, &op->args);
    else
        sbxi_buf_text(b, "{}");
    if (w.status != SBX_OK) {
        if (w.status == SBX_E_ARG) sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("a text is not valid UTF-8"));
        return w.status;
    }
    if (b->status == SBX_OK && frame)
        sbxi_connect_head((unsigned char *)b->data + head, 0, (uint32_t)(b->len - head - 5));
    return sbxi_op_length(op, head, 0);
}

/* One file as the whole body; of unknown size: in chunks. */
static int sbxi_op_raw(sbx_op *op)
{
    const sbx_source *s = &op->args.of.files.files[op->args.of.files.at].from;
    int rc;
    sbxi_op_header(op, "Content-Type", "application/octet-stream");
    op->out.chunked = s->size < 0;
    if (op->out.chunked) {
        sbxi_op_header(op, "Transfer-Encoding", "chunked");
        rc = sbxi_buf_text(&op->out.text, "\r\n");
    } else {
        rc = sbxi_op_length(op, op->out.text.len, (uint64_t)s->size);
    }
    op->part.text_end = op->out.text.len;
    op->part.source = *s;
    op->out.parts = &op->part;
    op->out.part_count = 1;
    return rc;
}

static int sbxi_hex_boundary(sbx_op *op, char out[33])
{
    unsigned char raw[16];
    size_t i;
    int rc = SBX_E_ENTROPY;
    const sbx_net *n = &op->client->link.net;
    if (n->entropy) rc = n->entropy(n->ctx, raw, sizeof raw);
    if (rc != SBX_OK) return sbxi_op_fail(op, SBX_E_ENTROPY, NULL);
    for (i = 0; i < 16; i++) {
        out[2 * i] = "0123456789abcdef"[raw[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[raw[i] & 15];
    }
    out[32] = 0;
    return SBX_OK;
}

static int sbxi_op_parts(sbx_op *op, size_t count)
{
    sbxi_part *parts = &op->part;
    if (count > 1) {
        if (count > SIZE_MAX / sizeof *parts) return SBX_E_NOMEM;
        parts = (sbxi_part *)sbxi_alloc_get(&op->client->link.alloc, count * sizeof *parts);
        if (!parts) return SBX_E_NOMEM;
    }
    op->out.parts = parts;
    op->out.part_count = count;
    return SBX_OK;
}

static void sbxi_op_drop_parts(sbx_op *op)
{
    if (op->out.parts && op->out.parts != &op->part)
        sbxi_alloc_free(&op->client->link.alloc, op->out.parts,
                        op->out.part_count * sizeof *op->out.parts);
    op->out.parts = NULL;
    op->out.part_count = 0;
}

/* Every file is a part named "file". The text between the files is known, so
   the length is too; a file of unknown size makes the whole body chunked only
   if it is the last: not done, such a file goes as a raw body. */
static int sbxi_op_multipart(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    sbxi_buf *b = &op->out.text;
    char boundary[33], type[64] = "multipart/form-data; boundary=";
    size_t head, i, before = 0;
    uint64_t total = 0;
    int rc = sbxi_hex_boundary(op, boundary);
    if (rc == SBX_OK) rc = sbxi_op_parts(op, a->count);
    if (rc != SBX_OK) return rc;
    sbxi_add_text(type, sizeof type, boundary);
    sbxi_op_header(op, "Content-Type", type);
    head = b->len;
    for (i = 0; i < a->count; i++) {
        const sbx_file_write *f = &a->files[i];
        if (f->from.size < 0)
            return sbxi_op_fail(op, SBX_E_ARG,
                SBXI_TEXT("this host needs the size of every source"));
        sbxi_multipart_part(b, boundary, i == 0, "file", f->path);
        op->out.parts[i].text_end = b->len;
        op->out.parts[i].source = f->from;
        total += (uint64_t)f->from.size;
    }
    sbxi_multipart_end(b, boundary);
    before = b->len;
    rc = sbxi_op_length(op, head, total);
    for (i = 0; i < a->count; i++) op->out.parts[i].text_end += b->len - before;
    return rc;
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
static int sbxi_op_build(sbx_op *op, const sbxi_route *route, sbxi_url *url)
{
    sbxi_buf *b = &op->out.text;
    int rc = sbxi_op_url(op, route, url);
    if (rc != SBX_OK) return rc;
    sbxi_op_drop_parts(op);
    op->out.chunked = false;
    sbxi_buf_clear(b);
    sbxi_buf_reserve(b, SBX_LIMIT_(1000, 480)); /* most fit: no growing in steps */
    rc = sbxi_op_head(op, route, url);
    if (rc != SBX_OK) return rc;
    switch (route->send) {
    case SBXI_SEND_NOTHING:
        if (route->method[0] == 'P') rc = sbxi_op_length(op, b->len, 0);
        else rc = sbxi_buf_text(b, "\r\n");
        break;
    case SBXI_SEND_RAW: rc = sbxi_op_raw(op); break;
    case SBXI_SEND_MULTIPART: rc = sbxi_op_multipart(op); break;
    default: rc = sbxi_op_json(op, route);
    }
    if (rc == SBX_OK) rc = b->status;
    if (rc == SBX_E_TOO_LARGE) sbxi_op_fail(op, rc,
        SBXI_TEXT("the request is larger than SBX_MAX_REQUEST"));
    return rc;
}
