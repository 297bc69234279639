package cleanup

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"golang.org/x/sync/errgroup"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

const (
	parallel  = 4        // more would only make it slow for ROS
	maxAnswer = 64 << 10 // of which its message is a small part
)

// kruize has one experiment for each workload. The zero value stands for none.
type kruize struct {
	endpoint string
	timeout  time.Duration // of one request
	client   *http.Client
}

func newKruize(url string, timeout time.Duration) kruize {
	if url == "" {
		return kruize{}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = parallel
	return kruize{
		// Without rm=true Kruize looks where the experiments of ROS are not, and keeps them.
		endpoint: strings.TrimSuffix(url, "/") + "/createExperiment?rm=true",
		timeout:  timeout,
		client: &http.Client{
			Transport: otelhttp.NewTransport(transport),
			// What a redirect leads to need not be Kruize, and its word is final.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// forget makes Kruize forget experiments. When it returns nil none of them is left; else the error is
// Unavailable, and any number of them may be.
func (k kruize) forget(ctx context.Context, names []string) error {
	if k.client == nil {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, name := range names {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx) // the group has the first error
			}
			return k.forgetOne(ctx, name)
		})
	}
	if err := group.Wait(); err != nil {
		return &sources.Error{Kind: sources.Unavailable, Msg: "Kruize did not forget an experiment.", Err: err}
	}
	return nil
}

func (k kruize) forgetOne(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	status, answer, err := k.remove(ctx, name)
	if err != nil {
		return fmt.Errorf("kruize: DELETE experiment %q: %w", name, err)
	}
	switch {
	case status == http.StatusCreated:
		return nil
	case status == http.StatusBadRequest && strings.Contains(strings.ToLower(answer), "not found"):
		return nil // Kruize has no 404
	}
	return fmt.Errorf("kruize: DELETE experiment %q: answer %d %.300q", name, status, answer)
}

// remove sends one name at a time: Kruize refuses longer lists.
func (k kruize) remove(ctx context.Context, name string) (status int, answer string, err error) {
	body, err := json.Marshal([]map[string]string{{"experiment_name": name}})
	if err != nil {
		return 0, "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, k.endpoint, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := k.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer)) // the status stands, and half a "not found" is none
	return res.StatusCode, string(text), nil
}
