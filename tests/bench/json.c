/* json - the JSON reader beside others, over made files (corpus.h). Every parser
   reads the same text in turn, several rounds; the medians of a round's ratios
   count. Ours gets pieces of 16 KiB, as from a network, and checks UTF-8; the
   others get the whole text at once. -DWITH_X adds a peer that was installed.
     json              a line a file and parser: json|FILE|PARSER|MB/s|ratio
     json --file N     only file N (for a profiler), ours alone
     json --dump N     the text of file N */
#include "../../sandbox.h"
#include "corpus.h"
#include "peers.h"
#include <time.h>

#ifdef WITH_JSMN
#define JSMN_PARENT_LINKS
#define JSMN_STATIC
#include <jsmn.h>
#endif
#ifdef WITH_YYJSON
#include "yyjson.h"
#endif
#ifdef WITH_CJSON
#include <cjson/cJSON.h>
#endif
#ifdef WITH_COREJSON
#include "core_json.h"
#endif

#define ROUNDS 11
#define PIECE 16384

static void die(const char *what)
{
    fprintf(stderr, "json: %s\n", what);
    exit(1);
}

/* ---- the parsers: false if the text was refused --------------------------- */

static int on_event(void *ctx, const sbx_json_event *ev)
{
    *(size_t *)ctx += ev->len + 1;
    return SBX_OK;
}

static int ours(const corpus *c)
{
    static sbx_json_reader r;
    size_t sum = 0, at, n;
    int rc = SBX_OK;
    sbx_json_init(&r, on_event, &sum);
    for (at = 0; at < c->len && rc == SBX_OK; at += n) {
        n = c->len - at < PIECE ? c->len - at : PIECE;
        rc = sbx_json_feed(&r, c->text + at, n, NULL);
    }
    return rc == SBX_OK && sbx_json_end(&r) == SBX_OK && sum > 0;
}

#ifdef WITH_JSMN
static int with_jsmn(const corpus *c)
{
    static jsmntok_t *pool;
    static unsigned cap = 4u << 20;
    jsmn_parser p;
    if (!pool && !(pool = (jsmntok_t *)calloc(cap, sizeof *pool))) die("no memory");
    jsmn_init(&p);
    return jsmn_parse(&p, c->text, c->len, pool, cap) > 0;
}
#endif

#ifdef WITH_YYJSON
static int with_yyjson(const corpus *c)
{
    static void *pool;
    static size_t cap;
    yyjson_alc alc;
    if (!pool) {
        cap = yyjson_read_max_memory_usage(CORPUS_ROOM * 4u, 0);
        pool = malloc(cap);
        if (!pool) die("no memory");
        memset(pool, 1, cap);
    }
    yyjson_alc_pool_init(&alc, pool, cap);
    return yyjson_read_opts(c->text, c->len, 0, &alc, NULL) != NULL;
}
#endif

#ifdef WITH_CJSON
static int with_cjson(const corpus *c)
{
    cJSON *tree = cJSON_ParseWithLength(c->text, c->len);
    cJSON_Delete(tree);
    return tree != NULL;
}
#endif

#ifdef WITH_COREJSON
static int with_corejson(const corpus *c)
{
    return JSON_Validate(c->text, c->len) == JSONSuccess;
}
#endif

#ifdef WITH_SIMDJSON
static int with_simdjson(const corpus *c)
{
    return bench_simdjson(c->text, c->len);
}
#endif

static const struct parser {
    const char *name;
    int (*read)(const corpus *);
} parsers[] = {
    { "ours", ours },
#ifdef WITH_JSMN
    { "jsmn", with_jsmn },
#endif
#ifdef WITH_YYJSON
    { "yyjson", with_yyjson },
#endif
#ifdef WITH_COREJSON
    { "coreJSON", with_corejson },
#endif
#ifdef WITH_CJSON
    { "cJSON", with_cjson },
#endif
#ifdef WITH_SIMDJSON
    { "simdjson", with_simdjson },
#endif
};

#define PARSERS (sizeof parsers / sizeof parsers[0])
#define FILES (sizeof corpus_kinds / sizeof corpus_kinds[0])

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* MB/s of one pass. */
static double pass(const struct parser *p, const corpus *c)
{
    double began = cpu_now();
    if (!p->read(c)) die(p->name);
    return (double)c->len / (cpu_now() - began) / 1e6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof *v, by_value);
    return v[ROUNDS / 2];
}

static void compare(const struct corpus_kind *kind)
{
    static double rate[PARSERS][ROUNDS], ratio[PARSERS][ROUNDS];
    corpus c = corpus_make(kind);
    size_t p, i;
    for (p = 0; p < PARSERS; p++) pass(&parsers[p], &c); /* warm */
    for (i = 0; i < ROUNDS; i++)
        for (p = 0; p < PARSERS; p++) rate[p][i] = pass(&parsers[p], &c);
    for (i = 0; i < ROUNDS; i++)
        for (p = 0; p < PARSERS; p++) ratio[p][i] = rate[0][i] / rate[p][i];
    for (p = 0; p < PARSERS; p++)
        printf("json|%s|%s|%s|%.0f|%.2f\n", kind->hostile ? "hostile" : "usual", kind->name,
            parsers[p].name, median(rate[p]), median(ratio[p]));
    fflush(stdout);
    free(c.text);
}

int main(int argc, char **argv)
{
    size_t i;
    if (argc == 3) {
        corpus c = corpus_make(&corpus_kinds[(size_t)atoi(argv[2]) % FILES]);
        if (strcmp(argv[1], "--dump") == 0) return fwrite(c.text, 1, c.len, stdout) != c.len;
        for (i = 0; i < 500; i++)
            if (!ours(&c)) die("refused");
        return 0;
    }
    for (i = 0; i < FILES; i++) compare(&corpus_kinds[i]);
    return 0;
}
