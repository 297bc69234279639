package faults_test

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// A told event is one as it stands in the topic for the first time.
type told struct {
	id, kind string
	sequence int64
	repair   bool
	data     events.Data
}

// checkTopic: of every source each event that its row has counted is there, the first of each in order, and the last
// one says how the source is.
func (w *world) checkTopic(things []*thing) {
	w.Helper()
	all := w.told()
	counted := map[int64]int64{}
	for _, row := range rows(w, w.sql, `SELECT id || ' ' || sequence FROM sources.source`) {
		var id, sequence int64
		if _, err := fmt.Sscan(row, &id, &sequence); err != nil {
			w.Fatal(err)
		}
		counted[id] = sequence
	}
	for _, s := range things {
		w.checkOrder(s, all[s.id], counted[s.id])
		w.checkStory(s, all[s.id])
	}
	if len(all) != len(counted) {
		w.Errorf("the topic tells of %d sources, want %d", len(all), len(counted))
	}
}

func (w *world) checkOrder(s *thing, told []told, counted int64) {
	w.Helper()
	if int64(len(told)) != counted {
		w.Errorf("the topic has %d events of source %d, its row has counted %d", len(told), s.id, counted)
	}
	for i, e := range told {
		if e.sequence != int64(i+1) {
			w.Errorf("event %d of source %d has the sequence %d: %+v", i+1, s.id, e.sequence, told)
			return
		}
	}
}

// checkStory: a source begins with its create and ends, if it does, with its delete, both once; what was told last is
// how it is.
func (w *world) checkStory(s *thing, told []told) {
	w.Helper()
	creates, deletes := 0, 0
	var last, first string
	var data events.Data
	for _, e := range told {
		if e.repair {
			continue
		}
		if first == "" {
			first = e.kind
		}
		last, data = e.kind, e.data
		switch e.kind {
		case events.TypeSourceCreate:
			creates++
		case events.TypeSourceDelete:
			deletes++
		}
	}
	wantDeletes := 0
	if s.gone {
		wantDeletes = 1
	}
	if first != events.TypeSourceCreate || creates != 1 || deletes != wantDeletes || s.gone != (last == events.TypeSourceDelete) {
		w.Errorf("source %d (gone: %v) begins with %s and ends with %s, with %d creates and %d deletes", s.id, s.gone, first, last, creates, deletes)
	}
	if data.Name != s.name || data.Paused != s.paused || data.ClusterID != s.cluster || data.OrgID != s.org || data.SourceUUID != s.uuid {
		w.Errorf("the last event of source %d says %+v, the source is %+v", s.id, data, s)
	}
}

// told reads the topic to its end: of each source, the events in the order in which they came for the first time.
func (w *world) told() map[int64][]told {
	w.Helper()
	records, err := kafka.Records(w.Context(), w.kafka.Addrs(), w.topic)
	if err != nil {
		w.Fatal(err)
	}
	all, known := map[int64][]told{}, map[string]bool{}
	for _, record := range records {
		if isForeign(record) {
			continue
		}
		e := w.parse(record)
		if !known[e.id] {
			known[e.id] = true
			all[e.data.SourceID] = append(all[e.data.SourceID], e)
		}
	}
	return all
}

func (w *world) parse(record *sarama.ConsumerMessage) (e told) {
	w.Helper()
	attributes := map[string]string{}
	for _, h := range record.Headers {
		attributes[string(h.Key)] = string(h.Value)
	}
	sequence, err := strconv.ParseInt(attributes["ce_sequence"], 10, 64)
	if err != nil {
		w.Fatalf("an event without a sequence: %v", attributes)
	}
	e = told{id: attributes["ce_id"], kind: attributes["ce_type"], sequence: sequence, repair: attributes["ce_repair"] == "1"}
	if err := json.Unmarshal(record.Value, &e.data); err != nil {
		w.Fatalf("%s: %v", record.Value, err)
	}
	if key := strconv.FormatInt(e.data.SourceID, 10); string(record.Key) != key || attributes["ce_subject"] != "sources/"+key {
		w.Errorf("an event of source %s has the key %q and the attributes %v", key, record.Key, attributes)
	}
	return e
}
