package wire

import (
	"reflect"
	"slices"
)

// An operation under test: a zero input and output structure.
type operation struct {
	name    string
	in, out any
}

// operations are all operations of which this package has shapes, less the extensions.
var operations = []operation{
	{"CreateWorkloadIdentity", CreateWorkloadIdentityInput{}, CreateWorkloadIdentityOutput{}},
	{"GetWorkloadIdentity", GetWorkloadIdentityInput{}, GetWorkloadIdentityOutput{}},
	{"ListWorkloadIdentities", ListWorkloadIdentitiesInput{}, ListWorkloadIdentitiesOutput{}},
	{"UpdateWorkloadIdentity", UpdateWorkloadIdentityInput{}, UpdateWorkloadIdentityOutput{}},
	{"DeleteWorkloadIdentity", DeleteWorkloadIdentityInput{}, DeleteWorkloadIdentityOutput{}},
	{"CreateOauth2CredentialProvider", CreateOauth2CredentialProviderInput{}, CreateOauth2CredentialProviderOutput{}},
	{"GetOauth2CredentialProvider", GetOauth2CredentialProviderInput{}, GetOauth2CredentialProviderOutput{}},
	{"ListOauth2CredentialProviders", ListOauth2CredentialProvidersInput{}, ListOauth2CredentialProvidersOutput{}},
	{"UpdateOauth2CredentialProvider", UpdateOauth2CredentialProviderInput{}, UpdateOauth2CredentialProviderOutput{}},
	{"DeleteOauth2CredentialProvider", DeleteOauth2CredentialProviderInput{}, DeleteOauth2CredentialProviderOutput{}},
	{"CreateApiKeyCredentialProvider", CreateApiKeyCredentialProviderInput{}, CreateApiKeyCredentialProviderOutput{}},
	{"GetApiKeyCredentialProvider", GetApiKeyCredentialProviderInput{}, GetApiKeyCredentialProviderOutput{}},
	{"ListApiKeyCredentialProviders", ListApiKeyCredentialProvidersInput{}, ListApiKeyCredentialProvidersOutput{}},
	{"UpdateApiKeyCredentialProvider", UpdateApiKeyCredentialProviderInput{}, UpdateApiKeyCredentialProviderOutput{}},
	{"DeleteApiKeyCredentialProvider", DeleteApiKeyCredentialProviderInput{}, DeleteApiKeyCredentialProviderOutput{}},
	{"CreatePaymentCredentialProvider", CreatePaymentCredentialProviderInput{}, CreatePaymentCredentialProviderOutput{}},
	{"GetPaymentCredentialProvider", GetPaymentCredentialProviderInput{}, GetPaymentCredentialProviderOutput{}},
	{"ListPaymentCredentialProviders", ListPaymentCredentialProvidersInput{}, ListPaymentCredentialProvidersOutput{}},
	{"UpdatePaymentCredentialProvider", UpdatePaymentCredentialProviderInput{}, UpdatePaymentCredentialProviderOutput{}},
	{"DeletePaymentCredentialProvider", DeletePaymentCredentialProviderInput{}, DeletePaymentCredentialProviderOutput{}},
	{"GetTokenVault", GetTokenVaultInput{}, GetTokenVaultOutput{}},
	{"SetTokenVaultCMK", SetTokenVaultCMKInput{}, SetTokenVaultCMKOutput{}},
	{"ResetTokenVaultKeyMaterial", ResetTokenVaultKeyMaterialInput{}, ResetTokenVaultKeyMaterialOutput{}},
	{"CreateConsentPortal", CreateConsentPortalInput{}, CreateConsentPortalOutput{}},
	{"GetConsentPortal", GetConsentPortalInput{}, GetConsentPortalOutput{}},
	{"ListConsentPortals", ListConsentPortalsInput{}, ListConsentPortalsOutput{}},
	{"UpdateConsentPortal", UpdateConsentPortalInput{}, UpdateConsentPortalOutput{}},
	{"DeleteConsentPortal", DeleteConsentPortalInput{}, DeleteConsentPortalOutput{}},
	{"TagResource", TagResourceInput{}, TagResourceOutput{}},
	{"UntagResource", UntagResourceInput{}, UntagResourceOutput{}},
	{"ListTagsForResource", ListTagsForResourceInput{}, ListTagsForResourceOutput{}},
	{"GetWorkloadAccessToken", GetWorkloadAccessTokenInput{}, GetWorkloadAccessTokenOutput{}},
	{"GetWorkloadAccessTokenForJWT", GetWorkloadAccessTokenForJWTInput{}, GetWorkloadAccessTokenForJWTOutput{}},
	{"GetWorkloadAccessTokenForUserId", GetWorkloadAccessTokenForUserIdInput{}, GetWorkloadAccessTokenForUserIdOutput{}},
	{"GetResourceOauth2Token", GetResourceOauth2TokenInput{}, GetResourceOauth2TokenOutput{}},
	{"GetResourceApiKey", GetResourceApiKeyInput{}, GetResourceApiKeyOutput{}},
	{"GetResourcePaymentToken", GetResourcePaymentTokenInput{}, GetResourcePaymentTokenOutput{}},
	{"CompleteResourceTokenAuth", CompleteResourceTokenAuthInput{}, CompleteResourceTokenAuthOutput{}},
}

// extensionOperations are ours alone.
var extensionOperations = []operation{
	{"PutTrustedIssuer", PutTrustedIssuerInput{}, PutTrustedIssuerOutput{}},
	{"ListTrustedIssuers", ListTrustedIssuersInput{}, ListTrustedIssuersOutput{}},
	{"PutTrustBundle", PutTrustBundleInput{}, PutTrustBundleOutput{}},
	{"ListTrustBundles", ListTrustBundlesInput{}, ListTrustBundlesOutput{}},
	{"DeleteTrustBundle", DeleteTrustBundleInput{}, DeleteTrustBundleOutput{}},
	{"PutCeiling", PutCeilingInput{}, PutCeilingOutput{}},
	{"GetCeiling", GetCeilingInput{}, GetCeilingOutput{}},
	{"DeleteCeiling", DeleteCeilingInput{}, DeleteCeilingOutput{}},
	{"ListCeilings", ListCeilingsInput{}, ListCeilingsOutput{}},
	{"GetCallbackUrl", GetCallbackUrlInput{}, GetCallbackUrlOutput{}},
	{"CreateDpopProof", CreateDpopProofInput{}, CreateDpopProofOutput{}},
	{"DeleteTrustedIssuer", DeleteTrustedIssuerInput{}, DeleteTrustedIssuerOutput{}},
	{"PutSignInProvider", PutSignInProviderInput{}, PutSignInProviderOutput{}},
	{"ListSignInProviders", ListSignInProvidersInput{}, ListSignInProvidersOutput{}},
	{"DeleteSignInProvider", DeleteSignInProviderInput{}, DeleteSignInProviderOutput{}},
	{"DeleteAccount", DeleteAccountInput{}, DeleteAccountOutput{}},
	{"ExplainPolicy", ExplainPolicyInput{}, ExplainPolicyOutput{}},
	{"CreateAccount", CreateAccountInput{}, CreateAccountOutput{}},
	{"ListAccounts", ListAccountsInput{}, ListAccountsOutput{}},
	{"CreateUser", CreateUserInput{}, CreateUserOutput{}},
	{"GetUser", GetUserInput{}, GetUserOutput{}},
	{"ListUsers", ListUsersInput{}, ListUsersOutput{}},
	{"UpdateUser", UpdateUserInput{}, UpdateUserOutput{}},
	{"DeleteUser", DeleteUserInput{}, DeleteUserOutput{}},
	{"CreateAccessKey", CreateAccessKeyInput{}, CreateAccessKeyOutput{}},
	{"ListAccessKeys", ListAccessKeysInput{}, ListAccessKeysOutput{}},
	{"UpdateAccessKey", UpdateAccessKeyInput{}, UpdateAccessKeyOutput{}},
	{"DeleteAccessKey", DeleteAccessKeyInput{}, DeleteAccessKeyOutput{}},
	{"PutUserPolicy", PutUserPolicyInput{}, PutUserPolicyOutput{}},
	{"GetUserPolicy", GetUserPolicyInput{}, GetUserPolicyOutput{}},
	{"ListUserPolicies", ListUserPoliciesInput{}, ListUserPoliciesOutput{}},
	{"DeleteUserPolicy", DeleteUserPolicyInput{}, DeleteUserPolicyOutput{}},
	{"CreateRole", CreateRoleInput{}, CreateRoleOutput{}},
	{"GetRole", GetRoleInput{}, GetRoleOutput{}},
	{"ListRoles", ListRolesInput{}, ListRolesOutput{}},
	{"UpdateRole", UpdateRoleInput{}, UpdateRoleOutput{}},
	{"UpdateAssumeRolePolicy", UpdateAssumeRolePolicyInput{}, UpdateAssumeRolePolicyOutput{}},
	{"DeleteRole", DeleteRoleInput{}, DeleteRoleOutput{}},
	{"RevokeRoleSessions", RevokeRoleSessionsInput{}, RevokeRoleSessionsOutput{}},
	{"PutRolePolicy", PutRolePolicyInput{}, PutRolePolicyOutput{}},
	{"GetRolePolicy", GetRolePolicyInput{}, GetRolePolicyOutput{}},
	{"ListRolePolicies", ListRolePoliciesInput{}, ListRolePoliciesOutput{}},
	{"DeleteRolePolicy", DeleteRolePolicyInput{}, DeleteRolePolicyOutput{}},
	{"ImportGrants", ImportGrantsInput{}, ImportGrantsOutput{}},
	{"ExportGrants", ExportGrantsInput{}, ExportGrantsOutput{}},
	{"RekeyGrants", RekeyGrantsInput{}, RekeyGrantsOutput{}},
	{"PutWebhook", PutWebhookInput{}, PutWebhookOutput{}},
	{"ListWebhooks", ListWebhooksInput{}, ListWebhooksOutput{}},
	{"DeleteWebhook", DeleteWebhookInput{}, DeleteWebhookOutput{}},
	{"RotateWebhookSecret", RotateWebhookSecretInput{}, RotateWebhookSecretOutput{}},
	{"TestWebhook", TestWebhookInput{}, TestWebhookOutput{}},
	{"ListWebhookDeliveries", ListWebhookDeliveriesInput{}, ListWebhookDeliveriesOutput{}},
	{"RetryWebhookDeliveries", RetryWebhookDeliveriesInput{}, RetryWebhookDeliveriesOutput{}},
	{"DiscoverMcpServer", DiscoverMcpServerInput{}, DiscoverMcpServerOutput{}},
	{"CreateOauth2CredentialProviderFromMcpServer", CreateOauth2CredentialProviderFromMcpServerInput{}, CreateOauth2CredentialProviderFromMcpServerOutput{}},
	{"TestOauth2CredentialProvider", TestOauth2CredentialProviderInput{}, TestOauth2CredentialProviderOutput{}},
	{"CreateKey", CreateKeyInput{}, CreateKeyOutput{}},
	{"DescribeKey", DescribeKeyInput{}, DescribeKeyOutput{}},
	{"ListKeys", ListKeysInput{}, ListKeysOutput{}},
	{"GetPublicKey", GetPublicKeyInput{}, GetPublicKeyOutput{}},
	{"EnableKey", EnableKeyInput{}, EnableKeyOutput{}},
	{"DisableKey", DisableKeyInput{}, DisableKeyOutput{}},
	{"DeleteKey", DeleteKeyInput{}, DeleteKeyOutput{}},
	{"DescribeIssuer", DescribeIssuerInput{}, DescribeIssuerOutput{}},
	{"RotateIssuerKeys", RotateIssuerKeysInput{}, RotateIssuerKeysOutput{}},
	{"QueryAudit", QueryAuditInput{}, QueryAuditOutput{}},
	{"GetAuditCheckpoint", GetAuditCheckpointInput{}, GetAuditCheckpointOutput{}},
	{"GetAuditProof", GetAuditProofInput{}, GetAuditProofOutput{}},
	{"CreateAuditToken", CreateAuditTokenInput{}, CreateAuditTokenOutput{}},
}

// extensionMembers are the only members that the API of AgentCore Identity lacks, by Go type.
var extensionMembers = map[string][]string{
	"CreateWorkloadIdentityInput":          {"completeBySessionUri"},
	"CreateWorkloadIdentityOutput":         {"completeBySessionUri"},
	"GetWorkloadIdentityOutput":            {"completeBySessionUri"},
	"UpdateWorkloadIdentityInput":          {"completeBySessionUri"},
	"UpdateWorkloadIdentityOutput":         {"completeBySessionUri"},
	"CreateOauth2CredentialProviderInput":  {"confirm", "scopeMatch", "vendorHost", "refreshTokenGraceSeconds", "refreshTokenIdleSeconds", "minimumValiditySeconds", "dpopBoundAccessTokens", "tokenEndpointAuthMethod", "resourceIndicators", "requireSignedRequestObject", "identityAssertionProvider", "clientAssertionAudience", "deviceAuthorization"},
	"CreateOauth2CredentialProviderOutput": {"confirm", "scopeMatch", "vendorHost", "refreshTokenGraceSeconds", "refreshTokenIdleSeconds", "minimumValiditySeconds", "dpopBoundAccessTokens", "tokenEndpointAuthMethod", "resourceIndicators", "requireSignedRequestObject", "identityAssertionProvider", "clientAssertionAudience", "deviceAuthorization", "resource", "registration"},
	"GetOauth2CredentialProviderOutput":    {"confirm", "scopeMatch", "vendorHost", "refreshTokenGraceSeconds", "refreshTokenIdleSeconds", "minimumValiditySeconds", "dpopBoundAccessTokens", "tokenEndpointAuthMethod", "resourceIndicators", "requireSignedRequestObject", "identityAssertionProvider", "clientAssertionAudience", "deviceAuthorization", "resource", "registration"},
	"UpdateOauth2CredentialProviderInput":  {"confirm", "scopeMatch", "vendorHost", "refreshTokenGraceSeconds", "refreshTokenIdleSeconds", "minimumValiditySeconds", "dpopBoundAccessTokens", "tokenEndpointAuthMethod", "resourceIndicators", "requireSignedRequestObject", "identityAssertionProvider", "clientAssertionAudience", "deviceAuthorization"},
	"UpdateOauth2CredentialProviderOutput": {"confirm", "scopeMatch", "vendorHost", "refreshTokenGraceSeconds", "refreshTokenIdleSeconds", "minimumValiditySeconds", "dpopBoundAccessTokens", "tokenEndpointAuthMethod", "resourceIndicators", "requireSignedRequestObject", "identityAssertionProvider", "clientAssertionAudience", "deviceAuthorization", "resource", "registration"},
	"GetResourceOauth2TokenInput":          {"minimumValiditySeconds", "deviceAuthorization"},
	"GetResourceOauth2TokenOutput":         {"accessTokenExpiresAt", "grantedScopes", "tokenType"},
}

func allOperations() []operation { return slices.Concat(operations, extensionOperations) }

func newOf(zero any) any { return reflect.New(reflect.TypeOf(zero)).Interface() }

// membersOfModel are the members of a type by name, less its extension members.
func membersOfModel(t reflect.Type) map[string]*member {
	members := map[string]*member{}
	for name, m := range planOf(t).byName {
		if !slices.Contains(extensionMembers[t.Name()], name) {
			members[name] = m
		}
	}
	return members
}

// elementType is the type of the structure that a member is, or that it is a list of.
func elementType(t reflect.Type, m *member) reflect.Type { return t.FieldByIndex(m.index).Type.Elem() }
