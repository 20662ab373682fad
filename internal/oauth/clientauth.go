package oauth

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"

	"credence/internal/secret"
)

// AuthMethod is how a client proves who it is, by its name in the IANA registry "OAuth Token Endpoint Authentication Methods".
type AuthMethod string

// The methods of RFC 6749 section 2.3.1, of RFC 7523 section 2.2 (by an asymmetric key, or by the secret), and of RFC 8705 section 2.
const (
	ClientSecretBasic AuthMethod = "client_secret_basic"
	ClientSecretPost  AuthMethod = "client_secret_post"
	PrivateKeyJWT     AuthMethod = "private_key_jwt"
	ClientSecretJWT   AuthMethod = "client_secret_jwt"
	TLSClientAuth     AuthMethod = "tls_client_auth"
)

// ClientAuth is one client's method and credentials.
type ClientAuth struct {
	Method    AuthMethod
	ID        string
	Secret    secret.String
	Assertion secret.String // with PrivateKeyJWT and ClientSecretJWT, made for one request
	// Certificate is shown with TLSClientAuth, where the server asks for one.
	Certificate *tls.Certificate
	// Renew makes another Assertion, for a request that has to be sent again; nil where there is none.
	Renew func(context.Context) (secret.String, error)
}

// renew makes credentials good for one more request.
func (a *ClientAuth) renew(ctx context.Context) (err error) {
	if a.Renew != nil {
		a.Assertion, err = a.Renew(ctx)
	}
	return err
}

// apply adds the credentials to exactly one of header and form, or those of Anonymous to neither.
func (a ClientAuth) apply(header http.Header, form url.Values) error {
	header.Del("Authorization")
	switch a.Method {
	case ClientSecretBasic:
		// Section 2.3.1 has both form-encoded before they are joined: an id or a secret may contain a colon.
		pair := url.QueryEscape(a.ID) + ":" + url.QueryEscape(a.Secret.Reveal())
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	case ClientSecretPost:
		form.Set("client_id", a.ID)
		form.Set("client_secret", a.Secret.Reveal())
	case PrivateKeyJWT, ClientSecretJWT:
		if a.ID != "" { // else the assertion's subject is all there is
			form.Set("client_id", a.ID)
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", a.Assertion.Reveal())
	case None, TLSClientAuth:
		form.Set("client_id", a.ID)
	case Anonymous:
	default:
		return fmt.Errorf("client authentication method %q is none of %s, %s, %s, %s, %s, %s", a.Method, ClientSecretBasic, ClientSecretPost, PrivateKeyJWT, ClientSecretJWT, TLSClientAuth, None)
	}
	return nil
}
