/* For counting instructions: cost CALL N calls N times, on clients that are there. */
#include <connlimit.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
    const char *call = argc == 3 ? argv[1] : "";
    long n = argc == 3 ? atol(argv[2]) : 0;
    connlimit_config *config = NULL;
    connlimit_limiter *limiter = NULL;
    connlimit_permit held[2] = {CONNLIMIT_PERMIT_INIT, CONNLIMIT_PERMIT_INIT}, permit = CONNLIMIT_PERMIT_INIT;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    long wrong = 0;
    memset(&v4, 0, sizeof v4);
    memset(&v6, 0, sizeof v6);
    v4.sin_family = AF_INET;
    memcpy(&v4.sin_addr, "\300\0\2\1", 4);
    v6.sin6_family = AF_INET6;
    memcpy(&v6.sin6_addr, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);

    /* A client with one connection may have another, unless it is to be rejected. */
    int full = strncmp(call, "reject", 6) == 0;
    if (connlimit_config_create(full ? 1 : 2, &config) != CONNLIMIT_OK) return 1;
    if (connlimit_create(config, &limiter) != CONNLIMIT_OK) return 1;
    if (connlimit_try_acquire_ip(limiter, &v4.sin_addr, 4, &held[0]) != CONNLIMIT_OK) return 1;
    if (connlimit_try_acquire_ip(limiter, &v6.sin6_addr, 16, &held[1]) != CONNLIMIT_OK) return 1;

#define REPEAT(name, body)       \
    if (strcmp(call, name) == 0) \
        for (long i = 0; i < n; i++) { body }
    REPEAT("acquire_ip", wrong += connlimit_try_acquire_ip(limiter, &v4.sin_addr, 4, &permit); connlimit_release(&permit);)
    REPEAT("acquire_ip6", wrong += connlimit_try_acquire_ip(limiter, &v6.sin6_addr, 16, &permit); connlimit_release(&permit);)
    REPEAT("acquire_sockaddr", wrong += connlimit_try_acquire(limiter, (struct sockaddr *)&v4, sizeof v4, &permit);
           connlimit_release(&permit);)
    REPEAT("reject_ip", wrong += connlimit_try_acquire_ip(limiter, &v4.sin_addr, 4, &permit) != CONNLIMIT_CLIENT_LIMIT;)
    REPEAT("reject_ip6", wrong += connlimit_try_acquire_ip(limiter, &v6.sin6_addr, 16, &permit) != CONNLIMIT_CLIENT_LIMIT;)
    REPEAT("reject_sockaddr", wrong += connlimit_try_acquire(limiter, (struct sockaddr *)&v4, sizeof v4, &permit) != CONNLIMIT_CLIENT_LIMIT;)
    uint32_t num = 0;
    REPEAT("open_ip", wrong += connlimit_open_connections_ip(limiter, &v4.sin_addr, 4, &num);)
    if (wrong != 0) fprintf(stderr, "%ld wrong answers\n", wrong);
    return wrong != 0;
}
