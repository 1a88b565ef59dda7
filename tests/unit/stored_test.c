/* stored_test - gzip of a build without deflate: the same calls, every level stores;
   Python unpacks it. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#define SBX_NO_GZIP
#include "../../sandbox_impl/sandbox_all.h"
#include "../test.h"

TEST(every_level_stores)
{
    static const size_t lens[] = { 0, 1, 1023, 1024, 1025, 2048, 5000 };
    static unsigned char text[5000], out[5200];
    FILE *f = popen("python3 tests/unit/lz_check.py", "w");
    uint64_t memory[SBXI_GZIP_STORED / 8];
    size_t i, k, level;
    REQUIRE(f != NULL);
    for (i = 0; i < sizeof text; i++) text[i] = (unsigned char)(i * 7 + i / 251);
    for (k = 0; k < sizeof lens / sizeof *lens; k++)
        for (level = 0; level <= 9; level += 9) {
            sbxi_flow io = { text, lens[k], out, sizeof out };
            REQUIRE(sbxi_gzip_size((unsigned)level) <= sizeof memory);
            CHECK(sbxi_gzip_run(sbxi_gzip_init(memory, (unsigned)level), &io, true));
            CHECK_INT(io.out - out, 18 + lens[k] + 5 * ((lens[k] + 1023) / 1024 + !lens[k]));
            fprintf(f, "%zu bytes\n%zu %zu %zu\n", lens[k], level, lens[k], (size_t)(io.out - out));
            fwrite(text, 1, lens[k], f);
            fwrite(out, 1, (size_t)(io.out - out), f);
        }
    CHECK_INT(pclose(f), 0);
}
