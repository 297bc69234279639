package migrations

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A MisfitError says what about the tables that the database shares with Koku is not as the functions need it, and
// what is to be done about each.
type MisfitError struct{ Findings []string }

// Error has all findings, a line each.
func (e *MisfitError) Error() string {
	return "nothing was changed, as Koku's tables in this database are not as they have to be:\n- " + strings.Join(e.Findings, "\n- ")
}

// CheckShared looks whether the tables of public that are there can be shared, and changes nothing. Its error is a
// *MisfitError with all that is wrong, or why it could not look. Tables that are missing are Public's to make.
// templateSchema is the schema that tenants are cloned from, empty where there is none: with one, Koku's function that
// does so has to be there.
func CheckShared(ctx context.Context, databaseURL, templateSchema string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("look at the shared tables: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var findings []string
	for _, table := range sharedTables() {
		found, err := look(ctx, conn, table)
		if err != nil {
			return fmt.Errorf("look at public.%s: %w", table.name, err)
		}
		findings = append(findings, table.compare(found)...)
	}
	if templateSchema != "" {
		found, err := checkClone(ctx, conn, templateSchema)
		if err != nil {
			return fmt.Errorf("look at public.clone_schema: %w", err)
		}
		findings = append(findings, found...)
	}
	if len(findings) > 0 {
		return &MisfitError{Findings: findings}
	}
	return nil
}

// A foundTable is a relation as the catalogue has it; the zero value is one that is not there.
type foundTable struct {
	Kind, Owner, Role string // Role is who looks
	MayAct            bool   // as the owner
	columns           map[string]foundColumn
}

// A foundColumn is a column of one.
type foundColumn struct {
	Name, Kind                      string
	NotNull, Generated, UniqueAlone bool
}

func look(ctx context.Context, conn *pgx.Conn, table sharedTable) (foundTable, error) {
	name := "public." + table.name
	rows, _ := conn.Query(ctx, `
		SELECT relkind::text, pg_get_userbyid(relowner)::text, current_user::text, pg_has_role(current_user, relowner, 'MEMBER')
		FROM pg_class WHERE oid = to_regclass($1)`, name) // its error comes out of Collect
	found, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (f foundTable, err error) {
		return f, row.Scan(&f.Kind, &f.Owner, &f.Role, &f.MayAct)
	})
	if err == pgx.ErrNoRows {
		return foundTable{}, nil
	}
	if err != nil {
		return found, err
	}
	rows, _ = conn.Query(ctx, `
		SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
			a.atthasdef OR a.attidentity <> '' AS generated,
			EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indimmediate AND i.indisvalid
				AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum) AS unique_alone
		FROM pg_attribute a
		WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY a.attnum`, name)
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[foundColumn])
	found.columns = map[string]foundColumn{}
	for _, c := range columns {
		found.columns[c.Name] = c
	}
	return found, err
}

// compare lists what is wrong with a table.
func (t sharedTable) compare(found foundTable) (findings []string) {
	wrong := func(format string, args ...any) {
		findings = append(findings, fmt.Sprintf("public."+t.name+format, args...))
	}
	switch {
	case found.Kind == "":
		return nil
	case found.Kind != "r":
		wrong(" is not an ordinary table: give the functions the database that Koku itself uses")
		return findings
	case !found.MayAct:
		owner, role := pgx.Identifier{found.Owner}.Sanitize(), pgx.Identifier{found.Role}.Sanitize()
		wrong(" belongs to the role %s, which %s may not act as: GRANT %[1]s TO %[2]s, or run migrate as a role that may", owner, role)
	}
	known := map[string]bool{}
	for _, want := range t.columns {
		known[want.name] = want.filled
		have, there := found.columns[want.name]
		switch {
		case !there:
			wrong(" has no column %s: run the migrations of a Koku that has it", want.name)
		case !fits(have.Kind, want.kind):
			wrong(".%s is of type %s instead of %s: run Koku's migrations, or ask for a release that knows this Koku", want.name, have.Kind, want.kind)
		case want.null && have.NotNull:
			wrong(".%s may not be null, which it is at times for what the functions write: run Koku's migrations, or ask for a release that knows this Koku", want.name)
		case want.uniq && !have.UniqueAlone:
			wrong(".%s is not unique by itself, which ON CONFLICT relies on: run Koku's migrations, or remove doubles and add the unique constraint", want.name)
		}
	}
	for _, name := range sortedNames(found.columns) {
		if c := found.columns[name]; t.inserts() && c.NotNull && !c.Generated && !known[name] {
			wrong(".%s may not be null, has no default, and is not known here, so that no row can be added: give it a default, or ask for a release that knows this Koku", name)
		}
	}
	return findings
}

func sortedNames(columns map[string]foundColumn) []string {
	names := make([]string, 0, len(columns))
	for name := range columns {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// checkClone looks whether clone_schema can be called as the provisioner calls it.
func checkClone(ctx context.Context, conn *pgx.Conn, template string) ([]string, error) {
	var there, fits bool
	err := conn.QueryRow(ctx, `
		SELECT count(*) > 0, coalesce(bool_or(
			oidvectortypes(proargtypes) = 'text, text, boolean, boolean' AND proargnames[3] = 'copy_data'
			AND pronargdefaults >= 1 AND prorettype = 'boolean'::regtype AND NOT proretset), false)
		FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname = 'clone_schema'`).Scan(&there, &fits)
	switch {
	case err != nil || fits:
		return nil, err
	case there:
		return []string{"public.clone_schema is not the function (text, text, copy_data boolean, boolean) that returns a boolean: " +
			"run Koku's migrations, or ask for a release that knows this Koku"}, nil
	}
	return []string{"public.clone_schema is missing, though TENANT_TEMPLATE_SCHEMA is " + template +
		": run Koku's migrations first, or leave that variable empty where there is no Koku"}, nil
}
