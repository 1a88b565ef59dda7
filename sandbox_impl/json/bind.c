/* json/bind - field tables: a row binds one JSON member to one struct member, in
   both directions. Used by operations (requests, replies, items, events) and by
   provider tables.

   Reading is an sbx_json_fn. The result struct is the first thing in a block that
   grows; texts follow behind it, each behind a note that says which member it is
   for, arrays of pointers behind the texts of a list. As the block may move,
   pointers are set at the end, by going through the notes: a later one wins. Each
   item of an array (EACH) is bound into the end of the block, handed to a hook,
   and its place is used again. Without a block the struct is the caller's, and
   members that would need the block stay empty.
   A member of another kind than its row, an unknown key, and a key or number cut
   by the reader are skipped: replies grow, and that must not break old clients.
   Rows of one name stand next to each other; all are applied, so that an object
   can be noted and bound, or "code" be a number in one row and a word in the next.
   At most one of them is a STRING, a BYTES or a container. */

enum sbxi_type {
    SBXI_T_STRING,          /* const char * */
    SBXI_T_STRINGS, SBXI_T_PAIRS, /* the value is how many texts an entry has */
    SBXI_T_EACH,            /* array of objects to the item hook, sub: shape of one */
    /* up to here reading needs the block */
    SBXI_T_OBJECT,          /* members of the same struct, offset added; sub: shape */
    SBXI_T_SEEN,            /* bool: the key was there and not null; read only */
    SBXI_T_BOOL,            /* read only */
    SBXI_T_CHOICE,          /* sbx_choice: true, false, null */
    SBXI_T_BYTES,           /* base64: pieces of it to the hook, arg: id; written from
                               an sbx_bytes */
    SBXI_T_LITERAL,         /* sub: text of a constant string; write only */
    SBXI_T_RAW,             /* const char *: JSON as it is; write only */
    SBXI_T_PORTS,           /* sbx_ports; write only */
    SBXI_T_OBJECTS,         /* sbx_pairs as a list of objects, sub: const char *const
                               names[2] of value and key; write only */
    SBXI_T_MEMBERS,         /* sub: const sbxi_maker *, which writes any number of members
                               of the object from the struct; write only */
    SBXI_T_MILLI,           /* int32_t: thousandths of a number; read only */
    SBXI_T_INT, SBXI_T_UINT, SBXI_T_INT64, /* int32_t, uint32_t, int64_t (read only);
                               a string holding an integer is read too; clamped */
    SBXI_T_ENUM,            /* an enum; sub: const char *const names[], NULL at the
                               end; names[i], or the number itself, is i + 1, anything
                               else 0; read only */
    /* up to here it may come as a number */
    SBXI_T_TEXT,            /* char[arg], cut to fit; read only */
    SBXI_T_TIME             /* int64_t Unix ms, RFC 3339; read only */
};

typedef struct sbxi_maker {
    void (*members)(sbx_json_writer *w, const void *base);
} sbxi_maker;

#define SBXI_ALWAYS 1       /* arg: write it also when it is empty or zero */
#define SBXI_OR_NULL 2      /* arg: write null then */

typedef struct sbxi_field {
    const char *name;
    const void *sub;
    uint16_t offset;
    uint8_t arg, type;
} sbxi_field;

typedef struct sbxi_shape {
    const sbxi_field *fields;
    uint16_t count, size;   /* of rows; of the struct */
} sbxi_shape;

#define SBXI_SHAPE(fields_array, struct_type) \
    { fields_array, (uint16_t)SBXI_LEN(fields_array), (uint16_t)sizeof(struct_type) }

/* What sbx_pairs and sbx_strings look like, so one code serves both. */
typedef struct sbxi_items { const void *items; size_t count; } sbxi_items;

#define SBXI_LEVELS 6       /* of bound objects inside each other */
#define SBXI_EACH SIZE_MAX  /* base of a level that is an array of items */

/* Stands before the texts of a member, aligned. Offsets are in the block. */
typedef struct sbxi_note {
    size_t member, array;   /* array: the room for pointers; of one text the member */
    size_t texts;           /* how many follow, each with its NUL */
} sbxi_note;

typedef struct sbxi_level {
    const sbxi_shape *shape;
    size_t base;            /* offset of the struct, or SBXI_EACH */
    const sbxi_field *hint; /* row to look at first */
} sbxi_level;

typedef struct sbxi_bind {
    int (*item)(void *ctx, void *item); /* set where the table has EACH */
    int (*piece)(void *ctx, unsigned id, const char *text, size_t len, bool more); /* BYTES */
    void *ctx;
    sbxi_buf *block;        /* NULL: the struct is fixed */
    char *fixed;
    sbxi_level *top, level[SBXI_LEVELS];
    const sbxi_field *field; /* first row of the key whose value comes, or NULL */
    size_t total;           /* bytes of the string before this piece */
    size_t note;            /* offset of the note of the map or list */
    size_t mark;            /* end of its last whole entry */
    size_t count;           /* of its entries */
    unsigned skip;          /* depth + 1 of a container being skipped, 0: none */
    uint8_t list;           /* inside a map or list: its SBXI_T_, else 0 */
    bool drop;              /* the key of this entry was cut */
    char text[36];          /* strings that become numbers, times and enums */
} sbxi_bind;

/* ---- reading --------------------------------------------------------------- */

/* The root is an array of objects; each goes to the item hook. */
static SBXI_MAYBE void sbxi_bind_each(sbxi_bind *b, const sbxi_shape *shape, sbxi_buf *block)
{
    memset(b, 0, sizeof *b);
    b->block = block;
    b->top = b->level;
    b->top->shape = shape;
    b->top->base = SBXI_EACH;
    b->top->hint = shape->fields;
}

/* The root is one object, bound into the block, or without one into `fixed`. */
static void sbxi_bind_init(sbxi_bind *b, const sbxi_shape *shape, sbxi_buf *block, void *fixed)
{
    sbxi_bind_each(b, shape, block);
    b->fixed = (char *)fixed;
    b->top->base = 0;
    if (block) sbxi_buf_room(block, shape->size, &b->top->base);
}

/* The next row with the same name, or NULL. */
static const sbxi_field *sbxi_bind_next(const sbxi_bind *b, const sbxi_field *f)
{
    const sbxi_shape *s = b->top->shape;
    const char *name = f->name;
    return ++f < s->fields + s->count && strcmp(f->name, name) == 0 ? f : NULL;
}

/* Appends a text to the block; U+0000 becomes U+FFFD, so that C strings stay
   honest. Words of JSON are texts in lists and maps. */
static void sbxi_bind_text(sbxi_buf *block, const sbx_json_event *ev)
{
    const char *text = ev->text, *nul;
    size_t len = ev->len;
    if (!text) {
        text = ev->type == SBX_JSON_TRUE ? "true" : ev->type == SBX_JSON_FALSE ? "false" : "";
        len = strlen(text);
    }
    while ((nul = (const char *)memchr(text, 0, len)) != NULL) {
        sbxi_buf_add(block, text, (size_t)(nul - text));
        sbxi_buf_text(block, "\xEF\xBF\xBD");
        len -= (size_t)(++nul - text);
        text = nul;
    }
    sbxi_buf_add(block, text, len);
    if (!(ev->flags & SBX_JSON_MORE)) sbxi_buf_add(block, "", 1);
}

static sbxi_note *sbxi_bind_noted(const sbxi_bind *b)
{
    return (sbxi_note *)(void *)(b->block->data + b->note);
}

/* Begins the texts of a member. */
static void sbxi_bind_note(sbxi_bind *b, const sbxi_field *f)
{
    sbxi_note *n;
    if (sbxi_buf_room(b->block, sizeof *n, &b->note) != SBX_OK) return;
    n = sbxi_bind_noted(b);
    n->member = n->array = b->top->base + f->offset;
    n->texts = 1;
    b->mark = b->block->len;
    b->count = 0;
    b->list = f->type;
    b->skip = 0;
}

/* A number that is not negative in thousandths, clamped; with an exponent left out. */
static void sbxi_bind_milli(void *member, sbxi_span s)
{
    uint32_t v = 0;
    int digits = -1; /* behind the point */
    for (; s.len; s.len--, s.ptr++) {
        if (*s.ptr == '.') digits = 0;
        else if (!sbxi_is_digit(*s.ptr)) return;
        else if (v >= INT32_MAX / 10000) v = digits < 0 ? INT32_MAX / 1000 : v;
        else if (digits < 3) {
            v = v * 10 + (uint32_t)(*s.ptr - '0');
            digits += digits >= 0;
        }
    }
    for (digits = SBXI_MAX(digits, 0); digits < 3; digits++) v *= 10;
    *(uint32_t *)member = v;
}

/* A decimal integer for a row: clamped, and left out beyond 64 bits. */
static void sbxi_bind_number(unsigned type, void *member, sbxi_span s)
{
    bool minus = s.len && *s.ptr == '-';
    uint64_t v;
    if (type == SBXI_T_MILLI) {
        sbxi_bind_milli(member, s);
        return;
    }
    s.ptr += minus;
    s.len -= minus;
    if (!sbxi_parse_u64(s, UINT64_MAX, &v)) return;
    if (type == SBXI_T_INT64) {
        if (v >> 63) v = (uint64_t)INT64_MAX + minus;
        *(uint64_t *)member = minus ? 0 - v : v;
    } else {
        uint32_t max = type == SBXI_T_INT ? (uint32_t)INT32_MAX + minus : (uint32_t)minus - 1;
        uint32_t small = v > max ? max : (uint32_t)v;
        *(uint32_t *)member = minus ? 0 - small : small;
    }
}

/* The place of a text among the names of an enum; it may come as the number itself. */
static void sbxi_bind_enum(const void *sub, void *member, sbxi_span s)
{
    const char *const *name = (const char *const *)sub;
    sbx_choice value = SBX_DEFAULT; /* stands for any small enum: all have its size */
    unsigned i;
    for (i = 1; *name; i++)
        if (sbxi_span_is(s, *name++) || (s.len == 1 && *s.ptr == (char)('0' + i)))
            value = (sbx_choice)i;
    memcpy(member, &value, sizeof value);
}

/* A number, or a piece of a string, for a row whose value is made of all of it. */
static SBXI_APART void sbxi_bind_scalar(sbxi_bind *b, const sbxi_field *f, char *member,
    const sbx_json_event *ev)
{
    bool text = f->type == SBXI_T_TEXT;
    size_t cap = text ? f->arg : sizeof b->text - 1;
    sbxi_span s;
    char *out = text ? member : b->text;
    if (ev->type != SBX_JSON_STRING && (ev->type != SBX_JSON_NUMBER || f->type > SBXI_T_ENUM))
        return;
    if (b->total < cap) memcpy(out + b->total, ev->text, SBXI_MIN(ev->len, cap - b->total));
    if (ev->flags & SBX_JSON_MORE) return;
    s.ptr = out;
    s.len = b->total + ev->len;
    if (text) {
        sbxi_put_text(member, cap, member, s.len);
        return;
    }
    if (s.len > cap) return;
    b->text[s.len] = 0;
    if (f->type <= SBXI_T_INT64) sbxi_bind_number(f->type, member, s);
    else if (f->type == SBXI_T_ENUM) sbxi_bind_enum(f->sub, member, s);
    else sbxi_parse_time(b->text, (int64_t *)(void *)member);
}

static void sbxi_bind_push(sbxi_bind *b, const void *shape, size_t base)
{
    sbxi_level *top = b->top + 1;
    if (top == b->level + SBXI_LEVELS) return;
    b->top = top;
    top->shape = (const sbxi_shape *)shape;
    top->base = base;
    top->hint = top->shape->fields;
    b->field = NULL;
    b->skip = 0;
}

/* A value, or a piece of it, for one row: a dispatcher by the row's type. */
static int sbxi_bind_row(sbxi_bind *b, const sbxi_field *f, const sbx_json_event *ev)
{
    char *member = (b->block ? b->block->data : b->fixed) + b->top->base + f->offset;
    unsigned type = ev->type;
    if (f->type <= SBXI_T_EACH && !b->block) return SBX_OK;
    switch (f->type) {
    case SBXI_T_STRING:
        if (type != SBX_JSON_STRING) break;
        if (b->total == 0) sbxi_bind_note(b, f);
        sbxi_bind_text(b->block, ev);
        break;
    case SBXI_T_PAIRS:
        if (type == SBX_JSON_OBJECT) sbxi_bind_note(b, f);
        break;
    case SBXI_T_STRINGS:
        if (type == SBX_JSON_ARRAY) sbxi_bind_note(b, f);
        break;
    case SBXI_T_EACH:
        if (type == SBX_JSON_ARRAY) sbxi_bind_push(b, f->sub, SBXI_EACH);
        break;
    case SBXI_T_OBJECT:
        if (type == SBX_JSON_OBJECT) sbxi_bind_push(b, f->sub, b->top->base + f->offset);
        break;
    case SBXI_T_SEEN:
        if (type != SBX_JSON_NULL) *(bool *)member = true;
        break;
    case SBXI_T_BOOL:
        if (type == SBX_JSON_TRUE || type == SBX_JSON_FALSE)
            *(bool *)member = type == SBX_JSON_TRUE;
        break;
    case SBXI_T_CHOICE:
        if (type >= SBX_JSON_TRUE)
            *(sbx_choice *)(void *)member = type == SBX_JSON_TRUE ? SBX_YES :
                type == SBX_JSON_FALSE ? SBX_NO : SBX_DEFAULT;
        break;
    case SBXI_T_BYTES:
        if (type == SBX_JSON_STRING)
            return b->piece(b->ctx, f->arg, ev->text, ev->len, (ev->flags & SBX_JSON_MORE) != 0);
        break;
    default:
        sbxi_bind_scalar(b, f, member, ev);
    }
    return SBX_OK;
}

/* A value inside a map or list of texts; one that is none takes its key along. */
static void sbxi_bind_entry(sbxi_bind *b, const sbx_json_event *ev)
{
    if (b->skip || b->drop || (ev->flags & SBX_JSON_CUT)) {
        b->block->len = b->mark;
        return;
    }
    sbxi_bind_text(b->block, ev);
    if (ev->flags & SBX_JSON_MORE) return;
    b->mark = b->block->len;
    b->count++;
}

static int sbxi_bind_value(sbxi_bind *b, const sbx_json_event *ev)
{
    const sbxi_field *f, *next;
    size_t item;
    int rc = SBX_OK;
    if (ev->type <= SBX_JSON_ARRAY) b->skip = ev->depth + 1; /* unless a row takes it */
    if (b->list) {
        sbxi_bind_entry(b, ev);
        return SBX_OK;
    }
    if (b->top->base == SBXI_EACH) {
        if (ev->type == SBX_JSON_OBJECT
            && sbxi_buf_room(b->block, b->top->shape->size, &item) == SBX_OK)
            sbxi_bind_push(b, b->top->shape, item);
        return SBX_OK;
    }
    for (f = b->field; f && rc == SBX_OK; f = next) {
        next = sbxi_bind_next(b, f);
        rc = sbxi_bind_row(b, f, ev);
    }
    b->total = ev->flags & SBX_JSON_MORE ? b->total + ev->len : 0;
    return rc;
}

static void sbxi_bind_key(sbxi_bind *b, const sbx_json_event *ev)
{
    const sbxi_shape *shape = b->top->shape;
    const sbxi_field *f = b->top->hint;
    sbxi_span key = { ev->text, ev->len };
    unsigned left;
    b->drop = (ev->flags & SBX_JSON_CUT) != 0;
    b->field = NULL;
    if (b->list) {
        sbxi_bind_text(b->block, ev);
        return;
    }
    for (left = shape->count; left > 0; left--, f++) { /* no name is as long as a cut key */
        if (f == shape->fields + shape->count) f = shape->fields;
        if (sbxi_span_is(key, f->name)) {
            b->field = f;
            while (sbxi_bind_next(b, f)) f++;
            b->top->hint = f + 1;
            return;
        }
    }
}

/* A map or list is complete: its number of entries, and room for its pointers. */
static void sbxi_bind_list(sbxi_bind *b)
{
    sbxi_note *n = sbxi_bind_noted(b);
    size_t texts = b->count * b->list, array;
    n->texts = texts;
    memcpy(b->block->data + n->member + offsetof(sbxi_items, count), &b->count, sizeof b->count);
    sbxi_buf_room(b->block, texts * sizeof(char *), &array);
    sbxi_bind_noted(b)->array = array; /* the block may have moved */
    b->list = 0;
}

/* Sets the pointers of the struct of a level, whose notes reach to the block's
   end. The block no longer moves. */
static void *sbxi_bind_fix(sbxi_bind *b, const sbxi_level *l)
{
    char *data = b->block->data;
    size_t at = l->base + l->shape->size;
    while ((at = SBXI_ALIGNED(at)) < b->block->len) {
        const sbxi_note *n = (const sbxi_note *)(void *)(data + at);
        const char *text = (const char *)(n + 1);
        char *array = data + n->array;
        const char **slot = (const char **)(void *)array;
        size_t left;
        for (left = n->texts; left > 0; left--) {
            *slot++ = text;
            text += strlen(text) + 1;
        }
        at = (size_t)(text - data);
        if (n->array != n->member) {
            at = (size_t)((char *)slot - data);
            memcpy(data + n->member, &array, sizeof array);
        }
    }
    return data + l->base;
}

static int sbxi_bind_close(sbxi_bind *b)
{
    const sbxi_level *done = b->top;
    int rc = SBX_OK;
    b->field = NULL;
    if (b->list) {
        sbxi_bind_list(b);
    } else if (done > b->level) {
        b->top--;
        if (b->top->base != SBXI_EACH) return SBX_OK;
        rc = b->item(b->ctx, sbxi_bind_fix(b, done));
        b->block->len = done->base;
    }
    return rc;
}

/* The sbx_json_fn of a bind. */
static int sbxi_bind_event(void *bind, const sbx_json_event *ev)
{
    sbxi_bind *b = (sbxi_bind *)bind;
    int rc = SBX_OK;
    if (b->skip) {
        if (ev->depth + 1 == b->skip) b->skip = 0; /* its end: all else is deeper */
        return SBX_OK;
    }
    if (ev->type == SBX_JSON_KEY) sbxi_bind_key(b, ev);
    else if (ev->type == SBX_JSON_OBJECT_END || ev->type == SBX_JSON_ARRAY_END)
        rc = sbxi_bind_close(b);
    else if (ev->depth > 0) rc = sbxi_bind_value(b, ev);
    else if (ev->type != (b->top->base == SBXI_EACH ? SBX_JSON_ARRAY : SBX_JSON_OBJECT))
        rc = SBX_E_PROTOCOL;
    return b->block && b->block->status ? b->block->status : rc;
}

/* After the last event: the finished struct in the block. */
static SBXI_MAYBE void *sbxi_bind_result(sbxi_bind *b) { return sbxi_bind_fix(b, b->level); }

/* ---- writing --------------------------------------------------------------- */

static void sbxi_put_ports(sbx_json_writer *w, const char *member)
{
    sbx_ports ports;
    memcpy(&ports, member, sizeof ports);
    sbx_json_begin_array(w);
    for (; ports.count; ports.count--) sbx_json_int(w, *ports.items++);
    sbx_json_end_array(w);
}

static void sbxi_put_objects(sbx_json_writer *w, const char *member, const void *sub)
{
    const char *const *names = (const char *const *)sub;
    sbx_pairs pairs;
    memcpy(&pairs, member, sizeof pairs);
    sbx_json_begin_array(w);
    for (; pairs.count; pairs.count--, pairs.items++) {
        sbx_json_begin_object(w);
        sbx_json_key(w, names[0]);
        sbx_json_text(w, pairs.items->value);
        sbx_json_key(w, names[1]);
        sbx_json_text(w, pairs.items->key);
        sbx_json_end_object(w);
    }
    sbx_json_end_array(w);
}

static void sbxi_put_list(sbx_json_writer *w, const char *member, bool map)
{
    const char *const *text;
    sbxi_items list;
    memcpy(&list, member, sizeof list);
    text = (const char *const *)list.items;
    if (map) sbx_json_begin_object(w);
    else sbx_json_begin_array(w);
    for (; text && list.count; list.count--) {
        if (map) sbx_json_key(w, *text++);
        sbx_json_text(w, *text++);
    }
    if (map) sbx_json_end_object(w);
    else sbx_json_end_array(w);
}

/* The 32 bits of a row that holds a number; else not 0 if there is anything. */
static uint32_t sbxi_put_number(const sbxi_field *f, const char *member)
{
    const void *ptr;
    switch (f->type) {
    case SBXI_T_INT:
    case SBXI_T_UINT: return *(const uint32_t *)(const void *)member;
    case SBXI_T_CHOICE: return *(const sbx_choice *)(const void *)member;
    case SBXI_T_LITERAL: return 1;
    default:
        memcpy(&ptr, member, sizeof ptr);
        return ptr != NULL;
    }
}

static void sbxi_put_value(sbx_json_writer *w, const sbxi_field *f, const char *member,
    uint32_t number)
{
    const char *text = (const char *)f->sub;
    sbx_bytes bytes;
    switch (f->type) {
    case SBXI_T_INT: sbx_json_int(w, (int32_t)number); break;
    case SBXI_T_UINT: sbx_json_int(w, number); break;
    case SBXI_T_CHOICE: sbx_json_bool(w, number == SBX_YES); break;
    case SBXI_T_BYTES:
        memcpy(&bytes, member, sizeof bytes);
        sbx_json_base64(w, bytes.data, bytes.len);
        break;
    case SBXI_T_PORTS: sbxi_put_ports(w, member); break;
    case SBXI_T_OBJECTS: sbxi_put_objects(w, member, f->sub); break;
    case SBXI_T_RAW:
        memcpy(&text, member, sizeof text);
        sbx_json_raw(w, text, strlen(text));
        break;
    case SBXI_T_STRINGS:
    case SBXI_T_PAIRS: sbxi_put_list(w, member, f->type == SBXI_T_PAIRS); break;
    case SBXI_T_STRING:
        memcpy(&text, member, sizeof text);
        /* fall through */
    default: sbx_json_text(w, text ? text : "");
    }
}

static void sbxi_put_member(sbx_json_writer *w, const sbxi_field *f, const char *member,
    uint32_t number)
{
    sbx_json_key(w, f->name);
    if (!number && f->arg == SBXI_OR_NULL) sbx_json_null(w);
    else sbxi_put_value(w, f, member, number);
}

/* Writes the struct at base as an object, members in the order of the rows. An
   object inside is opened when its first member is, so an empty one leaves no
   trace: those below `opened` are begun. */
static SBXI_MAYBE void sbxi_bind_write(sbx_json_writer *w, const sbxi_shape *shape,
    const void *base)
{
    struct { const sbxi_field *f, *end; const char *base; } level[SBXI_LEVELS + 1],
        *l = level, *opened = level + 2; /* the first stands for the outside */
    const char *member = (const char *)base;
    sbx_json_begin_object(w);
    for (;;) {
        const sbxi_field *f;
        uint32_t number;
        if (shape) {
            if (++l == level + SBXI_LEN(level)) {
                w->status = SBX_E_ARG;
                return;
            }
            l->base = member;
            l->f = shape->fields;
            l->end = l->f + shape->count;
            shape = NULL;
        }
        if (l->f == l->end) {
            if (opened > l) {
                sbx_json_end_object(w);
                opened = l;
            }
            if (--l == level) return;
            continue;
        }
        f = l->f++;
        member = l->base + f->offset;
        if (f->type == SBXI_T_OBJECT) {
            shape = (const sbxi_shape *)f->sub;
        } else if ((number = sbxi_put_number(f, member)) != 0 || f->arg) {
            for (; opened <= l; opened++) {
                sbx_json_key(w, opened[-1].f[-1].name);
                sbx_json_begin_object(w);
            }
            if (f->type == SBXI_T_MEMBERS) ((const sbxi_maker *)f->sub)->members(w, member);
            else sbxi_put_member(w, f, member, number);
        }
    }
}
