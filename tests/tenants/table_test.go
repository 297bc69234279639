package tenants_test

import (
	"fmt"
	"strings"
)

// table writes the results as markdown: for each size the figure and, in parentheses, as a multiple of what it was in the
// small database at the same time, or else at the smallest size.
func table(results []result) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, r := range results {
		fmt.Fprintf(&b, " %d tenants |", r.size)
	}
	b.WriteString("\n|" + strings.Repeat(" --- |", len(results)+1) + "\n")
	for i, first := range results[0].figures {
		fmt.Fprintf(&b, "| %s |", first.name)
		for _, r := range results {
			f := r.figures[i]
			to := f.small
			if to == 0 {
				to = first.value
			}
			fmt.Fprintf(&b, " %s (%.2f) |", strings.TrimSpace(amount(f.value)+" "+f.unit), f.value/to)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// amount has three digits, or all of a whole number.
func amount(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
