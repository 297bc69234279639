// Command after-restore brings the registry up to what others know by now, after the database was restored from a
// backup and before the functions are on again:
//
//	after-restore [-dry-run] [-without-topic]
//
// It reads DATABASE_URL as the functions do, ROS_DATABASE_URL (off where there is no ROS), and KAFKA_BROKERS,
// SOURCES_EVENT_TOPIC and, where Kafka wants TLS or a login, KAFKA_AUTH_DIR, a folder with what the KafkaSinks' Secret
// holds.
package main

import (
	"context"
	"os"

	"github.com/insights-onprem/cost-sources/functions/after-restore/restored"
	"github.com/insights-onprem/cost-sources/shared/serve"
)

func main() {
	serve.Command(func(ctx context.Context) error {
		return restored.Run(ctx, serve.Load[restored.Config], os.Args[1:], os.Stdout, os.Stderr)
	})
}
