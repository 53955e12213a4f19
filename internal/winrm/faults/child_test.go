package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// alone is set in a process that is a guest: its folder.
const alone = "SYSPREP_TEST_GUEST"

func TestMain(m *testing.M) {
	if root := os.Getenv(alone); root != "" {
		if err := serveAlone(root); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveAlone serves a guest until standard input ends. When a command is under way
// it says so, and goes on after a line of input.
func serveAlone(root string) error {
	goOn := make(chan struct{})
	sim, _, server, err := simulate(root, func() {
		fmt.Println("under way")
		<-goOn
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			close(goOn)
		}
		_ = server.Close() // the test has ended
	}()
	fmt.Println(l.Addr())
	return errors.Join(server.Serve(l), sim.Close())
}

// child is a guest in a process of its own.
type child struct {
	cmd   *exec.Cmd
	input interface{ Write([]byte) (int, error) }
}

// startAlone is start for a guest in a process of its own.
func startAlone(t *testing.T, under func(*guest)) *guest {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, root: t.TempDir(), ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), alone+"="+g.root)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.process = &child{cmd, input}
	first := make(chan string, 1)
	g.work.Go(func() {
		for scanner, n := bufio.NewScanner(output), 0; scanner.Scan(); n++ {
			if n == 0 {
				first <- scanner.Text()
				continue
			}
			under(g)
		}
	})
	t.Cleanup(func() {
		close(g.ended)
		cancel() // SIGKILL also ends what is stopped
		g.work.Wait()
		_ = cmd.Wait() // it was killed
	})
	select {
	case g.addr = <-first:
	case <-time.After(30 * time.Second):
	}
	if !strings.Contains(g.addr, ":") {
		t.Fatalf("the guest says %q", g.addr)
	}
	return g
}

// halt stops the process, for a while or for good, and lets its command go on.
func (g *guest) halt(d time.Duration) {
	if err := stop(g.process.cmd.Process); err != nil {
		g.t.Error(err)
	}
	_, _ = g.process.input.Write([]byte("\n"))
	if d > 0 {
		g.later(d, func() {
			if err := resume(g.process.cmd.Process); err != nil {
				g.t.Error(err)
			}
		})
	}
}
