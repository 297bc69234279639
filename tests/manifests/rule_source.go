package manifests

import (
	"slices"
	"time"

	"github.com/rickb777/date/period"
	eventingduck "knative.dev/eventing/pkg/apis/duck/v1"
	serving "knative.dev/serving/pkg/apis/serving/v1"
)

// sourcePlace: without a group of its own name a source reads as one that holds a random id, and starts anew where it
// is made anew. `latest`, the default, skips what came before the group first read. `ordered`, the default, has one
// event that fails hold up all others of its partition; our functions look at the registry, and need no order, but for
// interop, whose records have one: out of order it only keeps what comes, and of an old source it begins with the first.
func sourcePlace(k *kafkaSource, _ *Rendering, p *problems) {
	p.unless(k.Spec.ConsumerGroup != "", "it has no consumerGroup")
	p.unless(k.Spec.InitialOffset == "earliest", "initialOffset is %q, not earliest", k.Spec.InitialOffset)
	want := "unordered"
	if k.Name == "interop" {
		want = "ordered"
	}
	p.unless(string(k.Spec.Ordering) == want, "ordering is %q, not %s", k.Spec.Ordering, want)
}

// sourceGroups: two sources with one group would share the events, and each function would miss some.
func sourceGroups(r *Rendering) []string {
	p := problems{about: "KafkaSources"}
	of := map[string]string{}
	for _, k := range all[*kafkaSource](r) {
		other, taken := of[k.Spec.ConsumerGroup]
		p.unless(!taken || k.Spec.ConsumerGroup == "", "%s and %s share the consumerGroup %s", other, k.Name, k.Spec.ConsumerGroup)
		of[k.Spec.ConsumerGroup] = k.Name
	}
	p.unless(len(of) > 0, "there are none")
	return p.found
}

// delivery is a KafkaSource's, empty where it has none.
func delivery(k *kafkaSource) eventingduck.DeliverySpec {
	if k.Spec.Delivery == nil {
		return eventingduck.DeliverySpec{}
	}
	return *k.Spec.Delivery
}

// sourceDelivery: nothing is merged with the defaults where delivery is there. With only a dead letter sink there are
// no retries at all; without timeout a request that hangs takes ten minutes.
func sourceDelivery(k *kafkaSource, _ *Rendering, p *problems) {
	d := delivery(k)
	p.unless(d.Retry != nil && *d.Retry > 0, "delivery has no retry")
	p.unless(d.BackoffPolicy != nil && *d.BackoffPolicy == eventingduck.BackoffPolicyExponential, "delivery.backoffPolicy is not exponential")
	p.unless(duration(d.BackoffDelay) > 0, "delivery.backoffDelay is no duration")
	p.unless(duration(d.Timeout) > 0, "delivery.timeout is no duration")
	p.unless(d.DeadLetterSink != nil, "delivery has no deadLetterSink, without which an event that fails is lost")
	p.unless(d.RetryAfterMax == nil, "delivery.retryAfterMax is ignored by a KafkaSource")
}

// duration reads an ISO 8601 duration, 0 if it is none.
func duration(text *string) time.Duration {
	if text == nil {
		return 0
	}
	parsed, err := period.Parse(*text)
	if err != nil {
		return 0
	}
	return parsed.DurationApprox()
}

// sourcesWait: a source that gives up before the function does sends the event again while it is still being worked on.
func sourcesWait(r *Rendering) []string {
	var found []string
	for _, k := range all[*kafkaSource](r) {
		p := about(k)
		wait := duration(delivery(k).Timeout)
		function := sinkFunction(r, k, p)
		if function != nil && wait > 0 {
			limit := time.Duration(timeout(function)) * time.Second
			p.unless(wait > limit, "delivery.timeout is %v, not above the %v of its function", wait, limit)
		}
		found = append(found, p.found...)
	}
	return found
}

// sinkFunction is what a KafkaSource calls.
func sinkFunction(r *Rendering, k *kafkaSource, p *problems) *serving.Service {
	ref := k.Spec.Sink.Ref
	if ref == nil || ref.APIVersion != "serving.knative.dev/v1" || ref.Kind != "Service" || ref.Namespace != "" && ref.Namespace != k.Namespace {
		p.unless(false, "its sink is no Knative Service of its namespace")
		return nil
	}
	function := one[*serving.Service](r, ref.Name)
	p.unless(function != nil, "its sink, the function %s, is not there", ref.Name)
	return function
}

// longestHold is how long one event may keep the offset of its partition from moving on: after that long events come
// again if the dispatcher ends, and its memory holds those that are done.
const longestHold = 40 * time.Minute

// sourceHold: (1+retry) timeouts and the waits between them, which double and have no bound, once for the function and
// once for the dead letters.
func sourceHold(k *kafkaSource, _ *Rendering, p *problems) {
	d := delivery(k)
	if d.Retry == nil {
		return
	}
	hold := time.Duration(1+*d.Retry) * duration(d.Timeout)
	for n := int32(1); n <= min(*d.Retry, 30); n++ {
		hold += duration(d.BackoffDelay) << n
	}
	p.unless(2*hold <= longestHold, "an event can hold its partition for %v, more than %v", 2*hold, longestHold)
}

// deadLetters: an event that fails goes to a KafkaSink on another topic, else it comes back for ever; where the sink is
// missing, the event is lost.
func deadLetters(r *Rendering) []string {
	var found []string
	for _, k := range all[*kafkaSource](r) {
		d := delivery(k)
		if d.DeadLetterSink == nil || d.DeadLetterSink.Ref == nil {
			continue // see sourceDelivery
		}
		p, ref := about(k), d.DeadLetterSink.Ref
		p.unless(ref.Kind == "KafkaSink" && ref.APIVersion == "eventing.knative.dev/v1alpha1", "its deadLetterSink is a %s", ref.Kind)
		sink := one[*kafkaSink](r, ref.Name)
		p.unless(sink != nil, "its deadLetterSink %s is not there", ref.Name)
		p.unless(sink == nil || sink.Spec.Topic == r.Settings["DEAD_TOPIC"], "its dead letters go to %s, which is not DEAD_TOPIC", topicOf(sink))
		p.unless(!slices.Contains(k.Spec.Topics, topicOf(sink)), "its dead letters go to its own topic %s", topicOf(sink))
		found = append(found, p.found...)
	}
	return found
}

func topicOf(k *kafkaSink) string {
	if k == nil {
		return ""
	}
	return k.Spec.Topic
}
