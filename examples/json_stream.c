/* json_stream - picks one value out of JSON of any size that comes in pieces: the
   reader keeps its state in one struct and allocates nothing.
   ./json_stream FILE KEY    or without arguments: a sample */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "sandbox.h"
#include <stdio.h>
#include <string.h>

typedef struct search {
    const char *key;
    unsigned depth;         /* of the key that was found; its value comes next */
    int found;
    unsigned long events, matches;
} search;

/* Keys and numbers come whole, strings in pieces that end where the input was cut. */
static int on_event(void *ctx, const sbx_json_event *event)
{
    search *s = ctx;
    s->events++;
    if (event->type == SBX_JSON_KEY) {
        s->found = strlen(s->key) == event->len && memcmp(s->key, event->text, event->len) == 0;
        s->depth = event->depth;
        return SBX_OK;
    }
    if (!s->found || event->depth != s->depth) return SBX_OK;
    switch (event->type) {
    case SBX_JSON_STRING:
        printf("%.*s", (int)event->len, event->text);
        if (event->flags & SBX_JSON_MORE) return SBX_OK;
        break;
    case SBX_JSON_NUMBER: printf("%.*s", (int)event->len, event->text); break;
    case SBX_JSON_TRUE: printf("true"); break;
    case SBX_JSON_FALSE: printf("false"); break;
    case SBX_JSON_NULL: printf("null"); break;
    default: s->found = 0; return SBX_OK; /* a container, or the end of one */
    }
    printf("\n");
    s->matches++;
    s->found = 0;
    return SBX_OK;
}

static const char sample[] =
    "{\"name\":\"caf\\u00e9\",\"items\":[{\"name\":\"a \\\"quoted\\\" one\",\"size\":3},"
    "{\"name\":null,\"size\":-1.5e3}],\"done\":true}";

int main(int argc, char **argv)
{
    search s = {0};
    sbx_json_reader reader;
    char piece[4096];
    size_t n, at = 0;
    int status = SBX_OK;
    FILE *file = argc > 2 ? fopen(argv[1], "rb") : NULL;
    if (argc > 2 && !file) {
        perror(argv[1]);
        return 1;
    }
    s.key = argc > 2 ? argv[2] : "name";
    sbx_json_init(&reader, on_event, &s);
    if (file)
        while (status == SBX_OK && (n = fread(piece, 1, sizeof piece, file)) > 0)
            status = sbx_json_feed(&reader, piece, n, NULL);
    else /* seven bytes at a time: any cut will do */
        for (; status == SBX_OK && at < sizeof sample - 1; at += n) {
            n = sizeof sample - 1 - at < 7 ? sizeof sample - 1 - at : 7;
            status = sbx_json_feed(&reader, sample + at, n, NULL);
        }
    if (status == SBX_OK) status = sbx_json_end(&reader);
    if (file) fclose(file);
    if (status != SBX_OK) {
        fprintf(stderr, "%s\n", sbx_strerror(status));
        return 1;
    }
    printf("%lu of %lu events were a value of \"%s\"\n", s.matches, s.events, s.key);
    return 0;
}
