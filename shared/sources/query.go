package sources

import "strings"

// A Query is what a client asks of a list (contract section 2.3).
type Query struct {
	Limit, Offset int
	Order         Order
	Filters       []Filter
}

// An Order sorts a list by a field; an empty field is the list's own order.
type Order struct {
	Field      string
	Descending bool
}

// A Filter keeps the rows whose field compares to one of Values, or with ContainsAll to each of them.
type Filter struct {
	Field  string
	Op     Op
	Values []string
}

// An Op compares a field to a value.
type Op string

// The comparisons; the spelling is the clients'. The ones that end in _i fold case.
const (
	Equal        Op = "eq"
	EqualFold    Op = "eq_i"
	Contains     Op = "contains"
	ContainsFold Op = "contains_i"
	StartsWith   Op = "starts_with"

	// ContainsAll is ContainsFold for every one of the values, and no client's. As filters of their own they would take
	// PostgreSQL, from some hundreds on, longer to plan than a request may take.
	ContainsAll Op = "contains_all"
)

// Match reports whether a row whose field has that value is kept.
func (f Filter) Match(value string) bool {
	all := f.Op == ContainsAll
	for _, want := range f.Values {
		if f.Op.compare(value, want) != all {
			return !all
		}
	}
	return all
}

func (op Op) compare(value, want string) bool {
	switch op {
	case EqualFold:
		return strings.EqualFold(value, want)
	case Contains:
		return strings.Contains(value, want)
	case ContainsFold, ContainsAll:
		return strings.Contains(strings.ToLower(value), strings.ToLower(want))
	case StartsWith:
		return strings.HasPrefix(value, want)
	default:
		return value == want
	}
}
