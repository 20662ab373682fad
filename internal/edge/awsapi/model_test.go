package awsapi

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/broker"
	"credence/internal/control"
)

// The table says of each operation what the API model says: method, path, status and exceptions. CREDENCE_API_MODEL names the file of the model.
func TestTableIsThatOfTheModel(t *testing.T) {
	path, ok := os.LookupEnv("CREDENCE_API_MODEL")
	if !ok {
		t.Log("CREDENCE_API_MODEL is not set: the comparison with the model is left out")
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type operation struct {
		Method, URI string
		Status      int
		Errors      []string
	}
	var model map[string]struct{ Operations map[string]operation }
	if err := json.Unmarshal(text, &model); err != nil {
		t.Fatal(err)
	}
	for _, op := range Operations((*control.Control)(nil), (*broker.Broker)(nil)) {
		want, ok := model["controlPlane"].Operations[op.Name]
		if !ok {
			want, ok = model["dataPlane"].Operations[op.Name]
		}
		if !ok {
			t.Errorf("the model has no %s", op.Name)
		}
		// No kind of ours is a ResourceLimitExceededException.
		want.Errors = slices.DeleteFunc(want.Errors, func(name string) bool { return name == "ResourceLimitExceededException" })
		slices.Sort(want.Errors)
		got := operation{op.Method, op.Path, op.Status, nil}
		for _, kind := range op.Exceptions {
			got.Errors = append(got.Errors, exceptions[kind].name)
		}
		slices.Sort(got.Errors)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-model +ours)\n%s", op.Name, d)
		}
	}
}
