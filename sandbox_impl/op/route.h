/* route - what the table of a provider says, and nothing else. A provider is one
   constant struct: an entry for every public function it offers, each with its
   route (method, path, host, authorization, retry class, fields both ways,
   meaning of statuses) and, where no table can say it, a step function.
   Filled in by provider files, read by op/. */

/* Which base URL a route is joined to. */
enum { SBXI_HOST_CONTROL, SBXI_HOST_SANDBOX };

/* When a request may be sent again. Whatever the class: a connection that could
   not be made, and a kept one that died before a byte came back. */
enum {
    SBXI_RETRY_NEVER,       /* nothing more */
    SBXI_RETRY_REJECTED,    /* also when the service certainly did nothing */
    SBXI_RETRY_SAFE         /* also after any passing failure */
};

/* What the request body is, and what the reply body is. */
enum { SBXI_SEND_NOTHING, SBXI_SEND_JSON, SBXI_SEND_ENVELOPE, SBXI_SEND_RAW,
    SBXI_SEND_MULTIPART };
enum { SBXI_RECV_NOTHING, SBXI_RECV_RESULT, SBXI_RECV_EACH, SBXI_RECV_SINK,
    SBXI_RECV_EVENTS };

/* A rule gives the meaning of an unhappy reply. The first that fits wins. */
typedef struct sbxi_rule {
    const char *text;       /* the provider's word; NULL: any */
    int16_t http;           /* HTTP status, 0: any */
    int8_t status;          /* SBX_E_*, or SBXI_MEANS_NO; 0 ends the list */
    uint8_t when;           /* SBXI_ON_* and SBXI_HAS */
} sbxi_rule;

#define SBXI_ON_CONTROL 1u  /* only for routes to that host */
#define SBXI_ON_SANDBOX 2u
#define SBXI_HAS 4u         /* text is to be found in the message instead */

/* The reply is a plain "no": a success whose result is false. */
#define SBXI_MEANS_NO 2

typedef struct sbxi_route {
    const char *method;
    const char *path;       /* {id} is the sandbox's */
    const sbxi_shape *query;   /* over the arguments, NULL: none */
    const sbxi_shape *body;    /* over the arguments, NULL: {} */
    const sbxi_shape *reply;   /* over the result, item or event */
    const sbxi_rule *rules;    /* before the provider's; ends with status 0 */
    uint8_t host, retry, send, recv;
    bool unary;             /* under clocks.total_ms; else only a call's own */
    bool each_in_object;    /* the list is a member of an object, not the root */
    const char *page_header; /* header with the next page's token, NULL: none */
} sbxi_route;

/* Details of an unhappy reply, from its body. */
typedef struct sbxi_fault {
    int32_t number;         /* "code" as a number, 0: none */
    char word[48];          /* "code" as a word */
    char message[208];
} sbxi_fault;

typedef struct sbxi_entry {
    const sbxi_route *route;        /* NULL and step NULL: not offered */
    int (*step)(sbx_op *op);        /* NULL: just the route */
    bool needs_access;              /* credentials of the sandbox come first */
} sbxi_entry;

/* Values of request headers; what stays NULL or 0 is not sent. The provider's
   table gives them their names. */
typedef struct sbxi_heads {
    const char *key;                /* API key */
    const char *idempotency_key;
    const char *id, *port, *token;  /* of the sandbox */
    const char *protocol;
    int32_t timeout_ms, ping_s;
    const char *user;               /* Basic authorization without password */
} sbxi_heads;

/* One environment variable and the config field it stands in for. */
typedef struct sbxi_env { const char *name; uint16_t offset; } sbxi_env;

struct sbx_provider {
    const char *name;
    const char *domain;             /* default of config.domain */
    const char *port;               /* {port} of base URLs: the daemon's */
    const char *const *dialects;    /* accepted config.dialect, newest first */
    const sbxi_env *env;            /* ends with name NULL; the first is the key */
    const char *debug_env;          /* "true" there is config.debug */
    const sbxi_shape *fault;        /* over sbxi_fault */
    const sbxi_rule *rules;         /* of every route */
    const char *(*base)(sbx_op *op, uint8_t host);  /* URL template */
    void (*headers)(sbx_op *op, const sbxi_route *route, sbxi_heads *h); /* fills in */
    const sbxi_field *heads;        /* rows over sbxi_heads: header names; ends with name NULL */
    int (*host)(const sbx_sandbox *sandbox, uint16_t port, sbxi_buf *out);
    int (*event)(sbx_op *op);       /* one message of SBXI_RECV_EVENTS is bound */
    const sbxi_route *access;       /* asks for a sandbox's credentials */
    const sbxi_route *health;       /* asks the sandbox whether it lives */
    sbxi_entry entries[SBX_FEATURE_END_];
};

/* ---- arguments and results of the public functions -------------------------
   One struct a function; tables name their members. Strings point to the
   caller's until sbxi_args_keep() copies them. */

typedef struct sbxi_access {        /* what a create or connect reply tells */
    const char *id;
    const char *access_token, *traffic_token, *domain, *data_url, *daemon_version;
} sbxi_access;

typedef struct sbxi_create_args {
    sbx_sandbox_options o;
    const char *key;                /* idempotency key in use */
    sbx_choice auto_pause, auto_pause_memory;
    sbx_choice auto_resume;
    char made_key[37];
    sbx_sandbox **out;
} sbxi_create_args;

typedef struct sbxi_time_args { int32_t timeout_s; bool *resumed; } sbxi_time_args;

typedef struct sbxi_list_args {
    sbx_sandbox_query q;
    const char *metadata, *state, *order, *after; /* as the query says them */
    const char *token;
    int32_t limit;
    sbx_page *page;
    sbx_sandbox_each each;
    void *ctx;
} sbxi_list_args;

typedef struct sbxi_command_args {
    const char *cmd;
    sbx_command_options o;
    const char *words[3];           /* the shell's arguments */
    sbx_strings argv;               /* over words */
    sbx_choice stdin_open;
    sbx_command_result *result;
} sbxi_command_args;

typedef struct sbxi_pid_args {
    uint32_t pid;
    sbx_process_each each;
    void *ctx;
} sbxi_pid_args;

typedef struct sbxi_files_args {
    const char *path, *to;
    sbx_files_options o;
    const sbx_file_write *files;    /* write: count of them */
    size_t count, at;               /* at: the one a raw body is made of */
    sbx_file_write one;
    sbx_bytes bytes;                /* write_bytes */
    sbx_reading reading;
    bool from_bytes;
    sbx_sink sink;
    sbx_file_info **info;
    sbx_file_each each;
    void *ctx;
} sbxi_files_args;

typedef struct sbxi_args {
    union {
        sbxi_create_args create;
        sbxi_time_args time;
        sbxi_list_args list;
        sbxi_command_args command;
        sbxi_pid_args pid;
        sbxi_files_args files;
        sbx_sandbox_info **info;
    } of;
    bool *answer;                   /* a yes or no result, may be NULL */
} sbxi_args;

#define SBXI_ARG(member) (uint16_t)offsetof(sbxi_args, of.member)

#ifdef SANDBOX_STATIC
#define SBXI_ROW(name) static const sbx_provider sbx_##name;
SBX_PROVIDERS(SBXI_ROW)
#undef SBXI_ROW
#endif
