/* percent - percent-encoding, and the checks that keep a name or a value from
   becoming more than that: host names, tokens, header values, base URLs. Pure.
   Nothing reaches a request line or a header without passing one of these. */

/* A set of ASCII characters, one bit each. */
static bool sbxi_in_set(const uint32_t set[4], char c)
{
    unsigned u = (unsigned char)c;
    return u < 128 && (set[u >> 5] >> (u & 31) & 1);
}

enum { SBXI_PERCENT_SEGMENT, SBXI_PERCENT_FORM, SBXI_PERCENT_KEEP_SLASH };

static void sbxi_percent_byte(sbxi_buf *out, unsigned char c)
{
    char text[3];
    text[0] = '%';
    text[1] = sbxi_hex[c >> 4];
    text[2] = sbxi_hex[c & 15];
    sbxi_buf_add(out, text, 3);
}

/* Appends s, all but A-Z a-z 0-9 - . _ ~ as %XX. FORM: a space becomes '+'.
   KEEP_SLASH: '/' stays. SEGMENT: "." and ".." are encoded too, or a proxy
   would take them for path steps. */
static SBXI_MAYBE int sbxi_percent(sbxi_buf *out, sbxi_span s, unsigned mode)
{
    static const uint32_t plain[4] = { 0, 0x03ff6000u, 0x87fffffeu, 0x47fffffeu };
    bool dots = mode == SBXI_PERCENT_SEGMENT
        && (sbxi_span_is(s, ".") || sbxi_span_is(s, ".."));
    for (; s.len > 0 && !out->status; s.ptr++, s.len--) {
        char c = *s.ptr;
        if (!dots && (sbxi_in_set(plain, c) || (c == '/' && mode == SBXI_PERCENT_KEEP_SLASH)))
            sbxi_buf_add(out, s.ptr, 1);
        else if (c == ' ' && mode == SBXI_PERCENT_FORM)
            sbxi_buf_add(out, "+", 1);
        else
            sbxi_percent_byte(out, (unsigned char)c);
    }
    return out->status;
}

/* tchar of RFC 9110: what header names and methods are made of. */
static const uint32_t sbxi_tchar[4] = { 0, 0x03ff6cfau, 0xc7fffffeu, 0x57ffffffu };

static SBXI_MAYBE bool sbxi_is_token(sbxi_span s)
{
    size_t i = 0;
    while (i < s.len && sbxi_in_set(sbxi_tchar, s.ptr[i])) i++;
    return i > 0 && i == s.len;
}

/* What may stand in a header line: all but the control characters; HTAB may. */
static bool sbxi_is_text(char c)
{
    unsigned char u = (unsigned char)c;
    return (u >= 0x20 && u != 0x7F) || u == '\t';
}

/* A header value as a caller may give it; empty is fine. */
static SBXI_MAYBE bool sbxi_is_field_value(sbxi_span s)
{
    size_t i = 0;
    while (i < s.len && sbxi_is_text(s.ptr[i])) i++;
    return i == s.len;
}

#define SBXI_MAX_HOST 253 /* of DNS */

/* [IPv6] without a zone; the resolver judges the digits. */
static bool sbxi_is_ipv6(sbxi_span s)
{
    size_t i, colons = 0;
    if (s.len < 4 || s.ptr[s.len - 1] != ']') return false;
    for (i = 1; i + 1 < s.len; i++) {
        char c = s.ptr[i];
        if (c == ':') colons++;
        else if (c != '.' && sbxi_hex_value(c) < 0) return false;
    }
    return colons >= 2;
}

/* A name of letters, digits, '-', '_' in labels, an IPv4 address, or [IPv6].
   Letters beyond ASCII must come in their xn-- form. */
static SBXI_MAYBE bool sbxi_is_host(sbxi_span s)
{
    char before = '.';
    size_t i;
    if (s.len == 0 || s.len > SBXI_MAX_HOST) return false;
    if (s.ptr[0] == '[') return sbxi_is_ipv6(s);
    for (i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '.' || c == '-') {
            if (before == '.') return false; /* empty label, or begins with '-' */
        } else if (!sbxi_is_alnum(c) && c != '_') {
            return false;
        }
        before = c;
    }
    return before != '.' && before != '-';
}

typedef struct sbxi_url {
    bool tls;
    sbxi_span host;         /* without the brackets of [IPv6] */
    uint16_t port;
    sbxi_span path;         /* as given, without trailing '/'; often empty */
} sbxi_url;

/* Does s end with `end`? ASCII case does not matter. */
static SBXI_MAYBE bool sbxi_ends_nocase(sbxi_span s, sbxi_span end)
{
    while (s.len && end.len
           && sbxi_lower(s.ptr[s.len - 1]) == sbxi_lower(end.ptr[end.len - 1])) {
        s.len--;
        end.len--;
    }
    return end.len == 0;
}

/* host[:port], without user names: those are how URLs lie about the host. The
   default of out->port is the caller's. */
static bool sbxi_url_authority(sbxi_span s, sbxi_url *out)
{
    uint64_t port = out->port;
    size_t n = s.len;
    while (n > 0 && sbxi_is_digit(s.ptr[n - 1])) n--;
    if (n > 0 && s.ptr[n - 1] == ':') {
        sbxi_span digits;
        digits.ptr = s.ptr + n;
        digits.len = s.len - n;
        if (!sbxi_parse_u64(digits, 65535, &port) || port == 0) return false;
        s.len = n - 1;
    }
    if (!sbxi_is_host(s)) return false;
    if (s.ptr[0] == '[') {
        s.ptr++;
        s.len -= 2;
    }
    out->host = s;
    out->port = (uint16_t)port;
    return true;
}

/* http://host[:port] or https://...; all behind it is out->path, which is empty,
   or a '/' and what is still to be checked. */
static bool sbxi_url_origin(sbxi_span text, sbxi_url *out)
{
    static const char scheme[] = "https://";
    const char *at = scheme, *p = text.ptr, *end;
    if (!text.len) return false; /* ptr may be NULL then */
    end = p + text.len;
    out->tls = true;
    for (; *at; at++) {
        if (p < end && sbxi_lower(*p) == *at) p++;
        else if (*at == 's') out->tls = false;
        else return false;
    }
    out->port = out->tls ? 443 : 80;
    text.ptr = p;
    for (; p < end && *p != '/'; p++) { }
    text.len = (size_t)(p - text.ptr);
    out->path.ptr = p;
    out->path.len = (size_t)(end - p);
    return sbxi_url_authority(text, out);
}

/* No byte that a request line cannot carry, no fragment; `but` is refused too. */
static bool sbxi_is_target(sbxi_span s, char but)
{
    for (; s.len; s.ptr++, s.len--) {
        char c = *s.ptr;
        if ((unsigned char)(c - '!') > '~' - '!' || c == but || c == '#' || c == '\\')
            return false;
    }
    return true;
}

/* Splits http://host[:port][/path] or https://...; no user, query or fragment. */
static SBXI_MAYBE bool sbxi_url_split(sbxi_span text, sbxi_url *out)
{
    sbxi_span *p = &out->path;
    if (!sbxi_url_origin(text, out) || !sbxi_is_target(*p, '?')) return false;
    while (p->len && p->ptr[p->len - 1] == '/') p->len--;
    return true;
}
