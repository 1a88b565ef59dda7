/* sandboxd: gzip both ways, in pieces: a file of any size passes through fixed
   buffers. */
#include "gzip.h"

#include <zlib.h>

#define PIECE 32768u
#define WINDOW_GZIP (15 + 16)

struct gunzip { z_stream z; bool begun, ended; };

gunzip *gunzip_new(void)
{
    gunzip *g = xalloc(sizeof *g);

    if (inflateInit2(&g->z, WINDOW_GZIP) == Z_OK)
        return g;
    free(g);
    return NULL;
}

void gunzip_free(gunzip *g)
{
    if (!g)
        return;
    inflateEnd(&g->z);
    free(g);
}

bool gunzip_whole(const gunzip *g)
{
    return g->ended;
}

bool gunzip_feed(gunzip *g, const char *p, size_t n,
                 bool (*put)(void *ctx, const char *p, size_t n), void *ctx)
{
    unsigned char out[PIECE];
    int result;

    g->z.next_in = (Bytef *)(uintptr_t)p;
    g->z.avail_in = (uInt)n;
    while (g->z.avail_in > 0 || g->z.avail_out == 0) {
        if (g->ended) {
            if (g->z.avail_in == 0)
                break;
            inflateReset(&g->z);
            g->ended = false;
        }
        g->z.next_out = out;
        g->z.avail_out = sizeof out;
        result = inflate(&g->z, Z_NO_FLUSH);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return false;
        if (g->z.avail_out < sizeof out && !put(ctx, (char *)out, sizeof out - g->z.avail_out))
            return false;
        g->ended = result == Z_STREAM_END;
        if (result == Z_BUF_ERROR)
            break;
    }
    return true;
}

/* ---- the other way ---- */
typedef struct packer { z_stream z; int fd; bool read_all, ended; unsigned char in[PIECE]; } packer;

static ssize_t pack(void *cls, uint64_t pos, char *buf, size_t max)
{
    packer *p = cls;

    (void)pos;
    if (p->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    p->z.next_out = (Bytef *)buf;
    p->z.avail_out = (uInt)(max > PIECE ? PIECE : max);
    max = p->z.avail_out;
    while (p->z.avail_out == max && !p->ended) {
        if (p->z.avail_in == 0 && !p->read_all) {
            ssize_t n = read(p->fd, p->in, sizeof p->in);

            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return MHD_CONTENT_READER_END_WITH_ERROR;
            p->read_all = n == 0;
            p->z.next_in = p->in;
            p->z.avail_in = (uInt)n;
        }
        p->ended = deflate(&p->z, p->read_all ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_END;
    }
    return (ssize_t)(max - p->z.avail_out);
}

static void packer_free(void *cls)
{
    packer *p = cls;

    deflateEnd(&p->z);
    close(p->fd);
    free(p);
}

struct MHD_Response *gzip_response(int fd)
{
    packer *p = xalloc(sizeof *p);
    struct MHD_Response *m;

    p->fd = fd;
    if (deflateInit2(&p->z, Z_BEST_SPEED, Z_DEFLATED, WINDOW_GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        close(fd);
        free(p);
        return NULL;
    }
    m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, pack, p, packer_free);
    if (!m)
        packer_free(p);
    return m;
}
