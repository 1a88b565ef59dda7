/* Templates: a name, its builds, and the layers they are made of. template.c: the
   store and what of it is on disk; layer.c: layers and uploads; build.c: a build,
   step by step, in sandboxes of its own; build_copy.c: the COPY step;
   template_e2b.c, build_e2b.c: the endpoints.

   A layer is what one step changed: the upper directory of the sandbox the step ran
   in, a lower one of those after it. On rung 3 it is the whole tree. A layer lives as
   long as a build, a sandbox or a snapshot is made of it, and is found again by the
   hash of all that led to it. On rung 3 only the first one of a list is used.

   One lock, templates_lock(), guards all of it; it comes before those of box.h. Only
   the thread of a build holds pointers without it: who deletes waits for that one. */
#ifndef SANDBOXD_TEMPLATE_H
#define SANDBOXD_TEMPLATE_H

#include "box.h"
#include "json_tree.h"

#define NAME_MAX_LEN 128
#define TAG_MAX_LEN 63
#define MAX_TEMPLATES 1000
#define MAX_BUILDS 20           /* at the same time */
#define KEEP_BUILDS 5           /* of a template, beyond those with a tag */
#define MAX_WAITING 100         /* builds of a template that are not started yet, and young */
#define WAIT_S 3600             /* so long they are young, and URLs of their uploads good */
#define MAX_TAGS 1000           /* of a template, with those its builds are to get */
#define MAX_FILES 1000          /* uploads of a template */
#define MAX_STEPS 500
#define LOG_ENTRIES 5000
#define LOG_BYTES (512u << 10)

typedef enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR } log_level;
extern const char *const log_levels[4];
int log_level_of(const char *name);     /* -1: none */
typedef struct log_entry {
    int64_t at_ms;
    log_level level;
    char step[12], *message;
} log_entry;

typedef enum step_type { STEP_COPY, STEP_RUN, STEP_ENV, STEP_WORKDIR, STEP_USER } step_type;
typedef struct build_step {
    step_type type;
    char **args;
    size_t count;
    char hash[65];              /* of the files of COPY */
    bool force;
} build_step;

typedef enum build_state { BUILD_WAITING, BUILD_BUILDING, BUILD_READY, BUILD_ERROR } build_state;
extern const char *const build_states[4];

typedef struct build {
    char id[40];
    build_state state;
    int64_t created_ms, updated_ms, finished_ms;
    int cpus, memory_mib, min_free_mib;
    char **tags;                /* it gets when it is ready */
    size_t tag_count;
    const image *im;            /* once it is ready, like from */
    origin *from;
    char layers[LAYERS_TEXT];   /* made so far: kept for the next attempt */
    log_entry *log;
    size_t log_count;
    size_t log_bytes;
    char *reason, reason_step[12];  /* of an error */
    struct template *t;
    /* what it was told to do, until it is done */
    char *from_image, *from_template, *start, *ready;
    bool force;
    build_step *steps;
    size_t step_count;
    bool cancelled;             /* atomic */
    struct build *next;         /* older one */
} build;

typedef struct tag {
    char name[TAG_MAX_LEN + 1], build[40];
    int64_t at_ms;
    struct tag *next;
} tag;

typedef struct named_file {
    char hash[65];
    int64_t at_ms;              /* its client asked for it, or sent it; 0: to another host */
    struct named_file *next;
} named_file;

typedef struct template {
    char id[24], name[NAME_MAX_LEN + 1];
    bool public;
    int64_t created_ms, updated_ms, spawned_ms, spawned;
    build *builds;              /* newest first */
    tag *tags;                  /* at most MAX_TAGS; more are refused */
    /* Its uploads, the one named last first. At most MAX_FILES: one that no build runs
       with and that was not named for WAIT_S gives way; is there none, more are refused. */
    named_file *files;
    int active;                 /* builds that have a thread */
    int starting;               /* sandboxes that are being made of it */
    struct template *next;      /* older one */
} template;

/* ---- template.c ---- */
void templates_lock(void);
void templates_unlock(void);
/* Below: with the lock held, unless it says otherwise. */
template *template_first(void);
template *template_by_id(const char *id);
/* id or name, perhaps team/ before it; tag (may be NULL) gets what is behind ':', else
   "default". NULL: none. */
template *template_named(const char *reference, char tag[TAG_MAX_LEN + 1]);
build *template_build(template *t, const char *id);
tag *template_tag(template *t, const char *name);
void template_set_tag(template *t, const char *name, const build *b);
bool template_tags_fit(template *t, char *const *names, size_t count);
bool template_name_file(template *t, const char *hash); /* false: too many */
template *template_new(const char *name);
build *build_new(template *t);          /* NULL: too many wait */
void build_log(build *b, log_level level, const char *step, const char *message);
bool template_write(template *t);       /* false: it is in the log */
/* Builds nobody needs: but (may be NULL) and those that run or may yet be started stay. */
void template_trim(template *t, const build *but);
/* False: sandboxes are made of it. Lets go of the lock while its builds end. */
bool template_delete(template *t);
void orders_free(build *b);             /* what it was told to do; no lock */
void build_done(build *b, bool ok);     /* no lock: it is written down, its thread ends */
bool build_may_start(void);
void build_enter(build *b);             /* it has a thread now */
void build_leave(build *b);             /* it got none */
/* No lock. The origin comes with a reference. For a build its layers are put into
   hold; for a sandbox hold is NULL, and the template stays until template_started(). */
bool template_find(const char *reference, char id[24], char name[NAME_MAX_LEN + 2],
                   const image **im, origin **from, char *hold);
void template_started(const char *id);  /* no lock */
void templates_load(void);
void templates_stop(void);              /* no lock: ends all builds */
void templates_free(void);

/* ---- keep.c: what is written down ---- */
bool keep_write(const char *path, text *t);     /* whole or not at all; frees the text */
bool keep_read(const char *path, jtree *t); /* free the tree in any case */
bool keep_all_read(void);       /* false: a file of this state could not be */
void keep_origin(sbx_json_writer *w, const origin *o);
origin *keep_origin_read(const jnode *object); /* NULL: none in it */
void keep_each(const char *dir, const char *file, void (*fn)(const char *));
const image *keep_image(const jnode *object, const char *what);
int64_t keep_number(const jnode *object, const char *key);     /* 0: none */
void keep_text(const jnode *object, const char *key, char *out, size_t cap);

/* ---- layer.c ---- */
int layer_open(const char *id);         /* its files; -1 */
bool layer_find(const char *key, char id[LAYER_ID + 1]);        /* with the lock */
/* What the sandbox's files are now; goes into the list, too, under the lock. 0 or
   -errno, -E2BIG: the list is full. */
int layer_make(box *b, const char *key, char list[LAYERS_TEXT], char id[LAYER_ID + 1]);
bool layers_push(char layers[LAYERS_TEXT], const char *id);     /* false: too many */
void layers_sweep(void);                /* no lock: removes what nobody needs */
void layers_load(void);
void layers_free(void);
bool templates_full(int64_t more);      /* all layers and uploads, and that; no lock */

typedef struct upload_part { char dir[400]; int fd; int64_t promised; } upload_part;
bool upload_there(const char *hash);
int upload_open(const char *hash);      /* -1 */
int upload_begin(upload_part *u, int64_t bytes); /* 0 or -errno, -EDQUOT: templates_full */
int upload_commit(upload_part *u, const char *hash);
void upload_abort(upload_part *u);      /* also after commit */

/* ---- build.c ---- */
bool build_start(build *b);             /* false: no thread */
void start_command(box *b);             /* of its template, in a new sandbox */
bool valid_user(const char *name);

/* ---- build_copy.c ---- */
typedef struct copy_order {
    const char *src, *dest, *owner, *mode;  /* owner, mode "": none */
    const char *user, *workdir;             /* of the step */
    fs_going going;                         /* asked again and again */
} copy_order;
/* The tree that an upload was unpacked to into a sandbox. false with why. */
bool build_copy(int unpacked, box *to, const copy_order *o, char *why, size_t cap);

#endif
