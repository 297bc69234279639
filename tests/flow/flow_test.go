package flow_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// A world is a process with all that it stands on; each test has organizations of its own in it.
type world struct {
	*process
	db, ros *pgxpool.Pool
	brokers []string
	topic   string
}

func TestFlow(t *testing.T) {
	t.Parallel()

	brokers := kafka.Brokers(t)
	w := world{brokers: brokers, topic: kafka.Topic(t, brokers, "events", 3)}
	w.process = start(t, "DATA_DIR="+t.TempDir(), "KAFKA_BROKERS="+strings.Join(brokers, ","), "SOURCES_EVENT_TOPIC="+w.topic,
		"DATABASE_URL="+storetest.Empty(t), "ROS_DATABASE_URL="+storetest.Empty(t), "PLAIN_RECORDS=true")
	w.db, w.ros = w.pool(t, "database"), w.pool(t, "ROS database")
	for name, test := range map[string]func(*testing.T, world){
		"as written":                   asWritten,
		"a cluster in the first":       clusterFirst,
		"rename, pause, move":          changes,
		"delete":                       deletes,
		"history to the end":           historyToTheEnd,
		"application goes and comes":   applicationGoesAndComes,
		"forgeries":                    forgeries,
		"new organization, 12 at once": newOrganization,
		"one cluster, 12 at once":      oneCluster,
		"events":                       eventsOnTheTopic,
		"dead letter":                  deadLetter,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

// awaitLinked waits until a source says that it has its provider, and returns what it says.
func awaitLinked(t *testing.T, c apitest.Client, id string) (src apitest.Answer) {
	t.Helper()
	await(t, func() string {
		src = c.Want(t, 200, "GET", "/sources/"+id, "")
		if src.Body["provider_linked"] == true && src.Body["availability_status"] == "available" {
			return ""
		}
		return "source " + id + " has no provider: " + src.Text
	})
	return src
}

// found is how report processing finds the source of an upload (contract section 6).
func (w world) found(t *testing.T, org, cluster string) []string {
	t.Helper()
	return query[[]string](t, w.db, `
		SELECT coalesce(array_agg(s.source_id::text ORDER BY s.name), '{}')
		FROM public.api_sources s
		JOIN public.api_provider p ON s.provider_id = p.uuid
		JOIN public.api_providerauthentication a ON p.authentication_id = a.id
		WHERE s.org_id = $1 AND a.credentials = jsonb_build_object('cluster_id', $2::text)`, org, cluster)
}

// asWritten is the flow of the document that the system was commissioned from.
func asWritten(t *testing.T, w world) {
	c := w.client("written1")
	made := c.Want(t, 201, "POST", "/sources/", `{"name": "OCP Test Provider", "source_type_id": "3"}`)
	if made.Body["source_type_id"] != "1" {
		t.Errorf("source_type_id = %v, want 1", made.Body["source_type_id"])
	}
	c.Want(t, 201, "POST", "/applications/", fmt.Sprintf(
		`{"source_id": %q, "application_type_id": "0", "extra": {"bucket": "koku-bucket", "cluster_id": "test-cluster-123"}}`, made.ID()))
	src := awaitLinked(t, c, made.ID())
	if diff := cmp.Diff([]string{made.ID()}, w.found(t, "written1", "test-cluster-123")); diff != "" {
		t.Errorf("report processing finds (-want +got):\n%s", diff)
	}
	got := query[string](t, w.db, `
		SELECT format('%s %s %s', c.account_id, c.schema_name, t.name)
		FROM public.api_customer c
		JOIN public.api_tenant n ON n.schema_name = c.schema_name
		JOIN public.api_provider p ON p.customer_id = c.id
		JOIN orgwritten1.reporting_tenant_api_provider t ON t.uuid = p.uuid
		WHERE c.org_id = 'written1' AND p.uuid = $1`, src.Body["uuid"])
	if want := "account-written1 orgwritten1 OCP Test Provider"; got != want {
		t.Errorf("customer, schema and copy of the provider: %s, want %s", got, want)
	}
	if tables := query[int](t, w.db, `SELECT count(*) FROM pg_tables WHERE schemaname = 'orgwritten1' AND tablename LIKE 'reporting_%'`); tables < 10 {
		t.Errorf("the tenant has %d tables of reports", tables)
	}
}

// clusterFirst: the source alone is enough, and the second request does no harm.
func clusterFirst(t *testing.T, w world) {
	c := w.client("first1")
	for i, second := range []bool{false, true} {
		cluster := fmt.Sprintf("cluster-%d", i)
		made := c.Want(t, 201, "POST", "/sources", fmt.Sprintf(`{"name": "s", "source_type_id": 1, "source_ref": %q}`, cluster))
		if second {
			c.Want(t, 201, "POST", "/applications", fmt.Sprintf(`{"source_id": %q, "extra": {"cluster_id": %q, "bucket": "b"}}`, made.ID(), cluster))
		}
		awaitLinked(t, c, made.ID())
		if diff := cmp.Diff([]string{made.ID()}, w.found(t, "first1", cluster)); diff != "" {
			t.Errorf("report processing finds (-want +got):\n%s", diff)
		}
		apps := c.Want(t, 200, "GET", "/applications?source_id="+made.ID(), "")
		if count := apps.Body["meta"].(map[string]any)["count"]; count != 1.0 {
			t.Errorf("the source has %v applications, want one", count)
		}
	}
}

func changes(t *testing.T, w world) {
	c := w.client("changes1")
	id := c.Want(t, 201, "POST", "/sources", `{"name": "s", "source_type_id": 1, "source_ref": "c1"}`).ID()
	awaitLinked(t, c, id)
	got := c.Want(t, 200, "PATCH", "/sources/"+id, `{"name": "renamed", "paused": true, "source_ref": "c2"}`)
	if got.Body["availability_status"] != "paused" || got.Body["active"] != false {
		t.Errorf("a pause does not show at once: %s", got.Text)
	}
	await(t, func() string {
		if len(w.found(t, "changes1", "c2")) == 1 && len(w.found(t, "changes1", "c1")) == 0 {
			return ""
		}
		return "the provider has the cluster that its source had"
	})
	provider := query[string](t, w.db, `
		SELECT p.name || ' ' || p.paused FROM public.api_provider p JOIN public.api_customer c ON c.id = p.customer_id WHERE c.org_id = 'changes1'`)
	if provider != "renamed true" {
		t.Errorf("the provider is %q", provider)
	}
}

func deletes(t *testing.T, w world) {
	c, other := w.client("deletes1"), w.client("deletes2")
	src := c.Want(t, 201, "POST", "/sources", `{"name": "s", "source_type_id": 1, "source_ref": "c"}`)
	stays := c.Want(t, 201, "POST", "/sources", `{"name": "stays", "source_type_id": 1, "source_ref": "d"}`)
	foreign := other.Want(t, 201, "POST", "/sources", `{"name": "s", "source_type_id": 1, "source_ref": "e"}`)
	for _, s := range []struct {
		c  apitest.Client
		id string
	}{{c, src.ID()}, {c, stays.ID()}, {other, foreign.ID()}} {
		awaitLinked(t, s.c, s.id)
	}
	id := number(t, src.ID())
	for _, s := range []struct {
		org, cluster, alias string
		id                  int64
	}{{"deletes1", "c", "s", id}, {"deletes1", "c", "an older name", id}, {"deletes1", "d", "stays", number(t, stays.ID())}, {"deletes2", "e", "s", id}} {
		if err := rostest.Seed(t.Context(), w.ros, s.org, s.id, s.cluster, s.alias, 5); err != nil {
			t.Fatal(err)
		}
	}
	experiments, err := rostest.Experiments(t.Context(), w.ros, "deletes1", id)
	if err != nil {
		t.Fatal(err)
	}

	c.Want(t, 204, "DELETE", "/sources/"+src.ID(), "")
	c.Want(t, 404, "GET", "/sources/"+src.ID(), "")
	c.Want(t, 404, "DELETE", "/sources/"+src.ID(), "")
	await(t, func() string { return w.left(t, "deletes1", id, src.Body["uuid"].(string)) })
	await(t, func() string {
		if query[bool](t, w.db, `SELECT ros_cleaned_at IS NOT NULL FROM sources.source WHERE id = $1`, id) {
			return ""
		}
		return "ROS is not cleaned up"
	})

	forgotten := slices.Sorted(slices.Values(fetch[[]string](t, w.root()+"/kruize/deleted")))
	forgotten = slices.Compact(forgotten) // the two events of the delete may have asked at once
	forgotten = slices.DeleteFunc(forgotten, func(name string) bool { return !strings.HasPrefix(name, "deletes") })
	if diff := cmp.Diff(experiments, forgotten); diff != "" {
		t.Errorf("Kruize was asked to forget (-want +got):\n%s", diff)
	}
	for org, id := range map[string]int64{"deletes1": number(t, stays.ID()), "deletes2": id} {
		kept, err := rostest.Count(t.Context(), w.ros, org, id)
		if err != nil || kept["workloads"] != 5 || len(kept) != 7 {
			t.Errorf("ROS has kept %v of source %d of %s, %v; want all", kept, id, org, err)
		}
	}
	awaitLinked(t, other, foreign.ID())
}

// left says what there is still of a source, in Koku's tables and in those of ROS.
func (w world) left(t *testing.T, org string, id int64, uuid string) string {
	t.Helper()
	rows := query[string](t, w.db, `
		SELECT concat_ws(', ',
			(SELECT 'provider' FROM public.api_provider WHERE uuid = $1),
			(SELECT 'copy of the provider' FROM org`+org+`.reporting_tenant_api_provider WHERE uuid = $1),
			(SELECT 'authentication' FROM public.api_providerauthentication a WHERE credentials = '{"cluster_id": "c"}'
				AND NOT EXISTS (SELECT FROM public.api_provider p WHERE p.authentication_id = a.id)),
			(SELECT 'source' FROM public.api_sources WHERE source_uuid = $1))`, uuid)
	inROS, err := rostest.Count(t.Context(), w.ros, org, id)
	if err != nil {
		t.Fatal(err)
	}
	if rows == "" && len(inROS) == 0 {
		return ""
	}
	return fmt.Sprintf("left are %s, and in ROS %v", rows, inROS)
}

func applicationGoesAndComes(t *testing.T, w world) {
	c := w.client("again1")
	id := c.Want(t, 201, "POST", "/sources", `{"name": "s", "source_type_id": 1, "source_ref": "c"}`).ID()
	awaitLinked(t, c, id)
	for range 3 {
		app := c.Want(t, 200, "GET", "/applications?source_id="+id, "").Body["data"].([]any)[0].(map[string]any)["id"]
		c.Want(t, 204, "DELETE", fmt.Sprint("/applications/", app), "")
		c.Want(t, 201, "POST", "/applications", fmt.Sprintf(`{"source_id": %q}`, id))
	}
	awaitLinked(t, c, id)
	if diff := cmp.Diff([]string{id}, w.found(t, "again1", "c")); diff != "" {
		t.Errorf("report processing finds (-want +got):\n%s", diff)
	}
}

// forgeries: what is posted straight to the functions, or written to the topic by somebody else, changes
// nothing about a living source.
func forgeries(t *testing.T, w world) {
	c := w.client("forged1")
	src := c.Want(t, 201, "POST", "/sources", `{"name": "s", "source_type_id": 1, "source_ref": "c"}`)
	id := number(t, src.ID())
	before := awaitLinked(t, c, src.ID())
	if err := rostest.Seed(t.Context(), w.ros, "forged1", id, "c", "s", 3); err != nil {
		t.Fatal(err)
	}
	kept, err := rostest.Count(t.Context(), w.ros, "forged1", id)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"source.delete", "application.delete"} {
		for _, function := range []string{"/functions/provisioner", "/functions/ros-cleanup"} {
			e := cloudevents.NewEvent()
			e.SetID("forged")
			e.SetSource("/api/cost-management/v1/sources")
			e.SetType(kind)
			_ = e.SetData(cloudevents.ApplicationJSON, map[string]any{"id": id, "source_id": id, "org_id": "forged1", "application_type_id": 0})
			w.post(t, function, e)
		}
	}
	plain := cloudevents.NewEvent()
	plain.SetID("partition:0/offset:0")
	plain.SetSource("/apis/v1/namespaces/dev/kafkasources/ros-cleanup#" + w.topic)
	plain.SetType("dev.knative.kafka.event")
	plain.SetTime(time.Now())
	plain.SetExtension("kafkaheadereventtype", "Application.destroy")
	plain.SetExtension("kafkaheaderxrhsourcesorgid", "forged1")
	_ = plain.SetData(cloudevents.ApplicationJSON, map[string]any{"id": id, "source_id": id, "application_type_id": 0, "tenant": "forged1"})
	w.post(t, "/functions/ros-cleanup", plain)

	if after := c.Want(t, 200, "GET", "/sources/"+src.ID(), ""); !cmp.Equal(before.Body, after.Body) {
		t.Errorf("forged events changed the source:\n%s", cmp.Diff(before.Body, after.Body))
	}
	now, err := rostest.Count(t.Context(), w.ros, "forged1", id)
	if diff := cmp.Diff(kept, now); diff != "" || err != nil {
		t.Errorf("forged events changed ROS (%v):\n%s", err, diff)
	}
}

// post hands an event to a function, which has to be done with it.
func (w world) post(t *testing.T, path string, e cloudevents.Event) {
	t.Helper()
	request, err := cehttp.NewHTTPRequestFromEvent(t.Context(), w.root()+path, e)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Errorf("%s answers %s with %d, want 204", path, e.Type(), response.StatusCode)
	}
}

// twelve posts twelve bodies at once and returns the answers.
func twelve(t *testing.T, c apitest.Client, body func(i int) string) []apitest.Answer {
	t.Helper()
	answers := make([]apitest.Answer, 12)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			var err error
			if answers[i], err = c.Try(t, "POST", "/sources/", body(i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	return answers
}

func newOrganization(t *testing.T, w world) {
	c := w.client("brandnew1")
	answers := twelve(t, c, func(i int) string {
		return fmt.Sprintf(`{"name": "s%d", "source_type_id": "1", "source_ref": "c%d"}`, i, i)
	})
	for _, answer := range answers {
		if answer.Status != 201 {
			t.Fatalf("POST = %d %s, want 201", answer.Status, answer.Text)
		}
		awaitLinked(t, c, answer.ID())
	}
	made := query[string](t, w.db, `
		SELECT format('%s customer, %s tenant, %s providers',
			(SELECT count(*) FROM public.api_customer WHERE org_id = 'brandnew1'),
			(SELECT count(*) FROM public.api_tenant WHERE schema_name = 'orgbrandnew1'),
			(SELECT count(*) FROM orgbrandnew1.reporting_tenant_api_provider))`)
	if want := "1 customer, 1 tenant, 12 providers"; made != want {
		t.Errorf("there are %s, want %s", made, want)
	}
}

func oneCluster(t *testing.T, w world) {
	c := w.client("single1")
	var made []string
	for _, answer := range twelve(t, c, func(int) string { return `{"name": "s", "source_type_id": "1", "source_ref": "c"}` }) {
		switch {
		case answer.Status == 201:
			made = append(made, answer.ID())
		case answer.Problem() != "400 source.duplicate: "+sources.Duplicate:
			t.Errorf("POST = %s", answer.Problem())
		}
	}
	if len(made) != 1 {
		t.Fatalf("12 sources of one cluster at once made %v, want one", made)
	}
	awaitLinked(t, c, made[0])
}

// eventsOnTheTopic: what has happened to a source stands in its partition, in order, as contract
// section 4 says.
func eventsOnTheTopic(t *testing.T, w world) {
	c := w.client("events1")
	id := c.Want(t, 201, "POST", "/sources", `{"name": "s", "source_type_id": 1}`).ID()
	app := c.Want(t, 201, "POST", "/applications", fmt.Sprintf(`{"source_id": %s, "extra": {"cluster_id": "c", "bucket": "b", "secret": "x"}}`, id)).ID()
	c.Want(t, 201, "POST", "/applications", fmt.Sprintf(`{"source_id": %s}`, id))
	c.Want(t, 200, "PATCH", "/sources/"+id, `{}`)
	c.Want(t, 200, "PATCH", "/applications/"+app, `{"extra": {"bucket": "other"}}`)
	c.Want(t, 204, "DELETE", "/sources/"+id, "")
	want := []string{
		"1 source.create null {}",
		`2 source.update 0 {"cluster_id":"c","bucket":"b"}`,
		`3 application.create 0 {"cluster_id":"c","bucket":"b"}`,
		`4 application.update 0 {"cluster_id":"c","bucket":"b"}`,
		`5 source.update 0 {"cluster_id":"c","bucket":"b"}`,
		`6 application.update 0 {"cluster_id":"c","bucket":"other"}`,
		`7 application.delete 0 {"cluster_id":"c","bucket":"other"}`,
		`8 source.delete 0 {"cluster_id":"c","bucket":"other"}`,
	}
	records := w.read(t, w.topic, len(want), func(m *sarama.ConsumerMessage) bool { return string(m.Key) == id })
	var got []string
	for _, m := range records {
		h := headers(m)
		_, data, _ := bytes.Cut(m.Value, []byte(`"application_type_id":`))
		kind, _, _ := bytes.Cut(data, []byte(","))
		_, extra, _ := bytes.Cut(data, []byte(`"extra":`))
		got = append(got, fmt.Sprintf("%s %s %s %s", h["ce_sequence"], h["ce_type"], kind, bytes.TrimSuffix(extra, []byte("}"))))
		if h["ce_subject"] != "sources/"+id || h["ce_partitionkey"] != id || h["ce_orgid"] != "events1" || m.Partition != records[0].Partition {
			t.Errorf("record %d/%d has the headers %v", m.Partition, m.Offset, h)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events of source %s (-want +got):\n%s", id, diff)
	}
}

// deadLetter: an event that no function can read ends where a person finds it, with the reason.
func deadLetter(t *testing.T, w world) {
	err := kafka.Write(w.brokers, &sarama.ProducerMessage{Topic: w.topic, Value: sarama.StringEncoder("no JSON"), Headers: kafka.Headers(
		"ce_specversion", "1.0", "ce_id", "unreadable", "ce_source", "test", "ce_type", "source.delete", "content-type", "application/json")})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range w.read(t, w.topic+".dead", 2, func(m *sarama.ConsumerMessage) bool { return headers(m)["ce_id"] == "unreadable" }) {
		if h := headers(m); h["ce_knativeerrorcode"] != "422" || string(m.Value) != "no JSON" {
			t.Errorf("the dead letter is %s with %v", m.Value, h)
		}
	}
}

func headers(m *sarama.ConsumerMessage) map[string]string {
	h := map[string]string{}
	for _, header := range m.Headers {
		h[string(header.Key)] = string(header.Value)
	}
	return h
}

// read waits for n records of a topic that keep is true for, first sendings only, in order of their
// partition.
func (w world) read(t *testing.T, topic string, n int, keep func(*sarama.ConsumerMessage) bool) []*sarama.ConsumerMessage {
	t.Helper()
	consumer, err := sarama.NewConsumer(w.brokers, nil)
	if err != nil {
		t.Fatal(err)
	}
	partitions, err := consumer.Partitions(topic)
	if err != nil {
		t.Fatal(err)
	}
	found := make(chan *sarama.ConsumerMessage)
	done := make(chan struct{})
	var reading sync.WaitGroup
	for _, id := range partitions {
		partition, err := consumer.ConsumePartition(topic, id, sarama.OffsetOldest)
		if err != nil {
			t.Fatal(err)
		}
		reading.Go(func() {
			defer partition.AsyncClose()
			for {
				select {
				case m := <-partition.Messages():
					if !keep(m) {
						continue
					}
					select {
					case found <- m:
					case <-done:
						return
					}
				case <-done:
					return
				}
			}
		})
	}
	var records []*sarama.ConsumerMessage
	for len(records) < n {
		m := <-found
		records = append(records, m)
	}
	close(done)
	reading.Wait()
	if err := consumer.Close(); err != nil {
		t.Error(err)
	}
	return records
}
