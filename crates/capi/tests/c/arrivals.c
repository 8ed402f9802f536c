/* Connections from bare addresses, and several in one call. */
#include "check.h"

static void bytes_are_the_client_of_the_socket_address(void) {
    connlimit_limiter *limiter = limiter_of("{\"max_per_client\": 1, \"ipv6_prefix\": 64}");
    struct peer v4 = peer_v4("192.0.2.1"), v6 = peer_v6("2001:db8::1");
    static const unsigned char mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1};
    static const unsigned char neighbour[16] = {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9};
    connlimit_permit a = CONNLIMIT_PERMIT_INIT, b = CONNLIMIT_PERMIT_INIT;
    uint32_t num = 0;

    OK(connlimit_try_acquire(limiter, ADDR(v4), v4.len, &a));
    CHECK(open_of_ip(limiter, "\300\0\2\1"), 1);
    CHECK(connlimit_try_acquire_ip(limiter, "\300\0\2\1", 4, &b), CONNLIMIT_CLIENT_LIMIT);
    CHECK(connlimit_try_acquire_ip(limiter, mapped, 16, &b), CONNLIMIT_CLIENT_LIMIT);
    OK(connlimit_try_acquire_ip(limiter, neighbour, 16, &b));
    OK(connlimit_open_connections(limiter, ADDR(v6), v6.len, &num));
    CHECK(num, 1);
    OK(connlimit_release(&a));
    OK(connlimit_release(&b));

    for (size_t len = 0; len <= 16; len++) {
        if (len == 4 || len == 16) continue;
        /* No byte more than `len` is there. */
        char *exact = malloc(len + 1);
        memset(exact, 7, len + 1);
        CHECK(connlimit_try_acquire_ip(limiter, exact + 1, len, &a), CONNLIMIT_BAD_LENGTH);
        CHECK(connlimit_open_connections_ip(limiter, exact + 1, len, &num), CONNLIMIT_BAD_LENGTH);
        free(exact);
    }
    CHECK(connlimit_try_acquire_ip(limiter, mapped, SIZE_MAX, &a), CONNLIMIT_BAD_LENGTH);
    CHECK(connlimit_release(&a), CONNLIMIT_PERMIT_EMPTY);
    OK(connlimit_destroy(&limiter));
}

static void a_caller_may_have_a_limit_of_its_own(void) {
    connlimit_limiter *limiter = limiter_of("{\"max_per_client\": 1}");
    struct peer peer = peer_v4("192.0.2.1");
    connlimit_permit a = CONNLIMIT_PERMIT_INIT, b = CONNLIMIT_PERMIT_INIT, c = CONNLIMIT_PERMIT_INIT;
    CHECK(connlimit_try_acquire_within(limiter, ADDR(peer), peer.len, 0, &a), CONNLIMIT_CLIENT_LIMIT);
    OK(connlimit_try_acquire_within(limiter, ADDR(peer), peer.len, 2, &a));
    OK(connlimit_try_acquire_within_ip(limiter, "\300\0\2\1", 4, 2, &b));
    CHECK(connlimit_try_acquire_within_ip(limiter, "\300\0\2\1", 4, 2, &c), CONNLIMIT_CLIENT_LIMIT);
    OK(connlimit_try_acquire_within_named(limiter, "tenant", 6, 1, &c));
    OK(connlimit_release(&a));
    OK(connlimit_release(&b));
    OK(connlimit_release(&c));
    OK(connlimit_destroy(&limiter));
}

static void an_unknown_peer_is_admitted_when_told_so(void) {
    connlimit_limiter *limiter = limiter_of("{\"max_per_client\": 1, \"unknown_peer\": \"admit-untracked\", \"counting\": true}");
    connlimit_permit permit = CONNLIMIT_PERMIT_INIT;
    OK(connlimit_try_acquire_unknown(limiter, &permit));
    CHECK(stats_of(limiter).admitted_untracked, 1);
    CHECK(stats_of(limiter).total.open_connections, 0);
    OK(connlimit_release(&permit));
    OK(connlimit_destroy(&limiter));
}

static void a_batch_answers_for_each(void) {
    enum { N = 8 };
    connlimit_limiter *limiter = limiter_of("{\"max_per_client\": 2}");
    struct peer peer = peer_v4("192.0.2.1");
    connlimit_permit permits[N];
    connlimit_arrival arrivals[N];
    static const int32_t expected[N] = {CONNLIMIT_OK,           CONNLIMIT_OK,         CONNLIMIT_CLIENT_LIMIT,
                                        CONNLIMIT_OK,           CONNLIMIT_BAD_LENGTH, CONNLIMIT_UNKNOWN_FAMILY,
                                        CONNLIMIT_NULL_POINTER, CONNLIMIT_PERMIT_IN_USE};
    memset(permits, 0, sizeof permits);
    memset(arrivals, 0, sizeof arrivals);
    for (int i = 0; i < N; i++) {
        arrivals[i].address = "\300\0\2\1";
        arrivals[i].len = 4;
        arrivals[i].kind = CONNLIMIT_IP;
        arrivals[i].permit = &permits[i];
        arrivals[i].status = 4711;
    }
    arrivals[0].address = &peer.addr;
    arrivals[0].len = peer.len;
    arrivals[0].kind = CONNLIMIT_SOCKADDR;
    arrivals[3].kind = CONNLIMIT_NAME;
    arrivals[4].len = 5;
    arrivals[5].kind = 9;
    arrivals[6].address = NULL;
    arrivals[7].permit = &permits[0];

    CHECK(connlimit_try_acquire_batch(limiter, arrivals, sizeof *arrivals - 1, N), CONNLIMIT_BAD_SIZE);
    CHECK(arrivals[0].status, 4711);
    OK(connlimit_try_acquire_batch(limiter, arrivals, sizeof *arrivals, 0));
    OK(connlimit_try_acquire_batch(limiter, arrivals, sizeof *arrivals, N));
    for (int i = 0; i < N; i++) {
        CHECK(arrivals[i].status, expected[i]);
        CHECK(connlimit_release(&permits[i]), expected[i] == CONNLIMIT_OK ? CONNLIMIT_OK : CONNLIMIT_PERMIT_EMPTY);
    }
    CHECK(open_connections(limiter, peer), 0);
    OK(connlimit_destroy(&limiter));
}

static void a_long_batch_is_as_exact_as_single_calls(void) {
    enum { N = 3000 };
    static connlimit_permit permits[N];
    static connlimit_arrival arrivals[N];
    static unsigned char ips[N][4];
    connlimit_limiter *limiter = limiter_of("{\"max_per_client\": 5}");
    long admitted = 0;
    for (int i = 0; i < N; i++) {
        ips[i][0] = 10;
        ips[i][3] = (unsigned char)(i % 100);
        arrivals[i].address = ips[i];
        arrivals[i].len = 4;
        arrivals[i].kind = CONNLIMIT_IP;
        arrivals[i].permit = &permits[i];
    }
    OK(connlimit_try_acquire_batch(limiter, arrivals, sizeof *arrivals, N));
    for (int i = 0; i < N; i++) admitted += arrivals[i].status == CONNLIMIT_OK;
    CHECK(admitted, 500);
    CHECK(stats_of(limiter).total.open_connections, 500);
    for (int i = 0; i < N; i++) (void)connlimit_release(&permits[i]);
    CHECK(stats_of(limiter).total.open_connections, 0);
    OK(connlimit_destroy(&limiter));
}

int main(void) {
    bytes_are_the_client_of_the_socket_address();
    a_caller_may_have_a_limit_of_its_own();
    an_unknown_peer_is_admitted_when_told_so();
    a_batch_answers_for_each();
    a_long_batch_is_as_exact_as_single_calls();
    return 0;
}
