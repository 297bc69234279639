package identity

import "time"

// NewAt is New with another clock and another deadline for peers.
var NewAt = newGate

// ParseClaims is what is made of the claims of a token that is otherwise good: the caller, and the
// identity that RBAC is shown.
func ParseClaims(raw []byte, now time.Time) (Caller, string, error) {
	p, err := parseClaims(raw, now)
	return p.Caller, p.identity, err
}

// Cache is the memory for RBAC's answers; whether a caller may write stands for the whole answer.
type Cache struct{ c *cache }

func NewCache(limit int, ttl time.Duration, now func() time.Time) Cache {
	return Cache{newCache(limit, ttl, now)}
}

func (c Cache) Put(who string, write bool) { c.c.put(who, grants{read: true, write: write}) }

func (c Cache) Get(who string) (write, ok bool) {
	may, ok := c.c.get(who)
	return may.write, ok
}

// Len is how many answers are held, old ones too.
func (c Cache) Len() int { return max(len(c.c.known), len(c.c.order)) }
