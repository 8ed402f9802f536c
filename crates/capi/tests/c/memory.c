/* What limiters take: many that are not used, and one that gets no more memory. */
#define _DEFAULT_SOURCE

#include "check.h"
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#include <malloc.h>

static size_t in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* One limiter for each virtual host. */
static void a_limiter_is_small_until_it_is_used(const char *text) {
    enum { MANY = 1000 };
    static connlimit_limiter *limiters[MANY];
    connlimit_config *config = config_of(text);
    size_t before, each;
    /* The first one sets up what all share. */
    OK(connlimit_create(config, &limiters[0]));
    OK(connlimit_destroy(&limiters[0]));

    before = in_use();
    for (int i = 0; i < MANY; i++) OK(connlimit_create(config, &limiters[i]));
    each = (in_use() - before) / MANY;
    printf("%zu bytes for a limiter with %s\n", each, text);
    CHECK(each <= 8192, 1);
    for (int i = 0; i < MANY; i++) OK(connlimit_destroy(&limiters[i]));
    OK(connlimit_config_destroy(&config));
}

static void a_used_limiter_takes_what_the_header_says(void) {
    connlimit_limiter *limiter = limiter_of("{\"max_per_client\": 1}");
    connlimit_permit permits[3];
    size_t before = in_use(), used;
    memset(permits, 0, sizeof permits);
    OK(connlimit_try_acquire_ip(limiter, "abcd", 4, &permits[0]));
    OK(connlimit_try_acquire_ip(limiter, "abcdefghijklmnop", 16, &permits[1]));
    OK(connlimit_try_acquire_named(limiter, "abcd", 4, &permits[2]));
    used = in_use() - before;
    printf("%zu bytes more with a client of each kind\n", used);
    CHECK(used <= 3 * 10 * 1024, 1);
    for (int i = 0; i < 3; i++) OK(connlimit_release(&permits[i]));
    OK(connlimit_destroy(&limiter));
}
#else
static void a_limiter_is_small_until_it_is_used(const char *text) { (void)text; }
static void a_used_limiter_takes_what_the_header_says(void) {}
#endif

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
enum { CROWD = 2000000 };
static connlimit_permit crowd[CROWD];

/* From here on this process gets `more` bytes for large things, and no more. Small ones can still be had: where not even
 * two KiB are left, the collector of epochs ends the process, as the top of the header says. */
static void limit_memory(size_t more) {
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    CHECK(statm != NULL && fscanf(statm, "%ld", &pages) == 1, 1);
    /* What has 16 KiB or more comes from the system; the rest from a heap that is there, in pieces of 8 KiB. */
    CHECK(mallopt(M_MMAP_THRESHOLD, 16384), 1);
    CHECK(mallopt(M_TRIM_THRESHOLD, 256 << 20), 1);
    static void *pieces[8192];
    for (int i = 0; i < 8192; i++) pieces[i] = malloc(8192);
    for (int i = 0; i < 8192; i += 2) free(pieces[i]);
    fclose(statm);
    statm = fopen("/proc/self/statm", "r");
    CHECK(statm != NULL && fscanf(statm, "%ld", &pages) == 1, 1);
    struct rlimit limit = {(rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + more, RLIM_INFINITY};
    fclose(statm);
    CHECK(setrlimit(RLIMIT_AS, &limit), 0);
}

static long admit_crowd(const connlimit_limiter *limiter) {
    long admitted = 0;
    for (uint32_t i = 0; i < CROWD; i++) {
        int status = connlimit_try_acquire_ip(limiter, &i, sizeof i, &crowd[i]);
        if (status == CONNLIMIT_OK) {
            admitted++;
        } else {
            CHECK(status, CONNLIMIT_TABLE_FULL);
        }
    }
    return admitted;
}

/* In a process of its own, where an abort is seen. */
static void without_memory_newcomers_are_rejected(void) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        connlimit_limiter *limiter = limiter_of("{\"max_per_client\": 1, \"table_memory\": 1073741824}"), *none = NULL;
        connlimit_config *large = config_of("{\"max_per_client\": 1, \"preallocation\": true}");
        connlimit_permit first = CONNLIMIT_PERMIT_INIT;
        long admitted;
        OK(connlimit_try_acquire_ip(limiter, "abcdefghijklmnop", 16, &first));
        limit_memory(12 << 20);
        CHECK(connlimit_create(large, &none), CONNLIMIT_NO_MEMORY);
        CHECK(none == NULL, 1);
        admitted = admit_crowd(limiter);
        printf("%ld of %d clients admitted in 12 MiB\n", admitted, CROWD);
        CHECK(admitted > 0 && admitted < CROWD, 1);
        /* Who is there is served as before. */
        CHECK(connlimit_try_acquire_ip(limiter, "abcdefghijklmnop", 16, &crowd[0]) != CONNLIMIT_TABLE_FULL, 1);
        for (int i = 0; i < CROWD; i++) (void)connlimit_release(&crowd[i]);
        OK(connlimit_release(&first));
        OK(connlimit_reclaim(limiter));
        OK(connlimit_try_acquire_ip(limiter, "abcd", 4, &first));
        OK(connlimit_release(&first));
        CHECK(stats_of(limiter).total.open_connections, 0);
        fflush(stdout);
        _exit(0);
    }
    CHECK(child > 0, 1);
    CHECK(waitpid(child, &status, 0), child);
    CHECK(status, 0);
}
#else
/* The sanitizer needs memory itself. */
static void without_memory_newcomers_are_rejected(void) {}
#endif

int main(void) {
    without_memory_newcomers_are_rejected();
    a_limiter_is_small_until_it_is_used("{\"max_per_client\": 1}");
    a_limiter_is_small_until_it_is_used("{\"max_per_client\": 1, \"counting\": true}");
    a_limiter_is_small_until_it_is_used(
        "{\"max_per_client\": 1, \"tiers\": [{\"ipv4_prefix\": 24, \"ipv6_prefix\": 48, \"limit\": 9}]}");
    a_limiter_is_small_until_it_is_used("{\"max_per_client\": 1, \"max_total\": 5}");
    a_used_limiter_takes_what_the_header_says();
    return 0;
}
