/* sandboxd: contents of files: GET and POST /files of the daemon. An upload goes
   to disk as it comes, under temporary names; only a request that came whole
   shows its files. */
#include "envd_e2b.h"
#include "gzip.h"

#include <fcntl.h>
#include <time.h>

#define MAX_PARTS 20000
#define METADATA_MAX 4096       /* bytes, with the 9 of the prefix for each */
#define METADATA_KEY 246

static const char http_date[] = "%a, %d %b %Y %H:%M:%S GMT";

/* ---- who may ---- */
static void signature(char out[64], const char *path, const char *operation, const char *user,
                      const char *token, const char *expiration)
{
    unsigned char hash[32];
    sbx_sha256 s;
    size_t n;

    sbx_sha256_init(&s);
    sbx_sha256_add(&s, path, strlen(path));
    sbx_sha256_add(&s, ":", 1);
    sbx_sha256_add(&s, operation, strlen(operation));
    sbx_sha256_add(&s, ":", 1);
    sbx_sha256_add(&s, user, strlen(user));
    sbx_sha256_add(&s, ":", 1);
    sbx_sha256_add(&s, token, strlen(token));
    if (expiration) {
        sbx_sha256_add(&s, ":", 1);
        sbx_sha256_add(&s, expiration, strlen(expiration));
    }
    sbx_sha256_end(&s, hash);
    memcpy(out, "v1_", 3);
    n = 3 + sbx_base64_encode(out + 3, hash, sizeof hash);
    while (out[n - 1] == '=')
        n--;
    out[n] = '\0';
}

/* A signed URL whose host says nothing of a sandbox, as an SDK makes it that was told
   an address for all of them: it is for the one whose token made the signature. */
bool files_signed_route(req *r)
{
    bool bad = false, found = false;
    const char *given = req_query(r, "signature", &bad), *path = req_query(r, "path", &bad);
    const char *user = req_query(r, "username", &bad);
    const char *expires = req_query(r, "signature_expiration", &bad);
    char want[64], id[sizeof((box *)0)->id];
    box **all;
    size_t n;

    if (r->segment_count != 1 || strcmp(r->segments[0], "files") || !given || bad)
        return false;
    n = box_list(&all);
    for (size_t i = 0; i < n; i++) {
        signature(want, path ? path : "", strcmp(r->method, "GET") ? "write" : "read",
                  user ? user : "", all[i]->token, expires);
        if (!found && all[i]->token[0] && same_secret(given, want)) {
            memcpy(id, all[i]->id, sizeof id);
            found = true;
        }
        box_unref(all[i]);
    }
    free(all);
    if (found)
        envd_route(r, id, ENVD_PORT);
    else
        reply_error(r, 401, "invalid signature");
    return true;
}

/* False after a reply. */
static bool allowed(req *r, const char *path, const char *user, const char *operation)
{
    const char *given = req_header(r, "X-Access-Token"), *signed_with, *expires;
    bool bad = false;
    char want[64];
    int64_t until;

    if (!r->b->token[0])
        return true;
    if (given) {
        if (!same_secret(given, r->b->token))
            reply_error(r, 401, "access token present in header but does not match");
        return !r->replied;
    }
    signed_with = req_query(r, "signature", &bad);
    expires = req_query(r, "signature_expiration", &bad);
    if (!signed_with) {
        reply_error(r, 401, "missing signature query parameter");
        return false;
    }
    signature(want, path, operation, user, r->b->token, expires);
    if (bad || !same_secret(signed_with, want)) {
        reply_error(r, 401, "invalid signature");
        return false;
    }
    until = expires ? req_number(expires, 15) : INT64_MAX / 1000;
    if (until < unix_ms() / 1000) {
        reply_error(r, 401, "signature is already expired");
        return false;
    }
    return true;
}

/* Checks rights and user; false after a reply. *path is NULL if not given. */
static bool who_and_what(req *r, const char *operation, fs_user *u, const char **path)
{
    bool bad = false;
    const char *user = req_query(r, "username", &bad), *name;

    *path = req_query(r, "path", &bad);
    if (bad) {
        reply_error(r, 400, "a query parameter holds a NUL byte");
        return false;
    }
    if (!allowed(r, *path ? *path : "", user ? user : "", operation))
        return false;
    name = user && *user ? user : fs_default_user(&r->b->root);
    if (fs_find_user(&r->b->root, name, u) != 0) {
        reply_error(r, 401, "error looking up user '%.100s': user: unknown user %.100s", name,
                    name);
        return false;
    }
    return true;
}

void files_reply_errno(req *r, int err, const char *path)
{
    const char *length = req_header(r, "Content-Length");
    char shown[900];

    lossy_utf8(shown, sizeof shown, path);
    if (err == -EISDIR)
        reply_error(r, 400, "path '%s' is a directory", shown);
    else if (err == -ENOTSUP || err == -EREMOTE)
        reply_error(r, 400, "path '%s' is not a regular file", shown);
    else if (err == -ENOENT)
        reply_error(r, 404, "path '%s' does not exist", shown);
    else if (err == -ENOTDIR || err == -ENAMETOOLONG || err == -EINVAL || err == -ELOOP)
        reply_error(r, 400, "path '%s': %s", shown, strerror(-err));
    else if (err == -EACCES || err == -EPERM || err == -EROFS)
        reply_error(r, 403, "path '%s': %s", shown, strerror(-err));
    else if ((err == -ENOSPC || err == -EDQUOT || err == -EFBIG) && length)
        reply_error(r, 507, "attempted to write %.20s bytes: not enough disk space available",
                    length);
    else if (err == -ENOSPC || err == -EDQUOT || err == -EFBIG)
        reply_error(r, 507, "not enough disk space available");
    else if (!box_running(r->b))
        reply_gone(r, r->b->id);
    else
        reply_error(r, 500, "path '%s': %s", shown, strerror(-err));
}

/* ---- download ---- */
static const char *content_type(const char *path, int fd)
{
    static const char *const types[][2] = {
        { ".txt", "text/plain; charset=utf-8" }, { ".html", "text/html; charset=utf-8" },
        { ".css", "text/css; charset=utf-8" }, { ".js", "text/javascript; charset=utf-8" },
        { ".json", "application/json" }, { ".xml", "text/xml; charset=utf-8" },
        { ".csv", "text/csv; charset=utf-8" }, { ".md", "text/markdown; charset=utf-8" },
        { ".png", "image/png" }, { ".jpg", "image/jpeg" }, { ".jpeg", "image/jpeg" },
        { ".gif", "image/gif" }, { ".svg", "image/svg+xml" }, { ".webp", "image/webp" },
        { ".pdf", "application/pdf" }, { ".zip", "application/zip" },
        { ".gz", "application/gzip" }, { ".tar", "application/x-tar" },
        { ".wasm", "application/wasm" } };
    const char *dot = strrchr(path, '.');
    unsigned char head[512];
    ssize_t n;

    for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
        if (!strcasecmp(dot, types[i][0]))
            return types[i][1];
    if (fd < 0)
        return "application/octet-stream";
    n = pread(fd, head, sizeof head, 0);
    for (ssize_t i = 0; i < n; i++)
        if (head[i] < 9 || (head[i] > 13 && head[i] < 32 && head[i] != 27))
            return "application/octet-stream";
    return "text/plain; charset=utf-8";
}

static void disposition(struct MHD_Response *m, const char *path)
{
    const char *name = strrchr(path, '/');
    text t = { 0 };
    bool token = true, ascii = true;

    name = name ? name + 1 : path;
    for (const char *c = name; *c; c++) {
        bool plain = (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z') ||
                     strchr("!#$&+-.^_`|~", *c);

        token &= plain;
        ascii &= *c >= 32 && *c < 127;
    }
    text_str(&t, ascii ? "inline; filename=" : "inline; filename*=utf-8''");
    if (ascii && !token)
        text_str(&t, "\"");
    for (const char *c = name; *c; c++) {
        if (!ascii && !strchr("!#$&+-.^_`|~", *c) && !((*c | 32) >= 'a' && (*c | 32) <= 'z') &&
            !(*c >= '0' && *c <= '9')) {
            text_fmt(&t, "%%%02X", (unsigned char)*c);
            continue;
        }
        if (ascii && (*c == '"' || *c == '\\'))
            text_str(&t, "\\");
        text_add(&t, c, 1);
    }
    if (ascii && !token)
        text_str(&t, "\"");
    add_header(m, "Content-Disposition", t.p);
    text_free(&t);
}

/* One range of bytes. 1: first and last are set, 0: none that counts, -1: outside. */
static int range_of(const char *h, int64_t size, int64_t *first, int64_t *last)
{
    char a[20], b[20];
    size_t n;

    if (!h || strncmp(h, "bytes=", 6) || strchr(h, ','))
        return 0;
    h += 6;
    n = strcspn(h, "-");
    if (n >= sizeof a || h[n] != '-' || strlen(h + n + 1) >= sizeof b)
        return 0;
    memcpy(a, h, n);
    a[n] = '\0';
    strcpy(b, h + n + 1);
    *first = req_number(a, 18);
    *last = req_number(b, 18);
    if ((a[0] && *first < 0) || (b[0] && *last < 0) || (!a[0] && !b[0]))
        return 0;
    if (!a[0]) { /* the last so many */
        *first = *last >= size ? 0 : size - *last;
        if (*last == 0)
            return -1;
        *last = size - 1;
    } else if (!b[0] || *last >= size) {
        *last = size - 1;
    }
    return *first >= size || *first > *last ? -1 : 1;
}

static bool not_modified(req *r, const struct stat *st)
{
    const char *since = req_header(r, "If-Modified-Since");
    struct tm tm;
    char *end;

    memset(&tm, 0, sizeof tm);
    end = since ? strptime(since, "%a, %d %b %Y %H:%M:%S GMT", &tm) : NULL;
    return end && !*end && st->st_mtim.tv_sec <= timegm(&tm);
}

/* Of a coding, in thousandths; -1: not named. */
static int quality(const char *header, const char *coding)
{
    size_t n = strlen(coding);

    for (const char *at = header; *at; at += *at == ',') {
        size_t len;
        int q = 1000;

        at += strspn(at, " \t,");
        len = strcspn(at, ",; \t");
        if (len == n && !strncasecmp(at, coding, n)) {
            const char *end = at + strcspn(at, ","), *weight = strstr(at, "q=");

            if (weight && weight < end) {
                q = weight[2] == '1' ? 1000 : 0;
                for (int i = 0, scale = 100; weight[2] == '0' && weight[3] == '.' && i < 3 &&
                     weight[4 + i] >= '0' && weight[4 + i] <= '9'; i++, scale /= 10)
                    q += (weight[4 + i] - '0') * scale;
            }
            return q;
        }
        at += strcspn(at, ",");
    }
    return -1;
}

/* Which coding the answer may have: 1: gzip, 0: none, -1: nothing that is here. Ranges
   and conditions are of the plain file. */
static int coding_of(req *r)
{
    static const char *const plain[] = { "Range", "If-Modified-Since", "If-None-Match", "If-Range" };
    const char *accept = req_header(r, "Accept-Encoding");
    int any = quality(accept ? accept : "", "*"), gzip = quality(accept ? accept : "", "gzip");
    int identity = quality(accept ? accept : "", "identity");
    bool conditional = false;

    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        conditional |= req_header(r, plain[i]) != NULL;
    if (gzip < 0)
        gzip = identity == 0 && any > 0 ? any : 0;
    if (identity < 0)
        identity = any == 0 ? 0 : 1; /* fine, but whoever names gzip likes that better */
    if (!conditional && gzip > 0 && gzip >= identity)
        return 1;
    return identity > 0 ? 0 : -1;
}

static void send_packed(req *r, int fd, const struct stat *st, const char *path)
{
    struct MHD_Response *m = gzip_response(fd);
    char line[100];
    struct tm tm;

    if (!m) {
        reply_error(r, 500, "out of memory");
        return;
    }
    add_header(m, "Content-Type", content_type(path, -1));
    add_header(m, "Content-Encoding", "gzip");
    add_header(m, "Vary", "Accept-Encoding");
    gmtime_r(&st->st_mtim.tv_sec, &tm);
    strftime(line, sizeof line, http_date, &tm);
    add_header(m, "Last-Modified", line);
    disposition(m, path);
    reply(r, 200, m);
}

/* Takes over fd. */
static void send_file(req *r, int fd, const struct stat *st, const char *path)
{
    const char *if_range = req_header(r, "If-Range");
    int64_t first = 0, last = st->st_size - 1;
    int ranged = range_of(req_header(r, "Range"), st->st_size, &first, &last);
    const char *type = content_type(path, fd);
    struct MHD_Response *m;
    char line[100], modified[100];
    unsigned status;
    struct tm tm;

    gmtime_r(&st->st_mtim.tv_sec, &tm);
    strftime(modified, sizeof modified, http_date, &tm);
    if (if_range && strcmp(if_range, modified)) { /* another version: all of it */
        ranged = 0;
        first = 0;
        last = st->st_size - 1;
    }
    status = not_modified(r, st) ? 304 : ranged > 0 ? 206 : ranged < 0 ? 416 : 200;
    if (status <= 206 && st->st_size > 0) {
        m = MHD_create_response_from_fd_at_offset64((uint64_t)(last - first + 1), fd,
                                                    (uint64_t)first);
    } else {
        close(fd);
        fd = -1;
        m = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
    }
    if (!m) {
        if (fd >= 0)
            close(fd);
        reply_error(r, 500, "out of memory");
        return;
    }
    add_header(m, "Content-Type", type);
    add_header(m, "Accept-Ranges", "bytes");
    add_header(m, "Vary", "Accept-Encoding");
    add_header(m, "Last-Modified", modified);
    disposition(m, path);
    if (ranged) {
        if (ranged > 0)
            snprintf(line, sizeof line, "bytes %lld-%lld/%lld", (long long)first, (long long)last,
                     (long long)st->st_size);
        else
            snprintf(line, sizeof line, "bytes */%lld", (long long)st->st_size);
        add_header(m, "Content-Range", line);
    }
    reply(r, status, m);
}

/* What has no size before it was read. */
static void send_stream(req *r, const fs_user *u, const char *path, bool packed)
{
    read_msg m = { .type = M_READ, .uid = u->uid, .gid = u->gid };
    struct MHD_Response *out;
    int fd;

    strcpy(m.path, path); /* both are of FS_PATH */
    fd = box_ask_fd(r->b, &m, sizeof m);
    if (fd < 0) {
        files_reply_errno(r, fd, path);
        return;
    }
    out = packed ? gzip_response(fd) : MHD_create_response_from_pipe(fd);
    if (!out) {
        if (!packed)
            close(fd);
        reply_error(r, 500, "out of memory");
        return;
    }
    if (packed)
        add_header(out, "Content-Encoding", "gzip");
    add_header(out, "Content-Type", "application/octet-stream");
    add_header(out, "Vary", "Accept-Encoding");
    disposition(out, path);
    reply(r, 200, out);
}

/* Only a process inside has a /proc/self, which links may lead to. */
static bool only_inside(req *r, const char *path, int err)
{
    int fd = err == -ENOENT ? fs_open(&r->b->root, path, O_PATH | O_NOFOLLOW, 0) : -1;

    if (fd >= 0)
        close(fd);
    return !r->b->real &&
           (err == -EREMOTE || fd >= 0 || (err == -ENOENT && !strncmp(path, "/proc/", 6)));
}

void envd_download(req *r)
{
    char full[FS_PATH];
    const char *path, *wrong;
    struct stat st;
    fs_user u;
    int fd, coding;

    if (!who_and_what(r, "read", &u, &path))
        return;
    wrong = fs_resolve(&r->b->root, &u, path ? path : "", full);
    if (wrong) {
        reply_error(r, 400, "%s", wrong);
        return;
    }
    fd = fs_open_regular(&r->b->root, full, &st);
    coding = coding_of(r);
    if (fd < 0 && coding >= 0 && only_inside(r, full, fd)) {
        send_stream(r, &u, full, coding > 0);
    } else if (fd < 0) {
        files_reply_errno(r, fd, full);
    } else if (coding > 0) {
        send_packed(r, fd, &st, full);
    } else if (coding < 0) {
        close(fd);
        reply_error(r, 406, "no acceptable encoding found: gzip and identity are there");
    } else {
        send_file(r, fd, &st, full);
    }
}

/* ---- upload ---- */
typedef struct upload {
    struct MHD_PostProcessor *pp; /* NULL: a raw body */
    gunzip *packed;             /* NULL: the body is not */
    pair_list metadata;
    fs_user user;
    char *fixed;                /* target of the query, NULL: the parts' names */
    fs_upload *parts;
    size_t count, room;
    bool open;                  /* the last part is being written */
    bool skipping;              /* a part that is not a file */
    char *part_name;            /* as the parser gave it */
    uint64_t part_bytes;
} upload;

static void upload_drop_parts(req *r, upload *up)
{
    for (size_t i = 0; i < up->count; i++)
        fs_upload_abort(&r->b->root, &up->parts[i]);
    up->count = 0;
    up->open = false;
}

static void upload_free(req *r)
{
    upload *up = r->state;

    if (up->pp)
        MHD_destroy_post_processor(up->pp);
    gunzip_free(up->packed);
    pairs_free(&up->metadata);
    upload_drop_parts(r, up);
    free(up->parts);
    free(up->fixed);
    free(up->part_name);
    free(up);
    r->state = NULL;
}

/* The answer is known: nothing stays of what was written. */
static void upload_fail(req *r, upload *up, int err, const char *path)
{
    files_reply_errno(r, err, path);
    upload_drop_parts(r, up);
}

static bool part_begin(req *r, upload *up, const char *name)
{
    char full[FS_PATH];
    const char *wrong = fs_resolve(&r->b->root, &up->user, name, full);
    int result;

    if (up->open && up->count > 0) { /* the one before is complete */
        close(up->parts[up->count - 1].fd);
        up->parts[up->count - 1].fd = -1;
    }
    up->open = false;
    if (wrong || up->count >= MAX_PARTS) {
        reply_error(r, 400, "%s", wrong ? wrong : "too many files in one request");
        upload_drop_parts(r, up);
        return false;
    }
    for (size_t i = 0; i < up->count; i++)
        if (!strcmp(up->parts[i].path, full)) {
            reply_error(r, 400, "you cannot upload multiple files to the same path '%.900s'", full);
            upload_drop_parts(r, up);
            return false;
        }
    if (up->count == up->room) {
        up->room = up->room ? up->room * 2 : 4;
        up->parts = realloc(up->parts, up->room * sizeof *up->parts);
        if (!up->parts)
            die("out of memory");
    }
    result = fs_upload_begin(&r->b->root, &up->user, full, &up->parts[up->count]);
    up->count++;
    if (result == 0 && name[0] && name[strlen(name) - 1] == '/')
        result = -EISDIR;
    if (result != 0) {
        upload_fail(r, up, result, full);
        return false;
    }
    result = fs_metadata_set(up->parts[up->count - 1].fd, &up->metadata);
    if (result == -ENOTSUP)
        reply_error(r, 501, "metadata of files: the file system of this sandbox keeps none");
    else if (result != 0)
        reply_error(r, 400, "metadata does not fit this file system: %s", strerror(-result));
    if (result != 0) {
        upload_drop_parts(r, up);
        return false;
    }
    up->open = true;
    return true;
}

static bool part_data(req *r, upload *up, const char *p, size_t n)
{
    fs_upload *part = &up->parts[up->count - 1];
    int result = 0;

    if (n > 0 && write_all(part->fd, p, n) != 0)
        result = -errno;
    else if (!box_running(r->b))
        result = -EIO;
    if (result != 0) {
        char *path = xstrdup(part->path);

        upload_fail(r, up, result, path);
        free(path);
    }
    return result == 0;
}

/* A form encoder writes a quote as %22 and line ends as %0D, %0A; Python's doubles
   a backslash. */
static void undo_form_name(char *s)
{
    char *out = s;

    for (; *s; s++) {
        if (!strncmp(s, "%22", 3) || !strncasecmp(s, "%0D", 3) || !strncasecmp(s, "%0A", 3)) {
            *out++ = s[1] == '2' ? '"' : (s[2] | 32) == 'd' ? '\r' : '\n';
            s += 2;
        } else if (s[0] == '\\' && s[1] == '\\') {
            *out++ = *s++;
        } else {
            *out++ = *s;
        }
    }
    *out = '\0';
}

/* The parser may announce a part with no bytes and then again at offset 0. */
static bool same_part(const upload *up, const char *filename)
{
    return up->part_name && up->part_bytes == 0 && !strcmp(up->part_name, filename);
}

static enum MHD_Result on_part(void *cls, enum MHD_ValueKind kind, const char *key,
                               const char *filename, const char *type, const char *encoding,
                               const char *data, uint64_t off, size_t size)
{
    req *r = cls;
    upload *up = r->state;

    (void)kind;
    (void)type;
    (void)encoding;
    if (r->replied)
        return MHD_NO;
    if (off == 0 && !same_part(up, filename ? filename : "")) {
        char *name;
        bool ok;

        free(up->part_name);
        up->part_name = xstrdup(filename ? filename : "");
        up->part_bytes = 0;
        up->skipping = !key || strcmp(key, "file");
        if (up->skipping)
            return MHD_YES;
        if (!up->fixed && (!filename || !*filename)) {
            reply_error(r, 400, "a part has no file name and the request no path");
            upload_drop_parts(r, up);
            return MHD_NO;
        }
        name = xstrdup(up->fixed ? up->fixed : filename);
        if (!up->fixed)
            undo_form_name(name);
        ok = part_begin(r, up, name);
        free(name);
        if (!ok)
            return MHD_NO;
    }
    up->part_bytes += size;
    if (up->skipping)
        return MHD_YES;
    return part_data(r, up, data, size) ? MHD_YES : MHD_NO;
}

static bool printable(const char *s, char first)
{
    while (*s >= first && *s <= '~')
        s++;
    return *s == '\0';
}

typedef struct metadata { pair_list pairs; size_t bytes; const char *wrong; } metadata;

static enum MHD_Result take_metadata(void *cls, enum MHD_ValueKind kind, const char *header,
                                     const char *value)
{
    metadata *m = cls;
    char key[METADATA_KEY + 1];
    size_t n;

    (void)kind;
    if (strncasecmp(header, "X-Metadata-", 11))
        return MHD_YES;
    n = strlen(header + 11);
    value = value ? value : "";
    m->bytes += 9 + n + strlen(value);
    if (n < 1 || n > METADATA_KEY || m->bytes > METADATA_MAX) {
        m->wrong = n < 1 ? "a metadata key is empty" : n > METADATA_KEY
                   ? "a metadata key is longer than 246 bytes" : "metadata is larger than 4096 bytes";
        return MHD_NO;
    }
    for (size_t i = 0; i <= n; i++)
        key[i] = header[11 + i] >= 'A' && header[11 + i] <= 'Z' ? (char)(header[11 + i] | 32)
                                                                 : header[11 + i];
    if (!printable(key, '!') || !printable(value, ' ')) {
        m->wrong = "metadata must be printable ASCII";
        return MHD_NO;
    }
    pairs_add(&m->pairs, key, value);
    return MHD_YES;
}

/* The body's form, before any of it is read; false after a reply. */
static bool readable_body(req *r, const char *type, bool *packed)
{
    const char *coding = req_header(r, "Content-Encoding");

    *packed = coding && !strcasecmp(coding, "gzip");
    if (coding && *coding && !*packed && strcasecmp(coding, "identity")) {
        reply_error(r, 400, "unsupported content encoding: %.100s", coding);
        return false;
    }
    if (!type || (strncasecmp(type, "multipart/form-data", 19) &&
                  strncasecmp(type, "application/octet-stream", 24))) {
        reply_error(r, 400, "unsupported content type: %.200s", type ? type : "");
        return false;
    }
    return true;
}

bool envd_upload_begin(req *r)
{
    const char *type = req_header(r, "Content-Type"), *path;
    metadata m = { 0 };
    bool packed;
    upload *up;
    fs_user u;

    if (!who_and_what(r, "write", &u, &path) || !readable_body(r, type, &packed))
        return false;
    MHD_get_connection_values(r->c, MHD_HEADER_KIND, take_metadata, &m);
    if (m.wrong) {
        pairs_free(&m.pairs);
        reply_error(r, 400, "%s", m.wrong);
        return false;
    }
    up = xalloc(sizeof *up);
    up->metadata = m.pairs;
    up->packed = packed ? gunzip_new() : NULL;
    if (packed && !up->packed)
        die("out of memory");
    up->user = u;
    up->fixed = path && *path ? xstrdup(path) : NULL;
    r->state = up;
    r->state_free = upload_free;
    if ((type[0] | 32) == 'm') {
        up->pp = MHD_create_post_processor(r->c, 65536, on_part, r);
        if (!up->pp)
            reply_error(r, 400, "error parsing multipart form: no boundary in the Content-Type");
        return up->pp != NULL;
    }
    if (!up->fixed) {
        reply_error(r, 400, "the path query parameter is required for a raw body");
        return false;
    }
    return part_begin(r, up, up->fixed);
}

/* Of the body, unpacked. */
static bool body_data(void *cls, const char *p, size_t n)
{
    req *r = cls;
    upload *up = r->state;

    if (!up->pp)
        return part_data(r, up, p, n);
    if (MHD_post_process(up->pp, p, n) != MHD_YES && !r->replied) {
        reply_error(r, 400, "error parsing multipart form");
        upload_drop_parts(r, up);
    }
    return !r->replied;
}

void envd_upload_data(req *r, const char *p, size_t n)
{
    upload *up = r->state;

    if (!up->packed) {
        body_data(r, p, n);
    } else if (!gunzip_feed(up->packed, p, n, body_data, r) && !r->replied) {
        reply_error(r, 400, "error reading gzip body: it is damaged");
        upload_drop_parts(r, up);
    }
}

static void reply_written(req *r, const upload *up)
{
    sbx_json_writer w;
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_array(&w);
    for (size_t i = 0; i < up->count; i++) {
        const char *path = up->parts[i].path;

        sbx_json_begin_object(&w);
        json_str(&w, "path", path);
        json_str(&w, "name", strrchr(path, '/') + 1);
        json_str(&w, "type", "file");
        for (size_t k = 0; k < up->metadata.count; k++) {
            if (k == 0) {
                sbx_json_key(&w, "metadata");
                sbx_json_begin_object(&w);
            }
            json_str(&w, up->metadata.keys[k], up->metadata.values[k]);
        }
        if (up->metadata.count > 0)
            sbx_json_end_object(&w);
        sbx_json_end_object(&w);
    }
    sbx_json_end_array(&w);
    reply_text(r, 200, "text/plain; charset=utf-8", &t);
}

void envd_upload_end(req *r)
{
    upload *up = r->state;

    if (up->packed && !gunzip_whole(up->packed)) {
        reply_error(r, 400, "error reading gzip body: it ends too early");
        upload_drop_parts(r, up);
    }
    if (up->pp) {
        enum MHD_Result whole = MHD_destroy_post_processor(up->pp);

        up->pp = NULL;
        if (!up->part_name)
            reply_error(r, 400, "error parsing multipart form: it has no part");
        if (whole != MHD_YES && !r->replied) {
            reply_error(r, 400, "error parsing multipart form: it ends before its last boundary");
            upload_drop_parts(r, up);
        }
    }
    for (size_t i = 0; i < up->count && !r->replied; i++) {
        int result = fs_upload_commit(&r->b->root, &up->parts[i]);

        if (result != 0) {
            char *path = xstrdup(up->parts[i].path);

            upload_fail(r, up, result, path);
            free(path);
            return;
        }
    }
    if (!r->replied)
        reply_written(r, up);
}
