package localknative

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/insights-onprem/cost-sources/shared/kafkaevents"
)

const (
	// maxInFlight is how many records a consumer has under way at once.
	maxInFlight = 50

	// rejoinDelay is how long a source waits with Kafka away.
	rejoinDelay = time.Second

	// leaveTimeout is how long Run waits for a Kafka that does not answer, after ctx has ended.
	leaveTimeout = 10 * time.Second
)

// A Source is a KafkaSource with initialOffset earliest and ordering unordered. Its
// fields have the meaning, and left empty the defaults, of the KafkaSource's.
type Source struct {
	Brokers []string // host:port
	Topic   string
	Group   string // of consumers

	Namespace, Name string // of the KafkaSource; they stand in the events
	SinkURL         string // of the function

	Retry         int           // tries after the first
	BackoffDelay  time.Duration // the wait before retry n is n times this; 200 ms if 0
	Exponential   bool          // the wait is 2^n times BackoffDelay instead
	Timeout       time.Duration // of one request; 10 minutes if 0
	DeadLetterURL string        // of a KafkaSink; without one what cannot be delivered is lost
}

// Run delivers the topic's records, up to 50 at once and in no order, until ctx
// ends. Each is POSTed as one event in binary mode:
//
//	2xx                                   done
//	404, 408, 409, 429, 5xx, no answer    sent again, Retry times, then a dead letter
//	any other status                      a dead letter at once
//
// A dead letter is sent with the same patience. If it is not taken either, the
// event is lost, as in Knative.
//
// A record is committed when it and all before it in its partition are done. When
// ctx ends or the group's members change, requests under way have 3 s to finish, and
// what is not done by then is delivered again, by the next Run or another member.
// Kafka may go and come back meanwhile. Run returns nil but for a configuration that
// cannot work, or a Kafka that could not be left in order in 10 s.
func (s Source) Run(ctx context.Context) error {
	if err := s.validate(); err != nil {
		return err
	}
	group, err := sarama.NewConsumerGroup(s.Brokers, s.Group, sourceConfig()) // connects to nobody yet
	if err != nil {
		return fmt.Errorf("kafka: group %q: %w", s.Group, err)
	}
	c := s.newConsumer()
	defer c.courier.client.CloseIdleConnections()
	late, cancel := withGrace(ctx, leaveTimeout)
	defer cancel()
	if err := within(late, func() error { c.run(ctx, group); return nil }); err != nil {
		return fmt.Errorf("kafka: leaving group %q of topic %q: not done in %v", s.Group, s.Topic, leaveTimeout)
	}
	return nil
}

func (s Source) validate() error {
	if len(s.Brokers) == 0 || s.Topic == "" || s.Group == "" || s.Namespace == "" || s.Name == "" {
		return errors.New("a KafkaSource needs Brokers, Topic, Group, Namespace and Name")
	}
	if err := kafkaevents.Check(wrap(&sarama.ConsumerMessage{Topic: s.Topic}, s.Namespace, s.Name)); err != nil {
		return fmt.Errorf("events of KafkaSource %s/%s: %w", s.Namespace, s.Name, err)
	}
	if err := absolute(s.SinkURL); err != nil {
		return fmt.Errorf("the SinkURL of KafkaSource %s: %w", s.Name, err)
	}
	if s.DeadLetterURL == "" {
		return nil
	}
	if err := absolute(s.DeadLetterURL); err != nil {
		return fmt.Errorf("the DeadLetterURL of KafkaSource %s: %w", s.Name, err)
	}
	return nil
}

// A consumer is a Source at work: a member of its group.
type consumer struct {
	Source
	courier courier
	slots   chan struct{} // one for each record under way
}

func (s Source) newConsumer() *consumer {
	backoff := linear
	if s.Exponential {
		backoff = exponential
	}
	return &consumer{
		Source: s,
		courier: courier{
			client:  newHTTPClient(),
			header:  http.Header{"Prefer": {"reply"}, "Kn-Namespace": {s.Namespace}},
			retry:   s.Retry,
			wait:    backoff(cmp.Or(s.BackoffDelay, 200*time.Millisecond)),
			timeout: cmp.Or(s.Timeout, 10*time.Minute),
		},
		slots: make(chan struct{}, maxInFlight),
	}
}

// run is a member of group until ctx ends. Where Kafka breaks it off it comes
// back as the member that it was: a new one would have to wait until the old is given up.
func (c *consumer) run(ctx context.Context, group sarama.ConsumerGroup) {
	var logging sync.WaitGroup
	defer logging.Wait()
	logging.Go(func() {
		for err := range group.Errors() {
			slog.WarnContext(ctx, "source", "source", c.Name, "topic", c.Topic, "err", err)
		}
	})
	for ctx.Err() == nil {
		err := group.Consume(ctx, []string{c.Topic}, c) // nil when the group's members change
		if err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "source interrupted", "source", c.Name, "topic", c.Topic, "err", err)
			pause(ctx, rejoinDelay)
		}
	}
	if err := group.Close(); err != nil {
		slog.WarnContext(ctx, "source left without notice", "source", c.Name, "topic", c.Topic, "err", err)
	}
}

func sourceConfig() *sarama.Config {
	config := kafkaConfig()
	config.Consumer.Return.Errors = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Interval = time.Second
	config.Consumer.Offsets.Retry.Max = 1 // of the last commit: what it misses is only delivered again
	config.Consumer.Retry.Backoff = time.Second
	config.Consumer.Group.Heartbeat.Interval = time.Second // how soon a change of members is seen
	config.Consumer.Group.Rebalance.Retry.Backoff = 500 * time.Millisecond
	return config
}

// Setup does nothing; sarama calls it when partitions are assigned.
func (c *consumer) Setup(sarama.ConsumerGroupSession) error { return nil }

// Cleanup does nothing; sarama calls it when they are given back.
func (c *consumer) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim delivers the records of a partition until the session, which is
// the time until the group's members change or ctx of Run ends. It does not return before
// all requests have ended: what they finish is committed right after.
func (c *consumer) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	ctx := session.Context()
	var (
		done     progress
		underWay sync.WaitGroup
	)
	defer underWay.Wait()
	for record := range claim.Messages() {
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		done.begin(record.Offset)
		underWay.Go(func() {
			defer func() { <-c.slots }()
			if !c.dispatch(ctx, record) {
				return
			}
			if next, moved := done.finish(record.Offset); moved {
				session.MarkOffset(record.Topic, record.Partition, next, "")
			}
		})
	}
	return nil
}

// dispatch reports whether the record needs no more delivery: taken, a dead
// letter, or lost. It does, as long as there is a chance, where ctx ended before.
func (c *consumer) dispatch(ctx context.Context, record *sarama.ConsumerMessage) bool {
	e := eventOf(record, c.Namespace, c.Name)
	a := c.courier.deliver(ctx, c.SinkURL, e)
	if a.taken() {
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	return c.bury(ctx, e, a)
}

// bury sends the event that was answered with a to the dead letters.
func (c *consumer) bury(ctx context.Context, e event.Event, a answer) bool {
	log := slog.With("source", c.Name, "url", c.SinkURL, "id", e.ID(), "type", e.Type(), "err", a)
	if c.DeadLetterURL == "" {
		log.ErrorContext(ctx, "event lost: there is no dead letter sink")
		return true
	}
	dead := c.courier.deliver(ctx, c.DeadLetterURL, deadLetter(e, c.SinkURL, a))
	switch {
	case dead.taken():
		log.WarnContext(ctx, "event is a dead letter")
	case ctx.Err() != nil:
		return false
	default:
		log.ErrorContext(ctx, "event lost: the dead letter sink did not take it", "answer", dead)
	}
	return true
}
