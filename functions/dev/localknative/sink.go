package localknative

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"golang.org/x/sync/singleflight"

	"github.com/insights-onprem/cost-sources/shared/kafkaevents"
)

const (
	// sinkTimeout is how long a POST may take. After it, what becomes of the event is unknown.
	sinkTimeout = 20 * time.Second

	// maxRecord is max.request.size of the KafkaSink's producer, bytes of key, value and headers.
	maxRecord = 1 << 20

	// maxBody is what is read of a request at all: a structured event with
	// binary data is a third longer than its record.
	maxBody = 2 * maxRecord
)

var (
	errNoEvent  = errors.New("not a valid CloudEvent")
	errTooLarge = fmt.Errorf("the event is larger than %d bytes", maxRecord)
	errClosed   = errors.New("the sink is closed")
)

// A Sink is a KafkaSink in binary content mode: it writes each CloudEvent that is
// POSTed to it to one topic.
//
//	202  written, by all replicas that are in sync
//	400  no valid CloudEvent, or a batch
//	405  no POST; a GET with K-Network-Probe: probe is 200
//	503  Kafka is away or did not answer in 20 s, when the event may still be
//	     written later; also an event above 1 MiB, which no repetition helps
//
// All answers have no body. The record's key is the attribute partitionkey, its
// headers are the attributes, its value the data, null where there is none.
type Sink struct {
	brokers []string
	topic   string
	config  *sarama.Config
	timeout time.Duration

	connecting singleflight.Group

	mu       sync.Mutex
	producer *producer // nil before the first event and after a failure
	closed   bool
}

// NewSink returns a Sink that writes to topic. Brokers, host:port, are connected
// to when the first event comes, and again after a failure.
func NewSink(brokers []string, topic string) (*Sink, error) {
	if len(brokers) == 0 || topic == "" {
		return nil, fmt.Errorf("a KafkaSink needs brokers and a topic, not %q and %q", brokers, topic)
	}
	config := sinkConfig()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Sink{brokers: brokers, topic: topic, config: config, timeout: sinkTimeout}, nil
}

// ServeHTTP takes one CloudEvent, in binary or structured mode.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet && r.Header.Get("K-Network-Probe") == "probe":
		w.WriteHeader(http.StatusOK)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
	default:
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		w.WriteHeader(s.take(r))
	}
}

// take writes the event that r holds and returns the status to answer with.
func (s *Sink) take(r *http.Request) int {
	record, err := readRecord(r)
	if err == nil {
		ctx, cancel := context.WithTimeoutCause(r.Context(), s.timeout, fmt.Errorf("no answer in %v", s.timeout))
		defer cancel()
		err = s.write(ctx, record)
	}
	switch {
	case err == nil:
		return http.StatusAccepted
	case errors.Is(err, errNoEvent):
		slog.ErrorContext(r.Context(), "event refused", "topic", s.topic, "err", err)
		return http.StatusBadRequest
	default:
		slog.ErrorContext(r.Context(), "event not written", "topic", s.topic, "err", err)
		return http.StatusServiceUnavailable
	}
}

// readRecord makes a record, without a topic, of the event in r.
func readRecord(r *http.Request) (*sarama.ProducerMessage, error) {
	if _, ok := r.Header["Ce-"]; ok { // the SDK's reader panics on it
		return nil, fmt.Errorf("%w: an attribute without a name", errNoEvent)
	}
	e, err := cehttp.NewEventFromHTTPRequest(r) // refuses batches
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, errTooLarge
	}
	if err == nil {
		err = kafkaevents.Check(*e)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoEvent, err)
	}
	record := new(sarama.ProducerMessage)
	if err := kafka_sarama.WriteProducerMessage(r.Context(), binding.ToMessage(e), record); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoEvent, err)
	}
	return record, nil
}

func (s *Sink) write(ctx context.Context, record *sarama.ProducerMessage) error {
	const recordVersion = 2 // that with headers
	if record.ByteSize(recordVersion) > maxRecord {
		return errTooLarge
	}
	record.Topic = s.topic
	return within(ctx, func() error {
		p, err := s.connected()
		if err != nil {
			return err
		}
		if err := p.send(record); err != nil {
			s.retire(p)
			return fmt.Errorf("kafka: writing to topic %q: %w", s.topic, err)
		}
		return nil
	})
}

// connected returns the producer, which requests that come without one make together.
func (s *Sink) connected() (*producer, error) {
	if p, err := s.current(); p != nil || err != nil {
		return p, err
	}
	made, err, _ := s.connecting.Do("", func() (any, error) { return s.connect() })
	if err != nil {
		return nil, err
	}
	return made.(*producer), nil
}

// current returns the producer, nil if there is none.
func (s *Sink) current() (*producer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	return s.producer, nil
}

// connect makes the producer, unless somebody has between our look and our turn.
func (s *Sink) connect() (*producer, error) {
	if p, err := s.current(); p != nil || err != nil {
		return p, err
	}
	p, err := newProducer(s.brokers, s.topic, s.config)
	if err != nil {
		return nil, fmt.Errorf("kafka: connecting to %v for topic %q: %w", s.brokers, s.topic, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(errClosed, p.close())
	}
	s.producer = p
	return p, nil
}

// retire has the next request make a producer of its own. sarama's would come
// back by itself, but through a circuit breaker that holds for 10 s.
func (s *Sink) retire(p *producer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.producer == p {
		s.producer = nil
		go p.close()
	}
}

// Close disconnects from Kafka when the writes that are under way have ended,
// each in about a minute at most. What is POSTed from then on is answered with 503.
func (s *Sink) Close() error {
	s.mu.Lock()
	p := s.producer
	s.producer, s.closed = nil, true
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.close()
}
