package deadletters

import (
	"github.com/IBM/sarama"
	cloudevents "github.com/cloudevents/sdk-go/v2"
)

// Bounds that the tests hold.
const (
	MaxShown    = maxShown
	MaxIdentity = maxIdentity
	MaxReasons  = maxReasons
)

// ReadLetter returns what the parser makes of a record.
func ReadLetter(record *sarama.ConsumerMessage) (*cloudevents.Event, string) {
	l := readLetter(record)
	return l.event, l.reason
}
