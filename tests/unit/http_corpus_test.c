/* llhttp's response cases (tests/data/http): what our reader makes of each equals
   the recorded trace, however the bytes are split. Where it differs it may only be
   stricter, and DEVIATIONS names the case with the reason; a listed case that no
   longer differs fails too. Cases of lenient flags must be refused: there are none
   here. Runs from the repository's root. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"
#include <dirent.h>

#define DIR_NAME "tests/data/http"

/* What was read, as text: of each response "200 1.1", its headers, an empty line,
   the body, "." when it is complete; then how it stands at the end of the input. */
typedef struct record { char text[8192]; size_t len; } record;

static void put(record *r, const char *data, size_t n)
{
    if (n > sizeof r->text - r->len) abort();
    memcpy(r->text + r->len, data, n);
    r->len += n;
}

static void put_text(record *r, const char *s) { put(r, s, strlen(s)); }

static void put_head(record *r, int status, int major, int minor, const record *headers)
{
    char line[32];
    snprintf(line, sizeof line, "%d %d.%d\n", status, major, minor);
    put_text(r, line);
    put(r, headers->text, headers->len);
    put_text(r, "\n");
}

/* ---- cases of a file ------------------------------------------------------ */

typedef struct http_case {
    char name[160], meta[120];
    char in[4096];
    size_t n;
    record expect;
} http_case;

static bool starts(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

/* The text between the fences behind ```kind, or NULL. *at moves behind it. */
static char *fenced(char **at, const char *kind, size_t *n)
{
    char fence[16], *from, *to;
    snprintf(fence, sizeof fence, "```%s\n", kind);
    from = strstr(*at, fence);
    if (!from) return NULL;
    from += strlen(fence);
    to = strstr(from, "\n```");
    if (!to) return NULL;
    *n = (size_t)(to - from);
    *at = to + 4;
    return from;
}

/* As llhttp's own runner reads it: a backslash joins lines, line ends are CR LF,
   \r \n \t \f stand for themselves. */
static void unescape(http_case *c, const char *p, size_t n)
{
    static const char letters[] = "rntf", bytes[] = "\r\n\t\f";
    size_t i;
    c->n = 0;
    for (i = 0; i < n; i++) {
        const char *letter = i + 1 < n && p[i + 1] ? strchr(letters, p[i + 1]) : NULL;
        if (c->n + 2 > sizeof c->in) abort();
        if (p[i] == '\\' && i + 1 < n && p[i + 1] == '\n') {
            i++;
        } else if (p[i] == '\\' && letter) {
            c->in[c->n++] = bytes[letter - letters];
            i++;
        } else {
            if (p[i] == '\n') c->in[c->n++] = '\r';
            c->in[c->n++] = p[i];
        }
    }
}

typedef struct trace { record headers, name, value; bool open, head, ended; } trace;

static void flush_header(trace *t)
{
    size_t i, from = 0, to = t->value.len;
    if (!t->name.len) return;
    while (from < to && strchr(" \t", t->value.text[from])) from++;
    while (to > from && strchr(" \t", t->value.text[to - 1])) to--;
    for (i = 0; i < t->name.len; i++) t->name.text[i] = sbxi_lower(t->name.text[i]);
    put(&t->headers, t->name.text, t->name.len);
    put_text(&t->headers, ": ");
    put(&t->headers, t->value.text + from, to - from);
    put_text(&t->headers, "\n");
    t->name.len = t->value.len = 0;
}

static void trace_head(http_case *c, trace *t, const char *line)
{
    int status, major, minor;
    flush_header(t);
    if (sscanf(line, "headers complete status=%d v=%d/%d", &status, &major, &minor) != 3) abort();
    t->head = status >= 200 || status == 101;
    if (t->head) put_head(&c->expect, status, major, minor, &t->headers);
}

/* Bytes are taken from the input: the log shows some of them escaped. */
static void trace_span(http_case *c, trace *t, unsigned off, unsigned len, const char *what)
{
    const char *p = c->in + off;
    if (off + len > c->n) abort();
    if (starts(what, "span[body]")) put(&c->expect, p, len);
    if (t->head) return; /* of a trailer: checked and dropped */
    if (starts(what, "span[header_field]")) {
        if (t->value.len) flush_header(t);
        put(&t->name, p, len);
    }
    if (starts(what, "span[header_value]")) put(&t->value, p, len);
}

static void trace_line(http_case *c, trace *t, const char *line)
{
    unsigned off = 0, len = 0;
    const char *what = strchr(line, ' ');
    if (!what) abort();
    what++;
    if (sscanf(line, "off=%u len=%u", &off, &len) == 2) {
        trace_span(c, t, off, len, strchr(what, ' ') + 1);
    } else if (starts(what, "message begin")) {
        memset(t, 0, sizeof *t);
        t->open = true;
    } else if (starts(what, "header_value complete")) {
        if (!t->head && !t->value.len) put(&t->value, " ", 1); /* flushed when it is named */
        if (!t->head) flush_header(t);
    } else if (starts(what, "headers complete")) {
        trace_head(c, t, what);
    } else if (starts(what, "message complete")) {
        if (t->head) put_text(&c->expect, "\n.\n");
        t->open = false;
    } else if (starts(what, "error code=")) {
        put_text(&c->expect, starts(what, "error code=5 ") ? "rest" : "refused");
        t->ended = true;
    } else if (starts(what, "finish=1")) {
        put_text(&c->expect, "\n.\n");
        t->open = false;
    }
}

static void trace_all(http_case *c, const char *log, size_t n)
{
    static trace t;
    const char *end = log + n, *next;
    memset(&t, 0, sizeof t);
    c->expect.len = 0;
    for (; log < end; log = next + 1) {
        char line[512];
        next = memchr(log, '\n', (size_t)(end - log));
        if (!next) next = end;
        if ((size_t)(next - log) >= sizeof line) abort();
        memcpy(line, log, (size_t)(next - log));
        line[next - log] = 0;
        if (line[0]) trace_line(c, &t, line);
    }
    if (t.open && !t.ended) put_text(&c->expect, "waits");
}

/* The next case at *at. Its name is the heading before it, with the file's. */
static bool next_case(http_case *c, char **at, const char *file)
{
    char *meta = strstr(*at, "<!-- meta="), *line, *name = NULL, *p;
    size_t n;
    if (!meta) return false;
    for (line = *at; line < meta; line = strchr(line, '\n') + 1)
        if (*line == '#') name = line;
    if (!name) abort();
    name += strspn(name, "# ");
    snprintf(c->name, sizeof c->name, "%s: %.*s", file, (int)strcspn(name, "\n"), name);
    snprintf(c->meta, sizeof c->meta, "%.*s", (int)strcspn(meta, "\n"), meta);
    *at = meta;
    p = fenced(at, "http", &n);
    if (!p) abort();
    unescape(c, p, n);
    p = fenced(at, "log", &n);
    if (!p) abort();
    trace_all(c, p, n);
    return true;
}

/* ---- our reader ----------------------------------------------------------- */

typedef struct reading { record *out, headers; bool keep_alive, slow, pause; } reading;

static int on_header(void *ctx, const char *name, const char *value, bool cut)
{
    reading *r = (reading *)ctx;
    put_text(&r->headers, name);
    put_text(&r->headers, ": ");
    put_text(&r->headers, value);
    put_text(&r->headers, cut ? " (cut)\n" : "\n");
    return SBX_OK;
}

static int on_head(void *ctx, const sbx_http_head *head)
{
    reading *r = (reading *)ctx;
    put_head(r->out, head->status, 1, head->minor, &r->headers);
    r->keep_alive = head->keep_alive;
    return SBX_OK;
}

/* A slow one takes a byte at every second call, and nothing at the others. */
static int on_body(void *ctx, const char *data, size_t len, size_t *used)
{
    reading *r = (reading *)ctx;
    *used = len;
    if (r->slow) {
        *used = r->pause ? 0 : 1;
        r->pause = !r->pause;
    }
    put(r->out, data, *used);
    return r->slow ? SBX_E_AGAIN : SBX_OK;
}

static const sbx_http_events events = { on_header, on_head, on_body };

typedef struct feeder { size_t step, first; uint32_t random; bool slow; } feeder;

static size_t piece(feeder *f, size_t pos, size_t left)
{
    size_t n = f->step;
    if (f->first) n = pos < f->first ? f->first - pos : left;
    if (f->random) {
        f->random = f->random * 1664525u + 1013904223u;
        n = 1 + (f->random >> 24) % 23;
    }
    return n < left ? n : left;
}

/* Reads responses one behind the other, as a connection would. */
static void read_all(const http_case *c, feeder f, record *out)
{
    static reading r;
    char line[SBX_MAX_LINE];
    sbx_http_reader reader;
    bool finish = strstr(c->meta, "response-finish") != NULL;
    size_t pos = 0, used, taken, n;
    int rc = SBX_OK;
    out->len = 0;
    while (rc == SBX_OK && pos < c->n) {
        memset(&r, 0, sizeof r);
        r.out = out;
        r.slow = f.slow;
        sbx_http_init(&reader, line, sizeof line, strstr(c->meta, "skipBody") != NULL, &events, &r);
        rc = SBX_PENDING;
        while (rc == SBX_PENDING && pos < c->n) {
            n = piece(&f, pos, c->n - pos);
            for (taken = 0; taken < n; taken += used) {
                char *exact = (char *)malloc(n - taken); /* a byte too far is seen */
                if (!exact) abort();
                memcpy(exact, c->in + pos + taken, n - taken);
                rc = sbx_http_feed(&reader, exact, n - taken, &used);
                free(exact);
                if (rc != SBX_E_AGAIN && rc != SBX_PENDING) break;
            }
            if (rc == SBX_E_AGAIN) rc = SBX_PENDING;
            if (rc == SBX_OK) taken += used;
            pos += taken;
        }
        if (rc == SBX_PENDING && f.slow) { /* the last byte may have ended it */
            rc = sbx_http_feed(&reader, "", 0, &used);
        }
        if (rc == SBX_PENDING && finish) rc = sbx_http_end(&reader);
        if (rc == SBX_OK) put_text(out, "\n.\n");
        if (rc == SBX_OK && !r.keep_alive && pos < c->n) {
            put_text(out, "rest"); /* unread: the connection is closed */
            return;
        }
    }
    if (rc == SBX_PENDING) put_text(out, "waits");
    if (rc < 0) put_text(out, "refused");
}

/* ---- verdicts ------------------------------------------------------------- */

static char deviations[16384];
static unsigned equal, listed, lenient;

static void load_deviations(void)
{
    FILE *f = fopen(DIR_NAME "/DEVIATIONS", "r");
    if (!CHECK(f != NULL)) return;
    deviations[0] = '\n';
    deviations[1 + fread(deviations + 1, 1, sizeof deviations - 2, f)] = 0;
    fclose(f);
}

/* "file: case -- reason" is a line of the list, with a reason. */
static bool is_listed(const char *name)
{
    char row[200], *at;
    snprintf(row, sizeof row, "\n%s -- ", name);
    at = strstr(deviations, row);
    return at && at[strlen(row)] > ' ';
}

static bool ends(const record *r, const char *with)
{
    size_t n = strlen(with);
    return r->len >= n && memcmp(r->text + r->len - n, with, n) == 0;
}

/* Refused, and up to there read as the trace has it. */
static bool is_stricter(const http_case *c, const record *got)
{
    size_t n = got->len - 7;
    return ends(got, "refused") && n <= c->expect.len
        && memcmp(got->text, c->expect.text, n) == 0;
}

/* Lines are judged whole: what the trace refuses inside one may be refused later. */
static bool is_later(const http_case *c, const record *got)
{
    static http_case longer;
    static record then;
    feeder whole;
    memset(&whole, 0, sizeof whole);
    if (!ends(&c->expect, "refused") || !ends(got, "waits")) return false;
    longer = *c;
    memcpy(longer.in + longer.n, "\r\n", 2);
    longer.n += 2;
    whole.step = longer.n;
    read_all(&longer, whole, &then);
    return then.len == c->expect.len && memcmp(then.text, c->expect.text, then.len) == 0;
}

static void judge(const http_case *c, const record *got)
{
    bool same = got->len == c->expect.len && memcmp(got->text, c->expect.text, got->len) == 0;
    if (strstr(c->meta, "lenient")) {
        lenient++;
        CHECK(is_stricter(c, got) || ends(got, "rest"));
        CHECK(!is_listed(c->name));
    } else if (is_listed(c->name)) {
        listed++;
        if (CHECK(!same) && !CHECK(is_stricter(c, got) || is_later(c, got)))
            CHECK_MEM(got->text, got->len, c->expect.text, c->expect.len);
    } else {
        equal++;
        CHECK_MEM(got->text, got->len, c->expect.text, c->expect.len);
    }
}

static void check_splits(const http_case *c, const record *whole)
{
    static record got;
    feeder f;
    size_t i;
    for (i = 1; i < c->n + 300; i++) {
        memset(&f, 0, sizeof f);
        f.step = c->n;
        if (i < c->n) f.first = i;
        else if (i < c->n + 200) f.random = (uint32_t)i;
        else f.step = 1 + (i - c->n - 200) / 2;
        f.slow = i >= c->n && i % 2;
        read_all(c, f, &got);
        if (!CHECK_MEM(got.text, got.len, whole->text, whole->len)) return;
    }
}

static void run_file(const char *file)
{
    static char text[65536];
    static http_case c;
    static record got;
    char path[300], *at = text;
    feeder whole;
    FILE *f;
    snprintf(path, sizeof path, "%s/%.200s", DIR_NAME, file);
    f = fopen(path, "rb");
    REQUIRE(f != NULL);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    while (next_case(&c, &at, file)) {
        test_row = c.name;
        memset(&whole, 0, sizeof whole);
        whole.step = c.n;
        read_all(&c, whole, &got);
        judge(&c, &got);
        check_splits(&c, &got);
    }
    test_row = NULL;
}

TEST(http_corpus)
{
    struct dirent *entry;
    unsigned lines = 0;
    const char *p;
    DIR *d = opendir(DIR_NAME);
    REQUIRE(d != NULL);
    load_deviations();
    while ((entry = readdir(d)) != NULL)
        if (strstr(entry->d_name, ".md")) run_file(entry->d_name);
    closedir(d);
    for (p = strstr(deviations, " -- "); p; p = strstr(p + 4, " -- ")) lines++;
    CHECK_INT(listed, lines); /* no line names a case that is not there */
    CHECK_INT(equal + listed + lenient, 85);
    printf("http: %u equal, %u stricter as listed, %u of lenient flags refused\n", equal, listed,
        lenient);
}
