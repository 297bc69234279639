package preflight

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/shared/identity"
	"github.com/insights-onprem/cost-sources/shared/kafkaclient"
	"github.com/insights-onprem/cost-sources/shared/store"
)

// Config is what the functions read, one part for each address or group of addresses.
type Config struct {
	Database Part[Database]
	ROS      Part[ROS]
	Kafka    Part[Kafka]
	Callers  Part[Callers]
	Kruize   Part[Kruize]
	OTLP     Part[OTLP]
}

// A Part is a part of the configuration, or what is wrong with it.
type Part[C any] struct {
	Value C
	Err   error
}

// PartOf takes what a loader of configurations returns.
func PartOf[C any](value C, err error) Part[C] { return Part[C]{value, err} }

// Database is where the registry and Koku's tables are.
type Database struct {
	store.Config
	// ConnectionsNeeded is how many connections all functions together may open; 0 where nobody has counted.
	ConnectionsNeeded int `envconfig:"CONNECTIONS_NEEDED"`
	// Logins is one where all functions come in as the same role, which is the default, or each.
	Logins  string `envconfig:"DATABASE_LOGINS"`
	Interop bool   `envconfig:"INTEROP"` // there is that function too
}

// Validate reports the first variable that cannot be.
func (d Database) Validate() error {
	if d.ConnectionsNeeded < 0 {
		return errors.New("CONNECTIONS_NEEDED: at least 0")
	}
	if err := d.checkLoginsSetting(); err != nil {
		return err
	}
	return d.Config.Validate()
}

// ROS is where the data of resource optimization is.
type ROS struct {
	URL string `envconfig:"ROS_DATABASE_URL"`
}

// Validate reports what ros-cleanup would.
func (r ROS) Validate() error {
	if r.URL == "" {
		return errors.New("ROS_DATABASE_URL is not set")
	}
	if _, err := pgx.ParseConfig(r.URL); err != nil {
		return errors.New("ROS_DATABASE_URL: not the address of a PostgreSQL database") // and may hold a password
	}
	return nil
}

// Kafka is where Kafka is, and what the topics are to be.
type Kafka struct {
	kafkaclient.Cluster
	// Auth is how the KafkaSources come in, who take single keys of what AuthDir has and not its protocol; empty where
	// nobody says.
	Auth string `envconfig:"KAFKA_AUTH"`
	// Topics is who makes a topic that is missing: preflight topics (create), Strimzi (strimzi), or nobody any more
	// (exist). Only with the last one the check fails for it.
	Topics string `envconfig:"TOPICS" default:"exist"`
	// Replication is of the topics that are made; -1 stands for the brokers' default.
	Replication int16 `envconfig:"TOPIC_REPLICATION" default:"-1"`
	// Interop says whether plain records are written, to LegacyTopic.
	Interop     bool   `envconfig:"INTEROP"`
	LegacyTopic string `envconfig:"LEGACY_TOPIC" default:"platform.sources.event-stream.plain"`
}

// What TOPICS can be.
const (
	topicsCreate  = "create"
	topicsStrimzi = "strimzi"
	topicsExist   = "exist"
)

// Validate reports the first variable that cannot be.
func (k Kafka) Validate() error {
	if !slices.Contains([]string{topicsCreate, topicsStrimzi, topicsExist}, k.Topics) {
		return errors.New("TOPICS: create, strimzi or exist")
	}
	if k.Replication < 1 && k.Replication != -1 {
		return errors.New("TOPIC_REPLICATION: at least 1, or -1 for the brokers' default")
	}
	if k.Interop && !kafkaclient.IsTopic(k.LegacyTopic) {
		return fmt.Errorf("LEGACY_TOPIC: %q cannot be the name of a topic", k.LegacyTopic)
	}
	if err := k.Cluster.Validate(); err != nil {
		return err
	}
	return k.Fits(k.Auth)
}

// Callers is how the callers of the APIs prove who they are.
type Callers = identity.Config

// Kruize is where the experiments of resource optimization are.
type Kruize struct {
	URL string `envconfig:"KRUIZE_URL"` // empty if there is no Kruize
}

// Validate reports what ros-cleanup would, without repeating it: the URL may hold a password.
func (k Kruize) Validate() error {
	u, err := url.Parse(k.URL)
	if k.URL != "" && (err != nil || !isHTTP(u) || u.RawQuery != "" || u.Fragment != "") {
		return errors.New("KRUIZE_URL: an http or https URL without query and fragment, or empty where there is no Kruize")
	}
	return nil
}

// OTLP is where traces and metrics go.
type OTLP struct {
	Endpoint string `envconfig:"OTEL_EXPORTER_OTLP_ENDPOINT"` // empty if they go nowhere
}

// Validate refuses what OpenTelemetry's exporters would.
func (o OTLP) Validate() error {
	u, err := url.Parse(o.Endpoint)
	if o.Endpoint != "" && (err != nil || !isHTTP(u)) {
		return errors.New("OTEL_EXPORTER_OTLP_ENDPOINT: an http or https URL, or empty where there is no collector")
	}
	return nil
}

func isHTTP(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}
