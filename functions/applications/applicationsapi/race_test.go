package applicationsapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/functions/applications/applicationsapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// TestReadWhileMadeAnew: an application that is deleted and made anew while it is read is not answered with the new
// one, which has another id. The lock holds the reader between its two statements.
func TestReadWhileMadeAnew(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "applications")
	c := apitest.Serve(t, applicationsapi.New(applicationsapi.Config{Identity: apitest.Identity}, db, func(sources.Source) {}), "org1")
	id := addSource(t, db, "org1", "c")
	old := c.Want(t, 201, "POST", "/applications", fmt.Sprintf(`{"source_id": %d}`, id))

	tx, err := sql.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `LOCK TABLE sources.source IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	read := make(chan apitest.Answer, 1)
	go func() {
		answer, err := c.Try(t, "GET", "/applications/"+old.ID(), "")
		if err != nil {
			t.Error(err)
		}
		read <- answer
	}()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for waiting := false; !waiting; <-ticker.C {
		err := sql.QueryRow(t.Context(), `
			SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Exec(t.Context(), `UPDATE sources.application SET id = id + 1 WHERE source_id = $1`, id); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := (<-read).Problem(); !strings.HasPrefix(got, "404") {
		t.Errorf("GET of application %s = %s, want it unknown", old.ID(), got)
	}
}
