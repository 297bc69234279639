package preflight

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

const day = 24 * time.Hour

// A topic is what one is to be like (contract sections 4 and 5).
type topic struct {
	variable, name string
	partitions     int32
	retention      time.Duration
	replication    int16 // of one that is made
}

// topics are the two, and a third where plain records are written. That of dead letters needs no order, and might do
// with one partition; it has as many as the others so that a partition without a leader stands in the way of a third of
// them only, for what cannot be written there is lost.
func (k Kafka) topics() []topic {
	topics := []topic{
		{"SOURCES_EVENT_TOPIC", k.Topic, 3, 7 * day, k.Replication},
		{"DEAD_TOPIC", k.Dead(), 3, 90 * day, k.Replication},
	}
	if k.Interop {
		topics = append(topics, topic{"LEGACY_TOPIC", k.LegacyTopic, 3, 7 * day, k.Replication})
	}
	return topics
}

// detail is t as Kafka wants to be told. How many replicas have to be in sync is the brokers' to say.
func (t topic) detail() *sarama.TopicDetail {
	retention, cleanup := strconv.FormatInt(t.retention.Milliseconds(), 10), "delete"
	return &sarama.TopicDetail{NumPartitions: t.partitions, ReplicationFactor: t.replication,
		ConfigEntries: map[string]*string{retentionSetting: &retention, cleanupSetting: &cleanup}}
}

// The settings of a topic that are looked at.
const (
	retentionSetting = "retention.ms"
	cleanupSetting   = "cleanup.policy"
	inSyncSetting    = "min.insync.replicas"
)

// errMissing is that there is no such topic.
var errMissing = errors.New("there is no such topic")

// A found topic is what one is like.
type found struct {
	partitions int
	replicas   int     // of the partition with the fewest
	leaderless []int32 // partitions
	settings   map[string]string
	unseen     error // why there are no settings
}

// find looks a topic up, without making it.
func (a admin) find(name string) (found, error) {
	topics, err := a.DescribeTopics([]string{name})
	if err != nil {
		return found{}, err
	}
	if len(topics) != 1 {
		return found{}, fmt.Errorf("asked for one topic, got %d", len(topics))
	}
	switch err := topics[0].Err; err {
	case sarama.ErrNoError, sarama.ErrLeaderNotAvailable:
	case sarama.ErrUnknownTopicOrPartition:
		return found{}, errMissing
	default:
		return found{}, err
	}
	f := found{partitions: len(topics[0].Partitions)}
	for i, p := range topics[0].Partitions {
		if i == 0 || len(p.Replicas) < f.replicas {
			f.replicas = len(p.Replicas)
		}
		if p.Leader < 0 {
			f.leaderless = append(f.leaderless, p.ID)
		}
	}
	f.settings, err = a.settings(sarama.TopicResource, name, retentionSetting, cleanupSetting, inSyncSetting)
	if errors.Is(err, sarama.ErrTopicAuthorizationFailed) { // which no function needs
		f.unseen, err = err, nil
	}
	return f, err
}

func (f found) String() string {
	if f.unseen != nil {
		return fmt.Sprintf("%s, %s", count(f.partitions, "partition"), count(f.replicas, "replica"))
	}
	return fmt.Sprintf("%s, %s, kept for %s, cleanup.policy %s", count(f.partitions, "partition"), count(f.replicas, "replica"),
		days(f.settings[retentionSetting]), f.settings[cleanupSetting])
}

// days says how long a number of milliseconds is.
func days(millis string) string {
	ms, err := strconv.ParseInt(millis, 10, 64)
	switch {
	case err != nil:
		return "an unknown time"
	case ms < 0:
		return "ever"
	case ms%day.Milliseconds() == 0:
		return count(int(ms/day.Milliseconds()), "day")
	default:
		return (time.Duration(min(ms, int64(100*365*day/time.Millisecond))) * time.Millisecond).String()
	}
}

// differs says in what f is not as t.
func (f found) differs(t topic, brokers int) []string {
	var differences []string
	if f.partitions != int(t.partitions) {
		differences = append(differences, fmt.Sprintf("%s instead of %d", count(f.partitions, "partition"), t.partitions))
	}
	if f.replicas == 1 && brokers > 1 {
		differences = append(differences, "1 replica, so that it is away when its broker is")
	}
	if f.unseen != nil {
		return differences
	}
	if want := strconv.FormatInt(t.retention.Milliseconds(), 10); f.settings[retentionSetting] != want {
		differences = append(differences, fmt.Sprintf("kept for %s instead of %s", days(f.settings[retentionSetting]), days(want)))
	}
	if got := f.settings[cleanupSetting]; got != "delete" {
		differences = append(differences, fmt.Sprintf("cleanup.policy %s instead of delete", got))
	}
	return differences
}

// inSync is how many replicas have to have a record before a KafkaSink takes it for written.
func (f found) inSync() int {
	n, _ := strconv.Atoi(f.settings[inSyncSetting]) // a broker that does not tell forbids nothing
	return n
}

// report says what a topic is like that is there, or has just been made.
func (f found) report(l level, t topic, brokers int, r *report) {
	switch {
	case len(f.leaderless) > 0:
		r.fail(t.variable, "%s: no broker leads its partitions %v: bring the brokers up that have them", t.name, f.leaderless)
		return
	case f.inSync() > f.replicas:
		r.fail(t.variable, "%s: nothing can be written to it, as it has %s and min.insync.replicas=%d: give it more replicas, or lower that",
			t.name, count(f.replicas, "replica"), f.inSync())
		return
	}
	r.add(l, t.variable, "%s: %v", t.name, f)
	if f.unseen != nil {
		r.warn(t.variable, "%s does not tell its settings: %s", t.name, explain(f.unseen))
	}
	if differences := f.differs(t, brokers); len(differences) > 0 {
		r.warn(t.variable, "%s is not as it is meant to be: %s; it is left so", t.name, strings.Join(differences, ", "))
	}
}
