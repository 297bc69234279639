package tenants_test

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// samples is how many of each are measured in a benchmark.
const samples = 50

var sizes = flag.String("sizes", "100 1000 10000", "how many tenants there are, from size to size")

// BenchmarkTenants prints the table. It is one run of its own, so b.N is of no use to it: go test calls it once more
// with a greater one only where a run takes less than a second.
func BenchmarkTenants(b *testing.B) {
	var all []int
	for _, size := range strings.Fields(*sizes) {
		n, err := strconv.Atoi(size)
		if err != nil || n < 2*samples || len(all) > 0 && n < all[len(all)-1]+samples {
			b.Fatalf("-sizes: %q: each size has to be a number, and greater by %d than the one before", *sizes, samples)
		}
		all = append(all, n)
	}
	w := newWorld(b, samples)
	fmt.Fprintln(os.Stdout, table(w, all))
}

// table measures the figures at each size and puts them beside each other.
func table(w *world, sizes []int) string {
	w.Helper()
	figures := w.figures()
	measured := make([][]float64, len(figures))
	for _, size := range sizes {
		began := time.Now()
		w.grow(size - w.samples)
		fmt.Fprintf(os.Stderr, "%d tenants after %v\n", w.tenants, time.Since(began).Round(time.Second))
		for i, f := range figures {
			measured[i] = append(measured[i], f.measure(w))
			fmt.Fprintf(os.Stderr, "  %s: %s %s\n", f.name, text(measured[i][len(measured[i])-1]), f.unit)
		}
	}
	lines := []string{"| |", "| --- |"}
	for _, size := range sizes {
		lines[0] += fmt.Sprintf(" %d tenants |", size)
		lines[1] += " ---: |"
	}
	lines[0] += " last to first |"
	lines[1] += " ---: |"
	for i, f := range figures {
		line := "| " + f.name + " |"
		for _, v := range measured[i] {
			line += strings.TrimRight(" "+text(v)+" "+f.unit, " ") + " |"
		}
		ratio := measured[i][len(sizes)-1] / measured[i][0]
		verdict := ""
		if f.bound {
			verdict = map[bool]string{true: ", of 1.5 at most", false: ", more than 1.5"}[ratio <= 1.5]
		}
		lines = append(lines, fmt.Sprintf("%s %.2f%s |", line, ratio, verdict))
	}
	return strings.Join(lines, "\n")
}

func text(v float64) string {
	switch {
	case v >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

// TestTable: the table can be made, and has a number in each place.
func TestTable(t *testing.T) {
	t.Parallel()

	w := newWorld(t, 3)
	lines := strings.Split(table(w, []int{3, 6}), "\n")
	if len(lines) != 2+len(w.figures()) {
		t.Fatalf("the table has %d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	for _, line := range lines[2:] {
		cells := strings.Split(line, "|")
		for _, cell := range cells[2 : len(cells)-1] {
			var v float64
			if _, err := fmt.Sscan(cell, &v); err != nil || v <= 0 {
				t.Errorf("%q is no figure in %s", cell, line)
			}
		}
	}
}
