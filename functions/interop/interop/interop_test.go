package interop_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/functions/interop/interop"
	"github.com/insights-onprem/cost-sources/shared/kafkaevents"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// TestRecords: what a source goes through, as the consumers of plain records read it.
func TestRecords(t *testing.T) {
	t.Parallel()

	w := setup(t)
	src, all := w.life("prod")
	w.want(204, w.url[0], all...)
	w.wantRecords(src, all...)
	var told []string
	for i, record := range w.records() {
		told = append(told, headersOf(record)["event_type"]...)
		if string(record.Key) != "org1" {
			t.Errorf("the key of record %d is %q", i, record.Key)
		}
		checkValue(t, src, record)
		checkHeaders(t, record)
		if e, err := kafkaevents.Read(record); err != nil || e.ID() != all[i].ID() || e.Type() != all[i].Type() {
			t.Errorf("record %d is no CloudEvent of ours: %v, %v", i, e, err)
		}
	}
	want := []string{"Source.create", "Application.create", "Source.update", "Application.pause", "Application.unpause", "Application.update",
		"Source.update", "Application.destroy", "Source.destroy"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("event_type (-want +got):\n%s", diff)
	}
}

// checkValue reads a record as the housekeeper does, which rejects what is of another type.
func checkValue(t *testing.T, src sources.Source, record *sarama.ConsumerMessage) {
	t.Helper()
	var strict map[string]json.RawMessage
	if err := json.Unmarshal(record.Value, &strict); err != nil {
		t.Fatalf("%s: %v", record.Value, err)
	}
	var id int64
	var tenant string
	for name, into := range map[string]any{"id": &id, "tenant": &tenant} {
		if err := json.Unmarshal(strict[name], into); err != nil {
			t.Errorf("%s in %s: %v", name, record.Value, err)
		}
	}
	if string(strict["source_id"]) != "1" || src.ID != 1 || string(strict["application_type_id"]) != "0" || tenant != "org1" {
		t.Errorf("the value is %s", record.Value)
	}
}

// checkHeaders: all of them are there, each once.
func checkHeaders(t *testing.T, record *sarama.ConsumerMessage) {
	t.Helper()
	headers := headersOf(record)
	for name, values := range headers {
		if len(values) != 1 {
			t.Errorf("the header %s is there %d times", name, len(values))
		}
	}
	for name, want := range map[string]string{"encoding": "json", "x-rh-sources-org-id": "org1", "x-rh-sources-account-number": "7890123"} {
		if diff := cmp.Diff([]string{want}, headers[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(headers["x-rh-identity"], ""))
	const want = `{"entitlements":{"cost_management":{"is_entitled":true}},"identity":{"account_number":"7890123","internal":{"org_id":"org1"},` +
		`"org_id":"org1","service_account":{"client_id":"cost-sources","username":"cost-sources"},"type":"ServiceAccount"}}`
	if err != nil || string(raw) != want {
		t.Errorf("the identity is %s, %v", raw, err)
	}
}

// TestDisorder: twice, in any order, at several processes at once: one record for each event, in order.
func TestDisorder(t *testing.T) {
	t.Parallel()

	w := setup(t)
	lives := map[*sources.Source][]cloudevents.Event{}
	var all []cloudevents.Event
	for _, name := range []string{"a", "b", "c", "d"} {
		src, own := w.life(name)
		lives[&src] = own
		all = append(all, append(own, own...)...)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var group sync.WaitGroup
	limit := make(chan struct{}, 8)
	for i, e := range all {
		limit <- struct{}{}
		group.Go(func() {
			defer func() { <-limit }()
			if status, err := deliver(t.Context(), w.url[i%2], e); err != nil || status != 204 {
				t.Errorf("%s is answered %d, %v", e.Type(), status, err)
			}
		})
	}
	group.Wait()
	for src, own := range lives {
		w.wantRecords(*src, own...)
	}
	w.wantNothingLeft()
}

// wantNothingLeft: no event waits, and no lease is held.
func (w world) wantNothingLeft() {
	w.Helper()
	var left int
	err := w.sql.QueryRow(w.Context(), `SELECT (SELECT count(*) FROM sources.plain_event) + (SELECT count(*) FROM sources.plain_source WHERE until IS NOT NULL)`).Scan(&left)
	if err != nil || left != 0 {
		w.Errorf("%d events or leases are left, %v", left, err)
	}
}

// TestKilled: whoever takes over from a writer that died finds out what it had done.
func TestKilled(t *testing.T) {
	t.Parallel()

	const owner = "00000000-0000-4000-8000-000000000001"
	for _, tt := range []struct {
		name            string
		placed, written bool
	}{
		{"before it had a place", false, false},
		{"before the record", true, false},
		{"after the record", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			src, all := w.life("prod")
			w.want(204, w.url[0], all[0])
			records := w.records()
			body, err := json.Marshal(all[1])
			if err != nil {
				t.Fatal(err)
			}
			if err := w.db.KeepPlain(t.Context(), src.ID, 2, 0, body); err != nil {
				t.Fatal(err)
			}
			taken, next, err := w.db.LeasePlain(t.Context(), src.ID, owner)
			if err != nil || !taken || next.Sequence != 2 {
				t.Fatalf("LeasePlain = %v, %+v, %v", taken, next, err)
			}
			if tt.placed {
				next.Partition, next.Offset = records[0].Partition, records[0].Offset+1
				if held, err := w.db.SendingPlain(t.Context(), src.ID, owner, *next); err != nil || !held {
					t.Fatalf("SendingPlain = %v, %v", held, err)
				}
			}
			if tt.written {
				w.write(records[0].Partition, "somebody else's", "another event")
				w.write(records[0].Partition, all[1].ID(), all[1].Subject())
			}
			done := make(chan int)
			go func() {
				status, _ := deliver(t.Context(), w.url[1], all[1]) // 0, where it has an error
				done <- status
			}()
			if taken, _, err := w.db.LeasePlain(t.Context(), src.ID, owner); err != nil || taken {
				t.Errorf("a lease that is held is taken, %v", err)
			}
			w.exec(`UPDATE sources.plain_source SET until = clock_timestamp()`)
			if status := <-done; status != 204 {
				t.Errorf("the event is answered %d", status)
			}
			w.wantRecords(src, all[:2]...)
			w.want(204, w.url[0], all...)
			w.wantRecords(src, all...)
			w.wantNothingLeft()
		})
	}
}

// write writes what looks like the record of an event.
func (w world) write(partition int32, id, subject string) {
	w.Helper()
	err := kafka.Write(w.cfg.Brokers, &sarama.ProducerMessage{Topic: w.cfg.LegacyTopic, Partition: partition, Value: sarama.StringEncoder("{}"),
		Headers: kafka.Headers("ce_id", id, "ce_subject", subject)})
	if err != nil {
		w.Fatal(err)
	}
}

// TestGap: an event waits for those before it, and not for ever.
func TestGap(t *testing.T) {
	t.Parallel()

	w := setup(t)
	src, all := w.life("prod")
	w.want(204, w.url[0], all[1], all[2])
	if n := len(w.records()); n != 0 {
		t.Errorf("%d records are written before the first", n)
	}
	w.want(204, w.url[1], all[0])
	w.wantRecords(src, all[:3]...)

	other, others := w.life("other")
	w.want(204, w.url[0], all[5], all[7])
	w.exec(`UPDATE sources.plain_event SET kept_at = now() - interval '169 hours' WHERE sequence = 6`)
	w.want(204, w.url[0], others[0]) // any event
	w.wantRecords(src, all[0], all[1], all[2], all[5])
	w.wantRecords(other, others[0])
	w.want(204, w.url[0], all[3], all[6]) // too late, and in time
	w.wantRecords(src, all[0], all[1], all[2], all[5], all[6], all[7])
}

// TestLateSend: who comes to write when the lease may end before that is done, as other records of the same process took
// their time, does not write any more.
func TestLateSend(t *testing.T) {
	t.Parallel()

	w := setup(t)
	topic := interop.NewTopic(w.cfg)
	defer topic.Close()
	before := time.Now().Add(100 * time.Millisecond)
	held, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- topic.Hold(func() {
			close(held)
			<-time.After(time.Until(before))
		})
	}()
	<-held
	if err := topic.Send("late", before); sources.KindOf(err) != sources.Unavailable {
		t.Errorf("Send() = %v, want it Unavailable", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := topic.Send("in time", time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
	if n := len(w.records()); n != 1 {
		t.Errorf("%d records are written, want the one that was in time", n)
	}
}

// TestGapGivenUp: whoever has given up to wait may fail before it has written what waited. Nobody's delivery comes again
// for that, so any other event goes on with it.
func TestGapGivenUp(t *testing.T) {
	t.Parallel()

	w := setup(t)
	src, all := w.life("prod")
	other, others := w.life("other")
	w.want(204, w.url[0], others[0])
	w.want(204, w.url[0], all[5], all[6])
	w.exec(`UPDATE sources.plain_event SET kept_at = now() - interval '169 hours'`)
	cfg := w.cfg
	cfg.LegacyTopic = "nobody-made-it"
	w.want(204, w.start(cfg, w.db), others[0]) // its own record is there, and others' are not its affair
	if n := len(w.records()); n != 1 {
		t.Errorf("%d records are written, want 1", n)
	}
	w.want(204, w.url[0], others[1])
	w.wantRecords(src, all[5], all[6])
	w.wantRecords(other, others[:2]...)
	w.wantNothingLeft()
}

// TestGapOfAnother: a delivery whose own record is written does not wait for who is just writing what has waited.
func TestGapOfAnother(t *testing.T) {
	t.Parallel()

	w := setup(t)
	src, all := w.life("prod")
	_, others := w.life("other")
	w.want(204, w.url[0], all[5], others[0])
	w.exec(`UPDATE sources.plain_event SET kept_at = now() - interval '169 hours'`)
	w.exec(`CREATE FUNCTION faster() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN NEW.owner := gen_random_uuid(); NEW.until := now() + interval '1 hour'; RETURN NEW; END $$`)
	w.exec(fmt.Sprintf(`CREATE TRIGGER faster BEFORE UPDATE ON sources.plain_source FOR EACH ROW
		WHEN (NEW.source_id = %d AND NEW.owner IS NULL) EXECUTE FUNCTION faster()`, src.ID))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if status, err := deliver(ctx, w.url[0], others[1]); status != 204 {
		t.Errorf("the delivery is answered %d, %v", status, err)
	}
}

// TestOldSource: of a source that is older than what the topic keeps, the first event to be seen is the first.
func TestOldSource(t *testing.T) {
	t.Parallel()

	w := setup(t)
	src, all := w.life("prod")
	w.exec(`UPDATE sources.source SET created_at = now() - interval '169 hours'`)
	w.want(204, w.url[0], all[4], all[3], all[5])
	w.wantRecords(src, all[4], all[5])
	w.exec(`DELETE FROM sources.source`)
	w.wantNothingLeft() // it goes with the source
}

// TestNotOurs: what the registry has not made is not told to anybody.
func TestNotOurs(t *testing.T) {
	t.Parallel()

	w := setup(t)
	src, all := w.life("prod")
	living, livings := w.life("living")
	w.exec(`UPDATE sources.source SET deleted_at = NULL WHERE id = $1`, living.ID)
	for name, tt := range map[string]struct {
		of     cloudevents.Event
		forge  func(*cloudevents.Event)
		status int
	}{
		"an unknown source":       {all[0], func(e *cloudevents.Event) { data(e, "source_id", 99) }, 204},
		"another organization":    {all[0], func(e *cloudevents.Event) { data(e, "org_id", "org2") }, 204},
		"another uuid":            {all[0], func(e *cloudevents.Event) { data(e, "source_uuid", "x") }, 204},
		"not made yet":            {all[0], func(e *cloudevents.Event) { e.SetExtension("sequence", "10") }, 204},
		"a delete of what lives":  {livings[8], func(*cloudevents.Event) {}, 204},
		"another type":            {all[0], func(e *cloudevents.Event) { e.SetType("source.other") }, 204},
		"a record of somebody":    {all[0], func(e *cloudevents.Event) { e.SetType("dev.knative.kafka.event") }, 204},
		"no sequence":             {all[0], func(e *cloudevents.Event) { e.SetExtension("sequence", nil) }, 422},
		"no number":               {all[0], func(e *cloudevents.Event) { e.SetExtension("sequence", "1x") }, 422},
		"no sequence that counts": {all[0], func(e *cloudevents.Event) { e.SetExtension("sequence", "0") }, 422},
		"another source":          {all[0], func(e *cloudevents.Event) { e.SetSource("/elsewhere") }, 422},
		"no source id":            {all[0], func(e *cloudevents.Event) { data(e, "source_id", nil) }, 422},
		"a name of another form":  {all[0], func(e *cloudevents.Event) { data(e, "name", 1) }, 422},
	} {
		e := tt.of.Clone()
		tt.forge(&e)
		if got := w.deliver(w.url[0], e); got != tt.status {
			t.Errorf("%s is answered %d, want %d", name, got, tt.status)
		}
	}
	if n := len(w.records()); n != 0 {
		t.Errorf("%d records are written", n)
	}
	w.want(204, w.url[0], all...) // nothing of it stands in their way
	w.wantRecords(src, all...)
}

// data changes a field of an event's data.
func data(e *cloudevents.Event, name string, value any) {
	var fields map[string]any
	_ = json.Unmarshal(e.Data(), &fields)
	fields[name] = value
	_ = e.SetData(cloudevents.ApplicationJSON, fields)
}

// TestAway: without Kafka or PostgreSQL the event comes again, and nothing is held meanwhile.
func TestAway(t *testing.T) {
	t.Parallel()

	w := setup(t)
	src, all := w.life("prod")
	cfg := w.cfg
	cfg.Brokers = []string{"127.0.0.1:1"}
	w.want(503, w.start(cfg, w.db), all[0])
	w.want(204, w.url[0], all[0]) // at once: no lease is left
	cfg = w.cfg
	cfg.LegacyTopic = "nobody-made-it"
	w.want(503, w.start(cfg, w.db), all[1])
	db, closeDB, err := store.Open(store.Config{DatabaseURL: "postgres://127.0.0.1:1/x", MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB()
	w.want(503, w.start(w.cfg, db), all[1])
	w.want(204, w.url[0], all...)
	w.wantRecords(src, all...)
}

// TestBrokerKilled: a broker that is away and comes back, between two records and under one.
func TestBrokerKilled(t *testing.T) {
	t.Parallel()

	w := setup(t)
	broker := kafka.Alone(t)
	w.cfg.Brokers = broker.Addrs()
	w.cfg.LegacyTopic = kafka.Topic(t, w.cfg.Brokers, "plain", 1)
	url := w.start(w.cfg, w.db)
	src, all := w.life("prod")
	w.want(204, url, all[0])
	broker.Kill()
	w.want(503, url, all[1])
	broker.Start()
	w.exec(`UPDATE sources.plain_source SET until = clock_timestamp()`) // as time does
	w.want(204, url, all...)
	w.wantRecords(src, all...)
}

func TestConfig(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		want string
		edit func(*interop.Config)
	}{
		{"", func(*interop.Config) {}},
		{"DATABASE_URL", func(c *interop.Config) { c.DatabaseURL = "" }},
		{"KAFKA_BROKERS", func(c *interop.Config) { c.Brokers = nil }},
		{"K_SINK", func(c *interop.Config) { c.Outbox.Sink = "sink" }},
		{"LEGACY_TOPIC", func(c *interop.Config) { c.LegacyTopic = "a b" }},
		{"LEGACY_TOPIC", func(c *interop.Config) { c.LegacyTopic = c.Topic }},
		{"LEGACY_TOPIC", func(c *interop.Config) { c.LegacyTopic = c.Dead() }},
		{"LEGACY_IDENTITY", func(c *interop.Config) { c.LegacyIdentity = " " }},
		{"LEGACY_IDENTITY", func(c *interop.Config) { c.LegacyIdentity = "a\nb" }},
		{"LEGACY_WAIT", func(c *interop.Config) { c.LegacyWait = 0 }},
	} {
		cfg := config("postgres://localhost/x")
		tt.edit(&cfg)
		err := cfg.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Validate() = %v, want one about %q", err, tt.want)
		}
	}
}
