package deadletters

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/types"
)

// A letter is a record of the dead-letter topic. Anybody may have written it.
type letter struct {
	partition int32
	offset    int64
	at        time.Time          // when it was written
	event     *cloudevents.Event // with what has been added to it; nil in a record that holds none
	reason    string             // in one printable line
}

// noEvent is the reason of records that hold no CloudEvent.
const noEvent = "not a CloudEvent"

// readerHeaders are what the codec adds to a record.
var readerHeaders = []string{"ce_kafkatopic", "ce_kafkapartition", "ce_kafkaoffset"}

func readLetter(record *sarama.ConsumerMessage) letter {
	l := letter{partition: record.Partition, offset: record.Offset, at: record.Timestamp.UTC(), reason: noEvent}
	if e, err := readEvent(record); err == nil {
		l.event, l.reason = e, reasonOf(*e)
	}
	return l
}

func readEvent(record *sarama.ConsumerMessage) (*cloudevents.Event, error) {
	message := kafka_sarama.NewMessageFromConsumerMessage(record)
	if message.ReadEncoding() == binding.EncodingUnknown {
		return nil, binding.ErrUnknownEncoding
	}
	for _, header := range readerHeaders {
		delete(message.Headers, header)
	}
	e, err := binding.ToEvent(context.Background(), message)
	if err != nil {
		return nil, err
	}
	return e, check(*e)
}

// maxIdentity is the greatest length of an event's source and id together: PostgreSQL has no index entry
// for longer ones, and they could not be counted.
const maxIdentity = 2000

// check reports why e is no valid CloudEvent. Other than the SDK it looks at the text of the attributes too:
// control characters, which the specification forbids, have no place in PostgreSQL either.
func check(e cloudevents.Event) error {
	if err := e.Validate(); err != nil {
		return err
	}
	if len(e.Source())+len(e.ID()) > maxIdentity {
		return errors.New("source and id are too long")
	}
	texts := map[string]any{"id": e.ID(), "source": e.Source(), "type": e.Type(), "subject": e.Subject(),
		"datacontenttype": e.DataContentType(), "dataschema": e.DataSchema()}
	for name, value := range e.Extensions() {
		texts[name] = value
	}
	for name, value := range texts {
		text, err := types.Format(value)
		if err != nil {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("attribute %s holds a control character", name)
		}
	}
	return nil
}

// place says where the letter is in its topic.
func (l letter) place() string { return fmt.Sprintf("%d/%d", l.partition, l.offset) }

// identities are events that have been seen. Two letters hold the same event if its source and its id are
// the same. Hashes, so that a long one takes no more room than another.
type identities map[[16]byte]struct{}

// add reports whether the event of l is new.
func (seen identities) add(l letter) bool {
	hash := sha256.Sum256([]byte(l.event.Source() + "\x00" + l.event.ID()))
	key := [16]byte(hash[:])
	_, there := seen[key]
	seen[key] = struct{}{}
	return !there
}
