package preflight

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// checkLogins tries the login of each function, where each has one of its own: in the files beside DATABASE_URL_FILE
// that are called like the functions. A role that migrate has yet to make is no fault.
func checkLogins(ctx context.Context, cfg Database, registry server, r *report) {
	const name = "DATABASE_LOGINS"
	if cfg.Logins != loginsEach {
		return
	}
	before := r.failed()
	for _, function := range cfg.functions() {
		file := filepath.Join(filepath.Dir(cfg.DatabaseURLFile), function)
		url, err := store.Config{DatabaseURLFile: file, MaxConns: 1}.URL()
		if err != nil {
			r.fail(name, "the Secret has no address for %s under that key", function)
			continue
		}
		s, ok := openSession(ctx, name, url, r)
		if !ok {
			continue
		}
		if s.server.Place != registry.Place {
			r.fail(name, "%s comes to database %s at %s, which is not that of DATABASE_URL_FILE: correct its address", function, s.server.Database, s.at)
		} else if err := s.checkLogin(ctx, name, function, r); err != nil {
			r.fail(name, "%v: %s", s, explainPostgres(err))
		}
		s.close(ctx)
	}
	if r.failed() == before {
		r.ok(name, "each function comes in with a role of its own")
	}
}

// checkLogin reports a role that is not the function's, or that may do more than it.
func (s *session) checkLogin(ctx context.Context, name, function string, r *report) error {
	role := migrations.Role(function)
	var made, member, owner bool
	err := s.conn.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1),
			coalesce((SELECT pg_has_role(current_user, oid, 'USAGE') FROM pg_roles WHERE rolname = $1), false),
			(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
				OR coalesce((SELECT pg_has_role(current_user, nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'sources'), false)`,
		role).Scan(&made, &member, &owner)
	if err != nil {
		return err
	}
	if made && !member {
		r.fail(name, "%s comes in as %s, which is not its role: GRANT %s TO %s;", function, s.server.Role, role, s.role())
	}
	if owner {
		r.warn(name, "%s comes in as %s, who owns the tables: row-level security does not hold it", function, s.server.Role)
	}
	return nil
}

// functions are those that come to the database when they are called.
func (d Database) functions() []string {
	deployed := []string{"sources", "applications", "provisioner", "ros-cleanup", "relay"}
	if d.Interop {
		deployed = append(deployed, "interop")
	}
	return deployed
}

// loginsEach is the DATABASE_LOGINS of who gives each function a login of its own.
const loginsEach = "each"

func (d Database) checkLoginsSetting() error {
	switch d.Logins {
	case "", "one", loginsEach:
	default:
		return fmt.Errorf("DATABASE_LOGINS: %q is neither one nor each", d.Logins)
	}
	if d.Logins == loginsEach && d.DatabaseURLFile == "" {
		return errors.New("DATABASE_LOGINS: each needs DATABASE_URL_FILE, beside which the other addresses are")
	}
	return nil
}
