/* sandboxd - the local host: what all of its files share.

   Three kinds of processes:
     host     this program: HTTP (libmicrohttpd, one thread a connection), one
              reactor thread (output, exits, clocks), one janitor thread
     zygote   forked before any thread exists: makes and reaps sandboxes
     agent    first process of a sandbox (pid 1 on rungs 1 and 2): starts commands
   Files are handled by the host itself, through a descriptor of the sandbox's
   root and openat2(RESOLVE_IN_ROOT): no path can lead outside. */
#ifndef SANDBOXD_HOST_H
#define SANDBOXD_HOST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "sandbox.h"

#define HOST_VERSION SBX_VERSION
#define ENVD_VERSION "0.6.4"
#define CLIENT_ID "6532622b"
#define DEFAULT_KEY "e2b_0000000000000000000000000000000000000000"
#define USER_UID 1000           /* `user` of every sandbox */
#define MAX_IMAGES 16
#define FS_PROC_MAGIC 0x9fa0
#define ID_LEN 21               /* of a sandbox id: i and 20 of [a-z0-9] */
#define LAYER_ID 10             /* of [a-z0-9] */
#define MAX_LAYERS 120          /* of one sandbox: the options of a mount are one page */
#define LAYERS_TEXT (MAX_LAYERS * (LAYER_ID + 1) + 1)

/* ---- configuration (main.c), fixed before the first thread ---- */
typedef struct image {
    char name[64];
    char tree[512];             /* "": the minimal tree made from this system */
    char lower[1024];           /* lowerdir= of the overlay */
    char template_id[24];
} image;

enum { NET_SHARED, NET_OWN, NET_AUTO };
typedef struct config {
    char bind[64];
    int port;
    const char *tls_cert, *tls_key;
    char state[256];            /* directory that holds everything */
    bool state_is_temp;
    char api_key[256];
    image images[MAX_IMAGES];
    int image_count;
    int max_sandboxes;
    int rate;                   /* requests of the control plane a second, 0: any */
    int isolation;              /* asked for: 0 auto, 1, 2, 3 */
    int disk_mib, memory_mib, max_procs;
    int templates_mib, build_seconds; /* all uploads and layers; one build */
    int log_level;              /* 0 errors, 1 requests, 2 debug */
    const char *ready_file;
    char *title;                /* argv[0], all arguments behind it */
    size_t title_len;
    uid_t uid;                  /* who runs this program */
    gid_t gid;
    int network;                /* NET_* asked for */
    bool own_net;               /* sandboxes have networks of their own, after probing */
    int rung;                   /* in use, after probing */
    char rung_notes[512];       /* what was found, for people */
} config;
extern config conf;

/* ---- util.c ---- */
void log_at(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void *xalloc(size_t n);         /* zeroed, never NULL */
char *xstrdup(const char *s);
int64_t mono_ms(void);
int64_t unix_ms(void);
void random_bytes(void *p, size_t n);
void hex_text(char *out, const unsigned char *bytes, size_t n); /* 2 * n + NUL */
void random_hex(char *out, size_t bytes);      /* 2 * bytes + NUL */
void random_id(char *out, size_t n);           /* n of [a-z0-9] + NUL */
bool same_secret(const char *a, const char *b); /* constant time */
void rfc3339(char *out, size_t cap, int64_t unix_ns, bool trim);
bool parse_rfc3339(const char *s, int64_t *ms);
bool percent_decode(char *s);   /* in place; false: bad escape or NUL */
size_t lossy_utf8(char *out, size_t cap, const char *in); /* bad bytes: U+FFFD */
int write_all(int fd, const void *p, size_t n);
bool write_text(const char *path, const char *text);
ssize_t read_small(int dirfd, const char *path, char *buf, size_t cap);

/* A text that grows. On overflow of `limit` it stops growing and sets cut. */
typedef struct text { char *p; size_t len, cap, limit; bool cut; } text;
void text_add(text *t, const void *p, size_t n);
void text_str(text *t, const char *s);
void text_fmt(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_free(text *t);
sbx_sink text_sink(text *t);
void json_str(sbx_json_writer *w, const char *key, const char *value); /* lossy */
void json_num(sbx_json_writer *w, const char *key, int64_t value);
void json_num_text(sbx_json_writer *w, const char *key, int64_t value); /* "5" */
void json_rat(sbx_json_writer *w, const char *key, int64_t hundredths);

/* ---- wire between host, zygote and agent (SOCK_SEQPACKET) ---- */
enum { M_MAKE = 1, M_KILL, M_DEAD, M_READY, M_SPAWN, M_SIGNAL, M_EXIT,
       M_FREEZE, M_NET, M_CONNECT, M_DONE, M_READ };
#define MAKE_NO_NET 1u
#define SPAWN_ROOT 1u           /* rung 2: as root, in a further user namespace */
#define SPAWN_PTY 2u            /* on a terminal of its own */

typedef struct make_msg {
    uint32_t type, image, flags;
    int32_t cpus, memory_mib;   /* 0: what this host gives */
    char id[ID_LEN + 3], layers[LAYERS_TEXT];
} make_msg;
typedef struct id_msg { uint32_t type, status; char id[ID_LEN + 3]; } id_msg;
/* With the root directory, and the one all of the sandbox's own files are below. */
typedef struct ready_msg { uint32_t type; int32_t err, pid; char why[240]; } ready_msg;
/* With its descriptors: answer, payload, stdin, stdout, stderr; with SPAWN_PTY only
   the first two, and the terminal's other end comes back in an answer with pid 0.
   Payload: cwd, argc arguments, envc environment entries, each with its NUL. */
typedef struct spawn_msg {
    uint32_t type, flags, uid, gid, argc, envc;
    uint16_t cols, rows;
    uint64_t token, payload;    /* payload: bytes */
} spawn_msg;
enum { SPAWN_AT_FORK = 1, SPAWN_AT_CWD, SPAWN_AT_USER, SPAWN_AT_PTY, SPAWN_AT_EXEC };
typedef struct spawn_answer { int32_t pid, stage, err; } spawn_answer;
/* M_FREEZE: value 1 stop, 0 go on; M_NET: 1 on, 0 off; M_CONNECT: to the port value,
   with a socket for the answer, a spawn_answer with the connection. The first two
   are answered by M_DONE: its value is 0 or an errno. */
typedef struct token_msg { uint32_t type; int32_t value; uint64_t token; } token_msg;
/* A file of /proc, as that user sees it: with a socket for the answer, a spawn_answer
   with a pipe that its content comes through. */
typedef struct read_msg { uint32_t type, uid, gid; char path[4096]; } read_msg;

int msg_send(int sock, const void *p, size_t n, const int *fds, int nfds);
/* Returns bytes, 0 at the end, -1 on error; *nfds in: room, out: got. */
ssize_t msg_recv(int sock, void *p, size_t cap, int *fds, int *nfds, int flags);

/* ---- zygote.c, agent.c, isolate.c, base_tree.c, confine.c, cgroup.c ---- */
int zygote_start(pid_t *zygote); /* returns the host's end; chooses conf.rung */
void agent_run(int sock, const make_msg *m) __attribute__((noreturn));
int box_enter(const make_msg *m, int fds[2], char *why, size_t cap); /* in the child */
int box_closed_net(void);       /* a network of nothing but lo; -1 */
int clone_flags(int rung);
int box_command_root(void);     /* rung 2: become root of a nested user namespace */
pid_t uplink_start(pid_t sandbox); /* uplink.c: the process that carries its network */
int uplink_await(void);         /* inside: 0 or an errno */
int uplink_set(bool on);
void uplink_names(void);
void base_tree_make(void);      /* the lower trees of all images */
void base_tree_own_homes(void);  /* once the rung is known */
void base_tree_rung3(const char *root);
void state_clean(bool with_lock); /* what a host keeps under conf.state */
int confine_agent(int rung);    /* capabilities, no_new_privs, rlimits */
int confine_reader(void);       /* the agent's child: what a command would have */
int confine_rung3(const char *root, bool no_net);
bool rung3_can_cut_net(void);
bool landlock_there(void);
void cgroup_probe(void);
const char *cgroup_note(void);
void cgroup_enter(const char *id);      /* the calling process */
void cgroup_remove(const char *id);
void cgroup_sweep(void);                /* the parent groups, at the end */
#define FREEZE_WAIT_MS 10000
bool cgroup_limits(void);               /* memory or processes are limited by groups */
bool cgroup_can_freeze(void);
bool cgroup_freeze(const char *id, bool frozen); /* false: it could not, all run on */
/* What is not known keeps its value or is -1. */
void cgroup_usage(const char *id, int64_t *cpu_us, int64_t *memory, int64_t *cache);

/* ---- freeze.c: a tree of processes without control groups ---- */
size_t tree_of(pid_t root, pid_t **out);    /* all below root, in this /proc; free it */
bool tree_stop(int64_t wait_ms);            /* agent: everything below itself */
void tree_continue(void);

#endif
