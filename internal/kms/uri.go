package kms

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"credence/internal/openbao"
)

// reference is a URI taken apart.
type reference struct {
	name string // canonical, without version and options
	open func(context.Context) (backend, error)
}

var (
	awsForm   = regexp.MustCompile(`^awskms:///(arn:aws[a-z-]*:kms:([a-z0-9-]+):([0-9]{12}):key/[a-z0-9-]+)$`)
	gcpForm   = regexp.MustCompile(`^gcpkms://(projects/[a-z0-9.:-]+/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]+/cryptoKeys/[A-Za-z0-9_-]+)(/cryptoKeyVersions/[0-9]+)?$`)
	azureForm = regexp.MustCompile(`^azurekeyvault://((?i:[a-z0-9-]+\.vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net)))/keys/([A-Za-z0-9-]+)(?:/([0-9a-f]{32}))?$`)
)

const forms = "use awskms:///arn:aws:kms:REGION:ACCOUNT:key/ID, gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K, " +
	"azurekeyvault://VAULT.vault.azure.net/keys/NAME or openbao://HOST[:PORT]/MOUNT/keys/NAME"

func parse(uri string) (reference, error) {
	if m := awsForm.FindStringSubmatch(uri); m != nil {
		return reference{uri, func(ctx context.Context) (backend, error) { return openAWS(ctx, m[1], m[2], m[3]) }}, nil
	}
	if m := gcpForm.FindStringSubmatch(uri); m != nil {
		return reference{"gcpkms://" + m[1], func(ctx context.Context) (backend, error) { return openGCP(ctx, m[1], m[2]) }}, nil
	}
	if m := azureForm.FindStringSubmatch(uri); m != nil {
		host := strings.ToLower(m[1])
		name := "azurekeyvault://" + host + "/keys/" + strings.ToLower(m[2]) // Key Vault does not tell cases apart
		return reference{name, func(context.Context) (backend, error) { return openAzure(host, m[2], m[3]) }}, nil
	}
	if strings.HasPrefix(uri, "openbao:") {
		address, path, err := openbao.ParseURI(uri)
		if err != nil {
			return reference{}, err
		}
		parts := strings.Split(path, "/")
		if n := len(parts); n >= 3 && parts[n-2] == "keys" {
			mount, key := strings.Join(parts[:n-2], "/"), parts[n-1]
			_, host, _ := strings.Cut(address, "://")
			return reference{"openbao://" + host + "/" + path, func(context.Context) (backend, error) { return openBao(address, mount, key) }}, nil
		}
	}
	return reference{}, fmt.Errorf("%.200q does not name a key: %s", uri, forms)
}
