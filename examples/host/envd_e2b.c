/* sandboxd: the daemon of a sandbox: which one, who may, and its plain REST. */
#include "envd_e2b.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#define ENVD_PORT "49983"

void reply_gone(req *r, const char *id)
{
    sbx_json_writer w;
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    json_str(&w, "sandboxId", id);
    json_str(&w, "message", "The sandbox was not found");
    json_num(&w, "code", 502);
    sbx_json_end_object(&w);
    reply_text(r, 502, "application/json; charset=utf-8", &t);
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

/* Sums over the sandbox's own /proc, which shows its processes only. */
static void usage(box *b, int64_t *ticks, int64_t *bytes)
{
    int fd = b->real ? -1 : fs_open(&b->root, "/proc", O_RDONLY | O_DIRECTORY, 0);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *e;
    char path[300], line[1024], *at;

    *ticks = *bytes = 0;
    while (d && (e = readdir(d))) {
        unsigned long long u, s, pages;
        long long cu, cs;

        if (e->d_name[0] < '1' || e->d_name[0] > '9')
            continue;
        snprintf(path, sizeof path, "%s/stat", e->d_name);
        if (read_small(dirfd(d), path, line, sizeof line) <= 0 || !(at = strrchr(line, ')')))
            continue;
        if (sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld", &u,
                   &s, &cu, &cs) == 4)
            *ticks += (int64_t)(u + s) + cu + cs;
        snprintf(path, sizeof path, "%s/statm", e->d_name);
        if (read_small(dirfd(d), path, line, sizeof line) > 0 &&
            sscanf(line, "%*u %llu", &pages) == 1)
            *bytes += (int64_t)pages * sysconf(_SC_PAGESIZE);
    }
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
}

static void metrics(req *r)
{
    int64_t ticks, used, now = mono_ms(), percent = 0, disk_total = 0, disk_used = 0, total;
    sbx_json_writer w;
    struct statvfs st;
    text t = { 0 };

    usage(r->b, &ticks, &used);
    pthread_mutex_lock(&r->b->lock);
    if (r->b->cpu_at_ms && now > r->b->cpu_at_ms && ticks > r->b->cpu_ticks)
        percent = (ticks - r->b->cpu_ticks) * 1000 / sysconf(_SC_CLK_TCK) * 100 * 100 /
                  (now - r->b->cpu_at_ms);
    r->b->cpu_at_ms = now;
    r->b->cpu_ticks = ticks;
    pthread_mutex_unlock(&r->b->lock);
    if (fstatvfs(r->b->root.fd, &st) == 0) {
        disk_total = (int64_t)(st.f_blocks * st.f_frsize);
        disk_used = (int64_t)((st.f_blocks - st.f_bfree) * st.f_frsize);
    }
    total = conf.memory_mib > 0 ? (int64_t)conf.memory_mib << 20
                                : (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    json_num(&w, "ts", unix_ms() / 1000);
    json_num(&w, "cpu_count", sysconf(_SC_NPROCESSORS_ONLN));
    json_rat(&w, "cpu_used_pct", percent);
    json_num(&w, "mem_total_mib", total >> 20);
    json_num(&w, "mem_used_mib", used >> 20);
    json_num(&w, "mem_total", total);
    json_num(&w, "mem_used", used);
    json_num(&w, "mem_cache", 0);
    json_num(&w, "disk_used", disk_used);
    json_num(&w, "disk_total", disk_total);
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

static void other_port(req *r, const char *id, const char *port)
{
    reply_error(r, 501, "not implemented by this host: port %s of sandbox %s (only the daemon's, "
                ENVD_PORT ")", port, id);
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
    r->b = box_find(id);
    if (!r->b) {
        reply_gone(r, id);
        return;
    }
    memcpy(r->box_id, r->b->id, sizeof r->box_id);
    if (strcmp(port, ENVD_PORT)) {
        other_port(r, id, port);
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
