package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"credence/internal/iam"
	"credence/internal/wire"
)

type userCommand struct {
	Create userCreateCommand `cmd:"" help:"Make a user, who has no rights and no access key yet."`
	List   userListCommand   `cmd:"" help:"List users."`
	Tag    userTagCommand    `cmd:"" help:"Give a user these tags in place of those that he has."`
	Delete userDeleteCommand `cmd:"" help:"End a user with all access keys and policies."`
}

type userCreateCommand struct {
	clientFlags
	Name string            `arg:"" help:"Name of the user."`
	Tag  map[string]string `help:"A tag, for conditions on aws:PrincipalTag; may be repeated." placeholder:"KEY=VALUE"`
}

func (c userCreateCommand) Run(ctx context.Context, o output) error {
	var out wire.CreateUserOutput
	if err := c.call(ctx, "CreateUser", wire.CreateUserInput{UserName: c.Name, Tags: c.Tag}, &out); err != nil {
		return err
	}
	o.printf("made %s\n", out.Arn)
	return nil
}

type userListCommand struct{ clientFlags }

func (c userListCommand) Run(ctx context.Context, o output) error {
	var out wire.ListUsersOutput
	if err := c.call(ctx, "ListUsers", struct{}{}, &out); err != nil {
		return err
	}
	for _, u := range out.Users {
		o.printf("%s\t%s\t%s\n", u.UserName, u.UserId, stamp(u.CreatedTime))
	}
	return nil
}

type userTagCommand struct {
	clientFlags
	Name string            `arg:"" help:"Name of the user."`
	Tag  map[string]string `arg:"" optional:"" help:"KEY=VALUE; none takes all tags away."`
}

func (c userTagCommand) Run(ctx context.Context, _ output) error {
	if c.Tag == nil {
		c.Tag = map[string]string{}
	}
	return c.call(ctx, "UpdateUser", wire.UpdateUserInput{UserName: c.Name, Tags: c.Tag}, nil)
}

// forceFlag is of commands that take rights or keys away.
type forceFlag struct {
	Force bool `help:"Although nobody else with an access key administers the account." env:"-"`
}

func (f forceFlag) value() *bool {
	if !f.Force {
		return nil
	}
	return &f.Force
}

type userDeleteCommand struct {
	clientFlags
	forceFlag
	Name string `arg:"" help:"Name of the user."`
}

func (c userDeleteCommand) Run(ctx context.Context, o output) error {
	if err := c.call(ctx, "DeleteUser", wire.DeleteUserInput{UserName: c.Name, Force: c.value()}, nil); err != nil {
		return err
	}
	o.printf("%s is no more\n", c.Name)
	return nil
}

type accessKeyCommand struct {
	Create  accessKeyCreateCommand  `cmd:"" help:"Make an access key of a user, who may have two: one in use, one to come. Printed as an AWS credentials file."`
	List    accessKeyListCommand    `cmd:"" help:"List a user's access keys, and when each was last used."`
	Disable accessKeyDisableCommand `cmd:"" help:"Have an access key used no more until it is enabled."`
	Enable  accessKeyEnableCommand  `cmd:"" help:"Have a disabled access key used again."`
	Delete  accessKeyDeleteCommand  `cmd:"" help:"End an access key."`
}

type accessKeyCreateCommand struct {
	clientFlags
	User string `arg:"" help:"Name of the user."`
}

func (c accessKeyCreateCommand) Run(ctx context.Context, o output) error {
	var out wire.CreateAccessKeyOutput
	if err := c.call(ctx, "CreateAccessKey", wire.CreateAccessKeyInput{UserName: c.User}, &out); err != nil {
		return err
	}
	o.printf("# Credence: user %s. The secret is shown only now.\n[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", out.UserName, out.AccessKeyId, out.SecretAccessKey)
	return nil
}

type accessKeyListCommand struct {
	clientFlags
	User string `arg:"" help:"Name of the user."`
}

func (c accessKeyListCommand) Run(ctx context.Context, o output) error {
	var out wire.ListAccessKeysOutput
	if err := c.call(ctx, "ListAccessKeys", wire.ListAccessKeysInput{UserName: c.User}, &out); err != nil {
		return err
	}
	for _, k := range out.AccessKeys {
		used := "never used"
		if k.LastUsedTime != nil {
			used = "used " + stamp(*k.LastUsedTime) + " for " + *k.LastUsedService
		}
		o.printf("%s\t%s\t%s\t%s\n", k.AccessKeyId, k.Status, stamp(k.CreatedTime), used)
	}
	return nil
}

// accessKeyFlags name an access key.
type accessKeyFlags struct {
	clientFlags
	User string `arg:"" help:"Name of the user."`
	ID   string `arg:"" name:"id" help:"Id of the access key."`
}

func (f accessKeyFlags) update(ctx context.Context, status wire.AccessKeyStatus, force *bool) error {
	return f.call(ctx, "UpdateAccessKey", wire.UpdateAccessKeyInput{UserName: f.User, AccessKeyId: f.ID, Status: status, Force: force}, nil)
}

type accessKeyDisableCommand struct {
	accessKeyFlags
	forceFlag
}

func (c accessKeyDisableCommand) Run(ctx context.Context) error {
	return c.update(ctx, wire.AccessKeyInactive, c.value())
}

type accessKeyEnableCommand struct{ accessKeyFlags }

func (c accessKeyEnableCommand) Run(ctx context.Context) error {
	return c.update(ctx, wire.AccessKeyActive, nil)
}

type accessKeyDeleteCommand struct {
	accessKeyFlags
	forceFlag
}

func (c accessKeyDeleteCommand) Run(ctx context.Context) error {
	return c.call(ctx, "DeleteAccessKey", wire.DeleteAccessKeyInput{UserName: c.User, AccessKeyId: c.ID, Force: c.value()}, nil)
}

type roleCommand struct {
	Create roleCreateCommand `cmd:"" help:"Make a role, which has no rights yet: who may assume it is in a trust policy."`
	List   roleListCommand   `cmd:"" help:"List roles."`
	Trust  roleTrustCommand  `cmd:"" help:"Say anew who may assume a role. Its sessions go on."`
	Revoke roleRevokeCommand `cmd:"" help:"End all sessions of a role that there are, on every replica within a second."`
	Delete roleDeleteCommand `cmd:"" help:"End a role with its policies and sessions."`
}

// trustFlags say who may assume a role.
type trustFlags struct {
	TrustPolicy       string `arg:"" help:"File of the trust policy; - is the standard input."`
	TrustEverySubject bool   `help:"Take a trust policy that trusts every subject of an issuer." env:"-"`
}

func (f trustFlags) read() (document string, every *bool, err error) {
	if f.TrustEverySubject {
		every = &f.TrustEverySubject
	}
	document, err = readFile(f.TrustPolicy)
	return document, every, err
}

func readFile(name string) (string, error) {
	if name == "-" {
		text, err := io.ReadAll(os.Stdin)
		return string(text), err
	}
	text, err := os.ReadFile(name)
	return string(text), err
}

type roleCreateCommand struct {
	clientFlags
	Name string `arg:"" help:"Name of the role."`
	trustFlags
	Description string            `help:"What it is for." placeholder:"TEXT"`
	MaxSession  int32             `help:"How long a session may last, in seconds, 900 to 43200. Default: 3600." placeholder:"SECONDS"`
	Tag         map[string]string `help:"A tag, for conditions on aws:PrincipalTag; may be repeated." placeholder:"KEY=VALUE"`
}

func (c roleCreateCommand) Run(ctx context.Context, o output) error {
	document, every, err := c.trustFlags.read()
	if err != nil {
		return err
	}
	in := wire.CreateRoleInput{RoleName: c.Name, AssumeRolePolicyDocument: document, TrustEverySubject: every, Description: optional(c.Description), Tags: c.Tag}
	if c.MaxSession != 0 {
		in.MaxSessionDuration = &c.MaxSession
	}
	var out wire.CreateRoleOutput
	if err := c.call(ctx, "CreateRole", in, &out); err != nil {
		return err
	}
	o.printf("made %s\n", out.Arn)
	return nil
}

type roleListCommand struct{ clientFlags }

func (c roleListCommand) Run(ctx context.Context, o output) error {
	var out wire.ListRolesOutput
	if err := c.call(ctx, "ListRoles", struct{}{}, &out); err != nil {
		return err
	}
	for _, r := range out.Roles {
		o.printf("%s\t%s\t%ds\t%s\n", r.RoleName, r.Arn, *r.MaxSessionDuration, stamp(r.CreatedTime))
	}
	return nil
}

type roleTrustCommand struct {
	clientFlags
	Name string `arg:"" help:"Name of the role."`
	trustFlags
}

func (c roleTrustCommand) Run(ctx context.Context) error {
	document, every, err := c.trustFlags.read()
	if err != nil {
		return err
	}
	return c.call(ctx, "UpdateAssumeRolePolicy", wire.UpdateAssumeRolePolicyInput{RoleName: c.Name, PolicyDocument: document, TrustEverySubject: every}, nil)
}

type roleRevokeCommand struct {
	clientFlags
	Name string `arg:"" help:"Name of the role."`
}

func (c roleRevokeCommand) Run(ctx context.Context, o output) error {
	var out wire.RevokeRoleSessionsOutput
	if err := c.call(ctx, "RevokeRoleSessions", wire.RevokeRoleSessionsInput{RoleName: c.Name}, &out); err != nil {
		return err
	}
	o.printf("sessions of %s that were issued up to %s are refused\n", c.Name, stamp(out.RevokedBefore))
	return nil
}

type roleDeleteCommand struct {
	clientFlags
	Name string `arg:"" help:"Name of the role."`
}

func (c roleDeleteCommand) Run(ctx context.Context, o output) error {
	if err := c.call(ctx, "DeleteRole", wire.DeleteRoleInput{RoleName: c.Name}, nil); err != nil {
		return err
	}
	o.printf("%s is no more\n", c.Name)
	return nil
}

type policyCommand struct {
	Put     policyPutCommand     `cmd:"" help:"Give a user or role a policy, or replace the one of that name."`
	Show    policyShowCommand    `cmd:"" help:"Print a policy."`
	List    policyListCommand    `cmd:"" help:"List the policies of a user or role."`
	Delete  policyDeleteCommand  `cmd:"" help:"Take a policy from a user or role."`
	Explain policyExplainCommand `cmd:"" help:"Say whether policies allow something, and which statement decides."`
	Check   policyCheckCommand   `cmd:"" help:"Say whether a policy document is one, without a server."`
}

// principalFlags name whose policies are meant.
type principalFlags struct {
	clientFlags
	User string `help:"Of this user." xor:"principal" required:"" env:"-" placeholder:"NAME"`
	Role string `help:"Of this role." xor:"principal" required:"" env:"-" placeholder:"NAME"`
}

// of is an operation's name with User or Role in place of the %s, and the member that names whose.
func (f principalFlags) of(operation string, in map[string]any) (string, map[string]any) {
	if f.Role != "" {
		in["roleName"] = f.Role
		return fmt.Sprintf(operation, "Role"), in
	}
	in["userName"] = f.User
	return fmt.Sprintf(operation, "User"), in
}

type policyPutCommand struct {
	principalFlags
	forceFlag
	Name string `arg:"" help:"Name of the policy."`
	File string `arg:"" help:"File of the policy document; - is the standard input."`
}

func (c policyPutCommand) Run(ctx context.Context) error {
	document, err := readFile(c.File)
	if err != nil {
		return err
	}
	operation, in := c.of("Put%sPolicy", map[string]any{"policyName": c.Name, "policyDocument": document})
	if c.Force {
		in["force"] = true
	}
	return c.call(ctx, operation, in, nil)
}

type policyShowCommand struct {
	principalFlags
	Name string `arg:"" help:"Name of the policy."`
}

func (c policyShowCommand) Run(ctx context.Context, o output) error {
	var out struct{ PolicyDocument string }
	operation, in := c.of("Get%sPolicy", map[string]any{"policyName": c.Name})
	if err := c.call(ctx, operation, in, &out); err != nil {
		return err
	}
	o.printf("%s\n", strings.TrimSuffix(out.PolicyDocument, "\n"))
	return nil
}

type policyListCommand struct{ principalFlags }

func (c policyListCommand) Run(ctx context.Context, o output) error {
	var out struct{ PolicyNames []string }
	operation, in := c.of("List%sPolicies", map[string]any{})
	if err := c.call(ctx, operation, in, &out); err != nil {
		return err
	}
	for _, name := range out.PolicyNames {
		o.printf("%s\n", name)
	}
	return nil
}

type policyDeleteCommand struct {
	principalFlags
	forceFlag
	Name string `arg:"" help:"Name of the policy."`
}

func (c policyDeleteCommand) Run(ctx context.Context) error {
	operation, in := c.of("Delete%sPolicy", map[string]any{"policyName": c.Name})
	if c.Force {
		in["force"] = true
	}
	return c.call(ctx, operation, in, nil)
}

type policyExplainCommand struct {
	clientFlags
	As       string            `help:"ARN of a user or role." required:"" env:"-" placeholder:"ARN"`
	Action   string            `help:"Such as bedrock-agentcore:GetResourceOauth2Token." required:"" env:"-" placeholder:"ACTION"`
	Resource string            `help:"ARN of what the action is about." required:"" env:"-" placeholder:"ARN"`
	Context  map[string]string `help:"A condition key with its value, such as aws:SourceIp=192.0.2.1; may be repeated." env:"-" placeholder:"KEY=VALUE"`
}

func (c policyExplainCommand) Run(ctx context.Context, o output) error {
	var out wire.ExplainPolicyOutput
	if err := c.call(ctx, "ExplainPolicy", wire.ExplainPolicyInput{PrincipalArn: c.As, Action: c.Action, Resource: c.Resource, Context: c.Context}, &out); err != nil {
		return err
	}
	o.printf("%s: %s\n", out.Decision, out.Statement)
	return nil
}

type policyCheckCommand struct {
	File              string `arg:"" help:"File of the document; - is the standard input."`
	Trust             string `help:"It is the trust policy of a role of this account." placeholder:"ACCOUNT"`
	TrustEverySubject bool   `help:"Take a trust policy that trusts every subject of an issuer." env:"-"`
}

func (c policyCheckCommand) Run(o output) error {
	document, err := readFile(c.File)
	if err != nil {
		return err
	}
	if c.Trust != "" {
		_, err = iam.ParseTrustPolicy(c.Trust, []byte(document), iam.Subjects(c.TrustEverySubject))
	} else {
		_, err = iam.ParsePolicy([]byte(document))
	}
	if err != nil {
		return err
	}
	o.printf("it is well-formed\n")
	return nil
}
