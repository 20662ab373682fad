package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"strconv"
	"time"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
	"credence/internal/worker"
)

// allowOperator is the first call of what only callers of the operator's account may do: policies of other accounts cannot give the right to it.
func (a *Admin) allowOperator(ctx context.Context, c iam.Caller, operation, account string) error {
	r := access.Request{Action: "credence:" + operation, Resources: []string{a.ARNs.Extension(c.Account, "account", account)}}
	operates, err := a.Store.Operates(ctx, c.Account)
	if err != nil {
		return err
	}
	if !operates {
		return a.Gate.Refuse(c, r, fault.New(fault.AccessDenied, "Only callers of the operator's account, the first of the installation, may do %s; %s is another", r.Action, c.Account))
	}
	return a.Gate.Allow(c, r)
}

// CreateAccount makes an account with a first administrator, whose access key it answers. Nobody else can come into the account, the operator included.
func (a *Admin) CreateAccount(ctx context.Context, c iam.Caller, in *wire.CreateAccountInput) (*wire.CreateAccountOutput, error) {
	account := or(in.AccountId, "")
	if in.AccountId == nil {
		n, err := rand.Int(rand.Reader, big.NewInt(9e11))
		if err != nil {
			return nil, err
		}
		account = strconv.FormatInt(1e11+n.Int64(), 10)
	}
	if err := a.allowOperator(ctx, c, "CreateAccount", account); err != nil {
		return nil, err
	}
	if !iam.ValidAccount(account) {
		return nil, fault.Invalid("accountId", "must be 12 digits and not 000000000000; it is %q", account)
	}
	k, err := a.Vault.CreateAdministeredAccount(ctx, account)
	if err == fault.Conflict {
		return nil, fault.New(fault.Conflict, "There is an account %s already", account)
	}
	if err != nil {
		return nil, err
	}
	return &wire.CreateAccountOutput{AccountId: account, UserName: vault.AdminUser, AccessKeyId: k.ID, SecretAccessKey: k.Secret.Reveal()}, nil
}

// ListAccounts lists the accounts of the installation, and nothing of what they have.
func (a *Admin) ListAccounts(ctx context.Context, c iam.Caller, _ *wire.ListAccountsInput) (*wire.ListAccountsOutput, error) {
	if err := a.allowOperator(ctx, c, "ListAccounts", "*"); err != nil {
		return nil, err
	}
	rows, err := a.Store.EveryAccount(ctx)
	if err != nil {
		return nil, err
	}
	out := &wire.ListAccountsOutput{Accounts: make([]wire.Account, len(rows))}
	for i, r := range rows {
		out.Accounts[i] = wire.Account{AccountId: r.ID, Operator: &r.Operator, CreatedTime: wire.Time{Time: r.CreatedAt}}
		if !r.DeletedFrom.IsZero() {
			out.Accounts[i].DeletionTime = &wire.Time{Time: r.DeletedFrom}
		}
	}
	return out, nil
}

// DeleteAccount deletes the caller's account for ever. At once nothing is issued any more, on any replica, and vendors are told of all its grants; when every one of them has its
// receipt, the account's keysets and rows are destroyed. It may be repeated, to see how far that is.
func (a *Admin) DeleteAccount(ctx context.Context, c iam.Caller, in *wire.DeleteAccountInput) (*wire.DeleteAccountOutput, error) {
	if err := a.Gate.Allow(c, a.deletion(c.Account)); err != nil {
		return nil, err
	}
	if in.AccountId != c.Account {
		return nil, fault.Invalid("accountId", "must be %s, the account of the caller, to confirm that it is to be deleted", c.Account)
	}
	err := a.Vault.DeleteAccount(c.Account, c.ARN, in.Force != nil && *in.Force)
	if errors.Is(err, fault.Conflict) {
		return nil, fault.Invalid("force", "must be true: account %s is the last one of this installation, which serves nobody without it, or the operator's, without which no account can be made any more", c.Account)
	}
	if err != nil {
		return nil, err
	}
	d, err := a.Store.AccountDeletion(ctx, c.Account)
	return &wire.DeleteAccountOutput{AccountId: c.Account, PendingRevocations: new(int64(d.Pending)), RequestedTime: wire.Time{Time: d.RequestedAt}}, err
}

func (a *Admin) deletion(account string) access.Request {
	return access.Request{Action: "credence:DeleteAccount", Resources: []string{a.ARNs.Extension(account, "account", account)}}
}

// shredPoll is the time between looks at accounts that are being deleted.
const shredPoll = 5 * time.Second

// ShredAccounts destroys the keysets of deleted accounts once all their vendors were told, until ctx ends.
func (a *Admin) ShredAccounts(ctx context.Context) {
	worker.Every(ctx, shredPoll, func(ctx context.Context) { a.shredDue(context.WithoutCancel(ctx)) })
}

func (a *Admin) shredDue(ctx context.Context) {
	due, err := a.Store.ShreddableAccounts(ctx)
	if err != nil {
		a.Log.Error("the accounts that are being deleted cannot be read", "cause", err.Error())
		return
	}
	for _, d := range due {
		if err := a.shred(ctx, d); err != nil && !errors.Is(err, fault.ConcurrentModification) { // another replica was first
			a.Log.Error("an account cannot be shredded", "account", d.Account, "cause", err.Error())
		}
	}
}

// shred records first: a receipt too many says the same twice, one too few would leave nothing of it.
func (a *Admin) shred(ctx context.Context, d store.AccountDeletion) error {
	c := iam.Caller{Account: d.Account, ARN: d.RequestedBy}
	if err := a.Gate.Receipt(c, a.deletion(d.Account), audit.Performed, "every vendor was told; the keysets and all rows but the audit log are destroyed"); err != nil {
		return err
	}
	return a.Vault.ShredAccount(ctx, d)
}
