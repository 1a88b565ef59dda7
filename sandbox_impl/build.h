#if !defined(SBX_NO_TEMPLATE) && !defined(SBX_BUILD_H)
#define SBX_BUILD_H

#ifdef __cplusplus
extern "C" {
#endif

/* ---- 19. Templates -----------------------------------------------------------

   What a sandbox is made from: a base, steps that were run on it, and maybe a server
   that is started with each sandbox. A builder gathers the steps; nothing is sent
   before it is built.

     sbx_template *t = sbx_template_new(client);
     sbx_template_from(t, SBX_IMAGE_PYTHON, "3.12");
     sbx_template_copy(t, "app", "/srv/app", NULL);
     sbx_template_run(t, "pip install -r /srv/app/requirements.txt", NULL);
     sbx_template_start(t, "python /srv/app/main.py", &ready);
     rc = sbx_template_build(t, &options, &info, NULL);
     sbx_template_release(t);

   The first error sticks: what follows it changes nothing, and building returns it.
   So only the last call needs a look. All take a NULL template, which is
   SBX_E_NOMEM. Texts are UTF-8, which is checked, and copied. While a build of it
   runs, or one of its functions calls back, a template can be neither changed nor
   asked nor built once more: SBX_E_REENTRANT, which does not stick. */
typedef struct sbx_template sbx_template;

#ifndef SBX_MAX_STEPS       /* steps of one template; "all" */
#define SBX_MAX_STEPS       SBX_LIMIT_(1000, 100)
#endif

/* NULL: client is NULL, or out of memory, which sbx_client_error() says then. Release
   it before its client is closed. */
SBX_API sbx_template *sbx_template_new(sbx_client *client);
/* NULL is ignored. A build that runs goes on and frees it at its end; so does a function
   of it from whose callback it is released. */
SBX_API void sbx_template_release(sbx_template *t);

/* The first error, with the place and reason in its message: "step 3 (copy): ...",
   for a Dockerfile "line 7: COPY: ...". Never NULL; status SBX_OK: none so far. */
SBX_API const sbx_error *sbx_template_error(const sbx_template *t);

/* Known images: what tag stands behind them is the provider's, version NULL its
   default (E2B: python 3, node lts, debian stable, fedora 44, alpine 3.24, else
   latest). BASE takes no version; E2B: e2bdev/base, also if nothing is said. */
typedef enum sbx_image { SBX_IMAGE_BASE, SBX_IMAGE_PYTHON, SBX_IMAGE_NODE, SBX_IMAGE_BUN,
    SBX_IMAGE_UBUNTU, SBX_IMAGE_DEBIAN, SBX_IMAGE_FEDORA, SBX_IMAGE_ALPINE,
    SBX_IMAGE_ARCH } sbx_image;
SBX_API int sbx_template_from(sbx_template *t, sbx_image image, const char *version);

/* Who may pull the image: one of the three. All are secrets. */
typedef struct sbx_registry {
    const char *username, *password;
    const char *aws_access_key_id, *aws_secret_access_key, *aws_region;
    const char *gcp_service_account_json;
} sbx_registry;

/* Any image; registry may be NULL. The last base named counts. */
SBX_API int sbx_template_from_image(sbx_template *t, const char *image,
    const sbx_registry *registry);
/* Another template, name or name:tag. */
SBX_API int sbx_template_from_template(sbx_template *t, const char *name);

/* Options of a step; each names those that it heeds. NULL: none. */
typedef struct sbx_step_options {
    const char *user;       /* run, copy: who runs it, whose the files are (user or
                               user:group); NULL: the template's user at that step */
    int32_t mode;           /* copy, make_dir: permissions, 0: unchanged, default */
    sbx_choice recursive;   /* remove */
    sbx_choice force;       /* remove, rename, make_symlink */
    sbx_choice resolve_symlinks; /* copy: YES sends what links point to */
    sbx_choice force_upload; /* copy: YES sends it also if the service has it */
    sbx_choice global;      /* pip (default YES), npm, bun (default NO) */
    sbx_choice dev;         /* npm, bun: development dependencies */
    sbx_choice no_recommends; /* apt */
    sbx_choice fix_missing; /* apt */
    const char *branch;     /* git_clone; NULL: the default one */
    int32_t depth;          /* git_clone: commits, 0: all */
} sbx_step_options;

/* Where relative sources of copy come from, and what of it is left out: patterns in
   the provider's own form (E2B: .dockerignore), behind those of the tree's own
   ignore file; of 511 bytes each, 64 KiB (SBX_SMALL: 8) in all. The tree is copied,
   what it points at must outlive the template. Without one a template that copies
   cannot be built. */
SBX_API int sbx_template_context(sbx_template *t, const sbx_tree *tree,
    const sbx_strings *ignore);

/* Files of the context: src is a path in it, or a pattern (* ? [] **), of at most 511
   bytes; a directory comes with all below it. Heeds user, mode, resolve_symlinks,
   force_upload. */
SBX_API int sbx_template_copy(sbx_template *t, const char *src, const char *dest,
    const sbx_step_options *options);
/* The same for some sources, a step each. */
SBX_API int sbx_template_copy_all(sbx_template *t, sbx_strings sources, const char *dest,
    const sbx_step_options *options);

/* Paths in the template; texts are quoted for the shell. */
SBX_API int sbx_template_remove(sbx_template *t, sbx_strings paths,
    const sbx_step_options *options);
SBX_API int sbx_template_rename(sbx_template *t, const char *from, const char *to,
    const sbx_step_options *options);
SBX_API int sbx_template_make_dir(sbx_template *t, sbx_strings paths,
    const sbx_step_options *options);
SBX_API int sbx_template_make_symlink(sbx_template *t, const char *target, const char *path,
    const sbx_step_options *options);

/* A command of the shell; several, each only if the one before it did well; and one
   by its words, which are quoted. Heed user. */
SBX_API int sbx_template_run(sbx_template *t, const char *command,
    const sbx_step_options *options);
SBX_API int sbx_template_run_all(sbx_template *t, sbx_strings commands,
    const sbx_step_options *options);
SBX_API int sbx_template_run_words(sbx_template *t, sbx_strings words,
    const sbx_step_options *options);

/* For the steps that follow, and the sandboxes. */
SBX_API int sbx_template_workdir(sbx_template *t, const char *path);
SBX_API int sbx_template_user(sbx_template *t, const char *user);
SBX_API int sbx_template_envs(sbx_template *t, sbx_pairs envs);

/* Packages, as the tool names them: not quoted, so that "a>=1" is refused here but
   "'a>=1'" is not. None: what the project in the present directory wants (not APT).
   APT heeds no_recommends and fix_missing, PIP global, NPM and BUN global and dev. */
typedef enum sbx_installer { SBX_INSTALL_APT, SBX_INSTALL_PIP, SBX_INSTALL_NPM,
    SBX_INSTALL_BUN } sbx_installer;
SBX_API int sbx_template_install(sbx_template *t, sbx_installer with, sbx_strings packages,
    const sbx_step_options *options);

/* path NULL: as git names it. Heeds user, branch, depth. */
SBX_API int sbx_template_git_clone(sbx_template *t, const char *url, const char *path,
    const sbx_step_options *options);
/* Servers of the MCP gateway (E2B); only on from_template("mcp-gateway"). */
SBX_API int sbx_template_mcp_servers(sbx_template *t, sbx_strings names);
/* A dev container of the directory (E2B), only on from_template("devcontainer"):
   built now, and with start YES what each sandbox starts. */
SBX_API int sbx_template_dev_container(sbx_template *t, const char *directory,
    sbx_choice start);

/* When a template, or a server in it, is ready. */
typedef enum sbx_readiness_kind { SBX_READY_COMMAND, SBX_READY_PORT, SBX_READY_URL,
    SBX_READY_PROCESS, SBX_READY_FILE, SBX_READY_TIMEOUT } sbx_readiness_kind;
typedef struct sbx_readiness {
    sbx_readiness_kind kind;
    const char *text;       /* the command (well when it ends with 0), URL, process or
                               file name */
    uint16_t port;
    int32_t http_status;    /* URL: what it must answer, 0: 200 */
    int32_t timeout_ms;     /* TIMEOUT: this long, whole seconds, at least 1,000 */
} sbx_readiness;

/* What each sandbox starts with, and when it is ready (NULL: as was said before, else as
   the provider thinks best). sbx_template_ready() alone is for what the base starts. */
SBX_API int sbx_template_start(sbx_template *t, const char *command, const sbx_readiness *ready);
SBX_API int sbx_template_ready(sbx_template *t, const sbx_readiness *ready);

/* The steps that follow are run anew; before a base, that too. */
SBX_API int sbx_template_skip_cache(sbx_template *t);

/* A Dockerfile instead of steps; its COPY sources are the context's. Converted
   (E2B) line by line: what cannot be is refused with line, instruction and reason;
   what a sandbox has no use for is passed over (EXPOSE, VOLUME, LABEL, MAINTAINER),
   and notice, which may be NULL, hears of what is not heeded. An instruction, and all
   of ENV and ARG, is at most SBX_MAX_REQUEST bytes, --chown SBX_MAX_LINE; a RUN or COPY
   has up to 8 heredocs. */
SBX_API int sbx_template_from_dockerfile(sbx_template *t, const char *text, size_t len,
    void (*notice)(void *ctx, int line, const char *text), void *ctx);

/* The same with a file of the context, which is to be given before; of at most
   SBX_MAX_REQUEST bytes. */
SBX_API int sbx_template_from_dockerfile_in(sbx_template *t, const char *path,
    void (*notice)(void *ctx, int line, const char *text), void *ctx);

/* What a build of it would ask for, as the provider's JSON (credentials are in it); and
   as a Dockerfile, for people. With a context the files are read, for their hashes:
   failures of that are in sbx_client_error(). SBX_E_AGAIN: one of them has nothing
   now, ask later. Dockerfile: SBX_E_UNSUPPORTED if it is made from a template. */
SBX_API int sbx_template_to_json(sbx_template *t, sbx_sink to);
SBX_API int sbx_template_to_dockerfile(sbx_template *t, sbx_sink to);

/* ---- 20. Builds --------------------------------------------------------------- */

typedef enum sbx_build_status { SBX_BUILD_UNKNOWN, SBX_BUILD_WAITING, SBX_BUILD_RUNNING,
    SBX_BUILD_READY, SBX_BUILD_FAILED, SBX_BUILD_CANCELLED } sbx_build_status;

/* A line of a build's log. Borrowed. */
typedef struct sbx_build_log {
    int64_t unix_ms;        /* 0: said by this client */
    const char *level;      /* "debug", "info" (also if not said), "warn", "error" */
    const char *message;    /* without the escapes of terminals */
    const char *step;       /* "base", "1", "2", ..., "finalize"; NULL: of none */
} sbx_build_log;
typedef int (*sbx_build_log_each)(void *ctx, const sbx_build_log *log);

/* A logger that is ready to use: a line each into the sink of ctx. */
typedef struct sbx_build_printer {
    sbx_sink to;
    const char *least;      /* least level shown, NULL: "info" */
    sbx_choice plain;       /* YES: no colours */
} sbx_build_printer;
SBX_API int sbx_build_print(void *printer, const sbx_build_log *log);

typedef struct sbx_build_options {
    const char *name;       /* name or name:tag; needed */
    sbx_strings tags;       /* more tags */
    int32_t cpu_count, memory_mib; /* of the build and the sandboxes, 0: the service's */
    int32_t disk_mib;       /* at least so much free (E2B) */
    sbx_choice skip_cache;  /* YES: everything anew */
    int32_t level;          /* of gzip for the context, 1 to 9; 0: 6, SBX_NEVER: plain tar */
    sbx_build_log_each log; /* lines of the service and of this client; a negative
                               return ends the call (not the build) with it */
    /* Steps known to be done, of all; uploads first, then the build itself. */
    void (*progress)(void *ctx, int32_t done, int32_t all);
    void *ctx;              /* of both */
} sbx_build_options;

typedef struct sbx_build_info {
    const char *template_id, *build_id;
    sbx_build_status status;
    sbx_strings names, aliases, tags; /* of the template, where the reply says them */
    const char *reason, *reason_step; /* why it failed; may be NULL */
} sbx_build_info;

/* Hashes and uploads what the service has not got, builds, and waits for the end.
   *out (may be NULL) is yours: sbx_free(). SBX_E_BUILD: a step failed; error.message
   is the service's reason, error.code its step. Local faults (a missing file, steps
   that make more than SBX_MAX_REQUEST) are found before anything is sent; SBX_E_CHANGED:
   a file did not stay as it was hashed, which is not sent. Without a limit of time
   unless call->timeout_ms is set; the build of the service goes on when the call is
   cancelled, and until it was started nothing of it is left but its id. E2B: wire POST
   /v3/templates, GET
   files/{hash}, PUT, POST /v2/templates/{id}/builds/{id}, GET status. */
SBX_API int sbx_template_build(sbx_template *t, const sbx_build_options *options,
    sbx_build_info **out, const sbx_call *call);
/* The same, but does not wait for the end. */
SBX_API int sbx_template_build_start(sbx_template *t, const sbx_build_options *options,
    sbx_build_info **out, const sbx_call *call);

/* How a build is doing now, with up to 100 lines of its log from the log_offset-th
   on; each may be NULL. */
SBX_API int sbx_build_get_status(sbx_client *client, const char *template_id,
    const char *build_id, int32_t log_offset, sbx_build_log_each each, void *ctx,
    sbx_build_info **out, const sbx_call *call);
/* Waits for the end of a build by id, as sbx_template_build() does; of options only
   log and ctx count. */
SBX_API int sbx_build_wait(sbx_client *client, const char *template_id,
    const char *build_id, const sbx_build_options *options, sbx_build_info **out,
    const sbx_call *call);

/* ---- 21. Templates of the service ---------------------------------------------- */

/* Whether a template of that name exists, also one of somebody else. */
SBX_API int sbx_template_exists(sbx_client *client, const char *name, bool *exists,
    const sbx_call *call);

typedef struct sbx_template_info {
    const char *id, *build_id;
    sbx_strings names, aliases;
    sbx_choice is_public;
    sbx_build_status status;
    int32_t cpu_count, memory_mib, disk_mib;
    int64_t created_unix_ms, updated_unix_ms, used_unix_ms; /* 0: not said */
    int64_t used_count, build_count;
    const char *daemon_version;
} sbx_template_info;
typedef int (*sbx_template_each)(void *ctx, const sbx_template_info *info);
SBX_API int sbx_template_list(sbx_client *client, sbx_template_each each, void *ctx,
    const sbx_call *call);

typedef struct sbx_template_build_item {
    const char *build_id;
    sbx_build_status status;
    int64_t created_unix_ms, updated_unix_ms, finished_unix_ms;
    int32_t cpu_count, memory_mib, disk_mib;
    const char *daemon_version;
} sbx_template_build_item;
typedef int (*sbx_template_build_each)(void *ctx, const sbx_template_build_item *build);
/* Its builds, newest first; pages as in sbx_sandbox_list(). */
SBX_API int sbx_template_builds(sbx_client *client, const char *template_id, sbx_page *page,
    sbx_template_build_each each, void *ctx, const sbx_call *call);

/* *existed (may be NULL): false if there was none. SBX_E_REFUSED: sandboxes use it. */
SBX_API int sbx_template_delete(sbx_client *client, const char *template_id, bool *existed,
    const sbx_call *call);
/* Whether others may use it. */
SBX_API int sbx_template_set_public(sbx_client *client, const char *template_id,
    bool is_public, const sbx_call *call);

typedef struct sbx_template_tag {
    const char *tag, *build_id;
    int64_t created_unix_ms;
} sbx_template_tag;
typedef int (*sbx_template_tag_each)(void *ctx, const sbx_template_tag *tag);
SBX_API int sbx_template_list_tags(sbx_client *client, const char *template_id,
    sbx_template_tag_each each, void *ctx, const sbx_call *call);
/* More tags for the build that target, name or name:tag, stands for. */
SBX_API int sbx_template_add_tags(sbx_client *client, const char *target, sbx_strings tags,
    const sbx_call *call);
SBX_API int sbx_template_remove_tags(sbx_client *client, const char *name, sbx_strings tags,
    const sbx_call *call);

#ifdef __cplusplus
}
#endif
#endif /* SBX_NO_TEMPLATE */
