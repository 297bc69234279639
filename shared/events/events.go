// Package events is the contract of what goes over platform.sources.event-stream (contract section 4):
// how our CloudEvents look, and how a function that takes one answers.
package events

import (
	"context"
	"encoding/json"
	"strconv"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// The types of events.
const (
	TypeSourceCreate      = "source.create"
	TypeSourceUpdate      = "source.update"
	TypeSourceDelete      = "source.delete"
	TypeApplicationCreate = "application.create"
	TypeApplicationUpdate = "application.update"
	TypeApplicationDelete = "application.delete"
)

// Source is the CloudEvents source of all of them.
const Source = "/api/cost-management/v1/sources"

// Data is what an event carries. Nothing in it is acted on: it tells people and other consumers what
// happened, and our own functions which row to look at.
type Data struct {
	ID                int64  `json:"id"` // of what the event is about
	SourceID          int64  `json:"source_id"`
	SourceUUID        string `json:"source_uuid"`
	ApplicationTypeID *int   `json:"application_type_id"` // null without an application
	OrgID             string `json:"org_id"`
	AccountNumber     string `json:"account_number"`
	Tenant            string `json:"tenant"`
	Name              string `json:"name"`
	SourceTypeID      int    `json:"source_type_id"`
	SourceType        string `json:"source_type"`
	ClusterID         string `json:"cluster_id"`
	Paused            bool   `json:"paused"`
	Extra             Extra  `json:"extra"`
}

// Extra is the part of an application's extra that leaves the house.
type Extra struct {
	ClusterID string `json:"cluster_id,omitempty"`
	Bucket    string `json:"bucket,omitempty"`
}

// SourceCreated tells of a new source. Like its siblings it takes the source after the change, with the
// event's sequence in it, and returns an error only for a source that cannot be written as JSON.
func SourceCreated(ctx context.Context, src sources.Source) (cloudevents.Event, error) {
	return newEvent(ctx, TypeSourceCreate, src.ID, src)
}

// SourceUpdated tells of a change of a source.
func SourceUpdated(ctx context.Context, src sources.Source) (cloudevents.Event, error) {
	return newEvent(ctx, TypeSourceUpdate, src.ID, src)
}

// SourceDeleted tells that a source is gone.
func SourceDeleted(ctx context.Context, src sources.Source) (cloudevents.Event, error) {
	return newEvent(ctx, TypeSourceDelete, src.ID, src)
}

// ApplicationCreated tells of a new application of a source.
func ApplicationCreated(ctx context.Context, src sources.Source) (cloudevents.Event, error) {
	return newEvent(ctx, TypeApplicationCreate, src.Application.ID, src)
}

// ApplicationUpdated tells that an application was changed, or made again.
func ApplicationUpdated(ctx context.Context, src sources.Source) (cloudevents.Event, error) {
	return newEvent(ctx, TypeApplicationUpdate, src.Application.ID, src)
}

// ApplicationDeleted tells that the application of a source is gone.
func ApplicationDeleted(ctx context.Context, src sources.Source) (cloudevents.Event, error) {
	return newEvent(ctx, TypeApplicationDelete, src.Application.ID, src)
}

// Repair asks again for the work that src is behind with.
func Repair(ctx context.Context, src sources.Source) (cloudevents.Event, error) {
	again := SourceUpdated
	switch {
	case src.DeletedAt != nil:
		again = SourceDeleted
	case src.ROSDue() && src.Application != nil:
		again = ApplicationDeleted
	}
	e, err := again(ctx, src)
	e.SetExtension("repair", "1")
	return e, err
}

func newEvent(ctx context.Context, kind string, id int64, src sources.Source) (cloudevents.Event, error) {
	e := cloudevents.NewEvent()
	key, err := uuid.NewV7()
	if err != nil {
		return e, err
	}
	e.SetType(kind)
	e.SetSource(Source)
	e.SetSubject("sources/" + strconv.FormatInt(src.ID, 10))
	e.SetID(key.String())
	e.SetTime(src.UpdatedAt.UTC())
	e.SetExtension("partitionkey", strconv.FormatInt(src.ID, 10))
	e.SetExtension("sequence", strconv.FormatInt(src.Sequence, 10)) // as text: an integer would end at 32 bits
	e.SetExtension("orgid", src.OrgID)
	if parent := traceParent(ctx); parent != "" {
		e.SetExtension("traceparent", parent)
	}
	return e, e.SetData(cloudevents.ApplicationJSON, dataOf(kind, id, src))
}

func traceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

func dataOf(kind string, id int64, src sources.Source) Data {
	data := Data{
		ID: id, SourceID: src.ID, SourceUUID: src.UUID, OrgID: src.OrgID, AccountNumber: src.AccountNumber,
		Tenant: src.OrgID, Name: src.Name, SourceTypeID: sources.TypeID, SourceType: src.Type,
		ClusterID: src.ClusterID, Paused: src.Paused,
	}
	// A delete carries what the row held.
	deletes := kind == TypeSourceDelete || kind == TypeApplicationDelete
	if src.HasApplication() || deletes && src.Application != nil {
		kind := sources.ApplicationTypeID
		data.ApplicationTypeID = &kind
		data.Extra = Extra{ClusterID: src.ClusterID, Bucket: bucket(src.Application.Extra)}
	}
	return data
}

// bucket is empty where a client put something else there than a name.
func bucket(extra sources.Object) string {
	var name string
	if json.Unmarshal(extra["bucket"], &name) != nil {
		return ""
	}
	return name
}

// SourceID reads from an event which source it is a hint to look at.
func SourceID(e cloudevents.Event) (int64, error) {
	var data struct {
		SourceID *int64 `json:"source_id"`
	}
	if err := json.Unmarshal(e.Data(), &data); err != nil || data.SourceID == nil {
		return 0, &sources.Error{Kind: sources.Invalid, Msg: "The data holds no source_id that is an integer.", Err: err}
	}
	return *data.SourceID, nil
}
