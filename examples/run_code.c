/* run_code - pieces of code in one context of a code interpreter: output as it comes,
   results in several formats, an error. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>

typedef struct seen { bool text; size_t image; } seen;

/* Each format may come in several pieces. */
static int each(void *ctx, const sbx_code_piece *piece)
{
    seen *s = ctx;
    if (piece->format == SBX_CODE_TEXT) {
        if (!s->text) printf("value: ");
        s->text = true;
        fwrite(piece->data, 1, piece->len, stdout);
    }
    if (piece->format == SBX_CODE_PNG) s->image += piece->len; /* write it to a file */
    if (piece->format != SBX_CODE_END) return SBX_OK;
    if (s->text) printf("\n");
    if (s->image) printf("an image of %u bytes\n", (unsigned)s->image);
    s->text = false;
    s->image = 0;
    return SBX_OK;
}

static int run(sbx_sandbox *box, const char *code)
{
    sbx_run_code_options options = {0};
    sbx_run_code_result result;
    seen told = {0};
    int status;
    options.out = sbx_sink_file(stdout);
    options.each = each;
    options.each_ctx = &told;
    options.capture_limit = 4096; /* of the traceback */
    printf("> %s\n", code);
    status = sbx_run_code(box, code, &options, &result, NULL);
    if (status != SBX_OK) return status;
    if (result.failed)
        printf("%s: %s\n%s\n", result.error_name, result.error_value, result.traceback);
    sbx_free(result.out);
    sbx_free(result.err);
    sbx_free(result.traceback);
    return SBX_OK;
}

int main(void)
{
    static const char *const codes[] = { "x = 20; print('hello')", "x + 1", "plot(x)", "1 / 0" };
    sbx_sandbox_options options = {0};
    sbx_client *client;
    sbx_sandbox *box;
    sbx_error error;
    sbx_config config = {0};
    int status;
    size_t i;
    config.error = &error;
    if (sbx_open(&client, &config) != SBX_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    options.template_id = "code-interpreter-v1";
    status = sbx_sandbox_create(client, &options, &box, NULL);
    if (status == SBX_OK) {
        for (i = 0; i < 4 && status == SBX_OK; i++) status = run(box, codes[i]);
        if (status != SBX_OK) fprintf(stderr, "%s\n", sbx_client_error(client)->message);
        sbx_sandbox_kill(box, NULL, NULL);
        sbx_sandbox_release(box);
    } else {
        fprintf(stderr, "create: %s\n", sbx_client_error(client)->message);
    }
    sbx_close(client);
    return status != SBX_OK;
}
