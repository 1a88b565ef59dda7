/* sandboxd: E2B's endpoints for templates: creation, lists, aliases, tags, removal.
   Those of a build are in build_e2b.c. */
#include "api_e2b.h"
#include "template.h"

#include <ctype.h>

#define TAGS_MAX 50

static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";

/* ---- names and tags ---- */
static bool is_uuid(const char *s)
{
    if (strlen(s) != 36)
        return false;
    for (int i = 0; i < 36; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
            return false;
    return true;
}

static bool valid_tag(const char *s)
{
    size_t n = strlen(s);

    return n > 0 && n <= TAG_MAX_LEN && !is_uuid(s) &&
           !s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.")];
}

/* Trimmed, in lower case. */
static void normal(const char *given, char *out, size_t cap)
{
    size_t n;

    given += strspn(given, " \t\r\n");
    n = strlen(given);
    while (n > 0 && strchr(" \t\r\n", given[n - 1]))
        n--;
    if (n >= cap)
        n = cap - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)tolower((unsigned char)given[i]);
    out[n] = '\0';
}

/* [team/]name[:tag] in its parts; tag "" if it has none. False after a reply. */
static bool read_name(req *r, const char *given, char name[NAME_MAX_LEN + 1],
                      char tag_name[TAG_MAX_LEN + 1])
{
    char whole[400], *at = whole, *colon, *slash;

    normal(given, whole, sizeof whole);
    colon = strchr(whole, ':');
    if (colon)
        *colon++ = '\0';
    slash = strrchr(whole, '/');
    if (slash)
        at = slash + 1;
    if (!*at || strlen(at) > NAME_MAX_LEN || at[strspn(at, letters)]) {
        reply_error(r, 400, "Invalid alias: a name has 1 to %d of a-z 0-9 - _", NAME_MAX_LEN);
        return false;
    }
    if (colon && !valid_tag(colon)) {
        reply_error(r, 400, "Invalid tag: a tag has 1 to %d of a-z 0-9 - _ . and is no UUID",
                    TAG_MAX_LEN);
        return false;
    }
    strcpy(name, at);
    strcpy(tag_name, colon ? colon : "");
    return true;
}

typedef struct tag_list { char *names[TAGS_MAX]; size_t count; } tag_list;

static void tags_free(tag_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->names[i]);
}

static void tags_add(tag_list *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++)
        if (!strcmp(l->names[i], name))
            return;
    if (l->count < TAGS_MAX)
        l->names[l->count++] = xstrdup(name);
}

/* False after a reply. */
static bool read_tags(req *r, const jnode *list, tag_list *out)
{
    char name[400];

    if (list && list->type != J_ARRAY) {
        reply_error(r, 400, "validation error: 'tags' must be a list of strings");
        return false;
    }
    for (const jnode *n = list ? list->first : NULL; n; n = n->next) {
        normal(jtext(n) ? jtext(n) : "", name, sizeof name);
        if (!valid_tag(name) || out->count == TAGS_MAX) {
            reply_error(r, 400, "Invalid tag: at most %d, each 1 to %d of a-z 0-9 - _ . and no "
                        "UUID", TAGS_MAX, TAG_MAX_LEN);
            return false;
        }
        tags_add(out, name);
    }
    return true;
}

static void write_tags(sbx_json_writer *w, char *const *names, size_t count)
{
    sbx_json_key(w, "tags");
    sbx_json_begin_array(w);
    for (size_t i = 0; i < count; i++)
        json_str(w, NULL, names[i]);
    sbx_json_end_array(w);
}

static void write_names(sbx_json_writer *w, const char *key, const template *t)
{
    sbx_json_key(w, key);
    sbx_json_begin_array(w);
    if (t->name[0])
        json_str(w, NULL, t->name);
    sbx_json_end_array(w);
}

void api_template_missing(req *r, const char *given)
{
    char shown[200];

    lossy_utf8(shown, sizeof shown, given);
    reply_error(r, 404, "template '%s' not found", shown);
}

/* ---- creation ---- */
static void created(req *r, const template *t, const build *b)
{
    sbx_json_writer w;
    text out = { 0 };

    sbx_json_writer_init(&w, text_sink(&out));
    sbx_json_begin_object(&w);
    write_names(&w, "aliases", t);
    json_str(&w, "buildID", b->id);
    write_names(&w, "names", t);
    sbx_json_key(&w, "public");
    sbx_json_bool(&w, t->public);
    write_tags(&w, b->tags, b->tag_count);
    json_str(&w, "templateID", t->id);
    sbx_json_end_object(&w);
    reply_text(r, 202, JSON_TYPE, &out);
}

static void too_many_tags(req *r, const char *given)
{
    char shown[200];

    lossy_utf8(shown, sizeof shown, given);
    reply_error(r, 400, "template '%s' can have at most %d tags: remove some", shown, MAX_TAGS);
}

/* Takes over the tags. */
static void create_build(req *r, const char *name, tag_list *tags, const int64_t sizes[3])
{
    bool full = false;
    template *t;
    build *b = NULL;

    templates_lock();
    t = *name ? template_named(name, NULL) : NULL;
    if (!t)
        t = template_new(name);
    if (t) {
        template_trim(t, NULL);
        full = !template_tags_fit(t, tags->names, tags->count);
        b = full ? NULL : build_new(t);
    }
    if (b) {
        b->cpus = (int)sizes[0];
        b->memory_mib = (int)sizes[1];
        b->min_free_mib = (int)sizes[2];
        b->tags = xalloc(sizeof *b->tags * (tags->count + 1));
        memcpy(b->tags, tags->names, sizeof *b->tags * tags->count);
        b->tag_count = tags->count;
        tags->count = 0;
        created(r, t, b);
    }
    templates_unlock();
    if (!t)
        reply_error(r, 429, "this host keeps at most %d templates", MAX_TEMPLATES);
    else if (full)
        too_many_tags(r, name);
    else if (!b)
        reply_error(r, 429, "template '%s' has %d builds that wait for their start, its limit: "
                    "each does for at most %d s", name, MAX_WAITING, WAIT_S);
}

static bool read_sizes(req *r, const jnode *body, int64_t sizes[3])
{
    if (api_int(r, body, "cpuCount", 1, 1024, &sizes[0]) < 0 ||
        api_int(r, body, "memoryMB", 128, 1 << 20, &sizes[1]) < 0 ||
        api_int(r, body, "minFreeDiskMb", 0, INT32_MAX, &sizes[2]) < 0)
        return false;
    if (conf.memory_mib == 0 || sizes[1] <= conf.memory_mib)
        return true;
    reply_error(r, 400, "memoryMB cannot be more than the %d of this host (--memory-mib)",
                conf.memory_mib);
    return false;
}

void api_template_create(req *r)
{
    char name[NAME_MAX_LEN + 1] = "", own_tag[TAG_MAX_LEN + 1] = "";
    int64_t sizes[3] = { 0, 0, 0 };
    tag_list tags = { .count = 0 };
    const jnode *given;
    jtree t;
    bool ok;

    if (!api_body(r, &t, false))
        return;
    given = jget(t.root, "name", NULL);
    if (!given)
        given = jget(t.root, "alias", NULL);
    if (given && !jtext(given)) {
        reply_error(r, 400, "validation error: 'name' must be a string");
        ok = false;
    } else {
        ok = !given || read_name(r, jtext(given), name, own_tag);
    }
    if (ok && *name && api_image(name)) {
        reply_error(r, 409, "Alias '%s' is already used: it is an image of this host", name);
        ok = false;
    }
    if (ok && *own_tag)
        tags_add(&tags, own_tag);
    ok = ok && read_tags(r, jget(t.root, "tags", NULL), &tags) && read_sizes(r, t.root, sizes);
    if (ok && tags.count == 0)
        tags_add(&tags, "default");
    if (ok)
        create_build(r, name, &tags, sizes);
    tags_free(&tags);
    jtree_free(&t);
}

/* ---- lists ---- */
static const build *shown_build(template *t)
{
    tag *g = template_tag(t, "default");
    const build *b = g ? template_build(t, g->build) : NULL;

    return b ? b : t->builds;
}

static void write_size(sbx_json_writer *w, const build *b)
{
    json_num(w, "cpuCount", b && b->cpus > 0 ? b->cpus : sysconf(_SC_NPROCESSORS_ONLN));
    json_num(w, "diskSizeMB", api_disk_mib());
    json_num(w, "memoryMB", b && b->memory_mib > 0 ? b->memory_mib : conf.memory_mib > 0
             ? conf.memory_mib : (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) >> 20);
}

static void write_spawns(sbx_json_writer *w, const template *t)
{
    if (t->spawned_ms) {
        api_time(w, "lastSpawnedAt", t->spawned_ms);
    } else {
        sbx_json_key(w, "lastSpawnedAt");
        sbx_json_null(w);
    }
    json_num(w, "spawnCount", t->spawned);
    api_time(w, "createdAt", t->created_ms);
    api_time(w, "updatedAt", t->updated_ms);
    sbx_json_key(w, "public");
    sbx_json_bool(w, t->public);
    json_str(w, "templateID", t->id);
    write_names(w, "aliases", t);
    write_names(w, "names", t);
}

static void template_json(sbx_json_writer *w, template *t)
{
    const build *b = shown_build(t);
    int64_t count = 0;

    for (const build *o = t->builds; o; o = o->next)
        count++;
    sbx_json_begin_object(w);
    json_num(w, "buildCount", count);
    if (b) {
        json_str(w, "buildID", b->id);
        json_str(w, "buildStatus", build_states[b->state]);
    }
    sbx_json_key(w, "createdBy");
    sbx_json_null(w);
    json_str(w, "envdVersion", ENVD_VERSION);
    write_size(w, b);
    write_spawns(w, t);
    sbx_json_end_object(w);
}

void api_templates(req *r)
{
    sbx_json_writer w;
    text out = { 0 };
    api_page p;

    if (!api_page_read(r, &p, 20))
        return;
    sbx_json_writer_init(&w, text_sink(&out));
    templates_lock();
    sbx_json_begin_array(&w);
    for (template *t = template_first(); t; t = t->next)
        if (api_page_takes(&p, t->created_ms, t->id))
            template_json(&w, t);
    sbx_json_end_array(&w);
    templates_unlock();
    api_page_reply(r, &p, &out);
}

static void build_json(sbx_json_writer *w, const build *b)
{
    sbx_json_begin_object(w);
    json_str(w, "buildID", b->id);
    api_time(w, "createdAt", b->created_ms);
    json_str(w, "envdVersion", ENVD_VERSION);
    if (b->finished_ms)
        api_time(w, "finishedAt", b->finished_ms);
    json_str(w, "status", build_states[b->state]);
    write_size(w, b);
    api_time(w, "updatedAt", b->updated_ms);
    sbx_json_end_object(w);
}

void api_template(req *r)
{
    sbx_json_writer w;
    text out = { 0 };
    template *t;
    api_page p;

    if (!api_page_read(r, &p, 36))
        return;
    templates_lock();
    t = template_named(r->segments[1], NULL);
    if (t) {
        sbx_json_writer_init(&w, text_sink(&out));
        sbx_json_begin_object(&w);
        sbx_json_key(&w, "builds");
        sbx_json_begin_array(&w);
        for (const build *b = t->builds; b; b = b->next)
            if (api_page_takes(&p, b->created_ms, b->id))
                build_json(&w, b);
        sbx_json_end_array(&w);
        write_spawns(&w, t);
        sbx_json_end_object(&w);
    }
    templates_unlock();
    if (t)
        api_page_reply(r, &p, &out);
    else
        api_template_missing(r, r->segments[1]);
}

void api_template_alias(req *r)
{
    const char *name = r->segments[2];
    const image *im = api_image(name);
    char tag_name[TAG_MAX_LEN + 1];
    sbx_json_writer w;
    text out = { 0 };
    template *t;
    bool found, public = true;
    char id[24] = "";

    templates_lock();
    t = im ? NULL : template_named(name, tag_name);
    found = im || (t && (!strchr(name, ':') || template_tag(t, tag_name)));
    snprintf(id, sizeof id, "%s", im ? im->template_id : t ? t->id : "");
    if (t)
        public = t->public;
    templates_unlock();
    if (!found) {
        api_template_missing(r, name);
        return;
    }
    sbx_json_writer_init(&w, text_sink(&out));
    sbx_json_begin_object(&w);
    sbx_json_key(&w, "public");
    sbx_json_bool(&w, public);
    json_str(&w, "templateID", id);
    sbx_json_end_object(&w);
    reply_text(r, 200, JSON_TYPE, &out);
}

/* ---- tags ---- */
static void write_down(req *r, template *t)
{
    if (!template_write(t))
        reply_error(r, 500, "template '%s' is not written down: the change ends with this host",
                    t->id);
}

static void assign(req *r, const char *target, tag_list *tags)
{
    char tag_name[TAG_MAX_LEN + 1] = "", shown[200];
    sbx_json_writer w;
    text out = { 0 };
    template *t;
    build *b = NULL;
    tag *g;

    templates_lock();
    t = template_named(target, tag_name);
    g = t ? template_tag(t, tag_name) : NULL;
    b = g ? template_build(t, g->build) : NULL;
    if (b && !template_tags_fit(t, tags->names, tags->count)) {
        too_many_tags(r, t->id);
    } else if (b) {
        for (size_t i = 0; i < tags->count; i++)
            template_set_tag(t, tags->names[i], b);
        write_down(r, t);
        sbx_json_writer_init(&w, text_sink(&out));
        sbx_json_begin_object(&w);
        json_str(&w, "buildID", b->id);
        write_tags(&w, tags->names, tags->count);
        sbx_json_end_object(&w);
    }
    templates_unlock();
    if (b) {
        reply_text(r, 201, JSON_TYPE, &out);
        return;
    }
    lossy_utf8(shown, sizeof shown, target);
    shown[strcspn(shown, ":")] = '\0';
    reply_error(r, 404, "Template '%s' with tag '%s' not found", shown, *tag_name ? tag_name
                : "default");
}

void api_tags_assign(req *r)
{
    tag_list tags = { .count = 0 };
    char target[400];
    jtree t;

    if (!api_body(r, &t, false))
        return;
    normal(jtext(jget(t.root, "target", NULL)) ? jtext(jget(t.root, "target", NULL)) : "", target,
           sizeof target);
    if (!*target)
        reply_error(r, 400, "validation error: 'target' must be name or name:tag");
    else if (read_tags(r, jget(t.root, "tags", NULL), &tags) && tags.count == 0)
        reply_error(r, 400, "validation error: 'tags' is empty");
    else if (tags.count > 0 && !r->replied)
        assign(r, target, &tags);
    tags_free(&tags);
    jtree_free(&t);
}

static bool remove_tag(template *t, const char *name)
{
    tag **at = &t->tags, *gone;

    while (*at && strcmp((*at)->name, name))
        at = &(*at)->next;
    gone = *at;
    if (!gone)
        return false;
    *at = gone->next;
    free(gone);
    return true;
}

static void unassign(req *r, const char *name, const tag_list *tags)
{
    template *t;

    for (size_t i = 0; i < tags->count; i++)
        if (!strcmp(tags->names[i], "default")) {
            reply_error(r, 400, "the tag 'default' cannot be removed");
            return;
        }
    templates_lock();
    t = template_named(name, NULL);
    for (size_t i = 0; t && i < tags->count; i++)
        remove_tag(t, tags->names[i]);
    if (t)
        write_down(r, t);
    templates_unlock();
    if (t)
        reply_empty(r, 204);
    else
        api_template_missing(r, name);
}

void api_tags_delete(req *r)
{
    tag_list tags = { .count = 0 };
    char name[400];
    jtree t;

    if (!api_body(r, &t, false))
        return;
    normal(jtext(jget(t.root, "name", NULL)) ? jtext(jget(t.root, "name", NULL)) : "", name,
           sizeof name);
    if (!*name || strchr(name, ':'))
        reply_error(r, 400, "validation error: 'name' must be a name without a tag");
    else if (read_tags(r, jget(t.root, "tags", NULL), &tags) && tags.count == 0)
        reply_error(r, 400, "validation error: 'tags' is empty");
    else if (!r->replied)
        unassign(r, name, &tags);
    tags_free(&tags);
    jtree_free(&t);
}

void api_tags(req *r)
{
    sbx_json_writer w;
    text out = { 0 };
    template *t;

    templates_lock();
    t = template_named(r->segments[1], NULL);
    sbx_json_writer_init(&w, text_sink(&out));
    sbx_json_begin_array(&w);
    for (const tag *g = t ? t->tags : NULL; g; g = g->next) {
        sbx_json_begin_object(&w);
        json_str(&w, "buildID", g->build);
        api_time(&w, "createdAt", g->at_ms);
        json_str(&w, "tag", g->name);
        sbx_json_end_object(&w);
    }
    sbx_json_end_array(&w);
    templates_unlock();
    if (t) {
        reply_text(r, 200, JSON_TYPE, &out);
    } else {
        text_free(&out);
        api_template_missing(r, r->segments[1]);
    }
}

/* ---- change and end ---- */
void api_template_update(req *r)
{
    const char *given = r->segments[!strcmp(r->segments[0], "v2") ? 2 : 1];
    sbx_json_writer w;
    text out = { 0 };
    template *t;
    jtree body;
    int public;

    if (!api_body(r, &body, false))
        return;
    public = api_bool(r, body.root, "public");
    jtree_free(&body);
    if (public == -2)
        return;
    templates_lock();
    t = template_named(given, NULL);
    if (t) {
        if (public >= 0)
            t->public = public == 1;
        t->updated_ms = unix_ms();
        write_down(r, t);
        sbx_json_writer_init(&w, text_sink(&out));
        sbx_json_begin_object(&w);
        write_names(&w, "names", t);
        sbx_json_end_object(&w);
    }
    templates_unlock();
    if (t)
        reply_text(r, 200, JSON_TYPE, &out);
    else
        api_template_missing(r, given);
}

/* A template, or a snapshot, which is one to E2B. */
void api_template_delete(req *r)
{
    const char *given = r->segments[1];
    bool found, gone = false;
    char shown[200];
    template *t;

    if (api_image(given)) {
        reply_error(r, 400, "cannot delete an image of this host");
        return;
    }
    templates_lock();
    t = strchr(given, ':') ? NULL : template_named(given, NULL);
    found = t != NULL;
    if (t)
        gone = template_delete(t);
    templates_unlock();
    lossy_utf8(shown, sizeof shown, given);
    if (!found) {
        api_snapshot_delete(r);
    } else if (gone) {
        layers_sweep();
        reply_empty(r, 204);
    } else {
        reply_error(r, 400, "cannot delete template '%s' because there are sandboxes using it",
                    shown);
    }
}
