package restored

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// findings are what registry, topic and ROS know, and where they differ.
type findings struct {
	registry registry
	topic    topic
	ros      map[int64]string // organizations by id of a source

	lost  []int64 // others know it, the registry does not
	again []int64 // it lives in the registry, and was deleted after the backup
}

// compare fills in where the three differ. A source that was made and deleted after the backup is not missed.
func (f *findings) compare() {
	unknown := map[int64]bool{}
	for id := range f.ros {
		unknown[id] = true
	}
	for id, src := range f.topic.sources {
		unknown[id] = !src.gone || unknown[id]
		if src.gone && f.registry.living[id] {
			f.again = append(f.again, id)
		}
	}
	for id, missed := range unknown {
		if _, registered := f.registry.living[id]; missed && !registered {
			f.lost = append(f.lost, id)
		}
	}
	slices.Sort(f.lost)
	slices.Sort(f.again)
}

// highestID is of all that anybody has seen.
func (f *findings) highestID() int64 {
	highest := f.topic.highestID
	for id := range f.ros {
		highest = max(highest, id)
	}
	for id := range f.registry.living {
		highest = max(highest, id)
	}
	return highest
}

// print says what was found, and what follows from it.
func (f *findings) print(w io.Writer) error {
	var text strings.Builder
	gone := 0
	for living := range maps.Values(f.registry.living) {
		if !living {
			gone++
		}
	}
	fmt.Fprintf(&text, "registry  %d sources, %d of them gone; last change %s; %d events in the outbox\n",
		len(f.registry.living), gone, stamp(f.registry.newest), f.registry.waiting)
	fmt.Fprintf(&text, "topic     %d events about %d sources since %s; %d other records\n",
		f.topic.events, len(f.topic.sources), stamp(f.topic.oldest), f.topic.others)
	fmt.Fprintf(&text, "ROS       %d sources\n", len(f.ros))
	fmt.Fprintf(&text, "to do     ids above %d; each source after its last event in the topic; everything asked for again\n", f.highestID())
	if f.topic.events > 0 && f.topic.oldest.After(f.registry.newest) {
		fmt.Fprintf(&text, "warning: if the backup is older than %s, where the topic begins, what was made in between is known to nobody\n",
			stamp(f.topic.oldest))
	}
	f.list(&text, "not in the registry: to be registered again, under new ids", f.lost)
	f.list(&text, "living again, and deleted after the backup: to be deleted by a person", f.again)
	_, err := io.WriteString(w, text.String())
	return err
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// mostListed bounds what is listed of each kind. Names are not ours, so they are quoted.
const mostListed = 200

func (f *findings) list(w *strings.Builder, what string, ids []int64) {
	if len(ids) == 0 {
		return
	}
	fmt.Fprintf(w, "%d %s\n", len(ids), what)
	for _, id := range ids[:min(len(ids), mostListed)] {
		src := cmp.Or(f.topic.sources[id], &seen{org: f.ros[id]})
		fmt.Fprintf(w, "  %d  organization %q  name %q  cluster %q\n", id, src.org, src.name, src.cluster)
	}
	if more := len(ids) - mostListed; more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}
