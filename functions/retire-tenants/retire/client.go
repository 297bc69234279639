package retire

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// A client is PostgreSQL's own pg_dump and pg_restore, and how they get into the database.
type client struct {
	pgDump, pgRestore string
	address           string // without the password: everybody on the machine sees a command line
	role              string // to act as, if the address says so
	env               []string
}

// understood are the parameters of an address that libpq knows. The others are pgx's, or settings that a dump does
// without.
var understood = []string{"host", "hostaddr", "port", "user", "dbname", "passfile", "service", "connect_timeout", "target_session_attrs",
	"sslmode", "sslrootcert", "sslcert", "sslkey", "sslsni", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version",
	"channel_binding", "krbspn", "krbsrvname", "application_name", "options"}

// newClient finds the programs. Its errors never have the address in them.
func newClient(cfg store.Config, pgDump string) (client, error) {
	var c client
	var err error
	if c.pgDump, err = exec.LookPath(pgDump); err != nil {
		return c, fmt.Errorf("-pg-dump: PostgreSQL's pg_dump is needed, not older than the server: %w", err)
	}
	if c.pgRestore, err = exec.LookPath(filepath.Join(filepath.Dir(c.pgDump), "pg_restore")); err != nil {
		return c, fmt.Errorf("-pg-dump: pg_restore has to be beside pg_dump, to look into the dumps: %w", err)
	}
	address, err := cfg.URL()
	if err != nil {
		return c, err
	}
	return c, c.connectTo(address)
}

func (c *client) connectTo(address string) error {
	config, errConfig := pgx.ParseConfig(address)
	u, errURL := url.Parse(address)
	if errConfig != nil || errURL != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return errors.New("DATABASE_URL: pg_dump gets the address too, which has to be of the form postgres://user@host/database")
	}
	query := u.Query()
	if query.Has("sslpassword") {
		return errors.New("DATABASE_URL: sslpassword cannot be kept secret from others on this machine; use a key without one")
	}
	for name := range query {
		if !slices.Contains(understood, name) { // password among them
			query.Del(name)
		}
	}
	u.RawQuery = query.Encode()
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	c.address, c.role, c.env = u.String(), config.RuntimeParams["role"], os.Environ()
	if config.Password != "" {
		c.env = append(c.env, "PGPASSWORD="+config.Password)
	}
	return nil
}
