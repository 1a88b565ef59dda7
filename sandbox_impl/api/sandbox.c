/* api/sandbox - the sandbox functions: check the arguments, start the operation,
   hand out the result. Called by the user. */

static bool sbxi_pairs_ok(const sbx_pairs *p)
{
    size_t i;
    if (p->count && !p->items) return false;
    for (i = 0; i < p->count; i++)
        if (!p->items[i].key || !p->items[i].value) return false;
    return true;
}

/* An id becomes a path segment and a header. */
static bool sbxi_id_ok(const char *id)
{
    return id && id[0] && sbxi_is_field_value(sbxi_span_of(id));
}

static int sbxi_deliver_sandbox(sbx_op *op)
{
    *op->args.of.create.out = op->sandbox;
    op->sandbox = NULL;
    return SBX_OK;
}

SBX_API int sbx_sandbox_create(sbx_client *client, const sbx_sandbox_options *options,
                               sbx_sandbox **out, const sbx_call *call)
{
    sbxi_args args;
    memset(&args, 0, sizeof args);
    if (!client) return SBX_E_ARG;
    if (out) *out = NULL;
    if (!out) return sbxi_call_fail(client, call, SBX_E_ARG, SBXI_TEXT("out is NULL"));
    if (options) args.of.create.o = *options;
    if (!sbxi_pairs_ok(&args.of.create.o.metadata) || !sbxi_pairs_ok(&args.of.create.o.envs))
        return sbxi_call_fail(client, call, SBX_E_ARG,
            SBXI_TEXT("metadata or envs: a key or value is NULL"));
    if (args.of.create.o.timeout_s < 0)
        return sbxi_call_fail(client, call, SBX_E_ARG,
            SBXI_TEXT("timeout_s is negative: a sandbox always ends"));
    args.of.create.out = out;
    return sbxi_start(client, NULL, SBX_FEATURE_SANDBOX_CREATE, &args, sbxi_deliver_sandbox,
                      client->link.clocks.total_ms, call);
}

SBX_API int sbx_sandbox_attach(sbx_client *client, const char *id,
                               const sbx_sandbox_access *access, sbx_sandbox **out)
{
    static const sbxi_field fields[] = {
#define SBXI_ROW(member) \
        { NULL, NULL, (uint16_t)offsetof(sbxi_access, member), 0, SBXI_T_STRING, 0 }
        SBXI_ROW(access_token), SBXI_ROW(traffic_token), SBXI_ROW(domain),
        SBXI_ROW(data_url), SBXI_ROW(daemon_version)
#undef SBXI_ROW
    };
    static const sbxi_shape shape = SBXI_SHAPE(fields, sbxi_access);
    sbx_sandbox *s;
    sbxi_access a;
    if (!client) return SBX_E_ARG;
    if (out) *out = NULL;
    if (!out || !sbxi_id_ok(id))
        return sbxi_call_fail(client, NULL, SBX_E_ARG,
            SBXI_TEXT("out is NULL, or id is empty or not plain text"));
    s = sbxi_sandbox_new(client, id);
    if (!s) return sbxi_call_fail(client, NULL, SBX_E_NOMEM, NULL);
    if (access) {
        memset(&a, 0, sizeof a);
        a.access_token = access->access_token;
        a.traffic_token = access->traffic_token;
        a.domain = access->domain;
        a.data_url = access->data_url;
        a.daemon_version = access->daemon_version;
        s->block = sbxi_keep_result(&client->link.alloc, &shape, &a);
        if (!s->block) {
            sbxi_sandbox_unref(s);
            return sbxi_call_fail(client, NULL, SBX_E_NOMEM, NULL);
        }
        s->access = *(const sbxi_access *)s->block;
        s->known = access->daemon_version || access->access_token || access->data_url;
    }
    *out = s;
    return SBX_OK;
}

SBX_API int sbx_sandbox_get_access(const sbx_sandbox *sandbox, sbx_sandbox_access *out)
{
    if (!sandbox || !out) return SBX_E_ARG;
    out->access_token = sandbox->access.access_token;
    out->traffic_token = sandbox->access.traffic_token;
    out->domain = sandbox->access.domain;
    out->data_url = sandbox->access.data_url;
    out->daemon_version = sandbox->access.daemon_version;
    return SBX_OK;
}

/* The common start of calls on a sandbox under the total clock. */
static int sbxi_on_sandbox(sbx_sandbox *s, sbx_feature feature, const sbxi_args *args,
                           int (*deliver)(sbx_op *op), const sbx_call *call)
{
    return sbxi_start(s->client, s, feature, args, deliver, s->client->link.clocks.total_ms, call);
}

/* A yes or no: "no" is what a rule made of the reply. */
static int sbxi_deliver_answer(sbx_op *op)
{
    if (op->args.answer) *op->args.answer = !op->reply.no;
    return SBX_OK;
}

static int sbxi_ask_yes_no(sbx_sandbox *s, sbx_feature feature, bool *answer, const sbx_call *call)
{
    sbxi_args args;
    memset(&args, 0, sizeof args);
    if (answer) *answer = false;
    if (!s) return SBX_E_ARG;
    args.answer = answer;
    return sbxi_on_sandbox(s, feature, &args, sbxi_deliver_answer, call);
}

SBX_API int sbx_sandbox_connect(sbx_sandbox *sandbox, int32_t timeout_s, bool *resumed,
                                const sbx_call *call)
{
    sbxi_args args;
    memset(&args, 0, sizeof args);
    if (resumed) *resumed = false;
    if (!sandbox) return SBX_E_ARG;
    if (timeout_s < 0) return sbxi_call_fail(sandbox->client, call, SBX_E_ARG,
        SBXI_TEXT("timeout_s is negative"));
    args.of.time.timeout_s = timeout_s;
    args.of.time.resumed = resumed;
    return sbxi_on_sandbox(sandbox, SBX_FEATURE_SANDBOX_CONNECT, &args, NULL, call);
}

static int sbxi_deliver_info(sbx_op *op)
{
    if (!op->result) return sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the reply is empty"));
    *op->args.of.info = (sbx_sandbox_info *)op->result;
    op->result = NULL;
    return SBX_OK;
}

SBX_API int sbx_sandbox_get_info(sbx_sandbox *sandbox, sbx_sandbox_info **out, const sbx_call *call)
{
    sbxi_args args;
    memset(&args, 0, sizeof args);
    if (out) *out = NULL;
    if (!sandbox) return SBX_E_ARG;
    if (!out) return sbxi_call_fail(sandbox->client, call, SBX_E_ARG, SBXI_TEXT("out is NULL"));
    args.of.info = out;
    return sbxi_on_sandbox(sandbox, SBX_FEATURE_SANDBOX_GET_INFO, &args, sbxi_deliver_info, call);
}

SBX_API int sbx_sandbox_list(sbx_client *client, const sbx_sandbox_query *query, sbx_page *page,
                             sbx_sandbox_each each, void *ctx, const sbx_call *call)
{
    sbxi_args args;
    memset(&args, 0, sizeof args);
    if (!client) return SBX_E_ARG;
    if (query) args.of.list.q = *query;
    if (!each) return sbxi_call_fail(client, call, SBX_E_ARG, SBXI_TEXT("each is NULL"));
    if (!sbxi_pairs_ok(&args.of.list.q.metadata))
        return sbxi_call_fail(client, call, SBX_E_ARG,
            SBXI_TEXT("metadata: a key or value is NULL"));
    if (page && (page->ended_ || page->limit < 0))
        return sbxi_call_fail(client, call, SBX_E_ARG,
            SBXI_TEXT("the page is past the end, or its limit is negative: zero it to start over"));
    args.of.list.page = page;
    args.of.list.each = each;
    args.of.list.ctx = ctx;
    return sbxi_start(client, NULL, SBX_FEATURE_SANDBOX_LIST, &args, NULL,
                      client->link.clocks.total_ms, call);
}

SBX_API int sbx_sandbox_set_timeout(sbx_sandbox *sandbox, int32_t timeout_s, const sbx_call *call)
{
    sbxi_args args;
    memset(&args, 0, sizeof args);
    if (!sandbox) return SBX_E_ARG;
    if (timeout_s < 0) return sbxi_call_fail(sandbox->client, call, SBX_E_ARG,
        SBXI_TEXT("timeout_s is negative"));
    args.of.time.timeout_s = timeout_s;
    return sbxi_on_sandbox(sandbox, SBX_FEATURE_SANDBOX_SET_TIMEOUT, &args, NULL, call);
}

SBX_API int sbx_sandbox_kill(sbx_sandbox *sandbox, bool *existed, const sbx_call *call)
{
    return sbxi_ask_yes_no(sandbox, SBX_FEATURE_SANDBOX_KILL, existed, call);
}

SBX_API int sbx_sandbox_is_running(sbx_sandbox *sandbox, bool *running, const sbx_call *call)
{
    return sbxi_ask_yes_no(sandbox, SBX_FEATURE_SANDBOX_IS_RUNNING, running, call);
}

SBX_API int sbx_sandbox_host(const sbx_sandbox *sandbox, uint16_t port, char *out, size_t cap)
{
    sbxi_buf text;
    int rc;
    if (!sandbox || !out || cap == 0) return SBX_E_ARG;
    out[0] = 0;
    if (!sandbox->client->provider->host) return SBX_E_UNSUPPORTED;
    sbxi_buf_init(&text, &sandbox->client->link.alloc, 1024);
    rc = sandbox->client->provider->host(sandbox, port, &text);
    if (rc == SBX_OK && text.len >= cap) rc = SBX_E_TOO_LARGE;
    if (rc == SBX_OK) sbxi_put_text(out, cap, text.data, text.len);
    sbxi_buf_free(&text);
    return rc;
}

SBX_API const char *sbx_sandbox_id(const sbx_sandbox *sandbox) { return sandbox->id; }

SBX_API void sbx_sandbox_release(sbx_sandbox *sandbox) { sbxi_sandbox_unref(sandbox); }
