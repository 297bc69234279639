package bench_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A load calls a function over HTTP.
type load struct {
	world  *world
	at     string // host:port
	status int    // that is wanted
	// make writes the nth request, whole.
	make func(n int64) []byte
	n    *atomic.Int64
}

func (w *world) load(url string, status int, make func(n int64) []byte) load {
	return load{world: w, at: strings.TrimPrefix(url, "http://"), status: status, make: make, n: new(atomic.Int64)}
}

// A client is a connection with one request at a time. It does as little as there has to be done, because it shares the
// machine with what is measured.
type client struct {
	load
	conn net.Conn
	in   *bufio.Reader
	body bytes.Buffer
}

func (l load) client() *client {
	l.world.Helper()
	c, err := l.dial()
	if err != nil {
		l.world.Fatal(err)
	}
	return c
}

func (l load) dial() (*client, error) {
	conn, err := net.DialTimeout("tcp", l.at, time.Minute)
	if err != nil {
		return nil, err
	}
	return &client{load: l, conn: conn, in: bufio.NewReader(conn)}, nil
}

// call sends a request and reads the answer, which is then in body, and returns how long that took.
func (c *client) call(request []byte) (time.Duration, error) {
	begun := time.Now()
	if err := c.conn.SetDeadline(begun.Add(time.Minute)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, err
	}
	c.body.Reset()
	_, err = io.Copy(&c.body, response.Body)
	if err == nil && response.StatusCode != c.status {
		err = fmt.Errorf("%.200s\nis answered %s %s", request, response.Status, c.body.String())
	}
	return time.Since(begun), err
}

// run has so many clients call without a pause, and returns how many calls a second were done, and how many milliseconds
// each took.
func (l load) run(clients int, d time.Duration) (rate float64, each []float64) {
	l.world.Helper()
	until := time.Now().Add(d)
	return l.each(clients, func() bool { return time.Now().Before(until) })
}

// times has so many clients call n times in all.
func (l load) times(clients, n int) (rate float64, each []float64) {
	l.world.Helper()
	var begun atomic.Int64
	return l.each(clients, func() bool { return begun.Add(1) <= int64(n) })
}

func (l load) each(clients int, more func() bool) (rate float64, each []float64) {
	l.world.Helper()
	taken := make([][]float64, clients)
	all := make([]*client, clients)
	for i := range all {
		all[i] = l.client()
		defer all[i].conn.Close()
	}
	var group sync.WaitGroup
	begun := time.Now()
	for i, c := range all {
		group.Go(func() {
			for more() {
				took, err := c.call(c.make(c.n.Add(1)))
				if err != nil {
					l.world.Error(err)
					return
				}
				taken[i] = append(taken[i], milliseconds(took))
			}
		})
	}
	group.Wait()
	took := time.Since(begun)
	for _, t := range taken {
		each = append(each, t...)
	}
	if len(each) == 0 {
		l.world.Fatal("nothing was done")
	}
	return float64(len(each)) / took.Seconds(), each
}

// steady calls so many times a second, whether or not the former calls have been answered, and returns how many
// milliseconds each took from when it was due. What waits for a free connection waits here as well.
func (l load) steady(rate float64, d time.Duration) (each []float64) {
	l.world.Helper()
	const clients = 4 * atOnce
	due := make(chan time.Time, 1<<16)
	taken := make([][]float64, clients)
	var group sync.WaitGroup
	for i := range clients {
		c := l.client()
		defer c.conn.Close()
		group.Go(func() {
			for at := range due {
				if _, err := c.call(c.make(c.n.Add(1))); err != nil {
					l.world.Error(err)
					return
				}
				taken[i] = append(taken[i], milliseconds(time.Since(at)))
			}
		})
	}
	begun := time.Now()
	for n := 0; ; n++ {
		at := begun.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if at.Sub(begun) >= d {
			break
		}
		time.Sleep(time.Until(at)) // the load is made by the clock
		due <- time.Now()          // the clock of this machine may come late, which is not the function's fault
	}
	close(due)
	group.Wait()
	for _, t := range taken {
		each = append(each, t...)
	}
	return each
}

// request writes a request of an organization.
func request(method, path, identity, body string) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: bench\r\nX-Rh-Identity: %s\r\n", method, path, identity)
	if body != "" {
		b = fmt.Appendf(b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return append(append(b, "\r\n"...), body...)
}
