/* peers.h - what C++ peers look like from C. */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H
#include <stddef.h>
#ifdef __cplusplus
extern "C"
#endif
int bench_simdjson(const char *text, size_t len);
#endif
