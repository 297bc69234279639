package takeover

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Report tells what Run did and found.
type Report struct {
	// Taken counts the sources that were taken over by their state: ready, pending, waiting or failed, or deleted.
	Taken map[string]int
	// Notes tell of the others, and of the sources that came apart.
	Notes []Note
}

// A Note is a fact, and the sources of which it is true: how many, and the first of them.
type Note struct {
	Text  string
	Count int
	IDs   []int64
}

// maxNamed is how many ids a note names.
const maxNamed = 20

func (r *Report) count(state string) {
	if r.Taken == nil {
		r.Taken = map[string]int{}
	}
	r.Taken[state]++
}

func (r *Report) note(text string, id int64) {
	i := slices.IndexFunc(r.Notes, func(n Note) bool { return n.Text == text })
	if i < 0 {
		i = len(r.Notes)
		r.Notes = append(r.Notes, Note{Text: text})
	}
	n := &r.Notes[i]
	n.Count++
	if len(n.IDs) < maxNamed {
		n.IDs = append(n.IDs, id)
	}
}

func (r Report) clone() Report {
	notes := slices.Clone(r.Notes)
	for i := range notes {
		notes[i].IDs = slices.Clone(notes[i].IDs)
	}
	return Report{Taken: maps.Clone(r.Taken), Notes: notes}
}

// Print writes the report for a person: nothing where there is nothing to tell.
func (r Report) Print(w io.Writer) error {
	var text strings.Builder
	if len(r.Taken) > 0 {
		total, parts := 0, []string{}
		for _, state := range []string{"ready", "pending", "waiting", "failed", "deleted"} {
			total += r.Taken[state]
			parts = append(parts, fmt.Sprintf("%d %s", r.Taken[state], state))
		}
		fmt.Fprintf(&text, "taken over from Koku: %d (%s)\n", total, strings.Join(parts, ", "))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&text, "%d %s: source%s %s\n", n.Count, n.Text, plural(n.Count), named(n.IDs, n.Count))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// named lists ids, and says where there are more.
func named(ids []int64, count int) string {
	texts := make([]string, 0, len(ids)+1)
	for _, id := range ids {
		texts = append(texts, strconv.FormatInt(id, 10))
	}
	if count > len(ids) {
		texts = append(texts, "…")
	}
	return strings.Join(texts, ", ")
}
