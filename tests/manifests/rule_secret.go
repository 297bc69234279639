package manifests

import (
	"path"
	"slices"

	core "k8s.io/api/core/v1"
	serving "knative.dev/serving/pkg/apis/serving/v1"
)

// secretsElsewhere: what is rendered ends up in repositories and pipelines. A site makes its Secrets by itself.
func secretsElsewhere(r *Rendering) []string {
	var p problems
	for _, s := range all[*core.Secret](r) {
		p.about = "Secret " + s.Name
		p.unless(false, "no Secret is applied from manifests")
	}
	return p.found
}

// siteSecrets are those that a site makes, with the keys that are read; nil for any.
var siteSecrets = map[string][]string{
	"cost-sources-database": {"url", "sources", "applications", "provisioner", "ros-cleanup", "relay", "interop"},
	"cost-sources-ros":      {"url"},
	"cost-sources-gateway":  {"secret"},
	"cost-sources-kafka":    nil,

	"cost-sources-telemetry": {"headers"},
}

// secrets: passwords reach a function by reference only, as whoever may read a Service may not read a Secret; and the
// Secrets are those that the settings name, so that a site knows which to make.
func secrets(pod pod, _ *Rendering, p *problems) {
	for _, c := range pod.spec.Containers {
		for _, v := range c.Env {
			secret := slices.Contains([]string{"DATABASE_URL", "ROS_DATABASE_URL", "GATEWAY_SECRET"}, v.Name)
			p.unless(!secret || v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil, "%s is written out, and not taken from a Secret", v.Name)
			if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil {
				ref := v.ValueFrom.SecretKeyRef
				keys, ok := siteSecrets[ref.Name]
				p.unless(ok && (keys == nil || slices.Contains(keys, ref.Key)), "%s is %s of the Secret %s, which no site makes", v.Name, ref.Key, ref.Name)
			}
		}
	}
	for _, v := range pod.spec.Volumes {
		for _, name := range secretsIn(v) {
			_, ok := siteSecrets[name]
			p.unless(ok, "volume %s is the Secret %s, which no site makes", v.Name, name)
		}
	}
}

// logins: with a login for each, a function comes to the database by the address under its own name.
func logins(s *serving.Service, r *Rendering, p *problems) {
	want := "url"
	if r.Settings["DATABASE_LOGINS"] == "each" {
		want = s.Name
	}
	for _, v := range s.Spec.Template.Spec.Containers[0].Env {
		got := want
		switch {
		case v.Name == "DATABASE_URL" && v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil:
			got = v.ValueFrom.SecretKeyRef.Key
		case v.Name == "DATABASE_URL_FILE":
			got = path.Base(v.Value)
		}
		p.unless(got == want, "it comes to the database as %s, not as %s", got, want)
	}
}

// secretsIn are the Secrets of a volume.
func secretsIn(v core.Volume) []string {
	var names []string
	if v.Secret != nil {
		names = append(names, v.Secret.SecretName)
	}
	if v.Projected != nil {
		for _, source := range v.Projected.Sources {
			if source.Secret != nil {
				names = append(names, source.Secret.Name)
			}
		}
	}
	return names
}
