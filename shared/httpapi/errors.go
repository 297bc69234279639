package httpapi

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// statusOf is the one table from kinds of errors to statuses (contract section 2.4).
var statusOf = map[sources.Kind]int{
	sources.Internal:     http.StatusInternalServerError,
	sources.Unavailable:  http.StatusFailedDependency,
	sources.Invalid:      http.StatusBadRequest,
	sources.Unauthorized: http.StatusUnauthorized,
	sources.Forbidden:    http.StatusForbidden,
	sources.NotFound:     http.StatusNotFound,
	sources.NotAllowed:   http.StatusMethodNotAllowed,
	sources.TooLarge:     http.StatusRequestEntityTooLarge,
	sources.MediaType:    http.StatusUnsupportedMediaType,
	sources.KeyReused:    http.StatusUnprocessableEntity,
	sources.Blocked:      http.StatusInternalServerError, // met by event functions only
}

// A HandlerFunc answers a request, or returns the error that is the answer.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP makes a HandlerFunc a handler: what it returns, and what it panics with, is written as the
// one body that every error has.
func (f HandlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			slog.ErrorContext(r.Context(), "request panicked", "pattern", r.Pattern, "panic", p)
			writeError(w, r, &sources.Error{Msg: "internal error"})
		}
	}()
	if err := f(w, r); err != nil {
		writeError(w, r, err)
	}
}

func writeError(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errors.AsType[*sources.Error](err)
	if !ok || e.Kind == sources.Internal {
		slog.ErrorContext(r.Context(), "request failed", "pattern", r.Pattern, "err", err)
		e = &sources.Error{Msg: "internal error"}
	}
	if e.Kind == sources.Unavailable {
		slog.WarnContext(r.Context(), "request cannot be answered now", "pattern", r.Pattern, "err", err)
	}
	WriteAnswer(w, refusal(e))
}

// refusal is e as every error of every endpoint is answered.
func refusal(e *sources.Error) sources.Answer {
	told := problem{Detail: e.Msg, Status: statusOf[e.Kind]}
	if e.Field != "" {
		told.Source = &e.Field
	}
	answer, _ := Answer(told.Status, problems{[]problem{told}}) // it always encodes
	return answer
}

// Refused is err as an answer that is kept under an Idempotency-Key: what is wrong with the request, and
// will be again. What is wrong with the caller, or with us, is not.
func Refused(err error) (answer sources.Answer, keep bool) {
	e, ok := errors.AsType[*sources.Error](err)
	if !ok || e.Kind != sources.Invalid && e.Kind != sources.NotFound {
		return answer, false
	}
	return refusal(e), true
}

// problems is the body of every error of every endpoint.
type problems struct {
	Errors []problem `json:"errors"`
}

type problem struct {
	Detail string  `json:"detail"`
	Source *string `json:"source"` // the field to blame
	Status int     `json:"status"`
}
