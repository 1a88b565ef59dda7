/* deflate - a source in a gzip container: blocks that are stored as they are, so that
   the size of the whole is known before, and it needs no memory. Called by
   op/request.c.
   Invariant: of a source of known size, `left` bytes are still to come, `block` of
   them in the present block. */

#ifndef SBX_NO_GZIP

enum { SBXI_D_HEAD, SBXI_D_BLOCK, SBXI_D_DATA, SBXI_D_TAIL, SBXI_D_DONE };

#define SBXI_STORED 65535 /* bytes of a block */

typedef struct sbxi_deflate {
    sbx_source from;
    int64_t left;           /* -1: nobody knows */
    uint32_t crc, size;
    uint16_t block;
    uint8_t state;
} sbxi_deflate;

static unsigned char *sbxi_d_block(unsigned char *p, bool last, size_t n)
{
    p[0] = last;
    p[1] = (unsigned char)n;
    p[2] = (unsigned char)(n >> 8);
    p[3] = (unsigned char)~n;
    p[4] = (unsigned char)(~n >> 8);
    return p + 5;
}

/* Bytes of the source into p[0..cap): SBX_OK and *n of them. */
static int sbxi_d_get(sbxi_deflate *z, unsigned char *p, size_t cap, size_t *n)
{
    int rc;
    *n = 0;
    rc = z->from.get(z->from.ctx, p, cap, n);
    if (rc != SBX_OK) return rc > 0 ? SBX_E_SOURCE : rc;
    if (*n > cap) return SBX_E_SOURCE;
    z->crc = sbxi_crc32(z->crc, p, *n);
    z->size += (uint32_t)*n;
    return SBX_OK;
}

/* A block of what the source has now; nothing: the last one. */
static int sbxi_d_any(sbxi_deflate *z, unsigned char **p, size_t room)
{
    size_t n;
    int rc = sbxi_d_get(z, *p + 5, SBXI_MIN(room - 5, SBXI_STORED), &n);
    if (rc != SBX_OK) return rc;
    *p = sbxi_d_block(*p, n == 0, n) + n;
    if (n == 0) z->state = SBXI_D_TAIL;
    return SBX_OK;
}

/* A source of known size ends exactly there. */
static int sbxi_d_data(sbxi_deflate *z, unsigned char **p, size_t room)
{
    size_t n;
    int rc = sbxi_d_get(z, *p, SBXI_MIN(room, z->block), &n);
    if (rc != SBX_OK) return rc;
    if (n == 0) return SBX_E_SOURCE;
    *p += n;
    z->left -= (int64_t)n;
    z->block = (uint16_t)(z->block - n);
    if (!z->block) z->state = z->left ? SBXI_D_BLOCK : SBXI_D_TAIL;
    return SBX_OK;
}

static int sbxi_d_tail(sbxi_deflate *z, unsigned char **p)
{
    const uint32_t words[2] = { z->crc, z->size };
    unsigned char byte;
    size_t n = 0;
    unsigned i;
    int rc = z->left < 0 ? SBX_E_AGAIN : sbxi_d_get(z, &byte, 1, &n);
    if (rc != SBX_E_AGAIN && (rc != SBX_OK || n)) return rc == SBX_OK ? SBX_E_SOURCE : rc;
    for (i = 0; i < 8; i++) *(*p)++ = (unsigned char)(words[i / 4] >> i % 4 * 8);
    z->state = SBXI_D_DONE;
    return SBX_OK;
}

/* The state machine of a container. */
static int sbxi_deflate_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    static const unsigned char head[10] = { 0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255 };
    static const uint8_t needs[] = { 10, 6, 1, 8, 0 };
    sbxi_deflate *z = (sbxi_deflate *)ctx;
    unsigned char *p = (unsigned char *)buf, *end = p + cap;
    int rc = SBX_OK;
    while (rc == SBX_OK && z->state != SBXI_D_DONE && (size_t)(end - p) >= needs[z->state]) {
        switch (z->state) {
        case SBXI_D_HEAD:
            memcpy(p, head, sizeof head);
            p += sizeof head;
            z->state = SBXI_D_BLOCK;
            break;
        case SBXI_D_BLOCK:
            if (z->left < 0) {
                rc = sbxi_d_any(z, &p, (size_t)(end - p));
                break;
            }
            z->block = (uint16_t)SBXI_MIN(z->left, SBXI_STORED);
            p = sbxi_d_block(p, z->left == z->block, z->block);
            z->state = z->block ? SBXI_D_DATA : SBXI_D_TAIL;
            break;
        case SBXI_D_DATA:
            rc = sbxi_d_data(z, &p, (size_t)(end - p));
            break;
        default:
            rc = sbxi_d_tail(z, &p);
        }
    }
    *got = (size_t)(p - (unsigned char *)buf);
    if (rc == SBX_E_AGAIN && *got) return SBX_OK;
    return rc == SBX_OK && !*got && z->state != SBXI_D_DONE ? SBX_E_TOO_LARGE : rc;
}

static void sbxi_d_begin(sbxi_deflate *z)
{
    z->left = z->from.size;
    z->crc = z->size = z->state = 0;
}

static int sbxi_deflate_rewind(void *ctx)
{
    sbxi_deflate *z = (sbxi_deflate *)ctx;
    sbxi_d_begin(z);
    return z->from.rewind(z->from.ctx);
}

/* The source as it is sent. False: so large that its size cannot be said. */
static bool sbxi_deflate_init(sbxi_deflate *z, const sbx_source *from, sbx_source *out)
{
    int64_t n = from->size, left = n, blocks = n <= 0, most;
    if (n > INT64_MAX / 2) return false;
    z->from = *from;
    sbxi_d_begin(z);
    out->get = sbxi_deflate_get;
    out->rewind = from->rewind ? sbxi_deflate_rewind : NULL;
    out->ctx = z;
    for (; left >= SBXI_STORED; left -= (most << 16) - most) { /* no 64-bit division */
        most = left >> 16;
        most += !most;
        blocks += most;
    }
    blocks += left > 0;
    out->size = n < 0 ? -1 : 18 + n + 5 * blocks;
    return true;
}

#endif
