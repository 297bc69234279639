package manifests

// RuleNames are those of all rules; Types is the name under which ByRule has what the types say.
func RuleNames() []string {
	var names []string
	for _, rule := range rules {
		names = append(names, rule.name)
	}
	return names
}

// Types stands for decoding, schemas and Knative's validation.
const Types = "types"

// ByRule is what one rule, or the types, find.
func ByRule(name string, settings Settings, objects []Object) []string {
	var found []string
	for _, o := range objects {
		if name == Types {
			found = append(found, o.problems...)
		}
	}
	for _, rule := range rules {
		if name == rule.name {
			found = append(found, rule.check(&Rendering{settings, objects})...)
		}
	}
	return found
}
