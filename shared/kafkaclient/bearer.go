package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/IBM/sarama"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// A bearer gets the tokens of OAUTHBEARER (RFC 7628) from an issuer, with the client credentials grant (RFC 6749,
// section 4.4): the user is the client's id, the password its secret. It keeps a token until shortly before its end.
type bearer struct{ tokens oauth2.TokenSource }

func (c credentials) bearer() (bearer, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	var err error
	if transport.TLSClientConfig, err = c.tlsConfig(); err != nil {
		return bearer{}, err
	}
	client := &http.Client{Transport: transport, Timeout: Within,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	grant := clientcredentials.Config{ClientID: c.user, ClientSecret: c.password, TokenURL: c.tokenURL}
	return bearer{grant.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, client))}, nil
}

// Token is what a connection logs in with.
func (b bearer) Token() (*sarama.AccessToken, error) {
	token, err := b.tokens.Token()
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok { // which may repeat what it was sent
		return nil, fmt.Errorf("KAFKA_AUTH_DIR: file token.url: the issuer answers %s", refused.Response.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("KAFKA_AUTH_DIR: file token.url: %w", err)
	}
	return &sarama.AccessToken{Token: token.AccessToken}, nil
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http")
}
