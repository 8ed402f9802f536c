#ifndef CONNLIMIT_H
#define CONNLIMIT_H

/* Generated from crates/capi/src by cbindgen; `crates/capi/README.md` says how to renew it. */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

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
   * Rejected: the table is at its memory bound, and the client is not tracked yet.
   */
  CONNLIMIT_TABLE_FULL = 2,
  /**
   * Rejected for another reason.
   */
  CONNLIMIT_REJECTED = 3,
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
   * A socket address is shorter than its family needs, or a name is longer than any object can be.
   */
  CONNLIMIT_BAD_LENGTH = -6,
  /**
   * A socket address of a family other than `AF_INET`, `AF_INET6` and `AF_UNIX`.
   */
  CONNLIMIT_UNKNOWN_FAMILY = -7,
  /**
   * The IPv4 prefix length is above 32.
   */
  CONNLIMIT_BAD_IPV4_PREFIX = -8,
  /**
   * The IPv6 prefix length is above 128.
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
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum connlimit_status connlimit_status;
#else
typedef int32_t connlimit_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A handle of a limiter. All handles made by `connlimit_clone` share one limiter.
 *
 * Any number of threads may use one handle at once, except that nobody may use it during and after its
 * `connlimit_destroy`.
 */
typedef struct connlimit_limiter connlimit_limiter;

/**
 * What an operator may set. A member that is 0 has its default, so `{0}` is a valid configuration.
 */
typedef struct connlimit_config {
  /**
   * Connections that one client may have open. The default is no limit: connections are only counted.
   */
  uint32_t max_per_client;
  /**
   * Leading bits of an IPv4 address that make a client, at most 32. The default is 32.
   */
  uint32_t ipv4_prefix;
  /**
   * Leading bits of an IPv6 address that make a client, at most 128. The default is 128; 64 is what most
   * servers want.
   */
  uint32_t ipv6_prefix;
  /**
   * Upper bound on the memory of the tables, in bytes, at least 1 MiB. The default is 256 MiB.
   */
  size_t table_memory;
} connlimit_config;

/**
 * One counted connection, in memory of the caller's.
 *
 * Zero it before its first use, as in `connlimit_permit permit = {0};`. It may lie on the stack or within a
 * larger structure. Hand it on with `connlimit_move`: of two copies made by assignment or `memcpy` at most one
 * may ever be released, and the library cannot tell them apart.
 *
 * The members are private.
 */
typedef struct connlimit_permit {
  /**
   * What `held` holds; 0 is nothing.
   */
  size_t state;
  /**
   * The connection.
   */
  size_t held[2];
} connlimit_permit;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Makes a limiter.
 *
 * The handle goes to `*limiter` and ends with `connlimit_destroy`. On failure `*limiter` is null.
 *
 * # Safety
 *
 * `config` is null or points to a `connlimit_config`; `limiter` is null or points to a pointer that may be
 * written.
 */
connlimit_status connlimit_create(const struct connlimit_config *config,
                                  struct connlimit_limiter **limiter);

/**
 * Makes another handle of the same limiter.
 *
 * The handle goes to `*copy` and ends with a `connlimit_destroy` of its own. On failure `*copy` is null.
 *
 * # Safety
 *
 * 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
 * 2. `copy` is null or points to a pointer that may be written.
 */
connlimit_status connlimit_clone(const struct connlimit_limiter *limiter,
                                 struct connlimit_limiter **copy);

/**
 * Ends a handle, and the limiter with its last handle. Sets `*limiter` to null.
 *
 * Permits that are out stay valid and have to be released as before. Destroying a null handle does nothing but
 * return `CONNLIMIT_NULL_POINTER`.
 *
 * # Safety
 *
 * 1. `limiter` is null or points to a pointer that may be read and written, and no other thread uses the handle.
 * 2. `*limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
 */
connlimit_status connlimit_destroy(struct connlimit_limiter **limiter);

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
 *
 * # Safety
 *
 * 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
 * 2. `addr` is null, or `len` bytes may be read from it, aligned or not.
 * 3. `permit` is null, or points to a `connlimit_permit` that may be read and written, has been zeroed at some
 *    time before, and is not used by another thread.
 */
connlimit_status connlimit_try_acquire(const struct connlimit_limiter *limiter,
                                       const struct sockaddr *addr,
                                       socklen_t len,
                                       struct connlimit_permit *permit);

/**
 * Counts one more connection of the client with a name of `len` bytes: a tenant, a user, a vsock id.
 *
 * Names are bytes and never collide with addresses. `permit` is treated as by `connlimit_try_acquire`.
 *
 * # Safety
 *
 * 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
 * 2. `name` is null, or `len` bytes may be read from it.
 * 3. `permit` is null, or points to a `connlimit_permit` that may be read and written, has been zeroed at some
 *    time before, and is not used by another thread.
 */
connlimit_status connlimit_try_acquire_named(const struct connlimit_limiter *limiter,
                                             const void *name,
                                             size_t len,
                                             struct connlimit_permit *permit);

/**
 * Stores in `*num` how many connections the peer at a socket address has open.
 *
 * Other threads may change the number before the caller reads it. When the result is not `CONNLIMIT_OK`, `*num`
 * is left as it was.
 *
 * # Safety
 *
 * 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
 * 2. `addr` is null, or `len` bytes may be read from it, aligned or not.
 * 3. `num` is null or points to a `uint32_t` that may be written.
 */
connlimit_status connlimit_open_connections(const struct connlimit_limiter *limiter,
                                    const struct sockaddr *addr,
                                    socklen_t len,
                                    uint32_t *num);

/**
 * Stores in `*num` how many connections the client with a name of `len` bytes has open.
 *
 * # Safety
 *
 * 1. `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
 * 2. `name` is null, or `len` bytes may be read from it.
 * 3. `num` is null or points to a `uint32_t` that may be written.
 */
connlimit_status connlimit_open_connections_named(const struct connlimit_limiter *limiter,
                                          const void *name,
                                          size_t len,
                                          uint32_t *num);

/**
 * Changes how many connections one client may have open; 0 means no limit.
 *
 * Calls of `connlimit_try_acquire` that begin afterwards obey it. Open connections stay open: a client may have
 * more than a lowered limit until enough of them are released.
 *
 * # Safety
 *
 * `limiter` is null, or at least eight bytes may be read from it, and it is no handle that was destroyed.
 */
connlimit_status connlimit_set_limit(const struct connlimit_limiter *limiter,
                                     uint32_t max_per_client);

/**
 * Ends a connection: its client may open another.
 *
 * The permit is empty afterwards and may be used again. Any thread may release it, and it may outlive every
 * handle of its limiter.
 *
 * A second release of the same permit changes nothing and returns `CONNLIMIT_PERMIT_EMPTY`, even when two
 * threads release it at once. Releasing a *copy* of a permit that was released is undefined behaviour.
 *
 * # Safety
 *
 * 1. `permit` is null, or points to a `connlimit_permit` that may be read and written and has been zeroed at
 *    some time before.
 * 2. No bytewise copy of this permit has been released.
 */
connlimit_status connlimit_release(struct connlimit_permit *permit);

/**
 * Moves a connection from one permit to another, and leaves `from` empty.
 *
 * `to` has to be empty (zeroed or released) before.
 *
 * # Safety
 *
 * 1. Each of `to` and `from` is null, or points to a `connlimit_permit` that may be read and written and has
 *    been zeroed at some time before.
 * 2. No bytewise copy of `from` has been released.
 * 3. No other thread acquires or moves into `to` meanwhile.
 */
connlimit_status connlimit_move(struct connlimit_permit *to,
                                struct connlimit_permit *from);

/**
 * Says in English what a status means.
 *
 * The text lives as long as the library, is never null, and the caller must not free it. The texts of rejections
 * may be shown to the peer: they name no count and no limit. An unknown status has a text too.
 */
const char *connlimit_status_text(int32_t status);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CONNLIMIT_H */
