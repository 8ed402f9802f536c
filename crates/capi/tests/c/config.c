/* Configurations: options, texts, policy, and changes while the limiter runs. */
#include "check.h"
#include <pthread.h>

#define PARSE(config, text) connlimit_config_parse(config, text, strlen(text))
#define PATCH(config, text) connlimit_config_patch(config, text, strlen(text))

static uint64_t get(const connlimit_config *config, int32_t option) {
    uint64_t value = 4711;
    OK(connlimit_config_get(config, option, &value));
    return value;
}

static void check_fault(const connlimit_config *config, const char *names) {
    if (strstr(connlimit_config_fault(config), names) == NULL) {
        fprintf(stderr, "'%s' does not name '%s'\n", connlimit_config_fault(config), names);
        exit(1);
    }
}

static void options_have_values_and_faults(void) {
    connlimit_config *config = NULL;
    OK(connlimit_config_create(1, &config));
    CHECK(get(config, CONNLIMIT_MAX_PER_CLIENT), 1);
    CHECK(get(config, CONNLIMIT_IPV6_PREFIX), 128);
    CHECK(get(config, CONNLIMIT_TABLE_MEMORY), 256 << 20);
    CHECK(get(config, CONNLIMIT_MAX_TOTAL) == CONNLIMIT_UNSET, 1);

    OK(connlimit_config_set(config, CONNLIMIT_MAX_PER_CLIENT, 7));
    CHECK(get(config, CONNLIMIT_MAX_PER_CLIENT), 7);
    CHECK(connlimit_config_set(config, CONNLIMIT_IPV4_PREFIX, 256 + 24), CONNLIMIT_BAD_IPV4_PREFIX);
    check_fault(config, "IPv4 prefix length");
    CHECK(connlimit_config_set(config, CONNLIMIT_IPV6_PREFIX, 129), CONNLIMIT_BAD_IPV6_PREFIX);
    check_fault(config, "129");
    CHECK(connlimit_config_set(config, CONNLIMIT_TABLE_MEMORY, 1), CONNLIMIT_BAD_TABLE_MEMORY);
    CHECK(connlimit_config_set(config, CONNLIMIT_DRY_RUN, 2), CONNLIMIT_BAD_VALUE);
    CHECK(connlimit_config_set(config, CONNLIMIT_MAX_PER_CLIENT, UINT64_C(1) << 32), CONNLIMIT_BAD_VALUE);
    CHECK(connlimit_config_set(config, 4711, 1), CONNLIMIT_BAD_OPTION);
    check_fault(config, "4711");
    /* What was wrong has changed nothing, and what is right clears the fault. */
    CHECK(get(config, CONNLIMIT_IPV4_PREFIX), 32);
    CHECK(get(config, CONNLIMIT_MAX_PER_CLIENT), 7);
    OK(connlimit_config_set(config, CONNLIMIT_TABLE_MEMORY, 1 << 20));
    CHECK(strlen(connlimit_config_fault(config)), 0);
    OK(connlimit_config_destroy(&config));
    CHECK(config == NULL, 1);
}

static void a_text_says_everything(void) {
    static const char text[] =
        "{\"max_per_client\": 2, \"ipv6_prefix\": 64, \"max_total\": 100, \"soft_percent\": 50, \"counting\": true,"
        " \"when_full\": \"admit-untracked\", \"unknown_peer\": \"admit-untracked\","
        " \"tiers\": [{\"ipv4_prefix\": 24, \"ipv6_prefix\": 48, \"limit\": 3}],"
        " \"rules\": [{\"network\": \"10.0.0.0/8\", \"action\": \"deny\"}, {\"network\": \"10.1.0.0/16\", \"action\": 1}]}";
    connlimit_config *config = config_of(text), *again;
    char written[4096], rewritten[4096];
    size_t len = 0, again_len = 0;

    CHECK(get(config, CONNLIMIT_MAX_PER_CLIENT), 2);
    CHECK(get(config, CONNLIMIT_MAX_TOTAL), 100);
    CHECK(get(config, CONNLIMIT_SOFT_PERCENT), 50);
    CHECK(get(config, CONNLIMIT_WHEN_FULL_IPV6), CONNLIMIT_ADMIT_UNTRACKED);

    /* The length first, then the text; and it reads as what it was. */
    CHECK(connlimit_config_text(config, NULL, 0, &len), CONNLIMIT_BAD_LENGTH);
    memset(written, 'x', sizeof written);
    CHECK(connlimit_config_text(config, written, len, &len), CONNLIMIT_BAD_LENGTH);
    CHECK(written[0], 'x');
    OK(connlimit_config_text(config, written, len + 1, &len));
    CHECK(strlen(written), len);
    CHECK(written[len + 1], 'x');
    again = config_of(written);
    OK(connlimit_config_text(again, rewritten, sizeof rewritten, &again_len));
    CHECK(strcmp(written, rewritten), 0);
    OK(connlimit_config_destroy(&again));
    OK(connlimit_config_destroy(&config));
}

static void a_wrong_text_names_its_place(void) {
    connlimit_config *config = config_of("{\"max_per_client\": 5}");
    CHECK(PARSE(config, "{\"max_per_cleint\": 1}"), CONNLIMIT_BAD_TEXT);
    check_fault(config, "max_per_cleint");
    check_fault(config, "line 1");
    CHECK(PARSE(config, "{\"max_per_client\": 1, \"rules\": [{\"network\": \"10.0.0.1/8\", \"action\": \"deny\"}]}"), CONNLIMIT_BAD_TEXT);
    check_fault(config, "10.0.0.1/8");
    CHECK(PARSE(config, "{\"max_per_client\": 1, \"ipv4_prefix\": 33}"), CONNLIMIT_BAD_TEXT);
    check_fault(config, "33");
    check_fault(config, "ipv4_prefix");
    CHECK(PARSE(config, ""), CONNLIMIT_BAD_TEXT);
    /* No text lifts the limit without saying so. */
    CHECK(PARSE(config, "{}"), CONNLIMIT_BAD_TEXT);
    check_fault(config, "max_per_client");
    CHECK(PARSE(config, "{\"max_per_client\": 0}"), CONNLIMIT_BAD_TEXT);
    CHECK(PATCH(config, "{\"max_per_client\": null}"), CONNLIMIT_BAD_TEXT);
    CHECK(PARSE(config, "[1]"), CONNLIMIT_BAD_TEXT);
    CHECK(PARSE(config, "{\"max_per_client\": 1} {"), CONNLIMIT_BAD_TEXT);
    CHECK(PARSE(config, "\xff\xfe"), CONNLIMIT_BAD_TEXT);
    CHECK(PATCH(config, "[1]"), CONNLIMIT_BAD_TEXT);
    CHECK(get(config, CONNLIMIT_MAX_PER_CLIENT), 5);
    OK(connlimit_config_destroy(&config));
}

static void a_patch_leaves_the_rest(void) {
    connlimit_config *config = config_of("{\"max_per_client\": 5, \"soft_percent\": 50, \"dry_run\": true}");
    OK(PATCH(config, "{\"max_per_client\": 6, \"soft_percent\": null}"));
    CHECK(get(config, CONNLIMIT_MAX_PER_CLIENT), 6);
    CHECK(get(config, CONNLIMIT_SOFT_PERCENT) == CONNLIMIT_UNSET, 1);
    CHECK(get(config, CONNLIMIT_DRY_RUN), 1);
    OK(connlimit_config_destroy(&config));
}

static void tiers_rules_and_the_total_reject_by_name(void) {
    connlimit_config *config = config_of("{\"max_per_client\": 2, \"max_total\": 4, \"counting\": true}");
    connlimit_limiter *limiter = NULL;
    connlimit_permit p[6];
    connlimit_limiter_stats stats;
    memset(p, 0, sizeof p);

    OK(connlimit_config_set_tier(config, 24, 48, 3));
    CHECK(connlimit_config_set_tier(config, 28, 48, 3), CONNLIMIT_BAD_TIER);
    CHECK(connlimit_config_set_tier(config, 33, 48, 3), CONNLIMIT_BAD_IPV4_PREFIX);
    OK(connlimit_config_set_rule(config, "198.51.100.0/24", CONNLIMIT_DENY));
    OK(connlimit_config_set_rule(config, "203.0.113.0/24", CONNLIMIT_NO_LIMIT));
    OK(connlimit_config_set_rule(config, "203.0.113.0/24", 1));
    CHECK(connlimit_config_set_rule(config, "203.0.113.1/24", 1), CONNLIMIT_BAD_RULE);
    check_fault(config, "203.0.113.1/24");
    CHECK(connlimit_config_set_rule(config, "nonsense", 1), CONNLIMIT_BAD_RULE);
    check_fault(config, "nonsense");
    CHECK(connlimit_config_set_rule(config, NULL, 1), CONNLIMIT_NULL_POINTER);
    OK(connlimit_config_set_rule(config, "192.0.2.0/24", CONNLIMIT_DENY));
    OK(connlimit_config_remove_rule(config, "192.0.2.0/24"));
    OK(connlimit_config_set_tier(config, 16, 32, 1));
    OK(connlimit_config_remove_tier(config, 16, 32));
    OK(connlimit_create(config, &limiter));

    OK(connlimit_try_acquire_ip(limiter, "\300\0\2\1", 4, &p[0]));
    OK(connlimit_try_acquire_ip(limiter, "\300\0\2\1", 4, &p[1]));
    CHECK(connlimit_try_acquire_ip(limiter, "\300\0\2\1", 4, &p[2]), CONNLIMIT_CLIENT_LIMIT);
    OK(connlimit_try_acquire_ip(limiter, "\300\0\2\2", 4, &p[2]));
    CHECK(connlimit_try_acquire_ip(limiter, "\300\0\2\3", 4, &p[3]), CONNLIMIT_TIER_LIMIT);
    CHECK(connlimit_try_acquire_ip(limiter, "\306\063\144\1", 4, &p[3]), CONNLIMIT_DENIED);
    OK(connlimit_try_acquire_ip(limiter, "\313\0\161\1", 4, &p[3]));
    CHECK(connlimit_try_acquire_ip(limiter, "\313\0\161\1", 4, &p[4]), CONNLIMIT_CLIENT_LIMIT);
    CHECK(connlimit_try_acquire_ip(limiter, "\313\0\161\2", 4, &p[4]), CONNLIMIT_TOTAL_LIMIT);
    CHECK(connlimit_try_acquire_unknown(limiter, &p[4]), CONNLIMIT_UNKNOWN_PEER);

    stats = stats_of(limiter);
    CHECK(stats.admitted, 4);
    CHECK(stats.rejected_client_limit, 2);
    CHECK(stats.rejected_tier_limit, 1);
    CHECK(stats.rejected_total_limit, 1);
    CHECK(stats.rejected_denied, 1);
    CHECK(stats.rejected_unknown_peer, 1);
    CHECK(stats.num_tiers, 1);
    CHECK(stats.tiers[0].open_connections, 4);
    for (int i = 0; i < 4; i++) OK(connlimit_release(&p[i]));
    CHECK(stats_of(limiter).total.open_connections, 0);
    CHECK(stats_of(limiter).tiers[0].open_connections, 0);
    OK(connlimit_config_destroy(&config));
    OK(connlimit_destroy(&limiter));
}

static void the_configuration_in_force_can_be_read_and_changed(void) {
    connlimit_limiter *limiter = limiter_of(
        "{\"max_per_client\": 1, \"ipv6_prefix\": 64, \"max_total\": 10, \"counting\": true,"
        " \"tiers\": [{\"ipv4_prefix\": 24, \"ipv6_prefix\": 48, \"limit\": 3}]}");
    connlimit_config *config = NULL, *shadow = config_of("{\"max_per_client\": 1}");
    connlimit_permit a = CONNLIMIT_PERMIT_INIT, b = CONNLIMIT_PERMIT_INIT, c = CONNLIMIT_PERMIT_INIT;
    OK(connlimit_config_create(1, &config));

    OK(connlimit_try_acquire_ip(limiter, "abcd", 4, &a));
    CHECK(connlimit_try_acquire_ip(limiter, "abcd", 4, &b), CONNLIMIT_CLIENT_LIMIT);
    OK(connlimit_set_limit(limiter, 2));
    /* The limit alone has changed. */
    OK(connlimit_get_config(limiter, config));
    CHECK(get(config, CONNLIMIT_MAX_PER_CLIENT), 2);
    CHECK(get(config, CONNLIMIT_MAX_TOTAL), 10);
    CHECK(get(config, CONNLIMIT_COUNTING), 1);
    OK(connlimit_try_acquire_ip(limiter, "abcd", 4, &b));

    /* A dry run, live, and back. */
    OK(connlimit_config_set(config, CONNLIMIT_DRY_RUN, 1));
    OK(connlimit_set_config(limiter, config));
    OK(connlimit_try_acquire_ip(limiter, "abcd", 4, &c));
    CHECK(stats_of(limiter).dry_run_rejected, 1);
    OK(connlimit_release(&c));
    OK(connlimit_config_set(config, CONNLIMIT_DRY_RUN, 0));

    /* A stricter limit on trial. */
    OK(connlimit_config_set(config, CONNLIMIT_MAX_PER_CLIENT, 3));
    OK(connlimit_config_set_shadow(config, shadow));
    OK(connlimit_set_config(limiter, config));
    OK(connlimit_try_acquire_ip(limiter, "abcd", 4, &c));
    CHECK(stats_of(limiter).shadow_rejected, 1);

    /* Tiers change, rules come. */
    OK(PATCH(config, "{\"shadow\": null, \"tiers\": [{\"ipv4_prefix\": 24, \"ipv6_prefix\": 48, \"limit\": 1}],"
                     " \"rules\": [{\"network\": \"122.0.0.0/8\", \"action\": \"deny\"}]}"));
    OK(connlimit_set_config(limiter, config));
    OK(connlimit_release(&c));
    CHECK(connlimit_try_acquire_ip(limiter, "abce", 4, &c), CONNLIMIT_TIER_LIMIT);
    CHECK(connlimit_try_acquire_ip(limiter, "zbcd", 4, &c), CONNLIMIT_DENIED);

    /* What is fixed stays. */
    OK(connlimit_config_set(config, CONNLIMIT_IPV6_PREFIX, 56));
    CHECK(connlimit_set_config(limiter, config), CONNLIMIT_FIXED_AT_CREATION);
    check_fault(config, "ipv6_prefix");
    CHECK(connlimit_try_acquire_ip(limiter, "abce", 4, &c), CONNLIMIT_TIER_LIMIT);

    OK(connlimit_release(&a));
    OK(connlimit_release(&b));
    OK(connlimit_config_destroy(&config));
    OK(connlimit_config_destroy(&shadow));
    OK(connlimit_destroy(&limiter));
}

static connlimit_status raise(connlimit_config *config, void *arg) {
    int *calls = arg;
    ++*calls;
    return connlimit_config_set(config, CONNLIMIT_MAX_PER_CLIENT, get(config, CONNLIMIT_MAX_PER_CLIENT) + 1);
}

static connlimit_status give_up(connlimit_config *config, void *arg) {
    (void)arg;
    return connlimit_config_set(config, CONNLIMIT_IPV4_PREFIX, 99);
}

static connlimit_status narrow(connlimit_config *config, void *arg) {
    (void)arg;
    return connlimit_config_set(config, CONNLIMIT_IPV6_PREFIX, 48);
}

enum { RAISES = 300 };

static void *raise_often(void *limiter) {
    connlimit_config *config = config_of("{\"max_per_client\": 1}");
    int calls = 0;
    for (int i = 0; i < RAISES; i++) OK(connlimit_update_config(limiter, config, raise, &calls));
    OK(connlimit_config_destroy(&config));
    return NULL;
}

static void of_changes_at_once_none_is_lost(void) {
    connlimit_limiter *limiter = limiter_of("{\"max_per_client\": 1, \"counting\": true}");
    connlimit_config *config = config_of("{\"max_per_client\": 7}");
    pthread_t threads[2];

    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, raise_often, limiter), 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL), 0);
    OK(connlimit_get_config(limiter, config));
    CHECK(get(config, CONNLIMIT_MAX_PER_CLIENT), 1 + 2 * RAISES);
    CHECK(get(config, CONNLIMIT_COUNTING), 1);

    CHECK(connlimit_update_config(limiter, config, give_up, NULL), CONNLIMIT_BAD_IPV4_PREFIX);
    check_fault(config, "99");
    CHECK(connlimit_update_config(limiter, config, narrow, NULL), CONNLIMIT_FIXED_AT_CREATION);
    check_fault(config, "ipv6_prefix");
    CHECK(connlimit_update_config(limiter, config, NULL, NULL), CONNLIMIT_NULL_POINTER);
    CHECK(connlimit_update_config(limiter, NULL, narrow, NULL), CONNLIMIT_NULL_POINTER);
    OK(connlimit_get_config(limiter, config));
    CHECK(get(config, CONNLIMIT_MAX_PER_CLIENT), 1 + 2 * RAISES);
    OK(connlimit_config_destroy(&config));
    OK(connlimit_destroy(&limiter));
}

static void a_full_table_does_as_it_is_told(void) {
    enum { MANY = 60000 };
    static connlimit_permit permits[MANY];
    for (int untracked = 0; untracked < 2; untracked++) {
        connlimit_limiter *limiter = limiter_of(
            untracked ? "{\"max_per_client\": 1, \"table_memory\": 1048576, \"counting\": true, \"when_full\": \"admit-untracked\"}"
                      : "{\"max_per_client\": 1, \"table_memory\": 1048576, \"counting\": true}");
        long rejected = 0;
        for (uint32_t i = 0; i < MANY; i++) {
            int status = connlimit_try_acquire_ip(limiter, &i, sizeof i, &permits[i]);
            if (status != CONNLIMIT_OK) {
                CHECK(status, CONNLIMIT_TABLE_FULL);
                rejected++;
            }
        }
        connlimit_limiter_stats stats = stats_of(limiter);
        CHECK(stats.rejected_table_full, rejected);
        CHECK(untracked ? rejected == 0 && stats.admitted_untracked > 0 : rejected > 0, 1);
        CHECK(stats.total.reserved_bytes <= stats.total.bound_bytes, 1);
        for (int i = 0; i < MANY; i++) (void)connlimit_release(&permits[i]);
        CHECK(stats_of(limiter).total.open_connections, 0);
        OK(connlimit_reclaim(limiter));
        OK(connlimit_destroy(&limiter));
    }
}

int main(void) {
    options_have_values_and_faults();
    a_text_says_everything();
    a_wrong_text_names_its_place();
    a_patch_leaves_the_rest();
    tiers_rules_and_the_total_reject_by_name();
    the_configuration_in_force_can_be_read_and_changed();
    of_changes_at_once_none_is_lost();
    a_full_table_does_as_it_is_told();
    return 0;
}
