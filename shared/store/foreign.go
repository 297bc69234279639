package store

import "context"

// Projected reports whether api_sources has a row with that source id, whosever it is: one that Koku made
// lives there without being in the registry.
func (s *Store) Projected(ctx context.Context, sourceID int64) (bool, error) {
	return value[bool](ctx, s, `SELECT EXISTS (SELECT FROM public.api_sources WHERE source_id = $1::bigint)`, sourceID)
}
