package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

const (
	// rangeBlocks is how many blocks of a table one statement reads: a megabyte, with some thousands of rows.
	rangeBlocks = 128
	// lookUpRows is how many rows an index is asked for at once. Each time it is asked, it goes past the entries
	// of all rows that are deleted already, which a report that runs for long keeps from being cleared away.
	lookUpRows = 1_000_000
)

// whereFound follows the name of the leaf in a statement that changes what was found.
const whereFound = ` WHERE ctid = ANY (ARRAY (SELECT place FROM found))`

// A step changes the rows of one leaf for which one of the conditions holds.
type step struct {
	leaf       leaf
	conditions []condition
	change     string // the end of a statement, after a query named found
}

// unlinked reports whether no foreign key tells that the step has left something.
func (st step) unlinked() bool {
	return slices.ContainsFunc(st.conditions, func(c condition) bool { return c.unlinked })
}

// indexed reports whether every condition has an index.
func (st step) indexed() bool {
	return !slices.ContainsFunc(st.conditions, func(c condition) bool { return !slices.Contains(st.leaf.Indexed, c.column) })
}

// statement changes the rows in the blocks from, inclusive, to to, exclusive: ONLY the leaf's, as a row of a table that
// inherits from it may have the same place. These are read first and by themselves, so
// that no statistics of whatever age make of it a search through an index of all that was deleted before.
func (st step) statement(from, to int64, blocks blocksFunc) string {
	columns, found := "", make([]string, len(st.conditions))
	for i, c := range st.conditions {
		if name := ", " + (column{Column: c.column}).name(); !strings.Contains(columns+",", name+",") {
			columns += name
		}
		found[i] = "SELECT place FROM range WHERE " + c.where
	}
	return "WITH RECURSIVE range AS MATERIALIZED (SELECT ctid AS place" + columns + " FROM ONLY " + st.leaf.Table + " WHERE " + blocks(from, to) +
		"), found AS MATERIALIZED (" + strings.Join(found, " UNION ALL ") + ") " + st.change
}

// A blocksFunc is the condition for rows to be in a range of blocks.
type blocksFunc func(from, to int64) string

// blocksFunc chooses by the server's version.
func (s *Store) blocksFunc(ctx context.Context) (blocksFunc, error) {
	ranges, err := value[bool](ctx, s, `SELECT current_setting('server_version_num')::integer >= 140000`)
	if err != nil || !ranges {
		return blockPlaces, err
	}
	return blockRange, nil
}

// blockRange is for PostgreSQL 14 and newer.
func blockRange(from, to int64) string {
	return fmt.Sprintf("ctid >= '(%d,0)' AND ctid < '(%d,0)'", from, to)
}

// blockPlaces names every place where there could be a row: PostgreSQL 13 would read the whole table for a range. No
// row takes less than 28 bytes of a block.
func blockPlaces(from, to int64) string {
	return fmt.Sprintf(`ctid = ANY (ARRAY (SELECT format('(%%s,%%s)', b, i)::tid
		FROM generate_series(%d, %d) b, generate_series(1, current_setting('block_size')::integer / 28) i))`, from, to-1)
}

// take takes a step: with indexes only the blocks where they lead, else the table from end to end.
func (r removal) take(ctx context.Context, st step, round string) error {
	if st.indexed() {
		return r.lookUp(ctx, st)
	}
	return r.walk(ctx, st, round)
}

// lookUp has the indexes say in which blocks there are rows, and takes those, until there are none.
func (r removal) lookUp(ctx context.Context, st step) error {
	for idle := 0; ; {
		ranges, err := r.ranges(ctx, st)
		if err != nil || len(ranges) == 0 {
			return err
		}
		rows := int64(0)
		for len(ranges) > 0 {
			n, err := r.batch(ctx, st, "", func() (from, to int64, ok bool) {
				if len(ranges) == 0 {
					return 0, 0, false
				}
				from, ranges = ranges[0]*rangeBlocks, ranges[1:]
				return from, from + rangeBlocks, true
			})
			if err != nil {
				return err
			}
			rows += n
		}
		if idle++; rows > 0 {
			idle = 0
		} else if idle > 1 { // once, another may have been faster
			return fmt.Errorf("delete rows of %s, which refer to a provider that is removed: they stay, as if a trigger kept them", st.leaf.Table)
		}
	}
}

// ranges are numbers of ranges of rangeBlocks in which there are rows to be changed.
func (r removal) ranges(ctx context.Context, st step) ([]int64, error) {
	found := make([]string, len(st.conditions))
	for i, c := range st.conditions {
		found[i] = "(SELECT ctid FROM ONLY " + st.leaf.Table + " WHERE " + c.where + " LIMIT $1)"
	}
	// A place in text, (block,row), is a point to PostgreSQL.
	return all(ctx, r.db, pgx.RowTo[int64], `
		SELECT DISTINCT (ctid::text::point)[0]::bigint / $2::bigint
		FROM (`+strings.Join(found, " UNION ALL ")+`) f ORDER BY 1`, lookUpRows, rangeBlocks)
}

// walk reads a leaf from end to end, or from where the last walk of this round was interrupted.
func (r removal) walk(ctx context.Context, st step, round string) error {
	key := fmt.Sprintf("%s%s %d", round, st.leaf.Table, st.leaf.File)
	for {
		at, end, err := r.progress(ctx, st, key)
		if err != nil || at >= end {
			return err
		}
		_, err = r.batch(ctx, st, key, func() (from, to int64, ok bool) {
			from, at = at, min(at+rangeBlocks, end)
			return from, at, from < end
		})
		if err != nil {
			return err
		}
	}
}

// progress says at which block a walk is, and how many there are by now.
func (r removal) progress(ctx context.Context, st step, key string) (at, end int64, err error) {
	type blocks struct{ At, End int64 }
	b, err := one(ctx, r.db, pgx.RowToStructByPos[blocks], sources.NoSource(), `
		SELECT coalesce((removal_progress->>$3)::bigint, 0), pg_relation_size($4::regclass) / current_setting('block_size')::bigint
		FROM sources.source WHERE org_id = $1 AND id = $2`, r.src.OrgID, r.src.ID, key, st.leaf.Table)
	return b.At, b.End, err
}
