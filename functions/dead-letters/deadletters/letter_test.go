package deadletters_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"

	"github.com/insights-onprem/cost-sources/functions/dead-letters/deadletters"
)

// consumed is record as a consumer gets it.
func consumed(record sarama.ProducerMessage) *sarama.ConsumerMessage {
	got := &sarama.ConsumerMessage{Topic: record.Topic, Partition: record.Partition, Offset: record.Offset}
	for _, h := range record.Headers {
		got.Headers = append(got.Headers, &h)
	}
	if record.Value != nil {
		got.Value, _ = record.Value.Encode()
	}
	return got
}

// FuzzLetter: records are written by anybody. Each has a reason of one bounded printable line, and one that
// is an event can be counted, and written to be the same event at the other end.
func FuzzLetter(f *testing.F) {
	f.Add("ce_specversion", "1.0", "ce_knativeerrordata", "bm90IHRvZGF5", "application/json", []byte(`{"source_id":1}`))
	f.Add("ce_specversion", "0.3", "CE_Subject", "a\nb", "", []byte(nil))
	f.Add("ce_", "", "ce_knativeerrordest", "http://h/\x1b[31m/%0a", "text/plain", []byte("x"))
	f.Add("ce_specversion", "1.0", "ce_partitionkey", "\xff", "application/cloudevents+json", []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","n":5}`))
	f.Add("ce_specversion", "1.0", "ce_id", strings.Repeat("i", 3000), "application/cloudevents-batch+json", []byte(`[{}]`))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, contentType string, value []byte) {
		record := deadRecord("1", string(value), name1, value1, name2, value2, "content-type", contentType)
		e, reason := deadletters.ReadLetter(consumed(record))
		if !utf8.ValidString(reason) || strings.ContainsFunc(reason, func(r rune) bool { return !unicode.IsPrint(r) }) ||
			len(reason) > 3*10*(deadletters.MaxShown+3) {
			t.Errorf("reason of %d bytes: %q", len(reason), reason)
		}
		if e == nil {
			return
		}
		if len(e.ID())+len(e.Source()) > deadletters.MaxIdentity || strings.ContainsRune(e.ID()+e.Source(), 0) || !utf8.ValidString(e.ID()+e.Source()) {
			t.Errorf("PostgreSQL cannot hold %q of %q", e.ID(), e.Source())
		}
		var again sarama.ProducerMessage
		if err := kafka_sarama.WriteProducerMessage(t.Context(), binding.ToMessage(e), &again); err != nil {
			t.Fatalf("%s cannot be written: %v", e, err)
		}
		if strings.HasPrefix(e.DataContentType(), "application/cloudevents") {
			return // an event in an event: what it is taken for is not ours to say
		}
		got, _ := deadletters.ReadLetter(consumed(again))
		if got == nil || got.ID() != e.ID() || got.Source() != e.Source() || got.Type() != e.Type() || !bytes.Equal(got.Data(), e.Data()) {
			t.Errorf("read back: %v\nwant %s", got, e)
		}
	})
}
