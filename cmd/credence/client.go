package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"

	"credence/internal/edge/awsapi"
	"credence/internal/edge/door"
)

// clientFlags say which server a command talks to. Credentials and region come from wherever the AWS tools find theirs.
type clientFlags struct {
	Endpoint string `help:"URL of the server (of its --admin-listen, if it has one). Default: ${default}." default:"http://127.0.0.1:8080" placeholder:"URL"`
}

// call makes a signed request of one of Credence's own operations. out is nil when it answers nothing.
func (f clientFlags) call(ctx context.Context, operation string, in, out any) error {
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	credentials, err := aws.Credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("no credentials: set AWS_SHARED_CREDENTIALS_FILE to the file that credence serve made (credence-data/credentials): %w", err)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(f.Endpoint, "/")+"/credence/"+operation, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	hash := sha256.Sum256(body)
	region := aws.Region
	if region == "" {
		region = "us-east-1" // any will do: the server takes signatures for every region
	}
	if err := v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(hash[:]), awsapi.SigningName, region, time.Now()); err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, door.MaxBody))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		var e struct{ Message string }
		if json.Unmarshal(text, &e) != nil || e.Message == "" {
			return fmt.Errorf("%s answered %s: is it the address of Credence?", f.Endpoint, resp.Status)
		}
		return fmt.Errorf("%s (%s)", e.Message, resp.Header.Get("X-Amzn-Errortype"))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
