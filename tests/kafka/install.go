package kafka

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

//go:embed pom.xml
var pom []byte

// installTimeout covers a download of some 45 MB.
const installTimeout = 10 * time.Minute

// Fetch fetches Apache Kafka, unless it is there, for tests that are to do without
// the network.
func Fetch() error {
	_, err := install()
	return err
}

// install returns the folder with the jars that the pom names, for all projects
// of this user the same one, and fetches them when it is not there.
func install() (string, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("looking for the Java 17 that Apache Kafka runs on: %w", err)
	}
	cache := filepath.Join(cacheDir(), "cost-sources")
	jars := filepath.Join(cache, fmt.Sprintf("kafka-%x", sha256.Sum256(pom))[:18])
	if _, err := os.Stat(jars); err == nil {
		return jars, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(jars + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(jars); err == nil {
		return jars, nil // another test binary was quicker
	}
	return jars, fetch(cache, jars)
}

func cacheDir() string {
	if dir, err := os.UserCacheDir(); err == nil {
		return dir
	}
	return os.TempDir() // a user without a home
}

// fetch fills a folder beside jars and then names it so: jars is whole or not there.
func fetch(cache, jars string) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("looking for the Maven that fetches Apache Kafka: %w", err)
	}
	partial, err := os.MkdirTemp(cache, "partial-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(partial)
	file := filepath.Join(partial, "pom.xml")
	if err := os.WriteFile(file, pom, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", file,
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(partial, "jars"))
	if out, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", mvn, err, out)
	}
	return os.Rename(filepath.Join(partial, "jars"), jars)
}

// lock waits for the file at path to be this process's alone. A lock that is
// the kernel's goes with its process, so none is ever left behind.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}
