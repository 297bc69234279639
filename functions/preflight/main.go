// Command preflight says before a deployment what would go wrong after it:
//
//	preflight check   tries every address that the functions use, from where it runs
//	preflight topics  makes the topics that are missing
//
// It reads the same variables as the functions, and those that [preflight.Kafka] and [preflight.Database] add.
package main

import (
	"context"
	"os"

	"github.com/insights-onprem/cost-sources/functions/preflight/preflight"
	"github.com/insights-onprem/cost-sources/shared/serve"
)

func main() {
	serve.Command(func(ctx context.Context) error {
		return preflight.Run(ctx, load, os.Args[1:], os.Stdout, os.Stderr)
	})
}

// load reads each part for itself, so that what is wrong with one hides no other.
func load() preflight.Config {
	return preflight.Config{
		Database: preflight.PartOf(serve.Load[preflight.Database]()),
		ROS:      preflight.PartOf(serve.Load[preflight.ROS]()),
		Kafka:    preflight.PartOf(serve.Load[preflight.Kafka]()),
		Callers:  preflight.PartOf(serve.Load[preflight.Callers]()),
		Kruize:   preflight.PartOf(serve.Load[preflight.Kruize]()),
		OTLP:     preflight.PartOf(serve.Load[preflight.OTLP]()),
	}
}
