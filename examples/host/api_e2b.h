/* E2B's control plane. api_e2b.c: routes and single sandboxes; api_create_e2b.c:
   creation and idempotency; api_list_e2b.c: lists. */
#ifndef SANDBOXD_API_E2B_H
#define SANDBOXD_API_E2B_H

#include "http.h"

#define JSON_TYPE "application/json; charset=utf-8"

/* False after an error reply. An empty body is an empty object if allowed. */
bool api_body(req *r, jtree *t, bool may_be_empty);
/* 1: there, 0: absent, -1: not an integer in range, replied. */
int api_int(req *r, const jnode *body, const char *name, int64_t min, int64_t max, int64_t *out);
box *api_box(req *r);           /* of the path; NULL after a 404 */
void api_sandbox_json(sbx_json_writer *w, box *b);      /* `Sandbox` */
void api_listed_json(sbx_json_writer *w, box *b, bool detail);

void api_create_v2(req *r);
void api_create_old(req *r);
void api_list_v2(req *r);
void api_list_old(req *r);
void idempotency_free(void);

#endif
