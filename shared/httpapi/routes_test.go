package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// TestErrors: every kind of error has its status and the one body; nothing of the inside shows.
func TestErrors(t *testing.T) {
	t.Parallel()

	inside := errors.New("SELECT secret FROM host")
	fail := func(kind sources.Kind) error {
		return &sources.Error{Kind: kind, Field: "field", Msg: "told", Err: inside}
	}
	for path, tt := range map[string]struct {
		err  error
		want string
	}{
		"/unavailable":  {fail(sources.Unavailable), "424 field: told"},
		"/invalid":      {fail(sources.Invalid), "400 field: told"},
		"/unauthorized": {fail(sources.Unauthorized), "401 field: told"},
		"/forbidden":    {fail(sources.Forbidden), "403 field: told"},
		"/not-found":    {fail(sources.NotFound), "404 field: told"},
		"/not-allowed":  {fail(sources.NotAllowed), "405 field: told"},
		"/too-large":    {fail(sources.TooLarge), "413 field: told"},
		"/media-type":   {fail(sources.MediaType), "415 field: told"},
		"/internal":     {fail(sources.Internal), "500 <nil>: internal error"},
		"/blocked":      {fail(sources.Blocked), "500 field: told"},
		"/bug":          {inside, "500 <nil>: internal error"},
		"/panic":        {nil, "500 <nil>: internal error"},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			open := func(r *http.Request) (context.Context, error) { return r.Context(), nil }
			c := apitest.Serve(t, httpapi.Routes(open, httpapi.Route{Path: path, Methods: map[string]httpapi.HandlerFunc{
				"GET": func(http.ResponseWriter, *http.Request) error {
					if tt.err == nil {
						panic(inside)
					}
					return tt.err
				}}}), "org1")
			got := c.Do(t, "GET", path, "")
			if got.Problem() != tt.want || strings.Contains(got.Text, "secret") {
				t.Errorf("answered %s, want %s", got.Text, tt.want)
			}
			if got.Header.Get("Content-Length") == "" || got.Header.Get("Content-Type") != "application/json" {
				t.Errorf("the headers are %v", got.Header)
			}
		})
	}
}

func TestMediaType(t *testing.T) {
	t.Parallel()

	for kind, status := range map[string]int{
		"": 200, "application/json": 200, "Application/JSON; charset=utf-8": 200,
		"text/plain": 415, "application/x-www-form-urlencoded": 415, "application/merge-patch+json": 415, ";": 415,
	} {
		open := func(r *http.Request) (context.Context, error) { return r.Context(), nil }
		c := apitest.Serve(t, httpapi.Routes(open, httpapi.Route{Path: "/a", Methods: map[string]httpapi.HandlerFunc{
			"POST": func(w http.ResponseWriter, r *http.Request) error {
				body, err := httpapi.ReadJSON(w, r)
				if err != nil {
					return err
				}
				return httpapi.WriteJSON(w, http.StatusOK, body)
			}}}), "org1")
		request, err := http.NewRequestWithContext(t.Context(), "POST", c.URL+httpapi.Prefix+"/a", strings.NewReader(`{"link": "a&b"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", kind)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != status {
			t.Errorf("Content-Type %q is answered %d, want %d", kind, response.StatusCode, status)
		}
	}
}
