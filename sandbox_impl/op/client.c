/* client - opening a client: configuration, environment, provider. Sends nothing.
   Called by the user. */

/* ---- environment ---------------------------------------------------------- */

static const sbx_provider *const *sbxi_providers(size_t *n)
{
#define SBXI_ROW(name) &sbx_##name,
    static const sbx_provider *const all[] = { SBX_PROVIDERS(SBXI_ROW) NULL };
#undef SBXI_ROW
    *n = SBXI_LEN(all) - 1;
    return all;
}

#ifndef SBX_NO_STDLIB
static const char *sbxi_getenv(const char *name)
{
    const char *v = getenv(name);
    return v && v[0] ? v : NULL; /* empty counts as not set */
}

/* Chooses by the API key that stands in the environment. */
static int sbxi_provider_by_key(sbx_client *c, sbx_error *e)
{
    size_t n, i;
    const sbx_provider *const *all = sbxi_providers(&n);
    for (i = 0; i < n && c->config.environment != SBX_NO; i++) {
        if (!sbxi_getenv(all[i]->env[0].name)) continue;
        if (c->provider) {
            sbxi_put_text(e->message, sizeof e->message, "both set, choose config.provider: ", 34);
            sbxi_add_text(e->message, sizeof e->message, c->provider->env[0].name);
            sbxi_add_text(e->message, sizeof e->message, " and ");
            sbxi_add_text(e->message, sizeof e->message, all[i]->env[0].name);
            return SBX_E_ARG;
        }
        c->provider = all[i];
    }
    return SBX_OK;
}

/* Fills what the configuration leaves open from the environment. */
static void sbxi_read_environment(sbx_client *c)
{
    const sbxi_env *row;
    if (c->config.environment == SBX_NO) return;
    for (row = c->provider->env; row->name; row++) {
        const char **slot = (const char **)(void *)((char *)&c->config + row->offset);
        if (!*slot) *slot = sbxi_getenv(row->name);
    }
    if (c->config.debug == SBX_DEFAULT && c->provider->debug_env) {
        const char *v = sbxi_getenv(c->provider->debug_env);
        if (v && sbxi_span_is_nocase(sbxi_span_of(v), "true")) c->config.debug = SBX_YES;
    }
    c->link.env_ca = sbxi_getenv("SSL_CERT_FILE");
    if (!c->link.env_ca) c->link.env_ca = sbxi_getenv("SSL_CERT_DIR");
}
#else
static int sbxi_provider_by_key(sbx_client *c, sbx_error *e)
{
    (void)c;
    (void)e;
    return SBX_OK;
}

static void sbxi_read_environment(sbx_client *c) { (void)c; }
#endif

/* ---- proxies -------------------------------------------------------------- */

#ifndef SBX_NO_PROXY

#ifndef SBX_NO_STDLIB
/* The first of these variables that is set; each name ends with NUL. */
static const char *sbxi_getenv_of(const char *names)
{
    const char *v = NULL;
    for (; *names && !v; names += strlen(names) + 1) v = sbxi_getenv(names);
    return v;
}
#endif

/* HTTP_PROXY is not read: in a CGI program it is the client's header "Proxy". */
static void sbxi_choose_proxies(sbx_client *c)
{
    sbxi_proxies *p = &c->link.proxies;
    const sbx_config *g = &c->config;
    p->of[0].url = p->of[1].url = g->proxy;
    p->none = g->no_proxy;
#ifndef SBX_NO_STDLIB
    if (g->environment == SBX_NO) return;
    if (!g->proxy) {
        p->of[0].url = sbxi_getenv_of("http_proxy\0all_proxy\0ALL_PROXY\0");
        p->of[1].url = sbxi_getenv_of("https_proxy\0HTTPS_PROXY\0all_proxy\0ALL_PROXY\0");
    }
    if (!g->no_proxy) p->none = sbxi_getenv_of("no_proxy\0NO_PROXY\0");
#endif
}

/* Takes the copies apart. */
static int sbxi_open_proxies(sbx_client *c, sbx_error *e)
{
    sbxi_proxy *p = c->link.proxies.of;
    int i;
    for (i = 0; i < 2; i++, p++) {
        if (p->url && !p->url[0]) p->url = NULL;
        if (!p->url) continue;
        if (!sbxi_proxy_set(p))
            return sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("the proxy (config.proxy, or the "
                "environment's) is not http://[user:password@]host[:port]; "
                "others, as https:// and socks, are not offered"));
        if (c->link.net.flags & SBX_NET_TLS_INSIDE)
            return sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("no proxy is possible where the "
                "transport does TLS itself: set config.proxy to \"\""));
    }
    return SBX_OK;
}

#else

static void sbxi_choose_proxies(sbx_client *c) { (void)c; }

static int sbxi_open_proxies(sbx_client *c, sbx_error *e)
{
    const char *proxy = c->config.proxy;
    return !proxy || !proxy[0] ? SBX_OK : sbxi_error_set(e, SBX_E_UNSUPPORTED,
        SBXI_TEXT("proxies are compiled out (SBX_NO_PROXY)"));
}

#endif

static int sbxi_choose_provider(sbx_client *c, sbx_error *e)
{
    size_t n;
    const sbx_provider *const *all = sbxi_providers(&n);
    int rc = c->provider ? SBX_OK : sbxi_provider_by_key(c, e);
    if (rc == SBX_OK && !c->provider && c->config.api_key && n == 1) c->provider = all[0];
    return rc == SBX_OK && !c->provider ? SBX_E_NO_PROVIDER : rc;
}

#define SBXI_MAX_URL 1024

/* ---- checks --------------------------------------------------------------- */

/* Up to three texts behind each other; NULL is none. */
static int sbxi_buf_texts(sbxi_buf *b, const char *first, const char *second, const char *third)
{
    if (first) sbxi_buf_text(b, first);
    if (second) sbxi_buf_text(b, second);
    if (third) sbxi_buf_text(b, third);
    return b->status;
}

/* A line of the head; without a value none. */
static int sbxi_header_line(sbxi_buf *b, const char *name, const char *value)
{
    if (!value) return b->status;
    if (!sbxi_is_field_value(sbxi_span_of(value))) return b->status = SBX_E_ARG;
    sbxi_buf_texts(b, name, ": ", value);
    return sbxi_buf_text(b, "\r\n");
}

#define SBXI_PLACES 4 /* {id} {port} {domain} {key} */

/* Appends a template, its {id} {port} {domain} {key} replaced by the values. Another
   word in braces is an error: a typo must not become a host name; and a value must
   not become more than a label or segment. */
static void sbxi_expand(sbxi_buf *out, const char *t, const char *const values[SBXI_PLACES])
{
    static const char *const names[SBXI_PLACES] = { "{id}", "{port}", "{domain}", "{key}" };
    while (out->status == SBX_OK) {
        const char *open = strchr(t, '{');
        size_t i = 0;
        bool host;
        sbxi_buf_add(out, t, open ? (size_t)(open - t) : strlen(t));
        if (!open) break;
        while (i < SBXI_PLACES && strncmp(open, names[i], strlen(names[i])) != 0) i++;
        host = i == 1 || i == 2;
        if (i == SBXI_PLACES || !values[i] || (host && !sbxi_is_host(sbxi_span_of(values[i])))) {
            out->status = SBX_E_ARG;
            break;
        }
        if (host) sbxi_buf_text(out, values[i]);
        else sbxi_percent(out, sbxi_span_of(values[i]), SBXI_PERCENT_SEGMENT);
        t = open + strlen(names[i]);
    }
}

/* Base, prefix and path, all templates, as a URL in b, and its parts. */
static int sbxi_make_url(sbxi_buf *b, const char *const parts[3],
                         const char *const values[SBXI_PLACES], sbxi_url *url)
{
    sbxi_span text;
    size_t i;
    sbxi_buf_clear(b);
    for (i = 0; i < 3; i++) {
        sbxi_expand(b, parts[i], values);
        while (i == 0 && b->len && b->data[b->len - 1] == '/') b->len--;
    }
    text.ptr = b->data;
    text.len = b->len;
    if (b->status == SBX_OK && !sbxi_url_split(text, url)) b->status = SBX_E_ARG;
    return b->status;
}

/* A base URL template must make a URL, with whatever sandbox. */
static int sbxi_check_url(sbx_client *c, const char *base, const char *id)
{
    const char *parts[3], *values[SBXI_PLACES];
    sbxi_buf text;
    sbxi_url url;
    int rc;
    if (!base) return SBX_OK;
    parts[0] = base;
    parts[1] = parts[2] = "";
    values[0] = id;
    values[1] = c->provider->ports[0];
    values[2] = c->config.domain;
    values[3] = NULL;
    sbxi_buf_init(&text, &c->link.alloc, SBXI_MAX_URL);
    rc = sbxi_make_url(&text, parts, values, &url);
    sbxi_buf_free(&text);
    return rc;
}

static int sbxi_check_texts(sbx_client *c, sbx_error *e)
{
    const sbx_config *g = &c->config;
    const char *texts[3];
    size_t i;
    int rc;
    texts[0] = g->api_key;
    texts[1] = g->domain;
    texts[2] = g->user_agent;
    for (i = 0; i < SBXI_LEN(texts); i++)
        if (!sbxi_is_field_value(sbxi_span_of(texts[i])))
            return sbxi_error_set(e, SBX_E_ARG,
                SBXI_TEXT("api_key, domain and user_agent may not hold control characters"));
    if (g->domain && !sbxi_is_host(sbxi_span_of(g->domain)))
        return sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("domain is not a host name"));
    rc = sbxi_check_url(c, g->api_url, NULL);
    if (rc == SBX_OK) rc = sbxi_check_url(c, g->sandbox_url, "id");
    return rc == SBX_OK ? rc : sbxi_error_set(e, rc,
        SBXI_TEXT("api_url or sandbox_url is not http(s)://host[:port][/path]; {id}, {port} "
                  "(sandbox_url only) and {domain} may stand in it"));
}

/* Keeps config.headers as lines. */
static int sbxi_check_headers(sbx_client *c, sbx_error *e)
{
    const sbx_pairs *all = &c->config.headers;
    size_t i;
    int rc = SBX_OK;
    for (i = 0; rc == SBX_OK && i < all->count; i++) {
        const sbx_pair *h = all->items ? &all->items[i] : NULL;
        rc = SBX_E_ARG;
        if (h && h->value && sbxi_is_token(sbxi_span_of(h->key)))
            rc = sbxi_header_line(&c->extra, h->key, h->value);
    }
    return rc == SBX_OK ? rc
        : sbxi_error_set(e, rc, SBXI_TEXT("headers: a name or value is not allowed"));
}

static int sbxi_check_config(sbx_client *c, sbx_error *e)
{
    const sbx_config *g = &c->config;
    const char *const *d = c->provider->dialects;
    int rc = sbxi_check_texts(c, e);
#ifdef SBX_NO_REDIRECT
    if (g->redirects > 0)
        return sbxi_error_set(e, SBX_E_UNSUPPORTED,
            SBXI_TEXT("redirects are compiled out (SBX_NO_REDIRECT)"));
#endif
    if (rc == SBX_OK) rc = sbxi_check_headers(c, e);
    if (rc != SBX_OK || !g->dialect) return rc;
    for (; d[c->dialect]; c->dialect++)
        if (strcmp(d[c->dialect], g->dialect) == 0) return SBX_OK;
    return sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("dialect is not one of this provider's"));
}

static void sbxi_default_ms(int32_t *value, int32_t ms)
{
    if (*value == 0) *value = ms;
}

static int sbxi_open_transport(sbx_client *c, sbx_error *e)
{
    sbx_clocks *k = &c->link.clocks;
    sbx_net *n = &c->link.net;
    *k = c->config.clocks;
    sbxi_default_ms(&k->connect_ms, 15000);
    sbxi_default_ms(&k->first_byte_ms, 60000);
    sbxi_default_ms(&k->idle_ms, 120000);
    sbxi_default_ms(&k->total_ms, 60000);
    *n = c->config.net;
#ifndef SBX_NO_POSIX
    c->link.posix.alloc = &c->link.alloc;
    c->link.posix.connect_ms = k->connect_ms;
    if (!n->open) return sbxi_net_posix_init(n, &c->link.posix);
#endif
    return n->open && n->send && n->recv && n->close && n->now_ms ? SBX_OK
        : sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("net needs open, send, recv, close and now_ms"));
}

/* ---- open ----------------------------------------------------------------- */

static int sbxi_client_fill(sbx_client *c, sbx_error *e)
{
    int rc = sbxi_choose_provider(c, e);
    if (rc != SBX_OK) return rc;
    sbxi_read_environment(c);
    sbxi_choose_proxies(c);
    if (!c->config.domain) c->config.domain = c->provider->domain;
    c->debug = c->config.debug == SBX_YES;
    rc = sbxi_check_config(c, e);
    if (rc == SBX_OK) rc = sbxi_open_transport(c, e);
    if (rc != SBX_OK) return rc;
    c->texts = sbxi_keep(&c->link.alloc, SBXI_KEEP_CLIENT, c, 0);
    c->link.tls = &c->config.tls;
    return c->texts ? sbxi_open_proxies(c, e) : SBX_E_NOMEM;
}

/* Frees what a client holds; nothing runs any more. */
static void sbxi_client_free(sbx_client *c)
{
    sbx_alloc alloc = c->link.alloc;
    sbxi_link_close(&c->link);
    sbxi_buf_free(&c->extra);
    sbx_free(c->texts);
    sbxi_alloc_wipe(&alloc, c, sizeof *c);
}

static int sbxi_client_open(sbx_client **out, const sbx_config *config, sbx_error *e)
{
    sbx_alloc alloc = { NULL, NULL };
    sbx_client *c;
    int rc;
    if (config) alloc = config->alloc;
#ifndef SBX_NO_STDLIB
    if (!alloc.resize) alloc.resize = sbxi_std_resize;
#endif
    if (!alloc.resize)
        return sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("SBX_NO_STDLIB: give config.alloc"));
    c = (sbx_client *)sbxi_alloc_get(&alloc, sizeof *c);
    if (!c) return SBX_E_NOMEM;
    c->link.alloc = alloc;
    if (config) c->config = *config;
    c->provider = c->config.provider;
    sbxi_buf_init(&c->extra, &c->link.alloc, SBX_MAX_REQUEST / 2);
    sbxi_error_clear(&c->error);
    rc = sbxi_client_fill(c, e);
    if (rc == SBX_OK) *out = c;
    else sbxi_client_free(c);
    return rc;
}

SBX_API int sbx_open(sbx_client **out, const sbx_config *config)
{
    sbx_error error;
    int rc = SBX_E_ARG;
    sbxi_error_clear(&error);
    if (out) {
        *out = NULL;
        rc = sbxi_client_open(out, config, &error);
    }
    if (rc != SBX_OK) sbxi_error_set(&error, rc, out ? NULL : SBXI_TEXT("out is NULL"));
    if (config && config->error) *config->error = error;
    return rc;
}

SBX_API const sbx_error *sbx_client_error(const sbx_client *client)
{
    return &client->error;
}

SBX_API const char *sbx_provider_name(const sbx_client *client)
{
    return client->provider->name;
}

SBX_API bool sbx_supports(const sbx_client *client, sbx_feature feature)
{
    return (unsigned)feature < (unsigned)SBX_FEATURE_END_
        && sbxi_route_of(client->provider, feature) != NULL;
}
