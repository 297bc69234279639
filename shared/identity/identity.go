// Package identity says who calls the APIs, and whether they may (contract section 3). Its errors are
// Unauthorized, Forbidden, Invalid and Unavailable; it writes no reply.
package identity

import (
	"context"
	"net/http"
	"time"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// peerDeadline is how long the token issuer, or RBAC with all its pages, may take.
const peerDeadline = 5 * time.Second

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

// proof is what a request has proved about its caller.
type proof struct {
	Caller
	identity string // as X-Rh-Identity, for RBAC
	// who is all that RBAC's answer depends on: proofs that have it in common may share the answer.
	who string
}

// A Gate lets callers in. One is made for each API; it remembers the issuer's keys and RBAC's answers.
type Gate struct {
	prove func(*http.Request) (proof, error)
	rbac  *rbac // nil where every entitled caller may do everything
}

// New makes a Gate of a configuration that is valid. It asks nobody anything: that waits for a request,
// as a function has to listen at once.
func New(cfg Config) *Gate { return newGate(cfg, time.Now, peerDeadline) }

func newGate(cfg Config, now func() time.Time, deadline time.Duration) *Gate {
	g := &Gate{prove: cfg.proveByGateway}
	if cfg.AuthMode == modeJWT {
		g.prove = newTokens(cfg, now, deadline).prove
	}
	if cfg.RBACURL != rbacOff {
		g.rbac = newRBAC(cfg.RBACURL, now, deadline)
	}
	return g
}

// Require returns the context of r with the caller in it. Its errors, in the order of contract sections
// 2.4 and 3: Unauthorized for who does not prove who they are, Forbidden for who may not do what r asks,
// Invalid where r is to write for an organization whose sources cannot be written. Where the token issuer
// or RBAC cannot be asked it is Unavailable.
func (g *Gate) Require(r *http.Request) (context.Context, error) {
	p, err := g.prove(r)
	if err != nil {
		return nil, err
	}
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	if g.rbac != nil {
		if err := g.rbac.check(r.Context(), p, write); err != nil {
			return nil, err
		}
	}
	if write {
		if err := sources.CheckOrg(p.OrgID); err != nil {
			return nil, err
		}
	}
	return context.WithValue(r.Context(), callerKey{}, p.Caller), nil
}

func unauthorized(msg string, err error) error {
	return &sources.Error{Kind: sources.Unauthorized, Msg: msg, Err: err}
}
