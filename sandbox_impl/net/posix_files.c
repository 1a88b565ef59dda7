/* posix_files - a directory of the host system as a tree (sbx_tree_dir). Its names come
   in order from windows: a directory is read through, and the least names behind a
   given one are kept, as many as fit. Four windows, one for each level of four, so
   that a directory's is still there when the walk comes back from those in it. */

#if !defined(SBX_NO_POSIX) && !defined(SBX_NO_TEMPLATE)

#include <dirent.h>

static int sbxi_dir_failed(void)
{
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return SBX_E_NOT_FOUND;
    if (errno == EACCES || errno == EPERM) return SBX_E_DENIED;
    if (errno == ENOMEM) return SBX_E_NOMEM;
    return errno == ENAMETOOLONG ? SBX_E_TOO_LARGE : SBX_E_SOURCE;
}

/* The whole path, in path_; NULL: it is too long. */
static const char *sbxi_dir_path(sbx_dir_tree *d, const char *path)
{
    size_t root = strlen(d->root), len = strlen(path);
    if (root >= sizeof d->path_ || len + 2 > sizeof d->path_ - root) return NULL;
    memcpy(d->path_, d->root, root);
    d->path_[root] = '/';
    memcpy(d->path_ + root + (len > 0), path, len + 1);
    return d->path_;
}

typedef struct sbxi_window { uint16_t *end; bool *whole; char *text, *names; } sbxi_window;

/* Puts a name in its place; what is behind the last that fits is dropped. Once a name
   was, none goes to the end: the one that was dropped may come before it. */
static void sbxi_window_put(sbxi_window *w, const char *name)
{
    size_t n = strlen(name) + 1, used = *w->end;
    char *end = w->text + used, *at = w->names;
    while (at < end && strcmp(at, name) < 0) at += strlen(at) + 1;
    if (at == end && !*w->whole) return;
    while (n > SBX_TREE_WINDOW_ - used && end > at) {
        for (end--; end > at && end[-1]; end--) {}
        used = (size_t)(end - w->text);
        *w->whole = false;
    }
    if (n > SBX_TREE_WINDOW_ - used) {
        *w->whole = false;
    } else {
        memmove(at + n, at, (size_t)(end - at));
        memcpy(at, name, n);
        used += n;
    }
    *w->end = (uint16_t)used;
}

/* Reads the directory through for the names behind `after`. */
static int sbxi_window_fill(sbxi_window *w, const char *path, const char *after)
{
    const struct dirent *entry;
    DIR *dir = opendir(path);
    int rc = SBX_OK;
    if (!dir) return sbxi_dir_failed();
    *w->whole = true;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, after) <= 0) continue;
        sbxi_window_put(w, name);
    }
    if (errno) rc = sbxi_dir_failed();
    else if (!*w->whole && w->names == w->text + *w->end) rc = SBX_E_TOO_LARGE; /* one name */
    closedir(dir);
    return rc;
}

/* The window of a directory's level, and whether it knows what is behind `after`. */
static bool sbxi_window_of(sbx_dir_tree *d, const char *dir, const char *after, sbxi_window *w)
{
    size_t level = 0, n = strlen(dir) + 1;
    const char *at;
    for (at = dir; *at; at++) level += *at == '/';
    level = *dir ? (level + 1) & 3 : 0;
    w->end = &d->window_[level].end_;
    w->whole = &d->window_[level].whole_;
    w->text = d->window_[level].text_;
    if (!*after || !*w->end || strcmp(w->text, dir) != 0 || strcmp(w->text + n, after) > 0)
        return false;
    w->names = w->text + n + strlen(w->text + n) + 1;
    return true;
}

/* Begins a window: the directory and the place it starts behind, then the names. */
static int sbxi_window_read(sbx_dir_tree *d, const char *dir, const char *after, sbxi_window *w)
{
    size_t dir_len = strlen(dir) + 1, after_len = strlen(after) + 1;
    const char *path = sbxi_dir_path(d, dir);
    int rc = SBX_E_TOO_LARGE;
    *w->end = 0;
    if (!path || dir_len + after_len > SBX_TREE_WINDOW_ - 256) return rc;
    memcpy(w->text, dir, dir_len);
    memcpy(w->text + dir_len, after, after_len);
    w->names = w->text + dir_len + after_len;
    *w->end = (uint16_t)(dir_len + after_len);
    rc = sbxi_window_fill(w, path, after);
    if (rc != SBX_OK) *w->end = 0;
    return rc;
}

static const char *sbxi_window_find(const sbxi_window *w, const char *after)
{
    const char *at = w->names, *end = w->text + *w->end;
    while (at < end && strcmp(at, after) <= 0) at += strlen(at) + 1;
    return at < end ? at : NULL;
}

static int sbxi_dir_next(void *ctx, const char *dir, const char *after, char *name, size_t cap)
{
    sbx_dir_tree *d = (sbx_dir_tree *)ctx;
    sbxi_window w;
    bool known = sbxi_window_of(d, dir, after, &w);
    const char *at = known ? sbxi_window_find(&w, after) : NULL;
    size_t n;
    if (!at && !(known && *w.whole)) {
        int rc = sbxi_window_read(d, dir, after, &w);
        if (rc != SBX_OK) return rc;
        at = sbxi_window_find(&w, after);
    }
    if (!at) return SBX_E_NOT_FOUND;
    n = strlen(at) + 1;
    if (n > cap) return SBX_E_TOO_LARGE;
    memcpy(name, at, n);
    return SBX_OK;
}

static int sbxi_dir_stat(void *ctx, const char *path, bool follow, sbx_tree_entry *out)
{
    const char *full = sbxi_dir_path((sbx_dir_tree *)ctx, path);
    struct stat st;
    memset(out, 0, sizeof *out);
    if (!full) return SBX_E_TOO_LARGE;
    /* The root is a directory, by whatever links. */
    if ((follow || !*path ? stat(full, &st) : lstat(full, &st)) != 0) return sbxi_dir_failed();
    out->type = S_ISREG(st.st_mode) ? SBX_FILE_REGULAR : S_ISDIR(st.st_mode) ? SBX_FILE_DIR
        : S_ISLNK(st.st_mode) ? SBX_FILE_SYMLINK : SBX_FILE_UNKNOWN;
    out->mode = (uint32_t)st.st_mode & 07777;
    out->size = (int64_t)st.st_size;
    out->modified_unix_s = (int64_t)st.st_mtime;
    return SBX_OK;
}

static int sbxi_dir_link(void *ctx, const char *path, char *target, size_t cap)
{
    const char *full = sbxi_dir_path((sbx_dir_tree *)ctx, path);
    ssize_t n = full ? readlink(full, target, cap) : 0;
    if (n < 0) return sbxi_dir_failed();
    if (!full || (size_t)n >= cap) return SBX_E_TOO_LARGE;
    target[n] = 0;
    return SBX_OK;
}

/* Non-blocking: what was a file may be a pipe by now. */
static int sbxi_dir_open(void *ctx, const char *path, void **file)
{
    const char *full = sbxi_dir_path((sbx_dir_tree *)ctx, path);
    struct stat st;
    int fd;
    if (!full) return SBX_E_TOO_LARGE;
    do fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return sbxi_dir_failed();
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return SBX_E_NOT_A_FILE;
    }
    *file = (void *)(intptr_t)fd;
    return SBX_OK;
}

static int sbxi_dir_read(void *ctx, void *file, void *buf, size_t cap, size_t *got)
{
    (void)ctx;
    return sbxi_fd_get(file, buf, cap, got);
}

static void sbxi_dir_close(void *ctx, void *file)
{
    (void)ctx;
    close((int)(intptr_t)file);
}

SBX_API sbx_tree sbx_tree_dir(sbx_dir_tree *state)
{
    sbx_tree t;
    t.next = sbxi_dir_next;
    t.stat = sbxi_dir_stat;
    t.link = sbxi_dir_link;
    t.open = sbxi_dir_open;
    t.read = sbxi_dir_read;
    t.close = sbxi_dir_close;
    t.ctx = state;
    return t;
}
#endif
