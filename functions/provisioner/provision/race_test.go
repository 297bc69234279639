package provision_test

import (
	"testing"

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
