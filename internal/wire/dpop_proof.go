package wire

import "credence/internal/secret"

// CreateDpopProofInput is the request of CreateDpopProof, an extension. AccessToken is one of the type DPoP that GetResourceOauth2Token has given to the same
// workload and user; Htm and Htu are the method and the URL of the request that it goes with, and Nonce what the resource server said in DPoP-Nonce (RFC 9449).
type CreateDpopProofInput struct {
	WorkloadIdentityToken          secret.String `json:"workloadIdentityToken" wire:"required,len=1..131072"`
	ResourceCredentialProviderName string        `json:"resourceCredentialProviderName" wire:"required,len=1..128,pattern=credentialProviderName"`
	AccessToken                    secret.String `json:"accessToken" wire:"required,len=1..131072"`
	Htm                            string        `json:"htm" wire:"required,len=1..32,pattern=httpMethod"`
	Htu                            string        `json:"htu" wire:"required,len=1..2048"`
	Nonce                          *string       `json:"nonce" wire:"len=1..1024,pattern=dpopNonce"`
}

// CreateDpopProofOutput is the answer of CreateDpopProof: the value of the header DPoP, for one request, to be sent at once.
type CreateDpopProofOutput struct {
	DpopProof string `json:"dpopProof" wire:"required,sensitive"`
}
