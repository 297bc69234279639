package faults_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A wire leads to a server, and can be cut.
type wire struct {
	listener net.Listener
	target   string
	all      sync.WaitGroup

	mu    sync.Mutex
	links map[*link]bool
}

// A link is one connection through a wire.
type link struct {
	client, server net.Conn
	deaf           atomic.Bool // what the server says is lost
}

func newWire(port int) (*wire, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{listener: listener, target: fmt.Sprintf("127.0.0.1:%d", port), links: map[*link]bool{}}
	w.all.Go(w.accept)
	return w, nil
}

// url is where a database of the server is for those who come through the wire.
func (w *wire) url(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", w.listener.Addr(), database)
}

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return // closed
		}
		w.all.Go(func() { w.connect(client) })
	}
}

func (w *wire) connect(client net.Conn) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", w.target, 5*time.Second)
	if err != nil {
		return // the client sees a connection that breaks off
	}
	defer server.Close()
	l := &link{client: client, server: server}
	w.mu.Lock()
	w.links[l] = true
	w.mu.Unlock()
	w.all.Go(func() {
		_, _ = io.Copy(server, client) // until one of them ends
		server.Close()
	})
	_, _ = io.Copy(l, server)
	w.mu.Lock()
	delete(w.links, l)
	w.mu.Unlock()
}

// Write passes on what the server says.
func (l *link) Write(said []byte) (int, error) {
	if l.deaf.Load() {
		return len(said), nil
	}
	return l.client.Write(said)
}

// cut ends all connections. For a moment before that the server hears and is not heard: a commit that is sent then
// is carried out, and its client never learns of it.
func (w *wire) cut(moment time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.links {
		l.deaf.Store(true)
		time.AfterFunc(moment, func() { l.client.Close() })
	}
}

func (w *wire) close() {
	w.listener.Close()
	w.cut(0)
	w.all.Wait()
}
