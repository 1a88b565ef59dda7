/* api/watch - watching a directory: a stream of events, or a watch on the host that
   is asked. Called by the user. */

#ifndef SBX_NO_WATCH

SBX_API int sbx_files_watch(sbx_sandbox *sandbox, const char *path,
    const sbx_watch_options *options, sbx_watch_each each, void *ctx, sbx_watch **out,
    const sbx_call *call)
{
    sbxi_call k;
    sbxi_files_args *a = &k.args.of.files;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_WATCH | SBXI_WANTS, call);
    sbxi_files_at(&k, path, NULL);
    if (options) a->as.w = *options;
    a->o.user = a->as.w.user;
    if (a->as.w.interval_ms == 0) a->as.w.interval_ms = 1000;
    k.total_ms = a->as.w.timeout_ms > 0 ? a->as.w.timeout_ms : SBX_NEVER;
    k.args.each.watch = each;
    k.args.ctx = ctx;
    sbxi_need(&k, each != NULL, SBXI_TEXT("each is NULL"));
    sbxi_need(&k, (unsigned)a->as.w.mode <= SBX_WATCH_ASK,
        SBXI_TEXT("mode is none of sbx_watch_mode"));
    return sbxi_follow(&k, out);
}

SBX_API int sbx_watch_poll(sbx_watch *watch, const sbx_call *call)
{
    sbxi_call k;
    if (!watch) return SBX_E_ARG;
    if (!watch->of.id || watch->of.status != SBX_PENDING)
        return sbxi_proc_ask(&watch->of, SBXI_UNTIL_NOW, NULL, NULL, call);
    sbxi_watch_in(&k, &watch->of, SBX_FEATURE_WATCH_POLL, call);
    return sbxi_start(&k);
}

SBX_API int sbx_watch_stop(sbx_watch *watch, const sbx_call *call)
{
    sbxi_call k;
    if (!watch) return SBX_E_ARG;
    sbx_op_release(sbxi_unfollow(&watch->of));
    watch->of.status = SBX_OK;
    if (!watch->of.id) return sbxi_proc_ask(&watch->of, SBXI_UNTIL_NOW, NULL, NULL, call);
    sbxi_watch_in(&k, &watch->of, SBX_FEATURE_WATCH_STOP, call);
    watch->of.id = NULL; /* the call has a copy */
    return sbxi_start(&k);
}

SBX_API int sbx_watch_status(const sbx_watch *watch)
{
    return watch ? watch->of.status : SBX_E_ARG;
}

SBX_API void sbx_watch_release(sbx_watch *watch)
{
    sbx_proc_release(watch ? &watch->of : NULL);
}

#endif
