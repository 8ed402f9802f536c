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
