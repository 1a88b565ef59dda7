/* Requests and replies over libmicrohttpd, which does all HTTP parsing. A request
   is routed once its head is there; its body is collected, streamed to the
   handler, or read and thrown away when the answer is an early error. */
#ifndef SANDBOXD_HTTP_H
#define SANDBOXD_HTTP_H

#include "box.h"
#include "json_tree.h"

#include <microhttpd.h>

#define MAX_SEGMENTS 8
#define BODY_MAX (16u << 20)    /* of JSON bodies */

typedef struct req req;
typedef struct fault fault;

typedef struct handler {
    const char *method, *pattern;   /* pattern: "/sandboxes/ * /timeout" without blanks */
    void (*run)(req *r);            /* body complete: must reply */
    bool (*begin)(req *r);          /* streamed: false after an early reply */
    void (*data)(req *r, const char *p, size_t n);
    bool open;                      /* needs no key or token */
} handler;

struct req {
    struct MHD_Connection *c;
    char method[16];
    char *target;                   /* as sent, without the query */
    char *query;                    /* as sent, with its '?' */
    char *segments[MAX_SEGMENTS];   /* percent-decoded */
    size_t segment_count;
    const handler *h;
    text body;
    uint64_t thrown_away;
    box *b;                         /* daemon requests */
    char box_id[ID_LEN + 3];        /* for the log */
    bool started, replied, sent;
    bool rpc_stream;                /* its answer is a stream of envelopes */
    unsigned status;
    struct MHD_Response *response;
    int64_t at_ms;
    const fault *fault;             /* --fault: it strikes this one */
    int64_t fault_left;             /* bytes or frames before it does */
    uint32_t frame_left;
    uint8_t frame_head;
    void *state;                    /* the handler's own */
    void (*state_free)(req *r);
};

const char *req_header(req *r, const char *name);
/* A query argument, decoded; NULL: absent. *bad: it holds a NUL byte. */
const char *req_query(req *r, const char *name, bool *bad);
bool req_type_is(const char *have, const char *want); /* media types; have may be NULL */
int64_t req_number(const char *digits, int max_digits); /* -1: not such a number */
int req_fd(req *r);             /* of the connection */
void req_idle(req *r, int64_t ms); /* how long its client may be silent; 0: as ever */

/* The first reply counts. Takes over the response, the text. */
void reply(req *r, unsigned status, struct MHD_Response *response);
void reply_text(req *r, unsigned status, const char *type, text *t);
void reply_plain(req *r, unsigned status, const char *words);
void reply_empty(req *r, unsigned status);
void reply_error(req *r, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void reply_error_code(req *r, unsigned status, const char *error_code, const char *message);
void add_header(struct MHD_Response *response, const char *name, const char *value);

/* 1: found, 0: no such path, -1: path but not the method. */
int route_in(req *r, const handler *table, size_t n);
bool route_fits(const req *r, const char *pattern);

void control_route(req *r);     /* api_e2b.c */
void envd_route(req *r, const char *id, const char *port); /* envd_e2b.c */
bool files_signed_route(req *r); /* files_e2b.c; false: no signed URL */

bool http_start(int listen_fd, const char *cert, const char *key);
void http_stop(void);

#endif
