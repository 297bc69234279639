package kafkaclient_test

import (
	"errors"
	"testing"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/shared/kafkaclient"
)

// quiet is a broker's log, of which nobody wants to know.
type quiet struct{ *testing.T }

func (quiet) Log(...any)          {}
func (quiet) Logf(string, ...any) {}

// TestNobodyLeads: what could not be read is not what there is not, although the consumer gets no error. The broker is
// sarama's: a real one cannot be brought to say for so long that it does not lead what its metadata says that it leads.
func TestNobodyLeads(t *testing.T) {
	t.Parallel()

	broker := sarama.NewMockBroker(quiet{t}, 1)
	t.Cleanup(broker.Close)
	refused := &sarama.FetchResponse{Version: 4}
	refused.AddError("t", 0, sarama.ErrNotLeaderForPartition)
	broker.SetHandlerByMap(map[string]sarama.MockResponse{
		"ApiVersionsRequest": sarama.NewMockApiVersionsResponse(t).SetApiKeys([]sarama.ApiVersionsResponseKey{
			{ApiKey: 1, MaxVersion: 4}, {ApiKey: 2, MaxVersion: 5}, {ApiKey: 3, MaxVersion: 7}}), // fetch, offsets, metadata
		"MetadataRequest": sarama.NewMockMetadataResponse(t).SetBroker(broker.Addr(), 1).SetLeader("t", 0, 1),
		"OffsetRequest":   sarama.NewMockOffsetResponse(t).SetOffset("t", 0, sarama.OffsetOldest, 0).SetOffset("t", 0, sarama.OffsetNewest, 5),
		"FetchRequest":    sarama.NewMockWrapper(refused),
	})
	reader, err := kafkaclient.Cluster{Brokers: []string{broker.Addr()}, Topic: "t"}.OpenReader("test", "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reader.Close)
	err = reader.Each(t.Context(), func(*sarama.ConsumerMessage) error { return nil })
	if !errors.Is(err, sarama.ErrNotLeaderForPartition) {
		t.Errorf("Each() = %v of 5 records that nobody gives, want the broker's error", err)
	}
}
