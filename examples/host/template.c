/* sandboxd: the store of templates: names, tags, builds, and what of them is on disk:
   templates/ID/template.json, and ID-of-a-build.json beside it once it ended. A
   template no build of which ever ended is not written down: of a host that is killed
   during the first one nothing is left. */
#include "template.h"

#include <dirent.h>
#include <sys/stat.h>

const char *const log_levels[4] = { "debug", "info", "warn", "error" };
const char *const build_states[4] = { "waiting", "building", "ready", "error" };

int log_level_of(const char *name)
{
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, log_levels[i]))
            return i;
    return -1;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static template *templates;     /* newest first */
static int template_count, active;
static bool stopping;

void templates_lock(void)
{
    pthread_mutex_lock(&lock);
}

void templates_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

/* ---- finding ---- */
template *template_first(void)
{
    return templates;
}

template *template_by_id(const char *id)
{
    template *t = templates;

    while (t && strcmp(t->id, id))
        t = t->next;
    return t;
}

template *template_named(const char *reference, char tag_name[TAG_MAX_LEN + 1])
{
    const char *slash = strrchr(reference, '/');
    char name[NAME_MAX_LEN + TAG_MAX_LEN + 2], *colon;
    template *t = templates;

    if ((size_t)snprintf(name, sizeof name, "%s", slash ? slash + 1 : reference) >= sizeof name)
        return NULL;
    colon = strchr(name, ':');
    if (colon)
        *colon++ = '\0';
    if (tag_name)
        snprintf(tag_name, TAG_MAX_LEN + 1, "%.*s", TAG_MAX_LEN, colon && *colon ? colon
                 : "default");
    while (t && strcmp(t->id, name) && (!t->name[0] || strcmp(t->name, name)))
        t = t->next;
    return t;
}

build *template_build(template *t, const char *id)
{
    build *b = t->builds;

    while (b && strcmp(b->id, id))
        b = b->next;
    return b;
}

tag *template_tag(template *t, const char *name)
{
    tag *g = t->tags;

    while (g && strcmp(g->name, name))
        g = g->next;
    return g;
}

bool template_find(const char *reference, char id[24], char name[NAME_MAX_LEN + 2],
                   const image **im, origin **from, char *hold)
{
    char tag_name[TAG_MAX_LEN + 1];
    template *t;
    build *b;
    tag *g;

    templates_lock();
    t = template_named(reference, tag_name);
    g = t ? template_tag(t, tag_name) : NULL;
    b = g ? template_build(t, g->build) : NULL;
    if (b && b->state == BUILD_READY) {
        memcpy(id, t->id, sizeof t->id);
        memcpy(name, t->name, sizeof t->name);
        *im = b->im;
        *from = origin_ref(b->from);
        if (hold) {
            memcpy(hold, b->from->layers, sizeof b->from->layers);
        } else {
            t->starting++;
            t->spawned++;
            t->spawned_ms = unix_ms();
        }
    } else {
        b = NULL;
    }
    templates_unlock();
    return b != NULL;
}

void template_started(const char *id)
{
    template *t;

    templates_lock();
    t = template_by_id(id);
    if (t)
        t->starting--;
    templates_unlock();
}

/* ---- making and changing ---- */

/* In the lists the newest is first, of the same moment the one of the greater id: pages
   rely on it. */
static bool comes_first(int64_t a_ms, const char *a, int64_t b_ms, const char *b)
{
    return a_ms > b_ms || (a_ms == b_ms && strcmp(a, b) > 0);
}

static void enter_template(template *t)
{
    template **at = &templates;

    while (*at && comes_first((*at)->created_ms, (*at)->id, t->created_ms, t->id))
        at = &(*at)->next;
    t->next = *at;
    *at = t;
    template_count++;
}

static void enter_build(template *t, build *b)
{
    build **at = &t->builds;

    while (*at && comes_first((*at)->created_ms, (*at)->id, b->created_ms, b->id))
        at = &(*at)->next;
    b->t = t;
    b->next = *at;
    *at = b;
}

static bool ended(const build *b)
{
    return b->state >= BUILD_READY;
}

void template_set_tag(template *t, const char *name, const build *b)
{
    tag *g = template_tag(t, name);

    if (!g) {
        g = xalloc(sizeof *g);
        snprintf(g->name, sizeof g->name, "%s", name);
        g->next = t->tags;
        t->tags = g;
    }
    memcpy(g->build, b->id, sizeof g->build);
    g->at_ms = unix_ms();
}

static size_t new_tags(template *t, char *const *names, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += !template_tag(t, names[i]);
    return n;
}

bool template_tags_fit(template *t, char *const *names, size_t count)
{
    size_t more = new_tags(t, names, count), n = more;

    for (const tag *g = t->tags; g; g = g->next)
        n++;
    for (const build *b = t->builds; b; b = b->next)
        if (!ended(b))
            n += new_tags(t, b->tags, b->tag_count);
    return more == 0 || n <= MAX_TAGS;
}

static bool is_needed(const template *t, const named_file *f)
{
    if (unix_ms() - f->at_ms < WAIT_S * 1000ll)
        return true;
    for (const build *b = t->builds; b; b = b->next)
        for (size_t i = 0; i < b->step_count; i++)
            if (!strcmp(b->steps[i].hash, f->hash))
                return true;
    return false;
}

/* Where the one hangs that gives way to another, or NULL. */
static named_file **spare_file(template *t)
{
    named_file **spare = NULL;

    for (named_file **at = &t->files; *at; at = &(*at)->next)
        if (!is_needed(t, *at))
            spare = at;
    return spare;
}

bool template_name_file(template *t, const char *hash)
{
    named_file **at = &t->files, *f;
    int count = 0;

    for (; *at && strcmp((*at)->hash, hash); at = &(*at)->next)
        count++;
    if (!*at && count >= MAX_FILES && !(at = spare_file(t)))
        return false;
    f = *at ? *at : xalloc(sizeof *f);
    *at = f->next;
    snprintf(f->hash, sizeof f->hash, "%s", hash);
    f->at_ms = unix_ms();
    f->next = t->files;
    t->files = f;
    return true;
}

template *template_new(const char *name)
{
    template *t;

    if (template_count >= MAX_TEMPLATES)
        return NULL;
    t = xalloc(sizeof *t);
    random_id(t->id, 20);
    snprintf(t->name, sizeof t->name, "%s", name);
    t->created_ms = t->updated_ms = unix_ms();
    enter_template(t);
    return t;
}

/* Its client may be at the uploads. */
static bool is_young(const build *b)
{
    return b->state == BUILD_WAITING && unix_ms() - b->created_ms < WAIT_S * 1000ll;
}

build *build_new(template *t)
{
    unsigned char r[16];
    char hex[33];
    int waiting = 0;
    build *b;

    for (b = t->builds; b; b = b->next)
        waiting += is_young(b);
    if (waiting >= MAX_WAITING)
        return NULL;
    b = xalloc(sizeof *b);
    random_bytes(r, sizeof r);
    r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
    r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", r[i]);
    snprintf(b->id, sizeof b->id, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
    b->created_ms = b->updated_ms = unix_ms();
    enter_build(t, b);
    return b;
}

void build_log(build *b, log_level level, const char *step, const char *message)
{
    size_t n = strlen(message);
    log_entry *e;

    if (b->log_count >= LOG_ENTRIES || b->log_bytes + n > LOG_BYTES)
        return; /* the reason of an error is kept apart */
    if (b->log_count + 1 >= LOG_ENTRIES || b->log_bytes + n + 4096 > LOG_BYTES) {
        b->log_bytes = LOG_BYTES;
        level = LOG_WARN;
        message = "the log is full: what follows is not kept";
        n = strlen(message);
    }
    if ((b->log_count & (b->log_count - 1)) == 0) {
        e = realloc(b->log, (b->log_count ? b->log_count * 2 : 1) * sizeof *e);
        if (!e)
            die("out of memory");
        b->log = e;
    }
    e = &b->log[b->log_count++];
    memset(e, 0, sizeof *e);
    e->at_ms = unix_ms();
    e->level = level;
    snprintf(e->step, sizeof e->step, "%s", step);
    e->message = xalloc(3 * n + 1); /* room for what stands for bad bytes */
    lossy_utf8(e->message, 3 * n + 1, message);
    b->log_bytes += n;
}

/* ---- freeing ---- */
void orders_free(build *b)
{
    for (size_t i = 0; i < b->step_count; i++) {
        for (size_t k = 0; k < b->steps[i].count; k++)
            free(b->steps[i].args[k]);
        free(b->steps[i].args);
    }
    free(b->steps);
    free(b->from_image);
    free(b->from_template);
    free(b->start);
    free(b->ready);
    b->steps = NULL;
    b->step_count = 0;
    b->from_image = b->from_template = b->start = b->ready = NULL;
}

static void build_free(build *b)
{
    orders_free(b);
    for (size_t i = 0; i < b->log_count; i++)
        free(b->log[i].message);
    for (size_t i = 0; i < b->tag_count; i++)
        free(b->tags[i]);
    free(b->tags);
    free(b->log);
    free(b->reason);
    origin_unref(b->from);
    free(b);
}

static void template_free(template *t)
{
    while (t->builds) {
        build *b = t->builds;

        t->builds = b->next;
        build_free(b);
    }
    while (t->tags) {
        tag *g = t->tags;

        t->tags = g->next;
        free(g);
    }
    while (t->files) {
        named_file *f = t->files;

        t->files = f->next;
        free(f);
    }
    free(t);
}

static void unlink_template(template *t)
{
    template **at = &templates;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    template_count--;
}

/* ---- on disk ---- */
static void path_of(const template *t, const char *file, const char *suffix, char out[400])
{
    snprintf(out, 400, "%s/templates/%s%s%s%s", conf.state, t->id, *file ? "/" : "", file, suffix);
}

static void write_build(sbx_json_writer *w, const build *b)
{
    json_str(w, "state", build_states[b->state]);
    json_num(w, "createdMs", b->created_ms);
    json_num(w, "updatedMs", b->updated_ms);
    json_num(w, "finishedMs", b->finished_ms);
    json_num(w, "cpus", b->cpus);
    json_num(w, "memoryMib", b->memory_mib);
    json_str(w, "layers", b->layers);
    json_num(w, "rung", conf.rung);
    json_str(w, "image", b->im ? b->im->name : "base");
    keep_origin(w, b->from);
    if (b->reason) {
        json_str(w, "reason", b->reason);
        json_str(w, "reasonStep", b->reason_step);
    }
    sbx_json_key(w, "log");
    sbx_json_begin_array(w);
    for (size_t i = 0; i < b->log_count; i++) {
        const log_entry *e = &b->log[i];

        sbx_json_begin_array(w);
        json_num(w, NULL, e->at_ms);
        json_num(w, NULL, e->level);
        json_str(w, NULL, e->step);
        json_str(w, NULL, e->message);
        sbx_json_end_array(w);
    }
    sbx_json_end_array(w);
}

static bool save_build(const build *b)
{
    sbx_json_writer w;
    char path[400];
    text t = { 0 };

    sbx_json_writer_init(&w, text_sink(&t));
    sbx_json_begin_object(&w);
    write_build(&w, b);
    sbx_json_end_object(&w);
    path_of(b->t, b->id, ".json", path);
    return keep_write(path, &t);
}

bool template_write(template *t)
{
    sbx_json_writer w;
    char path[400];
    text out = { 0 };
    bool any = false;

    for (const build *b = t->builds; b; b = b->next)
        any |= ended(b);
    if (!any)
        return true;
    sbx_json_writer_init(&w, text_sink(&out));
    sbx_json_begin_object(&w);
    json_str(&w, "name", t->name);
    json_num(&w, "public", t->public);
    json_num(&w, "createdMs", t->created_ms);
    json_num(&w, "updatedMs", t->updated_ms);
    json_num(&w, "spawnedMs", t->spawned_ms);
    json_num(&w, "spawned", t->spawned);
    sbx_json_key(&w, "builds");
    sbx_json_begin_array(&w);
    for (const build *b = t->builds; b; b = b->next)
        if (ended(b))
            json_str(&w, NULL, b->id);
    sbx_json_end_array(&w);
    sbx_json_key(&w, "tags");
    sbx_json_begin_object(&w);
    for (const tag *g = t->tags; g; g = g->next)
        json_str(&w, g->name, g->build);
    sbx_json_end_object(&w);
    sbx_json_key(&w, "tagTimes");
    sbx_json_begin_object(&w);
    for (const tag *g = t->tags; g; g = g->next)
        json_num(&w, g->name, g->at_ms);
    sbx_json_end_object(&w);
    sbx_json_key(&w, "files");
    sbx_json_begin_array(&w);
    for (const named_file *f = t->files; f; f = f->next)
        json_str(&w, NULL, f->hash);
    sbx_json_end_array(&w);
    sbx_json_end_object(&w);
    path_of(t, "template.json", "", path);
    if (keep_write(path, &out))
        return true;
    log_at(0, "template %s is not written down: it ends with this host", t->id);
    return false;
}

static void read_log(build *b, const jnode *list)
{
    for (const jnode *e = list ? list->first : NULL; e; e = e->next) {
        const jnode *at = e->first, *level = at ? at->next : NULL;
        const jnode *step = level ? level->next : NULL;

        if (!step || !step->next || !jtext(step) || !jtext(step->next))
            continue;
        build_log(b, (log_level)(level->num & 3), jtext(step), jtext(step->next));
        if (b->log_count)
            b->log[b->log_count - 1].at_ms = at->num;
    }
}

static void load_build(template *t, const char *id)
{
    build *b = xalloc(sizeof *b);
    char path[400], what[160];
    const char *reason;
    jtree j;

    snprintf(b->id, sizeof b->id, "%s", id);
    b->t = t;
    path_of(t, b->id, ".json", path);
    snprintf(what, sizeof what, "template %s", t->name[0] ? t->name : t->id);
    if (keep_read(path, &j)) {
        const char *state = jtext(jget(j.root, "state", NULL));

        reason = jtext(jget(j.root, "reason", NULL));
        b->state = state && !strcmp(state, "ready") ? BUILD_READY : BUILD_ERROR;
        b->created_ms = keep_number(j.root, "createdMs");
        b->updated_ms = keep_number(j.root, "updatedMs");
        b->finished_ms = keep_number(j.root, "finishedMs");
        b->cpus = (int)keep_number(j.root, "cpus");
        b->memory_mib = (int)keep_number(j.root, "memoryMib");
        keep_text(j.root, "layers", b->layers, sizeof b->layers);
        keep_text(j.root, "reasonStep", b->reason_step, sizeof b->reason_step);
        b->reason = reason ? xstrdup(reason) : NULL;
        read_log(b, jget(j.root, "log", NULL));
        b->from = keep_origin_read(j.root);
        if (b->state == BUILD_READY && !(b->im = keep_image(j.root, what))) {
            b->state = BUILD_ERROR;
            b->reason = xstrdup("its image is not offered by this host any more");
        }
        enter_build(t, b);
    } else {
        build_free(b);
    }
    jtree_free(&j);
}

static void load_files(template *t, const jnode *list)
{
    named_file **at = &t->files;

    for (const jnode *n = list ? list->first : NULL; n; n = n->next)
        if (jtext(n)) {
            *at = xalloc(sizeof **at);
            snprintf((*at)->hash, sizeof (*at)->hash, "%s", jtext(n));
            at = &(*at)->next;
        }
}

static void load_template(const char *id)
{
    template *t = xalloc(sizeof *t);
    char path[400];
    jtree j;

    snprintf(t->id, sizeof t->id, "%s", id);
    path_of(t, "template.json", "", path);
    if (keep_read(path, &j)) {
        const jnode *tags = jget(j.root, "tags", NULL), *times = jget(j.root, "tagTimes", NULL);
        const jnode *builds = jget(j.root, "builds", NULL);

        keep_text(j.root, "name", t->name, sizeof t->name);
        t->public = keep_number(j.root, "public") != 0;
        t->created_ms = keep_number(j.root, "createdMs");
        t->updated_ms = keep_number(j.root, "updatedMs");
        t->spawned_ms = keep_number(j.root, "spawnedMs");
        t->spawned = keep_number(j.root, "spawned");
        for (const jnode *n = builds ? builds->first : NULL; n; n = n->next)
            if (jtext(n) && strlen(jtext(n)) < sizeof ((build *)0)->id)
                load_build(t, jtext(n));
        for (const jnode *n = tags ? tags->first : NULL; n; n = n->next) {
            build *b = jtext(n) ? template_build(t, jtext(n)) : NULL;

            if (!b)
                continue;
            template_set_tag(t, n->key, b);
            t->tags->at_ms = keep_number(times, n->key);
        }
        load_files(t, jget(j.root, "files", NULL));
        enter_template(t);
    } else {
        template_free(t);
    }
    jtree_free(&j);
}

void templates_load(void)
{
    keep_each("templates", "template.json", load_template);
    layers_load();
    layers_sweep();
}

/* ---- the end of builds and templates ---- */
void template_trim(template *t, const build *but)
{
    build **at = &t->builds;
    int kept = 0;

    while (*at) {
        build *b = *at;
        bool tagged = false;
        char path[400];

        for (const tag *g = t->tags; g; g = g->next)
            tagged |= !strcmp(g->build, b->id);
        if (b == but || tagged || b->state == BUILD_BUILDING || is_young(b) ||
            kept++ < KEEP_BUILDS) {
            at = &b->next;
            continue;
        }
        *at = b->next;
        path_of(t, b->id, ".json", path);
        unlink(path);
        build_free(b);
    }
}

bool build_may_start(void)
{
    return active < MAX_BUILDS && !stopping;
}

void build_enter(build *b)
{
    b->state = BUILD_BUILDING;
    b->updated_ms = unix_ms();
    b->t->active++;
    active++;
}

void build_leave(build *b)
{
    b->state = BUILD_ERROR;
    b->t->active--;
    active--;
}

/* The tags go to what the next host will find, too. */
static void write_down(build *b)
{
    template *t = b->t;
    char path[400];

    snprintf(path, sizeof path, "%s/templates", conf.state);
    mkdir(path, 0700);
    path_of(t, "", "", path);
    mkdir(path, 0700);
    if (!save_build(b) && b->state == BUILD_READY) {
        b->state = BUILD_ERROR;
        b->reason = xstrdup("the build cannot be written down: no room, or it is too big");
        snprintf(b->reason_step, sizeof b->reason_step, "finalize");
        build_log(b, LOG_ERROR, b->reason_step, b->reason);
    }
    for (size_t i = 0; b->state == BUILD_READY && i < b->tag_count; i++)
        template_set_tag(t, b->tags[i], b);
    template_trim(t, b);
    template_write(t);
}

void build_done(build *b, bool ok)
{
    template *t = b->t;

    templates_lock();
    orders_free(b);
    b->state = ok ? BUILD_READY : BUILD_ERROR;
    b->updated_ms = b->finished_ms = unix_ms();
    t->updated_ms = b->updated_ms;
    if (!b->cancelled)
        write_down(b);
    t->active--;
    templates_unlock();
    layers_sweep();
    templates_lock();
    active--;
    pthread_cond_broadcast(&changed);
    templates_unlock();
}

static void cancel_builds(template *t)
{
    for (build *b = t->builds; b; b = b->next)
        __atomic_store_n(&b->cancelled, true, __ATOMIC_RELEASE);
}

bool template_delete(template *t)
{
    char path[400];

    if (t->starting > 0 || boxes_of(t->id))
        return false;
    unlink_template(t); /* nobody finds it from here on */
    cancel_builds(t);
    while (t->active > 0)
        pthread_cond_wait(&changed, &lock);
    path_of(t, "template.json", "", path);
    unlink(path);
    path_of(t, "", "", path);
    fs_remove_path(path);
    template_free(t);
    return true;
}

void templates_stop(void)
{
    templates_lock();
    stopping = true;
    for (template *t = templates; t; t = t->next)
        cancel_builds(t);
    while (active > 0)
        pthread_cond_wait(&changed, &lock);
    templates_unlock();
}

void templates_free(void)
{
    while (templates) {
        template *t = templates;

        templates = t->next;
        template_free(t);
    }
    layers_free();
}
