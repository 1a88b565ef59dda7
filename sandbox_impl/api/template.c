/* api/template - the template builder: checks each step where it is added, and keeps
   the first thing that is wrong. Called by the user. */

#ifndef SBX_NO_TEMPLATE

static const sbx_error sbxi_no_template = { SBX_E_NOMEM, 0, SBX_CLOCK_NONE, SBX_TLS_NONE, -1,
    SBX_DEFAULT, SBX_DEFAULT, SBX_DEFAULT, 0, "", "" };

SBX_API sbx_template *sbx_template_new(sbx_client *client)
{
    sbx_template *t;
    if (!client) return NULL;
    t = (sbx_template *)sbxi_alloc_get(&client->link.alloc, sizeof *t);
    if (!t) {
        (void)sbxi_call_fail(client, NULL, SBX_E_NOMEM, NULL);
        return NULL;
    }
    t->client = client;
    sbxi_buf_init(&t->text, &client->link.alloc, SBX_MAX_REQUEST);
    sbxi_error_clear(&t->error);
    return t;
}

SBX_API void sbx_template_release(sbx_template *t)
{
    if (!t) return;
    t->released = true;
    if (!t->busy) sbxi_template_free(t);
}

SBX_API const sbx_error *sbx_template_error(const sbx_template *t)
{
    return t ? &t->error : &sbxi_no_template;
}

/* What speaks against touching it now: SBX_E_REENTRANT does not stick, an error does. */
static int sbxi_template_refused(const sbx_template *t)
{
    if (!t) return SBX_E_NOMEM;
    return t->busy ? SBX_E_REENTRANT : t->error.status;
}

/* Its tree, sink or notice() is called, which is the user's: nobody else may touch it
   then, and no call may block. */
static void sbxi_template_enter(sbx_template *t)
{
    t->busy = true;
    t->client->callbacks++;
}

static void sbxi_template_leave(sbx_template *t)
{
    t->client->callbacks--;
    sbxi_template_let_go(t);
}

/* ---- what all steps share ------------------------------------------------------ */

/* A step on its way into the template, with what is wrong with it so far. */
typedef struct sbxi_adding {
    sbx_template *t;
    const char *name;       /* of the function, for the message */
    sbxi_step plan;
    const char *one[2];     /* its texts, where they are not a list */
    const char *wrong;
    int status;             /* of what is wrong, 0: SBX_E_ARG */
} sbxi_adding;

static void sbxi_adding_begin(sbxi_adding *a, sbx_template *t, unsigned kind, const char *name,
                              const sbx_step_options *o)
{
    memset(a, 0, sizeof *a);
    a->t = t;
    a->name = name;
    a->plan.kind = (uint8_t)kind;
    if (o) a->plan.user = o->user;
}

static void sbxi_adding_needs(sbxi_adding *a, bool fine, const char *wrong)
{
    if (!fine && !a->wrong) a->wrong = wrong;
}

/* Its texts are one or two of the user's. */
static void sbxi_adding_texts(sbxi_adding *a, const char *first, const char *second)
{
    a->one[0] = first;
    a->one[1] = second;
    a->plan.texts.items = a->one;
    a->plan.texts.count = second ? 2 : 1;
    sbxi_adding_needs(a, first && first[0], SBXI_TEXT("a text is NULL or empty"));
}

static void sbxi_adding_list(sbxi_adding *a, const sbx_strings *list)
{
    a->plan.texts = *list;
    sbxi_adding_needs(a, sbxi_strings_ok(list, false),
        SBXI_TEXT("a text of the list is NULL or empty"));
}

static void sbxi_adding_flag(sbxi_adding *a, char letter, sbx_choice choice)
{
    if (choice == SBX_YES) a->plan.flags |= SBXI_FLAG(letter);
}

static void sbxi_adding_mode(sbxi_adding *a, const sbx_step_options *o)
{
    if (!o || !o->mode) return;
    a->plan.number = o->mode;
    a->plan.flags |= SBXI_FLAG('m');
    sbxi_adding_needs(a, o->mode > 0 && o->mode <= 07777, SBXI_TEXT("mode is not in 0..07777"));
}

/* Keeps the first error: "step 3 (copy): " and what is wrong. */
static int sbxi_template_fail(sbx_template *t, int status, const char *where, const char *wrong)
{
#ifndef SBX_NO_ERROR_TEXT
    sbx_error *e = &t->error;
    const sbxi_step *s;
    char text[8 + SBXI_DECIMAL_MAX];
    uint64_t n = 1;
    size_t len;
    for (s = t->first; s; s = s->next) n += sbxi_is_wire_step(s);
    memcpy(text, "step ", 5);
    len = 5 + sbxi_print_u64(text + 5, n);
    sbxi_put_text(e->message, sizeof e->message, text, len);
    sbxi_add_text(e->message, sizeof e->message, " (");
    sbxi_add_text(e->message, sizeof e->message, where);
    sbxi_add_text(e->message, sizeof e->message, "): ");
    sbxi_add_text(e->message, sizeof e->message, wrong);
#else
    (void)where;
    (void)wrong;
#endif
    return sbxi_error_set(&t->error, status, NULL);
}

/* Adds the step, or keeps why not. */
static int sbxi_adding_end(sbxi_adding *a)
{
    sbx_template *t = a->t;
    int rc = sbxi_template_refused(t);
    if (rc != SBX_OK) return rc;
    if (!t->client->provider->templates) {
        rc = SBX_E_UNSUPPORTED;
        a->wrong = SBXI_TEXT("this provider builds no templates");
    } else if (a->wrong) {
        rc = a->status ? a->status : SBX_E_ARG;
    } else {
        a->wrong = sbxi_step_check(&a->plan);
        if (!a->wrong) a->wrong = t->client->provider->templates->check(t, &a->plan);
        rc = a->wrong ? SBX_E_ARG : sbxi_step_add(t, &a->plan);
        if (rc == SBX_OK) return rc;
        if (!a->wrong) a->wrong = rc == SBX_E_TOO_LARGE
            ? SBXI_TEXT("more than SBX_MAX_STEPS steps") : sbx_strerror(rc);
    }
    return sbxi_template_fail(t, rc, a->name, a->wrong);
}

/* ---- what it is made from ------------------------------------------------------- */

/* A base named after skip_cache() was is made anew too. */
static int sbxi_adding_base(sbxi_adding *a)
{
    int rc = sbxi_adding_end(a);
    if (rc == SBX_OK && a->t->forced) a->t->all_forced = true;
    return rc;
}

SBX_API int sbx_template_from(sbx_template *t, sbx_image image, const char *version)
{
    sbxi_adding a;
    sbxi_buf text;
    const sbxi_image_row *row;
    int rc;
    sbxi_adding_begin(&a, t, SBXI_FROM_IMAGE, "from", NULL);
    if (!t || !t->client->provider->templates || (unsigned)image > SBX_IMAGE_ARCH) {
        sbxi_adding_needs(&a, false, SBXI_TEXT("no such image"));
        return sbxi_adding_end(&a);
    }
    row = &t->client->provider->templates->images[image];
    sbxi_adding_needs(&a, row->version || !version, SBXI_TEXT("this image has no versions"));
    sbxi_adding_needs(&a, !version || version[0], SBXI_TEXT("version is empty"));
    if (!version) version = row->version;
    sbxi_buf_init(&text, &t->client->link.alloc, SBX_MAX_LINE);
    sbxi_buf_texts(&text, row->name, version ? ":" : "", version);
    a.status = sbxi_buf_add(&text, "", 1);
    sbxi_adding_needs(&a, a.status == SBX_OK, sbx_strerror(a.status));
    sbxi_adding_texts(&a, text.data, NULL);
    rc = sbxi_adding_base(&a);
    sbxi_buf_free(&text);
    return rc;
}

/* The one of the three kinds that is filled in, as texts in the order of the struct. */
static int sbxi_add_registry(sbx_template *t, const sbx_registry *r)
{
    static const uint8_t first[] = { 0, 2, 5, 6 }; /* of each kind */
    const char *texts[6];
    sbx_strings list;
    sbxi_adding a;
    bool basic = r->username && r->password, gcp = r->gcp_service_account_json != NULL;
    bool aws = r->aws_access_key_id && r->aws_secret_access_key && r->aws_region;
    sbxi_adding_begin(&a, t, SBXI_FROM_REGISTRY, "from_image", NULL);
    texts[0] = r->username;
    texts[1] = r->password;
    texts[2] = r->aws_access_key_id;
    texts[3] = r->aws_secret_access_key;
    texts[4] = r->aws_region;
    texts[5] = r->gcp_service_account_json;
    a.plan.number = basic ? 0 : aws ? 1 : 2;
    list.items = texts + first[a.plan.number];
    list.count = (size_t)(first[a.plan.number + 1] - first[a.plan.number]);
    sbxi_adding_needs(&a, basic + aws + gcp == 1,
        SBXI_TEXT("registry: give username and password, or the three of AWS, or GCP's"));
    if (!a.wrong) sbxi_adding_list(&a, &list);
    sbxi_adding_needs(&a, !gcp || sbxi_json_ok(r->gcp_service_account_json),
        SBXI_TEXT("registry: gcp_service_account_json is not valid JSON"));
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_from_image(sbx_template *t, const char *image,
                                    const sbx_registry *registry)
{
    sbxi_adding a;
    int rc;
    sbxi_adding_begin(&a, t, SBXI_FROM_IMAGE, "from_image", NULL);
    sbxi_adding_texts(&a, image, NULL);
    rc = sbxi_adding_base(&a);
    return rc == SBX_OK && registry ? sbxi_add_registry(t, registry) : rc;
}

SBX_API int sbx_template_from_template(sbx_template *t, const char *name)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, SBXI_FROM_TEMPLATE, "from_template", NULL);
    sbxi_adding_texts(&a, name, NULL);
    return sbxi_adding_base(&a);
}

SBX_API int sbx_template_skip_cache(sbx_template *t)
{
    int rc = sbxi_template_refused(t);
    if (rc == SBX_OK) t->forced = true;
    return rc;
}

SBX_API int sbx_template_context(sbx_template *t, const sbx_tree *tree,
                                 const sbx_strings *ignore)
{
    sbxi_adding a;
    int rc = sbxi_template_refused(t);
    if (rc != SBX_OK) return rc;
    sbxi_adding_begin(&a, t, SBXI_DO_IGNORE, "context", NULL);
    sbxi_adding_needs(&a, tree && tree->next && tree->stat && tree->open && tree->read
        && tree->close, SBXI_TEXT("tree is NULL, or lacks a function"));
    if (ignore) sbxi_adding_list(&a, ignore);
    if (!a.wrong) t->tree = *tree;
    return sbxi_adding_end(&a);
}

/* ---- files ------------------------------------------------------------------------ */

SBX_API int sbx_template_copy(sbx_template *t, const char *src, const char *dest,
                              const sbx_step_options *options)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, SBXI_DO_COPY, "copy", options);
    sbxi_adding_texts(&a, src, dest);
    sbxi_adding_needs(&a, dest && dest[0], SBXI_TEXT("dest is NULL or empty"));
    sbxi_adding_mode(&a, options);
    if (options) {
        sbxi_adding_flag(&a, 's', options->resolve_symlinks);
        sbxi_adding_flag(&a, 'u', options->force_upload);
    }
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_copy_all(sbx_template *t, sbx_strings sources, const char *dest,
                                  const sbx_step_options *options)
{
    size_t i;
    int rc = sbxi_template_refused(t);
    if (!sources.items) sources.count = sources.count > 0; /* fails there */
    for (i = 0; rc == SBX_OK && i < sources.count; i++)
        rc = sbx_template_copy(t, sources.items ? sources.items[i] : NULL, dest, options);
    return rc;
}

static int sbxi_add_paths(sbx_template *t, unsigned kind, const char *name,
                          const sbx_strings *paths, const sbx_step_options *o)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, kind, name, o);
    sbxi_adding_list(&a, paths);
    sbxi_adding_needs(&a, paths->count, SBXI_TEXT("the list is empty"));
    if (kind == SBXI_DO_MAKE_DIR) sbxi_adding_mode(&a, o);
    if (o && kind == SBXI_DO_REMOVE) sbxi_adding_flag(&a, 'r', o->recursive);
    if (o && kind == SBXI_DO_REMOVE) sbxi_adding_flag(&a, 'f', o->force);
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_remove(sbx_template *t, sbx_strings paths,
                                const sbx_step_options *options)
{
    return sbxi_add_paths(t, SBXI_DO_REMOVE, "remove", &paths, options);
}

SBX_API int sbx_template_make_dir(sbx_template *t, sbx_strings paths,
                                  const sbx_step_options *options)
{
    return sbxi_add_paths(t, SBXI_DO_MAKE_DIR, "make_dir", &paths, options);
}

static int sbxi_add_two(sbx_template *t, unsigned kind, const char *name, const char *first,
                        const char *second, const sbx_step_options *o)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, kind, name, o);
    sbxi_adding_texts(&a, first, second);
    sbxi_adding_needs(&a, second && second[0], SBXI_TEXT("a text is NULL or empty"));
    if (o) sbxi_adding_flag(&a, 'f', o->force);
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_rename(sbx_template *t, const char *from, const char *to,
                                const sbx_step_options *options)
{
    return sbxi_add_two(t, SBXI_DO_RENAME, "rename", from, to, options);
}

SBX_API int sbx_template_make_symlink(sbx_template *t, const char *target, const char *path,
                                      const sbx_step_options *options)
{
    return sbxi_add_two(t, SBXI_DO_SYMLINK, "make_symlink", target, path, options);
}

/* ---- commands ---------------------------------------------------------------------- */

SBX_API int sbx_template_run(sbx_template *t, const char *command,
                             const sbx_step_options *options)
{
    sbx_strings one;
    one.items = &command;
    one.count = 1;
    return sbxi_add_paths(t, SBXI_DO_RUN, "run", &one, options);
}

SBX_API int sbx_template_run_all(sbx_template *t, sbx_strings commands,
                                 const sbx_step_options *options)
{
    return sbxi_add_paths(t, SBXI_DO_RUN, "run_all", &commands, options);
}

SBX_API int sbx_template_run_words(sbx_template *t, sbx_strings words,
                                   const sbx_step_options *options)
{
    sbxi_adding a;
    size_t i;
    bool fine = words.items && words.count;
    for (i = 0; fine && i < words.count; i++) fine = words.items[i] != NULL; /* "" is a word */
    sbxi_adding_begin(&a, t, SBXI_DO_WORDS, "run_words", options);
    a.plan.texts = words;
    sbxi_adding_needs(&a, fine, SBXI_TEXT("the list is empty, or a word of it NULL"));
    return sbxi_adding_end(&a);
}

static int sbxi_add_one(sbx_template *t, unsigned kind, const char *name, const char *text)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, kind, name, NULL);
    sbxi_adding_texts(&a, text, NULL);
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_workdir(sbx_template *t, const char *path)
{
    return sbxi_add_one(t, SBXI_DO_WORKDIR, "workdir", path);
}

SBX_API int sbx_template_user(sbx_template *t, const char *user)
{
    return sbxi_add_one(t, SBXI_DO_USER, "user", user);
}

SBX_API int sbx_template_envs(sbx_template *t, sbx_pairs envs)
{
    sbxi_adding a;
    size_t i;
    bool fine = sbxi_pairs_ok(&envs) && envs.count <= SIZE_MAX / 2;
    sbxi_adding_begin(&a, t, SBXI_DO_ENV, "envs", NULL);
    sbxi_adding_needs(&a, fine, SBXI_TEXT("a name or value is NULL"));
    for (i = 0; fine && i < envs.count; i++)
        fine = envs.items[i].key[0] && !strchr(envs.items[i].key, '=');
    sbxi_adding_needs(&a, fine, SBXI_TEXT("a name is empty or has a = in it"));
    if (!a.wrong && envs.count == 0) return sbxi_template_refused(t);
    /* a pair is two texts behind each other */
    a.plan.texts.items = (const char *const *)(const void *)envs.items;
    a.plan.texts.count = envs.count * 2;
    return sbxi_adding_end(&a);
}

/* Whether a package goes to the shell as it is, or is one text in single quotes. */
static bool sbxi_is_package(const char *name)
{
    size_t n = strlen(name);
    if (name[0] == '\'') return n > 2 && strcspn(name + 1, "'") == n - 2;
    return !name[strcspn(name, " \t\n;&|<>()$`\\\"'")];
}

SBX_API int sbx_template_install(sbx_template *t, sbx_installer with, sbx_strings packages,
                                 const sbx_step_options *options)
{
    static const sbx_step_options none;
    const sbx_step_options *o = options ? options : &none;
    sbxi_adding a;
    size_t i;
    sbxi_adding_begin(&a, t, SBXI_DO_APT + (unsigned)with, "install", o);
    sbxi_adding_needs(&a, (unsigned)with <= SBX_INSTALL_BUN, SBXI_TEXT("no such installer"));
    sbxi_adding_list(&a, &packages);
    for (i = 0; !a.wrong && i < packages.count; i++)
        sbxi_adding_needs(&a, sbxi_is_package(packages.items[i]),
            SBXI_TEXT("a package has a character that means something to the shell: quote it"));
    sbxi_adding_needs(&a, packages.count || with != SBX_INSTALL_APT,
        SBXI_TEXT("the list is empty"));
    sbxi_adding_flag(&a, 'g', o->global == SBX_DEFAULT && with == SBX_INSTALL_PIP ? SBX_YES
        : o->global);
    sbxi_adding_flag(&a, 'd', o->dev);
    sbxi_adding_flag(&a, 'n', o->no_recommends);
    sbxi_adding_flag(&a, 'x', o->fix_missing);
    sbxi_adding_flag(&a, 'p', packages.count ? SBX_YES : SBX_NO);
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_git_clone(sbx_template *t, const char *url, const char *path,
                                   const sbx_step_options *options)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, SBXI_DO_GIT, "git_clone", options);
    sbxi_adding_texts(&a, url, path);
    sbxi_adding_needs(&a, !path || path[0], SBXI_TEXT("path is empty"));
    sbxi_adding_flag(&a, 'p', path ? SBX_YES : SBX_NO);
    if (options) {
        a.plan.extra = options->branch;
        a.plan.number = options->depth;
        sbxi_adding_flag(&a, 'b', options->branch ? SBX_YES : SBX_NO);
        sbxi_adding_flag(&a, 'd', options->depth ? SBX_YES : SBX_NO);
        sbxi_adding_needs(&a, options->depth >= 0, SBXI_TEXT("depth is negative"));
    }
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_mcp_servers(sbx_template *t, sbx_strings names)
{
    return sbxi_add_paths(t, SBXI_DO_MCP, "mcp_servers", &names, NULL);
}

SBX_API int sbx_template_dev_container(sbx_template *t, const char *directory, sbx_choice start)
{
    sbxi_adding a;
    int rc;
    sbxi_adding_begin(&a, t, SBXI_DO_DEV_CONTAINER, "dev_container", NULL);
    sbxi_adding_texts(&a, directory, NULL);
    rc = sbxi_adding_end(&a);
    if (rc != SBX_OK || start != SBX_YES) return rc;
    a.plan.kind = SBXI_DO_START;
    a.plan.flags = SBXI_FLAG('z');
    rc = sbxi_adding_end(&a);
    a.plan.kind = SBXI_DO_READY;
    return rc == SBX_OK ? sbxi_adding_end(&a) : rc;
}

/* ---- the start command --------------------------------------------------------------- */

SBX_API int sbx_template_ready(sbx_template *t, const sbx_readiness *ready)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, SBXI_DO_READY, "ready", NULL);
    if (!ready || (unsigned)ready->kind > SBX_READY_TIMEOUT) {
        sbxi_adding_needs(&a, false, SBXI_TEXT("ready is NULL, or of no kind"));
        return sbxi_adding_end(&a);
    }
    if (ready->kind != SBX_READY_PORT && ready->kind != SBX_READY_TIMEOUT)
        sbxi_adding_texts(&a, ready->text, NULL);
    a.plan.flags = (uint32_t)ready->kind;
    a.plan.number = ready->kind == SBX_READY_PORT ? ready->port
        : ready->kind == SBX_READY_TIMEOUT ? SBXI_MAX(ready->timeout_ms / 1000, 1)
        : ready->http_status ? ready->http_status : 200;
    sbxi_adding_needs(&a, ready->kind != SBX_READY_PORT || ready->port, SBXI_TEXT("port is 0"));
    sbxi_adding_needs(&a, ready->timeout_ms >= 0, SBXI_TEXT("timeout_ms is negative"));
    sbxi_adding_needs(&a, a.plan.number > 0, SBXI_TEXT("http_status is negative"));
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_start(sbx_template *t, const char *command, const sbx_readiness *ready)
{
    int rc = sbxi_add_one(t, SBXI_DO_START, "start", command);
    return rc == SBX_OK && ready ? sbx_template_ready(t, ready) : rc;
}

/* ---- from a Dockerfile ----------------------------------------------------------------- */

static int sbxi_template_convert(sbx_template *t, const char *text, size_t len,
    void (*notice)(void *ctx, int line, const char *text), void *ctx)
{
    if (t->forced) t->all_forced = true;
    return t->client->provider->templates->from_dockerfile(t, text, len, notice, ctx);
}

SBX_API int sbx_template_from_dockerfile(sbx_template *t, const char *text, size_t len,
    void (*notice)(void *ctx, int line, const char *text), void *ctx)
{
    sbxi_adding a;
    int rc = sbxi_template_refused(t);
    if (rc != SBX_OK) return rc;
    sbxi_adding_begin(&a, t, SBXI_FROM_IMAGE, "from_dockerfile", NULL);
    sbxi_adding_needs(&a, text || !len, SBXI_TEXT("text is NULL"));
    if (!t->client->provider->templates || a.wrong) return sbxi_adding_end(&a);
    sbxi_template_enter(t);
    rc = sbxi_template_convert(t, text ? text : "", len, notice, ctx);
    sbxi_template_leave(t);
    return rc;
}

SBX_API int sbx_template_from_dockerfile_in(sbx_template *t, const char *path,
    void (*notice)(void *ctx, int line, const char *text), void *ctx)
{
    sbxi_buf text;
    int rc = sbxi_template_refused(t);
    if (rc != SBX_OK) return rc;
    if (!path || !path[0] || !t->tree.open)
        return sbxi_template_fail(t, SBX_E_ARG, "from_dockerfile_in",
            SBXI_TEXT("path is NULL or empty, or there is no context yet"));
    sbxi_template_enter(t);
    rc = sbxi_tree_file(&t->tree, path, &t->client->link.alloc, SBX_MAX_REQUEST, &text);
    if (rc == SBX_OK)
        rc = sbxi_template_convert(t, text.data ? text.data : "", text.len, notice, ctx);
    else rc = sbxi_template_fail(t, rc, "from_dockerfile_in", path);
    sbxi_buf_free(&text);
    sbxi_template_leave(t);
    return rc;
}

/* ---- what it says ----------------------------------------------------------------------- */

SBX_API int sbx_template_to_json(sbx_template *t, sbx_sink to)
{
    sbx_json_writer w;
    int rc = sbxi_template_refused(t);
    if (rc == SBX_OK && !t->client->provider->templates) rc = SBX_E_UNSUPPORTED;
    if (rc != SBX_OK) return rc;
    sbxi_error_clear(&t->client->error);
    sbxi_template_enter(t);
    if (t->tree.next) rc = t->client->provider->templates->hash(t, &t->client->error);
    sbx_json_writer_init(&w, to);
    if (rc == SBX_OK) t->client->provider->templates->json(&w, t);
    sbxi_template_leave(t);
    return rc == SBX_OK ? w.status : rc;
}

SBX_API int sbx_template_to_dockerfile(sbx_template *t, sbx_sink to)
{
    int rc = sbxi_template_refused(t);
    if (rc == SBX_OK && !t->client->provider->templates) rc = SBX_E_UNSUPPORTED;
    if (rc != SBX_OK) return rc;
    sbxi_template_enter(t);
    rc = t->client->provider->templates->dockerfile(t, to);
    sbxi_template_leave(t);
    return rc;
}

#endif /* SBX_NO_TEMPLATE */
