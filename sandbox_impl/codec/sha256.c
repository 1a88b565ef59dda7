/* codec/sha256 - SHA-256 (FIPS 180-4; public: section 15). Small rather than
   fast: it sees file hashes and signatures, not streams of gigabytes. */

static uint32_t sbxi_rotr32(uint32_t v, unsigned n) { return v >> n | v << (32 - n); }

static void sbxi_sha256_block(uint32_t h[8], const uint8_t *in)
{
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2
    };
    uint32_t w[16], s[8];
    unsigned i;
    memcpy(s, h, sizeof s);
    for (i = 0; i < 64; i++) {
        uint32_t t, a, *at = &w[i & 15];
        if (i < 16) {
            for (*at = 0, a = 0; a < 4; a++) *at = *at << 8 | *in++;
        } else { /* the schedule, kept as a ring of 16 words */
            t = w[(i + 1) & 15];
            a = w[(i + 14) & 15];
            *at += w[(i + 9) & 15] + (sbxi_rotr32(t, 7) ^ sbxi_rotr32(t, 18) ^ t >> 3)
                + (sbxi_rotr32(a, 17) ^ sbxi_rotr32(a, 19) ^ a >> 10);
        }
        t = s[7] + (sbxi_rotr32(s[4], 6) ^ sbxi_rotr32(s[4], 11) ^ sbxi_rotr32(s[4], 25))
            + (s[6] ^ (s[4] & (s[5] ^ s[6]))) + k[i] + *at;
        a = t + (sbxi_rotr32(s[0], 2) ^ sbxi_rotr32(s[0], 13) ^ sbxi_rotr32(s[0], 22))
            + ((s[0] & s[1]) | (s[2] & (s[0] | s[1])));
        memmove(s + 1, s, sizeof s - sizeof *s);
        s[4] += t;
        s[0] = a;
    }
    for (i = 0; i < 8; i++) h[i] += s[i];
}

SBX_API void sbx_sha256_init(sbx_sha256 *s)
{
    static const uint32_t first[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    memcpy(s->h_, first, sizeof first);
    s->len_ = 0;
}

SBX_API void sbx_sha256_add(sbx_sha256 *s, const void *data, size_t len)
{
    const uint8_t *in = (const uint8_t *)data;
    while (len > 0) {
        size_t at = (size_t)(s->len_ & 63), n = SBXI_MIN(len, 64 - at);
        memcpy(s->buf_ + at, in, n);
        s->len_ += n;
        in += n;
        len -= n;
        if (at + n == 64) sbxi_sha256_block(s->h_, s->buf_);
    }
}

SBX_API void sbx_sha256_end(sbx_sha256 *s, unsigned char out[32])
{
    uint64_t bits = s->len_ << 3;
    uint8_t byte = 0x80;
    unsigned i;
    do { /* up to the last 8 bytes of a block */
        sbx_sha256_add(s, &byte, 1);
        byte = 0;
    } while ((s->len_ & 63) != 56);
    for (i = 0; i < 8; i++, bits <<= 8) {
        byte = (uint8_t)(bits >> 56);
        sbx_sha256_add(s, &byte, 1);
    }
    for (i = 0; i < 32; i++) out[i] = (uint8_t)(s->h_[i >> 2] >> (24 - 8 * (i & 3)));
    sbxi_wipe(s, sizeof *s);
}
