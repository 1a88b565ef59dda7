/* json/bind - field tables: a row binds one JSON member to one struct member, in
   both directions. Used by operations (requests, replies, items, events) and by
   provider tables.

   Reading is an sbx_json_fn. The result struct is the first thing in a block that
   grows; texts follow behind it, each behind a note that says which member it is
   for. As the block may move, pointers are set at the end, by going through the
   notes: a later one wins. Each item of an array (EACH) is bound into the end of
   the block, handed to a hook, and its place is used again. With `fixed` memory
   for the struct, members that need the block stay empty; items still use it.
   A member of another kind than its row, an unknown key, and a key or number cut
   by the reader are skipped: replies grow, and that must not break old clients.
   Rows of one name stand next to each other, SEEN first; all are applied, so that
   an object can be noted and bound, or "code" be a number in one row and a word
   in the next. Of such rows at most one may be a STRING. */

enum sbxi_type {
    SBXI_T_STRING,          /* const char * */
    SBXI_T_TEXT,            /* char[size], cut to fit; read only */
    SBXI_T_INT, SBXI_T_UINT, SBXI_T_INT64, /* int32_t, uint32_t, int64_t; a string
                               holding an integer is read too; clamped */
    SBXI_T_INT64S,          /* int64_t, written as a string */
    SBXI_T_MILLI,           /* int64_t, a decimal number times 1000; one with an
                               exponent is left out: it is tiny or absurd */
    SBXI_T_BOOL,
    SBXI_T_CHOICE,          /* sbx_choice: true, false, null */
    SBXI_T_ENUM,            /* an enum; sub: const char *const names[], NULL at the
                               end; names[i] is i + 1, anything else 0 */
    SBXI_T_TIME,            /* int64_t Unix ms, RFC 3339; read only */
    SBXI_T_PAIRS, SBXI_T_STRINGS,
    SBXI_T_OBJECT,          /* members of the same struct, offset added; sub: shape */
    SBXI_T_OBJPTR,          /* pointer to a struct, sub: its shape; write only */
    SBXI_T_LIST,            /* sbxi_items, sub: shape of one; write only */
    SBXI_T_EACH,            /* array of objects to the item hook, sub: shape of one */
    SBXI_T_LITERAL,         /* sub: text of a constant string; write only */
    SBXI_T_RAWJSON,         /* const char *, copied as it is; write only */
    SBXI_T_BYTES,           /* read: text to the piece hook with id `size`;
                               write: sbx_bytes as base64 */
    SBXI_T_SEEN             /* bool: the key was there and not null; read only */
};

#define SBXI_F_ALWAYS 1     /* write it also when it is empty or zero */
#define SBXI_F_NULL 2       /* write null when it is empty or zero */

typedef struct sbxi_field {
    const char *name;
    const void *sub;
    uint16_t offset, size;
    uint8_t type, flags;
} sbxi_field;

typedef struct sbxi_shape {
    const sbxi_field *fields;
    uint16_t count, size;   /* of rows; of the struct */
} sbxi_shape;

#define SBXI_SHAPE(fields_array, struct_type) \
    { fields_array, (uint16_t)SBXI_LEN(fields_array), (uint16_t)sizeof(struct_type) }

/* Also what sbx_pairs and sbx_strings look like, so one code serves all three. */
typedef struct sbxi_items { const void *items; size_t count; } sbxi_items;

static sbxi_items sbxi_items_of(const char *member)
{
    sbxi_items list;
    memcpy(&list, member, sizeof list);
    return list;
}

#define SBXI_LEVELS 8       /* of bound objects inside each other */
#define SBXI_EACH SIZE_MAX  /* base of a level that is an array of items */
#define SBXI_ALIGN sizeof(union { int64_t i; void *p; })

/* Stands before the texts of a member, unaligned. */
typedef struct sbxi_note {
    size_t texts;           /* how many follow, each with its NUL */
    uint16_t member;        /* offset in the outermost struct */
    uint8_t type;           /* of the row */
} sbxi_note;

/* What is being read: its members, a list of texts, or a map. The value is also
   how many texts an entry has. */
enum { SBXI_BIND_OBJECT, SBXI_BIND_TEXTS, SBXI_BIND_MAP };

typedef struct sbxi_level {
    const sbxi_shape *shape;
    size_t base;            /* offset of the struct, or SBXI_EACH */
    const sbxi_field *hint; /* row to look at first */
} sbxi_level;

typedef struct sbxi_bind {
    int (*item)(void *ctx, void *item);
    int (*piece)(void *ctx, unsigned id, const char *text, size_t len, bool more);
    void *ctx;
    sbxi_buf *block;        /* NULL: only fixed */
    char *fixed;            /* NULL: the result is in the block */
    sbxi_level *top, level[SBXI_LEVELS];
    const sbxi_field *field; /* first row of the key whose value comes, or NULL */
    size_t total;           /* bytes of the string before this piece */
    size_t note;            /* offset of the note of the map or list */
    size_t mark;            /* end of its last whole entry */
    size_t need;            /* bytes of the arrays to be made at the end */
    size_t root_need;       /* the same of the root, while an item is read */
    size_t item_start, item_base;
    unsigned skip;          /* depth + 1 of a container being skipped, 0: none */
    uint8_t mode;
    bool started, more, drop, in_item;
    char text[36];          /* strings that become numbers, times and enums */
} sbxi_bind;

/* ---- reading --------------------------------------------------------------- */

static void sbxi_bind_start(sbxi_bind *b, const sbxi_shape *shape, sbxi_buf *block, size_t base)
{
    memset(b, 0, sizeof *b);
    b->block = block;
    b->top = b->level;
    b->top->shape = shape;
    b->top->base = base;
    b->top->hint = shape->fields;
}

static void sbxi_bind_init(sbxi_bind *b, const sbxi_shape *shape, sbxi_buf *block,
    void *fixed)
{
    sbxi_bind_start(b, shape, block, 0);
    b->fixed = (char *)fixed;
    if (!fixed) sbxi_buf_room(block, shape->size, SBXI_ALIGN, &b->top->base);
}

/* The root is an array of objects; each goes to the item hook. */
static SBXI_MAYBE void sbxi_bind_each(sbxi_bind *b, const sbxi_shape *shape, sbxi_buf *block)
{
    sbxi_bind_start(b, shape, block, SBXI_EACH);
}

static bool sbxi_bind_in_block(const sbxi_bind *b) { return !b->fixed || b->in_item; }

/* The member of a row in the object being read. */
static char *sbxi_bind_member(const sbxi_bind *b, const sbxi_field *f)
{
    return (sbxi_bind_in_block(b) ? b->block->data : b->fixed)
        + b->top->base + f->offset;
}

/* The next row with the same name, or NULL. */
static const sbxi_field *sbxi_bind_next(const sbxi_bind *b, const sbxi_field *f)
{
    const sbxi_shape *s = b->top->shape;
    const char *name = f->name;
    return ++f < s->fields + s->count && strcmp(f->name, name) == 0 ? f : NULL;
}

/* Appends to the block; U+0000 becomes U+FFFD, so that C strings stay honest. */
static void sbxi_bind_text(sbxi_bind *b, const char *text, size_t len, bool last)
{
    size_t i, start = 0;
    for (i = 0; i < len; i++) {
        if (text[i]) continue;
        sbxi_buf_add(b->block, text + start, i - start);
        sbxi_buf_add(b->block, "\xEF\xBF\xBD", 3);
        start = i + 1;
    }
    sbxi_buf_add(b->block, text + start, len - start);
    if (last) sbxi_buf_add(b->block, "", 1);
}

/* Puts a piece behind the `before` bytes that came earlier, as far as it fits. */
static void sbxi_bind_gather(char *out, size_t cap, size_t before, const char *text,
    size_t len)
{
    if (before < cap) memcpy(out + before, text, SBXI_MIN(len, cap - before));
}

/* A decimal number for a row. Plain integers only, but for MILLI; clamped, and
   left out beyond 64 bits. */
static void sbxi_bind_number(const sbxi_field *f, char *member, sbxi_span s)
{
    char digits[SBXI_DECIMAL_MAX + 3];
    bool minus = s.len && *s.ptr == '-', milli = f->type == SBXI_T_MILLI;
    unsigned taken = 0; /* digits after the point, and the point */
    sbxi_span d = { digits, 0 };
    uint64_t v;
    size_t i;
    for (i = minus; i < s.len; i++) {
        if (s.ptr[i] == '.' && milli && !taken) {
            taken = 1;
            continue;
        }
        if (!sbxi_is_digit(s.ptr[i]) || d.len == SBXI_DECIMAL_MAX) return;
        if (taken && taken++ > 3) continue;
        digits[d.len++] = s.ptr[i];
    }
    if (!taken) taken = 1;
    for (; milli && taken < 4; taken++) digits[d.len++] = '0';
    if (!sbxi_parse_u64(d, UINT64_MAX, &v)) return;
    if (f->type == SBXI_T_INT || f->type == SBXI_T_UINT) {
        uint32_t max = minus ? 0 : UINT32_MAX, small;
        if (f->type == SBXI_T_INT) max = (uint32_t)INT32_MAX + minus;
        small = v > max ? max : (uint32_t)v;
        if (minus) small = 0 - small;
        memcpy(member, &small, sizeof small);
    } else {
        if (v >> 63) v = (uint64_t)INT64_MAX + minus;
        if (minus) v = 0 - v;
        memcpy(member, &v, sizeof v);
    }
}

/* A whole text for a row that is neither text nor number. */
static void sbxi_bind_word(const sbxi_field *f, char *member, sbxi_span s)
{
    int64_t ms;
    if (f->type == SBXI_T_ENUM) {
        const char *const *names = (const char *const *)f->sub;
        unsigned i = 0;
        sbx_choice value; /* stands for any small enum: all have its size */
        while (names[i] && !sbxi_span_is(s, names[i])) i++;
        value = (sbx_choice)(names[i] ? i + 1 : 0);
        memcpy(member, &value, sizeof value);
    } else if (f->type == SBXI_T_TIME && sbxi_parse_time(s, &ms)) {
        memcpy(member, &ms, sizeof ms);
    }
}

/* Begins the texts of a member. */
static void sbxi_bind_note(sbxi_bind *b, const sbxi_field *f)
{
    sbxi_note n;
    size_t outermost = b->in_item ? b->item_base : b->level[0].base;
    n.texts = f->type == SBXI_T_STRING;
    n.member = (uint16_t)(b->top->base - outermost + f->offset);
    n.type = f->type;
    b->note = b->block->len;
    sbxi_buf_add(b->block, &n, sizeof n);
    b->mark = b->block->len;
    b->need += 2 * SBXI_ALIGN;
}

/* A string, or a piece of it, for one row. */
static int sbxi_bind_string(sbxi_bind *b, const sbxi_field *f, const sbx_json_event *ev,
    bool first)
{
    char *member = sbxi_bind_member(b, f);
    bool last = !b->more;
    sbxi_span s;
    s.ptr = b->text;
    s.len = b->total + ev->len;
    if (f->type == SBXI_T_BYTES) {
        if (b->piece) return b->piece(b->ctx, f->size, ev->text, ev->len, !last);
    } else if (f->type == SBXI_T_TEXT) {
        sbxi_bind_gather(member, f->size, b->total, ev->text, ev->len);
        if (last) sbxi_put_text(member, f->size, member, SBXI_MIN(s.len, f->size));
    } else if (f->type == SBXI_T_STRING) {
        if (!sbxi_bind_in_block(b)) return SBX_OK;
        if (first) sbxi_bind_note(b, f);
        sbxi_bind_text(b, ev->text, ev->len, last);
    } else {
        sbxi_bind_gather(b->text, sizeof b->text, b->total, ev->text, ev->len);
        if (!last || s.len > sizeof b->text) return SBX_OK;
        if (f->type >= SBXI_T_INT && f->type <= SBXI_T_MILLI) sbxi_bind_number(f, member, s);
        else sbxi_bind_word(f, member, s);
    }
    return SBX_OK;
}

/* A value that is no string, for one row. */
static void sbxi_bind_plain(sbxi_bind *b, const sbxi_field *f, const sbx_json_event *ev)
{
    char *member = sbxi_bind_member(b, f);
    if (ev->type == SBX_JSON_NUMBER) {
        sbxi_span s;
        s.ptr = ev->text;
        s.len = ev->len;
        if (f->type >= SBXI_T_INT && f->type <= SBXI_T_MILLI && !(ev->flags & SBX_JSON_CUT))
            sbxi_bind_number(f, member, s);
    } else if (f->type == SBXI_T_CHOICE) {
        sbx_choice c = ev->type == SBX_JSON_TRUE ? SBX_YES :
            ev->type == SBX_JSON_FALSE ? SBX_NO : SBX_DEFAULT;
        memcpy(member, &c, sizeof c);
    } else if (f->type == SBXI_T_BOOL && ev->type != SBX_JSON_NULL) {
        *(bool *)member = ev->type == SBX_JSON_TRUE;
    }
}

/* A value inside a map or list of texts. */
static void sbxi_bind_entry(sbxi_bind *b, const sbx_json_event *ev)
{
    const char *text = ev->text;
    size_t len = ev->len, texts;
    if (!text) { /* true, false, null */
        text = ev->type == SBX_JSON_TRUE ? "true" : ev->type == SBX_JSON_FALSE ? "false" : "";
        len = strlen(text);
    }
    if (b->drop || (ev->flags & SBX_JSON_CUT)) {
        b->block->len = b->mark;
        return;
    }
    sbxi_bind_text(b, text, len, !b->more);
    if (b->more || b->block->status) return;
    memcpy(&texts, b->block->data + b->note, sizeof texts); /* the note's first member */
    texts += b->mode;
    memcpy(b->block->data + b->note, &texts, sizeof texts);
    b->need += b->mode * sizeof text;
    b->mark = b->block->len;
}

static int sbxi_bind_value(sbxi_bind *b, const sbx_json_event *ev)
{
    const sbxi_field *f = b->field;
    bool first = !b->more;
    int rc = SBX_OK;
    if (!b->started) return SBX_E_PROTOCOL;
    b->more = (ev->flags & SBX_JSON_MORE) != 0;
    if (b->mode) {
        sbxi_bind_entry(b, ev);
        return SBX_OK;
    }
    if (first) b->total = 0;
    for (; f && rc == SBX_OK; f = sbxi_bind_next(b, f)) {
        if (ev->type == SBX_JSON_STRING) rc = sbxi_bind_string(b, f, ev, first);
        else sbxi_bind_plain(b, f, ev);
    }
    b->total += ev->len;
    return rc;
}

static void sbxi_bind_key(sbxi_bind *b, const sbx_json_event *ev)
{
    const sbxi_field *first = b->top->shape->fields, *end = first + b->top->shape->count;
    const sbxi_field *f = b->top->hint;
    uint16_t left;
    b->drop = (ev->flags & SBX_JSON_CUT) != 0;
    b->field = NULL;
    if (b->drop) return;
    if (b->mode) {
        sbxi_bind_text(b, ev->text, ev->len, true);
        return;
    }
    for (left = b->top->shape->count; left > 0; left--, f++) {
        if (f == end) f = first;
        if (strncmp(f->name, ev->text, ev->len) == 0 && !f->name[ev->len]) {
            b->field = f;
            while (sbxi_bind_next(b, f)) f++;
            b->top->hint = f + 1;
            return;
        }
    }
}

static void sbxi_bind_push(sbxi_bind *b, const void *shape, size_t base)
{
    sbxi_level *top = ++b->top;
    top->shape = (const sbxi_shape *)shape;
    top->base = base;
    top->hint = top->shape->fields;
    b->field = NULL;
    b->skip = 0;
}

/* A member that is a container, for one row. */
static void sbxi_bind_descend(sbxi_bind *b, const sbxi_field *f, bool object)
{
    bool room = b->top < b->level + SBXI_LEVELS - 1;
    if (f->type == SBXI_T_OBJECT && object && room) {
        sbxi_bind_push(b, f->sub, b->top->base + f->offset);
    } else if (f->type == SBXI_T_EACH && !object && room && b->block && !b->in_item) {
        sbxi_bind_push(b, f->sub, SBXI_EACH);
    } else if (f->type == (object ? SBXI_T_PAIRS : SBXI_T_STRINGS) && sbxi_bind_in_block(b)) {
        sbxi_bind_note(b, f);
        b->mode = object ? SBXI_BIND_MAP : SBXI_BIND_TEXTS;
        b->drop = false;
        b->skip = 0;
    }
}

static int sbxi_bind_open(sbxi_bind *b, bool object, unsigned depth)
{
    const sbxi_field *f, *next;
    if (!b->started) {
        b->started = true;
        return object == (b->top->base != SBXI_EACH) ? SBX_OK : SBX_E_PROTOCOL;
    }
    b->skip = depth + 1;
    if (b->mode) {
        b->block->len = b->mark;
    } else if (b->top->base != SBXI_EACH) {
        for (f = b->field; f && b->skip; f = next) {
            next = sbxi_bind_next(b, f);
            sbxi_bind_descend(b, f, object);
        }
    } else if (object && b->top < b->level + SBXI_LEVELS - 1) {
        const sbxi_shape *shape = b->top->shape;
        b->item_start = b->block->len;
        b->in_item = true;
        b->root_need = b->need;
        b->need = 0;
        if (sbxi_buf_room(b->block, shape->size, SBXI_ALIGN, &b->item_base) == SBX_OK)
            sbxi_bind_push(b, shape, b->item_base);
    }
    return SBX_OK;
}

/* Sets the pointers of the struct at base, whose notes reach to the block's end. */
static int sbxi_bind_fix(sbxi_bind *b, const sbxi_shape *shape, size_t base)
{
    sbxi_buf *block = b->block;
    size_t at = base + shape->size, end = block->len, array = 0, i;
    if (sbxi_buf_reserve(block, b->need) != SBX_OK) return block->status;
    /* From here on the block does not move. */
    while (at < end) {
        sbxi_note n;
        sbxi_items list;
        const char *text = block->data + at + sizeof n;
        memcpy(&n, block->data + at, sizeof n);
        list.items = text;
        list.count = n.type == SBXI_T_PAIRS ? n.texts / 2 : n.texts;
        if (n.type != SBXI_T_STRING) {
            sbxi_buf_room(block, n.texts * sizeof text, SBXI_ALIGN, &array);
            list.items = block->data + array;
        }
        memcpy(block->data + base + n.member, &list,
            n.type == SBXI_T_STRING ? sizeof text : sizeof list);
        for (i = 0; i < n.texts; i++, text += strlen(text) + 1)
            if (n.type != SBXI_T_STRING)
                memcpy(block->data + array + i * sizeof text, &text, sizeof text);
        at = (size_t)(text - block->data);
    }
    return SBX_OK;
}

static int sbxi_bind_close(sbxi_bind *b)
{
    const sbxi_shape *shape = b->top->shape;
    int rc;
    b->field = NULL;
    if (b->mode) {
        b->mode = SBXI_BIND_OBJECT;
        return SBX_OK;
    }
    if (b->top == b->level) return SBX_OK;
    b->top--;
    if (b->top->base != SBXI_EACH) return SBX_OK;
    rc = sbxi_bind_fix(b, shape, b->item_base);
    if (rc == SBX_OK && b->item) rc = b->item(b->ctx, b->block->data + b->item_base);
    b->block->len = b->item_start;
    b->in_item = false;
    b->need = b->root_need;
    return rc;
}

/* The sbx_json_fn of a bind. */
static int sbxi_bind_event(void *bind, const sbx_json_event *ev)
{
    sbxi_bind *b = (sbxi_bind *)bind;
    bool object = ev->type == SBX_JSON_OBJECT;
    bool end = ev->type == SBX_JSON_OBJECT_END || ev->type == SBX_JSON_ARRAY_END;
    int rc = SBX_OK;
    if (b->skip) {
        if (end && ev->depth + 1 == b->skip) b->skip = 0;
        return SBX_OK;
    }
    if (b->block && b->block->status) return b->block->status;
    if (end) {
        rc = sbxi_bind_close(b);
    } else if (ev->type == SBX_JSON_KEY) {
        sbxi_bind_key(b, ev);
    } else {
        while (b->field && b->field->type == SBXI_T_SEEN) {
            if (ev->type != SBX_JSON_NULL) *(bool *)sbxi_bind_member(b, b->field) = true;
            b->field = sbxi_bind_next(b, b->field);
        }
        if (object || ev->type == SBX_JSON_ARRAY) rc = sbxi_bind_open(b, object, ev->depth);
        else rc = sbxi_bind_value(b, ev);
    }
    return b->block && b->block->status ? b->block->status : rc;
}

/* After the last event: SBX_OK, SBX_E_NOMEM or SBX_E_TOO_LARGE. */
static SBXI_MAYBE int sbxi_bind_finish(sbxi_bind *b)
{
    if (b->block && b->block->status) return b->block->status;
    if (b->fixed || b->level[0].base == SBXI_EACH) return SBX_OK;
    return sbxi_bind_fix(b, b->level[0].shape, b->level[0].base);
}

/* The finished struct; of a root array NULL. */
static SBXI_MAYBE void *sbxi_bind_result(sbxi_bind *b)
{
    if (b->level[0].base == SBXI_EACH) return NULL;
    return b->fixed ? b->fixed : b->block->data + b->level[0].base;
}

/* ---- writing --------------------------------------------------------------- */

typedef struct sbxi_put_level {
    const sbxi_shape *shape;
    const sbxi_field *f, *end;
    const char *name, *base;
    size_t left;            /* items of a list, this one included; 0: no list */
} sbxi_put_level;

/* Objects that are being written. One is opened when its first member is, so an
   empty one leaves no trace: those below `opened` are begun. */
typedef struct sbxi_put {
    sbx_json_writer *w;
    sbxi_put_level *top, *opened, level[SBXI_LEVELS + 1];
} sbxi_put;

static void sbxi_put_key(sbxi_put *s, const char *name)
{
    for (; s->opened <= s->top; s->opened++) {
        if (s->opened->name) sbx_json_key(s->w, s->opened->name);
        sbx_json_begin_object(s->w);
    }
    if (name) sbx_json_key(s->w, name);
}

static void sbxi_put_rows(sbxi_put_level *l)
{
    l->f = l->shape->fields;
    l->end = l->f + l->shape->count;
}

static void sbxi_put_push(sbxi_put *s, const sbxi_field *f, const void *base, size_t left)
{
    sbxi_put_level *l = s->top + 1;
    if (l == s->level + SBXI_LEVELS + 1) {
        s->w->status = SBX_E_ARG;
        return;
    }
    l->shape = (const sbxi_shape *)f->sub;
    l->name = left ? NULL : f->name;
    l->base = (const char *)base;
    l->left = left;
    sbxi_put_rows(l);
    s->top = l;
}

/* An int64 times 1000 as a decimal number: the point goes before 3 digits. */
static void sbxi_put_milli(sbx_json_writer *w, int64_t value)
{
    char out[SBXI_DECIMAL_MAX + 6] = "-000";
    char *digits = out + 4;
    size_t n = sbxi_print_u64(digits, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    for (; n < 4; n++) digits--;
    memmove(digits + n - 2, digits + n - 3, 3);
    digits[n - 3] = '.';
    for (n++; digits[n - 1] == '0'; ) n--;
    if (digits[n - 1] == '.') n--;
    if (value < 0) *--digits = '-', n++;
    sbx_json_raw(w, digits, n);
}

/* The number of a row that holds one. */
static int64_t sbxi_put_number(const sbxi_field *f, const char *member)
{
    int64_t v;
    sbx_choice c;
    switch (f->type) {
    case SBXI_T_INT: return *(const int32_t *)(const void *)member;
    case SBXI_T_UINT: return *(const uint32_t *)(const void *)member;
    case SBXI_T_BOOL: return *(const bool *)member;
    case SBXI_T_ENUM:
    case SBXI_T_CHOICE: memcpy(&c, member, sizeof c); return (int64_t)c;
    default: memcpy(&v, member, sizeof v); return v;
    }
}

static void sbxi_put_list(sbx_json_writer *w, const sbxi_field *f, const char *member)
{
    sbxi_items list = sbxi_items_of(member);
    const char *const *text = (const char *const *)list.items;
    bool map = f->type == SBXI_T_PAIRS;
    size_t i;
    if (map) sbx_json_begin_object(w);
    else sbx_json_begin_array(w);
    for (i = 0; text && i < list.count; i++) {
        if (map) sbx_json_key(w, *text++);
        sbx_json_text(w, *text++);
    }
    if (map) sbx_json_end_object(w);
    else sbx_json_end_array(w);
}

/* The word of an enum's value, NULL if it has none. */
static const char *sbxi_put_word(const sbxi_field *f, int64_t value)
{
    const char *const *names = (const char *const *)f->sub;
    while (*names && value > 1) {
        names++;
        value--;
    }
    return value == 1 ? *names : NULL;
}

/* A value that is not empty, or whose empty form is wanted. */
static void sbxi_put_value(sbx_json_writer *w, const sbxi_field *f, const char *member,
    const void *ptr, int64_t number)
{
    char digits[SBXI_DECIMAL_MAX + 1];
    switch (f->type) {
    case SBXI_T_INT64S:
        digits[0] = '-';
        sbx_json_string(w, digits + (number >= 0), 1 + sbxi_print_u64(digits + 1,
            number < 0 ? 0 - (uint64_t)number : (uint64_t)number) - (number >= 0));
        break;
    case SBXI_T_MILLI: sbxi_put_milli(w, number); break;
    case SBXI_T_BOOL: sbx_json_bool(w, number != 0); break;
    case SBXI_T_CHOICE: sbx_json_bool(w, number == SBX_YES); break;
    case SBXI_T_PAIRS:
    case SBXI_T_STRINGS: sbxi_put_list(w, f, member); break;
    case SBXI_T_BYTES: sbx_json_base64(w, ptr, sbxi_items_of(member).count); break;
    case SBXI_T_RAWJSON: sbx_json_raw(w, (const char *)ptr, strlen((const char *)ptr)); break;
    case SBXI_T_INT:
    case SBXI_T_UINT:
    case SBXI_T_INT64: sbx_json_int(w, number); break;
    default: sbx_json_text(w, ptr ? (const char *)ptr : ""); break;
    }
}

static void sbxi_put_leaf(sbxi_put *s, const sbxi_field *f, const char *member)
{
    const void *ptr = NULL;
    int64_t number = 0;
    bool empty, no_zero = f->type == SBXI_T_CHOICE || f->type == SBXI_T_RAWJSON
        || f->type == SBXI_T_ENUM;
    if (f->type >= SBXI_T_INT && f->type <= SBXI_T_ENUM) {
        number = sbxi_put_number(f, member);
        if (f->type == SBXI_T_ENUM) ptr = sbxi_put_word(f, number);
        empty = f->type == SBXI_T_ENUM ? !ptr : number == 0;
    } else if (f->type == SBXI_T_LITERAL) {
        ptr = f->sub;
        empty = false;
    } else if (f->type == SBXI_T_TEXT || f->type == SBXI_T_TIME || f->type == SBXI_T_EACH
        || f->type == SBXI_T_SEEN) {
        return;
    } else {
        memcpy(&ptr, member, sizeof ptr);
        empty = !ptr;
    }
    if (empty && !f->flags) return;
    sbxi_put_key(s, f->name);
    if (empty && (no_zero || (f->flags & SBXI_F_NULL))) sbx_json_null(s->w);
    else sbxi_put_value(s->w, f, member, ptr, number);
}

/* An object, or a list of them. */
static void sbxi_put_enter(sbxi_put *s, const sbxi_field *f, const char *member)
{
    sbxi_items list;
    const void *ptr = member;
    if (f->type != SBXI_T_OBJECT) memcpy(&ptr, member, sizeof ptr);
    if (!ptr && !f->flags) return;
    if (!ptr && (f->type == SBXI_T_OBJPTR || (f->flags & SBXI_F_NULL))) {
        sbxi_put_key(s, f->name);
        sbx_json_null(s->w);
        return;
    }
    if (f->type != SBXI_T_LIST) {
        sbxi_put_push(s, f, ptr, 0);
        if (f->type == SBXI_T_OBJPTR || (f->flags & SBXI_F_ALWAYS)) sbxi_put_key(s, NULL);
        return;
    }
    list = sbxi_items_of(member);
    sbxi_put_key(s, f->name);
    sbx_json_begin_array(s->w);
    if (ptr && list.count) {
        sbxi_put_push(s, f, ptr, list.count);
        sbxi_put_key(s, NULL);
    } else {
        sbx_json_end_array(s->w);
    }
}

/* All rows of the innermost object are done. */
static void sbxi_put_leave(sbxi_put *s)
{
    sbxi_put_level *l = s->top;
    if (s->opened > l) {
        sbx_json_end_object(s->w);
        s->opened = l;
        if (l->left > 1) {
            l->left--;
            l->base += l->shape->size;
            sbxi_put_rows(l);
            sbxi_put_key(s, NULL);
            return;
        }
        if (l->left) sbx_json_end_array(s->w);
    }
    s->top--;
}

/* Writes the struct at base as an object, members in the order of the rows. */
static SBXI_MAYBE void sbxi_bind_write(sbx_json_writer *w, const sbxi_shape *shape,
    const void *base)
{
    sbxi_put s;
    sbxi_field root = { NULL, NULL, 0, 0, SBXI_T_OBJECT, 0 };
    root.sub = shape;
    s.w = w;
    s.opened = s.level + 1; /* the level below the root stands for the outside */
    s.top = s.level;
    sbxi_put_push(&s, &root, base, 0);
    sbxi_put_key(&s, NULL);
    while (s.top > s.level) {
        const sbxi_field *f = s.top->f;
        if (f == s.top->end) {
            sbxi_put_leave(&s);
            continue;
        }
        s.top->f++;
        if (f->type >= SBXI_T_OBJECT && f->type <= SBXI_T_LIST)
            sbxi_put_enter(&s, f, s.top->base + f->offset);
        else
            sbxi_put_leaf(&s, f, s.top->base + f->offset);
    }
}
