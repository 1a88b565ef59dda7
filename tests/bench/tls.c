/* tls - a download over TLS by sandbox.h beside the same by mbedTLS alone: one
   library, one process, the same server (a child of this one), in turn.
     tls CA CERT KEY MIB ROUNDS   lines: tls|WHO|MB/s|MB per CPU second|ratio|CPU ratio */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox.h"
#include "bench.h"
#include <arpa/inet.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <signal.h>
#include <sys/wait.h>
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
#include <psa/crypto.h>
#endif

static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context random_bytes;
static char port[8];

static void must(int ok, const char *what)
{
    if (!ok) bench_die(what);
}

/* The defaults of the library, a chain or an authority. */
static void configure(mbedtls_ssl_config *conf, int endpoint)
{
    mbedtls_ssl_config_init(conf);
    must(mbedtls_ssl_config_defaults(conf, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
        MBEDTLS_SSL_PRESET_DEFAULT) == 0, "config");
#if MBEDTLS_VERSION_NUMBER < 0x04000000
    mbedtls_ssl_conf_rng(conf, mbedtls_ctr_drbg_random, &random_bytes);
#endif
}

/* Any request is answered with so many bytes. */
static void answer(mbedtls_ssl_context *ssl, size_t bytes)
{
    static unsigned char buf[16384];
    size_t have = 0, left = bytes;
    int n;
    do {
        n = mbedtls_ssl_read(ssl, buf + have, sizeof buf - 1 - have);
        if (n <= 0) return;
        have += (size_t)n;
        buf[have] = 0;
    } while (!strstr((char *)buf, "\r\n\r\n"));
    n = snprintf((char *)buf, sizeof buf, "HTTP/1.1 200 OK\r\nContent-Length: %lu\r\nConnection: close\r\n\r\n",
        (unsigned long)bytes);
    if (mbedtls_ssl_write(ssl, buf, (size_t)n) != n) return;
    while (left > 0) {
        n = mbedtls_ssl_write(ssl, buf, left < sizeof buf ? left : sizeof buf);
        if (n <= 0) return;
        left -= (size_t)n;
    }
    mbedtls_ssl_close_notify(ssl);
}

static void serve(mbedtls_net_context *listener, const char *cert, const char *key, size_t bytes)
{
    static const int suites[] = { MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 0 };
    mbedtls_ssl_config conf;
    mbedtls_x509_crt chain;
    mbedtls_pk_context pk;
    configure(&conf, MBEDTLS_SSL_IS_SERVER);
    mbedtls_ssl_conf_ciphersuites(&conf, suites);
    mbedtls_x509_crt_init(&chain);
    mbedtls_pk_init(&pk);
    must(mbedtls_x509_crt_parse_file(&chain, cert) == 0, "certificate");
#if MBEDTLS_VERSION_NUMBER >= 0x03000000 && MBEDTLS_VERSION_NUMBER < 0x04000000
    must(mbedtls_pk_parse_keyfile(&pk, key, NULL, mbedtls_ctr_drbg_random, &random_bytes) == 0, "key");
#else
    must(mbedtls_pk_parse_keyfile(&pk, key, NULL) == 0, "key");
#endif
    must(mbedtls_ssl_conf_own_cert(&conf, &chain, &pk) == 0, "own certificate");
    for (;;) {
        mbedtls_net_context peer;
        mbedtls_ssl_context ssl;
        mbedtls_net_init(&peer);
        if (mbedtls_net_accept(listener, &peer, NULL, 0, NULL) != 0) exit(1);
        mbedtls_ssl_init(&ssl);
        must(mbedtls_ssl_setup(&ssl, &conf) == 0, "setup");
        mbedtls_ssl_set_bio(&ssl, &peer, mbedtls_net_send, mbedtls_net_recv, NULL);
        if (mbedtls_ssl_handshake(&ssl) == 0) answer(&ssl, bytes);
        mbedtls_ssl_free(&ssl);
        mbedtls_net_free(&peer);
    }
}

static void by_mbedtls(const char *ca, size_t bytes)
{
    static const char request[] = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static unsigned char buf[16384];
    mbedtls_ssl_config conf;
    mbedtls_x509_crt trusted;
    mbedtls_net_context net;
    mbedtls_ssl_context ssl;
    size_t got = 0;
    int n;
    configure(&conf, MBEDTLS_SSL_IS_CLIENT);
    mbedtls_x509_crt_init(&trusted);
    must(mbedtls_x509_crt_parse_file(&trusted, ca) == 0, "ca");
    mbedtls_ssl_conf_ca_chain(&conf, &trusted, NULL);
    mbedtls_ssl_conf_authmode(&conf, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_net_init(&net);
    must(mbedtls_net_connect(&net, "127.0.0.1", port, MBEDTLS_NET_PROTO_TCP) == 0, "connect");
    mbedtls_ssl_init(&ssl);
    must(mbedtls_ssl_setup(&ssl, &conf) == 0 && mbedtls_ssl_set_hostname(&ssl, "localhost") == 0, "setup");
    mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
    must(mbedtls_ssl_handshake(&ssl) == 0, "handshake");
    must(mbedtls_ssl_write(&ssl, (const unsigned char *)request, sizeof request - 1) > 0, "request");
    while ((n = mbedtls_ssl_read(&ssl, buf, sizeof buf)) > 0 || n == MBEDTLS_ERR_SSL_WANT_READ)
        if (n > 0) got += (size_t)n;
    must(got > bytes && got < bytes + 1000, "short");
    mbedtls_ssl_free(&ssl);
    mbedtls_net_free(&net);
    mbedtls_x509_crt_free(&trusted);
    mbedtls_ssl_config_free(&conf);
}

static int count(void *ctx, const void *data, size_t len)
{
    (void)data;
    *(size_t *)ctx += len;
    return SBX_OK;
}

static void by_ours(const char *ca, size_t bytes)
{
    sbx_config config;
    sbx_sandbox_access access;
    sbx_client *client;
    sbx_sandbox *box;
    sbx_sink to;
    size_t got = 0;
    char url[64];
    memset(&config, 0, sizeof config);
    memset(&access, 0, sizeof access);
    snprintf(url, sizeof url, "https://localhost:%s", port);
    config.provider = &sbx_e2b;
    config.environment = SBX_NO;
    config.api_key = "e2b_0000000000000000000000000000000000000000";
    config.domain = "localhost";
    config.api_url = config.sandbox_url = url;
    config.tls.ca_file = ca;
    access.access_token = "token";
    access.daemon_version = "0.6.4";
    to.put = count;
    to.ctx = &got;
    must(sbx_open(&client, &config) == SBX_OK, "open");
    must(sbx_sandbox_attach(client, "box", &access, &box) == SBX_OK, "attach");
    if (sbx_files_read(box, "/x", NULL, to, NULL) != SBX_OK) bench_die(sbx_client_error(client)->message);
    must(got == bytes, "wrong length");
    sbx_sandbox_release(box);
    sbx_close(client);
}

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    static double wall[2][64], cpu[2][64], wall_ratio[64], cpu_ratio[64];
    mbedtls_net_context listener;
    struct sockaddr_in at;
    socklen_t at_len = sizeof at;
    size_t bytes, rounds, i, who;
    pid_t server;
    must(argc == 6, "usage: tls CA CERT KEY MIB ROUNDS");
    bytes = (size_t)atoi(argv[4]) << 20;
    rounds = (size_t)atoi(argv[5]) & 63;
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
    must(psa_crypto_init() == PSA_SUCCESS, "psa");
#endif
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random_bytes);
    must(mbedtls_ctr_drbg_seed(&random_bytes, mbedtls_entropy_func, &entropy, NULL, 0) == 0, "seed");
    mbedtls_net_init(&listener);
    must(mbedtls_net_bind(&listener, "127.0.0.1", "0", MBEDTLS_NET_PROTO_TCP) == 0, "bind");
    must(getsockname(listener.fd, (struct sockaddr *)&at, &at_len) == 0, "port");
    snprintf(port, sizeof port, "%u", (unsigned)ntohs(at.sin_port));
    server = fork();
    must(server >= 0, "fork");
    if (server == 0) serve(&listener, argv[2], argv[3], bytes);
    by_mbedtls(argv[1], bytes); /* warm */
    by_ours(argv[1], bytes);
    for (i = 0; i < rounds; i++) {
        for (who = 0; who < 2; who++) {
            double began = bench_now(), used = cpu_now();
            (who ? by_mbedtls : by_ours)(argv[1], bytes);
            wall[who][i] = (double)bytes / 1e6 / (bench_now() - began);
            cpu[who][i] = (double)bytes / 1e6 / (cpu_now() - used);
        }
        wall_ratio[i] = wall[0][i] / wall[1][i];
        cpu_ratio[i] = cpu[0][i] / cpu[1][i];
    }
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    for (who = 0; who < 2; who++)
        printf("tls|%s|%.0f|%.0f|%.3f|%.3f\n", who ? "mbedTLS" : "ours", bench_median(wall[who], rounds),
            bench_median(cpu[who], rounds), who ? 1.0 : bench_median(wall_ratio, rounds),
            who ? 1.0 : bench_median(cpu_ratio, rounds));
    return 0;
}
