/* api/invoke - any other route of the provider, by name: puts the members of a JSON
   object where the route's path says. Called by the user; what only it refers to is
   dropped by a linker when it is not called.

   The arguments are read as a whole first, so that what walks through them later
   can rely on JSON: no bounds but the text's own, no errors of form. */

/* A member of the arguments: as it stands there, the key without its quotes. */
typedef struct sbxi_member { sbxi_span key, value; } sbxi_member;

typedef struct sbxi_invoking {
    sbxi_call call;
    sbxi_invoke_row row;
    const char *args;               /* behind its brace */
    sbxi_buf text;                  /* path, query, bearer, body, a NUL behind each */
    char message[80];
    int how;                        /* of the value that is being read */
    sbx_base64 base64;
} sbxi_invoking;

/* How a value is written: percent-encoded (SBXI_PERCENT_*), as it is, and as content
   that may be anything or is given in base64. */
enum { SBXI_VALUE_TEXT = 8, SBXI_VALUE_CONTENT, SBXI_VALUE_BASE64 };

/* The rows of the client's provider. By its name: so no provider is linked for it. */
static const char *sbxi_invoke_rows(const sbx_client *client)
{
    const char *name = client->provider->name;
#define SBXI_ROW(id) if (strcmp(name, #id) == 0) return sbxi_##id##_invoke;
    SBX_PROVIDERS(SBXI_ROW)
#undef SBXI_ROW
    (void)name;
    return "";
}

/* The row at *at, which moves behind it. False: there is none. */
static bool sbxi_invoke_next(const char **at, sbxi_invoke_row *row)
{
    const char *p = *at;
    if (!*p) return false;
    row->method = (uint8_t)(p[0] - '0');
    row->host = (uint8_t)(p[1] - '0');
    row->retry = (uint8_t)(p[2] - '0');
    row->body = (uint8_t)(p[3] - '0');
    row->name = p + 4;
    row->path = row->name + strlen(row->name) + 1;
    *at = row->path + strlen(row->path) + 1;
    return true;
}

/* ---- the arguments -------------------------------------------------------- */

static const char *sbxi_past_space(const char *p)
{
    return p + strspn(p, " \t\r\n,:");
}

/* Behind the value that begins at p. */
static const char *sbxi_past_value(const char *p)
{
    size_t depth = 0;
    do {
        char c = *p++;
        if (c == '"') {
            for (; *p != '"'; p++) p += *p == '\\';
            p++;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (!depth) {
            p += strcspn(p, ",]} \t\r\n");
        }
    } while (depth);
    return p;
}

/* The member at *at, which moves behind it. False: there is none. */
static bool sbxi_member_next(const char **at, sbxi_member *m)
{
    const char *p = sbxi_past_space(*at), *end;
    if (*p != '"') return false;
    end = sbxi_past_value(p);
    m->key.ptr = p + 1;
    m->key.len = (size_t)(end - p) - 2;
    m->value.ptr = sbxi_past_space(end);
    *at = sbxi_past_value(m->value.ptr);
    m->value.len = (size_t)(*at - m->value.ptr);
    return true;
}

/* The member of that name, unless it is null. */
static bool sbxi_member_find(const sbxi_invoking *v, sbxi_span name, sbxi_member *m)
{
    const char *at = v->args;
    while (sbxi_member_next(&at, m))
        if (m->key.len == name.len && memcmp(m->key.ptr, name.ptr, name.len) == 0)
            return m->value.ptr[0] != 'n';
    return false;
}

/* ---- what becomes of them ------------------------------------------------- */

static const char sbxi_missing[] = "argument is missing or empty: ";

/* Fails with what is wrong and the name it is about. */
static int sbxi_invoke_fail(sbxi_invoking *v, const char *what, sbxi_span name)
{
    size_t n = strlen(what);
    if (v->call.status) return v->call.status;
    sbxi_put_text(v->message, sizeof v->message, what, n);
    sbxi_put_text(v->message + n, sizeof v->message - n, name.ptr, name.len);
    v->call.message = v->message;
    return v->call.status = SBX_E_ARG;
}

/* A piece of content in base64. */
static int sbxi_value_decode(sbxi_invoking *v, sbxi_span s)
{
    sbxi_buf *b = &v->text;
    size_t n;
    int rc = sbxi_buf_reserve(b, s.len / 4 * 3 + 3);
    if (rc == SBX_OK) rc = sbx_base64_decode(&v->base64, s.ptr, s.len, b->data + b->len, &n);
    if (rc == SBX_OK) b->len += n;
    return rc;
}

static int sbxi_value_event(void *ctx, const sbx_json_event *ev)
{
    sbxi_invoking *v = (sbxi_invoking *)ctx;
    sbxi_buf *b = &v->text;
    sbxi_span s = { ev->text, ev->len };
    if (ev->type < SBX_JSON_STRING || (ev->flags & SBX_JSON_CUT)) return SBX_E_ARG;
    if (ev->type >= SBX_JSON_TRUE) s = sbxi_span_of(ev->type == SBX_JSON_TRUE ? "true" : "false");
    if (v->how <= SBXI_VALUE_TEXT && s.len && memchr(s.ptr, 0, s.len)) return SBX_E_ARG;
    if (v->how < SBXI_VALUE_TEXT) return sbxi_percent(b, s, (unsigned)v->how);
    if (v->how < SBXI_VALUE_BASE64) return sbxi_buf_add(b, s.ptr, s.len);
    return ev->type == SBX_JSON_STRING ? sbxi_value_decode(v, s) : SBX_E_ARG;
}

/* Writes a member's value. */
static void sbxi_invoke_value(sbxi_invoking *v, const sbxi_member *m, int how)
{
    sbx_json_reader r;
    int rc;
    v->how = how;
    sbx_json_init(&r, sbxi_value_event, v);
    rc = sbx_json_feed(&r, m->value.ptr, m->value.len, NULL);
    if (rc == SBX_OK) rc = sbx_json_end(&r);
    if (rc == SBX_OK && how == SBXI_VALUE_BASE64) rc = sbx_base64_end(&v->base64);
    if (rc != SBX_OK && !v->text.status)
        sbxi_invoke_fail(v, "cannot stand there: ", m->key);
}

/* Whether {name} stands in that part of the path. */
static bool sbxi_is_placed(const char *from, const char *to, sbxi_span name)
{
    for (; (from = (const char *)memchr(from, '{', (size_t)(to - from))) != NULL; from++)
        if ((size_t)(to - from) > name.len + 1 && from[name.len + 1] == '}'
            && memcmp(from + 1, name.ptr, name.len) == 0) return true;
    return false;
}

/* The path with its arguments, up to `end`. */
static void sbxi_invoke_path(sbxi_invoking *v, const char *end)
{
    const sbx_sandbox *s = v->call.sandbox;
    const char *p = v->row.path;
    while (p < end) {
        sbxi_span name;
        sbxi_member m;
        size_t before;
        const char *brace = (const char *)memchr(p, '{', (size_t)(end - p));
        sbxi_buf_add(&v->text, p, (size_t)((brace ? brace : end) - p));
        if (!brace) break;
        name.ptr = brace + 1;
        name.len = strcspn(brace, "}") - 1;
        p = name.ptr + name.len + 1;
        before = v->text.len;
        if (s && sbxi_span_is(name, "sandboxID"))
            sbxi_percent(&v->text, sbxi_span_of(s->id), SBXI_PERCENT_SEGMENT);
        else if (sbxi_member_find(v, name, &m))
            sbxi_invoke_value(v, &m, SBXI_PERCENT_SEGMENT);
        if (v->text.len == before && !v->text.status)
            sbxi_invoke_fail(v, sbxi_missing, name);
    }
}

/* All members that are for the query, and whatever is for nowhere is refused. */
static void sbxi_invoke_query(sbxi_invoking *v, const char *query, const char *end)
{
    const sbxi_invoke_row *row = &v->row;
    const char *at = v->args;
    size_t start = v->text.len;
    sbxi_member m;
    while (sbxi_member_next(&at, &m)) {
        if (sbxi_is_placed(query, end, m.key)) {
            if (m.value.ptr[0] == 'n') continue;
            if (v->text.len > start) sbxi_buf_add(&v->text, "&", 1);
            sbxi_percent(&v->text, m.key, SBXI_PERCENT_FORM);
            sbxi_buf_add(&v->text, "=", 1);
            sbxi_invoke_value(v, &m, SBXI_PERCENT_FORM);
        } else if (!sbxi_is_placed(row->path, row->path + strlen(row->path), m.key)
                   && row->body != SBXI_BODY_JSON
                   && !(row->host != SBXI_HOST_CONTROL && sbxi_span_is(m.key, "sandboxID"))
                   && !(row->body == SBXI_BODY_CONTENT && (sbxi_span_is(m.key, "content")
                        || sbxi_span_is(m.key, "contentBase64")))) {
            sbxi_invoke_fail(v, "unknown argument: ", m.key);
        }
    }
}

/* What is left as an object, or the content. */
static void sbxi_invoke_body(sbxi_invoking *v)
{
    static const char *const names[] = { "content", "contentBase64" };
    const sbxi_invoke_row *row = &v->row;
    const char *at = v->args, *mark = "{";
    sbxi_member m;
    int i;
    for (i = 0; i < 2 && row->body == SBXI_BODY_CONTENT; i++)
        if (sbxi_member_find(v, sbxi_span_of(names[i]), &m))
            sbxi_invoke_value(v, &m, SBXI_VALUE_CONTENT + i);
    if (row->body != SBXI_BODY_JSON) return;
    while (sbxi_member_next(&at, &m)) {
        if (sbxi_is_placed(row->path, row->path + strlen(row->path), m.key)
            || (row->host != SBXI_HOST_CONTROL && sbxi_span_is(m.key, "sandboxID"))) continue;
        sbxi_buf_text(&v->text, mark);
        sbxi_buf_add(&v->text, m.key.ptr - 1, (size_t)(m.value.ptr + m.value.len - m.key.ptr) + 1);
        mark = ",";
    }
    sbxi_buf_text(&v->text, *mark == '{' ? "{}" : "}");
}

/* Puts all texts of the request together. */
static void sbxi_invoke_build(sbxi_invoking *v)
{
    static const char *const types[] = { NULL, "application/json", "application/octet-stream",
        NULL };
    sbxi_invoke_args *a = &v->call.args.of.invoke;
    const sbxi_invoke_row *row = &v->row;
    const char *end = row->path + strlen(row->path), *token = strchr(row->path, '#');
    const char *query = strchr(row->path, '?');
    size_t at[3];
    sbxi_member m;
    if (!token) token = end;
    if (!query) query = token;
    sbxi_invoke_path(v, query);
    sbxi_buf_add(&v->text, "", 1);
    at[0] = v->text.len;
    sbxi_invoke_query(v, query, token);
    sbxi_buf_add(&v->text, "", 1);
    at[1] = v->text.len;
    if (token < end) {
        sbxi_buf_text(&v->text, "Bearer ");
        if (sbxi_member_find(v, sbxi_span_of("token"), &m))
            sbxi_invoke_value(v, &m, SBXI_VALUE_TEXT);
        else
            sbxi_invoke_fail(v, sbxi_missing, sbxi_span_of("token"));
    }
    sbxi_buf_add(&v->text, "", 1);
    at[2] = v->text.len;
    sbxi_invoke_body(v);
    if (v->text.status == SBX_E_TOO_LARGE)
        v->call.message = SBXI_TEXT("the request is larger than SBX_MAX_REQUEST");
    if (v->text.status != SBX_OK) v->call.status = v->text.status;
    if (v->call.status) return;
    a->route = *sbxi_route_of(v->call.client->provider, SBX_FEATURE_INVOKE);
    a->route.path = v->text.data;
    a->route.method = row->method;
    a->route.host = row->host;
    a->route.retry = row->retry;
    a->type = types[row->body];
    if (a->type) a->route.send = SBXI_SEND_JSON;
    a->query = v->text.data + at[0];
    if (token < end) a->bearer = v->text.data + at[1];
    a->body.data = v->text.data + at[2];
    a->body.len = v->text.len - at[2];
}

/* ---- the calls ------------------------------------------------------------ */

/* The route by its name, and that the arguments are one object. */
static void sbxi_invoke_choose(sbxi_invoking *v, const char *route, const char *json)
{
    const char *at = sbxi_invoke_rows(v->call.client);
    bool found = false;
    while (route && !found && sbxi_invoke_next(&at, &v->row))
        found = strcmp(v->row.name, route) == 0;
    if (!found) {
        v->call.status = SBX_E_UNSUPPORTED;
        v->call.message = SBXI_TEXT("no such route: sbx_invoke_route() lists their names");
        return;
    }
    if (!json) json = "{}";
    sbxi_need(&v->call, sbxi_json_ok(json) && *sbxi_past_space(json) == '{',
        SBXI_TEXT("json_args is not one JSON object"));
    v->args = sbxi_past_space(json) + 1;
}

/* A handle for the sandbox that the arguments name. */
static void sbxi_invoke_attach(sbxi_invoking *v)
{
    sbxi_span name = sbxi_span_of("sandboxID");
    sbxi_member m;
    size_t start = v->text.len;
    if (sbxi_member_find(v, name, &m)) sbxi_invoke_value(v, &m, SBXI_VALUE_TEXT);
    if (v->text.len == start && !v->text.status)
        sbxi_invoke_fail(v, sbxi_missing, name);
    sbxi_buf_add(&v->text, "", 1);
    if (!v->call.status) v->call.status = v->text.status;
    if (!v->call.status)
        v->call.status = sbx_sandbox_attach(v->call.client, v->text.data + start, NULL,
                                            &v->call.sandbox);
    sbxi_buf_clear(&v->text);
}

/* Puts the operation of the call together, which then has what it needs: this leaves
   the stack before that runs. */
static SBXI_APART int sbxi_invoke_new(sbx_client *client, sbx_sandbox *sandbox,
    const char *route, const char *json, sbx_sink to, const sbx_call *call, sbx_op **op)
{
    sbxi_invoking v;
    sbxi_call *k = &v.call;
    sbx_sandbox *own = NULL;
    int rc;
    memset(&v, 0, sizeof v);
    sbxi_call_on(k, client, SBX_FEATURE_INVOKE, call);
    k->sandbox = sandbox;
    sbxi_buf_init(&v.text, &client->link.alloc, SBX_MAX_REQUEST);
    sbxi_invoke_choose(&v, route, json);
    if (!k->status && v.row.host != SBXI_HOST_CONTROL && !sandbox) {
        sbxi_invoke_attach(&v);
        own = k->sandbox;
    }
    if (!k->status) sbxi_invoke_build(&v);
    k->args.of.invoke.sink = to;
    k->total_ms = v.row.body == SBXI_BODY_FILE ? SBX_NEVER : client->link.clocks.total_ms;
    rc = sbxi_check(k);
    *op = rc == SBX_OK ? sbxi_op_new(k) : NULL;
    if (*op) (*op)->captured[0].buf = v.text;
    else sbxi_buf_free(&v.text);
    if (rc == SBX_OK && !*op) rc = sbxi_call_fail(client, call, SBX_E_NOMEM, NULL);
    sbx_sandbox_release(own);
    return rc;
}

SBX_API int sbx_invoke(sbx_client *client, const char *route, const char *json_args,
    sbx_sink to, const sbx_call *call)
{
    sbx_op *op;
    int rc = client ? sbxi_invoke_new(client, NULL, route, json_args, to, call, &op) : SBX_E_ARG;
    return rc == SBX_OK ? sbxi_go(op) : rc;
}

SBX_API int sbx_sandbox_invoke(sbx_sandbox *sandbox, const char *route,
    const char *json_args, sbx_sink to, const sbx_call *call)
{
    sbx_op *op;
    int rc = !sandbox ? SBX_E_ARG
        : sbxi_invoke_new(sandbox->client, sandbox, route, json_args, to, call, &op);
    return rc == SBX_OK ? sbxi_go(op) : rc;
}

SBX_API int sbx_invoke_route(const sbx_client *client, size_t i, sbx_route *out)
{
    sbxi_invoke_row row;
    const char *at;
    if (!client || !out) return SBX_E_ARG;
    memset(out, 0, sizeof *out);
    at = sbxi_invoke_rows(client);
    do if (!sbxi_invoke_next(&at, &row)) return SBX_E_NOT_FOUND;
    while (i--);
    out->name = row.name;
    out->method = sbxi_methods[row.method];
    out->path = row.path;
    out->in_sandbox = row.host != SBXI_HOST_CONTROL;
    out->body = row.body == SBXI_BODY_JSON;
    out->content = row.body == SBXI_BODY_CONTENT;
    return SBX_OK;
}
