package httpapi

import (
	"context"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// deadline is how long a request may take before its answer is that PostgreSQL is away.
const deadline = 20 * time.Second

// A Route is a path below Prefix and what it answers to each method. HEAD goes where GET does.
type Route struct {
	Path    string // as in http.ServeMux
	Open    bool   // needs no identity
	Methods map[string]HandlerFunc
}

// An API serves routes, and can tell which.
type API struct {
	http.Handler
	routes []Route
}

// Routes are what is served below Prefix.
func (a API) Routes() []Route { return a.routes }

// Routes serves routes, each with and without a trailing slash, and outside Prefix the document that
// describes those of all APIs. require says who calls: it returns the request's context with the caller in
// it, or the error that is the answer.
func Routes(require func(*http.Request) (context.Context, error), routes ...Route) API {
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.Handle(Prefix+route.Path, route.handler(require))
	}
	mux.Handle(documentRoute.Path, documentRoute.handler(require))
	mux.Handle("/", HandlerFunc(unknownPath))
	return API{routes: routes, Handler: HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		// The mux would redirect such paths to clean ones; clients that do not follow would be lost.
		if path.Clean(r.URL.Path) != strings.TrimSuffix(r.URL.Path, "/") && r.URL.Path != "/" {
			return unknownPath(w, r)
		}
		ctx, cancel := context.WithTimeout(r.Context(), deadline)
		defer cancel()
		if !trace.SpanContextFromContext(ctx).IsValid() { // else whoever serves us has begun a span already
			ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
		}
		known := withoutSlash(r.WithContext(ctx))
		mux.ServeHTTP(w, known)
		r.Pattern = known.Pattern // for whoever serves us
		return nil
	})}
}

func unknownPath(_ http.ResponseWriter, r *http.Request) error {
	r.Pattern = "" // what the mux has for all that is unknown is no route
	return sources.NotFoundf("Not found.")
}

// withoutSlash is r without the slash at the end of its path.
func withoutSlash(r *http.Request) *http.Request {
	// An encoded slash is a part of the last segment.
	if len(r.URL.Path) < 2 || !strings.HasSuffix(r.URL.EscapedPath(), "/") {
		return r
	}
	u := *r.URL
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
	r = r.Clone(r.Context())
	r.URL = &u
	return r
}

// handler asks who calls before anything else: without an identity a known path is 401 whatever else is
// wrong with the request (contract section 2.4).
func (route Route) handler(require func(*http.Request) (context.Context, error)) http.Handler {
	methods := maps.Clone(route.Methods)
	if get, ok := methods[http.MethodGet]; ok {
		methods[http.MethodHead] = get
	}
	allow := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
	return HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if !route.Open {
			ctx, err := require(r)
			if err != nil {
				return err
			}
			r = r.WithContext(ctx)
		}
		method, ok := methods[r.Method]
		if !ok {
			w.Header().Set("Allow", allow)
			return &sources.Error{Kind: sources.NotAllowed, Msg: "Method " + r.Method + " is not allowed."}
		}
		return method(w, r)
	})
}

// PathRef reads the {id} of a source; anything that is neither a number nor a UUID is NotFound.
func PathRef(r *http.Request) (sources.Ref, error) {
	ref, ok := sources.ParseRef(r.PathValue("id"))
	if !ok {
		return ref, sources.NoSource()
	}
	return ref, nil
}
