/* sandboxd: E2B's endpoints for one build of a template: files, start, status, logs. */
#include "api_e2b.h"
#include "template.h"

#define PAGE 100
#define REASON_LINES 10

static char secret[65];         /* of upload URLs, of this run */
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void make_secret(void)
{
    random_hex(secret, 32);
}

/* ---- files ---- */
static bool valid_hash(const char *s)
{
    return strlen(s) == 64 && !s[strspn(s, "0123456789abcdef")];
}

static void sign(char out[65], const char *id, const char *hash, const char *expires)
{
    const char *parts[5];
    unsigned char sum[32];
    sbx_sha256 s;

    pthread_once(&secret_once, make_secret);
    parts[0] = parts[4] = secret;
    parts[1] = id;
    parts[2] = hash;
    parts[3] = expires;
    sbx_sha256_init(&s);
    for (int i = 0; i < 5; i++)
        sbx_sha256_add(&s, parts[i], strlen(parts[i]) + 1);
    sbx_sha256_end(&s, sum);
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", sum[i]);
}

/* Where the client found this host. */
static void upload_url(req *r, const char *id, const char *hash, text *out)
{
    const char *host = req_header(r, "Host");
    char expires[24], signature[65], own[100];

    snprintf(expires, sizeof expires, "%lld", (long long)(unix_ms() / 1000 + WAIT_S));
    sign(signature, id, hash, expires);
    snprintf(own, sizeof own, "%s:%d", conf.bind, conf.port);
    if (!host || host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789-._:[]")])
        host = own;
    text_fmt(out, "http%s://%s/upload/%s/%s?expires=%s&signature=%s", conf.tls_cert ? "s" : "",
             host, id, hash, expires, signature);
    text_add(out, "", 1);
}

/* False after a reply. */
static bool refer(req *r, const char *given, const char *hash, char id[24])
{
    bool fits = false;
    template *t;

    templates_lock();
    t = template_named(given, NULL);
    if (t) {
        memcpy(id, t->id, sizeof t->id);
        fits = template_name_file(t, hash);
    }
    templates_unlock();
    if (!t)
        api_template_missing(r, given);
    else if (!fits)
        reply_error(r, 429, "template '%s' has %d uploads of the last %d s, its limit", id,
                    MAX_FILES, WAIT_S);
    return fits;
}

void api_files(req *r)
{
    const char *hash = r->segments[3];
    sbx_json_writer w;
    text out = { 0 }, url = { 0 };
    char id[24];

    if (!valid_hash(hash)) {
        reply_error(r, 400, "Invalid files hash");
        return;
    }
    if (!refer(r, r->segments[1], hash, id))
        return;
    upload_url(r, id, hash, &url);
    sbx_json_writer_init(&w, text_sink(&out));
    sbx_json_begin_object(&w);
    sbx_json_key(&w, "present");
    sbx_json_bool(&w, upload_there(hash));
    json_str(&w, "url", url.p);
    sbx_json_end_object(&w);
    text_free(&url);
    reply_text(r, 201, JSON_TYPE, &out);
}

typedef struct upload { upload_part part; uint64_t length, got; } upload;

static void upload_free(req *r)
{
    upload *u = r->state;

    if (!u)
        return;
    upload_abort(&u->part);
    free(u);
    r->state = NULL;
}

static bool url_ok(req *r)
{
    bool bad = false;
    const char *expires = req_query(r, "expires", &bad), *given = req_query(r, "signature", &bad);
    char want[65];

    if (bad || !expires || !given || !valid_hash(r->segments[2])) {
        reply_error(r, 403, "this is not an upload URL of this host");
        return false;
    }
    sign(want, r->segments[1], r->segments[2], expires);
    if (!same_secret(given, want)) {
        reply_error(r, 403, "the signature of the upload URL is wrong");
        return false;
    }
    if (req_number(expires, 15) < unix_ms() / 1000) {
        reply_error(r, 403, "the upload URL has expired");
        return false;
    }
    return true;
}

bool api_upload_begin(req *r)
{
    const char *length = req_header(r, "Content-Length");
    int64_t bytes = length ? req_number(length, 15) : -1;
    upload *u;
    int result;

    if (!url_ok(r))
        return false;
    if (bytes < 0) {
        reply_error(r, 411, "an upload needs a Content-Length");
        return false;
    }
    u = xalloc(sizeof *u);
    u->length = (uint64_t)bytes;
    r->state = u;
    r->state_free = upload_free;
    result = upload_begin(&u->part, bytes);
    if (result == -EDQUOT)
        reply_error(r, 507, "templates would need more than %d MiB (--templates-mib): delete some",
                    conf.templates_mib);
    else if (result != 0)
        reply_error(r, 500, "no room for the upload: %s", strerror(-result));
    return result == 0;
}

void api_upload_data(req *r, const char *p, size_t n)
{
    upload *u = r->state;

    u->got += n;
    if (write_all(u->part.fd, p, n) != 0)
        reply_error(r, 507, "no room for the upload: %s", strerror(errno));
}

void api_upload_end(req *r)
{
    upload *u = r->state;
    char id[24];
    int result;

    if (u->got != u->length) {
        reply_error(r, 400, "the body has %llu bytes, not the %llu announced",
                    (unsigned long long)u->got, (unsigned long long)u->length);
    } else if (refer(r, r->segments[1], r->segments[2], id)) {
        result = upload_commit(&u->part, r->segments[2]);
        if (result == 0)
            reply_empty(r, 200);
        else
            reply_error(r, 500, "the upload cannot be kept: %s", strerror(-result));
    }
    upload_free(r);
}

/* ---- start ---- */
/* What is wrong with a step, or NULL. */
static const char *check_step(const build_step *s)
{
    const char *mode = s->count > 3 ? s->args[3] : "";

    switch (s->type) {
    case STEP_COPY:
        if (s->count < 2 || s->count > 4 || !*s->args[0] || !*s->args[1])
            return "COPY needs a source and a destination";
        if (strlen(s->args[0]) > 2000 || strlen(s->args[1]) > 2000)
            return "a path of COPY is longer than 2000 bytes";
        if (!s->hash[0])
            return "COPY needs its filesHash";
        return strlen(mode) > 4 || mode[strspn(mode, "01234567")]
               ? "the mode of COPY must be octal, as 0755" : NULL;
    case STEP_RUN:
        return s->count < 1 || s->count > 2 || !*s->args[0] ? "RUN needs a command" : NULL;
    case STEP_ENV:
        for (size_t i = 0; i < s->count; i += 2)
            if (!*s->args[i] || strchr(s->args[i], '='))
                return "a name of ENV is empty or holds '='";
        return s->count < 2 || s->count % 2 ? "ENV needs pairs of names and values" : NULL;
    case STEP_WORKDIR:
        return s->count != 1 || !*s->args[0] ? "WORKDIR needs one path" : NULL;
    case STEP_USER:
        return s->count != 1 || !valid_user(s->args[0]) ? "USER needs one name" : NULL;
    }
    return NULL;
}

/* NULL, or what is wrong. */
static const char *read_step(const jnode *n, build_step *s)
{
    static const struct { const char *name; step_type type; } types[] = {
        { "COPY", STEP_COPY }, { "ADD", STEP_COPY }, { "RUN", STEP_RUN }, { "ENV", STEP_ENV },
        { "ARG", STEP_ENV }, { "WORKDIR", STEP_WORKDIR }, { "USER", STEP_USER } };
    const char *type = jtext(jget(n, "type", NULL)), *hash = jtext(jget(n, "filesHash", NULL));
    const jnode *args = jget(n, "args", NULL), *force = jget(n, "force", NULL);
    size_t i = 0, count = 0;

    while (type && i < sizeof types / sizeof *types && strcmp(types[i].name, type))
        i++;
    if (!type || i == sizeof types / sizeof *types)
        return "its type must be one of COPY, ADD, RUN, ENV, ARG, WORKDIR, USER";
    if ((args && args->type != J_ARRAY) || (force && force->type != J_BOOL))
        return "'args' must be a list of strings, 'force' true or false";
    for (const jnode *a = args ? args->first : NULL; a; a = a->next)
        count++;
    s->type = types[i].type;
    s->force = force && force->num;
    s->args = xalloc(sizeof *s->args * (count + 1));
    for (const jnode *a = args ? args->first : NULL; a; a = a->next) {
        if (!jtext(a))
            return "'args' must be a list of strings";
        s->args[s->count++] = xstrdup(jtext(a));
    }
    if (hash && !valid_hash(hash))
        return "Invalid files hash";
    snprintf(s->hash, sizeof s->hash, "%s", hash ? hash : "");
    return check_step(s);
}

static bool read_steps(req *r, const jnode *list, build *o)
{
    const char *wrong;
    size_t count = 0;

    for (const jnode *n = list ? list->first : NULL; n; n = n->next)
        count++;
    if ((list && list->type != J_ARRAY) || count > MAX_STEPS) {
        reply_error(r, 400, "validation error: 'steps' must be a list of at most %d", MAX_STEPS);
        return false;
    }
    o->steps = xalloc(sizeof *o->steps * (count + 1));
    for (const jnode *n = list ? list->first : NULL; n; n = n->next) {
        wrong = read_step(n, &o->steps[o->step_count++]);
        if (wrong) {
            reply_error(r, 400, "validation error: step %zu: %s", o->step_count, wrong);
            return false;
        }
    }
    return true;
}

/* True: absent, or a string without NUL. */
static bool read_text(req *r, const jnode *body, const char *key, char **out)
{
    const jnode *n = jget(body, key, NULL);

    if (n && (!jtext(n) || strlen(jtext(n)) > 32768)) {
        reply_error(r, 400, "validation error: '%s' must be a string", key);
        return false;
    }
    *out = n && *jtext(n) ? xstrdup(jtext(n)) : NULL;
    return true;
}

static bool read_orders(req *r, const jnode *body, build *o)
{
    int force = api_bool(r, body, "force");

    o->force = force == 1;
    if (force == -2 || !read_text(r, body, "fromImage", &o->from_image) ||
        !read_text(r, body, "fromTemplate", &o->from_template) ||
        !read_text(r, body, "startCmd", &o->start) || !read_text(r, body, "readyCmd", &o->ready) ||
        !read_steps(r, jget(body, "steps", NULL), o))
        return false;
    if (!o->from_image == !o->from_template) {
        reply_error(r, 400, "validation error: exactly one of 'fromImage' and 'fromTemplate' is "
                    "needed");
        return false;
    }
    return true;
}

/* Nothing is fetched here, so credentials are of no use; nor do they stay in memory. */
static void forget_credentials(req *r, const jnode *body)
{
    const jnode *registry = jget(body, "fromImageRegistry", NULL);

    if (!registry)
        return;
    for (const jnode *n = registry->first; n; n = n->next)
        if (n->str)
            explicit_bzero(n->str, n->len);
    explicit_bzero(r->body.p, r->body.len);
}

static void build_missing(req *r, const char *id)
{
    char shown[200];

    lossy_utf8(shown, sizeof shown, id);
    reply_error(r, 404, "Build '%s' not found", shown);
}

/* Takes over the orders if it starts. The status, 0: no such template. */
static unsigned start(const char *id, const char *build_id, build *o)
{
    unsigned status = 202;
    template *t;
    build *b;

    templates_lock();
    t = template_named(id, NULL);
    b = t ? template_build(t, build_id) : NULL;
    if (!b) {
        status = t ? 404 : 0;
    } else if (b->state != BUILD_WAITING) {
        status = 400;
    } else if (!build_may_start()) {
        status = 429;
    } else {
        b->from_image = o->from_image;
        b->from_template = o->from_template;
        b->start = o->start;
        b->ready = o->ready;
        b->force = o->force;
        b->steps = o->steps;
        b->step_count = o->step_count;
        memset(o, 0, sizeof *o);
        build_enter(b);
        if (!build_start(b)) {
            build_leave(b);
            status = 503;
        }
    }
    templates_unlock();
    return status;
}

void api_build_start(req *r)
{
    const char *id = r->segments[2], *build_id = r->segments[4];
    build o = { .step_count = 0 }; /* only what one is told to do */
    unsigned status;
    jtree t;

    if (!api_body(r, &t, false))
        return;
    forget_credentials(r, t.root);
    if (read_orders(r, t.root, &o)) {
        status = start(id, build_id, &o);
        if (status == 202)
            reply_empty(r, 202);
        else if (status == 0)
            api_template_missing(r, id);
        else if (status == 404)
            build_missing(r, build_id);
        else
            reply_error(r, status, status == 400 ? "build is not in waiting state"
                        : status == 429 ? "this host runs %d builds already, its limit"
                        : "no thread for the build", MAX_BUILDS);
    }
    orders_free(&o);
    jtree_free(&t);
}

/* ---- status and logs ---- */
static void entry_json(sbx_json_writer *w, const log_entry *e)
{
    sbx_json_begin_object(w);
    json_str(w, "level", log_levels[e->level]);
    json_str(w, "message", e->message);
    if (e->step[0])
        json_str(w, "step", e->step);
    api_time(w, "timestamp", e->at_ms);
    sbx_json_end_object(w);
}

static void reason_json(sbx_json_writer *w, const build *b)
{
    size_t first = b->log_count, lines = 0;

    while (first > 0 && lines < REASON_LINES && !strcmp(b->log[first - 1].step, b->reason_step)) {
        first--;
        lines++;
    }
    sbx_json_key(w, "reason");
    sbx_json_begin_object(w);
    sbx_json_key(w, "logEntries");
    sbx_json_begin_array(w);
    for (size_t i = first; i < b->log_count; i++)
        entry_json(w, &b->log[i]);
    sbx_json_end_array(w);
    json_str(w, "message", b->reason);
    if (b->reason_step[0])
        json_str(w, "step", b->reason_step);
    sbx_json_end_object(w);
}

/* debug if absent; -1 after a reply. */
static int read_level(req *r)
{
    bool bad = false;
    const char *given = req_query(r, "level", &bad);
    int level = given && *given ? log_level_of(given) : LOG_DEBUG;

    if (level < 0)
        reply_error(r, 400, "validation error: 'level' must be debug, info, warn or error");
    return level;
}

/* -1 after a reply. */
static int64_t read_number(req *r, const char *name, int64_t otherwise)
{
    bool bad = false;
    const char *given = req_query(r, name, &bad);
    int64_t n = given && *given ? req_number(given, 15) : otherwise;

    if (n < 0 || bad) {
        reply_error(r, 400, "validation error: '%s' must be a whole number", name);
        return -1;
    }
    return n;
}

static void status_json(sbx_json_writer *w, const build *b, int level, int64_t offset,
                        int64_t limit)
{
    size_t first = b->log_count, last = b->log_count;
    int64_t seen = 0;

    for (size_t i = 0; i < b->log_count; i++) {
        if ((int)b->log[i].level < level)
            continue;
        if (seen == offset)
            first = i;
        if (seen == offset + limit) {
            last = i;
            break;
        }
        seen++;
    }
    sbx_json_begin_object(w);
    json_str(w, "buildID", b->id);
    sbx_json_key(w, "logEntries");
    sbx_json_begin_array(w);
    for (size_t i = first; i < last; i++)
        if ((int)b->log[i].level >= level)
            entry_json(w, &b->log[i]);
    sbx_json_end_array(w);
    sbx_json_key(w, "logs");
    sbx_json_begin_array(w);
    for (size_t i = first; i < last; i++)
        if ((int)b->log[i].level >= level)
            json_str(w, NULL, b->log[i].message);
    sbx_json_end_array(w);
    if (b->reason && b->state == BUILD_ERROR)
        reason_json(w, b);
    json_str(w, "status", build_states[b->state]);
    json_str(w, "templateID", b->t->id);
    sbx_json_end_object(w);
}

void api_build_status(req *r)
{
    int64_t offset = read_number(r, "logsOffset", 0), limit = read_number(r, "limit", PAGE);
    int level = read_level(r);
    sbx_json_writer w;
    text out = { 0 };
    template *t;
    build *b;

    if (offset < 0 || limit < 0 || level < 0)
        return;
    templates_lock();
    t = template_named(r->segments[1], NULL);
    b = t ? template_build(t, r->segments[3]) : NULL;
    sbx_json_writer_init(&w, text_sink(&out));
    if (b)
        status_json(&w, b, level, offset, limit > PAGE ? PAGE : limit);
    templates_unlock();
    if (b)
        reply_text(r, 200, JSON_TYPE, &out);
    else if (t)
        build_missing(r, r->segments[3]);
    else
        api_template_missing(r, r->segments[1]);
}

static void logs_json(sbx_json_writer *w, const build *b, int level, bool backward, int64_t cursor,
                      int64_t limit)
{
    sbx_json_begin_object(w);
    sbx_json_key(w, "logs");
    sbx_json_begin_array(w);
    for (size_t k = 0; k < b->log_count && limit > 0; k++) {
        const log_entry *e = &b->log[backward ? b->log_count - 1 - k : k];

        if ((int)e->level < level || (backward ? e->at_ms > cursor : e->at_ms < cursor))
            continue;
        entry_json(w, e);
        limit--;
    }
    sbx_json_end_array(w);
    sbx_json_end_object(w);
}

void api_build_logs(req *r)
{
    bool bad = false, backward;
    const char *direction = req_query(r, "direction", &bad);
    const char *source = req_query(r, "source", &bad);
    int64_t cursor, limit = read_number(r, "limit", PAGE);
    int level = read_level(r);
    sbx_json_writer w;
    text out = { 0 };
    template *t;
    build *b;

    backward = direction && !strcmp(direction, "backward");
    if ((direction && *direction && !backward && strcmp(direction, "forward")) ||
        (source && *source && strcmp(source, "temporary") && strcmp(source, "persistent"))) {
        reply_error(r, 400, "validation error: 'direction' must be forward or backward, 'source' "
                    "temporary or persistent");
        return;
    }
    cursor = read_number(r, "cursor", backward ? INT64_MAX / 1000000 : 0);
    if (limit < 0 || cursor < 0 || level < 0)
        return;
    templates_lock();
    t = template_named(r->segments[1], NULL);
    b = t ? template_build(t, r->segments[3]) : NULL;
    sbx_json_writer_init(&w, text_sink(&out));
    if (b)
        logs_json(&w, b, level, backward, cursor, limit > PAGE ? PAGE : limit);
    templates_unlock();
    if (b)
        reply_text(r, 200, JSON_TYPE, &out);
    else if (t)
        build_missing(r, r->segments[3]);
    else
        api_template_missing(r, r->segments[1]);
}
