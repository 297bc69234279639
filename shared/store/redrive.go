package store

import "context"

// MaxRedrives is how often an event may be sent again after it has become a dead letter.
const MaxRedrives = 3

// A Redrive is a dead event that somebody wants to send again. Its source and id say which event it is.
type Redrive struct {
	EventSource, EventID string
	Who, Why             string
}

// ClaimRedrive counts one more sending of an event and returns which it is, 1 to MaxRedrives, or 0 where
// all have been used. It must not be called inside InTx: the count has to be committed before the event is
// sent. Of several at once each gets a number of its own, as the primary key has it.
func (s *Store) ClaimRedrive(ctx context.Context, r Redrive) (attempt int, err error) {
	for attempt := 1; attempt <= MaxRedrives; attempt++ {
		tag, err := s.db.Exec(ctx, `
			INSERT INTO sources.redrive (event_source, event_id, attempt, who, why) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT DO NOTHING`, r.EventSource, r.EventID, attempt, r.Who, r.Why)
		if err != nil {
			return 0, domainError(err, nil)
		}
		if tag.RowsAffected() == 1 {
			return attempt, nil
		}
	}
	return 0, nil
}

// Redriven says how often an event has been sent again.
func (s *Store) Redriven(ctx context.Context, eventSource, eventID string) (int, error) {
	return value[int](ctx, s, `
		SELECT count(*) FROM sources.redrive WHERE event_source = $1 AND event_id = $2`, eventSource, eventID)
}
