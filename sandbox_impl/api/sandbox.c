/* api/sandbox - the sandbox functions: gather the arguments, check what is
   peculiar to each, start the operation. Called by the user. */

static bool sbxi_pairs_ok(const sbx_pairs *p)
{
    size_t i;
    if (p->count && !p->items) return false;
    for (i = 0; i < p->count; i++)
        if (!p->items[i].key || !p->items[i].value) return false;
    return true;
}

SBX_API int sbx_sandbox_create(sbx_client *client, const sbx_sandbox_options *options,
                               sbx_sandbox **out, const sbx_call *call)
{
    sbxi_call k;
    sbx_sandbox_options *o = &k.args.of.create.o;
    sbxi_call_on(&k, client, SBX_FEATURE_SANDBOX_CREATE | SBXI_WANTS, call);
    k.args.out = out;
    if (options) *o = *options;
    sbxi_need(&k, sbxi_pairs_ok(&o->metadata) && sbxi_pairs_ok(&o->envs),
        SBXI_TEXT("metadata or envs: a key or value is NULL"));
    sbxi_need(&k, o->timeout_s >= 0, SBXI_TEXT("timeout_s is negative: a sandbox always ends"));
    return sbxi_start(&k);
}

SBX_API int sbx_sandbox_attach(sbx_client *client, const char *id,
                               const sbx_sandbox_access *access, sbx_sandbox **out)
{
    sbx_sandbox *s;
    if (!client) return SBX_E_ARG;
    if (out) *out = NULL;
    if (!out || !id || !id[0] || !sbxi_is_field_value(sbxi_span_of(id)))
        return sbxi_call_fail(client, NULL, SBX_E_ARG,
            SBXI_TEXT("out is NULL, or id is empty or not plain text"));
    s = sbxi_sandbox_new(client, id);
    if (s && access) {
        s->access = *access;
        s->known = access->daemon_version || access->access_token || access->data_url;
        s->given = (sbx_sandbox_access *)sbxi_keep(&client->link.alloc, SBXI_KEEP_ACCESS,
                                                   &s->access, sizeof s->access);
        if (s->given) {
            s->access = *s->given;
        } else {
            sbxi_sandbox_unref(s);
            s = NULL;
        }
    }
    *out = s;
    return s ? SBX_OK : sbxi_call_fail(client, NULL, SBX_E_NOMEM, NULL);
}

SBX_API int sbx_sandbox_get_access(const sbx_sandbox *sandbox, sbx_sandbox_access *out)
{
    if (!sandbox || !out) return SBX_E_ARG;
    *out = sandbox->access;
    return SBX_OK;
}

static int sbxi_ask_yes_no(sbx_sandbox *sandbox, sbx_feature feature, bool *answer,
                           const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, feature, call);
    k.args.answer = answer;
    return sbxi_start(&k);
}

/* connect and set_timeout */
static int sbxi_ask_time(sbx_sandbox *sandbox, sbx_feature feature, int32_t timeout_s,
                         bool *resumed, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, feature, call);
    k.args.of.timeout_s = timeout_s;
    k.args.answer = resumed;
    sbxi_need(&k, timeout_s >= 0, SBXI_TEXT("timeout_s is negative"));
    return sbxi_start(&k);
}

SBX_API int sbx_sandbox_connect(sbx_sandbox *sandbox, int32_t timeout_s, bool *resumed,
                                const sbx_call *call)
{
    return sbxi_ask_time(sandbox, SBX_FEATURE_SANDBOX_CONNECT, timeout_s, resumed, call);
}

SBX_API int sbx_sandbox_set_timeout(sbx_sandbox *sandbox, int32_t timeout_s, const sbx_call *call)
{
    return sbxi_ask_time(sandbox, SBX_FEATURE_SANDBOX_SET_TIMEOUT, timeout_s, NULL, call);
}

SBX_API int sbx_sandbox_get_info(sbx_sandbox *sandbox, sbx_sandbox_info **out, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_GET_INFO | SBXI_WANTS, call);
    k.args.out = out;
    return sbxi_start(&k);
}

SBX_API int sbx_sandbox_list(sbx_client *client, const sbx_sandbox_query *query, sbx_page *page,
                             sbx_sandbox_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_list_args *a = &k.args.of.list;
    sbxi_call_on(&k, client, SBX_FEATURE_SANDBOX_LIST | SBXI_WANTS, call);
    if (query) a->q = *query;
    a->page = page;
    k.args.each.sandbox = each;
    k.args.ctx = ctx;
    sbxi_need(&k, sbxi_pairs_ok(&a->q.metadata), SBXI_TEXT("metadata: a key or value is NULL"));
    sbxi_need(&k, !page || (!page->ended_ && page->limit >= 0),
        SBXI_TEXT("the page is past the end, or its limit is negative: zero it to start over"));
    return sbxi_start(&k);
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
    if (!sbx_supports(sandbox->client, SBX_FEATURE_SANDBOX_HOST)) return SBX_E_UNSUPPORTED;
    sbxi_buf_init(&text, &sandbox->client->link.alloc, 1024);
    rc = sandbox->client->provider->host(sandbox, port, &text);
    if (rc == SBX_OK && text.len >= cap) rc = SBX_E_TOO_LARGE;
    if (rc == SBX_OK) sbxi_put_text(out, cap, text.data, text.len);
    sbxi_buf_free(&text);
    return rc;
}

SBX_API const char *sbx_sandbox_id(const sbx_sandbox *sandbox) { return sandbox->id; }

SBX_API void sbx_sandbox_release(sbx_sandbox *sandbox) { sbxi_sandbox_unref(sandbox); }
