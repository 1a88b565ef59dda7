/* sandboxd: a build: its steps run one after the other, each in a sandbox of its own
   made of the layers so far, and what it changed becomes the next layer. A step whose
   layer is known by the hash of all that led to it does not run. At the end the start
   command is tried out: it must become ready. */
#include "template.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#define LOOK_MS 200             /* is it cancelled? */
#define READY_EVERY_MS 2000
#define READY_WAIT_MS (600 * 1000)
#define START_WAIT_S 20         /* for a start command without a ready command */
#define LINE_MAX_BYTES 4000
#define UNPACKED_MAX (4ll << 30)
#define WORD_MAX (128u << 10)   /* of an argument or a variable, MAX_ARG_STRLEN of Linux */

typedef struct work {
    build *b;
    const image *im;
    origin *from;               /* of the next sandbox: layers, user, directory, env */
    char key[65];
    bool force;
    int64_t until;              /* mono */
    int tree;                   /* what the upload of a COPY was unpacked to */
    char step[12], label[40];
} work;

/* ---- words ---- */
static void say(work *w, log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void say(work *w, log_level level, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES + 100];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    templates_lock();
    build_log(w->b, level, w->step, line);
    templates_unlock();
}

/* The first failure is the reason; always false. */
static bool fail(work *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(work *w, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES + 100];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    templates_lock();
    if (!w->b->reason) {
        w->b->reason = xalloc(3 * strlen(line) + 1);
        lossy_utf8(w->b->reason, 3 * strlen(line) + 1, line);
        memcpy(w->b->reason_step, w->step, sizeof w->b->reason_step);
        build_log(w->b, LOG_ERROR, w->step, line);
    }
    templates_unlock();
    return false;
}

/* False after fail(): cancelled, or out of time. */
static bool may_go_on(work *w)
{
    if (__atomic_load_n(&w->b->cancelled, __ATOMIC_ACQUIRE))
        return fail(w, "the build was cancelled");
    if (mono_ms() < w->until)
        return true;
    return fail(w, "the build did not end within %d seconds", conf.build_seconds);
}

static bool may_still(void *w)
{
    return may_go_on(w);
}

/* ---- sandboxes of the build ---- */
static origin *copy_origin(const origin *from)
{
    origin *o = xalloc(sizeof *o);

    memcpy(o, from, sizeof *o);
    o->refs = 1;
    memset(&o->env, 0, sizeof o->env);
    pairs_copy(&o->env, &from->env);
    o->start = xstrdup(from->start);
    return o;
}

/* From here on what the next sandbox is made of may be changed. */
static origin *change(work *w)
{
    origin *o = copy_origin(w->from);

    origin_unref(w->from);
    return w->from = o;
}

static box *make_box(work *w, const image *im, origin *from)
{
    box_options o = { .im = im, .from = from, .template_id = w->b->t->id, .hidden = true,
        .internet = -1, .files = -1, .timeout_ms = w->until - mono_ms() + 60000 };
    char why[300] = "";
    box *b = NULL;
    int result;

    while (may_go_on(w)) {
        result = box_create(&o, &b, why, sizeof why);
        if (result == 0)
            return b;
        if (result != -EAGAIN) {
            fail(w, "no sandbox for this step: %s", why);
            return NULL;
        }
        usleep(LOOK_MS * 1000); /* the host is full */
    }
    return NULL;
}

static void end_box(box *b)
{
    if (!b)
        return;
    box_kill(b, "its step of a build ended");
    box_unref(b);
}

/* ---- commands ---- */

/* A command that runs, or without one a while to wait. */
typedef struct running {
    work *w;
    text *into;                 /* gets what it prints, NULL: the log does */
    struct running *beside;     /* the start command: it must not fail meanwhile */
    int64_t until;              /* mono, 0: as long as it takes */
    proc *p;
    sub *s;
    text line[2];
} running;

static void end_line(running *r, int which)
{
    text *t = &r->line[which];

    if (t->len == 0)
        return;
    text_add(t, "", 1);
    say(r->w, LOG_INFO, "%s[%s]: %s", r->w->label, which ? "stderr" : "stdout", t->p);
    t->len = 0;
}

static void take_output(running *r, const sub_piece *piece)
{
    int which = piece->kind == PIECE_ERR;

    if (r->into && !which) {
        text_add(r->into, piece->data, piece->len);
        return;
    }
    for (size_t i = 0; i < piece->len; i++) {
        char c = (char)piece->data[i];

        if (c == '\n' || r->line[which].len >= LINE_MAX_BYTES)
            end_line(r, which);
        if (c != '\n' && c != '\r' && c != '\0')
            text_add(&r->line[which], &c, 1);
    }
}

/* What there is now. SUB_DATA: and more, of one that prints as fast as it is read. */
static sub_state drain(running *r)
{
    sub_state state = SUB_WAIT;
    size_t taken = 0;
    sub_piece piece;

    while (r->s && taken < RING_BYTES && (state = sub_peek(r->s, &piece)) == SUB_DATA) {
        take_output(r, &piece);
        taken += piece.len;
        sub_take(r->s, piece.len);
    }
    return state;
}

static void running_free(running *r)
{
    end_line(r, 0);
    end_line(r, 1);
    text_free(&r->line[0]);
    text_free(&r->line[1]);
    if (r->s)
        sub_detach(r->s);
    if (r->p)
        proc_unref(r->p);
}

static const char *shell_of(box *b)
{
    int fd = b->real ? -1 : fs_open(&b->root, "/bin/bash", O_PATH, 0);

    if (fd >= 0)
        close(fd);
    return fd >= 0 || (b->real && access("/bin/bash", X_OK) == 0) ? "/bin/bash" : "/bin/sh";
}

/* Starts command in a login shell. False after fail(). */
static bool start_shell(running *r, box *b, const char *command, const char *user,
                        const char *cwd)
{
    char *args[] = { (char[]){ "-l" }, (char[]){ "-c" }, xstrdup(command) };
    proc_options o = { .cmd = shell_of(b), .cwd = cwd, .args = args, .argc = 3, .user = user };
    char where[FS_PATH];
    int stage, result = proc_start(b, &o, &r->p, &r->s, &stage, where, sizeof where);

    free(args[2]);
    if (result == 0)
        return true;
    if (stage == SPAWN_AT_USER && result == -ENOTSUP)
        return fail(r->w, "user '%s': on this isolation rung there are only root and user", user);
    if (stage == SPAWN_AT_USER)
        return fail(r->w, "there is no user '%s'", user);
    if (stage == SPAWN_AT_CWD)
        return fail(r->w, "there is no directory '%s'", where);
    if (result == -E2BIG)
        return fail(r->w, "%s does not start: the command or a variable has more than %u KiB, or "
                    "all variables together are too long", o.cmd, WORD_MAX >> 10);
    return fail(r->w, "%s does not start: %s", o.cmd, strerror(-result));
}

static void describe(int status, char out[60])
{
    if (WIFEXITED(status))
        snprintf(out, 60, "exit status %d", WEXITSTATUS(status));
    else
        snprintf(out, 60, "signal: %s", strsignal(WTERMSIG(status)));
}

static void wait_event(const running *r)
{
    struct pollfd p[2] = { { r->s ? r->s->event : -1, POLLIN, 0 },
                           { r->beside ? r->beside->s->event : -1, POLLIN, 0 } };
    uint64_t count;

    poll(p, 2, LOOK_MS);
    for (int i = 0; i < 2; i++)
        if ((p[i].revents & POLLIN) && read(p[i].fd, &count, sizeof count) < 0)
            return;
}

/* True: it ended. False after fail(), or if its time was over. Meanwhile what both of
   them print is taken: who is not read from stands still in the end. */
static bool attend(running *r)
{
    sub_state own, other;
    char end[60];

    do {
        own = drain(r);
        other = r->beside ? drain(r->beside) : SUB_WAIT;
        if (own == SUB_END)
            return true;
        if (own == SUB_LOST || other == SUB_LOST)
            return fail(r->w, "the sandbox of this step died: is its memory large enough?");
        if (other == SUB_END && r->beside->p->status != 0) {
            describe(r->beside->p->status, end);
            return fail(r->w, "the start command ended before it was ready: %s", end);
        }
        if (own != SUB_DATA && other != SUB_DATA)
            wait_event(r);
    } while (may_go_on(r->w) && (r->until == 0 || mono_ms() < r->until));
    return false;
}

/* Runs it to its end; *status as of wait(). False as attend(). */
static bool run_shell(running *r, box *b, const char *command, const char *user, const char *cwd,
                      int *status)
{
    bool ok = start_shell(r, b, command, user, cwd) && attend(r);

    *status = ok ? r->p->status : 0;
    running_free(r);
    return ok;
}

static bool run_checked(work *w, box *b, const char *command, const char *user, const char *cwd)
{
    running r = { .w = w };
    char end[60];
    int status;

    if (!run_shell(&r, b, command, user, cwd, &status))
        return false;
    describe(status, end);
    return status == 0 || fail(w, "failed to run command '%.2000s': %s", command, end);
}

/* ---- the cache ---- */
static void chain(work *w, const char *const *parts, size_t count)
{
    unsigned char hash[32];
    sbx_sha256 s;

    sbx_sha256_init(&s);
    sbx_sha256_add(&s, w->key, strlen(w->key));
    for (size_t i = 0; i < count; i++)
        sbx_sha256_add(&s, parts[i], strlen(parts[i]) + 1);
    sbx_sha256_end(&s, hash);
    hex_text(w->key, hash, sizeof hash);
}

/* It is in the list of the build already, so that a sweep leaves it. */
static bool add_layer(work *w, const char *id)
{
    bool ok = layers_push(change(w)->layers, id);

    chain(w, &id, 1);
    return ok;
}

/* True: the step is done, by an earlier build. */
static bool from_cache(work *w, const char *words)
{
    char id[LAYER_ID + 1];
    bool found;

    templates_lock();
    found = !w->force && layer_find(w->key, id) && layers_push(w->b->layers, id);
    templates_unlock();
    if (found)
        say(w, LOG_INFO, "%sCACHED %s", w->label, words);
    else
        say(w, LOG_INFO, "%s%s", w->label, words);
    return found && add_layer(w, id);
}

static bool keep_layer(work *w, box *b)
{
    char id[LAYER_ID + 1];
    int result = layer_make(b, w->key, w->b->layers, id);

    if (result == -E2BIG)
        return fail(w, "more than %d steps that change files", MAX_LAYERS);
    if (result != 0)
        return fail(w, "what this step made cannot be kept: %s", strerror(-result));
    if (!add_layer(w, id))
        return false;
    if (templates_full(0))
        return fail(w, "templates need more than %d MiB (--templates-mib): delete some",
                    conf.templates_mib);
    return true;
}

/* ---- steps ---- */
static const char *user_of(const work *w)
{
    return w->from->user[0] ? w->from->user : "user";
}

static bool step_run(work *w, box *b, const build_step *s)
{
    const char *user = s->count > 1 && s->args[1][0] ? s->args[1] : user_of(w);

    return run_checked(w, b, s->args[0], user, w->from->workdir);
}

/* Unpacks in a sandbox of this system's programs, whatever the image has. */
static bool unpack(work *w, box *b, int archive)
{
    fs_going going = { may_still, w };
    running r = { .w = w };
    unsigned char magic[2] = { 0, 0 };
    char command[600], end[60], *buf;
    int64_t most = conf.templates_mib > 0 && conf.templates_mib < UNPACKED_MAX >> 20
                   ? (int64_t)conf.templates_mib << 20 : UNPACKED_MAX;
    int out, status, result;
    struct stat st;

    if (fstat(archive, &st) != 0 || pread(archive, magic, 2, 0) < 0)
        return fail(w, "the upload cannot be read: %s", strerror(errno));
    out = fs_open(&b->root, "/tmp/upload", O_WRONLY | O_CREAT | O_EXCL, 0644);
    buf = xalloc(FS_BUF);
    result = out < 0 ? out : fs_copy_bytes(archive, out, st.st_size, buf, &going);
    free(buf);
    if (out >= 0)
        close(out);
    if (result != 0)
        return fail(w, "no room to unpack the upload: %s", strerror(-result));
    snprintf(command, sizeof command,
             "cd \"${TMPDIR:-/tmp}\" && mkdir unpacked && umask 0 || exit; "
             "(set -o pipefail) 2>/dev/null && set -o pipefail; %s < upload | head -c %lld | "
             "tar -x -p --no-same-owner -f - -C unpacked && rm upload",
             magic[0] == 0x1f && magic[1] == 0x8b ? "gzip -dc" : "cat", (long long)most);
    if (!run_shell(&r, b, command, "root", "/", &status))
        return false;
    describe(status, end);
    return status == 0 || fail(w, "the upload cannot be unpacked: no tar or tar.gz, cut, or more "
                               "than %d MiB (%s)", (int)(most >> 20), end);
}

/* Before the sandbox of the step is made: a build that held one and waited for another
   might wait for ever. What is left of this one takes no place. False after fail(). */
static bool unpack_first(work *w, const build_step *s, box **helper)
{
    int archive = upload_open(s->hash);
    fs_root files = { .real = "" };
    bool ok;

    if (archive < 0)
        return fail(w, "failed to copy '%.200s': its files were not uploaded", s->args[0]);
    *helper = make_box(w, &conf.images[0], NULL);
    ok = *helper && unpack(w, *helper, archive);
    close(archive);
    if (!ok)
        return false;
    files.fd = box_leave_files(*helper);
    w->tree = files.fd < 0 ? files.fd
              : fs_open(&files, "/tmp/unpacked", O_RDONLY | O_DIRECTORY, 0);
    if (files.fd >= 0)
        close(files.fd);
    return w->tree >= 0 || fail(w, "the unpacked upload cannot be kept: %s", strerror(-w->tree));
}

static bool step_copy(work *w, box *b, const build_step *s)
{
    copy_order o = { s->args[0], s->args[1], s->count > 2 ? s->args[2] : "",
                     s->count > 3 ? s->args[3] : "", user_of(w), w->from->workdir,
                     { may_still, w } };
    char why[400] = "";

    return build_copy(w->tree, b, &o, why, sizeof why) ||
           fail(w, "failed to copy '%.200s' to '%.200s': %s", o.src, o.dest, why);
}

/* As a shell would in double quotes, but $VAR only. */
static bool expand(work *w, box *b, const char *value, text *out)
{
    running r = { .w = w, .into = out };
    text command = { 0 };
    int status;
    bool ok;

    text_str(&command, "printf %s \"");
    for (const char *c = value; *c; c++) {
        if (*c == '\\' || *c == '"' || *c == '`' || (*c == '$' && c[1] == '('))
            text_add(&command, "\\", 1);
        text_add(&command, c, 1);
    }
    text_add(&command, "\"", 2);
    out->limit = WORD_MAX;
    ok = run_shell(&r, b, command.p, "root", "/", &status) &&
         (status == 0 || fail(w, "the value '%.500s' cannot be evaluated", value));
    text_free(&command);
    text_add(out, "", 1);
    return ok;
}

static bool set_variable(work *w, const char *name, const text *value)
{
    if (value->cut || strlen(name) + 1 + value->len > WORD_MAX)
        return fail(w, "the variable '%.200s' is longer than %u KiB, the most a program can be "
                    "given: put it into a file", name, WORD_MAX >> 10);
    pairs_add(&change(w)->env, name, value->p);
    return true;
}

static bool step_env(work *w, const build_step *s)
{
    bool ok = true;

    for (size_t i = 0; i + 1 < s->count && ok; i += 2) {
        text value = { 0 };

        if (strchr(s->args[i + 1], '$')) {
            box *b = make_box(w, w->im, w->from);

            ok = b && expand(w, b, s->args[i + 1], &value);
            end_box(b);
        } else {
            text_add(&value, s->args[i + 1], strlen(s->args[i + 1]) + 1);
        }
        ok = ok && set_variable(w, s->args[i], &value);
        text_free(&value);
    }
    return ok;
}

static bool set_workdir(work *w, const char *path)
{
    char full[sizeof w->from->workdir], home[80];
    const char *user = user_of(w), *at = w->from->workdir;
    int n;

    snprintf(home, sizeof home, "%s%s", strcmp(user, "root") ? "/home/" : "/", user);
    if (path[0] == '/')
        n = snprintf(full, sizeof full, "%s", path);
    else
        n = snprintf(full, sizeof full, "%s/%s", *at ? at : home, path);
    if (n < 0 || n >= (int)sizeof full)
        return fail(w, "the working directory has a name of more than %zu bytes",
                    sizeof full - 1);
    strcpy(change(w)->workdir, full);
    return true;
}

static bool step_workdir(work *w, box *b, const build_step *s)
{
    fs_user u;
    int result = fs_find_user(&b->root, user_of(w), &u);

    (void)s; /* set_context() has resolved it */
    if (result == 0)
        result = fs_make_dirs(&b->root, &u, w->from->workdir);
    return result == 0 || fail(w, "failed to make the directory '%s': %s", w->from->workdir,
                               strerror(-result));
}

bool valid_user(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "_0123456789.-";
    size_t n = strlen(name);

    return n > 0 && n < 33 && strspn(name, letters) == n && !strchr("0123456789.-", name[0]);
}

static bool step_user(work *w, box *b, const build_step *s)
{
    char command[400];
    const char *name = s->args[0];
    fs_user u;

    if (fs_find_user(&b->root, name, &u) == 0)
        return true;
    snprintf(command, sizeof command, "useradd --create-home --shell /bin/bash %s || "
             "adduser -D %s", name, name);
    return run_checked(w, b, command, "root", "/");
}

/* What it changes for those after it, known without running it. */
static bool set_context(work *w, const build_step *s)
{
    if (s->type == STEP_USER)
        snprintf(change(w)->user, sizeof w->from->user, "%s", s->args[0]);
    return s->type != STEP_WORKDIR || set_workdir(w, s->args[0]);
}

static const struct step_kind {
    const char *name;
    size_t shown;               /* of its arguments, in the log */
    bool (*run)(work *w, box *b, const build_step *s);
} kinds[] = {
    [STEP_COPY] = { "COPY", 2, step_copy },
    [STEP_RUN] = { "RUN", 1, step_run },
    [STEP_ENV] = { "ENV", SIZE_MAX, NULL }, /* changes no file */
    [STEP_WORKDIR] = { "WORKDIR", 1, step_workdir },
    [STEP_USER] = { "USER", 1, step_user },
};

/* In a sandbox of its own, which becomes a layer. */
static bool step_that_changes(work *w, const build_step *s)
{
    box *helper = NULL, *b = NULL;
    bool ok;

    w->tree = -1;
    ok = s->type != STEP_COPY || unpack_first(w, s, &helper);
    if (ok)
        b = make_box(w, w->im, w->from);
    ok = b && kinds[s->type].run(w, b, s) && keep_layer(w, b);
    if (w->tree >= 0)
        close(w->tree);
    end_box(helper);
    end_box(b);
    return ok;
}

static bool do_step(work *w, const build_step *s, const char *words)
{
    const char *head[] = { kinds[s->type].name, s->hash };

    w->force |= s->force;
    chain(w, head, 2);
    chain(w, (const char *const *)s->args, s->count);
    if (s->type == STEP_ENV) {
        say(w, LOG_INFO, "%s%s", w->label, words);
        return step_env(w, s);
    }
    if (!set_context(w, s))
        return false;
    return from_cache(w, words) || step_that_changes(w, s);
}

static void words_of(const build_step *s, char *out, size_t cap)
{
    const struct step_kind *kind = &kinds[s->type];
    size_t n = (size_t)snprintf(out, cap, "%s", kind->name);

    for (size_t i = 0; i < kind->shown && i < s->count && n < cap; i++)
        n += (size_t)snprintf(out + n, cap - n, s->type == STEP_ENV && i % 2 ? "=%s" : " %s",
                              s->args[i]);
}

/* ---- base ---- */
static const image *image_named(const char *given)
{
    char name[300];
    const char *at = given;

    for (size_t i = 0; i < 2; i++) {
        static const char *const prefixes[] = { "docker.io/", "library/" };

        if (!strncmp(at, prefixes[i], strlen(prefixes[i])))
            at += strlen(prefixes[i]);
    }
    snprintf(name, sizeof name, "%s", at);
    if (strlen(name) > 7 && !strcmp(name + strlen(name) - 7, ":latest"))
        name[strlen(name) - 7] = '\0';
    if (!strcmp(name, "e2bdev/base"))
        return &conf.images[0];
    for (int i = 0; i < conf.image_count; i++) {
        char latest[310];

        snprintf(latest, sizeof latest, "%s:latest", name);
        if (!strcmp(conf.images[i].name, given) || !strcmp(conf.images[i].name, name) ||
            !strcmp(conf.images[i].name, latest))
            return &conf.images[i];
    }
    return NULL;
}

static bool unknown_image(work *w)
{
    text known = { 0 };

    for (int i = 0; i < conf.image_count; i++)
        text_fmt(&known, ", %s", conf.images[i].name);
    fail(w, "image '%.200s' is not known to this host, which fetches none. Known: "
         "e2bdev/base%.1500s (more by --image REF=TREE)", w->b->from_image, known.p);
    text_free(&known);
    return false;
}

static bool from_template(work *w)
{
    char id[24], name[NAME_MAX_LEN + 2];
    const char *what = w->b->from_template;
    const image *im = image_named(what);
    origin *from = NULL;

    for (int i = 0; i < conf.image_count && !im; i++)
        if (!strcmp(conf.images[i].template_id, what))
            im = &conf.images[i];
    if (im) {
        w->im = im;
        return true;
    }
    if (!template_find(what, id, name, &w->im, &from, w->b->layers))
        return fail(w, "template '%.200s' is not known to this host, or has no build that is ready",
                    what);
    origin_unref(w->from);
    w->from = from;
    return true;
}

/* A base's files do not tell what else its steps find. */
static void chain_context(work *w, const origin *o)
{
    const char *where[] = { o->user, o->workdir };

    chain(w, where, 2);
    for (size_t i = 0; i < o->env.count; i++) {
        const char *pair[] = { o->env.keys[i], o->env.values[i] };

        chain(w, pair, 2);
    }
}

static bool begin(work *w)
{
    build *b = w->b;
    struct statvfs disk;
    const char *first[4];
    origin *o;

    snprintf(w->step, sizeof w->step, "base");
    snprintf(w->label, sizeof w->label, "[base] ");
    say(w, LOG_INFO, "%sFROM %s", w->label, b->from_template ? b->from_template : b->from_image);
    if (statvfs(conf.state, &disk) == 0 && b->min_free_mib > 0 &&
        (int64_t)((uint64_t)disk.f_bavail * disk.f_frsize >> 20) < b->min_free_mib)
        return fail(w, "less than %d MiB are free on this host", b->min_free_mib);
    if (templates_full(0))
        return fail(w, "templates need more than %d MiB (--templates-mib): delete some",
                    conf.templates_mib);
    if (b->from_template ? !from_template(w) : !(w->im = image_named(b->from_image)))
        return b->from_template ? false : unknown_image(w);
    o = change(w);
    o->cpus = b->cpus;
    o->memory_mib = b->memory_mib;
    first[0] = w->im->name;
    first[1] = w->im->tree;
    first[2] = o->layers;
    first[3] = conf.rung == 1 ? "1" : conf.rung == 2 ? "2" : "3"; /* trees differ by rung */
    chain(w, first, 4);
    chain_context(w, o);
    return true;
}

/* ---- start and ready ---- */

/* start: NULL if there is none. */
static bool await_ready(work *w, box *b, running *start)
{
    char rest[40];
    const char *ready = w->b->ready && *w->b->ready ? w->b->ready : NULL;
    int64_t until = mono_ms() + READY_WAIT_MS;
    int status;

    if (!ready) {
        snprintf(rest, sizeof rest, "sleep %d", start ? START_WAIT_S : 0);
        ready = rest;
    }
    while (!w->b->reason && mono_ms() < until) {
        running trial = { .w = w, .beside = start, .until = until };
        running pause = { .w = w, .beside = start };

        if (!run_shell(&trial, b, ready, user_of(w), w->from->workdir, &status))
            break;
        if (status == 0)
            return true;
        pause.until = mono_ms() + READY_EVERY_MS;
        attend(&pause);
    }
    return fail(w, "the ready command did not succeed within %d seconds", READY_WAIT_MS / 1000);
}

static bool finalize(work *w)
{
    const char *command = w->from->start;
    running start = { .w = w };
    bool ok = true;
    box *b;

    snprintf(w->step, sizeof w->step, "finalize");
    snprintf(w->label, sizeof w->label, "[finalize] ");
    if ((!w->b->start || !*w->b->start) && (!w->b->ready || !*w->b->ready))
        return true; /* a start command of its base was tried out there */
    b = make_box(w, w->im, w->from);
    if (!b)
        return false;
    if (*command) {
        say(w, LOG_INFO, "%sStart command: %.2000s", w->label, command);
        ok = start_shell(&start, b, command, user_of(w), w->from->workdir);
    }
    ok = ok && await_ready(w, b, *command ? &start : NULL);
    drain(&start);
    running_free(&start);
    if (ok)
        say(w, LOG_INFO, "%sTemplate is ready", w->label);
    end_box(b);
    return ok;
}

void start_command(box *b)
{
    char *args[] = { (char[]){ "-l" }, (char[]){ "-c" }, b->from->start };
    proc_options o = { .cmd = shell_of(b), .cwd = "", .tag = "start_cmd", .args = args,
                       .argc = 3, .user = "" };
    char where[FS_PATH];
    int stage, result;
    proc *p;
    sub *s;

    result = proc_start(b, &o, &p, &s, &stage, where, sizeof where);
    if (result != 0) {
        box_log(b, "error", "the start command does not start: %s", strerror(-result));
        return;
    }
    sub_detach(s); /* its output is for who connects to it */
    proc_unref(p);
}

/* ---- the whole ---- */
static bool all_steps(work *w)
{
    build *b = w->b;
    char words[LINE_MAX_BYTES];

    for (size_t i = 0; i < b->step_count; i++) {
        snprintf(w->step, sizeof w->step, "%u", (unsigned)i + 1);
        snprintf(w->label, sizeof w->label, "[builder %zu/%zu] ", i + 1, b->step_count);
        words_of(&b->steps[i], words, sizeof words);
        if (!may_go_on(w) || !do_step(w, &b->steps[i], words))
            return false;
    }
    return true;
}

static void *build_main(void *arg)
{
    build *b = arg;
    work w = { .b = b, .force = b->force, .until = mono_ms() + conf.build_seconds * 1000ll };
    bool ok;

    w.from = xalloc(sizeof *w.from);
    w.from->refs = 1;
    w.from->start = xstrdup("");
    ok = begin(&w);
    if (ok && b->start && *b->start) {
        origin *o = change(&w);

        free(o->start);
        o->start = xstrdup(b->start);
    }
    ok = ok && all_steps(&w) && finalize(&w) && may_go_on(&w);
    templates_lock();
    if (ok) {
        b->im = w.im;
        b->from = origin_ref(w.from);
    }
    templates_unlock();
    log_at(1, "template %s: build %s: %s", b->t->id, b->id, ok ? "ready" : "error");
    origin_unref(w.from);
    build_done(b, ok);
    return NULL;
}

bool build_start(build *b)
{
    pthread_attr_t attr;
    pthread_t thread;
    bool ok;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    ok = pthread_create(&thread, &attr, build_main, b) == 0;
    pthread_attr_destroy(&attr);
    return ok;
}
