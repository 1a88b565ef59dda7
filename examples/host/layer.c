/* sandboxd: layers (layers/ID/f, the tree, and layer.json, written last) and uploads
   (uploads/HASH/data). What has not its last file was not finished: the next host
   removes it. */
#include "template.h"

#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define PART ".part-"           /* an upload under way */

typedef struct layer {
    char id[LAYER_ID + 1], key[65];
    int64_t bytes;              /* on the disk */
    bool used;
    struct layer *next;
} layer;

static layer *layers;           /* newest first; under templates_lock */
static pthread_mutex_t room_lock = PTHREAD_MUTEX_INITIALIZER; /* before templates_lock */
static int64_t promised;        /* bytes of the uploads under way; under room_lock */

static void layer_path(const char *id, const char *file, char out[400])
{
    snprintf(out, 400, "%s/layers/%.*s%s", conf.state, LAYER_ID, id, file);
}

static void upload_path(const char *hash, const char *file, char out[400])
{
    snprintf(out, 400, "%s/uploads/%.64s%s", conf.state, hash, file);
}

/* Without what has a name in it that begins with but (NULL: with all). */
static int64_t bytes_below(char *path, const char *but)
{
    char *roots[2] = { path, NULL };
    int64_t blocks = 0;
    FTSENT *e;
    FTS *f = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

    while (f && (e = fts_read(f))) {
        if (but && e->fts_level == 1 && !strncmp(e->fts_name, but, strlen(but)))
            fts_set(f, e, FTS_SKIP);
        else if (e->fts_info != FTS_DP && e->fts_info != FTS_NS && e->fts_statp)
            blocks += e->fts_statp->st_blocks;
    }
    if (f)
        fts_close(f);
    return blocks * 512;
}

/* ---- layers ---- */
int layer_open(const char *id)
{
    char path[400];

    layer_path(id, "/f", path);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool layer_find(const char *key, char id[LAYER_ID + 1])
{
    layer *l = layers;

    while (l && strcmp(l->key, key))
        l = l->next;
    if (l)
        memcpy(id, l->id, sizeof l->id);
    return l != NULL;
}

static bool write_down(const layer *l)
{
    sbx_json_writer w;
    char path[400];
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    json_str(&w, "key", l->key);
    json_num(&w, "bytes", l->bytes);
    sbx_json_end_object(&w);
    layer_path(l->id, "/layer.json", path);
    return keep_write(path, &t);
}

int layer_make(box *b, const char *key, char list[LAYERS_TEXT], char id[LAYER_ID + 1])
{
    layer *l = xalloc(sizeof *l);
    box_state was;
    char path[400];
    int result;

    random_id(l->id, LAYER_ID);
    snprintf(l->key, sizeof l->key, "%s", key);
    snprintf(path, sizeof path, "%s/layers", conf.state);
    mkdir(path, 0711);
    layer_path(l->id, "", path);
    result = mkdir(path, 0711) == 0 ? 0 : -errno;
    layer_path(l->id, "/f", path);
    if (result == 0)
        result = box_copy_files(b, path, &was);
    l->bytes = result == 0 ? bytes_below(path, NULL) : 0;
    if (result == 0 && !write_down(l))
        result = -EIO;
    templates_lock();
    if (result == 0 && !layers_push(list, l->id))
        result = -E2BIG;
    if (result == 0) {
        memcpy(id, l->id, sizeof l->id);
        l->next = layers;
        layers = l;
    }
    templates_unlock();
    if (result != 0) {
        layer_path(l->id, "", path);
        fs_remove_path(path);
        free(l);
    }
    return result;
}

bool layers_push(char list[LAYERS_TEXT], const char *id)
{
    size_t n = strlen(list);

    if (n + LAYER_ID + 2 > LAYERS_TEXT)
        return false;
    memmove(list + LAYER_ID + (n > 0), list, n);
    memcpy(list, id, LAYER_ID);
    if (n > 0)
        list[LAYER_ID] = ':';
    list[n + LAYER_ID + (n > 0)] = '\0';
    return true;
}

/* Under templates_lock, like all below. */
static void mark(const char *list)
{
    for (layer *l = layers; l; l = l->next)
        for (const char *at = list; !l->used && *at; at += LAYER_ID + (at[LAYER_ID] != '\0'))
            l->used = !strncmp(at, l->id, LAYER_ID);
}

static bool upload_used(const char *hash)
{
    for (const template *t = template_first(); t; t = t->next)
        for (const named_file *f = t->files; f; f = f->next)
            if (!strcmp(f->hash, hash))
                return true;
    return false;
}

/* Renamed under the lock, removed without it. */
static void put_away(const char *dir, const char *name)
{
    char from[400], to[400], id[12];

    random_id(id, 10);
    snprintf(from, sizeof from, "%s/%s/%.64s", conf.state, dir, name);
    snprintf(to, sizeof to, "%s/%s/.gone-%s", conf.state, dir, id);
    if (rename(from, to) != 0)
        log_at(1, "%s: %s", from, strerror(errno));
}

static void remove_put_away(const char *dir)
{
    char path[400], at[700];
    struct dirent *e;
    DIR *d;

    snprintf(path, sizeof path, "%s/%s", conf.state, dir);
    d = opendir(path);
    while (d && (e = readdir(d)))
        if (!strncmp(e->d_name, ".gone-", 6)) {
            snprintf(at, sizeof at, "%s/%s", path, e->d_name);
            fs_remove_path(at);
        }
    if (d)
        closedir(d);
}

static void sweep_uploads(void)
{
    char path[400];
    struct dirent *e;
    DIR *d;

    snprintf(path, sizeof path, "%s/uploads", conf.state);
    d = opendir(path);
    while (d && (e = readdir(d)))
        if (e->d_name[0] != '.' && !upload_used(e->d_name))
            put_away("uploads", e->d_name);
    if (d)
        closedir(d);
}

void layers_sweep(void)
{
    layer **at = &layers, *gone;

    if (!keep_all_read())
        return;
    templates_lock();
    for (layer *l = layers; l; l = l->next)
        l->used = false;
    for (const template *t = template_first(); t; t = t->next)
        for (const build *b = t->builds; b; b = b->next) {
            mark(b->layers);
            if (b->from)
                mark(b->from->layers);
        }
    boxes_layers(mark);
    keep_layers(mark);
    while ((gone = *at)) {
        if (gone->used) {
            at = &gone->next;
            continue;
        }
        *at = gone->next;
        put_away("layers", gone->id);
        free(gone);
    }
    sweep_uploads();
    templates_unlock();
    remove_put_away("layers");
    remove_put_away("uploads");
}

static void load_layer(const char *id)
{
    layer *l = xalloc(sizeof *l);
    char path[400];
    const jnode *bytes;
    const char *key;
    jtree t;

    snprintf(l->id, sizeof l->id, "%s", id);
    layer_path(id, "/layer.json", path);
    if (keep_read(path, &t) && (key = jtext(jget(t.root, "key", NULL)))) {
        snprintf(l->key, sizeof l->key, "%s", key);
        bytes = jget(t.root, "bytes", NULL);
        l->bytes = bytes ? bytes->num : 0;
        l->next = layers;
        layers = l;
    } else {
        free(l);
    }
    jtree_free(&t);
}

void layers_load(void)
{
    keep_each("layers", "layer.json", load_layer);
}

void layers_free(void)
{
    while (layers) {
        layer *l = layers;

        layers = l->next;
        free(l);
    }
}

/* ---- room ---- */
/* Under room_lock. */
static bool too_much(int64_t more)
{
    int64_t limit = (int64_t)conf.templates_mib << 20, sum = more + promised;
    char path[400];

    if (limit == 0)
        return false;
    snprintf(path, sizeof path, "%s/uploads", conf.state);
    sum += bytes_below(path, PART); /* all of those bytes are promised */
    templates_lock();
    for (const layer *l = layers; l; l = l->next)
        sum += l->bytes;
    templates_unlock();
    return sum > limit;
}

bool templates_full(int64_t more)
{
    bool full;

    pthread_mutex_lock(&room_lock);
    full = too_much(more);
    pthread_mutex_unlock(&room_lock);
    return full;
}

/* Looking and taking are one: others are about to write, too. */
static bool promise(int64_t bytes)
{
    bool full;

    pthread_mutex_lock(&room_lock);
    full = too_much(bytes);
    if (!full)
        promised += bytes;
    pthread_mutex_unlock(&room_lock);
    return !full;
}

/* ---- uploads ---- */
bool upload_there(const char *hash)
{
    char path[400];

    upload_path(hash, "/data", path);
    return access(path, F_OK) == 0;
}

int upload_open(const char *hash)
{
    char path[400];

    upload_path(hash, "/data", path);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int upload_begin(upload_part *u, int64_t bytes)
{
    char path[500], id[24];

    u->fd = -1;
    if (!promise(bytes))
        return -EDQUOT;
    u->promised = bytes;
    random_id(id, 20);
    snprintf(path, sizeof path, "%s/uploads", conf.state);
    mkdir(path, 0700);
    snprintf(u->dir, sizeof u->dir, "%s/uploads/" PART "%s", conf.state, id);
    if (mkdir(u->dir, 0700) != 0) {
        u->dir[0] = '\0';
        return -errno;
    }
    snprintf(path, sizeof path, "%s/part", u->dir);
    u->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return u->fd >= 0 ? 0 : -errno;
}

int upload_commit(upload_part *u, const char *hash)
{
    char from[500], to[400];

    snprintf(from, sizeof from, "%s/part", u->dir);
    upload_path(hash, "", to);
    if (mkdir(to, 0700) != 0 && errno != EEXIST)
        return -errno;
    upload_path(hash, "/data", to);
    return fsync(u->fd) == 0 && rename(from, to) == 0 ? 0 : -errno;
}

void upload_abort(upload_part *u)
{
    if (u->fd >= 0)
        close(u->fd);
    u->fd = -1;
    if (u->dir[0])
        fs_remove_path(u->dir);
    u->dir[0] = '\0';
    pthread_mutex_lock(&room_lock);
    promised -= u->promised;
    pthread_mutex_unlock(&room_lock);
    u->promised = 0;
}
