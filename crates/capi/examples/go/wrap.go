package connlimit

import (
	"net"
	"sync"
)

// WrappedConn is a connection that ends its count when it is closed.
type WrappedConn struct {
	net.Conn
	once sync.Once
	free func()
}

// Wrap makes a connection whose Close also calls free, once.
func Wrap(conn net.Conn, free func()) net.Conn {
	return &WrappedConn{Conn: conn, free: free}
}

// Close ends the count, and closes the connection.
func (w *WrappedConn) Close() error {
	w.once.Do(w.free)
	return w.Conn.Close()
}
