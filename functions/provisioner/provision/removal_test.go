package provision_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// interrupt posts the event of a deletion, breaks it off when less than upTo rows of src are left, and reports
// whether it was faster than that.
func (f fixture) interrupt(src sources.Source, upTo int) (done bool) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	e, err := events.SourceDeleted(ctx, src)
	if err != nil {
		f.Fatal(err)
	}
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, f.url+provision.ProvidersPath, e)
	if err != nil {
		f.Fatal(err)
	}
	answered := make(chan int, 1)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			answered <- 0
			return
		}
		response.Body.Close()
		answered <- response.StatusCode
	}()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case status := <-answered:
			if status != http.StatusNoContent {
				f.Fatalf("the removal is answered %d, want 204", status)
			}
			return true
		case <-ticker.C:
			if total(f.referring(src)) < upTo {
				cancel()
				<-answered
				return false
			}
		}
	}
}

// progress reads how far the removal of a provider has come in the tables that it walks.
func (f fixture) progress(src sources.Source) map[string]int {
	f.Helper()
	var progress map[string]int
	text := value[string](f, `SELECT removal_progress::text FROM sources.source WHERE org_id = $1 AND id = $2`, src.OrgID, src.ID)
	if err := json.Unmarshal([]byte(text), &progress); err != nil {
		f.Fatal(err)
	}
	return progress
}

// TestLargeRemoval: a removal that is killed again and again ends all the same, goes on where it was, keeps nobody
// waiting and takes nothing of anybody else's.
func TestLargeRemoval(t *testing.T) {
	t.Parallel()

	f := setup(t)
	stays, goes := f.provided(f.add("org1", "c1")), f.provided(f.add("org1", "c2"))
	foreign := f.provided(f.add("org2", "c3"))
	f.shape("org1")
	f.shape("org2")
	for range 2 { // so that the rows of both lie among each other's
		f.refer(stays, 5_000)
		f.refer(foreign, 100)
	}
	f.refer(goes, 100_000)
	kept, keptForeign := f.referring(stays), f.referring(foreign)

	stop := f.others(stays)
	goes = f.change(goes, func(s *sources.Source) { s.MarkDeleted(time.Now()) })
	const backOff = `UPDATE sources.source SET next_attempt_at = '3000-01-01' WHERE org_id = 'org1'`
	if _, err := f.sql.Exec(t.Context(), backOff); err != nil {
		t.Fatal(err)
	}
	walked := map[string]int{}
	left := total(f.referring(goes))
	step := left / 6
	for interrupts := 0; !f.interrupt(goes, left-step); interrupts++ {
		now := total(f.referring(goes))
		if now >= left {
			t.Fatalf("after %d interruptions there are %d rows left, as before", interrupts, now)
		}
		left = now
		progress := f.progress(goes)
		for key, at := range walked {
			if progress[key] < at {
				t.Errorf("the walk through %s was at block %d and is at %d", key, at, progress[key])
			}
		}
		walked = progress
		if value[bool](f, `SELECT next_attempt_at = '3000-01-01' FROM sources.source WHERE id = $1`, goes.ID) {
			t.Error("the relay asks for the rest no sooner than if nothing had been done")
		}
	}
	stop()
	if len(walked) == 0 {
		t.Error("no interruption left word of how far the removal had come")
	}
	if left := f.referring(goes); len(left) > 0 {
		t.Errorf("left of the deleted source: %v", left)
	}
	if diff := cmp.Diff(kept, f.referring(stays)); diff != "" {
		t.Errorf("rows of the other source (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(keptForeign, f.referring(foreign)); diff != "" {
		t.Errorf("rows of the other organization (-before +after):\n%s", diff)
	}
	if goes = f.now(goes); goes.ProviderRemovedAt == nil || !goes.UpToDate() || len(f.progress(goes)) > 0 {
		t.Errorf("the registry says %+v, progress %v; want it done", goes.Progress, f.progress(goes))
	}
}

// others has a report read what is removed from, in a transaction that stays open, while others read and report
// processing adds rows of the provider of src and takes them away again. None may wait long. stop ends it all.
func (f fixture) others(src sources.Source) (stop func()) {
	f.Helper()
	words := strings.NewReplacer("T.", "org"+src.OrgID+".", "$1", "'"+src.UUID+"'::uuid")
	report, err := f.sql.Begin(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	for table := range shapes {
		if _, err := report.Exec(f.Context(), "SELECT count(*) FROM "+words.Replace(table)); err != nil {
			f.Fatal(err)
		}
	}
	ended, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		failed <- f.work(words, ended)
	}()
	stop = sync.OnceFunc(func() {
		close(ended)
		if err := <-failed; err != nil {
			f.Errorf("beside the removal: %v", err)
		}
		if err := report.Rollback(context.WithoutCancel(f.Context())); err != nil {
			f.Error(err)
		}
	})
	f.Cleanup(stop) // where the test fails; the pool would wait for ever
	return stop
}

func (f fixture) work(words *strings.Replacer, ended chan struct{}) error {
	ctx := context.WithoutCancel(f.Context()) // it is told to end
	for {
		select {
		case <-ended:
			return nil
		default:
		}
		err := pgx.BeginFunc(ctx, f.sql, func(tx pgx.Tx) error {
			sql := `SET LOCAL lock_timeout = '500ms';
				SELECT count(*) FROM T.reporting_ocpusagelineitem_daily_summary;
				SELECT count(*) FROM T.ring_a JOIN T.ring_child ON a_id = id;
				INSERT INTO T.reporting_ocpusagelineitem_daily_summary (uuid, usage_start, usage_end, source_uuid, data_source)
					SELECT gen_random_uuid(), '2026-11-06', '2026-11-06', $1, 'new' FROM generate_series(1, 100);
				INSERT INTO T.indexed (source_uuid) VALUES ($1);
				DELETE FROM T.indexed WHERE ctid = (SELECT max(ctid) FROM T.indexed WHERE source_uuid = $1);
				DELETE FROM T.reporting_ocpusagelineitem_daily_summary WHERE data_source = 'new'`
			_, err := tx.Exec(ctx, words.Replace(sql))
			return err
		})
		if err != nil {
			return err
		}
	}
}

// TestRowsThatComeMeanwhile: what report processing writes of a provider where its removal has been already, and no
// foreign key would remind of, is found at the end.
func TestRowsThatComeMeanwhile(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.provided(f.add("org1", "c"))
	f.shape("org1")
	f.refer(src, 60_000)
	src = f.change(src, func(s *sources.Source) { s.MarkDeleted(time.Now()) })
	const partition = `orgorg1.openshift_pod_usage_line_items_default`
	for f.progress(src)[partitionKey(f, partition)] == 0 {
		if f.interrupt(src, total(f.referring(src))-1) {
			t.Fatal("the removal is done before it could be interrupted in the table wanted")
		}
	}
	f.alone()
	// Only a vacuumed block takes new rows.
	if _, err := f.sql.Exec(t.Context(), `VACUUM `+partition); err != nil {
		t.Fatal(err)
	}
	at := value[int](f, `INSERT INTO `+partition+` VALUES ($1, '2026-01-02') RETURNING (ctid::text::point)[0]::integer`, src.UUID)
	if reached := f.progress(src)[partitionKey(f, partition)]; at >= reached {
		t.Fatalf("the new row is in block %d, and the walk at %d: it would be found anyway", at, reached)
	}
	src = f.provided(src)
	if left := f.referring(src); len(left) > 0 || src.ProviderRemovedAt == nil {
		t.Errorf("left of the deleted source: %v", left)
	}
}

// TestHeirs: a table that inherits from one of a removal's keeps its rows, also where they have the place of one that goes.
func TestHeirs(t *testing.T) {
	t.Parallel()

	f := setup(t)
	src := f.provided(f.add("org1", "c"))
	f.exec(`SET LOCAL ROLE cost_sources_provisioner;
		CREATE TABLE orgorg1.archive () INHERITS (orgorg1.cost_model_map);
		INSERT INTO orgorg1.cost_model_map (provider_uuid) VALUES ('` + src.UUID + `');
		INSERT INTO orgorg1.archive (id, provider_uuid) VALUES (77, gen_random_uuid())`)
	f.provided(f.change(src, func(s *sources.Source) { s.MarkDeleted(time.Now()) }))
	if got := value[int](f, `SELECT count(*) FROM orgorg1.cost_model_map`); got != 1 {
		t.Errorf("%d rows are left, want the heir's", got)
	}
}

// alone returns when no transaction but the caller's is under way any more: a server learns late that its client has gone.
func (f fixture) alone() {
	f.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for value[bool](f, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
		AND pid <> pg_backend_pid() AND (state <> 'idle' OR backend_xmin IS NOT NULL))`) {
		<-ticker.C
	}
}

func partitionKey(f fixture, table string) string {
	f.Helper()
	schema, name, _ := strings.Cut(table, ".")
	return fmt.Sprintf("%s %d", pgx.Identifier{schema, name}.Sanitize(),
		value[uint32](f, `SELECT relfilenode FROM pg_class WHERE oid = $1::text::regclass`, table))
}
