//go:build e2e

package e2e_test

import (
	"encoding/json"
	"net/http"
	"sync"
)

// A kruize stands in for Kruize.
type kruize struct {
	mu    sync.Mutex
	known map[string]bool // experiments
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
	if r.Method == http.MethodGet {
		return // whoever looks whether it is there
	}
	var names []struct {
		Name string `json:"experiment_name"`
	}
	if err := json.NewDecoder(r.Body).Decode(&names); err != nil || len(names) != 1 || r.Method != http.MethodDelete {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, names[0].Name)
	w.WriteHeader(http.StatusCreated)
}
