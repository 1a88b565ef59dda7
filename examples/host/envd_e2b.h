/* E2B's daemon inside a sandbox, as served by the host for each of them:
   envd_e2b.c routes and REST, files_e2b.c up- and download, compose_e2b.c, rpc_e2b.c the Connect
   protocol, process_e2b.c, process_input_e2b.c, filesystem_e2b.c and watch_e2b.c its
   two services. */
#ifndef SANDBOXD_ENVD_E2B_H
#define SANDBOXD_ENVD_E2B_H

#include "http.h"

#define ENVD_PORT "49983"

/* ---- files_e2b.c ---- */
void envd_download(req *r);
bool envd_upload_begin(req *r);
void envd_upload_data(req *r, const char *p, size_t n);
void envd_upload_end(req *r);

void files_reply_errno(req *r, int err, const char *path);

/* ---- compose_e2b.c ---- */
void envd_compose(req *r);

void reply_gone(req *r, const char *id); /* 502: the sandbox was not found */

/* ---- port_e2b.c ---- */
void edge_error(req *r, unsigned status, const char *id, const char *message, int port);
bool port_token_ok(req *r, const box *b);       /* false after a 403 */
void port_route(req *r, int port);      /* to a server inside */
void ports_stop(void);

/* ---- rpc_e2b.c ---- */

/* The codes of Connect this host uses, with their HTTP status. */
typedef enum rpc_code { RPC_INVALID, RPC_NOT_FOUND, RPC_EXISTS, RPC_UNIMPLEMENTED, RPC_INTERNAL,
    RPC_DEADLINE, RPC_EXHAUSTED, RPC_PRECONDITION, RPC_DENIED, RPC_UNAUTHENTICATED } rpc_code;

/* The message of a call; false after a reply. Free the tree in any case. */
bool rpc_body(req *r, jtree *t);
/* Unary: an HTTP error. Stream: 200 and one end-of-stream envelope. */
void rpc_error(req *r, rpc_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void rpc_reply(req *r, text *t);        /* unary success */
void rpc_empty(req *r);                 /* {} */
void rpc_errno(req *r, int err, const char *path);
/* The user of the Authorization header, "" if none; false after a reply. */
bool rpc_user(req *r, char *out, size_t cap);
/* -1 after a reply; 0: none. */
int64_t rpc_timeout(req *r);
/* A streamed answer: its first message, then whatever step() has, until it sets
   finished. Pings and the stream's own clock are seen to here. */
typedef struct rpc_stream rpc_stream;
enum { STEP_WAIT = -1, STEP_CUT = -2 };
struct rpc_stream {
    /* Envelopes into buf (their bytes are returned) or into pending (0); or STEP_WAIT
       for event, or STEP_CUT: the connection ends. */
    ssize_t (*step)(rpc_stream *st, char *buf, size_t max);
    void (*done)(rpc_stream *st);   /* once, at the end; then it is freed */
    const char *ping;               /* the keepalive message */
    int event;                      /* eventfd, written when there is news */
    bool finished;
    text pending;                   /* rendered, not yet sent */
    /* rpc_e2b.c's own */
    req *r;
    size_t sent;
    int client;
    int64_t keepalive_ms, deadline, spoke_at;
};
/* Takes over st, also if it fails. life_ms: of the stream, 0 none. */
void rpc_stream_reply(req *r, rpc_stream *st, const char *first, int64_t life_ms);
/* Checks an envelope's head. Its length; -1 after a reply. */
int64_t rpc_envelope_length(req *r, const unsigned char head[5]);
/* Envelope into a text. */
void rpc_envelope(text *out, int flags, const char *json, size_t len);
void rpc_end_error(text *out, rpc_code code, const char *message);

bool rpc_route(req *r);                 /* false: not one of ours */

void filesystem_call(req *r, const char *method);

/* ---- watch_e2b.c ---- */
void watch_stream(req *r, const jnode *body, const char *path);
void watch_create(req *r, const jnode *body, const char *path);
void watch_events(req *r, const jnode *body);
void watch_remove(req *r, const jnode *body);

/* ---- filesystem_e2b.c, process_e2b.c ---- */
bool filesystem_has(const char *method, bool *stream);
void process_call(req *r, const char *method);
/* The process a message selects, with a reference; NULL after a reply. */
proc *process_selected(req *r, const jnode *body);

/* ---- process_input_e2b.c ---- */
extern const handler process_stream_input;
void process_send_input(req *r, const jnode *body);
void process_close_stdin(req *r, const jnode *body);

bool process_has(const char *method, bool *stream);

#endif
