/* Fork, signals, and the end of threads, as the top of the header says. */
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE

#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOCAL "\300\0\2\1"

static void expect_success(pid_t child) {
    int status = -1;
    CHECK(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status, 0);
}

/* The parent has one thread. */
static void a_fork_makes_two_limiters_of_one(void) {
    connlimit_limiter *limiter = limiter_of("{\"max_per_client\": 2}");
    connlimit_permit inherited = CONNLIMIT_PERMIT_INIT, own = CONNLIMIT_PERMIT_INIT, third = CONNLIMIT_PERMIT_INIT;
    pid_t child;

    OK(connlimit_try_acquire_ip(limiter, LOCAL, 4, &inherited));
    child = fork();
    CHECK(child >= 0, 1);
    if (child == 0) {
        OK(connlimit_try_acquire_ip(limiter, LOCAL, 4, &own));
        CHECK(connlimit_try_acquire_ip(limiter, LOCAL, 4, &third), CONNLIMIT_CLIENT_LIMIT);
        OK(connlimit_set_limit(limiter, 3));
        OK(connlimit_try_acquire_ip(limiter, LOCAL, 4, &third));
        OK(connlimit_release(&inherited));
        OK(connlimit_release(&own));
        OK(connlimit_release(&third));
        CHECK(open_of_ip(limiter, LOCAL), 0);
        /* Memory comes back in the child: newcomers are served whatever their number. */
        for (uint32_t i = 0; i < 300000; i++) {
            OK(connlimit_try_acquire_ip(limiter, &i, sizeof i, &own));
            OK(connlimit_release(&own));
        }
        OK(connlimit_destroy(&limiter));
        _exit(0);
    }
    expect_success(child);
    /* What the child did is the child's. */
    CHECK(open_of_ip(limiter, LOCAL), 1);
    OK(connlimit_try_acquire_ip(limiter, LOCAL, 4, &own));
    CHECK(connlimit_try_acquire_ip(limiter, LOCAL, 4, &third), CONNLIMIT_CLIENT_LIMIT);
    OK(connlimit_release(&inherited));
    OK(connlimit_release(&own));
    OK(connlimit_destroy(&limiter));
}

static connlimit_limiter *busy_limiter;
static volatile int busy;

static void *acquire_often(void *arg) {
    connlimit_permit permit = CONNLIMIT_PERMIT_INIT;
    for (uint32_t i = 0; busy; i++) {
        uint32_t client = i % 100000;
        if (connlimit_try_acquire_ip(busy_limiter, &client, sizeof client, &permit) == CONNLIMIT_OK) {
            OK(connlimit_release(&permit));
        }
    }
    return arg;
}

static void *set_often(void *arg) {
    for (uint32_t i = 0; busy; i++) OK(connlimit_set_limit(busy_limiter, 10 + i % 3));
    return arg;
}

/* Other threads of the parent are within the library. Their limiter works in the child, and so does a new one. */
static void a_fork_from_a_busy_process_makes_a_child_that_works(void) {
    enum { CHILDREN = 3, NEWCOMERS = 300000 };
    pthread_t threads[3];
    busy_limiter = limiter_of("{\"max_per_client\": 10, \"table_memory\": 16777216}");
    busy = 1;
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, acquire_often, NULL), 0);
    CHECK(pthread_create(&threads[2], NULL, set_often, NULL), 0);
    for (int n = 0; n < CHILDREN; n++) {
        pid_t child = fork();
        CHECK(child >= 0, 1);
        if (child == 0) {
            connlimit_permit permit = CONNLIMIT_PERMIT_INIT;
            connlimit_limiter *own = limiter_of("{\"max_per_client\": 1, \"table_memory\": 16777216}");
            /* A child that hangs ends. */
            alarm(120);
            OK(connlimit_set_limit(busy_limiter, 10));
            for (uint32_t i = 0; i < NEWCOMERS; i++) {
                uint32_t client = 0xf0000000 + i;
                OK(connlimit_try_acquire_ip(i % 2 ? own : busy_limiter, &client, sizeof client, &permit));
                OK(connlimit_release(&permit));
            }
            OK(connlimit_destroy(&own));
            _exit(0);
        }
        expect_success(child);
    }
    busy = 0;
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL), 0);
    OK(connlimit_destroy(&busy_limiter));
}

/* Workers that each make their own have a limit each. */
static void limits_are_per_process(void) {
    pid_t children[4];
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            connlimit_limiter *limiter = limiter_of("{\"max_per_client\": 5}");
            connlimit_permit permits[6];
            memset(permits, 0, sizeof permits);
            for (int n = 0; n < 5; n++) OK(connlimit_try_acquire_ip(limiter, LOCAL, 4, &permits[n]));
            CHECK(connlimit_try_acquire_ip(limiter, LOCAL, 4, &permits[5]), CONNLIMIT_CLIENT_LIMIT);
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++) expect_success(children[i]);
}

static volatile sig_atomic_t signals;

static void on_signal(int signal) {
    (void)signal;
    signals++;
}

static void signals_during_calls_do_no_harm(void) {
    connlimit_limiter *limiter = limiter_of("{\"max_per_client\": 3, \"counting\": true}");
    struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    struct sigaction action;
    connlimit_permit permit = CONNLIMIT_PERMIT_INIT;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    CHECK(sigaction(SIGALRM, &action, NULL), 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (uint32_t i = 0; signals < 100; i++) {
        uint32_t client = i % 5000;
        OK(connlimit_try_acquire_ip(limiter, &client, sizeof client, &permit));
        if (i % 64 == 0) OK(connlimit_set_limit(limiter, 1 + i % 3));
        OK(connlimit_release(&permit));
    }
    CHECK(setitimer(ITIMER_REAL, &never, NULL), 0);
    CHECK(stats_of(limiter).total.open_connections, 0);
    OK(connlimit_destroy(&limiter));
}

static connlimit_limiter *shared;
static connlimit_permit last = CONNLIMIT_PERMIT_INIT;
static pthread_key_t key;

/* Runs as the thread ends, after or before the library's own data of the thread is gone. */
static void at_thread_end(void *arg) {
    (void)arg;
    OK(connlimit_release(&last));
    OK(connlimit_try_acquire_ip(shared, LOCAL, 4, &last));
}

static void *thread(void *arg) {
    OK(connlimit_try_acquire_ip(shared, LOCAL, 4, &last));
    CHECK(pthread_setspecific(key, arg), 0);
    return NULL;
}

static void at_exit(void) {
    OK(connlimit_release(&last));
    OK(connlimit_destroy(&shared));
}

static void the_library_works_until_the_end(void) {
    pthread_t id;
    shared = limiter_of("{\"max_per_client\": 1}");
    CHECK(pthread_key_create(&key, at_thread_end), 0);
    CHECK(pthread_create(&id, NULL, thread, &key), 0);
    CHECK(pthread_join(id, NULL), 0);
    CHECK(open_of_ip(shared, LOCAL), 1);
    CHECK(atexit(at_exit), 0);
}

int main(void) {
    a_fork_makes_two_limiters_of_one();
#if !defined(__SANITIZE_ADDRESS__)
    /* Not with the sanitizer's allocator: a lock of it that another thread holds at the fork stays locked in the child,
       where glibc's are free. */
    a_fork_from_a_busy_process_makes_a_child_that_works();
#else
    (void)a_fork_from_a_busy_process_makes_a_child_that_works;
#endif
    limits_are_per_process();
    signals_during_calls_do_no_harm();
    the_library_works_until_the_end();
    return 0;
}
