package identity

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// What AUTH_MODE can be, and what RBAC_URL is where there is no RBAC.
const (
	modeJWT      = "jwt"
	modeIdentity = "identity"
	rbacOff      = "off"
)

// Config says how callers prove who they are, and who decides what they may.
type Config struct {
	AuthMode string `envconfig:"AUTH_MODE" required:"true"` // jwt or identity

	// For jwt.
	Issuer   string   `envconfig:"OIDC_ISSUER"`
	Audience []string `envconfig:"OIDC_AUDIENCE"` // a token is for at least one of them

	// For identity. GatewaySecret holds up to two secrets, so that they can be rotated.
	GatewaySecret       []string `envconfig:"GATEWAY_SECRET"`
	AllowDirectIdentity bool     `envconfig:"ALLOW_DIRECT_IDENTITY"`

	RBACURL string `envconfig:"RBAC_URL" required:"true"` // off: every entitled caller may do everything
}

// Validate reports the first variable that cannot be (contract sections 3 and 7). Those of the mode that
// is not chosen are ignored.
func (c Config) Validate() error {
	switch {
	case c.AuthMode != modeJWT && c.AuthMode != modeIdentity:
		return errors.New("AUTH_MODE: jwt or identity")
	case c.RBACURL != rbacOff && !isAddress(c.RBACURL):
		return errors.New("RBAC_URL: off, or an http or https address without a query")
	case c.AuthMode == modeJWT:
		return c.validateJWT()
	default:
		return c.validateIdentity()
	}
}

func (c Config) validateJWT() error {
	switch {
	case !isAddress(c.Issuer):
		return errors.New("OIDC_ISSUER: an http or https address without a query is required")
	case len(c.Audience) == 0 || slices.ContainsFunc(c.Audience, isPadded):
		return errors.New("OIDC_AUDIENCE: required; names with a comma and no blank between them")
	}
	return nil
}

func (c Config) validateIdentity() error {
	switch {
	case len(c.GatewaySecret) == 0 && !c.AllowDirectIdentity:
		return errors.New("GATEWAY_SECRET: required, unless ALLOW_DIRECT_IDENTITY is true")
	case len(c.GatewaySecret) > 2 || slices.ContainsFunc(c.GatewaySecret, isUnsent):
		return errors.New("GATEWAY_SECRET: one secret, or two with a comma and no blank between them, and no newline")
	}
	return nil
}

// isPadded: nobody sends what is empty, or has a blank or newline at an end, as headers lose theirs on the way.
func isPadded(s string) bool { return s == "" || strings.TrimSpace(s) != s }

// isUnsent: no header carries such a secret, of two lines for example, so nobody who sends it is let in.
func isUnsent(s string) bool {
	return isPadded(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// isAddress: paths are put behind it, so nothing may follow its own path.
func isAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && !strings.ContainsAny(s, "?#")
}
