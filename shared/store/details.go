package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// Details reads what Koku's tables say about sources of an organization, by their UUIDs. Tables that are
// not there say nothing.
func (s *Store) Details(ctx context.Context, orgID string, of []sources.Source) (map[string]sources.Details, error) {
	var uuids []string
	for _, src := range of {
		if src.ObservedGeneration > 0 { // before that there can be no provider
			uuids = append(uuids, src.UUID)
		}
	}
	if len(uuids) == 0 {
		return nil, nil
	}
	// One alone has statements of its own, as of how many there are PostgreSQL knows nothing before it is asked, and so has
	// no plan ready.
	among, which := `= ANY ($2::uuid[])`, any(uuids)
	if len(uuids) == 1 {
		among, which = `= $2::uuid`, uuids[0]
	}
	details := map[string]sources.Details{}
	parts := []func(*pgx.Batch){
		func(b *pgx.Batch) { providerDetails(b, orgID, among, which, details) },
		func(b *pgx.Batch) { manifestDetails(b, orgID, among, which, details) },
		func(b *pgx.Batch) { costModels(b, orgID, uuids, details) },
	}
	all := &pgx.Batch{}
	for _, queue := range parts {
		queue(all)
	}
	err := s.db.SendBatch(ctx, all).Close()
	if !isUndefined(err) {
		return details, domainError(err, nil)
	}
	clear(details)
	for _, queue := range parts { // each by itself, as the one table that is missing breaks off what is in one batch with it
		alone := &pgx.Batch{}
		queue(alone)
		if err := s.db.SendBatch(ctx, alone).Close(); err != nil && !isUndefined(err) {
			return nil, domainError(err, nil)
		}
	}
	return details, nil
}

func providerDetails(b *pgx.Batch, orgID, among string, which any, details map[string]sources.Details) {
	b.Queue(`
		SELECT p.uuid, p.active, p.polling_timestamp, p.additional_context,
			m.infrastructure_type, m.infrastructure_provider_id::text, i.source_id
		FROM public.api_provider p
		JOIN public.api_customer c ON c.id = p.customer_id
		LEFT JOIN public.api_providerinfrastructuremap m ON m.id = p.infrastructure_id
		LEFT JOIN public.api_sources i ON i.org_id = c.org_id AND i.koku_uuid = m.infrastructure_provider_id::text
		WHERE c.org_id = $1 AND p.uuid `+among, orgID, which).
		Query(func(rows pgx.Rows) error {
			var uuid string
			var d sources.Details
			var cloud struct {
				kind, uuid *string
				source     *int64
			}
			_, err := pgx.ForEachRow(rows, []any{&uuid, &d.ProviderActive, &d.LastPolling, &d.AdditionalContext,
				&cloud.kind, &cloud.uuid, &cloud.source}, func() error {
				d.ProviderLinked, d.Infrastructure = true, nil
				if cloud.kind != nil {
					d.Infrastructure = &sources.Infrastructure{Type: *cloud.kind, UUID: *cloud.uuid}
					if cloud.source != nil {
						d.Infrastructure.SourceID = fmt.Sprint(*cloud.source)
					}
				}
				details[uuid] = d
				d = sources.Details{}
				return nil
			})
			return err
		})
}

// manifestDetails adds to what is known of providers what their payloads say. The latest one is that of this month or
// the last which came last; its state becomes the status, and what its operator said of itself part of the context.
func manifestDetails(b *pgx.Batch, orgID, among string, which any, details map[string]sources.Details) {
	b.Queue(`
		WITH months AS (
			SELECT date_trunc('month', now(), 'UTC') AS this, date_trunc('month', now(), 'UTC') - interval '1 month' AS last
		)
		SELECT m.provider_id,
			bool_or(m.completed_datetime IS NOT NULL),
			bool_or(m.completed_datetime IS NOT NULL AND m.billing_period_start_datetime = this),
			bool_or(m.completed_datetime IS NOT NULL AND m.billing_period_start_datetime = last),
			latest.creation_datetime, latest.state, latest.operator
		FROM months, public.reporting_common_costusagereportmanifest m
		JOIN public.api_provider p ON p.uuid = m.provider_id
		JOIN public.api_customer c ON c.id = p.customer_id
		LEFT JOIN LATERAL (
			SELECT l.creation_datetime, l.state, jsonb_build_object('operator_version', l.operator_version,
				'operator_airgapped', l.operator_airgapped, 'operator_certified', l.operator_certified) AS operator
			FROM months, public.reporting_common_costusagereportmanifest l
			WHERE l.provider_id = m.provider_id AND l.billing_period_start_datetime IN (this, last)
				AND l.creation_datetime IS NOT NULL
			ORDER BY l.creation_datetime DESC LIMIT 1
		) latest ON true
		WHERE c.org_id = $1 AND m.provider_id `+among+`
		GROUP BY m.provider_id, latest.creation_datetime, latest.state, latest.operator`, orgID, which).
		Query(func(rows pgx.Rows) error {
			var uuid string
			var hasData, current, previous bool
			var latest *time.Time
			var state map[string]manifestStep
			var operator sources.Object
			_, err := pgx.ForEachRow(rows, []any{&uuid, &hasData, &current, &previous, &latest, &state, &operator}, func() error {
				d := details[uuid]
				d.HasData, d.CurrentMonthData, d.PreviousMonthData, d.LastPayloadAt = hasData, current, previous, latest
				if latest != nil {
					d.Status = statusOf(state)
					d.AdditionalContext = merged(d.AdditionalContext, operator)
				}
				details[uuid] = d
				state, operator = nil, nil
				return nil
			})
			return err
		})
}

func merged(context, operator sources.Object) sources.Object {
	all := sources.Object{}
	maps.Copy(all, context)
	maps.Copy(all, operator)
	return all
}

// A manifestStep is how far a step of a payload's processing is, in Koku's words.
type manifestStep struct {
	Start  any `json:"start,omitempty"`
	End    any `json:"end,omitempty"`
	Failed any `json:"failed,omitempty"`
}

func (m manifestStep) state() string {
	switch {
	case m.Failed != nil:
		return "failed"
	case m.End != nil:
		return "complete"
	case m.Start != nil:
		return "in-progress"
	default:
		return "pending"
	}
}

func statusOf(steps map[string]manifestStep) json.RawMessage {
	type shown struct {
		State string `json:"state"`
		manifestStep
	}
	status := map[string]shown{}
	for _, name := range []string{"download", "processing", "summary"} {
		status[name] = shown{steps[name].state(), steps[name]}
	}
	text, _ := json.Marshal(status) // what was JSON encodes as JSON
	return text
}

// costModels adds the cost models, which stand in the tenant's own schema and come from there by a function with rights
// of its own. What has no provider has none.
func costModels(b *pgx.Batch, orgID string, uuids []string, details map[string]sources.Details) {
	b.Queue(`SELECT provider_uuid, name, uuid FROM sources.cost_models($1, $2::uuid[])`, orgID, uuids).
		Query(func(rows pgx.Rows) error {
			var uuid string
			var model sources.CostModel
			_, err := pgx.ForEachRow(rows, []any{&uuid, &model.Name, &model.UUID}, func() error {
				if d, linked := details[uuid]; linked {
					d.CostModels = append(d.CostModels, model)
					details[uuid] = d
				}
				return nil
			})
			return err
		})
}

// orUndefined is domainError, but for a table that is not there: that is no error.
func orUndefined(err error) error {
	if isUndefined(err) {
		return nil
	}
	return domainError(err, nil)
}

// Stats reads what has been made of the payloads of src: for each month the three that came last.
func (s *Store) Stats(ctx context.Context, orgID string, src sources.Source) (sources.Stats, error) {
	stats := sources.Stats{Months: map[string][]sources.Manifest{}}
	err := s.db.QueryRow(ctx, `
		SELECT true, p.data_updated_timestamp
		FROM public.api_provider p JOIN public.api_customer c ON c.id = p.customer_id
		WHERE c.org_id = $1 AND p.uuid = $2`, orgID, src.UUID).Scan(&stats.Linked, &stats.DataUpdated)
	if errors.Is(err, pgx.ErrNoRows) {
		return stats, nil
	}
	if err != nil {
		return stats, orUndefined(err)
	}
	manifests, err := all(ctx, s, scanManifest, `
		SELECT m.assembly_id, m.billing_period_start_datetime, m.num_total_files, m.completed_datetime, m.export_datetime,
			(SELECT count(*) FROM public.reporting_common_costusagereportstatus f
			 WHERE f.manifest_id = m.id AND f.completed_datetime IS NOT NULL),
			first.started_datetime, first.completed_datetime
		FROM (
			SELECT *, row_number() OVER (PARTITION BY billing_period_start_datetime
				ORDER BY creation_datetime DESC NULLS LAST, id DESC) AS nth
			FROM public.reporting_common_costusagereportmanifest WHERE provider_id = $1
		) m
		LEFT JOIN LATERAL (
			SELECT f.started_datetime, f.completed_datetime FROM public.reporting_common_costusagereportstatus f
			WHERE f.manifest_id = m.id ORDER BY f.id LIMIT 1
		) first ON true
		WHERE m.nth <= 3
		ORDER BY m.billing_period_start_datetime DESC, m.nth`, src.UUID)
	for _, m := range manifests {
		month := m.BillingPeriodStart.UTC().Format("2006-01")
		stats.Months[month] = append(stats.Months[month], m)
	}
	return stats, orUndefined(err)
}

func scanManifest(row pgx.CollectableRow) (sources.Manifest, error) {
	var m sources.Manifest
	var all, done int
	var complete, export, processStart, processEnd *time.Time
	err := row.Scan(&m.AssemblyID, &m.BillingPeriodStart.Time, &all, &complete, &export, &done, &processStart, &processEnd)
	m.FilesProcessed = fmt.Sprintf("%d/%d", done, all)
	m.ManifestComplete, m.Export = sources.TimeOf(complete), sources.TimeOf(export)
	m.ProcessStart, m.ProcessComplete = sources.TimeOf(processStart), sources.TimeOf(processEnd)
	return m, err
}
