// Command interop writes what our events say as plain records, for the consumers that know nothing of CloudEvents. A
// KafkaSource posts the events to it.
package main

import (
	"context"
	"errors"

	"github.com/insights-onprem/cost-sources/functions/interop/interop"
	"github.com/insights-onprem/cost-sources/shared/outbox"
	"github.com/insights-onprem/cost-sources/shared/serve"
)

func main() {
	serve.Main(func(cfg interop.Config) (serve.Function, error) {
		db, dispatcher, stopSending, err := outbox.Open(cfg.Config, cfg.Outbox)
		if err != nil {
			return serve.Function{}, err
		}
		topic := interop.NewTopic(cfg)
		stop := func(ctx context.Context) error {
			return errors.Join(stopSending(ctx), topic.Close())
		}
		return serve.Function{Events: true, Handler: interop.New(cfg, db, topic, dispatcher.Wake), Stop: stop}, nil
	})
}
