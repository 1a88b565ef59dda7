/* gzip - the container (RFC 1952) around codec/lz: bytes in, bytes out, resumable at
   every byte of either, in one block of the caller's memory, never an error. The same
   bytes at the same level always give the same: no time, no name in it.

       memory = resize(ctx, NULL, 0, sbxi_gzip_size(level));
       g = sbxi_gzip_init(memory, level);           (again for a second pass)
       io.in, io.in_len = what is to be packed;  io.out, io.out_len = room;
       whole = sbxi_gzip_run(g, &io, nothing comes behind io.in);

   Level 0 stores (5 bytes more for each 1,024); 1 to 3 need little memory, 4 to 6 pack
   well, 7 to 9 best. With SBX_NO_GZIP every level is 0. */

#ifndef SBX_NO_TEMPLATE

#define SBXI_GZIP_STORED 1280u  /* bytes of memory at most: level 0, 1 to 3, 4 to 9 */
#define SBXI_GZIP_FAST 16384u
#define SBXI_GZIP_BEST 49152u

typedef struct sbxi_gzip {
    sbxi_lz *lz;
    uint32_t crc, size;
    uint8_t head, tail;     /* bytes of each that are out */
} sbxi_gzip;

/* Bytes of memory that sbxi_gzip_init() needs. */
static SBXI_MAYBE size_t sbxi_gzip_size(unsigned level)
{
    return sizeof(sbxi_gzip) + sbxi_lz_size(level);
}

/* A new stream in that memory, which is aligned for any type; nothing to free but it. */
static SBXI_MAYBE sbxi_gzip *sbxi_gzip_init(void *memory, unsigned level)
{
    sbxi_gzip *g = (sbxi_gzip *)memory;
    memset(g, 0, sizeof *g);
    g->lz = sbxi_lz_init(g + 1, level);
    return g;
}

/* Takes from io->in, gives to io->out; both move on. Whenever it returns, all of the
   one was taken or the other is full. `finish`: nothing comes behind io->in; to be
   said again until it returns true: the whole container is out. */
static SBXI_MAYBE bool sbxi_gzip_run(sbxi_gzip *g, sbxi_flow *io, bool finish)
{
    static const unsigned char head[10] = { 0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255 };
    const unsigned char *in = io->in;
    bool done;
    for (; g->head < sizeof head; g->head++, io->out++, io->out_len--) {
        if (!io->out_len) return false;
        *io->out = head[g->head];
    }
    done = sbxi_lz_run(g->lz, io, finish);
    g->crc = sbxi_crc32(g->crc, in, (size_t)(io->in - in));
    g->size += (uint32_t)(io->in - in);
    for (; done && g->tail < 8; g->tail++, io->out++, io->out_len--) {
        if (!io->out_len) return false;
        *io->out = (unsigned char)((g->tail < 4 ? g->crc : g->size) >> (g->tail & 3) * 8);
    }
    return done;
}

#endif
