/* dockerfile - reads a Dockerfile: one instruction after the other, its lines joined,
   its heredocs collected, its words and flags taken apart as BuildKit's parser does. What
   an instruction means is the provider's business. The text is the caller's and stays
   as it is; what is kept of one instruction is bounded by SBX_MAX_REQUEST. */

#ifndef SBX_NO_TEMPLATE

typedef struct sbxi_heredoc {
    const char *name;
    char *body;                     /* lines, each with its end */
    bool chomp;                     /* <<-: tabs before its lines do not count */
    bool raw;                       /* its name was quoted: nothing in it is expanded */
} sbxi_heredoc;

#define SBXI_HEREDOCS 8             /* of one instruction */

typedef struct sbxi_docker {
    const char *text, *end;         /* what is still to be read */
    int line;                       /* of what was read last, from 1 */
    int start;                      /* first line of the instruction */
    char escape;                    /* \ or ` */
    bool begun;                     /* behind the directives at the top */
    const char *wrong;              /* why it ended early, NULL: it did not */
    sbxi_buf name;                  /* of the instruction, upper case */
    sbxi_buf joined;                /* all of it, NUL-terminated */
    const char *rest;               /* of joined: behind name and flags */
    sbxi_buf words;                 /* made of rest, each with its NUL */
    size_t word_count;
    sbxi_buf docs;                  /* names and bodies of heredocs, each with its NUL */
    sbxi_heredoc doc[SBXI_HEREDOCS];
    size_t doc_count;
} sbxi_docker;

static SBXI_MAYBE void sbxi_docker_init(sbxi_docker *d, const sbx_alloc *alloc, const char *text,
    size_t len)
{
    memset(d, 0, sizeof *d);
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        len -= 3;
    }
    d->text = text;
    d->end = text + len;
    d->escape = '\\';
    sbxi_buf_init(&d->name, alloc, 32);
    sbxi_buf_init(&d->joined, alloc, SBX_MAX_REQUEST);
    sbxi_buf_init(&d->words, alloc, SBX_MAX_REQUEST);
    sbxi_buf_init(&d->docs, alloc, SBX_MAX_REQUEST);
}

static SBXI_MAYBE void sbxi_docker_free(sbxi_docker *d)
{
    sbxi_buf_free(&d->name);
    sbxi_buf_free(&d->joined);
    sbxi_buf_free(&d->words);
    sbxi_buf_free(&d->docs);
}

/* What went wrong with the memory of it, if anything did. */
static SBXI_MAYBE int sbxi_docker_status(const sbxi_docker *d)
{
    return d->joined.status ? d->joined.status : d->words.status ? d->words.status
        : d->docs.status ? d->docs.status : d->name.status == SBX_E_NOMEM ? SBX_E_NOMEM : SBX_OK;
}

static bool sbxi_docker_blank(char c) { return c == ' ' || c == '\t'; }

static const char *sbxi_skip_blanks(const char *p)
{
    while (sbxi_docker_blank(*p)) p++;
    return p;
}

/* ---- lines --------------------------------------------------------------------- */

/* The next line without its end. False: there is none. */
static bool sbxi_docker_line(sbxi_docker *d, sbxi_span *out)
{
    const char *lf;
    if (d->text == d->end) return false;
    lf = (const char *)memchr(d->text, '\n', (size_t)(d->end - d->text));
    out->ptr = d->text;
    out->len = (size_t)((lf ? lf : d->end) - d->text);
    d->text = lf ? lf + 1 : d->end;
    d->line++;
    while (out->len && out->ptr[out->len - 1] == '\r') out->len--;
    if (memchr(out->ptr, 0, out->len)) d->wrong = SBXI_TEXT("a NUL byte");
    return true;
}

static sbxi_span sbxi_trim_left(sbxi_span s)
{
    for (; s.len && sbxi_docker_blank(*s.ptr); s.len--) s.ptr++;
    return s;
}

static sbxi_span sbxi_trim_right(sbxi_span s)
{
    while (s.len && sbxi_docker_blank(s.ptr[s.len - 1])) s.len--;
    return s;
}

/* "# escape=`" and the like, at the top only. False: it is none. */
static bool sbxi_docker_directive(sbxi_docker *d, sbxi_span s)
{
    static const char *const known[] = { "syntax", "escape", "check" };
    sbxi_span key;
    size_t i = 0;
    s.ptr++;
    s.len--;
    key = s = sbxi_trim_left(s);
    for (; s.len && *s.ptr != '='; s.len--) s.ptr++;
    if (!s.len) return false;
    key.len = (size_t)(s.ptr - key.ptr);
    key = sbxi_trim_right(key);
    while (i < SBXI_LEN(known) && !sbxi_span_is_nocase(key, known[i])) i++;
    if (i == SBXI_LEN(known)) return false;
    s.ptr++;
    s.len--;
    s = sbxi_trim_right(sbxi_trim_left(s));
    if (i == 1) {
        if (s.len != 1 || (*s.ptr != '\\' && *s.ptr != '`'))
            d->wrong = SBXI_TEXT("escape must be \\ or `");
        else d->escape = *s.ptr;
    }
    return true;
}

/* Takes a continuation sign from the end of a line that is not blank. */
static bool sbxi_docker_goes_on(const sbxi_docker *d, sbxi_span *s)
{
    sbxi_span cut = sbxi_trim_right(*s);
    if (cut.ptr[cut.len - 1] != d->escape) return false;
    if (cut.len > 1 && cut.ptr[cut.len - 2] == d->escape) return false;
    s->len = cut.len - 1;
    return true;
}

/* The first line of an instruction: not empty, no comment. */
static bool sbxi_docker_first(sbxi_docker *d, sbxi_span *s)
{
    while (!d->wrong && sbxi_docker_line(d, s)) {
        *s = sbxi_trim_left(*s);
        d->start = d->line;
        if (s->len && *s->ptr == '#' && !d->begun) {
            d->begun = !sbxi_docker_directive(d, *s);
            continue;
        }
        d->begun = true;
        if (s->len && *s->ptr != '#') return true;
    }
    return false;
}

/* Joins the lines of an instruction; comments and empty lines between them are left out. */
static bool sbxi_docker_join(sbxi_docker *d)
{
    sbxi_span s, plain;
    bool more;
    sbxi_buf_clear(&d->joined);
    if (!sbxi_docker_first(d, &s)) return false;
    more = sbxi_docker_goes_on(d, &s);
    sbxi_buf_add(&d->joined, s.ptr, s.len);
    while (more && sbxi_docker_line(d, &s)) {
        plain = sbxi_trim_left(s);
        if (!plain.len || *plain.ptr == '#') continue;
        more = sbxi_docker_goes_on(d, &s);
        sbxi_buf_add(&d->joined, s.ptr, s.len);
    }
    while (d->joined.len && sbxi_docker_blank(d->joined.data[d->joined.len - 1])) d->joined.len--;
    return sbxi_buf_add(&d->joined, "", 1) == SBX_OK && !d->wrong;
}

/* ---- words ---------------------------------------------------------------------- */

/* Behind a word, which blanks end unless they are quoted or escaped. */
static const char *sbxi_docker_word_end(const sbxi_docker *d, const char *p)
{
    char quote = 0;
    for (; *p && (quote || !sbxi_docker_blank(*p)); p++) {
        if (*p == d->escape && quote != '\'' && p[1]) p++;
        else if (quote ? *p == quote : *p == '"' || *p == '\'') quote = quote ? 0 : *p;
    }
    return p;
}

/* Whether the escape sign at p hides itself behind what it escapes: between double
   quotes only few things can be escaped, between single ones none. */
static bool sbxi_docker_escapes(const sbxi_docker *d, const char *p, const char *end, char quote)
{
    if (*p != d->escape || p + 1 == end || quote == '\'') return false;
    return !quote || p[1] == '"' || p[1] == '$' || p[1] == d->escape;
}

/* Adds a word without its quotes and escapes. Variables stay as they are. */
static void sbxi_docker_unquote(sbxi_docker *d, sbxi_buf *to, const char *p, const char *end)
{
    char quote = 0;
    for (; p < end; p++) {
        if (sbxi_docker_escapes(d, p, end, quote)) sbxi_buf_add(to, ++p, 1);
        else if (quote ? *p != quote : *p != '"' && *p != '\'') sbxi_buf_add(to, p, 1);
        else quote = quote ? 0 : *p;
    }
    if (quote) d->wrong = SBXI_TEXT("a quote is not closed");
}

static SBXI_MAYBE void sbxi_docker_no_words(sbxi_docker *d)
{
    sbxi_buf_clear(&d->words);
    d->word_count = 0;
}

/* Adds p[0..end) as a word, unquoted. */
static void sbxi_docker_add_word(sbxi_docker *d, const char *p, const char *end)
{
    sbxi_docker_unquote(d, &d->words, p, end);
    if (sbxi_buf_add(&d->words, "", 1) == SBX_OK) d->word_count++; /* whole ones only */
}

/* The word behind another. */
static SBXI_MAYBE const char *sbxi_docker_after(const char *word)
{
    return word + strlen(word) + 1;
}

/* The i-th word. */
static SBXI_MAYBE const char *sbxi_docker_word(const sbxi_docker *d, size_t i)
{
    const char *p = d->words.data;
    while (i--) p = sbxi_docker_after(p);
    return p;
}

/* Splits the rest at blanks. */
static SBXI_MAYBE void sbxi_docker_words(sbxi_docker *d)
{
    const char *p = sbxi_skip_blanks(d->rest), *end;
    sbxi_docker_no_words(d);
    for (; *p; p = sbxi_skip_blanks(end)) {
        end = sbxi_docker_word_end(d, p);
        sbxi_docker_add_word(d, p, end);
    }
}

/* A JSON list of texts makes the words. That it is a list is known. */
static int sbxi_docker_item(void *ctx, const sbx_json_event *ev)
{
    sbxi_docker *d = (sbxi_docker *)ctx;
    if (ev->depth == 0) return SBX_OK;
    if (ev->type != SBX_JSON_STRING || memchr(ev->text, 0, ev->len)) return SBX_E_BAD_JSON;
    sbxi_buf_add(&d->words, ev->text, ev->len);
    if (ev->flags & SBX_JSON_MORE) return SBX_OK;
    if (sbxi_buf_add(&d->words, "", 1) == SBX_OK) d->word_count++; /* whole ones only */
    return SBX_OK;
}

/* False: the rest is none, and meant as it is. */
static SBXI_MAYBE bool sbxi_docker_json(sbxi_docker *d)
{
    sbx_json_reader r;
    sbxi_docker_no_words(d);
    if (*d->rest != '[') return false;
    sbx_json_init(&r, sbxi_docker_item, d);
    (void)sbx_json_feed(&r, d->rest, strlen(d->rest), NULL);
    return sbx_json_end(&r) == SBX_OK;
}

/* The next flag in front of the rest, taken from it: "--name=value" as name, and value or
   NULL; both are in words. False: there is none. */
static SBXI_MAYBE bool sbxi_docker_flag(sbxi_docker *d, const char **name, const char **value)
{
    const char *p = d->rest, *end;
    char *equals;
    if (p[0] != '-' || p[1] != '-') return false;
    end = sbxi_docker_word_end(d, p);
    d->rest = sbxi_skip_blanks(end);
    if (end == p + 2) return false; /* "--" ends them */
    sbxi_docker_no_words(d);
    sbxi_docker_add_word(d, p + 2, end);
    if (d->words.status) return false;
    equals = strchr(d->words.data, '=');
    if (equals) *equals++ = 0;
    *name = d->words.data;
    *value = equals;
    return true;
}

/* ---- heredocs ---------------------------------------------------------------------- */

/* Whether a word is [digits]<<[-]NAME; *name is where the name begins. */
static SBXI_MAYBE bool sbxi_is_heredoc(const char *p, const char *end, const char **name,
    bool *chomp)
{
    while (p < end && sbxi_is_digit(*p)) p++;
    if (end - p < 3 || p[0] != '<' || p[1] != '<') return false;
    p += 2;
    *chomp = *p == '-';
    p += *chomp;
    *name = p;
    return p < end && !memchr(p, '<', (size_t)(end - p));
}

/* Whether the line ends a heredoc of that name. */
static bool sbxi_heredoc_ends(const sbxi_heredoc *h, sbxi_span line)
{
    if (h->chomp) for (; line.len && *line.ptr == '\t'; line.len--) line.ptr++;
    return sbxi_span_is(line, h->name);
}

/* Reads the lines of one; offsets of name and body in docs, as that may move. */
static void sbxi_heredoc_read(sbxi_docker *d, const char *name, const char *end, bool chomp,
    size_t at[2])
{
    sbxi_heredoc h;
    sbxi_span line;
    at[0] = d->docs.len;
    sbxi_docker_unquote(d, &d->docs, name, end);
    sbxi_buf_add(&d->docs, "", 1);
    at[1] = d->docs.len;
    h.chomp = chomp;
    while (!d->docs.status && !d->wrong) {
        if (!sbxi_docker_line(d, &line)) {
            d->wrong = SBXI_TEXT("unterminated heredoc");
            return;
        }
        h.name = d->docs.data + at[0];
        if (sbxi_heredoc_ends(&h, line)) break;
        sbxi_buf_add(&d->docs, line.ptr, (size_t)(d->text - line.ptr));
    }
    sbxi_buf_add(&d->docs, "", 1);
}

/* Collects those that the rest names. */
static void sbxi_docker_heredocs(sbxi_docker *d)
{
    size_t at[SBXI_HEREDOCS][2], i;
    const char *p = sbxi_skip_blanks(d->rest), *end, *name;
    bool chomp;
    for (; *p && !d->wrong; p = sbxi_skip_blanks(end)) {
        end = sbxi_docker_word_end(d, p);
        if (!sbxi_is_heredoc(p, end, &name, &chomp)) continue;
        if (d->doc_count == SBXI_HEREDOCS) {
            d->wrong = SBXI_TEXT("more than 8 heredocs");
            return;
        }
        d->doc[d->doc_count].chomp = chomp;
        d->doc[d->doc_count].raw = memchr(name, '\'', (size_t)(end - name))
            || memchr(name, '"', (size_t)(end - name));
        sbxi_heredoc_read(d, name, end, chomp, at[d->doc_count]);
        d->doc_count++;
    }
    if (d->docs.status) return;
    for (i = 0; i < d->doc_count; i++) {
        d->doc[i].name = d->docs.data + at[i][0];
        d->doc[i].body = d->docs.data + at[i][1];
    }
}

/* ---- instructions ---------------------------------------------------------------------- */

/* Its name in upper case, and where the rest begins. False: no memory. */
static bool sbxi_docker_name(sbxi_docker *d)
{
    const char *p;
    sbxi_buf_clear(&d->name);
    for (p = d->joined.data; *p && !sbxi_docker_blank(*p); p++) {
        char c = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
        sbxi_buf_add(&d->name, &c, 1);
    }
    d->rest = sbxi_skip_blanks(p);
    sbxi_buf_add(&d->name, "", 1);
    if (d->name.status == SBX_E_TOO_LARGE) { /* no instruction is as long */
        sbxi_buf_clear(&d->name);
        sbxi_buf_add(&d->name, "?", 2);
    }
    return d->name.status == SBX_OK;
}

/* The next one, with name and rest. False: the end, or something is wrong. */
static SBXI_MAYBE bool sbxi_docker_next(sbxi_docker *d)
{
    sbxi_buf_clear(&d->docs);
    sbxi_buf_clear(&d->name);
    d->doc_count = 0;
    if (d->wrong || !sbxi_docker_join(d) || !sbxi_docker_name(d)) return false;
    if (strcmp(d->name.data, "RUN") == 0 || strcmp(d->name.data, "COPY") == 0
        || strcmp(d->name.data, "ADD") == 0)
        sbxi_docker_heredocs(d);
    return !d->wrong && !d->docs.status;
}

#endif /* SBX_NO_TEMPLATE */
