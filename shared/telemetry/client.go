package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

const (
	tries      = 3 // of a batch, before it is given up
	firstDelay = time.Second
)

// A client posts what one signal has to tell to the collector.
type client struct {
	url    string
	header http.Header
	zipped bool
	http   *http.Client
}

// post tries again what the collector may take the next time.
func (c *client) post(ctx context.Context, m message) error {
	body, err := c.encode(m)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		again, err := c.try(ctx, body)
		if !again || try == tries {
			return err
		}
		select {
		case <-time.After(firstDelay << (try - 1)):
		case <-ctx.Done():
			return err
		}
	}
}

func (c *client) encode(m message) ([]byte, error) {
	if !c.zipped {
		return m, nil
	}
	var small bytes.Buffer
	w := gzip.NewWriter(&small)
	_, err := w.Write(m)
	err = errors.Join(err, w.Close())
	return small.Bytes(), err
}

func (c *client) try(ctx context.Context, body []byte) (again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header = c.header.Clone()
	response, err := c.http.Do(request)
	if err != nil {
		return true, err // it names the URL
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
	if response.StatusCode/100 == 2 {
		return false, nil
	}
	again = slices.Contains([]int{429, 502, 503, 504}, response.StatusCode) // as OTLP has it
	return again, fmt.Errorf("%s: status %d", c.url, response.StatusCode)
}
