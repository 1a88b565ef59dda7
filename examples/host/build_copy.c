/* sandboxd: the COPY step. The upload was unpacked inside a sandbox that is thrown
   away; what of it is asked for goes from there into the sandbox of the step, in which
   no process runs. Both ends are reached through descriptors and by names, no link is
   followed except on the way to the destination, which the kernel keeps inside. */
#include "template.h"

#include <fcntl.h>
#include <dirent.h>

#define COPY_DEPTH 200

typedef struct merger {
    const copy_order *o;
    bool own;                   /* owners can be given */
    uid_t uid;
    gid_t gid;
    int mode;                   /* -1: as they are */
    int depth;
    const fs_root *root;        /* of where it goes */
    char path[FS_PATH];         /* there: the directory at work on */
    char buf[FS_BUF];
    char bad[256];              /* where it failed */
} merger;

static int merge(merger *m, int from, const char *name, int to, const char *as);

/* Owner, mode, time of a thing that is there; a directory's come after its content. */
static int finish(merger *m, int to, const char *as, const struct stat *st)
{
    struct timespec times[2] = { st->st_atim, st->st_mtim };
    mode_t mode = m->mode >= 0 ? (mode_t)m->mode : st->st_mode & 07777;

    if (m->own && fchownat(to, as, m->uid, m->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    if (!S_ISLNK(st->st_mode) && fchmodat(to, as, mode, 0) != 0)
        return -errno;
    return utimensat(to, as, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

static int merge_content(merger *m, int in, int out)
{
    int copy = fcntl(in, F_DUPFD_CLOEXEC, 0), result = 0;
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    struct dirent *e;

    if (!d || ++m->depth > COPY_DEPTH) {
        result = d ? -ELOOP : -errno;
        if (d)
            closedir(d);
        else if (copy >= 0)
            close(copy);
        return result;
    }
    rewinddir(d);
    while (result == 0 && (e = readdir(d)))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            result = merge(m, in, e->d_name, out, e->d_name);
    m->depth--;
    closedir(d);
    return result;
}

static int merge_dir(merger *m, int from, const char *name, int to, const char *as)
{
    int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), out;
    int result = in < 0 ? -errno : 0;

    if (result == 0 && mkdirat(to, as, 0700) != 0 && errno != EEXIST)
        result = -errno;
    out = result == 0 ? openat(to, as, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (result == 0)
        result = out < 0 ? -errno : merge_content(m, in, out);
    if (out >= 0)
        close(out);
    if (in >= 0)
        close(in);
    return result;
}

static int merge_file(merger *m, int from, const char *name, int to, const char *as, off_t size)
{
    int in = openat(from, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC), out, result;

    if (in < 0)
        return -errno;
    out = openat(to, as, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    result = out < 0 ? -errno : fs_copy_bytes(in, out, size, m->buf, &m->o->going);
    if (out >= 0 && close(out) != 0 && result == 0)
        result = -errno;
    close(in);
    return result;
}

static int merge_link(merger *m, int from, const char *name, int to, const char *as)
{
    ssize_t n = readlinkat(from, name, m->buf, sizeof m->buf - 1);

    if (n < 0)
        return -errno;
    m->buf[n] = '\0';
    return symlinkat(m->buf, to, as) == 0 ? 0 : -errno;
}

/* A directory where there is a link to one (/bin is often such): into that one. */
static int merge_through(merger *m, int from, const char *name)
{
    int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int out = in < 0 ? -errno : fs_open(m->root, m->path, O_RDONLY | O_DIRECTORY, 0);
    int result = out < 0 ? out : merge_content(m, in, out);

    if (out >= 0)
        close(out);
    if (in >= 0)
        close(in);
    return result;
}

/* What is not a directory replaces what is none; directories are joined. */
static int merge_at(merger *m, int from, const char *name, int to, const char *as)
{
    struct stat st, there;
    int result;

    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    if (fstatat(to, as, &there, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(there.st_mode)) {
        if (S_ISDIR(st.st_mode))
            return S_ISLNK(there.st_mode) ? merge_through(m, from, name) : -ENOTDIR;
        if (unlinkat(to, as, 0) != 0)
            return -errno;
    }
    if (S_ISDIR(st.st_mode))
        result = merge_dir(m, from, name, to, as);
    else if (S_ISREG(st.st_mode))
        result = merge_file(m, from, name, to, as, st.st_size);
    else if (S_ISLNK(st.st_mode))
        result = merge_link(m, from, name, to, as);
    else
        return 0; /* no device, no pipe */
    return result == 0 ? finish(m, to, as, &st) : result;
}

static int merge(merger *m, int from, const char *name, int to, const char *as)
{
    size_t n = strlen(m->path);
    int result = -ENAMETOOLONG;

    if (!m->o->going.may(m->o->going.ctx)) {
        result = -ECANCELED;
    } else if (n + strlen(as) + 2 < sizeof m->path) {
        snprintf(m->path + n, sizeof m->path - n, "/%s", as);
        result = merge_at(m, from, name, to, as);
        m->path[n] = '\0';
    }
    if (result != 0 && !m->bad[0])
        snprintf(m->bad, sizeof m->bad, "%s", as);
    return result;
}

/* ---- what goes where ---- */

/* "./a//b/" is "a/b", "" the whole. With a wildcard in it, up to there: *all. */
static void clean_source(const char *given, char out[FS_PATH], bool *all)
{
    size_t n = 0;

    *all = false;
    out[0] = '\0';
    while (*given && n + 2 < FS_PATH) {
        size_t part = strcspn(given, "/");

        if (part > 0 && !(part == 1 && *given == '.')) {
            if (strcspn(given, "*?[") < part) {
                *all = true;
                return;
            }
            if (n + part + 2 > FS_PATH)
                return;
            if (n > 0)
                out[n++] = '/';
            memcpy(out + n, given, part);
            out[n += part] = '\0';
        }
        given += part + (given[part] == '/');
    }
}

static bool group_id(const fs_root *r, const char *name, gid_t *out)
{
    size_t n = strlen(name);
    bool found = false;
    fs_names names;

    fs_names_load(r, &names);
    for (const char *l = names.group; l && *l; l = strchr(l, '\n') ? strchr(l, '\n') + 1 : NULL) {
        const char *id;

        if (strncmp(l, name, n) || l[n] != ':')
            continue;
        id = strchr(l + n + 1, ':');
        *out = id ? (gid_t)strtoul(id + 1, NULL, 10) : 0;
        found = id != NULL;
        break;
    }
    fs_names_free(&names);
    return found;
}

/* user, user:group, or numbers; nothing: the step's user. */
static bool read_owner(merger *m, const fs_root *r, char *why, size_t cap)
{
    const char *given = *m->o->owner ? m->o->owner : m->o->user;
    char name[130], *group;
    fs_user u;

    snprintf(name, sizeof name, "%s", given);
    group = strchr(name, ':');
    if (group)
        *group++ = '\0';
    if (fs_find_user(r, name, &u) == 0) {
        m->uid = u.uid;
        m->gid = u.gid;
    } else if (*name && !name[strspn(name, "0123456789")] && strlen(name) < 10) {
        m->uid = (uid_t)strtoul(name, NULL, 10);
        m->gid = (gid_t)m->uid;
    } else {
        snprintf(why, cap, "there is no user '%s'", name);
        return false;
    }
    if (!group || !*group || group_id(r, group, &m->gid))
        return true;
    if (group[strspn(group, "0123456789")] || strlen(group) > 9) {
        snprintf(why, cap, "there is no group '%s'", group);
        return false;
    }
    m->gid = (gid_t)strtoul(group, NULL, 10);
    return true;
}

/* The directory things go into, made with all above it. */
static int open_dest(merger *m, box *to, const char *path)
{
    fs_user u = { .uid = m->uid, .gid = m->gid };
    int result = fs_make_dirs(&to->root, &u, path);

    snprintf(m->path, sizeof m->path, "%s", path);
    return result != 0 ? result : fs_open(&to->root, path, O_RDONLY | O_DIRECTORY, 0);
}

static int put_one(merger *m, int from, const char *name, box *to, char *dest)
{
    bool into = dest[strlen(dest) - 1] == '/';
    char *slash;
    struct stat st;
    int dir = fs_open(&to->root, dest, O_PATH | O_DIRECTORY, 0), result;

    if (dir >= 0) {
        close(dir);
        into = true;
    }
    if (into) {
        dir = open_dest(m, to, dest);
        result = dir < 0 ? dir : merge(m, from, name, dir, name);
    } else {
        slash = strrchr(dest, '/');
        *slash = '\0';
        dir = open_dest(m, to, slash == dest ? "/" : dest);
        result = dir < 0 ? dir : fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ? -errno
                 : merge(m, from, name, dir, slash + 1);
    }
    if (dir >= 0)
        close(dir);
    return result;
}

static int put_content(merger *m, int from, const char *name, box *to, const char *dest)
{
    int in = openat(from, *name ? name : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int out = in < 0 ? -errno : open_dest(m, to, dest), result;

    result = out < 0 ? out : merge_content(m, in, out);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return result;
}

static int place(merger *m, int unpacked, box *to, char *dest)
{
    fs_root r = { .fd = unpacked, .real = "" };
    char source[FS_PATH], name[256];
    struct stat st;
    int from, result;
    bool all;

    clean_source(m->o->src, source, &all);
    if (!source[0])
        return put_content(m, unpacked, "", to, dest);
    from = fs_parent(&r, source, name);
    if (from < 0)
        return from;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        result = -errno;
    else if (S_ISDIR(st.st_mode))
        result = put_content(m, from, name, to, dest);
    else
        result = all ? -ENOTDIR : put_one(m, from, name, to, dest);
    close(from);
    return result;
}

bool build_copy(int unpacked, box *to, const copy_order *o, char *why, size_t cap)
{
    merger *m = xalloc(sizeof *m);
    char dest[2 * FS_PATH], *end;
    fs_user u;
    int result;
    bool ok;

    m->o = o;
    m->root = &to->root;
    m->own = conf.uid == 0 && conf.rung != 2;
    m->mode = *o->mode ? (int)strtol(o->mode, &end, 8) : -1;
    ok = read_owner(m, &to->root, why, cap);
    if (fs_find_user(&to->root, o->user, &u) != 0)
        strcpy(u.home, "/");
    snprintf(dest, sizeof dest, "%s%s%s", o->dest[0] == '/' ? "" : *o->workdir ? o->workdir
             : u.home, o->dest[0] == '/' ? "" : "/", o->dest);
    if (ok) {
        result = place(m, unpacked, to, dest);
        ok = result == 0;
        if (result == -ENOENT && !m->bad[0])
            snprintf(why, cap, "'%.100s' is not in the uploaded files", o->src);
        else if (!ok)
            snprintf(why, cap, "%.100s: %s", m->bad[0] ? m->bad : o->dest, strerror(-result));
    }
    free(m);
    return ok;
}
