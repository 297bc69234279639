package retire

import (
	"fmt"
	"slices"
	"strings"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// A toc is what pg_restore --list says of a dump, sorted: kind, schema, name and owner of each thing in it.
type toc []string

// contents reads the lines of a list, which begin with numbers, as in "215; 1259 16389 TABLE org1 cost_model koku".
func contents(list string) toc {
	var t toc
	for line := range strings.Lines(list) {
		if parts := strings.SplitN(line, " ", 4); len(parts) == 4 && strings.HasSuffix(parts[0], ";") {
			t = append(t, parts[3])
		}
	}
	slices.Sort(t)
	return t
}

// holds returns an error if a schema is not there, one of its tables, or the rows of one that has some itself.
func (t toc) holds(schema string, tables []store.Table) error {
	entries := []string{"SCHEMA - " + schema}
	for _, table := range tables {
		entries = append(entries, "TABLE "+schema+" "+table.Name)
		if !table.Partitioned {
			entries = append(entries, "TABLE DATA "+schema+" "+table.Name)
		}
	}
	for _, entry := range entries {
		// The owner's name follows.
		if i, _ := slices.BinarySearch(t, entry+" "); i == len(t) || !strings.HasPrefix(t[i], entry+" ") {
			return fmt.Errorf("the dump does not hold %s", entry)
		}
	}
	return nil
}
