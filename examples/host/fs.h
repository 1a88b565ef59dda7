/* Files inside a sandbox. Paths are the sandbox's; `root` is a descriptor of its
   root directory, and no path leads outside of it. Functions return 0 or a
   descriptor, or -errno. */
#ifndef SANDBOXD_FS_H
#define SANDBOXD_FS_H

#include "host.h"

#include <sys/stat.h>

#define FS_PATH 4096

typedef struct fs_user { char name[64]; uint32_t uid, gid; char home[256]; } fs_user;

/* The sandbox's own passwd and group, read when needed. */
typedef struct fs_names { char *passwd, *group; } fs_names;

typedef struct fs_root {
    int fd;
    const char *real;       /* rung 3: where it really lies, else "" */
    const char *user, *workdir; /* its template's; NULL: `user`, the home */
} fs_root;

int fs_open(const fs_root *r, const char *path, int flags, mode_t mode);
const char *fs_default_user(const fs_root *r);
int fs_find_user(const fs_root *r, const char *name, fs_user *out); /* -ENOENT */
void fs_names_load(const fs_root *r, fs_names *n);
void fs_names_free(fs_names *n);

/* Makes an absolute path: ~ is the home, "" and relative ones start there or at
   the template's directory.
   Returns NULL or what is wrong with it. */
const char *fs_resolve(const fs_root *r, const fs_user *u, const char *path, char out[FS_PATH]);

/* The directory of the last component, and that component ("" for the root). */
int fs_parent(const fs_root *r, const char *path, char name[256]);
/* A sandbox's mounts are not in the host's namespace: the kernel would let us unlink
   the places they are on. */
bool fs_mount_point(int dirfd, const char *name);
int fs_make_dirs(const fs_root *r, const fs_user *u, const char *path);
int fs_move(const fs_root *r, const fs_user *u, const char *from, const char *to);
/* To read. -EREMOTE: of /proc, where files answer by the rights of who reads, here this
   host's: read_inside() of the agent is the way. */
int fs_open_regular(const fs_root *r, const char *path, struct stat *st);

/* One EntryInfo object. name "" with a dirfd is that directory itself. */
int fs_entry(const fs_root *r, const fs_names *n, int dirfd, const char *name, const char *path,
             sbx_json_writer *w);

/* A file that is being received: under a temporary name until committed. */
typedef struct fs_upload { char *path, *target; char temp[48]; int fd; } fs_upload;
/* Is it such a temporary name? *over (may be NULL): it will replace a file. */
bool fs_upload_name(const char *name, bool *over);
int fs_upload_begin(const fs_root *r, const fs_user *u, const char *path, fs_upload *up);
int fs_upload_commit(const fs_root *r, fs_upload *up);
void fs_upload_abort(const fs_root *r, fs_upload *up); /* also after commit: frees */

/* ---- fs_meta.c ---- */
struct pair_list;
int fs_metadata_set(int fd, const struct pair_list *m); /* -ENOTSUP: not kept here */
/* "metadata":{...}, if there is any. name "" is the descriptor itself. */
void fs_metadata_json(int dirfd, const char *name, sbx_json_writer *w);

/* ---- fs_tree.c ---- */
int fs_list(const fs_root *r, const fs_names *n, const char *path, int depth, sbx_json_writer *w);
int fs_remove(const fs_root *r, const char *path);      /* whole tree */
bool fs_remove_path(const char *path);                  /* of the host system */

/* ---- fs_copy.c: what is in one directory into another; 0 or -errno ---- */
int fs_copy(int from, int to);
int fs_copy_path(int from, const char *path);   /* a new directory */
/* A file into an empty one; holes stay holes. going may be NULL; it says no: -ECANCELED. */
#define FS_BUF 65536
typedef struct fs_going { bool (*may)(void *ctx); void *ctx; } fs_going;
int fs_copy_bytes(int in, int out, off_t size, char *buf, const fs_going *going);

#endif
