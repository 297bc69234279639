package faults_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
)

// The ways in which a sink fails.
const (
	unknown = "unknown" // 404: the receiver has not heard of the sink
	refuses = "refuses" // 503
	silent  = "silent"  // no answer until the caller gives up
	late    = "late"    // the event is written when the caller has given up
	unheard = "unheard" // the event is written and the answer lost
)

// A faultySink is a KafkaSink that may fail in one of these ways, every other time.
type faultySink struct {
	sink http.Handler
	mode atomic.Value // a string; empty where all is well
}

func newFaultySink(sink http.Handler) *faultySink {
	f := &faultySink{sink: sink}
	f.mode.Store("")
	return f
}

func (f *faultySink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mode := f.mode.Load().(string)
	if mode == "" || rand.IntN(2) == 0 {
		f.sink.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller is gone
	}
	switch mode {
	case unknown:
		w.WriteHeader(http.StatusNotFound)
	case refuses:
		w.WriteHeader(http.StatusServiceUnavailable)
	case silent:
		<-r.Context().Done()
	case late:
		<-r.Context().Done()
		f.pass(r, body)
	case unheard:
		f.pass(r, body)
		panic(http.ErrAbortHandler) // ends the connection
	}
}

// pass has the sink write the event whether or not somebody waits for that.
func (f *faultySink) pass(r *http.Request, body []byte) {
	r = r.Clone(context.WithoutCancel(r.Context()))
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.sink.ServeHTTP(httptest.NewRecorder(), r)
}
