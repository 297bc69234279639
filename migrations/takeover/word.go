package takeover

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// A word is what Koku says of a source: its row in api_sources, and the provider that this leads to. What is null there
// is empty here.
type word struct {
	ID                        int64
	UUID, KokuUUID            string // KokuUUID as it stands there, which is text
	Org, Account, Name, Type  string
	Credentials, Billing      sources.Object
	Paused, Deleting          bool
	ProviderID                string
	UpdatedAt                 time.Time
	Provider                  string // the UUID of the one that is there; empty without one
	ProviderName              string
	ProviderPaused            bool
	ProviderCreatedAt         *time.Time
	ProviderCredentials       sources.Object
	ProviderOrg, ProviderAcct string // its customer's
}

// wordOf reads words; a condition on s and an order are to follow. Of the providers that the row may mean, the first
// is the one that report processing takes.
const wordOf = `
	SELECT s.source_id, coalesce(s.source_uuid::text, ''), coalesce(s.koku_uuid, ''),
		coalesce(s.org_id, ''), coalesce(s.account_id, ''), coalesce(s.name, ''), s.source_type,
		coalesce(s.authentication->'credentials', '{}')::text, coalesce(s.billing_source, '{}')::text,
		s.paused, s.pending_delete OR s.out_of_order_delete, coalesce(s.provider_id::text, ''), s.updated_timestamp,
		coalesce(p.uuid::text, ''), coalesce(p.name, ''), coalesce(p.paused, false), p.created_timestamp,
		coalesce(a.credentials, '{}')::text, coalesce(c.org_id, ''), coalesce(c.account_id, '')
	FROM public.api_sources s
	LEFT JOIN LATERAL (
		SELECT p.* FROM (VALUES
			(1, s.provider_id),
			(2, CASE WHEN s.koku_uuid ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN s.koku_uuid::uuid END),
			(3, s.source_uuid)) named (place, uuid)
		JOIN public.api_provider p ON p.uuid = named.uuid
		ORDER BY place LIMIT 1) p ON true
	LEFT JOIN public.api_customer c ON c.id = p.customer_id
	LEFT JOIN public.api_providerauthentication a ON a.id = p.authentication_id
	WHERE `

func scanWord(row pgx.CollectableRow) (w word, err error) {
	var credentials, billing, providerCredentials string
	err = row.Scan(&w.ID, &w.UUID, &w.KokuUUID, &w.Org, &w.Account, &w.Name, &w.Type, &credentials, &billing,
		&w.Paused, &w.Deleting, &w.ProviderID, &w.UpdatedAt,
		&w.Provider, &w.ProviderName, &w.ProviderPaused, &w.ProviderCreatedAt, &providerCredentials, &w.ProviderOrg, &w.ProviderAcct)
	w.Credentials, w.Billing, w.ProviderCredentials = object(credentials), object(billing), object(providerCredentials)
	return w, err
}

// object reads a JSON object; whatever else Koku has there is as good as none.
func object(text string) sources.Object {
	var o sources.Object
	if json.Unmarshal([]byte(text), &o) != nil || o == nil {
		return sources.Object{}
	}
	return o
}

func words(ctx context.Context, tx pgx.Tx, condition string, args ...any) ([]word, error) {
	rows, _ := tx.Query(ctx, wordOf+condition, args...) // its error comes out of Collect
	return pgx.CollectRows(rows, scanWord)
}

// uuid is the source's, by which its provider goes too; empty where Koku has not got that far.
func (w word) uuid() string {
	if uuid := first(w.UUID, w.Provider); uuid != "" {
		return uuid
	}
	uuid, _ := sources.ParseUUID(w.KokuUUID) // empty where it is none
	return uuid
}

func (w word) org() string { return first(w.Org, w.ProviderOrg) }

// name is cut to what the API and api_provider take.
func (w word) name() string {
	name := first(w.Name, w.ProviderName, fmt.Sprintf("source %d", w.ID))
	if runes := []rune(name); len(runes) > sources.MaxText {
		return string(runes[:sources.MaxText])
	}
	return name
}

// credentials are the source's own or, where those name no cluster, the provider's.
func (w word) credentials() sources.Object {
	if clusterOf(w.Credentials) == "" && clusterOf(w.ProviderCredentials) != "" {
		return w.ProviderCredentials
	}
	return w.Credentials
}

func (w word) cluster() string { return clusterOf(w.credentials()) }

// clusterOf is empty for what cannot be a cluster id.
func clusterOf(credentials sources.Object) (id string) {
	if json.Unmarshal(credentials["cluster_id"], &id) != nil || sources.CheckCluster("", id) != nil {
		return ""
	}
	return id
}

// paused is the provider's word where there is one of this source: that is what Koku's API shows and changes.
func (w word) paused() bool {
	if w.Provider != "" && w.Provider == w.uuid() {
		return w.ProviderPaused
	}
	return w.Paused
}

func (w word) createdAt() time.Time {
	if w.ProviderCreatedAt != nil {
		return *w.ProviderCreatedAt
	}
	return w.UpdatedAt
}

// provided reports whether the provider is as the provisioner would make it.
func (w word) provided() bool {
	only := len(w.ProviderCredentials) == 1 && clusterOf(w.ProviderCredentials) == w.cluster()
	return w.Provider != "" && w.Provider == w.uuid() && w.ProviderOrg == w.org() && w.ProviderName == w.name() &&
		only && w.ProviderID == w.uuid() && w.KokuUUID == w.uuid()
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
