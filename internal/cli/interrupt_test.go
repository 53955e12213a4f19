//go:build !windows

package cli

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary stand for the plugin's: with command lines of
// ours, and with one that hangs whatever happens.
func TestMain(m *testing.M) {
	switch what := os.Getenv("SYSPREP_TEST_COMMAND"); what {
	case "":
		os.Exit(m.Run())
	case "arguments":
		os.Exit(Run(os.Args[1:], os.Stdout, os.Stderr))
	case "hang":
		ctx, _ := interruptible(os.Stderr)
		fmt.Println("ready")
		<-ctx.Done()
		fmt.Println("interrupted")
		<-make(chan int)
	default:
		os.Exit(Run(strings.Fields(what), os.Stdout, os.Stderr))
	}
}

// asProcess starts the test binary as a command and returns its output by lines.
func asProcess(t *testing.T, what string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "SYSPREP_TEST_COMMAND="+what)
	cmd.WaitDelay = time.Minute
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

func interrupt(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}

func TestASecondCtrlCEndsACommandThatHangs(t *testing.T) {
	cmd, lines := asProcess(t, "hang")
	for _, want := range []string{"ready", "interrupted", "interrupted twice: ended at once"} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("got %q, want %q", lines.Text(), want)
		}
		if !strings.Contains(want, "twice") {
			interrupt(t, cmd)
		}
	}
	_ = cmd.Wait() // the code is in ProcessState
	if code := cmd.ProcessState.ExitCode(); code != Interrupted {
		t.Errorf("exit code %d, want %d", code, Interrupted)
	}
}

func TestCtrlCEndsAnInspectionAndSaysSo(t *testing.T) {
	asked := make(chan bool, 10)
	files := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- true
		<-r.Context().Done() // never answers
	}))
	defer files.Close()
	cmd, lines := asProcess(t, "inspect "+files.URL+"/image.vhd")
	<-asked
	interrupt(t, cmd)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "cannot tell whether ") || !strings.HasSuffix(lines.Text(), ": interrupted") {
		t.Errorf("it says %q", lines.Text())
	}
	_ = cmd.Wait() // the code is in ProcessState
	if code := cmd.ProcessState.ExitCode(); code != CannotDo {
		t.Errorf("exit code %d, want %d", code, CannotDo)
	}
}
