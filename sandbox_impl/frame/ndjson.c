/* ndjson - lines of JSON: what stands between line feeds, without the carriage return
   before one. Lines of blanks are passed over. Push reader, resumable at every byte;
   it holds nothing of a line, so lines of any length cost no memory. Called by
   op/reply.
   Invariant: `open` from begin() to end(); `cr`: a carriage return of an open line has
   come, which is told only when no line feed follows. */

typedef struct sbxi_ndjson_events {
    /* A negative return stops with it. data() may pause with SBX_E_AGAIN and what it
       took in *used. */
    int (*begin)(void *ctx);
    int (*data)(void *ctx, const char *data, size_t len, size_t *used);
    int (*end)(void *ctx);
} sbxi_ndjson_events;

typedef struct sbxi_ndjson {
    const sbxi_ndjson_events *events;
    void *ctx;
    bool open, cr;
    int status;             /* sticky */
} sbxi_ndjson;

static SBXI_MAYBE void sbxi_ndjson_init(sbxi_ndjson *n, const sbxi_ndjson_events *events,
    void *ctx)
{
    memset(n, 0, sizeof *n);
    n->events = events;
    n->ctx = ctx;
}

/* The line is over. Without a line feed behind it: the input is. */
static SBXI_MAYBE int sbxi_ndjson_end(sbxi_ndjson *n)
{
    if (n->status == SBX_OK && n->open) n->status = n->events->end(n->ctx);
    n->open = n->cr = false;
    return n->status;
}

/* Bytes of an open line. A held carriage return goes first. */
static int sbxi_ndjson_data(sbxi_ndjson *n, const char *data, size_t len, size_t *used)
{
    size_t took = len;
    int rc;
    if (n->cr) {
        size_t one = 1;
        rc = n->events->data(n->ctx, "\r", 1, &one);
        *used = 0;
        n->cr = rc == SBX_E_AGAIN && one == 0;
        return rc;
    }
    rc = n->events->data(n->ctx, data, len, &took);
    *used = rc == SBX_E_AGAIN ? SBXI_MIN(took, len) : len;
    return rc;
}

/* How many of len bytes come before the end of the line, or what may be it. */
static size_t sbxi_ndjson_run(const char *data, size_t len)
{
    size_t n = 0;
    while (n < len && data[n] != '\n' && data[n] != '\r') n++;
    return n;
}

/* SBX_OK: all taken. SBX_E_AGAIN: data() paused, go on after *used. Else sticky. */
static SBXI_MAYBE int sbxi_ndjson_feed(sbxi_ndjson *n, const char *data, size_t len,
    size_t *used)
{
    size_t pos = 0;
    int rc = n->status;
    while (rc == SBX_OK && pos < len) {
        char c = data[pos];
        if (c == '\n') {
            pos++;
            rc = sbxi_ndjson_end(n);
        } else if (!n->open) {
            if (c == ' ' || c == '\t' || c == '\r') pos++;
            else {
                n->open = true;
                rc = n->events->begin(n->ctx);
            }
        } else if (c == '\r' && !n->cr) {
            n->cr = true;
            pos++;
        } else {
            size_t took;
            rc = sbxi_ndjson_data(n, data + pos, sbxi_ndjson_run(data + pos, len - pos), &took);
            pos += took;
        }
    }
    if (rc != SBX_E_AGAIN) n->status = rc;
    *used = pos;
    return rc;
}
