package connlimit

import (
	"net"
	"net/http"
	"strconv"
	"time"
)

const rejection = "You have too many connections open. Close some, and try again.\n"

var rejectionResponse = []byte("HTTP/1.1 429 Too Many Requests\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"Content-Length: " + strconv.Itoa(len(rejection)) + "\r\n" +
	"Connection: close\r\n\r\n" + rejection)

// HTTPConnStateFuncWithErrorHandler makes a function for http.Server's ConnState, which counts each connection from its
// beginning to its end. For one that is rejected it calls onError, which has to close it.
//
// A connection that a handler hijacks is not counted any more.
func (l *Limiter) HTTPConnStateFuncWithErrorHandler(onError func(error, net.Conn)) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if _, err := l.Accept(conn); err != nil {
				onError(err, conn)
			}
		case http.StateHijacked, http.StateClosed:
			l.free(conn)
		}
	}
}

// HTTPConnStateFunc makes a function for http.Server's ConnState that closes what is rejected.
func (l *Limiter) HTTPConnStateFunc() func(net.Conn, http.ConnState) {
	return l.HTTPConnStateFuncWithErrorHandler(func(_ error, conn net.Conn) { conn.Close() })
}

// HTTPConnStateFuncWithDefault429Handler makes a function for http.Server's ConnState that answers what is rejected with a
// status 429, for which it takes at most writeDeadline if that is above zero. It writes on the accept loop's time.
func (l *Limiter) HTTPConnStateFuncWithDefault429Handler(writeDeadline time.Duration) func(net.Conn, http.ConnState) {
	return l.HTTPConnStateFuncWithErrorHandler(func(err error, conn net.Conn) {
		defer conn.Close()
		if err != ErrPerClientIPLimitReached {
			return
		}
		if writeDeadline > 0 && conn.SetDeadline(time.Now().Add(writeDeadline)) != nil {
			return
		}
		// Nobody is left to tell if the client has gone.
		_, _ = conn.Write(rejectionResponse)
	})
}
