/* compare - when a sent request equals a recorded one, and when a result equals what
   was expected. */
#include "golden.h"
#include <stdlib.h>
#include <string.h>

static const char *show(const char *s, size_t len)
{
    text t = {0};
    dom_print(&t, dom_bytes(s, len));
    if (t.len > 300) t.p[300] = 0;
    return t.p;
}

static const char *show_node(const node *n)
{
    text t = {0};
    dom_print(&t, n);
    if (t.len > 300) t.p[300] = 0;
    return t.p;
}

static bool same_nocase(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && ((*a | 32) != (*b | 32) || (*a | 32) < 'a' || (*a | 32) > 'z'))
            return false;
    return *a == *b;
}

static bool starts(const char *s, const char *with) { return !strncmp(s, with, strlen(with)); }

/* ---- names that do not count ------------------------------------------------- */
static bool named(const rules *k, const char *name)
{
    const node *n;
    if (k->ignore && k->ignore->kind == D_LIST)
        for (n = k->ignore->first; n; n = n->next)
            if (n->kind == D_TEXT && same_nocase(n->s, name)) return true;
    return false;
}

/* A difference that names a header or member lets it be absent, too. */
static bool excused(const rules *k, const char *name)
{
    const node *n;
    if (!k->differs || k->differs->kind != D_LIST) return false;
    for (n = k->differs->first; n; n = n->next) {
        const char *s = dom_text(n, "name");
        if (s && same_nocase(s, name)) return true;
    }
    return false;
}

static bool header_counts(const char *name)
{
    static const char *const not[] = { "host", "user-agent", "accept", "accept-encoding",
        "accept-language", "connection", "content-length", "transfer-encoding", "x-request-id",
        "sec-websocket-key", "sec-websocket-extensions", "sec-fetch-mode", "pragma",
        "cache-control", "publisher", "package_version", "sdk_runtime", "system", "machine", "os",
        "processor", "release", "browser", "leap0-source", "leap0-sdk-version" };
    size_t i;
    for (i = 0; i < sizeof not / sizeof *not; i++)
        if (same_nocase(not[i], name)) return false;
    return !starts(name, "lang");
}

/* ---- values ------------------------------------------------------------------ */
static bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

static bool is_uuid(const char *s, size_t len, bool four)
{
    size_t i;
    if (len < 36) return false;
    for (i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s[i] != '-' : !is_hex(s[i])) return false;
    }
    return !four || (s[14] == '4' && strchr("89ab", s[19]));
}

/* Of one form: as long, and the same kind of character at each place. */
static bool same_form(const char *a, size_t alen, const char *b, size_t blen)
{
    size_t i;
    bool hex = true;
    if (alen != blen || !alen) return false;
    for (i = 0; i < alen; i++)
        if (!is_hex(a[i]) && a[i] != '-') hex = false;
    for (i = 0; i < alen; i++) {
        if ((a[i] == '-') != (b[i] == '-')) return false;
        if (hex && a[i] != '-' && !is_hex(b[i])) return false;
        if (b[i] <= ' ' || b[i] > '~') return false;
    }
    return true;
}

static const made *find_made(const rules *k, const char *recorded, size_t len)
{
    const made *m;
    for (m = k->made; m; m = m->next)
        if (strlen(m->recorded) == len && !memcmp(m->recorded, recorded, len)) return m;
    return NULL;
}

static void bind(rules *k, const char *recorded, size_t rlen, const char *sent, size_t slen)
{
    made *m = keep(sizeof *m);
    m->recorded = keep_bytes(recorded, rlen);
    m->sent = keep_bytes(sent, slen);
    m->next = k->made;
    k->made = m;
}

static size_t placeholder(const char *w, size_t wlen, const char *g, size_t glen, size_t *skip)
{
    static const char *const names[] = { "<host>", "<uuid>", "<uuid4>", "<version>" };
    size_t i, n = 0;
    for (i = 0; i < 4; i++)
        if (wlen >= strlen(names[i]) && starts(w, names[i])) break;
    if (i == 4) return 0;
    *skip = strlen(names[i]);
    if (i == 0) return glen >= strlen(HOST) && starts(g, HOST) ? strlen(HOST) : 0;
    if (i < 3) return is_uuid(g, glen, i == 2) ? 36 : 0;
    while (n < glen && g[n] && strchr("0123456789abcdefghijklmnopqrstuvwxyz"
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ.+-_", g[n])) n++;
    return n;
}

/* Recorded text against sent text: placeholders, made values, else exactly. */
static bool same_text(const rules *k, const char *w, size_t wlen, const char *g, size_t glen)
{
    const made *m = find_made(k, w, wlen);
    if (m) return strlen(m->sent) == glen && !memcmp(m->sent, g, glen);
    while (wlen) {
        size_t skip = 0, n = *w == '<' ? placeholder(w, wlen, g, glen, &skip) : 0;
        if (n) {
            w += skip; wlen -= skip;
            g += n; glen -= n;
        } else {
            if (!glen || *w != *g) return false;
            w++; wlen--;
            g++; glen--;
        }
    }
    return !glen;
}

static const char *found(const char *p, const char *end, const char *what, size_t n)
{
    while ((size_t)(end - p) >= n && (p = memchr(p, *what, (size_t)(end - p) - n + 1)) != NULL) {
        if (!memcmp(p, what, n)) return p;
        p++;
    }
    return NULL;
}

/* Recorded text as it is now: <host> and what the client made. */
static void replace_all(text *t, const char *from, const char *to)
{
    text out = {0};
    size_t n = strlen(from);
    const char *p = t->p, *end = p + t->len, *hit;
    if (!n || !t->len || !found(p, end, from, n)) return;
    for (; (hit = found(p, end, from, n)) != NULL; p = hit + n) {
        text_add(&out, p, (size_t)(hit - p));
        text_put(&out, to);
    }
    text_add(&out, p, (size_t)(end - p));
    *t = out;
}

const char *recorded_now(const rules *k, const char *s, size_t *len)
{
    text t = {0};
    const made *m;
    text_add(&t, s, *len);
    replace_all(&t, "<host>", HOST);
    for (m = k->made; m; m = m->next) replace_all(&t, m->recorded, m->sent);
    *len = t.len;
    return t.p;
}

/* ---- JSON bodies ------------------------------------------------------------- */
static bool same_number(const node *a, const node *b)
{
    if (a->whole && b->whole) return a->i == b->i;
    return strtod(a->s, NULL) == strtod(b->s, NULL);
}

static void order_of(text *t, const node *n)
{
    const node *m;
    for (m = n->first; m; m = m->next) text_format(t, "%s%s", m->key, m->next ? "," : "");
}

static void same_json(rules *k, const node *want, const node *got, const char *path, report *r);

static void same_members(rules *k, const node *want, const node *got, const char *path, report *r)
{
    const node *w, *g;
    text wo = {0}, go = {0};
    size_t before = r->count;
    for (w = want->first; w; w = w->next) {
        text at = {0};
        text_format(&at, "%s.%s", path, w->key);
        g = dom_get(got, w->key);
        if (g) same_json(k, w, g, at.p, r);
        else if (!excused(k, w->key))
            complain(r, "%s: recorded %s, not sent", at.p, show_node(w));
    }
    for (g = got->first; g; g = g->next)
        if (!dom_get(want, g->key) && !excused(k, g->key))
            complain(r, "%s.%s: not recorded, sent %s", path, g->key, show_node(g));
    order_of(&wo, want);
    order_of(&go, got);
    if (r->count == before && wo.len == go.len && wo.len && strcmp(wo.p, go.p))
        complain(r, "%s: order of members: recorded %s; sent %s", path, wo.p, go.p);
}

static void same_json(rules *k, const node *want, const node *got, const char *path, report *r)
{
    const node *w, *g;
    size_t i = 0;
    bool same = true;
    if (want->key && excused(k, want->key)) return;
    if (want->kind == got->kind && want->key && named(k, want->key)) {
        if (want->kind == D_TEXT && !find_made(k, want->s, want->len))
            bind(k, want->s, want->len, got->s, got->len);
        return;
    }
    if (want->kind != got->kind) same = false;
    else if (want->kind == D_TEXT) same = same_text(k, want->s, want->len, got->s, got->len);
    else if (want->kind == D_NUMBER) same = same_number(want, got);
    else if (want->kind == D_BOOL) same = want->i == got->i;
    else if (want->kind == D_OBJECT) same_members(k, want, got, path, r);
    else if (want->kind == D_LIST) {
        if (want->count != got->count) same = false;
        else for (w = want->first, g = got->first; w && g; w = w->next, g = g->next, i++) {
            text at = {0};
            text_format(&at, "%s[%u]", path, (unsigned)i);
            same_json(k, w, g, at.p, r);
        }
    }
    if (!same) complain(r, "%s: recorded %s, sent %s", path, show_node(want), show_node(got));
}

/* ---- bodies ------------------------------------------------------------------ */
static const node *field_of(const exchange *x, const char *name)
{
    const node *n;
    for (n = x->headers ? x->headers->first : NULL; n; n = n->next)
        if (same_nocase(n->key, name)) return n;
    return NULL;
}

static const char *recorded_header(const exchange *x, const char *name)
{
    const node *n = field_of(x, name);
    return n && n->kind == D_TEXT ? n->s : NULL;
}

static const char *sent_header(const request *q, const char *name)
{
    const header *h;
    for (h = q->headers; h; h = h->next)
        if (!strcmp(h->name, name)) return h->value;
    return NULL;
}

static const char *boundary_of(const char *type)
{
    const char *b = type ? strstr(type, "boundary=") : NULL;
    const char *end;
    if (!b || !starts(type, "multipart/")) return NULL;
    b += 9;
    if (*b == '"') b++;
    end = b + strcspn(b, "\";, ");
    return end == b ? NULL : keep_bytes(b, (size_t)(end - b));
}

static bool good_boundary(const char *b)
{
    size_t n = strlen(b);
    return n <= 70 && strspn(b, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        "'()+_,-./:=?") == n;
}

static const char *without(const char *s, size_t *len, const char *boundary)
{
    text t = {0};
    text_add(&t, s, *len);
    if (boundary) replace_all(&t, boundary, "<boundary>");
    *len = t.len;
    return t.p;
}

static void same_bytes(const rules *k, const char *w, size_t wlen, const char *g, size_t glen,
    const char *what, report *r)
{
    size_t at = 0;
    if (same_text(k, w, wlen, g, glen)) return;
    while (at < wlen && at < glen && w[at] == g[at]) at++;
    at = at > 20 ? at - 20 : 0;
    complain(r, "%s: from byte %u on: recorded %s, sent %s (%u and %u bytes)", what, (unsigned)at,
        show(w + at, wlen - at), show(g + at, glen - at), (unsigned)wlen, (unsigned)glen);
}

/* Connect: flag, big-endian length, JSON. Returns the end of one envelope. */
static const char *envelope(const char *p, const char *end, unsigned *flag, node **json)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t n;
    if (end - p < 5) return NULL;
    n = (size_t)u[1] << 24 | (size_t)u[2] << 16 | (size_t)u[3] << 8 | u[4];
    if ((size_t)(end - p) - 5 < n) return NULL;
    *flag = u[0];
    *json = dom_parse(p + 5, n);
    return p + 5 + n;
}

static void same_envelopes(rules *k, const exchange *x, const request *q, report *r)
{
    const char *w = x->body, *we = w + x->body_len, *g = q->body, *ge = g + q->body_len;
    size_t i;
    for (i = 0; w < we && g < ge; i++) {
        unsigned wf = 0, gf = 0;
        node *wj = NULL, *gj = NULL;
        text at = {0};
        w = envelope(w, we, &wf, &wj);
        g = envelope(g, ge, &gf, &gj);
        text_format(&at, "body: envelope %u", (unsigned)i + 1);
        if (!w || !g || !wj || !gj) {
            complain(r, "%s: %s is not an envelope with JSON", at.p, w && wj ? "what was sent" :
                "the recording");
            return;
        }
        if (wf != gf) complain(r, "%s: recorded flags %u, sent %u", at.p, wf, gf);
        same_json(k, wj, gj, at.p, r);
    }
    if (w < we) complain(r, "body: an envelope is missing after %u", (unsigned)i);
    if (g < ge) complain(r, "body: more than the recorded %u envelopes", (unsigned)i);
}

static void same_body(rules *k, const exchange *x, const request *q, report *r)
{
    const char *wt = recorded_header(x, "content-type"), *gt = sent_header(q, "content-type");
    const char *wb = boundary_of(wt), *gb = boundary_of(gt);
    node *w, *g;
    if (excused(k, "body")) return;
    if (wt && starts(wt, "application/connect+json") && x->body_len) {
        same_envelopes(k, x, q, r);
        return;
    }
    if (wb) {
        size_t wn = x->body_len, gn = q->body_len;
        const char *ws = without(x->body, &wn, wb), *gs = without(q->body, &gn, gb);
        same_bytes(k, ws, wn, gs, gn, "body (multipart)", r);
        return;
    }
    if (!wt && !gt && is_archive(x->body, x->body_len)) {
        compare_archives(x->body, x->body_len, q->body, q->body_len, r);
        return;
    }
    if (recorded_header(x, "content-encoding") && sent_header(q, "content-encoding")) {
        text wu = {0}, gu = {0};
        if (!unpack(x->body, x->body_len, &wu)) complain(r, "body: the recorded gzip is damaged");
        if (!unpack(q->body, q->body_len, &gu)) complain(r, "body: the gzip sent is damaged");
        same_bytes(k, wu.p, wu.len, gu.p, gu.len, "body (unpacked)", r);
        return;
    }
    w = wt && strstr(wt, "json") && x->body_len ? dom_parse(x->body, x->body_len) : NULL;
    if (!w) {
        same_bytes(k, x->body, x->body_len, q->body, q->body_len, "body", r);
        return;
    }
    g = dom_parse(q->body, q->body_len);
    if (!g) complain(r, "body: not JSON: sent %s", show(q->body, q->body_len));
    else same_json(k, w, g, "body", r);
}

/* ---- heads ------------------------------------------------------------------- */
static bool given_has(const node *n, const char *s, size_t len)
{
    for (; n; n = n->next) {
        if (n->kind == D_TEXT && n->len == len && !memcmp(n->s, s, len)) return true;
        if (n->first && given_has(n->first, s, len)) return true;
    }
    return false;
}

static bool identity(const char *name, const char *value)
{
    size_t n = strlen(name);
    return n >= 8 && same_nocase(name + n - 8, "encoding") && same_nocase(value, "identity");
}

static bool skipped(const rules *k, const char *name, const char *value, size_t body)
{
    return !header_counts(name) || identity(name, value) || excused(k, name) ||
        (same_nocase(name, "content-type") && !body);
}

static void same_value(rules *k, const char *name, const char *w, const char *g, report *r)
{
    size_t wn = strlen(w), gn = strlen(g);
    if (same_nocase(name, "content-type") && boundary_of(w) && boundary_of(g)) {
        if (!good_boundary(boundary_of(g)))
            complain(r, "header content-type: no good boundary: %s", g);
        w = without(w, &wn, boundary_of(w));
        g = without(g, &gn, boundary_of(g));
    }
    if (same_text(k, w, wn, g, gn)) return;
    if (named(k, name) || (same_nocase(name, "idempotency-key") && !find_made(k, w, wn) &&
        !given_has(k->given, w, wn) && same_form(w, wn, g, gn))) {
        bind(k, w, wn, g, gn);
        return;
    }
    complain(r, "header %s: recorded %s, sent %s", name, show(w, wn), show(g, gn));
}

static void same_headers(rules *k, const exchange *x, const request *q, report *r)
{
    const node *w;
    const header *g, *o;
    for (w = x->headers ? x->headers->first : NULL; w; w = w->next) {
        const char *name, *got;
        char *low = keep_text(w->key);
        size_t i;
        for (i = 0; low[i]; i++)
            if (low[i] >= 'A' && low[i] <= 'Z') low[i] = (char)(low[i] | 32);
        name = low;
        got = sent_header(q, name);
        if (w->kind != D_TEXT || skipped(k, name, w->s, x->body_len)) continue;
        if (!got) complain(r, "header %s: recorded %s, not sent", name, show(w->s, w->len));
        else same_value(k, name, w->s, got, r);
    }
    for (g = q->headers; g; g = g->next) {
        if (!skipped(k, g->name, g->value, q->body_len) && !field_of(x, g->name))
            complain(r, "header %s: not recorded, sent %s", g->name,
                show(g->value, strlen(g->value)));
        for (o = g->next; o; o = o->next)
            if (!strcmp(o->name, g->name)) complain(r, "header %s: sent twice", g->name);
    }
    if (!sent_header(q, "host")) complain(r, "header host: not sent");
}

static void same_framing(const exchange *x, const request *q, report *r)
{
    const char *te = recorded_header(x, "transfer-encoding");
    if (q->chunked && !te) complain(r, "framing: sent in chunks, though the size is known");
    if (!q->chunked && !sent_header(q, "content-length") && x->body_len)
        complain(r, "framing: neither content-length nor chunks");
    if (!q->chunked && !sent_header(q, "content-length") && !x->body_len &&
        (!strcmp(q->method, "POST") || !strcmp(q->method, "PUT")))
        complain(r, "framing: an empty %s needs content-length: 0", q->method);
}

void compare_request(rules *k, const exchange *want, const request *got, size_t number, report *r)
{
    report own = {0};
    if (strcmp(want->method, got->method))
        complain(&own, "method: recorded %s, sent %s", want->method, got->method);
    if (!same_text(k, want->target, strlen(want->target), got->target, strlen(got->target)))
        complain(&own, "target: recorded %s, sent %s", want->target, got->target);
    same_headers(k, want, got, &own);
    same_framing(want, got, &own);
    same_body(k, want, got, &own);
    if (!own.count) return;
    complain(r, "request %u (%s %s) differs:", (unsigned)number, want->method, want->target);
    r->count += own.count;
    text_add(&r->lines, own.lines.p, own.lines.len);
}

/* ---- results ----------------------------------------------------------------- */
static bool same_word(const node *want, const node *got)
{
    const word *w;
    size_t n, prefix;
    if (want->kind == D_NUMBER) return want->whole && want->i == got->i;
    if (want->kind == D_BOOL) return got->words[1].value == 1 && got->i == (want->i ? 1 : 2);
    if (want->kind != D_TEXT) return want->kind == D_NULL && got->i == 0;
    for (w = got->words; w->name; w++) {
        if (w->value != got->i) continue;
        if (same_nocase(w->name, want->s)) return true;
        n = strlen(w->name); /* SBX_SANDBOX_RUNNING says "running", too */
        prefix = want->len > n ? want->len - n : 0;
        if (prefix && starts(want->s, "SBX_") && want->s[prefix - 1] == '_' &&
            same_nocase(want->s + prefix, w->name)) return true;
    }
    return false;
}

static bool is_empty(const node *n)
{
    return !n || n->kind == D_NULL || ((n->kind == D_LIST || n->kind == D_OBJECT) && !n->count);
}

void compare_result(const node *want, const node *got, const char *path, report *r)
{
    const node *w, *g;
    const char *p;
    size_t n, i = 0;
    bool same = true;
    if (is_empty(want) && is_empty(got)) return;
    if (!got) same = false;
    else if (got->kind == D_ENUM) same = same_word(want, got);
    else if (got->kind == D_TEXT && dom_data(want, &p, &n)) {
        p = recorded_now(&(rules){0}, p, &n);
        same = n == got->len && !memcmp(p, got->s, n);
    } else if (want->kind != got->kind) same = false;
    else if (want->kind == D_NUMBER) same = same_number(want, got);
    else if (want->kind == D_BOOL) same = want->i == got->i;
    else if (want->kind == D_LIST) {
        if (want->count != got->count) same = false;
        else for (w = want->first, g = got->first; w && g; w = w->next, g = g->next, i++) {
            text at = {0};
            text_format(&at, "%s[%u]", path, (unsigned)i);
            compare_result(w, g, at.p, r);
        }
    } else if (want->kind == D_OBJECT) {
        if (got->i && want->count != got->count) same = false; /* a map: all of it */
        for (w = want->first; w; w = w->next) {
            text at = {0};
            text_format(&at, "%s.%s", path, w->key);
            g = dom_get(got, w->key);
            if (!g && w->kind != D_NULL) complain(r, "%s: there is no such member", at.p);
            else compare_result(w, g, at.p, r);
        }
    }
    if (!same) complain(r, "%s: expected %s, got %s", path, show_node(want), show_node(got));
}
