/* ignore - which paths of a context stay out of it: rules as Docker reads them
   (.dockerignore) or as git does (.gitignore), the last one that speaks of a path
   decides. Filled by the builder, asked by pack/tree.

   The rules are kept as one text, cleaned: a byte of flags, the length in two, the
   pattern. Docker's are asked for every directory above a path first, and what they
   said there is noted in the flags: so an instance answers one question at a time. */

#ifndef SBX_NO_TEMPLATE

#define SBXI_IGNORE_MAX SBX_LIMIT_(65536, 8192) /* bytes of rules, and of a file of them */

#define SBXI_RULE_NOT 1         /* !: takes back what others ignore */
#define SBXI_RULE_DIR 2         /* directories only (git) */
#define SBXI_RULE_ABOVE 4       /* matched the directory above */

typedef struct sbxi_ignores {
    sbxi_buf rules;
    uint8_t dialect;            /* SBXI_GLOB_DOCKER, SBXI_GLOB_GIT */
} sbxi_ignores;

typedef struct sbxi_ignoring { sbxi_glob glob; char *flags; } sbxi_ignoring;

static SBXI_MAYBE void sbxi_ignore_init(sbxi_ignores *g, uint8_t dialect, const sbx_alloc *alloc)
{
    sbxi_buf_init(&g->rules, alloc, SBXI_IGNORE_MAX);
    g->dialect = dialect;
}

static SBXI_MAYBE void sbxi_ignore_free(sbxi_ignores *g) { sbxi_buf_free(&g->rules); }

/* The rule at *at, which moves on. */
static bool sbxi_ignore_rule(const sbxi_ignores *g, size_t *at, sbxi_ignoring *r)
{
    const unsigned char *p;
    if (*at >= g->rules.len) return false;
    r->flags = g->rules.data + *at;
    p = (const unsigned char *)r->flags;
    r->glob.p = r->flags + 3;
    r->glob.len = (size_t)(p[1] | (unsigned)p[2] << 8);
    r->glob.dialect = g->dialect;
    *at += 3 + r->glob.len;
    return true;
}

static sbxi_span sbxi_behind(sbxi_span s, size_t n)
{
    s.ptr += n;
    s.len -= n;
    return s;
}

static bool sbxi_is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static sbxi_span sbxi_trim(sbxi_span s)
{
    for (; s.len && sbxi_is_blank(*s.ptr); s.ptr++) s.len--;
    while (s.len && sbxi_is_blank(s.ptr[s.len - 1])) s.len--;
    return s;
}

/* Appends a rule; what it is made of is checked. */
static int sbxi_ignore_put(sbxi_ignores *g, int flags, const char *head, sbxi_span s)
{
    size_t begin = g->rules.len, at = begin;
    char first[3] = { (char)flags, 0, 0 }, *p;
    sbxi_ignoring r;
    int rc;
    sbxi_buf_add(&g->rules, first, 3);
    sbxi_buf_text(&g->rules, head);
    rc = sbxi_buf_add(&g->rules, s.ptr, s.len);
    if (rc != SBX_OK) return rc;
    p = g->rules.data + begin + 3;
    if (g->dialect == SBXI_GLOB_DOCKER) {
        s.len = sbxi_path_clean(p, s.len);
        if (s.len > 1 && *p == '/') memmove(p, p + 1, --s.len);
        g->rules.len = begin + 3 + s.len;
    }
    s.len = g->rules.len - begin - 3;
    if (s.len > SBXI_GLOB_MAX) return g->rules.status = SBX_E_TOO_LARGE;
    p[-2] = (char)(s.len & 255);
    p[-1] = (char)(s.len >> 8);
    (void)sbxi_ignore_rule(g, &at, &r);
    return g->rules.status = sbxi_glob_check(&r.glob);
}

static int sbxi_ignore_docker(sbxi_ignores *g, sbxi_span line)
{
    int flags = 0;
    line = sbxi_trim(line);
    if (!line.len || *line.ptr == '#') return SBX_OK;
    if (*line.ptr == '!') {
        flags = SBXI_RULE_NOT;
        line = sbxi_trim(sbxi_behind(line, 1));
        if (!line.len) return g->rules.status = SBX_E_ARG;
    }
    return sbxi_ignore_put(g, flags, "", line);
}

/* Without what git drops at a line's end: a CR, blanks that no backslash keeps. */
static sbxi_span sbxi_ignore_cut(sbxi_span line)
{
    if (line.len && line.ptr[line.len - 1] == '\r') line.len--;
    while (line.len && line.ptr[line.len - 1] == ' ') {
        if (line.len > 1 && line.ptr[line.len - 2] == '\\') break;
        line.len--;
    }
    return line;
}

/* A pattern with a / inside or in front stands at the root, another one anywhere. */
static int sbxi_ignore_git(sbxi_ignores *g, sbxi_span line)
{
    int flags = 0;
    bool here;
    line = sbxi_ignore_cut(line);
    if (!line.len || *line.ptr == '#') return SBX_OK;
    if (*line.ptr == '!') {
        flags = SBXI_RULE_NOT;
        line = sbxi_behind(line, 1);
        if (!line.len) return g->rules.status = SBX_E_ARG;
    }
    if (line.ptr[line.len - 1] == '/') {
        flags |= SBXI_RULE_DIR;
        line.len--;
    }
    here = line.len && memchr(line.ptr, '/', line.len);
    if (here && *line.ptr == '/') line = sbxi_behind(line, 1);
    return line.len ? sbxi_ignore_put(g, flags, here ? "" : "**/", line) : SBX_OK;
}

/* Adds the lines of a text. SBX_E_ARG: a rule that means nothing, which the message
   of *e holds; SBX_E_TOO_LARGE, SBX_E_NOMEM. Nothing can be added any more then. */
static SBXI_MAYBE int sbxi_ignore_add(sbxi_ignores *g, sbxi_span text, sbx_error *e)
{
    int rc = g->rules.status;
    if (text.len >= 3 && memcmp(text.ptr, "\xEF\xBB\xBF", 3) == 0) text = sbxi_behind(text, 3);
    while (rc == SBX_OK && text.len) {
        const char *end = (const char *)memchr(text.ptr, '\n', text.len);
        sbxi_span line = text;
        if (end) line.len = (size_t)(end - text.ptr);
        rc = g->dialect == SBXI_GLOB_GIT ? sbxi_ignore_git(g, line) : sbxi_ignore_docker(g, line);
        if (rc != SBX_OK)
            return sbxi_error_at(e, rc, line, rc == SBX_E_TOO_LARGE
                ? SBXI_TEXT("a rule is at most 511 bytes, all are 64 KiB (SBX_SMALL: 8)")
                : rc == SBX_E_NOMEM ? NULL : SBXI_TEXT("is no rule to ignore files by"));
        text = sbxi_behind(text, line.len + (end != NULL));
    }
    return rc;
}

/* Docker: of the directories above a path, the first comes first; a rule that matched
   there matches what is below. One that could not change anything is not asked. */
static bool sbxi_ignore_level(const sbxi_ignores *g, sbxi_span path)
{
    bool ignored = false;
    size_t at = 0;
    sbxi_ignoring r;
    while (sbxi_ignore_rule(g, &at, &r)) {
        bool no = (*r.flags & SBXI_RULE_NOT) != 0, hit = (*r.flags & SBXI_RULE_ABOVE) != 0;
        if (!hit && no == ignored)
            hit = (sbxi_glob_run(&r.glob, path, false) & SBXI_GLOB_HIT) != 0;
        *r.flags = (char)((*r.flags & ~SBXI_RULE_ABOVE) | (hit ? SBXI_RULE_ABOVE : 0));
        if (hit) ignored = !no;
    }
    return ignored;
}

/* Whether the path is ignored; the root ("") never is. */
static SBXI_MAYBE bool sbxi_ignored(const sbxi_ignores *g, sbxi_span path, bool is_dir)
{
    sbxi_span part = path;
    bool ignored = false;
    size_t at = 0;
    sbxi_ignoring r;
    if (g->dialect == SBXI_GLOB_DOCKER) {
        while (sbxi_ignore_rule(g, &at, &r)) *r.flags = (char)(*r.flags & ~SBXI_RULE_ABOVE);
        for (part.len = 0; part.len < path.len; part.len++) {
            while (part.len < path.len && path.ptr[part.len] != '/') part.len++;
            ignored = sbxi_ignore_level(g, part);
        }
        return ignored;
    }
    while (sbxi_ignore_rule(g, &at, &r)) {
        unsigned found;
        if (((*r.flags & SBXI_RULE_NOT) != 0) != ignored) continue;
        found = sbxi_glob_run(&r.glob, path, false);
        if ((found & SBXI_GLOB_INSIDE)
            || ((found & SBXI_GLOB_HIT) && (is_dir || !(*r.flags & SBXI_RULE_DIR))))
            ignored = !ignored;
    }
    return ignored;
}

/* The part of a path up to its next /. */
static sbxi_span sbxi_path_part(sbxi_span path)
{
    const char *slash = (const char *)memchr(path.ptr, '/', path.len);
    if (slash) path.len = (size_t)(slash - path.ptr);
    return path;
}

static bool sbxi_glob_is_plain(sbxi_span s)
{
    for (; s.len; s = sbxi_behind(s, 1))
        if (memchr("*?[\\", *s.ptr, 4)) return false;
    return true;
}

/* Whether a rule with ! could speak of something below a directory. */
static bool sbxi_ignore_reaches(sbxi_span rule, sbxi_span dir)
{
    for (;;) {
        sbxi_span a = sbxi_path_part(rule), b = sbxi_path_part(dir);
        if (sbxi_find(a, "**")) return true;
        if (sbxi_glob_is_plain(a) && (a.len != b.len || memcmp(a.ptr, b.ptr, a.len) != 0))
            return false;
        if (a.len == rule.len || b.len == dir.len) return a.len < rule.len;
        rule = sbxi_behind(rule, a.len + 1);
        dir = sbxi_behind(dir, b.len + 1);
    }
}

/* Whether an ignored directory has to be looked into. */
static SBXI_MAYBE bool sbxi_ignore_enters(const sbxi_ignores *g, sbxi_span dir)
{
    size_t at = 0;
    sbxi_ignoring r;
    while (sbxi_ignore_rule(g, &at, &r)) {
        sbxi_span rule;
        rule.ptr = r.glob.p;
        rule.len = r.glob.len;
        if ((*r.flags & SBXI_RULE_NOT)
            && (g->dialect == SBXI_GLOB_GIT || sbxi_ignore_reaches(rule, dir))) return true;
    }
    return false;
}

#endif
