package manifests

import (
	"embed"
	"fmt"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	crds "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"
)

//go:embed crds/*.yaml
var crdFiles embed.FS

// A published schema is what the API server checks the objects of a custom resource with.
type publishedSchema struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
}

// schemas are those of crds/, for each version that is served.
var schemas = sync.OnceValues(func() (map[string]publishedSchema, error) {
	found := map[string]publishedSchema{}
	files, err := crdFiles.ReadDir("crds")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := crdFiles.ReadFile("crds/" + file.Name())
		if err != nil {
			return nil, err
		}
		if err := addSchemas(found, text); err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
	}
	return found, nil
})

func addSchemas(to map[string]publishedSchema, text []byte) error {
	var crd crds.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		return err
	}
	for _, version := range crd.Spec.Versions {
		if !version.Served {
			continue
		}
		var props apiextensions.JSONSchemaProps
		err := crds.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, &props, nil)
		if err != nil {
			return err
		}
		structural, err := schema.NewStructural(&props)
		if err != nil {
			return err
		}
		validator, _, err := validation.NewSchemaValidator(&props)
		if err != nil {
			return err
		}
		to[crd.Spec.Group+"/"+version.Name+" "+crd.Spec.Names.Kind] = publishedSchema{structural, validator}
	}
	return nil
}

// published says what is wrong with an object by the schema in crds/, if its kind has one: also every field that the
// schema does not know, which a cluster would drop without a word.
func published(o Object) []string {
	known, err := schemas()
	if err != nil {
		return []string{err.Error()}
	}
	s, ok := known[o.GetAPIVersion()+" "+o.GetKind()]
	if !ok {
		return nil
	}
	var problems []string
	unknown := pruning.PruneWithOptions(o.DeepCopy().Object, s.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	for _, path := range unknown {
		problems = append(problems, fmt.Sprintf("%v: unknown field %q", o, path))
	}
	for _, err := range validation.ValidateCustomResource(nil, o.Object, s.validator) {
		problems = append(problems, fmt.Sprintf("%v: %v", o, err))
	}
	return problems
}
