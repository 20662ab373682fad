package wire

// DiscoverMcpServerInput is the request of DiscoverMcpServer. Url is that of an MCP server, or of any other protected resource. Issuer chooses one of its authorization
// servers; without it, the first.
type DiscoverMcpServerInput struct {
	Url    string  `json:"url" wire:"required,len=1..2048"`
	Issuer *string `json:"issuer" wire:"len=1..2048"`
}

// DiscoverMcpServerOutput is the answer of DiscoverMcpServer: what the resource (RFC 9728) and its authorization server (RFC 8414) say of themselves. Resource and Issuer
// are to be confirmed by a person; the rest is for him to judge by.
type DiscoverMcpServerOutput struct {
	Resource              string       `json:"resource" wire:"required"`
	ResourceName          *string      `json:"resourceName,omitzero"`
	ScopesSupported       []string     `json:"scopesSupported,omitzero"`
	AuthorizationServers  []string     `json:"authorizationServers" wire:"required"`
	Issuer                string       `json:"issuer" wire:"required"`
	AuthorizationEndpoint string       `json:"authorizationEndpoint" wire:"required"`
	TokenEndpoint         string       `json:"tokenEndpoint" wire:"required"`
	Registration          Registration `json:"registration" wire:"required"`
}

// CreateOauth2CredentialProviderFromMcpServerInput is the request of CreateOauth2CredentialProviderFromMcpServer. Resource and Issuer are those that somebody has
// confirmed; when the server says anything else by now, nothing is made.
type CreateOauth2CredentialProviderFromMcpServerInput struct {
	Name     string            `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	Url      string            `json:"url" wire:"required,len=1..2048"`
	Resource string            `json:"resource" wire:"required,len=1..2048"`
	Issuer   string            `json:"issuer" wire:"required,len=1..2048"`
	Tags     map[string]string `json:"tags" wire:"items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
}

// CreateOauth2CredentialProviderFromMcpServerOutput is the answer of CreateOauth2CredentialProviderFromMcpServer.
type CreateOauth2CredentialProviderFromMcpServerOutput CreateOauth2CredentialProviderOutput
