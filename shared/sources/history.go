package sources

// An Include says what is to be told of a source beside what every answer tells.
type Include struct {
	History bool // the states that it was in
	Deleted bool // that it is gone, instead of not knowing it, and what has come of that
}

// A Stage is a state that a source was in. The store keeps it in the form that the API shows it in.
type Stage struct {
	State    State  `json:"state"`
	Reason   string `json:"reason"`
	Attempts int    `json:"attempts"`
	Since    Time   `json:"since_timestamp"`   // when the source came to be in it
	Updated  Time   `json:"updated_timestamp"` // when that was last found, as by a try that failed again
}

// What is to be removed, and how far that is.
const (
	Due      = "due"      // nothing has been removed yet
	Detached = "detached" // of a provider: out of use, and its data being removed
	Removed  = "removed"  // nothing is left, or there never was anything
)

// A Removal says what has come of the deletion of a source. A time says since when it is so; nil while due.
type Removal struct {
	Provider   string `json:"provider"`
	ProviderAt *Time  `json:"provider_timestamp"`
	ROSData    string `json:"ros_data"`
	ROSDataAt  *Time  `json:"ros_data_timestamp"`
	Done       bool   `json:"done"`
}

// Removal is how far the removal of a deleted source has come; nil for a living one. ROS data is due once more a
// day after it was removed (contract section 5), and the removal is not done meanwhile.
func (s Source) Removal() *Removal {
	if s.DeletedAt == nil {
		return nil
	}
	r := Removal{Provider: Due, ROSData: Due, Done: s.UpToDate() && s.ProviderRemovedAt != nil && s.ROSCleanedAt != nil}
	switch {
	case s.ProviderDetachedAt != nil:
		r.Provider, r.ProviderAt = Detached, TimeOf(s.ProviderDetachedAt)
	case s.ProviderRemovedAt != nil:
		r.Provider, r.ProviderAt = Removed, TimeOf(s.ProviderRemovedAt)
	}
	if s.ROSCleanedAt != nil {
		r.ROSData, r.ROSDataAt = Removed, TimeOf(s.ROSCleanedAt)
	}
	return &r
}
