/* json/read - the push tokenizer (public: section 13). Used by the binder and by
   programs.

   Invariants: every byte is looked at once and never again; `start` is the first
   byte of the run that has not been handed out or copied yet; len_ bytes of
   token_ come before that run. A token goes to token_ only when it cannot be
   pointed at: split over two pieces, or holding escapes. Containers are bits of
   stack_, so nesting costs neither recursion nor memory. */

/* States below STRING expect structure and skip white space. */
enum {
    SBXI_J_VALUE, SBXI_J_FIRST_VALUE, SBXI_J_KEY, SBXI_J_FIRST_KEY, SBXI_J_COLON,
    SBXI_J_AFTER, SBXI_J_STRING, SBXI_J_UTF8, SBXI_J_NUMBER, SBXI_J_ESCAPE,
    SBXI_J_HEX, SBXI_J_LITERAL
};

#define SBXI_J_IS_KEY 0x80u /* in flags_: the string being read is a key */

/* One byte of UTF-8. u: bytes still needed, bounds of the next one. False: not
   UTF-8 (overlong, surrogate, above U+10FFFF, or out of place). */
static bool sbxi_utf8_step(uint8_t u[3], unsigned char c)
{
    if (u[0]) {
        if (c < u[1] || c > u[2]) return false;
        u[0]--;
    } else if (c < 0x80) {
        return true;
    } else {
        if (c < 0xC2 || c > 0xF4) return false;
        u[0] = (uint8_t)(1 + (c >= 0xE0) + (c >= 0xF0));
    }
    u[1] = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    u[2] = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    return true;
}

static SBXI_MAYBE bool sbxi_is_utf8(sbxi_span text)
{
    uint8_t u[3] = { 0, 0, 0 };
    size_t i;
    for (i = 0; i < text.len; i++)
        if (!sbxi_utf8_step(u, (unsigned char)text.ptr[i])) return false;
    return !u[0];
}

/* UTF-8 of a code point, which is no surrogate. Returns 1 to 4. */
static size_t sbxi_utf8_put(char out[4], uint32_t code)
{
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4, i = n;
    static const uint8_t lead[4] = { 0, 0xC0, 0xE0, 0xF0 };
    while (--i > 0) {
        out[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    out[0] = (char)(lead[n - 1] | code);
    return n;
}

static void sbxi_json_emit(sbx_json_reader *r, unsigned type, const char *text,
    size_t len, unsigned flags)
{
    sbx_json_event ev;
    ev.type = (sbx_json_type)type;
    ev.flags = flags & ~SBXI_J_IS_KEY;
    ev.depth = r->depth_;
    ev.text = text;
    ev.len = len;
    r->status_ = r->fn_(r->ctx_, &ev);
}

/* Keeps n bytes in token_, cut at its end. */
static void sbxi_json_keep(sbx_json_reader *r, const char *text, size_t n)
{
    size_t room = SBX_JSON_TOKEN - (size_t)r->len_;
    if (n > room) {
        n = room;
        r->flags_ |= SBX_JSON_CUT;
    }
    memcpy(r->token_ + r->len_, text, n);
    r->len_ = (uint8_t)(r->len_ + n);
}

static void sbxi_json_keep_code(sbx_json_reader *r, uint32_t code)
{
    char utf8[4];
    sbxi_json_keep(r, utf8, sbxi_utf8_put(utf8, code));
}

/* Half a surrogate pair stood alone. */
static void sbxi_json_lone(sbx_json_reader *r)
{
    r->high_ = 0;
    r->flags_ |= SBX_JSON_LONE;
    sbxi_json_keep_code(r, 0xFFFD);
}

/* A \uXXXX is complete. */
static void sbxi_json_unit(sbx_json_reader *r, uint32_t code)
{
    unsigned half = (unsigned)code >> 10;
    if (r->high_ && half == 0xDC00u >> 10) {
        code = 0x10000 + (((uint32_t)r->high_ & 0x3FF) << 10) + (code & 0x3FF);
        r->high_ = 0;
        sbxi_json_keep_code(r, code);
        return;
    }
    if (r->high_) sbxi_json_lone(r);
    if (half == 0xD800u >> 10) r->high_ = (uint16_t)code;
    else if (half == 0xDC00u >> 10) sbxi_json_lone(r);
    else sbxi_json_keep_code(r, code);
}

/* Hands out a whole token, or the last piece of a string. */
static void sbxi_json_token(sbx_json_reader *r, unsigned type, const char *start,
    size_t n)
{
    if (r->len_) {
        sbxi_json_keep(r, start, n);
        start = r->token_;
        n = r->len_;
    } else if (type != SBX_JSON_STRING && n > SBX_JSON_TOKEN) {
        n = SBX_JSON_TOKEN;
        r->flags_ |= SBX_JSON_CUT;
    }
    r->len_ = 0;
    sbxi_json_emit(r, type, start, n, r->flags_);
}

/* The run ends without the token being complete: keys and numbers are kept, a
   piece of a string is handed out. A string never has both kept and run. */
static void sbxi_json_run(sbx_json_reader *r, unsigned state, const char *start,
    size_t n)
{
    if (state == SBXI_J_NUMBER || (r->flags_ & SBXI_J_IS_KEY)) {
        sbxi_json_keep(r, start, n);
        return;
    }
    if (r->len_) {
        start = r->token_;
        n = r->len_;
        r->len_ = 0;
    }
    if (n) sbxi_json_emit(r, SBX_JSON_STRING, start, n, r->flags_ | SBX_JSON_MORE);
}

/* Next state of a number: 8 it ended before c, 9 it is none. Rows: after the
   sign, after 0, in the integer, after the point, in the fraction, after e,
   after its sign, in the exponent. Columns: 0, 1-9, point, e, sign, others. */
static unsigned sbxi_json_number(unsigned state, char c)
{
    static const uint8_t next[8][6] = {
        { 1, 2, 9, 9, 9, 9 }, { 8, 8, 3, 5, 8, 8 }, { 2, 2, 3, 5, 8, 8 },
        { 4, 4, 9, 9, 9, 9 }, { 4, 4, 8, 5, 8, 8 }, { 7, 7, 9, 9, 6, 9 },
        { 7, 7, 9, 9, 9, 9 }, { 7, 7, 8, 8, 8, 8 }
    };
    return next[state][c == '0' ? 0 : sbxi_is_digit(c) ? 1 : c == '.' ? 2 :
        sbxi_lower(c) == 'e' ? 3 : c == '-' || c == '+' ? 4 : 5];
}

#if SBXI_WIDE
#define SBXI_J_PIECE 176 /* of a string with escapes, gathered */
#define SBXI_J_AHEAD 48  /* bytes that must lie ahead of a token */

/* One whole escape at p, which has 12 bytes; NULL: left to the state machine. */
static const char *sbxi_json_escape_at(const char *p, char **out)
{
    static const char simple[128] = { ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t' };
    uint32_t code, low;
    if (p[1] == 'u') {
        code = sbxi_json_hex4(p + 2);
        p += 6;
        if (code > 0xFFFF) return NULL;
        if (code >= 0xD800 && code < 0xE000) {
            low = p[0] == '\\' && p[1] == 'u' ? sbxi_json_hex4(p + 2) : 0;
            if (code >= 0xDC00 || low < 0xDC00 || low > 0xDFFF) return NULL;
            code = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF);
            p += 6;
        }
        *out += sbxi_utf8_put(*out, code);
        return p;
    }
    if ((p[1] & 0x80) || !simple[(unsigned char)p[1]]) return NULL;
    *(*out)++ = simple[(unsigned char)p[1]];
    return p + 2;
}

/* Whole escapes at p, as often one follows another, while out is not behind `full`.
   Returns p if the first is left to the state machine. */
static const char *sbxi_json_escapes(const char *p, const char *end, char **out,
    const char *full)
{
    const char *next = p;
    do {
        p = next;
        next = sbxi_json_escape_at(p, out);
    } while (next && end - next >= 12 && *next == '\\' && *out <= full);
    return next ? next : p;
}

/* A string value from its first escape on, gathered to larger pieces than one
   between two escapes. Stops early at anything unusual. Returns the new position,
   behind the closing quote if *done. */
static const char *sbxi_json_unescape(sbx_json_reader *r, const char *p, const char *end,
    bool *done)
{
    char piece[SBXI_J_PIECE], *out = piece;
    const char *next, *begin = p;
    while (end - p >= SBXI_J_AHEAD && out - piece <= SBXI_J_PIECE - 16) {
        if (*p == '"') {
            *done = true;
            p++;
            break;
        }
        if (*p == '\\') {
            next = sbxi_json_escapes(p, end, &out, piece + SBXI_J_PIECE - 16);
        } else {
            uint32_t stops = sbxi_json_stops16(sbxi_load16(p));
            memcpy(out, p, 16);
            next = p + (stops ? SBXI_LOWEST(stops) : 16);
            if (next == p) {
                ptrdiff_t room = piece + SBXI_J_PIECE - out;
                next = sbxi_json_text16(p, p + SBXI_MIN(end - p, room), begin);
                memcpy(out, p, (size_t)(next - p));
            }
            out += next - p;
        }
        if (next == p) break;
        p = next;
    }
    if (*done) sbxi_json_token(r, SBX_JSON_STRING, piece, (size_t)(out - piece));
    else sbxi_json_run(r, SBXI_J_STRING, piece, (size_t)(out - piece));
    return p;
}
#endif

/* Is the innermost container an object? There is one. */
static bool sbxi_json_in_object(const sbx_json_reader *r)
{
    unsigned d = r->depth_ - 1u;
    return r->stack_[d >> 5] >> (d & 31) & 1;
}

/* c opens a container. */
static unsigned sbxi_json_open(sbx_json_reader *r, unsigned char c)
{
    unsigned d = r->depth_;
    uint32_t bit = (uint32_t)1 << (d & 31);
    if (d >= SBX_MAX_JSON_DEPTH) {
        r->status_ = SBX_E_TOO_LARGE;
        return SBXI_J_VALUE;
    }
    r->stack_[d >> 5] &= ~bit;
    if (c == '{') r->stack_[d >> 5] |= bit;
    sbxi_json_emit(r, c == '{' ? SBX_JSON_OBJECT : SBX_JSON_ARRAY, NULL, 0, 0);
    r->depth_++;
    return c == '{' ? SBXI_J_FIRST_KEY : SBXI_J_FIRST_VALUE;
}

#if SBXI_WIDE
/* The other state machine, for what most text is made of: whole tokens, none of
   them split, escaped, long or other than ASCII. It hands those out one after the
   other and leaves anything else, errors above all, to sbx_json_feed(): a token
   that it does not finish has not happened, except that the beginning of a string
   is found (*state is then SBXI_J_STRING, *start its first byte). */
static const char *sbxi_json_quick(sbx_json_reader *r, const char *p, const char *end,
    unsigned *state, const char **start)
{
#define SBXI_J_EMIT(what, from, n) (ev.type = (what), ev.text = (from), ev.len = (size_t)(n), \
    r->status_ = r->fn_(r->ctx_, &ev))
#define SBXI_J_SPACES() do { if ((unsigned char)*p <= ' ') p = sbxi_json_spaces16(p, end); \
    } while (0)
    bool object = r->depth_ && sbxi_json_in_object(r);
    sbx_json_event ev;
    const char *text;
    unsigned at = *state, n, indent = 0;
    char c;
    ev.flags = 0;
    ev.depth = r->depth_;
    SBXI_J_SPACES();
    if (at == SBXI_J_AFTER) goto after;
    if (at == SBXI_J_COLON) goto colon;
    if (at == SBXI_J_FIRST_KEY && *p == '}') goto close;
    if (at == SBXI_J_FIRST_VALUE && *p == ']') goto close;
    if (at >= SBXI_J_KEY) goto key;
value:
    if (end - p < SBXI_J_AHEAD) goto out;
    c = *p;
    if (c == '"') {
        text = p + 1;
        p = sbxi_json_plain16(text, end);
        if (*p != '"') {
            r->flags_ = 0;
            goto string;
        }
        at = SBXI_J_AFTER;
        SBXI_J_EMIT(SBX_JSON_STRING, text, p - text);
        p++;
    } else if (c == '-' || sbxi_is_digit(c)) {
        n = sbxi_json_number32(p);
        if (n == 0) goto out;
        at = SBXI_J_AFTER;
        SBXI_J_EMIT(SBX_JSON_NUMBER, p, n);
        p += n;
    } else if (c == '{' || c == '[') {
        at = sbxi_json_open(r, (unsigned char)c);
        p++;
        if (r->status_) goto out;
        object = c == '{';
        ev.depth = r->depth_;
        SBXI_J_SPACES();
        if (*p == (object ? '}' : ']')) goto close;
        if (object) goto key;
        goto value;
    } else {
        n = memcmp(p, "true", 4) == 0 ? 4 : memcmp(p, "null", 4) == 0 ? 4 :
            memcmp(p, "false", 5) == 0 ? 5 : 0;
        if (n == 0) goto out;
        at = SBXI_J_AFTER;
        SBXI_J_EMIT(c == 't' ? SBX_JSON_TRUE : c == 'f' ? SBX_JSON_FALSE : SBX_JSON_NULL, NULL, 0);
        p += n;
    }
    if (r->status_ || p == end) goto out;
after:
    SBXI_J_SPACES();
    if (ev.depth == 0) goto out;
    if (*p == ',') {
        p++;
        at = object ? SBXI_J_KEY : SBXI_J_VALUE;
        if (p == end) goto out;
        if ((unsigned char)*p <= ' ') p = sbxi_json_indent16(p, end, &indent);
        if (!object) goto value;
    } else if (*p == (object ? '}' : ']')) {
        goto close;
    } else {
        goto out;
    }
key:
    if (end - p < SBXI_J_AHEAD || *p != '"') goto out;
    text = p + 1;
    p = sbxi_json_plain16(text, end);
    if (*p != '"' || p - text > SBX_JSON_TOKEN) {
        r->flags_ = SBXI_J_IS_KEY;
        goto string;
    }
    at = SBXI_J_COLON;
    SBXI_J_EMIT(SBX_JSON_KEY, text, p - text);
    p++;
    if (r->status_ || p == end) goto out;
colon:
    SBXI_J_SPACES();
    if (*p != ':') goto out;
    at = SBXI_J_VALUE;
    if (++p == end) goto out;
    if (*p == ' ' && ++p == end) goto out; /* the usual one */
    SBXI_J_SPACES();
    goto value;
close:
    c = *p++;
    ev.depth = --r->depth_;
    at = SBXI_J_AFTER;
    SBXI_J_EMIT(c == '}' ? SBX_JSON_OBJECT_END : SBX_JSON_ARRAY_END, NULL, 0);
    object = ev.depth && sbxi_json_in_object(r);
    if (r->status_ || p == end) goto out;
    goto after;
string:
    at = SBXI_J_STRING;
    *start = text;
out:
    *state = at;
    return p;
#undef SBXI_J_EMIT
#undef SBXI_J_SPACES
}
#endif

static const char sbxi_json_words[] = "true\0false\0null";

SBX_API void sbx_json_init(sbx_json_reader *reader, sbx_json_fn fn, void *ctx)
{
    memset(reader, 0, sizeof *reader);
    reader->fn_ = fn;
    reader->ctx_ = ctx;
}

/* The state machine: long on purpose, one state a case. Leaving by `bad` keeps
   p on the offender. */
SBX_API int sbx_json_feed(sbx_json_reader *reader, const char *data, size_t len,
    size_t *used)
{
    sbx_json_reader *r = reader;
    const char *p = data, *start = data, *end;
    unsigned state = r->state_, next;
    int digit;
    if (r->status_ > 0) r->status_ = SBX_OK;
    if (r->status_ < 0 || len == 0) {
        if (used) *used = 0;
        return r->status_;
    }
    end = data + len;
    while (p != end && r->status_ == SBX_OK) {
        unsigned char c;
#if SBXI_WIDE
        if (state < SBXI_J_STRING && end - p >= SBXI_J_AHEAD) {
            p = sbxi_json_quick(r, p, end, &state, &start);
            if (p == end || r->status_ != SBX_OK) break;
        }
#endif
        c = (unsigned char)*p;
        if (state < SBXI_J_STRING && (c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
            p++;
            continue;
        }
        switch (state) {
        case SBXI_J_FIRST_VALUE:
            if (c == ']') goto close;
            /* fall through */
        case SBXI_J_VALUE:
            r->flags_ = 0;
            start = p++;
            if (c == '"') {
                start = p;
                state = SBXI_J_STRING;
            } else if (c == '{' || c == '[') {
                state = sbxi_json_open(r, c);
            } else if (c == '-' || sbxi_is_digit((char)c)) {
                r->sub_ = c == '-' ? 0 : c == '0' ? 1 : 2;
                state = SBXI_J_NUMBER;
            } else {
                r->sub_ = c == 't' ? 1 : c == 'f' ? 6 : 12;
                if (c != sbxi_json_words[r->sub_ - 1]) goto bad_before;
                state = SBXI_J_LITERAL;
            }
            break;
        case SBXI_J_FIRST_KEY:
            if (c == '}') goto close;
            /* fall through */
        case SBXI_J_KEY:
            if (c != '"') goto bad;
            r->flags_ = SBXI_J_IS_KEY;
            start = ++p;
            state = SBXI_J_STRING;
            break;
        case SBXI_J_COLON:
            if (c != ':') goto bad;
            p++;
            state = SBXI_J_VALUE;
            break;
        case SBXI_J_AFTER:
            if (r->depth_ == 0) goto bad;
            if (c != ',') {
                if (c != (sbxi_json_in_object(r) ? '}' : ']')) goto bad;
                goto close;
            }
            p++;
            state = sbxi_json_in_object(r) ? SBXI_J_KEY : SBXI_J_VALUE;
            break;
        close:
            r->depth_--;
            sbxi_json_emit(r, c == '}' ? SBX_JSON_OBJECT_END : SBX_JSON_ARRAY_END, NULL, 0, 0);
            p++;
            state = SBXI_J_AFTER;
            break;
        case SBXI_J_STRING:
            if (r->high_ && c != '\\') sbxi_json_lone(r);
            /* Room for the longest growth by one escape must stay: 6 bytes. */
            if (r->len_ && c != '"' && !(r->flags_ & SBXI_J_IS_KEY)
                && (c != '\\' || r->len_ > SBX_JSON_TOKEN - 8)) {
                sbxi_json_run(r, state, p, 0);
                break;
            }
#if SBXI_WIDE
            if (c == '\\' && p == start && !r->len_ && !r->high_ && !(r->flags_ & SBXI_J_IS_KEY)) {
                bool done = false;
                p = sbxi_json_unescape(r, p, end, &done);
                if (done) state = SBXI_J_AFTER;
                if (p != start) { /* else too near the end, or unusual */
                    start = p;
                    break;
                }
            }
            p = sbxi_json_text16(p, end, data);
#endif
            for (; p != end; p++) {
                c = (unsigned char)*p;
                if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') break;
            }
            if (p == end) break;
            if (c == '"') {
                next = r->flags_ & SBXI_J_IS_KEY;
                state = next ? SBXI_J_COLON : SBXI_J_AFTER;
                sbxi_json_token(r, next ? SBX_JSON_KEY : SBX_JSON_STRING, start,
                    (size_t)(p - start));
                p++;
            } else if (c == '\\') {
                if (p != start) {
                    sbxi_json_run(r, state, start, (size_t)(p - start));
                    start = p;
                } else {
                    start = ++p;
                    state = SBXI_J_ESCAPE;
                }
            } else {
                if (c < 0x20) goto bad;
                state = SBXI_J_UTF8;
            }
            break;
        case SBXI_J_UTF8:
            if (!sbxi_utf8_step(r->utf8_, c)) goto bad;
            p++;
            if (!r->utf8_[0]) state = SBXI_J_STRING;
            break;
        case SBXI_J_NUMBER:
            next = sbxi_json_number(r->sub_, (char)c);
            if (next == 9) goto bad;
            if (next == 8) {
                state = SBXI_J_AFTER;
                sbxi_json_token(r, SBX_JSON_NUMBER, start, (size_t)(p - start));
                break;
            }
            r->sub_ = (uint8_t)next;
            p++;
            break;
        case SBXI_J_ESCAPE:
            p++;
            state = SBXI_J_STRING;
            start = p;
            if (c == 'u') {
                r->sub_ = 4;
                state = SBXI_J_HEX;
            } else {
                static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
                const char *at = (const char *)memchr(from, c, 8);
                if (!at) goto bad_before;
                if (r->high_) sbxi_json_lone(r);
                sbxi_json_keep(r, to + (at - from), 1);
            }
            break;
        case SBXI_J_HEX:
            digit = sbxi_hex_value((char)c);
            if (digit < 0) goto bad;
            start = ++p;
            r->code_ = (uint16_t)((unsigned)r->code_ << 4 | (unsigned)digit);
            if (--r->sub_ == 0) {
                state = SBXI_J_STRING;
                sbxi_json_unit(r, r->code_);
            }
            break;
        default: /* SBXI_J_LITERAL */
            if (c != (unsigned char)sbxi_json_words[r->sub_]) goto bad;
            p++;
            if (sbxi_json_words[++r->sub_] == 0) {
                state = SBXI_J_AFTER;
                sbxi_json_emit(r, r->sub_ == 4 ? SBX_JSON_TRUE : r->sub_ == 10 ?
                    SBX_JSON_FALSE : SBX_JSON_NULL, NULL, 0, 0);
            }
            break;
        }
    }
    r->state_ = (uint8_t)state;
    if (r->status_ == SBX_OK && state >= SBXI_J_STRING && state != SBXI_J_LITERAL)
        sbxi_json_run(r, state, start, (size_t)(p - start));
    goto done;
bad_before:
    p--;
bad:
    r->status_ = SBX_E_BAD_JSON;
done:
    if (used) *used = (size_t)(p - data);
    return r->status_;
}

SBX_API int sbx_json_end(sbx_json_reader *reader)
{
    sbx_json_reader *r = reader;
    if (r->status_ < 0) return r->status_;
    r->status_ = SBX_OK;
    if (r->state_ == SBXI_J_NUMBER && sbxi_json_number(r->sub_, ' ') == 8) {
        r->state_ = SBXI_J_AFTER;
        sbxi_json_token(r, SBX_JSON_NUMBER, r->token_, 0);
        if (r->status_ == SBX_PENDING) r->status_ = SBX_OK; /* nothing is left to pause */
    }
    if (r->status_ == SBX_OK && (r->state_ != SBXI_J_AFTER || r->depth_))
        r->status_ = SBX_E_BAD_JSON;
    return r->status_;
}
