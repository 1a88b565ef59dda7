/* lz - deflate (RFC 1951) in three steps of effort, in one block of the caller's memory:
   bytes in, bytes out, resumable at every byte of either. What comes out depends on
   the bytes and the level alone, not on how they were cut: a first pass can count
   what a second one sends. It cannot fail. Called by pack/gzip.c.

   A ring holds the window, the block that is being gathered, and what is ahead. A
   block is a list of sequences: so many literals, which stay in the ring, and a match.
   When the list or the window is full, the block goes out in whatever form is
   shortest. Places to match are found by chains: of each place in the ring the one
   before it with the same hash of three bytes. An outdated one points at other bytes
   of the window: it is compared like any other, so nothing has to be removed.
   A window of 12.5 KiB with all its chains packs better than one of 32 KiB with as
   many places as there is memory for then.

   Invariants: `behind` bytes before `at` (the window at most) and `ahead` bytes from
   `at` on are in the ring, `span` bytes before `at` are of the present block; a block
   is closed as full only when a byte comes behind it, so the last one is known. */

#ifndef SBX_NO_TEMPLATE

/* What is left to be read, and the room that is left; both move on. */
typedef struct sbxi_flow {
    const unsigned char *in;
    size_t in_len;
    unsigned char *out;
    size_t out_len;
} sbxi_flow;

#define SBXI_LZ_AHEAD 384u  /* most bytes ahead, for which the window is not used */
#define SBXI_LZ_LONG 258u   /* of a match */
#define SBXI_LZ_LITS 288u   /* words for literals and lengths, two of them never used */
#define SBXI_LZ_WORDS 318u  /* and for distances */

typedef struct sbxi_seq { uint8_t lits, len; uint16_t distance; } sbxi_seq; /* len - 3 */

typedef struct sbxi_lz_step {
    uint16_t window, seqs;  /* bytes; sequences of a block, 0: all is stored */
    uint16_t hashes, tries; /* chains, and how far each is followed */
    uint16_t lazy;          /* a match so long is not held back for a better one */
} sbxi_lz_step;

/* Words of the codes, or how often each is needed; their lengths; what is needed
   to make them, then the room for what goes out. */
typedef struct sbxi_lz_codes {
    uint16_t words[SBXI_LZ_WORDS], order_words[19];
    uint8_t lens[SBXI_LZ_WORDS], order_lens[19];
    uint16_t symbols[SBXI_LZ_LITS], keys[SBXI_LZ_LITS];
} sbxi_lz_codes;

enum { SBXI_LZ_GATHER, SBXI_LZ_CODED, SBXI_LZ_RAW, SBXI_LZ_DONE };

typedef struct sbxi_lz {
    const sbxi_lz_step *step;
    sbxi_lz_codes *codes;
    sbxi_seq *seqs;
    uint16_t *heads, *before; /* the last place with each hash; of each place */
    unsigned char *ring, *out;
    uint32_t bits;          /* that make no whole byte yet */
    uint32_t extra;         /* bits behind words, in this block */
    uint16_t size, at, ahead, behind, span;
    uint16_t count, lits;   /* sequences so far; literals behind them */
    uint16_t have_len, have_distance; /* found at `at` already, or 0 */
    uint16_t out_at, out_len; /* what of `out` is taken, and there */
    uint16_t from, seq, left; /* what goes out: place in the ring, sequence, bytes to come */
    uint8_t nbits, state;
    bool last;
    unsigned char small[8];
} sbxi_lz;

/* Stored; small; good; best. */
static const sbxi_lz_step sbxi_lz_steps[4] = { { 1024, 0, 0, 0, 0 }, { 3328, 512, 256, 16, 16 },
    { 12800, 1200, 1024, 64, 32 }, { 12800, 1200, 1024, 256, 258 } };

static const sbxi_lz_step *sbxi_lz_step_of(unsigned level)
{
#ifdef SBX_NO_GZIP
    level = 0;
#endif
    return &sbxi_lz_steps[(level > 0) + (level > 3) + (level > 6)];
}

/* Bytes of the block for a level. */
static size_t sbxi_lz_size(unsigned level)
{
    const sbxi_lz_step *s = sbxi_lz_step_of(level);
    if (!s->seqs) return sizeof(sbxi_lz) + s->window + 1u;
    return sizeof(sbxi_lz) + sizeof(sbxi_lz_codes) + s->seqs * sizeof(sbxi_seq)
        + s->hashes * sizeof(uint16_t) + SBXI_LZ_LONG
        + (s->window + SBXI_LZ_AHEAD) * (1 + sizeof(uint16_t));
}

/* The state of a new stream in that block, which is aligned for any type. */
static sbxi_lz *sbxi_lz_init(void *memory, unsigned level)
{
    sbxi_lz *z = (sbxi_lz *)memory;
    const sbxi_lz_step *s = sbxi_lz_step_of(level);
    memset(z, 0, sizeof *z);
    z->step = s;
    z->out = z->small;
    z->ring = (unsigned char *)(z + 1);
    z->size = (uint16_t)(s->window + (s->seqs ? SBXI_LZ_AHEAD : 1));
#ifndef SBX_NO_GZIP
    if (s->seqs) {
        z->codes = (sbxi_lz_codes *)(z + 1);
        z->seqs = (sbxi_seq *)(z->codes + 1);
        z->heads = (uint16_t *)(z->seqs + s->seqs);
        z->before = z->heads + s->hashes;
        z->ring = (unsigned char *)(z->before + z->size);
        z->out = (unsigned char *)z->codes->symbols;
        memset(z->codes->words, 0, sizeof z->codes->words);
        memset(z->heads, 0, ((size_t)s->hashes + z->size) * sizeof *z->heads);
    }
#endif
    return z;
}

/* n bits, 16 at most, the lowest first. There is room: sbxi_lz_coded(). */
static void sbxi_lz_put(sbxi_lz *z, unsigned value, unsigned n)
{
    z->bits |= (uint32_t)value << z->nbits;
    for (z->nbits = (uint8_t)(z->nbits + n); z->nbits >= 8; z->nbits = (uint8_t)(z->nbits - 8)) {
        z->out[z->out_len++] = (unsigned char)z->bits;
        z->bits >>= 8;
    }
}

static uint16_t sbxi_lz_wrap(const sbxi_lz *z, uint32_t place)
{
    return (uint16_t)(place < z->size ? place : place - z->size);
}

static void sbxi_lz_advance(sbxi_lz *z, unsigned n)
{
    z->at = sbxi_lz_wrap(z, (uint32_t)z->at + n);
    z->ahead = (uint16_t)(z->ahead - n);
    z->span = (uint16_t)(z->span + n);
    z->behind = (uint16_t)SBXI_MIN((uint32_t)z->behind + n, z->step->window);
}

/* A block is out. */
static void sbxi_lz_next(sbxi_lz *z)
{
    if (z->last) sbxi_lz_put(z, 0, (8u - z->nbits) & 7);
    z->state = z->last ? SBXI_LZ_DONE : SBXI_LZ_GATHER;
    z->extra = 0;
    z->span = z->count = z->lits = 0;
}

#ifndef SBX_NO_GZIP

/* ---- codes ---------------------------------------------------------------- */

/* keys[0..n), rising, are how often each word is needed: count[] gets the number of
   words of each length, by Moffat and Katajainen's way in place. */
static void sbxi_lz_counts(uint16_t *keys, unsigned n, unsigned limit, uint16_t count[16])
{
    uint16_t inner[16]; /* knots of each depth */
    unsigned leaf = 0, root = 0, next, i, words = 0;
    uint32_t sum = 0;
    for (next = 0; next < n - 1; next++) {
        uint16_t weight = 0;
        for (i = 0; i < 2; i++)
            if (leaf >= n || (root < next && keys[root] < keys[leaf])) {
                weight = (uint16_t)(weight + keys[root]);
                keys[root++] = (uint16_t)next;
            } else {
                weight = (uint16_t)(weight + keys[leaf++]);
            }
        keys[next] = weight;
    }
    memset(inner, 0, sizeof inner);
    keys[n - 2] = 0;
    inner[0] = 1;
    for (next = n - 2; next-- > 0;) {
        keys[next] = (uint16_t)(keys[keys[next]] + 1);
        if (keys[next] < limit) inner[keys[next]]++;
    }
    count[0] = 0;
    for (i = 1; i < limit; i++) {
        count[i] = (uint16_t)(2 * inner[i - 1] - inner[i]);
        words += count[i];
        sum += (uint32_t)count[i] << (limit - i);
    }
    count[limit] = (uint16_t)(n - words);
    /* Too many of the longest: each time a shorter word makes room for one. */
    for (sum += count[limit]; sum > (uint32_t)1 << limit; sum--) {
        for (i = limit - 1; !count[i]; i--) {}
        count[i]--;
        count[i + 1] = (uint16_t)(count[i + 1] + 2);
        count[limit]--;
    }
}

/* Lengths of n words, none above the limit, two at least. */
static void sbxi_lz_lengths(sbxi_lz_codes *c, const uint16_t *words, unsigned n, unsigned limit,
    uint8_t *lens)
{
    uint16_t count[16], *symbols = c->symbols;
    unsigned used = 0, i, k, gap;
    memset(lens, 0, n);
    for (i = 0; i < n; i++)
        if (words[i]) symbols[used++] = (uint16_t)i;
    for (i = 0; used < 2; i++)
        if (!words[i]) symbols[used++] = (uint16_t)i;
    for (gap = 121; gap; gap /= 3)
        for (i = gap; i < used; i++) {
            uint16_t symbol = symbols[i];
            for (k = i; k >= gap && words[symbols[k - gap]] > words[symbol]; k -= gap)
                symbols[k] = symbols[k - gap];
            symbols[k] = symbol;
        }
    for (i = 0; i < used; i++) c->keys[i] = words[symbols[i]];
    sbxi_lz_counts(c->keys, used, limit, count);
    for (i = 0, k = limit; k; k--)
        for (; count[k]; count[k]--) lens[symbols[i++]] = (uint8_t)k;
}

/* The words themselves, their first bit lowest. */
static void sbxi_lz_words(const uint8_t *lens, unsigned n, uint16_t *words)
{
    uint16_t next[16];
    unsigned i, k, len, word;
    memset(next, 0, sizeof next);
    for (i = 0; i < n; i++)
        if (lens[i] && lens[i] < 15) next[lens[i] + 1]++;
    for (i = 2; i < 16; i++) next[i] = (uint16_t)(2 * next[i - 1] + 2 * next[i]);
    for (i = 0; i < n; i++) {
        len = lens[i];
        if (!len) continue;
        k = next[len]++;
        for (word = 0; len; len--, k >>= 1) word = word << 1 | (k & 1);
        words[i] = (uint16_t)word;
    }
}

/* The symbol of a length or distance: each further one stands for as many as the one
   before, and every fourth or second for twice as many. */
static unsigned sbxi_lz_symbol(unsigned n, unsigned step, unsigned *bits)
{
    for (*bits = 0; n >> *bits >= 2u << step; ++*bits) {}
    return (*bits << step) + (n >> *bits);
}

static unsigned sbxi_lz_length(unsigned n, unsigned *bits)
{
    unsigned symbol = 257 + sbxi_lz_symbol(n, 2, bits);
    if (n < SBXI_LZ_LONG - 3) return symbol;
    *bits = 0;
    return 285;
}

/* How many words of each kind a block's own code has. */
typedef struct sbxi_lz_head { unsigned lits, dists, orders; } sbxi_lz_head;

static unsigned sbxi_lz_len(const sbxi_lz_codes *c, const sbxi_lz_head *h, unsigned i)
{
    return c->lens[i < h->lits ? i : i - h->lits + SBXI_LZ_LITS];
}

/* How the lengths of all words are told: the next symbol, for those from *at on, and
   the number behind it. */
static unsigned sbxi_lz_order(const sbxi_lz_codes *c, const sbxi_lz_head *h, unsigned *at,
    unsigned *extra)
{
    unsigned i = *at, n = 0, len = sbxi_lz_len(c, h, i);
    unsigned most = SBXI_MIN(h->lits + h->dists - i, len ? 6 : 138);
    if (!len || (i && sbxi_lz_len(c, h, i - 1) == len))
        while (n < most && sbxi_lz_len(c, h, i + n) == len) n++;
    *at = i + n;
    *extra = n - (n > 10 ? 11 : 3);
    if (n > 2) return len ? 16 : n > 10 ? 18 : 17;
    *at = i + 1;
    *extra = 0;
    return len;
}

static unsigned sbxi_lz_order_bits(unsigned symbol)
{
    return symbol < 16 ? 0 : symbol == 16 ? 2 : symbol == 17 ? 3 : 7;
}

static unsigned sbxi_lz_fixed(unsigned i)
{
    return i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : i < SBXI_LZ_LITS ? 8 : 5;
}

static const uint8_t sbxi_lz_orders[19] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13,
    2, 14, 1, 15 };

/* Without the last words, which have no length. */
static unsigned sbxi_lz_trim(const uint8_t *lens, unsigned n)
{
    while (!lens[n - 1]) n--;
    return n;
}

static uint32_t sbxi_lz_bits(const uint16_t *words, const uint8_t *lens, unsigned n)
{
    uint32_t bits = 0;
    while (n--) bits += (uint32_t)words[n] * lens[n];
    return bits;
}

/* Makes the code of the block's own; its bits, the words' and those before them. */
static uint32_t sbxi_lz_own(sbxi_lz_codes *c, sbxi_lz_head *h)
{
    unsigned i, run;
    uint32_t bits;
    sbxi_lz_lengths(c, c->words, SBXI_LZ_LITS, 15, c->lens);
    sbxi_lz_lengths(c, c->words + SBXI_LZ_LITS, 30, 15, c->lens + SBXI_LZ_LITS);
    h->lits = sbxi_lz_trim(c->lens, 286);
    h->dists = sbxi_lz_trim(c->lens + SBXI_LZ_LITS, 30);
    memset(c->order_words, 0, sizeof c->order_words);
    for (i = 0; i < h->lits + h->dists;)
        c->order_words[sbxi_lz_order(c, h, &i, &run)]++;
    sbxi_lz_lengths(c, c->order_words, 19, 7, c->order_lens);
    for (h->orders = 19; !c->order_lens[sbxi_lz_orders[h->orders - 1]]; h->orders--) {}
    bits = 14 + 3 * h->orders + sbxi_lz_bits(c->order_words, c->order_lens, 19);
    for (i = 16; i < 19; i++) bits += (uint32_t)c->order_words[i] * sbxi_lz_order_bits(i);
    return bits + sbxi_lz_bits(c->words, c->lens, SBXI_LZ_WORDS);
}

static void sbxi_lz_put_head(sbxi_lz *z, const sbxi_lz_head *h)
{
    sbxi_lz_codes *c = z->codes;
    unsigned i, run, symbol;
    sbxi_lz_words(c->order_lens, 19, c->order_words);
    sbxi_lz_put(z, h->lits - 257, 5);
    sbxi_lz_put(z, h->dists - 1, 5);
    sbxi_lz_put(z, h->orders - 4, 4);
    for (i = 0; i < h->orders; i++) sbxi_lz_put(z, c->order_lens[sbxi_lz_orders[i]], 3);
    for (i = 0; i < h->lits + h->dists;) {
        symbol = sbxi_lz_order(c, h, &i, &run);
        sbxi_lz_put(z, c->order_words[symbol], c->order_lens[symbol]);
        sbxi_lz_put(z, run, sbxi_lz_order_bits(symbol));
    }
}

/* ---- blocks ---------------------------------------------------------------- */

static void sbxi_lz_add(sbxi_lz *z, unsigned len, unsigned distance)
{
    sbxi_seq *s = &z->seqs[z->count++];
    s->lits = (uint8_t)z->lits;
    s->len = (uint8_t)len;
    s->distance = (uint16_t)distance;
    z->lits = 0;
}

static void sbxi_lz_literal(sbxi_lz *z)
{
    z->codes->words[z->ring[z->at]]++;
    if (++z->lits == 255) sbxi_lz_add(z, 0, 0);
    sbxi_lz_advance(z, 1);
}

static void sbxi_lz_match(sbxi_lz *z, unsigned len, unsigned distance)
{
    unsigned bits;
    z->codes->words[sbxi_lz_length(len - 3, &bits)]++;
    z->extra += bits;
    z->codes->words[SBXI_LZ_LITS + sbxi_lz_symbol(distance - 1, 1, &bits)]++;
    z->extra += bits;
    sbxi_lz_add(z, len - 3, distance);
    sbxi_lz_advance(z, len);
}

/* Remembers a place; the one before it of the same hash. */
static unsigned sbxi_lz_insert(sbxi_lz *z, unsigned place)
{
    const unsigned char *p = z->ring + place;
    uint32_t v = (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16) * 0x9E3779B1u;
    uint16_t *head = &z->heads[v >> 16 & (z->step->hashes - 1u)];
    z->before[place] = *head;
    *head = (uint16_t)place;
    return z->before[place];
}

/* How much is the same at both places, if more than `best`. */
static unsigned sbxi_lz_same(const unsigned char *p, const unsigned char *q, unsigned best,
    unsigned most)
{
    unsigned n = 0;
    if (p[best] == q[best])
        while (n < most && p[n] == q[n]) n++;
    return n;
}

/* The longest match `skip` bytes on, and its place is remembered. 0: none. */
static unsigned sbxi_lz_find(sbxi_lz *z, unsigned skip, unsigned *distance)
{
    unsigned most = SBXI_MIN(z->ahead - skip, SBXI_LZ_LONG), best = 2, tries, last = 0, far, n;
    unsigned behind = SBXI_MIN(z->behind + skip, z->step->window), place, from;
    if (z->ahead < skip + 3) return 0;
    place = sbxi_lz_wrap(z, (uint32_t)z->at + skip);
    from = sbxi_lz_insert(z, place);
    for (tries = z->step->tries; tries && best < most; tries--, from = z->before[from]) {
        far = sbxi_lz_wrap(z, (uint32_t)place + z->size - from);
        if (far <= last || far > behind) break;
        last = far;
        n = sbxi_lz_same(z->ring + place, z->ring + from, best, most);
        if (n <= best) continue;
        best = n;
        *distance = far;
    }
    return best > 2 ? best : 0;
}

/* The next literal or match. A match is held back if there is a longer one behind it. */
static void sbxi_lz_parse(sbxi_lz *z)
{
    unsigned len = z->have_len, distance = z->have_distance, next = 0, next_distance = 0, i = 1;
    z->have_len = 0;
    if (!len) len = sbxi_lz_find(z, 0, &distance);
    if (!len) {
        sbxi_lz_literal(z);
        return;
    }
    if (len < z->step->lazy) {
        next = sbxi_lz_find(z, 1, &next_distance);
        i = 2;
    }
    if (next > len) {
        sbxi_lz_literal(z);
        z->have_len = (uint16_t)next;
        z->have_distance = (uint16_t)next_distance;
        return;
    }
    for (; i < len && i + 3 <= z->ahead; i++)
        (void)sbxi_lz_insert(z, sbxi_lz_wrap(z, (uint32_t)z->at + i));
    sbxi_lz_match(z, len, distance);
}

/* The form in which the block is shortest, 0: as it is; its code is made, its head put. */
static void sbxi_lz_choose(sbxi_lz *z)
{
    sbxi_lz_codes *c = z->codes;
    sbxi_lz_head head;
    uint32_t own, fixed = 0, raw = (uint32_t)z->span * 8 + 32 + ((5u - z->nbits) & 7);
    unsigned i, form;
    if (z->lits) sbxi_lz_add(z, 0, 0);
    c->words[256] = 1;
    own = sbxi_lz_own(c, &head);
    for (i = 0; i < SBXI_LZ_WORDS; i++) fixed += (uint32_t)c->words[i] * sbxi_lz_fixed(i);
    form = own < fixed ? 2 : 1;
    if (raw <= SBXI_MIN(own, fixed) + z->extra) form = 0;
    z->state = form ? SBXI_LZ_CODED : SBXI_LZ_RAW;
    sbxi_lz_put(z, z->last + 2 * form, 3);
    if (form == 1)
        for (i = 0; i < SBXI_LZ_WORDS; i++) c->lens[i] = (uint8_t)sbxi_lz_fixed(i);
    sbxi_lz_words(c->lens, SBXI_LZ_LITS, c->words);
    sbxi_lz_words(c->lens + SBXI_LZ_LITS, 30, c->words + SBXI_LZ_LITS);
    if (form == 2) sbxi_lz_put_head(z, &head);
    z->seq = 0;
    z->left = z->count ? z->seqs->lits : 0;
}

static void sbxi_lz_word(sbxi_lz *z, unsigned i)
{
    sbxi_lz_put(z, z->codes->words[i], z->codes->lens[i]);
}

/* As much of the block as there is room for. */
static void sbxi_lz_coded(sbxi_lz *z)
{
    const size_t room = sizeof z->codes->symbols + sizeof z->codes->keys - 8;
    unsigned bits, symbol;
    while (z->out_len < room) {
        const sbxi_seq *s = &z->seqs[z->seq];
        if (z->left) {
            z->left--;
            sbxi_lz_word(z, z->ring[z->from]);
            z->from = sbxi_lz_wrap(z, z->from + 1u);
            continue;
        }
        if (z->seq == z->count) {
            sbxi_lz_word(z, 256);
            memset(z->codes->words, 0, sizeof z->codes->words);
            sbxi_lz_next(z);
            return;
        }
        if (s->distance) {
            sbxi_lz_word(z, sbxi_lz_length(s->len, &bits));
            sbxi_lz_put(z, s->len & ((1u << bits) - 1), bits);
            symbol = sbxi_lz_symbol(s->distance - 1u, 1, &bits);
            sbxi_lz_word(z, SBXI_LZ_LITS + symbol);
            sbxi_lz_put(z, (s->distance - 1u) & ((1u << bits) - 1), bits);
            z->from = sbxi_lz_wrap(z, (uint32_t)z->from + s->len + 3);
        }
        if (++z->seq < z->count) z->left = z->seqs[z->seq].lits;
    }
}

#endif

/* ---- the stream -------------------------------------------------------------- */

/* The block is gathered. */
static void sbxi_lz_close(sbxi_lz *z)
{
    z->from = sbxi_lz_wrap(z, (uint32_t)z->at + z->size - z->span);
    z->state = SBXI_LZ_RAW;
#ifndef SBX_NO_GZIP
    if (z->step->seqs) sbxi_lz_choose(z);
    else
#endif
        sbxi_lz_put(z, z->last, 3);
    if (z->state != SBXI_LZ_RAW) return;
    sbxi_lz_put(z, 0, (8u - z->nbits) & 7);
    sbxi_lz_put(z, z->span, 16);
    sbxi_lz_put(z, 0xFFFFu - z->span, 16);
    z->left = z->span;
}

/* What the ring has room for, 1 byte at least when that is called. What is stored
   needs no window, but its block. */
static void sbxi_lz_fill(sbxi_lz *z, sbxi_flow *io)
{
    unsigned keep = z->step->seqs ? z->step->window : z->span, i;
    unsigned place = sbxi_lz_wrap(z, (uint32_t)z->at + z->ahead);
    size_t n = SBXI_MIN(io->in_len, SBXI_MIN(z->size - keep - z->ahead, z->size - place));
    memcpy(z->ring + place, io->in, n);
    for (i = place; z->step->seqs && i < place + n && i < SBXI_LZ_LONG; i++)
        z->ring[z->size + i] = z->ring[i]; /* so that a match need not wrap */
    io->in += n;
    io->in_len -= n;
    z->ahead = (uint16_t)(z->ahead + n);
}

/* Bytes of the block that may still come before it goes out. */
static unsigned sbxi_lz_left(const sbxi_lz *z)
{
    unsigned most = z->step->window;
    if (z->step->seqs) {
        if (z->count + 2u >= z->step->seqs) return 0;
        most -= SBXI_LZ_LONG;
    }
    return z->span < most ? most - z->span : 0;
}

/* Goes on with a block. False: bytes are lacking. */
static bool sbxi_lz_gather(sbxi_lz *z, sbxi_flow *io, bool finish)
{
    const sbxi_lz_step *s = z->step;
    unsigned need = s->seqs ? SBXI_LZ_LONG + 3 : 1;
    unsigned left;
    for (;;) {
        while (z->ahead < need && io->in_len) sbxi_lz_fill(z, io);
        if (z->ahead < need && !finish) return false;
        z->last = !z->ahead;
        left = sbxi_lz_left(z);
        if (z->last || !left) break;
#ifndef SBX_NO_GZIP
        if (s->seqs) sbxi_lz_parse(z);
        else
#endif
            sbxi_lz_advance(z, SBXI_MIN(z->ahead, left));
    }
    sbxi_lz_close(z);
    return true;
}

static void sbxi_lz_raw(sbxi_lz *z, sbxi_flow *io)
{
    size_t n = SBXI_MIN(io->out_len, SBXI_MIN(z->left, (unsigned)z->size - z->from));
    memcpy(io->out, z->ring + z->from, n);
    io->out += n;
    io->out_len -= n;
    z->from = sbxi_lz_wrap(z, (uint32_t)z->from + (uint32_t)n);
    z->left = (uint16_t)(z->left - n);
}

/* A state machine. Takes from io->in, gives to io->out, as far as it gets: whenever it
   returns, the one is all taken or the other full. `finish`: nothing comes behind
   io->in; to be said again until it returns true: the whole stream is out. */
static bool sbxi_lz_run(sbxi_lz *z, sbxi_flow *io, bool finish)
{
    for (;;) {
        size_t n = SBXI_MIN(io->out_len, (size_t)(z->out_len - z->out_at));
        if (n) memcpy(io->out, z->out + z->out_at, n);
        io->out += n;
        io->out_len -= n;
        z->out_at = (uint16_t)(z->out_at + n);
        if (z->out_at < z->out_len) return false;
        z->out_at = z->out_len = 0;
        switch (z->state) {
        case SBXI_LZ_GATHER:
            if (!sbxi_lz_gather(z, io, finish)) return false;
            break;
#ifndef SBX_NO_GZIP
        case SBXI_LZ_CODED:
            sbxi_lz_coded(z);
            break;
#endif
        case SBXI_LZ_RAW:
            if (z->left && !io->out_len) return false;
            sbxi_lz_raw(z, io);
            if (z->left) break;
#ifndef SBX_NO_GZIP
            if (z->step->seqs) memset(z->codes->words, 0, sizeof z->codes->words);
#endif
            sbxi_lz_next(z);
            break;
        default: return true;
        }
    }
}

#endif
