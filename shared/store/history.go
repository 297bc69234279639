package store

import (
	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

const (
	// history is the history of a source s with the state that it has.
	history = `sources.remembered(s.history, s.state, s.reason, s.attempts, s.state_at)`

	// remember has to stand in every UPDATE of a source s that writes its state, and keeps the one of before. A
	// row that nobody has saved yet has no state that anybody could have seen.
	remember = `history = CASE WHEN s.generation > 0 THEN ` + history + ` ELSE '[]' END`
)

// scanSourceWithHistory is scanSource with the history behind the columns.
func scanSourceWithHistory(row pgx.CollectableRow) (sources.Source, error) {
	var stages []sources.Stage
	src, err := scanSourceAnd(row, &stages)
	src.History = stages
	return src, err
}
