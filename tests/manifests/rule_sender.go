package manifests

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	sources "knative.dev/eventing/pkg/apis/sources/v1"
	serving "knative.dev/serving/pkg/apis/serving/v1"
)

// senders: a function that reads K_SINK refuses to start without it, and one SinkBinding per function is all there can
// be, as each sets the same variable.
func senders(r *Rendering) []string {
	p := problems{about: "SinkBindings"}
	var bound []string
	for _, b := range all[*sources.SinkBinding](r) {
		bound = append(bound, b.Spec.Subject.Name)
	}
	slices.Sort(bound)
	want := r.with(senderOf)
	p.unless(slices.Equal(bound, want), "they bind %q, not %q", bound, want)
	return p.found
}

// bindings: one that names what does not exist waits for it for ever, and says so only in its status.
func bindings(r *Rendering) []string {
	var found []string
	for _, b := range all[*sources.SinkBinding](r) {
		p, subject := about(b), b.Spec.Subject
		p.unless(subject.APIVersion == "serving.knative.dev/v1" && subject.Kind == "Service" && one[*serving.Service](r, subject.Name) != nil,
			"its subject %s %s is no function", subject.Kind, subject.Name)
		ref := b.Spec.Sink.Ref
		if ref == nil || ref.Kind != "KafkaSink" || b.Spec.Sink.URI != nil {
			p.unless(false, "its sink is no KafkaSink")
		} else {
			p.unless(topicOf(one[*kafkaSink](r, ref.Name)) == r.Settings["TOPIC"], "its sink %s is not the one of the events", ref.Name)
		}
		found = append(found, p.found...)
	}
	return found
}

// ping: each tick is a request. More than one in two minutes keeps the relay from going to zero; fewer than one in
// five leave what could not be sent waiting. The relay reads no data; where there is any, and it is not an object of
// JSON, no ping is sent.
func ping(s *sources.PingSource, _ *Rendering, p *problems) {
	p.unless(len(strings.Fields(s.Spec.Schedule)) == 5, "schedule %q has not five fields", s.Spec.Schedule)
	if s.Spec.ContentType == "application/json" {
		var object map[string]any
		p.unless(json.Unmarshal([]byte(s.Spec.Data), &object) == nil && object != nil, "its data %q is no object of JSON", s.Spec.Data)
	}
	schedule, err := cron.ParseStandard(s.Spec.Schedule)
	if err != nil {
		return // Knative's validation has said so
	}
	at := schedule.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	for end := at.Add(24 * time.Hour); at.Before(end); {
		next := schedule.Next(at)
		if gap := next.Sub(at); gap < 2*time.Minute || gap > 5*time.Minute {
			p.unless(false, "schedule %q leaves %v between two pings, not two to five minutes", s.Spec.Schedule, gap)
			return
		}
		at = next
	}
}

// pingArrives: without pings, what was not sent at once is never sent.
func pingArrives(r *Rendering) []string {
	p := problems{about: "PingSources"}
	var woken []string
	for _, s := range all[*sources.PingSource](r) {
		ref := s.Spec.Sink.Ref
		if ref != nil && ref.APIVersion == "serving.knative.dev/v1" && one[*serving.Service](r, ref.Name) != nil {
			woken = append(woken, ref.Name)
		}
	}
	p.unless(slices.Equal(woken, []string{"relay"}), "they wake %q, not the relay alone", woken)
	return p.found
}
