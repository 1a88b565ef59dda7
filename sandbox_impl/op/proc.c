/* proc - processes that are followed in the background: what their stream brings
   is kept here until somebody asks. A stream is an operation like any other, but
   released from the start; those that wait for it send nothing. Called by reply.c,
   op.c and api/.

   Invariants: while the stream runs, proc->stream and its op->proc point to each
   other; a piece that waits to be pulled lies in the stream's buffer, which rests
   until the piece is taken, and outlives the stream for it. */

/* A piece of output for whoever pulls. SBX_E_AGAIN: it waits there. */
static int sbxi_proc_put(sbx_proc *p, unsigned id, const void *data, size_t len)
{
    bool taken = p->taken;
    p->taken = p->handed = false;
    p->piece.part = (sbx_proc_part)id;
    p->piece.data = taken ? NULL : data;
    p->piece.len = len;
    return taken ? SBX_OK : SBX_E_AGAIN;
}

/* The stream is over: what is known of it stays. */
static void sbxi_proc_ended(sbx_op *op, int status)
{
    sbx_proc *p = op->proc;
    if (status != SBX_OK || !p->rests) p->status = status;
    if (p->piece.data) op->released = false;
    else p->stream = NULL;
    op->proc = NULL;
}

/* The end of the stream as the user sees it; captured output goes to the first. */
static void sbxi_proc_result(sbx_proc *p, sbx_command_result *out)
{
    if (!out) return;
    *out = p->result;
    out->pid = p->pid;
    p->result.out = p->result.err = NULL;
    p->result.out_len = p->result.err_len = 0;
}

/* Whether what an operation waits for is there. */
static bool sbxi_proc_has(const sbx_op *op)
{
    const sbx_proc *p = op->proc;
    return p->status != SBX_PENDING || op->until == SBXI_UNTIL_NOW
        || (op->until == SBXI_UNTIL_START && p->started)
        || (op->until == SBXI_UNTIL_OUTPUT && p->piece.data);
}

/* Hands it out: the status of the operation. */
static int sbxi_proc_take(sbx_op *op)
{
    sbx_proc *p = op->proc;
    if (op->until == SBXI_UNTIL_START && p->started) {
        memcpy(op->args.out, &p, sizeof p);
        op->proc = NULL; /* its reference is the user's */
        return SBX_OK;
    }
    if (op->until == SBXI_UNTIL_OUTPUT && p->piece.data) {
        memcpy(op->args.out, &p->piece, sizeof p->piece);
        p->handed = true;
        return SBX_OK;
    }
    if (op->until == SBXI_UNTIL_END) sbxi_proc_result(p, op->args.of.command.result);
    if (p->status == SBX_PENDING) return SBX_OK;
    if (op->until == SBXI_UNTIL_NOW && p->status == SBX_OK)
        return sbxi_op_fail(op, SBX_E_CONFLICT, SBXI_TEXT("the watch was stopped"));
    op->error = p->error;
    return p->status;
}
