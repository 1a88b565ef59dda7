/* scenario.c - one story of a sandbox by the C client: a JSON line a step, with what
   the step gave. scenario.py tells the same story by the official SDK; compare.py
   wants the values equal. The host comes from the environment. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox.h"
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static sbx_json_writer w;
static sbx_client *client;
static sbx_sandbox *box;

/* ---- a line a step ---- */
static void begin(const char *step)
{
    sbx_json_writer_init(&w, sbx_sink_file(stdout));
    sbx_json_begin_object(&w);
    sbx_json_key(&w, "step");
    sbx_json_text(&w, step);
}

static void text(const char *key, const char *value)
{
    sbx_json_key(&w, key);
    if (value) sbx_json_text(&w, value);
    else sbx_json_null(&w);
}

static void bytes(const char *key, const char *value, size_t len)
{
    sbx_json_key(&w, key);
    sbx_json_string(&w, value ? value : "", len);
}

static void number(const char *key, int64_t value)
{
    sbx_json_key(&w, key);
    sbx_json_int(&w, value);
}

static void yes(const char *key, bool value)
{
    sbx_json_key(&w, key);
    sbx_json_bool(&w, value);
}

static void array(const char *key)
{
    sbx_json_key(&w, key);
    sbx_json_begin_array(&w);
}

static void pairs(const char *key, sbx_pairs p)
{
    sbx_json_key(&w, key);
    sbx_json_begin_object(&w);
    for (size_t i = 0; i < p.count; i++) text(p.items[i].key, p.items[i].value);
    sbx_json_end_object(&w);
}

/* Errors by words that both clients have; scenario.py has the same list. */
static int failed(int rc)
{
    static const struct { int status; const char *word; } words[] = {
        { SBX_E_NOT_FOUND, "not found" }, { SBX_E_KILLED, "timeout" },
        { SBX_E_TIMEOUT, "timeout" }, { SBX_E_AUTH, "auth" }, { SBX_E_ARG, "argument" },
        { SBX_E_REFUSED, "argument" }, { SBX_E_NOT_A_FILE, "argument" },
        { SBX_E_SANDBOX_GONE, "gone" },
    };
    const char *word = sbx_status_name(rc);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].status == rc) word = words[i].word;
    if (rc != SBX_OK) text("error", word);
    return rc;
}

static void end(void)
{
    sbx_json_end_object(&w);
    puts("");
    fflush(stdout);
}

static void snooze(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

/* ---- commands ---- */
static void result(const char *step, int rc, sbx_command_result *r)
{
    if (step) begin(step);
    if (failed(rc) == SBX_OK) {
        number("exit", r->exit_code);
        bytes("out", r->out, r->out_len);
        bytes("err", r->err, r->err_len);
        text("reason", r->exit_code ? r->reason : NULL);
    }
    if (step) end();
    sbx_free(r->out);
    sbx_free(r->err);
}

static void run(const char *step, const char *cmd, sbx_command_options o)
{
    sbx_command_result r = { 0 };
    o.capture_limit = 1 << 22;
    result(step, sbx_command_run(box, cmd, &o, &r, NULL), &r);
}

static void commands(void)
{
    static const sbx_pair envs[] = { { "A", "x 'y' \"z\"" } };
    sbx_command_options o = { 0 };
    sbx_command_result r = { 0 };
    sbx_sha256 s;
    unsigned char hash[32];
    run("run", "echo \"$G $A\"; echo err >&2", o);
    o.envs.items = envs, o.envs.count = 1;
    run("run envs", "echo \"$G $A\"", o);
    memset(&o, 0, sizeof o);
    run("run fails", "printf part; exit 7", o);
    run("run signal", "kill -9 $$", o);
    run("run utf-8", "printf '\\xe2'; sleep .1; printf '\\x82\\xac'", o);
    o.cwd = "/tmp", o.user = "root";
    run("run cwd user", "pwd; id -un; echo $HOME", o);
    o.user = "no-such-user";
    run("run unknown user", "true", o);
    o.user = NULL, o.cwd = "/no/such";
    run("run unknown cwd", "true", o);
    memset(&o, 0, sizeof o);
    o.timeout_ms = 700;
    run("run timeout", "exec sleep 20", o);
    memset(&o, 0, sizeof o);
    o.capture_limit = 1 << 22;
    begin("run big");
    if (failed(sbx_command_run(box, "seq 200000", &o, &r, NULL)) == SBX_OK) {
        char hex[65];
        sbx_sha256_init(&s);
        sbx_sha256_add(&s, r.out, r.out_len);
        sbx_sha256_end(&s, hash);
        for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", hash[i]);
        number("length", (int64_t)r.out_len);
        text("sha256", hex);
    }
    end();
    sbx_free(r.out);
    sbx_free(r.err);
}

static uint32_t wanted;

static int show_process(void *ctx, const sbx_process_info *p)
{
    (void)ctx;
    if (p->pid != wanted) return SBX_OK;
    text("cmd", p->cmd);
    array("args");
    for (size_t i = 0; i < p->args.count; i++) sbx_json_text(&w, p->args.items[i]);
    sbx_json_end_array(&w);
    pairs("envs", p->envs);
    text("cwd", p->cwd);
    return SBX_OK;
}

static void background(void)
{
    static const sbx_pair envs[] = { { "M", "1" } };
    sbx_command_options o = { 0 };
    sbx_command_result r = { 0 };
    sbx_proc *p = NULL, *again = NULL;
    bool existed = false;
    o.envs.items = envs, o.envs.count = 1;
    o.cwd = "/tmp", o.capture_limit = 1 << 16;
    begin("list");
    if (failed(sbx_command_start(box, "exec sleep 20", &o, &p, NULL)) == SBX_OK) {
        wanted = sbx_proc_pid(p);
        failed(sbx_command_list(box, show_process, NULL, NULL));
    }
    end();
    begin("kill");
    if (failed(sbx_command_kill(box, wanted, &existed, NULL)) == SBX_OK) yes("existed", existed);
    if (failed(sbx_proc_wait(p, &r, NULL)) == SBX_OK) {
        number("exit", r.exit_code);
        text("reason", r.reason);
    }
    if (failed(sbx_command_kill(box, 999999, &existed, NULL)) == SBX_OK) yes("other", existed);
    end();
    sbx_free(r.out);
    sbx_free(r.err);
    sbx_proc_release(p);
    p = NULL;
    memset(&o, 0, sizeof o);
    o.keep_stdin = SBX_YES, o.capture_limit = 1 << 16;
    memset(&r, 0, sizeof r);
    begin("stdin");
    if (failed(sbx_command_start(box, "cat; echo end", &o, &p, NULL)) == SBX_OK) {
        failed(sbx_command_send_stdin(box, sbx_proc_pid(p), "one\n", 4, NULL));
        failed(sbx_proc_write(p, "zwei \xc3\xbc\n", 8, NULL));
        failed(sbx_proc_close_stdin(p, NULL));
        result(NULL, sbx_proc_wait(p, &r, NULL), &r);
    }
    end();
    sbx_proc_release(p);
    p = NULL;
    begin("stream stdin");
    if (failed(sbx_command_start(box, "head -n 2", &o, &p, NULL)) == SBX_OK) {
        sbx_reading text_in = { "a\nb\n", 4, 0 };
        failed(sbx_command_stream_stdin(box, sbx_proc_pid(p), sbx_source_memory(&text_in), NULL));
        memset(&r, 0, sizeof r);
        result(NULL, sbx_proc_wait(p, &r, NULL), &r);
    }
    end();
    sbx_proc_release(p);
    p = NULL;
    o.keep_stdin = SBX_DEFAULT;
    begin("connect");
    if (failed(sbx_command_start(box, "sleep .7; echo late; exit 4", &o, &p, NULL)) == SBX_OK &&
        failed(sbx_command_connect(box, sbx_proc_pid(p), &o, &again, NULL)) == SBX_OK) {
        memset(&r, 0, sizeof r);
        result(NULL, sbx_proc_wait(again, &r, NULL), &r);
    }
    end();
    sbx_proc_release(again);
    sbx_proc_release(p);
    again = NULL;
    begin("connect unknown");
    failed(sbx_command_connect(box, 999999, &o, &again, NULL));
    end();
    sbx_proc_release(again);
    begin("stdin unknown");
    failed(sbx_command_send_stdin(box, 999999, "x", 1, NULL));
    end();
}

static void terminal(void)
{
    static const char typed[] = "stty size; echo $TERM; exit 3\n";
    sbx_command_options o = { 0 };
    sbx_command_result r = { 0 };
    sbx_proc *p = NULL;
    o.capture_limit = 1 << 16;
    o.cwd = "/tmp";
    begin("pty");
    if (failed(sbx_pty_create(box, 100, 30, &o, &p, NULL)) == SBX_OK) {
        failed(sbx_pty_resize(box, sbx_proc_pid(p), 120, 50, NULL));
        failed(sbx_pty_send_input(box, sbx_proc_pid(p), typed, sizeof typed - 1, NULL));
        if (failed(sbx_proc_wait(p, &r, NULL)) == SBX_OK) {
            number("exit", r.exit_code);
            yes("size", r.out && strstr(r.out, "50 120"));
            yes("term", r.out && strstr(r.out, "xterm-256color"));
        }
    }
    end();
    sbx_free(r.out);
    sbx_free(r.err);
    sbx_proc_release(p);
    begin("pty unknown");
    failed(sbx_pty_resize(box, 999999, 1, 1, NULL));
    end();
}

/* ---- files ---- */
static const char *type_name(sbx_file_type t, bool link)
{
    return link ? "symlink" : t == SBX_FILE_REGULAR ? "file" : t == SBX_FILE_DIR ? "dir" : NULL;
}

static void short_entry(const sbx_file_info *i)
{
    text("name", i->name);
    text("path", i->path);
    text("type", type_name(i->type, i->is_symlink));
}

static int show_written(void *ctx, const sbx_file_info *i)
{
    (void)ctx;
    sbx_json_begin_object(&w);
    short_entry(i);
    sbx_json_end_object(&w);
    return SBX_OK;
}

static int show_entry(void *ctx, const sbx_file_info *i)
{
    (void)ctx;
    if (i->type == SBX_FILE_UNKNOWN && !i->is_symlink) return SBX_OK; /* the SDK drops those */
    sbx_json_begin_object(&w);
    short_entry(i);
    number("size", i->type == SBX_FILE_DIR ? 0 : i->size);
    number("mode", i->mode);
    text("permissions", i->permissions);
    text("owner", i->owner);
    text("group", i->group);
    text("target", i->symlink_target);
    yes("recent", i->modified_unix_ms / 1000 > (int64_t)time(NULL) - 60);
    sbx_json_end_object(&w);
    return SBX_OK;
}

static void read_file(const char *step, const char *path)
{
    char buf[64];
    sbx_memory m = { buf, sizeof buf, 0, 0 };
    begin(step);
    if (failed(sbx_files_read(box, path, NULL, sbx_sink_memory(&m), NULL)) == SBX_OK)
        bytes("text", buf, m.len);
    end();
}

static void info_step(const char *step, int rc, sbx_file_info **i, bool whole)
{
    begin(step);
    if (failed(rc) == SBX_OK) {
        if (whole) {
            sbx_json_key(&w, "entry");
            show_entry(NULL, *i);
        } else {
            short_entry(*i);
        }
    }
    end();
    sbx_free(*i);
    *i = NULL;
}

static void many(void)
{
    sbx_reading a = { "1", 1, 0 }, b = { "22", 2, 0 };
    sbx_file_write files[2] = { { "s/many/a", { 0 } }, { "s/many/b c", { 0 } } };
    files[0].from = sbx_source_memory(&a);
    files[1].from = sbx_source_memory(&b);
    begin("write many");
    array("entries");
    int rc = sbx_files_write_many(box, files, 2, NULL, show_written, NULL, NULL);
    sbx_json_end_array(&w);
    failed(rc);
    end();
}

static void list_dir(const char *step, const char *path, int32_t depth)
{
    sbx_files_options o = { 0 };
    o.depth = depth;
    begin(step);
    array("entries");
    int rc = sbx_files_list(box, path, &o, show_entry, NULL, NULL);
    sbx_json_end_array(&w);
    failed(rc);
    end();
}

static void flag_step(const char *step, int rc, bool value)
{
    begin(step);
    if (failed(rc) == SBX_OK) yes("value", value);
    end();
}

static void files(void)
{
    static const char odd[] = "s/o dd \xc3\xbc #?&%41+.txt";
    sbx_file_info *i = NULL;
    sbx_files_options root = { 0 };
    sbx_command_options o = { 0 };
    bool flag = false;
    int rc;
    root.user = "root";
    info_step("write", sbx_files_write_bytes(box, "s/deep/a", "h\xc3\xa9llo", 6, NULL, &i, NULL),
              &i, false);
    info_step("write odd", sbx_files_write_bytes(box, odd, "odd", 3, NULL, &i, NULL), &i, false);
    info_step("write root", sbx_files_write_bytes(box, "/root/r", "r", 1, &root, &i, NULL), &i,
              false);
    many();
    read_file("read", "s/deep/a");
    read_file("read odd", odd);
    read_file("read missing", "s/none");
    read_file("read directory", "s");
    run("prepare", "chmod 750 s/deep/a; ln -s deep/a s/link; ln -s /nowhere s/dangling", o);
    list_dir("files list", "s", 3);
    list_dir("files list missing", "s/none", 1);
    list_dir("files list file", "s/deep/a", 1);
    info_step("stat", sbx_files_stat(box, "s/deep/a", NULL, &i, NULL), &i, true);
    info_step("stat link", sbx_files_stat(box, "s/link", NULL, &i, NULL), &i, true);
    info_step("stat missing", sbx_files_stat(box, "s/none", NULL, &i, NULL), &i, true);
    rc = sbx_files_exists(box, "s/dangling", NULL, &flag, NULL);
    flag_step("exists", rc, flag);
    rc = sbx_files_exists(box, "s/none", NULL, &flag, NULL);
    flag_step("exists missing", rc, flag);
    info_step("rename", sbx_files_rename(box, "s/deep/a", "s/n/ew", NULL, &i, NULL), &i, true);
    info_step("rename missing", sbx_files_rename(box, "s/none", "s/x", NULL, &i, NULL), &i, true);
    rc = sbx_files_make_dir(box, "s/d/e", NULL, &flag, NULL);
    flag_step("make dir", rc, flag);
    rc = sbx_files_make_dir(box, "s/d/e", NULL, &flag, NULL);
    flag_step("make dir again", rc, flag);
    rc = sbx_files_make_dir(box, "s/n/ew", NULL, &flag, NULL);
    flag_step("make dir on a file", rc, flag);
    begin("remove");
    failed(sbx_files_remove(box, "s/n", NULL, NULL));
    end();
    begin("remove missing");
    failed(sbx_files_remove(box, "s/n", NULL, NULL));
    end();
    rc = sbx_files_exists(box, "s/n/ew", NULL, &flag, NULL);
    flag_step("removed", rc, flag);
}

static int show_event(void *ctx, const sbx_watch_event *e)
{
    static const char *const names[] = { "unknown", "create", "write", "remove", "rename", "chmod" };
    (void)ctx;
    sbx_json_begin_array(&w);
    sbx_json_text(&w, names[e->type]);
    sbx_json_text(&w, e->name);
    sbx_json_end_array(&w);
    return SBX_OK;
}

static void watch(const char *step, const char *path, bool recursive)
{
    sbx_watch_options o = { 0 };
    sbx_command_options c = { 0 };
    sbx_watch *h = NULL;
    int rc;
    o.mode = SBX_WATCH_ASK;
    o.interval_ms = SBX_NEVER;
    o.recursive = recursive ? SBX_YES : SBX_NO;
    sbx_command_run(box, "mkdir -p wd/sub; rm -f wd/b wd/sub/*", &c, NULL, NULL);
    begin(step);
    array("events");
    rc = sbx_files_watch(box, path, &o, show_event, NULL, &h, NULL);
    if (rc == SBX_OK) {
        sbx_command_run(box, "cd wd; echo 1 >a; chmod 600 a; mv a b; echo 2 >sub/f; rm b", &c, NULL,
                        NULL);
        snooze(400);
        rc = sbx_watch_poll(h, NULL);
    }
    sbx_json_end_array(&w);
    if (failed(rc) == SBX_OK) failed(sbx_watch_stop(h, NULL));
    end();
    sbx_watch_release(h);
}

static void urls(void)
{
    char url[512];
    sbx_url_options o = { 0 };
    o.user = "user";
    begin("urls");
    if (failed(sbx_files_url(box, "u/\xc3\xbc x.txt", &o, url, sizeof url, NULL)) == SBX_OK)
        text("download", url);
    o.upload = SBX_YES;
    if (failed(sbx_files_url(box, "u/y", &o, url, sizeof url, NULL)) == SBX_OK) text("upload", url);
    if (failed(sbx_sandbox_host(box, 8080, url, sizeof url)) == SBX_OK) text("host", url);
    if (failed(sbx_sandbox_mcp_url(box, url, sizeof url)) == SBX_OK) text("mcp", url);
    end();
}

/* ---- sandboxes ---- */
static const char *state_name(sbx_sandbox_state s)
{
    return s == SBX_SANDBOX_RUNNING ? "running" : s == SBX_SANDBOX_PAUSED ? "paused" : "unknown";
}

static void info(const char *step)
{
    sbx_sandbox_info *i = NULL;
    begin(step);
    if (failed(sbx_sandbox_get_info(box, &i, NULL)) == SBX_OK) {
        text("id", i->id);
        text("template", i->template_id);
        text("alias", i->alias);
        text("version", i->daemon_version);
        text("state", state_name(i->state));
        pairs("metadata", i->metadata);
        number("cpus", i->cpu_count);
        number("memory", i->memory_mib);
        number("minutes", (i->end_unix_ms - i->started_unix_ms + 30000) / 60000);
        text("on_timeout", i->on_timeout == SBX_ON_TIMEOUT_PAUSE ? "pause" :
             i->on_timeout == SBX_ON_TIMEOUT_KILL ? "kill" : NULL);
        sbx_json_key(&w, "auto_resume");
        if (i->auto_resume == SBX_DEFAULT) sbx_json_null(&w);
        else sbx_json_bool(&w, i->auto_resume == SBX_YES);
    }
    end();
    sbx_free(i);
}

static int show_sandbox(void *ctx, const sbx_sandbox_info *i)
{
    (void)ctx;
    sbx_json_begin_object(&w);
    text("id", i->id);
    text("state", state_name(i->state));
    text("n", i->metadata.count == 2 ? i->metadata.items[1].value : "?");
    sbx_json_end_object(&w);
    return SBX_OK;
}

static void list(const sbx_pair *mark)
{
    sbx_sandbox_query q = { 0 };
    sbx_page page = { 0 };
    sbx_sandbox *two[2] = { NULL, NULL };
    sbx_pair meta[2];
    q.metadata.items = mark, q.metadata.count = 1;
    begin("pages");
    for (int k = 0; k < 2; k++) {
        sbx_sandbox_options o = { 0 };
        meta[0] = *mark;
        meta[1].key = "n", meta[1].value = k ? "b" : "a";
        o.metadata.items = meta, o.metadata.count = 2;
        o.timeout_s = 60;
        failed(sbx_sandbox_create(client, &o, &two[k], NULL));
        snooze(20); /* the order is that of the start */
    }
    page.limit = 1;
    array("pages");
    do {
        sbx_json_begin_array(&w);
        if (sbx_sandbox_list(client, &q, &page, show_sandbox, NULL, NULL) != SBX_OK)
            page.has_next = false;
        sbx_json_end_array(&w);
    } while (page.has_next);
    sbx_json_end_array(&w);
    for (int k = 0; k < 2; k++) {
        if (!two[k]) continue;
        failed(sbx_sandbox_kill(two[k], NULL, NULL));
        sbx_sandbox_release(two[k]);
    }
    end();
}

static void pausing(void)
{
    sbx_sandbox_info *i = NULL;
    bool flag = false;
    int rc = sbx_sandbox_pause(box, NULL, &flag, NULL);
    flag_step("pause", rc, flag);
    rc = sbx_sandbox_pause(box, NULL, &flag, NULL);
    flag_step("pause again", rc, flag);
    rc = sbx_sandbox_is_running(box, &flag, NULL);
    flag_step("is running", rc, flag);
    begin("paused");
    if (failed(sbx_sandbox_get_info(box, &i, NULL)) == SBX_OK) text("state", state_name(i->state));
    end();
    sbx_free(i);
    begin("connect to it");
    failed(sbx_sandbox_connect(box, 300, NULL, NULL));
    end();
    rc = sbx_sandbox_is_running(box, &flag, NULL);
    flag_step("is running again", rc, flag);
    read_file("kept", "s/many/a");
}

static int count_snapshot(void *ctx, const sbx_snapshot_info *i)
{
    (void)i;
    (*(int *)ctx)++;
    return SBX_OK;
}

static void snapshots(void)
{
    sbx_snapshot_info *s = NULL;
    sbx_sandbox_options o = { 0 };
    sbx_sandbox *whole = box, *twin = NULL;
    bool flag = false;
    int n = 0, rc;
    begin("snapshot");
    rc = failed(sbx_snapshot_create(box, NULL, &s, NULL));
    end();
    if (rc != SBX_OK) return;
    begin("snapshots");
    if (failed(sbx_snapshot_list(client, sbx_sandbox_id(box), NULL, NULL, count_snapshot, &n, NULL))
        == SBX_OK) number("count", n);
    end();
    o.template_id = s->id;
    begin("sandbox of it");
    failed(sbx_sandbox_create(client, &o, &twin, NULL));
    end();
    if (twin) {
        box = twin;
        read_file("its file", "s/many/a");
        sbx_sandbox_kill(twin, NULL, NULL);
        sbx_sandbox_release(twin);
        box = whole;
    }
    rc = sbx_snapshot_delete(client, s->id, &flag, NULL);
    flag_step("delete snapshot", rc, flag);
    rc = sbx_snapshot_delete(client, s->id, &flag, NULL);
    flag_step("delete snapshot again", rc, flag);
    sbx_free(s);
}

static sbx_sandbox *forks[4];
static int fork_count;

static int keep_fork(void *ctx, sbx_sandbox *fork, const sbx_error *error)
{
    (void)ctx;
    (void)error;
    if (fork && fork_count < 4) forks[fork_count++] = fork;
    return SBX_OK;
}

static void forking(void)
{
    sbx_sandbox *whole = box;
    begin("fork");
    if (failed(sbx_sandbox_fork(box, 2, 60, keep_fork, NULL, NULL)) == SBX_OK)
        number("count", fork_count);
    end();
    for (int k = 0; k < fork_count; k++) {
        box = forks[k];
        read_file("file of a fork", "s/many/a");
        sbx_sandbox_kill(box, NULL, NULL);
        sbx_sandbox_release(box);
    }
    box = whole;
}

static int sane_metrics(void *ctx, const sbx_metrics *m)
{
    *(bool *)ctx = m->cpu_count > 0 && m->cpu_used_milli >= 0 && m->memory_used > 0 &&
        m->memory_total >= m->memory_used && m->disk_total > 0 &&
        m->unix_ms / 1000 > (int64_t)time(NULL) - 120;
    return SBX_OK;
}

static void measures(void)
{
    sbx_network n = { 0 };
    bool sane = false;
    int rc = SBX_OK;
    for (int k = 0; k < 40 && !sane && rc == SBX_OK; k++) {
        rc = sbx_sandbox_metrics(box, 0, 0, sane_metrics, &sane, NULL);
        if (!sane) snooze(250);
    }
    flag_step("metrics", rc, sane);
    begin("set timeout");
    failed(sbx_sandbox_set_timeout(box, 1200, NULL));
    end();
    info("info after it");
    begin("network");
    failed(sbx_sandbox_set_network(box, &n, SBX_YES, NULL));
    end();
}

static void the_end(void)
{
    sbx_command_options o = { 0 };
    bool flag = false;
    int rc = sbx_sandbox_kill(box, &flag, NULL);
    flag_step("end", rc, flag);
    rc = sbx_sandbox_kill(box, &flag, NULL);
    flag_step("end again", rc, flag);
    rc = sbx_sandbox_is_running(box, &flag, NULL);
    flag_step("running after it", rc, flag);
    run("run after it", "true", o);
    info("info of none");
    begin("connect to none");
    failed(sbx_sandbox_connect(box, 0, NULL, NULL));
    end();
}

int main(void)
{
    static const sbx_pair envs[] = { { "G", "global \xc3\xbc" } };
    sbx_sandbox_options o = { 0 };
    sbx_pair meta[2] = { { "run", NULL }, { "k", "v & 1" } };
    char mark[40];
    if (sbx_open(&client, NULL) != SBX_OK) return 1;
    snprintf(mark, sizeof mark, "c%ld", (long)getpid());
    meta[0].value = mark;
    o.metadata.items = meta, o.metadata.count = 2;
    o.envs.items = envs, o.envs.count = 1;
    o.timeout_s = 300;
    begin("create");
    int rc = failed(sbx_sandbox_create(client, &o, &box, NULL));
    if (rc == SBX_OK) text("id", sbx_sandbox_id(box));
    end();
    if (rc != SBX_OK) return 1;
    info("info");
    commands();
    background();
    terminal();
    files();
    watch("watch", "wd", false);
    watch("watch recursive", "wd", true);
    watch("watch missing", "no-such", false);
    urls();
    meta[0].key = "list";
    list(meta);
    pausing();
    snapshots();
    forking();
    measures();
    the_end();
    sbx_sandbox_release(box);
    return sbx_close(client) == SBX_OK ? 0 : 1;
}
