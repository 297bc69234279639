package takeover

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// adoptDeletions deletes what Koku has deleted, and what it must have deleted to give the id to another source.
func (t *takeover) adoptDeletions(ctx context.Context, tx pgx.Tx, after int64) (int64, error) {
	return eachPair(ctx, tx, after, func(p pair) error {
		if d := p.compareWith(p.word); p.DeletedAt != nil || d != gone && d != reused {
			return nil
		}
		t.report.note("deleted, as Koku has", p.ID)
		return p.delete(ctx, tx)
	})
}

// remember has a row keep the state that it has, in its history.
const remember = `history = sources.remembered(history, state, reason, attempts, state_at)`

// delete marks a source as gone, as a DELETE of the API does; the relay asks for the rest.
func (p pair) delete(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		UPDATE sources.source SET `+remember+`, deleted_at = now(), updated_at = now(), generation = generation + 1, state = 'waiting',
			reason = '', attempts = 0, state_at = now(), next_attempt_at = now(), ros_cleaned_at = NULL, ros_rechecked_at = NULL
		WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL`, p.OrgID, p.ID)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		UPDATE sources.application SET deleted_at = now(), updated_at = now()
		WHERE org_id = $1 AND source_id = $2 AND deleted_at IS NULL`, p.OrgID, p.ID)
	if err != nil {
		return err
	}
	if p.word == nil || p.word.uuid() != p.UUID {
		return nil // lost, or another source's
	}
	return dropProjection(ctx, tx, p.OrgID, p.ID, p.UUID)
}

// adoptChanges takes Koku's changes, and the sources that Koku gave the id of a deleted one.
func (t *takeover) adoptChanges(ctx context.Context, tx pgx.Tx, after int64) (int64, error) {
	return eachPair(ctx, tx, after, func(p pair) error {
		switch p.compareWith(p.word) {
		case changed:
			t.report.note("changed, as Koku has", p.ID)
			return p.change(ctx, tx)
		case reused:
			return t.replace(ctx, tx, p)
		}
		return nil
	})
}

// change takes name, pause and cluster from Koku and has the provisioner look.
func (p pair) change(ctx context.Context, tx pgx.Tx) error {
	e := entry{Source: p.Source}
	e.Name, e.Paused, e.Credentials, e.ClusterID = p.word.name(), p.pauseOf(*p.word), p.word.credentials(), p.word.cluster()
	e.State = sources.Pending
	if e.ClusterID == "" {
		e.State, e.done = sources.Waiting, true
	}
	if err := e.yield(ctx, tx); err != nil {
		return err
	}
	if err := e.update(ctx, tx); err != nil {
		return err
	}
	return e.project(ctx, tx)
}

// update writes what has changed of e. Without an application nothing is to be made of a source, and it waits as after
// any other change; of that, and of a removal that has begun, the provisioner has the rest to do in any case.
func (e *entry) update(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		UPDATE sources.source SET `+remember+`, name = $3, paused = $4, credentials = $5, cluster_id = nullif($6, ''), updated_at = now(),
			generation = generation + 1,
			observed_generation = CASE WHEN $7 AND attached AND provider_detached_at IS NULL THEN generation + 1 ELSE observed_generation END,
			state = CASE WHEN attached THEN $8 ELSE 'waiting' END, reason = CASE WHEN attached THEN $9 ELSE '' END,
			attempts = 0, state_at = now(), next_attempt_at = now()
		FROM (SELECT EXISTS (SELECT FROM sources.application
		                     WHERE org_id = $1 AND source_id = $2 AND deleted_at IS NULL) AS attached) a
		WHERE org_id = $1 AND id = $2`,
		e.OrgID, e.ID, e.Name, e.Paused, e.Credentials, e.ClusterID, e.done, e.State, e.Reason)
	return err
}

// replace puts the source that Koku gave the id to in the place of ours, if that is deleted and nothing of it is
// left: what is still to be removed is found by this id, and would be removed from the new one.
func (t *takeover) replace(ctx context.Context, tx pgx.Tx, p pair) error {
	if !p.Settled {
		t.undone = append(t.undone, p.ID)
		return nil
	}
	t.report.note("deleted and done with, and looked at as the other source that Koku gave the id to", p.ID)
	return t.take(ctx, tx, *p.word)
}

func (t *takeover) undoneError() error {
	if len(t.undone) == 0 {
		return nil
	}
	first := t.undone[:min(len(t.undone), maxNamed)]
	return fmt.Errorf("%d deleted sources have ids that Koku has given to others, which cannot be taken over before all of the deleted "+
		"ones is removed: source%s %s. Let the functions run until deletions_undone in sources.health is 0, then migrate --adopt again",
		len(t.undone), plural(len(t.undone)), named(first, len(t.undone)))
}

// regain gives sources that were refused the cluster that they had in Koku where nobody has it any more.
func (t *takeover) regain(ctx context.Context, tx pgx.Tx, after int64) (int64, error) {
	refused, err := standings(ctx, tx, `
		r.id > $1 AND r.deleted_at IS NULL AND r.cluster_id IS NULL AND r.credentials ? 'cluster_id'
		ORDER BY r.id LIMIT $2 FOR NO KEY UPDATE OF r`, after, batchRows)
	if err != nil || len(refused) == 0 {
		return none, err
	}
	for _, r := range refused {
		e := entry{Source: r.Source}
		e.ClusterID, e.State = clusterOf(r.Credentials), sources.Pending
		if err := e.yield(ctx, tx); err != nil {
			return none, err
		}
		if e.State != sources.Pending || e.ClusterID == "" {
			continue // somebody has it still
		}
		t.report.note("given their cluster, as nobody else has it any more", r.ID)
		if err := e.update(ctx, tx); err != nil {
			return none, err
		}
	}
	return refused[len(refused)-1].ID, nil
}
