/* The Big List of Naughty Strings (tests/data/blns.json) as ids, names, paths, queries,
   headers, environments and commands: what a peer in memory receives is written down,
   and tests/unit/blns_check.py, which parses with nothing of ours, compares it with the
   list. A string is refused before anything is sent, or it arrives untouched. Runs from
   the repository's root. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include "op_rig.h"
#include <sys/wait.h>
#include <unistd.h>

/* ---- the strings ---------------------------------------------------------- */

static char *strings[600];
static size_t string_count;
static ptext now;

static int on_event(void *ctx, const sbx_json_event *ev)
{
    (void)ctx;
    if (ev->type != SBX_JSON_STRING) return SBX_OK;
    pt_add(&now, ev->text, ev->len);
    if (ev->flags & SBX_JSON_MORE) return SBX_OK;
    if (string_count == SBXI_LEN(strings) || strlen(now.p) != now.len) return SBX_E_TOO_LARGE;
    strings[string_count++] = now.p;
    memset(&now, 0, sizeof now);
    return SBX_OK;
}

/* The last one is harmless: what its requests have besides it, all others have too. */
static bool load_strings(void)
{
    static char text[65536];
    sbx_json_reader r;
    FILE *f = fopen("tests/data/blns.json", "rb");
    size_t n;
    if (!f) return false;
    n = fread(text, 1, sizeof text, f);
    fclose(f);
    sbx_json_init(&r, on_event, NULL);
    if (sbx_json_feed(&r, text, n, NULL) != SBX_OK || sbx_json_end(&r) != SBX_OK) return false;
    pt_put(&now, "plain");
    strings[string_count++] = now.p;
    return string_count == 516;
}

/* ---- where they go -------------------------------------------------------- */

static int nothing(void *ctx, const sbx_file_info *info)
{
    (void)ctx;
    (void)info;
    return SBX_OK;
}

static int do_create(rig *r, const char *s)
{
    sbx_sandbox_options o;
    sbx_sandbox *made = NULL;
    sbx_pair meta[2], env[1];
    int rc;
    memset(&o, 0, sizeof o);
    meta[0].key = "value";
    meta[0].value = meta[1].key = s;
    meta[1].value = "key";
    env[0].key = "VALUE";
    env[0].value = s;
    o.template_id = s;
    o.metadata.items = meta;
    o.metadata.count = 2;
    o.envs.items = env;
    o.envs.count = 1;
    rc = sbx_sandbox_create(r->c, &o, &made, NULL);
    sbx_sandbox_release(made);
    return rc;
}

static int do_run(rig *r, const char *s)
{
    sbx_command_options o;
    sbx_pair env[1];
    memset(&o, 0, sizeof o);
    env[0].key = "VALUE";
    env[0].value = s;
    o.envs.items = env;
    o.envs.count = 1;
    o.cwd = o.tag = s;
    return sbx_command_run(r->s, s, &o, NULL, NULL);
}

static int do_user(rig *r, const char *s)
{
    sbx_command_options o;
    memset(&o, 0, sizeof o);
    o.user = s;
    return sbx_command_run(r->s, "true", &o, NULL, NULL);
}

static int do_list(rig *r, const char *s)
{
    sbx_sandbox_query q;
    sbx_pair meta[1];
    memset(&q, 0, sizeof q);
    meta[0].key = meta[0].value = s;
    q.metadata.items = meta;
    q.metadata.count = 1;
    return sbx_sandbox_list(r->c, &q, NULL, no_sandbox, NULL, NULL);
}

static int do_headers(rig *r, const char *s)
{
    (void)s; /* they are in the configuration */
    return sbx_sandbox_list(r->c, NULL, NULL, no_sandbox, NULL, NULL);
}

static int do_call_key(rig *r, const char *s)
{
    sbx_call call;
    memset(&call, 0, sizeof call);
    call.api_key = s;
    return sbx_sandbox_list(r->c, NULL, NULL, no_sandbox, NULL, &call);
}

/* With the string as id, for one call. */
static int with_id(rig *r, const char *s, bool kill)
{
    sbx_sandbox_access a;
    sbx_sandbox *other;
    bool is;
    int rc;
    memset(&a, 0, sizeof a);
    a.daemon_version = "0.6.4";
    a.access_token = kill ? "tok" : s;
    rc = sbx_sandbox_attach(r->c, kill ? s : "box1", &a, &other);
    if (rc != SBX_OK) return rc;
    rc = kill ? sbx_sandbox_kill(other, &is, NULL) : sbx_sandbox_is_running(other, &is, NULL);
    if (rc == SBX_OK && kill) rc = sbx_sandbox_is_running(other, &is, NULL);
    sbx_sandbox_release(other);
    return rc;
}

static int do_id(rig *r, const char *s) { return with_id(r, s, true); }
static int do_token(rig *r, const char *s) { return with_id(r, s, false); }

static int do_read(rig *r, const char *s)
{
    sbx_files_options o;
    sbx_sink drop = { NULL, NULL };
    memset(&o, 0, sizeof o);
    o.user = s;
    return sbx_files_read(r->s, s, &o, drop, NULL);
}

static int do_write(rig *r, const char *s)
{
    return sbx_files_write_bytes(r->s, s, s, strlen(s), NULL, NULL, NULL);
}

static int do_many(rig *r, const char *s)
{
    well a = { .data = s, .len = strlen(s) }, b = { .data = "b", .len = 1 };
    sbx_file_write files[2];
    files[0].path = s;
    files[0].from = well_source(&a, (int64_t)a.len, true);
    files[1].path = "other";
    files[1].from = well_source(&b, 1, true);
    return sbx_files_write_many(r->s, files, 2, NULL, nothing, NULL, NULL);
}

static int do_rename(rig *r, const char *s)
{
    return sbx_files_rename(r->s, s, s, NULL, NULL, NULL);
}

#define JSON_TYPE "Content-Type: application/json\r\n"
#define STREAM_TYPE "Content-Type: application/connect+json\r\n"
#define RENAMED "{\"entry\":{\"name\":\"f\",\"path\":\"/f\",\"type\":\"FILE_TYPE_FILE\"}}"

static const struct { const char *kind; int (*run)(rig *, const char *); turn reply; } kinds[] = {
    { "create", do_create, { 0, 201, JSON_TYPE, CREATED, .always = true } },
    { "run", do_run, { 0, 200, STREAM_TYPE, .always = true } },
    { "user", do_user, { 0, 200, STREAM_TYPE, .always = true } },
    { "list", do_list, { 0, 200, JSON_TYPE, "[]", .always = true } },
    { "header", do_headers, { 0, 200, JSON_TYPE, "[]", .always = true } },
    { "agent", do_headers, { 0, 200, JSON_TYPE, "[]", .always = true } },
    { "key", do_headers, { 0, 200, JSON_TYPE, "[]", .always = true } },
    { "callkey", do_call_key, { 0, 200, JSON_TYPE, "[]", .always = true } },
    { "token", do_token, { 0, 204, .always = true } },
    { "id", do_id, { 0, 204, .always = true } },
    { "read", do_read, { 0, 200, .always = true } },
    { "write", do_write, { 0, 200, JSON_TYPE, WRITTEN, .always = true } },
    { "many", do_many, { 0, 200, JSON_TYPE, WRITTEN, .always = true } },
    { "rename", do_rename, { 0, 200, JSON_TYPE, RENAMED, .always = true } }
};

/* ---- running them --------------------------------------------------------- */

static void put_hex(FILE *f, const char *p, size_t n)
{
    fputs(n ? " " : " -", f);
    while (n--) fprintf(f, "%02x", (unsigned char)*p++);
}

/* "kind index status {head body}..." as hexadecimal digits. */
static void write_down(FILE *f, size_t kind, size_t i, int rc, const peer *p)
{
    size_t k;
    fprintf(f, "%s %u %s", kinds[kind].kind, (unsigned)i, sbx_status_name(rc));
    for (k = 0; k < p->requests; k++) {
        put_hex(f, p->request[k].head, strlen(p->request[k].head));
        put_hex(f, p->request[k].body.p, p->request[k].body.len);
    }
    fputc('\n', f);
}

static void run_one(FILE *f, size_t kind, size_t i, const ptext *stream)
{
    static peer none;
    const char *s = strings[i], *name = kinds[kind].kind;
    turn turns[1];
    sbx_pair pair;
    rig r;
    int rc;
    turns[0] = kinds[kind].reply;
    if (strcmp(turns[0].headers ? turns[0].headers : "", STREAM_TYPE) == 0) {
        turns[0].body = stream->p;
        turns[0].body_len = stream->len;
    }
    rig_start(&r);
    SCRIPT(r.p, turns);
    turns[0].used = 1; /* refused ones leave it alone */
    if (strcmp(name, "header") == 0) {
        pair.key = "X-Naughty";
        pair.value = s;
        r.g.headers.items = &pair;
        r.g.headers.count = 1;
    }
    if (strcmp(name, "agent") == 0) r.g.user_agent = s;
    if (strcmp(name, "key") == 0) r.g.api_key = s;
    rc = sbx_open(&r.c, &r.g);
    if (rc != SBX_OK) {
        write_down(f, kind, i, rc, &none);
        peer_free(r.p);
        return;
    }
    sbx_close(r.c);
    rig_open(&r);
    rc = kinds[kind].run(&r, s);
    write_down(f, kind, i, rc, r.p);
    rig_end(&r);
}

TEST(blns_requests)
{
    char path[] = "/tmp/sbx-blns-XXXXXX", command[100];
    const char *outs[] = { "x" };
    ptext stream = { 0 };
    size_t kind, i;
    int fd = mkstemp(path), status;
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    REQUIRE(f != NULL);
    REQUIRE(load_strings());
    stream_of(&stream, outs, 1);
    for (kind = 0; kind < SBXI_LEN(kinds); kind++)
        for (i = 0; i < string_count; i++) run_one(f, kind, i, &stream);
    pt_free(&stream);
    CHECK(fclose(f) == 0);
    snprintf(command, sizeof command, "python3 tests/unit/blns_check.py %s", path);
    status = system(command);
    CHECK_INT(WEXITSTATUS(status), 0);
    remove(path);
    for (i = 0; i < string_count; i++) free(strings[i]);
}
