package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"credence/internal/secret"
)

// ClientMetadata is what a client says about itself: to the registration endpoint (RFC 7591 section 2), or at the URL that is its id
// (draft-ietf-oauth-client-id-metadata-document).
type ClientMetadata struct {
	ClientID      string     `json:"client_id,omitempty"` // only of a document, where it is the document's own URL
	ClientName    string     `json:"client_name"`
	ClientURI     string     `json:"client_uri,omitempty"`
	RedirectURIs  []string   `json:"redirect_uris"`
	GrantTypes    []string   `json:"grant_types"`
	ResponseTypes []string   `json:"response_types"`
	AuthMethod    AuthMethod `json:"token_endpoint_auth_method"`
}

// RegisteredClient is what a registration made (RFC 7591 section 3.2.1).
type RegisteredClient struct {
	ID               string
	Secret           secret.String // empty for a public client
	AuthMethod       AuthMethod
	ConfigurationURI string        // where the client is managed (RFC 7592); "" when the server has no such place
	AccessToken      secret.String // for there
}

// Register makes a client at a registration endpoint. The error is an *Error.
func (c *Client) Register(ctx context.Context, endpoint string, m ClientMetadata) (_ RegisteredClient, err error) {
	text, _ := json.Marshal(m) // strings always marshal
	header := newHeader(nil)
	header.Set("Content-Type", "application/json")
	call := newCall(ctx, "client registration", endpoint)
	defer func() { done(call, err) }()
	r, err := c.send(ctx, call, http.MethodPost, endpoint, header, string(text), nil)
	if err != nil {
		return RegisteredClient{}, err
	}
	return readClient(r, m)
}

// ReadClient finds a registered client as its server has it now (RFC 7592 section 2.1): its secret may have changed. The error is an *Error; Refused with
// HTTP 401 when there is no such client any more.
func (c *Client) ReadClient(ctx context.Context, configurationURI string, token secret.String, m ClientMetadata) (_ RegisteredClient, err error) {
	r, err := c.manage(ctx, http.MethodGet, configurationURI, token)
	if err != nil {
		return RegisteredClient{}, err
	}
	client, err := readClient(r, m)
	if err == nil && client.AccessToken.IsZero() {
		client.AccessToken = token
	}
	if err == nil && client.ConfigurationURI == "" {
		client.ConfigurationURI = configurationURI
	}
	return client, err
}

// DeleteClient ends a registration (RFC 7592 section 2.3). The error is an *Error.
func (c *Client) DeleteClient(ctx context.Context, configurationURI string, token secret.String) error {
	r, err := c.manage(ctx, http.MethodDelete, configurationURI, token)
	if err != nil {
		return err
	}
	if r.status < 200 || r.status > 299 {
		m, _ := parseMembers(r.header.Get("Content-Type"), r.body)
		return m.refusal(r)
	}
	return nil
}

func (c *Client) manage(ctx context.Context, method, configurationURI string, token secret.String) (_ response, err error) {
	header := newHeader(nil)
	header.Set("Authorization", "Bearer "+token.Reveal())
	call := newCall(ctx, "client configuration", configurationURI)
	defer func() { done(call, err) }()
	return c.send(ctx, call, method, configurationURI, header, "", []secret.String{token})
}

// readClient finds the client in an answer. A server that has given it other redirect URIs, or a way to authenticate that was not asked for and is not known
// here, has made one that is of no use.
func readClient(r response, m ClientMetadata) (RegisteredClient, error) {
	if r.status != http.StatusOK && r.status != http.StatusCreated {
		said, _ := parseMembers(r.header.Get("Content-Type"), r.body)
		return RegisteredClient{}, said.refusal(r)
	}
	var a struct {
		ClientID         string        `json:"client_id"`
		ClientSecret     secret.String `json:"client_secret"`
		AuthMethod       AuthMethod    `json:"token_endpoint_auth_method"`
		RedirectURIs     []string      `json:"redirect_uris"`
		ConfigurationURI string        `json:"registration_client_uri"`
		AccessToken      secret.String `json:"registration_access_token"`
	}
	unusable := func(text string) (RegisteredClient, error) {
		return RegisteredClient{}, &Error{Outcome: Unknown, Status: r.status, Err: errors.New(text)}
	}
	if err := json.Unmarshal(r.body, &a); err != nil {
		return unusable("the answer to the registration is not JSON as RFC 7591 has it")
	}
	if a.AuthMethod == "" { // some answer only what they made up
		a.AuthMethod = m.AuthMethod
	}
	switch {
	case a.ClientID == "":
		return unusable("the answer to the registration has no client_id")
	case a.AuthMethod == ClientSecretBasic || a.AuthMethod == ClientSecretPost:
		if a.ClientSecret.IsZero() {
			return unusable("the answer to the registration has no client_secret")
		}
	case a.AuthMethod != None:
		return unusable("the server has the client authenticate in a way that was not asked for")
	}
	if a.RedirectURIs != nil && !slices.Equal(a.RedirectURIs, m.RedirectURIs) {
		return unusable("the server has given the client other redirect URIs")
	}
	return RegisteredClient{a.ClientID, a.ClientSecret, a.AuthMethod, a.ConfigurationURI, a.AccessToken}, nil
}
