package httpapi

import (
	"net/http"
	"slices"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// A Type is a type of sources or of applications. They are part of the program.
type Type struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

var typeFields = Fields{"id": ID, "name": {Search: true, Order: true}}

// Types are the two routes of a list of types, of which there is one; clients ask them without an
// identity. isID says what are spellings of its id; missing is what another one is told.
func Types(path string, t Type, isID func(id string) bool, missing string) []Route {
	list := func(w http.ResponseWriter, r *http.Request) error {
		q, err := ParseQuery(r, typeFields)
		if err != nil {
			return err
		}
		kept := []Type{t}
		if slices.ContainsFunc(q.Filters, func(f sources.Filter) bool { return !t.matches(f, isID) }) {
			kept = nil
		}
		return WriteList(w, r, q, len(kept), kept[min(q.Offset, len(kept)):])
	}
	get := func(w http.ResponseWriter, r *http.Request) error {
		if !isID(r.PathValue("id")) {
			return sources.NotFoundf("%s", missing)
		}
		return WriteJSON(w, http.StatusOK, t)
	}
	return []Route{
		{Path: path, Open: true, Methods: map[string]HandlerFunc{"GET": list}},
		{Path: path + "/{id}", Open: true, Methods: map[string]HandlerFunc{"GET": get}},
	}
}

func (t Type) matches(f sources.Filter, isID func(id string) bool) bool {
	if f.Field == "id" {
		return slices.ContainsFunc(f.Values, isID)
	}
	return f.Match(t.Name)
}
