package sources

// An Answer is a reply as it was, or will be, given.
type Answer struct {
	Status int
	Body   []byte // JSON
}

// An IdempotencyKey marks requests that are to be carried out once (contract section 2.1): those of an
// organization to a path with the same Key.
type IdempotencyKey struct {
	OrgID string
	Path  string // without a trailing slash
	Key   string
	Body  []byte // of the request; another one under the same key is refused
}
