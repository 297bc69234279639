package manifests_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"sigs.k8s.io/yaml"

	"github.com/insights-onprem/cost-sources/tests/manifests"
)

// A bad is something done to a site that holds to the rules, and what is then to be found.
type bad struct {
	name string
	rule string
	// object has the patch applied, or gone is left out, or more is added.
	object, patch string
	gone          string
	more          string
	settings      manifests.Settings
	want          string // a part of a problem that the rule did not find before
}

func TestRulesFindWhatIsWrong(t *testing.T) {
	t.Parallel()

	rows := slices.Concat(badTypes, badObjects, badFunctions, badPods, badVariables, badKafka, badSources, badSenders, badRoutes, badEnvoys)
	settings := settingsWith(t, manifests.Settings{"OVERLAY": "kourier"})
	site := objects(rendered(t, settings))
	for _, tt := range rows {
		t.Run(tt.rule+"/"+tt.name, func(t *testing.T) {
			t.Parallel()

			changed, err := settings.With(tt.settings)
			if err != nil {
				t.Fatal(err)
			}
			known := manifests.ByRule(tt.rule, settings, site)
			got := manifests.ByRule(tt.rule, changed, tt.spoil(t, site))
			got = slices.DeleteFunc(got, func(problem string) bool { return slices.Contains(known, problem) })
			if !slices.ContainsFunc(got, func(problem string) bool { return strings.Contains(problem, tt.want) }) {
				t.Errorf("found %q, want a problem with %q", got, tt.want)
			}
		})
	}
	for _, name := range append(manifests.RuleNames(), manifests.Types) {
		if !slices.ContainsFunc(rows, func(b bad) bool { return b.rule == name }) {
			t.Errorf("nothing here shows that the rule %q can fail", name)
		}
	}
}

// spoil is the site with what is bad about it.
func (b bad) spoil(t *testing.T, site []manifests.Object) []manifests.Object {
	t.Helper()
	var spoiled []manifests.Object
	touched := b.object == "" && b.gone == ""
	for _, o := range site {
		switch o.String() {
		case b.gone:
			touched = true
		case b.object:
			touched = true
			spoiled = append(spoiled, patched(t, o, b.patch))
		default:
			spoiled = append(spoiled, o)
		}
	}
	if !touched {
		t.Fatalf("the site has no %q", b.object+b.gone)
	}
	if b.more != "" {
		spoiled = append(spoiled, manifests.Read([]byte(b.more)))
	}
	return spoiled
}

// patched has a JSON patch applied, which is written as YAML, as a list or as the one operation of it.
func patched(t *testing.T, o manifests.Object, patch string) manifests.Object {
	t.Helper()
	operations, err := yaml.YAMLToJSON([]byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(operations, []byte("[")) {
		operations = slices.Concat([]byte("["), operations, []byte("]"))
	}
	decoded, err := jsonpatch.DecodePatch(operations)
	if err != nil {
		t.Fatal(err)
	}
	text, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	changed, err := decoded.Apply(text)
	if err != nil {
		t.Fatal(err)
	}
	return manifests.Read(changed) // JSON is YAML
}
