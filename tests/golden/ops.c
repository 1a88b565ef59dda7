/* ops - the public functions by name: their arguments from JSON, their results
   as JSON. A row a function in OPS, a row a member in the tables of structs; the
   code below is one short function a row, for the call itself. */
#include "golden.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEN(a) (sizeof(a) / sizeof *(a))

/* ---- tables of the public structs -------------------------------------------- */
typedef enum { T_TEXT, T_I32, T_U32, T_I64, T_U64, T_SIZE, T_PORT, T_INT, T_BOOL, T_CHOICE,
    T_WORD, T_CHARS, T_PAIRS, T_STRINGS, T_OUT_BYTES, T_SINK, T_STARTED, T_HANDLE, T_DATA,
    T_SOURCE, T_FILES, T_PAGE, T_STRUCT, T_PORTS, T_JSON, T_RESULTS, T_BUILDER } type;

typedef struct member {
    const char *name;
    type type;
    size_t offset;
    size_t more;            /* CHARS: its size; OUT_BYTES: offset of the length */
    const word *words;
    const struct member *inner; /* STRUCT */
} member;

#define M(s, t, n) { #n, t, offsetof(s, n), 0, NULL, NULL }
#define MW(s, n, w) { #n, T_WORD, offsetof(s, n), 0, w, NULL }
#define MC(s, n) { #n, T_CHARS, offsetof(s, n), sizeof ((s *)0)->n, NULL, NULL }
#define MB(s, n) { #n, T_OUT_BYTES, offsetof(s, n), offsetof(s, n##_len), NULL, NULL }
#define END { NULL, T_TEXT, 0, 0, NULL, NULL }

static const word choices[] = { { 0, "default" }, { 1, "yes" }, { 2, "no" }, { 0, NULL } };
static const word on_timeouts[] = { { SBX_ON_TIMEOUT_DEFAULT, "default" },
    { SBX_ON_TIMEOUT_KILL, "kill" }, { SBX_ON_TIMEOUT_PAUSE, "pause" }, { 0, NULL } };
static const word states[] = { { SBX_SANDBOX_UNKNOWN, "unknown" },
    { SBX_SANDBOX_RUNNING, "running" }, { SBX_SANDBOX_PAUSED, "paused" }, { 0, NULL } };
static const word file_types[] = { { SBX_FILE_UNKNOWN, "unknown" }, { SBX_FILE_REGULAR, "regular" },
    { SBX_FILE_DIR, "dir" }, { SBX_FILE_SYMLINK, "symlink" }, { 0, NULL } };
static const word clocks[] = { { SBX_CLOCK_NONE, "none" }, { SBX_CLOCK_CONNECT, "connect" },
    { SBX_CLOCK_FIRST_BYTE, "first_byte" }, { SBX_CLOCK_IDLE, "idle" },
    { SBX_CLOCK_TOTAL, "total" }, { 0, NULL } };

static const member network_members[] = {
    M(sbx_network, T_CHOICE, public_traffic),
    M(sbx_network, T_STRINGS, allow_out),
    M(sbx_network, T_STRINGS, deny_out),
    M(sbx_network, T_STRINGS, dns_servers),
    M(sbx_network, T_TEXT, proxy_address),
    M(sbx_network, T_TEXT, proxy_username),
    M(sbx_network, T_TEXT, proxy_password),
    M(sbx_network, T_CHOICE, proxy_tls),
    M(sbx_network, T_TEXT, proxy_server_name),
    M(sbx_network, T_TEXT, proxy_ca_pem),
    M(sbx_network, T_TEXT, mask_host),
    M(sbx_network, T_PORTS, https_ports),
    M(sbx_network, T_JSON, rules_json), END };
static const member create_options[] = {
    M(sbx_sandbox_options, T_TEXT, template_id),
    M(sbx_sandbox_options, T_I32, timeout_s),
    M(sbx_sandbox_options, T_PAIRS, metadata),
    M(sbx_sandbox_options, T_PAIRS, envs),
    M(sbx_sandbox_options, T_CHOICE, internet),
    MW(sbx_sandbox_options, on_timeout, on_timeouts),
    M(sbx_sandbox_options, T_CHOICE, pause_memory),
    M(sbx_sandbox_options, T_CHOICE, auto_resume),
    M(sbx_sandbox_options, T_TEXT, idempotency_key),
    M(sbx_sandbox_options, T_CHOICE, idempotent),
    M(sbx_sandbox_options, T_PAIRS, volumes),
    M(sbx_sandbox_options, T_JSON, mcp_json),
    M(sbx_sandbox_options, T_JSON, identity_json),
    { "network", T_STRUCT, offsetof(sbx_sandbox_options, network), 0, NULL, network_members },
    END };
static const member change_members[] = {
    { "network", T_STRUCT, 0, 0, NULL, network_members },
    { "internet", T_CHOICE, sizeof(sbx_network), 0, NULL, NULL }, END };
static const member resume_options[] = {
    M(sbx_resume_options, T_I32, timeout_s),
    M(sbx_resume_options, T_CHOICE, memory), END };
static const member pause_options[] = {
    M(sbx_pause_options, T_CHOICE, memory),
    M(sbx_pause_options, T_CHOICE, healthy), END };
static const member snapshot_options[] = {
    M(sbx_snapshot_options, T_TEXT, name),
    M(sbx_snapshot_options, T_CHOICE, memory), END };
static const member snapshot_members[] = {
    M(sbx_snapshot_info, T_TEXT, id),
    M(sbx_snapshot_info, T_STRINGS, names), END };
static const member metrics_members[] = {
    M(sbx_metrics, T_I64, unix_ms),
    M(sbx_metrics, T_I32, cpu_count),
    M(sbx_metrics, T_I32, cpu_used_milli),
    M(sbx_metrics, T_I64, memory_used),
    M(sbx_metrics, T_I64, memory_total),
    M(sbx_metrics, T_I64, memory_cache),
    M(sbx_metrics, T_I64, disk_used),
    M(sbx_metrics, T_I64, disk_total), END };
static const member log_query[] = {
    M(sbx_log_query, T_I64, from_unix_ms),
    M(sbx_log_query, T_I32, limit),
    M(sbx_log_query, T_CHOICE, newest_first),
    M(sbx_log_query, T_TEXT, level),
    M(sbx_log_query, T_TEXT, search), END };
static const member log_members[] = {
    M(sbx_log, T_I64, unix_ms),
    M(sbx_log, T_TEXT, level),
    M(sbx_log, T_TEXT, message),
    M(sbx_log, T_PAIRS, fields), END };
static const member url_options[] = {
    M(sbx_url_options, T_TEXT, user),
    M(sbx_url_options, T_CHOICE, upload),
    M(sbx_url_options, T_I32, expires_s), END };
static const member access_members[] = {
    M(sbx_sandbox_access, T_TEXT, access_token),
    M(sbx_sandbox_access, T_TEXT, traffic_token),
    M(sbx_sandbox_access, T_TEXT, domain),
    M(sbx_sandbox_access, T_TEXT, data_url),
    M(sbx_sandbox_access, T_TEXT, daemon_version), END };
static const member query_members[] = {
    M(sbx_sandbox_query, T_PAIRS, metadata),
    M(sbx_sandbox_query, T_CHOICE, running),
    M(sbx_sandbox_query, T_CHOICE, paused),
    M(sbx_sandbox_query, T_TEXT, template_id),
    M(sbx_sandbox_query, T_I64, started_after_unix_ms),
    M(sbx_sandbox_query, T_CHOICE, oldest_first), END };
static const word code_formats[] = { { SBX_CODE_TEXT, "text" }, { SBX_CODE_HTML, "html" },
    { SBX_CODE_MARKDOWN, "markdown" }, { SBX_CODE_SVG, "svg" }, { SBX_CODE_LATEX, "latex" },
    { SBX_CODE_JAVASCRIPT, "javascript" }, { SBX_CODE_PNG, "png" }, { SBX_CODE_JPEG, "jpeg" },
    { SBX_CODE_PDF, "pdf" }, { SBX_CODE_JSON, "json" }, { SBX_CODE_DATA, "data" },
    { SBX_CODE_CHART, "chart" }, { SBX_CODE_EXTRA, "extra" }, { 0, NULL } };
static const member code_options[] = {
    M(sbx_run_code_options, T_TEXT, language),
    M(sbx_run_code_options, T_TEXT, context_id),
    M(sbx_run_code_options, T_PAIRS, envs),
    M(sbx_run_code_options, T_I32, timeout_ms),
    M(sbx_run_code_options, T_SINK, out),
    M(sbx_run_code_options, T_SINK, err),
    M(sbx_run_code_options, T_RESULTS, each),
    M(sbx_run_code_options, T_SIZE, capture_limit), END };
static const member code_members[] = {
    M(sbx_run_code_result, T_I32, execution_count),
    M(sbx_run_code_result, T_U32, results),
    M(sbx_run_code_result, T_BOOL, failed),
    MC(sbx_run_code_result, error_name),
    MC(sbx_run_code_result, error_value),
    MB(sbx_run_code_result, out),
    MB(sbx_run_code_result, err),
    MB(sbx_run_code_result, traceback),
    M(sbx_run_code_result, T_U64, out_cut),
    M(sbx_run_code_result, T_U64, err_cut),
    M(sbx_run_code_result, T_U64, traceback_cut), END };
static const member command_options[] = {
    M(sbx_command_options, T_PAIRS, envs),
    M(sbx_command_options, T_TEXT, cwd),
    M(sbx_command_options, T_TEXT, user),
    M(sbx_command_options, T_I32, timeout_ms),
    M(sbx_command_options, T_CHOICE, keep_stdin),
    M(sbx_command_options, T_TEXT, tag),
    M(sbx_command_options, T_SINK, out),
    M(sbx_command_options, T_SINK, err),
    M(sbx_command_options, T_SIZE, capture_limit),
    M(sbx_command_options, T_CHOICE, pull),
    M(sbx_command_options, T_STARTED, started), END };
static const member files_options[] = {
    M(sbx_files_options, T_TEXT, user),
    M(sbx_files_options, T_I32, depth),
    M(sbx_files_options, T_CHOICE, octet_stream),
    M(sbx_files_options, T_CHOICE, gzip),
    M(sbx_files_options, T_I64, offset),
    M(sbx_files_options, T_I64, length),
    M(sbx_files_options, T_SIZE, max_len),
    M(sbx_files_options, T_PAIRS, metadata), END };
static const member page_members[] = {
    M(sbx_page, T_I32, limit),
    M(sbx_page, T_BOOL, has_next),
    MC(sbx_page, next_token), END };
static const member call_members[] = {
    M(sbx_call, T_I32, timeout_ms),
    M(sbx_call, T_TEXT, api_key),
    M(sbx_call, T_TEXT, domain), END };
static const member clock_members[] = {
    M(sbx_clocks, T_I32, connect_ms),
    M(sbx_clocks, T_I32, first_byte_ms),
    M(sbx_clocks, T_I32, idle_ms),
    M(sbx_clocks, T_I32, total_ms), END };
static const member config_members[] = {
    M(sbx_config, T_TEXT, api_key),
    M(sbx_config, T_TEXT, domain),
    M(sbx_config, T_TEXT, api_url),
    M(sbx_config, T_TEXT, sandbox_url),
    M(sbx_config, T_TEXT, dialect),
    M(sbx_config, T_CHOICE, environment),
    M(sbx_config, T_CHOICE, debug),
    M(sbx_config, T_PAIRS, headers),
    M(sbx_config, T_TEXT, user_agent),
    M(sbx_config, T_TEXT, proxy),
    M(sbx_config, T_TEXT, no_proxy),
    M(sbx_config, T_I32, redirects),
    M(sbx_config, T_I32, retries), END };
static const member info_members[] = {
    M(sbx_sandbox_info, T_TEXT, id),
    M(sbx_sandbox_info, T_TEXT, template_id),
    M(sbx_sandbox_info, T_TEXT, alias),
    M(sbx_sandbox_info, T_TEXT, domain),
    M(sbx_sandbox_info, T_TEXT, daemon_version),
    M(sbx_sandbox_info, T_TEXT, access_token),
    MW(sbx_sandbox_info, state, states),
    M(sbx_sandbox_info, T_I64, started_unix_ms),
    M(sbx_sandbox_info, T_I64, end_unix_ms),
    M(sbx_sandbox_info, T_I32, cpu_count),
    M(sbx_sandbox_info, T_I32, memory_mib),
    M(sbx_sandbox_info, T_I32, disk_mib),
    M(sbx_sandbox_info, T_PAIRS, metadata),
    M(sbx_sandbox_info, T_CHOICE, internet),
    MW(sbx_sandbox_info, on_timeout, on_timeouts),
    M(sbx_sandbox_info, T_CHOICE, auto_resume), END };
static const word watch_modes[] = { { SBX_WATCH_DEFAULT, "default" },
    { SBX_WATCH_STREAM, "stream" }, { SBX_WATCH_ASK, "ask" }, { 0, NULL } };
static const word watch_types[] = { { SBX_WATCH_UNKNOWN, "unknown" },
    { SBX_WATCH_CREATE, "create" }, { SBX_WATCH_WRITE, "write" }, { SBX_WATCH_REMOVE, "remove" },
    { SBX_WATCH_RENAME, "rename" }, { SBX_WATCH_CHMOD, "chmod" }, { 0, NULL } };
static const word parts[] = { { SBX_PROC_END, "end" }, { SBX_PROC_OUT, "stdout" },
    { SBX_PROC_ERR, "stderr" }, { SBX_PROC_PTY, "pty" }, { 0, NULL } };
static const word signals[] = { { SBX_SIGNAL_KILL, "kill" }, { SBX_SIGNAL_TERM, "term" },
    { 0, NULL } };
static const member watch_options[] = {
    M(sbx_watch_options, T_TEXT, user),
    MW(sbx_watch_options, mode, watch_modes),
    M(sbx_watch_options, T_CHOICE, recursive),
    M(sbx_watch_options, T_CHOICE, entries),
    M(sbx_watch_options, T_CHOICE, network_mounts),
    M(sbx_watch_options, T_I32, interval_ms),
    M(sbx_watch_options, T_I32, timeout_ms), END };
static const member result_members[] = {
    M(sbx_command_result, T_I32, exit_code),
    M(sbx_command_result, T_U32, pid),
    MB(sbx_command_result, out),
    MB(sbx_command_result, err),
    M(sbx_command_result, T_SIZE, out_len),
    M(sbx_command_result, T_SIZE, err_len),
    M(sbx_command_result, T_U64, out_cut),
    M(sbx_command_result, T_U64, err_cut),
    MC(sbx_command_result, reason), END };
static const member process_members[] = {
    M(sbx_process_info, T_U32, pid),
    M(sbx_process_info, T_TEXT, cmd),
    M(sbx_process_info, T_STRINGS, args),
    M(sbx_process_info, T_PAIRS, envs),
    M(sbx_process_info, T_TEXT, cwd),
    M(sbx_process_info, T_TEXT, tag), END };
static const member file_members[] = {
    M(sbx_file_info, T_TEXT, name),
    M(sbx_file_info, T_TEXT, path),
    MW(sbx_file_info, type, file_types),
    M(sbx_file_info, T_I64, size),
    M(sbx_file_info, T_U32, mode),
    M(sbx_file_info, T_TEXT, permissions),
    M(sbx_file_info, T_TEXT, owner),
    M(sbx_file_info, T_TEXT, group),
    M(sbx_file_info, T_I64, modified_unix_ms),
    M(sbx_file_info, T_TEXT, symlink_target),
    M(sbx_file_info, T_BOOL, is_symlink),
    M(sbx_file_info, T_PAIRS, metadata), END };
static const member error_members[] = {
    M(sbx_error, T_INT, http_status),
    MC(sbx_error, code),
    MC(sbx_error, message),
    MW(sbx_error, clock, clocks),
    M(sbx_error, T_I32, retry_after_ms),
    M(sbx_error, T_CHOICE, sandbox_alive),
    M(sbx_error, T_CHOICE, process_alive),
    M(sbx_error, T_CHOICE, may_exist),
    M(sbx_error, T_U32, pid), END };

static const word build_states[] = { { SBX_BUILD_UNKNOWN, "unknown" },
    { SBX_BUILD_WAITING, "waiting" }, { SBX_BUILD_RUNNING, "building" },
    { SBX_BUILD_READY, "ready" }, { SBX_BUILD_FAILED, "failed" },
    { SBX_BUILD_CANCELLED, "cancelled" }, { 0, NULL } };
static const member build_options[] = {
    M(sbx_build_options, T_TEXT, name),
    M(sbx_build_options, T_STRINGS, tags),
    M(sbx_build_options, T_I32, cpu_count),
    M(sbx_build_options, T_I32, memory_mib),
    M(sbx_build_options, T_I32, disk_mib),
    M(sbx_build_options, T_CHOICE, skip_cache),
    M(sbx_build_options, T_I32, level), END };
static const member build_members[] = {
    M(sbx_build_info, T_TEXT, template_id),
    M(sbx_build_info, T_TEXT, build_id),
    MW(sbx_build_info, status, build_states),
    M(sbx_build_info, T_STRINGS, names),
    M(sbx_build_info, T_STRINGS, aliases),
    M(sbx_build_info, T_STRINGS, tags),
    M(sbx_build_info, T_TEXT, reason),
    M(sbx_build_info, T_TEXT, reason_step), END };
static const member build_log_members[] = {
    M(sbx_build_log, T_I64, unix_ms),
    M(sbx_build_log, T_TEXT, level),
    M(sbx_build_log, T_TEXT, message),
    M(sbx_build_log, T_TEXT, step), END };
static const member template_members[] = {
    M(sbx_template_info, T_TEXT, id),
    M(sbx_template_info, T_TEXT, build_id),
    M(sbx_template_info, T_STRINGS, names),
    M(sbx_template_info, T_STRINGS, aliases),
    M(sbx_template_info, T_CHOICE, is_public),
    MW(sbx_template_info, status, build_states),
    M(sbx_template_info, T_I32, cpu_count),
    M(sbx_template_info, T_I32, memory_mib),
    M(sbx_template_info, T_I32, disk_mib),
    M(sbx_template_info, T_I64, created_unix_ms),
    M(sbx_template_info, T_I64, updated_unix_ms),
    M(sbx_template_info, T_I64, used_unix_ms),
    M(sbx_template_info, T_I64, used_count),
    M(sbx_template_info, T_I64, build_count),
    M(sbx_template_info, T_TEXT, daemon_version), END };
static const member build_item_members[] = {
    M(sbx_template_build_item, T_TEXT, build_id),
    MW(sbx_template_build_item, status, build_states),
    M(sbx_template_build_item, T_I64, created_unix_ms),
    M(sbx_template_build_item, T_I64, updated_unix_ms),
    M(sbx_template_build_item, T_I64, finished_unix_ms),
    M(sbx_template_build_item, T_I32, cpu_count),
    M(sbx_template_build_item, T_I32, memory_mib),
    M(sbx_template_build_item, T_I32, disk_mib),
    M(sbx_template_build_item, T_TEXT, daemon_version), END };
static const member tag_members[] = {
    M(sbx_template_tag, T_TEXT, tag),
    M(sbx_template_tag, T_TEXT, build_id),
    M(sbx_template_tag, T_I64, created_unix_ms), END };

/* ---- a run ------------------------------------------------------------------- */
typedef struct named { const char *name; sbx_sandbox *sandbox; sbx_proc *proc; sbx_watch *watch;
    node *events;           /* what their callbacks got so far */
    sbx_page *page; node *value;
    struct named *next; } named;

typedef struct step step;
typedef struct run {
    sbx_client *client;
    peer *peer;
    report *report;
    named *names;
    step *last;             /* the one that runs beside the next, if any */
    sbx_trace trace;
    text told;              /* to it */
} run;

typedef struct feed {       /* what a source gives, in pieces */
    const char **pieces;
    size_t *lens, count, at, pos;
    way way;
} feed;

typedef struct op op;
struct step {
    run *run;
    const op *op;
    const node *args, *expect;
    const char *as;
    struct handed *input;   /* texts and structs handed in: freed once it started */
    bool wants_events;
    sbx_call *call;
    sbx_error *error;       /* its own block, so that reading it late is noticed */
    sbx_op *handle;
    int status, done_status;
    unsigned dones;
    bool running;
    union { sbx_sandbox_options create; sbx_command_options command; sbx_files_options files;
        sbx_run_code_options code;
        sbx_sandbox_query query; sbx_sandbox_access access; sbx_resume_options resume;
        sbx_pause_options pause; sbx_snapshot_options snapshot; sbx_log_query logs;
        sbx_url_options url; sbx_watch_options watch; sbx_build_options build; struct { sbx_network network; sbx_choice internet; } change; }
        *options;
    /* what comes out */
    sbx_sandbox *sandbox;
    sbx_sandbox_info *info;
    sbx_file_info *file;
    sbx_snapshot_info *snapshot;
    sbx_proc *proc;
    sbx_watch *watch;
    sbx_build_info *build;
    sbx_proc_event piece;
    char *text;             /* that a call fills */
    void *data;             /* that a call hands out */
    size_t data_len;
    sbx_command_result result;
    sbx_run_code_result code;
    sbx_page *page;
    bool flag;
    bool has_value;
    node *value, *fields, *items, *events;
};

typedef struct handed { struct handed *next; size_t size; } handed;

static void bad(step *s, const char *what, const char *name)
{
    complain(s->run->report, "calls: %s: %s: %s", s->args ? "argument" : "step", name, what);
}

/* Inputs of a call are blocks, which are gone once the call started: "all inputs are
   copied when a call starts". */
static void *input(step *s, size_t size)
{
    handed *h = calloc(1, sizeof *h + size);
    if (!h) { fputs("golden: out of memory\n", stderr); exit(2); }
    h->next = s->input;
    h->size = size;
    s->input = h;
    return h + 1;
}

static char *input_text(step *s, const char *p, size_t len)
{
    char *copy = input(s, len + 1);
    if (len) memcpy(copy, p, len);
    copy[len] = 0;
    return copy;
}

static named *find(run *r, const char *name)
{
    named *n;
    for (n = r->names; n; n = n->next)
        if (!strcmp(n->name, name)) return n;
    return NULL;
}

static named *name_it(run *r, const char *name)
{
    named *n = find(r, name);
    if (n) return n;
    n = keep(sizeof *n);
    n->name = name;
    n->next = r->names;
    return r->names = n;
}

/* {"$": "NAME"} or {"$": "NAME.member"}: the value of an earlier step. */
static const node *resolve(step *s, const node *n)
{
    const char *ref = dom_text(n, "$"), *dot;
    named *got;
    const node *v;
    if (!ref) return n;
    dot = strchr(ref, '.');
    got = find(s->run, dot ? keep_bytes(ref, (size_t)(dot - ref)) : ref);
    if (!got) { bad(s, "there is no such name", ref); return NULL; }
    if (!dot) return got->value ? got->value : n;
    v = dom_get(got->value, dot + 1);
    if (!v) bad(s, "it has no such member", ref);
    return v;
}

/* ---- JSON to C ---------------------------------------------------------------- */
static bool to_word(const word *w, const node *n, int *out)
{
    size_t len;
    if (n->kind == D_NUMBER && n->whole) { *out = (int)n->i; return true; }
    if (n->kind == D_BOOL && w == choices) { *out = n->i ? SBX_YES : SBX_NO; return true; }
    for (; n->kind == D_TEXT && w->name; w++) {
        const char *tail = n->s;
        size_t i;
        len = strlen(w->name);
        if (n->len > len && n->s[n->len - len - 1] == '_') tail += n->len - len;
        for (i = 0; i <= len && (tail[i] | 32) == (w->name[i] | 32); i++) ;
        if (i == len + 1 || (i == len && !tail[i])) { *out = w->value; return true; }
    }
    return false;
}

static sbx_pairs to_pairs(step *s, const node *n)
{
    sbx_pairs p = { NULL, 0 };
    sbx_pair *items = input(s, (n->count + 1) * sizeof *items);
    const node *m;
    for (m = n->first; m; m = m->next) {
        items[p.count].key = input_text(s, m->key, strlen(m->key));
        items[p.count++].value = m->kind == D_TEXT ? input_text(s, m->s, m->len) : "";
        if (m->kind != D_TEXT) bad(s, "its values are texts", n->key);
    }
    p.items = items;
    return p;
}

static sbx_strings to_strings(step *s, const node *n)
{
    sbx_strings p = { NULL, 0 };
    const char **items = input(s, (n->count + 1) * sizeof *items);
    const node *m;
    for (m = n->first; m; m = m->next) {
        items[p.count++] = m->kind == D_TEXT ? input_text(s, m->s, m->len) : "";
        if (m->kind != D_TEXT) bad(s, "its items are texts", n->key);
    }
    p.items = items;
    return p;
}

static sbx_ports to_ports(step *s, const node *n)
{
    sbx_ports p = { NULL, 0 };
    uint16_t *items = input(s, (n->count + 1) * sizeof *items);
    const node *m;
    for (m = n->first; m; m = m->next) items[p.count++] = (uint16_t)m->i;
    p.items = items;
    return p;
}

/* A text as it is, anything else as JSON. */
static const char *to_json(step *s, const node *n)
{
    text t = {0};
    if (n->kind == D_TEXT) return input_text(s, n->s, n->len);
    dom_print(&t, n);
    return input_text(s, t.p, t.len);
}

static void to_struct(step *s, const member *table, const node *object, void *base);

static int on_out(void *ctx, const void *p, size_t len);
static int on_err(void *ctx, const void *p, size_t len);
static void on_started(void *ctx, uint32_t pid);
static int on_piece(void *ctx, const sbx_code_piece *piece);

static bool truth(const node *n) { return n->kind != D_BOOL || n->i; }

static void set_sink(step *s, sbx_sink *sink, int (*put)(void *, const void *, size_t))
{
    sink->put = put;
    sink->ctx = s;
}

static bool to_number(const member *m, const node *n, void *at)
{
    if (n->kind != D_NUMBER || !n->whole) return false;
    switch (m->type) {
    case T_I32: *(int32_t *)at = (int32_t)n->i; return n->i == (int32_t)n->i;
    case T_U32: *(uint32_t *)at = (uint32_t)n->i; return n->i == (int64_t)(uint32_t)n->i;
    case T_SIZE: *(size_t *)at = (size_t)n->i; return n->i >= 0;
    default: *(int64_t *)at = n->i; return true;
    }
}

static bool to_member(step *s, const member *m, const node *n, void *base)
{
    char *at = (char *)base + m->offset;
    int w = 0;
    switch (m->type) {
    case T_TEXT:
        if (n->kind != D_TEXT) return false;
        *(const char **)(void *)at = input_text(s, n->s, n->len);
        return true;
    case T_CHARS:
        if (n->kind != D_TEXT || n->len >= m->more) return false;
        memcpy(at, n->s, n->len + 1);
        return true;
    case T_I32: case T_U32: case T_I64: case T_SIZE: return to_number(m, n, at);
    case T_CHOICE:
        if (!to_word(choices, n, &w)) return false;
        *(sbx_choice *)(void *)at = (sbx_choice)w;
        return true;
    case T_WORD:
        if (!to_word(m->words, n, &w)) return false;
        memcpy(at, &w, sizeof w);
        return true;
    case T_PAIRS:
        if (n->kind != D_OBJECT) return false;
        *(sbx_pairs *)(void *)at = to_pairs(s, n);
        return true;
    case T_STRINGS:
        if (n->kind != D_LIST) return false;
        *(sbx_strings *)(void *)at = to_strings(s, n);
        return true;
    case T_PORTS:
        if (n->kind != D_LIST) return false;
        *(sbx_ports *)(void *)at = to_ports(s, n);
        return true;
    case T_JSON:
        *(const char **)(void *)at = to_json(s, n);
        return true;
    case T_STRUCT:
        to_struct(s, m->inner, n, at);
        return true;
    case T_SINK:
        if (truth(n)) set_sink(s, (sbx_sink *)(void *)at, strcmp(m->name, "err") ? on_out : on_err);
        return true;
    case T_STARTED: {
        sbx_command_options *o = base;
        if (truth(n)) o->started = on_started;
        o->started_ctx = s;
        return true;
    }
    case T_RESULTS: {
        sbx_run_code_options *o = base;
        if (truth(n)) o->each = on_piece;
        o->each_ctx = s;
        return true;
    }
    default: return false;
    }
}

static const member *find_member(const member *table, const char *name)
{
    for (; table && table->name; table++)
        if (!strcmp(table->name, name)) return table;
    return NULL;
}

static void to_struct(step *s, const member *table, const node *object, void *base)
{
    const node *n;
    if (!object || object->kind == D_NULL) return;
    if (object->kind != D_OBJECT) { bad(s, "not an object", object->key); return; }
    for (n = object->first; n; n = n->next) {
        const member *m = find_member(table, n->key);
        const node *v = resolve(s, n);
        if (!m) bad(s, "there is no such member", n->key);
        else if (v && v->kind != D_NULL && !to_member(s, m, v, base))
            bad(s, "not of its type, or too large", n->key);
    }
}

/* ---- C to JSON ---------------------------------------------------------------- */
static node *from_pairs(const sbx_pairs *p)
{
    node *n = dom_new(p->items ? D_OBJECT : D_NULL);
    size_t i;
    for (i = 0; p->items && i < p->count; i++)
        dom_add(n, p->items[i].key, dom_string(p->items[i].value));
    if (p->items) n->i = 1;
    return n;
}

static node *from_word(const word *words, int value)
{
    node *n = dom_new(D_ENUM);
    n->words = words;
    n->i = value;
    return n;
}

static node *from_bool(bool b)
{
    node *n = dom_new(D_BOOL);
    n->i = b;
    return n;
}

static node *from_strings(const sbx_strings *p)
{
    node *n = dom_new(p->items ? D_LIST : D_NULL);
    size_t i;
    for (i = 0; p->items && i < p->count; i++) dom_add(n, NULL, dom_string(p->items[i]));
    return n;
}

static node *from_member(const member *m, const void *base)
{
    const char *at = (const char *)base + m->offset;
    int w;
    switch (m->type) {
    case T_TEXT: return dom_string(*(const char *const *)(const void *)at);
    case T_CHARS:
        return dom_bytes(at, strlen(at));
    case T_INT: return dom_int(*(const int *)(const void *)at);
    case T_I32: return dom_int(*(const int32_t *)(const void *)at);
    case T_U32: return dom_int(*(const uint32_t *)(const void *)at);
    case T_I64: return dom_int(*(const int64_t *)(const void *)at);
    case T_U64: return dom_int((int64_t)*(const uint64_t *)(const void *)at);
    case T_SIZE: return dom_int((int64_t)*(const size_t *)(const void *)at);
    case T_BOOL: return from_bool(*(const bool *)(const void *)at);
    case T_CHOICE: return from_word(choices, *(const sbx_choice *)(const void *)at);
    case T_WORD: memcpy(&w, at, sizeof w); return from_word(m->words, w);
    case T_PAIRS: return from_pairs((const sbx_pairs *)(const void *)at);
    case T_STRINGS: return from_strings((const sbx_strings *)(const void *)at);
    case T_OUT_BYTES: {
        const char *p = *(char *const *)(const void *)at;
        size_t len = *(const size_t *)(const void *)((const char *)base + m->more);
        return p ? dom_bytes(p, len) : dom_new(D_NULL);
    }
    default: return dom_new(D_NULL);
    }
}

static node *from_struct(const member *table, const void *base)
{
    node *n = dom_new(D_OBJECT);
    for (; table->name; table++) dom_add(n, table->name, from_member(table, base));
    return n;
}

/* ---- callbacks ---------------------------------------------------------------- */
static void event(step *s, const char *name, node *value)
{
    node *e = dom_new(D_OBJECT);
    dom_add(e, name, value);
    dom_add(s->events, NULL, e);
}

/* Neighbouring pieces of one stream are one event. */
static int output(step *s, const char *name, const void *p, size_t len)
{
    node *last = s->events->last ? s->events->last->first : NULL;
    if (!len) complain(s->run->report, "sink: put() of nothing");
    if (last && !strcmp(last->key, name) && last->kind == D_TEXT) {
        char *joined = keep(last->len + len + 1);
        memcpy(joined, last->s, last->len);
        memcpy(joined + last->len, p, len);
        last->s = joined;
        last->len += len;
    } else event(s, name, dom_bytes(p, len));
    return SBX_OK;
}

static int on_out(void *ctx, const void *p, size_t len) { return output(ctx, "stdout", p, len); }
static int on_err(void *ctx, const void *p, size_t len) { return output(ctx, "stderr", p, len); }
static int on_data(void *ctx, const void *p, size_t len) { return output(ctx, "data", p, len); }
static void on_started(void *ctx, uint32_t pid) { event(ctx, "started", dom_int(pid)); }

static int on_piece(void *ctx, const sbx_code_piece *p)
{
    const word *w = code_formats;
    if (p->format == SBX_CODE_END) {
        event(ctx, "result", from_bool(p->main_result));
        return SBX_OK;
    }
    while (w->name && w->value != (int)p->format) w++;
    return output(ctx, w->name ? w->name : "unknown", p->data, p->len);
}

static void on_done(void *user, sbx_op *handle, int status)
{
    step *s = user;
    (void)handle;
    s->dones++;
    s->done_status = status;
}

static int each_sandbox(void *ctx, const sbx_sandbox_info *i)
{
    dom_add(((step *)ctx)->items, NULL, from_struct(info_members, i));
    return SBX_OK;
}

static int each_process(void *ctx, const sbx_process_info *i)
{
    dom_add(((step *)ctx)->items, NULL, from_struct(process_members, i));
    return SBX_OK;
}

static int each_file(void *ctx, const sbx_file_info *i)
{
    dom_add(((step *)ctx)->items, NULL, from_struct(file_members, i));
    return SBX_OK;
}

static int each_snapshot(void *ctx, const sbx_snapshot_info *i)
{
    dom_add(((step *)ctx)->items, NULL, from_struct(snapshot_members, i));
    return SBX_OK;
}

static int each_metrics(void *ctx, const sbx_metrics *m)
{
    dom_add(((step *)ctx)->items, NULL, from_struct(metrics_members, m));
    return SBX_OK;
}

static int each_log(void *ctx, const sbx_log *l)
{
    dom_add(((step *)ctx)->items, NULL, from_struct(log_members, l));
    return SBX_OK;
}

/* A handle is {id, and its access}, a failure {status, and its error}. */
static int each_fork(void *ctx, sbx_sandbox *fork, const sbx_error *error)
{
    sbx_sandbox_access a;
    node *n;
    if (fork && sbx_sandbox_get_access(fork, &a) == SBX_OK) {
        n = from_struct(access_members, &a);
        dom_add(n, "id", dom_string(sbx_sandbox_id(fork)));
    } else {
        n = from_struct(error_members, error);
        dom_add(n, "status", dom_string(sbx_status_name(error->status)));
    }
    sbx_sandbox_release(fork);
    dom_add(((step *)ctx)->items, NULL, n);
    return SBX_OK;
}

static int on_watch(void *ctx, const sbx_watch_event *e)
{
    node *n = dom_new(D_OBJECT);
    dom_add(n, "type", from_word(watch_types, (int)e->type));
    dom_add(n, "name", dom_string(e->name));
    dom_add(n, "entry", e->entry ? from_struct(file_members, e->entry) : dom_new(D_NULL));
    event(ctx, "change", n);
    return SBX_OK;
}

static int feed_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    feed *f = ctx;
    size_t n;
    *got = 0;
    while (f->at < f->count && f->pos == f->lens[f->at]) { f->at++; f->pos = 0; }
    if (f->at == f->count) return SBX_OK;
    n = f->lens[f->at] - f->pos;
    if (f->way == BYTES) n = 1;
    if (n > cap) n = cap;
    memcpy(buf, f->pieces[f->at] + f->pos, n);
    f->pos += n;
    *got = n;
    return SBX_OK;
}

static int feed_rewind(void *ctx)
{
    feed *f = ctx;
    f->at = f->pos = 0;
    return SBX_OK;
}

/* A text or {"b64"}: memory of known size. {"pieces": [...], "size": N}: as said,
   the size is unknown (-1) unless given; "once": true leaves rewind out; "whole": true
   gives each piece at once in every way. */
static sbx_source to_source(step *s, const node *n)
{
    sbx_source source = {0};
    feed *f = keep(sizeof *f);
    const node *pieces = dom_get(n, "pieces"), *size = dom_get(n, "size"), *m;
    size_t count = pieces ? pieces->count : 1, i = 0;
    f->pieces = keep((count + 1) * sizeof *f->pieces);
    f->lens = keep((count + 1) * sizeof *f->lens);
    f->count = count;
    f->way = dom_has(n, "whole") ? BLOCKING : s->run->peer->way;
    for (m = pieces ? pieces->first : n; m && i < count; m = m->next, i++)
        if (!dom_data(m, &f->pieces[i], &f->lens[i])) bad(s, "neither text nor {\"b64\"}", n->key);
    source.get = feed_get;
    source.rewind = dom_has(n, "once") ? NULL : feed_rewind;
    source.ctx = f;
    source.size = size ? size->i : pieces ? -1 : (int64_t)f->lens[0];
    return source;
}

/* ---- positional arguments ----------------------------------------------------- */
static const node *arg(step *s, const char *name)
{
    const node *n = dom_has(s->args, name);
    return n ? resolve(s, n) : NULL;
}

static const char *text_arg(step *s, const char *name)
{
    const node *n = arg(s, name);
    if (!n) return NULL;
    if (n->kind != D_TEXT) { bad(s, "not a text", name); return NULL; }
    return input_text(s, n->s, n->len);
}

static int64_t int_arg(step *s, const char *name)
{
    const node *n = arg(s, name);
    if (n && (n->kind != D_NUMBER || !n->whole)) bad(s, "not a whole number", name);
    return n ? n->i : 0;
}

static sbx_sandbox *sandbox_arg(step *s)
{
    const node *n = dom_has(s->args, "sandbox");
    const char *name = dom_text(n, "$");
    named *got = name ? find(s->run, name) : NULL;
    if (!got || !got->sandbox) bad(s, "not the name of a sandbox", "sandbox");
    return got ? got->sandbox : NULL;
}

static sbx_proc *proc_arg(step *s)
{
    const char *name = dom_text(dom_has(s->args, "proc"), "$");
    named *got = name ? find(s->run, name) : NULL;
    if (!got || !got->proc) bad(s, "not the name of a process", "proc");
    return got ? got->proc : NULL;
}

static sbx_watch *watch_arg(step *s)
{
    const char *name = dom_text(dom_has(s->args, "watch"), "$");
    named *got = name ? find(s->run, name) : NULL;
    if (!got || !got->watch) bad(s, "not the name of a watch", "watch");
    if (got) s->events = got->events;
    return got ? got->watch : NULL;
}

static const char *data_arg(step *s, size_t *len)
{
    const node *data = arg(s, "data");
    const char *p = "";
    if (!data || !dom_data(data, &p, len)) bad(s, "neither text nor {\"b64\"}", "data");
    return input_text(s, p, *len);
}

static void page_arg(step *s)
{
    const node *n = dom_has(s->args, "page");
    const char *name = dom_text(n, "$");
    named *got = name ? find(s->run, name) : NULL;
    if (!n) return;
    if (got && got->page) { s->page = got->page; return; }
    s->page = keep(sizeof *s->page);
    to_struct(s, page_members, n, s->page);
}

/* ---- the functions ------------------------------------------------------------ */
static int op_create(step *s)
{
    return sbx_sandbox_create(s->run->client, &s->options->create, &s->sandbox, s->call);
}

static int op_attach(step *s)
{
    return sbx_sandbox_attach(s->run->client, text_arg(s, "id"), dom_has(s->args, "access") ?
        &s->options->access : NULL, &s->sandbox);
}

static int op_access(step *s)
{
    sbx_sandbox_access a;
    int status = sbx_sandbox_get_access(sandbox_arg(s), &a);
    if (status == SBX_OK) s->fields = from_struct(access_members, &a);
    return status;
}

static int op_connect(step *s)
{
    s->has_value = true;
    return sbx_sandbox_connect(sandbox_arg(s), (int32_t)int_arg(s, "timeout_s"), &s->flag, s->call);
}

static int op_resume(step *s)
{
    s->has_value = true;
    return sbx_sandbox_resume(sandbox_arg(s), &s->options->resume, &s->flag, s->call);
}

static int op_pause(step *s)
{
    s->has_value = true;
    return sbx_sandbox_pause(sandbox_arg(s), &s->options->pause, &s->flag, s->call);
}

static int op_refresh(step *s)
{
    return sbx_sandbox_refresh(sandbox_arg(s), (int32_t)int_arg(s, "duration_s"), s->call);
}

static int op_set_network(step *s)
{
    return sbx_sandbox_set_network(sandbox_arg(s), &s->options->change.network,
        s->options->change.internet, s->call);
}

static int op_metrics(step *s)
{
    s->items = dom_new(D_LIST);
    return sbx_sandbox_metrics(sandbox_arg(s), int_arg(s, "start_unix_ms"),
        int_arg(s, "end_unix_ms"), each_metrics, s, s->call);
}

static int op_logs(step *s)
{
    s->items = dom_new(D_LIST);
    return sbx_sandbox_logs(sandbox_arg(s), &s->options->logs, each_log, s, s->call);
}

static int op_fork(step *s)
{
    s->items = dom_new(D_LIST);
    return sbx_sandbox_fork(sandbox_arg(s), (int32_t)int_arg(s, "count"),
        (int32_t)int_arg(s, "timeout_s"), each_fork, s, s->call);
}

static int op_snapshot(step *s)
{
    return sbx_snapshot_create(sandbox_arg(s), &s->options->snapshot, &s->snapshot, s->call);
}

static int op_snapshots(step *s)
{
    s->items = dom_new(D_LIST);
    page_arg(s);
    return sbx_snapshot_list(s->run->client, text_arg(s, "sandbox_id"), text_arg(s, "name"),
        s->page, each_snapshot, s, s->call);
}

static int op_snapshot_delete(step *s)
{
    s->has_value = true;
    return sbx_snapshot_delete(s->run->client, text_arg(s, "id"), &s->flag, s->call);
}

static int op_mcp_url(step *s)
{
    char url[256] = "";
    int status = sbx_sandbox_mcp_url(sandbox_arg(s), url, sizeof url);
    s->value = dom_string(url);
    return status;
}

static int op_files_url(step *s)
{
    s->text = keep(1024);
    return sbx_files_url(sandbox_arg(s), text_arg(s, "path"), &s->options->url, s->text, 1024,
        s->call);
}

static int op_info(step *s) { return sbx_sandbox_get_info(sandbox_arg(s), &s->info, s->call); }

static int op_sandboxes(step *s)
{
    s->items = dom_new(D_LIST);
    page_arg(s);
    return sbx_sandbox_list(s->run->client, &s->options->query, s->page, each_sandbox, s, s->call);
}

static int op_set_timeout(step *s)
{
    return sbx_sandbox_set_timeout(sandbox_arg(s), (int32_t)int_arg(s, "timeout_s"), s->call);
}

static int op_kill(step *s)
{
    s->has_value = true;
    return sbx_sandbox_kill(sandbox_arg(s), &s->flag, s->call);
}

static int op_is_running(step *s)
{
    s->has_value = true;
    return sbx_sandbox_is_running(sandbox_arg(s), &s->flag, s->call);
}

static int op_host(step *s)
{
    char host[256] = "";
    int status = sbx_sandbox_host(sandbox_arg(s), (uint16_t)int_arg(s, "port"), host, sizeof host);
    s->value = dom_string(host);
    return status;
}

static int op_id(step *s)
{
    s->value = dom_string(sbx_sandbox_id(sandbox_arg(s)));
    return SBX_OK;
}

static int op_release(step *s)
{
    named *n = find(s->run, dom_text(dom_has(s->args, "sandbox"), "$"));
    sbx_sandbox_release(sandbox_arg(s));
    if (n) n->sandbox = NULL;
    return SBX_OK;
}

static int op_run(step *s)
{
    sbx_command_options *o = &s->options->command;
    bool any = o->out.put || o->err.put || o->capture_limit;
    if (!any && s->wants_events) {
        set_sink(s, &o->out, on_out);
        set_sink(s, &o->err, on_err);
        o->started = on_started;
        o->started_ctx = s;
    }
    if (!any && (dom_get(dom_get(s->expect, "fields"), "out") ||
        dom_get(dom_get(s->expect, "fields"), "err"))) {
        const node *out = dom_get(dom_get(s->expect, "fields"), "out");
        if (!out || out->kind != D_NULL) o->capture_limit = 1048576;
    }
    return sbx_command_run(sandbox_arg(s), text_arg(s, "cmd"), o, &s->result, s->call);
}

static int op_run_code(step *s)
{
    sbx_run_code_options *o = &s->options->code;
    if (s->wants_events && !o->out.put && !o->err.put && !o->each) {
        set_sink(s, &o->out, on_out);
        set_sink(s, &o->err, on_err);
        o->each = on_piece;
        o->each_ctx = s;
    }
    return sbx_run_code(sandbox_arg(s), text_arg(s, "code"), o, &s->code, s->call);
}

static uint32_t pid_arg(step *s) { return (uint32_t)int_arg(s, "pid"); }

static int op_start(step *s)
{
    return sbx_command_start(sandbox_arg(s), text_arg(s, "cmd"), &s->options->command, &s->proc,
        s->call);
}

static int op_command_connect(step *s)
{
    return sbx_command_connect(sandbox_arg(s), pid_arg(s), &s->options->command, &s->proc, s->call);
}

static int op_pty_create(step *s)
{
    return sbx_pty_create(sandbox_arg(s), (uint16_t)int_arg(s, "cols"),
        (uint16_t)int_arg(s, "rows"), &s->options->command, &s->proc, s->call);
}

static int op_pty_connect(step *s)
{
    return sbx_pty_connect(sandbox_arg(s), pid_arg(s), &s->options->command, &s->proc, s->call);
}

static int op_signal(step *s)
{
    const node *n = arg(s, "signal");
    int w = 0;
    if (n && !to_word(signals, n, &w)) bad(s, "kill or term", "signal");
    s->has_value = true;
    return sbx_command_signal(sandbox_arg(s), pid_arg(s), (sbx_signal)w, &s->flag, s->call);
}

static int op_send_stdin(step *s)
{
    size_t len = 0;
    const char *p = data_arg(s, &len);
    return sbx_command_send_stdin(sandbox_arg(s), pid_arg(s), p, len, s->call);
}

static int op_send_input(step *s)
{
    size_t len = 0;
    const char *p = data_arg(s, &len);
    return sbx_pty_send_input(sandbox_arg(s), pid_arg(s), p, len, s->call);
}

static sbx_source from_arg(step *s)
{
    const node *from = arg(s, "from");
    sbx_source source = {0};
    if (from) source = to_source(s, from);
    else bad(s, "missing", "from");
    return source;
}

static int op_stream_stdin(step *s)
{
    return sbx_command_stream_stdin(sandbox_arg(s), pid_arg(s), from_arg(s), s->call);
}

static int op_stream_input(step *s)
{
    return sbx_pty_stream_input(sandbox_arg(s), pid_arg(s), from_arg(s), s->call);
}

static int op_close_stdin(step *s)
{
    return sbx_command_close_stdin(sandbox_arg(s), pid_arg(s), s->call);
}

static int op_resize(step *s)
{
    return sbx_pty_resize(sandbox_arg(s), pid_arg(s), (uint16_t)int_arg(s, "cols"),
        (uint16_t)int_arg(s, "rows"), s->call);
}

static int op_proc_next(step *s) { return sbx_proc_next(proc_arg(s), &s->piece, s->call); }

static int op_proc_wait(step *s)
{
    sbx_proc *p = proc_arg(s);
    if (p) s->events = find(s->run, dom_text(dom_has(s->args, "proc"), "$"))->events;
    return sbx_proc_wait(p, &s->result, s->call);
}

static int op_proc_write(step *s)
{
    size_t len = 0;
    const char *p = data_arg(s, &len);
    return sbx_proc_write(proc_arg(s), p, len, s->call);
}

static int op_proc_close_stdin(step *s) { return sbx_proc_close_stdin(proc_arg(s), s->call); }

static int op_proc_kill(step *s)
{
    s->has_value = true;
    return sbx_proc_kill(proc_arg(s), &s->flag, s->call);
}

static int op_proc_resize(step *s)
{
    return sbx_proc_resize(proc_arg(s), (uint16_t)int_arg(s, "cols"),
        (uint16_t)int_arg(s, "rows"), s->call);
}

static int op_watch(step *s)
{
    return sbx_files_watch(sandbox_arg(s), text_arg(s, "path"), &s->options->watch, on_watch, s,
        &s->watch, s->call);
}

static int op_watch_poll(step *s) { return sbx_watch_poll(watch_arg(s), s->call); }
static int op_watch_stop(step *s) { return sbx_watch_stop(watch_arg(s), s->call); }

static int op_processes(step *s)
{
    s->items = dom_new(D_LIST);
    return sbx_command_list(sandbox_arg(s), each_process, s, s->call);
}

static int op_command_kill(step *s)
{
    s->has_value = true;
    return sbx_command_kill(sandbox_arg(s), (uint32_t)int_arg(s, "pid"), &s->flag, s->call);
}

static int op_read(step *s)
{
    sbx_sink sink;
    set_sink(s, &sink, on_data);
    return sbx_files_read(sandbox_arg(s), text_arg(s, "path"), &s->options->files, sink, s->call);
}

static int op_read_bytes(step *s)
{
    return sbx_files_read_bytes(sandbox_arg(s), text_arg(s, "path"), &s->options->files,
        &s->data, &s->data_len, s->call);
}

static int op_write(step *s)
{
    const node *from = arg(s, "from");
    sbx_source source = {0};
    if (from) source = to_source(s, from);
    else bad(s, "missing", "from");
    return sbx_files_write(sandbox_arg(s), text_arg(s, "path"), source, &s->options->files,
        &s->file, s->call);
}

static int op_write_bytes(step *s)
{
    const node *data = arg(s, "data");
    const char *p = "";
    size_t len = 0;
    if (!data || !dom_data(data, &p, &len)) bad(s, "neither text nor {\"b64\"}", "data");
    return sbx_files_write_bytes(sandbox_arg(s), text_arg(s, "path"), input_text(s, p, len), len,
        &s->options->files, &s->file, s->call);
}

static int op_write_many(step *s)
{
    const node *files = arg(s, "files"), *n;
    size_t count = files && files->kind == D_LIST ? files->count : 0, i = 0;
    sbx_file_write *w = input(s, (count + 1) * sizeof *w);
    s->items = dom_new(D_LIST);
    for (n = files ? files->first : NULL; n && i < count; n = n->next, i++) {
        const node *path = dom_has(n, "path"), *from = dom_has(n, "from");
        if (!from) from = dom_has(n, "data");
        if (!path || !from) { bad(s, "each needs path and from", "files"); continue; }
        w[i].path = input_text(s, path->s, path->len);
        w[i].from = to_source(s, from);
    }
    return sbx_files_write_many(sandbox_arg(s), w, count, &s->options->files, each_file, s,
        s->call);
}

static int op_files(step *s)
{
    s->items = dom_new(D_LIST);
    return sbx_files_list(sandbox_arg(s), text_arg(s, "path"), &s->options->files, each_file, s,
        s->call);
}

static int op_stat(step *s)
{
    return sbx_files_stat(sandbox_arg(s), text_arg(s, "path"), &s->options->files, &s->file,
        s->call);
}

static int op_exists(step *s)
{
    s->has_value = true;
    return sbx_files_exists(sandbox_arg(s), text_arg(s, "path"), &s->options->files, &s->flag,
        s->call);
}

static int op_remove(step *s)
{
    return sbx_files_remove(sandbox_arg(s), text_arg(s, "path"), &s->options->files, s->call);
}

static int op_rename(step *s)
{
    return sbx_files_rename(sandbox_arg(s), text_arg(s, "from"), text_arg(s, "to"),
        &s->options->files, &s->file, s->call);
}

static int op_make_dir(step *s)
{
    s->has_value = true;
    return sbx_files_make_dir(sandbox_arg(s), text_arg(s, "path"), &s->options->files, &s->flag,
        s->call);
}

static int op_invoke(step *s)
{
    const node *args = arg(s, "args");
    text json = {0};
    sbx_sink sink;
    set_sink(s, &sink, on_data);
    if (args) dom_print(&json, args);
    if (dom_has(s->args, "sandbox"))
        return sbx_sandbox_invoke(sandbox_arg(s), text_arg(s, "route"),
            args ? input_text(s, json.p, json.len) : NULL, sink, s->call);
    return sbx_invoke(s->run->client, text_arg(s, "route"),
        args ? input_text(s, json.p, json.len) : NULL, sink, s->call);
}

static int op_invoke_routes(step *s)
{
    sbx_route r;
    size_t i;
    s->items = dom_new(D_LIST);
    for (i = 0; sbx_invoke_route(s->run->client, i, &r) == SBX_OK; i++) {
        node *n = dom_new(D_OBJECT);
        dom_add(n, "name", dom_string(r.name));
        dom_add(n, "method", dom_string(r.method));
        dom_add(n, "path", dom_string(r.path));
        dom_add(n, "in_sandbox", from_bool(r.in_sandbox));
        dom_add(n, "body", from_bool(r.body));
        dom_add(n, "content", from_bool(r.content));
        dom_add(s->items, NULL, n);
    }
    return SBX_OK;
}

static int op_supports(step *s)
{
    static const char *const names[] = {
#define NAME(id, text) text,
        SBX_FEATURES(NAME)
#undef NAME
        NULL };
    const char *want = text_arg(s, "feature");
    size_t i;
    for (i = 0; want && names[i]; i++)
        if (!strcmp(names[i], want)) {
            s->value = from_bool(sbx_supports(s->run->client, (sbx_feature)i));
            return SBX_OK;
        }
    bad(s, "there is no such feature", "feature");
    return SBX_OK;
}

static int op_provider_name(step *s)
{
    s->value = dom_string(sbx_provider_name(s->run->client));
    return SBX_OK;
}

/* ---- templates ------------------------------------------------------------------ */
static int on_build_log(void *ctx, const sbx_build_log *log)
{
    event(ctx, "log", from_struct(build_log_members, log));
    return SBX_OK;
}

static sbx_template *template_arg(step *s)
{
    const sbx_tree *tree = fixture_tree(s->run->peer->rules->fixture, s->run->report);
    return builder_new(s->run->client, dom_get(s->args, "template"), tree, s->run->report);
}

static void hear_builds(step *s)
{
    s->options->build.log = on_build_log;
    s->options->build.ctx = s;
}

static int op_template_build(step *s)
{
    sbx_template *t = template_arg(s);
    int status;
    hear_builds(s);
    status = sbx_template_build(t, &s->options->build, &s->build, s->call);
    sbx_template_release(t);
    return status;
}

static int op_template_build_start(step *s)
{
    sbx_template *t = template_arg(s);
    int status = sbx_template_build_start(t, &s->options->build, &s->build, s->call);
    sbx_template_release(t);
    return status;
}

static int on_text(void *ctx, const void *p, size_t len)
{
    text_add(ctx, p, len);
    return SBX_OK;
}

/* What a template is as JSON or a Dockerfile. */
static int says(step *s, int (*how)(sbx_template *t, sbx_sink to))
{
    sbx_template *t = template_arg(s);
    text all = {0};
    sbx_sink to = { on_text, &all };
    int status = how(t, to);
    if (status == SBX_OK) s->value = dom_bytes(all.p ? all.p : "", all.len);
    if (status == SBX_OK) s->fields = dom_parse(s->value->s, s->value->len);
    if (status < 0 && t) *s->error = sbx_template_error(t)->status ? *sbx_template_error(t)
        : *sbx_client_error(s->run->client);
    sbx_template_release(t);
    return status;
}

static int op_template_to_json(step *s) { return says(s, sbx_template_to_json); }
static int op_template_to_dockerfile(step *s) { return says(s, sbx_template_to_dockerfile); }

static int op_build_get_status(step *s)
{
    return sbx_build_get_status(s->run->client, text_arg(s, "template_id"),
        text_arg(s, "build_id"), (int32_t)int_arg(s, "log_offset"), on_build_log, s, &s->build,
        s->call);
}

static int op_build_wait(step *s)
{
    hear_builds(s);
    return sbx_build_wait(s->run->client, text_arg(s, "template_id"), text_arg(s, "build_id"),
        &s->options->build, &s->build, s->call);
}

static int op_template_exists(step *s)
{
    s->has_value = true;
    return sbx_template_exists(s->run->client, text_arg(s, "name"), &s->flag, s->call);
}

static int each_template(void *ctx, const sbx_template_info *info)
{
    dom_add(((step *)ctx)->items, NULL, from_struct(template_members, info));
    return SBX_OK;
}

static int op_template_list(step *s)
{
    s->items = dom_new(D_LIST);
    return sbx_template_list(s->run->client, each_template, s, s->call);
}

static int each_build(void *ctx, const sbx_template_build_item *build)
{
    dom_add(((step *)ctx)->items, NULL, from_struct(build_item_members, build));
    return SBX_OK;
}

static int op_template_builds(step *s)
{
    s->items = dom_new(D_LIST);
    page_arg(s);
    return sbx_template_builds(s->run->client, text_arg(s, "template_id"), s->page, each_build, s,
        s->call);
}

static int op_template_delete(step *s)
{
    s->has_value = true;
    return sbx_template_delete(s->run->client, text_arg(s, "template_id"), &s->flag, s->call);
}

static int op_template_set_public(step *s)
{
    const node *n = dom_has(s->args, "is_public");
    return sbx_template_set_public(s->run->client, text_arg(s, "template_id"), n && n->i, s->call);
}

static int each_tag(void *ctx, const sbx_template_tag *tag)
{
    dom_add(((step *)ctx)->items, NULL, from_struct(tag_members, tag));
    return SBX_OK;
}

static int op_template_list_tags(step *s)
{
    s->items = dom_new(D_LIST);
    return sbx_template_list_tags(s->run->client, text_arg(s, "template_id"), each_tag, s,
        s->call);
}

static sbx_strings strings_arg(step *s, const char *name)
{
    const node *n = dom_has(s->args, name);
    sbx_strings none = { NULL, 0 };
    return n && n->kind == D_LIST ? to_strings(s, n) : none;
}

static int op_template_add_tags(step *s)
{
    return sbx_template_add_tags(s->run->client, text_arg(s, "target"), strings_arg(s, "tags"),
        s->call);
}

static int op_template_remove_tags(step *s)
{
    return sbx_template_remove_tags(s->run->client, text_arg(s, "name"), strings_arg(s, "tags"),
        s->call);
}

typedef struct parameter { const char *name; type type; } parameter;
struct op {
    const char *name;
    int (*start)(step *s);
    parameter args[4];
    const char *options;        /* name of the argument that is a struct */
    const member *members;      /* of it */
    bool local;                 /* no sbx_call */
    const char *gives;
};

#define SANDBOX { "sandbox", T_HANDLE }
#define PROC { "proc", T_HANDLE }
#define TEMPLATE { "template", T_BUILDER }
static const op ops[] = {
    { "sandbox_create", op_create, { { 0, T_TEXT } }, "options", create_options, false,
        "a handle; value: its id; fields: id and those of sbx_sandbox_access" },
    { "sandbox_attach", op_attach, { { "id", T_TEXT } }, "access", access_members, true,
        "a handle; value: its id; fields: id and those of sbx_sandbox_access" },
    { "sandbox_get_access", op_access, { SANDBOX }, NULL, NULL, true,
        "fields: of sbx_sandbox_access" },
    { "sandbox_connect", op_connect, { SANDBOX, { "timeout_s", T_I32 } }, NULL, NULL, false,
        "value: resumed; fields: id and those of sbx_sandbox_access" },
    { "sandbox_get_info", op_info, { SANDBOX }, NULL, NULL, false, "fields: of sbx_sandbox_info" },
    { "sandbox_list", op_sandboxes, { { "page", T_PAGE } }, "query", query_members, false,
        "items: sbx_sandbox_info; fields: of sbx_page, if one was given; {\"$\"} of it goes on" },
    { "sandbox_set_timeout", op_set_timeout, { SANDBOX, { "timeout_s", T_I32 } }, NULL, NULL,
        false, "nothing" },
    { "sandbox_kill", op_kill, { SANDBOX }, NULL, NULL, false, "value: existed" },
    { "sandbox_is_running", op_is_running, { SANDBOX }, NULL, NULL, false, "value: running" },
    { "sandbox_host", op_host, { SANDBOX, { "port", T_PORT } }, NULL, NULL, true,
        "value: the host" },
    { "sandbox_mcp_url", op_mcp_url, { SANDBOX }, NULL, NULL, true, "value: the URL" },
    { "sandbox_resume", op_resume, { SANDBOX }, "options", resume_options, false,
        "value: resumed; fields: id and those of sbx_sandbox_access" },
    { "sandbox_pause", op_pause, { SANDBOX }, "options", pause_options, false, "value: paused" },
    { "sandbox_refresh", op_refresh, { SANDBOX, { "duration_s", T_I32 } }, NULL, NULL, false,
        "nothing" },
    { "sandbox_set_network", op_set_network, { SANDBOX }, "change", change_members, false,
        "nothing" },
    { "sandbox_metrics", op_metrics, { SANDBOX, { "start_unix_ms", T_I64 },
        { "end_unix_ms", T_I64 } }, NULL, NULL, false, "items: sbx_metrics" },
    { "sandbox_logs", op_logs, { SANDBOX }, "query", log_query, false, "items: sbx_log" },
    { "sandbox_fork", op_fork, { SANDBOX, { "count", T_I32 }, { "timeout_s", T_I32 } }, NULL,
        NULL, false, "items: id and those of sbx_sandbox_access, or status and sbx_error" },
    { "snapshot_create", op_snapshot, { SANDBOX }, "options", snapshot_options, false,
        "fields: of sbx_snapshot_info" },
    { "snapshot_list", op_snapshots, { { "sandbox_id", T_TEXT }, { "name", T_TEXT },
        { "page", T_PAGE } }, NULL, NULL, false,
        "items: sbx_snapshot_info; fields: of sbx_page, if one was given" },
    { "snapshot_delete", op_snapshot_delete, { { "id", T_TEXT } }, NULL, NULL, false,
        "value: existed" },
    { "files_url", op_files_url, { SANDBOX, { "path", T_TEXT } }, "options", url_options, false,
        "value: the URL" },
    { "sandbox_id", op_id, { SANDBOX }, NULL, NULL, true, "value: the id" },
    { "sandbox_release", op_release, { SANDBOX }, NULL, NULL, true, "nothing" },
    { "run_code", op_run_code, { SANDBOX, { "code", T_TEXT } }, "options", code_options, false,
        "fields: of sbx_run_code_result; events: {stdout}, {stderr}, {FORMAT of a result}, "
        "{result: is it the main one}" },
    { "command_run", op_run, { SANDBOX, { "cmd", T_TEXT } }, "options", command_options, false,
        "fields: of sbx_command_result; events: {started: pid}, {stdout}, {stderr}" },
    { "command_start", op_start, { SANDBOX, { "cmd", T_TEXT } }, "options", command_options,
        false, "a process; value: its pid; events: by proc_wait" },
    { "command_connect", op_command_connect, { SANDBOX, { "pid", T_U32 } }, "options",
        command_options, false, "a process; value: its pid; events: by proc_wait" },
    { "pty_create", op_pty_create, { SANDBOX, { "cols", T_PORT }, { "rows", T_PORT } }, "options",
        command_options, false, "a process; value: its pid; events: by proc_wait" },
    { "pty_connect", op_pty_connect, { SANDBOX, { "pid", T_U32 } }, "options", command_options,
        false, "a process; value: its pid; events: by proc_wait" },
    { "command_signal", op_signal, { SANDBOX, { "pid", T_U32 }, { "signal", T_WORD } }, NULL,
        NULL, false, "value: existed" },
    { "command_send_stdin", op_send_stdin, { SANDBOX, { "pid", T_U32 }, { "data", T_DATA } },
        NULL, NULL, false, "nothing" },
    { "command_close_stdin", op_close_stdin, { SANDBOX, { "pid", T_U32 } }, NULL, NULL, false,
        "nothing" },
    { "command_stream_stdin", op_stream_stdin, { SANDBOX, { "pid", T_U32 },
        { "from", T_SOURCE } }, NULL, NULL, false, "nothing" },
    { "pty_resize", op_resize, { SANDBOX, { "pid", T_U32 }, { "cols", T_PORT },
        { "rows", T_PORT } }, NULL, NULL, false, "nothing" },
    { "pty_send_input", op_send_input, { SANDBOX, { "pid", T_U32 }, { "data", T_DATA } },
        NULL, NULL, false, "nothing" },
    { "pty_stream_input", op_stream_input, { SANDBOX, { "pid", T_U32 }, { "from", T_SOURCE } },
        NULL, NULL, false, "nothing" },
    { "proc_next", op_proc_next, { PROC }, NULL, NULL, false,
        "value: the piece; fields: part" },
    { "proc_wait", op_proc_wait, { PROC }, NULL, NULL, false, "fields: of sbx_command_result; events: as command_run, since the start" },
    { "proc_write", op_proc_write, { PROC, { "data", T_DATA } }, NULL, NULL, false, "nothing" },
    { "proc_close_stdin", op_proc_close_stdin, { PROC }, NULL, NULL, false, "nothing" },
    { "proc_kill", op_proc_kill, { PROC }, NULL, NULL, false, "value: existed" },
    { "proc_resize", op_proc_resize, { PROC, { "cols", T_PORT }, { "rows", T_PORT } }, NULL,
        NULL, false, "nothing" },
    { "files_watch", op_watch, { SANDBOX, { "path", T_TEXT } }, "options", watch_options, false,
        "a watch; events, by the calls with it: {change: {type, name, entry}}" },
    { "watch_poll", op_watch_poll, { { "watch", T_HANDLE } }, NULL, NULL, false, "nothing" },
    { "watch_stop", op_watch_stop, { { "watch", T_HANDLE } }, NULL, NULL, false, "nothing" },
    { "command_list", op_processes, { SANDBOX }, NULL, NULL, false, "items: sbx_process_info" },
    { "command_kill", op_command_kill, { SANDBOX, { "pid", T_U32 } }, NULL, NULL, false,
        "value: existed" },
    { "files_read", op_read, { SANDBOX, { "path", T_TEXT } }, "options", files_options, false,
        "value: the bytes; events: {data}" },
    { "files_read_bytes", op_read_bytes, { SANDBOX, { "path", T_TEXT } }, "options",
        files_options, false, "value: the bytes" },
    { "files_write", op_write, { SANDBOX, { "path", T_TEXT }, { "from", T_SOURCE } }, "options",
        files_options, false, "fields: of sbx_file_info" },
    { "files_write_bytes", op_write_bytes, { SANDBOX, { "path", T_TEXT }, { "data", T_DATA } },
        "options", files_options, false, "fields: of sbx_file_info" },
    { "files_write_many", op_write_many, { SANDBOX, { "files", T_FILES } }, "options",
        files_options, false, "items: sbx_file_info" },
    { "files_list", op_files, { SANDBOX, { "path", T_TEXT } }, "options", files_options, false,
        "items: sbx_file_info" },
    { "files_stat", op_stat, { SANDBOX, { "path", T_TEXT } }, "options", files_options, false,
        "fields: of sbx_file_info" },
    { "files_exists", op_exists, { SANDBOX, { "path", T_TEXT } }, "options", files_options, false,
        "value: exists" },
    { "files_remove", op_remove, { SANDBOX, { "path", T_TEXT } }, "options", files_options, false,
        "nothing" },
    { "files_rename", op_rename, { SANDBOX, { "from", T_TEXT }, { "to", T_TEXT } }, "options",
        files_options, false, "fields: of sbx_file_info" },
    { "files_make_dir", op_make_dir, { SANDBOX, { "path", T_TEXT } }, "options", files_options,
        false, "value: created" },
    { "template_build", op_template_build, { TEMPLATE }, "options", build_options, false,
        "fields: of sbx_build_info; events: {log: of sbx_build_log}" },
    { "template_build_start", op_template_build_start, { TEMPLATE }, "options", build_options,
        false, "fields: of sbx_build_info" },
    { "template_to_json", op_template_to_json, { TEMPLATE }, NULL, NULL, true,
        "value: the JSON; fields: the same" },
    { "template_to_dockerfile", op_template_to_dockerfile, { TEMPLATE }, NULL, NULL, true,
        "value: the Dockerfile" },
    { "build_get_status", op_build_get_status, { { "template_id", T_TEXT },
        { "build_id", T_TEXT }, { "log_offset", T_I32 } }, NULL, NULL, false,
        "fields: of sbx_build_info; events: {log: of sbx_build_log}" },
    { "build_wait", op_build_wait, { { "template_id", T_TEXT }, { "build_id", T_TEXT } }, NULL,
        NULL, false, "fields: of sbx_build_info; events: {log: of sbx_build_log}" },
    { "template_exists", op_template_exists, { { "name", T_TEXT } }, NULL, NULL, false,
        "value: exists" },
    { "template_list", op_template_list, { { 0, T_TEXT } }, NULL, NULL, false,
        "items: sbx_template_info" },
    { "template_builds", op_template_builds, { { "template_id", T_TEXT }, { "page", T_PAGE } },
        NULL, NULL, false, "items: sbx_template_build_item; fields: of sbx_page" },
    { "template_delete", op_template_delete, { { "template_id", T_TEXT } }, NULL, NULL, false,
        "value: existed" },
    { "template_set_public", op_template_set_public, { { "template_id", T_TEXT },
        { "is_public", T_BOOL } }, NULL, NULL, false, "nothing" },
    { "template_list_tags", op_template_list_tags, { { "template_id", T_TEXT } }, NULL, NULL,
        false, "items: sbx_template_tag" },
    { "template_add_tags", op_template_add_tags, { { "target", T_TEXT }, { "tags", T_STRINGS } },
        NULL, NULL, false, "nothing" },
    { "template_remove_tags", op_template_remove_tags, { { "name", T_TEXT },
        { "tags", T_STRINGS } }, NULL, NULL, false, "nothing" },
    { "invoke", op_invoke, { SANDBOX, { "route", T_TEXT }, { "args", T_STRUCT } }, NULL, NULL,
        false, "value: the bytes of the reply; fields, items: the reply, if it is an object or list;"
        " sandbox may be left out" },
    { "invoke_routes", op_invoke_routes, { { 0, T_TEXT } }, NULL, NULL, true,
        "items: of sbx_route, of all routes" },
    { "supports", op_supports, { { "feature", T_TEXT } }, NULL, NULL, true,
        "value: true or false" },
    { "provider_name", op_provider_name, { { 0, T_TEXT } }, NULL, NULL, true, "value: the name" }
};

/* ---- make golden-ops ---------------------------------------------------------- */
static const char *const type_names[] = { "text", "int32", "uint32", "int64", "uint64", "size",
    "port", "int", "bool", "choice", "word", "text", "{name: text}", "[text]", "bytes",
    "true: a sink", "true: a callback", "{\"$\": NAME}", "text or {\"b64\"}",
    "text, {\"b64\"} or {\"pieces\": [...], \"size\": N, \"once\": true, \"whole\": true}",
    "[{\"path\": text, \"from\": source}]", "{\"limit\", \"next_token\"} or {\"$\": NAME}",
    "object", "[uint16]", "JSON", "true: a callback", "a template" };

static void print_members(const member *m)
{
    const word *w;
    for (; m->name; m++) {
        printf("    %-22s ", m->name);
        if (m->type != T_WORD) printf("%s\n", type_names[m->type]);
        else for (w = m->words; w->name; w++) printf("%s%s", w->name, w[1].name ? " | " : "\n");
    }
}

void print_ops(void)
{
    size_t i, a;
    for (i = 0; i < LEN(ops); i++) {
        const op *o = &ops[i];
        printf("%s\n", o->name);
        for (a = 0; a < LEN(o->args) && o->args[a].name; a++)
            printf("  %-24s %s\n", o->args[a].name, type_names[o->args[a].type]);
        if (o->options) {
            printf("  %-24s object of these; they may stand beside it as well\n", o->options);
            print_members(o->members);
        }
        if (!o->local) printf("  %-24s {timeout_ms: int32, api_key: text, domain: text}\n", "call");
        printf("  -> %s\n", o->gives);
    }
    puts("expect.error");
    print_members(error_members);
    puts("    message_has            text that the message must hold");
    puts("config");
    print_members(config_members);
    puts("    clocks                 object of");
    print_members(clock_members);
    builder_print();
    puts("given: kind \"sandbox\": id and the members of access");
}

/* ---- one step ----------------------------------------------------------------- */
static const op *find_op(const char *name)
{
    size_t i;
    if (!name) return NULL;
    if (!strncmp(name, "sbx_", 4)) name += 4;
    for (i = 0; i < LEN(ops); i++)
        if (!strcmp(ops[i].name, name)) return &ops[i];
    return NULL;
}

static bool is_positional(const op *o, const char *name)
{
    size_t i;
    for (i = 0; i < LEN(o->args) && o->args[i].name; i++)
        if (!strcmp(o->args[i].name, name)) return true;
    return false;
}

/* Members of the struct may stand in it or directly beside the other arguments. */
static void to_options(step *s)
{
    const node *n;
    const op *o = s->op;
    for (n = s->args ? s->args->first : NULL; n; n = n->next) {
        node one = *n;
        node object = {0};
        if (is_positional(o, n->key) || (!strcmp(n->key, "call") && !o->local)) continue;
        if (o->options && !strcmp(n->key, o->options)) {
            to_struct(s, o->members, n, s->options);
            continue;
        }
        one.next = NULL;
        object.kind = D_OBJECT;
        object.first = object.last = &one;
        object.count = 1;
        to_struct(s, o->members, &object, s->options);
    }
}

static size_t count_events(void *ctx)
{
    const step *s = ctx;
    return s && s->events ? s->events->count : 0;
}

/* One turn of the polled way: what an event loop of the user would do. */
static bool turn(run *r)
{
    unsigned long before = r->peer->activity;
    sbx_wait waits[16];
    size_t n = 0, running = 0;
    uint32_t next = 0;
    int status;
    if (r->peer->stuck) return false;
    peer_ready(r->peer);
    status = sbx_poll(r->client, 0, &running);
    if (status != SBX_OK) complain(r->report, "sbx_poll: %s", sbx_status_name(status));
    if (r->peer->activity != before || !running) return true;
    status = sbx_waits(r->client, waits, LEN(waits), &n, &next);
    if (status != SBX_OK) complain(r->report, "sbx_waits: %s", sbx_status_name(status));
    if (n > LEN(waits)) complain(r->report, "sbx_waits: %u entries", (unsigned)n);
    if (next && next < 0x7fffffffu) r->peer->now_ms += next;
    else if (next) {
        complain(r->report, "polled: nothing to do, and nothing to wait for");
        r->peer->stuck = true;
    }
    r->peer->calls++;
    return !r->peer->stuck;
}

static bool is_over(step *s)
{
    return !s->handle || sbx_op_status(s->handle) != SBX_PENDING;
}

static void check_zero(step *s)
{
    static const sbx_command_result none;
    static const sbx_run_code_result no_code;
    if (s->sandbox || s->info || s->file || s->snapshot || s->build || s->proc || s->watch || s->data ||
        s->data_len || (s->text && s->text[0]))
        complain(s->run->report, "failed, but an out-pointer is set");
    if (s->op->start != op_proc_wait && memcmp(&none, &s->result, sizeof none))
        complain(s->run->report, "failed, but the result is not zero");
    if (memcmp(&no_code, &s->code, sizeof no_code))
        complain(s->run->report, "failed, but the result is not zero");
    if (s->flag) complain(s->run->report, "failed, but the yes or no is set");
}

static void collect_handle(step *s, sbx_sandbox *sandbox)
{
    sbx_sandbox_access a;
    if (sbx_sandbox_get_access(sandbox, &a) != SBX_OK) return;
    s->fields = from_struct(access_members, &a);
    dom_add(s->fields, "id", dom_string(sbx_sandbox_id(sandbox)));
}

/* What the call gave, as JSON; frees what it owns. */
static void collect(step *s)
{
    bool ok = s->status == SBX_OK;
    if (s->status < 0 && s->op->start != op_proc_wait) check_zero(s); /* output so far is given */
    if (s->sandbox) {
        collect_handle(s, s->sandbox);
        s->value = dom_string(sbx_sandbox_id(s->sandbox));
        if (!s->as) sbx_sandbox_release(s->sandbox);
    }
    if (s->info) s->fields = from_struct(info_members, s->info);
    if (s->file) s->fields = from_struct(file_members, s->file);
    if (s->proc) {
        s->value = dom_int(sbx_proc_pid(s->proc));
        if (!s->as) sbx_proc_release(s->proc);
    }
    if (s->watch && !s->as) sbx_watch_release(s->watch);
    if (s->op->start == op_proc_next && ok) {
        s->value = dom_bytes(s->piece.data, s->piece.len);
        s->fields = dom_new(D_OBJECT);
        dom_add(s->fields, "part", from_word(parts, (int)s->piece.part));
    }
    if (s->op->start == op_proc_wait && ok) s->fields = from_struct(result_members, &s->result);
    if (s->build) s->fields = from_struct(build_members, s->build);
    if (s->snapshot) s->fields = from_struct(snapshot_members, s->snapshot);
    if (s->data) s->value = dom_bytes(s->data, s->data_len);
    if (s->text && ok) s->value = dom_string(s->text);
    if (s->op->start == op_run && ok) s->fields = from_struct(result_members, &s->result);
    if (s->op->start == op_run_code && ok) s->fields = from_struct(code_members, &s->code);
    if ((s->op->start == op_connect || s->op->start == op_resume) && ok)
        collect_handle(s, sandbox_arg(s));
    if (s->page) s->fields = from_struct(page_members, s->page);
    if ((s->op->start == op_read || s->op->start == op_invoke) && ok) {
        const node *e = s->events->first;
        s->value = e ? dom_bytes(e->first->s, e->first->len) : dom_bytes("", 0);
    }
    if (s->op->start == op_invoke && ok) {
        node *reply = dom_parse(s->value->s, s->value->len);
        if (reply && reply->kind == D_OBJECT) s->fields = reply;
        if (reply && reply->kind == D_LIST) s->items = reply;
    }
    if (s->has_value && ok) s->value = from_bool(s->flag);
    if (s->as) {
        named *n = name_it(s->run, s->as);
        if (s->sandbox) n->sandbox = s->sandbox;
        if (s->proc) n->proc = s->proc;
        if (s->watch) n->watch = s->watch;
        n->events = s->events;
        n->page = s->page;
        n->value = s->fields ? s->fields : s->value;
    }
    sbx_free(s->info);
    sbx_free(s->file);
    sbx_free(s->snapshot);
    sbx_free(s->build);
    sbx_free(s->data);
    sbx_free(s->result.out);
    sbx_free(s->result.err);
    sbx_free(s->code.out);
    sbx_free(s->code.err);
    sbx_free(s->code.traceback);
}

/* ---- expectations ------------------------------------------------------------- */
static bool is_status(const char *want, int status)
{
    const char *name = sbx_status_name(status);
    if (!strcmp(want, name)) return true;
    if (!strncmp(want, "SBX_", 4)) want += 4;
    if (!strncmp(want, "E_", 2)) want += 2;
    name += strncmp(name, "SBX_E_", 6) ? 4 : 6;
    return !strcmp(want, name);
}

static void expect_error(step *s, const node *want)
{
    node *got = from_struct(error_members, s->error), *w, rest = {0};
    for (w = want->first; w; w = w->next) {
        if (!strcmp(w->key, "message_has")) {
            if (w->kind != D_TEXT || !strstr(s->error->message, w->s))
                complain(s->run->report, "error.message: expected to hold \"%s\", got \"%s\"",
                    w->kind == D_TEXT ? w->s : "?", s->error->message);
        } else {
            node *copy = keep(sizeof *copy);
            *copy = *w;
            copy->next = NULL;
            rest.kind = D_OBJECT;
            dom_add(&rest, w->key, copy);
        }
    }
    if (rest.count) compare_result(&rest, got, "error", s->run->report);
}

/* {"stdout_b64": "..."} is {"stdout": {"b64": "..."}}. */
static const node *plain_events(const node *want)
{
    node *list = dom_new(D_LIST);
    const node *e, *m;
    for (e = want->first; e; e = e->next) {
        node *copy = dom_new(D_OBJECT);
        for (m = e->first; m; m = m->next) {
            size_t n = strlen(m->key);
            node *v = keep(sizeof *v);
            *v = *m;
            v->next = NULL;
            if (n > 4 && !strcmp(m->key + n - 4, "_b64")) {
                node *o = dom_new(D_OBJECT);
                dom_add(o, "b64", v);
                dom_add(copy, keep_bytes(m->key, n - 4), o);
            } else dom_add(copy, m->key, v);
        }
        dom_add(list, NULL, copy);
    }
    return list;
}

static void check_error(const step *s)
{
    report *r = s->run->report;
    const sbx_error *e = s->error;
    if (s->status >= 0 || s->op->local) return;
    if (e->status != s->status)
        complain(r, "error.status is %s, returned was %s", sbx_status_name(e->status),
            sbx_status_name(s->status));
    if (!e->message[0]) complain(r, "error.message is empty");
    if ((s->status == SBX_E_TIMEOUT) != (e->clock != SBX_CLOCK_NONE))
        complain(r, "error.clock is %d with %s", (int)e->clock, sbx_status_name(s->status));
}

static void check(step *s)
{
    report *r = s->run->report;
    const node *e = s->expect, *n;
    const char *want = dom_text(e, "status");
    size_t before = r->count;
    if (!want) want = "OK";
    if (!is_status(want, s->status)) {
        complain(r, "status: expected %s, got %s%s%s", want, sbx_status_name(s->status),
            s->error->message[0] ? ": " : "", s->error->message);
        if (s->status < 0) return;
    }
    for (n = e ? e->first : NULL; n; n = n->next) {
        if (!strcmp(n->key, "status")) continue;
        if (!strcmp(n->key, "fields")) compare_result(n, s->fields, "fields", r);
        else if (!strcmp(n->key, "value")) compare_result(n, s->value, "value", r);
        else if (!strcmp(n->key, "items")) compare_result(n, s->items, "items", r);
        else if (!strcmp(n->key, "events")) compare_result(plain_events(n), s->events, "events", r);
        else if (!strcmp(n->key, "error")) expect_error(s, n);
        else complain(r, "calls: expect has no member %s", n->key);
    }
    if (r->count != before) complain(r, "  of step %s", s->op->name);
}

/* Their events come in the background: those who wait for them show them. */
static bool goes_on_later(const op *o)
{
    return o->start == op_start || o->start == op_command_connect || o->start == op_pty_create
        || o->start == op_pty_connect || o->start == op_watch;
}

static node *outcome(step *s)
{
    node *o = dom_new(D_OBJECT);
    dom_add(o, "op", dom_string(s->op->name));
    dom_add(o, "status", dom_string(sbx_status_name(s->status)));
    if (s->value) dom_add(o, "value", s->value);
    if (s->fields) dom_add(o, "fields", s->fields);
    if (s->items) dom_add(o, "items", s->items);
    if (!goes_on_later(s->op)) dom_add(o, "events", s->events);
    if (s->status < 0 && !s->op->local) dom_add(o, "error", from_struct(error_members, s->error));
    return o;
}

/* ---- starting and ending ------------------------------------------------------ */
static void forget_input(step *s)
{
    while (s->input) {
        handed *h = s->input;
        s->input = h->next;
        memset(h + 1, 0xDD, h->size);
        free(h);
    }
}

static step *start(run *r, const node *said, bool beside)
{
    step *s = keep(sizeof *s);
    const char *name = dom_text(said, "op");
    r->peer->step_sends = 0;
    r->peer->step_made = r->peer->step_undone = false;
    s->run = r;
    s->op = find_op(name);
    s->args = dom_get(said, "args");
    s->expect = dom_get(said, "expect");
    s->as = dom_text(said, "as");
    s->wants_events = dom_has(s->expect, "events") != NULL || beside;
    s->events = dom_new(D_LIST);
    s->error = keep(sizeof *s->error);
    if (!s->op) {
        complain(r->report, "calls: there is no op %s", name ? name : "(none)");
        return NULL;
    }
    s->options = input(s, sizeof *s->options);
    s->call = input(s, sizeof *s->call);
    to_options(s);
    to_struct(s, call_members, dom_get(s->args, "call"), s->call);
    s->call->error = s->error;
    s->running = !s->op->local && (beside || r->peer->way == POLLED);
    if (s->running) {
        s->call->op = &s->handle;
        s->call->done = on_done;
        s->call->user = s;
    }
    s->status = s->op->start(s);
    forget_input(s);
    if (s->running && s->status == SBX_OK)
        complain(r->report, "%s: started with call.op, gave SBX_OK", s->op->name);
    if (s->running && s->status < 0 && s->handle)
        complain(r->report, "%s: failed to start, but gave an operation", s->op->name);
    if (s->status != SBX_PENDING) s->running = false;
    return s;
}

/* Waits for a step that runs, then checks it. */
static void end(step *s, node *outcomes)
{
    run *r = s->run;
    node *said;
    if (s->running) {
        while (!is_over(s) && turn(r)) ;
        s->status = sbx_op_status(s->handle);
        if (s->status == SBX_PENDING) complain(r->report, "%s never ended", s->op->name);
        else if (s->dones != 1 || s->done_status != s->status)
            complain(r->report, "%s: done() came %u times, with %s; the status is %s",
                s->op->name, s->dones, sbx_status_name(s->done_status),
                sbx_status_name(s->status));
        sbx_op_release(s->handle);
        s->handle = NULL;
    }
    collect(s);
    check_error(s);
    said = outcome(s);
    if (r->peer->fault && r->peer->fault->usual)
        fault_judge(r->peer->fault, r->peer, said, s->op->start == op_create, r->report);
    else check(s);
    dom_add(outcomes, NULL, said);
}

/* ---- memory ------------------------------------------------------------------- */
typedef struct guard { size_t size; uint32_t magic, spare; } guard;
enum { FRONT = 0x5bc0ffee, BACK = 0xA5, BACK_BYTES = 8 };

static void *count_resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    counting *c = ctx;
    guard *g = ptr ? (guard *)ptr - 1 : NULL;
    guard *fresh = NULL;
    size_t i;
    if (g && (g->magic != FRONT || g->size != old_size)) {
        complain(c->report, "allocator: old_size %u, the block has %u", (unsigned)old_size,
            (unsigned)g->size);
        return NULL;
    }
    for (i = 0; g && i < BACK_BYTES; i++)
        if (((unsigned char *)ptr)[g->size + i] != BACK) {
            complain(c->report, "allocator: written behind a block of %u", (unsigned)g->size);
            break;
        }
    if (new_size && fault_strikes(c->fault, F_ALLOC)) return NULL;
    if (new_size) {
        fresh = malloc(sizeof *fresh + new_size + BACK_BYTES);
        if (!fresh) return NULL;
        fresh->size = new_size;
        fresh->magic = FRONT;
        memset(fresh + 1, 0xCD, new_size);
        if (g) memcpy(fresh + 1, ptr, g->size < new_size ? g->size : new_size);
        memset((char *)(fresh + 1) + new_size, BACK, BACK_BYTES);
        c->blocks++;
        c->bytes += new_size;
    }
    if (g) {
        c->blocks--;
        c->bytes -= g->size;
        g->magic = 0;
        memset(g + 1, 0xDD, g->size);
        free(g);
    }
    return fresh ? fresh + 1 : NULL;
}

sbx_alloc counting_alloc(counting *c)
{
    sbx_alloc a;
    a.resize = count_resize;
    a.ctx = c;
    return a;
}

/* ---- one entry ---------------------------------------------------------------- */
/* By its name, or by a file's name that begins with it. */
static const sbx_provider *find_provider(const char *name, const char **exact)
{
#define ROW(id) if (!strncmp(name, #id, strlen(#id))) { *exact = #id; return &sbx_##id; }
    SBX_PROVIDERS(ROW)
#undef ROW
    return NULL;
}

/* What stands for itself when an entry does not say otherwise. */
typedef struct basics { const char *provider, *key, *key_env, *api_env, *sandbox_env; } basics;
static const basics known[] = {
    { "e2b", "e2b_0000000000000000000000000000000000000000", "E2B_API_KEY", "E2B_API_URL",
        "E2B_SANDBOX_URL" }
};

static bool configure(run *r, const node *entry, const char *provider, sbx_config *g, step *s)
{
    const node *config = dom_get(entry, "config"), *env = dom_get(entry, "env"), *n;
    size_t i;
    g->provider = find_provider(provider, &provider);
    if (!g->provider) {
        complain(r->report, "the library has no provider %s", provider);
        return false;
    }
    for (i = 0; i < LEN(known); i++) {
        if (strcmp(known[i].provider, provider)) continue;
        if (!dom_get(config, "api_key") && !dom_get(env, known[i].key_env))
            g->api_key = known[i].key;
        if (!dom_get(config, "api_url") && !dom_get(env, known[i].api_env))
            g->api_url = "http://" HOST;
        if (!dom_get(config, "sandbox_url") && !dom_get(env, known[i].sandbox_env))
            g->sandbox_url = "http://" HOST;
    }
    for (n = config ? config->first : NULL; n; n = n->next) {
        node one = *n, object = {0};
        if (!strcmp(n->key, "clocks")) { to_struct(s, clock_members, n, &g->clocks); continue; }
        if (n->kind == D_TEXT) one.s = recorded_now(&(rules){0}, n->s, &one.len);
        one.next = NULL;
        object.kind = D_OBJECT;
        object.first = object.last = &one;
        object.count = 1;
        to_struct(s, config_members, &object, g);
    }
    return true;
}

/* A handle that could not be made because memory failed: nothing can follow. */
static bool given_none(run *r, int status, const sbx_sandbox *sandbox)
{
    fault *f = r->peer->fault;
    if (!f || f->kind != F_ALLOC || status != SBX_E_NOMEM || sandbox) return false;
    return f->differs = true;
}

static void give(run *r, const node *given)
{
    const node *n, *m;
    for (n = given ? given->first : NULL; n; n = n->next) {
        step s = {0};
        sbx_sandbox_access a = {0};
        sbx_sandbox *sandbox = NULL;
        bool any = false;
        int status;
        const char *kind = dom_text(n, "kind"), *id = dom_text(n, "id");
        s.run = r;
            if (!kind || strcmp(kind, "sandbox") || !id)
            complain(r->report, "calls: given %s: only kind sandbox, with an id", n->key);
        for (m = n->first; m; m = m->next) {
            node one = *m, object = {0};
            if (!strcmp(m->key, "kind") || !strcmp(m->key, "id")) continue;
            any = true;
            if (m->kind == D_TEXT) one.s = recorded_now(&(rules){0}, m->s, &one.len);
            one.next = NULL;
            object.kind = D_OBJECT;
            object.first = object.last = &one;
            object.count = 1;
            to_struct(&s, access_members, &object, &a);
        }
        status = sbx_sandbox_attach(r->client, id ? id : "", any ? &a : NULL, &sandbox);
        if (status != SBX_OK && !given_none(r, status, sandbox))
            complain(r->report, "given %s: %s", n->key, sbx_status_name(status));
        name_it(r, n->key)->sandbox = sandbox;
        forget_input(&s);
    }
}

static bool goes_on(const run *r)
{
    return !r->peer->stuck && !(r->peer->fault && r->peer->fault->differs);
}

static void run_list(run *r, const node *steps, node *outcomes)
{
    const node *n;
    step *behind = NULL;
    for (n = steps->kind == D_LIST ? steps->first : steps; n && goes_on(r);
        n = steps->kind == D_LIST ? n->next : NULL) {
        const node *after = dom_get(n, "after");
        const node *next_after = n->next && steps->kind == D_LIST ? dom_get(n->next, "after") :
            NULL;
        const node *event_no = dom_get(next_after, "event");
        step *s;
        if (after && behind)
            while (count_events(behind) < r->peer->hold_at && !is_over(behind) && turn(r)) ;
        if (next_after) {
            r->peer->hold_at = event_no ? (size_t)event_no->i : 1;
            r->peer->events = count_events;
        }
        s = start(r, n, next_after != NULL);
        if (!s) break;
        if (next_after) {
            r->peer->ctx = behind = s;
            continue;
        }
        end(s, outcomes);
        r->peer->hold_at = 0;
        if (behind) end(behind, outcomes);
        behind = NULL;
    }
    r->peer->hold_at = 0;
    if (behind) end(behind, outcomes);
}

/* ---- what config.trace is told ------------------------------------------------ */
static void on_trace(void *ctx, uint32_t exchange, sbx_trace_part part, const char *p, size_t len)
{
    (void)exchange;
    (void)part;
    text_add(ctx, p, len);
}

static bool is_told(const text *told, const char *s)
{
    size_t n = strlen(s), i;
    for (i = 0; i + n <= told->len; i++)
        if (!memcmp(told->p + i, s, n)) return true;
    return false;
}

static void expect_hidden(const text *told, const char *secret, const char *where, report *r)
{
    if (strlen(secret) >= 8 && is_told(told, secret)) complain(r, "trace: %s is shown", where);
}

/* Members of a recorded reply that are tokens by their name. */
static void expect_tokens_hidden(const text *told, const node *n, report *r)
{
    for (; n; n = n->next) {
        if (n->kind == D_TEXT && n->key && (strstr(n->key, "oken") || strstr(n->key, "signature")))
            expect_hidden(told, n->s, n->key, r);
        expect_tokens_hidden(told, n->first, r);
    }
}

/* No secret of the recording is in it, and every request is. */
static void check_trace(const text *told, const peer *p, report *r)
{
    static const char *const secret[] = { "x-api-key", "x-access-token", "authorization",
        "e2b-traffic-access-token" };
    const exchange *x;
    const node *h;
    size_t done = p->done, i;
    for (x = p->first; x && done; x = x->next, done--) {
        text line = {0};
        text_format(&line, "%s %.*s", x->method, (int)strcspn(x->target, "?"), x->target);
        if (!is_told(told, line.p)) complain(r, "trace: %s is missing", line.p);
        for (h = x->headers ? x->headers->first : NULL; h; h = h->next)
            for (i = 0; i < LEN(secret); i++)
                if (!strcmp(h->key, secret[i])) expect_hidden(told, h->s, h->key, r);
        expect_tokens_hidden(told, dom_parse(x->reply, x->reply_len), r);
    }
}

static int open_client(run *r, const node *entry, const char *provider, counting *c, sbx_error *e)
{
    sbx_config config = {0};
    step setup = {0};
    int status = SBX_E_ARG;
    setup.run = r;
    if (configure(r, entry, provider, &config, &setup)) {
        config.alloc = counting_alloc(c);
        config.net = peer_net(r->peer);
        config.error = e;
        r->trace.put = on_trace;
        r->trace.limit = SBX_NEVER;
        if (!r->peer->fault) {
            r->trace.ctx = &r->told;
            config.trace = &r->trace;
        }
        status = sbx_open(&r->client, &config);
    }
    memset(&config, 0xDD, sizeof config);
    forget_input(&setup);
    return status;
}

static void use_client(run *r, const node *entry, node *outcomes)
{
    named *n;
    give(r, dom_get(entry, "given"));
    run_list(r, dom_get(entry, "steps"), outcomes);
    for (n = r->names; n; n = n->next) {
        sbx_proc_release(n->proc);
        sbx_watch_release(n->watch);
    }
    for (n = r->names; n; n = n->next) sbx_sandbox_release(n->sandbox);
    r->names = NULL;
}

/* The fault is over: what goes on in the background ends, and on the same client the
   same steps have their usual outcomes. */
static void use_again(run *r, const node *entry, const node *outcomes)
{
    node *again = dom_new(D_LIST);
    text a = {0}, b = {0};
    size_t running = 0;
    while (sbx_poll(r->client, 0, &running) == SBX_OK && running && turn(r)) ;
    peer_again(r->peer);
    use_client(r, entry, again);
    dom_print(&a, outcomes);
    dom_print(&b, again);
    if (strcmp(a.p, b.p))
        complain(r->report, "afterwards the client does not do it again:\n      %s\n      %s", a.p,
            b.p);
}

node *run_steps(const node *entry, const char *provider, peer *p, report *r)
{
    node *outcomes = dom_new(D_LIST);
    const node *usual = p->fault ? p->fault->usual : NULL;
    const bool told = !p->fault; /* with a fault nobody listens */
    counting c = {0};
    sbx_error error = {0};
    run run = {0};
    int status;
    run.peer = p;
    run.report = c.report = r;
    c.fault = p->fault;
    if (!dom_get(entry, "steps")) complain(r, "calls: there are no steps");
    if (r->count) return outcomes;
    status = open_client(&run, entry, provider, &c, &error);
    if (r->count) return outcomes;
    if (status != SBX_OK && usual) {
        fault_opened(p->fault, status, &error, r);
        if (run.client) complain(r, "sbx_open: failed, but *out is set");
        if (c.blocks) complain(r, "sbx_open: failed, but keeps %u blocks", (unsigned)c.blocks);
        p->fault->stopped = true;
        status = open_client(&run, entry, provider, &c, &error);
    } else if (status == SBX_OK) use_client(&run, entry, outcomes);
    if (p->fault) p->fault->stopped = true;
    if (status != SBX_OK)
        complain(r, "sbx_open: %s: %s", sbx_status_name(status), error.message);
    else {
        if (usual) use_again(&run, entry, usual);
        status = sbx_close(run.client);
        if (status != SBX_OK) complain(r, "sbx_close: %s", sbx_status_name(status));
    }
    peer_end(p);
    if (!r->count && told) check_trace(&run.told, p, r);
    if (c.blocks)
        complain(r, "memory: %u blocks with %u bytes were not freed", (unsigned)c.blocks,
            (unsigned)c.bytes);
    return outcomes;
}
