package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"credence/internal/wire"
)

type grantCommand struct {
	List     grantListCommand     `cmd:"" help:"List grants: who may act as whom, where."`
	Describe grantDescribeCommand `cmd:"" help:"Show how a grant stands, and what to do next."`
	Revoke   grantRevokeCommand   `cmd:"" help:"End grants, here at once and shortly after at their vendors."`
	Import   grantImportCommand   `cmd:"" help:"Take over refresh tokens that users gave some other system: all of a file, or none."`
	Export   grantExportCommand   `cmd:"" help:"Write refresh tokens to a file that only the server's --export-recipient can open."`
	Rekey    grantRekeyCommand    `cmd:"" help:"Have the grants of a user go on as another's: the same person by another name."`
	Report   grantReportCommand   `cmd:"" help:"Report an access token that its resource refuses: it is renewed, or the user is asked again."`
}

// userFlags name a user in the way in which agents do.
type userFlags struct {
	UserID  string            `name:"user-id" help:"Of the user whom applications name so." placeholder:"ID"`
	Issuer  string            `help:"Of the user whose JWTs have this claim iss; with --subject, or with --claim." placeholder:"ISS"`
	Subject string            `help:"The claim sub of that user." placeholder:"SUB"`
	Claim   map[string]string `help:"A claim of that user, where others than sub make the users of the issuer; may be repeated." placeholder:"NAME=VALUE" mapsep:"none"`
}

// user is nil when no flag names one.
func (f userFlags) user() (*wire.GrantUser, error) {
	switch {
	case f.UserID != "" && f.Issuer+f.Subject == "" && len(f.Claim) == 0:
		return &wire.GrantUser{UserId: &f.UserID}, nil
	case f.UserID == "" && f.Issuer != "" && f.Subject != "" && len(f.Claim) == 0:
		return &wire.GrantUser{Jwt: &wire.GrantJwtUser{Issuer: f.Issuer, Subject: f.Subject}}, nil
	case f.UserID+f.Subject == "" && f.Issuer != "" && len(f.Claim) > 0:
		return &wire.GrantUser{JwtClaims: &wire.GrantClaimsUser{Issuer: f.Issuer, Claims: f.Claim}}, nil
	case f.UserID+f.Issuer+f.Subject == "" && len(f.Claim) == 0:
		return nil, nil
	}
	return nil, errors.New("a user is named by --user-id, by --issuer and --subject, or by --issuer and --claim")
}

// optional is nil for "".
func optional[T ~string](text T) *T {
	if text == "" {
		return nil
	}
	return &text
}

// chosenFlags choose grants; all that are given must hold.
type chosenFlags struct {
	userFlags
	Workload string `help:"Of this workload identity." placeholder:"NAME"`
	Provider string `help:"At this OAuth2 credential provider." placeholder:"NAME"`
}

type grantListCommand struct {
	clientFlags
	chosenFlags
	State wire.GrantState `help:"In this state: active, expired, refreshing, degraded, needs_consent, dead or revoked." placeholder:"STATE"`
}

func (c grantListCommand) Run(ctx context.Context, o output) error {
	user, err := c.user()
	if err != nil {
		return err
	}
	in := wire.ListGrantsInput{User: user, WorkloadName: optional(c.Workload), ResourceCredentialProviderName: optional(c.Provider), State: optional(c.State)}
	for {
		var page wire.ListGrantsOutput
		if err := c.call(ctx, "ListGrants", in, &page); err != nil {
			return err
		}
		for _, g := range page.Grants {
			who := "-"
			if g.User != nil {
				who = *g.User
			}
			o.printf("%s\t%s\t%s\t%s\t%s\t%s\n", g.GrantId, g.State, g.WorkloadName, g.ResourceCredentialProviderName, who, strings.Join(g.GrantedScopes, ","))
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return nil
		}
	}
}

type grantDescribeCommand struct {
	clientFlags
	Grant string `arg:"" help:"Id of the grant, as list shows it."`
}

func (c grantDescribeCommand) Run(ctx context.Context, o output) error {
	var g wire.Grant
	if err := c.call(ctx, "DescribeGrant", wire.DescribeGrantInput{GrantId: c.Grant}, &g); err != nil {
		return err
	}
	o.printf("grant      %s\nstate      %s\nworkload   %s\nprovider   %s\nflow       %s\n", g.GrantArn, g.State, g.WorkloadName, g.ResourceCredentialProviderName, g.Oauth2Flow)
	if g.User != nil {
		o.printf("user       %s\n", *g.User)
	}
	o.printf("scopes     %s\ncreated    %s\n", strings.Join(g.GrantedScopes, " "), stamp(g.CreatedTime))
	if g.RefreshedTime != nil {
		o.printf("refreshed  %s\n", stamp(*g.RefreshedTime))
	}
	if g.ExpiresAt != nil {
		o.printf("expires    %s\n", stamp(*g.ExpiresAt))
	}
	if g.UsedTime != nil {
		o.printf("used       %s\n", stamp(*g.UsedTime))
	}
	if g.RenewalTime != nil {
		o.printf("renewal    %s\n", stamp(*g.RenewalTime))
	}
	if g.RetryTime != nil {
		o.printf("retry      %s\n", stamp(*g.RetryTime))
	}
	if g.LastError != nil {
		o.printf("error      %s\n", *g.LastError)
	}
	o.printf("next       %s\n", g.NextStep)
	return nil
}

func stamp(t wire.Time) string { return t.UTC().Format(time.RFC3339) }

type grantRevokeCommand struct {
	clientFlags
	chosenFlags
	Grant string `arg:"" optional:"" help:"Id of one grant; without it, flags choose."`
	All   bool   `help:"Every grant of the account." env:"-"`
}

func (c grantRevokeCommand) Run(ctx context.Context, o output) error {
	user, err := c.user()
	if err != nil {
		return err
	}
	if c.Grant != "" {
		if user != nil || c.Workload+c.Provider != "" || c.All {
			return errors.New("one grant is revoked by its id alone: leave out the flags that choose several")
		}
		var g wire.Grant
		if err := c.call(ctx, "RevokeGrant", wire.RevokeGrantInput{GrantId: c.Grant}, &g); err != nil {
			return err
		}
		o.printf("revoked; %s\n", g.NextStep)
		return nil
	}
	in := wire.RevokeGrantsInput{User: user, WorkloadName: optional(c.Workload), ResourceCredentialProviderName: optional(c.Provider)}
	if c.All {
		in.All = &c.All
	}
	var out wire.RevokeGrantsOutput
	if err := c.call(ctx, "RevokeGrants", in, &out); err != nil {
		return err
	}
	o.printf("%d revoked; the audit log gets a receipt for each that its vendor was told of\n", *out.RevokedGrants)
	return nil
}

type grantReportCommand struct {
	clientFlags
	Grant       string `arg:"" help:"Id of the grant."`
	TokenSHA256 string `name:"token-sha256" help:"SHA-256 of the access token in hex; without it, the token is read from standard input." placeholder:"HEX"`
}

func (c grantReportCommand) Run(ctx context.Context, o output) error {
	hash := c.TokenSHA256
	if hash == "" {
		token, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(strings.TrimSpace(string(token))))
		hash = hex.EncodeToString(sum[:])
	}
	var out wire.ReportBadTokenOutput
	if err := c.call(ctx, "ReportBadToken", wire.ReportBadTokenInput{GrantId: &c.Grant, AccessTokenSha256: &hash}, &out); err != nil {
		return err
	}
	o.printf("%s\n", out.NextStep)
	return nil
}
