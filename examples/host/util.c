/* sandboxd: small helpers. Nothing here knows about sandboxes. */
#include "host.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

void log_at(int level, const char *fmt, ...)
{
    char line[1200];
    struct timespec ts;
    struct tm tm;
    va_list ap;
    int n;

    if (level > conf.log_level)
        return;
    clock_gettime(CLOCK_REALTIME, &ts);
    localtime_r(&ts.tv_sec, &tm);
    n = snprintf(line, sizeof line, "%02d:%02d:%02d.%03d ", tm.tm_hour, tm.tm_min,
                 tm.tm_sec, (int)(ts.tv_nsec / 1000000));
    va_start(ap, fmt);
    n += vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    va_end(ap);
    if (n > (int)sizeof line - 2)
        n = (int)sizeof line - 2;
    line[n++] = '\n';
    write_all(2, line, (size_t)n); /* one write: lines of threads never mix */
}

void die(const char *fmt, ...)
{
    va_list ap;

    fputs("sandboxd: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

void *xalloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);

    if (!p)
        die("out of memory");
    return p;
}

char *xstrdup(const char *s)
{
    size_t n = strlen(s) + 1;

    return memcpy(xalloc(n), s, n);
}

int64_t mono_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t unix_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void random_bytes(void *p, size_t n)
{
    unsigned char *at = p;

    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            die("no randomness from the system");
        at += got;
        n -= (size_t)got;
    }
}

void hex_text(char *out, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        *out++ = "0123456789abcdef"[bytes[i] >> 4];
        *out++ = "0123456789abcdef"[bytes[i] & 15];
    }
    *out = '\0';
}

void random_hex(char *out, size_t bytes)
{
    unsigned char b[64];

    random_bytes(b, bytes);
    hex_text(out, b, bytes);
}

void random_id(char *out, size_t n)
{
    while (n > 0) {
        unsigned char b;

        random_bytes(&b, 1);
        if (b >= 252) /* 7 * 36: no letter more likely than another */
            continue;
        *out++ = "abcdefghijklmnopqrstuvwxyz0123456789"[b % 36];
        n--;
    }
    *out = '\0';
}

bool same_secret(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned char diff = la != lb;

    for (size_t i = 0; i < la; i++)
        diff |= (unsigned char)(a[i] ^ (lb ? b[i % lb] : 1));
    return diff == 0;
}

/* trim: 0, 3, 6 or 9 digits of fraction (protobuf); else always 9. */
void rfc3339(char *out, size_t cap, int64_t unix_ns, bool trim)
{
    time_t s = (time_t)(unix_ns / 1000000000);
    int ns = (int)(unix_ns % 1000000000);
    struct tm tm;
    char frac[16] = "";

    if (ns < 0) {
        ns += 1000000000;
        s--;
    }
    gmtime_r(&s, &tm);
    if (!trim || ns % 1000)
        snprintf(frac, sizeof frac, ".%09d", ns);
    else if (ns % 1000000)
        snprintf(frac, sizeof frac, ".%06d", ns / 1000);
    else if (ns)
        snprintf(frac, sizeof frac, ".%03d", ns / 1000000);
    snprintf(out, cap, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, frac);
}

/* 2026-01-31T12:00:00[.123][Z|+02:00], as unix milliseconds. */
bool parse_rfc3339(const char *s, int64_t *ms)
{
    unsigned y, mo, d, h, mi, sec, oh = 0, om = 0, fraction = 0, weight = 100;
    int64_t days;
    char sign = 'Z';
    int n = 0;

    if (sscanf(s, "%4u-%2u-%2uT%2u:%2u:%2u%n", &y, &mo, &d, &h, &mi, &sec, &n) != 6 || n < 19 ||
        mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || sec > 60)
        return false;
    s += n;
    if (*s == '.')
        for (s++; *s >= '0' && *s <= '9'; s++, weight /= 10)
            fraction += (unsigned)(*s - '0') * weight;
    n = 0;
    if (sscanf(s, "%c%2u:%2u%n", &sign, &oh, &om, &n) == 3 ? s[n] || (sign != '+' && sign != '-')
                                                            : strcmp(s, "Z") && strcmp(s, "z"))
        return false;
    y -= mo <= 2; /* years begin in March: the leap day is their last */
    days = (int64_t)(y / 400) * 146097 +
           (int64_t)((y % 400) * 365 + (y % 400) / 4 - (y % 400) / 100 +
                     (153 * (mo + (mo > 2 ? -3u : 9u)) + 2) / 5 + d - 1) - 719468;
    *ms = (((days * 24 + h) * 60 + mi) * 60 + sec) * 1000 + fraction;
    if (n)
        *ms -= (sign == '+' ? 1 : -1) * (int64_t)(oh * 60 + om) * 60000;
    return true;
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool percent_decode(char *s)
{
    char *out = s;

    for (; *s; s++) {
        if (*s == '%') {
            int hi = hex_digit((unsigned char)s[1]);
            int lo = hi < 0 ? -1 : hex_digit((unsigned char)s[2]);

            if (lo < 0 || hi + lo == 0)
                return false;
            *out++ = (char)(hi * 16 + lo);
            s += 2;
        } else {
            *out++ = *s;
        }
    }
    *out = '\0';
    return true;
}

/* Length of the valid UTF-8 character at s, 0 if it is none. */
static size_t utf8_char(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        return (s[1] & 0xC0) == 0x80 ? 2 : 0;
    if (s[0] >= 0xE0 && s[0] <= 0xEF) {
        if ((s[1] & 0xC0) != 0x80 || (s[2] & 0xC0) != 0x80)
            return 0;
        if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F))
            return 0;
        return 3;
    }
    if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        if ((s[1] & 0xC0) != 0x80 || (s[2] & 0xC0) != 0x80 || (s[3] & 0xC0) != 0x80)
            return 0;
        if ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
            return 0;
        return 4;
    }
    return 0;
}

size_t lossy_utf8(char *out, size_t cap, const char *in)
{
    const unsigned char *s = (const unsigned char *)in;
    size_t n = 0;

    while (*s && n + 4 < cap) {
        size_t k = utf8_char(s);

        if (k) {
            memcpy(out + n, s, k);
            n += k;
            s += k;
        } else {
            memcpy(out + n, "\xEF\xBF\xBD", 3);
            n += 3;
            s++;
        }
    }
    out[n] = '\0';
    return n;
}

int write_all(int fd, const void *p, size_t n)
{
    const char *at = p;

    while (n > 0) {
        ssize_t w = write(fd, at, n);

        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -1;
        at += w;
        n -= (size_t)w;
    }
    return 0;
}

bool write_text(const char *path, const char *s)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool ok;

    if (fd < 0)
        return false;
    ok = write_all(fd, s, strlen(s)) == 0;
    return close(fd) == 0 && ok;
}

/* Reads a whole small file with a NUL at its end; -1: not there or larger. */
ssize_t read_small(int dirfd, const char *path, char *buf, size_t cap)
{
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t n = 0;

    if (fd < 0)
        return -1;
    while (n + 1 < cap) {
        ssize_t got = read(fd, buf + n, cap - 1 - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    buf[n] = '\0';
    close(fd);
    return n + 1 < cap ? (ssize_t)n : -1;
}

/* ---- text ---- */
void text_add(text *t, const void *p, size_t n)
{
    if (t->cut)
        return;
    if (t->limit && t->len + n > t->limit) {
        t->cut = true;
        return;
    }
    if (t->len + n + 1 > t->cap) {
        size_t cap = t->cap ? t->cap : 256;
        char *grown;

        while (cap < t->len + n + 1)
            cap *= 2;
        grown = realloc(t->p, cap);
        if (!grown) {
            t->cut = true;
            return;
        }
        t->p = grown;
        t->cap = cap;
    }
    if (n)
        memcpy(t->p + t->len, p, n);
    t->len += n;
    t->p[t->len] = '\0';
}

void text_str(text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_fmt(text *t, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof line)
        n = (int)sizeof line - 1;
    if (n > 0)
        text_add(t, line, (size_t)n);
}

void text_free(text *t)
{
    free(t->p);
    memset(t, 0, sizeof *t);
}

static int text_put(void *ctx, const void *data, size_t len)
{
    text *t = ctx;

    text_add(t, data, len);
    return t->cut ? SBX_E_TOO_LARGE : SBX_OK;
}

sbx_sink text_sink(text *t)
{
    return (sbx_sink){ text_put, t };
}

void json_str(sbx_json_writer *w, const char *key, const char *value)
{
    size_t cap = strlen(value) * 3 + 8;
    char small[1024], *buf = cap <= sizeof small ? small : xalloc(cap);
    size_t n = lossy_utf8(buf, cap, value);

    if (key)
        sbx_json_key(w, key);
    sbx_json_string(w, buf, n);
    if (buf != small)
        free(buf);
}

void json_num(sbx_json_writer *w, const char *key, int64_t value)
{
    if (key)
        sbx_json_key(w, key);
    sbx_json_int(w, value);
}

/* protobuf's JSON writes 64-bit numbers as strings. */
void json_num_text(sbx_json_writer *w, const char *key, int64_t value)
{
    char s[24];

    snprintf(s, sizeof s, "%lld", (long long)value);
    sbx_json_key(w, key);
    sbx_json_text(w, s);
}

void json_rat(sbx_json_writer *w, const char *key, int64_t hundredths)
{
    char s[32];
    int n = snprintf(s, sizeof s, "%lld.%02d", (long long)(hundredths / 100),
                     (int)(hundredths % 100));

    sbx_json_key(w, key);
    sbx_json_raw(w, s, (size_t)n);
}

/* ---- messages with descriptors ---- */
#define MAX_FDS 5

int msg_send(int sock, const void *p, size_t n, const int *fds, int nfds)
{
    union { struct cmsghdr h; char space[CMSG_SPACE(sizeof(int) * MAX_FDS)]; } control;
    struct iovec iov = { (void *)(uintptr_t)p, n };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t sent;

    if (nfds > 0) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof control);
        m.msg_control = control.space;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)nfds);
    }
    do
        sent = sendmsg(sock, &m, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)n ? 0 : -1;
}

ssize_t msg_recv(int sock, void *p, size_t cap, int *fds, int *nfds, int flags)
{
    union { struct cmsghdr h; char space[CMSG_SPACE(sizeof(int) * MAX_FDS)]; } control;
    struct iovec iov = { p, cap };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
    int room = nfds ? *nfds : 0, got = 0;
    ssize_t n;

    m.msg_control = control.space;
    m.msg_controllen = sizeof control.space;
    if (nfds)
        *nfds = 0;
    do
        n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | flags);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        int count, in[MAX_FDS];

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(in, CMSG_DATA(c), sizeof(int) * (size_t)count);
        for (int i = 0; i < count; i++) {
            if (got < room)
                fds[got++] = in[i];
            else
                close(in[i]); /* never keep what was not expected */
        }
    }
    if (nfds)
        *nfds = got;
    return n;
}
