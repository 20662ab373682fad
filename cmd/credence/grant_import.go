package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"credence/internal/wire"
)

// importAtOnce is how many grants one request takes.
const importAtOnce = 500

type grantImportCommand struct {
	clientFlags
	File     string `arg:"" help:"JSON {\"grants\":[…]}, or what credence grant export wrote." type:"existingfile"`
	Identity string `help:"File of the age secret key that opens an export." type:"existingfile" placeholder:"FILE"`
	DryRun   bool   `help:"Look whether all would be imported, and change nothing."`
}

// importRequest is ImportGrantsInput, whose grants pass through as they are: a secret of it would not.
type importRequest struct {
	Grants []json.RawMessage `json:"grants"`
	DryRun bool              `json:"dryRun,omitzero"`
}

func (c grantImportCommand) Run(ctx context.Context, o output) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	grants, err := importedGrants(text, c.Identity)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	var out wire.ImportGrantsOutput
	if !c.DryRun && len(grants) > importAtOnce { // what one request would refuse must not be found after another has been taken
		if err := c.send(ctx, grants, true, &out); err != nil {
			return err
		}
	}
	if err := c.send(ctx, grants, c.DryRun, &out); err != nil {
		return err
	}
	what := "imported; each is served once its vendor has renewed it, with the next GetResourceOauth2Token"
	if c.DryRun {
		what = "would be imported"
	}
	o.printf("%d %s\n", len(grants), what)
	return nil
}

func (c grantImportCommand) send(ctx context.Context, grants []json.RawMessage, dry bool, out *wire.ImportGrantsOutput) error {
	for from := 0; from < len(grants); from += importAtOnce {
		part := grants[from:min(from+importAtOnce, len(grants))]
		if err := c.call(ctx, "ImportGrants", importRequest{part, dry}, out); err != nil {
			if from > 0 && !dry {
				err = fmt.Errorf("after the first %d were imported: %w", from, err)
			}
			return err
		}
	}
	return nil
}

// The lines around an armored age file.
const (
	armorBegin = "-----BEGIN AGE ENCRYPTED FILE-----"
	armorEnd   = "-----END AGE ENCRYPTED FILE-----"
)

// importedGrants reads a file: JSON, or armored age files of that, one after the other. Errors tell nothing of what is in it.
func importedGrants(text []byte, identityFile string) (grants []json.RawMessage, err error) {
	parts := [][]byte{text}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte(armorBegin)) {
		if identityFile == "" {
			return nil, errors.New("it is encrypted: give --identity with the file of the age secret key that opens it")
		}
		if parts, err = decrypt(string(text), identityFile); err != nil {
			return nil, err
		}
	}
	for _, part := range parts {
		var in importRequest
		if err := json.Unmarshal(part, &in); err != nil || in.Grants == nil {
			return nil, errors.New(`it is not JSON of the form {"grants":[…]}`)
		}
		grants = append(grants, in.Grants...)
	}
	if len(grants) == 0 {
		return nil, errors.New("it holds no grants")
	}
	return grants, nil
}

func decrypt(text, identityFile string) (parts [][]byte, err error) {
	f, err := os.Open(identityFile)
	if err != nil {
		return nil, err
	}
	identities, err := age.ParseIdentities(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("--identity %s is not a file of age secret keys: %w", identityFile, err)
	}
	for block := range strings.SplitAfterSeq(text, armorEnd) {
		if block = strings.TrimSpace(block); block == "" {
			continue
		}
		opened, err := age.Decrypt(armor.NewReader(strings.NewReader(block)), identities...)
		if err != nil {
			return nil, fmt.Errorf("it cannot be opened with %s: %w", identityFile, err)
		}
		part, err := io.ReadAll(opened)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

type grantExportCommand struct {
	clientFlags
	chosenFlags
	All bool   `help:"Every grant of the account." env:"-"`
	To  string `help:"File to write; it must not exist." required:"" type:"path" placeholder:"FILE"`
}

// Run writes one armored age file for each answer, one after the other.
func (c grantExportCommand) Run(ctx context.Context, o output) (err error) {
	user, err := c.user()
	if err != nil {
		return err
	}
	in := wire.ExportGrantsInput{User: user, WorkloadName: optional(c.Workload), ResourceCredentialProviderName: optional(c.Provider)}
	if c.All {
		in.All = &c.All
	}
	f, err := os.OpenFile(c.To, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(c.To) // half an export is none
		}
	}()
	exported := int64(0)
	for {
		var out wire.ExportGrantsOutput
		if err := c.call(ctx, "ExportGrants", in, &out); err != nil {
			return err
		}
		for _, s := range out.Skipped {
			o.printf("not exported: %s: %s\n", s.GrantId, s.Reason)
		}
		if out.EncryptedGrants != nil {
			if _, err := io.WriteString(f, *out.EncryptedGrants); err != nil {
				return err
			}
		}
		exported += *out.ExportedGrants
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if exported == 0 {
		return errors.New("there is nothing to export")
	}
	o.printf("exported %d to %s; whoever renews one of them elsewhere may end it here\n", exported, c.To)
	return f.Sync()
}
