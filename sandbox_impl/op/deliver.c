/* deliver - hands the result of a finished operation to the user. Called by op.c. */

/* A captured stream becomes the user's, NUL-terminated. */
static int sbxi_take(sbxi_capture *c, char **out, size_t *len, uint64_t *cut)
{
    int rc = SBX_OK;
    if (!c->buf.data) rc = sbxi_block_start(&c->buf);
    if (rc == SBX_OK) rc = sbxi_buf_add(&c->buf, "", 1);
    if (rc != SBX_OK) return rc;
    *out = c->buf.data + sizeof(sbxi_owned);
    *len = c->buf.len - sizeof(sbxi_owned) - 1;
    *cut = c->cut;
    sbxi_block_take(&c->buf);
    return SBX_OK;
}

static int sbxi_take_capture(sbx_op *op, bool err, char **out, size_t *len, uint64_t *cut)
{
    const sbx_command_options *o = &op->args.of.command.o;
    if (!o->capture_limit || (err ? o->err.put : o->out.put)) return SBX_OK;
    return sbxi_take(&op->captured[err], out, len, cut);
}

static int sbxi_deliver_command(sbx_op *op)
{
    sbx_command_result *r = op->args.of.command.result;
    int rc;
    if (!r) return SBX_OK;
    r->pid = op->pid;
    rc = sbxi_take_capture(op, false, &r->out, &r->out_len, &r->out_cut);
    if (rc == SBX_OK) rc = sbxi_take_capture(op, true, &r->err, &r->err_len, &r->err_cut);
    if (rc != SBX_OK) {
        sbx_free(r->out);
        r->out = NULL;
        r->out_len = 0;
    }
    return rc;
}

#ifndef SBX_NO_RUN_CODE
static int sbxi_deliver_code(sbx_op *op)
{
    sbxi_code_args *a = &op->args.of.code;
    sbx_run_code_result *r = a->result;
    int rc = SBX_OK;
    if (!r) return SBX_OK;
    r->results = a->results;
    if (!a->o.capture_limit) return SBX_OK;
    if (!a->o.out.put) rc = sbxi_take(&op->captured[0], &r->out, &r->out_len, &r->out_cut);
    if (rc == SBX_OK && !a->o.err.put)
        rc = sbxi_take(&op->captured[1], &r->err, &r->err_len, &r->err_cut);
    if (rc == SBX_OK && r->failed)
        rc = sbxi_take(&a->traceback, &r->traceback, &r->traceback_len, &r->traceback_cut);
    if (rc == SBX_OK) return rc;
    sbx_free(r->out); /* the rest is cleared with the failure */
    sbx_free(r->err);
    return rc;
}
#endif

/* The file that was read. Of a part behind its end nothing was. */
static int sbxi_deliver_bytes(sbx_op *op)
{
    sbxi_buf *b = &op->block;
    int rc = op->reply.no || !b->len ? sbxi_block_start(b) : SBX_OK;
    char *data;
    if (rc == SBX_OK) rc = sbxi_buf_add(b, "", 1);
    if (rc != SBX_OK) return rc;
    sbxi_buf_trim(b);
    data = b->data + sizeof(sbxi_owned);
    *op->args.of.files.len = b->len - sizeof(sbxi_owned) - 1;
    memcpy(op->args.out, &data, sizeof data);
    sbxi_block_take(b);
    return SBX_OK;
}

static int sbxi_op_deliver(sbx_op *op)
{
    void *got = op->result;
    if (op->until) return SBX_OK; /* has handed out what it waited for */
    if (sbxi_is_stream(op->feature)) return sbxi_deliver_command(op);
#ifndef SBX_NO_RUN_CODE
    if (op->feature == SBX_FEATURE_RUN_CODE) return sbxi_deliver_code(op);
#endif
    if (SBXI_HAS_EXTRAS && op->feature == SBX_FEATURE_FILES_READ_BYTES)
        return sbxi_deliver_bytes(op);
    if (op->args.answer) *op->args.answer = !op->reply.no;
    if (!op->args.out) return SBX_OK; /* without a taker it is freed with the operation */
    if (op->feature == SBX_FEATURE_SANDBOX_CREATE) {
        got = op->sandbox;
        op->sandbox = NULL;
    } else if (!got || (op->feature == SBX_FEATURE_SANDBOX_GET_INFO
                        && !((const sbx_sandbox_info *)got)->id)) {
        return sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the reply lacks what was asked for"));
    } else {
        op->result = NULL;
    }
    memcpy(op->args.out, &got, sizeof got); /* some struct's pointer */
    return SBX_OK;
}
