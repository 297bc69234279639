package faults_test

import (
	"encoding/json"
	"net/http"
	"sync"
)

// A kruize stands in for Kruize, and may be slow or away.
type kruize struct {
	mu    sync.Mutex
	known map[string]bool // experiments
	mode  string          // refuses or silent; empty where all is well
}

func newKruize() *kruize { return &kruize{known: map[string]bool{}} }

func (k *kruize) set(mode string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mode = mode
}

func (k *kruize) learn(names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range names {
		k.known[name] = true
	}
}

func (k *kruize) knows(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known[name]
}

func (k *kruize) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var names []struct {
		Name string `json:"experiment_name"`
	}
	if err := json.NewDecoder(r.Body).Decode(&names); err != nil || len(names) != 1 || r.Method != http.MethodDelete {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.WriteHeader(k.forget(r, names[0].Name))
}

func (k *kruize) forget(r *http.Request, name string) (status int) {
	k.mu.Lock()
	mode := k.mode
	k.mu.Unlock()
	switch mode {
	case refuses:
		return http.StatusInternalServerError
	case silent:
		<-r.Context().Done()
		return http.StatusGatewayTimeout // to nobody
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, name)
	return http.StatusCreated
}
