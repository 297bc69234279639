package takeover

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// A drift is how a source of the registry and Koku's word have come apart.
type drift int

const (
	together drift = iota
	changed        // name, pause or cluster
	gone           // Koku has deleted it, or its row is lost
	reused         // Koku has given its id to another source
)

// compareWith says how r and Koku's word of that id have come apart; there is none where w is nil. Of a source that
// is deleted all that matters is whether its id was given again.
func (r standing) compareWith(w *word) drift {
	switch {
	case w == nil || w.Type != sources.TypeOCP:
		if r.DeletedAt == nil {
			return gone
		}
		return together
	case w.uuid() != r.UUID:
		return reused
	case r.DeletedAt != nil:
		return together
	case w.Deleting:
		return gone
	case w.name() != r.Name || r.pauseOf(*w) != r.Paused || w.cluster() != clusterOf(r.Credentials):
		return changed
	}
	return together
}

// pauseOf is what Koku says of r's pause. A change of ours is in the provider only when the provisioner has been
// there, and in api_sources at once; one of Koku's can be in either.
func (r standing) pauseOf(w word) bool {
	if w.Provider == r.UUID && w.ProviderPaused != r.Paused && r.State == sources.Ready && r.Settled {
		return w.ProviderPaused
	}
	return w.Paused
}

// A pair is a source of the registry with Koku's word of its id, if there is one.
type pair struct {
	standing
	word *word
}

// pairs reads a page of the registry: what lives, and what is deleted where there is a row of Koku's all the same.
func pairs(ctx context.Context, tx pgx.Tx, after int64) ([]pair, error) {
	registered, err := standings(ctx, tx, `
		r.id > $1 AND (r.deleted_at IS NULL OR EXISTS (SELECT FROM public.api_sources s WHERE s.source_id = r.id))
		ORDER BY r.id LIMIT $2 FOR NO KEY UPDATE OF r`, after, batchRows)
	if err != nil || len(registered) == 0 {
		return nil, err
	}
	ids := make([]int64, 0, len(registered))
	for _, r := range registered {
		ids = append(ids, r.ID)
	}
	found, err := words(ctx, tx, `s.source_id = ANY ($1)`, ids)
	if err != nil {
		return nil, err
	}
	byID := map[int64]*word{}
	for i := range found {
		byID[found[i].ID] = &found[i]
	}
	all := make([]pair, 0, len(registered))
	for _, r := range registered {
		all = append(all, pair{r, byID[r.ID]})
	}
	return all, nil
}

const settles = "migrate --adopt takes Koku's word"

// compare only tells.
func (t *takeover) compare(ctx context.Context, tx pgx.Tx, after int64) (int64, error) {
	return eachPair(ctx, tx, after, func(p pair) error {
		switch p.compareWith(p.word) {
		case together:
		case changed:
			t.report.note("have another name, pause or cluster in Koku's tables ("+settles+" and changes them here)", p.ID)
		case gone:
			t.report.note("are not in Koku's tables any more, or about to be deleted there ("+settles+" and deletes them with "+
				"their providers and data; where rows of api_sources were lost, restore those instead)", p.ID)
		case reused:
			t.report.note("have an id that Koku has given to another source since ("+settles+")", p.ID)
		}
		return nil
	})
}

func eachPair(ctx context.Context, tx pgx.Tx, after int64, do func(pair) error) (int64, error) {
	all, err := pairs(ctx, tx, after)
	if err != nil || len(all) == 0 {
		return none, err
	}
	for _, p := range all {
		if err := do(p); err != nil {
			return none, err
		}
	}
	return all[len(all)-1].ID, nil
}
