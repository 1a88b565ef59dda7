/* buf - a byte buffer that grows by the caller's allocator up to a hard limit.
   Invariant: len <= cap <= max. After a failed append nothing has changed, and
   `status` keeps the first failure, so a row of appends needs one check. */

typedef struct sbxi_buf {
    char *data;
    size_t len, cap, max;
    const sbx_alloc *alloc;
    int status;
} sbxi_buf;

static void sbxi_buf_init(sbxi_buf *b, const sbx_alloc *alloc, size_t max)
{
    memset(b, 0, sizeof *b);
    b->alloc = alloc;
    b->max = max;
}

/* Room for n more bytes: SBX_OK, SBX_E_NOMEM, or SBX_E_TOO_LARGE. */
static int sbxi_buf_reserve(sbxi_buf *b, size_t n)
{
    size_t need, cap;
    char *p;
    if (b->status) return b->status;
    if (!sbxi_size_add(&need, b->len, n) || need > b->max)
        return b->status = SBX_E_TOO_LARGE;
    if (need <= b->cap) return SBX_OK;
    cap = b->cap ? b->cap : SBXI_MIN(b->max, 64);
    while (cap < need) cap = cap > b->max / 2 ? b->max : cap * 2;
    p = (char *)b->alloc->resize(b->alloc->ctx, b->data, b->cap, cap);
    if (!p && cap > need) { /* tight heap: take exactly what is needed */
        cap = need;
        p = (char *)b->alloc->resize(b->alloc->ctx, b->data, b->cap, cap);
    }
    if (!p) return b->status = SBX_E_NOMEM;
    b->data = p;
    b->cap = cap;
    return SBX_OK;
}

static int sbxi_buf_add(sbxi_buf *b, const void *data, size_t n)
{
    int rc = sbxi_buf_reserve(b, n);
    if (rc == SBX_OK && n) {
        memcpy(b->data + b->len, data, n);
        b->len += n;
    }
    return rc;
}

static int sbxi_buf_text(sbxi_buf *b, const char *text)
{
    return sbxi_buf_add(b, text, strlen(text));
}

static SBXI_MAYBE int sbxi_buf_u64(sbxi_buf *b, uint64_t v)
{
    char digits[SBXI_DECIMAL_MAX];
    return sbxi_buf_add(b, digits, sbxi_print_u64(digits, v));
}

#define SBXI_ALIGN sizeof(union { int64_t i; void *p; })
#define SBXI_ALIGNED(at) (((at) + SBXI_ALIGN - 1) & ~(SBXI_ALIGN - 1))
typedef char sbxi_owned_fits[sizeof(sbxi_owned) % SBXI_ALIGN == 0 ? 1 : -1];

/* n zeroed bytes, aligned for any struct of ours; *at gets their offset. */
static SBXI_MAYBE int sbxi_buf_room(sbxi_buf *b, size_t n, size_t *at)
{
    size_t pad = SBXI_ALIGNED(b->len) - b->len;
    int rc = n > b->max ? b->status = SBX_E_TOO_LARGE : sbxi_buf_reserve(b, n + pad);
    if (rc == SBX_OK) {
        memset(b->data + b->len, 0, n + pad);
        *at = b->len + pad;
        b->len = *at + n;
    }
    return rc;
}

/* As an sbx_sink of the JSON writer. */
static int sbxi_buf_put(void *ctx, const void *data, size_t len)
{
    return sbxi_buf_add((sbxi_buf *)ctx, data, len);
}

/* Gives back what it does not use, if the allocator can. */
static SBXI_MAYBE void sbxi_buf_trim(sbxi_buf *b)
{
    char *p = b->len ? (char *)b->alloc->resize(b->alloc->ctx, b->data, b->cap, b->len) : NULL;
    if (!p) return;
    b->data = p;
    b->cap = b->len;
}

/* Empties it but keeps its memory. */
static SBXI_MAYBE void sbxi_buf_clear(sbxi_buf *b)
{
    b->len = 0;
    b->status = SBX_OK;
}

/* Frees and wipes: requests hold keys, results hold tokens. */
static void sbxi_buf_free(sbxi_buf *b)
{
    sbxi_alloc_wipe(b->alloc, b->data, b->cap);
    b->data = NULL;
    b->len = b->cap = 0;
    b->status = SBX_OK;
}
