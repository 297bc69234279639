package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
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
		a.checkTopic(t, cfg.Topics == "create", len(brokers), r)
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

// An admin looks at topics and makes them.
type admin struct {
	client sarama.Client
	sarama.ClusterAdmin
}

func openAdmin(cfg Kafka, config *sarama.Config) (admin, error) {
	config.Metadata.Full = true // the client finds no controller otherwise
	client, err := sarama.NewClient(cfg.Brokers, config)
	if err != nil {
		return admin{}, err
	}
	cluster, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return admin{}, errors.Join(err, client.Close())
	}
	return admin{client, cluster}, nil
}

func (a admin) close() { _ = a.Close() } // nothing of ours is lost; its client goes with it

// settings reads some of a resource's settings, those that are the brokers' defaults included.
func (a admin) settings(kind sarama.ConfigResourceType, name string, names ...string) (map[string]string, error) {
	resource := &sarama.ConfigResource{Type: kind, Name: name, ConfigNames: names}
	results, err := a.DescribeConfigs([]*sarama.ConfigResource{resource}, sarama.DescribeConfigsOptions{})
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, result := range results {
		if result.ErrorCode != 0 {
			return nil, sarama.KError(result.ErrorCode)
		}
		for _, entry := range result.Configs {
			values[entry.Name] = entry.Value
		}
	}
	return values, nil
}

func (a admin) checkAutoCreate(b *sarama.Broker, r *report) {
	const name, setting = "KAFKA_BROKERS", "auto.create.topics.enable"
	values, err := a.settings(sarama.BrokerResource, strconv.Itoa(int(b.ID())), setting)
	switch {
	case err != nil:
		r.warn(name, "broker %d does not tell its %s: %s", b.ID(), setting, explain(err))
	case strings.EqualFold(values[setting], "true"):
		r.warn(name, "broker %d has %s=true: a misspelt topic is made, with defaults, instead of being an error; set it to false", b.ID(), setting)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
