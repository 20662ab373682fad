package wire

// GetCallbackUrlInput is the request of GetCallbackUrl, an extension. There need not be a provider of that name yet.
type GetCallbackUrlInput struct {
	Name string `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
}

// GetCallbackUrlOutput is the answer of GetCallbackUrl: what to register at the vendor.
type GetCallbackUrlOutput struct {
	CallbackUrl string `json:"callbackUrl" wire:"required"`
}
