/* sandboxd: E2B's control plane: what was measured and logged of a sandbox. */
#include "api_e2b.h"
#include "template.h"

#define LOG_MAX 1000
#define MANY_MAX 100
#define SEARCH_MAX 256

/* A number of a query; absent: *out stays. False after a reply. */
static bool number_of(req *r, const char *name, int digits, int64_t *out)
{
    bool bad = false;
    const char *v = req_query(r, name, &bad);
    int64_t n = v && *v ? req_number(v, digits) : *out;

    if (n < 0 || bad) {
        reply_error(r, 400, "validation error: '%s' must be a whole number", name);
        return false;
    }
    *out = n;
    return true;
}

/* ---- metrics ---- */
static void metric_json(sbx_json_writer *w, const box *b, const box_sample *s)
{
    sbx_json_begin_object(w);
    json_num(w, "cpuCount", box_cpus(b));
    json_rat(w, "cpuUsedPct", s->percent);
    json_num(w, "diskTotal", s->disk_total);
    json_num(w, "diskUsed", s->disk_used);
    json_num(w, "memCache", s->cache);
    json_num(w, "memTotal", box_memory_total(b));
    json_num(w, "memUsed", s->memory);
    api_time(w, "timestamp", s->at_ms);
    json_num(w, "timestampUnix", s->at_ms / 1000);
    sbx_json_end_object(w);
}

void api_metrics(req *r)
{
    int64_t start = 0, end = INT64_MAX / 1000;
    sbx_json_writer w;
    text t = { 0 };
    box *b = api_box(r);
    uint64_t i;

    if (!b)
        return;
    if (number_of(r, "start", 15, &start) && number_of(r, "end", 15, &end)) {
        if (start > end) {
            reply_error(r, 400, "validation error: 'start' is after 'end'");
        } else {
            box_measure(b, 1000);
            sbx_json_writer_init(&w, text_sink(&t));
            sbx_json_begin_array(&w);
            pthread_mutex_lock(&b->lock);
            for (i = b->sample_count > SAMPLES ? b->sample_count - SAMPLES : 0; i < b->sample_count;
                 i++) {
                const box_sample *s = &b->samples[i % SAMPLES];

                if (s->at_ms / 1000 >= start && s->at_ms / 1000 <= end)
                    metric_json(&w, b, s);
            }
            pthread_mutex_unlock(&b->lock);
            sbx_json_end_array(&w);
            reply_text(r, 200, JSON_TYPE, &t);
        }
    }
    box_unref(b);
}

void api_metrics_of_many(req *r)
{
    bool bad = false;
    const char *v = req_query(r, "sandbox_ids", &bad);
    char *list = xstrdup(v ? v : ""), *save = NULL;
    sbx_json_writer w;
    text t = { 0 };
    int n = 0;

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    sbx_json_key(&w, "sandboxes");
    sbx_json_begin_object(&w);
    for (char *id = strtok_r(list, ",", &save); id; id = strtok_r(NULL, ",", &save)) {
        box *b = ++n > MANY_MAX ? NULL : box_find_any(id);
        box_sample s;

        if (!b)
            continue;
        box_measure(b, 1000);
        s = box_last_sample(b);
        if (s.at_ms) {
            sbx_json_key(&w, b->id);
            metric_json(&w, b, &s);
        }
        box_unref(b);
    }
    sbx_json_end_object(&w);
    sbx_json_end_object(&w);
    if (bad || n == 0 || n > MANY_MAX) {
        reply_error(r, 400, "validation error: 'sandbox_ids' must name 1 to %d sandboxes",
                    MANY_MAX);
        text_free(&t);
    } else {
        reply_text(r, 200, JSON_TYPE, &t);
    }
    free(list);
}

/* ---- logs ---- */
typedef struct log_query {
    int64_t from_ms, limit;     /* from_ms -1: from the respective end */
    bool backward;
    int level;
    const char *search;
} log_query;

/* A cursor is where to begin: at that moment, forward or back. */
static bool log_wanted(const log_query *q, const box_log_line *l)
{
    if (q->from_ms >= 0 && (q->backward ? l->at_ms > q->from_ms : l->at_ms < q->from_ms))
        return false;
    return log_level_of(l->level) >= q->level && (!*q->search || strstr(l->text, q->search));
}

static void entry_json(sbx_json_writer *w, const box *b, const box_log_line *l)
{
    sbx_json_begin_object(w);
    sbx_json_key(w, "fields");
    sbx_json_begin_object(w);
    json_str(w, "sandboxID", b->id);
    sbx_json_end_object(w);
    json_str(w, "level", l->level);
    json_str(w, "message", l->text);
    api_time(w, "timestamp", l->at_ms);
    sbx_json_end_object(w);
}

static void line_json(sbx_json_writer *w, const box *b, const box_log_line *l)
{
    char line[2000];
    sbx_json_writer in;
    text t = { .limit = sizeof line - 1 };

    (void)b;
    sbx_json_writer_init(&in, text_sink(&t));
    sbx_json_begin_object(&in);
    json_str(&in, "level", l->level);
    json_str(&in, "message", l->text);
    sbx_json_end_object(&in);
    sbx_json_begin_object(w);
    json_str(w, "line", t.p ? t.p : "");
    api_time(w, "timestamp", l->at_ms);
    sbx_json_end_object(w);
    text_free(&t);
}

static void write_log(sbx_json_writer *w, const char *key, box *b, const log_query *q,
                      void (*json)(sbx_json_writer *, const box *, const box_log_line *))
{
    uint64_t first, n;
    int64_t left = q->limit;

    sbx_json_key(w, key);
    sbx_json_begin_array(w);
    pthread_mutex_lock(&b->lock);
    first = b->line_count > LOG_LINES ? b->line_count - LOG_LINES : 0;
    n = b->line_count - first;
    for (uint64_t i = 0; i < n && left > 0; i++) {
        const box_log_line *l =
            &b->lines[(q->backward ? b->line_count - 1 - i : first + i) % LOG_LINES];

        if (log_wanted(q, l)) {
            json(w, b, l);
            left--;
        }
    }
    pthread_mutex_unlock(&b->lock);
    sbx_json_end_array(w);
}

static bool read_log_query(req *r, log_query *q)
{
    bool bad = false;
    const char *level = req_query(r, "level", &bad), *way = req_query(r, "direction", &bad);
    const char *search = req_query(r, "search", &bad);

    if (!number_of(r, "limit", 9, &q->limit))
        return false;
    if (level && *level && (q->level = log_level_of(level)) < 0) {
        reply_error(r, 400, "validation error: 'level' is debug, info, warn or error");
        return false;
    }
    if (way && *way && strcmp(way, "forward") && strcmp(way, "backward")) {
        reply_error(r, 400, "validation error: 'direction' is forward or backward");
        return false;
    }
    q->backward = way && !strcmp(way, "backward");
    q->search = search ? search : "";
    if (bad || strlen(q->search) > SEARCH_MAX) {
        reply_error(r, 400, "validation error: 'search' has at most %d characters", SEARCH_MAX);
        return false;
    }
    if (q->limit > LOG_MAX)
        q->limit = LOG_MAX;
    return true;
}

void api_logs(req *r)
{
    log_query q = { .from_ms = -1, .limit = LOG_MAX };
    bool bad = false;
    const char *cursor = req_query(r, "cursor", &bad);
    sbx_json_writer w;
    text t = { 0 };
    box *b = api_box(r);

    if (!b)
        return;
    if ((!cursor || !*cursor || number_of(r, "cursor", 15, &q.from_ms)) && read_log_query(r, &q)) {
        sbx_json_writer_init(&w, text_sink(&t));
        sbx_json_begin_object(&w);
        write_log(&w, "logs", b, &q, entry_json);
        sbx_json_end_object(&w);
        reply_text(r, 200, JSON_TYPE, &t);
    }
    box_unref(b);
}

void api_logs_old(req *r)
{
    log_query q = { .from_ms = 0, .limit = LOG_MAX, .search = "" };
    sbx_json_writer w;
    text t = { 0 };
    box *b = api_box(r);

    if (!b)
        return;
    if (number_of(r, "start", 15, &q.from_ms) && number_of(r, "limit", 9, &q.limit)) {
        sbx_json_writer_init(&w, text_sink(&t));
        sbx_json_begin_object(&w);
        write_log(&w, "logEntries", b, &q, entry_json);
        write_log(&w, "logs", b, &q, line_json);
        sbx_json_end_object(&w);
        reply_text(r, 200, JSON_TYPE, &t);
    }
    box_unref(b);
}
