package wire

// The operations on trust bundles are extensions: they say whose X.509-SVIDs the roles of an account can trust.

// PutTrustBundleInput is the request of PutTrustBundle. TrustDomain is the name in SPIFFE IDs, spiffe://TRUST_DOMAIN/…; Certificates are those of its CAs, in PEM. An older
// bundle of the domain is replaced as a whole.
type PutTrustBundleInput struct {
	TrustDomain  string `json:"trustDomain" wire:"required,len=1..255,pattern=trustDomain"`
	Certificates string `json:"certificates" wire:"required,len=1..65536"`
}

// PutTrustBundleOutput is the answer of PutTrustBundle.
type PutTrustBundleOutput TrustBundle

// TrustBundle is the CAs of one SPIFFE trust domain.
type TrustBundle struct {
	TrustBundleArn  string          `json:"trustBundleArn" wire:"required"`
	TrustDomain     string          `json:"trustDomain" wire:"required"`
	Authorities     []X509Authority `json:"authorities" wire:"required"`
	CreatedTime     Time            `json:"createdTime" wire:"required"`
	LastUpdatedTime Time            `json:"lastUpdatedTime" wire:"required"`
}

// X509Authority is one CA of a trust bundle. Sha256 is that of its certificate in DER, in lower-case hexadecimal.
type X509Authority struct {
	Subject        string `json:"subject" wire:"required"`
	Sha256         string `json:"sha256" wire:"required"`
	ExpirationTime Time   `json:"expirationTime" wire:"required"`
}

// ListTrustBundlesInput is the request of ListTrustBundles.
type ListTrustBundlesInput struct{}

// ListTrustBundlesOutput is the answer of ListTrustBundles.
type ListTrustBundlesOutput struct {
	TrustBundles []TrustBundle `json:"trustBundles" wire:"required"`
}

// DeleteTrustBundleInput is the request of DeleteTrustBundle.
type DeleteTrustBundleInput struct {
	TrustDomain string `json:"trustDomain" wire:"required,len=1..255,pattern=trustDomain"`
}

// DeleteTrustBundleOutput is the answer of DeleteTrustBundle.
type DeleteTrustBundleOutput struct{}
