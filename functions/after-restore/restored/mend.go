package restored

import (
	"context"
	"fmt"
	"io"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// mend does what follows from the findings. The ids come first: until they are lifted nothing may be made. Then each
// row goes on after what the topic has of it, and is asked for again in the same transaction, as an event that is
// numbered before would repeat a number.
//
// What waits in the backup's outbox stays and is sent, under its id. Its numbers may be ones that the topic has passed
// already, and yet the first sending of each event still comes in order: the source's events were sent in order before
// the restore too, so that what the topic has passed is exactly what was sent before, and is now sent once more as may
// happen to any event at any time. What the topic has not passed comes before all new events of its source, as those
// get greater numbers and the outbox is sent by number. To throw away what the topic seems to have would save a few
// repeated events, at the price of losing one whenever the topic is not the one that it was sent to.
func (f *findings) mend(ctx context.Context, db *store.Store, stdout io.Writer) error {
	_, err := bounded(ctx, func(ctx context.Context) (any, error) { return nil, db.LiftIDs(ctx, f.highestID()) })
	if err != nil {
		return fmt.Errorf("lifting the ids: %w", err)
	}
	asked := 0
	err = pages(ctx, func(ctx context.Context, after int64) ([]store.Standing, error) {
		rows, err := db.AskAgain(ctx, after, pageRows, f.topic.sequence)
		asked += len(rows)
		return rows, err
	})
	if err != nil {
		return fmt.Errorf("asking again, after %d sources: %w; run it again", asked, err)
	}
	_, err = fmt.Fprintf(stdout, "done      ids go on above %d; %d sources are asked for again when the functions are on\n", f.highestID(), asked)
	return err
}

// sequence is the highest that the topic has of a source, 0 for none.
func (t *topic) sequence(id int64) int64 {
	if src := t.sources[id]; src != nil {
		return src.sequence
	}
	return 0
}
