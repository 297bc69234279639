package localknative_test

import (
	"math/rand/v2"
	"testing"

	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
)

// Whatever order records finish in, what may be committed is the offset after
// the last one that has none unfinished before it.
func TestProgressStopsAtFirstUnfinished(t *testing.T) {
	t.Parallel()

	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		begin, finish := localknative.NewProgress()
		var offsets []int64 // with gaps, as compaction leaves them
		for offset := int64(0); len(offsets) < 30; offset += 1 + random.Int64N(3) {
			offsets = append(offsets, offset)
			begin(offset)
		}
		finished, committed := map[int64]bool{}, int64(0)
		for _, i := range random.Perm(len(offsets)) {
			finished[offsets[i]] = true
			want := committed
			for _, offset := range offsets {
				if !finished[offset] {
					break
				}
				want = offset + 1
			}
			next, moved := finish(offsets[i])
			if moved != (want > committed) || moved && next != want {
				t.Fatalf("seed %d: finish(%d) = %d, %v; want %d, %v", seed, offsets[i], next, moved, want, want > committed)
			}
			committed = max(committed, next)
		}
		if want := offsets[len(offsets)-1] + 1; committed != want {
			t.Errorf("seed %d: committed %d in the end, want %d", seed, committed, want)
		}
	}
}
