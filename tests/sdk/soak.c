/* soak.c COMMANDS SANDBOXES STREAMS SECONDS HOST_PID - the C client against sandboxd for
   a long time: commands, then sandboxes, each eight at a time, then streams in parallel.
   Sampled whenever nothing is under way (streams: as they run): memory of the host, of
   the host with all processes below it, of this process, and what the client's allocator
   has handed out, now and at its highest. Each must be flat: its highest value of the
   second half no more than that of the first, a tenth of it and the margin below. As the
   host remembers a process for 30 s after its end, as many commands as that takes go
   before those that are measured. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LANES = 8, SAMPLES = 20, MAX_STREAMS = 1000, STREAM_LINE = 512, BURST = 300000 };

static struct { size_t live, peak; } heap;
static sbx_client *client;
static pid_t host;
static int bad;

static void *counted(void *ctx, void *p, size_t old_size, size_t new_size)
{
    (void)ctx;
    void *q = NULL;
    if (new_size == 0) free(p);
    else if (!(q = realloc(p, new_size))) return NULL;
    heap.live += new_size - (p ? old_size : 0);
    if (heap.live > heap.peak) heap.peak = heap.live;
    return q;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what, const char *why)
{
    if (bad++ < 10) printf("soak: %s: %s\n", what, why);
}

static int expect(const char *what, int rc)
{
    if (rc != SBX_OK) {
        char text[300];
        snprintf(text, sizeof text, "%s: %s", sbx_status_name(rc), sbx_client_error(client)->message);
        fail(what, text);
    }
    return rc;
}

/* ---- samples ---- */
static int64_t rss_kib(pid_t pid)
{
    char path[64];
    long size = 0, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    if (fscanf(f, "%ld %ld", &size, &resident) != 2) resident = 0;
    fclose(f);
    return (int64_t)resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Of a process and all below it. */
static int64_t tree_kib(pid_t root)
{
    static struct { pid_t pid, parent; } p[20000];
    int n = 0;
    int64_t sum = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d)) && n < 20000;) {
        char path[300], line[512], *end;
        FILE *f;
        if (e->d_name[0] < '1' || e->d_name[0] > '9') continue;
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        if (!(f = fopen(path, "r"))) continue;
        if (fgets(line, sizeof line, f) && (end = strrchr(line, ')')) && strlen(end) > 4) {
            p[n].pid = (pid_t)atoi(e->d_name);
            p[n++].parent = (pid_t)atoi(end + 4);
        }
        fclose(f);
    }
    if (d) closedir(d);
    for (int i = 0; i < n; i++) { /* up its parents; /proc is in order of pids */
        pid_t up = p[i].pid;
        for (int depth = 0; up > 1 && up != root && depth < 32; depth++) {
            int low = 0, high = n;
            while (low < high) {
                int middle = (low + high) / 2;
                if (p[middle].pid < up) low = middle + 1;
                else high = middle;
            }
            up = low < n && p[low].pid == up ? p[low].parent : 0;
        }
        if (up == root) sum += rss_kib(p[i].pid);
    }
    return sum;
}

enum { HOST, TREE, SELF, LIVE, PEAK, COLUMNS };
static const struct { const char *name, *unit; int64_t margin; } columns[COLUMNS] = {
    { "host", "KiB", 1024 },            { "host and below", "KiB", 4096 },
    { "client", "KiB", 512 },           { "allocated", "bytes", 4096 },
    { "highest", "bytes", 8192 },
};
static int64_t samples[SAMPLES][COLUMNS];
static int sampled;
static const char *phase;
static double began;

static void start_phase(const char *name)
{
    phase = name;
    sampled = 0;
    began = now();
    heap.peak = heap.live;
}

static void sample(int64_t done)
{
    int64_t *s = samples[sampled];
    if (sampled == SAMPLES) return;
    s[HOST] = rss_kib(host);
    s[TREE] = tree_kib(host);
    s[SELF] = rss_kib(getpid());
    s[LIVE] = (int64_t)heap.live;
    s[PEAK] = (int64_t)heap.peak;
    heap.peak = heap.live;
    sampled++;
    printf("%-10s %8" PRId64 " %7.1f %10" PRId64 " %14" PRId64 " %10" PRId64 " %10" PRId64
           " %10" PRId64 "\n", phase, done, now() - began, s[HOST], s[TREE], s[SELF], s[LIVE],
           s[PEAK]);
    fflush(stdout);
}

static void end_phase(void)
{
    for (int c = 0; c < COLUMNS; c++) {
        int64_t first = 0, second = 0;
        for (int i = 0; i < sampled; i++) {
            int64_t *half = i < sampled / 2 ? &first : &second;
            if (samples[i][c] > *half) *half = samples[i][c];
        }
        if (second <= first + first / 10 + columns[c].margin) continue;
        char text[200];
        snprintf(text, sizeof text, "%s grows: %" PRId64 " %s in the first half, %" PRId64
                 " in the second", columns[c].name, first, columns[c].unit, second);
        fail(phase, text);
    }
}

/* ---- commands and sandboxes, eight at a time ---- */
typedef struct lane {
    sbx_op *op;
    sbx_sandbox *box;
    sbx_command_result result;
    sbx_error error;
    int step;
    int64_t number;
    bool busy;
} lane;

static sbx_sandbox *shared;

static int start_command(lane *l, sbx_sandbox *box)
{
    sbx_call call = { 0 };
    sbx_command_options o = { 0 };
    char cmd[64];
    snprintf(cmd, sizeof cmd, "echo %" PRId64 "; echo e >&2", l->number);
    o.capture_limit = 4096;
    memset(&l->result, 0, sizeof l->result);
    call.op = &l->op;
    call.error = &l->error;
    return sbx_command_run(box, cmd, &o, &l->result, &call);
}

static void check_command(lane *l)
{
    char want[32];
    snprintf(want, sizeof want, "%" PRId64 "\n", l->number);
    if (l->result.exit_code != 0 || !l->result.out || strcmp(l->result.out, want) != 0 ||
        strcmp(l->result.err, "e\n") != 0)
        fail("a command", "its output is not what it wrote");
    sbx_free(l->result.out);
    sbx_free(l->result.err);
    l->result.out = l->result.err = NULL;
}

/* The next step of a lane; SBX_PENDING if one was started, SBX_OK at its end. */
static int step(lane *l, bool sandboxes)
{
    sbx_call call = { 0 };
    sbx_sandbox_options o = { 0 };
    call.op = &l->op;
    call.error = &l->error;
    o.timeout_s = 300;
    if (!sandboxes) {
        if (l->step++ == 0) return start_command(l, shared);
        check_command(l);
        return SBX_OK;
    }
    switch (l->step++) {
    case 0: return sbx_sandbox_create(client, &o, &l->box, &call);
    case 1: return start_command(l, l->box);
    case 2: check_command(l);
            return sbx_sandbox_kill(l->box, NULL, &call);
    default: sbx_sandbox_release(l->box);
            l->box = NULL;
            return SBX_OK;
    }
}

static void advance(lane *l, bool sandboxes)
{
    int rc = l->op ? sbx_op_status(l->op) : SBX_OK;
    if (rc == SBX_PENDING) return;
    sbx_op_release(l->op);
    l->op = NULL;
    if (rc == SBX_OK) rc = step(l, sandboxes);
    if (rc == SBX_PENDING) return;
    if (rc != SBX_OK) fail(sbx_status_name(rc), l->error.message);
    sbx_sandbox_release(l->box);
    l->box = NULL;
    l->busy = false;
}

/* count of them with a sample after each twentieth, or for some seconds without. */
static void many(int64_t count, bool sandboxes, double seconds)
{
    lane lanes[LANES] = { { 0 } };
    int64_t started = 0, finished = 0;
    double stop = now() + seconds;
    for (int k = 1; k <= SAMPLES && (seconds == 0 || now() < stop); k++) {
        int64_t until = seconds > 0 ? finished + LANES : count * k / SAMPLES;
        if (seconds > 0) k = 1;
        while (finished < until && bad < 10) {
            int busy = 0;
            for (int i = 0; i < LANES; i++) {
                lane *l = &lanes[i];
                if (!l->busy && started < until) {
                    memset(l, 0, sizeof *l);
                    l->busy = true;
                    l->number = started++;
                }
                if (!l->busy) continue;
                advance(l, sandboxes);
                finished += !l->busy;
                busy += l->busy;
            }
            if (busy) sbx_poll(client, 1000, NULL);
        }
        if (seconds == 0) sample(finished);
        if (bad >= 10) break;
    }
}

/* ---- streams ---- */
static uint64_t got[MAX_STREAMS];

static int count_output(void *ctx, const void *data, size_t len)
{
    (void)data;
    *(uint64_t *)ctx += len;
    return SBX_OK;
}

/* First as much as fills every buffer on the way, then a line every 0.1 s, without
   starting a process each time. */
static const char writer[] =
    "head -c 300000 /dev/zero; f=/tmp/fifo$$; mkfifo $f; exec 3<>$f; rm $f; "
    "while :; do printf '%0511d\\n' 0; read -t .1 -u 3; done";

static void streams(int count, double seconds)
{
    static sbx_proc *procs[MAX_STREAMS];
    uint64_t least = UINT64_MAX, total = 0;
    for (int i = 0; i < count && bad < 10; i++) {
        sbx_command_options o = { 0 };
        o.timeout_ms = SBX_NEVER;
        o.out.put = count_output;
        o.out.ctx = &got[i];
        expect("a stream", sbx_command_start(shared, writer, &o, &procs[i], NULL));
    }
    for (int i = 0; i < count && bad < 10; i++)
        while (got[i] < BURST && sbx_proc_status(procs[i]) == SBX_PENDING)
            sbx_poll(client, 20, NULL);
    start_phase("streams"); /* from where all run */
    for (int k = 1; k <= SAMPLES && bad < 10; k++) {
        while (now() - began < seconds * k / SAMPLES) sbx_poll(client, 20, NULL);
        sample(count);
    }
    end_phase();
    for (int i = 0; i < count; i++) {
        if (!procs[i]) continue;
        if (sbx_proc_status(procs[i]) != SBX_PENDING) fail("a stream", "it ended early");
        expect("kill", sbx_proc_kill(procs[i], NULL, NULL));
        sbx_proc_wait(procs[i], NULL, NULL);
        sbx_proc_release(procs[i]);
        got[i] -= got[i] < BURST ? got[i] : BURST;
        total += got[i];
        if (got[i] < least) least = got[i];
    }
    /* A tenth of what they write when the machine is idle. */
    if (count && (double)least < seconds * STREAM_LINE) fail("a stream", "it starved");
    printf("streams: %.1f MB, %.1f kB the least of them\n", (double)total / 1e6,
           count ? (double)least / 1e3 : 0);
}

int main(int argc, char **argv)
{
    sbx_config cfg = { 0 };
    sbx_sandbox_options o = { 0 };
    sbx_error error = { 0 };
    int64_t commands, sandboxes;
    int stream_count;
    if (argc != 6) return 2;
    commands = atoll(argv[1]);
    sandboxes = atoll(argv[2]);
    stream_count = atoi(argv[3]);
    host = (pid_t)atoi(argv[5]);
    if (stream_count > MAX_STREAMS) stream_count = MAX_STREAMS;
    cfg.alloc.resize = counted;
    cfg.error = &error;
    if (sbx_open(&client, &cfg) != SBX_OK) {
        printf("soak: %s\n", error.message);
        return 1;
    }
    printf("phase          done seconds   host KiB  and below KiB client KiB  allocated"
           "    highest\n");
    o.timeout_s = 3600;
    if (expect("a sandbox", sbx_sandbox_create(client, &o, &shared, NULL)) == SBX_OK) {
        many(0, false, commands >= 10000 ? 35 : 1);
        start_phase("commands");
        many(commands, false, 0);
        end_phase();
        start_phase("sandboxes");
        many(sandboxes, true, 0);
        end_phase();
        streams(stream_count, atof(argv[4]));
        expect("kill", sbx_sandbox_kill(shared, NULL, NULL));
        sbx_sandbox_release(shared);
    }
    if (sbx_close(client) != SBX_OK) fail("close", "not possible");
    if (heap.live != 0) fail("the allocator", "something was not given back");
    return bad != 0;
}
