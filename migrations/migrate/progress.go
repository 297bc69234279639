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

// progress shows how far the tenants are: to a person by a bar, to a log by lines, both with an estimate of the time that is left. The
// second function is to be called when there is nothing more to show.
func progress(ctx context.Context, log *slog.Logger, stderr io.Writer) (report func(migrations.Progress), end func()) {
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return bar(stderr)
	}
	l := &lines{log: log, now: time.Now}
	return func(p migrations.Progress) { l.tell(ctx, p) }, func() {}
}

// lines tell a log how far the tenants are: a line at each whole per cent, not one for each of ten thousand, but what
// failed at once.
type lines struct {
	log     *slog.Logger
	now     func() time.Time
	began   time.Time
	first   int // tenants that had nothing to run
	percent int // the last one told
}

func (l *lines) tell(ctx context.Context, p migrations.Progress) {
	if p.Schema == "" {
		l.began, l.first, l.percent = l.now(), p.Done, percent(p)
		l.log.InfoContext(ctx, "migrating tenants", "tenants", p.Total, "at the newest version", p.Done)
		return
	}
	if p.Err != nil {
		l.log.ErrorContext(ctx, "tenant not migrated", "err", p.Err)
	}
	if now := percent(p); now > l.percent {
		l.percent = now
		each := l.now().Sub(l.began) / time.Duration(p.Done-l.first)
		l.log.InfoContext(ctx, "tenants migrated", "done", p.Done, "of", p.Total, "left", (each * time.Duration(p.Total-p.Done)).Round(time.Second))
	}
}

func percent(p migrations.Progress) int { return 100 * p.Done / max(p.Total, 1) }

// bar draws on a terminal. What failed is said at the end, for here it would break the line.
func bar(terminal io.Writer) (report func(migrations.Progress), end func()) {
	var drawn *progressbar.ProgressBar
	report = func(p migrations.Progress) {
		if drawn == nil && p.Total > 0 {
			drawn = newBar(terminal, p.Total)
		}
		if drawn != nil {
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
