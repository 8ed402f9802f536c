package connlimit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A connection that has nothing but a peer.
type peer struct {
	net.Conn
	addr   net.Addr
	closed int32
}

func (p *peer) RemoteAddr() net.Addr { return p.addr }
func (p *peer) Close() error         { atomic.AddInt32(&p.closed, 1); return nil }

func from(ip string) *peer {
	return &peer{addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 50000}}
}

func wantOpen(t *testing.T, l *Limiter, addr net.Addr, want int) {
	t.Helper()
	if is := l.NumOpen(addr); is != want {
		t.Fatalf("%v has %d connections open, should have %d", addr, is, want)
	}
}

func TestAClientHasItsLimitAndFreeingTwiceFreesOnce(t *testing.T) {
	l := NewLimiter(Config{MaxConnsPerClientIP: 2})
	a, b, c := from("192.0.2.1"), from("192.0.2.1"), from("::ffff:192.0.2.1")
	freeA, err := l.Accept(a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = l.Accept(b); err != nil {
		t.Fatal(err)
	}
	freeC, err := l.Accept(c)
	if !errors.Is(err, ErrPerClientIPLimitReached) {
		t.Fatalf("over the limit: %v", err)
	}
	freeC()
	wantOpen(t, l, a.addr, 2)
	freeA()
	freeA()
	wantOpen(t, l, a.addr, 1)
	if _, err = l.Accept(from("2001:db8::1")); err != nil {
		t.Fatal(err)
	}
}

func TestTheZeroValueCountsAndTheLimitChangesLive(t *testing.T) {
	var l Limiter
	if l.Config() != (Config{}) {
		t.Fatalf("the zero value has %v", l.Config())
	}
	var frees []func()
	for i := 0; i < 5; i++ {
		free, err := l.Accept(from("192.0.2.1"))
		if err != nil {
			t.Fatal(err)
		}
		frees = append(frees, free)
	}
	l.SetConfig(Config{MaxConnsPerClientIP: 5})
	if l.Config().MaxConnsPerClientIP != 5 {
		t.Fatalf("the limit is %v", l.Config())
	}
	if _, err := l.Accept(from("192.0.2.1")); err != ErrPerClientIPLimitReached {
		t.Fatalf("over the new limit: %v", err)
	}
	l.SetConfig(Config{MaxConnsPerClientIP: -1})
	if _, err := l.Accept(from("192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	for _, free := range frees {
		free()
	}
	wantOpen(t, &l, from("192.0.2.1").addr, 1)
}

func TestPeersWithoutAnIPAreToldApartByTheirAddress(t *testing.T) {
	l := NewLimiter(Config{MaxConnsPerClientIP: 1})
	unix := func(name string) *peer { return &peer{addr: &net.UnixAddr{Name: name, Net: "unix"}} }
	for _, conn := range []*peer{unix("a"), unix("b"), {addr: &net.TCPAddr{}}} {
		if _, err := l.Accept(conn); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Accept(&peer{addr: conn.addr}); err != ErrPerClientIPLimitReached {
			t.Fatalf("%v: %v", conn.addr, err)
		}
		wantOpen(t, l, conn.addr, 1)
	}
}

func TestManyGoroutinesAdmitExactlyTheLimit(t *testing.T) {
	const clients, limit, attempts = 10, 5, 50
	l := NewLimiter(Config{MaxConnsPerClientIP: limit})
	var admitted, rejected int64
	var wg sync.WaitGroup
	frees := make(chan func(), clients*attempts)
	for c := 0; c < clients; c++ {
		for i := 0; i < attempts; i++ {
			wg.Add(1)
			go func(ip string) {
				defer wg.Done()
				free, err := l.Accept(from(ip))
				if err == nil {
					atomic.AddInt64(&admitted, 1)
				} else {
					atomic.AddInt64(&rejected, 1)
				}
				frees <- free
			}(fmt.Sprintf("192.0.2.%d", c))
		}
	}
	wg.Wait()
	if admitted != clients*limit || rejected != clients*(attempts-limit) {
		t.Fatalf("%d admitted, %d rejected", admitted, rejected)
	}
	close(frees)
	for free := range frees {
		wg.Add(1)
		go func(free func()) { defer wg.Done(); free() }(free)
	}
	wg.Wait()
	for c := 0; c < clients; c++ {
		wantOpen(t, l, from(fmt.Sprintf("192.0.2.%d", c)).addr, 0)
	}
}

func TestPermitsOutliveTheirLimiter(t *testing.T) {
	var frees []func()
	for i := 0; i < 200; i++ {
		l := NewLimiter(Config{MaxConnsPerClientIP: 1})
		h := &held{}
		if status := l.acquire(from("192.0.2.1").addr, h); status != 0 {
			t.Fatal(errorOf(status))
		}
		frees = append(frees, func() {
			if !h.release() {
				t.Fatal("a permit was not open any more")
			}
		})
	}
	runtime.GC()
	runtime.GC()
	for _, free := range frees {
		free()
	}
}

func TestWrapFreesOnce(t *testing.T) {
	frees, conn := 0, from("192.0.2.1")
	wrapped := Wrap(conn, func() { frees++ })
	wrapped.Close()
	wrapped.Close()
	if frees != 1 || conn.closed != 2 {
		t.Fatalf("%d frees, %d closes", frees, conn.closed)
	}
}

func TestAnHTTPServerAnswers429AndCountsEndAtZero(t *testing.T) {
	l := NewLimiter(Config{MaxConnsPerClientIP: 2})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello")
	}))
	server.Config.ConnState = l.HTTPConnStateFuncWithDefault429Handler(time.Second)
	server.Start()
	defer server.Close()
	addr := server.Listener.Addr()

	ask := func(conn net.Conn) (*http.Response, error) {
		// The rejected may find the connection closed before they have asked.
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: it\r\n\r\n")
		return http.ReadResponse(bufio.NewReader(conn), nil)
	}
	var conns []net.Conn
	for i := 0; i < 2; i++ {
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		response, err := ask(conn)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatal(response, err)
		}
		conns = append(conns, conn)
	}
	wantOpen(t, l, addr, 2)
	for i := 0; i < 5; i++ {
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		// Says nothing, so that the answer is not lost to a reset.
		text, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 429 ") || !strings.HasSuffix(string(text), rejection) {
			t.Fatalf("%q %v", text, err)
		}
		conn.Close()
	}
	for _, conn := range conns {
		conn.Close()
	}
	for i := 0; l.NumOpen(addr) > 0; i++ {
		if i == 1000 {
			t.Fatalf("%d connections are left open", l.NumOpen(addr))
		}
		time.Sleep(10 * time.Millisecond)
	}
}
