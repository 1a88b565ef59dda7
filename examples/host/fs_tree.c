/* sandboxd: listing and removing whole trees, by descriptors. */
#include "fs.h"

#include <dirent.h>
#include <fcntl.h>

#define LIST_LEVELS 200         /* descriptors one listing may hold open */
#define REMOVE_LEVELS 48        /* deeper directories are moved up first */

typedef struct level { char **names; size_t count, at; int fd; size_t path_len; } level;

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void level_free(level *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->names[i]);
    free(l->names);
    if (l->fd >= 0)
        close(l->fd);
}

/* Takes over fd. */
static int level_read(level *l, int fd, size_t path_len)
{
    int copy = dup(fd);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    struct dirent *e;
    size_t room = 0;

    memset(l, 0, sizeof *l);
    l->fd = fd;
    l->path_len = path_len;
    if (!d)
        return -errno;
    while ((e = readdir(d))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (l->count == room) {
            char **grown;

            room = room ? room * 2 : 32;
            grown = realloc(l->names, room * sizeof *grown);
            if (!grown) {
                closedir(d);
                return -ENOMEM;
            }
            l->names = grown;
        }
        l->names[l->count++] = xstrdup(e->d_name);
    }
    closedir(d);
    if (l->count > 1)
        qsort(l->names, l->count, sizeof *l->names, by_name);
    return 0;
}

int fs_list(const fs_root *r, const fs_names *names, const char *path, int depth,
            sbx_json_writer *w)
{
    static const int dir_flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;
    level *levels;
    char full[FS_PATH + 256];
    int top = 0, result, fd = fs_open(r, path, dir_flags, 0);

    if (fd < 0)
        return fd;
    if (depth > LIST_LEVELS)
        depth = LIST_LEVELS;
    levels = xalloc(sizeof *levels * (size_t)(depth + 1));
    snprintf(full, FS_PATH, "%s", path);
    for (size_t n = strlen(full); n > 0 && full[n - 1] == '/'; n--)
        full[n - 1] = '\0';
    result = level_read(&levels[0], fd, strlen(full));
    while (top >= 0 && result == 0) {
        level *l = &levels[top];
        const char *name;

        if (l->at == l->count) {
            level_free(l);
            top--;
            continue;
        }
        name = l->names[l->at++];
        if (l->path_len + strlen(name) + 2 > sizeof full)
            continue;
        snprintf(full + l->path_len, sizeof full - l->path_len, "/%s", name);
        if (fs_entry(r, names, l->fd, name, full, w) != 0)
            continue; /* gone meanwhile */
        if (w->status != SBX_OK)
            result = -EFBIG;
        if (top + 1 >= depth)
            continue;
        fd = openat(l->fd, name, dir_flags | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && level_read(&levels[top + 1], fd, strlen(full)) == 0)
            top++;
        else if (fd >= 0)
            level_free(&levels[top + 1]);
    }
    for (; top >= 0; top--)
        level_free(&levels[top]);
    free(levels);
    return result;
}

/* ---- removal ---- */

/* Own directories may have lost their permission bits (the work directory of an
   overlay has none): as the owner one may give them back. */
static int open_dir_hard(int dirfd, const char *name)
{
    static const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dirfd, name, flags);

    if (fd < 0 && errno == EACCES && fchmodat(dirfd, name, 0700, 0) == 0)
        fd = openat(dirfd, name, flags);
    return fd;
}

/* Empties the directory fd (taken over). A directory found too deep is moved to
   `top`, whose loop meets it again: no chain of directories is too long. */
static int empty_dir(int fd, int top, int depth)
{
    DIR *d = fdopendir(fd);
    struct dirent *e;
    int result = 0;
    char moved[40], random[20];

    if (!d) {
        close(fd);
        return -ENOMEM;
    }
    while ((e = readdir(d))) {
        int sub;

        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (unlinkat(fd, e->d_name, 0) == 0 || errno == ENOENT)
            continue;
        if (errno == EACCES && fchmod(fd, 0700) == 0 && unlinkat(fd, e->d_name, 0) == 0)
            continue;
        if (errno != EISDIR && errno != EPERM) {
            result = -errno;
            continue;
        }
        if (depth >= REMOVE_LEVELS) {
            random_hex(random, 8);
            snprintf(moved, sizeof moved, ".rm-%s", random);
            if (renameat(fd, e->d_name, top, moved) != 0)
                result = -errno;
            continue;
        }
        if (fs_mount_point(fd, e->d_name)) {
            result = -EBUSY;
            continue;
        }
        sub = open_dir_hard(fd, e->d_name);
        if (sub >= 0)
            empty_dir(sub, depth == 0 ? fd : top, depth + 1);
        if (unlinkat(fd, e->d_name, AT_REMOVEDIR) != 0 && errno != ENOENT)
            result = -errno;
    }
    closedir(d);
    return result;
}

static int remove_at(int dirfd, const char *name)
{
    int result = 0;

    if (fs_mount_point(dirfd, name))
        return -EBUSY;
    for (int round = 0; round < 1000; round++) {
        int fd;

        if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT || errno == ENOTDIR)
            return 0;
        if (errno != EISDIR && errno != EPERM)
            return -errno;
        fd = open_dir_hard(dirfd, name);
        if (fd < 0)
            return -errno;
        result = empty_dir(fd, fd, 0);
        if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return 0;
        if (errno != ENOTEMPTY)
            return -errno;
        if (result != 0 && result != -ENOTEMPTY && result != -ENOENT && round > 2)
            return result;
    }
    return result ? result : -ENOTEMPTY;
}

int fs_remove(const fs_root *r, const char *path)
{
    char name[256];
    int dir = fs_parent(r, path, name), result;

    if (dir < 0)
        return dir == -ENOENT || dir == -ENOTDIR ? 0 : dir;
    result = name[0] ? remove_at(dir, name) : -EBUSY;
    close(dir);
    return result;
}

bool fs_remove_path(const char *path)
{
    return remove_at(AT_FDCWD, path) == 0;
}
