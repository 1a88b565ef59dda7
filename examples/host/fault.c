/* sandboxd: --fault, the misfortunes a client must survive. A fault waits for
   requests of one method and path; after nth - 1 of them it strikes `times`
   times. The first that strikes wins. */
#include "fault.h"
#include "envd_e2b.h"

#include <time.h>

#define FAULTS 32

const char fault_help[] =
    "A SPEC of --fault:    \"METHOD PATH WHAT [OPTION=N]...\", words of\n"
    "  METHOD PATH         requests it waits for; * is any method, any one segment:\n"
    "                      \"POST /v2/sandboxes\", \"GET /files\", \"* /sandboxes/*\",\n"
    "                      \"POST /process.Process/Start\"\n"
    "  429 500 502 503 504 that status instead of an answer; retry-after=S or\n"
    "                      retry-date=S: with Retry-After in S seconds\n"
    "  lost                the sandbox ends, and the answer says so\n"
    "  closed              502: it runs, but its port is not open\n"
    "  drop                carried out, but closed without an answer\n"
    "  cut                 closes a process's stream after bytes=N or frames=N;\n"
    "                      lost with one of them: the sandbox ends there\n"
    "  nth=N               not before the N-th such request (1)\n"
    "  times=N             so often, 0: for ever (1)\n";

enum { CLOSED = 1, LOST, DROP, CUT }; /* or an HTTP status */

struct fault {
    char method[16], path[200];
    int what;
    int64_t nth, times, bytes, frames, retry_after, retry_date; /* -1: not given */
};

static fault faults[FAULTS];
static size_t fault_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- specs ---- */
static int what_of(const char *word)
{
    static const struct { const char *word; int what; } rows[] = {
        { "closed", CLOSED }, { "lost", LOST }, { "drop", DROP }, { "cut", CUT },
        { "429", 429 }, { "500", 500 }, { "502", 502 }, { "503", 503 }, { "504", 504 } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].word, word))
            return rows[i].what;
    return 0;
}

static bool set_number(fault *f, const char *word)
{
    const struct { const char *name; int64_t *to; } rows[] = {
        { "nth=", &f->nth }, { "times=", &f->times }, { "bytes=", &f->bytes },
        { "frames=", &f->frames }, { "retry-after=", &f->retry_after },
        { "retry-date=", &f->retry_date } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i].name);

        if (!strncmp(word, rows[i].name, n))
            return (*rows[i].to = req_number(word + n, 9)) >= 0;
    }
    return false;
}

/* What is wrong with it, NULL: nothing. */
static const char *unfit(const fault *f)
{
    bool somewhere = f->bytes >= 0 || f->frames >= 0;

    if (f->path[0] != '/')
        return "it is METHOD /PATH WHAT [OPTION=N]...";
    if (!f->what)
        return "its third word is none of 429 500 502 503 504 lost closed drop cut";
    if (f->nth == 0)
        return "the first request is nth=1";
    if (f->bytes >= 0 && f->frames >= 0)
        return "bytes or frames, not both";
    if (f->what == CUT ? !somewhere : f->what != LOST && somewhere)
        return "bytes and frames say where to cut, or where a sandbox is lost";
    if (f->what < 400 && (f->retry_after >= 0 || f->retry_date >= 0))
        return "Retry-After comes with a status";
    return NULL;
}

void fault_add(const char *spec)
{
    fault f = { .nth = 1, .times = 1, .bytes = -1, .frames = -1, .retry_after = -1,
                .retry_date = -1 };
    char *copy = xstrdup(spec), *word, *rest = NULL;
    const char *why = NULL;
    size_t n = 0;

    for (word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest), n++) {
        char *to = n == 0 ? f.method : f.path;
        size_t cap = n == 0 ? sizeof f.method : sizeof f.path;

        if (n < 2 && (size_t)snprintf(to, cap, "%s", word) >= cap)
            why = "method or path is too long";
        if (n == 2)
            f.what = what_of(word);
        if (n > 2 && !set_number(&f, word))
            why = "an option is no OPTION=N";
    }
    if (!why)
        why = unfit(&f);
    if (!why && fault_count == FAULTS)
        why = "there are too many";
    if (why)
        die("--fault '%s': %s (see --help)", spec, why);
    faults[fault_count++] = f;
    free(copy);
}

/* ---- the requests ---- */

/* The fault that strikes this request. */
static const fault *struck(req *r)
{
    fault *f = NULL;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < fault_count && !f; i++) {
        f = &faults[i];
        if ((strcmp(f->method, "*") && strcmp(f->method, r->method)) ||
            !route_fits(r, f->path) || f->times < 0 || (f->nth > 1 && f->nth-- > 1))
            f = NULL;
    }
    if (f && f->times > 0 && --f->times == 0)
        f->times = -1; /* it has done its work */
    pthread_mutex_unlock(&lock);
    return f;
}

static void lose(req *r)
{
    box *b = r->b ? box_ref(r->b) : NULL;

    for (size_t i = 0; !b && i < r->segment_count; i++)
        b = box_find(r->segments[i]);
    if (!b)
        return;
    box_kill(b, "fault");
    if (r->b && !r->sent)
        reply_gone(r, b->id);   /* the control plane says it by itself */
    box_unref(b);
}

static void reply_closed(req *r)
{
    sbx_json_writer w;
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    json_str(&w, "sandboxId", r->b ? r->b->id : "");
    json_str(&w, "message", "The sandbox is running but port is not open");
    json_num(&w, "port", 49983);
    json_num(&w, "code", 502);
    sbx_json_end_object(&w);
    reply_text(r, 502, "application/json; charset=utf-8", &t);
}

static void reply_status(req *r, const fault *f)
{
    char when[40];
    time_t at = time(NULL) + (time_t)f->retry_date;
    struct tm tm;

    reply_error(r, (unsigned)f->what, f->what == 429 ? "Rate limit exceeded, please try again later"
                : "Service temporarily unavailable, please retry");
    if (!r->response)
        return;
    snprintf(when, sizeof when, "%lld", (long long)f->retry_after);
    if (f->retry_date >= 0 && gmtime_r(&at, &tm))
        strftime(when, sizeof when, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (f->retry_after >= 0 || f->retry_date >= 0)
        add_header(r->response, "Retry-After", when);
}

void fault_before(req *r)
{
    const fault *f = r->replied ? NULL : struck(r);

    if (!f)
        return;
    log_at(1, "%-6s %s: fault", r->method, r->target);
    r->fault = f;
    r->fault_left = f->bytes >= 0 ? f->bytes : f->frames;
    if (f->what >= 400)
        reply_status(r, f);
    else if (f->what == CLOSED)
        reply_closed(r);
    else if (f->what == LOST && r->fault_left < 0)
        lose(r);
}

bool fault_drops(const req *r)
{
    return r->fault && r->fault->what == DROP;
}

/* Bytes up to the end of the last frame that may pass; the frames may lie across
   the pieces of a stream. */
static size_t count_frames(req *r, const char *p, size_t n)
{
    size_t at = 0;

    while (at < n && r->fault_left > 0) {
        if (r->frame_head < 5) {
            if (r->frame_head++ > 0)
                r->frame_left = r->frame_left << 8 | (unsigned char)p[at];
            at++;
        } else {
            size_t take = r->frame_left < n - at ? r->frame_left : n - at;

            r->frame_left -= (uint32_t)take;
            at += take;
        }
        if (r->frame_head == 5 && r->frame_left == 0) {
            r->frame_head = 0;
            r->fault_left--;
        }
    }
    return at;
}

bool fault_ends(req *r)
{
    const fault *f = r->fault;

    if (!f || (f->what != CUT && f->what != LOST) || r->fault_left != 0)
        return false;
    if (f->what == LOST)
        lose(r);
    return true;
}

size_t fault_passes(req *r, const char *p, size_t n)
{
    if (!r->fault || (r->fault->what != CUT && r->fault->what != LOST))
        return n;
    if (r->fault->frames >= 0)
        return count_frames(r, p, n);
    if ((int64_t)n > r->fault_left)
        n = (size_t)r->fault_left;
    r->fault_left -= (int64_t)n;
    return n;
}
