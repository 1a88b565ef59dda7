/* sandboxd: POST /files/compose: one file of several, which go. The new one is there
   whole, or everything is as it was. */
#include "envd_e2b.h"

#include <fcntl.h>

#define MAX_SOURCES 10000

static int append(int to, int from)
{
    char buf[65536];
    ssize_t n;

    while ((n = read(from, buf, sizeof buf)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || write_all(to, buf, (size_t)n) != 0)
            return -errno;
    }
    return 0;
}

/* Absolute paths of the sources; NULL after a reply. */
static char **sources(req *r, const jnode *list, const fs_user *u, size_t *count)
{
    char full[FS_PATH], **out;
    size_t n = 0;

    for (const jnode *s = list && list->type == J_ARRAY ? list->first : NULL; s; s = s->next)
        n++;
    if (n == 0 || n > MAX_SOURCES) {
        reply_error(r, 400, n ? "too many source_paths" : "source_paths: a list of paths is needed");
        return NULL;
    }
    out = xalloc((n + 1) * sizeof *out);
    *count = n;
    n = 0;
    for (const jnode *s = list->first; s && !r->replied; s = s->next) {
        const char *path = jtext(s);
        const char *wrong = path && *path ? fs_resolve(&r->b->root, u, path, full)
                                          : "source_paths must be strings, not empty ones";

        if (wrong)
            reply_error(r, 400, "%s", wrong);
        else
            out[n++] = xstrdup(full);
    }
    return out;
}

/* 0, or -errno with whose it is. */
static int compose(req *r, const fs_user *u, char **from, size_t count, const char *to,
                   fs_upload *up, const char **whose)
{
    struct stat st;
    int result;

    *whose = to;
    result = fs_upload_begin(&r->b->root, u, to, up);
    for (size_t i = 0; result == 0 && i < count; i++) {
        int fd = fs_open_regular(&r->b->root, from[i], &st);

        if (fd < 0) {
            *whose = from[i];
            return fd;
        }
        result = append(up->fd, fd);
        close(fd);
    }
    return result == 0 ? fs_upload_commit(&r->b->root, up) : result;
}

static void reply_made(req *r, const char *path)
{
    sbx_json_writer w;
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    json_str(&w, "path", path);
    json_str(&w, "name", strrchr(path, '/') + 1);
    json_str(&w, "type", "file");
    sbx_json_end_object(&w);
    reply_text(r, 200, "application/json; charset=utf-8", &t);
}

static void compose_files(req *r, const jnode *body)
{
    const char *to = jtext(jget(body, "destination", NULL));
    const char *user = jtext(jget(body, "username", NULL)), *wrong, *whose;
    char full[FS_PATH], target[FS_PATH], **from;
    fs_upload up = { .fd = -1 };
    size_t count = 0;
    fs_user u;
    int result;

    user = user && *user ? user : fs_default_user(&r->b->root);
    if (fs_find_user(&r->b->root, user, &u) != 0) {
        reply_error(r, 401, "error looking up user '%.100s': user: unknown user %.100s", user, user);
        return;
    }
    wrong = to && *to ? fs_resolve(&r->b->root, &u, to, full) : "destination: a path is needed";
    if (wrong) {
        reply_error(r, 400, "%s", wrong);
        return;
    }
    from = sources(r, jget(body, "source_paths", NULL), &u, &count);
    if (from && !r->replied) {
        result = compose(r, &u, from, count, full, &up, &whose);
        snprintf(target, sizeof target, "%s", up.target ? up.target : "");
        fs_upload_abort(&r->b->root, &up); /* also after success: frees */
        if (result != 0)
            files_reply_errno(r, result, whose);
        for (size_t i = 0; result == 0 && i < count; i++)
            if (strcmp(from[i], full) && strcmp(from[i], target))
                fs_remove(&r->b->root, from[i]);
        if (result == 0)
            reply_made(r, full);
    }
    for (size_t i = 0; from && i < count; i++)
        free(from[i]);
    free(from);
}

void envd_compose(req *r)
{
    jtree t;

    if (!jtree_parse(&t, r->body.p ? r->body.p : "", r->body.len) || t.root->type != J_OBJECT)
        reply_error(r, 400, "invalid request body: %s", t.error[0] ? t.error : "no JSON object");
    else
        compose_files(r, t.root);
    jtree_free(&t);
}
