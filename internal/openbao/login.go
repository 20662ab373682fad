package openbao

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"credence/internal/secret"
)

// Login is one of four ways to get a token. Files are read anew at every login.
type Login struct {
	Token     secret.String // one that somebody else made; it is renewed while it is used
	TokenFile string        // one that somebody else keeps fresh, such as an agent

	RoleID, SecretIDFile string // AppRole
	Role, JWTFile        string // Kubernetes: the role, and the file of the service account's JWT

	Mount string // path of the auth method; "" is approle or kubernetes
}

// defaultJWTFile is where Kubernetes puts the JWT of a pod's service account.
const defaultJWTFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// FromEnv is the configuration for one address by the variables BAO_… of the process, or VAULT_… for those that are not set: ADDR, NAMESPACE, CACERT, and
// for the login TOKEN, TOKEN_FILE, ROLE_ID and SECRET_ID_FILE, or KUBERNETES_ROLE (and KUBERNETES_JWT_FILE); AUTH_MOUNT. When ADDR is set, the login is for
// that address only: another one is an error.
func FromEnv(address string) (Config, error) {
	get := func(name string) string {
		if v := os.Getenv("BAO_" + name); v != "" {
			return v
		}
		return os.Getenv("VAULT_" + name)
	}
	if only := strings.TrimSuffix(get("ADDR"), "/"); only != "" && only != address {
		return Config{}, fmt.Errorf("openbao: the login in the environment is for BAO_ADDR (or VAULT_ADDR) %q, not for %q: make them the same, or set none", only, address)
	}
	c := Config{Address: address, Namespace: get("NAMESPACE"), CAFile: get("CACERT"), Login: Login{
		Token: secret.New(get("TOKEN")), TokenFile: get("TOKEN_FILE"),
		RoleID: get("ROLE_ID"), SecretIDFile: get("SECRET_ID_FILE"),
		Role: get("KUBERNETES_ROLE"), JWTFile: get("KUBERNETES_JWT_FILE"),
		Mount: get("AUTH_MOUNT"),
	}}
	if c.Login.Role != "" && c.Login.JWTFile == "" {
		c.Login.JWTFile = defaultJWTFile
	}
	return c, c.Login.check()
}

func (l Login) check() error {
	ways := 0
	for _, set := range []bool{!l.Token.IsZero(), l.TokenFile != "", l.RoleID != "", l.Role != ""} {
		if set {
			ways++
		}
	}
	switch {
	case ways == 0:
		return errors.New("openbao: no login: set one of BAO_TOKEN, BAO_TOKEN_FILE, BAO_ROLE_ID with BAO_SECRET_ID_FILE, BAO_KUBERNETES_ROLE")
	case ways > 1:
		return errors.New("openbao: more than one login: set only one of BAO_TOKEN, BAO_TOKEN_FILE, BAO_ROLE_ID, BAO_KUBERNETES_ROLE (or the same with VAULT_)")
	case l.RoleID != "" && l.SecretIDFile == "":
		return errors.New("openbao: BAO_ROLE_ID is set, but BAO_SECRET_ID_FILE is not")
	}
	return nil
}

// session is a token with its times. renew is zero for a token that does not end.
type session struct {
	token     secret.String
	since     time.Time
	renew     time.Time
	renewable bool
}

func newSession(token secret.String, ttl time.Duration, renewable bool) session {
	now := time.Now()
	s := session{token: token, since: now, renewable: renewable}
	if ttl > 0 {
		s.renew = now.Add(ttl * 2 / 3)
	}
	return s
}

// relogin is the shortest time between two logins that a refusal causes: what a policy denies stays denied.
const relogin = 5 * time.Second

// token is the current one, renewed or made anew when it is time. rejected is one that the server has just refused.
func (c *Client) token(ctx context.Context, rejected secret.String) (secret.String, error) {
	select {
	case c.lock <- struct{}{}:
		defer func() { <-c.lock }()
	case <-ctx.Done():
		return secret.String{}, fmt.Errorf("openbao: login: %w", ctx.Err())
	}
	s := c.session
	switch now := time.Now(); {
	case s.token.IsZero():
	case !rejected.IsZero() && s.token.Equal(rejected):
		if now.Sub(s.since) < relogin {
			return s.token, nil
		}
	case s.renew.IsZero() || now.Before(s.renew):
		return s.token, nil
	case s.renewable:
		a, err := c.send(ctx, http.MethodPost, "auth/token/renew-self", s.token, struct{}{})
		if err == nil && a.Auth != nil {
			c.session = newSession(s.token, time.Duration(a.Auth.LeaseDuration)*time.Second, a.Auth.Renewable)
			return s.token, nil
		}
		if _, refused := errors.AsType[*Error](err); !refused {
			return s.token, nil // it has a third of its time left
		}
	}
	s, err := c.login(ctx)
	if err != nil {
		return secret.String{}, err
	}
	c.session = s
	return s.token, nil
}

func (c *Client) login(ctx context.Context) (session, error) {
	l := c.config.Login
	mount := func(name string) string {
		if l.Mount != "" {
			name = strings.Trim(l.Mount, "/")
		}
		return "auth/" + name + "/login"
	}
	switch {
	case !l.Token.IsZero():
		return c.lookup(ctx, l.Token)
	case l.TokenFile != "":
		token, err := readSecret(l.TokenFile)
		return newSession(token, 0, false), err
	case l.RoleID != "":
		id, err := readSecret(l.SecretIDFile)
		if err != nil {
			return session{}, err
		}
		return c.exchange(ctx, mount("approle"), map[string]string{"role_id": l.RoleID, "secret_id": id.Reveal()})
	}
	jwt, err := readSecret(l.JWTFile)
	if err != nil {
		return session{}, err
	}
	return c.exchange(ctx, mount("kubernetes"), map[string]string{"role": l.Role, "jwt": jwt.Reveal()})
}

func (c *Client) exchange(ctx context.Context, path string, in map[string]string) (session, error) {
	a, err := c.send(ctx, http.MethodPost, path, secret.String{}, in)
	if err != nil {
		return session{}, fmt.Errorf("login: %w", err)
	}
	if a.Auth == nil || a.Auth.ClientToken.IsZero() {
		return session{}, fmt.Errorf("openbao: %s: the answer has no token", path)
	}
	return newSession(a.Auth.ClientToken, time.Duration(a.Auth.LeaseDuration)*time.Second, a.Auth.Renewable), nil
}

// lookup asks how long a token lives, so that it can be renewed. A token that may not ask is used as it is.
func (c *Client) lookup(ctx context.Context, token secret.String) (session, error) {
	a, err := c.send(ctx, http.MethodGet, "auth/token/lookup-self", token, nil)
	if _, refused := errors.AsType[*Error](err); refused {
		return newSession(token, 0, false), nil
	} else if err != nil {
		return session{}, err
	}
	var self struct {
		TTL       int64 `json:"ttl"`
		Renewable bool  `json:"renewable"`
	}
	if err := unmarshal(a.Data, &self); err != nil {
		return session{}, fmt.Errorf("openbao: auth/token/lookup-self: %w", err)
	}
	if !self.Renewable { // there is no other token to be had: use this one to its end
		self.TTL = 0
	}
	return newSession(token, time.Duration(self.TTL)*time.Second, self.Renewable), nil
}

func readSecret(path string) (secret.String, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return secret.String{}, fmt.Errorf("openbao: login: %w", err)
	}
	if token := strings.TrimSpace(string(text)); token != "" {
		return secret.New(token), nil
	}
	return secret.String{}, fmt.Errorf("openbao: login: %s is empty", path)
}
