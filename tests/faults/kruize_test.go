package faults_test

import (
	"io"
	"net/http"
	"sync"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
)

// A kruize stands in for Kruize, and may be slow or away.
type kruize struct {
	rostest.Kruize

	mu   sync.Mutex
	mode string // refuses or silent; empty where all is well
}

func (k *kruize) set(mode string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mode = mode
}

func (k *kruize) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	mode := k.mode
	k.mu.Unlock()
	switch mode {
	case refuses:
		w.WriteHeader(http.StatusInternalServerError)
	case silent:
		_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the caller has gone
		<-r.Context().Done()
		w.WriteHeader(http.StatusGatewayTimeout) // to nobody
	default:
		k.Kruize.ServeHTTP(w, r)
	}
}
