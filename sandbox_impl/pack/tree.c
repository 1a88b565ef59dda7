/* tree - trees of files: the one in memory, a file read as a whole, and the walk that
   finds what of a tree a COPY takes: what the pattern of its source matches and what
   lies below that, without what is ignored. Used by pack/context and the builder.

   The walk keeps the path it stands at and nothing else, whatever the size of the
   tree: the tree says what comes next behind a name. By whole paths "a.b" comes before
   "a/c", as . is less than /: so what is in a directory comes when the next name is
   behind the directory's with a / at its end, maybe long after the directory itself.
   That directory's name is then the beginning of the name at hand, so it need not be
   remembered either. */

#ifndef SBX_NO_TEMPLATE

/* ---- the tree in memory ---------------------------------------------------- */

#define SBXI_MEMORY_PATH sizeof(((sbx_memory_tree *)0)->path_)

/* It is named as a directory, or the root. */
static bool sbxi_memory_is_dir(const sbx_tree_file *f)
{
    size_t n = strlen(f->path);
    return !n || f->path[n - 1] == '/';
}

static sbxi_span sbxi_memory_path(const sbx_tree_file *f)
{
    sbxi_span s = sbxi_span_of(f->path);
    while (s.len && s.ptr[s.len - 1] == '/') s.len--;
    return s;
}

/* Whether `path` is below `dir`; *rest is the part behind its /. */
static bool sbxi_path_below(sbxi_span path, sbxi_span dir, sbxi_span *rest)
{
    size_t n = dir.len + (dir.len > 0);
    if (path.len <= n || (n && (memcmp(path.ptr, dir.ptr, dir.len) != 0 || path.ptr[n - 1] != '/')))
        return false;
    rest->ptr = path.ptr + n;
    rest->len = path.len - n;
    return true;
}

/* Puts the target of f in place of its path, into buf, where the rest may stand. */
static bool sbxi_memory_jump(const sbx_tree_file *f, sbxi_span rest, char *buf, sbxi_span *path)
{
    sbxi_span at = sbxi_memory_path(f), target = sbxi_span_of(f->link);
    size_t n = at.len;
    while (n && at.ptr[n - 1] != '/') n--;
    if (!target.len || *target.ptr == '/'
        || n + target.len + 1 + rest.len >= SBXI_MEMORY_PATH)
        return false;
    memmove(buf + n + target.len + 1, rest.ptr, rest.len);
    memcpy(buf, at.ptr, n);
    memcpy(buf + n, target.ptr, target.len);
    n += target.len;
    buf[n++] = '/';
    path->len = sbxi_path_clean(buf, n + rest.len);
    path->ptr = buf;
    if (path->len == 1 && *buf == '.') path->len = 0;
    return true;
}

/* How a path stands to the tree. */
typedef struct sbxi_memory_place {
    const sbx_tree_file *file;  /* it, NULL: none is named so */
    const sbx_tree_file *link;  /* to be followed to come there, NULL: none */
    sbxi_span left;             /* what follows the link in the path */
    bool dir;                   /* there is something below it */
} sbxi_memory_place;

static void sbxi_memory_look(const sbx_memory_tree *m, sbxi_span path, bool follow,
    sbxi_memory_place *at)
{
    size_t i;
    sbxi_span rest;
    memset(at, 0, sizeof *at);
    at->left = sbxi_span_of("");
    at->dir = path.len == 0;
    for (i = 0; i < m->count; i++) {
        const sbx_tree_file *f = &m->files[i];
        sbxi_span name = sbxi_memory_path(f);
        if (sbxi_path_below(name, path, &rest)) {
            at->dir = true;
        } else if (f->link && sbxi_path_below(path, name, &rest)) {
            at->link = f;
            at->left = rest;
        } else if (name.len == path.len && memcmp(name.ptr, path.ptr, name.len) == 0) {
            at->file = f;
            if (f->link && follow) at->link = f;
        }
    }
}

/* The file of a path; NULL with SBX_OK: a directory that is not named. Links on the
   way are followed, the one at its end if asked to; *path is where they lead. */
static int sbxi_memory_find(const sbx_memory_tree *m, sbxi_span *path, bool follow, char *buf,
    const sbx_tree_file **out)
{
    unsigned steps;
    for (steps = 0; steps <= 8; steps++) {
        sbxi_memory_place at;
        sbxi_memory_look(m, *path, follow, &at);
        *out = at.file;
        if (!at.link) return at.file || at.dir ? SBX_OK : SBX_E_NOT_FOUND;
        if (!sbxi_memory_jump(at.link, at.left, buf, path)) break;
    }
    return SBX_E_NOT_FOUND;
}

/* Less, equal, more, by bytes. */
static int sbxi_span_order(sbxi_span a, sbxi_span b)
{
    size_t n = SBXI_MIN(a.len, b.len);
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int sbxi_memory_next(void *ctx, const char *dir, const char *after, char *name, size_t cap)
{
    sbx_memory_tree *m = (sbx_memory_tree *)ctx;
    sbxi_span root = sbxi_span_of(dir), least = sbxi_span_of(after), best = { NULL, 0 }, rest;
    const sbx_tree_file *f;
    size_t i;
    int rc = sbxi_memory_find(m, &root, true, m->path_, &f);
    if (rc != SBX_OK) return rc;
    for (i = 0; i < m->count; i++) {
        if (!sbxi_path_below(sbxi_memory_path(&m->files[i]), root, &rest)) continue;
        rest = sbxi_path_part(rest);
        if (sbxi_span_order(rest, least) <= 0) continue;
        if (!best.len || sbxi_span_order(rest, best) < 0) best = rest;
    }
    if (!best.len) return SBX_E_NOT_FOUND;
    if (best.len >= cap) return SBX_E_TOO_LARGE;
    memcpy(name, best.ptr, best.len);
    name[best.len] = 0;
    return SBX_OK;
}

static int sbxi_memory_stat(void *ctx, const char *path, bool follow, sbx_tree_entry *out)
{
    static const uint16_t modes[4] = { 0, 0644, 0755, 0777 };
    sbx_memory_tree *m = (sbx_memory_tree *)ctx;
    sbxi_span at = sbxi_span_of(path);
    const sbx_tree_file *f;
    int rc = sbxi_memory_find(m, &at, follow, m->path_, &f);
    memset(out, 0, sizeof *out);
    if (rc != SBX_OK) return rc;
    out->type = SBX_FILE_DIR;
    if (f && f->link) {
        out->type = SBX_FILE_SYMLINK;
        out->size = (int64_t)strlen(f->link);
    } else if (f && !sbxi_memory_is_dir(f)) {
        out->type = SBX_FILE_REGULAR;
        out->size = f->from ? f->from->size : (int64_t)f->len;
    }
    out->mode = f && f->mode ? f->mode & 07777 : modes[out->type];
    if (f) out->modified_unix_s = f->modified_unix_s;
    return SBX_OK;
}

static int sbxi_memory_link(void *ctx, const char *path, char *target, size_t cap)
{
    sbx_memory_tree *m = (sbx_memory_tree *)ctx;
    sbxi_span at = sbxi_span_of(path);
    const sbx_tree_file *f;
    int rc = sbxi_memory_find(m, &at, false, m->path_, &f);
    size_t n;
    if (rc != SBX_OK || !f || !f->link) return SBX_E_NOT_FOUND;
    n = strlen(f->link);
    if (n >= cap) return SBX_E_TOO_LARGE;
    memcpy(target, f->link, n + 1);
    return SBX_OK;
}

static int sbxi_memory_open(void *ctx, const char *path, void **file)
{
    sbx_memory_tree *m = (sbx_memory_tree *)ctx;
    sbxi_span at = sbxi_span_of(path);
    const sbx_tree_file *f;
    int rc = sbxi_memory_find(m, &at, true, m->path_, &f);
    *file = ctx;
    if (rc != SBX_OK) return rc;
    if (!f || sbxi_memory_is_dir(f)) return SBX_E_NOT_A_FILE;
    m->open_ = (size_t)(f - m->files);
    m->at_ = 0;
    if (!f->from) return SBX_OK;
    return f->from->rewind ? f->from->rewind(f->from->ctx) : SBX_E_ARG;
}

static int sbxi_memory_read(void *ctx, void *file, void *buf, size_t cap, size_t *got)
{
    sbx_memory_tree *m = (sbx_memory_tree *)ctx;
    const sbx_tree_file *f = &m->files[m->open_];
    (void)file;
    if (f->from) return f->from->get(f->from->ctx, buf, cap, got);
    *got = SBXI_MIN(cap, f->len - m->at_);
    if (*got) memcpy(buf, (const char *)f->data + m->at_, *got);
    m->at_ += *got;
    return SBX_OK;
}

static void sbxi_memory_close(void *ctx, void *file)
{
    (void)ctx;
    (void)file;
}

SBX_API sbx_tree sbx_tree_memory(sbx_memory_tree *state)
{
    sbx_tree t;
    t.next = sbxi_memory_next;
    t.stat = sbxi_memory_stat;
    t.link = sbxi_memory_link;
    t.open = sbxi_memory_open;
    t.read = sbxi_memory_read;
    t.close = sbxi_memory_close;
    t.ctx = state;
    return t;
}

/* ---- a whole file ---------------------------------------------------------- */

/* The content of a file of up to `max` bytes, for sbxi_buf_free() whatever comes. A
   tree that has to wait cannot be read so: SBX_E_SOURCE. SBX_E_NOT_FOUND: none there. */
static SBXI_APART SBXI_MAYBE int sbxi_tree_file(const sbx_tree *tree, const char *path,
    const sbx_alloc *alloc, size_t max, sbxi_buf *out)
{
    char piece[128];
    size_t got = 1;
    void *file;
    int rc = tree->open(tree->ctx, path, &file);
    sbxi_buf_init(out, alloc, max);
    if (rc != SBX_OK) return rc > 0 ? SBX_E_SOURCE : rc;
    while (rc == SBX_OK && got) {
        rc = tree->read(tree->ctx, file, piece, sizeof piece, &got);
        if (rc == SBX_OK && got > sizeof piece) rc = SBX_E_SOURCE;
        if (rc == SBX_OK) rc = sbxi_buf_add(out, piece, got);
    }
    tree->close(tree->ctx, file);
    return rc > 0 || rc == SBX_E_AGAIN || rc == SBX_E_NOT_FOUND ? SBX_E_SOURCE : rc;
}

/* Adds the lines of a file of rules; none there: SBX_OK. */
static SBXI_MAYBE int sbxi_tree_rules(const sbx_tree *tree, const char *path, sbxi_ignores *g,
    sbx_error *e)
{
    sbxi_buf all;
    sbxi_span text;
    int rc = sbxi_tree_file(tree, path, g->rules.alloc, SBXI_IGNORE_MAX, &all);
    text.ptr = all.data;
    text.len = all.len;
    if (rc == SBX_OK) rc = sbxi_ignore_add(g, text, e);
    else if (rc == SBX_E_NOT_FOUND) rc = SBX_OK;
    else sbxi_error_at(e, rc, sbxi_span_of(path), NULL);
    sbxi_buf_free(&all);
    return rc;
}

/* ---- the walk -------------------------------------------------------------- */

#define SBXI_NAME_MAX 256u      /* bytes of a name with its NUL */
#define SBXI_WALK_LINKS 8u      /* links that a path may lead through */
#define SBXI_WALK_NONE SIZE_MAX

typedef struct sbxi_walk {
    const sbx_tree *tree;
    const sbxi_ignores *ignore;  /* NULL: nothing is */
    sbx_error *error;
    sbxi_glob source;           /* points to what is cleaned of it, the caller's memory */
    bool by_name;               /* order: directory by directory, instead of whole paths */
    bool links;                 /* directories that links lead to are walked too */
    bool started, popped;
    uint8_t through;            /* links in the path */
    size_t dir;                 /* bytes of the path up to the last / */
    size_t cover;               /* of the topmost directory that is taken with all in it,
                                   0 the root, or SBXI_WALK_NONE */
    sbx_tree_entry entry;       /* of the path; a link not followed */
    char path[SBX_MAX_PATH];    /* "" the root */
    char name[SBXI_NAME_MAX];
} sbxi_walk;

/* Whether a cleaned path starts with .. or /. */
static bool sbxi_path_leaves(sbxi_span path)
{
    return *path.ptr == '/' || sbxi_span_is(sbxi_path_part(path), "..");
}

/* src as a COPY has it; *w is zero but for tree, ignore, error, source.dialect, by_name
   and links. `clean` (SBXI_GLOB_MAX + 1 bytes) must live as long. SBX_E_ARG: an absolute
   path, one that leaves the root, a pattern that is none; SBX_E_TOO_LARGE. */
static SBXI_MAYBE int sbxi_walk_init(sbxi_walk *w, const char *src, char *clean)
{
    sbxi_span s = sbxi_span_of(src), cleaned;
    sbxi_glob *g = &w->source;
    int rc = s.len > SBXI_GLOB_MAX ? SBX_E_TOO_LARGE : SBX_OK;
    w->cover = SBXI_WALK_NONE;
    g->p = cleaned.ptr = clean;
    if (rc == SBX_OK && s.len) {
        bool dir = s.ptr[s.len - 1] == '/' && g->dialect == SBXI_GLOB_SOURCE;
        memcpy(clean, src, s.len);
        g->len = cleaned.len = sbxi_path_clean(clean, s.len);
        if (sbxi_path_leaves(cleaned)) rc = SBX_E_ARG;
        else if (dir) clean[g->len++] = '/'; /* where it was already */
    }
    if (rc == SBX_OK) rc = sbxi_glob_check(g);
    return rc == SBX_OK ? rc : sbxi_error_at(w->error, rc, s, rc == SBX_E_TOO_LARGE
        ? SBXI_TEXT("a source is at most 511 bytes")
        : SBXI_TEXT("a source is a path or pattern below the root of the context"));
}

static sbxi_span sbxi_walk_path(const sbxi_walk *w) { return sbxi_span_of(w->path); }

/* What a tree answered, or is wrong with what it did. */
static int sbxi_walk_fail(const sbxi_walk *w, int status, const char *text)
{
    sbxi_span at = sbxi_walk_path(w);
    if (status > 0) status = SBX_E_SOURCE;
    return sbxi_error_at(w->error, status, at.len ? at : sbxi_span_of("."), text);
}

static bool sbxi_walk_ignored(const sbxi_walk *w)
{
    return w->ignore && sbxi_ignored(w->ignore, sbxi_walk_path(w), w->entry.type == SBX_FILE_DIR);
}

/* Looks at the path. What was listed and is no longer there has changed. */
static int sbxi_walk_stat(sbxi_walk *w)
{
    int rc = w->tree->stat(w->tree->ctx, w->path, false, &w->entry);
    if (rc == SBX_OK && (unsigned)w->entry.type > SBX_FILE_SYMLINK) rc = SBX_E_SOURCE;
    w->entry.mode &= 07777;
    if (rc == SBX_OK) return rc;
    return sbxi_walk_fail(w, rc == SBX_E_NOT_FOUND ? SBX_E_CHANGED : rc, NULL);
}

/* Whether the path is a directory; of a link if it leads to one. */
static bool sbxi_walk_is_dir(const sbxi_walk *w)
{
    sbx_tree_entry e;
    if (w->entry.type != SBX_FILE_SYMLINK) return w->entry.type == SBX_FILE_DIR;
    return w->tree->stat(w->tree->ctx, w->path, true, &e) == SBX_OK && e.type == SBX_FILE_DIR;
}

/* Whether the entry at the path is to be handed out. */
static bool sbxi_walk_takes(const sbxi_walk *w, unsigned found)
{
    bool in = w->cover != SBXI_WALK_NONE || (found & SBXI_GLOB_HIT)
        || ((found & SBXI_GLOB_IF_DIR) && sbxi_walk_is_dir(w));
    return in && !sbxi_walk_ignored(w);
}

/* Whether to go into the path. Below what is taken whole: all directories but ignored
   ones; above: those where the pattern may match, links only where it names them. */
static bool sbxi_walk_enters(sbxi_walk *w)
{
    sbxi_span path = sbxi_walk_path(w);
    bool link = w->entry.type == SBX_FILE_SYMLINK, all = !link || w->links;
    unsigned found;
    if (!sbxi_walk_is_dir(w)) return false;
    if (w->cover != SBXI_WALK_NONE)
        return all && (!sbxi_walk_ignored(w) || sbxi_ignore_enters(w->ignore, path));
    found = sbxi_glob_run(&w->source, path, link);
    if (all && (found & (SBXI_GLOB_HIT | SBXI_GLOB_IF_DIR)) && !sbxi_walk_ignored(w)) {
        w->cover = path.len;
        return true;
    }
    return (found & SBXI_GLOB_BELOW) != 0;
}

/* Whether the content of a directory, which is the first n bytes of the name at hand,
   comes before that name or before the next one. */
static bool sbxi_walk_due(const sbxi_walk *w, const char *at, size_t n, size_t len, bool have)
{
    if (n == len ? w->popped : w->by_name || (unsigned char)at[n] >= '/') return false;
    if (w->by_name) return true;
    return !have || memcmp(w->name, at, n) != 0 || (unsigned char)w->name[n] >= '/';
}

/* Looks at a path that need not be there. */
static int sbxi_walk_peek(sbxi_walk *w)
{
    int rc = w->tree->stat(w->tree->ctx, w->path, false, &w->entry);
    if (rc == SBX_OK) return rc;
    w->entry.type = SBX_FILE_UNKNOWN;
    return rc == SBX_E_NOT_FOUND ? SBX_OK : sbxi_walk_fail(w, rc, NULL);
}

/* Into the directory at the path, whose name is n bytes. */
static int sbxi_walk_push(sbxi_walk *w, size_t n)
{
    w->through = (uint8_t)(w->through + (w->entry.type == SBX_FILE_SYMLINK));
    if (w->through > SBXI_WALK_LINKS)
        return sbxi_walk_fail(w, SBX_E_TOO_LARGE, SBXI_TEXT("links lead in circles"));
    w->dir += n;
    if (w->dir + 2 > sizeof w->path) return sbxi_walk_fail(w, SBX_E_TOO_LARGE, NULL);
    w->path[w->dir++] = '/';
    w->path[w->dir] = 0;
    w->popped = false;
    return SBX_OK;
}

/* Goes into the directory whose content comes now, before the next name: the one at
   hand, or by whole paths a beginning of it. *in: there is one. */
static int sbxi_walk_inner(sbxi_walk *w, bool have, bool *in)
{
    char *at = w->path + w->dir;
    size_t len = strlen(at), n;
    *in = false;
    len -= w->popped && !w->by_name; /* its / */
    for (n = len; n > 0; n--) {
        char cut = at[n];
        int rc;
        if (!sbxi_walk_due(w, at, n, len, have)) continue;
        at[n] = 0;
        rc = n < len ? sbxi_walk_peek(w) : SBX_OK;
        if (rc != SBX_OK) return rc;
        *in = sbxi_walk_enters(w);
        if (*in) return sbxi_walk_push(w, n);
        at[n] = cut;
    }
    return SBX_OK;
}

/* Back to the directory above, behind the one that is done. */
static int sbxi_walk_pop(sbxi_walk *w)
{
    size_t len = w->dir - 1;
    int rc = SBX_OK;
    w->path[len] = 0;
    if (w->through) {
        rc = sbxi_walk_stat(w);
        w->through = (uint8_t)(w->through - (w->entry.type == SBX_FILE_SYMLINK));
    }
    if (w->cover == len) w->cover = SBXI_WALK_NONE;
    for (w->dir = len; w->dir > 0 && w->path[w->dir - 1] != '/';) w->dir--;
    if (!w->by_name) {
        w->path[len] = '/';
        w->path[len + 1] = 0;
    }
    w->popped = true;
    return rc;
}

/* Whether it may be the name of a file, and comes behind the last one. */
static bool sbxi_walk_is_name(const char *name, const char *after)
{
    return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0
        && strcmp(name, after) > 0;
}

/* The name that comes next in the directory at hand. */
static int sbxi_walk_name(sbxi_walk *w, bool *have)
{
    size_t end = w->dir ? w->dir - 1 : 0;
    char cut = w->path[end];
    int rc;
    w->path[end] = w->dir ? 0 : cut;
    rc = w->tree->next(w->tree->ctx, w->dir ? w->path : "", w->path + w->dir, w->name,
        sizeof w->name);
    w->path[end] = cut;
    w->name[sizeof w->name - 1] = 0;
    *have = rc == SBX_OK;
    if (*have && !sbxi_walk_is_name(w->name, w->path + w->dir))
        return sbxi_walk_fail(w, SBX_E_SOURCE,
            SBXI_TEXT("next() of the tree gave no name, or one that is not behind the last"));
    return *have || rc == SBX_E_NOT_FOUND ? SBX_OK : sbxi_walk_fail(w, rc, NULL);
}

/* The next path there is, whether taken or not. SBX_PENDING: into a directory, or out
   of one; SBX_E_NOT_FOUND: that was all. */
static int sbxi_walk_step(sbxi_walk *w)
{
    size_t n;
    bool have, in;
    int rc = sbxi_walk_name(w, &have);
    if (rc == SBX_OK) rc = sbxi_walk_inner(w, have, &in);
    if (rc != SBX_OK) return rc;
    if (in) return SBX_PENDING;
    if (!have) {
        if (w->dir == 0) return SBX_E_NOT_FOUND;
        rc = sbxi_walk_pop(w);
        return rc == SBX_OK ? SBX_PENDING : rc;
    }
    n = strlen(w->name);
    if (n >= sizeof w->path - w->dir) return sbxi_walk_fail(w, SBX_E_TOO_LARGE, NULL);
    memcpy(w->path + w->dir, w->name, n + 1);
    w->popped = false;
    return SBX_OK;
}

/* Whether the root itself is taken; of a source that is not empty. */
static bool sbxi_walk_from_root(const sbxi_walk *w)
{
    const sbxi_glob *g = &w->source;
    return *g->p == '.' && (g->len == 1 || g->p[1] == '/');
}

/* The next entry that is taken: path, entry. SBX_PENDING: one was passed over, call
   again; SBX_E_NOT_FOUND: there is none left; others with a message. */
static SBXI_MAYBE int sbxi_walk_next(sbxi_walk *w)
{
    unsigned found = 0;
    int rc;
    if (!w->started) {
        w->started = true;
        if (!w->source.len) return SBX_E_NOT_FOUND;
        if (sbxi_walk_from_root(w)) {
            w->cover = 0;
            return sbxi_walk_stat(w);
        }
    }
    rc = sbxi_walk_step(w);
    if (rc != SBX_OK) return rc;
    memset(&w->entry, 0, sizeof w->entry);
    if (w->cover == SBXI_WALK_NONE) {
        found = sbxi_glob_run(&w->source, sbxi_walk_path(w), false);
        if (!(found & ~SBXI_GLOB_INSIDE)) return SBX_PENDING;
    }
    rc = sbxi_walk_stat(w);
    return rc != SBX_OK || sbxi_walk_takes(w, found) ? rc : SBX_PENDING;
}

#endif
