package httpapi

import (
	_ "embed"
	"encoding/json"
	"net/http"
)

//go:embed openapi.json
var document []byte

// Document is the OpenAPI document of both APIs and of the events. Tests hold it against what the APIs
// serve and answer.
func Document() json.RawMessage { return document }

// documentRoute stands outside Prefix, whose own openapi.json is Koku's.
var documentRoute = Route{
	Path: "/openapi.json",
	Open: true,
	Methods: map[string]HandlerFunc{"GET": func(w http.ResponseWriter, _ *http.Request) error {
		return WriteJSON(w, http.StatusOK, Document())
	}},
}
