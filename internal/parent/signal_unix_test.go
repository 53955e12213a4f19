//go:build unix

package parent

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

func TestWorkEndsInOrderByASignal(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			// Whatever started this test may ignore the signal, as nohup does, and
			// programs inherit that; one that is caught has its default again.
			caught := make(chan os.Signal, 1)
			signal.Notify(caught, s)
			defer signal.Stop(caught)
			plugin := again(t, "signalled plugin")
			input, err := plugin.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			output, err := plugin.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := plugin.Start(); err != nil {
				t.Fatal(err)
			}
			said := bufio.NewScanner(output)
			// A second signal during the clean-up does not kill either.
			for _, want := range []string{"running", "cleaning up"} {
				if !said.Scan() || said.Text() != want {
					t.Fatalf("the plugin said %q, not %q", said.Text(), want)
				}
				if err := plugin.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
			// It answers on, long after a signal that kills would have.
			for i := range 50 {
				want := fmt.Sprint("step ", i)
				if _, err := fmt.Fprintln(input, want); err != nil {
					t.Fatal(err)
				}
				if !said.Scan() || said.Text() != want {
					t.Fatalf("the plugin said %q, not %q", said.Text(), want)
				}
			}
			input.Close()
			if err := plugin.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestASignalThatIsIgnoredStaysSo(t *testing.T) {
	out, err := again(t, "plugin under nohup").Output()
	if want := fmt.Sprintln([]os.Signal{syscall.SIGTERM}); err != nil || string(out) != want {
		t.Errorf("caught are %q, %v", out, err)
	}
}
