/* sandboxd: limits, freezing and measuring by control groups where this system
   lets us make them: the v1 controllers memory, pids, freezer and cpuacct, or v2.
   Every step may fail; what works is used and named in the log, the rest falls to
   process limits, stop signals and /proc. Layout:
   <controller>/<own path>/sandboxd-<pid of the host>/<sandbox id> */
#include "host.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

typedef struct group {
    char parent[512];       /* our own directory in it */
    bool memory, pids, freezer, cpu, v2;
} group;

static group groups[4];
static int group_count;
static char note[120] = "none";

static bool put(const char *dir, const char *file, const char *value)
{
    char path[700];
    int fd;
    bool ok;

    snprintf(path, sizeof path, "%s/%s", dir, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ok = write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    close(fd);
    return ok;
}

/* The path of this process in the hierarchy of a controller ("" is v2). */
static void own_path(const char *controller, char *out, size_t cap)
{
    char line[600], *list, *path;
    FILE *f = fopen("/proc/self/cgroup", "re");

    snprintf(out, cap, "/");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        list = strchr(line, ':');
        path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        if (!strcmp(list + 1, controller))
            snprintf(out, cap, "%s", path);
    }
    if (f)
        fclose(f);
}

/* Groups of hosts that no longer run. */
static void sweep_dead(const char *dir)
{
    DIR *d = opendir(dir), *sub;
    struct dirent *e, *b;
    char path[700];

    while (d && (e = readdir(d))) {
        if (strncmp(e->d_name, "sandboxd-", 9) ||
            kill((pid_t)strtol(e->d_name + 9, NULL, 10), 0) == 0 || errno != ESRCH)
            continue;
        snprintf(path, sizeof path, "%.400s/%.200s", dir, e->d_name);
        sub = opendir(path);
        while (sub && (b = readdir(sub)))
            if (b->d_name[0] != '.')
                unlinkat(dirfd(sub), b->d_name, AT_REMOVEDIR);
        if (sub)
            closedir(sub);
        rmdir(path);
    }
    if (d)
        closedir(d);
}

static bool try_group(const char *mount, const char *controller)
{
    group *g = &groups[group_count];
    char own[400], dir[512], have[300], probe[600];

    memset(g, 0, sizeof *g);
    g->v2 = !controller[0];
    own_path(controller, own, sizeof own);
    snprintf(dir, sizeof dir, "%.100s%.400s", mount, strcmp(own, "/") ? own : "");
    for (int round = 0; round < 2; round++) {
        if (g->v2)
            put(dir, "cgroup.subtree_control", "+memory +pids");
        sweep_dead(dir);
        snprintf(g->parent, sizeof g->parent, "%.480s/sandboxd-%d", dir, (int)getpid());
        if (mkdir(g->parent, 0755) == 0) {
            g->memory = !strcmp(controller, "memory");
            g->pids = !strcmp(controller, "pids");
            g->freezer = !strcmp(controller, "freezer");
            g->cpu = !strcmp(controller, "cpuacct");
            if (g->v2) {
                put(g->parent, "cgroup.subtree_control", "+memory");
                put(g->parent, "cgroup.subtree_control", "+pids");
                snprintf(probe, sizeof probe, "%s/cgroup.subtree_control", g->parent);
                if (read_small(AT_FDCWD, probe, have, sizeof have) < 0)
                    have[0] = '\0';
                g->memory = strstr(have, "memory") != NULL;
                g->pids = strstr(have, "pids") != NULL;
                g->freezer = g->cpu = true; /* of the core: every group has them */
            }
            snprintf(probe, sizeof probe, "%s/probe", g->parent);
            if ((g->memory || g->pids || g->freezer || g->cpu) && mkdir(probe, 0755) == 0) {
                rmdir(probe);
                group_count++;
                return true;
            }
            rmdir(g->parent);
        }
        snprintf(dir, sizeof dir, "%s", mount);
    }
    return false;
}

void cgroup_probe(void)
{
    char line[1024], type[64], mount[256], opts[512];
    FILE *f = conf.uid == 0 ? fopen("/proc/self/mounts", "re") : NULL;
    bool memory = false, pids = false, freezer = false, cpu = false;

    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%*s %255s %63s %511s", mount, type, opts) != 3)
            continue;
        if (!strcmp(type, "cgroup") && strstr(opts, "memory") && !memory)
            memory = try_group(mount, "memory");
        else if (!strcmp(type, "cgroup") && strstr(opts, "pids") && !pids)
            pids = try_group(mount, "pids");
        else if (!strcmp(type, "cgroup") && strstr(opts, "freezer") && !freezer)
            freezer = try_group(mount, "freezer");
        else if (!strcmp(type, "cgroup") && strstr(opts, "cpuacct") && !cpu)
            cpu = try_group(mount, "cpuacct");
        else if (!strcmp(type, "cgroup2") && !memory && !pids && !freezer && !cpu &&
                 try_group(mount, "")) {
            memory = groups[0].memory;
            pids = groups[0].pids;
            freezer = cpu = true;
        }
    }
    if (f)
        fclose(f);
    if (group_count > 0)
        snprintf(note, sizeof note, "%s%s%s%s%s", groups[0].v2 ? "v2" : "v1",
                 memory ? " memory" : "", pids ? " pids" : "", freezer ? " freezer" : "",
                 cpu ? " cpu" : "");
}

const char *cgroup_note(void)
{
    return note;
}

void cgroup_enter(const char *id)
{
    char dir[600], value[40];

    for (int i = 0; i < group_count; i++) {
        const group *g = &groups[i];

        snprintf(dir, sizeof dir, "%.500s/%.30s", g->parent, id);
        if (mkdir(dir, 0755) != 0 && errno != EEXIST)
            continue;
        snprintf(value, sizeof value, "%lld", (long long)conf.memory_mib << 20);
        if (g->memory && conf.memory_mib > 0)
            put(dir, g->v2 ? "memory.max" : "memory.limit_in_bytes", value);
        snprintf(value, sizeof value, "%d", conf.max_procs);
        if (g->pids && conf.max_procs > 0)
            put(dir, "pids.max", value);
        put(dir, "cgroup.procs", "0");
    }
}

static const group *group_of(bool (*has)(const group *))
{
    for (int i = 0; i < group_count; i++)
        if (has(&groups[i]))
            return &groups[i];
    return NULL;
}

static bool has_freezer(const group *g) { return g->freezer; }
static bool has_memory(const group *g) { return g->memory; }
static bool has_cpu(const group *g) { return g->cpu; }

bool cgroup_limits(void)
{
    for (int i = 0; i < group_count; i++)
        if (groups[i].memory || groups[i].pids)
            return true;
    return false;
}

bool cgroup_can_freeze(void)
{
    return group_of(has_freezer) != NULL;
}

bool cgroup_freeze(const char *id, bool frozen)
{
    const group *g = group_of(has_freezer);
    char dir[600], path[640], text[512];

    if (!g)
        return false;
    snprintf(dir, sizeof dir, "%.500s/%.30s", g->parent, id);
    snprintf(path, sizeof path, "%s/%s", dir, g->v2 ? "cgroup.events" : "freezer.state");
    for (int tries = 0; tries < FREEZE_WAIT_MS; tries++) {
        /* v1 wants the order again when a process forked while it took hold. */
        if ((tries == 0 || !g->v2) &&
            !put(dir, g->v2 ? "cgroup.freeze" : "freezer.state",
                 g->v2 ? (frozen ? "1" : "0") : frozen ? "FROZEN" : "THAWED"))
            return false;
        if (read_small(AT_FDCWD, path, text, sizeof text) < 0)
            return false;
        if (g->v2 ? strstr(text, frozen ? "frozen 1" : "frozen 0") != NULL
                  : !strcmp(text, frozen ? "FROZEN\n" : "THAWED\n"))
            return true;
        usleep(1000);
    }
    if (frozen)
        cgroup_freeze(id, false);
    return false;
}

/* The number behind name in a file of lines, or the whole file's if name is "". */
static int64_t number_in(const group *g, const char *id, const char *file, const char *name)
{
    char path[700], text[8192], *at = text;
    size_t n = strlen(name);

    snprintf(path, sizeof path, "%.500s/%.30s/%s", g->parent, id, file);
    if (read_small(AT_FDCWD, path, text, sizeof text) < 0)
        return -1;
    while (n > 0 && at && (strncmp(at, name, n) || at[n] != ' ')) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    return at ? strtoll(at + n, NULL, 10) : -1;
}

void cgroup_usage(const char *id, int64_t *cpu_us, int64_t *memory, int64_t *cache)
{
    const group *cpu = group_of(has_cpu), *mem = group_of(has_memory);

    if (cpu && cpu->v2)
        *cpu_us = number_in(cpu, id, "cpu.stat", "usage_usec");
    else if (cpu && (*cpu_us = number_in(cpu, id, "cpuacct.usage", "")) >= 0)
        *cpu_us /= 1000;
    if (!mem)
        return;
    *memory = number_in(mem, id, mem->v2 ? "memory.current" : "memory.usage_in_bytes", "");
    *cache = number_in(mem, id, "memory.stat", mem->v2 ? "file" : "cache");
    if (*memory >= 0 && *cache > 0) /* used: what could not be given back */
        *memory = *memory > *cache ? *memory - *cache : 0;
}

void cgroup_remove(const char *id)
{
    char dir[600];

    for (int i = 0; i < group_count; i++) {
        snprintf(dir, sizeof dir, "%.500s/%.30s", groups[i].parent, id);
        for (int tries = 0; tries < 200 && rmdir(dir) != 0 && errno == EBUSY; tries++)
            usleep(1000); /* the last processes are still leaving it */
    }
}

void cgroup_sweep(void)
{
    for (int i = 0; i < group_count; i++) {
        DIR *d = opendir(groups[i].parent);
        struct dirent *e;

        while (d && (e = readdir(d)))
            if (e->d_name[0] != '.')
                unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
        if (d)
            closedir(d);
        rmdir(groups[i].parent);
    }
}
