// Command dead-letters shows an operator the events that no function could take, and sends them again:
//
//	dead-letters list [-id ID]... [-reason TEXT] [-v]
//	dead-letters redrive -why TEXT [-who NAME] (-id ID... | -reason TEXT | -all)
//
// It reads DATABASE_URL as the functions do, and KAFKA_BROKERS, SOURCES_EVENT_TOPIC, DEAD_TOPIC and, where Kafka wants
// TLS or a login, KAFKA_AUTH_DIR, a folder with what the KafkaSinks' Secret holds.
package main

import (
	"context"
	"os"

	"github.com/insights-onprem/cost-sources/functions/dead-letters/deadletters"
	"github.com/insights-onprem/cost-sources/shared/serve"
)

func main() {
	serve.Command(func(ctx context.Context) error {
		return deadletters.Run(ctx, serve.Load[deadletters.Config], os.Args[1:], os.Stdout, os.Stderr)
	})
}
