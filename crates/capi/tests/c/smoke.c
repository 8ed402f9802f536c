/* Uses the calls around permits as a server in C would, and as a careless one would. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"
#include <pthread.h>
#include <sys/un.h>
#include <unistd.h>

static connlimit_limiter *limiter_with(uint32_t max_per_client) {
    connlimit_config *config = NULL;
    connlimit_limiter *limiter = NULL;
    OK(connlimit_config_create(max_per_client, &config));
    OK(connlimit_config_set(config, CONNLIMIT_IPV6_PREFIX, 64));
    OK(connlimit_create(config, &limiter));
    OK(connlimit_config_destroy(&config));
    return limiter;
}

static void a_client_has_its_limit(void) {
    connlimit_limiter *limiter = limiter_with(2);
    struct peer peer = peer_v4("192.0.2.1"), other = peer_v4("192.0.2.2");
    connlimit_permit a = CONNLIMIT_PERMIT_INIT, b = CONNLIMIT_PERMIT_INIT, c = CONNLIMIT_PERMIT_INIT;

    OK(connlimit_try_acquire(limiter, ADDR(peer), peer.len, &a));
    OK(connlimit_try_acquire(limiter, ADDR(peer), peer.len, &b));
    CHECK(connlimit_try_acquire(limiter, ADDR(peer), peer.len, &c), CONNLIMIT_CLIENT_LIMIT);
    /* The caller's fault is told first. */
    CHECK(connlimit_try_acquire(limiter, ADDR(peer), peer.len, &a), CONNLIMIT_PERMIT_IN_USE);
    CHECK(open_connections(limiter, peer), 2);
    OK(connlimit_try_acquire(limiter, ADDR(other), other.len, &c));
    CHECK(connlimit_try_acquire(limiter, ADDR(other), other.len, &c), CONNLIMIT_PERMIT_IN_USE);
    CHECK(open_connections(limiter, other), 1);

    OK(connlimit_release(&a));
    CHECK(connlimit_release(&a), CONNLIMIT_PERMIT_EMPTY);
    CHECK(open_connections(limiter, peer), 1);
    OK(connlimit_move(&a, &b));
    CHECK(connlimit_release(&b), CONNLIMIT_PERMIT_EMPTY);
    OK(connlimit_try_acquire(limiter, ADDR(peer), peer.len, &b));

    OK(connlimit_release(&a));
    OK(connlimit_release(&b));
    OK(connlimit_release(&c));
    CHECK(open_connections(limiter, peer) + open_connections(limiter, other), 0);
    OK(connlimit_destroy(&limiter));
    CHECK(limiter == NULL, 1);
    CHECK(connlimit_destroy(&limiter), CONNLIMIT_NULL_POINTER);
}

static void a_mapped_address_is_the_ipv4_client(void) {
    connlimit_limiter *limiter = limiter_with(1);
    struct peer plain = peer_v4("192.0.2.1"), mapped = peer_v6("::ffff:192.0.2.1");
    connlimit_permit a = {0}, b = {0};

    OK(connlimit_try_acquire(limiter, ADDR(plain), plain.len, &a));
    CHECK(connlimit_try_acquire(limiter, ADDR(mapped), mapped.len, &b), CONNLIMIT_CLIENT_LIMIT);
    CHECK(open_connections(limiter, mapped), 1);
    OK(connlimit_release(&a));
    OK(connlimit_destroy(&limiter));
}

static void a_prefix_makes_a_client(void) {
    connlimit_limiter *limiter = limiter_with(1);
    struct peer near = peer_v6("2001:db8::1"), same = peer_v6("2001:db8::2"),
                far = peer_v6("2001:db8:0:1::1");
    connlimit_permit a = {0}, b = {0};

    OK(connlimit_try_acquire(limiter, ADDR(near), near.len, &a));
    CHECK(connlimit_try_acquire(limiter, ADDR(same), same.len, &b), CONNLIMIT_CLIENT_LIMIT);
    OK(connlimit_try_acquire(limiter, ADDR(far), far.len, &b));
    OK(connlimit_release(&a));
    OK(connlimit_release(&b));
    OK(connlimit_destroy(&limiter));
}

static void names_are_clients(void) {
    connlimit_limiter *limiter = limiter_with(1);
    struct peer local;
    struct sockaddr_un *sun = (struct sockaddr_un *)&local.addr;
    connlimit_permit a = {0}, b = {0};
    uint32_t num = 4711;

    memset(&local, 0, sizeof local);
    sun->sun_family = AF_UNIX;
    strcpy(sun->sun_path, "/run/app.sock");
    local.len = sizeof *sun;

    OK(connlimit_try_acquire_named(limiter, "a\0b", 3, &a));
    CHECK(connlimit_try_acquire_named(limiter, "a\0b", 3, &b), CONNLIMIT_CLIENT_LIMIT);
    OK(connlimit_try_acquire_named(limiter, "a\0c", 3, &b));
    OK(connlimit_release(&a));
    OK(connlimit_try_acquire(limiter, ADDR(local), local.len, &a));
    OK(connlimit_open_connections_named(limiter, "unix:/run/app.sock", 18, &num));
    CHECK(num, 1);
    OK(connlimit_release(&a));
    OK(connlimit_release(&b));
    OK(connlimit_destroy(&limiter));
}

static void accepted_sockets_have_addresses(void) {
    connlimit_limiter *limiter = limiter_with(1);
    struct peer local = peer_v4("127.0.0.1"), peer;
    connlimit_permit a = {0}, b = {0};
    int listener = socket(AF_INET, SOCK_STREAM, 0), out[2], in[2];

    ((struct sockaddr_in *)&local.addr)->sin_port = 0;
    CHECK(bind(listener, ADDR(local), local.len), 0);
    CHECK(listen(listener, 2), 0);
    CHECK(getsockname(listener, (struct sockaddr *)&local.addr, &local.len), 0);
    for (int i = 0; i < 2; i++) {
        out[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(connect(out[i], ADDR(local), local.len), 0);
        peer.len = sizeof peer.addr;
        in[i] = accept(listener, (struct sockaddr *)&peer.addr, &peer.len);
        CHECK(in[i] >= 0, 1);
        CHECK(connlimit_try_acquire(limiter, ADDR(peer), peer.len, i == 0 ? &a : &b),
              i == 0 ? CONNLIMIT_OK : CONNLIMIT_CLIENT_LIMIT);
    }
    for (int i = 0; i < 2; i++) {
        close(out[i]);
        close(in[i]);
    }
    close(listener);
    OK(connlimit_release(&a));
    OK(connlimit_destroy(&limiter));
}

static void the_limit_can_change(void) {
    connlimit_limiter *limiter = limiter_with(1);
    struct peer peer = peer_v6("2001:db8::1"), same = peer_v6("2001:db8::2");
    connlimit_permit a = CONNLIMIT_PERMIT_INIT, b = CONNLIMIT_PERMIT_INIT, c = CONNLIMIT_PERMIT_INIT;

    OK(connlimit_try_acquire(limiter, ADDR(peer), peer.len, &a));
    CHECK(connlimit_try_acquire(limiter, ADDR(peer), peer.len, &b), CONNLIMIT_CLIENT_LIMIT);
    OK(connlimit_set_limit(limiter, 2));
    OK(connlimit_try_acquire(limiter, ADDR(same), same.len, &b));
    OK(connlimit_set_limit(limiter, 1));
    CHECK(open_connections(limiter, peer), 2);
    OK(connlimit_release(&a));
    CHECK(connlimit_try_acquire(limiter, ADDR(peer), peer.len, &c), CONNLIMIT_CLIENT_LIMIT);
    OK(connlimit_set_limit(limiter, CONNLIMIT_NO_LIMIT));
    OK(connlimit_try_acquire(limiter, ADDR(peer), peer.len, &c));
    OK(connlimit_release(&b));
    OK(connlimit_release(&c));
    OK(connlimit_destroy(&limiter));
}

static void null_is_told(void) {
    connlimit_limiter *limiter = limiter_with(1), *none = NULL;
    connlimit_config *config = NULL, *nothing = NULL;
    struct peer peer = peer_v4("192.0.2.1");
    connlimit_permit a = {0}, b = {0};
    uint32_t num = 4711;

    OK(connlimit_config_create(1, &config));
    CHECK(connlimit_create(NULL, &none), CONNLIMIT_NULL_POINTER);
    CHECK(none == NULL, 1);
    CHECK(connlimit_create(config, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_set_config(limiter, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_set_config(NULL, config), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_get_config(limiter, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_reclaim(NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_stats(limiter, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_walk(limiter, NULL, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_usage(limiter, ADDR(peer), peer.len, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_try_acquire_ip(limiter, NULL, 4, &a), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_try_acquire_ip(limiter, "abcd", 4, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_try_acquire_unknown(NULL, &a), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_try_acquire_batch(limiter, NULL, sizeof(connlimit_arrival), 1), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_config_destroy(&nothing), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_config_parse(config, NULL, 0), CONNLIMIT_NULL_POINTER);
    CHECK(strlen(connlimit_config_fault(NULL)), 0);
    OK(connlimit_config_destroy(&config));
    CHECK(connlimit_clone(NULL, &none), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_clone(limiter, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_destroy(NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_try_acquire(NULL, ADDR(peer), peer.len, &a), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_try_acquire(limiter, NULL, peer.len, &a), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_try_acquire(limiter, ADDR(peer), peer.len, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_try_acquire_named(NULL, "a", 1, &a), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_try_acquire_named(limiter, NULL, 0, &a), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_try_acquire_named(limiter, "a", 1, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_try_acquire_named(limiter, "a", SIZE_MAX, &a), CONNLIMIT_BAD_LENGTH);
    CHECK(connlimit_open_connections(NULL, ADDR(peer), peer.len, &num), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_open_connections(limiter, ADDR(peer), peer.len, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_open_connections_named(NULL, "a", 1, &num), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_open_connections_named(limiter, "a", 1, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_set_limit(NULL, 1), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_release(NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_move(NULL, &a), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_move(&a, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_move(&a, &b), CONNLIMIT_PERMIT_EMPTY);
    CHECK(connlimit_release(&a), CONNLIMIT_PERMIT_EMPTY);
    CHECK(num, 4711);
    CHECK(open_connections(limiter, peer), 0);
    OK(connlimit_destroy(&limiter));
}

static void foreign_handles_are_told(void) {
    connlimit_limiter *limiter = limiter_with(1), *copy = NULL;
    struct peer peer = peer_v4("192.0.2.1");
    connlimit_permit a = {0}, b = {0};
    uint64_t words[8];
    connlimit_limiter *foreign = (connlimit_limiter *)words;
    connlimit_limiter *odd = (connlimit_limiter *)((char *)words + 1);
    connlimit_config *config = NULL;
    uint32_t num;

    memset(words, 0xa5, sizeof words);
    OK(connlimit_try_acquire(limiter, ADDR(peer), peer.len, &a));
    /* A permit, some memory, and an odd address in place of a limiter. */
    CHECK(connlimit_set_limit((connlimit_limiter *)&a, 1), CONNLIMIT_NOT_A_LIMITER);
    CHECK(connlimit_set_limit(foreign, 1), CONNLIMIT_NOT_A_LIMITER);
    CHECK(connlimit_set_limit(odd, 1), CONNLIMIT_NOT_A_LIMITER);
    CHECK(connlimit_clone(foreign, &copy), CONNLIMIT_NOT_A_LIMITER);
    CHECK(copy == NULL, 1);
    CHECK(connlimit_try_acquire(foreign, ADDR(peer), peer.len, &b), CONNLIMIT_NOT_A_LIMITER);
    CHECK(connlimit_open_connections(foreign, ADDR(peer), peer.len, &num), CONNLIMIT_NOT_A_LIMITER);
    CHECK(connlimit_destroy(&foreign), CONNLIMIT_NOT_A_LIMITER);
    CHECK(foreign == (connlimit_limiter *)words, 1);
    /* A limiter and some memory in place of a permit. */
    CHECK(connlimit_release((connlimit_permit *)limiter), CONNLIMIT_NOT_A_PERMIT);
    /* A limiter and a configuration in each other's place. */
    OK(connlimit_config_create(1, &config));
    CHECK(connlimit_set_limit((connlimit_limiter *)config, 1), CONNLIMIT_NOT_A_LIMITER);
    CHECK(connlimit_config_set((connlimit_config *)limiter, CONNLIMIT_COUNTING, 1), CONNLIMIT_NOT_A_CONFIG);
    CHECK(connlimit_config_set((connlimit_config *)odd, CONNLIMIT_COUNTING, 1), CONNLIMIT_NOT_A_CONFIG);
    OK(connlimit_config_destroy(&config));
    CHECK(connlimit_release((connlimit_permit *)words), CONNLIMIT_NOT_A_PERMIT);
    CHECK(connlimit_move((connlimit_permit *)words, &a), CONNLIMIT_NOT_A_PERMIT);
    CHECK(connlimit_move(&b, (connlimit_permit *)words), CONNLIMIT_NOT_A_PERMIT);
    CHECK(connlimit_try_acquire_named(limiter, "a", 1, (connlimit_permit *)words),
          CONNLIMIT_NOT_A_PERMIT);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        CHECK(words[i] == UINT64_C(0xa5a5a5a5a5a5a5a5), 1);
    }
    CHECK(open_connections(limiter, peer), 1);
    OK(connlimit_release(&a));
    OK(connlimit_destroy(&limiter));
}

static void a_wrong_address_is_told(void) {
    connlimit_limiter *limiter = limiter_with(CONNLIMIT_NO_LIMIT);
    struct peer peers[] = {peer_v4("192.0.2.1"), peer_v6("2001:db8::1")};
    connlimit_permit permit = {0};

    for (size_t i = 0; i < 2; i++) {
        for (socklen_t len = 0; len < peers[i].len; len++) {
            /* No byte beyond `len` may be read, and none is there; nor is the address aligned. */
            char *exact = malloc(len + 1);
            memcpy(exact + 1, &peers[i].addr, len);
            CHECK(connlimit_try_acquire(limiter, (struct sockaddr *)(exact + 1), len, &permit),
                  CONNLIMIT_BAD_LENGTH);
            free(exact);
        }
        char *exact = malloc(peers[i].len + 1);
        memcpy(exact + 1, &peers[i].addr, peers[i].len);
        OK(connlimit_try_acquire(limiter, (struct sockaddr *)(exact + 1), peers[i].len, &permit));
        free(exact);
        CHECK(open_connections(limiter, peers[i]), 1);
        OK(connlimit_release(&permit));
        CHECK(open_connections(limiter, peers[i]), 0);
    }
    peers[0].addr.ss_family = AF_UNSPEC;
    CHECK(connlimit_try_acquire(limiter, ADDR(peers[0]), peers[0].len, &permit),
          CONNLIMIT_UNKNOWN_FAMILY);
    CHECK(connlimit_release(&permit), CONNLIMIT_PERMIT_EMPTY);
    OK(connlimit_destroy(&limiter));
}

static void permits_outlive_the_limiter(void) {
    connlimit_limiter *limiter = limiter_with(1), *copy = NULL;
    connlimit_permit a = {0}, b = {0};
    uint32_t num = 4711;

    OK(connlimit_clone(limiter, &copy));
    OK(connlimit_try_acquire_named(limiter, "a", 1, &a));
    OK(connlimit_destroy(&limiter));
    /* The other handle is of the same limiter. */
    CHECK(connlimit_try_acquire_named(copy, "a", 1, &b), CONNLIMIT_CLIENT_LIMIT);
    OK(connlimit_try_acquire_named(copy, "b", 1, &b));
    OK(connlimit_release(&a));
    OK(connlimit_open_connections_named(copy, "a", 1, &num));
    CHECK(num, 0);
    OK(connlimit_destroy(&copy));
    OK(connlimit_move(&a, &b));
    OK(connlimit_release(&a));
}

#define THREADS 4
#define ROUNDS 500

struct shared {
    connlimit_limiter *limiter;
    connlimit_permit last[THREADS];
};

struct worker {
    struct shared *shared;
    int index;
    long admitted;
};

static void *work(void *arg) {
    struct worker *worker = arg;
    connlimit_limiter *limiter = NULL;
    struct peer peer = peer_v4("192.0.2.1");
    connlimit_permit permit = {0};

    OK(connlimit_clone(worker->shared->limiter, &limiter));
    for (int i = 0; i < ROUNDS; i++) {
        int status = connlimit_try_acquire(limiter, ADDR(peer), peer.len, &permit);
        CHECK(open_connections(limiter, peer) <= 2, 1);
        if (status == CONNLIMIT_OK) {
            worker->admitted++;
            OK(connlimit_release(&permit));
        } else {
            CHECK(status, CONNLIMIT_CLIENT_LIMIT);
        }
    }
    /* Released by the main thread. */
    OK(connlimit_try_acquire_named(limiter, &worker->index, sizeof worker->index,
                                   &worker->shared->last[worker->index]));
    OK(connlimit_destroy(&limiter));
    return NULL;
}

static void threads_share_a_limiter(void) {
    struct shared shared = {limiter_with(2), {{0, {0}}}};
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    long admitted = 0;

    for (int i = 0; i < THREADS; i++) {
        workers[i].shared = &shared;
        workers[i].index = i;
        workers[i].admitted = 0;
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL), 0);
        admitted += workers[i].admitted;
    }
    CHECK(admitted >= 2, 1);
    CHECK(open_connections(shared.limiter, peer_v4("192.0.2.1")), 0);
    OK(connlimit_destroy(&shared.limiter));
    for (int i = 0; i < THREADS; i++) {
        OK(connlimit_release(&shared.last[i]));
    }
}

static void the_version_is_the_header_s(void) {
    CHECK(strcmp(connlimit_version(), CONNLIMIT_VERSION), 0);
    CHECK(CONNLIMIT_VERSION_NUMBER >= 200, 1);
}

static void each_status_has_a_text(void) {
    for (int status = -30; status <= 20; status++) {
        CHECK(strlen(connlimit_status_text(status)) > 4, 1);
    }
    CHECK(strcmp(connlimit_status_text(CONNLIMIT_CLIENT_LIMIT), "client connection limit reached"),
          0);
}

int main(void) {
    a_client_has_its_limit();
    a_mapped_address_is_the_ipv4_client();
    a_prefix_makes_a_client();
    names_are_clients();
    accepted_sockets_have_addresses();
    the_limit_can_change();
    null_is_told();
    foreign_handles_are_told();
    a_wrong_address_is_told();
    permits_outlive_the_limiter();
    threads_share_a_limiter();
    the_version_is_the_header_s();
    each_status_has_a_text();
    return 0;
}
