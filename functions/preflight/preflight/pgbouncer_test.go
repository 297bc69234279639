//go:build pgbouncer

package preflight_test

import (
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/pgbouncer"
)

// TestPgBouncerIsNoticed: the functions work through a pooler, and migrate does not.
func TestPgBouncerIsNoticed(t *testing.T) {
	t.Parallel()

	lines := checkURL(t, pgbouncer.Front(t, storetest.Database(t)))
	want(t, "through a pooler", lines, "warn DATABASE_URL a pooler is in between: the functions work through it, migrate needs the address of PostgreSQL itself",
		"ok DATABASE_URL PostgreSQL …")
	if !strings.HasSuffix(lines[len(lines)-1], "; Koku's tables are ours") {
		t.Errorf("%q", lines)
	}
}
