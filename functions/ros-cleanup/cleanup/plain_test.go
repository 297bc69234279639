package cleanup_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup"
)

// plain is what the KafkaSource makes of a plain record that was written in an hour from now: after
// everything that a test has seeded. An empty header is left out.
func plain(t *testing.T, body string, headers map[string]string) *http.Request {
	t.Helper()
	all := map[string]string{
		"Ce-Type":                 "dev.knative.kafka.event",
		"Ce-Source":               "/apis/v1/namespaces/cost/kafkasources/ros#platform.sources.event-stream",
		"Ce-Subject":              "partition:0#5",
		"Ce-Time":                 time.Now().Add(time.Hour).Format(time.RFC3339Nano),
		"Ce-Kafkaheadereventtype": "Application.destroy",
		"Content-Type":            "",
	}
	for name, value := range headers {
		all[name] = value
	}
	return request(t, all, body)
}

func encode(json string) string { return base64.StdEncoding.EncodeToString([]byte(json)) }

const (
	orgHeader      = "Ce-Kafkaheaderxrhsourcesorgid"
	identityHeader = "Ce-Kafkaheaderxrhidentity"
)

// deletion is a record whose source id is left open.
const deletion = `{"source_id": %d, "application_type_id": 0, "tenant": "org1"}`

type headers = map[string]string

// A plainRecord is one that may mean the source that is seeded, which is of the organization org1.
type plainRecord struct {
	name    string
	body    string // with a place for the source id
	headers headers
}

func recordsThatRemove() []plainRecord {
	const ofAccount = `{"source_id": %d, "application_type_id": 0, "tenant": "12345"}`
	return []plainRecord{
		{"Koku's form", `{"Id": 1, "Source_id": %d, "Application_type_id": 0, "Tenant": "org1"}`, nil},
		{"the form of sources-api-go",
			`{"id": 3, "source_id": %d, "application_type_id": 0, "tenant": "12345", "created_at": "x"}`, headers{orgHeader: "org1"}},
		{"organization from the identity", ofAccount,
			headers{identityHeader: encode(`{"identity": {"org_id": "org1", "account_number": "12345"}}`)}},
		{"header before identity", ofAccount,
			headers{orgHeader: "org1", identityHeader: encode(`{"identity": {"org_id": "org2"}}`)}},
		{"identity before tenant", `{"source_id": %d, "application_type_id": 0, "tenant": "org2"}`,
			headers{identityHeader: encode(`{"identity": {"org_id": "org1"}}`)}},
		{"no tenant", `{"source_id": %d, "application_type_id": 0}`, headers{orgHeader: "org1"}},
		{"tenant null", `{"source_id": %d, "application_type_id": 0, "tenant": null}`, headers{orgHeader: "org1"}},
		{"identity without organization", deletion, headers{identityHeader: encode(`{"identity": {"account_number": "12345"}}`)}},
		{"identity is no base64", deletion, headers{identityHeader: "?"}},
		{"identity is no JSON", deletion, headers{identityHeader: encode("org1")}},
		{"latest time", deletion, headers{"Ce-Time": "9999-12-31T23:59:59-23:59"}},
	}
}

func recordsThatAreNotForUs() []plainRecord {
	return []plainRecord{
		{"other event type", deletion, headers{"Ce-Kafkaheadereventtype": "Application.create"}},
		{"event type in another case", deletion, headers{"Ce-Kafkaheadereventtype": "application.destroy"}},
		{"no event type", deletion, headers{"Ce-Kafkaheadereventtype": ""}},
		{"other event type, no JSON", `%d?`, headers{"Ce-Kafkaheadereventtype": "Source.update"}},
		{"other application type", `{"source_id": %d, "application_type_id": 2, "tenant": "org1"}`, nil},
		{"other organization", deletion, headers{orgHeader: "org3"}},
		{"other source", `{"source_id": 1%d, "application_type_id": 0, "tenant": "org1"}`, nil},
		{"negative source", `{"source_id": -%d, "application_type_id": 0, "tenant": "org1"}`, nil},
		{"source beyond 32 bits", `{"source_id": 9000000000000%d, "application_type_id": 0, "tenant": "org1"}`, nil},
		{"earliest time", deletion, headers{"Ce-Time": "0000-01-01T00:00:00+23:59"}},
	}
}

func recordsThatAreRefused() []plainRecord {
	return []plainRecord{
		{"no organization", `{"source_id": %d, "application_type_id": 0}`, nil},
		{"empty organization", `{"source_id": %d, "application_type_id": 0, "tenant": ""}`, nil},
		{"organization is a number", `{"source_id": %d, "application_type_id": 0, "tenant": 1}`, nil},
		{"organization that is no text", `{"source_id": %d, "application_type_id": 0, "tenant": "org1\u0000"}`, nil},
		{"organization that is not UTF-8", deletion, headers{orgHeader: "org1\xff"}},
		{"no application type", `{"source_id": %d, "tenant": "org1"}`, nil},
		{"application type null", `{"source_id": %d, "application_type_id": null, "tenant": "org1"}`, nil},
		{"application type as text", `{"source_id": %d, "application_type_id": "0", "tenant": "org1"}`, nil},
		{"source as text", `{"source_id": "%d", "application_type_id": 0, "tenant": "org1"}`, nil},
		{"source with a fraction", `{"source_id": %d.0, "application_type_id": 0, "tenant": "org1"}`, nil},
		{"source null", `{"id": %d, "source_id": null, "application_type_id": 0, "tenant": "org1"}`, nil},
		{"no source", `{"id": %d, "application_type_id": 0, "tenant": "org1"}`, nil},
		{"source beyond 64 bits", `{"source_id": 9000000000000000000000%d, "application_type_id": 0, "tenant": "org1"}`, nil},
		{"no JSON", `source %d`, nil},
		{"a list", `[%d]`, nil},
		{"no time", deletion, headers{"Ce-Time": ""}},
	}
}

func TestPlainRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	groups := []struct {
		name    string
		records []plainRecord
		want    int
		left    map[string]int
	}{
		{"remove", recordsThatRemove(), http.StatusNoContent, counts(0, 0)},
		{"not for us", recordsThatAreNotForUs(), http.StatusNoContent, counts(1, 2)},
		{"refused", recordsThatAreRefused(), http.StatusUnprocessableEntity, counts(1, 2)},
	}
	for g, group := range groups {
		for i, tt := range group.records {
			t.Run(group.name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				id := int64(7000 + 100*g + i)
				w.seed(t, "org1", id, "uuid-1", "prod", 2)
				w.seed(t, "org2", id, "uuid-1", "prod", 1)
				wantStatus(t, url, plain(t, fmt.Sprintf(tt.body, id), tt.headers), group.want)
				w.wantCount(t, "org1", id, group.left)
				w.wantCount(t, "org2", id, counts(1, 1))
			})
		}
	}
}

func TestPlainRecordWithoutValue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wantStatus(t, w.serve(t), plain(t, "", nil), http.StatusUnprocessableEntity)
}

func TestPlainRecordsAreOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t, func(cfg *cleanup.Config) { cfg.PlainRecords = false })
	w.seed(t, "org1", 7000, "uuid-1", "prod", 1)
	wantStatus(t, url, plain(t, fmt.Sprintf(deletion, 7000), nil), http.StatusNoContent)
	wantStatus(t, url, plain(t, "?", nil), http.StatusNoContent)
	w.wantCount(t, "org1", 7000, counts(1, 1))
	w.kruize.wantAsked(t, nil)
}

func TestPlainRecordOfAKnownSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	living, gone := w.source(t, "org1"), w.source(t, "org1")
	w.deleteSource(t, gone)
	const kokus = 7000
	w.execRegistry(t, `
		INSERT INTO public.api_sources (source_id, "offset", source_type, authentication, pending_delete, pending_update,
			out_of_order_delete, paused, org_id, updated_timestamp)
		VALUES ($1, 1, 'OCP', '{}', false, false, false, false, 'org9', now())`, kokus)
	for _, id := range []int64{living.ID, gone.ID, kokus} {
		w.seed(t, "org1", id, "uuid-1", "prod", 1)
		wantStatus(t, url, plain(t, fmt.Sprintf(deletion, id), nil), http.StatusNoContent)
		w.wantCount(t, "org1", id, counts(1, 1))
	}
	w.kruize.wantAsked(t, nil)
}

func TestPlainRecordLeavesWhatReportedLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed(t, "org1", 7000, "uuid-1", "old name", 3)
	w.seed(t, "org1", 7000, "uuid-1", "new name", 2)
	w.seed(t, "org1", 7000, "uuid-2", "silent", 1)
	at := time.Now().UTC().Truncate(time.Microsecond)
	w.exec(t, `
		UPDATE clusters SET last_reported_at = CASE cluster_alias
			WHEN 'old name' THEN $1::timestamptz WHEN 'new name' THEN $1::timestamptz + interval '1 microsecond' END`, at)
	url := w.serve(t)
	event := func() *http.Request {
		return plain(t, fmt.Sprintf(deletion, 7000), map[string]string{"Ce-Time": at.Format(time.RFC3339Nano)})
	}

	wantStatus(t, url, event(), http.StatusNoContent)
	w.wantCount(t, "org1", 7000, counts(1, 2))
	w.kruize.wantAsked(t, []string{"org1|7000|uuid-1|shop|deployment|app-3", "org1|7000|uuid-2|shop|deployment|app-1"})

	wantStatus(t, url, event(), http.StatusNoContent) // there are only newer ones
	w.wantCount(t, "org1", 7000, counts(1, 2))
	w.kruize.wantAsked(t, nil)
}

func TestPlainRecordLeavesWhatReportsMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.seed(t, "org1", 7000, "uuid-1", "prod", 1)
	w.seed(t, "org1", 7000, "uuid-2", "prod", 1)
	w.kruize.answers(func(answer http.ResponseWriter, _ *http.Request, _ string) {
		w.exec(t, `UPDATE clusters SET last_reported_at = now() + interval '1 day' WHERE cluster_uuid = 'uuid-2'`)
		answer.WriteHeader(http.StatusCreated)
	})
	wantStatus(t, w.serve(t), plain(t, fmt.Sprintf(deletion, 7000), nil), http.StatusNoContent)
	w.wantCount(t, "org1", 7000, counts(1, 1))
}

func TestPlainRecordOfASourceThatAppearsMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.execRegistry(t, `ALTER SEQUENCE sources.source_id_seq RESTART 7000`)
	w.seed(t, "org1", 7000, "uuid-1", "prod", 1)
	w.kruize.answers(func(answer http.ResponseWriter, _ *http.Request, _ string) {
		w.source(t, "org1")
		answer.WriteHeader(http.StatusCreated)
	})
	wantStatus(t, w.serve(t), plain(t, fmt.Sprintf(deletion, 7000), nil), http.StatusNoContent)
	w.wantCount(t, "org1", 7000, counts(1, 1))
}

func TestPlainRecordAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	w.seed(t, "org1", 7000, "uuid-1", "prod", 2)
	w.kruize.answers(func(answer http.ResponseWriter, _ *http.Request, _ string) {
		answer.WriteHeader(http.StatusInternalServerError)
	})
	wantStatus(t, url, plain(t, fmt.Sprintf(deletion, 7000), nil), http.StatusServiceUnavailable)
	w.wantCount(t, "org1", 7000, counts(1, 2))
	w.kruize.answers(nil)
	for range 2 {
		wantStatus(t, url, plain(t, fmt.Sprintf(deletion, 7000), nil), http.StatusNoContent)
		w.wantGone(t, "org1", 7000)
	}
}

func TestPlainRecordManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	urls := []string{w.serve(t), w.serve(t)}
	w.seed(t, "org1", 7000, "uuid-1", "prod", 3)
	w.seed(t, "org1", 7000, "uuid-2", "prod", 3)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			wantStatus(t, urls[i%2], plain(t, fmt.Sprintf(deletion, 7000), nil), http.StatusNoContent)
		})
	}
	wg.Wait()
	w.wantGone(t, "org1", 7000)
}
