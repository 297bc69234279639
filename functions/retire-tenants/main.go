// Command retire-tenants shows an operator the tenants that no organization uses any more, and retires them, each
// into a dump of its own:
//
//	retire-tenants [-for 2160h] [-org ID]... [-apply -dump DIR [-pg-dump PATH]]
//
// It reads DATABASE_URL as migrate does: the address of PostgreSQL itself and not of a pooler, of the role that
// migrates. It needs PostgreSQL's pg_dump and pg_restore, not older than the server.
package main

import (
	"context"
	"os"

	"github.com/insights-onprem/cost-sources/functions/retire-tenants/retire"
	"github.com/insights-onprem/cost-sources/shared/serve"
	"github.com/insights-onprem/cost-sources/shared/store"
)

func main() {
	serve.Command(func(ctx context.Context) error {
		return retire.Run(ctx, serve.Load[store.Config], os.Args[1:], os.Stdout, os.Stderr)
	})
}
