/* multipart - the parts of a multipart/form-data body, byte for byte as E2B's
   Python SDK (httpx) writes them. The data between two parts is the caller's. */

/* Servers ignore the types of parts, so a small build has one for all. */
#ifdef SBX_SMALL
static sbxi_span sbxi_multipart_type(const char *filename)
{
    (void)filename;
    return sbxi_span_of("application/octet-stream");
}
#else

/* A type, then the file name extensions that mean it: what Python's mimetypes
   says of the files people put into sandboxes. */
static const char *const sbxi_multipart_types[] = {
    "text/plain txt c h bat ksh pl srt",
    "text/x-python py",
    "text/html html htm",
    "text/css css",
    "text/csv csv",
    "text/javascript js mjs",
    "text/markdown md markdown",
    "text/xml xml",
    "application/json json",
    "application/pdf pdf",
    "application/wasm wasm",
    "application/x-sh sh",
    "application/x-tar tar",
    "application/zip zip",
    "image/gif gif",
    "image/jpeg jpg jpeg jpe",
    "image/png png",
    "image/svg+xml svg",
    "image/webp webp",
    "audio/mpeg mp3 mp2",
    "video/mp4 mp4"
};

/* The words after the first one of a row. */
static bool sbxi_multipart_has(const char *row, sbxi_span ext)
{
    while ((row = strchr(row, ' ')) != NULL) {
        sbxi_span word = { ++row, 0 };
        while (word.ptr[word.len] && word.ptr[word.len] != ' ') word.len++;
        if (word.len == ext.len) {
            size_t i = 0;
            while (i < ext.len && sbxi_lower(ext.ptr[i]) == word.ptr[i]) i++;
            if (i == ext.len) return true;
        }
    }
    return false;
}

/* Cuts the extension off *name; its dots in front do not begin one. */
static sbxi_span sbxi_multipart_ext(sbxi_span *name)
{
    sbxi_span ext = { NULL, 0 };
    size_t i = 0, dot;
    while (i < name->len && name->ptr[i] == '.') i++;
    for (dot = name->len; dot > i; dot--)
        if (name->ptr[dot - 1] == '.') {
            ext.ptr = name->ptr + dot;
            ext.len = name->len - dot;
            name->len = dot - 1;
            break;
        }
    return ext;
}

static sbxi_span sbxi_multipart_type(const char *filename)
{
    const char *slash = strrchr(filename, '/');
    sbxi_span name = sbxi_span_of(slash ? slash + 1 : filename);
    sbxi_span ext = sbxi_multipart_ext(&name), type;
    size_t i;
    if (sbxi_multipart_has(" tgz taz tz tbz2 txz", ext)) ext = sbxi_span_of("tar");
    if (sbxi_multipart_has(" svgz", ext)) ext = sbxi_span_of("svg");
    if (sbxi_multipart_has(" gz bz2 xz br", ext)) ext = sbxi_multipart_ext(&name);
    for (i = 0; i < SBXI_LEN(sbxi_multipart_types); i++)
        if (sbxi_multipart_has(sbxi_multipart_types[i], ext)) {
            type.ptr = sbxi_multipart_types[i];
            type.len = (size_t)(strchr(type.ptr, ' ') - type.ptr);
            return type;
        }
    return sbxi_span_of("application/octet-stream");
}

#endif

/* Whether a file name arrives as it is: what is replaced below is not put back. */
static SBXI_MAYBE bool sbxi_multipart_says(const char *name)
{
    while ((unsigned char)*name >= 0x20 && *name != '"') name++;
    return !*name;
}

/* `; key="value"`; value stays UTF-8, what would end or split it is replaced. */
static void sbxi_multipart_param(sbxi_buf *b, const char *key, const char *value)
{
    sbxi_buf_text(b, key);
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        if (c < 0x20 || c == '"') {
            sbxi_percent_byte(b, c);
        } else {
            if (c == '\\') sbxi_buf_add(b, value, 1);
            sbxi_buf_add(b, value, 1);
        }
    }
    sbxi_buf_text(b, "\"");
}

/* The head of the request ends with a new line of its own. */
static void sbxi_multipart_line(sbxi_buf *b, bool first, const char *boundary)
{
    sbxi_buf_text(b, &"\r\n--"[first ? 2 : 0]);
    sbxi_buf_text(b, boundary);
}

/* Appends the head of a part; its data follows it directly. */
static SBXI_MAYBE int sbxi_multipart_part(sbxi_buf *b, const char *boundary, bool first,
    const char *field, const char *filename)
{
    sbxi_span type = sbxi_multipart_type(filename);
    sbxi_multipart_line(b, first, boundary);
    sbxi_multipart_param(b, "\r\nContent-Disposition: form-data; name=\"", field);
    sbxi_multipart_param(b, "; filename=\"", filename);
    sbxi_buf_text(b, "\r\nContent-Type: ");
    sbxi_buf_add(b, type.ptr, type.len);
    return sbxi_buf_text(b, "\r\n\r\n");
}

/* Appends what follows the data of the last part. */
static SBXI_MAYBE int sbxi_multipart_end(sbxi_buf *b, const char *boundary)
{
    sbxi_multipart_line(b, false, boundary);
    return sbxi_buf_text(b, "--\r\n");
}
