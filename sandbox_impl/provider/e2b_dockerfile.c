/* e2b_dockerfile - what E2B makes of a Dockerfile: steps of a template, in its own
   order. As the Python SDK 2.63 converts it. Called by api/template. */

#if !defined(SBX_NO_E2B) && !defined(SBX_NO_TEMPLATE)

typedef struct sbxi_e2b_docker {
    sbxi_docker d;
    sbx_template *t;
    void (*notice)(void *ctx, int line, const char *text);
    void *ctx;
    bool from, user, workdir;       /* the file had one */
    bool entry_json;                /* of the entry point */
    sbxi_buf entry, cmd;            /* their shell form, empty: none */
    bool cmd_json;
    sbxi_buf known;                 /* ENV and ARG so far: NAME NUL VALUE NUL ... */
    sbxi_buf text;                  /* a command that is being made */
    sbxi_buf body, mark;            /* of a heredoc in it, and what ends that */
    const char *at;                 /* in the one that is expanded */
    size_t depth;
    char open[16];                  /* of each ${: } its text, # a pattern, / up to a slash */
    const char *wrong;              /* first thing that is; may be in about */
    char about[160];
    int status;                     /* else why it ended */
} sbxi_e2b_docker;

/* What went wrong with the memory of any of its texts. */
static int sbxi_e2b_df_status(const sbxi_e2b_docker *e)
{
    const sbxi_buf *const all[] = { &e->entry, &e->cmd, &e->known, &e->text, &e->body, &e->mark };
    int status = sbxi_docker_status(&e->d);
    size_t i;
    for (i = 0; !status && i < SBXI_LEN(all); i++) status = all[i]->status;
    return status;
}

static void sbxi_e2b_df_wrong(sbxi_e2b_docker *e, const char *wrong)
{
    if (!e->wrong && !e->status) e->wrong = wrong;
}

/* The same with what it is about. */
static void sbxi_e2b_df_wrong_about(sbxi_e2b_docker *e, const char *wrong, const char *what)
{
    if (e->wrong || e->status) return;
    sbxi_put_text(e->about, sizeof e->about, wrong, strlen(wrong));
    sbxi_add_text(e->about, sizeof e->about, what);
    e->wrong = e->about;
}

static void sbxi_e2b_df_tell(sbxi_e2b_docker *e, const char *text, const char *what)
{
    if (!e->notice) return;
    sbxi_buf_clear(&e->text);
    sbxi_buf_texts(&e->text, text, what, NULL);
    if (sbxi_buf_add(&e->text, "", 1) == SBX_OK) e->notice(e->ctx, e->d.start, e->text.data);
}

/* Adds a step, unless something is wrong already. */
static void sbxi_e2b_df_put(sbxi_e2b_docker *e, const sbxi_step *plan)
{
    if (e->wrong || e->status) return;
    sbxi_e2b_df_wrong(e, sbxi_step_check(plan));
    sbxi_e2b_df_wrong(e, sbxi_e2b_template_check(e->t, plan));
    if (!e->wrong) e->status = sbxi_step_add(e->t, plan);
}

static void sbxi_e2b_df_put_texts(sbxi_e2b_docker *e, unsigned kind, const char *const *texts,
    size_t n, const char *user)
{
    sbxi_step plan;
    memset(&plan, 0, sizeof plan);
    plan.kind = (uint8_t)kind;
    plan.texts.items = texts;
    plan.texts.count = n;
    plan.user = user;
    sbxi_e2b_df_put(e, &plan);
}

static void sbxi_e2b_df_put_one(sbxi_e2b_docker *e, unsigned kind, const char *text,
    const char *user)
{
    sbxi_e2b_df_put_texts(e, kind, &text, 1, user);
}

/* The text that was made in a buffer, as a step. */
static void sbxi_e2b_df_put_made(sbxi_e2b_docker *e, unsigned kind, const char *user)
{
    if (sbxi_buf_add(&e->text, "", 1) != SBX_OK) e->status = e->text.status;
    else sbxi_e2b_df_put_one(e, kind, e->text.data, user);
}

/* All words from the i-th on, quoted for a shell. */
static void sbxi_e2b_df_join(const sbxi_docker *d, sbxi_buf *to, size_t i)
{
    const char *word = sbxi_docker_word(d, i);
    for (; i < d->word_count; i++, word = sbxi_docker_after(word)) {
        if (to->len) sbxi_buf_text(to, " ");
        sbxi_quote(to, word);
    }
}

/* ---- variables ------------------------------------------------------------------- */

/* Words as names and values in turn are a step, and known from here on. */
static void sbxi_e2b_df_put_env(sbxi_e2b_docker *e)
{
    const sbx_alloc *a = e->d.words.alloc;
    size_t n = e->d.word_count, i;
    const char **texts;
    if (e->wrong || e->status || e->d.words.status || !n) return;
    texts = n > SIZE_MAX / sizeof *texts ? NULL
        : (const char **)sbxi_alloc_get(a, n * sizeof *texts);
    if (!texts) {
        e->status = SBX_E_NOMEM;
        return;
    }
    for (i = 0; i < n; i++)
        texts[i] = i ? sbxi_docker_after(texts[i - 1]) : sbxi_docker_word(&e->d, 0);
    sbxi_buf_add(&e->known, e->d.words.data, e->d.words.len);
    sbxi_e2b_df_put_texts(e, SBXI_DO_ENV, texts, n, NULL);
    sbxi_alloc_free(a, texts, n * sizeof *texts);
}

/* NAME=VALUE words; of ARG the value may be missing. */
static void sbxi_e2b_df_pairs(sbxi_e2b_docker *e, bool arg)
{
    sbxi_docker *d = &e->d;
    const char *p = d->rest, *end, *equals;
    sbxi_docker_no_words(d);
    for (; *p && !e->wrong; p = sbxi_skip_blanks(end)) {
        end = sbxi_docker_word_end(d, p);
        equals = (const char *)memchr(p, '=', (size_t)(end - p));
        if (!equals && !arg)
            sbxi_e2b_df_wrong(e, SBXI_TEXT("a word without =: NAME=VALUE is meant"));
        if (equals == p) sbxi_e2b_df_wrong(e, SBXI_TEXT("a name is empty"));
        sbxi_docker_add_word(d, p, equals ? equals : end);
        sbxi_docker_add_word(d, equals ? equals + 1 : end, end);
    }
    sbxi_e2b_df_put_env(e);
}

static void sbxi_e2b_df_env(sbxi_e2b_docker *e)
{
    sbxi_docker *d = &e->d;
    const char *end = sbxi_docker_word_end(d, d->rest), *value = sbxi_skip_blanks(end);
    if (!*d->rest) sbxi_e2b_df_wrong(e, SBXI_TEXT("at least one argument is needed"));
    else if (memchr(d->rest, '=', (size_t)(end - d->rest))) sbxi_e2b_df_pairs(e, false);
    else if (!*value) sbxi_e2b_df_wrong(e, SBXI_TEXT("two arguments are needed"));
    else { /* the old form: all behind the name */
        sbxi_docker_no_words(d);
        sbxi_docker_add_word(d, d->rest, end);
        sbxi_docker_add_word(d, value, value + strlen(value));
        sbxi_e2b_df_put_env(e);
    }
}

static void sbxi_e2b_df_arg(sbxi_e2b_docker *e)
{
    if (!*e->d.rest) sbxi_e2b_df_wrong(e, SBXI_TEXT("at least one argument is needed"));
    else sbxi_e2b_df_pairs(e, true);
}

/* The last value of a name, "" if it has none. */
static const char *sbxi_e2b_df_value(const sbxi_e2b_docker *e, const char *name, size_t len)
{
    const char *p = e->known.data, *end = p ? p + e->known.len : p, *found = "";
    while (p < end) {
        const char *value = p + strlen(p) + 1;
        if (strlen(p) == len && memcmp(p, name, len) == 0) found = value;
        p = value + strlen(value) + 1;
    }
    return found;
}

/* A text with $NAME and ${NAME} replaced, into text. */
static const char *sbxi_e2b_df_resolve(sbxi_e2b_docker *e, const char *p)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
        "0123456789";
    sbxi_buf_clear(&e->text);
    while (*p) {
        size_t brace = p[0] == '$' && p[1] == '{', n;
        if (*p != '$') {
            sbxi_buf_add(&e->text, p++, 1);
            continue;
        }
        p += 1 + brace;
        n = strspn(p, letters);
        sbxi_buf_text(&e->text, sbxi_e2b_df_value(e, p, n));
        p += n;
        p += brace && *p == '}';
    }
    return sbxi_buf_add(&e->text, "", 1) == SBX_OK ? e->text.data : "";
}

/* ---- FROM, RUN, CMD ---------------------------------------------------------------- */

static void sbxi_e2b_df_from(sbxi_e2b_docker *e)
{
    const char *name, *value, *image;
    while (sbxi_docker_flag(&e->d, &name, &value)) {
        if (strcmp(name, "platform") == 0) sbxi_e2b_df_tell(e, "not heeded: FROM --", name);
        else sbxi_e2b_df_wrong_about(e, SBXI_TEXT("unknown flag: "), name);
    }
    sbxi_docker_words(&e->d);
    if (e->d.words.status) return;
    if (e->from)
        sbxi_e2b_df_wrong(e,
            SBXI_TEXT("a second FROM: builds of several stages are not supported"));
    if (e->d.word_count != 1 && (e->d.word_count != 3
        || !sbxi_span_is_nocase(sbxi_span_of(sbxi_docker_word(&e->d, 1)), "as")))
        sbxi_e2b_df_wrong(e, SBXI_TEXT("one argument is needed, or three: image AS name"));
    e->from = true;
    if (e->wrong || e->status) return;
    image = sbxi_docker_word(&e->d, 0);
    sbxi_e2b_df_put_one(e, SBXI_FROM_IMAGE, image, NULL);
}

/* Takes the tabs off its lines where they do not count. */
static void sbxi_e2b_df_chomp(sbxi_heredoc *h)
{
    const char *p = h->body;
    char *to = h->body;
    while (h->chomp && *p) {
        while (*p == '\t') p++;
        while (*p && (*to++ = *p++) != '\n') continue;
    }
    if (h->chomp) *to = 0;
}

static bool sbxi_e2b_df_in_name(char c)
{
    return sbxi_is_digit(c) || c == '_' || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* Ends the body of a heredoc, and makes what ends it for a shell: its name, longer where
   the body has that too. */
static void sbxi_e2b_df_mark(sbxi_e2b_docker *e, const char *p)
{
    sbxi_buf *mark = &e->mark;
    size_t more = 0, n;
    sbxi_buf_clear(mark);
    sbxi_buf_text(mark, "E2B_HEREDOC_");
    for (; *p; p++)
        if ((*p & 0xC0) != 0x80) sbxi_buf_add(mark, sbxi_e2b_df_in_name(*p) ? p : "_", 1);
    sbxi_buf_add(mark, "", 1);
    sbxi_buf_add(&e->body, "", 1);
    if (!e->status) e->status = mark->status ? mark->status : e->body.status;
    if (e->status) return;
    for (p = e->body.data; (p = strstr(p, mark->data)) != NULL; p += n) {
        p += mark->len - 1;
        n = strspn(p, "_");
        if (n >= more) more = n + 1;
    }
    for (mark->len--; more; more--) sbxi_buf_add(mark, "_", 1);
    e->status = sbxi_buf_add(mark, "", 1);
}

/* RUN with nothing but a heredoc runs its body: by what its first line names, if it names
   something. */
static void sbxi_e2b_df_script(sbxi_e2b_docker *e)
{
    static const char *const parts[] = { " && ", "\nE2B_EXIT=$?; rm -f ", "; exit $E2B_EXIT" };
    sbxi_heredoc *h = &e->d.doc[0];
    sbxi_buf *b = &e->text;
    size_t i;
    sbxi_e2b_df_chomp(h);
    if (strncmp(h->body, "#!", 2) != 0) {
        sbxi_buf_text(b, h->body);
        return;
    }
    sbxi_buf_clear(&e->body);
    sbxi_buf_text(&e->body, h->body);
    sbxi_e2b_df_mark(e, h->name);
    sbxi_buf_clear(&e->body);
    sbxi_buf_texts(&e->body, "/tmp/", h->name, NULL);
    sbxi_buf_add(&e->body, "", 1);
    if (!e->status) e->status = e->body.status;
    if (e->status) return;
    sbxi_buf_texts(b, "cat <<'", e->mark.data, "' >");
    sbxi_quote(b, e->body.data);
    sbxi_buf_texts(b, "\n", h->body, e->mark.data);
    sbxi_buf_text(b, "\nchmod +x ");
    for (i = 0; i < SBXI_LEN(parts); i++) {
        sbxi_quote(b, e->body.data);
        sbxi_buf_text(b, parts[i]);
    }
}

static void sbxi_e2b_df_run(sbxi_e2b_docker *e)
{
    sbxi_docker *d = &e->d;
    const char *name, *value;
    size_t i;
    while (sbxi_docker_flag(d, &name, &value))
        sbxi_e2b_df_tell(e, "not heeded: RUN --", name);
    if (!*d->rest) sbxi_e2b_df_wrong(e, SBXI_TEXT("at least one argument is needed"));
    sbxi_buf_clear(&e->text);
    if (sbxi_docker_json(d)) {
        sbxi_e2b_df_join(d, &e->text, 0);
    } else if (d->doc_count == 1 && !*sbxi_docker_word_end(d, d->rest)) {
        sbxi_e2b_df_script(e);
    } else {
        sbxi_buf_text(&e->text, d->rest);
        for (i = 0; i < d->doc_count; i++)
            sbxi_buf_texts(&e->text, "\n", d->doc[i].body, d->doc[i].name);
    }
    sbxi_e2b_df_put_made(e, SBXI_DO_RUN, NULL);
}

/* CMD or ENTRYPOINT: its shell form. */
static void sbxi_e2b_df_keep(sbxi_e2b_docker *e, sbxi_buf *to, bool *json)
{
    sbxi_buf_clear(to);
    *json = sbxi_docker_json(&e->d);
    if (*json) sbxi_e2b_df_join(&e->d, to, 0);
    else sbxi_buf_text(to, e->d.rest);
}

static void sbxi_e2b_df_cmd(sbxi_e2b_docker *e) { sbxi_e2b_df_keep(e, &e->cmd, &e->cmd_json); }
static void sbxi_e2b_df_entry(sbxi_e2b_docker *e)
{
    sbxi_e2b_df_keep(e, &e->entry, &e->entry_json);
}

/* ---- COPY and ADD --------------------------------------------------------------------- */

typedef struct sbxi_e2b_df_copy {
    sbxi_buf user;
    int32_t mode;           /* -1: not said */
    char digits[5];         /* as it was said */
} sbxi_e2b_df_copy;

/* --chmod: three or four octal digits. */
static void sbxi_e2b_df_chmod(sbxi_e2b_docker *e, sbxi_e2b_df_copy *c, const char *value)
{
    const char *p = sbxi_e2b_df_resolve(e, value);
    size_t n = strspn(p, "01234567");
    if (e->text.status) {
        e->status = e->text.status;
        return;
    }
    if (p[n] || (n != 3 && n != 4)) {
        sbxi_e2b_df_wrong(e,
            SBXI_TEXT("--chmod must be three or four octal digits such as 0755"));
        return;
    }
    memcpy(c->digits, p, n + 1);
    for (c->mode = 0; *p; p++) c->mode = c->mode * 8 + (*p - '0');
}

static bool sbxi_e2b_df_one_of(const char *name, const char *list)
{
    size_t n = strlen(name);
    const char *at = strstr(list, name);
    return n && at && at > list && at[-1] == '|' && at[n] == '|';
}

static void sbxi_e2b_df_copy_flag(sbxi_e2b_docker *e, sbxi_e2b_df_copy *c, const char *name,
    const char *value)
{
    bool add = e->d.name.data[0] == 'A';
    if (strcmp(name, "from") == 0) {
        sbxi_e2b_df_wrong(e, SBXI_TEXT("--from: builds of several stages are not supported"));
    } else if (strcmp(name, "chown") == 0 && value) {
        sbxi_buf_clear(&c->user);
        sbxi_buf_text(&c->user, value);
        sbxi_buf_add(&c->user, "", 1);
    } else if (strcmp(name, "chmod") == 0 && value) {
        sbxi_e2b_df_chmod(e, c, value);
    } else if (sbxi_e2b_df_one_of(name, "|link|exclude|parents|")
               || (add && sbxi_e2b_df_one_of(name, "|keep-git-dir|checksum|unpack|"))) {
        sbxi_e2b_df_tell(e, "not heeded: COPY --", name);
    } else {
        sbxi_e2b_df_wrong_about(e, SBXI_TEXT("unknown flag: "), name);
    }
}

/* Length of the name of a variable. */
static size_t sbxi_e2b_df_name(const char *p)
{
    size_t n = 0;
    if (sbxi_is_digit(*p)) while (sbxi_is_digit(p[n])) n++;
    else if (*p && strchr("@*#?-$!", *p)) n = 1;
    else while (sbxi_e2b_df_in_name(p[n]) || (p[n] & 0x80)) n++;
    return n;
}

/* Behind a $. */
static void sbxi_e2b_df_variable(sbxi_e2b_docker *e)
{
    const char *p = e->at;
    size_t n = sbxi_e2b_df_name(p);
    if (*p == '{') {
        static const char kinds[] = "+-?#%/}", opens[] = "}}}##/";
        const char *kind;
        n = sbxi_e2b_df_name(++p);
        p += n;
        if (*p == ':' && strchr("+-?", p[1])) p++;
        kind = strchr(kinds, *p);
        if (!n || !*p || !kind || e->depth == sizeof e->open) {
            sbxi_e2b_df_wrong(e, SBXI_TEXT("a substitution in a heredoc that is not supported"));
            return;
        }
        if (*p != '}') e->open[e->depth++] = opens[kind - kinds];
        n = (size_t)(p - e->at) + 1 + (strncmp(p, "//", 2) == 0);
    }
    sbxi_buf_text(&e->body, n ? "$" : "\\$");
    sbxi_buf_add(&e->body, e->at, n);
    e->at += n;
}

/* The byte that was read, as a shell is to see it; in a ${ of that kind. */
static void sbxi_e2b_df_byte(sbxi_e2b_docker *e, char c, char open)
{
    bool escape = c == '`';
    if (c == '\\' && *e->at) {
        c = *e->at++;
        escape = strchr("\\`$", c) || (open && (open != '}' || c == '}'));
    } else if (open && c == (open == '/' ? '/' : '}')) {
        if (open == '/') e->open[e->depth - 1] = '#';
        else e->depth--;
    }
    if (escape) sbxi_buf_text(&e->body, "\\");
    sbxi_buf_add(&e->body, &c, 1);
}

/* Makes of a body one in which a shell replaces $NAME and ${NAME...}, and nothing else. */
static void sbxi_e2b_df_expand(sbxi_e2b_docker *e, const char *body)
{
    e->depth = 0;
    for (e->at = body; *e->at && !e->wrong;) {
        char c = *e->at++;
        if (c == '$') sbxi_e2b_df_variable(e);
        else sbxi_e2b_df_byte(e, c, (char)(e->depth ? e->open[e->depth - 1] : 0));
    }
    if (e->depth) sbxi_e2b_df_wrong(e, SBXI_TEXT("a ${ in a heredoc is not closed"));
}

/* Where a heredoc goes: into a directory if the destination is one. */
static void sbxi_e2b_df_doc_dest(sbxi_e2b_docker *e, const char *dest, const char *name)
{
    sbxi_buf *b = &e->text;
    size_t n = strlen(dest);
    bool directory = n && dest[n - 1] == '/';
    sbxi_buf_clear(&e->body);
    sbxi_buf_texts(&e->body, dest, directory ? name : "", NULL);
    sbxi_buf_clear(b);
    sbxi_buf_text(b, "E2B_HEREDOC_DEST=");
    if (sbxi_buf_add(&e->body, "", 1) == SBX_OK) sbxi_quote(b, e->body.data);
    else e->status = e->body.status;
    if (directory) return;
    sbxi_buf_text(b, "\nif [ -d \"$E2B_HEREDOC_DEST\" ]; then "
        "E2B_HEREDOC_DEST=\"$E2B_HEREDOC_DEST\"/");
    sbxi_quote(b, name);
    sbxi_buf_text(b, "; fi");
}

/* A source that stands in the Dockerfile: root writes it. */
static SBXI_APART void sbxi_e2b_df_copy_doc(sbxi_e2b_docker *e, const sbxi_e2b_df_copy *c,
    sbxi_heredoc *h, const char *dest)
{
    sbxi_buf *b = &e->text;
    const char *quote = h->raw ? "'" : "", *digits = c->digits;
    sbxi_e2b_df_doc_dest(e, dest, h->name);
    sbxi_buf_clear(&e->body);
    sbxi_e2b_df_chomp(h);
    if (h->raw) sbxi_buf_text(&e->body, h->body);
    else sbxi_e2b_df_expand(e, h->body);
    sbxi_e2b_df_mark(e, h->name);
    if (e->status || e->wrong) return;
    sbxi_buf_text(b, "\nmkdir -p \"$(dirname \"$E2B_HEREDOC_DEST\")\" && cat <<");
    sbxi_buf_texts(b, quote, e->mark.data, quote);
    sbxi_buf_texts(b, " >\"$E2B_HEREDOC_DEST\"\n", e->body.data, e->mark.data);
    if (c->user.len) {
        sbxi_buf_text(b, "\nchown ");
        sbxi_quote(b, c->user.data);
        sbxi_buf_text(b, " \"$E2B_HEREDOC_DEST\"");
    }
    while (digits[0] == '0' && digits[1]) digits++;
    if (*digits) sbxi_buf_texts(b, "\nchmod ", digits, " \"$E2B_HEREDOC_DEST\"");
    sbxi_e2b_df_put_made(e, SBXI_DO_RUN, "root");
}

static bool sbxi_e2b_df_is_remote(const char *src)
{
    return strncmp(src, "http://", 7) == 0 || strncmp(src, "https://", 8) == 0
        || strncmp(src, "git@", 4) == 0 || strncmp(src, "git://", 6) == 0
        || strncmp(src, "ssh://", 6) == 0;
}

/* One step a source. */
static SBXI_APART void sbxi_e2b_df_copy_word(sbxi_e2b_docker *e, const sbxi_e2b_df_copy *c,
    const char *src, const char *dest)
{
    const char *texts[2];
    sbxi_step plan;
    if (sbxi_e2b_df_is_remote(src)) {
        sbxi_e2b_df_wrong_about(e, SBXI_TEXT("a remote source: fetch it with RUN: "), src);
        return;
    }
    memset(&plan, 0, sizeof plan);
    plan.kind = SBXI_DO_COPY;
    plan.user = c->user.len ? c->user.data : NULL;
    if (c->mode >= 0) {
        plan.number = c->mode;
        plan.flags = SBXI_FLAG('m');
    }
    texts[0] = src;
    texts[1] = dest;
    plan.texts.items = texts;
    plan.texts.count = 2;
    sbxi_e2b_df_put(e, &plan);
}

/* The sources in order; those that are heredocs say so before their quotes are gone. */
static void sbxi_e2b_df_copy_all(sbxi_e2b_docker *e, const sbxi_e2b_df_copy *c)
{
    sbxi_docker *d = &e->d;
    bool json = sbxi_docker_json(d), chomp;
    const char *p = d->rest, *end = p, *name, *dest, *src;
    size_t i, doc = 0;
    if (!json) sbxi_docker_words(d);
    if (d->words.status) return;
    if (d->word_count < 2) sbxi_e2b_df_wrong(e, SBXI_TEXT("at least two arguments are needed"));
    if (e->wrong || e->status) return;
    src = sbxi_docker_word(d, 0);
    dest = sbxi_docker_word(d, d->word_count - 1);
    for (i = 0; i + 1 < d->word_count;
         i++, p = sbxi_skip_blanks(end), src = sbxi_docker_after(src)) {
        end = json ? p : sbxi_docker_word_end(d, p);
        if (doc < d->doc_count && sbxi_is_heredoc(p, end, &name, &chomp))
            sbxi_e2b_df_copy_doc(e, c, &d->doc[doc++], dest);
        else
            sbxi_e2b_df_copy_word(e, c, src, dest);
    }
}

static void sbxi_e2b_df_copy_files(sbxi_e2b_docker *e)
{
    sbxi_e2b_df_copy c;
    const char *name, *value;
    c.mode = -1;
    c.digits[0] = 0;
    sbxi_buf_init(&c.user, e->d.words.alloc, SBX_MAX_LINE);
    while (sbxi_docker_flag(&e->d, &name, &value)) sbxi_e2b_df_copy_flag(e, &c, name, value);
    if (c.user.status) e->status = c.user.status;
    sbxi_e2b_df_copy_all(e, &c);
    sbxi_buf_free(&c.user);
}

/* ---- the rest --------------------------------------------------------------------------- */

static void sbxi_e2b_df_one_word(sbxi_e2b_docker *e, unsigned kind, bool *seen)
{
    const char *rest = e->d.rest;
    if (!*rest) sbxi_e2b_df_wrong(e, SBXI_TEXT("exactly one argument is needed"));
    sbxi_docker_no_words(&e->d);
    sbxi_docker_add_word(&e->d, rest, rest + strlen(rest)); /* blanks and all */
    *seen = true;
    if (!e->wrong && !e->d.words.status)
        sbxi_e2b_df_put_one(e, kind, sbxi_docker_word(&e->d, 0), NULL);
}

static void sbxi_e2b_df_user_is(sbxi_e2b_docker *e)
{
    sbxi_e2b_df_one_word(e, SBXI_DO_USER, &e->user);
}

static void sbxi_e2b_df_workdir_is(sbxi_e2b_docker *e)
{
    sbxi_e2b_df_one_word(e, SBXI_DO_WORKDIR, &e->workdir);
}
static void sbxi_e2b_df_pass_over(sbxi_e2b_docker *e) { (void)e; }
static void sbxi_e2b_df_not_heeded(sbxi_e2b_docker *e)
{
    sbxi_e2b_df_tell(e, "Unsupported instruction: ", e->d.name.data);
}

static const struct { const char *name; void (*convert)(sbxi_e2b_docker *e); }
sbxi_e2b_df_instructions[] = {
    { "FROM", sbxi_e2b_df_from }, { "ARG", sbxi_e2b_df_arg }, { "RUN", sbxi_e2b_df_run },
    { "COPY", sbxi_e2b_df_copy_files }, { "ADD", sbxi_e2b_df_copy_files },
    { "ENV", sbxi_e2b_df_env }, { "WORKDIR", sbxi_e2b_df_workdir_is },
    { "USER", sbxi_e2b_df_user_is }, { "CMD", sbxi_e2b_df_cmd },
    { "ENTRYPOINT", sbxi_e2b_df_entry }, { "EXPOSE", sbxi_e2b_df_pass_over },
    { "VOLUME", sbxi_e2b_df_pass_over }, { "LABEL", sbxi_e2b_df_pass_over },
    { "MAINTAINER", sbxi_e2b_df_pass_over }, { "HEALTHCHECK", sbxi_e2b_df_not_heeded },
    { "ONBUILD", sbxi_e2b_df_not_heeded }, { "SHELL", sbxi_e2b_df_not_heeded },
    { "STOPSIGNAL", sbxi_e2b_df_not_heeded }
};

/* An instruction stands before FROM: it is that which is wrong, if there is one at all. */
static void sbxi_e2b_df_early(sbxi_e2b_docker *e)
{
    int start = e->d.start;
    sbxi_buf_clear(&e->text);
    sbxi_buf_text(&e->text, e->d.name.data);
    sbxi_buf_add(&e->text, "", 1);
    while (!e->from && sbxi_docker_next(&e->d)) e->from = strcmp(e->d.name.data, "FROM") == 0;
    if (!e->from || e->text.status) return;
    e->d.start = start;
    sbxi_buf_clear(&e->d.name);
    sbxi_buf_text(&e->d.name, e->text.data);
    sbxi_buf_add(&e->d.name, "", 1);
    sbxi_e2b_df_wrong(e, SBXI_TEXT("must be preceded by a FROM"));
}

/* The instruction that was read; the first two may stand before FROM. */
static void sbxi_e2b_df_instruction(sbxi_e2b_docker *e)
{
    size_t i = 0;
    while (i < SBXI_LEN(sbxi_e2b_df_instructions)
           && strcmp(sbxi_e2b_df_instructions[i].name, e->d.name.data) != 0) i++;
    if (i == SBXI_LEN(sbxi_e2b_df_instructions))
        sbxi_e2b_df_wrong(e, SBXI_TEXT("unknown instruction"));
    else if (i > 1 && !e->from) sbxi_e2b_df_early(e);
    else sbxi_e2b_df_instructions[i].convert(e);
}

/* What starts with each sandbox, and who is at work where afterwards. */
static void sbxi_e2b_docker_end(sbxi_e2b_docker *e)
{
    sbxi_buf *b = &e->text;
    sbxi_step ready;
    sbxi_buf_clear(b);
    sbxi_buf_add(b, e->entry.data, e->entry.len);
    if (!e->entry.len || (e->entry_json && e->cmd.len)) {
        if (b->len) sbxi_buf_text(b, " ");
        if (b->len && !e->cmd_json) {
            sbxi_buf_add(&e->cmd, "", 1);
            sbxi_buf_text(b, "/bin/sh -c ");
            if (!e->cmd.status) sbxi_quote(b, e->cmd.data);
        } else {
            sbxi_buf_add(b, e->cmd.data, e->cmd.len);
        }
    }
    e->status = sbxi_e2b_df_status(e);
    if (b->len) {
        sbxi_e2b_df_put_made(e, SBXI_DO_START, NULL);
        memset(&ready, 0, sizeof ready);
        ready.kind = SBXI_DO_READY;
        ready.flags = SBX_READY_TIMEOUT;
        ready.number = 20;
        sbxi_e2b_df_put(e, &ready);
    }
    if (!e->user) sbxi_e2b_df_put_one(e, SBXI_DO_USER, "user", NULL);
    if (!e->workdir) sbxi_e2b_df_put_one(e, SBXI_DO_WORKDIR, "/home/user", NULL);
}

/* "line 7: COPY: " and what is wrong. */
static int sbxi_e2b_docker_fail(sbxi_e2b_docker *e, int status)
{
    sbx_error *error = &e->t->error;
#ifndef SBX_NO_ERROR_TEXT
    char text[8 + SBXI_DECIMAL_MAX];
    size_t n;
    memcpy(text, "line ", 5);
    n = 5 + sbxi_print_u64(text + 5, (uint64_t)e->d.start);
    memcpy(text + n, ": ", 3);
    if (e->d.start) sbxi_put_text(error->message, sizeof error->message, text, n + 2);
    if (e->d.name.len) {
        sbxi_add_text(error->message, sizeof error->message, e->d.name.data);
        sbxi_add_text(error->message, sizeof error->message, ": ");
    }
    sbxi_add_text(error->message, sizeof error->message,
        e->wrong ? e->wrong : sbx_strerror(status));
#endif
    return sbxi_error_set(error, status, NULL);
}

/* Instruction by instruction, until the end or what is wrong. */
static void sbxi_e2b_df_all(sbxi_e2b_docker *e)
{
    sbxi_e2b_df_put_one(e, SBXI_DO_USER, "root", NULL);
    sbxi_e2b_df_put_one(e, SBXI_DO_WORKDIR, "/", NULL);
    while (!e->wrong && !e->status && sbxi_docker_next(&e->d)) {
        sbxi_e2b_df_instruction(e);
        if (!e->status) e->status = sbxi_e2b_df_status(e);
    }
    sbxi_e2b_df_wrong(e, e->d.wrong);
    if (!e->status) e->status = sbxi_e2b_df_status(e);
    if (e->wrong || e->status || e->from) return;
    e->d.start = 0;
    sbxi_buf_clear(&e->d.name);
    sbxi_e2b_df_wrong(e, SBXI_TEXT("a Dockerfile needs a FROM"));
}

static void sbxi_e2b_docker_init(sbxi_e2b_docker *e, sbx_template *t, const char *text, size_t len)
{
    const sbx_alloc *a = &t->client->link.alloc;
    e->t = t;
    sbxi_docker_init(&e->d, a, text, len);
    sbxi_buf_init(&e->entry, a, SBX_MAX_REQUEST);
    sbxi_buf_init(&e->cmd, a, SBX_MAX_REQUEST);
    sbxi_buf_init(&e->known, a, SBX_MAX_REQUEST);
    sbxi_buf_init(&e->text, a, SBX_MAX_REQUEST);
    sbxi_buf_init(&e->body, a, SBX_MAX_REQUEST);
    sbxi_buf_init(&e->mark, a, SBX_MAX_REQUEST);
}

static void sbxi_e2b_docker_free(sbxi_e2b_docker *e)
{
    const sbx_alloc *a = &e->t->client->link.alloc;
    sbxi_docker_free(&e->d);
    sbxi_buf_free(&e->entry);
    sbxi_buf_free(&e->cmd);
    sbxi_buf_free(&e->known);
    sbxi_buf_free(&e->text);
    sbxi_buf_free(&e->body);
    sbxi_buf_free(&e->mark);
    sbxi_alloc_free(a, e, sizeof *e);
}

static int sbxi_e2b_from_dockerfile(sbx_template *t, const char *text, size_t len,
    void (*notice)(void *ctx, int line, const char *text), void *ctx)
{
    sbxi_e2b_docker *e = (sbxi_e2b_docker *)sbxi_alloc_get(&t->client->link.alloc, sizeof *e);
    int status;
    if (!e) return sbxi_error_set(&t->error, SBX_E_NOMEM, NULL);
    sbxi_e2b_docker_init(e, t, text, len);
    e->notice = notice;
    e->ctx = ctx;
    sbxi_e2b_df_all(e);
    if (!e->wrong && !e->status) sbxi_e2b_docker_end(e);
    status = e->wrong ? SBX_E_ARG : e->status;
    if (status) (void)sbxi_e2b_docker_fail(e, status);
    sbxi_e2b_docker_free(e);
    return status;
}

static const sbxi_template_rules sbxi_e2b_templates = {
    sbxi_e2b_images, sbxi_e2b_template_check, sbxi_e2b_template_read, sbxi_e2b_template_json,
    sbxi_e2b_template_file,
    sbxi_e2b_from_dockerfile
};

#endif
