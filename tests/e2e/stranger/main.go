// Command stranger is somebody else's pod, who tries what it can reach: it sends the requests that its argument lists
// as JSON, one after the other, and writes how each was answered, a line of JSON for each.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// A request is one to send.
type request struct {
	Method, URL, Body string
	Header            map[string]string
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(list string) error {
	var requests []request
	if err := json.Unmarshal([]byte(list), &requests); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for _, r := range requests {
		status, err := send(r)
		if err != nil {
			return fmt.Errorf("%s %s: %w", r.Method, r.URL, err)
		}
		if err := out.Encode(status); err != nil {
			return err
		}
	}
	return nil
}

func send(r request) (status int, err error) {
	req, err := http.NewRequest(r.Method, r.URL, strings.NewReader(r.Body))
	if err != nil {
		return 0, err
	}
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	client := http.Client{Timeout: time.Minute} // the function may have to be started first
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
