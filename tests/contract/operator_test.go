package contract_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// operator does what the cost-management-metrics-operator does when it registers its cluster, in an
// organization of 5,000 sources of which most have its name as a part of theirs. It takes the first row
// of what it is given, so that a list must hold what it looks for and nothing else.
func operator(t *testing.T, s site) {
	const org, name, cluster = "operator1", "prod-west", "0f2e3b5a-cluster"
	s.addMany(t, org, 4000, "prod-west-", "")
	s.addMany(t, "operator2", 10, "prod-west", "")
	if _, err := s.db.Exec(t.Context(), `
		INSERT INTO sources.source (org_id, name, source_type, state)
		SELECT $1, (ARRAY['my prod-west', 'PROD-WEST', 'prod-wes', 'prod_west'])[1 + n % 4], 'OCP', 'waiting' FROM generate_series(1, 1000) n`, org); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	get := func(want int, org, path string) []string {
		t.Helper()
		for _, spelt := range spellings(path) {
			got := s.want(t, 200, call{method: "GET", path: spelt, org: org})
			if count(got) != want || len(rows(got, "id")) != min(want, 10) {
				t.Errorf("GET %s counts %d with %d rows, want %d", spelt, count(got), len(rows(got, "id")), want)
			}
		}
		return rows(s.want(t, 200, call{method: "GET", path: path, org: org}), "id")
	}
	typeID := get(1, "", "/source_types?filter[name]=openshift")[0]
	byAll := fmt.Sprintf("/sources?filter[name]=%s&filter[source_ref]=%s&filter[source_type_id]=%s", name, cluster, typeID)
	byCluster := fmt.Sprintf("/sources?filter[source_ref]=%s&filter[source_type_id]=%s", cluster, typeID)
	byName := "/sources?filter[name]=" + name
	get(0, org, byAll)
	get(0, org, byCluster)
	get(0, org, byName)
	appType := get(1, org, "/application_types?filter[name]=/insights/platform/cost-management")[0]
	get(1, "", "/application_types?filter[name][eq]=/insights/platform/cost-management")

	made := s.want(t, 201, call{method: "POST", path: "/sources", org: org,
		body: fmt.Sprintf(`{"name": %q, "source_ref": %q, "source_type_id": %q}`, name, cluster, typeID)})
	app := s.want(t, 201, call{method: "POST", path: "/applications", org: org,
		body: fmt.Sprintf(`{"source_id": %q, "application_type_id": %q, "extra": {"cluster_id": %q}}`, made.ID(), appType, cluster)})
	for _, path := range []string{byAll, byCluster, byName} {
		if got := get(1, org, path); !slices.Equal(got, []string{made.ID()}) {
			t.Errorf("GET %s = source %v, want %s", path, got, made.ID())
		}
	}
	if got := get(1, org, "/applications?source_id="+made.ID()); !slices.Equal(got, []string{app.ID()}) {
		t.Errorf("the source has the applications %v, want %s", got, app.ID())
	}
	if got := count(s.want(t, 200, call{method: "GET", path: "/sources?name=" + name, org: org})); got != 4000+500+1 { // of the thousand, half contain it in some case
		t.Errorf("GET /sources?name=%s counts %d, want %d", name, got, 4501)
	}
	t.Logf("the sequence took %v", time.Since(began))
}
