/* sandboxd: the request tree. Nodes and strings live in blocks that are freed
   together. The push reader does all of the checking. */
#include "json_tree.h"

#define BLOCK_BYTES 16384
#define MAX_NODES 200000

typedef struct block { struct block *next; size_t used, size; } block;

typedef struct builder {
    jtree *tree;
    jnode *stack[SBX_MAX_JSON_DEPTH + 1];
    jnode *last[SBX_MAX_JSON_DEPTH + 1]; /* last child of each */
    int depth, nodes;
    char *key;
    text piece;             /* a string that came in several pieces */
} builder;

static void *take(jtree *t, size_t n)
{
    block *b = t->blocks;
    void *p;

    n = (n + 15) & ~(size_t)15;
    if (!b || b->size - b->used < n) {
        size_t size = n > BLOCK_BYTES ? n : BLOCK_BYTES;

        b = xalloc(sizeof *b + 16 + size);
        b->size = size;
        b->next = t->blocks;
        t->blocks = b;
    }
    p = (char *)(((uintptr_t)(b + 1) + 15) & ~(uintptr_t)15) + b->used;
    b->used += n;
    return p;
}

static char *take_text(jtree *t, const char *s, size_t n)
{
    char *p = take(t, n + 1);

    if (n)
        memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

static jnode *add(builder *b, jtype type)
{
    jnode *n = take(b->tree, sizeof *n);

    memset(n, 0, sizeof *n);
    n->type = type;
    n->key = b->key;
    b->key = NULL;
    if (b->depth == 0)
        b->tree->root = n;
    else if (b->last[b->depth])
        b->last[b->depth]->next = n;
    else
        b->stack[b->depth]->first = n;
    b->last[b->depth] = n;
    return n;
}

static void number(jnode *n, const char *s, size_t len)
{
    bool minus = len > 0 && s[0] == '-';
    int64_t v = 0;

    for (size_t i = minus; i < len; i++) {
        if (s[i] < '0' || s[i] > '9' || v > (INT64_MAX - 9) / 10) {
            n->type = J_REAL; /* a fraction, an exponent, or out of range */
            return;
        }
        v = v * 10 + (s[i] - '0');
    }
    n->num = minus ? -v : v;
}

static int string_piece(builder *b, const sbx_json_event *e)
{
    jnode *n;

    if ((e->flags & SBX_JSON_MORE) || b->piece.len) {
        text_add(&b->piece, e->text, e->len);
        if (e->flags & SBX_JSON_MORE)
            return SBX_OK;
    }
    n = add(b, J_STRING);
    if (b->piece.len) {
        n->str = take_text(b->tree, b->piece.p, b->piece.len);
        n->len = b->piece.len;
        b->piece.len = 0;
    } else {
        n->str = take_text(b->tree, e->text, e->len);
        n->len = e->len;
    }
    return SBX_OK;
}

static int on_event(void *ctx, const sbx_json_event *e)
{
    builder *b = ctx;
    jnode *n;

    if (++b->nodes > MAX_NODES)
        return SBX_E_TOO_LARGE;
    switch (e->type) {
    case SBX_JSON_KEY:
        if (e->flags & SBX_JSON_CUT) {
            snprintf(b->tree->error, sizeof b->tree->error,
                     "a key is longer than %d bytes", SBX_JSON_TOKEN);
            return SBX_E_TOO_LARGE;
        }
        b->key = take_text(b->tree, e->text, e->len);
        return SBX_OK;
    case SBX_JSON_STRING:
        return string_piece(b, e);
    case SBX_JSON_OBJECT:
    case SBX_JSON_ARRAY:
        n = add(b, e->type == SBX_JSON_OBJECT ? J_OBJECT : J_ARRAY);
        b->depth++;
        b->stack[b->depth] = n;
        b->last[b->depth] = NULL;
        return SBX_OK;
    case SBX_JSON_OBJECT_END:
    case SBX_JSON_ARRAY_END:
        b->depth--;
        return SBX_OK;
    case SBX_JSON_NUMBER:
        number(add(b, J_INT), e->text, e->len);
        return SBX_OK;
    case SBX_JSON_TRUE:
        add(b, J_BOOL)->num = 1;
        return SBX_OK;
    case SBX_JSON_FALSE:
        add(b, J_BOOL);
        return SBX_OK;
    case SBX_JSON_NULL:
        add(b, J_NULL);
        return SBX_OK;
    }
    return SBX_OK;
}

bool jtree_parse(jtree *t, const char *s, size_t len)
{
    sbx_json_reader reader;
    builder b = { .tree = t };
    size_t used = 0;
    int status;

    memset(t, 0, sizeof *t);
    sbx_json_init(&reader, on_event, &b);
    status = sbx_json_feed(&reader, s, len, &used);
    if (status == SBX_OK)
        status = sbx_json_end(&reader);
    text_free(&b.piece);
    if (status != SBX_OK && !t->error[0])
        snprintf(t->error, sizeof t->error, len == 0 ? "the body is empty, JSON expected"
                 : status == SBX_E_TOO_LARGE ? "too many values"
                 : used >= len ? "unexpected end of JSON" : "not valid JSON at byte %zu", used);
    return status == SBX_OK;
}

void jtree_free(jtree *t)
{
    block *b = t->blocks;

    while (b) {
        block *next = b->next;

        free(b);
        b = next;
    }
    t->blocks = NULL;
    t->root = NULL;
}

const jnode *jget(const jnode *object, const char *name, const char *other)
{
    const jnode *found = NULL;

    if (!object || object->type != J_OBJECT)
        return NULL;
    for (const jnode *n = object->first; n; n = n->next)
        if (!strcmp(n->key, name) || (other && !strcmp(n->key, other)))
            found = n; /* the last one counts, as in Go */
    return found && found->type != J_NULL ? found : NULL;
}

const char *jtext(const jnode *n)
{
    return n && n->type == J_STRING && strlen(n->str) == n->len ? n->str : NULL;
}
