/* sandboxd: file operations inside a sandbox's tree. Resolution is the kernel's
   (openat2, RESOLVE_IN_ROOT): links, "..", and races of the sandbox's processes
   cannot lead outside. Everything else works on a parent descriptor and one name. */
#include "fs.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define NAMES_MAX_BYTES 262144

int fs_open(const fs_root *r, const char *path, int flags, mode_t mode)
{
    struct open_how how = { .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                            .mode = flags & O_CREAT ? mode : 0, .resolve = RESOLVE_IN_ROOT };
    long fd;

    for (int tries = 0; tries < 100; tries++) {
        fd = syscall(SYS_openat2, r->fd, path, &how, sizeof how);
        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            break; /* EAGAIN: something was renamed meanwhile */
    }
    return -errno;
}

/* ---- users ---- */
static char *load(const fs_root *r, const char *path)
{
    char *buf = xalloc(NAMES_MAX_BYTES);
    struct stat st;
    size_t n = 0;
    int fd = fs_open(r, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        ssize_t got;

        while (n + 1 < NAMES_MAX_BYTES && (got = read(fd, buf + n, NAMES_MAX_BYTES - 1 - n)) > 0)
            n += (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    buf[n] = '\0';
    return buf;
}

/* Copies field `index` of a line of the form a:b:c. */
static bool field(const char *line, int index, char *out, size_t cap)
{
    size_t n;

    for (; index > 0; index--) {
        line += strcspn(line, ":\n");
        if (*line != ':')
            return false;
        line++;
    }
    n = strcspn(line, ":\n");
    if (n >= cap)
        return false;
    memcpy(out, line, n);
    out[n] = '\0';
    return true;
}

static const char *next_line(const char *line)
{
    line += strcspn(line, "\n");
    return *line ? line + 1 : NULL;
}

const char *fs_default_user(const fs_root *r)
{
    return r->user && *r->user ? r->user : "user";
}

int fs_find_user(const fs_root *r, const char *name, fs_user *out)
{
    char *passwd = load(r, "/etc/passwd"), id[16], group[16];
    int result = -ENOENT;

    for (const char *l = passwd; l && *l; l = next_line(l)) {
        if (!field(l, 0, out->name, sizeof out->name) || strcmp(out->name, name))
            continue;
        if (field(l, 2, id, sizeof id) && field(l, 3, group, sizeof group) &&
            field(l, 5, out->home, sizeof out->home)) {
            out->uid = (uint32_t)strtoul(id, NULL, 10);
            out->gid = (uint32_t)strtoul(group, NULL, 10);
            result = 0;
        }
        break;
    }
    free(passwd);
    return result;
}

void fs_names_load(const fs_root *r, fs_names *n)
{
    n->passwd = load(r, "/etc/passwd");
    n->group = load(r, "/etc/group");
}

void fs_names_free(fs_names *n)
{
    free(n->passwd);
    free(n->group);
}

/* Rung 2, and 3 without root, have one id of their own: the host's. */
static uint32_t inside(uint32_t id, uint32_t own)
{
    return id == own && (conf.rung == 2 || conf.uid != 0) ? USER_UID : id;
}

static void name_of(const char *list, uint32_t id, char *out, size_t cap)
{
    char number[16];

    for (const char *l = list; l && *l; l = next_line(l))
        if (field(l, 2, number, sizeof number) && number[0] &&
            strtoul(number, NULL, 10) == id && field(l, 0, out, cap))
            return;
    snprintf(out, cap, "%u", id);
}

/* ---- paths ---- */
static void clean(char *path)
{
    char *out = path, *in = path;

    while (*in) {
        size_t n;

        while (*in == '/')
            in++;
        n = strcspn(in, "/");
        if (n == 2 && in[0] == '.' && in[1] == '.') {
            while (out > path && *--out != '/')
                ;
        } else if (n > 0 && !(n == 1 && in[0] == '.')) {
            *out++ = '/';
            memmove(out, in, n);
            out += n;
        }
        in += n;
    }
    if (out == path)
        *out++ = '/';
    *out = '\0';
}

const char *fs_resolve(const fs_root *r, const fs_user *u, const char *path, char out[FS_PATH])
{
    size_t real = strlen(r->real);
    int n;

    if (path[0] == '~' && path[1] && path[1] != '/')
        return "cannot expand the home directory of another user";
    if (real && !strncmp(path, r->real, real) && (path[real] == '/' || !path[real]))
        path = path[real] ? path + real : "/";
    if (path[0] == '/') {
        n = snprintf(out, FS_PATH, "%s", path);
    } else {
        n = snprintf(out, FS_PATH, "%s/%s", path[0] != '~' && r->workdir && *r->workdir
                     ? r->workdir : u->home, path[0] == '~' ? path + 1 : path);
        if (n < FS_PATH)
            clean(out);
    }
    return n >= FS_PATH ? "the path is too long" : NULL;
}

int fs_parent(const fs_root *r, const char *path, char name[256])
{
    char dir[FS_PATH];
    size_t end = strlen(path), start;

    while (end > 0 && path[end - 1] == '/')
        end--;
    for (start = end; start > 0 && path[start - 1] != '/'; start--)
        ;
    if (end - start > 255 || end >= sizeof dir)
        return -ENAMETOOLONG;
    memcpy(name, path + start, end - start);
    name[end - start] = '\0';
    if (!strcmp(name, ".") || !strcmp(name, ".."))
        return -EINVAL;
    memcpy(dir, path, start);
    dir[start] = '\0';
    return fs_open(r, start ? dir : "/", O_PATH | O_DIRECTORY, 0);
}

static void give(int dirfd, const char *name, const fs_user *u)
{
    if (conf.uid == 0 && conf.rung != 2 &&
        fchownat(dirfd, name, u->uid, u->gid, AT_SYMLINK_NOFOLLOW) != 0)
        log_at(2, "chown %s: %s", name, strerror(errno));
}

int fs_make_dirs(const fs_root *r, const fs_user *u, const char *path)
{
    char prefix[FS_PATH], name[256];
    size_t at = 0;
    int dir = fs_open(r, path, O_PATH | O_DIRECTORY, 0), made = 0;

    if (dir != -ENOENT) {
        if (dir >= 0)
            close(dir);
        return dir < 0 ? dir : 0;
    }
    while (path[at]) {
        at += strspn(path + at, "/");
        at += strcspn(path + at, "/");
        memcpy(prefix, path, at);
        prefix[at] = '\0';
        dir = fs_open(r, prefix, O_PATH | O_DIRECTORY, 0);
        if (dir >= 0) {
            close(dir);
            continue;
        }
        if (dir != -ENOENT)
            return dir;
        dir = fs_parent(r, prefix, name);
        if (dir < 0)
            return dir;
        made = mkdirat(dir, name, 0755) == 0 ? 0 : -errno;
        if (made == 0)
            give(dir, name, u);
        close(dir);
        if (made != 0 && made != -EEXIST)
            return made;
    }
    return made == -EEXIST ? -ENOTDIR : 0;
}

static int make_parents(const fs_root *r, const fs_user *u, const char *path)
{
    char dir[FS_PATH];
    size_t n;

    snprintf(dir, sizeof dir, "%s", path);
    n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    while (n > 1 && dir[n - 1] != '/')
        n--;
    dir[n] = '\0';
    return fs_make_dirs(r, u, dir);
}

bool fs_mount_point(int dirfd, const char *name)
{
    struct statx sx;

    return statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name[0] ? 0 : AT_EMPTY_PATH),
                 0, &sx) == 0 && (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

int fs_move(const fs_root *r, const fs_user *u, const char *from, const char *to)
{
    char a[256], b[256];
    int da = fs_parent(r, from, a), db, result;

    if (da < 0)
        return da;
    result = faccessat(da, a, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
    if (result == 0 && fs_mount_point(da, a))
        result = -EBUSY;
    if (result == 0)
        result = make_parents(r, u, to);
    db = result == 0 ? fs_parent(r, to, b) : -1;
    if (result == 0 && db < 0)
        result = db;
    if (result == 0 && fs_mount_point(db, b))
        result = -EBUSY;
    if (result == 0 && renameat(da, a, db, b) != 0)
        result = -errno;
    if (db >= 0)
        close(db);
    close(da);
    return result;
}

int fs_open_regular(const fs_root *r, const char *path, struct stat *st)
{
    int fd = fs_open(r, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    struct statfs fs;

    if (fd < 0)
        return fd;
    if (fstat(fd, st) != 0 || fstatfs(fd, &fs) != 0 || fs.f_type == FS_PROC_MAGIC ||
        !S_ISREG(st->st_mode)) {
        int result = S_ISDIR(st->st_mode) ? -EISDIR : S_ISREG(st->st_mode) ? -EREMOTE : -ENOTSUP;

        close(fd);
        return result;
    }
    return fd;
}

/* ---- entries ---- */
static const char *type_name(mode_t m)
{
    return S_ISREG(m) ? "FILE_TYPE_FILE" : S_ISDIR(m) ? "FILE_TYPE_DIRECTORY"
           : S_ISLNK(m) ? "FILE_TYPE_SYMLINK" : NULL;
}

/* As Go writes a mode: -rw-r--r--, drwxr-xr-x, Lrwxrwxrwx. */
static void permissions(mode_t m, char out[16])
{
    char *p = out;

    if (S_ISDIR(m))
        *p++ = 'd';
    if (S_ISLNK(m))
        *p++ = 'L';
    if (S_ISBLK(m) || S_ISCHR(m))
        *p++ = 'D';
    if (S_ISFIFO(m))
        *p++ = 'p';
    if (S_ISSOCK(m))
        *p++ = 'S';
    if (m & S_ISUID)
        *p++ = 'u';
    if (m & S_ISGID)
        *p++ = 'g';
    if (S_ISCHR(m))
        *p++ = 'c';
    if (m & S_ISVTX)
        *p++ = 't';
    if (p == out)
        *p++ = '-';
    for (int bit = 8; bit >= 0; bit--)
        *p++ = m & (1u << bit) ? "xwr"[bit % 3] : '-';
    *p = '\0';
}

/* Where a link ends, as the sandbox sees it; the kernel knows the path. */
static bool link_target(const fs_root *r, const char *path, char out[FS_PATH], struct stat *st)
{
    char self[40], full[FS_PATH];
    size_t real = strlen(r->real);
    int fd = fs_open(r, path, O_PATH, 0);
    ssize_t n;

    if (fd < 0)
        return false;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    n = readlink(self, full, sizeof full - 1);
    if (n <= 0 || fstat(fd, st) != 0)
        n = 0;
    close(fd);
    full[n] = '\0';
    if (real && !strncmp(full, r->real, real))
        snprintf(out, FS_PATH, "%s", full[real] ? full + real : "/");
    else
        snprintf(out, FS_PATH, "%s", full);
    return n > 0;
}

int fs_entry(const fs_root *r, const fs_names *names, int dirfd, const char *name,
             const char *path, sbx_json_writer *w)
{
    struct stat st, end;
    char text[64], target[FS_PATH];
    bool link, found = false;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH)) != 0)
        return -errno;
    end = st;
    link = S_ISLNK(st.st_mode);
    if (link)
        found = link_target(r, path, target, &end);
    sbx_json_begin_object(w);
    json_str(w, "name", name[0] ? name : "/");
    if (type_name(end.st_mode) && (!link || found))
        json_str(w, "type", type_name(end.st_mode));
    json_str(w, "path", path);
    if (st.st_size)
        json_num_text(w, "size", st.st_size);
    if (end.st_mode & 07777)
        json_num(w, "mode", end.st_mode & 0777);
    permissions(st.st_mode, text);
    json_str(w, "permissions", text);
    name_of(names->passwd, inside(st.st_uid, conf.uid), text, sizeof text);
    json_str(w, "owner", text);
    name_of(names->group, inside(st.st_gid, conf.gid), text, sizeof text);
    json_str(w, "group", text);
    rfc3339(text, sizeof text, (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec, true);
    json_str(w, "modifiedTime", text);
    if (link)
        json_str(w, "symlinkTarget", found ? target : path);
    else
        fs_metadata_json(dirfd, name, w);
    sbx_json_end_object(w);
    return 0;
}

/* ---- uploads ---- */

/* Follows links of the last component, so that writing goes through them. */
static int final_target(const fs_root *r, char path[FS_PATH], struct stat *st, bool *there)
{
    char name[256], link[FS_PATH], joined[FS_PATH];

    for (int hops = 0; hops < 40; hops++) {
        int dir = fs_parent(r, path, name);
        ssize_t n;
        char *slash;

        if (dir < 0)
            return dir;
        *there = name[0] && fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) == 0;
        n = *there && S_ISLNK(st->st_mode) ? readlinkat(dir, name, link, sizeof link - 1) : 0;
        close(dir);
        if (!name[0])
            return -EISDIR;
        if (n <= 0)
            return 0;
        link[n] = '\0';
        if (link[0] == '/') {
            memcpy(path, link, (size_t)n + 1);
            continue;
        }
        slash = strrchr(path, '/');
        *slash = '\0';
        if (snprintf(joined, sizeof joined, "%s/%s", path, link) >= (int)sizeof joined)
            return -ENAMETOOLONG;
        memcpy(path, joined, sizeof joined);
    }
    return -ELOOP;
}

bool fs_upload_name(const char *name, bool *over)
{
    size_t n = strlen(name);
    bool replaces = n == 26 && !strcmp(name + 21, ".over");

    if (over)
        *over = replaces;
    return n == 26 && !strncmp(name, ".sbx-", 5) && (replaces || !strcmp(name + 21, ".part"));
}

int fs_upload_begin(const fs_root *r, const fs_user *u, const char *path, fs_upload *up)
{
    char name[256], random[20], target[FS_PATH];
    struct stat st;
    bool there = false;
    size_t n = strlen(path);
    int dir, result;

    memset(up, 0, sizeof *up);
    up->fd = -1;
    up->path = xstrdup(path);
    if (n > 0 && path[n - 1] == '/')
        return -EISDIR;
    snprintf(target, sizeof target, "%s", path);
    result = make_parents(r, u, path);
    if (result == 0)
        result = final_target(r, target, &st, &there);
    if (result != 0)
        return result;
    up->target = xstrdup(target);
    if (there && !S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTSUP;
    dir = fs_parent(r, up->target, name);
    if (dir < 0)
        return dir;
    random_hex(random, 8);
    snprintf(up->temp, sizeof up->temp, ".sbx-%s.%s", random, there ? "over" : "part");
    up->fd = openat(dir, up->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (up->fd < 0) {
        result = -errno;
        up->temp[0] = '\0';
    } else {
        give(dir, up->temp, u);
        if (there && fchmod(up->fd, st.st_mode & 07777) != 0)
            log_at(2, "chmod of an upload: %s", strerror(errno));
    }
    close(dir);
    return result;
}

int fs_upload_commit(const fs_root *r, fs_upload *up)
{
    char name[256];
    int dir = fs_parent(r, up->target, name), result = 0;

    if (up->fd >= 0 && close(up->fd) != 0)
        result = -errno;
    up->fd = -1;
    if (dir < 0)
        return dir;
    if (result == 0 && renameat(dir, up->temp, dir, name) != 0)
        result = -errno;
    if (result != 0)
        unlinkat(dir, up->temp, 0);
    up->temp[0] = '\0';
    close(dir);
    return result;
}

void fs_upload_abort(const fs_root *r, fs_upload *up)
{
    char name[256];
    int dir;

    if (up->fd >= 0)
        close(up->fd);
    up->fd = -1;
    dir = up->temp[0] ? fs_parent(r, up->target, name) : -1;
    if (dir >= 0) {
        unlinkat(dir, up->temp, 0);
        close(dir);
    }
    free(up->path);
    free(up->target);
    memset(up, 0, sizeof *up);
    up->fd = -1;
}
