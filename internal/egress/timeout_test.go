package egress_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"credence/internal/egress"
)

// A process that is stopped until long after its deadline finds the answer that came meanwhile.
func TestAnswerThatCameWhileStopped(t *testing.T) {
	const timeout, stopped = time.Second, 3 * time.Second
	if url := os.Getenv("EGRESS_TEST_URL"); url != "" { // the process that is stopped
		resp, err := newClient(t, egress.Config{Dev: true, Timeout: timeout}).Do(request(t, http.MethodPost, url, "refresh_token=1"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("\nanswer: %s\n", body)
		return
	}
	for n := range 4 { // the deadline and the answer race when it goes on
		t.Run(strconv.Itoa(n), func(t *testing.T) { t.Parallel(); stopAndGoOn(t, stopped) })
	}
}

func stopAndGoOn(t *testing.T, stopped time.Duration) {
	asked, answer := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		close(asked)
		<-answer
		_, _ = io.WriteString(w, "the token")
	}))
	defer srv.Close()

	child := exec.Command(os.Args[0], "-test.run=^TestAnswerThatCameWhileStopped$", "-test.v")
	child.Env = append(os.Environ(), "EGRESS_TEST_URL="+srv.URL)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	close(answer)
	time.Sleep(stopped)
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	found := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		found = found || lines.Text() == "answer: the token"
	}
	if err := child.Wait(); err != nil || !found {
		t.Errorf("the answer was not found: %v", err)
	}
}
