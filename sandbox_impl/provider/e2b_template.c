/* e2b_template - the template half of E2B: what the records of a builder become on the
   wire, the routes of templates and builds, and the steps of a build. Part of
   provider/e2b.c, which names it. Wire form of the Python SDK 2.63. */

#if !defined(SBX_NO_E2B) && !defined(SBX_NO_TEMPLATE)

/* ---- what the records become --------------------------------------------------- */

static const sbxi_image_row sbxi_e2b_images[] = {
    { "e2bdev/base", NULL }, { "python", "3" }, { "node", "lts" }, { "oven/bun", "latest" },
    { "ubuntu", "latest" }, { "debian", "stable" }, { "fedora", "44" }, { "alpine", "3.24" },
    { "archlinux", "latest" }
};

/* Commands of a shell; those of root are run by it unless the user says otherwise, the
   middle one only with the flag g. */
enum { SBXI_E2B_ANYBODY, SBXI_E2B_ROOT_IF_GLOBAL, SBXI_E2B_BY_ROOT };
static const struct { const char *pattern; uint8_t user; } sbxi_e2b_commands[] = {
    { "%&", 0 },                                                    /* RUN */
    { "%*", 0 },                                                    /* WORDS */
    { "rm%(r -r%)%(f -f%) %*", 0 },                                 /* REMOVE */
    { "mv %q %q%(f -f%)", 0 },                                      /* RENAME */
    { "mkdir -p%(m -m %m%) %*", 0 },                                /* MAKE_DIR */
    { "ln -s%(f -f%) %q %q", 0 },                                   /* SYMLINK */
    { "apt-get update && DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get "
      "install -y %(n--no-install-recommends %)%(x--fix-missing %)%+", SBXI_E2B_BY_ROOT },
    { "pip install %(!g--user %)%(p%+%)%(!p.%)", SBXI_E2B_ROOT_IF_GLOBAL },
    { "npm install%(g -g%)%(d --save-dev%)%(p %+%)", SBXI_E2B_ROOT_IF_GLOBAL },
    { "bun install%(g -g%)%(d --dev%)%(p %+%)", SBXI_E2B_ROOT_IF_GLOBAL },
    { "git clone %q%(b --branch %e --single-branch%)%(d --depth %d%)%(p %q%)", 0 },
    { "mcp-gateway pull %*", SBXI_E2B_BY_ROOT },
    { "devcontainer build --workspace-folder %q", SBXI_E2B_BY_ROOT }
};

/* By sbx_readiness_kind. */
static const char *const sbxi_e2b_ready[] = { "%s", "[ -n \"$(ss -Htuln sport = :%d)\" ]",
    "curl -s -o /dev/null -w \"%%{http_code}\" %q | grep -q \"%d\"", "pgrep %q > /dev/null",
    "[ -f %q ]", "sleep %d" };

/* The start command of a dev container, and what says that it is up. */
static const char sbxi_e2b_dev_start[] = "sudo devcontainer up --workspace-folder %* && sudo "
    "/prepare-exec.sh %* | sudo tee /devcontainer.sh > /dev/null && sudo chmod +x "
    "/devcontainer.sh && sudo touch /devcontainer.up";

static const char *sbxi_e2b_pattern(const sbxi_step *s)
{
    bool dev = (s->flags & SBXI_FLAG('z')) != 0;
    if (s->kind == SBXI_DO_START) return dev ? sbxi_e2b_dev_start : "%s";
    if (s->kind == SBXI_DO_READY)
        return dev ? "[ -f /devcontainer.up ]" : sbxi_e2b_ready[s->flags & 7];
    return sbxi_e2b_commands[s->kind - SBXI_DO_RUN].pattern;
}

/* The command of a record, NUL-terminated; NULL: no room, as t->text.status says. */
static const char *sbxi_e2b_command(const sbx_template *t, const sbxi_step *s)
{
    sbxi_buf *b = (sbxi_buf *)&t->text; /* scratch: nothing of the template changes */
    sbxi_buf_clear(b);
    sbxi_pattern(b, sbxi_e2b_pattern(s), s);
    return sbxi_buf_add(b, "", 1) == SBX_OK ? b->data : NULL;
}

/* Who runs it: NULL: whoever it is at that point. */
static const char *sbxi_e2b_runner(const sbxi_step *s)
{
    unsigned by = sbxi_e2b_commands[s->kind - SBXI_DO_RUN].user;
    if (s->user) return s->user;
    return by == SBXI_E2B_BY_ROOT || (by && (s->flags & SBXI_FLAG('g'))) ? "root" : NULL;
}

static const char *const sbxi_e2b_types[] = { "COPY", "ENV", "WORKDIR", "USER", "RUN" };

/* The arguments of a step of the service. */
typedef struct sbxi_e2b_args {
    const char *const *items;
    size_t count;
    const char *made[4];
    char mode[5];
} sbxi_e2b_args;

/* False: no room for its command. */
static bool sbxi_e2b_args_of(sbxi_e2b_args *a, const sbx_template *t, const sbxi_step *s)
{
    memset(a, 0, sizeof *a);
    a->items = a->made;
    if (s->kind >= SBXI_DO_RUN) {
        a->made[0] = sbxi_e2b_command(t, s);
        a->made[1] = sbxi_e2b_runner(s);
        a->count = a->made[1] ? 2 : 1;
    } else if (s->kind == SBXI_DO_COPY) {
        if (s->flags & SBXI_FLAG('m')) sbxi_octal(a->mode, s->number);
        a->made[0] = s->texts.items[0];
        a->made[1] = s->texts.items[1];
        a->made[2] = s->user ? s->user : "";
        a->made[3] = a->mode;
        a->count = 4;
    } else {
        a->items = s->texts.items;
        a->count = s->texts.count;
    }
    return a->items[0] != NULL;
}

/* One step: with its hash, if its files were read. */
static void sbxi_e2b_put_step(sbx_json_writer *w, const sbx_template *t, const sbxi_step *s)
{
    bool upload = s->kind == SBXI_DO_COPY && (s->flags & SBXI_FLAG('u'));
    sbxi_e2b_args args;
    size_t i;
    if (!sbxi_e2b_args_of(&args, t, s)) w->status = t->text.status;
    if (w->status != SBX_OK) return;
    sbx_json_begin_object(w);
    if (upload) {
        sbx_json_key(w, "forceUpload");
        sbx_json_bool(w, true);
    }
    sbx_json_key(w, "type");
    sbx_json_text(w, sbxi_e2b_types[SBXI_MIN(s->kind, SBXI_DO_RUN) - SBXI_DO_COPY]);
    sbx_json_key(w, "args");
    sbx_json_begin_array(w);
    for (i = 0; i < args.count; i++) sbx_json_text(w, args.items[i]);
    sbx_json_end_array(w);
    if (s->hash[0]) {
        sbx_json_key(w, "filesHash");
        sbx_json_text(w, s->hash);
    }
    sbx_json_key(w, "force");
    sbx_json_bool(w, s->forced || upload);
    sbx_json_end_object(w);
}

static const char *const sbxi_e2b_registries[][4] = {
    { "registry", "username", "password", NULL },
    { "aws", "awsAccessKeyId", "awsSecretAccessKey", "awsRegion" },
    { "gcp", "serviceAccountJson", NULL, NULL }
};

/* The base: of image and template the one named last; a registry belongs to its image. */
static void sbxi_e2b_put_base(sbx_json_writer *w, const sbx_template *t)
{
    const sbxi_step *base = sbxi_template_base(t), *registry = base ? base->next : NULL;
    size_t i;
    while (registry && registry->kind != SBXI_FROM_REGISTRY) registry = registry->next;
    sbx_json_key(w, base && base->kind == SBXI_FROM_TEMPLATE ? "fromTemplate" : "fromImage");
    sbx_json_text(w, base ? base->texts.items[0] : sbxi_e2b_images[0].name);
    if (!registry) return;
    sbx_json_key(w, "fromImageRegistry");
    sbx_json_begin_object(w);
    sbx_json_key(w, "type");
    sbx_json_text(w, sbxi_e2b_registries[registry->number][0]);
    for (i = 0; i < registry->texts.count; i++) {
        sbx_json_key(w, sbxi_e2b_registries[registry->number][i + 1]);
        sbx_json_text(w, registry->texts.items[i]);
    }
    sbx_json_end_object(w);
}

static void sbxi_e2b_put_command(sbx_json_writer *w, const sbx_template *t, unsigned kind,
    const char *key)
{
    const sbxi_step *s = sbxi_template_last(t, kind);
    const char *command = s ? sbxi_e2b_command(t, s) : NULL;
    if (s && !command) w->status = t->text.status;
    if (!command) return;
    sbx_json_key(w, key);
    sbx_json_text(w, command);
}

/* The members of the body that starts a build, without its brackets. */
static void sbxi_e2b_put_members(sbx_json_writer *w, const sbx_template *t, bool force)
{
    const sbxi_step *s;
    sbxi_e2b_put_base(w, t);
    sbx_json_key(w, "force");
    sbx_json_bool(w, force || t->all_forced);
    sbx_json_key(w, "steps");
    sbx_json_begin_array(w);
    for (s = t->first; s && w->status == SBX_OK; s = s->next)
        if (sbxi_is_wire_step(s)) sbxi_e2b_put_step(w, t, s);
    sbx_json_end_array(w);
    sbxi_e2b_put_command(w, t, SBXI_DO_START, "startCmd");
    sbxi_e2b_put_command(w, t, SBXI_DO_READY, "readyCmd");
}

static void sbxi_e2b_template_json(sbx_json_writer *w, const sbx_template *t)
{
    sbx_json_begin_object(w);
    sbxi_e2b_put_members(w, t, false);
    sbx_json_end_object(w);
}

/* ---- as a Dockerfile ---------------------------------------------------------------- */

static void sbxi_e2b_file_text(sbx_json_writer *to, const char *text)
{
    sbxi_json_out(to, text, strlen(text));
}

/* A line of its own: of RUN the command, of COPY two arguments, of ENV pairs. */
static void sbxi_e2b_file_step(sbx_json_writer *to, const sbx_template *t, const sbxi_step *s)
{
    sbxi_e2b_args args;
    size_t i, n;
    if (!sbxi_e2b_args_of(&args, t, s)) {
        to->status = t->text.status;
        return;
    }
    n = s->kind >= SBXI_DO_RUN ? 1 : s->kind == SBXI_DO_COPY ? 2 : args.count;
    sbxi_e2b_file_text(to, "\n");
    sbxi_e2b_file_text(to, sbxi_e2b_types[SBXI_MIN(s->kind, SBXI_DO_RUN) - SBXI_DO_COPY]);
    for (i = 0; i < n; i++) {
        sbxi_e2b_file_text(to, s->kind == SBXI_DO_ENV && i % 2 ? "=" : " ");
        sbxi_e2b_file_text(to, args.items[i]);
    }
}

static int sbxi_e2b_template_file(const sbx_template *t, sbx_sink sink)
{
    const sbxi_step *s, *from = sbxi_template_base(t);
    const char *start;
    sbx_json_writer to; /* of it only sink and status are used */
    if (from && from->kind == SBXI_FROM_TEMPLATE) return SBX_E_UNSUPPORTED;
    sbx_json_writer_init(&to, sink);
    sbxi_e2b_file_text(&to, "FROM ");
    sbxi_e2b_file_text(&to, from ? from->texts.items[0] : sbxi_e2b_images[0].name);
    for (s = t->first; s; s = s->next)
        if (sbxi_is_wire_step(s)) sbxi_e2b_file_step(&to, t, s);
    s = sbxi_template_last(t, SBXI_DO_START);
    start = s ? sbxi_e2b_command(t, s) : NULL;
    if (s && !start) return t->text.status;
    if (start) {
        sbxi_e2b_file_text(&to, "\nENTRYPOINT ");
        sbxi_e2b_file_text(&to, start);
    }
    sbxi_e2b_file_text(&to, "\n");
    return to.status;
}

/* ---- what this service does not take -------------------------------------------------- */

/* A source stays inside the context, as the text says it. */
static const char *sbxi_e2b_check_source(const char *path)
{
    int depth = 0;
    if (path[0] == '/') return SBXI_TEXT("an absolute source: name it from the context on");
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') depth--;
        else if (n && !(n == 1 && path[0] == '.')) depth++;
        if (depth < 0) return SBXI_TEXT("the source leads out of the context");
        path += n + (path[n] != 0);
    }
    return NULL;
}

static bool sbxi_e2b_is_from(const sbx_template *t, const char *name)
{
    const sbxi_step *s = sbxi_template_base(t);
    return s && s->kind == SBXI_FROM_TEMPLATE && strcmp(s->texts.items[0], name) == 0;
}

/* NULL: the record is fine. */
static const char *sbxi_e2b_template_check(const sbx_template *t, const sbxi_step *plan)
{
    if (plan->kind == SBXI_DO_COPY) return sbxi_e2b_check_source(plan->texts.items[0]);
    if (plan->kind == SBXI_DO_MCP && !sbxi_e2b_is_from(t, "mcp-gateway"))
        return SBXI_TEXT("only a template from \"mcp-gateway\" has servers");
    if (plan->kind == SBXI_DO_DEV_CONTAINER && !sbxi_e2b_is_from(t, "devcontainer"))
        return SBXI_TEXT("only a template from \"devcontainer\" has one");
    return NULL;
}


/* ---- fields ------------------------------------------------------------------------- */

static const char *const sbxi_e2b_build_states[] = { "waiting", "building", "ready", "error",
    NULL };

static const sbxi_field sbxi_e2b_request_fields[] = {
    SBXI_IN("name", STRING, build.o.name),
    SBXI_IN("tags", STRINGS, build.o.tags),
    SBXI_IN("cpuCount", INT, build.o.cpu_count),
    SBXI_IN("memoryMB", INT, build.o.memory_mib),
    SBXI_IN("minFreeDiskMb", INT, build.o.disk_mib)
};
static const sbxi_shape sbxi_e2b_request = SBXI_SHAPE(sbxi_e2b_request_fields, sbxi_args);

static const sbxi_field sbxi_e2b_reason_fields[] = {
    SBXI_FIELD("message", STRING, sbx_build_info, reason),
    SBXI_FIELD("step", STRING, sbx_build_info, reason_step)
};
static const sbxi_shape sbxi_e2b_reason = SBXI_SHAPE(sbxi_e2b_reason_fields, sbx_build_info);

static const sbxi_field sbxi_e2b_line_fields[] = {
    SBXI_FIELD("timestamp", TIME, sbx_build_log, unix_ms),
    SBXI_FIELD("level", STRING, sbx_build_log, level),
    SBXI_FIELD("message", STRING, sbx_build_log, message),
    SBXI_FIELD("step", STRING, sbx_build_log, step)
};
static const sbxi_shape sbxi_e2b_line = SBXI_SHAPE(sbxi_e2b_line_fields, sbx_build_log);

/* Of the request and of the state of a build. */
static const sbxi_field sbxi_e2b_build_fields[] = {
    SBXI_FIELD("templateID", STRING, sbx_build_info, template_id),
    SBXI_FIELD("buildID", STRING, sbx_build_info, build_id),
    SBXI_FIELD("names", STRINGS, sbx_build_info, names),
    SBXI_FIELD("aliases", STRINGS, sbx_build_info, aliases),
    SBXI_FIELD("tags", STRINGS, sbx_build_info, tags),
    { "status", sbxi_e2b_build_states, offsetof(sbx_build_info, status), 0, SBXI_T_ENUM },
    SBXI_SUB("reason", OBJECT, sbxi_e2b_reason),
    SBXI_SUB("logEntries", EACH, sbxi_e2b_line)
};
static const sbxi_shape sbxi_e2b_build = SBXI_SHAPE(sbxi_e2b_build_fields, sbx_build_info);

static const sbxi_field sbxi_e2b_status_fields[] = {
    SBXI_IN("logsOffset", STRING, build.offset), SBXI_IN("limit", STRING, build.limit)
};
static const sbxi_shape sbxi_e2b_status = SBXI_SHAPE(sbxi_e2b_status_fields, sbxi_args);

static void sbxi_e2b_put_body(sbx_json_writer *w, const void *base)
{
    const sbxi_build_args *a = (const sbxi_build_args *)base;
    sbxi_e2b_put_members(w, a->t, a->o.skip_cache == SBX_YES);
}
static const sbxi_maker sbxi_e2b_body = { sbxi_e2b_put_body };
static const sbxi_field sbxi_e2b_steps_fields[] = {
    { "", &sbxi_e2b_body, SBXI_ARG(build), SBXI_ALWAYS, SBXI_T_MEMBERS }
};
static const sbxi_shape sbxi_e2b_steps = SBXI_SHAPE(sbxi_e2b_steps_fields, sbxi_args);

static const sbxi_field sbxi_e2b_upload_fields[] = {
    SBXI_FIELD("present", BOOL, sbxi_upload, present),
    SBXI_FIELD("url", STRING, sbxi_upload, url),
    SBXI_FIELD("headers", PAIRS, sbxi_upload, headers)
};
static const sbxi_shape sbxi_e2b_upload = SBXI_SHAPE(sbxi_e2b_upload_fields, sbxi_upload);

static const sbxi_field sbxi_e2b_public_fields[] = {
    SBXI_IN("public", CHOICE, build.is_public)
};
static const sbxi_shape sbxi_e2b_public = SBXI_SHAPE(sbxi_e2b_public_fields, sbxi_args);

static const sbxi_field sbxi_e2b_add_tags_fields[] = {
    SBXI_IN("target", STRING, build.tag_name), SBXI_IN("tags", STRINGS, build.o.tags)
};
static const sbxi_shape sbxi_e2b_add_tags = SBXI_SHAPE(sbxi_e2b_add_tags_fields, sbxi_args);
static const sbxi_field sbxi_e2b_remove_tags_fields[] = {
    SBXI_IN("name", STRING, build.tag_name), SBXI_IN("tags", STRINGS, build.o.tags)
};
static const sbxi_shape sbxi_e2b_remove_tags = SBXI_SHAPE(sbxi_e2b_remove_tags_fields,
    sbxi_args);

static const sbxi_field sbxi_e2b_tag_fields[] = {
    SBXI_FIELD("tag", STRING, sbx_template_tag, tag),
    SBXI_FIELD("buildID", STRING, sbx_template_tag, build_id),
    SBXI_FIELD("createdAt", TIME, sbx_template_tag, created_unix_ms)
};
static const sbxi_shape sbxi_e2b_tag = SBXI_SHAPE(sbxi_e2b_tag_fields, sbx_template_tag);

static const sbxi_field sbxi_e2b_template_fields[] = {
    SBXI_FIELD("templateID", STRING, sbx_template_info, id),
    SBXI_FIELD("buildID", STRING, sbx_template_info, build_id),
    SBXI_FIELD("cpuCount", INT, sbx_template_info, cpu_count),
    SBXI_FIELD("memoryMB", INT, sbx_template_info, memory_mib),
    SBXI_FIELD("diskSizeMB", INT, sbx_template_info, disk_mib),
    SBXI_FIELD("public", CHOICE, sbx_template_info, is_public),
    SBXI_FIELD("aliases", STRINGS, sbx_template_info, aliases),
    SBXI_FIELD("names", STRINGS, sbx_template_info, names),
    SBXI_FIELD("createdAt", TIME, sbx_template_info, created_unix_ms),
    SBXI_FIELD("updatedAt", TIME, sbx_template_info, updated_unix_ms),
    SBXI_FIELD("lastSpawnedAt", TIME, sbx_template_info, used_unix_ms),
    SBXI_FIELD("spawnCount", INT64, sbx_template_info, used_count),
    SBXI_FIELD("buildCount", INT64, sbx_template_info, build_count),
    SBXI_FIELD("envdVersion", STRING, sbx_template_info, daemon_version),
    { "buildStatus", sbxi_e2b_build_states, offsetof(sbx_template_info, status), 0, SBXI_T_ENUM }
};
static const sbxi_shape sbxi_e2b_template = SBXI_SHAPE(sbxi_e2b_template_fields,
    sbx_template_info);

static const sbxi_field sbxi_e2b_built_fields[] = {
    SBXI_FIELD("buildID", STRING, sbx_template_build_item, build_id),
    { "status", sbxi_e2b_build_states, offsetof(sbx_template_build_item, status), 0,
        SBXI_T_ENUM },
    SBXI_FIELD("createdAt", TIME, sbx_template_build_item, created_unix_ms),
    SBXI_FIELD("updatedAt", TIME, sbx_template_build_item, updated_unix_ms),
    SBXI_FIELD("finishedAt", TIME, sbx_template_build_item, finished_unix_ms),
    SBXI_FIELD("cpuCount", INT, sbx_template_build_item, cpu_count),
    SBXI_FIELD("memoryMB", INT, sbx_template_build_item, memory_mib),
    SBXI_FIELD("diskSizeMB", INT, sbx_template_build_item, disk_mib),
    SBXI_FIELD("envdVersion", STRING, sbx_template_build_item, daemon_version)
};
static const sbxi_shape sbxi_e2b_built = SBXI_SHAPE(sbxi_e2b_built_fields,
    sbx_template_build_item);
static const sbxi_field sbxi_e2b_builds_fields[] = { SBXI_SUB("builds", EACH, sbxi_e2b_built) };
static const sbxi_shape sbxi_e2b_builds = SBXI_SHAPE(sbxi_e2b_builds_fields,
    sbx_template_build_item);
static const sbxi_field sbxi_e2b_paging_fields[] = {
    SBXI_IN("nextToken", STRING, list.token), SBXI_IN("limit", STRING, list.limit)
};
static const sbxi_shape sbxi_e2b_paging = SBXI_SHAPE(sbxi_e2b_paging_fields, sbxi_args);

/* ---- routes: rows of the provider's list ---------------------------------------------- */

enum { SBXI_E2B_BUILD_REQUEST = SBXI_ROUTE_OWN + 16, SBXI_E2B_BUILD_FILES,
    SBXI_E2B_BUILD_UPLOAD, SBXI_E2B_BUILD_START, SBXI_E2B_BUILD_STATUS };

/* How they begin: path, fields, reply, prefix, method, host, retry. */
#define SBXI_E2B_TEMPLATE_ROUTES \
    { "/v3/templates", &sbxi_e2b_request, &sbxi_e2b_build, SBXI_E2B_ROOT, SBXI_POST, \
        SBXI_HOST_CONTROL, SBXI_RETRY_REJECTED, SBXI_SEND_JSON, SBXI_RECV_RESULT, 0, \
        SBXI_E2B_BUILD_REQUEST }, \
    { "/{id}/files/{key}", NULL, &sbxi_e2b_upload, SBXI_E2B_TEMPLATES, SBXI_GET, \
        SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_RESULT, 0, \
        SBXI_E2B_BUILD_FILES }, \
    { "", NULL, NULL, SBXI_E2B_ROOT, SBXI_PUT, SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, \
        SBXI_SEND_UPLOAD, SBXI_RECV_NOTHING, 0, SBXI_E2B_BUILD_UPLOAD }, \
    { "/v2/templates/{id}/builds/{key}", &sbxi_e2b_steps, NULL, SBXI_E2B_ROOT, SBXI_POST, \
        SBXI_HOST_CONTROL, SBXI_RETRY_REJECTED, SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, \
        SBXI_E2B_BUILD_START }, \
    SBXI_E2B_BUILD_ROW(SBXI_E2B_BUILD_STATUS), \
    SBXI_E2B_BUILD_ROW(SBX_FEATURE_TEMPLATE_BUILD), \
    SBXI_E2B_BUILD_ROW(SBX_FEATURE_TEMPLATE_BUILD_START), \
    SBXI_E2B_BUILD_ROW(SBX_FEATURE_BUILD_GET_STATUS), \
    SBXI_E2B_BUILD_ROW(SBX_FEATURE_BUILD_WAIT), \
    { "/aliases/{id}", NULL, NULL, SBXI_E2B_TEMPLATES, SBXI_GET, SBXI_HOST_CONTROL, \
        SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_NOTHING, SBXI_E2B_FOREIGN_IS_YES, \
        SBX_FEATURE_TEMPLATE_EXISTS }, \
    { "/v2/templates", NULL, &sbxi_e2b_template, SBXI_E2B_ROOT, SBXI_GET, SBXI_HOST_CONTROL, \
        SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_EACH, 0, SBX_FEATURE_TEMPLATE_LIST }, \
    { "/{id}", &sbxi_e2b_paging, &sbxi_e2b_builds, SBXI_E2B_TEMPLATES, SBXI_GET, \
        SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_EACH_INSIDE, 0, \
        SBX_FEATURE_TEMPLATE_BUILDS }, \
    { "/{id}", NULL, NULL, SBXI_E2B_TEMPLATES, SBXI_DELETE, SBXI_HOST_CONTROL, \
        SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_NOTHING, SBXI_E2B_MISSING_IS_NO, \
        SBX_FEATURE_TEMPLATE_DELETE }, \
    { "/v2/templates/{id}", &sbxi_e2b_public, NULL, SBXI_E2B_ROOT, SBXI_PATCH, \
        SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, \
        SBX_FEATURE_TEMPLATE_SET_PUBLIC }, \
    { "/{id}/tags", NULL, &sbxi_e2b_tag, SBXI_E2B_TEMPLATES, SBXI_GET, SBXI_HOST_CONTROL, \
        SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_EACH, 0, \
        SBX_FEATURE_TEMPLATE_LIST_TAGS }, \
    { "/tags", &sbxi_e2b_add_tags, NULL, SBXI_E2B_TEMPLATES, SBXI_POST, SBXI_HOST_CONTROL, \
        SBXI_RETRY_SAFE, SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, \
        SBX_FEATURE_TEMPLATE_ADD_TAGS }, \
    { "/tags", &sbxi_e2b_remove_tags, NULL, SBXI_E2B_TEMPLATES, SBXI_DELETE, \
        SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, \
        SBX_FEATURE_TEMPLATE_REMOVE_TAGS },
#define SBXI_E2B_BUILD_ROW(feature) \
    { "/{id}/builds/{key}/status", &sbxi_e2b_status, &sbxi_e2b_build, SBXI_E2B_TEMPLATES, \
        SBXI_GET, SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_RESULT, 0, \
        feature }

/* ---- the steps of a build ---------------------------------------------------------------- */

enum { SBXI_E2B_REQUESTED = SBXI_STEP_OWN + 16, SBXI_E2B_READING, SBXI_E2B_KNOWN,
    SBXI_E2B_COUNTING, SBXI_E2B_SENT, SBXI_E2B_STARTED, SBXI_E2B_POLLED };

#define SBXI_E2B_POLL_MS 200
#define SBXI_E2B_SLICE 65536u /* bytes of files read before others have their turn */

/* A line of our own for the log of the user; the texts come behind each other. */
static int sbxi_e2b_say(sbx_op *op, const char *level, const char *a, const char *b,
    const char *c, const char *d)
{
    sbxi_build_args *args = &op->args.of.build;
    sbxi_buf *text = &op->captured[0].buf;
    sbx_build_log log;
    int rc;
    if (!args->o.log) return SBX_OK;
    sbxi_buf_clear(text);
    sbxi_buf_texts(text, a, b, c);
    sbxi_buf_text(text, d);
    if (sbxi_buf_add(text, "", 1) != SBX_OK) return text->status;
    memset(&log, 0, sizeof log);
    log.level = level;
    log.message = text->data;
    rc = sbxi_each_said(args->o.log(args->o.ctx, &log));
    return op->cancelled ? SBX_E_CANCELLED : rc;
}

/* Tells how far it is: files first, of which so many are done, then the steps of the
   service; -1: all of them. */
static int sbxi_e2b_advance(sbx_op *op, int32_t files, int32_t steps)
{
    sbxi_build_args *a = &op->args.of.build;
    const sbxi_step *s;
    int32_t all_files = 0, all = 0, done;
    if (!a->o.progress || !a->t) return SBX_OK;
    for (s = a->t->first; s; s = s->next) {
        all += sbxi_is_wire_step(s);
        all_files += s->kind == SBXI_DO_COPY;
    }
    done = (files < 0 ? all_files : files) + (steps < 0 ? all : SBXI_MIN(steps, all));
    all += all_files;
    if (done <= a->b->done) return SBX_OK;
    a->b->done = done;
    a->o.progress(a->o.ctx, done, all);
    return op->cancelled ? SBX_E_CANCELLED : SBX_OK;
}

/* The COPY behind b->at, from the first one on; NULL: there is no further one. */
static const sbxi_step *sbxi_e2b_next_copy(sbxi_building *b)
{
    b->at = b->at ? b->at->next : b->t->first;
    while (b->at && b->at->kind != SBXI_DO_COPY) b->at = b->at->next;
    return b->at;
}

/* ---- files ---- */

/* What is left out of the context: its own file says it, then the user. */
static int sbxi_e2b_ignores(sbxi_building *b, sbx_error *e)
{
    const sbxi_step *s = sbxi_template_last(b->t, SBXI_DO_IGNORE);
    size_t i;
    int rc = sbxi_tree_rules(&b->t->tree, ".dockerignore", &b->ignores, e);
    for (i = 0; s && rc == SBX_OK && i < s->texts.count; i++)
        rc = sbxi_ignore_add(&b->ignores, sbxi_span_of(s->texts.items[i]), e);
    return rc;
}

/* Begins to read the files of b->at. */
static int sbxi_e2b_open(sbxi_building *b, int32_t level, sbx_error *e)
{
    sbxi_plan plan;
    sbxi_context_close(b->context);
    b->context = NULL;
    memset(&plan, 0, sizeof plan);
    plan.tree = &b->t->tree;
    plan.ignore = &b->ignores;
    plan.alloc = b->alloc;
    plan.error = e;
    plan.src = b->at->texts.items[0];
    plan.dest = b->at->texts.items[1];
    plan.dialect = SBXI_GLOB_SOURCE;
    plan.follow = (b->at->flags & SBXI_FLAG('s')) != 0;
    plan.tar = level < 0;
    plan.level = (uint8_t)(level < 0 ? 0 : level ? level : 6);
    return sbxi_context_open(&b->context, &plan);
}

static int sbxi_e2b_later(sbx_op *op, int rc)
{
    return rc == SBX_E_AGAIN ? sbxi_step_later(op, SBXI_FILES_MS) : rc;
}

/* Goes on with a pass over them. SBX_PENDING: there is more to read. */
static int sbxi_e2b_read(sbx_op *op)
{
    if (!sbxi_op_left(op, sbxi_now(&op->client->link))) {
        op->error.clock = SBX_CLOCK_TOTAL;
        return SBX_E_TIMEOUT;
    }
    return sbxi_e2b_later(op, sbxi_context_step(op->args.of.build.b->context, SBXI_E2B_SLICE));
}

static int sbxi_e2b_count(void *ctx, const void *data, size_t len)
{
    size_t *left = (size_t *)ctx;
    (void)data;
    if (len > *left) return SBX_E_TOO_LARGE;
    *left -= len;
    return SBX_OK;
}

/* Whether the request of the build will have room, which is the last of all. */
static SBXI_APART int sbxi_e2b_fits(sbx_op *op)
{
    size_t left = SBX_MAX_REQUEST - SBX_MAX_REQUEST / 16; /* the rest is for its head */
    sbx_json_writer w;
    sbx_sink to;
    to.put = sbxi_e2b_count;
    to.ctx = &left;
    sbx_json_writer_init(&w, to);
    sbxi_e2b_template_json(&w, op->args.of.build.t);
    if (w.status != SBX_E_TOO_LARGE) return w.status;
    return sbxi_op_fail(op, w.status,
        SBXI_TEXT("the steps are more than SBX_MAX_REQUEST holds: copy long texts as files"));
}

/* Reads all that will be asked for, before anything is sent: what is wrong here leaves
   nothing there. */
static int sbxi_e2b_build_read(sbx_op *op)
{
    sbxi_building *b = op->args.of.build.b;
    int rc = SBX_OK;
    op->step = SBXI_E2B_READING;
    if (b->context) {
        rc = sbxi_e2b_read(op);
        if (rc != SBX_OK) return rc;
        memcpy(b->at->hash, b->context->hash, sizeof b->at->hash);
    }
    if (!sbxi_e2b_next_copy(b)) {
        sbxi_context_close(b->context);
        b->context = NULL;
        rc = sbxi_e2b_fits(op);
        return rc == SBX_OK ? sbxi_ask(op, SBXI_E2B_BUILD_REQUEST, SBXI_E2B_REQUESTED) : rc;
    }
    rc = sbxi_e2b_open(b, 0, &op->error);
    return rc == SBX_OK ? SBX_PENDING : rc;
}

/* What the log begins with. */
static int sbxi_e2b_build_begin(sbx_op *op)
{
    sbxi_build_args *a = &op->args.of.build;
    sbxi_buf *tags = &op->captured[1].buf;
    size_t i;
    int rc = SBX_OK;
    a->offset_text[sbxi_print_u64(a->offset_text, (uint64_t)a->lines)] = 0;
    a->offset = a->offset_text;
    a->limit = "100";
    if (!a->t) return sbxi_ask(op, SBXI_E2B_BUILD_STATUS, SBXI_E2B_POLLED);
    for (i = 0; i < a->o.tags.count; i++)
        sbxi_buf_texts(tags, i ? ", " : " with tags: ", a->o.tags.items[i], NULL);
    if (sbxi_buf_add(tags, "", 1) != SBX_OK) return tags->status;
    if (sbxi_template_last(a->t, SBXI_DO_COPY)) rc = !a->t->tree.next
        ? sbxi_op_fail(op, SBX_E_ARG, SBXI_TEXT("copy needs files: sbx_template_context()"))
        : sbxi_e2b_ignores(a->b, &op->error);
    if (rc == SBX_OK) rc = sbxi_e2b_say(op, "debug", "Build started", "", "", "");
    if (rc == SBX_OK) rc = sbxi_e2b_say(op, "info", "Requesting build for template: ",
        a->o.name, tags->data, "");
    return rc == SBX_OK ? sbxi_e2b_build_read(op) : rc;
}

/* All files at once, without an operation: for what a template says of itself. */
static int sbxi_e2b_template_read(sbx_template *t, sbx_error *e)
{
    sbxi_building b;
    int rc;
    memset(&b, 0, sizeof b);
    b.alloc = &t->client->link.alloc;
    b.t = t;
    sbxi_ignore_init(&b.ignores, SBXI_GLOB_DOCKER, b.alloc);
    rc = sbxi_e2b_ignores(&b, e);
    while (rc == SBX_OK && sbxi_e2b_next_copy(&b)) {
        rc = sbxi_e2b_open(&b, 0, e);
        if (rc == SBX_OK) do rc = sbxi_context_step(b.context, UINT32_MAX);
            while (rc == SBX_PENDING);
        if (rc == SBX_OK) memcpy(b.at->hash, b.context->hash, sizeof b.at->hash);
    }
    sbxi_context_close(b.context);
    sbxi_ignore_free(&b.ignores);
    return rc;
}

/* ---- what goes out ---- */

/* The next files, or all are there. */
static int sbxi_e2b_build_next(sbx_op *op)
{
    sbxi_build_args *a = &op->args.of.build;
    int rc = SBX_OK;
    if (a->b->at) rc = sbxi_e2b_advance(op, a->b->done + 1, 0);
    if (rc == SBX_OK && sbxi_e2b_next_copy(a->b)) {
        memcpy(a->b->asked, a->b->at->hash, sizeof a->b->asked);
        op->args.key = a->b->asked;
        return sbxi_ask(op, SBXI_E2B_BUILD_FILES, SBXI_E2B_KNOWN);
    }
    op->args.key = a->b->info->build_id;
    if (rc == SBX_OK) rc = sbxi_e2b_say(op, "info", "All file uploads completed", "", "", "");
    if (rc == SBX_OK) rc = sbxi_e2b_say(op, "info", "Starting building...", "", "", "");
    return rc == SBX_OK ? sbxi_ask(op, SBXI_E2B_BUILD_START, SBXI_E2B_STARTED) : rc;
}

static int sbxi_e2b_build_requested(sbx_op *op)
{
    sbx_build_info *info = (sbx_build_info *)op->result;
    int rc;
    op->args.of.build.b->info = info;
    op->result = NULL;
    if (!info || !info->template_id || !info->build_id)
        return sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the reply names no build"));
    op->args.target = info->template_id;
    rc = sbxi_e2b_say(op, "info", "Template created with ID: ", info->template_id,
                      ", Build ID: ", info->build_id);
    return rc == SBX_OK ? sbxi_e2b_build_next(op) : rc;
}

/* Measures the archive, then sends it. */
static int sbxi_e2b_build_count(sbx_op *op)
{
    sbxi_build_args *a = &op->args.of.build;
    int rc;
    op->step = SBXI_E2B_COUNTING;
    rc = sbxi_e2b_read(op);
    if (rc != SBX_OK) return rc;
    a->body = sbxi_context_source(a->b->context);
    rc = a->body.rewind(a->body.ctx);
    return rc == SBX_OK ? sbxi_ask(op, SBXI_E2B_BUILD_UPLOAD, SBXI_E2B_SENT) : rc;
}

/* The service knows the files, or says where they are to go. */
static int sbxi_e2b_build_known(sbx_op *op)
{
    sbxi_build_args *a = &op->args.of.build;
    sbxi_building *b = a->b;
    bool force = (b->at->flags & SBXI_FLAG('u')) != 0;
    int rc;
    sbx_free(b->upload);
    b->upload = (sbxi_upload *)op->result;
    a->upload = b->upload;
    op->result = NULL;
    if (!b->upload || (!b->upload->present && !b->upload->url))
        return sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("the reply does not say where files are to go"));
    if (b->upload->url && (force || !b->upload->present)) {
        rc = sbxi_e2b_open(b, a->o.level, &op->error);
        /* what is not the same any more does not get there under that hash */
        if (rc == SBX_OK) memcpy(b->context->hash, b->asked, sizeof b->asked);
        if (rc == SBX_OK) rc = sbxi_context_begin(b->context, SBXI_PASS_COUNT);
        return rc == SBX_OK ? sbxi_e2b_build_count(op) : rc;
    }
    rc = sbxi_e2b_say(op, "info", "Skipping upload of '", b->at->texts.items[0],
                      "', already cached", "");
    return rc == SBX_OK ? sbxi_e2b_build_next(op) : rc;
}

static int sbxi_e2b_build_sent(sbx_op *op)
{
    sbxi_building *b = op->args.of.build.b;
    int rc = sbxi_e2b_say(op, "info", "Uploaded '", b->at->texts.items[0], "'", "");
    sbxi_context_close(b->context);
    b->context = NULL;
    return rc == SBX_OK ? sbxi_e2b_build_next(op) : rc;
}

/* What is handed out is what the request told. */
static int sbxi_e2b_build_give(sbx_op *op, sbx_build_status status)
{
    sbxi_building *b = op->args.of.build.b;
    if (!b->info) return SBX_OK;
    sbx_free(op->result);
    op->result = b->info;
    b->info->status = status;
    b->info = NULL;
    return SBX_OK;
}

static int sbxi_e2b_build_started(sbx_op *op)
{
    int rc;
    if (op->feature == SBX_FEATURE_TEMPLATE_BUILD_START)
        return sbxi_e2b_build_give(op, SBX_BUILD_WAITING);
    rc = sbxi_e2b_say(op, "info", "Waiting for logs...", "", "", "");
    return rc == SBX_OK ? sbxi_ask(op, SBXI_E2B_BUILD_STATUS, SBXI_E2B_POLLED) : rc;
}

/* ---- how it is doing ---- */

/* Keeps why it failed, in the service's words: later replies may leave that out. */
static void sbxi_e2b_build_note(sbx_op *op, const sbx_build_info *now)
{
    sbxi_building *b = op->args.of.build.b;
    const char *step = now->reason_step ? now->reason_step : "";
    if (now->status != SBX_BUILD_FAILED || b->failed) return;
    b->failed = true;
    sbxi_error_clear(&b->why);
    sbxi_put_text(b->why.code, sizeof b->why.code, step, strlen(step));
    (void)sbxi_error_set(&b->why, SBX_E_BUILD, now->reason && now->reason[0] ? now->reason
        : SBXI_TEXT("the build failed, and the service does not say why: see its log"));
}

static int sbxi_e2b_build_over(sbx_op *op)
{
    sbx_build_status status = ((const sbx_build_info *)op->result)->status;
    int rc = sbxi_e2b_say(op, "debug", "Build finished", "", "", "");
    if (rc != SBX_OK) return rc;
    if (status != SBX_BUILD_FAILED) return sbxi_e2b_build_give(op, status);
    op->error = op->args.of.build.b->why;
    return SBX_E_BUILD;
}

/* An ended build is asked until its log has no further line. */
static int sbxi_e2b_build_polled(sbx_op *op)
{
    sbxi_build_args *a = &op->args.of.build;
    const sbx_build_info *now = (const sbx_build_info *)op->result;
    bool more = a->fresh > 0, runs;
    int rc;
    if (!now || now->status == SBX_BUILD_UNKNOWN)
        return sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("the reply has no status of the build that is known"));
    if (op->feature == SBX_FEATURE_BUILD_GET_STATUS) return SBX_OK;
    sbxi_e2b_build_note(op, now);
    rc = sbxi_e2b_advance(op, -1, now->status == SBX_BUILD_READY ? -1
        : a->step > 0 ? a->step - 1 : 0);
    if (rc != SBX_OK) return rc;
    runs = now->status == SBX_BUILD_WAITING || now->status == SBX_BUILD_RUNNING;
    if (!runs && !more) return sbxi_e2b_build_over(op);
    a->fresh = 0;
    sbx_free(op->result);
    op->result = NULL;
    return sbxi_ask_later(op, SBXI_E2B_BUILD_STATUS, SBXI_E2B_POLLED,
                          runs ? SBXI_E2B_POLL_MS : 0);
}

/* A dispatcher by what came. */
static int sbxi_e2b_build_step(sbx_op *op)
{
    switch (op->step) {
    case SBXI_STEP_START: return sbxi_e2b_build_begin(op);
    case SBXI_E2B_READING: return sbxi_e2b_build_read(op);
    case SBXI_E2B_REQUESTED: return sbxi_e2b_build_requested(op);
    case SBXI_E2B_KNOWN: return sbxi_e2b_build_known(op);
    case SBXI_E2B_COUNTING: return sbxi_e2b_build_count(op);
    case SBXI_E2B_SENT: return sbxi_e2b_build_sent(op);
    case SBXI_E2B_STARTED: return sbxi_e2b_build_started(op);
    default: return sbxi_e2b_build_polled(op);
    }
}

#endif /* SBX_NO_TEMPLATE */
