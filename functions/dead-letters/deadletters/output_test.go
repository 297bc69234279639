package deadletters_test

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/functions/dead-letters/deadletters"
)

// run runs the command.
func (w world) run(args ...string) (stdout, stderr string, err error) {
	return w.runIn(w.Context(), args...)
}

// runIn is run with a context that may end.
func (w world) runIn(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, log bytes.Buffer
	err = deadletters.Run(ctx, func() (deadletters.Config, error) { return w.cfg, nil }, args, &out, &log)
	return out.String(), log.String(), err
}

// redrive redrives what args choose.
func (w world) redrive(args ...string) (stdout, stderr string, err error) {
	return w.run(append([]string{"redrive", "-why", "the function was mended", "-who", "tester"}, args...)...)
}

var (
	times  = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	places = regexp.MustCompile(`(?m)^\d/\d+ `)
)

// want compares what the command has printed, without times and places, and its error.
func (w world) want(what, want, wantErr, got string, err error) {
	w.Helper()
	got = places.ReplaceAllString(times.ReplaceAllString(got, "TIME"), "P ")
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
	if gotErr := errText(err); gotErr != wantErr {
		w.Errorf("%s: error %q, want %q", what, gotErr, wantErr)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// squeeze leaves of the spaces between the columns of the table as many as the word TIME needs.
func squeeze(table string) string {
	table = times.ReplaceAllString(table, "TIME")
	table = strings.ReplaceAll(table, "FIRST                 LAST                  REASON", "FIRST  LAST   REASON")
	return strings.ReplaceAll(table, "TIME  TIME  ", "TIME   TIME   ")
}

// sortLetters sorts the lines before the table: which partition a letter is in says nothing.
func sortLetters(out string) string {
	before, table, _ := strings.Cut(places.ReplaceAllString(out, "P "), "LETTERS")
	lines := strings.SplitAfter(before, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "") + "LETTERS" + table
}
