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
