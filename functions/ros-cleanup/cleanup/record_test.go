package cleanup

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/insights-onprem/cost-sources/shared/plainrecord"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

func FuzzReadRecord(f *testing.F) {
	f.Add([]byte(`{"Id": 7, "Source_id": 7, "Application_type_id": 0, "Tenant": "org1"}`), destroyed, "", "")
	f.Add([]byte(`{"source_id": 7, "application_type_id": 0}`), destroyed, "org1", "")
	f.Add([]byte(`{"source_id": 7, "application_type_id": 0}`), destroyed, "", "eyJpZGVudGl0eSI6eyJvcmdfaWQiOiJvcmcxIn19")
	f.Add([]byte(`{"source_id": 7, "application_type_id": 1}`), destroyed, "org1", "")
	f.Add([]byte(`{"source_id": 7.0, "application_type_id": 0}`), destroyed, "org1", "")
	f.Add([]byte(`{"source_id": -9223372036854775808, "application_type_id": 0, "tenant": "a\u0000"}`), destroyed, "\xff", "?")
	f.Add([]byte(`null`), "Application.create", "org1", "")
	f.Fuzz(func(t *testing.T, body []byte, eventType, org, identity string) {
		e := cloudevents.NewEvent()
		e.SetType(plainrecord.Type)
		e.SetTime(time.Now())
		e.SetExtension("kafkaheadereventtype", eventType)
		e.SetExtension("kafkaheaderxrhsourcesorgid", org)
		e.SetExtension("kafkaheaderxrhidentity", identity)
		if err := e.SetData("", body); err != nil {
			t.Fatal(err)
		}
		rec, ours, err := readRecord(e)
		switch {
		case err != nil && (ours || sources.KindOf(err) != sources.Invalid):
			t.Errorf("readRecord = %v, want an Invalid error and nothing to act on", err)
		case ours && (rec.orgID == "" || !utf8.ValidString(rec.orgID) || strings.ContainsRune(rec.orgID, 0)):
			t.Errorf("readRecord = organization %q, which PostgreSQL cannot look for", rec.orgID)
		case ours && (eventType != destroyed || rec.at.IsZero()):
			t.Errorf("readRecord of %q at %v is acted on", eventType, rec.at)
		}
	})
}

// TestForgetOutOfTime: what was not asked for is not forgotten.
func TestForgetOutOfTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newKruize("http://127.0.0.1:1", time.Second).forget(ctx, []string{"a", "b"}); sources.KindOf(err) != sources.Unavailable {
		t.Errorf("forget = %v, want an Unavailable error", err)
	}
}
