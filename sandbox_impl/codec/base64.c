/* codec/base64 - both ways (public: section 15). Used by the JSON writer, by the
   binder's streamed members and by programs. Bytes come out as soon as they are
   known, so the decoder keeps at most 6 bits and may write over its own input. */

static const char sbxi_base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

SBX_API size_t sbx_base64_encode(char *out, const void *data, size_t len)
{
    const unsigned char *in = (const unsigned char *)data;
    char *o = out;
    while (len > 0) {
        size_t n = SBXI_MIN(len, 3), i;
        uint32_t v = (uint32_t)in[0] << 16;
        if (n > 1) v |= (uint32_t)in[1] << 8;
        if (n > 2) v |= in[2];
        for (i = 0; i < 4; i++, v <<= 6)
            *o++ = i <= n ? sbxi_base64_letters[v >> 18 & 63] : '=';
        in += n;
        len -= n;
    }
    return (size_t)(o - out);
}

/* Basic credentials into a header line that was begun, and its end. */
static SBXI_MAYBE void sbxi_basic(sbxi_buf *b, const char *user, size_t len)
{
    sbxi_buf_text(b, "Basic ");
    if (sbxi_buf_reserve(b, SBX_BASE64_LEN(len)) != SBX_OK) return;
    b->len += sbx_base64_encode(b->data + b->len, user, len);
    sbxi_buf_text(b, "\r\n");
}

/* Value of a letter, 64 if it is none. */
static unsigned sbxi_base64_value(unsigned char c)
{
    if (c >= 'a' && c <= 'z') return (unsigned)(c - 'a') + 26;
    if (c >= 'A' && c <= 'Z') return (unsigned)(c - 'A');
    if (c >= '0' && c <= '9') return (unsigned)(c - '0') + 52;
    if (c == '+' || c == '-') return 62;
    return c == '/' || c == '_' ? 63 : 64;
}

#if !defined(SBX_NO_SWAR) && defined(__x86_64__) && defined(__GNUC__) && __GNUC__ >= 4
#define SBXI_BASE64_WIDE 1
typedef char sbxi_c16 __attribute__((vector_size(16)));
typedef short sbxi_h8 __attribute__((vector_size(16)));
typedef int sbxi_i4 __attribute__((vector_size(16)));

/* Blocks of 16 letters of the standard alphabet, for CPUs that shuffle bytes. The
   high half of a letter says what to add to it; two tables by its halves have a bit
   in common where it is none. It may write 4 bytes more than it makes, which the
   24 letters that are still to come always make. */
__attribute__((target("ssse3")))
static size_t sbxi_base64_blocks(const unsigned char *in, size_t len, unsigned char **out)
{
    static const sbxi_c16 low_bad = { 0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
        0x11, 0x13, 0x1A, 0x1B, 0x1B, 0x1B, 0x1A };
    static const sbxi_c16 high_bad = { 0x10, 0x10, 1, 2, 4, 8, 4, 8, 0x10, 0x10, 0x10, 0x10, 0x10,
        0x10, 0x10, 0x10 };
    static const sbxi_c16 shift = { 0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0 };
    static const sbxi_c16 pair = { 64, 1, 64, 1, 64, 1, 64, 1, 64, 1, 64, 1, 64, 1, 64, 1 };
    static const sbxi_h8 four = { 4096, 1, 4096, 1, 4096, 1, 4096, 1 };
    static const sbxi_c16 order = { 2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1 };
    unsigned char *o = *out;
    size_t i;
    for (i = 0; len - i >= 24; i += 16, o += 12) {
        sbxi_c16 v, low, high, bad;
        memcpy(&v, in + i, 16);
        high = (sbxi_c16)((sbxi_i4)v >> 4) & 15;
        low = v & 15;
        bad = __builtin_ia32_pshufb128(low_bad, low) & __builtin_ia32_pshufb128(high_bad, high);
        if (__builtin_ia32_pmovmskb128((sbxi_c16)(bad != 0))) break;
        v += __builtin_ia32_pshufb128(shift, high + (sbxi_c16)(v == '/'));
        v = (sbxi_c16)__builtin_ia32_pmaddwd128(__builtin_ia32_pmaddubsw128(v, pair), four);
        v = __builtin_ia32_pshufb128(v, order);
        memcpy(o, &v, 16);
    }
    *out = o;
    return i;
}
#else
#define SBXI_BASE64_WIDE 0
#endif

#ifndef SBX_NO_SWAR
/* Whole groups of four letters, stopping at the first that is not one. */
static size_t sbxi_base64_quads(const unsigned char *in, size_t len, unsigned char **out)
{
#define SBXI_X8 64, 64, 64, 64, 64, 64, 64, 64
    static const uint8_t value[256] = {
        SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8,
        64, 64, 64, 62, 64, 62, 64, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61,
        64, 64, 64, 64, 64, 64, 64, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
        14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 63, 64,
        26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
        45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,
        SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8,
        SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8
    };
#undef SBXI_X8
    unsigned char *o;
    size_t i = 0;
#if SBXI_BASE64_WIDE
    size_t all = 0 - (size_t)!!__builtin_cpu_supports("ssse3"); /* or none */
    i = sbxi_base64_blocks(in, len & all, out);
#endif
    o = *out;
    for (; i + 4 <= len; i += 4, o += 3) {
        unsigned a = value[in[i]], b = value[in[i + 1]], c = value[in[i + 2]],
            d = value[in[i + 3]];
        if ((a | b | c | d) > 63) break;
        o[0] = (unsigned char)(a << 2 | b >> 4);
        o[1] = (unsigned char)(b << 4 | c >> 2);
        o[2] = (unsigned char)(c << 6 | d);
    }
    *out = o;
    return i;
}
#endif

/* ended_: 0 letters come, 2 one more '=' must come, 1 nothing may come. */
SBX_API int sbx_base64_decode(sbx_base64 *state, const char *text, size_t len,
    void *out, size_t *out_len)
{
    const unsigned char *in = (const unsigned char *)text;
    unsigned char *o = (unsigned char *)out;
    size_t i = 0;
    int rc = SBX_OK;
    while (i < len) {
        unsigned v;
#ifndef SBX_NO_SWAR
        if (state->count_ == 0) { /* so nothing has ended */
            i += sbxi_base64_quads(in + i, len - i, &o);
            if (i == len) break;
        }
#endif
        v = sbxi_base64_value(in[i]);
        if (v < 64 && !state->ended_) {
            state->bits_ = (state->bits_ << 6 | v) & 0xFFFF;
            if (state->count_) *o++ = (unsigned char)(state->bits_ >> (6 - 2 * state->count_));
            state->count_ = (uint8_t)((state->count_ + 1) & 3);
        } else if (in[i] == '=' && state->count_ >= 2 && state->ended_ != 1) {
            state->ended_ = (uint8_t)(state->count_ == 2 && !state->ended_ ? 2 : 1);
        } else {
            rc = SBX_E_PROTOCOL;
            break;
        }
        i++;
    }
    *out_len = (size_t)(o - (unsigned char *)out);
    return rc;
}

SBX_API int sbx_base64_end(sbx_base64 *state)
{
    return state->count_ == 1 || state->ended_ == 2 ? SBX_E_PROTOCOL : SBX_OK;
}
