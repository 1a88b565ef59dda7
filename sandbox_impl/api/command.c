/* api/command - commands and processes. Called by the user. */

/* A captured stream becomes the user's, NUL-terminated. */
static int sbxi_take_capture(sbxi_capture *c, char **out, size_t *len, uint64_t *cut)
{
    int rc = c->buf.data ? SBX_OK : sbxi_block_start(&c->buf);
    if (rc == SBX_OK) rc = sbxi_buf_add(&c->buf, "", 1);
    if (rc != SBX_OK) return rc;
    *out = c->buf.data + sizeof(sbxi_owned);
    *len = c->buf.len - sizeof(sbxi_owned) - 1;
    *cut = c->cut;
    sbxi_block_take(&c->buf);
    return SBX_OK;
}

static int sbxi_deliver_command(sbx_op *op)
{
    const sbx_command_options *o = &op->args.of.command.o;
    sbx_command_result *r = op->args.of.command.result;
    int rc = SBX_OK;
    if (!r) return SBX_OK;
    r->pid = op->pid;
    if (o->capture_limit && !o->out.put)
        rc = sbxi_take_capture(&op->captured[0], &r->out, &r->out_len, &r->out_cut);
    if (rc == SBX_OK && o->capture_limit && !o->err.put)
        rc = sbxi_take_capture(&op->captured[1], &r->err, &r->err_len, &r->err_cut);
    if (rc != SBX_OK) {
        sbx_free(r->out);
        memset(r, 0, sizeof *r);
    }
    return rc;
}

/* How much longer than the command's own time the call waits for the word. */
#define SBXI_KILL_GRACE_MS 5000

SBX_API int sbx_command_run(sbx_sandbox *sandbox, const char *cmd,
    const sbx_command_options *options, sbx_command_result *result, const sbx_call *call)
{
    sbxi_args args;
    int32_t ms;
    memset(&args, 0, sizeof args);
    if (result) memset(result, 0, sizeof *result);
    if (!sandbox) return SBX_E_ARG;
    if (!cmd) return sbxi_call_fail(sandbox->client, call, SBX_E_ARG, SBXI_TEXT("cmd is NULL"));
    if (options) args.of.command.o = *options;
    if (!sbxi_pairs_ok(&args.of.command.o.envs))
        return sbxi_call_fail(sandbox->client, call, SBX_E_ARG,
            SBXI_TEXT("envs: a key or value is NULL"));
    args.of.command.cmd = cmd;
    args.of.command.result = result;
    ms = args.of.command.o.timeout_ms ? args.of.command.o.timeout_ms : 60000;
    if (ms > 0) ms = ms > INT32_MAX - SBXI_KILL_GRACE_MS ? SBX_NEVER : ms + SBXI_KILL_GRACE_MS;
    return sbxi_start(sandbox->client, sandbox, SBX_FEATURE_COMMAND_RUN, &args,
                      sbxi_deliver_command, ms, call);
}

SBX_API int sbx_command_list(sbx_sandbox *sandbox, sbx_process_each each, void *ctx,
                             const sbx_call *call)
{
    sbxi_args args;
    memset(&args, 0, sizeof args);
    if (!sandbox) return SBX_E_ARG;
    if (!each) return sbxi_call_fail(sandbox->client, call, SBX_E_ARG, SBXI_TEXT("each is NULL"));
    args.of.pid.each = each;
    args.of.pid.ctx = ctx;
    return sbxi_on_sandbox(sandbox, SBX_FEATURE_COMMAND_LIST, &args, NULL, call);
}

SBX_API int sbx_command_kill(sbx_sandbox *sandbox, uint32_t pid, bool *existed,
    const sbx_call *call)
{
    sbxi_args args;
    memset(&args, 0, sizeof args);
    if (existed) *existed = false;
    if (!sandbox) return SBX_E_ARG;
    if (!pid) return sbxi_call_fail(sandbox->client, call, SBX_E_ARG, SBXI_TEXT("pid is 0"));
    args.of.pid.pid = pid;
    args.answer = existed;
    return sbxi_on_sandbox(sandbox, SBX_FEATURE_COMMAND_KILL, &args, sbxi_deliver_answer, call);
}
