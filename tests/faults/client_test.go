package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
)

// patience is how long a client tries at all. No fault lasts as long.
const patience = 3 * time.Minute

// A call is a request to one of the APIs.
type call struct {
	method, path, body string
	key                string // the Idempotency-Key of a POST
}

// A reply is how a call was answered in the end.
type reply struct {
	status int
	body   map[string]any
	// unsure says that an earlier try got no answer, so that it may have been carried out.
	unsure bool
}

// id is a number of the reply's body that is written as text.
func (r reply) id() (id int64, err error) {
	_, err = fmt.Sscan(fmt.Sprint(r.body["id"]), &id)
	return id, err
}

// duplicate reports the refusal of a cluster that another source has.
func (r reply) duplicate() bool {
	problems, _ := r.body["errors"].([]any)
	if r.status != http.StatusBadRequest || len(problems) != 1 {
		return false
	}
	problem, _ := problems[0].(map[string]any)
	return problem["source"] == "source.duplicate"
}

// try makes a call until it is answered by something else than that a part of the system is away. Each try goes to
// another process of the function.
func (a *actor) try(c call) (reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	var unsure bool
	for {
		r, err := a.tryOnce(ctx, c)
		if err == nil && r.status != http.StatusFailedDependency {
			r.unsure = unsure
			return r, nil
		}
		// A commit whose answer is lost is told as a database that is away, too.
		unsure = true
		select {
		case <-pause.C:
		case <-ctx.Done():
			return r, fmt.Errorf("%s %s: no answer in %v: %v %w", c.method, c.path, patience, r, err)
		}
	}
}

func (a *actor) tryOnce(ctx context.Context, c call) (r reply, err error) {
	instances := a.functions["sources"]
	if strings.HasPrefix(c.path, "/applications") {
		instances = a.functions["applications"]
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	url := instances[a.rand.IntN(len(instances))].url() + httpapi.Prefix + c.path
	request, err := http.NewRequestWithContext(ctx, c.method, url, strings.NewReader(c.body))
	if err != nil {
		return r, err
	}
	request.Header.Set("X-Rh-Identity", apitest.Header(a.org))
	request.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		request.Header.Set("Idempotency-Key", c.key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return r, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return r, err
	}
	r.status = response.StatusCode
	if len(text) > 0 {
		err = json.Unmarshal(text, &r.body)
	}
	return r, err
}
