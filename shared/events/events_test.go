package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

var at = time.Date(2026, 11, 23, 6, 43, 7, 129_491_000, time.UTC)

// living is a source with an application.
func living() sources.Source {
	src := sources.Source{ID: 12, UUID: "7595e2cf-9ba8-4a55-8677-ccccd7b76f9b", OrgID: "1234567", AccountNumber: "7890123",
		Name: "prod-west", Type: "OCP", UpdatedAt: at, Progress: sources.Progress{Sequence: 3, Generation: 2}}
	src.SetCluster("cluster-1")
	src.Attach()
	src.Application.ID = 7
	src.Application.Extra = sources.Object{"bucket": json.RawMessage(`"b"`), "secret": json.RawMessage(`"x"`)}
	return src
}

func TestEvents(t *testing.T) {
	t.Parallel()

	const data = `{"id":%,"source_id":12,"source_uuid":"7595e2cf-9ba8-4a55-8677-ccccd7b76f9b","application_type_id":0,"org_id":"1234567",` +
		`"account_number":"7890123","tenant":"1234567","name":"prod-west","source_type_id":1,"source_type":"OCP","cluster_id":"cluster-1",` +
		`"paused":false,"extra":{"cluster_id":"cluster-1","bucket":"b"}}`
	without := strings.NewReplacer("%", "12", `"application_type_id":0`, `"application_type_id":null`, `{"cluster_id":"cluster-1","bucket":"b"}`, "{}").Replace(data)
	gone, detached := living(), living()
	gone.MarkDeleted(at)
	detached.Detach(at)
	cleaned := detached
	cleaned.ROSCleanedAt = &at
	tests := []struct {
		name       string
		make       func(context.Context, sources.Source) (cloudevents.Event, error)
		src        sources.Source
		kind, data string
		repair     any
	}{
		{"source made", events.SourceCreated, living(), "source.create", strings.Replace(data, "%", "12", 1), nil},
		{"source changed", events.SourceUpdated, living(), "source.update", strings.Replace(data, "%", "12", 1), nil},
		{"source without an application", events.SourceUpdated, detached, "source.update", without, nil},
		{"source gone", events.SourceDeleted, gone, "source.delete", strings.Replace(data, "%", "12", 1), nil},
		{"application made", events.ApplicationCreated, living(), "application.create", strings.Replace(data, "%", "7", 1), nil},
		{"application changed", events.ApplicationUpdated, living(), "application.update", strings.Replace(data, "%", "7", 1), nil},
		{"application gone", events.ApplicationDeleted, detached, "application.delete", strings.Replace(data, "%", "7", 1), nil},
		{"asked again, living", events.Repair, living(), "source.update", strings.Replace(data, "%", "12", 1), "1"},
		{"asked again, gone", events.Repair, gone, "source.delete", strings.Replace(data, "%", "12", 1), "1"},
		{"asked again, ROS due", events.Repair, detached, "application.delete", strings.Replace(data, "%", "7", 1), "1"},
		{"asked again, ROS done", events.Repair, cleaned, "source.update", without, "1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, err := tt.make(t.Context(), tt.src)
			if err != nil || e.Validate() != nil {
				t.Fatalf("%v, %v", err, e.Validate())
			}
			if id, err := uuid.Parse(e.ID()); err != nil || id.Version() != 7 {
				t.Errorf("id = %s, want a UUIDv7", e.ID())
			}
			want := map[string]any{"partitionkey": "12", "sequence": "3", "orgid": "1234567"}
			if tt.repair != nil {
				want["repair"] = tt.repair
			}
			if diff := cmp.Diff(want, e.Extensions()); diff != "" {
				t.Errorf("extensions (-want +got):\n%s", diff)
			}
			if e.Type() != tt.kind || e.Source() != "/api/cost-management/v1/sources" || e.Subject() != "sources/12" || !e.Time().Equal(at) {
				t.Errorf("the event is\n%s", e)
			}
			if diff := cmp.Diff(tt.data, string(e.Data())); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBucketOfAnotherKind(t *testing.T) {
	t.Parallel()

	src := living()
	src.Application.Extra["bucket"] = json.RawMessage(`{"name": "b"}`)
	if e, err := events.SourceUpdated(t.Context(), src); err != nil || bytes.Contains(e.Data(), []byte("bucket")) {
		t.Errorf("the event is %s, %v; want no bucket in it", e.Data(), err)
	}
}

func TestTraceParent(t *testing.T) {
	t.Parallel()

	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": parent})
	if e, err := events.SourceCreated(ctx, living()); err != nil || e.Extensions()["traceparent"] != parent {
		t.Errorf("traceparent = %v, %v; want %s", e.Extensions()["traceparent"], err, parent)
	}
}

func TestHandle(t *testing.T) {
	t.Parallel()

	const binary, structured, batch = "application/json", "application/cloudevents+json", "application/cloudevents-batch+json"
	const whole = `{"specversion": "1.0", "id": "1", "source": "s", "type": "ours", "data": {"source_id": 12}}`
	tests := []struct {
		name, method, kind, content, body string
		err                               error
		status                            int
		called                            bool
	}{
		{"done", "POST", "ours", binary, `{"source_id": 12}`, nil, 204, true},
		{"structured", "POST", "", structured, whole, nil, 204, true},
		{"another type", "POST", "theirs", binary, `no JSON`, nil, 204, false},
		{"can never succeed", "POST", "ours", binary, `{}`, sources.Invalidf("", "broken"), 422, true},
		{"may heal", "POST", "ours", binary, `{}`, &sources.Error{Kind: sources.Unavailable, Msg: "away"}, 503, true},
		{"not found is no answer", "POST", "ours", binary, `{}`, sources.NoSource(), 503, true},
		{"a bug", "POST", "ours", binary, `{}`, errors.New("password=secret"), 503, true},
		{"no event", "POST", "", binary, `{}`, nil, 422, false},
		{"broken structured event", "POST", "", structured, `{`, nil, 422, false},
		{"batch", "POST", "", batch, "[" + whole + "]", nil, 422, false},
		{"too large", "POST", "ours", binary, strings.Repeat("x", 2<<20), nil, 422, false},
		{"no POST", "GET", "ours", binary, "", nil, 405, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			called := false
			srv := httptest.NewServer(events.Handle(func(context.Context, cloudevents.Event) error {
				called = true
				return tt.err
			}, "ours"))
			defer srv.Close()
			status, body := post(t, srv.URL, tt.method, tt.kind, tt.content, tt.body)
			if status != tt.status || called != tt.called || strings.Contains(body, "secret") {
				t.Errorf("answered %d %q, called %v; want %d, %v", status, body, called, tt.status, tt.called)
			}
		})
	}
}

func TestHandlePanic(t *testing.T) {
	t.Parallel()

	srv := httptest.NewServer(events.Handle(func(context.Context, cloudevents.Event) error { panic("inside") }))
	defer srv.Close()
	if status, body := post(t, srv.URL, "POST", "any", "application/json", `{}`); status != 503 || strings.Contains(body, "inside") {
		t.Errorf("a panic is answered %d %q, want 503", status, body)
	}
}

// TestHandleHeader: the SDK's reader panics on this one.
func TestHandleHeader(t *testing.T) {
	t.Parallel()

	h := events.Handle(func(context.Context, cloudevents.Event) error { return nil })
	r := httptest.NewRequest("POST", "/", strings.NewReader("{}"))
	r.Header = http.Header{"Ce-": {"x"}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"s"}, "Ce-Type": {"t"}}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusUnprocessableEntity {
		t.Errorf("an attribute without a name is answered %d, want 422", w.Code)
	}
}

// TestHandleBrokenOff: a connection that fails says nothing about the event, which is to come again.
func TestHandleBrokenOff(t *testing.T) {
	t.Parallel()

	h := events.Handle(func(context.Context, cloudevents.Event) error { return nil })
	for _, failed := range []error{io.ErrUnexpectedEOF, os.ErrDeadlineExceeded} {
		r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader(`{"source_id":`), iotest.ErrReader(failed)))
		r.Header = http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"s"}, "Ce-Type": {"t"}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("half an event (%v) is answered %d, want 503", failed, w.Code)
		}
	}
}

func post(t *testing.T, url, method, kind, content, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", content)
	if kind != "" {
		for name, value := range map[string]string{"Specversion": "1.0", "Id": "1", "Source": "s", "Type": kind} {
			request.Header.Set("Ce-"+name, value)
		}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// FuzzHandle: whatever is posted, the answer is one that Knative acts on as we mean it.
func FuzzHandle(f *testing.F) {
	f.Add("application/json", "source.create", `{"source_id": 1}`)
	f.Add("application/cloudevents+json", "", `{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"source_id":1.5}}`)
	f.Add("application/cloudevents-batch+json", "", `[]`)
	h := events.Handle(func(_ context.Context, e cloudevents.Event) error {
		_, err := events.SourceID(e)
		return err
	})
	f.Fuzz(func(t *testing.T, content, kind, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header = http.Header{"Content-Type": {content}}
		if kind != "" {
			r.Header["Ce-Specversion"], r.Header["Ce-Id"], r.Header["Ce-Source"], r.Header["Ce-Type"] = []string{"1.0"}, []string{"1"}, []string{"s"}, []string{kind}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 204 && w.Code != 422 {
			t.Errorf("%q %q %q is answered %d %s", content, kind, body, w.Code, w.Body)
		}
	})
}
