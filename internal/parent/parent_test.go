package parent

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// role is set in the processes that the test starts: Packer, which starts a
// plugin and is killed, and the plugin.
const role = "SYSPREP_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "packer", "wrapped packer":
		cmd := start(context.Background(), map[string]string{"packer": "plugin", "wrapped packer": "packer"}[os.Getenv(role)])
		cmd.Stdout = os.Stdout
		if err := cmd.Run(); err != nil {
			fmt.Println(err)
		}
	case "plugin":
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		bound, release := Bind(ctx)
		defer release()
		fmt.Println("running")
		<-bound.Done()
		fmt.Println("ended", ctx.Err())
	case "signalled plugin":
		bound, _ := Bind(context.Background()) // not released: a signal may still be on its way at the end
		fmt.Println("running")
		<-bound.Done()
		fmt.Println("cleaning up")
		_, _ = io.Copy(os.Stdout, os.Stdin) // until the test ends it
	case "plugin under nohup":
		signal.Ignore(syscall.SIGHUP)
		fmt.Println(endSignals())
	default:
		os.Exit(m.Run())
	}
}

// again runs this test program in a role, a minute at most.
func again(t *testing.T, as string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return start(ctx, as)
}

func start(ctx context.Context, as string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+as)
	return cmd
}

func TestWorkEndsWithTheProcessThatStartedIt(t *testing.T) { killed(t, "packer") }

// killed starts a Packer that starts a plugin, kills it, and hears the plugin.
func killed(t *testing.T, as string) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	packer := again(t, as)
	packer.Stdout = w
	if err := packer.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	said := bufio.NewScanner(r)
	for said.Scan() && said.Text() != "running" {
		t.Log(said.Text())
	}
	if err := packer.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = packer.Wait() // killed
	if !said.Scan() || said.Text() != "ended <nil>" {
		t.Errorf("the plugin said %q", said.Text())
	}
}

func TestWorkOutlivesNoCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	bound, release := Bind(ctx)
	defer release()
	if bound.Err() != nil {
		t.Fatal("ended although the parent lives")
	}
	cancel()
	<-bound.Done()
}
