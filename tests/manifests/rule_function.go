package manifests

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	serving "knative.dev/serving/pkg/apis/serving/v1"
)

// theFive, and interop where it is wanted: a function that is not rendered is one that nobody misses until its events pile up.
func theFive(r *Rendering) []string {
	var got []string
	for _, s := range all[*serving.Service](r) {
		got = append(got, s.Name)
	}
	slices.Sort(got)
	p := problems{about: "Knative Services"}
	want := r.with(functions)
	p.unless(slices.Equal(got, want), "%v, not %v", got, want)
	return p.found
}

// with adds interop to names of functions, where it is wanted.
func (r *Rendering) with(names []string) []string {
	if r.Settings["INTEROP"] != "true" {
		return names
	}
	return slices.Sorted(slices.Values(append([]string{"interop"}, names...)))
}

const visibility = "networking.knative.dev/visibility"

// inside: from outside only the ingress leads in, past which nobody may get. Knative looks at the label of the Service
// alone; on the revision it does nothing, and looks as if it did.
func inside(s *serving.Service, _ *Rendering, p *problems) {
	p.unless(s.Labels[visibility] == "cluster-local", "the label %s is %q, so that it can be called from outside", visibility, s.Labels[visibility])
	_, there := s.Spec.Template.Labels[visibility]
	p.unless(!there, "the label %s is on the revision, where it does nothing", visibility)
}

// understood are the annotations of the autoscaler that are meant to be used. Others change how it measures, or are
// misspelt, and then ignored.
var understood = []string{"min-scale", "max-scale", "scale-down-delay", "target", "target-burst-capacity"}

// scale: without max-scale a burst opens connections until PostgreSQL has none left for anybody. Where the annotations
// are on the Service, Knative ignores them.
func scale(s *serving.Service, _ *Rendering, p *problems) {
	for _, name := range slices.Sorted(maps.Keys(s.Annotations)) {
		p.unless(!strings.HasPrefix(name, "autoscaling.knative.dev/"), "%s is on the Service and not on its revision", name)
	}
	annotations := s.Spec.Template.Annotations
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		short, scaling := strings.CutPrefix(name, "autoscaling.knative.dev/")
		p.unless(!scaling || slices.Contains(understood, short), "%s is none of %v", name, understood)
	}
	low, err := strconv.Atoi(annotations["autoscaling.knative.dev/min-scale"])
	p.unless(err == nil && low <= 1, "min-scale is %q; 0, or 1 for one that must answer fast", annotations["autoscaling.knative.dev/min-scale"])
	p.unless(maxScale(s) > 0, "max-scale is %q, so that instances, and connections, have no bound", annotations["autoscaling.knative.dev/max-scale"])
}

func maxScale(s *serving.Service) int {
	n, err := strconv.Atoi(s.Spec.Template.Annotations["autoscaling.knative.dev/max-scale"])
	if err != nil {
		return 0
	}
	return n
}

// times: timeoutSeconds is also the grace that a pod has to end. Draining takes 30 s of it, so that with less than 60
// requests are cut off at each scale-down; more than 600 no cluster allows. Unset it is 300, which nobody chose.
func times(s *serving.Service, _ *Rendering, p *problems) {
	seconds := timeout(s)
	p.unless(seconds >= 60 && seconds <= 600, "timeoutSeconds is %d, not 60 to 600", seconds)
}

// timeout is a function's timeoutSeconds, 0 if it has none.
func timeout(s *serving.Service) int64 {
	if s == nil || s.Spec.Template.Spec.TimeoutSeconds == nil {
		return 0
	}
	return *s.Spec.Template.Spec.TimeoutSeconds
}

// probed: with periodSeconds the kubelet asks, once a second at best; without it queue-proxy asks every 50 ms while
// the function starts, which is most of a cold start. /readyz says that the process listens, and asks no database.
func probed(s *serving.Service, _ *Rendering, p *problems) {
	for _, c := range s.Spec.Template.Spec.Containers {
		probe := c.ReadinessProbe
		if probe == nil || probe.HTTPGet == nil {
			p.unless(false, "readinessProbe is no httpGet")
			continue
		}
		p.unless(probe.HTTPGet.Path == "/readyz", "readinessProbe asks %q, not /readyz", probe.HTTPGet.Path)
		p.unless(probe.PeriodSeconds == 0, "readinessProbe has periodSeconds, which makes starts slow")
	}
}

// budget: each instance opens a pool of its own. Their sum is stated in the settings, for who sets max_connections of
// PostgreSQL, and has to stay true.
func budget(r *Rendering) []string {
	sum := 0
	for _, s := range all[*serving.Service](r) {
		for _, c := range s.Spec.Template.Spec.Containers {
			pool, _ := strconv.Atoi(literal(c.Env, "DATABASE_MAX_CONNS")) // what is no number is said by values
			sum += maxScale(s) * pool
		}
	}
	p := problems{about: "connections"}
	stated := r.Settings["CONNECTIONS_NEEDED"]
	p.unless(strconv.Itoa(sum) == stated, "max-scale times DATABASE_MAX_CONNS is %d in all, but CONNECTIONS_NEEDED says %q", sum, stated)
	return p.found
}

// keepsAll: `kn service apply -f` decodes into the type, and drops silently what that does not keep.
func keepsAll(r *Rendering) []string {
	var p problems
	for _, o := range r.objects {
		s, ok := o.typed.(*serving.Service)
		if !ok {
			continue
		}
		p.about = o.String()
		kept, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s)
		p.unless(err == nil, "%v", err)
		for _, path := range lost(o.Object, kept, "") {
			p.unless(false, "kn does not apply %s as it is written", path)
		}
	}
	return p.found
}

// lost are the paths of what is written and not kept. Empty values need not be: they are the default.
func lost(written, kept any, path string) []string {
	var paths []string
	switch w := written.(type) {
	case map[string]any:
		k, _ := kept.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(w)) {
			paths = append(paths, lost(w[name], k[name], path+"."+name)...)
		}
	case []any:
		k, _ := kept.([]any)
		k = append(slices.Clip(k), make([]any, max(0, len(w)-len(k)))...)
		for i := range w {
			paths = append(paths, lost(w[i], k[i], fmt.Sprintf("%s[%d]", path, i))...)
		}
	default:
		if empty := written == nil || reflect.ValueOf(written).IsZero(); !empty && !reflect.DeepEqual(written, kept) {
			return []string{path}
		}
	}
	return paths
}
