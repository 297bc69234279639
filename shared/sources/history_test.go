package sources_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

func TestRemoval(t *testing.T) {
	t.Parallel()

	at := time.Now()
	since := &sources.Time{Time: at}
	tests := []struct {
		name string
		edit func(*sources.Source)
		want *sources.Removal
	}{
		{"living", func(s *sources.Source) { s.DeletedAt = nil }, nil},
		{"just deleted", func(*sources.Source) {}, &sources.Removal{Provider: "due", ROSData: "due"}},
		{"provider detached", func(s *sources.Source) { s.ProviderDetachedAt = &at },
			&sources.Removal{Provider: "detached", ProviderAt: since, ROSData: "due"}},
		{"ROS data removed first", func(s *sources.Source) { s.ROSCleanedAt = &at },
			&sources.Removal{Provider: "due", ROSData: "removed", ROSDataAt: since}},
		{"its provider went with its application", func(s *sources.Source) { s.ProviderRemovedAt, s.ROSCleanedAt = &at, &at },
			&sources.Removal{Provider: "removed", ProviderAt: since, ROSData: "removed", ROSDataAt: since}},
		{"all removed", func(s *sources.Source) { s.ProviderRemovedAt, s.ROSCleanedAt, s.ObservedGeneration = &at, &at, 2 },
			&sources.Removal{Provider: "removed", ProviderAt: since, ROSData: "removed", ROSDataAt: since, Done: true}},
		{"ROS data due once more", func(s *sources.Source) { s.ProviderRemovedAt, s.ROSRecheckedAt, s.ObservedGeneration = &at, &at, 2 },
			&sources.Removal{Provider: "removed", ProviderAt: since, ROSData: "due"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := sources.Source{DeletedAt: &at, Progress: sources.Progress{Generation: 2, ObservedGeneration: 1}}
			tt.edit(&src)
			if diff := cmp.Diff(tt.want, src.Removal()); diff != "" {
				t.Errorf("Removal() (-want +got):\n%s", diff)
			}
		})
	}
}
