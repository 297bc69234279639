package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// outside describes what would go with the tenant's schema and is not in it: DROP SCHEMA … CASCADE follows every
// dependency, wherever it leads. What cannot have a schema of its own is where its table is. The internal triggers
// of foreign keys stand on both tables and belong to their constraint, which is in the schema of the table that refers.
func (r retirement) outside(ctx context.Context) ([]string, error) {
	return all(ctx, r.Store, pgx.RowTo[string], `
		WITH RECURSIVE own AS (
			SELECT oid, nspname FROM pg_namespace WHERE nspname = $1
		), dropped AS (
			SELECT 'pg_namespace'::regclass::oid AS classid, oid AS objid, 0 AS objsubid FROM own
			UNION
			SELECT d.classid, d.objid, d.objsubid
			FROM dropped x JOIN pg_depend d ON d.refclassid = x.classid AND d.refobjid = x.objid
				AND (x.objsubid = 0 OR d.refobjsubid = x.objsubid)
		), placed AS (
			SELECT x.*, CASE x.classid
				WHEN 'pg_namespace'::regclass THEN x.objid
				WHEN 'pg_class'::regclass THEN (SELECT relnamespace FROM pg_class WHERE oid = x.objid)
				WHEN 'pg_type'::regclass THEN (SELECT typnamespace FROM pg_type WHERE oid = x.objid)
				WHEN 'pg_constraint'::regclass THEN (SELECT connamespace FROM pg_constraint WHERE oid = x.objid)
				WHEN 'pg_attrdef'::regclass THEN (SELECT relnamespace FROM pg_attrdef JOIN pg_class c ON c.oid = adrelid WHERE pg_attrdef.oid = x.objid)
				WHEN 'pg_rewrite'::regclass THEN (SELECT relnamespace FROM pg_rewrite JOIN pg_class c ON c.oid = ev_class WHERE pg_rewrite.oid = x.objid)
				WHEN 'pg_policy'::regclass THEN (SELECT relnamespace FROM pg_policy JOIN pg_class c ON c.oid = polrelid WHERE pg_policy.oid = x.objid)
				WHEN 'pg_trigger'::regclass THEN (
					SELECT CASE WHEN tgisinternal THEN own.oid ELSE relnamespace END
					FROM own, pg_trigger JOIN pg_class c ON c.oid = tgrelid WHERE pg_trigger.oid = x.objid)
				WHEN 'pg_default_acl'::regclass THEN (SELECT defaclnamespace FROM pg_default_acl WHERE oid = x.objid)
				ELSE (SELECT own.oid FROM own, pg_identify_object(x.classid, x.objid, 0) i
				      WHERE i.schema IN (own.nspname, quote_ident(own.nspname)))
			END AS schema
			FROM dropped x
		)
		SELECT DISTINCT pg_describe_object(p.classid, p.objid, p.objsubid)
		FROM placed p
		WHERE p.schema IS DISTINCT FROM (SELECT oid FROM own)
			AND p.schema IS DISTINCT FROM 'pg_toast'::regnamespace
		ORDER BY 1 LIMIT 10`, r.tenant.Schema)
}
