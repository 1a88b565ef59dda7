/* sandboxd: what is known about a sandbox's life: measurements of the kernel, taken
   every few seconds, and the log of what happened to it. */
#include "box.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#define EVERY_MS 5000

static pthread_t thread;
static pthread_mutex_t stop_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stop_bell = PTHREAD_COND_INITIALIZER;
static bool stopping, started;

/* The next place of a ring that grows by doubling up to its limit; cleared. */
static void *ring_next(void *ring, uint64_t *count, size_t limit, size_t size)
{
    char **items = ring, *at;
    size_t n = (size_t)(*count % limit), room = 8;

    while (room < n)
        room *= 2;
    if (*count < limit && (n == 0 || (n == room && n >= 8))) {
        *items = realloc(*items, (n == 0 ? 8 : room * 2) * size);
        if (!*items)
            die("out of memory");
    }
    at = *items + n * size;
    if (*count < limit)
        memset(at, 0, size);
    ++*count;
    return at;
}

/* ---- measurements ---- */

/* One process of a /proc. */
static void add_process(int proc, const char *name, box_sample *s)
{
    unsigned long long u, k, pages;
    long long cu, ck;
    char path[300], line[1024], *at;

    snprintf(path, sizeof path, "%.200s/stat", name);
    if (read_small(proc, path, line, sizeof line) <= 0 || !(at = strrchr(line, ')')))
        return;
    if (sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld", &u, &k,
               &cu, &ck) == 4)
        s->cpu_us += ((int64_t)(u + k) + cu + ck) * (1000000 / sysconf(_SC_CLK_TCK));
    snprintf(path, sizeof path, "%.200s/statm", name);
    if (read_small(proc, path, line, sizeof line) > 0 && sscanf(line, "%*u %llu", &pages) == 1)
        s->memory += (int64_t)pages * sysconf(_SC_PAGESIZE);
}

/* Sums over its processes, where no control group counts. */
static void add_processes(box *b, box_sample *s)
{
    int fd = b->real ? open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                     : fs_open(&b->root, "/proc", O_RDONLY | O_DIRECTORY, 0);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *e;
    char name[24];
    pid_t *pids;
    size_t n;

    if (d && b->real) {
        n = tree_of(b->agent_pid, &pids);
        for (size_t i = 0; i < n; i++) {
            snprintf(name, sizeof name, "%d", (int)pids[i]);
            add_process(dirfd(d), name, s);
        }
        free(pids);
    }
    while (d && !b->real && (e = readdir(d)))
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
            add_process(dirfd(d), e->d_name, s);
    if (d)
        closedir(d);
}

static box_sample measure(box *b)
{
    box_sample s = { .at_ms = unix_ms() };
    int64_t cpu = -1, memory = -1, cache = -1;
    struct statvfs st;

    cgroup_usage(b->id, &cpu, &memory, &cache);
    if (cpu < 0 || memory < 0)
        add_processes(b, &s);
    if (cpu >= 0)
        s.cpu_us = cpu;
    if (memory >= 0)
        s.memory = memory;
    s.cache = cache > 0 ? cache : 0;
    if (fstatvfs(b->root.fd, &st) == 0) {
        s.disk_total = (int64_t)(st.f_blocks * st.f_frsize);
        s.disk_used = (int64_t)((st.f_blocks - st.f_bfree) * st.f_frsize);
    }
    return s;
}

void box_measure(box *b, int64_t at_least_ms)
{
    int64_t now = mono_ms(), spent;
    const box_sample *last;
    box_sample s;

    pthread_mutex_lock(&b->lock);
    if (b->state != BOX_RUNNING || (b->sample_count && now - b->sample_mono < at_least_ms)) {
        pthread_mutex_unlock(&b->lock);
        return;
    }
    pthread_mutex_unlock(&b->lock);
    s = measure(b);
    pthread_mutex_lock(&b->lock);
    last = b->sample_count ? &b->samples[(b->sample_count - 1) % SAMPLES] : NULL;
    spent = last ? s.cpu_us - last->cpu_us : 0;
    if (spent > 0 && now > b->sample_mono) /* of one processor; below: of all */
        s.percent = spent * 10 / (now - b->sample_mono);
    b->sample_mono = now;
    *(box_sample *)ring_next(&b->samples, &b->sample_count, SAMPLES, sizeof s) = s;
    pthread_mutex_unlock(&b->lock);
}

int64_t box_memory_total(const box *b)
{
    if (b->from && b->from->memory_mib > 0)
        return (int64_t)b->from->memory_mib << 20;
    return conf.memory_mib > 0 ? (int64_t)conf.memory_mib << 20
                               : (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

box_sample box_last_sample(box *b)
{
    box_sample s = { 0 };

    pthread_mutex_lock(&b->lock);
    if (b->sample_count)
        s = b->samples[(b->sample_count - 1) % SAMPLES];
    pthread_mutex_unlock(&b->lock);
    return s;
}

static void *run(void *unused)
{
    struct timespec until;

    (void)unused;
    pthread_mutex_lock(&stop_lock);
    while (!stopping) {
        box **all;
        size_t n;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += EVERY_MS / 1000;
        if (pthread_cond_timedwait(&stop_bell, &stop_lock, &until) != ETIMEDOUT)
            continue;
        pthread_mutex_unlock(&stop_lock);
        n = box_list(&all);
        for (size_t i = 0; i < n; i++) {
            box_measure(all[i], EVERY_MS / 2);
            box_unref(all[i]);
        }
        free(all);
        pthread_mutex_lock(&stop_lock);
    }
    pthread_mutex_unlock(&stop_lock);
    return NULL;
}

void samples_start(void)
{
    started = pthread_create(&thread, NULL, run, NULL) == 0;
}

void samples_stop(void)
{
    pthread_mutex_lock(&stop_lock);
    stopping = true;
    pthread_cond_signal(&stop_bell);
    pthread_mutex_unlock(&stop_lock);
    if (started)
        pthread_join(thread, NULL);
}

/* ---- log ---- */
void box_log(box *b, const char *level, const char *fmt, ...)
{
    box_log_line *line;
    char words[600];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&b->lock);
    line = ring_next(&b->lines, &b->line_count, LOG_LINES, sizeof *line);
    free(line->text);
    line->text = xstrdup(words);
    line->at_ms = unix_ms();
    snprintf(line->level, sizeof line->level, "%s", level);
    pthread_mutex_unlock(&b->lock);
}
