package apitest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
)

// samples are values that one kind of field takes and another does not.
var samples = []string{
	"", "x", "a\x00b", "0", "1", "12", "-1", "1.5", "007", "2147483647", "2147483648", "0002147483647", "3,12", "3,", "3,x",
	"true", "TRUE", "tRue", "f", "true,0", "yes",
	"7595e2cf-9ba8-4a55-8677-ccccd7b76f9b", "7595E2CF9BA84A558677CCCCD7B76F9B", "7595e2cf-9ba8-4a55-8677",
	"7595e2cf-9ba8-4a55-8677-ccccd7b76f9b,7595e2cf9ba84a558677ccccd7b76f9b",
}

// Filters holds the documented parameters of a list against the fields that it knows: their names, the
// values that they take, and what the list can be ordered by.
func Filters(t *testing.T, path string, fields httpapi.Fields) {
	t.Helper()
	document, err := ReadDocument()
	if err != nil {
		t.Fatal(err)
	}
	query := document.Operation("GET", path).Query
	want := append(parametersOf(fields), "limit", "offset", "order_by", "ordering")
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(query))); diff != "" {
		t.Errorf("the documented parameters of %s (-want +got):\n%s", path, diff)
	}
	takes := func(parameter, value string) bool {
		text, err := json.Marshal(value)
		return err == nil && document.Validate(query[parameter], text) == nil
	}
	for name, field := range fields {
		for _, order := range []string{name, "-" + name} {
			if takes("order_by", order) != field.Order || takes("ordering", order) != field.Order {
				t.Errorf("%s is documented to be ordered by %s, or not to be; the field says the opposite", path, order)
			}
		}
		if field.Unfiltered {
			continue
		}
		for _, value := range samples {
			if got, want := takes(name, value), valid(field, value); got != want {
				t.Errorf("%s?%s=%q is documented as valid: %t, want %t", path, name, value, got, want)
			}
		}
	}
}

// parametersOf are the parameters that filter by fields.
func parametersOf(fields httpapi.Fields) []string {
	var names []string
	for name, field := range fields {
		if field.Unfiltered {
			continue
		}
		names = append(names, name, "filter["+name+"]", "filter["+name+"][eq]")
		if field.Search {
			for _, op := range []string{"eq_i", "contains", "contains_i", "starts_with"} {
				names = append(names, "filter["+name+"]["+op+"]")
			}
		}
	}
	return names
}

func valid(field httpapi.Field, value string) bool {
	if field.Valid == nil {
		return !strings.Contains(value, "\x00")
	}
	return !slices.ContainsFunc(strings.Split(value, ","), func(v string) bool { return !field.Valid(v) })
}
