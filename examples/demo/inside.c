/* inside - the program that examples/demo compiles and runs in the sandbox, from
   the same sandbox.h: reads JSON, says what it found, and hashes itself. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>

static int count(void *ctx, const sbx_json_event *event)
{
    size_t *events = ctx;
    events[0]++;
    if (event->type == SBX_JSON_KEY) printf("  key %.*s\n", (int)event->len, event->text);
    return SBX_OK;
}

int main(int argc, char **argv)
{
    static const char json[] = "{\"made\": \"here\", \"list\": [1, 2.5, true, null]}";
    unsigned char block[4096], hash[32];
    sbx_json_reader reader;
    sbx_sha256 sha;
    size_t events = 0, i, n;
    FILE *self = fopen(argv[0], "rb");
    (void)argc;
    printf("sandbox.h %s, compiled and running inside\n", sbx_version());
    sbx_json_init(&reader, count, &events);
    for (i = 0; i < sizeof json - 1; i++) /* any split will do */
        if (sbx_json_feed(&reader, json + i, 1, NULL) != SBX_OK) return 1;
    if (sbx_json_end(&reader) != SBX_OK || !self) return 1;
    printf("  %lu events from %lu bytes of JSON\n", (unsigned long)events,
        (unsigned long)(sizeof json - 1));
    sbx_sha256_init(&sha);
    while ((n = fread(block, 1, sizeof block, self)) > 0) sbx_sha256_add(&sha, block, n);
    fclose(self);
    sbx_sha256_end(&sha, hash);
    printf("  this binary is ");
    for (i = 0; i < 32; i++) printf("%02x", hash[i]);
    printf("\n");
    return 0;
}
