package localknative

import "sync"

// progress finds how far a partition of which many records are delivered at
// once may be committed: up to the first that is unfinished, for what is committed
// never comes again.
type progress struct {
	mu   sync.Mutex
	open []int64        // offsets begun, ascending, from the first unfinished on
	done map[int64]bool // those of them that are finished
}

// begin notes that the record at offset is being delivered. Offsets come in order; some may be missing.
func (p *progress) begin(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = append(p.open, offset)
}

// finish notes that the record at offset needs no more delivery. It returns the
// offset to commit, that of the next record to read, and whether it has moved.
func (p *progress) finish(offset int64) (next int64, moved bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		p.done = make(map[int64]bool)
	}
	p.done[offset] = true
	for len(p.open) > 0 && p.done[p.open[0]] {
		next, moved = p.open[0]+1, true
		delete(p.done, p.open[0])
		p.open = p.open[1:]
	}
	return next, moved
}
