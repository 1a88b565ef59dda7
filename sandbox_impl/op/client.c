/* client - the client struct, and opening it: configuration, environment,
   provider. Sends nothing. Called by the user; read by everything below. */

/* Texts of a struct, copied into one block that is wiped when freed. */
typedef struct sbxi_texts { char *block; size_t size; } sbxi_texts;

/* Replaces each of the n pointers by a copy of its text; NULL stays NULL. */
static int sbxi_texts_keep(sbxi_texts *t, const sbx_alloc *alloc, const char **slots[], size_t n)
{
    size_t total = 1, at = 0, i;
    for (i = 0; i < n; i++)
        if (*slots[i] && !sbxi_size_add(&total, total, strlen(*slots[i]) + 1))
            return SBX_E_NOMEM;
    t->block = (char *)sbxi_alloc_get(alloc, total);
    if (!t->block) return SBX_E_NOMEM;
    t->size = total;
    for (i = 0; i < n; i++) {
        size_t len;
        if (!*slots[i]) continue;
        len = strlen(*slots[i]) + 1;
        memcpy(t->block + at, *slots[i], len);
        *slots[i] = t->block + at;
        at += len;
    }
    return SBX_OK;
}

struct sbx_client {
    sbxi_link link;
    const sbx_provider *provider;
    sbx_config config;      /* its texts are copies; headers are in extra */
    sbxi_texts texts;
    sbxi_buf extra;         /* config.headers as lines */
    sbx_op *ops;            /* oldest first */
    unsigned callbacks;     /* depth of user callbacks that run now */
    uint32_t jitter;        /* state of the backoff's small generator */
    uint8_t dialect;        /* index in the provider's list */
    bool debug;
    sbx_error error;
};

/* ---- environment ---------------------------------------------------------- */

#ifndef SBX_NO_STDLIB
static const char *sbxi_getenv(const char *name)
{
    const char *v = getenv(name);
    return v && v[0] ? v : NULL; /* empty counts as not set */
}
#else
static const char *sbxi_getenv(const char *name)
{
    (void)name;
    return NULL;
}
#endif

static const sbx_provider *const *sbxi_providers(size_t *n)
{
#define SBXI_ROW(name) &sbx_##name,
    static const sbx_provider *const all[] = { SBX_PROVIDERS(SBXI_ROW) NULL };
#undef SBXI_ROW
    *n = SBXI_LEN(all) - 1;
    return all;
}

/* Chooses by the API key that stands in the environment. */
static int sbxi_choose_provider(sbx_client *c, sbx_error *e)
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
    if (!c->provider && c->config.api_key && n == 1) c->provider = all[0];
    return c->provider ? SBX_OK : sbxi_error_set(e, SBX_E_NO_PROVIDER, NULL);
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
}

/* ---- checks --------------------------------------------------------------- */

static int sbxi_header_line(sbxi_buf *b, const char *name, const char *value)
{
    if (!sbxi_is_token(sbxi_span_of(name)) || !sbxi_is_field_value(sbxi_span_of(value)))
        return b->status = SBX_E_ARG;
    sbxi_buf_text(b, name);
    sbxi_buf_text(b, ": ");
    sbxi_buf_text(b, value);
    return sbxi_buf_text(b, "\r\n");
}

static int sbxi_check_config(sbx_client *c, sbx_error *e)
{
    const sbx_config *g = &c->config;
    const char *const *d = c->provider->dialects;
    const char *const texts[] = { g->api_key, g->domain, g->api_url, g->sandbox_url,
        g->user_agent };
    size_t i;
    for (i = 0; i < SBXI_LEN(texts); i++)
        if (texts[i] && !sbxi_is_field_value(sbxi_span_of(texts[i])))
            return sbxi_error_set(e, SBX_E_ARG,
                SBXI_TEXT("api_key, domain, URLs and user_agent may not hold control characters"));
    if (g->domain && !sbxi_is_host(sbxi_span_of(g->domain)))
        return sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("domain is not a host name"));
    for (i = 0; i < g->headers.count; i++)
        if (sbxi_header_line(&c->extra, g->headers.items[i].key, g->headers.items[i].value))
            return sbxi_error_set(e, c->extra.status,
                SBXI_TEXT("headers: a name or value is not allowed"));
    for (i = 0; g->dialect && d[i]; i++)
        if (strcmp(d[i], g->dialect) == 0) {
            c->dialect = (uint8_t)i;
            return SBX_OK;
        }
    return g->dialect ? sbxi_error_set(e, SBX_E_ARG,
        SBXI_TEXT("dialect is not one of this provider's"))
                      : SBX_OK;
}

static void sbxi_default_ms(int32_t *value, int32_t ms)
{
    if (*value == 0) *value = ms;
}

static int sbxi_open_transport(sbx_client *c, sbx_error *e)
{
    sbx_clocks *k = &c->link.clocks;
    *k = c->config.clocks;
    sbxi_default_ms(&k->connect_ms, 15000);
    sbxi_default_ms(&k->first_byte_ms, 60000);
    sbxi_default_ms(&k->idle_ms, 120000);
    sbxi_default_ms(&k->total_ms, 60000);
    c->link.net = c->config.net;
    if (!c->link.net.open) {
#ifdef SBX_NO_POSIX
        return sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("SBX_NO_POSIX: give config.net"));
#else
        int rc = sbxi_net_posix_init(&c->link.net, &c->link.alloc);
        if (rc != SBX_OK) return sbxi_error_set(e, rc, NULL);
#endif
    }
    if (!c->link.net.send || !c->link.net.recv || !c->link.net.close || !c->link.net.now_ms)
        return sbxi_error_set(e, SBX_E_ARG,
            SBXI_TEXT("net needs open, send, recv, close and now_ms"));
    return SBX_OK;
}

/* ---- open ----------------------------------------------------------------- */

static int sbxi_client_fill(sbx_client *c, sbx_error *e)
{
    const char **slots[8];
    int rc = SBX_OK;
    if (!c->provider) rc = sbxi_choose_provider(c, e);
    if (rc != SBX_OK) return rc;
    sbxi_read_environment(c);
    if (!c->config.domain) c->config.domain = c->provider->domain;
    c->debug = c->config.debug == SBX_YES;
    rc = sbxi_check_config(c, e);
    if (rc == SBX_OK) rc = sbxi_open_transport(c, e);
    if (rc != SBX_OK) return rc;
    slots[0] = &c->config.api_key;
    slots[1] = &c->config.domain;
    slots[2] = &c->config.api_url;
    slots[3] = &c->config.sandbox_url;
    slots[4] = &c->config.user_agent;
    slots[5] = &c->config.tls.ca_pem;
    slots[6] = &c->config.tls.ca_file;
    slots[7] = &c->link.env_ca;
    rc = sbxi_texts_keep(&c->texts, &c->link.alloc, slots, SBXI_LEN(slots));
    c->link.tls = c->config.tls;
    return rc;
}

/* Frees what a client holds; nothing runs any more. */
static void sbxi_client_free(sbx_client *c)
{
    sbx_alloc alloc = c->link.alloc;
    sbxi_link_close(&c->link);
    sbxi_buf_free(&c->extra);
    sbxi_alloc_wipe(&alloc, c->texts.block, c->texts.size);
    sbxi_alloc_wipe(&alloc, c, sizeof *c);
}

static int sbxi_client_alloc(sbx_client **out, const sbx_config *config, sbx_error *e)
{
    sbx_alloc alloc = config->alloc;
    sbx_client *c;
    if (!alloc.resize) {
#ifdef SBX_NO_STDLIB
        return sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("SBX_NO_STDLIB: give config.alloc"));
#else
        alloc.resize = sbxi_std_resize;
#endif
    }
    c = (sbx_client *)sbxi_alloc_get(&alloc, sizeof *c);
    if (!c) return sbxi_error_set(e, SBX_E_NOMEM, NULL);
    c->link.alloc = alloc;
    c->config = *config;
    c->provider = config->provider;
    sbxi_buf_init(&c->extra, &c->link.alloc, SBX_MAX_REQUEST / 2);
    sbxi_error_clear(&c->error);
    *out = c;
    return SBX_OK;
}

SBX_API int sbx_open(sbx_client **out, const sbx_config *config)
{
    sbx_config none;
    sbx_error error;
    sbx_client *c = NULL;
    int rc;
    memset(&none, 0, sizeof none);
    if (!config) config = &none;
    sbxi_error_clear(&error);
    if (out) *out = NULL;
    if (out)
        rc = sbxi_client_alloc(&c, config, &error);
    else
        rc = sbxi_error_set(&error, SBX_E_ARG, SBXI_TEXT("out is NULL"));
    if (rc == SBX_OK) rc = sbxi_client_fill(c, &error);
    if (rc != SBX_OK && c) sbxi_client_free(c);
    if (rc == SBX_OK) *out = c;
    if (rc != SBX_OK) sbxi_error_set(&error, rc, NULL);
    if (config->error) *config->error = error;
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
    const sbxi_entry *e;
    if ((unsigned)feature >= (unsigned)SBX_FEATURE_END_) return false;
    if (feature == SBX_FEATURE_SANDBOX_HOST) return client->provider->host != NULL;
    e = &client->provider->entries[feature];
    return e->route || e->step;
}
