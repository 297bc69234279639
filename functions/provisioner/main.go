// Command provisioner is the function that makes the provider of a source match the source.
package main

import (
	"context"

	"github.com/insights-onprem/cost-sources/functions/provisioner/provision"
	"github.com/insights-onprem/cost-sources/shared/serve"
	"github.com/insights-onprem/cost-sources/shared/store"
)

func main() {
	serve.Main(func(cfg provision.Config) (serve.Function, error) {
		db, closeDB, err := store.Open(cfg.Database)
		if err != nil {
			return serve.Function{}, err
		}
		return serve.Function{Events: true, Handler: provision.New(cfg, db), Stop: func(context.Context) error {
			closeDB()
			return nil
		}}, nil
	})
}
