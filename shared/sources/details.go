package sources

import (
	"encoding/json"
	"time"
)

// Details are what Koku's tables say about a source beside the registry; zero where they say nothing.
type Details struct {
	ProviderLinked    bool
	ProviderActive    bool
	HasData           bool
	CurrentMonthData  bool
	PreviousMonthData bool
	LastPayloadAt     *time.Time
	LastPolling       *time.Time
	Status            json.RawMessage
	Infrastructure    *Infrastructure
	CostModels        []CostModel
	AdditionalContext Object
}

// Infrastructure is the cloud that a cluster runs on, as Koku recognized it.
type Infrastructure struct {
	Type     string `json:"type"`
	UUID     string `json:"uuid"`         // of the cloud's provider
	SourceID string `json:"id,omitempty"` // of the cloud's source, if it is known
}

// A CostModel is the name of a cost model that the source's provider uses.
type CostModel struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
}

// Stats are what has been made of a source's payloads (contract section 2.1).
type Stats struct {
	Linked      bool
	DataUpdated *time.Time
	Months      map[string][]Manifest // by YYYY-MM
}

// A Manifest is one payload that a cluster sent.
type Manifest struct {
	AssemblyID         string `json:"assembly_id"`
	BillingPeriodStart Time   `json:"billing_period_start"`
	FilesProcessed     string `json:"files_processed"` // done / all
	ProcessStart       *Time  `json:"process_start_date"`
	ProcessComplete    *Time  `json:"process_complete_date"`
	ManifestComplete   *Time  `json:"manifest_complete_date"`
	Export             *Time  `json:"export_datetime"`
}

// Time is written as RFC 3339 in UTC with six fraction digits, always, so that it sorts as text.
type Time struct{ time.Time }

// MarshalJSON writes t; it never fails.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"2006-01-02T15:04:05.000000Z"`)), nil
}

// TimeOf is t in that form; nil for nil.
func TimeOf(t *time.Time) *Time {
	if t == nil {
		return nil
	}
	return &Time{*t}
}
