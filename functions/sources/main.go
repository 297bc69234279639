// Command sources is the function that serves /sources and /source_types.
package main

import (
	"github.com/insights-onprem/cost-sources/functions/sources/sourcesapi"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/serve"
)

func main() {
	serve.Main(func(cfg sourcesapi.Config) (serve.Function, error) {
		db, dispatcher, stop, err := outbox.Open(cfg.Database, cfg.Outbox)
		if err != nil {
			return serve.Function{}, err
		}
		return serve.Function{Handler: sourcesapi.New(cfg, db, dispatcher.Wake), Stop: stop}, nil
	})
}
