package interop

import (
	"time"

	"github.com/IBM/sarama"
)

// Hold is somebody else's record, which takes a while to write.
func (t *Topic) Hold(d time.Duration) error {
	return t.use(func(sarama.Client, sarama.SyncProducer) error {
		time.Sleep(d)
		return nil
	})
}
