/* api/files - files of a sandbox. Called by the user. */

static int sbxi_files_args_of(sbx_sandbox *s, const char *path, const sbx_files_options *options,
                              sbxi_args *args, const sbx_call *call)
{
    memset(args, 0, sizeof *args);
    if (!s) return SBX_E_ARG;
    if (!path || !path[0]) return sbxi_call_fail(s->client, call, SBX_E_ARG,
        SBXI_TEXT("path is NULL or empty"));
    if (options) args->of.files.o = *options;
    args->of.files.path = path;
    return SBX_OK;
}

/* A transfer has no total clock of its own. */
static int sbxi_transfer(sbx_sandbox *s, sbx_feature feature, const sbxi_args *args,
                         int (*deliver)(sbx_op *op), const sbx_call *call)
{
    return sbxi_start(s->client, s, feature, args, deliver, SBX_NEVER, call);
}

SBX_API int sbx_files_read(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, sbx_sink to, const sbx_call *call)
{
    sbxi_args args;
    int rc = sbxi_files_args_of(sandbox, path, options, &args, call);
    if (rc != SBX_OK) return rc;
    args.of.files.sink = to;
    return sbxi_transfer(sandbox, SBX_FEATURE_FILES_READ, &args, NULL, call);
}

/* The entry goes to the caller; without one it is freed with the operation. */
static int sbxi_deliver_file(sbx_op *op)
{
    if (!op->args.of.files.info) return SBX_OK;
    if (!op->result) return sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the reply is empty"));
    sbxi_file_fix((sbx_file_info *)op->result);
    *op->args.of.files.info = (sbx_file_info *)op->result;
    op->result = NULL;
    return SBX_OK;
}

SBX_API int sbx_files_write(sbx_sandbox *sandbox, const char *path, sbx_source from,
    const sbx_files_options *options, sbx_file_info **info, const sbx_call *call)
{
    sbxi_args args;
    int rc = sbxi_files_args_of(sandbox, path, options, &args, call);
    if (info) *info = NULL;
    if (rc != SBX_OK) return rc;
    if (!from.get || from.size < -1)
        return sbxi_call_fail(sandbox->client, call, SBX_E_ARG,
            SBXI_TEXT("from.get is NULL or from.size is below -1"));
    args.of.files.one.from = from;
    args.of.files.count = 1;
    args.of.files.info = info;
    return sbxi_transfer(sandbox, SBX_FEATURE_FILES_WRITE, &args, sbxi_deliver_file, call);
}

SBX_API int sbx_files_write_bytes(sbx_sandbox *sandbox, const char *path, const void *data,
    size_t len, const sbx_files_options *options, sbx_file_info **info, const sbx_call *call)
{
    sbxi_args args;
    int rc = sbxi_files_args_of(sandbox, path, options, &args, call);
    if (info) *info = NULL;
    if (rc != SBX_OK) return rc;
    if (len && !data) return sbxi_call_fail(sandbox->client, call, SBX_E_ARG,
        SBXI_TEXT("data is NULL"));
    args.of.files.bytes.data = data;
    args.of.files.bytes.len = len;
    args.of.files.from_bytes = true;
    args.of.files.count = 1;
    args.of.files.info = info;
    return sbxi_transfer(sandbox, SBX_FEATURE_FILES_WRITE, &args, sbxi_deliver_file, call);
}

SBX_API int sbx_files_write_many(sbx_sandbox *sandbox, const sbx_file_write *files, size_t count,
    const sbx_files_options *options, sbx_file_each each, void *ctx, const sbx_call *call)
{
    sbxi_args args;
    size_t i;
    int rc = sbxi_files_args_of(sandbox, "-", options, &args, call);
    if (rc != SBX_OK) return rc;
    if (count && !files) return sbxi_call_fail(sandbox->client, call, SBX_E_ARG,
        SBXI_TEXT("files is NULL"));
    for (i = 0; i < count; i++)
        if (!files[i].path || !files[i].path[0] || !files[i].from.get || files[i].from.size < -1)
            return sbxi_call_fail(sandbox->client, call, SBX_E_ARG,
                SBXI_TEXT("files: a path is empty, or a source has no get() or a bad size"));
    args.of.files.path = NULL;
    args.of.files.files = files;
    args.of.files.count = count;
    args.of.files.each = each;
    args.of.files.ctx = ctx;
    return sbxi_transfer(sandbox, SBX_FEATURE_FILES_WRITE_MANY, &args, NULL, call);
}

SBX_API int sbx_files_list(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, sbx_file_each each, void *ctx, const sbx_call *call)
{
    sbxi_args args;
    int rc = sbxi_files_args_of(sandbox, path, options, &args, call);
    if (rc != SBX_OK) return rc;
    if (!each) return sbxi_call_fail(sandbox->client, call, SBX_E_ARG, SBXI_TEXT("each is NULL"));
    args.of.files.each = each;
    args.of.files.ctx = ctx;
    return sbxi_on_sandbox(sandbox, SBX_FEATURE_FILES_LIST, &args, NULL, call);
}

SBX_API int sbx_files_stat(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, sbx_file_info **out, const sbx_call *call)
{
    sbxi_args args;
    int rc = sbxi_files_args_of(sandbox, path, options, &args, call);
    if (out) *out = NULL;
    if (rc != SBX_OK) return rc;
    if (!out) return sbxi_call_fail(sandbox->client, call, SBX_E_ARG, SBXI_TEXT("out is NULL"));
    args.of.files.info = out;
    return sbxi_on_sandbox(sandbox, SBX_FEATURE_FILES_STAT, &args, sbxi_deliver_file, call);
}

SBX_API int sbx_files_exists(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, bool *exists, const sbx_call *call)
{
    sbxi_args args;
    int rc = sbxi_files_args_of(sandbox, path, options, &args, call);
    if (exists) *exists = false;
    if (rc != SBX_OK) return rc;
    if (!exists) return sbxi_call_fail(sandbox->client, call, SBX_E_ARG,
        SBXI_TEXT("exists is NULL"));
    args.answer = exists;
    return sbxi_on_sandbox(sandbox, SBX_FEATURE_FILES_EXISTS, &args, sbxi_deliver_answer, call);
}

SBX_API int sbx_files_remove(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, const sbx_call *call)
{
    sbxi_args args;
    int rc = sbxi_files_args_of(sandbox, path, options, &args, call);
    if (rc != SBX_OK) return rc;
    return sbxi_on_sandbox(sandbox, SBX_FEATURE_FILES_REMOVE, &args, NULL, call);
}

SBX_API int sbx_files_rename(sbx_sandbox *sandbox, const char *from, const char *to,
    const sbx_files_options *options, sbx_file_info **info, const sbx_call *call)
{
    sbxi_args args;
    int rc = sbxi_files_args_of(sandbox, from, options, &args, call);
    if (info) *info = NULL;
    if (rc != SBX_OK) return rc;
    if (!to || !to[0]) return sbxi_call_fail(sandbox->client, call, SBX_E_ARG,
        SBXI_TEXT("to is NULL or empty"));
    args.of.files.to = to;
    args.of.files.info = info;
    return sbxi_on_sandbox(sandbox, SBX_FEATURE_FILES_RENAME, &args, sbxi_deliver_file, call);
}

SBX_API int sbx_files_make_dir(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, bool *created, const sbx_call *call)
{
    sbxi_args args;
    int rc = sbxi_files_args_of(sandbox, path, options, &args, call);
    if (created) *created = false;
    if (rc != SBX_OK) return rc;
    args.answer = created;
    return sbxi_on_sandbox(sandbox, SBX_FEATURE_FILES_MAKE_DIR, &args, sbxi_deliver_answer, call);
}
