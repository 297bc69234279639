package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// Once carries out a change, and keeps its answer with it, in one transaction: a request that comes again
// with the same key, be it after a crash, is given that answer. refused says which errors of the change are
// answers to be kept; the change is undone then. A request that comes at the same time waits for the first
// one's answer. Its errors are those of the change, KeyReused for another body, and Unavailable where the
// first request takes too long. Without a key it is InTx.
func (s *Store) Once(ctx context.Context, key *sources.IdempotencyKey, refused func(error) (sources.Answer, bool), change func(tx *Store) (sources.Answer, error)) (answer sources.Answer, err error) {
	err = s.InTx(ctx, func(tx *Store) error {
		if key == nil {
			answer, err = change(tx)
			return err
		}
		claimed, err := tx.claim(ctx, *key)
		if err != nil {
			return err
		}
		if !claimed {
			answer, err = tx.kept(ctx, *key)
			return err
		}
		if answer, err = tx.attempt(ctx, refused, change); err != nil {
			return err
		}
		return tx.keep(ctx, *key, answer)
	})
	return answer, err
}

// claim inserts the key, and reports whether it was there already. Where a transaction that has not ended
// yet has inserted it, claim waits for that.
func (s *Store) claim(ctx context.Context, key sources.IdempotencyKey) (claimed bool, err error) {
	hash := sha256.Sum256(key.Body)
	batch := &pgx.Batch{}
	batch.Queue(`SET LOCAL lock_timeout = '5s'`)
	batch.Queue(`
		DELETE FROM sources.idempotency_key
		WHERE org_id = $1 AND path = $2 AND key = $3 AND created_at < now() - interval '24 hours'`,
		key.OrgID, key.Path, key.Key)
	batch.Queue(`
		INSERT INTO sources.idempotency_key (org_id, path, key, body_sha256) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, key.OrgID, key.Path, key.Key, hash[:]).Exec(func(tag pgconn.CommandTag) error {
		claimed = tag.RowsAffected() == 1
		return nil
	})
	batch.Queue(`SET LOCAL lock_timeout TO DEFAULT`)
	err = s.db.SendBatch(ctx, batch).Close()
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == lockNotAvailable {
		return false, stillAnswered(err)
	}
	return claimed, domainError(err, nil)
}

func stillAnswered(err error) error {
	return &sources.Error{Kind: sources.Unavailable, Err: err,
		Msg: "Another request with this Idempotency-Key is still being answered"}
}

// kept reads the answer that another request with the key was given. In the moment in which that is forgotten it is
// Unavailable: sent once more, the request is one with a new key.
func (s *Store) kept(ctx context.Context, key sources.IdempotencyKey) (answer sources.Answer, err error) {
	var hash []byte
	err = s.db.QueryRow(ctx, `
		SELECT body_sha256, status, answer FROM sources.idempotency_key
		WHERE org_id = $1 AND path = $2 AND key = $3`, key.OrgID, key.Path, key.Key).
		Scan(&hash, &answer.Status, &answer.Body)
	if err != nil {
		return answer, domainError(err, stillAnswered(err))
	}
	if sum := sha256.Sum256(key.Body); !bytes.Equal(hash, sum[:]) {
		return answer, &sources.Error{Kind: sources.KeyReused, Field: "Idempotency-Key",
			Msg: "This Idempotency-Key was used with another body."}
	}
	return answer, nil
}

// attempt carries out the change inside the transaction, so that it can be undone without the key.
func (s *Store) attempt(ctx context.Context, refused func(error) (sources.Answer, bool), change func(tx *Store) (sources.Answer, error)) (answer sources.Answer, err error) {
	err = s.InTx(ctx, func(tx *Store) error {
		answer, err = change(tx)
		return err
	})
	if err == nil {
		return answer, nil
	}
	if refusal, ok := refused(err); ok {
		return refusal, nil
	}
	return answer, err
}

func (s *Store) keep(ctx context.Context, key sources.IdempotencyKey, answer sources.Answer) error {
	return s.exec(ctx, `
		UPDATE sources.idempotency_key SET status = $4, answer = $5 WHERE org_id = $1 AND path = $2 AND key = $3`,
		key.OrgID, key.Path, key.Key, answer.Status, answer.Body)
}
