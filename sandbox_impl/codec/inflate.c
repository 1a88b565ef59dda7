/* inflate - unpacks gzip (RFC 1951, 1952): bytes in, bytes out, resumable at every
   byte of either. Strict: whole members only, their checksums and lengths checked,
   codes complete. What comes out is bounded by whoever takes it: put() may pause.
   Called by op/reply.c, which allocates the state with its window.

   Invariants: window[flushed..pos) was not handed out yet; nothing is unpacked
   before what was refused has been taken; a state that lacks input has used up
   only what it keeps in `bits`, so it can be entered again. */

#ifndef SBX_NO_GZIP

#define SBXI_WINDOW 32768u

enum { SBXI_Z_HEAD, SBXI_Z_EXTRA_LEN, SBXI_Z_EXTRA, SBXI_Z_NAME, SBXI_Z_COMMENT, SBXI_Z_HEAD_CRC,
    SBXI_Z_BLOCK, SBXI_Z_STORED_LEN, SBXI_Z_STORED, SBXI_Z_COUNTS, SBXI_Z_ORDER, SBXI_Z_LENGTHS,
    SBXI_Z_SYMBOL, SBXI_Z_LENGTH, SBXI_Z_DISTANCE, SBXI_Z_FAR, SBXI_Z_COPY, SBXI_Z_CRC,
    SBXI_Z_SIZE };

enum { SBXI_Z_HAS_CRC = 2, SBXI_Z_HAS_EXTRA = 4, SBXI_Z_HAS_NAME = 8, SBXI_Z_HAS_COMMENT = 16 };

/* A code: how many words of each length it has, and their symbols in order. */
typedef struct sbxi_code { uint16_t count[16], symbol[288]; } sbxi_code;

typedef struct sbxi_inflate {
    int (*put)(void *ctx, const void *data, size_t len); /* as that of a sink */
    void *ctx;
    const unsigned char *in, *end; /* of this feed */
    uint32_t bits;
    uint8_t nbits, state, flags;
    bool last, full;        /* the last block; the window was filled once */
    bool whole;             /* a member has ended, nothing came behind it */
    int status;             /* sticky */
    uint16_t at, left;      /* place in a table or header; bytes, lengths to come */
    uint16_t lits, dists;
    uint16_t length, distance, symbol;
    uint32_t crc, size;     /* of the member so far; crc of its head first */
    uint32_t pos, flushed;
    sbxi_code lit, dist;
    uint8_t lengths[320];
    unsigned char window[SBXI_WINDOW];
} sbxi_inflate;

static void sbxi_inflate_init(sbxi_inflate *z, int (*put)(void *, const void *, size_t), void *ctx)
{
    memset(z, 0, offsetof(sbxi_inflate, window));
    z->put = put;
    z->ctx = ctx;
}

/* At least n bits (25 at most, or 32 on a byte's border). False: input is lacking. */
static bool sbxi_z_need(sbxi_inflate *z, unsigned n)
{
    while (z->nbits < n) {
        if (z->in == z->end) return false;
        z->bits |= (uint32_t)*z->in++ << z->nbits;
        z->nbits = (uint8_t)(z->nbits + 8);
    }
    return true;
}

static unsigned sbxi_z_take(sbxi_inflate *z, unsigned n)
{
    unsigned v = (unsigned)(z->bits & (((uint32_t)1 << n) - 1));
    z->bits >>= n;
    z->nbits = (uint8_t)(z->nbits - n);
    return v;
}

/* Hands out what is in the window. */
static int sbxi_z_flush(sbxi_inflate *z)
{
    size_t n = (size_t)(z->pos - z->flushed);
    int rc = n ? z->put(z->ctx, z->window + z->flushed, n) : SBX_OK;
    if (rc != SBX_OK) return rc;
    z->crc = sbxi_crc32(z->crc, z->window + z->flushed, n);
    z->size += (uint32_t)n;
    z->flushed = z->pos;
    return SBX_OK;
}

/* ---- codes ---------------------------------------------------------------- */

/* Makes a code of the lengths of its words. False: they are too many, or too few
   (but one word of one bit may stand alone, or none at all, if `few`). */
static bool sbxi_z_code(sbxi_code *c, const uint8_t *lengths, unsigned n, bool few)
{
    uint16_t offset[16];
    unsigned i;
    int32_t left = 1;
    memset(c->count, 0, sizeof c->count);
    for (i = 0; i < n; i++) c->count[lengths[i]]++;
    offset[1] = 0;
    for (i = 1; i < 16; i++) {
        left = left * 2 - (int32_t)c->count[i];
        if (left < 0) return false;
        if (i < 15) offset[i + 1] = (uint16_t)(offset[i] + c->count[i]);
    }
    for (i = 0; i < n; i++)
        if (lengths[i]) c->symbol[offset[lengths[i]]++] = (uint16_t)i;
    return !left || (few && c->count[0] + c->count[1] == n);
}

/* The next symbol into z->symbol. SBX_PENDING: input is lacking, nothing is used. */
static int sbxi_z_symbol(sbxi_inflate *z, const sbxi_code *c)
{
    unsigned word = 0, first = 0, index = 0, len;
    for (len = 1; len < 16; len++) {
        if (!sbxi_z_need(z, len)) return SBX_PENDING;
        word |= (unsigned)(z->bits >> (len - 1)) & 1;
        if (word - first < c->count[len]) {
            z->symbol = c->symbol[index + word - first];
            (void)sbxi_z_take(z, len);
            return SBX_OK;
        }
        index += c->count[len];
        first = (first + c->count[len]) << 1;
        word <<= 1;
    }
    return SBX_E_PROTOCOL;
}

/* The code that blocks have that bring none. */
static void sbxi_z_fixed(sbxi_inflate *z)
{
    memset(z->lengths, 8, 144);
    memset(z->lengths + 144, 9, 112);
    memset(z->lengths + 256, 7, 24);
    memset(z->lengths + 280, 8, 8);
    (void)sbxi_z_code(&z->lit, z->lengths, 288, false);
    memset(z->lengths, 5, 30);
    (void)sbxi_z_code(&z->dist, z->lengths, 30, false);
    z->state = SBXI_Z_SYMBOL;
}

static int sbxi_z_counts(sbxi_inflate *z)
{
    if (!sbxi_z_need(z, 14)) return SBX_PENDING;
    z->lits = (uint16_t)(sbxi_z_take(z, 5) + 257);
    z->dists = (uint16_t)(sbxi_z_take(z, 5) + 1);
    z->left = (uint16_t)(sbxi_z_take(z, 4) + 4);
    z->at = 0;
    memset(z->lengths, 0, sizeof z->lengths);
    z->state = SBXI_Z_ORDER;
    return z->lits > 286 || z->dists > 30 ? SBX_E_PROTOCOL : SBX_OK;
}

/* Lengths of the words by which the lengths of the others are told. */
static int sbxi_z_order(sbxi_inflate *z)
{
    static const uint8_t order[19] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14,
        1, 15 };
    for (; z->at < z->left; z->at++) {
        if (!sbxi_z_need(z, 3)) return SBX_PENDING;
        z->lengths[order[z->at]] = (uint8_t)sbxi_z_take(z, 3);
    }
    if (!sbxi_z_code(&z->lit, z->lengths, 19, false)) return SBX_E_PROTOCOL;
    z->at = 0;
    z->symbol = UINT16_MAX;
    z->state = SBXI_Z_LENGTHS;
    return SBX_OK;
}

/* A state machine of its own: the lengths of all words, some of them told by a symbol
   and a count. */
static int sbxi_z_lengths(sbxi_inflate *z)
{
    unsigned all = (unsigned)z->lits + z->dists, n, bits;
    uint8_t len = 0;
    while (z->at < all) {
        if (z->symbol == UINT16_MAX) { /* else only its count is lacking */
            int rc = sbxi_z_symbol(z, &z->lit);
            if (rc != SBX_OK) return rc;
        }
        n = 1;
        if (z->symbol < 16) {
            len = (uint8_t)z->symbol;
        } else {
            bits = z->symbol == 16 ? 2 : z->symbol == 17 ? 3 : 7;
            if (!sbxi_z_need(z, bits)) return SBX_PENDING;
            n = sbxi_z_take(z, bits) + (z->symbol == 18 ? 11 : 3);
            if (z->symbol == 16 && !z->at) return SBX_E_PROTOCOL;
            len = z->symbol == 16 ? z->lengths[z->at - 1] : 0;
        }
        z->symbol = UINT16_MAX;
        if (n > all - z->at) return SBX_E_PROTOCOL;
        memset(z->lengths + z->at, len, n);
        z->at = (uint16_t)(z->at + n);
    }
    if (!z->lengths[256] || !sbxi_z_code(&z->lit, z->lengths, z->lits, true)
        || !sbxi_z_code(&z->dist, z->lengths + z->lits, z->dists, true)) return SBX_E_PROTOCOL;
    z->state = SBXI_Z_SYMBOL;
    return SBX_OK;
}

/* ---- blocks ---------------------------------------------------------------- */

static int sbxi_z_block(sbxi_inflate *z)
{
    unsigned kind;
    if (z->last) { /* that was all: what is left of the byte is not used */
        (void)sbxi_z_take(z, z->nbits & 7u);
        z->state = SBXI_Z_CRC;
        return SBX_OK;
    }
    if (!sbxi_z_need(z, 3)) return SBX_PENDING;
    z->last = sbxi_z_take(z, 1) != 0;
    kind = sbxi_z_take(z, 2);
    if (kind == 3) return SBX_E_PROTOCOL;
    if (kind == 1) sbxi_z_fixed(z);
    else z->state = kind ? SBXI_Z_COUNTS : SBXI_Z_STORED_LEN;
    if (!kind) (void)sbxi_z_take(z, z->nbits & 7u);
    return SBX_OK;
}

static int sbxi_z_stored(sbxi_inflate *z)
{
    size_t room = (size_t)SBXI_MIN(z->left, SBXI_WINDOW - z->pos);
    size_t n = SBXI_MIN((size_t)(z->end - z->in), room);
    if (!z->left) {
        z->state = SBXI_Z_BLOCK;
        return SBX_OK;
    }
    if (!n) return SBX_PENDING;
    memcpy(z->window + z->pos, z->in, n);
    z->in += n;
    z->pos += (uint32_t)n;
    z->left = (uint16_t)(z->left - n);
    return SBX_OK;
}

/* A literal, a length, or the end of the block. */
static int sbxi_z_literals(sbxi_inflate *z)
{
    while (z->pos < SBXI_WINDOW) {
        int rc = sbxi_z_symbol(z, &z->lit);
        if (rc != SBX_OK) return rc;
        if (z->symbol >= 256) break;
        z->window[z->pos++] = (unsigned char)z->symbol;
    }
    if (z->symbol < 256) return SBX_OK;
    z->state = z->symbol == 256 ? SBXI_Z_BLOCK : SBXI_Z_LENGTH;
    return z->symbol > 285 ? SBX_E_PROTOCOL : SBX_OK;
}

/* A symbol stands for a range of lengths or distances: each further one for as many
   as the one before, and every fourth or second for twice as many. */
static int sbxi_z_extra(sbxi_inflate *z, unsigned symbol, unsigned step, unsigned *value)
{
    unsigned bits = symbol < 2u << step ? 0 : (symbol >> step) - 1;
    if (!sbxi_z_need(z, bits)) return SBX_PENDING;
    *value = symbol;
    if (bits) *value = ((1u << step) + (symbol & ((1u << step) - 1))) << bits;
    *value += sbxi_z_take(z, bits);
    return SBX_OK;
}

static int sbxi_z_length(sbxi_inflate *z)
{
    unsigned n = 255;
    if (z->symbol < 285 && sbxi_z_extra(z, z->symbol - 257u, 2, &n) != SBX_OK) return SBX_PENDING;
    z->length = (uint16_t)(n + 3);
    z->state = SBXI_Z_DISTANCE;
    return SBX_OK;
}

/* A distance: no code has more than 30 symbols for them. */
static int sbxi_z_far(sbxi_inflate *z)
{
    unsigned n;
    if (sbxi_z_extra(z, z->symbol, 1, &n) != SBX_OK) return SBX_PENDING;
    z->distance = (uint16_t)(n + 1);
    z->state = SBXI_Z_COPY;
    return !z->full && n >= z->pos ? SBX_E_PROTOCOL : SBX_OK;
}

static int sbxi_z_copy(sbxi_inflate *z)
{
    for (; z->length && z->pos < SBXI_WINDOW; z->length--, z->pos++)
        z->window[z->pos] = z->window[(z->pos - z->distance) & (SBXI_WINDOW - 1)];
    if (!z->length) z->state = SBXI_Z_SYMBOL;
    return SBX_OK;
}

/* ---- members ---------------------------------------------------------------- */

/* The next byte of the head, as part of its checksum. */
static bool sbxi_z_byte(sbxi_inflate *z, unsigned char *byte)
{
    if (!sbxi_z_need(z, 8)) return false;
    *byte = (unsigned char)sbxi_z_take(z, 8);
    z->crc = sbxi_crc32(z->crc, byte, 1);
    return true;
}

/* What comes next in the head, as its flags say. */
static void sbxi_z_after(sbxi_inflate *z, uint8_t state)
{
    static const struct { uint8_t state, flag; } parts[] = {
        { SBXI_Z_EXTRA_LEN, SBXI_Z_HAS_EXTRA }, { SBXI_Z_NAME, SBXI_Z_HAS_NAME },
        { SBXI_Z_COMMENT, SBXI_Z_HAS_COMMENT }, { SBXI_Z_HEAD_CRC, SBXI_Z_HAS_CRC } };
    size_t i;
    z->at = 0;
    for (i = 0; i < SBXI_LEN(parts); i++)
        if (parts[i].state > state && (z->flags & parts[i].flag)) {
            z->state = parts[i].state;
            return;
        }
    z->crc = z->size = z->pos = z->flushed = 0;
    z->full = z->last = false;
    z->state = SBXI_Z_BLOCK;
}

static int sbxi_z_head(sbxi_inflate *z)
{
    static const unsigned char magic[3] = { 0x1F, 0x8B, 8 };
    unsigned char byte = 0;
    while (z->at < 10) {
        if (!sbxi_z_byte(z, &byte)) return SBX_PENDING;
        z->whole = false;
        if (z->at < 3 && byte != magic[z->at]) return SBX_E_PROTOCOL;
        if (z->at == 3) z->flags = byte;
        z->at++;
    }
    if (z->flags & 0xE0) return SBX_E_PROTOCOL;
    sbxi_z_after(z, SBXI_Z_HEAD);
    return SBX_OK;
}

/* The optional parts: a length and so many bytes, texts that end with a NUL, half
   the checksum. */
static int sbxi_z_part(sbxi_inflate *z)
{
    uint8_t state = z->state;
    unsigned char byte = 0, other;
    uint32_t crc = z->crc;
    if (state == SBXI_Z_HEAD_CRC) {
        if (!sbxi_z_need(z, 16)) return SBX_PENDING;
        if (sbxi_z_take(z, 16) != (crc & 0xFFFF)) return SBX_E_PROTOCOL;
    } else if (state == SBXI_Z_EXTRA_LEN) {
        if (!sbxi_z_need(z, 16)) return SBX_PENDING;
        (void)sbxi_z_byte(z, &byte);
        (void)sbxi_z_byte(z, &other);
        z->left = (uint16_t)(byte | (unsigned)other << 8);
        z->state = SBXI_Z_EXTRA;
        return SBX_OK;
    } else if (state == SBXI_Z_EXTRA) {
        for (; z->left; z->left--)
            if (!sbxi_z_byte(z, &byte)) return SBX_PENDING;
    } else {
        do if (!sbxi_z_byte(z, &byte)) return SBX_PENDING;
        while (byte);
    }
    sbxi_z_after(z, state);
    return SBX_OK;
}

/* What stands behind the blocks: checksum and length, all being handed out. */
static int sbxi_z_tail(sbxi_inflate *z)
{
    uint32_t want;
    int rc = sbxi_z_flush(z);
    if (rc != SBX_OK) return rc;
    if (!sbxi_z_need(z, 32)) return SBX_PENDING;
    want = sbxi_z_take(z, 16);
    want |= (uint32_t)sbxi_z_take(z, 16) << 16;
    if (want != (z->state == SBXI_Z_CRC ? z->crc : z->size)) return SBX_E_PROTOCOL;
    if (z->state++ == SBXI_Z_CRC) return SBX_OK;
    z->state = SBXI_Z_HEAD; /* of another member */
    z->at = 0;
    z->crc = 0;
    z->whole = true;
    return SBX_OK;
}

/* The state machine: one step. */
static int sbxi_z_step(sbxi_inflate *z)
{
    unsigned len;
    int rc;
    switch (z->state) {
    case SBXI_Z_HEAD: return sbxi_z_head(z);
    case SBXI_Z_BLOCK: return sbxi_z_block(z);
    case SBXI_Z_STORED_LEN:
        if (!sbxi_z_need(z, 32)) return SBX_PENDING;
        len = sbxi_z_take(z, 16);
        z->left = (uint16_t)len;
        z->state = SBXI_Z_STORED;
        return sbxi_z_take(z, 16) == (len ^ 0xFFFF) ? SBX_OK : SBX_E_PROTOCOL;
    case SBXI_Z_STORED: return sbxi_z_stored(z);
    case SBXI_Z_COUNTS: return sbxi_z_counts(z);
    case SBXI_Z_ORDER: return sbxi_z_order(z);
    case SBXI_Z_LENGTHS: return sbxi_z_lengths(z);
    case SBXI_Z_SYMBOL: return sbxi_z_literals(z);
    case SBXI_Z_LENGTH: return sbxi_z_length(z);
    case SBXI_Z_DISTANCE:
        rc = sbxi_z_symbol(z, &z->dist);
        if (rc == SBX_OK) z->state = SBXI_Z_FAR;
        return rc;
    case SBXI_Z_FAR: return sbxi_z_far(z);
    case SBXI_Z_COPY: return sbxi_z_copy(z);
    case SBXI_Z_CRC:
    case SBXI_Z_SIZE: return sbxi_z_tail(z);
    default: return sbxi_z_part(z);
    }
}

/* SBX_OK: all taken and handed out. SBX_E_AGAIN: put() paused, go on behind *used, if
   with nothing. SBX_E_PROTOCOL: no gzip, or damaged; that and what put() failed with
   is sticky. */
static int sbxi_inflate_feed(sbxi_inflate *z, const char *data, size_t len, size_t *used)
{
    int rc = z->status;
    *used = len;
    z->in = (const unsigned char *)data;
    z->end = z->in + len;
    while (rc == SBX_OK) {
        if (z->pos == SBXI_WINDOW) {
            rc = sbxi_z_flush(z);
            if (rc != SBX_OK) break;
            z->pos = z->flushed = 0;
            z->full = true;
        }
        rc = sbxi_z_step(z);
    }
    if (rc == SBX_PENDING) rc = sbxi_z_flush(z);
    if (rc == SBX_E_AGAIN) *used = len - (size_t)(z->end - z->in);
    else z->status = rc;
    return rc;
}

/* Whether what has come is whole: one member or several. */
static bool sbxi_inflate_whole(const sbxi_inflate *z) { return z->whole; }

#endif
