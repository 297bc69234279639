package localknative

import (
	"fmt"
	"mime"
	"strconv"
	"strings"
	"unicode"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/insights-onprem/cost-sources/shared/kafkaevents"
)

// wrappedType is the type of an event made of a record that is no CloudEvent.
const wrappedType = "dev.knative.kafka.event"

// eventOf is what a KafkaSource makes of a record: the CloudEvent in it, in
// binary or structured mode and with or without data, or else one around it.
// Both say where the record stands.
func eventOf(record *sarama.ConsumerMessage, namespace, name string) event.Event {
	var e event.Event
	if read, err := kafkaevents.Read(record); err == nil {
		e = *read
	} else {
		e = wrap(record, namespace, name)
	}
	// As text: an integer attribute has 32 bits.
	e.SetExtension("knativekafkapartition", strconv.Itoa(int(record.Partition)))
	e.SetExtension("knativekafkaoffset", strconv.FormatInt(record.Offset, 10))
	return e
}

// wrap makes an event of a record that is none. Its content type goes as it is,
// so a broken structured event arrives looking like one; of a content type that is no
// media type at all the event goes without.
func wrap(record *sarama.ConsumerMessage, namespace, name string) event.Event {
	e := event.New()
	e.SetType(wrappedType)
	e.SetID(fmt.Sprintf("partition:%d/offset:%d", record.Partition, record.Offset))
	e.SetSource(fmt.Sprintf("/apis/v1/namespaces/%s/kafkasources/%s#%s", namespace, name, record.Topic))
	e.SetSubject(fmt.Sprintf("partition:%d#%d", record.Partition, record.Offset))
	if year := record.Timestamp.UTC().Year(); year >= 0 && year <= 9999 { // all that the text form can hold
		e.SetTime(record.Timestamp)
	}
	if record.Key != nil {
		e.SetExtension("key", printable(record.Key))
		e.SetExtension("partitionkey", printable(record.Key))
	}
	for _, h := range record.Headers {
		wrapHeader(&e, string(h.Key), printable(h.Value))
	}
	e.DataEncoded = record.Value
	return e
}

func wrapHeader(e *event.Event, name, value string) {
	if !strings.EqualFold(name, "content-type") {
		e.SetExtension("kafkaheader"+attributeName(name), value)
		return
	}
	value = strings.ToLower(value)
	if _, _, err := mime.ParseMediaType(value); err == nil {
		e.SetDataContentType(value)
	}
}

// attributeName leaves of a header's name what the name of an attribute may hold.
func attributeName(header string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(header))
}

// printable leaves of a key or a header's value, which may be any bytes, what an attribute may hold.
func printable(value []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(value), ""))
}
