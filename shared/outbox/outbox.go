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
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/uuid"

	"github.com/insights-onprem/cost-sources/shared/store"
)

const (
	workers    = 8    // sources whose events are sent at once
	queueSize  = 4096 // sources that wait for a worker; beyond them the relay sees to it
	pageSize   = 100  // events read at once
	tries      = 6    // of a source, over about 15 s, before it is left to the relay
	firstDelay = 250 * time.Millisecond
	maxDelay   = 8 * time.Second
	sendWithin = 4 * time.Second // of one event, and less than a lease
	turnWithin = store.LeaseFor + 5*time.Second
)

// Config says where events go.
type Config struct {
	Sink      string    `envconfig:"K_SINK" required:"true"`
	Overrides Overrides `envconfig:"K_CE_OVERRIDES"`
}

// Validate reports the first variable that cannot be.
func (c Config) Validate() error {
	u, err := url.Parse(c.Sink)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("K_SINK: not an http or https URL")
	}
	return nil
}

// Overrides are what a SinkBinding wants to have set on each event.
type Overrides struct {
	Extensions map[string]string `json:"extensions"`
}

// Decode reads the JSON that a SinkBinding injects, which may be empty.
func (o *Overrides) Decode(text string) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), o)
}

// A Dispatcher sends what waits in the outbox.
type Dispatcher struct {
	cfg    Config
	db     *store.Store
	client *http.Client
	queue  chan hint
	done   sync.WaitGroup

	quit     context.Context // ends when no more is to be begun
	stop     context.CancelFunc
	inFlight context.Context // ends when the time to finish what was begun is over
	abandon  context.CancelFunc
}

// A hint is a source whose events wait.
type hint struct {
	sourceID int64
	failures int
}

// Open opens a store and a dispatcher of its outbox, and returns what stops both: the dispatcher, which has
// until the context ends to send what it has been woken for, and then the store.
func Open(database store.Config, cfg Config) (*store.Store, *Dispatcher, func(context.Context) error, error) {
	db, closeDB, err := store.Open(database)
	if err != nil {
		return nil, nil, nil, err
	}
	d := New(cfg, db)
	return db, d, func(ctx context.Context) error {
		defer closeDB()
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
	d := &Dispatcher{cfg: cfg, db: db, queue: make(chan hint, queueSize),
		client: &http.Client{Transport: transport, Timeout: sendWithin,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	d.quit, d.stop = context.WithCancel(context.Background())
	d.inFlight, d.abandon = context.WithCancel(context.Background())
	for range workers {
		d.done.Go(d.work)
	}
	return d
}

// Wake says that events of a source have been committed. It does not wait.
func (d *Dispatcher) Wake(sourceID int64) { d.enqueue(hint{sourceID: sourceID}) }

func (d *Dispatcher) enqueue(h hint) {
	select {
	case d.queue <- h:
	default: // the relay finds it in the outbox
	}
}

// Stop has what is in flight, and what has been woken already, sent until ctx ends. What is left then
// stays in the outbox.
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
	err := d.send(d.inFlight, h.sourceID)
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

// send sends the events of a source in order, unless somebody else is doing so, until there are none or
// one is not accepted.
func (d *Dispatcher) send(ctx context.Context, sourceID int64) error {
	for more := true; more; {
		var err error
		if more, err = d.turn(ctx, sourceID); err != nil {
			return err
		}
	}
	return nil
}

// turn is what is sent under one lease; it reports whether events wait after it.
func (d *Dispatcher) turn(ctx context.Context, sourceID int64) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, turnWithin)
	defer cancel()
	owner, until := uuid.NewString(), time.Now().Add(store.LeaseFor)
	taken, err := d.db.Lease(ctx, sourceID, owner)
	if err != nil || !taken {
		return false, err
	}
	err = d.sendUntil(ctx, sourceID, until)
	more, releaseErr := d.db.Release(ctx, sourceID, owner)
	return more, errors.Join(err, releaseErr)
}

func (d *Dispatcher) sendUntil(ctx context.Context, sourceID int64, until time.Time) error {
	for {
		events, err := d.db.Queue(ctx, sourceID, pageSize)
		if err != nil || len(events) == 0 {
			return err
		}
		for _, e := range events {
			if time.Until(until) < sendWithin {
				return nil // the lease might run out while this one is sent; the next turn has a new one
			}
			if err := d.sendOne(ctx, sourceID, e); err != nil {
				return err
			}
		}
	}
}

// errRefused: the sink will never take the event.
var errRefused = errors.New("refused")

// sendOne sends an event and removes it from the outbox, or parks it where the sink refuses it for good.
func (d *Dispatcher) sendOne(ctx context.Context, sourceID int64, e store.Queued) error {
	err := d.post(ctx, e.Event)
	if errors.Is(err, errRefused) {
		slog.ErrorContext(ctx, "event parked", "source", sourceID, "sequence", e.Sequence, "err", err)
		return d.db.Park(ctx, sourceID, e.Sequence, err.Error())
	}
	if err != nil {
		return err
	}
	return d.db.Sent(ctx, sourceID, e.Sequence)
}

// post sends one event as a binary CloudEvent and returns nil where the sink has it. A KafkaSink answers
// 400 to what is no valid event; everything else may be different the next time (its 404 too: that is a
// receiver that has not heard of the sink yet).
func (d *Dispatcher) post(ctx context.Context, body []byte) error {
	var event cloudevents.Event
	if err := json.Unmarshal(body, &event); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	for name, value := range d.cfg.Overrides.Extensions {
		event.SetExtension(name, value)
	}
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, d.cfg.Sink, event)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	response, err := d.client.Do(request)
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // so that the connection can be used again
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	switch status := response.StatusCode; {
	case status/100 == 2:
		return nil
	case status == http.StatusBadRequest:
		return fmt.Errorf("%w by the sink: %s", errRefused, bytes.TrimSpace(answer))
	default:
		return fmt.Errorf("sink: status %d", status)
	}
}
