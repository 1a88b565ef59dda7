/* op - the structs of clients, operations and sandbox handles, shared by the
   modules of op/, the providers and api/.

   An operation goes round: step() decides what to do and asks for an exchange
   or a nap; when that is over, step() is called again with what it named. The
   driver (op.c) owns all waiting, deadlines, retries and cancelling. */

/* In these structs small and often used members stand first: they cost the
   shortest instructions on small CPUs. */
struct sbx_client {
    bool debug;
    uint8_t dialect;        /* index in the provider's list */
    unsigned callbacks;     /* depth of user callbacks that run now */
    uint32_t exchanges;     /* begun so far */
    const sbx_provider *provider;
    sbx_op *ops;            /* oldest first */
    void *texts;            /* the block with config's texts */
    sbxi_link link;
    sbx_config config;      /* its texts are copies; headers are in extra */
    sbxi_buf extra;         /* config.headers as lines */
    sbx_error error;
};

struct sbx_sandbox {
    sbx_client *client;
    unsigned refs;          /* the user's, and one of every operation */
    size_t size;            /* of this struct with the id */
    void *block;            /* result the access points into, or NULL */
    sbx_sandbox_access access;
    sbx_sandbox_access *given; /* what attach was given, or NULL */
    bool known;             /* access is filled in */
    char id[1];             /* NUL-terminated, allocated to its length */
};

enum { SBXI_PHASE_STEP, SBXI_PHASE_EXCHANGE, SBXI_PHASE_NAP, SBXI_PHASE_WAIT,
    SBXI_PHASE_END };

/* What an operation has to do with the handle it refers to. From NOW on it has no
   exchanges and waits for something in the stream of the process. */
enum { SBXI_UNTIL_NOTHING, SBXI_UNTIL_ASKED, SBXI_UNTIL_NOW, SBXI_UNTIL_START,
    SBXI_UNTIL_OUTPUT, SBXI_UNTIL_END };

/* Steps that every operation shares; providers count from SBXI_STEP_OWN. */
enum { SBXI_STEP_START, SBXI_STEP_ACCESS, SBXI_STEP_DONE, SBXI_STEP_HEALTH, SBXI_STEP_OWN };

/* One message of a process stream. Cleared for each. */
typedef struct sbxi_event {
    bool start, data, end, alive, failed;
    uint32_t pid;
    int32_t exit_code;
    union {
        char reason[48];
        sbxi_fault fault;   /* failed: then nothing else counts */
    } of;
} sbxi_event;

/* A process that is followed. Its stream is an operation that nobody but it knows;
   calls of the user are operations that wait for what comes in. */
struct sbx_proc {
    sbx_sandbox *sandbox;   /* a reference */
    sbx_op *stream;         /* NULL: it has ended, and its last piece is done with */
    unsigned refs;          /* the user's, and one of every operation with `until` */
    bool pty, pull;
    bool started;
    bool rests;             /* goes on without a stream: somebody asks */
    bool handed, taken;     /* the piece was handed out; and is done with */
    uint32_t pid;
    int status;             /* SBX_PENDING while the stream runs */
    sbx_proc_event piece;   /* what waits to be pulled; data NULL: nothing */
    sbx_command_result result;
    sbx_error error;
    void *block, *kept;     /* a watch: what told its id, NULL: a stream has none;
                               what its arguments point into */
    const char *id, *user;
    sbx_watch_each each;
    void *ctx;
};

/* A watch is followed in the same way. */
struct sbx_watch { sbx_proc of; };

/* What is done with a body that is not the error of an unhappy reply. */
typedef struct sbxi_reply {
    int http;               /* status, 0: no head yet */
    int32_t retry_after_ms;
    bool happy;             /* 2xx, or 200 for streams */
    bool no;                /* a rule said SBXI_MEANS_NO */
    bool json_started;
    uint8_t should_retry;   /* sbx_choice */
    bool more;              /* op->held.token is that of a next page */
    bool enough;            /* the rest of the body is not wanted */
    uint8_t locations;      /* Location headers; the last is in op->block */
    uint8_t raw_len;        /* of an error body, kept in error.message meanwhile */
    sbx_json_reader json;
    sbxi_bind bind;
    union {
        sbxi_event event;
        sbxi_fault fault;
    } of;
} sbxi_reply;

#ifndef SBX_NO_TRACE
/* What config.trace is told of one direction of an exchange. */
typedef struct sbxi_tracing {
    uint32_t name;          /* last four characters of the present name, lower case */
    uint32_t seen;          /* bytes so far, up to the limit */
    uint8_t state, held_len;
    char held[8];           /* the beginning of a secret, or not: to be seen */
} sbxi_tracing;
#endif

struct sbx_op {
    uint8_t phase, step, tries;
    uint8_t hops;           /* redirects followed: url is where they led */
    bool released;          /* the user let go of it */
    bool detached;          /* a cancelled create that is followed up */
    bool fresh;             /* the next exchange wants a new connection */
    bool cancelled;         /* inside a callback: ends when that returns */
    bool woken;
    bool asleep;            /* a sink or source answered AGAIN */
    bool quiet;             /* nothing happened on its connection: the next run
                               passes over it unless it is due */
    bool mid_stream;        /* a byte of the reply was handed to the user */
    bool repeatable;        /* this create carries an idempotency key */
    bool cut;               /* a try of it was cut after it had been sent */
    bool dreams;            /* the nap leads to the step, not to an exchange */
    bool probing;           /* the exchange asks whether the sandbox lives */
    bool started, ended;    /* the command whose stream comes in */
    uint8_t until;          /* SBXI_UNTIL_* */
    sbx_feature feature;
    sbx_client *client;
    const sbxi_route *route;
    sbx_sandbox *sandbox;   /* a reference, or NULL */
    sbx_sandbox *spare;     /* a create: becomes the handle of what it makes */
    void *result;           /* finished, for sbx_free() until delivered */
    void *kept;             /* block of copies that args and call point into */
    sbx_op *next;
    sbx_proc *proc;         /* whose stream this is; with `until` a reference */
    void (*clean)(sbxi_args *args); /* of a build: gives back what its arguments hold */
    int status;             /* what the user sees */
    int why;                /* failed with this, to be told when the rest is done */
    sbx_clock why_clock;
    uint32_t pid;
    uint32_t since, nap_since; /* start of the total clock, of a nap */
    int32_t total_ms, nap_ms;

    sbxi_exchange x;
#ifndef SBX_NO_TRACE
    sbxi_tracing tracing[2]; /* by sbx_trace_part */
    uint32_t number;        /* of the exchange */
#endif
    sbxi_reply reply;
    sbxi_outgoing out;
    sbxi_buf url;           /* base URL of the exchange, expanded */
    sbxi_buf block;         /* the result that is being bound */
    sbxi_capture captured[2]; /* else for texts a provider composes */
    sbx_call call;
    sbxi_args args;
    size_t held_len;        /* of held.piece: decoded, not yet taken */
    unsigned held_id;       /* its stream */
    sbx_base64 base64;
    sbxi_connect frame;     /* streams of envelopes */
    sbx_error error;
    char line[SBX_MAX_LINE];
    union {
        unsigned char piece[SBX_PIECE_BYTES];
        char token[SBX_MAX_TOKEN]; /* of the next page of a list */
    } held;
};

/* Credentials for this call: the call's own, else the client's. */
static SBXI_MAYBE const char *sbxi_op_key(const sbx_op *op)
{
    return op->call.api_key ? op->call.api_key : op->client->config.api_key;
}

static SBXI_MAYBE const char *sbxi_op_domain(const sbx_op *op)
{
    if (op->route->host != SBXI_HOST_CONTROL && op->sandbox->access.domain)
        return op->sandbox->access.domain;
    return op->call.domain ? op->call.domain : op->client->config.domain;
}

/* The process whose stream it is, or which it waits for. */
static sbx_proc *sbxi_op_proc(const sbx_op *op) { return SBXI_HAS_PROC ? op->proc : NULL; }

static const sbxi_route *sbxi_op_route(const sbx_op *op, unsigned route)
{
    return route == SBX_FEATURE_INVOKE ? &op->args.of.invoke.route
        : sbxi_route_of(op->client->provider, route);
}

/* What sbx_invoke() made, if this exchange is for it; NULL: it is not. */
static const sbxi_invoke_args *sbxi_op_invoked(const sbx_op *op)
{
    return op->route == &op->args.of.invoke.route ? &op->args.of.invoke : NULL;
}

/* {port} of the route. */
static SBXI_MAYBE const char *sbxi_op_port(const sbx_op *op)
{
    return op->client->provider->ports[op->route->host ? op->route->host - 1 : 0];
}

/* Fails the step: keeps the first message. Returns status. */
static int sbxi_op_fail(sbx_op *op, int status, const char *message)
{
    return sbxi_error_set(&op->error, status, message);
}

/* Takes note of what a callback answered: its failure is the user's word, neither
   retried nor looked into. */
static SBXI_MAYBE int sbxi_op_said(sbx_op *op, int rc)
{
    op->mid_stream = true;
    if (op->cancelled) return SBX_E_CANCELLED;
    op->asleep = rc == SBX_E_AGAIN;
    op->x.stop = rc != SBX_OK && !op->asleep;
    return rc;
}

static SBXI_MAYBE int sbxi_op_sink_put(sbx_op *op, const sbx_sink *s, const void *data, size_t len)
{
    int rc = s->put(s->ctx, data, len);
    return sbxi_op_said(op, rc > 0 ? SBX_E_SINK : rc);
}
