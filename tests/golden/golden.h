/* golden - the parts of the golden runner and what they tell each other.

     dom.c       JSON as a tree, byte strings, an arena for all of it
     compare.c   when a sent request equals a recorded one, when a result equals
                 what was expected
     peer.c      the replaying peer: an sbx_net in memory with its own clock
     ops.c       the public functions by name, their arguments and results
     archive.c   the files of a case as a tree, and what is in a tar
     builder.c   template builders, by the names of their methods
     fault.c     runs cases again and again, each time with one thing that fails
     main.c      reads the files, runs every case four ways, reports

   One thread, one case at a time: everything of a case is taken from the arena
   and dropped at its end. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include "../../sandbox.h"

/* ---- arena and texts (dom.c) ------------------------------------------------ */
void *keep(size_t size);                /* zeroed, never NULL */
char *keep_bytes(const void *p, size_t len); /* a copy with a NUL behind it */
char *keep_text(const char *text);
void *keep_mark(void);
void keep_drop(void *mark);             /* frees all that was kept since */

typedef struct text { char *p; size_t len, cap; } text; /* p has a NUL at len */
void text_add(text *t, const void *p, size_t len);
void text_put(text *t, const char *s);
void text_format(text *t, const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* ---- JSON trees (dom.c) ----------------------------------------------------- */
typedef enum { D_NULL, D_BOOL, D_NUMBER, D_TEXT, D_LIST, D_OBJECT, D_ENUM } kind;

typedef struct word { int value; const char *name; } word; /* ends with name NULL */

typedef struct node {
    kind kind;
    struct node *next, *first, *last;   /* of a list or object */
    size_t count;
    const char *key;
    const char *s;                      /* TEXT bytes, NUMBER as written */
    size_t len;
    int64_t i;                          /* BOOL, NUMBER, ENUM; OBJECT: 1 for a map */
    bool whole;                         /* NUMBER: i is exactly its value */
    const word *words;                  /* ENUM: the names of its values */
} node;

node *dom_parse(const char *json, size_t len); /* NULL: not JSON, or a key over 64 bytes */
node *dom_get(const node *object, const char *key); /* NULL: absent; else maybe D_NULL */
node *dom_has(const node *object, const char *key); /* as dom_get, NULL for null too */
const char *dom_text(const node *object, const char *key); /* NULL unless a text */
bool dom_is(const node *n, const char *text);
node *dom_new(kind k);
node *dom_int(int64_t i);
node *dom_bytes(const void *p, size_t len);
node *dom_string(const char *s);        /* NULL becomes null */
node *dom_add(node *container, const char *key, node *value); /* key NULL in lists */
void dom_print(text *to, const node *n);
/* TEXT, or {"b64": ...}: its bytes. */
bool dom_data(const node *n, const char **p, size_t *len);

/* ---- complaints ------------------------------------------------------------- */
typedef struct report { text lines; size_t count; } report;
void complain(report *r, const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* ---- recordings ------------------------------------------------------------- */
#define HOST "127.0.0.1:3000"           /* what <host> stands for */

typedef struct exchange {
    const char *method, *target;
    const node *headers;
    const char *body;
    size_t body_len;
    int status;                         /* 0: closed without an answer */
    bool cut;                           /* closed in the middle of the stream */
    const node *reply_headers;
    const char *reply;
    size_t reply_len;
    double slept_s;                     /* < 0: not recorded */
    const char *problem;                /* the recording cannot be replayed: why */
    const node *fixture;                /* files of the case, or NULL */
    struct exchange *next;
} exchange;

typedef struct header { const char *name, *value; struct header *next; } header;
typedef struct request {                /* as it was sent */
    const char *method, *target;
    header *headers;                    /* names in lower case */
    bool chunked;
    const char *body;
    size_t body_len;
} request;

/* A value the client made itself, and the one that stands for it in the recording. */
typedef struct made { const char *recorded, *sent; struct made *next; } made;

typedef struct rules {                  /* of one case */
    const node *ignore;                 /* list of member and header names, or NULL */
    const node *differs;                /* list of {name, why}, or NULL */
    const node *beyond;                 /* list of {method, target, status, body}: requests
                                           that may follow the recorded ones, or NULL */
    const node *given;                  /* the whole entry: values from there are exact */
    const node *fixture;                /* files of the case, or NULL */
    made *made;
} rules;

/* ---- compare.c -------------------------------------------------------------- */
void compare_request(rules *k, const exchange *want, const request *got, size_t number,
    report *r);
/* impl.c: what gzip holds; false: damaged. */
bool unpack(const char *p, size_t len, text *out);
/* Placeholders and made values of recorded text, replaced by what is true now. */
const char *recorded_now(const rules *k, const char *s, size_t *len);
/* Is `got` what `want` describes? Objects: just the members of want. */
void compare_result(const node *want, const node *got, const char *path, report *r);

/* ---- fault.c ---------------------------------------------------------------- */
typedef enum { F_ALLOC, F_OPEN, F_SEND, F_RECV, F_WAIT, F_EARLY, F_AHEAD, F_BACK, F_UNIX,
    F_ENTROPY, F_CUT, F_RESET, FAULTS } fault_kind;

enum { MAX_ANSWERS = 64 };
typedef struct fault {                  /* what fails in a run, and what is known of it */
    fault_kind kind;                    /* FAULTS: nothing, calls are counted */
    bool on;                            /* from then on, not once */
    bool stopped;                       /* over: neither counts nor fails any more */
    unsigned long at;                   /* the call, from 1; CUT, RESET: bytes that come */
    size_t answer;                      /* CUT, RESET: of this answer, from 0 */
    unsigned long calls[FAULTS], hits;
    size_t answers, lens[MAX_ANSWERS];  /* of the peer, and how long each was */
    const node *usual, *due;            /* outcomes without a fault; the one that is due */
    bool differs;                       /* a step ended otherwise: none may follow */
    struct fault *also;                 /* NULL, or fails too, counted from the first hit on */
} fault;

typedef struct peer peer;
/* Is this call one that fails? Counts it; gives what strikes, or NULL. */
const fault *fault_strikes(fault *f, fault_kind k);
/* A reply of so many bytes: how many of them come, and whether it is reset then. */
size_t fault_cuts(fault *f, size_t len, bool *reset);
bool fault_has(const fault *f, fault_kind k);
/* A client that does not open, a step's outcome: may they be so? */
void fault_opened(fault *f, int status, const sbx_error *e, report *r);
void fault_judge(fault *f, const peer *p, const node *outcome, bool creates, report *r);

typedef struct faults faults;
/* seed NULL: all injections; else `many` of them at most, chosen by it, each with a
   second fault if in pairs. */
faults *faults_new(const char *name, const char *seed, unsigned long many, bool pairs);
/* Takes a case up: counts what can fail in it. */
void faults_add(faults *all, const node *entry, const exchange *first, const char *provider);
/* Injects and prints the closing line; 0: nothing failed. */
int faults_run(faults *all);

/* ---- peer.c ----------------------------------------------------------------- */
typedef enum { BLOCKING, POLLED, BYTES, WOULD_BLOCK, WAYS } way;
extern const char *const way_names[WAYS];

typedef struct conn conn;
struct peer {
    way way;
    const exchange *first, *next;       /* all, and the one that is due */
    size_t done;                        /* requests that came */
    rules *rules;
    report *report;
    conn *conns;
    size_t open;                        /* connections not closed yet */
    uint64_t now_ms, start_ms, answered_ms;
    int64_t unix_ms;
    uint32_t random;
    unsigned long calls, activity;
    bool stuck;                         /* waits for ever, or spins: give up */
    size_t hold_at;                     /* streams stop once so many events came, 0: no */
    size_t (*events)(void *ctx);
    void *ctx;
    fault *fault;                       /* NULL: nothing fails */
    const exchange *last;               /* the one that was answered last, on: */
    conn *last_conn;
    unsigned long limit;                /* of calls */
    unsigned long step_sends;           /* of the present step: calls of send, */
    bool step_made, step_undone;        /* requests that were granted, or not recorded */
};

void peer_start(peer *p, way w, const exchange *first, int64_t unix_ms, rules *k, report *r);
sbx_net peer_net(peer *p);
void peer_again(peer *p);               /* the recording starts over, nothing fails */
void peer_ready(peer *p);               /* polled: before each sbx_poll() */
bool peer_has_news(peer *p);            /* something to read */
void peer_end(peer *p);                 /* complains about requests that did not come */

/* ---- ops.c ------------------------------------------------------------------ */
typedef struct counting { size_t blocks, bytes; report *report; fault *fault; } counting;
sbx_alloc counting_alloc(counting *c);

/* Runs the steps of one entry. The outcome is a list of what each step gave, to
   be compared between the ways. */
node *run_steps(const node *entry, const char *provider, peer *p, report *r);
void print_ops(void);

/* ---- archive.c -------------------------------------------------------------- */
sbx_tree *fixture_tree(const node *fixture, report *r);
bool is_archive(const char *p, size_t len);
void compare_archives(const char *want, size_t want_len, const char *got, size_t got_len,
    report *r);

/* ---- builder.c -------------------------------------------------------------- */
/* A template with the calls of a list, its files from a tree or NULL; NULL: no memory. */
sbx_template *builder_new(sbx_client *client, const node *calls, const sbx_tree *tree, report *r);
void builder_print(void);

/* ---- main.c ----------------------------------------------------------------- */
/* A peer that is ready to replay; NULL: the entry cannot be run, r says why. */
peer *set_up(way w, const node *entry, const exchange *first, report *r);

#endif
