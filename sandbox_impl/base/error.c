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
