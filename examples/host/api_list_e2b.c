/* sandboxd: lists of sandboxes: filters, order, pages. A page token is the place
   of the last entry seen: base64url of its start and id. */
#include "api_e2b.h"
#include "template.h"

#define PAGE_MAX 100
#define MAX_FILTERS 32

typedef struct query {
    char *keys[MAX_FILTERS], *values[MAX_FILTERS];
    size_t filters;
    char *metadata;             /* holds the texts of the filters */
    bool running, paused, ascending;
    int64_t limit, started_after_ms;    /* 0: any */
    char template_id[24];       /* "": any; "-": none there is */
    int64_t after_ms;           /* place, 0: from the start */
    char after_id[ID_LEN + 3];
} query;

/* k=v&k=v, percent-encoded as a whole and then each part once more. */
static bool read_metadata(query *q, const char *value)
{
    char *at;

    q->metadata = xstrdup(value);
    if (!percent_decode(q->metadata))
        return false;
    for (at = q->metadata; at && *at; ) {
        char *next = strchr(at, '&'), *eq;

        if (next)
            *next++ = '\0';
        eq = strchr(at, '=');
        if (!eq || strchr(eq + 1, '=') || q->filters == MAX_FILTERS)
            return false;
        *eq++ = '\0';
        if (!percent_decode(at) || !percent_decode(eq))
            return false;
        q->keys[q->filters] = at;
        q->values[q->filters++] = eq;
        at = next;
    }
    return true;
}

static bool read_states(query *q, const char *value)
{
    char list[64], *save = NULL;

    if (strlen(value) >= sizeof list)
        return false;
    strcpy(list, value);
    q->running = q->paused = false;
    for (char *s = strtok_r(list, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
        if (!strcmp(s, "running"))
            q->running = true;
        else if (!strcmp(s, "paused"))
            q->paused = true;
        else
            return false;
    }
    return true;
}

void api_token(char out[300], const char *plain)
{
    size_t n = sbx_base64_encode(out, plain, strlen(plain));

    out[n] = '\0';
    for (char *c = out; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
}

bool api_token_read(const char *token, char plain[256])
{
    sbx_base64 state = { 0 };
    size_t n;

    if (strlen(token) > 200 ||
        sbx_base64_decode(&state, token, strlen(token), plain, &n) != SBX_OK ||
        sbx_base64_end(&state) != SBX_OK)
        return false;
    plain[n] = '\0';
    return strlen(plain) == n;
}

static void make_token(const box *b, bool ascending, char out[300])
{
    char plain[120], when[48];

    rfc3339(when, sizeof when, b->started_ms * 1000000, false);
    snprintf(plain, sizeof plain, "%s__%s%s", when, b->id, ascending ? "__asc" : "");
    api_token(out, plain);
}

static bool read_token(query *q, const char *token)
{
    char plain[256], *id, *order;

    if (!api_token_read(token, plain) || !(id = strstr(plain, "__")))
        return false;
    *id = '\0';
    id += 2;
    order = strstr(id, "__");
    if (order)
        *order = '\0';
    if ((order && strcmp(order + 2, "asc")) || (order != NULL) != q->ascending ||
        strlen(id) != ID_LEN || !parse_rfc3339(plain, &q->after_ms))
        return false;
    strcpy(q->after_id, id);
    return true;
}

static void id_of_template(const char *name, char *id, size_t cap)
{
    const image *im = api_image(name);
    const template *t;
    snapshot s;

    templates_lock();
    t = im ? NULL : template_named(name, NULL);
    snprintf(id, cap, "%s", im ? im->template_id : t ? t->id : "-");
    templates_unlock();
    if (!im && *id == '-' && snapshot_find(name, &s)) {
        snprintf(id, cap, "%s", s.id);
        origin_unref(s.from);
    }
}

static bool read_query(req *r, query *q)
{
    const char *v;
    bool bad = false;
    int64_t n;

    q->running = q->paused = true;
    q->limit = PAGE_MAX;
    if ((v = req_query(r, "metadata", &bad)) && (bad || !read_metadata(q, v))) {
        reply_error(r, 400, "Invalid metadata query: pairs of key=value are expected");
        return false;
    }
    if ((v = req_query(r, "state", &bad)) && *v && !read_states(q, v)) {
        reply_error(r, 400, "validation error: 'state' is running, paused or both");
        return false;
    }
    if ((v = req_query(r, "order", &bad)) && *v) {
        if (strcmp(v, "asc") && strcmp(v, "desc")) {
            reply_error(r, 400, "validation error: 'order' is asc or desc");
            return false;
        }
        q->ascending = !strcmp(v, "asc");
    }
    if ((v = req_query(r, "limit", &bad)) && *v) {
        n = req_number(v, 9);
        if (n < 1) {
            reply_error(r, 400, "validation error: 'limit' must be an integer of 1 or more");
            return false;
        }
        q->limit = n > PAGE_MAX ? PAGE_MAX : n;
    }
    if ((v = req_query(r, "template", &bad)) && *v)
        id_of_template(v, q->template_id, sizeof q->template_id);
    if ((v = req_query(r, "startedAfter", &bad)) && *v &&
        !parse_rfc3339(v, &q->started_after_ms)) {
        reply_error(r, 400, "validation error: 'startedAfter' is no RFC 3339 time");
        return false;
    }
    if ((v = req_query(r, "nextToken", &bad)) && *v && !read_token(q, v)) {
        reply_error(r, 400, "Invalid next token");
        return false;
    }
    if (bad)
        reply_error(r, 400, "validation error: a NUL byte in the query");
    return !bad;
}

static bool wanted(const query *q, box *b)
{
    if (!(box_state_of(b) == BOX_PAUSED ? q->paused : q->running) ||
        (q->template_id[0] && strcmp(q->template_id, b->template_id)) ||
        (q->started_after_ms && b->started_ms < q->started_after_ms))
        return false;
    for (size_t i = 0; i < q->filters; i++) {
        bool same = false;

        for (size_t k = 0; k < b->metadata.count; k++)
            same |= !strcmp(b->metadata.keys[k], q->keys[i]) &&
                    !strcmp(b->metadata.values[k], q->values[i]);
        if (!same)
            return false;
    }
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const box *x = *(box *const *)a, *y = *(box *const *)b;

    if (x->started_ms != y->started_ms)
        return x->started_ms < y->started_ms ? 1 : -1;
    return strcmp(x->id, y->id);
}

static int oldest_first(const void *a, const void *b)
{
    return newest_first(b, a);
}

/* Whether b comes after the place of the page token. */
static bool behind(const query *q, box *b)
{
    box place = { .started_ms = q->after_ms }, *at = &place;

    if (!q->after_id[0])
        return true;
    memcpy(place.id, q->after_id, sizeof place.id);
    return (q->ascending ? oldest_first(&b, &at) : newest_first(&b, &at)) > 0;
}

static void list(req *r, query *q)
{
    sbx_json_writer w;
    char token[300] = "", number[24];
    text t = { 0 };
    box **all;
    size_t n = box_list(&all), total = 0;
    int64_t shown = 0;
    const box *last = NULL;
    struct MHD_Response *m;

    qsort(all, n, sizeof *all, q->ascending ? oldest_first : newest_first);
    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_array(&w);
    for (size_t i = 0; i < n; i++) {
        if (all[i]->hidden || !wanted(q, all[i]))
            continue;
        total += box_state_of(all[i]) != BOX_PAUSED;
        if (!behind(q, all[i]))
            continue;
        if (shown < q->limit) {
            api_listed_json(&w, all[i], false);
            last = all[i];
        } else if (shown == q->limit) {
            make_token(last, q->ascending, token);
        }
        shown++;
    }
    sbx_json_end_array(&w);
    reply_text(r, 200, JSON_TYPE, &t);
    m = r->response;
    if (m && token[0])
        add_header(m, "X-Next-Token", token);
    if (m && q->running) {
        snprintf(number, sizeof number, "%zu", total);
        add_header(m, "X-Total-Running", number);
    }
    for (size_t i = 0; i < n; i++)
        box_unref(all[i]);
    free(all);
}

/* ---- pages of what is in the order of its time and id, the newest first ---- */
static bool is_place(const char *s, size_t id_len)
{
    return strlen(s) == 22 + id_len && strspn(s, "0123456789") == 20 &&
           !strncmp(s + 20, "__", 2) &&
           strspn(s + 22, "abcdefghijklmnopqrstuvwxyz0123456789-") == id_len;
}

bool api_page_read(req *r, api_page *p, size_t id_len)
{
    bool bad = false;
    const char *limit = req_query(r, "limit", &bad), *token = req_query(r, "nextToken", &bad);

    memset(p, 0, sizeof *p);
    p->left = limit && *limit ? req_number(limit, 9) : PAGE_MAX;
    if (p->left < 1 || bad) {
        reply_error(r, 400, bad ? "validation error: a NUL byte in the query"
                    : "validation error: 'limit' must be an integer of 1 or more");
        return false;
    }
    if (p->left > PAGE_MAX)
        p->left = PAGE_MAX;
    if (!token || !*token || (api_token_read(token, p->place) && is_place(p->place, id_len)))
        return true;
    reply_error(r, 400, "Invalid next token");
    return false;
}

bool api_page_takes(api_page *p, int64_t ms, const char *id)
{
    char at[80];

    snprintf(at, sizeof at, "%020lld__%s", (long long)ms, id);
    if (*p->place && strcmp(at, p->place) >= 0)
        return false;
    if (p->left-- > 0) {
        strcpy(p->last, at);
        return true;
    }
    if (!*p->next)
        api_token(p->next, p->last);
    return false;
}

void api_page_reply(req *r, const api_page *p, text *t)
{
    reply_text(r, 200, JSON_TYPE, t);
    if (r->response && *p->next)
        add_header(r->response, "X-Next-Token", p->next);
}

void api_list_v2(req *r)
{
    query q = { 0 };

    if (read_query(r, &q))
        list(r, &q);
    free(q.metadata);
}

/* Running ones only, one page of all of them. */
void api_list_old(req *r)
{
    query q = { .running = true, .limit = INT32_MAX };
    const char *v;
    bool bad = false;

    if ((v = req_query(r, "metadata", &bad)) && (bad || !read_metadata(&q, v)))
        reply_error(r, 400, "Invalid metadata query: pairs of key=value are expected");
    else
        list(r, &q);
    free(q.metadata);
}
