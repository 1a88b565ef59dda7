/* api/watch - watching a directory: a stream of events, or a watch on the host that
   is asked. Called by the user. */

#ifndef SBX_NO_WATCH

static SBXI_APART int sbxi_watch_new(sbx_sandbox *sandbox, const char *path,
    const sbx_watch_options *options, sbx_watch_each each, void *ctx, sbx_watch **out,
    const sbx_call *call, sbxi_following *f)
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
    sbxi_need(&k, each && out, SBXI_TEXT("each or out is NULL"));
    sbxi_need(&k, (unsigned)a->as.w.mode <= SBX_WATCH_ASK,
        SBXI_TEXT("mode is none of sbx_watch_mode"));
    return sbxi_follow(&k, out, f);
}

SBX_API int sbx_files_watch(sbx_sandbox *sandbox, const char *path,
    const sbx_watch_options *options, sbx_watch_each each, void *ctx, sbx_watch **out,
    const sbx_call *call)
{
    sbxi_following f;
    int rc = sbxi_watch_new(sandbox, path, options, each, ctx, out, call, &f);
    return sbxi_followed(&f, rc);
}

static sbx_proc *sbxi_watch_proc(sbx_watch *watch) { return watch ? &watch->of : NULL; }

SBX_API int sbx_watch_poll(sbx_watch *watch, const sbx_call *call)
{
    sbxi_call k;
    sbx_proc *p = sbxi_watch_proc(watch);
    if (p && p->id && p->status == SBX_PENDING)
        sbxi_watch_in(&k, p, SBX_FEATURE_WATCH_POLL, call);
    else
        sbxi_proc_in(&k, p, SBXI_UNTIL_NOW, call);
    return sbxi_start(&k);
}

SBX_API int sbx_watch_stop(sbx_watch *watch, const sbx_call *call)
{
    sbxi_call k;
    sbx_proc *p = sbxi_watch_proc(watch);
    int rc;
    if (p && p->id) sbxi_watch_in(&k, p, SBX_FEATURE_WATCH_STOP, call);
    else sbxi_proc_in(&k, p, SBXI_UNTIL_END, call);
    rc = sbxi_check(&k);
    if (rc != SBX_OK) return rc;
    sbx_op_release(sbxi_unfollow(p));
    p->status = SBX_OK;
    p->refs++; /* a callback may release it meanwhile */
    rc = sbxi_run(&k);
    if (rc >= 0) p->id = NULL; /* else the release tries again */
    sbxi_proc_unref(p);
    return rc;
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
