// Package tenants measures what a number of tenants costs: `make bench-tenants` grows a database through the functions
// themselves, and prints a table.
package tenants
