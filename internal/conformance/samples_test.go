package conformance

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"credence/internal/testenv"
	"credence/internal/wire"
)

// A sample is one request that has to succeed. The first of an operation is its smallest.
type sample struct {
	name string
	in   obj
}

// samples are, by operation, the requests that have to succeed, after making what they need. Together they use every member and every value of every enum
// that is not among the departures. Each sample is good for one request.
var samples = map[string]func(*world, *testing.T) []sample{
	"GetWorkloadAccessToken": func(w *world, t *testing.T) []sample {
		return []sample{{"smallest", obj{"workloadName": w.workload(t)}}}
	},
	"GetWorkloadAccessTokenForJWT": func(w *world, t *testing.T) []sample {
		return []sample{{"smallest", obj{"workloadName": w.workload(t), "userToken": w.jwt("alice")}}}
	},
	"GetWorkloadAccessTokenForUserId": func(w *world, t *testing.T) []sample {
		return []sample{{"smallest", obj{"workloadName": w.workload(t), "userId": "alice"}}}
	},
	"GetResourceOauth2Token": func(w *world, t *testing.T) []sample {
		request := func(user, flow string) obj {
			return obj{"workloadIdentityToken": w.wat(t, user), "resourceCredentialProviderName": w.provider(t), "scopes": []any{}, "oauth2Flow": flow}
		}
		asked := request("alice", "USER_FEDERATION")
		full := with(request("alice", "USER_FEDERATION"), obj{
			"scopes": []any{"read", "write"}, "resourceOauth2ReturnUrl": testenv.ReturnURL, "forceAuthentication": true, "customParameters": obj{"prompt": "consent"},
			"customState": "s", "deviceAuthorization": false, "resources": []any{"https://api.example"}, "audiences": []any{"api"},
		})
		return []sample{
			{"smallest", request("", "M2M")},
			{"fullest", full},
			{"fullest of M2M", with(request("", "M2M"), obj{
				"scopes": []any{"read"}, "forceAuthentication": false, "customParameters": obj{"tenant": "a"}, "resources": []any{"https://api.example"}, "audiences": []any{"api"},
				"minimumValiditySeconds": 60,
			})},
			{"fullest of ON_BEHALF_OF_TOKEN_EXCHANGE", with(request("", "ON_BEHALF_OF_TOKEN_EXCHANGE"), obj{
				"workloadIdentityToken":          w.must(t, "GetWorkloadAccessTokenForJWT", obj{"workloadName": w.workload(t), "userToken": w.jwt("alice")})["workloadAccessToken"],
				"resourceCredentialProviderName": w.create(t, "CreateOauth2CredentialProvider", "idp", w.custom(onBehalf("TOKEN_EXCHANGE", actor("M2M", "act")))),
				"scopes":                         []any{"read"}, "forceAuthentication": false, "customParameters": obj{"tenant": "a"}, "resources": []any{"https://api.example"}, "audiences": []any{"api"},
			})},
			{"poll", with(asked, obj{"sessionUri": w.must(t, "GetResourceOauth2Token", with(asked, obj{"resourceOauth2ReturnUrl": testenv.ReturnURL}))["sessionUri"]})},
		}
	},
	"GetResourceApiKey": func(w *world, t *testing.T) []sample {
		return []sample{{"smallest", obj{"workloadIdentityToken": w.wat(t, ""), "resourceCredentialProviderName": w.create(t, "CreateApiKeyCredentialProvider", "keys", apiKey())}}}
	},
	"GetResourcePaymentToken": func(w *world, t *testing.T) []sample {
		ask := func(config, request obj) obj {
			return obj{"workloadIdentityToken": w.wat(t, ""), "resourceCredentialProviderName": w.create(t, "CreatePaymentCredentialProvider", "wallet", config), "paymentTokenRequest": request}
		}
		coinbase := ask(coinbase(), obj{"coinbaseCdpTokenRequest": obj{"requestMethod": "GET", "requestPath": "/platform/v2/evm/accounts"}})
		privy := obj{"requestPath": "/v1/wallets", "requestBody": `{"a":1}`}
		all := []sample{{"smallest", coinbase}, {"smallest of StripePrivy", ask(privyConfig(), obj{"stripePrivyTokenRequest": privy})}}
		for _, method := range wire.PaymentHttpMethod("").Values() {
			all = append(all, sample{"fullest, " + method, with(coinbase, obj{"paymentTokenRequest": obj{"coinbaseCdpTokenRequest": obj{
				"requestMethod": method, "requestHost": "api.cdp.coinbase.com", "requestPath": "/platform/v2/evm/accounts?a=b", "includeWalletAuthToken": true, "requestBody": `{"a":1}`,
			}}})})
		}
		return append(all, sample{"fullest of StripePrivy", ask(privyConfig(), obj{"stripePrivyTokenRequest": with(privy, obj{"requestHost": "api.privy.io", "includeAuthorizationSignature": true})})})
	},
	"CompleteResourceTokenAuth": func(w *world, t *testing.T) []sample {
		user := w.must(t, "GetWorkloadAccessTokenForJWT", obj{"workloadName": w.workload(t), "userToken": w.jwt("alice")})["workloadAccessToken"]
		return []sample{
			{"a user id", obj{"sessionUri": w.consent(t, w.wat(t, "alice")).Get("session_id"), "userIdentifier": obj{"userId": "alice"}}},
			{"a user's JWT", obj{"sessionUri": w.consent(t, user).Get("session_id"), "userIdentifier": obj{"userToken": w.jwt("alice")}}},
		}
	},

	"CreateWorkloadIdentity": func(w *world, t *testing.T) []sample {
		return []sample{{"smallest", obj{"name": w.name("agent")}}, {"fullest", with(obj{"name": w.name("agent"), "tags": tags}, workloadSettings)}}
	},
	"GetWorkloadIdentity": func(w *world, t *testing.T) []sample { return []sample{{"smallest", obj{"name": w.workload(t)}}} },
	"UpdateWorkloadIdentity": func(w *world, t *testing.T) []sample {
		return []sample{{"smallest", obj{"name": w.workload(t)}}, {"fullest", with(obj{"name": w.workload(t)}, workloadSettings)}}
	},
	"DeleteWorkloadIdentity": func(w *world, t *testing.T) []sample { return []sample{{"smallest", obj{"name": w.workload(t)}}} },
	"ListWorkloadIdentities": list("ListWorkloadIdentities", func(w *world, t *testing.T) { w.workload(t) }),

	"CreateOauth2CredentialProvider": func(w *world, t *testing.T) []sample {
		all := []sample{{"smallest", with(obj{"name": w.name("idp")}, w.custom())}}
		for _, s := range w.oauth2Configs(t) {
			all = append(all, sample{s.name, with(obj{"name": w.name("idp"), "tags": tags}, s.in)})
		}
		return all
	},
	"GetOauth2CredentialProvider": func(w *world, t *testing.T) []sample { return []sample{{"smallest", obj{"name": w.provider(t)}}} },
	"UpdateOauth2CredentialProvider": func(w *world, t *testing.T) []sample {
		all := []sample{{"smallest", with(obj{"name": w.provider(t)}, w.custom())}}
		for _, s := range w.oauth2Configs(t) {
			all = append(all, sample{s.name, with(s.in, obj{"name": w.create(t, "CreateOauth2CredentialProvider", "idp", s.in)})})
		}
		return all
	},
	"DeleteOauth2CredentialProvider": func(w *world, t *testing.T) []sample { return []sample{{"smallest", obj{"name": w.provider(t)}}} },
	"ListOauth2CredentialProviders":  list("ListOauth2CredentialProviders", func(w *world, t *testing.T) { w.provider(t) }),

	"CreateApiKeyCredentialProvider": func(w *world, t *testing.T) []sample {
		return []sample{{"smallest", with(obj{"name": w.name("keys")}, apiKey())}, {"elsewhere", with(obj{"name": w.name("keys")}, w.apiKeyElsewhere(t))}, {"fullest", with(obj{"name": w.name("keys"), "apiKeySecretSource": "MANAGED", "tags": tags}, apiKey())}}
	},
	"GetApiKeyCredentialProvider": func(w *world, t *testing.T) []sample {
		return []sample{{"smallest", obj{"name": w.create(t, "CreateApiKeyCredentialProvider", "keys", apiKey())}}}
	},
	"UpdateApiKeyCredentialProvider": func(w *world, t *testing.T) []sample {
		name := obj{"name": w.create(t, "CreateApiKeyCredentialProvider", "keys", apiKey())}
		return []sample{{"smallest", name}, {"elsewhere", with(name, w.apiKeyElsewhere(t))}, {"fullest", with(name, obj{"apiKeySecretSource": "MANAGED"}, apiKey())}}
	},
	"DeleteApiKeyCredentialProvider": func(w *world, t *testing.T) []sample {
		return []sample{{"smallest", obj{"name": w.create(t, "CreateApiKeyCredentialProvider", "keys", apiKey())}}}
	},
	"ListApiKeyCredentialProviders": list("ListApiKeyCredentialProviders", func(w *world, t *testing.T) { w.create(t, "CreateApiKeyCredentialProvider", "keys", apiKey()) }),

	"CreatePaymentCredentialProvider": func(w *world, t *testing.T) []sample {
		return []sample{
			{"smallest", with(obj{"name": w.name("wallet")}, smallestCoinbase())}, {"fullest", with(obj{"name": w.name("wallet"), "tags": tags}, coinbase())},
			{"StripePrivy", with(obj{"name": w.name("wallet"), "tags": tags}, privyConfig())},
			{"elsewhere", with(obj{"name": w.name("wallet")}, w.coinbaseElsewhere(t))}, {"StripePrivy, elsewhere", with(obj{"name": w.name("wallet")}, w.privyElsewhere(t))},
		}
	},
	"GetPaymentCredentialProvider": func(w *world, t *testing.T) []sample {
		return []sample{{"smallest", obj{"name": w.wallet(t, coinbase())}}}
	},
	"UpdatePaymentCredentialProvider": func(w *world, t *testing.T) []sample {
		return []sample{
			{"smallest", with(obj{"name": w.wallet(t, coinbase())}, smallestCoinbase())}, {"fullest", with(obj{"name": w.wallet(t, coinbase())}, coinbase())},
			{"StripePrivy", with(obj{"name": w.wallet(t, privyConfig())}, privyConfig())},
			{"elsewhere", with(obj{"name": w.wallet(t, coinbase())}, w.coinbaseElsewhere(t))},
			{"StripePrivy, elsewhere", with(obj{"name": w.wallet(t, privyConfig())}, w.privyElsewhere(t))},
		}
	},
	"DeletePaymentCredentialProvider": func(w *world, t *testing.T) []sample {
		return []sample{{"smallest", obj{"name": w.wallet(t, coinbase())}}}
	},
	"ListPaymentCredentialProviders": list("ListPaymentCredentialProviders", func(w *world, t *testing.T) { w.wallet(t, coinbase()) }),

	"GetTokenVault": func(w *world, t *testing.T) []sample {
		w.provider(t) // the vault begins with its first provider
		return []sample{{"smallest", obj{}}, {"fullest", obj{"tokenVaultId": "default"}}}
	},
	"SetTokenVaultCMK": func(w *world, t *testing.T) []sample {
		w.provider(t)
		return []sample{
			{"smallest", obj{"kmsConfiguration": obj{"keyType": "ServiceManagedKey"}}},
			{"fullest", obj{"tokenVaultId": "default", "kmsConfiguration": obj{"keyType": "CustomerManagedKey", "kmsKeyArn": w.key(t)}}},
		}
	},
	"ResetTokenVaultKeyMaterial": func(w *world, t *testing.T) []sample {
		w.provider(t)
		key := w.key(t)
		w.must(t, "SetTokenVaultCMK", obj{"kmsConfiguration": obj{"keyType": "CustomerManagedKey", "kmsKeyArn": key}})
		w.extension(t, "DeleteKey", obj{"keyId": key, "force": true})
		return []sample{{"smallest", obj{"tokenVaultId": "default"}}}
	},

	"CreateConsentPortal": func(w *world, t *testing.T) []sample { return w.portals(t) },
	"GetConsentPortal":    func(w *world, t *testing.T) []sample { return w.portal(t) },
	"UpdateConsentPortal": func(w *world, t *testing.T) []sample {
		all := w.portal(t)
		settings := with(w.portals(t)[1].in)
		for _, name := range []string{"name", "sources", "tags"} {
			delete(settings, name)
		}
		return append(all, sample{"fullest", with(all[0].in, settings)})
	},
	"DeleteConsentPortal": func(w *world, t *testing.T) []sample { return w.portal(t)[:1] },
	"ListConsentPortals":  list("ListConsentPortals", func(w *world, t *testing.T) { w.portal(t) }),

	"TagResource": func(w *world, t *testing.T) []sample {
		return []sample{{"smallest", obj{"resourceArn": w.arn("token-vault/default/oauth2credentialprovider/" + w.provider(t)), "tags": obj{}}}, {"fullest", with(w.tagged(t), obj{"tags": tags})}}
	},
	"UntagResource": func(w *world, t *testing.T) []sample {
		return []sample{{"smallest", with(w.tagged(t), obj{"tagKeys": []any{"team"}})}}
	},
	"ListTagsForResource": func(w *world, t *testing.T) []sample { return []sample{{"smallest", w.tagged(t)}} },
}

var (
	tags             = obj{"team": "a", "cost center": ""}
	workloadSettings = obj{"allowedResourceOauth2ReturnUrls": []any{testenv.ReturnURL, "http://127.0.0.1:3000/done", "com.example.app:/done"}, "completeBySessionUri": true}

	walletKey, authorizationKey = newKeys()
)

// list is the two requests of an operation that lists what make makes.
func list(operation string, make func(*world, *testing.T)) func(*world, *testing.T) []sample {
	return func(w *world, t *testing.T) []sample {
		make(w, t)
		make(w, t)
		return []sample{{"smallest", obj{}}, {"fullest", obj{"maxResults": 1, "nextToken": w.must(t, operation, obj{"maxResults": 1})["nextToken"]}}}
	}
}

func newKeys() (ed, ec string) {
	_, edKey, _ := ed25519.GenerateKey(rand.Reader) // never fails
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ecKey)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(edKey), base64.StdEncoding.EncodeToString(der)
}

func apiKey() obj { return obj{"apiKey": "planted-api-key-value"} }

func smallestCoinbase() obj {
	return obj{"credentialProviderVendor": "CoinbaseCDP", "providerConfigurationInput": obj{"coinbaseCdpConfiguration": obj{"apiKeyId": "key-1", "apiKeySecret": walletKey}}}
}

func coinbase() obj {
	return obj{"credentialProviderVendor": "CoinbaseCDP", "providerConfigurationInput": obj{"coinbaseCdpConfiguration": obj{
		"apiKeyId": "key-1", "apiKeySecret": walletKey, "apiKeySecretSource": "MANAGED", "walletSecret": authorizationKey, "walletSecretSource": "MANAGED",
	}}}
}

func privyConfig() obj {
	return obj{"credentialProviderVendor": "StripePrivy", "providerConfigurationInput": obj{"stripePrivyConfiguration": obj{
		"appId": "app-1", "appSecret": "planted-app-secret", "appSecretSource": "MANAGED",
		"authorizationId": "quorum-1", "authorizationPrivateKey": "wallet-auth:" + authorizationKey, "authorizationPrivateKeySource": "MANAGED",
	}}}
}

// kept is a reference to a secret in a file below the operator's prefix of the account.
func (w *world) kept(t *testing.T, value string) obj {
	t.Helper()
	path := filepath.Join(w.elsewhere, w.name("secret"))
	if err := os.WriteFile(path, []byte(marshal(t, obj{"value": value})), 0o600); err != nil {
		t.Fatal(err)
	}
	return obj{"secretId": "file://" + path, "jsonKey": "value"}
}

func (w *world) apiKeyElsewhere(t *testing.T) obj {
	return obj{"apiKeySecretSource": "EXTERNAL", "apiKeySecretConfig": w.kept(t, "planted-api-key-value")}
}

func (w *world) coinbaseElsewhere(t *testing.T) obj {
	return obj{"credentialProviderVendor": "CoinbaseCDP", "providerConfigurationInput": obj{"coinbaseCdpConfiguration": obj{
		"apiKeyId": "key-1", "apiKeySecretSource": "EXTERNAL", "apiKeySecretConfig": w.kept(t, walletKey),
		"walletSecretSource": "EXTERNAL", "walletSecretConfig": w.kept(t, authorizationKey),
	}}}
}

func (w *world) privyElsewhere(t *testing.T) obj {
	return obj{"credentialProviderVendor": "StripePrivy", "providerConfigurationInput": obj{"stripePrivyConfiguration": obj{
		"appId": "app-1", "appSecretSource": "EXTERNAL", "appSecretConfig": w.kept(t, "planted-app-secret"),
		"authorizationId": "quorum-1", "authorizationPrivateKeySource": "EXTERNAL", "authorizationPrivateKeyConfig": w.kept(t, "wallet-auth:"+authorizationKey),
	}}}
}

// create makes a resource of the account and gives its name.
func (w *world) create(t *testing.T, operation, kind string, in obj) string {
	t.Helper()
	name := w.name(kind)
	w.must(t, operation, with(in, obj{"name": name}))
	return name
}

func (w *world) workload(t *testing.T) string {
	return w.create(t, "CreateWorkloadIdentity", "agent", obj{"allowedResourceOauth2ReturnUrls": []any{testenv.ReturnURL}})
}

func (w *world) provider(t *testing.T) string {
	return w.create(t, "CreateOauth2CredentialProvider", "idp", w.custom())
}

func (w *world) wallet(t *testing.T, config obj) string {
	return w.create(t, "CreatePaymentCredentialProvider", "wallet", config)
}

// wat is a workload access token of a new workload identity; user "" is nobody.
func (w *world) wat(t *testing.T, user string) any {
	in := obj{"workloadName": w.workload(t)}
	if user == "" {
		return w.must(t, "GetWorkloadAccessToken", in)["workloadAccessToken"]
	}
	return w.must(t, "GetWorkloadAccessTokenForUserId", with(in, obj{"userId": user}))["workloadAccessToken"]
}

// asked is a consent that a user is asked for.
func (w *world) asked(t *testing.T, wat any) obj {
	return w.must(t, "GetResourceOauth2Token", obj{
		"workloadIdentityToken": wat, "resourceCredentialProviderName": w.provider(t), "scopes": []any{"read"}, "oauth2Flow": "USER_FEDERATION", "resourceOauth2ReturnUrl": testenv.ReturnURL,
	})
}

// consent is what the return URL is given once a user has consented.
func (w *world) consent(t *testing.T, wat any) url.Values {
	return testenv.NewBrowser(t).Visit(w.asked(t, wat)["authorizationUrl"].(string))
}

func (w *world) jwt(user string) string { return w.Vendor.Sign(obj{"sub": user, "aud": "app"}) }

// custom is the smallest configuration of an OAuth2 provider, for the vendor of the test environment, and settings.
func (w *world) custom(settings ...obj) obj {
	smallest := obj{"clientId": testenv.ClientID, "clientSecret": testenv.ClientSecret, "oauthDiscovery": obj{"discoveryUrl": w.Vendor.Issuer() + "/.well-known/openid-configuration"}}
	return obj{"credentialProviderVendor": "CustomOauth2", "oauth2ProviderConfigInput": obj{"customOauth2ProviderConfig": with(append([]obj{smallest}, settings...)...)}}
}

// onBehalf is a way of a custom provider to trade users' JWTs.
func onBehalf(grantType string, settings ...obj) obj {
	return obj{"onBehalfOfTokenExchangeConfig": with(append([]obj{{"grantType": grantType}}, settings...)...)}
}

func actor(content string, scopes ...any) obj {
	config := obj{"actorTokenContent": content}
	if scopes != nil {
		config["actorTokenScopes"] = scopes
	}
	return obj{"tokenExchangeGrantTypeConfig": config}
}

// oauth2Configs are configurations of every vendor, by every member.
func (w *world) oauth2Configs(t *testing.T) []sample {
	client := obj{"clientId": "client-1", "clientSecret": testenv.ClientSecret, "clientSecretSource": "MANAGED"}
	elsewhere := obj{"clientId": "client-1", "clientSecretSource": "EXTERNAL", "clientSecretConfig": w.kept(t, testenv.ClientSecret)}
	config := func(vendor, member string, settings ...obj) obj {
		return obj{"credentialProviderVendor": vendor, "oauth2ProviderConfigInput": obj{member: with(append([]obj{client}, settings...)...)}}
	}
	custom := func(settings ...obj) obj { return config("CustomOauth2", "customOauth2ProviderConfig", settings...) }
	discovery := obj{"oauthDiscovery": obj{"discoveryUrl": "https://idp.example/.well-known/oauth-authorization-server"}}
	metadata := obj{"issuer": "https://idp.example", "authorizationEndpoint": "https://idp.example/authorize", "tokenEndpoint": "https://idp.example/token"}
	all := []sample{
		{"fullest", with(custom(discovery, obj{"clientAuthenticationMethod": "CLIENT_SECRET_POST"}), obj{"confirm": "first", "scopeMatch": "exact"})},
		{"metadata", with(custom(obj{"oauthDiscovery": obj{"authorizationServerMetadata": with(metadata, obj{"responseTypes": []any{"code"}, "tokenEndpointAuthMethods": []any{"client_secret_basic"}})}}),
			obj{"confirm": "always", "scopeMatch": "subset", "refreshTokenGraceSeconds": 30, "refreshTokenIdleSeconds": 86400, "minimumValiditySeconds": 120, "deviceAuthorization": true})},
		{"smallest metadata", with(custom(obj{"oauthDiscovery": obj{"authorizationServerMetadata": metadata}, "clientAuthenticationMethod": "CLIENT_SECRET_BASIC"}), obj{"confirm": "never"})},
		{"secret elsewhere", obj{"credentialProviderVendor": "CustomOauth2", "oauth2ProviderConfigInput": obj{"customOauth2ProviderConfig": with(elsewhere, discovery)}}},
		{"Microsoft, secret elsewhere", obj{"credentialProviderVendor": "MicrosoftOauth2", "oauth2ProviderConfigInput": obj{"microsoftOauth2ProviderConfig": elsewhere}}},
		{"Okta, secret elsewhere", obj{"credentialProviderVendor": "OktaOauth2", "oauth2ProviderConfigInput": obj{"includedOauth2ProviderConfig": with(elsewhere, metadata)}}},
		{"on behalf of, with an actor", custom(discovery, onBehalf("TOKEN_EXCHANGE", actor("M2M", "act")))},
		{"on behalf of, with the workload identity as actor", custom(discovery, onBehalf("TOKEN_EXCHANGE", actor("AWS_IAM_ID_TOKEN_JWT")))},
		{"a client whom the issuer vouches for", obj{"clientAssertionAudience": "token_endpoint", "credentialProviderVendor": "CustomOauth2", "oauth2ProviderConfigInput": obj{
			"customOauth2ProviderConfig": with(discovery, obj{"clientAuthenticationMethod": "AWS_IAM_ID_TOKEN_JWT"}),
		}}},
		{"on behalf of, without client", custom(discovery, onBehalf("TOKEN_EXCHANGE", actor("NONE"), obj{"onBehalfOfAuthenticationConfig": obj{"clientAuthenticationMethod": "NO_CLIENT"}}))},
		{"a client whom the issuer vouches for, to the vendor's issuer", obj{"credentialProviderVendor": "CustomOauth2", "clientAssertionAudience": "issuer", "oauth2ProviderConfigInput": obj{
			"customOauth2ProviderConfig": with(discovery, obj{"clientAuthenticationMethod": "AWS_IAM_ID_TOKEN_JWT"}),
		}}},
		{"on behalf of, by an assertion of the identity provider", with(custom(discovery, onBehalf("JWT_AUTHORIZATION_GRANT")), obj{"identityAssertionProvider": w.create(t, "CreateOauth2CredentialProvider", "idp", custom(discovery, onBehalf("TOKEN_EXCHANGE")))})},
		{"on behalf of, by a JWT grant", custom(discovery, onBehalf("JWT_AUTHORIZATION_GRANT"))},
		{"a public client", obj{"credentialProviderVendor": "CustomOauth2", "oauth2ProviderConfigInput": obj{"customOauth2ProviderConfig": with(discovery, obj{"clientId": "client-1"})},
			"tokenEndpointAuthMethod": "none", "resourceIndicators": false, "requireSignedRequestObject": false}},
		{"a certificate", with(custom(discovery, obj{"clientSecret": certificate(t)}), obj{"tokenEndpointAuthMethod": "tls_client_auth"})},
		{"signed by the secret", with(custom(discovery, obj{"clientSecret": strings.Repeat("s", 32)}), obj{"tokenEndpointAuthMethod": "client_secret_jwt"})},
		{"tokens bound to keys", with(custom(discovery), obj{"dpopBoundAccessTokens": true})},
		{"a host of the customer", with(config("GithubOauth2", "githubOauth2ProviderConfig"), obj{"vendorHost": "github.example.com"})},
	}
	for _, a := range []struct{ algorithm, spec string }{{"RS256", "RSA_2048"}, {"PS256", "RSA_2048"}, {"ES256", "ECC_NIST_P256"}} {
		key := w.extension(t, "CreateKey", obj{"keyUsage": "CLIENT_ASSERTION", "keySpec": a.spec, "clientId": "client-1"})["keyArn"]
		all = append(all, sample{"private_key_jwt, " + a.algorithm, obj{"credentialProviderVendor": "CustomOauth2", "oauth2ProviderConfigInput": obj{"customOauth2ProviderConfig": with(discovery, obj{
			"clientId": "client-1", "clientAuthenticationMethod": "PRIVATE_KEY_JWT", "privateKeyJwtConfig": obj{
				"privateKeySource": obj{"kmsKeySource": obj{"kmsKeyArn": key}}, "signingAlgorithm": a.algorithm,
				"additionalHeaderClaims": obj{"x5t#S256": "v"}, "additionalPayloadClaims": obj{"tenant": "a"},
			},
		})}}})
	}
	member := map[string]string{}
	for _, vendor := range []string{"Google", "Github", "Slack", "Salesforce", "Microsoft", "Atlassian", "Linkedin"} {
		member[vendor+"Oauth2"] = strings.ToLower(vendor) + "Oauth2ProviderConfig"
	}
	for _, vendor := range wire.CredentialProviderVendor("").Values() {
		switch {
		case vendor == "CustomOauth2":
		case vendor == "MicrosoftOauth2":
			all = append(all, sample{vendor, config(vendor, member[vendor], obj{"tenantId": "contoso.example"})})
		case member[vendor] != "":
			all = append(all, sample{vendor, config(vendor, member[vendor])}, sample{vendor + ", secret elsewhere", obj{
				"credentialProviderVendor": vendor, "oauth2ProviderConfigInput": obj{member[vendor]: elsewhere},
			}})
		default:
			all = append(all, sample{vendor, config(vendor, "includedOauth2ProviderConfig", metadata)})
		}
	}
	return all
}

// portals are the requests that make consent portals.
func (w *world) portals(t *testing.T) []sample {
	source := func(identifier string) []any {
		return []any{obj{"identifier": identifier, "type": "agentcore-gateway"}}
	}
	smallest := obj{
		"name": w.name("portal"), "executionRoleArn": "arn:aws:iam::" + w.caller.Account + ":role/portal", "sources": source("gateway-0123456789"),
		"idpConfig": obj{"credentialProviderArn": w.arn("token-vault/default/oauth2credentialprovider/" + w.provider(t)), "scopes": []any{}},
	}
	return []sample{{"smallest", smallest}, {"fullest", with(smallest, obj{
		"name": w.name("portal"), "description": "d", "tags": tags, "sources": source(w.arn("workload-identity-directory/default/workload-identity/" + w.workload(t))),
		"idpConfig": with(smallest["idpConfig"].(obj), obj{"scopes": []any{"openid"}, "audience": "app"}),
	})}}
}

// portal is a consent portal, by its id and by its ARN.
func (w *world) portal(t *testing.T) []sample {
	made := w.must(t, "CreateConsentPortal", w.portals(t)[1].in)
	return []sample{{"smallest", obj{"consentPortalIdentifier": made["consentPortalId"]}}, {"by ARN", obj{"consentPortalIdentifier": made["consentPortalArn"]}}}
}

// key is the ARN of a new key that may seal the token vault.
func (w *world) key(t *testing.T) any {
	return w.extension(t, "CreateKey", obj{"keyUsage": "TOKEN_VAULT"})["keyArn"]
}

// extension calls an operation of Credence's own, and gives the answer.
func (w *world) extension(t *testing.T, operation string, in obj) obj {
	t.Helper()
	a := w.caller.Call("/credence/"+operation, marshal(t, in))
	if a.Status >= 300 {
		t.Fatalf("%s: %d %s", operation, a.Status, a.Body)
	}
	if a.Body == "" {
		return nil
	}
	return parse(t, a.Body)
}

// tagged is a resource that may have tags.
func (w *world) tagged(t *testing.T) obj {
	return obj{"resourceArn": w.arn("workload-identity-directory/default/workload-identity/" + w.create(t, "CreateWorkloadIdentity", "agent", obj{"tags": tags}))}
}
