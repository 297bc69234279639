package outbox

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"os"
)

// tokenFile is where a SinkBinding puts the token that proves to the sink who sends, if the sink asks for one.
const tokenFile = "/oidc/token"

// authorize adds the token that the sink knows us by, where there is one. It is read for each request, as it
// is replaced long before the process ends.
func (d *Dispatcher) authorize(request *http.Request) error {
	token, err := os.ReadFile(d.tokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	return nil
}
