package manifests

import (
	routev1 "github.com/openshift/api/route/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	network "k8s.io/api/networking/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingduck "knative.dev/eventing/pkg/apis/duck/v1"
	sources "knative.dev/eventing/pkg/apis/sources/v1"
	ingress "knative.dev/networking/pkg/apis/networking/v1alpha1"
	duck "knative.dev/pkg/apis/duck/v1"
	serving "knative.dev/serving/pkg/apis/serving/v1"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	gatewaybeta "sigs.k8s.io/gateway-api/apis/v1beta1"
)

// kinds are those that are used here, and what their project publishes as their Go type. What is not in here is
// refused: nobody would have looked at it.
var kinds = map[string]func() any{
	"serving.knative.dev/v1 Service":                   fresh[serving.Service],
	"sources.knative.dev/v1 PingSource":                fresh[sources.PingSource],
	"sources.knative.dev/v1 SinkBinding":               fresh[sources.SinkBinding],
	"sources.knative.dev/v1 KafkaSource":               fresh[kafkaSource],
	"sources.knative.dev/v1beta1 KafkaSource":          fresh[kafkaSource],
	"eventing.knative.dev/v1alpha1 KafkaSink":          fresh[kafkaSink],
	"networking.internal.knative.dev/v1alpha1 Ingress": fresh[ingress.Ingress],

	"batch/v1 Job":                                     fresh[batch.Job],
	"v1 ConfigMap":                                     fresh[core.ConfigMap],
	"v1 Secret":                                        fresh[core.Secret],
	"v1 Service":                                       fresh[core.Service],
	"v1 ServiceAccount":                                fresh[core.ServiceAccount],
	"networking.k8s.io/v1 NetworkPolicy":               fresh[network.NetworkPolicy],
	"rbac.authorization.k8s.io/v1 Role":                fresh[rbac.Role],
	"rbac.authorization.k8s.io/v1 RoleBinding":         fresh[rbac.RoleBinding],
	"gateway.networking.k8s.io/v1 Gateway":             fresh[gateway.Gateway],
	"gateway.networking.k8s.io/v1 HTTPRoute":           fresh[gateway.HTTPRoute],
	"gateway.networking.k8s.io/v1 ReferenceGrant":      fresh[gateway.ReferenceGrant],
	"gateway.networking.k8s.io/v1beta1 ReferenceGrant": fresh[gatewaybeta.ReferenceGrant],

	"route.openshift.io/v1 Route":             fresh[routev1.Route],
	"monitoring.coreos.com/v1 PrometheusRule": fresh[monitoring.PrometheusRule],
	"kafka.strimzi.io/v1 KafkaTopic":          fresh[kafkaTopic],
	"kafka.strimzi.io/v1beta2 KafkaTopic":     fresh[kafkaTopic],
}

func fresh[T any]() any { return new(T) }

// A fragment has only some fields of its kind.
type fragment interface{ fragment() }

// kafkaSource is what our rules ask of a KafkaSource. There is no module with its Go type that downloads.
type kafkaSource struct {
	meta.TypeMeta
	meta.ObjectMeta `json:"metadata"`

	Spec struct {
		Topics           []string                   `json:"topics"`
		BootstrapServers []string                   `json:"bootstrapServers"`
		ConsumerGroup    string                     `json:"consumerGroup"`
		InitialOffset    string                     `json:"initialOffset"`
		Ordering         string                     `json:"ordering"`
		Consumers        *int32                     `json:"consumers"`
		Delivery         *eventingduck.DeliverySpec `json:"delivery"`
		Sink             duck.Destination           `json:"sink"`
		Net              struct {
			SASL struct {
				Enable   bool          `json:"enable"`
				Type     secretKeyFrom `json:"type"`
				User     secretKeyFrom `json:"user"`
				Password secretKeyFrom `json:"password"`
			} `json:"sasl"`
			TLS struct {
				Enable bool          `json:"enable"`
				Cert   secretKeyFrom `json:"cert"`
				Key    secretKeyFrom `json:"key"`
				CACert secretKeyFrom `json:"caCert"`
			} `json:"tls"`
		} `json:"net"`
	} `json:"spec"`
}

func (*kafkaSource) fragment() {}

type secretKeyFrom struct {
	SecretKeyRef *core.SecretKeySelector `json:"secretKeyRef"`
}

// kafkaSink is what our rules ask of a KafkaSink.
type kafkaSink struct {
	meta.TypeMeta
	meta.ObjectMeta `json:"metadata"`

	Spec struct {
		Topic             string   `json:"topic"`
		NumPartitions     *int32   `json:"numPartitions"`
		ReplicationFactor *int16   `json:"replicationFactor"`
		BootstrapServers  []string `json:"bootstrapServers"`
		ContentMode       *string  `json:"contentMode"`
		Auth              *struct {
			Secret struct {
				Ref core.LocalObjectReference `json:"ref"`
			} `json:"secret"`
		} `json:"auth"`
	} `json:"spec"`
}

func (*kafkaSink) fragment() {}

// kafkaTopic is all that Strimzi's KafkaTopic can have, whose Go type nobody publishes.
type kafkaTopic struct {
	meta.TypeMeta
	meta.ObjectMeta `json:"metadata"`

	Spec struct {
		TopicName  string         `json:"topicName"`
		Partitions int32          `json:"partitions"`
		Replicas   *int32         `json:"replicas"`
		Config     map[string]any `json:"config"`
	} `json:"spec"`
}
