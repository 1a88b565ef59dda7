/* sandboxd: sandboxes, from their creation to the last trace of them. States go
   STARTING, RUNNING, ENDING (told to end), DEAD (its processes are gone), GONE
   (its directory and limits too, nobody finds it any more). */
#include "template.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define BUCKETS 1024
#define READY_WAIT_MS 30000

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t table_changed = PTHREAD_COND_INITIALIZER;
static box *table[BUCKETS];
static int count;
static bool closing;
static int zygote_sock = -1;
static pid_t zygote_pid;

static pthread_t janitor;
static pthread_cond_t janitor_work = PTHREAD_COND_INITIALIZER;
static box *janitor_queue;
static bool janitor_stop;

/* ---- pair lists ---- */
void pairs_add(pair_list *l, const char *key, const char *value)
{
    for (size_t i = 0; i < l->count; i++)
        if (!strcmp(l->keys[i], key)) {
            free(l->values[i]);
            l->values[i] = xstrdup(value);
            return;
        }
    l->keys = realloc(l->keys, (l->count + 1) * sizeof *l->keys);
    l->values = realloc(l->values, (l->count + 1) * sizeof *l->values);
    if (!l->keys || !l->values)
        die("out of memory");
    l->keys[l->count] = xstrdup(key);
    l->values[l->count++] = xstrdup(value);
}

void pairs_copy(pair_list *to, const pair_list *from)
{
    for (size_t i = 0; from && i < from->count; i++)
        pairs_add(to, from->keys[i], from->values[i]);
}

void pairs_free(pair_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->keys[i]);
        free(l->values[i]);
    }
    free(l->keys);
    free(l->values);
    memset(l, 0, sizeof *l);
}

/* ---- origins ---- */
origin *origin_ref(origin *o)
{
    if (o)
        __atomic_add_fetch(&o->refs, 1, __ATOMIC_RELAXED);
    return o;
}

void origin_unref(origin *o)
{
    if (!o || __atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    pairs_free(&o->env);
    free(o->start);
    free(o);
}

void box_from(box *b, origin *from)
{
    b->from = origin_ref(from);
    b->root.user = from ? from->user : NULL;
    b->root.workdir = from ? from->workdir : NULL;
}

int box_cpus(const box *b)
{
    int all = (int)sysconf(_SC_NPROCESSORS_ONLN), own = b->from ? b->from->cpus : 0;

    return own > 0 && own < all ? own : all;
}

/* ---- table ---- */
static unsigned bucket(const char *id)
{
    unsigned h = 5381;

    for (; *id; id++)
        h = h * 33 + (unsigned char)*id;
    return h % BUCKETS;
}

box *box_ref(box *b)
{
    __atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
    return b;
}

void box_unref(void *ptr)
{
    box *b = ptr;

    if (__atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (b->sock.fd >= 0)
        close(b->sock.fd);
    if (b->root.fd >= 0)
        close(b->root.fd);
    if (b->dirfd >= 0)
        close(b->dirfd);
    for (uint64_t i = 0; i < b->line_count && i < LOG_LINES; i++)
        free(b->lines[i].text);
    free(b->lines);
    free(b->samples);
    pairs_free(&b->metadata);
    pairs_free(&b->env);
    origin_unref(b->from);
    free(b->real);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->changed);
    explicit_bzero(b->token, sizeof b->token);
    explicit_bzero(b->traffic_token, sizeof b->traffic_token);
    free(b);
}

/* Any state; under table_lock. */
static box *lookup(const char *id)
{
    box *b = table[bucket(id)];

    while (b && strcmp(b->id, id))
        b = b->next;
    return b;
}

box_state box_state_of(box *b)
{
    box_state s;

    pthread_mutex_lock(&b->lock);
    s = b->state;
    pthread_mutex_unlock(&b->lock);
    return s;
}

box_state box_settled(box *b)
{
    while (b->state == BOX_BUSY || b->state == BOX_STARTING)
        pthread_cond_wait(&b->changed, &b->lock);
    return b->state;
}

bool box_running(box *b)
{
    bool yes;

    pthread_mutex_lock(&b->lock);
    yes = box_settled(b) == BOX_RUNNING;
    pthread_mutex_unlock(&b->lock);
    return yes;
}

bool box_await(box *b)
{
    bool there;

    pthread_mutex_lock(&b->lock);
    there = box_settled(b) == BOX_RUNNING || b->state == BOX_PAUSED;
    pthread_mutex_unlock(&b->lock);
    return there;
}

static box *find_in(const char *id, bool any)
{
    box *b;

    pthread_mutex_lock(&table_lock);
    b = lookup(id);
    if (b && (any || box_state_of(b) == BOX_RUNNING))
        box_ref(b);
    else
        b = NULL;
    pthread_mutex_unlock(&table_lock);
    return b;
}

box *box_find(const char *id)
{
    return find_in(id, false);
}

box *box_find_any(const char *id)
{
    box *b = find_in(id, true);

    if (b && !box_await(b)) {
        box_unref(b);
        b = NULL;
    }
    return b;
}

size_t box_list(box ***out)
{
    size_t n = 0;

    pthread_mutex_lock(&table_lock);
    *out = xalloc(sizeof **out * (size_t)(count + 1));
    for (int i = 0; i < BUCKETS; i++)
        for (box *b = table[i]; b; b = b->next) {
            box_state s = box_state_of(b);

            if (s == BOX_RUNNING || s == BOX_BUSY || s == BOX_PAUSED) {
                box_ref(b);
                (*out)[n++] = b;
            }
        }
    pthread_mutex_unlock(&table_lock);
    return n;
}

void boxes_layers(void (*fn)(const char *layers))
{
    pthread_mutex_lock(&table_lock);
    for (int i = 0; i < BUCKETS; i++)
        for (box *b = table[i]; b; b = b->next)
            if (b->from && box_state_of(b) != BOX_GONE) /* who waited for that sweeps next */
                fn(b->from->layers);
    pthread_mutex_unlock(&table_lock);
}

bool boxes_of(const char *template_id)
{
    bool found = false;

    pthread_mutex_lock(&table_lock);
    for (int i = 0; i < BUCKETS; i++)
        for (box *b = table[i]; b; b = b->next)
            found |= !b->hidden && !strcmp(b->template_id, template_id) &&
                     box_state_of(b) < BOX_ENDING;
    pthread_mutex_unlock(&table_lock);
    return found;
}

int boxes_count(void)
{
    int n;

    pthread_mutex_lock(&table_lock);
    n = count;
    pthread_mutex_unlock(&table_lock);
    return n;
}

/* ---- the end ---- */

/* Hands a dead one to the janitor. Takes over no reference: the table's is used. */
static void enqueue(box *b) /* under table_lock */
{
    b->queue = janitor_queue;
    janitor_queue = b;
    pthread_cond_signal(&janitor_work);
}

static void bury(box *b)
{
    pthread_mutex_lock(&table_lock);
    enqueue(b);
    pthread_mutex_unlock(&table_lock);
}

static void clean_up(box *b)
{
    char path[400];
    box **at;

    snprintf(path, sizeof path, "%s/boxes/%s", conf.state, b->id);
    for (int tries = 0; !b->keep && tries < 50 && !fs_remove_path(path); tries++)
        usleep(10000); /* a mount may take a moment to go */
    cgroup_remove(b->id);
    pthread_mutex_lock(&b->lock);
    b->state = BOX_GONE;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    pthread_mutex_lock(&table_lock);
    for (at = &table[bucket(b->id)]; *at != b; at = &(*at)->next)
        ;
    *at = b->next;
    count--;
    pthread_cond_broadcast(&table_changed);
    pthread_mutex_unlock(&table_lock);
    box_unref(b);
}

static void *janitor_main(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&table_lock);
    while (janitor_queue || !janitor_stop) {
        box *b = janitor_queue;

        if (!b) {
            pthread_cond_wait(&janitor_work, &table_lock);
            continue;
        }
        janitor_queue = b->queue;
        pthread_mutex_unlock(&table_lock);
        if (b->to_pause) {
            b->to_pause = false;
            box_pause_queued(b);
            box_unref(b);
        } else {
            clean_up(b);
        }
        pthread_mutex_lock(&table_lock);
    }
    pthread_mutex_unlock(&table_lock);
    return NULL;
}

static void tell_to_die(const box *b)
{
    id_msg m = { .type = M_KILL };

    memcpy(m.id, b->id, sizeof m.id);
    msg_send(zygote_sock, &m, sizeof m, NULL, 0);
}

/* Under b->lock. True: it ends by this call; a hollow one is for the caller to bury. */
static bool begin_end(box *b, const char *reason)
{
    if (b->state != BOX_RUNNING && b->state != BOX_PAUSED)
        return false;
    if (!b->keep)
        keep_forget(b->id);
    log_at(2, "sandbox %s ends: %s", b->id, reason);
    b->state = b->hollow ? BOX_DEAD : BOX_ENDING;
    if (!b->hollow)
        tell_to_die(b);
    return true;
}

void box_end_processes(box *b)
{
    tell_to_die(b);
    while (!b->hollow)
        pthread_cond_wait(&b->changed, &b->lock);
}

void box_settle(box *b, box_state state)
{
    bool died;

    pthread_mutex_lock(&b->lock);
    died = b->hollow && state == BOX_RUNNING;
    b->state = died ? BOX_DEAD : state;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    if (died)
        bury(b);
}

bool box_kill(box *b, const char *reason)
{
    bool ours, hollow;

    pthread_mutex_lock(&b->lock);
    while (b->state == BOX_BUSY)
        pthread_cond_wait(&b->changed, &b->lock);
    hollow = b->hollow;
    ours = begin_end(b, reason);
    pthread_mutex_unlock(&b->lock);
    if (ours && hollow)
        bury(b);
    pthread_mutex_lock(&b->lock);
    while (b->state != BOX_GONE)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
    return ours;
}

void box_on_dead(const char *id, int status)
{
    bool stays;
    box *b;

    pthread_mutex_lock(&table_lock);
    b = lookup(id);
    if (b)
        box_ref(b);
    pthread_mutex_unlock(&table_lock);
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    if (b->state == BOX_RUNNING || (b->state == BOX_PAUSED && !b->hollow))
        log_at(0, "sandbox %s died by itself (status %d)", b->id, status);
    stays = b->state == BOX_BUSY; /* a pause that keeps files only, or one that failed */
    b->hollow = true;
    if (!stays)
        b->state = BOX_DEAD;
    pthread_cond_broadcast(&b->changed);
    procs_lost(b);
    if (b->sock.on) {
        reactor_drop(&b->sock);
        reactor_later(box_unref, b); /* the one registering took */
    }
    pthread_mutex_unlock(&b->lock);
    if (!stays)
        bury(b);
    reactor_later(box_unref, b);
}

void box_on_message(box *b)
{
    token_msg m;
    ssize_t n;

    while ((n = msg_recv(b->sock.fd, &m, sizeof m, NULL, NULL, MSG_DONTWAIT)) > 0)
        if (n == (ssize_t)sizeof m && m.type == M_EXIT) {
            proc_exited(b, m.token, m.value);
        } else if (n == (ssize_t)sizeof m && m.type == M_DONE) {
            pthread_mutex_lock(&b->lock);
            b->done_token = m.token;
            b->done_value = m.value;
            pthread_cond_broadcast(&b->changed);
            pthread_mutex_unlock(&b->lock);
        }
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        /* The agent is dead; the zygote will say so, be quiet until then. */
        pthread_mutex_lock(&b->lock);
        reactor_pause(&b->sock, true);
        pthread_mutex_unlock(&b->lock);
    }
}

void box_expire(int64_t now, int64_t *next)
{
    pthread_mutex_lock(&table_lock);
    for (int i = 0; i < BUCKETS; i++)
        for (box *b = table[i]; b; b = b->next) {
            pthread_mutex_lock(&b->lock);
            if (b->state == BOX_RUNNING) {
                if (now >= b->end_mono && b->pause_at_end) {
                    b->state = BOX_BUSY;
                    b->to_pause = true;
                    enqueue(box_ref(b));
                } else if (now >= b->end_mono) {
                    if (begin_end(b, "timeout"))
                        log_at(1, "sandbox %s: its time is over", b->id);
                } else if (b->end_mono < *next) {
                    *next = b->end_mono;
                }
                procs_expire(b, now, next);
            }
            pthread_mutex_unlock(&b->lock);
        }
    pthread_mutex_unlock(&table_lock);
}

void box_set_end(box *b, int64_t timeout_ms, bool only_extend)
{
    int64_t mono = mono_ms() + timeout_ms, end = unix_ms() + timeout_ms;

    pthread_mutex_lock(&b->lock);
    if (!only_extend || mono > b->end_mono) {
        b->end_mono = mono;
        b->end_ms = end;
    }
    pthread_mutex_unlock(&b->lock);
    reactor_deadline(mono);
}

void box_set_pause(box *b, bool at_end)
{
    pthread_mutex_lock(&b->lock);
    b->pause_at_end = at_end;
    pthread_mutex_unlock(&b->lock);
}

/* ---- the beginning ---- */
const char *box_files(void)
{
    return conf.rung == 3 ? "root" : "upper";
}

box *box_blank(const char *id)
{
    box *b = xalloc(sizeof *b);

    snprintf(b->id, sizeof b->id, "%s", id);
    b->dirfd = -1;
    b->sock = (watch){ .kind = W_BOX, .fd = -1, .owner = b };
    b->root.fd = -1;
    b->root.real = "";
    if (conf.rung == 3) {
        char at[400];

        snprintf(at, sizeof at, "%s/boxes/%s/root", conf.state, b->id);
        b->real = xstrdup(at);
        b->root.real = b->real;
    }
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    b->refs = 2; /* the caller's and the table's */
    return b;
}

void box_pairs_of_system(box *b)
{
    pairs_add(&b->env, "E2B_SANDBOX", "true");
    pairs_add(&b->env, "E2B_SANDBOX_ID", b->id);
    pairs_add(&b->env, "E2B_TEMPLATE_ID", b->template_id);
}

static box *box_new(const box_options *o)
{
    char id[ID_LEN + 3] = "i";
    box *b;

    random_id(id + 1, ID_LEN - 1);
    b = box_blank(id);
    if (o->secure)
        random_hex(b->token, 32);
    if (o->private_ports)
        random_hex(b->traffic_token, 32);
    b->im = o->im;
    snprintf(b->template_id, sizeof b->template_id, "%s", o->template_id ? o->template_id
             : o->im->template_id);
    snprintf(b->alias, sizeof b->alias, "%s", o->alias ? o->alias : "");
    snprintf(b->mask_host, sizeof b->mask_host, "%s", o->mask_host ? o->mask_host : "");
    box_from(b, o->from);
    b->hidden = o->hidden;
    box_pairs_of_system(b);
    if (o->from)
        pairs_copy(&b->env, &o->from->env);
    pairs_copy(&b->env, o->env);
    pairs_copy(&b->metadata, o->metadata);
    b->internet_choice = o->internet;
    b->internet = o->internet != 0;
    b->pause_at_end = o->pause_at_end;
    b->pause_memory = !o->no_pause_memory;
    b->auto_resume = o->auto_resume;
    b->life_ms = o->timeout_ms;
    return b;
}

/* Under table_lock. */
static bool room_for_one(void)
{
    int running = 0;

    if (count < conf.max_sandboxes)
        return true;
    for (int i = 0; i < BUCKETS; i++)
        for (box *b = table[i]; b; b = b->next) {
            box_state s = box_state_of(b);

            running += s != BOX_PAUSED && s != BOX_GONE; /* whose end may be told already */
        }
    return running < conf.max_sandboxes;
}

bool box_may_run(void)
{
    bool ok;

    pthread_mutex_lock(&table_lock);
    ok = room_for_one() && !closing;
    pthread_mutex_unlock(&table_lock);
    return ok;
}

static bool enter_table(box *b)
{
    unsigned at = bucket(b->id);
    bool ok;

    pthread_mutex_lock(&table_lock);
    ok = (b->state == BOX_PAUSED || room_for_one()) && !closing;
    if (ok) {
        b->next = table[at];
        table[at] = b;
        count++;
    }
    pthread_mutex_unlock(&table_lock);
    return ok;
}

bool box_adopt(box *b)
{
    b->state = BOX_PAUSED;
    b->hollow = true;
    return enter_table(b);
}

/* Asks the zygote and waits for the agent's first word. */
int box_bring_up(box *b, char *why, size_t cap, bool *asked)
{
    make_msg m = { .type = M_MAKE, .image = (uint32_t)(b->im - conf.images),
                   .flags = b->internet ? 0 : MAKE_NO_NET };
    ready_msg ready = { .err = -1 };
    int pair[2], nfds = 2, fds[2] = { -1, -1 };
    struct pollfd p;
    char path[400];

    snprintf(path, sizeof path, "%s/boxes/%s", conf.state, b->id);
    memcpy(m.id, b->id, sizeof m.id);
    if (b->from) {
        m.cpus = b->from->cpus;
        m.memory_mib = b->from->memory_mib;
        memcpy(m.layers, b->from->layers, sizeof m.layers);
    }
    if ((mkdir(path, 0711) != 0 && errno != EEXIST) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        snprintf(why, cap, "%s", strerror(errno));
        return -EIO;
    }
    b->sock.fd = pair[0];
    *asked = msg_send(zygote_sock, &m, sizeof m, &pair[1], 1) == 0;
    close(pair[1]);
    snprintf(why, cap, "no answer from the new sandbox");
    p = (struct pollfd){ pair[0], POLLIN, 0 };
    if (!*asked || poll(&p, 1, READY_WAIT_MS) != 1 ||
        msg_recv(pair[0], &ready, sizeof ready, fds, &nfds, 0) != (ssize_t)sizeof ready)
        return -EIO;
    ready.why[sizeof ready.why - 1] = '\0';
    if (nfds == 2) {
        /* In place: who still has the number from before a pause finds this tree. */
        if (b->root.fd >= 0) {
            dup3(fds[0], b->root.fd, O_CLOEXEC);
            close(fds[0]);
        } else {
            b->root.fd = fds[0];
        }
        b->dirfd = fds[1];
        b->agent_pid = ready.pid;
    }
    if (ready.type != M_READY || ready.err != 0 || nfds != 2) {
        snprintf(why, cap, "%.200s", ready.why);
        return -EIO;
    }
    return 0;
}

static int put_files(box *b, int from, char *why, size_t cap)
{
    char path[400];
    int result;

    snprintf(path, sizeof path, "%s/boxes/%s", conf.state, b->id);
    if (mkdir(path, 0711) != 0)
        return -EIO;
    snprintf(path, sizeof path, "%s/boxes/%s/%s", conf.state, b->id, box_files());
    result = fs_copy_path(from, path);
    if (result != 0)
        snprintf(why, cap, "copy of the files: %s", strerror(-result));
    return result == 0 ? 0 : -EIO;
}

int box_create(const box_options *o, box **out, char *why, size_t cap)
{
    box *b = box_new(o);
    bool asked = false;
    int result, files;

    *out = NULL;
    if (!enter_table(b)) {
        box_unref(b);
        box_unref(b);
        return -EAGAIN;
    }
    files = o->files < 0 && conf.rung == 3 && o->from && o->from->layers[0]
            ? layer_open(o->from->layers) : o->files;
    result = files >= 0 ? put_files(b, files, why, cap) : 0;
    if (files >= 0 && files != o->files)
        close(files);
    if (result == 0)
        result = box_bring_up(b, why, cap, &asked);
    pthread_mutex_lock(&b->lock);
    if (result == 0 && b->state == BOX_STARTING) {
        b->started_ms = unix_ms();
        b->end_ms = b->started_ms + o->timeout_ms;
        b->end_mono = mono_ms() + o->timeout_ms;
        b->state = BOX_RUNNING;
        fcntl(b->sock.fd, F_SETFL, 0);
        if (reactor_add(&b->sock) == 0)
            box_ref(b);
        else
            result = -EMFILE;
    } else {
        result = -EIO;
    }
    if (result != 0 && b->state < BOX_DEAD) {
        b->state = BOX_RUNNING; /* so that it can be ended the usual way */
        begin_end(b, "it could not be made");
    }
    pthread_mutex_unlock(&b->lock);
    pthread_cond_broadcast(&b->changed);
    if (result == 0) {
        reactor_deadline(b->end_mono);
        box_log(b, "info", "sandbox started");
        if (b->from && *b->from->start && !b->hidden)
            start_command(b);
        *out = b;
        return 0;
    }
    if (!asked)
        bury(b); /* nobody will report it dead */
    box_unref(b);
    return result;
}

/* ---- start and stop of all ---- */
int boxes_start(int sock, pid_t zygote)
{
    zygote_sock = sock;
    zygote_pid = zygote;
    reactor_start(sock);
    keep_load();
    samples_start();
    return pthread_create(&janitor, NULL, janitor_main, NULL) == 0 ? 0 : -1;
}

/* Those that are paused stay on disk, if the state does. */
static void end_everything(void)
{
    box **all;
    size_t n = box_list(&all);

    for (size_t i = 0; i < n; i++) {
        box *b = all[i];
        bool hollow, ours;

        box_await(b);
        pthread_mutex_lock(&b->lock);
        b->keep = b->state == BOX_PAUSED && !conf.state_is_temp && keep_kept(b->id);
        hollow = b->hollow;
        ours = begin_end(b, "shutdown");
        pthread_mutex_unlock(&b->lock);
        if (ours && hollow)
            bury(b);
        box_unref(b);
    }
    free(all);
}

void boxes_stop(void)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    pthread_mutex_lock(&table_lock);
    closing = true;
    pthread_mutex_unlock(&table_lock);
    end_everything();
    pthread_mutex_lock(&table_lock);
    while (count > 0 &&
           pthread_cond_timedwait(&table_changed, &table_lock, &until) != ETIMEDOUT)
        ;
    if (count > 0)
        log_at(0, "%d sandboxes did not end in time", count);
    pthread_mutex_unlock(&table_lock);
}

void boxes_close(void)
{
    int status;

    pthread_mutex_lock(&table_lock);
    janitor_stop = true;
    pthread_cond_signal(&janitor_work);
    pthread_mutex_unlock(&table_lock);
    pthread_join(janitor, NULL);
    samples_stop();
    reactor_stop();
    keep_free();
    close(zygote_sock); /* the zygote cleans up what may be left, then ends */
    while (waitpid(zygote_pid, &status, 0) < 0 && errno == EINTR)
        ;
}
