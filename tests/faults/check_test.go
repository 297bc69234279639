package faults_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/migrations"
)

// check holds the databases and the topic against what the actors know, when all is over.
func (w *world) check(actors []*actor, foreign string) {
	w.Helper()
	var things []*thing
	for _, a := range actors {
		things = append(things, a.own...)
	}
	w.Logf("%d sources, %d events seen by the provisioner", len(things), len(w.lanes["provisioner"].passed()))
	w.checkDatabases(things, foreign)
	w.checkTopic(things)
	if w.plain {
		w.checkPlain()
	}
}

func (w *world) checkDatabases(things []*thing, foreign string) {
	w.Helper()
	w.checkSources(things)
	w.checkProviders(things)
	w.checkCredentials(things)
	w.checkTenants()
	w.checkROS(things)
	w.checkNothingHeld()
	if got := w.foreignProviders(); got != foreign {
		w.Errorf("what is not ours was\n%s\nand is\n%s", foreign, got)
	}
}

// rows reads what a query returns as lines, one for each row.
func rows(w *world, db *pgxpool.Pool, sql string, args ...any) []string {
	w.Helper()
	found, _ := db.Query(w.Context(), sql, args...) // its error comes out of Collect
	lines, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	return lines
}

// same compares lines without regard to their order.
func (w *world) same(what string, want, got []string) {
	w.Helper()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// inTheWay reports a source whose cluster a provider has that is not ours. It has failed; where it had a provider with
// another cluster it keeps that as it was, until a person has mended it: its data is not to be lost by a mistake.
func (s *thing) inTheWay() bool { return s.org == foreignOrg && s.cluster == foreignCluster }

func (s *thing) hasProvider() bool { return s.wantsProvider() && !s.inTheWay() }

func (s *thing) state() string {
	switch {
	case !s.wantsProvider():
		return "waiting"
	case s.inTheWay():
		return "failed"
	default:
		return "ready"
	}
}

// checkSources: what was answered is what is stored, each id was given once, and api_sources shows it.
func (w *world) checkSources(things []*thing) {
	w.Helper()
	var want, projected []string
	for _, s := range things {
		want = append(want, fmt.Sprintf("%d %s %s %s %q %v %v %v", s.id, s.uuid, s.org, s.name, s.cluster, s.paused, s.gone, s.state()))
		if !s.gone {
			linked := fmt.Sprint(s.hasProvider())
			if s.state() == "failed" {
				linked = "failed"
			}
			projected = append(projected, fmt.Sprintf("%d %s %s %s %q %v %s", s.id, s.uuid, s.org, s.name, s.cluster, s.paused, linked))
		}
	}
	w.same("sources", want, rows(w, w.sql, `
		SELECT format('%s %s %s %s "%s" %s %s %s', id, uuid, org_id, name, cluster_id, paused::text, (deleted_at IS NOT NULL)::text, state)
		FROM sources.source`))
	w.same("api_sources", projected, rows(w, w.sql, `
		SELECT format('%s %s %s %s "%s" %s %s', p.source_id, p.source_uuid, p.org_id, p.name,
			p.authentication->'credentials'->>'cluster_id', p.paused::text,
			CASE WHEN s.state = 'failed' THEN s.state
				ELSE ((p.provider_id = p.source_uuid AND p.koku_uuid = p.source_uuid::text) IS TRUE)::text END)
		FROM public.api_sources p LEFT JOIN sources.source s ON s.id = p.source_id`))
}

// ofNoFailed is true for providers p of ours, but for those that a failed source has from before.
const ofNoFailed = `p.name <> 'foreign' AND NOT EXISTS (SELECT FROM sources.source s WHERE s.uuid = p.uuid AND s.state = 'failed')`

// checkProviders: exactly one for each source that is to have one, as it is now, and none of ours else; the same in
// the tenants' copies.
func (w *world) checkProviders(things []*thing) {
	w.Helper()
	var want, copies []string
	orgs := map[string]bool{}
	for _, s := range things {
		if s.hasProvider() {
			want = append(want, fmt.Sprintf("%s %s %s %s %v true", s.uuid, s.org, s.name, s.cluster, s.paused))
			copies = append(copies, fmt.Sprintf("%s %s %s", s.uuid, s.org, s.name))
			orgs[s.org] = true
		}
	}
	w.same("providers", want, rows(w, w.sql, `
		SELECT format('%s %s %s %s %s %s', p.uuid, c.org_id, p.name, a.credentials->>'cluster_id', p.paused::text, p.active::text)
		FROM public.api_provider p
		JOIN public.api_customer c ON c.id = p.customer_id
		LEFT JOIN public.api_providerauthentication a ON a.id = p.authentication_id
		WHERE `+ofNoFailed))
	var got []string
	for org := range orgs {
		got = append(got, rows(w, w.sql, fmt.Sprintf(`
			SELECT format('%%s %%s %%s', uuid, '%[1]s', name) FROM org%[1]s.reporting_tenant_api_provider p WHERE `, org)+ofNoFailed)...)
	}
	w.same("tenants' copies of providers", copies, got)
}

// checkCredentials: equal ones are one row, which goes with the last provider that uses it.
func (w *world) checkCredentials(things []*thing) {
	w.Helper()
	used := map[string]bool{foreignCluster: true}
	for _, s := range things {
		if s.hasProvider() {
			used[s.cluster] = true
		}
	}
	for _, cluster := range rows(w, w.sql, `
		SELECT a.credentials->>'cluster_id' FROM public.api_providerauthentication a
		JOIN public.api_provider p ON p.authentication_id = a.id
		WHERE NOT (`+ofNoFailed+`)`) {
		used[cluster] = true
	}
	var want []string
	for cluster := range used {
		want = append(want, fmt.Sprintf(`{"cluster_id": %q}`, cluster))
	}
	w.same("credentials", want, rows(w, w.sql, `SELECT credentials::text FROM public.api_providerauthentication`))
	w.same("billing sources", []string{"{}"}, rows(w, w.sql, `SELECT data_source::text FROM public.api_providerbillingsource`))
}

// checkTenants: every schema is whole, and has one customer and one tenant.
func (w *world) checkTenants() {
	w.Helper()
	const whole = `
		SELECT format('%s %s', n.nspname, md5(string_agg(c.relname || c.relkind::text, ' ' ORDER BY c.relname, c.relkind)))
		FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
		WHERE n.nspname LIKE 'org%' GROUP BY n.nspname`
	got := rows(w, w.sql, whole)
	w.exec(func(ctx context.Context, tx pgx.Tx) error { return migrations.NewTenant(ctx, tx, "orgasitshouldbe") })
	ideal := rows(w, w.sql, whole+` HAVING n.nspname = 'orgasitshouldbe'`)[0][len("orgasitshouldbe"):]
	var want []string
	for _, schema := range rows(w, w.sql, `
		SELECT c.schema_name FROM public.api_customer c JOIN public.api_tenant t ON t.schema_name = c.schema_name
		WHERE c.schema_name = 'org' || c.org_id`) {
		want = append(want, schema+ideal)
	}
	w.same("schemas", want, got)
}

func (w *world) exec(do func(context.Context, pgx.Tx) error) {
	w.Helper()
	if err := pgx.BeginFunc(w.Context(), w.sql, func(tx pgx.Tx) error { return do(w.Context(), tx) }); err != nil {
		w.Fatal(err)
	}
}

// rosTables are those that have a row for each workload.
var rosTables = []string{"workloads", "workload_metrics", "recommendation_sets", "historical_recommendation_sets",
	"namespace_recommendation_sets", "historical_namespace_recommendation_sets"}

// checkROS: nothing is left of what was deleted, in Kruize neither, and everything of all others is there.
func (w *world) checkROS(things []*thing) {
	w.Helper()
	for _, s := range things {
		rosNow := w.rosCount(s.org, s.id)
		switch {
		case s.gone || !s.application:
			if len(rosNow) > 0 {
				w.Errorf("ROS still has of source %d of %s: %v", s.id, s.org, rosNow)
			}
			w.checkKruize(s, false)
		case !s.rosUnknown:
			for _, table := range rosTables {
				if rosNow[table] != len(s.experiments) {
					w.Errorf("ROS has %d %s of the living source %d, want %d", rosNow[table], table, s.id, len(s.experiments))
				}
			}
			w.checkKruize(s, !s.detached)
		}
		if n := w.rosCount(bystander, s.id)["workloads"]; n != len(s.others) {
			w.Errorf("the bystander has %d workloads of its source %d, want %d", n, s.id, len(s.others))
		}
	}
}

func (w *world) rosCount(org string, id int64) map[string]int {
	w.Helper()
	counts, err := rostest.Count(w.Context(), w.rosSQL, org, id)
	if err != nil {
		w.Fatal(err)
	}
	return counts
}

// checkKruize: it knows the experiments of a living source that always had its application, and none of what is gone.
func (w *world) checkKruize(s *thing, sure bool) {
	w.Helper()
	for _, name := range s.experiments {
		knows := w.kruize.Knows(name)
		if knows != s.wantsProvider() && (sure || !s.wantsProvider()) {
			w.Errorf("that Kruize knows %s is %v", name, knows)
		}
	}
}

// checkNothingHeld: when all functions have ended, no connection is left to either server, and no lock.
func (w *world) checkNothingHeld() {
	w.Helper()
	const held = `
		SELECT format('connection of %s: %s %s', application_name, state, query) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name <> 'faults'
		UNION ALL SELECT 'advisory lock' FROM pg_locks WHERE locktype = 'advisory'`
	for _, db := range []*pgxpool.Pool{w.sql, w.rosSQL} {
		deadline := time.Now().Add(30 * time.Second)
		for lines := rows(w, db, held); len(lines) > 0; lines = rows(w, db, held) {
			if time.Now().After(deadline) {
				w.Fatalf("half a minute after the last function has ended: %v", lines)
			}
			wait(w.Context(), 100*time.Millisecond) // a server ends in its own time what its client has left
		}
	}
}
