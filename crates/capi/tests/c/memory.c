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
static void a_limiter_is_small_until_it_is_used(const char *text, size_t at_most) {
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
    CHECK(each <= at_most, 1);
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
    CHECK(used <= 3 * 60 * 1024, 1);
    for (int i = 0; i < 3; i++) OK(connlimit_release(&permits[i]));
    OK(connlimit_destroy(&limiter));
}
#else
static void a_limiter_is_small_until_it_is_used(const char *text, size_t at_most) { (void)text, (void)at_most; }
static void a_used_limiter_takes_what_the_header_says(void) {}
#endif

int main(void) {
    a_limiter_is_small_until_it_is_used("{\"max_per_client\": 1}", 8192);
    a_limiter_is_small_until_it_is_used("{\"max_per_client\": 1, \"counting\": true}", 8192);
    a_limiter_is_small_until_it_is_used(
        "{\"max_per_client\": 1, \"tiers\": [{\"ipv4_prefix\": 24, \"ipv6_prefix\": 48, \"limit\": 9}]}", 8192);
    /* The counter of the total has its table from the start. */
    a_limiter_is_small_until_it_is_used("{\"max_per_client\": 1, \"max_total\": 5}", 8192 + 34 * 1024);
    a_used_limiter_takes_what_the_header_says();
    return 0;
}
