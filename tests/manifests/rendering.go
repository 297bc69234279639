package manifests

import (
	"bytes"
	"context"
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// A Rendering is what a site applies: its settings, and every object.
type Rendering struct {
	Settings Settings
	objects  []object
}

// An object is one manifest, and what it decodes to.
type object struct {
	unstructured.Unstructured
	typed any // nil if it cannot be decoded
}

func (o object) String() string { return o.GetKind() + " " + o.GetName() }

// Load decodes the objects, and says what the API server would not accept about them.
func Load(settings Settings, documents [][]byte) (*Rendering, []string) {
	r := &Rendering{Settings: settings}
	var problems []string
	for _, document := range documents {
		o, found := read(document)
		problems = append(problems, found...)
		r.objects = append(r.objects, o)
	}
	return r, problems
}

// Problems is everything that is wrong with the objects of a site.
func Problems(settings Settings, documents [][]byte) []string {
	r, problems := Load(settings, documents)
	for _, rule := range rules {
		problems = append(problems, rule.check(r)...)
	}
	return problems
}

// all are the objects of one type.
func all[T any](r *Rendering) []T {
	var found []T
	for _, o := range r.objects {
		if typed, ok := o.typed.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

// read decodes one document.
func read(document []byte) (object, []string) {
	var o object
	text, err := yaml.YAMLToJSONStrict(document)
	if err == nil {
		err = o.UnmarshalJSON(text)
	}
	if err != nil {
		return o, []string{fmt.Sprintf("no object: %v\n%s", err, document)}
	}
	kind, known := kinds[o.GetAPIVersion()+" "+o.GetKind()]
	if !known {
		return o, []string{fmt.Sprintf("%v: nothing is known here about %s %s", o, o.GetAPIVersion(), o.GetKind())}
	}
	into := kind()
	if problems := published(o); len(problems) > 0 {
		return o, problems
	}
	var problems []string
	for _, err := range decode(text, into) {
		problems = append(problems, fmt.Sprintf("%v: %v", o, err))
	}
	if len(problems) > 0 {
		return o, problems
	}
	o.typed = into
	return o, validate(o, kind(), text)
}

// decode fills into as the API server would: names are written as they are, and known, and there once.
func decode(text []byte, into any) []error {
	if _, own := into.(fragment); own { // has the fields that our rules ask for; published has looked at the rest
		if err := json.UnmarshalCaseSensitivePreserveInts(text, into); err != nil {
			return []error{err}
		}
		return nil
	}
	strict, err := json.UnmarshalStrict(text, into)
	if err != nil {
		return []error{err}
	}
	return strict
}

// validate has Knative's webhooks look at what is to be created. They set defaults first; our rules look at what was
// written.
func validate(o object, copied any, text []byte) []string {
	v, ok := copied.(interface {
		apis.Defaultable
		apis.Validatable
	})
	if !ok {
		return nil
	}
	if err := json.UnmarshalCaseSensitivePreserveInts(text, v); err != nil {
		return []string{fmt.Sprintf("%v: %v", o, err)}
	}
	ctx := apis.WithinCreate(context.Background())
	v.SetDefaults(ctx)
	if err := v.Validate(ctx); err != nil {
		return []string{fmt.Sprintf("%v: %v", o, err)}
	}
	return nil
}

var separator = regexp.MustCompile(`(?m)^---\s*$`)

// Documents are those of a file.
func Documents(file []byte) [][]byte {
	var found [][]byte
	for _, part := range separator.Split(string(file), -1) {
		if text, err := yaml.YAMLToJSON([]byte(part)); err != nil || !bytes.Equal(text, []byte("null")) { // comments alone are none
			found = append(found, []byte(part))
		}
	}
	return found
}
