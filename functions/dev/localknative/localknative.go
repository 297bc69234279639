// Package localknative stands in for a KafkaSink, a KafkaSource and a PingSource
// where there is no cluster: the functions are reached by the same requests, with
// the same attributes, answers, retries and dead letters as from Knative's Kafka
// data plane, and through a real Kafka. It knows URLs and topics, no function.
//
// Left out are OIDC, TLS, SASL, ordered delivery, ceOverrides and tracing. Quicker
// than in a cluster are the KafkaSink's 503, after 20 s at most, and the commits, one
// a second. The KafkaSink neither reorders nor repeats within a partition, on which
// nobody may rely.
package localknative

import (
	"context"
	"net/http"
	"time"

	"github.com/IBM/sarama"
)

// stopGrace is how long a request under way may go on when its sender has to stop.
const stopGrace = 3 * time.Second

// kafkaConfig is what all clients here have in common.
func kafkaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.ClientID = "localknative"
	config.Metadata.Full = false // of the topics in use only
	config.Metadata.AllowAutoTopicCreation = false
	config.Net.DialTimeout = 5 * time.Second
	return config
}

// newHTTPClient follows no redirects, as Knative's senders do not: they are an answer like another.
func newHTTPClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: maxInFlight, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// within waits for f, which nothing can interrupt, for no longer than ctx
// allows. f then ends in its own time.
func within(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pause waits for d, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// withGrace returns a context that ends grace after ctx does.
func withGrace(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return late, func() { stop(); cancel() }
}
