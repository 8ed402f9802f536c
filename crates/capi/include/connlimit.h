/*
 * connlimit: exact limits on how many connections each client may have open at once, without locks.
 *
 *     connlimit_config *config;
 *     connlimit_limiter *limiter;
 *     connlimit_config_create(16, &config);                 // connections for each client
 *     connlimit_config_set(config, CONNLIMIT_IPV6_PREFIX, 64);
 *     connlimit_create(config, &limiter);
 *     connlimit_config_destroy(&config);
 *
 *     connlimit_permit permit = CONNLIMIT_PERMIT_INIT;      // a member of the connection
 *     if (connlimit_try_acquire(limiter, addr, len, &permit) == CONNLIMIT_OK) { ... serve ... }
 *     connlimit_release(&permit);                           // when it closes
 *
 * Each call should check its status; see README.md for a whole program.
 *
 * STATUS. Each call returns a connlimit_status: 0 is success, above 0 the client was rejected, below 0 the call was
 * wrong and did nothing. No exception and no panic leaves the library.
 *
 * OWNERSHIP. A limiter and a configuration are objects behind pointers. Each one that a ..._create or connlimit_clone
 * has made ends with one ..._destroy, which sets the variable to NULL. A permit is memory of yours, most simply a member
 * of your connection: zero it, fill it with connlimit_try_acquire, empty it with connlimit_release. It may outlive every
 * handle of its limiter. A permit that is never released counts for ever. Memory that holds one may be moved (realloc)
 * if the old bytes are never used again. Addresses, names and texts are read during the call and not kept.
 *
 * POINTERS. NULL, a pointer to something else, an address that is too short, a permit that is released twice or would be
 * overwritten: each of them gets a status. "Something else" is known by its first eight bytes, which must be readable.
 * Not detectable, and undefined as they are with free(): an object used after its destruction through another
 * variable; two copies of one permit both released; a permit that was never zeroed; memory that is not there.
 *
 * THREADS. Any number of threads may use one limiter at once, also while its configuration changes; nobody may use a
 * handle during or after its destruction. A permit may be released by any thread; of several that release it at once
 * one does. One thread at a time may fill a permit, or use a configuration.
 *
 * FORK. A limiter counts for its own process: four workers that each have a limit of 5 admit 20 connections of one
 * client. A child of fork() may use limiters of its own and inherited ones, also when other threads of the parent were
 * inside the library. An inherited one goes on with a copy of the counts: a permit that was open is released once on each
 * side, and what other threads of the parent had open stays counted in the child until its limiter goes. So create
 * limiters in each worker, after the fork. After vfork() only exec() is allowed.
 *
 * SIGNALS. No function may be called from a signal handler. A signal that arrives during a call does no harm.
 *
 * UNLOADING. Before dlclose() all permits have to be released, all objects destroyed, and the threads that used the
 * library joined; until a thread has ended the system keeps the library mapped. A few hundred bytes for each thread that
 * ran at once stay allocated.
 *
 * MEMORY. A limiter takes less than 8 KiB until its first client comes; then each kind of client (IPv4, IPv6, named) takes
 * some 10 KiB at first and grows as it needs to, up to CONNLIMIT_TABLE_MEMORY.
 * One limiter for each virtual host is fine for hundreds of hosts; for more, name clients by host and address, and use one.
 * When the system has no memory for the table, an admission is rejected with CONNLIMIT_TABLE_FULL, and connlimit_create
 * returns CONNLIMIT_NO_MEMORY. Small pieces are another matter: where not even 2 KiB are left the process ends, as it does
 * for C++'s new without a handler. They are asked for by admissions of newcomers (the collector's list of what is to be
 * freed), by those under tiers or a total, by the first call of a thread, and by calls about configurations, connlimit_top
 * and connlimit_walk.
 *
 * GROWTH. A program runs with any later library of the same SONAME. A structure that may grow says its size in its
 * first member, or next to an array: set it to sizeof. Members that the library does not know are set to zero.
 */


#ifndef CONNLIMIT_H
#define CONNLIMIT_H

/* Generated from crates/capi/src by cbindgen; `crates/capi/README.md` says how to renew it. */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
/** The version of this header; connlimit_version() is that of the library. */
#define CONNLIMIT_VERSION "0.2.0"
#define CONNLIMIT_VERSION_MAJOR 0
#define CONNLIMIT_VERSION_MINOR 2
#define CONNLIMIT_VERSION_PATCH 0
/** For comparisons: two digits each for the minor version and the patch level. */
#define CONNLIMIT_VERSION_NUMBER (0 * 10000 + 2 * 100 + 0)

/** An empty permit. */
#define CONNLIMIT_PERMIT_INIT {0, {0, 0}}

/* To ignore such a status is to serve a connection that nobody counts. */
#if (defined(__cplusplus) && __cplusplus >= 201703L) || (!defined(__cplusplus) && defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
#define CONNLIMIT_MUST_USE [[nodiscard]]
#elif defined(__GNUC__)
#define CONNLIMIT_MUST_USE __attribute__((warn_unused_result))
#else
#define CONNLIMIT_MUST_USE
#endif


/**
 * Stands for a limit that there is not: any number of connections, which are still counted. Where a limit is asked for it
 * has to be said; 0 is a limit like any other, and admits nothing.
 */
#define CONNLIMIT_NO_LIMIT UINT32_MAX

/**
 * What `connlimit_config_get` answers for an option that has neither a value nor a default.
 */
#define CONNLIMIT_UNSET UINT64_MAX

/**
 * The limit of a rule that admits nobody.
 */
#define CONNLIMIT_DENY 0

/**
 * What became of a call.
 *
 * 0 is success. Above 0 the client was rejected, which is no fault; below 0 the call was wrong and did nothing.
 * Later versions may add values of either sign.
 */
enum connlimit_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Done.
   */
  CONNLIMIT_OK = 0,
  /**
   * Rejected: the client has as many open connections as it may have.
   */
  CONNLIMIT_CLIENT_LIMIT = 1,
  /**
   * Rejected: the client is not tracked yet, and the table is at its memory bound or could not get memory.
   */
  CONNLIMIT_TABLE_FULL = 2,
  /**
   * Rejected for a reason that this version of the header does not know.
   */
  CONNLIMIT_REJECTED = 3,
  /**
   * Rejected: a network around the client has as many open connections as a tier allows.
   */
  CONNLIMIT_TIER_LIMIT = 4,
  /**
   * Rejected: all clients together have as many open connections as they may have.
   */
  CONNLIMIT_TOTAL_LIMIT = 5,
  /**
   * Rejected: a rule denies the client.
   */
  CONNLIMIT_DENIED = 6,
  /**
   * Rejected: the peer is not known, and the configuration rejects such peers.
   */
  CONNLIMIT_UNKNOWN_PEER = 7,
  /**
   * An argument that has to point to something is null.
   */
  CONNLIMIT_NULL_POINTER = -1,
  /**
   * The pointer does not lead to a limiter.
   */
  CONNLIMIT_NOT_A_LIMITER = -2,
  /**
   * The pointer does not lead to a permit, open or zeroed.
   */
  CONNLIMIT_NOT_A_PERMIT = -3,
  /**
   * The permit already stands for an open connection.
   */
  CONNLIMIT_PERMIT_IN_USE = -4,
  /**
   * The permit stands for no connection: it was released, moved, or never acquired.
   */
  CONNLIMIT_PERMIT_EMPTY = -5,
  /**
   * An address is shorter than its family needs, bytes of an IP address are not 4 or 16, a name is longer than any
   * object can be, or a buffer is too short for its text.
   */
  CONNLIMIT_BAD_LENGTH = -6,
  /**
   * A socket address of a family other than `AF_INET`, `AF_INET6` and `AF_UNIX`.
   */
  CONNLIMIT_UNKNOWN_FAMILY = -7,
  /**
   * An IPv4 prefix length is above 32.
   */
  CONNLIMIT_BAD_IPV4_PREFIX = -8,
  /**
   * An IPv6 prefix length is above 128.
   */
  CONNLIMIT_BAD_IPV6_PREFIX = -9,
  /**
   * The table memory is below 1 MiB.
   */
  CONNLIMIT_BAD_TABLE_MEMORY = -10,
  /**
   * The library met a bug of its own. The limiter may still be used.
   */
  CONNLIMIT_INTERNAL = -11,
  /**
   * The pointer does not lead to a configuration.
   */
  CONNLIMIT_NOT_A_CONFIG = -12,
  /**
   * The first member of a structure, or the size of an element, is not one that this structure ever had.
   */
  CONNLIMIT_BAD_SIZE = -13,
  /**
   * No such option.
   */
  CONNLIMIT_BAD_OPTION = -14,
  /**
   * The option has no such value.
   */
  CONNLIMIT_BAD_VALUE = -15,
  /**
   * A tier that is narrower than the one before, or the fifth.
   */
  CONNLIMIT_BAD_TIER = -16,
  /**
   * A rule that cannot stand.
   */
  CONNLIMIT_BAD_RULE = -17,
  /**
   * The text is not a configuration.
   */
  CONNLIMIT_BAD_TEXT = -18,
  /**
   * The configuration changes something that is fixed when a limiter is created.
   */
  CONNLIMIT_FIXED_AT_CREATION = -19,
  /**
   * No memory for a new object.
   */
  CONNLIMIT_NO_MEMORY = -20,
  /**
   * The configuration is wrong in a way that this version of the header does not know.
   */
  CONNLIMIT_BAD_CONFIG = -21,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum connlimit_status connlimit_status;
#else
typedef int32_t connlimit_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an address consists of.
 */
enum connlimit_address_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * A `struct sockaddr`, as for `connlimit_try_acquire`.
   */
  CONNLIMIT_SOCKADDR = 0,
  /**
   * The 4 or 16 bytes of an IP address, as for `connlimit_try_acquire_ip`.
   */
  CONNLIMIT_IP = 1,
  /**
   * A name, as for `connlimit_try_acquire_named`.
   */
  CONNLIMIT_NAME = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum connlimit_address_kind connlimit_address_kind;
#else
typedef int32_t connlimit_address_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What `connlimit_config_set` sets. Options that are "fixed" cannot change once the limiter is created.
 */
enum connlimit_option
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Connections that one client may have open, or `CONNLIMIT_NO_LIMIT`: they are only counted. A limit above 2^30 - 1
   * acts like that one.
   */
  CONNLIMIT_MAX_PER_CLIENT = 1,
  /**
   * Fixed. Leading bits of an IPv4 address that make a client, at most 32, which is the default.
   */
  CONNLIMIT_IPV4_PREFIX = 2,
  /**
   * Fixed. Leading bits of an IPv6 address that make a client, at most 128, which is the default. 64 is what most
   * servers want.
   */
  CONNLIMIT_IPV6_PREFIX = 3,
  /**
   * Fixed. Upper bound on the memory of the tables, in bytes, at least 1 MiB. The default is 256 MiB.
   */
  CONNLIMIT_TABLE_MEMORY = 4,
  /**
   * Fixed. 1: all table memory is allocated at creation. The default is 0.
   */
  CONNLIMIT_PREALLOCATION = 5,
  /**
   * Connections that all clients together may have open, or `CONNLIMIT_NO_LIMIT`. Unless it is set they are not
   * counted together, and whether they are is fixed. `CONNLIMIT_UNSET` takes the limit away.
   */
  CONNLIMIT_MAX_TOTAL = 6,
  /**
   * Share of a limit, in percent, above which a client is in the soft zone, at most 100. The default is no such zone.
   */
  CONNLIMIT_SOFT_PERCENT = 7,
  /**
   * 1: limits and rules reject nobody, and what they would have rejected is counted. The default is 0.
   */
  CONNLIMIT_DRY_RUN = 8,
  /**
   * 1: decisions are counted by reason, for `connlimit_stats`. The default is 0.
   */
  CONNLIMIT_COUNTING = 9,
  /**
   * What happens to a client that is not tracked yet when the table is full: `CONNLIMIT_REJECT`, the default, or
   * `CONNLIMIT_ADMIT_UNTRACKED`.
   */
  CONNLIMIT_WHEN_FULL = 10,
  /**
   * The same for IPv4 clients alone. The default is what `CONNLIMIT_WHEN_FULL` says.
   */
  CONNLIMIT_WHEN_FULL_IPV4 = 11,
  /**
   * The same for IPv6 clients alone.
   */
  CONNLIMIT_WHEN_FULL_IPV6 = 12,
  /**
   * The same for named clients alone.
   */
  CONNLIMIT_WHEN_FULL_NAMED = 13,
  /**
   * What `connlimit_try_acquire_unknown` does: `CONNLIMIT_REJECT`, the default, or `CONNLIMIT_ADMIT_UNTRACKED`.
   */
  CONNLIMIT_UNKNOWN_PEERS = 14,
  /**
   * Fixed. Who is counted behind NAT64's well-known prefix: `CONNLIMIT_OWN_CLIENT`, the default, and the others.
   * Prefixes of your own are in the text form only.
   */
  CONNLIMIT_NAT64 = 15,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum connlimit_option connlimit_option;
#else
typedef int32_t connlimit_option;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Values of `CONNLIMIT_NAT64`: who is counted when an IPv6 address embeds the address of an IPv4 client.
 */
enum connlimit_embedded
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The embedded client, told from the IPv4 client with the same address.
   */
  CONNLIMIT_OWN_CLIENT = 0,
  /**
   * The IPv6 address, like any other.
   */
  CONNLIMIT_KEEP_ADDRESS = 1,
  /**
   * The IPv4 client itself: only for a translator of your own.
   */
  CONNLIMIT_SAME_AS_IPV4 = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum connlimit_embedded connlimit_embedded;
#else
typedef int32_t connlimit_embedded;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How near to its limit a client is.
 */
enum connlimit_zone
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * No limit is above its soft share, or there is no share or no limit.
   */
  CONNLIMIT_NORMAL = 0,
  /**
   * Above `CONNLIMIT_SOFT_PERCENT` of its own limit, a tier's or the total's: a server may give it less, shorter
   * time-outs for instance.
   */
  CONNLIMIT_SOFT = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum connlimit_zone connlimit_zone;
#else
typedef int32_t connlimit_zone;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Values of `CONNLIMIT_WHEN_FULL` and its kin, and of `CONNLIMIT_UNKNOWN_PEERS`.
 */
enum connlimit_in_doubt
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Reject the connection.
   */
  CONNLIMIT_REJECT = 0,
  /**
   * Admit it with a permit that does not count for a client.
   */
  CONNLIMIT_ADMIT_UNTRACKED = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum connlimit_in_doubt connlimit_in_doubt;
#else
typedef int32_t connlimit_in_doubt;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an operator may set: limits, how clients are told apart, memory, rules.
 *
 * A configuration is made with `connlimit_config_create`, filled with `connlimit_config_set` and its kin, handed to
 * `connlimit_create` or `connlimit_set_config`, which copy it, and ended with `connlimit_config_destroy`. It is valid
 * at any time: a call that would break it changes nothing, returns what is wrong, and `connlimit_config_fault` says
 * where. One thread at a time may use it.
 */
typedef struct connlimit_config connlimit_config;

/**
 * A handle of a limiter. All handles made by `connlimit_clone` share one limiter.
 *
 * Any number of threads may use one handle at once, except that nobody may use it during and after its
 * `connlimit_destroy`.
 */
typedef struct connlimit_limiter connlimit_limiter;

/**
 * One counted connection, in memory of the caller's.
 *
 * Zero it before its first use: `connlimit_permit permit = CONNLIMIT_PERMIT_INIT;`, or `memset`. It may lie on the
 * stack or within a larger structure. Hand it on with `connlimit_move`: of two copies made by assignment or `memcpy`
 * at most one may ever be released, and the library cannot tell them apart.
 *
 * Its size never changes. The members are private.
 */
typedef struct connlimit_permit {
  /**
   * What `held` holds; 0 is nothing.
   */
  size_t state;
  /**
   * The connection, and room.
   */
  size_t held[2];
} connlimit_permit;

/**
 * One connection of a batch.
 */
typedef struct connlimit_arrival {
  /**
   * Whose it is, in the form that `kind` says.
   */
  const void *address;
  /**
   * Bytes of `address`.
   */
  size_t len;
  /**
   * Gets the connection, as by `connlimit_try_acquire`.
   */
  struct connlimit_permit *permit;
  /**
   * A `connlimit_address_kind`.
   */
  int32_t kind;
  /**
   * What became of it.
   */
  int32_t status;
} connlimit_arrival;

/**
 * A client and its open connections.
 */
typedef struct connlimit_client_count {
  /**
   * Its open connections, at least one.
   */
  uint32_t open_connections;
  /**
   * Bytes of `ip`: 4, 16, or 0 for a named client.
   */
  uint32_t ip_len;
  /**
   * The address in network order; under a prefix, the first one of the network that is counted together.
   */
  uint8_t ip[16];
  /**
   * The address as text; or `named:` and the name if names are kept (`connlimit_keep_names`), else a digest of it. Ends
   * with a zero byte; a name that is longer is cut off.
   */
  char text[144];
} connlimit_client_count;

/**
 * Called by `connlimit_walk` for each client, with its argument `arg`. Not 0 ends the walk. `client` is valid until it
 * returns. It may call this library, but not destroy the handle; it must return, and not throw or jump.
 */
typedef int32_t (*connlimit_visit)(const struct connlimit_client_count *client, void *arg);

/**
 * Called by `connlimit_update_config` with a copy of the configuration in force, which it may change, and with its
 * argument `arg`. Anything but `CONNLIMIT_OK` gives up. It must return, and not throw or jump.
 */
typedef int32_t (*connlimit_change)(struct connlimit_config *config, void *arg);

/**
 * What one table holds. It will never have other members: later numbers go to the end of `connlimit_limiter_stats`.
 */
typedef struct connlimit_table_stats {
  /**
   * Open connections.
   */
  uint64_t open_connections;
  /**
   * Clients that have connections open.
   */
  uint64_t clients;
  /**
   * Clients whose last connection has ended, and whose slot is still theirs should they return.
   */
  uint64_t lingering;
  /**
   * Slots that serve again once no thread can be looking at what they held.
   */
  uint64_t dead;
  /**
   * Slots that have memory.
   */
  uint64_t slots;
  /**
   * Arrays that make up the table: one, and more while it changes size.
   */
  uint64_t levels;
  /**
   * Memory taken from the bound, in bytes. Arrays are reserved whole, and take memory as they fill.
   */
  uint64_t reserved_bytes;
  /**
   * Bound on the memory, in bytes: this table's share of `CONNLIMIT_TABLE_MEMORY`.
   */
  uint64_t bound_bytes;
} connlimit_table_stats;

/**
 * The numbers of a limiter. Zero it, and set `size` to `sizeof(connlimit_limiter_stats)`.
 *
 * Decisions are counted since the limiter was created, while `CONNLIMIT_COUNTING` is 1; those of the shadow and of a
 * dry run always. They only grow. `connlimit_status_text` has a text for each reason.
 */
typedef struct connlimit_limiter_stats {
  /**
   * Bytes of this structure, as the caller knows it.
   */
  size_t size;
  /**
   * All clients together.
   */
  struct connlimit_table_stats total;
  /**
   * IPv4 clients.
   */
  struct connlimit_table_stats ipv4;
  /**
   * IPv6 clients.
   */
  struct connlimit_table_stats ipv6;
  /**
   * Named clients.
   */
  struct connlimit_table_stats named;
  /**
   * Per tier the networks, which stand in the place of clients there. Not part of `total`.
   */
  struct connlimit_table_stats tiers[4];
  /**
   * How many of `tiers` there are.
   */
  uint64_t num_tiers;
  /**
   * Admitted with a permit that counts.
   */
  uint64_t admitted;
  /**
   * Admitted with a permit that does not count for a client.
   */
  uint64_t admitted_untracked;
  /**
   * `CONNLIMIT_CLIENT_LIMIT`.
   */
  uint64_t rejected_client_limit;
  /**
   * `CONNLIMIT_TABLE_FULL`.
   */
  uint64_t rejected_table_full;
  /**
   * `CONNLIMIT_TIER_LIMIT`.
   */
  uint64_t rejected_tier_limit;
  /**
   * `CONNLIMIT_TOTAL_LIMIT`.
   */
  uint64_t rejected_total_limit;
  /**
   * `CONNLIMIT_DENIED`.
   */
  uint64_t rejected_denied;
  /**
   * `CONNLIMIT_UNKNOWN_PEER`.
   */
  uint64_t rejected_unknown_peer;
  /**
   * Attempts that the shadow would have rejected, whatever the configuration in force said.
   */
  uint64_t shadow_rejected;
  /**
   * Admitted only because of a dry run.
   */
  uint64_t dry_run_rejected;
} connlimit_limiter_stats;

/**
 * What a client has of what it may have. Zero it, and set `size` to `sizeof(connlimit_client_usage)`.
 */
typedef struct connlimit_client_usage {
  /**
   * Bytes of this structure, as the caller knows it.
   */
  size_t size;
  /**
   * Connections that the client has open; 0 when it is not tracked.
   */
  uint32_t open_connections;
  /**
   * Connections that it may have open, by the rule for it or the limit for everybody; `CONNLIMIT_NO_LIMIT` is any
   * number.
   */
  uint32_t limit;
  /**
   * A `connlimit_zone`.
   */
  int32_t zone;
  /**
   * Room. 0.
   */
  uint32_t reserved;
} connlimit_client_usage;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Counts one more connection of the peer at a socket address, as `accept` and `getpeername` return it.
 *
 * `permit` has to be empty (zeroed or released) before, and stands for the connection until `connlimit_release`.
 * When the result is not `CONNLIMIT_OK` the permit is left as it was and nothing is counted.
 *
 * An IPv4-mapped IPv6 address is the IPv4 client. Ports and scope identifiers do not matter. A peer on a Unix
 * socket is the client with the name `unix:` and its path. A path that begins with a zero byte is a name of
 * Linux's abstract kind, zero bytes included. Sockets that were not bound, which most clients' are, have no
 * path: they are one client, named `unix:`. A local peer chooses its own path; where that matters, name the
 * client by its credentials with `connlimit_try_acquire_named`.
 *
 * `len` must not exceed the buffer. `accept` returns the full length of an address even when it had to truncate
 * it, so give it a `struct sockaddr_storage`.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_try_acquire(const struct connlimit_limiter *limiter,
                                       const struct sockaddr *addr,
                                       socklen_t len,
                                       struct connlimit_permit *permit);

/**
 * Counts one more connection of the client at an IP address: 4 or 16 bytes in network order, as in `struct in_addr`,
 * `struct in6_addr`, and what a trusted proxy says of a client.
 *
 * For the rest it is as `connlimit_try_acquire`.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_try_acquire_ip(const struct connlimit_limiter *limiter,
                                          const void *bytes,
                                          size_t len,
                                          struct connlimit_permit *permit);

/**
 * Counts one more connection of the client with a name of `len` bytes: a tenant, a user, a vsock id.
 *
 * Names are bytes and never collide with addresses. For the rest it is as `connlimit_try_acquire`.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_try_acquire_named(const struct connlimit_limiter *limiter,
                                             const void *name,
                                             size_t len,
                                             struct connlimit_permit *permit);

/**
 * Admits or rejects a connection of which the server cannot tell whose it is: `getpeername` has failed, or a proxy says
 * `UNKNOWN`. `CONNLIMIT_UNKNOWN_PEERS` decides.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_try_acquire_unknown(const struct connlimit_limiter *limiter,
                                               struct connlimit_permit *permit);

/**
 * Counts one more connection like `connlimit_try_acquire`, with a limit of the caller's in place of the configuration's.
 *
 * After an admission the client has at most `limit` connections open, whichever limits other calls named; 0 rejects. It
 * takes the place of `CONNLIMIT_MAX_PER_CLIENT` and of the limit that a rule names. A tenant's plan, for instance.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_try_acquire_within(const struct connlimit_limiter *limiter,
                                              const struct sockaddr *addr,
                                              socklen_t len,
                                              uint32_t limit,
                                              struct connlimit_permit *permit);

/**
 * Counts one more connection like `connlimit_try_acquire_ip`, with a limit of the caller's in place of the configuration's.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_try_acquire_within_ip(const struct connlimit_limiter *limiter,
                                                 const void *bytes,
                                                 size_t len,
                                                 uint32_t limit,
                                                 struct connlimit_permit *permit);

/**
 * Counts one more connection like `connlimit_try_acquire_named`, with a limit of the caller's in place of the configuration's.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_try_acquire_within_named(const struct connlimit_limiter *limiter,
                                                    const void *name,
                                                    size_t len,
                                                    uint32_t limit,
                                                    struct connlimit_permit *permit);

/**
 * Counts `n` connections, as so many calls of `connlimit_try_acquire` and its kin would, for the price of one entry
 * into the table: for an accept loop that has several in hand, and for languages in which each call of C is dear.
 *
 * `arrivals` is an array of structures that are `size` bytes long: `sizeof(connlimit_arrival)`. Each one's `status`
 * says what became of it. The call itself returns `CONNLIMIT_OK` if all were looked at, admitted or not.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_try_acquire_batch(const struct connlimit_limiter *limiter,
                                             struct connlimit_arrival *arrivals,
                                             size_t size,
                                             size_t n);

/**
 * Stores in `clients` the `n` clients with the most open connections, those with the most first, and in `*found` how
 * many there were.
 *
 * `clients` is an array of structures that are `size` bytes long: `sizeof(connlimit_client_count)`. The work is that of
 * `connlimit_walk`, and what is said there of changes meanwhile holds here.
 */
connlimit_status connlimit_top(const struct connlimit_limiter *limiter,
                               struct connlimit_client_count *clients,
                               size_t size,
                               size_t n,
                               size_t *found);

/**
 * Calls `visit` for each client that has connections open, in no particular order, while admissions go on.
 *
 * A client that has connections all the while is seen once, with a count that it had at one moment. One whose
 * connections all end meanwhile, or whose first one begins, may be missed; and if both happens, be seen twice. Nothing
 * is held up while `visit` runs.
 */
connlimit_status connlimit_walk(const struct connlimit_limiter *limiter,
                                connlimit_visit visit,
                                void *arg);

/**
 * Keeps the names of named clients from now on, to show them instead of a digest: at most `at_most`, those that were used
 * last, each of up to 128 bytes, with everything but printable ASCII escaped.
 *
 * It holds for the whole process, and the first call decides. It costs each call that takes a name a look-up under a lock,
 * which is never waited for.
 */
connlimit_status connlimit_keep_names(size_t at_most);

/**
 * Makes a configuration: at most `max_per_client` connections for each client, or `CONNLIMIT_NO_LIMIT`. Everything else
 * has its default: each address is a client of its own, and the tables take up to 256 MiB.
 *
 * The pointer goes to `*config` and ends with `connlimit_config_destroy`. On failure `*config` is null.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_config_create(uint32_t max_per_client,
                                         struct connlimit_config **config);

/**
 * Ends a configuration, and sets `*config` to null. Limiters that were made with it are not affected.
 */
connlimit_status connlimit_config_destroy(struct connlimit_config **config);

/**
 * Says in English what was wrong with the last call that changed, parsed or applied this configuration, and where: the
 * member of a text, the network of a rule. Empty if nothing was, and if `config` is no configuration.
 *
 * The text belongs to the configuration, and is valid until the next call with it. It is for an operator, not for a
 * peer.
 */
const char *connlimit_config_fault(const struct connlimit_config *config);

/**
 * Sets one option, a `connlimit_option`.
 *
 * Returns `CONNLIMIT_BAD_OPTION` for one that this library does not know, and `CONNLIMIT_BAD_VALUE` or a status of its
 * own for a value that the option cannot have. `connlimit_config_patch` takes an option back to its default.
 */
connlimit_status connlimit_config_set(struct connlimit_config *config,
                                      int32_t option,
                                      uint64_t value);

/**
 * Stores the value of one option in `*value`; `CONNLIMIT_UNSET` if it has neither a value nor a default.
 */
connlimit_status connlimit_config_get(const struct connlimit_config *config,
                                      int32_t option,
                                      uint64_t *value);

/**
 * Sets a tier: at most `limit` connections from all addresses together that share their first `ipv4_prefix` or
 * `ipv6_prefix` bits, or `CONNLIMIT_NO_LIMIT`. Narrow tiers come before wide ones, and there are at most four. The same
 * prefix lengths again replace the limit.
 *
 * Prefix lengths of tiers are fixed when the limiter is created; limits may change.
 */
connlimit_status connlimit_config_set_tier(struct connlimit_config *config,
                                           uint32_t ipv4_prefix,
                                           uint32_t ipv6_prefix,
                                           uint32_t limit);

/**
 * Takes a tier away, if it is there. A limiter that was created with it goes on counting its networks, without a limit.
 */
connlimit_status connlimit_config_remove_tier(struct connlimit_config *config,
                                              uint32_t ipv4_prefix,
                                              uint32_t ipv6_prefix);

/**
 * Sets a rule: a limit for each client of one network, instead of the limit for everybody; `CONNLIMIT_DENY` and
 * `CONNLIMIT_NO_LIMIT` are limits too. Of all rules for networks that contain an address the one with the longest prefix
 * counts. The same network again replaces the limit.
 *
 * `network` is text like `192.0.2.0/24` or `2001:db8::/32`. For many rules, `connlimit_config_parse` takes them at once.
 */
connlimit_status connlimit_config_set_rule(struct connlimit_config *config,
                                           const char *network,
                                           uint32_t limit);

/**
 * Takes the rule for a network away, if there is one.
 */
connlimit_status connlimit_config_remove_rule(struct connlimit_config *config, const char *network);

/**
 * Copies the limits of `shadow` into `config`, to be tried out beside those in force: what they would have rejected is
 * counted, and rejects nobody.
 */
connlimit_status connlimit_config_set_shadow(struct connlimit_config *config,
                                             const struct connlimit_config *shadow);

/**
 * Replaces a configuration by the one that a text of `len` bytes says: JSON, as `connlimit_config_text` writes it and
 * as connlimit in Rust reads it.
 *
 * ```json
 * {"max_per_client": 16, "ipv6_prefix": 64, "max_total": 10000, "counting": true,
 *  "tiers": [{"ipv4_prefix": 24, "ipv6_prefix": 48, "limit": 256}],
 *  "rules": [{"network": "127.0.0.0/8", "action": "unlimited"}, {"network": "192.0.2.0/24", "action": 4}]}
 * ```
 *
 * A limit is a number, `"unlimited"` or `"deny"`. `max_per_client` has to be there; what else the text does not mention
 * has its default. On failure, among others for a member that is not known, the
 * configuration stays as it was, the status is `CONNLIMIT_BAD_TEXT`, and `connlimit_config_fault` names the place.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_config_parse(struct connlimit_config *config,
                                        const char *text,
                                        size_t len);

/**
 * Changes the members of a configuration that a text of `len` bytes mentions, and leaves the rest: a merge patch as
 * RFC 7396 has it. `null` takes a member back to its default; `{"shadow": null}` for instance. An array replaces the
 * array that was there.
 *
 * On failure it is as for `connlimit_config_parse`.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_config_patch(struct connlimit_config *config,
                                        const char *text,
                                        size_t len);

/**
 * Writes a configuration as text, in the form that `connlimit_config_parse` reads, and stores its length in `*len`.
 *
 * Like `snprintf` it writes at most `size` bytes, a zero byte at the end included, and says in `*len` how long the
 * whole text is without that. When `size` is not above `*len` it writes nothing and returns `CONNLIMIT_BAD_LENGTH`;
 * `text` may be null if `size` is 0.
 */
connlimit_status connlimit_config_text(const struct connlimit_config *config,
                                       char *text,
                                       size_t size,
                                       size_t *len);

/**
 * Makes a limiter. It keeps a copy of the configuration.
 *
 * The handle goes to `*limiter` and ends with `connlimit_destroy`. On failure `*limiter` is null.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_create(const struct connlimit_config *config,
                                  struct connlimit_limiter **limiter);

/**
 * Makes another handle of the same limiter.
 *
 * The handle goes to `*copy` and ends with a `connlimit_destroy` of its own. On failure `*copy` is null.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_clone(const struct connlimit_limiter *limiter,
                                 struct connlimit_limiter **copy);

/**
 * Ends a handle, and the limiter with its last handle. Sets `*limiter` to null.
 *
 * Permits that are out stay valid and have to be released as before. Destroying a null handle does nothing but
 * return `CONNLIMIT_NULL_POINTER`.
 */
connlimit_status connlimit_destroy(struct connlimit_limiter **limiter);

/**
 * Changes how many connections one client may have open, or to `CONNLIMIT_NO_LIMIT`. The rest of the configuration stays.
 *
 * Calls of `connlimit_try_acquire` that begin afterwards obey it. Open connections stay open: a client may have
 * more than a lowered limit until enough of them are released.
 */
connlimit_status connlimit_set_limit(struct connlimit_limiter *limiter,
                                     uint32_t max_per_client);

/**
 * Changes the configuration of a running limiter: copies the one in force into `config`, calls `change`, and puts the
 * result in force. When another thread was faster it begins anew, so of two changes none is lost.
 *
 * Returns what `change` returned if that is not `CONNLIMIT_OK`; nothing has changed then. For the rest it is as
 * `connlimit_set_config`.
 */
int32_t connlimit_update_config(struct connlimit_limiter *limiter,
                                struct connlimit_config *config,
                                connlimit_change change,
                                void *arg);

/**
 * Replaces the configuration of a running limiter by a copy of `config`.
 *
 * Admissions that begin afterwards obey it, and open connections stay open. What is fixed at creation may be left at
 * its default or repeated; to change it is `CONNLIMIT_FIXED_AT_CREATION`, and changes nothing.
 */
connlimit_status connlimit_set_config(struct connlimit_limiter *limiter,
                                      struct connlimit_config *config);

/**
 * Copies the configuration in force into `config`, with what is fixed spelt out.
 */
connlimit_status connlimit_get_config(const struct connlimit_limiter *limiter,
                                      struct connlimit_config *config);

/**
 * Gives memory back that would be given back in passing while new clients come.
 *
 * A server that falls idle after a crowd may call it from a timer. It takes about a millisecond for each hundred
 * thousand clients there have been, and disturbs nobody.
 */
connlimit_status connlimit_reclaim(struct connlimit_limiter *limiter);

/**
 * Ends a connection: its client may open another.
 *
 * The permit is empty afterwards and may be used again. Any thread may release it, and it may outlive every
 * handle of its limiter.
 *
 * A second release of the same permit changes nothing and returns `CONNLIMIT_PERMIT_EMPTY`, even when two
 * threads release it at once. Releasing a *copy* of a permit that was released is undefined behaviour.
 */
connlimit_status connlimit_release(struct connlimit_permit *permit);

/**
 * Moves a connection from one permit to another, and leaves `from` empty.
 *
 * `to` has to be empty (zeroed or released) before.
 */
connlimit_status connlimit_move(struct connlimit_permit *to,
                                struct connlimit_permit *from);

/**
 * Fills `*stats` with the numbers of a limiter. They are of different moments within the call.
 *
 * Reads the whole table, in pieces and without holding anything up: right for a look every few seconds, not for each
 * connection.
 */
connlimit_status connlimit_stats(const struct connlimit_limiter *limiter,
                                 struct connlimit_limiter_stats *stats);

/**
 * Says in English what a status means.
 *
 * The text lives as long as the library, is never null, and the caller must not free it. The texts of rejections
 * may be shown to the peer: they name no count and no limit. An unknown status has a text too.
 */
const char *connlimit_status_text(int32_t status);

/**
 * Stores in `*num` how many connections the peer at a socket address has open.
 *
 * Other threads may change the number before the caller reads it. When the result is not `CONNLIMIT_OK`, `*num`
 * is left as it was.
 */
connlimit_status connlimit_open_connections(const struct connlimit_limiter *limiter,
                                            const struct sockaddr *addr,
                                            socklen_t len,
                                            uint32_t *num);

/**
 * Stores in `*num` how many connections the client at an IP address of 4 or 16 bytes has open.
 */
connlimit_status connlimit_open_connections_ip(const struct connlimit_limiter *limiter,
                                               const void *bytes,
                                               size_t len,
                                               uint32_t *num);

/**
 * Stores in `*num` how many connections the client with a name of `len` bytes has open.
 */
connlimit_status connlimit_open_connections_named(const struct connlimit_limiter *limiter,
                                                  const void *name,
                                                  size_t len,
                                                  uint32_t *num);

/**
 * Fills `*usage` with what the peer at a socket address has now of what it may have.
 */
connlimit_status connlimit_usage(const struct connlimit_limiter *limiter,
                                 const struct sockaddr *addr,
                                 socklen_t len,
                                 struct connlimit_client_usage *usage);

/**
 * Fills `*usage` with what the client at an IP address of 4 or 16 bytes has now of what it may have.
 */
connlimit_status connlimit_usage_ip(const struct connlimit_limiter *limiter,
                                    const void *bytes,
                                    size_t len,
                                    struct connlimit_client_usage *usage);

/**
 * Fills `*usage` with what the client with a name of `len` bytes has now of what it may have.
 */
connlimit_status connlimit_usage_named(const struct connlimit_limiter *limiter,
                                       const void *name,
                                       size_t len,
                                       struct connlimit_client_usage *usage);

/**
 * Counts one more connection like `connlimit_try_acquire`, and fills `*usage` with how near to its limit the client has come.
 *
 * When the result is not `CONNLIMIT_OK`, `*usage` is left as it was.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_try_acquire_with_usage(const struct connlimit_limiter *limiter,
                                                  const struct sockaddr *addr,
                                                  socklen_t len,
                                                  struct connlimit_permit *permit,
                                                  struct connlimit_client_usage *usage);

/**
 * Counts one more connection like `connlimit_try_acquire_ip`, and fills `*usage` with how near to its limit the client has come.
 *
 * When the result is not `CONNLIMIT_OK`, `*usage` is left as it was.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_try_acquire_with_usage_ip(const struct connlimit_limiter *limiter,
                                                     const void *bytes,
                                                     size_t len,
                                                     struct connlimit_permit *permit,
                                                     struct connlimit_client_usage *usage);

/**
 * Counts one more connection like `connlimit_try_acquire_named`, and fills `*usage` with how near to its limit the client has come.
 *
 * When the result is not `CONNLIMIT_OK`, `*usage` is left as it was.
 */
CONNLIMIT_MUST_USE
connlimit_status connlimit_try_acquire_with_usage_named(const struct connlimit_limiter *limiter,
                                                        const void *name,
                                                        size_t len,
                                                        struct connlimit_permit *permit,
                                                        struct connlimit_client_usage *usage);

/**
 * The version of the library, for instance `0.2.0`; `CONNLIMIT_VERSION` is that of the header. The text lives as long
 * as the library.
 */
const char *connlimit_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CONNLIMIT_H */
