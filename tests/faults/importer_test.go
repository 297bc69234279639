package faults_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// importer is who knows nothing of the APIs: it writes plain records of sources that have ids of its own.
const importer = "importer"

// leaveIDs leaves ids to the importer.
func (w *world) leaveIDs(ctx context.Context) error {
	db, closeDB, err := store.Open(store.Config{DatabaseURL: w.registry.server.URL(w.name), MaxConns: 1})
	if err != nil {
		return err
	}
	defer closeDB()
	return db.LiftIDs(ctx, store.ForeignIDs-1)
}

// tell writes a record of something that has changed, and waits until it has been taken: a producer whose records
// overtake each other has the newest one count.
func (a *actor) tell() error {
	living := a.living()
	n := a.rand.IntN(8)
	if len(living) == 0 || n == 0 {
		a.calls++
		s := &thing{id: int64(a.calls), org: a.org, name: fmt.Sprintf("source %d", a.calls), cluster: fmt.Sprintf("cluster-%d", a.calls),
			application: true, others: map[string]bool{}}
		a.own = append(a.own, s)
		return a.record(s, "Application.create")
	}
	s := living[a.rand.IntN(len(living))]
	switch {
	case n < 3:
		a.calls++
		s.name = fmt.Sprintf("%s-%d", a.name, a.calls)
		return a.record(s, "Source.update")
	case n == 3:
		s.gone = true
		return a.record(s, "Source.destroy")
	case !s.application:
		s.application = true
		return a.record(s, "Application.create")
	case n == 4:
		s.application, s.rosUnknown, s.detached = false, true, true
		return a.record(s, "Application.destroy")
	case n == 5:
		return a.upload(s)
	}
	s.paused = !s.paused
	if s.paused {
		return a.record(s, "Application.pause")
	}
	return a.record(s, "Application.unpause")
}

// record writes a plain record in the form of Koku's, or where it is about a source itself in that of sources-api-go.
func (a *actor) record(s *thing, kind string) error {
	at := time.Now().Truncate(time.Millisecond) // as Kafka keeps it
	value := fmt.Sprintf(`{"Id": %d, "Source_id": %[1]d, "Application_type_id": 0, "Tenant": %q, "Extra": {"Cluster_id": %q}}`, s.id, s.org, s.cluster)
	if kind == "Source.update" || kind == "Source.destroy" {
		value = fmt.Sprintf(`{"id": %d, "name": %q}`, s.id, s.name)
	}
	err := a.insist("to write a record", func() error {
		return kafka.Write(a.kafka.Addrs(), &sarama.ProducerMessage{Topic: a.topic, Partition: int32(s.id % 3), Timestamp: at,
			Value: sarama.StringEncoder(value), Headers: kafka.Headers("event_type", kind, "encoding", "json", "x-rh-sources-org-id", s.org)})
	})
	if err != nil {
		return err
	}
	return a.insist(fmt.Sprintf("to have %s of source %d taken", kind, s.id), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		var taken bool
		err := a.sql.QueryRow(ctx, `SELECT uuid::text, record_at >= $2 FROM sources.source WHERE id = $1`, s.id, at).Scan(&s.uuid, &taken)
		if err == nil && !taken {
			err = fmt.Errorf("the newest record is an older one than of %v", at)
		}
		return err
	})
}

// insist tries something until it is done, which no fault keeps it from for as long as a client is patient.
func (a *actor) insist(what string, try func() error) error {
	for deadline := time.Now().Add(patience); ; wait(context.Background(), 50*time.Millisecond) {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s has not been possible in %v: %w", what, patience, err)
		}
	}
}

// isForeign reports a record that the importer has written.
func isForeign(record *sarama.ConsumerMessage) bool {
	return !slices.ContainsFunc(record.Headers, func(h *sarama.RecordHeader) bool { return string(h.Key) == "ce_id" })
}
