/*
 * Limits for nginx with connlimit: the connections of each client to a server, and its requests in a location.
 *
 *     server {
 *         connlimit 20;                     # connections of each client to this server
 *         location /downloads/ {
 *             connlimit 2;                  # requests of each client that are being answered here
 *             connlimit_reject close;       # or a status; 429 is the default
 *         }
 *     }
 *
 * In place of a number a configuration can be given as text, for tiers, rules and the rest:
 *
 *     connlimit '{"max_per_client": 20, "ipv6_prefix": 64, "rules": [{"network": "10.0.0.0/8", "action": "unlimited"}]}';
 *
 * A permit lies in the pool of the connection or the request that it stands for, and the pool's cleanup releases it: so
 * it ends with it in every case, also when the client aborts or the worker is told to quit. Each worker process has
 * limiters of its own, made after the fork.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <connlimit.h>

/* One `connlimit` directive. */
typedef struct {
    ngx_str_t name;
    connlimit_config *config;
    connlimit_limiter *limiter; /* of this worker */
} ngx_http_connlimit_t;

typedef struct {
    ngx_array_t limits; /* of ngx_http_connlimit_t * */
} ngx_http_connlimit_main_conf_t;

typedef struct {
    ngx_http_connlimit_t *limit;
} ngx_http_connlimit_srv_conf_t;

typedef struct {
    ngx_http_connlimit_t *limit;
    ngx_int_t reject; /* a status, or NGX_HTTP_CLOSE */
} ngx_http_connlimit_loc_conf_t;

/* What a pool holds. */
typedef struct {
    ngx_http_connlimit_t *limit;
    connlimit_permit permit;
} ngx_http_connlimit_held_t;

static ngx_int_t ngx_http_connlimit_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_connlimit_init_process(ngx_cycle_t *cycle);
static void ngx_http_connlimit_exit_process(ngx_cycle_t *cycle);
static void *ngx_http_connlimit_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_connlimit_create_srv_conf(ngx_conf_t *cf);
static void *ngx_http_connlimit_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_connlimit_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);
static char *ngx_http_connlimit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_connlimit_reject(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_connlimit_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

static ngx_command_t ngx_http_connlimit_commands[] = {
    {ngx_string("connlimit"), NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, ngx_http_connlimit,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("connlimit_reject"), NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1,
     ngx_http_connlimit_reject, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("connlimit_status"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, ngx_http_connlimit_status,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    ngx_null_command,
};

static ngx_http_module_t ngx_http_connlimit_module_ctx = {
    NULL,
    ngx_http_connlimit_init,
    ngx_http_connlimit_create_main_conf,
    NULL,
    ngx_http_connlimit_create_srv_conf,
    NULL,
    ngx_http_connlimit_create_loc_conf,
    ngx_http_connlimit_merge_loc_conf,
};

ngx_module_t ngx_http_connlimit_module = {
    NGX_MODULE_V1,
    &ngx_http_connlimit_module_ctx,
    ngx_http_connlimit_commands,
    NGX_HTTP_MODULE,
    NULL,
    NULL,
    ngx_http_connlimit_init_process,
    NULL,
    NULL,
    ngx_http_connlimit_exit_process,
    NULL,
    NGX_MODULE_V1_PADDING,
};

/* Admissions. */

static void ngx_http_connlimit_cleanup(void *data) {
    ngx_http_connlimit_held_t *held = data;

    /* An empty permit is one that was rejected: nothing happens. */
    (void)connlimit_release(&held->permit);
}

/* Counts the client in a limit for as long as the pool lives, once. */
static connlimit_status ngx_http_connlimit_acquire(ngx_http_connlimit_t *limit, ngx_connection_t *c, ngx_pool_t *pool) {
    ngx_pool_cleanup_t *cln;
    ngx_http_connlimit_held_t *held;

    for (cln = pool->cleanup; cln != NULL; cln = cln->next) {
        held = cln->data;
        if (cln->handler == ngx_http_connlimit_cleanup && held->limit == limit) {
            return CONNLIMIT_OK;
        }
    }
    cln = ngx_pool_cleanup_add(pool, sizeof(ngx_http_connlimit_held_t));
    if (cln == NULL) {
        return CONNLIMIT_NO_MEMORY;
    }
    held = cln->data;
    ngx_memzero(held, sizeof(*held));
    connlimit_status status = connlimit_try_acquire(limit->limiter, c->sockaddr, c->socklen, &held->permit);
    if (status == CONNLIMIT_OK) {
        held->limit = limit;
        cln->handler = ngx_http_connlimit_cleanup;
    }
    return status;
}

static ngx_int_t ngx_http_connlimit_handler(ngx_http_request_t *r) {
    ngx_http_connlimit_srv_conf_t *scf = ngx_http_get_module_srv_conf(r, ngx_http_connlimit_module);
    ngx_http_connlimit_loc_conf_t *lcf = ngx_http_get_module_loc_conf(r, ngx_http_connlimit_module);
    ngx_http_connlimit_t *limit = scf->limit;
    ngx_connection_t *c = r->connection;
    connlimit_status status = CONNLIMIT_OK;

    if (r != r->main) {
        return NGX_DECLINED;
    }
#if (NGX_HTTP_V2)
    /* A stream has a connection of its own, which ends with the request. */
    if (r->stream != NULL) {
        c = r->stream->connection->connection;
    }
#endif
    if (limit != NULL) {
        status = ngx_http_connlimit_acquire(limit, r->connection, c->pool);
        if (status != CONNLIMIT_OK) {
            /* Nobody counts the connection: it is not to stay. */
            r->keepalive = 0;
        }
    }
    if (status == CONNLIMIT_OK && lcf->limit != NULL) {
        limit = lcf->limit;
        status = ngx_http_connlimit_acquire(limit, r->connection, r->pool);
    }
    if (status == CONNLIMIT_OK) {
        return NGX_DECLINED;
    }
    ngx_uint_t level = status > 0 ? NGX_LOG_INFO : NGX_LOG_ERR;
    ngx_log_error(level, r->connection->log, 0, "connlimit %V: %s", &limit->name, connlimit_status_text(status));
    return status > 0 ? lcf->reject : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

static ngx_int_t ngx_http_connlimit_init(ngx_conf_t *cf) {
    ngx_http_core_main_conf_t *cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_handler_pt *h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);

    if (h == NULL) {
        return NGX_ERROR;
    }
    *h = ngx_http_connlimit_handler;
    return NGX_OK;
}

/* The life of limiters: one for each directive in each worker. */

static ngx_http_connlimit_main_conf_t *ngx_http_connlimit_main(ngx_cycle_t *cycle) {
    return ngx_http_cycle_get_module_main_conf(cycle, ngx_http_connlimit_module);
}

static ngx_int_t ngx_http_connlimit_init_process(ngx_cycle_t *cycle) {
    ngx_http_connlimit_main_conf_t *mcf = ngx_http_connlimit_main(cycle);

    for (ngx_uint_t i = 0; mcf != NULL && i < mcf->limits.nelts; i++) {
        ngx_http_connlimit_t *limit = ((ngx_http_connlimit_t **)mcf->limits.elts)[i];
        connlimit_status status = connlimit_create(limit->config, &limit->limiter);
        if (status != CONNLIMIT_OK) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "connlimit %V: %s", &limit->name, connlimit_status_text(status));
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}

static void ngx_http_connlimit_exit_process(ngx_cycle_t *cycle) {
    ngx_http_connlimit_main_conf_t *mcf = ngx_http_connlimit_main(cycle);

    for (ngx_uint_t i = 0; mcf != NULL && i < mcf->limits.nelts; i++) {
        (void)connlimit_destroy(&((ngx_http_connlimit_t **)mcf->limits.elts)[i]->limiter);
    }
}

static void ngx_http_connlimit_destroy_config(void *data) { (void)connlimit_config_destroy(data); }

/* Directives. */

static char *ngx_http_connlimit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    ngx_http_connlimit_main_conf_t *mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_connlimit_module);
    ngx_http_connlimit_srv_conf_t *scf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_connlimit_module);
    ngx_http_connlimit_loc_conf_t *lcf = conf;
    ngx_http_core_loc_conf_t *clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    ngx_flag_t of_server = (cf->cmd_type & NGX_HTTP_SRV_CONF) != 0;
    ngx_http_connlimit_t **place = of_server ? &scf->limit : &lcf->limit, **known;
    ngx_str_t *value = &((ngx_str_t *)cf->args->elts)[1];
    ngx_http_connlimit_t *limit;
    ngx_pool_cleanup_t *cln;
    connlimit_status status;

    (void)cmd;
    if (*place != NULL) {
        return "is duplicate";
    }
    limit = ngx_pcalloc(cf->pool, sizeof(*limit));
    cln = ngx_pool_cleanup_add(cf->pool, 0);
    known = ngx_array_push(&mcf->limits);
    if (limit == NULL || cln == NULL || known == NULL) {
        return NGX_CONF_ERROR;
    }
    if (of_server) {
        limit->name.data = ngx_pnalloc(cf->pool, cf->conf_file->file.name.len + NGX_INT_T_LEN + 2);
        if (limit->name.data == NULL) {
            return NGX_CONF_ERROR;
        }
        /* Its names may follow; the line is there now. */
        limit->name.len = ngx_sprintf(limit->name.data, "server:%ui", cf->conf_file->line) - limit->name.data;
    } else {
        limit->name = clcf->name;
    }
    status = connlimit_config_create(1, &limit->config);
    if (status != CONNLIMIT_OK) {
        return (char *)connlimit_status_text(status);
    }
    cln->handler = ngx_http_connlimit_destroy_config;
    cln->data = &limit->config;
    if (value->len > 0 && value->data[0] == '{') {
        status = connlimit_config_parse(limit->config, (char *)value->data, value->len);
    } else {
        ngx_int_t number = ngx_atoi(value->data, value->len);
        if (number <= 0) {
            return "is neither a number of connections nor a configuration";
        }
        status = connlimit_config_set(limit->config, CONNLIMIT_MAX_PER_CLIENT, (uint64_t)number);
        /* A subscriber has a /64 at least. */
        (void)connlimit_config_set(limit->config, CONNLIMIT_IPV6_PREFIX, 64);
        (void)connlimit_config_set(limit->config, CONNLIMIT_COUNTING, 1);
    }
    if (status != CONNLIMIT_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "connlimit: %s", connlimit_config_fault(limit->config));
        return NGX_CONF_ERROR;
    }
    *known = limit;
    *place = limit;
    return NGX_CONF_OK;
}

static char *ngx_http_connlimit_reject(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    ngx_http_connlimit_loc_conf_t *lcf = conf;
    ngx_str_t *value = &((ngx_str_t *)cf->args->elts)[1];

    (void)cmd;
    if (lcf->reject != NGX_CONF_UNSET) {
        return "is duplicate";
    }
    if (ngx_strcmp(value->data, "close") == 0) {
        lcf->reject = NGX_HTTP_CLOSE;
        return NGX_CONF_OK;
    }
    lcf->reject = ngx_atoi(value->data, value->len);
    return lcf->reject >= 400 && lcf->reject <= 599 ? NGX_CONF_OK : "is neither close nor a status from 400 to 599";
}

static void *ngx_http_connlimit_create_main_conf(ngx_conf_t *cf) {
    ngx_http_connlimit_main_conf_t *mcf = ngx_pcalloc(cf->pool, sizeof(*mcf));

    if (mcf == NULL || ngx_array_init(&mcf->limits, cf->pool, 8, sizeof(ngx_http_connlimit_t *)) != NGX_OK) {
        return NULL;
    }
    return mcf;
}

static void *ngx_http_connlimit_create_srv_conf(ngx_conf_t *cf) {
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_connlimit_srv_conf_t));
}

static void *ngx_http_connlimit_create_loc_conf(ngx_conf_t *cf) {
    ngx_http_connlimit_loc_conf_t *lcf = ngx_pcalloc(cf->pool, sizeof(*lcf));

    if (lcf != NULL) {
        lcf->reject = NGX_CONF_UNSET;
    }
    return lcf;
}

static char *ngx_http_connlimit_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child) {
    ngx_http_connlimit_loc_conf_t *outer = parent, *inner = child;

    (void)cf;
    ngx_conf_merge_value(inner->reject, outer->reject, NGX_HTTP_TOO_MANY_REQUESTS);
    /* A location within a location is limited with it. */
    if (inner->limit == NULL) {
        inner->limit = outer->limit;
    }
    return NGX_CONF_OK;
}

/* Numbers: a line for each, `NAME KEY VALUE`. */

#define NGX_HTTP_CONNLIMIT_TOP 5

static u_char *ngx_http_connlimit_lines(ngx_http_connlimit_t *limit, u_char *p, u_char *last) {
    connlimit_limiter_stats s = {.size = sizeof(s)};
    connlimit_client_count top[NGX_HTTP_CONNLIMIT_TOP];
    size_t found = 0;

    if (connlimit_stats(limit->limiter, &s) != CONNLIMIT_OK ||
        connlimit_top(limit->limiter, top, sizeof(*top), NGX_HTTP_CONNLIMIT_TOP, &found) != CONNLIMIT_OK) {
        return p;
    }
    p = ngx_slprintf(p, last, "%V open_connections %uL\n%V clients %uL\n%V admitted %uL\n", &limit->name,
                     s.total.open_connections, &limit->name, s.total.clients, &limit->name, s.admitted);
    p = ngx_slprintf(p, last, "%V rejected_client_limit %uL\n%V rejected_other %uL\n%V reserved_bytes %uL\n", &limit->name,
                     s.rejected_client_limit, &limit->name,
                     s.rejected_table_full + s.rejected_tier_limit + s.rejected_total_limit + s.rejected_denied,
                     &limit->name, s.total.reserved_bytes);
    for (size_t i = 0; i < found; i++) {
        p = ngx_slprintf(p, last, "%V top %s %uD\n", &limit->name, top[i].text, top[i].open_connections);
    }
    return p;
}

static ngx_int_t ngx_http_connlimit_status_handler(ngx_http_request_t *r) {
    ngx_http_connlimit_main_conf_t *mcf = ngx_http_get_module_main_conf(r, ngx_http_connlimit_module);
    ngx_http_connlimit_t **limits = mcf->limits.elts;
    ngx_chain_t out;
    ngx_buf_t *b;
    ngx_int_t rc;
    size_t size = 1;

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }
    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }
    for (ngx_uint_t i = 0; i < mcf->limits.nelts; i++) {
        size += (6 + NGX_HTTP_CONNLIMIT_TOP) * (limits[i]->name.len + 64) + NGX_HTTP_CONNLIMIT_TOP * 144;
    }
    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    for (ngx_uint_t i = 0; i < mcf->limits.nelts; i++) {
        b->last = ngx_http_connlimit_lines(limits[i], b->last, b->end);
    }
    b->last_buf = 1;
    b->last_in_chain = 1;
    ngx_str_set(&r->headers_out.content_type, "text/plain");
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;
    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }
    out.buf = b;
    out.next = NULL;
    return ngx_http_output_filter(r, &out);
}

static char *ngx_http_connlimit_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
    ngx_http_core_loc_conf_t *clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    (void)cmd;
    (void)conf;
    clcf->handler = ngx_http_connlimit_status_handler;
    return NGX_CONF_OK;
}
