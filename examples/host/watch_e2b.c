/* sandboxd: the watching half of filesystem.Filesystem: WatchDir streams events,
   CreateWatcher and GetWatcherEvents are asked for them. */
#include "envd_e2b.h"
#include "watch.h"

/* ---- what both begin with ---- */
static bool choice(req *r, const jnode *body, const char *name, const char *other, bool *out)
{
    const jnode *n = jget(body, name, other);

    if (n && n->type != J_BOOL) {
        rpc_error(r, RPC_INVALID, "'%s' must be a boolean", name);
        return false;
    }
    *out = n && n->num;
    return true;
}

static void refuse(req *r, int err, const char *path)
{
    if (err == -ENOENT)
        rpc_error(r, RPC_NOT_FOUND, "path %.1000s not found: no such file or directory", path);
    else if (err == -ENOTDIR)
        rpc_error(r, RPC_INVALID, "path %.1000s is not a directory", path);
    else if (err == -EREMOTE)
        rpc_error(r, RPC_INVALID, "cannot watch path on network filesystem: %.1000s "
                  "(allowNetworkMounts allows it; events may be missing)", path);
    else if (err == -EBUSY)
        rpc_error(r, RPC_EXHAUSTED, "this sandbox has %d watchers: remove one first",
                  WATCHERS_PER_BOX);
    else if (err == -E2BIG)
        rpc_error(r, RPC_EXHAUSTED, "more than %d directories: watch a smaller tree",
                  WATCH_MAX_DIRS);
    else if (err == -ENOSPC)
        rpc_error(r, RPC_EXHAUSTED, "no watches left on this host: see its "
                  "fs.inotify.max_user_watches");
    else if (err == -EMFILE || err == -ENFILE)
        rpc_error(r, RPC_EXHAUSTED, "no watchers left on this host: see its "
                  "fs.inotify.max_user_instances");
    else if (err == -EOVERFLOW)
        rpc_error(r, RPC_INTERNAL, "events came faster than they were taken and are lost: "
                  "watch again");
    else
        rpc_errno(r, err, path);
}

/* NULL after a reply. */
static watcher *begin(req *r, const jnode *body, const char *path, bool with_id)
{
    watch_options o;
    watcher *w;
    int result;

    if (!choice(r, body, "recursive", NULL, &o.recursive) ||
        !choice(r, body, "includeEntry", "include_entry", &o.entries) ||
        !choice(r, body, "allowNetworkMounts", "allow_network_mounts", &o.network))
        return NULL;
    result = watcher_start(r->b, path, &o, with_id, &w);
    if (result == 0)
        return w;
    if (box_running(r->b))
        refuse(r, result, path);
    else
        reply_gone(r, r->b->id);
    return NULL;
}

/* ---- as a stream ---- */
typedef struct stream { rpc_stream base; watcher *w; text events; size_t at; } stream;

static ssize_t next_events(rpc_stream *base, char *buf, size_t max)
{
    stream *st = (stream *)base;
    int result = 0;

    (void)buf;
    if (st->at == st->events.len) {
        text_free(&st->events);
        st->at = 0;
        result = watcher_take(st->w, &st->events);
    }
    if (result == -ENODEV)
        return STEP_CUT;
    if (result != 0) {
        rpc_end_error(&base->pending, result == -EOVERFLOW ? RPC_INTERNAL : RPC_EXHAUSTED,
                      result == -EOVERFLOW
                          ? "events came faster than they were taken and are lost: watch again"
                          : result == -E2BIG ? "the tree has too many directories to watch"
                                             : "no watches left on this host");
        base->finished = true;
        return 0;
    }
    if (st->events.len == 0)
        return STEP_WAIT;
    while (st->at < st->events.len && base->pending.len < max) {
        const char *event = st->events.p + st->at;
        text t = { 0 };

        text_str(&t, "{\"filesystem\":");
        text_str(&t, event);
        text_str(&t, "}");
        rpc_envelope(&base->pending, 0, t.p, t.len);
        text_free(&t);
        st->at += strlen(event) + 1;
    }
    return 0;
}

static void stream_done(rpc_stream *base)
{
    stream *st = (stream *)base;

    watcher_close(st->w);
    watcher_unref(st->w);
    text_free(&st->events);
}

void watch_stream(req *r, const jnode *body, const char *path)
{
    int64_t ms = rpc_timeout(r);
    watcher *w = ms < 0 ? NULL : begin(r, body, path, false);
    stream *st;

    if (!w)
        return;
    st = xalloc(sizeof *st);
    st->w = w;
    st->base.step = next_events;
    st->base.done = stream_done;
    st->base.ping = "{\"keepalive\":{}}";
    st->base.event = watcher_news(w);
    rpc_stream_reply(r, &st->base, "{\"start\":{}}", ms);
}

/* ---- by asking ---- */
void watch_create(req *r, const jnode *body, const char *path)
{
    watcher *w = begin(r, body, path, true);
    sbx_json_writer json;
    text t = { 0 };

    if (!w)
        return;
    sbx_json_writer_init(&json, text_sink(&t));
    sbx_json_begin_object(&json);
    json_str(&json, "watcherId", watcher_id(w));
    sbx_json_end_object(&json);
    rpc_reply(r, &t);
    watcher_unref(w);
}

/* NULL after a reply. */
static watcher *named(req *r, const jnode *body)
{
    const char *id = jtext(jget(body, "watcherId", "watcher_id"));
    watcher *w = id ? watcher_find(r->b, id) : NULL;

    if (!w)
        rpc_error(r, RPC_NOT_FOUND, "watcher with id %.100s not found", id ? id : "");
    return w;
}

void watch_events(req *r, const jnode *body)
{
    watcher *w = named(r, body);
    text events, t = { 0 };
    int result;

    if (!w)
        return;
    watcher_settle(w);
    result = watcher_take(w, &events);
    if (result == -ENODEV) {
        reply_gone(r, r->b->id);
    } else if (result != 0) {
        refuse(r, result, "");
    } else {
        text_str(&t, events.len > 0 ? "{\"events\":[" : "{");
        for (size_t at = 0; at < events.len; at += strlen(events.p + at) + 1) {
            if (at > 0)
                text_add(&t, ",", 1);
            text_str(&t, events.p + at);
        }
        text_str(&t, events.len > 0 ? "]}" : "}");
        rpc_reply(r, &t);
    }
    text_free(&events);
    watcher_unref(w);
}

void watch_remove(req *r, const jnode *body)
{
    watcher *w = named(r, body);

    if (!w)
        return;
    watcher_close(w);
    watcher_unref(w);
    rpc_empty(r);
}
