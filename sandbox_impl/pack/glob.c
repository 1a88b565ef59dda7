/* glob - does a pattern match a path? In four dialects: ignore rules of Docker, ignore
   rules of git, the sources of a COPY, plain names. Used by pack/ignore and pack/tree.

   A pattern is read as it stands: all places in it where the text so far can lead are
   followed at once, as bits of a set. So nothing is compiled, nothing is tried twice,
   and the time is bounded by the product of both lengths, of a class of characters
   ([) once more by its own. Characters are UTF-8; a byte that is not is a character of
   its own. */

#ifndef SBX_NO_TEMPLATE

#define SBXI_GLOB_MAX 511u      /* bytes of a pattern */
#define SBXI_GLOB_WORDS 16u

enum { SBXI_GLOB_DOCKER, SBXI_GLOB_GIT, SBXI_GLOB_SOURCE, SBXI_GLOB_PLAIN };

typedef struct sbxi_glob { const char *p; size_t len; uint8_t dialect; } sbxi_glob;

/* What sbxi_glob_run() found. */
#define SBXI_GLOB_HIT 1u        /* the path */
#define SBXI_GLOB_INSIDE 2u     /* a directory above it */
#define SBXI_GLOB_IF_DIR 4u     /* the path, if it is a directory */
#define SBXI_GLOB_BELOW 8u      /* maybe what is below it */

enum { SBXI_GLOB_END, SBXI_GLOB_ONE, SBXI_GLOB_STAR, SBXI_GLOB_DEEP, SBXI_GLOB_ALL };

/* What stands at a place of the pattern, where it ends, and whether the one character
   that it takes can be the present one. */
typedef struct sbxi_glob_token { uint8_t kind; bool hit; uint16_t end; } sbxi_glob_token;

static uint32_t sbxi_glob_char(const char *p, size_t len, size_t *at)
{
    uint32_t c = (unsigned char)p[(*at)++], v, i;
    unsigned n = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : c >= 0xC0;
    v = c & (0x3Fu >> n);
    if (c < 0x80) return c;
    if (n == 0 || n > len - *at) return 0x110000 + c;
    for (i = 0; i < n; i++) {
        uint32_t more = (unsigned char)p[*at + i];
        if ((more & 0xC0) != 0x80) return 0x110000 + c;
        v = v << 6 | (more & 0x3F);
    }
    *at += n;
    return v;
}

/* One end of a range: a character, or what is behind a backslash. */
static uint32_t sbxi_glob_bound(const sbxi_glob *g, size_t *at)
{
    if (g->p[*at] == '\\' && *at + 1 < g->len) ++*at;
    return sbxi_glob_char(g->p, g->len, at);
}

/* A member of a class: a character, or two and all between. */
static bool sbxi_glob_member(const sbxi_glob *g, size_t *at, uint32_t c)
{
    uint32_t low = sbxi_glob_bound(g, at), high = low;
    if (g->len - *at > 1 && g->p[*at] == '-' && g->p[*at + 1] != ']') {
        ++*at;
        high = sbxi_glob_bound(g, at);
    }
    return low <= c && c <= high;
}

/* A class from its [ on. Returns where it ends; 0: it is none, the [ is meant. */
static size_t sbxi_glob_class(const sbxi_glob *g, size_t i, uint32_t c, bool *hit)
{
    bool docker = g->dialect == SBXI_GLOB_DOCKER, no;
    size_t first;
    no = ++i < g->len && memchr("^!", g->p[i], 2u - docker);
    i += no;
    *hit = no;
    for (first = i; i < g->len;) {
        if (g->p[i] == ']' && i > first) break;
        if (g->p[i] == '/' && !docker) return 0;
        if (sbxi_glob_member(g, &i, c)) *hit = !no;
    }
    *hit = *hit && (docker || c != '/');
    return i < g->len ? i + 1 : 0;
}

/* Two stars: more than a name in Docker's rules anywhere, else as a whole part. */
static bool sbxi_glob_is_deep(const sbxi_glob *g, size_t i)
{
    if (g->len - i < 2 || g->p[i + 1] != '*') return false;
    return g->dialect == SBXI_GLOB_DOCKER
        || ((i == 0 || g->p[i - 1] == '/') && (g->len - i == 2 || g->p[i + 2] == '/'));
}

/* Docker's **text without anything special in it is any path that ends so. */
static bool sbxi_glob_is_suffix(const sbxi_glob *g, size_t i)
{
    size_t k;
    if (i || g->dialect != SBXI_GLOB_DOCKER || g->p[2] == '/') return false;
    for (k = 2; k < g->len; k++)
        if (memchr("*?[]\\", g->p[k], 5)) return false;
    return true;
}

/* One star or two at i. */
static sbxi_glob_token sbxi_glob_stars(const sbxi_glob *g, size_t i)
{
    sbxi_glob_token t = { SBXI_GLOB_STAR, false, 0 };
    bool deep = sbxi_glob_is_deep(g, i);
    size_t end = i + 1 + deep;
    if (deep) {
        bool all = end == g->len || sbxi_glob_is_suffix(g, i);
        t.kind = all ? SBXI_GLOB_ALL : SBXI_GLOB_DEEP;
        if (!all && g->p[end] == '/') end++;
    }
    t.end = (uint16_t)end;
    return t;
}

/* The token at i, for the character c. */
static sbxi_glob_token sbxi_glob_at(const sbxi_glob *g, size_t i, uint32_t c)
{
    sbxi_glob_token t = { SBXI_GLOB_ONE, false, 0 };
    bool plain = g->dialect == SBXI_GLOB_PLAIN;
    size_t end = 0;
    if (i >= g->len) {
        t.kind = SBXI_GLOB_END;
        return t;
    }
    if (!plain && g->p[i] == '*') return sbxi_glob_stars(g, i);
    if (!plain && g->p[i] == '[') end = sbxi_glob_class(g, i, c, &t.hit);
    if (!plain && g->p[i] == '?') {
        end = i + 1;
        t.hit = c != '/';
    }
    if (!end) {
        end = i;
        t.hit = (plain ? sbxi_glob_char(g->p, g->len, &end) : sbxi_glob_bound(g, &end)) == c;
    }
    t.end = (uint16_t)end;
    return t;
}

/* Adds a place, and what stands behind it where that may take nothing. */
static void sbxi_glob_add(const sbxi_glob *g, uint32_t *set, size_t i)
{
    sbxi_glob_token t;
    do {
        set[i >> 5] |= (uint32_t)1 << (i & 31);
        t = sbxi_glob_at(g, i, 0);
        i = t.end;
    } while (t.kind > SBXI_GLOB_ONE);
}

static bool sbxi_glob_ended(const sbxi_glob *g, const uint32_t *set)
{
    return set[g->len >> 5] >> (g->len & 31) & 1;
}

/* What stands at i takes c, if it can. */
static void sbxi_glob_take(const sbxi_glob *g, uint32_t *next, size_t i, uint32_t c, bool shallow)
{
    sbxi_glob_token t = sbxi_glob_at(g, i, c);
    if (t.kind == SBXI_GLOB_ONE) {
        if (t.hit) sbxi_glob_add(g, next, t.end);
    } else if (t.kind == SBXI_GLOB_STAR) {
        if (c != '/') sbxi_glob_add(g, next, i);
    } else if (shallow || t.kind == SBXI_GLOB_END) {
        return;
    } else if (t.kind == SBXI_GLOB_ALL) {
        sbxi_glob_add(g, next, i);
    } else {
        next[i >> 5] |= (uint32_t)1 << (i & 31);
        if (c == '/') sbxi_glob_add(g, next, t.end);
    }
}

/* Takes a character: the places behind it. False: there is none. */
static bool sbxi_glob_step(const sbxi_glob *g, uint32_t *set, uint32_t c, bool shallow)
{
    uint32_t next[SBXI_GLOB_WORDS] = { 0 }, some = 0;
    size_t i, bit;
    for (i = 0; i <= g->len >> 5; i++)
        for (bit = 0; set[i] >> bit; bit++)
            if (set[i] >> bit & 1) {
                sbxi_glob_take(g, next, i << 5 | bit, c, shallow);
                if (bit == 31) break;
            }
    for (i = 0; i <= g->len >> 5; i++) some |= set[i] = next[i];
    return some != 0;
}

/* Whether a pattern whose end was reached by a / stands for the directory before it:
   it ends with / or with two stars, and else with a star or class behind a /. */
static bool sbxi_glob_for_dir(const sbxi_glob *g)
{
    return g->p[g->len - 1] == '/' || sbxi_glob_is_deep(g, g->len - 2);
}

/* Where the last part of a path begins. */
static size_t sbxi_path_last(sbxi_span path)
{
    size_t n = path.len;
    while (n > 0 && path.ptr[n - 1] != '/') n--;
    return n;
}

/* link: two stars don't take the last part of the path, as they don't lead through
   links. */
static SBXI_MAYBE unsigned sbxi_glob_run(const sbxi_glob *g, sbxi_span path, bool link)
{
    uint32_t set[SBXI_GLOB_WORDS] = { 0 };
    unsigned found = 0;
    size_t i = 0, last = link ? sbxi_path_last(path) : path.len;
    sbxi_glob_add(g, set, 0);
    while (i < path.len) {
        bool shallow = i >= last;
        uint32_t c = sbxi_glob_char(path.ptr, path.len, &i);
        if (c == '/' && sbxi_glob_ended(g, set)) found |= SBXI_GLOB_INSIDE;
        if (!sbxi_glob_step(g, set, c, shallow)) return found;
    }
    if (sbxi_glob_ended(g, set)) found |= SBXI_GLOB_HIT;
    (void)sbxi_glob_step(g, set, '/', link);
    if (sbxi_glob_ended(g, set) && sbxi_glob_for_dir(g)) found |= SBXI_GLOB_IF_DIR;
    set[g->len >> 5] &= ~((uint32_t)1 << (g->len & 31));
    for (i = 0; i <= g->len >> 5; i++)
        if (set[i]) found |= SBXI_GLOB_BELOW;
    return found;
}

/* A character of a class as Docker accepts it: *at behind it, false if it does not. */
static bool sbxi_glob_docker_char(const sbxi_glob *g, size_t *at, uint32_t *c)
{
    if (*at >= g->len || g->p[*at] == '-' || g->p[*at] == ']') return false;
    if (g->p[*at] == '\\' && ++*at >= g->len) return false;
    *c = sbxi_glob_char(g->p, g->len, at);
    return *at < g->len;
}

/* A class of Docker's from behind its [ on. */
static bool sbxi_glob_docker_class(const sbxi_glob *g, size_t *at)
{
    uint32_t low, high;
    bool some = false;
    if (*at < g->len && g->p[*at] == '^') ++*at;
    for (; !some || g->p[*at] != ']'; some = true) {
        if (!sbxi_glob_docker_char(g, at, &low)) return false;
        high = low;
        if (g->p[*at] == '-') {
            ++*at;
            if (!sbxi_glob_docker_char(g, at, &high)) return false;
        }
        if (low > high) return false;
    }
    ++*at;
    return true;
}

/* SBX_E_ARG: brackets or a backslash that mean nothing (Docker); a class by name, as
   [:alpha:], which others have. The pattern is SBXI_GLOB_MAX bytes at most. */
static SBXI_MAYBE int sbxi_glob_check(const sbxi_glob *g)
{
    sbxi_span all;
    size_t i = 0;
    all.ptr = g->p;
    all.len = g->len;
    if (g->dialect == SBXI_GLOB_PLAIN) return SBX_OK;
    if (g->dialect != SBXI_GLOB_DOCKER) return sbxi_find(all, "[[:") ? SBX_E_ARG : SBX_OK;
    while (i < g->len) {
        char c = g->p[i++];
        if (c == '\\' && i++ >= g->len) return SBX_E_ARG;
        if (c == '[' && !sbxi_glob_docker_class(g, &i)) return SBX_E_ARG;
    }
    return SBX_OK;
}

/* Without its last part, from `base` on; false: there is none that can go. */
static bool sbxi_path_up(const char *p, size_t base, size_t *len)
{
    size_t o = *len;
    while (o > base && p[o - 1] != '/') o--;
    if (*len == base || (*len - o == 2 && memcmp(p + o, "..", 2) == 0)) return false;
    *len = o > base ? o - 1 : o;
    return true;
}

static void sbxi_path_push(char *p, size_t base, size_t *len, const char *part, size_t n)
{
    if (*len > base) p[(*len)++] = '/';
    memmove(p + *len, part, n);
    *len += n;
}

/* The path without empty parts, "." and "..", as far as they can be taken back; "."
   if nothing is left. In place, of 1 byte at least; returns its length. */
static SBXI_MAYBE size_t sbxi_path_clean(char *p, size_t len)
{
    size_t i, o, n, base = p[0] == '/';
    for (i = o = base; i < len; i += n + 1) {
        const char *slash = (const char *)memchr(p + i, '/', len - i);
        n = slash ? (size_t)(slash - (p + i)) : len - i;
        if (n == 0 || (n == 1 && p[i] == '.')) continue;
        if (n == 2 && memcmp(p + i, "..", 2) == 0 && (sbxi_path_up(p, base, &o) || base)) continue;
        sbxi_path_push(p, base, &o, p + i, n);
    }
    if (!o) p[o++] = '.';
    return o;
}

#endif
