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
	objects  []Object
}

// An Object is one manifest, what it decodes to, and what the API server would not accept about it.
type Object struct {
	unstructured.Unstructured
	typed    any // nil if it cannot be decoded
	problems []string
}

// String is the kind and the name.
func (o Object) String() string { return o.GetKind() + " " + o.GetName() }

// Problems is everything that is wrong with the objects of a site.
func Problems(settings Settings, objects []Object) []string {
	var found []string
	for _, o := range objects {
		found = append(found, o.problems...)
	}
	for _, rule := range rules {
		found = append(found, rule.check(&Rendering{settings, objects})...)
	}
	return found
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

// Read decodes one document.
func Read(document []byte) Object {
	var o Object
	text, err := yaml.YAMLToJSONStrict(document)
	if err == nil {
		err = o.UnmarshalJSON(text)
	}
	if err != nil {
		o.problems = []string{fmt.Sprintf("no object: %v\n%s", err, document)}
		return o
	}
	kind, known := kinds[o.GetAPIVersion()+" "+o.GetKind()]
	if !known {
		o.problems = []string{fmt.Sprintf("%v: nothing is known here about %s %s", o, o.GetAPIVersion(), o.GetKind())}
		return o
	}
	if o.problems = published(o); len(o.problems) > 0 {
		return o
	}
	into := kind()
	for _, err := range decode(text, into) {
		o.problems = append(o.problems, fmt.Sprintf("%v: %v", o, err))
	}
	if len(o.problems) == 0 {
		o.typed, o.problems = into, validate(o, kind(), text)
	}
	return o
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
func validate(o Object, copied any, text []byte) []string {
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
