package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// A condition tells the rows of a table that refer, by one of its columns, to the provider or to a row that does.
type condition struct {
	column   string // as it stands in the catalogue
	where    string // the SQL
	unlinked bool   // there is no foreign key
}

// A removalPlan is made of the references among the tables of public and of one schema. A table's rows go before
// those that they refer to.
type removalPlan struct {
	provider   string // its table
	references []foreignKey
	leaves     map[string][]leaf
	groups     [][]string             // tables, those that nobody refers to first; several where they refer to each other
	conditions map[string][]condition // of each table, without those for rows of its own group
	steps      []step
}

// removalSteps finds through the catalogue what refers to the provider of src.
func (s *Store) removalSteps(ctx context.Context, src sources.Source, schema string) ([]step, error) {
	keys, err := s.foreignKeys(ctx, schema)
	if err != nil {
		return nil, err
	}
	loose, err := s.unlinkedColumns(ctx, schema)
	if err != nil {
		return nil, err
	}
	leaves, err := s.leaves(ctx, schema)
	if err != nil {
		return nil, err
	}
	return newRemovalPlan(src.UUID, keys, loose, leaves).steps, nil
}

// newRemovalPlan plans for the provider uuid, which is of the form that ParseUUID returns.
func newRemovalPlan(uuid string, keys []foreignKey, loose []column, leaves map[string][]leaf) *removalPlan {
	provider := column{"public", "api_provider", "uuid"}
	p := &removalPlan{provider: provider.table(), leaves: leaves, references: slices.Clone(keys)}
	for _, c := range loose {
		p.references = append(p.references, foreignKey{From: c, To: provider})
	}
	slices.SortFunc(p.references, compareKeys)
	p.references = slices.Compact(p.references)
	p.groups = groupsOf(p.provider, p.referrers)
	p.conditions = map[string][]condition{p.provider: {{column: provider.Column, where: "uuid = '" + uuid + "'"}}}
	for _, group := range slices.Backward(p.groups) {
		for _, table := range group {
			p.describe(table, group, loose)
		}
	}
	for _, group := range p.groups {
		p.forget(group)
		p.remove(group)
	}
	return p
}

func compareKeys(a, b foreignKey) int {
	return strings.Compare(a.From.table()+a.From.name()+a.To.table()+a.To.name(), b.From.table()+b.From.name()+b.To.table()+b.To.name())
}

// setNull reports the references that are cut and not followed: another provider's infrastructure, and
// an account's organizational unit. Their rows are somebody else's.
func setNull(c column) bool {
	return c.Schema == "public" && c.Table == "api_provider" || c.Column == "organizational_unit_id"
}

// referrers lists the tables whose rows go with those of table.
func (p *removalPlan) referrers(table string) (tables []string) {
	for _, r := range p.references {
		if r.To.table() == table && !setNull(r.From) {
			tables = append(tables, r.From.table())
		}
	}
	return tables
}

// describe says which rows of a table go because of rows of other groups, whose conditions are known by now.
func (p *removalPlan) describe(table string, group []string, loose []column) {
	for _, r := range p.references {
		if r.From.table() != table || setNull(r.From) || slices.Contains(group, r.To.table()) {
			continue
		}
		for _, c := range p.refersTo(r) {
			c.unlinked = r.To.table() == p.provider && slices.Contains(loose, r.From)
			p.conditions[table] = append(p.conditions[table], c)
		}
	}
}

// refersTo says which rows refer by r to one that goes. None do where nothing of that table goes.
func (p *removalPlan) refersTo(r foreignKey) (found []condition) {
	if ring := p.ringOf(r.To.table()); ring != nil {
		return []condition{{column: r.From.Column, where: r.From.name() + " IN (" + p.goneOf(ring, r.To) + ")"}}
	}
	for _, c := range p.conditions[r.To.table()] {
		where := fmt.Sprintf("%s IN (SELECT %s FROM %s WHERE %s)", r.From.name(), r.To.name(), r.To.table(), c.where)
		if r.To.table() == p.provider && r.To.Column == c.column {
			where = r.From.name() + strings.TrimPrefix(c.where, c.column) // the value itself
		}
		found = append(found, condition{column: r.From.Column, where: where})
	}
	return found
}

// forget adds the steps for what only loses its reference to a row of the group.
func (p *removalPlan) forget(group []string) {
	for _, r := range p.references {
		if setNull(r.From) && slices.Contains(group, r.To.table()) {
			p.add(r.From.table(), p.refersTo(r), func(table string) string {
				return "UPDATE ONLY " + table + " SET " + r.From.name() + " = NULL" + whereFound
			})
		}
	}
}

// remove adds the steps for the rows of the group. The provider itself goes last, together with the record of it.
func (p *removalPlan) remove(group []string) {
	for _, table := range group {
		switch {
		case table == p.provider:
		case p.ringOf(table) != nil:
			p.add(table, p.conditions[table], func(table string) string { return p.deleteRing(group, table) })
		default:
			p.add(table, p.conditions[table], func(table string) string { return "DELETE FROM ONLY " + table + whereFound })
		}
	}
}

// add adds a step for each leaf of a table. change is the end of a statement, after a query named found.
func (p *removalPlan) add(table string, conditions []condition, change func(leaf string) string) {
	if len(conditions) == 0 {
		return
	}
	for _, l := range p.leaves[table] {
		p.steps = append(p.steps, step{leaf: l, conditions: conditions, change: change(l.Table)})
	}
}
