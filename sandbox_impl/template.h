/* The second part of the public half: what template builds need. All of it goes with
   SBX_NO_TEMPLATE. */

#ifndef SANDBOX_TEMPLATE_H
#define SANDBOX_TEMPLATE_H

#ifndef SBX_NO_TEMPLATE

#ifdef __cplusplus
extern "C" {
#endif

#ifndef SBX_MAX_PATH        /* a path in a build context with its NUL, 512 to 32,000 */
#define SBX_MAX_PATH        SBX_LIMIT_(4096, 512)
#endif

/* ---- 18. Files of a build ---------------------------------------------------

   Where they come from: a read-only tree of files, be it a directory of the host
   system, an array in memory, or functions of your own, so that a device without
   files can build too. Paths are relative to the root, bytes with / between, without
   . or ..; "" is the root. Nothing is kept of a tree but where one stands in it. */
typedef struct sbx_tree_entry {
    sbx_file_type type;     /* SBX_FILE_UNKNOWN: neither file, directory nor link */
    uint32_t mode;          /* permission bits, 07777 */
    int64_t size;           /* bytes of a file's content, of a link's target */
    int64_t modified_unix_s;
} sbx_tree_entry;

/* Every function gets `ctx` and returns SBX_OK or an SBX_E_*; SBX_E_NOT_FOUND where
   there is no such thing. One file is open at a time. A file that is not what it was
   said to be, or differs between two passes, ends a build with SBX_E_CHANGED; answers
   that make no sense (a name that is none or out of order, more bytes than there was
   room for) are SBX_E_SOURCE. They may cancel the build, not use its template. */
typedef struct sbx_tree {
    /* The name in directory `dir` that comes next behind `after` by its bytes ("":
       the first one), NUL-terminated; `after` need not be there itself.
       SBX_E_NOT_FOUND: there is none. `cap` is 256 or more. */
    int (*next)(void *ctx, const char *dir, const char *after, char *name, size_t cap);
    /* follow: of what a link leads to. */
    int (*stat)(void *ctx, const char *path, bool follow, sbx_tree_entry *out);
    /* The target of a link, NUL-terminated. NULL: there are no links. */
    int (*link)(void *ctx, const char *path, char *target, size_t cap);
    /* The content of a file, links followed, from its beginning to *got 0. While a
       build hashes or packs it, read() may answer SBX_E_AGAIN and is asked again 10 ms
       later; a Dockerfile or .dockerignore must be there at once: SBX_E_SOURCE. */
    int (*open)(void *ctx, const char *path, void **file);
    int (*read)(void *ctx, void *file, void *buf, size_t cap, size_t *got);
    void (*close)(void *ctx, void *file);
    void *ctx;
} sbx_tree;

/* A file in memory, or one that is made while it is read. */
typedef struct sbx_tree_file {
    const char *path;       /* "src/main.c"; with a / at its end: a directory. Those
                               above a file are there without being named */
    const void *data;       /* its content */
    size_t len;
    const char *link;       /* not NULL: a link to this target instead */
    const sbx_source *from; /* not NULL: its content, instead of data; its size must be
                               known, and it must rewind */
    uint32_t mode;          /* 0: 0644, of directories 0755, of links 0777 */
    int64_t modified_unix_s;
} sbx_tree_file;

typedef struct sbx_memory_tree {
    const sbx_tree_file *files; /* in any order; yours, as all they point at */
    size_t count;
    size_t open_, at_;
    char path_[256];            /* one that leads through links */
} sbx_memory_tree;

/* files and count are set; the rest is zero. Links are followed for up to 8 steps
   and 255 bytes. */
SBX_API sbx_tree sbx_tree_memory(sbx_memory_tree *state);

#ifndef SBX_NO_POSIX
#define SBX_TREE_WINDOW_ (2 * SBX_MAX_PATH)
typedef struct sbx_dir_tree {
    const char *root;       /* the directory, yours */
    char path_[SBX_MAX_PATH];
    struct { uint16_t end_; bool whole_; char text_[SBX_TREE_WINDOW_]; } window_[4];
} sbx_dir_tree;

/* A directory of the host system; root is set, the rest is zero. A directory is read
   again for every few hundred names, so one with very many takes its time, not
   memory. */
SBX_API sbx_tree sbx_tree_dir(sbx_dir_tree *state);
#endif

#ifdef __cplusplus
}
#endif
#endif /* SBX_NO_TEMPLATE */
#endif /* SANDBOX_TEMPLATE_H */
