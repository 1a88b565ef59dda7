/* connect - the envelopes of Connect streams: a flag byte, a length in big
   endian, so many bytes. Push reader, resumable at every byte; it holds nothing
   of a message, so lengths up to 2^32 - 1 cost no memory.
   Invariant: head counts the bytes of a head, is _DATA while its data is read and
   _DONE behind the last message. */

#define SBXI_CONNECT_END 2u /* flag of the last message; 1, compressed, is never
                               asked for and refused like the unknown ones */

enum { SBXI_CONNECT_DATA = 5, SBXI_CONNECT_DONE };

typedef struct sbxi_connect_events {
    /* A negative return stops with it. data() may pause with SBX_E_AGAIN and
       what it took in *used. */
    int (*begin)(void *ctx, unsigned flags, uint32_t len);
    int (*data)(void *ctx, const char *data, size_t len, size_t *used);
    int (*end)(void *ctx);
} sbxi_connect_events;

typedef struct sbxi_connect {
    const sbxi_connect_events *events;
    void *ctx;
    uint32_t left;          /* of the length while reading it, then of the data */
    uint8_t head, flags;
    int status;             /* sticky */
} sbxi_connect;

static SBXI_MAYBE void sbxi_connect_init(sbxi_connect *c,
    const sbxi_connect_events *events, void *ctx)
{
    memset(c, 0, sizeof *c);
    c->events = events;
    c->ctx = ctx;
}

static int sbxi_connect_head_byte(sbxi_connect *c, unsigned char byte)
{
    if (c->head == SBXI_CONNECT_DONE) return SBX_E_PROTOCOL;
    if (c->head == 0) {
        if (byte & ~SBXI_CONNECT_END) return SBX_E_PROTOCOL;
        c->flags = byte;
    } else {
        c->left = c->left << 8 | byte;
    }
    if (++c->head < SBXI_CONNECT_DATA) return SBX_OK;
    return c->events->begin(c->ctx, c->flags, c->left);
}

/* SBX_OK: all taken. SBX_E_AGAIN: data() paused, go on after *used. Else sticky. */
static SBXI_MAYBE int sbxi_connect_feed(sbxi_connect *c, const char *data, size_t len,
    size_t *used)
{
    size_t pos = 0;
    int rc = c->status;
    while (rc == SBX_OK) {
        if (c->head == SBXI_CONNECT_DATA && c->left == 0) {
            c->head = c->flags ? SBXI_CONNECT_DONE : 0;
            rc = c->events->end(c->ctx);
        } else if (pos == len) {
            break;
        } else if (c->head != SBXI_CONNECT_DATA) {
            rc = sbxi_connect_head_byte(c, (unsigned char)data[pos++]);
        } else {
            size_t n = c->left < len - pos ? (size_t)c->left : len - pos, took = n;
            rc = c->events->data(c->ctx, data + pos, n, &took);
            if (rc != SBX_E_AGAIN || took > n) took = n;
            pos += took;
            c->left -= (uint32_t)took;
        }
    }
    if (rc != SBX_E_AGAIN) c->status = rc;
    *used = pos;
    return rc;
}

/* The stream ended as it must: its last message has come, whole. */
static SBXI_MAYBE bool sbxi_connect_complete(const sbxi_connect *c)
{
    return c->head == SBXI_CONNECT_DONE && c->status == SBX_OK;
}

static SBXI_MAYBE void sbxi_connect_head(unsigned char out[5], unsigned flags,
    uint32_t len)
{
    out[0] = (unsigned char)flags;
    out[1] = (unsigned char)(len >> 24);
    out[2] = (unsigned char)(len >> 16);
    out[3] = (unsigned char)(len >> 8);
    out[4] = (unsigned char)len;
}
