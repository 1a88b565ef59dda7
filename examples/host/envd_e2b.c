/* sandboxd: the daemon of a sandbox: which one, who may, and its plain REST. */
#include "envd_e2b.h"

#define WAKE_LIFE_MS (300ll * 1000) /* of one that traffic wakes, if it was made with less */

void reply_gone(req *r, const char *id)
{
    edge_error(r, 502, id, "The sandbox was not found", 0);
}

/* ---- REST ---- */
static void health(req *r)
{
    reply_empty(r, 204);
    if (r->response)
        add_header(r->response, "Cache-Control", "no-store");
}

static void envs(req *r)
{
    sbx_json_writer w;
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    for (size_t i = 0; i < r->b->env.count; i++)
        json_str(&w, r->b->env.keys[i], r->b->env.values[i]);
    sbx_json_end_object(&w);
    reply_text(r, 200, "application/json; charset=utf-8", &t);
}

static void metrics(req *r)
{
    sbx_json_writer w;
    box_sample s;
    text t = { 0 };
    int64_t total = box_memory_total(r->b);

    box_measure(r->b, 200);
    s = box_last_sample(r->b);
    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    json_num(&w, "ts", s.at_ms / 1000);
    json_num(&w, "cpu_count", box_cpus(r->b));
    json_rat(&w, "cpu_used_pct", s.percent);
    json_num(&w, "mem_total_mib", total >> 20);
    json_num(&w, "mem_used_mib", s.memory >> 20);
    json_num(&w, "mem_total", total);
    json_num(&w, "mem_used", s.memory);
    json_num(&w, "mem_cache", s.cache);
    json_num(&w, "disk_used", s.disk_used);
    json_num(&w, "disk_total", s.disk_total);
    sbx_json_end_object(&w);
    reply_text(r, 200, "application/json; charset=utf-8", &t);
}

static const handler routes[] = {
    { "GET", "/health", health, NULL, NULL, true },
    { "GET", "/metrics", metrics, NULL, NULL, false },
    { "GET", "/envs", envs, NULL, NULL, false },
    { "GET", "/files", envd_download, NULL, NULL, true },
    { "POST", "/files", envd_upload_end, envd_upload_begin, envd_upload_data, true },
    { "POST", "/files/compose", envd_compose, NULL, NULL, false },
};

/* Paths the orchestrator keeps for itself: the edge never lets them through. */
static bool internal(req *r)
{
    static const char *const names[] = { "init", "freeze", "unfreeze", "collapse", "fsfreeze",
        "fsthaw", "upgrade" };
    sbx_json_writer w;
    text t = { 0 };
    bool found = false;

    for (size_t i = 0; r->segment_count == 1 && i < sizeof names / sizeof *names; i++)
        found |= !strcmp(r->segments[0], names[i]);
    if (!found)
        return false;
    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    json_str(&w, "message", "not found");
    json_str(&w, "path", r->target);
    json_num(&w, "code", 404);
    sbx_json_end_object(&w);
    reply_text(r, 404, "application/json; charset=utf-8", &t);
    return true;
}

static bool token_ok(req *r)
{
    const char *given = req_header(r, "X-Access-Token");

    if (!r->b->token[0] || (given && same_secret(given, r->b->token)))
        return true;
    reply_error(r, 401, "unauthorized access, please provide a valid access token or method "
                "signing if supported");
    return false;
}

/* The sandbox for a request, awake; NULL after a reply. Traffic wakes a paused one
   if that was asked for, and if the traffic may come in at all. */
static box *awake(req *r, const char *id, bool daemon)
{
    box *b = box_find_any(id);
    char why[300];
    bool resumed;
    int result;

    if (b && box_running(b))
        return b;
    if (b && b->auto_resume && (daemon || port_token_ok(r, b))) {
        result = box_resume(b, true, b->life_ms > WAKE_LIFE_MS ? b->life_ms : WAKE_LIFE_MS,
                            &resumed, why, sizeof why);
        if (result == 0)
            return b;
        if (result == -EAGAIN)
            edge_error(r, 429, id, "As many sandboxes run as may", 0);
    }
    if (b)
        box_unref(b);
    reply_gone(r, id);
    return NULL;
}

void envd_route(req *r, const char *id, const char *port)
{
    int64_t number = req_number(port, 5);
    int found;

    if (!*id || id[strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789")]) {
        reply_plain(r, 400, "Invalid sandbox ID");
        return;
    }
    if (number < 1 || number > 65535) {
        reply_plain(r, 400, "Invalid sandbox port");
        return;
    }
    r->b = awake(r, id, !strcmp(port, ENVD_PORT));
    if (!r->b)
        return;
    memcpy(r->box_id, r->b->id, sizeof r->box_id);
    if (strcmp(port, ENVD_PORT)) {
        port_route(r, (int)number);
        return;
    }
    if (internal(r))
        return;
    found = route_in(r, routes, sizeof routes / sizeof *routes);
    if (found > 0 && r->h->open)
        return;
    if (!token_ok(r) || found > 0)
        return;
    if (found < 0)
        reply_plain(r, 405, "method not allowed");
    else if (!rpc_route(r))
        reply_plain(r, 404, "404 page not found");
}
