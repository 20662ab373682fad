package main

import (
	"context"
	"errors"
	"strings"

	"credence/internal/server"
)

type serveCommand struct {
	installationFlags
	listenFlags
	logFlags
}

// Run serves until it is told to stop. What a person needs goes to standard output, the log to standard error.
func (c serveCommand) Run(ctx context.Context, o output) error {
	cfg := c.config()
	if err := c.apply(&cfg); err != nil {
		return err
	}
	var err error
	if cfg.Log, err = c.logger(o.err); err != nil {
		return err
	}
	s, err := server.New(ctx, cfg)
	if errors.Is(err, context.Canceled) {
		return nil // told to stop before it began; a first start will be done anew
	}
	if err != nil {
		return err
	}
	if f := s.FirstStart; f != nil {
		o.printf("Made %s: database, master key, and the keys of the first administrator of account %s.\n", f.DataDir, f.Account)
		o.printf("Back up the whole folder; nothing in it may be lost or seen. To use the server from another shell, paste\n\n%s\n", paste(s.URL(), f))
	}
	o.printf("listening on %s\n", s.URL())
	return s.Run(ctx)
}

// paste is what points every AWS SDK and the AWS CLI at the server.
func paste(url string, f *server.FirstStart) string {
	return "  export AWS_ENDPOINT_URL_BEDROCK_AGENTCORE=" + url + " AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL=" + url + " AWS_ENDPOINT_URL_STS=" + url + "\n" +
		"  export AWS_SHARED_CREDENTIALS_FILE=" + shellWord(f.Credentials) + " AWS_REGION=" + f.Region + "\n" +
		"  aws bedrock-agentcore-control create-workload-identity --name my-agent\n" +
		"  aws bedrock-agentcore get-workload-access-token --workload-name my-agent\n"
}

func shellWord(s string) string {
	if strings.ContainsAny(s, " '\"\\$`;&|<>()*?[]#~!") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}
