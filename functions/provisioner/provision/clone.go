package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// cloneOf makes tenants as Koku does, and as who Koku is: the schema is the template's owner's, as if Koku had made it,
// so that Koku can migrate it. Koku's function reports by false that it has done nothing.
func cloneOf(template string) store.SchemaFunc {
	return func(ctx context.Context, tx pgx.Tx, schema string) error {
		owner, us, err := rolesOf(ctx, tx, template)
		if err != nil {
			return err
		}
		before, err := actAs(ctx, tx, owner, us, template)
		if err != nil {
			return err
		}
		var done bool
		err = tx.QueryRow(ctx, `SELECT public.clone_schema($1, $2, copy_data => true)`, template, schema).Scan(&done)
		if err != nil {
			return err
		}
		if !done { // and the template is there
			return &sources.Error{Kind: sources.Unavailable, Msg: "The schema " + schema + " is being made by somebody else."}
		}
		if before == "" {
			return nil
		}
		return setRole(ctx, tx, before)
	}
}

func noTemplate(template string) error {
	return &sources.Error{Kind: sources.Blocked, Msg: "The template schema " + template + " does not exist."}
}

// rolesOf reads who owns the template, and who we are.
func rolesOf(ctx context.Context, tx pgx.Tx, template string) (owner, us string, err error) {
	err = tx.QueryRow(ctx, `
		SELECT pg_get_userbyid(nspowner)::text, current_user::text FROM pg_namespace WHERE nspname = $1`, template).
		Scan(&owner, &us)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", "", noTemplate(template)
	}
	return owner, us, err
}

const insufficientPrivilege = "42501"

// actAs has the transaction go on as owner, and returns what its role is to be set back to; empty where we are owner
// already. The setting ends with the transaction in any case.
func actAs(ctx context.Context, tx pgx.Tx, owner, us, template string) (before string, err error) {
	if owner == us {
		return "", nil
	}
	if err := tx.QueryRow(ctx, `SELECT current_setting('role')`).Scan(&before); err != nil {
		return "", err
	}
	err = setRole(ctx, tx, owner)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == insufficientPrivilege {
		return "", &sources.Error{Kind: sources.Blocked, Msg: fmt.Sprintf(
			"The template schema %s belongs to the role %s, as which the role of the functions may not act: GRANT %s TO %s.",
			template, owner, pgx.Identifier{owner}.Sanitize(), pgx.Identifier{us}.Sanitize())}
	}
	return before, err
}

// setRole is SET LOCAL ROLE, which takes no parameters.
func setRole(ctx context.Context, tx pgx.Tx, role string) error {
	_, err := tx.Exec(ctx, `SELECT set_config('role', $1, true)`, role)
	return err
}
