package sources

import (
	"maps"
	"strconv"
	"time"
)

// The one application type (contract section 2.2).
const (
	ApplicationTypeID   = 0
	ApplicationTypeName = "/insights/platform/cost-management"
)

// IsApplicationTypeID reports whether id is that of the one application type.
func IsApplicationTypeID(id string) bool { return id == strconv.Itoa(ApplicationTypeID) }

// MaxExtra is the greatest size of an application's extra, in bytes of JSON.
const MaxExtra = 16 << 10

// An Application connects a source to cost management; without one there is no provider.
type Application struct {
	ID        int64 // 0 until it is stored
	OrgID     string
	SourceID  int64
	Extra     Object // as the client gave it, but for cluster_id, which is the source's
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt *time.Time
	Changed   bool // since it was read; whoever stores its source stores it too
}

// Merge puts the members of extra into that of a, one level deep, and reports an Invalid error where the
// whole, with clusterID, would be larger than MaxExtra.
func (a *Application) Merge(extra Object, clusterID string) error {
	merged := maps.Clone(a.Extra)
	maps.Copy(merged, extra)
	delete(merged, "cluster_id")
	a.Extra, a.Changed = merged, true
	whole, err := JSON(a.ShownExtra(clusterID))
	if err != nil {
		return Invalidf("extra", "JSON parse error - %v", err)
	}
	if len(whole) > MaxExtra {
		return Invalidf("extra", "Ensure this field has no more than %d bytes.", MaxExtra)
	}
	return nil
}

// ShownExtra is the extra that answers show: its cluster_id is always that of the source.
func (a Application) ShownExtra(clusterID string) Object {
	shown := maps.Clone(a.Extra)
	if shown == nil {
		shown = Object{}
	}
	if clusterID != "" {
		quoted, _ := JSON(clusterID) // a string always encodes
		shown["cluster_id"] = quoted
	}
	return shown
}
