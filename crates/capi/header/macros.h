/** The version of this header; connlimit_version() is that of the library. */
#define CONNLIMIT_VERSION "@VERSION@"
#define CONNLIMIT_VERSION_MAJOR @MAJOR@
#define CONNLIMIT_VERSION_MINOR @MINOR@
#define CONNLIMIT_VERSION_PATCH @PATCH@
/** For comparisons: two digits each for the minor version and the patch level. */
#define CONNLIMIT_VERSION_NUMBER (@MAJOR@ * 10000 + @MINOR@ * 100 + @PATCH@)

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
