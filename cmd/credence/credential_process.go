package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"credence/internal/edge/door"
	"credence/internal/iam"
	"credence/internal/wire"
)

// credentialProcessCommand is the process of the setting credential_process of AWS tools (AWS SDKs and Tools Reference Guide, "Process credential provider").
type credentialProcessCommand struct {
	clientFlags
	RoleARN     string        `arg:"" name:"role-arn" help:"ARN of the role."`
	Certificate string        `help:"File with the X.509-SVID and its intermediates (PEM)." required:"" type:"path" placeholder:"FILE"`
	PrivateKey  string        `help:"File with its private key (PEM)." required:"" type:"path" placeholder:"FILE"`
	ServerCA    string        `name:"server-ca" help:"File with the CAs (PEM) of the server's own certificate. Default: those of this machine." type:"path" placeholder:"FILE"`
	SessionName string        `help:"Name of the session in ARNs and the audit log. Default: ${default}." default:"certificate" placeholder:"NAME"`
	Duration    time.Duration `help:"How long the session lasts. Default: an hour, or the role's maximum." placeholder:"DURATION"`
}

// processCredentials is what AWS tools read.
type processCredentials struct {
	Version         int
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string // RFC 3339
}

func (c credentialProcessCommand) Run(ctx context.Context, o output) error {
	if !strings.HasPrefix(c.Endpoint, "https://") {
		return fmt.Errorf("--endpoint %q must be https: the certificate is of the TLS connection", c.Endpoint)
	}
	own, err := tls.LoadX509KeyPair(c.Certificate, c.PrivateKey)
	if err != nil {
		return fmt.Errorf("--certificate %q, --private-key %q: %w", c.Certificate, c.PrivateKey, err)
	}
	// Whatever CAs the server names; it names none.
	speak := &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }}
	if c.ServerCA != "" {
		text, err := os.ReadFile(c.ServerCA)
		if err != nil {
			return fmt.Errorf("--server-ca: %w", err)
		}
		if speak.RootCAs = x509.NewCertPool(); !speak.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("--server-ca %q has no certificate in PEM", c.ServerCA)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = speak
	defer transport.CloseIdleConnections()
	credentials, err := assumeRoleWithCertificate(ctx, &http.Client{Transport: transport}, c)
	if err != nil {
		return err
	}
	text, err := json.Marshal(processCredentials{1, credentials.AccessKeyId, credentials.SecretAccessKey, credentials.SessionToken, credentials.Expiration.UTC().Format(time.RFC3339)})
	if err != nil {
		return err
	}
	o.printf("%s\n", text)
	return nil
}

func assumeRoleWithCertificate(ctx context.Context, client *http.Client, c credentialProcessCommand) (wire.SessionCredentials, error) {
	_, action, _ := strings.Cut(iam.AssumeRoleWithCertificate, ":")
	form := url.Values{"Action": {action}, "Version": {"2011-06-15"}, "RoleArn": {c.RoleARN}, "RoleSessionName": {c.SessionName}}
	if c.Duration != 0 {
		form.Set("DurationSeconds", strconv.Itoa(int(c.Duration/time.Second)))
	}
	var answer struct {
		Credentials wire.SessionCredentials `xml:"AssumeRoleWithCertificateResult>Credentials"`
		Code        string                  `xml:"Error>Code"`
		Message     string                  `xml:"Error>Message"`
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.Endpoint, "/")+"/", strings.NewReader(form.Encode()))
	if err != nil {
		return answer.Credentials, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		return answer.Credentials, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, door.MaxBody))
	if err != nil {
		return answer.Credentials, err
	}
	switch err := xml.Unmarshal(text, &answer); {
	case resp.StatusCode == http.StatusOK && err == nil && answer.Credentials.SessionToken != "":
		return answer.Credentials, nil
	case err == nil && answer.Message != "":
		return answer.Credentials, fmt.Errorf("%s (%s)", answer.Message, answer.Code)
	default:
		return answer.Credentials, errors.New(c.Endpoint + " answered " + resp.Status + ": is it the address of Credence?")
	}
}
