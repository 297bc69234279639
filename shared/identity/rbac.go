package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// How RBAC is asked (contract section 3).
const (
	accessPath  = "/api/rbac/v1/access/?application=cost-management&limit=100"
	maxPages    = 20
	remembered  = 30 * time.Second
	maxRemember = 10_000
)

// rbac asks what callers may do, and remembers it for a while.
type rbac struct {
	url      string // of the first page
	client   *http.Client
	deadline time.Duration // for all pages
	asking   singleflight.Group
	answers  *cache
}

func newRBAC(address string, now func() time.Time, deadline time.Duration) *rbac {
	return &rbac{
		url:      strings.TrimRight(address, "/") + accessPath,
		client:   newClient(deadline),
		deadline: deadline,
		answers:  newCache(maxRemember, remembered, now),
	}
}

// check reports a caller who may not read, or write, as a Forbidden error, and an RBAC that does not say
// as an Unavailable one.
func (b *rbac) check(ctx context.Context, p proof, write bool) error {
	may, err := b.may(ctx, p)
	if _, ok := errors.AsType[*sources.Error](err); ok {
		return err
	}
	if err != nil {
		return &sources.Error{Kind: sources.Unavailable, Msg: "RBAC is not available", Err: err}
	}
	if !may.read || write && !may.write {
		return forbidden(nil)
	}
	return nil
}

func forbidden(err error) error {
	return &sources.Error{Kind: sources.Forbidden, Msg: "You do not have permission to perform this action.", Err: err}
}

// may asks once for all who are the same caller. The question outlives the request that began it, as
// others may be waiting. Only an answer is remembered.
func (b *rbac) may(ctx context.Context, p proof) (grants, error) {
	if may, ok := b.answers.get(p.who); ok {
		return may, nil
	}
	return askOnce(ctx, &b.asking, p.who, func() (grants, error) {
		if may, ok := b.answers.get(p.who); ok {
			return may, nil // somebody was quicker
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.deadline)
		defer cancel()
		may, err := b.ask(ctx, p.identity)
		if err == nil {
			b.answers.put(p.who, may)
		}
		return may, err
	})
}

// ask reads pages until there are no more, or there is nothing left to be granted. What stands behind the
// last page that is read grants nothing.
func (b *rbac) ask(ctx context.Context, identity string) (may grants, err error) {
	at := b.url
	for range maxPages {
		page, err := b.page(ctx, at, identity)
		if err != nil {
			return grants{}, err
		}
		for _, a := range page.Data {
			may.add(a)
		}
		if may.write || page.Links.Next == "" {
			break
		}
		if at, err = follow(at, page.Links.Next); err != nil {
			return grants{}, err
		}
	}
	return may, nil
}

// follow resolves a link to the next page. The identity is for RBAC and for nobody to whom it points.
func follow(from, link string) (string, error) {
	base, err := url.Parse(from)
	if err != nil {
		return "", err
	}
	next, err := base.Parse(link)
	if err != nil {
		return "", fmt.Errorf("rbac: next page: %w", err)
	}
	if next.Scheme != base.Scheme || !strings.EqualFold(next.Host, base.Host) {
		return "", fmt.Errorf("rbac: the next page is at another host, %s://%s", next.Scheme, next.Host)
	}
	return next.String(), nil
}

// accessPage is one page of RBAC's answer.
type accessPage struct {
	Links struct {
		Next string `json:"next"`
	} `json:"links"`
	Data []access `json:"data"`
}

type access struct {
	Permission          string            `json:"permission"`
	ResourceDefinitions []json.RawMessage `json:"resourceDefinitions"`
}

func (b *rbac) page(ctx context.Context, at, identity string) (page accessPage, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return page, fmt.Errorf("rbac: %w", err)
	}
	request.Header.Set("X-Rh-Identity", identity)
	request.Header.Set("Accept", "application/json")
	response, err := b.client.Do(request)
	if err != nil {
		return page, fmt.Errorf("rbac: %w", err)
	}
	defer response.Body.Close()
	if err := checkStatus(ctx, response); err != nil {
		return page, err
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return page, fmt.Errorf("rbac: answer: %w", err)
	}
	if err := json.Unmarshal(text, &page); err != nil {
		return page, fmt.Errorf("rbac: answer: %w", err)
	}
	if page.Data == nil {
		return page, errors.New("rbac: answer: no data")
	}
	return page, nil
}

// checkStatus logs a refusal: the client is only told that it may not, and the fault may be ours.
func checkStatus(ctx context.Context, response *http.Response) error {
	err := fmt.Errorf("rbac: answered %d", response.StatusCode)
	switch {
	case response.StatusCode == http.StatusOK:
		return nil
	case response.StatusCode >= 400 && response.StatusCode < 500:
		slog.WarnContext(ctx, "RBAC refused to say what a caller may", "err", err)
		return forbidden(err)
	default:
		return err
	}
}

// grants are what a caller may do with sources.
type grants struct{ read, write bool }

// add adds what a permission grants, which is application:resource:verb. One that is confined to some
// resources grants nothing here, as nothing of ours is such a resource.
func (g *grants) add(a access) {
	part := strings.Split(a.Permission, ":")
	if len(part) != 3 || len(a.ResourceDefinitions) > 0 {
		return
	}
	if part[0] != "cost-management" || part[1] != "sources" && part[1] != "*" {
		return
	}
	switch part[2] {
	case "write", "*":
		g.read, g.write = true, true
	case "read":
		g.read = true
	}
}
