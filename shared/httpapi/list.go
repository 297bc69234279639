package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// The bounds of a list (contract section 2.3); maxQuery is in bytes, without escapes.
const (
	defaultLimit = 10
	maxLimit     = 1000
	maxQuery     = 8 << 10
)

// Fields are what the rows of a list can be filtered and ordered by. The store knows each by its name.
type Fields map[string]Field

// A Field says how clients may ask for it. The zero Field holds text and is compared for equality.
type Field struct {
	Search bool              // text to be searched in: every operator, and its plain form means "contains"
	Valid  func(string) bool // of a value; nil if every text is one
	Order  bool              // the list can be ordered by it
	// Unfiltered is for a field that the list is only ordered by.
	Unfiltered bool
}

// ID, UUID and Bool are fields that hold something else than text.
var (
	ID   = Field{Valid: sources.IsID}
	UUID = Field{Valid: func(s string) bool { _, ok := sources.ParseUUID(s); return ok }}
	Bool = Field{Valid: func(s string) bool { _, err := strconv.ParseBool(s); return err == nil }}
)

// ParseQuery reads the page, the order and the filters that r asks for. A bad limit or offset is the
// default one; an unknown filter is none; a known one with an unknown operator or a value of the wrong
// form is an Invalid error, and so is an order that fields does not know.
func ParseQuery(r *http.Request, fields Fields) (sources.Query, error) {
	params, err := parseParams(r)
	if err != nil {
		return sources.Query{}, err
	}
	q := sources.Query{Limit: limitOf(params.Get("limit")), Offset: offsetOf(params.Get("offset"))}
	if q.Order, err = orderOf(params, fields); err != nil {
		return q, err
	}
	for _, key := range slices.Sorted(maps.Keys(params)) {
		filters, err := filtersOf(key, params[key], fields)
		if err != nil {
			return q, err
		}
		q.Filters = append(q.Filters, filters...)
	}
	return q, nil
}

// parseParams reads the query of r; one that is too long or malformed is an Invalid error.
func parseParams(r *http.Request) (url.Values, error) {
	params, err := paramsOf(r.URL)
	if err != nil {
		return nil, sources.Invalidf("", "The query is malformed: %v", err)
	}
	if sizeOf(params) > maxQuery {
		return nil, sources.Invalidf("", "The query is longer than 8 KiB.")
	}
	return params, nil
}

// sizeOf is the same for a query and for the links that are made of it, which write it with other escapes and another
// page.
func sizeOf(params url.Values) int {
	size := 0
	for name, values := range params {
		if name == "limit" || name == "offset" {
			continue
		}
		for _, value := range values {
			size += len(name) + len("=") + len(value) + len("&")
		}
	}
	return size
}

// paramsOf reads a query, in which a semicolon stands for itself: net/url leaves out, without a word, what
// it cannot read, and a filter that is left out finds everything.
func paramsOf(u *url.URL) (url.Values, error) {
	return url.ParseQuery(strings.ReplaceAll(u.RawQuery, ";", "%3B"))
}

func limitOf(s string) int {
	n, err := strconv.ParseUint(s, 10, 64)
	switch {
	case err != nil && n == 0, n == 0: // beyond 64 bits n is the greatest number, with an error
		return defaultLimit
	default:
		return int(min(n, maxLimit))
	}
}

func offsetOf(s string) int {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

// orderOf reads the order from one parameter or the other; where both are there, order_by decides.
func orderOf(params url.Values, fields Fields) (order sources.Order, err error) {
	for _, param := range []string{"ordering", "order_by"} {
		text := params.Get(param)
		if text == "" {
			continue
		}
		name, descending := strings.CutPrefix(text, "-")
		if !fields[name].Order {
			return order, sources.Invalidf(param, "This list cannot be ordered by '%s'.", name)
		}
		order = sources.Order{Field: name, Descending: descending}
	}
	return order, nil
}

// filterForm takes "filter[name][eq]" apart; field and operator may be missing. What else stands behind the field is an
// operator that there is not.
var filterForm = regexp.MustCompile(`(?s)^filter(?:\[([^\[\]]*)\](?:\[([^\[\]]*)\]$)?(.*))?$`)

func filtersOf(key string, values []string, fields Fields) ([]sources.Filter, error) {
	name, op, plain, rest := key, sources.Equal, true, ""
	if form := filterForm.FindStringSubmatch(key); form != nil {
		if form[1] == "" {
			return nil, sources.Invalidf("filter", "A filter is written as filter[name]=value.")
		}
		name, plain, rest = form[1], false, form[3]
		if form[2] != "" {
			op = sources.Op(form[2])
		}
	}
	field, known := fields[name]
	if !known || field.Unfiltered {
		return nil, nil
	}
	if rest != "" {
		return nil, unknownOp(name, sources.Op(rest))
	}
	if err := checkValues(name, values); err != nil {
		return nil, err
	}
	if field.Search {
		return searchFilters(name, op, plain, values)
	}
	return equalFilter(name, op, values, field)
}

// searchFilters: the plain form means that the field contains every one of the words, in any case.
func searchFilters(name string, op sources.Op, plain bool, values []string) ([]sources.Filter, error) {
	if !plain {
		if !slices.Contains([]sources.Op{sources.Equal, sources.EqualFold, sources.Contains, sources.ContainsFold, sources.StartsWith}, op) {
			return nil, unknownOp(name, op)
		}
		return []sources.Filter{{Field: name, Op: op, Values: values}}, nil
	}
	return []sources.Filter{{Field: name, Op: sources.ContainsAll, Values: strings.Split(strings.Join(values, ","), ",")}}, nil
}

func equalFilter(name string, op sources.Op, values []string, field Field) ([]sources.Filter, error) {
	if op != sources.Equal {
		return nil, unknownOp(name, op)
	}
	any := strings.Split(strings.Join(values, ","), ",")
	for _, value := range any {
		if field.Valid != nil && !field.Valid(value) {
			return nil, sources.Invalidf(name, "'%s' is not a valid value.", value)
		}
	}
	return []sources.Filter{{Field: name, Op: op, Values: any}}, nil
}

func unknownOp(name string, op sources.Op) error {
	return sources.Invalidf(name, "Unknown operator '%s'.", string(op))
}

func checkValues(field string, values []string) error {
	for _, value := range values {
		if !utf8.ValidString(value) {
			return sources.Invalidf(field, "JSON parse error - the value is not valid UTF-8")
		}
		if err := noNUL(field, value); err != nil {
			return err
		}
	}
	return nil
}

// WriteList replies with one page of a list of count rows.
func WriteList[T any](w http.ResponseWriter, r *http.Request, q sources.Query, count int, page []T) error {
	if page == nil {
		page = []T{}
	}
	return WriteJSON(w, http.StatusOK, envelope[T]{
		Meta:  meta{Count: count, Limit: q.Limit, Offset: q.Offset},
		Links: linksOf(r.URL, q, count),
		Data:  page,
	})
}

type envelope[T any] struct {
	Meta  meta  `json:"meta"`
	Links links `json:"links"`
	Data  []T   `json:"data"`
}

type meta struct {
	Count  int `json:"count"`
	Limit  int `json:"limit"`
	Offset int `json:"offset"`
}

// links are relative to the host; null where there is no such page.
type links struct {
	First    *string `json:"first"`
	Next     *string `json:"next"`
	Previous *string `json:"previous"`
	Last     *string `json:"last"`
}

func linksOf(u *url.URL, q sources.Query, count int) links {
	at := func(offset int) *string {
		params, _ := paramsOf(u) // ParseQuery has read it
		params.Set("limit", strconv.Itoa(q.Limit))
		params.Set("offset", strconv.Itoa(offset))
		link := u.EscapedPath() + "?" + params.Encode()
		return &link
	}
	l := links{First: at(0), Last: at(max(count-1, 0) / q.Limit * q.Limit)}
	if q.Offset+q.Limit < count {
		l.Next = at(q.Offset + q.Limit)
	}
	if q.Offset > 0 {
		l.Previous = at(max(q.Offset-q.Limit, 0))
	}
	return l
}
