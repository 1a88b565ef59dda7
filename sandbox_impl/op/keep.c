/* keep - deep copies of what a struct points to, by one table: arguments of calls
   that go on after they returned, configuration, credentials, infos handed to the
   user. All copies of a struct are one block for sbx_free(). Called by client.c,
   reply.c, op.c and api/. */

/* Whose row it is. Arguments have the number of the first feature with them. */
enum { SBXI_KEEP_CALL = SBX_FEATURE_END_, SBXI_KEEP_CLIENT, SBXI_KEEP_ACCESS, SBXI_KEEP_FILE };

typedef struct sbxi_keep_row {
    uint8_t what;
    uint8_t item;           /* 0: a text; else bytes of an item of a list, or */
    uint16_t offset;
} sbxi_keep_row;

#define SBXI_KEEP_PORTS 255 /* sbx_ports */

static const sbxi_keep_row sbxi_keep_rows[] = {
#define SBXI_ROW(what, item, struct_, member) { what, item, (uint16_t)offsetof(struct_, member) }
#define SBXI_KEEP(feature, item, member) \
    SBXI_ROW(SBX_FEATURE_##feature, item, sbx_op, args.of.member)
    SBXI_KEEP(SANDBOX_CREATE, 0, create.o.template_id),
    SBXI_KEEP(SANDBOX_CREATE, sizeof(sbx_pair), create.o.metadata),
    SBXI_KEEP(SANDBOX_CREATE, sizeof(sbx_pair), create.o.envs),
    SBXI_KEEP(SANDBOX_CREATE, 0, create.o.idempotency_key),
#ifndef SBX_NO_EXTRAS
    SBXI_KEEP(SANDBOX_CREATE, sizeof(sbx_pair), create.o.volumes),
    SBXI_KEEP(SANDBOX_CREATE, 0, create.o.mcp_json),
    SBXI_KEEP(SANDBOX_CREATE, 0, create.o.identity_json),
#define SBXI_NETWORK(feature, base) \
    SBXI_KEEP(feature, sizeof(char *), base.allow_out), \
    SBXI_KEEP(feature, sizeof(char *), base.deny_out), \
    SBXI_KEEP(feature, sizeof(char *), base.dns_servers), \
    SBXI_KEEP(feature, 0, base.proxy_address), \
    SBXI_KEEP(feature, 0, base.proxy_username), \
    SBXI_KEEP(feature, 0, base.proxy_password), \
    SBXI_KEEP(feature, 0, base.proxy_server_name), \
    SBXI_KEEP(feature, 0, base.proxy_ca_pem), \
    SBXI_KEEP(feature, 0, base.mask_host), \
    SBXI_KEEP(feature, 0, base.rules_json)
    SBXI_NETWORK(SANDBOX_CREATE, create.o.network),
    SBXI_KEEP(SANDBOX_CREATE, SBXI_KEEP_PORTS, create.o.network.https_ports),
    SBXI_NETWORK(SANDBOX_SET_NETWORK, network.n),
#undef SBXI_NETWORK
    SBXI_KEEP(SANDBOX_LOGS, 0, history.q.level),
    SBXI_KEEP(SANDBOX_LOGS, 0, history.q.search),
    SBXI_KEEP(SNAPSHOT_CREATE, 0, snapshot.name),
    SBXI_ROW(SBX_FEATURE_SNAPSHOT_DELETE, 0, sbx_op, args.target),
#endif
#ifndef SBX_NO_TEMPLATE
    SBXI_ROW(SBX_FEATURE_SANDBOX_LIST, 0, sbx_op, args.target),
    SBXI_ROW(SBX_FEATURE_TEMPLATE_BUILD, 0, sbx_op, args.target),
    SBXI_ROW(SBX_FEATURE_TEMPLATE_BUILD, 0, sbx_op, args.key),
    SBXI_KEEP(TEMPLATE_BUILD, 0, build.o.name),
    SBXI_KEEP(TEMPLATE_BUILD, sizeof(char *), build.o.tags),
    SBXI_KEEP(TEMPLATE_BUILD, 0, build.tag_name),
#endif
    SBXI_KEEP(SANDBOX_LIST, 0, list.name),
    SBXI_KEEP(SANDBOX_LIST, sizeof(sbx_pair), list.q.metadata),
    SBXI_KEEP(SANDBOX_LIST, 0, list.q.template_id),
#ifndef SBX_NO_RUN_CODE
    SBXI_KEEP(RUN_CODE, 0, code.code),
    SBXI_KEEP(RUN_CODE, 0, code.o.language),
    SBXI_KEEP(RUN_CODE, 0, code.o.context_id),
    SBXI_KEEP(RUN_CODE, sizeof(sbx_pair), code.o.envs),
#endif
    SBXI_KEEP(COMMAND_RUN, 0, command.cmd),
    SBXI_KEEP(COMMAND_RUN, sizeof(sbx_pair), command.o.envs),
    SBXI_KEEP(COMMAND_RUN, 0, command.o.cwd),
    SBXI_KEEP(COMMAND_RUN, 0, command.o.user),
    SBXI_KEEP(COMMAND_RUN, 0, command.o.tag),
    SBXI_KEEP(COMMAND_KILL, 1, process.data),
    SBXI_KEEP(FILES_READ, 0, files.path),
    SBXI_KEEP(FILES_READ, 0, files.to),
    SBXI_KEEP(FILES_READ, 0, files.o.user),
    SBXI_KEEP(FILES_READ, sizeof(sbx_pair), files.o.metadata),
    SBXI_KEEP(FILES_READ, 0, files.watcher),
    SBXI_KEEP(FILES_READ, 1, files.reading),
    SBXI_KEEP(FILES_READ, sizeof(sbx_file_write), files.files),
#undef SBXI_KEEP
    SBXI_ROW(SBXI_KEEP_CALL, 0, sbx_op, call.api_key),
    SBXI_ROW(SBXI_KEEP_CALL, 0, sbx_op, call.domain),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.api_key),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.domain),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.api_url),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.sandbox_url),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.user_agent),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.ca_pem),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.ca_file),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.cert_pem),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.key_pem),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.cert_file),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.key_file),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.key_password),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.crl_pem),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.crl_file),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.pins),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, link.env_ca),
#ifndef SBX_NO_PROXY
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, link.proxies.of[0].url),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, link.proxies.of[1].url),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, link.proxies.none),
#endif
    SBXI_ROW(SBXI_KEEP_ACCESS, 0, sbx_sandbox_access, access_token),
    SBXI_ROW(SBXI_KEEP_ACCESS, 0, sbx_sandbox_access, traffic_token),
    SBXI_ROW(SBXI_KEEP_ACCESS, 0, sbx_sandbox_access, domain),
    SBXI_ROW(SBXI_KEEP_ACCESS, 0, sbx_sandbox_access, data_url),
    SBXI_ROW(SBXI_KEEP_ACCESS, 0, sbx_sandbox_access, daemon_version),
    SBXI_ROW(SBXI_KEEP_FILE, 0, sbx_file_info, name),
    SBXI_ROW(SBXI_KEEP_FILE, 0, sbx_file_info, path),
    SBXI_ROW(SBXI_KEEP_FILE, 0, sbx_file_info, permissions),
    SBXI_ROW(SBXI_KEEP_FILE, 0, sbx_file_info, owner),
    SBXI_ROW(SBXI_KEEP_FILE, 0, sbx_file_info, group),
    SBXI_ROW(SBXI_KEEP_FILE, 0, sbx_file_info, symlink_target),
    SBXI_ROW(SBXI_KEEP_FILE, sizeof(sbx_pair), sbx_file_info, metadata)
#undef SBXI_ROW
};

/* Writes behind each other into a block; without one it only counts. A sum that
   does not fit stays SIZE_MAX. */
typedef struct sbxi_cursor { char *data; size_t at; } sbxi_cursor;

static char *sbxi_cursor_put(sbxi_cursor *c, const void *data, size_t n, size_t align)
{
    size_t at = (c->at + align - 1) & ~(align - 1);
    if (at < c->at || !sbxi_size_add(&c->at, at, n)) c->at = SIZE_MAX;
    if (!c->data) return NULL;
    if (n) memcpy(c->data + at, data, n);
    return c->data + at;
}

/* Copies what one member points to and lets it point to the copy. Items of a
   list begin with a text, but for bytes; a pair is two such items. */
static void sbxi_keep_member(sbxi_cursor *c, size_t item, char *member)
{
    const char *from, *text;
    char *to;
    size_t n, i;
    bool texts = item > 1 && item != SBXI_KEEP_PORTS;
    if (item == SBXI_KEEP_PORTS) item = sizeof(uint16_t);
    memcpy(&from, member, sizeof from);
    if (!from) return;
    if (item) n = ((const sbxi_items *)(const void *)member)->count * item;
    else n = strlen(from) + 1;
    to = sbxi_cursor_put(c, from, n, item > 1 ? SBXI_ALIGN : 1);
    if (item == sizeof(sbx_pair)) item /= 2;
    for (i = 0; texts && i < n; i += item) {
        memcpy(&text, from + i, sizeof text);
        text = sbxi_cursor_put(c, text, strlen(text) + 1, 1);
        if (to) memcpy(to + i, &text, sizeof text);
    }
    if (to) memcpy(member, &to, sizeof to);
}

static char *sbxi_keep_struct(sbxi_cursor *c, unsigned what, void *base, size_t size)
{
    char *copy = sbxi_cursor_put(c, base, size, 1);
    size_t i;
    if (!copy || size == 0) copy = (char *)base;
    for (i = 0; i < SBXI_LEN(sbxi_keep_rows); i++) {
        const sbxi_keep_row *row = &sbxi_keep_rows[i];
        if (row->what == what || (row->what == SBXI_KEEP_CALL && what < SBX_FEATURE_END_))
            sbxi_keep_member(c, row->item, copy + row->offset);
    }
    return copy;
}

/* Copies what `base` points to into a new block for sbx_free(), NULL: no memory.
   With size 0 base points to the copies then; else a copy of the struct leads the
   block, and base stays as it is. A feature's base is its sbx_op. */
static void *sbxi_keep(const sbx_alloc *alloc, unsigned what, void *base, size_t size)
{
    sbxi_cursor c = { NULL, 0 };
    sbxi_owned *o;
    size_t all;
    sbxi_keep_struct(&c, what, base, size);
    if (!sbxi_size_add(&all, c.at, sizeof *o)) return NULL;
    o = (sbxi_owned *)sbxi_alloc_get(alloc, all);
    if (!o) return NULL;
    o->of.alloc = *alloc;
    o->of.size = all;
    c.data = (char *)(o + 1);
    c.at = 0;
    sbxi_keep_struct(&c, what, base, size);
    return o + 1;
}

/* ---- results that are bound into a growing block --------------------------- */

/* Starts a block that sbx_free() will understand. */
static int sbxi_block_start(sbxi_buf *b)
{
    size_t at;
    sbxi_buf_clear(b);
    return sbxi_buf_room(b, sizeof(sbxi_owned), &at);
}

/* Keeps up to the limit, which leaves room for a NUL, and counts the rest. */
static SBXI_MAYBE int sbxi_capture_put(sbxi_capture *c, const void *data, size_t len)
{
    size_t n;
    if (!c->buf.data && sbxi_block_start(&c->buf) != SBX_OK) return c->buf.status;
    n = SBXI_MIN(c->buf.max - 1 - c->buf.len, len);
    c->cut += len - n;
    return sbxi_buf_add(&c->buf, data, n);
}

/* Hands the block over: it is no longer the buffer's. */
static void sbxi_block_take(sbxi_buf *b)
{
    sbxi_owned *o = (sbxi_owned *)(void *)b->data;
    o->of.alloc = *b->alloc;
    o->of.size = b->cap;
    sbxi_buf_init(b, b->alloc, b->max);
}
