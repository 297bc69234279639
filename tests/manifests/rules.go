package manifests

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A rule is something that holds for every site of ours, which no type and no webhook asks for. It says what is wrong.
type rule struct {
	name  string
	check func(*Rendering) []string
}

// rules are all of them, each with its reason at its function.
var rules = []rule{
	{"objects are ours", belongs},
	{"names are valid", valid},
	{"settings are replaced", replaced},
	{"the version is one", fixed},
	{"secrets are the site's", secretsElsewhere},

	{"functions are the five", theFive},
	{"functions are called inside", each(inside)},
	{"functions scale within bounds", each(scale)},
	{"functions may finish", each(times)},
	{"functions are ready when they listen", each(probed)},
	{"functions take no more connections than are stated", budget},
	{"functions' kn manifests lose nothing", keepsAll},

	{"pods are found by policies", eachPod(policed)},
	{"pods are confined", eachPod(confined)},
	{"pods ask for little", eachPod(resources)},
	{"pods run our images", eachPod(images)},
	{"pods have known variables", eachPod(variables)},
	{"pods have values that can be read", eachPod(values)},
	{"pods keep secrets out of manifests", eachPod(secrets)},
	{"functions log in as the settings say", each(logins)},
	{"preflight trusts whom the functions trust", trust},
	{"jobs run once", each(once)},

	{"sinks leave topics alone", each(sinkLeavesTopics)},
	{"sinks write to topics of ours", sinkTopics},
	{"Strimzi makes what is written to", topics},
	{"Strimzi takes its topics", each(replicas)},
	{"sources keep their place", each(sourcePlace)},
	{"sources have groups of their own", sourceGroups},
	{"sources deliver on purpose", each(sourceDelivery)},
	{"sources wait for the function", sourcesWait},
	{"sources hold a partition for a bounded time", each(sourceHold)},
	{"sources have dead letters", deadLetters},
	{"sources read topics of ours", sourceTopics},
	{"Kafka is spoken to as the settings say", brokers},

	{"senders are bound", senders},
	{"bindings bind what there is", bindings},
	{"the relay is woken", each(ping)},
	{"the relay's ping arrives", pingArrives},

	{"collections are routed", ingresses},
	{"collections are routed by the Gateway API", httpRoutes},
	{"gateways may be led to", grants},
	{"Envoy takes what it is given", each(envoys)},
	{"alerts can be evaluated", each(alerts)},
}

// problems collects what is wrong with one object.
type problems struct {
	about string
	found []string
}

// unless notes a problem unless ok.
func (p *problems) unless(ok bool, format string, args ...any) {
	if !ok {
		p.found = append(p.found, p.about+": "+fmt.Sprintf(format, args...))
	}
}

// named is every object's type.
type named interface {
	GetName() string
	GetObjectKind() schema.ObjectKind
}

func about(o named) *problems {
	return &problems{about: o.GetObjectKind().GroupVersionKind().Kind + " " + o.GetName()}
}

// each makes a rule of what holds for each object of a type.
func each[T named](check func(T, *Rendering, *problems)) func(*Rendering) []string {
	return func(r *Rendering) []string {
		var found []string
		for _, o := range all[T](r) {
			p := about(o)
			check(o, r, p)
			found = append(found, p.found...)
		}
		return found
	}
}

// one is the object of a type and a name, nil if there is none.
func one[T interface {
	named
	comparable
}](r *Rendering, name string) (none T) {
	for _, o := range all[T](r) {
		if o.GetName() == name {
			return o
		}
	}
	return none
}
