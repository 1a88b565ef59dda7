/* Watching directories of sandboxes. watch.c: kernel events become rendered ones in
   a queue, by one thread for all; watch_e2b.c hands them out. */
#ifndef SANDBOXD_WATCH_H
#define SANDBOXD_WATCH_H

#include "box.h"

#define WATCHERS_PER_BOX 64
#define WATCH_MAX_DIRS 32768    /* of one watcher */

typedef struct watcher watcher;
typedef struct watch_options { bool recursive, entries, network; } watch_options;

/* 0, or -ENOENT, -ENOTDIR, -EREMOTE: a network mount, -E2BIG: too many directories,
   -EBUSY: too many watchers of this sandbox, -ENOSPC and -EMFILE: limits of the
   system, or another -errno. One reference is yours; with an id it lives on. */
int watcher_start(box *b, const char *path, const watch_options *o, bool with_id, watcher **out);
void watcher_unref(watcher *w);
void watcher_close(watcher *w);         /* no events any more; then unref */
watcher *watcher_find(box *b, const char *id);  /* with a reference, or NULL */
const char *watcher_id(const watcher *w);
int watcher_news(const watcher *w);     /* an eventfd */
/* Waits until what the kernel has so far is in the queue; not for long. */
void watcher_settle(watcher *w);
/* Moves the queue into *out: JSON objects, each with its NUL. 0, or once the queue is
   empty what ended it: -ENODEV: the sandbox died, -EOVERFLOW, -E2BIG, -ENOSPC. */
int watcher_take(watcher *w, text *out);

void watchers_lost(box *b);             /* the sandbox died; under b->lock */

#endif
