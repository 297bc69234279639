package retire

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// print shows what could be retired.
func (r *run) print(tenants []store.SpareTenant) error {
	table := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ORG\tSCHEMA\tSINCE\tSIZE\tRELATIONS\tMADE BY")
	var bytes int64
	for _, t := range tenants {
		bytes += t.Bytes
		maker := "Koku"
		if t.Ours {
			maker = "us"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", t.OrgID, t.Schema, t.Since.UTC().Format(time.RFC3339), size(t.Bytes), t.Relations, maker)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(r.out, "%d without a source for longer than %s, %s\n", len(tenants), r.opts.idle, size(bytes)); err != nil {
		return err
	}
	return r.end()
}

func size(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// oneLine is what somebody said, for one line of ours.
func oneLine(said string) string { return strings.Join(strings.Fields(said), " ") }
