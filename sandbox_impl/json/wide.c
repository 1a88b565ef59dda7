/* json/wide - looks at JSON text 16 bytes at a time. Pure scanning for json/read:
   no state, no callbacks; each function takes what it is sure of and leaves the
   rest to the state machine, which judges. Only where the compiler has 16-byte
   vectors for a little-endian CPU; elsewhere, and with SBX_NO_SWAR, it is empty. */

#if !defined(SBX_NO_SWAR) && defined(__GNUC__) && __GNUC__ >= 4 \
    && ((defined(__x86_64__) && defined(__SSE2__)) \
        || (defined(__aarch64__) && !defined(__AARCH64EB__)))
#define SBXI_WIDE 1
#else
#define SBXI_WIDE 0
#endif

#if SBXI_WIDE
typedef uint8_t sbxi_v16 __attribute__((vector_size(16)));
typedef signed char sbxi_s16 __attribute__((vector_size(16)));

static inline sbxi_v16 sbxi_load16(const char *p)
{
    sbxi_v16 v;
    memcpy(&v, p, 16);
    return v;
}

/* Bit i is the high bit of byte i. */
static inline uint32_t sbxi_mask16(sbxi_v16 v)
{
#if defined(__SSE2__)
    typedef char chars __attribute__((vector_size(16)));
    return (uint32_t)__builtin_ia32_pmovmskb128((chars)v);
#else
    const uint64_t ones = 0x8080808080808080u, gather = 0x0002040810204081u;
    uint64_t half[2];
    memcpy(half, &v, 16);
    return (uint32_t)((half[0] & ones) * gather >> 56 | ((half[1] & ones) * gather >> 56) << 8);
#endif
}

#define SBXI_LOWEST(mask) ((unsigned)__builtin_ctzll(mask))

/* Quotes, backslashes, control characters and, as these compare below, all that
   is not ASCII. */
static inline uint32_t sbxi_json_stops16(sbxi_v16 v)
{
    return sbxi_mask16((sbxi_v16)(((sbxi_s16)v < 0x20) | (v == '"') | (v == '\\')));
}

/* Passes the plain ASCII of a string. Of p < end it leaves at least one byte. */
static inline const char *sbxi_json_plain16(const char *p, const char *end)
{
    for (; end - p > 16; p += 16) {
        uint32_t stops = sbxi_json_stops16(sbxi_load16(p));
        if (stops) return p + SBXI_LOWEST(stops);
    }
    return p;
}

/* Bytes that are no white space. */
static inline uint32_t sbxi_json_inks16(const char *p)
{
    sbxi_v16 v = sbxi_load16(p);
    return 0xFFFF ^ sbxi_mask16((sbxi_v16)((v == ' ') | (v == '\n') | (v == '\r') | (v == '\t')));
}

/* Passes white space, leaves at least one byte. */
static inline const char *sbxi_json_spaces16(const char *p, const char *end)
{
    for (; end - p > 16; p += 16) {
        uint32_t inks = sbxi_json_inks16(p);
        if (inks) return p + SBXI_LOWEST(inks);
    }
    return p;
}

/* The same between two members, where it is nearly always as long as before: a
   guess that is only checked need not wait for the count. */
static inline const char *sbxi_json_indent16(const char *p, const char *end, unsigned *guess)
{
    uint32_t inks, last = (uint32_t)1 << *guess;
    if (end - p <= 16) return p;
    inks = sbxi_json_inks16(p);
    if ((inks & (2 * last - 1)) == last) return p + *guess;
    *guess = inks ? SBXI_LOWEST(inks) : 0;
    return sbxi_json_spaces16(p, end);
}

/* Which of 16 bytes are wrong as UTF-8, judged with the 3 before them. */
static inline uint32_t sbxi_utf8_bad16(const char *p)
{
    sbxi_v16 v = sbxi_load16(p), a = sbxi_load16(p - 1);
    sbxi_v16 needed = (sbxi_v16)((a >= 0xC0) | (sbxi_load16(p - 2) >= 0xE0)
        | (sbxi_load16(p - 3) >= 0xF0));
    sbxi_v16 bad = needed ^ (sbxi_v16)((v & 0xC0) == 0x80);
    bad |= (sbxi_v16)(((v & 0xFE) == 0xC0) | (v >= 0xF5)); /* overlong; nothing begins so */
    bad |= (sbxi_v16)(((a == 0xE0) & (v < 0xA0)) | ((a == 0xED) & (v > 0x9F))); /* surrogates */
    bad |= (sbxi_v16)(((a == 0xF0) & (v < 0x90)) | ((a == 0xF4) & (v > 0x8F)));
    return sbxi_mask16(bad);
}

/* The end of the last whole character of good UTF-8 that may be cut at p. */
static const char *sbxi_utf8_whole(const char *p, const char *from)
{
    int back;
    for (back = 1; back <= 3 && p - back >= from; back++) {
        unsigned char c = (unsigned char)p[-back];
        if (c >= 0xC0) return c >= (back == 1 ? 0xC0 : back == 2 ? 0xE0 : 0xF0) ? p - back : p;
        if (c < 0x80) break;
    }
    return p;
}

/* Passes the text of a string, ASCII or not. p is at the beginning of a character,
   and so is what it returns; the 3 bytes before the first block that is not ASCII
   are looked at, so that must not be nearer to `begin` than that. */
static const char *sbxi_json_text16(const char *p, const char *end, const char *begin)
{
    const char *whole = p;
    uint32_t high, before = 0, stops;
    for (; end - p >= 16; p += 16) {
        sbxi_v16 v = sbxi_load16(p);
        high = sbxi_mask16(v);
        stops = sbxi_json_stops16(v) & ~high;
        if (high || before >> 13) {
            if (p - begin < 3) break;
            /* What stands behind the first stop is not of this string. */
            if (sbxi_utf8_bad16(p) & (stops ^ (stops - 1))) break;
        }
        if (stops) return p + SBXI_LOWEST(stops);
        before = high;
    }
    return sbxi_utf8_whole(p, whole);
}

/* Length of the number at p, which has 40 bytes; 0: it is longer than 32 or none. */
static inline unsigned sbxi_json_number32(const char *p)
{
    unsigned minus = *p == '-', n, from;
    uint64_t others;
    sbxi_v16 a, b;
    p += minus;
    a = sbxi_load16(p) - '0';
    b = sbxi_load16(p + 16) - '0';
    others = sbxi_mask16((sbxi_v16)(a > 9)) | (uint64_t)sbxi_mask16((sbxi_v16)(b > 9)) << 16
        | (uint64_t)31 << 32;
    n = SBXI_LOWEST(others);
    if (n == 0 || (n > 1 && *p == '0')) return 0;
    if (p[n] == '.') {
        from = n + 1;
        others &= others - 1;
        n = SBXI_LOWEST(others);
        if (n == from) return 0;
    }
    if ((p[n] | 0x20) == 'e') {
        from = n + 1;
        if (p[from] == '+' || p[from] == '-') {
            from++;
            others &= others - 1;
        }
        others &= others - 1;
        n = SBXI_LOWEST(others);
        if (n == from) return 0;
    }
    return n < 32 ? n + minus : 0;
}

/* Value of 4 hex digits, above 0xFFFF if they are not. */
static uint32_t sbxi_json_hex4(const char *p)
{
#define SBXI_X16 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16
#define SBXI_AF 16, 10, 11, 12, 13, 14, 15, 16, 16, 16, 16, 16, 16, 16, 16, 16
    static const uint8_t value[128] = {
        SBXI_X16, SBXI_X16, SBXI_X16,
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 16, 16, 16, 16, 16,
        SBXI_AF, SBXI_X16, SBXI_AF, SBXI_X16
    };
#undef SBXI_X16
#undef SBXI_AF
    const unsigned char *u = (const unsigned char *)p;
    uint32_t a, b, c, d;
    if ((u[0] | u[1] | u[2] | u[3]) & 0x80) return 0x10000;
    a = value[u[0]];
    b = value[u[1]];
    c = value[u[2]];
    d = value[u[3]];
    return (a | b | c | d) & 16 ? 0x10000 : a << 12 | b << 8 | c << 4 | d;
}
#endif
