/* The shared library, opened and closed by the program itself: unload PATH. */
#define _POSIX_C_SOURCE 200809L

#include <connlimit.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *library;

/* ISO C has no conversion from what dlsym returns. */
static void find(const char *name, void *function, size_t size) {
    void *found = dlsym(library, name);
    if (found == NULL) {
        fprintf(stderr, "no %s: %s\n", name, dlerror());
        exit(1);
    }
    memcpy(function, &found, size);
}

#define OK(call)                                                         \
    do {                                                                 \
        if ((call) != CONNLIMIT_OK) {                                    \
            fprintf(stderr, "unload.c:%d: %s failed\n", __LINE__, #call); \
            exit(1);                                                     \
        }                                                                \
    } while (0)

static connlimit_status (*config_create)(uint32_t, connlimit_config **);
static connlimit_status (*config_destroy)(connlimit_config **);
static connlimit_status (*create)(const connlimit_config *, connlimit_limiter **);
static connlimit_status (*destroy)(connlimit_limiter **);
static connlimit_status (*try_acquire)(const connlimit_limiter *, const void *, size_t, connlimit_permit *);
static connlimit_status (*release)(connlimit_permit *);

static void *work(void *arg) {
    connlimit_limiter *limiter = arg;
    connlimit_permit permit = CONNLIMIT_PERMIT_INIT;
    for (uint32_t i = 0; i < 20000; i++) {
        OK(try_acquire(limiter, &i, sizeof i, &permit));
        OK(release(&permit));
    }
    return NULL;
}

int main(int argc, char **argv) {
    for (int round = 0; round < 5; round++) {
        connlimit_config *config = NULL;
        connlimit_limiter *limiter = NULL;
        pthread_t threads[2];

        library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
        if (library == NULL) {
            fprintf(stderr, "%s\n", argc == 2 ? dlerror() : "usage: unload PATH");
            return 1;
        }
        find("connlimit_config_create", &config_create, sizeof config_create);
        find("connlimit_config_destroy", &config_destroy, sizeof config_destroy);
        find("connlimit_create", &create, sizeof create);
        find("connlimit_destroy", &destroy, sizeof destroy);
        find("connlimit_try_acquire_ip", &try_acquire, sizeof try_acquire);
        find("connlimit_release", &release, sizeof release);

        OK(config_create(CONNLIMIT_NO_LIMIT, &config));
        OK(create(config, &limiter));
        OK(config_destroy(&config));
        for (int i = 0; i < 2; i++) {
            if (pthread_create(&threads[i], NULL, work, limiter) != 0) return 1;
        }
        /* In every other round the main thread, which goes on after the library is gone, uses it as well. */
        if (round % 2 == 1) work(limiter);
        for (int i = 0; i < 2; i++) {
            if (pthread_join(threads[i], NULL) != 0) return 1;
        }
        OK(destroy(&limiter));
        if (dlclose(library) != 0) return 1;
        /* Nothing of the library runs in a child any more, nor at its exit. */
        pid_t child = fork();
        if (child == 0) exit(0);
        int status = -1;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            fprintf(stderr, "unload.c: a child ended with %d\n", status);
            return 1;
        }
    }
    return 0;
}
