package sourcesapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/functions/sources/sourcesapi"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

const keyed = `{"name": "a", "source_type_id": "1", "source_ref": "c"}`

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	c.Key = "first key"
	made := c.Want(t, 201, "POST", "/sources", keyed)
	if again := c.Want(t, 201, "POST", "/sources/", keyed); again.Text != made.Text {
		t.Errorf("the same request again is answered\n%s, first it was\n%s", again.Text, made.Text)
	}
	if got, want := c.Do(t, "POST", "/sources", keyed+" ").Problem(), "422 Idempotency-Key: This Idempotency-Key was used with another body."; got != want {
		t.Errorf("another body = %s, want %s", got, want)
	}

	other := c
	other.Org = "org2"
	if theirs := other.Want(t, 201, "POST", "/sources", keyed); theirs.ID() == made.ID() {
		t.Error("another organization is given the answer to ours")
	}

	c.Key = "second key"
	duplicate := c.Want(t, 400, "POST", "/sources", keyed)
	c.Want(t, 204, "DELETE", "/sources/"+made.ID(), "")
	if again := c.Want(t, 400, "POST", "/sources", keyed); again.Text != duplicate.Text {
		t.Errorf("a refusal that was given is now %s", again.Text)
	}
	c.Key = "third key"
	if got := c.Want(t, 400, "POST", "/sources", `{`); c.Want(t, 400, "POST", "/sources", `{`).Text != got.Text {
		t.Error("what is no JSON is answered differently the second time")
	}
	if count := c.Want(t, 200, "GET", "/sources", "").Body["meta"].(map[string]any)["count"]; count != 0.0 {
		t.Errorf("%v sources are there, want none", count)
	}
}

func TestIdempotencyKeyForm(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	for key, status := range map[string]int{strings.Repeat("k", 255): 201, strings.Repeat("k", 256): 400, "é": 400, "a\tb": 400} {
		c.Key = key
		c.Want(t, status, "POST", "/sources", `{"name": "a", "source_type_id": "1"}`)
	}
}

// TestIdempotencyKeyAtOnce: of requests with one key at the same time one is carried out, and all are
// given its answer.
func TestIdempotencyKeyAtOnce(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	c.Key = "key"
	answers := make([]apitest.Answer, 12)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			var err error
			if answers[i], err = c.Try(t, "POST", "/sources", `{"name": "a", "source_type_id": "1"}`); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, answer := range answers {
		if answer.Status != 201 || answer.Text != answers[0].Text {
			t.Errorf("answered %d %s, another one 201 %s", answer.Status, answer.Text, answers[0].Text)
		}
	}
	if count := c.Want(t, 200, "GET", "/sources", "").Body["meta"].(map[string]any)["count"]; count != 1.0 {
		t.Errorf("%v sources were made, want one", count)
	}
}

// TestIdempotencyKeyInWork: a request whose key another one holds for too long is told so, and carried out
// when that has failed.
func TestIdempotencyKeyInWork(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "sources")
	c := apitest.Serve(t, sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity}, db, func(sources.Source) {}), "org1")
	c.Key = "key"
	tx, err := sql.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = tx.Exec(t.Context(), `INSERT INTO sources.idempotency_key (org_id, path, key, body_sha256)
		VALUES ('org1', '/api/cost-management/v1/sources', 'key', '')`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Do(t, "POST", "/sources", keyed).Problem(), "424 <nil>: Another request with this Idempotency-Key is still being answered"; got != want {
		t.Errorf("while another request has the key = %s, want %s", got, want)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Want(t, 201, "POST", "/sources", keyed)
}

// TestIdempotencyKeyExpires: after 24 hours a key is as good as new, whether it was tidied away or not.
func TestIdempotencyKeyExpires(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "sources")
	c := apitest.Serve(t, sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity}, db, func(sources.Source) {}), "org1")
	c.Key = "key"
	first := c.Want(t, 201, "POST", "/sources", `{"name": "a", "source_type_id": "1"}`)
	if _, err := sql.Exec(t.Context(), `UPDATE sources.idempotency_key SET created_at = now() - interval '25 hours'`); err != nil {
		t.Fatal(err)
	}
	if second := c.Want(t, 201, "POST", "/sources", `{"name": "b", "source_type_id": "1"}`); second.ID() == first.ID() {
		t.Error("an answer was given again after a day")
	}
}

// TestCreateWait: the answer waits for the provider, the one that is kept does not know of it.
func TestCreateWait(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "sources")
	woken := make(chan int64, 1)
	cfg := sourcesapi.Config{Identity: apitest.Identity, CreateWait: 10 * time.Second}
	c := apitest.Serve(t, sourcesapi.New(cfg, db, func(src sources.Source) { woken <- src.ID }), "org1")
	c.Key = "key"
	provisioned := make(chan error, 1)
	go func() {
		_, err := sql.Exec(t.Context(), `UPDATE sources.source SET state = 'ready', observed_generation = generation WHERE id = $1`, <-woken)
		provisioned <- err
	}()
	made := c.Want(t, 201, "POST", "/sources", keyed)
	if err := <-provisioned; err != nil {
		t.Fatal(err)
	}
	if made.Body["availability_status"] != "available" {
		t.Errorf("the answer did not wait: %s", made.Text)
	}
	if again := c.Want(t, 201, "POST", "/sources", keyed); again.Body["availability_status"] != "in_progress" {
		t.Errorf("the answer that was kept is %s", again.Text)
	}
}

// TestCreateWaitEnds: without a provisioner the answer comes when the time is over, and at once where
// there is nothing to wait for.
func TestCreateWaitEnds(t *testing.T) {
	t.Parallel()

	c, _ := serve(t, func(cfg *sourcesapi.Config) { cfg.CreateWait = 50 * time.Millisecond })
	if made := c.Want(t, 201, "POST", "/sources", keyed); made.Body["availability_status"] != "in_progress" {
		t.Errorf("answered %s", made.Text)
	}
	c.Want(t, 201, "POST", "/sources", `{"name": "a", "source_type_id": "1"}`)
	for wait, valid := range map[time.Duration]bool{0: true, 15 * time.Second: true, -1: false, 16 * time.Second: false} {
		cfg := sourcesapi.Config{CreateWait: wait}
		if err := cfg.Validate(); strings.Contains(err.Error(), "CREATE_WAIT") == valid {
			t.Errorf("CREATE_WAIT=%v: %v", wait, err)
		}
	}
}

// TestCrashBetweenChangeAndAnswer: what was committed before a crash is answered to the client that asks
// again; what was not is carried out then.
func TestCrashBetweenChangeAndAnswer(t *testing.T) {
	t.Parallel()

	_, db := serve(t)
	key := &sources.IdempotencyKey{OrgID: "org1", Path: "/p", Key: "k", Body: []byte("b")}
	refuse := func(error) (sources.Answer, bool) { return sources.Answer{}, false }
	change := func(fail error) error {
		_, err := db.For("org1").Once(t.Context(), key, refuse, func(tx *store.Store) (sources.Answer, error) {
			src, err := tx.CreateSource(t.Context(), sources.Source{OrgID: "org1", Name: "a"})
			if err == nil {
				err = tx.SaveSource(t.Context(), &src, events.SourceCreated)
			}
			if err == nil {
				err = fail
			}
			return sources.Answer{Status: http.StatusCreated}, err
		})
		return err
	}
	if err := change(pgx.ErrTxClosed); err == nil {
		t.Fatal("a change that failed has an answer")
	}
	for range 3 {
		if err := change(nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, count, err := db.For("org1").Sources(t.Context(), "org1", sources.Query{Limit: 1}); count != 1 || err != nil {
		t.Errorf("%d sources were made, %v; want one", count, err)
	}
}

// TestChangedMeanwhile: who waited in vain for the provider is told of the source as it is then, and not as it was made.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()

	db := storetest.New(t, "sources")
	var c apitest.Client
	c = apitest.Serve(t, sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity, CreateWait: time.Second}, db, func(src sources.Source) {
		if src.Paused {
			return
		}
		if got, err := c.Try(t, "PATCH", fmt.Sprintf("/sources/%d", src.ID), `{"paused": true}`); err != nil || got.Status != 200 {
			t.Errorf("PATCH = %d %s, %v", got.Status, got.Text, err)
		}
	}), "org1")
	got := c.Want(t, 201, "POST", "/sources", keyed).Body
	if got["paused"] != true || got["availability_status"] != "paused" {
		t.Errorf("a source that was paused meanwhile is answered as %v, paused: %v", got["availability_status"], got["paused"])
	}
}

// TestMadeIsAnswered: what was committed is answered as made, also where PostgreSQL cannot be asked again. All
// connections are in use from the commit on, until the time of the request is over.
func TestMadeIsAnswered(t *testing.T) {
	t.Parallel()

	for name, wait := range map[string]time.Duration{"at once": 0, "after a wait": time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, closeDB, err := store.Open(store.Config{DatabaseURL: storetest.As("sources", storetest.Database(t)), MaxConns: 1})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(closeDB)
			over := make(chan struct{})
			t.Cleanup(func() { close(over) })
			api := sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity, CreateWait: wait}, db, func(sources.Source) {
				taken := make(chan struct{})
				go func() {
					_ = db.OnOne(context.Background(), func(*store.Store) error { close(taken); <-over; return nil })
				}()
				<-taken
			})
			c := apitest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithTimeout(r.Context(), time.Second)
				defer cancel()
				api.ServeHTTP(w, r.WithContext(ctx))
			}), "org1")
			c.Want(t, 201, "POST", "/sources", keyed)
		})
	}
}
