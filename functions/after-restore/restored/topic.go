package restored

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/kafkaevents"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// Bounds of a run, and so of the memory for what it has seen.
const (
	maxRecords = 50_000_000
	maxSources = 2_000_000
)

// A seen source is what the topic tells of a source.
type seen struct {
	sequence      int64 // the highest of its events
	gone          bool  // one of them is its deletion, after which there is nothing
	org           string
	name, cluster string // of the event with that sequence
}

// A topic is what was found in the topic.
type topic struct {
	sources        map[int64]*seen
	events, others int
	oldest         time.Time // when the first event of ours that it still has was written
	highestID      int64     // of a source or of an application
}

// readTopic reads all that the topic holds. A topic that does not exist is one without events.
func readTopic(ctx context.Context, cfg Config) (topic, error) {
	found := topic{sources: map[int64]*seen{}}
	reader, err := cfg.OpenReader("after-restore", cfg.Topic)
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		return found, nil
	}
	if err != nil {
		return found, err
	}
	defer reader.Close()
	return found, reader.Each(ctx, found.add)
}

// add takes a record in. Anybody may have written it; what is no event of ours is passed over.
func (t *topic) add(record *sarama.ConsumerMessage) error {
	if t.events+t.others == maxRecords {
		return fmt.Errorf("there are more than %d records in the topic, the others were not looked at", maxRecords)
	}
	e, err := kafkaevents.Read(record)
	if err != nil {
		t.others++
		return nil
	}
	data, sequence, ok := ours(*e)
	if !ok {
		t.others++
		return nil
	}
	t.events++
	if at := record.Timestamp.UTC(); t.oldest.IsZero() || at.Before(t.oldest) {
		t.oldest = at
	}
	t.highestID = max(t.highestID, data.SourceID, data.ID)
	src := t.sources[data.SourceID]
	if src == nil {
		if len(t.sources) == maxSources {
			return fmt.Errorf("there are more than %d sources in the topic, the others were not looked at", maxSources)
		}
		src = &seen{}
		t.sources[data.SourceID] = src
	}
	src.gone = src.gone || e.Type() == events.TypeSourceDelete
	if sequence >= src.sequence {
		src.sequence, src.org, src.name, src.cluster = sequence, data.OrgID, data.Name, data.ClusterID
	}
	return nil
}

// types are those of our events.
var types = []string{events.TypeSourceCreate, events.TypeSourceUpdate, events.TypeSourceDelete,
	events.TypeApplicationCreate, events.TypeApplicationUpdate, events.TypeApplicationDelete}

// ours reads an event that is as this system makes them, in every part that is made use of.
func ours(e cloudevents.Event) (data events.Data, sequence int64, ok bool) {
	if e.Source() != events.Source || !slices.Contains(types, e.Type()) || json.Unmarshal(e.Data(), &data) != nil {
		return data, 0, false
	}
	text, _ := e.Extensions()["sequence"].(string)
	sequence, err := strconv.ParseInt(text, 10, 64)
	if err != nil || sequence < 1 || sequence > maxSequence {
		return data, 0, false
	}
	for _, id := range []int64{data.ID, data.SourceID} {
		if _, ok := sources.ParseID(strconv.FormatInt(id, 10)); !ok || id == 0 {
			return data, 0, false
		}
	}
	return data, sequence, e.Subject() == "sources/"+strconv.FormatInt(data.SourceID, 10)
}

// maxSequence is far beyond what a source ever comes to, and as far below where a bigint ends: who forges an event
// cannot bring a source to where it has no next one.
const maxSequence = 1 << 48
