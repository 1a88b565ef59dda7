/* sandboxd: metadata of files: extended attributes user.e2b.<key>, where the file
   system has such. */
#include "box.h"

#include <sys/xattr.h>

#define PREFIX "user.e2b."
#define PREFIX_LEN 9
#define NAMES_MAX 65536
#define KEYS_MAX 512

int fs_metadata_set(int fd, const pair_list *m)
{
    char name[PREFIX_LEN + 256];

    for (size_t i = 0; i < m->count; i++) {
        snprintf(name, sizeof name, PREFIX "%s", m->keys[i]);
        if (fsetxattr(fd, name, m->values[i], strlen(m->values[i]), 0) != 0)
            return -errno;
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void fs_metadata_json(int dirfd, const char *name, sbx_json_writer *w)
{
    char path[300], first[1024], *names = first, value[8192], *keys[KEYS_MAX];
    ssize_t n, len;
    size_t count = 0;

    /* By /proc, as the descriptor may be one that is good for a path only. */
    snprintf(path, sizeof path, "/proc/self/fd/%d%s%s", dirfd, name[0] ? "/" : "", name);
    n = name[0] ? llistxattr(path, names, sizeof first) : listxattr(path, names, sizeof first);
    if (n < 0 && errno == ERANGE) {
        names = xalloc(NAMES_MAX);
        n = name[0] ? llistxattr(path, names, NAMES_MAX) : listxattr(path, names, NAMES_MAX);
    }
    for (char *at = names; n > 0 && at < names + n; at += strlen(at) + 1)
        if (!strncmp(at, PREFIX, PREFIX_LEN) && at[PREFIX_LEN] && count < KEYS_MAX)
            keys[count++] = at;
    qsort(keys, count, sizeof *keys, by_text);
    if (count > 0) {
        sbx_json_key(w, "metadata");
        sbx_json_begin_object(w);
    }
    for (size_t i = 0; i < count; i++) {
        len = name[0] ? lgetxattr(path, keys[i], value, sizeof value - 1)
                      : getxattr(path, keys[i], value, sizeof value - 1);
        value[len > 0 ? len : 0] = '\0';
        if (len >= 0)
            json_str(w, keys[i] + PREFIX_LEN, value);
    }
    if (count > 0)
        sbx_json_end_object(w);
    if (names != first)
        free(names);
}
