// Package monitoring_test holds together what knative/monitoring asks of the database, what the database has, and
// what the alerts are about.
package monitoring_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.yaml.in/yaml/v3"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// A query is one of postgres_exporter's file.
type query struct {
	Query   string
	Master  bool
	Metrics []map[string]struct{ Usage, Description string }
}

// A rule is an alert.
type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

type ruleFile struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name   string
		Labels map[string]string
	}
	Spec struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
}

// read reads a file of knative/monitoring, in which nothing may stand that v does not know.
func read[T any](t *testing.T, name string) (v T) {
	t.Helper()
	text, err := os.ReadFile("../../knative/monitoring/" + name)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// columns are those that a query is said to have; each is a gauge that is explained.
func (q query) columns(t *testing.T) (names []string) {
	t.Helper()
	for _, metric := range q.Metrics {
		for name, told := range metric {
			if told.Usage != "GAUGE" || told.Description == "" {
				t.Errorf("%s is %+v, want a gauge with a description", name, told)
			}
			names = append(names, name)
		}
	}
	return names
}

// TestQueries: each query has the columns that it is said to have, all of them numbers, and a user who may do no more
// than the file says can run it.
func TestQueries(t *testing.T) {
	t.Parallel()

	address := storetest.Database(t)
	sql := storetest.Pool(t, address)
	for name, q := range read[map[string]query](t, "postgres-exporter-queries.yaml") {
		empty := run(t, sql, q)
		if diff := cmp.Diff(q.columns(t), empty.names); diff != "" {
			t.Errorf("%s: the columns (-file +database):\n%s", name, diff)
		}
		for i, value := range empty.values {
			if value != 0 {
				t.Errorf("%s: %s is %v where nothing has happened, want 0", name, empty.names[i], value)
			}
		}
	}
	wait(t, address)
	got := run(t, sql, read[map[string]query](t, "postgres-exporter-queries.yaml")["cost_sources"])
	for _, name := range []string{"outbox_depth", "sources_pending"} {
		if value := got.values[slices.Index(got.names, name)]; value != 1 {
			t.Errorf("%s is %v with one source that is pending, want 1", name, value)
		}
	}
	for _, name := range []string{"outbox_age_seconds", "pending_age_seconds", "relay_last_run_timestamp_seconds"} {
		if value := got.values[slices.Index(got.names, name)]; value <= 0 {
			t.Errorf("%s is %v, want more", name, value)
		}
	}
}

// wait leaves a source pending with its event unsent, and has the relay run.
func wait(t *testing.T, address string) {
	t.Helper()
	err := storetest.Store(t, "sources", address).For("org1").InTx(t.Context(), func(tx *store.Store) error {
		src, err := tx.CreateSource(t.Context(), sources.Source{OrgID: "org1", Name: "a"})
		if err != nil {
			return err
		}
		src.SetCluster("c")
		src.Attach()
		return tx.SaveSource(t.Context(), &src, events.SourceCreated)
	})
	if err == nil {
		err = storetest.Store(t, "relay", address).RelayRan(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

type row struct {
	names  []string
	values []float64
}

// run runs a query in a transaction that is rolled back, as a user made for it.
func run(t *testing.T, sql interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}, q query) (r row) {
	t.Helper()
	tx, err := sql.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tx.Rollback(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	role := "exporter_" + strings.ToLower(rand.Text())
	for _, statement := range []string{"CREATE ROLE " + role, "GRANT USAGE ON SCHEMA sources TO " + role,
		"GRANT SELECT ON sources.health TO " + role, "SET LOCAL ROLE " + role} {
		if _, err := tx.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	rows, err := tx.Query(t.Context(), q.Query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for _, field := range rows.FieldDescriptions() {
		r.names = append(r.names, field.Name)
	}
	r.values = make([]float64, len(r.names))
	into := make([]any, len(r.names))
	for i := range r.values {
		into[i] = &r.values[i]
	}
	if !rows.Next() {
		t.Fatalf("%s: no row: %v", q.Query, rows.Err())
	}
	if err := rows.Scan(into...); err != nil {
		t.Fatal(err)
	}
	if rows.Next() || rows.Err() != nil {
		t.Errorf("there are more rows than one, or %v", rows.Err())
	}
	return r
}

// fromKafka are the metrics of kafka_exporter that alerts are about.
var fromKafka = []string{"kafka_topic_partition_current_offset", "kafka_consumergroup_lag"}

// TestRules: each alert is about a metric that exists, and says what to do; each column is missed when its exporter is.
func TestRules(t *testing.T) {
	t.Parallel()

	known := slices.Clone(fromKafka)
	for prefix, q := range read[map[string]query](t, "postgres-exporter-queries.yaml") {
		for _, column := range q.columns(t) {
			known = append(known, prefix+"_"+column)
		}
	}
	file := read[ruleFile](t, "prometheusrule.yaml")
	if file.APIVersion != "monitoring.coreos.com/v1" || file.Kind != "PrometheusRule" || file.Metadata.Labels["app.kubernetes.io/part-of"] != "cost-sources" {
		t.Errorf("it is %s %s with the labels %v", file.APIVersion, file.Kind, file.Metadata.Labels)
	}
	metric := regexp.MustCompile(`\b(cost_sources|kafka)_\w+`)
	used, missed, names := map[string]bool{}, "", map[string]bool{}
	for _, group := range file.Spec.Groups {
		for _, r := range group.Rules {
			found := metric.FindAllString(r.Expr, -1)
			if len(found) == 0 || names[r.Alert] || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || len(r.Annotations["description"]) < 100 {
				t.Errorf("%s: a name of its own, metrics, severity, summary and a description that says what to do are wanted: %+v", r.Alert, r)
			}
			names[r.Alert] = true
			for _, m := range found {
				used[m] = true
				if !slices.Contains(known, m) {
					t.Errorf("%s: there is no metric %s", r.Alert, m)
				}
			}
			if strings.HasPrefix(r.Expr, "absent(") {
				missed += r.Expr
			}
		}
	}
	for _, m := range []string{"cost_sources_relay_last_run_timestamp_seconds", "cost_sources_outbox_age_seconds", "cost_sources_outbox_parked",
		"cost_sources_pending_age_seconds", "cost_sources_sources_failed", "cost_sources_deletion_age_seconds"} {
		if !used[m] {
			t.Errorf("no alert is about %s", m)
		}
	}
	for _, what := range []string{"cost_sources_relay_last_run_timestamp_seconds", "event-stream.dead", `"cost-provisioner"`, `"cost-provisioner-tenants"`, `"cost-ros-cleanup"`} {
		if !strings.Contains(missed, what) {
			t.Errorf("nobody is told when %s is missing", what)
		}
	}
}
