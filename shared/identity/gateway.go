package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// proveByGateway: a gateway has checked the caller and says who it is in X-Rh-Identity; as anybody in the
// cluster could send that, the gateway also proves itself.
func (c Config) proveByGateway(r *http.Request) (proof, error) {
	if err := c.checkGateway(r.Header.Get("X-Gateway-Secret")); err != nil {
		return proof{}, err
	}
	return parseHeader(r.Header.Get("X-Rh-Identity"))
}

// checkGateway compares with every secret, and each in constant time.
func (c Config) checkGateway(sent string) error {
	if len(c.GatewaySecret) == 0 && c.AllowDirectIdentity {
		return nil
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

// header is what X-Rh-Identity holds, in base64. What is raw only tells callers apart.
type header struct {
	Identity struct {
		OrgID         string `json:"org_id"`
		AccountNumber string `json:"account_number"`
		Type          string `json:"type"`
		User          *struct {
			Username string          `json:"username"`
			Email    *string         `json:"email"`
			ID       json.RawMessage `json:"user_id"`
			OrgAdmin json.RawMessage `json:"is_org_admin"`
		} `json:"user"`
		ServiceAccount *struct {
			Username string          `json:"username"`
			ID       json.RawMessage `json:"client_id"`
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

func parseHeader(value string) (proof, error) {
	if value == "" {
		return proof{}, unauthorized("X-Rh-Identity is missing.", nil)
	}
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return proof{}, &sources.Error{Kind: sources.Forbidden, Msg: "X-Rh-Identity is not base64.", Err: err}
	}
	var h header
	if err := json.Unmarshal(raw, &h); err != nil {
		return proof{}, unauthorized("X-Rh-Identity does not hold an identity.", err)
	}
	p := h.proof()
	p.identity = value
	switch {
	case !orgForm.MatchString(p.OrgID):
		return proof{}, unauthorized("The identity's org_id is missing or of the wrong form.", nil)
	case p.Username == "":
		return proof{}, unauthorized("The identity holds no user name, or no email beside it.", nil)
	case !accountForm.MatchString(p.AccountNumber):
		return proof{}, unauthorized("The identity's account_number is of the wrong form.", nil)
	case !h.Entitlements.CostManagement.IsEntitled:
		return proof{}, &sources.Error{Kind: sources.Forbidden, Msg: "The caller is not entitled to cost management."}
	}
	return p, nil
}

// proof has no Username where the identity lacks what its type needs.
func (h header) proof() proof {
	id := h.Identity
	p := proof{Caller: Caller{OrgID: id.OrgID, AccountNumber: id.AccountNumber}}
	kind := strings.ToLower(id.Type)
	switch {
	case kind == "user" && id.User != nil && id.User.Email != nil:
		p.Username = id.User.Username
		p.who = who(p.Caller, kind, string(id.User.ID), string(id.User.OrgAdmin))
	case kind != "user" && id.ServiceAccount != nil:
		p.Username = id.ServiceAccount.Username
		p.who = who(p.Caller, kind, string(id.ServiceAccount.ID))
	}
	return p
}

// who is a digest of what tells callers apart, quoted, so that two of them never read the same. A name
// alone would not do: a service account can bear that of a user. As a digest it is short, however long
// the names are.
func who(c Caller, more ...string) string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", c.OrgID, c.Username, c.AccountNumber, more))
	return string(digest[:])
}
