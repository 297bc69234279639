package sourcesapi

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// view is a source as every response shows it (contract section 2.1).
type view struct {
	ID                string              `json:"id"`
	UUID              string              `json:"uuid"`
	Name              string              `json:"name"`
	SourceTypeID      string              `json:"source_type_id"`
	SourceType        string              `json:"source_type"`
	SourceRef         *string             `json:"source_ref"`
	Authentication    authentication      `json:"authentication"`
	BillingSource     sources.Object      `json:"billing_source"`
	ProviderLinked    bool                `json:"provider_linked"`
	Active            bool                `json:"active"`
	Paused            bool                `json:"paused"`
	Availability      string              `json:"availability_status"`
	Provisioning      provisioning        `json:"provisioning"`
	CurrentMonthData  bool                `json:"current_month_data"`
	PreviousMonthData bool                `json:"previous_month_data"`
	HasData           bool                `json:"has_data"`
	LastPayload       *sources.Time       `json:"last_payload_received_at"`
	LastPolling       *string             `json:"last_polling_time"`
	Status            json.RawMessage     `json:"status"`
	Infrastructure    any                 `json:"infrastructure"`
	CostModels        []sources.CostModel `json:"cost_models"`
	AdditionalContext sources.Object      `json:"additional_context"`
	Created           sources.Time        `json:"created_timestamp"`
	Updated           sources.Time        `json:"updated_timestamp"`

	*deletion // only where it is asked for
}

type authentication struct {
	Credentials sources.Object `json:"credentials"`
}

type provisioning struct {
	State    sources.State `json:"state"`
	Reason   string        `json:"reason"`
	Attempts int           `json:"attempts"`
	Updated  sources.Time  `json:"updated_timestamp"`

	History []sources.Stage `json:"history,omitempty"` // only where it is asked for: then there is a state at least
}

// deletion is what is shown of a source that may be gone; both are null for a living one.
type deletion struct {
	Deleted *sources.Time    `json:"deleted_timestamp"`
	Removal *sources.Removal `json:"removal"`
}

// views are the sources that find finds, with what Koku's tables say about them.
func (a api) views(ctx context.Context, org string, find func(db *store.Store) ([]sources.Source, error)) ([]view, error) {
	views := []view{}
	err := a.db.For(org).OnOne(ctx, func(db *store.Store) error {
		page, err := find(db)
		if err != nil {
			return err
		}
		details, err := db.Details(ctx, org, page)
		for _, src := range page {
			views = append(views, viewOf(src, details[src.UUID]))
		}
		return err
	})
	return views, err
}

func viewOf(src sources.Source, d sources.Details) view {
	v := view{
		ID: strconv.FormatInt(src.ID, 10), UUID: src.UUID, Name: src.Name,
		SourceTypeID: strconv.Itoa(sources.TypeID), SourceType: src.Type,
		Authentication: authentication{shown(src.Credentials)}, BillingSource: src.BillingSource,
		ProviderLinked: d.ProviderLinked, Active: d.ProviderActive && !src.Paused && shows(src.State), Paused: src.Paused,
		Availability:     src.Availability(),
		Provisioning:     provisioning{src.State, src.Reason, src.Attempts, sources.Time{Time: src.StateAt}, src.History},
		CurrentMonthData: d.CurrentMonthData, PreviousMonthData: d.PreviousMonthData, HasData: d.HasData,
		LastPayload: sources.TimeOf(d.LastPayloadAt), LastPolling: polling(d.LastPolling),
		Status: d.Status, Infrastructure: struct{}{}, CostModels: d.CostModels, AdditionalContext: d.AdditionalContext,
		Created: sources.Time{Time: src.CreatedAt}, Updated: sources.Time{Time: src.UpdatedAt},
	}
	if src.ClusterID != "" {
		v.SourceRef = &src.ClusterID
	}
	if d.Infrastructure != nil {
		v.Infrastructure = d.Infrastructure
	}
	return v.withEmpties()
}

// shows reports whether the provider's own activity shows in a state.
func shows(state sources.State) bool { return state == sources.Pending || state == sources.Ready }

// withEmpties writes what is not known as empty, not as null.
func (v view) withEmpties() view {
	if v.Status == nil {
		v.Status = json.RawMessage("{}")
	}
	if v.CostModels == nil {
		v.CostModels = []sources.CostModel{}
	}
	if v.AdditionalContext == nil {
		v.AdditionalContext = sources.Object{}
	}
	return v
}

// shown are credentials without what is secret in them.
func shown(credentials sources.Object) sources.Object {
	shown := maps.Clone(credentials)
	maps.DeleteFunc(shown, func(name string, _ json.RawMessage) bool {
		return slices.Contains([]string{"client_secret", "password", "token"}, name)
	})
	return shown
}

// polling is the time in the form that Koku's own list has.
func polling(t *time.Time) *string {
	if t == nil {
		return nil
	}
	text := t.UTC().Format(time.DateTime)
	return &text
}

// statsView is the answer of /stats: the months stand beside the two dates.
func statsView(s sources.Stats) map[string]any {
	if !s.Linked {
		return map[string]any{"provider_linked": false}
	}
	answer := map[string]any{
		"provider_linked":                true,
		"data_updated_date":              sources.TimeOf(s.DataUpdated),
		"ocp_on_cloud_data_updated_date": nil,
	}
	for month, manifests := range s.Months {
		answer[month] = map[string]any{"manifests": manifests}
	}
	return answer
}
