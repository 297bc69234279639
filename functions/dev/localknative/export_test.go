package localknative

import (
	"time"

	"github.com/insights-onprem/cost-sources/shared/kafkaevents"
)

// What the tests reach that others need not.
var (
	EventOf = eventOf
	Check   = kafkaevents.Check
)

// NewProgress returns the methods of a progress.
func NewProgress() (begin func(int64), finish func(int64) (int64, bool)) {
	var p progress
	return p.begin, p.finish
}

// SetTimeout makes a POST shorter than anybody would wait in a test.
func (s *Sink) SetTimeout(d time.Duration) { s.timeout = d }
