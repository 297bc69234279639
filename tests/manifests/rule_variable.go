package manifests

import (
	"cmp"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
)

// A program is what the pods of one name run, and the variables that it reads (contract section 7).
type program struct {
	image    string // if it is another than the pod's name
	required []string
	optional []string
}

var (
	functions = []string{"applications", "provisioner", "relay", "ros-cleanup", "sources"}
	senderOf  = []string{"applications", "relay", "sources"} // those that read K_SINK, and interop

	database = []string{"DATABASE_MAX_CONNS"} // and its address, see forDatabase
	caller   = []string{"AUTH_MODE", "RBAC_URL"}
	modes    = []string{"OIDC_ISSUER", "OIDC_AUDIENCE", "GATEWAY_SECRET"}
	kafka    = []string{"KAFKA_BROKERS", "SOURCES_EVENT_TOPIC", "DEAD_TOPIC"}
	plain    = []string{"INTEROP", "LEGACY_TOPIC"}

	programs = map[string]program{
		"sources":       {required: slices.Concat(database, caller), optional: slices.Concat(modes, []string{"SOURCE_REF_REQUIRED", "CREATE_WAIT"})},
		"applications":  {required: slices.Concat(database, caller), optional: modes},
		"provisioner":   {required: database, optional: []string{"TENANT_TEMPLATE_SCHEMA"}},
		"ros-cleanup":   {required: slices.Concat(database, []string{"ROS_DATABASE_URL"}), optional: []string{"KRUIZE_URL", "KRUIZE_TIMEOUT", "PLAIN_RECORDS"}},
		"relay":         {required: database},
		"interop":       {required: slices.Concat(database, kafka, []string{"LEGACY_TOPIC", "LEGACY_IDENTITY"}), optional: []string{"KAFKA_AUTH_DIR", "PLAIN_RECORDS"}},
		"dead-letters":  {required: kafka, optional: []string{"KAFKA_AUTH_DIR", "K_CE_OVERRIDES"}},
		"after-restore": {required: slices.Concat([]string{"ROS_DATABASE_URL"}, kafka), optional: []string{"KAFKA_AUTH_DIR"}},
		"migrate":       {required: []string{"ROS_DATABASE_URL"}, optional: []string{"TENANT_TEMPLATE_SCHEMA"}},
		"topics":        {image: "preflight", required: slices.Concat(kafka, plain), optional: []string{"TOPIC_REPLICATION", "KAFKA_AUTH_DIR"}},
		"preflight": {required: slices.Concat([]string{"ROS_DATABASE_URL", "KAFKA_AUTH"}, caller, kafka, plain),
			optional: slices.Concat(modes, []string{"CONNECTIONS_NEEDED", "DATABASE_LOGINS", "TOPICS", "TOPIC_REPLICATION", "KRUIZE_URL", "KAFKA_AUTH_DIR"})},
	}
)

// programOf is the image's name.
func programOf(pod string) string {
	if p := programs[pod]; p.image != "" {
		return p.image
	}
	return pod
}

// everywhere are read by every process: by ours, by Go, and by OpenTelemetry.
func everywhere(name string) bool {
	return slices.Contains([]string{"LOG_LEVEL", "ONPREM", "SSL_CERT_DIR", "GOGC", "GOMEMLIMIT"}, name) || strings.HasPrefix(name, "OTEL_")
}

// variables: a function without a variable that it needs ends at once, and its revision never gets ready; one that
// nobody reads is misspelt. K_SINK comes from the SinkBinding, and what else begins so, from Knative.
func variables(pod pod, r *Rendering, p *problems) {
	known, ok := programs[pod.name]
	if !ok {
		p.unless(false, "nothing is known here about the variables of %s", pod.name)
		return
	}
	for _, c := range pod.spec.Containers {
		p.unless(len(c.EnvFrom) == 0, "envFrom sets variables that nobody sees here")
		for _, name := range slices.Concat(known.required, forMode(pod.name, r.Settings["AUTH_MODE"]), forDatabase(pod.name, r.Settings["DATABASE_SECRET"])) {
			i := slices.IndexFunc(c.Env, func(v core.EnvVar) bool { return v.Name == name })
			p.unless(i >= 0 && (c.Env[i].Value != "" || c.Env[i].ValueFrom != nil), "%s is not set", name)
		}
		for i, v := range c.Env {
			reads := slices.Contains(slices.Concat(known.required, forDatabase(pod.name, r.Settings["DATABASE_SECRET"])), v.Name) || slices.Contains(known.optional, v.Name) || everywhere(v.Name)
			p.unless(reads, "%s is set, which it does not read", v.Name)
			p.unless(!slices.ContainsFunc(c.Env[:i], func(w core.EnvVar) bool { return w.Name == v.Name }), "%s is set twice", v.Name)
		}
	}
}

// forMode are the variables that the two APIs need besides for an AUTH_MODE.
func forMode(pod, mode string) []string {
	switch {
	case !slices.Contains(programs[pod].required, "AUTH_MODE"):
		return nil
	case mode == "jwt":
		return []string{"OIDC_ISSUER", "OIDC_AUDIENCE"}
	default:
		return []string{"GATEWAY_SECRET"}
	}
}

// forDatabase is the variable that has the database's address, which a Job always reads from a file.
func forDatabase(pod, secret string) []string {
	switch {
	case !slices.Contains(functions, pod) && pod != "interop" || secret == "file":
		return []string{"DATABASE_URL_FILE"}
	default:
		return []string{"DATABASE_URL"}
	}
}

// readable says which variables have a form, in which an empty text is none.
var readable = map[string]func(string) error{
	"CREATE_WAIT":         asDuration,
	"KRUIZE_TIMEOUT":      asDuration,
	"SOURCE_REF_REQUIRED": asBool,
	"PLAIN_RECORDS":       asBool,
	"INTEROP":             asBool,
	"LOG_LEVEL":           func(text string) error { return new(slog.Level).UnmarshalText([]byte(text)) },
	"AUTH_MODE":           oneOf("jwt", "identity"),
	"TOPICS":              oneOf("create", "strimzi", "exist"),
	"DATABASE_MAX_CONNS":  asNumber,
	"CONNECTIONS_NEEDED":  asNumber,
	"DATABASE_LOGINS":     oneOf("one", "each"),
	"TOPIC_REPLICATION":   asReplicas,
}

func asDuration(text string) error { _, err := time.ParseDuration(text); return err }
func asBool(text string) error     { _, err := strconv.ParseBool(text); return err }
func asNumber(text string) error   { _, err := strconv.Atoi(text); return err }

func asReplicas(text string) error {
	n, err := strconv.Atoi(text)
	if err == nil && n < 1 && n != -1 {
		err = errors.New("neither replicas nor -1, for what the brokers are set to")
	}
	return err
}

func oneOf(words ...string) func(string) error {
	return func(text string) error {
		if !slices.Contains(words, text) {
			return errors.New("none of " + strings.Join(words, ", "))
		}
		return nil
	}
}

// settingOf is the setting behind a variable, where it has another name.
var settingOf = map[string]string{"KAFKA_BROKERS": "KAFKA_BOOTSTRAP", "SOURCES_EVENT_TOPIC": "TOPIC"}

// values: on its way through YAML a text can become something else, and a function ends at once where a value cannot be.
func values(pod pod, r *Rendering, p *problems) {
	for _, c := range pod.spec.Containers {
		for _, v := range c.Env {
			if v.ValueFrom != nil {
				continue
			}
			if read, ok := readable[v.Name]; ok {
				err := read(v.Value)
				p.unless(err == nil, "%s is %q: %v", v.Name, v.Value, err)
			}
			set, ok := r.Settings[cmp.Or(settingOf[v.Name], v.Name)]
			p.unless(!ok || v.Value == set, "%s is %q, but the settings say %q", v.Name, v.Value, set)
		}
	}
}

// literal is the value of a variable that is written out.
func literal(env []core.EnvVar, name string) string {
	for _, v := range env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}
