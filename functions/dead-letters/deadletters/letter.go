package deadletters

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/insights-onprem/cost-sources/shared/kafkaevents"
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

func readLetter(record *sarama.ConsumerMessage) letter {
	l := letter{partition: record.Partition, offset: record.Offset, at: record.Timestamp.UTC(), reason: noEvent}
	if e, err := kafkaevents.Read(record); err == nil && len(e.Source())+len(e.ID()) <= maxIdentity {
		l.event, l.reason = e, reasonOf(*e)
	}
	return l
}

// maxIdentity is the greatest length of an event's source and id together: PostgreSQL has no index entry
// for longer ones, and they could not be counted.
const maxIdentity = 2000

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
