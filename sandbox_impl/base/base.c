/* base - the few things every module needs: checked sizes, ASCII, numbers,
   spans, wiping. No locale, no stdio, no errno. Everything here is pure. */

#include <string.h>

/* Where no object can have the 32 KiB that gzip looks back. */
#if SIZE_MAX <= 0xFFFF && !defined(SBX_NO_GZIP)
#define SBX_NO_GZIP
#endif

#define SBXI_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define SBXI_MIN(a, b) ((a) < (b) ? (a) : (b))
#define SBXI_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Marks functions that some switch leaves without a caller. */
#if defined(__GNUC__) || defined(__clang__)
#define SBXI_MAYBE __attribute__((unused))
#else
#define SBXI_MAYBE
#endif

/* Marks functions whose locals must not lie on the stack of what their caller calls
   besides. Where size counts, not depth, compilers may do as they like. */
#if (defined(__GNUC__) || defined(__clang__)) && !defined(__OPTIMIZE_SIZE__)
#define SBXI_APART __attribute__((noinline))
#else
#define SBXI_APART
#endif

typedef struct sbxi_span { const char *ptr; size_t len; } sbxi_span;

static sbxi_span sbxi_span_of(const char *text)
{
    sbxi_span s = { text, text ? strlen(text) : 0 };
    return s;
}

static bool sbxi_is_digit(char c) { return c >= '0' && c <= '9'; }

static bool sbxi_is_alnum(char c)
{
    return sbxi_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char sbxi_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Value of a hex digit, -1 if it is none. */
static int sbxi_hex_value(char c)
{
    if (sbxi_is_digit(c)) return c - '0';
    c = sbxi_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool sbxi_span_is(sbxi_span s, const char *text)
{
    size_t n = strlen(text);
    return s.len == n && memcmp(s.ptr, text, n) == 0;
}

/* ASCII case does not matter; text is in lower case. */
static SBXI_MAYBE bool sbxi_span_is_nocase(sbxi_span s, const char *text)
{
    for (; s.len && *text && sbxi_lower(*s.ptr) == *text; s.ptr++, text++) s.len--;
    return s.len == 0 && *text == 0;
}

/* First place of `needle` in `hay`, or NULL. Bounded by both lengths. */
static SBXI_MAYBE const char *sbxi_find(sbxi_span hay, const char *needle)
{
    size_t n = strlen(needle), i;
    for (i = 0; n <= hay.len && i <= hay.len - n; i++)
        if (memcmp(hay.ptr + i, needle, n) == 0) return hay.ptr + i;
    return NULL;
}

/* out = a + b unless that overflows. */
static bool sbxi_size_add(size_t *out, size_t a, size_t b)
{
    if (b > SIZE_MAX - a) return false;
    *out = a + b;
    return true;
}

/* All of s as a decimal number 0..max, digits only. */
static bool sbxi_parse_u64(sbxi_span s, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    size_t i;
    if (s.len == 0 || s.len > 20) return false;
    for (i = 0; i < s.len; i++) {
        unsigned d = (unsigned)(unsigned char)s.ptr[i] - '0';
        if (d > 9 || v > UINT64_MAX / 10) return false;
        v = v * 10 + d;
        if (v < d) return false;
    }
    *out = v;
    return v <= max;
}

#define SBXI_DECIMAL_MAX 20 /* digits of the largest uint64_t */

/* Decimal digits of v into out (SBXI_DECIMAL_MAX bytes), returns their number.
   Divides by hand: a 64-bit division costs 400 bytes on a small CPU. */
static size_t sbxi_print_u64(char *out, uint64_t v)
{
    uint32_t high = (uint32_t)(v >> 32), low = (uint32_t)v;
    char *p = out + SBXI_DECIMAL_MAX;
    size_t n;
    do {
        uint32_t a = high % 10 << 16 | low >> 16, b = a % 10 << 16 | (low & 0xFFFF);
        high /= 10;
        low = a / 10 << 16 | b / 10;
        *--p = (char)('0' + b % 10);
    } while (high | low);
    n = (size_t)(out + SBXI_DECIMAL_MAX - p);
    memmove(out, p, n);
    return n;
}

/* Hex digits; `| 0x20` makes them small. */
static const char sbxi_hex[] = "0123456789ABCDEF";

/* Two small digits a byte, no NUL. Returns behind them. */
static SBXI_MAYBE char *sbxi_print_hex(char *out, const unsigned char *data, size_t len)
{
    for (; len; len--, data++) {
        *out++ = (char)(sbxi_hex[*data >> 4] | 0x20);
        *out++ = (char)(sbxi_hex[*data & 15] | 0x20);
    }
    return out;
}

/* Overwrites a secret in a way the compiler may not drop. */
static void sbxi_wipe(void *p, size_t n)
{
#if defined(__GNUC__) || defined(__clang__)
    memset(p, 0, n);
    __asm__ __volatile__("" : : "r"(p) : "memory"); /* as if it were read */
#else
    volatile unsigned char *b = (volatile unsigned char *)p;
    while (n--) *b++ = 0;
#endif
}

/* Copies text into a fixed array, cut to fit, NUL-terminated. A cut never
   leaves half a UTF-8 character. Control characters become spaces: these texts
   are shown to people. */
static void sbxi_put_text(char *out, size_t cap, const char *text, size_t len)
{
    size_t i, n = SBXI_MIN(len, cap - 1);
    if (n < len)
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
    for (i = 0; i < n; i++)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7F ? ' ' : text[i];
    out[n] = 0;
}

/* Appends text to a NUL-terminated fixed array, cut to fit. */
static SBXI_MAYBE void sbxi_add_text(char *out, size_t cap, const char *text)
{
    size_t n = strlen(out);
    if (n + 1 < cap) sbxi_put_text(out + n, cap - n, text, strlen(text));
}
