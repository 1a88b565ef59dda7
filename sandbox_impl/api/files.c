/* api/files - files of a sandbox. Called by the user. */

static bool sbxi_source_ok(const sbx_source *s) { return s->get && s->size >= -1; }

#define sbxi_files_metadata SBXI_TEXT("metadata: a key or value is NULL")

/* What a build without them must not pass over. */
static void sbxi_files_extras(sbxi_call *k)
{
    const sbx_files_options *o = &k->args.of.files.o;
    if (!SBXI_HAS_EXTRAS && (o->offset || o->length || o->metadata.count) && !k->status)
        k->status = SBX_E_UNSUPPORTED;
}

/* The path and options that all functions of files share. */
static void sbxi_files_at(sbxi_call *k, const char *path, const sbx_files_options *options)
{
    if (options) k->args.of.files.o = *options;
    k->args.of.files.path = path;
    sbxi_need(k, path && path[0], SBXI_TEXT("path is NULL or empty"));
    sbxi_files_extras(k);
    sbxi_need(k, k->args.of.files.o.offset >= 0 && k->args.of.files.o.length >= 0,
        SBXI_TEXT("offset or length is negative"));
}

SBX_API int sbx_files_read(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, sbx_sink to, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_READ, call);
    sbxi_files_at(&k, path, options);
    k.args.of.files.sink = to;
    return sbxi_start(&k);
}

#ifndef SBX_NO_EXTRAS
SBX_API int sbx_files_read_bytes(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, void **data, size_t *len, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_READ_BYTES | SBXI_WANTS, call);
    sbxi_files_at(&k, path, options);
    k.args.out = data;
    k.args.of.files.len = len;
    if (len) *len = 0;
    sbxi_need(&k, len != NULL, SBXI_TEXT("len is NULL"));
    return sbxi_start(&k);
}
#endif

static int sbxi_files_write(sbxi_call *k, const sbx_source *from, void *info)
{
    k->args.of.files.one.from = *from;
    k->args.out = info;
    sbxi_need(k, sbxi_source_ok(from), SBXI_TEXT("from.get is NULL or from.size is below -1"));
    sbxi_need(k, sbxi_pairs_ok(&k->args.of.files.o.metadata), sbxi_files_metadata);
    return sbxi_start(k);
}

SBX_API int sbx_files_write(sbx_sandbox *sandbox, const char *path, sbx_source from,
    const sbx_files_options *options, sbx_file_info **info, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_WRITE, call);
    sbxi_files_at(&k, path, options);
    return sbxi_files_write(&k, &from, info);
}

SBX_API int sbx_files_write_bytes(sbx_sandbox *sandbox, const char *path, const void *data,
    size_t len, const sbx_files_options *options, sbx_file_info **info, const sbx_call *call)
{
    sbxi_call k;
    sbxi_files_args *a = &k.args.of.files;
    sbx_source from;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_WRITE, call);
    sbxi_files_at(&k, path, options);
    sbxi_need(&k, data || len == 0, SBXI_TEXT("data is NULL"));
    a->reading.data = data;
    a->reading.len = len;
    a->from_bytes = true;
    from = sbx_source_memory(&a->reading);
    return sbxi_files_write(&k, &from, info);
}

SBX_API int sbx_files_write_many(sbx_sandbox *sandbox, const sbx_file_write *files, size_t count,
    const sbx_files_options *options, sbx_file_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_files_args *a = &k.args.of.files;
    size_t i;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_WRITE_MANY, call);
    if (options) a->o = *options;
    sbxi_files_extras(&k);
    a->files = files;
    a->count = count;
    k.args.each.file = each;
    k.args.ctx = ctx;
    sbxi_need(&k, files || count == 0, SBXI_TEXT("files is NULL"));
    sbxi_need(&k, sbxi_pairs_ok(&a->o.metadata), sbxi_files_metadata);
    for (i = 0; files && i < count; i++)
        sbxi_need(&k, files[i].path && files[i].path[0] && sbxi_source_ok(&files[i].from),
            SBXI_TEXT("files: a path is empty, or a source has no get() or a bad size"));
    return sbxi_start(&k);
}

SBX_API int sbx_files_list(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, sbx_file_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_LIST | SBXI_WANTS, call);
    sbxi_files_at(&k, path, options);
    k.args.each.file = each;
    k.args.ctx = ctx;
    return sbxi_start(&k);
}

SBX_API int sbx_files_stat(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, sbx_file_info **out, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_STAT | SBXI_WANTS, call);
    sbxi_files_at(&k, path, options);
    k.args.out = out;
    return sbxi_start(&k);
}

SBX_API int sbx_files_exists(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, bool *exists, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_EXISTS | SBXI_WANTS, call);
    sbxi_files_at(&k, path, options);
    k.args.answer = exists;
    return sbxi_start(&k);
}

SBX_API int sbx_files_remove(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_REMOVE, call);
    sbxi_files_at(&k, path, options);
    return sbxi_start(&k);
}

#ifndef SBX_NO_EXTRAS
SBX_API int sbx_files_url(sbx_sandbox *sandbox, const char *path, const sbx_url_options *options,
    char *out, size_t cap, const sbx_call *call)
{
    sbxi_call k;
    sbxi_files_args *a = &k.args.of.files;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_URL, call);
    sbxi_files_at(&k, path, NULL);
    if (options) a->as.u = *options;
    a->o.user = a->as.u.user;
    a->text = out;
    a->cap = cap;
    if (out && cap) out[0] = 0;
    sbxi_need(&k, out && cap, SBXI_TEXT("out is NULL or cap 0"));
    return sbxi_start(&k);
}
#endif

SBX_API int sbx_files_rename(sbx_sandbox *sandbox, const char *from, const char *to,
    const sbx_files_options *options, sbx_file_info **info, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_RENAME, call);
    sbxi_files_at(&k, from, options);
    k.args.of.files.to = to;
    k.args.out = info;
    sbxi_need(&k, to && to[0], SBXI_TEXT("to is NULL or empty"));
    return sbxi_start(&k);
}

SBX_API int sbx_files_make_dir(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, bool *created, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_MAKE_DIR, call);
    sbxi_files_at(&k, path, options);
    k.args.answer = created;
    return sbxi_start(&k);
}
