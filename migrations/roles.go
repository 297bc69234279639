package migrations

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed roles.sql
var rolesSQL string

//go:embed policies.sql
var policiesSQL string

// provisionerRole owns the tenants' schemas that we make.
const provisionerRole = "cost_sources_provisioner"

// Role is the role of a function, by the name of its folder.
func Role(function string) string { return "cost_sources_" + strings.ReplaceAll(function, "-", "_") }

// ErrNoRoles is the error of Roles where the roles are not there and cannot be made. The functions can then only
// work as whoever owns the tables.
var ErrNoRoles = errors.New("the functions have no roles of their own")

// Roles makes the roles of the functions where they are not there, and gives each the rights that it needs and no
// others (roles.sql, policies.sql), all in one transaction. It comes after Public. Whoever runs it becomes a member of all of
// them, the provisioner's among them, which owns the tenants; and the provisioner one of Koku's, where Koku owns them, of
// which Koku's own role, where it runs it, can then not be a member. The error is
// ErrNoRoles with what to do about it, or what PostgreSQL says.
func Roles(ctx context.Context, databaseURL string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("make roles: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := MayMakeRoles(ctx, conn); err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, lockID("roles")); err != nil {
			return err
		}
		// Not before: another run may take longer. A policy locks its table, and all others wait behind who waits for that.
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '`+lockTimeout+`'`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, rolesSQL); err != nil {
			return err
		}
		if err := giveTenants(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, policiesSQL)
		return err
	})
	return wrap("give the functions' roles their rights", err)
}

// Loopholes says what lets the functions' roles do more than Roles has given them, and what closes it. It is of the
// database, which may be Koku's, and so nothing that Roles changes.
func Loopholes(ctx context.Context, databaseURL string) ([]string, error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return nil, fmt.Errorf("look for what roles may do: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, _ := conn.Query(ctx, `
		SELECT 'everybody may make functions in the schema public, by which one role can do what another may, who migrates among them: '
			|| 'GRANT CREATE ON SCHEMA public to that role and to Koku''s, then REVOKE CREATE ON SCHEMA public FROM PUBLIC;'
		WHERE has_schema_privilege('public', 'public', 'CREATE')
		UNION ALL
		SELECT format('Koku''s tables or tenants belong to %I, a superuser, as which the provisioner may act: have them belong to another role', rolname)
		FROM pg_roles WHERE rolsuper AND pg_has_role($1, oid, 'MEMBER')`, provisionerRole) // its error comes out of Collect
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return found, wrap("look for what roles may do", err)
}

// MayMakeRoles returns ErrNoRoles, with what to do about it, where a role is missing that this connection may not make.
func MayMakeRoles(ctx context.Context, conn *pgx.Conn) error {
	var missing []string
	var may bool
	err := conn.QueryRow(ctx, `
		SELECT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user),
			ARRAY (SELECT format('CREATE ROLE %I;', name) FROM unnest($1::text[]) WITH ORDINALITY AS roles (name, place)
			       WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) ORDER BY place)`, allRoles()).Scan(&may, &missing)
	if err != nil {
		return fmt.Errorf("look for roles: %w", err)
	}
	if may || len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w, and this one may not make any, so that all have its rights: have somebody who may run: %s",
		ErrNoRoles, strings.Join(missing, " "))
}

// Functions are those with a role of their own, by the names of their folders.
var Functions = []string{"sources", "applications", "provisioner", "ros-cleanup", "relay", "dead-letters", "interop"}

func allRoles() (roles []string) {
	for _, function := range Functions {
		roles = append(roles, Role(function))
	}
	return roles
}

// giveTenants has the provisioner make tenants, and work on those that are there.
func giveTenants(ctx context.Context, tx pgx.Tx) error {
	// As a member of Koku's role the provisioner makes schemas already, and nobody has to be able to let it.
	for _, give := range []func(context.Context, pgx.Tx) error{joinKoku, giveCreate, giveCostModels, giveOldTenants} {
		if err := give(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// giveCreate lets the provisioner make schemas. PostgreSQL only warns where we have the right and may not give it.
func giveCreate(ctx context.Context, tx pgx.Tx) error {
	var database string
	var given bool
	err := tx.QueryRow(ctx, `SELECT current_database()`).Scan(&database)
	if err != nil {
		return err
	}
	grant := "GRANT CREATE ON DATABASE " + pgx.Identifier{database}.Sanitize() + " TO " + provisionerRole
	const look = `SELECT has_database_privilege($1, current_database(), 'CREATE')`
	if err := tx.QueryRow(ctx, look, provisionerRole).Scan(&given); err != nil || given {
		return err
	}
	if _, err := tx.Exec(ctx, grant); err != nil {
		return wrap(grant, err)
	}
	if err := tx.QueryRow(ctx, look, provisionerRole).Scan(&given); err != nil || given {
		return err
	}
	return fmt.Errorf("the provisioner makes schemas, and we may not let it: have the database's owner run: %s;", grant)
}

// kokuOwners are the roles that own Koku's tables and tenants, where the database is Koku's, and of which the
// provisioner is no member. There tenants are Koku's, also those that we have its function make.
func kokuOwners(ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}) (owners []string, err error) {
	var koku bool
	err = db.QueryRow(ctx, `
		SELECT to_regclass('public.django_migrations') IS NOT NULL AND to_regclass('public.api_tenant') IS NOT NULL`).Scan(&koku)
	if err != nil || !koku {
		return nil, wrap("look for Koku", err)
	}
	rows, _ := db.Query(ctx, `
		SELECT DISTINCT pg_get_userbyid(owner)::text
		FROM (SELECT relowner FROM pg_class WHERE oid = to_regclass('public.api_provider')
		      UNION ALL
		      SELECT n.nspowner FROM public.api_tenant t JOIN pg_namespace n ON n.nspname = t.schema_name
		      WHERE n.nspname <> 'public' AND NOT EXISTS (
		          SELECT FROM pg_class v WHERE v.relnamespace = n.oid AND v.relname = '`+tenantVersions+`')) owners (owner)
		WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $1 AND pg_has_role(oid, owner, 'MEMBER'))`,
		provisionerRole) // its error comes out of Collect
	owners, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return owners, wrap("look for Koku's roles", err)
}

// joinKoku makes the provisioner a member of the roles that own what is Koku's.
func joinKoku(ctx context.Context, tx pgx.Tx) error {
	owners, err := kokuOwners(ctx, tx)
	if err != nil {
		return err
	}
	for _, owner := range owners {
		if _, err := tx.Exec(ctx, grantOwner(owner)); err != nil {
			return fmt.Errorf("the provisioner works on what belongs to Koku's role %s, and we may not let it: have somebody who may run: %s; (%w)",
				owner, grantOwner(owner), err)
		}
	}
	return nil
}

func grantOwner(owner string) string {
	return "GRANT " + pgx.Identifier{owner}.Sanitize() + " TO " + provisionerRole
}

// CheckRoles looks whether Roles can let us work on what is the provisioner's, and the provisioner on what is Koku's,
// and changes nothing. Its error says who may do so and how, of Koku's a *MisfitError, or why it could not look. Where
// the functions get no roles of their own, there is nothing to look for.
func CheckRoles(ctx context.Context, databaseURL string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("look at Koku's roles: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := MayMakeRoles(ctx, conn); errors.Is(err, ErrNoRoles) {
		return nil
	} else if err != nil {
		return err
	}
	owners, err := kokuOwners(ctx, conn)
	if err != nil {
		return err
	}
	var findings []string
	for _, owner := range owners {
		may, err := mayGrant(ctx, conn, owner)
		if err != nil {
			return err
		}
		if !may {
			findings = append(findings, fmt.Sprintf("they belong to %s, of which the provisioner's role has to be a member, and this role may not make it one: "+
				"have somebody who may run: CREATE ROLE %s; (unless it is there) %s;", owner, provisionerRole, grantOwner(owner)))
		}
	}
	if len(findings) > 0 {
		return &MisfitError{Findings: findings}
	}
	return checkMember(ctx, conn)
}

// checkMember: the roles may have been made by somebody else, for another database of the same server. Koku's own role, and
// whatever else the provisioner is a member of there, needs not be one (roles.sql says why).
func checkMember(ctx context.Context, conn *pgx.Conn) error {
	var member bool
	var grant string
	err := conn.QueryRow(ctx, `
		SELECT pg_has_role(current_user, oid, 'USAGE') OR to_regclass('public.django_migrations') IS NOT NULL
				AND (pg_has_role(oid, current_user, 'MEMBER')
					OR current_user = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('public.api_provider'))),
			format('GRANT %I TO %I;', rolname, current_user)
		FROM pg_roles WHERE rolname = $1`, provisionerRole).Scan(&member, &grant)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && member {
		return nil // whoever makes a role may join it
	}
	if err != nil {
		return wrap("look at the provisioner's role", err)
	}
	may, err := mayGrant(ctx, conn, provisionerRole)
	if err != nil || may {
		return err
	}
	return fmt.Errorf("nothing was changed, as the role that migrates has to be a member of the provisioner's: have somebody who may run: %s", grant)
}

// mayGrant: until PostgreSQL 16, whoever may make roles may give any away but a superuser.
func mayGrant(ctx context.Context, conn *pgx.Conn, owner string) (may bool, err error) {
	err = conn.QueryRow(ctx, `
		SELECT me.rolsuper OR pg_has_role(me.oid, owner.oid, 'MEMBER WITH ADMIN OPTION')
			OR current_setting('server_version_num')::int < 160000 AND me.rolcreaterole AND NOT owner.rolsuper
		FROM pg_roles me, pg_roles owner WHERE me.rolname = current_user AND owner.rolname = $1`, owner).Scan(&may)
	return may, wrap("look at role "+owner, err)
}

// giveCostModels gives the function that reads tenants' schemas to who may read them. That Koku's role may itself.
func giveCostModels(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		DO $$ BEGIN
			IF (SELECT pg_get_userbyid(proowner) FROM pg_proc
			    WHERE oid = 'sources.cost_models(text, uuid[])'::regprocedure) <> 'cost_sources_provisioner'
			    AND pg_has_role(current_user, 'cost_sources_provisioner', 'MEMBER') THEN
				GRANT CREATE ON SCHEMA sources TO cost_sources_provisioner; -- which an owner must have to become one
				ALTER FUNCTION sources.cost_models(text, uuid[]) OWNER TO cost_sources_provisioner;
				REVOKE CREATE ON SCHEMA sources FROM cost_sources_provisioner;
			END IF;
		END $$`)
	return wrap("give away sources.cost_models", err)
}

// giveOldTenants gives the provisioner rights in tenants of ours that were made before it had a role, also on the tables
// that their owner makes there from now on: partitions of reports, and what later files add.
func giveOldTenants(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		DO $$
		DECLARE
			tenant text;
			owner text;
			ours bool;
		BEGIN
			FOR tenant, owner, ours IN
				SELECT n.nspname, pg_get_userbyid(c.relowner), pg_has_role(current_user, c.relowner, 'USAGE')
				FROM pg_class c
				JOIN pg_namespace n ON n.oid = c.relnamespace
				JOIN public.api_tenant t ON t.schema_name::text = n.nspname::text
				WHERE c.relname = '`+tenantVersions+`' AND c.relkind = 'r' AND c.relowner <> 'cost_sources_provisioner'::regrole
					AND NOT EXISTS (
						SELECT FROM pg_default_acl d, aclexplode(d.defaclacl) a
						WHERE d.defaclnamespace = n.oid AND d.defaclrole = c.relowner AND a.grantee = 'cost_sources_provisioner'::regrole)
			LOOP
				IF NOT ours THEN -- nor is it then to migrate it
					RAISE EXCEPTION 'the tenant % belongs to %, as which the role that migrates may not act: have somebody who may run: GRANT % TO %;',
						tenant, owner, quote_ident(owner), quote_ident(current_user);
				END IF;
				EXECUTE format('GRANT USAGE ON SCHEMA %I TO cost_sources_provisioner', tenant);
				EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO cost_sources_provisioner', tenant);
				EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I
					GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO cost_sources_provisioner', owner, tenant);
			END LOOP;
		END $$`)
	return wrap("give rights in tenants", err)
}
