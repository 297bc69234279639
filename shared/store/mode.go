package store

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// How statements are sent. To plan one takes PostgreSQL several times as long as to carry it out, so where it can be
// prepared once for a connection, it is. Unprepared, it takes one round trip as well, and nothing stays on the server
// that a pooler would have to know of.
const (
	prepared   = pgx.QueryExecModeCacheStatement
	unprepared = pgx.QueryExecModeExec
)

// A mode finds out how the statements of a pool are to be sent: prepared, unless a pooler is in between, which may give
// each transaction another connection.
type mode struct {
	cfg    Config
	direct atomic.Bool // as far as is known: the first connection tells
}

// choose sees to what a new connection is to be like.
func (m *mode) choose(_ context.Context, to *pgx.ConnConfig) error {
	if m.direct.Load() {
		to.DefaultQueryExecMode = prepared
	}
	if m.cfg.DatabaseURLFile == "" {
		return nil
	}
	return m.cfg.readAgain(to)
}

// check looks whether a pooler is in between. A pooler tells its clients a process id of its own making, by which it
// knows what they want to cancel.
func (m *mode) check(ctx context.Context, conn *pgx.Conn) error {
	codec := &pgtype.JSONCodec{Marshal: sources.JSON, Unmarshal: json.Unmarshal}
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "json", OID: pgtype.JSONOID, Codec: codec})
	conn.TypeMap().RegisterDefaultPgType(sources.Object{}, "json")
	var process uint32
	if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`, unprepared).Scan(&process); err != nil {
		return err
	}
	m.direct.Store(process == conn.PgConn().PID())
	conn.PgConn().CustomData()[stateKey] = &state{prepared: conn.Config().DefaultQueryExecMode == prepared}
	return nil
}

// A state is what is known of a connection, under stateKey.
type state struct{ prepared, used bool }

const stateKey = "state"

// fits reports whether a connection may be used. One that was made before it was known that there is no pooler is used
// once, so that nobody waits for another, and one that was made as if there were none, not at all.
func (m *mode) fits(_ context.Context, conn *pgx.Conn) (bool, error) {
	s := conn.PgConn().CustomData()[stateKey].(*state)
	fits := s.prepared == m.direct.Load() || !s.prepared && !s.used
	s.used = true
	return fits, nil
}
