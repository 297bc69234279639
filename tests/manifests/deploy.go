package manifests

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Settings are the lines of a settings.env.
type Settings map[string]string

// ReadSettings reads a file of settings.
func ReadSettings(file string) (Settings, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := Settings{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if _, twice := s[name]; !ok || twice {
			return nil, fmt.Errorf("%s: %q is no setting, or one for the second time", file, line)
		}
		s[name] = value
	}
	return s, nil
}

// With is s with some settings changed, which have to be there: a name that nobody reads changes nothing.
func (s Settings) With(changes Settings) (Settings, error) {
	changed := maps.Clone(s)
	for name, value := range changes {
		if _, ok := s[name]; !ok {
			return nil, fmt.Errorf("there is no setting %s", name)
		}
		changed[name] = value
	}
	return changed, nil
}

func (s Settings) text() string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&text, "%s=%s\n", name, s[name])
	}
	return text.String()
}

// keep stands in for kustomize in deploy.sh, which calls it with a folder, -o and another folder: it keeps what deploy.sh
// has put together. So there is one such composition, and no machine needs kubectl for the tests.
const keep = `#!/bin/sh
set -e
[ "$#" = 3 ] && [ "$2" = -o ]
cp -R "$(dirname "$1")/." "$3"
basename "$1" >"$3/.site"
`

// Render is what `deploy.sh render` makes of settings, object by object, as YAML: in this form they are applied. It
// leaves files in the folder work, which has to be empty.
func Render(ctx context.Context, knative, work string, settings Settings) ([][]byte, error) {
	script, env, site := filepath.Join(work, "keep.sh"), filepath.Join(work, "settings.env"), filepath.Join(work, "site")
	err := errors.Join(os.WriteFile(script, []byte(keep), 0o700), os.WriteFile(env, []byte(settings.text()), 0o600))
	if err != nil {
		return nil, err
	}
	deploy := exec.CommandContext(ctx, filepath.Join(knative, "deploy.sh"), "-s", env, "render", site)
	deploy.Env = append(os.Environ(), "KUSTOMIZE="+script)
	if output, err := deploy.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", deploy, err, output)
	}
	name, err := os.ReadFile(filepath.Join(site, ".site"))
	if err != nil {
		return nil, fmt.Errorf("deploy.sh has not called KUSTOMIZE: %w", err)
	}
	return Build(filepath.Join(site, strings.TrimSpace(string(name))))
}

// building lets one kustomize run at a time: it keeps the schema that it works with in a variable of its package.
var building sync.Mutex

// Build runs kustomize, with its defaults, on a folder.
func Build(folder string) ([][]byte, error) {
	building.Lock()
	defer building.Unlock()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, err
	}
	var objects [][]byte
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		objects = append(objects, text)
	}
	return objects, nil
}
