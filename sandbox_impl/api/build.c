/* api/build - builds of templates, and the templates of the service: gather the
   arguments, check what is peculiar to each, start the operation. Called by the user. */

#ifndef SBX_NO_TEMPLATE

/* ---- builds ------------------------------------------------------------------------ */

/* Gives back what a build holds, however it ended. */
static void sbxi_build_clean(sbxi_args *args) { sbxi_building_free(args->of.build.b); }

static void sbxi_need_tags(sbxi_call *k, const sbx_strings *tags)
{
    sbxi_need(k, sbxi_strings_ok(tags, false), SBXI_TEXT("a tag is NULL or empty"));
}

/* The operation of a checked call with what a build needs; the template is busy from
   here on. */
static int sbxi_build_op(sbxi_call *k, sbx_op **op)
{
    const sbx_alloc *alloc = k->client ? &k->client->link.alloc : NULL;
    sbx_template *t = k->args.of.build.t;
    sbxi_building *b;
    int rc = sbxi_check(k);
    if (rc != SBX_OK) return rc;
    b = (sbxi_building *)sbxi_alloc_get(alloc, sizeof *b);
    k->args.of.build.b = b;
    k->clean = sbxi_build_clean;
    *op = b ? sbxi_op_new(k) : NULL;
    if (!*op) {
        sbxi_alloc_free(alloc, b, sizeof *b);
        return sbxi_call_fail(k->client, k->call, SBX_E_NOMEM, NULL);
    }
    b->alloc = alloc;
    sbxi_ignore_init(&b->ignores, SBXI_GLOB_DOCKER, alloc);
    b->t = t;
    if (t) t->busy = true;
    return SBX_OK;
}

static int sbxi_build_go(sbxi_call *k)
{
    sbx_op *op;
    int rc = sbxi_build_op(k, &op);
    return rc == SBX_OK ? sbxi_go(op) : rc;
}

/* There is no template, nor a client: what can be told is told. */
static int sbxi_build_nothing(sbx_build_info **out, const sbx_call *call)
{
    if (out) *out = NULL;
    if (call && call->error) return sbxi_call_fail(NULL, call, SBX_E_NOMEM, NULL);
    if (call && call->op) *call->op = NULL;
    return SBX_E_NOMEM;
}

/* What it prepares with is off the stack when the build runs. */
static SBXI_APART int sbxi_build_new(sbx_template *t, unsigned feature,
    const sbx_build_options *options, sbx_build_info **out, const sbx_call *call, sbx_op **op)
{
    sbxi_call k;
    sbxi_build_args *a = &k.args.of.build;
    if (!t) return sbxi_build_nothing(out, call);
    sbxi_call_on(&k, t->client, feature, call);
    k.args.out = out;
    k.total_ms = SBX_NEVER;
    a->t = t;
    if (options) a->o = *options;
    k.args.each.build_log = a->o.log;
    k.args.ctx = a->o.ctx;
    k.status = sbxi_template_refused(t); /* two builds would share the tree, and the hashes */
    k.message = k.status == SBX_E_REENTRANT
        ? SBXI_TEXT("a build of this template runs, or a function of it") : t->error.message;
    sbxi_need(&k, a->o.name && a->o.name[0], SBXI_TEXT("options.name is NULL or empty"));
    sbxi_need_tags(&k, &a->o.tags);
    sbxi_need(&k, a->o.cpu_count >= 0 && a->o.memory_mib >= 0 && a->o.disk_mib >= 0,
        SBXI_TEXT("cpu_count, memory_mib or disk_mib is negative"));
    sbxi_need(&k, a->o.level >= SBX_NEVER && a->o.level <= 9,
        SBXI_TEXT("level is neither 0 to 9 nor SBX_NEVER"));
    return sbxi_build_op(&k, op);
}

static int sbxi_build(sbx_template *t, unsigned feature, const sbx_build_options *options,
                      sbx_build_info **out, const sbx_call *call)
{
    sbx_op *op;
    int rc = sbxi_build_new(t, feature, options, out, call, &op);
    return rc == SBX_OK ? sbxi_go(op) : rc;
}

SBX_API int sbx_template_build(sbx_template *t, const sbx_build_options *options,
                               sbx_build_info **out, const sbx_call *call)
{
    return sbxi_build(t, SBX_FEATURE_TEMPLATE_BUILD, options, out, call);
}

SBX_API int sbx_template_build_start(sbx_template *t, const sbx_build_options *options,
                                     sbx_build_info **out, const sbx_call *call)
{
    return sbxi_build(t, SBX_FEATURE_TEMPLATE_BUILD_START, options, out, call);
}

/* A build that is known by its ids. */
static void sbxi_build_by_id(sbxi_call *k, sbx_client *client, unsigned feature,
                             const char *template_id, const char *build_id, const sbx_call *call)
{
    sbxi_call_on(k, client, feature, call);
    k->args.target = template_id;
    k->args.key = build_id;
    sbxi_need(k, template_id && template_id[0] && build_id && build_id[0],
        SBXI_TEXT("template_id or build_id is NULL or empty"));
}

SBX_API int sbx_build_get_status(sbx_client *client, const char *template_id,
                                 const char *build_id, int32_t log_offset,
                                 sbx_build_log_each each, void *ctx, sbx_build_info **out,
                                 const sbx_call *call)
{
    sbxi_call k;
    sbxi_build_by_id(&k, client, SBX_FEATURE_BUILD_GET_STATUS, template_id, build_id, call);
    k.args.each.build_log = each;
    k.args.ctx = ctx;
    k.args.out = out;
    k.args.of.build.lines = log_offset;
    sbxi_need(&k, log_offset >= 0, SBXI_TEXT("log_offset is negative"));
    return sbxi_build_go(&k);
}

SBX_API int sbx_build_wait(sbx_client *client, const char *template_id, const char *build_id,
                           const sbx_build_options *options, sbx_build_info **out,
                           const sbx_call *call)
{
    sbxi_call k;
    sbxi_build_by_id(&k, client, SBX_FEATURE_BUILD_WAIT, template_id, build_id, call);
    k.args.out = out;
    k.total_ms = SBX_NEVER;
    if (options) {
        k.args.each.build_log = k.args.of.build.o.log = options->log;
        k.args.ctx = k.args.of.build.o.ctx = options->ctx;
    }
    return sbxi_build_go(&k);
}

/* ---- a logger ------------------------------------------------------------------------ */

/* Its number among the levels; what is no level is info. */
static unsigned sbxi_level_of(const char *level)
{
    static const char *const levels[] = { "debug", "info", "warn", "error" };
    unsigned i = 0;
    while (level && i < 4 && strcmp(levels[i], level) != 0) i++;
    return level && i < 4 ? i : 1;
}

SBX_API int sbx_build_print(void *printer, const sbx_build_log *log)
{
    static const char *const colours[] = { "\x1B[2m", "", "\x1B[33m", "\x1B[31m" };
    const sbx_build_printer *p = (const sbx_build_printer *)printer;
    const char *parts[5];
    unsigned level, i;
    int rc = SBX_OK;
    if (!p || !p->to.put || !log || !log->message) return SBX_E_ARG;
    level = sbxi_level_of(log->level);
    if (level < sbxi_level_of(p->least)) return SBX_OK;
    if (p->plain == SBX_YES) level = 1; /* which has no colour */
    parts[0] = colours[level];
    parts[1] = parts[2] = "";
    if (log->step) {
        parts[1] = log->step;
        parts[2] = ": ";
    }
    parts[3] = log->message;
    parts[4] = *parts[0] ? "\x1B[0m\n" : "\n";
    for (i = 0; i < 5 && rc == SBX_OK; i++)
        if (*parts[i]) rc = p->to.put(p->to.ctx, parts[i], strlen(parts[i]));
    return rc;
}

/* ---- templates of the service ----------------------------------------------------------- */

/* A call about one template. */
static void sbxi_template_call(sbxi_call *k, sbx_client *client, unsigned feature,
                               const char *name, const sbx_call *call)
{
    sbxi_call_on(k, client, feature, call);
    k->args.target = name;
    sbxi_need(k, name && name[0], SBXI_TEXT("the template's name or id is NULL or empty"));
}

SBX_API int sbx_template_exists(sbx_client *client, const char *name, bool *exists,
                                const sbx_call *call)
{
    sbxi_call k;
    sbxi_template_call(&k, client, SBX_FEATURE_TEMPLATE_EXISTS | SBXI_WANTS, name, call);
    k.args.answer = exists;
    return sbxi_start(&k);
}

SBX_API int sbx_template_list(sbx_client *client, sbx_template_each each, void *ctx,
                              const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_on(&k, client, SBX_FEATURE_TEMPLATE_LIST | SBXI_WANTS, call);
    k.args.each.one_template = each;
    k.args.ctx = ctx;
    return sbxi_start(&k);
}

SBX_API int sbx_template_builds(sbx_client *client, const char *template_id, sbx_page *page,
                                sbx_template_build_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_template_call(&k, client, SBX_FEATURE_TEMPLATE_BUILDS | SBXI_WANTS, template_id, call);
    k.args.each.build = each;
    k.args.ctx = ctx;
    k.args.of.list.page = page;
    return sbxi_start_page(&k);
}

SBX_API int sbx_template_delete(sbx_client *client, const char *template_id, bool *existed,
                                const sbx_call *call)
{
    sbxi_call k;
    sbxi_template_call(&k, client, SBX_FEATURE_TEMPLATE_DELETE, template_id, call);
    k.args.answer = existed;
    return sbxi_start(&k);
}

SBX_API int sbx_template_set_public(sbx_client *client, const char *template_id, bool is_public,
                                    const sbx_call *call)
{
    sbxi_call k;
    sbxi_template_call(&k, client, SBX_FEATURE_TEMPLATE_SET_PUBLIC, template_id, call);
    k.args.of.build.is_public = is_public ? SBX_YES : SBX_NO;
    return sbxi_start(&k);
}

SBX_API int sbx_template_list_tags(sbx_client *client, const char *template_id,
                                   sbx_template_tag_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_template_call(&k, client, SBX_FEATURE_TEMPLATE_LIST_TAGS | SBXI_WANTS, template_id, call);
    k.args.each.tag = each;
    k.args.ctx = ctx;
    return sbxi_start(&k);
}

static int sbxi_change_tags(sbx_client *client, unsigned feature, const char *name,
                            const sbx_strings *tags, const sbx_call *call)
{
    sbxi_call k;
    sbxi_template_call(&k, client, feature, name, call);
    k.args.of.build.tag_name = name;
    k.args.of.build.o.tags = *tags;
    sbxi_need(&k, tags->count, SBXI_TEXT("no tags are given"));
    sbxi_need_tags(&k, tags);
    return sbxi_start(&k);
}

SBX_API int sbx_template_add_tags(sbx_client *client, const char *target, sbx_strings tags,
                                  const sbx_call *call)
{
    return sbxi_change_tags(client, SBX_FEATURE_TEMPLATE_ADD_TAGS, target, &tags, call);
}

SBX_API int sbx_template_remove_tags(sbx_client *client, const char *name, sbx_strings tags,
                                     const sbx_call *call)
{
    return sbxi_change_tags(client, SBX_FEATURE_TEMPLATE_REMOVE_TAGS, name, &tags, call);
}

#endif /* SBX_NO_TEMPLATE */
