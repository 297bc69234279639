package manifests

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// elsewhere are kinds that lie where others look for them: a grant beside what it grants, a policy beside the brokers.
var elsewhere = map[string]func(Settings) string{
	"KafkaTopic":     func(s Settings) string { return s["KAFKA_NAMESPACE"] },
	"ReferenceGrant": func(s Settings) string { return strings.Split(s["LOCAL_GATEWAY"]+".", ".")[1] },
	"NetworkPolicy":  func(s Settings) string { return s["KAFKA_NAMESPACE"] },
}

// belongs: deploy.sh and an operator find what is ours by the label, and `kn service apply` ignores a file's namespace,
// so that one left out or differing would put a function beside the rest.
func belongs(r *Rendering) []string {
	var p problems
	for _, o := range r.objects {
		p.about = o.String()
		part := o.GetLabels()["app.kubernetes.io/part-of"]
		p.unless(part == "cost-sources", "the label app.kubernetes.io/part-of is %q", part)
		where, ok := elsewhere[o.GetKind()]
		p.unless(o.GetNamespace() == r.Settings["NAMESPACE"] || ok && o.GetNamespace() == where(r.Settings),
			"its namespace is %q, not %q", o.GetNamespace(), r.Settings["NAMESPACE"])
	}
	return p.found
}

// valid: a name is checked by the API server at the end of a deployment, when half of it has been done. A Service's
// becomes the first part of a host name.
func valid(r *Rendering) []string {
	var p problems
	seen := map[string]bool{}
	for _, o := range r.objects {
		p.about = o.String()
		check := validation.IsDNS1123Subdomain
		if o.GetKind() == "Service" {
			check = validation.IsDNS1035Label
		}
		key := o.GetAPIVersion() + o.GetNamespace() + o.String()
		p.unless(!seen[key], "it is there twice")
		seen[key] = true
		for _, err := range check(o.GetName()) {
			p.unless(false, "its name: %s", err)
		}
		for key, value := range o.GetLabels() {
			for _, err := range slices.Concat(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)) {
				p.unless(false, "label %s: %s", key, err)
			}
		}
	}
	return p.found
}

var capitals = regexp.MustCompile(`[A-Z][A-Z0-9_]+`)

// replaced: where a setting goes, its name stands until it is replaced. It must not be applied as a value.
func replaced(r *Rendering) []string {
	var p problems
	for _, o := range r.objects {
		p.about = o.String()
		walk(o.Object, "", func(path, text string) {
			for _, word := range capitals.FindAllString(text, -1) {
				_, setting := r.Settings[word]
				p.unless(!setting, "%s is still %q", path, text)
			}
		})
	}
	return p.found
}

// walk calls what for every text in value but the names of variables.
func walk(value any, path string, what func(path, text string)) {
	switch v := value.(type) {
	case string:
		what(path, v)
	case []any:
		for i, item := range v {
			walk(item, fmt.Sprintf("%s[%d]", path, i), what)
		}
	case map[string]any:
		_, literal := v["value"]
		_, from := v["valueFrom"]
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if key != "name" || !literal && !from {
				walk(v[key], path+"."+key, what)
			}
		}
	}
}

// fixed: under a tag that moves, two instances of a function run two programs, and a rollback goes nowhere.
func fixed(r *Rendering) []string {
	p := problems{about: "VERSION"}
	version := r.Settings["VERSION"]
	p.unless(version != "" && version != "latest", "%q is no version", version)
	return p.found
}
