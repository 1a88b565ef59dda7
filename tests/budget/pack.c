/* What packs a build context, by itself: core_lz is what packs bytes, core_tar what
   stands around files. What is named core_* does not count. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox_impl/public.h"
#include "sandbox_impl/base/base.c"
#include "sandbox_impl/codec/crc32.c"
#include "sandbox_impl/codec/lz.c"
#include "sandbox_impl/json/read.c"
#include "sandbox_impl/pack/tar.c"
#include "sandbox_impl/pack/gzip.c"

extern const struct core_lz {
    size_t (*size)(unsigned level);
    sbxi_lz *(*init)(void *memory, unsigned level);
    bool (*run)(sbxi_lz *z, sbxi_flow *io, bool finish);
} core_lz;
extern const struct core_gzip {
    size_t (*size)(unsigned level);
    sbxi_gzip *(*init)(void *memory, unsigned level);
    bool (*run)(sbxi_gzip *g, sbxi_flow *io, bool finish);
} core_gzip;
extern const struct core_tar {
    int (*begin)(sbxi_tar *t, const sbxi_tar_entry *entry);
    bool (*block)(sbxi_tar *t, unsigned char *block);
    uint64_t (*size)(const sbxi_tar *t);
} core_tar;

const struct core_lz core_lz = { sbxi_lz_size, sbxi_lz_init, sbxi_lz_run };
const struct core_gzip core_gzip = { sbxi_gzip_size, sbxi_gzip_init, sbxi_gzip_run };
const struct core_tar core_tar = { sbxi_tar_begin, sbxi_tar_block, sbxi_tar_size };
