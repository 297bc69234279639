package sourcesapi_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/functions/sources/sourcesapi"
	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/shared/sources"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// A provisioner does step by step what the event functions do at once.
type provisioner struct {
	*testing.T
	db *store.Store
	id int64
}

func (p provisioner) source() sources.Source {
	p.Helper()
	src, err := p.db.Registered(p.Context(), p.id)
	if err != nil {
		p.Fatal(err)
	}
	return src
}

// locked runs a step with the source locked.
func (p provisioner) locked(step func(tx *store.Store, src sources.Source) error) {
	p.Helper()
	err := p.db.InTx(p.Context(), func(tx *store.Store) error {
		src, err := tx.LockRegistered(p.Context(), "org1", sources.Ref{ID: p.id})
		if err != nil {
			return err
		}
		return step(tx, src)
	})
	if err != nil {
		p.Fatal(err)
	}
}

func (p provisioner) fail(reason string) {
	p.Helper()
	if err := p.db.FailProvider(p.Context(), p.source(), reason); err != nil {
		p.Fatal(err)
	}
}

func (p provisioner) provide() {
	p.Helper()
	if err := p.db.EnsureTenant(p.Context(), p.source(), migrations.NewTenant); err != nil {
		p.Fatal(err)
	}
	p.locked(func(tx *store.Store, src sources.Source) error { return tx.PutProvider(p.Context(), src) })
}

func (p provisioner) detach() {
	p.Helper()
	p.locked(func(tx *store.Store, src sources.Source) error {
		_, err := tx.DetachProvider(p.Context(), &src)
		return err
	})
}

func (p provisioner) finish() {
	p.Helper()
	if err := p.db.RemoveReferences(p.Context(), p.source()); err != nil {
		p.Fatal(err)
	}
	p.locked(func(tx *store.Store, src sources.Source) error { return tx.FinishRemoval(p.Context(), src) })
}

func (p provisioner) cleanROS() {
	p.Helper()
	p.locked(func(tx *store.Store, src sources.Source) error { return tx.ROSCleaned(p.Context(), src) })
}

// serveBoth serves the API, and opens the store of the provisioner of the same database.
func serveBoth(t *testing.T) (apitest.Client, *store.Store) {
	t.Helper()
	address := storetest.Database(t)
	api := sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity}, storetest.Store(t, "sources", address), func(sources.Source) {})
	return apitest.Serve(t, api, "org1"), storetest.Store(t, "provisioner", address)
}

// stages are the history in an answer, in words.
func stages(t *testing.T, a apitest.Answer) []string {
	t.Helper()
	provisioning, _ := a.Body["provisioning"].(map[string]any)
	history, _ := provisioning["history"].([]any)
	var words []string
	for i, entry := range history {
		stage, _ := entry.(map[string]any)
		words = append(words, fmt.Sprintf("%v %v %v", stage["state"], stage["reason"], stage["attempts"]))
		if i == 0 && stage["updated_timestamp"] != provisioning["updated_timestamp"] {
			t.Errorf("the newest of %s is of another time than the state", a.Text)
		}
	}
	return words
}

func TestIncludeHistory(t *testing.T) {
	t.Parallel()

	c, db := serveBoth(t)
	c.Want(t, 201, "POST", "/sources", `{"name": "a", "source_type_id": "1"}`)
	p := provisioner{t, db, 1}
	c.Want(t, 200, "PATCH", "/sources/1", `{"source_ref": "c"}`)
	p.fail("in the way")
	p.fail("in the way")
	c.Want(t, 200, "PATCH", "/sources/1", `{}`)
	p.provide()
	want := []string{"ready  1", "pending  0", "failed in the way 2", "pending  0", "waiting  0"}
	for _, path := range []string{"/sources/1?include=history", "/sources/1/?include=deleted,history", "/sources/1?include=history&include=deleted"} {
		if diff := cmp.Diff(want, stages(t, c.Want(t, 200, "GET", path, ""))); diff != "" {
			t.Errorf("GET %s (-want +got):\n%s", path, diff)
		}
	}
	for _, plain := range []apitest.Answer{
		c.Want(t, 200, "GET", "/sources/1", ""), c.Want(t, 200, "GET", "/sources/1?include=deleted", ""),
		c.Want(t, 200, "PATCH", "/sources/1?include=history", `{}`),
	} {
		if got := stages(t, plain); got != nil {
			t.Errorf("the history %v is told to somebody who has not asked for it", got)
		}
	}
}

func TestIncludeRefuses(t *testing.T) {
	t.Parallel()

	c, _ := serve(t)
	c.Want(t, 201, "POST", "/sources?include=x", `{"name": "a", "source_type_id": "1"}`)
	for _, value := range []string{"", "x", "history,", "History", "history&include=deleted,x"} {
		if got := c.Do(t, "GET", "/sources/1?include="+value, "").Problem(); !strings.HasPrefix(got, "400 include: ") {
			t.Errorf("GET /sources/1?include=%s = %s, want 400 that blames include", value, got)
		}
		c.Want(t, 400, "HEAD", "/sources/1?include="+value, "")
	}
	for _, elsewhere := range []string{"/sources?include=x", "/sources?include=deleted", "/sources/1/stats?include=x", "/source_types?include=x"} {
		c.Want(t, 200, "GET", elsewhere, "")
	}
	c.Want(t, 200, "PATCH", "/sources/1?include=x", `{}`)
	c.Want(t, 204, "DELETE", "/sources/1?include=x", "")
}

// removal is what an answer tells of a deletion, without its times.
func removal(a apitest.Answer) string {
	r, ok := a.Body["removal"].(map[string]any)
	if !ok {
		return fmt.Sprintf("none: %s", a.Text)
	}
	since := []bool{r["provider_timestamp"] != nil, r["ros_data_timestamp"] != nil}
	return fmt.Sprintf("provider %v, ROS data %v, since %v, done %v; linked %v, active %v, %v", r["provider"], r["ros_data"], since,
		r["done"], a.Body["provider_linked"], a.Body["active"], a.Body["availability_status"])
}

// TestIncludeDeleted follows a removal to its end.
func TestIncludeDeleted(t *testing.T) {
	t.Parallel()

	c, db := serveBoth(t)
	uuid := c.Want(t, 201, "POST", "/sources", `{"name": "a", "source_type_id": "1", "source_ref": "c"}`).Body["uuid"].(string)
	const path = "/sources/1?include=deleted,history"
	p := provisioner{t, db, 1}
	p.provide()
	living := c.Want(t, 200, "GET", path, "")
	if removal, there := living.Body["removal"]; removal != nil || !there || living.Body["deleted_timestamp"] != nil {
		t.Errorf("a living source is %s, want both members null", living.Text)
	}
	c.Want(t, 204, "DELETE", "/sources/1", "")
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "provider due, ROS data due, since [false false], done false; linked true, active false, unavailable"},
		{p.detach, "provider detached, ROS data due, since [true false], done false; linked true, active false, unavailable"},
		{p.cleanROS, "provider detached, ROS data removed, since [true true], done false; linked true, active false, unavailable"},
		{p.finish, "provider removed, ROS data removed, since [true true], done true; linked false, active false, unavailable"},
	} {
		step.do()
		got := c.Want(t, 200, "GET", path, "")
		if removal(got) != step.want || got.Body["deleted_timestamp"] == nil || got.Body["source_ref"] != "c" {
			t.Errorf("the deleted source is %s\nthat is %s\n   want %s", got.Text, removal(got), step.want)
		}
		if diff := cmp.Diff([]string{"waiting  0", "ready  1", "pending  0"}, stages(t, got)); diff != "" {
			t.Errorf("the history of the deleted source (-want +got):\n%s", diff)
		}
	}
	byUUID := c.Want(t, 200, "GET", "/sources/"+uuid+"?include=deleted", "")
	if a, b := slices.Sorted(maps.Keys(living.Body)), slices.Sorted(maps.Keys(byUUID.Body)); !slices.Equal(a, b) {
		t.Errorf("a deleted source shows %v, a living one %v", b, a)
	}
	c.Want(t, 200, "HEAD", path, "")
}

// TestDeletedStaysGone: for whoever does not ask for it, for every other request, and for everybody else.
func TestDeletedStaysGone(t *testing.T) {
	t.Parallel()

	db, sql := storetest.Open(t, "sources")
	c := apitest.Serve(t, sourcesapi.New(sourcesapi.Config{Identity: apitest.Identity}, db, func(sources.Source) {}), "org1")
	c.Want(t, 201, "POST", "/sources", `{"name": "a", "source_type_id": "1", "source_ref": "c"}`)
	c.Want(t, 204, "DELETE", "/sources/1", "")
	for _, request := range [][2]string{
		{"GET", "/sources/1"}, {"GET", "/sources/1?include=history"}, {"HEAD", "/sources/1?include=history"}, {"GET", "/sources/1/stats?include=deleted"},
		{"PATCH", "/sources/1?include=deleted"}, {"DELETE", "/sources/1?include=deleted"}, {"GET", "/sources/2?include=deleted"},
	} {
		body := ""
		if request[0] == "PATCH" {
			body = "{}"
		}
		c.Want(t, 404, request[0], request[1], body)
	}
	if got := c.Want(t, 200, "GET", "/sources?include=deleted", "").Body["meta"].(map[string]any)["count"]; got != 0.0 {
		t.Errorf("the list counts %v sources, want none", got)
	}
	apitest.Client{URL: c.URL, Org: "org2"}.Want(t, 404, "GET", "/sources/1?include=deleted,history", "")
	c.Want(t, 200, "GET", "/sources/1?include=deleted", "")

	if _, err := sql.Exec(t.Context(), `DELETE FROM sources.source`); err != nil { // as the relay does after 90 days
		t.Fatal(err)
	}
	c.Want(t, 404, "GET", "/sources/1?include=deleted", "")
}
