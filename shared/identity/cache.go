package identity

import (
	"sync"
	"time"
)

// cache remembers what callers may do. All is kept for the same time, so that what came first goes first,
// because of its age or because the cache is full.
type cache struct {
	max int
	ttl time.Duration
	now func() time.Time

	mu    sync.Mutex
	known map[string]remembrance
	order []aging
}

type remembrance struct {
	may   grants
	until time.Time
}

type aging struct {
	who   string
	until time.Time
}

func newCache(limit int, ttl time.Duration, now func() time.Time) *cache {
	return &cache{max: limit, ttl: ttl, now: now, known: map[string]remembrance{}}
}

func (c *cache) get(who string) (grants, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.known[who]
	if !ok || !c.now().Before(r.until) {
		return grants{}, false
	}
	return r.may, true
}

func (c *cache) put(who string, may grants) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for len(c.order) > 0 && (len(c.order) >= c.max || !now.Before(c.order[0].until)) {
		c.dropFirst()
	}
	until := now.Add(c.ttl)
	c.known[who] = remembrance{may, until}
	c.order = append(c.order, aging{who, until})
}

// dropFirst spares what has been remembered anew since.
func (c *cache) dropFirst() {
	first := c.order[0]
	c.order = c.order[1:]
	if c.known[first.who].until.Equal(first.until) {
		delete(c.known, first.who)
	}
}
