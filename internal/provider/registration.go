package provider

import (
	"slices"

	"credence/internal/oauth"
)

// Registration is how a client came to be that nobody entered by hand.
type Registration struct {
	Method     RegistrationMethod `json:"method"`
	AuthMethod oauth.AuthMethod   `json:"authMethod"` // that the server gave the client
	// Dynamic: where it registered, to register anew when the server has forgotten it, and where it is managed (RFC 7592), if anywhere.
	Endpoint         string `json:"endpoint,omitempty"`
	ConfigurationURI string `json:"configurationUri,omitempty"`
}

// RegistrationMethod says what a client's id is.
type RegistrationMethod string

// The methods.
const (
	MetadataDocument RegistrationMethod = "metadata_document" // the URL of a document of ours
	Dynamic          RegistrationMethod = "dynamic"           // what the server answered (RFC 7591)
)

// ClientMetadataURL is where the metadata document of a provider's client is, which is its client id where servers take such.
func ClientMetadataURL(publicURL, callbackID string) string {
	return publicURL + "/identities/oauth2/client/" + callbackID
}

// ClientMetadata is what the client of a provider says about itself. Its one redirect URI is the provider's own callback URL, so no two accounts share one.
func ClientMetadata(publicURL, callbackID, name string, method oauth.AuthMethod) oauth.ClientMetadata {
	return oauth.ClientMetadata{
		ClientName: "Credence (" + name + ")", RedirectURIs: []string{CallbackURL(publicURL, callbackID)},
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"}, AuthMethod: method,
	}
}

// AuthMethodFor chooses how a client that is registered at a server will authenticate; false when the server has only ways that need more than a secret.
func AuthMethodFor(server oauth.Metadata) (oauth.AuthMethod, bool) {
	if len(server.TokenEndpointAuthMethods) == 0 { // RFC 8414 section 2
		return oauth.ClientSecretBasic, true
	}
	for _, m := range []oauth.AuthMethod{oauth.ClientSecretBasic, oauth.ClientSecretPost, oauth.None} {
		if slices.Contains(server.TokenEndpointAuthMethods, string(m)) {
			return m, true
		}
	}
	return "", false
}

// Register puts a client that was registered at endpoint into a config, but for its secrets. Where it is managed is kept when that may be called.
func (c *Config) Register(client oauth.RegisteredClient, endpoint string, check func(url string) error) {
	c.ClientID = client.ID
	c.Registration = &Registration{Method: Dynamic, AuthMethod: client.AuthMethod, Endpoint: endpoint}
	if client.ConfigurationURI != "" && !client.AccessToken.IsZero() && check(client.ConfigurationURI) == nil {
		c.Registration.ConfigurationURI = client.ConfigurationURI
	}
}
