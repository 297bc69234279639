package httpapi_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

func parseInclude(query string) string {
	r := httptest.NewRequest("GET", "/", nil)
	r.URL.RawQuery = query
	include, err := httpapi.ParseInclude(r)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("history %t, deleted %t", include.History, include.Deleted)
}

func TestInclude(t *testing.T) {
	t.Parallel()

	const choice = " cannot be included; 'history' and 'deleted' can."
	for query, want := range map[string]string{
		"":                                "history false, deleted false",
		"name=deleted&includes=history":   "history false, deleted false",
		"include=history":                 "history true, deleted false",
		"include=deleted":                 "history false, deleted true",
		"include=deleted,history":         "history true, deleted true",
		"include=deleted%2Cdeleted":       "history false, deleted true",
		"include=history&include=deleted": "history true, deleted true",
		"include":                         "''" + choice,
		"include=":                        "''" + choice,
		"include=history,":                "''" + choice,
		"include=History":                 "'History'" + choice,
		"include=history&include=stats":   "'stats'" + choice,
		"include=history;deleted":         "'history;deleted'" + choice,
		"include=history%00":              "Null characters are not allowed.",
		"include=%ff":                     "JSON parse error - the value is not valid UTF-8",
		"a=%zz":                           `The query is malformed: invalid URL escape "%zz"`,
		strings.Repeat("a", 8<<10+1):      "The query is longer than 8 KiB.",
	} {
		if got := parseInclude(query); got != want {
			t.Errorf("ParseInclude(%.40q) = %s, want %s", query, got, want)
		}
	}
}

// FuzzInclude: what is read of a query is exactly what stands in it.
func FuzzInclude(f *testing.F) {
	for _, seed := range []string{"include=history", "include=deleted,history", "include=a&include=%00", "include=%2C", ";", "x=1&include"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		got, err := httpapi.ParseInclude(r)
		var want sources.Include
		params, unreadable := url.ParseQuery(strings.ReplaceAll(query, ";", "%3B"))
		known := unreadable == nil && len(query) <= 8<<10
		for _, value := range params["include"] {
			for part := range strings.SplitSeq(value, ",") {
				known = known && (part == "history" || part == "deleted")
				want.History = want.History || part == "history"
				want.Deleted = want.Deleted || part == "deleted"
			}
		}
		if (err == nil) != known || err == nil && got != want || err != nil && sources.KindOf(err) != sources.Invalid {
			t.Errorf("ParseInclude(%q) = %+v, %v; it is known: %t, and asks for %+v", query, got, err, known, want)
		}
	})
}
