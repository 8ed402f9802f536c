/* Stats, usage, the clients with the most connections, and structures that have grown. */
#include "check.h"
#include <stddef.h>

static connlimit_permit permits[6];

/* 1, 2 and 3 connections of 192.0.2.1 to .3. */
static connlimit_limiter *busy(void) {
    connlimit_limiter *limiter = limiter_of("{\"max_per_client\": 4, \"soft_percent\": 50, \"counting\": true}");
    static const char hosts[] = {1, 2, 2, 3, 3, 3};
    for (int i = 0; i < 6; i++) {
        char ip[4] = {(char)192, 0, 2, hosts[i]};
        OK(connlimit_try_acquire_ip(limiter, ip, 4, &permits[i]));
    }
    return limiter;
}

static void idle(connlimit_limiter *limiter) {
    for (int i = 0; i < 6; i++) OK(connlimit_release(&permits[i]));
    CHECK(stats_of(limiter).total.open_connections, 0);
    OK(connlimit_destroy(&limiter));
}

static void stats_count_what_is_there(void) {
    connlimit_limiter *limiter = busy();
    connlimit_limiter_stats stats = stats_of(limiter);
    CHECK(stats.size, sizeof stats);
    CHECK(stats.total.open_connections, 6);
    CHECK(stats.ipv4.clients, 3);
    CHECK(stats.ipv6.clients + stats.named.clients, 0);
    CHECK(stats.total.bound_bytes <= 256 << 20 && stats.total.bound_bytes > 255 << 20, 1);
    CHECK(stats.admitted, 6);
    CHECK(stats.num_tiers, 0);
    idle(limiter);
}

static void usage_tells_how_near_a_client_is(void) {
    connlimit_limiter *limiter = busy();
    struct peer mapped = peer_v6("::ffff:192.0.2.3");
    connlimit_client_usage usage;
    connlimit_permit permit = CONNLIMIT_PERMIT_INIT, none = CONNLIMIT_PERMIT_INIT;
    memset(&usage, 0, sizeof usage);
    usage.size = sizeof usage;

    OK(connlimit_usage_ip(limiter, "\300\0\2\2", 4, &usage));
    CHECK(usage.open_connections, 2);
    CHECK(usage.limit, 4);
    CHECK(usage.zone, CONNLIMIT_NORMAL);
    OK(connlimit_usage(limiter, ADDR(mapped), mapped.len, &usage));
    CHECK(usage.open_connections, 3);
    CHECK(usage.zone, CONNLIMIT_SOFT);
    OK(connlimit_try_acquire_with_usage(limiter, ADDR(mapped), mapped.len, &permit, &usage));
    CHECK(usage.open_connections, 4);
    usage.open_connections = 4711;
    CHECK(connlimit_try_acquire_with_usage_ip(limiter, "\300\0\2\3", 4, &none, &usage), CONNLIMIT_CLIENT_LIMIT);
    CHECK(usage.open_connections, 4711);
    OK(connlimit_release(&permit));
    OK(connlimit_usage_named(limiter, "nobody", 6, &usage));
    CHECK(usage.open_connections, 0);
    OK(connlimit_try_acquire_with_usage_named(limiter, "somebody", 8, &permit, &usage));
    CHECK(usage.open_connections, 1);
    OK(connlimit_release(&permit));
    /* No size, no admission. */
    usage.size = 0;
    CHECK(connlimit_try_acquire_with_usage_ip(limiter, "abcd", 4, &permit, &usage), CONNLIMIT_BAD_SIZE);
    CHECK(open_of_ip(limiter, "abcd"), 0);
    CHECK(connlimit_release(&permit), CONNLIMIT_PERMIT_EMPTY);
    idle(limiter);
}

static void the_top_is_in_order(void) {
    connlimit_limiter *limiter = busy();
    connlimit_client_count top[4];
    connlimit_permit v6 = CONNLIMIT_PERMIT_INIT, named = CONNLIMIT_PERMIT_INIT;
    struct peer peer = peer_v6("2001:db8::7");
    size_t found = 4711;

    OK(connlimit_top(limiter, top, sizeof *top, 2, &found));
    CHECK(found, 2);
    CHECK(strcmp(top[0].text, "192.0.2.3"), 0);
    CHECK(top[0].open_connections, 3);
    CHECK(top[0].ip_len, 4);
    CHECK(memcmp(top[0].ip, "\300\0\2\3", 4), 0);
    CHECK(strcmp(top[1].text, "192.0.2.2"), 0);

    for (int i = 0; i < 3; i++) OK(connlimit_release(&permits[i]));
    OK(connlimit_try_acquire(limiter, ADDR(peer), peer.len, &v6));
    OK(connlimit_try_acquire_named(limiter, "x", 1, &named));
    OK(connlimit_top(limiter, top, sizeof *top, 4, &found));
    CHECK(found, 3);
    CHECK(strcmp(top[1].text, "2001:db8::7"), 0);
    CHECK(top[1].ip_len, 16);
    CHECK(memcmp(top[1].ip, &((struct sockaddr_in6 *)&peer.addr)->sin6_addr, 16), 0);
    CHECK(strncmp(top[2].text, "named:", 6), 0);
    CHECK(top[2].ip_len, 0);
    CHECK(connlimit_top(limiter, top, sizeof *top - 1, 4, &found), CONNLIMIT_BAD_SIZE);
    CHECK(found, 0);
    OK(connlimit_top(limiter, top, sizeof *top, 0, &found));
    CHECK(found, 0);

    OK(connlimit_release(&v6));
    OK(connlimit_release(&named));
    for (int i = 3; i < 6; i++) OK(connlimit_release(&permits[i]));
    OK(connlimit_destroy(&limiter));
}

static void names_can_be_kept(void) {
    connlimit_limiter *limiter = limiter_of("{\"max_per_client\": 1}");
    connlimit_permit permit = CONNLIMIT_PERMIT_INIT;
    connlimit_client_count top;
    size_t found = 0;
    char name[200];
    memset(name, '\n', sizeof name);
    OK(connlimit_keep_names(100));
    OK(connlimit_try_acquire_named(limiter, "tenant-17", 9, &permit));
    OK(connlimit_top(limiter, &top, sizeof top, 1, &found));
    CHECK(strcmp(top.text, "named:tenant-17"), 0);
    OK(connlimit_release(&permit));
    /* Escaped, and cut off. */
    OK(connlimit_try_acquire_named(limiter, name, 120, &permit));
    OK(connlimit_top(limiter, &top, sizeof top, 1, &found));
    CHECK(strncmp(top.text, "named:\\n\\n", 10), 0);
    CHECK(strlen(top.text), sizeof top.text - 1);
    OK(connlimit_release(&permit));
    OK(connlimit_destroy(&limiter));
}

struct walk {
    connlimit_limiter *limiter;
    uint32_t clients, connections, most;
};

static int32_t visit(const connlimit_client_count *client, void *arg) {
    struct walk *walk = arg;
    uint32_t num = 0;
    /* It may call the library. */
    OK(connlimit_open_connections_ip(walk->limiter, client->ip, client->ip_len, &num));
    CHECK(num, client->open_connections);
    walk->clients++;
    walk->connections += num;
    return walk->clients == walk->most;
}

static void a_walk_sees_each_client_until_it_is_ended(void) {
    connlimit_limiter *limiter = busy();
    struct walk walk = {limiter, 0, 0, 0};
    OK(connlimit_walk(limiter, visit, &walk));
    CHECK(walk.clients, 3);
    CHECK(walk.connections, 6);
    walk.clients = 0;
    walk.most = 2;
    OK(connlimit_walk(limiter, visit, &walk));
    CHECK(walk.clients, 2);
    idle(limiter);
}

/* As a header of before and one of later may have them. */
struct earlier_usage {
    size_t size;
    uint32_t open_connections;
    uint32_t limit;
    int32_t zone;
    uint32_t reserved;
    char not_the_library_s;
};

struct later_stats {
    connlimit_limiter_stats now;
    uint64_t later[2];
};

struct later_count {
    connlimit_client_count now;
    uint64_t later;
};

static void structures_may_be_shorter_or_longer(void) {
    connlimit_limiter *limiter = busy();
    struct earlier_usage earlier = {offsetof(struct earlier_usage, not_the_library_s), 0, 0, 0, 0, 'x'};
    struct later_stats later;
    struct later_count top[2];
    size_t found = 0;

    OK(connlimit_usage_ip(limiter, "\300\0\2\3", 4, (connlimit_client_usage *)&earlier));
    CHECK(earlier.open_connections, 3);
    CHECK(earlier.zone, CONNLIMIT_SOFT);
    CHECK(earlier.not_the_library_s, 'x');
    earlier.size = sizeof earlier.size;
    CHECK(connlimit_usage_ip(limiter, "\300\0\2\3", 4, (connlimit_client_usage *)&earlier), CONNLIMIT_BAD_SIZE);

    memset(&later, 0xa5, sizeof later);
    later.now.size = sizeof later;
    OK(connlimit_stats(limiter, &later.now));
    CHECK(later.now.size, sizeof later);
    CHECK(later.now.total.open_connections, 6);
    CHECK(later.later[0] + later.later[1], 0);
    later.now.size = 0xa5a5a5a5;
    CHECK(connlimit_stats(limiter, &later.now), CONNLIMIT_BAD_SIZE);

    memset(top, 0xa5, sizeof top);
    OK(connlimit_top(limiter, &top[0].now, sizeof *top, 2, &found));
    CHECK(strcmp(top[1].now.text, "192.0.2.2"), 0);
    CHECK(top[0].later + top[1].later, 0);
    idle(limiter);
}

int main(void) {
    stats_count_what_is_there();
    usage_tells_how_near_a_client_is();
    the_top_is_in_order();
    a_walk_sees_each_client_until_it_is_ended();
    structures_may_be_shorter_or_longer();
    names_can_be_kept();
    return 0;
}
