package localknative

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

const (
	// maxErrorData is how much of an answer a dead letter quotes, in bytes.
	maxErrorData = 1024

	// maxAnswer is how much of an answer is read, so that its connection can be used again.
	maxAnswer = 64 << 10
)

// A courier POSTs events in binary mode, each until it is taken, refused for
// good, or out of retries.
type courier struct {
	client  *http.Client
	header  http.Header                   // of every request
	retry   int                           // tries after the first
	wait    func(retry int) time.Duration // before a retry; they count from 1
	timeout time.Duration                 // of one try
}

// An answer is what came of an event.
type answer struct {
	status int // 0 if there was none
	header http.Header
	data   []byte // the beginning of the body
	err    error  // why there was none
}

// exponential doubles delay with each retry, before the first too, as Knative does.
func exponential(delay time.Duration) func(int) time.Duration {
	return func(retry int) time.Duration { return delay << retry }
}

func linear(delay time.Duration) func(int) time.Duration {
	return func(retry int) time.Duration { return delay * time.Duration(retry) }
}

// deliver returns the answer that the matter ends with. When ctx ends, the
// request under way may go on for a moment, and no other is made.
func (c courier) deliver(ctx context.Context, url string, e event.Event) answer {
	for retry := 1; ; retry++ {
		a := c.post(ctx, url, e)
		if !a.again() || retry > c.retry || ctx.Err() != nil {
			return a
		}
		wait := c.wait(retry)
		slog.WarnContext(ctx, "event not taken, to be sent again", "url", url, "id", e.ID(), "type", e.Type(),
			"err", a, "retry", retry, "wait", wait)
		pause(ctx, wait)
	}
}

func (c courier) post(ctx context.Context, url string, e event.Event) answer {
	if err := ctx.Err(); err != nil {
		return answer{err: err}
	}
	ctx, stop := withGrace(ctx, stopGrace)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := cehttp.NewHTTPRequestFromEvent(ctx, url, e)
	if err != nil {
		return answer{err: err}
	}
	maps.Copy(req.Header, c.header)
	resp, err := c.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	// Where it breaks off, the status says all the same what became of the event.
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorData))
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	return answer{status: resp.StatusCode, header: resp.Header, data: data}
}

func (a answer) taken() bool { return a.status/100 == 2 }

// again reports whether the answer asks for another try. The list is that of the
// Kafka data plane.
func (a answer) again() bool {
	switch a.status {
	case 0, http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return true
	}
	return a.status >= 500
}

func (a answer) Error() string {
	if a.err != nil {
		return a.err.Error()
	}
	return strconv.Itoa(a.status) + " " + http.StatusText(a.status)
}

// deadLetter is e with what there is to say about its failure at url: code and
// data only where there was an answer, and each of its kne- headers.
func deadLetter(e event.Event, url string, a answer) event.Event {
	e = e.Clone()
	e.SetExtension("knativeerrordest", url)
	if a.status == 0 {
		return e
	}
	e.SetExtension("knativeerrorcode", strconv.Itoa(a.status))
	for name, values := range a.header {
		// A name with a further dash is none for an attribute; Knative stumbles over it.
		if name, ok := strings.CutPrefix(strings.ToLower(name), "kne-"); ok && event.IsExtensionNameValid(name) {
			e.SetExtension(name, printable([]byte(values[0])))
		}
	}
	if len(a.data) > 0 {
		e.SetExtension("knativeerrordata", base64.StdEncoding.EncodeToString(a.data))
	}
	return e
}

// absolute reports a URL that nothing can be sent to.
func absolute(url string) error {
	req, err := http.NewRequest(http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	if req.URL.Host == "" {
		return errors.New("no absolute URL: " + strconv.Quote(url))
	}
	return nil
}
