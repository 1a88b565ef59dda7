/* gzip of file contents on the way, over zlib. */
#ifndef SANDBOXD_GZIP_H
#define SANDBOXD_GZIP_H

#include "http.h"

typedef struct gunzip gunzip;
gunzip *gunzip_new(void);               /* NULL: no memory */
/* Unpacks into put(), which may stop it by false. False then, or if the input is no
   gzip. Several members one after the other are one file. */
bool gunzip_feed(gunzip *g, const char *p, size_t n,
                 bool (*put)(void *ctx, const char *p, size_t n), void *ctx);
bool gunzip_whole(const gunzip *g);     /* the input ended where a member ended */
void gunzip_free(gunzip *g);

/* The file, packed; takes over fd, also if it returns NULL. */
struct MHD_Response *gzip_response(int fd);

#endif
