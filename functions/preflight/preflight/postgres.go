package preflight

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	connectWithin = 5 * time.Second
	queriesWithin = 10 * time.Second
)

// oldest is the PostgreSQL that the migrations need: the first that makes UUIDs without an extension.
const oldest = 13

// A server is what there is to know of a PostgreSQL that lets us in.
type server struct {
	Version         int // as server_version_num
	VersionText     string
	Database, Role  string
	PID             uint32
	Connections     int // that others than superusers may have
	CreateSchemas   bool
	CreateInPublic  bool
	RoleConnections int // -1: no bound of its own
	ReadOnly        bool
	Place           string // that of the registry in the server: two addresses lead to the same one, or not
}

const askServer = `
	SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_database()::text,
		current_user::text, pg_backend_pid()::bigint,
		current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
			- coalesce(current_setting('reserved_connections', true)::int, 0),
		has_database_privilege(current_database(), 'CREATE'),
		coalesce(has_schema_privilege(to_regnamespace('public')::oid, 'CREATE'), false),
		(SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),
		current_setting('transaction_read_only')::bool,
		(SELECT format('%s/%s', oid, to_regnamespace('sources')::oid) FROM pg_database WHERE datname = current_database())`

// A session is a connection, and what is known of it. Through a pooler it may be another with each statement.
type session struct {
	conn   *pgx.Conn
	server server
	at     string // host:port
	pooled bool
}

// openSession connects, or reports why it cannot. url has been found to be one.
func openSession(ctx context.Context, name, url string, r *report) (*session, bool) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		r.fail(name, "not the address of a PostgreSQL database")
		return nil, false
	}
	cfg.ConnectTimeout = connectWithin
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // as the functions do
	at := net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		r.fail(name, "PostgreSQL at %s: %s", at, explainPostgres(err))
		return nil, false
	}
	s := &session{conn: conn, at: at}
	rows, _ := conn.Query(ctx, askServer) // its error comes out of Collect
	if s.server, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[server]); err != nil {
		r.fail(name, "PostgreSQL at %s: %s", at, explainPostgres(err))
		s.close(ctx)
		return nil, false
	}
	s.pooled = s.server.PID != conn.PgConn().PID() // a pooler tells every client a number of its own making
	if s.server.ReadOnly {
		r.fail(name, "PostgreSQL at %s lets nothing be written to database %s: use the address of the primary, or switch default_transaction_read_only off", at, s.server.Database)
	}
	if s.server.Version/10000 < oldest {
		r.fail(name, "PostgreSQL %s at %s is too old: %d or newer is needed", s.server.VersionText, at, oldest)
	}
	return s, true
}

func (s *session) close(ctx context.Context) { _ = s.conn.Close(context.WithoutCancel(ctx)) }

// String says where we are, and as whom.
func (s *session) String() string {
	secured := "without TLS"
	if _, ok := s.conn.PgConn().Conn().(*tls.Conn); ok {
		secured = "with TLS"
	}
	version, _, _ := strings.Cut(s.server.VersionText, " ") // what follows is the package's
	return fmt.Sprintf("PostgreSQL %s at %s, database %s, role %s, %s", version, s.at, s.server.Database, s.server.Role, secured)
}

// A grant is something that a role has to be allowed.
type grant struct{ Table, Privilege string }

// grants pairs tables with privileges, each with each.
func grants(tables []string, privileges ...string) []grant {
	var all []grant
	for _, table := range tables {
		for _, privilege := range privileges {
			all = append(all, grant{table, privilege})
		}
	}
	return all
}

// lacking returns which tables are not there, and which grants on the others are missing.
func (s *session) lacking(ctx context.Context, needed []grant) (tables []string, missing []grant, err error) {
	var names, privileges []string
	for _, g := range needed {
		names, privileges = append(names, g.Table), append(privileges, g.Privilege)
	}
	rows, _ := s.conn.Query(ctx, `
		SELECT name, CASE WHEN to_regclass(name) IS NULL THEN '' ELSE privilege END
		FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS needed (name, privilege, place)
		WHERE to_regclass(name) IS NULL OR NOT has_table_privilege(to_regclass(name)::oid, privilege)
		ORDER BY place`, names, privileges) // its error comes out of Collect
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[grant])
	seen := map[string]bool{}
	for _, g := range found {
		switch {
		case g.Privilege != "":
			missing = append(missing, g)
		case !seen[g.Table]:
			seen[g.Table] = true
			tables = append(tables, g.Table)
		}
	}
	return tables, missing, err
}

// failGrants reports what the role lacks, with the statements that mend it.
func (s *session) failGrants(name string, missing []grant, r *report) {
	var statements []string
	for _, g := range missing {
		statements = append(statements, fmt.Sprintf("GRANT %s ON %s TO %s;", g.Privilege, g.Table, s.role()))
	}
	if len(statements) > 0 {
		r.fail(name, "role %s may not do what the functions do; as the tables' owner: %s", s.server.Role, strings.Join(statements, " "))
	}
}

// role is the role's name in a statement.
func (s *session) role() string { return pgx.Identifier{s.server.Role}.Sanitize() }

func explainPostgres(err error) string {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		if strings.Contains(err.Error(), "server refused TLS connection") { // pgconn has no name for it
			return "it does not offer TLS, which sslmode demands: have the server offer it, or change sslmode"
		}
		return explain(err)
	}
	switch refused.Code {
	case "28P01":
		return "it refuses the login (" + refused.Message + "): check user and password in the Secret"
	case "28000":
		return "it refuses the login (" + refused.Message + "): the role may be missing, or pg_hba.conf has no place for it from here, or only with TLS"
	case "3D000":
		return "there is no such database (" + refused.Message + "): create it, or correct the address"
	case "53300":
		return "it has no connection left (" + refused.Message + "): raise max_connections, or find who holds them"
	case "57P03":
		return "it is starting or stopping (" + refused.Message + "): try again"
	case "42501":
		return "the role may not do that (" + refused.Message + "): grant it"
	}
	return refused.Message + " (" + refused.Code + ")"
}
