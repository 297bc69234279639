package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
)

const (
	kruizeKeeps   = 10_000 // names in each of its two lists; older ones are forgotten
	kruizeMaxBody = 16 << 10
)

// kruize stands in for Kruize as far as ROS and ros-cleanup use it, and tells at /deleted what it was
// asked to forget. The zero value knows nothing.
type kruize struct {
	mu      sync.Mutex
	known   []string
	deleted []string
}

// experiment is what Kruize's requests and answers say of one; the real ones say more.
type experiment struct {
	Name string `json:"experiment_name"`
}

func (k *kruize) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "POST /createExperiment":
		k.create(w, r)
	case "DELETE /createExperiment":
		k.forget(w, r)
	case "GET /listExperiments":
		k.list(w)
	case "GET /deleted":
		k.listDeleted(w)
	default:
		http.NotFound(w, r)
	}
}

func (k *kruize) create(w http.ResponseWriter, r *http.Request) {
	name, ok := experimentOf(w, r)
	if !ok {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Contains(k.known, name) {
		k.known = appendBounded(k.known, name)
	}
	kruizeMessage(w, http.StatusCreated, "Experiment registered successfully.")
}

func (k *kruize) forget(w http.ResponseWriter, r *http.Request) {
	name, ok := experimentOf(w, r)
	if !ok {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	// Without rm=true the real one looks among experiments of another kind, where it finds none of ROS.
	if r.URL.Query().Get("rm") != "true" {
		kruizeMessage(w, http.StatusBadRequest, "Experiment not found!")
		return
	}
	k.deleted = appendBounded(k.deleted, name)
	at := slices.Index(k.known, name)
	if at < 0 {
		kruizeMessage(w, http.StatusBadRequest, "Experiment not found!") // it has no 404
		return
	}
	k.known = slices.Delete(k.known, at, at+1)
	kruizeMessage(w, http.StatusCreated, "Experiment deleted successfully.")
}

func (k *kruize) list(w http.ResponseWriter) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := []experiment{}
	for _, name := range k.known {
		known = append(known, experiment{name})
	}
	kruizeAnswer(w, http.StatusOK, known)
}

func (k *kruize) listDeleted(w http.ResponseWriter) {
	k.mu.Lock()
	defer k.mu.Unlock()
	kruizeAnswer(w, http.StatusOK, append([]string{}, k.deleted...))
}

// experimentOf reads the one experiment that a request may name; else it answers, and ok is false.
func experimentOf(w http.ResponseWriter, r *http.Request) (name string, ok bool) {
	var all []experiment
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, kruizeMaxBody)).Decode(&all)
	if err != nil || len(all) != 1 || all[0].Name == "" {
		kruizeMessage(w, http.StatusBadRequest, "Exactly one experiment is expected.")
		return "", false
	}
	return all[0].Name, true
}

func appendBounded(names []string, name string) []string {
	names = append(names, name)
	return slices.Delete(names, 0, max(0, len(names)-kruizeKeeps))
}

func kruizeMessage(w http.ResponseWriter, status int, message string) {
	outcome := "SUCCESS"
	if status >= http.StatusBadRequest {
		outcome = "ERROR"
	}
	kruizeAnswer(w, status, map[string]any{
		"message": message, "httpcode": status, "documentationLink": "", "status": outcome})
}

func kruizeAnswer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only if the caller has gone
}
