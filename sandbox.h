/* sandbox.h - v0.1.0 - cloud sandboxes from C: E2B and every E2B-compatible host

   Generated from sandbox_impl/ by `make`. Do not edit sandbox.h; edit there.
   Public domain or MIT-0, your choice: the text is at the end of the file.

   DO THIS

     In exactly one .c file:

       #define SANDBOX_IMPLEMENTATION
       #include "sandbox.h"

     and everywhere else just #include "sandbox.h". Link mbedTLS (2.28 or
     3.6): cc app.c -lmbedtls -lmbedx509 -lmbedcrypto. Without TLS, define
     SBX_NO_TLS in both places and link nothing.

       sbx_client *client; sbx_sandbox *box; sbx_command_result res = {0};
       sbx_command_options opt = {0};
       if (sbx_open(&client, NULL) != SBX_OK) return 1;   // key: E2B_API_KEY
       if (sbx_sandbox_create(client, NULL, &box, NULL) == SBX_OK) {
           opt.out = sbx_sink_file(stdout);
           if (sbx_command_run(box, "uname -a", &opt, &res, NULL) == SBX_OK)
               printf("exit code %d\n", (int)res.exit_code);
           sbx_sandbox_kill(box, NULL, NULL);
           sbx_sandbox_release(box);
       }
       sbx_close(client);

   CONTENTS (search for the number with its dot)

      1. Configuration      7. Client             13. JSON             19. Templates
      2. Status and errors  8. Calls, operations  14. HTTP responses   20. Builds
      3. Memory             9. Providers          15. Small codecs     21. Templates of
      4. Plain data        10. Sandboxes          16. Any other route      the service
      5. Streams           11. Commands           17. Running code
      6. Network           12. Files              18. Files of a build

   RULES

     Memory     What comes out through a pointer-to-pointer is yours: give it to
                its release function, or to sbx_free(). What a callback gets is
                borrowed until it returns. Everything is taken from the
                config.alloc of its client. mbedTLS allocates through its own
                process-wide hook (mbedtls_platform_set_calloc_free).
     Inputs     Strings are NUL-terminated UTF-8, data is (pointer, length). All
                inputs are copied when a call starts. Sinks, sources, callbacks
                and out-pointers must outlive the operation.
     Zero       means default in every struct you fill in. Start with {0}.
     Errors     Functions return SBX_OK, SBX_PENDING or a negative SBX_E_*, and
                nothing else. Details are in sbx_error. A failed call leaves its
                out-pointers NULL or zero.
     Blocking   Every remote call ends in `const sbx_call *call`. NULL blocks.
                With call->op set the call starts and returns SBX_PENDING;
                sbx_poll() drives it. Blocking calls drive all others too, so
                callbacks of a background operation run inside them.
     Callbacks  run only inside sbx_poll() or a blocking call. Starting further
                operations and releasing any operation there is allowed; a
                blocking call or sbx_close() there is SBX_E_REENTRANT.
     Threads    No globals, no threads inside: one client belongs to one thread
                at a time, several clients may live in several threads.
     Secrets    Keys and tokens are never logged and are wiped when freed. */

#ifndef SANDBOX_H
#define SANDBOX_H

/* The implementation uses POSIX, which -std=c99 hides unless asked for. */
#if defined(SANDBOX_IMPLEMENTATION) && !defined(SBX_NO_POSIX)
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#ifndef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SBX_VERSION_MAJOR 0
#define SBX_VERSION_MINOR 1
#define SBX_VERSION_PATCH 0
#define SBX_VERSION "0.1.0"

/* ---- 1. Configuration ------------------------------------------------------

   Define these before including the header. "all" = must be the same in every
   file that includes it; "impl" = looked at only where SANDBOX_IMPLEMENTATION
   is defined.

   SANDBOX_STATIC   all   make every function static (one file uses it)
   SBX_NO_POSIX     all   no sockets, files or clock of a host system: give
                          config.net; sbx_sink_fd and friends are gone
   SBX_NO_STDLIB    all   no stdlib.h and no stdio.h: give config.alloc; the
                          environment is not read
   SBX_NO_TLS       impl  no mbedTLS: https:// is SBX_E_UNSUPPORTED unless the
                          transport does TLS inside (SBX_NET_TLS_INSIDE)
   SBX_NO_PROXY     impl  no proxies: config.proxy is SBX_E_UNSUPPORTED, the
                          environment's are not looked at
   SBX_NO_GZIP      impl  no gzip: sbx_files_options.gzip is passed over; so with a 16-bit size_t
   SBX_NO_REDIRECT  impl  no redirects: config.redirects is SBX_E_UNSUPPORTED
   SBX_NO_SWAR      impl  smaller, slower text scanning (small targets)
   SBX_NO_ERROR_TEXT impl no texts for people: sbx_strerror() and messages of
                          our own are empty, codes and the service's words stay
   SBX_NO_TRACE     all   no config.trace
   SBX_NO_EXTRAS    all   of sandboxes only create, attach, connect, info, list,
                          timeout, kill, is_running, host: no pause, forks, snapshots,
                          network rules, volumes, metrics, logs, MCP; of files no URLs,
                          parts, metadata, sbx_files_read_bytes()
   SBX_NO_PROC      all   commands in the foreground only: no sbx_command_start(), no
                          sbx_proc, no streamed input; none of the next two either
   SBX_NO_PTY       all   no terminals: sbx_pty_*(), sbx_proc_resize()
   SBX_NO_WATCH     all   no sbx_files_watch(), no sbx_watch
   SBX_NO_RUN_CODE  all   no sbx_run_code()
   SBX_NO_TEMPLATE  all   no template builds, no trees of files
   SBX_NO_E2B       all   leave that provider out
   SBX_SMALL        all   the small set of the limits below

   Limits, "all" too; the second figure is that of SBX_SMALL. */

#if defined(SBX_NO_PROC) && !defined(SBX_NO_PTY)
#define SBX_NO_PTY
#endif
#if defined(SBX_NO_PROC) && !defined(SBX_NO_WATCH)
#define SBX_NO_WATCH
#endif

#ifdef SBX_SMALL
#define SBX_LIMIT_(normal, small) (small)
#else
#define SBX_LIMIT_(normal, small) (normal)
#endif

#ifndef SBX_IO_BYTES        /* buffer of one connection, 512 or more */
#define SBX_IO_BYTES        SBX_LIMIT_(8192, 1024)
#endif
#ifndef SBX_UPLOAD_BYTES    /* buffer while a source of that size or more is sent;
                               none if it is no larger than SBX_IO_BYTES */
#define SBX_UPLOAD_BYTES    SBX_LIMIT_(65536, 0)
#endif
#ifndef SBX_PIECE_BYTES     /* decoded output handed to a sink at a time */
#define SBX_PIECE_BYTES     SBX_LIMIT_(1024, 192)
#endif
#ifndef SBX_MAX_LINE        /* a header line kept whole; the rest is cut */
#define SBX_MAX_LINE        SBX_LIMIT_(512, 320)
#endif
#ifndef SBX_MAX_HEAD        /* one response head with all its lines */
#define SBX_MAX_HEAD        SBX_LIMIT_(65536, 8192)
#endif
#ifndef SBX_MAX_HEADERS     /* header lines of a response, trailers included */
#define SBX_MAX_HEADERS     SBX_LIMIT_(128, 64)
#endif
#ifndef SBX_MAX_INTERIM     /* 1xx responses before the real one */
#define SBX_MAX_INTERIM     8
#endif
#ifndef SBX_MAX_REQUEST     /* a request without its streamed body */
#define SBX_MAX_REQUEST     SBX_LIMIT_(1048576, 8192)
#endif
#ifndef SBX_MAX_RESULT      /* one result, or one item of a list */
#define SBX_MAX_RESULT      SBX_LIMIT_(262144, 4096)
#endif
#ifndef SBX_MAX_JSON_DEPTH  /* nesting of JSON, at most 512 */
#define SBX_MAX_JSON_DEPTH  SBX_LIMIT_(128, 32)
#endif
#ifndef SBX_MAX_CONNS       /* idle connections kept for reuse */
#define SBX_MAX_CONNS       SBX_LIMIT_(8, 1)
#endif
#ifndef SBX_MAX_TOKEN       /* a page token with its NUL */
#define SBX_MAX_TOKEN       SBX_LIMIT_(256, 192)
#endif

#ifdef SANDBOX_STATIC
#define SBX_API static SBX_UNUSED_
#else
#define SBX_API extern
#endif

#if (defined(__GNUC__) || defined(__clang__)) && defined(SANDBOX_STATIC)
#define SBX_UNUSED_ __attribute__((unused))
#else
#define SBX_UNUSED_
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- 2. Status and errors --------------------------------------------------

   One list gives the enum and the texts of sbx_strerror(). Every value a
   function returns is SBX_OK, SBX_PENDING or one of these. */
#define SBX_STATUSES(X) \
    X(ARG, -1, "invalid argument: the message names it") \
    X(NOMEM, -2, "out of memory: give the allocator more, or define SBX_SMALL") \
    X(AGAIN, -3, "would block: call again when there is something to do") \
    X(REENTRANT, -4, "not allowed inside a callback: start it with call.op, or do it after") \
    X(CANCELLED, -5, "cancelled") \
    X(TIMEOUT, -6, "timed out: error.clock says which; raise it in sbx_clocks or the call") \
    X(UNSUPPORTED, -7, "not offered by this provider or left out of this build") \
    X(UNSUPPORTED_HOST, -8, "this host is too old for the call: update its template or daemon") \
    X(DNS, -9, "host name not found: check the domain or URL, and the network") \
    X(CONNECT, -10, "cannot connect: check that the host is up and the port is right") \
    X(NETWORK, -11, "connection lost: try again; error says what is known to live") \
    X(TLS, -12, "TLS refused: error.tls names the check") \
    X(NO_CA, -13, "no trusted certificates: give config.tls.ca_pem or ca_file") \
    X(ENTROPY, -14, "no randomness: give config.net.entropy") \
    X(PROTOCOL, -15, "the reply is not what the protocol allows: is this the right URL?") \
    X(TOO_LARGE, -16, "larger than a limit: the message names the SBX_MAX_ to raise") \
    X(AUTH, -17, "not authenticated: check the API key or the user") \
    X(DENIED, -18, "not allowed for this account or token") \
    X(NOT_FOUND, -19, "not found") \
    X(CONFLICT, -20, "not possible in the present state: the message says why") \
    X(REFUSED, -21, "the service refused the arguments: the message says why") \
    X(RATE_LIMITED, -22, "too many requests: wait error.retry_after_ms") \
    X(QUOTA, -23, "a limit of the account is reached: end sandboxes or raise the plan") \
    X(BUSY, -24, "the service is busy or has no capacity: try again later") \
    X(SERVER, -25, "the service failed: try again; report it if it stays") \
    X(SANDBOX_GONE, -26, "the sandbox is not running: it was killed or its time is over") \
    X(UNREACHABLE, -27, "connection to the sandbox lost: error.sandbox_alive says if it answers") \
    X(NO_SPACE, -28, "no space left in the sandbox") \
    X(NOT_A_FILE, -29, "the path is a directory or another kind than asked for") \
    X(NO_END, -30, "the stream ended without its end message: reconnect by pid to go on") \
    X(KILLED, -31, "the command was ended because its timeout ran out") \
    X(SOURCE, -32, "the source failed, or gave more or less than its size") \
    X(SINK, -33, "the sink failed") \
    X(CHANGED, -34, "the file changed while it was read") \
    X(NO_WAIT, -35, "blocking needs config.net.wait: use call.op and sbx_poll()") \
    X(NO_PROVIDER, -36, "no API key: set config.provider and api_key, or E2B_API_KEY") \
    X(BAD_JSON, -37, "not valid JSON") \
    X(BUILD, -38, "a step of the build failed: the message and its log say why")

typedef enum sbx_status {
    SBX_PENDING = 1,
    SBX_OK = 0,
#define SBX_STATUS_ENUM_(name, value, text) SBX_E_##name = value,
    SBX_STATUSES(SBX_STATUS_ENUM_)
#undef SBX_STATUS_ENUM_
    SBX_STATUS_END_ = 2
} sbx_status;

/* A switch in an options struct: 0 leaves it to the provider. */
typedef enum sbx_choice { SBX_DEFAULT = 0, SBX_YES = 1, SBX_NO = 2 } sbx_choice;

#define SBX_NEVER (-1) /* in a *_ms or *_s field: no limit */

/* Which clock ran out (SBX_E_TIMEOUT). */
typedef enum sbx_clock {
    SBX_CLOCK_NONE, SBX_CLOCK_CONNECT, SBX_CLOCK_FIRST_BYTE, SBX_CLOCK_IDLE,
    SBX_CLOCK_TOTAL
} sbx_clock;

/* Which check of TLS failed (SBX_E_TLS; the last one: the connection did later on). */
typedef enum sbx_tls_check {
    SBX_TLS_NONE,
    SBX_TLS_UNTRUSTED,      /* not signed by a trusted authority */
    SBX_TLS_WRONG_HOST,     /* the certificate is for other names */
    SBX_TLS_WRONG_IP,       /* connected by address, which it does not name */
    SBX_TLS_EXPIRED,        /* no longer valid */
    SBX_TLS_NOT_YET_VALID,
    SBX_TLS_REVOKED,        /* or the revocation list is out of date */
    SBX_TLS_NO_CLOCK,       /* validity cannot be judged: no unix_ms */
    SBX_TLS_BAD_CERT,       /* weak or malformed */
    SBX_TLS_BAD_CONFIG,     /* config.tls: a text or file cannot be read */
    SBX_TLS_HANDSHAKE,      /* no agreement with the peer, or it gave up */
    SBX_TLS_PIN,            /* the key is none of config.tls.pins */
    SBX_TLS_BROKEN          /* SBX_E_NETWORK or what it led to: not cut, but damaged,
                               tampered with, or broken off by an alert of the peer */
} sbx_tls_check;

/* What is known after a failure. Nothing in it needs freeing. */
typedef struct sbx_error {
    int status;             /* SBX_OK or SBX_E_* */
    int http_status;        /* of the reply, 0: there was none */
    sbx_clock clock;
    sbx_tls_check tls;
    int32_t retry_after_ms; /* asked for by the service, -1: it did not say */
    sbx_choice sandbox_alive, process_alive; /* 0: not known */
    sbx_choice may_exist;   /* SBX_YES: a cut create may have made a sandbox */
    uint32_t pid;           /* of the command concerned, 0: none */
    char code[48];          /* the provider's own word, "" if it gave none */
    char message[208];      /* one line for a person, cut if longer */
} sbx_error;

/* The text of a status, never NULL: what happened and what to do. */
SBX_API const char *sbx_strerror(int status);
/* "SBX_E_TIMEOUT" for SBX_E_TIMEOUT, "SBX_OK", ..., never NULL. */
SBX_API const char *sbx_status_name(int status);
/* SBX_VERSION of the compiled implementation. */
SBX_API const char *sbx_version(void);

/* ---- 3. Memory -------------------------------------------------------------

   resize() is malloc, realloc and free in one: ptr NULL allocates, new_size 0
   frees (and returns NULL), else it moves. old_size is what was asked for
   before. NULL means failure and leaves the old block alone. Blocks must be
   aligned for any type. A zeroed sbx_alloc is the malloc family, which is
   absent with SBX_NO_STDLIB. */
typedef struct sbx_alloc {
    void *(*resize)(void *ctx, void *ptr, size_t old_size, size_t new_size);
    void *ctx;
} sbx_alloc;

/* A heap in one caller buffer: first fit, neighbours merged, no other memory.
   `peak` is the highest end of use so far, in bytes of the buffer, its own
   block headers included: a buffer of that size would have sufficed. */
typedef struct sbx_fixed {
    unsigned char *base_;
    size_t size_;
    size_t used;            /* bytes in use now, headers included */
    size_t peak;
} sbx_fixed;

/* Serves everything from memory[0..size). `state` and `memory` must outlive
   all blocks. Any alignment of `memory` will do. */
SBX_API sbx_alloc sbx_alloc_fixed(sbx_fixed *state, void *memory, size_t size);

/* Frees a result a function handed out through a pointer-to-pointer: infos,
   read buffers, texts. NULL is fine. Handles have their own release function.
   Must be called before the client's allocator goes away; the client itself
   may be closed already. */
SBX_API void sbx_free(void *result);

/* ---- 4. Plain data --------------------------------------------------------- */
typedef struct sbx_bytes { const void *data; size_t len; } sbx_bytes;
typedef struct sbx_pair { const char *key, *value; } sbx_pair;

/* Lists: items NULL is absent, items with count 0 is sent as an empty list. */
typedef struct sbx_pairs { const sbx_pair *items; size_t count; } sbx_pairs;
typedef struct sbx_strings { const char *const *items; size_t count; } sbx_strings;
typedef struct sbx_ports { const uint16_t *items; size_t count; } sbx_ports;

/* Position in a paged list. Zeroed = the first page. */
typedef struct sbx_page {
    int32_t limit;          /* items a page, 0: the provider's default */
    bool has_next;          /* set by each call */
    bool ended_;
    char next_token[SBX_MAX_TOKEN]; /* may be filled in to start elsewhere */
} sbx_page;

/* ---- 5. Streams ------------------------------------------------------------

   put() takes all of data and returns SBX_OK; or takes nothing and returns
   SBX_E_AGAIN: the same bytes come again after sbx_op_wake(), and meanwhile the
   peer is slowed down by its TCP window; any other negative status ends the
   operation with it. A sink with put NULL drops everything. */
typedef struct sbx_sink {
    int (*put)(void *ctx, const void *data, size_t len);
    void *ctx;
} sbx_sink;

/* get() writes up to cap bytes to buf, sets *got and returns SBX_OK; *got 0 is
   the end; SBX_E_AGAIN: nothing now, after sbx_op_wake(). rewind() starts over
   so that a request can be repeated; NULL: it can be sent only once. */
typedef struct sbx_source {
    int (*get)(void *ctx, void *buf, size_t cap, size_t *got);
    int (*rewind)(void *ctx);
    void *ctx;
    int64_t size;           /* exact bytes that will come, -1: not known */
} sbx_source;

/* Memory as a sink: bytes over cap are counted in `cut`, not kept. */
typedef struct sbx_memory { void *data; size_t cap, len; uint64_t cut; } sbx_memory;
SBX_API sbx_sink sbx_sink_memory(sbx_memory *memory);

/* Memory as a source: data[0..len), pos must start at 0. */
typedef struct sbx_reading { const void *data; size_t len, pos; } sbx_reading;
SBX_API sbx_source sbx_source_memory(sbx_reading *reading);

#ifndef SBX_NO_STDLIB
/* A FILE * as a sink or source, passed as void * so that stdio.h is not needed
   here. The source's size is found by seeking, -1 for a pipe. The file stays
   yours: it is neither flushed nor closed. */
SBX_API sbx_sink sbx_sink_file(void *file);
SBX_API sbx_source sbx_source_file(void *file);
#endif
#ifndef SBX_NO_POSIX
/* A blocking file descriptor; reads start at its present offset. */
SBX_API sbx_sink sbx_sink_fd(int fd);
SBX_API sbx_source sbx_source_fd(int fd);
#endif

/* ---- 6. Network ------------------------------------------------------------

   The ways out of the library. A zeroed sbx_net is sockets with mbedTLS over
   them (absent with SBX_NO_POSIX). Give your own for another IP stack, a modem,
   or a test. Every function gets `ctx`. now_ms is required when open is given;
   fill in what else you use. Nothing may block except wait(). The built-in open()
   does while it looks a name up (getaddrinfo), and recv() in place of wait(). */
typedef struct sbx_wait {
    void *conn;             /* as open() made it */
    int want;               /* SBX_WANT_READ | SBX_WANT_WRITE */
    int ready;              /* not 0: it can be done; set by wait(), or by you */
} sbx_wait;
#define SBX_WANT_READ 1
#define SBX_WANT_WRITE 2

typedef struct sbx_net {
    /* Starts or continues a connection. SBX_OK: connected. SBX_E_AGAIN: not yet,
       will be called again with the same *conn. Else a status such as SBX_E_DNS
       or SBX_E_CONNECT, with *conn freed and NULL. *conn is NULL at first. */
    int (*open)(void *ctx, void **conn, const char *host, uint16_t port, bool tls);
    /* SBX_OK and *sent > 0, SBX_E_AGAIN, or SBX_E_NETWORK. */
    int (*send)(void *ctx, void *conn, const void *buf, size_t len, size_t *sent);
    /* SBX_OK with *got > 0, SBX_OK with *got 0 at the end, SBX_E_AGAIN, or
       SBX_E_NETWORK. */
    int (*recv)(void *ctx, void *conn, void *buf, size_t cap, size_t *got);
    void (*close)(void *ctx, void *conn);
    /* Sleeps until one of the n waits is ready or timeout_ms is over; n may be
       0. NULL: only polling is possible, blocking calls are SBX_E_NO_WAIT. With
       SBX_NET_READY it sets `ready` of each (0 before), by level, not by edge. */
    int (*wait)(void *ctx, sbx_wait *waits, size_t n, uint32_t timeout_ms);
    uint64_t (*now_ms)(void *ctx);                 /* monotonic */
    int64_t (*unix_ms)(void *ctx);         /* NULL, or not above 0: no clock */
    int (*entropy)(void *ctx, void *buf, size_t len); /* NULL: none */
    void *ctx;
    unsigned flags;
} sbx_net;

#define SBX_NET_TLS_INSIDE 1u /* open() does TLS itself when asked for it */
#define SBX_NET_READY 2u /* wait() tells which are ready; else all are tried */

/* Whom to trust. Verification is on, always, and includes the host name, which is
   looked for among the alternative names, never the CN. Texts are copied by
   sbx_open(). What cannot be read or meant is SBX_TLS_BAD_CONFIG at the first https
   connection. mbedTLS 3.6 with TLS 1.3, and 4.x, keep state for the whole process,
   set up by psa_crypto_init(): a client calls it, but when several threads have
   clients, build mbedTLS with MBEDTLS_THREADING_C and call it before they start. */
typedef struct sbx_tls {
    const char *ca_pem;     /* trusted authorities as PEM text, or */
    const char *ca_file;    /* a file with them (not with SBX_NO_STDLIB); both
                               NULL: $SSL_CERT_FILE, else all files of the one
                               directory $SSL_CERT_DIR, else the system's store */
    sbx_choice no_clock;    /* without unix_ms the validity period cannot be
                               judged: default SBX_NO fails, SBX_YES skips it */
    /* Who this client is: its certificate, with the chain behind it, and the key.
       Memory goes before files. A peer that refuses it is SBX_TLS_HANDSHAKE. */
    const char *cert_pem, *key_pem;
    const char *cert_file, *key_file;
    const char *key_password; /* of an encrypted key */
    /* Revoked certificates, lists as PEM: SBX_TLS_REVOKED. Of an authority without
       a list here nothing is known to be revoked. */
    const char *crl_pem, *crl_file;
    /* Keys the server may have, else SBX_TLS_PIN: base64 of the SHA-256 of the
       SubjectPublicKeyInfo of its own certificate, several separated by ';' (as
       curl has them, "sha256//" before each is allowed). In addition to the CA;
       with pin_only SBX_YES instead of it: no CA is loaded, and who signed does
       not count. Host name and validity still do, the latter if there is a clock. */
    const char *pins;
    sbx_choice pin_only;
    int32_t max_fragment;   /* bytes of a TLS record: 512, 1024, 2048 or 4096, for
                               an mbedTLS with small buffers. Then TLS 1.2 is used;
                               before mbedTLS 3.6.3 all certificates of the peer
                               must fit into one. 0: no limit */
    /* Sessions are resumed on the next connection to the same host and port, while
       the certificates seen are valid; SBX_NO: each handshake is a whole one. They
       belong to one client, so to one configuration. A few are kept in memory; a
       device that sleeps keeps them itself: session_save gets each (secret!) one,
       the last for a host and port counts, session_load gives it back, SBX_OK and
       *len, or another status: none. One of another configuration or version of
       mbedTLS is ignored. The hooks may not call the client. */
    sbx_choice resume;
    int (*session_save)(void *ctx, const char *host, uint16_t port,
                        const void *data, size_t len);
    int (*session_load)(void *ctx, const char *host, uint16_t port,
                        void *data, size_t cap, size_t *len);
    /* Sees the mbedtls_ssl_config before the first handshake, to choose ciphers and
       the like; not 0: refused. It may not weaken verification: that is set again
       afterwards. What it points to must outlive the client. */
    int (*configure)(void *ctx, void *mbedtls_ssl_config);
    void *ctx;              /* of the hooks */
} sbx_tls;

/* The four clocks, in ms; 0: default, SBX_NEVER: none. */
typedef struct sbx_clocks {
    int32_t connect_ms;     /* 15,000: name, TCP, proxy and TLS of one connection */
    int32_t first_byte_ms;  /* 60,000: from the last byte sent to the reply */
    int32_t idle_ms;        /* 120,000: between two pieces of a transfer */
    int32_t total_ms;       /* 60,000: a whole unary call with its retries;
                               transfers and streams have none unless the
                               call sets it */
} sbx_clocks;

/* ---- 7. Client ------------------------------------------------------------- */
typedef struct sbx_client sbx_client;
typedef struct sbx_provider sbx_provider;
typedef struct sbx_op sbx_op;
typedef struct sbx_sandbox sbx_sandbox;

#ifndef SBX_NO_TRACE
/* For debugging: what goes out and comes back, as text in pieces: the head and the
   body of a request, the status line, headers and body of its reply, as the
   protocol has them but for chunk framing. Bodies may be binary. Several exchanges
   may mix; `exchange` numbers them from 1, a retry is a new one. A request is told
   when it is handed to the connection. put() may not call the client.

   Secrets are replaced by ***, wherever a piece ends: values behind a name with
   auth, token, secret, password, signature, cookie, credential, private, value, api
   key or access key in it (headers, JSON members, name=value); and any word in which
   the first eight bytes of the API key or of a token of the sandbox stand. What only
   you know to be secret, and what is encoded (output of commands is base64), is
   shown. Each part ends with a line feed of its own. */
typedef enum sbx_trace_part { SBX_TRACE_REQUEST, SBX_TRACE_REPLY } sbx_trace_part;

typedef struct sbx_trace {
    void (*put)(void *ctx, uint32_t exchange, sbx_trace_part part,
                const char *text, size_t len);
    void *ctx;
    int32_t limit;          /* bytes told of a request, and of a reply; 0: 4,096,
                               SBX_NEVER: none */
} sbx_trace;
#endif

typedef struct sbx_config {
    const sbx_provider *provider; /* &sbx_e2b; NULL: the one whose key is in the
                               environment */
    const char *api_key;    /* NULL: E2B_API_KEY */
    const char *domain;     /* NULL: E2B_DOMAIN, then "e2b.app" */
    const char *api_url;    /* control plane; NULL: E2B_API_URL, then
                               "https://api.{domain}". A template: {domain} */
    const char *sandbox_url; /* sandboxes; NULL: E2B_SANDBOX_URL, then the rule of
                               the provider. A template: {id} {port} {domain} */
    const char *dialect;    /* an older form of the provider's API, NULL: newest. E2B:
                               "2.6", for hosts without POST /v2/sandboxes; what it
                               cannot say is SBX_E_UNSUPPORTED_HOST, nothing is sent.
                               Not with SBX_NO_EXTRAS */
    sbx_choice environment; /* SBX_NO: read no environment variables */
    sbx_choice debug;       /* E2B: a sandbox on this host, http://localhost */
    sbx_pairs headers;      /* added to every control plane request */
    const char *user_agent; /* added after "sandbox.h/0.1.0 " */
    sbx_tls tls;
    /* An HTTP proxy for all connections, http://[user[:password]@]host[:port]
       (80), user and password percent-encoded; "": none; NULL: https_proxy,
       HTTPS_PROXY for https, http_proxy for http, then all_proxy, ALL_PROXY.
       SBX_E_ARG: another kind of proxy, or SBX_NET_TLS_INSIDE. Refusals of the
       proxy itself are SBX_E_AUTH (407), SBX_E_DENIED or SBX_E_CONNECT. */
    const char *proxy;
    const char *no_proxy;   /* hosts reached without it, by commas or spaces: a
                               name means all below it too, an address only its
                               text (no CIDR), host:port only that port, "*"
                               all; "": no exceptions; NULL: no_proxy, NO_PROXY */
    sbx_clocks clocks;
    int32_t redirects;      /* followed in a row by one request, 0: none. Only to
                               the same scheme, host and port: credentials never
                               leave; 301, 302 and 303 only by what reads, 307
                               and 308 also by other requests, if their sources
                               rewind. Any other one is SBX_E_PROTOCOL */
    int32_t retries;        /* of one request after the first try; 0: 3,
                               SBX_NEVER: none */
    sbx_alloc alloc;
    sbx_net net;
#ifndef SBX_NO_TRACE
    const sbx_trace *trace; /* NULL: none; must outlive the client */
#endif
    sbx_error *error;       /* filled when sbx_open() fails */
} sbx_config;

/* Opens a client; sends nothing. config may be NULL. SBX_E_NO_PROVIDER: no key
   found; SBX_E_ARG: also keys of two providers in the environment (the message
   names both), a bad URL template, or an unknown dialect. */
SBX_API int sbx_open(sbx_client **out, const sbx_config *config);

/* Cancels what still runs and frees the client. All handles of it become
   invalid except results for sbx_free(): release them before, else their memory
   is lost. NULL is SBX_OK. SBX_E_REENTRANT inside
   a callback. Sandboxes are left running: kill them first if that is meant. */
SBX_API int sbx_close(sbx_client *client);

/* Drives all operations, waiting up to timeout_ms for something to do (0: not
   at all). *running (may be NULL) is how many still run. */
SBX_API int sbx_poll(sbx_client *client, uint32_t timeout_ms, size_t *running);

/* For an event loop of your own: what the client waits for (up to cap entries
   in out, *n is how many there are) and after how many ms sbx_poll() must be
   called even if nothing happens (*next_ms, UINT32_MAX: never). Ask again after
   each sbx_poll(): connections come, go and change what they want. */
SBX_API int sbx_waits(const sbx_client *client, sbx_wait *out, size_t cap,
                      size_t *n, uint32_t *next_ms);

/* Then, so that sbx_poll(client, 0, ...) does not try them all: set `ready` in
   those entries where something can be read or written (by level, not by edge),
   and hand the list back. The next sbx_poll() passes over the others in it unless
   they are due, woken or cancelled. Call nothing else of the client in between. */
SBX_API int sbx_ready(sbx_client *client, const sbx_wait *waits, size_t n);

#ifndef SBX_NO_POSIX
/* The file descriptor behind sbx_wait.conn of the built-in transport: to poll, only. */
SBX_API int sbx_wait_fd(const sbx_wait *wait);
#endif

/* Details of the last failed call of this client that had no call->error;
   valid until its next call. Never NULL. */
SBX_API const sbx_error *sbx_client_error(const sbx_client *client);

/* ---- 8. Calls and operations -----------------------------------------------

   Every remote function takes `const sbx_call *call`; NULL or zeroed blocks. */
typedef struct sbx_call {
    sbx_op **op;            /* set: start, store the operation here, and return
                               SBX_PENDING; release it with sbx_op_release() */
    sbx_error *error;       /* filled when it fails; must outlive the operation */
    int32_t timeout_ms;     /* total time; 0: clocks.total_ms, SBX_NEVER: none */
    void (*done)(void *user, sbx_op *op, int status); /* at the end, if op is set */
    void *user;
    const char *api_key;    /* instead of the client's */
    const char *domain;     /* instead of the client's */
} sbx_call;

/* SBX_PENDING while it runs, then its result. */
SBX_API int sbx_op_status(const sbx_op *op);

/* Ends a running operation with SBX_E_CANCELLED. Before the first byte was sent
   nothing has happened; a create that was sent is followed up in the
   background: its sandbox is killed as soon as its id is known. */
SBX_API void sbx_op_cancel(sbx_op *op);

/* Continues an operation whose sink or source answered SBX_E_AGAIN. */
SBX_API void sbx_op_wake(sbx_op *op);

/* Forgets the operation, cancelling it if it runs. NULL is fine. Allowed inside
   callbacks, its own too. */
SBX_API void sbx_op_release(sbx_op *op);

/* ---- 9. Providers ---------------------------------------------------------- */
#ifdef SBX_NO_E2B
#define SBX_PROVIDER_E2B_(X)
#else
#define SBX_PROVIDER_E2B_(X) X(e2b)
#endif
#define SBX_PROVIDERS(X) SBX_PROVIDER_E2B_(X)

#ifndef SANDBOX_STATIC
#define SBX_PROVIDER_DECLARE_(name) SBX_API const sbx_provider sbx_##name;
SBX_PROVIDERS(SBX_PROVIDER_DECLARE_)
#undef SBX_PROVIDER_DECLARE_
#endif

/* What a provider may offer: one row a public function, sbx_<text>(). */
#define SBX_FEATURES(X) \
    X(SANDBOX_CREATE, "sandbox_create") \
    X(SANDBOX_CONNECT, "sandbox_connect") \
    X(SANDBOX_GET_INFO, "sandbox_get_info") \
    X(SANDBOX_LIST, "sandbox_list") \
    X(SANDBOX_SET_TIMEOUT, "sandbox_set_timeout") \
    X(SANDBOX_KILL, "sandbox_kill") \
    X(SANDBOX_IS_RUNNING, "sandbox_is_running") \
    X(SANDBOX_HOST, "sandbox_host") \
    X(SANDBOX_MCP_URL, "sandbox_mcp_url") \
    X(SANDBOX_PAUSE, "sandbox_pause") \
    X(SANDBOX_RESUME, "sandbox_resume") \
    X(SANDBOX_REFRESH, "sandbox_refresh") \
    X(SANDBOX_SET_NETWORK, "sandbox_set_network") \
    X(SANDBOX_METRICS, "sandbox_metrics") \
    X(SANDBOX_LOGS, "sandbox_logs") \
    X(SANDBOX_FORK, "sandbox_fork") \
    X(SNAPSHOT_CREATE, "snapshot_create") \
    X(SNAPSHOT_LIST, "snapshot_list") \
    X(SNAPSHOT_DELETE, "snapshot_delete") \
    X(TEMPLATE_BUILDS, "template_builds") X(TEMPLATE_BUILD, "template_build") \
    X(TEMPLATE_BUILD_START, "template_build_start") X(BUILD_GET_STATUS, "build_get_status") \
    X(BUILD_WAIT, "build_wait") X(TEMPLATE_EXISTS, "template_exists") \
    X(TEMPLATE_LIST, "template_list") X(TEMPLATE_DELETE, "template_delete") \
    X(TEMPLATE_SET_PUBLIC, "template_set_public") \
    X(TEMPLATE_LIST_TAGS, "template_list_tags") X(TEMPLATE_ADD_TAGS, "template_add_tags") \
    X(TEMPLATE_REMOVE_TAGS, "template_remove_tags") \
    X(INVOKE, "invoke") \
    X(RUN_CODE, "run_code") \
    X(COMMAND_RUN, "command_run") \
    X(COMMAND_START, "command_start") \
    X(COMMAND_CONNECT, "command_connect") \
    X(PTY_CREATE, "pty_create") \
    X(PTY_CONNECT, "pty_connect") \
    X(COMMAND_KILL, "command_kill") \
    X(COMMAND_SIGNAL, "command_signal") \
    X(COMMAND_SEND_STDIN, "command_send_stdin") \
    X(COMMAND_CLOSE_STDIN, "command_close_stdin") \
    X(COMMAND_STREAM_STDIN, "command_stream_stdin") \
    X(PTY_RESIZE, "pty_resize") \
    X(PTY_SEND_INPUT, "pty_send_input") \
    X(PTY_STREAM_INPUT, "pty_stream_input") \
    X(COMMAND_LIST, "command_list") \
    X(FILES_READ, "files_read") \
    X(FILES_READ_BYTES, "files_read_bytes") \
    X(FILES_WRITE, "files_write") \
    X(FILES_WRITE_MANY, "files_write_many") \
    X(FILES_LIST, "files_list") \
    X(FILES_STAT, "files_stat") \
    X(FILES_EXISTS, "files_exists") \
    X(FILES_REMOVE, "files_remove") \
    X(FILES_RENAME, "files_rename") \
    X(FILES_MAKE_DIR, "files_make_dir") \
    X(FILES_URL, "files_url") \
    X(FILES_WATCH, "files_watch") \
    X(WATCH_POLL, "watch_poll") \
    X(WATCH_STOP, "watch_stop")

typedef enum sbx_feature {
#define SBX_FEATURE_ENUM_(name, text) SBX_FEATURE_##name,
    SBX_FEATURES(SBX_FEATURE_ENUM_)
#undef SBX_FEATURE_ENUM_
    SBX_FEATURE_END_
} sbx_feature;

SBX_API bool sbx_supports(const sbx_client *client, sbx_feature feature);
SBX_API const char *sbx_provider_name(const sbx_client *client);

/* ---- 10. Sandboxes --------------------------------------------------------- */
typedef enum sbx_on_timeout { SBX_ON_TIMEOUT_DEFAULT, SBX_ON_TIMEOUT_KILL,
    SBX_ON_TIMEOUT_PAUSE } sbx_on_timeout;

#ifndef SBX_NO_EXTRAS
/* What may pass between a sandbox and the internet (E2B). Zeroed: the service's
   defaults. "0.0.0.0/0" is all addresses; what is allowed wins over what is denied;
   domain names (also "*.example.com") can only be allowed. */
typedef struct sbx_network {
    sbx_choice public_traffic; /* NO: user ports want the traffic token of
                               sbx_sandbox_get_access() in the header
                               e2b-traffic-access-token */
    sbx_strings allow_out, deny_out;
    sbx_strings dns_servers;
    const char *proxy_address; /* of a proxy that all traffic goes through: host:port */
    const char *proxy_username, *proxy_password;
    sbx_choice proxy_tls;   /* YES: TLS to the proxy, with */
    const char *proxy_server_name, *proxy_ca_pem;
    const char *mask_host;  /* Host header for servers inside, with ${PORT} */
    sbx_ports https_ports;  /* of servers inside that speak TLS themselves */
    const char *rules_json; /* changes to requests by host, as the service takes them:
                               {"api.example.com":[{"transform":{"headers":{...}}}]} */
} sbx_network;
#endif

typedef struct sbx_sandbox_options {
    const char *template_id; /* id, alias, team/alias, each with :tag; E2B
                               default "base" */
    int32_t timeout_s;      /* life from now; 0: the provider's (E2B 300 s) */
    sbx_pairs metadata;     /* shown by info and list, searchable */
    sbx_pairs envs;         /* environment of every process */
    sbx_choice internet;    /* SBX_NO: no network out */
    sbx_on_timeout on_timeout; /* E2B lifecycle.on_timeout */
    sbx_choice pause_memory; /* E2B, with pause: SBX_NO keeps files only */
    sbx_choice auto_resume; /* E2B, with pause: wake on traffic */
    const char *idempotency_key; /* E2B: 1-255 of [a-z0-9-]; makes create safe to
                               repeat */
    sbx_choice idempotent;  /* SBX_YES: make such a key (needs entropy) */
#ifndef SBX_NO_EXTRAS
    sbx_network network;
    sbx_pairs volumes;      /* E2B: path to mount at, name of the volume */
    const char *mcp_json;   /* E2B: servers of the MCP gateway, {"name":{...}}. The
                               gateway is started too, else the sandbox is killed
                               again: SBX_E_REFUSED with what it wrote; its token is in the file
                               /etc/mcp-gateway/.token of user root */
    const char *identity_json; /* E2B iam: {"tokens":{"name":{"audience":...,
                               "tokenType":...}}} */
#endif
} sbx_sandbox_options;

/* Creates a sandbox. *out is yours: sbx_sandbox_release(). Without an
   idempotency key it is repeated only when the service certainly made nothing
   (429, 503, no connection), and goes out on a new one; a cut reply is
   SBX_E_NETWORK with error.may_exist.
   SBX_E_REFUSED or SBX_E_NOT_FOUND: no such template. E2B: wire POST
   /v2/sandboxes; a daemon older than 0.1.0 is killed again and is
   SBX_E_UNSUPPORTED_HOST. */
SBX_API int sbx_sandbox_create(sbx_client *client,
    const sbx_sandbox_options *options, sbx_sandbox **out, const sbx_call *call);

/* Credentials of a sandbox, to store and to attach with later. */
typedef struct sbx_sandbox_access {
    const char *access_token;   /* NULL: none needed, or fetched when needed */
    const char *traffic_token;  /* for user ports, NULL: none */
    const char *domain;         /* NULL: the client's */
    const char *data_url;       /* base of the sandbox's own API, NULL: by rule */
    const char *daemon_version; /* "0.6.4"; NULL: fetched when needed */
} sbx_sandbox_access;

/* A handle for an id; local, sends nothing, wakes nothing. With access NULL the
   first call into the sandbox fetches what it needs. */
SBX_API int sbx_sandbox_attach(sbx_client *client, const char *id,
    const sbx_sandbox_access *access, sbx_sandbox **out);

/* What a later attach needs; borrowed from the handle. */
SBX_API int sbx_sandbox_get_access(const sbx_sandbox *sandbox,
    sbx_sandbox_access *out);

/* Makes sure it runs, resuming it if it is paused, and refreshes the handle's
   credentials. timeout_s: a running sandbox keeps its end if that is later, 0:
   it is not shortened (E2B: the service then gives at least 300 s). *resumed
   (may be NULL): it was paused before. */
SBX_API int sbx_sandbox_connect(sbx_sandbox *sandbox, int32_t timeout_s,
    bool *resumed, const sbx_call *call);

typedef enum sbx_sandbox_state { SBX_SANDBOX_UNKNOWN, SBX_SANDBOX_RUNNING,
    SBX_SANDBOX_PAUSED } sbx_sandbox_state;

typedef struct sbx_sandbox_info {
    const char *id, *template_id;
    const char *alias;      /* name of the template, may be NULL */
    const char *domain;     /* may be NULL */
    const char *daemon_version;
    const char *access_token; /* only from get_info, may be NULL */
    sbx_sandbox_state state;
    int64_t started_unix_ms, end_unix_ms;
    int32_t cpu_count, memory_mib, disk_mib;
    sbx_pairs metadata;
    sbx_choice internet;    /* 0: not said */
    sbx_on_timeout on_timeout;
    sbx_choice auto_resume;
} sbx_sandbox_info;

/* *out is yours: sbx_free(). SBX_E_NOT_FOUND: no such sandbox. */
SBX_API int sbx_sandbox_get_info(sbx_sandbox *sandbox, sbx_sandbox_info **out,
    const sbx_call *call);

typedef struct sbx_sandbox_query {
    sbx_pairs metadata;     /* all must match */
    sbx_choice running, paused; /* both default: both; else YES, or what is not NO */
    const char *template_id; /* only of this template */
    int64_t started_after_unix_ms; /* 0: any */
    sbx_choice oldest_first; /* default SBX_NO: newest first */
} sbx_sandbox_query;

/* Calls each() for every sandbox; a negative return of it ends
   the call with that status. page NULL: all pages; else one page, and
   page->has_next says whether to call again (past the end is SBX_E_ARG). */
typedef int (*sbx_sandbox_each)(void *ctx, const sbx_sandbox_info *info);
SBX_API int sbx_sandbox_list(sbx_client *client, const sbx_sandbox_query *query,
    sbx_page *page, sbx_sandbox_each each, void *ctx, const sbx_call *call);

/* Ends the sandbox timeout_s from now; this may shorten its life. */
SBX_API int sbx_sandbox_set_timeout(sbx_sandbox *sandbox, int32_t timeout_s,
    const sbx_call *call);

/* Ends it now; a paused one loses its snapshot. *existed (may be NULL): false if
   it was gone already, which is no error. */
SBX_API int sbx_sandbox_kill(sbx_sandbox *sandbox, bool *existed,
    const sbx_call *call);

/* Asks the sandbox itself; never wakes a paused one. */
SBX_API int sbx_sandbox_is_running(sbx_sandbox *sandbox, bool *running,
    const sbx_call *call);

/* Host name (and port if needed) under which a port of the sandbox is reachable
   from outside, without scheme. NUL-terminated; SBX_E_TOO_LARGE: cap too small. */
SBX_API int sbx_sandbox_host(const sbx_sandbox *sandbox, uint16_t port,
    char *out, size_t cap);

#ifndef SBX_NO_EXTRAS
/* As connect, with all of its options. */
typedef struct sbx_resume_options {
    int32_t timeout_s;      /* as in sbx_sandbox_connect() */
    sbx_choice memory;      /* NO: boot anew from the files (E2B) */
} sbx_resume_options;
SBX_API int sbx_sandbox_resume(sbx_sandbox *sandbox, const sbx_resume_options *options,
    bool *resumed, const sbx_call *call);

typedef struct sbx_pause_options {
    sbx_choice memory;      /* NO: keep files only (E2B) */
    sbx_choice healthy;     /* YES: fail if the sandbox does not answer (E2B) */
} sbx_pause_options;

/* Freezes it; it costs nothing and keeps no time. *paused (may be NULL): false if
   it could not be paused in its present state, such as paused already. */
SBX_API int sbx_sandbox_pause(sbx_sandbox *sandbox, const sbx_pause_options *options,
    bool *paused, const sbx_call *call);

/* Ends it duration_s from now, 0 to 3,600, unless it ends later anyway (E2B). */
SBX_API int sbx_sandbox_refresh(sbx_sandbox *sandbox, int32_t duration_s,
    const sbx_call *call);

/* Replaces the network rules; what network leaves out is cleared. Of it, allow_out,
   deny_out, dns_servers, the proxy and rules_json count. */
SBX_API int sbx_sandbox_set_network(sbx_sandbox *sandbox, const sbx_network *network,
    sbx_choice internet, const sbx_call *call);

typedef struct sbx_metrics {
    int64_t unix_ms;
    int32_t cpu_count;
    int32_t cpu_used_milli; /* thousandths of a percent; 100,000: all of them */
    int64_t memory_used, memory_total, memory_cache, disk_used, disk_total; /* bytes */
} sbx_metrics;

/* Measurements between two times, oldest first; 0 and 0: what the service keeps.
   E2B: whole seconds count; daemons before 0.1.5 are SBX_E_UNSUPPORTED_HOST. */
typedef int (*sbx_metrics_each)(void *ctx, const sbx_metrics *metrics);
SBX_API int sbx_sandbox_metrics(sbx_sandbox *sandbox, int64_t start_unix_ms,
    int64_t end_unix_ms, sbx_metrics_each each, void *ctx, const sbx_call *call);

typedef struct sbx_log {
    int64_t unix_ms;
    const char *level;      /* "debug", "info", "warn", "error" */
    const char *message;
    sbx_pairs fields;
} sbx_log;

typedef struct sbx_log_query {
    int64_t from_unix_ms;   /* 0: the newest */
    int32_t limit;          /* 1 to 1,000, 0: the service's */
    sbx_choice newest_first;
    const char *level;      /* at least this */
    const char *search;     /* messages with this text */
} sbx_log_query;

/* What the sandbox itself wrote about its life (E2B: GET /v2/sandboxes/{id}/logs). */
typedef int (*sbx_log_each)(void *ctx, const sbx_log *log);
SBX_API int sbx_sandbox_logs(sbx_sandbox *sandbox, const sbx_log_query *query,
    sbx_log_each each, void *ctx, const sbx_call *call);

/* Copies of a running sandbox: count of them, 1 to 20, 0: 1; each ends timeout_s from
   now, 0: the service's default (E2B 15 s). each() gets a handle that is yours,
   sbx_sandbox_release(), or NULL and what went wrong; with SBX_E_NOMEM the message is
   the id of a copy that runs. It gets all of them: the first failure it returns is
   told at the end. A call that is cut or cancelled says error.may_exist: nothing is
   undone. */
typedef int (*sbx_fork_each)(void *ctx, sbx_sandbox *fork, const sbx_error *error);
SBX_API int sbx_sandbox_fork(sbx_sandbox *sandbox, int32_t count, int32_t timeout_s,
    sbx_fork_each each, void *ctx, const sbx_call *call);

/* A snapshot is a template made of a sandbox as it is now; its id is a template_id
   for sbx_sandbox_create(). */
typedef struct sbx_snapshot_options {
    const char *name;       /* with :tag if wanted, NULL: none */
    sbx_choice memory;      /* NO: files only */
} sbx_snapshot_options;

typedef struct sbx_snapshot_info { const char *id; sbx_strings names; } sbx_snapshot_info;

/* *out is yours: sbx_free(). */
SBX_API int sbx_snapshot_create(sbx_sandbox *sandbox, const sbx_snapshot_options *options,
    sbx_snapshot_info **out, const sbx_call *call);

/* Those of one sandbox (NULL: all) and name (NULL: any); pages as in
   sbx_sandbox_list(). */
typedef int (*sbx_snapshot_each)(void *ctx, const sbx_snapshot_info *info);
SBX_API int sbx_snapshot_list(sbx_client *client, const char *sandbox_id, const char *name,
    sbx_page *page, sbx_snapshot_each each, void *ctx, const sbx_call *call);

/* *existed (may be NULL): false if there was none. */
SBX_API int sbx_snapshot_delete(sbx_client *client, const char *id, bool *existed,
    const sbx_call *call);

/* URL of its MCP gateway, https://.../mcp, whether there is one or not; sends
   nothing. NUL-terminated; SBX_E_TOO_LARGE: cap too small. */
SBX_API int sbx_sandbox_mcp_url(const sbx_sandbox *sandbox, char *out, size_t cap);
#endif /* SBX_NO_EXTRAS */

/* The id, as long as the handle lives. */
SBX_API const char *sbx_sandbox_id(const sbx_sandbox *sandbox);

/* Frees the handle, never kills. Running operations keep what they need. */
SBX_API void sbx_sandbox_release(sbx_sandbox *sandbox);

/* ---- 11. Commands ---------------------------------------------------------- */
typedef struct sbx_command_options {
    sbx_pairs envs;
    const char *cwd;        /* NULL: the sandbox's default or the home */
    const char *user;       /* NULL: the sandbox's default user */
    int32_t timeout_ms;     /* life of the command; 0: provider's (E2B 60,000),
                               SBX_NEVER: none. call->timeout_ms is apart from
                               it: it bounds the call, not the process */
    sbx_choice keep_stdin;  /* SBX_YES: leave standard input open; E2B daemons before
                               0.3.0 always do, SBX_NO is SBX_E_UNSUPPORTED_HOST */
    const char *tag;        /* a name for the process (E2B) */
    sbx_sink out, err;      /* output as it comes, byte for byte */
    size_t capture_limit;   /* > 0: also keep up to so many bytes of each stream
                               in the result; used where no sink is set */
    sbx_choice pull;        /* SBX_YES, not for sbx_command_run: instead of sinks,
                               output waits until sbx_proc_next() takes it */
    void (*started)(void *ctx, uint32_t pid); /* once, before output; may be NULL */
    void *started_ctx;
} sbx_command_options;

typedef struct sbx_command_result {
    int32_t exit_code;      /* -1: ended by a signal */
    uint32_t pid;
    char *out, *err;        /* captured, NUL-terminated, yours: sbx_free(); NULL
                               unless capture_limit was set and no sink */
    size_t out_len, err_len;
    uint64_t out_cut, err_cut; /* bytes that did not fit capture_limit */
    char reason[48];        /* "exit status 3", "signal: killed", "" if not said */
} sbx_command_result;

/* Runs cmd with the sandbox's shell (E2B: /bin/bash -l -c) and waits for its
   end. A non-zero exit code is SBX_OK. result may be NULL. Special errors:
   SBX_E_KILLED (its timeout), SBX_E_NO_END, SBX_E_SANDBOX_GONE,
   SBX_E_UNREACHABLE; error.pid and error.process_alive say what is left. */
SBX_API int sbx_command_run(sbx_sandbox *sandbox, const char *cmd,
    const sbx_command_options *options, sbx_command_result *result,
    const sbx_call *call);

typedef struct sbx_process_info {
    uint32_t pid;
    const char *cmd;        /* the program */
    sbx_strings args;
    sbx_pairs envs;
    const char *cwd, *tag;  /* may be NULL */
} sbx_process_info;

typedef int (*sbx_process_each)(void *ctx, const sbx_process_info *info);
SBX_API int sbx_command_list(sbx_sandbox *sandbox, sbx_process_each each,
    void *ctx, const sbx_call *call);

/* SIGKILL to one process. *existed (may be NULL): false if there was none. */
SBX_API int sbx_command_kill(sbx_sandbox *sandbox, uint32_t pid, bool *existed,
    const sbx_call *call);

typedef enum sbx_signal { SBX_SIGNAL_KILL, SBX_SIGNAL_TERM } sbx_signal;

/* The same with a choice. Only the process itself is signalled, not its group. */
SBX_API int sbx_command_signal(sbx_sandbox *sandbox, uint32_t pid,
    sbx_signal signal, bool *existed, const sbx_call *call);

/* Bytes for the standard input of a process that was started with keep_stdin.
   Copied only if call->op is set. SBX_E_NOT_FOUND: no such process. */
SBX_API int sbx_command_send_stdin(sbx_sandbox *sandbox, uint32_t pid,
    const void *data, size_t len, const sbx_call *call);

#ifndef SBX_NO_PROC
/* Standard input of any length in one request; the call ends when the source
   does, and leaves the input open. No total time limits it unless the call sets one;
   from.size and from.rewind do not count: it is sent once. While the source is silent
   a ping goes out every 50 s. */
SBX_API int sbx_command_stream_stdin(sbx_sandbox *sandbox, uint32_t pid,
    sbx_source from, const sbx_call *call);
#endif

/* End of file for its standard input. E2B: daemons before 0.5.2 do not know it
   (SBX_E_UNSUPPORTED_HOST, nothing is sent). */
SBX_API int sbx_command_close_stdin(sbx_sandbox *sandbox, uint32_t pid,
    const sbx_call *call);

/* ---- processes in the background, and terminals ----------------------------

   A handle follows one process by a connection of its own: its output goes to the
   sinks, into the result, or waits to be pulled, whenever sbx_poll() or a blocking
   call runs. Letting go of the handle leaves the process alone; connect follows it
   again, without what it wrote meanwhile. sbx_poll() counts it as running. Release
   handles before sbx_close(). */
typedef struct sbx_proc sbx_proc;

#ifndef SBX_NO_PROC
/* Starts cmd as sbx_command_run() does and returns when it runs. *out is yours:
   sbx_proc_release(). call->timeout_ms (0: clocks.total_ms) bounds the start;
   options->timeout_ms is the life of the command, 0: no limit. A start that is cut or
   cancelled may have started it: options->tag finds it again. */
SBX_API int sbx_command_start(sbx_sandbox *sandbox, const char *cmd,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call);

/* Follows a running process, by pid, or with pid 0 by options->tag. Of the
   options, those about output, started and timeout_ms count: the connection ends then
   with SBX_E_TIMEOUT, the process runs on.
   SBX_E_NOT_FOUND: no such process (E2B: its end is told for 30 s). */
SBX_API int sbx_command_connect(sbx_sandbox *sandbox, uint32_t pid,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call);
#endif

#ifndef SBX_NO_PTY
/* A login shell on a terminal of cols x rows (0: 80 x 24). Of the options, cwd,
   user, envs, tag and those of connect count; all output is `out`. E2B sets TERM,
   LANG and LC_ALL unless envs has them. */
SBX_API int sbx_pty_create(sbx_sandbox *sandbox, uint16_t cols, uint16_t rows,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call);

/* As sbx_command_connect(), for a process on a terminal. */
SBX_API int sbx_pty_connect(sbx_sandbox *sandbox, uint32_t pid,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call);

/* cols and rows from 1. */
SBX_API int sbx_pty_resize(sbx_sandbox *sandbox, uint32_t pid, uint16_t cols,
    uint16_t rows, const sbx_call *call);

/* What is typed; as the two for standard input. */
SBX_API int sbx_pty_send_input(sbx_sandbox *sandbox, uint32_t pid,
    const void *data, size_t len, const sbx_call *call);
SBX_API int sbx_pty_stream_input(sbx_sandbox *sandbox, uint32_t pid,
    sbx_source from, const sbx_call *call);

/* Of a handle, as the one above. */
SBX_API int sbx_proc_resize(sbx_proc *proc, uint16_t cols, uint16_t rows,
    const sbx_call *call);
#endif

#ifndef SBX_NO_PROC
/* The process of a handle, by the functions above; 0: proc is NULL. */
SBX_API uint32_t sbx_proc_pid(const sbx_proc *proc);
SBX_API int sbx_proc_write(sbx_proc *proc, const void *data, size_t len,
    const sbx_call *call);
SBX_API int sbx_proc_close_stdin(sbx_proc *proc, const sbx_call *call);
SBX_API int sbx_proc_kill(sbx_proc *proc, bool *existed, const sbx_call *call);
#endif

typedef enum sbx_proc_part { SBX_PROC_END, SBX_PROC_OUT, SBX_PROC_ERR,
    SBX_PROC_PTY } sbx_proc_part;

typedef struct sbx_proc_event {
    sbx_proc_part part;     /* END: the process has ended, see sbx_proc_wait() */
    const void *data;       /* until the next call with this handle */
    size_t len;
} sbx_proc_event;

#ifndef SBX_NO_PROC
/* The next piece of output, with options.pull; waits for it, without
   call->timeout_ms for ever. What it fails with is what the stream failed with.
   SBX_E_CONFLICT: another sbx_proc_next() of this handle still waits. */
SBX_API int sbx_proc_next(sbx_proc *proc, sbx_proc_event *event,
    const sbx_call *call);

/* Waits for the end; without call->timeout_ms for ever. With options.pull the end
   comes behind the last piece; when it blocks, output that was not pulled is dropped
   from here on. Statuses as those of sbx_command_run(). Captured output goes to the
   first caller that asks, and is handed out after a failure too, with the pid:
   sbx_free() result->out and err. */
SBX_API int sbx_proc_wait(sbx_proc *proc, sbx_command_result *result,
    const sbx_call *call);

/* Continues output whose sink answered SBX_E_AGAIN. NULL is fine. */
SBX_API void sbx_proc_wake(sbx_proc *proc);

/* SBX_PENDING while the process is followed, then what sbx_proc_wait() gives. */
SBX_API int sbx_proc_status(const sbx_proc *proc);

/* Stops following and frees the handle; calls that wait with it are cancelled. The
   process goes on. NULL is fine, also inside callbacks. */
SBX_API void sbx_proc_release(sbx_proc *proc);
#endif

/* ---- 12. Files -------------------------------------------------------------

   Paths are taken from the user's home when relative; `user` NULL is the
   sandbox's default. Names are bytes and pass through untouched as far as the
   protocol can say them (E2B: UTF-8). */
typedef enum sbx_file_type { SBX_FILE_UNKNOWN, SBX_FILE_REGULAR, SBX_FILE_DIR,
    SBX_FILE_SYMLINK } sbx_file_type;

typedef struct sbx_file_info {
    const char *name, *path;
    sbx_file_type type;     /* E2B: of a link's target, unless the daemon knows
                               links (is_symlink) */
    bool is_symlink;        /* told by newer daemons; see also symlink_target */
    int64_t size;           /* bytes */
    uint32_t mode;          /* permission bits */
    const char *permissions; /* "-rw-r--r--" */
    const char *owner, *group;
    int64_t modified_unix_ms;
    const char *symlink_target; /* NULL: not a link */
    sbx_pairs metadata;
} sbx_file_info;

typedef struct sbx_files_options {
    const char *user;
    int32_t depth;          /* list: levels below the directory, 0: 1 */
    sbx_choice octet_stream; /* write: raw body instead of multipart; default:
                               raw for sources, multipart for bytes; hosts before
                               0.5.7 always get multipart */
    sbx_choice gzip;        /* YES: files may travel as gzip. A read unpacks it (unless
                               a part is asked for), which takes 36 KiB meanwhile; a
                               write stores blocks without making them smaller: for
                               checksums on the way, not for speed */
    int64_t offset, length; /* read: so many bytes from there on, as far as the file
                               goes; length 0: to its end. A host that sends the
                               whole file is cut off, what comes before passed over */
    size_t max_len;         /* read_bytes: a larger file is SBX_E_TOO_LARGE; 0:
                               SBX_MAX_RESULT */
    sbx_pairs metadata;     /* write: replaces the file's, shown by stat and list. Keys
                               are HTTP tokens, their case is lost, values printable
                               ASCII (E2B daemon 0.6.2 and later) */
} sbx_files_options;

/* Streams a file to `to`, which gets bytes only after the service agreed.
   SBX_E_NOT_FOUND, SBX_E_NOT_A_FILE (a directory), SBX_E_AUTH (no such user).
   The file passes through a fixed buffer, whatever its size. */
SBX_API int sbx_files_read(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, sbx_sink to, const sbx_call *call);

#ifndef SBX_NO_EXTRAS
/* The same into memory: *data is yours, sbx_free(), with a NUL behind its *len
   bytes. len must outlive the operation. */
SBX_API int sbx_files_read_bytes(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, void **data, size_t *len, const sbx_call *call);
#endif

/* Writes a file, making its directories. SBX_E_NO_SPACE, SBX_E_NOT_A_FILE;
   SBX_E_SOURCE if the source ends early or has more than its size. *info (may
   be NULL) gets the entry (name, path, type), yours: sbx_free(). */
SBX_API int sbx_files_write(sbx_sandbox *sandbox, const char *path,
    sbx_source from, const sbx_files_options *options, sbx_file_info **info,
    const sbx_call *call);

/* The same for bytes in memory, which are copied only if call->op is set. */
SBX_API int sbx_files_write_bytes(sbx_sandbox *sandbox, const char *path,
    const void *data, size_t len, const sbx_files_options *options,
    sbx_file_info **info, const sbx_call *call);

typedef struct sbx_file_write { const char *path; sbx_source from; } sbx_file_write;
typedef int (*sbx_file_each)(void *ctx, const sbx_file_info *info);

/* Several files in one request. each (may be NULL) gets what was written. With
   count 0 nothing is sent. Every source needs a known size, and no path a quote or
   control character, which that request cannot say: SBX_E_ARG (E2B). */
SBX_API int sbx_files_write_many(sbx_sandbox *sandbox,
    const sbx_file_write *files, size_t count, const sbx_files_options *options,
    sbx_file_each each, void *ctx, const sbx_call *call);

/* Entries of a directory, depth first, by name within one directory. */
SBX_API int sbx_files_list(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, sbx_file_each each, void *ctx,
    const sbx_call *call);

/* One entry; a link is not followed. *out is yours: sbx_free(). */
SBX_API int sbx_files_stat(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, sbx_file_info **out, const sbx_call *call);

SBX_API int sbx_files_exists(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, bool *exists, const sbx_call *call);

/* Removes a file or a whole tree; a missing path is no error. */
SBX_API int sbx_files_remove(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, const sbx_call *call);

/* Moves; *info as in sbx_files_write. */
SBX_API int sbx_files_rename(sbx_sandbox *sandbox, const char *from,
    const char *to, const sbx_files_options *options, sbx_file_info **info,
    const sbx_call *call);

/* Makes a directory and its parents. *created (may be NULL): false if it was
   there already, which is no error. SBX_E_NOT_A_FILE: something else is there. */
SBX_API int sbx_files_make_dir(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, bool *created, const sbx_call *call);

#ifndef SBX_NO_EXTRAS
typedef struct sbx_url_options {
    const char *user;
    sbx_choice upload;      /* YES: for POST of a file, else for GET */
    int32_t expires_s;      /* valid so long, counted by net.unix_ms; 0 or less: as
                               long as the sandbox */
} sbx_url_options;

/* A URL under which anybody can fetch or store one file, signed with the sandbox's
   token if it has one. NUL-terminated; SBX_E_TOO_LARGE: cap is too small; SBX_E_ARG:
   expires_s without a clock or a token. Sends something only if the token is not
   known yet. */
SBX_API int sbx_files_url(sbx_sandbox *sandbox, const char *path,
    const sbx_url_options *options, char *out, size_t cap, const sbx_call *call);
#endif

/* ---- watching ----

   A watch reports what happens in a directory, by a stream, or by asking the
   host again and again. Events come by each(), inside sbx_poll() and blocking
   calls; a negative return of it ends the watch with that status. Release watches
   before sbx_close(). */
typedef enum sbx_watch_type { SBX_WATCH_UNKNOWN, SBX_WATCH_CREATE, SBX_WATCH_WRITE,
    SBX_WATCH_REMOVE, SBX_WATCH_RENAME, SBX_WATCH_CHMOD } sbx_watch_type;

typedef struct sbx_watch_event {
    sbx_watch_type type;
    const char *name;       /* relative to the directory, "sub/name" */
    const sbx_file_info *entry; /* NULL: not asked for, or not told */
} sbx_watch_event;

typedef int (*sbx_watch_each)(void *ctx, const sbx_watch_event *event);

typedef enum sbx_watch_mode {
    SBX_WATCH_DEFAULT,      /* a stream; where the host has none, asking */
    SBX_WATCH_STREAM,
    SBX_WATCH_ASK
} sbx_watch_mode;

typedef struct sbx_watch_options {
    const char *user;
    sbx_watch_mode mode;
    sbx_choice recursive;   /* YES: below it too (E2B daemon 0.1.4 and later) */
    sbx_choice entries;     /* YES: with event->entry, of what is still there (E2B
                               daemon 0.6.3) */
    sbx_choice network_mounts; /* YES: also there, where events may be missing
                               (E2B daemon 0.6.4) */
    int32_t interval_ms;    /* of asking, 0: 1,000; SBX_NEVER: only when
                               sbx_watch_poll() is called */
    int32_t timeout_ms;     /* life of the watch, then SBX_E_TIMEOUT; 0 or SBX_NEVER,
                               and with interval_ms SBX_NEVER: no limit */
} sbx_watch_options;

typedef struct sbx_watch sbx_watch;

#ifndef SBX_NO_WATCH
/* Begins a watch and returns when the host has it. *out is yours:
   sbx_watch_release(). call->timeout_ms (0: clocks.total_ms) bounds the beginning.
   SBX_E_NOT_FOUND, SBX_E_NOT_A_FILE (no directory), SBX_E_UNSUPPORTED_HOST: the
   daemon is too old for an option (then nothing was sent), or has no watches. */
SBX_API int sbx_files_watch(sbx_sandbox *sandbox, const char *path,
    const sbx_watch_options *options, sbx_watch_each each, void *ctx,
    sbx_watch **out, const sbx_call *call);

/* Asks now for what has happened since the last time. A stream needs no asking:
   SBX_OK. Of a watch that has ended: its status; that was stopped: SBX_E_CONFLICT. */
SBX_API int sbx_watch_poll(sbx_watch *watch, const sbx_call *call);

/* Ends the watch, on the host too; no event comes any more. Once more: SBX_OK. */
SBX_API int sbx_watch_stop(sbx_watch *watch, const sbx_call *call);

/* SBX_PENDING while it works, then what ended it; SBX_OK after a stop. */
SBX_API int sbx_watch_status(const sbx_watch *watch);

/* Frees the handle; no event comes any more. What the host keeps of a watch that
   was not stopped is removed in the background: sbx_poll(), a blocking call or
   sbx_close() sees to it. NULL is fine, also inside callbacks. */
SBX_API void sbx_watch_release(sbx_watch *watch);
#endif

/* ---- 13. JSON --------------------------------------------------------------

   A push reader (RFC 8259, strict): feed it any split of the text, it calls back
   with events. It allocates nothing, does not recurse, and keeps its whole state
   in the struct. Keys and numbers come whole; longer than SBX_JSON_TOKEN bytes
   they are cut there and flagged CUT. Strings come in pieces: all but the last
   with MORE. UTF-8 is validated; a piece may end inside a character. Escapes
   are decoded; a lone surrogate escape becomes U+FFFD and is flagged LONE. */
#define SBX_JSON_TOKEN 64

typedef enum sbx_json_type {
    SBX_JSON_OBJECT, SBX_JSON_OBJECT_END, SBX_JSON_ARRAY, SBX_JSON_ARRAY_END,
    SBX_JSON_KEY, SBX_JSON_STRING, SBX_JSON_NUMBER, SBX_JSON_TRUE,
    SBX_JSON_FALSE, SBX_JSON_NULL
} sbx_json_type;

#define SBX_JSON_MORE 1u /* STRING: further pieces follow */
#define SBX_JSON_CUT 2u  /* KEY, NUMBER: text is only the beginning */
#define SBX_JSON_LONE 4u /* KEY, STRING: held a lone surrogate escape */

typedef struct sbx_json_event {
    sbx_json_type type;
    unsigned flags;
    unsigned depth;         /* containers around it, 0 at the top */
    const char *text;       /* KEY, STRING, NUMBER; not NUL-terminated */
    size_t len;
} sbx_json_event;

/* SBX_OK: go on. SBX_PENDING: taken, now pause. Negative: stop with it. */
typedef int (*sbx_json_fn)(void *ctx, const sbx_json_event *event);

typedef struct sbx_json_reader {
    sbx_json_fn fn_;
    void *ctx_;
    uint32_t stack_[(SBX_MAX_JSON_DEPTH + 31) / 32]; /* 1: object, 0: array */
    uint16_t depth_, code_, high_; /* high_: first half of a surrogate pair */
    uint8_t state_, sub_, flags_, len_, utf8_[3];
    int status_;            /* sticky when negative */
    char token_[SBX_JSON_TOKEN];
} sbx_json_reader;

SBX_API void sbx_json_init(sbx_json_reader *reader, sbx_json_fn fn, void *ctx);

/* Feeds len bytes. SBX_OK: all taken; SBX_PENDING: the callback paused, *used
   bytes are taken, feed the rest later; SBX_E_BAD_JSON, SBX_E_TOO_LARGE (deeper
   than SBX_MAX_JSON_DEPTH), or what the callback returned, with *used the offset
   of the offender: sticky. used may be NULL unless the callback pauses. */
SBX_API int sbx_json_feed(sbx_json_reader *reader, const char *data, size_t len,
    size_t *used);

/* At the end of input: SBX_OK if it was exactly one complete value. */
SBX_API int sbx_json_end(sbx_json_reader *reader);

/* A writer into a sink's put(), one call a piece; commas, quotes and escapes
   are its work. The first error sticks in `status` and stops all output.
   Invalid UTF-8 in strings is SBX_E_ARG. */
typedef struct sbx_json_writer {
    sbx_sink sink;
    int status;
    uint8_t comma_, after_key_;
} sbx_json_writer;

SBX_API void sbx_json_writer_init(sbx_json_writer *w, sbx_sink sink);
SBX_API void sbx_json_begin_object(sbx_json_writer *w);
SBX_API void sbx_json_end_object(sbx_json_writer *w);
SBX_API void sbx_json_begin_array(sbx_json_writer *w);
SBX_API void sbx_json_end_array(sbx_json_writer *w);
SBX_API void sbx_json_key(sbx_json_writer *w, const char *key);
SBX_API void sbx_json_string(sbx_json_writer *w, const char *text, size_t len);
SBX_API void sbx_json_text(sbx_json_writer *w, const char *text); /* NUL-terminated */
SBX_API void sbx_json_int(sbx_json_writer *w, int64_t value);
SBX_API void sbx_json_bool(sbx_json_writer *w, bool value);
SBX_API void sbx_json_null(sbx_json_writer *w);
SBX_API void sbx_json_base64(sbx_json_writer *w, const void *data, size_t len);
SBX_API void sbx_json_raw(sbx_json_writer *w, const char *json, size_t len);

/* ---- 14. HTTP responses ----------------------------------------------------

   A push reader of one HTTP/1.x response: head, header lines, body with its
   framing removed. Strict: what a proxy could read otherwise (two lengths,
   length with chunks, bare LF, folded lines, odd chunk sizes) is an error. */
typedef struct sbx_http_head {
    int status;             /* 200..., 1xx are passed over */
    int minor;              /* HTTP/1.minor */
    int64_t length;         /* of the body; -1: chunked or until close */
    bool chunked;
    bool keep_alive;        /* the connection may be used again afterwards */
    bool gzip;              /* Content-Encoding: gzip; others are refused */
} sbx_http_head;

typedef struct sbx_http_events {
    /* All may be NULL. A negative return stops with it. Header names come in
       lower case; cut lines are flagged. head() comes after all header lines. */
    int (*header)(void *ctx, const char *name, const char *value, bool cut);
    int (*head)(void *ctx, const sbx_http_head *head);
    /* SBX_OK: took all; SBX_E_AGAIN: took *used, pause. */
    int (*body)(void *ctx, const char *data, size_t len, size_t *used);
} sbx_http_events;

typedef struct sbx_http_reader {
    const sbx_http_events *events_;
    void *ctx_;
    char *line_;            /* caller's, SBX_MAX_LINE bytes */
    size_t line_cap_, line_len_;
    int64_t left_;          /* of the body or chunk */
    uint32_t head_bytes_;
    uint16_t headers_;
    uint8_t state_, interims_, flags_, seen_;
    int status_;            /* sticky */
    sbx_http_head head_;
} sbx_http_reader;

/* line[0..cap) is scratch for header lines until the response is complete.
   to_head: the request was HEAD, so no body follows. */
SBX_API void sbx_http_init(sbx_http_reader *reader, char *line, size_t cap,
    bool to_head, const sbx_http_events *events, void *ctx);

/* SBX_OK: the response is complete, *used says where (bytes after it belong to
   the next one); SBX_PENDING: all taken, more is needed; SBX_E_AGAIN: body()
   paused, *used bytes are taken; SBX_E_PROTOCOL, SBX_E_TOO_LARGE, or what a
   callback returned: sticky. */
SBX_API int sbx_http_feed(sbx_http_reader *reader, const char *data, size_t len,
    size_t *used);

/* The peer closed: SBX_OK if that completes the response, else SBX_E_NETWORK. */
SBX_API int sbx_http_end(sbx_http_reader *reader);

/* ---- 15. Small codecs ------------------------------------------------------ */

/* Standard base64 with padding. out needs SBX_BASE64_LEN(len) bytes; returns
   the length written, no NUL. */
#define SBX_BASE64_LEN(len) (((len) + 2) / 3 * 4)
SBX_API size_t sbx_base64_encode(char *out, const void *data, size_t len);

/* Streaming decoder, starts zeroed: any split of the text; padding optional,
   URL-safe letters accepted, white space not. out needs len / 4 * 3 + 3 bytes
   and may be the text itself. */
typedef struct sbx_base64 { uint32_t bits_; uint8_t count_, ended_; } sbx_base64;
SBX_API int sbx_base64_decode(sbx_base64 *state, const char *text, size_t len,
    void *out, size_t *out_len);    /* SBX_E_PROTOCOL: not base64 */
SBX_API int sbx_base64_end(sbx_base64 *state); /* SBX_E_PROTOCOL: cut short */

typedef struct sbx_sha256 { uint32_t h_[8]; uint64_t len_; uint8_t buf_[64]; } sbx_sha256;
SBX_API void sbx_sha256_init(sbx_sha256 *s);
SBX_API void sbx_sha256_add(sbx_sha256 *s, const void *data, size_t len);
SBX_API void sbx_sha256_end(sbx_sha256 *s, unsigned char out[32]);

/* ---- 16. Any other route ---------------------------------------------------

   What the service offers beyond the functions above, by name: volumes, secrets,
   code contexts, logs ... sbx_invoke_route() lists the names. json_args is one JSON
   object (NULL: {}). Its members go where the route's path says: {name} stands for
   the member in the path; members named behind the ? go into the query, in the order
   given; one named behind the # is a bearer token, instead of the API key. All
   others are the JSON body, in the order given and as they are; where there is none
   they are refused. Texts, numbers and booleans can stand in path and query, null is
   no argument. A route with content takes "content" (text) or "contentBase64".

   The reply's body goes to `to` as it comes, when the service agreed. SBX_E_ARG
   names the argument that is missing or unknown; SBX_E_UNSUPPORTED: no such route.
   A list is one page; a token of the next that comes in a header is not told.

     sbx_invoke(client, "volumes.create", "{\"name\":\"data\"}", sink, NULL); */
SBX_API int sbx_invoke(sbx_client *client, const char *route, const char *json_args,
    sbx_sink to, const sbx_call *call);

/* For a route into a sandbox, or about one: sandboxID is that of the handle, and
   what the handle knows needs no asking. With sbx_invoke() such a route takes the
   argument "sandboxID" and asks for the credentials first. */
SBX_API int sbx_sandbox_invoke(sbx_sandbox *sandbox, const char *route,
    const char *json_args, sbx_sink to, const sbx_call *call);

typedef struct sbx_route {
    const char *name, *method;
    const char *path;       /* with the places of the arguments */
    bool in_sandbox;        /* it leads into a sandbox */
    bool body, content;     /* other arguments are its JSON body; it takes content */
} sbx_route;

/* The i-th route of the client's provider, from 0; SBX_E_NOT_FOUND past the last. */
SBX_API int sbx_invoke_route(const sbx_client *client, size_t i, sbx_route *out);

#ifdef __cplusplus
}
#endif
#endif /* SANDBOX_H */
/* ---- 17. Running code ------------------------------------------------------

   A sandbox with a code interpreter (E2B: of the template code-interpreter-v1) runs
   pieces of code one after the other in a context, which keeps its variables, as a
   notebook does. Contexts are made, listed, restarted and deleted by the routes
   contexts.* of sbx_sandbox_invoke(). */
#ifndef SANDBOX_CODE_H
#define SANDBOX_CODE_H

#ifndef SBX_NO_RUN_CODE

#ifdef __cplusplus
extern "C" {
#endif

/* What a piece of a result is of. Texts are UTF-8; PNG, JPEG and PDF are the decoded
   files; JSON, DATA, CHART and EXTRA are JSON as it came. */
typedef enum sbx_code_format {
    SBX_CODE_END,           /* the result is complete */
    SBX_CODE_TEXT, SBX_CODE_HTML, SBX_CODE_MARKDOWN, SBX_CODE_SVG, SBX_CODE_LATEX,
    SBX_CODE_JAVASCRIPT, SBX_CODE_PNG, SBX_CODE_JPEG, SBX_CODE_PDF, SBX_CODE_JSON,
    SBX_CODE_DATA, SBX_CODE_CHART, SBX_CODE_EXTRA
} sbx_code_format;

/* A result comes in one or several formats, each in one or several pieces behind each
   other, then END. A format that is absent, null or an empty text has no piece. */
typedef struct sbx_code_piece {
    sbx_code_format format;
    uint32_t result;        /* counts the results of a call, from 0 */
    bool main_result;       /* with END: the value of the code's last line, not what it
                               displayed before */
    const void *data;
    size_t len;
} sbx_code_piece;

/* As put() of a sink: SBX_OK: taken; SBX_E_AGAIN: nothing was, the piece comes again
   after sbx_op_wake() (END cannot wait: SBX_E_ARG); else the call ends with it. */
typedef int (*sbx_code_each)(void *ctx, const sbx_code_piece *piece);

typedef struct sbx_run_code_options {
    const char *language;   /* "python", "javascript", ...; NULL: the context's, or the
                               default one */
    const char *context_id; /* NULL: the default context of the language; not with
                               language */
    sbx_pairs envs;         /* of this code alone */
    int32_t timeout_ms;     /* how long the code may be silent, 0: the provider's (E2B
                               300,000), SBX_NEVER: for ever; then SBX_E_TIMEOUT, while
                               the code runs on. call->timeout_ms bounds all of it */
    sbx_sink out, err;      /* output as it comes */
    sbx_code_each each;     /* results as they come, NULL: none are wanted */
    void *each_ctx;
    size_t capture_limit;   /* > 0: up to so many bytes of out and err, where no sink is
                               set, and of the traceback are kept in the result */
} sbx_run_code_options;

typedef struct sbx_run_code_result {
    int32_t execution_count; /* of the context, 0: not told */
    uint32_t results;       /* how many there were */
    bool failed;            /* the code ended with an error: */
    char error_name[64];    /* "NameError"; cut if longer, as is */
    char error_value[256];
    char *out, *err, *traceback; /* captured, NUL-terminated, yours: sbx_free(); NULL
                               unless capture_limit was set */
    size_t out_len, err_len, traceback_len;
    uint64_t out_cut, err_cut, traceback_cut; /* bytes that did not fit */
} sbx_run_code_result;

/* Runs code and waits for its end. Code that fails is SBX_OK with result->failed, as
   a command with an exit code is. result may be NULL. It is never sent twice. Special
   errors: SBX_E_NOT_FOUND: no such context; SBX_E_SANDBOX_GONE; SBX_E_NO_END: the
   stream ended before the code did, which may run on; SBX_E_UNSUPPORTED_HOST. */
SBX_API int sbx_run_code(sbx_sandbox *sandbox, const char *code,
    const sbx_run_code_options *options, sbx_run_code_result *result,
    const sbx_call *call);

#ifdef __cplusplus
}
#endif

#endif /* SBX_NO_RUN_CODE */
#endif /* SANDBOX_CODE_H */
/* The second part of the public half: what template builds need. All of it goes with
   SBX_NO_TEMPLATE. */

#ifndef SANDBOX_TEMPLATE_H
#define SANDBOX_TEMPLATE_H

#ifndef SBX_NO_TEMPLATE

#ifdef __cplusplus
extern "C" {
#endif

#ifndef SBX_MAX_PATH        /* a path in a build context with its NUL, 512 to 32,000 */
#define SBX_MAX_PATH        SBX_LIMIT_(4096, 512)
#endif

/* ---- 18. Files of a build ---------------------------------------------------

   Where they come from: a read-only tree of files, be it a directory of the host
   system, an array in memory, or functions of your own, so that a device without
   files can build too. Paths are relative to the root, bytes with / between, without
   . or ..; "" is the root. Nothing is kept of a tree but where one stands in it. */
typedef struct sbx_tree_entry {
    sbx_file_type type;     /* SBX_FILE_UNKNOWN: neither file, directory nor link */
    uint32_t mode;          /* permission bits, 07777 */
    int64_t size;           /* bytes of a file's content, of a link's target */
    int64_t modified_unix_s;
} sbx_tree_entry;

/* Every function gets `ctx` and returns SBX_OK or an SBX_E_*; SBX_E_NOT_FOUND where
   there is no such thing. One file is open at a time. A file that is not what it was
   said to be, or differs between two passes, ends a build with SBX_E_CHANGED; answers
   that make no sense (a name that is none or out of order, more bytes than there was
   room for) are SBX_E_SOURCE. They may cancel the build, not use its template. */
typedef struct sbx_tree {
    /* The name in directory `dir` that comes next behind `after` by its bytes ("":
       the first one), NUL-terminated; `after` need not be there itself.
       SBX_E_NOT_FOUND: there is none. `cap` is 256 or more. */
    int (*next)(void *ctx, const char *dir, const char *after, char *name, size_t cap);
    /* follow: of what a link leads to. */
    int (*stat)(void *ctx, const char *path, bool follow, sbx_tree_entry *out);
    /* The target of a link, NUL-terminated. NULL: there are no links. */
    int (*link)(void *ctx, const char *path, char *target, size_t cap);
    /* The content of a file, links followed, from its beginning to *got 0. While a
       build hashes or packs it, read() may answer SBX_E_AGAIN and is asked again 10 ms
       later; a Dockerfile or .dockerignore must be there at once: SBX_E_SOURCE. */
    int (*open)(void *ctx, const char *path, void **file);
    int (*read)(void *ctx, void *file, void *buf, size_t cap, size_t *got);
    void (*close)(void *ctx, void *file);
    void *ctx;
} sbx_tree;

/* A file in memory, or one that is made while it is read. */
typedef struct sbx_tree_file {
    const char *path;       /* "src/main.c"; with a / at its end: a directory. Those
                               above a file are there without being named */
    const void *data;       /* its content */
    size_t len;
    const char *link;       /* not NULL: a link to this target instead */
    const sbx_source *from; /* not NULL: its content, instead of data; its size must be
                               known, and it must rewind */
    uint32_t mode;          /* 0: 0644, of directories 0755, of links 0777 */
    int64_t modified_unix_s;
} sbx_tree_file;

typedef struct sbx_memory_tree {
    const sbx_tree_file *files; /* in any order; yours, as all they point at */
    size_t count;
    size_t open_, at_;
    char path_[256];            /* one that leads through links */
} sbx_memory_tree;

/* files and count are set; the rest is zero. Links are followed for up to 8 steps
   and 255 bytes. */
SBX_API sbx_tree sbx_tree_memory(sbx_memory_tree *state);

#ifndef SBX_NO_POSIX
#define SBX_TREE_WINDOW_ (2 * SBX_MAX_PATH)
typedef struct sbx_dir_tree {
    const char *root;       /* the directory, yours */
    char path_[SBX_MAX_PATH];
    struct { uint16_t end_; bool whole_; char text_[SBX_TREE_WINDOW_]; } window_[4];
} sbx_dir_tree;

/* A directory of the host system; root is set, the rest is zero. A directory is read
   again for every few hundred names, so one with very many takes its time, not
   memory. */
SBX_API sbx_tree sbx_tree_dir(sbx_dir_tree *state);
#endif

#ifdef __cplusplus
}
#endif
#endif /* SBX_NO_TEMPLATE */
#endif /* SANDBOX_TEMPLATE_H */
#if !defined(SBX_NO_TEMPLATE) && !defined(SBX_BUILD_H)
#define SBX_BUILD_H

#ifdef __cplusplus
extern "C" {
#endif

/* ---- 19. Templates -----------------------------------------------------------

   What a sandbox is made from: a base, steps that were run on it, and maybe a server
   that is started with each sandbox. A builder gathers the steps; nothing is sent
   before it is built.

     sbx_template *t = sbx_template_new(client);
     sbx_template_from(t, SBX_IMAGE_PYTHON, "3.12");
     sbx_template_copy(t, "app", "/srv/app", NULL);
     sbx_template_run(t, "pip install -r /srv/app/requirements.txt", NULL);
     sbx_template_start(t, "python /srv/app/main.py", &ready);
     rc = sbx_template_build(t, &options, &info, NULL);
     sbx_template_release(t);

   The first error sticks: what follows it changes nothing, and building returns it.
   So only the last call needs a look. All take a NULL template, which is
   SBX_E_NOMEM. Texts are UTF-8, which is checked, and copied. While a build of it
   runs, or one of its functions calls back, a template can be neither changed nor
   asked nor built once more: SBX_E_REENTRANT, which does not stick. */
typedef struct sbx_template sbx_template;

#ifndef SBX_MAX_STEPS       /* steps of one template; "all" */
#define SBX_MAX_STEPS       SBX_LIMIT_(1000, 100)
#endif

/* NULL: client is NULL, or out of memory, which sbx_client_error() says then. Release
   it before its client is closed. */
SBX_API sbx_template *sbx_template_new(sbx_client *client);
/* NULL is ignored. A build that runs goes on and frees it at its end; so does a function
   of it from whose callback it is released. */
SBX_API void sbx_template_release(sbx_template *t);

/* The first error, with the place and reason in its message: "step 3 (copy): ...",
   for a Dockerfile "line 7: COPY: ...". Never NULL; status SBX_OK: none so far. */
SBX_API const sbx_error *sbx_template_error(const sbx_template *t);

/* Known images: what tag stands behind them is the provider's, version NULL its
   default (E2B: python 3, node lts, debian stable, fedora 44, alpine 3.24, else
   latest). BASE takes no version; E2B: e2bdev/base, also if nothing is said. */
typedef enum sbx_image { SBX_IMAGE_BASE, SBX_IMAGE_PYTHON, SBX_IMAGE_NODE, SBX_IMAGE_BUN,
    SBX_IMAGE_UBUNTU, SBX_IMAGE_DEBIAN, SBX_IMAGE_FEDORA, SBX_IMAGE_ALPINE,
    SBX_IMAGE_ARCH } sbx_image;
SBX_API int sbx_template_from(sbx_template *t, sbx_image image, const char *version);

/* Who may pull the image: one of the three. All are secrets. */
typedef struct sbx_registry {
    const char *username, *password;
    const char *aws_access_key_id, *aws_secret_access_key, *aws_region;
    const char *gcp_service_account_json;
} sbx_registry;

/* Any image; registry may be NULL. The last base named counts. */
SBX_API int sbx_template_from_image(sbx_template *t, const char *image,
    const sbx_registry *registry);
/* Another template, name or name:tag. */
SBX_API int sbx_template_from_template(sbx_template *t, const char *name);

/* Options of a step; each names those that it heeds. NULL: none. */
typedef struct sbx_step_options {
    const char *user;       /* run, copy: who runs it, whose the files are (user or
                               user:group); NULL: the template's user at that step */
    int32_t mode;           /* copy, make_dir: permissions, 0: unchanged, default */
    sbx_choice recursive;   /* remove */
    sbx_choice force;       /* remove, rename, make_symlink */
    sbx_choice resolve_symlinks; /* copy: YES sends what links point to */
    sbx_choice force_upload; /* copy: YES sends it also if the service has it */
    sbx_choice global;      /* pip (default YES), npm, bun (default NO) */
    sbx_choice dev;         /* npm, bun: development dependencies */
    sbx_choice no_recommends; /* apt */
    sbx_choice fix_missing; /* apt */
    const char *branch;     /* git_clone; NULL: the default one */
    int32_t depth;          /* git_clone: commits, 0: all */
} sbx_step_options;

/* Where relative sources of copy come from, and what of it is left out: patterns in
   the provider's own form (E2B: .dockerignore), behind those of the tree's own
   ignore file; of 511 bytes each, 64 KiB (SBX_SMALL: 8) in all. The tree is copied,
   what it points at must outlive the template. Without one a template that copies
   cannot be built. */
SBX_API int sbx_template_context(sbx_template *t, const sbx_tree *tree,
    const sbx_strings *ignore);

/* Files of the context: src is a path in it, or a pattern (* ? [] **), of at most 511
   bytes; a directory comes with all below it. Heeds user, mode, resolve_symlinks,
   force_upload. */
SBX_API int sbx_template_copy(sbx_template *t, const char *src, const char *dest,
    const sbx_step_options *options);
/* The same for some sources, a step each. */
SBX_API int sbx_template_copy_all(sbx_template *t, sbx_strings sources, const char *dest,
    const sbx_step_options *options);

/* Paths in the template; texts are quoted for the shell. */
SBX_API int sbx_template_remove(sbx_template *t, sbx_strings paths,
    const sbx_step_options *options);
SBX_API int sbx_template_rename(sbx_template *t, const char *from, const char *to,
    const sbx_step_options *options);
SBX_API int sbx_template_make_dir(sbx_template *t, sbx_strings paths,
    const sbx_step_options *options);
SBX_API int sbx_template_make_symlink(sbx_template *t, const char *target, const char *path,
    const sbx_step_options *options);

/* A command of the shell; several, each only if the one before it did well; and one
   by its words, which are quoted. Heed user. */
SBX_API int sbx_template_run(sbx_template *t, const char *command,
    const sbx_step_options *options);
SBX_API int sbx_template_run_all(sbx_template *t, sbx_strings commands,
    const sbx_step_options *options);
SBX_API int sbx_template_run_words(sbx_template *t, sbx_strings words,
    const sbx_step_options *options);

/* For the steps that follow, and the sandboxes. */
SBX_API int sbx_template_workdir(sbx_template *t, const char *path);
SBX_API int sbx_template_user(sbx_template *t, const char *user);
SBX_API int sbx_template_envs(sbx_template *t, sbx_pairs envs);

/* Packages, as the tool names them: not quoted, so that "a>=1" is refused here but
   "'a>=1'" is not. None: what the project in the present directory wants (not APT).
   APT heeds no_recommends and fix_missing, PIP global, NPM and BUN global and dev. */
typedef enum sbx_installer { SBX_INSTALL_APT, SBX_INSTALL_PIP, SBX_INSTALL_NPM,
    SBX_INSTALL_BUN } sbx_installer;
SBX_API int sbx_template_install(sbx_template *t, sbx_installer with, sbx_strings packages,
    const sbx_step_options *options);

/* path NULL: as git names it. Heeds user, branch, depth. */
SBX_API int sbx_template_git_clone(sbx_template *t, const char *url, const char *path,
    const sbx_step_options *options);
/* Servers of the MCP gateway (E2B); only on from_template("mcp-gateway"). */
SBX_API int sbx_template_mcp_servers(sbx_template *t, sbx_strings names);
/* A dev container of the directory (E2B), only on from_template("devcontainer"):
   built now, and with start YES what each sandbox starts. */
SBX_API int sbx_template_dev_container(sbx_template *t, const char *directory,
    sbx_choice start);

/* When a template, or a server in it, is ready. */
typedef enum sbx_readiness_kind { SBX_READY_COMMAND, SBX_READY_PORT, SBX_READY_URL,
    SBX_READY_PROCESS, SBX_READY_FILE, SBX_READY_TIMEOUT } sbx_readiness_kind;
typedef struct sbx_readiness {
    sbx_readiness_kind kind;
    const char *text;       /* the command (well when it ends with 0), URL, process or
                               file name */
    uint16_t port;
    int32_t http_status;    /* URL: what it must answer, 0: 200 */
    int32_t timeout_ms;     /* TIMEOUT: this long, whole seconds, at least 1,000 */
} sbx_readiness;

/* What each sandbox starts with, and when it is ready (NULL: as was said before, else as
   the provider thinks best). sbx_template_ready() alone is for what the base starts. */
SBX_API int sbx_template_start(sbx_template *t, const char *command, const sbx_readiness *ready);
SBX_API int sbx_template_ready(sbx_template *t, const sbx_readiness *ready);

/* The steps that follow are run anew; before a base, that too. */
SBX_API int sbx_template_skip_cache(sbx_template *t);

/* A Dockerfile instead of steps; its COPY sources are the context's. Converted
   (E2B) line by line: what cannot be is refused with line, instruction and reason;
   what a sandbox has no use for is passed over (EXPOSE, VOLUME, LABEL, MAINTAINER),
   and notice, which may be NULL, hears of what is not heeded. An instruction, and all
   of ENV and ARG, is at most SBX_MAX_REQUEST bytes, --chown SBX_MAX_LINE; a RUN or COPY
   has up to 8 heredocs. */
SBX_API int sbx_template_from_dockerfile(sbx_template *t, const char *text, size_t len,
    void (*notice)(void *ctx, int line, const char *text), void *ctx);

/* The same with a file of the context, which is to be given before; of at most
   SBX_MAX_REQUEST bytes. */
SBX_API int sbx_template_from_dockerfile_in(sbx_template *t, const char *path,
    void (*notice)(void *ctx, int line, const char *text), void *ctx);

/* What a build of it would ask for, as the provider's JSON (credentials are in it); and
   as a Dockerfile, for people. With a context the files are read, for their hashes:
   failures of that are in sbx_client_error(). SBX_E_AGAIN: one of them has nothing
   now, ask later. Dockerfile: SBX_E_UNSUPPORTED if it is made from a template. */
SBX_API int sbx_template_to_json(sbx_template *t, sbx_sink to);
SBX_API int sbx_template_to_dockerfile(sbx_template *t, sbx_sink to);

/* ---- 20. Builds --------------------------------------------------------------- */

typedef enum sbx_build_status { SBX_BUILD_UNKNOWN, SBX_BUILD_WAITING, SBX_BUILD_RUNNING,
    SBX_BUILD_READY, SBX_BUILD_FAILED, SBX_BUILD_CANCELLED } sbx_build_status;

/* A line of a build's log. Borrowed. */
typedef struct sbx_build_log {
    int64_t unix_ms;        /* 0: said by this client */
    const char *level;      /* "debug", "info" (also if not said), "warn", "error" */
    const char *message;    /* without the escapes of terminals */
    const char *step;       /* "base", "1", "2", ..., "finalize"; NULL: of none */
} sbx_build_log;
typedef int (*sbx_build_log_each)(void *ctx, const sbx_build_log *log);

/* A logger that is ready to use: a line each into the sink of ctx. */
typedef struct sbx_build_printer {
    sbx_sink to;
    const char *least;      /* least level shown, NULL: "info" */
    sbx_choice plain;       /* YES: no colours */
} sbx_build_printer;
SBX_API int sbx_build_print(void *printer, const sbx_build_log *log);

typedef struct sbx_build_options {
    const char *name;       /* name or name:tag; needed */
    sbx_strings tags;       /* more tags */
    int32_t cpu_count, memory_mib; /* of the build and the sandboxes, 0: the service's */
    int32_t disk_mib;       /* at least so much free (E2B) */
    sbx_choice skip_cache;  /* YES: everything anew */
    int32_t level;          /* of gzip for the context, 1 to 9; 0: 6, SBX_NEVER: plain tar */
    sbx_build_log_each log; /* lines of the service and of this client; a negative
                               return ends the call (not the build) with it */
    /* Steps known to be done, of all; uploads first, then the build itself. */
    void (*progress)(void *ctx, int32_t done, int32_t all);
    void *ctx;              /* of both */
} sbx_build_options;

typedef struct sbx_build_info {
    const char *template_id, *build_id;
    sbx_build_status status;
    sbx_strings names, aliases, tags; /* of the template, where the reply says them */
    const char *reason, *reason_step; /* why it failed; may be NULL */
} sbx_build_info;

/* Hashes and uploads what the service has not got, builds, and waits for the end.
   *out (may be NULL) is yours: sbx_free(). SBX_E_BUILD: a step failed; error.message
   is the service's reason, error.code its step. Local faults (a missing file, steps
   that make more than SBX_MAX_REQUEST) are found before anything is sent; SBX_E_CHANGED:
   a file did not stay as it was hashed, which is not sent. Without a limit of time
   unless call->timeout_ms is set; the build of the service goes on when the call is
   cancelled, and until it was started nothing of it is left but its id. E2B: wire POST
   /v3/templates, GET
   files/{hash}, PUT, POST /v2/templates/{id}/builds/{id}, GET status. */
SBX_API int sbx_template_build(sbx_template *t, const sbx_build_options *options,
    sbx_build_info **out, const sbx_call *call);
/* The same, but does not wait for the end. */
SBX_API int sbx_template_build_start(sbx_template *t, const sbx_build_options *options,
    sbx_build_info **out, const sbx_call *call);

/* How a build is doing now, with up to 100 lines of its log from the log_offset-th
   on; each may be NULL. */
SBX_API int sbx_build_get_status(sbx_client *client, const char *template_id,
    const char *build_id, int32_t log_offset, sbx_build_log_each each, void *ctx,
    sbx_build_info **out, const sbx_call *call);
/* Waits for the end of a build by id, as sbx_template_build() does; of options only
   log and ctx count. */
SBX_API int sbx_build_wait(sbx_client *client, const char *template_id,
    const char *build_id, const sbx_build_options *options, sbx_build_info **out,
    const sbx_call *call);

/* ---- 21. Templates of the service ---------------------------------------------- */

/* Whether a template of that name exists, also one of somebody else. */
SBX_API int sbx_template_exists(sbx_client *client, const char *name, bool *exists,
    const sbx_call *call);

typedef struct sbx_template_info {
    const char *id, *build_id;
    sbx_strings names, aliases;
    sbx_choice is_public;
    sbx_build_status status;
    int32_t cpu_count, memory_mib, disk_mib;
    int64_t created_unix_ms, updated_unix_ms, used_unix_ms; /* 0: not said */
    int64_t used_count, build_count;
    const char *daemon_version;
} sbx_template_info;
typedef int (*sbx_template_each)(void *ctx, const sbx_template_info *info);
SBX_API int sbx_template_list(sbx_client *client, sbx_template_each each, void *ctx,
    const sbx_call *call);

typedef struct sbx_template_build_item {
    const char *build_id;
    sbx_build_status status;
    int64_t created_unix_ms, updated_unix_ms, finished_unix_ms;
    int32_t cpu_count, memory_mib, disk_mib;
    const char *daemon_version;
} sbx_template_build_item;
typedef int (*sbx_template_build_each)(void *ctx, const sbx_template_build_item *build);
/* Its builds, newest first; pages as in sbx_sandbox_list(). */
SBX_API int sbx_template_builds(sbx_client *client, const char *template_id, sbx_page *page,
    sbx_template_build_each each, void *ctx, const sbx_call *call);

/* *existed (may be NULL): false if there was none. SBX_E_REFUSED: sandboxes use it. */
SBX_API int sbx_template_delete(sbx_client *client, const char *template_id, bool *existed,
    const sbx_call *call);
/* Whether others may use it. */
SBX_API int sbx_template_set_public(sbx_client *client, const char *template_id,
    bool is_public, const sbx_call *call);

typedef struct sbx_template_tag {
    const char *tag, *build_id;
    int64_t created_unix_ms;
} sbx_template_tag;
typedef int (*sbx_template_tag_each)(void *ctx, const sbx_template_tag *tag);
SBX_API int sbx_template_list_tags(sbx_client *client, const char *template_id,
    sbx_template_tag_each each, void *ctx, const sbx_call *call);
/* More tags for the build that target, name or name:tag, stands for. */
SBX_API int sbx_template_add_tags(sbx_client *client, const char *target, sbx_strings tags,
    const sbx_call *call);
SBX_API int sbx_template_remove_tags(sbx_client *client, const char *name, sbx_strings tags,
    const sbx_call *call);

#ifdef __cplusplus
}
#endif
#endif /* SBX_NO_TEMPLATE */

#ifdef SANDBOX_IMPLEMENTATION

/* The manifest (sandbox_impl/sandbox_all.h): the one ordered list of modules. A
   module uses only what stands above it (make layers). The manifest is itself a
   valid header, for debugging with true file names and lines. */

#ifdef __cplusplus
#error "Compile the file with SANDBOX_IMPLEMENTATION as C99; include sandbox.h from C++ elsewhere."
#endif

/* base - the few things every module needs: checked sizes, ASCII, numbers,
   spans, wiping. No locale, no stdio, no errno. Everything here is pure. */

#include <string.h>

/* Where no object can have the 32 KiB that gzip looks back. */
#if SIZE_MAX <= 0xFFFF && !defined(SBX_NO_GZIP)
#define SBX_NO_GZIP
#endif

#define SBXI_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define SBXI_MIN(a, b) ((a) < (b) ? (a) : (b))
#define SBXI_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Marks functions that some switch leaves without a caller. */
#if defined(__GNUC__) || defined(__clang__)
#define SBXI_MAYBE __attribute__((unused))
#else
#define SBXI_MAYBE
#endif

/* Marks functions whose locals must not lie on the stack of what their caller calls
   besides. Where size counts, not depth, compilers may do as they like. */
#if (defined(__GNUC__) || defined(__clang__)) && !defined(__OPTIMIZE_SIZE__)
#define SBXI_APART __attribute__((noinline))
#else
#define SBXI_APART
#endif

typedef struct sbxi_span { const char *ptr; size_t len; } sbxi_span;

static sbxi_span sbxi_span_of(const char *text)
{
    sbxi_span s = { text, text ? strlen(text) : 0 };
    return s;
}

static bool sbxi_is_digit(char c) { return c >= '0' && c <= '9'; }

static bool sbxi_is_alnum(char c)
{
    return sbxi_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char sbxi_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Value of a hex digit, -1 if it is none. */
static int sbxi_hex_value(char c)
{
    if (sbxi_is_digit(c)) return c - '0';
    c = sbxi_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool sbxi_span_is(sbxi_span s, const char *text)
{
    size_t n = strlen(text);
    return s.len == n && memcmp(s.ptr, text, n) == 0;
}

/* ASCII case does not matter; text is in lower case. */
static SBXI_MAYBE bool sbxi_span_is_nocase(sbxi_span s, const char *text)
{
    for (; s.len && *text && sbxi_lower(*s.ptr) == *text; s.ptr++, text++) s.len--;
    return s.len == 0 && *text == 0;
}

/* First place of `needle` in `hay`, or NULL. Bounded by both lengths. */
static SBXI_MAYBE const char *sbxi_find(sbxi_span hay, const char *needle)
{
    size_t n = strlen(needle), i;
    for (i = 0; n <= hay.len && i <= hay.len - n; i++)
        if (memcmp(hay.ptr + i, needle, n) == 0) return hay.ptr + i;
    return NULL;
}

/* out = a + b unless that overflows. */
static bool sbxi_size_add(size_t *out, size_t a, size_t b)
{
    if (b > SIZE_MAX - a) return false;
    *out = a + b;
    return true;
}

/* All of s as a decimal number 0..max, digits only. */
static bool sbxi_parse_u64(sbxi_span s, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    size_t i;
    if (s.len == 0 || s.len > 20) return false;
    for (i = 0; i < s.len; i++) {
        unsigned d = (unsigned)(unsigned char)s.ptr[i] - '0';
        if (d > 9 || v > UINT64_MAX / 10) return false;
        v = v * 10 + d;
        if (v < d) return false;
    }
    *out = v;
    return v <= max;
}

#define SBXI_DECIMAL_MAX 20 /* digits of the largest uint64_t */

/* Decimal digits of v into out (SBXI_DECIMAL_MAX bytes), returns their number.
   Divides by hand: a 64-bit division costs 400 bytes on a small CPU. */
static size_t sbxi_print_u64(char *out, uint64_t v)
{
    uint32_t high = (uint32_t)(v >> 32), low = (uint32_t)v;
    char *p = out + SBXI_DECIMAL_MAX;
    size_t n;
    do {
        uint32_t a = high % 10 << 16 | low >> 16, b = a % 10 << 16 | (low & 0xFFFF);
        high /= 10;
        low = a / 10 << 16 | b / 10;
        *--p = (char)('0' + b % 10);
    } while (high | low);
    n = (size_t)(out + SBXI_DECIMAL_MAX - p);
    memmove(out, p, n);
    return n;
}

/* Hex digits; `| 0x20` makes them small. */
static const char sbxi_hex[] = "0123456789ABCDEF";

/* Two small digits a byte, no NUL. Returns behind them. */
static SBXI_MAYBE char *sbxi_print_hex(char *out, const unsigned char *data, size_t len)
{
    for (; len; len--, data++) {
        *out++ = (char)(sbxi_hex[*data >> 4] | 0x20);
        *out++ = (char)(sbxi_hex[*data & 15] | 0x20);
    }
    return out;
}

/* Overwrites a secret in a way the compiler may not drop. */
static void sbxi_wipe(void *p, size_t n)
{
#if defined(__GNUC__) || defined(__clang__)
    memset(p, 0, n);
    __asm__ __volatile__("" : : "r"(p) : "memory"); /* as if it were read */
#else
    volatile unsigned char *b = (volatile unsigned char *)p;
    while (n--) *b++ = 0;
#endif
}

/* Copies text into a fixed array, cut to fit, NUL-terminated. A cut never
   leaves half a UTF-8 character. Control characters become spaces: these texts
   are shown to people. */
static void sbxi_put_text(char *out, size_t cap, const char *text, size_t len)
{
    size_t i, n = SBXI_MIN(len, cap - 1);
    if (n < len)
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
    for (i = 0; i < n; i++)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7F ? ' ' : text[i];
    out[n] = 0;
}

/* Appends text to a NUL-terminated fixed array, cut to fit. */
static SBXI_MAYBE void sbxi_add_text(char *out, size_t cap, const char *text)
{
    size_t n = strlen(out);
    if (n + 1 < cap) sbxi_put_text(out + n, cap - n, text, strlen(text));
}
/* alloc - calls of the caller's allocator, the malloc default, the allocator
   over one fixed buffer, and blocks that know their own allocator so that
   sbx_free() needs nothing else. */

#ifndef SBX_NO_STDLIB
#include <stdlib.h>

static void *sbxi_std_resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    (void)ctx;
    (void)old_size;
    if (new_size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, new_size);
}
#endif

static void *sbxi_alloc_get(const sbx_alloc *a, size_t size)
{
    void *p = a->resize(a->ctx, NULL, 0, size);
    if (p) memset(p, 0, size);
    return p;
}

static void sbxi_alloc_free(const sbx_alloc *a, void *ptr, size_t size)
{
    if (ptr) a->resize(a->ctx, ptr, size, 0);
}

/* For what held secrets. */
static void sbxi_alloc_wipe(const sbx_alloc *a, void *ptr, size_t size)
{
    if (!ptr) return;
    sbxi_wipe(ptr, size);
    sbxi_alloc_free(a, ptr, size);
}

/* A block handed to the user starts behind this, at a multiple of SBXI_ALIGN. */
typedef struct sbxi_owner { sbx_alloc alloc; size_t size; } sbxi_owner;

typedef union sbxi_owned {
    sbxi_owner of;
    long double align_;
    void *align2_;
    int64_t align3_[(sizeof(sbxi_owner) + 7) / 8]; /* of 4 on x86 with 32 bits */
} sbxi_owned;

SBX_API void sbx_free(void *result)
{
    if (result) {
        sbxi_owned *o = (sbxi_owned *)result - 1;
        sbx_alloc a = o->of.alloc;
        sbxi_alloc_wipe(&a, o, o->of.size);
    }
}

/* ---- one caller buffer -----------------------------------------------------
   The buffer is a row of blocks, each behind a header that gives its length and
   whether it is free; free neighbours are merged when a block is freed. First
   fit. Blocks are few (tens), so walking the row is cheaper than any list. */

typedef union sbxi_cell {
    struct { size_t len; bool used; } of; /* len: with this header */
    long double align_;
    void *align2_;
    int64_t align3_;
} sbxi_cell;

static size_t sbxi_fixed_round(size_t n)
{
    return (n + sizeof(sbxi_cell) - 1) / sizeof(sbxi_cell) * sizeof(sbxi_cell);
}

static sbxi_cell *sbxi_fixed_next(sbxi_cell *c)
{
    return (sbxi_cell *)((unsigned char *)c + c->of.len);
}

static void sbxi_fixed_merge(sbx_fixed *f)
{
    unsigned char *end = f->base_ + f->size_;
    sbxi_cell *c = (sbxi_cell *)f->base_;
    while ((unsigned char *)c < end) {
        sbxi_cell *n = sbxi_fixed_next(c);
        if ((unsigned char *)n < end && !c->of.used && !n->of.used)
            c->of.len += n->of.len;
        else
            c = n;
    }
}

/* Splits c after `need` bytes if the rest can be a block of its own. */
static void sbxi_fixed_split(sbxi_cell *c, size_t need)
{
    if (c->of.len - need >= 2 * sizeof(sbxi_cell)) {
        sbxi_cell *rest = (sbxi_cell *)((unsigned char *)c + need);
        rest->of.len = c->of.len - need;
        rest->of.used = false;
        c->of.len = need;
    }
}

static void sbxi_fixed_note(sbx_fixed *f, sbxi_cell *c)
{
    size_t end = (size_t)((unsigned char *)sbxi_fixed_next(c) - f->base_);
    f->used += c->of.len;
    if (end > f->peak) f->peak = end;
}

static void *sbxi_fixed_get(sbx_fixed *f, size_t size)
{
    unsigned char *end;
    sbxi_cell *c = (sbxi_cell *)f->base_;
    size_t need;
    if (size > f->size_) return NULL;
    end = f->base_ + f->size_;
    need = sbxi_fixed_round(size) + sizeof(sbxi_cell);
    for (; (unsigned char *)c < end; c = sbxi_fixed_next(c)) {
        if (c->of.used || c->of.len < need) continue;
        sbxi_fixed_split(c, need);
        c->of.used = true;
        sbxi_fixed_note(f, c);
        return c + 1;
    }
    return NULL;
}

/* Grows or shrinks where it stands, if the neighbour allows. */
static bool sbxi_fixed_stretch(sbx_fixed *f, sbxi_cell *c, size_t need)
{
    unsigned char *end = f->base_ + f->size_;
    sbxi_cell *n = sbxi_fixed_next(c);
    size_t before = c->of.len;
    if (c->of.len < need) {
        if ((unsigned char *)n >= end || n->of.used || c->of.len + n->of.len < need)
            return false;
        c->of.len += n->of.len;
    }
    sbxi_fixed_split(c, need);
    f->used -= before;
    sbxi_fixed_note(f, c);
    sbxi_fixed_merge(f);
    return true;
}

static void sbxi_fixed_free(sbx_fixed *f, void *ptr)
{
    sbxi_cell *c = (sbxi_cell *)ptr - 1;
    f->used -= c->of.len;
    c->of.used = false;
    sbxi_fixed_merge(f);
}

static void *sbxi_fixed_resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    sbx_fixed *f = (sbx_fixed *)ctx;
    void *moved = NULL;
    if (!ptr) return new_size ? sbxi_fixed_get(f, new_size) : NULL;
    if (new_size > f->size_) return NULL;
    if (new_size) {
        if (sbxi_fixed_stretch(f, (sbxi_cell *)ptr - 1,
            sbxi_fixed_round(new_size) + sizeof(sbxi_cell))) return ptr;
        moved = sbxi_fixed_get(f, new_size);
        if (!moved) return NULL;
        memcpy(moved, ptr, SBXI_MIN(old_size, new_size));
    }
    sbxi_fixed_free(f, ptr);
    return moved;
}

SBX_API sbx_alloc sbx_alloc_fixed(sbx_fixed *state, void *memory, size_t size)
{
    sbx_alloc a;
    size_t skew = (size_t)((uintptr_t)memory % sizeof(sbxi_cell));
    size_t skip = skew ? sizeof(sbxi_cell) - skew : 0;
    memset(state, 0, sizeof *state);
    if (size >= skip + 2 * sizeof(sbxi_cell)) {
        sbxi_cell *c = (sbxi_cell *)((unsigned char *)memory + skip);
        state->base_ = (unsigned char *)c;
        state->size_ = (size - skip) / sizeof(sbxi_cell) * sizeof(sbxi_cell);
        c->of.len = state->size_;
        c->of.used = false;
    }
    a.resize = sbxi_fixed_resize;
    a.ctx = state;
    return a;
}
/* buf - a byte buffer that grows by the caller's allocator up to a hard limit.
   Invariant: len <= cap <= max. After a failed append nothing has changed, and
   `status` keeps the first failure, so a row of appends needs one check. */

typedef struct sbxi_buf {
    char *data;
    size_t len, cap, max;
    const sbx_alloc *alloc;
    int status;
} sbxi_buf;

static void sbxi_buf_init(sbxi_buf *b, const sbx_alloc *alloc, size_t max)
{
    memset(b, 0, sizeof *b);
    b->alloc = alloc;
    b->max = max;
}

/* Room for n more bytes: SBX_OK, SBX_E_NOMEM, or SBX_E_TOO_LARGE. */
static int sbxi_buf_reserve(sbxi_buf *b, size_t n)
{
    size_t need, cap;
    char *p;
    if (b->status) return b->status;
    if (!sbxi_size_add(&need, b->len, n) || need > b->max)
        return b->status = SBX_E_TOO_LARGE;
    if (need <= b->cap) return SBX_OK;
    cap = b->cap ? b->cap : SBXI_MIN(b->max, 64);
    while (cap < need) cap = cap > b->max / 2 ? b->max : cap * 2;
    p = (char *)b->alloc->resize(b->alloc->ctx, b->data, b->cap, cap);
    if (!p && cap > need) { /* tight heap: take exactly what is needed */
        cap = need;
        p = (char *)b->alloc->resize(b->alloc->ctx, b->data, b->cap, cap);
    }
    if (!p) return b->status = SBX_E_NOMEM;
    b->data = p;
    b->cap = cap;
    return SBX_OK;
}

static int sbxi_buf_add(sbxi_buf *b, const void *data, size_t n)
{
    int rc = sbxi_buf_reserve(b, n);
    if (rc == SBX_OK && n) {
        memcpy(b->data + b->len, data, n);
        b->len += n;
    }
    return rc;
}

static int sbxi_buf_text(sbxi_buf *b, const char *text)
{
    return sbxi_buf_add(b, text, strlen(text));
}

static SBXI_MAYBE int sbxi_buf_u64(sbxi_buf *b, uint64_t v)
{
    char digits[SBXI_DECIMAL_MAX];
    return sbxi_buf_add(b, digits, sbxi_print_u64(digits, v));
}

#define SBXI_ALIGN sizeof(union { int64_t i; void *p; })
#define SBXI_ALIGNED(at) (((at) + SBXI_ALIGN - 1) & ~(SBXI_ALIGN - 1))
typedef char sbxi_owned_fits[sizeof(sbxi_owned) % SBXI_ALIGN == 0 ? 1 : -1];

/* n zeroed bytes, aligned for any struct of ours; *at gets their offset. */
static SBXI_MAYBE int sbxi_buf_room(sbxi_buf *b, size_t n, size_t *at)
{
    size_t pad = SBXI_ALIGNED(b->len) - b->len;
    int rc = n > b->max ? b->status = SBX_E_TOO_LARGE : sbxi_buf_reserve(b, n + pad);
    if (rc == SBX_OK) {
        memset(b->data + b->len, 0, n + pad);
        *at = b->len + pad;
        b->len = *at + n;
    }
    return rc;
}

/* As an sbx_sink of the JSON writer. */
static int sbxi_buf_put(void *ctx, const void *data, size_t len)
{
    return sbxi_buf_add((sbxi_buf *)ctx, data, len);
}

/* Gives back what it does not use, if the allocator can. */
static SBXI_MAYBE void sbxi_buf_trim(sbxi_buf *b)
{
    char *p = b->len ? (char *)b->alloc->resize(b->alloc->ctx, b->data, b->cap, b->len) : NULL;
    if (!p) return;
    b->data = p;
    b->cap = b->len;
}

/* Empties it but keeps its memory. */
static SBXI_MAYBE void sbxi_buf_clear(sbxi_buf *b)
{
    b->len = 0;
    b->status = SBX_OK;
}

/* Frees and wipes: requests hold keys, results hold tokens. */
static void sbxi_buf_free(sbxi_buf *b)
{
    sbxi_alloc_wipe(b->alloc, b->data, b->cap);
    b->data = NULL;
    b->len = b->cap = 0;
    b->status = SBX_OK;
}
/* error - texts of the statuses, and filling sbx_error. */

/* A message for people; SBX_NO_ERROR_TEXT leaves them all out. What checks templates
   answers with the message itself, so there it is empty instead of none. */
#ifndef SBX_NO_ERROR_TEXT
#define SBXI_TEXT(text) text
#elif defined(SBX_NO_TEMPLATE)
#define SBXI_TEXT(text) NULL
#else
#define SBXI_TEXT(text) ""
#endif

/* The statuses count down from -1 without a gap, so a row is found by index. */
#ifndef SBX_NO_ERROR_TEXT
typedef struct sbxi_status_text { const char *name, *text; } sbxi_status_text;

static const sbxi_status_text *sbxi_status_find(int status)
{
    static const sbxi_status_text texts[] = {
        { "SBX_PENDING", "still running: call sbx_poll()" }, { "SBX_OK", "success" },
#define SBXI_ROW(name, value, text) { "SBX_E_" #name, text },
        SBX_STATUSES(SBXI_ROW)
#undef SBXI_ROW
        { "SBX_E_?", "unknown status" }
    };
    size_t i = status > SBX_PENDING ? SBXI_LEN(texts) : (size_t)(SBX_PENDING - status);
    return &texts[SBXI_MIN(i, SBXI_LEN(texts) - 1)];
}

SBX_API const char *sbx_strerror(int status) { return sbxi_status_find(status)->text; }
SBX_API const char *sbx_status_name(int status) { return sbxi_status_find(status)->name; }
#else
SBX_API const char *sbx_strerror(int status) { (void)status; return ""; }
SBX_API const char *sbx_status_name(int status) { (void)status; return ""; }
#endif
SBX_API const char *sbx_version(void) { return SBX_VERSION; }

static void sbxi_error_clear(sbx_error *e)
{
    memset(e, 0, sizeof *e);
    e->retry_after_ms = -1;
}

/* "what: text" as the message, of a long `what` the end. Returns the status. */
static SBXI_MAYBE int sbxi_error_at(sbx_error *e, int status, sbxi_span what,
    const char *text)
{
    size_t cut = what.len > 120 ? what.len - 120 : 0;
    e->status = status;
    sbxi_put_text(e->message, sizeof e->message, what.ptr + cut, what.len - cut);
    sbxi_add_text(e->message, sizeof e->message, ": ");
    sbxi_add_text(e->message, sizeof e->message, text ? text : sbx_strerror(status));
    return status;
}

/* Sets the status and, if there is none yet, the message. Returns status. */
static int sbxi_error_set(sbx_error *e, int status, const char *message)
{
    e->status = status;
    if (!e->message[0]) {
        if (!message) message = sbx_strerror(status);
        sbxi_put_text(e->message, sizeof e->message, message, strlen(message));
    }
    return status;
}

/* codec/base64 - both ways (public: section 15). Used by the JSON writer, by the
   binder's streamed members and by programs. Bytes come out as soon as they are
   known, so the decoder keeps at most 6 bits and may write over its own input. */

static const char sbxi_base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

SBX_API size_t sbx_base64_encode(char *out, const void *data, size_t len)
{
    const unsigned char *in = (const unsigned char *)data;
    char *o = out;
    while (len > 0) {
        size_t n = SBXI_MIN(len, 3), i;
        uint32_t v = (uint32_t)in[0] << 16;
        if (n > 1) v |= (uint32_t)in[1] << 8;
        if (n > 2) v |= in[2];
        for (i = 0; i < 4; i++, v <<= 6)
            *o++ = i <= n ? sbxi_base64_letters[v >> 18 & 63] : '=';
        in += n;
        len -= n;
    }
    return (size_t)(o - out);
}

/* Basic credentials into a header line that was begun, and its end. */
static SBXI_MAYBE void sbxi_basic(sbxi_buf *b, const char *user, size_t len)
{
    sbxi_buf_text(b, "Basic ");
    if (sbxi_buf_reserve(b, SBX_BASE64_LEN(len)) != SBX_OK) return;
    b->len += sbx_base64_encode(b->data + b->len, user, len);
    sbxi_buf_text(b, "\r\n");
}

/* Value of a letter, 64 if it is none. */
static unsigned sbxi_base64_value(unsigned char c)
{
    if (c >= 'a' && c <= 'z') return (unsigned)(c - 'a') + 26;
    if (c >= 'A' && c <= 'Z') return (unsigned)(c - 'A');
    if (c >= '0' && c <= '9') return (unsigned)(c - '0') + 52;
    if (c == '+' || c == '-') return 62;
    return c == '/' || c == '_' ? 63 : 64;
}

#if !defined(SBX_NO_SWAR) && defined(__x86_64__) && defined(__GNUC__) && __GNUC__ >= 4
#define SBXI_BASE64_WIDE 1
typedef char sbxi_c16 __attribute__((vector_size(16)));
typedef short sbxi_h8 __attribute__((vector_size(16)));
typedef int sbxi_i4 __attribute__((vector_size(16)));

/* Blocks of 16 letters of the standard alphabet, for CPUs that shuffle bytes. The
   high half of a letter says what to add to it; two tables by its halves have a bit
   in common where it is none. It may write 4 bytes more than it makes, which the
   24 letters that are still to come always make. */
__attribute__((target("ssse3")))
static size_t sbxi_base64_blocks(const unsigned char *in, size_t len, unsigned char **out)
{
    static const sbxi_c16 low_bad = { 0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
        0x11, 0x13, 0x1A, 0x1B, 0x1B, 0x1B, 0x1A };
    static const sbxi_c16 high_bad = { 0x10, 0x10, 1, 2, 4, 8, 4, 8, 0x10, 0x10, 0x10, 0x10, 0x10,
        0x10, 0x10, 0x10 };
    static const sbxi_c16 shift = { 0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0 };
    static const sbxi_c16 pair = { 64, 1, 64, 1, 64, 1, 64, 1, 64, 1, 64, 1, 64, 1, 64, 1 };
    static const sbxi_h8 four = { 4096, 1, 4096, 1, 4096, 1, 4096, 1 };
    static const sbxi_c16 order = { 2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1 };
    unsigned char *o = *out;
    size_t i;
    for (i = 0; len - i >= 24; i += 16, o += 12) {
        sbxi_c16 v, low, high, bad;
        memcpy(&v, in + i, 16);
        high = (sbxi_c16)((sbxi_i4)v >> 4) & 15;
        low = v & 15;
        bad = __builtin_ia32_pshufb128(low_bad, low) & __builtin_ia32_pshufb128(high_bad, high);
        if (__builtin_ia32_pmovmskb128((sbxi_c16)(bad != 0))) break;
        v += __builtin_ia32_pshufb128(shift, high + (sbxi_c16)(v == '/'));
        v = (sbxi_c16)__builtin_ia32_pmaddwd128(__builtin_ia32_pmaddubsw128(v, pair), four);
        v = __builtin_ia32_pshufb128(v, order);
        memcpy(o, &v, 16);
    }
    *out = o;
    return i;
}
#else
#define SBXI_BASE64_WIDE 0
#endif

#ifndef SBX_NO_SWAR
/* Whole groups of four letters, stopping at the first that is not one. */
static size_t sbxi_base64_quads(const unsigned char *in, size_t len, unsigned char **out)
{
#define SBXI_X8 64, 64, 64, 64, 64, 64, 64, 64
    static const uint8_t value[256] = {
        SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8,
        64, 64, 64, 62, 64, 62, 64, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61,
        64, 64, 64, 64, 64, 64, 64, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
        14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 63, 64,
        26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
        45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,
        SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8,
        SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8, SBXI_X8
    };
#undef SBXI_X8
    unsigned char *o;
    size_t i = 0;
#if SBXI_BASE64_WIDE
    size_t all = 0 - (size_t)!!__builtin_cpu_supports("ssse3"); /* or none */
    i = sbxi_base64_blocks(in, len & all, out);
#endif
    o = *out;
    for (; i + 4 <= len; i += 4, o += 3) {
        unsigned a = value[in[i]], b = value[in[i + 1]], c = value[in[i + 2]],
            d = value[in[i + 3]];
        if ((a | b | c | d) > 63) break;
        o[0] = (unsigned char)(a << 2 | b >> 4);
        o[1] = (unsigned char)(b << 4 | c >> 2);
        o[2] = (unsigned char)(c << 6 | d);
    }
    *out = o;
    return i;
}
#endif

/* ended_: 0 letters come, 2 one more '=' must come, 1 nothing may come. */
SBX_API int sbx_base64_decode(sbx_base64 *state, const char *text, size_t len,
    void *out, size_t *out_len)
{
    const unsigned char *in = (const unsigned char *)text;
    unsigned char *o = (unsigned char *)out;
    size_t i = 0;
    int rc = SBX_OK;
    while (i < len) {
        unsigned v;
#ifndef SBX_NO_SWAR
        if (state->count_ == 0) { /* so nothing has ended */
            i += sbxi_base64_quads(in + i, len - i, &o);
            if (i == len) break;
        }
#endif
        v = sbxi_base64_value(in[i]);
        if (v < 64 && !state->ended_) {
            state->bits_ = (state->bits_ << 6 | v) & 0xFFFF;
            if (state->count_) *o++ = (unsigned char)(state->bits_ >> (6 - 2 * state->count_));
            state->count_ = (uint8_t)((state->count_ + 1) & 3);
        } else if (in[i] == '=' && state->count_ >= 2 && state->ended_ != 1) {
            state->ended_ = (uint8_t)(state->count_ == 2 && !state->ended_ ? 2 : 1);
        } else {
            rc = SBX_E_PROTOCOL;
            break;
        }
        i++;
    }
    *out_len = (size_t)(o - (unsigned char *)out);
    return rc;
}

SBX_API int sbx_base64_end(sbx_base64 *state)
{
    return state->count_ == 1 || state->ended_ == 2 ? SBX_E_PROTOCOL : SBX_OK;
}
/* percent - percent-encoding, and the checks that keep a name or a value from
   becoming more than that: host names, tokens, header values, base URLs. Pure.
   Nothing reaches a request line or a header without passing one of these. */

/* A set of ASCII characters, one bit each. */
static bool sbxi_in_set(const uint32_t set[4], char c)
{
    unsigned u = (unsigned char)c;
    return u < 128 && (set[u >> 5] >> (u & 31) & 1);
}

enum { SBXI_PERCENT_SEGMENT, SBXI_PERCENT_FORM, SBXI_PERCENT_KEEP_SLASH };

static void sbxi_percent_byte(sbxi_buf *out, unsigned char c)
{
    char text[3];
    text[0] = '%';
    text[1] = sbxi_hex[c >> 4];
    text[2] = sbxi_hex[c & 15];
    sbxi_buf_add(out, text, 3);
}

/* Appends s, all but A-Z a-z 0-9 - . _ ~ as %XX. FORM: a space becomes '+'.
   KEEP_SLASH: '/' stays. SEGMENT: "." and ".." are encoded too, or a proxy
   would take them for path steps. */
static SBXI_MAYBE int sbxi_percent(sbxi_buf *out, sbxi_span s, unsigned mode)
{
    static const uint32_t plain[4] = { 0, 0x03ff6000u, 0x87fffffeu, 0x47fffffeu };
    bool dots = mode == SBXI_PERCENT_SEGMENT
        && (sbxi_span_is(s, ".") || sbxi_span_is(s, ".."));
    for (; s.len > 0 && !out->status; s.ptr++, s.len--) {
        char c = *s.ptr;
        if (!dots && (sbxi_in_set(plain, c) || (c == '/' && mode == SBXI_PERCENT_KEEP_SLASH)))
            sbxi_buf_add(out, s.ptr, 1);
        else if (c == ' ' && mode == SBXI_PERCENT_FORM)
            sbxi_buf_add(out, "+", 1);
        else
            sbxi_percent_byte(out, (unsigned char)c);
    }
    return out->status;
}

/* tchar of RFC 9110: what header names and methods are made of. */
static const uint32_t sbxi_tchar[4] = { 0, 0x03ff6cfau, 0xc7fffffeu, 0x57ffffffu };

static SBXI_MAYBE bool sbxi_is_token(sbxi_span s)
{
    size_t i = 0;
    while (i < s.len && sbxi_in_set(sbxi_tchar, s.ptr[i])) i++;
    return i > 0 && i == s.len;
}

/* What may stand in a header line: all but the control characters; HTAB may. */
static bool sbxi_is_text(char c)
{
    unsigned char u = (unsigned char)c;
    return (u >= 0x20 && u != 0x7F) || u == '\t';
}

/* A header value as a caller may give it; empty is fine. */
static SBXI_MAYBE bool sbxi_is_field_value(sbxi_span s)
{
    size_t i = 0;
    while (i < s.len && sbxi_is_text(s.ptr[i])) i++;
    return i == s.len;
}

#define SBXI_MAX_HOST 253 /* of DNS */

/* [IPv6] without a zone; the resolver judges the digits. */
static bool sbxi_is_ipv6(sbxi_span s)
{
    size_t i, colons = 0;
    if (s.len < 4 || s.ptr[s.len - 1] != ']') return false;
    for (i = 1; i + 1 < s.len; i++) {
        char c = s.ptr[i];
        if (c == ':') colons++;
        else if (c != '.' && sbxi_hex_value(c) < 0) return false;
    }
    return colons >= 2;
}

/* A name of letters, digits, '-', '_' in labels, an IPv4 address, or [IPv6].
   Letters beyond ASCII must come in their xn-- form. */
static SBXI_MAYBE bool sbxi_is_host(sbxi_span s)
{
    char before = '.';
    size_t i;
    if (s.len == 0 || s.len > SBXI_MAX_HOST) return false;
    if (s.ptr[0] == '[') return sbxi_is_ipv6(s);
    for (i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '.' || c == '-') {
            if (before == '.') return false; /* empty label, or begins with '-' */
        } else if (!sbxi_is_alnum(c) && c != '_') {
            return false;
        }
        before = c;
    }
    return before != '.' && before != '-';
}

typedef struct sbxi_url {
    bool tls;
    sbxi_span host;         /* without the brackets of [IPv6] */
    uint16_t port;
    sbxi_span path;         /* as given, without trailing '/'; often empty */
} sbxi_url;

/* Does s end with `end`? ASCII case does not matter. */
static SBXI_MAYBE bool sbxi_ends_nocase(sbxi_span s, sbxi_span end)
{
    while (s.len && end.len
           && sbxi_lower(s.ptr[s.len - 1]) == sbxi_lower(end.ptr[end.len - 1])) {
        s.len--;
        end.len--;
    }
    return end.len == 0;
}

/* host[:port], without user names: those are how URLs lie about the host. The
   default of out->port is the caller's. */
static bool sbxi_url_authority(sbxi_span s, sbxi_url *out)
{
    uint64_t port = out->port;
    size_t n = s.len;
    while (n > 0 && sbxi_is_digit(s.ptr[n - 1])) n--;
    if (n > 0 && s.ptr[n - 1] == ':') {
        sbxi_span digits;
        digits.ptr = s.ptr + n;
        digits.len = s.len - n;
        if (!sbxi_parse_u64(digits, 65535, &port) || port == 0) return false;
        s.len = n - 1;
    }
    if (!sbxi_is_host(s)) return false;
    if (s.ptr[0] == '[') {
        s.ptr++;
        s.len -= 2;
    }
    out->host = s;
    out->port = (uint16_t)port;
    return true;
}

/* http://host[:port] or https://...; all behind it is out->path, which is empty,
   or a '/' and what is still to be checked. */
static bool sbxi_url_origin(sbxi_span text, sbxi_url *out)
{
    static const char scheme[] = "https://";
    const char *at = scheme, *p = text.ptr, *end;
    if (!text.len) return false; /* ptr may be NULL then */
    end = p + text.len;
    out->tls = true;
    for (; *at; at++) {
        if (p < end && sbxi_lower(*p) == *at) p++;
        else if (*at == 's') out->tls = false;
        else return false;
    }
    out->port = out->tls ? 443 : 80;
    text.ptr = p;
    for (; p < end && *p != '/'; p++) { }
    text.len = (size_t)(p - text.ptr);
    out->path.ptr = p;
    out->path.len = (size_t)(end - p);
    return sbxi_url_authority(text, out);
}

/* No byte that a request line cannot carry, no fragment; `but` is refused too. */
static bool sbxi_is_target(sbxi_span s, char but)
{
    for (; s.len; s.ptr++, s.len--) {
        char c = *s.ptr;
        if ((unsigned char)(c - '!') > '~' - '!' || c == but || c == '#' || c == '\\')
            return false;
    }
    return true;
}

/* Splits http://host[:port][/path] or https://...; no user, query or fragment. */
static SBXI_MAYBE bool sbxi_url_split(sbxi_span text, sbxi_url *out)
{
    sbxi_span *p = &out->path;
    if (!sbxi_url_origin(text, out) || !sbxi_is_target(*p, '?')) return false;
    while (p->len && p->ptr[p->len - 1] == '/') p->len--;
    return true;
}
/* shell - quoting of a word for a POSIX shell. Pure. Used by what becomes a command
   there: steps of templates, and the options of a gateway. */

/* Appends the word in quotes. */
static SBXI_MAYBE int sbxi_quoted(sbxi_buf *out, const char *word)
{
    const char *quote;
    sbxi_buf_text(out, "'");
    while ((quote = strchr(word, '\'')) != NULL) {
        sbxi_buf_add(out, word, (size_t)(quote - word));
        sbxi_buf_text(out, "'\"'\"'");
        word = quote + 1;
    }
    sbxi_buf_text(out, word);
    return sbxi_buf_text(out, "'");
}

/* Appends the word: as it is when nothing in it needs quotes. */
static SBXI_MAYBE int sbxi_quote(sbxi_buf *out, const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        "0123456789_@%+=:,./-";
    if (word[0] && !word[strspn(word, plain)]) return sbxi_buf_text(out, word);
    return sbxi_quoted(out, word);
}
/* codec/sha256 - SHA-256 (FIPS 180-4; public: section 15). Small rather than
   fast: it sees file hashes and signatures, not streams of gigabytes. */

static uint32_t sbxi_rotr32(uint32_t v, unsigned n) { return v >> n | v << (32 - n); }

static void sbxi_sha256_block(uint32_t h[8], const uint8_t *in)
{
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2
    };
    uint32_t w[16], s[8];
    unsigned i;
    memcpy(s, h, sizeof s);
    for (i = 0; i < 64; i++) {
        uint32_t t, a, *at = &w[i & 15];
        if (i < 16) {
            for (*at = 0, a = 0; a < 4; a++) *at = *at << 8 | *in++;
        } else { /* the schedule, kept as a ring of 16 words */
            t = w[(i + 1) & 15];
            a = w[(i + 14) & 15];
            *at += w[(i + 9) & 15] + (sbxi_rotr32(t, 7) ^ sbxi_rotr32(t, 18) ^ t >> 3)
                + (sbxi_rotr32(a, 17) ^ sbxi_rotr32(a, 19) ^ a >> 10);
        }
        t = s[7] + (sbxi_rotr32(s[4], 6) ^ sbxi_rotr32(s[4], 11) ^ sbxi_rotr32(s[4], 25))
            + (s[6] ^ (s[4] & (s[5] ^ s[6]))) + k[i] + *at;
        a = t + (sbxi_rotr32(s[0], 2) ^ sbxi_rotr32(s[0], 13) ^ sbxi_rotr32(s[0], 22))
            + ((s[0] & s[1]) | (s[2] & (s[0] | s[1])));
        memmove(s + 1, s, sizeof s - sizeof *s);
        s[4] += t;
        s[0] = a;
    }
    for (i = 0; i < 8; i++) h[i] += s[i];
}

SBX_API void sbx_sha256_init(sbx_sha256 *s)
{
    static const uint32_t first[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    memcpy(s->h_, first, sizeof first);
    s->len_ = 0;
}

SBX_API void sbx_sha256_add(sbx_sha256 *s, const void *data, size_t len)
{
    const uint8_t *in = (const uint8_t *)data;
    while (len > 0) {
        size_t at = (size_t)(s->len_ & 63), n = SBXI_MIN(len, 64 - at);
        memcpy(s->buf_ + at, in, n);
        s->len_ += n;
        in += n;
        len -= n;
        if (at + n == 64) sbxi_sha256_block(s->h_, s->buf_);
    }
}

SBX_API void sbx_sha256_end(sbx_sha256 *s, unsigned char out[32])
{
    uint64_t bits = s->len_ << 3;
    uint8_t byte = 0x80;
    unsigned i;
    do { /* up to the last 8 bytes of a block */
        sbx_sha256_add(s, &byte, 1);
        byte = 0;
    } while ((s->len_ & 63) != 56);
    for (i = 0; i < 8; i++, bits <<= 8) {
        byte = (uint8_t)(bits >> 56);
        sbx_sha256_add(s, &byte, 1);
    }
    for (i = 0; i < 32; i++) out[i] = (uint8_t)(s->h_[i >> 2] >> (24 - 8 * (i & 3)));
    sbxi_wipe(s, sizeof *s);
}
/* codec/time - dates as Unix milliseconds and back. Used by the binder (RFC 3339),
   by retries (HTTP dates) and by queries. Pure; years 1970 to 9999; no 64-bit
   division. A date is six parts: year, month, day, hour, minute, second. */

/* Days since 1970-01-01; month and day may lie one behind the last. */
static int32_t sbxi_days(int32_t year, int32_t month, int32_t day)
{
    int32_t century;
    if (month < 3) { /* count from March: years then end with the leap day */
        month += 12;
        year--;
    }
    century = year / 100;
    return year * 365 + (year >> 2) - century + (century >> 2) + (month * 153 - 457) / 5 + day
        - 719469;
}

static int64_t sbxi_unix_ms(const int16_t part[6])
{
    int32_t seconds = (part[3] * 60 + part[4]) * 60 + part[5];
    return ((int64_t)sbxi_days(part[0], part[1], part[2]) * 86400 + seconds) * 1000;
}

/* Reads what `form` says: a to f are the digits of the six parts, other characters
   stand for themselves, in either case; T may be a space. Returns what follows,
   or NULL. */
static const char *sbxi_take_form(const char *s, const char *form, int16_t part[6])
{
    for (; *form; form++) {
        unsigned i = (unsigned)*form - 'a', left = i ? 2 : 4;
        int v = 0;
        if (i >= 6) {
            if (sbxi_lower(*s) != sbxi_lower(*form) && (*form != 'T' || *s != ' ')) return NULL;
            s++;
            continue;
        }
        for (; left > 0; left--, s++) {
            if (!sbxi_is_digit(*s)) return NULL;
            v = v * 10 + *s - '0';
        }
        part[i] = (int16_t)v;
    }
    return s;
}

/* A leap second counts as the next. */
static bool sbxi_is_date(const int16_t part[6])
{
    return part[0] >= 1970 && part[1] >= 1 && part[1] <= 12 && part[2] >= 1
        && sbxi_days(part[0], part[1], part[2]) < sbxi_days(part[0], part[1] + 1, 1)
        && part[3] < 24 && part[4] < 60 && part[5] <= 60;
}

/* RFC 3339: 2024-05-06T07:08:09.123456789Z, offset Z or +-hh:mm; a fraction is
   cut to milliseconds. What is none leaves *unix_ms alone. */
static SBXI_MAYBE bool sbxi_parse_time(const char *s, int64_t *unix_ms)
{
    int16_t part[6], offset[6] = { 1970, 1, 1, 0, 0, 0 };
    int ms = 0, scale = 100, sign;
    s = sbxi_take_form(s, "a-b-cTd:e:f", part);
    if (!s || !sbxi_is_date(part)) return false;
    if (*s == '.') {
        if (!sbxi_is_digit(*++s)) return false;
        for (; sbxi_is_digit(*s); s++, scale /= 10) ms += (*s - '0') * scale;
    }
    sign = *s == '+' ? -60 : 60;
    s = sbxi_take_form(s, *s == '+' ? "+d:e" : *s == '-' ? "-d:e" : "Z", offset);
    if (!s || *s || !sbxi_is_date(offset)) return false;
    ms += sign * 1000 * (offset[3] * 60 + offset[4]);
    *unix_ms = sbxi_unix_ms(part) + ms;
    return true;
}

/* The date of HTTP (IMF-fixdate): Sun, 06 Nov 1994 08:49:37 GMT. The name of
   the day is not looked at. */
static SBXI_MAYBE bool sbxi_parse_http_date(const char *s, int64_t *unix_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int16_t part[6];
    if (strlen(s) != 29 || !sbxi_take_form(s + 3, ", c ", part)) return false;
    for (part[1] = 0; part[1]++ < 12;)
        if (memcmp(months + 3 * part[1] - 3, s + 8, 3) == 0) break;
    if (!sbxi_take_form(s + 11, " a d:e:f GMT", part) || !sbxi_is_date(part)) return false;
    *unix_ms = sbxi_unix_ms(part);
    return true;
}

#define SBXI_TIME_MAX 32

/* "2025-01-01T00:00:00+00:00" of a time, NUL-terminated; returns its length. Each
   part is raised as long as the date does not pass the time. */
static SBXI_MAYBE size_t sbxi_print_time(char *out, int64_t unix_ms)
{
    static const char form[] = "0000-00-00T00:00:00+00:00";
    int16_t part[6] = { 1970, 1, 1, 0, 0, 0 };
    unsigned i;
    if (unix_ms > 253402300799999) unix_ms = 253402300799999; /* the end of 9999 */
    memcpy(out, form, sizeof form);
    for (i = 0; i < 6; i++) {
        unsigned at = 3 * i + 3, left = i ? 2 : 4;
        int v;
        do part[i]++;
        while (sbxi_unix_ms(part) <= unix_ms);
        v = --part[i];
        for (; left > 0; left--, v /= 10) out[at--] = (char)('0' + v % 10);
    }
    return sizeof form - 1;
}

/* What the clock says; 0: there is none, or it was never set. */
static SBXI_MAYBE int64_t sbxi_clock(const sbx_net *net)
{
    int64_t ms = net->unix_ms ? net->unix_ms(net->ctx) : 0;
    return ms > 0 ? ms : 0;
}
/* crc32 - the checksum of gzip (reflected, polynomial EDB88320). Pure. */

#if !defined(SBX_NO_GZIP) || !defined(SBX_NO_TEMPLATE)

/* Goes on from the value for the bytes before, 0 at first. */
static SBXI_MAYBE uint32_t sbxi_crc32(uint32_t crc, const void *data, size_t len)
{
    static const uint32_t table[16] = { 0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC,
        0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8,
        0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C };
    const unsigned char *p = (const unsigned char *)data, *end = p + len;
    crc = ~crc;
    while (p < end) {
        crc ^= *p++;
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

#endif
/* inflate - unpacks gzip (RFC 1951, 1952): bytes in, bytes out, resumable at every
   byte of either. Strict: whole members only, their checksums and lengths checked,
   codes complete. What comes out is bounded by whoever takes it: put() may pause.
   Called by op/reply.c, which allocates the state with its window.

   Invariants: window[flushed..pos) was not handed out yet; nothing is unpacked
   before what was refused has been taken; a state that lacks input has used up
   only what it keeps in `bits`, so it can be entered again. */

#ifndef SBX_NO_GZIP

#define SBXI_WINDOW 32768u

enum { SBXI_Z_HEAD, SBXI_Z_EXTRA_LEN, SBXI_Z_EXTRA, SBXI_Z_NAME, SBXI_Z_COMMENT, SBXI_Z_HEAD_CRC,
    SBXI_Z_BLOCK, SBXI_Z_STORED_LEN, SBXI_Z_STORED, SBXI_Z_COUNTS, SBXI_Z_ORDER, SBXI_Z_LENGTHS,
    SBXI_Z_SYMBOL, SBXI_Z_LENGTH, SBXI_Z_DISTANCE, SBXI_Z_FAR, SBXI_Z_COPY, SBXI_Z_CRC,
    SBXI_Z_SIZE };

enum { SBXI_Z_HAS_CRC = 2, SBXI_Z_HAS_EXTRA = 4, SBXI_Z_HAS_NAME = 8, SBXI_Z_HAS_COMMENT = 16 };

/* A code: how many words of each length it has, and their symbols in order. */
typedef struct sbxi_code { uint16_t count[16], symbol[288]; } sbxi_code;

typedef struct sbxi_inflate {
    int (*put)(void *ctx, const void *data, size_t len); /* as that of a sink */
    void *ctx;
    const unsigned char *in, *end; /* of this feed */
    uint32_t bits;
    uint8_t nbits, state, flags;
    bool last, full;        /* the last block; the window was filled once */
    bool whole;             /* a member has ended, nothing came behind it */
    int status;             /* sticky */
    uint16_t at, left;      /* place in a table or header; bytes, lengths to come */
    uint16_t lits, dists;
    uint16_t length, distance, symbol;
    uint32_t crc, size;     /* of the member so far; crc of its head first */
    uint32_t pos, flushed;
    sbxi_code lit, dist;
    uint8_t lengths[320];
    unsigned char window[SBXI_WINDOW];
} sbxi_inflate;

static void sbxi_inflate_init(sbxi_inflate *z, int (*put)(void *, const void *, size_t), void *ctx)
{
    memset(z, 0, offsetof(sbxi_inflate, window));
    z->put = put;
    z->ctx = ctx;
}

/* At least n bits (25 at most, or 32 on a byte's border). False: input is lacking. */
static bool sbxi_z_need(sbxi_inflate *z, unsigned n)
{
    while (z->nbits < n) {
        if (z->in == z->end) return false;
        z->bits |= (uint32_t)*z->in++ << z->nbits;
        z->nbits = (uint8_t)(z->nbits + 8);
    }
    return true;
}

static unsigned sbxi_z_take(sbxi_inflate *z, unsigned n)
{
    unsigned v = (unsigned)(z->bits & (((uint32_t)1 << n) - 1));
    z->bits >>= n;
    z->nbits = (uint8_t)(z->nbits - n);
    return v;
}

/* Hands out what is in the window. */
static int sbxi_z_flush(sbxi_inflate *z)
{
    size_t n = (size_t)(z->pos - z->flushed);
    int rc = n ? z->put(z->ctx, z->window + z->flushed, n) : SBX_OK;
    if (rc != SBX_OK) return rc;
    z->crc = sbxi_crc32(z->crc, z->window + z->flushed, n);
    z->size += (uint32_t)n;
    z->flushed = z->pos;
    return SBX_OK;
}

/* ---- codes ---------------------------------------------------------------- */

/* Makes a code of the lengths of its words. False: they are too many, or too few
   (but one word of one bit may stand alone, or none at all, if `few`). */
static bool sbxi_z_code(sbxi_code *c, const uint8_t *lengths, unsigned n, bool few)
{
    uint16_t offset[16];
    unsigned i;
    int32_t left = 1;
    memset(c->count, 0, sizeof c->count);
    for (i = 0; i < n; i++) c->count[lengths[i]]++;
    offset[1] = 0;
    for (i = 1; i < 16; i++) {
        left = left * 2 - (int32_t)c->count[i];
        if (left < 0) return false;
        if (i < 15) offset[i + 1] = (uint16_t)(offset[i] + c->count[i]);
    }
    for (i = 0; i < n; i++)
        if (lengths[i]) c->symbol[offset[lengths[i]]++] = (uint16_t)i;
    return !left || (few && c->count[0] + c->count[1] == n);
}

/* The next symbol into z->symbol. SBX_PENDING: input is lacking, nothing is used. */
static int sbxi_z_symbol(sbxi_inflate *z, const sbxi_code *c)
{
    unsigned word = 0, first = 0, index = 0, len;
    for (len = 1; len < 16; len++) {
        if (!sbxi_z_need(z, len)) return SBX_PENDING;
        word |= (unsigned)(z->bits >> (len - 1)) & 1;
        if (word - first < c->count[len]) {
            z->symbol = c->symbol[index + word - first];
            (void)sbxi_z_take(z, len);
            return SBX_OK;
        }
        index += c->count[len];
        first = (first + c->count[len]) << 1;
        word <<= 1;
    }
    return SBX_E_PROTOCOL;
}

/* The code that blocks have that bring none. */
static void sbxi_z_fixed(sbxi_inflate *z)
{
    memset(z->lengths, 8, 144);
    memset(z->lengths + 144, 9, 112);
    memset(z->lengths + 256, 7, 24);
    memset(z->lengths + 280, 8, 8);
    (void)sbxi_z_code(&z->lit, z->lengths, 288, false);
    memset(z->lengths, 5, 30);
    (void)sbxi_z_code(&z->dist, z->lengths, 30, false);
    z->state = SBXI_Z_SYMBOL;
}

static int sbxi_z_counts(sbxi_inflate *z)
{
    if (!sbxi_z_need(z, 14)) return SBX_PENDING;
    z->lits = (uint16_t)(sbxi_z_take(z, 5) + 257);
    z->dists = (uint16_t)(sbxi_z_take(z, 5) + 1);
    z->left = (uint16_t)(sbxi_z_take(z, 4) + 4);
    z->at = 0;
    memset(z->lengths, 0, sizeof z->lengths);
    z->state = SBXI_Z_ORDER;
    return z->lits > 286 || z->dists > 30 ? SBX_E_PROTOCOL : SBX_OK;
}

/* Lengths of the words by which the lengths of the others are told. */
static int sbxi_z_order(sbxi_inflate *z)
{
    static const uint8_t order[19] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14,
        1, 15 };
    for (; z->at < z->left; z->at++) {
        if (!sbxi_z_need(z, 3)) return SBX_PENDING;
        z->lengths[order[z->at]] = (uint8_t)sbxi_z_take(z, 3);
    }
    if (!sbxi_z_code(&z->lit, z->lengths, 19, false)) return SBX_E_PROTOCOL;
    z->at = 0;
    z->symbol = UINT16_MAX;
    z->state = SBXI_Z_LENGTHS;
    return SBX_OK;
}

/* A state machine of its own: the lengths of all words, some of them told by a symbol
   and a count. */
static int sbxi_z_lengths(sbxi_inflate *z)
{
    unsigned all = (unsigned)z->lits + z->dists, n, bits;
    uint8_t len = 0;
    while (z->at < all) {
        if (z->symbol == UINT16_MAX) { /* else only its count is lacking */
            int rc = sbxi_z_symbol(z, &z->lit);
            if (rc != SBX_OK) return rc;
        }
        n = 1;
        if (z->symbol < 16) {
            len = (uint8_t)z->symbol;
        } else {
            bits = z->symbol == 16 ? 2 : z->symbol == 17 ? 3 : 7;
            if (!sbxi_z_need(z, bits)) return SBX_PENDING;
            n = sbxi_z_take(z, bits) + (z->symbol == 18 ? 11 : 3);
            if (z->symbol == 16 && !z->at) return SBX_E_PROTOCOL;
            len = z->symbol == 16 ? z->lengths[z->at - 1] : 0;
        }
        z->symbol = UINT16_MAX;
        if (n > all - z->at) return SBX_E_PROTOCOL;
        memset(z->lengths + z->at, len, n);
        z->at = (uint16_t)(z->at + n);
    }
    if (!z->lengths[256] || !sbxi_z_code(&z->lit, z->lengths, z->lits, true)
        || !sbxi_z_code(&z->dist, z->lengths + z->lits, z->dists, true)) return SBX_E_PROTOCOL;
    z->state = SBXI_Z_SYMBOL;
    return SBX_OK;
}

/* ---- blocks ---------------------------------------------------------------- */

static int sbxi_z_block(sbxi_inflate *z)
{
    unsigned kind;
    if (z->last) { /* that was all: what is left of the byte is not used */
        (void)sbxi_z_take(z, z->nbits & 7u);
        z->state = SBXI_Z_CRC;
        return SBX_OK;
    }
    if (!sbxi_z_need(z, 3)) return SBX_PENDING;
    z->last = sbxi_z_take(z, 1) != 0;
    kind = sbxi_z_take(z, 2);
    if (kind == 3) return SBX_E_PROTOCOL;
    if (kind == 1) sbxi_z_fixed(z);
    else z->state = kind ? SBXI_Z_COUNTS : SBXI_Z_STORED_LEN;
    if (!kind) (void)sbxi_z_take(z, z->nbits & 7u);
    return SBX_OK;
}

static int sbxi_z_stored(sbxi_inflate *z)
{
    size_t room = (size_t)SBXI_MIN(z->left, SBXI_WINDOW - z->pos);
    size_t n = SBXI_MIN((size_t)(z->end - z->in), room);
    if (!z->left) {
        z->state = SBXI_Z_BLOCK;
        return SBX_OK;
    }
    if (!n) return SBX_PENDING;
    memcpy(z->window + z->pos, z->in, n);
    z->in += n;
    z->pos += (uint32_t)n;
    z->left = (uint16_t)(z->left - n);
    return SBX_OK;
}

/* A literal, a length, or the end of the block. */
static int sbxi_z_literals(sbxi_inflate *z)
{
    while (z->pos < SBXI_WINDOW) {
        int rc = sbxi_z_symbol(z, &z->lit);
        if (rc != SBX_OK) return rc;
        if (z->symbol >= 256) break;
        z->window[z->pos++] = (unsigned char)z->symbol;
    }
    if (z->symbol < 256) return SBX_OK;
    z->state = z->symbol == 256 ? SBXI_Z_BLOCK : SBXI_Z_LENGTH;
    return z->symbol > 285 ? SBX_E_PROTOCOL : SBX_OK;
}

/* A symbol stands for a range of lengths or distances: each further one for as many
   as the one before, and every fourth or second for twice as many. */
static int sbxi_z_extra(sbxi_inflate *z, unsigned symbol, unsigned step, unsigned *value)
{
    unsigned bits = symbol < 2u << step ? 0 : (symbol >> step) - 1;
    if (!sbxi_z_need(z, bits)) return SBX_PENDING;
    *value = symbol;
    if (bits) *value = ((1u << step) + (symbol & ((1u << step) - 1))) << bits;
    *value += sbxi_z_take(z, bits);
    return SBX_OK;
}

static int sbxi_z_length(sbxi_inflate *z)
{
    unsigned n = 255;
    if (z->symbol < 285 && sbxi_z_extra(z, z->symbol - 257u, 2, &n) != SBX_OK) return SBX_PENDING;
    z->length = (uint16_t)(n + 3);
    z->state = SBXI_Z_DISTANCE;
    return SBX_OK;
}

/* A distance: no code has more than 30 symbols for them. */
static int sbxi_z_far(sbxi_inflate *z)
{
    unsigned n;
    if (sbxi_z_extra(z, z->symbol, 1, &n) != SBX_OK) return SBX_PENDING;
    z->distance = (uint16_t)(n + 1);
    z->state = SBXI_Z_COPY;
    return !z->full && n >= z->pos ? SBX_E_PROTOCOL : SBX_OK;
}

static int sbxi_z_copy(sbxi_inflate *z)
{
    for (; z->length && z->pos < SBXI_WINDOW; z->length--, z->pos++)
        z->window[z->pos] = z->window[(z->pos - z->distance) & (SBXI_WINDOW - 1)];
    if (!z->length) z->state = SBXI_Z_SYMBOL;
    return SBX_OK;
}

/* ---- members ---------------------------------------------------------------- */

/* The next byte of the head, as part of its checksum. */
static bool sbxi_z_byte(sbxi_inflate *z, unsigned char *byte)
{
    if (!sbxi_z_need(z, 8)) return false;
    *byte = (unsigned char)sbxi_z_take(z, 8);
    z->crc = sbxi_crc32(z->crc, byte, 1);
    return true;
}

/* What comes next in the head, as its flags say. */
static void sbxi_z_after(sbxi_inflate *z, uint8_t state)
{
    static const struct { uint8_t state, flag; } parts[] = {
        { SBXI_Z_EXTRA_LEN, SBXI_Z_HAS_EXTRA }, { SBXI_Z_NAME, SBXI_Z_HAS_NAME },
        { SBXI_Z_COMMENT, SBXI_Z_HAS_COMMENT }, { SBXI_Z_HEAD_CRC, SBXI_Z_HAS_CRC } };
    size_t i;
    z->at = 0;
    for (i = 0; i < SBXI_LEN(parts); i++)
        if (parts[i].state > state && (z->flags & parts[i].flag)) {
            z->state = parts[i].state;
            return;
        }
    z->crc = z->size = z->pos = z->flushed = 0;
    z->full = z->last = false;
    z->state = SBXI_Z_BLOCK;
}

static int sbxi_z_head(sbxi_inflate *z)
{
    static const unsigned char magic[3] = { 0x1F, 0x8B, 8 };
    unsigned char byte = 0;
    while (z->at < 10) {
        if (!sbxi_z_byte(z, &byte)) return SBX_PENDING;
        z->whole = false;
        if (z->at < 3 && byte != magic[z->at]) return SBX_E_PROTOCOL;
        if (z->at == 3) z->flags = byte;
        z->at++;
    }
    if (z->flags & 0xE0) return SBX_E_PROTOCOL;
    sbxi_z_after(z, SBXI_Z_HEAD);
    return SBX_OK;
}

/* The optional parts: a length and so many bytes, texts that end with a NUL, half
   the checksum. */
static int sbxi_z_part(sbxi_inflate *z)
{
    uint8_t state = z->state;
    unsigned char byte = 0, other;
    uint32_t crc = z->crc;
    if (state == SBXI_Z_HEAD_CRC) {
        if (!sbxi_z_need(z, 16)) return SBX_PENDING;
        if (sbxi_z_take(z, 16) != (crc & 0xFFFF)) return SBX_E_PROTOCOL;
    } else if (state == SBXI_Z_EXTRA_LEN) {
        if (!sbxi_z_need(z, 16)) return SBX_PENDING;
        (void)sbxi_z_byte(z, &byte);
        (void)sbxi_z_byte(z, &other);
        z->left = (uint16_t)(byte | (unsigned)other << 8);
        z->state = SBXI_Z_EXTRA;
        return SBX_OK;
    } else if (state == SBXI_Z_EXTRA) {
        for (; z->left; z->left--)
            if (!sbxi_z_byte(z, &byte)) return SBX_PENDING;
    } else {
        do if (!sbxi_z_byte(z, &byte)) return SBX_PENDING;
        while (byte);
    }
    sbxi_z_after(z, state);
    return SBX_OK;
}

/* What stands behind the blocks: checksum and length, all being handed out. */
static int sbxi_z_tail(sbxi_inflate *z)
{
    uint32_t want;
    int rc = sbxi_z_flush(z);
    if (rc != SBX_OK) return rc;
    if (!sbxi_z_need(z, 32)) return SBX_PENDING;
    want = sbxi_z_take(z, 16);
    want |= (uint32_t)sbxi_z_take(z, 16) << 16;
    if (want != (z->state == SBXI_Z_CRC ? z->crc : z->size)) return SBX_E_PROTOCOL;
    if (z->state++ == SBXI_Z_CRC) return SBX_OK;
    z->state = SBXI_Z_HEAD; /* of another member */
    z->at = 0;
    z->crc = 0;
    z->whole = true;
    return SBX_OK;
}

/* The state machine: one step. */
static int sbxi_z_step(sbxi_inflate *z)
{
    unsigned len;
    int rc;
    switch (z->state) {
    case SBXI_Z_HEAD: return sbxi_z_head(z);
    case SBXI_Z_BLOCK: return sbxi_z_block(z);
    case SBXI_Z_STORED_LEN:
        if (!sbxi_z_need(z, 32)) return SBX_PENDING;
        len = sbxi_z_take(z, 16);
        z->left = (uint16_t)len;
        z->state = SBXI_Z_STORED;
        return sbxi_z_take(z, 16) == (len ^ 0xFFFF) ? SBX_OK : SBX_E_PROTOCOL;
    case SBXI_Z_STORED: return sbxi_z_stored(z);
    case SBXI_Z_COUNTS: return sbxi_z_counts(z);
    case SBXI_Z_ORDER: return sbxi_z_order(z);
    case SBXI_Z_LENGTHS: return sbxi_z_lengths(z);
    case SBXI_Z_SYMBOL: return sbxi_z_literals(z);
    case SBXI_Z_LENGTH: return sbxi_z_length(z);
    case SBXI_Z_DISTANCE:
        rc = sbxi_z_symbol(z, &z->dist);
        if (rc == SBX_OK) z->state = SBXI_Z_FAR;
        return rc;
    case SBXI_Z_FAR: return sbxi_z_far(z);
    case SBXI_Z_COPY: return sbxi_z_copy(z);
    case SBXI_Z_CRC:
    case SBXI_Z_SIZE: return sbxi_z_tail(z);
    default: return sbxi_z_part(z);
    }
}

/* SBX_OK: all taken and handed out. SBX_E_AGAIN: put() paused, go on behind *used, if
   with nothing. SBX_E_PROTOCOL: no gzip, or damaged; that and what put() failed with
   is sticky. */
static int sbxi_inflate_feed(sbxi_inflate *z, const char *data, size_t len, size_t *used)
{
    int rc = z->status;
    *used = len;
    z->in = (const unsigned char *)data;
    z->end = z->in + len;
    while (rc == SBX_OK) {
        if (z->pos == SBXI_WINDOW) {
            rc = sbxi_z_flush(z);
            if (rc != SBX_OK) break;
            z->pos = z->flushed = 0;
            z->full = true;
        }
        rc = sbxi_z_step(z);
    }
    if (rc == SBX_PENDING) rc = sbxi_z_flush(z);
    if (rc == SBX_E_AGAIN) *used = len - (size_t)(z->end - z->in);
    else z->status = rc;
    return rc;
}

/* Whether what has come is whole: one member or several. */
static bool sbxi_inflate_whole(const sbxi_inflate *z) { return z->whole; }

#endif
/* deflate - a source in a gzip container: blocks that are stored as they are, so that
   the size of the whole is known before, and it needs no memory. Called by
   op/request.c.
   Invariant: of a source of known size, `left` bytes are still to come, `block` of
   them in the present block. */

#ifndef SBX_NO_GZIP

enum { SBXI_D_HEAD, SBXI_D_BLOCK, SBXI_D_DATA, SBXI_D_TAIL, SBXI_D_DONE };

#define SBXI_STORED 65535 /* bytes of a block */

typedef struct sbxi_deflate {
    sbx_source from;
    int64_t left;           /* -1: nobody knows */
    uint32_t crc, size;
    uint16_t block;
    uint8_t state;
} sbxi_deflate;

static unsigned char *sbxi_d_block(unsigned char *p, bool last, size_t n)
{
    p[0] = last;
    p[1] = (unsigned char)n;
    p[2] = (unsigned char)(n >> 8);
    p[3] = (unsigned char)~n;
    p[4] = (unsigned char)(~n >> 8);
    return p + 5;
}

/* Bytes of the source into p[0..cap): SBX_OK and *n of them. */
static int sbxi_d_get(sbxi_deflate *z, unsigned char *p, size_t cap, size_t *n)
{
    int rc;
    *n = 0;
    rc = z->from.get(z->from.ctx, p, cap, n);
    if (rc != SBX_OK) return rc > 0 ? SBX_E_SOURCE : rc;
    if (*n > cap) return SBX_E_SOURCE;
    z->crc = sbxi_crc32(z->crc, p, *n);
    z->size += (uint32_t)*n;
    return SBX_OK;
}

/* A block of what the source has now; nothing: the last one. */
static int sbxi_d_any(sbxi_deflate *z, unsigned char **p, size_t room)
{
    size_t n;
    int rc = sbxi_d_get(z, *p + 5, SBXI_MIN(room - 5, SBXI_STORED), &n);
    if (rc != SBX_OK) return rc;
    *p = sbxi_d_block(*p, n == 0, n) + n;
    if (n == 0) z->state = SBXI_D_TAIL;
    return SBX_OK;
}

/* A source of known size ends exactly there. */
static int sbxi_d_data(sbxi_deflate *z, unsigned char **p, size_t room)
{
    size_t n;
    int rc = sbxi_d_get(z, *p, SBXI_MIN(room, z->block), &n);
    if (rc != SBX_OK) return rc;
    if (n == 0) return SBX_E_SOURCE;
    *p += n;
    z->left -= (int64_t)n;
    z->block = (uint16_t)(z->block - n);
    if (!z->block) z->state = z->left ? SBXI_D_BLOCK : SBXI_D_TAIL;
    return SBX_OK;
}

static int sbxi_d_tail(sbxi_deflate *z, unsigned char **p)
{
    const uint32_t words[2] = { z->crc, z->size };
    unsigned char byte;
    size_t n = 0;
    unsigned i;
    int rc = z->left < 0 ? SBX_E_AGAIN : sbxi_d_get(z, &byte, 1, &n);
    if (rc != SBX_E_AGAIN && (rc != SBX_OK || n)) return rc == SBX_OK ? SBX_E_SOURCE : rc;
    for (i = 0; i < 8; i++) *(*p)++ = (unsigned char)(words[i / 4] >> i % 4 * 8);
    z->state = SBXI_D_DONE;
    return SBX_OK;
}

/* The state machine of a container. */
static int sbxi_deflate_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    static const unsigned char head[10] = { 0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255 };
    static const uint8_t needs[] = { 10, 6, 1, 8, 0 };
    sbxi_deflate *z = (sbxi_deflate *)ctx;
    unsigned char *p = (unsigned char *)buf, *end = p + cap;
    int rc = SBX_OK;
    while (rc == SBX_OK && z->state != SBXI_D_DONE && (size_t)(end - p) >= needs[z->state]) {
        switch (z->state) {
        case SBXI_D_HEAD:
            memcpy(p, head, sizeof head);
            p += sizeof head;
            z->state = SBXI_D_BLOCK;
            break;
        case SBXI_D_BLOCK:
            if (z->left < 0) {
                rc = sbxi_d_any(z, &p, (size_t)(end - p));
                break;
            }
            z->block = (uint16_t)SBXI_MIN(z->left, SBXI_STORED);
            p = sbxi_d_block(p, z->left == z->block, z->block);
            z->state = z->block ? SBXI_D_DATA : SBXI_D_TAIL;
            break;
        case SBXI_D_DATA:
            rc = sbxi_d_data(z, &p, (size_t)(end - p));
            break;
        default:
            rc = sbxi_d_tail(z, &p);
        }
    }
    *got = (size_t)(p - (unsigned char *)buf);
    if (rc == SBX_E_AGAIN && *got) return SBX_OK;
    return rc == SBX_OK && !*got && z->state != SBXI_D_DONE ? SBX_E_TOO_LARGE : rc;
}

static void sbxi_d_begin(sbxi_deflate *z)
{
    z->left = z->from.size;
    z->crc = z->size = z->state = 0;
}

static int sbxi_deflate_rewind(void *ctx)
{
    sbxi_deflate *z = (sbxi_deflate *)ctx;
    sbxi_d_begin(z);
    return z->from.rewind(z->from.ctx);
}

/* The source as it is sent. False: so large that its size cannot be said. */
static bool sbxi_deflate_init(sbxi_deflate *z, const sbx_source *from, sbx_source *out)
{
    int64_t n = from->size, left = n, blocks = n <= 0, most;
    if (n > INT64_MAX / 2) return false;
    z->from = *from;
    sbxi_d_begin(z);
    out->get = sbxi_deflate_get;
    out->rewind = from->rewind ? sbxi_deflate_rewind : NULL;
    out->ctx = z;
    for (; left >= SBXI_STORED; left -= (most << 16) - most) { /* no 64-bit division */
        most = left >> 16;
        most += !most;
        blocks += most;
    }
    blocks += left > 0;
    out->size = n < 0 ? -1 : 18 + n + 5 * blocks;
    return true;
}

#endif
/* lz - deflate (RFC 1951) in three steps of effort, in one block of the caller's memory:
   bytes in, bytes out, resumable at every byte of either. What comes out depends on
   the bytes and the level alone, not on how they were cut: a first pass can count
   what a second one sends. It cannot fail. Called by pack/gzip.c.

   A ring holds the window, the block that is being gathered, and what is ahead. A
   block is a list of sequences: so many literals, which stay in the ring, and a match.
   When the list or the window is full, the block goes out in whatever form is
   shortest. Places to match are found by chains: of each place in the ring the one
   before it with the same hash of three bytes. An outdated one points at other bytes
   of the window: it is compared like any other, so nothing has to be removed.
   A window of 12.5 KiB with all its chains packs better than one of 32 KiB with as
   many places as there is memory for then.

   Invariants: `behind` bytes before `at` (the window at most) and `ahead` bytes from
   `at` on are in the ring, `span` bytes before `at` are of the present block; a block
   is closed as full only when a byte comes behind it, so the last one is known. */

#ifndef SBX_NO_TEMPLATE

/* What is left to be read, and the room that is left; both move on. */
typedef struct sbxi_flow {
    const unsigned char *in;
    size_t in_len;
    unsigned char *out;
    size_t out_len;
} sbxi_flow;

#define SBXI_LZ_AHEAD 384u  /* most bytes ahead, for which the window is not used */
#define SBXI_LZ_LONG 258u   /* of a match */
#define SBXI_LZ_LITS 288u   /* words for literals and lengths, two of them never used */
#define SBXI_LZ_WORDS 318u  /* and for distances */

typedef struct sbxi_seq { uint8_t lits, len; uint16_t distance; } sbxi_seq; /* len - 3 */

typedef struct sbxi_lz_step {
    uint16_t window, seqs;  /* bytes; sequences of a block, 0: all is stored */
    uint16_t hashes, tries; /* chains, and how far each is followed */
    uint16_t lazy;          /* a match so long is not held back for a better one */
} sbxi_lz_step;

/* Words of the codes, or how often each is needed; their lengths; what is needed
   to make them, then the room for what goes out. */
typedef struct sbxi_lz_codes {
    uint16_t words[SBXI_LZ_WORDS], order_words[19];
    uint8_t lens[SBXI_LZ_WORDS], order_lens[19];
    uint16_t symbols[SBXI_LZ_LITS], keys[SBXI_LZ_LITS];
} sbxi_lz_codes;

enum { SBXI_LZ_GATHER, SBXI_LZ_CODED, SBXI_LZ_RAW, SBXI_LZ_DONE };

typedef struct sbxi_lz {
    const sbxi_lz_step *step;
    sbxi_lz_codes *codes;
    sbxi_seq *seqs;
    uint16_t *heads, *before; /* the last place with each hash; of each place */
    unsigned char *ring, *out;
    uint32_t bits;          /* that make no whole byte yet */
    uint32_t extra;         /* bits behind words, in this block */
    uint16_t size, at, ahead, behind, span;
    uint16_t count, lits;   /* sequences so far; literals behind them */
    uint16_t have_len, have_distance; /* found at `at` already, or 0 */
    uint16_t out_at, out_len; /* what of `out` is taken, and there */
    uint16_t from, seq, left; /* what goes out: place in the ring, sequence, bytes to come */
    uint8_t nbits, state;
    bool last;
    unsigned char small[8];
} sbxi_lz;

/* Stored; small; good; best. */
static const sbxi_lz_step sbxi_lz_steps[4] = { { 1024, 0, 0, 0, 0 }, { 3328, 512, 256, 16, 16 },
    { 12800, 1200, 1024, 64, 32 }, { 12800, 1200, 1024, 256, 258 } };

static const sbxi_lz_step *sbxi_lz_step_of(unsigned level)
{
#ifdef SBX_NO_GZIP
    level = 0;
#endif
    return &sbxi_lz_steps[(level > 0) + (level > 3) + (level > 6)];
}

/* Bytes of the block for a level. */
static size_t sbxi_lz_size(unsigned level)
{
    const sbxi_lz_step *s = sbxi_lz_step_of(level);
    if (!s->seqs) return sizeof(sbxi_lz) + s->window + 1u;
    return sizeof(sbxi_lz) + sizeof(sbxi_lz_codes) + s->seqs * sizeof(sbxi_seq)
        + s->hashes * sizeof(uint16_t) + SBXI_LZ_LONG
        + (s->window + SBXI_LZ_AHEAD) * (1 + sizeof(uint16_t));
}

/* The state of a new stream in that block, which is aligned for any type. */
static sbxi_lz *sbxi_lz_init(void *memory, unsigned level)
{
    sbxi_lz *z = (sbxi_lz *)memory;
    const sbxi_lz_step *s = sbxi_lz_step_of(level);
    memset(z, 0, sizeof *z);
    z->step = s;
    z->out = z->small;
    z->ring = (unsigned char *)(z + 1);
    z->size = (uint16_t)(s->window + (s->seqs ? SBXI_LZ_AHEAD : 1));
#ifndef SBX_NO_GZIP
    if (s->seqs) {
        z->codes = (sbxi_lz_codes *)(z + 1);
        z->seqs = (sbxi_seq *)(z->codes + 1);
        z->heads = (uint16_t *)(z->seqs + s->seqs);
        z->before = z->heads + s->hashes;
        z->ring = (unsigned char *)(z->before + z->size);
        z->out = (unsigned char *)z->codes->symbols;
        memset(z->codes->words, 0, sizeof z->codes->words);
        memset(z->heads, 0, ((size_t)s->hashes + z->size) * sizeof *z->heads);
    }
#endif
    return z;
}

/* n bits, 16 at most, the lowest first. There is room: sbxi_lz_coded(). */
static void sbxi_lz_put(sbxi_lz *z, unsigned value, unsigned n)
{
    z->bits |= (uint32_t)value << z->nbits;
    for (z->nbits = (uint8_t)(z->nbits + n); z->nbits >= 8; z->nbits = (uint8_t)(z->nbits - 8)) {
        z->out[z->out_len++] = (unsigned char)z->bits;
        z->bits >>= 8;
    }
}

static uint16_t sbxi_lz_wrap(const sbxi_lz *z, uint32_t place)
{
    return (uint16_t)(place < z->size ? place : place - z->size);
}

static void sbxi_lz_advance(sbxi_lz *z, unsigned n)
{
    z->at = sbxi_lz_wrap(z, (uint32_t)z->at + n);
    z->ahead = (uint16_t)(z->ahead - n);
    z->span = (uint16_t)(z->span + n);
    z->behind = (uint16_t)SBXI_MIN((uint32_t)z->behind + n, z->step->window);
}

/* A block is out. */
static void sbxi_lz_next(sbxi_lz *z)
{
    if (z->last) sbxi_lz_put(z, 0, (8u - z->nbits) & 7);
    z->state = z->last ? SBXI_LZ_DONE : SBXI_LZ_GATHER;
    z->extra = 0;
    z->span = z->count = z->lits = 0;
}

#ifndef SBX_NO_GZIP

/* ---- codes ---------------------------------------------------------------- */

/* keys[0..n), rising, are how often each word is needed: count[] gets the number of
   words of each length, by Moffat and Katajainen's way in place. */
static void sbxi_lz_counts(uint16_t *keys, unsigned n, unsigned limit, uint16_t count[16])
{
    uint16_t inner[16]; /* knots of each depth */
    unsigned leaf = 0, root = 0, next, i, words = 0;
    uint32_t sum = 0;
    for (next = 0; next < n - 1; next++) {
        uint16_t weight = 0;
        for (i = 0; i < 2; i++)
            if (leaf >= n || (root < next && keys[root] < keys[leaf])) {
                weight = (uint16_t)(weight + keys[root]);
                keys[root++] = (uint16_t)next;
            } else {
                weight = (uint16_t)(weight + keys[leaf++]);
            }
        keys[next] = weight;
    }
    memset(inner, 0, sizeof inner);
    keys[n - 2] = 0;
    inner[0] = 1;
    for (next = n - 2; next-- > 0;) {
        keys[next] = (uint16_t)(keys[keys[next]] + 1);
        if (keys[next] < limit) inner[keys[next]]++;
    }
    count[0] = 0;
    for (i = 1; i < limit; i++) {
        count[i] = (uint16_t)(2 * inner[i - 1] - inner[i]);
        words += count[i];
        sum += (uint32_t)count[i] << (limit - i);
    }
    count[limit] = (uint16_t)(n - words);
    /* Too many of the longest: each time a shorter word makes room for one. */
    for (sum += count[limit]; sum > (uint32_t)1 << limit; sum--) {
        for (i = limit - 1; !count[i]; i--) {}
        count[i]--;
        count[i + 1] = (uint16_t)(count[i + 1] + 2);
        count[limit]--;
    }
}

/* Lengths of n words, none above the limit, two at least. */
static void sbxi_lz_lengths(sbxi_lz_codes *c, const uint16_t *words, unsigned n, unsigned limit,
    uint8_t *lens)
{
    uint16_t count[16], *symbols = c->symbols;
    unsigned used = 0, i, k, gap;
    memset(lens, 0, n);
    for (i = 0; i < n; i++)
        if (words[i]) symbols[used++] = (uint16_t)i;
    for (i = 0; used < 2; i++)
        if (!words[i]) symbols[used++] = (uint16_t)i;
    for (gap = 121; gap; gap /= 3)
        for (i = gap; i < used; i++) {
            uint16_t symbol = symbols[i];
            for (k = i; k >= gap && words[symbols[k - gap]] > words[symbol]; k -= gap)
                symbols[k] = symbols[k - gap];
            symbols[k] = symbol;
        }
    for (i = 0; i < used; i++) c->keys[i] = words[symbols[i]];
    sbxi_lz_counts(c->keys, used, limit, count);
    for (i = 0, k = limit; k; k--)
        for (; count[k]; count[k]--) lens[symbols[i++]] = (uint8_t)k;
}

/* The words themselves, their first bit lowest. */
static void sbxi_lz_words(const uint8_t *lens, unsigned n, uint16_t *words)
{
    uint16_t next[16];
    unsigned i, k, len, word;
    memset(next, 0, sizeof next);
    for (i = 0; i < n; i++)
        if (lens[i] && lens[i] < 15) next[lens[i] + 1]++;
    for (i = 2; i < 16; i++) next[i] = (uint16_t)(2 * next[i - 1] + 2 * next[i]);
    for (i = 0; i < n; i++) {
        len = lens[i];
        if (!len) continue;
        k = next[len]++;
        for (word = 0; len; len--, k >>= 1) word = word << 1 | (k & 1);
        words[i] = (uint16_t)word;
    }
}

/* The symbol of a length or distance: each further one stands for as many as the one
   before, and every fourth or second for twice as many. */
static unsigned sbxi_lz_symbol(unsigned n, unsigned step, unsigned *bits)
{
    for (*bits = 0; n >> *bits >= 2u << step; ++*bits) {}
    return (*bits << step) + (n >> *bits);
}

static unsigned sbxi_lz_length(unsigned n, unsigned *bits)
{
    unsigned symbol = 257 + sbxi_lz_symbol(n, 2, bits);
    if (n < SBXI_LZ_LONG - 3) return symbol;
    *bits = 0;
    return 285;
}

/* How many words of each kind a block's own code has. */
typedef struct sbxi_lz_head { unsigned lits, dists, orders; } sbxi_lz_head;

static unsigned sbxi_lz_len(const sbxi_lz_codes *c, const sbxi_lz_head *h, unsigned i)
{
    return c->lens[i < h->lits ? i : i - h->lits + SBXI_LZ_LITS];
}

/* How the lengths of all words are told: the next symbol, for those from *at on, and
   the number behind it. */
static unsigned sbxi_lz_order(const sbxi_lz_codes *c, const sbxi_lz_head *h, unsigned *at,
    unsigned *extra)
{
    unsigned i = *at, n = 0, len = sbxi_lz_len(c, h, i);
    unsigned most = SBXI_MIN(h->lits + h->dists - i, len ? 6 : 138);
    if (!len || (i && sbxi_lz_len(c, h, i - 1) == len))
        while (n < most && sbxi_lz_len(c, h, i + n) == len) n++;
    *at = i + n;
    *extra = n - (n > 10 ? 11 : 3);
    if (n > 2) return len ? 16 : n > 10 ? 18 : 17;
    *at = i + 1;
    *extra = 0;
    return len;
}

static unsigned sbxi_lz_order_bits(unsigned symbol)
{
    return symbol < 16 ? 0 : symbol == 16 ? 2 : symbol == 17 ? 3 : 7;
}

static unsigned sbxi_lz_fixed(unsigned i)
{
    return i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : i < SBXI_LZ_LITS ? 8 : 5;
}

static const uint8_t sbxi_lz_orders[19] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13,
    2, 14, 1, 15 };

/* Without the last words, which have no length. */
static unsigned sbxi_lz_trim(const uint8_t *lens, unsigned n)
{
    while (!lens[n - 1]) n--;
    return n;
}

static uint32_t sbxi_lz_bits(const uint16_t *words, const uint8_t *lens, unsigned n)
{
    uint32_t bits = 0;
    while (n--) bits += (uint32_t)words[n] * lens[n];
    return bits;
}

/* Makes the code of the block's own; its bits, the words' and those before them. */
static uint32_t sbxi_lz_own(sbxi_lz_codes *c, sbxi_lz_head *h)
{
    unsigned i, run;
    uint32_t bits;
    sbxi_lz_lengths(c, c->words, SBXI_LZ_LITS, 15, c->lens);
    sbxi_lz_lengths(c, c->words + SBXI_LZ_LITS, 30, 15, c->lens + SBXI_LZ_LITS);
    h->lits = sbxi_lz_trim(c->lens, 286);
    h->dists = sbxi_lz_trim(c->lens + SBXI_LZ_LITS, 30);
    memset(c->order_words, 0, sizeof c->order_words);
    for (i = 0; i < h->lits + h->dists;)
        c->order_words[sbxi_lz_order(c, h, &i, &run)]++;
    sbxi_lz_lengths(c, c->order_words, 19, 7, c->order_lens);
    for (h->orders = 19; !c->order_lens[sbxi_lz_orders[h->orders - 1]]; h->orders--) {}
    bits = 14 + 3 * h->orders + sbxi_lz_bits(c->order_words, c->order_lens, 19);
    for (i = 16; i < 19; i++) bits += (uint32_t)c->order_words[i] * sbxi_lz_order_bits(i);
    return bits + sbxi_lz_bits(c->words, c->lens, SBXI_LZ_WORDS);
}

static void sbxi_lz_put_head(sbxi_lz *z, const sbxi_lz_head *h)
{
    sbxi_lz_codes *c = z->codes;
    unsigned i, run, symbol;
    sbxi_lz_words(c->order_lens, 19, c->order_words);
    sbxi_lz_put(z, h->lits - 257, 5);
    sbxi_lz_put(z, h->dists - 1, 5);
    sbxi_lz_put(z, h->orders - 4, 4);
    for (i = 0; i < h->orders; i++) sbxi_lz_put(z, c->order_lens[sbxi_lz_orders[i]], 3);
    for (i = 0; i < h->lits + h->dists;) {
        symbol = sbxi_lz_order(c, h, &i, &run);
        sbxi_lz_put(z, c->order_words[symbol], c->order_lens[symbol]);
        sbxi_lz_put(z, run, sbxi_lz_order_bits(symbol));
    }
}

/* ---- blocks ---------------------------------------------------------------- */

static void sbxi_lz_add(sbxi_lz *z, unsigned len, unsigned distance)
{
    sbxi_seq *s = &z->seqs[z->count++];
    s->lits = (uint8_t)z->lits;
    s->len = (uint8_t)len;
    s->distance = (uint16_t)distance;
    z->lits = 0;
}

static void sbxi_lz_literal(sbxi_lz *z)
{
    z->codes->words[z->ring[z->at]]++;
    if (++z->lits == 255) sbxi_lz_add(z, 0, 0);
    sbxi_lz_advance(z, 1);
}

static void sbxi_lz_match(sbxi_lz *z, unsigned len, unsigned distance)
{
    unsigned bits;
    z->codes->words[sbxi_lz_length(len - 3, &bits)]++;
    z->extra += bits;
    z->codes->words[SBXI_LZ_LITS + sbxi_lz_symbol(distance - 1, 1, &bits)]++;
    z->extra += bits;
    sbxi_lz_add(z, len - 3, distance);
    sbxi_lz_advance(z, len);
}

/* Remembers a place; the one before it of the same hash. */
static unsigned sbxi_lz_insert(sbxi_lz *z, unsigned place)
{
    const unsigned char *p = z->ring + place;
    uint32_t v = (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16) * 0x9E3779B1u;
    uint16_t *head = &z->heads[v >> 16 & (z->step->hashes - 1u)];
    z->before[place] = *head;
    *head = (uint16_t)place;
    return z->before[place];
}

/* How much is the same at both places, if more than `best`. */
static unsigned sbxi_lz_same(const unsigned char *p, const unsigned char *q, unsigned best,
    unsigned most)
{
    unsigned n = 0;
    if (p[best] == q[best])
        while (n < most && p[n] == q[n]) n++;
    return n;
}

/* The longest match `skip` bytes on, and its place is remembered. 0: none. */
static unsigned sbxi_lz_find(sbxi_lz *z, unsigned skip, unsigned *distance)
{
    unsigned most = SBXI_MIN(z->ahead - skip, SBXI_LZ_LONG), best = 2, tries, last = 0, far, n;
    unsigned behind = SBXI_MIN(z->behind + skip, z->step->window), place, from;
    if (z->ahead < skip + 3) return 0;
    place = sbxi_lz_wrap(z, (uint32_t)z->at + skip);
    from = sbxi_lz_insert(z, place);
    for (tries = z->step->tries; tries && best < most; tries--, from = z->before[from]) {
        far = sbxi_lz_wrap(z, (uint32_t)place + z->size - from);
        if (far <= last || far > behind) break;
        last = far;
        n = sbxi_lz_same(z->ring + place, z->ring + from, best, most);
        if (n <= best) continue;
        best = n;
        *distance = far;
    }
    return best > 2 ? best : 0;
}

/* The next literal or match. A match is held back if there is a longer one behind it. */
static void sbxi_lz_parse(sbxi_lz *z)
{
    unsigned len = z->have_len, distance = z->have_distance, next = 0, next_distance = 0, i = 1;
    z->have_len = 0;
    if (!len) len = sbxi_lz_find(z, 0, &distance);
    if (!len) {
        sbxi_lz_literal(z);
        return;
    }
    if (len < z->step->lazy) {
        next = sbxi_lz_find(z, 1, &next_distance);
        i = 2;
    }
    if (next > len) {
        sbxi_lz_literal(z);
        z->have_len = (uint16_t)next;
        z->have_distance = (uint16_t)next_distance;
        return;
    }
    for (; i < len && i + 3 <= z->ahead; i++)
        (void)sbxi_lz_insert(z, sbxi_lz_wrap(z, (uint32_t)z->at + i));
    sbxi_lz_match(z, len, distance);
}

/* The form in which the block is shortest, 0: as it is; its code is made, its head put. */
static void sbxi_lz_choose(sbxi_lz *z)
{
    sbxi_lz_codes *c = z->codes;
    sbxi_lz_head head;
    uint32_t own, fixed = 0, raw = (uint32_t)z->span * 8 + 32 + ((5u - z->nbits) & 7);
    unsigned i, form;
    if (z->lits) sbxi_lz_add(z, 0, 0);
    c->words[256] = 1;
    own = sbxi_lz_own(c, &head);
    for (i = 0; i < SBXI_LZ_WORDS; i++) fixed += (uint32_t)c->words[i] * sbxi_lz_fixed(i);
    form = own < fixed ? 2 : 1;
    if (raw <= SBXI_MIN(own, fixed) + z->extra) form = 0;
    z->state = form ? SBXI_LZ_CODED : SBXI_LZ_RAW;
    sbxi_lz_put(z, z->last + 2 * form, 3);
    if (form == 1)
        for (i = 0; i < SBXI_LZ_WORDS; i++) c->lens[i] = (uint8_t)sbxi_lz_fixed(i);
    sbxi_lz_words(c->lens, SBXI_LZ_LITS, c->words);
    sbxi_lz_words(c->lens + SBXI_LZ_LITS, 30, c->words + SBXI_LZ_LITS);
    if (form == 2) sbxi_lz_put_head(z, &head);
    z->seq = 0;
    z->left = z->count ? z->seqs->lits : 0;
}

static void sbxi_lz_word(sbxi_lz *z, unsigned i)
{
    sbxi_lz_put(z, z->codes->words[i], z->codes->lens[i]);
}

/* As much of the block as there is room for. */
static void sbxi_lz_coded(sbxi_lz *z)
{
    const size_t room = sizeof z->codes->symbols + sizeof z->codes->keys - 8;
    unsigned bits, symbol;
    while (z->out_len < room) {
        const sbxi_seq *s = &z->seqs[z->seq];
        if (z->left) {
            z->left--;
            sbxi_lz_word(z, z->ring[z->from]);
            z->from = sbxi_lz_wrap(z, z->from + 1u);
            continue;
        }
        if (z->seq == z->count) {
            sbxi_lz_word(z, 256);
            memset(z->codes->words, 0, sizeof z->codes->words);
            sbxi_lz_next(z);
            return;
        }
        if (s->distance) {
            sbxi_lz_word(z, sbxi_lz_length(s->len, &bits));
            sbxi_lz_put(z, s->len & ((1u << bits) - 1), bits);
            symbol = sbxi_lz_symbol(s->distance - 1u, 1, &bits);
            sbxi_lz_word(z, SBXI_LZ_LITS + symbol);
            sbxi_lz_put(z, (s->distance - 1u) & ((1u << bits) - 1), bits);
            z->from = sbxi_lz_wrap(z, (uint32_t)z->from + s->len + 3);
        }
        if (++z->seq < z->count) z->left = z->seqs[z->seq].lits;
    }
}

#endif

/* ---- the stream -------------------------------------------------------------- */

/* The block is gathered. */
static void sbxi_lz_close(sbxi_lz *z)
{
    z->from = sbxi_lz_wrap(z, (uint32_t)z->at + z->size - z->span);
    z->state = SBXI_LZ_RAW;
#ifndef SBX_NO_GZIP
    if (z->step->seqs) sbxi_lz_choose(z);
    else
#endif
        sbxi_lz_put(z, z->last, 3);
    if (z->state != SBXI_LZ_RAW) return;
    sbxi_lz_put(z, 0, (8u - z->nbits) & 7);
    sbxi_lz_put(z, z->span, 16);
    sbxi_lz_put(z, 0xFFFFu - z->span, 16);
    z->left = z->span;
}

/* What the ring has room for, 1 byte at least when that is called. What is stored
   needs no window, but its block. */
static void sbxi_lz_fill(sbxi_lz *z, sbxi_flow *io)
{
    unsigned keep = z->step->seqs ? z->step->window : z->span, i;
    unsigned place = sbxi_lz_wrap(z, (uint32_t)z->at + z->ahead);
    size_t n = SBXI_MIN(io->in_len, SBXI_MIN(z->size - keep - z->ahead, z->size - place));
    memcpy(z->ring + place, io->in, n);
    for (i = place; z->step->seqs && i < place + n && i < SBXI_LZ_LONG; i++)
        z->ring[z->size + i] = z->ring[i]; /* so that a match need not wrap */
    io->in += n;
    io->in_len -= n;
    z->ahead = (uint16_t)(z->ahead + n);
}

/* Bytes of the block that may still come before it goes out. */
static unsigned sbxi_lz_left(const sbxi_lz *z)
{
    unsigned most = z->step->window;
    if (z->step->seqs) {
        if (z->count + 2u >= z->step->seqs) return 0;
        most -= SBXI_LZ_LONG;
    }
    return z->span < most ? most - z->span : 0;
}

/* Goes on with a block. False: bytes are lacking. */
static bool sbxi_lz_gather(sbxi_lz *z, sbxi_flow *io, bool finish)
{
    const sbxi_lz_step *s = z->step;
    unsigned need = s->seqs ? SBXI_LZ_LONG + 3 : 1;
    unsigned left;
    for (;;) {
        while (z->ahead < need && io->in_len) sbxi_lz_fill(z, io);
        if (z->ahead < need && !finish) return false;
        z->last = !z->ahead;
        left = sbxi_lz_left(z);
        if (z->last || !left) break;
#ifndef SBX_NO_GZIP
        if (s->seqs) sbxi_lz_parse(z);
        else
#endif
            sbxi_lz_advance(z, SBXI_MIN(z->ahead, left));
    }
    sbxi_lz_close(z);
    return true;
}

static void sbxi_lz_raw(sbxi_lz *z, sbxi_flow *io)
{
    size_t n = SBXI_MIN(io->out_len, SBXI_MIN(z->left, (unsigned)z->size - z->from));
    memcpy(io->out, z->ring + z->from, n);
    io->out += n;
    io->out_len -= n;
    z->from = sbxi_lz_wrap(z, (uint32_t)z->from + (uint32_t)n);
    z->left = (uint16_t)(z->left - n);
}

/* A state machine. Takes from io->in, gives to io->out, as far as it gets: whenever it
   returns, the one is all taken or the other full. `finish`: nothing comes behind
   io->in; to be said again until it returns true: the whole stream is out. */
static bool sbxi_lz_run(sbxi_lz *z, sbxi_flow *io, bool finish)
{
    for (;;) {
        size_t n = SBXI_MIN(io->out_len, (size_t)(z->out_len - z->out_at));
        if (n) memcpy(io->out, z->out + z->out_at, n);
        io->out += n;
        io->out_len -= n;
        z->out_at = (uint16_t)(z->out_at + n);
        if (z->out_at < z->out_len) return false;
        z->out_at = z->out_len = 0;
        switch (z->state) {
        case SBXI_LZ_GATHER:
            if (!sbxi_lz_gather(z, io, finish)) return false;
            break;
#ifndef SBX_NO_GZIP
        case SBXI_LZ_CODED:
            sbxi_lz_coded(z);
            break;
#endif
        case SBXI_LZ_RAW:
            if (z->left && !io->out_len) return false;
            sbxi_lz_raw(z, io);
            if (z->left) break;
#ifndef SBX_NO_GZIP
            if (z->step->seqs) memset(z->codes->words, 0, sizeof z->codes->words);
#endif
            sbxi_lz_next(z);
            break;
        default: return true;
        }
    }
}

#endif

/* json/wide - looks at JSON text 16 bytes at a time. Pure scanning for json/read:
   no state, no callbacks; each function takes what it is sure of and leaves the
   rest to the state machine, which judges. Only where the compiler has 16-byte
   vectors for a little-endian CPU; elsewhere, and with SBX_NO_SWAR, it is empty. */

#if !defined(SBX_NO_SWAR) && defined(__GNUC__) && __GNUC__ >= 4 \
    && ((defined(__x86_64__) && defined(__SSE2__)) \
        || (defined(__aarch64__) && !defined(__AARCH64EB__)))
#define SBXI_WIDE 1
#else
#define SBXI_WIDE 0
#endif

#if SBXI_WIDE
typedef uint8_t sbxi_v16 __attribute__((vector_size(16)));
typedef signed char sbxi_s16 __attribute__((vector_size(16)));

static inline sbxi_v16 sbxi_load16(const char *p)
{
    sbxi_v16 v;
    memcpy(&v, p, 16);
    return v;
}

/* Bit i is the high bit of byte i. */
static inline uint32_t sbxi_mask16(sbxi_v16 v)
{
#if defined(__SSE2__)
    typedef char chars __attribute__((vector_size(16)));
    return (uint32_t)__builtin_ia32_pmovmskb128((chars)v);
#else
    const uint64_t ones = 0x8080808080808080u, gather = 0x0002040810204081u;
    uint64_t half[2];
    memcpy(half, &v, 16);
    return (uint32_t)((half[0] & ones) * gather >> 56 | ((half[1] & ones) * gather >> 56) << 8);
#endif
}

#define SBXI_LOWEST(mask) ((unsigned)__builtin_ctzll(mask))

/* Quotes, backslashes, control characters and, as these compare below, all that
   is not ASCII. */
static inline uint32_t sbxi_json_stops16(sbxi_v16 v)
{
    return sbxi_mask16((sbxi_v16)(((sbxi_s16)v < 0x20) | (v == '"') | (v == '\\')));
}

/* Passes the plain ASCII of a string. Of p < end it leaves at least one byte. */
static inline const char *sbxi_json_plain16(const char *p, const char *end)
{
    for (; end - p > 16; p += 16) {
        uint32_t stops = sbxi_json_stops16(sbxi_load16(p));
        if (stops) return p + SBXI_LOWEST(stops);
    }
    return p;
}

/* Bytes that are no white space. */
static inline uint32_t sbxi_json_inks16(const char *p)
{
    sbxi_v16 v = sbxi_load16(p);
    return 0xFFFF ^ sbxi_mask16((sbxi_v16)((v == ' ') | (v == '\n') | (v == '\r') | (v == '\t')));
}

/* Passes white space, leaves at least one byte. */
static inline const char *sbxi_json_spaces16(const char *p, const char *end)
{
    for (; end - p > 16; p += 16) {
        uint32_t inks = sbxi_json_inks16(p);
        if (inks) return p + SBXI_LOWEST(inks);
    }
    return p;
}

/* The same between two members, where it is nearly always as long as before: a
   guess that is only checked need not wait for the count. */
static inline const char *sbxi_json_indent16(const char *p, const char *end, unsigned *guess)
{
    uint32_t inks, last = (uint32_t)1 << *guess;
    if (end - p <= 16) return p;
    inks = sbxi_json_inks16(p);
    if ((inks & (2 * last - 1)) == last) return p + *guess;
    *guess = inks ? SBXI_LOWEST(inks) : 0;
    return sbxi_json_spaces16(p, end);
}

/* Which of 16 bytes are wrong as UTF-8, judged with the 3 before them. */
static inline uint32_t sbxi_utf8_bad16(const char *p)
{
    sbxi_v16 v = sbxi_load16(p), a = sbxi_load16(p - 1);
    sbxi_v16 needed = (sbxi_v16)((a >= 0xC0) | (sbxi_load16(p - 2) >= 0xE0)
        | (sbxi_load16(p - 3) >= 0xF0));
    sbxi_v16 bad = needed ^ (sbxi_v16)((v & 0xC0) == 0x80);
    bad |= (sbxi_v16)(((v & 0xFE) == 0xC0) | (v >= 0xF5)); /* overlong; nothing begins so */
    bad |= (sbxi_v16)(((a == 0xE0) & (v < 0xA0)) | ((a == 0xED) & (v > 0x9F))); /* surrogates */
    bad |= (sbxi_v16)(((a == 0xF0) & (v < 0x90)) | ((a == 0xF4) & (v > 0x8F)));
    return sbxi_mask16(bad);
}

/* The end of the last whole character of good UTF-8 that may be cut at p. */
static const char *sbxi_utf8_whole(const char *p, const char *from)
{
    int back;
    for (back = 1; back <= 3 && p - back >= from; back++) {
        unsigned char c = (unsigned char)p[-back];
        if (c >= 0xC0) return c >= (back == 1 ? 0xC0 : back == 2 ? 0xE0 : 0xF0) ? p - back : p;
        if (c < 0x80) break;
    }
    return p;
}

/* Passes the text of a string, ASCII or not. p is at the beginning of a character,
   and so is what it returns; the 3 bytes before the first block that is not ASCII
   are looked at, so that must not be nearer to `begin` than that. */
static const char *sbxi_json_text16(const char *p, const char *end, const char *begin)
{
    const char *whole = p;
    uint32_t high, before = 0, stops;
    for (; end - p >= 16; p += 16) {
        sbxi_v16 v = sbxi_load16(p);
        high = sbxi_mask16(v);
        stops = sbxi_json_stops16(v) & ~high;
        if (high || before >> 13) {
            if (p - begin < 3) break;
            /* What stands behind the first stop is not of this string. */
            if (sbxi_utf8_bad16(p) & (stops ^ (stops - 1))) break;
        }
        if (stops) return p + SBXI_LOWEST(stops);
        before = high;
    }
    return sbxi_utf8_whole(p, whole);
}

/* Length of the number at p, which has 40 bytes; 0: it is longer than 32 or none. */
static inline unsigned sbxi_json_number32(const char *p)
{
    unsigned minus = *p == '-', n, from;
    uint64_t others;
    sbxi_v16 a, b;
    p += minus;
    a = sbxi_load16(p) - '0';
    b = sbxi_load16(p + 16) - '0';
    others = sbxi_mask16((sbxi_v16)(a > 9)) | (uint64_t)sbxi_mask16((sbxi_v16)(b > 9)) << 16
        | (uint64_t)31 << 32;
    n = SBXI_LOWEST(others);
    if (n == 0 || (n > 1 && *p == '0')) return 0;
    if (p[n] == '.') {
        from = n + 1;
        others &= others - 1;
        n = SBXI_LOWEST(others);
        if (n == from) return 0;
    }
    if ((p[n] | 0x20) == 'e') {
        from = n + 1;
        if (p[from] == '+' || p[from] == '-') {
            from++;
            others &= others - 1;
        }
        others &= others - 1;
        n = SBXI_LOWEST(others);
        if (n == from) return 0;
    }
    return n < 32 ? n + minus : 0;
}

/* Value of 4 hex digits, above 0xFFFF if they are not. */
static uint32_t sbxi_json_hex4(const char *p)
{
#define SBXI_X16 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16
#define SBXI_AF 16, 10, 11, 12, 13, 14, 15, 16, 16, 16, 16, 16, 16, 16, 16, 16
    static const uint8_t value[128] = {
        SBXI_X16, SBXI_X16, SBXI_X16,
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 16, 16, 16, 16, 16,
        SBXI_AF, SBXI_X16, SBXI_AF, SBXI_X16
    };
#undef SBXI_X16
#undef SBXI_AF
    const unsigned char *u = (const unsigned char *)p;
    uint32_t a, b, c, d;
    if ((u[0] | u[1] | u[2] | u[3]) & 0x80) return 0x10000;
    a = value[u[0]];
    b = value[u[1]];
    c = value[u[2]];
    d = value[u[3]];
    return (a | b | c | d) & 16 ? 0x10000 : a << 12 | b << 8 | c << 4 | d;
}
#endif
/* json/read - the push tokenizer (public: section 13). Used by the binder and by
   programs.

   Invariants: every byte is looked at once and never again; `start` is the first
   byte of the run that has not been handed out or copied yet; len_ bytes of
   token_ come before that run. A token goes to token_ only when it cannot be
   pointed at: split over two pieces, or holding escapes. Containers are bits of
   stack_, so nesting costs neither recursion nor memory. */

/* States below STRING expect structure and skip white space. */
enum {
    SBXI_J_VALUE, SBXI_J_FIRST_VALUE, SBXI_J_KEY, SBXI_J_FIRST_KEY, SBXI_J_COLON,
    SBXI_J_AFTER, SBXI_J_STRING, SBXI_J_UTF8, SBXI_J_NUMBER, SBXI_J_ESCAPE,
    SBXI_J_HEX, SBXI_J_LITERAL
};

#define SBXI_J_IS_KEY 0x80u /* in flags_: the string being read is a key */

/* One byte of UTF-8. u: bytes still needed, bounds of the next one. False: not
   UTF-8 (overlong, surrogate, above U+10FFFF, or out of place). */
static bool sbxi_utf8_step(uint8_t u[3], unsigned char c)
{
    if (u[0]) {
        if (c < u[1] || c > u[2]) return false;
        u[0]--;
    } else if (c < 0x80) {
        return true;
    } else {
        if (c < 0xC2 || c > 0xF4) return false;
        u[0] = (uint8_t)(1 + (c >= 0xE0) + (c >= 0xF0));
    }
    u[1] = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    u[2] = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    return true;
}

static SBXI_MAYBE bool sbxi_is_utf8(sbxi_span text)
{
    uint8_t u[3] = { 0, 0, 0 };
    size_t i;
    for (i = 0; i < text.len; i++)
        if (!sbxi_utf8_step(u, (unsigned char)text.ptr[i])) return false;
    return !u[0];
}

/* UTF-8 of a code point, which is no surrogate. Returns 1 to 4. */
static size_t sbxi_utf8_put(char out[4], uint32_t code)
{
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4, i = n;
    static const uint8_t lead[4] = { 0, 0xC0, 0xE0, 0xF0 };
    while (--i > 0) {
        out[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    out[0] = (char)(lead[n - 1] | code);
    return n;
}

static void sbxi_json_emit(sbx_json_reader *r, unsigned type, const char *text,
    size_t len, unsigned flags)
{
    sbx_json_event ev;
    ev.type = (sbx_json_type)type;
    ev.flags = flags & ~SBXI_J_IS_KEY;
    ev.depth = r->depth_;
    ev.text = text;
    ev.len = len;
    r->status_ = r->fn_(r->ctx_, &ev);
}

/* Keeps n bytes in token_, cut at its end. */
static void sbxi_json_keep(sbx_json_reader *r, const char *text, size_t n)
{
    size_t room = SBX_JSON_TOKEN - (size_t)r->len_;
    if (n > room) {
        n = room;
        r->flags_ |= SBX_JSON_CUT;
    }
    memcpy(r->token_ + r->len_, text, n);
    r->len_ = (uint8_t)(r->len_ + n);
}

static void sbxi_json_keep_code(sbx_json_reader *r, uint32_t code)
{
    char utf8[4];
    sbxi_json_keep(r, utf8, sbxi_utf8_put(utf8, code));
}

/* Half a surrogate pair stood alone. */
static void sbxi_json_lone(sbx_json_reader *r)
{
    r->high_ = 0;
    r->flags_ |= SBX_JSON_LONE;
    sbxi_json_keep_code(r, 0xFFFD);
}

/* A \uXXXX is complete. */
static void sbxi_json_unit(sbx_json_reader *r, uint32_t code)
{
    unsigned half = (unsigned)code >> 10;
    if (r->high_ && half == 0xDC00u >> 10) {
        code = 0x10000 + (((uint32_t)r->high_ & 0x3FF) << 10) + (code & 0x3FF);
        r->high_ = 0;
        sbxi_json_keep_code(r, code);
        return;
    }
    if (r->high_) sbxi_json_lone(r);
    if (half == 0xD800u >> 10) r->high_ = (uint16_t)code;
    else if (half == 0xDC00u >> 10) sbxi_json_lone(r);
    else sbxi_json_keep_code(r, code);
}

/* Hands out a whole token, or the last piece of a string. */
static void sbxi_json_token(sbx_json_reader *r, unsigned type, const char *start,
    size_t n)
{
    if (r->len_) {
        sbxi_json_keep(r, start, n);
        start = r->token_;
        n = r->len_;
    } else if (type != SBX_JSON_STRING && n > SBX_JSON_TOKEN) {
        n = SBX_JSON_TOKEN;
        r->flags_ |= SBX_JSON_CUT;
    }
    r->len_ = 0;
    sbxi_json_emit(r, type, start, n, r->flags_);
}

/* The run ends without the token being complete: keys and numbers are kept, a
   piece of a string is handed out. A string never has both kept and run. */
static void sbxi_json_run(sbx_json_reader *r, unsigned state, const char *start,
    size_t n)
{
    if (state == SBXI_J_NUMBER || (r->flags_ & SBXI_J_IS_KEY)) {
        sbxi_json_keep(r, start, n);
        return;
    }
    if (r->len_) {
        start = r->token_;
        n = r->len_;
        r->len_ = 0;
    }
    if (n) sbxi_json_emit(r, SBX_JSON_STRING, start, n, r->flags_ | SBX_JSON_MORE);
}

/* Next state of a number: 8 it ended before c, 9 it is none. Rows: after the
   sign, after 0, in the integer, after the point, in the fraction, after e,
   after its sign, in the exponent. Columns: 0, 1-9, point, e, sign, others. */
static unsigned sbxi_json_number(unsigned state, char c)
{
    static const uint8_t next[8][6] = {
        { 1, 2, 9, 9, 9, 9 }, { 8, 8, 3, 5, 8, 8 }, { 2, 2, 3, 5, 8, 8 },
        { 4, 4, 9, 9, 9, 9 }, { 4, 4, 8, 5, 8, 8 }, { 7, 7, 9, 9, 6, 9 },
        { 7, 7, 9, 9, 9, 9 }, { 7, 7, 8, 8, 8, 8 }
    };
    return next[state][c == '0' ? 0 : sbxi_is_digit(c) ? 1 : c == '.' ? 2 :
        sbxi_lower(c) == 'e' ? 3 : c == '-' || c == '+' ? 4 : 5];
}

#if SBXI_WIDE
#define SBXI_J_PIECE 176 /* of a string with escapes, gathered */
#define SBXI_J_AHEAD 48  /* bytes that must lie ahead of a token */

/* One whole escape at p, which has 12 bytes; NULL: left to the state machine. */
static const char *sbxi_json_escape_at(const char *p, char **out)
{
    static const char simple[128] = { ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t' };
    uint32_t code, low;
    if (p[1] == 'u') {
        code = sbxi_json_hex4(p + 2);
        p += 6;
        if (code > 0xFFFF) return NULL;
        if (code >= 0xD800 && code < 0xE000) {
            low = p[0] == '\\' && p[1] == 'u' ? sbxi_json_hex4(p + 2) : 0;
            if (code >= 0xDC00 || low < 0xDC00 || low > 0xDFFF) return NULL;
            code = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF);
            p += 6;
        }
        *out += sbxi_utf8_put(*out, code);
        return p;
    }
    if ((p[1] & 0x80) || !simple[(unsigned char)p[1]]) return NULL;
    *(*out)++ = simple[(unsigned char)p[1]];
    return p + 2;
}

/* Whole escapes at p, as often one follows another, while out is not behind `full`.
   Returns p if the first is left to the state machine. */
static const char *sbxi_json_escapes(const char *p, const char *end, char **out,
    const char *full)
{
    const char *next = p;
    do {
        p = next;
        next = sbxi_json_escape_at(p, out);
    } while (next && end - next >= 12 && *next == '\\' && *out <= full);
    return next ? next : p;
}

/* A string value from its first escape on, gathered to larger pieces than one
   between two escapes. Stops early at anything unusual. Returns the new position,
   behind the closing quote if *done. */
static const char *sbxi_json_unescape(sbx_json_reader *r, const char *p, const char *end,
    bool *done)
{
    char piece[SBXI_J_PIECE], *out = piece;
    const char *next, *begin = p;
    while (end - p >= SBXI_J_AHEAD && out - piece <= SBXI_J_PIECE - 16) {
        if (*p == '"') {
            *done = true;
            p++;
            break;
        }
        if (*p == '\\') {
            next = sbxi_json_escapes(p, end, &out, piece + SBXI_J_PIECE - 16);
        } else {
            uint32_t stops = sbxi_json_stops16(sbxi_load16(p));
            memcpy(out, p, 16);
            next = p + (stops ? SBXI_LOWEST(stops) : 16);
            if (next == p) {
                ptrdiff_t room = piece + SBXI_J_PIECE - out;
                next = sbxi_json_text16(p, p + SBXI_MIN(end - p, room), begin);
                memcpy(out, p, (size_t)(next - p));
            }
            out += next - p;
        }
        if (next == p) break;
        p = next;
    }
    if (*done) sbxi_json_token(r, SBX_JSON_STRING, piece, (size_t)(out - piece));
    else sbxi_json_run(r, SBXI_J_STRING, piece, (size_t)(out - piece));
    return p;
}
#endif

/* Is the innermost container an object? There is one. */
static bool sbxi_json_in_object(const sbx_json_reader *r)
{
    unsigned d = r->depth_ - 1u;
    return r->stack_[d >> 5] >> (d & 31) & 1;
}

/* c opens a container. */
static unsigned sbxi_json_open(sbx_json_reader *r, unsigned char c)
{
    unsigned d = r->depth_;
    uint32_t bit = (uint32_t)1 << (d & 31);
    if (d >= SBX_MAX_JSON_DEPTH) {
        r->status_ = SBX_E_TOO_LARGE;
        return SBXI_J_VALUE;
    }
    r->stack_[d >> 5] &= ~bit;
    if (c == '{') r->stack_[d >> 5] |= bit;
    sbxi_json_emit(r, c == '{' ? SBX_JSON_OBJECT : SBX_JSON_ARRAY, NULL, 0, 0);
    r->depth_++;
    return c == '{' ? SBXI_J_FIRST_KEY : SBXI_J_FIRST_VALUE;
}

#if SBXI_WIDE
/* The other state machine, for what most text is made of: whole tokens, none of
   them split, escaped, long or other than ASCII. It hands those out one after the
   other and leaves anything else, errors above all, to sbx_json_feed(): a token
   that it does not finish has not happened, except that the beginning of a string
   is found (*state is then SBXI_J_STRING, *start its first byte). */
static const char *sbxi_json_quick(sbx_json_reader *r, const char *p, const char *end,
    unsigned *state, const char **start)
{
#define SBXI_J_EMIT(what, from, n) (ev.type = (what), ev.text = (from), ev.len = (size_t)(n), \
    r->status_ = r->fn_(r->ctx_, &ev))
#define SBXI_J_SPACES() do { if ((unsigned char)*p <= ' ') p = sbxi_json_spaces16(p, end); \
    } while (0)
    bool object = r->depth_ && sbxi_json_in_object(r);
    sbx_json_event ev;
    const char *text;
    unsigned at = *state, n, indent = 0;
    char c;
    ev.flags = 0;
    ev.depth = r->depth_;
    SBXI_J_SPACES();
    if (at == SBXI_J_AFTER) goto after;
    if (at == SBXI_J_COLON) goto colon;
    if (at == SBXI_J_FIRST_KEY && *p == '}') goto close;
    if (at == SBXI_J_FIRST_VALUE && *p == ']') goto close;
    if (at >= SBXI_J_KEY) goto key;
value:
    if (end - p < SBXI_J_AHEAD) goto out;
    c = *p;
    if (c == '"') {
        text = p + 1;
        p = sbxi_json_plain16(text, end);
        if (*p != '"') {
            r->flags_ = 0;
            goto string;
        }
        at = SBXI_J_AFTER;
        SBXI_J_EMIT(SBX_JSON_STRING, text, p - text);
        p++;
    } else if (c == '-' || sbxi_is_digit(c)) {
        n = sbxi_json_number32(p);
        if (n == 0) goto out;
        at = SBXI_J_AFTER;
        SBXI_J_EMIT(SBX_JSON_NUMBER, p, n);
        p += n;
    } else if (c == '{' || c == '[') {
        at = sbxi_json_open(r, (unsigned char)c);
        p++;
        if (r->status_) goto out;
        object = c == '{';
        ev.depth = r->depth_;
        SBXI_J_SPACES();
        if (*p == (object ? '}' : ']')) goto close;
        if (object) goto key;
        goto value;
    } else {
        n = memcmp(p, "true", 4) == 0 ? 4 : memcmp(p, "null", 4) == 0 ? 4 :
            memcmp(p, "false", 5) == 0 ? 5 : 0;
        if (n == 0) goto out;
        at = SBXI_J_AFTER;
        SBXI_J_EMIT(c == 't' ? SBX_JSON_TRUE : c == 'f' ? SBX_JSON_FALSE : SBX_JSON_NULL, NULL, 0);
        p += n;
    }
    if (r->status_ || p == end) goto out;
after:
    SBXI_J_SPACES();
    if (ev.depth == 0) goto out;
    if (*p == ',') {
        p++;
        at = object ? SBXI_J_KEY : SBXI_J_VALUE;
        if (p == end) goto out;
        if ((unsigned char)*p <= ' ') p = sbxi_json_indent16(p, end, &indent);
        if (!object) goto value;
    } else if (*p == (object ? '}' : ']')) {
        goto close;
    } else {
        goto out;
    }
key:
    if (end - p < SBXI_J_AHEAD || *p != '"') goto out;
    text = p + 1;
    p = sbxi_json_plain16(text, end);
    if (*p != '"' || p - text > SBX_JSON_TOKEN) {
        r->flags_ = SBXI_J_IS_KEY;
        goto string;
    }
    at = SBXI_J_COLON;
    SBXI_J_EMIT(SBX_JSON_KEY, text, p - text);
    p++;
    if (r->status_ || p == end) goto out;
colon:
    SBXI_J_SPACES();
    if (*p != ':') goto out;
    at = SBXI_J_VALUE;
    if (++p == end) goto out;
    if (*p == ' ' && ++p == end) goto out; /* the usual one */
    SBXI_J_SPACES();
    goto value;
close:
    c = *p++;
    ev.depth = --r->depth_;
    at = SBXI_J_AFTER;
    SBXI_J_EMIT(c == '}' ? SBX_JSON_OBJECT_END : SBX_JSON_ARRAY_END, NULL, 0);
    object = ev.depth && sbxi_json_in_object(r);
    if (r->status_ || p == end) goto out;
    goto after;
string:
    at = SBXI_J_STRING;
    *start = text;
out:
    *state = at;
    return p;
#undef SBXI_J_EMIT
#undef SBXI_J_SPACES
}
#endif

static const char sbxi_json_words[] = "true\0false\0null";

SBX_API void sbx_json_init(sbx_json_reader *reader, sbx_json_fn fn, void *ctx)
{
    memset(reader, 0, sizeof *reader);
    reader->fn_ = fn;
    reader->ctx_ = ctx;
}

/* The state machine: long on purpose, one state a case. Leaving by `bad` keeps
   p on the offender. */
SBX_API int sbx_json_feed(sbx_json_reader *reader, const char *data, size_t len,
    size_t *used)
{
    sbx_json_reader *r = reader;
    const char *p = data, *start = data, *end;
    unsigned state = r->state_, next;
    int digit;
    if (r->status_ > 0) r->status_ = SBX_OK;
    if (r->status_ < 0 || len == 0) {
        if (used) *used = 0;
        return r->status_;
    }
    end = data + len;
    while (p != end && r->status_ == SBX_OK) {
        unsigned char c;
#if SBXI_WIDE
        if (state < SBXI_J_STRING && end - p >= SBXI_J_AHEAD) {
            p = sbxi_json_quick(r, p, end, &state, &start);
            if (p == end || r->status_ != SBX_OK) break;
        }
#endif
        c = (unsigned char)*p;
        if (state < SBXI_J_STRING && (c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
            p++;
            continue;
        }
        switch (state) {
        case SBXI_J_FIRST_VALUE:
            if (c == ']') goto close;
            /* fall through */
        case SBXI_J_VALUE:
            r->flags_ = 0;
            start = p++;
            if (c == '"') {
                start = p;
                state = SBXI_J_STRING;
            } else if (c == '{' || c == '[') {
                state = sbxi_json_open(r, c);
            } else if (c == '-' || sbxi_is_digit((char)c)) {
                r->sub_ = c == '-' ? 0 : c == '0' ? 1 : 2;
                state = SBXI_J_NUMBER;
            } else {
                r->sub_ = c == 't' ? 1 : c == 'f' ? 6 : 12;
                if (c != sbxi_json_words[r->sub_ - 1]) goto bad_before;
                state = SBXI_J_LITERAL;
            }
            break;
        case SBXI_J_FIRST_KEY:
            if (c == '}') goto close;
            /* fall through */
        case SBXI_J_KEY:
            if (c != '"') goto bad;
            r->flags_ = SBXI_J_IS_KEY;
            start = ++p;
            state = SBXI_J_STRING;
            break;
        case SBXI_J_COLON:
            if (c != ':') goto bad;
            p++;
            state = SBXI_J_VALUE;
            break;
        case SBXI_J_AFTER:
            if (r->depth_ == 0) goto bad;
            if (c != ',') {
                if (c != (sbxi_json_in_object(r) ? '}' : ']')) goto bad;
                goto close;
            }
            p++;
            state = sbxi_json_in_object(r) ? SBXI_J_KEY : SBXI_J_VALUE;
            break;
        close:
            r->depth_--;
            sbxi_json_emit(r, c == '}' ? SBX_JSON_OBJECT_END : SBX_JSON_ARRAY_END, NULL, 0, 0);
            p++;
            state = SBXI_J_AFTER;
            break;
        case SBXI_J_STRING:
            if (r->high_ && c != '\\') sbxi_json_lone(r);
            /* Room for the longest growth by one escape must stay: 6 bytes. */
            if (r->len_ && c != '"' && !(r->flags_ & SBXI_J_IS_KEY)
                && (c != '\\' || r->len_ > SBX_JSON_TOKEN - 8)) {
                sbxi_json_run(r, state, p, 0);
                break;
            }
#if SBXI_WIDE
            if (c == '\\' && p == start && !r->len_ && !r->high_ && !(r->flags_ & SBXI_J_IS_KEY)) {
                bool done = false;
                p = sbxi_json_unescape(r, p, end, &done);
                if (done) state = SBXI_J_AFTER;
                if (p != start) { /* else too near the end, or unusual */
                    start = p;
                    break;
                }
            }
            p = sbxi_json_text16(p, end, data);
#endif
            for (; p != end; p++) {
                c = (unsigned char)*p;
                if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') break;
            }
            if (p == end) break;
            if (c == '"') {
                next = r->flags_ & SBXI_J_IS_KEY;
                state = next ? SBXI_J_COLON : SBXI_J_AFTER;
                sbxi_json_token(r, next ? SBX_JSON_KEY : SBX_JSON_STRING, start,
                    (size_t)(p - start));
                p++;
            } else if (c == '\\') {
                if (p != start) {
                    sbxi_json_run(r, state, start, (size_t)(p - start));
                    start = p;
                } else {
                    start = ++p;
                    state = SBXI_J_ESCAPE;
                }
            } else {
                if (c < 0x20) goto bad;
                state = SBXI_J_UTF8;
            }
            break;
        case SBXI_J_UTF8:
            if (!sbxi_utf8_step(r->utf8_, c)) goto bad;
            p++;
            if (!r->utf8_[0]) state = SBXI_J_STRING;
            break;
        case SBXI_J_NUMBER:
            next = sbxi_json_number(r->sub_, (char)c);
            if (next == 9) goto bad;
            if (next == 8) {
                state = SBXI_J_AFTER;
                sbxi_json_token(r, SBX_JSON_NUMBER, start, (size_t)(p - start));
                break;
            }
            r->sub_ = (uint8_t)next;
            p++;
            break;
        case SBXI_J_ESCAPE:
            p++;
            state = SBXI_J_STRING;
            start = p;
            if (c == 'u') {
                r->sub_ = 4;
                state = SBXI_J_HEX;
            } else {
                static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
                const char *at = (const char *)memchr(from, c, 8);
                if (!at) goto bad_before;
                if (r->high_) sbxi_json_lone(r);
                sbxi_json_keep(r, to + (at - from), 1);
            }
            break;
        case SBXI_J_HEX:
            digit = sbxi_hex_value((char)c);
            if (digit < 0) goto bad;
            start = ++p;
            r->code_ = (uint16_t)((unsigned)r->code_ << 4 | (unsigned)digit);
            if (--r->sub_ == 0) {
                state = SBXI_J_STRING;
                sbxi_json_unit(r, r->code_);
            }
            break;
        default: /* SBXI_J_LITERAL */
            if (c != (unsigned char)sbxi_json_words[r->sub_]) goto bad;
            p++;
            if (sbxi_json_words[++r->sub_] == 0) {
                state = SBXI_J_AFTER;
                sbxi_json_emit(r, r->sub_ == 4 ? SBX_JSON_TRUE : r->sub_ == 10 ?
                    SBX_JSON_FALSE : SBX_JSON_NULL, NULL, 0, 0);
            }
            break;
        }
    }
    r->state_ = (uint8_t)state;
    if (r->status_ == SBX_OK && state >= SBXI_J_STRING && state != SBXI_J_LITERAL)
        sbxi_json_run(r, state, start, (size_t)(p - start));
    goto done;
bad_before:
    p--;
bad:
    r->status_ = SBX_E_BAD_JSON;
done:
    if (used) *used = (size_t)(p - data);
    return r->status_;
}

SBX_API int sbx_json_end(sbx_json_reader *reader)
{
    sbx_json_reader *r = reader;
    if (r->status_ < 0) return r->status_;
    r->status_ = SBX_OK;
    if (r->state_ == SBXI_J_NUMBER && sbxi_json_number(r->sub_, ' ') == 8) {
        r->state_ = SBXI_J_AFTER;
        sbxi_json_token(r, SBX_JSON_NUMBER, r->token_, 0);
        if (r->status_ == SBX_PENDING) r->status_ = SBX_OK; /* nothing is left to pause */
    }
    if (r->status_ == SBX_OK && (r->state_ != SBXI_J_AFTER || r->depth_))
        r->status_ = SBX_E_BAD_JSON;
    return r->status_;
}
/* json/write - the writer (public: section 13). Used by the binder, by operations
   that write bodies, and by programs. It keeps no stack: whether a comma is due
   follows from the last thing written, and balance is the caller's. */

static void sbxi_json_out(sbx_json_writer *w, const char *text, size_t len)
{
    if (w->status == SBX_OK && len && w->sink.put)
        w->status = w->sink.put(w->sink.ctx, text, len);
}

/* Before each value and key. */
static void sbxi_json_comma(sbx_json_writer *w)
{
    if (w->comma_ && !w->after_key_) sbxi_json_out(w, ",", 1);
    w->comma_ = 1;
    w->after_key_ = 0;
}

SBX_API void sbx_json_raw(sbx_json_writer *w, const char *json, size_t len)
{
    sbxi_json_comma(w);
    sbxi_json_out(w, json, len);
}

static void sbxi_json_begin(sbx_json_writer *w, const char *bracket)
{
    sbx_json_raw(w, bracket, 1);
    w->comma_ = 0;
}

static void sbxi_json_close(sbx_json_writer *w, const char *bracket)
{
    sbxi_json_out(w, bracket, 1);
    w->comma_ = 1;
}

SBX_API void sbx_json_writer_init(sbx_json_writer *w, sbx_sink sink)
{
    memset(w, 0, sizeof *w);
    w->sink = sink;
}

SBX_API void sbx_json_begin_object(sbx_json_writer *w) { sbxi_json_begin(w, "{"); }
SBX_API void sbx_json_end_object(sbx_json_writer *w) { sbxi_json_close(w, "}"); }
SBX_API void sbx_json_begin_array(sbx_json_writer *w) { sbxi_json_begin(w, "["); }
SBX_API void sbx_json_end_array(sbx_json_writer *w) { sbxi_json_close(w, "]"); }

/* The escape of c into out[6]. */
static size_t sbxi_json_escape(char *out, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *at = (const char *)memchr(from, c, 7);
    out[0] = '\\';
    out[1] = at ? to[at - from] : 'u';
    out[2] = out[3] = '0';
    out[4] = sbxi_hex[c >> 4];
    out[5] = (char)(sbxi_hex[c & 15] | 0x20);
    return at ? 2 : 6;
}

SBX_API void sbx_json_string(sbx_json_writer *w, const char *text, size_t len)
{
    uint8_t utf8[3] = { 0, 0, 0 };
    char escape[6];
    size_t i, start = 0;
    sbx_json_raw(w, "\"", 1);
    for (i = 0; i < len && w->status == SBX_OK; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!sbxi_utf8_step(utf8, c)) {
            w->status = SBX_E_ARG;
        } else if (c < 0x20 || c == '"' || c == '\\') {
            sbxi_json_out(w, text + start, i - start);
            sbxi_json_out(w, escape, sbxi_json_escape(escape, c));
            start = i + 1;
        }
    }
    if (utf8[0] && w->status == SBX_OK) w->status = SBX_E_ARG;
    if (i > start) sbxi_json_out(w, text + start, i - start);
    sbxi_json_out(w, "\"", 1);
}

SBX_API void sbx_json_text(sbx_json_writer *w, const char *text)
{
    sbx_json_string(w, text, strlen(text));
}

SBX_API void sbx_json_key(sbx_json_writer *w, const char *key)
{
    sbx_json_text(w, key);
    sbxi_json_out(w, ":", 1);
    w->after_key_ = 1;
}

SBX_API void sbx_json_int(sbx_json_writer *w, int64_t value)
{
    char digits[SBXI_DECIMAL_MAX + 1];
    size_t n = value < 0;
    digits[0] = '-';
    n += sbxi_print_u64(digits + n, n ? 0 - (uint64_t)value : (uint64_t)value);
    sbx_json_raw(w, digits, n);
}

SBX_API void sbx_json_bool(sbx_json_writer *w, bool value)
{
    sbx_json_raw(w, value ? "true" : "false", value ? 4 : 5);
}

SBX_API void sbx_json_null(sbx_json_writer *w) { sbx_json_raw(w, "null", 4); }

SBX_API void sbx_json_base64(sbx_json_writer *w, const void *data, size_t len)
{
    const unsigned char *in = (const unsigned char *)data;
    char quads[64];
    sbx_json_raw(w, "\"", 1);
    while (len > 0) {
        size_t n = SBXI_MIN(len, sizeof quads / 4 * 3);
        sbxi_json_out(w, quads, sbx_base64_encode(quads, in, n));
        in += n;
        len -= n;
    }
    sbxi_json_out(w, "\"", 1);
}
/* json/bind - field tables: a row binds one JSON member to one struct member, in
   both directions. Used by operations (requests, replies, items, events) and by
   provider tables.

   Reading is an sbx_json_fn. The result struct is the first thing in a block that
   grows; texts follow behind it, each behind a note that says which member it is
   for, arrays of pointers behind the texts of a list. As the block may move,
   pointers are set at the end, by going through the notes: a later one wins. Each
   item of an array (EACH) is bound into the end of the block, handed to a hook,
   and its place is used again. Without a block the struct is the caller's, and
   members that would need the block stay empty.
   A member of another kind than its row, an unknown key, and a key or number cut
   by the reader are skipped: replies grow, and that must not break old clients.
   Rows of one name stand next to each other; all are applied, so that an object
   can be noted and bound, or "code" be a number in one row and a word in the next.
   At most one of them is a STRING, a BYTES or a container. */

enum sbxi_type {
    SBXI_T_STRING,          /* const char * */
    SBXI_T_STRINGS, SBXI_T_PAIRS, /* the value is how many texts an entry has */
    SBXI_T_EACH,            /* array of objects to the item hook, sub: shape of one */
    /* up to here reading needs the block */
    SBXI_T_OBJECT,          /* members of the same struct, offset added; sub: shape */
    SBXI_T_SEEN,            /* bool: the key was there and not null; read only */
    SBXI_T_BOOL,            /* read only */
    SBXI_T_CHOICE,          /* sbx_choice: true, false, null */
    SBXI_T_BYTES,           /* base64: pieces of it to the hook, arg: id; written from
                               an sbx_bytes */
    SBXI_T_LITERAL,         /* sub: text of a constant string; write only */
    SBXI_T_RAW,             /* const char *: JSON as it is; write only */
    SBXI_T_PORTS,           /* sbx_ports; write only */
    SBXI_T_OBJECTS,         /* sbx_pairs as a list of objects, sub: const char *const
                               names[2] of value and key; write only */
    SBXI_T_MEMBERS,         /* sub: const sbxi_maker *, which writes any number of members
                               of the object from the struct; write only */
    SBXI_T_MILLI,           /* int32_t: thousandths of a number; read only */
    SBXI_T_INT, SBXI_T_UINT, SBXI_T_INT64, /* int32_t, uint32_t, int64_t (read only);
                               a string holding an integer is read too; clamped */
    SBXI_T_ENUM,            /* an enum; sub: const char *const names[], NULL at the
                               end; names[i], or the number itself, is i + 1, anything
                               else 0; read only */
    /* up to here it may come as a number */
    SBXI_T_TEXT,            /* char[arg], cut to fit; read only */
    SBXI_T_TIME             /* int64_t Unix ms, RFC 3339; read only */
};

typedef struct sbxi_maker {
    void (*members)(sbx_json_writer *w, const void *base);
} sbxi_maker;

#define SBXI_ALWAYS 1       /* arg: write it also when it is empty or zero */
#define SBXI_OR_NULL 2      /* arg: write null then */

typedef struct sbxi_field {
    const char *name;
    const void *sub;
    uint16_t offset;
    uint8_t arg, type;
} sbxi_field;

typedef struct sbxi_shape {
    const sbxi_field *fields;
    uint16_t count, size;   /* of rows; of the struct */
} sbxi_shape;

#define SBXI_SHAPE(fields_array, struct_type) \
    { fields_array, (uint16_t)SBXI_LEN(fields_array), (uint16_t)sizeof(struct_type) }

/* What sbx_pairs and sbx_strings look like, so one code serves both. */
typedef struct sbxi_items { const void *items; size_t count; } sbxi_items;

#define SBXI_LEVELS 6       /* of bound objects inside each other */
#define SBXI_EACH SIZE_MAX  /* base of a level that is an array of items */

/* Stands before the texts of a member, aligned. Offsets are in the block. */
typedef struct sbxi_note {
    size_t member, array;   /* array: the room for pointers; of one text the member */
    size_t texts;           /* how many follow, each with its NUL */
} sbxi_note;

typedef struct sbxi_level {
    const sbxi_shape *shape;
    size_t base;            /* offset of the struct, or SBXI_EACH */
    const sbxi_field *hint; /* row to look at first */
} sbxi_level;

typedef struct sbxi_bind {
    int (*item)(void *ctx, void *item); /* set where the table has EACH */
    int (*piece)(void *ctx, unsigned id, const char *text, size_t len, bool more); /* BYTES */
    void *ctx;
    sbxi_buf *block;        /* NULL: the struct is fixed */
    char *fixed;
    sbxi_level *top, level[SBXI_LEVELS];
    const sbxi_field *field; /* first row of the key whose value comes, or NULL */
    size_t total;           /* bytes of the string before this piece */
    size_t note;            /* offset of the note of the map or list */
    size_t mark;            /* end of its last whole entry */
    size_t count;           /* of its entries */
    unsigned skip;          /* depth + 1 of a container being skipped, 0: none */
    uint8_t list;           /* inside a map or list: its SBXI_T_, else 0 */
    bool drop;              /* the key of this entry was cut */
    char text[36];          /* strings that become numbers, times and enums */
} sbxi_bind;

/* ---- reading --------------------------------------------------------------- */

/* The root is an array of objects; each goes to the item hook. */
static SBXI_MAYBE void sbxi_bind_each(sbxi_bind *b, const sbxi_shape *shape, sbxi_buf *block)
{
    memset(b, 0, sizeof *b);
    b->block = block;
    b->top = b->level;
    b->top->shape = shape;
    b->top->base = SBXI_EACH;
    b->top->hint = shape->fields;
}

/* The root is one object, bound into the block, or without one into `fixed`. */
static void sbxi_bind_init(sbxi_bind *b, const sbxi_shape *shape, sbxi_buf *block, void *fixed)
{
    sbxi_bind_each(b, shape, block);
    b->fixed = (char *)fixed;
    b->top->base = 0;
    if (block) sbxi_buf_room(block, shape->size, &b->top->base);
}

/* The next row with the same name, or NULL. */
static const sbxi_field *sbxi_bind_next(const sbxi_bind *b, const sbxi_field *f)
{
    const sbxi_shape *s = b->top->shape;
    const char *name = f->name;
    return ++f < s->fields + s->count && strcmp(f->name, name) == 0 ? f : NULL;
}

/* Appends a text to the block; U+0000 becomes U+FFFD, so that C strings stay
   honest. Words of JSON are texts in lists and maps. */
static void sbxi_bind_text(sbxi_buf *block, const sbx_json_event *ev)
{
    const char *text = ev->text, *nul;
    size_t len = ev->len;
    if (!text) {
        text = ev->type == SBX_JSON_TRUE ? "true" : ev->type == SBX_JSON_FALSE ? "false" : "";
        len = strlen(text);
    }
    while ((nul = (const char *)memchr(text, 0, len)) != NULL) {
        sbxi_buf_add(block, text, (size_t)(nul - text));
        sbxi_buf_text(block, "\xEF\xBF\xBD");
        len -= (size_t)(++nul - text);
        text = nul;
    }
    sbxi_buf_add(block, text, len);
    if (!(ev->flags & SBX_JSON_MORE)) sbxi_buf_add(block, "", 1);
}

static sbxi_note *sbxi_bind_noted(const sbxi_bind *b)
{
    return (sbxi_note *)(void *)(b->block->data + b->note);
}

/* Begins the texts of a member. */
static void sbxi_bind_note(sbxi_bind *b, const sbxi_field *f)
{
    sbxi_note *n;
    if (sbxi_buf_room(b->block, sizeof *n, &b->note) != SBX_OK) return;
    n = sbxi_bind_noted(b);
    n->member = n->array = b->top->base + f->offset;
    n->texts = 1;
    b->mark = b->block->len;
    b->count = 0;
    b->list = f->type;
    b->skip = 0;
}

/* A number that is not negative in thousandths, clamped; with an exponent left out. */
static void sbxi_bind_milli(void *member, sbxi_span s)
{
    uint32_t v = 0;
    int digits = -1; /* behind the point */
    for (; s.len; s.len--, s.ptr++) {
        if (*s.ptr == '.') digits = 0;
        else if (!sbxi_is_digit(*s.ptr)) return;
        else if (v >= INT32_MAX / 10000) v = digits < 0 ? INT32_MAX / 1000 : v;
        else if (digits < 3) {
            v = v * 10 + (uint32_t)(*s.ptr - '0');
            digits += digits >= 0;
        }
    }
    for (digits = SBXI_MAX(digits, 0); digits < 3; digits++) v *= 10;
    *(uint32_t *)member = v;
}

/* A decimal integer for a row: clamped, and left out beyond 64 bits. */
static void sbxi_bind_number(unsigned type, void *member, sbxi_span s)
{
    bool minus = s.len && *s.ptr == '-';
    uint64_t v;
    if (type == SBXI_T_MILLI) {
        sbxi_bind_milli(member, s);
        return;
    }
    s.ptr += minus;
    s.len -= minus;
    if (!sbxi_parse_u64(s, UINT64_MAX, &v)) return;
    if (type == SBXI_T_INT64) {
        if (v >> 63) v = (uint64_t)INT64_MAX + minus;
        *(uint64_t *)member = minus ? 0 - v : v;
    } else {
        uint32_t max = type == SBXI_T_INT ? (uint32_t)INT32_MAX + minus : (uint32_t)minus - 1;
        uint32_t small = v > max ? max : (uint32_t)v;
        *(uint32_t *)member = minus ? 0 - small : small;
    }
}

/* The place of a text among the names of an enum; it may come as the number itself. */
static void sbxi_bind_enum(const void *sub, void *member, sbxi_span s)
{
    const char *const *name = (const char *const *)sub;
    sbx_choice value = SBX_DEFAULT; /* stands for any small enum: all have its size */
    unsigned i;
    for (i = 1; *name; i++)
        if (sbxi_span_is(s, *name++) || (s.len == 1 && *s.ptr == (char)('0' + i)))
            value = (sbx_choice)i;
    memcpy(member, &value, sizeof value);
}

/* A number, or a piece of a string, for a row whose value is made of all of it. */
static SBXI_APART void sbxi_bind_scalar(sbxi_bind *b, const sbxi_field *f, char *member,
    const sbx_json_event *ev)
{
    bool text = f->type == SBXI_T_TEXT;
    size_t cap = text ? f->arg : sizeof b->text - 1;
    sbxi_span s;
    char *out = text ? member : b->text;
    if (ev->type != SBX_JSON_STRING && (ev->type != SBX_JSON_NUMBER || f->type > SBXI_T_ENUM))
        return;
    if (b->total < cap) memcpy(out + b->total, ev->text, SBXI_MIN(ev->len, cap - b->total));
    if (ev->flags & SBX_JSON_MORE) return;
    s.ptr = out;
    s.len = b->total + ev->len;
    if (text) {
        sbxi_put_text(member, cap, member, s.len);
        return;
    }
    if (s.len > cap) return;
    b->text[s.len] = 0;
    if (f->type <= SBXI_T_INT64) sbxi_bind_number(f->type, member, s);
    else if (f->type == SBXI_T_ENUM) sbxi_bind_enum(f->sub, member, s);
    else sbxi_parse_time(b->text, (int64_t *)(void *)member);
}

static void sbxi_bind_push(sbxi_bind *b, const void *shape, size_t base)
{
    sbxi_level *top = b->top + 1;
    if (top == b->level + SBXI_LEVELS) return;
    b->top = top;
    top->shape = (const sbxi_shape *)shape;
    top->base = base;
    top->hint = top->shape->fields;
    b->field = NULL;
    b->skip = 0;
}

/* A value, or a piece of it, for one row: a dispatcher by the row's type. */
static int sbxi_bind_row(sbxi_bind *b, const sbxi_field *f, const sbx_json_event *ev)
{
    char *member = (b->block ? b->block->data : b->fixed) + b->top->base + f->offset;
    unsigned type = ev->type;
    if (f->type <= SBXI_T_EACH && !b->block) return SBX_OK;
    switch (f->type) {
    case SBXI_T_STRING:
        if (type != SBX_JSON_STRING) break;
        if (b->total == 0) sbxi_bind_note(b, f);
        sbxi_bind_text(b->block, ev);
        break;
    case SBXI_T_PAIRS:
        if (type == SBX_JSON_OBJECT) sbxi_bind_note(b, f);
        break;
    case SBXI_T_STRINGS:
        if (type == SBX_JSON_ARRAY) sbxi_bind_note(b, f);
        break;
    case SBXI_T_EACH:
        if (type == SBX_JSON_ARRAY) sbxi_bind_push(b, f->sub, SBXI_EACH);
        break;
    case SBXI_T_OBJECT:
        if (type == SBX_JSON_OBJECT) sbxi_bind_push(b, f->sub, b->top->base + f->offset);
        break;
    case SBXI_T_SEEN:
        if (type != SBX_JSON_NULL) *(bool *)member = true;
        break;
    case SBXI_T_BOOL:
        if (type == SBX_JSON_TRUE || type == SBX_JSON_FALSE)
            *(bool *)member = type == SBX_JSON_TRUE;
        break;
    case SBXI_T_CHOICE:
        if (type >= SBX_JSON_TRUE)
            *(sbx_choice *)(void *)member = type == SBX_JSON_TRUE ? SBX_YES :
                type == SBX_JSON_FALSE ? SBX_NO : SBX_DEFAULT;
        break;
    case SBXI_T_BYTES:
        if (type == SBX_JSON_STRING)
            return b->piece(b->ctx, f->arg, ev->text, ev->len, (ev->flags & SBX_JSON_MORE) != 0);
        break;
    default:
        sbxi_bind_scalar(b, f, member, ev);
    }
    return SBX_OK;
}

/* A value inside a map or list of texts; one that is none takes its key along. */
static void sbxi_bind_entry(sbxi_bind *b, const sbx_json_event *ev)
{
    if (b->skip || b->drop || (ev->flags & SBX_JSON_CUT)) {
        b->block->len = b->mark;
        return;
    }
    sbxi_bind_text(b->block, ev);
    if (ev->flags & SBX_JSON_MORE) return;
    b->mark = b->block->len;
    b->count++;
}

static int sbxi_bind_value(sbxi_bind *b, const sbx_json_event *ev)
{
    const sbxi_field *f, *next;
    size_t item;
    int rc = SBX_OK;
    if (ev->type <= SBX_JSON_ARRAY) b->skip = ev->depth + 1; /* unless a row takes it */
    if (b->list) {
        sbxi_bind_entry(b, ev);
        return SBX_OK;
    }
    if (b->top->base == SBXI_EACH) {
        if (ev->type == SBX_JSON_OBJECT
            && sbxi_buf_room(b->block, b->top->shape->size, &item) == SBX_OK)
            sbxi_bind_push(b, b->top->shape, item);
        return SBX_OK;
    }
    for (f = b->field; f && rc == SBX_OK; f = next) {
        next = sbxi_bind_next(b, f);
        rc = sbxi_bind_row(b, f, ev);
    }
    b->total = ev->flags & SBX_JSON_MORE ? b->total + ev->len : 0;
    return rc;
}

static void sbxi_bind_key(sbxi_bind *b, const sbx_json_event *ev)
{
    const sbxi_shape *shape = b->top->shape;
    const sbxi_field *f = b->top->hint;
    sbxi_span key = { ev->text, ev->len };
    unsigned left;
    b->drop = (ev->flags & SBX_JSON_CUT) != 0;
    b->field = NULL;
    if (b->list) {
        sbxi_bind_text(b->block, ev);
        return;
    }
    for (left = shape->count; left > 0; left--, f++) { /* no name is as long as a cut key */
        if (f == shape->fields + shape->count) f = shape->fields;
        if (sbxi_span_is(key, f->name)) {
            b->field = f;
            while (sbxi_bind_next(b, f)) f++;
            b->top->hint = f + 1;
            return;
        }
    }
}

/* A map or list is complete: its number of entries, and room for its pointers. */
static void sbxi_bind_list(sbxi_bind *b)
{
    sbxi_note *n = sbxi_bind_noted(b);
    size_t texts = b->count * b->list, array;
    n->texts = texts;
    memcpy(b->block->data + n->member + offsetof(sbxi_items, count), &b->count, sizeof b->count);
    sbxi_buf_room(b->block, texts * sizeof(char *), &array);
    sbxi_bind_noted(b)->array = array; /* the block may have moved */
    b->list = 0;
}

/* Sets the pointers of the struct of a level, whose notes reach to the block's
   end. The block no longer moves. */
static void *sbxi_bind_fix(sbxi_bind *b, const sbxi_level *l)
{
    char *data = b->block->data;
    size_t at = l->base + l->shape->size;
    while ((at = SBXI_ALIGNED(at)) < b->block->len) {
        const sbxi_note *n = (const sbxi_note *)(void *)(data + at);
        const char *text = (const char *)(n + 1);
        char *array = data + n->array;
        const char **slot = (const char **)(void *)array;
        size_t left;
        for (left = n->texts; left > 0; left--) {
            *slot++ = text;
            text += strlen(text) + 1;
        }
        at = (size_t)(text - data);
        if (n->array != n->member) {
            at = (size_t)((char *)slot - data);
            memcpy(data + n->member, &array, sizeof array);
        }
    }
    return data + l->base;
}

static int sbxi_bind_close(sbxi_bind *b)
{
    const sbxi_level *done = b->top;
    int rc = SBX_OK;
    b->field = NULL;
    if (b->list) {
        sbxi_bind_list(b);
    } else if (done > b->level) {
        b->top--;
        if (b->top->base != SBXI_EACH) return SBX_OK;
        rc = b->item(b->ctx, sbxi_bind_fix(b, done));
        b->block->len = done->base;
    }
    return rc;
}

/* The sbx_json_fn of a bind. */
static int sbxi_bind_event(void *bind, const sbx_json_event *ev)
{
    sbxi_bind *b = (sbxi_bind *)bind;
    int rc = SBX_OK;
    if (b->skip) {
        if (ev->depth + 1 == b->skip) b->skip = 0; /* its end: all else is deeper */
        return SBX_OK;
    }
    if (ev->type == SBX_JSON_KEY) sbxi_bind_key(b, ev);
    else if (ev->type == SBX_JSON_OBJECT_END || ev->type == SBX_JSON_ARRAY_END)
        rc = sbxi_bind_close(b);
    else if (ev->depth > 0) rc = sbxi_bind_value(b, ev);
    else if (ev->type != (b->top->base == SBXI_EACH ? SBX_JSON_ARRAY : SBX_JSON_OBJECT))
        rc = SBX_E_PROTOCOL;
    return b->block && b->block->status ? b->block->status : rc;
}

/* After the last event: the finished struct in the block. */
static SBXI_MAYBE void *sbxi_bind_result(sbxi_bind *b) { return sbxi_bind_fix(b, b->level); }

/* ---- writing --------------------------------------------------------------- */

static void sbxi_put_ports(sbx_json_writer *w, const char *member)
{
    sbx_ports ports;
    memcpy(&ports, member, sizeof ports);
    sbx_json_begin_array(w);
    for (; ports.count; ports.count--) sbx_json_int(w, *ports.items++);
    sbx_json_end_array(w);
}

static void sbxi_put_objects(sbx_json_writer *w, const char *member, const void *sub)
{
    const char *const *names = (const char *const *)sub;
    sbx_pairs pairs;
    memcpy(&pairs, member, sizeof pairs);
    sbx_json_begin_array(w);
    for (; pairs.count; pairs.count--, pairs.items++) {
        sbx_json_begin_object(w);
        sbx_json_key(w, names[0]);
        sbx_json_text(w, pairs.items->value);
        sbx_json_key(w, names[1]);
        sbx_json_text(w, pairs.items->key);
        sbx_json_end_object(w);
    }
    sbx_json_end_array(w);
}

static void sbxi_put_list(sbx_json_writer *w, const char *member, bool map)
{
    const char *const *text;
    sbxi_items list;
    memcpy(&list, member, sizeof list);
    text = (const char *const *)list.items;
    if (map) sbx_json_begin_object(w);
    else sbx_json_begin_array(w);
    for (; text && list.count; list.count--) {
        if (map) sbx_json_key(w, *text++);
        sbx_json_text(w, *text++);
    }
    if (map) sbx_json_end_object(w);
    else sbx_json_end_array(w);
}

/* The 32 bits of a row that holds a number; else not 0 if there is anything. */
static uint32_t sbxi_put_number(const sbxi_field *f, const char *member)
{
    const void *ptr;
    switch (f->type) {
    case SBXI_T_INT:
    case SBXI_T_UINT: return *(const uint32_t *)(const void *)member;
    case SBXI_T_CHOICE: return *(const sbx_choice *)(const void *)member;
    case SBXI_T_LITERAL: return 1;
    default:
        memcpy(&ptr, member, sizeof ptr);
        return ptr != NULL;
    }
}

static void sbxi_put_value(sbx_json_writer *w, const sbxi_field *f, const char *member,
    uint32_t number)
{
    const char *text = (const char *)f->sub;
    sbx_bytes bytes;
    switch (f->type) {
    case SBXI_T_INT: sbx_json_int(w, (int32_t)number); break;
    case SBXI_T_UINT: sbx_json_int(w, number); break;
    case SBXI_T_CHOICE: sbx_json_bool(w, number == SBX_YES); break;
    case SBXI_T_BYTES:
        memcpy(&bytes, member, sizeof bytes);
        sbx_json_base64(w, bytes.data, bytes.len);
        break;
    case SBXI_T_PORTS: sbxi_put_ports(w, member); break;
    case SBXI_T_OBJECTS: sbxi_put_objects(w, member, f->sub); break;
    case SBXI_T_RAW:
        memcpy(&text, member, sizeof text);
        sbx_json_raw(w, text, strlen(text));
        break;
    case SBXI_T_STRINGS:
    case SBXI_T_PAIRS: sbxi_put_list(w, member, f->type == SBXI_T_PAIRS); break;
    case SBXI_T_STRING:
        memcpy(&text, member, sizeof text);
        /* fall through */
    default: sbx_json_text(w, text ? text : "");
    }
}

static void sbxi_put_member(sbx_json_writer *w, const sbxi_field *f, const char *member,
    uint32_t number)
{
    sbx_json_key(w, f->name);
    if (!number && f->arg == SBXI_OR_NULL) sbx_json_null(w);
    else sbxi_put_value(w, f, member, number);
}

/* Writes the struct at base as an object, members in the order of the rows. An
   object inside is opened when its first member is, so an empty one leaves no
   trace: those below `opened` are begun. */
static SBXI_MAYBE void sbxi_bind_write(sbx_json_writer *w, const sbxi_shape *shape,
    const void *base)
{
    struct { const sbxi_field *f, *end; const char *base; } level[SBXI_LEVELS + 1],
        *l = level, *opened = level + 2; /* the first stands for the outside */
    const char *member = (const char *)base;
    sbx_json_begin_object(w);
    for (;;) {
        const sbxi_field *f;
        uint32_t number;
        if (shape) {
            if (++l == level + SBXI_LEN(level)) {
                w->status = SBX_E_ARG;
                return;
            }
            l->base = member;
            l->f = shape->fields;
            l->end = l->f + shape->count;
            shape = NULL;
        }
        if (l->f == l->end) {
            if (opened > l) {
                sbx_json_end_object(w);
                opened = l;
            }
            if (--l == level) return;
            continue;
        }
        f = l->f++;
        member = l->base + f->offset;
        if (f->type == SBXI_T_OBJECT) {
            shape = (const sbxi_shape *)f->sub;
        } else if ((number = sbxi_put_number(f, member)) != 0 || f->arg) {
            for (; opened <= l; opened++) {
                sbx_json_key(w, opened[-1].f[-1].name);
                sbx_json_begin_object(w);
            }
            if (f->type == SBXI_T_MEMBERS) ((const sbxi_maker *)f->sub)->members(w, member);
            else sbxi_put_member(w, f, member, number);
        }
    }
}

/* response - push reader of one HTTP/1.x response. Strict: what another reader
   on the way could read differently is refused, never guessed.
   Everything but body bytes is a line: the status line, header lines, chunk
   sizes, the empty line behind a chunk, trailers. A line is collected once in
   the caller's buffer, then judged whole; a header line that does not fit is cut
   there and its rest only checked. So no state lies inside a line's syntax.
   Invariants: line_len_ < line_cap_; in BODY left_ > 0; status_ <= 0. */

enum { /* state_; the first three are lines that count into SBX_MAX_HEAD */
    SBXI_HTTP_STATUS, SBXI_HTTP_HEADER, SBXI_HTTP_TRAILER,
    SBXI_HTTP_CHUNK, SBXI_HTTP_CHUNK_END, SBXI_HTTP_BODY, SBXI_HTTP_DONE
};

/* flags_: about the line and the request */
#define SBXI_HTTP_CUT 1u     /* the line did not fit */
#define SBXI_HTTP_CR 2u      /* its CR has come */
#define SBXI_HTTP_TO_HEAD 4u

/* seen_: the framing headers, bits in the order of the names below */
#define SBXI_HTTP_LENGTH 1u
#define SBXI_HTTP_TE 2u
#define SBXI_HTTP_CODING 4u
#define SBXI_HTTP_CONNECTION 8u /* only to say which; never set */
#define SBXI_HTTP_CLOSE 16u
#define SBXI_HTTP_KEEP 32u

#define SBXI_HTTP_CHUNK_LINE 272 /* 16 digits and 256 bytes of extensions */

SBX_API void sbx_http_init(sbx_http_reader *reader, char *line, size_t cap,
    bool to_head, const sbx_http_events *events, void *ctx)
{
    memset(reader, 0, sizeof *reader);
    reader->events_ = events;
    reader->ctx_ = ctx;
    reader->line_ = line;
    reader->line_cap_ = cap;
    reader->flags_ = to_head ? SBXI_HTTP_TO_HEAD : 0;
    reader->status_ = cap ? SBX_OK : SBX_E_ARG;
}

/* Keeps n bytes of line text, as far as they are wanted. */
static int sbxi_http_keep(sbx_http_reader *r, const char *text, size_t n)
{
    size_t room = r->line_cap_ - 1;
    if (r->state_ <= SBXI_HTTP_TRAILER) {
        if (n > SBX_MAX_HEAD - r->head_bytes_) return SBX_E_TOO_LARGE;
        r->head_bytes_ += (uint32_t)n;
    } else {
        size_t most = r->state_ == SBXI_HTTP_CHUNK ? SBXI_HTTP_CHUNK_LINE : 0;
        room = SBXI_MIN(room, most);
        if (n > room - r->line_len_) return SBX_E_PROTOCOL;
    }
    room -= r->line_len_;
    if (n > room) {
        r->flags_ |= SBXI_HTTP_CUT;
        n = room;
    }
    memcpy(r->line_ + r->line_len_, text, n);
    r->line_len_ += n;
    return SBX_OK;
}

/* Collects a line up to CR LF. SBX_OK: there it is, NUL-terminated. */
static int sbxi_http_collect(sbx_http_reader *r, const char *data, size_t len,
    size_t *pos)
{
    size_t i = *pos;
    if (i < len && !(r->flags_ & SBXI_HTTP_CR)) {
        int rc;
        while (i < len && sbxi_is_text(data[i])) i++;
        rc = sbxi_http_keep(r, data + *pos, i - *pos);
        *pos = i;
        if (rc != SBX_OK) return rc;
        if (i < len) {
            if (data[i] != '\r') return SBX_E_PROTOCOL;
            r->flags_ |= SBXI_HTTP_CR;
            *pos = ++i;
        }
    }
    if (i == len) return SBX_PENDING;
    if (data[i] != '\n') return SBX_E_PROTOCOL;
    *pos = i + 1;
    r->line_[r->line_len_] = 0;
    return SBX_OK;
}

/* HTTP/1.x SP 3 digits [SP reason]. 101 is an answer to what we never ask. */
static int sbxi_http_status_line(sbx_http_reader *r)
{
    const char *p = r->line_;
    sbx_http_head *h = &r->head_;
    int i;
    memset(h, 0, sizeof *h);
    h->length = -1;
    r->seen_ = 0;
    if ((r->flags_ & SBXI_HTTP_CUT) || strncmp(p, "HTTP/1.", 7) != 0
        || (p[7] != '0' && p[7] != '1') || p[8] != ' ')
        return SBX_E_PROTOCOL;
    for (i = 9; i < 12; i++) { /* stops at the NUL of a short line */
        if (!sbxi_is_digit(p[i])) return SBX_E_PROTOCOL;
        h->status = h->status * 10 + (p[i] - '0');
    }
    if (h->status < 100 || h->status == 101 || (p[12] && p[12] != ' '))
        return SBX_E_PROTOCOL;
    h->minor = p[7] - '0';
    r->state_ = SBXI_HTTP_HEADER;
    return SBX_OK;
}

/* SP or HTAB, not NUL: no other control character is left in a line. */
static bool sbxi_http_is_blank(char c) { return (unsigned char)(c - 1) < 0x20; }

/* The words of a Connection header; others than these two say nothing to us. */
static bool sbxi_http_connection(sbx_http_reader *r, const char *p)
{
    for (;;) {
        sbxi_span word = { p, strcspn(p, ", \t") };
        if (sbxi_span_is_nocase(word, "close")) r->seen_ |= SBXI_HTTP_CLOSE;
        if (sbxi_span_is_nocase(word, "keep-alive")) r->seen_ |= SBXI_HTTP_KEEP;
        p += word.len;
        if (!*p++) return true;
    }
}

static bool sbxi_http_coding(sbx_http_reader *r, sbxi_span value)
{
    if (sbxi_span_is_nocase(value, "identity")) return true;
    r->head_.gzip = true;
    return sbxi_span_is_nocase(value, "gzip") || sbxi_span_is_nocase(value, "x-gzip");
}

/* A header that decides how the body is read: whole, once, and understood. */
static bool sbxi_http_framing(sbx_http_reader *r, const char *name, const char *text)
{
    static const char *const names[] = { "content-length", "transfer-encoding",
        "content-encoding", "connection" };
    sbxi_span value = sbxi_span_of(text);
    sbx_http_head *h = &r->head_;
    uint64_t length;
    unsigned i = 0, bit;
    while (i < SBXI_LEN(names) && strcmp(name, names[i]) != 0) i++;
    if (i == SBXI_LEN(names)) return true;
    bit = 1u << i;
    if (r->flags_ & SBXI_HTTP_CUT) return false;
    if (bit == SBXI_HTTP_CONNECTION) return sbxi_http_connection(r, text);
    if (r->seen_ & bit) return false;
    r->seen_ = (uint8_t)(r->seen_ | bit);
    if (bit == SBXI_HTTP_LENGTH) {
        if (!sbxi_parse_u64(value, INT64_MAX, &length)) return false;
        h->length = (int64_t)length;
        return true;
    }
    if (bit == SBXI_HTTP_TE) {
        h->chunked = true;
        return h->minor == 1 && sbxi_span_is_nocase(value, "chunked");
    }
    return sbxi_http_coding(r, value);
}

/* One header or trailer line: token ':' value. A folded line has no name, so
   it is refused here too. Trailers are checked and dropped. */
static int sbxi_http_field(sbx_http_reader *r)
{
    char *name = r->line_, *end = name + r->line_len_, *p = name;
    if (++r->headers_ > SBX_MAX_HEADERS) return SBX_E_TOO_LARGE;
    for (; sbxi_in_set(sbxi_tchar, *p); p++) *p = sbxi_lower(*p);
    if (p == name || *p != ':') return SBX_E_PROTOCOL;
    if (r->state_ == SBXI_HTTP_TRAILER) return SBX_OK;
    *p++ = 0;
    while (sbxi_http_is_blank(*p)) p++;
    while (end > p && sbxi_http_is_blank(end[-1])) end--;
    *end = 0;
    if (!sbxi_http_framing(r, name, p)) return SBX_E_PROTOCOL;
    if (r->head_.status < 200 || !r->events_->header) return SBX_OK;
    return r->events_->header(r->ctx_, name, p, (r->flags_ & SBXI_HTTP_CUT) != 0);
}

static int sbxi_http_interim(sbx_http_reader *r)
{
    if (++r->interims_ > SBX_MAX_INTERIM) return SBX_E_TOO_LARGE;
    r->state_ = SBXI_HTTP_STATUS;
    return SBX_OK;
}

/* The empty line behind the headers: what follows? */
static int sbxi_http_head_end(sbx_http_reader *r)
{
    sbx_http_head *h = &r->head_;
    unsigned seen = r->seen_;
    if (h->chunked && h->length >= 0) return SBX_E_PROTOCOL;
    if (h->status < 200) return sbxi_http_interim(r);
    if (h->minor) seen |= SBXI_HTTP_KEEP; /* what 1.1 means unless told otherwise */
    h->keep_alive = (seen & (SBXI_HTTP_CLOSE | SBXI_HTTP_KEEP)) == SBXI_HTTP_KEEP;
    if ((r->flags_ & SBXI_HTTP_TO_HEAD) || h->status == 204 || h->status == 304) {
        h->length = 0;
        h->chunked = h->gzip = false;
    }
    r->left_ = h->length;
    r->state_ = h->length ? SBXI_HTTP_BODY : SBXI_HTTP_DONE;
    if (h->chunked) {
        r->state_ = SBXI_HTTP_CHUNK;
    } else if (h->length < 0) {
        h->keep_alive = false;
        r->left_ = INT64_MAX; /* nobody reaches that before the close */
    }
    return r->events_->head ? r->events_->head(r->ctx_, h) : SBX_OK;
}

/* Extensions of a chunk: (;name[=value])*, quotes closed; nothing in them is
   for us. Their characters were checked with the line. */
static bool sbxi_http_extensions(const char *p)
{
    bool quoted = false;
    for (; *p; p++) {
        if (quoted && *p == '\\' && p[1]) p++;
        else if (*p == '"') quoted = !quoted;
        else if (*p == ';' && !quoted && (p[1] == ';' || !p[1])) return false;
    }
    return !quoted;
}

/* 1-16 hex digits; no sign, prefix or space, nothing a strtol would forgive. */
static int sbxi_http_chunk(sbx_http_reader *r)
{
    const char *p = r->line_;
    uint64_t size = 0;
    int digit;
    for (; (digit = sbxi_hex_value(*p)) >= 0; p++) {
        if (p - r->line_ == 16 || size >> 59) return SBX_E_PROTOCOL;
        size = size << 4 | (unsigned)digit;
    }
    if (p == r->line_ || (*p && *p != ';') || !sbxi_http_extensions(p))
        return SBX_E_PROTOCOL;
    r->left_ = (int64_t)size;
    r->state_ = size ? SBXI_HTTP_BODY : SBXI_HTTP_TRAILER;
    return SBX_OK;
}

static SBXI_APART int sbxi_http_line(sbx_http_reader *r)
{
    switch (r->state_) {
    case SBXI_HTTP_STATUS:
        return sbxi_http_status_line(r);
    case SBXI_HTTP_CHUNK:
        return sbxi_http_chunk(r);
    case SBXI_HTTP_CHUNK_END: /* empty: nothing else was let in */
        r->state_ = SBXI_HTTP_CHUNK;
        return SBX_OK;
    default:
        if (r->line_len_) return sbxi_http_field(r);
        if (r->state_ == SBXI_HTTP_HEADER) return sbxi_http_head_end(r);
        r->state_ = SBXI_HTTP_DONE;
        return SBX_OK;
    }
}

static int sbxi_http_body(sbx_http_reader *r, const char *data, size_t len, size_t *pos)
{
    size_t n = len - *pos, took;
    int rc = SBX_OK;
    if (n == 0) return SBX_PENDING;
    if ((uint64_t)r->left_ < n) n = (size_t)r->left_;
    took = n;
    if (r->events_->body) rc = r->events_->body(r->ctx_, data + *pos, n, &took);
    if (rc != SBX_E_AGAIN || took > n) took = n;
    *pos += took;
    r->left_ -= (int64_t)took;
    if (r->left_ == 0)
        r->state_ = r->head_.chunked ? SBXI_HTTP_CHUNK_END : SBXI_HTTP_DONE;
    return rc;
}

SBX_API int sbx_http_feed(sbx_http_reader *reader, const char *data, size_t len,
    size_t *used)
{
    size_t pos = 0;
    int rc = reader->status_;
    while (rc == SBX_OK && reader->state_ != SBXI_HTTP_DONE) {
        if (reader->state_ == SBXI_HTTP_BODY) {
            rc = sbxi_http_body(reader, data, len, &pos);
            continue;
        }
        rc = sbxi_http_collect(reader, data, len, &pos);
        if (rc != SBX_OK) break;
        rc = sbxi_http_line(reader);
        reader->line_len_ = 0;
        reader->flags_ &= SBXI_HTTP_TO_HEAD;
    }
    if (rc < 0 && rc != SBX_E_AGAIN) reader->status_ = rc;
    *used = pos;
    return rc;
}

SBX_API int sbx_http_end(sbx_http_reader *reader)
{
    if (reader->status_ == SBX_OK && reader->state_ == SBXI_HTTP_BODY
        && reader->head_.length < 0 && !reader->head_.chunked)
        reader->state_ = SBXI_HTTP_DONE;
    if (reader->status_ == SBX_OK && reader->state_ != SBXI_HTTP_DONE)
        reader->status_ = SBX_E_NETWORK;
    return reader->status_;
}
/* multipart - the parts of a multipart/form-data body, byte for byte as E2B's
   Python SDK (httpx) writes them. The data between two parts is the caller's. */

/* Servers ignore the types of parts, so a small build has one for all. */
#ifdef SBX_SMALL
static sbxi_span sbxi_multipart_type(const char *filename)
{
    (void)filename;
    return sbxi_span_of("application/octet-stream");
}
#else

/* A type, then the file name extensions that mean it: what Python's mimetypes
   says of the files people put into sandboxes. */
static const char *const sbxi_multipart_types[] = {
    "text/plain txt c h bat ksh pl srt",
    "text/x-python py",
    "text/html html htm",
    "text/css css",
    "text/csv csv",
    "text/javascript js mjs",
    "text/markdown md markdown",
    "text/xml xml",
    "application/json json",
    "application/pdf pdf",
    "application/wasm wasm",
    "application/x-sh sh",
    "application/x-tar tar",
    "application/zip zip",
    "image/gif gif",
    "image/jpeg jpg jpeg jpe",
    "image/png png",
    "image/svg+xml svg",
    "image/webp webp",
    "audio/mpeg mp3 mp2",
    "video/mp4 mp4"
};

/* The words after the first one of a row. */
static bool sbxi_multipart_has(const char *row, sbxi_span ext)
{
    while ((row = strchr(row, ' ')) != NULL) {
        sbxi_span word = { ++row, 0 };
        while (word.ptr[word.len] && word.ptr[word.len] != ' ') word.len++;
        if (word.len == ext.len) {
            size_t i = 0;
            while (i < ext.len && sbxi_lower(ext.ptr[i]) == word.ptr[i]) i++;
            if (i == ext.len) return true;
        }
    }
    return false;
}

/* Cuts the extension off *name; its dots in front do not begin one. */
static sbxi_span sbxi_multipart_ext(sbxi_span *name)
{
    sbxi_span ext = { NULL, 0 };
    size_t i = 0, dot;
    while (i < name->len && name->ptr[i] == '.') i++;
    for (dot = name->len; dot > i; dot--)
        if (name->ptr[dot - 1] == '.') {
            ext.ptr = name->ptr + dot;
            ext.len = name->len - dot;
            name->len = dot - 1;
            break;
        }
    return ext;
}

static sbxi_span sbxi_multipart_type(const char *filename)
{
    const char *slash = strrchr(filename, '/');
    sbxi_span name = sbxi_span_of(slash ? slash + 1 : filename);
    sbxi_span ext = sbxi_multipart_ext(&name), type;
    size_t i;
    if (sbxi_multipart_has(" tgz taz tz tbz2 txz", ext)) ext = sbxi_span_of("tar");
    if (sbxi_multipart_has(" svgz", ext)) ext = sbxi_span_of("svg");
    if (sbxi_multipart_has(" gz bz2 xz br", ext)) ext = sbxi_multipart_ext(&name);
    for (i = 0; i < SBXI_LEN(sbxi_multipart_types); i++)
        if (sbxi_multipart_has(sbxi_multipart_types[i], ext)) {
            type.ptr = sbxi_multipart_types[i];
            type.len = (size_t)(strchr(type.ptr, ' ') - type.ptr);
            return type;
        }
    return sbxi_span_of("application/octet-stream");
}

#endif

/* Whether a file name arrives as it is: what is replaced below is not put back. */
static SBXI_MAYBE bool sbxi_multipart_says(const char *name)
{
    while ((unsigned char)*name >= 0x20 && *name != '"') name++;
    return !*name;
}

/* `; key="value"`; value stays UTF-8, what would end or split it is replaced. */
static void sbxi_multipart_param(sbxi_buf *b, const char *key, const char *value)
{
    sbxi_buf_text(b, key);
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        if (c < 0x20 || c == '"') {
            sbxi_percent_byte(b, c);
        } else {
            if (c == '\\') sbxi_buf_add(b, value, 1);
            sbxi_buf_add(b, value, 1);
        }
    }
    sbxi_buf_text(b, "\"");
}

/* The head of the request ends with a new line of its own. */
static void sbxi_multipart_line(sbxi_buf *b, bool first, const char *boundary)
{
    sbxi_buf_text(b, &"\r\n--"[first ? 2 : 0]);
    sbxi_buf_text(b, boundary);
}

/* Appends the head of a part; its data follows it directly. */
static SBXI_MAYBE int sbxi_multipart_part(sbxi_buf *b, const char *boundary, bool first,
    const char *field, const char *filename)
{
    sbxi_span type = sbxi_multipart_type(filename);
    sbxi_multipart_line(b, first, boundary);
    sbxi_multipart_param(b, "\r\nContent-Disposition: form-data; name=\"", field);
    sbxi_multipart_param(b, "; filename=\"", filename);
    sbxi_buf_text(b, "\r\nContent-Type: ");
    sbxi_buf_add(b, type.ptr, type.len);
    return sbxi_buf_text(b, "\r\n\r\n");
}

/* Appends what follows the data of the last part. */
static SBXI_MAYBE int sbxi_multipart_end(sbxi_buf *b, const char *boundary)
{
    sbxi_multipart_line(b, false, boundary);
    return sbxi_buf_text(b, "--\r\n");
}

/* connect - the envelopes of Connect streams: a flag byte, a length in big
   endian, so many bytes. Push reader, resumable at every byte; it holds nothing
   of a message, so lengths up to 2^32 - 1 cost no memory.
   Invariant: head counts the bytes of a head, is _DATA while its data is read and
   _DONE behind the last message. */

#define SBXI_CONNECT_END 2u /* flag of the last message; 1, compressed, is never
                               asked for and refused like the unknown ones */

enum { SBXI_CONNECT_DATA = 5, SBXI_CONNECT_DONE };

typedef struct sbxi_connect_events {
    /* A negative return stops with it. data() may pause with SBX_E_AGAIN and
       what it took in *used. */
    int (*begin)(void *ctx, unsigned flags, uint32_t len);
    int (*data)(void *ctx, const char *data, size_t len, size_t *used);
    int (*end)(void *ctx);
} sbxi_connect_events;

typedef struct sbxi_connect {
    const sbxi_connect_events *events;
    void *ctx;
    uint32_t left;          /* of the length while reading it, then of the data */
    uint8_t head, flags;
    int status;             /* sticky */
} sbxi_connect;

static SBXI_MAYBE void sbxi_connect_init(sbxi_connect *c,
    const sbxi_connect_events *events, void *ctx)
{
    memset(c, 0, sizeof *c);
    c->events = events;
    c->ctx = ctx;
}

static int sbxi_connect_head_byte(sbxi_connect *c, unsigned char byte)
{
    if (c->head == SBXI_CONNECT_DONE) return SBX_E_PROTOCOL;
    if (c->head == 0) {
        if (byte & ~SBXI_CONNECT_END) return SBX_E_PROTOCOL;
        c->flags = byte;
    } else {
        c->left = c->left << 8 | byte;
    }
    if (++c->head < SBXI_CONNECT_DATA) return SBX_OK;
    return c->events->begin(c->ctx, c->flags, c->left);
}

/* SBX_OK: all taken. SBX_E_AGAIN: data() paused, go on after *used. Else sticky. */
static SBXI_MAYBE int sbxi_connect_feed(sbxi_connect *c, const char *data, size_t len,
    size_t *used)
{
    size_t pos = 0;
    int rc = c->status;
    while (rc == SBX_OK) {
        if (c->head == SBXI_CONNECT_DATA && c->left == 0) {
            c->head = c->flags ? SBXI_CONNECT_DONE : 0;
            rc = c->events->end(c->ctx);
        } else if (pos == len) {
            break;
        } else if (c->head != SBXI_CONNECT_DATA) {
            rc = sbxi_connect_head_byte(c, (unsigned char)data[pos++]);
        } else {
            size_t n = c->left < len - pos ? (size_t)c->left : len - pos, took = n;
            rc = c->events->data(c->ctx, data + pos, n, &took);
            if (rc != SBX_E_AGAIN || took > n) took = n;
            pos += took;
            c->left -= (uint32_t)took;
        }
    }
    if (rc != SBX_E_AGAIN) c->status = rc;
    *used = pos;
    return rc;
}

/* The stream ended as it must: its last message has come, whole. */
static SBXI_MAYBE bool sbxi_connect_complete(const sbxi_connect *c)
{
    return c->head == SBXI_CONNECT_DONE && c->status == SBX_OK;
}

static SBXI_MAYBE void sbxi_connect_head(unsigned char out[5], unsigned flags,
    uint32_t len)
{
    out[0] = (unsigned char)flags;
    out[1] = (unsigned char)(len >> 24);
    out[2] = (unsigned char)(len >> 16);
    out[3] = (unsigned char)(len >> 8);
    out[4] = (unsigned char)len;
}
/* ndjson - lines of JSON: what stands between line feeds, without the carriage return
   before one. Lines of blanks are passed over. Push reader, resumable at every byte;
   it holds nothing of a line, so lines of any length cost no memory. Called by
   op/reply.
   Invariant: `open` from begin() to end(); `cr`: a carriage return of an open line has
   come, which is told only when no line feed follows. */

typedef struct sbxi_ndjson_events {
    /* A negative return stops with it. data() may pause with SBX_E_AGAIN and what it
       took in *used. */
    int (*begin)(void *ctx);
    int (*data)(void *ctx, const char *data, size_t len, size_t *used);
    int (*end)(void *ctx);
} sbxi_ndjson_events;

typedef struct sbxi_ndjson {
    const sbxi_ndjson_events *events;
    void *ctx;
    bool open, cr;
    int status;             /* sticky */
} sbxi_ndjson;

static SBXI_MAYBE void sbxi_ndjson_init(sbxi_ndjson *n, const sbxi_ndjson_events *events,
    void *ctx)
{
    memset(n, 0, sizeof *n);
    n->events = events;
    n->ctx = ctx;
}

/* The line is over. Without a line feed behind it: the input is. */
static SBXI_MAYBE int sbxi_ndjson_end(sbxi_ndjson *n)
{
    if (n->status == SBX_OK && n->open) n->status = n->events->end(n->ctx);
    n->open = n->cr = false;
    return n->status;
}

/* Bytes of an open line. A held carriage return goes first. */
static int sbxi_ndjson_data(sbxi_ndjson *n, const char *data, size_t len, size_t *used)
{
    size_t took = len;
    int rc;
    if (n->cr) {
        size_t one = 1;
        rc = n->events->data(n->ctx, "\r", 1, &one);
        *used = 0;
        n->cr = rc == SBX_E_AGAIN && one == 0;
        return rc;
    }
    rc = n->events->data(n->ctx, data, len, &took);
    *used = rc == SBX_E_AGAIN ? SBXI_MIN(took, len) : len;
    return rc;
}

/* How many of len bytes come before the end of the line, or what may be it. */
static size_t sbxi_ndjson_run(const char *data, size_t len)
{
    size_t n = 0;
    while (n < len && data[n] != '\n' && data[n] != '\r') n++;
    return n;
}

/* SBX_OK: all taken. SBX_E_AGAIN: data() paused, go on after *used. Else sticky. */
static SBXI_MAYBE int sbxi_ndjson_feed(sbxi_ndjson *n, const char *data, size_t len,
    size_t *used)
{
    size_t pos = 0;
    int rc = n->status;
    while (rc == SBX_OK && pos < len) {
        char c = data[pos];
        if (c == '\n') {
            pos++;
            rc = sbxi_ndjson_end(n);
        } else if (!n->open) {
            if (c == ' ' || c == '\t' || c == '\r') pos++;
            else {
                n->open = true;
                rc = n->events->begin(n->ctx);
            }
        } else if (c == '\r' && !n->cr) {
            n->cr = true;
            pos++;
        } else {
            size_t took;
            rc = sbxi_ndjson_data(n, data + pos, sbxi_ndjson_run(data + pos, len - pos), &took);
            pos += took;
        }
    }
    if (rc != SBX_E_AGAIN) n->status = rc;
    *used = pos;
    return rc;
}

/* tar - what stands around the files of an archive: POSIX ustar headers, as Python's
   tarfile writes them, with a pax header before each whose texts or numbers do not
   fit. Blocks of 512 bytes out; no IO, no memory of its own, nothing of any size is
   refused for its length but names beyond SBXI_TAR_TEXT_MAX.

   An archive is, for every entry: sbxi_tar_begin(), the blocks of sbxi_tar_block()
   until it says false; the `size` bytes of the content; sbxi_tar_padding(size) zeros.
   Behind the last entry SBXI_TAR_END zeros. The same entry always gives the same
   bytes, and sbxi_tar_size() says beforehand how many. */

#ifndef SBX_NO_TEMPLATE

#define SBXI_TAR_BLOCK 512u
#define SBXI_TAR_END 1024u
#define SBXI_TAR_TEXT_MAX 0x2000u /* bytes of a name, a target, an owner's name */

enum { SBXI_TAR_FILE = '0', SBXI_TAR_LINK = '2', SBXI_TAR_DIR = '5' };

/* Texts are bytes without NUL, of any encoding (those that are not UTF-8 are marked
   so); they are borrowed until the last block is out. */
typedef struct sbxi_tar_entry {
    sbxi_span name;         /* relative, with /; the / at the end of a directory's is
                               added where it is missing */
    sbxi_span link;         /* a link's target, as it is; else empty */
    sbxi_span user, group;  /* names of the owner, may be empty */
    int64_t size;           /* bytes of content; 0 but for files */
    int64_t mtime;          /* seconds since 1970, may be negative */
    uint32_t mode;          /* permissions; other bits than 07777 are dropped */
    uint32_t uid, gid;
    uint8_t type;           /* SBXI_TAR_FILE, _LINK, _DIR */
} sbxi_tar_entry;

typedef struct sbxi_tar {
    sbxi_tar_entry entry;
    uint32_t pax;           /* bytes of records; 0: no pax header */
    uint32_t at, blocks;    /* blocks out, and of all */
    uint8_t needs;          /* which texts have a record, a bit each */
    bool binary;            /* one of them is not UTF-8 */
} sbxi_tar;

/* Where the records go: those of [from, from + 512) into a block, all are counted. */
typedef struct sbxi_tar_out { unsigned char *block; uint32_t from, at; } sbxi_tar_out;

static void sbxi_tar_put(sbxi_tar_out *o, const char *text, size_t len)
{
    uint32_t begin = SBXI_MAX(o->at, o->from);
    uint32_t end = SBXI_MIN(o->at + (uint32_t)len, o->from + SBXI_TAR_BLOCK);
    if (o->block && begin < end)
        memcpy(o->block + (begin - o->from), text + (begin - o->at),
            (size_t)(end - begin));
    o->at += (uint32_t)len;
}

/* "LEN key=value\n", where LEN counts its own digits too. */
static void sbxi_tar_record(sbxi_tar_out *o, const char *key, sbxi_span value, bool slash)
{
    char digits[SBXI_DECIMAL_MAX];
    size_t len = strlen(key) + value.len + slash + 3, n = 0, more;
    do {
        more = n;
        n = sbxi_print_u64(digits, len + more);
    } while (n != more);
    sbxi_tar_put(o, digits, n);
    sbxi_tar_put(o, " ", 1);
    sbxi_tar_put(o, key, strlen(key));
    sbxi_tar_put(o, "=", 1);
    sbxi_tar_put(o, value.ptr, value.len);
    sbxi_tar_put(o, &"/\n"[!slash], slash + 1u);
}

/* Whether an ustar header holds it: short, ASCII. */
static bool sbxi_tar_plain(sbxi_span text, size_t room)
{
    size_t i;
    for (i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] >= 0x80) return false;
    return text.len <= room;
}

/* The texts and numbers of a header: place, length, pax keyword. */
typedef struct sbxi_tar_field { uint16_t at, len; char key[10]; } sbxi_tar_field;
static const sbxi_tar_field sbxi_tar_texts[4] = { { 0, 100, "path" }, { 157, 100, "linkpath" },
    { 265, 31, "uname" }, { 297, 31, "gname" } };
static const sbxi_tar_field sbxi_tar_numbers[5] = { { 124, 12, "size" }, { 136, 12, "mtime" },
    { 108, 8, "uid" }, { 116, 8, "gid" }, { 100, 8, "mode" } };

static void sbxi_tar_values(const sbxi_tar_entry *e, sbxi_span text[4], int64_t number[5])
{
    text[0] = e->name;
    text[1] = e->link;
    text[2] = e->user;
    text[3] = e->group;
    number[0] = e->size;
    number[1] = e->mtime;
    number[2] = e->uid;
    number[3] = e->gid;
    number[4] = e->mode & 07777;
}

/* Octal digits and a NUL. What is too large, or negative, has a record; here it is 0. */
static bool sbxi_tar_octal(unsigned char *p, unsigned len, int64_t number)
{
    uint64_t v = (uint64_t)number;
    bool fits = v >> (3 * (len - 1)) == 0;
    p[--len] = 0;
    for (; len; v >>= 3) p[--len] = (unsigned char)('0' + (fits ? v & 7 : 0));
    return fits;
}

static bool sbxi_tar_slash(const sbxi_tar_entry *e)
{
    return e->type == SBXI_TAR_DIR && e->name.ptr[e->name.len - 1] != '/';
}

/* Which texts need a record. */
static void sbxi_tar_judge(sbxi_tar *t, const sbxi_span text[4])
{
    unsigned i;
    t->needs = 0;
    t->binary = false;
    for (i = 0; i < 4; i++) {
        bool slash = i == 0 && sbxi_tar_slash(&t->entry);
        if (!sbxi_tar_plain(text[i], sbxi_tar_texts[i].len - slash))
            t->needs = (uint8_t)(t->needs | 1u << i);
        if (!sbxi_is_utf8(text[i])) t->binary = true;
    }
}

/* The records of all that does not fit. */
static void sbxi_tar_records(const sbxi_tar *t, sbxi_tar_out *o)
{
    static const sbxi_span binary = { "BINARY", 6 };
    unsigned char scratch[12];
    char digits[1 + SBXI_DECIMAL_MAX];
    sbxi_span text[4];
    int64_t number[5];
    size_t i;
    sbxi_tar_values(&t->entry, text, number);
    if (t->binary) sbxi_tar_record(o, "hdrcharset", binary, false);
    for (i = 0; i < 4; i++)
        if (t->needs >> i & 1)
            sbxi_tar_record(o, sbxi_tar_texts[i].key, text[i],
                i == 0 && sbxi_tar_slash(&t->entry));
    for (i = 0; i < 5; i++) {
        sbxi_span s = { digits, 0 };
        bool minus = number[i] < 0;
        if (sbxi_tar_octal(scratch, sbxi_tar_numbers[i].len, number[i])) continue;
        digits[0] = '-';
        s.len = minus + sbxi_print_u64(digits + minus,
            minus ? 0 - (uint64_t)number[i] : (uint64_t)number[i]);
        sbxi_tar_record(o, sbxi_tar_numbers[i].key, s, false);
    }
}

/* A header block. */
static void sbxi_tar_header(const sbxi_tar_entry *e, unsigned char *block)
{
    sbxi_span text[4];
    int64_t number[5];
    uint32_t sum = 0;
    size_t i, k, n;
    sbxi_tar_values(e, text, number);
    memset(block, 0, SBXI_TAR_BLOCK);
    for (i = 0; i < 4; i++) {
        unsigned char *p = block + sbxi_tar_texts[i].at;
        for (k = n = 0; k < text[i].len && n < sbxi_tar_texts[i].len; k++) {
            unsigned char c = (unsigned char)text[i].ptr[k];
            if (c < 0x80 || c >= 0xC0) p[n++] = c < 0x80 ? c : '?';
        }
        if (i == 0 && sbxi_tar_slash(e) && n < 100) p[n] = '/';
    }
    for (i = 0; i < 5; i++)
        (void)sbxi_tar_octal(block + sbxi_tar_numbers[i].at, sbxi_tar_numbers[i].len, number[i]);
    memset(block + 148, ' ', 8);
    block[156] = e->type;
    memcpy(block + 257, "ustar\0" "00", 8);
    for (i = 0; i < SBXI_TAR_BLOCK; i++) sum += block[i];
    (void)sbxi_tar_octal(block + 148, 7, (int64_t)sum);
}

/* SBX_E_ARG: no name, a NUL in a text, a text that is too long, or a size that is
   negative or of what has no content. */
static SBXI_MAYBE int sbxi_tar_begin(sbxi_tar *t, const sbxi_tar_entry *entry)
{
    sbxi_tar_out count = { NULL, 0, 0 };
    sbxi_span text[4];
    int64_t number[5];
    size_t i;
    sbxi_tar_values(entry, text, number);
    for (i = 0; i < 4; i++)
        if (text[i].len > SBXI_TAR_TEXT_MAX || (text[i].len && memchr(text[i].ptr, 0, text[i].len)))
            return SBX_E_ARG;
    if (!entry->name.len || entry->size < 0 || (entry->size && entry->type != SBXI_TAR_FILE))
        return SBX_E_ARG;
    t->entry = *entry;
    sbxi_tar_judge(t, text);
    sbxi_tar_records(t, &count);
    t->pax = count.at;
    t->at = 0;
    t->blocks = t->pax ? 2 + (t->pax + SBXI_TAR_BLOCK - 1) / SBXI_TAR_BLOCK : 1;
    return SBX_OK;
}

/* Fills the next block of 512 bytes before the content. False: there is none left. */
static SBXI_MAYBE bool sbxi_tar_block(sbxi_tar *t, unsigned char *block)
{
    uint32_t at = t->at;
    if (at == t->blocks) return false;
    t->at++;
    if (t->at == t->blocks) {
        sbxi_tar_header(&t->entry, block);
    } else if (at == 0) {
        sbxi_tar_entry pax;
        memset(&pax, 0, sizeof pax);
        pax.name = sbxi_span_of("././@PaxHeader");
        pax.size = t->pax;
        pax.type = 'x';
        sbxi_tar_header(&pax, block);
    } else {
        sbxi_tar_out o = { NULL, 0, 0 };
        o.block = block;
        o.from = (at - 1) * SBXI_TAR_BLOCK;
        memset(block, 0, SBXI_TAR_BLOCK);
        sbxi_tar_records(t, &o);
    }
    return true;
}

/* Zeros behind `size` bytes of content. */
static SBXI_MAYBE unsigned sbxi_tar_padding(int64_t size)
{
    return (SBXI_TAR_BLOCK - ((unsigned)size & (SBXI_TAR_BLOCK - 1))) & (SBXI_TAR_BLOCK - 1);
}

/* Bytes of the begun entry in the archive: blocks, content, padding. At most 2^63 - 1
   for sizes below that by some blocks; a sum of several is the caller's to check. */
static SBXI_MAYBE uint64_t sbxi_tar_size(const sbxi_tar *t)
{
    return (uint64_t)t->blocks * SBXI_TAR_BLOCK + (uint64_t)t->entry.size
        + sbxi_tar_padding(t->entry.size);
}

#endif
/* gzip - the container (RFC 1952) around codec/lz: bytes in, bytes out, resumable at
   every byte of either, in one block of the caller's memory, never an error. The same
   bytes at the same level always give the same: no time, no name in it.

       memory = resize(ctx, NULL, 0, sbxi_gzip_size(level));
       g = sbxi_gzip_init(memory, level);           (again for a second pass)
       io.in, io.in_len = what is to be packed;  io.out, io.out_len = room;
       whole = sbxi_gzip_run(g, &io, nothing comes behind io.in);

   Level 0 stores (5 bytes more for each 1,024); 1 to 3 need little memory, 4 to 6 pack
   well, 7 to 9 best. With SBX_NO_GZIP every level is 0. */

#ifndef SBX_NO_TEMPLATE

#define SBXI_GZIP_STORED 1280u  /* bytes of memory at most: level 0, 1 to 3, 4 to 9 */
#define SBXI_GZIP_FAST 16384u
#define SBXI_GZIP_BEST 49152u

typedef struct sbxi_gzip {
    sbxi_lz *lz;
    uint32_t crc, size;
    uint8_t head, tail;     /* bytes of each that are out */
} sbxi_gzip;

/* Bytes of memory that sbxi_gzip_init() needs. */
static SBXI_MAYBE size_t sbxi_gzip_size(unsigned level)
{
    return sizeof(sbxi_gzip) + sbxi_lz_size(level);
}

/* A new stream in that memory, which is aligned for any type; nothing to free but it. */
static SBXI_MAYBE sbxi_gzip *sbxi_gzip_init(void *memory, unsigned level)
{
    sbxi_gzip *g = (sbxi_gzip *)memory;
    memset(g, 0, sizeof *g);
    g->lz = sbxi_lz_init(g + 1, level);
    return g;
}

/* Takes from io->in, gives to io->out; both move on. Whenever it returns, all of the
   one was taken or the other is full. `finish`: nothing comes behind io->in; to be
   said again until it returns true: the whole container is out. */
static SBXI_MAYBE bool sbxi_gzip_run(sbxi_gzip *g, sbxi_flow *io, bool finish)
{
    static const unsigned char head[10] = { 0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255 };
    const unsigned char *in = io->in;
    bool done;
    for (; g->head < sizeof head; g->head++, io->out++, io->out_len--) {
        if (!io->out_len) return false;
        *io->out = head[g->head];
    }
    done = sbxi_lz_run(g->lz, io, finish);
    g->crc = sbxi_crc32(g->crc, in, (size_t)(io->in - in));
    g->size += (uint32_t)(io->in - in);
    for (; done && g->tail < 8; g->tail++, io->out++, io->out_len--) {
        if (!io->out_len) return false;
        *io->out = (unsigned char)((g->tail < 4 ? g->crc : g->size) >> (g->tail & 3) * 8);
    }
    return done;
}

#endif
/* glob - does a pattern match a path? In four dialects: ignore rules of Docker, ignore
   rules of git, the sources of a COPY, plain names. Used by pack/ignore and pack/tree.

   A pattern is read as it stands: all places in it where the text so far can lead are
   followed at once, as bits of a set. So nothing is compiled, nothing is tried twice,
   and the time is bounded by the product of both lengths, of a class of characters
   ([) once more by its own. Characters are UTF-8; a byte that is not is a character of
   its own. */

#ifndef SBX_NO_TEMPLATE

#define SBXI_GLOB_MAX 511u      /* bytes of a pattern */
#define SBXI_GLOB_WORDS 16u

enum { SBXI_GLOB_DOCKER, SBXI_GLOB_GIT, SBXI_GLOB_SOURCE, SBXI_GLOB_PLAIN };

typedef struct sbxi_glob { const char *p; size_t len; uint8_t dialect; } sbxi_glob;

/* What sbxi_glob_run() found. */
#define SBXI_GLOB_HIT 1u        /* the path */
#define SBXI_GLOB_INSIDE 2u     /* a directory above it */
#define SBXI_GLOB_IF_DIR 4u     /* the path, if it is a directory */
#define SBXI_GLOB_BELOW 8u      /* maybe what is below it */

enum { SBXI_GLOB_END, SBXI_GLOB_ONE, SBXI_GLOB_STAR, SBXI_GLOB_DEEP, SBXI_GLOB_ALL };

/* What stands at a place of the pattern, where it ends, and whether the one character
   that it takes can be the present one. */
typedef struct sbxi_glob_token { uint8_t kind; bool hit; uint16_t end; } sbxi_glob_token;

static uint32_t sbxi_glob_char(const char *p, size_t len, size_t *at)
{
    uint32_t c = (unsigned char)p[(*at)++], v, i;
    unsigned n = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : c >= 0xC0;
    v = c & (0x3Fu >> n);
    if (c < 0x80) return c;
    if (n == 0 || n > len - *at) return 0x110000 + c;
    for (i = 0; i < n; i++) {
        uint32_t more = (unsigned char)p[*at + i];
        if ((more & 0xC0) != 0x80) return 0x110000 + c;
        v = v << 6 | (more & 0x3F);
    }
    *at += n;
    return v;
}

/* One end of a range: a character, or what is behind a backslash. */
static uint32_t sbxi_glob_bound(const sbxi_glob *g, size_t *at)
{
    if (g->p[*at] == '\\' && *at + 1 < g->len) ++*at;
    return sbxi_glob_char(g->p, g->len, at);
}

/* A member of a class: a character, or two and all between. */
static bool sbxi_glob_member(const sbxi_glob *g, size_t *at, uint32_t c)
{
    uint32_t low = sbxi_glob_bound(g, at), high = low;
    if (g->len - *at > 1 && g->p[*at] == '-' && g->p[*at + 1] != ']') {
        ++*at;
        high = sbxi_glob_bound(g, at);
    }
    return low <= c && c <= high;
}

/* A class from its [ on. Returns where it ends; 0: it is none, the [ is meant. */
static size_t sbxi_glob_class(const sbxi_glob *g, size_t i, uint32_t c, bool *hit)
{
    bool docker = g->dialect == SBXI_GLOB_DOCKER, no;
    size_t first;
    no = ++i < g->len && memchr("^!", g->p[i], 2u - docker);
    i += no;
    *hit = no;
    for (first = i; i < g->len;) {
        if (g->p[i] == ']' && i > first) break;
        if (g->p[i] == '/' && !docker) return 0;
        if (sbxi_glob_member(g, &i, c)) *hit = !no;
    }
    *hit = *hit && (docker || c != '/');
    return i < g->len ? i + 1 : 0;
}

/* Two stars: more than a name in Docker's rules anywhere, else as a whole part. */
static bool sbxi_glob_is_deep(const sbxi_glob *g, size_t i)
{
    if (g->len - i < 2 || g->p[i + 1] != '*') return false;
    return g->dialect == SBXI_GLOB_DOCKER
        || ((i == 0 || g->p[i - 1] == '/') && (g->len - i == 2 || g->p[i + 2] == '/'));
}

/* Docker's **text without anything special in it is any path that ends so. */
static bool sbxi_glob_is_suffix(const sbxi_glob *g, size_t i)
{
    size_t k;
    if (i || g->dialect != SBXI_GLOB_DOCKER || g->p[2] == '/') return false;
    for (k = 2; k < g->len; k++)
        if (memchr("*?[]\\", g->p[k], 5)) return false;
    return true;
}

/* One star or two at i. */
static sbxi_glob_token sbxi_glob_stars(const sbxi_glob *g, size_t i)
{
    sbxi_glob_token t = { SBXI_GLOB_STAR, false, 0 };
    bool deep = sbxi_glob_is_deep(g, i);
    size_t end = i + 1 + deep;
    if (deep) {
        bool all = end == g->len || sbxi_glob_is_suffix(g, i);
        t.kind = all ? SBXI_GLOB_ALL : SBXI_GLOB_DEEP;
        if (!all && g->p[end] == '/') end++;
    }
    t.end = (uint16_t)end;
    return t;
}

/* The token at i, for the character c. */
static sbxi_glob_token sbxi_glob_at(const sbxi_glob *g, size_t i, uint32_t c)
{
    sbxi_glob_token t = { SBXI_GLOB_ONE, false, 0 };
    bool plain = g->dialect == SBXI_GLOB_PLAIN;
    size_t end = 0;
    if (i >= g->len) {
        t.kind = SBXI_GLOB_END;
        return t;
    }
    if (!plain && g->p[i] == '*') return sbxi_glob_stars(g, i);
    if (!plain && g->p[i] == '[') end = sbxi_glob_class(g, i, c, &t.hit);
    if (!plain && g->p[i] == '?') {
        end = i + 1;
        t.hit = c != '/';
    }
    if (!end) {
        end = i;
        t.hit = (plain ? sbxi_glob_char(g->p, g->len, &end) : sbxi_glob_bound(g, &end)) == c;
    }
    t.end = (uint16_t)end;
    return t;
}

/* Adds a place, and what stands behind it where that may take nothing. */
static void sbxi_glob_add(const sbxi_glob *g, uint32_t *set, size_t i)
{
    sbxi_glob_token t;
    do {
        set[i >> 5] |= (uint32_t)1 << (i & 31);
        t = sbxi_glob_at(g, i, 0);
        i = t.end;
    } while (t.kind > SBXI_GLOB_ONE);
}

static bool sbxi_glob_ended(const sbxi_glob *g, const uint32_t *set)
{
    return set[g->len >> 5] >> (g->len & 31) & 1;
}

/* What stands at i takes c, if it can. */
static void sbxi_glob_take(const sbxi_glob *g, uint32_t *next, size_t i, uint32_t c, bool shallow)
{
    sbxi_glob_token t = sbxi_glob_at(g, i, c);
    if (t.kind == SBXI_GLOB_ONE) {
        if (t.hit) sbxi_glob_add(g, next, t.end);
    } else if (t.kind == SBXI_GLOB_STAR) {
        if (c != '/') sbxi_glob_add(g, next, i);
    } else if (shallow || t.kind == SBXI_GLOB_END) {
        return;
    } else if (t.kind == SBXI_GLOB_ALL) {
        sbxi_glob_add(g, next, i);
    } else {
        next[i >> 5] |= (uint32_t)1 << (i & 31);
        if (c == '/') sbxi_glob_add(g, next, t.end);
    }
}

/* Takes a character: the places behind it. False: there is none. */
static bool sbxi_glob_step(const sbxi_glob *g, uint32_t *set, uint32_t c, bool shallow)
{
    uint32_t next[SBXI_GLOB_WORDS] = { 0 }, some = 0;
    size_t i, bit;
    for (i = 0; i <= g->len >> 5; i++)
        for (bit = 0; set[i] >> bit; bit++)
            if (set[i] >> bit & 1) {
                sbxi_glob_take(g, next, i << 5 | bit, c, shallow);
                if (bit == 31) break;
            }
    for (i = 0; i <= g->len >> 5; i++) some |= set[i] = next[i];
    return some != 0;
}

/* Whether a pattern whose end was reached by a / stands for the directory before it:
   it ends with / or with two stars, and else with a star or class behind a /. */
static bool sbxi_glob_for_dir(const sbxi_glob *g)
{
    return g->p[g->len - 1] == '/' || sbxi_glob_is_deep(g, g->len - 2);
}

/* Where the last part of a path begins. */
static size_t sbxi_path_last(sbxi_span path)
{
    size_t n = path.len;
    while (n > 0 && path.ptr[n - 1] != '/') n--;
    return n;
}

/* link: two stars don't take the last part of the path, as they don't lead through
   links. */
static SBXI_MAYBE unsigned sbxi_glob_run(const sbxi_glob *g, sbxi_span path, bool link)
{
    uint32_t set[SBXI_GLOB_WORDS] = { 0 };
    unsigned found = 0;
    size_t i = 0, last = link ? sbxi_path_last(path) : path.len;
    sbxi_glob_add(g, set, 0);
    while (i < path.len) {
        bool shallow = i >= last;
        uint32_t c = sbxi_glob_char(path.ptr, path.len, &i);
        if (c == '/' && sbxi_glob_ended(g, set)) found |= SBXI_GLOB_INSIDE;
        if (!sbxi_glob_step(g, set, c, shallow)) return found;
    }
    if (sbxi_glob_ended(g, set)) found |= SBXI_GLOB_HIT;
    (void)sbxi_glob_step(g, set, '/', link);
    if (sbxi_glob_ended(g, set) && sbxi_glob_for_dir(g)) found |= SBXI_GLOB_IF_DIR;
    set[g->len >> 5] &= ~((uint32_t)1 << (g->len & 31));
    for (i = 0; i <= g->len >> 5; i++)
        if (set[i]) found |= SBXI_GLOB_BELOW;
    return found;
}

/* A character of a class as Docker accepts it: *at behind it, false if it does not. */
static bool sbxi_glob_docker_char(const sbxi_glob *g, size_t *at, uint32_t *c)
{
    if (*at >= g->len || g->p[*at] == '-' || g->p[*at] == ']') return false;
    if (g->p[*at] == '\\' && ++*at >= g->len) return false;
    *c = sbxi_glob_char(g->p, g->len, at);
    return *at < g->len;
}

/* A class of Docker's from behind its [ on. */
static bool sbxi_glob_docker_class(const sbxi_glob *g, size_t *at)
{
    uint32_t low, high;
    bool some = false;
    if (*at < g->len && g->p[*at] == '^') ++*at;
    for (; !some || g->p[*at] != ']'; some = true) {
        if (!sbxi_glob_docker_char(g, at, &low)) return false;
        high = low;
        if (g->p[*at] == '-') {
            ++*at;
            if (!sbxi_glob_docker_char(g, at, &high)) return false;
        }
        if (low > high) return false;
    }
    ++*at;
    return true;
}

/* SBX_E_ARG: brackets or a backslash that mean nothing (Docker); a class by name, as
   [:alpha:], which others have. The pattern is SBXI_GLOB_MAX bytes at most. */
static SBXI_MAYBE int sbxi_glob_check(const sbxi_glob *g)
{
    sbxi_span all;
    size_t i = 0;
    all.ptr = g->p;
    all.len = g->len;
    if (g->dialect == SBXI_GLOB_PLAIN) return SBX_OK;
    if (g->dialect != SBXI_GLOB_DOCKER) return sbxi_find(all, "[[:") ? SBX_E_ARG : SBX_OK;
    while (i < g->len) {
        char c = g->p[i++];
        if (c == '\\' && i++ >= g->len) return SBX_E_ARG;
        if (c == '[' && !sbxi_glob_docker_class(g, &i)) return SBX_E_ARG;
    }
    return SBX_OK;
}

/* Without its last part, from `base` on; false: there is none that can go. */
static bool sbxi_path_up(const char *p, size_t base, size_t *len)
{
    size_t o = *len;
    while (o > base && p[o - 1] != '/') o--;
    if (*len == base || (*len - o == 2 && memcmp(p + o, "..", 2) == 0)) return false;
    *len = o > base ? o - 1 : o;
    return true;
}

static void sbxi_path_push(char *p, size_t base, size_t *len, const char *part, size_t n)
{
    if (*len > base) p[(*len)++] = '/';
    memmove(p + *len, part, n);
    *len += n;
}

/* The path without empty parts, "." and "..", as far as they can be taken back; "."
   if nothing is left. In place, of 1 byte at least; returns its length. */
static SBXI_MAYBE size_t sbxi_path_clean(char *p, size_t len)
{
    size_t i, o, n, base = p[0] == '/';
    for (i = o = base; i < len; i += n + 1) {
        const char *slash = (const char *)memchr(p + i, '/', len - i);
        n = slash ? (size_t)(slash - (p + i)) : len - i;
        if (n == 0 || (n == 1 && p[i] == '.')) continue;
        if (n == 2 && memcmp(p + i, "..", 2) == 0 && (sbxi_path_up(p, base, &o) || base)) continue;
        sbxi_path_push(p, base, &o, p + i, n);
    }
    if (!o) p[o++] = '.';
    return o;
}

#endif
/* ignore - which paths of a context stay out of it: rules as Docker reads them
   (.dockerignore) or as git does (.gitignore), the last one that speaks of a path
   decides. Filled by the builder, asked by pack/tree.

   The rules are kept as one text, cleaned: a byte of flags, the length in two, the
   pattern. Docker's are asked for every directory above a path first, and what they
   said there is noted in the flags: so an instance answers one question at a time. */

#ifndef SBX_NO_TEMPLATE

#define SBXI_IGNORE_MAX SBX_LIMIT_(65536, 8192) /* bytes of rules, and of a file of them */

#define SBXI_RULE_NOT 1         /* !: takes back what others ignore */
#define SBXI_RULE_DIR 2         /* directories only (git) */
#define SBXI_RULE_ABOVE 4       /* matched the directory above */

typedef struct sbxi_ignores {
    sbxi_buf rules;
    uint8_t dialect;            /* SBXI_GLOB_DOCKER, SBXI_GLOB_GIT */
} sbxi_ignores;

typedef struct sbxi_ignoring { sbxi_glob glob; char *flags; } sbxi_ignoring;

static SBXI_MAYBE void sbxi_ignore_init(sbxi_ignores *g, uint8_t dialect, const sbx_alloc *alloc)
{
    sbxi_buf_init(&g->rules, alloc, SBXI_IGNORE_MAX);
    g->dialect = dialect;
}

static SBXI_MAYBE void sbxi_ignore_free(sbxi_ignores *g) { sbxi_buf_free(&g->rules); }

/* The rule at *at, which moves on. */
static bool sbxi_ignore_rule(const sbxi_ignores *g, size_t *at, sbxi_ignoring *r)
{
    const unsigned char *p;
    if (*at >= g->rules.len) return false;
    r->flags = g->rules.data + *at;
    p = (const unsigned char *)r->flags;
    r->glob.p = r->flags + 3;
    r->glob.len = (size_t)(p[1] | (unsigned)p[2] << 8);
    r->glob.dialect = g->dialect;
    *at += 3 + r->glob.len;
    return true;
}

static sbxi_span sbxi_behind(sbxi_span s, size_t n)
{
    s.ptr += n;
    s.len -= n;
    return s;
}

static bool sbxi_is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static sbxi_span sbxi_trim(sbxi_span s)
{
    for (; s.len && sbxi_is_blank(*s.ptr); s.ptr++) s.len--;
    while (s.len && sbxi_is_blank(s.ptr[s.len - 1])) s.len--;
    return s;
}

/* Appends a rule; what it is made of is checked. */
static int sbxi_ignore_put(sbxi_ignores *g, int flags, const char *head, sbxi_span s)
{
    size_t begin = g->rules.len, at = begin;
    char first[3] = { (char)flags, 0, 0 }, *p;
    sbxi_ignoring r;
    int rc;
    sbxi_buf_add(&g->rules, first, 3);
    sbxi_buf_text(&g->rules, head);
    rc = sbxi_buf_add(&g->rules, s.ptr, s.len);
    if (rc != SBX_OK) return rc;
    p = g->rules.data + begin + 3;
    if (g->dialect == SBXI_GLOB_DOCKER) {
        s.len = sbxi_path_clean(p, s.len);
        if (s.len > 1 && *p == '/') memmove(p, p + 1, --s.len);
        g->rules.len = begin + 3 + s.len;
    }
    s.len = g->rules.len - begin - 3;
    if (s.len > SBXI_GLOB_MAX) return g->rules.status = SBX_E_TOO_LARGE;
    p[-2] = (char)(s.len & 255);
    p[-1] = (char)(s.len >> 8);
    (void)sbxi_ignore_rule(g, &at, &r);
    return g->rules.status = sbxi_glob_check(&r.glob);
}

static int sbxi_ignore_docker(sbxi_ignores *g, sbxi_span line)
{
    int flags = 0;
    line = sbxi_trim(line);
    if (!line.len || *line.ptr == '#') return SBX_OK;
    if (*line.ptr == '!') {
        flags = SBXI_RULE_NOT;
        line = sbxi_trim(sbxi_behind(line, 1));
        if (!line.len) return g->rules.status = SBX_E_ARG;
    }
    return sbxi_ignore_put(g, flags, "", line);
}

/* Without what git drops at a line's end: a CR, blanks that no backslash keeps. */
static sbxi_span sbxi_ignore_cut(sbxi_span line)
{
    if (line.len && line.ptr[line.len - 1] == '\r') line.len--;
    while (line.len && line.ptr[line.len - 1] == ' ') {
        if (line.len > 1 && line.ptr[line.len - 2] == '\\') break;
        line.len--;
    }
    return line;
}

/* A pattern with a / inside or in front stands at the root, another one anywhere. */
static int sbxi_ignore_git(sbxi_ignores *g, sbxi_span line)
{
    int flags = 0;
    bool here;
    line = sbxi_ignore_cut(line);
    if (!line.len || *line.ptr == '#') return SBX_OK;
    if (*line.ptr == '!') {
        flags = SBXI_RULE_NOT;
        line = sbxi_behind(line, 1);
        if (!line.len) return g->rules.status = SBX_E_ARG;
    }
    if (line.ptr[line.len - 1] == '/') {
        flags |= SBXI_RULE_DIR;
        line.len--;
    }
    here = line.len && memchr(line.ptr, '/', line.len);
    if (here && *line.ptr == '/') line = sbxi_behind(line, 1);
    return line.len ? sbxi_ignore_put(g, flags, here ? "" : "**/", line) : SBX_OK;
}

/* Adds the lines of a text. SBX_E_ARG: a rule that means nothing, which the message
   of *e holds; SBX_E_TOO_LARGE, SBX_E_NOMEM. Nothing can be added any more then. */
static SBXI_MAYBE int sbxi_ignore_add(sbxi_ignores *g, sbxi_span text, sbx_error *e)
{
    int rc = g->rules.status;
    if (text.len >= 3 && memcmp(text.ptr, "\xEF\xBB\xBF", 3) == 0) text = sbxi_behind(text, 3);
    while (rc == SBX_OK && text.len) {
        const char *end = (const char *)memchr(text.ptr, '\n', text.len);
        sbxi_span line = text;
        if (end) line.len = (size_t)(end - text.ptr);
        rc = g->dialect == SBXI_GLOB_GIT ? sbxi_ignore_git(g, line) : sbxi_ignore_docker(g, line);
        if (rc != SBX_OK)
            return sbxi_error_at(e, rc, line, rc == SBX_E_TOO_LARGE
                ? SBXI_TEXT("a rule is at most 511 bytes, all are 64 KiB (SBX_SMALL: 8)")
                : rc == SBX_E_NOMEM ? NULL : SBXI_TEXT("is no rule to ignore files by"));
        text = sbxi_behind(text, line.len + (end != NULL));
    }
    return rc;
}

/* Docker: of the directories above a path, the first comes first; a rule that matched
   there matches what is below. One that could not change anything is not asked. */
static bool sbxi_ignore_level(const sbxi_ignores *g, sbxi_span path)
{
    bool ignored = false;
    size_t at = 0;
    sbxi_ignoring r;
    while (sbxi_ignore_rule(g, &at, &r)) {
        bool no = (*r.flags & SBXI_RULE_NOT) != 0, hit = (*r.flags & SBXI_RULE_ABOVE) != 0;
        if (!hit && no == ignored)
            hit = (sbxi_glob_run(&r.glob, path, false) & SBXI_GLOB_HIT) != 0;
        *r.flags = (char)((*r.flags & ~SBXI_RULE_ABOVE) | (hit ? SBXI_RULE_ABOVE : 0));
        if (hit) ignored = !no;
    }
    return ignored;
}

/* Whether the path is ignored; the root ("") never is. */
static SBXI_MAYBE bool sbxi_ignored(const sbxi_ignores *g, sbxi_span path, bool is_dir)
{
    sbxi_span part = path;
    bool ignored = false;
    size_t at = 0;
    sbxi_ignoring r;
    if (g->dialect == SBXI_GLOB_DOCKER) {
        while (sbxi_ignore_rule(g, &at, &r)) *r.flags = (char)(*r.flags & ~SBXI_RULE_ABOVE);
        for (part.len = 0; part.len < path.len; part.len++) {
            while (part.len < path.len && path.ptr[part.len] != '/') part.len++;
            ignored = sbxi_ignore_level(g, part);
        }
        return ignored;
    }
    while (sbxi_ignore_rule(g, &at, &r)) {
        unsigned found;
        if (((*r.flags & SBXI_RULE_NOT) != 0) != ignored) continue;
        found = sbxi_glob_run(&r.glob, path, false);
        if ((found & SBXI_GLOB_INSIDE)
            || ((found & SBXI_GLOB_HIT) && (is_dir || !(*r.flags & SBXI_RULE_DIR))))
            ignored = !ignored;
    }
    return ignored;
}

/* The part of a path up to its next /. */
static sbxi_span sbxi_path_part(sbxi_span path)
{
    const char *slash = (const char *)memchr(path.ptr, '/', path.len);
    if (slash) path.len = (size_t)(slash - path.ptr);
    return path;
}

static bool sbxi_glob_is_plain(sbxi_span s)
{
    for (; s.len; s = sbxi_behind(s, 1))
        if (memchr("*?[\\", *s.ptr, 4)) return false;
    return true;
}

/* Whether a rule with ! could speak of something below a directory. */
static bool sbxi_ignore_reaches(sbxi_span rule, sbxi_span dir)
{
    for (;;) {
        sbxi_span a = sbxi_path_part(rule), b = sbxi_path_part(dir);
        if (sbxi_find(a, "**")) return true;
        if (sbxi_glob_is_plain(a) && (a.len != b.len || memcmp(a.ptr, b.ptr, a.len) != 0))
            return false;
        if (a.len == rule.len || b.len == dir.len) return a.len < rule.len;
        rule = sbxi_behind(rule, a.len + 1);
        dir = sbxi_behind(dir, b.len + 1);
    }
}

/* Whether an ignored directory has to be looked into. */
static SBXI_MAYBE bool sbxi_ignore_enters(const sbxi_ignores *g, sbxi_span dir)
{
    size_t at = 0;
    sbxi_ignoring r;
    while (sbxi_ignore_rule(g, &at, &r)) {
        sbxi_span rule;
        rule.ptr = r.glob.p;
        rule.len = r.glob.len;
        if ((*r.flags & SBXI_RULE_NOT)
            && (g->dialect == SBXI_GLOB_GIT || sbxi_ignore_reaches(rule, dir))) return true;
    }
    return false;
}

#endif
/* tree - trees of files: the one in memory, a file read as a whole, and the walk that
   finds what of a tree a COPY takes: what the pattern of its source matches and what
   lies below that, without what is ignored. Used by pack/context and the builder.

   The walk keeps the path it stands at and nothing else, whatever the size of the
   tree: the tree says what comes next behind a name. By whole paths "a.b" comes before
   "a/c", as . is less than /: so what is in a directory comes when the next name is
   behind the directory's with a / at its end, maybe long after the directory itself.
   That directory's name is then the beginning of the name at hand, so it need not be
   remembered either. */

#ifndef SBX_NO_TEMPLATE

/* ---- the tree in memory ---------------------------------------------------- */

#define SBXI_MEMORY_PATH sizeof(((sbx_memory_tree *)0)->path_)

/* It is named as a directory, or the root. */
static bool sbxi_memory_is_dir(const sbx_tree_file *f)
{
    size_t n = strlen(f->path);
    return !n || f->path[n - 1] == '/';
}

static sbxi_span sbxi_memory_path(const sbx_tree_file *f)
{
    sbxi_span s = sbxi_span_of(f->path);
    while (s.len && s.ptr[s.len - 1] == '/') s.len--;
    return s;
}

/* Whether `path` is below `dir`; *rest is the part behind its /. */
static bool sbxi_path_below(sbxi_span path, sbxi_span dir, sbxi_span *rest)
{
    size_t n = dir.len + (dir.len > 0);
    if (path.len <= n || (n && (memcmp(path.ptr, dir.ptr, dir.len) != 0 || path.ptr[n - 1] != '/')))
        return false;
    rest->ptr = path.ptr + n;
    rest->len = path.len - n;
    return true;
}

/* Puts the target of f in place of its path, into buf, where the rest may stand. */
static bool sbxi_memory_jump(const sbx_tree_file *f, sbxi_span rest, char *buf, sbxi_span *path)
{
    sbxi_span at = sbxi_memory_path(f), target = sbxi_span_of(f->link);
    size_t n = at.len;
    while (n && at.ptr[n - 1] != '/') n--;
    if (!target.len || *target.ptr == '/'
        || n + target.len + 1 + rest.len >= SBXI_MEMORY_PATH)
        return false;
    memmove(buf + n + target.len + 1, rest.ptr, rest.len);
    memcpy(buf, at.ptr, n);
    memcpy(buf + n, target.ptr, target.len);
    n += target.len;
    buf[n++] = '/';
    path->len = sbxi_path_clean(buf, n + rest.len);
    path->ptr = buf;
    if (path->len == 1 && *buf == '.') path->len = 0;
    return true;
}

/* How a path stands to the tree. */
typedef struct sbxi_memory_place {
    const sbx_tree_file *file;  /* it, NULL: none is named so */
    const sbx_tree_file *link;  /* to be followed to come there, NULL: none */
    sbxi_span left;             /* what follows the link in the path */
    bool dir;                   /* there is something below it */
} sbxi_memory_place;

static void sbxi_memory_look(const sbx_memory_tree *m, sbxi_span path, bool follow,
    sbxi_memory_place *at)
{
    size_t i;
    sbxi_span rest;
    memset(at, 0, sizeof *at);
    at->left = sbxi_span_of("");
    at->dir = path.len == 0;
    for (i = 0; i < m->count; i++) {
        const sbx_tree_file *f = &m->files[i];
        sbxi_span name = sbxi_memory_path(f);
        if (sbxi_path_below(name, path, &rest)) {
            at->dir = true;
        } else if (f->link && sbxi_path_below(path, name, &rest)) {
            at->link = f;
            at->left = rest;
        } else if (name.len == path.len && memcmp(name.ptr, path.ptr, name.len) == 0) {
            at->file = f;
            if (f->link && follow) at->link = f;
        }
    }
}

/* The file of a path; NULL with SBX_OK: a directory that is not named. Links on the
   way are followed, the one at its end if asked to; *path is where they lead. */
static int sbxi_memory_find(const sbx_memory_tree *m, sbxi_span *path, bool follow, char *buf,
    const sbx_tree_file **out)
{
    unsigned steps;
    for (steps = 0; steps <= 8; steps++) {
        sbxi_memory_place at;
        sbxi_memory_look(m, *path, follow, &at);
        *out = at.file;
        if (!at.link) return at.file || at.dir ? SBX_OK : SBX_E_NOT_FOUND;
        if (!sbxi_memory_jump(at.link, at.left, buf, path)) break;
    }
    return SBX_E_NOT_FOUND;
}

/* Less, equal, more, by bytes. */
static int sbxi_span_order(sbxi_span a, sbxi_span b)
{
    size_t n = SBXI_MIN(a.len, b.len);
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int sbxi_memory_next(void *ctx, const char *dir, const char *after, char *name, size_t cap)
{
    sbx_memory_tree *m = (sbx_memory_tree *)ctx;
    sbxi_span root = sbxi_span_of(dir), least = sbxi_span_of(after), best = { NULL, 0 }, rest;
    const sbx_tree_file *f;
    size_t i;
    int rc = sbxi_memory_find(m, &root, true, m->path_, &f);
    if (rc != SBX_OK) return rc;
    for (i = 0; i < m->count; i++) {
        if (!sbxi_path_below(sbxi_memory_path(&m->files[i]), root, &rest)) continue;
        rest = sbxi_path_part(rest);
        if (sbxi_span_order(rest, least) <= 0) continue;
        if (!best.len || sbxi_span_order(rest, best) < 0) best = rest;
    }
    if (!best.len) return SBX_E_NOT_FOUND;
    if (best.len >= cap) return SBX_E_TOO_LARGE;
    memcpy(name, best.ptr, best.len);
    name[best.len] = 0;
    return SBX_OK;
}

static int sbxi_memory_stat(void *ctx, const char *path, bool follow, sbx_tree_entry *out)
{
    static const uint16_t modes[4] = { 0, 0644, 0755, 0777 };
    sbx_memory_tree *m = (sbx_memory_tree *)ctx;
    sbxi_span at = sbxi_span_of(path);
    const sbx_tree_file *f;
    int rc = sbxi_memory_find(m, &at, follow, m->path_, &f);
    memset(out, 0, sizeof *out);
    if (rc != SBX_OK) return rc;
    out->type = SBX_FILE_DIR;
    if (f && f->link) {
        out->type = SBX_FILE_SYMLINK;
        out->size = (int64_t)strlen(f->link);
    } else if (f && !sbxi_memory_is_dir(f)) {
        out->type = SBX_FILE_REGULAR;
        out->size = f->from ? f->from->size : (int64_t)f->len;
    }
    out->mode = f && f->mode ? f->mode & 07777 : modes[out->type];
    if (f) out->modified_unix_s = f->modified_unix_s;
    return SBX_OK;
}

static int sbxi_memory_link(void *ctx, const char *path, char *target, size_t cap)
{
    sbx_memory_tree *m = (sbx_memory_tree *)ctx;
    sbxi_span at = sbxi_span_of(path);
    const sbx_tree_file *f;
    int rc = sbxi_memory_find(m, &at, false, m->path_, &f);
    size_t n;
    if (rc != SBX_OK || !f || !f->link) return SBX_E_NOT_FOUND;
    n = strlen(f->link);
    if (n >= cap) return SBX_E_TOO_LARGE;
    memcpy(target, f->link, n + 1);
    return SBX_OK;
}

static int sbxi_memory_open(void *ctx, const char *path, void **file)
{
    sbx_memory_tree *m = (sbx_memory_tree *)ctx;
    sbxi_span at = sbxi_span_of(path);
    const sbx_tree_file *f;
    int rc = sbxi_memory_find(m, &at, true, m->path_, &f);
    *file = ctx;
    if (rc != SBX_OK) return rc;
    if (!f || sbxi_memory_is_dir(f)) return SBX_E_NOT_A_FILE;
    m->open_ = (size_t)(f - m->files);
    m->at_ = 0;
    if (!f->from) return SBX_OK;
    return f->from->rewind ? f->from->rewind(f->from->ctx) : SBX_E_ARG;
}

static int sbxi_memory_read(void *ctx, void *file, void *buf, size_t cap, size_t *got)
{
    sbx_memory_tree *m = (sbx_memory_tree *)ctx;
    const sbx_tree_file *f = &m->files[m->open_];
    (void)file;
    if (f->from) return f->from->get(f->from->ctx, buf, cap, got);
    *got = SBXI_MIN(cap, f->len - m->at_);
    if (*got) memcpy(buf, (const char *)f->data + m->at_, *got);
    m->at_ += *got;
    return SBX_OK;
}

static void sbxi_memory_close(void *ctx, void *file)
{
    (void)ctx;
    (void)file;
}

SBX_API sbx_tree sbx_tree_memory(sbx_memory_tree *state)
{
    sbx_tree t;
    t.next = sbxi_memory_next;
    t.stat = sbxi_memory_stat;
    t.link = sbxi_memory_link;
    t.open = sbxi_memory_open;
    t.read = sbxi_memory_read;
    t.close = sbxi_memory_close;
    t.ctx = state;
    return t;
}

/* ---- a whole file ---------------------------------------------------------- */

/* The content of a file of up to `max` bytes, for sbxi_buf_free() whatever comes. A
   tree that has to wait cannot be read so: SBX_E_SOURCE. SBX_E_NOT_FOUND: none there. */
static SBXI_APART SBXI_MAYBE int sbxi_tree_file(const sbx_tree *tree, const char *path,
    const sbx_alloc *alloc, size_t max, sbxi_buf *out)
{
    char piece[128];
    size_t got = 1;
    void *file;
    int rc = tree->open(tree->ctx, path, &file);
    sbxi_buf_init(out, alloc, max);
    if (rc != SBX_OK) return rc > 0 ? SBX_E_SOURCE : rc;
    while (rc == SBX_OK && got) {
        rc = tree->read(tree->ctx, file, piece, sizeof piece, &got);
        if (rc == SBX_OK && got > sizeof piece) rc = SBX_E_SOURCE;
        if (rc == SBX_OK) rc = sbxi_buf_add(out, piece, got);
    }
    tree->close(tree->ctx, file);
    return rc > 0 || rc == SBX_E_AGAIN || rc == SBX_E_NOT_FOUND ? SBX_E_SOURCE : rc;
}

/* Adds the lines of a file of rules; none there: SBX_OK. */
static SBXI_MAYBE int sbxi_tree_rules(const sbx_tree *tree, const char *path, sbxi_ignores *g,
    sbx_error *e)
{
    sbxi_buf all;
    sbxi_span text;
    int rc = sbxi_tree_file(tree, path, g->rules.alloc, SBXI_IGNORE_MAX, &all);
    text.ptr = all.data;
    text.len = all.len;
    if (rc == SBX_OK) rc = sbxi_ignore_add(g, text, e);
    else if (rc == SBX_E_NOT_FOUND) rc = SBX_OK;
    else sbxi_error_at(e, rc, sbxi_span_of(path), NULL);
    sbxi_buf_free(&all);
    return rc;
}

/* ---- the walk -------------------------------------------------------------- */

#define SBXI_NAME_MAX 256u      /* bytes of a name with its NUL */
#define SBXI_WALK_LINKS 8u      /* links that a path may lead through */
#define SBXI_WALK_NONE SIZE_MAX

typedef struct sbxi_walk {
    const sbx_tree *tree;
    const sbxi_ignores *ignore;  /* NULL: nothing is */
    sbx_error *error;
    sbxi_glob source;           /* points to what is cleaned of it, the caller's memory */
    bool by_name;               /* order: directory by directory, instead of whole paths */
    bool links;                 /* directories that links lead to are walked too */
    bool started, popped;
    uint8_t through;            /* links in the path */
    size_t dir;                 /* bytes of the path up to the last / */
    size_t cover;               /* of the topmost directory that is taken with all in it,
                                   0 the root, or SBXI_WALK_NONE */
    sbx_tree_entry entry;       /* of the path; a link not followed */
    char path[SBX_MAX_PATH];    /* "" the root */
    char name[SBXI_NAME_MAX];
} sbxi_walk;

/* Whether a cleaned path starts with .. or /. */
static bool sbxi_path_leaves(sbxi_span path)
{
    return *path.ptr == '/' || sbxi_span_is(sbxi_path_part(path), "..");
}

/* src as a COPY has it; *w is zero but for tree, ignore, error, source.dialect, by_name
   and links. `clean` (SBXI_GLOB_MAX + 1 bytes) must live as long. SBX_E_ARG: an absolute
   path, one that leaves the root, a pattern that is none; SBX_E_TOO_LARGE. */
static SBXI_MAYBE int sbxi_walk_init(sbxi_walk *w, const char *src, char *clean)
{
    sbxi_span s = sbxi_span_of(src), cleaned;
    sbxi_glob *g = &w->source;
    int rc = s.len > SBXI_GLOB_MAX ? SBX_E_TOO_LARGE : SBX_OK;
    w->cover = SBXI_WALK_NONE;
    g->p = cleaned.ptr = clean;
    if (rc == SBX_OK && s.len) {
        bool dir = s.ptr[s.len - 1] == '/' && g->dialect == SBXI_GLOB_SOURCE;
        memcpy(clean, src, s.len);
        g->len = cleaned.len = sbxi_path_clean(clean, s.len);
        if (sbxi_path_leaves(cleaned)) rc = SBX_E_ARG;
        else if (dir) clean[g->len++] = '/'; /* where it was already */
    }
    if (rc == SBX_OK) rc = sbxi_glob_check(g);
    return rc == SBX_OK ? rc : sbxi_error_at(w->error, rc, s, rc == SBX_E_TOO_LARGE
        ? SBXI_TEXT("a source is at most 511 bytes")
        : SBXI_TEXT("a source is a path or pattern below the root of the context"));
}

static sbxi_span sbxi_walk_path(const sbxi_walk *w) { return sbxi_span_of(w->path); }

/* What a tree answered, or is wrong with what it did. */
static int sbxi_walk_fail(const sbxi_walk *w, int status, const char *text)
{
    sbxi_span at = sbxi_walk_path(w);
    if (status > 0) status = SBX_E_SOURCE;
    return sbxi_error_at(w->error, status, at.len ? at : sbxi_span_of("."), text);
}

static bool sbxi_walk_ignored(const sbxi_walk *w)
{
    return w->ignore && sbxi_ignored(w->ignore, sbxi_walk_path(w), w->entry.type == SBX_FILE_DIR);
}

/* Looks at the path. What was listed and is no longer there has changed. */
static int sbxi_walk_stat(sbxi_walk *w)
{
    int rc = w->tree->stat(w->tree->ctx, w->path, false, &w->entry);
    if (rc == SBX_OK && (unsigned)w->entry.type > SBX_FILE_SYMLINK) rc = SBX_E_SOURCE;
    w->entry.mode &= 07777;
    if (rc == SBX_OK) return rc;
    return sbxi_walk_fail(w, rc == SBX_E_NOT_FOUND ? SBX_E_CHANGED : rc, NULL);
}

/* Whether the path is a directory; of a link if it leads to one. */
static bool sbxi_walk_is_dir(const sbxi_walk *w)
{
    sbx_tree_entry e;
    if (w->entry.type != SBX_FILE_SYMLINK) return w->entry.type == SBX_FILE_DIR;
    return w->tree->stat(w->tree->ctx, w->path, true, &e) == SBX_OK && e.type == SBX_FILE_DIR;
}

/* Whether the entry at the path is to be handed out. */
static bool sbxi_walk_takes(const sbxi_walk *w, unsigned found)
{
    bool in = w->cover != SBXI_WALK_NONE || (found & SBXI_GLOB_HIT)
        || ((found & SBXI_GLOB_IF_DIR) && sbxi_walk_is_dir(w));
    return in && !sbxi_walk_ignored(w);
}

/* Whether to go into the path. Below what is taken whole: all directories but ignored
   ones; above: those where the pattern may match, links only where it names them. */
static bool sbxi_walk_enters(sbxi_walk *w)
{
    sbxi_span path = sbxi_walk_path(w);
    bool link = w->entry.type == SBX_FILE_SYMLINK, all = !link || w->links;
    unsigned found;
    if (!sbxi_walk_is_dir(w)) return false;
    if (w->cover != SBXI_WALK_NONE)
        return all && (!sbxi_walk_ignored(w) || sbxi_ignore_enters(w->ignore, path));
    found = sbxi_glob_run(&w->source, path, link);
    if (all && (found & (SBXI_GLOB_HIT | SBXI_GLOB_IF_DIR)) && !sbxi_walk_ignored(w)) {
        w->cover = path.len;
        return true;
    }
    return (found & SBXI_GLOB_BELOW) != 0;
}

/* Whether the content of a directory, which is the first n bytes of the name at hand,
   comes before that name or before the next one. */
static bool sbxi_walk_due(const sbxi_walk *w, const char *at, size_t n, size_t len, bool have)
{
    if (n == len ? w->popped : w->by_name || (unsigned char)at[n] >= '/') return false;
    if (w->by_name) return true;
    return !have || memcmp(w->name, at, n) != 0 || (unsigned char)w->name[n] >= '/';
}

/* Looks at a path that need not be there. */
static int sbxi_walk_peek(sbxi_walk *w)
{
    int rc = w->tree->stat(w->tree->ctx, w->path, false, &w->entry);
    if (rc == SBX_OK) return rc;
    w->entry.type = SBX_FILE_UNKNOWN;
    return rc == SBX_E_NOT_FOUND ? SBX_OK : sbxi_walk_fail(w, rc, NULL);
}

/* Into the directory at the path, whose name is n bytes. */
static int sbxi_walk_push(sbxi_walk *w, size_t n)
{
    w->through = (uint8_t)(w->through + (w->entry.type == SBX_FILE_SYMLINK));
    if (w->through > SBXI_WALK_LINKS)
        return sbxi_walk_fail(w, SBX_E_TOO_LARGE, SBXI_TEXT("links lead in circles"));
    w->dir += n;
    if (w->dir + 2 > sizeof w->path) return sbxi_walk_fail(w, SBX_E_TOO_LARGE, NULL);
    w->path[w->dir++] = '/';
    w->path[w->dir] = 0;
    w->popped = false;
    return SBX_OK;
}

/* Goes into the directory whose content comes now, before the next name: the one at
   hand, or by whole paths a beginning of it. *in: there is one. */
static int sbxi_walk_inner(sbxi_walk *w, bool have, bool *in)
{
    char *at = w->path + w->dir;
    size_t len = strlen(at), n;
    *in = false;
    len -= w->popped && !w->by_name; /* its / */
    for (n = len; n > 0; n--) {
        char cut = at[n];
        int rc;
        if (!sbxi_walk_due(w, at, n, len, have)) continue;
        at[n] = 0;
        rc = n < len ? sbxi_walk_peek(w) : SBX_OK;
        if (rc != SBX_OK) return rc;
        *in = sbxi_walk_enters(w);
        if (*in) return sbxi_walk_push(w, n);
        at[n] = cut;
    }
    return SBX_OK;
}

/* Back to the directory above, behind the one that is done. */
static int sbxi_walk_pop(sbxi_walk *w)
{
    size_t len = w->dir - 1;
    int rc = SBX_OK;
    w->path[len] = 0;
    if (w->through) {
        rc = sbxi_walk_stat(w);
        w->through = (uint8_t)(w->through - (w->entry.type == SBX_FILE_SYMLINK));
    }
    if (w->cover == len) w->cover = SBXI_WALK_NONE;
    for (w->dir = len; w->dir > 0 && w->path[w->dir - 1] != '/';) w->dir--;
    if (!w->by_name) {
        w->path[len] = '/';
        w->path[len + 1] = 0;
    }
    w->popped = true;
    return rc;
}

/* Whether it may be the name of a file, and comes behind the last one. */
static bool sbxi_walk_is_name(const char *name, const char *after)
{
    return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0
        && strcmp(name, after) > 0;
}

/* The name that comes next in the directory at hand. */
static int sbxi_walk_name(sbxi_walk *w, bool *have)
{
    size_t end = w->dir ? w->dir - 1 : 0;
    char cut = w->path[end];
    int rc;
    w->path[end] = w->dir ? 0 : cut;
    rc = w->tree->next(w->tree->ctx, w->dir ? w->path : "", w->path + w->dir, w->name,
        sizeof w->name);
    w->path[end] = cut;
    w->name[sizeof w->name - 1] = 0;
    *have = rc == SBX_OK;
    if (*have && !sbxi_walk_is_name(w->name, w->path + w->dir))
        return sbxi_walk_fail(w, SBX_E_SOURCE,
            SBXI_TEXT("next() of the tree gave no name, or one that is not behind the last"));
    return *have || rc == SBX_E_NOT_FOUND ? SBX_OK : sbxi_walk_fail(w, rc, NULL);
}

/* The next path there is, whether taken or not. SBX_PENDING: into a directory, or out
   of one; SBX_E_NOT_FOUND: that was all. */
static int sbxi_walk_step(sbxi_walk *w)
{
    size_t n;
    bool have, in;
    int rc = sbxi_walk_name(w, &have);
    if (rc == SBX_OK) rc = sbxi_walk_inner(w, have, &in);
    if (rc != SBX_OK) return rc;
    if (in) return SBX_PENDING;
    if (!have) {
        if (w->dir == 0) return SBX_E_NOT_FOUND;
        rc = sbxi_walk_pop(w);
        return rc == SBX_OK ? SBX_PENDING : rc;
    }
    n = strlen(w->name);
    if (n >= sizeof w->path - w->dir) return sbxi_walk_fail(w, SBX_E_TOO_LARGE, NULL);
    memcpy(w->path + w->dir, w->name, n + 1);
    w->popped = false;
    return SBX_OK;
}

/* Whether the root itself is taken; of a source that is not empty. */
static bool sbxi_walk_from_root(const sbxi_walk *w)
{
    const sbxi_glob *g = &w->source;
    return *g->p == '.' && (g->len == 1 || g->p[1] == '/');
}

/* The next entry that is taken: path, entry. SBX_PENDING: one was passed over, call
   again; SBX_E_NOT_FOUND: there is none left; others with a message. */
static SBXI_MAYBE int sbxi_walk_next(sbxi_walk *w)
{
    unsigned found = 0;
    int rc;
    if (!w->started) {
        w->started = true;
        if (!w->source.len) return SBX_E_NOT_FOUND;
        if (sbxi_walk_from_root(w)) {
            w->cover = 0;
            return sbxi_walk_stat(w);
        }
    }
    rc = sbxi_walk_step(w);
    if (rc != SBX_OK) return rc;
    memset(&w->entry, 0, sizeof w->entry);
    if (w->cover == SBXI_WALK_NONE) {
        found = sbxi_glob_run(&w->source, sbxi_walk_path(w), false);
        if (!(found & ~SBXI_GLOB_INSIDE)) return SBX_PENDING;
    }
    rc = sbxi_walk_stat(w);
    return rc != SBX_OK || sbxi_walk_takes(w, found) ? rc : SBX_PENDING;
}

#endif
/* hash - the name a context's files have in E2B's cache: SHA-256 over the COPY and what
   it takes. Equal to the official SDKs', so that caches are shared. Fed by
   pack/context, entry by entry in the order of whole paths. */

#ifndef SBX_NO_TEMPLATE

static void sbxi_hash_text(sbx_sha256 *h, const char *text)
{
    sbx_sha256_add(h, text, strlen(text));
}

static void sbxi_hash_number(sbx_sha256 *h, uint64_t v)
{
    char digits[SBXI_DECIMAL_MAX];
    sbx_sha256_add(h, digits, sbxi_print_u64(digits, v));
}

static SBXI_MAYBE void sbxi_hash_begin(sbx_sha256 *h, const char *src, const char *dest)
{
    sbx_sha256_init(h);
    sbxi_hash_text(h, "COPY ");
    sbxi_hash_text(h, src);
    sbxi_hash_text(h, " ");
    sbxi_hash_text(h, dest);
}

/* An entry ("" the root), with the target of a link that is kept as one. The content
   of a file follows. */
static SBXI_MAYBE void sbxi_hash_entry(sbx_sha256 *h, const char *path, const sbx_tree_entry *e,
    const char *target)
{
    /* The st_mode of every system there is; of pipes and sockets nothing is known. */
    static const uint32_t types[4] = { 0, 0100000, 0040000, 0120000 };
    sbxi_hash_text(h, *path ? path : ".");
    sbxi_hash_number(h, types[e->type] | e->mode);
    if (e->type != SBX_FILE_DIR) sbxi_hash_number(h, (uint64_t)e->size);
    if (e->type == SBX_FILE_SYMLINK) sbxi_hash_text(h, target);
}

/* 64 hex digits and a NUL. */
static SBXI_MAYBE void sbxi_hash_end(sbx_sha256 *h, char out[65])
{
    unsigned char sum[32];
    sbx_sha256_end(h, sum);
    *sbxi_print_hex(out, sum, sizeof sum) = 0;
}

#endif
/* context - what a COPY sends: files of a tree as a tar, packed or not, as a source of
   exactly known size. Three passes over the tree, as many as are needed:

       hash    what is selected, and its name in E2B's cache; no archive is made
       count   the archive is made and measured, and hashed where that is its name
       send    it is made again and handed out

   so that nothing is stored and the memory is this struct and the packer's. Whatever
   is not the same in two passes ends the later one with SBX_E_CHANGED before the
   archive's last bytes are out. Everything is done in small steps; called by api/. */

#ifndef SBX_NO_TEMPLATE

typedef enum sbxi_pass { SBXI_PASS_HASH, SBXI_PASS_COUNT, SBXI_PASS_SEND } sbxi_pass;

/* What is selected and how it is sent; all it points at outlives the context. */
typedef struct sbxi_plan {
    const sbx_tree *tree;
    const sbxi_ignores *ignore;  /* NULL: nothing is ignored */
    const sbx_alloc *alloc;
    sbx_error *error;           /* gets the message, with the name of the file */
    const char *src, *dest;     /* of the COPY */
    uint8_t dialect;            /* of src: SBXI_GLOB_SOURCE, SBXI_GLOB_PLAIN */
    uint8_t level;              /* of the packer */
    bool tar;                   /* not packed */
    bool by_name;               /* directory by directory, instead of by whole paths */
    bool follow;                /* links are replaced by what they lead to */
    bool links;                 /* with follow: and directories they lead to are walked */
    bool own_mode;              /* `mode` for all, instead of the tree's */
    bool no_times;              /* 1970 for all, so that the same files give the same bytes */
    bool archive_hash;          /* the hash is that of the archive */
    uint16_t mode;
} sbxi_plan;

enum { SBXI_CONTEXT_NEXT, SBXI_CONTEXT_HEAD, SBXI_CONTEXT_FILE, SBXI_CONTEXT_END,
    SBXI_CONTEXT_DONE };

typedef struct sbxi_context {
    sbxi_plan plan;
    sbxi_walk walk;
    sbxi_tar tar;
    sbx_sha256 sha;
    sbx_tree_entry entry;       /* the walk's, of a link that is followed its target's */
    sbxi_gzip *gzip;
    void *file;
    sbxi_pass pass;
    uint8_t state;
    bool open, done;            /* a file is; the archive is out */
    uint16_t at, have;          /* of the block: taken, filled */
    uint32_t crc, known_crc;    /* of the tar: so far, as counted */
    uint32_t entries, known_entries;
    int64_t left;               /* bytes of the file to come */
    int64_t sent, size;         /* bytes of the archive; -1: not counted yet */
    char hash[65];              /* "" until a pass has told */
    unsigned char block[SBXI_TAR_BLOCK];
    unsigned char count[256];   /* what is only counted */
    char target[SBX_MAX_PATH];  /* of a link */
    char clean[SBXI_GLOB_MAX + 1];
} sbxi_context;

static void sbxi_context_shut(sbxi_context *c)
{
    if (c->open) c->plan.tree->close(c->plan.tree->ctx, c->file);
    c->open = false;
}

/* Starts a pass from the beginning. Send: after count. */
static SBXI_MAYBE int sbxi_context_begin(sbxi_context *c, sbxi_pass pass)
{
    sbxi_walk *w = &c->walk;
    const sbxi_plan *p = &c->plan;
    size_t size = sbxi_gzip_size(p->level);
    sbxi_context_shut(c);
    memset(w, 0, sizeof *w);
    w->tree = p->tree;
    w->ignore = p->ignore;
    w->error = p->error;
    w->source.dialect = p->dialect;
    w->by_name = p->by_name;
    w->links = p->links;
    c->pass = pass;
    c->state = SBXI_CONTEXT_NEXT;
    c->done = false;
    c->at = c->have = 0;
    c->crc = c->entries = 0;
    c->sent = 0;
    if (p->archive_hash) sbx_sha256_init(&c->sha);
    else sbxi_hash_begin(&c->sha, p->src, p->dest);
    if (pass != SBXI_PASS_HASH && !p->tar) {
        if (!c->gzip) c->gzip = (sbxi_gzip *)sbxi_alloc_get(p->alloc, size);
        if (!c->gzip) return sbxi_error_set(p->error, SBX_E_NOMEM, NULL);
        c->gzip = sbxi_gzip_init(c->gzip, p->level);
    }
    return sbxi_walk_init(w, p->src, c->clean);
}

static SBXI_MAYBE void sbxi_context_close(sbxi_context *c)
{
    sbx_alloc a;
    if (!c) return;
    a = *c->plan.alloc;
    sbxi_context_shut(c);
    sbxi_alloc_free(&a, c->gzip, sbxi_gzip_size(c->plan.level));
    sbxi_alloc_free(&a, c, sizeof *c);
}

/* *out stays NULL on failure. Begins with the first pass that the plan needs. */
static SBXI_MAYBE int sbxi_context_open(sbxi_context **out, const sbxi_plan *plan)
{
    sbxi_context *c = (sbxi_context *)sbxi_alloc_get(plan->alloc, sizeof *c);
    int rc;
    *out = NULL;
    if (!c) return sbxi_error_set(plan->error, SBX_E_NOMEM, NULL);
    c->plan = *plan;
    c->size = -1;
    rc = sbxi_context_begin(c, plan->archive_hash ? SBXI_PASS_COUNT : SBXI_PASS_HASH);
    if (rc == SBX_OK) *out = c;
    else sbxi_context_close(c);
    return rc;
}

static int sbxi_context_changed(const sbxi_context *c)
{
    return sbxi_walk_fail(&c->walk, SBX_E_CHANGED, NULL);
}

static int sbxi_context_failed(const sbxi_context *c, int rc)
{
    return sbxi_walk_fail(&c->walk, rc == SBX_E_NOT_FOUND ? SBX_E_CHANGED : rc, NULL);
}

/* A link: what it leads to, or its target. In an archive that follows links, one that
   leads nowhere has no place. */
static SBXI_APART int sbxi_context_link(sbxi_context *c)
{
    const sbx_tree *t = c->plan.tree;
    sbx_tree_entry e;
    int rc;
    if (c->plan.follow) {
        rc = t->stat(t->ctx, c->walk.path, true, &e);
        if (rc != SBX_OK && rc != SBX_E_NOT_FOUND) return sbxi_context_failed(c, rc);
        e.mode &= 07777;
        if (rc == SBX_OK && (e.type == SBX_FILE_REGULAR || e.type == SBX_FILE_DIR)) {
            c->entry = e;
            return SBX_OK;
        }
        if (c->pass != SBXI_PASS_HASH)
            return sbxi_walk_fail(&c->walk, SBX_E_NOT_FOUND,
                SBXI_TEXT("the link leads nowhere, and links are to be followed"));
    }
    rc = t->link ? t->link(t->ctx, c->walk.path, c->target, sizeof c->target) : SBX_E_NOT_FOUND;
    return rc == SBX_OK ? rc : sbxi_context_failed(c, rc);
}

static SBXI_APART int sbxi_context_head(sbxi_context *c)
{
    const sbx_tree_entry *e = &c->entry;
    const sbxi_plan *p = &c->plan;
    sbxi_tar_entry *t = &c->tar.entry; /* where it is wanted */
    int rc;
    memset(t, 0, sizeof *t);
    t->name = sbxi_span_of(c->walk.path[0] ? c->walk.path : ".");
    t->type = e->type == SBX_FILE_DIR ? SBXI_TAR_DIR
        : e->type == SBX_FILE_SYMLINK ? SBXI_TAR_LINK : SBXI_TAR_FILE;
    if (t->type == SBXI_TAR_LINK) t->link = sbxi_span_of(c->target);
    if (t->type == SBXI_TAR_FILE) t->size = e->size;
    t->mode = p->own_mode ? p->mode : e->mode;
    if (t->type == SBXI_TAR_LINK) t->mode = 0777;
    t->mtime = p->no_times ? 0 : e->modified_unix_s;
    t->user = t->group = sbxi_span_of("root");
    rc = sbxi_tar_begin(&c->tar, t);
    return rc == SBX_OK ? rc : sbxi_walk_fail(&c->walk, rc, SBXI_TEXT("no archive can hold it"));
}

/* The walk is over. */
static int sbxi_context_end(sbxi_context *c)
{
    c->state = c->pass == SBXI_PASS_HASH ? SBXI_CONTEXT_DONE : SBXI_CONTEXT_END;
    c->left = SBXI_TAR_END;
    if (c->entries) return SBX_OK;
    return sbxi_error_at(c->plan.error, SBX_E_NOT_FOUND, sbxi_span_of(c->plan.src),
        SBXI_TEXT("no such file in the context, or all are ignored"));
}

/* Whether this pass makes the hash of what is selected. */
static bool sbxi_context_hashes(const sbxi_context *c)
{
    return c->pass != SBXI_PASS_SEND && !c->plan.archive_hash;
}

/* The next entry that is selected; SBX_PENDING: one was passed over. */
static SBXI_APART int sbxi_context_next(sbxi_context *c)
{
    sbxi_walk *w = &c->walk;
    int rc = sbxi_walk_next(w);
    if (rc == SBX_E_NOT_FOUND) return sbxi_context_end(c);
    if (rc != SBX_OK) return rc;
    c->entries++;
    c->entry = w->entry;
    if (w->entry.type == SBX_FILE_UNKNOWN)
        return sbxi_walk_fail(w, SBX_E_NOT_A_FILE,
            SBXI_TEXT("neither a file, a directory nor a link: let it be ignored"));
    if (w->entry.type == SBX_FILE_SYMLINK) rc = sbxi_context_link(c);
    if (rc != SBX_OK) return rc;
    if (sbxi_context_hashes(c)) sbxi_hash_entry(&c->sha, w->path, &c->entry, c->target);
    c->state = SBXI_CONTEXT_HEAD;
    return c->pass == SBXI_PASS_HASH ? SBX_OK : sbxi_context_head(c);
}

/* Behind the head of an entry. */
static int sbxi_context_enter(sbxi_context *c)
{
    const sbx_tree *t = c->plan.tree;
    int rc;
    c->state = SBXI_CONTEXT_NEXT;
    if (c->entry.type != SBX_FILE_REGULAR) return SBX_OK;
    if (c->entry.size < 0) return sbxi_walk_fail(&c->walk, SBX_E_ARG, NULL);
    rc = t->open(t->ctx, c->walk.path, &c->file);
    if (rc == SBX_E_NOT_A_FILE) rc = SBX_E_CHANGED;
    if (rc != SBX_OK) return sbxi_context_failed(c, rc);
    c->open = true;
    c->left = c->entry.size;
    c->state = SBXI_CONTEXT_FILE;
    return SBX_OK;
}

/* All of a file is in; its last block is filled up with zeros. */
static int sbxi_context_filled(sbxi_context *c)
{
    sbxi_context_shut(c);
    c->state = SBXI_CONTEXT_NEXT;
    if (c->have) memset(c->block + c->have, 0, SBXI_TAR_BLOCK - c->have);
    if (c->have) c->have = SBXI_TAR_BLOCK;
    return SBX_OK;
}

/* The next bytes of a file, into the block. Behind its size there must be none. */
static SBXI_APART int sbxi_context_file(sbxi_context *c)
{
    const sbx_tree *t = c->plan.tree;
    size_t got = 0, want = (size_t)SBXI_MIN(c->left, (int64_t)(SBXI_TAR_BLOCK - c->have));
    unsigned char more, *to = want ? c->block + c->have : &more;
    int rc = t->read(t->ctx, c->file, to, want ? want : 1, &got);
    if (rc == SBX_E_AGAIN) return rc;
    if (rc != SBX_OK) return sbxi_context_failed(c, rc);
    if ((want == 0) != (got == 0)) return sbxi_context_changed(c);
    if (want == 0) return sbxi_context_filled(c);
    if (got > want) return sbxi_context_failed(c, SBX_E_SOURCE);
    if (sbxi_context_hashes(c)) sbx_sha256_add(&c->sha, to, got);
    c->have = (uint16_t)(c->pass == SBXI_PASS_HASH ? 0 : c->have + got);
    c->left -= (int64_t)got;
    return SBX_OK;
}

/* One step towards the next block of the tar; SBX_PENDING: one without a file. */
static int sbxi_context_block(sbxi_context *c)
{
    switch (c->state) {
    case SBXI_CONTEXT_NEXT:
        return sbxi_context_next(c);
    case SBXI_CONTEXT_HEAD:
        if (c->pass == SBXI_PASS_HASH || !sbxi_tar_block(&c->tar, c->block))
            return sbxi_context_enter(c);
        c->have = SBXI_TAR_BLOCK;
        return SBX_OK;
    case SBXI_CONTEXT_FILE:
        return sbxi_context_file(c);
    default: /* SBXI_CONTEXT_END */
        memset(c->block, 0, sizeof c->block);
        c->have = SBXI_TAR_BLOCK;
        c->left -= SBXI_TAR_BLOCK;
        if (c->left == 0) c->state = SBXI_CONTEXT_DONE;
        return SBX_OK;
    }
}

/* All of the tar is made: is it what was counted? */
static int sbxi_context_check(sbxi_context *c)
{
    if (c->gzip) c->crc = c->gzip->crc;
    if (c->pass == SBXI_PASS_SEND
        && (c->crc != c->known_crc || c->entries != c->known_entries))
        return sbxi_error_at(c->plan.error, SBX_E_CHANGED, sbxi_span_of(c->plan.src), NULL);
    c->known_crc = c->crc;
    c->known_entries = c->entries;
    return SBX_OK;
}

/* Out of the block, as it is; the last one only if all is as it was counted. */
static SBXI_APART int sbxi_context_copy(sbxi_context *c, sbxi_flow *io, bool last)
{
    size_t n = SBXI_MIN(io->in_len, io->out_len);
    int rc = SBX_OK;
    if (c->at == 0) c->crc = sbxi_crc32(c->crc, io->in, SBXI_TAR_BLOCK);
    if (c->at == 0 && last) rc = sbxi_context_check(c);
    if (rc != SBX_OK) return rc;
    memcpy(io->out, io->in, n);
    io->out += n;
    io->out_len -= n;
    io->in_len -= n;
    c->done = last && !io->in_len;
    return SBX_OK;
}

/* Out of the block, packed; its end the same way. */
static SBXI_APART int sbxi_context_pack(sbxi_context *c, sbxi_flow *io, bool last)
{
    bool finish = last && !io->in_len;
    int rc = finish ? sbxi_context_check(c) : SBX_OK;
    if (rc == SBX_OK) c->done = sbxi_gzip_run(c->gzip, io, finish);
    return rc;
}

/* Up to cap bytes of the archive; *got 0: it is out. SBX_PENDING: none yet. */
static int sbxi_context_pull(sbxi_context *c, unsigned char *out, size_t cap, size_t *got)
{
    sbxi_flow io;
    int rc = SBX_OK;
    io.out = out;
    io.out_len = cap;
    while (rc == SBX_OK && io.out_len && !c->done) {
        bool last = c->state == SBXI_CONTEXT_DONE;
        if (c->have < SBXI_TAR_BLOCK && !last) {
            rc = sbxi_context_block(c);
            continue;
        }
        io.in = c->block + c->at;
        io.in_len = (size_t)(c->have - c->at);
        rc = c->gzip ? sbxi_context_pack(c, &io, last) : sbxi_context_copy(c, &io, last);
        c->at = (uint16_t)(c->have - io.in_len);
        if (c->at == c->have) c->at = c->have = 0;
    }
    *got = cap - io.out_len;
    return (rc == SBX_E_AGAIN || rc == SBX_PENDING) && *got ? SBX_OK : rc;
}

/* At the end of a pass that tells the hash. */
static SBXI_APART int sbxi_context_told(sbxi_context *c)
{
    char hash[65];
    sbxi_hash_end(&c->sha, hash);
    if (c->hash[0] && memcmp(hash, c->hash, sizeof hash) != 0)
        return sbxi_error_at(c->plan.error, SBX_E_CHANGED, sbxi_span_of(c->plan.src), NULL);
    memcpy(c->hash, hash, sizeof hash);
    if (c->pass == SBXI_PASS_COUNT) c->size = c->sent;
    return SBX_OK;
}

/* Goes on with a hash or count pass for about `most` bytes of the files. SBX_OK: it is
   over, `hash` and after count `size` are known; SBX_PENDING: call again; SBX_E_AGAIN:
   a source has nothing now. SBX_E_NOT_FOUND: nothing is selected. */
static SBXI_MAYBE int sbxi_context_step(sbxi_context *c, uint32_t most)
{
    uint32_t used = 0;
    size_t got;
    int rc = SBX_OK;
    while (rc == SBX_OK && used < most) {
        if (c->pass == SBXI_PASS_HASH ? c->state == SBXI_CONTEXT_DONE : c->done)
            return sbxi_context_told(c);
        got = 0;
        if (c->pass == SBXI_PASS_HASH) rc = sbxi_context_block(c);
        else rc = sbxi_context_pull(c, c->count, sizeof c->count, &got);
        if (got && c->plan.archive_hash) sbx_sha256_add(&c->sha, c->count, got);
        c->sent += (int64_t)got;
        used += SBXI_TAR_BLOCK;
        if (rc == SBX_PENDING) rc = SBX_OK;
    }
    return rc == SBX_OK ? SBX_PENDING : rc;
}

/* Files that are passed over at once, before others have their turn. */
#define SBXI_CONTEXT_PASSED 1024u

static int sbxi_context_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    sbxi_context *c = (sbxi_context *)ctx;
    uint64_t left = (uint64_t)(c->size - c->sent);
    size_t n = left < cap ? (size_t)left : cap;
    unsigned passed = 0;
    int rc = SBX_OK;
    *got = 0;
    if (n) do rc = sbxi_context_pull(c, (unsigned char *)buf, n, got);
        while (rc == SBX_PENDING && ++passed < SBXI_CONTEXT_PASSED);
    if (rc != SBX_OK) return rc == SBX_PENDING ? SBX_E_AGAIN : rc;
    if (c->done != (c->sent + (int64_t)*got == c->size)) {
        *got = 0;
        return sbxi_error_at(c->plan.error, SBX_E_CHANGED, sbxi_span_of(c->plan.src), NULL);
    }
    c->sent += (int64_t)*got;
    return SBX_OK;
}

static int sbxi_context_rewind(void *ctx)
{
    return sbxi_context_begin((sbxi_context *)ctx, SBXI_PASS_SEND);
}

/* The archive, after count. One at a time; to be rewound before the first use. */
static SBXI_MAYBE sbx_source sbxi_context_source(sbxi_context *c)
{
    sbx_source s = { sbxi_context_get, sbxi_context_rewind, NULL, 0 };
    s.ctx = c;
    s.size = c->size;
    return s;
}

#endif

/* stream - ready-made sinks and sources: memory, FILE *, file descriptor. Made
   by the user, called by the exchange and by api/. Each takes or gives all it
   says; a full disk is SBX_E_SINK like any other failure.

   A source can be sent again only if it stood at its beginning: its one word of
   context has no room to remember another place. Descriptors are the user's: a
   closed pipe raises SIGPIPE there as it does for any write of the program. */

#ifndef SBX_NO_STDLIB
#include <stdio.h>
#endif
#ifndef SBX_NO_POSIX
#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__GLIBC__) && !defined(__USE_XOPEN2K8)
#error "Include sandbox.h before all other headers in this file, or compile with -std=gnu99."
#endif
#endif

/* ---- memory --------------------------------------------------------------- */

static int sbxi_memory_put(void *ctx, const void *data, size_t len)
{
    sbx_memory *m = (sbx_memory *)ctx;
    size_t n = SBXI_MIN(len, m->cap - m->len);
    if (n) memcpy((char *)m->data + m->len, data, n);
    m->len += n;
    m->cut += len - n;
    return SBX_OK;
}

SBX_API sbx_sink sbx_sink_memory(sbx_memory *memory)
{
    sbx_sink s = { sbxi_memory_put, NULL };
    s.ctx = memory;
    return s;
}

static int sbxi_memory_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    sbx_reading *r = (sbx_reading *)ctx;
    *got = SBXI_MIN(cap, r->len - r->pos);
    if (*got) memcpy(buf, (const char *)r->data + r->pos, *got);
    r->pos += *got;
    return SBX_OK;
}

static int sbxi_memory_rewind(void *ctx)
{
    ((sbx_reading *)ctx)->pos = 0;
    return SBX_OK;
}

SBX_API sbx_source sbx_source_memory(sbx_reading *reading)
{
    sbx_source s = { sbxi_memory_get, sbxi_memory_rewind, NULL, 0 };
    s.ctx = reading;
    s.size = (int64_t)(reading->len - reading->pos);
    return s;
}

/* ---- FILE * ---------------------------------------------------------------
   Positions beyond 2 GiB need ftello, which plain C does not have. */
#ifndef SBX_NO_STDLIB

static int64_t sbxi_file_tell(FILE *f)
{
#ifdef SBX_NO_POSIX
    return ftell(f);
#else
    return (int64_t)ftello(f);
#endif
}

static bool sbxi_file_seek(FILE *f, int64_t at, int whence)
{
#ifdef SBX_NO_POSIX
    return fseek(f, (long)at, whence) == 0;
#else
    return fseeko(f, (off_t)at, whence) == 0;
#endif
}

static int sbxi_file_put(void *ctx, const void *data, size_t len)
{
    return fwrite(data, 1, len, (FILE *)ctx) == len ? SBX_OK : SBX_E_SINK;
}

SBX_API sbx_sink sbx_sink_file(void *file)
{
    sbx_sink s = { sbxi_file_put, NULL };
    s.ctx = file;
    return s;
}

static int sbxi_file_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    *got = fread(buf, 1, cap, (FILE *)ctx);
    return ferror((FILE *)ctx) ? SBX_E_SOURCE : SBX_OK;
}

static int sbxi_file_rewind(void *ctx)
{
    if (!sbxi_file_seek((FILE *)ctx, 0, SEEK_SET)) return SBX_E_SOURCE;
    clearerr((FILE *)ctx);
    return SBX_OK;
}

/* Devices and /proc say 0 and have more: a byte tried tells them from an empty
   file. */
static int64_t sbxi_file_size(FILE *f, int64_t at)
{
    int64_t end = -1;
    int c;
    if (at < 0 || !sbxi_file_seek(f, 0, SEEK_END)) return -1;
    end = sbxi_file_tell(f);
    if (!sbxi_file_seek(f, at, SEEK_SET) || end < 0) return -1;
    if (end > at) return end - at;
    c = getc(f);
    if (c == EOF) return 0;
    ungetc(c, f);
    return -1;
}

SBX_API sbx_source sbx_source_file(void *file)
{
    sbx_source s = { sbxi_file_get, NULL, NULL, -1 };
    int64_t at = sbxi_file_tell((FILE *)file);
    s.ctx = file;
    s.size = sbxi_file_size((FILE *)file, at);
    if (at == 0 && s.size >= 0) s.rewind = sbxi_file_rewind;
    return s;
}
#endif

/* ---- file descriptor ------------------------------------------------------ */
#ifndef SBX_NO_POSIX

#define SBXI_FD_MOST ((size_t)1 << 30) /* of one read or write: fits any ssize_t */

static int sbxi_fd_of(void *ctx) { return (int)(intptr_t)ctx; }

/* After a failed call: true if it is to be tried again. A descriptor that
   someone else made non-blocking is waited for, as blocking was promised. */
static bool sbxi_fd_retry(int fd, short events)
{
    struct pollfd p;
    if (errno == EINTR) return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
    p.fd = fd;
    p.events = events;
    p.revents = 0;
    return poll(&p, 1, -1) > 0 || errno == EINTR;
}

static int sbxi_fd_put(void *ctx, const void *data, size_t len)
{
    const char *p = (const char *)data;
    while (len > 0) {
        ssize_t n = write(sbxi_fd_of(ctx), p, SBXI_MIN(len, SBXI_FD_MOST));
        if (n < 0 && sbxi_fd_retry(sbxi_fd_of(ctx), POLLOUT)) continue;
        if (n <= 0) return SBX_E_SINK;
        p += n;
        len -= (size_t)n;
    }
    return SBX_OK;
}

SBX_API sbx_sink sbx_sink_fd(int fd)
{
    sbx_sink s = { sbxi_fd_put, NULL };
    s.ctx = (void *)(intptr_t)fd;
    return s;
}

static int sbxi_fd_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    ssize_t n;
    do n = read(sbxi_fd_of(ctx), buf, SBXI_MIN(cap, SBXI_FD_MOST));
    while (n < 0 && sbxi_fd_retry(sbxi_fd_of(ctx), POLLIN));
    *got = n > 0 ? (size_t)n : 0;
    return n < 0 ? SBX_E_SOURCE : SBX_OK;
}

static int sbxi_fd_rewind(void *ctx)
{
    return lseek(sbxi_fd_of(ctx), 0, SEEK_SET) == 0 ? SBX_OK : SBX_E_SOURCE;
}

SBX_API sbx_source sbx_source_fd(int fd)
{
    sbx_source s = { sbxi_fd_get, NULL, NULL, -1 };
    off_t at = lseek(fd, 0, SEEK_CUR);
    struct stat st;
    char byte;
    s.ctx = (void *)(intptr_t)fd;
    if (at < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return s;
    if (st.st_size > at)
        s.size = (int64_t)(st.st_size - at);
    else if (pread(fd, &byte, 1, at) <= 0) /* /proc says 0 and has more */
        s.size = 0;
    if (at == 0 && s.size >= 0) s.rewind = sbxi_fd_rewind;
    return s;
}
#endif
/* posix - the built-in transport: non-blocking TCP sockets, poll, the clocks and
   the randomness of a POSIX system. Used through sbx_net only, by the exchange.

   open() looks the name up with getaddrinfo, which blocks, then tries the
   addresses one after another in the resolver's order (IPv6 and IPv4 as they
   come) without blocking. A silent address loses its turn when its share of the
   connect clock is over, if there is another.

   Where there is one thing to wait for, bytes that come in, and time enough, wait()
   leaves it to the recv() that follows, which blocks then, for up to SBXI_EAGER_MS:
   poll() would cost a small reply as much as reading it. */
#ifndef SBX_NO_POSIX

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>

#if defined(__has_include)
#if __has_include(<sys/random.h>)
#include <sys/random.h>
#if defined(__linux__)
#define SBXI_RANDOM(buf, n) getrandom(buf, n, 0)
#elif defined(__APPLE__) || defined(__FreeBSD__)
#define SBXI_RANDOM(buf, n) (getentropy(buf, n) == 0 ? (ssize_t)(n) : -1)
#endif
#endif
#endif

#ifdef MSG_NOSIGNAL
#define SBXI_NO_SIGNAL MSG_NOSIGNAL
#else
#define SBXI_NO_SIGNAL 0 /* SO_NOSIGPIPE does it there */
#endif

#if defined(MSG_DONTWAIT) && defined(SO_RCVTIMEO)
#define SBXI_DONT_WAIT MSG_DONTWAIT
#else
#define SBXI_DONT_WAIT 0 /* no socket ever blocks there */
#endif

#define SBXI_EAGER_MS 1000u
#define SBXI_TURN_MS 3000u /* for one address while there are others, at most */
#define SBXI_POLL_STACK 64

/* The context of the transport. */
typedef struct sbxi_posix {
    const sbx_alloc *alloc;
    int32_t connect_ms;     /* of the clocks */
    const void *eager;      /* the connection whose next recv() waits, NULL: none */
} sbxi_posix;

typedef struct sbxi_socket {
    int fd;                 /* -1: none */
    struct addrinfo *all;   /* NULL once connected */
    struct addrinfo *next;  /* to try when fd fails */
    uint64_t since;         /* the try at fd began */
    uint32_t turn_ms;       /* of each try but the last */
    bool blocks;            /* unless told not to, for SBXI_EAGER_MS */
} sbxi_socket;

static uint64_t sbxi_posix_clock(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t) != 0) return 0;
    return (uint64_t)t.tv_sec * 1000 + (uint32_t)t.tv_nsec / 1000000;
}

static uint64_t sbxi_posix_now(void *ctx)
{
    (void)ctx;
    return sbxi_posix_clock(CLOCK_MONOTONIC);
}

static int64_t sbxi_posix_unix(void *ctx)
{
    (void)ctx;
    return (int64_t)sbxi_posix_clock(CLOCK_REALTIME);
}

/* ---- entropy -------------------------------------------------------------- */

static bool sbxi_posix_device(unsigned char *p, size_t len)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    size_t got = 0;
    int rc = SBX_OK;
    if (fd < 0) return false;
    while (len > 0 && rc == SBX_OK) {
        rc = sbxi_fd_get((void *)(intptr_t)fd, p, len, &got);
        if (got == 0) break;
        p += got;
        len -= got;
    }
    close(fd);
    return len == 0;
}

static int sbxi_posix_entropy(void *ctx, void *buf, size_t len)
{
    unsigned char *p = (unsigned char *)buf;
    (void)ctx;
#ifdef SBXI_RANDOM
    while (len > 0) {
        ssize_t n = SBXI_RANDOM(p, SBXI_MIN(len, (size_t)256));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        p += n;
        len -= (size_t)n;
    }
#endif
    return len == 0 || sbxi_posix_device(p, len) ? SBX_OK : SBX_E_ENTROPY;
}

/* ---- connecting ----------------------------------------------------------- */

static void sbxi_socket_drop(sbxi_socket *s)
{
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}

static void sbxi_socket_forget(sbxi_socket *s)
{
    if (s->all) freeaddrinfo(s->all);
    s->all = s->next = NULL;
}

static void sbxi_posix_close(void *ctx, void *conn)
{
    sbxi_socket *s = (sbxi_socket *)conn;
    sbxi_socket_drop(s);
    sbxi_socket_forget(s);
    sbxi_alloc_free(((const sbxi_posix *)ctx)->alloc, s, sizeof *s);
}

static int sbxi_socket_lookup(sbxi_socket *s, const char *host, uint16_t port)
{
    struct addrinfo hints;
    char service[SBXI_DECIMAL_MAX + 1];
    int rc;
    service[sbxi_print_u64(service, port)] = 0;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    rc = getaddrinfo(host, service, &hints, &s->all);
    if (rc != 0) {
        s->all = NULL;
        return rc == EAI_MEMORY ? SBX_E_NOMEM : SBX_E_DNS;
    }
    s->next = s->all;
    return SBX_OK;
}

/* A socket that does not block, never signals and is not inherited, or -1. */
static int sbxi_socket_make(const struct addrinfo *a)
{
    int on = 1, flags, fd;
#ifdef SOCK_CLOEXEC
    fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
#else
    fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
    if (fd < 0) return -1;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        close(fd);
        return -1;
    }
    /* Without it a small request waits for the answer to the last one. Where it
       does not exist the connection is slower, not wrong. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
#ifdef SO_NOSIGPIPE
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return fd;
}

/* Starts with the next address that can be started with: SBX_OK, SBX_E_AGAIN, or
   SBX_E_CONNECT when none is left. */
static int sbxi_socket_next(sbxi_socket *s)
{
    while (s->next) {
        const struct addrinfo *a = s->next;
        s->next = a->ai_next;
        s->fd = sbxi_socket_make(a);
        if (s->fd < 0) continue;
        s->since = sbxi_posix_now(NULL);
        if (connect(s->fd, a->ai_addr, a->ai_addrlen) == 0) return SBX_OK;
        if (errno == EINPROGRESS || errno == EINTR) return SBX_E_AGAIN;
        sbxi_socket_drop(s);
    }
    return SBX_E_CONNECT;
}

/* Has the try that runs come to an end? SBX_E_CONNECT: it failed. */
static int sbxi_socket_check(const sbxi_socket *s)
{
    struct pollfd p;
    int error = 0;
    socklen_t len = sizeof error;
    p.fd = s->fd;
    p.events = POLLOUT;
    p.revents = 0;
    if (poll(&p, 1, 0) <= 0) {
        bool over = s->next && sbxi_posix_now(NULL) - s->since >= s->turn_ms;
        return over ? SBX_E_CONNECT : SBX_E_AGAIN;
    }
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) return SBX_E_CONNECT;
    return error == 0 ? SBX_OK : SBX_E_CONNECT;
}

static int sbxi_socket_go_on(sbxi_socket *s)
{
    int rc = s->fd >= 0 ? sbxi_socket_check(s) : SBX_E_CONNECT;
    if (rc == SBX_E_CONNECT) {
        sbxi_socket_drop(s);
        rc = sbxi_socket_next(s);
    }
    return rc;
}

/* Each of the addresses has the same share of the connect clock. */
static uint32_t sbxi_socket_turn(const sbxi_socket *s, int32_t connect_ms)
{
    const struct addrinfo *a;
    uint32_t n = 0, ms;
    for (a = s->all; a; a = a->ai_next) n++;
    ms = connect_ms < 0 || n == 0 ? SBXI_TURN_MS : (uint32_t)connect_ms / n;
    return SBXI_MIN(ms, SBXI_TURN_MS);
}

/* It is connected. */
static void sbxi_socket_settle(sbxi_socket *s)
{
#if defined(MSG_DONTWAIT) && defined(SO_RCVTIMEO)
    struct timeval most;
    int flags = fcntl(s->fd, F_GETFL);
    memset(&most, 0, sizeof most);
    most.tv_sec = SBXI_EAGER_MS / 1000;
    s->blocks = flags >= 0 && setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most) == 0
        && fcntl(s->fd, F_SETFL, flags & ~O_NONBLOCK) == 0;
#endif
    sbxi_socket_forget(s);
}

static int sbxi_posix_open(void *ctx, void **conn, const char *host, uint16_t port, bool tls)
{
    const sbxi_posix *p = (const sbxi_posix *)ctx;
    sbxi_socket *s = (sbxi_socket *)*conn;
    int rc = SBX_OK;
    (void)tls;
    if (!s) {
        s = (sbxi_socket *)sbxi_alloc_get(p->alloc, sizeof *s);
        if (!s) return SBX_E_NOMEM;
        s->fd = -1;
        *conn = s;
        rc = sbxi_socket_lookup(s, host, port);
        s->turn_ms = sbxi_socket_turn(s, p->connect_ms);
    }
    if (rc == SBX_OK) rc = sbxi_socket_go_on(s);
    if (rc == SBX_OK) sbxi_socket_settle(s);
    if (rc != SBX_OK && rc != SBX_E_AGAIN) {
        sbxi_posix_close(ctx, s);
        *conn = NULL;
    }
    return rc;
}

/* ---- bytes ---------------------------------------------------------------- */

/* The status of a failed send or recv; SBX_OK: try again at once. */
static int sbxi_posix_failed(void)
{
    if (errno == EINTR) return SBX_OK;
    return errno == EAGAIN || errno == EWOULDBLOCK ? SBX_E_AGAIN : SBX_E_NETWORK;
}

static int sbxi_posix_send(void *ctx, void *conn, const void *buf, size_t len, size_t *sent)
{
    ((sbxi_posix *)ctx)->eager = NULL;
    *sent = 0;
    for (;;) {
        ssize_t n = send(((sbxi_socket *)conn)->fd, buf, SBXI_MIN(len, SBXI_FD_MOST),
                         SBXI_NO_SIGNAL | SBXI_DONT_WAIT);
        int rc = n < 0 ? sbxi_posix_failed() : SBX_OK;
        if (n >= 0) *sent = (size_t)n;
        if (n >= 0 || rc != SBX_OK) return rc;
    }
}

static int sbxi_posix_recv(void *ctx, void *conn, void *buf, size_t cap, size_t *got)
{
    sbxi_posix *p = (sbxi_posix *)ctx;
    int flags = p->eager == conn ? 0 : SBXI_DONT_WAIT;
    *got = 0;
    p->eager = NULL;
    for (;;) {
        ssize_t n = recv(((sbxi_socket *)conn)->fd, buf, SBXI_MIN(cap, SBXI_FD_MOST), flags);
        int rc = n < 0 ? sbxi_posix_failed() : SBX_OK;
        flags = SBXI_DONT_WAIT; /* after a signal: the clocks come first */
        if (n >= 0) *got = (size_t)n;
        if (n >= 0 || rc != SBX_OK) return rc;
    }
}

/* ---- waiting -------------------------------------------------------------- */

/* Fills the array; returns the wait cut to the end of the first turn. */
static uint32_t sbxi_posix_list(struct pollfd *p, const sbx_wait *waits, size_t n, uint32_t ms)
{
    uint64_t now = sbxi_posix_now(NULL);
    size_t i;
    for (i = 0; i < n; i++) {
        const sbxi_socket *s = (const sbxi_socket *)waits[i].conn;
        p[i].fd = s->fd;
        p[i].events = (short)((waits[i].want & SBX_WANT_READ ? POLLIN : 0)
                              | (waits[i].want & SBX_WANT_WRITE ? POLLOUT : 0));
        p[i].revents = 0;
        if (s->all && s->next) {
            uint64_t used = now - s->since;
            uint32_t left = used < s->turn_ms ? s->turn_ms - (uint32_t)used : 0;
            ms = SBXI_MIN(ms, left);
        }
    }
    return SBXI_MIN(ms, (uint32_t)INT32_MAX);
}

static int sbxi_posix_poll(struct pollfd *p, size_t n, uint32_t ms)
{
    uint64_t end = sbxi_posix_now(NULL) + ms;
    for (;;) {
        uint64_t now;
        if (poll(p, (nfds_t)n, (int)ms) >= 0) return SBX_OK;
        if (errno != EINTR) return SBX_E_NETWORK;
        now = sbxi_posix_now(NULL);
        ms = now < end ? (uint32_t)(end - now) : 0;
    }
}

/* Whether the next recv() can wait instead. */
static bool sbxi_posix_is_eager(const sbx_wait *waits, size_t n, uint32_t timeout_ms)
{
    return n == 1 && waits->want == SBX_WANT_READ && timeout_ms >= SBXI_EAGER_MS
        && ((const sbxi_socket *)waits->conn)->blocks;
}

static int sbxi_posix_wait(void *ctx, sbx_wait *waits, size_t n, uint32_t timeout_ms)
{
    const sbx_alloc *alloc = ((const sbxi_posix *)ctx)->alloc;
    struct pollfd few[SBXI_POLL_STACK], *p = few;
    size_t size = 0, i;
    int rc;
    if (sbxi_posix_is_eager(waits, n, timeout_ms)) {
        ((sbxi_posix *)ctx)->eager = waits->conn;
        waits->ready = SBX_WANT_READ;
        return SBX_OK;
    }
    if (n > SBXI_POLL_STACK) {
        if (n > SIZE_MAX / sizeof *p) return SBX_E_NOMEM;
        size = n * sizeof *p;
        p = (struct pollfd *)sbxi_alloc_get(alloc, size);
        if (!p) return SBX_E_NOMEM;
    }
    timeout_ms = sbxi_posix_list(p, waits, n, timeout_ms);
    rc = sbxi_posix_poll(p, n, timeout_ms);
    for (i = 0; rc == SBX_OK && i < n; i++) waits[i].ready = p[i].revents;
    if (size) sbxi_alloc_free(alloc, p, size);
    return rc;
}

SBX_API int sbx_wait_fd(const sbx_wait *wait)
{
    return wait->conn ? ((const sbxi_socket *)wait->conn)->fd : -1;
}

/* Fills *out. The context must live as long as the transport. */
static SBXI_MAYBE int sbxi_net_posix_init(sbx_net *out, sbxi_posix *context)
{
    memset(out, 0, sizeof *out);
    out->open = sbxi_posix_open;
    out->send = sbxi_posix_send;
    out->recv = sbxi_posix_recv;
    out->close = sbxi_posix_close;
    out->wait = sbxi_posix_wait;
    out->now_ms = sbxi_posix_now;
    out->unix_ms = sbxi_posix_unix;
    out->entropy = sbxi_posix_entropy;
    out->flags = SBX_NET_READY;
    out->ctx = context;
    return SBX_OK;
}
#endif
/* posix_files - a directory of the host system as a tree (sbx_tree_dir). Its names come
   in order from windows: a directory is read through, and the least names behind a
   given one are kept, as many as fit. Four windows, one for each level of four, so
   that a directory's is still there when the walk comes back from those in it. */

#if !defined(SBX_NO_POSIX) && !defined(SBX_NO_TEMPLATE)

#include <dirent.h>

static int sbxi_dir_failed(void)
{
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return SBX_E_NOT_FOUND;
    if (errno == EACCES || errno == EPERM) return SBX_E_DENIED;
    if (errno == ENOMEM) return SBX_E_NOMEM;
    return errno == ENAMETOOLONG ? SBX_E_TOO_LARGE : SBX_E_SOURCE;
}

/* The whole path, in path_; NULL: it is too long. */
static const char *sbxi_dir_path(sbx_dir_tree *d, const char *path)
{
    size_t root = strlen(d->root), len = strlen(path);
    if (root >= sizeof d->path_ || len + 2 > sizeof d->path_ - root) return NULL;
    memcpy(d->path_, d->root, root);
    d->path_[root] = '/';
    memcpy(d->path_ + root + (len > 0), path, len + 1);
    return d->path_;
}

typedef struct sbxi_window { uint16_t *end; bool *whole; char *text, *names; } sbxi_window;

/* Puts a name in its place; what is behind the last that fits is dropped. Once a name
   was, none goes to the end: the one that was dropped may come before it. */
static void sbxi_window_put(sbxi_window *w, const char *name)
{
    size_t n = strlen(name) + 1, used = *w->end;
    char *end = w->text + used, *at = w->names;
    while (at < end && strcmp(at, name) < 0) at += strlen(at) + 1;
    if (at == end && !*w->whole) return;
    while (n > SBX_TREE_WINDOW_ - used && end > at) {
        for (end--; end > at && end[-1]; end--) {}
        used = (size_t)(end - w->text);
        *w->whole = false;
    }
    if (n > SBX_TREE_WINDOW_ - used) {
        *w->whole = false;
    } else {
        memmove(at + n, at, (size_t)(end - at));
        memcpy(at, name, n);
        used += n;
    }
    *w->end = (uint16_t)used;
}

/* Reads the directory through for the names behind `after`. */
static int sbxi_window_fill(sbxi_window *w, const char *path, const char *after)
{
    const struct dirent *entry;
    DIR *dir = opendir(path);
    int rc = SBX_OK;
    if (!dir) return sbxi_dir_failed();
    *w->whole = true;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, after) <= 0) continue;
        sbxi_window_put(w, name);
    }
    if (errno) rc = sbxi_dir_failed();
    else if (!*w->whole && w->names == w->text + *w->end) rc = SBX_E_TOO_LARGE; /* one name */
    closedir(dir);
    return rc;
}

/* The window of a directory's level, and whether it knows what is behind `after`. */
static bool sbxi_window_of(sbx_dir_tree *d, const char *dir, const char *after, sbxi_window *w)
{
    size_t level = 0, n = strlen(dir) + 1;
    const char *at;
    for (at = dir; *at; at++) level += *at == '/';
    level = *dir ? (level + 1) & 3 : 0;
    w->end = &d->window_[level].end_;
    w->whole = &d->window_[level].whole_;
    w->text = d->window_[level].text_;
    if (!*after || !*w->end || strcmp(w->text, dir) != 0 || strcmp(w->text + n, after) > 0)
        return false;
    w->names = w->text + n + strlen(w->text + n) + 1;
    return true;
}

/* Begins a window: the directory and the place it starts behind, then the names. */
static int sbxi_window_read(sbx_dir_tree *d, const char *dir, const char *after, sbxi_window *w)
{
    size_t dir_len = strlen(dir) + 1, after_len = strlen(after) + 1;
    const char *path = sbxi_dir_path(d, dir);
    int rc = SBX_E_TOO_LARGE;
    *w->end = 0;
    if (!path || dir_len + after_len > SBX_TREE_WINDOW_ - 256) return rc;
    memcpy(w->text, dir, dir_len);
    memcpy(w->text + dir_len, after, after_len);
    w->names = w->text + dir_len + after_len;
    *w->end = (uint16_t)(dir_len + after_len);
    rc = sbxi_window_fill(w, path, after);
    if (rc != SBX_OK) *w->end = 0;
    return rc;
}

static const char *sbxi_window_find(const sbxi_window *w, const char *after)
{
    const char *at = w->names, *end = w->text + *w->end;
    while (at < end && strcmp(at, after) <= 0) at += strlen(at) + 1;
    return at < end ? at : NULL;
}

static int sbxi_dir_next(void *ctx, const char *dir, const char *after, char *name, size_t cap)
{
    sbx_dir_tree *d = (sbx_dir_tree *)ctx;
    sbxi_window w;
    bool known = sbxi_window_of(d, dir, after, &w);
    const char *at = known ? sbxi_window_find(&w, after) : NULL;
    size_t n;
    if (!at && !(known && *w.whole)) {
        int rc = sbxi_window_read(d, dir, after, &w);
        if (rc != SBX_OK) return rc;
        at = sbxi_window_find(&w, after);
    }
    if (!at) return SBX_E_NOT_FOUND;
    n = strlen(at) + 1;
    if (n > cap) return SBX_E_TOO_LARGE;
    memcpy(name, at, n);
    return SBX_OK;
}

static int sbxi_dir_stat(void *ctx, const char *path, bool follow, sbx_tree_entry *out)
{
    const char *full = sbxi_dir_path((sbx_dir_tree *)ctx, path);
    struct stat st;
    memset(out, 0, sizeof *out);
    if (!full) return SBX_E_TOO_LARGE;
    /* The root is a directory, by whatever links. */
    if ((follow || !*path ? stat(full, &st) : lstat(full, &st)) != 0) return sbxi_dir_failed();
    out->type = S_ISREG(st.st_mode) ? SBX_FILE_REGULAR : S_ISDIR(st.st_mode) ? SBX_FILE_DIR
        : S_ISLNK(st.st_mode) ? SBX_FILE_SYMLINK : SBX_FILE_UNKNOWN;
    out->mode = (uint32_t)st.st_mode & 07777;
    out->size = (int64_t)st.st_size;
    out->modified_unix_s = (int64_t)st.st_mtime;
    return SBX_OK;
}

static int sbxi_dir_link(void *ctx, const char *path, char *target, size_t cap)
{
    const char *full = sbxi_dir_path((sbx_dir_tree *)ctx, path);
    ssize_t n = full ? readlink(full, target, cap) : 0;
    if (n < 0) return sbxi_dir_failed();
    if (!full || (size_t)n >= cap) return SBX_E_TOO_LARGE;
    target[n] = 0;
    return SBX_OK;
}

/* Non-blocking: what was a file may be a pipe by now. */
static int sbxi_dir_open(void *ctx, const char *path, void **file)
{
    const char *full = sbxi_dir_path((sbx_dir_tree *)ctx, path);
    struct stat st;
    int fd;
    if (!full) return SBX_E_TOO_LARGE;
    do fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return sbxi_dir_failed();
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return SBX_E_NOT_A_FILE;
    }
    *file = (void *)(intptr_t)fd;
    return SBX_OK;
}

static int sbxi_dir_read(void *ctx, void *file, void *buf, size_t cap, size_t *got)
{
    (void)ctx;
    return sbxi_fd_get(file, buf, cap, got);
}

static void sbxi_dir_close(void *ctx, void *file)
{
    (void)ctx;
    close((int)(intptr_t)file);
}

SBX_API sbx_tree sbx_tree_dir(sbx_dir_tree *state)
{
    sbx_tree t;
    t.next = sbxi_dir_next;
    t.stat = sbxi_dir_stat;
    t.link = sbxi_dir_link;
    t.open = sbxi_dir_open;
    t.read = sbxi_dir_read;
    t.close = sbxi_dir_close;
    t.ctx = state;
    return t;
}
#endif
/* tls_names - the texts TLS is configured and called with, as bytes: addresses and
   pinned keys. Knows nothing of mbedTLS. Called by tls.c. */

#ifndef SBX_NO_TLS

/* ---- addresses as text ---------------------------------------------------- */

/* Four decimal numbers. Leading zeros are refused: some read them as octal. */
static bool sbxi_ip4_parse(const char *s, size_t len, unsigned char *out)
{
    size_t i = 0, part;
    for (part = 0; part < 4; part++) {
        unsigned v = 0;
        size_t start;
        if (part > 0 && (i >= len || s[i++] != '.')) return false;
        start = i;
        for (; i < len && sbxi_is_digit(s[i]) && i - start < 3; i++)
            v = v * 10 + (unsigned)(s[i] - '0');
        if (i == start || v > 255 || (s[start] == '0' && i - start > 1)) return false;
        out[part] = (unsigned char)v;
    }
    return i == len;
}

/* One group of an IPv6 address to out[0..2); its length in text, 0: none. */
static size_t sbxi_ip6_group(const char *s, size_t len, unsigned char *out)
{
    unsigned v = 0;
    size_t i;
    for (i = 0; i < len && i < 4 && sbxi_hex_value(s[i]) >= 0; i++)
        v = v * 16 + (unsigned)sbxi_hex_value(s[i]);
    out[0] = (unsigned char)(v >> 8);
    out[1] = (unsigned char)(v & 255);
    return i;
}

/* What stands between two groups: a colon, or once "::", whose place is noted. */
static bool sbxi_ip6_colon(const char *s, size_t len, size_t *i, size_t n, size_t *gap)
{
    if (s[(*i)++] != ':' || *i == len) return false;
    if (s[*i] != ':') return true;
    if (*gap != SIZE_MAX) return false;
    *gap = n;
    ++*i;
    return true;
}

/* Moves what stood behind "::" to the end. */
static bool sbxi_ip6_stretch(unsigned char *out, size_t n, size_t gap)
{
    if (gap == SIZE_MAX) return n == 16;
    if (n > 14) return false;
    memmove(out + 16 - (n - gap), out + gap, n - gap);
    memset(out + gap, 0, 16 - n);
    return true;
}

/* out is zeroed by the caller. n counts its bytes, gap is where "::" stood. */
static bool sbxi_ip6_parse(const char *s, size_t len, unsigned char *out)
{
    size_t i = 0, n = 0, gap = SIZE_MAX;
    if (len >= 2 && s[0] == ':' && s[1] == ':') {
        gap = 0;
        i = 2;
    }
    while (i < len) {
        size_t g;
        if (n == 16) return false;
        if (n <= 12 && sbxi_ip4_parse(s + i, len - i, out + n)) {
            n += 4;
            break;
        }
        g = sbxi_ip6_group(s + i, len - i, out + n);
        if (g == 0) return false;
        i += g;
        n += 2;
        if (i == len) break;
        if (!sbxi_ip6_colon(s, len, &i, n, &gap)) return false;
    }
    return sbxi_ip6_stretch(out, n, gap);
}

/* 4 or 16: text is an address, now in out; 0: it is a name. A zone (%eth0) says
   which way to go, not who is there: it does not count. */
static size_t sbxi_ip_parse(const char *text, unsigned char out[16])
{
    const char *zone = strchr(text, '%');
    size_t len = zone ? (size_t)(zone - text) : strlen(text);
    memset(out, 0, 16);
    if (!zone && sbxi_ip4_parse(text, len, out)) return 4;
    return sbxi_ip6_parse(text, len, out) ? 16 : 0;
}

/* ---- pins ------------------------------------------------------------------- */

/* The next of the pins at *at, which moves on: 1 it is in out, 0 there is none
   left, -1 that is no pin. */
static int sbxi_pin_next(const char **at, unsigned char out[32])
{
    sbx_base64 state = { 0, 0, 0 };
    const char *s = *at;
    unsigned char bytes[36];
    size_t n, got;
    while (*s == ';' || *s == ' ') s++;
    *at = s;
    if (!*s) return 0;
    if (strncmp(s, "sha256//", 8) == 0) s += 8;
    n = strcspn(s, "; ");
    *at = s + n;
    if (n != 44 || sbx_base64_decode(&state, s, n, bytes, &got) != SBX_OK) return -1;
    if (sbx_base64_end(&state) != SBX_OK || got != 32) return -1;
    memcpy(out, bytes, 32);
    return 1;
}

/* Is the hash one of the pins? */
static bool sbxi_pin_has(const char *pins, const unsigned char hash[32])
{
    unsigned char pin[32];
    while (sbxi_pin_next(&pins, pin) > 0)
        if (memcmp(pin, hash, 32) == 0) return true;
    return false;
}

/* Is it at least one pin and nothing else? */
static bool sbxi_pin_check(const char *pins)
{
    unsigned char pin[32];
    int rc, n = 0;
    while ((rc = sbxi_pin_next(&pins, pin)) > 0) n = 1;
    return rc == 0 && n == 1;
}

#endif /* SBX_NO_TLS */
/* tls - TLS client connections by mbedTLS 2.28, 3.6 or 4.x over any transport.
   The only module that sees mbedTLS. Called by the exchange: one trust for a
   client, made at its first https connection, one conn for each connection.

   Invariants: a certificate chain is always verified, with the host name or the
   address; the validity period is judged here against the client's clock, never
   by mbedTLS against the system's; what a failed handshake had against the peer
   becomes one sbx_tls_check, the gravest. A session is resumed only under the trust
   it was made under, with the host and port it was made with, and while the
   certificates then seen are valid. AGAIN always means that the transport
   will wake up: it said so itself, or has more; nothing decrypted is left lying
   inside mbedTLS. */

typedef struct sbxi_tls_trust sbxi_tls_trust;
typedef struct sbxi_tls_conn sbxi_tls_conn;

#ifdef SBX_NO_TLS

static int sbxi_tls_trust_open(sbxi_tls_trust **out, const sbx_alloc *alloc, const sbx_net *net,
                               const sbx_tls *options, const char *env_ca_file, sbx_error *error)
{
    (void)alloc;
    (void)net;
    (void)options;
    (void)env_ca_file;
    *out = NULL;
    return sbxi_error_set(error, SBX_E_UNSUPPORTED, "TLS is compiled out (SBX_NO_TLS)");
}

static void sbxi_tls_trust_close(sbxi_tls_trust *t)
{
    (void)t;
}

static SBXI_MAYBE void sbxi_tls_bind_to(sbxi_tls_trust *t, const void *data, size_t len)
{
    (void)t;
    (void)data;
    (void)len;
}

static int sbxi_tls_start(sbxi_tls_conn **out, sbxi_tls_trust *t, void *net_conn,
                          const char *host, uint16_t port, sbx_error *error)
{
    (void)t;
    (void)net_conn;
    (void)host;
    (void)port;
    *out = NULL;
    return sbxi_error_set(error, SBX_E_UNSUPPORTED, "TLS is compiled out (SBX_NO_TLS)");
}

static int sbxi_tls_handshake(sbxi_tls_conn *c, int *want, sbx_error *error)
{
    (void)c;
    *want = 0;
    return sbxi_error_set(error, SBX_E_UNSUPPORTED, "TLS is compiled out (SBX_NO_TLS)");
}

static int sbxi_tls_send(sbxi_tls_conn *c, const void *buf, size_t len, size_t *sent, int *want)
{
    (void)c;
    (void)buf;
    (void)len;
    *sent = 0;
    *want = 0;
    return SBX_E_UNSUPPORTED;
}

static int sbxi_tls_recv(sbxi_tls_conn *c, void *buf, size_t cap, size_t *got, int *want)
{
    (void)c;
    (void)buf;
    (void)cap;
    *got = 0;
    *want = 0;
    return SBX_E_UNSUPPORTED;
}

static int sbxi_tls_why(const sbxi_tls_conn *c, int rc, sbx_error *e)
{
    (void)c;
    (void)e;
    return rc;
}

static size_t sbxi_tls_pending(const sbxi_tls_conn *c)
{
    (void)c;
    return 0;
}

static void sbxi_tls_end(sbxi_tls_conn *c)
{
    (void)c;
}

#else

#include <mbedtls/version.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <mbedtls/x509_crl.h>
#include <mbedtls/pk.h>

/* Up to 3.x randomness is ours to give, by ctr_drbg; from 4.0 on it is PSA's. */
#if MBEDTLS_VERSION_NUMBER < 0x04000000
#define SBXI_TLS_DRBG
#include <mbedtls/ctr_drbg.h>
#endif
#if MBEDTLS_VERSION_NUMBER >= 0x04000000 || (defined(MBEDTLS_PSA_CRYPTO_C) \
    && (defined(MBEDTLS_USE_PSA_CRYPTO) || defined(MBEDTLS_SSL_PROTO_TLS1_3)))
#define SBXI_TLS_PSA
#include <psa/crypto.h>
#endif

#ifdef MBEDTLS_PRIVATE /* since 3.0 */
#define SBXI_TLS_MEMBER(name) MBEDTLS_PRIVATE(name)
#else
#define SBXI_TLS_MEMBER(name) name
#endif

/* Of one call: bytes taken from the transport before the caller gets to look at its
   clock, and rounds. */
#define SBXI_TLS_BURST 65536
#define SBXI_TLS_TURNS 1000000
#define SBXI_TLS_NO_RESULT 0xFFFFFFFFu /* mbedtls_ssl_get_verify_result() has none */

/* Sessions a client keeps to resume, each of another (host, port). */
#ifdef SBX_SMALL
#define SBXI_TLS_SESSIONS 2
#define SBXI_TLS_BLOB 2048 /* of a session as session_load gives it */
#else
#define SBXI_TLS_SESSIONS 4
#define SBXI_TLS_BLOB 8192
#endif
#define SBXI_TLS_BLOB_HEAD 48 /* a hash and two times, then what mbedTLS saves */
/* A flag that mbedTLS leaves to us. */
#define SBXI_TLS_BAD_PIN MBEDTLS_X509_BADCERT_OTHER

/* A session is only ever tried under the trust it was made under: it lives there. */
typedef struct sbxi_tls_saved {
    struct sbxi_tls_saved *next;
    mbedtls_ssl_session session;
    int64_t from_ms, to_ms; /* when the whole chain is valid */
    size_t size;            /* of this struct with the host name */
    uint16_t port;
    char host[1];
} sbxi_tls_saved;

struct sbxi_tls_trust {
    const sbx_alloc *alloc;
    const sbx_net *net;
    const char *alpn[2];    /* mbedTLS keeps the pointer */
    sbx_tls options;        /* its texts outlive the trust */
    bool pin_only;
    bool resume;
    sbxi_tls_saved *saved;  /* the newest first */
    unsigned char bind[32]; /* SHA-256 of all that is trusted, for saved sessions */
    mbedtls_ssl_config conf;
    mbedtls_x509_crt ca;
    mbedtls_x509_crt own;   /* the client's certificate */
    mbedtls_pk_context key;
#ifdef MBEDTLS_X509_CRL_PARSE_C
    mbedtls_x509_crl crl;
#endif
#ifdef SBXI_TLS_DRBG
    mbedtls_ctr_drbg_context drbg;
#endif
};

struct sbxi_tls_conn {
    sbxi_tls_trust *trust;
    void *raw;              /* the transport's connection */
    mbedtls_ssl_context ssl;
    int64_t now_ms;         /* the validity period is judged at, 0: it is not */
    int64_t from_ms, to_ms; /* when the whole chain is valid */
    uint32_t flags;         /* MBEDTLS_X509_BADCERT_* of the chain */
    int blocked;            /* SBX_WANT_*: this call ended at the transport */
    size_t burst;           /* bytes this call may still receive */
    bool chain;             /* a certificate of the peer was looked at */
    bool judged;            /* the peer's own certificate was */
    bool offered;           /* a session was, to resume it */
    bool heard;             /* data or a ticket came: the peer took our certificate */
    uint16_t port;
    bool up;                /* the handshake is done */
    bool lost;              /* the transport failed or ended */
    bool broken;            /* it did not, but what came was damaged, or an alert */
    bool ended;             /* close_notify came */
    size_t size;            /* of this struct with the host name */
    size_t ip_len;          /* 4 or 16: the host is an address, 0: a name */
    unsigned char ip[16];
    char host[1];           /* NUL-terminated, allocated to its length */
};

/* ---- messages ------------------------------------------------------------- */

static SBXI_APART int sbxi_tls_fail(sbx_error *e, sbx_tls_check check, const char *text,
    const char *detail)
{
    char message[sizeof e->message];
    message[0] = 0;
    sbxi_add_text(message, sizeof message, text);
    sbxi_add_text(message, sizeof message, detail);
    e->tls = check;
    return sbxi_error_set(e, SBX_E_TLS, message);
}

/* As above, with the code of mbedTLS for those who look it up. */
static int sbxi_tls_fail_code(sbx_error *e, sbx_tls_check check, const char *text, int code)
{
    char detail[] = " (mbedTLS -0x0000)";
    unsigned v = 0u - (unsigned)code;
    size_t i;
    for (i = 0; i < 4; i++) {
        detail[sizeof detail - 3 - i] = sbxi_hex[v & 15];
        v >>= 4;
    }
    return sbxi_tls_fail(e, check, text, detail);
}

/* Codes up to 3.x are a module's code plus one of a lower module: those of ASN.1
   and big numbers say it too. From 4.0 on they are all one code of PSA. */
static bool sbxi_tls_no_memory(int rc)
{
#if MBEDTLS_VERSION_NUMBER < 0x04000000
    int low = -rc & 0x7F;
    if (low == 0x6A || low == 0x10) return true;
    if (rc == MBEDTLS_ERR_PK_ALLOC_FAILED) return true;
#endif
#ifdef SBXI_TLS_PSA
    if (rc == PSA_ERROR_INSUFFICIENT_MEMORY) return true;
#endif
#ifdef MBEDTLS_ERR_X509_ALLOC_FAILED
    if (rc == MBEDTLS_ERR_X509_ALLOC_FAILED) return true;
#endif
#ifdef MBEDTLS_ERR_SSL_ALLOC_FAILED
    if (rc == MBEDTLS_ERR_SSL_ALLOC_FAILED) return true;
#endif
    return false;
}

/* ---- judging the peer ----------------------------------------------------- */

/* mbedTLS 2.28 does not compare addresses, so none of them is asked to. */
static bool sbxi_tls_names_ip(const mbedtls_x509_crt *crt, const unsigned char *ip, size_t len)
{
    const mbedtls_x509_sequence *san;
    for (san = &crt->subject_alt_names; san; san = san->next) {
        bool is_ip = (san->buf.tag & 0x1F) == 7; /* iPAddress */
        if (is_ip && san->buf.len == len && memcmp(san->buf.p, ip, len) == 0) return true;
    }
    return false;
}

/* mbedTLS compared the names. Here one must be left that may count (RFC 9525): not the
   subject's CN, which it falls back to, and no wildcard right below a top-level domain. */
static bool sbxi_tls_names_host(const mbedtls_x509_crt *crt, const char *host)
{
    const mbedtls_x509_sequence *san;
    const char *dot = strchr(host, '.');
    size_t len = strlen(host), i;
    bool deep = dot && strchr(dot + 1, '.');
    for (san = &crt->subject_alt_names; san; san = san->next) {
        const char *name = (const char *)san->buf.p;
        if ((san->buf.tag & 0x1F) != 2) continue; /* dNSName */
        for (i = 0; i < len && len == san->buf.len; i++)
            if (sbxi_lower(name[i]) != sbxi_lower(host[i])) break;
        if (deep || i == len) return true;
    }
    return false;
}

/* Name constraints are not checked by mbedTLS: it refuses those marked critical and
   forgets the others. None is forgotten here. */
static bool sbxi_tls_constrained(const mbedtls_x509_crt *crt)
{
    const int seq = MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE;
    unsigned char *p = crt->v3_ext.p, *end = p + crt->v3_ext.len, *next;
    size_t n;
    if (!p || mbedtls_asn1_get_tag(&p, end, &n, seq) != 0) return false;
    for (; p < end && mbedtls_asn1_get_tag(&p, end, &n, seq) == 0; p = next) {
        next = p + n;
        if (mbedtls_asn1_get_tag(&p, end, &n, MBEDTLS_ASN1_OID) == 0 && n == 3
            && memcmp(p, "\x55\x1D\x1E", 3) == 0) return true;
    }
    return false;
}

/* Uses, where any are named, must name servers: "any" is none (so does OpenSSL judge). */
static bool sbxi_tls_serves(const mbedtls_x509_crt *crt)
{
    const mbedtls_x509_sequence *use = &crt->ext_key_usage;
    if (!use->buf.p) return true;
    for (; use; use = use->next)
        if (use->buf.len == 8 && memcmp(use->buf.p, "\x2B\x06\x01\x05\x05\x07\x03\x01", 8) == 0)
            return true;
    return false;
}

static int64_t sbxi_tls_time(const mbedtls_x509_time *t)
{
    const int16_t part[6] = { (int16_t)t->year, (int16_t)t->mon, (int16_t)t->day,
        (int16_t)t->hour, (int16_t)t->min, (int16_t)t->sec };
    return sbxi_unix_ms(part);
}

#ifdef MBEDTLS_X509_CRL_PARSE_C
/* Lists of the certificate's issuer: are they of this time? */
static uint32_t sbxi_tls_crl_period(const sbxi_tls_conn *c, const mbedtls_x509_crt *crt)
{
    const mbedtls_x509_crl *crl = &c->trust->crl;
    uint32_t flags = 0;
    for (; crl && crl->raw.p; crl = crl->next) {
        if (crl->issuer_raw.len != crt->issuer_raw.len
            || memcmp(crl->issuer_raw.p, crt->issuer_raw.p, crt->issuer_raw.len) != 0) continue;
        if (c->now_ms < sbxi_tls_time(&crl->this_update)) flags |= MBEDTLS_X509_BADCRL_FUTURE;
        if (crl->next_update.year && c->now_ms >= sbxi_tls_time(&crl->next_update) + 1000)
            flags |= MBEDTLS_X509_BADCRL_EXPIRED;
    }
    return flags;
}
#endif

/* Narrows the period the chain is valid in; the flags of this certificate's. */
static uint32_t sbxi_tls_period(sbxi_tls_conn *c, const mbedtls_x509_crt *crt)
{
    int64_t from = sbxi_tls_time(&crt->valid_from);
    int64_t to = sbxi_tls_time(&crt->valid_to) + 1000; /* it includes its last second */
    uint32_t flags = 0;
    if (!c->chain || from > c->from_ms) c->from_ms = from;
    if (!c->chain || to < c->to_ms) c->to_ms = to;
    c->chain = true;
    if (!c->now_ms) return 0;
    if (c->now_ms < from) flags |= MBEDTLS_X509_BADCERT_FUTURE;
    if (c->now_ms >= to) flags |= MBEDTLS_X509_BADCERT_EXPIRED;
#ifdef MBEDTLS_X509_CRL_PARSE_C
    flags |= sbxi_tls_crl_period(c, crt);
#endif
    return flags;
}

static bool sbxi_tls_pinned(const sbxi_tls_trust *t, const mbedtls_x509_crt *crt)
{
    unsigned char hash[32];
    sbx_sha256 s;
    if (!t->options.pins) return true;
    sbx_sha256_init(&s);
    sbx_sha256_add(&s, crt->pk_raw.p, crt->pk_raw.len);
    sbx_sha256_end(&s, hash);
    return sbxi_pin_has(t->options.pins, hash);
}

/* mbedTLS calls this for every certificate of the chain, the peer's own (depth
   0) last. Clearing a flag accepts, setting one refuses. */
static int sbxi_tls_judge(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    sbxi_tls_conn *c = (sbxi_tls_conn *)ctx;
    const sbxi_tls_trust *t = c->trust;
    if (t->pin_only) { /* the pin, required below, vouches for the peer's own alone */
        *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_NOT_TRUSTED;
        if (depth > 0) *flags = 0;
        if (depth > 0) return 0;
    }
    *flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE
                          | MBEDTLS_X509_BADCRL_EXPIRED | MBEDTLS_X509_BADCRL_FUTURE);
    *flags |= sbxi_tls_period(c, crt);
    if (sbxi_tls_constrained(crt)) *flags |= MBEDTLS_X509_BADCERT_KEY_USAGE;
    if (depth == 0) {
        c->judged = true;
        if (!sbxi_tls_serves(crt)) *flags |= MBEDTLS_X509_BADCERT_EXT_KEY_USAGE;
        if (!(c->ip_len ? sbxi_tls_names_ip(crt, c->ip, c->ip_len)
                        : sbxi_tls_names_host(crt, c->host)))
            *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
        if (!sbxi_tls_pinned(t, crt)) *flags |= SBXI_TLS_BAD_PIN;
    }
    c->flags |= *flags;
    return 0;
}

#define SBXI_TLS_BAD_CRL (MBEDTLS_X509_BADCRL_NOT_TRUSTED | MBEDTLS_X509_BADCRL_EXPIRED \
    | MBEDTLS_X509_BADCRL_FUTURE | MBEDTLS_X509_BADCRL_BAD_MD | MBEDTLS_X509_BADCRL_BAD_PK \
    | MBEDTLS_X509_BADCRL_BAD_KEY)

/* The gravest of what is wrong, most important first. Only what mbedTLS has flags
   for and the last row, which takes all others. */
static int sbxi_tls_verdict(const sbxi_tls_conn *c, uint32_t flags, sbx_error *e)
{
    static const struct {
        uint32_t flags;
        sbx_tls_check check;
        const char *text;
    } rows[] = {
        { MBEDTLS_X509_BADCERT_NOT_TRUSTED | MBEDTLS_X509_BADCERT_MISSING, SBX_TLS_UNTRUSTED,
          "not signed by a trusted authority (give its CA in config.tls): " },
        { MBEDTLS_X509_BADCERT_REVOKED, SBX_TLS_REVOKED,
          "the certificate has been revoked: " },
        { SBXI_TLS_BAD_CRL, SBX_TLS_REVOKED,
          "the revocation list (config.tls) is out of date or not by the CA: " },
        { SBXI_TLS_BAD_PIN, SBX_TLS_PIN,
          "the key of the certificate is none of config.tls.pins: " },
        { ~(uint32_t)(MBEDTLS_X509_BADCERT_CN_MISMATCH | MBEDTLS_X509_BADCERT_EXPIRED
                      | MBEDTLS_X509_BADCERT_FUTURE), SBX_TLS_BAD_CERT,
          "the certificate is weak, not for a server, or its CA is bound to some names: " },
        { MBEDTLS_X509_BADCERT_CN_MISMATCH, SBX_TLS_WRONG_HOST,
          "the certificate does not name this host (check the URL): " },
        { MBEDTLS_X509_BADCERT_EXPIRED, SBX_TLS_EXPIRED,
          "the certificate has expired (renew it, or set this clock right): " },
        { MBEDTLS_X509_BADCERT_FUTURE, SBX_TLS_NOT_YET_VALID,
          "the certificate is not valid yet (set this clock right): " }
    };
    size_t i = 0;
    while (i < SBXI_LEN(rows) - 1 && !(rows[i].flags & flags)) i++;
    if (rows[i].check == SBX_TLS_WRONG_HOST && c->ip_len)
        return sbxi_tls_fail(e, SBX_TLS_WRONG_IP, "the certificate does not name this "
                             "address (use the host name, or add an IP SAN): ", c->host);
    return sbxi_tls_fail(e, rows[i].check, rows[i].text, c->host);
}

/* ---- the sessions of a trust ---------------------------------------------- */

static void sbxi_tls_forget(const sbxi_tls_trust *t, sbxi_tls_saved *s)
{
    mbedtls_ssl_session_free(&s->session);
    sbxi_alloc_wipe(t->alloc, s, s->size);
}

/* Takes the session with this peer out, NULL: there is none. Whoever tries it puts
   it back when it worked, so one that was refused is gone. */
static sbxi_tls_saved *sbxi_tls_take(sbxi_tls_trust *t, const char *host, uint16_t port)
{
    sbxi_tls_saved **at = &t->saved, *s;
    while ((s = *at) != NULL && (s->port != port || strcmp(s->host, host) != 0)) at = &s->next;
    if (s) *at = s->next;
    return s;
}

static sbxi_tls_saved *sbxi_tls_saved_new(const sbxi_tls_trust *t, const char *host,
                                          uint16_t port)
{
    size_t size = sizeof(sbxi_tls_saved) + strlen(host);
    sbxi_tls_saved *s = (sbxi_tls_saved *)sbxi_alloc_get(t->alloc, size);
    if (!s) return NULL;
    mbedtls_ssl_session_init(&s->session);
    s->size = size;
    s->port = port;
    memcpy(s->host, host, strlen(host) + 1);
    return s;
}

/* ---- trust ---------------------------------------------------------------- */

static void sbxi_tls_trust_close(sbxi_tls_trust *t)
{
    while (t->saved) sbxi_tls_forget(t, sbxi_tls_take(t, t->saved->host, t->saved->port));
    mbedtls_ssl_config_free(&t->conf);
    mbedtls_x509_crt_free(&t->ca);
    mbedtls_x509_crt_free(&t->own);
    mbedtls_pk_free(&t->key);
#ifdef MBEDTLS_X509_CRL_PARSE_C
    mbedtls_x509_crl_free(&t->crl);
#endif
#ifdef SBXI_TLS_DRBG
    mbedtls_ctr_drbg_free(&t->drbg);
#endif
    sbxi_alloc_wipe(t->alloc, t, sizeof *t);
}

/* A positive answer of mbedTLS counts certificates it cannot read: stores have
   such, one good is enough. */
static int sbxi_tls_load_done(mbedtls_x509_crt *crt, int rc)
{
    if (rc >= 0 && crt->raw.p) return SBX_OK;
    mbedtls_x509_crt_free(crt);
    mbedtls_x509_crt_init(crt);
    return rc < 0 && sbxi_tls_no_memory(rc) ? SBX_E_NOMEM : SBX_E_TLS;
}

static int sbxi_tls_load_pem(mbedtls_x509_crt *crt, const char *pem, const char *text,
                             sbx_error *e)
{
    /* mbedTLS takes text for PEM only if its NUL is counted. */
    int code = mbedtls_x509_crt_parse(crt, (const unsigned char *)pem, strlen(pem) + 1);
    int rc = sbxi_tls_load_done(crt, code);
    return rc == SBX_E_TLS ? sbxi_tls_fail_code(e, SBX_TLS_BAD_CONFIG, text, code) : rc;
}

#if defined(MBEDTLS_FS_IO) && !defined(SBX_NO_STDLIB)
#define SBXI_TLS_FILES

/* What cannot be sized, as a directory, is "no memory" to mbedTLS. */
static int sbxi_tls_file_code(int code)
{
#if MBEDTLS_VERSION_NUMBER < 0x04000000
    if (code == MBEDTLS_ERR_PK_ALLOC_FAILED) code = MBEDTLS_ERR_PK_FILE_IO_ERROR;
#endif
    return code;
}

static int sbxi_tls_load_path(mbedtls_x509_crt *crt, const char *path)
{
    return sbxi_tls_load_done(crt, sbxi_tls_file_code(mbedtls_x509_crt_parse_file(crt, path)));
}

static int sbxi_tls_load_file(mbedtls_x509_crt *crt, const char *path, const char *text,
                              sbx_error *e)
{
    int rc = sbxi_tls_load_path(crt, path);
    return rc == SBX_E_TLS ? sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG, text, path) : rc;
}

/* The first of the paths that holds a certificate. */
static int sbxi_tls_load_first(sbxi_tls_trust *t, const char *const *paths, size_t n, sbx_error *e)
{
    char message[sizeof e->message] = "no CA certificates; give config.tls.ca_file; tried";
    size_t i;
    for (i = 0; i < n; i++) {
        int rc = sbxi_tls_load_path(&t->ca, paths[i]);
        if (rc != SBX_E_TLS) return rc;
        sbxi_add_text(message, sizeof message, " ");
        sbxi_add_text(message, sizeof message, paths[i]);
    }
    return sbxi_error_set(e, SBX_E_NO_CA, message);
}

static int sbxi_tls_load(sbxi_tls_trust *t, const char *env, sbx_error *e)
{
    static const char *const system[] = {
        "/etc/ssl/certs/ca-certificates.crt",  /* Debian, Ubuntu, Alpine, Arch, Gentoo */
        "/etc/pki/tls/certs/ca-bundle.crt",    /* Fedora, RHEL */
        "/etc/ssl/ca-bundle.pem",              /* openSUSE */
        "/etc/ssl/cert.pem",                   /* macOS, the BSDs, Alpine */
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/usr/local/share/certs/ca-root-nss.crt"
    };
    const sbx_tls *o = &t->options;
    if (o->ca_pem)
        return sbxi_tls_load_pem(&t->ca, o->ca_pem, "config.tls.ca_pem holds no certificate",
                                 e);
    if (o->ca_file)
        return sbxi_tls_load_file(&t->ca, o->ca_file,
                                  "config.tls.ca_file cannot be read as PEM: ", e);
    if (env && env[0]) {
        int code = mbedtls_x509_crt_parse_path(&t->ca, env); /* < 0: no directory */
        int rc = sbxi_tls_load_done(&t->ca, code);
        if (rc == SBX_E_TLS && code < 0) rc = sbxi_tls_load_path(&t->ca, env);
        return rc != SBX_E_TLS ? rc : sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG,
            "SSL_CERT_FILE (or SSL_CERT_DIR) holds no certificate in PEM: ", env);
    }
    return sbxi_tls_load_first(t, system, SBXI_LEN(system), e);
}

#else

static int sbxi_tls_load(sbxi_tls_trust *t, const char *env, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    (void)env;
    if (o->ca_pem)
        return sbxi_tls_load_pem(&t->ca, o->ca_pem, "config.tls.ca_pem holds no certificate",
                                 e);
    if (o->ca_file)
        return sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG,
                             "this build reads no files: give config.tls.ca_pem, not ca_file", "");
    return sbxi_error_set(e, SBX_E_NO_CA, "this build reads no files: give config.tls.ca_pem");
}

#endif

#ifdef SBXI_TLS_DRBG

static int sbxi_tls_entropy(void *ctx, unsigned char *out, size_t len)
{
    const sbx_net *net = (const sbx_net *)ctx;
    bool ok = net->entropy && net->entropy(net->ctx, out, len) == SBX_OK;
    return ok ? 0 : MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED;
}

static int sbxi_tls_seed(sbxi_tls_trust *t, sbx_error *e)
{
    static const unsigned char label[] = "sandbox.h";
    void *net = (void *)(uintptr_t)t->net; /* only read through it */
    int code = mbedtls_ctr_drbg_seed(&t->drbg, sbxi_tls_entropy, net, label, sizeof label - 1);
    if (code != 0)
        return sbxi_tls_no_memory(code) ? SBX_E_NOMEM : sbxi_error_set(e, SBX_E_ENTROPY, NULL);
    mbedtls_ssl_conf_rng(&t->conf, mbedtls_ctr_drbg_random, &t->drbg);
    return SBX_OK;
}

#else

static int sbxi_tls_seed(sbxi_tls_trust *t, sbx_error *e)
{
    (void)t;
    (void)e;
    return SBX_OK;
}

#endif

/* Who this client is, and what was revoked. A text in memory goes before a file.
   What files give is read by mbedTLS, so that keys pass through no buffer of ours. */
static SBXI_MAYBE int sbxi_tls_no_files(sbx_error *e)
{
    return sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG,
                         "this build reads no files: give config.tls texts in memory", "");
}

#if MBEDTLS_VERSION_NUMBER >= 0x03000000 && defined(SBXI_TLS_DRBG)
#define SBXI_TLS_RNG , mbedtls_ctr_drbg_random, &t->drbg
#else
#define SBXI_TLS_RNG
#endif

static int sbxi_tls_load_own(sbxi_tls_trust *t, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    if (o->cert_pem)
        return sbxi_tls_load_pem(&t->own, o->cert_pem, "config.tls.cert_pem holds no certificate",
                                 e);
#ifdef SBXI_TLS_FILES
    return sbxi_tls_load_file(&t->own, o->cert_file, "config.tls.cert_file cannot be read as PEM: ",
                              e);
#else
    return sbxi_tls_no_files(e);
#endif
}

static int sbxi_tls_load_key(sbxi_tls_trust *t, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    const unsigned char *word = (const unsigned char *)o->key_password;
    int code;
    if (o->key_pem) {
        code = mbedtls_pk_parse_key(&t->key, (const unsigned char *)o->key_pem,
            strlen(o->key_pem) + 1, word, word ? strlen(o->key_password) : 0 SBXI_TLS_RNG);
    } else {
#ifdef SBXI_TLS_FILES
        code = sbxi_tls_file_code(mbedtls_pk_parse_keyfile(&t->key, o->key_file,
            o->key_password SBXI_TLS_RNG));
#else
        return sbxi_tls_no_files(e);
#endif
    }
    if (code == 0) code = mbedtls_pk_check_pair(&t->own.pk, &t->key SBXI_TLS_RNG);
    if (code == 0) code = mbedtls_ssl_conf_own_cert(&t->conf, &t->own, &t->key);
    if (code == 0) return SBX_OK;
    if (sbxi_tls_no_memory(code)) return SBX_E_NOMEM;
    return sbxi_tls_fail_code(e, SBX_TLS_BAD_CONFIG, "the key of config.tls cannot be read, or "
                              "does not belong to the client certificate", code);
}

static int sbxi_tls_identity(sbxi_tls_trust *t, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    bool cert = o->cert_pem || o->cert_file, key = o->key_pem || o->key_file;
    int rc;
    if (cert != key)
        return sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG, "a client certificate needs its key: give "
                             "config.tls cert_pem and key_pem, or cert_file and key_file", "");
    if (!cert) return SBX_OK;
    rc = sbxi_tls_load_own(t, e);
    return rc == SBX_OK ? sbxi_tls_load_key(t, e) : rc;
}

#ifdef MBEDTLS_X509_CRL_PARSE_C
static int sbxi_tls_revoked(sbxi_tls_trust *t, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    int code;
    if (o->crl_pem) {
        code = mbedtls_x509_crl_parse(&t->crl, (const unsigned char *)o->crl_pem,
                                      strlen(o->crl_pem) + 1);
    } else if (o->crl_file) {
#ifdef SBXI_TLS_FILES
        code = sbxi_tls_file_code(mbedtls_x509_crl_parse_file(&t->crl, o->crl_file));
#else
        return sbxi_tls_no_files(e);
#endif
    } else {
        return SBX_OK;
    }
    if (code == 0 && t->crl.raw.p) return SBX_OK;
    if (sbxi_tls_no_memory(code)) return SBX_E_NOMEM;
    return sbxi_tls_fail_code(e, SBX_TLS_BAD_CONFIG,
                              "the revocation list of config.tls cannot be read", code);
}
#else
static int sbxi_tls_revoked(sbxi_tls_trust *t, sbx_error *e)
{
    if (!t->options.crl_pem && !t->options.crl_file) return SBX_OK;
    return sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG, "this mbedTLS knows no revocation lists", "");
}
#endif

/* What cannot be meant: an error, never a weaker check than asked for. */
static int sbxi_tls_check_options(const sbxi_tls_trust *t, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    const char *text = NULL;
    if (o->pins && !sbxi_pin_check(o->pins))
        text = "config.tls.pins: each is the base64 of a SHA-256, 44 letters";
    else if (t->pin_only && !o->pins)
        text = "config.tls.pin_only needs config.tls.pins";
    else if (t->pin_only && (o->crl_pem || o->crl_file))
        text = "config.tls.pin_only has no CA for a revocation list";
    return text ? sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG, text, "") : SBX_OK;
}

/* mbedTLS's own state, process-wide; before anything else is parsed. */
static int sbxi_tls_psa(sbx_error *e)
{
#ifdef SBXI_TLS_PSA
    psa_status_t code = psa_crypto_init();
    if (code == PSA_ERROR_INSUFFICIENT_MEMORY) return SBX_E_NOMEM;
    if (code == PSA_ERROR_INSUFFICIENT_ENTROPY) return sbxi_error_set(e, SBX_E_ENTROPY, NULL);
    if (code != PSA_SUCCESS)
        return sbxi_tls_fail_code(e, SBX_TLS_BAD_CONFIG, "psa_crypto_init() failed", (int)code);
#endif
    (void)e;
    return SBX_OK;
}

/* What no configuration may change. */
static void sbxi_tls_insist(sbxi_tls_trust *t)
{
    mbedtls_x509_crl *crl = NULL;
#ifdef MBEDTLS_X509_CRL_PARSE_C
    if (t->crl.raw.p) crl = &t->crl;
#endif
    mbedtls_ssl_conf_authmode(&t->conf, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&t->conf, &t->ca, crl);
#if MBEDTLS_VERSION_NUMBER >= 0x03020000
    mbedtls_ssl_conf_min_tls_version(&t->conf, MBEDTLS_SSL_VERSION_TLS1_2);
#else
    mbedtls_ssl_conf_min_version(&t->conf, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3);
#endif
}

/* mbedTLS does not negotiate the length in TLS 1.3, so that is not offered then. */
static int sbxi_tls_fragment(sbxi_tls_trust *t, sbx_error *e)
{
    int32_t n = t->options.max_fragment;
    int code = -1;
    if (n == 0) return SBX_OK;
#ifdef MBEDTLS_SSL_MAX_FRAGMENT_LENGTH
    if (n == 512 || n == 1024 || n == 2048 || n == 4096) {
        unsigned char log = MBEDTLS_SSL_MAX_FRAG_LEN_512;
        for (; n > 512; n /= 2) log++;
        code = mbedtls_ssl_conf_max_frag_len(&t->conf, log);
    }
#endif
#if MBEDTLS_VERSION_NUMBER >= 0x03020000
    mbedtls_ssl_conf_max_tls_version(&t->conf, MBEDTLS_SSL_VERSION_TLS1_2);
#endif
    if (code == 0) return SBX_OK;
    return sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG, "config.tls.max_fragment is 512, 1024, 2048 or "
                         "4096, and mbedTLS needs MBEDTLS_SSL_MAX_FRAGMENT_LENGTH", "");
}

static void sbxi_tls_tickets(sbxi_tls_trust *t)
{
#ifdef MBEDTLS_SSL_SESSION_TICKETS
    mbedtls_ssl_conf_session_tickets(&t->conf, t->resume
        ? MBEDTLS_SSL_SESSION_TICKETS_ENABLED : MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
#if defined(MBEDTLS_SSL_PROTO_TLS1_3) && MBEDTLS_VERSION_NUMBER >= 0x03060100 \
    && MBEDTLS_VERSION_NUMBER < 0x04000000
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(&t->conf, t->resume
        ? MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED
        : MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_DISABLED);
#endif
#else
    (void)t;
#endif
}

static int sbxi_tls_configure(sbxi_tls_trust *t, sbx_error *e)
{
    const sbx_tls *o = &t->options;
    int rc, code = mbedtls_ssl_config_defaults(&t->conf, MBEDTLS_SSL_IS_CLIENT,
        MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
#ifdef MBEDTLS_SSL_ALPN
    t->alpn[0] = "http/1.1";
    if (code == 0) code = mbedtls_ssl_conf_alpn_protocols(&t->conf, t->alpn);
#endif
    if (code != 0 && sbxi_tls_no_memory(code)) return SBX_E_NOMEM;
    if (code != 0)
        return sbxi_tls_fail_code(e, SBX_TLS_BAD_CONFIG, "mbedTLS refused its settings", code);
    /* SHA-256, RSA 2048 and 256-bit curves or better; what 2.28 takes by default is less. */
    mbedtls_ssl_conf_cert_profile(&t->conf, &mbedtls_x509_crt_profile_next);
    sbxi_tls_tickets(t);
    rc = sbxi_tls_fragment(t, e);
    if (rc == SBX_OK) rc = sbxi_tls_identity(t, e);
    if (rc != SBX_OK) return rc;
    if (o->configure && o->configure(o->ctx, &t->conf) != 0)
        return sbxi_tls_fail(e, SBX_TLS_BAD_CONFIG, "config.tls.configure refused", "");
    sbxi_tls_insist(t);
    return SBX_OK;
}

/* The hash that saved sessions carry: of whom we trust, who we are, and how strict. */
static void sbxi_tls_bind(sbxi_tls_trust *t)
{
    const sbx_tls *o = &t->options;
    const mbedtls_x509_crt *crt;
    unsigned char policy[4];
    sbx_sha256 s;
    sbx_sha256_init(&s);
    for (crt = &t->ca; crt; crt = crt->next) sbx_sha256_add(&s, crt->raw.p, crt->raw.len);
    sbx_sha256_add(&s, "own", 4);
    sbx_sha256_add(&s, t->own.raw.p, t->own.raw.len);
#ifdef MBEDTLS_X509_CRL_PARSE_C
    {
        const mbedtls_x509_crl *crl;
        sbx_sha256_add(&s, "crl", 4);
        for (crl = &t->crl; crl; crl = crl->next) sbx_sha256_add(&s, crl->raw.p, crl->raw.len);
    }
#endif
    if (o->pins) sbx_sha256_add(&s, o->pins, strlen(o->pins) + 1);
    policy[0] = t->pin_only;
    policy[1] = o->no_clock == SBX_YES;
    policy[2] = (unsigned char)(o->max_fragment >> 8);
    policy[3] = o->pins != NULL;
    sbx_sha256_add(&s, policy, sizeof policy);
    sbx_sha256_end(&s, t->bind);
}

/* Saved sessions are of use only where this is the same, too. */
static SBXI_MAYBE void sbxi_tls_bind_to(sbxi_tls_trust *t, const void *data, size_t len)
{
    sbx_sha256 s;
    sbx_sha256_init(&s);
    sbx_sha256_add(&s, t->bind, sizeof t->bind);
    sbx_sha256_add(&s, data, len);
    sbx_sha256_end(&s, t->bind);
}

static void sbxi_tls_trust_init(sbxi_tls_trust *t, const sbx_tls *options)
{
    if (options) t->options = *options;
    t->pin_only = t->options.pin_only == SBX_YES;
    t->resume = t->options.resume != SBX_NO;
    mbedtls_ssl_config_init(&t->conf);
    mbedtls_x509_crt_init(&t->ca);
    mbedtls_x509_crt_init(&t->own);
    mbedtls_pk_init(&t->key);
#ifdef MBEDTLS_X509_CRL_PARSE_C
    mbedtls_x509_crl_init(&t->crl);
#endif
#ifdef SBXI_TLS_DRBG
    mbedtls_ctr_drbg_init(&t->drbg);
#endif
}

static int sbxi_tls_trust_open(sbxi_tls_trust **out, const sbx_alloc *alloc, const sbx_net *net,
                               const sbx_tls *options, const char *env_ca_file, sbx_error *error)
{
    sbxi_tls_trust *t = (sbxi_tls_trust *)sbxi_alloc_get(alloc, sizeof *t);
    int rc;
    *out = NULL;
    if (!t) return sbxi_error_set(error, SBX_E_NOMEM, NULL);
    t->alloc = alloc;
    t->net = net;
    sbxi_tls_trust_init(t, options);
    rc = sbxi_tls_check_options(t, error);
    if (rc == SBX_OK) rc = sbxi_tls_psa(error);
    if (rc == SBX_OK) rc = sbxi_tls_seed(t, error);
    if (rc == SBX_OK && !t->pin_only) rc = sbxi_tls_load(t, env_ca_file, error);
    if (rc == SBX_OK) rc = sbxi_tls_revoked(t, error);
    if (rc == SBX_OK) rc = sbxi_tls_configure(t, error);
    if (rc != SBX_OK) {
        sbxi_tls_trust_close(t);
        return sbxi_error_set(error, rc, NULL);
    }
    sbxi_tls_bind(t);
    *out = t;
    return SBX_OK;
}

/* ---- resumption ----------------------------------------------------------- */

static void sbxi_tls_put64(unsigned char *out, int64_t v)
{
    int i;
    for (i = 0; i < 8; i++) out[i] = (unsigned char)((uint64_t)v >> (56 - 8 * i));
}

static int64_t sbxi_tls_get64(const unsigned char *in)
{
    uint64_t v = 0;
    int i;
    for (i = 0; i < 8; i++) v = v << 8 | in[i];
    return (int64_t)v;
}

/* What a blob begins with: all that is trusted, with whom, and the rest of it. */
static void sbxi_tls_blob_hash(const sbxi_tls_trust *t, const char *host, uint16_t port,
                               const unsigned char *blob, size_t len, unsigned char out[32])
{
    unsigned char at[2];
    sbx_sha256 s;
    at[0] = (unsigned char)(port >> 8);
    at[1] = (unsigned char)(port & 255);
    sbx_sha256_init(&s);
    sbx_sha256_add(&s, t->bind, sizeof t->bind);
    sbx_sha256_add(&s, host, strlen(host) + 1);
    sbx_sha256_add(&s, at, sizeof at);
    sbx_sha256_add(&s, blob + 32, len - 32);
    sbx_sha256_end(&s, out);
}

static void sbxi_tls_save(const sbxi_tls_trust *t, const sbxi_tls_saved *s)
{
    const sbx_tls *o = &t->options;
    unsigned char *blob;
    size_t len = 0, size;
    if (!o->session_save) return;
    (void)mbedtls_ssl_session_save(&s->session, NULL, 0, &len); /* only its length */
    if (len == 0 || len > SBXI_TLS_BLOB - SBXI_TLS_BLOB_HEAD) return;
    size = SBXI_TLS_BLOB_HEAD + len;
    blob = (unsigned char *)sbxi_alloc_get(t->alloc, size);
    if (!blob) return;
    sbxi_tls_put64(blob + 32, s->from_ms);
    sbxi_tls_put64(blob + 40, s->to_ms);
    if (mbedtls_ssl_session_save(&s->session, blob + SBXI_TLS_BLOB_HEAD, len, &len) == 0) {
        sbxi_tls_blob_hash(t, s->host, s->port, blob, size, blob);
        (void)o->session_save(o->ctx, s->host, s->port, blob, size);
    }
    sbxi_alloc_wipe(t->alloc, blob, size);
}

/* Whatever is wrong with a blob, also a version of mbedTLS it is not for: there is
   none. */
static sbxi_tls_saved *sbxi_tls_restore(const sbxi_tls_trust *t, const char *host, uint16_t port,
                                        const unsigned char *blob, size_t len)
{
    unsigned char hash[32];
    sbxi_tls_saved *s;
    if (len <= SBXI_TLS_BLOB_HEAD || len > SBXI_TLS_BLOB) return NULL;
    sbxi_tls_blob_hash(t, host, port, blob, len, hash);
    if (memcmp(hash, blob, sizeof hash) != 0) return NULL;
    s = sbxi_tls_saved_new(t, host, port);
    if (!s) return NULL;
    s->from_ms = sbxi_tls_get64(blob + 32);
    s->to_ms = sbxi_tls_get64(blob + 40);
    if (mbedtls_ssl_session_load(&s->session, blob + SBXI_TLS_BLOB_HEAD,
                                 len - SBXI_TLS_BLOB_HEAD) == 0) return s;
    sbxi_tls_forget(t, s);
    return NULL;
}

static sbxi_tls_saved *sbxi_tls_load_session(const sbxi_tls_trust *t, const char *host,
                                             uint16_t port)
{
    const sbx_tls *o = &t->options;
    sbxi_tls_saved *s = NULL;
    unsigned char *blob;
    size_t len = 0;
    if (!o->session_load) return NULL;
    blob = (unsigned char *)sbxi_alloc_get(t->alloc, SBXI_TLS_BLOB);
    if (!blob) return NULL;
    if (o->session_load(o->ctx, host, port, blob, SBXI_TLS_BLOB, &len) == SBX_OK)
        s = sbxi_tls_restore(t, host, port, blob, len);
    sbxi_alloc_wipe(t->alloc, blob, SBXI_TLS_BLOB);
    return s;
}

/* Keeps the session of a connection, best effort: without it the next handshake is
   a whole one. */
static void sbxi_tls_remember(sbxi_tls_conn *c)
{
    sbxi_tls_trust *t = c->trust;
    sbxi_tls_saved *s, **at, *old;
    size_t n = 0;
    if (!t->resume) return;
    s = sbxi_tls_saved_new(t, c->host, c->port);
    if (!s) return;
    if (mbedtls_ssl_get_session(&c->ssl, &s->session) != 0) {
        sbxi_tls_forget(t, s);
        return;
    }
    s->from_ms = c->from_ms;
    s->to_ms = c->to_ms;
    old = sbxi_tls_take(t, c->host, c->port);
    if (old) sbxi_tls_forget(t, old);
    s->next = t->saved;
    t->saved = s;
    for (at = &t->saved; *at && n < SBXI_TLS_SESSIONS; n++) at = &(*at)->next;
    old = *at;
    *at = NULL;
    if (old) sbxi_tls_forget(t, old);
    sbxi_tls_save(t, s);
}

/* Offers the session kept with this peer. Who resumes shows no certificate: the
   period of those seen before still counts. */
static int sbxi_tls_offer(sbxi_tls_conn *c)
{
    sbxi_tls_trust *t = c->trust;
    sbxi_tls_saved *s;
    int code = 0;
    if (!t->resume) return 0;
    s = sbxi_tls_take(t, c->host, c->port);
    if (!s) s = sbxi_tls_load_session(t, c->host, c->port);
    if (!s) return 0;
    if (!c->now_ms || (c->now_ms >= s->from_ms && c->now_ms < s->to_ms)) {
        code = mbedtls_ssl_set_session(&c->ssl, &s->session);
        c->offered = code == 0;
        c->from_ms = s->from_ms;
        c->to_ms = s->to_ms;
    }
    sbxi_tls_forget(t, s);
    return code != 0 && sbxi_tls_no_memory(code) ? code : 0;
}

/* ---- one connection ------------------------------------------------------- */

/* The transport as mbedTLS wants it. Failures are remembered in the connection:
   what mbedTLS makes of the code differs between versions. */
static int sbxi_tls_bio(sbxi_tls_conn *c, int rc, size_t n, int want)
{
    if (rc == SBX_E_AGAIN) {
        c->blocked = want;
        return want == SBX_WANT_READ ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_SSL_WANT_WRITE;
    }
    if (rc == SBX_OK && n > 0) return (int)n;
    c->lost = true;
    return MBEDTLS_ERR_SSL_CONN_EOF;
}

static int sbxi_tls_bio_send(void *ctx, const unsigned char *buf, size_t len)
{
    sbxi_tls_conn *c = (sbxi_tls_conn *)ctx;
    const sbx_net *net = c->trust->net;
    size_t n = 0;
    int rc = net->send(net->ctx, c->raw, buf, len, &n);
    return sbxi_tls_bio(c, rc, n, SBX_WANT_WRITE);
}

static int sbxi_tls_bio_recv(void *ctx, unsigned char *buf, size_t cap)
{
    sbxi_tls_conn *c = (sbxi_tls_conn *)ctx;
    const sbx_net *net = c->trust->net;
    size_t n = 0;
    int rc = SBX_E_AGAIN; /* of a peer that sends warnings without end: it waits */
    if (c->burst > 0) rc = net->recv(net->ctx, c->raw, buf, cap, &n);
    c->burst -= SBXI_MIN(n, c->burst);
    return sbxi_tls_bio(c, rc, n, SBX_WANT_READ);
}

/* Best effort, never blocks. */
static void sbxi_tls_end(sbxi_tls_conn *c)
{
    if (c->up && !c->lost) (void)mbedtls_ssl_close_notify(&c->ssl);
    mbedtls_ssl_free(&c->ssl);
    sbxi_alloc_free(c->trust->alloc, c, c->size);
}

static int sbxi_tls_clock(sbxi_tls_conn *c, sbx_error *e)
{
    c->now_ms = sbxi_clock(c->trust->net);
    if (c->now_ms) return SBX_OK;
    if (c->trust->options.no_clock == SBX_YES || c->trust->pin_only) return SBX_OK;
    return sbxi_tls_fail(e, SBX_TLS_NO_CLOCK, "no clock to judge certificates by: give "
                         "config.net.unix_ms, or set config.tls.no_clock to SBX_YES", "");
}

/* An address is not sent as server name (RFC 6066), and a name without its final
   dot, which certificates do not have either. */
static int sbxi_tls_name(sbxi_tls_conn *c)
{
    size_t len = strlen(c->host);
    c->ip_len = sbxi_ip_parse(c->host, c->ip);
    if (c->ip_len) return mbedtls_ssl_set_hostname(&c->ssl, NULL);
    if (len > 1 && c->host[len - 1] == '.') c->host[len - 1] = 0;
    return mbedtls_ssl_set_hostname(&c->ssl, c->host);
}

static int sbxi_tls_start(sbxi_tls_conn **out, sbxi_tls_trust *t, void *net_conn,
                          const char *host, uint16_t port, sbx_error *error)
{
    size_t size = sizeof(sbxi_tls_conn) + strlen(host);
    sbxi_tls_conn *c = (sbxi_tls_conn *)sbxi_alloc_get(t->alloc, size);
    int code, rc;
    *out = NULL;
    if (!c) return sbxi_error_set(error, SBX_E_NOMEM, NULL);
    c->trust = t;
    c->raw = net_conn;
    c->port = port;
    c->size = size;
    memcpy(c->host, host, strlen(host) + 1);
    mbedtls_ssl_init(&c->ssl);
    rc = sbxi_tls_clock(c, error);
    code = rc == SBX_OK ? mbedtls_ssl_setup(&c->ssl, &t->conf) : 0;
    if (rc == SBX_OK && code == 0) code = sbxi_tls_name(c);
    if (rc == SBX_OK && code == 0) code = sbxi_tls_offer(c);
    if (code != 0 && sbxi_tls_no_memory(code))
        rc = sbxi_error_set(error, SBX_E_NOMEM, NULL);
    else if (code != 0)
        rc = sbxi_tls_fail_code(error, SBX_TLS_BAD_CONFIG, "mbedTLS refused the host name", code);
    if (rc != SBX_OK) {
        sbxi_tls_end(c);
        return rc;
    }
    mbedtls_ssl_set_verify(&c->ssl, sbxi_tls_judge, c);
    mbedtls_ssl_set_bio(&c->ssl, c, sbxi_tls_bio_send, sbxi_tls_bio_recv, NULL);
    *out = c;
    return SBX_OK;
}

static bool sbxi_tls_is_13(const sbxi_tls_conn *c)
{
    return strcmp(mbedtls_ssl_get_version(&c->ssl), "TLSv1.3") == 0;
}

/* mbedTLS pauses a long computation (MBEDTLS_ECP_RESTARTABLE): the caller's loop gets its
   turn. It comes back at once, as a transport can be written to in a handshake. */
static bool sbxi_tls_computes(int code, int *want)
{
#ifdef MBEDTLS_ERR_SSL_CRYPTO_IN_PROGRESS
    *want = SBX_WANT_WRITE;
    return code == MBEDTLS_ERR_SSL_CRYPTO_IN_PROGRESS;
#else
    (void)code;
    (void)want;
    return false;
#endif
}

/* mbedTLS stopped, but not for the transport: it took a session ticket or some
   other message without data. */
static bool sbxi_tls_go_on(sbxi_tls_conn *c, int code)
{
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
    if (code == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
        c->heard = true;
        sbxi_tls_remember(c); /* in TLS 1.3 only now is there something to resume */
        return true;
    }
#endif
    return (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE)
        && !c->blocked;
}

static bool sbxi_tls_would_block(const sbxi_tls_conn *c, int code, int *want)
{
    *want = c->blocked;
    return c->blocked
        && (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE);
}

static bool sbxi_tls_is_version(int code)
{
#ifdef MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION
    return code == MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION;
#else
    return code == MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION;
#endif
}

static bool sbxi_tls_is_certificate(int code)
{
    int high = -code & 0x7F80;
#ifdef MBEDTLS_ERR_SSL_BAD_CERTIFICATE
    if (code == MBEDTLS_ERR_SSL_BAD_CERTIFICATE) return true;
#else
    if (code == MBEDTLS_ERR_SSL_BAD_HS_CERTIFICATE) return true;
#endif
    return high >= 0x2080 && high <= 0x2F80; /* the X.509 module */
}

/* Alerts of a peer that does not like our certificate, or wants one. mbedTLS has no
   function that tells which alert came. */
static bool sbxi_tls_dislikes(const sbxi_tls_conn *c, int code)
{
    unsigned alert;
    if (code != MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE || !c->judged) return false;
    alert = c->ssl.SBXI_TLS_MEMBER(in_msg)[1];
    return alert == 116 || (alert >= 40 && alert <= 49 && alert != 47);
}

/* Why the connection failed with this status, SBX_E_TLS or SBX_E_NETWORK. */
static int sbxi_tls_why(const sbxi_tls_conn *c, int rc, sbx_error *e)
{
    if (rc != SBX_E_TLS) {
        if (c->broken) e->tls = SBX_TLS_BROKEN;
        return !c->broken ? rc : sbxi_error_set(e, rc, "the TLS connection was damaged or "
            "tampered with, or the peer broke it off by an alert");
    }
    return sbxi_tls_fail(e, SBX_TLS_HANDSHAKE, c->trust->own.raw.p
        ? "the peer refused this client's certificate (config.tls.cert_pem, cert_file): "
        : "the peer asks for a client certificate (give config.tls.cert_pem and key_pem): ",
        c->host);
}

/* The peer sent an alert. */
static int sbxi_tls_alerted(const sbxi_tls_conn *c, int code, sbx_error *e)
{
    if (sbxi_tls_dislikes(c, code)) return sbxi_tls_why(c, SBX_E_TLS, e);
    return sbxi_tls_fail_code(e, SBX_TLS_HANDSHAKE, c->judged
        ? "the peer broke the TLS handshake off"
        : "the peer refused the TLS handshake: no version or cipher in common, or it does "
          "not know the host", code);
}

static int sbxi_tls_refused(const sbxi_tls_conn *c, int code, sbx_error *e)
{
    uint32_t flags = mbedtls_ssl_get_verify_result(&c->ssl);
    flags = (flags == SBXI_TLS_NO_RESULT ? 0 : flags) | c->flags;
    if (flags) return sbxi_tls_verdict(c, flags, e);
    if (c->offered && !c->judged && !sbxi_tls_no_memory(code))
        return sbxi_error_set(e, SBX_E_CONNECT, "the peer refused to resume the TLS session, "
                              "which is forgotten now: connect again");
    if (c->lost)
        return sbxi_error_set(e, SBX_E_NETWORK, c->judged
            ? "the peer closed the connection in the TLS handshake, after its certificate was "
              "accepted: does it ask for a client certificate (config.tls.cert_pem)?"
            : "the peer closed the connection in the TLS handshake: is this its https port?");
    if (sbxi_tls_no_memory(code)) return sbxi_error_set(e, SBX_E_NOMEM, NULL);
    if (sbxi_tls_is_certificate(code))
        return sbxi_tls_fail_code(e, SBX_TLS_BAD_CERT, "the certificate cannot be read", code);
    if (sbxi_tls_is_version(code))
        return sbxi_tls_fail_code(e, SBX_TLS_HANDSHAKE, "the peer is too old: it has neither "
                                  "TLS 1.2 nor what this mbedTLS has above it", code);
    if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) return sbxi_tls_alerted(c, code, e);
    return sbxi_tls_fail_code(e, SBX_TLS_HANDSHAKE, "no agreement with the peer: is this its "
                              "https port?", code);
}

static int sbxi_tls_handshake(sbxi_tls_conn *c, int *want, sbx_error *error)
{
    int code, turns = 0;
    c->burst = SBXI_TLS_BURST;
    do {
        c->blocked = 0;
        code = mbedtls_ssl_handshake(&c->ssl);
    } while (sbxi_tls_go_on(c, code) && ++turns < SBXI_TLS_TURNS);
    if (sbxi_tls_computes(code, want)) return SBX_E_AGAIN;
    if (sbxi_tls_would_block(c, code, want)) return SBX_E_AGAIN;
    if (code != 0) return sbxi_tls_refused(c, code, error);
    /* Cannot be as this is configured. If it ever were, nobody was verified. */
    if ((!c->judged && !c->offered) || c->flags)
        return sbxi_tls_verdict(c, c->flags | MBEDTLS_X509_BADCERT_MISSING, error);
    c->up = true;
    if (!sbxi_tls_is_13(c)) sbxi_tls_remember(c);
    return SBX_OK;
}

/* Nothing more will come or go. An end without close_notify (code 0) is a truncation.
   In TLS 1.3 the handshake is over before the peer looks at our certificate. */
static int sbxi_tls_over(sbxi_tls_conn *c, int code)
{
    bool disliked = !c->heard && sbxi_tls_is_13(c) && sbxi_tls_dislikes(c, code);
    if (!c->lost && !sbxi_tls_no_memory(code)) c->broken = true;
    c->lost = true;
    return disliked ? SBX_E_TLS : SBX_E_NETWORK;
}

static int sbxi_tls_send(sbxi_tls_conn *c, const void *buf, size_t len, size_t *sent, int *want)
{
    int code, turns = 0;
    *sent = 0;
    *want = 0;
    if (len == 0) return SBX_OK;
    c->burst = SBXI_TLS_BURST;
    do {
        c->blocked = 0;
        code = mbedtls_ssl_write(&c->ssl, (const unsigned char *)buf, len);
    } while (sbxi_tls_go_on(c, code) && ++turns < SBXI_TLS_TURNS);
    if (sbxi_tls_would_block(c, code, want)) return SBX_E_AGAIN;
    if (code > 0) {
        *sent = (size_t)code;
        return SBX_OK;
    }
    return sbxi_tls_over(c, code);
}

static int sbxi_tls_recv(sbxi_tls_conn *c, void *buf, size_t cap, size_t *got, int *want)
{
    int code, turns = 0;
    *got = 0;
    *want = 0;
    if (c->ended || cap == 0) return SBX_OK;
    c->burst = SBXI_TLS_BURST;
    do {
        c->blocked = 0;
        code = mbedtls_ssl_read(&c->ssl, (unsigned char *)buf, cap);
    } while (sbxi_tls_go_on(c, code) && ++turns < SBXI_TLS_TURNS);
    if (sbxi_tls_would_block(c, code, want)) return SBX_E_AGAIN;
    if (code > 0) {
        *got = (size_t)code;
        c->heard = true;
        return SBX_OK;
    }
    c->ended = code == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY;
    if (c->ended) return SBX_OK;
    return sbxi_tls_over(c, code);
}

/* Bytes already decrypted. */
static size_t sbxi_tls_pending(const sbxi_tls_conn *c)
{
    return mbedtls_ssl_get_bytes_avail(&c->ssl);
}

#endif /* SBX_NO_TLS */
/* proxy - the way through an HTTP proxy: which one there is, whether a host is
   reached by it, and what it is told. Texts only: the exchange does the talking.
   Called by client.c to set up, by request.c and the exchange.

   Invariants: a proxy's url is the client's own copy and is taken apart in place,
   so its secrets lie in one block, which is wiped with the client; a list of
   exceptions never makes a host go through a proxy that would not without it. */

typedef struct sbxi_proxy {
    const char *url;        /* NULL: none. Later begins with the decoded user:password */
    const char *host;       /* in url, NUL-terminated, without brackets */
    size_t user_len;        /* 0: no user */
    uint16_t port;
} sbxi_proxy;

typedef struct sbxi_proxies {
    sbxi_proxy of[2];       /* for http, for https */
    const char *none;       /* hosts that are reached without, or NULL */
} sbxi_proxies;

#ifdef SBX_NO_PROXY

static const sbxi_proxy *sbxi_proxy_for(const sbxi_proxies *all, const sbxi_url *url)
{
    (void)all;
    (void)url;
    return NULL;
}

#else

/* Decodes user[:password] to the beginning of the url. A colon in the name cannot
   be said in Basic authentication, control characters may not be. */
static bool sbxi_proxy_user(sbxi_proxy *p, char *out, const char *s, const char *end)
{
    bool colon = false;
    char *to = out;
    while (s < end) {
        char c = *s++;
        bool plain = c != '%';
        if (!plain) {
            int high = sbxi_hex_value(s[0]), low = high < 0 ? -1 : sbxi_hex_value(s[1]);
            if (low < 0) return false;
            c = (char)(high << 4 | low);
            s += 2;
        }
        if (c == ':' && !colon && !plain) return false;
        if (!sbxi_is_text(c)) return false;
        colon = colon || c == ':';
        *to++ = c;
    }
    if (!colon) *to++ = ':'; /* at worst over the '@' */
    p->user_len = (size_t)(to - out);
    return true;
}

/* Takes [http://][user[:password]@]host[:port][/] apart. False: it is not that. */
static bool sbxi_proxy_set(sbxi_proxy *p)
{
    char *url = (char *)(uintptr_t)p->url, *from = url, *end, *at; /* our own copy */
    sbxi_url u;
    sbxi_span s;
    if (strncmp(url, "http://", 7) == 0) from += 7;
    end = from + strcspn(from, "/");
    if (*end && end[1]) return false; /* another scheme, or a path */
    *end = 0;
    at = strrchr(from, '@');
    if (at && !sbxi_proxy_user(p, url, from, at)) return false;
    s = sbxi_span_of(at ? at + 1 : from);
    u.port = 80;
    if (!sbxi_url_authority(s, &u)) return false;
    p->port = u.port;
    p->host = u.host.ptr;
    url[u.host.ptr - url + (ptrdiff_t)u.host.len] = 0;
    return true;
}

/* One entry of the list: "*", a name with all below it, an address; each may have a
   port, then it is only that one. A leading dot changes nothing. */
static bool sbxi_proxy_spares(sbxi_span entry, const sbxi_url *url)
{
    sbxi_url u;
    if (sbxi_span_is(entry, "*")) return true;
    if (*entry.ptr == '.') {
        entry.ptr++;
        entry.len--;
    }
    u.port = url->port;
    if (!sbxi_url_authority(entry, &u)) u.host = entry; /* IPv6 without brackets */
    if (u.port != url->port || !u.host.len || !sbxi_ends_nocase(url->host, u.host)) return false;
    return url->host.len == u.host.len || url->host.ptr[url->host.len - u.host.len - 1] == '.';
}

/* The proxy to this URL; NULL: straight there. */
static const sbxi_proxy *sbxi_proxy_for(const sbxi_proxies *all, const sbxi_url *url)
{
    const sbxi_proxy *p = &all->of[url->tls];
    const char *at = all->none;
    if (!p->url) return NULL;
    while (at && *at) {
        sbxi_span entry = { at, strcspn(at, ", \t") };
        if (entry.len && sbxi_proxy_spares(entry, url)) return NULL;
        at += entry.len + (at[entry.len] != 0);
    }
    return p;
}

/* The header line with who we are, if the proxy's URL says it. */
static void sbxi_proxy_auth(sbxi_buf *b, const sbxi_proxy *p)
{
    if (!p->user_len) return;
    sbxi_buf_text(b, "Proxy-Authorization: ");
    sbxi_basic(b, p->url, p->user_len);
}

/* The request for a tunnel to a host. The buffer is empty and does not move. */
static void sbxi_proxy_connect(sbxi_buf *b, const sbxi_proxy *p, const char *host, uint16_t port)
{
    bool ip6 = strchr(host, ':') != NULL;
    size_t len;
    sbxi_buf_text(b, ip6 ? "CONNECT [" : "CONNECT ");
    sbxi_buf_text(b, host);
    sbxi_buf_text(b, ip6 ? "]:" : ":");
    sbxi_buf_u64(b, port);
    len = b->len - (sizeof "CONNECT " - 1);
    sbxi_buf_text(b, " HTTP/1.1\r\nHost: ");
    sbxi_buf_add(b, b->data + sizeof "CONNECT " - 1, len); /* the same again */
    sbxi_buf_text(b, "\r\nUser-Agent: sandbox.h/" SBX_VERSION "\r\n");
    sbxi_proxy_auth(b, p);
    sbxi_buf_text(b, "\r\n");
}

/* What it means that the proxy answered with this status instead of a tunnel. */
static int sbxi_proxy_refused(int http, sbx_error *e)
{
    e->http_status = http;
    if (http == 407)
        return sbxi_error_set(e, SBX_E_AUTH, SBXI_TEXT("the proxy wants other credentials: "
            "give http://user:password@host:port as config.proxy or in the environment"));
    if (http >= 500)
        return sbxi_error_set(e, SBX_E_CONNECT,
            SBXI_TEXT("the proxy cannot connect to the host: is its name right, is it up?"));
    return sbxi_error_set(e, SBX_E_DENIED,
        SBXI_TEXT("the proxy refuses to connect to the host: it must allow it, or no_proxy"));
}

#endif
/* exchange - one HTTP request and its response over a pooled connection: open,
   proxy, TLS, send, receive, give back. The only code that meets "would block": it
   turns that into `want` and is run again. Called by op/; hands response bytes
   to the sbx_http_events it was given and knows nothing of their meaning.

   Invariants: what is being sent (stable, stable_len) stays put until all of it
   is gone, as TLS demands; a connection goes back to the pool only after a
   response that ended where it should, with nothing left over on either side. */

/* A connection. Its buffer stays with it while it is kept: a buffer that came
   and went would tear a small heap to pieces. */
typedef struct sbxi_conn {
    struct sbxi_conn *next;
    void *raw;              /* the transport's */
    sbxi_tls_conn *tls;     /* NULL: clear text, or TLS inside the transport */
    const sbxi_proxy *proxy; /* on the way, or NULL; one of the link's */
    char *io;               /* SBX_IO_BYTES */
    size_t size;            /* of this struct with the host name */
    uint16_t port;
    bool secure;
    char host[1];           /* NUL-terminated, allocated to its length */
} sbxi_conn;

/* What all exchanges of a client share. */
typedef struct sbxi_link {
    sbx_alloc alloc;
    sbx_net net;
    const sbx_tls *tls;
    const char *env_ca;
#ifndef SBX_NO_POSIX
    sbxi_posix posix;       /* context of the built-in transport */
#endif
#ifndef SBX_NO_PROXY
    sbxi_proxies proxies;
#endif
    sbxi_tls_trust *trust;  /* made at the first https connection */
    sbx_clocks clocks;
    uint32_t tick, ms;      /* the clock's last word, the time it stood for */
    sbxi_conn *idle;        /* most recently used first */
    unsigned idle_count;
} sbxi_link;

/* A body part that comes from a source, after the text before it. */
typedef struct sbxi_part {
    size_t text_end;        /* bytes of text that go before it */
    sbx_source source;
} sbxi_part;

typedef struct sbxi_outgoing {
    sbxi_buf text;          /* head, and all of the body that is not a part */
    sbxi_part *parts;
    size_t part_count;
    bool chunked;           /* one part of unknown size */
} sbxi_outgoing;

/* TUNNEL: the proxy is asked for a connection. Up to TLS the connect clock runs. */
enum { SBXI_X_IDLE, SBXI_X_OPEN, SBXI_X_TUNNEL, SBXI_X_TLS, SBXI_X_SEND, SBXI_X_RECV,
    SBXI_X_DONE };

#define SBXI_STAGES (SBX_UPLOAD_BYTES > SBX_IO_BYTES)

/* Small members first: they cost the shortest instructions on small CPUs. */
typedef struct sbxi_exchange {
    uint8_t state;
    bool reused;            /* the connection served before */
    bool sent;              /* a byte may have left */
    bool answered;          /* a byte came back */
    bool broken;            /* the connection cannot be kept */
    bool in_part;           /* part_left is set */
    bool dry;               /* the source has nothing now; the caller clears it */
    bool paused;            /* the reader waits to be fed again, if with nothing */
    bool stop;              /* a callback of the user ended it: its word is final */
    int want;               /* SBX_WANT_*, 0: waits for the caller (paused) */
    sbxi_link *link;
    sbxi_conn *conn;
    const sbxi_outgoing *out;
    const char *stable;     /* being sent */
    size_t stable_len;
    size_t text_pos, part;
    size_t rx_pos, rx_len;  /* received, not yet taken */
#if SBXI_STAGES
    char *stage;            /* SBX_UPLOAD_BYTES, or NULL: the connection's buffer serves */
#endif
    int64_t part_left;      /* of the source of a known size that is being sent */
    uint32_t now, since;    /* start of this run, of the clock that runs */
    int32_t quiet_ms;       /* instead of the clocks of a reply, 0: those */
#ifndef SBX_NO_PROXY
    const sbx_http_events *events; /* of http, which reads the proxy's answer first */
#endif
    void (*tap)(struct sbxi_exchange *x, const char *data, size_t len); /* or NULL */
    sbx_http_reader http;
} sbxi_exchange;

/* ---- connections ---------------------------------------------------------- */

static void sbxi_conn_close(const sbxi_link *link, sbxi_conn *c)
{
    if (c->tls) sbxi_tls_end(c->tls);
    if (c->raw) link->net.close(link->net.ctx, c->raw);
    sbxi_alloc_wipe(&link->alloc, c->io, SBX_IO_BYTES);
    sbxi_alloc_free(&link->alloc, c, c->size);
}

/* At most cap bytes into the buffer of the connection. */
static int sbxi_conn_recv(const sbxi_link *link, sbxi_conn *c, size_t cap, size_t *got, int *want)
{
    *want = SBX_WANT_READ;
    *got = 0;
    if (c->tls) return sbxi_tls_recv(c->tls, c->io, cap, got, want);
    return link->net.recv(link->net.ctx, c->raw, c->io, cap, got);
}

/* Whether a wait is better than another recv: what the socket held is taken, and poll()
   tells of more, of its end too. Other transports may hold bytes. */
static bool sbxi_conn_is_dry(const sbxi_link *link, const sbxi_conn *c, size_t got, size_t cap)
{
#ifndef SBX_NO_POSIX
    return got < cap && !c->tls && link->net.recv == sbxi_posix_recv;
#else
    (void)link;
    (void)c;
    (void)got;
    (void)cap;
    return false;
#endif
}

/* Bytes that no wait would tell of: TLS has taken them from the socket already. */
static bool sbxi_conn_holds(const sbxi_conn *c)
{
    return c->tls && sbxi_tls_pending(c->tls) > 0;
}

/* A kept connection that has something to say before it was asked is dead. */
static bool sbxi_conn_alive(const sbxi_link *link, sbxi_conn *c)
{
    size_t got;
    int want;
    return sbxi_conn_recv(link, c, 1, &got, &want) == SBX_E_AGAIN;
}

/* The proxy to this URL, or NULL. */
static const sbxi_proxy *sbxi_link_proxy(const sbxi_link *link, const sbxi_url *url)
{
#ifdef SBX_NO_PROXY
    (void)link;
    return sbxi_proxy_for(NULL, url);
#else
    return sbxi_proxy_for(&link->proxies, url);
#endif
}

/* A link has one set of credentials, of trust and of proxies, so what is left to
   tell kept connections apart is where they lead and by which proxy. */
static sbxi_conn *sbxi_link_take(sbxi_link *link, const sbxi_url *url, const sbxi_proxy *proxy)
{
    sbxi_conn **at = &link->idle;
    while (*at) {
        sbxi_conn *c = *at;
        if (c->port != url->port || c->secure != url->tls || c->proxy != proxy
            || !sbxi_span_is(url->host, c->host)) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        link->idle_count--;
        if (sbxi_conn_alive(link, c)) return c;
        sbxi_conn_close(link, c);
    }
    return NULL;
}

/* Keeps a connection for later, dropping the longest unused beyond the limit. */
static void sbxi_link_give(sbxi_link *link, sbxi_conn *c)
{
    sbxi_wipe(c->io, SBX_IO_BYTES);
    c->next = link->idle;
    link->idle = c;
    if (++link->idle_count > SBX_MAX_CONNS) {
        sbxi_conn **at = &link->idle;
        while ((*at)->next) at = &(*at)->next;
        sbxi_conn_close(link, *at);
        *at = NULL;
        link->idle_count--;
    }
}

static sbxi_conn *sbxi_conn_new(const sbxi_link *link, const sbxi_url *url,
                                const sbxi_proxy *proxy)
{
    size_t size;
    sbxi_conn *c;
    if (!sbxi_size_add(&size, sizeof *c, url->host.len)) return NULL;
    c = (sbxi_conn *)sbxi_alloc_get(&link->alloc, size);
    if (!c) return NULL;
    c->size = size;
    c->port = url->port;
    c->secure = url->tls;
    c->proxy = proxy;
    memcpy(c->host, url->host.ptr, url->host.len);
    c->io = (char *)sbxi_alloc_get(&link->alloc, SBX_IO_BYTES);
    if (c->io) return c;
    sbxi_conn_close(link, c);
    return NULL;
}

static void sbxi_link_drop_idle(sbxi_link *link)
{
    while (link->idle) {
        sbxi_conn *c = link->idle;
        link->idle = c->next;
        sbxi_conn_close(link, c);
    }
    link->idle_count = 0;
}

static void sbxi_link_close(sbxi_link *link)
{
    sbxi_link_drop_idle(link);
    if (link->trust) sbxi_tls_trust_close(link->trust);
    link->trust = NULL;
}

/* ---- time -----------------------------------------------------------------
   In ms and wrapping, so only differences count. A clock that jumps back stands
   still for that moment: no deadline moves away with it. */

static uint32_t sbxi_now(const sbxi_link *link)
{
    uint32_t gone = (uint32_t)link->net.now_ms(link->net.ctx) - link->tick;
    return link->ms + (gone > INT32_MAX ? 0 : gone);
}

static void sbxi_tick(sbxi_link *link)
{
    uint32_t tick = (uint32_t)link->net.now_ms(link->net.ctx), gone = tick - link->tick;
    link->ms += gone > INT32_MAX ? 0 : gone;
    link->tick = tick;
}

/* What is left of `ms` (SBX_NEVER: no limit) that began at `since`; UINT32_MAX is
   for ever. A start that lies ahead has just begun. */
static uint32_t sbxi_left(uint32_t since, int32_t ms, uint32_t now)
{
    uint32_t gone = now - since;
    if (ms < 0) return UINT32_MAX;
    if (gone > INT32_MAX) gone = 0;
    return gone < (uint32_t)ms ? (uint32_t)ms - gone : 0;
}

/* ---- life of an exchange -------------------------------------------------- */

/* Clears it: a request in `out`, an http reader to be initialised. */
static void sbxi_exchange_init(sbxi_exchange *x, sbxi_link *link, const sbxi_outgoing *out)
{
    memset(x, 0, sizeof *x);
    x->link = link;
    x->out = out;
}

/* Begins: takes a kept connection unless `fresh`, or makes a new one. */
static int sbxi_exchange_start(sbxi_exchange *x, const sbxi_url *url, bool fresh)
{
    sbxi_link *link = x->link;
    const sbxi_proxy *proxy = sbxi_link_proxy(link, url);
    x->since = sbxi_now(link);
    if (!fresh) x->conn = sbxi_link_take(link, url, proxy);
    x->reused = x->conn != NULL;
    x->state = x->reused ? SBXI_X_SEND : SBXI_X_OPEN;
    if (!x->conn) x->conn = sbxi_conn_new(link, url, proxy);
    if (!x->conn && link->idle) { /* kept connections are a luxury */
        sbxi_link_drop_idle(link);
        x->conn = sbxi_conn_new(link, url, proxy);
    }
    return x->conn ? SBX_OK : SBX_E_NOMEM;
}

/* Ends it in any state; the connection is kept if it can be. */
static void sbxi_exchange_end(sbxi_exchange *x)
{
    sbxi_conn *c = x->conn;
#if SBXI_STAGES
    sbxi_alloc_wipe(&x->link->alloc, x->stage, SBX_UPLOAD_BYTES);
    x->stage = NULL;
#endif
    if (c) {
        bool keep = x->state == SBXI_X_DONE && !x->broken && x->rx_pos == x->rx_len
            && x->http.head_.keep_alive;
        if (keep)
            sbxi_link_give(x->link, c);
        else
            sbxi_conn_close(x->link, c);
    }
    x->conn = NULL;
    x->state = SBXI_X_IDLE;
}

/* The first https connection makes the trust. Sessions that are saved belong to the
   way they were made on, too: this proxy, these exceptions. */
static int sbxi_link_trust(sbxi_link *link, sbx_error *e)
{
    int rc;
    if (link->trust) return SBX_OK;
    rc = sbxi_tls_trust_open(&link->trust, &link->alloc, &link->net, link->tls, link->env_ca, e);
#ifndef SBX_NO_PROXY
    if (rc == SBX_OK && link->proxies.of[1].url) {
        const sbxi_proxy *p = &link->proxies.of[1];
        const char *none = link->proxies.none ? link->proxies.none : "";
        sbxi_tls_bind_to(link->trust, p->url, (size_t)(p->host - p->url) + strlen(p->host));
        sbxi_tls_bind_to(link->trust, &p->port, sizeof p->port);
        sbxi_tls_bind_to(link->trust, none, strlen(none));
    }
#endif
    return rc;
}

static SBXI_APART int sbxi_exchange_secure(sbxi_exchange *x, sbx_error *e)
{
    sbxi_conn *c = x->conn;
    int rc = c->tls ? SBX_OK : sbxi_link_trust(x->link, e);
    if (rc == SBX_OK && !c->tls)
        rc = sbxi_tls_start(&c->tls, x->link->trust, c->raw, c->host, c->port, e);
    if (rc == SBX_OK) rc = sbxi_tls_handshake(c->tls, &x->want, e);
    if (rc == SBX_OK) x->state = SBXI_X_SEND;
    return rc;
}

#ifndef SBX_NO_PROXY

/* Asks for a tunnel: the request lies in the connection's buffer, and the reader
   takes the answer for one to HEAD, as no body may follow it. */
static SBXI_APART int sbxi_exchange_ask(sbxi_exchange *x, sbx_error *e)
{
    static const sbx_http_events none = { NULL, NULL, NULL };
    sbxi_conn *c = x->conn;
    sbxi_buf b;
    sbxi_buf_init(&b, &x->link->alloc, SBX_IO_BYTES);
    b.data = c->io;
    b.cap = SBX_IO_BYTES; /* so it never grows */
    sbxi_proxy_connect(&b, c->proxy, c->host, c->port);
    x->stable = b.data;
    x->stable_len = b.len;
    if (x->tap) x->tap(x, b.data, b.len);
    x->events = x->http.events_;
    x->http.events_ = &none;
    x->http.flags_ = SBXI_HTTP_TO_HEAD;
    x->state = SBXI_X_TUNNEL;
    if (b.status == SBX_OK) return SBX_OK;
    return sbxi_error_set(e, b.status, SBXI_TEXT("host and credentials of the proxy do not fit "
                          "SBX_IO_BYTES"));
}

/* Sends the request, then reads the answer. The clock of the connection runs on:
   a proxy that answers byte by byte gains nothing. */
static int sbxi_exchange_tunnel(sbxi_exchange *x, sbx_error *e)
{
    sbxi_conn *c = x->conn;
    sbx_http_reader *r = &x->http;
    const sbx_net *n = &x->link->net;
    size_t got = 0, used;
    int rc;
    x->want = x->stable_len ? SBX_WANT_WRITE : SBX_WANT_READ;
    if (x->stable_len) {
        rc = n->send(n->ctx, c->raw, x->stable, x->stable_len, &got);
        x->stable += got;
        x->stable_len -= got;
        return rc;
    }
    rc = sbxi_conn_recv(x->link, c, SBX_IO_BYTES, &got, &x->want);
    if (rc != SBX_OK) return rc;
    if (!got)
        return sbxi_error_set(e, SBX_E_NETWORK,
            SBXI_TEXT("the proxy closed the connection instead of answering CONNECT"));
    rc = sbx_http_feed(r, c->io, got, &used);
    if (rc == SBX_PENDING) return SBX_OK;
    if (rc == SBX_OK && r->head_.status / 100 != 2) return sbxi_proxy_refused(r->head_.status, e);
    if (rc == SBX_OK && used < got) rc = SBX_E_PROTOCOL;
    if (rc != SBX_OK)
        return sbxi_error_set(e, rc, SBXI_TEXT("what the proxy answers to CONNECT is not HTTP, "
                              "or more than a head: is it an HTTP proxy?"));
    sbx_http_init(r, r->line_, r->line_cap_, false, x->events, r->ctx_);
    x->state = SBXI_X_TLS;
    return SBX_OK;
}

#endif

static int sbxi_exchange_open(sbxi_exchange *x, sbx_error *e)
{
    sbxi_link *link = x->link;
    sbxi_conn *c = x->conn;
    bool inside = (link->net.flags & SBX_NET_TLS_INSIDE) != 0;
    const char *host = c->host;
    uint16_t port = c->port;
    int rc;
    (void)e;
#ifndef SBX_NO_PROXY
    if (c->proxy) {
        host = c->proxy->host;
        port = c->proxy->port;
    }
#endif
    rc = link->net.open(link->net.ctx, &c->raw, host, port, c->secure && inside);
    if (rc == SBX_E_AGAIN) x->want = SBX_WANT_WRITE;
#ifndef SBX_NO_PROXY
    if (c->proxy && rc != SBX_OK && rc != SBX_E_AGAIN)
        sbxi_error_set(e, rc, SBXI_TEXT("the proxy (config.proxy, or the environment's) cannot be "
                       "reached: check its host and port"));
#endif
    if (rc != SBX_OK) return rc;
    x->state = SBXI_X_SEND;
    if (!c->secure || inside) return SBX_OK;
#ifndef SBX_NO_PROXY
    if (c->proxy) return sbxi_exchange_ask(x, e);
#endif
    x->state = SBXI_X_TLS;
    return SBX_OK;
}

/* ---- sending -------------------------------------------------------------- */

/* The reply may come while the request is still going out; the lower quarter of
   the buffer is kept for that, the rest stages what sources give. */
#define SBXI_EARLY_BYTES (SBX_IO_BYTES / 4)
#define SBXI_CHUNK_HEAD 10  /* eight hex digits, CR LF */

/* Puts a chunk's frame around the len bytes that stand at data. */
static void sbxi_exchange_chunk(sbxi_exchange *x, char *data, size_t len)
{
    size_t i;
    for (i = 0; i < 8; i++)
        data[(ptrdiff_t)i - SBXI_CHUNK_HEAD] =
            sbxi_hex[((uint32_t)len >> (28 - 4 * i)) & 15];
    memcpy(data - 2, "\r\n", 2);
    memcpy(data + len, "\r\n", 2);
    x->stable = data - SBXI_CHUNK_HEAD;
    x->stable_len = len + SBXI_CHUNK_HEAD + 2;
}

/* Its failure is the user's word: neither retried nor looked into. */
static int sbxi_source_get(sbxi_exchange *x, const sbx_source *s, void *buf, size_t cap,
                           size_t *got)
{
    int rc = s->get(s->ctx, buf, cap, got);
    if (x->stop) return SBX_E_CANCELLED;
    x->stop = rc != SBX_OK && rc != SBX_E_AGAIN;
    return rc > 0 ? SBX_E_SOURCE : rc;
}

/* A source that announced its size must end exactly there. */
static int sbxi_source_ended(sbxi_exchange *x, const sbx_source *source)
{
    char byte;
    size_t got = 0;
    int rc = sbxi_source_get(x, source, &byte, 1, &got);
    if (rc != SBX_OK && rc != SBX_E_AGAIN) return rc;
    return rc == SBX_OK && got ? SBX_E_SOURCE : SBX_OK;
}

/* Up to cap bytes of the present part, none beyond its size. */
static int sbxi_exchange_fill(sbxi_exchange *x, char *stage, size_t cap, size_t *got)
{
    const sbx_source *s = &x->out->parts[x->part].source;
    bool known = s->size >= 0;
    int rc = SBX_OK;
    if (!x->in_part) x->part_left = s->size;
    x->in_part = true;
    if (known && (int64_t)cap > x->part_left) cap = (size_t)x->part_left;
    if (cap) rc = sbxi_source_get(x, s, stage, cap, got);
    if (rc != SBX_OK) return rc;
    if (*got > cap || (known && *got == 0 && cap)) return SBX_E_SOURCE;
    x->part_left -= (int64_t)*got;
    return known && x->part_left == 0 ? sbxi_source_ended(x, s) : SBX_OK;
}

/* Where the bytes of the present part are staged. A large one gets a buffer of its own
   until the exchange ends, if there is memory: fewer calls, larger packets and records. */
static char *sbxi_exchange_stage(sbxi_exchange *x, size_t *cap)
{
#if SBXI_STAGES
    const sbx_alloc *a = &x->link->alloc;
    if (!x->stage && !x->in_part && x->out->parts[x->part].source.size >= SBX_UPLOAD_BYTES)
        x->stage = (char *)a->resize(a->ctx, NULL, 0, SBX_UPLOAD_BYTES);
    *cap = SBX_UPLOAD_BYTES;
    if (x->stage) return x->stage;
#endif
    *cap = SBX_IO_BYTES - SBXI_EARLY_BYTES;
    return x->conn->io + SBXI_EARLY_BYTES;
}

/* Takes the next bytes of the present part into the staging area. */
static int sbxi_exchange_pull(sbxi_exchange *x)
{
    size_t got = 0, cap;
    char *stage = sbxi_exchange_stage(x, &cap) + SBXI_CHUNK_HEAD;
    int rc = sbxi_exchange_fill(x, stage, cap - SBXI_CHUNK_HEAD - 2, &got);
    if (rc != SBX_OK) return rc;
    if (got == 0 || x->part_left == 0) {
        x->part++;
        x->in_part = false;
    }
    x->stable = stage;
    x->stable_len = got;
    if (x->tap) x->tap(x, stage, got);
    if (x->out->chunked) sbxi_exchange_chunk(x, stage, got); /* an empty one is the last */
    return SBX_OK;
}

/* Finds what goes out next; stable_len stays 0 when all is sent. */
static int sbxi_exchange_next(sbxi_exchange *x)
{
    const sbxi_outgoing *o = x->out;
    while (!x->stable_len) {
        size_t end = x->part < o->part_count ? o->parts[x->part].text_end : o->text.len;
        int rc;
        if (x->text_pos < end) {
            x->stable = o->text.data + x->text_pos;
            x->stable_len = end - x->text_pos;
            x->text_pos = end;
            if (x->tap) x->tap(x, x->stable, x->stable_len);
        } else if (x->part < o->part_count) {
            rc = sbxi_exchange_pull(x);
            if (rc != SBX_OK) return rc;
        } else {
            break;
        }
    }
    return SBX_OK;
}

/* Feeds what was received. SBX_OK: response complete; SBX_PENDING: go on. */
static int sbxi_exchange_feed(sbxi_exchange *x)
{
    size_t used = 0;
    int rc = sbx_http_feed(&x->http, x->conn->io + x->rx_pos, x->rx_len - x->rx_pos, &used);
    x->rx_pos += used;
    x->paused = rc == SBX_E_AGAIN;
    if (x->paused) x->want = 0;
    return rc;
}

/* Receives into the connection's buffer, whose bytes are all taken. */
static int sbxi_exchange_read(sbxi_exchange *x, size_t cap)
{
    size_t got;
    int rc = sbxi_conn_recv(x->link, x->conn, cap, &got, &x->want);
    if (rc != SBX_OK) return rc;
    if (got) x->answered = true;
    x->since = x->now;
    x->rx_pos = 0;
    x->rx_len = got;
    return SBX_OK;
}

/* Sending stalls, or the source sleeps: has the peer answered already, or gone? A final answer ends
   the sending, and the connection is of no use afterwards. */
static int sbxi_exchange_early(sbxi_exchange *x)
{
    int want = x->want | SBX_WANT_READ, rc = sbxi_exchange_read(x, SBXI_EARLY_BYTES);
    x->want = want;
    if (rc == SBX_E_AGAIN) return rc;
    if (rc == SBX_E_TLS) return rc;
    if (rc != SBX_OK || !x->rx_len) return SBX_E_NETWORK;
    rc = sbxi_exchange_feed(x);
    if (rc == SBX_PENDING && x->http.state_ <= SBXI_HTTP_HEADER) /* interim: go on sending */
        return sbxi_conn_holds(x->conn) ? SBX_OK : SBX_E_AGAIN;
    x->dry = false;
    x->broken = true;
    x->state = rc == SBX_OK ? SBXI_X_DONE : SBXI_X_RECV;
    return rc == SBX_PENDING ? SBX_OK : rc;
}

static int sbxi_conn_send(sbxi_exchange *x, size_t *sent)
{
    const sbx_net *n = &x->link->net;
    sbxi_conn *c = x->conn;
    x->want = SBX_WANT_WRITE;
    *sent = 0;
    if (c->tls) return sbxi_tls_send(c->tls, x->stable, x->stable_len, sent, &x->want);
    return n->send(n->ctx, c->raw, x->stable, x->stable_len, sent);
}

static int sbxi_exchange_send(sbxi_exchange *x)
{
    for (;;) {
        size_t n;
        int rc = x->dry ? SBX_E_AGAIN : sbxi_exchange_next(x);
        x->dry = rc == SBX_E_AGAIN;
        if (x->dry) {
            x->want = 0;
            return sbxi_exchange_early(x);
        }
        if (rc != SBX_OK) return rc;
        if (!x->stable_len) break;
        rc = sbxi_conn_send(x, &n);
        if (rc == SBX_E_AGAIN) return sbxi_exchange_early(x);
        x->sent = true;
        if (rc != SBX_OK) { /* refused while sending: the reason may be waiting */
            x->broken = true;
            break;
        }
        x->since = x->now;
        x->stable += n;
        x->stable_len -= n;
    }
    x->since = x->now;
    x->state = SBXI_X_RECV;
    x->want = SBX_WANT_READ;
    return x->broken ? SBX_OK : SBX_E_AGAIN; /* no reply can be there yet */
}

/* ---- receiving ------------------------------------------------------------ */

#define SBXI_READS_A_RUN SBX_LIMIT_(32, 2) /* then others get their turn, watchdogs too */

static int sbxi_exchange_recv(sbxi_exchange *x)
{
    unsigned i;
    bool dry = false;
    for (i = 0;; i++) {
        int rc = SBX_PENDING;
        if (x->rx_pos < x->rx_len || x->paused) rc = sbxi_exchange_feed(x);
        if (rc != SBX_PENDING) return rc;
        /* only here: with nothing held that no socket would tell of */
        if (dry || (i >= SBXI_READS_A_RUN && !sbxi_conn_holds(x->conn))) break;
        rc = sbxi_exchange_read(x, SBX_IO_BYTES);
        if (rc != SBX_OK) return rc;
        if (!x->rx_len) return sbx_http_end(&x->http);
        dry = sbxi_conn_is_dry(x->link, x->conn, x->rx_len, SBX_IO_BYTES);
    }
    x->want = SBX_WANT_READ;
    return SBX_E_AGAIN;
}

/* How long the clock that runs still has, and which one it is. */
static uint32_t sbxi_exchange_left(const sbxi_exchange *x, uint32_t now, sbx_clock *clock)
{
    const sbx_clocks *c = &x->link->clocks;
    int32_t ms = c->idle_ms;
    *clock = SBX_CLOCK_IDLE;
    if (x->state <= SBXI_X_TLS) {
        *clock = SBX_CLOCK_CONNECT;
        ms = c->connect_ms;
    } else if (x->state == SBXI_X_RECV) {
        if (!x->answered) {
            *clock = SBX_CLOCK_FIRST_BYTE;
            ms = c->first_byte_ms;
        }
        if (x->quiet_ms) ms = x->quiet_ms;
    }
    return sbxi_left(x->since, x->want && !x->dry ? ms : SBX_NEVER, now);
}

/* The state machine: runs until done (SBX_OK), blocked (SBX_E_AGAIN, see want), or failed. */
static int sbxi_exchange_run(sbxi_exchange *x, uint32_t now, sbx_error *e)
{
    int rc = SBX_OK;
    x->now = now;
    while (rc == SBX_OK && x->state != SBXI_X_DONE) {
        uint8_t state = x->state;
        switch (state) {
        case SBXI_X_OPEN:
            rc = sbxi_exchange_open(x, e);
            break;
#ifndef SBX_NO_PROXY
        case SBXI_X_TUNNEL:
            rc = sbxi_exchange_tunnel(x, e);
            break;
#endif
        case SBXI_X_TLS:
            rc = sbxi_exchange_secure(x, e);
            break;
        case SBXI_X_SEND:
            rc = sbxi_exchange_send(x);
            break;
        default:
            rc = sbxi_exchange_recv(x);
            if (rc == SBX_OK) x->state = SBXI_X_DONE;
        }
        if (state < SBXI_X_SEND && x->state == SBXI_X_SEND) x->since = now;
    }
    if (rc == SBX_E_AGAIN && !sbxi_exchange_left(x, now, &e->clock)) return SBX_E_TIMEOUT;
    if (rc == SBX_E_AGAIN) e->clock = SBX_CLOCK_NONE;
    if ((rc == SBX_E_TLS || rc == SBX_E_NETWORK) && x->state >= SBXI_X_SEND && x->conn->tls)
        rc = sbxi_tls_why(x->conn->tls, rc, e);
    return rc;
}

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
/* keep - deep copies of what a struct points to, by one table: arguments of calls
   that go on after they returned, configuration, credentials, infos handed to the
   user. All copies of a struct are one block for sbx_free(). Called by client.c,
   reply.c, op.c and api/. */

/* Whose row it is. Arguments have the number of the first feature with them. */
enum { SBXI_KEEP_CALL = SBX_FEATURE_END_, SBXI_KEEP_CLIENT, SBXI_KEEP_ACCESS, SBXI_KEEP_FILE };

typedef struct sbxi_keep_row {
    uint8_t what;
    uint8_t item;           /* 0: a text; else bytes of an item of a list, or */
    uint16_t offset;
} sbxi_keep_row;

#define SBXI_KEEP_PORTS 255 /* sbx_ports */

static const sbxi_keep_row sbxi_keep_rows[] = {
#define SBXI_ROW(what, item, struct_, member) { what, item, (uint16_t)offsetof(struct_, member) }
#define SBXI_KEEP(feature, item, member) \
    SBXI_ROW(SBX_FEATURE_##feature, item, sbx_op, args.of.member)
    SBXI_KEEP(SANDBOX_CREATE, 0, create.o.template_id),
    SBXI_KEEP(SANDBOX_CREATE, sizeof(sbx_pair), create.o.metadata),
    SBXI_KEEP(SANDBOX_CREATE, sizeof(sbx_pair), create.o.envs),
    SBXI_KEEP(SANDBOX_CREATE, 0, create.o.idempotency_key),
#ifndef SBX_NO_EXTRAS
    SBXI_KEEP(SANDBOX_CREATE, sizeof(sbx_pair), create.o.volumes),
    SBXI_KEEP(SANDBOX_CREATE, 0, create.o.mcp_json),
    SBXI_KEEP(SANDBOX_CREATE, 0, create.o.identity_json),
#define SBXI_NETWORK(feature, base) \
    SBXI_KEEP(feature, sizeof(char *), base.allow_out), \
    SBXI_KEEP(feature, sizeof(char *), base.deny_out), \
    SBXI_KEEP(feature, sizeof(char *), base.dns_servers), \
    SBXI_KEEP(feature, 0, base.proxy_address), \
    SBXI_KEEP(feature, 0, base.proxy_username), \
    SBXI_KEEP(feature, 0, base.proxy_password), \
    SBXI_KEEP(feature, 0, base.proxy_server_name), \
    SBXI_KEEP(feature, 0, base.proxy_ca_pem), \
    SBXI_KEEP(feature, 0, base.mask_host), \
    SBXI_KEEP(feature, 0, base.rules_json)
    SBXI_NETWORK(SANDBOX_CREATE, create.o.network),
    SBXI_KEEP(SANDBOX_CREATE, SBXI_KEEP_PORTS, create.o.network.https_ports),
    SBXI_NETWORK(SANDBOX_SET_NETWORK, network.n),
#undef SBXI_NETWORK
    SBXI_KEEP(SANDBOX_LOGS, 0, history.q.level),
    SBXI_KEEP(SANDBOX_LOGS, 0, history.q.search),
    SBXI_KEEP(SNAPSHOT_CREATE, 0, snapshot.name),
    SBXI_ROW(SBX_FEATURE_SNAPSHOT_DELETE, 0, sbx_op, args.target),
#endif
#ifndef SBX_NO_TEMPLATE
    SBXI_ROW(SBX_FEATURE_SANDBOX_LIST, 0, sbx_op, args.target),
    SBXI_ROW(SBX_FEATURE_TEMPLATE_BUILD, 0, sbx_op, args.target),
    SBXI_ROW(SBX_FEATURE_TEMPLATE_BUILD, 0, sbx_op, args.key),
    SBXI_KEEP(TEMPLATE_BUILD, 0, build.o.name),
    SBXI_KEEP(TEMPLATE_BUILD, sizeof(char *), build.o.tags),
    SBXI_KEEP(TEMPLATE_BUILD, 0, build.tag_name),
#endif
    SBXI_KEEP(SANDBOX_LIST, 0, list.name),
    SBXI_KEEP(SANDBOX_LIST, sizeof(sbx_pair), list.q.metadata),
    SBXI_KEEP(SANDBOX_LIST, 0, list.q.template_id),
#ifndef SBX_NO_RUN_CODE
    SBXI_KEEP(RUN_CODE, 0, code.code),
    SBXI_KEEP(RUN_CODE, 0, code.o.language),
    SBXI_KEEP(RUN_CODE, 0, code.o.context_id),
    SBXI_KEEP(RUN_CODE, sizeof(sbx_pair), code.o.envs),
#endif
    SBXI_KEEP(COMMAND_RUN, 0, command.cmd),
    SBXI_KEEP(COMMAND_RUN, sizeof(sbx_pair), command.o.envs),
    SBXI_KEEP(COMMAND_RUN, 0, command.o.cwd),
    SBXI_KEEP(COMMAND_RUN, 0, command.o.user),
    SBXI_KEEP(COMMAND_RUN, 0, command.o.tag),
    SBXI_KEEP(COMMAND_KILL, 1, process.data),
    SBXI_KEEP(FILES_READ, 0, files.path),
    SBXI_KEEP(FILES_READ, 0, files.to),
    SBXI_KEEP(FILES_READ, 0, files.o.user),
    SBXI_KEEP(FILES_READ, sizeof(sbx_pair), files.o.metadata),
    SBXI_KEEP(FILES_READ, 0, files.watcher),
    SBXI_KEEP(FILES_READ, 1, files.reading),
    SBXI_KEEP(FILES_READ, sizeof(sbx_file_write), files.files),
#undef SBXI_KEEP
    SBXI_ROW(SBXI_KEEP_CALL, 0, sbx_op, call.api_key),
    SBXI_ROW(SBXI_KEEP_CALL, 0, sbx_op, call.domain),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.api_key),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.domain),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.api_url),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.sandbox_url),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.user_agent),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.ca_pem),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.ca_file),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.cert_pem),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.key_pem),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.cert_file),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.key_file),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.key_password),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.crl_pem),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.crl_file),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, config.tls.pins),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, link.env_ca),
#ifndef SBX_NO_PROXY
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, link.proxies.of[0].url),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, link.proxies.of[1].url),
    SBXI_ROW(SBXI_KEEP_CLIENT, 0, sbx_client, link.proxies.none),
#endif
    SBXI_ROW(SBXI_KEEP_ACCESS, 0, sbx_sandbox_access, access_token),
    SBXI_ROW(SBXI_KEEP_ACCESS, 0, sbx_sandbox_access, traffic_token),
    SBXI_ROW(SBXI_KEEP_ACCESS, 0, sbx_sandbox_access, domain),
    SBXI_ROW(SBXI_KEEP_ACCESS, 0, sbx_sandbox_access, data_url),
    SBXI_ROW(SBXI_KEEP_ACCESS, 0, sbx_sandbox_access, daemon_version),
    SBXI_ROW(SBXI_KEEP_FILE, 0, sbx_file_info, name),
    SBXI_ROW(SBXI_KEEP_FILE, 0, sbx_file_info, path),
    SBXI_ROW(SBXI_KEEP_FILE, 0, sbx_file_info, permissions),
    SBXI_ROW(SBXI_KEEP_FILE, 0, sbx_file_info, owner),
    SBXI_ROW(SBXI_KEEP_FILE, 0, sbx_file_info, group),
    SBXI_ROW(SBXI_KEEP_FILE, 0, sbx_file_info, symlink_target),
    SBXI_ROW(SBXI_KEEP_FILE, sizeof(sbx_pair), sbx_file_info, metadata)
#undef SBXI_ROW
};

/* Writes behind each other into a block; without one it only counts. A sum that
   does not fit stays SIZE_MAX. */
typedef struct sbxi_cursor { char *data; size_t at; } sbxi_cursor;

static char *sbxi_cursor_put(sbxi_cursor *c, const void *data, size_t n, size_t align)
{
    size_t at = (c->at + align - 1) & ~(align - 1);
    if (at < c->at || !sbxi_size_add(&c->at, at, n)) c->at = SIZE_MAX;
    if (!c->data) return NULL;
    if (n) memcpy(c->data + at, data, n);
    return c->data + at;
}

/* Copies what one member points to and lets it point to the copy. Items of a
   list begin with a text, but for bytes; a pair is two such items. */
static void sbxi_keep_member(sbxi_cursor *c, size_t item, char *member)
{
    const char *from, *text;
    char *to;
    size_t n, i;
    bool texts = item > 1 && item != SBXI_KEEP_PORTS;
    if (item == SBXI_KEEP_PORTS) item = sizeof(uint16_t);
    memcpy(&from, member, sizeof from);
    if (!from) return;
    if (item) n = ((const sbxi_items *)(const void *)member)->count * item;
    else n = strlen(from) + 1;
    to = sbxi_cursor_put(c, from, n, item > 1 ? SBXI_ALIGN : 1);
    if (item == sizeof(sbx_pair)) item /= 2;
    for (i = 0; texts && i < n; i += item) {
        memcpy(&text, from + i, sizeof text);
        text = sbxi_cursor_put(c, text, strlen(text) + 1, 1);
        if (to) memcpy(to + i, &text, sizeof text);
    }
    if (to) memcpy(member, &to, sizeof to);
}

static char *sbxi_keep_struct(sbxi_cursor *c, unsigned what, void *base, size_t size)
{
    char *copy = sbxi_cursor_put(c, base, size, 1);
    size_t i;
    if (!copy || size == 0) copy = (char *)base;
    for (i = 0; i < SBXI_LEN(sbxi_keep_rows); i++) {
        const sbxi_keep_row *row = &sbxi_keep_rows[i];
        if (row->what == what || (row->what == SBXI_KEEP_CALL && what < SBX_FEATURE_END_))
            sbxi_keep_member(c, row->item, copy + row->offset);
    }
    return copy;
}

/* Copies what `base` points to into a new block for sbx_free(), NULL: no memory.
   With size 0 base points to the copies then; else a copy of the struct leads the
   block, and base stays as it is. A feature's base is its sbx_op. */
static void *sbxi_keep(const sbx_alloc *alloc, unsigned what, void *base, size_t size)
{
    sbxi_cursor c = { NULL, 0 };
    sbxi_owned *o;
    size_t all;
    sbxi_keep_struct(&c, what, base, size);
    if (!sbxi_size_add(&all, c.at, sizeof *o)) return NULL;
    o = (sbxi_owned *)sbxi_alloc_get(alloc, all);
    if (!o) return NULL;
    o->of.alloc = *alloc;
    o->of.size = all;
    c.data = (char *)(o + 1);
    c.at = 0;
    sbxi_keep_struct(&c, what, base, size);
    return o + 1;
}

/* ---- results that are bound into a growing block --------------------------- */

/* Starts a block that sbx_free() will understand. */
static int sbxi_block_start(sbxi_buf *b)
{
    size_t at;
    sbxi_buf_clear(b);
    return sbxi_buf_room(b, sizeof(sbxi_owned), &at);
}

/* Keeps up to the limit, which leaves room for a NUL, and counts the rest. */
static SBXI_MAYBE int sbxi_capture_put(sbxi_capture *c, const void *data, size_t len)
{
    size_t n;
    if (!c->buf.data && sbxi_block_start(&c->buf) != SBX_OK) return c->buf.status;
    n = SBXI_MIN(c->buf.max - 1 - c->buf.len, len);
    c->cut += len - n;
    return sbxi_buf_add(&c->buf, data, n);
}

/* Hands the block over: it is no longer the buffer's. */
static void sbxi_block_take(sbxi_buf *b)
{
    sbxi_owned *o = (sbxi_owned *)(void *)b->data;
    o->of.alloc = *b->alloc;
    o->of.size = b->cap;
    sbxi_buf_init(b, b->alloc, b->max);
}
/* handle - making and letting go of the handle of a sandbox. Called by reply.c,
   op.c, the providers and api/. */

/* One with room for an id of so many bytes. */
static sbx_sandbox *sbxi_sandbox_room(sbx_client *c, size_t len)
{
    size_t size;
    sbx_sandbox *s;
    if (!sbxi_size_add(&size, sizeof *s, len)) return NULL;
    s = (sbx_sandbox *)sbxi_alloc_get(&c->link.alloc, size);
    if (!s) return NULL;
    s->client = c;
    s->refs = 1;
    s->size = size;
    return s;
}

static sbx_sandbox *sbxi_sandbox_new(sbx_client *c, const char *id)
{
    size_t len = strlen(id);
    sbx_sandbox *s = sbxi_sandbox_room(c, len);
    if (s) memcpy(s->id, id, len + 1);
    return s;
}

static void sbxi_sandbox_unref(sbx_sandbox *s)
{
    if (s && --s->refs == 0) {
        sbx_alloc alloc = s->client->link.alloc;
        sbx_free(s->block);
        sbx_free(s->given);
        sbxi_alloc_wipe(&alloc, s, s->size);
    }
}

#define SBXI_ID_ROOM SBX_LIMIT_(64, 32)
#define SBXI_MADE_ROOM SBX_LIMIT_(480, 256)

/* Before a create is sent: memory for its reply and the handle, so that what it makes
   is not lost for want of it. */
static bool sbxi_sandbox_reserve(sbx_op *op)
{
    if (!op->spare) op->spare = sbxi_sandbox_room(op->client, SBXI_ID_ROOM);
    sbxi_buf_clear(&op->block);
    return op->spare && sbxi_buf_reserve(&op->block, SBXI_MADE_ROOM) == SBX_OK;
}

/* The handle of what was made, the operation's. */
static SBXI_MAYBE int sbxi_sandbox_made(sbx_op *op, const char *id)
{
    size_t len = strlen(id);
    if (len > SBXI_ID_ROOM) {
        op->sandbox = sbxi_sandbox_new(op->client, id);
        return op->sandbox ? SBX_OK : SBX_E_NOMEM;
    }
    op->sandbox = op->spare;
    op->spare = NULL;
    memcpy(op->sandbox->id, id, len + 1);
    return SBX_OK;
}

#ifndef SBX_NO_EXTRAS
/* A handle with the credentials that came with its id. NULL: no memory. */
static sbx_sandbox *sbxi_sandbox_with(sbx_client *c, const sbxi_access *access)
{
    sbx_sandbox *s = sbxi_sandbox_new(c, access->id);
    if (!s) return NULL;
    s->access = access->of;
    s->block = sbxi_keep(&c->link.alloc, SBXI_KEEP_ACCESS, &s->access, sizeof s->access);
    s->known = true;
    if (s->block) {
        memcpy(&s->access, s->block, sizeof s->access);
        return s;
    }
    sbxi_sandbox_unref(s);
    return NULL;
}
#endif
/* client - opening a client: configuration, environment, provider. Sends nothing.
   Called by the user. */

/* ---- environment ---------------------------------------------------------- */

static const sbx_provider *const *sbxi_providers(size_t *n)
{
#define SBXI_ROW(name) &sbx_##name,
    static const sbx_provider *const all[] = { SBX_PROVIDERS(SBXI_ROW) NULL };
#undef SBXI_ROW
    *n = SBXI_LEN(all) - 1;
    return all;
}

#ifndef SBX_NO_STDLIB
static const char *sbxi_getenv(const char *name)
{
    const char *v = getenv(name);
    return v && v[0] ? v : NULL; /* empty counts as not set */
}

/* Chooses by the API key that stands in the environment. */
static int sbxi_provider_by_key(sbx_client *c, sbx_error *e)
{
    size_t n, i;
    const sbx_provider *const *all = sbxi_providers(&n);
    for (i = 0; i < n && c->config.environment != SBX_NO; i++) {
        if (!sbxi_getenv(all[i]->env[0].name)) continue;
        if (c->provider) {
            sbxi_put_text(e->message, sizeof e->message, "both set, choose config.provider: ", 34);
            sbxi_add_text(e->message, sizeof e->message, c->provider->env[0].name);
            sbxi_add_text(e->message, sizeof e->message, " and ");
            sbxi_add_text(e->message, sizeof e->message, all[i]->env[0].name);
            return SBX_E_ARG;
        }
        c->provider = all[i];
    }
    return SBX_OK;
}

/* Fills what the configuration leaves open from the environment. */
static void sbxi_read_environment(sbx_client *c)
{
    const sbxi_env *row;
    if (c->config.environment == SBX_NO) return;
    for (row = c->provider->env; row->name; row++) {
        const char **slot = (const char **)(void *)((char *)&c->config + row->offset);
        if (!*slot) *slot = sbxi_getenv(row->name);
    }
    if (c->config.debug == SBX_DEFAULT && c->provider->debug_env) {
        const char *v = sbxi_getenv(c->provider->debug_env);
        if (v && sbxi_span_is_nocase(sbxi_span_of(v), "true")) c->config.debug = SBX_YES;
    }
    c->link.env_ca = sbxi_getenv("SSL_CERT_FILE");
    if (!c->link.env_ca) c->link.env_ca = sbxi_getenv("SSL_CERT_DIR");
}
#else
static int sbxi_provider_by_key(sbx_client *c, sbx_error *e)
{
    (void)c;
    (void)e;
    return SBX_OK;
}

static void sbxi_read_environment(sbx_client *c) { (void)c; }
#endif

/* ---- proxies -------------------------------------------------------------- */

#ifndef SBX_NO_PROXY

#ifndef SBX_NO_STDLIB
/* The first of these variables that is set; each name ends with NUL. */
static const char *sbxi_getenv_of(const char *names)
{
    const char *v = NULL;
    for (; *names && !v; names += strlen(names) + 1) v = sbxi_getenv(names);
    return v;
}
#endif

/* HTTP_PROXY is not read: in a CGI program it is the client's header "Proxy". */
static void sbxi_choose_proxies(sbx_client *c)
{
    sbxi_proxies *p = &c->link.proxies;
    const sbx_config *g = &c->config;
    p->of[0].url = p->of[1].url = g->proxy;
    p->none = g->no_proxy;
#ifndef SBX_NO_STDLIB
    if (g->environment == SBX_NO) return;
    if (!g->proxy) {
        p->of[0].url = sbxi_getenv_of("http_proxy\0all_proxy\0ALL_PROXY\0");
        p->of[1].url = sbxi_getenv_of("https_proxy\0HTTPS_PROXY\0all_proxy\0ALL_PROXY\0");
    }
    if (!g->no_proxy) p->none = sbxi_getenv_of("no_proxy\0NO_PROXY\0");
#endif
}

/* Takes the copies apart. */
static int sbxi_open_proxies(sbx_client *c, sbx_error *e)
{
    sbxi_proxy *p = c->link.proxies.of;
    int i;
    for (i = 0; i < 2; i++, p++) {
        if (p->url && !p->url[0]) p->url = NULL;
        if (!p->url) continue;
        if (!sbxi_proxy_set(p))
            return sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("the proxy (config.proxy, or the "
                "environment's) is not http://[user:password@]host[:port]; "
                "others, as https:// and socks, are not offered"));
        if (c->link.net.flags & SBX_NET_TLS_INSIDE)
            return sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("no proxy is possible where the "
                "transport does TLS itself: set config.proxy to \"\""));
    }
    return SBX_OK;
}

#else

static void sbxi_choose_proxies(sbx_client *c) { (void)c; }

static int sbxi_open_proxies(sbx_client *c, sbx_error *e)
{
    const char *proxy = c->config.proxy;
    return !proxy || !proxy[0] ? SBX_OK : sbxi_error_set(e, SBX_E_UNSUPPORTED,
        SBXI_TEXT("proxies are compiled out (SBX_NO_PROXY)"));
}

#endif

static int sbxi_choose_provider(sbx_client *c, sbx_error *e)
{
    size_t n;
    const sbx_provider *const *all = sbxi_providers(&n);
    int rc = c->provider ? SBX_OK : sbxi_provider_by_key(c, e);
    if (rc == SBX_OK && !c->provider && c->config.api_key && n == 1) c->provider = all[0];
    return rc == SBX_OK && !c->provider ? SBX_E_NO_PROVIDER : rc;
}

#define SBXI_MAX_URL 1024

/* ---- checks --------------------------------------------------------------- */

/* Up to three texts behind each other; NULL is none. */
static int sbxi_buf_texts(sbxi_buf *b, const char *first, const char *second, const char *third)
{
    if (first) sbxi_buf_text(b, first);
    if (second) sbxi_buf_text(b, second);
    if (third) sbxi_buf_text(b, third);
    return b->status;
}

/* A line of the head; without a value none. */
static int sbxi_header_line(sbxi_buf *b, const char *name, const char *value)
{
    if (!value) return b->status;
    if (!sbxi_is_field_value(sbxi_span_of(value))) return b->status = SBX_E_ARG;
    sbxi_buf_texts(b, name, ": ", value);
    return sbxi_buf_text(b, "\r\n");
}

#define SBXI_PLACES 4 /* {id} {port} {domain} {key} */

/* Appends a template, its {id} {port} {domain} {key} replaced by the values. Another
   word in braces is an error: a typo must not become a host name; and a value must
   not become more than a label or segment. */
static void sbxi_expand(sbxi_buf *out, const char *t, const char *const values[SBXI_PLACES])
{
    static const char *const names[SBXI_PLACES] = { "{id}", "{port}", "{domain}", "{key}" };
    while (out->status == SBX_OK) {
        const char *open = strchr(t, '{');
        size_t i = 0;
        bool host;
        sbxi_buf_add(out, t, open ? (size_t)(open - t) : strlen(t));
        if (!open) break;
        while (i < SBXI_PLACES && strncmp(open, names[i], strlen(names[i])) != 0) i++;
        host = i == 1 || i == 2;
        if (i == SBXI_PLACES || !values[i] || (host && !sbxi_is_host(sbxi_span_of(values[i])))) {
            out->status = SBX_E_ARG;
            break;
        }
        if (host) sbxi_buf_text(out, values[i]);
        else sbxi_percent(out, sbxi_span_of(values[i]), SBXI_PERCENT_SEGMENT);
        t = open + strlen(names[i]);
    }
}

/* Base, prefix and path, all templates, as a URL in b, and its parts. */
static int sbxi_make_url(sbxi_buf *b, const char *const parts[3],
                         const char *const values[SBXI_PLACES], sbxi_url *url)
{
    sbxi_span text;
    size_t i;
    sbxi_buf_clear(b);
    for (i = 0; i < 3; i++) {
        sbxi_expand(b, parts[i], values);
        while (i == 0 && b->len && b->data[b->len - 1] == '/') b->len--;
    }
    text.ptr = b->data;
    text.len = b->len;
    if (b->status == SBX_OK && !sbxi_url_split(text, url)) b->status = SBX_E_ARG;
    return b->status;
}

/* A base URL template must make a URL, with whatever sandbox. */
static int sbxi_check_url(sbx_client *c, const char *base, const char *id)
{
    const char *parts[3], *values[SBXI_PLACES];
    sbxi_buf text;
    sbxi_url url;
    int rc;
    if (!base) return SBX_OK;
    parts[0] = base;
    parts[1] = parts[2] = "";
    values[0] = id;
    values[1] = c->provider->ports[0];
    values[2] = c->config.domain;
    values[3] = NULL;
    sbxi_buf_init(&text, &c->link.alloc, SBXI_MAX_URL);
    rc = sbxi_make_url(&text, parts, values, &url);
    sbxi_buf_free(&text);
    return rc;
}

static int sbxi_check_texts(sbx_client *c, sbx_error *e)
{
    const sbx_config *g = &c->config;
    const char *texts[3];
    size_t i;
    int rc;
    texts[0] = g->api_key;
    texts[1] = g->domain;
    texts[2] = g->user_agent;
    for (i = 0; i < SBXI_LEN(texts); i++)
        if (!sbxi_is_field_value(sbxi_span_of(texts[i])))
            return sbxi_error_set(e, SBX_E_ARG,
                SBXI_TEXT("api_key, domain and user_agent may not hold control characters"));
    if (g->domain && !sbxi_is_host(sbxi_span_of(g->domain)))
        return sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("domain is not a host name"));
    rc = sbxi_check_url(c, g->api_url, NULL);
    if (rc == SBX_OK) rc = sbxi_check_url(c, g->sandbox_url, "id");
    return rc == SBX_OK ? rc : sbxi_error_set(e, rc,
        SBXI_TEXT("api_url or sandbox_url is not http(s)://host[:port][/path]; {id}, {port} "
                  "(sandbox_url only) and {domain} may stand in it"));
}

/* Keeps config.headers as lines. */
static int sbxi_check_headers(sbx_client *c, sbx_error *e)
{
    const sbx_pairs *all = &c->config.headers;
    size_t i;
    int rc = SBX_OK;
    for (i = 0; rc == SBX_OK && i < all->count; i++) {
        const sbx_pair *h = all->items ? &all->items[i] : NULL;
        rc = SBX_E_ARG;
        if (h && h->value && sbxi_is_token(sbxi_span_of(h->key)))
            rc = sbxi_header_line(&c->extra, h->key, h->value);
    }
    return rc == SBX_OK ? rc
        : sbxi_error_set(e, rc, SBXI_TEXT("headers: a name or value is not allowed"));
}

static int sbxi_check_config(sbx_client *c, sbx_error *e)
{
    const sbx_config *g = &c->config;
    const char *const *d = c->provider->dialects;
    int rc = sbxi_check_texts(c, e);
#ifdef SBX_NO_REDIRECT
    if (g->redirects > 0)
        return sbxi_error_set(e, SBX_E_UNSUPPORTED,
            SBXI_TEXT("redirects are compiled out (SBX_NO_REDIRECT)"));
#endif
    if (rc == SBX_OK) rc = sbxi_check_headers(c, e);
    if (rc != SBX_OK || !g->dialect) return rc;
    for (; d[c->dialect]; c->dialect++)
        if (strcmp(d[c->dialect], g->dialect) == 0) return SBX_OK;
    return sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("dialect is not one of this provider's"));
}

static void sbxi_default_ms(int32_t *value, int32_t ms)
{
    if (*value == 0) *value = ms;
}

static int sbxi_open_transport(sbx_client *c, sbx_error *e)
{
    sbx_clocks *k = &c->link.clocks;
    sbx_net *n = &c->link.net;
    *k = c->config.clocks;
    sbxi_default_ms(&k->connect_ms, 15000);
    sbxi_default_ms(&k->first_byte_ms, 60000);
    sbxi_default_ms(&k->idle_ms, 120000);
    sbxi_default_ms(&k->total_ms, 60000);
    *n = c->config.net;
#ifndef SBX_NO_POSIX
    c->link.posix.alloc = &c->link.alloc;
    c->link.posix.connect_ms = k->connect_ms;
    if (!n->open) return sbxi_net_posix_init(n, &c->link.posix);
#endif
    return n->open && n->send && n->recv && n->close && n->now_ms ? SBX_OK
        : sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("net needs open, send, recv, close and now_ms"));
}

/* ---- open ----------------------------------------------------------------- */

static int sbxi_client_fill(sbx_client *c, sbx_error *e)
{
    int rc = sbxi_choose_provider(c, e);
    if (rc != SBX_OK) return rc;
    sbxi_read_environment(c);
    sbxi_choose_proxies(c);
    if (!c->config.domain) c->config.domain = c->provider->domain;
    c->debug = c->config.debug == SBX_YES;
    rc = sbxi_check_config(c, e);
    if (rc == SBX_OK) rc = sbxi_open_transport(c, e);
    if (rc != SBX_OK) return rc;
    c->texts = sbxi_keep(&c->link.alloc, SBXI_KEEP_CLIENT, c, 0);
    c->link.tls = &c->config.tls;
    return c->texts ? sbxi_open_proxies(c, e) : SBX_E_NOMEM;
}

/* Frees what a client holds; nothing runs any more. */
static void sbxi_client_free(sbx_client *c)
{
    sbx_alloc alloc = c->link.alloc;
    sbxi_link_close(&c->link);
    sbxi_buf_free(&c->extra);
    sbx_free(c->texts);
    sbxi_alloc_wipe(&alloc, c, sizeof *c);
}

static int sbxi_client_open(sbx_client **out, const sbx_config *config, sbx_error *e)
{
    sbx_alloc alloc = { NULL, NULL };
    sbx_client *c;
    int rc;
    if (config) alloc = config->alloc;
#ifndef SBX_NO_STDLIB
    if (!alloc.resize) alloc.resize = sbxi_std_resize;
#endif
    if (!alloc.resize)
        return sbxi_error_set(e, SBX_E_ARG, SBXI_TEXT("SBX_NO_STDLIB: give config.alloc"));
    c = (sbx_client *)sbxi_alloc_get(&alloc, sizeof *c);
    if (!c) return SBX_E_NOMEM;
    c->link.alloc = alloc;
    if (config) c->config = *config;
    c->provider = c->config.provider;
    sbxi_buf_init(&c->extra, &c->link.alloc, SBX_MAX_REQUEST / 2);
    sbxi_error_clear(&c->error);
    rc = sbxi_client_fill(c, e);
    if (rc == SBX_OK) *out = c;
    else sbxi_client_free(c);
    return rc;
}

SBX_API int sbx_open(sbx_client **out, const sbx_config *config)
{
    sbx_error error;
    int rc = SBX_E_ARG;
    sbxi_error_clear(&error);
    if (out) {
        *out = NULL;
        rc = sbxi_client_open(out, config, &error);
    }
    if (rc != SBX_OK) sbxi_error_set(&error, rc, out ? NULL : SBXI_TEXT("out is NULL"));
    if (config && config->error) *config->error = error;
    return rc;
}

SBX_API const sbx_error *sbx_client_error(const sbx_client *client)
{
    return &client->error;
}

SBX_API const char *sbx_provider_name(const sbx_client *client)
{
    return client->provider->name;
}

SBX_API bool sbx_supports(const sbx_client *client, sbx_feature feature)
{
    return (unsigned)feature < (unsigned)SBX_FEATURE_END_
        && sbxi_route_of(client->provider, feature) != NULL;
}
/* steps - what a template builder has gathered, as the user said it: a list of
   records, none of them in the form of a provider, each in one allocation with its
   texts. And the little language in which providers say what command of a shell a
   record stands for. Records are only ever added; of a base, start command or ready
   command the last one counts. Written by api/, read by provider files. */

#ifndef SBX_NO_TEMPLATE

enum {
    SBXI_FROM_IMAGE, SBXI_FROM_TEMPLATE, SBXI_FROM_REGISTRY, /* what it is made from */
    SBXI_DO_START, SBXI_DO_READY,
    SBXI_DO_IGNORE,         /* of the context */
    SBXI_DO_COPY,           /* from here on in order: steps of the service */
    SBXI_DO_ENV, SBXI_DO_WORKDIR, SBXI_DO_USER,
    SBXI_DO_RUN,            /* from here on commands of a shell */
    SBXI_DO_WORDS, SBXI_DO_REMOVE, SBXI_DO_RENAME, SBXI_DO_MAKE_DIR, SBXI_DO_SYMLINK,
    SBXI_DO_APT, SBXI_DO_PIP, SBXI_DO_NPM, SBXI_DO_BUN, SBXI_DO_GIT, SBXI_DO_MCP,
    SBXI_DO_DEV_CONTAINER,
    SBXI_DO_END
};

/* Flags have letters, by which patterns ask for them. */
#define SBXI_FLAG(letter) (UINT32_C(1) << ((letter) - 'a'))

struct sbxi_step {
    sbxi_step *next;
    size_t size;            /* of the allocation */
    uint32_t flags;
    int32_t number;         /* a mode, depth, port or time; 0: none */
    uint8_t kind;
    bool forced;            /* not from the cache */
    const char *user;       /* NULL: whoever it is at that point */
    const char *extra;      /* of GIT the branch; NULL: none */
    sbx_strings texts;      /* of ENV keys and values in turn */
    char hash[65];          /* of COPY the files', once they were read */
};

struct sbx_template {
    sbx_client *client;
    sbxi_step *first, *last;
    size_t count;
    bool busy;              /* one builds it, or one of its own functions runs */
    bool released;          /* by the user, while it was busy */
    bool forced;            /* steps that follow are not from the cache */
    bool all_forced;        /* nor is the base */
    sbx_tree tree;          /* where files come from; zeroed: nowhere */
    sbxi_buf text;          /* one command at a time */
    sbx_error error;
};

static SBXI_MAYBE bool sbxi_is_wire_step(const sbxi_step *s) { return s->kind >= SBXI_DO_COPY; }

/* The base that counts: the one named last. NULL: the service's own. */
static SBXI_MAYBE const sbxi_step *sbxi_template_base(const sbx_template *t)
{
    const sbxi_step *s, *found = NULL;
    for (s = t->first; s; s = s->next)
        if (s->kind <= SBXI_FROM_TEMPLATE) found = s;
    return found;
}

/* The last record of a kind, or NULL. */
static SBXI_MAYBE const sbxi_step *sbxi_template_last(const sbx_template *t, unsigned kind)
{
    const sbxi_step *s, *found = NULL;
    for (s = t->first; s; s = s->next)
        if (s->kind == kind) found = s;
    return found;
}

static SBXI_MAYBE void sbxi_template_free(sbx_template *t)
{
    const sbx_alloc *a = &t->client->link.alloc;
    sbxi_step *s, *next;
    for (s = t->first; s; s = next) {
        next = s->next;
        sbxi_alloc_wipe(a, s, s->size);
    }
    sbxi_buf_free(&t->text);
    sbxi_alloc_wipe(a, t, sizeof *t);
}

/* Whoever had made it busy is done with it. */
static SBXI_MAYBE void sbxi_template_let_go(sbx_template *t)
{
    t->busy = false;
    if (t->released) sbxi_template_free(t);
}

/* ---- adding ------------------------------------------------------------------ */

/* NULL: its texts can be sent. Patterns of what is left out stay here. */
static SBXI_MAYBE const char *sbxi_step_check(const sbxi_step *plan)
{
    size_t i;
    bool fine = (!plan->user || sbxi_is_utf8(sbxi_span_of(plan->user)))
        && (!plan->extra || sbxi_is_utf8(sbxi_span_of(plan->extra)));
    for (i = 0; fine && i < plan->texts.count; i++)
        fine = sbxi_is_utf8(sbxi_span_of(plan->texts.items[i]));
    return fine || plan->kind == SBXI_DO_IGNORE ? NULL : SBXI_TEXT("a text is not UTF-8");
}

/* Copies a text, if there is one; where to goes into *out once there is a place. */
static void sbxi_step_text(sbxi_cursor *c, const char *text, const char **out)
{
    const char *copy = text ? sbxi_cursor_put(c, text, strlen(text) + 1, 1) : NULL;
    if (copy) *out = copy;
}

/* Lays the record out behind itself, copies of all texts in the end; without a place
   it only counts. The list of texts stands in memory, so its size is no overflow. */
static void sbxi_step_lay(sbxi_cursor *c, const sbxi_step *plan)
{
    size_t i, n = plan->texts.count;
    sbxi_step spare, *s = (sbxi_step *)(void *)sbxi_cursor_put(c, plan, sizeof *plan, SBXI_ALIGN);
    const char *one, **list = (const char **)(void *)sbxi_cursor_put(c, plan->texts.items,
        n * sizeof *list, SBXI_ALIGN);
    if (!s) s = &spare;
    for (i = 0; i < n; i++) sbxi_step_text(c, plan->texts.items[i], list ? &list[i] : &one);
    sbxi_step_text(c, plan->user, &s->user);
    sbxi_step_text(c, plan->extra, &s->extra);
    s->texts.items = list;
}

/* Room for a record; for a sum that did not fit there is none. */
static sbxi_step *sbxi_step_room(const sbx_alloc *a, size_t size)
{
    return size == SIZE_MAX ? NULL : (sbxi_step *)sbxi_alloc_get(a, size);
}

/* Adds a copy of the plan. SBX_E_TOO_LARGE: there are SBX_MAX_STEPS; SBX_E_NOMEM. */
static SBXI_MAYBE int sbxi_step_add(sbx_template *t, const sbxi_step *plan)
{
    sbxi_cursor c = { NULL, 0 };
    sbxi_step *s;
    if (t->count >= SBX_MAX_STEPS) return SBX_E_TOO_LARGE;
    sbxi_step_lay(&c, plan);
    s = sbxi_step_room(&t->client->link.alloc, c.at);
    if (!s) return SBX_E_NOMEM;
    c.data = (char *)s;
    c.at = 0;
    sbxi_step_lay(&c, plan);
    s->size = c.at;
    s->next = NULL;
    s->forced = t->forced;
    if (t->last) t->last->next = s;
    else t->first = s;
    t->last = s;
    t->count++;
    return SBX_OK;
}

/* ---- commands of a shell ------------------------------------------------------ */

/* Permissions as four octal digits. */
static void sbxi_octal(char out[5], int32_t mode)
{
    unsigned i;
    for (i = 0; i < 4; i++) out[i] = (char)('0' + (mode >> (9 - 3 * i) & 7));
    out[4] = 0;
}

/* All texts from the i-th on, each behind the separator but the first. */
static void sbxi_words(sbxi_buf *b, const sbxi_step *s, size_t i, const char *between, bool quoted)
{
    size_t first = i;
    for (; i < s->texts.count; i++) {
        if (i > first) sbxi_buf_text(b, between);
        if (quoted) sbxi_quote(b, s->texts.items[i]);
        else sbxi_buf_text(b, s->texts.items[i]);
    }
}

/* Behind a part that is not meant: its closing bracket. */
static const char *sbxi_pattern_skip(const char *p)
{
    while (p[0] != '%' || p[1] != ')') p++;
    return p + 2;
}

/* A code of a pattern; returns behind it. */
static const char *sbxi_pattern_code(sbxi_buf *b, const char *p, const sbxi_step *s, size_t *text)
{
    char octal[5];
    bool not;
    switch (*p++) {
    case 'q': sbxi_quote(b, s->texts.items[(*text)++]); break;
    case 's': sbxi_buf_text(b, s->texts.items[(*text)++]); break;
    case '*': sbxi_words(b, s, *text, " ", true); break;
    case '+': sbxi_words(b, s, *text, " ", false); break;
    case '&': sbxi_words(b, s, *text, " && ", false); break;
    case 'e': sbxi_quote(b, s->extra); break;
    case 'd': sbxi_buf_u64(b, (uint64_t)s->number); break;
    case 'm':
        sbxi_octal(octal, s->number);
        sbxi_buf_text(b, octal);
        break;
    case '(':
        not = *p == '!';
        p += not;
        if (((s->flags & SBXI_FLAG(*p)) != 0) == not) return sbxi_pattern_skip(p);
        p++;
        break;
    case ')': break;
    default: sbxi_buf_text(b, "%");
    }
    return p;
}

/* Writes what a pattern makes of a record:
     %q %s  the next text, quoted or as it is     %* %+ %&  all that are left: quoted,
     %e     the extra text, quoted                          as they are, and those
     %d %m  the number, decimal or as a mode                joined by &&
     %(x..%)  only with the flag x, %(!x..%) without it     %%  a percent sign */
static SBXI_MAYBE void sbxi_pattern(sbxi_buf *b, const char *pattern, const sbxi_step *s)
{
    size_t text = 0;
    const char *code;
    while ((code = strchr(pattern, '%')) != NULL) {
        sbxi_buf_add(b, pattern, (size_t)(code - pattern));
        pattern = sbxi_pattern_code(b, code + 1, s, &text);
    }
    sbxi_buf_text(b, pattern);
}

/* ---- a build ---------------------------------------------------------------------- */

/* What a build has besides the arguments of its call. */
typedef struct sbxi_building {
    const sbx_alloc *alloc;
    sbx_template *t;        /* busy meanwhile; NULL: a build by id */
    sbx_build_info *info;   /* what the request told; owned */
    sbxi_upload *upload;    /* where files go; owned */
    sbxi_context *context;  /* what is read now; owned */
    sbxi_ignores ignores;   /* what of the context is left out */
    sbxi_step *at;          /* COPY that is being read or sent */
    char asked[65];         /* the hash of its files, under which they go there */
    int32_t done;           /* steps, for progress */
    bool failed;            /* the service has said why: */
    sbx_error why;
} sbxi_building;

static SBXI_MAYBE void sbxi_building_free(sbxi_building *b)
{
    sbx_alloc alloc = *b->alloc;
    sbx_free(b->info);
    sbx_free(b->upload);
    sbxi_context_close(b->context);
    sbxi_ignore_free(&b->ignores);
    if (b->t) sbxi_template_let_go(b->t);
    sbxi_alloc_wipe(&alloc, b, sizeof *b);
}

#endif /* SBX_NO_TEMPLATE */
/* dockerfile - reads a Dockerfile: one instruction after the other, its lines joined,
   its heredocs collected, its words and flags taken apart as BuildKit's parser does. What
   an instruction means is the provider's business. The text is the caller's and stays
   as it is; what is kept of one instruction is bounded by SBX_MAX_REQUEST. */

#ifndef SBX_NO_TEMPLATE

typedef struct sbxi_heredoc {
    const char *name;
    char *body;                     /* lines, each with its end */
    bool chomp;                     /* <<-: tabs before its lines do not count */
    bool raw;                       /* its name was quoted: nothing in it is expanded */
} sbxi_heredoc;

#define SBXI_HEREDOCS 8             /* of one instruction */

typedef struct sbxi_docker {
    const char *text, *end;         /* what is still to be read */
    int line;                       /* of what was read last, from 1 */
    int start;                      /* first line of the instruction */
    char escape;                    /* \ or ` */
    bool begun;                     /* behind the directives at the top */
    const char *wrong;              /* why it ended early, NULL: it did not */
    sbxi_buf name;                  /* of the instruction, upper case */
    sbxi_buf joined;                /* all of it, NUL-terminated */
    const char *rest;               /* of joined: behind name and flags */
    sbxi_buf words;                 /* made of rest, each with its NUL */
    size_t word_count;
    sbxi_buf docs;                  /* names and bodies of heredocs, each with its NUL */
    sbxi_heredoc doc[SBXI_HEREDOCS];
    size_t doc_count;
} sbxi_docker;

static SBXI_MAYBE void sbxi_docker_init(sbxi_docker *d, const sbx_alloc *alloc, const char *text,
    size_t len)
{
    memset(d, 0, sizeof *d);
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        len -= 3;
    }
    d->text = text;
    d->end = text + len;
    d->escape = '\\';
    sbxi_buf_init(&d->name, alloc, 32);
    sbxi_buf_init(&d->joined, alloc, SBX_MAX_REQUEST);
    sbxi_buf_init(&d->words, alloc, SBX_MAX_REQUEST);
    sbxi_buf_init(&d->docs, alloc, SBX_MAX_REQUEST);
}

static SBXI_MAYBE void sbxi_docker_free(sbxi_docker *d)
{
    sbxi_buf_free(&d->name);
    sbxi_buf_free(&d->joined);
    sbxi_buf_free(&d->words);
    sbxi_buf_free(&d->docs);
}

/* What went wrong with the memory of it, if anything did. */
static SBXI_MAYBE int sbxi_docker_status(const sbxi_docker *d)
{
    return d->joined.status ? d->joined.status : d->words.status ? d->words.status
        : d->docs.status ? d->docs.status : d->name.status == SBX_E_NOMEM ? SBX_E_NOMEM : SBX_OK;
}

static bool sbxi_docker_blank(char c) { return c == ' ' || c == '\t'; }

static const char *sbxi_skip_blanks(const char *p)
{
    while (sbxi_docker_blank(*p)) p++;
    return p;
}

/* ---- lines --------------------------------------------------------------------- */

/* The next line without its end. False: there is none. */
static bool sbxi_docker_line(sbxi_docker *d, sbxi_span *out)
{
    const char *lf;
    if (d->text == d->end) return false;
    lf = (const char *)memchr(d->text, '\n', (size_t)(d->end - d->text));
    out->ptr = d->text;
    out->len = (size_t)((lf ? lf : d->end) - d->text);
    d->text = lf ? lf + 1 : d->end;
    d->line++;
    while (out->len && out->ptr[out->len - 1] == '\r') out->len--;
    if (memchr(out->ptr, 0, out->len)) d->wrong = SBXI_TEXT("a NUL byte");
    return true;
}

static sbxi_span sbxi_trim_left(sbxi_span s)
{
    for (; s.len && sbxi_docker_blank(*s.ptr); s.len--) s.ptr++;
    return s;
}

static sbxi_span sbxi_trim_right(sbxi_span s)
{
    while (s.len && sbxi_docker_blank(s.ptr[s.len - 1])) s.len--;
    return s;
}

/* "# escape=`" and the like, at the top only. False: it is none. */
static bool sbxi_docker_directive(sbxi_docker *d, sbxi_span s)
{
    static const char *const known[] = { "syntax", "escape", "check" };
    sbxi_span key;
    size_t i = 0;
    s.ptr++;
    s.len--;
    key = s = sbxi_trim_left(s);
    for (; s.len && *s.ptr != '='; s.len--) s.ptr++;
    if (!s.len) return false;
    key.len = (size_t)(s.ptr - key.ptr);
    key = sbxi_trim_right(key);
    while (i < SBXI_LEN(known) && !sbxi_span_is_nocase(key, known[i])) i++;
    if (i == SBXI_LEN(known)) return false;
    s.ptr++;
    s.len--;
    s = sbxi_trim_right(sbxi_trim_left(s));
    if (i == 1) {
        if (s.len != 1 || (*s.ptr != '\\' && *s.ptr != '`'))
            d->wrong = SBXI_TEXT("escape must be \\ or `");
        else d->escape = *s.ptr;
    }
    return true;
}

/* Takes a continuation sign from the end of a line that is not blank. */
static bool sbxi_docker_goes_on(const sbxi_docker *d, sbxi_span *s)
{
    sbxi_span cut = sbxi_trim_right(*s);
    if (cut.ptr[cut.len - 1] != d->escape) return false;
    if (cut.len > 1 && cut.ptr[cut.len - 2] == d->escape) return false;
    s->len = cut.len - 1;
    return true;
}

/* The first line of an instruction: not empty, no comment. */
static bool sbxi_docker_first(sbxi_docker *d, sbxi_span *s)
{
    while (!d->wrong && sbxi_docker_line(d, s)) {
        *s = sbxi_trim_left(*s);
        d->start = d->line;
        if (s->len && *s->ptr == '#' && !d->begun) {
            d->begun = !sbxi_docker_directive(d, *s);
            continue;
        }
        d->begun = true;
        if (s->len && *s->ptr != '#') return true;
    }
    return false;
}

/* Joins the lines of an instruction; comments and empty lines between them are left out. */
static bool sbxi_docker_join(sbxi_docker *d)
{
    sbxi_span s, plain;
    bool more;
    sbxi_buf_clear(&d->joined);
    if (!sbxi_docker_first(d, &s)) return false;
    more = sbxi_docker_goes_on(d, &s);
    sbxi_buf_add(&d->joined, s.ptr, s.len);
    while (more && sbxi_docker_line(d, &s)) {
        plain = sbxi_trim_left(s);
        if (!plain.len || *plain.ptr == '#') continue;
        more = sbxi_docker_goes_on(d, &s);
        sbxi_buf_add(&d->joined, s.ptr, s.len);
    }
    while (d->joined.len && sbxi_docker_blank(d->joined.data[d->joined.len - 1])) d->joined.len--;
    return sbxi_buf_add(&d->joined, "", 1) == SBX_OK && !d->wrong;
}

/* ---- words ---------------------------------------------------------------------- */

/* Behind a word, which blanks end unless they are quoted or escaped. */
static const char *sbxi_docker_word_end(const sbxi_docker *d, const char *p)
{
    char quote = 0;
    for (; *p && (quote || !sbxi_docker_blank(*p)); p++) {
        if (*p == d->escape && quote != '\'' && p[1]) p++;
        else if (quote ? *p == quote : *p == '"' || *p == '\'') quote = quote ? 0 : *p;
    }
    return p;
}

/* Whether the escape sign at p hides itself behind what it escapes: between double
   quotes only few things can be escaped, between single ones none. */
static bool sbxi_docker_escapes(const sbxi_docker *d, const char *p, const char *end, char quote)
{
    if (*p != d->escape || p + 1 == end || quote == '\'') return false;
    return !quote || p[1] == '"' || p[1] == '$' || p[1] == d->escape;
}

/* Adds a word without its quotes and escapes. Variables stay as they are. */
static void sbxi_docker_unquote(sbxi_docker *d, sbxi_buf *to, const char *p, const char *end)
{
    char quote = 0;
    for (; p < end; p++) {
        if (sbxi_docker_escapes(d, p, end, quote)) sbxi_buf_add(to, ++p, 1);
        else if (quote ? *p != quote : *p != '"' && *p != '\'') sbxi_buf_add(to, p, 1);
        else quote = quote ? 0 : *p;
    }
    if (quote) d->wrong = SBXI_TEXT("a quote is not closed");
}

static SBXI_MAYBE void sbxi_docker_no_words(sbxi_docker *d)
{
    sbxi_buf_clear(&d->words);
    d->word_count = 0;
}

/* Adds p[0..end) as a word, unquoted. */
static void sbxi_docker_add_word(sbxi_docker *d, const char *p, const char *end)
{
    sbxi_docker_unquote(d, &d->words, p, end);
    if (sbxi_buf_add(&d->words, "", 1) == SBX_OK) d->word_count++; /* whole ones only */
}

/* The word behind another. */
static SBXI_MAYBE const char *sbxi_docker_after(const char *word)
{
    return word + strlen(word) + 1;
}

/* The i-th word. */
static SBXI_MAYBE const char *sbxi_docker_word(const sbxi_docker *d, size_t i)
{
    const char *p = d->words.data;
    while (i--) p = sbxi_docker_after(p);
    return p;
}

/* Splits the rest at blanks. */
static SBXI_MAYBE void sbxi_docker_words(sbxi_docker *d)
{
    const char *p = sbxi_skip_blanks(d->rest), *end;
    sbxi_docker_no_words(d);
    for (; *p; p = sbxi_skip_blanks(end)) {
        end = sbxi_docker_word_end(d, p);
        sbxi_docker_add_word(d, p, end);
    }
}

/* A JSON list of texts makes the words. That it is a list is known. */
static int sbxi_docker_item(void *ctx, const sbx_json_event *ev)
{
    sbxi_docker *d = (sbxi_docker *)ctx;
    if (ev->depth == 0) return SBX_OK;
    if (ev->type != SBX_JSON_STRING || memchr(ev->text, 0, ev->len)) return SBX_E_BAD_JSON;
    sbxi_buf_add(&d->words, ev->text, ev->len);
    if (ev->flags & SBX_JSON_MORE) return SBX_OK;
    if (sbxi_buf_add(&d->words, "", 1) == SBX_OK) d->word_count++; /* whole ones only */
    return SBX_OK;
}

/* False: the rest is none, and meant as it is. */
static SBXI_MAYBE bool sbxi_docker_json(sbxi_docker *d)
{
    sbx_json_reader r;
    sbxi_docker_no_words(d);
    if (*d->rest != '[') return false;
    sbx_json_init(&r, sbxi_docker_item, d);
    (void)sbx_json_feed(&r, d->rest, strlen(d->rest), NULL);
    return sbx_json_end(&r) == SBX_OK;
}

/* The next flag in front of the rest, taken from it: "--name=value" as name, and value or
   NULL; both are in words. False: there is none. */
static SBXI_MAYBE bool sbxi_docker_flag(sbxi_docker *d, const char **name, const char **value)
{
    const char *p = d->rest, *end;
    char *equals;
    if (p[0] != '-' || p[1] != '-') return false;
    end = sbxi_docker_word_end(d, p);
    d->rest = sbxi_skip_blanks(end);
    if (end == p + 2) return false; /* "--" ends them */
    sbxi_docker_no_words(d);
    sbxi_docker_add_word(d, p + 2, end);
    if (d->words.status) return false;
    equals = strchr(d->words.data, '=');
    if (equals) *equals++ = 0;
    *name = d->words.data;
    *value = equals;
    return true;
}

/* ---- heredocs ---------------------------------------------------------------------- */

/* Whether a word is [digits]<<[-]NAME; *name is where the name begins. */
static SBXI_MAYBE bool sbxi_is_heredoc(const char *p, const char *end, const char **name,
    bool *chomp)
{
    while (p < end && sbxi_is_digit(*p)) p++;
    if (end - p < 3 || p[0] != '<' || p[1] != '<') return false;
    p += 2;
    *chomp = *p == '-';
    p += *chomp;
    *name = p;
    return p < end && !memchr(p, '<', (size_t)(end - p));
}

/* Whether the line ends a heredoc of that name. */
static bool sbxi_heredoc_ends(const sbxi_heredoc *h, sbxi_span line)
{
    if (h->chomp) for (; line.len && *line.ptr == '\t'; line.len--) line.ptr++;
    return sbxi_span_is(line, h->name);
}

/* Reads the lines of one; offsets of name and body in docs, as that may move. */
static void sbxi_heredoc_read(sbxi_docker *d, const char *name, const char *end, bool chomp,
    size_t at[2])
{
    sbxi_heredoc h;
    sbxi_span line;
    at[0] = d->docs.len;
    sbxi_docker_unquote(d, &d->docs, name, end);
    sbxi_buf_add(&d->docs, "", 1);
    at[1] = d->docs.len;
    h.chomp = chomp;
    while (!d->docs.status && !d->wrong) {
        if (!sbxi_docker_line(d, &line)) {
            d->wrong = SBXI_TEXT("unterminated heredoc");
            return;
        }
        h.name = d->docs.data + at[0];
        if (sbxi_heredoc_ends(&h, line)) break;
        sbxi_buf_add(&d->docs, line.ptr, (size_t)(d->text - line.ptr));
    }
    sbxi_buf_add(&d->docs, "", 1);
}

/* Collects those that the rest names. */
static void sbxi_docker_heredocs(sbxi_docker *d)
{
    size_t at[SBXI_HEREDOCS][2], i;
    const char *p = sbxi_skip_blanks(d->rest), *end, *name;
    bool chomp;
    for (; *p && !d->wrong; p = sbxi_skip_blanks(end)) {
        end = sbxi_docker_word_end(d, p);
        if (!sbxi_is_heredoc(p, end, &name, &chomp)) continue;
        if (d->doc_count == SBXI_HEREDOCS) {
            d->wrong = SBXI_TEXT("more than 8 heredocs");
            return;
        }
        d->doc[d->doc_count].chomp = chomp;
        d->doc[d->doc_count].raw = memchr(name, '\'', (size_t)(end - name))
            || memchr(name, '"', (size_t)(end - name));
        sbxi_heredoc_read(d, name, end, chomp, at[d->doc_count]);
        d->doc_count++;
    }
    if (d->docs.status) return;
    for (i = 0; i < d->doc_count; i++) {
        d->doc[i].name = d->docs.data + at[i][0];
        d->doc[i].body = d->docs.data + at[i][1];
    }
}

/* ---- instructions ---------------------------------------------------------------------- */

/* Its name in upper case, and where the rest begins. False: no memory. */
static bool sbxi_docker_name(sbxi_docker *d)
{
    const char *p;
    sbxi_buf_clear(&d->name);
    for (p = d->joined.data; *p && !sbxi_docker_blank(*p); p++) {
        char c = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
        sbxi_buf_add(&d->name, &c, 1);
    }
    d->rest = sbxi_skip_blanks(p);
    sbxi_buf_add(&d->name, "", 1);
    if (d->name.status == SBX_E_TOO_LARGE) { /* no instruction is as long */
        sbxi_buf_clear(&d->name);
        sbxi_buf_add(&d->name, "?", 2);
    }
    return d->name.status == SBX_OK;
}

/* The next one, with name and rest. False: the end, or something is wrong. */
static SBXI_MAYBE bool sbxi_docker_next(sbxi_docker *d)
{
    sbxi_buf_clear(&d->docs);
    sbxi_buf_clear(&d->name);
    d->doc_count = 0;
    if (d->wrong || !sbxi_docker_join(d) || !sbxi_docker_name(d)) return false;
    if (strcmp(d->name.data, "RUN") == 0 || strcmp(d->name.data, "COPY") == 0
        || strcmp(d->name.data, "ADD") == 0)
        sbxi_docker_heredocs(d);
    return !d->wrong && !d->docs.status;
}

#endif /* SBX_NO_TEMPLATE */
/* trace - tells config.trace what goes out and what comes back, without secrets.
   Called by op.c and reply.c, and by the exchange through its tap.

   Bytes pass two filters one at a time; a few bytes of state for each direction
   carry over from piece to piece, so no cut can show what is hidden elsewhere. The
   first knows names: the value behind one that sounds secret is dropped. The second
   knows values: once the first eight bytes of a known one have come, all that
   follows of it is dropped. Until then they are held back. */

#ifndef SBX_NO_TRACE

#define SBXI_TRACE_LIMIT 4096

/* Where the first filter is. From QUOTED on bytes are dropped. */
enum { SBXI_TR_TEXT, SBXI_TR_HOT, SBXI_TR_AFTER, SBXI_TR_HEADER, SBXI_TR_COLON, SBXI_TR_QUOTED,
    SBXI_TR_LINE, SBXI_TR_WORD, SBXI_TR_ESCAPED };

typedef struct sbxi_tracer {
    sbx_op *op;
    sbx_trace_part part;
    const char *secrets[4];
    size_t len;
    char out[96];
} sbxi_tracer;

static void sbxi_trace_flush(sbxi_tracer *t)
{
    const sbx_trace *to = t->op->client->config.trace;
    if (t->len) to->put(to->ctx, t->op->number, t->part, t->out, t->len);
    t->len = 0;
}

static void sbxi_trace_out(sbxi_tracer *t, char c)
{
    if (t->len == sizeof t->out) sbxi_trace_flush(t);
    t->out[t->len++] = c;
}

/* The second filter. Held is what a secret may begin with, never more than that; what
   is shorter than held is a word like others. */
static void sbxi_trace_value(sbxi_tracer *t, sbxi_tracing *s, char c)
{
    const char *known;
    size_t n = s->held_len, i = 0;
    s->held[n++] = c;
    while (n) {
        known = t->secrets[i];
        if (known && c && strncmp(known, s->held, n) == 0) break; /* none has a NUL */
        if (++i < SBXI_LEN(t->secrets)) continue;
        i = 0;
        sbxi_trace_out(t, s->held[0]);
        memmove(s->held, s->held + 1, --n);
    }
    if (n == sizeof s->held) {
        s->state = SBXI_TR_WORD;
        n = 0;
    }
    s->held_len = (uint8_t)n;
}

/* What it sees, and where it goes then. */
static const char sbxi_trace_marks[] = ":=\" \\\r\n{[&"; /* then others, then what names have */

static const char sbxi_trace_next[] =
    "000000000000"         /* in text */
    "342220000001"         /* in a name that sounds secret */
    "442220000000"         /* behind it: a quote, a space */
    "666360066666"         /* behind the colon of a header */
    "775440000777"         /* behind another colon or a =; from here on it is dropped: */
    "550585555555"         /* a JSON string */
    "666660066666"         /* a line */
    "770070077077"         /* a word */
    "555555555555";         /* behind the backslash of a string */

/* Whether the name so far ends in what sounds secret. */
static bool sbxi_trace_is_hot(uint32_t name)
{
#define SBXI_WORD(a, b, c, d) ((uint32_t)a << 24 | (uint32_t)b << 16 | (uint32_t)c << 8 | d)
    static const uint32_t words[] = { SBXI_WORD('a', 'u', 't', 'h'), SBXI_WORD('o', 'k', 'e', 'n'),
        SBXI_WORD('e', 'c', 'r', 'e'), SBXI_WORD('a', 's', 's', 'w'), SBXI_WORD('i', 'g', 'n', 'a'),
        SBXI_WORD('c', 'o', 'o', 'k'), SBXI_WORD('r', 'e', 'd', 'e'), SBXI_WORD('v', 'a', 't', 'e'),
        SBXI_WORD('v', 'a', 'l', 'u'), SBXI_WORD('p', 'i', '-', 'k'), SBXI_WORD('p', 'i', '_', 'k'),
        SBXI_WORD('p', 'i', 'k', 'e'), SBXI_WORD('s', '-', 'k', 'e'), SBXI_WORD('s', '_', 'k', 'e'),
        SBXI_WORD('s', 's', 'k', 'e'), SBXI_WORD(0, 's', 'i', 'g') };
#undef SBXI_WORD
    size_t i;
    for (i = 0; i < SBXI_LEN(words) && name != words[i]; i++) {}
    return i < SBXI_LEN(words);
}

/* The class of a byte; the name so far grows by it, or is over. */
static size_t sbxi_trace_class(sbxi_tracing *s, char c)
{
    const char *mark = strchr(sbxi_trace_marks, c); /* NUL: as others */
    if (sbxi_is_alnum(c) || c == '-' || c == '_') {
        s->name = s->name << 8 | (unsigned char)sbxi_lower(c);
        return sizeof sbxi_trace_marks;
    }
    s->name = 0;
    return mark ? (size_t)(mark - sbxi_trace_marks) : sizeof sbxi_trace_marks - 1;
}

static void sbxi_trace_char(sbxi_tracer *t, sbxi_tracing *s, char c)
{
    size_t class = sbxi_trace_class(s, c), i;
    uint8_t before = s->state;
    s->state = (uint8_t)(sbxi_trace_next[before * (sizeof sbxi_trace_marks + 1) + class] - '0');
    if (s->state == SBXI_TR_TEXT && sbxi_trace_is_hot(s->name)) s->state = SBXI_TR_HOT;
    if (s->state < SBXI_TR_QUOTED || (s->state == SBXI_TR_QUOTED && before == SBXI_TR_COLON))
        sbxi_trace_value(t, s, c);
    if (before < SBXI_TR_QUOTED && s->state >= SBXI_TR_QUOTED)
        for (i = 0; i < 3; i++) sbxi_trace_value(t, s, '*');
}

static void sbxi_trace(sbx_op *op, sbx_trace_part part, const char *data, size_t len)
{
    const sbx_client *c = op->client;
    sbxi_tracing *s = &op->tracing[part];
    sbxi_tracer t;
    uint32_t limit;
    if (!c->config.trace) return;
    limit = c->config.trace->limit ? (uint32_t)c->config.trace->limit : SBXI_TRACE_LIMIT;
    t.op = op;
    t.part = part;
    t.len = 0;
    t.secrets[0] = c->config.api_key;
    t.secrets[1] = op->call.api_key;
    t.secrets[2] = op->sandbox ? op->sandbox->access.access_token : NULL;
    t.secrets[3] = op->sandbox ? op->sandbox->access.traffic_token : NULL;
    for (; len && s->seen < limit; len--, s->seen++) sbxi_trace_char(&t, s, *data++);
    sbxi_trace_flush(&t);
}

/* The tap of an exchange. */
static void sbxi_trace_sent(sbxi_exchange *x, const char *data, size_t len)
{
    sbxi_trace((sbx_op *)(void *)((char *)x - offsetof(sbx_op, x)), SBX_TRACE_REQUEST, data, len);
}

/* An exchange begins, which has just been cleared. */
static void sbxi_trace_begin(sbx_op *op)
{
    if (!op->client->config.trace) return;
    memset(op->tracing, 0, sizeof op->tracing);
    op->number = ++op->client->exchanges;
    op->x.tap = sbxi_trace_sent;
}

static void sbxi_trace_text(sbx_op *op, const char *text)
{
    sbxi_trace(op, SBX_TRACE_REPLY, text, strlen(text));
}

/* A header line, NULL: the empty one behind them. The status goes before the first. */
static void sbxi_trace_header(sbx_op *op, const char *name, const char *value)
{
    const sbx_http_head *h = &op->x.http.head_;
    char status[SBXI_DECIMAL_MAX];
    if (!op->x.tap) return;
    if (!op->tracing[SBX_TRACE_REPLY].seen) {
        sbxi_trace(op, SBX_TRACE_REQUEST, "\n", 1);
        sbxi_trace_text(op, h->minor ? "HTTP/1.1 " : "HTTP/1.0 ");
        sbxi_trace(op, SBX_TRACE_REPLY, status, sbxi_print_u64(status, (unsigned)h->status));
        sbxi_trace_text(op, "\r\n");
    }
    if (name) {
        sbxi_trace_text(op, name);
        sbxi_trace_text(op, ": ");
        sbxi_trace_text(op, value);
    }
    sbxi_trace_text(op, "\r\n");
}

static void sbxi_trace_body(sbx_op *op, const char *data, size_t len)
{
    sbxi_trace(op, SBX_TRACE_REPLY, data, len);
}

/* The exchange is over, if one was. */
static void sbxi_trace_end(sbx_op *op)
{
    sbx_trace_part part;
    if (!op->x.tap) return;
    op->x.tap = NULL;
    part = op->tracing[SBX_TRACE_REPLY].seen ? SBX_TRACE_REPLY : SBX_TRACE_REQUEST;
    sbxi_trace(op, part, "\n", 1);
}

#else
static void sbxi_trace_begin(sbx_op *op) { (void)op; }
static void sbxi_trace_end(sbx_op *op) { (void)op; }
static void sbxi_trace_header(sbx_op *op, const char *name, const char *value)
{
    (void)op;
    (void)name;
    (void)value;
}
static void sbxi_trace_body(sbx_op *op, const char *data, size_t len)
{
    (void)op;
    (void)data;
    (void)len;
}
#endif
/* request - builds the bytes of a request from a route and the operation's
   arguments: base URL, head, query, body. Everything lands in op->out.text, so
   that a retry sends the same again. Called by op.c before an exchange. */

/* ---- URL ------------------------------------------------------------------ */

/* Whether it goes to a URL that a reply has told: of our own headers none belong there. */
static bool sbxi_op_uploads(const sbx_op *op)
{
    return SBXI_HAS_TEMPLATE && op->route->send == SBXI_SEND_UPLOAD;
}

/* That URL, as it was told. */
static int sbxi_op_given(sbx_op *op, sbxi_url *url)
{
#ifndef SBX_NO_TEMPLATE
    sbxi_span text = sbxi_span_of(op->args.of.build.upload->url);
    sbxi_buf_clear(&op->url);
    if (sbxi_buf_add(&op->url, text.ptr, text.len) != SBX_OK) return op->url.status;
    text.ptr = op->url.data;
    if (sbxi_url_origin(text, url) && !url->path.len) text.len++;
    if (text.len > op->url.len && sbxi_buf_text(&op->url, "/") != SBX_OK) return op->url.status;
    text.ptr = op->url.data;
    if (sbxi_url_origin(text, url) && sbxi_is_target(url->path, '#')) return SBX_OK;
#else
    (void)url;
#endif
    return sbxi_op_fail(op, SBX_E_PROTOCOL,
        SBXI_TEXT("the service wants files sent to what is no http URL"));
}

/* The URL of the route into op->url, and its parts. */
static int sbxi_op_url(sbx_op *op, sbxi_url *url)
{
    const sbx_provider *p = op->client->provider;
    const char *parts[3], *values[SBXI_PLACES];
    if (sbxi_op_uploads(op) && !op->hops) return sbxi_op_given(op, url);
    if (op->hops) { /* checked when it came */
        sbxi_span text = { op->url.data, op->url.len };
        return sbxi_url_origin(text, url) ? op->url.status : SBX_E_PROTOCOL;
    }
    parts[0] = p->base(op);
    parts[1] = p->prefixes[op->route->prefix];
    parts[2] = op->route->path;
    values[0] = op->sandbox ? op->sandbox->id : op->args.target;
    values[1] = sbxi_op_port(op);
    values[2] = sbxi_op_domain(op);
    values[3] = op->args.key;
    if (sbxi_make_url(&op->url, parts, values, url) == SBX_E_ARG)
        sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("the base URL is not http(s)://host[:port][/path]; it may hold "
                      "{id} {port} {domain}"));
    return op->url.status;
}

/* ---- head ----------------------------------------------------------------- */

/* One query parameter per text that is set, in table order. */
static void sbxi_op_query(sbx_op *op, const sbxi_shape *shape)
{
    sbxi_buf *b = &op->out.text;
    const char *mark = "?";
    uint16_t i;
    for (i = 0; i < shape->count; i++) {
        const sbxi_field *f = &shape->fields[i];
        const char *text;
        memcpy(&text, (const char *)&op->args + f->offset, sizeof text);
        if (!text) continue;
        sbxi_buf_texts(b, mark, f->name, "=");
        sbxi_percent(b, sbxi_span_of(text), SBXI_PERCENT_FORM);
        mark = "&";
    }
}

/* "Authorization: Basic" for a user without password; NULL: no such line. */
static SBXI_MAYBE void sbxi_op_user(sbx_op *op, const char *user)
{
    sbxi_buf *b = &op->out.text;
    char *plain = op->line; /* free until the reply comes */
    size_t len = user ? strlen(user) : 0;
    if (!user) return;
    if (len > 255 || strchr(user, ':')) {
        b->status = sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("user is longer than 255 bytes or holds a colon"));
        return;
    }
    memcpy(plain, user, len);
    plain[len] = ':';
    sbxi_buf_text(b, "Authorization: ");
    sbxi_basic(b, plain, len + 1);
}

/* Whether the reply may be packed, and whether the body is. A part of a file is one of
   it as it is. */
static bool sbxi_op_unzips(const sbx_op *op)
{
    const sbx_files_options *o = &op->args.of.files.o;
    return SBXI_HAS_GZIP && sbxi_reads_file(op->feature) && op->route->recv == SBXI_RECV_SINK
        && o->gzip == SBX_YES && !o->offset && !o->length;
}

static SBXI_MAYBE bool sbxi_op_zips(const sbx_op *op)
{
    return SBXI_HAS_GZIP && op->route->send == SBXI_SEND_RAW
        && op->args.of.files.o.gzip == SBX_YES;
}

/* The first line and the host. */
static void sbxi_op_request_line(sbx_op *op, const sbxi_url *url, const sbxi_proxy *proxy)
{
    sbxi_buf *b = &op->out.text;
    const sbxi_route *r = op->route;
    const sbxi_invoke_args *own = sbxi_op_invoked(op);
    const char *authority = op->url.data + (url->tls ? 8 : 7); /* behind its scheme */
    const char *target = url->path.ptr;
    if (proxy) target = op->url.data; /* who reads it must know where to send it */
    sbxi_buf_texts(b, sbxi_methods[r->method], " ", NULL);
    sbxi_buf_add(b, target, (size_t)(url->path.ptr + url->path.len - target));
    if (!op->hops && r->fields && r->send != SBXI_SEND_JSON && r->send != SBXI_SEND_ENVELOPE)
        sbxi_op_query(op, r->fields);
    if (!op->hops && own && own->query[0]) sbxi_buf_texts(b, "?", own->query, NULL);
    sbxi_buf_text(b, " HTTP/1.1\r\nHost: ");
    sbxi_buf_add(b, authority, (size_t)(url->path.ptr - authority));
}

/* The headers that a reply has told to send with the files; host and framing are our own. */
static void sbxi_op_told(sbx_op *op)
{
#ifndef SBX_NO_TEMPLATE
    static const char *const own[] = { "host", "content-length", "transfer-encoding",
        "connection" };
    const sbx_pairs *h = &op->args.of.build.upload->headers;
    sbxi_buf *b = &op->out.text;
    size_t i, k;
    for (i = 0; i < h->count; i++) {
        sbxi_span name = sbxi_span_of(h->items[i].key);
        for (k = 0; k < SBXI_LEN(own) && !sbxi_span_is_nocase(name, own[k]); k++) {}
        if (k < SBXI_LEN(own)) continue;
        sbxi_header_line(b, h->items[i].key, h->items[i].value);
        if (sbxi_is_token(name) && b->status != SBX_E_ARG) continue;
        b->status = sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("the service wants a header sent with files that is none"));
    }
#else
    (void)op;
#endif
}

static void sbxi_op_head(sbx_op *op, const sbxi_url *url)
{
    sbxi_buf *b = &op->out.text;
    const sbx_client *c = op->client;
    const sbxi_invoke_args *own = sbxi_op_invoked(op);
    const sbxi_proxy *proxy = url->tls ? NULL : sbxi_link_proxy(&c->link, url);
    sbxi_op_request_line(op, url, proxy);
    sbxi_buf_text(b, "\r\nUser-Agent: sandbox.h/" SBX_VERSION);
    if (c->config.user_agent) sbxi_buf_texts(b, " ", c->config.user_agent, NULL);
    sbxi_buf_texts(b, "\r\nAccept: */*\r\nAccept-Encoding: ",
                   sbxi_op_unzips(op) ? "gzip" : "identity", "\r\n");
#ifndef SBX_NO_PROXY
    if (proxy) sbxi_proxy_auth(b, proxy);
#endif
    if (own && own->bearer) sbxi_header_line(b, "Authorization", own->bearer);
    else if (sbxi_op_uploads(op)) sbxi_op_told(op);
    else c->provider->headers(op);
    if (op->route->host == SBXI_HOST_CONTROL && !sbxi_op_uploads(op))
        sbxi_buf_add(b, c->extra.data, c->extra.len);
    if (b->status == SBX_E_ARG)
        sbxi_op_fail(op, SBX_E_ARG, SBXI_TEXT("a header value holds a control character"));
}

/* ---- body ----------------------------------------------------------------- */

/* 16 random bytes as hex digits, NUL-terminated; with dashes they are a UUID,
   the digits being those of version 4 anyway. */
static int sbxi_random_hex(sbx_op *op, char *out, bool dashes)
{
    const sbx_net *n = &op->client->link.net;
    unsigned char raw[16];
    unsigned i;
    if (!n->entropy || n->entropy(n->ctx, raw, sizeof raw) != SBX_OK) return SBX_E_ENTROPY;
    raw[6] = (unsigned char)((raw[6] & 0x0F) | 0x40);
    raw[8] = (unsigned char)((raw[8] & 0x3F) | 0x80);
    for (i = 0; i < 16; i++) {
        if (dashes && i >= 4 && i <= 10 && i % 2 == 0) *out++ = '-';
        out = sbxi_print_hex(out, &raw[i], 1);
    }
    *out = 0;
    return SBX_OK;
}

static void sbxi_op_json(sbx_op *op)
{
    sbxi_buf *b = &op->out.text;
    bool frame = op->route->send == SBXI_SEND_ENVELOPE;
    size_t start = b->len;
    sbx_json_writer w;
    sbx_sink sink;
    if (frame) sbxi_buf_add(b, "\0\0\0\0\0", 5);
    sink.put = sbxi_buf_put;
    sink.ctx = b;
    sbx_json_writer_init(&w, sink);
    if (op->route->fields)
        sbxi_bind_write(&w, op->route->fields, &op->args);
    else if (sbxi_op_invoked(op))
        sbxi_buf_add(b, op->args.of.invoke.body.data, op->args.of.invoke.body.len);
    else
        sbxi_buf_text(b, "{}");
    if (w.status == SBX_E_ARG)
        b->status = sbxi_op_fail(op, SBX_E_ARG, SBXI_TEXT("a text is not valid UTF-8"));
    if (b->status == SBX_OK && frame)
        sbxi_connect_head((unsigned char *)b->data + start, 0, (uint32_t)(b->len - start - 5));
}

static void sbxi_op_drop_parts(sbx_op *op)
{
    sbxi_alloc_free(&op->client->link.alloc, op->out.parts,
                    op->out.part_count * sizeof *op->out.parts);
    op->out.parts = NULL;
    op->out.part_count = 0;
}

/* *out: the source as it is sent, if it goes out packed. */
static void sbxi_op_pack(sbx_op *op, const sbx_source *from, sbx_source *out)
{
#ifdef SBX_NO_GZIP
    (void)op;
    (void)from;
    (void)out;
#else
    if (sbxi_op_zips(op) && !sbxi_deflate_init(&op->args.of.files.as.zip, from, out))
        op->out.text.status = sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("the source is too large to pack"));
#endif
}

/* Where a body comes from that is one stream. */
static const sbx_source *sbxi_op_stream(const sbx_op *op)
{
#ifndef SBX_NO_TEMPLATE
    if (sbxi_op_uploads(op)) return &op->args.of.build.body;
#endif
    return &op->args.of.process.body;
}

/* The sources of the body, and with a boundary the text around each. */
static int sbxi_op_parts(sbx_op *op, const char *boundary)
{
    const sbxi_files_args *a = &op->args.of.files;
    sbxi_buf *b = &op->out.text;
    size_t n = boundary ? a->count : 1, i;
    sbxi_part *parts = NULL;
    if (n <= SIZE_MAX / sizeof *parts)
        parts = (sbxi_part *)sbxi_alloc_get(&op->client->link.alloc, n * sizeof *parts);
    if (!parts) return SBX_E_NOMEM;
    op->out.parts = parts;
    op->out.part_count = n;
    if (op->route->send >= SBXI_SEND_INPUT) {
        parts->source = *sbxi_op_stream(op);
        parts->text_end = b->len;
        return b->status;
    }
    for (i = 0; i < n; i++) {
        const sbx_file_write *f = &a->files[a->at + i];
        parts[i].source = f->from;
        sbxi_op_pack(op, &f->from, &parts[i].source);
        if (boundary && f->from.size < 0)
            return sbxi_op_fail(op, SBX_E_ARG,
                SBXI_TEXT("this host needs the size of every source"));
        if (n > 1 && !sbxi_multipart_says(f->path))
            return sbxi_op_fail(op, SBX_E_ARG,
                SBXI_TEXT("a quote or control character in a path: write that file alone"));
        if (boundary) sbxi_multipart_part(b, boundary, i == 0, "file", f->path);
        parts[i].text_end = b->len;
    }
    if (boundary) sbxi_multipart_end(b, boundary);
    return b->status;
}

/* The body is known: its length replaces the zeros, what is behind them moves up. */
static void sbxi_op_length(sbx_op *op, size_t body)
{
    sbxi_buf *b = &op->out.text;
    char *digits = b->data + body - 4 - SBXI_DECIMAL_MAX;
    uint64_t length = b->len - body;
    size_t i, cut = SBXI_DECIMAL_MAX;
    for (i = 0; i < op->out.part_count; i++) length += (uint64_t)op->out.parts[i].source.size;
    cut -= sbxi_print_u64(digits, length);
    memmove(digits + SBXI_DECIMAL_MAX - cut, digits + SBXI_DECIMAL_MAX, b->len - body + 4);
    b->len -= cut;
    for (i = 0; i < op->out.part_count; i++) op->out.parts[i].text_end -= cut;
}

/* The type of a multipart body, which ends with its boundary, that goes to out. */
static int sbxi_op_boundary(sbx_op *op, const char **type, const char **out)
{
    char *text = op->line; /* free until the reply comes */
    size_t len = strlen(*type);
    memcpy(text, *type, len);
    *type = text;
    *out = text + len;
    return sbxi_random_hex(op, text + len, false);
}

/* How the end of the body is told: none, by chunks, by its length. */
static unsigned sbxi_op_framing(sbx_op *op, bool typed)
{
    const sbxi_files_args *a = &op->args.of.files;
    uint8_t send = op->route->send;
    op->out.chunked = send == SBXI_SEND_INPUT
        || (send == SBXI_SEND_RAW && a->files[a->at].from.size < 0);
    if (!typed && op->route->method != SBXI_POST && !sbxi_op_uploads(op)) return 0;
    return op->out.chunked ? 1 : 2;
}

/* Ends the head and adds the body. Files whose size is not known go in chunks;
   in a multipart body, which has further text behind them, they are refused. */
static int sbxi_op_body(sbx_op *op)
{
    static const char *const types[] = { NULL, "application/json", "application/connect+json",
        "application/octet-stream", "multipart/form-data; boundary=", "application/connect+json",
        NULL };
    static const char *const ends[] = { "\r\n", "Transfer-Encoding: chunked\r\n\r\n",
        "Content-Length: 00000000000000000000\r\n\r\n" };
    sbxi_buf *b = &op->out.text;
    uint8_t send = op->route->send;
    const char *type = types[send], *boundary = NULL;
    size_t body;
    unsigned end;
    int rc = SBX_OK;
    if (send == SBXI_SEND_MULTIPART) rc = sbxi_op_boundary(op, &type, &boundary);
    if (rc != SBX_OK) return rc;
    if (sbxi_op_invoked(op)) type = op->args.of.invoke.type;
    sbxi_header_line(b, "Content-Type", type);
    end = sbxi_op_framing(op, type != NULL);
    sbxi_buf_text(b, ends[end]);
    body = b->len;
    if (send >= SBXI_SEND_RAW) rc = sbxi_op_parts(op, boundary);
    else if (type) sbxi_op_json(op);
    if (rc != SBX_OK || b->status != SBX_OK) return rc != SBX_OK ? rc : b->status;
    if (end == 2) sbxi_op_length(op, body);
    return SBX_OK;
}

/* Sources start over for a repeated request. False: one cannot. */
static bool sbxi_op_rewind(sbx_op *op)
{
    size_t i;
    for (i = 0; i < op->out.part_count; i++) {
        const sbx_source *s = &op->out.parts[i].source;
        if (!s->rewind || s->rewind(s->ctx) != SBX_OK) return false;
    }
    return true;
}

/* Builds the whole request. `url` points into op->url afterwards. */
static int sbxi_op_build(sbx_op *op, sbxi_url *url)
{
    sbxi_buf *b = &op->out.text;
    int rc = sbxi_op_url(op, url);
    if (rc != SBX_OK) return rc;
    sbxi_op_drop_parts(op);
    sbxi_buf_clear(b);
    sbxi_buf_reserve(b, SBX_LIMIT_(1000, 480)); /* most fit: no growing in steps */
    sbxi_op_head(op, url);
    rc = sbxi_op_body(op);
    if (rc == SBX_E_TOO_LARGE) sbxi_op_fail(op, rc,
        SBXI_TEXT("the request is larger than SBX_MAX_REQUEST"));
    return rc;
}
/* proc - processes that are followed in the background: what their stream brings
   is kept here until somebody asks. A stream is an operation like any other, but
   released from the start; those that wait for it send nothing. Called by reply.c,
   op.c and api/.

   Invariants: while the stream runs, proc->stream and its op->proc point to each
   other; a piece that waits to be pulled lies in the stream's buffer, which rests
   until the piece is taken, and outlives the stream for it. */

/* A piece of output for whoever pulls. SBX_E_AGAIN: it waits there. */
static int sbxi_proc_put(sbx_proc *p, unsigned id, const void *data, size_t len)
{
    bool taken = p->taken;
    p->taken = p->handed = false;
    p->piece.part = (sbx_proc_part)id;
    p->piece.data = taken ? NULL : data;
    p->piece.len = len;
    return taken ? SBX_OK : SBX_E_AGAIN;
}

/* The stream is over: what is known of it stays. */
static void sbxi_proc_ended(sbx_op *op, int status)
{
    sbx_proc *p = op->proc;
    if (status != SBX_OK || !p->rests) p->status = status;
    if (p->piece.data) op->released = false;
    else p->stream = NULL;
    op->proc = NULL;
}

/* The end of the stream as the user sees it; captured output goes to the first. */
static void sbxi_proc_result(sbx_proc *p, sbx_command_result *out)
{
    if (!out) return;
    *out = p->result;
    out->pid = p->pid;
    p->result.out = p->result.err = NULL;
    p->result.out_len = p->result.err_len = 0;
}

/* Whether what an operation waits for is there. */
static bool sbxi_proc_has(const sbx_op *op)
{
    const sbx_proc *p = op->proc;
    return p->status != SBX_PENDING || op->until == SBXI_UNTIL_NOW
        || (op->until == SBXI_UNTIL_START && p->started)
        || (op->until == SBXI_UNTIL_OUTPUT && p->piece.data);
}

/* Hands it out: the status of the operation. */
static int sbxi_proc_take(sbx_op *op)
{
    sbx_proc *p = op->proc;
    if (op->until == SBXI_UNTIL_START && p->started) {
        memcpy(op->args.out, &p, sizeof p);
        op->proc = NULL; /* its reference is the user's */
        return SBX_OK;
    }
    if (op->until == SBXI_UNTIL_OUTPUT && p->piece.data) {
        memcpy(op->args.out, &p->piece, sizeof p->piece);
        p->handed = true;
        return SBX_OK;
    }
    if (op->until == SBXI_UNTIL_END) sbxi_proc_result(p, op->args.of.command.result);
    if (p->status == SBX_PENDING) return SBX_OK;
    if (op->until == SBXI_UNTIL_NOW && p->status == SBX_OK)
        return sbxi_op_fail(op, SBX_E_CONFLICT, SBXI_TEXT("the watch was stopped"));
    op->error = p->error;
    return p->status;
}
/* code - what comes of code that runs: lines of JSON, a message each, are taken apart
   while they arrive. Texts go to sinks and callbacks in the pieces the JSON reader
   makes; JSON inside a message goes as it came. Called by reply.c.

   Invariants: a message's "type" stands in front of what it holds, as all services
   write it, so nothing needs to be kept. What a sink does not take lies in op->held
   and the reader rests until it does. */

#ifndef SBX_NO_RUN_CODE

enum { SBXI_CODE_UNKNOWN, SBXI_CODE_OUT, SBXI_CODE_ERR, SBXI_CODE_RESULT, SBXI_CODE_ERROR,
    SBXI_CODE_COUNT, SBXI_CODE_OVER }; /* kinds of messages */

/* Members: formats of results, then others, in the order of the names below. */
enum { SBXI_CODE_NAME = SBX_CODE_EXTRA + 1, SBXI_CODE_VALUE, SBXI_CODE_TRACEBACK,
    SBXI_CODE_MAIN, SBXI_CODE_NUMBER, SBXI_CODE_TYPE };

/* JSON that is passed on as it is: its colon is awaited, it comes, or is a null. */
enum { SBXI_RAW_NONE, SBXI_RAW_WAITS, SBXI_RAW_COMES, SBXI_RAW_NULL };

static const char *const sbxi_code_kinds[] = { "stdout", "stderr", "result", "error",
    "number_of_executions", "end_of_execution" };
static const char *const sbxi_code_members[] = { "text", "html", "markdown", "svg", "latex",
    "javascript", "png", "jpeg", "pdf", "json", "data", "chart", "extra", "name", "value",
    "traceback", "is_main_result", "execution_count", "type" };

/* The place of a text among names, from 1; 0: it is none of them. */
static uint8_t sbxi_code_find(const char *const *names, size_t n, const char *text, size_t len)
{
    size_t i;
    for (i = 0; i < n; i++)
        if (strlen(names[i]) == len && memcmp(names[i], text, len) == 0) return (uint8_t)(i + 1);
    return 0;
}

static int sbxi_code_sink(sbx_op *op, const sbx_sink *s, sbxi_capture *c, const void *data,
    size_t len)
{
    if (s->put) return sbxi_op_sink_put(op, s, data, len);
    return op->args.of.code.o.capture_limit ? sbxi_capture_put(c, data, len) : SBX_OK;
}

static int sbxi_code_each(sbx_op *op, sbx_code_format format, const void *data, size_t len)
{
    sbxi_code_args *a = &op->args.of.code;
    sbx_code_piece piece;
    int rc;
    if (!a->o.each) return SBX_OK;
    piece.format = format;
    piece.result = a->results;
    piece.main_result = !format && a->main;
    piece.data = data;
    piece.len = len;
    rc = a->o.each(a->o.each_ctx, &piece);
    return sbxi_op_said(op, rc > 0 || (rc == SBX_E_AGAIN && !format) ? SBX_E_ARG : rc);
}

/* Adds to a fixed text, which was zeroed, cut to fit. */
static void sbxi_code_text(char *out, size_t cap, const void *data, size_t len)
{
    size_t at = strlen(out);
    memcpy(out + at, data, SBXI_MIN(len, cap - 1 - at));
}

/* Decoded bytes of the present member go where they belong. */
static int sbxi_code_put(sbx_op *op, const void *data, size_t len)
{
    sbxi_code_args *a = &op->args.of.code;
    if (len == 0) return SBX_OK;
    op->mid_stream = true;
    switch (a->kind) {
    case SBXI_CODE_OUT:
        return sbxi_code_sink(op, &a->o.out, &op->captured[0], data, len);
    case SBXI_CODE_ERR:
        return sbxi_code_sink(op, &a->o.err, &op->captured[1], data, len);
    case SBXI_CODE_RESULT:
        return sbxi_code_each(op, (sbx_code_format)a->member, data, len);
    default:
        if (!a->result) return SBX_OK;
        if (a->member == SBXI_CODE_TRACEBACK)
            return a->o.capture_limit ? sbxi_capture_put(&a->traceback, data, len) : SBX_OK;
        if (a->member == SBXI_CODE_NAME)
            sbxi_code_text(a->result->error_name, sizeof a->result->error_name, data, len);
        else
            sbxi_code_text(a->result->error_value, sizeof a->result->error_value, data, len);
        return SBX_OK;
    }
}

/* The same for bytes that are gone afterwards: what is not taken is held. */
static int sbxi_code_pass(sbx_op *op, const void *data, size_t len)
{
    int rc = sbxi_code_put(op, data, len);
    if (rc != SBX_E_AGAIN) return rc;
    memmove(op->held.piece, data, len);
    op->held_len = len;
    return SBX_PENDING;
}

/* Base64, which notebooks break into lines. */
static int sbxi_code_decode(sbx_op *op, const char *text, size_t len, bool more)
{
    size_t out = 0;
    int rc = SBX_OK;
    while (len && rc == SBX_OK) {
        size_t n = 0, got = 0;
        while (n < len && (unsigned char)text[n] > ' ') n++;
        if (n) rc = sbx_base64_decode(&op->base64, text, n, op->held.piece + out, &got);
        out += got;
        n += n < len;
        text += n;
        len -= n;
    }
    if (rc == SBX_OK && !more) {
        rc = sbx_base64_end(&op->base64);
        memset(&op->base64, 0, sizeof op->base64);
    }
    return rc == SBX_OK ? sbxi_code_pass(op, op->held.piece, out) : rc;
}

/* Whether the present member is of use in this kind of message. */
static bool sbxi_code_wants(const sbxi_code_args *a)
{
    switch (a->kind) {
    case SBXI_CODE_OUT:
    case SBXI_CODE_ERR: return a->member == SBX_CODE_TEXT;
    case SBXI_CODE_RESULT: return a->member >= SBX_CODE_TEXT && a->member <= SBX_CODE_EXTRA;
    case SBXI_CODE_ERROR: return a->member >= SBXI_CODE_NAME && a->member <= SBXI_CODE_TRACEBACK;
    default: return false;
    }
}

static int sbxi_code_string(sbx_op *op, const sbx_json_event *ev)
{
    sbxi_code_args *a = &op->args.of.code;
    bool more = (ev->flags & SBX_JSON_MORE) != 0;
    if (a->member == SBXI_CODE_TYPE) {
        size_t n = SBXI_MIN(ev->len, sizeof a->word - a->word_len);
        memcpy(a->word + a->word_len, ev->text, n);
        a->word_len = (uint8_t)(a->word_len + n);
        if (more) return SBX_OK;
        a->kind = sbxi_code_find(sbxi_code_kinds, SBXI_LEN(sbxi_code_kinds), a->word, a->word_len);
        a->typed = true;
        return SBX_OK;
    }
    if (!sbxi_code_wants(a)) return SBX_OK;
    if (a->member >= SBX_CODE_PNG && a->member <= SBX_CODE_PDF)
        return sbxi_code_decode(op, ev->text, ev->len, more);
    return sbxi_code_pass(op, ev->text, ev->len);
}

/* A member begins: JSON of a result is taken from the bytes themselves. */
static int sbxi_code_key(sbx_op *op, const sbx_json_event *ev)
{
    sbxi_code_args *a = &op->args.of.code;
    a->member = sbxi_code_find(sbxi_code_members, SBXI_LEN(sbxi_code_members), ev->text, ev->len);
    if (a->member && a->member < SBXI_CODE_MAIN && !a->typed)
        return sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("a message of the code interpreter does not begin with its type"));
    if (a->member < SBX_CODE_JSON || !sbxi_code_wants(a) || a->kind != SBXI_CODE_RESULT)
        return SBX_OK;
    a->raw = SBXI_RAW_WAITS;
    return SBX_PENDING;
}

static void sbxi_code_number(sbxi_code_args *a, const sbx_json_event *ev)
{
    uint64_t v;
    sbxi_span s;
    s.ptr = ev->text;
    s.len = ev->len;
    if (a->member == SBXI_CODE_NUMBER && a->kind == SBXI_CODE_COUNT && a->result
        && sbxi_parse_u64(s, INT32_MAX, &v))
        a->result->execution_count = (int32_t)v;
}

/* A member of a message, or its value. */
static int sbxi_code_value(sbx_op *op, const sbx_json_event *ev)
{
    sbxi_code_args *a = &op->args.of.code;
    switch (ev->type) {
    case SBX_JSON_KEY: return sbxi_code_key(op, ev);
    case SBX_JSON_STRING: return sbxi_code_string(op, ev);
    case SBX_JSON_NUMBER: sbxi_code_number(a, ev); break;
    case SBX_JSON_TRUE: a->main = a->main || a->member == SBXI_CODE_MAIN; break;
    default: break;
    }
    return SBX_OK;
}

/* One event of the JSON reader. SBX_PENDING: raw JSON begins or ends here, or a sink
   did not take something. */
static int sbxi_code_event(void *ctx, const sbx_json_event *ev)
{
    sbx_op *op = (sbx_op *)ctx;
    sbxi_code_args *a = &op->args.of.code;
    if (ev->depth == 0) return ev->type <= SBX_JSON_OBJECT_END ? SBX_OK : SBX_E_BAD_JSON;
    if (ev->depth > 1) return SBX_OK;
    if (!a->raw) return sbxi_code_value(op, ev);
    if (ev->type == SBX_JSON_OBJECT || ev->type == SBX_JSON_ARRAY || (ev->flags & SBX_JSON_MORE))
        return SBX_OK;
    a->raw_over = true;
    return SBX_PENDING;
}

/* ---- lines ---------------------------------------------------------------- */

static int sbxi_code_begin(void *ctx)
{
    sbx_op *op = (sbx_op *)ctx;
    sbxi_code_args *a = &op->args.of.code;
    a->kind = a->member = a->raw = a->word_len = 0;
    a->typed = a->main = a->raw_over = false;
    memset(&op->base64, 0, sizeof op->base64);
    sbx_json_init(&op->reply.json, sbxi_code_event, op);
    return SBX_OK;
}

/* n bytes were read while raw JSON was awaited or came. */
static int sbxi_code_raw(sbx_op *op, const char *data, size_t n)
{
    sbxi_code_args *a = &op->args.of.code;
    int rc = a->raw == SBXI_RAW_COMES ? sbxi_code_pass(op, data, n) : SBX_OK;
    if (a->raw_over) a->raw = SBXI_RAW_NONE;
    a->raw_over = false;
    return rc;
}

/* Slices are small enough for what is not taken to fit op->held. */
static int sbxi_code_data(void *ctx, const char *data, size_t len, size_t *used)
{
    sbx_op *op = (sbx_op *)ctx;
    sbxi_code_args *a = &op->args.of.code;
    size_t pos = 0;
    int rc = SBX_OK;
    while (pos < len && rc == SBX_OK) {
        size_t n = SBXI_MIN(len - pos, SBX_PIECE_BYTES), took = 0;
        uint8_t raw;
        if (a->raw == SBXI_RAW_WAITS) { /* the colon, then blanks, then the value */
            char c = data[pos];
            if (c == ':' || c == ' ' || c == '\t') n = 1;
            else a->raw = c == 'n' ? SBXI_RAW_NULL : SBXI_RAW_COMES;
        }
        raw = a->raw;
        rc = sbx_json_feed(&op->reply.json, data + pos, n, &took);
        if (rc >= 0 && raw) rc = sbxi_code_raw(op, data + pos, took);
        pos += took;
        if (rc == SBX_PENDING) rc = op->held_len ? SBX_E_AGAIN : SBX_OK;
    }
    *used = pos;
    return rc;
}

/* A message is whole: what it says beyond its texts. */
static int sbxi_code_end(void *ctx)
{
    sbx_op *op = (sbx_op *)ctx;
    sbxi_code_args *a = &op->args.of.code;
    int rc = sbx_json_end(&op->reply.json);
    if (rc != SBX_OK) return rc;
    if (a->kind == SBXI_CODE_OVER) op->ended = true;
    if (a->kind) a->may_end = a->kind >= SBXI_CODE_ERROR;
    if (a->kind == SBXI_CODE_ERROR && a->result) a->result->failed = true;
    if (a->kind != SBXI_CODE_RESULT) return SBX_OK;
    rc = sbxi_code_each(op, SBX_CODE_END, NULL, 0);
    a->results++;
    return rc;
}

static const sbxi_ndjson_events sbxi_code_lines = { sbxi_code_begin, sbxi_code_data,
    sbxi_code_end };

static int sbxi_code_feed(sbx_op *op, const char *data, size_t len, size_t *used)
{
    return sbxi_ndjson_feed(&op->args.of.code.lines, data, len, used);
}

/* The reply is over: with a message that ends it, or cut. */
static int sbxi_code_over(sbx_op *op)
{
    int rc = sbxi_ndjson_end(&op->args.of.code.lines);
    if (rc != SBX_OK && rc != SBX_E_BAD_JSON) return rc;
    if (op->ended || (rc == SBX_OK && op->args.of.code.may_end)) return SBX_OK;
    return sbxi_op_fail(op, SBX_E_NO_END,
        SBXI_TEXT("the stream ended before the code did, which may run on: restart its context"));
}

/* A sink is asked once more. */
static int sbxi_code_wake(sbx_op *op)
{
    int rc = sbxi_code_put(op, op->held.piece, op->held_len);
    if (rc == SBX_OK) op->held_len = 0;
    return rc;
}

/* A run begins, or begins anew on another connection. */
static void sbxi_code_start(sbx_op *op)
{
    sbxi_code_args *a = &op->args.of.code;
    sbxi_ndjson_init(&a->lines, &sbxi_code_lines, op);
    a->may_end = false;
    a->results = 0;
    if (a->result) memset(a->result, 0, sizeof *a->result);
}

#endif
/* reply - what becomes of the bytes of a response: headers, then by the route a
   bound result, items for a callback, a sink, or a stream of events; or, for an
   unhappy status, the fault that explains it. Events of the HTTP reader come
   in, the user's sinks and callbacks are called; nothing is collected on the
   way. Called by op.c. */

/* ---- what a fault means ---------------------------------------------------- */

static bool sbxi_rule_fits(const sbxi_rule *rule, const sbxi_fault *f, int http, uint8_t host)
{
    unsigned on = rule->when & (SBXI_ON_CONTROL | SBXI_ON_SANDBOX);
    if (on && on != (host ? SBXI_ON_SANDBOX : SBXI_ON_CONTROL)) return false;
    if (rule->http && rule->http != http) return false;
    if (!rule->text) return true;
    if (rule->when & SBXI_HAS) return strstr(f->message, rule->text) != NULL;
    return strcmp(f->word, rule->text) == 0;
}

/* What HTTP itself says, where neither route nor provider knows better. */
static int sbxi_http_meaning(int http)
{
    static const struct { uint8_t http; int8_t status; } rows[] = {
#define SBXI_ROW(http, status) { http - 400, SBX_E_##status }
        SBXI_ROW(400, REFUSED), SBXI_ROW(401, AUTH), SBXI_ROW(403, DENIED),
        SBXI_ROW(404, NOT_FOUND), SBXI_ROW(409, CONFLICT), SBXI_ROW(413, TOO_LARGE),
        SBXI_ROW(422, REFUSED), SBXI_ROW(429, RATE_LIMITED), SBXI_ROW(499, CANCELLED),
        SBXI_ROW(501, UNSUPPORTED_HOST), SBXI_ROW(502, BUSY), SBXI_ROW(503, BUSY),
        SBXI_ROW(504, BUSY), SBXI_ROW(505, UNSUPPORTED_HOST), SBXI_ROW(507, NO_SPACE)
#undef SBXI_ROW
    };
    size_t i;
    for (i = 0; i < SBXI_LEN(rows); i++)
        if (rows[i].http + 400 == http) return rows[i].status;
    return http >= 500 || http < 300 ? SBX_E_SERVER : SBX_E_PROTOCOL; /* < 300: in a stream */
}

/* The status of the first rule that fits, 0: none does. */
static int sbxi_rules_say(const sbx_op *op, const sbxi_rule *rule, const sbxi_fault *f, int http)
{
    while (rule->status && !sbxi_rule_fits(rule, f, http, op->route->host)) rule++;
    return rule->status;
}

/* The status a fault stands for: by the route's rules, the provider's, HTTP's. */
static int sbxi_fault_status(const sbx_op *op, const sbxi_fault *f, int http)
{
    const sbxi_rule *all = op->client->provider->rules;
    int status = op->route->rules ? sbxi_rules_say(op, all + op->route->rules, f, http) : 0;
    if (!status) status = sbxi_rules_say(op, all, f, http);
    return status ? status : sbxi_http_meaning(http);
}

/* ---- the user's side ------------------------------------------------------ */

static const sbx_sink *sbxi_op_sink(const sbx_op *op, unsigned id)
{
    if (op->route->recv == SBXI_RECV_SINK)
        return sbxi_op_invoked(op) ? &op->args.of.invoke.sink : &op->args.of.files.sink;
    return id == 2 ? &op->args.of.command.o.err : &op->args.of.command.o.out;
}

/* Keeps output that has no sink, up to the limit, which leaves room for a NUL. */
static int sbxi_op_capture(sbx_op *op, unsigned id, const void *data, size_t len)
{
    if (!op->args.of.command.o.capture_limit) return SBX_OK;
    return sbxi_capture_put(&op->captured[id == 2], data, len);
}

/* Gives bytes to the sink of a stream. SBX_E_AGAIN: it took nothing. */
static int sbxi_op_put(sbx_op *op, unsigned id, const void *data, size_t len)
{
    const sbx_sink *s = sbxi_op_sink(op, id);
    if (len == 0) return SBX_OK;
    op->mid_stream = true;
    if (sbxi_op_proc(op) && op->proc->pull)
        return sbxi_op_said(op, sbxi_proc_put(op->proc, id, data, len));
    if (SBXI_HAS_EXTRAS && op->feature == SBX_FEATURE_FILES_READ_BYTES) /* room for a NUL stays */
        return len < op->block.max - op->block.len ? sbxi_buf_add(&op->block, data, len)
            : SBX_E_TOO_LARGE;
    if (s->put) return sbxi_op_sink_put(op, s, data, len);
    return op->route->recv == SBXI_RECV_SINK ? SBX_OK : sbxi_op_capture(op, id, data, len);
}

/* A daemon that knows links says so beside the type of their target. */
static void sbxi_file_fix(sbx_file_info *info)
{
    if (info->is_symlink) info->type = SBX_FILE_SYMLINK;
}

/* What the answer of an each() means: it cannot pause. */
static int sbxi_each_said(int rc) { return rc > 0 || rc == SBX_E_AGAIN ? SBX_E_ARG : rc; }

/* An event of a watch for the user; none after a stop. */
static int sbxi_op_watched(sbx_op *op, sbxi_watch_item *item)
{
    int rc;
    if (!op->proc || op->proc->status != SBX_PENDING) return SBX_E_CANCELLED;
    sbxi_file_fix(&item->entry);
    if (item->has_entry) item->event.entry = &item->entry;
    rc = op->args.each.watch(op->args.ctx, &item->event);
    rc = sbxi_each_said(rc);
    if (rc && op->until) op->proc->status = rc; /* a stream's own end says it */
    return sbxi_op_said(op, rc);
}

#ifndef SBX_NO_EXTRAS
/* A copy of a sandbox for the user, or why there is none. What the callback answers
   waits until the others are told too: they run, and nobody else knows them. */
static void sbxi_op_forked(sbx_op *op, sbxi_fork_item *item)
{
    const char *url = op->sandbox->access.data_url, *id = item->access.id;
    sbxi_fault *f = &item->fault;
    sbx_error *e = &op->error; /* lent: nothing is wrong with the call */
    sbx_sandbox *s = NULL;
    int rc;
    if (id && id[0]) {
        if (url && strstr(url, "{id}")) item->access.of.data_url = url;
        s = sbxi_sandbox_with(op->client, &item->access);
        e->may_exist = SBX_YES;
        rc = sbxi_error_set(e, SBX_E_NOMEM, id);
        if (!s && !op->why) op->why = rc;
    } else {
        e->http_status = (int)f->number;
        sbxi_put_text(e->code, sizeof e->code, f->word, strlen(f->word));
        sbxi_error_set(e, sbxi_fault_status(op, f, e->http_status),
            f->message[0] ? f->message : NULL);
    }
    rc = op->args.each.fork(op->args.ctx, s, s ? NULL : e);
    if (!op->why) op->why = sbxi_each_said(rc);
    sbxi_error_clear(e);
}
#endif

#ifndef SBX_NO_TEMPLATE
/* Takes the escape sequences of a terminal out of a text: ESC, and what begins with a
   bracket up to its letter. */
static void sbxi_plain_text(char *text)
{
    char *to = text;
    while (*text) {
        if (*text != 0x1B) {
            *to++ = *text++;
            continue;
        }
        text++;
        if (*text == '[') {
            text++;
            while ((unsigned char)(*text - ' ') < '@' - ' ') text++;
        }
        text += *text != 0;
    }
    *to = 0;
}

/* A line of the log of a build. Those that came count when the build is asked again, so
   nothing is lost or told twice. */
static int sbxi_op_build_log(sbx_op *op, sbx_build_log *log)
{
    sbxi_build_args *b = &op->args.of.build;
    uint64_t step;
    int rc = SBX_OK;
    if (!log->level) log->level = "info";
    if (log->message) sbxi_plain_text((char *)(size_t)log->message); /* in our own block */
    if (log->step && sbxi_parse_u64(sbxi_span_of(log->step), SBX_MAX_STEPS, &step))
        b->step = (int32_t)step;
    b->lines++;
    b->fresh++;
    b->offset_text[sbxi_print_u64(b->offset_text, (uint64_t)b->lines)] = 0;
    if (op->args.each.build_log && log->message)
        rc = op->args.each.build_log(op->args.ctx, log);
    rc = sbxi_op_said(op, sbxi_each_said(rc));
    op->mid_stream = false;
    return rc;
}
#endif

/* An item of a list for the user: a dispatcher by the callback's type. */
static int sbxi_op_item(void *ctx, void *item)
{
    sbx_op *op = (sbx_op *)ctx;
    sbxi_args *a = &op->args;
    int rc = SBX_OK;
    switch (op->feature) {
#ifndef SBX_NO_EXTRAS
    case SBX_FEATURE_SANDBOX_METRICS:
        rc = a->each.metrics(a->ctx, (const sbx_metrics *)item);
        break;
    case SBX_FEATURE_SANDBOX_LOGS:
        rc = a->each.log(a->ctx, (const sbx_log *)item);
        break;
    case SBX_FEATURE_SNAPSHOT_LIST:
        rc = a->each.snapshot(a->ctx, (const sbx_snapshot_info *)item);
        break;
    case SBX_FEATURE_SANDBOX_FORK:
        sbxi_op_forked(op, (sbxi_fork_item *)item);
        break;
#endif
#ifndef SBX_NO_TEMPLATE
    case SBX_FEATURE_TEMPLATE_BUILD:
    case SBX_FEATURE_BUILD_GET_STATUS:
    case SBX_FEATURE_BUILD_WAIT:
        return sbxi_op_build_log(op, (sbx_build_log *)item);
    case SBX_FEATURE_TEMPLATE_LIST:
        rc = a->each.one_template(a->ctx, (const sbx_template_info *)item);
        break;
    case SBX_FEATURE_TEMPLATE_BUILDS:
        rc = a->each.build(a->ctx, (const sbx_template_build_item *)item);
        break;
    case SBX_FEATURE_TEMPLATE_LIST_TAGS:
        rc = a->each.tag(a->ctx, (const sbx_template_tag *)item);
        break;
#endif
    case SBX_FEATURE_FILES_WATCH:
    case SBX_FEATURE_WATCH_POLL:
        if (SBXI_HAS_WATCH) return sbxi_op_watched(op, (sbxi_watch_item *)item);
        break;
    case SBX_FEATURE_SANDBOX_LIST:
        rc = a->each.sandbox(a->ctx, (const sbx_sandbox_info *)item);
        break;
    case SBX_FEATURE_COMMAND_LIST:
        rc = a->each.process(a->ctx, (const sbx_process_info *)item);
        break;
    default:
        sbxi_file_fix((sbx_file_info *)item);
        if (a->each.file) rc = a->each.file(a->ctx, (const sbx_file_info *)item);
        if (!op->result)
            op->result = sbxi_keep(&op->client->link.alloc, SBXI_KEEP_FILE, item,
                                   sizeof(sbx_file_info));
        if (!op->result) rc = SBX_E_NOMEM;
    }
    return sbxi_op_said(op, sbxi_each_said(rc));
}

/* Processes that live, asked for when a stream had no end: is that of it among them? */
static int sbxi_op_listed(void *ctx, void *item)
{
    sbx_op *op = (sbx_op *)ctx;
    if (((const sbx_process_info *)item)->pid == op->pid) op->ended = true;
    return SBX_OK;
}

/* A piece of base64 text inside a message. */
static int sbxi_op_piece(void *ctx, unsigned id, const char *text, size_t len, bool more)
{
    sbx_op *op = (sbx_op *)ctx;
    size_t n = 0;
    int rc = sbx_base64_decode(&op->base64, text, len, op->held.piece, &n);
    if (rc == SBX_OK && !more) {
        rc = sbx_base64_end(&op->base64);
        memset(&op->base64, 0, sizeof op->base64);
    }
    if (rc == SBX_OK && (!op->started || op->ended)) rc = SBX_E_PROTOCOL;
    if (rc != SBX_OK) return rc;
    rc = sbxi_op_put(op, id, op->held.piece, n);
    if (rc != SBX_E_AGAIN) return rc;
    op->held_id = id;
    op->held_len = n;
    return SBX_PENDING;
}

/* ---- JSON, and streams of envelopes with JSON ------------------------------- */

/* What the JSON that comes now is bound to: the explanation of an unhappy reply, a
   message of a stream, a result, items. */
static int sbxi_reply_bind(sbx_op *op)
{
    sbxi_reply *r = &op->reply;
    const sbxi_route *route = op->route;
    int rc = SBX_OK;
    r->json_started = true;
    memset(&r->of, 0, sizeof r->of);
    memset(&op->base64, 0, sizeof op->base64);
    if (!r->happy) {
        sbxi_bind_init(&r->bind, op->client->provider->fault, NULL, &r->of.fault);
    } else if (route->recv == SBXI_RECV_EVENTS
               && (!SBXI_HAS_WATCH || op->feature != SBX_FEATURE_FILES_WATCH)) {
        sbxi_bind_init(&r->bind, route->reply, NULL, &r->of.event);
    } else {
        rc = sbxi_block_start(&op->block);
        if (route->recv == SBXI_RECV_EACH)
            sbxi_bind_each(&r->bind, route->reply, &op->block);
        else
            sbxi_bind_init(&r->bind, route->reply, &op->block, NULL);
    }
    r->bind.item = SBXI_HAS_EXTRAS && op->probing ? sbxi_op_listed : sbxi_op_item;
    r->bind.piece = sbxi_op_piece;
    r->bind.ctx = op;
    sbx_json_init(&r->json, sbxi_bind_event, &r->bind);
    return rc;
}

static int sbxi_frame_begin(void *ctx, unsigned flags, uint32_t len)
{
    (void)flags;
    (void)len;
    return sbxi_reply_bind((sbx_op *)ctx);
}

/* The slices are small enough for what they decode to fit op->piece. */
#define SBXI_SLICE ((SBX_PIECE_BYTES - 3) / 3 * 4)

static int sbxi_frame_data(void *ctx, const char *data, size_t len, size_t *used)
{
    sbx_op *op = (sbx_op *)ctx;
    size_t pos = 0;
    int rc = SBX_OK;
    while (pos < len && rc == SBX_OK) {
        size_t took = 0;
        rc = sbx_json_feed(&op->reply.json, data + pos, SBXI_MIN(len - pos, SBXI_SLICE), &took);
        pos += took;
    }
    *used = pos;
    return rc == SBX_PENDING ? SBX_E_AGAIN : rc;
}

static int sbxi_frame_end(void *ctx)
{
    sbx_op *op = (sbx_op *)ctx;
    int rc = sbx_json_end(&op->reply.json);
    return rc == SBX_OK ? op->client->provider->event(op) : rc;
}

/* ---- events of the HTTP reader -------------------------------------------- */

/* Retry-After: seconds, or a date to be compared with the clock. */
static int32_t sbxi_retry_after(const sbx_op *op, sbxi_span value)
{
    const int64_t now = sbxi_clock(&op->client->link.net);
    uint64_t s;
    int64_t date;
    if (sbxi_parse_u64(value, UINT64_MAX, &s))
        return s > INT32_MAX / 1000 ? INT32_MAX : (int32_t)s * 1000;
    if (!now || !sbxi_parse_http_date(value.ptr, &date)) return -1;
    date -= now;
    return date < 0 ? 0 : date > INT32_MAX ? INT32_MAX : (int32_t)date;
}

/* The next page's token; a service that repeats one would never end. */
static int sbxi_reply_token(sbx_op *op, const char *token, bool cut)
{
    const char *now = op->args.of.list.token;
    size_t len = strlen(token);
    if (cut || len >= sizeof op->held.token)
        return sbxi_op_fail(op, SBX_E_TOO_LARGE,
                            SBXI_TEXT("a page token is longer than SBX_MAX_TOKEN"));
    if (now && strcmp(now, token) == 0)
        return sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the list repeats a page"));
    memcpy(op->held.token, token, len + 1);
    op->reply.more = len > 0;
    return SBX_OK;
}

static bool sbxi_is_range(const sbx_op *op, const char *name)
{
    return SBXI_HAS_EXTRAS && sbxi_reads_file(op->feature) && strcmp(name, "content-range") == 0;
}

/* Which part of the file it is: "bytes 5-9/20" with the offset asked for. */
static void sbxi_reply_range(sbx_op *op, const char *value)
{
    sbxi_files_args *a = &op->args.of.files;
    sbxi_span first = { value + 6, strcspn(value, "-") };
    uint64_t at;
    if (strncmp(value, "bytes ", 6) != 0) return;
    first.len -= 6;
    a->placed = sbxi_parse_u64(first, INT64_MAX, &at) && at == (uint64_t)a->o.offset;
}

#define sbxi_file_too_large \
    SBXI_TEXT("the file is larger than options.max_len, or without it SBX_MAX_RESULT")

/* Room for the bytes that will come, as far as their number is known. */
static int sbxi_reply_room(sbx_op *op, const sbx_http_head *head)
{
    const sbxi_files_args *a = &op->args.of.files;
    size_t limit = a->o.max_len ? a->o.max_len : SBX_MAX_RESULT;
    uint64_t size = 0, length = head->gzip || head->length < 0 ? 0 : (uint64_t)head->length;
    int rc;
    if (!sbxi_size_add(&op->block.max, limit, sizeof(sbxi_owned) + 1)) op->block.max = SIZE_MAX;
    if (length > a->skip) size = SBXI_MIN(a->left, length - a->skip);
    rc = sbxi_block_start(&op->block);
    if (rc == SBX_OK) rc = size > limit ? SBX_E_TOO_LARGE
        : sbxi_buf_reserve(&op->block, (size_t)size + 1);
    return rc == SBX_E_TOO_LARGE ? sbxi_op_fail(op, rc, sbxi_file_too_large) : rc;
}

/* What of the body is the caller's, by whether the host heeded the range. */
static int sbxi_reply_file(sbx_op *op, const sbx_http_head *head)
{
    sbxi_files_args *a = &op->args.of.files;
    bool part = head->status == 206, placed = a->placed && (a->o.offset || a->o.length);
    a->placed = false;
    a->skip = part ? 0 : (uint64_t)a->o.offset;
    a->left = a->o.length ? (uint64_t)a->o.length : UINT64_MAX;
    if (part && !placed)
        return sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("the host sends a part of the file that was not asked for"));
    return op->feature == SBX_FEATURE_FILES_READ ? SBX_OK : sbxi_reply_room(op, head);
}

/* n bytes of `len` were the caller's. With the last of them the rest is of no use, but
   a host that sends the part alone ends there by itself. */
static int sbxi_reply_left(sbx_op *op, size_t n, size_t len)
{
    sbxi_files_args *a = &op->args.of.files;
    a->left -= n;
    if (a->left || (op->reply.http == 206 && n == len)) return SBX_OK;
    op->reply.enough = true;
    return SBX_E_CANCELLED;
}

/* Bytes of a body for the sink: of a file not more than the caller wants. */
static int sbxi_reply_sink(sbx_op *op, const char *data, size_t len, size_t *used)
{
    sbxi_files_args *a = &op->args.of.files;
    bool file = SBXI_HAS_EXTRAS && sbxi_reads_file(op->feature);
    size_t skip = 0, n = len;
    int rc;
    if (file) {
        skip = (size_t)SBXI_MIN(a->skip, len);
        n = (size_t)SBXI_MIN(a->left, len - skip);
    }
    rc = sbxi_op_put(op, 1, data + skip, n);
    if (SBXI_HAS_EXTRAS && rc == SBX_E_TOO_LARGE && op->feature == SBX_FEATURE_FILES_READ_BYTES)
        sbxi_op_fail(op, rc, sbxi_file_too_large);
    *used = rc == SBX_E_AGAIN ? skip : len;
    a->skip -= skip;
    if (!file || rc != SBX_OK) return rc;
    return sbxi_reply_left(op, n, len);
}

#ifndef SBX_NO_REDIRECT
/* Kept where a result would be, of which a redirect has none. */
static void sbxi_reply_location(sbx_op *op, sbxi_span value)
{
    sbxi_buf_clear(&op->block);
    sbxi_buf_add(&op->block, value.ptr, value.len);
    op->reply.locations = op->reply.locations ? 2 : 1;
}
#endif

/* Whether a header line names the next page of a list. */
static bool sbxi_is_page(const sbx_op *op, const char *name)
{
    const char *page = op->client->provider->page_header;
    return sbxi_is_paged(op->feature) && page && strcmp(name, page) == 0
        && op->x.http.head_.status < 300;
}

static int sbxi_reply_header(void *ctx, const char *name, const char *value, bool cut)
{
    sbx_op *op = (sbx_op *)ctx;
    sbxi_reply *r = &op->reply;
    sbxi_span v = sbxi_span_of(value);
    sbxi_trace_header(op, name, value);
    if (strcmp(name, "retry-after") == 0)
        r->retry_after_ms = sbxi_retry_after(op, v);
    else if (strcmp(name, "should-retry") == 0)
        r->should_retry = sbxi_span_is_nocase(v, "true") ? SBX_YES : SBX_NO;
#ifndef SBX_NO_REDIRECT
    else if (strcmp(name, "location") == 0 && op->x.http.head_.status / 100 == 3 && !cut)
        sbxi_reply_location(op, v);
#endif
    else if (!cut && sbxi_is_range(op, name))
        sbxi_reply_range(op, value);
    else if (sbxi_is_page(op, name))
        return sbxi_reply_token(op, value, cut);
    return SBX_OK;
}

/* JSON of a result. A broken error body is kept as text instead. */
static int sbxi_reply_json(sbx_op *op, const char *data, size_t len)
{
    sbxi_reply *r = &op->reply;
    int rc;
    if (!r->happy) { /* what is not JSON is shown as it is */
        size_t room = sizeof op->error.message - 1 - r->raw_len, n = SBXI_MIN(len, room);
        memcpy(op->error.message + r->raw_len, data, n);
        r->raw_len = (uint8_t)(r->raw_len + n);
    }
    rc = sbx_json_feed(&r->json, data, len, NULL);
    if (!r->happy) return SBX_OK;
    if (rc == SBX_E_TOO_LARGE)
        sbxi_op_fail(op, rc, SBXI_TEXT("the reply is larger than SBX_MAX_RESULT or deeper than "
                             "SBX_MAX_JSON_DEPTH"));
    return rc;
}

/* ---- packed bodies -------------------------------------------------------- */

#ifndef SBX_NO_GZIP

static int sbxi_reply_unpacked(void *ctx, const void *data, size_t len)
{
    sbx_op *op = (sbx_op *)ctx;
    size_t used;
    return op->reply.happy ? sbxi_reply_sink(op, (const char *)data, len, &used)
        : sbxi_reply_json(op, (const char *)data, len);
}

/* The body comes as gzip, which may have been asked for. */
static int sbxi_reply_packed(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    if (!sbxi_op_unzips(op))
        return sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("the reply is compressed though not asked for"));
    a->unzip = (sbxi_inflate *)sbxi_alloc_get(&op->client->link.alloc, sizeof *a->unzip);
    if (!a->unzip) return SBX_E_NOMEM;
    sbxi_inflate_init(a->unzip, sbxi_reply_unpacked, op);
    return SBX_OK;
}

/* What unpacks the body that comes, NULL: it is not packed. */
static sbxi_inflate *sbxi_reply_unzip(const sbx_op *op)
{
    return sbxi_reads_file(op->feature) ? op->args.of.files.unzip : NULL;
}

static int sbxi_reply_unpack(sbx_op *op, const char *data, size_t len, size_t *used)
{
    int rc = sbxi_inflate_feed(sbxi_reply_unzip(op), data, len, used);
    if (rc == SBX_E_PROTOCOL && !op->x.stop)
        sbxi_op_fail(op, rc, SBXI_TEXT("the body is not gzip, or damaged"));
    return rc;
}

/* Whether a packed body was whole. */
static bool sbxi_reply_unpacked_all(sbx_op *op)
{
    const sbxi_inflate *z = sbxi_reply_unzip(op);
    if (!z || sbxi_inflate_whole(z)) return true;
    sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the body ends in the middle of gzip"));
    return false;
}

static void sbxi_reply_end_unpacking(sbx_op *op)
{
    sbxi_inflate *z = sbxi_reply_unzip(op);
    if (!z) return;
    sbxi_alloc_free(&op->client->link.alloc, z, sizeof *z);
    op->args.of.files.unzip = NULL;
}

#else

static int sbxi_reply_packed(sbx_op *op)
{
    return sbxi_op_fail(op, SBX_E_PROTOCOL,
        SBXI_TEXT("the reply is compressed though not asked for"));
}

static void sbxi_reply_end_unpacking(sbx_op *op) { (void)op; }
static bool sbxi_reply_unpacked_all(sbx_op *op)
{
    (void)op;
    return true;
}

#endif

static int sbxi_reply_head(void *ctx, const sbx_http_head *head)
{
    static const sbxi_connect_events frames = { sbxi_frame_begin, sbxi_frame_data, sbxi_frame_end };
    sbx_op *op = (sbx_op *)ctx;
    sbxi_reply *r = &op->reply;
    uint8_t recv = op->route->recv;
    sbxi_trace_header(op, NULL, NULL);
    r->http = head->status;
    r->happy = head->status >= 200 && head->status < 300;
    if (head->gzip) {
        int rc = sbxi_reply_packed(op);
        if (rc != SBX_OK) return rc;
    }
    sbxi_connect_init(&op->frame, &frames, op);
#ifndef SBX_NO_RUN_CODE
    if (recv == SBXI_RECV_LINES) sbxi_code_start(op);
#endif
    if (SBXI_HAS_EXTRAS && r->happy && recv == SBXI_RECV_SINK && sbxi_reads_file(op->feature))
        return sbxi_reply_file(op, head);
    if (r->happy && (recv == SBXI_RECV_NOTHING || recv >= SBXI_RECV_SINK)) return SBX_OK;
    return sbxi_reply_bind(op);
}

static int sbxi_reply_body(void *ctx, const char *data, size_t len, size_t *used)
{
    sbx_op *op = (sbx_op *)ctx;
    int rc = SBX_OK;
    *used = len;
#ifndef SBX_NO_GZIP
    if (sbxi_reply_unzip(op)) {
        rc = sbxi_reply_unpack(op, data, len, used);
        sbxi_trace_body(op, data, *used);
        return rc;
    }
#endif
    if (!op->reply.happy) rc = sbxi_reply_json(op, data, len);
    else switch (op->route->recv) {
    case SBXI_RECV_NOTHING:
        break;
    case SBXI_RECV_SINK:
        rc = sbxi_reply_sink(op, data, len, used);
        break;
    case SBXI_RECV_EVENTS:
        rc = sbxi_connect_feed(&op->frame, data, len, used);
        break;
#ifndef SBX_NO_RUN_CODE
    case SBXI_RECV_LINES:
        rc = sbxi_code_feed(op, data, len, used);
        break;
#endif
    default:
        rc = sbxi_reply_json(op, data, len);
    }
    sbxi_trace_body(op, data, *used);
    return rc;
}

static const sbx_http_events sbxi_reply_events = { sbxi_reply_header, sbxi_reply_head,
    sbxi_reply_body };

/* Gives a sink once more what it did not take; then the stream can go on. */
static int sbxi_reply_wake(sbx_op *op)
{
    size_t used;
    int rc;
    op->asleep = op->x.dry = false;
    op->x.since = sbxi_now(&op->client->link);
#ifndef SBX_NO_GZIP
    if (sbxi_reply_unzip(op)) return sbxi_reply_unpack(op, "", 0, &used);
#endif
    if (!op->held_len) return SBX_OK;
#ifndef SBX_NO_RUN_CODE
    if (op->route->recv == SBXI_RECV_LINES) return sbxi_code_wake(op);
#endif
    rc = sbxi_op_put(op, op->held_id, op->held.piece, op->held_len);
    if (rc != SBX_OK) return rc;
    op->held_len = 0;
    return sbxi_connect_feed(&op->frame, NULL, 0, &used);
}

/* ---- the end of a response ------------------------------------------------ */

/* Puts a fault into the error and returns its meaning. */
static int sbxi_op_fault(sbx_op *op, const sbxi_fault *f, int http)
{
    sbx_error *e = &op->error;
    int status = sbxi_fault_status(op, f, f->number > 0 ? (int)f->number : http);
    if (status > 0) return status;
    e->http_status = http;
    e->retry_after_ms = op->reply.retry_after_ms;
    sbxi_put_text(e->code, sizeof e->code, f->word, strlen(f->word));
    if (status == SBX_E_SANDBOX_GONE) e->sandbox_alive = e->process_alive = SBX_NO;
    if (status == SBX_E_UNREACHABLE) e->sandbox_alive = SBX_YES; /* its gateway knows it */
    if (status == SBX_E_KILLED) e->process_alive = SBX_NO;
    return sbxi_error_set(e, status, f->message[0] ? f->message : NULL);
}

/* Not the service says that something is missing, but whoever knows no such route. */
static bool sbxi_reply_is_no_route(const sbx_op *op, const sbxi_fault *f)
{
    return op->reply.http == 404 && !f->number && !op->client->dialect
        && op->feature == SBX_FEATURE_SANDBOX_CREATE && op->route->host == SBXI_HOST_CONTROL
        && op->route->method == SBXI_POST;
}

static int sbxi_reply_unhappy(sbx_op *op)
{
    sbxi_reply *r = &op->reply;
    sbxi_fault *f = &r->of.fault;
    if (sbx_json_end(&r->json) != SBX_OK || (!f->message[0] && !f->word[0])) {
        memset(f, 0, sizeof *f);
        sbxi_put_text(f->message, sizeof f->message, op->error.message, r->raw_len);
    }
    r->raw_len = 0;
    op->error.message[0] = 0;
#ifndef SBX_NO_PROXY
    if (r->http == 407) return sbxi_proxy_refused(r->http, &op->error); /* whatever it says */
#endif
    if (sbxi_reply_is_no_route(op, f)) {
        op->error.http_status = r->http;
        return sbxi_op_fail(op, SBX_E_UNSUPPORTED_HOST, op->client->provider->no_create);
    }
    return sbxi_op_fault(op, f, r->http);
}

/* SBX_OK: the route got what it asked for. */
static int sbxi_reply_end(sbx_op *op)
{
    sbxi_reply *r = &op->reply;
    int rc = SBX_OK;
    if (!r->happy) {
        rc = sbxi_reply_unhappy(op);
        r->no = rc == SBXI_MEANS_NO;
        return rc > 0 ? SBX_OK : rc;
    }
    if (!sbxi_reply_unpacked_all(op)) return SBX_E_PROTOCOL;
#ifndef SBX_NO_RUN_CODE
    if (op->route->recv == SBXI_RECV_LINES) return sbxi_code_over(op);
#endif
    if (op->route->recv == SBXI_RECV_EVENTS) return op->ended ? SBX_OK : SBX_E_NO_END;
    if (!r->json_started) return SBX_OK;
    rc = sbx_json_end(&r->json);
    if (rc == SBX_OK && op->route->recv == SBXI_RECV_RESULT) {
        sbxi_buf_trim(&op->block);
        op->result = sbxi_bind_result(&r->bind);
        if (op->feature >= SBX_FEATURE_FILES_READ && op->feature < SBX_FEATURE_FILES_WATCH)
            sbxi_file_fix((sbx_file_info *)op->result);
        sbxi_block_take(&op->block);
    }
    return rc;
}

static void sbxi_reply_clear(sbx_op *op)
{
    memset(&op->reply, 0, offsetof(sbxi_reply, json));
    op->reply.retry_after_ms = -1;
}
/* deliver - hands the result of a finished operation to the user. Called by op.c. */

/* A captured stream becomes the user's, NUL-terminated. */
static int sbxi_take(sbxi_capture *c, char **out, size_t *len, uint64_t *cut)
{
    int rc = SBX_OK;
    if (!c->buf.data) rc = sbxi_block_start(&c->buf);
    if (rc == SBX_OK) rc = sbxi_buf_add(&c->buf, "", 1);
    if (rc != SBX_OK) return rc;
    *out = c->buf.data + sizeof(sbxi_owned);
    *len = c->buf.len - sizeof(sbxi_owned) - 1;
    *cut = c->cut;
    sbxi_block_take(&c->buf);
    return SBX_OK;
}

static int sbxi_take_capture(sbx_op *op, bool err, char **out, size_t *len, uint64_t *cut)
{
    const sbx_command_options *o = &op->args.of.command.o;
    if (!o->capture_limit || (err ? o->err.put : o->out.put)) return SBX_OK;
    return sbxi_take(&op->captured[err], out, len, cut);
}

static int sbxi_deliver_command(sbx_op *op)
{
    sbx_command_result *r = op->args.of.command.result;
    int rc;
    if (!r) return SBX_OK;
    r->pid = op->pid;
    rc = sbxi_take_capture(op, false, &r->out, &r->out_len, &r->out_cut);
    if (rc == SBX_OK) rc = sbxi_take_capture(op, true, &r->err, &r->err_len, &r->err_cut);
    if (rc != SBX_OK) {
        sbx_free(r->out);
        r->out = NULL;
        r->out_len = 0;
    }
    return rc;
}

#ifndef SBX_NO_RUN_CODE
static int sbxi_deliver_code(sbx_op *op)
{
    sbxi_code_args *a = &op->args.of.code;
    sbx_run_code_result *r = a->result;
    int rc = SBX_OK;
    if (!r) return SBX_OK;
    r->results = a->results;
    if (!a->o.capture_limit) return SBX_OK;
    if (!a->o.out.put) rc = sbxi_take(&op->captured[0], &r->out, &r->out_len, &r->out_cut);
    if (rc == SBX_OK && !a->o.err.put)
        rc = sbxi_take(&op->captured[1], &r->err, &r->err_len, &r->err_cut);
    if (rc == SBX_OK && r->failed)
        rc = sbxi_take(&a->traceback, &r->traceback, &r->traceback_len, &r->traceback_cut);
    if (rc == SBX_OK) return rc;
    sbx_free(r->out); /* the rest is cleared with the failure */
    sbx_free(r->err);
    return rc;
}
#endif

/* The file that was read. Of a part behind its end nothing was. */
static int sbxi_deliver_bytes(sbx_op *op)
{
    sbxi_buf *b = &op->block;
    int rc = op->reply.no || !b->len ? sbxi_block_start(b) : SBX_OK;
    char *data;
    if (rc == SBX_OK) rc = sbxi_buf_add(b, "", 1);
    if (rc != SBX_OK) return rc;
    sbxi_buf_trim(b);
    data = b->data + sizeof(sbxi_owned);
    *op->args.of.files.len = b->len - sizeof(sbxi_owned) - 1;
    memcpy(op->args.out, &data, sizeof data);
    sbxi_block_take(b);
    return SBX_OK;
}

static int sbxi_op_deliver(sbx_op *op)
{
    void *got = op->result;
    if (op->until) return SBX_OK; /* has handed out what it waited for */
    if (sbxi_is_stream(op->feature)) return sbxi_deliver_command(op);
#ifndef SBX_NO_RUN_CODE
    if (op->feature == SBX_FEATURE_RUN_CODE) return sbxi_deliver_code(op);
#endif
    if (SBXI_HAS_EXTRAS && op->feature == SBX_FEATURE_FILES_READ_BYTES)
        return sbxi_deliver_bytes(op);
    if (op->args.answer) *op->args.answer = !op->reply.no;
    if (!op->args.out) return SBX_OK; /* without a taker it is freed with the operation */
    if (op->feature == SBX_FEATURE_SANDBOX_CREATE) {
        got = op->sandbox;
        op->sandbox = NULL;
    } else if (!got || (op->feature == SBX_FEATURE_SANDBOX_GET_INFO
                        && !((const sbx_sandbox_info *)got)->id)) {
        return sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the reply lacks what was asked for"));
    } else {
        op->result = NULL;
    }
    memcpy(op->args.out, &got, sizeof got); /* some struct's pointer */
    return SBX_OK;
}
/* op - the driver of operations: starts them, runs their exchanges and naps,
   and is the one place that knows deadlines, retries, probing, cancelling and
   blocking. Called by api/ to start, by the user to poll. */

/* ---- what a step may ask for ---------------------------------------------- */

/* One exchange by a route; the step function is called with `next` after it. */
static int sbxi_ask(sbx_op *op, unsigned route, uint8_t next)
{
    op->route = sbxi_op_route(op, route);
    op->step = next;
    op->tries = op->hops = 0;
    op->fresh = op->mid_stream = false;
    op->phase = SBXI_PHASE_EXCHANGE;
    return SBX_PENDING;
}

/* The same after a while. */
static SBXI_MAYBE int sbxi_ask_later(sbx_op *op, unsigned route, uint8_t next, int32_t ms)
{
    (void)sbxi_ask(op, route, next);
    op->nap_since = sbxi_now(&op->client->link);
    op->nap_ms = ms;
    op->phase = SBXI_PHASE_NAP;
    return SBX_PENDING;
}

/* No exchange: the step itself once more, after a while. What returns SBX_PENDING
   without asking for anything is called again when others had their turn. */
static SBXI_MAYBE int sbxi_step_later(sbx_op *op, int32_t ms)
{
    op->nap_since = sbxi_now(&op->client->link);
    op->nap_ms = ms;
    op->phase = SBXI_PHASE_NAP;
    op->dreams = true;
    return SBX_PENDING;
}

/* The route of the function itself, and that was it. */
static SBXI_MAYBE int sbxi_ask_default(sbx_op *op)
{
    return sbxi_ask(op, op->feature, SBXI_STEP_DONE);
}

/* ---- exchanges ------------------------------------------------------------ */

/* How long its reply may be silent, 0: by the clocks. */
static int32_t sbxi_op_quiet_ms(const sbx_op *op)
{
#ifndef SBX_NO_RUN_CODE
    if (op->route->recv == SBXI_RECV_LINES) return op->args.of.code.o.timeout_ms;
#endif
    (void)op;
    return 0;
}

static SBXI_APART int sbxi_op_connect(sbx_op *op)
{
    sbxi_url url;
    int rc;
    sbxi_reply_clear(op);
    if (!op->probing) sbxi_error_clear(&op->error);
    rc = sbxi_op_build(op, &url);
    if (rc != SBX_OK) return rc;
    if (op->feature == SBX_FEATURE_SANDBOX_CREATE && !op->sandbox && !sbxi_sandbox_reserve(op))
        return SBX_E_NOMEM;
    if ((op->tries || op->hops) && op->x.sent && !sbxi_op_rewind(op)) return SBX_E_SOURCE;
    op->held_len = 0;
    op->started = op->ended = op->asleep = false;
    sbxi_exchange_init(&op->x, &op->client->link, &op->out);
    op->x.quiet_ms = sbxi_op_quiet_ms(op);
    sbxi_trace_begin(op);
    sbx_http_init(&op->x.http, op->line, sizeof op->line, false, &sbxi_reply_events, op);
    /* what must not be sent twice does not go out on a kept connection: when that
       dies, nobody can tell a stale one from a service that had read it all */
    return sbxi_exchange_start(&op->x, &url,
        op->fresh || (op->route->retry == SBXI_RETRY_REJECTED && !op->repeatable));
}

/* Frees what an exchange needed. */
static void sbxi_op_disconnect(sbx_op *op)
{
    sbxi_trace_end(op);
    sbxi_reply_end_unpacking(op);
    if (op->x.conn) sbxi_exchange_end(&op->x);
}

/* Backoff: what the service asked for, else 0.1 s doubling up to 10 s, of which
   a random half is taken off: jitter needs no strength, only difference. */
static int32_t sbxi_backoff(sbx_op *op)
{
    const sbxi_link *link = &op->client->link;
    uint32_t jitter = sbxi_now(link) * UINT32_C(2654435761); /* without entropy: mixed */
    int32_t ms = 100;
    unsigned i;
    if (op->reply.retry_after_ms >= 0) return op->reply.retry_after_ms;
    for (i = 0; i < op->tries && ms < 10000; i++) ms *= 2;
    ms = SBXI_MIN(ms, 10000);
    if (link->net.entropy) (void)link->net.entropy(link->net.ctx, &jitter, sizeof jitter);
    return ms - (int32_t)((jitter >> 22) * (uint32_t)(ms / 2) >> 10);
}

/* What is left of the total clock. */
static uint32_t sbxi_op_left(const sbx_op *op, uint32_t now)
{
    return sbxi_left(op->since, op->total_ms, now);
}

/* Whether what the service says lets the request be sent again. */
static bool sbxi_reply_lets_retry(const sbxi_reply *r, uint8_t class)
{
    if (r->happy || class == SBXI_RETRY_NEVER) return false;
    if (r->should_retry != SBX_DEFAULT) return r->should_retry == SBX_YES;
    if (r->http == 429 || r->http == 503) return true;
    return class == SBXI_RETRY_SAFE && (r->http == 502 || r->http == 504);
}

/* Whether the failed exchange may be sent again, by the route's class. */
static bool sbxi_may_retry(const sbx_op *op, int rc)
{
    const sbxi_reply *r = &op->reply;
    uint8_t class = op->repeatable ? SBXI_RETRY_SAFE : op->route->retry;
    if (op->mid_stream || op->probing) return false;
    if (op->detached && op->route->retry != SBXI_RETRY_SAFE) return false; /* the create */
    if (r->http) return sbxi_reply_lets_retry(r, class);
    return rc == SBX_E_CONNECT
        || (rc == SBX_E_NETWORK && (!op->x.sent || class == SBXI_RETRY_SAFE));
}

/* Whether what was sent can be sent again. */
static bool sbxi_op_rewinds(const sbx_op *op)
{
    size_t i;
    for (i = 0; i < op->out.part_count; i++)
        if (!op->out.parts[i].source.rewind) return false;
    return true;
}

/* A kept connection that died before one byte came back; a create that is followed
   up, without a sandbox yet, is not sent again for it, nor what a process reads: it
   may have read it. */
static bool sbxi_op_is_stale(const sbx_op *op, int rc)
{
    return rc == SBX_E_NETWORK && op->x.reused && !op->x.answered && !op->fresh
        && !op->mid_stream && !(op->detached && !op->sandbox)
        && (unsigned)op->feature - SBX_FEATURE_COMMAND_SEND_STDIN
            > SBX_FEATURE_PTY_STREAM_INPUT - SBX_FEATURE_COMMAND_SEND_STDIN;
}

/* A call without a deadline of its own is not made to sleep longer. */
#define SBXI_NAP_MS 60000u

/* Arranges another try. False: the failure stands. */
static bool sbxi_op_retry(sbx_op *op, int rc)
{
    const sbx_client *c = op->client;
    int32_t limit = c->config.retries == 0 ? 3 : c->config.retries < 0 ? 0 : c->config.retries;
    uint32_t now;
    int32_t ms;
    if (sbxi_op_is_stale(op, rc)) {
        if (!sbxi_op_rewinds(op)) return false;
        if (op->tries == 0) op->tries = 1;
        op->fresh = true;
        sbxi_op_disconnect(op);
        op->phase = SBXI_PHASE_EXCHANGE;
        return true;
    }
    if (op->tries >= limit || !sbxi_may_retry(op, rc)) return false;
    now = sbxi_now(&c->link);
    ms = sbxi_backoff(op);
    if ((uint32_t)ms >= (op->total_ms < 0 ? SBXI_NAP_MS : sbxi_op_left(op, now))) return false;
    op->tries++;
    sbxi_op_disconnect(op);
    op->nap_since = now;
    op->nap_ms = ms;
    op->phase = SBXI_PHASE_NAP;
    return true;
}

/* ---- redirects ------------------------------------------------------------ */

#ifdef SBX_NO_REDIRECT

static bool sbxi_op_is_redirect(const sbx_op *op)
{
    (void)op;
    return false;
}

static int sbxi_op_redirect(sbx_op *op) { return op->status; }

#else

/* 301, 302, 303, 307, 308, and they are followed. */
static bool sbxi_op_is_redirect(const sbx_op *op)
{
    unsigned n = (unsigned)op->reply.http - 301;
    return op->client->config.redirects > 0 && n < 8 && 0xC7 >> n & 1;
}

static bool sbxi_url_same_origin(const sbxi_url *a, const sbxi_url *b)
{
    return a->tls == b->tls && a->port == b->port && a->host.len == b->host.len
        && sbxi_ends_nocase(a->host, b->host);
}

/* Turns op->url to where the reply points: a path, or a URL of the same origin,
   whose bytes stay as they are. False: it is neither. */
static bool sbxi_op_turn(sbx_op *op)
{
    sbxi_span now_text = { op->url.data, op->url.len }, to = { op->block.data, op->block.len };
    sbxi_url now, other;
    if (!sbxi_url_origin(now_text, &now)) return false;
    if (!to.len || to.ptr[0] != '/' || (to.len > 1 && to.ptr[1] == '/')) {
        if (!sbxi_url_origin(to, &other) || !sbxi_url_same_origin(&other, &now)) return false;
        to = other.path;
    }
    if (!sbxi_is_target(to, '#')) return false;
    op->url.len = (size_t)(now.path.ptr - op->url.data);
    return sbxi_buf_add(&op->url, to.len ? to.ptr : "/", to.len ? to.len : 1) == SBX_OK;
}

/* Goes where the reply points (SBX_PENDING), if that is allowed. Requests keep their
   method: what is not a GET would have to become one after 301 to 303. */
static int sbxi_op_redirect(sbx_op *op)
{
    bool get = op->route->method == SBXI_GET;
    const char *why = NULL;
    op->reply.raw_len = 0;
    op->error.message[0] = 0;
    if (op->reply.locations && op->block.status) return op->block.status;
    if (op->hops >= op->client->config.redirects || op->hops == UINT8_MAX)
        why = SBXI_TEXT("more redirects than config.redirects: do they go round in a circle?");
    else if (!get && (op->reply.http < 307 || !sbxi_op_rewinds(op)))
        why = SBXI_TEXT("a redirect that this request cannot follow: it would lose its body");
    else if (op->reply.locations != 1)
        why = SBXI_TEXT("a redirect without one usable Location");
    else if (!sbxi_op_turn(op))
        why = SBXI_TEXT("a redirect to another host or scheme, or to what is no http URL or path: "
            "not followed");
    else {
        op->hops++;
        sbxi_op_disconnect(op);
        op->phase = SBXI_PHASE_EXCHANGE;
        return SBX_PENDING;
    }
    return sbxi_op_fail(op, SBX_E_PROTOCOL, why);
}

#endif

/* ---- the end -------------------------------------------------------------- */

static void sbxi_op_unlink(sbx_op *op)
{
    sbx_op **at = &op->client->ops;
    while (*at && *at != op) at = &(*at)->next;
    if (*at) *at = op->next;
}

static void sbxi_proc_unref(sbx_proc *p);

/* Frees the memory of a run; the struct stays until the user releases it. */
static void sbxi_op_clean(sbx_op *op)
{
    sbxi_op_disconnect(op);
    sbxi_op_drop_parts(op);
    if (SBXI_HAS_TEMPLATE && op->clean) op->clean(&op->args);
    op->clean = NULL;
    sbxi_buf_free(&op->out.text);
    sbxi_buf_free(&op->url);
    sbxi_buf_free(&op->block);
    sbxi_buf_free(&op->captured[0].buf);
    sbxi_buf_free(&op->captured[1].buf);
#ifndef SBX_NO_RUN_CODE
    if (op->feature == SBX_FEATURE_RUN_CODE) sbxi_buf_free(&op->args.of.code.traceback.buf);
#endif
    sbx_free(op->kept);
    op->kept = NULL;
    sbx_free(op->result);
    op->result = NULL;
    sbxi_sandbox_unref(op->sandbox);
    op->sandbox = NULL;
    sbxi_sandbox_unref(op->spare);
    op->spare = NULL;
    if (SBXI_HAS_PROC && op->until) sbxi_proc_unref(op->proc);
    op->proc = NULL;
}

static void sbxi_op_free(sbx_op *op)
{
    const sbx_alloc *a = &op->client->link.alloc;
    sbxi_op_unlink(op);
    sbxi_op_clean(op);
    sbxi_alloc_wipe(a, op, sizeof *op);
}

/* Tells the user, once. */
static void sbxi_op_tell(sbx_op *op, int status)
{
    sbx_client *c = op->client;
    op->status = status;
    if (op->reply.raw_len) op->error.message[0] = 0; /* half an error body */
    if (status != SBX_OK) {
        sbxi_error_set(&op->error, status, NULL);
        op->error.status = status;
        if (!op->error.pid) op->error.pid = op->pid;
        if (!op->error.http_status) op->error.http_status = op->reply.http;
        if (sbxi_op_proc(op)) op->proc->error = op->error;
        else if (op->call.error) *op->call.error = op->error;
        else if (!op->released) c->error = op->error;
    }
    if (sbxi_op_proc(op)) sbxi_proc_ended(op, status);
    if (op->call.op && op->call.done) {
        c->callbacks++;
        op->call.done(op->call.user, op, status);
        c->callbacks--;
    }
}

/* A create whose reply is missing, or was not understood, may have made a
   sandbox; one that could not be undone did. */
static void sbxi_op_note_create(sbx_op *op)
{
    bool create = op->feature == SBX_FEATURE_SANDBOX_CREATE;
    bool cut = op->cut || (create && op->sandbox)
        || (op->x.sent && (!op->reply.http || op->reply.happy));
    if ((create || op->feature == SBX_FEATURE_SANDBOX_FORK) && cut)
        op->error.may_exist = SBX_YES;
}

static void sbxi_op_finish(sbx_op *op, int status)
{
    sbx_proc *proc = op->until ? NULL : sbxi_op_proc(op);
    if (status == SBX_OK && !op->detached) status = sbxi_op_deliver(op);
    else if (proc && sbxi_is_stream(op->feature)) (void)sbxi_deliver_command(op); /* so far */
    if (status != SBX_OK) {
        sbxi_op_note_create(op);
        if (op->feature == SBX_FEATURE_COMMAND_RUN && op->args.of.command.result)
            memset(op->args.of.command.result, 0, sizeof(sbx_command_result));
#ifndef SBX_NO_RUN_CODE
        if (op->feature == SBX_FEATURE_RUN_CODE && op->args.of.code.result)
            memset(op->args.of.code.result, 0, sizeof(sbx_run_code_result));
#endif
    }
    op->phase = SBXI_PHASE_END;
    sbxi_op_clean(op);
    op->proc = proc;
    if (!op->detached) sbxi_op_tell(op, status);
}

/* ---- is the sandbox still there? ------------------------------------------ */

#define SBXI_PROBE_MS 5000

/* After a connection was lost in the middle, or a process' stream ended without its
   end: asks the sandbox, so that the error can say what lives. False: nothing to ask. */
static bool sbxi_op_probe(sbx_op *op, int rc)
{
    bool no_end = SBXI_HAS_EXTRAS && rc == SBX_E_NO_END && op->pid;
    unsigned ask = no_end ? SBX_FEATURE_COMMAND_LIST : SBXI_ROUTE_HEALTH;
    const sbxi_route *route = sbxi_route_of(op->client->provider, ask);
    uint32_t now = sbxi_now(&op->client->link);
    if (op->probing || !route || op->route == route
        || op->route->host == SBXI_HOST_CONTROL)
        return false;
    if (!no_end && (rc != SBX_E_NETWORK || !op->x.sent)) return false;
    sbxi_error_set(&op->error, rc, NULL);
    sbxi_op_disconnect(op);
    op->probing = true;
    if (sbxi_op_left(op, now) > SBXI_PROBE_MS) {
        op->since = now;
        op->total_ms = SBXI_PROBE_MS;
    }
    (void)sbxi_ask(op, ask, SBXI_STEP_HEALTH);
    return true;
}

/* The answer of the probe: the status the operation ends with. */
static int sbxi_op_probed(sbx_op *op, int rc)
{
    sbx_error *e = &op->error;
    /* which processes there are */
    bool listed = SBXI_HAS_EXTRAS && op->route->recv != SBXI_RECV_NOTHING;
    e->message[0] = 0;
    e->clock = SBX_CLOCK_NONE;
    if (rc == SBX_OK && !op->reply.no) {
        op->reply.http = 0; /* a 204 is not what happened to the call */
        e->sandbox_alive = SBX_YES;
        if (listed) {
            e->process_alive = op->ended ? SBX_YES : SBX_NO;
            return sbxi_error_set(e, SBX_E_NO_END, op->ended
                ? SBXI_TEXT("the stream ended, the process runs on: connect to its pid")
                : SBXI_TEXT("the stream ended without the end of its process, which is over; "
                            "connecting to its pid at once may still tell it"));
        }
        return sbxi_error_set(e, SBX_E_UNREACHABLE,
            SBXI_TEXT("the connection was lost; the sandbox answers, its command may still run"));
    }
    if (op->reply.http && (op->reply.no || rc == SBX_E_SANDBOX_GONE)) {
        e->sandbox_alive = e->process_alive = SBX_NO;
        return sbxi_error_set(e, SBX_E_SANDBOX_GONE,
            SBXI_TEXT("the sandbox was killed or reached its end while the call ran"));
    }
    if (listed) return sbxi_error_set(e, SBX_E_NO_END, NULL);
    return sbxi_error_set(e, SBX_E_UNREACHABLE,
        SBXI_TEXT("the connection was lost and the sandbox does not answer: ask with get_info"));
}

/* A create that fails, or is cancelled, inside the sandbox it made: its step undoes
   it, for which it gets a little time. False: it has not come that far. */
static bool sbxi_op_undo(sbx_op *op, int rc)
{
    if (op->feature != SBX_FEATURE_SANDBOX_CREATE || !op->sandbox
        || op->route->host == SBXI_HOST_CONTROL)
        return false;
    sbxi_op_disconnect(op);
    op->why = rc;
    op->why_clock = op->error.clock;
    op->probing = false;
    op->since = sbxi_now(&op->client->link);
    op->total_ms = SBXI_PROBE_MS;
    op->phase = SBXI_PHASE_STEP;
    return true;
}

/* ---- sandbox handles ------------------------------------------------------ */

/* The reply told a sandbox's credentials: the handle takes them over. */
static int sbxi_sandbox_learn(sbx_op *op)
{
    sbx_sandbox *s = op->sandbox;
    if (!op->result) return sbxi_op_fail(op, SBX_E_PROTOCOL,
        SBXI_TEXT("the reply names no sandbox"));
    sbx_free(s->block);
    s->block = op->result;
    op->result = NULL;
    s->access = ((const sbxi_access *)s->block)->of;
    if (s->given) { /* a base URL of the user's own outlives credentials */
        s->access.data_url = s->given->data_url;
        if (!s->access.domain) s->access.domain = s->given->domain;
    }
    s->known = true;
    return SBX_OK;
}

/* ---- when --------------------------------------------------------------------- */

/* open() may have more to do than to wait for its connection: another address. */
#define SBXI_OPEN_MS 1000u

/* Whether it waits for its connection. */
static bool sbxi_op_waits(const sbx_op *op)
{
    return op->phase == SBXI_PHASE_EXCHANGE && op->x.conn && op->x.want;
}

/* Input whose source is silent says so often that it is still there; files that are
   packed are asked so often for more. Other sources wake their operation. */
#define SBXI_PING_MS 50000
#define SBXI_FILES_MS 10

static uint32_t sbxi_op_ping_left(const sbx_op *op, uint32_t now)
{
    bool dry = op->asleep && op->x.dry;
    int32_t ms = SBX_NEVER;
    if (SBXI_HAS_PROC && dry && op->route->send == SBXI_SEND_INPUT) ms = SBXI_PING_MS;
    if (SBXI_HAS_TEMPLATE && dry && op->route->send == SBXI_SEND_UPLOAD) ms = SBXI_FILES_MS;
    return sbxi_left(op->x.since, ms, now);
}

/* After how long this operation must run even if nothing happens on its connection. */
static uint32_t sbxi_op_due(const sbx_op *op, uint32_t now)
{
    uint32_t total = sbxi_op_left(op, now), other = UINT32_MAX;
    sbx_clock clock;
    if (op->cancelled || op->phase == SBXI_PHASE_STEP) return 0;
    if (SBXI_HAS_PROC && op->phase == SBXI_PHASE_WAIT) return sbxi_proc_has(op) ? 0 : total;
    if (op->phase == SBXI_PHASE_NAP) {
        other = sbxi_left(op->nap_since, op->nap_ms, now);
    } else {
        if (!op->x.conn || (op->asleep && op->woken)) return 0;
        other = op->asleep ? sbxi_op_ping_left(op, now)
            : sbxi_exchange_left(&op->x, now, &clock);
        if (op->x.state == SBXI_X_OPEN) other = SBXI_MIN(other, SBXI_OPEN_MS);
    }
    return SBXI_MIN(total, other);
}

/* ---- running -------------------------------------------------------------- */

/* The provider's part of a step. Trees and logs of a build are the user's: they may
   cancel the operation, which then must not vanish under it. */
static int sbxi_op_advance(sbx_op *op)
{
    sbx_client *c = op->client;
    int rc;
    c->callbacks += SBXI_HAS_TEMPLATE;
    rc = c->provider->step(op);
    c->callbacks -= SBXI_HAS_TEMPLATE;
    return SBXI_HAS_TEMPLATE && op->cancelled && !op->detached ? SBX_E_CANCELLED : rc;
}

static SBXI_APART void sbxi_op_step(sbx_op *op)
{
    bool in_sandbox = sbxi_op_route(op, op->feature)->host != SBXI_HOST_CONTROL;
    int rc;
    if (op->step == SBXI_STEP_ACCESS) {
        rc = sbxi_sandbox_learn(op);
        op->step = SBXI_STEP_START;
        if (rc != SBX_OK) {
            sbxi_op_finish(op, rc);
            return;
        }
    }
    /* asking whether it runs needs no credentials */
    if (op->step == SBXI_STEP_START && in_sandbox && op->feature != SBXI_ROUTE_HEALTH
        && !op->sandbox->known)
        rc = sbxi_ask(op, SBXI_ROUTE_ACCESS, SBXI_STEP_ACCESS);
    else
        rc = sbxi_op_advance(op);
    if (rc != SBX_PENDING) sbxi_op_finish(op, rc);
}

/* What the end of the exchange means. SBX_PENDING: it goes on elsewhere. */
static int sbxi_op_outcome(sbx_op *op, int rc)
{
    if (rc == SBX_OK)
        rc = !op->probing && sbxi_op_is_redirect(op) ? sbxi_op_redirect(op) : sbxi_reply_end(op);
    if (rc == SBX_E_NETWORK && op->x.sent) op->cut = true;
    if (rc == SBX_E_BAD_JSON && !op->x.stop)
        rc = sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the reply is not JSON, or was cut short"));
    /* the command's end has come; that the rest was cut, or does not come, changes nothing */
    return (rc == SBX_E_NETWORK || rc == SBX_E_TIMEOUT) && op->ended ? SBX_OK : rc;
}

/* The exchange is over, well or not. */
static void sbxi_op_answered(sbx_op *op, int rc)
{
    rc = sbxi_op_outcome(op, SBXI_HAS_EXTRAS && op->reply.enough ? SBX_OK : rc);
    if (rc == SBX_PENDING) return;
    if (op->probing) rc = sbxi_op_probed(op, rc);
    else if (rc != SBX_OK && !op->x.stop && (sbxi_op_retry(op, rc) || sbxi_op_probe(op, rc)))
        return;
    sbxi_op_disconnect(op);
    if (rc == SBX_OK)
        op->phase = SBXI_PHASE_STEP;
    else if (!sbxi_op_undo(op, rc))
        sbxi_op_finish(op, rc);
}

/* A source that has nothing is asked again; input says that it is still there. */
static void sbxi_op_ping(sbx_op *op)
{
    op->woken = true;
    if (op->route->send == SBXI_SEND_INPUT) op->args.of.process.ping = true;
}

/* False: blocked for now. */
static bool sbxi_op_exchange(sbx_op *op, uint32_t now)
{
    int rc = SBX_OK;
    op->client->callbacks++; /* sources and sinks are the user's */
    if (!op->x.conn) rc = sbxi_op_connect(op);
    if (!sbxi_op_ping_left(op, now)) sbxi_op_ping(op);
    if (op->asleep && rc == SBX_OK) {
        if (!op->x.dry) rc = SBX_E_AGAIN;
        if (op->woken) {
            op->woken = false;
            rc = sbxi_reply_wake(op);
        }
    }
    if (op->cancelled) rc = SBX_E_CANCELLED;
    if (rc == SBX_OK) rc = sbxi_exchange_run(&op->x, now, &op->error);
    op->client->callbacks--;
    if (rc == SBX_E_AGAIN) {
        op->asleep = !op->x.want || op->x.dry;
        return false;
    }
    sbxi_op_answered(op, rc);
    return true;
}

/* Whether it was cancelled or its time is over, which ends it, or what it is at. */
static bool sbxi_op_overdue(sbx_op *op, uint32_t now)
{
    bool cancelled = op->cancelled && !op->detached;
    if (!cancelled && (op->phase == SBXI_PHASE_STEP || sbxi_op_left(op, now))) return false;
    if (!cancelled) op->error.clock = SBX_CLOCK_TOTAL;
    if (cancelled || op->dreams || (SBXI_HAS_PROC && op->until)) /* which has no exchange */
        sbxi_op_finish(op, cancelled ? SBX_E_CANCELLED : SBX_E_TIMEOUT);
    else
        sbxi_op_answered(op, SBX_E_TIMEOUT);
    return true;
}

/* A nap is over. */
static void sbxi_op_rise(sbx_op *op)
{
    op->phase = op->dreams ? SBXI_PHASE_STEP : SBXI_PHASE_EXCHANGE;
    op->dreams = false;
}

static void sbxi_op_run(sbx_op *op, uint32_t now)
{
    bool go = true;
    while (go && op->phase != SBXI_PHASE_END) {
        if (sbxi_op_overdue(op, now)) continue;
        switch (op->phase) {
        case SBXI_PHASE_STEP:
            sbxi_op_step(op);
            go = op->phase != SBXI_PHASE_STEP;
            break;
        case SBXI_PHASE_EXCHANGE:
            go = sbxi_op_exchange(op, now);
            break;
        case SBXI_PHASE_WAIT:
            go = SBXI_HAS_PROC && sbxi_proc_has(op);
            if (go) sbxi_op_finish(op, sbxi_proc_take(op));
            break;
        default:
            if (now - op->nap_since > INT32_MAX) op->nap_since = now; /* it had looked too far */
            go = !sbxi_left(op->nap_since, op->nap_ms, now);
            if (go) sbxi_op_rise(op);
        }
    }
}

/* Runs every operation once, but for the quiet. Callbacks may start and release
   operations: new ones stand at the end, released ones stay linked until this is
   over. */
static void sbxi_run_all(sbx_client *c)
{
    sbx_op *op, *next;
    sbxi_tick(&c->link);
    for (op = c->ops; op; op = op->next) {
        uint32_t now = sbxi_now(&c->link);
        bool rest = op->quiet && sbxi_op_due(op, now);
        op->quiet = false;
        if (!rest && op->phase != SBXI_PHASE_END) sbxi_op_run(op, now);
    }
    for (op = c->ops; op; op = next) {
        next = op->next;
        if (op->released && op->phase == SBXI_PHASE_END) sbxi_op_free(op);
    }
}

/* ---- waiting -------------------------------------------------------------- */

SBX_API int sbx_waits(const sbx_client *client, sbx_wait *out, size_t cap, size_t *n,
                      uint32_t *next_ms)
{
    const sbx_op *op;
    uint32_t now;
    if (!client || !n || !next_ms || (cap && !out)) return SBX_E_ARG;
    now = sbxi_now(&client->link);
    *n = 0;
    *next_ms = UINT32_MAX;
    for (op = client->ops; op; op = op->next) {
        uint32_t due;
        if (op->phase == SBXI_PHASE_END) continue;
        due = sbxi_op_due(op, now);
        *next_ms = SBXI_MIN(*next_ms, due);
        if (!sbxi_op_waits(op)) continue;
        if (*n < cap) {
            out[*n].conn = op->x.conn->raw;
            out[*n].want = op->x.want;
            out[*n].ready = 0;
        }
        ++*n;
    }
    return SBX_OK;
}

/* Who waits and is not in the list runs: it may be a part. The search begins where
   the last one ended, as both stand in the same order. */
SBX_API int sbx_ready(sbx_client *client, const sbx_wait *waits, size_t n)
{
    size_t at = 0, i;
    sbx_op *op;
    if (!client || (n && !waits)) return SBX_E_ARG;
    for (op = client->ops; op; op = op->next) {
        op->quiet = false;
        for (i = 0; i < n && sbxi_op_waits(op) && op->x.state != SBXI_X_OPEN; i++) {
            const sbx_wait *w = &waits[at];
            at = at + 1 < n ? at + 1 : 0;
            if (w->conn != op->x.conn->raw) continue;
            op->quiet = !w->ready;
            break;
        }
    }
    return SBX_OK;
}

#define SBXI_WAITS 16 /* on the stack; more are taken from the allocator */

/* Sleeps until there is something to do, `ms` at most. */
static int sbxi_wait(sbx_client *c, uint32_t ms)
{
    sbx_wait few[SBXI_WAITS], *waits = few;
    size_t n, cap = SBXI_WAITS;
    uint32_t next;
    int rc;
    if (!c->link.net.wait) return SBX_E_NO_WAIT;
    (void)sbx_waits(c, few, cap, &n, &next);
    if (n > cap) {
        cap = n;
        waits = (sbx_wait *)sbxi_alloc_get(&c->link.alloc, cap * sizeof *waits);
        if (!waits) return SBX_E_NOMEM;
        (void)sbx_waits(c, waits, cap, &n, &next);
    }
    rc = n || next ? c->link.net.wait(c->link.net.ctx, waits, n, SBXI_MIN(ms, next)) : SBX_OK;
    if (rc == SBX_OK && (c->link.net.flags & SBX_NET_READY)) (void)sbx_ready(c, waits, n);
    if (waits != few) sbxi_alloc_free(&c->link.alloc, waits, cap * sizeof *waits);
    return rc;
}

SBX_API int sbx_poll(sbx_client *client, uint32_t timeout_ms, size_t *running)
{
    sbx_op *op;
    int rc = SBX_OK;
    if (!client) return SBX_E_ARG;
    if (client->callbacks) return SBX_E_REENTRANT;
    if (timeout_ms) {
        for (op = client->ops; op; op = op->next) op->quiet = sbxi_op_waits(op);
        sbxi_run_all(client);
        rc = sbxi_wait(client, timeout_ms);
    }
    sbxi_run_all(client);
    if (running)
        for (*running = 0, op = client->ops; op; op = op->next)
            *running += op->phase != SBXI_PHASE_END;
    return rc;
}

/* ---- starting ------------------------------------------------------------- */

static void sbxi_op_init(sbx_op *op, const sbxi_call *k)
{
    const sbx_alloc *a = &k->client->link.alloc;
    size_t limit = SBX_MAX_REQUEST, capture = 0;
    op->client = k->client;
    op->feature = k->feature;
    op->args = k->args;
    if (k->call) op->call = *k->call;
    op->status = SBX_PENDING;
    sbxi_error_clear(&op->error);
    sbxi_buf_init(&op->out.text, a, SBX_MAX_REQUEST);
    sbxi_buf_init(&op->url, a, SBXI_MAX_URL);
    sbxi_buf_init(&op->block, a, SBX_MAX_RESULT);
    if (sbxi_is_stream(op->feature)) capture = op->args.of.command.o.capture_limit;
#ifndef SBX_NO_RUN_CODE
    if (op->feature == SBX_FEATURE_RUN_CODE) capture = op->args.of.code.o.capture_limit;
#endif
    if (capture && !sbxi_size_add(&limit, capture, sizeof(sbxi_owned) + 1)) limit = SIZE_MAX;
    sbxi_buf_init(&op->captured[0].buf, a, limit);
    sbxi_buf_init(&op->captured[1].buf, a, limit);
#ifndef SBX_NO_RUN_CODE
    if (op->feature == SBX_FEATURE_RUN_CODE)
        sbxi_buf_init(&op->args.of.code.traceback.buf, a, limit);
#endif
}

/* A single file to write is a list of one. */
static void sbxi_op_one_file(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    if (op->feature == SBX_FEATURE_FILES_WRITE_MANY && !a->count) op->step = SBXI_STEP_DONE;
    if (op->feature != SBX_FEATURE_FILES_WRITE) return;
    if (a->from_bytes) a->one.from.ctx = &a->reading;
    a->one.path = a->path;
    a->files = &a->one;
    a->count = 1;
}

/* Where a call's failure goes when there is no operation yet. */
static int sbxi_call_fail(sbx_client *c, const sbx_call *call, int status, const char *message)
{
    sbx_error *e = call && call->error ? call->error : &c->error;
    if (call && call->op) *call->op = NULL;
    sbxi_error_clear(e);
    return sbxi_error_set(e, status, message);
}

static int sbxi_block(sbx_client *c, sbx_op *op)
{
    int status;
    while (op->phase != SBXI_PHASE_END) {
        int rc = sbxi_wait(c, UINT32_MAX);
        if (rc == SBX_OK) sbxi_run_all(c);
        else sbxi_op_finish(op, rc);
    }
    status = op->status;
    sbxi_op_free(op);
    return status;
}

/* ---- what api/ does with a call -------------------------------------------- */

/* With a feature: of no use without a place for its result. */
#define SBXI_WANTS 0x80u

static void sbxi_call_on(sbxi_call *k, sbx_client *client, unsigned feature, const sbx_call *call)
{
    memset(k, 0, sizeof *k);
    k->client = client;
    k->feature = (sbx_feature)(feature & ~SBXI_WANTS);
    k->wants = (feature & SBXI_WANTS) != 0;
    k->call = call;
}

static void sbxi_call_in(sbxi_call *k, sbx_sandbox *sandbox, unsigned feature,
                         const sbx_call *call)
{
    sbxi_call_on(k, sandbox ? sandbox->client : NULL, feature, call);
    k->sandbox = sandbox;
}

/* What must be so; the first that is not is what the user hears of. */
static void sbxi_need(sbxi_call *k, bool fine, const char *message)
{
    if (fine || k->status) return;
    k->status = SBX_E_ARG;
    k->message = message;
}

/* What speaks against a call to this client, now. */
static int sbxi_call_refused(const sbxi_call *k)
{
    const sbx_client *c = k->client;
    const sbx_call *call = k->call;
    bool blocks = !call || !call->op, key = c->config.api_key || (call && call->api_key);
    if (blocks && c->callbacks) return SBX_E_REENTRANT;
    if (blocks && !c->link.net.wait) return SBX_E_NO_WAIT;
    if (!sbx_supports(c, k->feature)) return SBX_E_UNSUPPORTED;
    return key || c->debug || k->until ? SBX_OK : SBX_E_AUTH;
}

/* The checks of all calls. */
static void sbxi_call_check(sbxi_call *k)
{
    const sbxi_args *a = &k->args;
    sbxi_need(k, !k->wants || a->out || a->answer || a->each.file,
        SBXI_TEXT("out, each or exists is NULL"));
    if (k->status) return;
    k->status = sbxi_call_refused(k);
    if (k->status == SBX_E_AUTH)
        k->message = SBXI_TEXT("no API key: set config.api_key or its variable");
}

/* The total clock of a call: its own, its function's, its route's. */
static int32_t sbxi_call_ms(const sbxi_call *k)
{
    const sbx_client *c = k->client;
    const sbxi_route *route = sbxi_route_of(c->provider, k->feature);
    if (k->call && k->call->timeout_ms) return k->call->timeout_ms;
    if (k->total_ms) return k->total_ms;
    return route->send >= SBXI_SEND_RAW || route->recv >= SBXI_RECV_SINK ? SBX_NEVER
        : c->link.clocks.total_ms;
}

/* The operation of a call, linked to its client; NULL: no memory. */
static sbx_op *sbxi_op_new(const sbxi_call *k)
{
    sbx_client *c = k->client;
    sbx_op *op = (sbx_op *)sbxi_alloc_get(&c->link.alloc, sizeof *op), **end = &c->ops;
    if (!op) return NULL;
    sbxi_op_init(op, k);
    op->since = sbxi_now(&c->link);
    op->total_ms = sbxi_call_ms(k);
    op->sandbox = k->sandbox;
    if (op->sandbox) op->sandbox->refs++;
    op->proc = k->proc;
    op->until = k->until;
    if (SBXI_HAS_PROC && op->until > SBXI_UNTIL_ASKED) {
        op->phase = SBXI_PHASE_WAIT;
    } else if (op->call.op || op->proc || op->feature >= SBX_FEATURE_FILES_WATCH) {
        op->kept = sbxi_keep(&c->link.alloc, sbxi_args_of(op->feature), op, 0);
        if (!op->kept) {
            sbxi_sandbox_unref(op->sandbox);
            sbxi_alloc_free(&c->link.alloc, op, sizeof *op);
            return NULL;
        }
    }
    op->clean = k->clean;
    if (SBXI_HAS_PROC && op->until) op->proc->refs++;
    sbxi_op_one_file(op);
    while (*end) end = &(*end)->next;
    *end = op;
    return op;
}

/* Whether the call may start; what it hands out is empty from here on. */
static int sbxi_check(sbxi_call *k)
{
    if (k->args.answer) *k->args.answer = false;
    if (k->args.out) memset(k->args.out, 0, sizeof(void *)); /* some struct's pointer */
    if (k->call && k->call->op) *k->call->op = NULL;
    if (!k->client) return SBX_E_ARG;
    sbxi_call_check(k);
    return k->status ? sbxi_call_fail(k->client, k->call, k->status, k->message) : SBX_OK;
}

/* Runs the operation of a checked call: to its end, unless call->op is set. */
static int sbxi_go(sbx_op *op)
{
    if (!op->call.op) return sbxi_block(op->client, op);
    *op->call.op = op;
    return SBX_PENDING;
}

static int sbxi_run(const sbxi_call *k)
{
    sbx_op *op = sbxi_op_new(k);
    return op ? sbxi_go(op) : sbxi_call_fail(k->client, k->call, SBX_E_NOMEM, NULL);
}

static int sbxi_start(sbxi_call *k)
{
    int rc = sbxi_check(k);
    return rc == SBX_OK ? sbxi_run(k) : rc;
}

/* ---- letting go of a process ------------------------------------------------ */

/* Nothing of the stream comes any more; it ends at the next run. */
static sbx_op *sbxi_unfollow(sbx_proc *p)
{
    sbx_op *stream = p->stream;
    if (!stream) return NULL;
    p->stream = NULL;
    stream->proc = NULL;
    stream->released = stream->cancelled = stream->x.stop = true;
    if (sbxi_is_stream(stream->feature)) stream->args.of.command.result = NULL;
    return stream;
}

/* A call about a watch that the host knows by an id. */
static void sbxi_watch_in(sbxi_call *k, sbx_proc *p, unsigned feature, const sbx_call *call)
{
    sbxi_call_in(k, p->sandbox, feature, call);
    k->args.of.files.watcher = p->id;
    k->args.of.files.o.user = p->user;
    k->args.each.watch = p->each;
    k->args.ctx = p->ctx;
    if (feature != SBX_FEATURE_WATCH_POLL) return;
    k->proc = p;
    k->until = SBXI_UNTIL_ASKED;
}

/* The host forgets a watch nobody wants; nobody waits for that. */
static void sbxi_unwatch(sbx_proc *p)
{
    sbxi_call k;
    sbx_op *op;
    sbxi_watch_in(&k, p, SBX_FEATURE_WATCH_STOP, NULL);
    op = sbxi_op_new(&k);
    if (op) op->released = op->detached = true;
}

/* One who holds it lets go. It may be an operation that is being freed, so no other
   is freed here. */
static void sbxi_proc_unref(sbx_proc *p)
{
    sbx_alloc alloc;
    if (!p || --p->refs > 0) return;
    alloc = p->sandbox->client->link.alloc;
    (void)sbxi_unfollow(p);
    if (SBXI_HAS_WATCH && p->id) sbxi_unwatch(p);
    sbx_free(p->block);
    sbx_free(p->kept);
    sbx_free(p->result.out);
    sbx_free(p->result.err);
    sbxi_sandbox_unref(p->sandbox);
    sbxi_alloc_wipe(&alloc, p, sizeof *p);
}

/* ---- the user's handle of an operation ------------------------------------ */

SBX_API int sbx_op_status(const sbx_op *op) { return op ? op->status : SBX_E_ARG; }

SBX_API void sbx_op_wake(sbx_op *op)
{
    if (op) op->woken = true;
}

/* A create that was sent goes on, to be undone: nobody waits for that. */
static bool sbxi_op_detach(sbx_op *op)
{
    if (op->feature != SBX_FEATURE_SANDBOX_CREATE
        || !((op->x.conn && op->x.sent) || op->sandbox))
        return false;
    op->error.may_exist = SBX_YES;
    op->detached = true;
    (void)sbxi_op_undo(op, SBX_E_CANCELLED);
    sbxi_op_tell(op, SBX_E_CANCELLED);
    return true;
}

SBX_API void sbx_op_cancel(sbx_op *op)
{
    if (!op || op->phase == SBXI_PHASE_END || op->detached || sbxi_op_detach(op)) return;
    /* inside one of its own callbacks the exchange must not vanish: the driver
       ends it as soon as the callback has returned */
    op->cancelled = op->x.stop = true;
    if (SBXI_HAS_PROC && op->until == SBXI_UNTIL_START) (void)sbxi_unfollow(op->proc);
    if (!op->client->callbacks) sbxi_op_finish(op, SBX_E_CANCELLED);
}

SBX_API void sbx_op_release(sbx_op *op)
{
    if (!op) return;
    op->released = true;
    op->call.done = NULL;
    op->call.error = NULL;
    sbx_op_cancel(op);
    if (op->phase == SBXI_PHASE_END && !op->client->callbacks) sbxi_op_free(op);
}

/* Cancelled creates get a little time to be undone. */
static void sbxi_follow_up(sbx_client *c)
{
    uint32_t since = sbxi_now(&c->link), left = SBXI_PROBE_MS;
    sbx_op *op = c->ops;
    while (op && c->link.net.wait && left) {
        for (op = c->ops; op && !(op->detached && op->phase != SBXI_PHASE_END); op = op->next) {}
        if (!op) break;
        if (sbxi_wait(c, left) != SBX_OK) break;
        sbxi_run_all(c);
        left = sbxi_left(since, SBXI_PROBE_MS, sbxi_now(&c->link));
    }
}

SBX_API int sbx_close(sbx_client *client)
{
    sbx_op *op;
    if (!client) return SBX_OK;
    if (client->callbacks) return SBX_E_REENTRANT;
    for (op = client->ops; op; op = op->next) {
        op->call.done = NULL;
        sbx_op_cancel(op); /* a create that was sent goes on, to be undone */
    }
    sbxi_follow_up(client);
    while ((op = client->ops) != NULL) {
        if (op->phase != SBXI_PHASE_END) sbxi_op_finish(op, SBX_E_CANCELLED);
        sbxi_op_free(op);
    }
    sbxi_client_free(client);
    return SBX_OK;
}

/* provider - what provider files share: comparing daemon versions, composing
   texts, common header forms. A provider file is tables first, then the few
   functions that no table can say; providers never call each other. */

/* Rows of field tables: a member of a struct; an object inside; a member of the
   arguments; a text of fixed size. */
#define SBXI_FIELD(name, type, struct_, member) \
    { name, NULL, (uint16_t)offsetof(struct_, member), 0, SBXI_T_##type }
#define SBXI_SUB(name, type, shape) { name, &shape, 0, 0, SBXI_T_##type }
#define SBXI_IN(name, type, member) { name, NULL, SBXI_ARG(member), 0, SBXI_T_##type }
#define SBXI_FIXED(name, struct_, member) \
    { name, NULL, (uint16_t)offsetof(struct_, member), \
      (uint8_t)sizeof(((struct_ *)0)->member), SBXI_T_TEXT }

/* "1.22.3" as 1 << 20 | 22 << 10 | 3; what is not said or no number is 0. */
static uint32_t sbxi_version(const char *text)
{
    uint32_t v = 0;
    unsigned i;
    for (i = 0; i < 3; i++) {
        uint32_t part = 0;
        for (; sbxi_is_digit(*text); text++)
            part = SBXI_MIN(part * 10 + (uint32_t)(*text - '0'), 1023);
        v = v << 10 | part;
        if (*text == '.') text++;
    }
    return v;
}

#define SBXI_VERSION(major, minor, patch) \
    ((uint32_t)(major) << 20 | (uint32_t)(minor) << 10 | (uint32_t)(patch))

/* An unknown version counts as new: only a host that says so is old. */
static SBXI_MAYBE bool sbxi_older(const sbx_sandbox *s, uint32_t version)
{
    const char *v = s ? s->access.daemon_version : NULL;
    return v && v[0] && sbxi_version(v) < version;
}

/* Fails the step for want of a daemon of this version, of three digits. */
static SBXI_MAYBE int sbxi_too_old(sbx_op *op, uint32_t version)
{
#ifdef SBX_NO_ERROR_TEXT
    (void)version;
#else
    char text[] = "the daemon is older than 0.0.0: build the template again";
    text[25] = (char)('0' + (version >> 20));
    text[27] = (char)('0' + (version >> 10 & 15));
    text[29] = (char)('0' + (version & 15));
    sbxi_put_text(op->error.message, sizeof op->error.message, text, sizeof text - 1);
#endif
    return sbxi_error_set(&op->error, SBX_E_UNSUPPORTED_HOST, NULL);
}

/* What only a daemon from `version` on knows is not sent to an older one. */
static SBXI_MAYBE int sbxi_needs(sbx_op *op, uint32_t version)
{
    return sbxi_older(op->sandbox, version) ? sbxi_too_old(op, version) : SBX_OK;
}
/* e2b_template - the template half of E2B: what the records of a builder become on the
   wire, the routes of templates and builds, and the steps of a build. Part of
   provider/e2b.c, which names it. Wire form of the Python SDK 2.63. */

#if !defined(SBX_NO_E2B) && !defined(SBX_NO_TEMPLATE)

/* ---- what the records become --------------------------------------------------- */

static const sbxi_image_row sbxi_e2b_images[] = {
    { "e2bdev/base", NULL }, { "python", "3" }, { "node", "lts" }, { "oven/bun", "latest" },
    { "ubuntu", "latest" }, { "debian", "stable" }, { "fedora", "44" }, { "alpine", "3.24" },
    { "archlinux", "latest" }
};

/* Commands of a shell; those of root are run by it unless the user says otherwise, the
   middle one only with the flag g. */
enum { SBXI_E2B_ANYBODY, SBXI_E2B_ROOT_IF_GLOBAL, SBXI_E2B_BY_ROOT };
static const struct { const char *pattern; uint8_t user; } sbxi_e2b_commands[] = {
    { "%&", 0 },                                                    /* RUN */
    { "%*", 0 },                                                    /* WORDS */
    { "rm%(r -r%)%(f -f%) %*", 0 },                                 /* REMOVE */
    { "mv %q %q%(f -f%)", 0 },                                      /* RENAME */
    { "mkdir -p%(m -m %m%) %*", 0 },                                /* MAKE_DIR */
    { "ln -s%(f -f%) %q %q", 0 },                                   /* SYMLINK */
    { "apt-get update && DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get "
      "install -y %(n--no-install-recommends %)%(x--fix-missing %)%+", SBXI_E2B_BY_ROOT },
    { "pip install %(!g--user %)%(p%+%)%(!p.%)", SBXI_E2B_ROOT_IF_GLOBAL },
    { "npm install%(g -g%)%(d --save-dev%)%(p %+%)", SBXI_E2B_ROOT_IF_GLOBAL },
    { "bun install%(g -g%)%(d --dev%)%(p %+%)", SBXI_E2B_ROOT_IF_GLOBAL },
    { "git clone %q%(b --branch %e --single-branch%)%(d --depth %d%)%(p %q%)", 0 },
    { "mcp-gateway pull %*", SBXI_E2B_BY_ROOT },
    { "devcontainer build --workspace-folder %q", SBXI_E2B_BY_ROOT }
};

/* By sbx_readiness_kind. */
static const char *const sbxi_e2b_ready[] = { "%s", "[ -n \"$(ss -Htuln sport = :%d)\" ]",
    "curl -s -o /dev/null -w \"%%{http_code}\" %q | grep -q \"%d\"", "pgrep %q > /dev/null",
    "[ -f %q ]", "sleep %d" };

/* The start command of a dev container, and what says that it is up. */
static const char sbxi_e2b_dev_start[] = "sudo devcontainer up --workspace-folder %* && sudo "
    "/prepare-exec.sh %* | sudo tee /devcontainer.sh > /dev/null && sudo chmod +x "
    "/devcontainer.sh && sudo touch /devcontainer.up";

static const char *sbxi_e2b_pattern(const sbxi_step *s)
{
    bool dev = (s->flags & SBXI_FLAG('z')) != 0;
    if (s->kind == SBXI_DO_START) return dev ? sbxi_e2b_dev_start : "%s";
    if (s->kind == SBXI_DO_READY)
        return dev ? "[ -f /devcontainer.up ]" : sbxi_e2b_ready[s->flags & 7];
    return sbxi_e2b_commands[s->kind - SBXI_DO_RUN].pattern;
}

/* The command of a record, NUL-terminated; NULL: no room, as t->text.status says. */
static const char *sbxi_e2b_command(const sbx_template *t, const sbxi_step *s)
{
    sbxi_buf *b = (sbxi_buf *)&t->text; /* scratch: nothing of the template changes */
    sbxi_buf_clear(b);
    sbxi_pattern(b, sbxi_e2b_pattern(s), s);
    return sbxi_buf_add(b, "", 1) == SBX_OK ? b->data : NULL;
}

/* Who runs it: NULL: whoever it is at that point. */
static const char *sbxi_e2b_runner(const sbxi_step *s)
{
    unsigned by = sbxi_e2b_commands[s->kind - SBXI_DO_RUN].user;
    if (s->user) return s->user;
    return by == SBXI_E2B_BY_ROOT || (by && (s->flags & SBXI_FLAG('g'))) ? "root" : NULL;
}

static const char *const sbxi_e2b_types[] = { "COPY", "ENV", "WORKDIR", "USER", "RUN" };

/* The arguments of a step of the service. */
typedef struct sbxi_e2b_args {
    const char *const *items;
    size_t count;
    const char *made[4];
    char mode[5];
} sbxi_e2b_args;

/* False: no room for its command. */
static bool sbxi_e2b_args_of(sbxi_e2b_args *a, const sbx_template *t, const sbxi_step *s)
{
    memset(a, 0, sizeof *a);
    a->items = a->made;
    if (s->kind >= SBXI_DO_RUN) {
        a->made[0] = sbxi_e2b_command(t, s);
        a->made[1] = sbxi_e2b_runner(s);
        a->count = a->made[1] ? 2 : 1;
    } else if (s->kind == SBXI_DO_COPY) {
        if (s->flags & SBXI_FLAG('m')) sbxi_octal(a->mode, s->number);
        a->made[0] = s->texts.items[0];
        a->made[1] = s->texts.items[1];
        a->made[2] = s->user ? s->user : "";
        a->made[3] = a->mode;
        a->count = 4;
    } else {
        a->items = s->texts.items;
        a->count = s->texts.count;
    }
    return a->items[0] != NULL;
}

/* One step: with its hash, if its files were read. */
static void sbxi_e2b_put_step(sbx_json_writer *w, const sbx_template *t, const sbxi_step *s)
{
    bool upload = s->kind == SBXI_DO_COPY && (s->flags & SBXI_FLAG('u'));
    sbxi_e2b_args args;
    size_t i;
    if (!sbxi_e2b_args_of(&args, t, s)) w->status = t->text.status;
    if (w->status != SBX_OK) return;
    sbx_json_begin_object(w);
    if (upload) {
        sbx_json_key(w, "forceUpload");
        sbx_json_bool(w, true);
    }
    sbx_json_key(w, "type");
    sbx_json_text(w, sbxi_e2b_types[SBXI_MIN(s->kind, SBXI_DO_RUN) - SBXI_DO_COPY]);
    sbx_json_key(w, "args");
    sbx_json_begin_array(w);
    for (i = 0; i < args.count; i++) sbx_json_text(w, args.items[i]);
    sbx_json_end_array(w);
    if (s->hash[0]) {
        sbx_json_key(w, "filesHash");
        sbx_json_text(w, s->hash);
    }
    sbx_json_key(w, "force");
    sbx_json_bool(w, s->forced || upload);
    sbx_json_end_object(w);
}

static const char *const sbxi_e2b_registries[][4] = {
    { "registry", "username", "password", NULL },
    { "aws", "awsAccessKeyId", "awsSecretAccessKey", "awsRegion" },
    { "gcp", "serviceAccountJson", NULL, NULL }
};

/* The base: of image and template the one named last; a registry belongs to its image. */
static void sbxi_e2b_put_base(sbx_json_writer *w, const sbx_template *t)
{
    const sbxi_step *base = sbxi_template_base(t), *registry = base ? base->next : NULL;
    size_t i;
    while (registry && registry->kind != SBXI_FROM_REGISTRY) registry = registry->next;
    sbx_json_key(w, base && base->kind == SBXI_FROM_TEMPLATE ? "fromTemplate" : "fromImage");
    sbx_json_text(w, base ? base->texts.items[0] : sbxi_e2b_images[0].name);
    if (!registry) return;
    sbx_json_key(w, "fromImageRegistry");
    sbx_json_begin_object(w);
    sbx_json_key(w, "type");
    sbx_json_text(w, sbxi_e2b_registries[registry->number][0]);
    for (i = 0; i < registry->texts.count; i++) {
        sbx_json_key(w, sbxi_e2b_registries[registry->number][i + 1]);
        sbx_json_text(w, registry->texts.items[i]);
    }
    sbx_json_end_object(w);
}

static void sbxi_e2b_put_command(sbx_json_writer *w, const sbx_template *t, unsigned kind,
    const char *key)
{
    const sbxi_step *s = sbxi_template_last(t, kind);
    const char *command = s ? sbxi_e2b_command(t, s) : NULL;
    if (s && !command) w->status = t->text.status;
    if (!command) return;
    sbx_json_key(w, key);
    sbx_json_text(w, command);
}

/* The members of the body that starts a build, without its brackets. */
static void sbxi_e2b_put_members(sbx_json_writer *w, const sbx_template *t, bool force)
{
    const sbxi_step *s;
    sbxi_e2b_put_base(w, t);
    sbx_json_key(w, "force");
    sbx_json_bool(w, force || t->all_forced);
    sbx_json_key(w, "steps");
    sbx_json_begin_array(w);
    for (s = t->first; s && w->status == SBX_OK; s = s->next)
        if (sbxi_is_wire_step(s)) sbxi_e2b_put_step(w, t, s);
    sbx_json_end_array(w);
    sbxi_e2b_put_command(w, t, SBXI_DO_START, "startCmd");
    sbxi_e2b_put_command(w, t, SBXI_DO_READY, "readyCmd");
}

static void sbxi_e2b_template_json(sbx_json_writer *w, const sbx_template *t)
{
    sbx_json_begin_object(w);
    sbxi_e2b_put_members(w, t, false);
    sbx_json_end_object(w);
}

/* ---- as a Dockerfile ---------------------------------------------------------------- */

static void sbxi_e2b_file_text(sbx_json_writer *to, const char *text)
{
    sbxi_json_out(to, text, strlen(text));
}

/* A line of its own: of RUN the command, of COPY two arguments, of ENV pairs. */
static void sbxi_e2b_file_step(sbx_json_writer *to, const sbx_template *t, const sbxi_step *s)
{
    sbxi_e2b_args args;
    size_t i, n;
    if (!sbxi_e2b_args_of(&args, t, s)) {
        to->status = t->text.status;
        return;
    }
    n = s->kind >= SBXI_DO_RUN ? 1 : s->kind == SBXI_DO_COPY ? 2 : args.count;
    sbxi_e2b_file_text(to, "\n");
    sbxi_e2b_file_text(to, sbxi_e2b_types[SBXI_MIN(s->kind, SBXI_DO_RUN) - SBXI_DO_COPY]);
    for (i = 0; i < n; i++) {
        sbxi_e2b_file_text(to, s->kind == SBXI_DO_ENV && i % 2 ? "=" : " ");
        sbxi_e2b_file_text(to, args.items[i]);
    }
}

static int sbxi_e2b_template_file(const sbx_template *t, sbx_sink sink)
{
    const sbxi_step *s, *from = sbxi_template_base(t);
    const char *start;
    sbx_json_writer to; /* of it only sink and status are used */
    if (from && from->kind == SBXI_FROM_TEMPLATE) return SBX_E_UNSUPPORTED;
    sbx_json_writer_init(&to, sink);
    sbxi_e2b_file_text(&to, "FROM ");
    sbxi_e2b_file_text(&to, from ? from->texts.items[0] : sbxi_e2b_images[0].name);
    for (s = t->first; s; s = s->next)
        if (sbxi_is_wire_step(s)) sbxi_e2b_file_step(&to, t, s);
    s = sbxi_template_last(t, SBXI_DO_START);
    start = s ? sbxi_e2b_command(t, s) : NULL;
    if (s && !start) return t->text.status;
    if (start) {
        sbxi_e2b_file_text(&to, "\nENTRYPOINT ");
        sbxi_e2b_file_text(&to, start);
    }
    sbxi_e2b_file_text(&to, "\n");
    return to.status;
}

/* ---- what this service does not take -------------------------------------------------- */

/* A source stays inside the context, as the text says it. */
static const char *sbxi_e2b_check_source(const char *path)
{
    int depth = 0;
    if (path[0] == '/') return SBXI_TEXT("an absolute source: name it from the context on");
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') depth--;
        else if (n && !(n == 1 && path[0] == '.')) depth++;
        if (depth < 0) return SBXI_TEXT("the source leads out of the context");
        path += n + (path[n] != 0);
    }
    return NULL;
}

static bool sbxi_e2b_is_from(const sbx_template *t, const char *name)
{
    const sbxi_step *s = sbxi_template_base(t);
    return s && s->kind == SBXI_FROM_TEMPLATE && strcmp(s->texts.items[0], name) == 0;
}

/* NULL: the record is fine. */
static const char *sbxi_e2b_template_check(const sbx_template *t, const sbxi_step *plan)
{
    if (plan->kind == SBXI_DO_COPY) return sbxi_e2b_check_source(plan->texts.items[0]);
    if (plan->kind == SBXI_DO_MCP && !sbxi_e2b_is_from(t, "mcp-gateway"))
        return SBXI_TEXT("only a template from \"mcp-gateway\" has servers");
    if (plan->kind == SBXI_DO_DEV_CONTAINER && !sbxi_e2b_is_from(t, "devcontainer"))
        return SBXI_TEXT("only a template from \"devcontainer\" has one");
    return NULL;
}


/* ---- fields ------------------------------------------------------------------------- */

static const char *const sbxi_e2b_build_states[] = { "waiting", "building", "ready", "error",
    NULL };

static const sbxi_field sbxi_e2b_request_fields[] = {
    SBXI_IN("name", STRING, build.o.name),
    SBXI_IN("tags", STRINGS, build.o.tags),
    SBXI_IN("cpuCount", INT, build.o.cpu_count),
    SBXI_IN("memoryMB", INT, build.o.memory_mib),
    SBXI_IN("minFreeDiskMb", INT, build.o.disk_mib)
};
static const sbxi_shape sbxi_e2b_request = SBXI_SHAPE(sbxi_e2b_request_fields, sbxi_args);

static const sbxi_field sbxi_e2b_reason_fields[] = {
    SBXI_FIELD("message", STRING, sbx_build_info, reason),
    SBXI_FIELD("step", STRING, sbx_build_info, reason_step)
};
static const sbxi_shape sbxi_e2b_reason = SBXI_SHAPE(sbxi_e2b_reason_fields, sbx_build_info);

static const sbxi_field sbxi_e2b_line_fields[] = {
    SBXI_FIELD("timestamp", TIME, sbx_build_log, unix_ms),
    SBXI_FIELD("level", STRING, sbx_build_log, level),
    SBXI_FIELD("message", STRING, sbx_build_log, message),
    SBXI_FIELD("step", STRING, sbx_build_log, step)
};
static const sbxi_shape sbxi_e2b_line = SBXI_SHAPE(sbxi_e2b_line_fields, sbx_build_log);

/* Of the request and of the state of a build. */
static const sbxi_field sbxi_e2b_build_fields[] = {
    SBXI_FIELD("templateID", STRING, sbx_build_info, template_id),
    SBXI_FIELD("buildID", STRING, sbx_build_info, build_id),
    SBXI_FIELD("names", STRINGS, sbx_build_info, names),
    SBXI_FIELD("aliases", STRINGS, sbx_build_info, aliases),
    SBXI_FIELD("tags", STRINGS, sbx_build_info, tags),
    { "status", sbxi_e2b_build_states, offsetof(sbx_build_info, status), 0, SBXI_T_ENUM },
    SBXI_SUB("reason", OBJECT, sbxi_e2b_reason),
    SBXI_SUB("logEntries", EACH, sbxi_e2b_line)
};
static const sbxi_shape sbxi_e2b_build = SBXI_SHAPE(sbxi_e2b_build_fields, sbx_build_info);

static const sbxi_field sbxi_e2b_status_fields[] = {
    SBXI_IN("logsOffset", STRING, build.offset), SBXI_IN("limit", STRING, build.limit)
};
static const sbxi_shape sbxi_e2b_status = SBXI_SHAPE(sbxi_e2b_status_fields, sbxi_args);

static void sbxi_e2b_put_body(sbx_json_writer *w, const void *base)
{
    const sbxi_build_args *a = (const sbxi_build_args *)base;
    sbxi_e2b_put_members(w, a->t, a->o.skip_cache == SBX_YES);
}
static const sbxi_maker sbxi_e2b_body = { sbxi_e2b_put_body };
static const sbxi_field sbxi_e2b_steps_fields[] = {
    { "", &sbxi_e2b_body, SBXI_ARG(build), SBXI_ALWAYS, SBXI_T_MEMBERS }
};
static const sbxi_shape sbxi_e2b_steps = SBXI_SHAPE(sbxi_e2b_steps_fields, sbxi_args);

static const sbxi_field sbxi_e2b_upload_fields[] = {
    SBXI_FIELD("present", BOOL, sbxi_upload, present),
    SBXI_FIELD("url", STRING, sbxi_upload, url),
    SBXI_FIELD("headers", PAIRS, sbxi_upload, headers)
};
static const sbxi_shape sbxi_e2b_upload = SBXI_SHAPE(sbxi_e2b_upload_fields, sbxi_upload);

static const sbxi_field sbxi_e2b_public_fields[] = {
    SBXI_IN("public", CHOICE, build.is_public)
};
static const sbxi_shape sbxi_e2b_public = SBXI_SHAPE(sbxi_e2b_public_fields, sbxi_args);

static const sbxi_field sbxi_e2b_add_tags_fields[] = {
    SBXI_IN("target", STRING, build.tag_name), SBXI_IN("tags", STRINGS, build.o.tags)
};
static const sbxi_shape sbxi_e2b_add_tags = SBXI_SHAPE(sbxi_e2b_add_tags_fields, sbxi_args);
static const sbxi_field sbxi_e2b_remove_tags_fields[] = {
    SBXI_IN("name", STRING, build.tag_name), SBXI_IN("tags", STRINGS, build.o.tags)
};
static const sbxi_shape sbxi_e2b_remove_tags = SBXI_SHAPE(sbxi_e2b_remove_tags_fields,
    sbxi_args);

static const sbxi_field sbxi_e2b_tag_fields[] = {
    SBXI_FIELD("tag", STRING, sbx_template_tag, tag),
    SBXI_FIELD("buildID", STRING, sbx_template_tag, build_id),
    SBXI_FIELD("createdAt", TIME, sbx_template_tag, created_unix_ms)
};
static const sbxi_shape sbxi_e2b_tag = SBXI_SHAPE(sbxi_e2b_tag_fields, sbx_template_tag);

static const sbxi_field sbxi_e2b_template_fields[] = {
    SBXI_FIELD("templateID", STRING, sbx_template_info, id),
    SBXI_FIELD("buildID", STRING, sbx_template_info, build_id),
    SBXI_FIELD("cpuCount", INT, sbx_template_info, cpu_count),
    SBXI_FIELD("memoryMB", INT, sbx_template_info, memory_mib),
    SBXI_FIELD("diskSizeMB", INT, sbx_template_info, disk_mib),
    SBXI_FIELD("public", CHOICE, sbx_template_info, is_public),
    SBXI_FIELD("aliases", STRINGS, sbx_template_info, aliases),
    SBXI_FIELD("names", STRINGS, sbx_template_info, names),
    SBXI_FIELD("createdAt", TIME, sbx_template_info, created_unix_ms),
    SBXI_FIELD("updatedAt", TIME, sbx_template_info, updated_unix_ms),
    SBXI_FIELD("lastSpawnedAt", TIME, sbx_template_info, used_unix_ms),
    SBXI_FIELD("spawnCount", INT64, sbx_template_info, used_count),
    SBXI_FIELD("buildCount", INT64, sbx_template_info, build_count),
    SBXI_FIELD("envdVersion", STRING, sbx_template_info, daemon_version),
    { "buildStatus", sbxi_e2b_build_states, offsetof(sbx_template_info, status), 0, SBXI_T_ENUM }
};
static const sbxi_shape sbxi_e2b_template = SBXI_SHAPE(sbxi_e2b_template_fields,
    sbx_template_info);

static const sbxi_field sbxi_e2b_built_fields[] = {
    SBXI_FIELD("buildID", STRING, sbx_template_build_item, build_id),
    { "status", sbxi_e2b_build_states, offsetof(sbx_template_build_item, status), 0,
        SBXI_T_ENUM },
    SBXI_FIELD("createdAt", TIME, sbx_template_build_item, created_unix_ms),
    SBXI_FIELD("updatedAt", TIME, sbx_template_build_item, updated_unix_ms),
    SBXI_FIELD("finishedAt", TIME, sbx_template_build_item, finished_unix_ms),
    SBXI_FIELD("cpuCount", INT, sbx_template_build_item, cpu_count),
    SBXI_FIELD("memoryMB", INT, sbx_template_build_item, memory_mib),
    SBXI_FIELD("diskSizeMB", INT, sbx_template_build_item, disk_mib),
    SBXI_FIELD("envdVersion", STRING, sbx_template_build_item, daemon_version)
};
static const sbxi_shape sbxi_e2b_built = SBXI_SHAPE(sbxi_e2b_built_fields,
    sbx_template_build_item);
static const sbxi_field sbxi_e2b_builds_fields[] = { SBXI_SUB("builds", EACH, sbxi_e2b_built) };
static const sbxi_shape sbxi_e2b_builds = SBXI_SHAPE(sbxi_e2b_builds_fields,
    sbx_template_build_item);
static const sbxi_field sbxi_e2b_paging_fields[] = {
    SBXI_IN("nextToken", STRING, list.token), SBXI_IN("limit", STRING, list.limit)
};
static const sbxi_shape sbxi_e2b_paging = SBXI_SHAPE(sbxi_e2b_paging_fields, sbxi_args);

/* ---- routes: rows of the provider's list ---------------------------------------------- */

enum { SBXI_E2B_BUILD_REQUEST = SBXI_ROUTE_OWN + 16, SBXI_E2B_BUILD_FILES,
    SBXI_E2B_BUILD_UPLOAD, SBXI_E2B_BUILD_START, SBXI_E2B_BUILD_STATUS };

/* How they begin: path, fields, reply, prefix, method, host, retry. */
#define SBXI_E2B_TEMPLATE_ROUTES \
    { "/v3/templates", &sbxi_e2b_request, &sbxi_e2b_build, SBXI_E2B_ROOT, SBXI_POST, \
        SBXI_HOST_CONTROL, SBXI_RETRY_REJECTED, SBXI_SEND_JSON, SBXI_RECV_RESULT, 0, \
        SBXI_E2B_BUILD_REQUEST }, \
    { "/{id}/files/{key}", NULL, &sbxi_e2b_upload, SBXI_E2B_TEMPLATES, SBXI_GET, \
        SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_RESULT, 0, \
        SBXI_E2B_BUILD_FILES }, \
    { "", NULL, NULL, SBXI_E2B_ROOT, SBXI_PUT, SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, \
        SBXI_SEND_UPLOAD, SBXI_RECV_NOTHING, 0, SBXI_E2B_BUILD_UPLOAD }, \
    { "/v2/templates/{id}/builds/{key}", &sbxi_e2b_steps, NULL, SBXI_E2B_ROOT, SBXI_POST, \
        SBXI_HOST_CONTROL, SBXI_RETRY_REJECTED, SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, \
        SBXI_E2B_BUILD_START }, \
    SBXI_E2B_BUILD_ROW(SBXI_E2B_BUILD_STATUS), \
    SBXI_E2B_BUILD_ROW(SBX_FEATURE_TEMPLATE_BUILD), \
    SBXI_E2B_BUILD_ROW(SBX_FEATURE_TEMPLATE_BUILD_START), \
    SBXI_E2B_BUILD_ROW(SBX_FEATURE_BUILD_GET_STATUS), \
    SBXI_E2B_BUILD_ROW(SBX_FEATURE_BUILD_WAIT), \
    { "/aliases/{id}", NULL, NULL, SBXI_E2B_TEMPLATES, SBXI_GET, SBXI_HOST_CONTROL, \
        SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_NOTHING, SBXI_E2B_FOREIGN_IS_YES, \
        SBX_FEATURE_TEMPLATE_EXISTS }, \
    { "/v2/templates", NULL, &sbxi_e2b_template, SBXI_E2B_ROOT, SBXI_GET, SBXI_HOST_CONTROL, \
        SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_EACH, 0, SBX_FEATURE_TEMPLATE_LIST }, \
    { "/{id}", &sbxi_e2b_paging, &sbxi_e2b_builds, SBXI_E2B_TEMPLATES, SBXI_GET, \
        SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_EACH_INSIDE, 0, \
        SBX_FEATURE_TEMPLATE_BUILDS }, \
    { "/{id}", NULL, NULL, SBXI_E2B_TEMPLATES, SBXI_DELETE, SBXI_HOST_CONTROL, \
        SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_NOTHING, SBXI_E2B_MISSING_IS_NO, \
        SBX_FEATURE_TEMPLATE_DELETE }, \
    { "/v2/templates/{id}", &sbxi_e2b_public, NULL, SBXI_E2B_ROOT, SBXI_PATCH, \
        SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, \
        SBX_FEATURE_TEMPLATE_SET_PUBLIC }, \
    { "/{id}/tags", NULL, &sbxi_e2b_tag, SBXI_E2B_TEMPLATES, SBXI_GET, SBXI_HOST_CONTROL, \
        SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_EACH, 0, \
        SBX_FEATURE_TEMPLATE_LIST_TAGS }, \
    { "/tags", &sbxi_e2b_add_tags, NULL, SBXI_E2B_TEMPLATES, SBXI_POST, SBXI_HOST_CONTROL, \
        SBXI_RETRY_SAFE, SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, \
        SBX_FEATURE_TEMPLATE_ADD_TAGS }, \
    { "/tags", &sbxi_e2b_remove_tags, NULL, SBXI_E2B_TEMPLATES, SBXI_DELETE, \
        SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, \
        SBX_FEATURE_TEMPLATE_REMOVE_TAGS },
#define SBXI_E2B_BUILD_ROW(feature) \
    { "/{id}/builds/{key}/status", &sbxi_e2b_status, &sbxi_e2b_build, SBXI_E2B_TEMPLATES, \
        SBXI_GET, SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_RESULT, 0, \
        feature }

/* ---- the steps of a build ---------------------------------------------------------------- */

enum { SBXI_E2B_REQUESTED = SBXI_STEP_OWN + 16, SBXI_E2B_READING, SBXI_E2B_KNOWN,
    SBXI_E2B_COUNTING, SBXI_E2B_SENT, SBXI_E2B_STARTED, SBXI_E2B_POLLED };

#define SBXI_E2B_POLL_MS 200
#define SBXI_E2B_SLICE 65536u /* bytes of files read before others have their turn */

/* A line of our own for the log of the user; the texts come behind each other. */
static int sbxi_e2b_say(sbx_op *op, const char *level, const char *a, const char *b,
    const char *c, const char *d)
{
    sbxi_build_args *args = &op->args.of.build;
    sbxi_buf *text = &op->captured[0].buf;
    sbx_build_log log;
    int rc;
    if (!args->o.log) return SBX_OK;
    sbxi_buf_clear(text);
    sbxi_buf_texts(text, a, b, c);
    sbxi_buf_text(text, d);
    if (sbxi_buf_add(text, "", 1) != SBX_OK) return text->status;
    memset(&log, 0, sizeof log);
    log.level = level;
    log.message = text->data;
    rc = sbxi_each_said(args->o.log(args->o.ctx, &log));
    return op->cancelled ? SBX_E_CANCELLED : rc;
}

/* Tells how far it is: files first, of which so many are done, then the steps of the
   service; -1: all of them. */
static int sbxi_e2b_advance(sbx_op *op, int32_t files, int32_t steps)
{
    sbxi_build_args *a = &op->args.of.build;
    const sbxi_step *s;
    int32_t all_files = 0, all = 0, done;
    if (!a->o.progress || !a->t) return SBX_OK;
    for (s = a->t->first; s; s = s->next) {
        all += sbxi_is_wire_step(s);
        all_files += s->kind == SBXI_DO_COPY;
    }
    done = (files < 0 ? all_files : files) + (steps < 0 ? all : SBXI_MIN(steps, all));
    all += all_files;
    if (done <= a->b->done) return SBX_OK;
    a->b->done = done;
    a->o.progress(a->o.ctx, done, all);
    return op->cancelled ? SBX_E_CANCELLED : SBX_OK;
}

/* The COPY behind b->at, from the first one on; NULL: there is no further one. */
static const sbxi_step *sbxi_e2b_next_copy(sbxi_building *b)
{
    b->at = b->at ? b->at->next : b->t->first;
    while (b->at && b->at->kind != SBXI_DO_COPY) b->at = b->at->next;
    return b->at;
}

/* ---- files ---- */

/* What is left out of the context: its own file says it, then the user. */
static int sbxi_e2b_ignores(sbxi_building *b, sbx_error *e)
{
    const sbxi_step *s = sbxi_template_last(b->t, SBXI_DO_IGNORE);
    size_t i;
    int rc = sbxi_tree_rules(&b->t->tree, ".dockerignore", &b->ignores, e);
    for (i = 0; s && rc == SBX_OK && i < s->texts.count; i++)
        rc = sbxi_ignore_add(&b->ignores, sbxi_span_of(s->texts.items[i]), e);
    return rc;
}

/* Begins to read the files of b->at. */
static int sbxi_e2b_open(sbxi_building *b, int32_t level, sbx_error *e)
{
    sbxi_plan plan;
    sbxi_context_close(b->context);
    b->context = NULL;
    memset(&plan, 0, sizeof plan);
    plan.tree = &b->t->tree;
    plan.ignore = &b->ignores;
    plan.alloc = b->alloc;
    plan.error = e;
    plan.src = b->at->texts.items[0];
    plan.dest = b->at->texts.items[1];
    plan.dialect = SBXI_GLOB_SOURCE;
    plan.follow = (b->at->flags & SBXI_FLAG('s')) != 0;
    plan.tar = level < 0;
    plan.level = (uint8_t)(level < 0 ? 0 : level ? level : 6);
    return sbxi_context_open(&b->context, &plan);
}

static int sbxi_e2b_later(sbx_op *op, int rc)
{
    return rc == SBX_E_AGAIN ? sbxi_step_later(op, SBXI_FILES_MS) : rc;
}

/* Goes on with a pass over them. SBX_PENDING: there is more to read. */
static int sbxi_e2b_read(sbx_op *op)
{
    if (!sbxi_op_left(op, sbxi_now(&op->client->link))) {
        op->error.clock = SBX_CLOCK_TOTAL;
        return SBX_E_TIMEOUT;
    }
    return sbxi_e2b_later(op, sbxi_context_step(op->args.of.build.b->context, SBXI_E2B_SLICE));
}

static int sbxi_e2b_count(void *ctx, const void *data, size_t len)
{
    size_t *left = (size_t *)ctx;
    (void)data;
    if (len > *left) return SBX_E_TOO_LARGE;
    *left -= len;
    return SBX_OK;
}

/* Whether the request of the build will have room, which is the last of all. */
static SBXI_APART int sbxi_e2b_fits(sbx_op *op)
{
    size_t left = SBX_MAX_REQUEST - SBX_MAX_REQUEST / 16; /* the rest is for its head */
    sbx_json_writer w;
    sbx_sink to;
    to.put = sbxi_e2b_count;
    to.ctx = &left;
    sbx_json_writer_init(&w, to);
    sbxi_e2b_template_json(&w, op->args.of.build.t);
    if (w.status != SBX_E_TOO_LARGE) return w.status;
    return sbxi_op_fail(op, w.status,
        SBXI_TEXT("the steps are more than SBX_MAX_REQUEST holds: copy long texts as files"));
}

/* Reads all that will be asked for, before anything is sent: what is wrong here leaves
   nothing there. */
static int sbxi_e2b_build_read(sbx_op *op)
{
    sbxi_building *b = op->args.of.build.b;
    int rc = SBX_OK;
    op->step = SBXI_E2B_READING;
    if (b->context) {
        rc = sbxi_e2b_read(op);
        if (rc != SBX_OK) return rc;
        memcpy(b->at->hash, b->context->hash, sizeof b->at->hash);
    }
    if (!sbxi_e2b_next_copy(b)) {
        sbxi_context_close(b->context);
        b->context = NULL;
        rc = sbxi_e2b_fits(op);
        return rc == SBX_OK ? sbxi_ask(op, SBXI_E2B_BUILD_REQUEST, SBXI_E2B_REQUESTED) : rc;
    }
    rc = sbxi_e2b_open(b, 0, &op->error);
    return rc == SBX_OK ? SBX_PENDING : rc;
}

/* What the log begins with. */
static int sbxi_e2b_build_begin(sbx_op *op)
{
    sbxi_build_args *a = &op->args.of.build;
    sbxi_buf *tags = &op->captured[1].buf;
    size_t i;
    int rc = SBX_OK;
    a->offset_text[sbxi_print_u64(a->offset_text, (uint64_t)a->lines)] = 0;
    a->offset = a->offset_text;
    a->limit = "100";
    if (!a->t) return sbxi_ask(op, SBXI_E2B_BUILD_STATUS, SBXI_E2B_POLLED);
    for (i = 0; i < a->o.tags.count; i++)
        sbxi_buf_texts(tags, i ? ", " : " with tags: ", a->o.tags.items[i], NULL);
    if (sbxi_buf_add(tags, "", 1) != SBX_OK) return tags->status;
    if (sbxi_template_last(a->t, SBXI_DO_COPY)) rc = !a->t->tree.next
        ? sbxi_op_fail(op, SBX_E_ARG, SBXI_TEXT("copy needs files: sbx_template_context()"))
        : sbxi_e2b_ignores(a->b, &op->error);
    if (rc == SBX_OK) rc = sbxi_e2b_say(op, "debug", "Build started", "", "", "");
    if (rc == SBX_OK) rc = sbxi_e2b_say(op, "info", "Requesting build for template: ",
        a->o.name, tags->data, "");
    return rc == SBX_OK ? sbxi_e2b_build_read(op) : rc;
}

/* All files at once, without an operation: for what a template says of itself. */
static int sbxi_e2b_template_read(sbx_template *t, sbx_error *e)
{
    sbxi_building b;
    int rc;
    memset(&b, 0, sizeof b);
    b.alloc = &t->client->link.alloc;
    b.t = t;
    sbxi_ignore_init(&b.ignores, SBXI_GLOB_DOCKER, b.alloc);
    rc = sbxi_e2b_ignores(&b, e);
    while (rc == SBX_OK && sbxi_e2b_next_copy(&b)) {
        rc = sbxi_e2b_open(&b, 0, e);
        if (rc == SBX_OK) do rc = sbxi_context_step(b.context, UINT32_MAX);
            while (rc == SBX_PENDING);
        if (rc == SBX_OK) memcpy(b.at->hash, b.context->hash, sizeof b.at->hash);
    }
    sbxi_context_close(b.context);
    sbxi_ignore_free(&b.ignores);
    return rc;
}

/* ---- what goes out ---- */

/* The next files, or all are there. */
static int sbxi_e2b_build_next(sbx_op *op)
{
    sbxi_build_args *a = &op->args.of.build;
    int rc = SBX_OK;
    if (a->b->at) rc = sbxi_e2b_advance(op, a->b->done + 1, 0);
    if (rc == SBX_OK && sbxi_e2b_next_copy(a->b)) {
        memcpy(a->b->asked, a->b->at->hash, sizeof a->b->asked);
        op->args.key = a->b->asked;
        return sbxi_ask(op, SBXI_E2B_BUILD_FILES, SBXI_E2B_KNOWN);
    }
    op->args.key = a->b->info->build_id;
    if (rc == SBX_OK) rc = sbxi_e2b_say(op, "info", "All file uploads completed", "", "", "");
    if (rc == SBX_OK) rc = sbxi_e2b_say(op, "info", "Starting building...", "", "", "");
    return rc == SBX_OK ? sbxi_ask(op, SBXI_E2B_BUILD_START, SBXI_E2B_STARTED) : rc;
}

static int sbxi_e2b_build_requested(sbx_op *op)
{
    sbx_build_info *info = (sbx_build_info *)op->result;
    int rc;
    op->args.of.build.b->info = info;
    op->result = NULL;
    if (!info || !info->template_id || !info->build_id)
        return sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the reply names no build"));
    op->args.target = info->template_id;
    rc = sbxi_e2b_say(op, "info", "Template created with ID: ", info->template_id,
                      ", Build ID: ", info->build_id);
    return rc == SBX_OK ? sbxi_e2b_build_next(op) : rc;
}

/* Measures the archive, then sends it. */
static int sbxi_e2b_build_count(sbx_op *op)
{
    sbxi_build_args *a = &op->args.of.build;
    int rc;
    op->step = SBXI_E2B_COUNTING;
    rc = sbxi_e2b_read(op);
    if (rc != SBX_OK) return rc;
    a->body = sbxi_context_source(a->b->context);
    rc = a->body.rewind(a->body.ctx);
    return rc == SBX_OK ? sbxi_ask(op, SBXI_E2B_BUILD_UPLOAD, SBXI_E2B_SENT) : rc;
}

/* The service knows the files, or says where they are to go. */
static int sbxi_e2b_build_known(sbx_op *op)
{
    sbxi_build_args *a = &op->args.of.build;
    sbxi_building *b = a->b;
    bool force = (b->at->flags & SBXI_FLAG('u')) != 0;
    int rc;
    sbx_free(b->upload);
    b->upload = (sbxi_upload *)op->result;
    a->upload = b->upload;
    op->result = NULL;
    if (!b->upload || (!b->upload->present && !b->upload->url))
        return sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("the reply does not say where files are to go"));
    if (b->upload->url && (force || !b->upload->present)) {
        rc = sbxi_e2b_open(b, a->o.level, &op->error);
        /* what is not the same any more does not get there under that hash */
        if (rc == SBX_OK) memcpy(b->context->hash, b->asked, sizeof b->asked);
        if (rc == SBX_OK) rc = sbxi_context_begin(b->context, SBXI_PASS_COUNT);
        return rc == SBX_OK ? sbxi_e2b_build_count(op) : rc;
    }
    rc = sbxi_e2b_say(op, "info", "Skipping upload of '", b->at->texts.items[0],
                      "', already cached", "");
    return rc == SBX_OK ? sbxi_e2b_build_next(op) : rc;
}

static int sbxi_e2b_build_sent(sbx_op *op)
{
    sbxi_building *b = op->args.of.build.b;
    int rc = sbxi_e2b_say(op, "info", "Uploaded '", b->at->texts.items[0], "'", "");
    sbxi_context_close(b->context);
    b->context = NULL;
    return rc == SBX_OK ? sbxi_e2b_build_next(op) : rc;
}

/* What is handed out is what the request told. */
static int sbxi_e2b_build_give(sbx_op *op, sbx_build_status status)
{
    sbxi_building *b = op->args.of.build.b;
    if (!b->info) return SBX_OK;
    sbx_free(op->result);
    op->result = b->info;
    b->info->status = status;
    b->info = NULL;
    return SBX_OK;
}

static int sbxi_e2b_build_started(sbx_op *op)
{
    int rc;
    if (op->feature == SBX_FEATURE_TEMPLATE_BUILD_START)
        return sbxi_e2b_build_give(op, SBX_BUILD_WAITING);
    rc = sbxi_e2b_say(op, "info", "Waiting for logs...", "", "", "");
    return rc == SBX_OK ? sbxi_ask(op, SBXI_E2B_BUILD_STATUS, SBXI_E2B_POLLED) : rc;
}

/* ---- how it is doing ---- */

/* Keeps why it failed, in the service's words: later replies may leave that out. */
static void sbxi_e2b_build_note(sbx_op *op, const sbx_build_info *now)
{
    sbxi_building *b = op->args.of.build.b;
    const char *step = now->reason_step ? now->reason_step : "";
    if (now->status != SBX_BUILD_FAILED || b->failed) return;
    b->failed = true;
    sbxi_error_clear(&b->why);
    sbxi_put_text(b->why.code, sizeof b->why.code, step, strlen(step));
    (void)sbxi_error_set(&b->why, SBX_E_BUILD, now->reason && now->reason[0] ? now->reason
        : SBXI_TEXT("the build failed, and the service does not say why: see its log"));
}

static int sbxi_e2b_build_over(sbx_op *op)
{
    sbx_build_status status = ((const sbx_build_info *)op->result)->status;
    int rc = sbxi_e2b_say(op, "debug", "Build finished", "", "", "");
    if (rc != SBX_OK) return rc;
    if (status != SBX_BUILD_FAILED) return sbxi_e2b_build_give(op, status);
    op->error = op->args.of.build.b->why;
    return SBX_E_BUILD;
}

/* An ended build is asked until its log has no further line. */
static int sbxi_e2b_build_polled(sbx_op *op)
{
    sbxi_build_args *a = &op->args.of.build;
    const sbx_build_info *now = (const sbx_build_info *)op->result;
    bool more = a->fresh > 0, runs;
    int rc;
    if (!now || now->status == SBX_BUILD_UNKNOWN)
        return sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("the reply has no status of the build that is known"));
    if (op->feature == SBX_FEATURE_BUILD_GET_STATUS) return SBX_OK;
    sbxi_e2b_build_note(op, now);
    rc = sbxi_e2b_advance(op, -1, now->status == SBX_BUILD_READY ? -1
        : a->step > 0 ? a->step - 1 : 0);
    if (rc != SBX_OK) return rc;
    runs = now->status == SBX_BUILD_WAITING || now->status == SBX_BUILD_RUNNING;
    if (!runs && !more) return sbxi_e2b_build_over(op);
    a->fresh = 0;
    sbx_free(op->result);
    op->result = NULL;
    return sbxi_ask_later(op, SBXI_E2B_BUILD_STATUS, SBXI_E2B_POLLED,
                          runs ? SBXI_E2B_POLL_MS : 0);
}

/* A dispatcher by what came. */
static int sbxi_e2b_build_step(sbx_op *op)
{
    switch (op->step) {
    case SBXI_STEP_START: return sbxi_e2b_build_begin(op);
    case SBXI_E2B_READING: return sbxi_e2b_build_read(op);
    case SBXI_E2B_REQUESTED: return sbxi_e2b_build_requested(op);
    case SBXI_E2B_KNOWN: return sbxi_e2b_build_known(op);
    case SBXI_E2B_COUNTING: return sbxi_e2b_build_count(op);
    case SBXI_E2B_SENT: return sbxi_e2b_build_sent(op);
    case SBXI_E2B_STARTED: return sbxi_e2b_build_started(op);
    default: return sbxi_e2b_build_polled(op);
    }
}

#endif /* SBX_NO_TEMPLATE */
/* e2b_dockerfile - what E2B makes of a Dockerfile: steps of a template, in its own
   order. As the Python SDK 2.63 converts it. Called by api/template. */

#if !defined(SBX_NO_E2B) && !defined(SBX_NO_TEMPLATE)

typedef struct sbxi_e2b_docker {
    sbxi_docker d;
    sbx_template *t;
    void (*notice)(void *ctx, int line, const char *text);
    void *ctx;
    bool from, user, workdir;       /* the file had one */
    bool entry_json;                /* of the entry point */
    sbxi_buf entry, cmd;            /* their shell form, empty: none */
    bool cmd_json;
    sbxi_buf known;                 /* ENV and ARG so far: NAME NUL VALUE NUL ... */
    sbxi_buf text;                  /* a command that is being made */
    sbxi_buf body, mark;            /* of a heredoc in it, and what ends that */
    const char *at;                 /* in the one that is expanded */
    size_t depth;
    char open[16];                  /* of each ${: } its text, # a pattern, / up to a slash */
    const char *wrong;              /* first thing that is; may be in about */
    char about[160];
    int status;                     /* else why it ended */
} sbxi_e2b_docker;

/* What went wrong with the memory of any of its texts. */
static int sbxi_e2b_df_status(const sbxi_e2b_docker *e)
{
    const sbxi_buf *const all[] = { &e->entry, &e->cmd, &e->known, &e->text, &e->body, &e->mark };
    int status = sbxi_docker_status(&e->d);
    size_t i;
    for (i = 0; !status && i < SBXI_LEN(all); i++) status = all[i]->status;
    return status;
}

static void sbxi_e2b_df_wrong(sbxi_e2b_docker *e, const char *wrong)
{
    if (!e->wrong && !e->status) e->wrong = wrong;
}

/* The same with what it is about. */
static void sbxi_e2b_df_wrong_about(sbxi_e2b_docker *e, const char *wrong, const char *what)
{
    if (e->wrong || e->status) return;
    sbxi_put_text(e->about, sizeof e->about, wrong, strlen(wrong));
    sbxi_add_text(e->about, sizeof e->about, what);
    e->wrong = e->about;
}

static void sbxi_e2b_df_tell(sbxi_e2b_docker *e, const char *text, const char *what)
{
    if (!e->notice) return;
    sbxi_buf_clear(&e->text);
    sbxi_buf_texts(&e->text, text, what, NULL);
    if (sbxi_buf_add(&e->text, "", 1) == SBX_OK) e->notice(e->ctx, e->d.start, e->text.data);
}

/* Adds a step, unless something is wrong already. */
static void sbxi_e2b_df_put(sbxi_e2b_docker *e, const sbxi_step *plan)
{
    if (e->wrong || e->status) return;
    sbxi_e2b_df_wrong(e, sbxi_step_check(plan));
    sbxi_e2b_df_wrong(e, sbxi_e2b_template_check(e->t, plan));
    if (!e->wrong) e->status = sbxi_step_add(e->t, plan);
}

static void sbxi_e2b_df_put_texts(sbxi_e2b_docker *e, unsigned kind, const char *const *texts,
    size_t n, const char *user)
{
    sbxi_step plan;
    memset(&plan, 0, sizeof plan);
    plan.kind = (uint8_t)kind;
    plan.texts.items = texts;
    plan.texts.count = n;
    plan.user = user;
    sbxi_e2b_df_put(e, &plan);
}

static void sbxi_e2b_df_put_one(sbxi_e2b_docker *e, unsigned kind, const char *text,
    const char *user)
{
    sbxi_e2b_df_put_texts(e, kind, &text, 1, user);
}

/* The text that was made in a buffer, as a step. */
static void sbxi_e2b_df_put_made(sbxi_e2b_docker *e, unsigned kind, const char *user)
{
    if (sbxi_buf_add(&e->text, "", 1) != SBX_OK) e->status = e->text.status;
    else sbxi_e2b_df_put_one(e, kind, e->text.data, user);
}

/* All words from the i-th on, quoted for a shell. */
static void sbxi_e2b_df_join(const sbxi_docker *d, sbxi_buf *to, size_t i)
{
    const char *word = sbxi_docker_word(d, i);
    for (; i < d->word_count; i++, word = sbxi_docker_after(word)) {
        if (to->len) sbxi_buf_text(to, " ");
        sbxi_quote(to, word);
    }
}

/* ---- variables ------------------------------------------------------------------- */

/* Words as names and values in turn are a step, and known from here on. */
static void sbxi_e2b_df_put_env(sbxi_e2b_docker *e)
{
    const sbx_alloc *a = e->d.words.alloc;
    size_t n = e->d.word_count, i;
    const char **texts;
    if (e->wrong || e->status || e->d.words.status || !n) return;
    texts = n > SIZE_MAX / sizeof *texts ? NULL
        : (const char **)sbxi_alloc_get(a, n * sizeof *texts);
    if (!texts) {
        e->status = SBX_E_NOMEM;
        return;
    }
    for (i = 0; i < n; i++)
        texts[i] = i ? sbxi_docker_after(texts[i - 1]) : sbxi_docker_word(&e->d, 0);
    sbxi_buf_add(&e->known, e->d.words.data, e->d.words.len);
    sbxi_e2b_df_put_texts(e, SBXI_DO_ENV, texts, n, NULL);
    sbxi_alloc_free(a, texts, n * sizeof *texts);
}

/* NAME=VALUE words; of ARG the value may be missing. */
static void sbxi_e2b_df_pairs(sbxi_e2b_docker *e, bool arg)
{
    sbxi_docker *d = &e->d;
    const char *p = d->rest, *end, *equals;
    sbxi_docker_no_words(d);
    for (; *p && !e->wrong; p = sbxi_skip_blanks(end)) {
        end = sbxi_docker_word_end(d, p);
        equals = (const char *)memchr(p, '=', (size_t)(end - p));
        if (!equals && !arg)
            sbxi_e2b_df_wrong(e, SBXI_TEXT("a word without =: NAME=VALUE is meant"));
        if (equals == p) sbxi_e2b_df_wrong(e, SBXI_TEXT("a name is empty"));
        sbxi_docker_add_word(d, p, equals ? equals : end);
        sbxi_docker_add_word(d, equals ? equals + 1 : end, end);
    }
    sbxi_e2b_df_put_env(e);
}

static void sbxi_e2b_df_env(sbxi_e2b_docker *e)
{
    sbxi_docker *d = &e->d;
    const char *end = sbxi_docker_word_end(d, d->rest), *value = sbxi_skip_blanks(end);
    if (!*d->rest) sbxi_e2b_df_wrong(e, SBXI_TEXT("at least one argument is needed"));
    else if (memchr(d->rest, '=', (size_t)(end - d->rest))) sbxi_e2b_df_pairs(e, false);
    else if (!*value) sbxi_e2b_df_wrong(e, SBXI_TEXT("two arguments are needed"));
    else { /* the old form: all behind the name */
        sbxi_docker_no_words(d);
        sbxi_docker_add_word(d, d->rest, end);
        sbxi_docker_add_word(d, value, value + strlen(value));
        sbxi_e2b_df_put_env(e);
    }
}

static void sbxi_e2b_df_arg(sbxi_e2b_docker *e)
{
    if (!*e->d.rest) sbxi_e2b_df_wrong(e, SBXI_TEXT("at least one argument is needed"));
    else sbxi_e2b_df_pairs(e, true);
}

/* The last value of a name, "" if it has none. */
static const char *sbxi_e2b_df_value(const sbxi_e2b_docker *e, const char *name, size_t len)
{
    const char *p = e->known.data, *end = p ? p + e->known.len : p, *found = "";
    while (p < end) {
        const char *value = p + strlen(p) + 1;
        if (strlen(p) == len && memcmp(p, name, len) == 0) found = value;
        p = value + strlen(value) + 1;
    }
    return found;
}

/* A text with $NAME and ${NAME} replaced, into text. */
static const char *sbxi_e2b_df_resolve(sbxi_e2b_docker *e, const char *p)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
        "0123456789";
    sbxi_buf_clear(&e->text);
    while (*p) {
        size_t brace = p[0] == '$' && p[1] == '{', n;
        if (*p != '$') {
            sbxi_buf_add(&e->text, p++, 1);
            continue;
        }
        p += 1 + brace;
        n = strspn(p, letters);
        sbxi_buf_text(&e->text, sbxi_e2b_df_value(e, p, n));
        p += n;
        p += brace && *p == '}';
    }
    return sbxi_buf_add(&e->text, "", 1) == SBX_OK ? e->text.data : "";
}

/* ---- FROM, RUN, CMD ---------------------------------------------------------------- */

static void sbxi_e2b_df_from(sbxi_e2b_docker *e)
{
    const char *name, *value, *image;
    while (sbxi_docker_flag(&e->d, &name, &value)) {
        if (strcmp(name, "platform") == 0) sbxi_e2b_df_tell(e, "not heeded: FROM --", name);
        else sbxi_e2b_df_wrong_about(e, SBXI_TEXT("unknown flag: "), name);
    }
    sbxi_docker_words(&e->d);
    if (e->d.words.status) return;
    if (e->from)
        sbxi_e2b_df_wrong(e,
            SBXI_TEXT("a second FROM: builds of several stages are not supported"));
    if (e->d.word_count != 1 && (e->d.word_count != 3
        || !sbxi_span_is_nocase(sbxi_span_of(sbxi_docker_word(&e->d, 1)), "as")))
        sbxi_e2b_df_wrong(e, SBXI_TEXT("one argument is needed, or three: image AS name"));
    e->from = true;
    if (e->wrong || e->status) return;
    image = sbxi_docker_word(&e->d, 0);
    sbxi_e2b_df_put_one(e, SBXI_FROM_IMAGE, image, NULL);
}

/* Takes the tabs off its lines where they do not count. */
static void sbxi_e2b_df_chomp(sbxi_heredoc *h)
{
    const char *p = h->body;
    char *to = h->body;
    while (h->chomp && *p) {
        while (*p == '\t') p++;
        while (*p && (*to++ = *p++) != '\n') continue;
    }
    if (h->chomp) *to = 0;
}

static bool sbxi_e2b_df_in_name(char c)
{
    return sbxi_is_digit(c) || c == '_' || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* Ends the body of a heredoc, and makes what ends it for a shell: its name, longer where
   the body has that too. */
static void sbxi_e2b_df_mark(sbxi_e2b_docker *e, const char *p)
{
    sbxi_buf *mark = &e->mark;
    size_t more = 0, n;
    sbxi_buf_clear(mark);
    sbxi_buf_text(mark, "E2B_HEREDOC_");
    for (; *p; p++)
        if ((*p & 0xC0) != 0x80) sbxi_buf_add(mark, sbxi_e2b_df_in_name(*p) ? p : "_", 1);
    sbxi_buf_add(mark, "", 1);
    sbxi_buf_add(&e->body, "", 1);
    if (!e->status) e->status = mark->status ? mark->status : e->body.status;
    if (e->status) return;
    for (p = e->body.data; (p = strstr(p, mark->data)) != NULL; p += n) {
        p += mark->len - 1;
        n = strspn(p, "_");
        if (n >= more) more = n + 1;
    }
    for (mark->len--; more; more--) sbxi_buf_add(mark, "_", 1);
    e->status = sbxi_buf_add(mark, "", 1);
}

/* RUN with nothing but a heredoc runs its body: by what its first line names, if it names
   something. */
static void sbxi_e2b_df_script(sbxi_e2b_docker *e)
{
    static const char *const parts[] = { " && ", "\nE2B_EXIT=$?; rm -f ", "; exit $E2B_EXIT" };
    sbxi_heredoc *h = &e->d.doc[0];
    sbxi_buf *b = &e->text;
    size_t i;
    sbxi_e2b_df_chomp(h);
    if (strncmp(h->body, "#!", 2) != 0) {
        sbxi_buf_text(b, h->body);
        return;
    }
    sbxi_buf_clear(&e->body);
    sbxi_buf_text(&e->body, h->body);
    sbxi_e2b_df_mark(e, h->name);
    sbxi_buf_clear(&e->body);
    sbxi_buf_texts(&e->body, "/tmp/", h->name, NULL);
    sbxi_buf_add(&e->body, "", 1);
    if (!e->status) e->status = e->body.status;
    if (e->status) return;
    sbxi_buf_texts(b, "cat <<'", e->mark.data, "' >");
    sbxi_quote(b, e->body.data);
    sbxi_buf_texts(b, "\n", h->body, e->mark.data);
    sbxi_buf_text(b, "\nchmod +x ");
    for (i = 0; i < SBXI_LEN(parts); i++) {
        sbxi_quote(b, e->body.data);
        sbxi_buf_text(b, parts[i]);
    }
}

static void sbxi_e2b_df_run(sbxi_e2b_docker *e)
{
    sbxi_docker *d = &e->d;
    const char *name, *value;
    size_t i;
    while (sbxi_docker_flag(d, &name, &value))
        sbxi_e2b_df_tell(e, "not heeded: RUN --", name);
    if (!*d->rest) sbxi_e2b_df_wrong(e, SBXI_TEXT("at least one argument is needed"));
    sbxi_buf_clear(&e->text);
    if (sbxi_docker_json(d)) {
        sbxi_e2b_df_join(d, &e->text, 0);
    } else if (d->doc_count == 1 && !*sbxi_docker_word_end(d, d->rest)) {
        sbxi_e2b_df_script(e);
    } else {
        sbxi_buf_text(&e->text, d->rest);
        for (i = 0; i < d->doc_count; i++)
            sbxi_buf_texts(&e->text, "\n", d->doc[i].body, d->doc[i].name);
    }
    sbxi_e2b_df_put_made(e, SBXI_DO_RUN, NULL);
}

/* CMD or ENTRYPOINT: its shell form. */
static void sbxi_e2b_df_keep(sbxi_e2b_docker *e, sbxi_buf *to, bool *json)
{
    sbxi_buf_clear(to);
    *json = sbxi_docker_json(&e->d);
    if (*json) sbxi_e2b_df_join(&e->d, to, 0);
    else sbxi_buf_text(to, e->d.rest);
}

static void sbxi_e2b_df_cmd(sbxi_e2b_docker *e) { sbxi_e2b_df_keep(e, &e->cmd, &e->cmd_json); }
static void sbxi_e2b_df_entry(sbxi_e2b_docker *e)
{
    sbxi_e2b_df_keep(e, &e->entry, &e->entry_json);
}

/* ---- COPY and ADD --------------------------------------------------------------------- */

typedef struct sbxi_e2b_df_copy {
    sbxi_buf user;
    int32_t mode;           /* -1: not said */
    char digits[5];         /* as it was said */
} sbxi_e2b_df_copy;

/* --chmod: three or four octal digits. */
static void sbxi_e2b_df_chmod(sbxi_e2b_docker *e, sbxi_e2b_df_copy *c, const char *value)
{
    const char *p = sbxi_e2b_df_resolve(e, value);
    size_t n = strspn(p, "01234567");
    if (e->text.status) {
        e->status = e->text.status;
        return;
    }
    if (p[n] || (n != 3 && n != 4)) {
        sbxi_e2b_df_wrong(e,
            SBXI_TEXT("--chmod must be three or four octal digits such as 0755"));
        return;
    }
    memcpy(c->digits, p, n + 1);
    for (c->mode = 0; *p; p++) c->mode = c->mode * 8 + (*p - '0');
}

static bool sbxi_e2b_df_one_of(const char *name, const char *list)
{
    size_t n = strlen(name);
    const char *at = strstr(list, name);
    return n && at && at > list && at[-1] == '|' && at[n] == '|';
}

static void sbxi_e2b_df_copy_flag(sbxi_e2b_docker *e, sbxi_e2b_df_copy *c, const char *name,
    const char *value)
{
    bool add = e->d.name.data[0] == 'A';
    if (strcmp(name, "from") == 0) {
        sbxi_e2b_df_wrong(e, SBXI_TEXT("--from: builds of several stages are not supported"));
    } else if (strcmp(name, "chown") == 0 && value) {
        sbxi_buf_clear(&c->user);
        sbxi_buf_text(&c->user, value);
        sbxi_buf_add(&c->user, "", 1);
    } else if (strcmp(name, "chmod") == 0 && value) {
        sbxi_e2b_df_chmod(e, c, value);
    } else if (sbxi_e2b_df_one_of(name, "|link|exclude|parents|")
               || (add && sbxi_e2b_df_one_of(name, "|keep-git-dir|checksum|unpack|"))) {
        sbxi_e2b_df_tell(e, "not heeded: COPY --", name);
    } else {
        sbxi_e2b_df_wrong_about(e, SBXI_TEXT("unknown flag: "), name);
    }
}

/* Length of the name of a variable. */
static size_t sbxi_e2b_df_name(const char *p)
{
    size_t n = 0;
    if (sbxi_is_digit(*p)) while (sbxi_is_digit(p[n])) n++;
    else if (*p && strchr("@*#?-$!", *p)) n = 1;
    else while (sbxi_e2b_df_in_name(p[n]) || (p[n] & 0x80)) n++;
    return n;
}

/* Behind a $. */
static void sbxi_e2b_df_variable(sbxi_e2b_docker *e)
{
    const char *p = e->at;
    size_t n = sbxi_e2b_df_name(p);
    if (*p == '{') {
        static const char kinds[] = "+-?#%/}", opens[] = "}}}##/";
        const char *kind;
        n = sbxi_e2b_df_name(++p);
        p += n;
        if (*p == ':' && strchr("+-?", p[1])) p++;
        kind = strchr(kinds, *p);
        if (!n || !*p || !kind || e->depth == sizeof e->open) {
            sbxi_e2b_df_wrong(e, SBXI_TEXT("a substitution in a heredoc that is not supported"));
            return;
        }
        if (*p != '}') e->open[e->depth++] = opens[kind - kinds];
        n = (size_t)(p - e->at) + 1 + (strncmp(p, "//", 2) == 0);
    }
    sbxi_buf_text(&e->body, n ? "$" : "\\$");
    sbxi_buf_add(&e->body, e->at, n);
    e->at += n;
}

/* The byte that was read, as a shell is to see it; in a ${ of that kind. */
static void sbxi_e2b_df_byte(sbxi_e2b_docker *e, char c, char open)
{
    bool escape = c == '`';
    if (c == '\\' && *e->at) {
        c = *e->at++;
        escape = strchr("\\`$", c) || (open && (open != '}' || c == '}'));
    } else if (open && c == (open == '/' ? '/' : '}')) {
        if (open == '/') e->open[e->depth - 1] = '#';
        else e->depth--;
    }
    if (escape) sbxi_buf_text(&e->body, "\\");
    sbxi_buf_add(&e->body, &c, 1);
}

/* Makes of a body one in which a shell replaces $NAME and ${NAME...}, and nothing else. */
static void sbxi_e2b_df_expand(sbxi_e2b_docker *e, const char *body)
{
    e->depth = 0;
    for (e->at = body; *e->at && !e->wrong;) {
        char c = *e->at++;
        if (c == '$') sbxi_e2b_df_variable(e);
        else sbxi_e2b_df_byte(e, c, (char)(e->depth ? e->open[e->depth - 1] : 0));
    }
    if (e->depth) sbxi_e2b_df_wrong(e, SBXI_TEXT("a ${ in a heredoc is not closed"));
}

/* Where a heredoc goes: into a directory if the destination is one. */
static void sbxi_e2b_df_doc_dest(sbxi_e2b_docker *e, const char *dest, const char *name)
{
    sbxi_buf *b = &e->text;
    size_t n = strlen(dest);
    bool directory = n && dest[n - 1] == '/';
    sbxi_buf_clear(&e->body);
    sbxi_buf_texts(&e->body, dest, directory ? name : "", NULL);
    sbxi_buf_clear(b);
    sbxi_buf_text(b, "E2B_HEREDOC_DEST=");
    if (sbxi_buf_add(&e->body, "", 1) == SBX_OK) sbxi_quote(b, e->body.data);
    else e->status = e->body.status;
    if (directory) return;
    sbxi_buf_text(b, "\nif [ -d \"$E2B_HEREDOC_DEST\" ]; then "
        "E2B_HEREDOC_DEST=\"$E2B_HEREDOC_DEST\"/");
    sbxi_quote(b, name);
    sbxi_buf_text(b, "; fi");
}

/* A source that stands in the Dockerfile: root writes it. */
static SBXI_APART void sbxi_e2b_df_copy_doc(sbxi_e2b_docker *e, const sbxi_e2b_df_copy *c,
    sbxi_heredoc *h, const char *dest)
{
    sbxi_buf *b = &e->text;
    const char *quote = h->raw ? "'" : "", *digits = c->digits;
    sbxi_e2b_df_doc_dest(e, dest, h->name);
    sbxi_buf_clear(&e->body);
    sbxi_e2b_df_chomp(h);
    if (h->raw) sbxi_buf_text(&e->body, h->body);
    else sbxi_e2b_df_expand(e, h->body);
    sbxi_e2b_df_mark(e, h->name);
    if (e->status || e->wrong) return;
    sbxi_buf_text(b, "\nmkdir -p \"$(dirname \"$E2B_HEREDOC_DEST\")\" && cat <<");
    sbxi_buf_texts(b, quote, e->mark.data, quote);
    sbxi_buf_texts(b, " >\"$E2B_HEREDOC_DEST\"\n", e->body.data, e->mark.data);
    if (c->user.len) {
        sbxi_buf_text(b, "\nchown ");
        sbxi_quote(b, c->user.data);
        sbxi_buf_text(b, " \"$E2B_HEREDOC_DEST\"");
    }
    while (digits[0] == '0' && digits[1]) digits++;
    if (*digits) sbxi_buf_texts(b, "\nchmod ", digits, " \"$E2B_HEREDOC_DEST\"");
    sbxi_e2b_df_put_made(e, SBXI_DO_RUN, "root");
}

static bool sbxi_e2b_df_is_remote(const char *src)
{
    return strncmp(src, "http://", 7) == 0 || strncmp(src, "https://", 8) == 0
        || strncmp(src, "git@", 4) == 0 || strncmp(src, "git://", 6) == 0
        || strncmp(src, "ssh://", 6) == 0;
}

/* One step a source. */
static SBXI_APART void sbxi_e2b_df_copy_word(sbxi_e2b_docker *e, const sbxi_e2b_df_copy *c,
    const char *src, const char *dest)
{
    const char *texts[2];
    sbxi_step plan;
    if (sbxi_e2b_df_is_remote(src)) {
        sbxi_e2b_df_wrong_about(e, SBXI_TEXT("a remote source: fetch it with RUN: "), src);
        return;
    }
    memset(&plan, 0, sizeof plan);
    plan.kind = SBXI_DO_COPY;
    plan.user = c->user.len ? c->user.data : NULL;
    if (c->mode >= 0) {
        plan.number = c->mode;
        plan.flags = SBXI_FLAG('m');
    }
    texts[0] = src;
    texts[1] = dest;
    plan.texts.items = texts;
    plan.texts.count = 2;
    sbxi_e2b_df_put(e, &plan);
}

/* The sources in order; those that are heredocs say so before their quotes are gone. */
static void sbxi_e2b_df_copy_all(sbxi_e2b_docker *e, const sbxi_e2b_df_copy *c)
{
    sbxi_docker *d = &e->d;
    bool json = sbxi_docker_json(d), chomp;
    const char *p = d->rest, *end = p, *name, *dest, *src;
    size_t i, doc = 0;
    if (!json) sbxi_docker_words(d);
    if (d->words.status) return;
    if (d->word_count < 2) sbxi_e2b_df_wrong(e, SBXI_TEXT("at least two arguments are needed"));
    if (e->wrong || e->status) return;
    src = sbxi_docker_word(d, 0);
    dest = sbxi_docker_word(d, d->word_count - 1);
    for (i = 0; i + 1 < d->word_count;
         i++, p = sbxi_skip_blanks(end), src = sbxi_docker_after(src)) {
        end = json ? p : sbxi_docker_word_end(d, p);
        if (doc < d->doc_count && sbxi_is_heredoc(p, end, &name, &chomp))
            sbxi_e2b_df_copy_doc(e, c, &d->doc[doc++], dest);
        else
            sbxi_e2b_df_copy_word(e, c, src, dest);
    }
}

static void sbxi_e2b_df_copy_files(sbxi_e2b_docker *e)
{
    sbxi_e2b_df_copy c;
    const char *name, *value;
    c.mode = -1;
    c.digits[0] = 0;
    sbxi_buf_init(&c.user, e->d.words.alloc, SBX_MAX_LINE);
    while (sbxi_docker_flag(&e->d, &name, &value)) sbxi_e2b_df_copy_flag(e, &c, name, value);
    if (c.user.status) e->status = c.user.status;
    sbxi_e2b_df_copy_all(e, &c);
    sbxi_buf_free(&c.user);
}

/* ---- the rest --------------------------------------------------------------------------- */

static void sbxi_e2b_df_one_word(sbxi_e2b_docker *e, unsigned kind, bool *seen)
{
    const char *rest = e->d.rest;
    if (!*rest) sbxi_e2b_df_wrong(e, SBXI_TEXT("exactly one argument is needed"));
    sbxi_docker_no_words(&e->d);
    sbxi_docker_add_word(&e->d, rest, rest + strlen(rest)); /* blanks and all */
    *seen = true;
    if (!e->wrong && !e->d.words.status)
        sbxi_e2b_df_put_one(e, kind, sbxi_docker_word(&e->d, 0), NULL);
}

static void sbxi_e2b_df_user_is(sbxi_e2b_docker *e)
{
    sbxi_e2b_df_one_word(e, SBXI_DO_USER, &e->user);
}

static void sbxi_e2b_df_workdir_is(sbxi_e2b_docker *e)
{
    sbxi_e2b_df_one_word(e, SBXI_DO_WORKDIR, &e->workdir);
}
static void sbxi_e2b_df_pass_over(sbxi_e2b_docker *e) { (void)e; }
static void sbxi_e2b_df_not_heeded(sbxi_e2b_docker *e)
{
    sbxi_e2b_df_tell(e, "Unsupported instruction: ", e->d.name.data);
}

static const struct { const char *name; void (*convert)(sbxi_e2b_docker *e); }
sbxi_e2b_df_instructions[] = {
    { "FROM", sbxi_e2b_df_from }, { "ARG", sbxi_e2b_df_arg }, { "RUN", sbxi_e2b_df_run },
    { "COPY", sbxi_e2b_df_copy_files }, { "ADD", sbxi_e2b_df_copy_files },
    { "ENV", sbxi_e2b_df_env }, { "WORKDIR", sbxi_e2b_df_workdir_is },
    { "USER", sbxi_e2b_df_user_is }, { "CMD", sbxi_e2b_df_cmd },
    { "ENTRYPOINT", sbxi_e2b_df_entry }, { "EXPOSE", sbxi_e2b_df_pass_over },
    { "VOLUME", sbxi_e2b_df_pass_over }, { "LABEL", sbxi_e2b_df_pass_over },
    { "MAINTAINER", sbxi_e2b_df_pass_over }, { "HEALTHCHECK", sbxi_e2b_df_not_heeded },
    { "ONBUILD", sbxi_e2b_df_not_heeded }, { "SHELL", sbxi_e2b_df_not_heeded },
    { "STOPSIGNAL", sbxi_e2b_df_not_heeded }
};

/* An instruction stands before FROM: it is that which is wrong, if there is one at all. */
static void sbxi_e2b_df_early(sbxi_e2b_docker *e)
{
    int start = e->d.start;
    sbxi_buf_clear(&e->text);
    sbxi_buf_text(&e->text, e->d.name.data);
    sbxi_buf_add(&e->text, "", 1);
    while (!e->from && sbxi_docker_next(&e->d)) e->from = strcmp(e->d.name.data, "FROM") == 0;
    if (!e->from || e->text.status) return;
    e->d.start = start;
    sbxi_buf_clear(&e->d.name);
    sbxi_buf_text(&e->d.name, e->text.data);
    sbxi_buf_add(&e->d.name, "", 1);
    sbxi_e2b_df_wrong(e, SBXI_TEXT("must be preceded by a FROM"));
}

/* The instruction that was read; the first two may stand before FROM. */
static void sbxi_e2b_df_instruction(sbxi_e2b_docker *e)
{
    size_t i = 0;
    while (i < SBXI_LEN(sbxi_e2b_df_instructions)
           && strcmp(sbxi_e2b_df_instructions[i].name, e->d.name.data) != 0) i++;
    if (i == SBXI_LEN(sbxi_e2b_df_instructions))
        sbxi_e2b_df_wrong(e, SBXI_TEXT("unknown instruction"));
    else if (i > 1 && !e->from) sbxi_e2b_df_early(e);
    else sbxi_e2b_df_instructions[i].convert(e);
}

/* What starts with each sandbox, and who is at work where afterwards. */
static void sbxi_e2b_docker_end(sbxi_e2b_docker *e)
{
    sbxi_buf *b = &e->text;
    sbxi_step ready;
    sbxi_buf_clear(b);
    sbxi_buf_add(b, e->entry.data, e->entry.len);
    if (!e->entry.len || (e->entry_json && e->cmd.len)) {
        if (b->len) sbxi_buf_text(b, " ");
        if (b->len && !e->cmd_json) {
            sbxi_buf_add(&e->cmd, "", 1);
            sbxi_buf_text(b, "/bin/sh -c ");
            if (!e->cmd.status) sbxi_quote(b, e->cmd.data);
        } else {
            sbxi_buf_add(b, e->cmd.data, e->cmd.len);
        }
    }
    e->status = sbxi_e2b_df_status(e);
    if (b->len) {
        sbxi_e2b_df_put_made(e, SBXI_DO_START, NULL);
        memset(&ready, 0, sizeof ready);
        ready.kind = SBXI_DO_READY;
        ready.flags = SBX_READY_TIMEOUT;
        ready.number = 20;
        sbxi_e2b_df_put(e, &ready);
    }
    if (!e->user) sbxi_e2b_df_put_one(e, SBXI_DO_USER, "user", NULL);
    if (!e->workdir) sbxi_e2b_df_put_one(e, SBXI_DO_WORKDIR, "/home/user", NULL);
}

/* "line 7: COPY: " and what is wrong. */
static int sbxi_e2b_docker_fail(sbxi_e2b_docker *e, int status)
{
    sbx_error *error = &e->t->error;
#ifndef SBX_NO_ERROR_TEXT
    char text[8 + SBXI_DECIMAL_MAX];
    size_t n;
    memcpy(text, "line ", 5);
    n = 5 + sbxi_print_u64(text + 5, (uint64_t)e->d.start);
    memcpy(text + n, ": ", 3);
    if (e->d.start) sbxi_put_text(error->message, sizeof error->message, text, n + 2);
    if (e->d.name.len) {
        sbxi_add_text(error->message, sizeof error->message, e->d.name.data);
        sbxi_add_text(error->message, sizeof error->message, ": ");
    }
    sbxi_add_text(error->message, sizeof error->message,
        e->wrong ? e->wrong : sbx_strerror(status));
#endif
    return sbxi_error_set(error, status, NULL);
}

/* Instruction by instruction, until the end or what is wrong. */
static void sbxi_e2b_df_all(sbxi_e2b_docker *e)
{
    sbxi_e2b_df_put_one(e, SBXI_DO_USER, "root", NULL);
    sbxi_e2b_df_put_one(e, SBXI_DO_WORKDIR, "/", NULL);
    while (!e->wrong && !e->status && sbxi_docker_next(&e->d)) {
        sbxi_e2b_df_instruction(e);
        if (!e->status) e->status = sbxi_e2b_df_status(e);
    }
    sbxi_e2b_df_wrong(e, e->d.wrong);
    if (!e->status) e->status = sbxi_e2b_df_status(e);
    if (e->wrong || e->status || e->from) return;
    e->d.start = 0;
    sbxi_buf_clear(&e->d.name);
    sbxi_e2b_df_wrong(e, SBXI_TEXT("a Dockerfile needs a FROM"));
}

static void sbxi_e2b_docker_init(sbxi_e2b_docker *e, sbx_template *t, const char *text, size_t len)
{
    const sbx_alloc *a = &t->client->link.alloc;
    e->t = t;
    sbxi_docker_init(&e->d, a, text, len);
    sbxi_buf_init(&e->entry, a, SBX_MAX_REQUEST);
    sbxi_buf_init(&e->cmd, a, SBX_MAX_REQUEST);
    sbxi_buf_init(&e->known, a, SBX_MAX_REQUEST);
    sbxi_buf_init(&e->text, a, SBX_MAX_REQUEST);
    sbxi_buf_init(&e->body, a, SBX_MAX_REQUEST);
    sbxi_buf_init(&e->mark, a, SBX_MAX_REQUEST);
}

static void sbxi_e2b_docker_free(sbxi_e2b_docker *e)
{
    const sbx_alloc *a = &e->t->client->link.alloc;
    sbxi_docker_free(&e->d);
    sbxi_buf_free(&e->entry);
    sbxi_buf_free(&e->cmd);
    sbxi_buf_free(&e->known);
    sbxi_buf_free(&e->text);
    sbxi_buf_free(&e->body);
    sbxi_buf_free(&e->mark);
    sbxi_alloc_free(a, e, sizeof *e);
}

static int sbxi_e2b_from_dockerfile(sbx_template *t, const char *text, size_t len,
    void (*notice)(void *ctx, int line, const char *text), void *ctx)
{
    sbxi_e2b_docker *e = (sbxi_e2b_docker *)sbxi_alloc_get(&t->client->link.alloc, sizeof *e);
    int status;
    if (!e) return sbxi_error_set(&t->error, SBX_E_NOMEM, NULL);
    sbxi_e2b_docker_init(e, t, text, len);
    e->notice = notice;
    e->ctx = ctx;
    sbxi_e2b_df_all(e);
    if (!e->wrong && !e->status) sbxi_e2b_docker_end(e);
    status = e->wrong ? SBX_E_ARG : e->status;
    if (status) (void)sbxi_e2b_docker_fail(e, status);
    sbxi_e2b_docker_free(e);
    return status;
}

static const sbxi_template_rules sbxi_e2b_templates = {
    sbxi_e2b_images, sbxi_e2b_template_check, sbxi_e2b_template_read, sbxi_e2b_template_json,
    sbxi_e2b_template_file,
    sbxi_e2b_from_dockerfile
};

#endif
/* e2b - E2B and E2B-compatible hosts: a REST control plane, and a daemon (envd)
   in every sandbox with REST for file contents and Connect RPC (JSON) for all
   else. Wire form of the Python SDK 2.63. Tables first. */

#ifndef SBX_NO_E2B

/* ---- errors --------------------------------------------------------------- */

static const sbxi_field sbxi_e2b_fault_fields[] = {
    SBXI_FIELD("code", INT, sbxi_fault, number),
    SBXI_FIXED("code", sbxi_fault, word),
    SBXI_FIXED("error_code", sbxi_fault, word),
    SBXI_FIXED("message", sbxi_fault, message)
};
static const sbxi_shape sbxi_e2b_fault = SBXI_SHAPE(sbxi_e2b_fault_fields, sbxi_fault);

/* Where the rules of single routes begin: behind those of all. */
enum { SBXI_E2B_MISSING_IS_NO = 23, SBXI_E2B_GONE_IS_NO = 26, SBXI_E2B_EXISTS_IS_NO = 28,
    SBXI_E2B_DEADLINE_KILLS = 30, SBXI_E2B_NO_STREAM = 32,
    SBXI_E2B_CONFLICT_IS_NO = 37, SBXI_E2B_NO_RANGE_IS_NO = 39,
    SBXI_E2B_RUNS_CODE = 41, SBXI_E2B_FOREIGN_IS_YES = 44 };

/* Texts first, then the words of Connect. */
static const sbxi_rule sbxi_e2b_rules[] = {
    { "was not found", 502, SBX_E_SANDBOX_GONE, SBXI_ON_SANDBOX | SBXI_HAS },
    { "port is not open", 502, SBX_E_UNREACHABLE, SBXI_ON_SANDBOX | SBXI_HAS },
    { "was not found", 503, SBX_E_SANDBOX_GONE, SBXI_ON_SANDBOX | SBXI_HAS },
    { "port is not open", 503, SBX_E_UNREACHABLE, SBXI_ON_SANDBOX | SBXI_HAS },
    { NULL, 502, SBX_E_NETWORK, SBXI_ON_SANDBOX },
    { "is a directory", 0, SBX_E_NOT_A_FILE, SBXI_ON_SANDBOX | SBXI_HAS },
    { "not a directory", 0, SBX_E_NOT_A_FILE, SBXI_ON_SANDBOX | SBXI_HAS },
    { "maximum number", 429, SBX_E_QUOTA, SBXI_ON_CONTROL | SBXI_HAS },
    { "unavailable", 0, SBX_E_NETWORK, 0 },
    { "invalid_argument", 0, SBX_E_REFUSED, 0 },
    { "out_of_range", 0, SBX_E_REFUSED, 0 },
    { "unauthenticated", 0, SBX_E_AUTH, 0 },
    { "permission_denied", 0, SBX_E_DENIED, 0 },
    { "not_found", 0, SBX_E_NOT_FOUND, 0 },
    { "already_exists", 0, SBX_E_CONFLICT, 0 },
    { "aborted", 0, SBX_E_CONFLICT, 0 },
    { "failed_precondition", 0, SBX_E_CONFLICT, 0 },
    { "resource_exhausted", 0, SBX_E_RATE_LIMITED, 0 },
    { "canceled", 0, SBX_E_CANCELLED, 0 },
    { "deadline_exceeded", 0, SBX_E_TIMEOUT, 0 },
    { "unimplemented", 0, SBX_E_UNSUPPORTED_HOST, 0 },
    { NULL, 504, SBX_E_TIMEOUT, SBXI_ON_SANDBOX },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_MISSING_IS_NO] = { "not_found", 0, SBXI_MEANS_NO, 0 },
    { NULL, 404, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_GONE_IS_NO] = { NULL, 502, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_EXISTS_IS_NO] = { "already_exists", 0, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_DEADLINE_KILLS] = { "deadline_exceeded", 0, SBX_E_KILLED, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_NO_STREAM] = { "not_found", 0, SBX_E_NOT_FOUND, 0 },
    { "unimplemented", 0, SBXI_MEANS_NO, 0 },
    { NULL, 404, SBXI_MEANS_NO, 0 },
    { NULL, 501, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_CONFLICT_IS_NO] = { NULL, 409, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_NO_RANGE_IS_NO] = { NULL, 416, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 },
    [SBXI_E2B_RUNS_CODE] = { "port is not open", 502, SBX_E_UNREACHABLE, SBXI_HAS },
    { NULL, 502, SBX_E_SANDBOX_GONE, 0 }, /* as the SDK: its time is over */
    { NULL, 0, 0, 0 },
    [SBXI_E2B_FOREIGN_IS_YES] = { NULL, 403, SBXI_MEANS_YES, 0 },
    { NULL, 404, SBXI_MEANS_NO, 0 },
    { NULL, 0, 0, 0 }
};

/* ---- sandboxes ------------------------------------------------------------ */

static const sbxi_field sbxi_e2b_resume_fields[] = {
    SBXI_IN("enabled", CHOICE, create.o.auto_resume)
};
static const sbxi_shape sbxi_e2b_resume = SBXI_SHAPE(sbxi_e2b_resume_fields, sbxi_args);

#ifndef SBX_NO_EXTRAS
/* The form that creates has more members, in another order, than the one that
   changes. */
static const sbxi_field sbxi_e2b_proxy_tls_fields[] = {
    SBXI_IN("enabled", CHOICE, network.n.proxy_tls),
    SBXI_IN("serverName", STRING, network.n.proxy_server_name),
    SBXI_IN("caCert", STRING, network.n.proxy_ca_pem)
};
static const sbxi_shape sbxi_e2b_proxy_tls = SBXI_SHAPE(sbxi_e2b_proxy_tls_fields, sbxi_args);
static const sbxi_field sbxi_e2b_proxy_fields[] = {
    SBXI_IN("address", STRING, network.n.proxy_address),
    SBXI_IN("username", STRING, network.n.proxy_username),
    SBXI_IN("password", STRING, network.n.proxy_password),
    SBXI_SUB("tls", OBJECT, sbxi_e2b_proxy_tls)
};
static const sbxi_shape sbxi_e2b_proxy = SBXI_SHAPE(sbxi_e2b_proxy_fields, sbxi_args);

/* The same table where the arguments of create have a network. */
#define SBXI_MOVED \
    (uint16_t)(offsetof(sbxi_create_args, o.network) - offsetof(sbxi_network_args, n))
static const sbxi_field sbxi_e2b_network_fields[] = {
    SBXI_IN("allowPublicTraffic", CHOICE, create.o.network.public_traffic),
    SBXI_IN("allowOut", STRINGS, create.o.network.allow_out),
    SBXI_IN("denyOut", STRINGS, create.o.network.deny_out),
    SBXI_IN("dnsServers", STRINGS, create.o.network.dns_servers),
    { "egressProxy", &sbxi_e2b_proxy, SBXI_MOVED, 0, SBXI_T_OBJECT },
    SBXI_IN("maskRequestHost", STRING, create.o.network.mask_host),
    SBXI_IN("httpsPorts", PORTS, create.o.network.https_ports),
    SBXI_IN("rules", RAW, create.o.network.rules_json)
};
static const sbxi_shape sbxi_e2b_network = SBXI_SHAPE(sbxi_e2b_network_fields, sbxi_args);

static const sbxi_field sbxi_e2b_rules_fields[] = {
    SBXI_IN("allowOut", STRINGS, network.n.allow_out),
    SBXI_IN("denyOut", STRINGS, network.n.deny_out),
    SBXI_IN("dnsServers", STRINGS, network.n.dns_servers),
    SBXI_SUB("egressProxy", OBJECT, sbxi_e2b_proxy),
    SBXI_IN("rules", RAW, network.n.rules_json),
    SBXI_IN("allow_internet_access", CHOICE, network.internet)
};
static const sbxi_shape sbxi_e2b_rules_of = SBXI_SHAPE(sbxi_e2b_rules_fields, sbxi_args);

static const char *const sbxi_e2b_mount[] = { "name", "path" };
#endif

static const sbxi_field sbxi_e2b_create_fields[] = {
    SBXI_IN("templateID", STRING, create.o.template_id),
    SBXI_IN("timeout", INT, create.o.timeout_s),
    SBXI_IN("autoPause", CHOICE, create.auto_pause),
    SBXI_IN("autoPauseMemory", CHOICE, create.o.pause_memory),
    SBXI_SUB("autoResume", OBJECT, sbxi_e2b_resume),
    SBXI_IN("allow_internet_access", CHOICE, create.o.internet),
#ifndef SBX_NO_EXTRAS
    SBXI_SUB("network", OBJECT, sbxi_e2b_network),
#endif
    { "metadata", NULL, SBXI_ARG(create.o.metadata), SBXI_ALWAYS, SBXI_T_PAIRS },
    { "envVars", NULL, SBXI_ARG(create.o.envs), SBXI_ALWAYS, SBXI_T_PAIRS }
#ifndef SBX_NO_EXTRAS
    ,
    SBXI_IN("mcp", RAW, create.o.mcp_json),
    SBXI_IN("iam", RAW, create.o.identity_json),
    { "volumeMounts", sbxi_e2b_mount, SBXI_ARG(create.o.volumes), 0, SBXI_T_OBJECTS }
#endif
};
static const sbxi_shape sbxi_e2b_create = SBXI_SHAPE(sbxi_e2b_create_fields, sbxi_args);

#ifndef SBX_NO_EXTRAS
/* The dialect of 2.6, which sends all of it. */
static const sbxi_field sbxi_e2b_old_create_fields[] = {
    SBXI_IN("templateID", STRING, create.o.template_id),
    SBXI_IN("allow_internet_access", CHOICE, create.o.internet),
    SBXI_IN("autoPause", CHOICE, create.auto_pause),
    { "envVars", NULL, SBXI_ARG(create.o.envs), SBXI_ALWAYS, SBXI_T_PAIRS },
    SBXI_IN("mcp", RAW, create.o.mcp_json),
    { "metadata", NULL, SBXI_ARG(create.o.metadata), SBXI_ALWAYS, SBXI_T_PAIRS },
    SBXI_IN("secure", CHOICE, create.secure),
    SBXI_IN("timeout", INT, create.o.timeout_s)
};
static const sbxi_shape sbxi_e2b_old_create = SBXI_SHAPE(sbxi_e2b_old_create_fields, sbxi_args);
#endif

static const sbxi_field sbxi_e2b_access_fields[] = {
    SBXI_FIELD("sandboxID", STRING, sbxi_access, id),
    SBXI_FIELD("envdAccessToken", STRING, sbxi_access, of.access_token),
    SBXI_FIELD("trafficAccessToken", STRING, sbxi_access, of.traffic_token),
    SBXI_FIELD("domain", STRING, sbxi_access, of.domain),
    SBXI_FIELD("envdVersion", STRING, sbxi_access, of.daemon_version)
};
static const sbxi_shape sbxi_e2b_access = SBXI_SHAPE(sbxi_e2b_access_fields, sbxi_access);

static const char *const sbxi_e2b_states[] = { "running", "paused", NULL };
static const char *const sbxi_e2b_ends[] = { "kill", "pause", NULL };

static const sbxi_field sbxi_e2b_lifecycle_fields[] = {
    SBXI_FIELD("autoResume", CHOICE, sbx_sandbox_info, auto_resume),
    { "onTimeout", sbxi_e2b_ends, offsetof(sbx_sandbox_info, on_timeout), 0, SBXI_T_ENUM }
};
static const sbxi_shape sbxi_e2b_lifecycle = SBXI_SHAPE(sbxi_e2b_lifecycle_fields,
    sbx_sandbox_info);

static const sbxi_field sbxi_e2b_info_fields[] = {
    SBXI_FIELD("templateID", STRING, sbx_sandbox_info, template_id),
    SBXI_FIELD("alias", STRING, sbx_sandbox_info, alias),
    SBXI_FIELD("sandboxID", STRING, sbx_sandbox_info, id),
    SBXI_FIELD("startedAt", TIME, sbx_sandbox_info, started_unix_ms),
    SBXI_FIELD("endAt", TIME, sbx_sandbox_info, end_unix_ms),
    SBXI_FIELD("cpuCount", INT, sbx_sandbox_info, cpu_count),
    SBXI_FIELD("memoryMB", INT, sbx_sandbox_info, memory_mib),
    SBXI_FIELD("diskSizeMB", INT, sbx_sandbox_info, disk_mib),
    { "state", sbxi_e2b_states, offsetof(sbx_sandbox_info, state), 0, SBXI_T_ENUM },
    SBXI_FIELD("envdVersion", STRING, sbx_sandbox_info, daemon_version),
    SBXI_FIELD("metadata", PAIRS, sbx_sandbox_info, metadata),
    SBXI_FIELD("envdAccessToken", STRING, sbx_sandbox_info, access_token),
    SBXI_FIELD("allowInternetAccess", CHOICE, sbx_sandbox_info, internet),
    SBXI_FIELD("domain", STRING, sbx_sandbox_info, domain),
    SBXI_SUB("lifecycle", OBJECT, sbxi_e2b_lifecycle)
};
static const sbxi_shape sbxi_e2b_info = SBXI_SHAPE(sbxi_e2b_info_fields, sbx_sandbox_info);

static const sbxi_field sbxi_e2b_list_fields[] = {
    SBXI_IN("metadata", STRING, list.metadata),
    SBXI_IN("state", STRING, list.state),
    SBXI_IN("order", STRING, list.order),
    SBXI_IN("startedAfter", STRING, list.after),
    SBXI_IN("template", STRING, list.q.template_id),
    SBXI_IN("nextToken", STRING, list.token),
    SBXI_IN("limit", STRING, list.limit)
};
static const sbxi_shape sbxi_e2b_list = SBXI_SHAPE(sbxi_e2b_list_fields, sbxi_args);

static const sbxi_field sbxi_e2b_connect_fields[] = {
    SBXI_IN("timeout", INT, resume.timeout_s), SBXI_IN("memory", CHOICE, resume.memory)
};
static const sbxi_shape sbxi_e2b_connect = SBXI_SHAPE(sbxi_e2b_connect_fields, sbxi_args);

static const sbxi_field sbxi_e2b_timeout_fields[] = {
    { "timeout", NULL, SBXI_ARG(timeout_s), SBXI_ALWAYS, SBXI_T_INT }
};
static const sbxi_shape sbxi_e2b_timeout = SBXI_SHAPE(sbxi_e2b_timeout_fields, sbxi_args);

#ifndef SBX_NO_EXTRAS

static const sbxi_field sbxi_e2b_refresh_fields[] = {
    { "duration", NULL, SBXI_ARG(timeout_s), SBXI_ALWAYS, SBXI_T_INT }
};
static const sbxi_shape sbxi_e2b_refresh = SBXI_SHAPE(sbxi_e2b_refresh_fields, sbxi_args);

static const sbxi_field sbxi_e2b_pause_fields[] = {
    SBXI_IN("memory", CHOICE, pause.memory), SBXI_IN("requireHealthyGuest", CHOICE, pause.healthy)
};
static const sbxi_shape sbxi_e2b_pause = SBXI_SHAPE(sbxi_e2b_pause_fields, sbxi_args);

static const sbxi_field sbxi_e2b_fork_fields[] = {
    SBXI_IN("timeout", INT, fork.timeout_s), SBXI_IN("count", INT, fork.count)
};
static const sbxi_shape sbxi_e2b_fork = SBXI_SHAPE(sbxi_e2b_fork_fields, sbxi_args);
static const sbxi_field sbxi_e2b_forked_fields[] = {
    { "sandbox", &sbxi_e2b_access, offsetof(sbxi_fork_item, access), 0, SBXI_T_OBJECT },
    { "error", &sbxi_e2b_fault, offsetof(sbxi_fork_item, fault), 0, SBXI_T_OBJECT }
};
static const sbxi_shape sbxi_e2b_forked = SBXI_SHAPE(sbxi_e2b_forked_fields, sbxi_fork_item);

static const sbxi_field sbxi_e2b_snap_fields[] = {
    SBXI_IN("name", STRING, snapshot.name), SBXI_IN("memory", CHOICE, snapshot.memory)
};
static const sbxi_shape sbxi_e2b_snap = SBXI_SHAPE(sbxi_e2b_snap_fields, sbxi_args);
static const sbxi_field sbxi_e2b_snapshot_fields[] = {
    SBXI_FIELD("snapshotID", STRING, sbx_snapshot_info, id),
    SBXI_FIELD("names", STRINGS, sbx_snapshot_info, names)
};
static const sbxi_shape sbxi_e2b_snapshot = SBXI_SHAPE(sbxi_e2b_snapshot_fields,
    sbx_snapshot_info);
static const sbxi_field sbxi_e2b_snapshots_fields[] = {
    SBXI_IN("sandboxID", STRING, list.q.template_id),
    SBXI_IN("name", STRING, list.name),
    SBXI_IN("limit", STRING, list.limit),
    SBXI_IN("nextToken", STRING, list.token)
};
static const sbxi_shape sbxi_e2b_snapshots = SBXI_SHAPE(sbxi_e2b_snapshots_fields, sbxi_args);

static const sbxi_field sbxi_e2b_span_fields[] = {
    SBXI_IN("start", STRING, history.start), SBXI_IN("end", STRING, history.end)
};
static const sbxi_shape sbxi_e2b_span = SBXI_SHAPE(sbxi_e2b_span_fields, sbxi_args);
static const sbxi_field sbxi_e2b_metric_fields[] = {
    SBXI_FIELD("cpuCount", INT, sbx_metrics, cpu_count),
    SBXI_FIELD("cpuUsedPct", MILLI, sbx_metrics, cpu_used_milli),
    SBXI_FIELD("diskTotal", INT64, sbx_metrics, disk_total),
    SBXI_FIELD("diskUsed", INT64, sbx_metrics, disk_used),
    SBXI_FIELD("memCache", INT64, sbx_metrics, memory_cache),
    SBXI_FIELD("memTotal", INT64, sbx_metrics, memory_total),
    SBXI_FIELD("memUsed", INT64, sbx_metrics, memory_used),
    SBXI_FIELD("timestamp", TIME, sbx_metrics, unix_ms)
};
static const sbxi_shape sbxi_e2b_metric = SBXI_SHAPE(sbxi_e2b_metric_fields, sbx_metrics);

static const sbxi_field sbxi_e2b_logged_fields[] = {
    SBXI_IN("cursor", STRING, history.start),
    SBXI_IN("limit", STRING, history.limit),
    SBXI_IN("direction", STRING, history.direction),
    SBXI_IN("level", STRING, history.q.level),
    SBXI_IN("search", STRING, history.q.search)
};
static const sbxi_shape sbxi_e2b_logged = SBXI_SHAPE(sbxi_e2b_logged_fields, sbxi_args);
static const sbxi_field sbxi_e2b_log_fields[] = {
    SBXI_FIELD("timestamp", TIME, sbx_log, unix_ms),
    SBXI_FIELD("message", STRING, sbx_log, message),
    SBXI_FIELD("level", STRING, sbx_log, level),
    SBXI_FIELD("fields", PAIRS, sbx_log, fields)
};
static const sbxi_shape sbxi_e2b_log = SBXI_SHAPE(sbxi_e2b_log_fields, sbx_log);
static const sbxi_field sbxi_e2b_logs_fields[] = { SBXI_SUB("logs", EACH, sbxi_e2b_log) };
static const sbxi_shape sbxi_e2b_logs = SBXI_SHAPE(sbxi_e2b_logs_fields, sbx_log);

#endif

/* ---- processes ------------------------------------------------------------ */

static const sbxi_field sbxi_e2b_process_fields[] = {
    { "cmd", "/bin/bash", 0, 0, SBXI_T_LITERAL },
    SBXI_IN("args", STRINGS, command.argv),
    SBXI_IN("envs", PAIRS, command.o.envs),
    SBXI_IN("cwd", STRING, command.o.cwd)
};
static const sbxi_shape sbxi_e2b_process = SBXI_SHAPE(sbxi_e2b_process_fields, sbxi_args);

static const sbxi_field sbxi_e2b_size_fields[] = {
    SBXI_IN("cols", UINT, command.at.cols), SBXI_IN("rows", UINT, command.at.rows)
};
static const sbxi_shape sbxi_e2b_size = SBXI_SHAPE(sbxi_e2b_size_fields, sbxi_args);
static const sbxi_field sbxi_e2b_pty_fields[] = { SBXI_SUB("size", OBJECT, sbxi_e2b_size) };
static const sbxi_shape sbxi_e2b_pty = SBXI_SHAPE(sbxi_e2b_pty_fields, sbxi_args);

static const sbxi_field sbxi_e2b_start_fields[] = {
    SBXI_SUB("process", OBJECT, sbxi_e2b_process),
#ifndef SBX_NO_PTY
    SBXI_SUB("pty", OBJECT, sbxi_e2b_pty),
#endif
    SBXI_IN("tag", STRING, command.o.tag),
    SBXI_IN("stdin", CHOICE, command.stdin_open)
};
static const sbxi_shape sbxi_e2b_start = SBXI_SHAPE(sbxi_e2b_start_fields, sbxi_args);

static const sbxi_field sbxi_e2b_started_fields[] = { SBXI_FIELD("pid", UINT, sbxi_event, pid) };
static const sbxi_shape sbxi_e2b_started = SBXI_SHAPE(sbxi_e2b_started_fields, sbxi_event);

static const sbxi_field sbxi_e2b_data_fields[] = {
    { "stdout", NULL, 0, 1, SBXI_T_BYTES },
    { "stderr", NULL, 0, 2, SBXI_T_BYTES },
#ifndef SBX_NO_PTY
    { "pty", NULL, 0, 3, SBXI_T_BYTES }
#endif
};
static const sbxi_shape sbxi_e2b_data = SBXI_SHAPE(sbxi_e2b_data_fields, sbxi_event);

static const sbxi_field sbxi_e2b_end_fields[] = {
    SBXI_FIELD("exitCode", INT, sbxi_event, exit_code),
    SBXI_FIXED("status", sbxi_event, of.reason)
};
static const sbxi_shape sbxi_e2b_end = SBXI_SHAPE(sbxi_e2b_end_fields, sbxi_event);

static const sbxi_field sbxi_e2b_event_fields[] = {
    SBXI_FIELD("start", SEEN, sbxi_event, start),
    SBXI_SUB("start", OBJECT, sbxi_e2b_started),
    SBXI_FIELD("data", SEEN, sbxi_event, data),
    SBXI_SUB("data", OBJECT, sbxi_e2b_data),
    SBXI_FIELD("end", SEEN, sbxi_event, end),
    SBXI_SUB("end", OBJECT, sbxi_e2b_end),
    SBXI_FIELD("keepalive", SEEN, sbxi_event, alive)
};
static const sbxi_shape sbxi_e2b_event = SBXI_SHAPE(sbxi_e2b_event_fields, sbxi_event);

static const sbxi_field sbxi_e2b_message_fields[] = {
    SBXI_SUB("event", OBJECT, sbxi_e2b_event),
    SBXI_FIELD("error", SEEN, sbxi_event, failed),
    { "error", &sbxi_e2b_fault, offsetof(sbxi_event, of.fault), 0, SBXI_T_OBJECT }
};
static const sbxi_shape sbxi_e2b_message = SBXI_SHAPE(sbxi_e2b_message_fields, sbxi_event);

static const sbxi_field sbxi_e2b_config_fields[] = {
    SBXI_FIELD("cmd", STRING, sbx_process_info, cmd),
    SBXI_FIELD("args", STRINGS, sbx_process_info, args),
    SBXI_FIELD("envs", PAIRS, sbx_process_info, envs),
    SBXI_FIELD("cwd", STRING, sbx_process_info, cwd)
};
static const sbxi_shape sbxi_e2b_config = SBXI_SHAPE(sbxi_e2b_config_fields, sbx_process_info);

static const sbxi_field sbxi_e2b_listed_fields[] = {
    SBXI_SUB("config", OBJECT, sbxi_e2b_config),
    SBXI_FIELD("pid", UINT, sbx_process_info, pid),
    SBXI_FIELD("tag", STRING, sbx_process_info, tag)
};
static const sbxi_shape sbxi_e2b_listed = SBXI_SHAPE(sbxi_e2b_listed_fields, sbx_process_info);

static const sbxi_field sbxi_e2b_processes_fields[] = {
    SBXI_SUB("processes", EACH, sbxi_e2b_listed)
};
static const sbxi_shape sbxi_e2b_processes = SBXI_SHAPE(sbxi_e2b_processes_fields,
    sbx_process_info);

/* The process meant, by pid or tag: of streams, and of all else. */
static const sbxi_field sbxi_e2b_at_fields[] = {
    SBXI_IN("pid", UINT, command.at.pid), SBXI_IN("tag", STRING, command.at.tag)
};
static const sbxi_shape sbxi_e2b_at = SBXI_SHAPE(sbxi_e2b_at_fields, sbxi_args);
static const sbxi_field sbxi_e2b_attach_fields[] = { SBXI_SUB("process", OBJECT, sbxi_e2b_at) };
static const sbxi_shape sbxi_e2b_attach = SBXI_SHAPE(sbxi_e2b_attach_fields, sbxi_args);

static const sbxi_field sbxi_e2b_pid_fields[] = { SBXI_IN("pid", UINT, process.pid) };
static const sbxi_shape sbxi_e2b_pid = SBXI_SHAPE(sbxi_e2b_pid_fields, sbxi_args);
static const sbxi_field sbxi_e2b_kill_fields[] = {
    SBXI_SUB("process", OBJECT, sbxi_e2b_pid),
    { "signal", "SIGNAL_SIGKILL", 0, 0, SBXI_T_LITERAL }
};
static const sbxi_shape sbxi_e2b_kill = SBXI_SHAPE(sbxi_e2b_kill_fields, sbxi_args);
static const sbxi_field sbxi_e2b_term_fields[] = {
    SBXI_SUB("process", OBJECT, sbxi_e2b_pid),
    { "signal", "SIGNAL_SIGTERM", 0, 0, SBXI_T_LITERAL }
};
static const sbxi_shape sbxi_e2b_term = SBXI_SHAPE(sbxi_e2b_term_fields, sbxi_args);
static const sbxi_shape sbxi_e2b_one = { sbxi_e2b_kill_fields, 1, sizeof(sbxi_args) };

static const sbxi_field sbxi_e2b_typed_fields[] = { SBXI_IN("pty", BYTES, process.data) };
static const sbxi_shape sbxi_e2b_typed = SBXI_SHAPE(sbxi_e2b_typed_fields, sbxi_args);
static const sbxi_field sbxi_e2b_piped_fields[] = { SBXI_IN("stdin", BYTES, process.data) };
static const sbxi_shape sbxi_e2b_piped = SBXI_SHAPE(sbxi_e2b_piped_fields, sbxi_args);
static const sbxi_field sbxi_e2b_type_fields[] = {
    SBXI_SUB("process", OBJECT, sbxi_e2b_pid), SBXI_SUB("input", OBJECT, sbxi_e2b_typed)
};
static const sbxi_shape sbxi_e2b_type = SBXI_SHAPE(sbxi_e2b_type_fields, sbxi_args);
static const sbxi_field sbxi_e2b_pipe_fields[] = {
    SBXI_SUB("process", OBJECT, sbxi_e2b_pid), SBXI_SUB("input", OBJECT, sbxi_e2b_piped)
};
static const sbxi_shape sbxi_e2b_pipe = SBXI_SHAPE(sbxi_e2b_pipe_fields, sbxi_args);

static const sbxi_field sbxi_e2b_new_size_fields[] = {
    SBXI_IN("cols", UINT, process.cols), SBXI_IN("rows", UINT, process.rows)
};
static const sbxi_shape sbxi_e2b_new_size = SBXI_SHAPE(sbxi_e2b_new_size_fields, sbxi_args);
static const sbxi_field sbxi_e2b_new_pty_fields[] = { SBXI_SUB("size", OBJECT, sbxi_e2b_new_size) };
static const sbxi_shape sbxi_e2b_new_pty = SBXI_SHAPE(sbxi_e2b_new_pty_fields, sbxi_args);
static const sbxi_field sbxi_e2b_resize_fields[] = {
    SBXI_SUB("process", OBJECT, sbxi_e2b_pid), SBXI_SUB("pty", OBJECT, sbxi_e2b_new_pty)
};
static const sbxi_shape sbxi_e2b_resize = SBXI_SHAPE(sbxi_e2b_resize_fields, sbxi_args);

#ifndef SBX_NO_RUN_CODE
static const sbxi_field sbxi_e2b_execute_fields[] = {
    SBXI_IN("code", STRING, code.code),
    { "context_id", NULL, SBXI_ARG(code.o.context_id), SBXI_OR_NULL, SBXI_T_STRING },
    { "language", NULL, SBXI_ARG(code.o.language), SBXI_OR_NULL, SBXI_T_STRING },
    { "env_vars", NULL, SBXI_ARG(code.o.envs), SBXI_OR_NULL, SBXI_T_PAIRS }
};
static const sbxi_shape sbxi_e2b_execute = SBXI_SHAPE(sbxi_e2b_execute_fields, sbxi_args);
#endif

/* ---- files ---------------------------------------------------------------- */

/* "file" and so on come from POST /files, FILE_TYPE_* from the RPCs. */
static const char *const sbxi_e2b_kinds[] = { "FILE_TYPE_FILE", "FILE_TYPE_DIRECTORY",
    "FILE_TYPE_SYMLINK", NULL };
static const char *const sbxi_e2b_plain_kinds[] = { "file", "dir", "symlink", NULL };

static const sbxi_field sbxi_e2b_file_fields[] = {
    SBXI_FIELD("name", STRING, sbx_file_info, name),
    { "type", sbxi_e2b_kinds, offsetof(sbx_file_info, type), 0, SBXI_T_ENUM },
    SBXI_FIELD("path", STRING, sbx_file_info, path),
    SBXI_FIELD("size", INT64, sbx_file_info, size),
    SBXI_FIELD("mode", UINT, sbx_file_info, mode),
    SBXI_FIELD("permissions", STRING, sbx_file_info, permissions),
    SBXI_FIELD("owner", STRING, sbx_file_info, owner),
    SBXI_FIELD("group", STRING, sbx_file_info, group),
    SBXI_FIELD("modifiedTime", TIME, sbx_file_info, modified_unix_ms),
    SBXI_FIELD("symlinkTarget", STRING, sbx_file_info, symlink_target),
    SBXI_FIELD("isSymlink", BOOL, sbx_file_info, is_symlink),
    SBXI_FIELD("metadata", PAIRS, sbx_file_info, metadata)
};
static const sbxi_shape sbxi_e2b_file = SBXI_SHAPE(sbxi_e2b_file_fields, sbx_file_info);

static const sbxi_field sbxi_e2b_written_fields[] = {
    SBXI_FIELD("path", STRING, sbx_file_info, path),
    SBXI_FIELD("name", STRING, sbx_file_info, name),
    { "type", sbxi_e2b_plain_kinds, offsetof(sbx_file_info, type), 0, SBXI_T_ENUM },
    SBXI_FIELD("metadata", PAIRS, sbx_file_info, metadata)
};
static const sbxi_shape sbxi_e2b_written = SBXI_SHAPE(sbxi_e2b_written_fields, sbx_file_info);

static const sbxi_field sbxi_e2b_entry_fields[] = { SBXI_SUB("entry", OBJECT, sbxi_e2b_file) };
static const sbxi_shape sbxi_e2b_entry = SBXI_SHAPE(sbxi_e2b_entry_fields, sbx_file_info);

static const sbxi_field sbxi_e2b_entries_fields[] = { SBXI_SUB("entries", EACH, sbxi_e2b_file) };
static const sbxi_shape sbxi_e2b_entries = SBXI_SHAPE(sbxi_e2b_entries_fields, sbx_file_info);

/* What watches tell. */
static const char *const sbxi_e2b_changes[] = { "EVENT_TYPE_CREATE", "EVENT_TYPE_WRITE",
    "EVENT_TYPE_REMOVE", "EVENT_TYPE_RENAME", "EVENT_TYPE_CHMOD", NULL };
static const sbxi_field sbxi_e2b_change_fields[] = {
    SBXI_FIELD("name", STRING, sbxi_watch_item, event.name),
    { "type", sbxi_e2b_changes, offsetof(sbxi_watch_item, event.type), 0, SBXI_T_ENUM },
    SBXI_FIELD("entry", SEEN, sbxi_watch_item, has_entry),
    { "entry", &sbxi_e2b_file, offsetof(sbxi_watch_item, entry), 0, SBXI_T_OBJECT }
};
static const sbxi_shape sbxi_e2b_change = SBXI_SHAPE(sbxi_e2b_change_fields, sbxi_watch_item);
static const sbxi_field sbxi_e2b_changed_fields[] = { SBXI_SUB("events", EACH, sbxi_e2b_change) };
static const sbxi_shape sbxi_e2b_changed = SBXI_SHAPE(sbxi_e2b_changed_fields, sbxi_watch_item);

typedef struct sbxi_e2b_news {  /* one message of a stream of them */
    sbxi_watch_item item;
    bool start, changed, alive, failed;
    sbxi_fault fault;
} sbxi_e2b_news;

static const sbxi_field sbxi_e2b_news_fields[] = {
    SBXI_FIELD("start", SEEN, sbxi_e2b_news, start),
    SBXI_FIELD("filesystem", SEEN, sbxi_e2b_news, changed),
    { "filesystem", &sbxi_e2b_change, offsetof(sbxi_e2b_news, item), 0, SBXI_T_OBJECT },
    SBXI_FIELD("keepalive", SEEN, sbxi_e2b_news, alive),
    SBXI_FIELD("error", SEEN, sbxi_e2b_news, failed),
    { "error", &sbxi_e2b_fault, offsetof(sbxi_e2b_news, fault), 0, SBXI_T_OBJECT }
};
static const sbxi_shape sbxi_e2b_message_of_watch = SBXI_SHAPE(sbxi_e2b_news_fields, sbxi_e2b_news);

typedef struct sbxi_e2b_watcher { const char *id; } sbxi_e2b_watcher;
static const sbxi_field sbxi_e2b_watcher_fields[] = {
    SBXI_FIELD("watcherId", STRING, sbxi_e2b_watcher, id)
};
static const sbxi_shape sbxi_e2b_new_watcher = SBXI_SHAPE(sbxi_e2b_watcher_fields,
    sbxi_e2b_watcher);
static const sbxi_field sbxi_e2b_watcher_is_fields[] = {
    SBXI_IN("watcherId", STRING, files.watcher)
};
static const sbxi_shape sbxi_e2b_watcher_is = SBXI_SHAPE(sbxi_e2b_watcher_is_fields, sbxi_args);

static const sbxi_field sbxi_e2b_watch_fields[] = {
    SBXI_IN("path", STRING, files.path),
    SBXI_IN("recursive", CHOICE, files.as.w.recursive),
    SBXI_IN("includeEntry", CHOICE, files.as.w.entries),
    SBXI_IN("allowNetworkMounts", CHOICE, files.as.w.network_mounts)
};
static const sbxi_shape sbxi_e2b_watch = SBXI_SHAPE(sbxi_e2b_watch_fields, sbxi_args);

static const sbxi_field sbxi_e2b_path_fields[] = { SBXI_IN("path", STRING, files.path) };
static const sbxi_shape sbxi_e2b_path = SBXI_SHAPE(sbxi_e2b_path_fields, sbxi_args);

static const sbxi_field sbxi_e2b_dir_fields[] = {
    SBXI_IN("path", STRING, files.path), SBXI_IN("depth", INT, files.o.depth)
};
static const sbxi_shape sbxi_e2b_dir = SBXI_SHAPE(sbxi_e2b_dir_fields, sbxi_args);

static const sbxi_field sbxi_e2b_move_fields[] = {
    SBXI_IN("source", STRING, files.path), SBXI_IN("destination", STRING, files.to)
};
static const sbxi_shape sbxi_e2b_move = SBXI_SHAPE(sbxi_e2b_move_fields, sbxi_args);

/* Order as recorded: path first for reads and raw bodies, user first else. */
static const sbxi_field sbxi_e2b_path_user_fields[] = {
    SBXI_IN("path", STRING, files.path), SBXI_IN("username", STRING, files.o.user)
};
static const sbxi_shape sbxi_e2b_path_user = SBXI_SHAPE(sbxi_e2b_path_user_fields, sbxi_args);

static const sbxi_field sbxi_e2b_user_path_fields[] = {
    SBXI_IN("username", STRING, files.o.user), SBXI_IN("path", STRING, files.path)
};
static const sbxi_shape sbxi_e2b_user_path = SBXI_SHAPE(sbxi_e2b_user_path_fields, sbxi_args);

/* ---- routes --------------------------------------------------------------- */

enum { SBXI_E2B_NEW, SBXI_E2B_ONE, SBXI_E2B_ROOT, SBXI_E2B_PROCESS, SBXI_E2B_FILES,
    SBXI_E2B_SNAPSHOTS, SBXI_E2B_TEMPLATES, SBXI_E2B_OLD };
static const char *const sbxi_e2b_prefixes[] = { "/v2/sandboxes", "/sandboxes/{id}", "",
    "/process.Process/", "/filesystem.Filesystem/", "/snapshots", "/templates",
    "/sandboxes" };

/* How the routes of one family begin: prefix, method, host, retry. */
#define SBXI_ALL(method) SBXI_E2B_NEW, method, SBXI_HOST_CONTROL
#define SBXI_ONE(method) SBXI_E2B_ONE, method, SBXI_HOST_CONTROL, SBXI_RETRY_SAFE
#define SBXI_MAKE SBXI_E2B_ONE, SBXI_POST, SBXI_HOST_CONTROL, SBXI_RETRY_REJECTED
#define SBXI_PLAIN(method) SBXI_E2B_ROOT, method, SBXI_HOST_SANDBOX, SBXI_RETRY_NEVER
#define SBXI_RPC(prefix) SBXI_E2B_##prefix, SBXI_POST, SBXI_HOST_SANDBOX, SBXI_RETRY_NEVER

/* Whole rows: a stream of events, a call about a process, its input as a stream. */
#define SBXI_STREAM(feature, path, fields, rules) { path, &sbxi_e2b_##fields, \
    &sbxi_e2b_message, SBXI_RPC(PROCESS), SBXI_SEND_ENVELOPE, SBXI_RECV_EVENTS, rules, feature }
/* Time ends the process that is started; of one that is followed only the stream. */
#define SBXI_START(feature) SBXI_STREAM(feature, "Start", start, SBXI_E2B_DEADLINE_KILLS)
#define SBXI_FOLLOW(feature) SBXI_STREAM(feature, "Connect", attach, 0)
#define SBXI_TELL(feature, path, fields, rules) { path, &sbxi_e2b_##fields, NULL, \
    SBXI_RPC(PROCESS), SBXI_SEND_JSON, SBXI_RECV_NOTHING, rules, feature }
#define SBXI_READ(feature) { "/files", &sbxi_e2b_path_user, NULL, SBXI_PLAIN(SBXI_GET), \
    SBXI_SEND_NOTHING, SBXI_RECV_SINK, SBXI_E2B_NO_RANGE_IS_NO, feature }
#define SBXI_INPUT(feature) { "StreamInput", NULL, &sbxi_e2b_message, SBXI_RPC(PROCESS), \
    SBXI_SEND_INPUT, SBXI_RECV_EVENTS, 0, feature }

enum { SBXI_E2B_WRITE_RAW = SBXI_ROUTE_OWN, SBXI_E2B_NEW_WATCHER, SBXI_E2B_OLD_CREATE,
    SBXI_E2B_OLD_CONNECT, SBXI_E2B_OLD_PAUSE };

static const sbxi_route sbxi_e2b_routes[] = {
    { "", &sbxi_e2b_create, &sbxi_e2b_access, SBXI_ALL(SBXI_POST),
        SBXI_RETRY_REJECTED, SBXI_SEND_JSON, SBXI_RECV_RESULT, 0, SBX_FEATURE_SANDBOX_CREATE },
    { "/{id}/connect", &sbxi_e2b_connect, &sbxi_e2b_access,
        SBXI_ALL(SBXI_POST), SBXI_RETRY_SAFE, SBXI_SEND_JSON, SBXI_RECV_RESULT, 0,
        SBX_FEATURE_SANDBOX_CONNECT },
    { "", NULL, &sbxi_e2b_info, SBXI_ONE(SBXI_GET),
        SBXI_SEND_NOTHING, SBXI_RECV_RESULT, 0, SBX_FEATURE_SANDBOX_GET_INFO },
    { "", &sbxi_e2b_list, &sbxi_e2b_info, SBXI_ALL(SBXI_GET),
        SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_EACH, 0, SBX_FEATURE_SANDBOX_LIST },
    { "/timeout", &sbxi_e2b_timeout, NULL, SBXI_ONE(SBXI_POST),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, SBX_FEATURE_SANDBOX_SET_TIMEOUT },
    { "", NULL, NULL, SBXI_ONE(SBXI_DELETE),
        SBXI_SEND_NOTHING, SBXI_RECV_NOTHING, SBXI_E2B_MISSING_IS_NO, SBX_FEATURE_SANDBOX_KILL },
    { "/health", NULL, NULL, SBXI_PLAIN(SBXI_GET),
        SBXI_SEND_NOTHING, SBXI_RECV_NOTHING, SBXI_E2B_GONE_IS_NO, SBX_FEATURE_SANDBOX_IS_RUNNING },
    { "", NULL, NULL, 0, 0, 0, 0, 0, 0, 0, SBX_FEATURE_SANDBOX_HOST }, /* sbxi_e2b_host() */
    { "", NULL, NULL, SBXI_E2B_ROOT, 0, 0, 0, 0, SBXI_RECV_SINK, 0, SBX_FEATURE_INVOKE },
#ifndef SBX_NO_RUN_CODE
    { "/execute", &sbxi_e2b_execute, NULL, SBXI_E2B_ROOT, SBXI_POST, SBXI_HOST_CODE,
        SBXI_RETRY_NEVER, SBXI_SEND_JSON, SBXI_RECV_LINES, SBXI_E2B_RUNS_CODE,
        SBX_FEATURE_RUN_CODE },
#endif
    SBXI_START(SBX_FEATURE_COMMAND_RUN),
    { "List", NULL, &sbxi_e2b_processes, SBXI_RPC(PROCESS),
        SBXI_SEND_JSON, SBXI_RECV_EACH_INSIDE, 0, SBX_FEATURE_COMMAND_LIST },
    SBXI_TELL(SBX_FEATURE_COMMAND_KILL, "SendSignal", kill, SBXI_E2B_MISSING_IS_NO),
    SBXI_TELL(SBX_FEATURE_COMMAND_SIGNAL, "SendSignal", term, SBXI_E2B_MISSING_IS_NO),
    SBXI_TELL(SBX_FEATURE_COMMAND_SEND_STDIN, "SendInput", pipe, 0),
    SBXI_TELL(SBX_FEATURE_COMMAND_CLOSE_STDIN, "CloseStdin", one, 0),
    SBXI_READ(SBX_FEATURE_FILES_READ),
    { "/files", &sbxi_e2b_user_path, &sbxi_e2b_written,
        SBXI_PLAIN(SBXI_POST), SBXI_SEND_MULTIPART, SBXI_RECV_EACH, 0, SBX_FEATURE_FILES_WRITE },
    { "/files", &sbxi_e2b_user_path, &sbxi_e2b_written,
        SBXI_PLAIN(SBXI_POST), SBXI_SEND_MULTIPART, SBXI_RECV_EACH, 0,
        SBX_FEATURE_FILES_WRITE_MANY },
    { "ListDir", &sbxi_e2b_dir, &sbxi_e2b_entries, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_EACH_INSIDE, 0, SBX_FEATURE_FILES_LIST },
    { "Stat", &sbxi_e2b_path, &sbxi_e2b_entry, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_RESULT, 0, SBX_FEATURE_FILES_STAT },
    { "Stat", &sbxi_e2b_path, NULL, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, SBXI_E2B_MISSING_IS_NO, SBX_FEATURE_FILES_EXISTS },
    { "Remove", &sbxi_e2b_path, NULL, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, SBX_FEATURE_FILES_REMOVE },
    { "Move", &sbxi_e2b_move, &sbxi_e2b_entry, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_RESULT, 0, SBX_FEATURE_FILES_RENAME },
    { "MakeDir", &sbxi_e2b_path, NULL, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, SBXI_E2B_EXISTS_IS_NO, SBX_FEATURE_FILES_MAKE_DIR },
#ifndef SBX_NO_EXTRAS
    { "/{id}/connect", &sbxi_e2b_connect, &sbxi_e2b_access,
        SBXI_ALL(SBXI_POST), SBXI_RETRY_SAFE, SBXI_SEND_JSON, SBXI_RECV_RESULT, 0,
        SBX_FEATURE_SANDBOX_RESUME },
    { "/pause", &sbxi_e2b_pause, NULL, SBXI_ONE(SBXI_POST),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, SBXI_E2B_CONFLICT_IS_NO, SBX_FEATURE_SANDBOX_PAUSE },
    { "/refreshes", &sbxi_e2b_refresh, NULL, SBXI_ONE(SBXI_POST),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, SBX_FEATURE_SANDBOX_REFRESH },
    { "/network", &sbxi_e2b_rules_of, NULL,
        SBXI_ONE(SBXI_PUT), SBXI_SEND_JSON, SBXI_RECV_NOTHING, 0, SBX_FEATURE_SANDBOX_SET_NETWORK },
    { "/metrics", &sbxi_e2b_span, &sbxi_e2b_metric,
        SBXI_ONE(SBXI_GET), SBXI_SEND_NOTHING, SBXI_RECV_EACH, 0, SBX_FEATURE_SANDBOX_METRICS },
    { "/{id}/logs", &sbxi_e2b_logged, &sbxi_e2b_logs,
        SBXI_ALL(SBXI_GET), SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_EACH_INSIDE, 0,
        SBX_FEATURE_SANDBOX_LOGS },
    { "/fork", &sbxi_e2b_fork, &sbxi_e2b_forked, SBXI_MAKE,
        SBXI_SEND_JSON, SBXI_RECV_EACH, 0, SBX_FEATURE_SANDBOX_FORK },
    { "/snapshots", &sbxi_e2b_snap, &sbxi_e2b_snapshot,
        SBXI_MAKE, SBXI_SEND_JSON, SBXI_RECV_RESULT, 0, SBX_FEATURE_SNAPSHOT_CREATE },
    { "", &sbxi_e2b_snapshots, &sbxi_e2b_snapshot,
        SBXI_E2B_SNAPSHOTS, SBXI_GET, SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_NOTHING,
        SBXI_RECV_EACH, 0, SBX_FEATURE_SNAPSHOT_LIST },
    { "/{id}", NULL, NULL, SBXI_E2B_TEMPLATES, SBXI_DELETE,
        SBXI_HOST_CONTROL, SBXI_RETRY_SAFE, SBXI_SEND_NOTHING, SBXI_RECV_NOTHING,
        SBXI_E2B_MISSING_IS_NO, SBX_FEATURE_SNAPSHOT_DELETE },
    { "", NULL, NULL, 0, 0, 0, 0, 0, 0, 0, SBX_FEATURE_SANDBOX_MCP_URL }, /* computed */
    SBXI_READ(SBX_FEATURE_FILES_READ_BYTES),
    { "/files", NULL, NULL, SBXI_PLAIN(SBXI_GET), SBXI_SEND_NOTHING,
        SBXI_RECV_NOTHING, 0, SBX_FEATURE_FILES_URL },
#endif
#ifndef SBX_NO_PROC
    SBXI_START(SBX_FEATURE_COMMAND_START),
    SBXI_FOLLOW(SBX_FEATURE_COMMAND_CONNECT),
    SBXI_INPUT(SBX_FEATURE_COMMAND_STREAM_STDIN),
#endif
#ifndef SBX_NO_PTY
    SBXI_START(SBX_FEATURE_PTY_CREATE),
    SBXI_FOLLOW(SBX_FEATURE_PTY_CONNECT),
    SBXI_TELL(SBX_FEATURE_PTY_RESIZE, "Update", resize, 0),
    SBXI_TELL(SBX_FEATURE_PTY_SEND_INPUT, "SendInput", type, 0),
    SBXI_INPUT(SBX_FEATURE_PTY_STREAM_INPUT),
#endif
#ifndef SBX_NO_WATCH
    { "WatchDir", &sbxi_e2b_watch, &sbxi_e2b_message_of_watch,
        SBXI_RPC(FILES), SBXI_SEND_ENVELOPE, SBXI_RECV_EVENTS, SBXI_E2B_NO_STREAM,
        SBX_FEATURE_FILES_WATCH },
    { "GetWatcherEvents", &sbxi_e2b_watcher_is, &sbxi_e2b_changed,
        SBXI_RPC(FILES), SBXI_SEND_JSON, SBXI_RECV_EACH_INSIDE, 0, SBX_FEATURE_WATCH_POLL },
    { "RemoveWatcher", &sbxi_e2b_watcher_is, NULL, SBXI_RPC(FILES),
        SBXI_SEND_JSON, SBXI_RECV_NOTHING, SBXI_E2B_MISSING_IS_NO, SBX_FEATURE_WATCH_STOP },
    { "CreateWatcher", &sbxi_e2b_watch, &sbxi_e2b_new_watcher,
        SBXI_RPC(FILES), SBXI_SEND_JSON, SBXI_RECV_RESULT, SBXI_E2B_NO_STREAM,
        SBXI_E2B_NEW_WATCHER },
#endif
#ifndef SBX_NO_EXTRAS
    { "", &sbxi_e2b_old_create, &sbxi_e2b_access, SBXI_E2B_OLD, SBXI_POST,
        SBXI_HOST_CONTROL, SBXI_RETRY_REJECTED, SBXI_SEND_JSON, SBXI_RECV_RESULT, 0,
        SBXI_E2B_OLD_CREATE },
    { "/connect", &sbxi_e2b_timeout, &sbxi_e2b_access,
        SBXI_ONE(SBXI_POST), SBXI_SEND_JSON, SBXI_RECV_RESULT, 0, SBXI_E2B_OLD_CONNECT },
    { "/pause", NULL, NULL, SBXI_ONE(SBXI_POST), SBXI_SEND_NOTHING,
        SBXI_RECV_NOTHING, SBXI_E2B_CONFLICT_IS_NO, SBXI_E2B_OLD_PAUSE },
#endif
#ifndef SBX_NO_TEMPLATE
    SBXI_E2B_TEMPLATE_ROUTES
#endif
    { "", NULL, &sbxi_e2b_access, SBXI_ONE(SBXI_GET),
        SBXI_SEND_NOTHING, SBXI_RECV_RESULT, 0, SBXI_ROUTE_ACCESS },
    { "/files", &sbxi_e2b_path_user, &sbxi_e2b_written,
        SBXI_PLAIN(SBXI_POST), SBXI_SEND_RAW, SBXI_RECV_EACH, 0, SBXI_E2B_WRITE_RAW },
    { NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0 }
};

/* ---- routes of sbx_invoke(): only that function refers to them -------------- */

#define SBXI_VOLUME "/volumecontent/{volumeID}/"

static SBXI_MAYBE const char sbxi_e2b_invoke[] =
    SBXI_INVOKE(POST, CODE, REJECTED, JSON, "contexts.create", "/contexts")
    SBXI_INVOKE(GET, CODE, SAFE, NONE, "contexts.list", "/contexts")
    SBXI_INVOKE(POST, CODE, NEVER, NONE, "contexts.restart", "/contexts/{contextID}/restart")
    SBXI_INVOKE(DELETE, CODE, SAFE, NONE, "contexts.delete", "/contexts/{contextID}")
    SBXI_INVOKE(GET, SANDBOX, SAFE, NONE, "sandbox.envs", "/envs")
    SBXI_INVOKE(GET, SANDBOX, SAFE, NONE, "sandbox.metrics", "/metrics")
    SBXI_INVOKE(POST, SANDBOX, NEVER, JSON, "sandbox.files.compose", "/files/compose")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "sandboxes.logs.v1",
                "/sandboxes/{sandboxID}/logs?{start}{limit}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "sandboxes.metrics", "/sandboxes/metrics?{sandbox_ids}")
    SBXI_INVOKE(POST, CONTROL, REJECTED, JSON, "secrets.create", "/secrets")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "secrets.list", "/secrets?{limit}{nextToken}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "secrets.get", "/secrets/{secretID}")
    SBXI_INVOKE(POST, CONTROL, REJECTED, JSON, "secrets.update", "/secrets/{secretID}")
    SBXI_INVOKE(DELETE, CONTROL, SAFE, NONE, "secrets.delete", "/secrets/{secretID}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "teams.list", "/teams#{token}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "templates.list", "/v2/templates")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "templates.get",
                "/templates/{templateID}?{nextToken}{limit}")
    SBXI_INVOKE(PATCH, CONTROL, SAFE, JSON, "templates.update", "/v2/templates/{templateID}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "templates.logs",
                "/templates/{templateID}/builds/{buildID}/logs"
                "?{cursor}{limit}{direction}{level}{source}")
    SBXI_INVOKE(POST, CONTROL, REJECTED, JSON, "volumes.create", "/volumes")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "volumes.list", "/volumes")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "volumes.get", "/volumes/{volumeID}")
    SBXI_INVOKE(DELETE, CONTROL, SAFE, NONE, "volumes.delete", "/volumes/{volumeID}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "volumes.files.list",
                SBXI_VOLUME "dir?{path}{depth}#{token}")
    SBXI_INVOKE(POST, CONTROL, REJECTED, NONE, "volumes.files.make_dir",
                SBXI_VOLUME "dir?{path}{uid}{gid}{mode}{force}#{token}")
    SBXI_INVOKE(GET, CONTROL, SAFE, NONE, "volumes.files.stat", SBXI_VOLUME "path?{path}#{token}")
    SBXI_INVOKE(PATCH, CONTROL, SAFE, JSON, "volumes.files.update",
                SBXI_VOLUME "path?{path}#{token}")
    SBXI_INVOKE(DELETE, CONTROL, SAFE, NONE, "volumes.files.remove",
                SBXI_VOLUME "path?{path}#{token}")
    SBXI_INVOKE(GET, CONTROL, SAFE, FILE, "volumes.files.read", SBXI_VOLUME "file?{path}#{token}")
    SBXI_INVOKE(PUT, CONTROL, SAFE, CONTENT, "volumes.files.write",
                SBXI_VOLUME "file?{path}{uid}{gid}{mode}{force}#{token}");

#undef SBXI_VOLUME

/* ---- what no table says: base URLs and headers ---------------------------- */

/* Domains whose sandboxes are reached through one shared host and headers. */
static bool sbxi_e2b_shared_host(const char *domain)
{
    static const char known[] = "|e2b.app|e2b.dev|e2b.pro|e2b-staging.dev|e2b-tango.dev"
        "|e2b-juliett.dev|foxtrot-2.e2b.dev|";
    size_t n = strlen(domain);
    const char *at = strstr(known + 1, domain);
    return n > 0 && at && at[-1] == '|' && at[n] == '|';
}

/* The sandbox's base URL; a shared host wants headers, so it is of no use to others. */
static const char *sbxi_e2b_data_url(const sbx_op *op, bool share)
{
    const sbx_client *c = op->client;
    if (op->sandbox->access.data_url) return op->sandbox->access.data_url;
    if (c->config.sandbox_url) return c->config.sandbox_url;
    if (c->debug) return "http://localhost:{port}";
    return share && !c->dialect && sbxi_e2b_shared_host(sbxi_op_domain(op))
        ? "https://sandbox.{domain}" : "https://{port}-{id}.{domain}";
}

static const char *sbxi_e2b_base(const sbx_op *op)
{
    const sbx_client *c = op->client;
    if (op->route->host != SBXI_HOST_CONTROL) return sbxi_e2b_data_url(op, true);
    if (c->config.api_url) return c->config.api_url;
    return c->debug ? "http://localhost:3000" : "https://api.{domain}";
}

/* Files and commands name a user; a daemon before 0.4.0 has no default one. */
static const char *sbxi_e2b_user(const sbx_op *op)
{
    const char *user = NULL;
    if (op->feature >= SBX_FEATURE_FILES_READ)
        user = op->args.of.files.o.user;
    else if (op->route->fields == &sbxi_e2b_start)
        user = op->args.of.command.o.user;
    else
        return NULL;
    return user ? user : op->client->dialect || sbxi_older(op->sandbox, SBXI_VERSION(0, 4, 0))
        ? "user" : NULL;
}

/* How long the service may work: the life of a command or a watch, a unary call's
   total; input may take as long as it likes. */
static int32_t sbxi_e2b_limit_ms(const sbx_op *op)
{
    const sbx_command_options *o = &op->args.of.command.o;
    int32_t ms = op->call.timeout_ms;
    if (op->route->recv != SBXI_RECV_EVENTS)
        return ms ? ms : op->client->link.clocks.total_ms;
    if (SBXI_HAS_WATCH && op->feature == SBX_FEATURE_FILES_WATCH)
        return op->args.of.files.as.w.timeout_ms;
    if (SBXI_HAS_PROC && op->route->send == SBXI_SEND_INPUT) return ms;
    return o->timeout_ms ? o->timeout_ms : op->client->provider->command_ms;
}

/* A range to read; what to keep of a file that is written. */
static void sbxi_e2b_file_headers(sbx_op *op)
{
    const sbx_files_options *o = &op->args.of.files.o;
    sbxi_buf *b = &op->out.text;
    size_t i;
    if (op->route->method == SBXI_GET) {
        if (!SBXI_HAS_EXTRAS || (!o->offset && !o->length)) return;
        sbxi_buf_text(b, "Range: bytes=");
        sbxi_buf_u64(b, (uint64_t)o->offset);
        sbxi_buf_text(b, "-");
        if (o->length && o->length <= INT64_MAX - o->offset)
            sbxi_buf_u64(b, (uint64_t)(o->offset + o->length - 1));
        sbxi_buf_text(b, "\r\n");
        return;
    }
    if (sbxi_op_zips(op)) sbxi_buf_text(b, "Content-Encoding: gzip\r\n");
    for (i = 0; SBXI_HAS_EXTRAS && i < o->metadata.count; i++) {
        sbxi_buf_text(b, "X-Metadata-");
        sbxi_header_line(b, o->metadata.items[i].key, o->metadata.items[i].value);
    }
}

/* What goes with each RPC. */
static void sbxi_e2b_rpc_headers(sbx_op *op)
{
    const sbxi_route *route = op->route;
    sbxi_buf *b = &op->out.text;
    int32_t ms = sbxi_e2b_limit_ms(op);
    sbxi_buf_text(b, "Connect-Protocol-Version: 1\r\n");
    if (ms > 0) {
        sbxi_buf_text(b, "Connect-Timeout-Ms: ");
        sbxi_buf_u64(b, (uint32_t)ms);
        sbxi_buf_text(b, "\r\n");
    }
    if (route->send == SBXI_SEND_ENVELOPE
        || (SBXI_HAS_WATCH && route->fields == &sbxi_e2b_watch))
        sbxi_buf_text(b, "Keepalive-Ping-Interval: 50\r\n");
    sbxi_op_user(op, sbxi_e2b_user(op));
}

/* What a sandbox is told by every route into it. */
static void sbxi_e2b_box_headers(sbx_op *op)
{
    const sbx_sandbox *s = op->sandbox;
    sbxi_buf *b = &op->out.text;
    bool code = op->route->host == SBXI_HOST_CODE;
    sbxi_header_line(b, "E2b-Sandbox-Id", s->id);
    sbxi_header_line(b, "E2b-Sandbox-Port", sbxi_op_port(op));
    if (!code || !sbxi_op_invoked(op))
        sbxi_header_line(b, "X-Access-Token", s->access.access_token);
    if (code) sbxi_header_line(b, "E2B-Traffic-Access-Token", s->access.traffic_token);
}

/* The API key never goes to a sandbox. */
static void sbxi_e2b_headers(sbx_op *op)
{
    const sbxi_route *route = op->route;
    sbxi_buf *b = &op->out.text;
    if (route->host == SBXI_HOST_CONTROL) {
        sbxi_header_line(b, "X-API-KEY", sbxi_op_key(op));
        if (op->feature == SBX_FEATURE_SANDBOX_CREATE && route->send == SBXI_SEND_JSON)
            sbxi_header_line(b, "Idempotency-Key", op->args.of.create.key);
        return;
    }
    sbxi_e2b_box_headers(op);
    if (sbxi_op_invoked(op) || route->host == SBXI_HOST_CODE) return; /* no RPC */
    if (route->prefix == SBXI_E2B_ROOT && op->feature >= SBX_FEATURE_FILES_READ)
        sbxi_e2b_file_headers(op);
    if (route->send == SBXI_SEND_JSON || route->send == SBXI_SEND_ENVELOPE
        || route->send == SBXI_SEND_INPUT)
        sbxi_e2b_rpc_headers(op);
}

static int sbxi_e2b_host(const sbx_sandbox *s, uint16_t port, sbxi_buf *out)
{
    const sbx_client *c = s->client;
    if (c->debug) sbxi_buf_text(out, "localhost:");
    sbxi_buf_u64(out, port);
    if (c->debug) return out->status;
    sbxi_buf_texts(out, "-", s->id, ".");
    return sbxi_buf_text(out, s->access.domain ? s->access.domain : c->config.domain);
}

#ifndef SBX_NO_EXTRAS

/* A number as text, without its last `cut` digits; none if it is 0. */
static const char *sbxi_e2b_number(char text[SBXI_DECIMAL_MAX + 1], int64_t v, size_t cut)
{
    size_t n = v > 0 ? sbxi_print_u64(text, (uint64_t)v) : 0;
    if (n <= cut) return NULL;
    text[n - cut] = 0;
    return text;
}

/* A query member of a URL. */
static void sbxi_e2b_url_member(sbxi_buf *b, const char *before, const char *value)
{
    sbxi_buf_text(b, before);
    sbxi_percent(b, sbxi_span_of(value), SBXI_PERCENT_SEGMENT);
}

/* SHA-256 of path, operation, user, token and end, joined by colons, as text. */
static void sbxi_e2b_sign(const sbx_op *op, const char *end, char out[48])
{
    const sbxi_files_args *a = &op->args.of.files;
    const char *parts[5];
    unsigned char hash[32];
    sbx_sha256 sha;
    size_t i;
    parts[0] = a->path;
    parts[1] = a->as.u.upload == SBX_YES ? "write" : "read";
    parts[2] = a->o.user ? a->o.user : "";
    parts[3] = op->sandbox->access.access_token;
    parts[4] = end;
    sbx_sha256_init(&sha);
    for (i = 0; i < 5 && parts[i]; i++) {
        if (i) sbx_sha256_add(&sha, ":", 1);
        sbx_sha256_add(&sha, parts[i], strlen(parts[i]));
    }
    sbx_sha256_end(&sha, hash);
    memcpy(out, "v1_", 3);
    out[3 + sbx_base64_encode(out + 3, hash, sizeof hash) - 1] = 0; /* without its padding */
}

/* The URL goes straight to the sandbox: no shared host, which needs headers. */
static int sbxi_e2b_url_step(sbx_op *op)
{
    const sbxi_files_args *a = &op->args.of.files;
    const sbx_client *c = op->client;
    const int64_t now = sbxi_clock(&c->link.net);
    const char *parts[3], *values[SBXI_PLACES];
    char until[SBXI_DECIMAL_MAX + 1], sign[48];
    const char *end = NULL;
    sbxi_buf *b = &op->out.text;
    sbxi_url url;
    bool expires = a->as.u.expires_s > 0, token = op->sandbox->access.access_token != NULL;
    op->route = sbxi_op_route(op, SBX_FEATURE_FILES_URL);
    if (expires && (!token || !now))
        return sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("expires_s needs a clock, and a sandbox with a token"));
    parts[0] = sbxi_e2b_data_url(op, false);
    parts[1] = "";
    parts[2] = "/files";
    values[0] = op->sandbox->id;
    values[1] = c->provider->ports[0];
    values[2] = sbxi_op_domain(op);
    values[3] = NULL;
    if (sbxi_make_url(&op->url, parts, values, &url) != SBX_OK) return op->url.status;
    sbxi_buf_clear(b); /* asking for the token has left its request there */
    if (expires)
        end = sbxi_e2b_number(until, now + (int64_t)a->as.u.expires_s * 1000, 3);
    sbxi_buf_add(b, op->url.data, op->url.len);
    sbxi_e2b_url_member(b, "?path=", a->path);
    if (a->o.user) sbxi_e2b_url_member(b, "&username=", a->o.user);
    if (token) {
        sbxi_e2b_sign(op, end, sign);
        sbxi_e2b_url_member(b, "&signature=", sign);
        sbxi_wipe(sign, sizeof sign);
    }
    if (end) sbxi_e2b_url_member(b, "&signature_expiration=", end);
    if (b->status != SBX_OK) return b->status;
    if (b->len >= a->cap) return sbxi_op_fail(op, SBX_E_TOO_LARGE, SBXI_TEXT("cap is too small"));
    sbxi_put_text(a->text, a->cap, b->data, b->len);
    return SBX_OK;
}

#endif

/* One message of a watch's stream. */
static int sbxi_e2b_on_news(sbx_op *op)
{
    sbxi_e2b_news *n = (sbxi_e2b_news *)sbxi_bind_result(&op->reply.bind);
    if (n->failed) {
        int rc = sbxi_op_fault(op, &n->fault, op->reply.http);
        op->reply.no = rc == SBXI_MEANS_NO;
        if (!op->reply.no) return rc;
    }
    if (op->frame.flags || op->reply.no) {
        op->ended = true;
        return SBX_OK;
    }
    if (n->start == op->started)
        return sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the watch's stream has no one start"));
    op->started = true;
    if (op->proc) op->proc->started = true;
    return n->changed ? sbxi_op_item(op, &n->item) : SBX_OK;
}

/* The first message: the process runs. */
static int sbxi_e2b_on_start(sbx_op *op, uint32_t pid)
{
    const sbx_command_options *o = &op->args.of.command.o;
    op->started = true;
    op->pid = pid;
    if (sbxi_op_proc(op)) {
        op->proc->pid = pid;
        op->proc->started = true;
    }
    if (o->started) o->started(o->started_ctx, pid);
    return sbxi_op_said(op, SBX_OK);
}

static void sbxi_e2b_on_end(sbx_op *op, const sbxi_event *e)
{
    sbx_command_result *result = op->args.of.command.result;
    op->ended = true;
    if (!result) return;
    result->exit_code = e->exit_code;
    memcpy(result->reason, e->of.reason, sizeof result->reason);
}

/* One message of a process stream. The first must be the start; the end of the
   stream is a message of its own that may hold an error. */
static int sbxi_e2b_on_event(sbx_op *op)
{
    const sbxi_event *e = &op->reply.of.event;
    if (SBXI_HAS_WATCH && op->feature == SBX_FEATURE_FILES_WATCH) return sbxi_e2b_on_news(op);
    if (e->failed) return sbxi_op_fault(op, &e->of.fault, op->reply.http);
    if (op->frame.flags) return SBX_OK;
    if (SBXI_HAS_PROC && op->route->send == SBXI_SEND_INPUT) { /* was all taken */
        op->ended = true;
        return SBX_OK;
    }
    if (op->started == e->start || (op->ended && !e->alive))
        return sbxi_op_fail(op, SBX_E_PROTOCOL,
            SBXI_TEXT("the command's stream is not one start, output, one end"));
    if (e->end) sbxi_e2b_on_end(op, e);
    return e->start ? sbxi_e2b_on_start(op, e->pid) : SBX_OK;
}

/* ---- steps ---------------------------------------------------------------- */

enum { SBXI_E2B_UNDO = SBXI_STEP_OWN, SBXI_E2B_NEXT, SBXI_E2B_WATCHING,
    SBXI_E2B_GATEWAY, SBXI_E2B_NO_GATEWAY };

static bool sbxi_e2b_is_key(const char *key)
{
    size_t n = 0;
    for (; key[n]; n++)
        if (!sbxi_is_digit(key[n]) && !(key[n] >= 'a' && key[n] <= 'z') && key[n] != '-')
            return false;
    return n >= 1 && n <= 255;
}

/* The servers of the MCP gateway, if there is to be one. */
static const char *sbxi_e2b_mcp(const sbx_op *op)
{
#ifdef SBX_NO_EXTRAS
    (void)op;
    return NULL;
#else
    return op->args.of.create.o.mcp_json;
#endif
}

/* The key that lets a create be repeated, if there is to be one. */
static int sbxi_e2b_create_key(sbx_op *op)
{
    sbxi_create_args *a = &op->args.of.create;
    int rc = SBX_OK;
    a->key = a->o.idempotency_key;
    if (a->key && !sbxi_e2b_is_key(a->key))
        return sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("idempotency_key is 1 to 255 of a-z, 0-9 and -"));
    if (!a->key && a->o.idempotent == SBX_YES) {
        rc = sbxi_random_hex(op, a->made_key, true);
        a->key = a->made_key;
    }
    op->repeatable = a->key != NULL;
    return rc;
}

#ifndef SBX_NO_EXTRAS

static int sbxi_e2b_no_word(sbx_op *op)
{
    return sbxi_op_fail(op, SBX_E_UNSUPPORTED_HOST,
        SBXI_TEXT("config.dialect \"2.6\" cannot say an option of this call"));
}

/* What the old form can say it says, with its own defaults; of the rest nothing may be
   lost in silence. */
static int sbxi_e2b_old_begin(sbx_op *op)
{
    static const sbx_network none;
    sbxi_create_args *a = &op->args.of.create;
    sbx_sandbox_options *o = &a->o;
    if (o->auto_resume || o->pause_memory || o->idempotency_key || o->idempotent
        || o->volumes.count || o->identity_json || memcmp(&o->network, &none, sizeof none) != 0)
        return sbxi_e2b_no_word(op);
    a->secure = SBX_YES;
    if (!a->auto_pause) a->auto_pause = SBX_NO;
    if (!o->internet) o->internet = SBX_YES;
    if (!o->timeout_s) o->timeout_s = 300;
    return sbxi_ask(op, SBXI_E2B_OLD_CREATE, SBXI_STEP_DONE);
}

/* A call of the present form as one of the old. */
static int sbxi_e2b_old_ask(sbx_op *op)
{
    const sbxi_resume_args *r = &op->args.of.resume;
    if (op->feature == SBX_FEATURE_SANDBOX_PAUSE) {
        const sbx_pause_options *p = &op->args.of.pause;
        return p->memory || p->healthy ? sbxi_e2b_no_word(op)
            : sbxi_ask(op, SBXI_E2B_OLD_PAUSE, SBXI_STEP_DONE);
    }
    if (r->memory) return sbxi_e2b_no_word(op);
    op->args.of.timeout_s = r->timeout_s ? r->timeout_s : 300;
    return sbxi_ask(op, SBXI_E2B_OLD_CONNECT, SBXI_STEP_DONE);
}

#endif

static int sbxi_e2b_create_begin(sbx_op *op)
{
    int rc;
    sbxi_create_args *a = &op->args.of.create;
    const sbx_sandbox_options *o = &a->o;
    bool pause = o->on_timeout == SBX_ON_TIMEOUT_PAUSE, resume = o->auto_resume == SBX_YES;
    if (!o->template_id) a->o.template_id = sbxi_e2b_mcp(op) ? "mcp-gateway" : "base";
    if (!pause && (resume || o->pause_memory != SBX_DEFAULT))
        return sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("auto_resume and pause_memory need on_timeout = SBX_ON_TIMEOUT_PAUSE"));
    if (resume && o->pause_memory == SBX_NO)
        return sbxi_op_fail(op, SBX_E_ARG,
            SBXI_TEXT("auto_resume needs the memory: pause_memory must not be SBX_NO"));
    if (o->on_timeout) a->auto_pause = pause ? SBX_YES : SBX_NO;
#ifndef SBX_NO_EXTRAS
    if (op->client->dialect) return sbxi_e2b_old_begin(op);
#endif
    rc = sbxi_e2b_create_key(op);
    return rc == SBX_OK ? sbxi_ask(op, SBX_FEATURE_SANDBOX_CREATE, SBXI_STEP_DONE) : rc;
}

/* Metadata is encoded three times: each word, the form of words, the query. */
static int sbxi_e2b_metadata(sbx_op *op)
{
    const sbx_pairs *p = &op->args.of.list.q.metadata;
    sbxi_buf *out = &op->captured[0].buf, *word = &op->block;
    size_t i;
    sbxi_buf_clear(out);
    for (i = 0; i < p->count * 2; i++) {
        const sbx_pair *pair = &p->items[i / 2];
        sbxi_span once;
        if (i) sbxi_buf_text(out, i & 1 ? "=" : "&");
        sbxi_buf_clear(word);
        if (sbxi_percent(word, sbxi_span_of(i & 1 ? pair->value : pair->key),
                         SBXI_PERCENT_KEEP_SLASH) != SBX_OK) return word->status;
        once.ptr = word->data;
        once.len = word->len;
        sbxi_percent(out, once, SBXI_PERCENT_FORM);
    }
    sbxi_buf_add(out, "", 1);
    op->args.of.list.metadata = out->data;
    return out->status;
}

/* Where the caller's page begins, and how long it is. */
static void sbxi_e2b_list_page(sbxi_list_args *a, const sbx_page *page)
{
    if (page->next_token[0]) a->token = page->next_token;
    if (!page->limit) return;
    a->limit_text[sbxi_print_u64(a->limit_text, (uint32_t)page->limit)] = 0;
    a->limit = a->limit_text;
}

/* The query of a list: for snapshots all there is is in the arguments. */
static int sbxi_e2b_list_begin(sbx_op *op)
{
    static const char *const states[] = { NULL, "running", "paused", "running,paused" };
    sbxi_list_args *a = &op->args.of.list;
    const sbx_sandbox_query *q = &a->q;
    unsigned state = 0;
    int rc = SBX_OK;
    if (q->running == SBX_YES || q->paused == SBX_NO) state = 1;
    if (q->paused == SBX_YES || q->running == SBX_NO) state |= 2;
    a->state = states[state];
    if (q->oldest_first) a->order = q->oldest_first == SBX_YES ? "asc" : "desc";
    if (q->started_after_unix_ms) {
        sbxi_print_time(a->after_text, q->started_after_unix_ms);
        a->after = a->after_text;
    }
    if (a->page) sbxi_e2b_list_page(a, a->page);
    if (q->metadata.items) rc = sbxi_e2b_metadata(op);
    return rc == SBX_OK ? sbxi_ask(op, op->feature, SBXI_E2B_NEXT) : rc;
}

/* One page if the caller pages, else all of them. */
static int sbxi_e2b_list_step(sbx_op *op)
{
    sbxi_list_args *a = &op->args.of.list;
    sbx_page *page = a->page;
    if (op->step == SBXI_STEP_START) return sbxi_e2b_list_begin(op);
    if (page) {
        memcpy(page->next_token, op->held.token, sizeof page->next_token);
        page->has_next = op->reply.more;
        page->ended_ = !page->has_next;
    }
    if (page || !op->reply.more) return SBX_OK;
    a->token = op->held.token;
    return sbxi_ask(op, op->feature, SBXI_E2B_NEXT);
}

#ifndef SBX_NO_EXTRAS
/* Metrics are asked for by seconds, logs by milliseconds. */
static int sbxi_e2b_history_begin(sbx_op *op)
{
    sbxi_history_args *a = &op->args.of.history;
    bool metrics = op->feature == SBX_FEATURE_SANDBOX_METRICS;
    size_t cut = metrics ? 3 : 0;
    a->start = sbxi_e2b_number(a->text[0], a->q.from_unix_ms, cut);
    a->end = sbxi_e2b_number(a->text[1], a->end_unix_ms, cut);
    a->limit = sbxi_e2b_number(a->text[2], a->q.limit, 0);
    if (a->q.newest_first)
        a->direction = a->q.newest_first == SBX_YES ? "backward" : "forward";
    return metrics ? sbxi_needs(op, SBXI_VERSION(0, 1, 5)) : SBX_OK;
}
#endif

/* What was composed in the block, begun as one to be owned, lives as long as the
   operation: it is its result, of which streams have none. */
static void sbxi_e2b_keep_block(sbx_op *op)
{
    op->result = op->block.data + sizeof(sbxi_owned);
    sbxi_block_take(&op->block);
}

/* A terminal gets a few variables more, unless the user has them. */
static int sbxi_e2b_pty_envs(sbx_op *op)
{
    static const sbx_pair more[] = { { "TERM", "xterm-256color" }, { "LANG", "C.UTF-8" },
        { "LC_ALL", "C.UTF-8" } };
    sbx_pairs *envs = &op->args.of.command.o.envs;
    sbxi_buf *b = &op->block;
    size_t i, k;
    sbxi_block_start(b);
    sbxi_buf_add(b, envs->items, envs->count * sizeof more[0]);
    for (i = 0; i < (op->client->dialect ? 1 : SBXI_LEN(more)); i++) {
        for (k = 0; k < envs->count && strcmp(envs->items[k].key, more[i].key) != 0; k++) {}
        if (k == envs->count) sbxi_buf_add(b, &more[i], sizeof more[i]);
    }
    if (b->status != SBX_OK) return b->status;
    envs->count = (b->len - sizeof(sbxi_owned)) / sizeof more[0];
    sbxi_e2b_keep_block(op);
    envs->items = (const sbx_pair *)op->result;
    return SBX_OK;
}

static int sbxi_e2b_command_begin(sbx_op *op)
{
    sbxi_command_args *a = &op->args.of.command;
    bool pty = SBXI_HAS_PTY && op->feature == SBX_FEATURE_PTY_CREATE;
    a->words[0] = pty ? "-i" : "-l";
    a->words[1] = pty ? "-l" : "-c";
    a->words[2] = a->cmd;
    a->argv.items = a->words;
    a->argv.count = pty ? 2 : 3;
    if (!a->at.pid) a->at.tag = a->o.tag;
    if (pty) return sbxi_e2b_pty_envs(op);
    a->stdin_open = a->o.keep_stdin == SBX_YES ? SBX_YES : SBX_NO;
    return !a->cmd || a->o.keep_stdin != SBX_NO ? SBX_OK
        : sbxi_needs(op, SBXI_VERSION(0, 3, 0));
}

/* Input in envelopes: one that names the process, then one a piece. Room for the
   text around it is left in front, and the piece is put at the end of the buffer,
   so that its base64 grows towards it and never over what is still to be read. */
static int sbxi_e2b_input_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    static const char start[] = "{\"start\":{\"process\":{\"pid\":",
        piped[] = "{\"data\":{\"input\":{\"stdin\":\"",
        typed[] = "{\"data\":{\"input\":{\"pty\":\"", ping[] = "{\"keepalive\":{}}";
    sbx_op *op = (sbx_op *)ctx;
    sbxi_process_args *a = &op->args.of.process;
    const char *head = SBXI_HAS_PTY && op->feature == SBX_FEATURE_PTY_STREAM_INPUT ? typed : piped;
    char *text = (char *)buf + 5, *p;
    size_t room, n;
    if (!a->begun) head = start;
    else if (a->ping) head = ping;
    n = strlen(head);
    if (cap < 5 + sizeof start + SBXI_DECIMAL_MAX + 4 + 4) return SBX_E_TOO_LARGE;
    memcpy(text, head, n);
    p = text + n;
    if (!a->begun) {
        a->begun = true;
        p += sbxi_print_u64(p, a->pid);
        memcpy(p, "}}}", 3);
        p += 3;
    } else if (head == ping) {
        a->ping = false;
    } else {
        int rc;
        room = (cap - 5 - n - 4) / 4 * 3;
        *got = 0;
        rc = a->from.get(a->from.ctx, (char *)buf + cap - room, room, got);
        if (rc != SBX_OK || *got == 0) return rc;
        if (*got > room) return SBX_E_SOURCE;
        p += sbx_base64_encode(p, (char *)buf + cap - room, *got);
        memcpy(p, "\"}}}", 4);
        p += 4;
    }
    *got = (size_t)(p - (char *)buf);
    sbxi_connect_head((unsigned char *)buf, 0, (uint32_t)(p - text));
    return SBX_OK;
}

static void sbxi_e2b_input_begin(sbx_op *op)
{
    sbx_source *body = &op->args.of.process.body;
    body->get = sbxi_e2b_input_get;
    body->ctx = op;
    body->size = -1;
}

/* What starts the MCP gateway; its command stands behind it. */
typedef struct sbxi_e2b_gateway {
    sbx_pair token;
    sbx_command_result result;
    char value[37];
} sbxi_e2b_gateway;

/* Runs the gateway's command, as root: the options, quoted for a shell, and a token
   of its own. From here on the arguments are those of a command. */
static int sbxi_e2b_gateway_begin(sbx_op *op)
{
    sbxi_command_args *a = &op->args.of.command;
    sbxi_buf *b = &op->block;
    sbxi_e2b_gateway *g;
    size_t at;
    int rc;
    sbxi_block_start(b);
    if (sbxi_buf_room(b, sizeof *g, &at) != SBX_OK) return b->status;
    sbxi_buf_text(b, "mcp-gateway --config ");
    sbxi_quoted(b, sbxi_e2b_mcp(op));
    if (sbxi_buf_add(b, "", 1) != SBX_OK) return b->status;
    sbxi_e2b_keep_block(op);
    g = (sbxi_e2b_gateway *)op->result;
    rc = sbxi_random_hex(op, g->value, true);
    if (rc != SBX_OK) return rc;
    g->token.key = "GATEWAY_ACCESS_TOKEN";
    g->token.value = g->value;
    memset(a, 0, sizeof *a);
    a->cmd = (const char *)(g + 1);
    a->o.user = "root";
    a->o.envs.items = &g->token;
    a->o.envs.count = 1;
    a->o.capture_limit = 1;
    a->result = &g->result;
    rc = sbxi_e2b_command_begin(op);
    return rc == SBX_OK ? sbxi_ask(op, SBX_FEATURE_COMMAND_RUN, SBXI_E2B_GATEWAY) : rc;
}

/* It has ended: well, or there is no use in the sandbox. */
static int sbxi_e2b_gateway_end(sbx_op *op)
{
    const sbxi_e2b_gateway *g = (const sbxi_e2b_gateway *)op->result;
    if (!op->why && g->result.exit_code == 0) return SBX_OK;
    return sbxi_ask(op, SBX_FEATURE_SANDBOX_KILL, SBXI_E2B_NO_GATEWAY);
}

/* Why the sandbox that was made and killed again was of no use. */
static int sbxi_e2b_undone(sbx_op *op)
{
    const sbxi_buf *err = &op->captured[1].buf;
    sbx_error *e = &op->error;
    if (op->detached) return SBX_E_CANCELLED;
    sbxi_sandbox_unref(op->sandbox); /* nothing is left of it */
    op->sandbox = NULL;
    op->cut = op->x.sent = false;
    op->pid = 0;
    e->clock = op->why_clock;
    if (!SBXI_HAS_EXTRAS || op->step == SBXI_E2B_UNDO)
        return sbxi_too_old(op, SBXI_VERSION(0, 1, 0));
    sbxi_put_text(e->message, sizeof e->message, "the MCP gateway did not start: ", 31);
    if (err->data && sbxi_buf_add(&op->captured[1].buf, "", 1) == SBX_OK)
        sbxi_add_text(e->message, sizeof e->message, err->data + sizeof(sbxi_owned));
    else if (op->why)
        sbxi_add_text(e->message, sizeof e->message, sbx_strerror(op->why));
    return op->why ? op->why : SBX_E_REFUSED;
}

/* A sandbox exists now; what cannot be handed out is killed again. */
static int sbxi_e2b_created(sbx_op *op)
{
    const sbxi_access *got = (const sbxi_access *)op->result;
    int rc;
    if (!got || !got->id || !got->id[0]) return sbxi_op_fail(op, SBX_E_PROTOCOL,
        SBXI_TEXT("the reply names no sandbox"));
    rc = sbxi_sandbox_made(op, got->id);
    if (rc == SBX_OK) rc = sbxi_sandbox_learn(op);
    if (rc != SBX_OK) return rc;
    op->repeatable = false;
    if (op->detached || sbxi_older(op->sandbox, SBXI_VERSION(0, 1, 0)))
        return sbxi_ask(op, SBX_FEATURE_SANDBOX_KILL, SBXI_E2B_UNDO);
    return sbxi_e2b_mcp(op) ? sbxi_e2b_gateway_begin(op) : SBX_OK;
}

static int sbxi_e2b_create_step(sbx_op *op)
{
    if (op->step == SBXI_STEP_START) return sbxi_e2b_create_begin(op);
    if (op->step == SBXI_STEP_DONE) return sbxi_e2b_created(op);
    if (SBXI_HAS_EXTRAS && (op->step == SBXI_E2B_GATEWAY || op->step == SBXI_STEP_HEALTH))
        return sbxi_e2b_gateway_end(op);
    return sbxi_e2b_undone(op);
}

static bool sbxi_e2b_raw_body(const sbx_op *op)
{
    const sbxi_files_args *a = &op->args.of.files;
    if (sbxi_older(op->sandbox, SBXI_VERSION(0, 5, 7))) return false;
    if (SBXI_HAS_GZIP && a->o.gzip == SBX_YES) return true;
    if (a->o.octet_stream != SBX_DEFAULT) return a->o.octet_stream == SBX_YES;
    return !a->from_bytes && op->feature == SBX_FEATURE_FILES_WRITE;
}

/* Metadata travels as headers: what they cannot say is named. */
static int sbxi_e2b_write_check(sbx_op *op)
{
    const sbx_pairs *p = &op->args.of.files.o.metadata;
    sbx_error *e = &op->error;
    size_t i;
    for (i = 0; i < p->count; i++) {
        const sbx_pair *pair = &p->items[i];
        const char *value = pair->value;
        while (*value >= ' ' && *value <= '~') value++;
        if (sbxi_is_token(sbxi_span_of(pair->key)) && !*value) continue;
#ifndef SBX_NO_ERROR_TEXT
        sbxi_put_text(e->message, sizeof e->message, "metadata: ", 10);
        sbxi_add_text(e->message, sizeof e->message, *value ? "the value is not printable ASCII: "
            : "the key is not an HTTP token: ");
        sbxi_add_text(e->message, sizeof e->message, pair->key);
#endif
        return sbxi_error_set(e, SBX_E_ARG, NULL);
    }
    return !p->count ? SBX_OK : sbxi_needs(op, SBXI_VERSION(0, 6, 2));
}

/* One body of many parts, which must know its length: raw ones came later. */
static int sbxi_e2b_write_whole(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    int rc = a->files[0].from.size >= 0 || a->o.octet_stream == SBX_NO ? SBX_OK
        : sbxi_needs(op, SBXI_VERSION(0, 5, 7));
    a->path = a->count > 1 ? NULL : a->files[0].path;
    return rc == SBX_OK ? sbxi_ask(op, SBX_FEATURE_FILES_WRITE, SBXI_STEP_DONE) : rc;
}

/* Raw bodies carry one file each, a multipart body all of them. */
static int sbxi_e2b_write_step(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    if (op->step == SBXI_STEP_START) {
        int rc = SBXI_HAS_EXTRAS ? sbxi_e2b_write_check(op) : SBX_OK;
        if (rc != SBX_OK) return rc;
        a->at = 0;
        if (!sbxi_e2b_raw_body(op)) return sbxi_e2b_write_whole(op);
    } else if (op->step == SBXI_STEP_DONE || ++a->at == a->count) {
        if (!op->result && a->count)
            return sbxi_op_fail(op, SBX_E_PROTOCOL,
                SBXI_TEXT("the service does not say what it wrote"));
        return SBX_OK;
    }
    a->path = a->files[a->at].path;
    return sbxi_ask(op, SBXI_E2B_WRITE_RAW, SBXI_E2B_NEXT);
}

/* What the options of a watch need. */
static int sbxi_e2b_watch_begin(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    uint32_t need = 0;
    int rc;
    if (a->as.w.recursive == SBX_YES) need = SBXI_VERSION(0, 1, 4);
    if (a->as.w.entries == SBX_YES) need = SBXI_VERSION(0, 6, 3);
    if (a->as.w.network_mounts == SBX_YES) need = SBXI_VERSION(0, 6, 4);
    rc = sbxi_needs(op, need);
    if (rc != SBX_OK) return rc;
    return a->as.w.mode == SBX_WATCH_ASK
        ? sbxi_ask(op, SBXI_E2B_NEW_WATCHER, SBXI_E2B_WATCHING)
        : sbxi_ask(op, SBX_FEATURE_FILES_WATCH, SBXI_STEP_DONE);
}

/* The host has made a watcher: its id lasts as long as the handle. */
static int sbxi_e2b_watching(sbx_op *op)
{
    sbxi_files_args *a = &op->args.of.files;
    sbx_proc *p = op->proc;
    const sbxi_e2b_watcher *w = (const sbxi_e2b_watcher *)op->result;
    if (!p) return SBX_E_CANCELLED;
    if (op->reply.no) return SBX_E_UNSUPPORTED_HOST;
    if (!w || !w->id || !w->id[0])
        return sbxi_op_fail(op, SBX_E_PROTOCOL, SBXI_TEXT("the reply names no watcher"));
    p->block = op->result;
    p->kept = op->kept;
    op->result = op->kept = NULL;
    p->user = a->o.user;
    p->id = a->watcher = w->id;
    p->started = p->rests = true;
    return SBX_OK;
}

/* A stream of events, or a watcher that is asked now and then. */
static int sbxi_e2b_watch_step(sbx_op *op)
{
    const sbxi_files_args *a = &op->args.of.files;
    int rc;
    if (op->step == SBXI_STEP_START) return sbxi_e2b_watch_begin(op);
    if (op->step == SBXI_STEP_DONE) {
        if (!op->reply.no)
            return sbxi_op_fail(op, SBX_E_NO_END,
                SBXI_TEXT("the host ended the watch: begin anew"));
        if (a->as.w.mode == SBX_WATCH_STREAM) return SBX_E_UNSUPPORTED_HOST;
        return sbxi_ask(op, SBXI_E2B_NEW_WATCHER, SBXI_E2B_WATCHING);
    }
    rc = op->step == SBXI_E2B_WATCHING ? sbxi_e2b_watching(op) : SBX_OK;
    if (rc != SBX_OK || a->as.w.interval_ms < 0) return rc;
    return sbxi_ask_later(op, SBX_FEATURE_WATCH_POLL, SBXI_E2B_NEXT, a->as.w.interval_ms);
}

/* A dispatcher by feature: what its steps are, if they are not one exchange. */
static int sbxi_e2b_step(sbx_op *op)
{
    bool start = op->step == SBXI_STEP_START;
    sbx_files_options *files = &op->args.of.files.o;
    int rc = SBX_OK;
    /* file routes carry the user in the query */
    if (start && op->feature >= SBX_FEATURE_FILES_READ) files->user = sbxi_e2b_user(op);
    switch (op->feature) {
    case SBX_FEATURE_SANDBOX_CREATE:
        return sbxi_e2b_create_step(op);
    case SBX_FEATURE_SANDBOX_CONNECT: /* tells new credentials; 201: it had been paused */
        op->reply.no = op->reply.http != 201;
#ifndef SBX_NO_EXTRAS
        if (start && op->client->dialect) return sbxi_e2b_old_ask(op);
#endif
        return start ? sbxi_ask_default(op) : sbxi_sandbox_learn(op);
#ifndef SBX_NO_EXTRAS
    case SBX_FEATURE_SANDBOX_PAUSE:
        if (start && op->client->dialect) return sbxi_e2b_old_ask(op);
        break;
#endif
    case SBX_FEATURE_SANDBOX_LIST:
    case SBX_FEATURE_SNAPSHOT_LIST:
    case SBX_FEATURE_TEMPLATE_BUILDS:
        return sbxi_e2b_list_step(op);
#ifndef SBX_NO_TEMPLATE
    case SBX_FEATURE_TEMPLATE_BUILD:
    case SBX_FEATURE_TEMPLATE_BUILD_START:
    case SBX_FEATURE_BUILD_GET_STATUS:
    case SBX_FEATURE_BUILD_WAIT:
        return sbxi_e2b_build_step(op);
#endif
#ifndef SBX_NO_EXTRAS
    case SBX_FEATURE_SANDBOX_METRICS:
    case SBX_FEATURE_SANDBOX_LOGS:
        if (start) rc = sbxi_e2b_history_begin(op);
        break;
    case SBX_FEATURE_SANDBOX_FORK: /* what its callback said */
        rc = op->why;
        break;
    case SBX_FEATURE_FILES_URL:
        return sbxi_e2b_url_step(op);
#endif
    case SBX_FEATURE_COMMAND_RUN:
    case SBX_FEATURE_COMMAND_START:
    case SBX_FEATURE_COMMAND_CONNECT:
    case SBX_FEATURE_PTY_CREATE:
    case SBX_FEATURE_PTY_CONNECT:
        if (start) rc = sbxi_e2b_command_begin(op);
        break;
    case SBX_FEATURE_COMMAND_SIGNAL:
        if (op->args.of.process.signal == SBX_SIGNAL_KILL) op->feature = SBX_FEATURE_COMMAND_KILL;
        break;
    case SBX_FEATURE_COMMAND_CLOSE_STDIN:
        if (start) rc = sbxi_needs(op, SBXI_VERSION(0, 5, 2));
        break;
    case SBX_FEATURE_COMMAND_STREAM_STDIN:
    case SBX_FEATURE_PTY_STREAM_INPUT:
        if (SBXI_HAS_PROC && start) sbxi_e2b_input_begin(op);
        break;
    case SBX_FEATURE_FILES_READ:
    case SBX_FEATURE_FILES_READ_BYTES:
        if (!start && op->reply.no && !files->offset && !files->length) rc = SBX_E_PROTOCOL;
        break;
    case SBX_FEATURE_FILES_WRITE:
    case SBX_FEATURE_FILES_WRITE_MANY:
        return sbxi_e2b_write_step(op);
    case SBX_FEATURE_FILES_WATCH:
        if (SBXI_HAS_WATCH) return sbxi_e2b_watch_step(op);
        break;
    case SBX_FEATURE_FILES_LIST:
        if (start) files->depth = files->depth == 0 ? 1 : files->depth < 0 ? 0 : files->depth;
        break;
    default:
        break;
    }
    return start && rc == SBX_OK ? sbxi_ask_default(op) : rc;
}

/* ---- the provider --------------------------------------------------------- */

static const sbxi_env sbxi_e2b_env[] = {
    { "E2B_API_KEY", offsetof(sbx_config, api_key) },
    { "E2B_DOMAIN", offsetof(sbx_config, domain) },
    { "E2B_API_URL", offsetof(sbx_config, api_url) },
    { "E2B_SANDBOX_URL", offsetof(sbx_config, sandbox_url) },
    { NULL, 0 }
};
static const char *const sbxi_e2b_dialects[] = { "2.63",
#ifndef SBX_NO_EXTRAS
    "2.6",
#endif
    NULL };
static const char *const sbxi_e2b_ports[] = { "49983", "49999" };

#ifndef SANDBOX_STATIC
const sbx_provider sbx_e2b =
#else
static const sbx_provider sbx_e2b =
#endif
{
    "e2b", "e2b.app", sbxi_e2b_ports, 60000, 50005, sbxi_e2b_dialects,
    SBXI_TEXT("the host has no POST /v2/sandboxes: set config.dialect to \"2.6\", "
              "or check api_url"),
    sbxi_e2b_env, "E2B_DEBUG",
    "x-next-token",
    sbxi_e2b_prefixes, sbxi_e2b_routes, sbxi_e2b_rules, &sbxi_e2b_fault, sbxi_e2b_base,
    sbxi_e2b_headers, sbxi_e2b_host, sbxi_e2b_step, sbxi_e2b_on_event, 300000,
#ifndef SBX_NO_TEMPLATE
    &sbxi_e2b_templates
#endif
};

#undef SBXI_ALL
#undef SBXI_ONE
#undef SBXI_PLAIN
#undef SBXI_RPC
#undef SBXI_STREAM
#undef SBXI_START
#undef SBXI_FOLLOW
#undef SBXI_TELL
#undef SBXI_INPUT
#undef SBXI_READ
#undef SBXI_MOVED
#undef SBXI_MAKE

#endif /* SBX_NO_E2B */

/* api/sandbox - the sandbox functions: gather the arguments, check what is
   peculiar to each, start the operation. Called by the user. */

static bool sbxi_pairs_ok(const sbx_pairs *p)
{
    size_t i;
    if (p->count && !p->items) return false;
    for (i = 0; i < p->count; i++)
        if (!p->items[i].key || !p->items[i].value) return false;
    return true;
}

/* Whether all texts are there; `empty`: they may be "". */
static SBXI_MAYBE bool sbxi_strings_ok(const sbx_strings *s, bool empty)
{
    size_t i;
    bool fine = !s->count || s->items;
    for (i = 0; fine && i < s->count; i++)
        fine = s->items[i] && (empty || s->items[i][0]);
    return fine;
}

/* JSON that goes out as it is must be one value. */
static int sbxi_ignore(void *ctx, const sbx_json_event *event)
{
    (void)ctx;
    (void)event;
    return SBX_OK;
}

static bool sbxi_json_ok(const char *text)
{
    sbx_json_reader r;
    if (!text) return true;
    sbx_json_init(&r, sbxi_ignore, NULL);
    (void)sbx_json_feed(&r, text, strlen(text), NULL);
    return sbx_json_end(&r) == SBX_OK;
}

#ifndef SBX_NO_EXTRAS
static void sbxi_need_network(sbxi_call *k, sbx_network *n)
{
    sbxi_need(k, sbxi_strings_ok(&n->allow_out, true) && sbxi_strings_ok(&n->deny_out, true)
        && sbxi_strings_ok(&n->dns_servers, true), SBXI_TEXT("network: a text of a list is NULL"));
    sbxi_need(k, !n->https_ports.count || n->https_ports.items,
        SBXI_TEXT("network.https_ports: items is NULL"));
    sbxi_need(k, sbxi_json_ok(n->rules_json), SBXI_TEXT("network.rules_json is not valid JSON"));
    if (n->proxy_tls == SBX_NO) n->proxy_tls = SBX_DEFAULT;
    sbxi_need(k, (n->proxy_address || !(n->proxy_username || n->proxy_password || n->proxy_tls))
        && (n->proxy_tls || !(n->proxy_server_name || n->proxy_ca_pem)),
        SBXI_TEXT("network: proxy_address is missing, or proxy_tls = SBX_YES"));
}
#endif

SBX_API int sbx_sandbox_create(sbx_client *client, const sbx_sandbox_options *options,
                               sbx_sandbox **out, const sbx_call *call)
{
    sbxi_call k;
    sbx_sandbox_options *o = &k.args.of.create.o;
    sbxi_call_on(&k, client, SBX_FEATURE_SANDBOX_CREATE | SBXI_WANTS, call);
    k.args.out = out;
    if (options) *o = *options;
    sbxi_need(&k, sbxi_pairs_ok(&o->metadata) && sbxi_pairs_ok(&o->envs),
        SBXI_TEXT("metadata or envs: a key or value is NULL"));
    sbxi_need(&k, o->timeout_s >= 0, SBXI_TEXT("timeout_s is negative: a sandbox always ends"));
#ifndef SBX_NO_EXTRAS
    sbxi_need(&k, sbxi_pairs_ok(&o->volumes), SBXI_TEXT("volumes: a path or name is NULL"));
    sbxi_need(&k, sbxi_json_ok(o->mcp_json) && sbxi_json_ok(o->identity_json),
        SBXI_TEXT("mcp_json or identity_json is not valid JSON"));
    sbxi_need_network(&k, &o->network);
#endif
    return sbxi_start(&k);
}

/* The handle takes a copy of what the user knows. False: no memory. */
static bool sbxi_sandbox_take(sbx_sandbox *s, const sbx_sandbox_access *access)
{
    s->access = *access;
    s->known = access->daemon_version || access->access_token || access->data_url;
    s->given = (sbx_sandbox_access *)sbxi_keep(&s->client->link.alloc, SBXI_KEEP_ACCESS,
                                               &s->access, sizeof s->access);
    if (s->given) s->access = *s->given;
    return s->given != NULL;
}

SBX_API int sbx_sandbox_attach(sbx_client *client, const char *id,
                               const sbx_sandbox_access *access, sbx_sandbox **out)
{
    sbx_sandbox *s;
    if (!client) return SBX_E_ARG;
    if (out) *out = NULL;
    if (!out || !id || !id[0] || !sbxi_is_field_value(sbxi_span_of(id)))
        return sbxi_call_fail(client, NULL, SBX_E_ARG,
            SBXI_TEXT("out is NULL, or id is empty or not plain text"));
    s = sbxi_sandbox_new(client, id);
    if (s && access && !sbxi_sandbox_take(s, access)) {
        sbxi_sandbox_unref(s);
        s = NULL;
    }
    *out = s;
    return s ? SBX_OK : sbxi_call_fail(client, NULL, SBX_E_NOMEM, NULL);
}

SBX_API int sbx_sandbox_get_access(const sbx_sandbox *sandbox, sbx_sandbox_access *out)
{
    if (!sandbox || !out) return SBX_E_ARG;
    *out = sandbox->access;
    return SBX_OK;
}

static int sbxi_ask_yes_no(sbx_sandbox *sandbox, sbx_feature feature, bool *answer,
                           const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, feature, call);
    k.args.answer = answer;
    return sbxi_start(&k);
}

/* set_timeout and refresh */
static int sbxi_ask_time(sbx_sandbox *sandbox, sbx_feature feature, int32_t seconds,
                         const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, feature, call);
    k.args.of.timeout_s = seconds;
    sbxi_need(&k, seconds >= 0, SBXI_TEXT("a time is negative"));
    return sbxi_start(&k);
}

static int sbxi_resume(sbx_sandbox *sandbox, int32_t timeout_s, sbx_choice memory,
                       bool *resumed, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_CONNECT, call);
    k.args.of.resume.timeout_s = timeout_s;
    k.args.of.resume.memory = memory;
    k.args.answer = resumed;
    sbxi_need(&k, timeout_s >= 0, SBXI_TEXT("timeout_s is negative"));
    return sbxi_start(&k);
}

SBX_API int sbx_sandbox_connect(sbx_sandbox *sandbox, int32_t timeout_s, bool *resumed,
                                const sbx_call *call)
{
    return sbxi_resume(sandbox, timeout_s, SBX_DEFAULT, resumed, call);
}

#ifndef SBX_NO_EXTRAS

SBX_API int sbx_sandbox_resume(sbx_sandbox *sandbox, const sbx_resume_options *options,
                               bool *resumed, const sbx_call *call)
{
    return options ? sbxi_resume(sandbox, options->timeout_s, options->memory, resumed, call)
        : sbxi_resume(sandbox, 0, SBX_DEFAULT, resumed, call);
}

SBX_API int sbx_sandbox_pause(sbx_sandbox *sandbox, const sbx_pause_options *options,
                              bool *paused, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_PAUSE, call);
    if (options) k.args.of.pause = *options;
    k.args.answer = paused;
    return sbxi_start(&k);
}

SBX_API int sbx_sandbox_refresh(sbx_sandbox *sandbox, int32_t duration_s, const sbx_call *call)
{
    return sbxi_ask_time(sandbox, SBX_FEATURE_SANDBOX_REFRESH, duration_s, call);
}

SBX_API int sbx_sandbox_set_network(sbx_sandbox *sandbox, const sbx_network *network,
                                    sbx_choice internet, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_SET_NETWORK, call);
    if (network) k.args.of.network.n = *network;
    k.args.of.network.internet = internet;
    sbxi_need_network(&k, &k.args.of.network.n);
    return sbxi_start(&k);
}

SBX_API int sbx_sandbox_metrics(sbx_sandbox *sandbox, int64_t start_unix_ms, int64_t end_unix_ms,
                                sbx_metrics_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_METRICS | SBXI_WANTS, call);
    k.args.of.history.q.from_unix_ms = start_unix_ms;
    k.args.of.history.end_unix_ms = end_unix_ms;
    k.args.each.metrics = each;
    k.args.ctx = ctx;
    sbxi_need(&k, start_unix_ms >= 0 && end_unix_ms >= 0, SBXI_TEXT("a time is negative"));
    return sbxi_start(&k);
}

SBX_API int sbx_sandbox_logs(sbx_sandbox *sandbox, const sbx_log_query *query, sbx_log_each each,
                             void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbx_log_query *q = &k.args.of.history.q;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_LOGS | SBXI_WANTS, call);
    if (query) *q = *query;
    k.args.each.log = each;
    k.args.ctx = ctx;
    sbxi_need(&k, q->from_unix_ms >= 0 && q->limit >= 0,
        SBXI_TEXT("from_unix_ms or limit is negative"));
    return sbxi_start(&k);
}

SBX_API int sbx_sandbox_fork(sbx_sandbox *sandbox, int32_t count, int32_t timeout_s,
                             sbx_fork_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_FORK | SBXI_WANTS, call);
    k.args.of.fork.count = count;
    k.args.of.fork.timeout_s = timeout_s;
    k.args.each.fork = each;
    k.args.ctx = ctx;
    sbxi_need(&k, count >= 0 && count <= 20 && timeout_s >= 0,
        SBXI_TEXT("count is not 0 to 20, or timeout_s is negative"));
    return sbxi_start(&k);
}

SBX_API int sbx_snapshot_create(sbx_sandbox *sandbox, const sbx_snapshot_options *options,
                                sbx_snapshot_info **out, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SNAPSHOT_CREATE | SBXI_WANTS, call);
    if (options) k.args.of.snapshot = *options;
    k.args.out = out;
    return sbxi_start(&k);
}

SBX_API int sbx_snapshot_delete(sbx_client *client, const char *id, bool *existed,
                                const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_on(&k, client, SBX_FEATURE_SNAPSHOT_DELETE, call);
    k.args.target = id;
    k.args.answer = existed;
    sbxi_need(&k, id && id[0], SBXI_TEXT("id is NULL or empty"));
    return sbxi_start(&k);
}

#endif

SBX_API int sbx_sandbox_set_timeout(sbx_sandbox *sandbox, int32_t timeout_s, const sbx_call *call)
{
    return sbxi_ask_time(sandbox, SBX_FEATURE_SANDBOX_SET_TIMEOUT, timeout_s, call);
}

SBX_API int sbx_sandbox_get_info(sbx_sandbox *sandbox, sbx_sandbox_info **out, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_SANDBOX_GET_INFO | SBXI_WANTS, call);
    k.args.out = out;
    return sbxi_start(&k);
}

static int sbxi_start_page(sbxi_call *k)
{
    const sbx_page *page = k->args.of.list.page;
    sbxi_need(k, !page || (!page->ended_ && page->limit >= 0),
        SBXI_TEXT("the page is past the end, or its limit is negative: zero it to start over"));
    return sbxi_start(k);
}

SBX_API int sbx_sandbox_list(sbx_client *client, const sbx_sandbox_query *query, sbx_page *page,
                             sbx_sandbox_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_list_args *a = &k.args.of.list;
    sbxi_call_on(&k, client, SBX_FEATURE_SANDBOX_LIST | SBXI_WANTS, call);
    if (query) a->q = *query;
    a->page = page;
    k.args.each.sandbox = each;
    k.args.ctx = ctx;
    sbxi_need(&k, sbxi_pairs_ok(&a->q.metadata), SBXI_TEXT("metadata: a key or value is NULL"));
    sbxi_need(&k, a->q.running != SBX_NO || a->q.paused != SBX_NO,
        SBXI_TEXT("running and paused are both SBX_NO"));
    return sbxi_start_page(&k);
}

#ifndef SBX_NO_EXTRAS
SBX_API int sbx_snapshot_list(sbx_client *client, const char *sandbox_id, const char *name,
                              sbx_page *page, sbx_snapshot_each each, void *ctx,
                              const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_on(&k, client, SBX_FEATURE_SNAPSHOT_LIST | SBXI_WANTS, call);
    k.args.of.list.q.template_id = sandbox_id;
    k.args.of.list.name = name;
    k.args.of.list.page = page;
    k.args.each.snapshot = each;
    k.args.ctx = ctx;
    return sbxi_start_page(&k);
}
#endif

SBX_API int sbx_sandbox_kill(sbx_sandbox *sandbox, bool *existed, const sbx_call *call)
{
    return sbxi_ask_yes_no(sandbox, SBX_FEATURE_SANDBOX_KILL, existed, call);
}

SBX_API int sbx_sandbox_is_running(sbx_sandbox *sandbox, bool *running, const sbx_call *call)
{
    return sbxi_ask_yes_no(sandbox, SBX_FEATURE_SANDBOX_IS_RUNNING, running, call);
}

/* A text with the host of a port, between two others. */
static int sbxi_host_text(const sbx_sandbox *sandbox, sbx_feature feature, const char *before,
                          uint16_t port, const char *after, char *out, size_t cap)
{
    sbxi_buf text;
    int rc;
    if (!sandbox || !out || cap == 0) return SBX_E_ARG;
    out[0] = 0;
    if (!sbx_supports(sandbox->client, feature)) return SBX_E_UNSUPPORTED;
    sbxi_buf_init(&text, &sandbox->client->link.alloc, 1024);
    sbxi_buf_text(&text, before);
    rc = sandbox->client->provider->host(sandbox, port, &text);
    if (rc == SBX_OK) rc = sbxi_buf_text(&text, after);
    if (rc == SBX_OK && text.len >= cap) rc = SBX_E_TOO_LARGE;
    if (rc == SBX_OK) sbxi_put_text(out, cap, text.data, text.len);
    sbxi_buf_free(&text);
    return rc;
}

SBX_API int sbx_sandbox_host(const sbx_sandbox *sandbox, uint16_t port, char *out, size_t cap)
{
    return sbxi_host_text(sandbox, SBX_FEATURE_SANDBOX_HOST, "", port, "", out, cap);
}

#ifndef SBX_NO_EXTRAS
SBX_API int sbx_sandbox_mcp_url(const sbx_sandbox *sandbox, char *out, size_t cap)
{
    return sbxi_host_text(sandbox, SBX_FEATURE_SANDBOX_MCP_URL, "https://",
        sandbox ? sandbox->client->provider->mcp_port : 0, "/mcp", out, cap);
}
#endif

SBX_API const char *sbx_sandbox_id(const sbx_sandbox *sandbox) { return sandbox->id; }

SBX_API void sbx_sandbox_release(sbx_sandbox *sandbox) { sbxi_sandbox_unref(sandbox); }
/* api/command - commands and processes. Called by the user. */

/* How much longer than the command's own time the call waits for the word. */
#define SBXI_KILL_GRACE_MS 5000

/* What all functions with a stream share. `background`: the call is over before it. */
static void sbxi_command_in(sbxi_call *k, sbx_sandbox *sandbox, unsigned feature,
    const sbx_command_options *options, const sbx_call *call)
{
    sbxi_command_args *a = &k->args.of.command;
    bool background = feature != SBX_FEATURE_COMMAND_RUN;
    int32_t ms;
    sbxi_call_in(k, sandbox, feature, call);
    if (options) a->o = *options;
    if (background && a->o.timeout_ms == 0) a->o.timeout_ms = SBX_NEVER;
    ms = a->o.timeout_ms;
    if (ms == 0 && sandbox) ms = sandbox->client->provider->command_ms;
    k->total_ms = ms < 0 || ms > INT32_MAX - SBXI_KILL_GRACE_MS ? SBX_NEVER
                : ms + SBXI_KILL_GRACE_MS;
    sbxi_need(k, sbxi_pairs_ok(&a->o.envs), SBXI_TEXT("envs: a key or value is NULL"));
    sbxi_need(k, background || a->o.pull != SBX_YES,
        SBXI_TEXT("pull needs a handle: use sbx_command_start()"));
}

SBX_API int sbx_command_run(sbx_sandbox *sandbox, const char *cmd,
    const sbx_command_options *options, sbx_command_result *result, const sbx_call *call)
{
    sbxi_call k;
    sbxi_command_in(&k, sandbox, SBX_FEATURE_COMMAND_RUN, options, call);
    if (result) memset(result, 0, sizeof *result);
    k.args.of.command.cmd = cmd;
    k.args.of.command.result = result;
    sbxi_need(&k, cmd != NULL, SBXI_TEXT("cmd is NULL"));
    return sbxi_start(&k);
}

/* One process, by pid. */
static void sbxi_process_in(sbxi_call *k, sbx_sandbox *sandbox, unsigned feature, uint32_t pid,
    const sbx_call *call)
{
    sbxi_call_in(k, sandbox, feature, call);
    k->args.of.process.pid = pid;
    sbxi_need(k, pid != 0, SBXI_TEXT("pid is 0"));
}

SBX_API int sbx_command_list(sbx_sandbox *sandbox, sbx_process_each each, void *ctx,
                             const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_COMMAND_LIST | SBXI_WANTS, call);
    k.args.each.process = each;
    k.args.ctx = ctx;
    return sbxi_start(&k);
}

SBX_API int sbx_command_kill(sbx_sandbox *sandbox, uint32_t pid, bool *existed,
    const sbx_call *call)
{
    sbxi_call k;
    sbxi_process_in(&k, sandbox, SBX_FEATURE_COMMAND_KILL, pid, call);
    k.args.answer = existed;
    return sbxi_start(&k);
}

SBX_API int sbx_command_signal(sbx_sandbox *sandbox, uint32_t pid, sbx_signal signal,
    bool *existed, const sbx_call *call)
{
    sbxi_call k;
    sbxi_process_in(&k, sandbox, SBX_FEATURE_COMMAND_SIGNAL, pid, call);
    k.args.of.process.signal = signal;
    k.args.answer = existed;
    sbxi_need(&k, (unsigned)signal <= SBX_SIGNAL_TERM, SBXI_TEXT("signal is none of sbx_signal"));
    return sbxi_start(&k);
}

static int sbxi_send_input(sbx_sandbox *sandbox, unsigned feature, uint32_t pid, const void *data,
    size_t len, const sbx_call *call)
{
    sbxi_call k;
    sbxi_process_in(&k, sandbox, feature, pid, call);
    k.args.of.process.data.data = len ? data : "";
    k.args.of.process.data.len = len;
    sbxi_need(&k, data || len == 0, SBXI_TEXT("data is NULL"));
    return sbxi_start(&k);
}

SBX_API int sbx_command_send_stdin(sbx_sandbox *sandbox, uint32_t pid, const void *data,
    size_t len, const sbx_call *call)
{
    return sbxi_send_input(sandbox, SBX_FEATURE_COMMAND_SEND_STDIN, pid, data, len, call);
}

#ifndef SBX_NO_PTY
SBX_API int sbx_pty_send_input(sbx_sandbox *sandbox, uint32_t pid, const void *data,
    size_t len, const sbx_call *call)
{
    return sbxi_send_input(sandbox, SBX_FEATURE_PTY_SEND_INPUT, pid, data, len, call);
}
#endif

#ifndef SBX_NO_PROC
static int sbxi_stream_input(sbx_sandbox *sandbox, unsigned feature, uint32_t pid,
    const sbx_source *from, const sbx_call *call)
{
    sbxi_call k;
    sbxi_process_in(&k, sandbox, feature, pid, call);
    k.args.of.process.from = *from;
    sbxi_need(&k, from->get != NULL, SBXI_TEXT("from.get is NULL"));
    return sbxi_start(&k);
}

SBX_API int sbx_command_stream_stdin(sbx_sandbox *sandbox, uint32_t pid, sbx_source from,
    const sbx_call *call)
{
    return sbxi_stream_input(sandbox, SBX_FEATURE_COMMAND_STREAM_STDIN, pid, &from, call);
}
#endif

#ifndef SBX_NO_PTY
SBX_API int sbx_pty_stream_input(sbx_sandbox *sandbox, uint32_t pid, sbx_source from,
    const sbx_call *call)
{
    return sbxi_stream_input(sandbox, SBX_FEATURE_PTY_STREAM_INPUT, pid, &from, call);
}
#endif

SBX_API int sbx_command_close_stdin(sbx_sandbox *sandbox, uint32_t pid, const sbx_call *call)
{
    sbxi_call k;
    sbxi_process_in(&k, sandbox, SBX_FEATURE_COMMAND_CLOSE_STDIN, pid, call);
    return sbxi_start(&k);
}

#ifndef SBX_NO_PTY
SBX_API int sbx_pty_resize(sbx_sandbox *sandbox, uint32_t pid, uint16_t cols, uint16_t rows,
    const sbx_call *call)
{
    sbxi_call k;
    sbxi_process_in(&k, sandbox, SBX_FEATURE_PTY_RESIZE, pid, call);
    k.args.of.process.cols = cols;
    k.args.of.process.rows = rows;
    sbxi_need(&k, cols && rows, SBXI_TEXT("cols or rows is 0"));
    return sbxi_start(&k);
}
#endif
/* api/proc - processes in the background and terminals: handles that follow one
   process. What they share with watches stands first. Called by the user. */

#ifndef SBX_NO_PROC

/* The stream: nothing of the call but the credentials is for it. */
static SBXI_APART sbx_op *sbxi_follow_stream(sbxi_call *k)
{
    const sbx_call *call = k->call;
    sbx_call background;
    sbx_op *op;
    memset(&background, 0, sizeof background);
    if (call) {
        background.api_key = call->api_key;
        background.domain = call->domain;
    }
    k->call = &background;
    op = sbxi_op_new(k);
    k->call = call;
    return op;
}

/* What is begun, and waits. */
typedef struct sbxi_following { sbx_proc *proc; sbx_op *op; } sbxi_following;

/* Starts the stream and the operation that waits for its first word. out: where the
   pointer to the handle goes. What it is called with is off the stack when they run. */
static int sbxi_follow(sbxi_call *k, void *out, sbxi_following *f)
{
    const sbx_call *call = k->call;
    sbx_proc *p;
    int rc;
    f->proc = NULL;
    f->op = NULL;
    k->args.out = out;
    rc = sbxi_check(k);
    if (rc != SBX_OK) return rc;
    p = (sbx_proc *)sbxi_alloc_get(&k->client->link.alloc, sizeof *p);
    if (!p) return sbxi_call_fail(k->client, call, SBX_E_NOMEM, NULL);
    p->sandbox = k->sandbox;
    p->sandbox->refs++;
    p->status = SBX_PENDING;
    sbxi_error_clear(&p->error);
    p->refs = 1; /* this function's */
    p->each = k->args.each.watch;
    p->ctx = k->args.ctx;
    k->args.out = NULL;
    if (sbxi_is_stream(k->feature)) {
        p->pty = k->feature == SBX_FEATURE_PTY_CREATE || k->feature == SBX_FEATURE_PTY_CONNECT;
        p->pull = k->args.of.command.o.pull == SBX_YES;
        k->args.of.command.result = &p->result;
    }
    k->proc = p;
    p->stream = sbxi_follow_stream(k);
    if (p->stream) {
        p->stream->released = true;
        /* the same call, but it waits: no arguments of its own */
        memset(&k->args, 0, sizeof k->args);
        k->args.out = out;
        k->until = SBXI_UNTIL_START;
        k->total_ms = k->client->link.clocks.total_ms;
        f->op = sbxi_op_new(k);
    }
    f->proc = p;
    return p->stream && f->op ? SBX_OK : sbxi_call_fail(k->client, call, SBX_E_NOMEM, NULL);
}

/* Runs what was begun, unless that failed. */
static int sbxi_followed(const sbxi_following *f, int rc)
{
    sbx_proc *p = f->proc;
    if (rc == SBX_OK) rc = sbxi_go(f->op);
    if (!p) return rc;
    if (p->refs > 1) sbxi_proc_unref(p); /* others hold it now, or nobody */
    else sbx_proc_release(p);
    return rc;
}

static SBXI_APART int sbxi_start_new(sbx_sandbox *sandbox, const char *cmd,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call, sbxi_following *f)
{
    sbxi_call k;
    sbxi_command_in(&k, sandbox, SBX_FEATURE_COMMAND_START | SBXI_WANTS, options, call);
    k.args.of.command.cmd = cmd;
    sbxi_need(&k, cmd != NULL, SBXI_TEXT("cmd is NULL"));
    return sbxi_follow(&k, out, f);
}

SBX_API int sbx_command_start(sbx_sandbox *sandbox, const char *cmd,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call)
{
    sbxi_following f;
    int rc = sbxi_start_new(sandbox, cmd, options, out, call, &f);
    return sbxi_followed(&f, rc);
}

static SBXI_APART int sbxi_connect_new(sbx_sandbox *sandbox, unsigned feature, uint32_t pid,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call, sbxi_following *f)
{
    sbxi_call k;
    sbxi_command_in(&k, sandbox, feature, options, call);
    k.args.of.command.at.pid = pid;
    sbxi_need(&k, pid || k.args.of.command.o.tag, SBXI_TEXT("pid is 0 and options.tag NULL"));
    return sbxi_follow(&k, out, f);
}

static int sbxi_connect_to(sbx_sandbox *sandbox, unsigned feature, uint32_t pid,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call)
{
    sbxi_following f;
    int rc = sbxi_connect_new(sandbox, feature, pid, options, out, call, &f);
    return sbxi_followed(&f, rc);
}

SBX_API int sbx_command_connect(sbx_sandbox *sandbox, uint32_t pid,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call)
{
    return sbxi_connect_to(sandbox, SBX_FEATURE_COMMAND_CONNECT | SBXI_WANTS, pid, options, out,
                           call);
}

#ifndef SBX_NO_PTY

SBX_API int sbx_pty_connect(sbx_sandbox *sandbox, uint32_t pid,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call)
{
    return sbxi_connect_to(sandbox, SBX_FEATURE_PTY_CONNECT | SBXI_WANTS, pid, options, out, call);
}

static SBXI_APART int sbxi_pty_new(sbx_sandbox *sandbox, uint16_t cols, uint16_t rows,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call, sbxi_following *f)
{
    sbxi_call k;
    sbxi_process_args *at = &k.args.of.command.at;
    sbxi_command_in(&k, sandbox, SBX_FEATURE_PTY_CREATE | SBXI_WANTS, options, call);
    at->cols = cols ? cols : 80;
    at->rows = rows ? rows : 24;
    return sbxi_follow(&k, out, f);
}

SBX_API int sbx_pty_create(sbx_sandbox *sandbox, uint16_t cols, uint16_t rows,
    const sbx_command_options *options, sbx_proc **out, const sbx_call *call)
{
    sbxi_following f;
    int rc = sbxi_pty_new(sandbox, cols, rows, options, out, call, &f);
    return sbxi_followed(&f, rc);
}

#endif

static sbx_sandbox *sbxi_proc_box(const sbx_proc *proc) { return proc ? proc->sandbox : NULL; }

/* A call that waits for something of the stream. */
static void sbxi_proc_in(sbxi_call *k, sbx_proc *proc, uint8_t until, const sbx_call *call)
{
    sbxi_call_in(k, sbxi_proc_box(proc), SBX_FEATURE_COMMAND_START, call);
    k->total_ms = SBX_NEVER;
    k->until = until;
    k->proc = proc;
}

/* Whether a call waits for the next piece: two of them would get the same. */
static bool sbxi_proc_asked(const sbx_proc *proc)
{
    const sbx_op *op = proc ? proc->sandbox->client->ops : NULL;
    while (op && (op->proc != proc || op->until != SBXI_UNTIL_OUTPUT || op->cancelled))
        op = op->next;
    return op != NULL;
}

/* ---- the handle of a process ------------------------------------------------ */

SBX_API uint32_t sbx_proc_pid(const sbx_proc *proc) { return proc ? proc->pid : 0; }

SBX_API int sbx_proc_status(const sbx_proc *proc) { return proc ? proc->status : SBX_E_ARG; }

SBX_API int sbx_proc_next(sbx_proc *proc, sbx_proc_event *event, const sbx_call *call)
{
    sbxi_call k;
    sbxi_proc_in(&k, proc, SBXI_UNTIL_OUTPUT, call);
    if (event) memset(event, 0, sizeof *event);
    k.args.out = event;
    sbxi_need(&k, event != NULL, SBXI_TEXT("event is NULL"));
    sbxi_need(&k, !proc || proc->pull, SBXI_TEXT("it was started without options.pull"));
    if (sbxi_proc_asked(proc)) {
        k.status = SBX_E_CONFLICT;
        k.message = SBXI_TEXT("another sbx_proc_next() waits for the same piece");
    }
    if (!k.status && proc && proc->piece.data && proc->handed) { /* now it is done with */
        proc->piece.data = NULL;
        proc->taken = true;
        if (proc->status == SBX_PENDING) sbx_op_wake(proc->stream);
        else sbx_op_release(sbxi_unfollow(proc));
    }
    return sbxi_start(&k);
}

SBX_API int sbx_proc_wait(sbx_proc *proc, sbx_command_result *result, const sbx_call *call)
{
    sbxi_call k;
    int rc;
    if (result) memset(result, 0, sizeof *result);
    sbxi_proc_in(&k, proc, SBXI_UNTIL_END, call);
    k.args.of.command.result = result;
    rc = sbxi_check(&k);
    if (rc != SBX_OK) return rc;
    if (proc->pull && !(call && call->op)) { /* nobody can pull meanwhile */
        proc->pull = proc->taken = proc->handed = false;
        proc->piece.data = NULL;
        if (proc->stream) sbx_op_wake(proc->stream);
    }
    return sbxi_run(&k);
}

SBX_API int sbx_proc_write(sbx_proc *proc, const void *data, size_t len, const sbx_call *call)
{
    bool pty = SBXI_HAS_PTY && proc && proc->pty;
    return sbxi_send_input(sbxi_proc_box(proc), pty ? SBX_FEATURE_PTY_SEND_INPUT
        : SBX_FEATURE_COMMAND_SEND_STDIN, sbx_proc_pid(proc), data, len, call);
}

SBX_API int sbx_proc_close_stdin(sbx_proc *proc, const sbx_call *call)
{
    return sbx_command_close_stdin(sbxi_proc_box(proc), sbx_proc_pid(proc), call);
}

SBX_API int sbx_proc_kill(sbx_proc *proc, bool *existed, const sbx_call *call)
{
    return sbx_command_kill(sbxi_proc_box(proc), sbx_proc_pid(proc), existed, call);
}

#ifndef SBX_NO_PTY
SBX_API int sbx_proc_resize(sbx_proc *proc, uint16_t cols, uint16_t rows, const sbx_call *call)
{
    return sbx_pty_resize(sbxi_proc_box(proc), sbx_proc_pid(proc), cols, rows, call);
}
#endif

SBX_API void sbx_proc_wake(sbx_proc *proc)
{
    if (proc && !proc->pull) sbx_op_wake(proc->stream);
}

SBX_API void sbx_proc_release(sbx_proc *proc)
{
    sbx_op *stream;
    if (!proc) return;
    stream = sbxi_unfollow(proc);
    if (proc->status == SBX_PENDING) proc->status = SBX_E_CANCELLED; /* for calls that wait */
    sbxi_proc_unref(proc);
    sbx_op_release(stream);
}

#endif
/* api/code - running code in a code interpreter. Called by the user. */

#ifndef SBX_NO_RUN_CODE

SBX_API int sbx_run_code(sbx_sandbox *sandbox, const char *code,
    const sbx_run_code_options *options, sbx_run_code_result *result, const sbx_call *call)
{
    sbxi_call k;
    sbxi_code_args *a = &k.args.of.code;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_RUN_CODE, call);
    if (options) a->o = *options;
    if (result) memset(result, 0, sizeof *result);
    if (sandbox && !a->o.timeout_ms) a->o.timeout_ms = sandbox->client->provider->code_ms;
    a->code = code;
    a->result = result;
    sbxi_need(&k, code != NULL, SBXI_TEXT("code is NULL"));
    sbxi_need(&k, sbxi_pairs_ok(&a->o.envs), SBXI_TEXT("envs: a key or value is NULL"));
    sbxi_need(&k, !a->o.context_id || !a->o.language,
        SBXI_TEXT("a context has its language: give context_id or language"));
    return sbxi_start(&k);
}

#endif
/* api/files - files of a sandbox. Called by the user. */

static bool sbxi_source_ok(const sbx_source *s) { return s->get && s->size >= -1; }

#define sbxi_files_metadata SBXI_TEXT("metadata: a key or value is NULL")

/* What a build without them must not pass over. */
static void sbxi_files_extras(sbxi_call *k)
{
    const sbx_files_options *o = &k->args.of.files.o;
    if (!SBXI_HAS_EXTRAS && (o->offset || o->length || o->metadata.count) && !k->status)
        k->status = SBX_E_UNSUPPORTED;
}

/* The path and options that all functions of files share. */
static void sbxi_files_at(sbxi_call *k, const char *path, const sbx_files_options *options)
{
    if (options) k->args.of.files.o = *options;
    k->args.of.files.path = path;
    sbxi_need(k, path && path[0], SBXI_TEXT("path is NULL or empty"));
    sbxi_files_extras(k);
    sbxi_need(k, k->args.of.files.o.offset >= 0 && k->args.of.files.o.length >= 0,
        SBXI_TEXT("offset or length is negative"));
}

SBX_API int sbx_files_read(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, sbx_sink to, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_READ, call);
    sbxi_files_at(&k, path, options);
    k.args.of.files.sink = to;
    return sbxi_start(&k);
}

#ifndef SBX_NO_EXTRAS
SBX_API int sbx_files_read_bytes(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, void **data, size_t *len, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_READ_BYTES | SBXI_WANTS, call);
    sbxi_files_at(&k, path, options);
    k.args.out = data;
    k.args.of.files.len = len;
    if (len) *len = 0;
    sbxi_need(&k, len != NULL, SBXI_TEXT("len is NULL"));
    return sbxi_start(&k);
}
#endif

static int sbxi_files_write(sbxi_call *k, const sbx_source *from, void *info)
{
    k->args.of.files.one.from = *from;
    k->args.out = info;
    sbxi_need(k, sbxi_source_ok(from), SBXI_TEXT("from.get is NULL or from.size is below -1"));
    sbxi_need(k, sbxi_pairs_ok(&k->args.of.files.o.metadata), sbxi_files_metadata);
    return sbxi_start(k);
}

SBX_API int sbx_files_write(sbx_sandbox *sandbox, const char *path, sbx_source from,
    const sbx_files_options *options, sbx_file_info **info, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_WRITE, call);
    sbxi_files_at(&k, path, options);
    return sbxi_files_write(&k, &from, info);
}

SBX_API int sbx_files_write_bytes(sbx_sandbox *sandbox, const char *path, const void *data,
    size_t len, const sbx_files_options *options, sbx_file_info **info, const sbx_call *call)
{
    sbxi_call k;
    sbxi_files_args *a = &k.args.of.files;
    sbx_source from;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_WRITE, call);
    sbxi_files_at(&k, path, options);
    sbxi_need(&k, data || len == 0, SBXI_TEXT("data is NULL"));
    a->reading.data = data;
    a->reading.len = len;
    a->from_bytes = true;
    from = sbx_source_memory(&a->reading);
    return sbxi_files_write(&k, &from, info);
}

SBX_API int sbx_files_write_many(sbx_sandbox *sandbox, const sbx_file_write *files, size_t count,
    const sbx_files_options *options, sbx_file_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_files_args *a = &k.args.of.files;
    size_t i;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_WRITE_MANY, call);
    if (options) a->o = *options;
    sbxi_files_extras(&k);
    a->files = files;
    a->count = count;
    k.args.each.file = each;
    k.args.ctx = ctx;
    sbxi_need(&k, files || count == 0, SBXI_TEXT("files is NULL"));
    sbxi_need(&k, sbxi_pairs_ok(&a->o.metadata), sbxi_files_metadata);
    for (i = 0; files && i < count; i++)
        sbxi_need(&k, files[i].path && files[i].path[0] && sbxi_source_ok(&files[i].from),
            SBXI_TEXT("files: a path is empty, or a source has no get() or a bad size"));
    return sbxi_start(&k);
}

SBX_API int sbx_files_list(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, sbx_file_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_LIST | SBXI_WANTS, call);
    sbxi_files_at(&k, path, options);
    k.args.each.file = each;
    k.args.ctx = ctx;
    return sbxi_start(&k);
}

SBX_API int sbx_files_stat(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, sbx_file_info **out, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_STAT | SBXI_WANTS, call);
    sbxi_files_at(&k, path, options);
    k.args.out = out;
    return sbxi_start(&k);
}

SBX_API int sbx_files_exists(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, bool *exists, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_EXISTS | SBXI_WANTS, call);
    sbxi_files_at(&k, path, options);
    k.args.answer = exists;
    return sbxi_start(&k);
}

SBX_API int sbx_files_remove(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_REMOVE, call);
    sbxi_files_at(&k, path, options);
    return sbxi_start(&k);
}

#ifndef SBX_NO_EXTRAS
SBX_API int sbx_files_url(sbx_sandbox *sandbox, const char *path, const sbx_url_options *options,
    char *out, size_t cap, const sbx_call *call)
{
    sbxi_call k;
    sbxi_files_args *a = &k.args.of.files;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_URL, call);
    sbxi_files_at(&k, path, NULL);
    if (options) a->as.u = *options;
    a->o.user = a->as.u.user;
    a->text = out;
    a->cap = cap;
    if (out && cap) out[0] = 0;
    sbxi_need(&k, out && cap, SBXI_TEXT("out is NULL or cap 0"));
    return sbxi_start(&k);
}
#endif

SBX_API int sbx_files_rename(sbx_sandbox *sandbox, const char *from, const char *to,
    const sbx_files_options *options, sbx_file_info **info, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_RENAME, call);
    sbxi_files_at(&k, from, options);
    k.args.of.files.to = to;
    k.args.out = info;
    sbxi_need(&k, to && to[0], SBXI_TEXT("to is NULL or empty"));
    return sbxi_start(&k);
}

SBX_API int sbx_files_make_dir(sbx_sandbox *sandbox, const char *path,
    const sbx_files_options *options, bool *created, const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_MAKE_DIR, call);
    sbxi_files_at(&k, path, options);
    k.args.answer = created;
    return sbxi_start(&k);
}
/* api/watch - watching a directory: a stream of events, or a watch on the host that
   is asked. Called by the user. */

#ifndef SBX_NO_WATCH

static SBXI_APART int sbxi_watch_new(sbx_sandbox *sandbox, const char *path,
    const sbx_watch_options *options, sbx_watch_each each, void *ctx, sbx_watch **out,
    const sbx_call *call, sbxi_following *f)
{
    sbxi_call k;
    sbxi_files_args *a = &k.args.of.files;
    sbxi_call_in(&k, sandbox, SBX_FEATURE_FILES_WATCH | SBXI_WANTS, call);
    sbxi_files_at(&k, path, NULL);
    if (options) a->as.w = *options;
    a->o.user = a->as.w.user;
    if (a->as.w.interval_ms == 0) a->as.w.interval_ms = 1000;
    k.total_ms = a->as.w.timeout_ms > 0 ? a->as.w.timeout_ms : SBX_NEVER;
    k.args.each.watch = each;
    k.args.ctx = ctx;
    sbxi_need(&k, each && out, SBXI_TEXT("each or out is NULL"));
    sbxi_need(&k, (unsigned)a->as.w.mode <= SBX_WATCH_ASK,
        SBXI_TEXT("mode is none of sbx_watch_mode"));
    return sbxi_follow(&k, out, f);
}

SBX_API int sbx_files_watch(sbx_sandbox *sandbox, const char *path,
    const sbx_watch_options *options, sbx_watch_each each, void *ctx, sbx_watch **out,
    const sbx_call *call)
{
    sbxi_following f;
    int rc = sbxi_watch_new(sandbox, path, options, each, ctx, out, call, &f);
    return sbxi_followed(&f, rc);
}

static sbx_proc *sbxi_watch_proc(sbx_watch *watch) { return watch ? &watch->of : NULL; }

SBX_API int sbx_watch_poll(sbx_watch *watch, const sbx_call *call)
{
    sbxi_call k;
    sbx_proc *p = sbxi_watch_proc(watch);
    if (p && p->id && p->status == SBX_PENDING)
        sbxi_watch_in(&k, p, SBX_FEATURE_WATCH_POLL, call);
    else
        sbxi_proc_in(&k, p, SBXI_UNTIL_NOW, call);
    return sbxi_start(&k);
}

SBX_API int sbx_watch_stop(sbx_watch *watch, const sbx_call *call)
{
    sbxi_call k;
    sbx_proc *p = sbxi_watch_proc(watch);
    int rc;
    if (p && p->id) sbxi_watch_in(&k, p, SBX_FEATURE_WATCH_STOP, call);
    else sbxi_proc_in(&k, p, SBXI_UNTIL_END, call);
    rc = sbxi_check(&k);
    if (rc != SBX_OK) return rc;
    sbx_op_release(sbxi_unfollow(p));
    p->status = SBX_OK;
    p->refs++; /* a callback may release it meanwhile */
    rc = sbxi_run(&k);
    if (rc >= 0) p->id = NULL; /* else the release tries again */
    sbxi_proc_unref(p);
    return rc;
}

SBX_API int sbx_watch_status(const sbx_watch *watch)
{
    return watch ? watch->of.status : SBX_E_ARG;
}

SBX_API void sbx_watch_release(sbx_watch *watch)
{
    sbx_proc_release(watch ? &watch->of : NULL);
}

#endif
/* api/template - the template builder: checks each step where it is added, and keeps
   the first thing that is wrong. Called by the user. */

#ifndef SBX_NO_TEMPLATE

static const sbx_error sbxi_no_template = { SBX_E_NOMEM, 0, SBX_CLOCK_NONE, SBX_TLS_NONE, -1,
    SBX_DEFAULT, SBX_DEFAULT, SBX_DEFAULT, 0, "", "" };

SBX_API sbx_template *sbx_template_new(sbx_client *client)
{
    sbx_template *t;
    if (!client) return NULL;
    t = (sbx_template *)sbxi_alloc_get(&client->link.alloc, sizeof *t);
    if (!t) {
        (void)sbxi_call_fail(client, NULL, SBX_E_NOMEM, NULL);
        return NULL;
    }
    t->client = client;
    sbxi_buf_init(&t->text, &client->link.alloc, SBX_MAX_REQUEST);
    sbxi_error_clear(&t->error);
    return t;
}

SBX_API void sbx_template_release(sbx_template *t)
{
    if (!t) return;
    t->released = true;
    if (!t->busy) sbxi_template_free(t);
}

SBX_API const sbx_error *sbx_template_error(const sbx_template *t)
{
    return t ? &t->error : &sbxi_no_template;
}

/* What speaks against touching it now: SBX_E_REENTRANT does not stick, an error does. */
static int sbxi_template_refused(const sbx_template *t)
{
    if (!t) return SBX_E_NOMEM;
    return t->busy ? SBX_E_REENTRANT : t->error.status;
}

/* Its tree, sink or notice() is called, which is the user's: nobody else may touch it
   then, and no call may block. */
static void sbxi_template_enter(sbx_template *t)
{
    t->busy = true;
    t->client->callbacks++;
}

static void sbxi_template_leave(sbx_template *t)
{
    t->client->callbacks--;
    sbxi_template_let_go(t);
}

/* ---- what all steps share ------------------------------------------------------ */

/* A step on its way into the template, with what is wrong with it so far. */
typedef struct sbxi_adding {
    sbx_template *t;
    const char *name;       /* of the function, for the message */
    sbxi_step plan;
    const char *one[2];     /* its texts, where they are not a list */
    const char *wrong;
    int status;             /* of what is wrong, 0: SBX_E_ARG */
} sbxi_adding;

static void sbxi_adding_begin(sbxi_adding *a, sbx_template *t, unsigned kind, const char *name,
                              const sbx_step_options *o)
{
    memset(a, 0, sizeof *a);
    a->t = t;
    a->name = name;
    a->plan.kind = (uint8_t)kind;
    if (o) a->plan.user = o->user;
}

static void sbxi_adding_needs(sbxi_adding *a, bool fine, const char *wrong)
{
    if (!fine && !a->wrong) a->wrong = wrong;
}

/* Its texts are one or two of the user's. */
static void sbxi_adding_texts(sbxi_adding *a, const char *first, const char *second)
{
    a->one[0] = first;
    a->one[1] = second;
    a->plan.texts.items = a->one;
    a->plan.texts.count = second ? 2 : 1;
    sbxi_adding_needs(a, first && first[0], SBXI_TEXT("a text is NULL or empty"));
}

static void sbxi_adding_list(sbxi_adding *a, const sbx_strings *list)
{
    a->plan.texts = *list;
    sbxi_adding_needs(a, sbxi_strings_ok(list, false),
        SBXI_TEXT("a text of the list is NULL or empty"));
}

static void sbxi_adding_flag(sbxi_adding *a, char letter, sbx_choice choice)
{
    if (choice == SBX_YES) a->plan.flags |= SBXI_FLAG(letter);
}

static void sbxi_adding_mode(sbxi_adding *a, const sbx_step_options *o)
{
    if (!o || !o->mode) return;
    a->plan.number = o->mode;
    a->plan.flags |= SBXI_FLAG('m');
    sbxi_adding_needs(a, o->mode > 0 && o->mode <= 07777, SBXI_TEXT("mode is not in 0..07777"));
}

/* Keeps the first error: "step 3 (copy): " and what is wrong. */
static int sbxi_template_fail(sbx_template *t, int status, const char *where, const char *wrong)
{
#ifndef SBX_NO_ERROR_TEXT
    sbx_error *e = &t->error;
    const sbxi_step *s;
    char text[8 + SBXI_DECIMAL_MAX];
    uint64_t n = 1;
    size_t len;
    for (s = t->first; s; s = s->next) n += sbxi_is_wire_step(s);
    memcpy(text, "step ", 5);
    len = 5 + sbxi_print_u64(text + 5, n);
    sbxi_put_text(e->message, sizeof e->message, text, len);
    sbxi_add_text(e->message, sizeof e->message, " (");
    sbxi_add_text(e->message, sizeof e->message, where);
    sbxi_add_text(e->message, sizeof e->message, "): ");
    sbxi_add_text(e->message, sizeof e->message, wrong);
#else
    (void)where;
    (void)wrong;
#endif
    return sbxi_error_set(&t->error, status, NULL);
}

/* Adds the step, or keeps why not. */
static int sbxi_adding_end(sbxi_adding *a)
{
    sbx_template *t = a->t;
    int rc = sbxi_template_refused(t);
    if (rc != SBX_OK) return rc;
    if (!t->client->provider->templates) {
        rc = SBX_E_UNSUPPORTED;
        a->wrong = SBXI_TEXT("this provider builds no templates");
    } else if (a->wrong) {
        rc = a->status ? a->status : SBX_E_ARG;
    } else {
        a->wrong = sbxi_step_check(&a->plan);
        if (!a->wrong) a->wrong = t->client->provider->templates->check(t, &a->plan);
        rc = a->wrong ? SBX_E_ARG : sbxi_step_add(t, &a->plan);
        if (rc == SBX_OK) return rc;
        if (!a->wrong) a->wrong = rc == SBX_E_TOO_LARGE
            ? SBXI_TEXT("more than SBX_MAX_STEPS steps") : sbx_strerror(rc);
    }
    return sbxi_template_fail(t, rc, a->name, a->wrong);
}

/* ---- what it is made from ------------------------------------------------------- */

/* A base named after skip_cache() was is made anew too. */
static int sbxi_adding_base(sbxi_adding *a)
{
    int rc = sbxi_adding_end(a);
    if (rc == SBX_OK && a->t->forced) a->t->all_forced = true;
    return rc;
}

SBX_API int sbx_template_from(sbx_template *t, sbx_image image, const char *version)
{
    sbxi_adding a;
    sbxi_buf text;
    const sbxi_image_row *row;
    int rc;
    sbxi_adding_begin(&a, t, SBXI_FROM_IMAGE, "from", NULL);
    if (!t || !t->client->provider->templates || (unsigned)image > SBX_IMAGE_ARCH) {
        sbxi_adding_needs(&a, false, SBXI_TEXT("no such image"));
        return sbxi_adding_end(&a);
    }
    row = &t->client->provider->templates->images[image];
    sbxi_adding_needs(&a, row->version || !version, SBXI_TEXT("this image has no versions"));
    sbxi_adding_needs(&a, !version || version[0], SBXI_TEXT("version is empty"));
    if (!version) version = row->version;
    sbxi_buf_init(&text, &t->client->link.alloc, SBX_MAX_LINE);
    sbxi_buf_texts(&text, row->name, version ? ":" : "", version);
    a.status = sbxi_buf_add(&text, "", 1);
    sbxi_adding_needs(&a, a.status == SBX_OK, sbx_strerror(a.status));
    sbxi_adding_texts(&a, text.data, NULL);
    rc = sbxi_adding_base(&a);
    sbxi_buf_free(&text);
    return rc;
}

/* The one of the three kinds that is filled in, as texts in the order of the struct. */
static int sbxi_add_registry(sbx_template *t, const sbx_registry *r)
{
    static const uint8_t first[] = { 0, 2, 5, 6 }; /* of each kind */
    const char *texts[6];
    sbx_strings list;
    sbxi_adding a;
    bool basic = r->username && r->password, gcp = r->gcp_service_account_json != NULL;
    bool aws = r->aws_access_key_id && r->aws_secret_access_key && r->aws_region;
    sbxi_adding_begin(&a, t, SBXI_FROM_REGISTRY, "from_image", NULL);
    texts[0] = r->username;
    texts[1] = r->password;
    texts[2] = r->aws_access_key_id;
    texts[3] = r->aws_secret_access_key;
    texts[4] = r->aws_region;
    texts[5] = r->gcp_service_account_json;
    a.plan.number = basic ? 0 : aws ? 1 : 2;
    list.items = texts + first[a.plan.number];
    list.count = (size_t)(first[a.plan.number + 1] - first[a.plan.number]);
    sbxi_adding_needs(&a, basic + aws + gcp == 1,
        SBXI_TEXT("registry: give username and password, or the three of AWS, or GCP's"));
    if (!a.wrong) sbxi_adding_list(&a, &list);
    sbxi_adding_needs(&a, !gcp || sbxi_json_ok(r->gcp_service_account_json),
        SBXI_TEXT("registry: gcp_service_account_json is not valid JSON"));
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_from_image(sbx_template *t, const char *image,
                                    const sbx_registry *registry)
{
    sbxi_adding a;
    int rc;
    sbxi_adding_begin(&a, t, SBXI_FROM_IMAGE, "from_image", NULL);
    sbxi_adding_texts(&a, image, NULL);
    rc = sbxi_adding_base(&a);
    return rc == SBX_OK && registry ? sbxi_add_registry(t, registry) : rc;
}

SBX_API int sbx_template_from_template(sbx_template *t, const char *name)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, SBXI_FROM_TEMPLATE, "from_template", NULL);
    sbxi_adding_texts(&a, name, NULL);
    return sbxi_adding_base(&a);
}

SBX_API int sbx_template_skip_cache(sbx_template *t)
{
    int rc = sbxi_template_refused(t);
    if (rc == SBX_OK) t->forced = true;
    return rc;
}

SBX_API int sbx_template_context(sbx_template *t, const sbx_tree *tree,
                                 const sbx_strings *ignore)
{
    sbxi_adding a;
    int rc = sbxi_template_refused(t);
    if (rc != SBX_OK) return rc;
    sbxi_adding_begin(&a, t, SBXI_DO_IGNORE, "context", NULL);
    sbxi_adding_needs(&a, tree && tree->next && tree->stat && tree->open && tree->read
        && tree->close, SBXI_TEXT("tree is NULL, or lacks a function"));
    if (ignore) sbxi_adding_list(&a, ignore);
    if (!a.wrong) t->tree = *tree;
    return sbxi_adding_end(&a);
}

/* ---- files ------------------------------------------------------------------------ */

SBX_API int sbx_template_copy(sbx_template *t, const char *src, const char *dest,
                              const sbx_step_options *options)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, SBXI_DO_COPY, "copy", options);
    sbxi_adding_texts(&a, src, dest);
    sbxi_adding_needs(&a, dest && dest[0], SBXI_TEXT("dest is NULL or empty"));
    sbxi_adding_mode(&a, options);
    if (options) {
        sbxi_adding_flag(&a, 's', options->resolve_symlinks);
        sbxi_adding_flag(&a, 'u', options->force_upload);
    }
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_copy_all(sbx_template *t, sbx_strings sources, const char *dest,
                                  const sbx_step_options *options)
{
    size_t i;
    int rc = sbxi_template_refused(t);
    if (!sources.items) sources.count = sources.count > 0; /* fails there */
    for (i = 0; rc == SBX_OK && i < sources.count; i++)
        rc = sbx_template_copy(t, sources.items ? sources.items[i] : NULL, dest, options);
    return rc;
}

static int sbxi_add_paths(sbx_template *t, unsigned kind, const char *name,
                          const sbx_strings *paths, const sbx_step_options *o)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, kind, name, o);
    sbxi_adding_list(&a, paths);
    sbxi_adding_needs(&a, paths->count, SBXI_TEXT("the list is empty"));
    if (kind == SBXI_DO_MAKE_DIR) sbxi_adding_mode(&a, o);
    if (o && kind == SBXI_DO_REMOVE) sbxi_adding_flag(&a, 'r', o->recursive);
    if (o && kind == SBXI_DO_REMOVE) sbxi_adding_flag(&a, 'f', o->force);
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_remove(sbx_template *t, sbx_strings paths,
                                const sbx_step_options *options)
{
    return sbxi_add_paths(t, SBXI_DO_REMOVE, "remove", &paths, options);
}

SBX_API int sbx_template_make_dir(sbx_template *t, sbx_strings paths,
                                  const sbx_step_options *options)
{
    return sbxi_add_paths(t, SBXI_DO_MAKE_DIR, "make_dir", &paths, options);
}

static int sbxi_add_two(sbx_template *t, unsigned kind, const char *name, const char *first,
                        const char *second, const sbx_step_options *o)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, kind, name, o);
    sbxi_adding_texts(&a, first, second);
    sbxi_adding_needs(&a, second && second[0], SBXI_TEXT("a text is NULL or empty"));
    if (o) sbxi_adding_flag(&a, 'f', o->force);
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_rename(sbx_template *t, const char *from, const char *to,
                                const sbx_step_options *options)
{
    return sbxi_add_two(t, SBXI_DO_RENAME, "rename", from, to, options);
}

SBX_API int sbx_template_make_symlink(sbx_template *t, const char *target, const char *path,
                                      const sbx_step_options *options)
{
    return sbxi_add_two(t, SBXI_DO_SYMLINK, "make_symlink", target, path, options);
}

/* ---- commands ---------------------------------------------------------------------- */

SBX_API int sbx_template_run(sbx_template *t, const char *command,
                             const sbx_step_options *options)
{
    sbx_strings one;
    one.items = &command;
    one.count = 1;
    return sbxi_add_paths(t, SBXI_DO_RUN, "run", &one, options);
}

SBX_API int sbx_template_run_all(sbx_template *t, sbx_strings commands,
                                 const sbx_step_options *options)
{
    return sbxi_add_paths(t, SBXI_DO_RUN, "run_all", &commands, options);
}

SBX_API int sbx_template_run_words(sbx_template *t, sbx_strings words,
                                   const sbx_step_options *options)
{
    sbxi_adding a;
    size_t i;
    bool fine = words.items && words.count;
    for (i = 0; fine && i < words.count; i++) fine = words.items[i] != NULL; /* "" is a word */
    sbxi_adding_begin(&a, t, SBXI_DO_WORDS, "run_words", options);
    a.plan.texts = words;
    sbxi_adding_needs(&a, fine, SBXI_TEXT("the list is empty, or a word of it NULL"));
    return sbxi_adding_end(&a);
}

static int sbxi_add_one(sbx_template *t, unsigned kind, const char *name, const char *text)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, kind, name, NULL);
    sbxi_adding_texts(&a, text, NULL);
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_workdir(sbx_template *t, const char *path)
{
    return sbxi_add_one(t, SBXI_DO_WORKDIR, "workdir", path);
}

SBX_API int sbx_template_user(sbx_template *t, const char *user)
{
    return sbxi_add_one(t, SBXI_DO_USER, "user", user);
}

SBX_API int sbx_template_envs(sbx_template *t, sbx_pairs envs)
{
    sbxi_adding a;
    size_t i;
    bool fine = sbxi_pairs_ok(&envs) && envs.count <= SIZE_MAX / 2;
    sbxi_adding_begin(&a, t, SBXI_DO_ENV, "envs", NULL);
    sbxi_adding_needs(&a, fine, SBXI_TEXT("a name or value is NULL"));
    for (i = 0; fine && i < envs.count; i++)
        fine = envs.items[i].key[0] && !strchr(envs.items[i].key, '=');
    sbxi_adding_needs(&a, fine, SBXI_TEXT("a name is empty or has a = in it"));
    if (!a.wrong && envs.count == 0) return sbxi_template_refused(t);
    /* a pair is two texts behind each other */
    a.plan.texts.items = (const char *const *)(const void *)envs.items;
    a.plan.texts.count = envs.count * 2;
    return sbxi_adding_end(&a);
}

/* Whether a package goes to the shell as it is, or is one text in single quotes. */
static bool sbxi_is_package(const char *name)
{
    size_t n = strlen(name);
    if (name[0] == '\'') return n > 2 && strcspn(name + 1, "'") == n - 2;
    return !name[strcspn(name, " \t\n;&|<>()$`\\\"'")];
}

SBX_API int sbx_template_install(sbx_template *t, sbx_installer with, sbx_strings packages,
                                 const sbx_step_options *options)
{
    static const sbx_step_options none;
    const sbx_step_options *o = options ? options : &none;
    sbxi_adding a;
    size_t i;
    sbxi_adding_begin(&a, t, SBXI_DO_APT + (unsigned)with, "install", o);
    sbxi_adding_needs(&a, (unsigned)with <= SBX_INSTALL_BUN, SBXI_TEXT("no such installer"));
    sbxi_adding_list(&a, &packages);
    for (i = 0; !a.wrong && i < packages.count; i++)
        sbxi_adding_needs(&a, sbxi_is_package(packages.items[i]),
            SBXI_TEXT("a package has a character that means something to the shell: quote it"));
    sbxi_adding_needs(&a, packages.count || with != SBX_INSTALL_APT,
        SBXI_TEXT("the list is empty"));
    sbxi_adding_flag(&a, 'g', o->global == SBX_DEFAULT && with == SBX_INSTALL_PIP ? SBX_YES
        : o->global);
    sbxi_adding_flag(&a, 'd', o->dev);
    sbxi_adding_flag(&a, 'n', o->no_recommends);
    sbxi_adding_flag(&a, 'x', o->fix_missing);
    sbxi_adding_flag(&a, 'p', packages.count ? SBX_YES : SBX_NO);
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_git_clone(sbx_template *t, const char *url, const char *path,
                                   const sbx_step_options *options)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, SBXI_DO_GIT, "git_clone", options);
    sbxi_adding_texts(&a, url, path);
    sbxi_adding_needs(&a, !path || path[0], SBXI_TEXT("path is empty"));
    sbxi_adding_flag(&a, 'p', path ? SBX_YES : SBX_NO);
    if (options) {
        a.plan.extra = options->branch;
        a.plan.number = options->depth;
        sbxi_adding_flag(&a, 'b', options->branch ? SBX_YES : SBX_NO);
        sbxi_adding_flag(&a, 'd', options->depth ? SBX_YES : SBX_NO);
        sbxi_adding_needs(&a, options->depth >= 0, SBXI_TEXT("depth is negative"));
    }
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_mcp_servers(sbx_template *t, sbx_strings names)
{
    return sbxi_add_paths(t, SBXI_DO_MCP, "mcp_servers", &names, NULL);
}

SBX_API int sbx_template_dev_container(sbx_template *t, const char *directory, sbx_choice start)
{
    sbxi_adding a;
    int rc;
    sbxi_adding_begin(&a, t, SBXI_DO_DEV_CONTAINER, "dev_container", NULL);
    sbxi_adding_texts(&a, directory, NULL);
    rc = sbxi_adding_end(&a);
    if (rc != SBX_OK || start != SBX_YES) return rc;
    a.plan.kind = SBXI_DO_START;
    a.plan.flags = SBXI_FLAG('z');
    rc = sbxi_adding_end(&a);
    a.plan.kind = SBXI_DO_READY;
    return rc == SBX_OK ? sbxi_adding_end(&a) : rc;
}

/* ---- the start command --------------------------------------------------------------- */

SBX_API int sbx_template_ready(sbx_template *t, const sbx_readiness *ready)
{
    sbxi_adding a;
    sbxi_adding_begin(&a, t, SBXI_DO_READY, "ready", NULL);
    if (!ready || (unsigned)ready->kind > SBX_READY_TIMEOUT) {
        sbxi_adding_needs(&a, false, SBXI_TEXT("ready is NULL, or of no kind"));
        return sbxi_adding_end(&a);
    }
    if (ready->kind != SBX_READY_PORT && ready->kind != SBX_READY_TIMEOUT)
        sbxi_adding_texts(&a, ready->text, NULL);
    a.plan.flags = (uint32_t)ready->kind;
    a.plan.number = ready->kind == SBX_READY_PORT ? ready->port
        : ready->kind == SBX_READY_TIMEOUT ? SBXI_MAX(ready->timeout_ms / 1000, 1)
        : ready->http_status ? ready->http_status : 200;
    sbxi_adding_needs(&a, ready->kind != SBX_READY_PORT || ready->port, SBXI_TEXT("port is 0"));
    sbxi_adding_needs(&a, ready->timeout_ms >= 0, SBXI_TEXT("timeout_ms is negative"));
    sbxi_adding_needs(&a, a.plan.number > 0, SBXI_TEXT("http_status is negative"));
    return sbxi_adding_end(&a);
}

SBX_API int sbx_template_start(sbx_template *t, const char *command, const sbx_readiness *ready)
{
    int rc = sbxi_add_one(t, SBXI_DO_START, "start", command);
    return rc == SBX_OK && ready ? sbx_template_ready(t, ready) : rc;
}

/* ---- from a Dockerfile ----------------------------------------------------------------- */

static int sbxi_template_convert(sbx_template *t, const char *text, size_t len,
    void (*notice)(void *ctx, int line, const char *text), void *ctx)
{
    if (t->forced) t->all_forced = true;
    return t->client->provider->templates->from_dockerfile(t, text, len, notice, ctx);
}

SBX_API int sbx_template_from_dockerfile(sbx_template *t, const char *text, size_t len,
    void (*notice)(void *ctx, int line, const char *text), void *ctx)
{
    sbxi_adding a;
    int rc = sbxi_template_refused(t);
    if (rc != SBX_OK) return rc;
    sbxi_adding_begin(&a, t, SBXI_FROM_IMAGE, "from_dockerfile", NULL);
    sbxi_adding_needs(&a, text || !len, SBXI_TEXT("text is NULL"));
    if (!t->client->provider->templates || a.wrong) return sbxi_adding_end(&a);
    sbxi_template_enter(t);
    rc = sbxi_template_convert(t, text ? text : "", len, notice, ctx);
    sbxi_template_leave(t);
    return rc;
}

SBX_API int sbx_template_from_dockerfile_in(sbx_template *t, const char *path,
    void (*notice)(void *ctx, int line, const char *text), void *ctx)
{
    sbxi_buf text;
    int rc = sbxi_template_refused(t);
    if (rc != SBX_OK) return rc;
    if (!path || !path[0] || !t->tree.open)
        return sbxi_template_fail(t, SBX_E_ARG, "from_dockerfile_in",
            SBXI_TEXT("path is NULL or empty, or there is no context yet"));
    sbxi_template_enter(t);
    rc = sbxi_tree_file(&t->tree, path, &t->client->link.alloc, SBX_MAX_REQUEST, &text);
    if (rc == SBX_OK)
        rc = sbxi_template_convert(t, text.data ? text.data : "", text.len, notice, ctx);
    else rc = sbxi_template_fail(t, rc, "from_dockerfile_in", path);
    sbxi_buf_free(&text);
    sbxi_template_leave(t);
    return rc;
}

/* ---- what it says ----------------------------------------------------------------------- */

SBX_API int sbx_template_to_json(sbx_template *t, sbx_sink to)
{
    sbx_json_writer w;
    int rc = sbxi_template_refused(t);
    if (rc == SBX_OK && !t->client->provider->templates) rc = SBX_E_UNSUPPORTED;
    if (rc != SBX_OK) return rc;
    sbxi_error_clear(&t->client->error);
    sbxi_template_enter(t);
    if (t->tree.next) rc = t->client->provider->templates->hash(t, &t->client->error);
    sbx_json_writer_init(&w, to);
    if (rc == SBX_OK) t->client->provider->templates->json(&w, t);
    sbxi_template_leave(t);
    return rc == SBX_OK ? w.status : rc;
}

SBX_API int sbx_template_to_dockerfile(sbx_template *t, sbx_sink to)
{
    int rc = sbxi_template_refused(t);
    if (rc == SBX_OK && !t->client->provider->templates) rc = SBX_E_UNSUPPORTED;
    if (rc != SBX_OK) return rc;
    sbxi_template_enter(t);
    rc = t->client->provider->templates->dockerfile(t, to);
    sbxi_template_leave(t);
    return rc;
}

#endif /* SBX_NO_TEMPLATE */
/* api/build - builds of templates, and the templates of the service: gather the
   arguments, check what is peculiar to each, start the operation. Called by the user. */

#ifndef SBX_NO_TEMPLATE

/* ---- builds ------------------------------------------------------------------------ */

/* Gives back what a build holds, however it ended. */
static void sbxi_build_clean(sbxi_args *args) { sbxi_building_free(args->of.build.b); }

static void sbxi_need_tags(sbxi_call *k, const sbx_strings *tags)
{
    sbxi_need(k, sbxi_strings_ok(tags, false), SBXI_TEXT("a tag is NULL or empty"));
}

/* The operation of a checked call with what a build needs; the template is busy from
   here on. */
static int sbxi_build_op(sbxi_call *k, sbx_op **op)
{
    const sbx_alloc *alloc = k->client ? &k->client->link.alloc : NULL;
    sbx_template *t = k->args.of.build.t;
    sbxi_building *b;
    int rc = sbxi_check(k);
    if (rc != SBX_OK) return rc;
    b = (sbxi_building *)sbxi_alloc_get(alloc, sizeof *b);
    k->args.of.build.b = b;
    k->clean = sbxi_build_clean;
    *op = b ? sbxi_op_new(k) : NULL;
    if (!*op) {
        sbxi_alloc_free(alloc, b, sizeof *b);
        return sbxi_call_fail(k->client, k->call, SBX_E_NOMEM, NULL);
    }
    b->alloc = alloc;
    sbxi_ignore_init(&b->ignores, SBXI_GLOB_DOCKER, alloc);
    b->t = t;
    if (t) t->busy = true;
    return SBX_OK;
}

static int sbxi_build_go(sbxi_call *k)
{
    sbx_op *op;
    int rc = sbxi_build_op(k, &op);
    return rc == SBX_OK ? sbxi_go(op) : rc;
}

/* There is no template, nor a client: what can be told is told. */
static int sbxi_build_nothing(sbx_build_info **out, const sbx_call *call)
{
    if (out) *out = NULL;
    if (call && call->error) return sbxi_call_fail(NULL, call, SBX_E_NOMEM, NULL);
    if (call && call->op) *call->op = NULL;
    return SBX_E_NOMEM;
}

/* What it prepares with is off the stack when the build runs. */
static SBXI_APART int sbxi_build_new(sbx_template *t, unsigned feature,
    const sbx_build_options *options, sbx_build_info **out, const sbx_call *call, sbx_op **op)
{
    sbxi_call k;
    sbxi_build_args *a = &k.args.of.build;
    if (!t) return sbxi_build_nothing(out, call);
    sbxi_call_on(&k, t->client, feature, call);
    k.args.out = out;
    k.total_ms = SBX_NEVER;
    a->t = t;
    if (options) a->o = *options;
    k.args.each.build_log = a->o.log;
    k.args.ctx = a->o.ctx;
    k.status = sbxi_template_refused(t); /* two builds would share the tree, and the hashes */
    k.message = k.status == SBX_E_REENTRANT
        ? SBXI_TEXT("a build of this template runs, or a function of it") : t->error.message;
    sbxi_need(&k, a->o.name && a->o.name[0], SBXI_TEXT("options.name is NULL or empty"));
    sbxi_need_tags(&k, &a->o.tags);
    sbxi_need(&k, a->o.cpu_count >= 0 && a->o.memory_mib >= 0 && a->o.disk_mib >= 0,
        SBXI_TEXT("cpu_count, memory_mib or disk_mib is negative"));
    sbxi_need(&k, a->o.level >= SBX_NEVER && a->o.level <= 9,
        SBXI_TEXT("level is neither 0 to 9 nor SBX_NEVER"));
    return sbxi_build_op(&k, op);
}

static int sbxi_build(sbx_template *t, unsigned feature, const sbx_build_options *options,
                      sbx_build_info **out, const sbx_call *call)
{
    sbx_op *op;
    int rc = sbxi_build_new(t, feature, options, out, call, &op);
    return rc == SBX_OK ? sbxi_go(op) : rc;
}

SBX_API int sbx_template_build(sbx_template *t, const sbx_build_options *options,
                               sbx_build_info **out, const sbx_call *call)
{
    return sbxi_build(t, SBX_FEATURE_TEMPLATE_BUILD, options, out, call);
}

SBX_API int sbx_template_build_start(sbx_template *t, const sbx_build_options *options,
                                     sbx_build_info **out, const sbx_call *call)
{
    return sbxi_build(t, SBX_FEATURE_TEMPLATE_BUILD_START, options, out, call);
}

/* A build that is known by its ids. */
static void sbxi_build_by_id(sbxi_call *k, sbx_client *client, unsigned feature,
                             const char *template_id, const char *build_id, const sbx_call *call)
{
    sbxi_call_on(k, client, feature, call);
    k->args.target = template_id;
    k->args.key = build_id;
    sbxi_need(k, template_id && template_id[0] && build_id && build_id[0],
        SBXI_TEXT("template_id or build_id is NULL or empty"));
}

SBX_API int sbx_build_get_status(sbx_client *client, const char *template_id,
                                 const char *build_id, int32_t log_offset,
                                 sbx_build_log_each each, void *ctx, sbx_build_info **out,
                                 const sbx_call *call)
{
    sbxi_call k;
    sbxi_build_by_id(&k, client, SBX_FEATURE_BUILD_GET_STATUS, template_id, build_id, call);
    k.args.each.build_log = each;
    k.args.ctx = ctx;
    k.args.out = out;
    k.args.of.build.lines = log_offset;
    sbxi_need(&k, log_offset >= 0, SBXI_TEXT("log_offset is negative"));
    return sbxi_build_go(&k);
}

SBX_API int sbx_build_wait(sbx_client *client, const char *template_id, const char *build_id,
                           const sbx_build_options *options, sbx_build_info **out,
                           const sbx_call *call)
{
    sbxi_call k;
    sbxi_build_by_id(&k, client, SBX_FEATURE_BUILD_WAIT, template_id, build_id, call);
    k.args.out = out;
    k.total_ms = SBX_NEVER;
    if (options) {
        k.args.each.build_log = k.args.of.build.o.log = options->log;
        k.args.ctx = k.args.of.build.o.ctx = options->ctx;
    }
    return sbxi_build_go(&k);
}

/* ---- a logger ------------------------------------------------------------------------ */

/* Its number among the levels; what is no level is info. */
static unsigned sbxi_level_of(const char *level)
{
    static const char *const levels[] = { "debug", "info", "warn", "error" };
    unsigned i = 0;
    while (level && i < 4 && strcmp(levels[i], level) != 0) i++;
    return level && i < 4 ? i : 1;
}

SBX_API int sbx_build_print(void *printer, const sbx_build_log *log)
{
    static const char *const colours[] = { "\x1B[2m", "", "\x1B[33m", "\x1B[31m" };
    const sbx_build_printer *p = (const sbx_build_printer *)printer;
    const char *parts[5];
    unsigned level, i;
    int rc = SBX_OK;
    if (!p || !p->to.put || !log || !log->message) return SBX_E_ARG;
    level = sbxi_level_of(log->level);
    if (level < sbxi_level_of(p->least)) return SBX_OK;
    if (p->plain == SBX_YES) level = 1; /* which has no colour */
    parts[0] = colours[level];
    parts[1] = parts[2] = "";
    if (log->step) {
        parts[1] = log->step;
        parts[2] = ": ";
    }
    parts[3] = log->message;
    parts[4] = *parts[0] ? "\x1B[0m\n" : "\n";
    for (i = 0; i < 5 && rc == SBX_OK; i++)
        if (*parts[i]) rc = p->to.put(p->to.ctx, parts[i], strlen(parts[i]));
    return rc;
}

/* ---- templates of the service ----------------------------------------------------------- */

/* A call about one template. */
static void sbxi_template_call(sbxi_call *k, sbx_client *client, unsigned feature,
                               const char *name, const sbx_call *call)
{
    sbxi_call_on(k, client, feature, call);
    k->args.target = name;
    sbxi_need(k, name && name[0], SBXI_TEXT("the template's name or id is NULL or empty"));
}

SBX_API int sbx_template_exists(sbx_client *client, const char *name, bool *exists,
                                const sbx_call *call)
{
    sbxi_call k;
    sbxi_template_call(&k, client, SBX_FEATURE_TEMPLATE_EXISTS | SBXI_WANTS, name, call);
    k.args.answer = exists;
    return sbxi_start(&k);
}

SBX_API int sbx_template_list(sbx_client *client, sbx_template_each each, void *ctx,
                              const sbx_call *call)
{
    sbxi_call k;
    sbxi_call_on(&k, client, SBX_FEATURE_TEMPLATE_LIST | SBXI_WANTS, call);
    k.args.each.one_template = each;
    k.args.ctx = ctx;
    return sbxi_start(&k);
}

SBX_API int sbx_template_builds(sbx_client *client, const char *template_id, sbx_page *page,
                                sbx_template_build_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_template_call(&k, client, SBX_FEATURE_TEMPLATE_BUILDS | SBXI_WANTS, template_id, call);
    k.args.each.build = each;
    k.args.ctx = ctx;
    k.args.of.list.page = page;
    return sbxi_start_page(&k);
}

SBX_API int sbx_template_delete(sbx_client *client, const char *template_id, bool *existed,
                                const sbx_call *call)
{
    sbxi_call k;
    sbxi_template_call(&k, client, SBX_FEATURE_TEMPLATE_DELETE, template_id, call);
    k.args.answer = existed;
    return sbxi_start(&k);
}

SBX_API int sbx_template_set_public(sbx_client *client, const char *template_id, bool is_public,
                                    const sbx_call *call)
{
    sbxi_call k;
    sbxi_template_call(&k, client, SBX_FEATURE_TEMPLATE_SET_PUBLIC, template_id, call);
    k.args.of.build.is_public = is_public ? SBX_YES : SBX_NO;
    return sbxi_start(&k);
}

SBX_API int sbx_template_list_tags(sbx_client *client, const char *template_id,
                                   sbx_template_tag_each each, void *ctx, const sbx_call *call)
{
    sbxi_call k;
    sbxi_template_call(&k, client, SBX_FEATURE_TEMPLATE_LIST_TAGS | SBXI_WANTS, template_id, call);
    k.args.each.tag = each;
    k.args.ctx = ctx;
    return sbxi_start(&k);
}

static int sbxi_change_tags(sbx_client *client, unsigned feature, const char *name,
                            const sbx_strings *tags, const sbx_call *call)
{
    sbxi_call k;
    sbxi_template_call(&k, client, feature, name, call);
    k.args.of.build.tag_name = name;
    k.args.of.build.o.tags = *tags;
    sbxi_need(&k, tags->count, SBXI_TEXT("no tags are given"));
    sbxi_need_tags(&k, tags);
    return sbxi_start(&k);
}

SBX_API int sbx_template_add_tags(sbx_client *client, const char *target, sbx_strings tags,
                                  const sbx_call *call)
{
    return sbxi_change_tags(client, SBX_FEATURE_TEMPLATE_ADD_TAGS, target, &tags, call);
}

SBX_API int sbx_template_remove_tags(sbx_client *client, const char *name, sbx_strings tags,
                                     const sbx_call *call)
{
    return sbxi_change_tags(client, SBX_FEATURE_TEMPLATE_REMOVE_TAGS, name, &tags, call);
}

#endif /* SBX_NO_TEMPLATE */
/* api/invoke - any other route of the provider, by name: puts the members of a JSON
   object where the route's path says. Called by the user; what only it refers to is
   dropped by a linker when it is not called.

   The arguments are read as a whole first, so that what walks through them later
   can rely on JSON: no bounds but the text's own, no errors of form. */

/* A member of the arguments: as it stands there, the key without its quotes. */
typedef struct sbxi_member { sbxi_span key, value; } sbxi_member;

typedef struct sbxi_invoking {
    sbxi_call call;
    sbxi_invoke_row row;
    const char *args;               /* behind its brace */
    sbxi_buf text;                  /* path, query, bearer, body, a NUL behind each */
    char message[80];
    int how;                        /* of the value that is being read */
    sbx_base64 base64;
} sbxi_invoking;

/* How a value is written: percent-encoded (SBXI_PERCENT_*), as it is, and as content
   that may be anything or is given in base64. */
enum { SBXI_VALUE_TEXT = 8, SBXI_VALUE_CONTENT, SBXI_VALUE_BASE64 };

/* The rows of the client's provider. By its name: so no provider is linked for it. */
static const char *sbxi_invoke_rows(const sbx_client *client)
{
    const char *name = client->provider->name;
#define SBXI_ROW(id) if (strcmp(name, #id) == 0) return sbxi_##id##_invoke;
    SBX_PROVIDERS(SBXI_ROW)
#undef SBXI_ROW
    (void)name;
    return "";
}

/* The row at *at, which moves behind it. False: there is none. */
static bool sbxi_invoke_next(const char **at, sbxi_invoke_row *row)
{
    const char *p = *at;
    if (!*p) return false;
    row->method = (uint8_t)(p[0] - '0');
    row->host = (uint8_t)(p[1] - '0');
    row->retry = (uint8_t)(p[2] - '0');
    row->body = (uint8_t)(p[3] - '0');
    row->name = p + 4;
    row->path = row->name + strlen(row->name) + 1;
    *at = row->path + strlen(row->path) + 1;
    return true;
}

/* ---- the arguments -------------------------------------------------------- */

static const char *sbxi_past_space(const char *p)
{
    return p + strspn(p, " \t\r\n,:");
}

/* Behind the value that begins at p. */
static const char *sbxi_past_value(const char *p)
{
    size_t depth = 0;
    do {
        char c = *p++;
        if (c == '"') {
            for (; *p != '"'; p++) p += *p == '\\';
            p++;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (!depth) {
            p += strcspn(p, ",]} \t\r\n");
        }
    } while (depth);
    return p;
}

/* The member at *at, which moves behind it. False: there is none. */
static bool sbxi_member_next(const char **at, sbxi_member *m)
{
    const char *p = sbxi_past_space(*at), *end;
    if (*p != '"') return false;
    end = sbxi_past_value(p);
    m->key.ptr = p + 1;
    m->key.len = (size_t)(end - p) - 2;
    m->value.ptr = sbxi_past_space(end);
    *at = sbxi_past_value(m->value.ptr);
    m->value.len = (size_t)(*at - m->value.ptr);
    return true;
}

/* The member of that name, unless it is null. */
static bool sbxi_member_find(const sbxi_invoking *v, sbxi_span name, sbxi_member *m)
{
    const char *at = v->args;
    while (sbxi_member_next(&at, m))
        if (m->key.len == name.len && memcmp(m->key.ptr, name.ptr, name.len) == 0)
            return m->value.ptr[0] != 'n';
    return false;
}

/* ---- what becomes of them ------------------------------------------------- */

static const char sbxi_missing[] = "argument is missing or empty: ";

/* Fails with what is wrong and the name it is about. */
static int sbxi_invoke_fail(sbxi_invoking *v, const char *what, sbxi_span name)
{
    size_t n = strlen(what);
    if (v->call.status) return v->call.status;
    sbxi_put_text(v->message, sizeof v->message, what, n);
    sbxi_put_text(v->message + n, sizeof v->message - n, name.ptr, name.len);
    v->call.message = v->message;
    return v->call.status = SBX_E_ARG;
}

/* A piece of content in base64. */
static int sbxi_value_decode(sbxi_invoking *v, sbxi_span s)
{
    sbxi_buf *b = &v->text;
    size_t n;
    int rc = sbxi_buf_reserve(b, s.len / 4 * 3 + 3);
    if (rc == SBX_OK) rc = sbx_base64_decode(&v->base64, s.ptr, s.len, b->data + b->len, &n);
    if (rc == SBX_OK) b->len += n;
    return rc;
}

static int sbxi_value_event(void *ctx, const sbx_json_event *ev)
{
    sbxi_invoking *v = (sbxi_invoking *)ctx;
    sbxi_buf *b = &v->text;
    sbxi_span s = { ev->text, ev->len };
    if (ev->type < SBX_JSON_STRING || (ev->flags & SBX_JSON_CUT)) return SBX_E_ARG;
    if (ev->type >= SBX_JSON_TRUE) s = sbxi_span_of(ev->type == SBX_JSON_TRUE ? "true" : "false");
    if (v->how <= SBXI_VALUE_TEXT && s.len && memchr(s.ptr, 0, s.len)) return SBX_E_ARG;
    if (v->how < SBXI_VALUE_TEXT) return sbxi_percent(b, s, (unsigned)v->how);
    if (v->how < SBXI_VALUE_BASE64) return sbxi_buf_add(b, s.ptr, s.len);
    return ev->type == SBX_JSON_STRING ? sbxi_value_decode(v, s) : SBX_E_ARG;
}

/* Writes a member's value. */
static void sbxi_invoke_value(sbxi_invoking *v, const sbxi_member *m, int how)
{
    sbx_json_reader r;
    int rc;
    v->how = how;
    sbx_json_init(&r, sbxi_value_event, v);
    rc = sbx_json_feed(&r, m->value.ptr, m->value.len, NULL);
    if (rc == SBX_OK) rc = sbx_json_end(&r);
    if (rc == SBX_OK && how == SBXI_VALUE_BASE64) rc = sbx_base64_end(&v->base64);
    if (rc != SBX_OK && !v->text.status)
        sbxi_invoke_fail(v, "cannot stand there: ", m->key);
}

/* Whether {name} stands in that part of the path. */
static bool sbxi_is_placed(const char *from, const char *to, sbxi_span name)
{
    for (; (from = (const char *)memchr(from, '{', (size_t)(to - from))) != NULL; from++)
        if ((size_t)(to - from) > name.len + 1 && from[name.len + 1] == '}'
            && memcmp(from + 1, name.ptr, name.len) == 0) return true;
    return false;
}

/* The path with its arguments, up to `end`. */
static void sbxi_invoke_path(sbxi_invoking *v, const char *end)
{
    const sbx_sandbox *s = v->call.sandbox;
    const char *p = v->row.path;
    while (p < end) {
        sbxi_span name;
        sbxi_member m;
        size_t before;
        const char *brace = (const char *)memchr(p, '{', (size_t)(end - p));
        sbxi_buf_add(&v->text, p, (size_t)((brace ? brace : end) - p));
        if (!brace) break;
        name.ptr = brace + 1;
        name.len = strcspn(brace, "}") - 1;
        p = name.ptr + name.len + 1;
        before = v->text.len;
        if (s && sbxi_span_is(name, "sandboxID"))
            sbxi_percent(&v->text, sbxi_span_of(s->id), SBXI_PERCENT_SEGMENT);
        else if (sbxi_member_find(v, name, &m))
            sbxi_invoke_value(v, &m, SBXI_PERCENT_SEGMENT);
        if (v->text.len == before && !v->text.status)
            sbxi_invoke_fail(v, sbxi_missing, name);
    }
}

/* All members that are for the query, and whatever is for nowhere is refused. */
static void sbxi_invoke_query(sbxi_invoking *v, const char *query, const char *end)
{
    const sbxi_invoke_row *row = &v->row;
    const char *at = v->args;
    size_t start = v->text.len;
    sbxi_member m;
    while (sbxi_member_next(&at, &m)) {
        if (sbxi_is_placed(query, end, m.key)) {
            if (m.value.ptr[0] == 'n') continue;
            if (v->text.len > start) sbxi_buf_add(&v->text, "&", 1);
            sbxi_percent(&v->text, m.key, SBXI_PERCENT_FORM);
            sbxi_buf_add(&v->text, "=", 1);
            sbxi_invoke_value(v, &m, SBXI_PERCENT_FORM);
        } else if (!sbxi_is_placed(row->path, row->path + strlen(row->path), m.key)
                   && row->body != SBXI_BODY_JSON
                   && !(row->host != SBXI_HOST_CONTROL && sbxi_span_is(m.key, "sandboxID"))
                   && !(row->body == SBXI_BODY_CONTENT && (sbxi_span_is(m.key, "content")
                        || sbxi_span_is(m.key, "contentBase64")))) {
            sbxi_invoke_fail(v, "unknown argument: ", m.key);
        }
    }
}

/* What is left as an object, or the content. */
static void sbxi_invoke_body(sbxi_invoking *v)
{
    static const char *const names[] = { "content", "contentBase64" };
    const sbxi_invoke_row *row = &v->row;
    const char *at = v->args, *mark = "{";
    sbxi_member m;
    int i;
    for (i = 0; i < 2 && row->body == SBXI_BODY_CONTENT; i++)
        if (sbxi_member_find(v, sbxi_span_of(names[i]), &m))
            sbxi_invoke_value(v, &m, SBXI_VALUE_CONTENT + i);
    if (row->body != SBXI_BODY_JSON) return;
    while (sbxi_member_next(&at, &m)) {
        if (sbxi_is_placed(row->path, row->path + strlen(row->path), m.key)
            || (row->host != SBXI_HOST_CONTROL && sbxi_span_is(m.key, "sandboxID"))) continue;
        sbxi_buf_text(&v->text, mark);
        sbxi_buf_add(&v->text, m.key.ptr - 1, (size_t)(m.value.ptr + m.value.len - m.key.ptr) + 1);
        mark = ",";
    }
    sbxi_buf_text(&v->text, *mark == '{' ? "{}" : "}");
}

/* Puts all texts of the request together. */
static void sbxi_invoke_build(sbxi_invoking *v)
{
    static const char *const types[] = { NULL, "application/json", "application/octet-stream",
        NULL };
    sbxi_invoke_args *a = &v->call.args.of.invoke;
    const sbxi_invoke_row *row = &v->row;
    const char *end = row->path + strlen(row->path), *token = strchr(row->path, '#');
    const char *query = strchr(row->path, '?');
    size_t at[3];
    sbxi_member m;
    if (!token) token = end;
    if (!query) query = token;
    sbxi_invoke_path(v, query);
    sbxi_buf_add(&v->text, "", 1);
    at[0] = v->text.len;
    sbxi_invoke_query(v, query, token);
    sbxi_buf_add(&v->text, "", 1);
    at[1] = v->text.len;
    if (token < end) {
        sbxi_buf_text(&v->text, "Bearer ");
        if (sbxi_member_find(v, sbxi_span_of("token"), &m))
            sbxi_invoke_value(v, &m, SBXI_VALUE_TEXT);
        else
            sbxi_invoke_fail(v, sbxi_missing, sbxi_span_of("token"));
    }
    sbxi_buf_add(&v->text, "", 1);
    at[2] = v->text.len;
    sbxi_invoke_body(v);
    if (v->text.status == SBX_E_TOO_LARGE)
        v->call.message = SBXI_TEXT("the request is larger than SBX_MAX_REQUEST");
    if (v->text.status != SBX_OK) v->call.status = v->text.status;
    if (v->call.status) return;
    a->route = *sbxi_route_of(v->call.client->provider, SBX_FEATURE_INVOKE);
    a->route.path = v->text.data;
    a->route.method = row->method;
    a->route.host = row->host;
    a->route.retry = row->retry;
    a->type = types[row->body];
    if (a->type) a->route.send = SBXI_SEND_JSON;
    a->query = v->text.data + at[0];
    if (token < end) a->bearer = v->text.data + at[1];
    a->body.data = v->text.data + at[2];
    a->body.len = v->text.len - at[2];
}

/* ---- the calls ------------------------------------------------------------ */

/* The route by its name, and that the arguments are one object. */
static void sbxi_invoke_choose(sbxi_invoking *v, const char *route, const char *json)
{
    const char *at = sbxi_invoke_rows(v->call.client);
    bool found = false;
    while (route && !found && sbxi_invoke_next(&at, &v->row))
        found = strcmp(v->row.name, route) == 0;
    if (!found) {
        v->call.status = SBX_E_UNSUPPORTED;
        v->call.message = SBXI_TEXT("no such route: sbx_invoke_route() lists their names");
        return;
    }
    if (!json) json = "{}";
    sbxi_need(&v->call, sbxi_json_ok(json) && *sbxi_past_space(json) == '{',
        SBXI_TEXT("json_args is not one JSON object"));
    v->args = sbxi_past_space(json) + 1;
}

/* A handle for the sandbox that the arguments name. */
static void sbxi_invoke_attach(sbxi_invoking *v)
{
    sbxi_span name = sbxi_span_of("sandboxID");
    sbxi_member m;
    size_t start = v->text.len;
    if (sbxi_member_find(v, name, &m)) sbxi_invoke_value(v, &m, SBXI_VALUE_TEXT);
    if (v->text.len == start && !v->text.status)
        sbxi_invoke_fail(v, sbxi_missing, name);
    sbxi_buf_add(&v->text, "", 1);
    if (!v->call.status) v->call.status = v->text.status;
    if (!v->call.status)
        v->call.status = sbx_sandbox_attach(v->call.client, v->text.data + start, NULL,
                                            &v->call.sandbox);
    sbxi_buf_clear(&v->text);
}

/* Puts the operation of the call together, which then has what it needs: this leaves
   the stack before that runs. */
static SBXI_APART int sbxi_invoke_new(sbx_client *client, sbx_sandbox *sandbox,
    const char *route, const char *json, sbx_sink to, const sbx_call *call, sbx_op **op)
{
    sbxi_invoking v;
    sbxi_call *k = &v.call;
    sbx_sandbox *own = NULL;
    int rc;
    memset(&v, 0, sizeof v);
    sbxi_call_on(k, client, SBX_FEATURE_INVOKE, call);
    k->sandbox = sandbox;
    sbxi_buf_init(&v.text, &client->link.alloc, SBX_MAX_REQUEST);
    sbxi_invoke_choose(&v, route, json);
    if (!k->status && v.row.host != SBXI_HOST_CONTROL && !sandbox) {
        sbxi_invoke_attach(&v);
        own = k->sandbox;
    }
    if (!k->status) sbxi_invoke_build(&v);
    k->args.of.invoke.sink = to;
    k->total_ms = v.row.body == SBXI_BODY_FILE ? SBX_NEVER : client->link.clocks.total_ms;
    rc = sbxi_check(k);
    *op = rc == SBX_OK ? sbxi_op_new(k) : NULL;
    if (*op) (*op)->captured[0].buf = v.text;
    else sbxi_buf_free(&v.text);
    if (rc == SBX_OK && !*op) rc = sbxi_call_fail(client, call, SBX_E_NOMEM, NULL);
    sbx_sandbox_release(own);
    return rc;
}

SBX_API int sbx_invoke(sbx_client *client, const char *route, const char *json_args,
    sbx_sink to, const sbx_call *call)
{
    sbx_op *op;
    int rc = client ? sbxi_invoke_new(client, NULL, route, json_args, to, call, &op) : SBX_E_ARG;
    return rc == SBX_OK ? sbxi_go(op) : rc;
}

SBX_API int sbx_sandbox_invoke(sbx_sandbox *sandbox, const char *route,
    const char *json_args, sbx_sink to, const sbx_call *call)
{
    sbx_op *op;
    int rc = !sandbox ? SBX_E_ARG
        : sbxi_invoke_new(sandbox->client, sandbox, route, json_args, to, call, &op);
    return rc == SBX_OK ? sbxi_go(op) : rc;
}

SBX_API int sbx_invoke_route(const sbx_client *client, size_t i, sbx_route *out)
{
    sbxi_invoke_row row;
    const char *at;
    if (!client || !out) return SBX_E_ARG;
    memset(out, 0, sizeof *out);
    at = sbxi_invoke_rows(client);
    do if (!sbxi_invoke_next(&at, &row)) return SBX_E_NOT_FOUND;
    while (i--);
    out->name = row.name;
    out->method = sbxi_methods[row.method];
    out->path = row.path;
    out->in_sandbox = row.host != SBXI_HOST_CONTROL;
    out->body = row.body == SBXI_BODY_JSON;
    out->content = row.body == SBXI_BODY_CONTENT;
    return SBX_OK;
}

#endif /* SANDBOX_IMPLEMENTATION */

/* The licence of all of it. */
/*
sandbox.h is in the public domain or under MIT-0, your choice.

------------------------------------------------------------------------------
ALTERNATIVE A - Public Domain (www.unlicense.org)

This is free and unencumbered software released into the public domain.

Anyone is free to copy, modify, publish, use, compile, sell, or distribute this
software, either in source code form or as a compiled binary, for any purpose,
commercial or non-commercial, and by any means.

In jurisdictions that recognize copyright laws, the author or authors of this
software dedicate any and all copyright interest in the software to the public
domain. We make this dedication for the benefit of the public at large and to
the detriment of our heirs and successors. We intend this dedication to be an
overt act of relinquishment in perpetuity of all present and future rights to
this software under copyright law.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS
FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS BE
LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF
CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

------------------------------------------------------------------------------
ALTERNATIVE B - MIT No Attribution (MIT-0)

Permission is hereby granted, free of charge, to any person obtaining a copy of
this software and associated documentation files (the "Software"), to deal in
the Software without restriction, including without limitation the rights to
use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of
the Software, and to permit persons to whom the Software is furnished to do so.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS
FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER
IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
*/
