/* context - what a COPY sends: files of a tree as a tar, packed or not, as a source of
   exactly known size. Three passes over the tree, as many as are needed:

       hash    what is selected, and its name in E2B's cache; no archive is made
       count   the archive is made and measured, and hashed where that is its name
       send    it is made again and handed out

   so that nothing is stored and the memory is this struct and the packer's. Whatever
   is not the same in two passes ends the later one with SBX_E_CHANGED before the
   archive's last bytes are out. Everything is done in small steps; called by api/. */

#ifndef SBX_NO_TEMPLATE

typedef enum sbxi_pass { SBXI_PASS_HASH, SBXI_PASS_COUNT, SBXI_PASS_SEND } sbxi_pass;

/* What is selected and how it is sent; all it points at outlives the context. */
typedef struct sbxi_plan {
    const sbx_tree *tree;
    const sbxi_ignores *ignore;  /* NULL: nothing is ignored */
    const sbx_alloc *alloc;
    sbx_error *error;           /* gets the message, with the name of the file */
    const char *src, *dest;     /* of the COPY */
    uint8_t dialect;            /* of src: SBXI_GLOB_SOURCE, SBXI_GLOB_PLAIN */
    uint8_t level;              /* of the packer */
    bool tar;                   /* not packed */
    bool by_name;               /* directory by directory, instead of by whole paths */
    bool follow;                /* links are replaced by what they lead to */
    bool links;                 /* with follow: and directories they lead to are walked */
    bool own_mode;              /* `mode` for all, instead of the tree's */
    bool no_times;              /* 1970 for all, so that the same files give the same bytes */
    bool archive_hash;          /* the hash is that of the archive */
    uint16_t mode;
} sbxi_plan;

enum { SBXI_CONTEXT_NEXT, SBXI_CONTEXT_HEAD, SBXI_CONTEXT_FILE, SBXI_CONTEXT_END,
    SBXI_CONTEXT_DONE };

typedef struct sbxi_context {
    sbxi_plan plan;
    sbxi_walk walk;
    sbxi_tar tar;
    sbx_sha256 sha;
    sbx_tree_entry entry;       /* the walk's, of a link that is followed its target's */
    sbxi_gzip *gzip;
    void *file;
    sbxi_pass pass;
    uint8_t state;
    bool open, done;            /* a file is; the archive is out */
    uint16_t at, have;          /* of the block: taken, filled */
    uint32_t crc, known_crc;    /* of the tar: so far, as counted */
    uint32_t entries, known_entries;
    int64_t left;               /* bytes of the file to come */
    int64_t sent, size;         /* bytes of the archive; -1: not counted yet */
    char hash[65];              /* "" until a pass has told */
    unsigned char block[SBXI_TAR_BLOCK];
    unsigned char count[256];   /* what is only counted */
    char target[SBX_MAX_PATH];  /* of a link */
    char clean[SBXI_GLOB_MAX + 1];
} sbxi_context;

static void sbxi_context_shut(sbxi_context *c)
{
    if (c->open) c->plan.tree->close(c->plan.tree->ctx, c->file);
    c->open = false;
}

/* Starts a pass from the beginning. Send: after count. */
static SBXI_MAYBE int sbxi_context_begin(sbxi_context *c, sbxi_pass pass)
{
    sbxi_walk *w = &c->walk;
    const sbxi_plan *p = &c->plan;
    size_t size = sbxi_gzip_size(p->level);
    sbxi_context_shut(c);
    memset(w, 0, sizeof *w);
    w->tree = p->tree;
    w->ignore = p->ignore;
    w->error = p->error;
    w->source.dialect = p->dialect;
    w->by_name = p->by_name;
    w->links = p->links;
    c->pass = pass;
    c->state = SBXI_CONTEXT_NEXT;
    c->done = false;
    c->at = c->have = 0;
    c->crc = c->entries = 0;
    c->sent = 0;
    if (p->archive_hash) sbx_sha256_init(&c->sha);
    else sbxi_hash_begin(&c->sha, p->src, p->dest);
    if (pass != SBXI_PASS_HASH && !p->tar) {
        if (!c->gzip) c->gzip = (sbxi_gzip *)sbxi_alloc_get(p->alloc, size);
        if (!c->gzip) return sbxi_error_set(p->error, SBX_E_NOMEM, NULL);
        c->gzip = sbxi_gzip_init(c->gzip, p->level);
    }
    return sbxi_walk_init(w, p->src, c->clean);
}

static SBXI_MAYBE void sbxi_context_close(sbxi_context *c)
{
    sbx_alloc a;
    if (!c) return;
    a = *c->plan.alloc;
    sbxi_context_shut(c);
    sbxi_alloc_free(&a, c->gzip, sbxi_gzip_size(c->plan.level));
    sbxi_alloc_free(&a, c, sizeof *c);
}

/* *out stays NULL on failure. Begins with the first pass that the plan needs. */
static SBXI_MAYBE int sbxi_context_open(sbxi_context **out, const sbxi_plan *plan)
{
    sbxi_context *c = (sbxi_context *)sbxi_alloc_get(plan->alloc, sizeof *c);
    int rc;
    *out = NULL;
    if (!c) return sbxi_error_set(plan->error, SBX_E_NOMEM, NULL);
    c->plan = *plan;
    c->size = -1;
    rc = sbxi_context_begin(c, plan->archive_hash ? SBXI_PASS_COUNT : SBXI_PASS_HASH);
    if (rc == SBX_OK) *out = c;
    else sbxi_context_close(c);
    return rc;
}

static int sbxi_context_changed(const sbxi_context *c)
{
    return sbxi_walk_fail(&c->walk, SBX_E_CHANGED, NULL);
}

static int sbxi_context_failed(const sbxi_context *c, int rc)
{
    return sbxi_walk_fail(&c->walk, rc == SBX_E_NOT_FOUND ? SBX_E_CHANGED : rc, NULL);
}

/* A link: what it leads to, or its target. In an archive that follows links, one that
   leads nowhere has no place. */
static SBXI_APART int sbxi_context_link(sbxi_context *c)
{
    const sbx_tree *t = c->plan.tree;
    sbx_tree_entry e;
    int rc;
    if (c->plan.follow) {
        rc = t->stat(t->ctx, c->walk.path, true, &e);
        if (rc != SBX_OK && rc != SBX_E_NOT_FOUND) return sbxi_context_failed(c, rc);
        e.mode &= 07777;
        if (rc == SBX_OK && (e.type == SBX_FILE_REGULAR || e.type == SBX_FILE_DIR)) {
            c->entry = e;
            return SBX_OK;
        }
        if (c->pass != SBXI_PASS_HASH)
            return sbxi_walk_fail(&c->walk, SBX_E_NOT_FOUND,
                SBXI_TEXT("the link leads nowhere, and links are to be followed"));
    }
    rc = t->link ? t->link(t->ctx, c->walk.path, c->target, sizeof c->target) : SBX_E_NOT_FOUND;
    return rc == SBX_OK ? rc : sbxi_context_failed(c, rc);
}

static SBXI_APART int sbxi_context_head(sbxi_context *c)
{
    const sbx_tree_entry *e = &c->entry;
    const sbxi_plan *p = &c->plan;
    sbxi_tar_entry *t = &c->tar.entry; /* where it is wanted */
    int rc;
    memset(t, 0, sizeof *t);
    t->name = sbxi_span_of(c->walk.path[0] ? c->walk.path : ".");
    t->type = e->type == SBX_FILE_DIR ? SBXI_TAR_DIR
        : e->type == SBX_FILE_SYMLINK ? SBXI_TAR_LINK : SBXI_TAR_FILE;
    if (t->type == SBXI_TAR_LINK) t->link = sbxi_span_of(c->target);
    if (t->type == SBXI_TAR_FILE) t->size = e->size;
    t->mode = p->own_mode ? p->mode : e->mode;
    if (t->type == SBXI_TAR_LINK) t->mode = 0777;
    t->mtime = p->no_times ? 0 : e->modified_unix_s;
    t->user = t->group = sbxi_span_of("root");
    rc = sbxi_tar_begin(&c->tar, t);
    return rc == SBX_OK ? rc : sbxi_walk_fail(&c->walk, rc, SBXI_TEXT("no archive can hold it"));
}

/* The walk is over. */
static int sbxi_context_end(sbxi_context *c)
{
    c->state = c->pass == SBXI_PASS_HASH ? SBXI_CONTEXT_DONE : SBXI_CONTEXT_END;
    c->left = SBXI_TAR_END;
    if (c->entries) return SBX_OK;
    return sbxi_error_at(c->plan.error, SBX_E_NOT_FOUND, sbxi_span_of(c->plan.src),
        SBXI_TEXT("no such file in the context, or all are ignored"));
}

/* Whether this pass makes the hash of what is selected. */
static bool sbxi_context_hashes(const sbxi_context *c)
{
    return c->pass != SBXI_PASS_SEND && !c->plan.archive_hash;
}

/* The next entry that is selected; SBX_PENDING: one was passed over. */
static SBXI_APART int sbxi_context_next(sbxi_context *c)
{
    sbxi_walk *w = &c->walk;
    int rc = sbxi_walk_next(w);
    if (rc == SBX_E_NOT_FOUND) return sbxi_context_end(c);
    if (rc != SBX_OK) return rc;
    c->entries++;
    c->entry = w->entry;
    if (w->entry.type == SBX_FILE_UNKNOWN)
        return sbxi_walk_fail(w, SBX_E_NOT_A_FILE,
            SBXI_TEXT("neither a file, a directory nor a link: let it be ignored"));
    if (w->entry.type == SBX_FILE_SYMLINK) rc = sbxi_context_link(c);
    if (rc != SBX_OK) return rc;
    if (sbxi_context_hashes(c)) sbxi_hash_entry(&c->sha, w->path, &c->entry, c->target);
    c->state = SBXI_CONTEXT_HEAD;
    return c->pass == SBXI_PASS_HASH ? SBX_OK : sbxi_context_head(c);
}

/* Behind the head of an entry. */
static int sbxi_context_enter(sbxi_context *c)
{
    const sbx_tree *t = c->plan.tree;
    int rc;
    c->state = SBXI_CONTEXT_NEXT;
    if (c->entry.type != SBX_FILE_REGULAR) return SBX_OK;
    if (c->entry.size < 0) return sbxi_walk_fail(&c->walk, SBX_E_ARG, NULL);
    rc = t->open(t->ctx, c->walk.path, &c->file);
    if (rc == SBX_E_NOT_A_FILE) rc = SBX_E_CHANGED;
    if (rc != SBX_OK) return sbxi_context_failed(c, rc);
    c->open = true;
    c->left = c->entry.size;
    c->state = SBXI_CONTEXT_FILE;
    return SBX_OK;
}

/* All of a file is in; its last block is filled up with zeros. */
static int sbxi_context_filled(sbxi_context *c)
{
    sbxi_context_shut(c);
    c->state = SBXI_CONTEXT_NEXT;
    if (c->have) memset(c->block + c->have, 0, SBXI_TAR_BLOCK - c->have);
    if (c->have) c->have = SBXI_TAR_BLOCK;
    return SBX_OK;
}

/* The next bytes of a file, into the block. Behind its size there must be none. */
static SBXI_APART int sbxi_context_file(sbxi_context *c)
{
    const sbx_tree *t = c->plan.tree;
    size_t got = 0, want = (size_t)SBXI_MIN(c->left, (int64_t)(SBXI_TAR_BLOCK - c->have));
    unsigned char more, *to = want ? c->block + c->have : &more;
    int rc = t->read(t->ctx, c->file, to, want ? want : 1, &got);
    if (rc == SBX_E_AGAIN) return rc;
    if (rc != SBX_OK) return sbxi_context_failed(c, rc);
    if ((want == 0) != (got == 0)) return sbxi_context_changed(c);
    if (want == 0) return sbxi_context_filled(c);
    if (got > want) return sbxi_context_failed(c, SBX_E_SOURCE);
    if (sbxi_context_hashes(c)) sbx_sha256_add(&c->sha, to, got);
    c->have = (uint16_t)(c->pass == SBXI_PASS_HASH ? 0 : c->have + got);
    c->left -= (int64_t)got;
    return SBX_OK;
}

/* One step towards the next block of the tar; SBX_PENDING: one without a file. */
static int sbxi_context_block(sbxi_context *c)
{
    switch (c->state) {
    case SBXI_CONTEXT_NEXT:
        return sbxi_context_next(c);
    case SBXI_CONTEXT_HEAD:
        if (c->pass == SBXI_PASS_HASH || !sbxi_tar_block(&c->tar, c->block))
            return sbxi_context_enter(c);
        c->have = SBXI_TAR_BLOCK;
        return SBX_OK;
    case SBXI_CONTEXT_FILE:
        return sbxi_context_file(c);
    default: /* SBXI_CONTEXT_END */
        memset(c->block, 0, sizeof c->block);
        c->have = SBXI_TAR_BLOCK;
        c->left -= SBXI_TAR_BLOCK;
        if (c->left == 0) c->state = SBXI_CONTEXT_DONE;
        return SBX_OK;
    }
}

/* All of the tar is made: is it what was counted? */
static int sbxi_context_check(sbxi_context *c)
{
    if (c->gzip) c->crc = c->gzip->crc;
    if (c->pass == SBXI_PASS_SEND
        && (c->crc != c->known_crc || c->entries != c->known_entries))
        return sbxi_error_at(c->plan.error, SBX_E_CHANGED, sbxi_span_of(c->plan.src), NULL);
    c->known_crc = c->crc;
    c->known_entries = c->entries;
    return SBX_OK;
}

/* Out of the block, as it is; the last one only if all is as it was counted. */
static SBXI_APART int sbxi_context_copy(sbxi_context *c, sbxi_flow *io, bool last)
{
    size_t n = SBXI_MIN(io->in_len, io->out_len);
    int rc = SBX_OK;
    if (c->at == 0) c->crc = sbxi_crc32(c->crc, io->in, SBXI_TAR_BLOCK);
    if (c->at == 0 && last) rc = sbxi_context_check(c);
    if (rc != SBX_OK) return rc;
    memcpy(io->out, io->in, n);
    io->out += n;
    io->out_len -= n;
    io->in_len -= n;
    c->done = last && !io->in_len;
    return SBX_OK;
}

/* Out of the block, packed; its end the same way. */
static SBXI_APART int sbxi_context_pack(sbxi_context *c, sbxi_flow *io, bool last)
{
    bool finish = last && !io->in_len;
    int rc = finish ? sbxi_context_check(c) : SBX_OK;
    if (rc == SBX_OK) c->done = sbxi_gzip_run(c->gzip, io, finish);
    return rc;
}

/* Up to cap bytes of the archive; *got 0: it is out. SBX_PENDING: none yet. */
static int sbxi_context_pull(sbxi_context *c, unsigned char *out, size_t cap, size_t *got)
{
    sbxi_flow io;
    int rc = SBX_OK;
    io.out = out;
    io.out_len = cap;
    while (rc == SBX_OK && io.out_len && !c->done) {
        bool last = c->state == SBXI_CONTEXT_DONE;
        if (c->have < SBXI_TAR_BLOCK && !last) {
            rc = sbxi_context_block(c);
            continue;
        }
        io.in = c->block + c->at;
        io.in_len = (size_t)(c->have - c->at);
        rc = c->gzip ? sbxi_context_pack(c, &io, last) : sbxi_context_copy(c, &io, last);
        c->at = (uint16_t)(c->have - io.in_len);
        if (c->at == c->have) c->at = c->have = 0;
    }
    *got = cap - io.out_len;
    return (rc == SBX_E_AGAIN || rc == SBX_PENDING) && *got ? SBX_OK : rc;
}

/* At the end of a pass that tells the hash. */
static SBXI_APART int sbxi_context_told(sbxi_context *c)
{
    char hash[65];
    sbxi_hash_end(&c->sha, hash);
    if (c->hash[0] && memcmp(hash, c->hash, sizeof hash) != 0)
        return sbxi_error_at(c->plan.error, SBX_E_CHANGED, sbxi_span_of(c->plan.src), NULL);
    memcpy(c->hash, hash, sizeof hash);
    if (c->pass == SBXI_PASS_COUNT) c->size = c->sent;
    return SBX_OK;
}

/* Goes on with a hash or count pass for about `most` bytes of the files. SBX_OK: it is
   over, `hash` and after count `size` are known; SBX_PENDING: call again; SBX_E_AGAIN:
   a source has nothing now. SBX_E_NOT_FOUND: nothing is selected. */
static SBXI_MAYBE int sbxi_context_step(sbxi_context *c, uint32_t most)
{
    uint32_t used = 0;
    size_t got;
    int rc = SBX_OK;
    while (rc == SBX_OK && used < most) {
        if (c->pass == SBXI_PASS_HASH ? c->state == SBXI_CONTEXT_DONE : c->done)
            return sbxi_context_told(c);
        got = 0;
        if (c->pass == SBXI_PASS_HASH) rc = sbxi_context_block(c);
        else rc = sbxi_context_pull(c, c->count, sizeof c->count, &got);
        if (got && c->plan.archive_hash) sbx_sha256_add(&c->sha, c->count, got);
        c->sent += (int64_t)got;
        used += SBXI_TAR_BLOCK;
        if (rc == SBX_PENDING) rc = SBX_OK;
    }
    return rc == SBX_OK ? SBX_PENDING : rc;
}

/* Files that are passed over at once, before others have their turn. */
#define SBXI_CONTEXT_PASSED 1024u

static int sbxi_context_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    sbxi_context *c = (sbxi_context *)ctx;
    uint64_t left = (uint64_t)(c->size - c->sent);
    size_t n = left < cap ? (size_t)left : cap;
    unsigned passed = 0;
    int rc = SBX_OK;
    *got = 0;
    if (n) do rc = sbxi_context_pull(c, (unsigned char *)buf, n, got);
        while (rc == SBX_PENDING && ++passed < SBXI_CONTEXT_PASSED);
    if (rc != SBX_OK) return rc == SBX_PENDING ? SBX_E_AGAIN : rc;
    if (c->done != (c->sent + (int64_t)*got == c->size)) {
        *got = 0;
        return sbxi_error_at(c->plan.error, SBX_E_CHANGED, sbxi_span_of(c->plan.src), NULL);
    }
    c->sent += (int64_t)*got;
    return SBX_OK;
}

static int sbxi_context_rewind(void *ctx)
{
    return sbxi_context_begin((sbxi_context *)ctx, SBXI_PASS_SEND);
}

/* The archive, after count. One at a time; to be rewound before the first use. */
static SBXI_MAYBE sbx_source sbxi_context_source(sbxi_context *c)
{
    sbx_source s = { sbxi_context_get, sbxi_context_rewind, NULL, 0 };
    s.ctx = c;
    s.size = c->size;
    return s;
}

#endif
