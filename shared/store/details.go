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
	details, err := s.providerDetails(ctx, orgID, uuids)
	if err != nil || len(details) == 0 {
		return nil, err
	}
	if err := s.addManifests(ctx, orgID, uuids, details); err != nil {
		return nil, err
	}
	return details, s.addCostModels(ctx, orgID, uuids, details)
}

func (s *Store) providerDetails(ctx context.Context, orgID string, uuids []string) (map[string]sources.Details, error) {
	rows, err := s.db.Query(ctx, `
		SELECT p.uuid, p.active, p.polling_timestamp, p.additional_context,
			m.infrastructure_type, m.infrastructure_provider_id::text, i.source_id
		FROM public.api_provider p
		JOIN public.api_customer c ON c.id = p.customer_id
		LEFT JOIN public.api_providerinfrastructuremap m ON m.id = p.infrastructure_id
		LEFT JOIN public.api_sources i ON i.org_id = c.org_id AND i.koku_uuid = m.infrastructure_provider_id::text
		WHERE c.org_id = $1 AND p.uuid = ANY ($2::uuid[])`, orgID, uuids)
	if err != nil {
		return nil, orUndefined(err)
	}
	details := map[string]sources.Details{}
	var uuid string
	var d sources.Details
	var cloud struct {
		kind, uuid *string
		source     *int64
	}
	_, err = pgx.ForEachRow(rows, []any{&uuid, &d.ProviderActive, &d.LastPolling, &d.AdditionalContext,
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
	return details, orUndefined(err)
}

// addManifests adds what the payloads say. The latest one is that of this month or the last which came
// last; its state becomes the status, and what its operator said of itself part of the context.
func (s *Store) addManifests(ctx context.Context, orgID string, uuids []string, details map[string]sources.Details) error {
	rows, err := s.db.Query(ctx, `
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
		WHERE c.org_id = $1 AND m.provider_id = ANY ($2::uuid[])
		GROUP BY m.provider_id, latest.creation_datetime, latest.state, latest.operator`, orgID, uuids)
	if err != nil {
		return orUndefined(err)
	}
	var uuid string
	var hasData, current, previous bool
	var latest *time.Time
	var state map[string]manifestStep
	var operator sources.Object
	_, err = pgx.ForEachRow(rows, []any{&uuid, &hasData, &current, &previous, &latest, &state, &operator}, func() error {
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
	return orUndefined(err)
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

// addCostModels adds the cost models, which stand in the tenant's own schema and come from there by a function with
// rights of its own.
func (s *Store) addCostModels(ctx context.Context, orgID string, uuids []string, details map[string]sources.Details) error {
	rows, err := s.db.Query(ctx, `SELECT provider_uuid, name, uuid FROM sources.cost_models($1, $2::uuid[])`, orgID, uuids)
	if err != nil {
		return domainError(err, nil)
	}
	var uuid string
	var model sources.CostModel
	_, err = pgx.ForEachRow(rows, []any{&uuid, &model.Name, &model.UUID}, func() error {
		d := details[uuid]
		d.CostModels = append(d.CostModels, model)
		details[uuid] = d
		return nil
	})
	return domainError(err, nil)
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
		return stats, domainError(err, nil)
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
