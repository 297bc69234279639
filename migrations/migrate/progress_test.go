package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/migrations"
)

// TestLines: ten thousand tenants are a hundred lines, each with the time that is left, and one for each that failed.
func TestLines(t *testing.T) {
	t.Parallel()

	var said bytes.Buffer
	report, _ := progress(context.Background(), slog.New(slog.NewTextHandler(&said, nil)), &said)
	report(migrations.Progress{Done: 5000, Total: 10_000})
	for done := 5001; done <= 10_000; done++ {
		p := migrations.Progress{Done: done, Total: 10_000, Schema: "org1"}
		if done == 7777 {
			p.Err = &migrations.TenantError{Schema: "org1", Err: errors.New("in the way")}
		}
		report(p)
	}
	all := strings.Split(strings.TrimSpace(said.String()), "\n")
	if len(all) != 1+50+1 || strings.Count(said.String(), "tenant org1: in the way") != 1 {
		t.Errorf("%d lines were said, want 1 at the beginning, 50 and 1 that failed:\n%s", len(all), &said)
	}
}

// TestEstimate: what had nothing to run says nothing about how long the others take.
func TestEstimate(t *testing.T) {
	t.Parallel()

	var said bytes.Buffer
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := &lines{log: slog.New(slog.NewTextHandler(&said, nil)), now: func() time.Time { return at }}
	l.tell(context.Background(), migrations.Progress{Done: 800, Total: 1000})
	at = at.Add(30 * time.Second)
	l.tell(context.Background(), migrations.Progress{Done: 850, Total: 1000, Schema: "a"})
	_, last, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
	_, left, _ := strings.Cut(last, "done=850 of=1000 left=")
	if diff := cmp.Diff("1m30s", left); diff != "" {
		t.Errorf("with 50 of 200 done in 30 s (-want +got):\n%s\n%s", diff, &said)
	}
}
