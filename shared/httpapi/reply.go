// Package httpapi is what the two APIs have in common at their HTTP edge: routes, bodies, errors, lists.
package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

// Prefix is where all paths of the APIs begin (contract section 2).
const Prefix = "/api/cost-management/v1"

// WriteJSON replies with v in one piece. One of our clients cuts the body out of a raw dump and cannot
// parse chunks, which net/http falls back to where a long body comes without a Content-Length. The error
// is that v does not encode; nothing has been written then.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // links read as links
	if err := encoder.Encode(v); err != nil {
		return err
	}
	body := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the caller has gone
	return nil
}
