package migrations

// What the tests call with files of their own. They cannot be inside the package, which storetest imports.
var (
	NewTenantWith  = newTenant
	AllTenantsWith = allTenants
	StatusWith     = status
	TenantFiles    = tenantFiles
)
