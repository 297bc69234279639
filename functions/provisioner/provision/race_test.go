package provision_test

import (
	"testing"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// TestLateFailure: who has found that the provider cannot be made, and says so when another has made it, changes nothing:
// nobody would ever look at the source again.
func TestLateFailure(t *testing.T) {
	t.Parallel()

	f := setup(t)
	before := f.add("org1", "c")
	f.provided(before)
	if err := f.db.FailProvider(t.Context(), before, "the template is missing"); err != nil {
		t.Fatal(err)
	}
	if src := f.now(before); src.State != sources.Ready || src.Attempts != 1 {
		t.Errorf("the source is %+v, want it ready", src.Progress)
	}
}

// TestTenantComesBetweenBothWays: a source that has failed for want of a tenant gets its provider where another source's
// event makes the tenant after this one's event has been on the one way, and before it is on the other.
func TestTenantComesBetweenBothWays(t *testing.T) {
	t.Parallel()

	f := setup(t)
	f.exec(`CREATE SCHEMA orgorg1`) // in the way
	one, two := f.provided(f.add("org1", "c1")), f.provided(f.add("org1", "c2"))
	if one.State != sources.Failed || two.State != sources.Failed {
		t.Fatalf("the sources are %s and %s, want them failed", one.State, two.State)
	}
	f.exec(`DROP SCHEMA orgorg1`)
	e, err := events.SourceUpdated(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	f.postTo(provision.ProvidersPath, e)
	f.provided(one)
	f.postTo(provision.TenantsPath, e)
	if two = f.now(two); two.State != sources.Ready {
		t.Errorf("the source is %+v, want it ready", two.Progress)
	}
}

// exec runs statements in one transaction.
func (f fixture) exec(sql string) {
	f.Helper()
	if _, err := f.sql.Exec(f.Context(), sql); err != nil {
		f.Fatal(err)
	}
}
