/* sandboxd: E2B's control plane: pause, resume, copies and the network of a sandbox. */
#include "api_e2b.h"

#include <fcntl.h>

#define DEFAULT_CONNECT_S 300
#define DEFAULT_RESUME_S 15

static const char *state_name(box_state s)
{
    return s == BOX_PAUSED ? "paused" : s == BOX_RUNNING ? "running" : "killing";
}

static void wrong_state(req *r, const box *b, const char *deed, box_state was)
{
    reply_error(r, 409, "Sandbox '%s' cannot be %s while in '%s' state", b->id, deed,
                state_name(was));
}

/* ---- pause and resume ---- */
void api_pause(req *r)
{
    box_state was = BOX_RUNNING;
    box *b = api_box(r);
    int memory, healthy, result;
    jtree t;

    if (!b)
        return;
    if (api_body(r, &t, true)) {
        memory = api_bool(r, t.root, "memory");
        healthy = api_bool(r, t.root, "requireHealthyGuest");
        if (memory != -2 && healthy != -2) {
            result = box_pause(b, memory != 0, &was);
            if (result == 0)
                reply_empty(r, 204);
            else if (result == -EBUSY)
                wrong_state(r, b, "paused", was);
            else
                reply_error(r, 503, "the sandbox could not be paused: %s", strerror(-result));
        }
    }
    jtree_free(&t);
    box_unref(b);
}

static void resume(req *r, box *b, bool memory, int64_t seconds)
{
    sbx_json_writer w;
    bool resumed;
    char why[300];
    text t = { 0 };
    int result = box_resume(b, memory, seconds * 1000, &resumed, why, sizeof why);

    if (result == -ENOENT) {
        wrong_state(r, b, "connected", box_state_of(b));
    } else if (result == -EAGAIN) {
        api_too_many(r);
    } else if (result != 0) {
        reply_error(r, 503, "the sandbox could not be resumed: %s", why);
    } else {
        sbx_json_writer_init(&w, text_sink(&t));
        api_sandbox_json(&w, b);
        reply_text(r, resumed ? 201 : 200, JSON_TYPE, &t);
    }
}

void api_connect(req *r)
{
    int64_t seconds = DEFAULT_CONNECT_S;
    box *b = api_box(r);
    bool v2 = !strcmp(r->segments[0], "v2");
    int got, memory;
    jtree t;

    if (!b)
        return;
    if (api_body(r, &t, v2)) {
        got = api_int(r, t.root, "timeout", 0, MAX_LIFE_S, &seconds);
        memory = got < 0 ? -2 : api_bool(r, t.root, "memory");
        if (got == 0 && !v2)
            reply_error(r, 400, "validation error: 'timeout' is missing");
        else if (memory != -2)
            resume(r, b, memory != 0, seconds);
    }
    jtree_free(&t);
    box_unref(b);
}

void api_resume(req *r)
{
    int64_t seconds = DEFAULT_RESUME_S;
    box *b = api_box(r);
    int pause, memory;
    jtree t;

    if (!b)
        return;
    if (api_body(r, &t, true) && api_int(r, t.root, "timeout", 0, MAX_LIFE_S, &seconds) >= 0) {
        pause = api_bool(r, t.root, "autoPause");
        memory = pause == -2 ? -2 : api_bool(r, t.root, "memory");
        if (memory != -2 && box_running(b)) {
            reply_error(r, 409, "Sandbox ID is already running");
        } else if (memory != -2) {
            if (pause >= 0)
                box_set_pause(b, pause == 1);
            resume(r, b, memory != 0, seconds);
        }
    }
    jtree_free(&t);
    box_unref(b);
}

/* ---- fork ---- */
static void fork_error(sbx_json_writer *w, int code, const char *message)
{
    sbx_json_key(w, "error");
    sbx_json_begin_object(w);
    json_num(w, "code", code);
    json_str(w, "message", message);
    sbx_json_end_object(w);
}

/* One copy: everything but its id, tokens and clock is the original's. */
static void fork_one(sbx_json_writer *w, box *from, int files, int64_t seconds)
{
    box_options o = { .im = from->im, .alias = from->alias, .metadata = &from->metadata,
        .env = &from->env, .secure = from->token[0], .private_ports = from->traffic_token[0],
        .pause_at_end = from->pause_at_end, .no_pause_memory = !from->pause_memory,
        .auto_resume = from->auto_resume, .mask_host = from->mask_host,
        .template_id = from->template_id, .from = from->from, .files = files, .timeout_ms = seconds * 1000 };
    char why[300];
    box *b = NULL;
    int result;

    o.internet = from->internet ? from->internet_choice : 0;
    result = files < 0 ? -EIO : box_create(&o, &b, why, sizeof why);
    sbx_json_begin_object(w);
    if (result == -EAGAIN) {
        fork_error(w, 429, "this host runs as many sandboxes as it may (--max-sandboxes)");
    } else if (result != 0) {
        fork_error(w, 500, files < 0 ? "the copy of its files is gone" : why);
    } else {
        sbx_json_key(w, "sandbox");
        api_sandbox_json(w, b);
        box_unref(b);
    }
    sbx_json_end_object(w);
}

static void fork_many(req *r, box *b, int64_t count, int64_t seconds)
{
    box_state was = BOX_RUNNING;
    sbx_json_writer w;
    char path[400], name[24];
    text t = { 0 };
    int files, result;

    random_id(name, 20);
    snprintf(path, sizeof path, "%s/snapshots", conf.state);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/snapshots/.fork-%s", conf.state, name);
    result = box_copy_files(b, path, &was);
    if (result == -EBUSY) {
        wrong_state(r, b, "forked", was);
        return;
    }
    if (result != 0) {
        reply_error(r, 503, "the sandbox could not be copied: %s", strerror(-result));
        return;
    }
    files = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_array(&w);
    for (int64_t i = 0; i < count; i++)
        fork_one(&w, b, files, seconds);
    sbx_json_end_array(&w);
    if (files >= 0)
        close(files);
    fs_remove_path(path);
    box_log(b, "info", "sandbox forked, copies: %lld", (long long)count);
    reply_text(r, 201, JSON_TYPE, &t);
}

void api_fork(req *r)
{
    int64_t seconds = DEFAULT_RESUME_S, count = 1;
    box *b = api_box(r);
    jtree t;

    if (!b)
        return;
    if (api_body(r, &t, true) && api_int(r, t.root, "timeout", 1, MAX_LIFE_S, &seconds) >= 0 &&
        api_int(r, t.root, "count", 1, 100, &count) >= 0)
        fork_many(r, b, count, seconds);
    jtree_free(&t);
    box_unref(b);
}

/* ---- snapshots ---- */
static void snapshot_json(sbx_json_writer *w, const snapshot *s)
{
    char words[200];

    sbx_json_begin_object(w);
    sbx_json_key(w, "names");
    sbx_json_begin_array(w);
    snprintf(words, sizeof words, "%s:%s", s->name, s->tag);
    if (s->name[0])
        json_str(w, NULL, words);
    sbx_json_end_array(w);
    snprintf(words, sizeof words, "%s:%s", s->id, s->tag);
    json_str(w, "snapshotID", words);
    sbx_json_end_object(w);
}

/* name[:tag], trimmed to lower case. False: not such a name. */
static bool read_name(const char *given, char name[129], char tag[64])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    const char *colon = strchr(given, ':'), *slash = strrchr(given, '/');
    size_t n;

    if (slash)
        given = slash + 1;
    n = colon ? (size_t)(colon - given) : strlen(given);
    if (n == 0 || n > 128 || (colon && (!colon[1] || strlen(colon + 1) > 63)))
        return false;
    for (size_t i = 0; i < n; i++)
        name[i] = given[i] >= 'A' && given[i] <= 'Z' ? (char)(given[i] | 32) : given[i];
    name[n] = '\0';
    snprintf(tag, 64, "%s", colon ? colon + 1 : "default");
    return !name[strspn(name, letters)] && !strchr(name, '.') && !tag[strspn(tag, letters)];
}

void api_snapshot(req *r)
{
    char name[129] = "", tag[64] = "default";
    box_state was = BOX_RUNNING;
    box *b = api_box(r);
    const jnode *given;
    sbx_json_writer w;
    text out = { 0 };
    snapshot s;
    jtree t;
    int result;

    if (!b)
        return;
    if (api_body(r, &t, true) && api_bool(r, t.root, "memory") != -2) {
        given = jget(t.root, "name", NULL);
        result = !given || (jtext(given) && read_name(jtext(given), name, tag))
                 ? snapshot_make(b, name, tag, &s, &was) : -EINVAL;
        if (result == 0) {
            box_log(b, "info", "snapshot %s made", s.id);
            sbx_json_writer_init(&w, text_sink(&out));
            snapshot_json(&w, &s);
            reply_text(r, 201, JSON_TYPE, &out);
        } else if (result == -EINVAL) {
            reply_error(r, 400, "validation error: 'name' is name or name:tag of a-z 0-9 - _");
        } else if (result == -EBUSY) {
            wrong_state(r, b, "snapshotted", was);
        } else {
            reply_error(r, 503, "the snapshot could not be made: %s", strerror(-result));
        }
    }
    jtree_free(&t);
    box_unref(b);
}

static bool snapshot_wanted(const snapshot *s, const char *sandbox, const char *name)
{
    char whole[200];

    if (sandbox && *sandbox && strcmp(sandbox, s->sandbox))
        return false;
    if (!name || !*name)
        return true;
    name = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    snprintf(whole, sizeof whole, "%s:%s", s->name, s->tag);
    return !strcmp(name, s->name) || !strcmp(name, whole);
}

void api_snapshots(req *r)
{
    bool bad = false;
    const char *sandbox = req_query(r, "sandboxID", &bad), *name = req_query(r, "name", &bad);
    sbx_json_writer w;
    snapshot *all;
    text t = { 0 };
    api_page p;
    size_t n;

    if (bad) {
        reply_error(r, 400, "validation error: a NUL byte in the query");
        return;
    }
    if (!api_page_read(r, &p, 20))
        return;
    n = snapshot_list(&all);
    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_array(&w);
    for (size_t i = 0; i < n; i++)
        if (snapshot_wanted(&all[i], sandbox, name) &&
            api_page_takes(&p, all[i].made_ms, all[i].id))
            snapshot_json(&w, &all[i]);
    sbx_json_end_array(&w);
    api_page_reply(r, &p, &t);
    free(all);
}

void api_snapshot_delete(req *r)
{
    char shown[200];

    if (snapshot_delete(r->segments[1])) {
        reply_empty(r, 204);
        return;
    }
    lossy_utf8(shown, sizeof shown, r->segments[1]);
    reply_error(r, 404, "template '%s' not found", shown);
}

/* ---- network ---- */
void api_network(req *r)
{
    box *b = api_box(r);
    int choice, rules, result;
    jtree t;

    if (!b)
        return;
    if (api_body(r, &t, false)) {
        rules = api_network_rules(r, t.root);
        choice = rules == -2 ? -2 : api_bool(r, t.root, "allow_internet_access");
        if (choice != -2) {
            /* what is left out is cleared: the network is on */
            result = box_set_net(b, choice >= 0 ? choice == 1 : rules != 0);
            if (result == 0)
                reply_empty(r, 204);
            else if (result == -ETXTBSY)
                reply_error(r, 409, "Sandbox '%s' has processes that were started with a network; "
                            "this host cannot take it from them: end them first", b->id);
            else if (result == -EBUSY)
                wrong_state(r, b, "updated", box_state_of(b));
            else
                reply_error(r, 501, "not implemented by this host: a network to be switched "
                            "(%s)", strerror(-result));
        }
    }
    jtree_free(&t);
    box_unref(b);
}
