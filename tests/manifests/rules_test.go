package manifests_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
	want          string // a part of the one problem more that the rule finds
}

func TestRulesFindWhatIsWrong(t *testing.T) {
	t.Parallel()

	rows := slices.Concat(badTypes, badObjects, badFunctions, badPods, badVariables, badKafka, badSources, badSenders, badRoutes)
	settings := settingsWith(t, manifests.Settings{"OVERLAY": "kourier"})
	var site []document
	var texts [][]byte
	for _, text := range rendered(t, settings) {
		site, texts = append(site, document{nameOf(t, text), text}), append(texts, text)
	}
	good := manifests.ByRule(settings, texts)
	for _, tt := range rows {
		t.Run(tt.rule+"/"+tt.name, func(t *testing.T) {
			t.Parallel()

			changed, err := settings.With(tt.settings)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, problem := range manifests.ByRule(changed, tt.spoil(t, site))[tt.rule] {
				if !slices.Contains(good[tt.rule], problem) {
					got = append(got, problem)
				}
			}
			if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Errorf("found %q, want one problem with %q", got, tt.want)
			}
		})
	}
	for _, name := range append(manifests.RuleNames(), manifests.Types) {
		if !slices.ContainsFunc(rows, func(b bad) bool { return b.rule == name }) {
			t.Errorf("nothing here shows that the rule %q can fail", name)
		}
	}
}

// A document is one object of the site.
type document struct {
	name string
	text []byte
}

// spoil is the site with what is bad about it.
func (b bad) spoil(t *testing.T, site []document) [][]byte {
	t.Helper()
	var spoiled [][]byte
	touched := b.object == "" && b.gone == ""
	for _, document := range site {
		switch document.name {
		case b.gone:
			touched = true
		case b.object:
			touched = true
			spoiled = append(spoiled, patched(t, document.text, b.patch))
		default:
			spoiled = append(spoiled, document.text)
		}
	}
	if !touched {
		t.Fatalf("the site has no %q", b.object+b.gone)
	}
	return append(spoiled, manifests.Documents([]byte(b.more))...)
}

func nameOf(t *testing.T, document []byte) string {
	t.Helper()
	var o unstructured.Unstructured
	if err := yaml.Unmarshal(document, &o.Object); err != nil {
		t.Fatal(err)
	}
	if group, _, ok := strings.Cut(o.GetAPIVersion(), "/"); ok && group == "serving.knative.dev" {
		return "ksvc " + o.GetName()
	}
	return o.GetKind() + " " + o.GetName()
}

// patched has a JSON patch applied, which is written as YAML.
func patched(t *testing.T, document []byte, patch string) []byte {
	t.Helper()
	object, err := yaml.YAMLToJSON(document)
	if err != nil {
		t.Fatal(err)
	}
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
	changed, err := decoded.Apply(object)
	if err != nil {
		t.Fatal(err)
	}
	return changed // JSON is YAML
}
