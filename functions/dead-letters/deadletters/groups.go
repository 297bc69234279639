package deadletters

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	// maxReasons is how many reasons are counted each by itself: their texts are outside input.
	maxReasons   = 1000
	otherReasons = "other reasons"
)

// A group is the letters that have one reason.
type group struct {
	reason      string
	letters     int
	events      identities
	first, last time.Time
}

// count adds l to its group.
func count(groups map[string]*group, l letter) {
	reason := l.reason
	if groups[reason] == nil && len(groups) >= maxReasons {
		reason = otherReasons
	}
	g := groups[reason]
	if g == nil {
		g = &group{reason: reason, events: identities{}, first: l.at, last: l.at}
		groups[reason] = g
	}
	g.letters++
	if l.event != nil {
		g.events.add(l)
	}
	if l.at.Before(g.first) {
		g.first = l.at
	}
	if l.at.After(g.last) {
		g.last = l.at
	}
}

// printGroups begins with the reason that most letters have.
func printGroups(w io.Writer, groups map[string]*group) error {
	if len(groups) == 0 {
		_, err := fmt.Fprintln(w, "no dead letters")
		return err
	}
	sorted := make([]*group, 0, len(groups))
	for _, g := range groups {
		sorted = append(sorted, g)
	}
	slices.SortFunc(sorted, func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.letters, a.letters), strings.Compare(a.reason, b.reason))
	})
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "LETTERS\tEVENTS\tFIRST\tLAST\tREASON")
	for _, g := range sorted {
		fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%s\n", g.letters, len(g.events), stamp(g.first), stamp(g.last), g.reason)
	}
	return table.Flush()
}

// stamp is a time on the wire's terms, "-" where there is none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
