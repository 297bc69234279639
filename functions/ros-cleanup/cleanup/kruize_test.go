package cleanup_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup"
	"github.com/insights-onprem/cost-sources/shared/events"
)

// A kruizeAnswer is how Kruize answers, and how the function then does.
type kruizeAnswer struct {
	name   string
	answer http.HandlerFunc // nil: nobody listens
	want   int
}

func kruizeAnswers(elsewhere string) []kruizeAnswer {
	status := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	redirect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+"createExperiment?rm=true", status)
		}
	}
	return []kruizeAnswer{
		{"created", status(201, `{"message":"Experiment deleted successfully."}`), 204},
		{"not found", status(400, `{"message":"Experiment not found!","httpcode":400,"documentationLink":"","status":"ERROR"}`), 204},
		{"bad request of another kind", status(400, `{"message":"Bulk entries are not supported."}`), 503},
		{"not found after more than is read", status(400, strings.Repeat(" ", 1<<20)+"Experiment not found!"), 503},
		{"ok", status(200, "Experiment not found!"), 503},
		{"path not found", status(404, "Experiment not found!"), 503},
		{"broken", status(500, "Experiment not found!"), 503},
		{"away", status(503, ""), 503},
		{"moved", redirect(302), 503},
		{"moved with its body", redirect(307), 503},
		{"hanging", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 503},
		{"hanging up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 503},
		{"refusing", nil, 503},
	}
}

func TestKruizeAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	elsewhere := newKruizeServer(t)
	for _, tt := range kruizeAnswers(elsewhere.url) {
		t.Run(tt.name, func(t *testing.T) { w.tryKruizeAnswer(t, tt) })
	}
	elsewhere.wantAsked(t, nil)
}

func (w *world) tryKruizeAnswer(t *testing.T, tt kruizeAnswer) {
	url := w.serve(t, func(cfg *cleanup.Config) {
		cfg.KruizeURL = answering(t, tt.answer)
		if tt.name == "hanging" {
			cfg.KruizeTimeout = 200 * time.Millisecond
		}
	})
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 2)
	w.deleteSource(t, src)

	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), tt.want)
	if tt.want == http.StatusNoContent {
		w.wantGone(t, "org1", src.ID)
		return
	}
	w.wantCount(t, "org1", src.ID, counts(1, 2))
	if w.cleaned(t, src) {
		t.Error("the registry says that ROS is clean")
	}

	// The event comes again, and Kruize is well.
	wantStatus(t, w.serve(t), hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	w.wantGone(t, "org1", src.ID)
}

// answering is the URL of a Kruize that answers so, or of nobody.
func answering(t *testing.T, answer http.HandlerFunc) string {
	if answer == nil {
		nobody := httptest.NewServer(nil)
		nobody.Close()
		return nobody.URL
	}
	k := newKruizeServer(t)
	k.answers(func(w http.ResponseWriter, r *http.Request, _ string) { answer(w, r) })
	return k.url
}

func TestOneExperimentOfManyFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 12)
	names := w.experiments(t, "org1", src.ID)
	w.deleteSource(t, src)

	w.kruize.answers(func(w http.ResponseWriter, _ *http.Request, name string) {
		if strings.HasSuffix(name, "app-7") {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusServiceUnavailable)
	w.wantCount(t, "org1", src.ID, counts(1, 12))

	w.kruize.asked()
	w.kruize.answers(nil)
	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	w.wantGone(t, "org1", src.ID)
	// Some are asked for twice: what was under way when one failed may arrive only now.
	if diff := cmp.Diff(names, slices.Compact(w.kruize.asked())); diff != "" {
		t.Errorf("experiments that Kruize was asked to forget (-want +got):\n%s", diff)
	}
}

func TestWithoutKruize(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	src := w.source(t, "org1")
	w.seed(t, "org1", src.ID, "uuid-1", "prod", 2)
	w.deleteSource(t, src)
	url := w.serve(t, func(cfg *cleanup.Config) { cfg.KruizeURL = "" })
	wantStatus(t, url, hint(t, events.TypeSourceDelete, src.ID), http.StatusNoContent)
	w.wantGone(t, "org1", src.ID)
	w.kruize.wantAsked(t, nil)
}
