/* base64 - encodes or decodes standard input to standard output in pieces.
   ./base64 <in    ./base64 -d <in    Decoding takes any split of the text; padding is
   optional, line ends are taken out here as the decoder takes no white space. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

static int encode(void)
{
    unsigned char in[3 * 1024]; /* a multiple of 3: only the last piece is padded */
    char out[SBX_BASE64_LEN(sizeof in)];
    size_t n;
    while ((n = fread(in, 1, sizeof in, stdin)) > 0)
        fwrite(out, 1, sbx_base64_encode(out, in, n), stdout);
    printf("\n");
    return ferror(stdin) || ferror(stdout);
}

static size_t without_lines(char *text, size_t len)
{
    size_t i, n = 0;
    for (i = 0; i < len; i++)
        if (text[i] != '\n' && text[i] != '\r') text[n++] = text[i];
    return n;
}

static int decode(void)
{
    sbx_base64 state = {0};
    char text[4096];
    unsigned char out[sizeof text / 4 * 3 + 3];
    size_t n, len;
    int status = SBX_OK;
    while (status == SBX_OK && (n = fread(text, 1, sizeof text, stdin)) > 0) {
        status = sbx_base64_decode(&state, text, without_lines(text, n), out, &len);
        if (status == SBX_OK) fwrite(out, 1, len, stdout);
    }
    if (status == SBX_OK) status = sbx_base64_end(&state);
    if (status != SBX_OK) fprintf(stderr, "not base64, or cut short\n");
    return status != SBX_OK || ferror(stdin) || ferror(stdout);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "-d") != 0) {
        fprintf(stderr, "usage: base64 [-d] <in >out\n");
        return 2;
    }
    return argc > 1 ? decode() : encode();
}
