package deadletters

import (
	"context"
	"fmt"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/shared/kafkaclient"
)

// maxLetters bounds a run, and so the memory for what it has seen.
const maxLetters = 1_000_000

// A reader reads the dead-letter topic. What dies after it was opened it never sees, and so cannot send in a circle.
type reader struct{ records *kafkaclient.Reader }

func openReader(cfg Config) (reader, error) {
	records, err := cfg.OpenReader(clientName, cfg.Dead())
	return reader{records}, err
}

func (r reader) close() { r.records.Close() }

// each hands over the letters, one partition after the other.
func (r reader) each(ctx context.Context, do func(letter) error) error {
	seen := 0
	return r.records.Each(ctx, func(record *sarama.ConsumerMessage) error {
		if seen++; seen > maxLetters {
			return fmt.Errorf("there are more than %d letters, the others were not looked at", maxLetters)
		}
		return do(readLetter(record))
	})
}
