package httpapi_test

import (
	"testing"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
)

func TestTypeFieldsAreDocumented(t *testing.T) {
	t.Parallel()

	for _, path := range []string{"/source_types", "/application_types"} {
		apitest.Filters(t, path, httpapi.TypeFields)
	}
}
