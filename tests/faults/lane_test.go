package faults_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A lane is the way from a KafkaSource or a PingSource to a function, on which an event may be repeated, overtaken,
// or done without anybody hearing of it.
type lane struct {
	instances []*instance
	path      string // of the function
	client    *http.Client

	twice, swapped, unheard atomic.Bool

	mu   sync.Mutex
	seen []delivery
	held map[string]chan struct{} // by subject, closed when another event of it has passed
}

// A delivery is an event on its way.
type delivery struct {
	header http.Header
	body   []byte
}

func newLane(instances []*instance, path string) *lane {
	return &lane{instances: instances, path: path, held: map[string]chan struct{}{},
		client: &http.Client{Timeout: time.Minute}}
}

func (l *lane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the source is gone
	}
	d := delivery{header: r.Header.Clone(), body: body}
	l.keep(d)
	if l.swapped.Load() {
		l.hold(r.Context(), d)
	}
	status, answer := l.post(r.Context(), d)
	if l.twice.Load() {
		status, answer = l.post(r.Context(), d)
	}
	if l.unheard.Load() && rand.IntN(2) == 0 {
		status = http.StatusServiceUnavailable // as if the consumer had ended before it could commit
	}
	l.release(d)
	w.WriteHeader(status)
	_, _ = w.Write(answer) // fails only if the source has gone
}

func (l *lane) keep(d delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, d)
}

// hold keeps an event back until a later one of the same source has passed, if one comes.
func (l *lane) hold(ctx context.Context, d delivery) {
	subject := d.header.Get("Ce-Subject")
	l.mu.Lock()
	if l.held[subject] != nil {
		l.mu.Unlock()
		return // this is the later one
	}
	passed := make(chan struct{})
	l.held[subject] = passed
	l.mu.Unlock()
	enough := time.NewTimer(500 * time.Millisecond)
	defer enough.Stop()
	select {
	case <-passed:
	case <-enough.C:
	case <-ctx.Done():
	}
}

func (l *lane) release(d delivery) {
	subject := d.header.Get("Ce-Subject")
	l.mu.Lock()
	defer l.mu.Unlock()
	if passed := l.held[subject]; passed != nil {
		close(passed)
		delete(l.held, subject)
	}
}

// post hands an event to one of the function's processes, as a cluster's ingress does: 503 where none answers.
func (l *lane) post(ctx context.Context, d delivery) (status int, answer []byte) {
	for _, at := range rand.Perm(len(l.instances)) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.instances[at].url()+l.path, bytes.NewReader(d.body))
		if err != nil {
			return http.StatusInternalServerError, nil
		}
		request.Header = d.header.Clone()
		response, err := l.client.Do(request)
		if err != nil {
			continue
		}
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err == nil {
			return response.StatusCode, answer
		}
	}
	return http.StatusServiceUnavailable, nil
}

// passed is what has come this way by now.
func (l *lane) passed() []delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[:len(l.seen):len(l.seen)]
}
