package applicationsapi

import (
	"testing"

	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
)

// TestFieldsAreDocumented stands inside the package, where the fields are.
func TestFieldsAreDocumented(t *testing.T) {
	t.Parallel()

	apitest.Filters(t, "/applications", fields)
}
