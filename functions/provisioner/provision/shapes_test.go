package provision_test

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// shapes are the ways in which rows refer to a provider; T stands for the tenant's schema, $1 for the provider, $2
// for how many rows and $3 for something that no other rows have. Each key is a table with the condition for the provider's rows.
var shapes = map[string]string{
	"T.indexed WHERE source_uuid = $1": `
		INSERT INTO T.indexed (source_uuid) SELECT $1 FROM generate_series(1, $2)`,
	"T.reporting_ocpusagelineitem_daily_summary WHERE source_uuid = $1": `
		INSERT INTO T.reporting_ocpusagelineitem_daily_summary (uuid, usage_start, usage_end, source_uuid)
		SELECT gen_random_uuid(), day, day, $1
		FROM generate_series(1, $2) n, LATERAL (SELECT date '2026-11-05' - CASE n % 2 WHEN 0 THEN 0 ELSE 400 END AS day) d`,
	"T.openshift_pod_usage_line_items WHERE source = $1::text": `
		INSERT INTO T.openshift_pod_usage_line_items SELECT $1::text, '2026-01-01' FROM generate_series(1, $2)`,
	// Two tables that refer to each other, some rows in pairs and some in chains that the provider's row begins.
	"T.ring_a WHERE mark = $1": `
		INSERT INTO T.ring_a (id, provider_id, mark, b_id)
		SELECT md5('a' || n || $3)::uuid, CASE n % 3 WHEN 0 THEN $1 END, $1, md5('b' || n - n % 3 % 2 || $3)::uuid
		FROM generate_series(0, $2 / 2) n;
		INSERT INTO T.ring_b (id, mark, a_id)
		SELECT md5('b' || n || $3)::uuid, $1, md5('a' || n - n % 3 || $3)::uuid FROM generate_series(0, $2 / 2) n`,
	"T.ring_b WHERE mark = $1":     `SELECT`,
	"T.ring_child WHERE mark = $1": `INSERT INTO T.ring_child (a_id, mark) SELECT id, $1 FROM T.ring_a WHERE mark = $1`,
	// Every row but the first refers to one before it.
	"T.tree WHERE mark = $1": `
		INSERT INTO T.tree (id, parent_id, provider_id, mark)
		SELECT md5('t' || n || $3)::uuid, CASE WHEN n > 0 THEN md5('t' || n / 2 || $3)::uuid END, CASE n WHEN 0 THEN $1 END, $1
		FROM generate_series(0, $2 / 10) n`,
}

// shape makes the tables of the shapes in a tenant.
func (f fixture) shape(org string) {
	f.Helper()
	const tables = `
		SET LOCAL ROLE cost_sources_provisioner; -- who makes tables in a tenant's schema does so as its owner
		CREATE TABLE T.indexed (source_uuid uuid REFERENCES T.reporting_tenant_api_provider (uuid) DEFERRABLE INITIALLY DEFERRED);
		CREATE INDEX ON T.indexed (source_uuid);
		CREATE TABLE T.openshift_pod_usage_line_items (source varchar(64), usage_start date) PARTITION BY RANGE (usage_start);
		CREATE TABLE T.openshift_pod_usage_line_items_default PARTITION OF T.openshift_pod_usage_line_items DEFAULT;
		CREATE TABLE T.reporting_ocpusagelineitem_daily_summary_2026_11
			PARTITION OF T.reporting_ocpusagelineitem_daily_summary FOR VALUES FROM ('2026-11-01') TO ('2026-12-01');
		CREATE TABLE T.ring_a (id uuid PRIMARY KEY, mark uuid, b_id uuid,
			provider_id uuid REFERENCES T.reporting_tenant_api_provider (uuid) DEFERRABLE INITIALLY DEFERRED);
		CREATE TABLE T.ring_b (id uuid PRIMARY KEY, mark uuid, a_id uuid REFERENCES T.ring_a (id) DEFERRABLE INITIALLY DEFERRED);
		ALTER TABLE T.ring_a ADD FOREIGN KEY (b_id) REFERENCES T.ring_b (id) DEFERRABLE INITIALLY DEFERRED;
		CREATE TABLE T.ring_child (a_id uuid REFERENCES T.ring_a (id), mark uuid);
		CREATE TABLE T.tree (id uuid PRIMARY KEY, mark uuid, parent_id uuid REFERENCES T.tree (id),
			provider_id uuid REFERENCES T.reporting_tenant_api_provider (uuid));
		CREATE INDEX ON T.ring_a (provider_id); CREATE INDEX ON T.ring_a (b_id); CREATE INDEX ON T.ring_b (a_id);
		CREATE INDEX ON T.ring_child (a_id); CREATE INDEX ON T.tree (parent_id); CREATE INDEX ON T.tree (provider_id)`
	if _, err := f.sql.Exec(f.Context(), strings.ReplaceAll(tables, "T.", "org"+org+".")); err != nil {
		f.Fatal(err)
	}
}

// refer makes rows of all shapes that refer to the provider of src.
func (f fixture) refer(src sources.Source, rows int) {
	f.Helper()
	words := strings.NewReplacer("T.", "org"+src.OrgID+".", "$1", "'"+src.UUID+"'::uuid", "$2", fmt.Sprint(rows), "$3", "'"+rand.Text()+"'")
	for _, table := range []string{"T.indexed WHERE source_uuid = $1",
		"T.reporting_ocpusagelineitem_daily_summary WHERE source_uuid = $1", "T.openshift_pod_usage_line_items WHERE source = $1::text",
		"T.ring_a WHERE mark = $1", "T.ring_child WHERE mark = $1", "T.tree WHERE mark = $1"} {
		if _, err := f.sql.Exec(f.Context(), "BEGIN;"+words.Replace(shapes[table])+";COMMIT"); err != nil {
			f.Fatalf("%s: %v", table, err)
		}
	}
}

// referring counts the rows of each shape.
func (f fixture) referring(src sources.Source) map[string]int {
	f.Helper()
	found := map[string]int{}
	for table := range shapes {
		words := strings.NewReplacer("T.", "org"+src.OrgID+".", "$1", "'"+src.UUID+"'::uuid")
		if n := value[int](f, "SELECT count(*) FROM "+words.Replace(table)); n > 0 {
			found[table] = n
		}
	}
	return found
}

func total(rows map[string]int) (n int) {
	for _, m := range rows {
		n += m
	}
	return n
}
