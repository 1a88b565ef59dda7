/* api/command - commands and processes. Called by the user. */

/* How much longer than the command's own time the call waits for the word. */
#define SBXI_KILL_GRACE_MS 5000

SBX_API int sbx_command_run(sbx_sandbox *sandbox, const char *cmd,
    const sbx_command_options *options, sbx_command_result *result, const sbx_call *call)
{
    sbxi_call k;
    sbxi_command_args *a = &k.args.of.command;
    int32_t ms;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_COMMAND_RUN, call);
    if (result) memset(result, 0, sizeof *result);
    if (options) a->o = *options;
    a->cmd = cmd;
    a->result = result;
    ms = a->o.timeout_ms;
    if (ms == 0 && sandbox) ms = sandbox->client->provider->command_ms;
    k.total_ms = ms < 0 || ms > INT32_MAX - SBXI_KILL_GRACE_MS ? SBX_NEVER
               : ms + SBXI_KILL_GRACE_MS;
    sbxi_need(&k, cmd != NULL, SBXI_TEXT("cmd is NULL"));
    sbxi_need(&k, sbxi_pairs_ok(&a->o.envs), SBXI_TEXT("envs: a key or value is NULL"));
    return sbxi_start(&k);
}

SBX_API int sbx_command_list(sbx_sandbox *sandbox, sbx_process_each each, void *ctx,
                             const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_COMMAND_LIST, call);
    k.args.each.process = each;
    k.args.ctx = ctx;
    return sbxi_start(&k);
}

SBX_API int sbx_command_kill(sbx_sandbox *sandbox, uint32_t pid, bool *existed,
    const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_COMMAND_KILL, call);
    k.args.of.pid = pid;
    k.args.answer = existed;
    sbxi_need(&k, pid != 0, SBXI_TEXT("pid is 0"));
    return sbxi_start(&k);
}
