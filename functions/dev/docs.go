package main

import (
	_ "embed"
	"net/http"
)

//go:embed docs.html
var docsPage []byte

// docs shows the OpenAPI document to people. The page brings all that it needs: a machine that tries this
// out may have no network.
func docs(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'self' 'unsafe-inline'")
	_, _ = w.Write(docsPage) // fails only if the caller has gone
}
