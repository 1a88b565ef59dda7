/* api/command - commands and processes. Called by the user. */

/* How much longer than the command's own time the call waits for the word. */
#define SBXI_KILL_GRACE_MS 5000

/* What all functions with a stream share. `background`: the call is over before it. */
static void sbxi_command_in(sbxi_call *k, sbx_sandbox *sandbox, unsigned feature,
    const sbx_command_options *options, const sbx_call *call)
{
    sbxi_command_args *a = &k->args.of.command;
    bool background = feature != SBX_FEATURE_COMMAND_RUN;
    int32_t ms;
    sbxi_call_in(k, sandbox, feature, call);
    if (options) a->o = *options;
    if (background && a->o.timeout_ms == 0) a->o.timeout_ms = SBX_NEVER;
    ms = a->o.timeout_ms;
    if (ms == 0 && sandbox) ms = sandbox->client->provider->command_ms;
    k->total_ms = ms < 0 || ms > INT32_MAX - SBXI_KILL_GRACE_MS ? SBX_NEVER
                : ms + SBXI_KILL_GRACE_MS;
    sbxi_need(k, sbxi_pairs_ok(&a->o.envs), SBXI_TEXT("envs: a key or value is NULL"));
    sbxi_need(k, background || a->o.pull != SBX_YES,
        SBXI_TEXT("pull needs a handle: use sbx_command_start()"));
}

SBX_API int sbx_command_run(sbx_sandbox *sandbox, const char *cmd,
    const sbx_command_options *options, sbx_command_result *result, const sbx_call *call)
{
    sbxi_call k;
    sbxi_command_in(&k, sandbox, SBX_FEATURE_COMMAND_RUN, options, call);
    if (result) memset(result, 0, sizeof *result);
    k.args.of.command.cmd = cmd;
    k.args.of.command.result = result;
    sbxi_need(&k, cmd != NULL, SBXI_TEXT("cmd is NULL"));
    return sbxi_start(&k);
}

/* One process, by pid. */
static void sbxi_process_in(sbxi_call *k, sbx_sandbox *sandbox, unsigned feature, uint32_t pid,
    const sbx_call *call)
{
    sbxi_call_in(k, sandbox, feature, call);
    k->args.of.process.pid = pid;
    sbxi_need(k, pid != 0, SBXI_TEXT("pid is 0"));
}

SBX_API int sbx_command_list(sbx_sandbox *sandbox, sbx_process_each each, void *ctx,
                             const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_COMMAND_LIST | SBXI_WANTS, call);
    k.args.each.process = each;
    k.args.ctx = ctx;
    return sbxi_start(&k);
}

SBX_API int sbx_command_kill(sbx_sandbox *sandbox, uint32_t pid, bool *existed,
    const sbx_call *call)
{
    sbxi_call k;
    sbxi_process_in(&k, sandbox, SBX_FEATURE_COMMAND_KILL, pid, call);
    k.args.answer = existed;
    return sbxi_start(&k);
}

SBX_API int sbx_command_signal(sbx_sandbox *sandbox, uint32_t pid, sbx_signal signal,
    bool *existed, const sbx_call *call)
{
    sbxi_call k;
    sbxi_process_in(&k, sandbox, SBX_FEATURE_COMMAND_SIGNAL, pid, call);
    k.args.of.process.signal = signal;
    k.args.answer = existed;
    sbxi_need(&k, (unsigned)signal <= SBX_SIGNAL_TERM, SBXI_TEXT("signal is none of sbx_signal"));
    return sbxi_start(&k);
}

static int sbxi_send_input(sbx_sandbox *sandbox, unsigned feature, uint32_t pid, const void *data,
    size_t len, const sbx_call *call)
{
    sbxi_call k;
    sbxi_process_in(&k, sandbox, feature, pid, call);
    k.args.of.process.data.data = len ? data : "";
    k.args.of.process.data.len = len;
    sbxi_need(&k, data || len == 0, SBXI_TEXT("data is NULL"));
    return sbxi_start(&k);
}

SBX_API int sbx_command_send_stdin(sbx_sandbox *sandbox, uint32_t pid, const void *data,
    size_t len, const sbx_call *call)
{
    return sbxi_send_input(sandbox, SBX_FEATURE_COMMAND_SEND_STDIN, pid, data, len, call);
}

#ifndef SBX_NO_PTY
SBX_API int sbx_pty_send_input(sbx_sandbox *sandbox, uint32_t pid, const void *data,
    size_t len, const sbx_call *call)
{
    return sbxi_send_input(sandbox, SBX_FEATURE_PTY_SEND_INPUT, pid, data, len, call);
}
#endif

#ifndef SBX_NO_PROC
static int sbxi_stream_input(sbx_sandbox *sandbox, unsigned feature, uint32_t pid,
    const sbx_source *from, const sbx_call *call)
{
    sbxi_call k;
    sbxi_process_in(&k, sandbox, feature, pid, call);
    k.args.of.process.from = *from;
    sbxi_need(&k, from->get != NULL, SBXI_TEXT("from.get is NULL"));
    return sbxi_start(&k);
}

SBX_API int sbx_command_stream_stdin(sbx_sandbox *sandbox, uint32_t pid, sbx_source from,
    const sbx_call *call)
{
    return sbxi_stream_input(sandbox, SBX_FEATURE_COMMAND_STREAM_STDIN, pid, &from, call);
}
#endif

#ifndef SBX_NO_PTY
SBX_API int sbx_pty_stream_input(sbx_sandbox *sandbox, uint32_t pid, sbx_source from,
    const sbx_call *call)
{
    return sbxi_stream_input(sandbox, SBX_FEATURE_PTY_STREAM_INPUT, pid, &from, call);
}
#endif

SBX_API int sbx_command_close_stdin(sbx_sandbox *sandbox, uint32_t pid, const sbx_call *call)
{
    sbxi_call k;
    sbxi_process_in(&k, sandbox, SBX_FEATURE_COMMAND_CLOSE_STDIN, pid, call);
    return sbxi_start(&k);
}

#ifndef SBX_NO_PTY
SBX_API int sbx_pty_resize(sbx_sandbox *sandbox, uint32_t pid, uint16_t cols, uint16_t rows,
    const sbx_call *call)
{
    sbxi_call k;
    sbxi_process_in(&k, sandbox, SBX_FEATURE_PTY_RESIZE, pid, call);
    k.args.of.process.cols = cols;
    k.args.of.process.rows = rows;
    sbxi_need(&k, cols && rows, SBXI_TEXT("cols or rows is 0"));
    return sbxi_start(&k);
}
#endif
