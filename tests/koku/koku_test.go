package koku_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/koku"
)

// ofTables matches the lines of a catalogue that do not hold what PostgreSQL names by itself in a copy.
var ofTables = regexp.MustCompile(` kind [rp] | column | trigger |^function `)

// described is what the catalogue has of a schema's tables and functions, under another name.
func described(t *testing.T, address, schema string) []string {
	t.Helper()
	var lines []string
	for _, line := range koku.Catalogue(t, address, schema) {
		if ofTables.MatchString(line) && !strings.Contains(line, "_seq column ") {
			lines = append(lines, strings.ReplaceAll(line, schema, "@"))
		}
	}
	slices.Sort(lines)
	return lines
}

// TestClone: a copy of the template has its tables, partitions, foreign keys, triggers and rows.
func TestClone(t *testing.T) {
	t.Parallel()

	address := koku.Database(t)
	schema := koku.Tenant(t, address, "1")
	conn := storetest.Connect(t, address)
	for what, sql := range map[string]string{
		"tables":       `SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = $1::regnamespace`,
		"partitions":   `SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r' AND relnamespace = $1::regnamespace`,
		"foreign keys": `SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = $1::regnamespace`,
		"keys to public": `SELECT count(*) FROM pg_constraint k JOIN pg_class f ON f.oid = confrelid
			WHERE k.contype = 'f' AND k.connamespace = $1::regnamespace AND f.relnamespace = 'public'::regnamespace`,
		"indexes":   `SELECT count(*) FROM pg_class WHERE relkind IN ('i', 'I') AND relnamespace = $1::regnamespace`,
		"triggers":  `SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE c.relnamespace = $1::regnamespace`,
		"functions": `SELECT count(*) FROM pg_proc WHERE pronamespace = $1::regnamespace`,
	} {
		var original, copied int
		if err := conn.QueryRow(t.Context(), sql, koku.Template).Scan(&original); err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRow(t.Context(), sql, schema).Scan(&copied); err != nil {
			t.Fatal(err)
		}
		if original != copied || original == 0 {
			t.Errorf("%s: %d in the template, %d in its copy", what, original, copied)
		}
	}
	if diff := cmp.Diff(described(t, address, koku.Template), described(t, address, schema)); diff != "" {
		t.Errorf("the copy differs (-template +copy):\n%s", diff)
	}
	var rows, others int
	if err := conn.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE schema_name <> 'org1') FROM org1.partitioned_tables`).Scan(&rows, &others); err != nil {
		t.Fatal(err)
	}
	if rows != 15 || others != 0 {
		t.Errorf("the copy's register has %d partitions, %d of another schema; want 15 and none", rows, others)
	}
}

func TestCloneRefuses(t *testing.T) {
	t.Parallel()

	address := koku.Database(t)
	storetest.Execute(t, address, `CREATE SCHEMA taken`)
	conn := storetest.Connect(t, address)
	for name, sql := range map[string]string{
		"no such template":      `SELECT public.clone_schema('none', 'org1')`,
		"a schema of that name": `SELECT public.clone_schema('template0', 'taken', copy_data => true)`,
	} {
		var made bool
		if err := conn.QueryRow(t.Context(), sql).Scan(&made); err != nil || made {
			t.Errorf("%s: clone_schema = %v, %v; want false", name, made, err)
		}
	}
}

// TestRegisterIsALever: a row in the register makes its partition, and takes it away.
func TestRegisterIsALever(t *testing.T) {
	t.Parallel()

	address := koku.Database(t)
	koku.Tenant(t, address, "1")
	there := func() (there bool) {
		t.Helper()
		err := storetest.Connect(t, address).QueryRow(t.Context(),
			`SELECT to_regclass('org1.reporting_ocp_pod_summary_p_2026_12') IS NOT NULL`).Scan(&there)
		if err != nil {
			t.Fatal(err)
		}
		return there
	}
	koku.Execute(t, address, `
		INSERT INTO org1.partitioned_tables (schema_name, table_name, partition_of_table_name, partition_type, partition_col, partition_parameters)
		VALUES ('org1', 'reporting_ocp_pod_summary_p_2026_12', 'reporting_ocp_pod_summary_p', 'range', 'usage_start',
			'{"default": false, "from": "2026-12-01", "to": "2027-01-01"}')`)
	if !there() {
		t.Error("a row of the register made no partition")
	}
	koku.Execute(t, address, `DELETE FROM org1.partitioned_tables WHERE table_name = 'reporting_ocp_pod_summary_p_2026_12'`)
	if there() {
		t.Error("the partition has outlived its row of the register")
	}
}

// TestProcess: a provider that was worked on is mentioned in every table of the fixture that can refer to one.
func TestProcess(t *testing.T) {
	t.Parallel()

	address := koku.Database(t)
	schema := koku.Tenant(t, address, "1")
	src := koku.Source{ID: 1, Org: "1", Name: "one", Cluster: "c1", UUID: "11111111-1111-1111-1111-111111111111"}
	koku.Add(t, address, src)
	koku.Process(t, address, src)
	koku.ProcessRacks(t, address, src)
	found := koku.Mentions(t, address, schema, src.UUID)
	if len(found) != 35 {
		t.Errorf("%d tables mention the provider, want 35: %v", len(found), found)
	}
}
