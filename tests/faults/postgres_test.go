package faults_test

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// A postgres is a server of PostgreSQL that can be killed and comes back where it was, with what it had.
type postgres struct {
	mu     sync.Mutex
	cfg    storetest.ServerConfig
	server *storetest.Server // nil while it is down
}

// newPostgres describes a server. That nothing is synced loses nothing where only processes die.
func newPostgres() *postgres {
	return &postgres{cfg: storetest.ServerConfig{Parameters: map[string]string{
		"fsync": "off", "full_page_writes": "off", "max_connections": "300",
	}}}
}

// start starts the server where it is down, and returns when it can be connected to.
func (p *postgres) start(ctx context.Context) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		return nil
	}
	if p.cfg.DataDir == "" {
		if err := p.settle(); err != nil {
			return err
		}
	}
	p.server, err = storetest.Start(ctx, p.cfg)
	return err
}

// settle finds a folder and a port to stay at. The server's user has to reach the folder, whoever the tests run as.
func (p *postgres) settle() (err error) {
	ports, err := storetest.FreePorts(1)
	if err != nil {
		return err
	}
	p.cfg.Port = ports[0]
	if p.cfg.DataDir, err = os.MkdirTemp("", "cost-sources-faults-"); err != nil {
		return err
	}
	return os.Chmod(p.cfg.DataDir, 0o755)
}

// kill ends the server at once, as a crash would.
func (p *postgres) kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return nil
	}
	err := p.server.Kill()
	p.server = nil
	return err
}

// execute runs a statement that is about the server and not about a database.
func (p *postgres) execute(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, p.server.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

func (p *postgres) remove() error {
	return errors.Join(p.kill(), os.RemoveAll(p.cfg.DataDir))
}
