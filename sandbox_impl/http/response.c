/* response - push reader of one HTTP/1.x response. Strict: what another reader
   on the way could read differently is refused, never guessed.
   Everything but body bytes is a line: the status line, header lines, chunk
   sizes, the empty line behind a chunk, trailers. A line is collected once in
   the caller's buffer, then judged whole; a header line that does not fit is cut
   there and its rest only checked. So no state lies inside a line's syntax.
   Invariants: line_len_ < line_cap_; in BODY left_ > 0; status_ <= 0. */

enum { /* state_; the first three are lines that count into SBX_MAX_HEAD */
    SBXI_HTTP_STATUS, SBXI_HTTP_HEADER, SBXI_HTTP_TRAILER,
    SBXI_HTTP_CHUNK, SBXI_HTTP_CHUNK_END, SBXI_HTTP_BODY, SBXI_HTTP_DONE
};

/* flags_: about the line and the request */
#define SBXI_HTTP_CUT 1u     /* the line did not fit */
#define SBXI_HTTP_CR 2u      /* its CR has come */
#define SBXI_HTTP_TO_HEAD 4u

/* seen_: the framing headers, bits in the order of the names below */
#define SBXI_HTTP_LENGTH 1u
#define SBXI_HTTP_TE 2u
#define SBXI_HTTP_CODING 4u
#define SBXI_HTTP_CONNECTION 8u /* only to say which; never set */
#define SBXI_HTTP_CLOSE 16u
#define SBXI_HTTP_KEEP 32u

#define SBXI_HTTP_CHUNK_LINE 272 /* 16 digits and 256 bytes of extensions */

SBX_API void sbx_http_init(sbx_http_reader *reader, char *line, size_t cap,
    bool to_head, const sbx_http_events *events, void *ctx)
{
    memset(reader, 0, sizeof *reader);
    reader->events_ = events;
    reader->ctx_ = ctx;
    reader->line_ = line;
    reader->line_cap_ = cap;
    reader->flags_ = to_head ? SBXI_HTTP_TO_HEAD : 0;
    reader->status_ = cap ? SBX_OK : SBX_E_ARG;
}

/* Keeps n bytes of line text, as far as they are wanted. */
static int sbxi_http_keep(sbx_http_reader *r, const char *text, size_t n)
{
    size_t room = r->line_cap_ - 1;
    if (r->state_ <= SBXI_HTTP_TRAILER) {
        if (n > SBX_MAX_HEAD - r->head_bytes_) return SBX_E_TOO_LARGE;
        r->head_bytes_ += (uint32_t)n;
    } else {
        size_t most = r->state_ == SBXI_HTTP_CHUNK ? SBXI_HTTP_CHUNK_LINE : 0;
        room = SBXI_MIN(room, most);
        if (n > room - r->line_len_) return SBX_E_PROTOCOL;
    }
    room -= r->line_len_;
    if (n > room) {
        r->flags_ |= SBXI_HTTP_CUT;
        n = room;
    }
    memcpy(r->line_ + r->line_len_, text, n);
    r->line_len_ += n;
    return SBX_OK;
}

/* Collects a line up to CR LF. SBX_OK: there it is, NUL-terminated. */
static int sbxi_http_collect(sbx_http_reader *r, const char *data, size_t len,
    size_t *pos)
{
    size_t i = *pos;
    if (i < len && !(r->flags_ & SBXI_HTTP_CR)) {
        int rc;
        while (i < len && sbxi_is_text(data[i])) i++;
        rc = sbxi_http_keep(r, data + *pos, i - *pos);
        *pos = i;
        if (rc != SBX_OK) return rc;
        if (i < len) {
            if (data[i] != '\r') return SBX_E_PROTOCOL;
            r->flags_ |= SBXI_HTTP_CR;
            *pos = ++i;
        }
    }
    if (i == len) return SBX_PENDING;
    if (data[i] != '\n') return SBX_E_PROTOCOL;
    *pos = i + 1;
    r->line_[r->line_len_] = 0;
    return SBX_OK;
}

/* HTTP/1.x SP 3 digits [SP reason]. 101 is an answer to what we never ask. */
static int sbxi_http_status_line(sbx_http_reader *r)
{
    const char *p = r->line_;
    sbx_http_head *h = &r->head_;
    int i;
    memset(h, 0, sizeof *h);
    h->length = -1;
    r->seen_ = 0;
    if ((r->flags_ & SBXI_HTTP_CUT) || strncmp(p, "HTTP/1.", 7) != 0
        || (p[7] != '0' && p[7] != '1') || p[8] != ' ')
        return SBX_E_PROTOCOL;
    for (i = 9; i < 12; i++) { /* stops at the NUL of a short line */
        if (!sbxi_is_digit(p[i])) return SBX_E_PROTOCOL;
        h->status = h->status * 10 + (p[i] - '0');
    }
    if (h->status < 100 || h->status == 101 || (p[12] && p[12] != ' '))
        return SBX_E_PROTOCOL;
    h->minor = p[7] - '0';
    r->state_ = SBXI_HTTP_HEADER;
    return SBX_OK;
}

/* SP or HTAB, not NUL: no other control character is left in a line. */
static bool sbxi_http_is_blank(char c) { return (unsigned char)(c - 1) < 0x20; }

/* The words of a Connection header; others than these two say nothing to us. */
static bool sbxi_http_connection(sbx_http_reader *r, const char *p)
{
    for (;;) {
        sbxi_span word = { p, strcspn(p, ", \t") };
        if (sbxi_span_is_nocase(word, "close")) r->seen_ |= SBXI_HTTP_CLOSE;
        if (sbxi_span_is_nocase(word, "keep-alive")) r->seen_ |= SBXI_HTTP_KEEP;
        p += word.len;
        if (!*p++) return true;
    }
}

static bool sbxi_http_coding(sbx_http_reader *r, sbxi_span value)
{
    if (sbxi_span_is_nocase(value, "identity")) return true;
    r->head_.gzip = true;
    return sbxi_span_is_nocase(value, "gzip") || sbxi_span_is_nocase(value, "x-gzip");
}

/* A header that decides how the body is read: whole, once, and understood. */
static bool sbxi_http_framing(sbx_http_reader *r, const char *name, const char *text)
{
    static const char *const names[] = { "content-length", "transfer-encoding",
        "content-encoding", "connection" };
    sbxi_span value = sbxi_span_of(text);
    sbx_http_head *h = &r->head_;
    uint64_t length;
    unsigned i = 0, bit;
    while (i < SBXI_LEN(names) && strcmp(name, names[i]) != 0) i++;
    if (i == SBXI_LEN(names)) return true;
    bit = 1u << i;
    if (r->flags_ & SBXI_HTTP_CUT) return false;
    if (bit == SBXI_HTTP_CONNECTION) return sbxi_http_connection(r, text);
    if (r->seen_ & bit) return false;
    r->seen_ = (uint8_t)(r->seen_ | bit);
    if (bit == SBXI_HTTP_LENGTH) {
        if (!sbxi_parse_u64(value, INT64_MAX, &length)) return false;
        h->length = (int64_t)length;
        return true;
    }
    if (bit == SBXI_HTTP_TE) {
        h->chunked = true;
        return h->minor == 1 && sbxi_span_is_nocase(value, "chunked");
    }
    return sbxi_http_coding(r, value);
}

/* One header or trailer line: token ':' value. A folded line has no name, so
   it is refused here too. Trailers are checked and dropped. */
static int sbxi_http_field(sbx_http_reader *r)
{
    char *name = r->line_, *end = name + r->line_len_, *p = name;
    if (++r->headers_ > SBX_MAX_HEADERS) return SBX_E_TOO_LARGE;
    for (; sbxi_in_set(sbxi_tchar, *p); p++) *p = sbxi_lower(*p);
    if (p == name || *p != ':') return SBX_E_PROTOCOL;
    if (r->state_ == SBXI_HTTP_TRAILER) return SBX_OK;
    *p++ = 0;
    while (sbxi_http_is_blank(*p)) p++;
    while (end > p && sbxi_http_is_blank(end[-1])) end--;
    *end = 0;
    if (!sbxi_http_framing(r, name, p)) return SBX_E_PROTOCOL;
    if (r->head_.status < 200 || !r->events_->header) return SBX_OK;
    return r->events_->header(r->ctx_, name, p, (r->flags_ & SBXI_HTTP_CUT) != 0);
}

static int sbxi_http_interim(sbx_http_reader *r)
{
    if (++r->interims_ > SBX_MAX_INTERIM) return SBX_E_TOO_LARGE;
    r->state_ = SBXI_HTTP_STATUS;
    return SBX_OK;
}

/* The empty line behind the headers: what follows? */
static int sbxi_http_head_end(sbx_http_reader *r)
{
    sbx_http_head *h = &r->head_;
    unsigned seen = r->seen_;
    if (h->chunked && h->length >= 0) return SBX_E_PROTOCOL;
    if (h->status < 200) return sbxi_http_interim(r);
    if (h->minor) seen |= SBXI_HTTP_KEEP; /* what 1.1 means unless told otherwise */
    h->keep_alive = (seen & (SBXI_HTTP_CLOSE | SBXI_HTTP_KEEP)) == SBXI_HTTP_KEEP;
    if ((r->flags_ & SBXI_HTTP_TO_HEAD) || h->status == 204 || h->status == 304) {
        h->length = 0;
        h->chunked = h->gzip = false;
    }
    r->left_ = h->length;
    r->state_ = h->length ? SBXI_HTTP_BODY : SBXI_HTTP_DONE;
    if (h->chunked) {
        r->state_ = SBXI_HTTP_CHUNK;
    } else if (h->length < 0) {
        h->keep_alive = false;
        r->left_ = INT64_MAX; /* nobody reaches that before the close */
    }
    return r->events_->head ? r->events_->head(r->ctx_, h) : SBX_OK;
}

/* Extensions of a chunk: (;name[=value])*, quotes closed; nothing in them is
   for us. Their characters were checked with the line. */
static bool sbxi_http_extensions(const char *p)
{
    bool quoted = false;
    for (; *p; p++) {
        if (quoted && *p == '\\' && p[1]) p++;
        else if (*p == '"') quoted = !quoted;
        else if (*p == ';' && !quoted && (p[1] == ';' || !p[1])) return false;
    }
    return !quoted;
}

/* 1-16 hex digits; no sign, prefix or space, nothing a strtol would forgive. */
static int sbxi_http_chunk(sbx_http_reader *r)
{
    const char *p = r->line_;
    uint64_t size = 0;
    int digit;
    for (; (digit = sbxi_hex_value(*p)) >= 0; p++) {
        if (p - r->line_ == 16 || size >> 59) return SBX_E_PROTOCOL;
        size = size << 4 | (unsigned)digit;
    }
    if (p == r->line_ || (*p && *p != ';') || !sbxi_http_extensions(p))
        return SBX_E_PROTOCOL;
    r->left_ = (int64_t)size;
    r->state_ = size ? SBXI_HTTP_BODY : SBXI_HTTP_TRAILER;
    return SBX_OK;
}

static SBXI_APART int sbxi_http_line(sbx_http_reader *r)
{
    switch (r->state_) {
    case SBXI_HTTP_STATUS:
        return sbxi_http_status_line(r);
    case SBXI_HTTP_CHUNK:
        return sbxi_http_chunk(r);
    case SBXI_HTTP_CHUNK_END: /* empty: nothing else was let in */
        r->state_ = SBXI_HTTP_CHUNK;
        return SBX_OK;
    default:
        if (r->line_len_) return sbxi_http_field(r);
        if (r->state_ == SBXI_HTTP_HEADER) return sbxi_http_head_end(r);
        r->state_ = SBXI_HTTP_DONE;
        return SBX_OK;
    }
}

static int sbxi_http_body(sbx_http_reader *r, const char *data, size_t len, size_t *pos)
{
    size_t n = len - *pos, took;
    int rc = SBX_OK;
    if (n == 0) return SBX_PENDING;
    if ((uint64_t)r->left_ < n) n = (size_t)r->left_;
    took = n;
    if (r->events_->body) rc = r->events_->body(r->ctx_, data + *pos, n, &took);
    if (rc != SBX_E_AGAIN || took > n) took = n;
    *pos += took;
    r->left_ -= (int64_t)took;
    if (r->left_ == 0)
        r->state_ = r->head_.chunked ? SBXI_HTTP_CHUNK_END : SBXI_HTTP_DONE;
    return rc;
}

SBX_API int sbx_http_feed(sbx_http_reader *reader, const char *data, size_t len,
    size_t *used)
{
    size_t pos = 0;
    int rc = reader->status_;
    while (rc == SBX_OK && reader->state_ != SBXI_HTTP_DONE) {
        if (reader->state_ == SBXI_HTTP_BODY) {
            rc = sbxi_http_body(reader, data, len, &pos);
            continue;
        }
        rc = sbxi_http_collect(reader, data, len, &pos);
        if (rc != SBX_OK) break;
        rc = sbxi_http_line(reader);
        reader->line_len_ = 0;
        reader->flags_ &= SBXI_HTTP_TO_HEAD;
    }
    if (rc < 0 && rc != SBX_E_AGAIN) reader->status_ = rc;
    *used = pos;
    return rc;
}

SBX_API int sbx_http_end(sbx_http_reader *reader)
{
    if (reader->status_ == SBX_OK && reader->state_ == SBXI_HTTP_BODY
        && reader->head_.length < 0 && !reader->head_.chunked)
        reader->state_ = SBXI_HTTP_DONE;
    if (reader->status_ == SBX_OK && reader->state_ != SBXI_HTTP_DONE)
        reader->status_ = SBX_E_NETWORK;
    return reader->status_;
}
