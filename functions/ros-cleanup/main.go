// Command ros-cleanup removes from ROS and Kruize what was kept there for a source that is gone or has no
// application any more. A KafkaSource posts the events to it.
package main

import (
	"context"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup"
	"github.com/insights-onprem/cost-sources/shared/serve"
	"github.com/insights-onprem/cost-sources/shared/store"
)

func main() {
	serve.Main(func(cfg cleanup.Config) (serve.Function, error) {
		db, closeDB, err := store.Open(cfg.Database)
		if err != nil {
			return serve.Function{}, err
		}
		ros, err := cfg.OpenROS()
		if err != nil {
			return serve.Function{}, err
		}
		stop := func(context.Context) error {
			ros.Close()
			closeDB()
			return nil
		}
		return serve.Function{Events: true, Handler: cleanup.New(cfg, db, ros), Stop: stop}, nil
	})
}
