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
