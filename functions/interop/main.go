// Command interop writes what our events say as plain records, for the consumers that know nothing of CloudEvents. A
// KafkaSource posts the events to it.
package main

import (
	"context"

	"github.com/insights-onprem/cost-sources/functions/interop/interop"
	"github.com/insights-onprem/cost-sources/shared/serve"
	"github.com/insights-onprem/cost-sources/shared/store"
)

func main() {
	serve.Main(func(cfg interop.Config) (serve.Function, error) {
		db, closeDB, err := store.Open(cfg.Config)
		if err != nil {
			return serve.Function{}, err
		}
		topic := interop.NewTopic(cfg)
		stop := func(context.Context) error {
			closeDB()
			return topic.Close()
		}
		return serve.Function{Events: true, Handler: interop.New(cfg, db, topic), Stop: stop}, nil
	})
}
