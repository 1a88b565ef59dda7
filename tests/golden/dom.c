/* dom - JSON as a tree, built on the library's own push reader, and the arena
   that everything of a case is taken from. */
#include "golden.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- arena ------------------------------------------------------------------ */
/* Chunks that are filled one after the other. What was never handed out is zero. */
typedef struct chunk { struct chunk *before; char *at, *end; } chunk;
static chunk *newest;
enum { CHUNK = 65536, ALIGN = 16 };

void *keep(size_t size)
{
    char *p;
    size = (size + ALIGN - 1) / ALIGN * ALIGN;
    if (!newest || (size_t)(newest->end - newest->at) < size) {
        size_t room = size > CHUNK ? size : CHUNK;
        chunk *c = calloc(1, sizeof *c + ALIGN + room);
        if (!c) { fputs("golden: out of memory\n", stderr); exit(2); }
        c->before = newest;
        c->at = (char *)(((uintptr_t)(c + 1) + ALIGN - 1) / ALIGN * ALIGN);
        c->end = c->at + room;
        newest = c;
    }
    p = newest->at;
    newest->at += size;
    return p;
}

char *keep_bytes(const void *p, size_t len)
{
    char *copy = keep(len + 1);
    if (len) memcpy(copy, p, len);
    return copy;
}

char *keep_text(const char *s) { return keep_bytes(s, strlen(s)); }

void *keep_mark(void) { return newest ? newest->at : NULL; }

void keep_drop(void *mark)
{
    while (newest) {
        chunk *c = newest;
        if (mark && (char *)mark > (char *)c && (char *)mark <= c->end) {
            memset(mark, 0, (size_t)(c->at - (char *)mark));
            c->at = mark;
            return;
        }
        newest = c->before;
        free(c);
    }
}

void text_add(text *t, const void *p, size_t len)
{
    if (t->len + len + 1 > t->cap) {
        size_t cap = (t->len + len + 64) * 2;
        char *bigger = keep(cap);
        if (t->len) memcpy(bigger, t->p, t->len);
        t->p = bigger;
        t->cap = cap;
    }
    if (len) memcpy(t->p + t->len, p, len);
    t->len += len;
    t->p[t->len] = 0;
}

void text_put(text *t, const char *s) { text_add(t, s, strlen(s)); }

static void text_vformat(text *t, const char *format, va_list args)
{
    va_list again;
    int n;
    char *room;
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    room = keep((size_t)n + 1);
    vsnprintf(room, (size_t)n + 1, format, args);
    text_add(t, room, (size_t)n);
}

void text_format(text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vformat(t, format, args);
    va_end(args);
}

void complain(report *r, const char *format, ...)
{
    va_list args;
    r->count++;
    if (r->count > 40) return; /* one broken byte can make very many */
    text_put(&r->lines, "    ");
    va_start(args, format);
    text_vformat(&r->lines, format, args);
    va_end(args);
    text_put(&r->lines, "\n");
}

/* ---- building --------------------------------------------------------------- */
node *dom_new(kind k)
{
    node *n = keep(sizeof *n);
    n->kind = k;
    return n;
}

node *dom_int(int64_t i)
{
    node *n = dom_new(D_NUMBER);
    char digits[32];
    n->len = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)i);
    n->s = keep_text(digits);
    n->i = i;
    n->whole = true;
    return n;
}

node *dom_bytes(const void *p, size_t len)
{
    node *n = dom_new(D_TEXT);
    n->s = keep_bytes(p, len);
    n->len = len;
    return n;
}

node *dom_string(const char *s) { return s ? dom_bytes(s, strlen(s)) : dom_new(D_NULL); }

node *dom_add(node *container, const char *key, node *value)
{
    value->key = key ? keep_text(key) : NULL;
    if (container->last) container->last->next = value;
    else container->first = value;
    container->last = value;
    container->count++;
    return value;
}

/* ---- parsing ---------------------------------------------------------------- */
typedef struct parser {
    node *stack[SBX_MAX_JSON_DEPTH + 1];
    unsigned depth;
    node *root;
    char *key;
    text piece;
} parser;

static void place(parser *p, node *n)
{
    if (p->depth) dom_add(p->stack[p->depth - 1], p->key, n);
    else p->root = n;
    p->key = NULL;
    if (n->kind == D_OBJECT || n->kind == D_LIST) p->stack[p->depth++] = n;
}

static node *number(const char *s, size_t len)
{
    node *n = dom_new(D_NUMBER);
    size_t i = len && s[0] == '-';
    uint64_t v = 0;
    n->s = keep_bytes(s, len);
    n->len = len;
    n->whole = len - i <= 18;
    for (; i < len && n->whole; i++) {
        if (s[i] < '0' || s[i] > '9') n->whole = false;
        else v = v * 10 + (uint64_t)(s[i] - '0');
    }
    if (n->whole) n->i = s[0] == '-' ? -(int64_t)v : (int64_t)v;
    return n;
}

static int on_event(void *ctx, const sbx_json_event *e)
{
    parser *p = ctx;
    node *n;
    if (e->flags & SBX_JSON_CUT) return SBX_E_TOO_LARGE;
    switch (e->type) {
    case SBX_JSON_OBJECT: place(p, dom_new(D_OBJECT)); break;
    case SBX_JSON_ARRAY: place(p, dom_new(D_LIST)); break;
    case SBX_JSON_OBJECT_END:
    case SBX_JSON_ARRAY_END: p->depth--; break;
    case SBX_JSON_KEY: p->key = keep_bytes(e->text, e->len); break;
    case SBX_JSON_STRING:
        text_add(&p->piece, e->text, e->len);
        if (e->flags & SBX_JSON_MORE) break;
        place(p, dom_bytes(p->piece.p, p->piece.len));
        p->piece.len = 0;
        break;
    case SBX_JSON_NUMBER: place(p, number(e->text, e->len)); break;
    case SBX_JSON_TRUE:
    case SBX_JSON_FALSE:
        n = dom_new(D_BOOL);
        n->i = e->type == SBX_JSON_TRUE;
        place(p, n);
        break;
    case SBX_JSON_NULL: place(p, dom_new(D_NULL)); break;
    }
    return SBX_OK;
}

node *dom_parse(const char *json, size_t len)
{
    sbx_json_reader reader;
    parser *p = keep(sizeof *p);
    sbx_json_init(&reader, on_event, p);
    if (sbx_json_feed(&reader, json, len, NULL) != SBX_OK) return NULL;
    return sbx_json_end(&reader) == SBX_OK ? p->root : NULL;
}

/* ---- reading ---------------------------------------------------------------- */
node *dom_get(const node *object, const char *key)
{
    node *n;
    if (!object || object->kind != D_OBJECT) return NULL;
    for (n = object->first; n; n = n->next)
        if (!strcmp(n->key, key)) return n;
    return NULL;
}

node *dom_has(const node *object, const char *key)
{
    node *n = dom_get(object, key);
    return n && n->kind != D_NULL ? n : NULL;
}

const char *dom_text(const node *object, const char *key)
{
    const node *n = dom_get(object, key);
    return n && n->kind == D_TEXT ? n->s : NULL;
}

bool dom_is(const node *n, const char *s)
{
    return n && n->kind == D_TEXT && n->len == strlen(s) && !memcmp(n->s, s, n->len);
}

static bool from_base64(const char *s, size_t len, const char **p, size_t *n)
{
    sbx_base64 state = {0};
    char *out = keep(len / 4 * 3 + 4);
    if (sbx_base64_decode(&state, s, len, out, n) != SBX_OK) return false;
    *p = out;
    return sbx_base64_end(&state) == SBX_OK;
}

bool dom_data(const node *n, const char **p, size_t *len)
{
    const node *b64 = dom_get(n, "b64");
    if (b64 && b64->kind == D_TEXT) return from_base64(b64->s, b64->len, p, len);
    if (!n || n->kind != D_TEXT) return false;
    *p = n->s;
    *len = n->len;
    return true;
}

/* ---- printing --------------------------------------------------------------- */
static int put_text(void *ctx, const void *p, size_t len)
{
    text_add(ctx, p, len);
    return SBX_OK;
}

static void print_bytes(text *to, const char *s, size_t len)
{
    sbx_json_writer w;
    sbx_sink sink = { put_text, NULL };
    text out = {0};
    sink.ctx = &out;
    sbx_json_writer_init(&w, sink);
    sbx_json_string(&w, s, len);
    if (w.status == SBX_OK) {
        text_add(to, out.p, out.len);
        return;
    }
    out.len = 0; /* not UTF-8 */
    sbx_json_writer_init(&w, sink);
    sbx_json_begin_object(&w);
    sbx_json_key(&w, "b64");
    sbx_json_base64(&w, s, len);
    sbx_json_end_object(&w);
    text_add(to, out.p, out.len);
}

static const char *word_of(const node *n)
{
    const word *w;
    for (w = n->words; w->name; w++)
        if (w->value == n->i) return w->name;
    return "?";
}

void dom_print(text *to, const node *n)
{
    const node *m;
    if (!n) { text_put(to, "absent"); return; }
    switch (n->kind) {
    case D_NULL: text_put(to, "null"); break;
    case D_BOOL: text_put(to, n->i ? "true" : "false"); break;
    case D_NUMBER: text_add(to, n->s, n->len); break;
    case D_TEXT: print_bytes(to, n->s, n->len); break;
    case D_ENUM: text_format(to, "\"%s\"", word_of(n)); break;
    case D_LIST:
    case D_OBJECT:
        text_put(to, n->kind == D_LIST ? "[" : "{");
        for (m = n->first; m; m = m->next) {
            if (n->kind == D_OBJECT) {
                print_bytes(to, m->key, strlen(m->key));
                text_put(to, ":");
            }
            dom_print(to, m);
            if (m->next) text_put(to, ",");
        }
        text_put(to, n->kind == D_LIST ? "]" : "}");
        break;
    }
}
