/* threads_test - several clients in several threads share nothing: each kind of call
   in every thread at once, on peers in memory and on real sockets. `make tsan` builds
   it so that the compiler watches. */
#define SANDBOX_IMPLEMENTATION
#define SBX_NO_TLS
#include "../../sandbox_impl/sandbox_all.h"
#include "op_peer.h"
#include "../test.h"
#include "op_rig.h"
#include "op_kinds.h"
#include <pthread.h>

enum { THREADS = 4, ROUNDS = 3 };

typedef struct worker {
    pthread_t thread;
    unsigned seed;
    uint16_t port;
    unsigned same, done;
} worker;

/* All kinds, polled all at once; compared with what each says alone. */
static void one_round(worker *w, unsigned round)
{
    kinds k;
    slot s[K_COUNT];
    size_t running = 1;
    int kind;
    kinds_begin(&k, NULL, 0);
    kinds_open(&k);
    k.r.p->ragged = w->seed * 100 + round;
    for (kind = 0; kind < K_COUNT; kind++) {
        slot_init(&s[kind], &k, kind, kind & 1);
        (void)slot_start(&s[kind], false);
    }
    while (running && sbx_poll(k.r.c, 1000, &running) == SBX_OK) {}
    for (kind = 0; kind < K_COUNT; kind++) {
        ptext t = { 0 };
        slot_tell(&s[kind], s[kind].status, &t);
        w->done++;
        if (strcmp(t.p, kind_alone(kind)) == 0) w->same++;
        pt_free(&t);
        slot_free(&s[kind]);
    }
    kinds_end(&k);
}

static void *work_in_memory(void *arg)
{
    worker *w = arg;
    unsigned i;
    for (i = 0; i < ROUNDS; i++) one_round(w, i);
    return NULL;
}

static void run_threads(void *(*work)(void *), uint16_t port, unsigned each)
{
    worker w[THREADS];
    int i, started;
    memset(w, 0, sizeof w);
    for (started = 0; started < THREADS; started++) {
        w[started].seed = (unsigned)started + 1;
        w[started].port = port;
        if (!CHECK(pthread_create(&w[started].thread, NULL, work, &w[started]) == 0)) break;
    }
    for (i = 0; i < started; i++) {
        pthread_join(w[i].thread, NULL);
        CHECK_INT(w[i].done, each);
        CHECK_INT(w[i].same, each);
    }
}

TEST(clients_in_memory)
{
    int kind;
    for (kind = 0; kind < K_COUNT; kind++) (void)kind_alone(kind); /* known before they start */
    run_threads(work_in_memory, 0, ROUNDS * K_COUNT);
}

/* ---- real sockets --------------------------------------------------------------------- */

enum { CALLS = 20 };

typedef struct server { int fd; pthread_t thread; } server;

/* Answers one request of each connection in turn. */
static void *serve(void *arg)
{
    static const char reply[] = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    const server *v = arg;
    int left = THREADS * CALLS;
    while (left-- > 0) {
        char buf[2048];
        size_t have = 0;
        int fd = accept(v->fd, NULL, NULL);
        if (fd < 0) return NULL;
        while (have < sizeof buf - 1) {
            ssize_t n = recv(fd, buf + have, sizeof buf - 1 - have, 0);
            if (n <= 0) break;
            have += (size_t)n;
            buf[have] = 0;
            if (strstr(buf, "\r\n\r\n")) break;
        }
        (void)!send(fd, reply, sizeof reply - 1, MSG_NOSIGNAL);
        close(fd);
    }
    return NULL;
}

static void *work_on_sockets(void *arg)
{
    worker *w = arg;
    sbx_config g;
    sbx_client *c;
    sbx_sandbox *box;
    char url[40];
    bool yes = false;
    memset(&g, 0, sizeof g);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", w->port);
    g.provider = &sbx_e2b;
    g.environment = SBX_NO;
    g.api_key = "k";
    g.api_url = g.sandbox_url = url;
    if (sbx_open(&c, &g) != SBX_OK) return NULL;
    if (sbx_sandbox_attach(c, "box1", NULL, &box) == SBX_OK) {
        for (; w->done < CALLS; w->done++)
            w->same += sbx_sandbox_is_running(box, &yes, NULL) == SBX_OK && yes;
        sbx_sandbox_release(box);
    }
    sbx_close(c);
    return NULL;
}

TEST(clients_on_sockets)
{
    server v;
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v.fd = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(v.fd >= 0 && bind(v.fd, (struct sockaddr *)&a, sizeof a) == 0);
    REQUIRE(listen(v.fd, 16) == 0 && getsockname(v.fd, (struct sockaddr *)&a, &len) == 0);
    REQUIRE(pthread_create(&v.thread, NULL, serve, &v) == 0);
    run_threads(work_on_sockets, ntohs(a.sin_port), CALLS);
    shutdown(v.fd, SHUT_RDWR); /* ends accept(), had there been fewer calls */
    pthread_join(v.thread, NULL);
    close(v.fd);
}
