package migrations

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed shared_tables.txt
var sharedTablesText string

// A sharedTable is a table of Koku's as the functions need it.
type sharedTable struct {
	name    string // without its schema, which is public
	columns []sharedColumn
}

// A sharedColumn is a column of one.
type sharedColumn struct {
	name, kind         string // kind as format_type writes it
	filled, uniq, null bool   // every INSERT of ours gives it; ON CONFLICT relies on it; it has to take a null
}

// inserts reports whether the functions add rows to t.
func (t sharedTable) inserts() bool {
	for _, c := range t.columns {
		if c.filled {
			return true
		}
	}
	return false
}

// sharedTables reads shared_tables.txt, in its order.
func sharedTables() []sharedTable {
	var tables []sharedTable
	for line := range strings.Lines(sharedTablesText) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if len(tables) == 0 || tables[len(tables)-1].name != fields[0] {
			tables = append(tables, sharedTable{name: fields[0]})
		}
		t := &tables[len(tables)-1]
		t.columns = append(t.columns, sharedColumn{name: fields[1], kind: strings.Join(fields[3:], " "),
			filled: fields[2] != "-", uniq: fields[2] == "key", null: fields[2] == "null"})
	}
	return tables
}

// fits reports whether a column of type have does where want is expected: the same, or wider text.
func fits(have, want string) bool {
	var has, wants int
	if n, _ := fmt.Sscanf(want, "character varying(%d)", &wants); n == 0 || have == want {
		return have == want
	}
	n, _ := fmt.Sscanf(have, "character varying(%d)", &has)
	return have == "text" || have == "character varying" || n == 1 && has >= wants
}
