package migrations

// What the tests call with files of their own. They cannot be inside the package, which storetest imports.
var (
	NewTenantWith  = newTenant
	AllTenantsWith = allTenants
	StatusWith     = status
	TenantFiles    = tenantFiles
)

// SharedColumns lists the columns that shared_tables.txt expects, as "table column type".
func SharedColumns() []string {
	var lines []string
	for _, t := range sharedTables() {
		for _, c := range t.columns {
			lines = append(lines, t.name+" "+c.name+" "+c.kind)
		}
	}
	return lines
}

// FilledColumns lists those that shared_tables.txt says every INSERT gives, as "table.column".
func FilledColumns() []string {
	var lines []string
	for _, t := range sharedTables() {
		for _, c := range t.columns {
			if c.filled {
				lines = append(lines, t.name+"."+c.name)
			}
		}
	}
	return lines
}
