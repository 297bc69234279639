package httpapi

import (
	"net/http"
	"strings"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// ParseInclude reads what r asks to be told of one source: "include", with values that commas part, repeated or both.
// A value that is not known, the empty one included, is an Invalid error: whoever misspells one would take what is
// not told for what is not there.
func ParseInclude(r *http.Request) (sources.Include, error) {
	const name = "include"
	var include sources.Include
	params, err := parseParams(r)
	if err != nil {
		return include, err
	}
	if err := checkValues(name, params[name]); err != nil {
		return include, err
	}
	for _, values := range params[name] {
		for value := range strings.SplitSeq(values, ",") {
			switch value {
			case "history":
				include.History = true
			case "deleted":
				include.Deleted = true
			default:
				return sources.Include{}, sources.Invalidf(name, "'%s' cannot be included; 'history' and 'deleted' can.", value)
			}
		}
	}
	return include, nil
}
