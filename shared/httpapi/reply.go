// Package httpapi is what the two APIs have in common at their HTTP edge: routes, bodies, errors, lists.
package httpapi

import (
	"net/http"
	"strconv"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// Prefix is where all paths of the APIs begin (contract section 2).
const Prefix = "/api/cost-management/v1"

// WriteJSON replies with v. The error is that v does not encode; nothing has been written then.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	answer, err := Answer(status, v)
	if err != nil {
		return err
	}
	WriteAnswer(w, answer)
	return nil
}

// Answer is a reply with v, to be written later. The error is that v does not encode.
func Answer(status int, v any) (sources.Answer, error) {
	body, err := sources.JSON(v) // in which links read as links
	return sources.Answer{Status: status, Body: body}, err
}

// WriteAnswer replies in one piece. One of our clients cuts the body out of a raw dump and cannot parse chunks,
// which net/http falls back to where a long body comes without a Content-Length.
func WriteAnswer(w http.ResponseWriter, a sources.Answer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // fails only if the caller has gone
}
