package sources_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

func TestChecks(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name string
		err  error
		want string // error text; empty for none
	}{
		{"name", sources.CheckName("prod"), ""},
		{"longest name", sources.CheckName(strings.Repeat("é", 256)), ""},
		{"blank name", sources.CheckName(""), "This field may not be blank."},
		{"too long a name", sources.CheckName(strings.Repeat("é", 257)), "Ensure this field has no more than 256 characters."},
		{"type id", sources.CheckTypeID("1"), ""},
		{"other spelling of the type id", sources.CheckTypeID("3"), ""},
		{"unknown type id", sources.CheckTypeID("2"), "Invalid source_type_id: 2"},
		{"type", sources.CheckType("oCp"), ""},
		{"cloud type", sources.CheckType("Azure"), "source_type 'Azure' is not supported on-premise; only OCP is allowed."},
		{"organization", sources.CheckOrg("a_1"), ""},
		{"organization in capitals", sources.CheckOrg("A"), "The organization id 'A' cannot be used: 1 to 36 characters of a-z, 0-9 and _ are needed."},
		{"organization with a line end", sources.CheckOrg("a\n"), "The organization id 'a\n' cannot be used: 1 to 36 characters of a-z, 0-9 and _ are needed."},
		{"too long an organization", sources.CheckOrg(strings.Repeat("a", 37)), "The organization id '" + strings.Repeat("a", 37) + "' cannot be used: 1 to 36 characters of a-z, 0-9 and _ are needed."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if tt.err != nil {
				got = tt.err.Error()
			}
			if got != tt.want || tt.err != nil && sources.KindOf(tt.err) != sources.Invalid {
				t.Errorf("got %q of kind %v, want %q, Invalid", got, sources.KindOf(tt.err), tt.want)
			}
		})
	}
}

func TestParseRef(t *testing.T) {
	t.Parallel()

	const uuid = "7595e2cf-9ba8-4a55-8677-ccccd7b76f9b"
	for text, want := range map[string]sources.Ref{
		"12":                                   {ID: 12},
		"2147483647":                           {ID: 2147483647},
		uuid:                                   {UUID: uuid},
		strings.ToUpper(uuid):                  {UUID: uuid},
		strings.ReplaceAll(uuid, "-", ""):      {UUID: uuid},
		"2147483648":                           {},
		"-1":                                   {},
		"+1":                                   {},
		"1.0":                                  {},
		"":                                     {},
		"x":                                    {},
		"{" + uuid + "}":                       {},
		"urn:uuid:" + uuid:                     {},
		uuid + "0":                             {},
		"7595e2cf9-ba8-4a55-8677-ccccd7b76f9b": {},
		"1\x00":                                {},
	} {
		if got, ok := sources.ParseRef(text); got != want || ok != (want != sources.Ref{}) {
			t.Errorf("ParseRef(%q) = %v, %v, want %v", text, got, ok, want)
		}
	}
}

func TestLife(t *testing.T) {
	t.Parallel()

	now := time.Now()
	src := sources.Source{OrgID: "org1", Progress: sources.Progress{ROSCleanedAt: &now, ROSRecheckedAt: &now}}
	if src.WantsProvider() || src.ROSDue() {
		t.Error("a new source without a cluster has work to be done")
	}
	if first := src.SetCluster(`a"b`); !first || !src.Attach() || !src.WantsProvider() || src.ROSCleanedAt != nil {
		t.Errorf("with its first cluster and application it is %+v", src)
	}
	if got := string(src.Credentials["cluster_id"]); got != `"a\"b"` {
		t.Errorf("credentials hold %s", got)
	}
	if first := src.SetCluster("c"); first || src.Attach() {
		t.Error("the second cluster is a first one, or the second application is made")
	}
	src.Detach(now)
	if src.WantsProvider() || !src.ROSDue() || src.Application == nil {
		t.Errorf("without its application it is %+v, want its ROS data due, and the application to be read", src)
	}
	if !src.Attach() || !src.WantsProvider() || src.ROSDue() {
		t.Errorf("with an application again it is %+v", src)
	}
	src.MarkDeleted(now)
	if src.WantsProvider() || !src.ROSDue() || src.HasApplication() {
		t.Errorf("deleted it is %+v", src)
	}
}

func TestAvailability(t *testing.T) {
	t.Parallel()

	for state, want := range map[sources.State][2]string{
		sources.Waiting: {"in_progress", "paused"},
		sources.Pending: {"in_progress", "paused"},
		sources.Ready:   {"available", "paused"},
		sources.Failed:  {"unavailable", "unavailable"},
	} {
		for i, paused := range []bool{false, true} {
			src := sources.Source{Paused: paused, Progress: sources.Progress{State: state}}
			if got := src.Availability(); got != want[i] {
				t.Errorf("%s, paused %v: %s, want %s", state, paused, got, want[i])
			}
			src.DeletedAt = &time.Time{}
			if got := src.Availability(); got != "unavailable" {
				t.Errorf("%s, paused %v and deleted: %s, want unavailable", state, paused, got)
			}
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()

	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	a := sources.Application{Extra: sources.Object{"a": raw(`{"x":1}`), "b": raw("1")}}
	if err := a.Merge(sources.Object{"a": raw(`{"y":2}`), "cluster_id": raw(`"forged"`)}, "c"); err != nil {
		t.Fatal(err)
	}
	want := sources.Object{"a": raw(`{"y":2}`), "b": raw("1"), "cluster_id": raw(`"c"`)}
	if diff := cmp.Diff(want, a.ShownExtra("c")); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	err := a.Merge(sources.Object{"c": raw(`"` + strings.Repeat("x", sources.MaxExtra) + `"`)}, "c")
	if sources.KindOf(err) != sources.Invalid {
		t.Errorf("Merge() of more than fits = %v, want Invalid", err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()

	cause := errors.New("inside")
	err := fmt.Errorf("outer: %w", &sources.Error{Kind: sources.Unavailable, Msg: "away", Err: cause})
	if sources.KindOf(err) != sources.Unavailable || !errors.Is(err, cause) || sources.KindOf(cause) != sources.Internal {
		t.Errorf("KindOf(%v) = %v", err, sources.KindOf(err))
	}
}

func TestTime(t *testing.T) {
	t.Parallel()

	at := time.Date(2026, 11, 23, 7, 43, 7, 500_000_000, time.FixedZone("", 3600))
	for at, want := range map[time.Time]string{at: `"2026-11-23T06:43:07.500000Z"`, at.Truncate(time.Second): `"2026-11-23T06:43:07.000000Z"`} {
		if got, err := json.Marshal(sources.Time{Time: at}); err != nil || string(got) != want {
			t.Errorf("%v is written as %s, %v, want %s", at, got, err, want)
		}
	}
	if sources.TimeOf(nil) != nil {
		t.Error("TimeOf(nil) is a time")
	}
}
