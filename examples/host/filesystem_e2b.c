/* sandboxd: filesystem.Filesystem: what the clients' files.* calls become, apart
   from contents. */
#include "envd_e2b.h"

#include <fcntl.h>

#define ANSWER_MAX (64u << 20)

typedef struct call {
    req *r;
    const jnode *body;
    fs_user user;
    char path[FS_PATH];
} call;

typedef struct method {
    const char *name;
    bool stream;
    void (*run)(call *c);
} method;

/* The named path of the message, made absolute; false after a reply. */
static bool path_of(call *c, const char *name, char out[FS_PATH])
{
    const jnode *n = jget(c->body, name, NULL);
    const char *given = n ? jtext(n) : "", *wrong;

    if (!given) {
        rpc_error(c->r, RPC_INVALID, "'%s' must be a string without NUL", name);
        return false;
    }
    wrong = fs_resolve(&c->r->b->root, &c->user, given, out);
    if (wrong)
        rpc_error(c->r, RPC_INVALID, "%s: '%.500s'", wrong, given);
    return !wrong;
}

/* Adds "entry": {...} for a path; 0 or -errno. */
static int entry_of(call *c, const char *path, sbx_json_writer *w)
{
    const fs_root *root = &c->r->b->root;
    fs_names names;
    char name[256];
    int dir = fs_parent(root, path, name), result;

    if (dir == -EINVAL) { /* ends in . or .. */
        name[0] = '\0';
        dir = fs_open(root, path, O_PATH, 0);
    }
    if (dir < 0)
        return dir;
    fs_names_load(root, &names);
    sbx_json_key(w, "entry");
    result = fs_entry(root, &names, dir, name, path, w);
    fs_names_free(&names);
    close(dir);
    return result;
}

static void reply_entry(call *c, const char *path)
{
    sbx_json_writer w;
    text t = { 0 };
    int result;

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    result = entry_of(c, path, &w);
    sbx_json_end_object(&w);
    if (result == 0) {
        rpc_reply(c->r, &t);
        return;
    }
    text_free(&t);
    if (result == -ENOENT || result == -ENOTDIR)
        rpc_error(c->r, RPC_NOT_FOUND, "file not found: lstat %.1000s: %s", path,
                  strerror(-result));
    else
        rpc_errno(c->r, result, path);
}

static void stat_path(call *c)
{
    if (path_of(c, "path", c->path))
        reply_entry(c, c->path);
}

static void make_dir(call *c)
{
    const fs_root *root = &c->r->b->root;
    struct stat st;
    int fd, result;

    if (!path_of(c, "path", c->path))
        return;
    fd = fs_open(root, c->path, O_PATH, 0);
    if (fd >= 0) {
        if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
            rpc_error(c->r, RPC_EXISTS, "directory already exists: %.1000s", c->path);
        else
            rpc_error(c->r, RPC_INVALID, "path already exists but it is not a directory: %.1000s",
                      c->path);
        close(fd);
        return;
    }
    result = fs_make_dirs(root, &c->user, c->path);
    if (result != 0)
        rpc_errno(c->r, result, c->path);
    else
        reply_entry(c, c->path);
}

static void move(call *c)
{
    char to[FS_PATH];
    int result;

    if (!path_of(c, "source", c->path) || !path_of(c, "destination", to))
        return;
    result = fs_move(&c->r->b->root, &c->user, c->path, to);
    if (result == -ENOENT)
        rpc_error(c->r, RPC_NOT_FOUND, "source file not found: %.1000s", c->path);
    else if (result != 0)
        rpc_errno(c->r, result, to);
    else
        reply_entry(c, to);
}

static void list_dir(call *c)
{
    const jnode *depth = jget(c->body, "depth", NULL);
    sbx_json_writer w;
    text t = { .limit = ANSWER_MAX };
    fs_names names;
    int result, levels = 1;

    if (depth && (depth->type != J_INT || depth->num < 0 || depth->num > UINT32_MAX)) {
        rpc_error(c->r, RPC_INVALID, "'depth' must be an unsigned number");
        return;
    }
    if (depth && depth->num > 1)
        levels = depth->num > 100000 ? 100000 : (int)depth->num;
    if (!path_of(c, "path", c->path))
        return;
    fs_names_load(&c->r->b->root, &names);
    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    sbx_json_key(&w, "entries");
    sbx_json_begin_array(&w);
    result = fs_list(&c->r->b->root, &names, c->path, levels, &w);
    sbx_json_end_array(&w);
    sbx_json_end_object(&w);
    fs_names_free(&names);
    if (result == 0) {
        rpc_reply(c->r, &t);
        return;
    }
    text_free(&t);
    if (result == -ENOENT)
        rpc_error(c->r, RPC_NOT_FOUND, "path not found: %.1000s", c->path);
    else if (result == -ENOTDIR)
        rpc_error(c->r, RPC_INVALID, "path is not a directory: %.1000s", c->path);
    else if (result == -EFBIG)
        rpc_error(c->r, RPC_EXHAUSTED, "the listing is larger than %u bytes: ask for less depth",
                  ANSWER_MAX);
    else
        rpc_errno(c->r, result, c->path);
}

static void remove_path(call *c)
{
    int result;

    if (!path_of(c, "path", c->path))
        return;
    result = fs_remove(&c->r->b->root, c->path);
    if (result != 0)
        rpc_errno(c->r, result, c->path);
    else
        rpc_empty(c->r);
}

static void watch_path(call *c)
{
    if (path_of(c, "path", c->path))
        watch_stream(c->r, c->body, c->path);
}

static void watcher_new(call *c)
{
    if (path_of(c, "path", c->path))
        watch_create(c->r, c->body, c->path);
}

static void watcher_events(call *c)
{
    watch_events(c->r, c->body);
}

static void watcher_gone(call *c)
{
    watch_remove(c->r, c->body);
}

static const method methods[] = {
    { "Stat", false, stat_path }, { "MakeDir", false, make_dir }, { "Move", false, move },
    { "ListDir", false, list_dir }, { "Remove", false, remove_path },
    { "WatchDir", true, watch_path }, { "CreateWatcher", false, watcher_new },
    { "GetWatcherEvents", false, watcher_events }, { "RemoveWatcher", false, watcher_gone },
};

static const method *find(const char *name)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (!strcmp(methods[i].name, name))
            return &methods[i];
    return NULL;
}

bool filesystem_has(const char *name, bool *stream)
{
    const method *m = find(name);

    *stream = m && m->stream;
    return m != NULL;
}

void filesystem_call(req *r, const char *name)
{
    const method *m = find(name);
    char user[64];
    call c = { .r = r };
    jtree t;

    if (!rpc_user(r, user, sizeof user))
        return;
    if (!user[0])
        snprintf(user, sizeof user, "%s", fs_default_user(&r->b->root));
    if (fs_find_user(&r->b->root, user, &c.user) != 0) {
        rpc_error(r, RPC_UNAUTHENTICATED, "invalid username: '%s'", user);
        return;
    }
    if (rpc_body(r, &t)) {
        c.body = t.root;
        m->run(&c);
    }
    jtree_free(&t);
}
