/* measure - runs a program and says what it took, from a process so small that its
   own memory does not hide the program's:
     measure PROGRAM ARG...   prints: exit code, wall s, CPU s (user + system of the
                              whole process), peak RSS KiB, s to the first byte of
                              output; then the output itself, at most 4 KiB */
#include "bench.h"
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec * 1e-6; }

int main(int argc, char **argv)
{
    static char out[4096], rest[65536];
    size_t len = 0;
    double began, first = -1, ended;
    int io[2], status = 0;
    struct rusage used;
    pid_t child;
    if (argc < 2 || pipe(io) != 0) bench_die("usage: measure PROGRAM ARG...");
    began = bench_now();
    child = fork();
    if (child == 0) {
        dup2(io[1], 1);
        close(io[0]);
        close(io[1]);
        execvp(argv[1], argv + 1);
        perror(argv[1]);
        _exit(127);
    }
    if (child < 0) bench_die("fork");
    close(io[1]);
    for (;;) {
        ssize_t n = len < sizeof out ? read(io[0], out + len, sizeof out - len)
            : read(io[0], rest, sizeof rest);
        if (n <= 0) break;
        if (first < 0) first = bench_now() - began;
        if (len < sizeof out) len += (size_t)n;
    }
    if (wait4(child, &status, 0, &used) != child) bench_die("wait");
    ended = bench_now() - began;
    printf("%d %.6f %.6f %ld %.6f\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
        ended, seconds(used.ru_utime) + seconds(used.ru_stime), used.ru_maxrss, first);
    fwrite(out, 1, len, stdout);
    return 0;
}
