// Command sources is the function that serves /sources and /source_types.
package main

import (
	"context"

	"github.com/insights-onprem/cost-sources/functions/sources/sourcesapi"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/serve"
	"github.com/insights-onprem/cost-sources/shared/store"
)

func main() {
	serve.Main(func(cfg sourcesapi.Config) (serve.Function, error) {
		db, closeDB, err := store.Open(cfg.Database)
		if err != nil {
			return serve.Function{}, err
		}
		dispatcher := outbox.New(cfg.Outbox, db)
		return serve.Function{Handler: sourcesapi.New(cfg, db, dispatcher.Wake), Stop: func(ctx context.Context) error {
			defer closeDB()
			return dispatcher.Stop(ctx)
		}}, nil
	})
}
