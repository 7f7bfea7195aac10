package app

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestConnectionsAreBounded(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	c := newConnections(2)
	srv.Config.ConnState = c.state
	srv.Start()
	defer srv.Close()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Log(err)
		}
		return conn
	}
	served := func(conn net.Conn) bool {
		_, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 404")))
		return err == nil
	}
	first, second := dial(), dial()
	if !served(first) || !served(second) {
		t.Fatal("those that are allowed are not served")
	}
	if served(dial()) {
		t.Error("one too many is served")
	}
	first.Close()
	for !served(dial()) { // until the server has noticed
	}
}
