package preflight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/IBM/sarama"
)

// makeTopics makes the topics that are missing, and says of the others where they differ. None that is there is
// changed. Two runs at once make each topic once.
func makeTopics(ctx context.Context, part Part[Kafka], stdout io.Writer) error {
	if part.Err != nil {
		return part.Err
	}
	cfg := part.Value
	config, err := cfg.Sarama(clientName)
	if err != nil {
		return err
	}
	a, err := openAdmin(cfg, config)
	if err != nil {
		return fmt.Errorf("KAFKA_BROKERS: %s", explain(err))
	}
	defer a.close()
	var r report
	for _, t := range cfg.topics() {
		a.makeTopic(ctx, t, &r)
	}
	if err := r.print(stdout); err != nil {
		return err
	}
	if n := r.failed(); n > 0 {
		return fmt.Errorf("%s not as needed, see the lines that begin with %s", count(n, "topic"), levelFail)
	}
	return nil
}

// makeTopic makes t unless it is there, and returns when it can be used.
func (a admin) makeTopic(ctx context.Context, t topic, r *report) {
	what := levelOK
	if _, err := a.find(t.name); errors.Is(err, errMissing) {
		err := a.CreateTopic(t.name, t.detail(), false)
		if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			r.fail(t.variable, "%s could not be made: %s", t.name, explain(err))
			return
		}
		if err == nil {
			what = levelMade
		}
	}
	f, err := a.awaitTopic(ctx, t.name)
	if err != nil {
		r.fail(t.variable, "%s: %s", t.name, explain(err))
		return
	}
	f.report(what, t, len(a.client.Brokers()), r)
}

// awaitTopic waits until every partition has a leader that has taken it over: for a moment after a topic was made
// not every broker knows of it.
func (a admin) awaitTopic(ctx context.Context, name string) (found, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		f, err := a.find(name)
		if err == nil {
			err = a.usable(name, f)
		}
		if err == nil {
			return f, nil
		}
		if !mayHeal(err) {
			return f, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return f, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// usable asks the leader of every partition for something that only it knows.
func (a admin) usable(name string, f found) error {
	for partition := range int32(f.partitions) {
		if _, err := a.client.GetOffset(name, partition, sarama.OffsetNewest); err != nil {
			return fmt.Errorf("partition %d: %w", partition, err)
		}
	}
	return nil
}

// mayHeal reports whether err is one of those that there are while a topic is being made, or a leader elected.
func mayHeal(err error) bool {
	for _, passing := range []error{errMissing, sarama.ErrUnknownTopicOrPartition, sarama.ErrLeaderNotAvailable,
		sarama.ErrNotLeaderForPartition, sarama.ErrBrokerNotAvailable, sarama.ErrReplicaNotAvailable} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}
