/* fault - every case again and again, each time with one thing that fails: the n-th
   allocation, open, send, recv, wait, look at a clock or call for entropy, once and
   from then on; and each answer ends at each byte, closed or reset. A step must end
   as it does without the fault, or with a status of that fault and nothing handed
   out; afterwards the same client does the whole case as if nothing had been, and
   closes without a leak. In pairs another fault follows the first.

   In a process of their own, so that a crash or a hang is one failed injection; where
   it was stands in memory shared with the process that waits, and another goes on. */
#include "golden.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Of memory that was freed a little is kept apart: with more, paging is what takes time.
   Where it was allocated is not noted; ASAN_OPTIONS=malloc_context_size=30 tells. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=2:malloc_context_size=0";
}

/* What a fault may end a call with, and how it is called. */
typedef struct meaning { const char *name; const char *statuses[3]; } meaning;
static const meaning meanings[FAULTS] = {
    [F_ALLOC] = { "alloc", { "NOMEM" } },
    [F_OPEN] = { "open", { "CONNECT", "DNS" } },
    [F_SEND] = { "send", { "NETWORK", "UNREACHABLE" } },
    [F_RECV] = { "recv", { "NETWORK", "UNREACHABLE" } },
    [F_WAIT] = { "wait", { "NETWORK" } },
    [F_EARLY] = { "early wait", { NULL } },
    [F_AHEAD] = { "clock ahead", { "TIMEOUT" } },
    [F_BACK] = { "clock back", { "TIMEOUT" } },
    [F_UNIX] = { "unix clock", { "ARG" } },
    [F_ENTROPY] = { "entropy", { "ENTROPY" } },
    [F_CUT] = { "cut", { "NETWORK", "UNREACHABLE" } },
    [F_RESET] = { "reset", { "NETWORK", "UNREACHABLE" } }
};

enum { START_MS = 0x7FFFFE00 };  /* a clock of 32 bits turns negative soon after */

/* ---- what the transport and the allocator ask --------------------------------- */
const fault *fault_strikes(fault *f, fault_kind k)
{
    unsigned long n;
    if (!f || f->stopped) return NULL;
    n = ++f->calls[k];
    if (f->kind != k || (f->on ? n < f->at : n != f->at))
        return f->hits ? fault_strikes(f->also, k) : NULL;
    f->hits++;
    return f;
}

size_t fault_cuts(fault *f, size_t len, bool *reset)
{
    size_t n;
    if (!f || f->stopped) return len;
    n = f->answers++;
    if (n < MAX_ANSWERS) f->lens[n] = len;
    if ((f->kind != F_CUT && f->kind != F_RESET) || f->at >= len ||
        (f->on ? n < f->answer : n != f->answer))
        return f->hits ? fault_cuts(f->also, len, reset) : len;
    f->hits++;
    *reset = f->kind == F_RESET;
    return f->at;
}

bool fault_has(const fault *f, fault_kind k)
{
    return f && (f->kind == k || fault_has(f->also, k));
}

/* ---- judging ------------------------------------------------------------------ */
static const char *printed(const node *n)
{
    text t = {0};
    dom_print(&t, n);
    return t.p;
}

static const char *status_of(const node *outcome)
{
    const char *s = dom_text(outcome, "status");
    return s && !strncmp(s, "SBX_E_", 6) ? s + 6 : s ? s + 4 : "";
}

static bool one_of(const char *s, const char *const *list, size_t n)
{
    for (; n && *list; list++, n--)
        if (!strcmp(s, *list)) return true;
    return false;
}

/* The last try got a reply that another try would have followed. */
static bool tried_less(const peer *p, const node *error)
{
    const exchange *x;
    const node *http = dom_get(error, "http_status");
    for (x = p->first; x; x = x->next)
        if (http && x->status == http->i && (x->status == 429 || x->status >= 500)) return true;
    return false;
}

/* What struck may end a call so. A clock that goes back for good only makes everything
   last longer. */
static bool is_meant(const fault *f, const char *got)
{
    if (!f || !f->hits) return false;
    if (!(f->kind == F_BACK && f->on) && one_of(got, meanings[f->kind].statuses, 3)) return true;
    return is_meant(f->also, got);
}

/* A failure may keep its class and know less of it than without the fault. */
static bool allowed(const fault *f, const peer *p, const node *outcome, const char *usual)
{
    static const char *const lost[] = { "NETWORK", "UNREACHABLE", "SANDBOX_GONE", "TIMEOUT",
        "NO_END" };
    static const char *const busy[] = { "RATE_LIMITED", "BUSY", "SERVER", "NETWORK" };
    const char *got = status_of(outcome);
    if (is_meant(f, got)) return true;
    if ((f->also || (f->kind != F_ALLOC && f->kind != F_ENTROPY)) && one_of(got, busy, 4) &&
        tried_less(p, dom_get(outcome, "error"))) return true;
    return one_of(usual, lost, 5) && (!strcmp(got, usual) || !strcmp(got, "UNREACHABLE"));
}

static bool yes(const node *error, const char *name)
{
    const node *n = dom_get(error, name);
    return n && n->i == SBX_YES;
}

/* Items and events that came are the first of those that come without the fault. */
static void judge_list(const node *want, const node *got, const char *what, report *r)
{
    const node *w = want ? want->first : NULL, *g = got ? got->first : NULL;
    for (; g; g = g->next, w = w ? w->next : NULL) {
        const node *a = w ? w->first : NULL, *b = g->first;
        bool piece = !g->next && a && b && a->kind == D_TEXT && b->kind == D_TEXT &&
            !strcmp(a->key, b->key) && b->len <= a->len && !memcmp(a->s, b->s, b->len);
        const char *id = dom_text(w, "id"), *told = dom_text(g, "message");
        /* a copy of a sandbox without memory for its handle: its id is told */
        if (w && yes(g, "may_exist") && id && told && !strcmp(id, told)) continue;
        if (w && (piece || !strcmp(printed(w), printed(g)))) continue;
        complain(r, "%s: got %s instead of %s", what, printed(g), printed(w));
        return;
    }
}

static void judge_create(const fault *f, const peer *p, const node *error, bool usual, report *r)
{
    bool said = yes(error, "may_exist");
    if (said && usual && f->kind == F_ALLOC && !f->also && p->first && !p->first->next)
        complain(r, "what a create made is lost for want of memory");
    if (!said && p->step_made && !p->step_undone)
        complain(r, "a create that was granted is not said to exist");
    if (said && !p->step_sends) complain(r, "may_exist, though nothing was sent");
}

void fault_judge(fault *f, const peer *p, const node *outcome, bool creates, report *r)
{
    const node *usual = f->due, *error = dom_get(outcome, "error");
    const char *got = status_of(outcome);
    size_t before = r->count;
    if (!usual) { complain(r, "a step more than without the fault"); return; }
    f->due = usual->next;
    if (!strcmp(printed(outcome), printed(usual))) return;
    f->differs = true;
    if (!strcmp(got, "OK")) complain(r, "SBX_OK with another outcome");
    else if (!allowed(f, p, outcome, status_of(usual))) complain(r, "%s is no status of this fault", got);
    judge_list(dom_get(usual, "items"), dom_get(outcome, "items"), "items", r);
    judge_list(dom_get(usual, "events"), dom_get(outcome, "events"), "events", r);
    if (creates && strcmp(got, "OK"))
        judge_create(f, p, error, !strcmp(status_of(usual), "OK"), r);
    if (f->on && (f->kind == F_SEND || f->kind == F_RECV) && yes(error, "sandbox_alive"))
        complain(r, "nothing comes through, but sandbox_alive");
    if (r->count == before) return;
    complain(r, "  without the fault: %s", printed(usual));
    complain(r, "  with it:           %s", printed(outcome));
}

void fault_opened(fault *f, int status, const sbx_error *e, report *r)
{
    if (!fault_has(f, F_ALLOC) || status != SBX_E_NOMEM)
        complain(r, "sbx_open: %s is no status of this fault", sbx_status_name(status));
    if (e->status != status || !e->message[0]) complain(r, "sbx_open: config.error is not filled");
}

/* ---- cases -------------------------------------------------------------------- */
typedef struct plan {           /* one way of a case */
    const node *usual;
    unsigned long calls[FAULTS], limit;
    size_t answers, lens[MAX_ANSWERS];
} plan;

typedef struct task {
    const node *entry;
    const exchange *first;
    const char *provider, *name;
    unsigned long number;
    plan ways[WAYS];
    struct task *next;
} task;

typedef struct shared {         /* with the process that injects */
    unsigned long number, at;   /* of the case, and the injection it is at, from 1 */
    unsigned long done, failed;
    char row[160];
} shared;

struct faults {
    const char *name;
    bool whole, pairs;
    unsigned long seed, many, groups, total;
    unsigned long shard, shards;    /* every so many-th, by SBX_SHARD */
    task *first, *last;
    shared *now;
    time_t shown;
};

faults *faults_new(const char *name, const char *seed, unsigned long many, bool pairs)
{
    faults *all = keep(sizeof *all);
    const char *share = getenv("SBX_SHARD");
    all->name = name;
    all->whole = !seed;
    all->seed = seed ? strtoul(seed, NULL, 10) : 0;
    all->many = many;
    all->pairs = pairs;
    all->shards = 1;
    if (share) sscanf(share, "%lu/%lu", &all->shard, &all->shards);
    if (all->shard >= all->shards) { fputs("SBX_SHARD=i/n: i is less than n\n", stderr); exit(2); }
    all->now = mmap(NULL, sizeof *all->now, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
        0);
    if (all->now == MAP_FAILED) { perror("golden: mmap"); exit(2); }
    return all;
}

static peer *fresh_peer(way w, const task *t, fault *f, report *r)
{
    peer *p = set_up(w, t->entry, t->first, r);
    if (!p) return NULL;
    p->fault = f;
    p->now_ms = p->start_ms = p->answered_ms = START_MS;
    p->unix_ms -= START_MS;
    return p;
}

/* In how many places a fault of this kind can strike. */
static unsigned long places(const plan *p, int kind)
{
    unsigned long n = 0;
    size_t i;
    if (kind != F_CUT && kind != F_RESET) return p->calls[kind];
    for (i = 0; i < p->answers; i++) n += p->lens[i];
    return n;
}

/* An early return for ever would be a transport that cannot wait. */
static int variants(int kind) { return kind == F_EARLY ? 1 : 2; }

void faults_add(faults *all, const node *entry, const exchange *first, const char *provider)
{
    task *t = keep(sizeof *t);
    int w, kind;
    t->entry = entry;
    t->first = first;
    t->provider = provider;
    t->name = dom_text(entry, "case");
    for (w = 0; w < WAYS; w++) {
        plan *plan = &t->ways[w];
        report r = {0};
        fault f = {0};
        peer *p = fresh_peer((way)w, t, &f, &r);
        f.kind = FAULTS;
        if (p) plan->usual = run_steps(entry, provider, p, &r);
        if (f.answers > MAX_ANSWERS) complain(&r, "more answers than can be cut");
        if (r.count) { /* without it nothing can be said to fail */
            printf("FAIL %s, %s, without a fault\n%s", t->name, way_names[w], r.lines.p);
            all->now->failed++;
            return;
        }
        memcpy(plan->calls, f.calls, sizeof f.calls);
        memcpy(plan->lens, f.lens, sizeof f.lens);
        plan->answers = f.answers;
        plan->limit = 20000 + 50 * p->calls;
        for (kind = 0; kind < FAULTS; kind++) {
            all->total += places(plan, kind) * (unsigned)variants(kind);
            if (places(plan, kind)) all->groups += (unsigned)variants(kind);
        }
    }
    if (all->last) t->number = all->last->number + 1;
    if (all->last) all->last->next = t;
    else all->first = t;
    all->last = t;
}

/* ---- injecting ---------------------------------------------------------------- */
static unsigned long mixed(unsigned long seed, unsigned long a, unsigned long b)
{
    uint64_t x = seed * 0x9E3779B97F4A7C15u ^ a * 0xBF58476D1CE4E5B9u ^ b * 0x94D049BB133111EBu;
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBu;
    return (unsigned long)((x ^ x >> 31) & 0x7FFFFFFFu);
}

static void show_progress(faults *all)
{
    time_t t = time(NULL);
    if (!all->whole || t < all->shown + 5) return;
    all->shown = t;
    fprintf(stderr, "fault %s: %lu of %lu, %lu failed\n", all->name, all->now->done,
        all->total / all->shards, all->now->failed);
}

static const char *described(const fault *f)
{
    text t = {0};
    text_format(&t, "%s %lu%s%s", meanings[f->kind].name, f->at,
        f->answer ? " of a later answer" : "", f->on ? " on" : "");
    if (f->also) text_format(&t, ", then %s", described(f->also));
    return t.p;
}

/* What follows soon after another fault. */
static fault second(const faults *all, const task *t, const fault *first)
{
    unsigned long dice = mixed(all->seed, t->number,
        first->at * FAULTS + first->kind);
    fault f = {0};
    f.kind = (fault_kind)(dice % FAULTS);
    dice /= FAULTS;
    f.on = dice % 2 && variants((int)f.kind) == 2;
    f.at = 1 + dice / 2 % 8;
    if (f.kind != F_CUT && f.kind != F_RESET) return f;
    f.answer = dice / 2 % 2;
    f.at = dice / 4 % 512;
    return f;
}

static void inject(faults *all, const task *t, int w, const fault *what)
{
    const plan *plan = &t->ways[w];
    void *mark = keep_mark();
    report r = {0};
    fault f = *what, another = second(all, t, what);
    shared *now = all->now;
    peer *p;
    if (all->pairs) f.also = &another;
    snprintf(now->row, sizeof now->row, "%.60s, %s, %s", t->name, way_names[w], described(&f));
    f.usual = plan->usual;
    f.due = f.usual->first;
    p = fresh_peer((way)w, t, &f, &r);
    if (p) {
        p->limit = plan->limit;
        alarm(30);
        run_steps(t->entry, t->provider, p, &r);
        if (!f.hits) complain(&r, "the fault was not reached");
    }
    now->done++;
    if (r.count) {
        now->failed++;
        if (now->failed <= 200) printf("FAIL %s\n%s", now->row, r.lines.p);
        fflush(stdout);
    }
    keep_drop(mark);
    show_progress(all);
}

static bool chosen(const faults *all, unsigned long group, unsigned long i, unsigned long size)
{
    if (all->whole) return true;
    return mixed(all->seed, group, i) % (size * 1000) < all->many * 1000 / (all->groups + 1);
}

/* All or the chosen places of one kind; those up to `after` are done. */
static void inject_kind(faults *all, const task *t, int w, fault *f, unsigned long group,
    unsigned long *index, unsigned long after)
{
    const plan *plan = &t->ways[w];
    unsigned long size = places(plan, f->kind), i, before = 0;
    bool cut = f->kind == F_CUT || f->kind == F_RESET;
    f->answer = 0;
    for (i = 0; i < size; i++) {
        while (cut && i - before == plan->lens[f->answer]) before += plan->lens[f->answer++];
        f->at = cut ? i - before : i + 1;
        if (++*index <= after || *index % all->shards != all->shard) continue;
        if (!chosen(all, group, i, size)) continue;
        all->now->at = *index;
        inject(all, t, w, f);
    }
}

static void inject_case(faults *all, const task *t, unsigned long group, unsigned long after)
{
    unsigned long index = 0;
    int w, kind, on;
    for (w = 0; w < WAYS; w++)
        for (kind = 0; kind < FAULTS; kind++)
            for (on = 0; on < variants(kind); on++) {
                fault f = {0};
                f.kind = (fault_kind)kind;
                f.on = on;
                inject_kind(all, t, w, &f, group++, &index, after);
            }
    alarm(0);
}

/* The cases from `number` on; of that one, what comes after an injection. False: it
   crashed, and there is more to do after that. */
static bool in_a_process(faults *all, unsigned long number, unsigned long after)
{
    const task *t = all->first;
    shared *now = all->now;
    int status = 0;
    pid_t pid;
    fflush(NULL);
    now->row[0] = 0;
    pid = fork();
    if (pid < 0) { perror("golden: fork"); exit(2); }
    if (pid == 0) {
        for (; t; t = t->next) {
            if (t->number < number) continue;
            now->number = t->number;
            now->at = now->number == number ? after : 0;
            inject_case(all, t, now->number * 1000, now->at);
        }
        fflush(NULL);
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0) ;
    if (status == 0) return true;
    printf("FAIL %s\n    the client crashed or hung (status %x)\n", now->row, (unsigned)status);
    now->done++;
    now->failed++;
    return false;
}

int faults_run(faults *all)
{
    unsigned long number = 0, after = 0, crashes = 0;
    all->shown = time(NULL);
    if (!all->whole)
        printf("fault %s: SEED=%lu, %lu of %lu at most%s\n", all->name, all->seed, all->many,
            all->total, all->pairs ? ", in pairs" : "");
    while (all->first && !in_a_process(all, number, after)) {
        crashes = number == all->now->number ? crashes + 1 : 1;
        number = all->now->number;
        after = all->now->at;
        if (crashes < 5) continue; /* enough of this case */
        number++;
        after = 0;
    }
    printf("fault %s: %lu injections, %lu failed\n", all->name, all->now->done, all->now->failed);
    return all->now->failed || !all->now->done;
}
