package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"credence/internal/server"
)

// cli is every command and flag; each flag is an environment variable too (--data-dir is CREDENCE_DATA_DIR).
type cli struct {
	Serve     serveCommand     `cmd:"" help:"Run the server. The first start makes the data directory."`
	Provider  providerCommand  `cmd:"" help:"Prepare credential providers."`
	Grant     grantCommand     `cmd:"" help:"See who may act as whom, and end it."`
	Freeze    freezeCommand    `cmd:"" help:"Stop issuing anything to a user, workload identity, provider or account."`
	Unfreeze  unfreezeCommand  `cmd:"" help:"End a freeze."`
	Freezes   freezesCommand   `cmd:"" help:"List what is frozen."`
	Ceiling   ceilingCommand   `cmd:"" help:"Limit what may be had at most of a provider, or by a workload identity."`
	Account   accountCommand   `cmd:"" help:"Make, list and end accounts."`
	User      userCommand      `cmd:"" help:"Users of an account."`
	Role      roleCommand      `cmd:"" help:"Roles, which callers without a key assume."`
	AccessKey accessKeyCommand `cmd:"" help:"Access keys of users."`
	SignIn    signInCommand    `cmd:"" help:"Where people sign in to the console."`
	Policy    policyCommand    `cmd:"" help:"What users and roles may do."`
	Audit     auditCommand     `cmd:"" help:"See who did what for whom, and prove that nothing is missing."`
	Webhook   webhookCommand   `cmd:"" help:"Have somebody told what becomes of grants."`
	Issuer    issuerCommand    `cmd:"" help:"Trust issuers of user JWTs."`
	Keys      keysCommand      `cmd:"" help:"Keys that seal token vaults, sign client assertions, or are the issuer's."`
	Doctor    doctorCommand    `cmd:"" help:"Check an installation, and say how to mend it."`
	DB        dbCommand        `cmd:"" name:"db" help:"Look after the database: schema, copies, PostgreSQL."`
	Backup    backupCommand    `cmd:"" help:"Write an encrypted backup of an installation, which may be running."`
	Restore   restoreCommand   `cmd:"" help:"Make an installation from a backup."`
	Admin     adminCommand     `cmd:"" help:"Mend an installation that is not running."`
	Version   versionCommand   `cmd:"" help:"Print the version."`

	// Callers without keys that have a certificate.
	TrustBundle       trustBundleCommand       `cmd:"" help:"CAs of SPIFFE trust domains, whose certificates roles can trust."`
	CredentialProcess credentialProcessCommand `cmd:"" help:"Be the credential_process of AWS tools for a workload that has an X.509-SVID."`
}

const helpKEK = "URI of the key-encryption key: file:PATH of a master key file, or of a symmetric key at a key management service (awskms://, gcpkms://, azurekeyvault://, openbao://). Default: master.key in the data directory."

// installationFlags say which installation is meant.
type installationFlags struct {
	DataDir   string `help:"Folder of database and keys. Default: ${default}." default:"./credence-data" type:"path" placeholder:"DIR"`
	KEK       string `name:"kek" help:"${help_kek}" placeholder:"URI"`
	Database  string `help:"URL of a PostgreSQL database that replicas share (postgres://USER@HOST:PORT/DATABASE); needs --kek. Default: SQLite in the data directory." placeholder:"URL"`
	AccountID string `help:"The first account, 12 digits. Default: ${default}." default:"123456789012" placeholder:"ID"`
	Region    string `help:"The region in ARNs. Default: ${default}." default:"us-east-1" placeholder:"REGION"`
}

func (f installationFlags) config() server.Config {
	return server.Config{DataDir: f.DataDir, KEK: f.KEK, Database: f.Database, AccountID: f.AccountID, Region: f.Region, Log: slog.New(slog.DiscardHandler)}
}

// listenFlags say how an installation is reached.
type listenFlags struct {
	Listen              string        `help:"Address to serve clients and browsers on. Default: ${default}." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	AdminListen         string        `help:"Address of its own for metrics and Credence's own operations." placeholder:"HOST:PORT"`
	PublicURL           string        `name:"public-url" help:"URL by which clients and browsers reach the server. Default: made of --listen." placeholder:"URL"`
	ConsoleURL          string        `name:"console-url" help:"URL by which browsers reach the console. Default: --public-url, or with --admin-listen made of that." placeholder:"URL"`
	Dev                 bool          `help:"For development on this machine: http vendors, loopback and private hosts, any issuer of user JWTs, completion by sessionUri."`
	TLSCert             string        `name:"tls-cert" help:"Certificate file (PEM, with its chain)." type:"path" placeholder:"FILE"`
	TLSKey              string        `name:"tls-key" help:"Key file of the certificate (PEM)." type:"path" placeholder:"FILE"`
	InsecureBehindProxy bool          `help:"Serve http beyond this machine, because a proxy in front speaks TLS."`
	AllowPrivateHosts   []string      `help:"Host names, addresses or CIDRs in private networks that vendors may be at." placeholder:"HOST"`
	Quota               []string      `help:"NAME=VALUE or ACCOUNT:NAME=VALUE, such as oauth2-providers=100 or rate.GetResourceOauth2Token=off; repeatable." placeholder:"NAME=VALUE"`
	BackgroundRefresh   bool          `help:"Refresh grants that are in use before their tokens end, and others before the vendor forgets them. Default: on." default:"true" negatable:""`
	ExportRecipient     []string      `help:"age public key (age1…) that may open what credence grant export writes; repeatable. Default: nothing is exported." placeholder:"KEY"`
	AuditCheckpoints    []string      `help:"Where checkpoints of audit logs go every minute, outside of the database: file:/DIR, or https://WITNESS/PREFIX#VERIFIER-KEY (c2sp.org/tlog-witness); repeatable." placeholder:"URL"`
	AuditRetention      time.Duration `help:"How long entries of audit logs are kept, such as 9600h; their hashes stay. Default: for ever." placeholder:"DURATION"`
	TrustedProxies      []string      `help:"Addresses or CIDRs of proxies whose X-Forwarded-For counts." placeholder:"CIDR"`
	External            []string      `help:"Where an account may keep secrets and keys elsewhere: file:///DIR/, aws-secretsmanager://ARN…, gcp-secretmanager://…, azurekeyvault://…, openbao://…, awskms://…, gcpkms://…. Default: nowhere." placeholder:"ACCOUNT=PREFIX[;identity=server]"`
}

func (f listenFlags) apply(cfg *server.Config) error {
	cfg.Listen, cfg.AdminListen, cfg.PublicURL, cfg.ConsoleURL, cfg.Dev = f.Listen, f.AdminListen, f.PublicURL, f.ConsoleURL, f.Dev
	cfg.TLSCert, cfg.TLSKey, cfg.InsecureBehindProxy, cfg.AllowPrivateHosts = f.TLSCert, f.TLSKey, f.InsecureBehindProxy, f.AllowPrivateHosts
	cfg.External = f.External
	cfg.Quotas = f.Quota
	cfg.NoBackgroundRefresh = !f.BackgroundRefresh
	cfg.ExportRecipients = f.ExportRecipient
	cfg.AuditCheckpoints, cfg.AuditRetention = f.AuditCheckpoints, f.AuditRetention
	var problems []error
	for _, text := range f.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			var a netip.Addr
			a, err = netip.ParseAddr(text)
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if err != nil || p.Addr().Is4In6() { // such a range would match nothing: sources are told in their IPv4 form
			problems = append(problems, fmt.Errorf("--trusted-proxies %q: must be an address or a CIDR, of IPv4 in its own form", text))
			continue
		}
		cfg.TrustedProxies = append(cfg.TrustedProxies, p.Masked())
	}
	return errors.Join(append(problems, cfg.Validate())...)
}

// logFlags say how the server logs.
type logFlags struct {
	LogFormat string `help:"text or json." enum:"text,json" default:"text"`
	LogLevel  string `help:"debug (every request), info (refused ones), warn or error." enum:"debug,info,warn,error" default:"info"`
}

func (f logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.LogLevel)); err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: level}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return slog.New(slog.NewTextHandler(w, opts)), nil
}
