package external

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"credence/internal/iam"
)

// Prefixes say which references each account may use. The zero value allows none.
type Prefixes struct {
	of map[string][]prefix // by account, the longest first
}

// prefix is one line of the operator's configuration.
type prefix struct {
	reference
	identity identity
	endpoint string // URL of the backend, in place of its public one; "" for that
}

// identity says as whom a cloud is asked: server is this process, whatever the cloud's own library finds for it; profile:NAME is one of the AWS profiles;
// file:PATH holds Google credentials. It is empty where the backend is no cloud.
type identity string

const serverIdentity identity = "server"

// ParsePrefixes reads ACCOUNT=PREFIX[;identity=…][;endpoint=URL] and tells everything that is wrong.
func ParsePrefixes(values []string) (*Prefixes, error) {
	p := &Prefixes{of: map[string][]prefix{}}
	var problems []error
	for _, v := range values {
		account, rest, _ := strings.Cut(v, "=")
		one, err := parsePrefix(account, rest)
		if err != nil {
			problems = append(problems, fmt.Errorf("%q: %w", v, err))
			continue
		}
		p.of[account] = append(p.of[account], one)
	}
	for _, list := range p.of {
		slices.SortStableFunc(list, func(a, b prefix) int { return cmp.Compare(len(b.path), len(a.path)) })
	}
	return p, errors.Join(problems...)
}

func parsePrefix(account, rest string) (prefix, error) {
	if !iam.ValidAccount(account) {
		return prefix{}, errors.New("must be ACCOUNT=PREFIX, with the 12 digits of an account")
	}
	uri, settings, _ := strings.Cut(rest, ";")
	r, err := parse(uri)
	if err != nil {
		return prefix{}, err
	}
	p := prefix{reference: r}
	for s := range strings.SplitSeq(settings, ";") {
		if s == "" {
			continue
		}
		name, value, _ := strings.Cut(s, "=")
		switch name {
		case "identity":
			p.identity = identity(value)
		case "endpoint":
			p.endpoint = value
		default:
			return prefix{}, fmt.Errorf("%q is none of identity=…, endpoint=URL", s)
		}
	}
	return p, errors.Join(p.checkPath(), p.checkIdentity(), p.checkEndpoint())
}

// checkPath refuses a prefix that is wider than it looks.
func (p prefix) checkPath() error {
	if !p.below {
		if p.scheme == fileScheme {
			return errors.New("must end with /: it is a directory, which symlinks must not leave")
		}
		return p.complete() // exactly this secret or key
	}
	least := map[string]int{fileScheme: 1, gcpScheme: 3, gcpKeyScheme: 2, azureScheme: 1, openbaoScheme: 1}[p.scheme]
	if p.kind == keyKind && p.scheme == openbaoScheme {
		least = 2
	}
	if len(p.path) < least {
		return fmt.Errorf("is too wide: it must have at least %d segments", least)
	}
	for i, want := range map[string][]string{gcpScheme: {"projects", "", "secrets"}, gcpKeyScheme: {"projects"}}[p.scheme] {
		if want != "" && p.path[i] != want {
			return fmt.Errorf("must have %q in place of %q", want, p.path[i])
		}
	}
	if p.scheme == azureScheme && p.kind == secretKind && p.path[0] != "secrets" {
		return fmt.Errorf(`must have "secrets" or "keys" in place of %q`, p.path[0])
	}
	return nil
}

func (p prefix) checkIdentity() error {
	form, name, named := strings.Cut(string(p.identity), ":")
	switch {
	case p.scheme == fileScheme, p.scheme == openbaoScheme:
		if p.identity != "" {
			return errors.New("takes no identity, which is for clouds")
		}
		return nil
	case p.identity == "":
		return errors.New("must say as whom the cloud is asked: add ;identity=server to use this process's own cloud identity" + map[string]string{
			awsScheme: ", or ;identity=profile:NAME for an AWS profile", gcpScheme: ", or ;identity=file:PATH for a credentials file"}[p.scheme])
	case p.identity == serverIdentity,
		p.scheme == awsScheme && form == "profile" && named && name != "",
		p.scheme == gcpScheme && form == "file" && strings.HasPrefix(name, "/"):
		return nil
	}
	return fmt.Errorf("identity %q is none that %s has", p.identity, p.scheme)
}

func (p prefix) checkEndpoint() error {
	if p.endpoint == "" {
		return nil
	}
	if p.scheme != awsScheme && p.scheme != gcpScheme {
		return fmt.Errorf("%s takes no endpoint", p.scheme)
	}
	u, err := url.Parse(p.endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return fmt.Errorf("endpoint %q must be an https URL, or http on this machine", p.endpoint)
	}
	return nil
}

// Directories are those that prefixes name, of whatever account.
func (p *Prefixes) Directories() (dirs []string) {
	for _, list := range p.of {
		for _, one := range list {
			if one.scheme == fileScheme {
				dirs = append(dirs, one.directory())
			}
		}
	}
	slices.Sort(dirs)
	return dirs
}

func (p prefix) directory() string { return "/" + strings.Join(p.path, "/") }

// covers reports whether r is what the prefix names, or below it.
func (p prefix) covers(r reference) bool {
	if p.scheme != r.scheme || p.kind != r.kind || p.authority != r.authority || p.query != r.query || len(r.path) < len(p.path) || !slices.Equal(p.path, r.path[:len(p.path)]) {
		return false
	}
	return p.below && len(r.path) > len(p.path) || !p.below && len(r.path) == len(p.path)
}

// find is the narrowest prefix of the account that covers r.
func (p *Prefixes) find(account string, r reference) (prefix, error) {
	if p != nil {
		for _, one := range p.of[account] {
			if one.covers(r) {
				return one, nil
			}
		}
	}
	return prefix{}, fmt.Errorf("is not below a prefix that the operator configured for account %s (--external)", account)
}

// Allow says whether an account may use the key at a URI (awskms, gcpkms, azurekeyvault, openbao). An error tells what is wrong with the URI, for whoever
// gave it; it reads on after the URI's name. The URI must be in its one spelling, so that two equal keys are equal texts.
func (p *Prefixes) Allow(account, uri string) error {
	r, err := parse(uri)
	if err != nil {
		return err
	}
	if r.kind != keyKind {
		return errors.New("is no key: awskms:///ARN, gcpkms://…, azurekeyvault://HOST/keys/NAME or openbao://HOST/MOUNT/keys/NAME is")
	}
	if err := r.complete(); err != nil {
		return err
	}
	if _, err := p.find(account, r); err != nil {
		return err
	}
	if canonical := r.String(); canonical != uri {
		return fmt.Errorf("must be written %s", canonical)
	}
	return nil
}

// secret finds the one reference that a secretId of the API means, and the prefix of the account that covers it.
func (p *Prefixes) secret(account, id string) (reference, prefix, error) {
	uri := id
	switch {
	case strings.HasPrefix(id, "arn:"):
		uri = awsScheme + "://" + id
	case !strings.Contains(id, "://"):
		home, err := p.home(account)
		if err != nil {
			return reference{}, prefix{}, err
		}
		uri = awsScheme + "://" + home + ":" + id
	}
	r, err := parse(uri)
	if err == nil && r.kind != secretKind {
		err = errors.New("is a key, not a secret")
	}
	if err == nil {
		err = r.complete()
	}
	if err != nil {
		return reference{}, prefix{}, err
	}
	one, err := p.find(account, r)
	return r, one, err
}

// home is where the AWS secrets of an account are that are called by name alone.
func (p *Prefixes) home(account string) (string, error) {
	var homes []string
	if p != nil {
		for _, one := range p.of[account] {
			if one.scheme == awsScheme && !slices.Contains(homes, one.authority) {
				homes = append(homes, one.authority)
			}
		}
	}
	switch len(homes) {
	case 0:
		return "", fmt.Errorf("is the name of an AWS secret, and the operator configured no prefix of such for account %s (--external)", account)
	case 1:
		return homes[0], nil
	}
	return "", errors.New("is the name of an AWS secret, which may be in several regions: give its ARN")
}
