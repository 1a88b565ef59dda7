/* route - what the table of a provider says, and nothing else. A provider is one
   constant struct with a row for every public function it offers: its route
   (method, path, host, retry class, fields both ways, meaning of statuses). What
   no table can say stands in the provider's few functions. Filled in by provider
   files, read by op/. Rows are many, so they are packed into bytes. */

/* What this build has; the compiler drops what stands behind a 0. */
#ifdef SBX_NO_PROC
#define SBXI_HAS_PROC 0
#else
#define SBXI_HAS_PROC 1
#endif
#ifdef SBX_NO_PTY
#define SBXI_HAS_PTY 0
#else
#define SBXI_HAS_PTY 1
#endif
#ifdef SBX_NO_WATCH
#define SBXI_HAS_WATCH 0
#else
#define SBXI_HAS_WATCH 1
#endif
#ifdef SBX_NO_GZIP
#define SBXI_HAS_GZIP 0
#else
#define SBXI_HAS_GZIP 1
#endif
#ifdef SBX_NO_RUN_CODE
#define SBXI_HAS_CODE 0
#else
#define SBXI_HAS_CODE 1
#endif
#ifdef SBX_NO_TEMPLATE
#define SBXI_HAS_TEMPLATE 0
#else
#define SBXI_HAS_TEMPLATE 1
#endif
#ifdef SBX_NO_EXTRAS
#define SBXI_HAS_EXTRAS 0
#else
#define SBXI_HAS_EXTRAS 1
#endif

enum { SBXI_GET, SBXI_POST, SBXI_PUT, SBXI_DELETE, SBXI_PATCH };

static const char *const sbxi_methods[] = { "GET", "POST", "PUT", "DELETE", "PATCH" };

/* Which base URL a route is joined to: that of the control plane, or of a port of the
   sandbox, the daemon's first. */
enum { SBXI_HOST_CONTROL, SBXI_HOST_SANDBOX, SBXI_HOST_CODE };

/* When a request may be sent again. Whatever the class: a connection that could
   not be made, and a kept one that died before a byte came back; the latter not for
   what a process reads. */
enum {
    SBXI_RETRY_NEVER,       /* nothing more */
    SBXI_RETRY_REJECTED,    /* also when the service certainly did nothing */
    SBXI_RETRY_SAFE         /* also after any passing failure */
};

/* What the request body is: `send` of a route is the query, but for JSON and
   ENVELOPE the body. From RAW on it is a transfer, which clocks.total_ms does
   not end: a file, some, envelopes of input, a build context. The last goes to a URL
   that a reply has told, without the headers of the provider. */
enum { SBXI_SEND_NOTHING, SBXI_SEND_JSON, SBXI_SEND_ENVELOPE, SBXI_SEND_RAW,
    SBXI_SEND_MULTIPART, SBXI_SEND_INPUT, SBXI_SEND_UPLOAD };

/* What the reply body is: one struct, an array of items, an object with such an
   array; from SINK on a transfer. */
enum { SBXI_RECV_NOTHING, SBXI_RECV_RESULT, SBXI_RECV_EACH, SBXI_RECV_EACH_INSIDE,
    SBXI_RECV_SINK, SBXI_RECV_EVENTS, SBXI_RECV_LINES };

/* A rule gives the meaning of an unhappy reply. The first that fits wins. */
typedef struct sbxi_rule {
    const char *text;       /* the provider's word; NULL: any */
    int16_t http;           /* HTTP status, 0: any */
    int8_t status;          /* SBX_E_*, or SBXI_MEANS_*; 0 ends the list */
    uint8_t when;           /* SBXI_ON_* and SBXI_HAS */
} sbxi_rule;

#define SBXI_ON_CONTROL 1u  /* only for routes to that host */
#define SBXI_ON_SANDBOX 2u
#define SBXI_HAS 4u         /* text is to be found in the message instead */

/* The reply is a plain "no", or "yes": a success whose result is false, or true. */
#define SBXI_MEANS_NO 2
#define SBXI_MEANS_YES 3

typedef struct sbxi_route {
    const char *path;          /* behind the prefix; {id} is the sandbox's, or what
                                  args.target says, {key} args.key; NULL ends the list */
    const sbxi_shape *fields;  /* of query or body, over the arguments; NULL: none, {} */
    const sbxi_shape *reply;   /* over the result, item or event */
    uint8_t prefix;            /* of the path, index in the provider's list */
    uint8_t method, host, retry, send, recv;
    uint8_t rules;             /* first row of its own rules, 0: none */
    uint8_t feature;           /* whose it is, or SBXI_ROUTE_* */
} sbxi_route;

/* Routes besides those of the public functions. */
enum { SBXI_ROUTE_ACCESS = SBX_FEATURE_END_, /* asks for a sandbox's credentials */
    SBXI_ROUTE_OWN };                        /* the provider's own from here on */
#define SBXI_ROUTE_HEALTH SBX_FEATURE_SANDBOX_IS_RUNNING /* asks whether it lives */

/* Details of an unhappy reply, from its body. */
typedef struct sbxi_fault {
    int32_t number;         /* "code" as a number, 0: none */
    char word[48];          /* "code" as a word */
    char message[208];
} sbxi_fault;

#ifndef SBX_NO_TEMPLATE
typedef struct sbxi_step sbxi_step;

/* A known image: without a version it takes none. */
typedef struct sbxi_image_row { const char *name, *version; } sbxi_image_row;

/* How a provider says what a template builder has gathered. */
typedef struct sbxi_template_rules {
    const sbxi_image_row *images;   /* by sbx_image */
    const char *(*check)(const sbx_template *t, const sbxi_step *plan); /* NULL: it is fine */
    int (*hash)(sbx_template *t, sbx_error *e); /* hashes of files, blocking */
    void (*json)(sbx_json_writer *w, const sbx_template *t);
    int (*dockerfile)(const sbx_template *t, sbx_sink to);
    /* adds what a Dockerfile says; a failure is in t->error */
    int (*from_dockerfile)(sbx_template *t, const char *text, size_t len,
                           void (*notice)(void *ctx, int line, const char *text), void *ctx);
} sbxi_template_rules;
#endif

/* One environment variable and the config field it stands in for. */
typedef struct sbxi_env { const char *name; uint16_t offset; } sbxi_env;

struct sbx_provider {
    const char *name;
    const char *domain;             /* default of config.domain */
    const char *const *ports;       /* {port} of base URLs, from SBXI_HOST_SANDBOX on */
    int32_t command_ms;             /* life of a command that names none */
    uint16_t mcp_port;              /* of a sandbox's MCP gateway */
    const char *const *dialects;    /* accepted config.dialect, newest first */
    const char *no_create;          /* what to do when the newest's create is no route */
    const sbxi_env *env;            /* ends with name NULL; the first is the key */
    const char *debug_env;          /* "true" there is config.debug */
    const char *page_header;        /* has the next page's token; lower case */
    const char *const *prefixes;    /* of paths */
    const sbxi_route *routes;
    const sbxi_rule *rules;         /* of every route, then those of some routes */
    const sbxi_shape *fault;        /* over sbxi_fault */
    const char *(*base)(const sbx_op *op); /* URL template */
    void (*headers)(sbx_op *op);    /* adds its own to the request */
    int (*host)(const sbx_sandbox *sandbox, uint16_t port, sbxi_buf *out);
    int (*step)(sbx_op *op);        /* asks for the next exchange or ends the operation */
    int (*event)(sbx_op *op);       /* one message of SBXI_RECV_EVENTS is bound */
    int32_t code_ms;                /* how long code that runs may be silent */
#ifndef SBX_NO_TEMPLATE
    const sbxi_template_rules *templates; /* NULL: it has none */
#endif
};

/* The route of a feature, or of SBXI_ROUTE_*; NULL: there is none. */
static const sbxi_route *sbxi_route_of(const sbx_provider *provider, unsigned feature)
{
    const sbxi_route *r = provider->routes;
    while (r->path && r->feature != feature) r++;
    return r->path ? r : NULL;
}

/* ---- arguments and results of the public functions -------------------------
   One struct a function; tables name their members. Strings point to the
   caller's until sbxi_keep() copies them. */

typedef struct sbxi_access {        /* what a create or connect reply tells */
    const char *id;
    sbx_sandbox_access of;
} sbxi_access;

typedef struct sbxi_create_args {
    sbx_sandbox_options o;
    const char *key;                /* idempotency key in use */
    sbx_choice auto_pause, secure;
    char made_key[37];
} sbxi_create_args;

typedef struct sbxi_resume_args { int32_t timeout_s; sbx_choice memory; } sbxi_resume_args;

typedef struct sbxi_list_args {
    sbx_sandbox_query q;
    const char *metadata, *state, *order, *after; /* as the query says them */
    const char *token, *limit;
    const char *name;               /* of snapshots */
    char after_text[32], limit_text[SBXI_DECIMAL_MAX + 1];
    sbx_page *page;
} sbxi_list_args;

#ifndef SBX_NO_EXTRAS
typedef struct sbxi_network_args { sbx_network n; sbx_choice internet; } sbxi_network_args;

/* Metrics and logs: numbers of the query as texts, NULL where it has none. */
typedef struct sbxi_history_args {
    sbx_log_query q;
    int64_t end_unix_ms;
    const char *start, *end, *limit, *direction;
    char text[3][SBXI_DECIMAL_MAX + 1];
} sbxi_history_args;

typedef struct sbxi_fork_args { int32_t timeout_s, count; } sbxi_fork_args;

/* One copy of a sandbox, as it is bound. */
typedef struct sbxi_fork_item {
    sbxi_access access;
    sbxi_fault fault;
} sbxi_fork_item;

#endif

typedef struct sbxi_process_args {
    uint32_t pid;
    const char *tag;                /* instead of a pid */
    sbx_bytes data;                 /* input, or */
    sbx_source from;                /* what it comes from, */
    sbx_source body;                /* as the protocol frames it */
    bool begun;                     /* the frame before it is out */
    bool ping;                      /* one that says nothing is due */
    sbx_signal signal;
    uint32_t cols, rows;
} sbxi_process_args;

typedef struct sbxi_command_args {
    const char *cmd;
    sbx_command_options o;
    const char *words[3];           /* the shell's arguments */
    sbx_strings argv;               /* over words */
    sbx_choice stdin_open;
    sbx_command_result *result;
    sbxi_process_args at;           /* connect, and the size of a terminal */
} sbxi_command_args;

/* Captured output of one stream. */
typedef struct sbxi_capture { sbxi_buf buf; uint64_t cut; } sbxi_capture;

#ifndef SBX_NO_RUN_CODE
/* Code, and where its reply stands (op/code.c). */
typedef struct sbxi_code_args {
    const char *code;
    sbx_run_code_options o;
    sbx_run_code_result *result;
    sbxi_capture traceback;
    sbxi_ndjson lines;
    uint32_t results;
    uint8_t kind, member, raw, word_len; /* of the message that comes */
    bool typed, main, raw_over;
    bool may_end;                   /* nothing needs to come behind the last message */
    char word[20];                  /* its type */
} sbxi_code_args;
#endif

typedef struct sbxi_files_args {
    const char *path, *to;
    sbx_files_options o;
    const sbx_file_write *files;    /* write: count of them */
    size_t count;
    size_t at;                      /* the one a raw body is made of */
    sbx_file_write one;
    sbx_reading reading;            /* write_bytes */
    bool from_bytes;
    bool placed;                    /* the reply is the part that was asked for */
    uint64_t skip, left;            /* of the body: not the caller's, still the caller's */
    size_t *len;                    /* read_bytes */
#ifndef SBX_NO_GZIP
    sbxi_inflate *unzip;            /* read: what comes is packed */
#endif
    sbx_sink sink;
    const char *watcher;            /* the host's id of a watch */
    union {
        sbx_watch_options w;
#ifndef SBX_NO_EXTRAS
        sbx_url_options u;
#endif
#ifndef SBX_NO_GZIP
        sbxi_deflate zip;           /* write: what goes out */
#endif
    } as;
#ifndef SBX_NO_EXTRAS
    char *text;                     /* where a URL goes */
    size_t cap;
#endif
} sbxi_files_args;

/* An event of a watch, as it is bound. */
typedef struct sbxi_watch_item {
    sbx_watch_event event;
    bool has_entry;
    sbx_file_info entry;
} sbxi_watch_item;

#ifndef SBX_NO_TEMPLATE

/* Whether files are there, and where they are to go. */
typedef struct sbxi_upload {
    bool present;
    const char *url;
    sbx_pairs headers;              /* to be sent with them */
} sbxi_upload;

typedef struct sbxi_build_args {
    sbx_build_options o;
    sbx_template *t;
    const char *tag_name;           /* of tags: whose they are */
    sbx_choice is_public;
    int32_t lines, fresh;           /* of the log so far; of this reply */
    int32_t step;                   /* that the log was last about */
    const char *offset, *limit;     /* of the log, as the query says it */
    char offset_text[12];
    const sbxi_upload *upload;      /* where files go, and what they come from */
    sbx_source body;
    struct sbxi_building *b;        /* all else of a build; owned */
} sbxi_build_args;

#endif

/* sbx_invoke: the route is made for the call. */
typedef struct sbxi_invoke_args {
    sbxi_route route;
    const char *query;              /* "" for none */
    const char *bearer;             /* credentials instead of the provider's, or NULL */
    const char *type;               /* of the body, NULL: none */
    sbx_bytes body;
    sbx_sink sink;
} sbxi_invoke_args;

/* The body of the request. FILE: none, but the reply is a transfer. */
enum { SBXI_BODY_NONE, SBXI_BODY_JSON, SBXI_BODY_CONTENT, SBXI_BODY_FILE };

/* One route of it. The path says where arguments go: /a/{in path}?{in query}#{token},
   a token being sent as bearer. What is left goes into the body. */
typedef struct sbxi_invoke_row {
    const char *name, *path;
    uint8_t method, host, retry, body;
} sbxi_invoke_row;

/* The rows of a provider are one text, so that a linker drops it as a whole: of each
   the numbers as digits, then name and path, a NUL behind both. */
#define SBXI_INVOKE(method, host, retry, body, name, path) \
    SBXI_DIGIT_##method SBXI_DIGIT_##host SBXI_DIGIT_##retry SBXI_DIGIT_##body name "\0" path "\0"
#define SBXI_DIGIT_GET "0"
#define SBXI_DIGIT_POST "1"
#define SBXI_DIGIT_PUT "2"
#define SBXI_DIGIT_DELETE "3"
#define SBXI_DIGIT_PATCH "4"
#define SBXI_DIGIT_CONTROL "0"
#define SBXI_DIGIT_SANDBOX "1"
#define SBXI_DIGIT_CODE "2"
#define SBXI_DIGIT_NEVER "0"
#define SBXI_DIGIT_REJECTED "1"
#define SBXI_DIGIT_SAFE "2"
#define SBXI_DIGIT_NONE "0"
#define SBXI_DIGIT_JSON "1"
#define SBXI_DIGIT_CONTENT "2"
#define SBXI_DIGIT_FILE "3"

typedef struct sbxi_args {
    /* Where the result goes; NULL unless it is of this kind. */
    bool *answer;                   /* a yes or no */
    void *out;                      /* pointer to the pointer to a result */
    union {
        sbx_sandbox_each sandbox;
        sbx_process_each process;
        sbx_file_each file;
        sbx_watch_each watch;
#ifndef SBX_NO_EXTRAS
        sbx_metrics_each metrics;
        sbx_log_each log;
        sbx_fork_each fork;
        sbx_snapshot_each snapshot;
#endif
#ifndef SBX_NO_TEMPLATE
        sbx_build_log_each build_log;
        sbx_template_each one_template;
        sbx_template_build_each build;
        sbx_template_tag_each tag;
#endif
    } each;
    void *ctx;                      /* of each() */
    const char *target;             /* {id} of calls without a sandbox */
    const char *key;                /* {key}: what is meant inside of it */
    union {
        sbxi_create_args create;
        int32_t timeout_s;
        sbxi_resume_args resume;
#ifndef SBX_NO_EXTRAS
        sbx_pause_options pause;
        sbxi_network_args network;
        sbxi_history_args history;
        sbxi_fork_args fork;
        sbx_snapshot_options snapshot;
#endif
        sbxi_list_args list;
        sbxi_command_args command;
        sbxi_process_args process;
#ifndef SBX_NO_RUN_CODE
        sbxi_code_args code;
#endif
        sbxi_files_args files;
        sbxi_invoke_args invoke;
#ifndef SBX_NO_TEMPLATE
        sbxi_build_args build;
#endif
    } of;
} sbxi_args;

/* Lists that are asked for a page at a time: those with sbxi_list_args. */
static bool sbxi_is_paged(unsigned feature)
{
    return feature == SBX_FEATURE_SANDBOX_LIST || feature == SBX_FEATURE_SNAPSHOT_LIST
        || feature == SBX_FEATURE_TEMPLATE_BUILDS;
}

static bool sbxi_reads_file(unsigned feature)
{
    return feature == SBX_FEATURE_FILES_READ
        || (SBXI_HAS_EXTRAS && feature == SBX_FEATURE_FILES_READ_BYTES);
}

/* Functions with the same arguments stand together in SBX_FEATURES. */
static SBXI_MAYBE bool sbxi_is_stream(unsigned feature)
{
    return feature - SBX_FEATURE_COMMAND_RUN <= SBX_FEATURE_PTY_CONNECT - SBX_FEATURE_COMMAND_RUN;
}

static SBXI_MAYBE bool sbxi_is_build(unsigned feature)
{
    return feature - SBX_FEATURE_TEMPLATE_BUILD
        <= SBX_FEATURE_TEMPLATE_REMOVE_TAGS - SBX_FEATURE_TEMPLATE_BUILD;
}

/* The first of them. */
static SBXI_MAYBE unsigned sbxi_args_of(unsigned feature)
{
    return sbxi_is_paged(feature) ? SBX_FEATURE_SANDBOX_LIST
        : feature >= SBX_FEATURE_FILES_READ ? SBX_FEATURE_FILES_READ
        : feature >= SBX_FEATURE_COMMAND_KILL ? SBX_FEATURE_COMMAND_KILL
        : feature >= SBX_FEATURE_COMMAND_RUN ? SBX_FEATURE_COMMAND_RUN
        : sbxi_is_build(feature) ? SBX_FEATURE_TEMPLATE_BUILD : feature;
}

#define SBXI_ARG(member) (uint16_t)offsetof(sbxi_args, of.member)

/* A call on its way to sbxi_start(), with what is wrong with it so far. */
typedef struct sbxi_call {
    sbx_client *client;             /* NULL: its handle was NULL */
    sbx_sandbox *sandbox;           /* NULL: none is concerned */
    sbx_feature feature;
    int status;
    int32_t total_ms;               /* total clock of the call, 0: by its route */
    bool wants;                     /* is of no use without a place for its result */
    uint8_t until;                  /* SBXI_UNTIL_* */
    const sbx_call *call;
    const char *message;
    sbx_proc *proc;                 /* whose stream it is, or which it waits for */
    void (*clean)(sbxi_args *args); /* gives back what args hold when the operation ends */
    sbxi_args args;
} sbxi_call;

#ifdef SANDBOX_STATIC
#define SBXI_ROW(name) static const sbx_provider sbx_##name;
SBX_PROVIDERS(SBXI_ROW)
#undef SBXI_ROW
#endif
