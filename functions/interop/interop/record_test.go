package interop

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// FuzzRecord: whatever an event holds, it is refused, or what is made of it is a record that every consumer can read.
func FuzzRecord(f *testing.F) {
	f.Add("source.update", "1", []byte(`{"id": 7, "source_id": 7, "application_type_id": 0, "org_id": "org1", "paused": true}`), []byte(`{"paused": false}`))
	f.Add("application.delete", "9223372036854775807", []byte(`{"Source_ID": 7, "org_id": "\u0000", "tenant": "org2", "account_number": "a\nb"}`), []byte(nil))
	f.Add("source.create", "-1", []byte(`{"source_id": 7.5}`), []byte(`[]`))
	f.Add("source.delete", "", []byte(`null`), []byte(`null`))
	f.Add("application.update", "2", []byte(`{"source_id": 1, "org_id": "\xff", "extra": {"bucket": ""}}`), []byte(`{`))
	f.Fuzz(func(t *testing.T, kind, sequence string, body, told []byte) {
		e := cloudevents.NewEvent()
		e.SetID("1")
		e.SetSource(events.Source)
		e.SetType(kind)
		e.SetExtension("sequence", sequence)
		if err := e.SetData(cloudevents.ApplicationJSON, body); err != nil {
			t.Skip(err)
		}
		m, err := read(e)
		if err != nil {
			if sources.KindOf(err) != sources.Invalid {
				t.Errorf("read = %v, want an Invalid error", err)
			}
			return
		}
		r, value, err := newRecord(e, m, told, "robot")
		if err != nil {
			t.Fatal(err)
		}
		var data events.Data
		decoder := json.NewDecoder(bytes.NewReader(r.value))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&data); err != nil || data.SourceID != m.data.SourceID || data.Tenant != data.OrgID || !bytes.Equal(value, r.value) {
			t.Errorf("the record is %s, %v", r.value, err)
		}
		if eventTypes[kind] != "" && m.sequence < 1 {
			t.Errorf("the sequence is %d", m.sequence)
		}
	})
}

// FuzzForeign: whatever a record of another producer holds, it is refused, passed over, or can be stored.
func FuzzForeign(f *testing.F) {
	f.Add("Application.create", "org1", []byte(`{"Id": 7, "Source_id": 7, "Application_type_id": 0, "Tenant": "org1"}`))
	f.Add("Application.create", "", []byte(`{"id": 3, "source_id": 7, "application_type_id": 0, "tenant": "12345", "extra": {"cluster_id": "c"}}`))
	f.Add("Source.update", "a\x00", []byte(`{"id": 3, "name": "\u0000", "source_ref": "\ud800"}`))
	f.Add("Source.destroy", "org1", []byte(`{"id": -1, "extra": []}`))
	f.Add("x", "org1", []byte(`null`))
	f.Fuzz(func(t *testing.T, kind, org string, body []byte) {
		e := cloudevents.NewEvent()
		e.SetTime(time.Now())
		e.SetExtension("kafkaheadereventtype", kind)
		e.SetExtension("kafkaheaderxrhsourcesorgid", org)
		if err := e.SetData("", body); err != nil {
			t.Skip(err)
		}
		rec, meant, err := readForeign(e)
		switch {
		case err != nil && sources.KindOf(err) != sources.Invalid:
			t.Errorf("readForeign = %v, want an Invalid error", err)
		case err == nil && meant && (sources.CheckOrg(rec.orgID) != nil || rec.sourceID < 1 || !utf8.ValidString(rec.name+rec.cluster) || strings.ContainsRune(rec.name+rec.cluster, 0)):
			t.Errorf("readForeign = %+v", rec)
		}
	})
}
