/* sandboxd: stopping a whole tree of processes where no control group can freeze
   it. What is stopped cannot fork: signals are sent until a look at all of them
   finds nothing that still runs. Those that were stopped before stay so. */
#include "host.h"

#include <dirent.h>
#include <signal.h>

typedef struct seen { pid_t pid, parent; char state; bool ours; } seen;

static pid_t *stopped_before;
static size_t stopped_count;

static bool look_at(int proc, const char *name, seen *s)
{
    char path[64], line[1024], *at;

    snprintf(path, sizeof path, "%.20s/stat", name);
    if (read_small(proc, path, line, sizeof line) <= 0 || !(at = strrchr(line, ')')))
        return false;
    s->pid = (pid_t)strtol(name, NULL, 10);
    s->ours = false;
    return sscanf(at + 1, " %c %d", &s->state, &s->parent) == 2;
}

static size_t look(seen **out)
{
    DIR *d = opendir("/proc");
    struct dirent *e;
    size_t n = 0, room = 0;

    *out = NULL;
    while (d && (e = readdir(d))) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9')
            continue;
        if (n == room) {
            room = room ? room * 2 : 256;
            *out = realloc(*out, room * sizeof **out);
            if (!*out)
                die("out of memory");
        }
        n += look_at(dirfd(d), e->d_name, *out + n);
    }
    if (d)
        closedir(d);
    return n;
}

/* Marks what descends from root; parents may stand anywhere in the list. */
static size_t look_below(pid_t root, seen **out)
{
    size_t n = look(out), found = 1, kept = 0;
    seen *s = *out;

    while (found > 0) {
        found = 0;
        for (size_t i = 0; i < n; i++) {
            bool below = s[i].parent == root;

            for (size_t k = 0; k < n && !below && !s[i].ours; k++)
                below = s[k].ours && s[k].pid == s[i].parent;
            found += below && !s[i].ours;
            s[i].ours |= below;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (s[i].ours)
            s[kept++] = s[i];
    return kept;
}

size_t tree_of(pid_t root, pid_t **out)
{
    seen *s;
    size_t n = look_below(root, &s);

    *out = xalloc((n + 1) * sizeof **out);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = s[i].pid;
    free(s);
    return n;
}

/* In a namespace of its own everything but the agent, orphans of others too. */
static size_t everything(seen **out)
{
    size_t n, kept = 0;

    if (conf.rung == 3)
        return look_below(getpid(), out);
    n = look(out);
    for (size_t i = 0; i < n; i++)
        if ((*out)[i].pid != getpid())
            (*out)[kept++] = (*out)[i];
    return kept;
}

bool tree_stop(int64_t wait_ms)
{
    int64_t until = mono_ms() + wait_ms;
    bool first = true, running = true;
    seen *s;

    while (running && mono_ms() < until) {
        size_t n = everything(&s);

        if (first)
            stopped_before = xalloc((n + 1) * sizeof *stopped_before);
        running = false;
        for (size_t i = 0; i < n; i++) {
            if (s[i].state == 'Z' || s[i].state == 'X')
                continue;
            if (s[i].state == 'T') {
                if (first)
                    stopped_before[stopped_count++] = s[i].pid;
                continue;
            }
            running = true;
            kill(s[i].pid, SIGSTOP);
        }
        free(s);
        first = false;
        if (running)
            usleep(500);
    }
    if (running)
        tree_continue();
    return !running;
}

void tree_continue(void)
{
    seen *s;
    size_t n = everything(&s);

    for (size_t i = 0; i < n; i++) {
        bool was = false;

        for (size_t k = 0; k < stopped_count; k++)
            was |= stopped_before[k] == s[i].pid;
        if (!was)
            kill(s[i].pid, SIGCONT);
    }
    free(s);
    free(stopped_before);
    stopped_before = NULL;
    stopped_count = 0;
}
