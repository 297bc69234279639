package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/insights-onprem/cost-sources/shared/httpapi"
)

// A Document is what the APIs' OpenAPI document says, for tests that hold them against it.
type Document struct {
	paths    map[string]map[string]Operation
	compiler *jsonschema.Compiler
	mutex    *sync.Mutex // compilers are for one at a time
}

// An Operation is a method of a path, as it is documented.
type Operation struct {
	Query   map[string]string // from a parameter of the query to the address of its schema
	Answers map[int]string    // from a status to the address of its schema; empty for none
}

const documentURL = "openapi.json"

// ReadDocument reads the document once. It is taken more strictly than it stands there: an answer may have
// no members that are not described.
var ReadDocument = sync.OnceValues(func() (Document, error) {
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(httpapi.Document()))
	if err != nil {
		return Document{}, err
	}
	closeSchemas(whole)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource(documentURL, whole); err != nil {
		return Document{}, err
	}
	paths, err := readPaths(whole)
	return Document{paths: paths, compiler: compiler, mutex: &sync.Mutex{}}, err
})

// closeSchemas has every schema within v that has properties, and says nothing of further ones, refuse them.
func closeSchemas(v any) {
	switch v := v.(type) {
	case map[string]any:
		_, open := v["additionalProperties"]
		if v["properties"] != nil && !open {
			v["unevaluatedProperties"] = false
		}
		for _, member := range v {
			closeSchemas(member)
		}
	case []any:
		for _, item := range v {
			closeSchemas(item)
		}
	}
}

// readPaths reads the operations below httpapi.Prefix, each path without it.
func readPaths(whole any) (map[string]map[string]Operation, error) {
	text, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	var document struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Parameters map[string]parameter
			Responses  map[string]response
		}
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	paths := map[string]map[string]Operation{}
	for path, item := range document.Paths {
		short, ok := strings.CutPrefix(path, httpapi.Prefix)
		if !ok {
			continue
		}
		paths[short] = map[string]Operation{}
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			at := "#/paths/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(path) + "/" + method
			operation, err := readOperation(raw, at, document.Components.Parameters, document.Components.Responses)
			if err != nil {
				return nil, err
			}
			paths[short][strings.ToUpper(method)] = operation
		}
	}
	return paths, nil
}

type parameter struct {
	Ref  string `json:"$ref"`
	Name string
	In   string
}

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]json.RawMessage
}

func readOperation(raw json.RawMessage, at string, parameters map[string]parameter, responses map[string]response) (Operation, error) {
	var documented struct {
		Parameters []parameter
		Responses  map[string]response
	}
	if err := json.Unmarshal(raw, &documented); err != nil {
		return Operation{}, err
	}
	operation := Operation{Query: map[string]string{}, Answers: map[int]string{}}
	for i, p := range documented.Parameters {
		schemaAt := fmt.Sprintf("%s/parameters/%d/schema", at, i)
		if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
			p, schemaAt = parameters[name], p.Ref+"/schema"
		}
		if p.In == "query" {
			operation.Query[p.Name] = schemaAt
		}
	}
	for status, answer := range documented.Responses {
		code, err := strconv.Atoi(status)
		if err != nil {
			return operation, err
		}
		schemaAt := at + "/responses/" + status
		if name, ok := strings.CutPrefix(answer.Ref, "#/components/responses/"); ok {
			answer, schemaAt = responses[name], answer.Ref
		}
		operation.Answers[code] = ""
		if answer.Content["application/json"] != nil {
			operation.Answers[code] = schemaAt + "/content/application~1json/schema"
		}
	}
	return operation, nil
}

// Paths are the paths that are documented below the prefix, with their methods.
func (d Document) Paths() map[string][]string {
	paths := map[string][]string{}
	for path, operations := range d.paths {
		paths[path] = slices.Sorted(maps.Keys(operations))
	}
	return paths
}

// Operation is what is documented of a method of a path.
func (d Document) Operation(method, path string) Operation { return d.paths[path][method] }

// Validate reports how a JSON value differs from the schema at an address such as
// "#/components/schemas/Source".
func (d Document) Validate(at string, text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	schema, err := d.compiler.Compile(documentURL + at)
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// conforms reports how the answer to a request differs from what is documented. Nothing is said of paths
// that are not documented: tests serve some of their own.
func (d Document) conforms(method, path string, answer Answer) error {
	path, _, _ = strings.Cut(path, "?")
	operations := d.paths[d.template(strings.TrimSuffix(path, "/"))]
	if operations == nil {
		return nil
	}
	operation, ok := operations[method]
	switch {
	case method == http.MethodHead && answer.Text == "":
		if _, ok := operations[http.MethodGet].Answers[answer.Status]; ok {
			return nil
		}
		return errors.New("the status is not documented for GET")
	case !ok && answer.Status < 400:
		return errors.New("the method is not documented")
	case !ok:
		return d.Validate("#/components/schemas/Errors", []byte(answer.Text))
	}
	return d.answers(operation, answer.Status, answer.Text)
}

func (d Document) answers(operation Operation, status int, text string) error {
	at, ok := operation.Answers[status]
	switch {
	case !ok:
		return errors.New("the status is not documented")
	case at == "" && text == "":
		return nil
	case at == "" || text == "":
		return errors.New("one of the two has no body")
	}
	return d.Validate(at, []byte(text))
}

var inBraces = regexp.MustCompile(`\\\{[a-z]+\\\}`)

// template is the documented path that leads to a path; empty if none does.
func (d Document) template(path string) string {
	for template := range d.paths {
		form := inBraces.ReplaceAllString(regexp.QuoteMeta(template), `[^/]+`)
		if regexp.MustCompile(`^` + form + `$`).MatchString(path) {
			return template
		}
	}
	return ""
}

// check fails the test where an answer is not as documented.
func check(t testing.TB, method, path string, answer Answer) {
	t.Helper()
	document, err := ReadDocument()
	if err != nil {
		t.Fatal(err)
	}
	if err := document.conforms(method, path, answer); err != nil {
		t.Errorf("%s %.200s = %d %s, which is not as shared/httpapi/openapi.json says: %v", method, path, answer.Status, answer.Text, err)
	}
}
