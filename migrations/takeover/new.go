package takeover

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// takeNew takes over a page of sources that the registry does not have. They come in the order of their ids, so
// that of several with one cluster the first keeps it.
func (t *takeover) takeNew(ctx context.Context, tx pgx.Tx, after int64) (int64, error) {
	found, err := words(ctx, tx, `
		s.source_type = 'OCP' AND s.source_id > $1 AND NOT EXISTS (SELECT FROM sources.source r WHERE r.id = s.source_id)
		ORDER BY s.source_id LIMIT $2 FOR NO KEY UPDATE OF s`, after, batchRows)
	if err != nil || len(found) == 0 {
		return none, err
	}
	for _, w := range found {
		if err := t.take(ctx, tx, w); err != nil {
			return none, fmt.Errorf("source %d: %w", w.ID, err)
		}
	}
	return found[len(found)-1].ID, nil
}

// take makes a source of the registry of what Koku says, or says why not.
func (t *takeover) take(ctx context.Context, tx pgx.Tx, w word) error {
	if w.org() == "" {
		t.report.note("left, as neither they nor a provider name an organization (set org_id of api_sources)", w.ID)
		return nil
	}
	other, err := w.holder(ctx, tx)
	if err != nil {
		return err
	}
	if other != 0 {
		t.report.note(fmt.Sprintf("left, as source %d has their UUID (correct source_uuid of api_sources)", other), w.ID)
		return nil
	}
	e := entryOf(w)
	if err := e.yield(ctx, tx); err != nil {
		return err
	}
	if err := e.put(ctx, tx); err != nil {
		return err
	}
	t.report.count(e.countedAs())
	if e.Reason != "" {
		t.report.note("taken over as failed, and left to a person (the API shows each one's reason)", w.ID)
	}
	return nil
}

// holder is another source that has the UUID of w: in the registry or, where w has none of its own but only leads to a
// provider that has, in api_sources, where it may be a source that has yet to come. That provider is then not w's, and
// would be removed with w.
func (w word) holder(ctx context.Context, tx pgx.Tx) (id int64, err error) {
	err = tx.QueryRow(ctx, `
		SELECT coalesce(
			(SELECT id FROM sources.source WHERE uuid = nullif($1, '')::uuid AND id <> $2),
			(SELECT min(source_id) FROM public.api_sources
			 WHERE (source_uuid = nullif($1, '')::uuid OR koku_uuid = $1) AND source_id <> $2 AND $3), 0)`,
		w.uuid(), w.ID, w.UUID == "").Scan(&id)
	return id, err
}

// countOthers counts what is Koku's to keep: there is no other type on-premise.
func (t *takeover) countOthers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, queryWithin)
	defer cancel()
	n := Note{Text: "left to Koku, as they are of another type than OCP"}
	err := t.conn.QueryRow(ctx, `
		SELECT count(*), coalesce((array_agg(source_id::bigint ORDER BY source_id))[1:$1], '{}')
		FROM public.api_sources s
		WHERE source_type <> 'OCP' AND NOT EXISTS (SELECT FROM sources.source r WHERE r.id = s.source_id)`, maxNamed).
		Scan(&n.Count, &n.IDs)
	if n.Count > 0 {
		t.report.Notes = append(t.report.Notes, n)
	}
	return err
}
