/* corpus.h - JSON files for the benchmark, made from a seed: the shapes a client
   of sandboxes reads, and the ones that hurt a reader. About 2 MiB each. */
#ifndef BENCH_CORPUS_H
#define BENCH_CORPUS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORPUS_BYTES (2u << 20)
#define CORPUS_ROOM (CORPUS_BYTES + 65536)

typedef struct corpus { char *text; size_t len; uint64_t seed; int pretty; } corpus;

static unsigned pick(corpus *c, unsigned n)
{
    c->seed = c->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(c->seed >> 33) % n;
}

static void add(corpus *c, const char *text)
{
    size_t n = strlen(text);
    memcpy(c->text + c->len, text, n);
    c->len += n;
}

#define ADD(c, ...) ((c)->len += (size_t)snprintf((c)->text + (c)->len, 4096, __VA_ARGS__))

static void add_letters(corpus *c, unsigned n)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    while (n--) c->text[c->len++] = letters[pick(c, 36)];
}

static void add_words(corpus *c, unsigned n)
{
    while (n--) {
        add_letters(c, 2 + pick(c, 8));
        if (n) c->text[c->len++] = ' ';
    }
}

/* The page of a sandbox list. */
static void one_sandbox(corpus *c)
{
    add(c, "{\"templateID\":\"");
    add_letters(c, 20);
    add(c, "\",\"alias\":\"base\",\"sandboxID\":\"i");
    add_letters(c, 20);
    ADD(c, "\",\"clientID\":\"%08x\",\"startedAt\":\"2026-11-%02uT%02u:%02u:%02u.%03uZ\",", pick(c, 1u << 30),
        1 + pick(c, 28), pick(c, 24), pick(c, 60), pick(c, 60), pick(c, 1000));
    ADD(c, "\"endAt\":\"2026-11-%02uT%02u:%02u:%02uZ\",\"cpuCount\":%u,\"memoryMB\":%u,\"diskSizeMB\":%u,",
        1 + pick(c, 28), pick(c, 24), pick(c, 60), pick(c, 60), 1 + pick(c, 8), 512u << pick(c, 4), 1024 + pick(c, 9000));
    add(c, "\"metadata\":{\"user\":\"u-");
    add_letters(c, 12);
    add(c, "\",\"purpose\":\"");
    add_words(c, 4);
    ADD(c, "\",\"run\":\"%u\"},\"state\":\"%s\",\"envdVersion\":\"0.2.%u\"}", pick(c, 100000),
        pick(c, 2) ? "running" : "paused", pick(c, 20));
}

/* What a social feed looks like: nested, mixed, some text beyond ASCII. */
static void one_tweet(corpus *c)
{
    unsigned k;
    ADD(c, "{\"created_at\":\"Thu Nov %02u %02u:%02u:%02u +0000 2026\",\"id\":%u%09u,\"id_str\":\"%u%09u\",\"text\":\"", 1 + pick(c, 28),
        pick(c, 24), pick(c, 60), pick(c, 60), 1 + pick(c, 1u << 30), pick(c, 1000000000), 1 + pick(c, 1u << 30), pick(c, 1000000000));
    add_words(c, 6 + pick(c, 10));
    if (pick(c, 4) == 0) add(c, " \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x81\xa7\xe3\x81\x99 \xf0\x9f\x98\x80");
    if (pick(c, 3) == 0) add(c, " \\\"quoted\\\" http:\\/\\/t.co\\/abc\\n");
    add(c, "\",\"truncated\":false,\"in_reply_to\":null,\"user\":{\"name\":\"");
    add_words(c, 2);
    ADD(c, "\",\"followers_count\":%u,\"friends_count\":%u,\"verified\":%s,\"lang\":\"en\",\"profile\":\"http://pbs.example.com/", pick(c, 100000),
        pick(c, 2000), pick(c, 2) ? "true" : "false");
    add_letters(c, 24);
    add(c, ".png\"},\"entities\":{\"hashtags\":[],\"urls\":[],\"mentions\":[");
    for (k = pick(c, 3); k > 0; k--) {
        ADD(c, "{\"id\":%u,\"indices\":[%u,%u],\"screen_name\":\"", pick(c, 1u << 30), pick(c, 50), 50 + pick(c, 90));
        add_letters(c, 10);
        add(c, k > 1 ? "\"}," : "\"}");
    }
    ADD(c, "]},\"retweet_count\":%u,\"favorited\":false}", pick(c, 5000));
}

static void one_numbers(corpus *c)
{
    switch (pick(c, 3)) {
    case 0: ADD(c, "[-%u.%09u%06u,%u.%09u%06u]", pick(c, 180), pick(c, 1000000000), pick(c, 1000000), pick(c, 90),
        pick(c, 1000000000), pick(c, 1000000)); break;
    case 1: ADD(c, "[%u,%u,%u]", pick(c, 1000), pick(c, 1000000), pick(c, 1u << 30)); break;
    default: ADD(c, "[%u.%03u,%u.%ue-%u]", pick(c, 10000), pick(c, 1000), pick(c, 10), pick(c, 1000000), 1 + pick(c, 20));
    }
}

static void one_long_ascii(corpus *c)
{
    unsigned n = 1000 + pick(c, 8000);
    add(c, "\"");
    while (n-- > 0) c->text[c->len++] = (char)('a' + (n * 7 + n / 13) % 26);
    add(c, "\"");
}

/* A terminal's log inside JSON. */
static void one_escaped(corpus *c)
{
    unsigned k;
    add(c, "\"");
    for (k = 20 + pick(c, 60); k > 0; k--) {
        add_words(c, 1 + pick(c, 5));
        add(c, pick(c, 3) ? "\\n" : pick(c, 2) ? "\\t\\\"" : "\\\\path\\\\to\\r\\n");
        if (pick(c, 6) == 0) add(c, "\\u001b[0m");
    }
    add(c, "\"");
}

static void one_unicode_escapes(corpus *c)
{
    unsigned k;
    add(c, "\"");
    for (k = 50 + pick(c, 400); k > 0; k--) {
        if (pick(c, 8)) ADD(c, "\\u%04x", 0x4e00 + pick(c, 0x5000));
        else ADD(c, "\\ud83d\\ude%02x", pick(c, 64));
    }
    add(c, "\"");
}

static void one_cjk(corpus *c)
{
    unsigned k;
    add(c, "\"");
    for (k = 50 + pick(c, 400); k > 0; k--) {
        unsigned code = 0x4e00 + pick(c, 0x5000);
        c->text[c->len++] = (char)(0xE0 | code >> 12);
        c->text[c->len++] = (char)(0x80 | (code >> 6 & 63));
        c->text[c->len++] = (char)(0x80 | (code & 63));
    }
    add(c, "\"");
}

static void one_mixed(corpus *c)
{
    unsigned k;
    add(c, "\"");
    for (k = 20 + pick(c, 100); k > 0; k--) {
        add_letters(c, 1 + pick(c, 9));
        add(c, pick(c, 3) ? "\xc3\xa9" : pick(c, 2) ? "\xc3\xbc" : " \xf0\x9f\x9a\x80 ");
    }
    add(c, "\"");
}

/* As json.dumps(indent=2) would have it. */
static void indent(corpus *c)
{
    char *from = c->text, *end = c->text + c->len, *out = (char *)malloc(CORPUS_ROOM * 4u);
    size_t n = 0;
    int in = 0, depth = 0, d;
    if (!out) abort();
    for (; from < end; from++) {
        if (*from == '"' && !(in && from[-1] == '\\' && from[-2] != '\\')) in = !in;
        if (!in && (*from == '}' || *from == ']') && from[-1] != '{' && from[-1] != '[') {
            out[n++] = '\n';
            for (d = --depth; d > 0; d--) out[n++] = ' ', out[n++] = ' ';
        } else if (!in && (*from == '}' || *from == ']')) {
            depth--;
        }
        out[n++] = *from;
        if (in) continue;
        if (*from == ':') out[n++] = ' ';
        if (*from == '{' || *from == '[') depth++;
        if (*from == ',' || ((*from == '{' || *from == '[') && from[1] != '}' && from[1] != ']')) {
            out[n++] = '\n';
            for (d = depth; d > 0; d--) out[n++] = ' ', out[n++] = ' ';
        }
        if (n > CORPUS_ROOM * 4u - 4096) abort();
    }
    free(c->text);
    c->text = out;
    c->len = n;
}

static const struct corpus_kind {
    const char *name;
    void (*one)(corpus *);
    int pretty, hostile;
} corpus_kinds[] = {
    { "list", one_sandbox, 0, 0 }, { "list, indented", one_sandbox, 1, 0 },
    { "tweets", one_tweet, 0, 0 }, { "tweets, indented", one_tweet, 1, 0 },
    { "numbers", one_numbers, 0, 0 }, { "long ASCII", one_long_ascii, 0, 1 },
    { "escaped", one_escaped, 0, 1 }, { "\\uXXXX", one_unicode_escapes, 0, 1 },
    { "CJK", one_cjk, 0, 1 }, { "mixed", one_mixed, 0, 1 }
};

static corpus corpus_make(const struct corpus_kind *kind)
{
    corpus c;
    c.text = (char *)malloc(CORPUS_ROOM);
    if (!c.text) abort();
    c.len = 0;
    c.seed = 42;
    add(&c, "[");
    while (c.len < CORPUS_BYTES) {
        if (c.len > 1) add(&c, ",");
        kind->one(&c);
    }
    add(&c, "]");
    if (kind->pretty) indent(&c);
    return c;
}
#endif
