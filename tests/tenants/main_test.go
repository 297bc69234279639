// Package tenants measures what the number of organizations costs: one database is grown through the functions
// themselves, and at each size everything that should not grow with it is measured, beside a small database on the same
// server in the same minutes. TENANTS names the sizes, ROUNDS how often each thing is measured.
package tenants_test

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// TestTenants prints the table. Without variables it is small, and only holds that everything can be measured.
func TestTenants(t *testing.T) {
	sizes, rounds := settings(t)
	// On a disk, and synced, as PostgreSQL is installed.
	server, err := storetest.Start(t.Context(), storetest.ServerConfig{DataDir: storetest.Folder(t), Parameters: map[string]string{"shared_buffers": "512MB"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	small, grown := newWorld(t, server, "small"), newWorld(t, server, "grown")
	small.grow(sizes[0])
	var results []result
	for _, size := range sizes {
		grown.grow(size)
		r := result{size: size}
		r.measure(small, grown, rounds)
		r.migrate(grown, min(size, 10*rounds))
		r.catalogue(grown)
		r.memory(grown, rounds)
		results = append(results, r)
	}
	fmt.Println(table(results))
	if len(results[0].figures) == 0 {
		t.Error("nothing was measured")
	}
}

// settings reads TENANTS and ROUNDS.
func settings(t *testing.T) (sizes []int, rounds int) {
	t.Helper()
	for _, text := range strings.Fields(cmp.Or(os.Getenv("TENANTS"), "3 6")) {
		sizes = append(sizes, number(t, "TENANTS", text))
	}
	return sizes, number(t, "ROUNDS", cmp.Or(os.Getenv("ROUNDS"), "2"))
}

func number(t *testing.T, variable, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: %q is no number above 0", variable, text)
	}
	return n
}

// progress tells a person how far we are.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
