// Command applications is the function that serves /applications and /application_types.
package main

import (
	"github.com/insights-onprem/cost-sources/functions/applications/applicationsapi"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/serve"
)

func main() {
	serve.Main(func(cfg applicationsapi.Config) (serve.Function, error) {
		db, dispatcher, stop, err := outbox.Open(cfg.Database, cfg.Outbox)
		if err != nil {
			return serve.Function{}, err
		}
		return serve.Function{Handler: applicationsapi.New(cfg, db, dispatcher.Wake), Stop: stop}, nil
	})
}
