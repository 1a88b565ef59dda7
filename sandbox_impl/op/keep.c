/* keep - deep copies of plain structs by their field tables: arguments of calls
   that go on after they returned, and infos handed to the user. One block holds
   the struct and all it points to. Called by op.c and reply.c. */

/* Writes behind each other into a block; without one it only counts. */
typedef struct sbxi_cursor { char *data; size_t at; bool overflow; } sbxi_cursor;

static void *sbxi_cursor_put(sbxi_cursor *c, const void *data, size_t n, size_t align)
{
    size_t at = (c->at + align - 1) & ~(align - 1);
    void *to = c->data ? c->data + at : NULL;
    if (at < c->at || !sbxi_size_add(&c->at, at, n)) {
        c->overflow = true;
        return NULL;
    }
    if (to && n) memcpy(to, data, n);
    return to;
}

static const char *sbxi_cursor_text(sbxi_cursor *c, const char *text)
{
    return text ? (const char *)sbxi_cursor_put(c, text, strlen(text) + 1, 1) : NULL;
}

static void sbxi_keep_texts(sbxi_cursor *c, const char **texts, size_t count)
{
    const char **copy = (const char **)sbxi_cursor_put(c, texts, count * sizeof *texts,
                                                       sizeof(void *));
    size_t i;
    for (i = 0; i < count; i++) {
        const char *t = sbxi_cursor_text(c, texts[i]);
        if (copy) copy[i] = t;
    }
}

/* Copies what one member points to and lets the member point to the copy. A
   list of pairs is two texts an item, one behind the other. */
static void sbxi_keep_member(sbxi_cursor *c, uint8_t type, void *member)
{
    sbxi_cursor start = *c;
    if (type == SBXI_T_STRING) {
        const char **text = (const char **)member;
        const char *copy = sbxi_cursor_text(c, *text);
        if (c->data) *text = copy;
    } else if (type == SBXI_T_PAIRS) {
        sbx_pairs *p = (sbx_pairs *)member;
        sbxi_keep_texts(c, (const char **)(void *)(uintptr_t)p->items, p->count * 2);
        if (c->data && p->items)
            p->items = (const sbx_pair *)sbxi_cursor_put(&start, NULL, 0, sizeof(void *));
    } else if (type == SBXI_T_STRINGS) {
        sbx_strings *s = (sbx_strings *)member;
        sbxi_keep_texts(c, (const char **)(void *)(uintptr_t)s->items, s->count);
        if (c->data && s->items)
            s->items = (const char *const *)sbxi_cursor_put(&start, NULL, 0, sizeof(void *));
    } else if (type == SBXI_T_BYTES) {
        sbx_bytes *b = (sbx_bytes *)member;
        void *copy = sbxi_cursor_put(c, b->data, b->len, 1);
        if (c->data) b->data = copy;
    }
}

static void sbxi_keep_fields(sbxi_cursor *c, const sbxi_shape *shape, void *base)
{
    uint16_t i;
    for (i = 0; i < shape->count; i++)
        sbxi_keep_member(c, shape->fields[i].type, (char *)base + shape->fields[i].offset);
}

/* Copies everything `base` points to into one new block, in place. Pairs must be
   few enough for their sizes to be counted. */
static int sbxi_keep(sbxi_texts *out, const sbx_alloc *alloc, const sbxi_shape *shape, void *base)
{
    sbxi_cursor c = { NULL, 0, false };
    sbxi_keep_fields(&c, shape, base);
    if (c.overflow) return SBX_E_NOMEM;
    out->size = c.at ? c.at : 1;
    out->block = (char *)sbxi_alloc_get(alloc, out->size);
    if (!out->block) return SBX_E_NOMEM;
    c.data = out->block;
    c.at = 0;
    sbxi_keep_fields(&c, shape, base);
    return SBX_OK;
}

/* A copy of a struct as a block for sbx_free(); NULL: no memory. */
static void *sbxi_keep_result(const sbx_alloc *alloc, const sbxi_shape *shape, const void *base)
{
    sbxi_cursor c = { NULL, 0, false };
    sbxi_owned *o;
    void *copy;
    sbxi_cursor_put(&c, base, shape->size, 1);
    sbxi_keep_fields(&c, shape, (void *)(uintptr_t)base);
    if (c.overflow || c.at > SIZE_MAX - sizeof *o) return NULL;
    o = (sbxi_owned *)sbxi_alloc_get(alloc, c.at + sizeof *o);
    if (!o) return NULL;
    o->of.alloc = *alloc;
    o->of.size = c.at + sizeof *o;
    c.data = (char *)(o + 1);
    c.at = 0;
    copy = sbxi_cursor_put(&c, base, shape->size, 1);
    sbxi_keep_fields(&c, shape, copy);
    return copy;
}

/* ---- results that are bound into a growing block --------------------------- */

/* Starts a block that sbx_free() will understand. */
static int sbxi_block_start(sbxi_buf *b)
{
    size_t at;
    sbxi_buf_clear(b);
    return sbxi_buf_room(b, sizeof(sbxi_owned), 1, &at);
}

/* Hands the block over: it is no longer the buffer's. */
static void sbxi_block_take(sbxi_buf *b)
{
    sbxi_owned *o = (sbxi_owned *)(void *)b->data;
    o->of.alloc = *b->alloc;
    o->of.size = b->cap;
    sbxi_buf_init(b, b->alloc, b->max);
}

/* ---- which members of the arguments point to the caller's memory ----------- */

#define SBXI_KEEP(type_, member) { NULL, NULL, SBXI_ARG(member), 0, SBXI_T_##type_, 0 }

static const sbxi_field sbxi_keep_create[] = {
    SBXI_KEEP(STRING, create.o.template_id), SBXI_KEEP(PAIRS, create.o.metadata),
    SBXI_KEEP(PAIRS, create.o.envs), SBXI_KEEP(STRING, create.o.idempotency_key)
};
static const sbxi_field sbxi_keep_list[] = {
    SBXI_KEEP(PAIRS, list.q.metadata), SBXI_KEEP(STRING, list.q.template_id)
};
static const sbxi_field sbxi_keep_command[] = {
    SBXI_KEEP(STRING, command.cmd), SBXI_KEEP(PAIRS, command.o.envs),
    SBXI_KEEP(STRING, command.o.cwd), SBXI_KEEP(STRING, command.o.user),
    SBXI_KEEP(STRING, command.o.tag)
};
static const sbxi_field sbxi_keep_files[] = {
    SBXI_KEEP(STRING, files.path), SBXI_KEEP(STRING, files.to),
    SBXI_KEEP(STRING, files.o.user), SBXI_KEEP(BYTES, files.bytes)
};

#undef SBXI_KEEP

static const sbxi_field sbxi_keep_file[] = {
#define SBXI_ROW(type_, member) \
    { NULL, NULL, (uint16_t)offsetof(sbx_file_info, member), 0, SBXI_T_##type_, 0 }
    SBXI_ROW(STRING, name), SBXI_ROW(STRING, path), SBXI_ROW(STRING, permissions),
    SBXI_ROW(STRING, owner), SBXI_ROW(STRING, group), SBXI_ROW(STRING, symlink_target),
    SBXI_ROW(PAIRS, metadata)
#undef SBXI_ROW
};
static const sbxi_shape sbxi_keep_file_shape = SBXI_SHAPE(sbxi_keep_file, sbx_file_info);

static sbxi_shape sbxi_keep_shape(sbx_feature feature)
{
    sbxi_shape s = SBXI_SHAPE(sbxi_keep_files, sbxi_args);
    if (feature == SBX_FEATURE_SANDBOX_CREATE) {
        s.fields = sbxi_keep_create;
        s.count = (uint16_t)SBXI_LEN(sbxi_keep_create);
    } else if (feature == SBX_FEATURE_SANDBOX_LIST) {
        s.fields = sbxi_keep_list;
        s.count = (uint16_t)SBXI_LEN(sbxi_keep_list);
    } else if (feature == SBX_FEATURE_COMMAND_RUN) {
        s.fields = sbxi_keep_command;
        s.count = (uint16_t)SBXI_LEN(sbxi_keep_command);
    } else if (feature < SBX_FEATURE_FILES_READ) {
        s.count = 0;
    }
    return s;
}
