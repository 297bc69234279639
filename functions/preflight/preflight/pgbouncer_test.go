//go:build pgbouncer

package preflight_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/pgbouncer"
)

// TestPgBouncerIsNoticed: the functions work through a pooler, and migrate does not.
func TestPgBouncerIsNoticed(t *testing.T) {
	t.Parallel()

	url := storetest.Database(t)
	lines := checkURL(t, pgbouncer.Front(t, url))
	want(t, "through a pooler", lines, "warn DATABASE_URL a pooler is in between: the functions work through it, migrate needs the address of PostgreSQL itself",
		"ok DATABASE_URL PostgreSQL …")
	if want := fmt.Sprintf("tables at version %d of %[1]d; Koku's tables are ours", newestVersion(t, url)); !strings.HasSuffix(lines[len(lines)-1], want) {
		t.Errorf("%q", lines)
	}
}
