-- +goose Up

-- Takes away the foreign key to public.api_provider that the first file made in its first version, and that it has
-- been without since (it says why). A new tenant has no such key, and nothing but its own table is locked then.
--
-- Where the key is there, its two triggers go from both of its tables: this waits for, and then keeps out, everybody
-- who reads or writes api_provider and the tenant's own list, for as long as the commit takes, which is milliseconds.
-- Who waits longer than the migrations' lock_timeout gives up, and the next run goes on with the tenant.
ALTER TABLE reporting_tenant_api_provider
    DROP CONSTRAINT IF EXISTS reporting_tenant_api_provider_id_a3bf3f0b_fk_api_provi;
