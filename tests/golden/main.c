/* golden - runs recorded exchanges against the library.

     golden GOLDEN.jsonl CALLS.calls [--only NAME] [--verbose]
     golden --fault SEED|all [--many N] [--pairs] GOLDEN.jsonl CALLS.calls
                              what fails, fails: N injections chosen by the seed, or all;
                              in pairs another fault follows each
     golden --ops             every op with its arguments
     golden --self-test [DIR] wrong expectations in DIR/self.* must be noticed

   Every case runs four ways: blocking, polled, with 1-byte reads and writes, and
   with "would block" before every call of the network. */
#include "golden.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct record {         /* all lines of one case */
    const char *name, *sdk;
    exchange *first, *last;
    bool used;
    struct record *next;
} record;

typedef struct reason { const char *why; size_t count; struct reason *next; } reason;

typedef struct suite {
    const char *provider;       /* from the file's name */
    record *records;
    node *entries;              /* of the .calls file */
    const char *only;
    const char *seed;           /* "all" or a number: injects faults */
    unsigned long many;
    bool verbose, self_test, pairs;
    size_t passed, failed, skipped, differences;
    reason *reasons;
    text named;                 /* the list of differences */
} suite;

/* ---- files -------------------------------------------------------------------- */
static char *read_all(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    text t = {0};
    char buf[65536];
    size_t n;
    if (!f) {
        fprintf(stderr, "golden: cannot open %s\n", path);
        exit(2);
    }
    while ((n = fread(buf, 1, sizeof buf, f)) > 0) text_add(&t, buf, n);
    fclose(f);
    text_add(&t, "", 0);
    *len = t.len;
    return t.p;
}

/* Each line of a file as JSON, handed to fn. Blank lines and lines that start
   with # are passed over. */
static void each_line(const char *path, suite *s, void (*fn)(suite *, node *))
{
    size_t len, number = 1;
    char *p = read_all(path, &len), *end = p + len;
    while (p < end) {
        char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t n = nl ? (size_t)(nl - p) : (size_t)(end - p);
        if (n && *p != '#' && strspn(p, " \t\r") < n) {
            node *line = dom_parse(p, n);
            if (!line || line->kind != D_OBJECT) {
                fprintf(stderr, "golden: %s:%u: not a JSON object\n", path, (unsigned)number);
                exit(2);
            }
            fn(s, line);
        }
        p += n + 1;
        number++;
    }
}

/* ---- recordings --------------------------------------------------------------- */
static const char *body_of(const node *o, size_t *len)
{
    const char *s = dom_text(o, "body_utf8");
    const node *b64 = dom_has(o, "body_b64");
    const char *p = "";
    *len = 0;
    if (b64) {
        node *wrap = dom_new(D_OBJECT);
        dom_add(wrap, "b64", dom_bytes(b64->s, b64->len));
        if (!dom_data(wrap, &p, len)) return NULL;
        return p;
    }
    if (s) *len = dom_get(o, "body_utf8")->len;
    return s ? s : "";
}

static void how_it_ends(exchange *x, const node *response)
{
    const char *tcp = dom_text(response, "tcp"), *note = dom_text(response, "note");
    const node *status = dom_get(response, "status");
    x->status = status && status->kind == D_NUMBER ? (int)status->i : 0;
    if (tcp && strcmp(tcp, "connection closed without a response")) x->problem = tcp;
    if (tcp) x->status = 0;
    if (!note) return;
    if (strstr(note, "closed mid-stream")) x->cut = true;
    else if (strstr(note, "closed before any response byte")) x->status = 0;
    else x->problem = note;
}

static exchange *to_exchange(const node *line)
{
    exchange *x = keep(sizeof *x);
    const node *request = dom_has(line, "request"), *response = dom_has(line, "response");
    const node *slept = dom_has(line, "client_slept_s_before"), *n;
    x->method = dom_text(request, "method");
    x->target = dom_text(request, "target");
    x->headers = dom_has(request, "headers");
    x->body = body_of(request, &x->body_len);
    x->reply_headers = dom_has(response, "headers");
    x->reply = body_of(response, &x->reply_len);
    x->fixture = dom_has(line, "fixture");
    x->slept_s = -1;
    if (slept && slept->kind == D_NUMBER) x->slept_s = strtod(slept->s, NULL);
    if (slept && slept->kind == D_LIST)
        for (x->slept_s = 0, n = slept->first; n; n = n->next) x->slept_s += strtod(n->s, NULL);
    how_it_ends(x, response);
    if (!x->method || !x->target || !x->body || !x->reply) x->problem = "malformed line";
    if (dom_has(line, "ws_frames")) x->problem = "ws_frames: no WebSocket in the library yet";
    if (dom_has(request, "body_note")) x->problem = dom_text(request, "body_note");
    return x;
}

static bool same_sdk(const char *a, const char *b) { return !a || !b || !strcmp(a, b); }

static record *find_record(suite *s, const char *name, const char *sdk)
{
    record *r;
    for (r = s->records; r; r = r->next)
        if (!strcmp(r->name, name) && same_sdk(r->sdk, sdk)) return r;
    return NULL;
}

static void on_recording(suite *s, node *line)
{
    const char *name = dom_text(line, "case");
    record *r, **tail;
    if (!name) name = "(without a name)";
    r = find_record(s, name, dom_text(line, "sdk"));
    if (!r) {
        r = keep(sizeof *r);
        r->name = name;
        r->sdk = dom_text(line, "sdk");
        for (tail = &s->records; *tail; tail = &(*tail)->next) ;
        *tail = r;
    }
    if (!dom_has(line, "request")) return; /* a vector */
    if (r->last) r->last = r->last->next = to_exchange(line);
    else r->first = r->last = to_exchange(line);
}

static void on_entry(suite *s, node *line) { dom_add(s->entries, NULL, line); }

/* ---- one case ----------------------------------------------------------------- */
static volatile const char *running_case = "", *running_way = "";

static void on_alarm(int sig)
{
    static const char text1[] = "FAIL: the client hangs in case ";
    ssize_t n;
    (void)sig;
    n = write(1, text1, sizeof text1 - 1);
    n += write(1, (const char *)running_case, strlen((const char *)running_case));
    n += write(1, " (", 2);
    n += write(1, (const char *)running_way, strlen((const char *)running_way));
    n += write(1, ")\n", 2);
    _exit(n < 0 ? 2 : 1);
}

static void set_environment(const node *env)
{
    static const char *const prefixes[] = { "E2B_", "LEAP0_", "NULLSPACE_", "SEACLOUD_",
        "DECLAW_", "http_proxy=", "https_proxy=", "HTTPS_PROXY=", "all_proxy=", "ALL_PROXY=" };
    extern char **environ;
    static const node *is;      /* as it was set last */
    static bool known;
    const node *n;
    size_t i, at = 0;
    if (known && env == is) return;
    known = true;
    is = env;
    while (environ && environ[at]) {
        const char *eq = strchr(environ[at], '=');
        bool ours = false;
        for (i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
            if (!strncmp(environ[at], prefixes[i], strlen(prefixes[i]))) ours = true;
        if (ours && eq) unsetenv(keep_bytes(environ[at], (size_t)(eq - environ[at])));
        else at++;
    }
    for (n = env ? env->first : NULL; n; n = n->next) {
        size_t len = n->len;
        if (n->kind == D_TEXT) setenv(n->key, recorded_now(&(rules){0}, n->s, &len), 1);
    }
}

peer *set_up(way w, const node *entry, const exchange *first, report *r)
{
    const node *clock = dom_has(entry, "clock_unix_ms");
    const exchange *x;
    rules *k = keep(sizeof *k);
    peer *p = keep(sizeof *p);
    k->ignore = dom_has(entry, "ignore");
    k->differs = dom_has(entry, "differs");
    k->beyond = dom_has(entry, "beyond");
    k->given = entry->first;
    for (x = first; x; x = x->next)
        if (x->problem) complain(r, "the recording cannot be replayed: %s", x->problem);
    k->fixture = dom_has(entry, "fixture");
    if (dom_is(k->fixture, "recorded")) {
        for (x = first; x && !x->fixture; x = x->next) ;
        k->fixture = x ? x->fixture : NULL;
        if (!x) complain(r, "the recording has no fixture");
    }
    if (r->count) return NULL;
    set_environment(dom_has(entry, "env"));
    peer_start(p, w, first, clock ? clock->i : 1735689600000, k, r);
    return p;
}

static const char *run_way(way w, const node *entry, const record *rec, const char *provider,
    report *r)
{
    peer *p = set_up(w, entry, rec ? rec->first : NULL, r);
    text t = {0};
    if (!p) return "";
    running_way = way_names[w];
    alarm(60);
    dom_print(&t, run_steps(entry, provider, p, r));
    alarm(0);
    return t.p;
}

/* All four ways; the complaints of the first that fails, and the names of the others. */
static void run_case(const node *entry, const record *rec, const char *provider, report *all)
{
    const char *first = NULL;
    const report none = {{0}, 0};
    int w;
    running_case = dom_text(entry, "case");
    for (w = 0; w < WAYS; w++) {
        report r = none;
        const char *outcome = run_way((way)w, entry, rec, provider, &r);
        if (!first) first = outcome;
        else if (!r.count && strcmp(first, outcome))
            complain(&r, "the outcome is not that of the blocking way:\n      %s\n      %s", first,
                outcome);
        if (!r.count) continue;
        text_format(&all->lines, "  %s:\n", way_names[w]);
        if (all->count && all->count == r.count && strstr(all->lines.p, r.lines.p))
            text_put(&all->lines, "    the same\n");
        else text_add(&all->lines, r.lines.p, r.lines.len);
        if (!all->count) all->count = r.count;
    }
}

/* ---- reporting ---------------------------------------------------------------- */
static void skip(suite *s, const char *why)
{
    reason *r, **tail;
    for (r = s->reasons; r; r = r->next)
        if (!strcmp(r->why, why)) break;
    if (!r) {
        r = keep(sizeof *r);
        r->why = why;
        for (tail = &s->reasons; *tail; tail = &(*tail)->next) ;
        *tail = r;
    }
    r->count++;
    s->skipped++;
}

static void list_differences(suite *s, const node *entry, const char *name)
{
    const node *differs = dom_has(entry, "differs"), *n;
    for (n = differs ? differs->first : NULL; n; n = n->next) {
        const char *what = dom_text(n, "name"), *why = dom_text(n, "why");
        char *line;
        text one = {0};
        if (!what || !why) continue;
        text_format(&one, "  %s: %s", what, why);
        line = one.p;
        s->differences++;
        text_format(&s->named, "%s [%s]\n", line, name);
    }
}

/* The self-test: an entry says what must be complained about. */
static bool noticed(const node *entry, report *r)
{
    const node *want = dom_get(entry, "fails_with");
    text lines = {0};
    bool seen;
    if (!want) return !r->count;
    text_put(&lines, r->lines.p ? r->lines.p : "");
    seen = want->kind == D_NULL ? !r->count : want->kind == D_TEXT && r->count &&
        strstr(lines.p, want->s);
    if (seen) {
        r->count = 0;
        return true;
    }
    text_format(&r->lines, "    the self-test expected this complaint: %s\n",
        want->kind == D_TEXT ? want->s : "none");
    r->count++;
    return false;
}

static bool chosen(const suite *s, const char *name)
{
    return !s->only || strstr(name, s->only);
}

static void run_entry(suite *s, const node *entry)
{
    const char *name = dom_text(entry, "case"), *provider = dom_text(entry, "provider");
    record *rec = name ? find_record(s, name, dom_text(entry, "sdk")) : NULL;
    void *mark = keep_mark();
    report r = {{0}, 0};
    bool ok;
    if (rec) rec->used = true;
    if (!chosen(s, name)) return;
    if (!provider) provider = s->provider;
    run_case(entry, rec, provider, &r);
    ok = s->self_test ? noticed(entry, &r) : !r.count;
    if (ok) s->passed++;
    else s->failed++;
    if (!ok) printf("FAIL %s\n%s", name, r.lines.p);
    else if (s->verbose) printf("ok   %s\n", name);
    keep_drop(mark);
    list_differences(s, entry, name);
}

static int run_faults(const suite *s)
{
    faults *all = faults_new(s->provider, strcmp(s->seed, "all") ? s->seed : NULL, s->many,
        s->pairs);
    const node *n;
    for (n = s->entries->first; n; n = n->next) {
        const char *name = dom_text(n, "case"), *provider = dom_text(n, "provider");
        const record *rec = name ? find_record((suite *)s, name, dom_text(n, "sdk")) : NULL;
        if (!name || dom_text(n, "skip") || !chosen(s, name)) continue;
        running_case = name;
        faults_add(all, n, rec ? rec->first : NULL, provider ? provider : s->provider);
    }
    return faults_run(all);
}

static void mark_skipped(suite *s)
{
    const node *n;
    record *r;
    for (n = s->entries->first; n; n = n->next) { /* whole names before prefixes */
        const char *name = dom_text(n, "case"), *why = dom_text(n, "skip");
        if (!name || !why) continue;
        r = find_record(s, name, dom_text(n, "sdk"));
        if (!r) {
            printf("FAIL %s\n    calls: skipped, but not recorded\n", name);
            s->failed++;
        } else if (!r->used && chosen(s, name)) skip(s, why);
        if (r) r->used = true;
    }
    for (r = s->records; r; r = r->next) {
        for (n = s->entries->first; n && !r->used; n = n->next) {
            const char *prefix = dom_text(n, "skip_prefix"), *why = dom_text(n, "why");
            if (!prefix || strncmp(r->name, prefix, strlen(prefix))) continue;
            r->used = true;
            if (chosen(s, r->name)) skip(s, why ? why : "no reason given");
        }
        for (n = s->entries->first; n && !r->used && s->self_test; n = n->next) {
            const char *name = dom_text(n, "uncovered"); /* that it is noticed is the test */
            if (name && !strcmp(name, r->name)) r->used = ++s->passed > 0;
        }
        if (r->used || !chosen(s, r->name)) continue;
        printf("FAIL %s\n    it has neither calls nor a reason to be skipped%s%s\n", r->name,
            r->sdk ? ", sdk " : "", r->sdk ? r->sdk : "");
        s->failed++;
    }
}

static const char *provider_of(const char *path)
{
    const char *name = strrchr(path, '/'), *dot;
    name = name ? name + 1 : path;
    dot = strchr(name, '.');
    return dot ? keep_bytes(name, (size_t)(dot - name)) : keep_text(name);
}

static int run_suite(suite *s, const char *golden, const char *calls)
{
    const node *n;
    const reason *r;
    s->provider = provider_of(golden);
    s->entries = dom_new(D_LIST);
    each_line(golden, s, on_recording);
    each_line(calls, s, on_entry);
    signal(SIGALRM, on_alarm);
    if (s->seed) return run_faults(s);
    for (n = s->entries->first; n; n = n->next)
        if (dom_text(n, "case") && !dom_text(n, "skip")) run_entry(s, n);
    mark_skipped(s);
    for (r = s->reasons; r; r = r->next) printf("skipped %u: %s\n", (unsigned)r->count, r->why);
    if (s->differences)
        printf("named differences: %u\n%s", (unsigned)s->differences, s->named.p);
    printf("golden %s: %u/%u\n", s->provider, (unsigned)s->passed,
        (unsigned)(s->passed + s->failed));
    printf("%u passed, %u failed, %u skipped\n", (unsigned)s->passed, (unsigned)s->failed,
        (unsigned)s->skipped);
    return s->failed || !(s->passed + s->skipped) ? 1 : 0;
}

static int usage(void)
{
    fputs("usage: golden GOLDEN.jsonl CALLS.calls [--only NAME] [--verbose]\n"
          "       golden --fault SEED|all [--many N] [--pairs] [--only NAME] GOLDEN.jsonl CALLS.calls\n"
          "       golden --ops\n"
          "       golden --self-test [DIR]\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    suite s = { .many = 10000 };
    const char *files[2] = { NULL, NULL };
    size_t n = 0;
    int i, status;
    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--ops")) { print_ops(); return 0; }
        if (!strcmp(argv[i], "--verbose")) s.verbose = true;
        else if (!strcmp(argv[i], "--self-test")) s.self_test = true;
        else if (!strcmp(argv[i], "--pairs")) s.pairs = true;
        else if (!strcmp(argv[i], "--only") && i + 1 < argc) s.only = argv[++i];
        else if (!strcmp(argv[i], "--fault") && i + 1 < argc) s.seed = argv[++i];
        else if (!strcmp(argv[i], "--many") && i + 1 < argc) s.many = strtoul(argv[++i], NULL, 10);
        else if (argv[i][0] != '-' && n < 2) files[n++] = argv[i];
        else return usage();
    }
    if (s.self_test && n == 0) files[n++] = "tests/golden/self";
    if (s.self_test && n == 1) {
        text golden = {0}, calls = {0};
        text_format(&golden, "%s/self.jsonl", files[0]);
        text_format(&calls, "%s/self.calls", files[0]);
        files[0] = golden.p;
        files[1] = calls.p;
    } else if (s.self_test || n != 2) return usage();
    status = run_suite(&s, files[0], files[1]);
    keep_drop(NULL);
    return status;
}
