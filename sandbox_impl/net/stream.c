/* stream - ready-made sinks and sources: memory, FILE *, file descriptor. Made
   by the user, called by the exchange and by api/. Each takes or gives all it
   says; a full disk is SBX_E_SINK like any other failure.

   A source can be sent again only if it stood at its beginning: its one word of
   context has no room to remember another place. Descriptors are the user's: a
   closed pipe raises SIGPIPE there as it does for any write of the program. */

#ifndef SBX_NO_STDLIB
#include <stdio.h>
#endif
#ifndef SBX_NO_POSIX
#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__GLIBC__) && !defined(__USE_XOPEN2K8)
#error "Include sandbox.h before all other headers in this file, or compile with -std=gnu99."
#endif
#endif

/* ---- memory --------------------------------------------------------------- */

static int sbxi_memory_put(void *ctx, const void *data, size_t len)
{
    sbx_memory *m = (sbx_memory *)ctx;
    size_t n = SBXI_MIN(len, m->cap - m->len);
    if (n) memcpy((char *)m->data + m->len, data, n);
    m->len += n;
    m->cut += len - n;
    return SBX_OK;
}

SBX_API sbx_sink sbx_sink_memory(sbx_memory *memory)
{
    sbx_sink s = { sbxi_memory_put, NULL };
    s.ctx = memory;
    return s;
}

static int sbxi_memory_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    sbx_reading *r = (sbx_reading *)ctx;
    *got = SBXI_MIN(cap, r->len - r->pos);
    if (*got) memcpy(buf, (const char *)r->data + r->pos, *got);
    r->pos += *got;
    return SBX_OK;
}

static int sbxi_memory_rewind(void *ctx)
{
    ((sbx_reading *)ctx)->pos = 0;
    return SBX_OK;
}

SBX_API sbx_source sbx_source_memory(sbx_reading *reading)
{
    sbx_source s = { sbxi_memory_get, sbxi_memory_rewind, NULL, 0 };
    s.ctx = reading;
    s.size = (int64_t)(reading->len - reading->pos);
    return s;
}

/* ---- FILE * ---------------------------------------------------------------
   Positions beyond 2 GiB need ftello, which plain C does not have. */
#ifndef SBX_NO_STDLIB

static int64_t sbxi_file_tell(FILE *f)
{
#ifdef SBX_NO_POSIX
    return ftell(f);
#else
    return (int64_t)ftello(f);
#endif
}

static bool sbxi_file_seek(FILE *f, int64_t at, int whence)
{
#ifdef SBX_NO_POSIX
    return fseek(f, (long)at, whence) == 0;
#else
    return fseeko(f, (off_t)at, whence) == 0;
#endif
}

static int sbxi_file_put(void *ctx, const void *data, size_t len)
{
    return fwrite(data, 1, len, (FILE *)ctx) == len ? SBX_OK : SBX_E_SINK;
}

SBX_API sbx_sink sbx_sink_file(void *file)
{
    sbx_sink s = { sbxi_file_put, NULL };
    s.ctx = file;
    return s;
}

static int sbxi_file_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    *got = fread(buf, 1, cap, (FILE *)ctx);
    return ferror((FILE *)ctx) ? SBX_E_SOURCE : SBX_OK;
}

static int sbxi_file_rewind(void *ctx)
{
    if (!sbxi_file_seek((FILE *)ctx, 0, SEEK_SET)) return SBX_E_SOURCE;
    clearerr((FILE *)ctx);
    return SBX_OK;
}

/* Devices and /proc say 0 and have more: a byte tried tells them from an empty
   file. */
static int64_t sbxi_file_size(FILE *f, int64_t at)
{
    int64_t end = -1;
    int c;
    if (at < 0 || !sbxi_file_seek(f, 0, SEEK_END)) return -1;
    end = sbxi_file_tell(f);
    if (!sbxi_file_seek(f, at, SEEK_SET) || end < 0) return -1;
    if (end > at) return end - at;
    c = getc(f);
    if (c == EOF) return 0;
    ungetc(c, f);
    return -1;
}

SBX_API sbx_source sbx_source_file(void *file)
{
    sbx_source s = { sbxi_file_get, NULL, NULL, -1 };
    int64_t at = sbxi_file_tell((FILE *)file);
    s.ctx = file;
    s.size = sbxi_file_size((FILE *)file, at);
    if (at == 0 && s.size >= 0) s.rewind = sbxi_file_rewind;
    return s;
}
#endif

/* ---- file descriptor ------------------------------------------------------ */
#ifndef SBX_NO_POSIX

#define SBXI_FD_MOST ((size_t)1 << 30) /* of one read or write: fits any ssize_t */

static int sbxi_fd_of(void *ctx) { return (int)(intptr_t)ctx; }

/* After a failed call: true if it is to be tried again. A descriptor that
   someone else made non-blocking is waited for, as blocking was promised. */
static bool sbxi_fd_retry(int fd, short events)
{
    struct pollfd p;
    if (errno == EINTR) return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
    p.fd = fd;
    p.events = events;
    p.revents = 0;
    return poll(&p, 1, -1) > 0 || errno == EINTR;
}

static int sbxi_fd_put(void *ctx, const void *data, size_t len)
{
    const char *p = (const char *)data;
    while (len > 0) {
        ssize_t n = write(sbxi_fd_of(ctx), p, SBXI_MIN(len, SBXI_FD_MOST));
        if (n < 0 && sbxi_fd_retry(sbxi_fd_of(ctx), POLLOUT)) continue;
        if (n <= 0) return SBX_E_SINK;
        p += n;
        len -= (size_t)n;
    }
    return SBX_OK;
}

SBX_API sbx_sink sbx_sink_fd(int fd)
{
    sbx_sink s = { sbxi_fd_put, NULL };
    s.ctx = (void *)(intptr_t)fd;
    return s;
}

static int sbxi_fd_get(void *ctx, void *buf, size_t cap, size_t *got)
{
    ssize_t n;
    do n = read(sbxi_fd_of(ctx), buf, SBXI_MIN(cap, SBXI_FD_MOST));
    while (n < 0 && sbxi_fd_retry(sbxi_fd_of(ctx), POLLIN));
    *got = n > 0 ? (size_t)n : 0;
    return n < 0 ? SBX_E_SOURCE : SBX_OK;
}

static int sbxi_fd_rewind(void *ctx)
{
    return lseek(sbxi_fd_of(ctx), 0, SEEK_SET) == 0 ? SBX_OK : SBX_E_SOURCE;
}

SBX_API sbx_source sbx_source_fd(int fd)
{
    sbx_source s = { sbxi_fd_get, NULL, NULL, -1 };
    off_t at = lseek(fd, 0, SEEK_CUR);
    struct stat st;
    char byte;
    s.ctx = (void *)(intptr_t)fd;
    if (at < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return s;
    if (st.st_size > at)
        s.size = (int64_t)(st.st_size - at);
    else if (pread(fd, &byte, 1, at) <= 0) /* /proc says 0 and has more */
        s.size = 0;
    if (at == 0 && s.size >= 0) s.rewind = sbxi_fd_rewind;
    return s;
}
#endif
