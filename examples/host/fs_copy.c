/* sandboxd: copying whole trees: the files of a paused sandbox, snapshots, forks.
   Everything an overlay's upper layer is made of comes along: owners, modes,
   times, extended attributes, hard links, holes, whiteouts. Blocks are shared
   with the original where the file system can (reflink). */
#include "fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#define COPY_LEVELS 1000
#define PIECE (16 << 20)

typedef struct linked { dev_t dev; ino_t ino; char *path; } linked;

typedef struct copier {
    int top;                    /* of the copy */
    text path;                  /* of the present entry, from there */
    linked *links;
    size_t link_count, link_room;
    int depth;
    char *buf;                  /* FS_BUF */
} copier;

/* What names the file itself, or a file of the lower layer by its handle, is not
   true of a copy. */
static bool keeps(const char *name)
{
    const char *what = strstr(name, ".overlay.");

    return !what || (strcmp(what, ".overlay.origin") && strcmp(what, ".overlay.uuid"));
}

static void copy_attributes(copier *c, int in, int out)
{
    char names[4096];
    ssize_t len = flistxattr(in, names, sizeof names), n;

    for (char *at = names; len > 0 && at < names + len; at += strlen(at) + 1)
        if (keeps(at) && (n = fgetxattr(in, at, c->buf, FS_BUF)) >= 0 &&
            fsetxattr(out, at, c->buf, (size_t)n, 0) != 0)
            log_at(2, "copy: attribute %s: %s", at, strerror(errno));
}

/* One piece, by the kernel where it can. Bytes, 0 at the end, -errno. */
static ssize_t copy_piece(int in, int out, off_t bytes, char *buf)
{
    ssize_t n = copy_file_range(in, NULL, out, NULL, bytes < PIECE ? (size_t)bytes : PIECE, 0);

    if (n > 0)
        return n;
    n = read(in, buf, bytes < FS_BUF ? (size_t)bytes : FS_BUF); /* not between these two */
    return n < 0 || (n > 0 && write_all(out, buf, (size_t)n) != 0) ? -errno : n;
}

int fs_copy_bytes(int in, int out, off_t size, char *buf, const fs_going *going)
{
    off_t at = 0, end;

    if (ioctl(out, FICLONE, in) == 0)
        return 0;
    if (ftruncate(out, size) != 0)
        return -errno;
    while ((at = lseek(in, at, SEEK_DATA)) >= 0) {
        end = lseek(in, at, SEEK_HOLE);
        if (lseek(in, at, SEEK_SET) < 0 || lseek(out, at, SEEK_SET) < 0)
            return -errno;
        while (at < end) {
            ssize_t n = going && !going->may(going->ctx) ? -ECANCELED
                        : copy_piece(in, out, end - at, buf);

            if (n <= 0)
                return (int)n; /* 0: it became shorter */
            at += n;
        }
    }
    return 0;
}

/* An owner may read what it has taken its own permission from. */
static int open_source(int from, const char *name, const struct stat *st, int flags)
{
    int fd = openat(from, name, flags | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == EACCES && st->st_uid == conf.uid &&
        fchmodat(from, name, 0700, 0) == 0) {
        fd = openat(from, name, flags | O_NOFOLLOW | O_CLOEXEC);
        fchmodat(from, name, st->st_mode & 07777, 0);
    }
    return fd;
}

static int finish(int to, const char *name, const struct stat *st)
{
    struct timespec times[2] = { st->st_atim, st->st_mtim };

    if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) != 0 &&
        st->st_uid != conf.uid)
        return -errno;
    if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) != 0)
        return -errno;
    return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

/* True: made as a further name of what was copied before. */
static bool link_again(copier *c, int to, const char *name, const struct stat *st)
{
    for (size_t i = 0; i < c->link_count; i++)
        if (c->links[i].ino == st->st_ino && c->links[i].dev == st->st_dev)
            return linkat(c->top, c->links[i].path, to, name, 0) == 0;
    if (c->link_count == c->link_room) {
        size_t room = c->link_room ? c->link_room * 2 : 64;
        linked *grown = realloc(c->links, room * sizeof *grown);

        if (!grown)
            return false;
        c->links = grown;
        c->link_room = room;
    }
    c->links[c->link_count++] = (linked){ st->st_dev, st->st_ino, xstrdup(c->path.p) };
    return false;
}

static int copy_file(copier *c, int from, int to, const char *name, const struct stat *st)
{
    int in = open_source(from, name, st, O_RDONLY | O_NONBLOCK), out, result;

    if (in < 0)
        return -errno;
    out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    result = out < 0 ? -errno : fs_copy_bytes(in, out, st->st_size, c->buf, NULL);
    if (result == 0)
        copy_attributes(c, in, out);
    if (out >= 0 && close(out) != 0 && result == 0)
        result = -errno;
    close(in);
    return result;
}

static int copy_link(copier *c, int from, int to, const char *name)
{
    ssize_t n = readlinkat(from, name, c->buf, FS_BUF - 1);

    if (n < 0)
        return -errno;
    c->buf[n] = '\0';
    return symlinkat(c->buf, to, name) == 0 ? 0 : -errno;
}

static int copy_dir(copier *c, int in, int to);

static int copy_entry(copier *c, int from, int to, const char *name)
{
    struct stat st;
    int result = 0, in, out;

    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1 && link_again(c, to, name, &st))
        return 0;
    if (S_ISREG(st.st_mode)) {
        result = copy_file(c, from, to, name, &st);
    } else if (S_ISLNK(st.st_mode)) {
        result = copy_link(c, from, to, name);
    } else if (S_ISDIR(st.st_mode)) {
        in = open_source(from, name, &st, O_RDONLY | O_DIRECTORY);
        if (in < 0 || (mkdirat(to, name, 0700) != 0 && errno != EEXIST))
            result = -errno;
        out = result == 0 ? openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (result == 0)
            result = out < 0 ? -errno : copy_dir(c, in, out);
        if (out >= 0)
            close(out);
        if (in >= 0)
            close(in);
    } else if (mknodat(to, name, st.st_mode, st.st_rdev) != 0) {
        result = -errno;
    }
    return result == 0 ? finish(to, name, &st) : result;
}

/* Neither descriptor is taken over. */
static int copy_dir(copier *c, int in, int to)
{
    int copy = fcntl(in, F_DUPFD_CLOEXEC, 0), result = 0;
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    struct dirent *e;
    size_t len = c->path.len;

    if (!d || ++c->depth > COPY_LEVELS) {
        result = d ? -ELOOP : -errno;
        if (d)
            closedir(d);
        else if (copy >= 0)
            close(copy);
        return result;
    }
    copy_attributes(c, in, to);
    rewinddir(d); /* the place is shared with who has read it before */
    while (result == 0 && (e = readdir(d))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        text_fmt(&c->path, "%s%s", len ? "/" : "", e->d_name);
        result = copy_entry(c, in, to, e->d_name);
        c->path.len = len;
    }
    c->depth--;
    closedir(d);
    return result;
}

int fs_copy(int from, int to)
{
    copier c = { .top = to, .buf = xalloc(FS_BUF) };
    struct stat st;
    int result = copy_dir(&c, from, to);

    if (result == 0 && fstat(from, &st) == 0)
        result = finish(to, ".", &st);
    for (size_t i = 0; i < c.link_count; i++)
        free(c.links[i].path);
    free(c.links);
    text_free(&c.path);
    free(c.buf);
    return result;
}

/* The tree appears whole or not at all. */
int fs_copy_path(int from, const char *path)
{
    char part[500];
    int to, result;

    snprintf(part, sizeof part, "%s.part", path);
    fs_remove_path(part);
    if (mkdir(part, 0700) != 0)
        return -errno;
    to = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    result = to < 0 ? -errno : fs_copy(from, to);
    if (to >= 0)
        close(to);
    if (result == 0 && rename(part, path) != 0)
        result = -errno;
    if (result != 0)
        fs_remove_path(part);
    return result;
}
