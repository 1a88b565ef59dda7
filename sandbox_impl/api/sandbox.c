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

/* Whether all texts are there; `empty`: they may be "". */
static SBXI_MAYBE bool sbxi_strings_ok(const sbx_strings *s, bool empty)
{
    size_t i;
    bool fine = !s->count || s->items;
    for (i = 0; fine && i < s->count; i++)
        fine = s->items[i] && (empty || s->items[i][0]);
    return fine;
}

/* JSON that goes out as it is must be one value. */
static int sbxi_ignore(void *ctx, const sbx_json_event *event)
{
    (void)ctx;
    (void)event;
    return SBX_OK;
}

static bool sbxi_json_ok(const char *text)
{
    sbx_json_reader r;
    if (!text) return true;
    sbx_json_init(&r, sbxi_ignore, NULL);
    (void)sbx_json_feed(&r, text, strlen(text), NULL);
    return sbx_json_end(&r) == SBX_OK;
}

#ifndef SBX_NO_EXTRAS
static void sbxi_need_network(sbxi_call *k, sbx_network *n)
{
    sbxi_need(k, sbxi_strings_ok(&n->allow_out, true) && sbxi_strings_ok(&n->deny_out, true)
        && sbxi_strings_ok(&n->dns_servers, true), SBXI_TEXT("network: a text of a list is NULL"));
    sbxi_need(k, !n->https_ports.count || n->https_ports.items,
        SBXI_TEXT("network.https_ports: items is NULL"));
    sbxi_need(k, sbxi_json_ok(n->rules_json), SBXI_TEXT("network.rules_json is not valid JSON"));
    if (n->proxy_tls == SBX_NO) n->proxy_tls = SBX_DEFAULT;
    sbxi_need(k, (n->proxy_address || !(n->proxy_username || n->proxy_password || n->proxy_tls))
        && (n->proxy_tls || !(n->proxy_server_name || n->proxy_ca_pem)),
        SBXI_TEXT("network: proxy_address is missing, or proxy_tls = SBX_YES"));
}
#endif

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
#ifndef SBX_NO_EXTRAS
    sbxi_need(&k, sbxi_pairs_ok(&o->volumes), SBXI_TEXT("volumes: a path or name is NULL"));
    sbxi_need(&k, sbxi_json_ok(o->mcp_json) && sbxi_json_ok(o->identity_json),
        SBXI_TEXT("mcp_json or identity_json is not valid JSON"));
    sbxi_need_network(&k, &o->network);
#endif
    return sbxi_start(&k);
}

/* The handle takes a copy of what the user knows. False: no memory. */
static bool sbxi_sandbox_take(sbx_sandbox *s, const sbx_sandbox_access *access)
{
    s->access = *access;
    s->known = access->daemon_version || access->access_token || access->data_url;
    s->given = (sbx_sandbox_access *)sbxi_keep(&s->client->link.alloc, SBXI_KEEP_ACCESS,
                                               &s->access, sizeof s->access);
    if (s->given) s->access = *s->given;
    return s->given != NULL;
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
    if (s && access && !sbxi_sandbox_take(s, access)) {
        sbxi_sandbox_unref(s);
        s = NULL;
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

/* set_timeout and refresh */
static int sbxi_ask_time(sbx_sandbox *sandbox, sbx_feature feature, int32_t seconds,
                         const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, feature, call);
    k.args.of.timeout_s = seconds;
    sbxi_need(&k, seconds >= 0, SBXI_TEXT("a time is negative"));
    return sbxi_start(&k);
}

static int sbxi_resume(sbx_sandbox *sandbox, int32_t timeout_s, sbx_choice memory,
                       bool *resumed, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_CONNECT, call);
    k.args.of.resume.timeout_s = timeout_s;
    k.args.of.resume.memory = memory;
    k.args.answer = resumed;
    sbxi_need(&k, timeout_s >= 0, SBXI_TEXT("timeout_s is negative"));
    return sbxi_start(&k);
}

SBX_API int sbx_sandbox_connect(sbx_sandbox *sandbox, int32_t timeout_s, bool *resumed,
                                const sbx_call *call)
{
    return sbxi_resume(sandbox, timeout_s, SBX_DEFAULT, resumed, call);
}

#ifndef SBX_NO_EXTRAS

SBX_API int sbx_sandbox_resume(sbx_sandbox *sandbox, const sbx_resume_options *options,
                               bool *resumed, const sbx_call *call)
{
    return options ? sbxi_resume(sandbox, options->timeout_s, options->memory, resumed, call)
        : sbxi_resume(sandbox, 0, SBX_DEFAULT, resumed, call);
}

SBX_API int sbx_sandbox_pause(sbx_sandbox *sandbox, const sbx_pause_options *options,
                              bool *paused, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_PAUSE, call);
    if (options) k.args.of.pause = *options;
    k.args.answer = paused;
    return sbxi_start(&k);
}

SBX_API int sbx_sandbox_refresh(sbx_sandbox *sandbox, int32_t duration_s, const sbx_call *call)
{
    return sbxi_ask_time(sandbox, SBX_FEATURE_SANDBOX_REFRESH, duration_s, call);
}

SBX_API int sbx_sandbox_set_network(sbx_sandbox *sandbox, const sbx_network *network,
                                    sbx_choice internet, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_SET_NETWORK, call);
    if (network) k.args.of.network.n = *network;
    k.args.of.network.internet = internet;
    sbxi_need_network(&k, &k.args.of.network.n);
    return sbxi_start(&k);
}

SBX_API int sbx_sandbox_metrics(sbx_sandbox *sandbox, int64_t start_unix_ms, int64_t end_unix_ms,
                                sbx_metrics_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_METRICS | SBXI_WANTS, call);
    k.args.of.history.q.from_unix_ms = start_unix_ms;
    k.args.of.history.end_unix_ms = end_unix_ms;
    k.args.each.metrics = each;
    k.args.ctx = ctx;
    sbxi_need(&k, start_unix_ms >= 0 && end_unix_ms >= 0, SBXI_TEXT("a time is negative"));
    return sbxi_start(&k);
}

SBX_API int sbx_sandbox_logs(sbx_sandbox *sandbox, const sbx_log_query *query, sbx_log_each each,
                             void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbx_log_query *q = &k.args.of.history.q;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_LOGS | SBXI_WANTS, call);
    if (query) *q = *query;
    k.args.each.log = each;
    k.args.ctx = ctx;
    sbxi_need(&k, q->from_unix_ms >= 0 && q->limit >= 0,
        SBXI_TEXT("from_unix_ms or limit is negative"));
    return sbxi_start(&k);
}

SBX_API int sbx_sandbox_fork(sbx_sandbox *sandbox, int32_t count, int32_t timeout_s,
                             sbx_fork_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_FORK | SBXI_WANTS, call);
    k.args.of.fork.count = count;
    k.args.of.fork.timeout_s = timeout_s;
    k.args.each.fork = each;
    k.args.ctx = ctx;
    sbxi_need(&k, count >= 0 && count <= 20 && timeout_s >= 0,
        SBXI_TEXT("count is not 0 to 20, or timeout_s is negative"));
    return sbxi_start(&k);
}

SBX_API int sbx_snapshot_create(sbx_sandbox *sandbox, const sbx_snapshot_options *options,
                                sbx_snapshot_info **out, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SNAPSHOT_CREATE | SBXI_WANTS, call);
    if (options) k.args.of.snapshot = *options;
    k.args.out = out;
    return sbxi_start(&k);
}

SBX_API int sbx_snapshot_delete(sbx_client *client, const char *id, bool *existed,
                                const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_on(&k, client, SBX_FEATURE_SNAPSHOT_DELETE, call);
    k.args.target = id;
    k.args.answer = existed;
    sbxi_need(&k, id && id[0], SBXI_TEXT("id is NULL or empty"));
    return sbxi_start(&k);
}

#endif

SBX_API int sbx_sandbox_set_timeout(sbx_sandbox *sandbox, int32_t timeout_s, const sbx_call *call)
{
    return sbxi_ask_time(sandbox, SBX_FEATURE_SANDBOX_SET_TIMEOUT, timeout_s, call);
}

SBX_API int sbx_sandbox_get_info(sbx_sandbox *sandbox, sbx_sandbox_info **out, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_GET_INFO | SBXI_WANTS, call);
    k.args.out = out;
    return sbxi_start(&k);
}

static int sbxi_start_page(sbxi_call *k)
{
    const sbx_page *page = k->args.of.list.page;
    sbxi_need(k, !page || (!page->ended_ && page->limit >= 0),
        SBXI_TEXT("the page is past the end, or its limit is negative: zero it to start over"));
    return sbxi_start(k);
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
    sbxi_need(&k, a->q.running != SBX_NO || a->q.paused != SBX_NO,
        SBXI_TEXT("running and paused are both SBX_NO"));
    return sbxi_start_page(&k);
}

#ifndef SBX_NO_EXTRAS
SBX_API int sbx_snapshot_list(sbx_client *client, const char *sandbox_id, const char *name,
                              sbx_page *page, sbx_snapshot_each each, void *ctx,
                              const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_on(&k, client, SBX_FEATURE_SNAPSHOT_LIST | SBXI_WANTS, call);
    k.args.of.list.q.template_id = sandbox_id;
    k.args.of.list.name = name;
    k.args.of.list.page = page;
    k.args.each.snapshot = each;
    k.args.ctx = ctx;
    return sbxi_start_page(&k);
}
#endif

SBX_API int sbx_sandbox_kill(sbx_sandbox *sandbox, bool *existed, const sbx_call *call)
{
    return sbxi_ask_yes_no(sandbox, SBX_FEATURE_SANDBOX_KILL, existed, call);
}

SBX_API int sbx_sandbox_is_running(sbx_sandbox *sandbox, bool *running, const sbx_call *call)
{
    return sbxi_ask_yes_no(sandbox, SBX_FEATURE_SANDBOX_IS_RUNNING, running, call);
}

/* A text with the host of a port, between two others. */
static int sbxi_host_text(const sbx_sandbox *sandbox, sbx_feature feature, const char *before,
                          uint16_t port, const char *after, char *out, size_t cap)
{
    sbxi_buf text;
    int rc;
    if (!sandbox || !out || cap == 0) return SBX_E_ARG;
    out[0] = 0;
    if (!sbx_supports(sandbox->client, feature)) return SBX_E_UNSUPPORTED;
    sbxi_buf_init(&text, &sandbox->client->link.alloc, 1024);
    sbxi_buf_text(&text, before);
    rc = sandbox->client->provider->host(sandbox, port, &text);
    if (rc == SBX_OK) rc = sbxi_buf_text(&text, after);
    if (rc == SBX_OK && text.len >= cap) rc = SBX_E_TOO_LARGE;
    if (rc == SBX_OK) sbxi_put_text(out, cap, text.data, text.len);
    sbxi_buf_free(&text);
    return rc;
}

SBX_API int sbx_sandbox_host(const sbx_sandbox *sandbox, uint16_t port, char *out, size_t cap)
{
    return sbxi_host_text(sandbox, SBX_FEATURE_SANDBOX_HOST, "", port, "", out, cap);
}

#ifndef SBX_NO_EXTRAS
SBX_API int sbx_sandbox_mcp_url(const sbx_sandbox *sandbox, char *out, size_t cap)
{
    return sbxi_host_text(sandbox, SBX_FEATURE_SANDBOX_MCP_URL, "https://",
        sandbox ? sandbox->client->provider->mcp_port : 0, "/mcp", out, cap);
}
#endif

SBX_API const char *sbx_sandbox_id(const sbx_sandbox *sandbox) { return sandbox->id; }

SBX_API void sbx_sandbox_release(sbx_sandbox *sandbox) { sbxi_sandbox_unref(sandbox); }
