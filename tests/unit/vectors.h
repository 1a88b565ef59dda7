/* vectors.h - recordings as a tree, for white-box tests that check vectors of them.
   Included behind the modules. */
#ifndef SBX_VECTORS_H
#define SBX_VECTORS_H
#undef SANDBOX_IMPLEMENTATION /* what follows wants the public half alone */
#include "../golden/dom.c"

/* The first step of a case, NULL: it is not there. */
static node *vectors(const char *file, const char *name)
{
    FILE *f = fopen(file, "rb");
    char *line = NULL;
    size_t cap = 0;
    node *found = NULL;
    ssize_t n;
    if (!f) return NULL;
    while (!found && (n = getline(&line, &cap, f)) > 0) {
        if (!strstr(line, name)) continue;
        found = dom_parse(line, (size_t)n);
        if (found && !dom_is(dom_get(found, "case"), name)) found = NULL;
    }
    free(line);
    fclose(f);
    return found;
}
#endif
