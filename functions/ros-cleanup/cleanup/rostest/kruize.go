package rostest

import (
	"encoding/json"
	"net/http"
	"sync"
)

// Kruize stands in for Kruize as far as ros-cleanup uses it: it knows experiments, and forgets one for each DELETE
// that names just that. Everything else it answers 405. The zero value knows nothing.
type Kruize struct {
	mu    sync.Mutex
	known map[string]bool
}

// Learn does what ROS does with each of its experiments.
func (k *Kruize) Learn(names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = map[string]bool{}
	}
	for _, name := range names {
		k.known[name] = true
	}
}

// Knows reports whether an experiment has been learned and not been forgotten.
func (k *Kruize) Knows(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known[name]
}

func (k *Kruize) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
