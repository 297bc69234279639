package preflight

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// A level is what a line begins with.
type level string

const (
	levelOK   level = "ok"
	levelMade level = "made" // of a topic
	levelWarn level = "warn" // it works, but perhaps not as somebody thinks
	levelFail level = "FAIL"
)

// A line is about one variable.
type line struct {
	level      level
	name, text string
}

// A report is what there is to say about something.
type report struct{ lines []line }

func (r *report) add(l level, name, format string, args ...any) {
	r.lines = append(r.lines, line{l, name, fmt.Sprintf(format, args...)})
}

func (r *report) ok(name, format string, args ...any)   { r.add(levelOK, name, format, args...) }
func (r *report) warn(name, format string, args ...any) { r.add(levelWarn, name, format, args...) }
func (r *report) fail(name, format string, args ...any) { r.add(levelFail, name, format, args...) }

func (r *report) failed() int {
	n := 0
	for _, l := range r.lines {
		if l.level == levelFail {
			n++
		}
	}
	return n
}

// nameWidth is that of the longest name, OTEL_EXPORTER_OTLP_ENDPOINT.
const nameWidth = 27

func (r *report) print(w io.Writer) error {
	for _, l := range r.lines {
		if _, err := fmt.Fprintf(w, "%-4s  %-*s  %s\n", l.level, nameWidth, l.name, shown(l.text)); err != nil {
			return err
		}
	}
	return nil
}

// maxShown bounds a line: part of it may be what somebody has answered.
const maxShown = 600

// shown is text as one line that a terminal can be shown.
func shown(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\ufffd"), func(r rune) bool {
		return r == ' ' || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(text); len(runes) > maxShown {
		return string(runes[:maxShown]) + "…"
	}
	return text
}
