/* Sandboxes and their processes as the host sees them. box.c: life and death;
   life.c: pause, resume, copies; keep.c: what survives on disk; sample.c: metrics
   and the log of a sandbox's life;
   reactor.c: the thread that waits for everything; proc.c: processes and output.

   Locks: table_lock (box.c) before box->lock. Every pointer held outside a lock
   is counted: box_unref, proc_unref. */
#ifndef SANDBOXD_BOX_H
#define SANDBOXD_BOX_H

#include "fs.h"

#include <pthread.h>

typedef struct pair_list { char **keys, **values; size_t count; } pair_list;
void pairs_add(pair_list *l, const char *key, const char *value);
void pairs_copy(pair_list *to, const pair_list *from);
void pairs_free(pair_list *l);

/* What the build of a template gives the sandboxes made from it. Never changes. */
typedef struct origin {
    int refs;                   /* atomic */
    char layers[LAYERS_TEXT];   /* ids, the topmost first, ':' between them */
    char user[64], workdir[512]; /* "": `user`, the home */
    int cpus, memory_mib;       /* 0: what this host gives */
    pair_list env;
    char *start;                /* command that runs in each of them, "": none */
} origin;
origin *origin_ref(origin *o);  /* NULL-safe, both */
void origin_unref(origin *o);

/* What the reactor waits on. */
typedef enum watch_kind { W_WAKE, W_ZYGOTE, W_BOX, W_OUT, W_ERR } watch_kind;
typedef struct watch {
    watch_kind kind;
    int fd;
    void *owner;
    bool on;
    bool nudge;                 /* report it even if there is nothing to read */
} watch;

typedef enum box_state { BOX_STARTING, BOX_RUNNING, BOX_BUSY, BOX_PAUSED, BOX_ENDING, BOX_DEAD,
    BOX_GONE } box_state;

/* A line of the log, a measurement. */
typedef struct box_log_line { int64_t at_ms; char level[8]; char *text; } box_log_line;
typedef struct box_sample {
    int64_t at_ms, cpu_us, percent, memory, cache, disk_used, disk_total; /* percent: x 100 */
} box_sample;
#define LOG_LINES 1000
#define SAMPLES 720


struct proc;

typedef struct box {
    char id[ID_LEN + 3];
    char token[72];             /* "": not secured */
    char traffic_token[72];     /* "": ports are open to all */
    char mask_host[256];        /* Host of requests to ports, "": as it comes */
    const image *im;
    origin *from;               /* NULL: of an image */
    bool hidden;                /* it builds a template: in no list */
    char template_id[24];       /* of the image, the template or the snapshot */
    char alias[160];
    pair_list metadata, env;
    bool internet;
    int internet_choice;        /* as asked: -1 not said, 0, 1 */
    bool pause_at_end, pause_memory, auto_resume;
    int64_t life_ms;            /* it was made with */
    int64_t started_ms, end_ms; /* wall clock, for people */
    int64_t end_mono;           /* the clock that ends it */
    char *real;                 /* rung 3: its root directory */
    fs_root root;
    int dirfd;                  /* its own files are below; -1: nothing runs */
    int32_t agent_pid;          /* rung 3: of this system */
    watch sock;                 /* to the agent */
    /* below: under lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    box_state state;
    bool hollow;                /* no process is left, only files */
    bool keep;                  /* at its end the files stay, for the next host */
    uint64_t done_token;        /* of the agent's last answer, and what it said */
    int32_t done_value;
    int64_t paused_mono;
    struct proc *procs;
    uint64_t last_token;
    box_sample *samples;        /* a ring once it is full */
    uint64_t sample_count;
    int64_t sample_mono;
    box_log_line *lines;        /* a ring once it is full */
    uint64_t line_count;
    int refs;                   /* atomic */
    /* below: under table_lock */
    struct box *next;           /* in its bucket */
    struct box *queue;          /* for the janitor */
    bool to_pause;              /* what it shall do: pause it, not clean up */
} box;

typedef struct box_options {
    const image *im;
    const char *alias;
    const pair_list *metadata, *env;
    int internet;               /* -1, 0, 1 */
    bool secure, private_ports;
    bool pause_at_end, no_pause_memory, auto_resume;
    const char *mask_host;      /* NULL: none */
    const char *template_id;    /* NULL: the image's */
    origin *from;               /* NULL: none */
    bool of_template;           /* template_id is one that waits for template_started() */
    bool hidden;
    int files;                  /* a tree to begin with, -1: none */
    int64_t timeout_ms;
} box_options;

int boxes_start(int zygote_sock, pid_t zygote);
void boxes_stop(void);          /* ends all sandboxes */
void boxes_close(void);         /* after the last request: ends the threads */
/* 0, -EAGAIN: as many as allowed, or -EIO with why. One reference is yours. */
int box_create(const box_options *o, box **out, char *why, size_t cap);
box *box_find(const char *id);  /* a running one, with a reference, or NULL */
box *box_find_any(const char *id); /* a paused one too; what is in between is waited for */
bool box_await(box *b);         /* false: it ended */
box *box_ref(box *b);
void box_unref(void *b);
/* These two wait for the end of what is in between: a snapshot ends in running again. */
box_state box_settled(box *b);  /* under lock */
bool box_running(box *b);
/* false: another one did it. Returns when processes and directory are gone. */
bool box_kill(box *b, const char *reason);
void box_set_end(box *b, int64_t timeout_ms, bool only_extend);
void box_set_pause(box *b, bool at_end);
size_t box_list(box ***out);    /* references, paused ones too; free the list */
void boxes_layers(void (*fn)(const char *layers)); /* of each in the table */
bool boxes_of(const char *template_id); /* is there one that users made? */
int boxes_count(void);
box_state box_state_of(box *b);
int box_bring_up(box *b, char *why, size_t cap, bool *asked);
bool box_may_run(void);         /* one more */
bool box_adopt(box *b);         /* one from disk */
box *box_blank(const char *id);
void box_from(box *b, origin *from); /* takes a reference */
int box_cpus(const box *b);
void box_pairs_of_system(box *b);
void box_settle(box *b, box_state state); /* leaves BOX_BUSY */
void box_end_processes(box *b); /* under lock, busy: waits until none is left */
const char *box_files(void);    /* the name of the directory of its own files */

/* ---- life.c: 0 or -errno; -EBUSY: another state, in *was ---- */
int box_pause(box *b, bool memory, box_state *was);
void box_pause_queued(box *b);  /* busy already, by its clock */
int box_resume(box *b, bool memory, int64_t timeout_ms, bool *resumed, char *why, size_t cap);
int box_set_net(box *b, bool on);
/* A request whose answer is a descriptor: that, or -errno. */
int box_ask_fd(box *b, const void *m, size_t n);
/* Its files, as they are at one moment, into a new directory. */
int box_copy_files(box *b, const char *path, box_state *was);
bool box_has_processes(box *b);
int box_leave_files(box *b);    /* ends all but its files: a descriptor of those, or -errno */

/* ---- keep.c ---- */
bool keep_box(box *b);          /* writes down a paused one; needs no lock */
void keep_forget(const char *id);
bool keep_kept(const char *id);
void keep_load(void);
typedef struct snapshot {
    char id[24], name[130], tag[64], sandbox[ID_LEN + 3];   /* name "": none */
    const image *im;
    origin *from;               /* of those in a list: only to compare */
    int64_t made_ms;
    struct snapshot *next;
} snapshot;
int snapshot_make(box *b, const char *name, const char *tag, snapshot *out, box_state *was);
/* id, name, name:tag, any/name; its origin with a reference */
bool snapshot_find(const char *reference, snapshot *out);
bool snapshot_delete(const char *reference);
size_t snapshot_list(snapshot **out);   /* newest first; free it */
int snapshot_open(const snapshot *s);   /* its tree */
void keep_layers(void (*fn)(const char *layers)); /* of snapshots, and what is not offered */
void keep_free(void);

/* ---- sample.c ---- */
void samples_start(void);
void samples_stop(void);
void box_measure(box *b, int64_t at_least_ms); /* unless the last one is that new */
box_sample box_last_sample(box *b);
int64_t box_memory_total(const box *b);
void box_log(box *b, const char *level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* for the reactor */
void box_expire(int64_t now, int64_t *next);
void box_on_dead(const char *id, int status);
void box_on_message(box *b);
void reactor_start(int zygote_sock);
void reactor_stop(void);
int reactor_add(watch *w);
void reactor_drop(watch *w);    /* reactor thread only; closes w->fd */
void reactor_pause(watch *w, bool paused);  /* any thread */
void reactor_deadline(int64_t mono);        /* any thread: look again by then */
void reactor_later(void (*fn)(void *), void *p); /* reactor thread only: after this batch */

/* ---- proc.c ---- */
#define RING_BYTES (256u << 10)
#define KEEP_ENDED_MS 30000

typedef enum piece_kind { PIECE_OUT = 1, PIECE_ERR = 2, PIECE_PTY = 3 } piece_kind;

/* A reader of a process's output. */
typedef struct sub {
    struct proc *p;
    uint64_t at;                /* position in the ring, under box->lock */
    size_t left;                /* of the present item */
    piece_kind kind;
    int event;                  /* eventfd, written when there is something new */
    bool waiting;
    bool owner;                 /* it started the process: its clock is the stream's */
    struct sub *next;
} sub;

typedef struct proc {
    box *b;                     /* holds a reference */
    uint64_t token;
    int32_t pid;
    char *cmd, *cwd, *tag;      /* cwd, tag: NULL if not given */
    char **args;
    size_t argc;
    pair_list envs;
    watch out, err;             /* fd -1: at its end */
    bool paused;                /* the ring is full: nothing is read */
    int in;                     /* -1: none or closed */
    bool pty;                   /* out and in are the terminal; there is no err */
    bool has_in;
    pthread_mutex_t in_lock;
    /* below: under b->lock */
    unsigned char *ring;        /* items: 1 byte kind, 3 bytes length, data */
    uint64_t head;
    sub *subs;
    int refs;
    bool listed, exited, ended, lost, signalled, deadline_hit;
    bool told;                  /* the log has its start */
    int status;                 /* as wait() gave it */
    uint64_t cutoff;            /* head when the deadline hit */
    int64_t deadline;           /* of its life, 0: none */
    int64_t ended_at;
    struct proc *next;
} proc;

typedef struct proc_options {
    const char *cmd, *cwd, *tag;
    char **args;
    size_t argc;
    const pair_list *envs;
    const char *user;           /* "": the default one */
    bool want_stdin;
    bool pty;
    uint16_t cols, rows;
    int64_t life_ms;            /* 0: no limit */
} proc_options;

/* Starts it with one reader attached. 0, or -errno with the stage in *stage
   (SPAWN_AT_*) and, for a bad user, -ENOKEY. */
int proc_start(box *b, const proc_options *o, proc **out, sub **reader, int *stage, char *cwd,
               size_t cap);
proc *proc_find(box *b, int64_t pid, const char *tag); /* also one that ended recently */
void proc_unref(void *p);
int proc_signal(proc *p, int sig);              /* -ESRCH: it ended */
int proc_input(proc *p, const void *data, size_t len, int conn_fd); /* -errno */
int proc_close_input(proc *p);
int proc_resize(proc *p, uint16_t cols, uint16_t rows); /* -ENOTTY: no terminal */
sub *sub_attach(proc *p);       /* NULL: out of descriptors */
void sub_detach(sub *s);

/* One step of reading. */
typedef enum sub_state { SUB_DATA, SUB_WAIT, SUB_END, SUB_LOST, SUB_DEADLINE } sub_state;
typedef struct sub_piece { piece_kind kind; const unsigned char *data; size_t len; } sub_piece;
sub_state sub_peek(sub *s, sub_piece *piece);   /* data stays valid until sub_take */
void sub_take(sub *s, size_t len);

void proc_readable(proc *p, watch *w);          /* reactor thread */
void proc_exited(box *b, uint64_t token, int status);
void proc_log_end(box *b, int32_t pid, int status);
void procs_lost(box *b);                        /* the sandbox died */
void procs_expire(box *b, int64_t now, int64_t *next); /* under b->lock */

#endif
