package store

// The two ways to name the rows in a range of blocks, which the tests compare.
var (
	BlockRange  = blockRange
	BlockPlaces = blockPlaces
)

// TenantsEach is for a test that makes as many.
const TenantsEach = tenantsEach
