package httpapi

import (
	"net/http"
	"regexp"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

const keyHeader = "Idempotency-Key"

var keyForm = regexp.MustCompile(`^[ -~]{1,255}$`)

// IdempotencyKey reads the key that a client has given to a POST of an organization with a body; nil if it
// has given none. One that is not of 1 to 255 printable ASCII characters is Invalid.
func IdempotencyKey(r *http.Request, orgID string, body []byte) (*sources.IdempotencyKey, error) {
	given := r.Header.Values(keyHeader)
	if len(given) == 0 {
		return nil, nil
	}
	if len(given) > 1 || !keyForm.MatchString(given[0]) {
		return nil, sources.Invalidf(keyHeader, "An Idempotency-Key has 1 to 255 printable ASCII characters.")
	}
	return &sources.IdempotencyKey{OrgID: orgID, Path: r.URL.Path, Key: given[0], Body: body}, nil
}
