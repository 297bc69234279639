package preflight

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// clientName is what we go by in the brokers' logs.
const clientName = "preflight"

// askWithin bounds a step of asking a broker, of which there are three before it is given up: two such brokers, one
// after the other, leave time for what follows.
const askWithin = 3 * time.Second

func checkKafka(_ context.Context, cfg Kafka, r *report) { // every exchange has a bound of its own
	const name = "KAFKA_BROKERS"
	config, err := cfg.Sarama(clientName)
	if err != nil {
		r.fail(name, "%v", err)
		return
	}
	config.Net.DialTimeout, config.Net.ReadTimeout = askWithin, askWithin
	brokers := checkAddresses(cfg, config, r)
	if r.failed() > 0 {
		return // what follows would only say the same again
	}
	r.ok(name, "%s, reached at the addresses that they advertise, by %s", count(len(brokers), "broker"), cfg.Security())
	a, err := openAdmin(cfg, config)
	if err != nil {
		r.fail(name, "%s", explain(err))
		return
	}
	defer a.close()
	for _, b := range brokers {
		a.checkAutoCreate(b, r)
	}
	for _, t := range cfg.topics() {
		a.checkTopic(t, cfg.Topics, len(brokers), r)
	}
}

// checkAddresses asks every address that we are given who is in the cluster, and then every broker where it says
// that it is: clients go there for everything else, so that an address that is right only elsewhere, outside of the
// cluster perhaps, is found out by nobody but them.
func checkAddresses(cfg Kafka, config *sarama.Config, r *report) []*sarama.Broker {
	const name = "KAFKA_BROKERS"
	known := map[string]*sarama.Broker{}
	answers, errs := askAll(cfg.Brokers, cfg.Topic, config)
	for i, at := range cfg.Brokers {
		if errs[i] != nil {
			r.fail(name, "%s: %s", at, explain(errs[i]))
			continue
		}
		for _, b := range answers[i].Brokers {
			known[b.Addr()] = b
		}
	}
	brokers := slices.SortedFunc(maps.Values(known), func(a, b *sarama.Broker) int { return cmp.Compare(a.ID(), b.ID()) })
	var addresses []string
	for _, b := range brokers {
		addresses = append(addresses, b.Addr())
	}
	_, errs = askAll(addresses, cfg.Topic, config)
	for i, at := range addresses {
		if errs[i] != nil && !slices.Contains(cfg.Brokers, at) { // which has been said
			r.fail(name, "broker %d advertises the address %s, and there: %s; advertised.listeners has to be right from here", brokers[i].ID(), at, explain(errs[i]))
		}
	}
	return brokers
}

// askAll asks all addresses at once for the cluster's brokers, each with the TLS and the login that clients use.
func askAll(addresses []string, topic string, config *sarama.Config) ([]*sarama.MetadataResponse, []error) {
	answers, errs := make([]*sarama.MetadataResponse, len(addresses)), make([]error, len(addresses))
	var all sync.WaitGroup
	for i, at := range addresses {
		all.Go(func() { answers[i], errs[i] = ask(at, topic, config) })
	}
	all.Wait()
	return answers, errs
}

func ask(address, topic string, config *sarama.Config) (*sarama.MetadataResponse, error) {
	broker := sarama.NewBroker(address)
	if err := broker.Open(config); err != nil {
		return nil, err
	}
	if _, err := broker.Connected(); err != nil { // which waits
		return nil, err
	}
	defer broker.Close()
	return broker.GetMetadata(sarama.NewMetadataRequest(config.Version, []string{topic})) // which makes none
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
