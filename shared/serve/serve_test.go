package serve_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/serve"
)

// TestStop: a request in flight is answered, then the function is stopped, and only then Serve returns.
func TestStop(t *testing.T) {
	t.Parallel()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun, finish, stopped := make(chan struct{}), make(chan struct{}), make(chan struct{})
	function := serve.Function{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(begun)
			<-finish
			_, _ = io.WriteString(w, "done")
		}),
		Stop: func(context.Context) error {
			close(stopped)
			return nil
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve.Serve(ctx, listener, function) }()
	answer := make(chan string, 1)
	go func() { answer <- get(t, "http://"+listener.Addr().String()+"/any") }()
	<-begun
	cancel()
	select {
	case <-stopped:
		t.Error("the function was stopped with a request in flight")
	case <-served:
		t.Error("Serve returned with a request in flight")
	default:
	}
	close(finish)
	if got := <-answer; got != "200 done" {
		t.Errorf("the request in flight was answered %q", got)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve() = %v", err)
	}
	<-stopped
}

func get(t *testing.T, url string) string {
	response, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(response.Status[:4] + string(body))
}

func TestProbes(t *testing.T) {
	t.Parallel()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve.Serve(ctx, listener, serve.Function{Handler: http.NotFoundHandler()}) }()
	for path, want := range map[string]string{"/healthz": "200", "/readyz": "200", "/other": "404 404 page not found"} {
		if got := get(t, "http://"+listener.Addr().String()+path); got != want {
			t.Errorf("GET %s = %q, want %q", path, got, want)
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve() = %v", err)
	}
}

// TestLoad changes the environment, so it runs alone.
func TestLoad(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{ // want: what the error names; empty for none
		{"ONPREM", "True", ""},
		{"ONPREM", "TRUE", ""},
		{"ONPREM", "false", "ONPREM"},
		{"PORT", "http", "PORT"},
		{"LOG_LEVEL", "debug", ""},
		{"LOG_LEVEL", "loud", "LOG_LEVEL"},
	} {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			t.Setenv(tt.name, tt.value)
			_, err := serve.Load[serve.Config]()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load() = %v, want an error about %q", err, tt.want)
			}
		})
	}
}
