package sources

import (
	"errors"
	"fmt"
)

// A Kind says what the caller can do about an Error.
type Kind int

// The kinds. What each means as an HTTP status stands in shared/httpapi, and as an answer to an event in
// shared/events.
const (
	Internal    Kind = iota // a bug of ours
	Unavailable             // PostgreSQL or a peer is away; trying again helps
	Invalid
	Unauthorized
	Forbidden
	NotFound
	NotAllowed // of a method
	TooLarge
	MediaType
	KeyReused // an Idempotency-Key with another body
	Blocked   // a person has to mend something first; Msg says what
)

// An Error is one that a caller of the API, or the sender of an event, can be told. Msg is written for
// them, Err is for the log.
type Error struct {
	Kind  Kind
	Field string // of the request, if one is to blame
	Msg   string
	Err   error
}

// Error is for the log: it holds the cause too, which no client may read.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Msg + ": " + e.Err.Error()
	}
	return e.Msg
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the first Error in err's chain; Internal if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Invalidf makes an Invalid error that blames field; an empty one blames none.
func Invalidf(field, format string, args ...any) error {
	return &Error{Kind: Invalid, Field: field, Msg: fmt.Sprintf(format, args...)}
}

// NotFoundf makes a NotFound error.
func NotFoundf(format string, args ...any) error {
	return &Error{Kind: NotFound, Msg: fmt.Sprintf(format, args...)}
}

// NoSource is the answer where no source of the organization has the id.
func NoSource() error { return NotFoundf("No Sources matches the given query.") }

// NoApplication is the answer where no application of the organization has the id.
func NoApplication() error { return NotFoundf("No Applications matches the given query.") }
