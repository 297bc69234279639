package deadletters

import (
	"github.com/IBM/sarama"
	cloudevents "github.com/cloudevents/sdk-go/v2"
)

// MaxShown and MaxIdentity are bounds that the tests hold.
const (
	MaxShown    = maxShown
	MaxIdentity = maxIdentity
)

// ReadLetter returns what the parser makes of a record.
func ReadLetter(record *sarama.ConsumerMessage) (*cloudevents.Event, string) {
	l := readLetter(record)
	return l.event, l.reason
}
