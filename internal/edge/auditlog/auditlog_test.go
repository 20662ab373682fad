package auditlog_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"credence/internal/audit"
	"credence/internal/testenv"
)

const other = "222222222222"

// get reads a path of the server; user and password may be empty.
func get(t *testing.T, e *testenv.Env, path, authorization string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, content
}

// ask answers an extension operation of a principal.
func ask(t *testing.T, p testenv.Principal, operation, body string, out any) {
	t.Helper()
	a := p.Call("/credence/"+operation, body)
	if err := json.Unmarshal([]byte(a.Body), out); err != nil || a.Status != 200 {
		t.Fatalf("%s: %d %s", operation, a.Status, a.Body)
	}
}

type about struct {
	Checkpoint, VerifierKey, Path string
	TreeSize                      int64
}

type token struct{ Token, Path string }

// grown waits until the log of a principal has so many entries.
func grown(t *testing.T, p testenv.Principal, size int64) (a about) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); a.TreeSize < size; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log has %d entries, not %d", a.TreeSize, size)
		}
		ask(t, p, "GetAuditCheckpoint", `{}`, &a)
	}
	return a
}

// A stranger with nothing but a token and the verifier key reads the whole log over HTTP and computes what was signed, by the words of the specifications
// (c2sp.org/signed-note, tlog-checkpoint, tlog-tiles, tlog-proof), crypto/ed25519 and another implementation of the tree (transparency-dev/merkle).
func TestAStrangerVerifies(t *testing.T) {
	e := testenv.Start(t)
	p := e.NewAccount(other)
	for n := range 300 {
		p.CreateWorkload(fmt.Sprintf("agent-%03d", n))
	}
	grown(t, p, 300)
	var k token
	ask(t, p, "CreateAuditToken", `{}`, &k)
	var vkey struct{ VerifierKey string }
	ask(t, p, "GetAuditCheckpoint", `{}`, &vkey)
	status, checkpoint := get(t, e, k.Path+"/checkpoint", "Bearer "+k.Token)
	if status != 200 {
		t.Fatalf("%d %s", status, checkpoint)
	}

	body, signature, _ := strings.Cut(string(checkpoint), "\n\n")
	lines := strings.Split(body, "\n")
	name, rest, _ := strings.Cut(vkey.VerifierKey, "+")
	_, key64, _ := strings.Cut(rest, "+")
	key, err1 := base64.StdEncoding.DecodeString(key64)
	sig, err2 := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.TrimPrefix(signature, "— "+name+" ")))
	if err1 != nil || err2 != nil || len(lines) != 3 || lines[0] != name || !ed25519.Verify(key[1:], []byte(body+"\n"), sig[4:]) {
		t.Fatalf("%s does not verify %s", vkey.VerifierKey, checkpoint)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 300 {
		t.Fatalf("size %s", lines[1])
	}
	tree := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	seen := 0
	for n := int64(0); n*256 < size; n++ {
		path := fmt.Sprintf("%s/tile/entries/%03d", k.Path, n)
		if w := min(256, size-n*256); w < 256 {
			path += fmt.Sprintf(".p/%d", w)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(e.URL, "://", "://auditor:"+k.Token+"@", 1)+path, nil) // for tools that know nothing but a URL
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := io.ReadAll(resp.Body)
		if _ = resp.Body.Close(); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %s %v", path, resp.Status, err)
		}
		for len(bundle) > 0 {
			length := int(binary.BigEndian.Uint16(bundle))
			entry := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			var ev audit.Event
			if err := json.Unmarshal(entry, &ev); err != nil || ev.Account != other {
				t.Errorf("entry %d is %s", seen, entry)
			}
			leaf := sha256.Sum256(append([]byte{0}, entry...))
			if err := tree.Append(leaf[:], nil); err != nil {
				t.Fatal(err)
			}
			seen++
		}
	}
	root, err := tree.GetRootHash(nil)
	if err != nil || base64.StdEncoding.EncodeToString(root) != lines[2] || int64(seen) != size {
		t.Errorf("%d entries lead to %x, %v; signed are %s and %s", seen, root, err, lines[1], lines[2])
	}

	// The proof of one entry, by a tool for the format.
	var proof struct {
		Event, Proof string
	}
	ask(t, p, "GetAuditProof", `{"index":17}`, &proof)
	verifier, err := note.NewVerifier(vkey.VerifierKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf := sha256.Sum256(append([]byte{0}, proof.Event...))
	if err := torchwood.VerifyProof(torchwood.ThresholdPolicy(2, torchwood.SingleVerifierPolicy(verifier), torchwood.OriginPolicy(name)), leaf, []byte(proof.Proof)); err != nil {
		t.Error(err)
	}
	var ev audit.Event
	if err := json.Unmarshal([]byte(proof.Event), &ev); err != nil {
		t.Fatal(err)
	}
	var byID struct {
		Index int64
		Event string
	}
	ask(t, p, "GetAuditProof", `{"eventId":"`+ev.ID+`"}`, &byID)
	if byID.Index != 17 || byID.Event != proof.Event {
		t.Errorf("event %s is entry %d", ev.ID, byID.Index)
	}
}

// Without a token for this very log, whatever the path, there is one and the same answer.
func TestNothingWithoutAToken(t *testing.T) {
	e := testenv.Start(t)
	p := e.NewAccount(other)
	p.CreateWorkload("agent")
	e.Admin.CreateWorkload("agent")
	grown(t, p, 1)
	grown(t, e.Admin, 1)
	var theirs, mine token
	ask(t, p, "CreateAuditToken", `{}`, &theirs)
	ask(t, e.Admin, "CreateAuditToken", `{"durationSeconds":60}`, &mine)
	for _, path := range []string{"checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1", "tile/0/999", "x", ""} {
		var first []byte
		for who, authorization := range map[string]string{
			"nobody": "", "another account's": "Bearer " + theirs.Token, "forged": "Bearer " + mine.Token[:len(mine.Token)-4] + "AAAA",
			"as basic": "Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+theirs.Token)), "no account": "Bearer " + mine.Token,
		} {
			full := mine.Path + "/" + path
			if who == "no account" {
				full = "/audit/999999999999/" + path
			}
			status, body := get(t, e, full, authorization)
			if first == nil {
				first = body
			}
			if status != 401 || !bytes.Equal(body, first) {
				t.Errorf("%s, %s: %d %s", full, who, status, body)
			}
		}
	}
	for path, want := range map[string]int{"checkpoint": 200, "tile/0/000.p/1": 200, "tile/entries/000.p/1": 200, "tile/0/999": 404, "tile/0/000.p/200": 404, "tile/7/000": 404, "x": 404, "": 404, "tile/entries/x001/000": 404} {
		if status, body := get(t, e, mine.Path+"/"+path, "Bearer "+mine.Token); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// A token is taken back with what made it: an access key that is used no more, a user or role that is gone, sessions that are revoked. Nothing else ends it.
func TestTokensEndWithTheirMaker(t *testing.T) {
	const policy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	e := testenv.Start(t)
	session := func(t *testing.T) testenv.Principal {
		out, err := e.Admin.STS().AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + testenv.Account + ":role/auditor"), RoleSessionName: aws.String("me")})
		if err != nil {
			t.Fatal(err)
		}
		return e.As(testenv.Account, *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	}
	do := func(t *testing.T, operation, body string) {
		t.Helper()
		if a := e.Admin.Call("/credence/"+operation, body); a.Status >= 300 {
			t.Fatalf("%s: %d %s", operation, a.Status, a.Body)
		}
	}
	role := func(t *testing.T) testenv.Principal {
		trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + testenv.Account + `:root"},"Action":"sts:AssumeRole"}}`
		do(t, "CreateRole", `{"roleName":"auditor","assumeRolePolicyDocument":`+strconv.Quote(trust)+`}`)
		do(t, "PutRolePolicy", `{"roleName":"auditor","policyName":"all","policyDocument":`+strconv.Quote(policy)+`}`)
		return session(t)
	}
	user := func(*testing.T) testenv.Principal { return e.NewUser(testenv.Account, "auditor", policy) }
	for name, c := range map[string]struct {
		maker     func(*testing.T) testenv.Principal
		end, then string // operations and bodies; KEY is the access key of the maker
	}{
		"a key used no more":  {user, `UpdateAccessKey {"userName":"auditor","accessKeyId":"KEY","status":"Inactive"}`, `DeleteUser {"userName":"auditor","force":true}`},
		"a user who is gone":  {user, `DeleteUser {"userName":"auditor","force":true}`, ""},
		"revoked sessions":    {role, `RevokeRoleSessions {"roleName":"auditor"}`, `DeleteRole {"roleName":"auditor"}`},
		"a role that is gone": {role, `DeleteRole {"roleName":"auditor"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.maker(t)
			does := func(operation string) {
				t.Helper()
				if operation, body, ok := strings.Cut(strings.ReplaceAll(operation, "KEY", p.Credentials().AccessKeyID), " "); ok {
					do(t, operation, body)
				}
			}
			defer func() { does(c.then) }()
			var k token
			ask(t, p, "CreateAuditToken", `{}`, &k)
			read := func() int { status, _ := get(t, e, k.Path+"/checkpoint", "Bearer "+k.Token); return status }
			if status := read(); status != 200 {
				t.Fatalf("before: %d", status)
			}
			does(c.end)
			if status := read(); status != 401 {
				t.Errorf("after: %d", status)
			}
		})
	}
}

// QueryAudit finds by everything that it takes, in pages, and nothing of another account.
func TestQuery(t *testing.T) {
	e := testenv.Start(t)
	p := e.NewAccount(other)
	p.CreateWorkload("agent")
	p.CreateWorkload("bystander")
	p.CreateProvider("vendor")
	e.Admin.CreateWorkload("agent")
	for range 5 {
		p.WAT("agent", "alice")
	}
	p.WAT("bystander", "bob")
	nobody := e.NewUser(other, "nobody", "")
	nobody.Call("/credence/ListKeys", `{}`)
	wat := *p.WAT("agent", "alice")
	p.Call("/identities/oauth2/token", `{"workloadIdentityToken":"`+wat+`","resourceCredentialProviderName":"vendor","scopes":[],"oauth2Flow":"M2M"}`)
	grown(t, p, 12)
	type page struct {
		Entries []struct {
			Index int64
			Event string
		}
		NextToken string
	}
	find := func(body string) (events []audit.Event) {
		t.Helper()
		var next string
		last := int64(1 << 60)
		for more := true; more; more = next != "" {
			var out page
			ask(t, p, "QueryAudit", strings.TrimSuffix(body, "}")+next+`}`, &out)
			for _, entry := range out.Entries {
				var ev audit.Event
				if err := json.Unmarshal([]byte(entry.Event), &ev); err != nil || ev.Account != other || entry.Index >= last {
					t.Errorf("entry %d after %d: %s", entry.Index, last, entry.Event)
				}
				last = entry.Index
				events = append(events, ev)
			}
			next = ""
			if out.NextToken != "" {
				next = `,"nextToken":"` + out.NextToken + `"`
			}
		}
		return events
	}
	for body, want := range map[string]int{
		`{"maxResults":2,"workloadName":"bystander","user":{"userId":"bob"}}`:        1,
		`{"maxResults":2,"user":{"userId":"alice"},"workloadName":"agent"}`:          7,
		`{"maxResults":1,"resourceCredentialProviderName":"vendor"}`:                 1,
		`{"maxResults":9,"outcome":"denied"}`:                                        1,
		`{"maxResults":9,"callerArn":"arn:aws:iam::` + other + `:user/nobody"}`:      1,
		`{"maxResults":3,"action":"bedrock-agentcore:CreateWorkloadIdentity"}`:       2,
		`{"maxResults":9,"startTime":` + fmt.Sprint(time.Now().Unix()+3600) + `}`:    0,
		`{"maxResults":9,"endTime":1000}`:                                            0,
		`{"maxResults":9,"outcome":"denied","startTime":1000,"endTime":99999999999}`: 1,
		`{"maxResults":9,"workloadName":"nobody-knows"}`:                             0,
	} {
		if got := find(body); len(got) != want {
			t.Errorf("%s finds %d: %+v", body, len(got), got)
		}
	}
	if a := p.Call("/credence/QueryAudit", `{"nextToken":"x"}`); a.Status != 400 {
		t.Errorf("a forged cursor: %d %s", a.Status, a.Body)
	}
}

// Requests whose signature is wrong leave no entry, however many there are, and others are answered meanwhile.
func TestBadSignaturesLeaveNothing(t *testing.T) {
	e := testenv.Start(t)
	e.Admin.CreateWorkload("agent")
	before := len(e.Audit(testenv.Account))
	const many = 3000
	failures := make(chan int)
	go func() {
		wrong := 0
		for range many {
			req := e.Admin.Sign("/identities/GetWorkloadAccessToken", `{"workloadName":"agent"}`, "bedrock-agentcore", time.Now())
			req.Header.Set("Authorization", req.Header.Get("Authorization")[:len(req.Header.Get("Authorization"))-8]+"deadbeef")
			if a := e.Do(req); a.Status != 403 {
				wrong++
			}
		}
		failures <- wrong
	}()
	healthy := 0
	for done := false; !done; {
		if a := e.Admin.Call("/identities/GetWorkloadAccessToken", `{"workloadName":"agent"}`); a.Status != 200 {
			t.Fatalf("a healthy caller: %d %s", a.Status, a.Body)
		}
		healthy++
		select {
		case wrong := <-failures:
			if wrong > 0 {
				t.Errorf("%d of %d were not refused", wrong, many)
			}
			done = true
		default:
		}
	}
	if n := len(e.Audit(testenv.Account)) - before; n != healthy {
		t.Errorf("%d entries for %d requests that were signed", n, healthy)
	}
}
