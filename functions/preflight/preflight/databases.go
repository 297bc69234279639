package preflight

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/migrations"
)

// kokuTables are those of Koku's that the functions share; migrate makes the ones that are missing.
var kokuTables = []string{"public.api_customer", "public.api_tenant", "public.api_user", "public.api_providerauthentication",
	"public.api_providerbillingsource", "public.api_providerinfrastructuremap", "public.api_provider", "public.api_sources",
	"public.reporting_common_costusagereportmanifest", "public.reporting_common_costusagereportstatus"}

// written are those of them that the functions write to.
var written = []string{"public.api_customer", "public.api_tenant", "public.api_providerauthentication",
	"public.api_providerbillingsource", "public.api_provider", "public.api_sources"}

func checkDatabase(ctx context.Context, cfg Database, r *report) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin+queriesWithin)
	defer cancel()
	name := "DATABASE_URL"
	if cfg.DatabaseURLFile != "" {
		name = "DATABASE_URL_FILE"
	}
	url, err := cfg.URL()
	if err != nil {
		r.fail(name, "%v", err)
		return
	}
	s, ok := openSession(ctx, name, url, r)
	if !ok {
		return
	}
	defer s.close(ctx)
	if err := s.checkRegistry(ctx, name, url, r); err != nil {
		r.fail(name, "%v: %s", s, explainPostgres(err))
	}
	s.checkConnections(name, cfg.Logins, cfg.ConnectionsNeeded, r)
	checkLogins(ctx, cfg, s.server, r)
}

// checkRegistry reports on tables and rights, in the end with ok if there was nothing to fail for.
func (s *session) checkRegistry(ctx context.Context, name, url string, r *report) error {
	state, err := migrations.Status(ctx, url)
	if err != nil {
		return err
	}
	needed := append(grants(kokuTables, "SELECT"), grants(written, "INSERT", "UPDATE", "DELETE")...)
	absent, missing, err := s.lacking(ctx, needed)
	if err != nil {
		return err
	}
	s.failGrants(name, missing, r)
	if !s.server.CreateSchemas {
		r.fail(name, "role %s may not create schemas, as migrate and every new organization need: GRANT CREATE ON DATABASE %s TO %s;",
			s.server.Role, pgx.Identifier{s.server.Database}.Sanitize(), s.role())
	}
	if len(absent) > 0 && !s.server.CreateInPublic {
		r.fail(name, "role %s may not create tables in schema public, where migrate is to make %s: GRANT CREATE ON SCHEMA public TO %s;",
			s.server.Role, strings.Join(absent, ", "), s.role())
	}
	if err := migrations.MayMakeRoles(ctx, s.conn); errors.Is(err, migrations.ErrNoRoles) {
		r.warn(name, "%v", err)
	} else if err != nil {
		return err
	}
	if s.pooled {
		r.warn(name, "a pooler is in between: the functions work through it, migrate needs the address of PostgreSQL itself")
	}
	if state.Public > state.PublicNewest {
		r.warn(name, "the tables are at version %d, of a newer release than this one, which knows %d", state.Public, state.PublicNewest)
	}
	tables, err := s.describeTables(ctx, state, absent)
	if err == nil && r.failed() == 0 {
		r.ok(name, "%v; %s", s, tables)
	}
	return err
}

func (s *session) describeTables(ctx context.Context, state migrations.State, absent []string) (string, error) {
	var koku bool
	if err := s.conn.QueryRow(ctx, `SELECT to_regclass('public.django_migrations') IS NOT NULL`).Scan(&koku); err != nil {
		return "", err
	}
	text := fmt.Sprintf("tables at version %d of %d", state.Public, state.PublicNewest)
	if behind := state.Behind(); behind > 0 {
		text += fmt.Sprintf(", %d tenants behind", behind)
	}
	switch {
	case koku && len(absent) == 0:
		text += "; Koku's own tables are there"
	case koku:
		text += "; Koku is there, but not its tables " + strings.Join(absent, ", ")
	case len(absent) == 0:
		text += "; Koku's tables are ours"
	default:
		text += "; Koku's tables are for migrate to make"
	}
	return text, nil
}

// checkConnections compares with what all functions together may open. What a pooler may open is not known here.
func (s *session) checkConnections(name, logins string, needed int, r *report) {
	if needed == 0 || s.pooled {
		return
	}
	allowed, bound := s.server.Connections, "max_connections"
	if own := s.server.RoleConnections; logins != loginsEach && own >= 0 && own < allowed {
		allowed, bound = own, "the role's CONNECTION LIMIT"
	}
	if allowed < needed {
		r.warn(name, "%s allows %d connections, and the functions may open %d (CONNECTIONS_NEEDED): raise it, or lower max-scale or DATABASE_MAX_CONNS",
			bound, allowed, needed)
	}
}

// rosDeletes are the tables of ROS of which ros-cleanup deletes rows, and rosLocks those whose rows it locks first.
var (
	rosLocks   = []string{"clusters", "workloads"}
	rosDeletes = append([]string{"workload_metrics", "historical_recommendation_sets", "historical_namespace_recommendation_sets",
		"namespace_recommendation_sets", "recommendation_sets"}, rosLocks...)
)

func checkROS(ctx context.Context, cfg ROS, r *report) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin+queriesWithin)
	defer cancel()
	const name = "ROS_DATABASE_URL"
	s, ok := openSession(ctx, name, cfg.URL, r)
	if !ok {
		return
	}
	defer s.close(ctx)
	needed := append(grants([]string{"rh_accounts"}, "SELECT"), grants(rosDeletes, "SELECT", "DELETE")...)
	absent, missing, err := s.lacking(ctx, append(needed, grants(rosLocks, "UPDATE")...))
	if err != nil {
		r.fail(name, "%v: %s", s, explainPostgres(err))
		return
	}
	s.failGrants(name, missing, r)
	if len(absent) > 0 {
		r.fail(name, "%v: ROS has not made its tables %s: is it the right database, and is ROS deployed?", s, strings.Join(absent, ", "))
	}
	if r.failed() == 0 {
		r.ok(name, "%v; the tables of ROS are there", s)
	}
}
