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

// ByRule is what Problems finds, by who found it.
func ByRule(settings Settings, documents [][]byte) map[string][]string {
	r, problems := Load(settings, documents)
	found := map[string][]string{Types: problems}
	for _, rule := range rules {
		found[rule.name] = rule.check(r)
	}
	return found
}
