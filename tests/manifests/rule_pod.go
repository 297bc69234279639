package manifests

import (
	"regexp"
	"slices"
	"strings"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	serving "knative.dev/serving/pkg/apis/serving/v1"
)

// A pod is what a function or a Job runs.
type pod struct {
	name   string
	labels map[string]string
	spec   *core.PodSpec
}

// eachPod makes a rule of what holds for the pods of functions and Jobs alike.
func eachPod(check func(pod, *Rendering, *problems)) func(*Rendering) []string {
	return func(r *Rendering) []string {
		functions := each(func(s *serving.Service, r *Rendering, p *problems) {
			check(pod{s.Name, s.Spec.Template.Labels, &s.Spec.Template.Spec.PodSpec}, r, p)
		})
		jobs := each(func(j *batch.Job, r *Rendering, p *problems) {
			check(pod{j.Name, j.Spec.Template.Labels, &j.Spec.Template.Spec}, r, p)
		})
		return slices.Concat(functions(r), jobs(r))
	}
}

// policed: policies, ours and others', let pods in and out by this label, which is not the label of what makes the pods.
func policed(pod pod, _ *Rendering, p *problems) {
	part := pod.labels["app.kubernetes.io/part-of"]
	p.unless(part == "cost-sources", "the label app.kubernetes.io/part-of of its pods is %q", part)
}

// confined: what the "restricted" level of Pod Security Admission and OpenShift's restricted SCC ask for. No user id:
// OpenShift gives each namespace a range of its own, and refuses others.
func confined(pod pod, _ *Rendering, p *problems) {
	if s := pod.spec.SecurityContext; s != nil {
		p.unless(s.RunAsUser == nil && s.RunAsGroup == nil && s.FSGroup == nil, "the pod says as whom it runs")
	}
	p.unless(!ptr.Deref(pod.spec.AutomountServiceAccountToken, true), "the pod has a token for the API server, which it does not need")
	for _, c := range pod.spec.Containers {
		s := ptr.Deref(c.SecurityContext, core.SecurityContext{})
		p.unless(s.RunAsUser == nil && s.RunAsGroup == nil, "it says as whom it runs")
		p.unless(ptr.Deref(s.RunAsNonRoot, false), "runAsNonRoot is not true")
		p.unless(ptr.Deref(s.ReadOnlyRootFilesystem, false), "readOnlyRootFilesystem is not true")
		p.unless(!ptr.Deref(s.AllowPrivilegeEscalation, true), "allowPrivilegeEscalation is not false")
		drop := ptr.Deref(s.Capabilities, core.Capabilities{})
		p.unless(slices.Equal(drop.Drop, []core.Capability{"ALL"}) && drop.Add == nil, "capabilities are %v, not all dropped", drop)
		profile := ptr.Deref(s.SeccompProfile, core.SeccompProfile{})
		p.unless(profile.Type == core.SeccompProfileTypeRuntimeDefault, "seccompProfile is %q, not RuntimeDefault", profile.Type)
	}
}

// What a pod may ask for: a function that nobody calls is to cost nothing, and one that starts must find room.
const mostCPU, mostMemory = "100m", "128Mi"

// resources: without a request an instance is put where there is no room, and is the first to go. A CPU limit slows
// the start, for which somebody waits. Go knows of no memory limit but its own.
func resources(pod pod, _ *Rendering, p *problems) {
	for _, c := range pod.spec.Containers {
		cpu, memory := c.Resources.Requests.Cpu(), c.Resources.Requests.Memory()
		p.unless(cpu.Sign() > 0 && cpu.Cmp(resource.MustParse(mostCPU)) <= 0, "it requests %v CPU, not up to %v", cpu, mostCPU)
		p.unless(memory.Sign() > 0 && memory.Cmp(resource.MustParse(mostMemory)) <= 0, "it requests %v of memory, not up to %v", memory, mostMemory)
		p.unless(c.Resources.Limits.Cpu().IsZero(), "it has a CPU limit, which slows its start")
		p.unless(c.Resources.Limits.Memory().Sign() > 0, "it has no memory limit")
		soft, err := resource.ParseQuantity(strings.TrimSuffix(literal(c.Env, "GOMEMLIMIT"), "B"))
		p.unless(err == nil && soft.Cmp(*c.Resources.Limits.Memory()) < 0, "it collects garbage for want of memory from %v on, not before it has what it may", soft.String())
	}
}

var digest = regexp.MustCompile(`^@sha256:[0-9a-f]{64}$`)

// images: an image is of ours, of the version that the settings name or, where deploy.sh has built it, its digest.
func images(pod pod, r *Rendering, p *problems) {
	repository, version := r.Settings["IMAGE_REPOSITORY"]+"/", ":"+r.Settings["VERSION"]
	for _, c := range pod.spec.Containers {
		image := repository + programOf(pod.name)
		rest, ours := strings.CutPrefix(c.Image, image)
		p.unless(ours && (rest == version || digest.MatchString(rest)), "its image is %q, not %s%s or its digest", c.Image, image, version)
	}
}

// trust: what preflight finds in order has to be so for the functions.
func trust(r *Rendering) []string {
	p := problems{about: "Job preflight"}
	preflight := one[*batch.Job](r, "preflight")
	if preflight == nil {
		return nil
	}
	own := literal(preflight.Spec.Template.Spec.Containers[0].Env, "SSL_CERT_DIR")
	for _, s := range all[*serving.Service](r) {
		theirs := literal(s.Spec.Template.Spec.Containers[0].Env, "SSL_CERT_DIR")
		p.unless(own == theirs, "it has the authorities of %q, and %s those of %q", own, s.Name, theirs)
	}
	return p.found
}

// once: deploy.sh reports what became of a Job. One that is tried again behind its back is reported too early.
func once(j *batch.Job, _ *Rendering, p *problems) {
	p.unless(ptr.Deref(j.Spec.BackoffLimit, 6) == 0, "backoffLimit is not 0")
	p.unless(j.Spec.Template.Spec.RestartPolicy == core.RestartPolicyNever, "restartPolicy is %q, not Never", j.Spec.Template.Spec.RestartPolicy)
}
