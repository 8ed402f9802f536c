// Package connlimit limits how many connections each client IP may have open at once. It has the interface of
// HashiCorp's go-connlimit, on top of connlimit's C library.
//
// It needs an installed connlimit, which pkg-config finds.
package connlimit

/*
#cgo pkg-config: connlimit
#include <connlimit.h>

static uint64_t max_per_client(const connlimit_config *config) {
	uint64_t value = CONNLIMIT_NO_LIMIT;
	connlimit_config_get(config, CONNLIMIT_MAX_PER_CLIENT, &value);
	return value;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"unsafe"
)

// ErrPerClientIPLimitReached is the error of Accept when the client has as many connections as it may have.
var ErrPerClientIPLimitReached = errors.New("client connection limit reached")

// Config is what can be set, and changed while the limiter runs.
type Config struct {
	// MaxConnsPerClientIP is how many connections one client IP may have open; 0 or less is no limit.
	MaxConnsPerClientIP int
}

// Limiter counts the connections of each client IP. Its zero value is ready for use, without a limit. It may be used by
// any number of goroutines, and must not be copied.
type Limiter struct {
	once   sync.Once
	handle *C.connlimit_limiter

	// Held while config is used, which takes one thread at a time.
	mu     sync.Mutex
	config *C.connlimit_config

	// Of the connections that are counted, from net.Conn to *held: http.Server tells of a connection, not of its permit.
	conns sync.Map
}

// A connection that is counted. The library's part of it holds no pointer into Go's memory, so it may lie here.
type held struct {
	permit C.connlimit_permit
}

// Ends the count; false if it has ended before.
func (h *held) release() bool {
	return C.connlimit_release(&h.permit) == C.CONNLIMIT_OK
}

// NewLimiter makes a limiter.
func NewLimiter(cfg Config) *Limiter {
	l := &Limiter{}
	l.SetConfig(cfg)
	return l
}

func (l *Limiter) limiter() *C.connlimit_limiter {
	l.once.Do(func() {
		check(C.connlimit_config_create(C.CONNLIMIT_NO_LIMIT, &l.config))
		check(C.connlimit_create(l.config, &l.handle))
		// Permits that are out stay valid.
		runtime.SetFinalizer(l, func(l *Limiter) {
			C.connlimit_destroy(&l.handle)
			C.connlimit_config_destroy(&l.config)
		})
	})
	return l.handle
}

// Accept counts a connection, or returns why not. The function that it returns ends the count and must be called when
// the connection ends; calling it again, or after an error, does nothing.
func (l *Limiter) Accept(conn net.Conn) (func(), error) {
	h := &held{}
	if status := l.acquire(conn.RemoteAddr(), h); status != C.CONNLIMIT_OK {
		if status == C.CONNLIMIT_CLIENT_LIMIT {
			return func() {}, ErrPerClientIPLimitReached
		}
		return func() {}, errorOf(status)
	}
	if _, known := l.conns.LoadOrStore(conn, h); known {
		h.release()
	}
	return func() { l.free(conn) }, nil
}

// NumOpen is how many connections the client at an address has open.
func (l *Limiter) NumOpen(addr net.Addr) int {
	limiter, num := l.limiter(), C.uint32_t(0)
	if ip := ipOf(addr); ip != nil {
		C.connlimit_open_connections_ip(limiter, unsafe.Pointer(&ip[0]), C.size_t(len(ip)), &num)
	} else {
		name := nameOf(addr)
		C.connlimit_open_connections_named(limiter, unsafe.Pointer(&name[0]), C.size_t(len(name)), &num)
	}
	runtime.KeepAlive(l)
	return int(num)
}

// Config is the configuration in force.
func (l *Limiter) Config() Config {
	limiter := l.limiter()
	l.mu.Lock()
	defer l.mu.Unlock()
	check(C.connlimit_get_config(limiter, l.config))
	limit := C.max_per_client(l.config)
	if limit == C.CONNLIMIT_NO_LIMIT {
		return Config{}
	}
	return Config{MaxConnsPerClientIP: int(limit)}
}

// SetConfig changes the limit. Open connections stay open, also those above it.
func (l *Limiter) SetConfig(c Config) {
	limit := C.uint32_t(C.CONNLIMIT_NO_LIMIT)
	if c.MaxConnsPerClientIP > 0 && uint64(c.MaxConnsPerClientIP) < C.CONNLIMIT_NO_LIMIT {
		limit = C.uint32_t(c.MaxConnsPerClientIP)
	}
	check(C.connlimit_set_limit(l.limiter(), limit))
	runtime.KeepAlive(l)
}

func (l *Limiter) acquire(addr net.Addr, h *held) C.connlimit_status {
	limiter := l.limiter()
	defer runtime.KeepAlive(l)
	if ip := ipOf(addr); ip != nil {
		return C.connlimit_try_acquire_ip(limiter, unsafe.Pointer(&ip[0]), C.size_t(len(ip)), &h.permit)
	}
	name := nameOf(addr)
	return C.connlimit_try_acquire_named(limiter, unsafe.Pointer(&name[0]), C.size_t(len(name)), &h.permit)
}

// Ends the count of a connection, if it is counted.
func (l *Limiter) free(conn net.Conn) {
	if h, known := l.conns.LoadAndDelete(conn); known {
		h.(*held).release()
	}
}

// The bytes of an IP address; nil for an address of another kind.
func ipOf(addr net.Addr) net.IP {
	var ip net.IP
	switch a := addr.(type) {
	case *net.TCPAddr:
		ip = a.IP
	case *net.UDPAddr:
		ip = a.IP
	case *net.IPAddr:
		ip = a.IP
	}
	if len(ip) != net.IPv4len && len(ip) != net.IPv6len {
		return nil
	}
	return ip
}

func nameOf(addr net.Addr) []byte {
	return []byte(addr.Network() + "/" + addr.String())
}

func errorOf(status C.connlimit_status) error {
	return fmt.Errorf("connlimit: %s", C.GoString(C.connlimit_status_text(C.int32_t(status))))
}

// For what fails only for want of memory.
func check(status C.connlimit_status) {
	if status != C.CONNLIMIT_OK {
		panic(errorOf(status))
	}
}
