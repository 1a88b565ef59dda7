/* E2B's control plane. api_e2b.c: routes and single sandboxes; api_create_e2b.c:
   creation and idempotency; api_list_e2b.c: lists; api_life_e2b.c: pause, resume,
   copies, network; api_history_e2b.c: metrics and logs; template_e2b.c, build_e2b.c:
   templates. */
#ifndef SANDBOXD_API_E2B_H
#define SANDBOXD_API_E2B_H

#include "http.h"

#define JSON_TYPE "application/json; charset=utf-8"
#define MAX_LIFE_S 86400

/* False after an error reply. An empty body is an empty object if allowed. */
bool api_body(req *r, jtree *t, bool may_be_empty);
/* 1: there, 0: absent, -1: not an integer in range, replied. */
int api_int(req *r, const jnode *body, const char *name, int64_t min, int64_t max, int64_t *out);
int api_bool(req *r, const jnode *body, const char *name); /* 1, 0, -1: absent, -2: replied */
box *api_box(req *r);           /* of the path, paused or not; NULL after a 404 */
void api_not_found(req *r, const char *id);
void api_too_many(req *r);
void api_sandbox_json(sbx_json_writer *w, box *b);      /* `Sandbox` */
void api_listed_json(sbx_json_writer *w, box *b, bool detail);
void api_time(sbx_json_writer *w, const char *key, int64_t ms);
/* Of the network's rules this host has two: all or nothing. 1 on, 0 off, -1 not
   said, -2 after a reply. */
int api_network_rules(req *r, const jnode *rules);
/* Page tokens: text as base64url. */
void api_token(char out[300], const char *plain);
bool api_token_read(const char *token, char plain[256]);
/* A page of a list that is in the order of time and id, the newest first: its place is
   one in that order, so nothing is lost if who was there is gone. */
typedef struct api_page { int64_t left; char place[256], last[80], next[300]; } api_page;
bool api_page_read(req *r, api_page *p, size_t id_len); /* false after a reply */
bool api_page_takes(api_page *p, int64_t ms, const char *id);
void api_page_reply(req *r, const api_page *p, text *t);

const image *api_image(const char *name); /* id, alias, team/alias; NULL: no image */
void api_create_v2(req *r);
void api_create_old(req *r);
void api_list_v2(req *r);
void api_list_old(req *r);
void api_connect(req *r);
void api_resume(req *r);
void api_pause(req *r);
void api_fork(req *r);
void api_snapshot(req *r);
void api_snapshots(req *r);
void api_snapshot_delete(req *r);
void api_network(req *r);
void api_metrics(req *r);
void api_metrics_of_many(req *r);
void api_logs(req *r);
void api_logs_old(req *r);
void idempotency_free(void);
int64_t api_disk_mib(void);

void api_template_missing(req *r, const char *given);
void api_template_create(req *r);
void api_templates(req *r);
void api_template(req *r);
void api_template_alias(req *r);
void api_template_update(req *r);
void api_template_delete(req *r);
void api_tags(req *r);
void api_tags_assign(req *r);
void api_tags_delete(req *r);
void api_files(req *r);
bool api_upload_begin(req *r);
void api_upload_data(req *r, const char *p, size_t n);
void api_upload_end(req *r);
void api_build_start(req *r);
void api_build_status(req *r);
void api_build_logs(req *r);

#endif
