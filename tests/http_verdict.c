/* http-verdict [--chunk N] [--head] FILE
   Reads a raw HTTP response and prints what the reader makes of it: status,
   headers, body length and FNV-1a hash, or the name of the error. --chunk N
   feeds N bytes at a time (default: all at once), --head reads it as the answer
   to a HEAD request. The end of the file is the end of the connection.
   Exit status: 0 accepted, 1 refused, 2 cannot read the file. */
#define SANDBOX_IMPLEMENTATION
#include "../sandbox_impl/sandbox_all.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct verdict { uint64_t hash, len; } verdict;

static int on_header(void *ctx, const char *name, const char *value, bool cut)
{
    (void)ctx;
    printf("header %s: %s%s\n", name, value, cut ? " (cut)" : "");
    return SBX_OK;
}

static int on_head(void *ctx, const sbx_http_head *head)
{
    (void)ctx;
    printf("status %d\nversion 1.%d\nkeep-alive %s\n", head->status, head->minor,
        head->keep_alive ? "yes" : "no");
    if (head->chunked) printf("framing chunked\n");
    else if (head->length < 0) printf("framing close\n");
    else printf("framing length %lld\n", (long long)head->length);
    printf("encoding %s\n", head->gzip ? "gzip" : "identity");
    return SBX_OK;
}

static int on_body(void *ctx, const char *data, size_t len, size_t *used)
{
    verdict *v = (verdict *)ctx;
    size_t i;
    for (i = 0; i < len; i++)
        v->hash = (v->hash ^ (unsigned char)data[i]) * 0x100000001b3u;
    v->len += len;
    *used = len;
    return SBX_OK;
}

static const sbx_http_events events = { on_header, on_head, on_body };

/* The whole file, or NULL. */
static char *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    size_t cap = 65536, n;
    char *data = f ? (char *)malloc(cap) : NULL;
    *len = 0;
    while (data && (n = fread(data + *len, 1, cap - *len, f)) > 0) {
        *len += n;
        if (*len == cap) {
            char *more = (char *)realloc(data, cap *= 2);
            if (!more) free(data);
            data = more;
        }
    }
    if (f) fclose(f);
    return data;
}

int main(int argc, char **argv)
{
    char line[SBX_MAX_LINE];
    sbx_http_reader reader;
    verdict v = { 0xcbf29ce484222325u, 0 };
    const char *path = NULL;
    uint64_t chunk = 0;
    bool to_head = false;
    size_t len, pos = 0, used;
    int rc = SBX_PENDING, i;
    char *data;
    for (i = 1; i < argc - 1; i++) {
        if (strcmp(argv[i], "--head") == 0) to_head = true;
        else if (strcmp(argv[i], "--chunk") != 0
                 || !sbxi_parse_u64(sbxi_span_of(argv[++i]), SIZE_MAX, &chunk) || !chunk) i = argc;
    }
    if (i != argc - 1) {
        fprintf(stderr, "usage: http-verdict [--chunk N] [--head] FILE\n");
        return 2;
    }
    path = argv[i];
    data = read_file(path, &len);
    if (!data) {
        perror(path);
        return 2;
    }
    sbx_http_init(&reader, line, sizeof line, to_head, &events, &v);
    while (rc == SBX_PENDING && pos < len) {
        size_t n = chunk && chunk < len - pos ? (size_t)chunk : len - pos;
        rc = sbx_http_feed(&reader, data + pos, n, &used);
        pos += used;
    }
    if (rc == SBX_PENDING) rc = sbx_http_end(&reader);
    printf("body %llu %016llx\n", (unsigned long long)v.len, (unsigned long long)v.hash);
    if (rc == SBX_OK && pos < len) printf("rest %lu\n", (unsigned long)(len - pos));
    printf("%s\n", sbx_status_name(rc));
    free(data);
    return rc != SBX_OK;
}
