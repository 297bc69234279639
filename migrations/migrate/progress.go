package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/insights-onprem/cost-sources/migrations"
)

// progress shows how far the tenants are: to a person by a bar, to a log by a line for each per cent, both with an
// estimate of what is left. A tenant that fails is named at once. The second function is to be called when there is
// nothing more to show.
func progress(ctx context.Context, log *slog.Logger, stderr io.Writer) (report func(migrations.Progress), end func()) {
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return bar(stderr)
	}
	return (&lines{log: log}).report(ctx), func() {}
}

// lines writes progress to a log.
type lines struct {
	log     *slog.Logger
	begun   time.Time
	before  int // those that were done when it began
	percent int // that was last written
}

func (l *lines) report(ctx context.Context) func(migrations.Progress) {
	return func(p migrations.Progress) {
		if p.Schema == "" {
			l.begun, l.before, l.percent = time.Now(), p.Done, percent(p)
			l.log.InfoContext(ctx, "migrating tenants", "tenants", p.Total, "done", p.Done)
			return
		}
		if p.Err != nil {
			l.log.ErrorContext(ctx, "tenant not migrated", "done", p.Done, "of", p.Total, "err", p.Err)
		}
		if now := percent(p); now > l.percent {
			l.percent = now
			l.log.InfoContext(ctx, "tenants migrated", "done", p.Done, "of", p.Total, "percent", now, "left", l.left(p))
		}
	}
}

func percent(p migrations.Progress) int { return 100 * p.Done / max(1, p.Total) }

// left estimates the time for the rest by that for what this run has done.
func (l *lines) left(p migrations.Progress) time.Duration {
	each := time.Since(l.begun) / time.Duration(max(1, p.Done-l.before))
	return (each * time.Duration(p.Total-p.Done)).Round(time.Second)
}

// bar draws on a terminal. What fails is written above it.
func bar(terminal io.Writer) (report func(migrations.Progress), end func()) {
	var drawn *progressbar.ProgressBar
	report = func(p migrations.Progress) {
		if drawn == nil && p.Total > 0 {
			drawn = newBar(terminal, p.Total)
		}
		if drawn != nil {
			if p.Err != nil {
				_, _ = progressbar.Bprintln(drawn, p.Err)
			}
			_ = drawn.Set(p.Done) // a bar that cannot be drawn is no reason to stop
		}
	}
	end = func() {
		if drawn != nil {
			_, _ = io.WriteString(terminal, "\n")
		}
	}
	return report, end
}

func newBar(terminal io.Writer, total int) *progressbar.ProgressBar {
	return progressbar.NewOptions(total,
		progressbar.OptionSetWriter(terminal),
		progressbar.OptionSetDescription("tenants"),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetRenderBlankState(true))
}
