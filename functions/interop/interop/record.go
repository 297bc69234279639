package interop

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"

	"github.com/insights-onprem/cost-sources/shared/events"
)

// eventTypes are what the consumers of plain records call our events.
var eventTypes = map[string]string{
	events.TypeSourceCreate:      "Source.create",
	events.TypeSourceUpdate:      "Source.update",
	events.TypeSourceDelete:      "Source.destroy",
	events.TypeApplicationCreate: "Application.create",
	events.TypeApplicationUpdate: "Application.update",
	events.TypeApplicationDelete: "Application.destroy",
}

// idHeader is where a record says which event it is of.
const idHeader = "ce_id"

// A record is what is written of an event.
type record struct {
	id, key string
	headers []sarama.RecordHeader
	value   []byte
}

// newRecord makes the record of an event. It is a CloudEvent too, in binary mode: so it can be told which event it is
// of, and a consumer can change to reading those before it changes topics. It also returns the value, to compare the
// next event's to.
func newRecord(e cloudevents.Event, m message, told []byte, identity string) (r record, value []byte, err error) {
	m.data.Tenant = m.data.OrgID
	if value, err = json.Marshal(m.data); err != nil {
		return r, nil, err
	}
	if err := e.SetData(cloudevents.ApplicationJSON, json.RawMessage(value)); err != nil {
		return r, nil, err
	}
	var asEvent sarama.ProducerMessage
	ctx := binding.WithForceBinary(context.Background())
	if err := kafka_sarama.WriteProducerMessage(ctx, binding.ToMessage(&e), &asEvent); err != nil {
		return r, nil, fmt.Errorf("event %s as a record: %w", e.ID(), err)
	}
	account := m.data.AccountNumber
	header, err := identityHeader(m.data.OrgID, account, identity)
	if err != nil {
		return r, nil, err
	}
	r = record{id: e.ID(), key: m.data.OrgID, headers: asEvent.Headers, value: value}
	r.add("event_type", eventType(m, told))
	r.add("encoding", "json")
	r.add("x-rh-identity", header)
	r.add("x-rh-sources-org-id", m.data.OrgID)
	if account != "" {
		r.add("x-rh-sources-account-number", account)
	}
	return r, value, nil
}

func (r *record) add(name, value string) {
	r.headers = append(r.headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
}

// eventType is one word for each event. Where a source is changed in nothing but that it is paused, or no more, it is
// the one for that, which a consumer of plain records knows of an application only.
func eventType(m message, told []byte) string {
	var before events.Data
	if m.kind != events.TypeSourceUpdate || m.data.ApplicationTypeID == nil || json.Unmarshal(told, &before) != nil ||
		before.Paused == m.data.Paused || before.Name != m.data.Name || before.ClusterID != m.data.ClusterID {
		return eventTypes[m.kind]
	}
	if m.data.Paused {
		return "Application.pause"
	}
	return "Application.unpause"
}

// identityHeader is the identity of the service account of an organization: who reads it may use it to ask, in this
// organization only, and it is nobody's who made a change.
func identityHeader(orgID, account, name string) (string, error) {
	raw, err := json.Marshal(map[string]any{
		"identity": map[string]any{
			"org_id": orgID, "account_number": account, "type": "ServiceAccount",
			"internal":        map[string]any{"org_id": orgID},
			"service_account": map[string]any{"username": name, "client_id": name},
		},
		"entitlements": map[string]any{"cost_management": map[string]any{"is_entitled": true}},
	})
	return base64.StdEncoding.EncodeToString(raw), err
}
