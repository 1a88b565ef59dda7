/* api/proc - processes in the background and terminals: handles that follow one
   process. What they share with watches stands first. Called by the user. */

#ifndef SBX_NO_PROC

/* The stream: nothing of the call but the credentials is for it. */
static SBXI_APART sbx_op *sbxi_follow_stream(sbxi_call *k)
{
    const sbx_call *call = k->call;
    sbx_call background;
    sbx_op *op;
    memset(&background, 0, sizeof background);
    if (call) {
        background.api_key = call->api_key;
        background.domain = call->domain;
    }
    k->call = &background;
    op = sbxi_op_new(k);
    k->call = call;
    return op;
}

/* What is begun, and waits. */
typedef struct sbxi_following { sbx_proc *proc; sbx_op *op; } sbxi_following;

/* Starts the stream and the operation that waits for its first word. out: where the
   pointer to the handle goes. What it is called with is off the stack when they run. */
static int sbxi_follow(sbxi_call *k, void *out, sbxi_following *f)
{
    const sbx_call *call = k->call;
    sbx_proc *p;
    int rc;
    f->proc = NULL;
    f->op = NULL;
    k->args.out = out;
    rc = sbxi_check(k);
    if (rc != SBX_OK) return rc;
    p = (sbx_proc *)sbxi_alloc_get(&k->client->link.alloc, sizeof *p);
    if (!p) return sbxi_call_fail(k->client, call, SBX_E_NOMEM, NULL);
    p->sandbox = k->sandbox;
    p->sandbox->refs++;
    p->status = SBX_PENDING;
    sbxi_error_clear(&p->error);
    p->refs = 1; /* this function's */
    p->each = k->args.each.watch;
    p->ctx = k->args.ctx;
    k->args.out = NULL;
    if (sbxi_is_stream(k->feature)) {
        p->pty = k->feature == SBX_FEATURE_PTY_CREATE || k->feature == SBX_FEATURE_PTY_CONNECT;
        p->pull = k->args.of.command.o.pull == SBX_YES;
        k->args.of.command.result = &p->result;
    }
    k->proc = p;
    p->stream = sbxi_follow_stream(k);
    if (p->stream) {
        p->stream->released = true;
        /* the same call, but it waits: no arguments of its own */
        memset(&k->args, 0, sizeof k->args);
        k->args.out = out;
        k->until = SBXI_UNTIL_START;
        k->total_ms = k->client->link.clocks.total_ms;
        f->op = sbxi_op_new(k);
    }
    f->proc = p;
    return p->stream && f->op ? SBX_OK : sbxi_call_fail(k->client, call, SBX_E_NOMEM, NULL);
}

/* Runs what was begun, unless that failed. */
static int sbxi_followed(const sbxi_following *f, int rc)
{
    sbx_proc *p = f->proc;
    if (rc == SBX_OK) rc = sbxi_go(f->op);
    if (!p) return rc;
    if (p->refs > 1) sbxi_proc_unref(p); /* others hold it now, or nobody */
    else sbx_proc_release(p);
    return rc;
}

static SBXI_APART int sbxi_start_new(sbx_sandbox *sandbox, const char *cmd,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call, sbxi_following *f)
{
    sbxi_call k;
    sbxi_command_in(&k, sandbox, SBX_FEATURE_COMMAND_START | SBXI_WANTS, options, call);
    k.args.of.command.cmd = cmd;
    sbxi_need(&k, cmd != NULL, SBXI_TEXT("cmd is NULL"));
    return sbxi_follow(&k, out, f);
}

SBX_API int sbx_command_start(sbx_sandbox *sandbox, const char *cmd,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call)
{
    sbxi_following f;
    int rc = sbxi_start_new(sandbox, cmd, options, out, call, &f);
    return sbxi_followed(&f, rc);
}

static SBXI_APART int sbxi_connect_new(sbx_sandbox *sandbox, unsigned feature, uint32_t pid,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call, sbxi_following *f)
{
    sbxi_call k;
    sbxi_command_in(&k, sandbox, feature, options, call);
    k.args.of.command.at.pid = pid;
    sbxi_need(&k, pid || k.args.of.command.o.tag, SBXI_TEXT("pid is 0 and options.tag NULL"));
    return sbxi_follow(&k, out, f);
}

static int sbxi_connect_to(sbx_sandbox *sandbox, unsigned feature, uint32_t pid,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call)
{
    sbxi_following f;
    int rc = sbxi_connect_new(sandbox, feature, pid, options, out, call, &f);
    return sbxi_followed(&f, rc);
}

SBX_API int sbx_command_connect(sbx_sandbox *sandbox, uint32_t pid,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call)
{
    return sbxi_connect_to(sandbox, SBX_FEATURE_COMMAND_CONNECT | SBXI_WANTS, pid, options, out,
                           call);
}

#ifndef SBX_NO_PTY

SBX_API int sbx_pty_connect(sbx_sandbox *sandbox, uint32_t pid,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call)
{
    return sbxi_connect_to(sandbox, SBX_FEATURE_PTY_CONNECT | SBXI_WANTS, pid, options, out, call);
}

static SBXI_APART int sbxi_pty_new(sbx_sandbox *sandbox, uint16_t cols, uint16_t rows,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call, sbxi_following *f)
{
    sbxi_call k;
    sbxi_process_args *at = &k.args.of.command.at;
    sbxi_command_in(&k, sandbox, SBX_FEATURE_PTY_CREATE | SBXI_WANTS, options, call);
    at->cols = cols ? cols : 80;
    at->rows = rows ? rows : 24;
    return sbxi_follow(&k, out, f);
}

SBX_API int sbx_pty_create(sbx_sandbox *sandbox, uint16_t cols, uint16_t rows,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call)
{
    sbxi_following f;
    int rc = sbxi_pty_new(sandbox, cols, rows, options, out, call, &f);
    return sbxi_followed(&f, rc);
}

#endif

static sbx_sandbox *sbxi_proc_box(const sbx_proc *proc) { return proc ? proc->sandbox : NULL; }

/* A call that waits for something of the stream. */
static void sbxi_proc_in(sbxi_call *k, sbx_proc *proc, uint8_t until, const sbx_call *call)
{
    sbxi_call_in(k, sbxi_proc_box(proc), SBX_FEATURE_COMMAND_START, call);
    k->total_ms = SBX_NEVER;
    k->until = until;
    k->proc = proc;
}

/* Whether a call waits for the next piece: two of them would get the same. */
static bool sbxi_proc_asked(const sbx_proc *proc)
{
    const sbx_op *op = proc ? proc->sandbox->client->ops : NULL;
    while (op && (op->proc != proc || op->until != SBXI_UNTIL_OUTPUT || op->cancelled))
        op = op->next;
    return op != NULL;
}

/* ---- the handle of a process ------------------------------------------------ */

SBX_API uint32_t sbx_proc_pid(const sbx_proc *proc) { return proc ? proc->pid : 0; }

SBX_API int sbx_proc_status(const sbx_proc *proc) { return proc ? proc->status : SBX_E_ARG; }

SBX_API int sbx_proc_next(sbx_proc *proc, sbx_proc_event *event, const sbx_call *call)
{
    sbxi_call k;
    sbxi_proc_in(&k, proc, SBXI_UNTIL_OUTPUT, call);
    if (event) memset(event, 0, sizeof *event);
    k.args.out = event;
    sbxi_need(&k, event != NULL, SBXI_TEXT("event is NULL"));
    sbxi_need(&k, !proc || proc->pull, SBXI_TEXT("it was started without options.pull"));
    if (sbxi_proc_asked(proc)) {
        k.status = SBX_E_CONFLICT;
        k.message = SBXI_TEXT("another sbx_proc_next() waits for the same piece");
    }
    if (!k.status && proc && proc->piece.data && proc->handed) { /* now it is done with */
        proc->piece.data = NULL;
        proc->taken = true;
        if (proc->status == SBX_PENDING) sbx_op_wake(proc->stream);
        else sbx_op_release(sbxi_unfollow(proc));
    }
    return sbxi_start(&k);
}

SBX_API int sbx_proc_wait(sbx_proc *proc, sbx_command_result *result, const sbx_call *call)
{
    sbxi_call k;
    int rc;
    if (result) memset(result, 0, sizeof *result);
    sbxi_proc_in(&k, proc, SBXI_UNTIL_END, call);
    k.args.of.command.result = result;
    rc = sbxi_check(&k);
    if (rc != SBX_OK) return rc;
    if (proc->pull && !(call && call->op)) { /* nobody can pull meanwhile */
        proc->pull = proc->taken = proc->handed = false;
        proc->piece.data = NULL;
        if (proc->stream) sbx_op_wake(proc->stream);
    }
    return sbxi_run(&k);
}

SBX_API int sbx_proc_write(sbx_proc *proc, const void *data, size_t len, const sbx_call *call)
{
    bool pty = SBXI_HAS_PTY && proc && proc->pty;
    return sbxi_send_input(sbxi_proc_box(proc), pty ? SBX_FEATURE_PTY_SEND_INPUT
        : SBX_FEATURE_COMMAND_SEND_STDIN, sbx_proc_pid(proc), data, len, call);
}

SBX_API int sbx_proc_close_stdin(sbx_proc *proc, const sbx_call *call)
{
    return sbx_command_close_stdin(sbxi_proc_box(proc), sbx_proc_pid(proc), call);
}

SBX_API int sbx_proc_kill(sbx_proc *proc, bool *existed, const sbx_call *call)
{
    return sbx_command_kill(sbxi_proc_box(proc), sbx_proc_pid(proc), existed, call);
}

#ifndef SBX_NO_PTY
SBX_API int sbx_proc_resize(sbx_proc *proc, uint16_t cols, uint16_t rows, const sbx_call *call)
{
    return sbx_pty_resize(sbxi_proc_box(proc), sbx_proc_pid(proc), cols, rows, call);
}
#endif

SBX_API void sbx_proc_wake(sbx_proc *proc)
{
    if (proc && !proc->pull) sbx_op_wake(proc->stream);
}

SBX_API void sbx_proc_release(sbx_proc *proc)
{
    sbx_op *stream;
    if (!proc) return;
    stream = sbxi_unfollow(proc);
    if (proc->status == SBX_PENDING) proc->status = SBX_E_CANCELLED; /* for calls that wait */
    sbxi_proc_unref(proc);
    sbx_op_release(stream);
}

#endif
