package awsapi

import (
	"context"
	"net/http"
	"slices"

	"credence/internal/admin"
	"credence/internal/broker"
	"credence/internal/control"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/wire"
)

// Operation is one row of a table: the API as it is served.
type Operation struct {
	Name   string
	Method string
	Path   string // its last segment may be a label, {name}: then any one segment matches
	Status int    // of success
	Action string // that its policies name
	// Exceptions are the kinds that it may answer, as the API models them; others are turned into one of these (errors.go).
	Exceptions []fault.Kind

	NewInput, NewOutput func() any // for tests that go through every row
	call                func(ctx context.Context, c iam.Caller, body []byte, o *wire.Outside) (any, error)
}

// Exceptions of whole groups of operations (specification section 2.0). Those of a signature can come of any.
var (
	common = []fault.Kind{fault.Validation, fault.Unauthorized, fault.AccessDenied, fault.NotFound, fault.Throttled, fault.Internal}
	create = with(common, fault.Quota, fault.Conflict, fault.Encryption, fault.Decryption)
	update = create
	read   = with(common, fault.Decryption)
	remove = with(common, fault.Conflict)
	change = with(common, fault.Quota, fault.Conflict)
	untag  = []fault.Kind{fault.Validation, fault.AccessDenied, fault.NotFound, fault.Throttled, fault.Internal}
	tag    = with(untag, fault.Quota)
)

// with is a group and more, in a slice of its own: servers are made at once.
func with(group []fault.Kind, more ...fault.Kind) []fault.Kind { return slices.Concat(group, more) }

// Operations are those of both planes of the AWS API.
func Operations(c *control.Control, b *broker.Broker) []Operation {
	return []Operation{
		aws("GetWorkloadAccessToken", "/identities/GetWorkloadAccessToken", 200, common, b.GetWorkloadAccessToken),
		aws("GetWorkloadAccessTokenForJWT", "/identities/GetWorkloadAccessTokenForJWT", 200, common, b.GetWorkloadAccessTokenForJWT),
		aws("GetWorkloadAccessTokenForUserId", "/identities/GetWorkloadAccessTokenForUserId", 200, common, b.GetWorkloadAccessTokenForUserId),
		aws("GetResourceOauth2Token", "/identities/oauth2/token", 200, common, b.GetResourceOauth2Token),
		aws("GetResourceApiKey", "/identities/api-key", 200, common, b.GetResourceApiKey),
		aws("GetResourcePaymentToken", "/identities/payment/token", 200, common, b.GetResourcePaymentToken),
		aws("CompleteResourceTokenAuth", "/identities/CompleteResourceTokenAuth", 200, common, b.CompleteResourceTokenAuth),

		aws("CreateWorkloadIdentity", "/identities/CreateWorkloadIdentity", 201, common, c.CreateWorkloadIdentity),
		aws("GetWorkloadIdentity", "/identities/GetWorkloadIdentity", 200, common, c.GetWorkloadIdentity),
		aws("ListWorkloadIdentities", "/identities/ListWorkloadIdentities", 200, common, c.ListWorkloadIdentities),
		aws("UpdateWorkloadIdentity", "/identities/UpdateWorkloadIdentity", 200, common, c.UpdateWorkloadIdentity),
		aws("DeleteWorkloadIdentity", "/identities/DeleteWorkloadIdentity", 204, common, c.DeleteWorkloadIdentity),

		aws("CreateOauth2CredentialProvider", "/identities/CreateOauth2CredentialProvider", 201, create, c.CreateOauth2CredentialProvider),
		aws("GetOauth2CredentialProvider", "/identities/GetOauth2CredentialProvider", 200, read, c.GetOauth2CredentialProvider),
		aws("ListOauth2CredentialProviders", "/identities/ListOauth2CredentialProviders", 200, common, c.ListOauth2CredentialProviders),
		aws("UpdateOauth2CredentialProvider", "/identities/UpdateOauth2CredentialProvider", 200, update, c.UpdateOauth2CredentialProvider),
		aws("DeleteOauth2CredentialProvider", "/identities/DeleteOauth2CredentialProvider", 204, remove, c.DeleteOauth2CredentialProvider),

		aws("CreateApiKeyCredentialProvider", "/identities/CreateApiKeyCredentialProvider", 201, create, c.CreateApiKeyCredentialProvider),
		aws("GetApiKeyCredentialProvider", "/identities/GetApiKeyCredentialProvider", 200, read, c.GetApiKeyCredentialProvider),
		aws("ListApiKeyCredentialProviders", "/identities/ListApiKeyCredentialProviders", 200, common, c.ListApiKeyCredentialProviders),
		aws("UpdateApiKeyCredentialProvider", "/identities/UpdateApiKeyCredentialProvider", 200, update, c.UpdateApiKeyCredentialProvider),
		aws("DeleteApiKeyCredentialProvider", "/identities/DeleteApiKeyCredentialProvider", 204, common, c.DeleteApiKeyCredentialProvider),

		aws("CreatePaymentCredentialProvider", "/identities/CreatePaymentCredentialProvider", 201, create, c.CreatePaymentCredentialProvider),
		aws("GetPaymentCredentialProvider", "/identities/GetPaymentCredentialProvider", 200, read, c.GetPaymentCredentialProvider),
		aws("ListPaymentCredentialProviders", "/identities/ListPaymentCredentialProviders", 200, common, c.ListPaymentCredentialProviders),
		aws("UpdatePaymentCredentialProvider", "/identities/UpdatePaymentCredentialProvider", 200, update, c.UpdatePaymentCredentialProvider),
		aws("DeletePaymentCredentialProvider", "/identities/DeletePaymentCredentialProvider", 204, common, c.DeletePaymentCredentialProvider),

		aws("GetTokenVault", "/identities/get-token-vault", 200, common, c.GetTokenVault),
		aws("SetTokenVaultCMK", "/identities/set-token-vault-cmk", 200, with(common, fault.ConcurrentModification), c.SetTokenVaultCMK),
		aws("ResetTokenVaultKeyMaterial", "/identities/reset-token-vault-key-material", 200, with(common, fault.Conflict, fault.ConcurrentModification), c.ResetTokenVaultKeyMaterial),

		aws("CreateConsentPortal", "/identities/CreateConsentPortal", 202, change, c.CreateConsentPortal),
		aws("GetConsentPortal", "/identities/GetConsentPortal", 200, common, c.GetConsentPortal),
		aws("ListConsentPortals", "/identities/ListConsentPortals", 200, common, c.ListConsentPortals),
		aws("UpdateConsentPortal", "/identities/UpdateConsentPortal", 202, change, c.UpdateConsentPortal),
		aws("DeleteConsentPortal", "/identities/DeleteConsentPortal", 204, common, c.DeleteConsentPortal),

		aws("TagResource", "/tags/{resourceArn}", 204, tag, c.TagResource),
		by(http.MethodDelete, aws("UntagResource", "/tags/{resourceArn}", 204, untag, c.UntagResource)),
		by(http.MethodGet, aws("ListTagsForResource", "/tags/{resourceArn}", 200, untag, c.ListTagsForResource)),
	}
}

// Extensions are Credence's own operations.
func Extensions(c *control.Control, b *broker.Broker, a *admin.Admin) []Operation {
	return []Operation{
		extension("GetCallbackUrl", 200, common, c.GetCallbackUrl),
		extension("DiscoverMcpServer", 200, common, c.DiscoverMcpServer),
		extension("CreateOauth2CredentialProviderFromMcpServer", 201, create, c.CreateOauth2CredentialProviderFromMcpServer),
		extension("TestOauth2CredentialProvider", 200, read, b.TestOauth2CredentialProvider),
		extension("ListGrants", 200, common, b.ListGrants),
		extension("DescribeGrant", 200, common, b.DescribeGrant),
		extension("RevokeGrant", 200, common, b.RevokeGrant),
		extension("RevokeGrants", 200, common, b.RevokeGrants),
		extension("ImportGrants", 200, with(common, fault.Encryption, fault.Decryption), b.ImportGrants),
		extension("ExportGrants", 200, read, b.ExportGrants),
		extension("RekeyGrants", 200, with(common, fault.Encryption, fault.Decryption), b.RekeyGrants),
		extension("ReportBadToken", 200, common, b.ReportBadToken),

		extension("Freeze", 200, common, b.Freeze),
		extension("Unfreeze", 204, common, b.Unfreeze),
		extension("ListFreezes", 200, common, b.ListFreezes),

		extension("PutCeiling", 200, with(create, fault.Quota), c.PutCeiling),
		extension("GetCeiling", 200, read, c.GetCeiling),
		extension("DeleteCeiling", 204, common, c.DeleteCeiling),
		extension("ListCeilings", 200, read, c.ListCeilings),

		extension("CreateDpopProof", 200, common, b.CreateDpopProof),
		extension("PutTrustedIssuer", 200, common, a.PutTrustedIssuer),
		extension("ListTrustedIssuers", 200, common, a.ListTrustedIssuers),
		extension("DeleteTrustedIssuer", 204, common, a.DeleteTrustedIssuer),
		extension("PutTrustBundle", 200, with(common, fault.Quota), a.PutTrustBundle),
		extension("ListTrustBundles", 200, common, a.ListTrustBundles),
		extension("DeleteTrustBundle", 204, common, a.DeleteTrustBundle),
		extension("PutSignInProvider", 200, create, a.PutSignInProvider),
		extension("ListSignInProviders", 200, common, a.ListSignInProviders),
		extension("DeleteSignInProvider", 204, common, a.DeleteSignInProvider),
		extension("CreateAccount", 201, create, a.CreateAccount),
		extension("ListAccounts", 200, common, a.ListAccounts),
		extension("DeleteAccount", 202, common, a.DeleteAccount),
		extension("CreateUser", 201, change, a.CreateUser),
		extension("GetUser", 200, common, a.GetUser),
		extension("ListUsers", 200, common, a.ListUsers),
		extension("UpdateUser", 200, common, a.UpdateUser),
		extension("DeleteUser", 204, common, a.DeleteUser),
		extension("CreateAccessKey", 201, create, a.CreateAccessKey),
		extension("ListAccessKeys", 200, common, a.ListAccessKeys),
		extension("UpdateAccessKey", 204, common, a.UpdateAccessKey),
		extension("DeleteAccessKey", 204, common, a.DeleteAccessKey),
		extension("PutUserPolicy", 204, change, a.PutUserPolicy),
		extension("GetUserPolicy", 200, common, a.GetUserPolicy),
		extension("ListUserPolicies", 200, common, a.ListUserPolicies),
		extension("DeleteUserPolicy", 204, common, a.DeleteUserPolicy),
		extension("ExplainPolicy", 200, common, a.ExplainPolicy),
		extension("CreateRole", 201, change, a.CreateRole),
		extension("GetRole", 200, common, a.GetRole),
		extension("ListRoles", 200, common, a.ListRoles),
		extension("UpdateRole", 200, common, a.UpdateRole),
		extension("UpdateAssumeRolePolicy", 204, common, a.UpdateAssumeRolePolicy),
		extension("DeleteRole", 204, common, a.DeleteRole),
		extension("RevokeRoleSessions", 200, common, a.RevokeRoleSessions),
		extension("PutRolePolicy", 204, change, a.PutRolePolicy),
		extension("GetRolePolicy", 200, common, a.GetRolePolicy),
		extension("ListRolePolicies", 200, common, a.ListRolePolicies),
		extension("DeleteRolePolicy", 204, common, a.DeleteRolePolicy),
		extension("PutWebhook", 200, with(create, fault.ConcurrentModification), a.PutWebhook),
		extension("ListWebhooks", 200, common, a.ListWebhooks),
		extension("DeleteWebhook", 204, common, a.DeleteWebhook),
		extension("RotateWebhookSecret", 200, with(read, fault.Encryption, fault.ConcurrentModification), a.RotateWebhookSecret),
		extension("TestWebhook", 200, read, a.TestWebhook),
		extension("ListWebhookDeliveries", 200, common, a.ListWebhookDeliveries),
		extension("RetryWebhookDeliveries", 200, common, a.RetryWebhookDeliveries),

		extension("CreateKey", 201, create, a.CreateKey),
		extension("DescribeKey", 200, common, a.DescribeKey),
		extension("ListKeys", 200, common, a.ListKeys),
		extension("GetPublicKey", 200, read, a.GetPublicKey),
		extension("DisableKey", 204, change, a.DisableKey),
		extension("EnableKey", 204, change, a.EnableKey),
		extension("DeleteKey", 204, change, a.DeleteKey),
		extension("DescribeIssuer", 200, read, a.DescribeIssuer),
		extension("RotateIssuerKeys", 200, create, a.RotateIssuerKeys),
		extension("QueryAudit", 200, read, a.QueryAudit),
		extension("GetAuditCheckpoint", 200, create, a.GetAuditCheckpoint),
		extension("GetAuditProof", 200, create, a.GetAuditProof),
		extension("CreateAuditToken", 200, create, a.CreateAuditToken),
	}
}

func aws[In, Out any](name, path string, status int, exceptions []fault.Kind, method func(context.Context, iam.Caller, *In) (*Out, error)) Operation {
	return operation("bedrock-agentcore:", name, path, status, exceptions, method)
}

func extension[In, Out any](name string, status int, exceptions []fault.Kind, method func(context.Context, iam.Caller, *In) (*Out, error)) Operation {
	return operation("credence:", name, "/credence/"+name, status, exceptions, method)
}

// by is an operation by another method than POST.
func by(method string, op Operation) Operation {
	op.Method = method
	return op
}

// operation is the generic adapter between bytes and a plane's method.
func operation[In, Out any](service, name, path string, status int, exceptions []fault.Kind, method func(context.Context, iam.Caller, *In) (*Out, error)) Operation {
	return Operation{
		Name: name, Method: http.MethodPost, Path: path, Status: status, Action: service + name, Exceptions: exceptions,
		NewInput: func() any { return new(In) }, NewOutput: func() any { return new(Out) },
		call: func(ctx context.Context, c iam.Caller, body []byte, o *wire.Outside) (any, error) {
			in := new(In)
			if err := wire.Decode(body, o, in); err != nil {
				return nil, err
			}
			return method(ctx, c, in)
		},
	}
}
