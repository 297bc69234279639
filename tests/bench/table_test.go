package bench_test

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A row is a figure beside its limit.
type row struct {
	Figure string  `json:"figure"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Beside string  `json:"beside,omitempty"` // what the limit is
	Limit  float64 `json:"limit,omitempty"`
	Ratio  float64 `json:"ratio,omitempty"` // of the value to the limit
	Noise  float64 `json:"noise,omitempty"` // how far the ratios of the turns lie from it, as a fraction
	Aim    string  `json:"aim,omitempty"`   // that the ratio, or the value, is held to
}

// table writes rows as Markdown.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| figure | | beside | | ratio | aim |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		limit, ratio := "", ""
		if r.Beside != "" {
			limit, ratio = amount(r.Limit)+" "+r.Unit, fmt.Sprintf("%.2f", r.Ratio)
		}
		if r.Noise > 0 {
			ratio += fmt.Sprintf(" ± %.0f %%", 100*r.Noise)
		}
		fmt.Fprintf(&b, "| %s | %s %s | %s | %s | %s | %s |\n", r.Figure, amount(r.Value), r.Unit, r.Beside, limit, ratio, r.Aim)
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

// add adds a figure without turns.
func (w *world) add(figure string, value float64, unit, beside string, limit float64, aim string) {
	r := row{Figure: figure, Value: value, Unit: unit, Beside: beside, Limit: limit, Aim: aim}
	if beside != "" {
		r.Ratio = value / limit
	}
	w.addRow(r)
}

func (w *world) addRow(r row) {
	w.rows = append(w.rows, r)
	progress("%s: %s %s, %s: %s (%.2f ± %.2f)", r.Figure, amount(r.Value), r.Unit, r.Beside, amount(r.Limit), r.Ratio, r.Noise)
}

// inTurns measures a figure and its limit one after the other, several times, so that whatever else the machine does
// meets both.
func (w *world) inTurns(r row, figure, limit func() float64) {
	w.Helper()
	var values, limits, ratios []float64
	for range w.turns {
		values, limits = append(values, figure()), append(limits, limit())
		ratios = append(ratios, values[len(values)-1]/limits[len(limits)-1])
	}
	r.Value, r.Limit, r.Ratio = median(values), median(limits), median(ratios)
	r.Noise = (slices.Max(ratios) - slices.Min(ratios)) / 2 / r.Ratio
	w.addRow(r)
}

func median(of []float64) float64 { return quantile(of, 0.5) }

// quantile is the least of the values that so many of them are not above.
func quantile(of []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// milliseconds are what times are counted in.
func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
