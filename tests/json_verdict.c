/* json-verdict [--chunk N] FILE - says whether sandbox.h accepts a JSON text.
   Exit 0: accepted, 1: refused, 2: cannot run. FILE "-" is standard input. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "sandbox.h"
#include <stdio.h>

static int ignore(void *ctx, const sbx_json_event *event)
{
    (void)ctx;
    (void)event;
    return SBX_OK;
}

static int verdict(FILE *in, size_t chunk)
{
    static char piece[65536];
    sbx_json_reader reader;
    size_t got;
    int rc = SBX_OK;
    sbx_json_init(&reader, ignore, NULL);
    while (rc == SBX_OK && (got = fread(piece, 1, chunk, in)) > 0)
        rc = sbx_json_feed(&reader, piece, got, NULL);
    if (rc == SBX_OK) rc = sbx_json_end(&reader);
    return rc == SBX_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    uint64_t chunk = 65536;
    int at = 1, rc;
    FILE *in;
    if (argc > 3 && strcmp(argv[1], "--chunk") == 0) {
        if (!sbxi_parse_u64(sbxi_span_of(argv[2]), 65536, &chunk) || chunk == 0) at = argc;
        else at = 3;
    }
    if (at != argc - 1) {
        fputs("usage: json-verdict [--chunk 1..65536] FILE\n", stderr);
        return 2;
    }
    in = strcmp(argv[at], "-") == 0 ? stdin : fopen(argv[at], "rb");
    if (!in) {
        perror(argv[at]);
        return 2;
    }
    rc = verdict(in, (size_t)chunk);
    if (ferror(in)) rc = 2;
    fclose(in);
    return rc;
}
