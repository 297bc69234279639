package manifests_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A site is a cluster that does what kubectl and kn are asked to do, as far as deploy.sh can see: the files in state say
// what it is like.
type site struct{ folder, state string }

func newSite(t *testing.T) site {
	t.Helper()
	s := site{folder: t.TempDir()}
	s.state = filepath.Join(s.folder, "state")
	if err := os.MkdirAll(filepath.Join(s.state, "traffic"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"kubectl": fakeKubectl, "kn": fakeKn, "kustomize": fakeKustomize} {
		s.write(t, filepath.Join("..", name), "#!/usr/bin/env bash\n"+text)
	}
	return s
}

func (s site) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.state, name), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// run runs deploy.sh for a version, and returns what it says.
func (s site) run(t *testing.T, version string, args ...string) (string, error) {
	t.Helper()
	settings := filepath.Join(s.folder, "site.env")
	if err := os.WriteFile(settings, []byte("TOPICS=strimzi\nVERSION="+version+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := exec.CommandContext(t.Context(), filepath.Join(knative, "deploy.sh"), append([]string{"-s", settings}, args...)...)
	script.Env = append(os.Environ(), "STATE="+s.state, "VERSION="+version)
	for _, tool := range []string{"kubectl", "kn", "kustomize", "ko"} {
		script.Env = append(script.Env, strings.ToUpper(tool)+"="+filepath.Join(s.folder, tool))
	}
	said, err := script.CombinedOutput()
	return string(said), err
}

// serves checks who has the traffic: versions, in the functions' alphabetical order.
func (s site) serves(t *testing.T, want string) {
	t.Helper()
	var got []string
	for _, name := range []string{"applications", "provisioner", "relay", "ros-cleanup", "sources"} {
		revision, err := os.ReadFile(filepath.Join(s.state, "traffic", name))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.TrimPrefix(string(revision), name+"-"))
	}
	if strings.Join(got, " ") != want {
		t.Errorf("the traffic has %q, want %q", strings.Join(got, " "), want)
	}
}

// fakeKubectl is asked for revisions, for what rollback reads, and how a Job is; of all else it says that it is so. Where
// nobody is broken, revisions can be asked for no more once the functions are ready.
const fakeKubectl = `
words=(); while (($#)); do case $1 in -n) shift ;; *) words+=("$1") ;; esac; shift; done
set -- "${words[@]}"; all=$*
case "$1 $2" in
  'get crd') [[ $3 != kafkatopics.* ]] || echo v1beta2 v1 ;;
  'get ksvc') [[ ! -e $STATE/waited || $(cat "$STATE/broken" 2>/dev/null) != nobody ]] || exit 1; [[ $all != *message* ]] || cat "$STATE/reasons"; cat "$STATE/traffic/$3" 2>/dev/null ;;
  'get configmap') key=${all##*.data.}; cat "$STATE/previous/${key%\}}" 2>/dev/null ;;
  'create configmap') for word in "$@"; do [[ $word != --from-literal=* ]] || echo "${word#*=}"; done ;;
  'apply -f')
    if [[ $3 == - ]]; then
      rm -rf "$STATE/previous"; mkdir "$STATE/previous"
      while IFS== read -r name value; do printf %s "$value" >"$STATE/previous/$name"; done
    else
      cat "$3" >>"$STATE/applied"
    fi ;;
  'apply --dry-run=server') echo 'name: K_SINK' ;;
  'get job')
    [[ ! -e $STATE/away ]] || { echo 'The connection to the server was refused' >&2; exit 1; }
    case $all in
      *ready*) cat "$STATE/ready" 2>/dev/null ;;
      *) [[ -e $STATE/ready || -e $STATE/failed ]] || printf 1; [[ $all != */* ]] || printf /; cat "$STATE/failed" 2>/dev/null ;;
    esac ;;
  'wait '*)
    [[ $all != *ksvc* ]] || touch "$STATE/waited"
    [[ $all != *ksvc* || $all == *RoutesReady* || ! -s $STATE/broken || $(cat "$STATE/broken") == nobody ]] || exit 1
    [[ $all != *job/* || ! -e $STATE/ready ]] || exit 1 ;;
  'logs '*) # at work for three waits
    if [[ $all == *--tail* ]]; then echo x >>"$STATE/asked"; [[ $(wc -l <"$STATE/asked") -lt 3 ]] || rm "$STATE/ready"; fi ;;
esac
exit 0
`

// fakeKn has a function's new revision take over at once, unless it is the broken one: then the function is not ready from
// there on, whoever has its traffic.
const fakeKn = `
case $2 in
  apply) [[ $3 == "$(cat "$STATE/broken" 2>/dev/null)" ]] || printf %s "$3-$VERSION" >"$STATE/traffic/$3" ;;
  update)
    for word in "$@"; do [[ $word != *=100 ]] || printf %s "${word%=100}" >"$STATE/traffic/$3"; done
    [[ $* == *--no-wait* || $3 != "$(cat "$STATE/broken" 2>/dev/null)" ]] || exit 1 ;;
esac
`

// fakeKustomize writes what deploy.sh looks for by name.
const fakeKustomize = `
[[ $2 == -o ]] || exit 1
for name in sources applications provisioner ros-cleanup relay; do echo "$name" >"$3/serving.knative.dev_v1_service_$name.yaml"; done
for name in preflight migrate topics dead-letters after-restore; do echo "$name" >"$3/batch_v1_job_$name.yaml"; done
grep -h KafkaTopic "$1/kustomization.yaml" >"$3/kafka_kafkatopic_topic.yaml"
`

// TestRollback: the last deployment is undone, also one that got halfway and was mended by another.
func TestRollback(t *testing.T) {
	t.Parallel()

	v1, v2, v3, half := all("v1"), all("v2"), all("v3"), "v3 v2 v3 v3 v3"
	type step struct{ version, command, broken, serves string }
	for name, steps := range map[string][]step{
		"a deployment":                    {{"v3", "deploy", "", v3}, {"v3", "rollback", "", v2}},
		"twice the same":                  {{"v2", "deploy", "", v2}, {"v2", "rollback", "", v1}},
		"once, and the same":              {{"v2", "deploy", "", v2}, {"v2", "deploy", "", v2}, {"v3", "deploy", "", v3}, {"v3", "rollback", "", v2}},
		"one that got halfway":            {{"v3", "deploy", "provisioner", half}, {"v3", "rollback", "", v2}},
		"one that got halfway, mended":    {{"v3", "deploy", "provisioner", half}, {"v3", "deploy", "", v3}, {"v3", "rollback", "", v2}},
		"one after it was rolled back":    {{"v3", "deploy", "provisioner", half}, {"v3", "rollback", "", v2}, {"v4", "deploy", "", all("v4")}, {"v4", "rollback", "", v2}},
		"the same, which got nowhere":     {{"v2", "deploy", "provisioner", v2}, {"v2", "deploy", "", v2}, {"v2", "rollback", "", v1}},
		"the same, asked in vain":         {{"v2", "deploy", "nobody", v2}, {"v2", "deploy", "", v2}, {"v2", "rollback", "", v1}},
		"one after another, both in full": {{"v3", "deploy", "", v3}, {"v4", "deploy", "", all("v4")}, {"v4", "rollback", "", v3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			s := newSite(t)
			if said, err := s.run(t, "v1", "rollback"); err == nil || !strings.Contains(said, "there is nothing to go back to") {
				t.Errorf("where nothing is, rollback says %q", said)
			}
			for _, version := range []string{"v1", "v2"} {
				if said, err := s.run(t, version); err != nil {
					t.Fatalf("%v\n%s", err, said)
				}
			}
			for _, step := range steps {
				_ = os.Remove(filepath.Join(s.state, "waited"))
				if step.broken != "" {
					s.write(t, "broken", step.broken)
				} else if step.command != "rollback" {
					_ = os.Remove(filepath.Join(s.state, "broken")) // which giving the traffic back does not mend
				}
				said, err := s.run(t, step.version, step.command)
				if (err != nil) != (step.broken != "") {
					t.Fatalf("%v: %v\n%s", step, err, said)
				}
				s.serves(t, step.serves)
			}
		})
	}
}

// all is one version five times.
func all(version string) string { return strings.TrimSpace(strings.Repeat(version+" ", 5)) }

// TestJobAtWork: a Job that takes longer than one waits for anything else has not failed.
func TestJobAtWork(t *testing.T) {
	t.Parallel()

	s := newSite(t)
	s.write(t, "ready", "1")
	if said, err := s.run(t, "v1", "migrate"); err != nil || !strings.Contains(said, "migrate is still at work") {
		t.Errorf("a migration that takes its time: %v\n%s", err, said)
	}
	s.write(t, "failed", "1")
	if said, err := s.run(t, "v1", "migrate"); err == nil || !strings.Contains(said, "migrate failed") {
		t.Errorf("a migration that fails: %v\n%s", err, said)
	}
	_ = os.Remove(filepath.Join(s.state, "failed"))
	s.write(t, "ready", "0")
	if said, err := s.run(t, "v1", "migrate"); err == nil || !strings.Contains(said, "migrate has not begun") {
		t.Errorf("a Job that gets no pod: %v\n%s", err, said)
	}
	s.write(t, "away", "")
	if said, err := s.run(t, "v1", "migrate"); err == nil || strings.Contains(said, "has not begun") || !strings.Contains(said, "goes on without us") {
		t.Errorf("a Job of which nobody tells anything: %v\n%s", err, said)
	}
}

// TestStrimziVersion: which version of KafkaTopics there is, the cluster says.
func TestStrimziVersion(t *testing.T) {
	t.Parallel()

	s := newSite(t)
	if said, err := s.run(t, "v1"); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	applied, err := os.ReadFile(filepath.Join(s.state, "applied"))
	if err != nil || !strings.Contains(string(applied), `"kafka.strimzi.io/v1"`) {
		t.Errorf("applied: %s %v", applied, err)
	}
}

// fakeKo builds nothing, and says of everything that it has.
const fakeKo = `
while (($#)); do
  case $1 in --image-refs) out=$2; shift ;; ./*) built+=("images.example.org/${1##*/}@sha256:0") ;; esac
  shift
done
printf '%s\n' "${built[@]}" >"$out"
`

// TestImages: a function that is wanted later is built with the others, as its version is that of all.
func TestImages(t *testing.T) {
	t.Parallel()

	s := newSite(t)
	s.write(t, filepath.Join("..", "ko"), "#!/usr/bin/env bash\n"+fakeKo)
	if said, err := s.run(t, "v1", "images"); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	built, err := os.ReadFile(filepath.Join(s.folder, "images-v1.txt"))
	if err != nil || strings.Count(string(built), "/interop@") != 1 || strings.Count(string(built), "\n") != 10 {
		t.Errorf("built %s, %v", built, err)
	}
}

// TestNoVersion: without a tag an image is the newest, as with latest.
func TestNoVersion(t *testing.T) {
	t.Parallel()

	s := newSite(t)
	for _, version := range []string{"", "latest"} {
		if said, err := s.run(t, version, "render"); err == nil || !strings.Contains(said, "VERSION has to name one version") {
			t.Errorf("VERSION=%s: %v\n%s", version, err, said)
		}
	}
}

// TestNotReady: it is told why, as the table that kubectl prints has a word for it only.
func TestNotReady(t *testing.T) {
	t.Parallel()

	s := newSite(t)
	s.write(t, "broken", "sources")
	s.write(t, "reasons", "sources\n  Ready: CREATE_WAIT: no duration")
	if said, err := s.run(t, "v1"); err == nil || !strings.Contains(said, "CREATE_WAIT: no duration") {
		t.Errorf("a function that does not start: %v\n%s", err, said)
	}
}
