package faults_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// settlePlain waits until every event has its plain record.
func (w *world) settlePlain() {
	w.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for {
		waiting := rows(w, w.sql, `
			SELECT format('source %s: %s of %s', s.id, coalesce(p.written, 0), s.sequence)
			FROM sources.source s LEFT JOIN sources.plain_source p ON p.source_id = s.id
			WHERE p.written IS DISTINCT FROM s.sequence`)
		if len(waiting) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("after three minutes there are no plain records yet of %v", waiting)
		}
		wait(w.Context(), 250*time.Millisecond)
	}
}

// A plainReader is a consumer of plain records that knows nothing of CloudEvents. It says which source a record is
// about, what it is told, and of whom.
type plainReader func(*sarama.ConsumerMessage) (source int64, told, org string, err error)

// likeHousekeeper reads nothing but event_type, source_id, application_type_id and tenant, each as the one type that it
// may be of.
func likeHousekeeper(record *sarama.ConsumerMessage) (int64, string, string, error) {
	var value struct {
		ID                int64   `json:"id"`
		SourceID          int64   `json:"source_id"`
		ApplicationTypeID *int64  `json:"application_type_id"`
		Tenant            *string `json:"tenant"`
	}
	if err := json.Unmarshal(record.Value, &value); err != nil {
		return 0, "", "", err
	}
	told := ""
	for _, h := range record.Headers {
		if string(h.Key) == "event_type" {
			told += string(h.Value) // twice, where it is there twice
		}
	}
	if value.Tenant == nil || value.ApplicationTypeID != nil && *value.ApplicationTypeID != 0 {
		return 0, "", "", fmt.Errorf("it has %s", record.Value)
	}
	return value.SourceID, told, *value.Tenant, nil
}

// likeKoku needs the identity, of nobody who made a change, and the organization.
func likeKoku(record *sarama.ConsumerMessage) (int64, string, string, error) {
	headers := map[string]string{}
	for _, h := range record.Headers {
		headers[string(h.Key)] = string(h.Value)
	}
	var value map[string]any // lower case only
	if err := json.Unmarshal(record.Value, &value); err != nil {
		return 0, "", "", err
	}
	source, ok := value["source_id"].(float64)
	raw, err := base64.StdEncoding.DecodeString(headers["x-rh-identity"])
	if err != nil || !ok {
		return 0, "", "", fmt.Errorf("it has %s and %v, %w", record.Value, headers, err)
	}
	var of struct {
		Identity struct {
			OrgID string          `json:"org_id"`
			User  json.RawMessage `json:"user"`
		} `json:"identity"`
	}
	org := headers["x-rh-sources-org-id"]
	if err := json.Unmarshal(raw, &of); err != nil || of.Identity.OrgID != org || of.Identity.User != nil || string(record.Key) != org {
		return 0, "", "", fmt.Errorf("the identity is %s, the organization %q, the key %q, %w", raw, org, record.Key, err)
	}
	return int64(source), headers["event_type"], org, nil
}

// checkPlain: each consumer of plain records is told of every event once, in order.
func (w *world) checkPlain() {
	w.Helper()
	records, err := kafka.Records(w.Context(), w.kafka.Addrs(), w.plainTopic())
	if err != nil {
		w.Fatal(err)
	}
	want := map[int64][]string{}
	for source, all := range w.told() {
		slices.SortFunc(all, func(a, b told) int { return int(a.sequence - b.sequence) })
		var before *events.Data
		for _, e := range all {
			want[source] = append(want[source], plainType(e, before)+" "+e.data.OrgID)
			before = &e.data
		}
	}
	for name, read := range map[string]plainReader{"the housekeeper": likeHousekeeper, "Koku": likeKoku} {
		got := map[int64][]string{}
		for _, record := range records {
			source, told, org, err := read(record)
			if err != nil {
				w.Errorf("%s cannot read a record: %v", name, err)
				continue
			}
			got[source] = append(got[source], told+" "+org)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			w.Errorf("what %s is told (-want +got):\n%s", name, diff)
		}
	}
}

// plainType repeats the rule, so that it is held against the one in the code.
func plainType(e told, before *events.Data) string {
	names := map[string]string{"source.create": "Source.create", "source.update": "Source.update", "source.delete": "Source.destroy",
		"application.create": "Application.create", "application.update": "Application.update", "application.delete": "Application.destroy"}
	onlyPaused := before != nil && before.Paused != e.data.Paused && before.Name == e.data.Name && before.ClusterID == e.data.ClusterID
	switch {
	case e.kind != "source.update" || e.data.ApplicationTypeID == nil || !onlyPaused:
		return names[e.kind]
	case e.data.Paused:
		return "Application.pause"
	default:
		return "Application.unpause"
	}
}
