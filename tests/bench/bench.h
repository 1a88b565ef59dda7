/* bench.h - what the programs of the benchmark share. Each does one job MODE in a
   sandbox that is there already, and prints one number:
     commands N   N commands, one after another: ms of the middle one
     hello        one command, its output
     upload N     N MiB to a file: s
     download N   the same file back: s
     stream N     N MiB of output of a command: bytes that came
   The sandbox is BENCH_ID with BENCH_TOKEN at 127.0.0.1:BENCH_PORT; a program that
   uses a whole client is told of the host by E2B_API_URL and E2B_SANDBOX_URL. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BENCH_FILE "/tmp/bench.bin"
#define BENCH_COMMAND "echo hello"
#define BENCH_LINE "a line of output like one of a compiler or a test: sixty-four byte"
#define BENCH_MAX 1000

static inline void bench_die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static inline const char *bench_env(const char *name)
{
    const char *value = getenv(name);
    if (!value) bench_die(name);
    return value;
}

static inline double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline int bench_by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double bench_median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, bench_by_value);
    return v[n / 2];
}

static inline const char *bench_stream_command(size_t mib)
{
    static char text[200];
    snprintf(text, sizeof text, "yes '%s' | head -c %lu", BENCH_LINE, (unsigned long)mib << 20);
    return text;
}

/* The jobs of a program; NULL: not its business. */
typedef struct bench_jobs {
    void (*command)(const char *cmd, int show, size_t expect); /* runs one; its bytes */
    void (*upload)(size_t bytes);
    void (*download)(size_t bytes);
} bench_jobs;

static inline int bench_main(int argc, char **argv, const bench_jobs *jobs)
{
    static double took[BENCH_MAX];
    size_t n = argc > 2 ? (size_t)atoi(argv[2]) : 1, i;
    const char *mode = argc > 1 ? argv[1] : "";
    double began;
    if (n > BENCH_MAX) bench_die("too many");
    if (strcmp(mode, "commands") == 0) {
        for (i = 0; i < n; i++) {
            began = bench_now();
            jobs->command(BENCH_COMMAND, 0, 6);
            took[i] = (bench_now() - began) * 1e3;
        }
        printf("%.4f\n", bench_median(took, n));
    } else if (strcmp(mode, "hello") == 0) {
        jobs->command(BENCH_COMMAND, 1, 6);
    } else if (strcmp(mode, "stream") == 0) {
        jobs->command(bench_stream_command(n), 0, n << 20);
        printf("%lu\n", (unsigned long)n << 20);
    } else if (strcmp(mode, "upload") == 0 || strcmp(mode, "download") == 0) {
        began = bench_now();
        (*mode == 'u' ? jobs->upload : jobs->download)(n << 20);
        printf("%.6f\n", bench_now() - began);
    } else {
        bench_die("unknown mode");
    }
    return 0;
}

/* ---- for the peers that write the requests themselves ---------------------- */

/* The JSON of a Start in its envelope; returns its length. */
static inline size_t bench_start_body(char *out, size_t cap, const char *cmd)
{
    int n = snprintf(out + 5, cap - 5, "{\"process\":{\"cmd\":\"/bin/bash\",\"args\":[\"-l\",\"-c\",\"%s\"]},"
        "\"stdin\":false}", cmd);
    out[0] = 0;
    out[1] = 0;
    out[2] = 0;
    out[3] = (char)(n >> 8);
    out[4] = (char)n;
    return (size_t)n + 5;
}
#endif
