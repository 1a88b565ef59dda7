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

/* Value of a letter, 64 if it is none. */
static unsigned sbxi_base64_value(unsigned char c)
{
    if (c >= 'a' && c <= 'z') return c - 'a' + 26u;
    if (c >= 'A' && c <= 'Z') return (unsigned)(c - 'A');
    if (c >= '0' && c <= '9') return c - '0' + 52u;
    if (c == '+' || c == '-') return 62;
    return c == '/' || c == '_' ? 63 : 64;
}

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
    unsigned char *o = *out;
    size_t i;
    for (i = 0; i + 4 <= len; i += 4, o += 3) {
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
