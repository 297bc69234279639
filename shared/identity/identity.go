// Package identity says who calls the APIs (contract section 3). Its errors are Unauthorized and
// Forbidden; it writes no reply.
package identity

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// Config says how callers prove who they are.
type Config struct {
	AuthMode string `envconfig:"AUTH_MODE" required:"true"`
	// GatewaySecret holds up to two secrets, so that they can be rotated.
	GatewaySecret       []string `envconfig:"GATEWAY_SECRET"`
	AllowDirectIdentity bool     `envconfig:"ALLOW_DIRECT_IDENTITY"`
	RBACURL             string   `envconfig:"RBAC_URL" required:"true"`
}

// Validate reports the first variable that cannot be.
func (c Config) Validate() error {
	switch {
	case c.AuthMode != "identity":
		return errors.New("AUTH_MODE: only identity is supported")
	case c.RBACURL != "off":
		return errors.New("RBAC_URL: only off is supported")
	case len(c.GatewaySecret) == 0 && !c.AllowDirectIdentity:
		return errors.New("GATEWAY_SECRET: required, unless ALLOW_DIRECT_IDENTITY is true")
	case len(c.GatewaySecret) > 2 || slices.Contains(c.GatewaySecret, ""):
		return errors.New("GATEWAY_SECRET: one secret, or two with a comma between them")
	}
	return nil
}

// A Caller is who sends a request, and for which organization.
type Caller struct {
	OrgID         string
	AccountNumber string
	Username      string
}

type callerKey struct{}

// From is the caller that Require put into ctx.
func From(ctx context.Context) Caller {
	caller, _ := ctx.Value(callerKey{}).(Caller) // without one the organization is "", which owns nothing
	return caller
}

// OrgID is the caller's organization.
func OrgID(ctx context.Context) string { return From(ctx).OrgID }

// Require returns the context of r with the caller in it. A gateway has checked the caller and says who
// it is in X-Rh-Identity; as anybody in the cluster could send that, the gateway also proves itself. Where
// r is to write for an organization whose sources cannot be written, the error is Invalid.
func (c Config) Require(r *http.Request) (context.Context, error) {
	if err := c.checkGateway(r.Header.Get("X-Gateway-Secret")); err != nil {
		return nil, err
	}
	caller, err := parseHeader(r.Header.Get("X-Rh-Identity"))
	if err != nil {
		return nil, err
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		if err := sources.CheckOrg(caller.OrgID); err != nil {
			return nil, err
		}
	}
	return context.WithValue(r.Context(), callerKey{}, caller), nil
}

// checkGateway compares with every secret, and each in constant time.
func (c Config) checkGateway(sent string) error {
	if len(c.GatewaySecret) == 0 {
		return nil // Validate saw to it that this is wanted
	}
	equal := 0
	for _, secret := range c.GatewaySecret {
		equal |= subtle.ConstantTimeCompare([]byte(sent), []byte(secret))
	}
	if equal == 0 {
		return unauthorized("The gateway's secret is missing or wrong.", nil)
	}
	return nil
}

// header is what X-Rh-Identity holds, in base64.
type header struct {
	Identity struct {
		OrgID         string `json:"org_id"`
		AccountNumber string `json:"account_number"`
		Type          string `json:"type"`
		User          *struct {
			Username string  `json:"username"`
			Email    *string `json:"email"`
		} `json:"user"`
		ServiceAccount *struct {
			Username string `json:"username"`
		} `json:"service_account"`
	} `json:"identity"`
	Entitlements struct {
		CostManagement struct {
			IsEntitled bool `json:"is_entitled"`
		} `json:"cost_management"`
	} `json:"entitlements"`
}

// The forms of what the tables hold; account_id of api_customer takes 150 characters.
var (
	orgForm     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,36}$`)
	accountForm = regexp.MustCompile(`^[^\x00]{0,150}$`)
)

func parseHeader(value string) (Caller, error) {
	if value == "" {
		return Caller{}, unauthorized("X-Rh-Identity is missing.", nil)
	}
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return Caller{}, &sources.Error{Kind: sources.Forbidden, Msg: "X-Rh-Identity is not base64.", Err: err}
	}
	var h header
	if err := json.Unmarshal(raw, &h); err != nil {
		return Caller{}, unauthorized("X-Rh-Identity does not hold an identity.", err)
	}
	caller := Caller{OrgID: h.Identity.OrgID, AccountNumber: h.Identity.AccountNumber, Username: h.username()}
	switch {
	case !orgForm.MatchString(caller.OrgID):
		return Caller{}, unauthorized("The identity's org_id is missing or of the wrong form.", nil)
	case caller.Username == "":
		return Caller{}, unauthorized("The identity holds no user name, or no email beside it.", nil)
	case !accountForm.MatchString(caller.AccountNumber):
		return Caller{}, unauthorized("The identity's account_number is of the wrong form.", nil)
	case !h.Entitlements.CostManagement.IsEntitled:
		return Caller{}, &sources.Error{Kind: sources.Forbidden, Msg: "The caller is not entitled to cost management."}
	}
	return caller, nil
}

// username is empty where the identity lacks what its type needs.
func (h header) username() string {
	switch id := h.Identity; {
	case strings.EqualFold(id.Type, "User") && id.User != nil && id.User.Email != nil:
		return id.User.Username
	case !strings.EqualFold(id.Type, "User") && id.ServiceAccount != nil:
		return id.ServiceAccount.Username
	default:
		return ""
	}
}

func unauthorized(msg string, err error) error {
	return &sources.Error{Kind: sources.Unauthorized, Msg: msg, Err: err}
}
