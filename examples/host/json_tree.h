/* A small request tree over the push reader: whole document in memory, for
   bodies of a few kilobytes up to the body limit. */
#ifndef SANDBOXD_JSON_TREE_H
#define SANDBOXD_JSON_TREE_H

#include "host.h"

typedef enum jtype { J_NULL, J_BOOL, J_INT, J_REAL, J_STRING, J_ARRAY, J_OBJECT } jtype;

typedef struct jnode {
    jtype type;
    char *key;              /* NULL unless inside an object */
    int64_t num;            /* J_BOOL, J_INT */
    char *str;              /* J_STRING, NUL-terminated */
    size_t len;
    struct jnode *first, *next;
} jnode;

typedef struct jtree { jnode *root; void *blocks; char error[160]; } jtree;

/* False: not JSON, t->error says why. Call jtree_free in any case. */
bool jtree_parse(jtree *t, const char *text, size_t len);
void jtree_free(jtree *t);

/* NULL: absent, or null, which protobuf and the API treat alike. The second
   name (may be NULL) is an accepted spelling. */
const jnode *jget(const jnode *object, const char *name, const char *other);
/* A string without NUL in it, else NULL. */
const char *jtext(const jnode *n);

#endif
