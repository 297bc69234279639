// Package kafkaevents reads CloudEvents from Kafka records, for the few who speak to Kafka themselves.
package kafkaevents

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/types"
)

// readerHeaders are what the codec adds to a record; they are no part of the event.
var readerHeaders = []string{"ce_kafkatopic", "ce_kafkapartition", "ce_kafkaoffset"}

// Read returns the event that a record holds, in binary or structured mode (CloudEvents Kafka Protocol
// Binding). Its error says why the record holds none; anybody may have written it.
func Read(record *sarama.ConsumerMessage) (*cloudevents.Event, error) {
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
	return e, Check(*e)
}

// Check reports why e is no valid CloudEvent. Other than the SDK it looks at the text of the attributes too:
// with a control character, which the specification forbids, no HTTP header would carry it, and PostgreSQL
// would not take some of them.
func Check(e cloudevents.Event) error {
	if err := e.Validate(); err != nil {
		return err
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
