package cleanup

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/insights-onprem/cost-sources/shared/plainrecord"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// destroyed is the event_type of the one plain record that is acted on.
const destroyed = "Application.destroy"

// A record is the plain record of another producer that tells of a deletion.
type record struct {
	orgID    string
	sourceID int64
	at       time.Time
}

// foreign cleans up after a source that is not of the registry. There is no row that could confirm what
// the record says, so it is not taken for ids that live here, or in Koku.
func (c cleaner) foreign(ctx context.Context, e cloudevents.Event) error {
	rec, ours, err := readRecord(e)
	if err != nil || !ours {
		return err
	}
	if known, err := c.known(ctx, rec.sourceID); err != nil || known {
		return err
	}
	t := target{orgID: rec.orgID, sourceID: rec.sourceID, deleted: &rec.at}
	return c.clean(ctx, t, func(remove removeFunc) (bool, error) {
		if known, err := c.known(ctx, rec.sourceID); err != nil || known {
			return known, err
		}
		return remove()
	})
}

// known reports whether a source with that id is, or was, one of the registry, or is one of Koku's.
func (c cleaner) known(ctx context.Context, sourceID int64) (bool, error) {
	_, err := c.db.Registered(ctx, sourceID)
	known := err == nil
	if sources.KindOf(err) == sources.NotFound {
		known, err = c.db.Projected(ctx, sourceID)
	}
	if known {
		slog.WarnContext(ctx, "plain record of a source that is known here, not acted on", "source", sourceID)
	}
	return known, err
}

// readRecord reads what is to be acted on; ours is false for a record that tells of something else. Its
// errors are Invalid.
func readRecord(e cloudevents.Event) (rec record, ours bool, err error) {
	if plainrecord.EventType(e) != destroyed {
		return record{}, false, nil
	}
	var value struct { // in any case: encoding/json folds it, and producers differ
		SourceID          *int64  `json:"source_id"`
		ApplicationTypeID *int64  `json:"application_type_id"`
		Tenant            *string `json:"tenant"`
	}
	if err := json.Unmarshal(e.Data(), &value); err != nil {
		return record{}, false, &sources.Error{Kind: sources.Invalid, Msg: "The record holds no deletion.", Err: err}
	}
	switch {
	case value.ApplicationTypeID == nil:
		return record{}, false, sources.Invalidf("", "The record holds no application_type_id.")
	case *value.ApplicationTypeID != sources.ApplicationTypeID:
		return record{}, false, nil
	case value.SourceID == nil:
		return record{}, false, sources.Invalidf("", "The record holds no source_id that is an integer.")
	case e.Time().IsZero():
		return record{}, false, sources.Invalidf("", "The record has no time.")
	}
	orgID, err := plainrecord.Org(e, value.Tenant)
	return record{orgID: orgID, sourceID: *value.SourceID, at: e.Time()}, err == nil, err
}
