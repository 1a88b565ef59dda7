/* sandboxd: what goes into a process: SendInput, CloseStdin, and StreamInput, whose
   body is a stream: it is carried to the process as it comes, so that a process
   that does not read stops the client. The answer follows the end of the body. */
#include "envd_e2b.h"

/* {"stdin":base64} or {"pty":base64}, to the process; false after a reply. */
static bool give(req *r, proc *p, const jnode *input)
{
    const jnode *in = jget(input, "stdin", NULL), *tty = jget(input, "pty", NULL);
    const jnode *data = in ? in : tty;
    const char *what = in ? "stdin" : "tty";
    sbx_base64 state = { 0 };
    unsigned char *raw;
    size_t n = 0;
    int result;

    if (!data || data->type != J_STRING) {
        rpc_error(r, RPC_INVALID, "input: stdin or pty is needed");
        return false;
    }
    raw = xalloc(data->len / 4 * 3 + 4);
    if (sbx_base64_decode(&state, data->str, data->len, raw, &n) != SBX_OK ||
        sbx_base64_end(&state) != SBX_OK)
        rpc_error(r, RPC_INVALID, "unmarshal message: %s is not base64", in ? "stdin" : "pty");
    else if (in && p->pty)
        rpc_error(r, RPC_INTERNAL, "error writing to stdin: tty assigned to process - input "
                  "should be written to the pty, not the stdin");
    else if (!in && !p->pty)
        rpc_error(r, RPC_INTERNAL, "error writing to tty: tty not assigned to process");
    else if (in && !p->has_in)
        rpc_error(r, RPC_INTERNAL, "error writing to stdin: stdin not enabled or closed");
    else if ((result = proc_input(p, raw, n, req_fd(r))) == -EBADF)
        rpc_error(r, RPC_INTERNAL, "error writing to %s: %s", what,
                  in ? "stdin not enabled or closed" : "the process has ended");
    else if (result != 0)
        rpc_error(r, RPC_INTERNAL, "error writing to %s: %s", what, strerror(-result));
    free(raw);
    return !r->replied;
}

void process_send_input(req *r, const jnode *body)
{
    proc *p = process_selected(r, body);

    if (!p)
        return;
    if (give(r, p, jget(body, "input", NULL)))
        rpc_empty(r);
    proc_unref(p);
}

void process_close_stdin(req *r, const jnode *body)
{
    proc *p = process_selected(r, body);

    if (!p)
        return;
    if (!p->has_in || proc_close_input(p) != 0)
        rpc_error(r, RPC_INTERNAL, "error closing stdin: stdin not enabled or closed");
    else
        rpc_empty(r);
    proc_unref(p);
}

/* ---- StreamInput ---- */
typedef struct input {
    unsigned char head[5];
    size_t head_len, need;      /* need: of the message, once the head is there */
    text message;
    proc *p;                    /* from the first message on */
    int64_t deadline;
} input;

static void input_free(req *r)
{
    input *in = r->state;

    if (in->p)
        proc_unref(in->p);
    text_free(&in->message);
    if (in->deadline)
        req_idle(r, 0); /* the connection may serve others */
    free(in);
    r->state = NULL;
}

/* A silent client is cut when its time is over: an answer cannot overtake a body. */
static void watch_clock(req *r, const input *in)
{
    int64_t left = in->deadline - mono_ms();

    if (in->deadline && left <= 0)
        rpc_error(r, RPC_DEADLINE, "context deadline exceeded");
    else if (in->deadline)
        req_idle(r, left);
}

static bool input_begin(req *r)
{
    int64_t ms = rpc_timeout(r);
    input *in;

    if (ms < 0)
        return false;
    in = xalloc(sizeof *in);
    in->deadline = ms ? mono_ms() + ms : 0;
    r->state = in;
    r->state_free = input_free;
    watch_clock(r, in);
    return true;
}

static void take_message(req *r, input *in)
{
    const jnode *start, *data;
    jtree t;

    if (!jtree_parse(&t, in->message.p, in->message.len) || t.root->type != J_OBJECT) {
        rpc_error(r, RPC_INVALID, "unmarshal message: %s",
                  t.error[0] ? t.error : "an object is expected");
    } else {
        start = jget(t.root, "start", NULL);
        data = jget(t.root, "data", NULL);
        if (start && !in->p)
            in->p = process_selected(r, start);
        else if (start)
            rpc_error(r, RPC_INVALID, "start comes once");
        else if (!in->p)
            rpc_error(r, RPC_INVALID, "the first message must be start");
        else if (data)
            give(r, in->p, jget(data, "input", NULL));
        else if (!jget(t.root, "keepalive", NULL))
            rpc_error(r, RPC_INVALID, "a message is start, data or keepalive");
    }
    jtree_free(&t);
}

static void input_data(req *r, const char *p, size_t n)
{
    input *in = r->state;

    watch_clock(r, in);
    while (!r->replied && (n > 0 || (in->head_len == 5 && in->need == in->message.len))) {
        size_t k;

        if (in->head_len < 5) {
            int64_t length;

            in->head[in->head_len++] = (unsigned char)*p++;
            n--;
            if (in->head_len < 5)
                continue;
            length = rpc_envelope_length(r, in->head);
            if (length > (int64_t)BODY_MAX)
                rpc_error(r, RPC_EXHAUSTED, "a message of %lld bytes is larger than %u",
                          (long long)length, BODY_MAX);
            in->need = length > 0 ? (size_t)length : 0;
            continue;
        }
        k = in->need - in->message.len < n ? in->need - in->message.len : n;
        text_add(&in->message, p, k);
        p += k;
        n -= k;
        if (in->message.len == in->need) {
            take_message(r, in);
            in->message.len = 0;
            in->head_len = 0;
        }
    }
}

static void input_end(req *r)
{
    input *in = r->state;
    text t = { 0 };

    if (in->head_len > 0)
        rpc_error(r, RPC_INVALID, "protocol error: incomplete envelope: the stream ends in it");
    else if (!in->p)
        rpc_error(r, RPC_INVALID, "the first message must be start");
    else {
        rpc_envelope(&t, 0, "{}", 2);
        rpc_envelope(&t, 2, "{}", 2);
        reply_text(r, 200, "application/connect+json", &t);
        if (r->response)
            add_header(r->response, "Connect-Accept-Encoding", "identity");
    }
}

const handler process_stream_input = { "POST", "", input_end, input_begin, input_data, false };
