package identity

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// skew is how far the issuer's clock and ours may be apart.
const skew = 30 * time.Second

// tokens lets callers in who bring a token of the issuer.
type tokens struct {
	issuer   *issuer
	audience []string
	rules    *oidc.Config
	now      func() time.Time
}

func newTokens(cfg Config, now func() time.Time, deadline time.Duration) *tokens {
	return &tokens{
		issuer:   newIssuer(cfg.Issuer, deadline),
		audience: cfg.Audience,
		now:      now,
		rules: &oidc.Config{
			// Never those of shared secrets: a public key would be one that everybody has.
			SupportedSigningAlgs: []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512},
			SkipClientIDCheck:    true, // it takes one audience only; prove checks them
			SkipExpiryCheck:      true, // it knows no skew, but for nbf five minutes; claims.timely checks
		},
	}
}

// bearerForm takes the token out of an Authorization header. Only the compact form of a signed token is
// one; the form in JSON has headers that the signature does not cover.
var bearerForm = regexp.MustCompile(`^(?i:bearer) +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+) *$`)

func (t *tokens) prove(r *http.Request) (proof, error) {
	bearer := bearerForm.FindStringSubmatch(r.Header.Get("Authorization"))
	if bearer == nil {
		return proof{}, unauthorized("A bearer token is missing, or is no signed token.", nil)
	}
	keys := &lookup{issuer: t.issuer}
	token, err := oidc.NewVerifier(t.issuer.url, keys, t.rules).Verify(r.Context(), bearer[1])
	if keys.away != nil {
		return proof{}, &sources.Error{Kind: sources.Unavailable, Msg: "The token issuer is not available", Err: shortened(keys.away)}
	}
	if err != nil {
		return proof{}, unauthorized("The token is not valid.", err)
	}
	if !slices.ContainsFunc(token.Audience, func(a string) bool { return slices.Contains(t.audience, a) }) {
		return proof{}, unauthorized("The token is meant for somebody else.", nil)
	}
	var raw json.RawMessage
	if err := token.Claims(&raw); err != nil {
		return proof{}, unauthorized("The token is not valid.", err)
	}
	return parseClaims(raw, t.now())
}

// claims are what is read of a token whose signature, issuer and audience are right. Times are in seconds
// and may have fractions.
type claims struct {
	Subject       string `json:"sub"`
	Username      string `json:"preferred_username"`
	Email         string `json:"email"`
	OrgID         string `json:"org_id"`
	AccountNumber string `json:"account_number"`
	RealmAccess   struct {
		Roles []string `json:"roles"`
	} `json:"realm_access"`

	Expiry    float64 `json:"exp"` // without one the token has expired
	NotBefore float64 `json:"nbf"`
	IssuedAt  float64 `json:"iat"`
}

func parseClaims(raw []byte, now time.Time) (proof, error) {
	var c claims
	if err := json.Unmarshal(raw, &c); err != nil {
		return proof{}, unauthorized("The token's claims are not of the right kind.", err)
	}
	if c.Username == "" {
		c.Username = c.Subject
	}
	switch {
	case !c.timely(now):
		return proof{}, unauthorized("The token has expired, or is not valid yet.", nil)
	case !orgForm.MatchString(c.OrgID):
		return proof{}, unauthorized("The token's org_id is missing or of the wrong form.", nil)
	case c.Username == "":
		return proof{}, unauthorized("The token holds neither preferred_username nor sub.", nil)
	case !accountForm.MatchString(c.AccountNumber):
		return proof{}, unauthorized("The token's account_number is of the wrong form.", nil)
	}
	return c.proof()
}

func (c claims) timely(now time.Time) bool {
	at, skew := float64(now.UnixMilli())/1000, skew.Seconds()
	return at < c.Expiry+skew && at >= c.NotBefore-skew && at >= c.IssuedAt-skew
}

// proof holds the identity that a gateway would have made of the token.
func (c claims) proof() (proof, error) {
	caller := Caller{OrgID: c.OrgID, AccountNumber: c.AccountNumber, Username: c.Username}
	orgAdmin := slices.Contains(c.RealmAccess.Roles, "org-admin")
	text, err := json.Marshal(map[string]any{
		"identity": map[string]any{
			"org_id": c.OrgID, "account_number": c.AccountNumber, "type": "User",
			"user": map[string]any{"username": c.Username, "email": c.Email, "is_org_admin": orgAdmin},
		},
		"entitlements": map[string]any{"cost_management": map[string]any{"is_entitled": true}},
	})
	return proof{
		Caller:   caller,
		identity: base64.StdEncoding.EncodeToString(text),
		who:      who(caller, strconv.FormatBool(orgAdmin)),
	}, err
}
