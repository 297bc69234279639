package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

func TestConfig(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		cfg   store.Config
		valid bool
	}{
		"URL":            {store.Config{DatabaseURL: "postgres://x", MaxConns: 1}, true},
		"no URL":         {store.Config{DatabaseURL: "postgres://[", MaxConns: 1}, false},
		"no file":        {store.Config{DatabaseURLFile: "/does/not/exist", MaxConns: 1}, false},
		"neither":        {store.Config{MaxConns: 1}, false},
		"both":           {store.Config{DatabaseURL: "postgres://x", DatabaseURLFile: "f", MaxConns: 1}, false},
		"no connections": {store.Config{DatabaseURL: "postgres://x"}, false},
	} {
		if err := tt.cfg.Validate(); (err == nil) != tt.valid {
			t.Errorf("%s: Validate() = %v", name, err)
		}
	}
}

// TestURLFile: a new connection uses what the file says by then.
func TestURLFile(t *testing.T) {
	t.Parallel()

	file := filepath.Join(t.TempDir(), "url")
	write := func(url string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(url+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("postgres://nobody@127.0.0.1:1/none")
	db, closeDB, err := store.Open(store.Config{DatabaseURLFile: file, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB()
	if _, err := db.Registered(t.Context(), 1); sources.KindOf(err) != sources.Unavailable {
		t.Errorf("without a server: %v, want Unavailable", err)
	}
	write(storetest.Database(t))
	if _, err := db.Registered(t.Context(), 1); sources.KindOf(err) != sources.NotFound {
		t.Errorf("with the file changed: %v, want NotFound", err)
	}
}
