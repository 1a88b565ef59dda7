/* sandboxd: watchers. Each has an inotify instance of its own, with one watch a
   directory, and a tree of those directories. A new directory is watched first and
   listed then; what the listing showed is not told again by the events that were
   in the queue meanwhile. A renamed directory keeps its watches and changes its
   name; one that leaves takes its watches with it.

   The thread is the only one that touches a tree after watcher_start(). The queue
   is under queue_lock; the list of all under list_lock, which may be taken while
   holding a box's lock and holds nothing up. */
#include "watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#define MASK (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_ATTRIB | IN_MODIFY | IN_DELETE | \
              IN_DELETE_SELF | IN_MOVE_SELF)
#define BUCKETS 512
#define QUEUE_MAX (8u << 20)
#define MOVES 8                 /* directories that left and may come back */
#define TURN 32                 /* reads before the others have theirs */
#define SETTLE_MS 300

typedef struct names { char **items; size_t count; } names;

typedef struct dir {
    int wd;
    dev_t dev;
    ino_t ino;
    char *name;
    struct dir *parent, *first, *next;  /* next: sibling */
    struct dir *same_bucket;
    names listed;               /* told from a listing: an event of them is old */
    names missed;               /* directories in it that had another place by then */
    uint64_t listed_until;      /* position in the stream of events */
    bool unseen;                /* it was renamed before it could be listed */
} dir;

struct watcher {
    box *b;                     /* holds a reference */
    uint64_t serial;
    char id[24];                /* "": of a stream */
    char *path;
    watch_options o;
    int inotify, news;
    int refs;                   /* atomic */
    dir *top;
    dir *by_wd[BUCKETS];
    size_t dirs;
    uint64_t position;          /* bytes read from the kernel */
    struct { uint32_t cookie; dir *d; } moves[MOVES];
    uint32_t upload_cookie;     /* of a file that was received under another name */
    bool upload_over;
    fs_names owners;
    pthread_mutex_t queue_lock;
    /* below: under queue_lock */
    text queue;
    size_t last_at;             /* of its last event */
    char *last_name;
    const char *last_type;
    bool busy;
    int end;                    /* 0, or -errno */
    /* below: under list_lock */
    bool listed, lost;
    watcher *next;
};

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static watcher *all;
static uint64_t last_serial;
static int epoll_fd = -1, bell = -1;

/* ---- the queue ---- */
static void wake(watcher *w)
{
    uint64_t one = 1;

    if (write(w->news, &one, sizeof one) < 0)
        log_at(2, "eventfd: %s", strerror(errno));
}

static void end(watcher *w, int why)
{
    pthread_mutex_lock(&w->queue_lock);
    if (w->end == 0)
        w->end = why;
    pthread_mutex_unlock(&w->queue_lock);
    wake(w);
}

/* As the kernel does: what says the same as the last one takes its place. */
static void enqueue(watcher *w, const char *type, const char *name, const text *json)
{
    bool full;

    pthread_mutex_lock(&w->queue_lock);
    if (w->queue.len > 0 && w->last_type == type && !strcmp(w->last_name, name))
        w->queue.len = w->last_at;
    w->last_at = w->queue.len;
    w->last_type = type;
    free(w->last_name);
    w->last_name = xstrdup(name);
    text_add(&w->queue, json->p, json->len + 1);
    full = w->queue.cut;
    pthread_mutex_unlock(&w->queue_lock);
    if (full)
        end(w, -EOVERFLOW);
    else
        wake(w);
}

int watcher_take(watcher *w, text *out)
{
    int result;

    pthread_mutex_lock(&w->queue_lock);
    *out = w->queue;
    memset(&w->queue, 0, sizeof w->queue);
    w->queue.limit = QUEUE_MAX;
    out->limit = 0;
    result = out->len > 0 ? 0 : w->end;
    pthread_mutex_unlock(&w->queue_lock);
    return result;
}

void watcher_settle(watcher *w)
{
    int64_t until = mono_ms() + SETTLE_MS;
    bool quiet;

    do {
        int left = 0;

        pthread_mutex_lock(&w->queue_lock);
        quiet = !w->busy && (w->end != 0 || ioctl(w->inotify, FIONREAD, &left) != 0 || left == 0);
        pthread_mutex_unlock(&w->queue_lock);
    } while (!quiet && mono_ms() < until && usleep(500) == 0);
}

/* ---- the tree ---- */

/* Path of d, relative to the watched directory ("" for itself). */
static bool relative(const dir *d, char out[FS_PATH])
{
    char reversed[FS_PATH];
    size_t at = sizeof reversed - 1;

    reversed[at] = '\0';
    for (; d->parent; d = d->parent) {
        size_t n = strlen(d->name);

        if (n + 1 > at)
            return false;
        if (reversed[at])
            reversed[--at] = '/';
        at -= n;
        memcpy(reversed + at, d->name, n);
    }
    memcpy(out, reversed + at, sizeof reversed - at);
    return true;
}

/* name may be NULL: the directory itself. */
static bool full_path(const watcher *w, const dir *d, const char *name, char out[FS_PATH])
{
    char rel[FS_PATH];
    size_t n = strlen(w->path);

    while (n > 0 && w->path[n - 1] == '/')
        n--;
    return relative(d, rel) && (size_t)snprintf(out, FS_PATH, "%.*s%s%s%s%s%s", (int)n, w->path,
               n == 0 && !rel[0] && !name ? "/" : "", rel[0] ? "/" : "", rel, name ? "/" : "",
               name ? name : "") < FS_PATH;
}

static dir *find(const watcher *w, int wd)
{
    dir *d = w->by_wd[(unsigned)wd % BUCKETS];

    while (d && d->wd != wd)
        d = d->same_bucket;
    return d;
}

static dir *child(const dir *d, const char *name)
{
    dir *c = d->first;

    while (c && strcmp(c->name, name))
        c = c->next;
    return c;
}

static void names_add(names *l, const char *name)
{
    l->items = realloc(l->items, (l->count + 1) * sizeof *l->items);
    if (!l->items)
        die("out of memory");
    l->items[l->count++] = xstrdup(name);
}

static bool names_take(names *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++)
        if (!strcmp(l->items[i], name)) {
            free(l->items[i]);
            l->items[i] = l->items[--l->count];
            return true;
        }
    return false;
}

static void names_free(names *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i]);
    free(l->items);
    memset(l, 0, sizeof *l);
}

static void detach(dir *d)
{
    dir **at;

    if (!d->parent)
        return;
    for (at = &d->parent->first; *at != d; at = &(*at)->next)
        ;
    *at = d->next;
    d->next = NULL;
    d->parent = NULL;
}

static void attach(dir *d, dir *parent, const char *name)
{
    free(d->name);
    d->name = xstrdup(name);
    d->parent = parent;
    d->next = parent->first;
    parent->first = d;
}

static void no_move(watcher *w, const dir *d)
{
    for (size_t i = 0; i < MOVES; i++)
        if (w->moves[i].d == d)
            w->moves[i].d = NULL;
}

static void drop_one(watcher *w, dir *d)
{
    dir **at = &w->by_wd[(unsigned)d->wd % BUCKETS];

    while (*at != d)
        at = &(*at)->same_bucket;
    *at = d->same_bucket;
    if (w->inotify >= 0)
        inotify_rm_watch(w->inotify, d->wd);
    no_move(w, d);
    if (w->top == d)
        w->top = NULL;
    names_free(&d->listed);
    names_free(&d->missed);
    free(d->name);
    free(d);
    w->dirs--;
}

/* With everything below it. */
static void drop(watcher *w, dir *d)
{
    dir *parent;

    detach(d);
    while (d) {
        while (d->first)
            d = d->first;
        parent = d->parent;
        detach(d);
        drop_one(w, d);
        d = parent;
    }
}

static bool below(const dir *d, const dir *top)
{
    while (d && d != top)
        d = d->parent;
    return d != NULL;
}

/* Watches the directory fd. An inode that is watched already was moved here: its
   events tell where it is. 1: it is new in the tree, 0: it is not. */
static int watch_dir(watcher *w, int fd, dir *parent, const char *name, dir **out)
{
    char self[40];
    struct stat st;
    dir *d;
    int wd;

    if (w->dirs >= WATCH_MAX_DIRS)
        return -E2BIG;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    wd = fstat(fd, &st) != 0 ? -1 : inotify_add_watch(w->inotify, self, MASK | IN_ONLYDIR);
    if (wd < 0)
        return -errno;
    d = find(w, wd);
    *out = d;
    if (d) {
        if (parent && d != w->top && d->parent != parent && !below(parent, d)) {
            no_move(w, d);
            detach(d);
            attach(d, parent, name);
        }
        return 0;
    }
    d = xalloc(sizeof *d);
    d->wd = wd;
    d->dev = st.st_dev;
    d->ino = st.st_ino;
    if (parent)
        attach(d, parent, name);
    d->same_bucket = w->by_wd[(unsigned)wd % BUCKETS];
    w->by_wd[(unsigned)wd % BUCKETS] = d;
    w->dirs++;
    *out = d;
    return 1;
}

/* ---- events ---- */
static bool has_entry(const char *type)
{
    return !strcmp(type, "CREATE") || !strcmp(type, "WRITE") || !strcmp(type, "CHMOD");
}

static void add_entry(watcher *w, const char *path, sbx_json_writer *json)
{
    char name[256];
    int dirfd = fs_parent(&w->b->root, path, name);
    struct stat st;

    if (dirfd < 0)
        return;
    if (!w->owners.passwd)
        fs_names_load(&w->b->root, &w->owners);
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH)) == 0) {
        sbx_json_key(json, "entry");
        fs_entry(&w->b->root, &w->owners, dirfd, name, path, json);
    }
    close(dirfd);
}

/* name NULL: the directory itself. */
static void tell(watcher *w, const char *type, const dir *d, const char *name)
{
    char path[FS_PATH], rel[FS_PATH], shown[FS_PATH + 260], word[40];
    sbx_json_writer json;
    text t = { 0 };

    if (!relative(d, rel))
        return;
    snprintf(shown, sizeof shown, "%s%s%s", rel, rel[0] && name ? "/" : "", name ? name : "");
    if (!shown[0])
        memcpy(shown, ".", 2);
    snprintf(word, sizeof word, "EVENT_TYPE_%s", type);
    sbx_json_writer_init(&json, text_sink(&t));
    sbx_json_begin_object(&json);
    json_str(&json, "name", shown);
    json_str(&json, "type", word);
    if (w->o.entries && has_entry(type) && full_path(w, d, name, path))
        add_entry(w, path, &json);
    sbx_json_end_object(&json);
    if (json.status == SBX_OK && !t.cut)
        enqueue(w, type, shown, &t);
    text_free(&t);
}

/* Nothing happens in what cannot be written, and /proc tells nobody. */
static bool worth_watching(int parent, const char *name, int fd)
{
    struct statfs fs;

    return !fs_mount_point(parent, name) ||
           (fstatfs(fd, &fs) == 0 && !(fs.f_flags & ST_RDONLY) && fs.f_type != 0x9fa0 &&
            fs.f_type != 0x62656572 && fs.f_type != 0x1cd1);
}

/* Directories to be listed. */
typedef struct todo { dir **items; size_t count, room; } todo;

static void todo_add(todo *t, dir *d)
{
    if (t->count == t->room) {
        t->room = t->room ? t->room * 2 : 32;
        t->items = realloc(t->items, t->room * sizeof *t->items);
        if (!t->items)
            die("out of memory");
    }
    t->items[t->count++] = d;
}

/* Entries of d: told if `say`, its directories watched and left to be listed. */
static int list_dir(watcher *w, dir *d, bool say, todo *more)
{
    char path[FS_PATH];
    int fd = full_path(w, d, NULL, path)
             ? fs_open(&w->b->root, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0) : -1;
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *e;
    struct stat st;
    int result = 0, waiting = 0;

    /* Gone, or another one has the name by now: the event of its move will come. */
    d->unseen = !list || fstat(fd, &st) != 0 || st.st_ino != d->ino || st.st_dev != d->dev;
    if (d->unseen) {
        if (list)
            closedir(list);
        else if (fd >= 0)
            close(fd);
        return 0;
    }
    while (result == 0 && (e = readdir(list))) {
        dir *sub;
        int at;

        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || fs_upload_name(e->d_name, NULL))
            continue;
        if (say) {
            tell(w, "CREATE", d, e->d_name);
            names_add(&d->listed, e->d_name);
        }
        if (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN)
            continue;
        at = openat(dirfd(list), e->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (at < 0)
            continue;
        if (worth_watching(dirfd(list), e->d_name, at)) {
            result = watch_dir(w, at, d, e->d_name, &sub);
            if (result == 1)
                todo_add(more, sub);
            result = result == -ENOSPC || result == -E2BIG ? result : 0;
        }
        close(at);
    }
    closedir(list);
    ioctl(w->inotify, FIONREAD, &waiting);
    d->listed_until = w->position + (uint64_t)waiting;
    return result;
}

static int follow(watcher *w, dir *d, bool say)
{
    todo t = { 0 };
    int result = 0;

    todo_add(&t, d);
    while (result == 0 && t.count > 0)
        result = list_dir(w, t.items[--t.count], say, &t);
    free(t.items);
    return result;
}

/* Watches the directory of that name in d, which is new. It may be elsewhere by now:
   the events that are still to be read will tell where. */
static int find_dir(watcher *w, dir *d, const char *name)
{
    char path[FS_PATH];
    dir *made;
    int fd = full_path(w, d, name, path)
             ? fs_open(&w->b->root, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0) : -1, result;

    if (fd < 0) {
        names_add(&d->missed, name);
        return 0;
    }
    result = watch_dir(w, fd, d, name, &made);
    close(fd);
    return result == 1 ? follow(w, made, true) : result;
}

/* After a move: what could not be found under the old names. */
static int follow_unseen(watcher *w, dir *top)
{
    todo t = { 0 };
    dir *d = top;
    int result = 0;

    while (d) {
        if (d->unseen || d->missed.count > 0)
            todo_add(&t, d);
        if (d->first) {
            d = d->first;
            continue;
        }
        while (d != top && !d->next)
            d = d->parent;
        d = d == top ? NULL : d->next;
    }
    while (result == 0 && t.count > 0) {
        names missed;

        d = t.items[--t.count];
        missed = d->missed;
        memset(&d->missed, 0, sizeof d->missed);
        for (size_t i = 0; i < missed.count && result >= 0; i++)
            result = find_dir(w, d, missed.items[i]);
        names_free(&missed);
        if (d->unseen && result >= 0)
            result = follow(w, d, true);
        result = result == -ENOSPC || result == -E2BIG ? result : 0;
    }
    free(t.items);
    return result;
}

/* The directory of that name came to be in d, by making or moving it. */
static void new_dir(watcher *w, dir *d, const char *name, uint32_t cookie)
{
    char path[FS_PATH];
    struct stat st;
    dir *sub = NULL;
    int result;

    for (size_t i = 0; cookie && i < MOVES; i++)
        if (w->moves[i].d && w->moves[i].cookie == cookie) {
            sub = w->moves[i].d;
            w->moves[i].d = NULL;
        }
    /* Watched under its old name, unless that name was another one's by then. */
    if (sub && full_path(w, d, name, path)) {
        int fd = fs_open(&w->b->root, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
        bool other = fd >= 0 && (fstat(fd, &st) != 0 || st.st_ino != sub->ino ||
                                 st.st_dev != sub->dev);

        if (fd >= 0)
            close(fd);
        if (other) {
            drop(w, sub);
            sub = NULL;
        }
    }
    if (sub) {
        attach(sub, d, name);
        result = follow_unseen(w, sub);
    } else {
        result = find_dir(w, d, name);
    }
    if (result == -ENOSPC || result == -E2BIG)
        end(w, result);
}

static void left(watcher *w, dir *d, const char *name, uint32_t cookie)
{
    dir *sub = child(d, name);

    if (!sub)
        return;
    for (size_t i = 0; i < MOVES; i++)
        if (!w->moves[i].d) {
            detach(sub);
            w->moves[i].d = sub;
            w->moves[i].cookie = cookie;
            return;
        }
    drop(w, sub);
}

/* True once for each name that the listing told, while its event may be on the way. */
static bool told_already(dir *d, const char *name, uint64_t position)
{
    if (d->listed.items && position >= d->listed_until)
        names_free(&d->listed);
    return names_take(&d->listed, name);
}

static void itself(watcher *w, dir *d, uint32_t mask)
{
    if (mask & IN_IGNORED) {
        drop(w, d);
        return;
    }
    if (d != w->top)
        return; /* the directory above tells it too */
    if (mask & IN_MOVE_SELF)
        tell(w, "RENAME", d, NULL);
    if (mask & IN_ATTRIB)
        tell(w, "CHMOD", d, NULL);
    if (mask & IN_DELETE_SELF)
        tell(w, "REMOVE", d, NULL);
}

/* A received file shows under its own name only: as made and written. */
static bool upload(watcher *w, dir *d, const struct inotify_event *e)
{
    bool over;

    if (fs_upload_name(e->name, &over)) {
        if (e->mask & IN_MOVED_FROM) {
            w->upload_cookie = e->cookie;
            w->upload_over = over;
        }
        return true;
    }
    if (!(e->mask & IN_MOVED_TO) || !e->cookie || e->cookie != w->upload_cookie)
        return false;
    if (!w->upload_over)
        tell(w, "CREATE", d, e->name);
    tell(w, "WRITE", d, e->name);
    return true;
}

static void inside(watcher *w, dir *d, const struct inotify_event *e, uint64_t position)
{
    bool is_dir = e->mask & IN_ISDIR;

    if (upload(w, d, e))
        return;
    if (is_dir && (e->mask & (IN_MOVED_FROM | IN_DELETE)))
        names_take(&d->missed, e->name);
    if (e->mask & (IN_CREATE | IN_MOVED_TO)) {
        bool old = d->unseen || told_already(d, e->name, position);

        if (!old)
            tell(w, "CREATE", d, e->name);
        if (is_dir && w->o.recursive && !(old && child(d, e->name)))
            new_dir(w, d, e->name, e->cookie);
    }
    if (e->mask & IN_MOVED_FROM) {
        tell(w, "RENAME", d, e->name);
        if (is_dir)
            left(w, d, e->name, e->cookie);
    }
    if (e->mask & IN_ATTRIB)
        tell(w, "CHMOD", d, e->name);
    if (e->mask & IN_MODIFY)
        tell(w, "WRITE", d, e->name);
    if (e->mask & IN_DELETE)
        tell(w, "REMOVE", d, e->name);
}

static bool parted(const dir *d, const watcher *w)
{
    while (d->parent)
        d = d->parent;
    return d != w->top;
}

static void on_event(watcher *w, const struct inotify_event *e, uint64_t position)
{
    dir *d = find(w, e->wd);

    if (e->mask & IN_Q_OVERFLOW)
        end(w, -EOVERFLOW);
    else if (d && (e->len == 0 || (e->mask & IN_IGNORED)))
        itself(w, d, e->mask);
    else if (d && !parted(d, w))
        inside(w, d, e, position);
}

/* ---- the thread ---- */
static bool over(watcher *w)
{
    bool yes;

    pthread_mutex_lock(&w->queue_lock);
    yes = w->end != 0;
    pthread_mutex_unlock(&w->queue_lock);
    return yes;
}

static ssize_t read_events(watcher *w)
{
    _Alignas(struct inotify_event) char buf[16384];
    ssize_t n = read(w->inotify, buf, sizeof buf);
    uint64_t start = w->position;

    if (n > 0)
        w->position += (uint64_t)n;
    for (char *at = buf; n > 0 && at < buf + n;) {
        const struct inotify_event *e = (const struct inotify_event *)(void *)at;

        on_event(w, e, start + (uint64_t)(at - buf));
        at += sizeof *e + e->len;
    }
    return n;
}

static void set_busy(watcher *w, bool busy)
{
    pthread_mutex_lock(&w->queue_lock);
    w->busy = busy;
    pthread_mutex_unlock(&w->queue_lock);
}

static void serve(watcher *w)
{
    struct pollfd p = { w->inotify, POLLIN, 0 };
    bool away = false;

    set_busy(w, true);
    for (int i = 0; i < TURN && !over(w); i++) {
        if (read_events(w) > 0)
            continue;
        for (size_t k = 0; k < MOVES; k++)
            away |= w->moves[k].d != NULL;
        /* The second half of a move follows at once, or it went elsewhere. */
        if (!away || poll(&p, 1, 5) > 0)
            break;
        for (size_t k = 0; k < MOVES; k++)
            if (w->moves[k].d)
                drop(w, w->moves[k].d);
        break;
    }
    set_busy(w, false);
    if (w->owners.passwd)
        fs_names_free(&w->owners);
    memset(&w->owners, 0, sizeof w->owners);
    if (over(w))
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, w->inotify, NULL);
}

static void unlist(watcher *w)
{
    watcher **at = &all;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    w->listed = false;
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, w->inotify, NULL);
}

static void bury_lost(void)
{
    for (;;) {
        watcher *w;

        pthread_mutex_lock(&list_lock);
        for (w = all; w && !w->lost; w = w->next)
            ;
        if (w)
            unlist(w);
        pthread_mutex_unlock(&list_lock);
        if (!w)
            return;
        watcher_unref(w);
    }
}

static void *run(void *unused)
{
    (void)unused;
    for (;;) {
        struct epoll_event events[16];
        int n = epoll_wait(epoll_fd, events, 16, -1);

        for (int i = 0; i < n; i++) {
            uint64_t count;
            watcher *w;

            if (events[i].data.u64 == 0) {
                if (read(bell, &count, sizeof count) > 0)
                    bury_lost();
                continue;
            }
            pthread_mutex_lock(&list_lock);
            for (w = all; w && w->serial != events[i].data.u64; w = w->next)
                ;
            if (w)
                __atomic_add_fetch(&w->refs, 1, __ATOMIC_RELAXED);
            pthread_mutex_unlock(&list_lock);
            if (w) {
                serve(w);
                watcher_unref(w);
            }
        }
    }
    return NULL;
}

/* Under list_lock. */
static bool thread_runs(void)
{
    struct epoll_event e = { .events = EPOLLIN, .data.u64 = 0 };
    pthread_t thread;

    if (epoll_fd >= 0)
        return true;
    bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (bell < 0 || epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, bell, &e) != 0 ||
        pthread_create(&thread, NULL, run, NULL) != 0) {
        close(bell);
        close(epoll_fd);
        epoll_fd = -1;
        return false;
    }
    pthread_detach(thread);
    return true;
}

/* ---- life ---- */
void watcher_unref(watcher *w)
{
    if (__atomic_sub_fetch(&w->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (w->inotify >= 0)
        close(w->inotify); /* and with it all watches */
    w->inotify = -1;
    for (size_t i = 0; i < MOVES; i++)
        if (w->moves[i].d)
            drop(w, w->moves[i].d);
    if (w->top)
        drop(w, w->top);
    if (w->news >= 0)
        close(w->news);
    text_free(&w->queue);
    free(w->last_name);
    free(w->path);
    pthread_mutex_destroy(&w->queue_lock);
    box_unref(w->b);
    free(w);
}

void watcher_close(watcher *w)
{
    bool was;

    pthread_mutex_lock(&list_lock);
    was = w->listed;
    if (was)
        unlist(w);
    pthread_mutex_unlock(&list_lock);
    if (was)
        watcher_unref(w);
}

static bool network_mount(int fd)
{
    /* NFS, CIFS, SMB, SMB2, FUSE */
    static const uint32_t types[] = { 0x6969, 0xff534d42, 0x517b, 0xfe534d42, 0x65735546 };
    struct statfs fs;

    for (size_t i = 0; fstatfs(fd, &fs) == 0 && i < sizeof types / sizeof *types; i++)
        if ((uint32_t)fs.f_type == types[i])
            return true;
    return false;
}

static int begin(watcher *w)
{
    int fd = fs_open(&w->b->root, w->path, O_PATH | O_DIRECTORY, 0), result;

    if (fd < 0)
        return fd;
    if (!w->o.network && network_mount(fd))
        result = -EREMOTE;
    else if (w->inotify < 0 || w->news < 0)
        result = -EMFILE;
    else
        result = watch_dir(w, fd, NULL, "", &w->top);
    close(fd);
    return result < 0 ? result : w->o.recursive ? follow(w, w->top, false) : 0;
}

static int enlist(watcher *w)
{
    struct epoll_event e = { .events = EPOLLIN };
    int count = 0, result = 0;

    pthread_mutex_lock(&list_lock);
    for (watcher *o = all; o; o = o->next)
        count += o->b == w->b;
    w->serial = e.data.u64 = ++last_serial;
    if (count >= WATCHERS_PER_BOX)
        result = -EBUSY;
    else if (!thread_runs() || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, w->inotify, &e) != 0)
        result = -EMFILE;
    if (result == 0) {
        w->listed = true;
        w->next = all;
        all = w;
        __atomic_add_fetch(&w->refs, 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&list_lock);
    return result;
}

int watcher_start(box *b, const char *path, const watch_options *o, bool with_id, watcher **out)
{
    watcher *w = xalloc(sizeof *w);
    int result;

    w->b = box_ref(b);
    w->refs = 1;
    w->path = xstrdup(path);
    w->o = *o;
    w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    w->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->queue.limit = QUEUE_MAX;
    pthread_mutex_init(&w->queue_lock, NULL);
    if (with_id) {
        w->id[0] = 'w';
        random_id(w->id + 1, 20);
    }
    result = begin(w);
    if (result == 0)
        result = enlist(w);
    if (result != 0) {
        watcher_unref(w);
        return result;
    }
    if (!box_running(b))
        watchers_lost(b); /* it died before it could tell this one */
    *out = w;
    return 0;
}

watcher *watcher_find(box *b, const char *id)
{
    watcher *w;

    pthread_mutex_lock(&list_lock);
    for (w = all; w && (w->b != b || !w->id[0] || strcmp(w->id, id)); w = w->next)
        ;
    if (w)
        __atomic_add_fetch(&w->refs, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&list_lock);
    return w;
}

const char *watcher_id(const watcher *w)
{
    return w->id;
}

int watcher_news(const watcher *w)
{
    return w->news;
}

void watchers_lost(box *b)
{
    uint64_t one = 1;
    bool any = false;

    pthread_mutex_lock(&list_lock);
    for (watcher *w = all; w; w = w->next)
        if (w->b == b) {
            w->lost = any = true;
            end(w, -ENODEV);
        }
    if (any && write(bell, &one, sizeof one) < 0)
        log_at(2, "eventfd: %s", strerror(errno));
    pthread_mutex_unlock(&list_lock);
}
