package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// sourceColumns are the columns of a source s with its application a, in the order of scanSource.
const sourceColumns = ownColumns + `, a.id, a.extra, a.created_at, a.updated_at, a.deleted_at`

// noApplication stands for the application of a source that cannot have one yet.
const noApplication = `NULL::bigint AS application_id, NULL::jsonb AS extra, NULL::timestamptz AS made_at, NULL::timestamptz AS changed_at,
	NULL::timestamptz AS gone_at`

// ownColumns are those of the source alone.
const ownColumns = `
	s.id, s.uuid, s.org_id, s.account_number, s.name, s.source_type, coalesce(s.cluster_id, ''), s.credentials,
	s.billing_source, s.paused, s.created_at, s.updated_at, s.deleted_at,
	s.generation, s.observed_generation, s.sequence, s.state, s.reason, s.attempts, s.state_at, s.next_attempt_at,
	s.provider_detached_at, s.provider_removed_at, s.ros_cleaned_at, s.ros_rechecked_at`

const sourceTables = `
	sources.source s
	LEFT JOIN sources.application a ON a.org_id = s.org_id AND a.source_id = s.id AND a.application_type_id = 0`

func scanSource(row pgx.CollectableRow) (sources.Source, error) { return scanSourceAnd(row) }

// scanSourceAnd is scanSource for a query with more columns, which go where more points.
func scanSourceAnd(row pgx.CollectableRow, more ...any) (sources.Source, error) {
	var s sources.Source
	var a maybeApplication
	into := []any{&s.ID, &s.UUID, &s.OrgID, &s.AccountNumber, &s.Name, &s.Type, &s.ClusterID, &s.Credentials,
		&s.BillingSource, &s.Paused, &s.CreatedAt, &s.UpdatedAt, &s.DeletedAt,
		&s.Generation, &s.ObservedGeneration, &s.Sequence, &s.State, &s.Reason, &s.Attempts, &s.StateAt, &s.NextAttemptAt,
		&s.ProviderDetachedAt, &s.ProviderRemovedAt, &s.ROSCleanedAt, &s.ROSRecheckedAt,
		&a.id, &a.extra, &a.createdAt, &a.updatedAt, &a.deletedAt}
	err := row.Scan(append(into, more...)...)
	s.Application = a.of(s)
	return s, err
}

// Source reads a living source of an organization.
func (s *Store) Source(ctx context.Context, orgID string, ref sources.Ref) (sources.Source, error) {
	return s.SourceWith(ctx, orgID, ref, sources.Include{})
}

// SourceWith is Source with what is to be included. Where that is the deleted it also reads a source that is gone,
// for as long as the registry has it. The history is nil unless it is asked for.
func (s *Store) SourceWith(ctx context.Context, orgID string, ref sources.Ref, include sources.Include) (sources.Source, error) {
	columns, scan := sourceColumns, scanSource
	isIt, value := refersTo(ref)
	if include.History {
		columns, scan = sourceColumns+`, `+history, scanSourceWithHistory
	}
	return one(ctx, s, scan, sources.NoSource(), `
		SELECT `+columns+`
		FROM `+sourceTables+`
		WHERE s.org_id = $1 AND `+isIt+` AND (s.deleted_at IS NULL OR $3)`,
		orgID, value, include.Deleted)
}

// refersTo compares a source s to a reference, which is $2. A statement of its own for each kind has the same plan
// whatever the value is, so that PostgreSQL needs to make it only once.
func refersTo(ref sources.Ref) (condition string, value any) {
	if ref.UUID != "" {
		return "s.uuid = $2::uuid", ref.UUID
	}
	return "s.id = $2::bigint", ref.ID
}

// Registered reads the registry row that an event names, whosever it is and gone or not.
func (s *Store) Registered(ctx context.Context, id int64) (sources.Source, error) {
	return one(ctx, s, scanSource, sources.NoSource(), `
		SELECT `+sourceColumns+`
		FROM `+sourceTables+`
		WHERE s.id = $1::bigint`, id)
}

// LockSource locks a living source and reads it: every writer of a source does so first.
func (s *Store) LockSource(ctx context.Context, orgID string, ref sources.Ref) (sources.Source, error) {
	src, err := s.LockRegistered(ctx, orgID, ref)
	if err == nil && src.DeletedAt != nil {
		return src, sources.NoSource()
	}
	return src, err
}

// LockRegistered is LockSource for a source that may be gone.
func (s *Store) LockRegistered(ctx context.Context, orgID string, ref sources.Ref) (sources.Source, error) {
	// Two statements: one that has waited for the lock would see the source as it is now, but beside it
	// the application as it was when the statement began. They are sent in one go.
	var src sources.Source
	batch := &pgx.Batch{}
	isIt, value := refersTo(ref)
	batch.Queue(`SELECT FROM sources.source s WHERE s.org_id = $1 AND `+isIt+` FOR NO KEY UPDATE`, orgID, value)
	batch.Queue(`
		SELECT `+sourceColumns+`
		FROM `+sourceTables+`
		WHERE s.org_id = $1 AND `+isIt, orgID, value).
		Query(func(rows pgx.Rows) (err error) {
			src, err = pgx.CollectExactlyOneRow(rows, scanSource)
			return err
		})
	err := s.db.SendBatch(ctx, batch).Close()
	return src, domainError(err, sources.NoSource())
}

// CreateSource makes the registry row of a new source, which is then locked, and reads it. Only what a
// client can say of it is taken from draft. SaveSource has to follow in the same transaction.
func (s *Store) CreateSource(ctx context.Context, draft sources.Source) (sources.Source, error) {
	return one(ctx, s, scanSource, nil, `
		INSERT INTO sources.source AS s
			(org_id, account_number, name, source_type, cluster_id, credentials, billing_source, paused, state)
		VALUES ($1, $2, $3, $4, nullif($5, ''), $6, $7, $8, 'waiting')
		RETURNING `+ownColumns+`, `+noApplication,
		draft.OrgID, draft.AccountNumber, draft.Name, sources.TypeOCP, draft.ClusterID,
		orEmpty(draft.Credentials), orEmpty(draft.BillingSource), draft.Paused)
}

func orEmpty(o sources.Object) sources.Object {
	if o == nil {
		return sources.Object{}
	}
	return o
}

// SaveSource stores a source that is locked as it is now: its row, with the generation raised, its
// application where that has changed, its row in api_sources, and the events that make makes of it, in
// that order. It fills in what the database decides. Where another living source of the organization has
// the cluster, the error is Invalid.
func (s *Store) SaveSource(ctx context.Context, src *sources.Source, make ...EventFunc) error {
	var projected int64
	batch := &pgx.Batch{}
	saveApplication(batch, src)
	saveRow(batch, src, len(make))
	project(batch, *src, &projected)
	if err := s.db.SendBatch(ctx, batch).Close(); err != nil {
		return domainError(err, nil)
	}
	if projected == 0 && src.DeletedAt == nil {
		return fmt.Errorf("source %d: api_sources has a row of another source with this id", src.ID)
	}
	if src.Application != nil {
		src.Application.Changed = false
	}
	return s.emit(ctx, *src, make)
}

// saveRow never sets updated_at back, nor do its neighbours: now() is when the transaction began, and one that waited for
// the row may have begun before the change that it waited for. The times of a source's events are to come in their order.
func saveRow(b *pgx.Batch, src *sources.Source, events int) {
	state := sources.Waiting
	if src.WantsProvider() {
		state = sources.Pending
	}
	b.Queue(`
		UPDATE sources.source s SET `+remember+`,
			name = $3, cluster_id = nullif($4, ''), credentials = $5, billing_source = $6, paused = $7,
			deleted_at = $8, updated_at = greatest(now(), updated_at),
			generation = generation + 1, sequence = sequence + $9, state = $10, reason = '', attempts = 0,
			state_at = now(), next_attempt_at = now() + $11::interval,
			ros_cleaned_at = $12, ros_rechecked_at = $13
		WHERE org_id = $1 AND id = $2
		RETURNING updated_at, generation, sequence, state, reason, attempts, state_at, next_attempt_at`,
		src.OrgID, src.ID, src.Name, src.ClusterID, src.Credentials, src.BillingSource, src.Paused, src.DeletedAt,
		events, state, firstRepair, src.ROSCleanedAt, src.ROSRecheckedAt).
		QueryRow(func(row pgx.Row) error {
			return row.Scan(&src.UpdatedAt, &src.Generation, &src.Sequence, &src.State, &src.Reason, &src.Attempts, &src.StateAt, &src.NextAttemptAt)
		})
}

// project writes the row that the rest of the world knows a source by (contract section 6). Its provider_id and
// koku_uuid are the provisioner's. There are no rows affected where one of somebody else's has that id.
func project(b *pgx.Batch, src sources.Source, affected *int64) {
	count := func(tag pgconn.CommandTag) error {
		*affected = tag.RowsAffected()
		return nil
	}
	if src.DeletedAt != nil {
		b.Queue(`DELETE FROM public.api_sources WHERE org_id = $1 AND source_id = $2 AND source_uuid = $3`,
			src.OrgID, src.ID, src.UUID).Exec(count)
		return
	}
	b.Queue(`
		INSERT INTO public.api_sources (source_id, source_uuid, name, "offset", account_id, source_type,
			authentication, billing_source, pending_delete, pending_update, out_of_order_delete, status, paused,
			additional_context, org_id, updated_timestamp)
		VALUES ($2, $3, $4, $2, nullif($5, ''), $6, jsonb_build_object('credentials', $7::jsonb), '{}',
			false, false, false, '{}', $8, '{}', $1, now())
		ON CONFLICT (source_id) DO UPDATE SET name = excluded.name, authentication = excluded.authentication,
			paused = excluded.paused, updated_timestamp = greatest(excluded.updated_timestamp, api_sources.updated_timestamp)
		WHERE api_sources.org_id = excluded.org_id AND api_sources.source_uuid = excluded.source_uuid`,
		src.OrgID, src.ID, src.UUID, src.Name, src.AccountNumber, src.Type, src.Credentials, src.Paused).Exec(count)
}
