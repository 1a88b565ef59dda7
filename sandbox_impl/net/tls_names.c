/* tls_names - the texts TLS is configured and called with, as bytes: addresses and
   pinned keys. Knows nothing of mbedTLS. Called by tls.c. */

#ifndef SBX_NO_TLS

/* ---- addresses as text ---------------------------------------------------- */

/* Four decimal numbers. Leading zeros are refused: some read them as octal. */
static bool sbxi_ip4_parse(const char *s, size_t len, unsigned char *out)
{
    size_t i = 0, part;
    for (part = 0; part < 4; part++) {
        unsigned v = 0;
        size_t start;
        if (part > 0 && (i >= len || s[i++] != '.')) return false;
        start = i;
        for (; i < len && sbxi_is_digit(s[i]) && i - start < 3; i++)
            v = v * 10 + (unsigned)(s[i] - '0');
        if (i == start || v > 255 || (s[start] == '0' && i - start > 1)) return false;
        out[part] = (unsigned char)v;
    }
    return i == len;
}

/* One group of an IPv6 address to out[0..2); its length in text, 0: none. */
static size_t sbxi_ip6_group(const char *s, size_t len, unsigned char *out)
{
    unsigned v = 0;
    size_t i;
    for (i = 0; i < len && i < 4 && sbxi_hex_value(s[i]) >= 0; i++)
        v = v * 16 + (unsigned)sbxi_hex_value(s[i]);
    out[0] = (unsigned char)(v >> 8);
    out[1] = (unsigned char)(v & 255);
    return i;
}

/* What stands between two groups: a colon, or once "::", whose place is noted. */
static bool sbxi_ip6_colon(const char *s, size_t len, size_t *i, size_t n, size_t *gap)
{
    if (s[(*i)++] != ':' || *i == len) return false;
    if (s[*i] != ':') return true;
    if (*gap != SIZE_MAX) return false;
    *gap = n;
    ++*i;
    return true;
}

/* Moves what stood behind "::" to the end. */
static bool sbxi_ip6_stretch(unsigned char *out, size_t n, size_t gap)
{
    if (gap == SIZE_MAX) return n == 16;
    if (n > 14) return false;
    memmove(out + 16 - (n - gap), out + gap, n - gap);
    memset(out + gap, 0, 16 - n);
    return true;
}

/* out is zeroed by the caller. n counts its bytes, gap is where "::" stood. */
static bool sbxi_ip6_parse(const char *s, size_t len, unsigned char *out)
{
    size_t i = 0, n = 0, gap = SIZE_MAX;
    if (len >= 2 && s[0] == ':' && s[1] == ':') {
        gap = 0;
        i = 2;
    }
    while (i < len) {
        size_t g;
        if (n == 16) return false;
        if (n <= 12 && sbxi_ip4_parse(s + i, len - i, out + n)) {
            n += 4;
            break;
        }
        g = sbxi_ip6_group(s + i, len - i, out + n);
        if (g == 0) return false;
        i += g;
        n += 2;
        if (i == len) break;
        if (!sbxi_ip6_colon(s, len, &i, n, &gap)) return false;
    }
    return sbxi_ip6_stretch(out, n, gap);
}

/* 4 or 16: text is an address, now in out; 0: it is a name. A zone (%eth0) says
   which way to go, not who is there: it does not count. */
static size_t sbxi_ip_parse(const char *text, unsigned char out[16])
{
    const char *zone = strchr(text, '%');
    size_t len = zone ? (size_t)(zone - text) : strlen(text);
    memset(out, 0, 16);
    if (!zone && sbxi_ip4_parse(text, len, out)) return 4;
    return sbxi_ip6_parse(text, len, out) ? 16 : 0;
}

/* ---- pins ------------------------------------------------------------------- */

/* The next of the pins at *at, which moves on: 1 it is in out, 0 there is none
   left, -1 that is no pin. */
static int sbxi_pin_next(const char **at, unsigned char out[32])
{
    sbx_base64 state = { 0, 0, 0 };
    const char *s = *at;
    unsigned char bytes[36];
    size_t n, got;
    while (*s == ';' || *s == ' ') s++;
    *at = s;
    if (!*s) return 0;
    if (strncmp(s, "sha256//", 8) == 0) s += 8;
    n = strcspn(s, "; ");
    *at = s + n;
    if (n != 44 || sbx_base64_decode(&state, s, n, bytes, &got) != SBX_OK) return -1;
    if (sbx_base64_end(&state) != SBX_OK || got != 32) return -1;
    memcpy(out, bytes, 32);
    return 1;
}

/* Is the hash one of the pins? */
static bool sbxi_pin_has(const char *pins, const unsigned char hash[32])
{
    unsigned char pin[32];
    while (sbxi_pin_next(&pins, pin) > 0)
        if (memcmp(pin, hash, 32) == 0) return true;
    return false;
}

/* Is it at least one pin and nothing else? */
static bool sbxi_pin_check(const char *pins)
{
    unsigned char pin[32];
    int rc, n = 0;
    while ((rc = sbxi_pin_next(&pins, pin)) > 0) n = 1;
    return rc == 0 && n == 1;
}

#endif /* SBX_NO_TLS */
