/* builder - template builders as they stand in calls: a list of [method, args...],
   each method a function sbx_template_<method>(). A last argument that is an object
   is its options. */
#include "golden.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEN(a) (sizeof(a) / sizeof *(a))

static const word images[] = { { SBX_IMAGE_BASE, "base" }, { SBX_IMAGE_PYTHON, "python" },
    { SBX_IMAGE_NODE, "node" }, { SBX_IMAGE_BUN, "bun" }, { SBX_IMAGE_UBUNTU, "ubuntu" },
    { SBX_IMAGE_DEBIAN, "debian" }, { SBX_IMAGE_FEDORA, "fedora" },
    { SBX_IMAGE_ALPINE, "alpine" }, { SBX_IMAGE_ARCH, "arch" }, { 0, NULL } };
static const word installers[] = { { SBX_INSTALL_APT, "apt" }, { SBX_INSTALL_PIP, "pip" },
    { SBX_INSTALL_NPM, "npm" }, { SBX_INSTALL_BUN, "bun" }, { 0, NULL } };
static const word kinds[] = { { SBX_READY_COMMAND, "command" }, { SBX_READY_PORT, "port" },
    { SBX_READY_URL, "url" }, { SBX_READY_PROCESS, "process" }, { SBX_READY_FILE, "file" },
    { SBX_READY_TIMEOUT, "timeout" }, { 0, NULL } };

static int word_of(const word *w, const node *n, report *r)
{
    for (; n && w->name; w++)
        if (dom_is(n, w->name)) return w->value;
    complain(r, "calls: template: %s is no such word", n && n->s ? n->s : "(none)");
    return -1;
}

/* ---- arguments ------------------------------------------------------------------ */

typedef struct build_call { sbx_template *t; const node *args[4]; const node *options; report *r;
    const sbx_tree *tree; } build_call;

static const char *text_at(const build_call *c, size_t i)
{
    return c->args[i] && c->args[i]->kind == D_TEXT ? c->args[i]->s : NULL;
}

/* A list of texts; one text is a list of one. */
static sbx_strings texts_at(const build_call *c, size_t i)
{
    const node *n = c->args[i], *m;
    const char **items = keep(((n ? n->count : 0) + 1) * sizeof *items);
    sbx_strings list = { items, 0 };
    if (n && n->kind == D_TEXT) items[list.count++] = n->s;
    for (m = n && n->kind == D_LIST ? n->first : NULL; m; m = m->next)
        items[list.count++] = m->kind == D_TEXT ? m->s : NULL;
    return list;
}

static sbx_pairs pairs_of(const node *n)
{
    const node *m;
    sbx_pair *items = keep(((n ? n->count : 0) + 1) * sizeof *items);
    sbx_pairs list = { items, 0 };
    for (m = n ? n->first : NULL; m; m = m->next, list.count++) {
        items[list.count].key = m->key;
        items[list.count].value = m->kind == D_TEXT ? m->s : NULL;
    }
    return list;
}

static sbx_choice choice_of(const node *n, report *r)
{
    if (n->kind == D_BOOL) return n->i ? SBX_YES : SBX_NO;
    if (dom_is(n, "yes")) return SBX_YES;
    if (dom_is(n, "no")) return SBX_NO;
    complain(r, "calls: template: %s is a choice", n->key);
    return SBX_DEFAULT;
}

typedef enum { O_TEXT, O_INT, O_CHOICE } option_type;
typedef struct option { const char *name; option_type type; size_t offset; } option;

static void to_options(const option *table, size_t n, const node *from, void *base, report *r)
{
    const node *m;
    size_t i;
    for (m = from ? from->first : NULL; m; m = m->next) {
        for (i = 0; i < n && strcmp(table[i].name, m->key); i++) ;
        if (i == n) {
            complain(r, "calls: template: there is no option %s", m->key);
        } else if (m->kind != D_NULL) {
            char *at = (char *)base + table[i].offset;
            if (table[i].type == O_TEXT) *(const char **)(void *)at = m->s;
            else if (table[i].type == O_INT) *(int32_t *)(void *)at = (int32_t)m->i;
            else *(sbx_choice *)(void *)at = choice_of(m, r);
        }
    }
}

#define O(type, s, n) { #n, type, offsetof(s, n) }
static const option step_rows[] = {
    O(O_TEXT, sbx_step_options, user), O(O_INT, sbx_step_options, mode),
    O(O_CHOICE, sbx_step_options, recursive), O(O_CHOICE, sbx_step_options, force),
    O(O_CHOICE, sbx_step_options, resolve_symlinks), O(O_CHOICE, sbx_step_options, force_upload),
    O(O_CHOICE, sbx_step_options, global), O(O_CHOICE, sbx_step_options, dev),
    O(O_CHOICE, sbx_step_options, no_recommends), O(O_CHOICE, sbx_step_options, fix_missing),
    O(O_TEXT, sbx_step_options, branch), O(O_INT, sbx_step_options, depth)
};
static const option registry_rows[] = {
    O(O_TEXT, sbx_registry, username), O(O_TEXT, sbx_registry, password),
    O(O_TEXT, sbx_registry, aws_access_key_id), O(O_TEXT, sbx_registry, aws_secret_access_key),
    O(O_TEXT, sbx_registry, aws_region), O(O_TEXT, sbx_registry, gcp_service_account_json)
};

static const sbx_step_options *options_of(const build_call *c)
{
    sbx_step_options *o = keep(sizeof *o);
    to_options(step_rows, LEN(step_rows), c->options, o, c->r);
    return o;
}

/* {"port": 80}, {"url": "...", "http_status": 204}, {"command": "..."}, ... */
static const sbx_readiness *readiness_of(const build_call *c)
{
    sbx_readiness *ready = keep(sizeof *ready);
    const node *m;
    if (!c->options) return NULL;
    for (m = c->options->first; m; m = m->next) {
        int kind;
        if (!strcmp(m->key, "http_status")) { ready->http_status = (int32_t)m->i; continue; }
        kind = word_of(kinds, dom_string(m->key), c->r);
        ready->kind = (sbx_readiness_kind)kind;
        if (kind == SBX_READY_PORT) ready->port = (uint16_t)m->i;
        else if (kind == SBX_READY_TIMEOUT) ready->timeout_ms = (int32_t)m->i;
        else ready->text = m->kind == D_TEXT ? m->s : NULL;
    }
    return ready;
}

/* ---- the methods ------------------------------------------------------------------ */

static int add_from(const build_call *c)
{
    return sbx_template_from(c->t, (sbx_image)word_of(images, c->args[0], c->r), text_at(c, 1));
}

static int add_from_image(const build_call *c)
{
    sbx_registry registry = { 0 };
    to_options(registry_rows, LEN(registry_rows), c->options, &registry, c->r);
    return sbx_template_from_image(c->t, text_at(c, 0), c->options ? &registry : NULL);
}

static int add_from_template(const build_call *c)
{
    return sbx_template_from_template(c->t, text_at(c, 0));
}

static int add_copy(const build_call *c)
{
    return sbx_template_copy_all(c->t, texts_at(c, 0), text_at(c, 1), options_of(c));
}

static int add_remove(const build_call *c)
{
    return sbx_template_remove(c->t, texts_at(c, 0), options_of(c));
}

static int add_rename(const build_call *c)
{
    return sbx_template_rename(c->t, text_at(c, 0), text_at(c, 1), options_of(c));
}

static int add_make_dir(const build_call *c)
{
    return sbx_template_make_dir(c->t, texts_at(c, 0), options_of(c));
}

static int add_make_symlink(const build_call *c)
{
    return sbx_template_make_symlink(c->t, text_at(c, 0), text_at(c, 1), options_of(c));
}

static int add_run(const build_call *c)
{
    return sbx_template_run_all(c->t, texts_at(c, 0), options_of(c));
}

static int add_run_words(const build_call *c)
{
    return sbx_template_run_words(c->t, texts_at(c, 0), options_of(c));
}

static int add_workdir(const build_call *c) { return sbx_template_workdir(c->t, text_at(c, 0)); }
static int add_user(const build_call *c) { return sbx_template_user(c->t, text_at(c, 0)); }

static int add_envs(const build_call *c)
{
    return sbx_template_envs(c->t, pairs_of(c->options));
}

static int add_install(const build_call *c)
{
    return sbx_template_install(c->t, (sbx_installer)word_of(installers, c->args[0], c->r),
        texts_at(c, 1), options_of(c));
}

static int add_git_clone(const build_call *c)
{
    return sbx_template_git_clone(c->t, text_at(c, 0), text_at(c, 1), options_of(c));
}

static int add_mcp_servers(const build_call *c)
{
    return sbx_template_mcp_servers(c->t, texts_at(c, 0));
}

static int add_dev_container(const build_call *c)
{
    return sbx_template_dev_container(c->t, text_at(c, 0),
        c->args[1] ? choice_of(c->args[1], c->r) : SBX_DEFAULT);
}

static int add_start(const build_call *c)
{
    return sbx_template_start(c->t, text_at(c, 0), readiness_of(c));
}

static int add_ready(const build_call *c) { return sbx_template_ready(c->t, readiness_of(c)); }
static int add_skip_cache(const build_call *c) { return sbx_template_skip_cache(c->t); }

static int add_from_dockerfile(const build_call *c)
{
    const node *n = c->args[0];
    return sbx_template_from_dockerfile(c->t, n ? n->s : NULL, n ? n->len : 0, NULL, NULL);
}

/* What of the fixture is left out, behind its own ignore file. */
static int add_ignore(const build_call *c)
{
    sbx_strings patterns = texts_at(c, 0);
    return sbx_template_context(c->t, c->tree, &patterns);
}

static const struct method { const char *name; int (*add)(const build_call *c);
    const char *args; } methods[] = {
    { "from", add_from, "image [version]" },
    { "from_image", add_from_image, "image {registry}" },
    { "from_template", add_from_template, "name" },
    { "from_dockerfile", add_from_dockerfile, "text" },
    { "ignore", add_ignore, "[pattern]" },
    { "copy", add_copy, "src dest {options}" },
    { "copy_all", add_copy, "[src] dest {options}" },
    { "remove", add_remove, "[path] {options}" },
    { "rename", add_rename, "from to {options}" },
    { "make_dir", add_make_dir, "[path] {options}" },
    { "make_symlink", add_make_symlink, "target path {options}" },
    { "run", add_run, "command {options}" },
    { "run_all", add_run, "[command] {options}" },
    { "run_words", add_run_words, "[word] {options}" },
    { "workdir", add_workdir, "path" },
    { "user", add_user, "user" },
    { "envs", add_envs, "{name: value}" },
    { "install", add_install, "apt|pip|npm|bun [package] {options}" },
    { "git_clone", add_git_clone, "url [path] {options}" },
    { "mcp_servers", add_mcp_servers, "[name]" },
    { "dev_container", add_dev_container, "directory [start]" },
    { "start", add_start, "command {readiness}" },
    { "ready", add_ready, "{readiness}" },
    { "skip_cache", add_skip_cache, "" }
};

sbx_template *builder_new(sbx_client *client, const node *calls, const sbx_tree *tree, report *r)
{
    sbx_template *t = sbx_template_new(client);
    const node *call, *arg;
    size_t i;
    if (!t) return NULL;
    if (tree) sbx_template_context(t, tree, NULL);
    for (call = calls ? calls->first : NULL; call; call = call->next) {
        build_call c = { 0 };
        const char *name = call->first && call->first->kind == D_TEXT ? call->first->s : "";
        size_t n = 0;
        c.t = t;
        c.r = r;
        c.tree = tree;
        for (arg = call->first ? call->first->next : NULL; arg; arg = arg->next) {
            if (arg->kind == D_OBJECT && !arg->next) c.options = arg;
            else if (n < LEN(c.args)) c.args[n++] = arg;
        }
        for (i = 0; i < LEN(methods) && strcmp(methods[i].name, name); i++) ;
        if (i < LEN(methods)) methods[i].add(&c);
        else complain(r, "calls: template: there is no method %s", name);
    }
    return t;
}

void builder_print(void)
{
    size_t i;
    puts("a template: list of [method, args...]");
    for (i = 0; i < LEN(methods); i++) printf("    %-22s %s\n", methods[i].name, methods[i].args);
    for (i = 0; i < LEN(step_rows); i++)
        printf("    %s%s", i ? "" : "{options}              ", step_rows[i].name);
    puts("");
    puts("    {readiness}            command | url, http_status | process | file: text, port: N,"
         " timeout: ms");
}
