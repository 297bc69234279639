// Command relay is the function that sends what waits in the outbox.
package main

import (
	"context"

	"github.com/insights-onprem/cost-sources/functions/relay/relay"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/serve"
	"github.com/insights-onprem/cost-sources/shared/store"
)

func main() {
	serve.Main(func(cfg relay.Config) (serve.Function, error) {
		db, closeDB, err := store.Open(cfg.Database)
		if err != nil {
			return serve.Function{}, err
		}
		dispatcher := outbox.New(cfg.Outbox, db)
		return serve.Function{Handler: relay.New(db, dispatcher), Stop: func(ctx context.Context) error {
			defer closeDB()
			return dispatcher.Stop(ctx)
		}}, nil
	})
}
