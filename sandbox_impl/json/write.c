/* json/write - the writer (public: section 13). Used by the binder, by operations
   that write bodies, and by programs. It keeps no stack: whether a comma is due
   follows from the last thing written, and balance is the caller's. */

static void sbxi_json_out(sbx_json_writer *w, const char *text, size_t len)
{
    if (w->status == SBX_OK && len && w->sink.put)
        w->status = w->sink.put(w->sink.ctx, text, len);
}

/* Before each value and key. */
static void sbxi_json_comma(sbx_json_writer *w)
{
    if (w->comma_ && !w->after_key_) sbxi_json_out(w, ",", 1);
    w->comma_ = 1;
    w->after_key_ = 0;
}

SBX_API void sbx_json_raw(sbx_json_writer *w, const char *json, size_t len)
{
    sbxi_json_comma(w);
    sbxi_json_out(w, json, len);
}

static void sbxi_json_begin(sbx_json_writer *w, const char *bracket)
{
    sbx_json_raw(w, bracket, 1);
    w->comma_ = 0;
}

static void sbxi_json_close(sbx_json_writer *w, const char *bracket)
{
    sbxi_json_out(w, bracket, 1);
    w->comma_ = 1;
}

SBX_API void sbx_json_writer_init(sbx_json_writer *w, sbx_sink sink)
{
    memset(w, 0, sizeof *w);
    w->sink = sink;
}

SBX_API void sbx_json_begin_object(sbx_json_writer *w) { sbxi_json_begin(w, "{"); }
SBX_API void sbx_json_end_object(sbx_json_writer *w) { sbxi_json_close(w, "}"); }
SBX_API void sbx_json_begin_array(sbx_json_writer *w) { sbxi_json_begin(w, "["); }
SBX_API void sbx_json_end_array(sbx_json_writer *w) { sbxi_json_close(w, "]"); }

/* The escape of c into out[6]. */
static size_t sbxi_json_escape(char *out, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *at = (const char *)memchr(from, c, 7);
    out[0] = '\\';
    out[1] = at ? to[at - from] : 'u';
    out[2] = out[3] = '0';
    out[4] = sbxi_hex[c >> 4];
    out[5] = (char)(sbxi_hex[c & 15] | 0x20);
    return at ? 2 : 6;
}

SBX_API void sbx_json_string(sbx_json_writer *w, const char *text, size_t len)
{
    uint8_t utf8[3] = { 0, 0, 0 };
    char escape[6];
    size_t i, start = 0;
    sbx_json_raw(w, "\"", 1);
    for (i = 0; i < len && w->status == SBX_OK; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!sbxi_utf8_step(utf8, c)) {
            w->status = SBX_E_ARG;
        } else if (c < 0x20 || c == '"' || c == '\\') {
            sbxi_json_out(w, text + start, i - start);
            sbxi_json_out(w, escape, sbxi_json_escape(escape, c));
            start = i + 1;
        }
    }
    if (utf8[0] && w->status == SBX_OK) w->status = SBX_E_ARG;
    if (i > start) sbxi_json_out(w, text + start, i - start);
    sbxi_json_out(w, "\"", 1);
}

SBX_API void sbx_json_text(sbx_json_writer *w, const char *text)
{
    sbx_json_string(w, text, strlen(text));
}

SBX_API void sbx_json_key(sbx_json_writer *w, const char *key)
{
    sbx_json_text(w, key);
    sbxi_json_out(w, ":", 1);
    w->after_key_ = 1;
}

SBX_API void sbx_json_int(sbx_json_writer *w, int64_t value)
{
    char digits[SBXI_DECIMAL_MAX + 1];
    size_t n = value < 0;
    digits[0] = '-';
    n += sbxi_print_u64(digits + n, n ? 0 - (uint64_t)value : (uint64_t)value);
    sbx_json_raw(w, digits, n);
}

SBX_API void sbx_json_bool(sbx_json_writer *w, bool value)
{
    sbx_json_raw(w, value ? "true" : "false", value ? 4 : 5);
}

SBX_API void sbx_json_null(sbx_json_writer *w) { sbx_json_raw(w, "null", 4); }

SBX_API void sbx_json_base64(sbx_json_writer *w, const void *data, size_t len)
{
    const unsigned char *in = (const unsigned char *)data;
    char quads[64];
    sbx_json_raw(w, "\"", 1);
    while (len > 0) {
        size_t n = SBXI_MIN(len, sizeof quads / 4 * 3);
        sbxi_json_out(w, quads, sbx_base64_encode(quads, in, n));
        in += n;
        len -= n;
    }
    sbxi_json_out(w, "\"", 1);
}
