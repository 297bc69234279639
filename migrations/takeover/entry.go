package takeover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// An entry is a source as the registry is to have it, made of Koku's word.
type entry struct {
	sources.Source
	done bool // nobody has to look at it: the registry and the provider agree, or a person has to mend something
}

// entryOf makes an entry of a word that names an organization. Whether the cluster is to be had is not known here.
func entryOf(w word) entry {
	e := entry{Source: sources.Source{
		ID: w.ID, UUID: w.uuid(), OrgID: w.org(), AccountNumber: first(w.Account, w.ProviderAcct), Name: w.name(),
		Type: sources.TypeOCP, ClusterID: w.cluster(), Credentials: w.credentials(), BillingSource: w.Billing,
		Paused: w.paused(), CreatedAt: w.createdAt(), UpdatedAt: w.UpdatedAt,
	}}
	switch {
	case w.Deleting:
		gone := w.UpdatedAt
		e.DeletedAt, e.State = &gone, sources.Waiting
	case w.Provider != "" && w.Provider != e.UUID:
		e.fail(fmt.Sprintf("The provider of this source, %s, has another UUID than the source and was not made from it. "+
			"Remove that provider and change this source, or delete the source.", w.Provider))
	case e.ClusterID == "":
		e.State, e.done = sources.Waiting, true
	case w.provided():
		e.State, e.done = sources.Ready, true
	default:
		e.State = sources.Pending
	}
	return e
}

// fail leaves e to a person: the relay does not ask for it again, and a change of it is what has it tried anew.
func (e *entry) fail(reason string) { e.State, e.Reason, e.done = sources.Failed, reason, true }

// yield has e go without its cluster where another living source of the organization has it: who is in the registry
// keeps it, and as sources come in the order of their ids, that is the lowest. What Koku has for e, the provider and
// its data, stays: it is removed when a person deletes e, and not before. Its credentials go to the other one's provider
// when that is next provided for, so that uploads come to one.
func (e *entry) yield(ctx context.Context, tx pgx.Tx) error {
	if e.DeletedAt != nil || e.ClusterID == "" {
		return nil
	}
	var holder int64
	err := tx.QueryRow(ctx, `
		SELECT coalesce(min(id), 0) FROM sources.source
		WHERE org_id = $1 AND cluster_id = $2 AND deleted_at IS NULL AND id <> $3`, e.OrgID, e.ClusterID, e.ID).Scan(&holder)
	if err == nil && holder != 0 {
		e.fail(fmt.Sprintf("Source %d has the cluster %q already. Delete one of the two, or give this one another cluster.",
			holder, e.ClusterID))
		e.ClusterID = ""
	}
	return err
}

// put writes the registry row of e: a new one, or in place of one that is deleted and done with, whose generation
// and sequence go on. What nobody has looked at yet counts as changed now.
func (e *entry) put(ctx context.Context, tx pgx.Tx) error {
	if e.UUID == "" {
		if err := tx.QueryRow(ctx, `SELECT gen_random_uuid()::text`).Scan(&e.UUID); err != nil {
			return err
		}
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO sources.source AS r (id, uuid, org_id, account_number, name, source_type, cluster_id, credentials,
			billing_source, paused, created_at, updated_at, deleted_at, generation, observed_generation, state, reason,
			ros_cleaned_at, ros_rechecked_at)
		VALUES ($1, $2, $3, $4, $5, $6, nullif($7, ''), $8, $9, $10, $11,
			CASE WHEN $14 THEN $12::timestamptz ELSE now() END, $13, 1, $14::boolean::integer, $15, $16, NULL, NULL)
		ON CONFLICT (id) DO UPDATE SET uuid = excluded.uuid, org_id = excluded.org_id, account_number = excluded.account_number,
			name = excluded.name, cluster_id = excluded.cluster_id, credentials = excluded.credentials,
			billing_source = excluded.billing_source, paused = excluded.paused, created_at = excluded.created_at,
			updated_at = excluded.updated_at, deleted_at = excluded.deleted_at, generation = r.generation + 1,
			observed_generation = r.generation + excluded.observed_generation, state = excluded.state, reason = excluded.reason,
			attempts = 0, state_at = now(), next_attempt_at = now(), provider_removed_at = NULL,
			ros_cleaned_at = NULL, ros_rechecked_at = NULL, removal_progress = '{}', history = '[]', record_at = NULL -- which are another source's
		WHERE r.deleted_at IS NOT NULL`,
		e.ID, e.UUID, e.OrgID, e.AccountNumber, e.Name, e.Type, e.ClusterID, e.Credentials, e.BillingSource, e.Paused,
		e.CreatedAt, e.UpdatedAt, e.DeletedAt, e.done, e.State, e.Reason)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return errors.New("it has come to live in the registry meanwhile: run migrate again")
	}
	if err := e.putApplication(ctx, tx); err != nil {
		return err
	}
	return e.project(ctx, tx)
}

// putApplication gives e its application, under the source's id where that is free, as Koku repeats it there.
func (e *entry) putApplication(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO sources.application (id, org_id, source_id, application_type_id, created_at, updated_at, deleted_at)
		SELECT CASE WHEN EXISTS (SELECT FROM sources.application WHERE id = $2)
				THEN nextval(pg_get_serial_sequence('sources.application', 'id')) ELSE $2 END,
			$1, $2, $3, $4, $4, $5
		ON CONFLICT (source_id, application_type_id) DO UPDATE SET org_id = excluded.org_id, extra = '{}',
			created_at = excluded.created_at, updated_at = excluded.updated_at, deleted_at = excluded.deleted_at`,
		e.OrgID, e.ID, sources.ApplicationTypeID, e.CreatedAt, e.DeletedAt)
	return err
}

// project has the row in api_sources say what the registry says: the functions compare organization and UUID, and Koku's
// word is compared with the rest. That of a deleted source goes, as with every deletion of ours.
func (e *entry) project(ctx context.Context, tx pgx.Tx) error {
	if e.DeletedAt != nil {
		return dropProjection(ctx, tx, e.OrgID, e.ID, e.UUID)
	}
	_, err := tx.Exec(ctx, `
		UPDATE public.api_sources SET source_uuid = $3, org_id = $1, name = $4, paused = $5,
			authentication = CASE WHEN authentication->'credentials' = $6 THEN authentication
				ELSE jsonb_build_object('credentials', $6::jsonb) END
		WHERE source_id = $2 AND coalesce(nullif(org_id, ''), $1) = $1`,
		e.OrgID, e.ID, e.UUID, e.Name, e.Paused, e.Credentials)
	return err
}

func dropProjection(ctx context.Context, tx pgx.Tx, org string, id int64, uuid string) error {
	_, err := tx.Exec(ctx, `
		DELETE FROM public.api_sources
		WHERE source_id = $2 AND coalesce(nullif(org_id, ''), $1) = $1 AND coalesce(source_uuid, $3) = $3`, org, id, uuid)
	return err
}

// countedAs is what the report has of e.
func (e *entry) countedAs() string {
	if e.DeletedAt != nil {
		return "deleted"
	}
	return string(e.State)
}

// A standing is a source that the registry has.
type standing struct {
	sources.Source
	Settled bool // nothing of a change or a deletion is left to do
}

// standings locks sources of the registry for the rest of the transaction, as every writer of a source does.
func standings(ctx context.Context, tx pgx.Tx, condition string, args ...any) ([]standing, error) {
	rows, _ := tx.Query(ctx, `
		SELECT r.id, r.uuid::text, r.org_id, r.name, coalesce(r.cluster_id, ''), r.credentials::text, r.paused, r.deleted_at, r.state,
			r.observed_generation = r.generation AND (r.deleted_at IS NULL OR r.provider_removed_at IS NOT NULL
				AND r.provider_detached_at IS NULL AND r.ros_cleaned_at IS NOT NULL
				AND NOT EXISTS (SELECT FROM sources.outbox o WHERE o.source_id = r.id))
		FROM sources.source r WHERE `+condition, args...) // its error comes out of Collect
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s standing, err error) {
		var credentials string
		var deleted *time.Time
		err = row.Scan(&s.ID, &s.UUID, &s.OrgID, &s.Name, &s.ClusterID, &credentials, &s.Paused, &deleted, &s.State, &s.Settled)
		s.Credentials, s.DeletedAt = object(credentials), deleted
		return s, err
	})
}
