/* http_reader - reads an HTTP response from a file (a socket would do as well) piece
   by piece: head, header lines, body without its framing. Strict: what two readers
   could understand differently is an error.
   ./http_reader FILE    or without arguments: a sample */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "sandbox.h"
#include <stdio.h>

static int on_header(void *ctx, const char *name, const char *value, bool cut)
{
    (void)ctx;
    printf("  %s: %s%s\n", name, value, cut ? " ..." : "");
    return SBX_OK;
}

static int on_head(void *ctx, const sbx_http_head *head)
{
    (void)ctx;
    printf("status %d, %s\n", head->status, head->chunked ? "in chunks"
        : head->length < 0 ? "until close" : "of known length");
    return SBX_OK;
}

/* Takes all of it; SBX_E_AGAIN with less in *used would pause the reader. */
static int on_body(void *ctx, const char *data, size_t len, size_t *used)
{
    *(unsigned long *)ctx += (unsigned long)len;
    printf("  | %.*s\n", (int)len, data);
    *used = len;
    return SBX_OK;
}

static const sbx_http_events events = { on_header, on_head, on_body };

static const char sample[] =
    "HTTP/1.1 100 Continue\r\n\r\n"
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    "6\r\nHello,\r\n5\r\nworld\r\n0\r\nX-Sum: 11\r\n\r\nHTTP/1.1 204 ";

int main(int argc, char **argv)
{
    char line[SBX_MAX_LINE], piece[4096];
    sbx_http_reader reader;
    unsigned long body = 0;
    size_t n, used = 0, rest = 0;
    int status = SBX_PENDING;
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    if (argc > 1 && !file) {
        perror(argv[1]);
        return 1;
    }
    sbx_http_init(&reader, line, sizeof line, false, &events, &body);
    if (!file) {
        status = sbx_http_feed(&reader, sample, sizeof sample - 1, &used);
        rest = sizeof sample - 1 - used;
    }
    while (file && status == SBX_PENDING && (n = fread(piece, 1, sizeof piece, file)) > 0) {
        status = sbx_http_feed(&reader, piece, n, &used);
        rest = n - used;
    }
    if (status == SBX_PENDING) status = sbx_http_end(&reader); /* the peer closed */
    if (file) fclose(file);
    if (status != SBX_OK) {
        fprintf(stderr, "%s\n", sbx_strerror(status));
        return 1;
    }
    printf("%lu bytes of body, %lu bytes belong to the next response\n", body,
        (unsigned long)rest);
    return 0;
}
