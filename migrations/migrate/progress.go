package main

import (
	"context"
	"io"
	"log/slog"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/insights-onprem/cost-sources/migrations"
)

// progress shows how far the tenants are: to a person by a bar with an estimate, to a log by a line for each. The
// second function is to be called when there is nothing more to show.
func progress(ctx context.Context, log *slog.Logger, stderr io.Writer) (report func(migrations.Progress), end func()) {
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return bar(stderr)
	}
	return func(p migrations.Progress) { logProgress(ctx, log, p) }, func() {}
}

func logProgress(ctx context.Context, log *slog.Logger, p migrations.Progress) {
	switch {
	case p.Schema == "":
		log.InfoContext(ctx, "migrating tenants", "tenants", p.Total)
	case p.Err != nil:
		log.ErrorContext(ctx, "tenant not migrated", "done", p.Done, "of", p.Total, "err", p.Err)
	default:
		log.InfoContext(ctx, "tenant migrated", "done", p.Done, "of", p.Total, "schema", p.Schema)
	}
}

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
