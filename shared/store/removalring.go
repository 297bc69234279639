package store

import (
	"fmt"
	"slices"
	"strings"
)

// groupsOf puts the tables that are reached from table into groups: where some refer to each other, in whatever
// roundabout way, they are one. A group comes after all that refer to it. (Tarjan's algorithm for strongly connected
// components gives them in this order.)
func groupsOf(table string, referrers func(table string) []string) (groups [][]string) {
	index, low := map[string]int{}, map[string]int{}
	var open []string // visited, and not yet in a group
	var visit func(table string)
	visit = func(table string) {
		index[table] = len(index) + 1
		low[table] = index[table]
		open = append(open, table)
		for _, r := range referrers(table) {
			if index[r] == 0 {
				visit(r)
				low[table] = min(low[table], low[r])
			} else if slices.Contains(open, r) {
				low[table] = min(low[table], index[r])
			}
		}
		if low[table] == index[table] {
			at := slices.Index(open, table)
			groups = append(groups, slices.Clone(open[at:]))
			open = open[:at]
		}
	}
	visit(table)
	return groups
}

// ringOf returns the group of table if rows of it may refer to each other: it has several tables, or one that
// refers to itself. In a group like that no table's rows can go before all those of another.
func (p *removalPlan) ringOf(table string) []string {
	for _, group := range p.groups {
		if slices.Contains(group, table) && (len(group) > 1 || slices.Contains(p.referrers(table), table)) {
			return group
		}
	}
	return nil
}

// gone is a query for the rows of a ring that seeds yields, and all that refer to one of those, directly or not: what
// has to go at once. A row is told by its leaf and its place there.
func (p *removalPlan) gone(ring []string, seeds string) string {
	var referring []string
	for _, r := range p.references {
		if slices.Contains(ring, r.From.table()) && slices.Contains(ring, r.To.table()) && !setNull(r.From) {
			referring = append(referring, fmt.Sprintf(`
				SELECT f.tableoid, f.ctid::text FROM %s t JOIN %s f ON f.%s = t.%s WHERE t.tableoid = g.leaf AND t.ctid = g.place::tid`,
				r.To.table(), r.From.table(), r.From.name(), r.To.name()))
		}
	}
	// The places are text: PostgreSQL 13 cannot tell equal ones apart in a recursion otherwise.
	return "gone (leaf, place) AS ((" + seeds + `)
		UNION SELECT r.* FROM gone g CROSS JOIN LATERAL (` + strings.Join(referring, " UNION ALL ") + `) r)`
}

// goneOf is a query for the values of a column of a ring's table, in the rows that go.
func (p *removalPlan) goneOf(ring []string, c column) string {
	var seeds []string
	for _, table := range ring {
		for _, condition := range p.conditions[table] {
			seeds = append(seeds, "SELECT tableoid, ctid::text FROM "+table+" WHERE "+condition.where)
		}
	}
	return "WITH RECURSIVE " + p.gone(ring, strings.Join(seeds, " UNION ALL ")) +
		" SELECT t." + c.name() + " FROM gone JOIN " + c.table() + " t ON t.tableoid = gone.leaf AND t.ctid = gone.place::tid"
}

// deleteRing deletes what was found in a leaf with all that refers to it, in one statement: at its end, when foreign
// keys are looked at, none of those rows is left, whether their keys are deferred or not. How much that is depends on
// how the rows hang together, and not on us; where they do not, it is what was found.
func (p *removalPlan) deleteRing(ring []string, table string) string {
	sql := ", " + p.gone(ring, "SELECT '"+strings.ReplaceAll(table, "'", "''")+"'::regclass::oid, place::text FROM found")
	n := 0
	for _, t := range ring {
		for _, l := range p.leaves[t] {
			n++
			sql += fmt.Sprintf(`, gone%d AS (DELETE FROM ONLY %s WHERE ctid = ANY (ARRAY (
				SELECT place::tid FROM gone WHERE leaf = '%s'::regclass)))`, n, l.Table, strings.ReplaceAll(l.Table, "'", "''"))
		}
	}
	return sql + " SELECT FROM gone"
}
