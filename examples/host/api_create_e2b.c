/* sandboxd: creation of sandboxes, and the memory of idempotency keys. */
#include "api_e2b.h"
#include "template.h"

#define DEFAULT_LIFE_S 300
#define DEFAULT_LIFE_OLD_S 15
#define KEYS_MAX 1000
#define KEY_LIFE_MS (24ll * 3600 * 1000)

/* ---- idempotency ---- */
typedef struct remembered {
    char key[256];
    unsigned char hash[32];     /* of the request body */
    text answer;                /* empty: still being made */
    int64_t until;
    struct remembered *next;
} remembered;

static pthread_mutex_t keys_lock = PTHREAD_MUTEX_INITIALIZER;
static remembered *keys;
static int key_count;

static void hash_body(const req *r, unsigned char out[32])
{
    sbx_sha256 s;

    sbx_sha256_init(&s);
    sbx_sha256_add(&s, r->body.p ? r->body.p : "", r->body.len);
    sbx_sha256_end(&s, out);
}

/* Under lock: drops what is too old, or the oldest finished one if there are many. */
static void forget_old(void)
{
    int64_t now = mono_ms();
    remembered **at = &keys, **last_done = NULL, *gone;

    while (*at) {
        if ((*at)->answer.len && now >= (*at)->until) {
            gone = *at;
            *at = gone->next;
            text_free(&gone->answer);
            free(gone);
            key_count--;
            continue;
        }
        if ((*at)->answer.len)
            last_done = at;
        at = &(*at)->next;
    }
    if (key_count >= KEYS_MAX && last_done) {
        gone = *last_done;
        *last_done = gone->next;
        text_free(&gone->answer);
        free(gone);
        key_count--;
    }
}

/* True: go on and create. False: replied. */
static bool key_begin(req *r, const char *key)
{
    unsigned char hash[32];
    remembered *k;
    text copy = { 0 };

    if (!*key || strlen(key) > 255 ||
        key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-")]) {
        reply_error(r, 400, "validation error: Idempotency-Key must be 1 to 255 of [a-z0-9-]");
        return false;
    }
    hash_body(r, hash);
    pthread_mutex_lock(&keys_lock);
    forget_old();
    for (k = keys; k && strcmp(k->key, key); k = k->next)
        ;
    if (!k) {
        k = xalloc(sizeof *k);
        snprintf(k->key, sizeof k->key, "%s", key);
        memcpy(k->hash, hash, sizeof hash);
        k->next = keys;
        keys = k;
        key_count++;
        pthread_mutex_unlock(&keys_lock);
        return true;
    }
    if (memcmp(k->hash, hash, sizeof hash))
        reply_error_code(r, 422, "idempotency_request_mismatch",
                         "the Idempotency-Key was used with another request body");
    else if (!k->answer.len)
        reply_error_code(r, 409, "idempotency_in_progress",
                         "a request with this Idempotency-Key is still in progress");
    else
        text_add(&copy, k->answer.p, k->answer.len);
    pthread_mutex_unlock(&keys_lock);
    if (copy.len)
        reply_text(r, 201, JSON_TYPE, &copy);
    return false;
}

/* answer NULL: it failed, the key may be used again. */
static void key_end(const char *key, const text *answer)
{
    remembered **at, *gone = NULL;

    pthread_mutex_lock(&keys_lock);
    for (at = &keys; *at && strcmp((*at)->key, key); at = &(*at)->next)
        ;
    if (*at && answer) {
        text_add(&(*at)->answer, answer->p, answer->len);
        (*at)->until = mono_ms() + KEY_LIFE_MS;
    } else if (*at) {
        gone = *at;
        *at = gone->next;
        key_count--;
    }
    pthread_mutex_unlock(&keys_lock);
    free(gone);
}

void idempotency_free(void)
{
    while (keys) {
        remembered *k = keys;

        keys = k->next;
        text_free(&k->answer);
        free(k);
    }
}

/* ---- the request ---- */

/* id, alias, team/alias, each perhaps with a tag, of which there is one. */
const image *api_image(const char *name)
{
    char plain[256];
    const char *slash = strrchr(name, '/');
    char *colon;

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < conf.image_count; i++)
            if (!strcmp(name, conf.images[i].name) || !strcmp(name, conf.images[i].template_id))
                return &conf.images[i];
        if (round > 0)
            break;
        snprintf(plain, sizeof plain, "%s", slash ? slash + 1 : name);
        colon = strrchr(plain, ':');
        if (colon && (!strcmp(colon, ":default") || !strcmp(colon, ":latest")))
            *colon = '\0';
        name = plain;
    }
    return NULL;
}

static void unknown_template(req *r, const char *name)
{
    text known = { 0 };
    char shown[300];

    for (int i = 0; i < conf.image_count; i++)
        text_fmt(&known, "%s%s", i ? ", " : "", conf.images[i].name);
    lossy_utf8(shown, sizeof shown, name);
    reply_error(r, 404, "template '%s' not found; this host has: %s", shown, known.p);
    text_free(&known);
}

static bool string_map(req *r, const jnode *body, const char *name, pair_list *out)
{
    const jnode *map = jget(body, name, NULL);

    if (map && map->type != J_OBJECT) {
        reply_error(r, 400, "validation error: '%s' must be an object of strings", name);
        return false;
    }
    for (const jnode *n = map ? map->first : NULL; n; n = n->next) {
        const char *value = jtext(n);

        if (!value || !n->key[0]) {
            reply_error(r, 400, "validation error: '%s' must be an object of strings", name);
            return false;
        }
        if (!strcmp(name, "envVars") && strchr(n->key, '=')) {
            reply_error(r, 400, "validation error: a name in 'envVars' holds '='");
            return false;
        }
        pairs_add(out, n->key, value);
    }
    return true;
}

/* 1 yes, 0 no, -1 absent, -2 replied. */
int api_bool(req *r, const jnode *body, const char *name)
{
    const jnode *n = jget(body, name, NULL);

    if (!n)
        return -1;
    if (n->type != J_BOOL) {
        reply_error(r, 400, "validation error: '%s' must be true or false", name);
        return -2;
    }
    return n->num != 0;
}

static bool all_traffic(const jnode *list)
{
    for (const jnode *n = list ? list->first : NULL; n; n = n->next)
        if (jtext(n) && !strcmp(jtext(n), "0.0.0.0/0"))
            return true;
    return false;
}

int api_network_rules(req *r, const jnode *rules)
{
    static const char *const unknown[] = { "dnsServers", "egressProxy", "rules", "httpsPorts" };
    const jnode *allow = jget(rules, "allowOut", NULL), *deny = jget(rules, "denyOut", NULL);

    if ((rules && rules->type != J_OBJECT) || (allow && allow->type != J_ARRAY) ||
        (deny && deny->type != J_ARRAY)) {
        reply_error(r, 400, "validation error: 'network' must be an object, its 'allowOut' and "
                    "'denyOut' lists");
        return -2;
    }
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        const jnode *n = jget(rules, unknown[i], NULL);

        if (n && n->first) {
            reply_error(r, 501, "not implemented by this host: '%s' of a network", unknown[i]);
            return -2;
        }
    }
    if ((allow && allow->first && !all_traffic(allow)) ||
        (deny && deny->first && !all_traffic(deny))) {
        reply_error(r, 501, "not implemented by this host: rules of a network other than for "
                    "0.0.0.0/0, all of it");
        return -2;
    }
    return all_traffic(allow) ? 1 : all_traffic(deny) ? 0 : -1;
}

/* Options that would change what the sandbox does, and that this host cannot do:
   better refused than left out silently. */
static bool only_what_is_offered(req *r, const jnode *body)
{
    static const char *const parts[] = { "mcp", "iam", "volumeMounts" };

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const jnode *n = jget(body, parts[i], NULL);

        if (n && n->first) {
            reply_error(r, 501, "not implemented by this host: '%s' of a sandbox", parts[i]);
            return false;
        }
    }
    return true;
}

/* What happens at its end, and what may come in and go out. */
static bool read_life(req *r, const jnode *body, box_options *o)
{
    const jnode *resume = jget(body, "autoResume", NULL), *net = jget(body, "network", NULL);
    int pause = api_bool(r, body, "autoPause"), memory = api_bool(r, body, "autoPauseMemory");
    int on = resume ? api_bool(r, resume, "enabled") : -1, rules = api_network_rules(r, net);
    int open = net ? api_bool(r, net, "allowPublicTraffic") : -1;

    if (pause == -2 || memory == -2 || on == -2 || open == -2 || rules == -2)
        return false;
    if (resume && resume->type != J_OBJECT) {
        reply_error(r, 400, "validation error: 'autoResume' must be an object");
        return false;
    }
    o->pause_at_end = pause == 1;
    o->no_pause_memory = memory == 0;
    o->auto_resume = on == 1;
    o->private_ports = open == 0;
    o->mask_host = jtext(jget(net, "maskRequestHost", NULL));
    if (o->mask_host && (strlen(o->mask_host) > 255 || o->mask_host[strcspn(o->mask_host, "\r\n")])) {
        reply_error(r, 400, "validation error: 'maskRequestHost' is no host name");
        return false;
    }
    o->internet = api_bool(r, body, "allow_internet_access");
    if (rules >= 0 && o->internet != 0)
        o->internet = rules;
    return o->internet != -2;
}

/* o->from gets a reference. */
static bool find_files(const char *name, box_options *o, snapshot *from)
{
    o->files = -1;
    o->im = api_image(name);
    if (o->im) {
        o->alias = o->im->name;
        return true;
    }
    if (template_find(name, from->id, from->name, &o->im, &o->from, NULL)) {
        o->template_id = from->id;
        o->alias = from->name;
        o->of_template = true;
        return true;
    }
    if (!snapshot_find(name, from))
        return false;
    o->from = from->from;
    if ((o->files = snapshot_open(from)) < 0)
        return false;
    o->im = from->im;
    o->template_id = from->id;
    o->alias = from->name;
    return true;
}

static bool read_options(req *r, const jnode *body, bool v2, box_options *o, pair_list *metadata,
                         pair_list *env, snapshot *from)
{
    const jnode *name = jget(body, "templateID", NULL);
    int64_t seconds = v2 ? DEFAULT_LIFE_S : DEFAULT_LIFE_OLD_S;
    int secure;

    if (!jtext(name)) {
        reply_error(r, 400, "validation error: 'templateID' must be a string");
        return false;
    }
    if (api_int(r, body, "timeout", INT32_MIN, INT32_MAX, &seconds) < 0)
        return false;
    if (seconds <= 0) {
        reply_error(r, 400, "Timeout must be greater than 0");
        return false;
    }
    if (seconds > MAX_LIFE_S) {
        reply_error(r, 400, "Timeout cannot be greater than %d hours", MAX_LIFE_S / 3600);
        return false;
    }
    o->timeout_ms = seconds * 1000;
    secure = api_bool(r, body, "secure");
    o->secure = v2 || secure != 0;
    if (secure == -2 || !only_what_is_offered(r, body) || !read_life(r, body, o))
        return false;
    if (o->internet == 0 && conf.rung == 3 && !rung3_can_cut_net()) {
        reply_error(r, 501, "not implemented by this host: allow_internet_access false");
        return false;
    }
    if (!string_map(r, body, "metadata", metadata) || !string_map(r, body, "envVars", env))
        return false;
    o->metadata = metadata;
    o->env = env;
    if (find_files(jtext(name), o, from))
        return true;
    unknown_template(r, jtext(name));
    return false;
}

void api_too_many(req *r)
{
    reply_error(r, 429, "this host runs %d sandboxes already, its limit (--max-sandboxes)",
                conf.max_sandboxes);
}

static void make(req *r, const box_options *o, const char *key)
{
    sbx_json_writer w;
    char why[300];
    text t = { 0 };
    box *b;
    int result = box_create(o, &b, why, sizeof why);

    if (result == -EAGAIN) {
        api_too_many(r);
    } else if (result != 0) {
        log_at(0, "a sandbox could not be made: %s", why);
        reply_error_code(r, 500, "sandbox_create_failed", why);
    }
    if (result != 0) {
        if (key)
            key_end(key, NULL);
        return;
    }
    memcpy(r->box_id, b->id, sizeof r->box_id);
    sbx_json_writer_init(&w, text_sink(&t));
    api_sandbox_json(&w, b);
    if (key)
        key_end(key, &t);
    reply_text(r, 201, JSON_TYPE, &t);
    box_unref(b);
}

static void create(req *r, bool v2)
{
    const char *key = v2 ? req_header(r, "Idempotency-Key") : NULL;
    pair_list metadata = { 0 }, env = { 0 };
    box_options o = { .internet = -1, .files = -1 };
    snapshot from;
    jtree t;

    if (!api_body(r, &t, false))
        return;
    if (read_options(r, t.root, v2, &o, &metadata, &env, &from) && (!key || key_begin(r, key)))
        make(r, &o, key);
    if (o.files >= 0)
        close(o.files);
    origin_unref(o.from);
    if (o.of_template)
        template_started(o.template_id);
    pairs_free(&metadata);
    pairs_free(&env);
    jtree_free(&t);
}

void api_create_v2(req *r)
{
    create(r, true);
}

void api_create_old(req *r)
{
    create(r, false);
}
