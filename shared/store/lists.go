package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// availability is sources.Source.Availability in SQL; a test holds the two together.
const availability = `
	CASE WHEN s.state = 'failed' THEN 'unavailable' WHEN s.paused THEN 'paused'
		WHEN s.state = 'ready' THEN 'available' ELSE 'in_progress' END`

// typeOf are the types of the columns that are compared as what they are, by their indexes; all others are
// compared as text.
var typeOf = map[string]string{"uuid": "uuid", "source_id": "integer", "application_type_id": "integer"}

// The columns behind the fields of lists.
var (
	sourceFields = map[string]string{
		"name":                `s.name`,
		"type":                `s.source_type`,
		"source_type":         `s.source_type`,
		"source_type_id":      `'1'`,
		"source_ref":          `s.cluster_id`,
		"uuid":                `s.uuid`,
		"paused":              `s.paused`,
		"availability_status": availability,
		"created_timestamp":   `s.created_at`,
		"updated_timestamp":   `s.updated_at`,
	}
	applicationFields = map[string]string{
		"source_id":           `a.source_id`,
		"application_type_id": `a.application_type_id`,
		"created_timestamp":   `a.created_at`,
		"updated_timestamp":   `a.updated_at`,
	}
)

// Sources reads a page of an organization's living sources, and how many there are on all pages.
func (s *Store) Sources(ctx context.Context, orgID string, q sources.Query) ([]sources.Source, int, error) {
	l := list{fields: sourceFields, order: `s.name COLLATE "C"`, id: `s.id`}
	return l.read(ctx, s, `s.org_id = $1 AND s.deleted_at IS NULL`, orgID, q)
}

// Applications reads a page of an organization's living applications, each as the source that it belongs
// to, and how many there are on all pages.
func (s *Store) Applications(ctx context.Context, orgID string, q sources.Query) ([]sources.Source, int, error) {
	l := list{fields: applicationFields, order: `a.id`, id: `a.id`}
	return l.read(ctx, s, `s.org_id = $1 AND s.deleted_at IS NULL AND a.deleted_at IS NULL AND a.id IS NOT NULL`, orgID, q)
}

// A list is read with filters, an order and a page.
type list struct {
	fields    map[string]string
	order, id string // its own order, and what decides between equals
	args      []any
}

func (l *list) read(ctx context.Context, s *Store, where, orgID string, q sources.Query) ([]sources.Source, int, error) {
	l.args = []any{orgID}
	for _, filter := range q.Filters {
		where += " AND " + l.condition(filter)
	}
	from := ` FROM ` + sourceTables + ` WHERE ` + where
	var page []sources.Source
	var count int
	batch := &pgx.Batch{}
	batch.Queue(`SELECT count(*)`+from, l.args...).QueryRow(func(row pgx.Row) error { return row.Scan(&count) })
	batch.Queue(fmt.Sprintf(`SELECT %s %s ORDER BY %s LIMIT %d OFFSET %d`,
		sourceColumns, from, l.orderBy(q.Order), q.Limit, q.Offset), l.args...).
		Query(func(rows pgx.Rows) (err error) {
			page, err = pgx.CollectRows(rows, scanSource)
			return err
		})
	err := s.db.SendBatch(ctx, batch).Close()
	return page, count, domainError(err, nil)
}

func (l *list) orderBy(o sources.Order) string {
	if o.Field == "" {
		return l.order + ", " + l.id
	}
	direction := ""
	if o.Descending {
		direction = " DESC"
	}
	by := l.fields[o.Field]
	if o.Field == "name" {
		by = l.order
	}
	return by + direction + ", " + l.id + direction
}

// condition is a filter in SQL. What a client sent goes into the arguments, never into the text; % and _
// in it stand for themselves.
func (l *list) condition(f sources.Filter) string {
	field := "(" + l.fields[f.Field] + ")::text"
	l.args = append(l.args, normalized(f))
	if kind, ok := typeOf[f.Field]; ok { // these know no other operator
		return fmt.Sprintf(`%s = ANY ($%d::%s[])`, l.fields[f.Field], len(l.args), kind)
	}
	values := fmt.Sprintf("unnest($%d::text[]) AS want", len(l.args))
	switch f.Op {
	case sources.EqualFold:
		return fmt.Sprintf(`EXISTS (SELECT FROM %s WHERE lower(%s) = lower(want))`, values, field)
	case sources.Contains:
		return fmt.Sprintf(`EXISTS (SELECT FROM %s WHERE strpos(%s, want) > 0)`, values, field)
	case sources.ContainsFold:
		return fmt.Sprintf(`EXISTS (SELECT FROM %s WHERE strpos(lower(%s), lower(want)) > 0)`, values, field)
	case sources.ContainsAll:
		return fmt.Sprintf(`NOT EXISTS (SELECT FROM %s WHERE strpos(lower(%s), lower(want)) = 0)`, values, field)
	case sources.StartsWith:
		return fmt.Sprintf(`EXISTS (SELECT FROM %s WHERE starts_with(%s, want))`, values, field)
	default:
		return fmt.Sprintf(`%s = ANY ($%d::text[])`, field, len(l.args))
	}
}

// normalized are the values of a filter in the spelling that PostgreSQL gives the column.
func normalized(f sources.Filter) []string {
	values := make([]string, 0, len(f.Values))
	for _, v := range f.Values {
		switch {
		case typeOf[f.Field] == "integer":
			if _, ok := sources.ParseID(v); !ok {
				continue // nothing has an id that the column cannot hold
			}
		case f.Field == "uuid":
			v, _ = sources.ParseUUID(v) // whoever made the filter saw to it that it is one
		case f.Field == "source_type_id" && sources.IsTypeID(v):
			v = "1"
		case f.Field == "paused":
			v = map[bool]string{true: "true", false: "false"}[strings.ContainsAny(v[:1], "1tT")]
		}
		values = append(values, v)
	}
	return values
}
