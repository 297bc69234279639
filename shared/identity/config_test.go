package identity_test

import (
	"strings"
	"testing"

	"github.com/insights-onprem/cost-sources/shared/identity"
)

type edit = func(*identity.Config)

// testValidate: each edit of good gets an error that begins with the variable to blame; empty for none.
func testValidate(t *testing.T, good identity.Config, edits map[string]struct {
	edit edit
	want string
}) {
	for name, tt := range edits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			tt.edit(&cfg)
			err := cfg.Validate()
			if (err == nil) != (tt.want == "") || err != nil && (!strings.HasPrefix(err.Error(), tt.want+": ") || strings.Contains(err.Error(), "\n")) {
				t.Errorf("Validate() = %v, want one line that blames %q", err, tt.want)
			}
		})
	}
}

func TestValidateIdentity(t *testing.T) {
	t.Parallel()

	testValidate(t, identity.Config{AuthMode: "identity", GatewaySecret: []string{"a"}, RBACURL: "off"}, map[string]struct {
		edit edit
		want string
	}{
		"good":                 {func(*identity.Config) {}, ""},
		"two secrets":          {func(c *identity.Config) { c.GatewaySecret = []string{"a", "b"} }, ""},
		"direct":               {func(c *identity.Config) { c.GatewaySecret, c.AllowDirectIdentity = nil, true }, ""},
		"what jwt needs":       {func(c *identity.Config) { c.Issuer, c.Audience = "x", []string{""} }, ""},
		"RBAC":                 {func(c *identity.Config) { c.RBACURL = "https://rbac:8443/prefix/" }, ""},
		"no secret":            {func(c *identity.Config) { c.GatewaySecret = nil }, "GATEWAY_SECRET"},
		"empty secret":         {func(c *identity.Config) { c.GatewaySecret = []string{""} }, "GATEWAY_SECRET"},
		"secret after a blank": {func(c *identity.Config) { c.GatewaySecret = []string{"a", " b"} }, "GATEWAY_SECRET"},
		"secret of a file":     {func(c *identity.Config) { c.GatewaySecret = []string{"a\n"} }, "GATEWAY_SECRET"},
		"secret of two lines":  {func(c *identity.Config) { c.GatewaySecret = []string{"a\nb"} }, "GATEWAY_SECRET"},
		"three secrets":        {func(c *identity.Config) { c.GatewaySecret = []string{"a", "b", "c"} }, "GATEWAY_SECRET"},
		"no mode":              {func(c *identity.Config) { c.AuthMode = "" }, "AUTH_MODE"},
		"unknown mode":         {func(c *identity.Config) { c.AuthMode = "JWT" }, "AUTH_MODE"},
		"no RBAC":              {func(c *identity.Config) { c.RBACURL = "" }, "RBAC_URL"},
		"RBAC without scheme":  {func(c *identity.Config) { c.RBACURL = "rbac:8080" }, "RBAC_URL"},
		"RBAC without host":    {func(c *identity.Config) { c.RBACURL = "http://:8080" }, "RBAC_URL"},
		"RBAC of another kind": {func(c *identity.Config) { c.RBACURL = "ftp://rbac" }, "RBAC_URL"},
		"RBAC with a query":    {func(c *identity.Config) { c.RBACURL = "http://rbac?" }, "RBAC_URL"},
		"RBAC nearly off":      {func(c *identity.Config) { c.RBACURL = "Off" }, "RBAC_URL"},
	})
}

func TestValidateJWT(t *testing.T) {
	t.Parallel()

	good := identity.Config{AuthMode: "jwt", Issuer: "https://sso/realms/cost", Audience: []string{"cost", "ui"}, RBACURL: "off"}
	testValidate(t, good, map[string]struct {
		edit edit
		want string
	}{
		"good":                    {func(*identity.Config) {}, ""},
		"what identity refuses":   {func(c *identity.Config) { c.GatewaySecret = []string{"", "", ""} }, ""},
		"no issuer":               {func(c *identity.Config) { c.Issuer = "" }, "OIDC_ISSUER"},
		"issuer without scheme":   {func(c *identity.Config) { c.Issuer = "sso/realms/cost" }, "OIDC_ISSUER"},
		"issuer with a fragment":  {func(c *identity.Config) { c.Issuer += "#x" }, "OIDC_ISSUER"},
		"issuer with control":     {func(c *identity.Config) { c.Issuer += "\n" }, "OIDC_ISSUER"},
		"no audience":             {func(c *identity.Config) { c.Audience = nil }, "OIDC_AUDIENCE"},
		"empty audience":          {func(c *identity.Config) { c.Audience = []string{"cost", ""} }, "OIDC_AUDIENCE"},
		"audience after a blank":  {func(c *identity.Config) { c.Audience = []string{"cost", " ui"} }, "OIDC_AUDIENCE"},
		"no RBAC":                 {func(c *identity.Config) { c.RBACURL = "" }, "RBAC_URL"},
		"RBAC that is no address": {func(c *identity.Config) { c.RBACURL = "on" }, "RBAC_URL"},
	})
}
