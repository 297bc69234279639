// Package outbox sends the events that wait in the outbox to the sink: each source's one after the other,
// several sources at once. The APIs wake it after a commit, the relay drains what is left over.
//
// The order of a source's events holds whatever number of dispatchers run: each begins with the oldest
// event that waits, and sends the next only after the sink has accepted it. A lease keeps two of them from
// sending the same event twice, no more than that: what a dispatcher sends after its lease has run out is
// a repetition, which every consumer has to expect anyway. Nothing is locked and no connection is held
// while the sink is waited for.
package outbox

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

const (
	workers    = 32   // sources whose events are sent at once
	drainers   = 8    // the same in a drain: nobody waits for what is late already, and new requests need the database
	queueSize  = 4096 // sources that wait for a worker; beyond them the relay sees to it
	tries      = 6    // of a source, over about 15 s, before it is left to the relay
	firstDelay = 250 * time.Millisecond
	maxDelay   = 8 * time.Second
)

// A Dispatcher sends what waits in the outbox.
type Dispatcher struct {
	cfg       Config
	tokenFile string
	db        *store.Store
	client    *http.Client
	queue     chan hint
	done      sync.WaitGroup
	gaveUp    atomic.Pointer[store.Place] // the last drain, if it did
	sends     metric.Int64Counter

	quit     context.Context // ends when no more is to be begun
	stop     context.CancelFunc
	inFlight context.Context // ends when the time to finish what was begun is over
	abandon  context.CancelFunc
}

// A hint is a source whose events wait.
type hint struct {
	sending
	failures int
}

// Open opens a store and a dispatcher of its outbox, and returns what stops both: the dispatcher, which has
// until the context ends to send what it has been woken for, and then the store.
//
// The dispatcher has half of the connections for itself and no more, at least one: of many requests at once
// each would otherwise have to wait behind the events of all others.
func Open(database store.Config, cfg Config) (*store.Store, *Dispatcher, func(context.Context) error, error) {
	own := database
	own.Pool = "outbox"
	own.MaxConns = max(1, database.MaxConns/2)
	database.MaxConns = max(1, database.MaxConns-own.MaxConns)
	db, closeDB, err := store.Open(database)
	if err != nil {
		return nil, nil, nil, err
	}
	outbox, closeOutbox, err := store.Open(own)
	if err != nil {
		closeDB()
		return nil, nil, nil, err
	}
	d := New(cfg, outbox)
	return db, d, func(ctx context.Context) error {
		defer closeDB()
		defer closeOutbox()
		if err := d.Stop(ctx); err != nil {
			slog.WarnContext(ctx, "events are left to the relay", "err", err)
		}
		return nil
	}, nil
}

// New makes a dispatcher that waits to be woken. Stop ends it.
func New(cfg Config, db *store.Store) *Dispatcher {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = workers
	transport.TLSClientConfig = &tls.Config{RootCAs: cfg.CACerts.pool}
	d := &Dispatcher{cfg: cfg, tokenFile: tokenFile, db: db, queue: make(chan hint, queueSize), sends: newCounter(),
		client: &http.Client{Transport: transport, Timeout: sendWithin,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	d.quit, d.stop = context.WithCancel(context.Background())
	d.inFlight, d.abandon = context.WithCancel(context.Background())
	for range workers {
		d.done.Go(d.work)
	}
	return d
}

// Wake says that events of src have been committed. It does not wait.
func (d *Dispatcher) Wake(src sources.Source) {
	d.enqueue(hint{sending: sending{d, d.db.For(src.OrgID), src.ID}})
}

func (d *Dispatcher) enqueue(h hint) {
	select {
	case d.queue <- h:
	default: // the relay finds it in the outbox
	}
}

// Stop has what is in flight, and what has been woken already, sent until ctx ends. What is left then, and what waits to be
// tried again, stays in the outbox for the relay.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.stop()
	late := context.AfterFunc(ctx, d.abandon)
	defer late()
	d.done.Wait()
	d.abandon()
	d.client.CloseIdleConnections()
	return ctx.Err()
}

func (d *Dispatcher) work() {
	for {
		select {
		case h := <-d.queue:
			d.serve(h)
		case <-d.quit.Done():
			d.serveRest()
			return
		}
	}
}

// serveRest serves what was woken before the stop.
func (d *Dispatcher) serveRest() {
	for {
		select {
		case h := <-d.queue:
			d.serve(h)
		default:
			return
		}
	}
}

// serve sends the events of a source; where that fails, again after a while.
func (d *Dispatcher) serve(h hint) {
	_, err := h.send(d.inFlight)
	if err == nil {
		return
	}
	if h.failures++; h.failures == tries || d.inFlight.Err() != nil {
		slog.WarnContext(d.inFlight, "events left to the relay", "source", h.sourceID, "err", err)
		return
	}
	delay := min(firstDelay<<h.failures, maxDelay)
	time.AfterFunc(delay/2+rand.N(delay/2), func() { d.enqueue(h) })
}
