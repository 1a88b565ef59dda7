/* sandboxd: E2B's control plane: routes, the key, single sandboxes. */
#include "api_e2b.h"

#include <sys/statvfs.h>

/* ---- shared ---- */
bool api_body(req *r, jtree *t, bool may_be_empty)
{
    const char *type = req_header(r, "Content-Type");
    bool empty = r->body.len == 0 && may_be_empty;

    memset(t, 0, sizeof *t);
    if (r->body.len > 0 && type && !req_type_is(type, "application/json")) {
        reply_error(r, 400, "validation error: the header Content-Type is '%.100s', "
                    "'application/json' is needed", type);
        return false;
    }
    if (!jtree_parse(t, empty ? "{}" : r->body.p, empty ? 2 : r->body.len)) {
        reply_error(r, 400, "validation error: the body is not JSON: %s", t->error);
        jtree_free(t);
        return false;
    }
    if (t->root->type != J_OBJECT) {
        reply_error(r, 400, "validation error: the body must be a JSON object");
        jtree_free(t);
        return false;
    }
    return true;
}

int api_int(req *r, const jnode *body, const char *name, int64_t min, int64_t max, int64_t *out)
{
    const jnode *n = jget(body, name, NULL);

    if (!n)
        return 0;
    if (n->type != J_INT || n->num < min || n->num > max) {
        reply_error(r, 400, "validation error: '%s' must be an integer from %lld to %lld", name,
                    (long long)min, (long long)max);
        return -1;
    }
    *out = n->num;
    return 1;
}

void api_not_found(req *r, const char *id)
{
    char shown[200];

    lossy_utf8(shown, sizeof shown, id);
    reply_error(r, 404, "Sandbox \"%s\" doesn't exist or you don't have access to it", shown);
}

box *api_box(req *r)
{
    /* /sandboxes/{id}... and /v2/sandboxes/{id}... */
    const char *id = r->segments[!strcmp(r->segments[0], "v2") ? 2 : 1];
    box *b = box_find_any(id);

    if (!b)
        api_not_found(r, id);
    else
        memcpy(r->box_id, b->id, sizeof r->box_id);
    return b;
}

void api_sandbox_json(sbx_json_writer *w, box *b)
{
    sbx_json_begin_object(w);
    if (b->alias[0])
        json_str(w, "alias", b->alias);
    json_str(w, "clientID", CLIENT_ID);
    sbx_json_key(w, "domain");
    sbx_json_null(w);
    if (b->token[0])
        json_str(w, "envdAccessToken", b->token);
    json_str(w, "envdVersion", ENVD_VERSION);
    json_str(w, "sandboxID", b->id);
    json_str(w, "templateID", b->template_id);
    if (b->traffic_token[0])
        json_str(w, "trafficAccessToken", b->traffic_token);
    sbx_json_end_object(w);
}

int64_t api_disk_mib(void)
{
    struct statvfs st;

    if (conf.disk_mib > 0)
        return conf.disk_mib;
    if (statvfs(conf.state, &st) != 0)
        return 0;
    return (int64_t)((uint64_t)st.f_blocks * st.f_frsize >> 20);
}

void api_time(sbx_json_writer *w, const char *key, int64_t ms)
{
    char s[40];

    rfc3339(s, sizeof s, ms * 1000000, true);
    json_str(w, key, s);
}

void api_listed_json(sbx_json_writer *w, box *b, bool detail)
{
    int64_t end_ms;
    bool paused, internet;
    int choice;

    pthread_mutex_lock(&b->lock);
    end_ms = b->end_ms;
    paused = b->state == BOX_PAUSED;
    internet = b->internet;
    choice = b->internet_choice;
    pthread_mutex_unlock(&b->lock);
    sbx_json_begin_object(w);
    if (b->alias[0])
        json_str(w, "alias", b->alias);
    if (detail && choice >= 0) {
        sbx_json_key(w, "allowInternetAccess");
        sbx_json_bool(w, internet);
    }
    json_str(w, "clientID", CLIENT_ID);
    json_num(w, "cpuCount", box_cpus(b));
    json_num(w, "diskSizeMB", api_disk_mib());
    if (detail) {
        sbx_json_key(w, "domain");
        sbx_json_null(w);
    }
    api_time(w, "endAt", end_ms);
    if (detail && b->token[0])
        json_str(w, "envdAccessToken", b->token);
    json_str(w, "envdVersion", ENVD_VERSION);
    if (detail) {
        sbx_json_key(w, "lifecycle");
        sbx_json_begin_object(w);
        sbx_json_key(w, "autoResume");
        sbx_json_bool(w, b->auto_resume);
        json_str(w, "onTimeout", b->pause_at_end ? "pause" : "kill");
        sbx_json_end_object(w);
    }
    json_num(w, "memoryMB", box_memory_total(b) >> 20);
    sbx_json_key(w, "metadata");
    sbx_json_begin_object(w);
    for (size_t i = 0; i < b->metadata.count; i++)
        json_str(w, b->metadata.keys[i], b->metadata.values[i]);
    sbx_json_end_object(w);
    if (detail && b->pause_at_end)
        json_str(w, "pauseMode", b->pause_memory ? "full" : "filesystem");
    json_str(w, "sandboxID", b->id);
    api_time(w, "startedAt", b->started_ms);
    json_str(w, "state", paused ? "paused" : "running");
    json_str(w, "templateID", b->template_id);
    sbx_json_key(w, "volumeMounts");
    sbx_json_begin_array(w);
    sbx_json_end_array(w);
    sbx_json_end_object(w);
}

/* A paused one has no clock: false after a reply. */
static bool api_runs(req *r, box *b)
{
    if (box_running(b))
        return true;
    api_not_found(r, b->id);
    return false;
}

/* ---- single sandboxes ---- */
static void get_info(req *r)
{
    sbx_json_writer w;
    text t = { 0 };
    box *b = api_box(r);

    if (!b)
        return;
    sbx_json_writer_init(&w, text_sink(&t));
    api_listed_json(&w, b, true);
    reply_text(r, 200, JSON_TYPE, &t);
    box_unref(b);
}

static void remove_box(req *r)
{
    box *b = api_box(r);

    if (!b)
        return;
    if (box_kill(b, "deleted"))
        reply_empty(r, 204);
    else
        api_not_found(r, b->id); /* another request was first */
    box_unref(b);
}

static void set_timeout(req *r)
{
    int64_t seconds = 0;
    box *b = api_box(r);
    jtree t;
    int got;

    if (!b)
        return;
    if (api_body(r, &t, false)) {
        got = api_int(r, t.root, "timeout", 0, MAX_LIFE_S, &seconds);
        if (got == 0)
            reply_error(r, 400, "validation error: 'timeout' is missing");
        if (got > 0 && api_runs(r, b)) {
            box_set_end(b, seconds * 1000, false);
            reply_empty(r, 204);
        }
        jtree_free(&t);
    }
    box_unref(b);
}

static void refresh(req *r)
{
    int64_t seconds = 15;
    box *b = api_box(r);
    jtree t;

    if (!b)
        return;
    if (api_body(r, &t, true)) {
        if (api_int(r, t.root, "duration", 0, 3600, &seconds) >= 0 && api_runs(r, b)) {
            box_set_end(b, seconds * 1000, true);
            reply_empty(r, 204);
        }
        jtree_free(&t);
    }
    box_unref(b);
}

/* ---- the host itself ---- */
static void health(req *r)
{
    reply_plain(r, 200, "Health check successful");
}

static void status(req *r)
{
    sbx_json_writer w;
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    json_str(&w, "name", "sandboxd");
    json_str(&w, "version", HOST_VERSION);
    sbx_json_key(&w, "isolation");
    sbx_json_begin_object(&w);
    json_num(&w, "rung", conf.rung);
    json_str(&w, "found", conf.rung_notes);
    json_str(&w, "cgroups", cgroup_note());
    sbx_json_end_object(&w);
    json_num(&w, "sandboxes", boxes_count());
    json_num(&w, "maxSandboxes", conf.max_sandboxes);
    sbx_json_key(&w, "templates");
    sbx_json_begin_array(&w);
    for (int i = 0; i < conf.image_count; i++)
        json_str(&w, NULL, conf.images[i].name);
    sbx_json_end_array(&w);
    sbx_json_end_object(&w);
    text_add(&t, "\n", 1);
    reply_text(r, 200, JSON_TYPE, &t);
}

static void not_offered(req *r)
{
    reply_error(r, 501, "not implemented by this host: %s %.200s", r->method, r->target);
}

static const handler routes[] = {
    { "GET", "/health", health, NULL, NULL, true },
    { "GET", "/status", status, NULL, NULL, true },
    { "POST", "/v2/sandboxes", api_create_v2, NULL, NULL, false },
    { "GET", "/v2/sandboxes", api_list_v2, NULL, NULL, false },
    { "POST", "/sandboxes", api_create_old, NULL, NULL, false },
    { "GET", "/sandboxes", api_list_old, NULL, NULL, false },
    { "GET", "/sandboxes/metrics", api_metrics_of_many, NULL, NULL, false },
    { "GET", "/sandboxes/*", get_info, NULL, NULL, false },
    { "DELETE", "/sandboxes/*", remove_box, NULL, NULL, false },
    { "POST", "/v2/sandboxes/*/connect", api_connect, NULL, NULL, false },
    { "POST", "/sandboxes/*/connect", api_connect, NULL, NULL, false },
    { "POST", "/sandboxes/*/timeout", set_timeout, NULL, NULL, false },
    { "POST", "/sandboxes/*/refreshes", refresh, NULL, NULL, false },
    { "POST", "/sandboxes/*/resume", api_resume, NULL, NULL, false },
    { "POST", "/sandboxes/*/pause", api_pause, NULL, NULL, false },
    { "POST", "/sandboxes/*/fork", api_fork, NULL, NULL, false },
    { "POST", "/sandboxes/*/snapshots", api_snapshot, NULL, NULL, false },
    { "GET", "/snapshots", api_snapshots, NULL, NULL, false },
    { "POST", "/v3/templates", api_template_create, NULL, NULL, false },
    { "POST", "/v2/templates", api_template_create, NULL, NULL, false },
    { "POST", "/templates", not_offered, NULL, NULL, false }, /* by an image pushed elsewhere */
    { "GET", "/v2/templates", api_templates, NULL, NULL, false },
    { "GET", "/templates", api_templates, NULL, NULL, false },
    { "GET", "/templates/aliases/*", api_template_alias, NULL, NULL, false },
    { "POST", "/templates/tags", api_tags_assign, NULL, NULL, false },
    { "DELETE", "/templates/tags", api_tags_delete, NULL, NULL, false },
    { "GET", "/templates/*", api_template, NULL, NULL, false },
    { "PATCH", "/v2/templates/*", api_template_update, NULL, NULL, false },
    { "PATCH", "/templates/*", api_template_update, NULL, NULL, false },
    { "DELETE", "/templates/*", api_template_delete, NULL, NULL, false },
    { "GET", "/templates/*/tags", api_tags, NULL, NULL, false },
    { "GET", "/templates/*/files/*", api_files, NULL, NULL, false },
    { "PUT", "/upload/*/*", api_upload_end, api_upload_begin, api_upload_data, true },
    { "POST", "/v2/templates/*/builds/*", api_build_start, NULL, NULL, false },
    { "GET", "/templates/*/builds/*/status", api_build_status, NULL, NULL, false },
    { "GET", "/templates/*/builds/*/logs", api_build_logs, NULL, NULL, false },
    { "PUT", "/sandboxes/*/network", api_network, NULL, NULL, false },
    { "GET", "/sandboxes/*/metrics", api_metrics, NULL, NULL, false },
    { "GET", "/sandboxes/*/logs", api_logs_old, NULL, NULL, false },
    { "GET", "/v2/sandboxes/*/logs", api_logs, NULL, NULL, false },
};

/* Whole parts of the provider's surface that this host does not have. */
static bool elsewhere(const req *r)
{
    static const char *const parts[] = { "templates", "volumes", "volumecontent",
        "secrets", "teams", "events", "nodes", "access-tokens", "api-keys", "admin" };
    size_t at = r->segment_count > 0 && (!strcmp(r->segments[0], "v2") ||
                                         !strcmp(r->segments[0], "v3"));

    for (size_t i = 0; r->segment_count > at && i < sizeof parts / sizeof *parts; i++)
        if (!strcmp(r->segments[at], parts[i]))
            return true;
    return false;
}

static bool key_ok(req *r)
{
    const char *key = req_header(r, "X-API-Key");

    if (!key)
        reply_error(r, 401, "the API key is missing: send it in the X-API-Key header");
    else if (same_secret(key, conf.api_key))
        return true;
    else if (strncmp(key, "e2b_", 4))
        reply_error(r, 401, "Invalid API key format");
    else
        reply_error(r, 401, "Cannot get the team for the given API key");
    return false;
}

/* Of --rate: a bucket of one second's requests, counted in 1/1000. */
static bool rate_ok(req *r)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int64_t left, at;
    int64_t now = mono_ms(), full = (int64_t)conf.rate * 1000;
    bool ok;

    if (conf.rate == 0)
        return true;
    pthread_mutex_lock(&lock);
    left = now - at >= 1000 ? full : left + (now - at) * conf.rate;
    if (left > full)
        left = full;
    at = now;
    ok = left >= 1000;
    if (ok)
        left -= 1000;
    pthread_mutex_unlock(&lock);
    if (ok)
        return true;
    reply_error(r, 429, "Rate limit exceeded, please try again later (--rate %d)", conf.rate);
    if (r->response)
        add_header(r->response, "Retry-After", "1"); /* one is free in 1 s at the latest */
    return false;
}

void control_route(req *r)
{
    static const handler none = { "*", "", not_offered, NULL, NULL, false };
    int found = route_in(r, routes, sizeof routes / sizeof *routes);

    if (found > 0 && r->h->open)
        return;
    if (!key_ok(r) || !rate_ok(r))
        return;
    if (found == 0 && elsewhere(r))
        r->h = &none;
    else if (found == 0)
        reply_error(r, 404, "no such endpoint: %s %.200s", r->method, r->target);
    else if (found < 0)
        reply_error(r, 405, "method not allowed: %s %.200s", r->method, r->target);
}
