// Command relay is the function that sends what waits in the outbox, and asks for what was not done.
package main

import (
	"github.com/insights-onprem/cost-sources/functions/relay/relay"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/serve"
)

func main() {
	serve.Main(func(cfg relay.Config) (serve.Function, error) {
		db, dispatcher, stop, err := outbox.Open(cfg.Database, cfg.Outbox)
		if err != nil {
			return serve.Function{}, err
		}
		return serve.Function{Events: true, Handler: relay.New(db, dispatcher), Stop: stop}, nil
	})
}
