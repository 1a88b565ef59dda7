/* sandboxd: what survives on disk: paused sandboxes (boxes/ID/box.json beside their
   files) and snapshots (snapshots/ID/snapshot.json beside a tree). Each file is
   written under another name and renamed, and comes last: what has none was not
   finished and is removed. A tree belongs to the rung that made it. */
#include "template.h"

#include <dirent.h>
#include <fcntl.h>

#define KEEP_MAX (4u << 20)      /* of a file: what is longer is not written either */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static snapshot *snapshots;     /* newest first */
static origin **held;           /* of what is on disk, but not offered this time */
static size_t held_count;
static bool unreadable;         /* something is: what it is made of is not known */

/* ---- files ---- */
bool keep_write(const char *path, text *t)
{
    char part[500];
    int fd;
    bool ok;

    if (t->len + 1 >= KEEP_MAX) { /* as read_small() has room for it */
        log_at(0, "%s would have %zu bytes: it is not written", path, t->len);
        text_free(t);
        return false;
    }
    snprintf(part, sizeof part, "%s.part", path);
    fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ok = fd >= 0 && !t->cut && write_all(fd, t->p, t->len) == 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    ok = ok && rename(part, path) == 0;
    if (!ok)
        unlink(part);
    text_free(t);
    return ok;
}

bool keep_read(const char *path, jtree *t)
{
    char *content = xalloc(KEEP_MAX);
    ssize_t n;
    bool ok;

    memset(t, 0, sizeof *t);
    errno = 0;
    n = read_small(AT_FDCWD, path, content, KEEP_MAX);
    ok = n > 0 && jtree_parse(t, content, (size_t)n) && t->root->type == J_OBJECT;
    if (!ok && !(n < 0 && errno == ENOENT)) {
        log_at(0, "%s cannot be read: it is left alone", path);
        unreadable = true;
    }
    free(content);
    return ok;
}

static void write_pairs(sbx_json_writer *w, const char *key, const pair_list *l)
{
    sbx_json_key(w, key);
    sbx_json_begin_object(w);
    for (size_t i = 0; i < l->count; i++)
        json_str(w, l->keys[i], l->values[i]);
    sbx_json_end_object(w);
}

static void read_pairs(const jnode *object, pair_list *l)
{
    for (const jnode *n = object ? object->first : NULL; n; n = n->next)
        if (jtext(n))
            pairs_add(l, n->key, jtext(n));
}

void keep_text(const jnode *object, const char *key, char *out, size_t cap)
{
    const char *s = jtext(jget(object, key, NULL));

    snprintf(out, cap, "%s", s ? s : "");
}

int64_t keep_number(const jnode *object, const char *key)
{
    const jnode *n = jget(object, key, NULL);

    return n ? n->num : 0;
}

const image *keep_image(const jnode *object, const char *what)
{
    const char *name = jtext(jget(object, "image", NULL));

    if (keep_number(object, "rung") != conf.rung) {
        log_at(0, "%s was made on isolation rung %d: not offered here", what,
               (int)keep_number(object, "rung"));
        return NULL;
    }
    for (int i = 0; name && i < conf.image_count; i++)
        if (!strcmp(conf.images[i].name, name))
            return &conf.images[i];
    log_at(0, "%s needs --image %s=TREE: not offered", what, name ? name : "?");
    return NULL;
}

/* ---- what a template gave ---- */
void keep_origin(sbx_json_writer *w, const origin *o)
{
    if (!o)
        return;
    sbx_json_key(w, "from");
    sbx_json_begin_object(w);
    json_str(w, "layers", o->layers);
    json_str(w, "user", o->user);
    json_str(w, "workdir", o->workdir);
    json_num(w, "cpus", o->cpus);
    json_num(w, "memoryMib", o->memory_mib);
    json_str(w, "start", o->start);
    write_pairs(w, "env", &o->env);
    sbx_json_end_object(w);
}

origin *keep_origin_read(const jnode *object)
{
    const jnode *from = jget(object, "from", NULL);
    const char *start = jtext(jget(from, "start", NULL));
    origin *o;

    if (!from)
        return NULL;
    o = xalloc(sizeof *o);
    o->refs = 1;
    keep_text(from, "layers", o->layers, sizeof o->layers);
    keep_text(from, "user", o->user, sizeof o->user);
    keep_text(from, "workdir", o->workdir, sizeof o->workdir);
    o->cpus = (int)keep_number(from, "cpus");
    o->memory_mib = (int)keep_number(from, "memoryMib");
    o->start = xstrdup(start ? start : "");
    read_pairs(jget(from, "env", NULL), &o->env);
    return o;
}

/* Another host, with other images, may offer it: its layers must be there then. */
static void hold(origin *from)
{
    if (!from)
        return;
    held = realloc(held, (held_count + 1) * sizeof *held);
    if (!held)
        die("out of memory");
    held[held_count++] = from;
}

/* ---- paused sandboxes ---- */
static void box_file(const char *id, char *out, size_t cap)
{
    snprintf(out, cap, "%s/boxes/%s/box.json", conf.state, id);
}

bool keep_kept(const char *id)
{
    char path[400];

    box_file(id, path, sizeof path);
    return access(path, F_OK) == 0;
}

void keep_forget(const char *id)
{
    char path[400];

    box_file(id, path, sizeof path);
    unlink(path);
}

bool keep_box(box *b)
{
    sbx_json_writer w;
    char path[400];
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    json_num(&w, "rung", conf.rung);
    json_str(&w, "image", b->im->name);
    json_str(&w, "templateID", b->template_id);
    json_str(&w, "alias", b->alias);
    json_str(&w, "token", b->token);
    json_str(&w, "trafficToken", b->traffic_token);
    json_str(&w, "maskHost", b->mask_host);
    json_num(&w, "internet", b->internet);
    json_num(&w, "internetChoice", b->internet_choice);
    json_num(&w, "pauseAtEnd", b->pause_at_end);
    json_num(&w, "pauseMemory", b->pause_memory);
    json_num(&w, "autoResume", b->auto_resume);
    json_num(&w, "lifeMs", b->life_ms);
    json_num(&w, "startedMs", b->started_ms);
    json_num(&w, "endMs", b->end_ms);
    write_pairs(&w, "metadata", &b->metadata);
    write_pairs(&w, "env", &b->env);
    keep_origin(&w, b->from);
    sbx_json_end_object(&w);
    box_file(b->id, path, sizeof path);
    return w.status == SBX_OK && keep_write(path, &t);
}

static void load_box(const char *id)
{
    char path[400], what[60];
    jtree t;
    origin *from;
    box *b;

    box_file(id, path, sizeof path);
    snprintf(what, sizeof what, "paused sandbox %s", id);
    if (keep_read(path, &t)) {
        b = box_blank(id);
        b->im = keep_image(t.root, what);
        keep_text(t.root, "templateID", b->template_id, sizeof b->template_id);
        keep_text(t.root, "alias", b->alias, sizeof b->alias);
        keep_text(t.root, "token", b->token, sizeof b->token);
        keep_text(t.root, "trafficToken", b->traffic_token, sizeof b->traffic_token);
        keep_text(t.root, "maskHost", b->mask_host, sizeof b->mask_host);
        b->internet = keep_number(t.root, "internet") != 0;
        b->internet_choice = (int)keep_number(t.root, "internetChoice");
        b->pause_at_end = keep_number(t.root, "pauseAtEnd") != 0;
        b->pause_memory = keep_number(t.root, "pauseMemory") != 0;
        b->auto_resume = keep_number(t.root, "autoResume") != 0;
        b->life_ms = keep_number(t.root, "lifeMs");
        b->started_ms = keep_number(t.root, "startedMs");
        b->end_ms = keep_number(t.root, "endMs");
        read_pairs(jget(t.root, "metadata", NULL), &b->metadata);
        read_pairs(jget(t.root, "env", NULL), &b->env);
        from = keep_origin_read(t.root);
        box_from(b, from);
        b->paused_mono = mono_ms();
        if (!b->im || !box_adopt(b)) {
            box_unref(b);
            hold(from);
        } else {
            box_log(b, "info", "sandbox found paused, its processes ended with their host");
            origin_unref(from);
        }
        box_unref(b);
    }
    jtree_free(&t);
}

/* ---- snapshots ---- */
static void snapshot_path(const char *id, const char *name, char *out, size_t cap)
{
    snprintf(out, cap, "%s/snapshots/%.24s%s", conf.state, id, name);
}

static bool write_snapshot(const snapshot *s)
{
    sbx_json_writer w;
    char path[400];
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    json_num(&w, "rung", conf.rung);
    json_str(&w, "image", s->im->name);
    json_str(&w, "name", s->name);
    json_str(&w, "tag", s->tag);
    json_str(&w, "sandbox", s->sandbox);
    json_num(&w, "madeMs", s->made_ms);
    keep_origin(&w, s->from);
    sbx_json_end_object(&w);
    snapshot_path(s->id, "/snapshot.json", path, sizeof path);
    return keep_write(path, &t);
}

/* In its place of the list; under lock. */
static void insert(snapshot *s)
{
    snapshot **at = &snapshots;

    while (*at && ((*at)->made_ms > s->made_ms ||
                   ((*at)->made_ms == s->made_ms && strcmp((*at)->id, s->id) > 0)))
        at = &(*at)->next;
    s->next = *at;
    *at = s;
}

static void load_snapshot(const char *id)
{
    snapshot *s = xalloc(sizeof *s);
    char path[400], what[60];
    jtree t;

    snapshot_path(id, "/snapshot.json", path, sizeof path);
    snprintf(what, sizeof what, "snapshot %.30s", id);
    snprintf(s->id, sizeof s->id, "%s", id);
    if (!keep_read(path, &t)) {
        free(s);
    } else if ((s->im = keep_image(t.root, what))) {
        keep_text(t.root, "name", s->name, sizeof s->name);
        keep_text(t.root, "tag", s->tag, sizeof s->tag);
        keep_text(t.root, "sandbox", s->sandbox, sizeof s->sandbox);
        s->made_ms = keep_number(t.root, "madeMs");
        s->from = keep_origin_read(t.root);
        insert(s);
    } else {
        hold(keep_origin_read(t.root));
        free(s);
    }
    jtree_free(&t);
}

int snapshot_make(box *b, const char *name, const char *tag_name, snapshot *out,
                  box_state *was)
{
    snapshot *s = xalloc(sizeof *s);
    char path[400];
    int result;

    random_id(s->id, 20);
    snprintf(s->name, sizeof s->name, "%s", name);
    snprintf(s->tag, sizeof s->tag, "%s", tag_name);
    snprintf(s->sandbox, sizeof s->sandbox, "%s", b->id);
    s->im = b->im;
    s->from = origin_ref(b->from);
    s->made_ms = unix_ms();
    snapshot_path("", "", path, sizeof path);
    mkdir(path, 0700);
    snapshot_path(s->id, "", path, sizeof path);
    if (mkdir(path, 0700) != 0) {
        origin_unref(s->from);
        free(s);
        return -errno;
    }
    snapshot_path(s->id, "/files", path, sizeof path);
    result = box_copy_files(b, path, was);
    pthread_mutex_lock(&lock);
    if (result == 0 && !write_snapshot(s))
        result = -EIO;
    if (result == 0) {
        for (snapshot *o = snapshots; o && *s->name; o = o->next)
            if (!strcmp(o->name, s->name) && !strcmp(o->tag, s->tag)) {
                o->name[0] = '\0'; /* the name moves on; the id stays */
                write_snapshot(o);
            }
        insert(s);
        *out = *s;
    }
    pthread_mutex_unlock(&lock);
    if (result != 0) {
        snapshot_path(s->id, "", path, sizeof path);
        fs_remove_path(path);
        origin_unref(s->from);
        free(s);
    }
    return result;
}

/* Under lock. Where the one that is meant hangs, or where NULL does. */
static snapshot **seek(const char *reference)
{
    const char *slash = strrchr(reference, '/'), *colon;
    char name[200], tag_name[64] = "default";
    snapshot **at = &snapshots;

    snprintf(name, sizeof name, "%s", slash ? slash + 1 : reference);
    if ((colon = strchr(name, ':'))) {
        snprintf(tag_name, sizeof tag_name, "%s", colon + 1);
        name[colon - name] = '\0';
    }
    while (*at && (!*name || (strcmp((*at)->id, name) && strcmp((*at)->name, name)) ||
                   (strcmp((*at)->tag, tag_name) && (colon || strcmp((*at)->id, name)))))
        at = &(*at)->next;
    return at;
}

bool snapshot_find(const char *reference, snapshot *out)
{
    snapshot *s;

    pthread_mutex_lock(&lock);
    s = *seek(reference);
    if (s) {
        *out = *s;
        origin_ref(out->from);
    }
    pthread_mutex_unlock(&lock);
    return s != NULL;
}

bool snapshot_delete(const char *reference)
{
    snapshot **at, *gone;
    char path[400];

    pthread_mutex_lock(&lock);
    at = seek(reference);
    gone = *at;
    if (gone)
        *at = gone->next;
    pthread_mutex_unlock(&lock);
    if (!gone)
        return false;
    snapshot_path(gone->id, "/snapshot.json", path, sizeof path);
    unlink(path);
    snapshot_path(gone->id, "", path, sizeof path);
    fs_remove_path(path);
    origin_unref(gone->from);
    free(gone);
    layers_sweep(); /* some may have been kept for it alone */
    return true;
}

size_t snapshot_list(snapshot **out)
{
    size_t n = 0;

    pthread_mutex_lock(&lock);
    for (snapshot *s = snapshots; s; s = s->next)
        n++;
    *out = xalloc((n + 1) * sizeof **out);
    n = 0;
    for (snapshot *s = snapshots; s; s = s->next)
        (*out)[n++] = *s;
    pthread_mutex_unlock(&lock);
    return n;
}

void keep_layers(void (*fn)(const char *layers))
{
    for (size_t i = 0; i < held_count; i++)
        fn(held[i]->layers);
    pthread_mutex_lock(&lock);
    for (snapshot *s = snapshots; s; s = s->next)
        if (s->from)
            fn(s->from->layers);
    pthread_mutex_unlock(&lock);
}

int snapshot_open(const snapshot *s)
{
    char path[400];

    snapshot_path(s->id, "/files", path, sizeof path);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* ---- all of it ---- */
void keep_each(const char *dir, const char *file, void (*fn)(const char *))
{
    char path[400], at[300];
    struct dirent *e;
    DIR *d;

    snprintf(path, sizeof path, "%s/%s", conf.state, dir);
    d = opendir(path);
    if (!d && errno != ENOENT) {
        log_at(0, "%s cannot be read: %s", path, strerror(errno));
        unreadable = true;
    }
    while (d && (e = readdir(d))) {
        if (e->d_name[0] == '.' || strlen(e->d_name) > 23)
            continue;
        snprintf(at, sizeof at, "%s/%s", e->d_name, file);
        if (faccessat(dirfd(d), at, F_OK, 0) == 0)
            fn(e->d_name);
    }
    if (d)
        closedir(d);
}

void keep_load(void)
{
    keep_each("boxes", "box.json", load_box);
    keep_each("snapshots", "snapshot.json", load_snapshot);
    templates_load();
    if (unreadable)
        log_at(0, "layers and uploads: any may be of what cannot be read, so none is removed "
               "by this host");
}

bool keep_all_read(void)
{
    return !unreadable;
}

void keep_free(void)
{
    while (snapshots) {
        snapshot *s = snapshots;

        snapshots = s->next;
        origin_unref(s->from);
        free(s);
    }
    while (held_count > 0)
        origin_unref(held[--held_count]);
    free(held);
}
