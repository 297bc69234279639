package preflight

import (
	"errors"
	"strconv"
	"strings"

	"github.com/IBM/sarama"
)

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

// checkTopic reports on a topic. One that is missing is made by others; here it is only found out whether preflight
// could make it, where that is who does.
func (a admin) checkTopic(t topic, maker string, brokers int, r *report) {
	f, err := a.find(t.name)
	switch {
	case err == nil:
		f.report(levelOK, t, brokers, r)
		return
	case !errors.Is(err, errMissing):
		r.fail(t.variable, "%s: %s", t.name, explain(err))
		return
	case maker == topicsExist:
		r.fail(t.variable, "%s: %v: have it made by preflight topics, or by whoever makes topics here", t.name, errMissing)
		return
	}
	if maker == topicsCreate {
		err := a.CreateTopic(t.name, t.detail(), true)
		if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			r.fail(t.variable, "%s is missing and could not be made: %s", t.name, explain(err))
			return
		}
	}
	r.ok(t.variable, "%s is missing, will be made", t.name)
}
