/* What the programs here share: checks that end the program, peers, and limiters. */
#ifndef CHECK_H
#define CHECK_H

#include <arpa/inet.h>
#include <connlimit.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static inline void check_at(const char *file, int line, const char *what, long is, long should) {
    if (is != should) {
        fprintf(stderr, "%s:%d: %s is %ld, should be %ld\n", file, line, what, is, should);
        exit(1);
    }
}
#define CHECK(is, should) check_at(__FILE__, __LINE__, #is, (long)(is), (long)(should))
#define OK(call) CHECK(call, CONNLIMIT_OK)

struct peer {
    struct sockaddr_storage addr;
    socklen_t len;
};
#define ADDR(peer) ((const struct sockaddr *)&(peer).addr)

static inline struct peer peer_v4(const char *text) {
    struct peer peer;
    struct sockaddr_in *sin = (struct sockaddr_in *)&peer.addr;
    memset(&peer, 0, sizeof peer);
    sin->sin_family = AF_INET;
    sin->sin_port = htons(50000);
    CHECK(inet_pton(AF_INET, text, &sin->sin_addr), 1);
    peer.len = sizeof *sin;
    return peer;
}

static inline struct peer peer_v6(const char *text) {
    struct peer peer;
    struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&peer.addr;
    memset(&peer, 0, sizeof peer);
    sin6->sin6_family = AF_INET6;
    CHECK(inet_pton(AF_INET6, text, &sin6->sin6_addr), 1);
    peer.len = sizeof *sin6;
    return peer;
}

/* A configuration as text says it. */
static inline connlimit_config *config_of(const char *text) {
    connlimit_config *config = NULL;
    OK(connlimit_config_create(1, &config));
    if (connlimit_config_parse(config, text, strlen(text)) != CONNLIMIT_OK) {
        fprintf(stderr, "%s: %s\n", text, connlimit_config_fault(config));
        exit(1);
    }
    return config;
}

/* A limiter as text says it. */
static inline connlimit_limiter *limiter_of(const char *text) {
    connlimit_config *config = config_of(text);
    connlimit_limiter *limiter = NULL;
    OK(connlimit_create(config, &limiter));
    OK(connlimit_config_destroy(&config));
    return limiter;
}

static inline uint32_t open_connections(const connlimit_limiter *limiter, struct peer peer) {
    uint32_t num = 4711;
    OK(connlimit_open_connections(limiter, ADDR(peer), peer.len, &num));
    return num;
}

static inline uint32_t open_of_ip(const connlimit_limiter *limiter, const char *v4) {
    uint32_t num = 4711;
    OK(connlimit_open_connections_ip(limiter, v4, 4, &num));
    return num;
}

static inline connlimit_limiter_stats stats_of(const connlimit_limiter *limiter) {
    connlimit_limiter_stats stats;
    memset(&stats, 0xa5, sizeof stats);
    stats.size = sizeof stats;
    OK(connlimit_stats(limiter, &stats));
    return stats;
}

#endif
