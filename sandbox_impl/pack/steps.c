/* steps - what a template builder has gathered, as the user said it: a list of
   records, none of them in the form of a provider, each in one allocation with its
   texts. And the little language in which providers say what command of a shell a
   record stands for. Records are only ever added; of a base, start command or ready
   command the last one counts. Written by api/, read by provider files. */

#ifndef SBX_NO_TEMPLATE

enum {
    SBXI_FROM_IMAGE, SBXI_FROM_TEMPLATE, SBXI_FROM_REGISTRY, /* what it is made from */
    SBXI_DO_START, SBXI_DO_READY,
    SBXI_DO_IGNORE,         /* of the context */
    SBXI_DO_COPY,           /* from here on in order: steps of the service */
    SBXI_DO_ENV, SBXI_DO_WORKDIR, SBXI_DO_USER,
    SBXI_DO_RUN,            /* from here on commands of a shell */
    SBXI_DO_WORDS, SBXI_DO_REMOVE, SBXI_DO_RENAME, SBXI_DO_MAKE_DIR, SBXI_DO_SYMLINK,
    SBXI_DO_APT, SBXI_DO_PIP, SBXI_DO_NPM, SBXI_DO_BUN, SBXI_DO_GIT, SBXI_DO_MCP,
    SBXI_DO_DEV_CONTAINER,
    SBXI_DO_END
};

/* Flags have letters, by which patterns ask for them. */
#define SBXI_FLAG(letter) (UINT32_C(1) << ((letter) - 'a'))

struct sbxi_step {
    sbxi_step *next;
    size_t size;            /* of the allocation */
    uint32_t flags;
    int32_t number;         /* a mode, depth, port or time; 0: none */
    uint8_t kind;
    bool forced;            /* not from the cache */
    const char *user;       /* NULL: whoever it is at that point */
    const char *extra;      /* of GIT the branch; NULL: none */
    sbx_strings texts;      /* of ENV keys and values in turn */
    char hash[65];          /* of COPY the files', once they were read */
};

struct sbx_template {
    sbx_client *client;
    sbxi_step *first, *last;
    size_t count;
    bool busy;              /* one builds it, or one of its own functions runs */
    bool released;          /* by the user, while it was busy */
    bool forced;            /* steps that follow are not from the cache */
    bool all_forced;        /* nor is the base */
    sbx_tree tree;          /* where files come from; zeroed: nowhere */
    sbxi_buf text;          /* one command at a time */
    sbx_error error;
};

static SBXI_MAYBE bool sbxi_is_wire_step(const sbxi_step *s) { return s->kind >= SBXI_DO_COPY; }

/* The base that counts: the one named last. NULL: the service's own. */
static SBXI_MAYBE const sbxi_step *sbxi_template_base(const sbx_template *t)
{
    const sbxi_step *s, *found = NULL;
    for (s = t->first; s; s = s->next)
        if (s->kind <= SBXI_FROM_TEMPLATE) found = s;
    return found;
}

/* The last record of a kind, or NULL. */
static SBXI_MAYBE const sbxi_step *sbxi_template_last(const sbx_template *t, unsigned kind)
{
    const sbxi_step *s, *found = NULL;
    for (s = t->first; s; s = s->next)
        if (s->kind == kind) found = s;
    return found;
}

static SBXI_MAYBE void sbxi_template_free(sbx_template *t)
{
    const sbx_alloc *a = &t->client->link.alloc;
    sbxi_step *s, *next;
    for (s = t->first; s; s = next) {
        next = s->next;
        sbxi_alloc_wipe(a, s, s->size);
    }
    sbxi_buf_free(&t->text);
    sbxi_alloc_wipe(a, t, sizeof *t);
}

/* Whoever had made it busy is done with it. */
static SBXI_MAYBE void sbxi_template_let_go(sbx_template *t)
{
    t->busy = false;
    if (t->released) sbxi_template_free(t);
}

/* ---- adding ------------------------------------------------------------------ */

/* NULL: its texts can be sent. Patterns of what is left out stay here. */
static SBXI_MAYBE const char *sbxi_step_check(const sbxi_step *plan)
{
    size_t i;
    bool fine = (!plan->user || sbxi_is_utf8(sbxi_span_of(plan->user)))
        && (!plan->extra || sbxi_is_utf8(sbxi_span_of(plan->extra)));
    for (i = 0; fine && i < plan->texts.count; i++)
        fine = sbxi_is_utf8(sbxi_span_of(plan->texts.items[i]));
    return fine || plan->kind == SBXI_DO_IGNORE ? NULL : SBXI_TEXT("a text is not UTF-8");
}

/* Copies a text, if there is one; where to goes into *out once there is a place. */
static void sbxi_step_text(sbxi_cursor *c, const char *text, const char **out)
{
    const char *copy = text ? sbxi_cursor_put(c, text, strlen(text) + 1, 1) : NULL;
    if (copy) *out = copy;
}

/* Lays the record out behind itself, copies of all texts in the end; without a place
   it only counts. The list of texts stands in memory, so its size is no overflow. */
static void sbxi_step_lay(sbxi_cursor *c, const sbxi_step *plan)
{
    size_t i, n = plan->texts.count;
    sbxi_step spare, *s = (sbxi_step *)(void *)sbxi_cursor_put(c, plan, sizeof *plan, SBXI_ALIGN);
    const char *one, **list = (const char **)(void *)sbxi_cursor_put(c, plan->texts.items,
        n * sizeof *list, SBXI_ALIGN);
    if (!s) s = &spare;
    for (i = 0; i < n; i++) sbxi_step_text(c, plan->texts.items[i], list ? &list[i] : &one);
    sbxi_step_text(c, plan->user, &s->user);
    sbxi_step_text(c, plan->extra, &s->extra);
    s->texts.items = list;
}

/* Room for a record; for a sum that did not fit there is none. */
static sbxi_step *sbxi_step_room(const sbx_alloc *a, size_t size)
{
    return size == SIZE_MAX ? NULL : (sbxi_step *)sbxi_alloc_get(a, size);
}

/* Adds a copy of the plan. SBX_E_TOO_LARGE: there are SBX_MAX_STEPS; SBX_E_NOMEM. */
static SBXI_MAYBE int sbxi_step_add(sbx_template *t, const sbxi_step *plan)
{
    sbxi_cursor c = { NULL, 0 };
    sbxi_step *s;
    if (t->count >= SBX_MAX_STEPS) return SBX_E_TOO_LARGE;
    sbxi_step_lay(&c, plan);
    s = sbxi_step_room(&t->client->link.alloc, c.at);
    if (!s) return SBX_E_NOMEM;
    c.data = (char *)s;
    c.at = 0;
    sbxi_step_lay(&c, plan);
    s->size = c.at;
    s->next = NULL;
    s->forced = t->forced;
    if (t->last) t->last->next = s;
    else t->first = s;
    t->last = s;
    t->count++;
    return SBX_OK;
}

/* ---- commands of a shell ------------------------------------------------------ */

/* Permissions as four octal digits. */
static void sbxi_octal(char out[5], int32_t mode)
{
    unsigned i;
    for (i = 0; i < 4; i++) out[i] = (char)('0' + (mode >> (9 - 3 * i) & 7));
    out[4] = 0;
}

/* All texts from the i-th on, each behind the separator but the first. */
static void sbxi_words(sbxi_buf *b, const sbxi_step *s, size_t i, const char *between, bool quoted)
{
    size_t first = i;
    for (; i < s->texts.count; i++) {
        if (i > first) sbxi_buf_text(b, between);
        if (quoted) sbxi_quote(b, s->texts.items[i]);
        else sbxi_buf_text(b, s->texts.items[i]);
    }
}

/* Behind a part that is not meant: its closing bracket. */
static const char *sbxi_pattern_skip(const char *p)
{
    while (p[0] != '%' || p[1] != ')') p++;
    return p + 2;
}

/* A code of a pattern; returns behind it. */
static const char *sbxi_pattern_code(sbxi_buf *b, const char *p, const sbxi_step *s, size_t *text)
{
    char octal[5];
    bool not;
    switch (*p++) {
    case 'q': sbxi_quote(b, s->texts.items[(*text)++]); break;
    case 's': sbxi_buf_text(b, s->texts.items[(*text)++]); break;
    case '*': sbxi_words(b, s, *text, " ", true); break;
    case '+': sbxi_words(b, s, *text, " ", false); break;
    case '&': sbxi_words(b, s, *text, " && ", false); break;
    case 'e': sbxi_quote(b, s->extra); break;
    case 'd': sbxi_buf_u64(b, (uint64_t)s->number); break;
    case 'm':
        sbxi_octal(octal, s->number);
        sbxi_buf_text(b, octal);
        break;
    case '(':
        not = *p == '!';
        p += not;
        if (((s->flags & SBXI_FLAG(*p)) != 0) == not) return sbxi_pattern_skip(p);
        p++;
        break;
    case ')': break;
    default: sbxi_buf_text(b, "%");
    }
    return p;
}

/* Writes what a pattern makes of a record:
     %q %s  the next text, quoted or as it is     %* %+ %&  all that are left: quoted,
     %e     the extra text, quoted                          as they are, and those
     %d %m  the number, decimal or as a mode                joined by &&
     %(x..%)  only with the flag x, %(!x..%) without it     %%  a percent sign */
static SBXI_MAYBE void sbxi_pattern(sbxi_buf *b, const char *pattern, const sbxi_step *s)
{
    size_t text = 0;
    const char *code;
    while ((code = strchr(pattern, '%')) != NULL) {
        sbxi_buf_add(b, pattern, (size_t)(code - pattern));
        pattern = sbxi_pattern_code(b, code + 1, s, &text);
    }
    sbxi_buf_text(b, pattern);
}

/* ---- a build ---------------------------------------------------------------------- */

/* What a build has besides the arguments of its call. */
typedef struct sbxi_building {
    const sbx_alloc *alloc;
    sbx_template *t;        /* busy meanwhile; NULL: a build by id */
    sbx_build_info *info;   /* what the request told; owned */
    sbxi_upload *upload;    /* where files go; owned */
    sbxi_context *context;  /* what is read now; owned */
    sbxi_ignores ignores;   /* what of the context is left out */
    sbxi_step *at;          /* COPY that is being read or sent */
    char asked[65];         /* the hash of its files, under which they go there */
    int32_t done;           /* steps, for progress */
    bool failed;            /* the service has said why: */
    sbx_error why;
} sbxi_building;

static SBXI_MAYBE void sbxi_building_free(sbxi_building *b)
{
    sbx_alloc alloc = *b->alloc;
    sbx_free(b->info);
    sbx_free(b->upload);
    sbxi_context_close(b->context);
    sbxi_ignore_free(&b->ignores);
    if (b->t) sbxi_template_let_go(b->t);
    sbxi_alloc_wipe(&alloc, b, sizeof *b);
}

#endif /* SBX_NO_TEMPLATE */
