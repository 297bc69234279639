package deadletters_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/propagation"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// everyEvent makes one of each of our events, with all the attributes that they can have (contract section 4).
func everyEvent(t *testing.T) (all []cloudevents.Event) {
	t.Helper()
	ctx := propagation.TraceContext{}.Extract(t.Context(),
		propagation.MapCarrier{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
	src := sources.Source{ID: 12, OrgID: "org1", Name: "naïve\n", Type: "OCP", UpdatedAt: time.Now(), Progress: sources.Progress{Sequence: 1 << 40}}
	src.SetCluster("c1")
	src.Attach()
	for _, make := range []store.EventFunc{events.SourceCreated, events.SourceUpdated, events.SourceDeleted,
		events.ApplicationCreated, events.ApplicationUpdated, events.ApplicationDeleted, events.Repair} {
		e, err := make(ctx, src)
		if err != nil {
			t.Fatal(err)
		}
		e.SetExtension("environment", "onprem")
		all = append(all, e)
	}
	return all
}

// TestRedriveIsTheSame: nothing of what was added shows, and nothing else is missing.
func TestRedriveIsTheSame(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.cfg.Overrides.Extensions = map[string]string{"environment": "onprem"}
	all := everyEvent(t)
	bare := hint("bare", "", "") // without data, key, time
	bare.SetExtension("partitionkey", nil)
	w.post(append(all, bare)...)
	w.bury(len(all)+1, "provisioner", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Kne-Reason", "broken")
		rw.WriteHeader(422)
	})
	_, log, err := w.redrive("-all")
	if err != nil || strings.Count(log, `"left_out":["reason"]`) != len(all)+1 {
		t.Fatalf("%v\n%s", err, log)
	}
	sent := w.sent()
	if len(sent) != 2*(len(all)+1) {
		t.Fatalf("%d records, want each event twice", len(sent))
	}
	for pair := range slices.Chunk(sent, 2) {
		if diff := cmp.Diff(headers(pair[0]), headers(pair[1])); diff != "" {
			t.Errorf("attributes (-first +again):\n%s", diff)
		}
		if string(pair[0].Key) != string(pair[1].Key) || string(pair[0].Value) != string(pair[1].Value) || pair[0].Partition != pair[1].Partition {
			t.Errorf("key, data, partition %q %q %d, again %q %q %d", pair[0].Key, pair[0].Value, pair[0].Partition,
				pair[1].Key, pair[1].Value, pair[1].Partition)
		}
	}
}

// TestRedriveChooses: events a and b died in both functions, c in one.
func TestRedriveChooses(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		name  string
		flags []string
		sent  string
		err   string
	}{
		{"all", []string{"-all"}, "a b c", ""},
		{"one id", []string{"-id", "b"}, "b", ""},
		{"ids, one of them unknown", []string{"-id", "b", "-id", "x", "-id", "a"}, "a b", "1 refused"},
		{"reason", []string{"-reason", "ros-cleanup"}, "a b", ""},
		{"text of a reason", []string{"-reason", "422"}, "a b c", ""},
		{"no such reason", []string{"-reason", "410"}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			w := setup(t)
			w.post(hint("a", "sources/1", "{}"), hint("b", "sources/2", "{}"), hint("c", "sources/3", "{}"))
			w.bury(3, "provisioner", answering(422, "broken"))
			w.bury(2, "ros-cleanup", func(rw http.ResponseWriter, r *http.Request) {
				rw.WriteHeader(map[string]int{"a": 503, "b": 503, "c": 204}[r.Header.Get("Ce-Id")])
			})
			out, _, err := w.redrive(tt.flags...)
			if errText(err) != tt.err {
				t.Errorf("error %q, want %q\n%s", errText(err), tt.err, out)
			}
			var again []string
			for _, record := range w.sent() {
				again = append(again, headers(record)["ce_id"])
			}
			want := strings.Fields("a b c " + tt.sent)
			slices.Sort(want)
			if diff := cmp.Diff(want, again); diff != "" {
				t.Errorf("the event topic holds (-want +got):\n%s", diff)
			}
			if n := w.count("sources.redrive WHERE attempt = 1 AND who = 'tester' AND why = 'the function was mended'"); n != len(strings.Fields(tt.sent)) {
				t.Errorf("%d events counted, want %s", n, tt.sent)
			}
		})
	}
}

// TestRedriveTells: on the way out, in the log and in the list.
func TestRedriveTells(t *testing.T) {
	t.Parallel()

	w := setup(t)
	w.post(hint("a", "sources/1", "{}"))
	w.bury(1, "provisioner", answering(422, "broken"))
	out, log, err := w.redrive("-all")
	w.want("redrive", "sent     a  source.update  sources/1  attempt 1 of 3\n1 sent again, 0 refused\n", "", out, err)
	var line map[string]any
	if err := json.Unmarshal([]byte(log), &line); err != nil {
		t.Fatalf("%v in %q", err, log)
	}
	delete(line, "time")
	want := map[string]any{"level": "INFO", "msg": "redriven", "id": "a", "type": "source.update", "subject": "sources/1",
		"attempt": 1.0, "who": "tester", "why": "the function was mended", "reason": `provisioner 422 "broken"`, "left_out": nil}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	out, _, err = w.run("list", "-id", "a")
	if err != nil || !strings.Contains(out, "redriven 1") {
		t.Errorf("list: %v\n%s", err, out)
	}
}
