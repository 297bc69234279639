package interop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup"
	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// began is when the first record of a test was written.
var began = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// A records world has interop take the records of others. It needs no Kafka for that.
type records struct {
	world
	address, to string // the database, and where the records go
}

func setupRecords(t *testing.T) records {
	t.Helper()
	address := storetest.Database(t)
	r := records{world: world{T: t, api: storetest.Store(t, "sources", address).For("org1"), db: storetest.Store(t, "interop", address), sql: storetest.Pool(t, address)}, address: address}
	if err := storetest.Store(t, "", address).LiftIDs(t.Context(), store.ForeignIDs-1); err != nil {
		t.Fatal(err)
	}
	cfg := config(address)
	cfg.PlainRecords = true
	r.to = r.start(cfg, r.db)
	return r
}

// record is one as a KafkaSource hands it on.
func record(kind, value string, minutes int) cloudevents.Event {
	e := cloudevents.NewEvent()
	e.SetID(fmt.Sprintf("partition:0/offset:%d", minutes))
	e.SetSource("/apis/v1/namespaces/cost/kafkasources/records#platform.sources.event-stream")
	e.SetSubject(fmt.Sprintf("partition:0#%d", minutes))
	e.SetType("dev.knative.kafka.event")
	e.SetTime(began.Add(time.Duration(minutes) * time.Minute))
	e.SetExtension("kafkaheadereventtype", kind)
	e.SetExtension("kafkaheaderencoding", "json")
	e.SetExtension("kafkaheaderxrhidentity", "eyJpZGVudGl0eSI6eyJvcmdfaWQiOiJvcmcxIn19") // of org1
	e.SetExtension("kafkaheaderxrhsourcesaccountnumber", "7890123")
	_ = e.SetData("", []byte(value)) // bytes always are data
	return e
}

// The two forms of ros.md section 4.
const (
	kokuForm = `{"Id": 7, "Source_id": 7, "Application_type_id": 0, "Tenant": "org1", "Extra": {"Cluster_id": "c7"}}`
	apiForm  = `{"id": 3, "source_id": 7, "application_type_id": 0, "tenant": "7890123", "created_at": "2026-11-23T06:00:00Z", "extra": {"cluster_id": "c7"}}`
)

// now is how source 7 is, and what was told of it.
func (r records) now() string {
	r.Helper()
	var now string
	err := r.sql.QueryRow(r.Context(), `
		SELECT concat_ws(' ', s.org_id, s.name, s.cluster_id, CASE WHEN s.paused THEN 'paused' END, CASE WHEN s.deleted_at IS NOT NULL THEN 'gone' END,
			'app', a.id, CASE WHEN a.deleted_at IS NOT NULL THEN 'gone' END,
			(SELECT string_agg(event->>'type', ' ' ORDER BY sequence) FROM sources.outbox o WHERE o.source_id = s.id))
		FROM sources.source s LEFT JOIN sources.application a ON a.source_id = s.id WHERE s.id = 7`).Scan(&now)
	if err != nil && err != pgx.ErrNoRows {
		r.Fatal(err)
	}
	return now
}

// TestForeign: records in both forms become what the requests would, twice and late as well.
func TestForeign(t *testing.T) {
	t.Parallel()

	for name, form := range map[string]struct{ value, id string }{"Koku": {kokuForm, "7"}, "sources-api-go": {apiForm, "3"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := setupRecords(t)
			app := " app " + form.id
			told := " source.create application.create"
			for _, step := range []struct {
				kind, value string
				minutes     int
				want, event string
			}{
				{"Application.destroy", form.value, 0, "", ""},
				{"Source.update", form.value, 0, "", ""},
				{"Application.create", form.value, 1, "org1 source 7 c7" + app, ""},
				{"Application.unpause", form.value, 3, "org1 source 7 c7" + app, ""}, // it is so already
				{"Application.pause", form.value, 2, "org1 source 7 c7" + app, ""},   // too late
				{"Application.pause", form.value, 4, "org1 source 7 c7 paused" + app, " source.update"},
				{"Application.unpause", form.value, 5, "org1 source 7 c7" + app, " source.update"},
				{"Application.pause", form.value, 4, "org1 source 7 c7" + app, ""}, // too late
				{"Source.update", `{"id": 7, "name": "prod", "source_ref": "c8"}`, 6, "org1 prod c8" + app, " source.update"},
				{"Application.update", form.value, 7, "org1 prod c7" + app, " application.update"},
				{"Application.destroy", form.value, 8, "org1 prod c7" + app + " gone", " application.delete"},
				{"Application.create", form.value, 7, "org1 prod c7" + app + " gone", ""}, // too late
				{"Application.update", strings.ReplaceAll(form.value, "c7", "c6"), 9, "org1 prod c6" + app + " gone", " source.update"},
				{"Application.create", form.value, 9, "org1 prod c7" + app, " source.update application.create"},
				{"Source.destroy", `{"id": 7}`, 10, "org1 prod c7 gone" + app + " gone", " application.delete source.delete"},
				{"Application.create", form.value, 11, "org1 prod c7 gone" + app + " gone", ""}, // an id is used once
			} {
				told += step.event
				e := record(step.kind, step.value, step.minutes)
				for range 2 {
					r.want(204, r.to, e)
					want := step.want
					if want != "" {
						want += told
					}
					if diff := cmp.Diff(want, r.now()); diff != "" {
						t.Fatalf("after %s of minute %d (-want +got):\n%s", step.kind, step.minutes, diff)
					}
				}
			}
		})
	}
}

// TestForeignProvisioned: what records tell of is provisioned and cleaned up like what the API is asked for.
func TestForeignProvisioned(t *testing.T) {
	t.Parallel()

	for name, value := range map[string]string{"Koku": kokuForm, "sources-api-go": apiForm} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := setupRecords(t)
			rosAddress := storetest.Empty(t)
			if err := rostest.Load(t.Context(), rosAddress); err != nil {
				t.Fatal(err)
			}
			ros := storetest.Pool(t, rosAddress)
			functions := []string{
				r.serve(t, provision.TenantsPath, ros), r.serve(t, provision.ProvidersPath, ros), r.serve(t, "", ros)}
			r.want(204, r.to, record("Application.create", value, 1))
			r.hand(functions)
			if got := r.providers(); got != 1 {
				t.Fatalf("%d providers are made", got)
			}
			if err := rostest.Seed(t.Context(), ros, "org1", 7, "c7", "alias", 2); err != nil {
				t.Fatal(err)
			}
			r.want(204, r.to, record("Application.destroy", value, 2))
			r.hand(functions)
			count, err := rostest.Count(t.Context(), ros, "org1", 7)
			if got := r.providers(); got != 0 || len(count) != 0 || err != nil {
				t.Errorf("%d providers are left, and %v of ROS, %v", got, count, err)
			}
		})
	}
}

// TestForeignSent: what a record has changed is sent at once, as what the API has changed is.
func TestForeignSent(t *testing.T) {
	t.Parallel()

	r := setupRecords(t)
	sent := make(chan string, 2)
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		sent <- request.Header.Get("Ce-Type")
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(sink.Close)
	dispatcher := outbox.New(outbox.Config{Sink: sink.URL}, r.db)
	t.Cleanup(func() {
		if err := dispatcher.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	cfg := config(r.address)
	cfg.PlainRecords, r.wake = true, dispatcher.Wake
	r.want(204, r.start(cfg, r.db), record("Application.create", apiForm, 1))
	for _, want := range []string{"source.create", "application.create"} {
		if got := <-sent; got != want {
			t.Errorf("%s is sent, want %s", got, want)
		}
	}
}

// serve serves a path of the provisioner, or without one ros-cleanup.
func (r records) serve(t *testing.T, path string, ros *pgxpool.Pool) string {
	t.Helper()
	h := cleanup.New(cleanup.Config{}, storetest.Store(t, "ros-cleanup", r.address), ros)
	if path != "" {
		h = provision.New(provision.Config{}, storetest.Store(t, "provisioner", r.address))
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL + path
}

// hand hands all events to the functions.
func (r records) hand(functions []string) {
	r.Helper()
	rows, _ := r.sql.Query(r.Context(), `SELECT event FROM sources.outbox ORDER BY sequence`)
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[json.RawMessage])
	if err != nil {
		r.Fatal(err)
	}
	for _, body := range bodies {
		e := cloudevents.NewEvent()
		if err := json.Unmarshal(body, &e); err != nil {
			r.Fatal(err)
		}
		for _, url := range functions {
			r.want(204, url, e)
		}
	}
}

func (r records) providers() (n int) {
	r.Helper()
	if err := r.sql.QueryRow(r.Context(), `SELECT count(*) FROM public.api_provider WHERE active`).Scan(&n); err != nil {
		r.Fatal(err)
	}
	return n
}

// TestForeignRefused: what is not meant is passed over, what is broken is refused, and nothing of ours is changed.
func TestForeignRefused(t *testing.T) {
	t.Parallel()

	r := setupRecords(t)
	r.exec(`INSERT INTO sources.source (id, org_id, name, source_type, state) VALUES (7, 'org1', 'ours', 'OCP', 'waiting')`)
	r.exec(`INSERT INTO public.api_sources (source_id, name, "offset", source_type, authentication, billing_source, pending_delete,
		pending_update, out_of_order_delete, status, paused, org_id, additional_context, updated_timestamp)
		VALUES (8, 'Koku''s', 1, 'OCP', '{}', '{}', false, false, false, '{}', false, 'org1', '{}', now())`)
	from := func(sourceID string) string {
		return strings.ReplaceAll(apiForm, `"source_id": 7`, `"source_id": `+sourceID)
	}
	without := func(name string) cloudevents.Event {
		e := record("Application.create", `{"id": 3, "source_id": 9, "application_type_id": 0}`, 1)
		e.SetExtension(name, nil)
		return e
	}
	for name, tt := range map[string]struct {
		e      cloudevents.Event
		status int
	}{
		"a source of ours":          {record("Source.destroy", `{"id": 7}`, 1), 204},
		"a source of Koku's":        {record("Application.create", from("8"), 1), 204},
		"another event_type":        {record("Authentication.create", "broken", 1), 204},
		"one of its own":            {func() cloudevents.Event { e := without("x"); e.SetExtension("kafkaheaderceid", "1"); return e }(), 204},
		"another application":       {record("Application.create", strings.ReplaceAll(from("9"), `_type_id": 0`, `_type_id": 2`), 1), 204},
		"no JSON":                   {record("Application.create", "broken", 1), 422},
		"a source id that is text":  {record("Application.create", from(`"9"`), 1), 422},
		"an id that could be ours":  {record("Application.create", from("1000000000"), 1), 422},
		"no application type":       {record("Application.create", `{"id": 3, "source_id": 9}`, 1), 422},
		"no id of the application":  {record("Application.create", `{"source_id": 9, "application_type_id": 0}`, 1), 422},
		"no source id":              {record("Source.destroy", `{}`, 1), 422},
		"no organization":           {without("kafkaheaderxrhidentity"), 422},
		"an organization like none": {record("Application.create", from("9"), 1), 422},
		"a name with a zero byte":   {record("Source.update", `{"id": 9, "name": "a\u0000"}`, 1), 422},
	} {
		if name == "an organization like none" {
			tt.e.SetExtension("kafkaheaderxrhsourcesorgid", "Org-1")
		}
		if got := r.deliver(r.to, tt.e); got != tt.status {
			t.Errorf("%s is answered %d, want %d", name, got, tt.status)
		}
	}
	var left string
	if err := r.sql.QueryRow(t.Context(), `SELECT string_agg(name, ' ') FROM sources.source WHERE deleted_at IS NULL`).Scan(&left); err != nil || left != "ours" {
		t.Errorf("the registry has %q, %v", left, err)
	}
	r.want(204, r.to, record("Application.create", from("9"), 1))
	r.want(422, r.to, record("Application.create", from("10"), 1)) // the same cluster, or the same application
	other := record("Source.destroy", `{"id": 9}`, 5)
	other.SetExtension("kafkaheaderxrhsourcesorgid", "org2")
	r.want(204, r.to, other)
	src, err := r.api.Source(t.Context(), "org1", sources.Ref{ID: 9})
	if err != nil || src.Application.ID != 3 {
		t.Errorf("another organization's record changed it: %+v, %v", src, err)
	}
}

// TestForeignIDs: as long as an id of ours could be one of theirs, none of theirs is taken; after that ours are above.
func TestForeignIDs(t *testing.T) {
	t.Parallel()

	w := setupRecords(t)
	address := storetest.Database(t)
	cfg := config(address)
	cfg.PlainRecords = true
	w.want(503, w.start(cfg, storetest.Store(t, "interop", address)), record("Application.create", apiForm, 1))
	cfg.PlainRecords = false
	w.want(204, w.start(cfg, w.db), record("Application.create", apiForm, 1))
	if now := w.now(); now != "" {
		t.Errorf("without PLAIN_RECORDS there is %s", now)
	}
	src := sources.Source{OrgID: "org1", Name: "ours"}
	w.change(&src, func(s *sources.Source) { s.Attach() })
	if src.ID < store.ForeignIDs || src.Application.ID < store.ForeignIDs {
		t.Errorf("a source of ours is %d with the application %d", src.ID, src.Application.ID)
	}
}
