package restored

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// rosWithin bounds the one question to ROS's database.
const rosWithin = 5 * time.Minute

// readROS lists the sources that ROS has data of, with their organizations, whosever they are. ROS keeps ids as text;
// what is no id of ours is somebody else's.
func readROS(ctx context.Context, cfg Config) (map[int64]string, error) {
	found := map[int64]string{}
	if cfg.ROSDatabaseURL == withoutROS {
		return found, nil
	}
	pool, err := store.OpenPool(store.Config{DatabaseURL: cfg.ROSDatabaseURL, MaxConns: 1, Pool: "ros"})
	if err != nil {
		return nil, fmt.Errorf("ROS_DATABASE_URL: %w", err)
	}
	defer pool.Close()
	ctx, cancel := context.WithTimeout(ctx, rosWithin)
	defer cancel()
	rows, _ := pool.Query(ctx, `
		SELECT DISTINCT c.source_id, a.org_id FROM clusters c JOIN rh_accounts a ON a.id = c.tenant_id
		WHERE c.source_id ~ '^[0-9]{1,10}$' LIMIT $1`, maxSources+1) // its error comes out of ForEachRow
	var text, org string
	_, err = pgx.ForEachRow(rows, []any{&text, &org}, func() error {
		if id, ok := sources.ParseID(text); ok && id > 0 {
			found[id] = org
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ROS_DATABASE_URL: asking which sources ROS knows: %w", err)
	}
	if len(found) > maxSources {
		return nil, fmt.Errorf("ROS has more than %d sources, the others were not looked at", maxSources)
	}
	return found, nil
}
