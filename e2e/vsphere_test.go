//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// vCenter is a simulated one, whose machines have a simulated guest.
type vCenter struct {
	addr  string
	input io.Writer
	mu    sync.Mutex
	power map[string][]string // what each machine did, in order
	news  chan struct{}
}

// startVCenter runs vcsim until the end of the test.
func startVCenter(t *testing.T) *vCenter {
	t.Helper()
	program := built("plugins/vcsim")
	if _, err := os.Stat(program); err != nil {
		testutil.Missing(t, "vcsim is not built; `make plugins` does it")
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	v := &vCenter{input: input, power: map[string][]string{}, news: make(chan struct{}, 1000)}
	lines := bufio.NewScanner(output)
	if !lines.Scan() {
		t.Fatal("vcsim did not say its address")
	}
	v.addr = lines.Text()
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() {
			name, state, _ := strings.Cut(lines.Text(), " ")
			v.mu.Lock()
			v.power[name] = append(v.power[name], state)
			v.mu.Unlock()
			v.news <- struct{}{}
		}
	}()
	t.Cleanup(func() {
		input.Close() // which ends it
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("vcsim: %v", err)
		}
	})
	return v
}

func (v *vCenter) isOff(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	states := v.power[name]
	return len(states) > 1 && states[len(states)-1] == "poweredOff"
}

// awaitOff waits until the machine is seen to be off: its news come a little later
// than what Packer sees.
func (v *vCenter) awaitOff(t *testing.T, name string) {
	t.Helper()
	limit := time.After(time.Minute)
	for !v.isOff(name) {
		select {
		case <-v.news:
		case <-limit:
			t.Error("the machine is not off")
			return
		}
	}
}

// holds ties a machine and its guest together: each goes down with the other. A
// machine that is asked to end its guest (VMware Tools) presses its power button.
func (v *vCenter) holds(ctx context.Context, t *testing.T, name string, guest *winsim.Running) (done <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-guest.Off():
				fmt.Fprintln(v.input, "off "+name)
				return
			case <-v.news:
				if v.isOff(name) {
					guest.Guest.PowerButton()
					return
				}
			}
		}
	}()
	return ended
}

func vsphereBuild(v *vCenter, name, source, provisioner string, port int) string {
	return fmt.Sprintf(`
source "vsphere-clone" "windows" {
  vcenter_server      = %q
  username            = "user"
  password            = "pass"
  insecure_connection = true
  host                = "DC0_H0"
  datastore           = "LocalDS_0"
  template            = "DC0_H0_VM0"
  vm_name             = %q
  linked_clone        = false
  communicator     = "winrm"
  winrm_port       = %d
  winrm_username   = "packer"
  winrm_password   = %q
  ip_settle_timeout = "1s"
  shutdown_timeout = "30s"
  %s
}

build {
  sources = ["source.vsphere-clone.windows"]
%s
}
`, v.addr, name, port, guestPassword, source, provisioner)
}

// Whatever a template combines, the machine ends off and generalized, or the
// build fails and says why.
func TestVSphereCloneWithEveryPairOfActionAndShutdownCommand(t *testing.T) {
	t.Parallel()
	plugins := withPlugins(t, "vsphere")
	const command = `shutdown_command = "shutdown /s /t 5 /f"`
	for _, c := range []struct {
		name, source, action string
		texts                []string
	}{
		{"quit, with shutdown_command", command, "quit", []string{"Windows is generalized", "Running shutdown command..."}},
		{"quit, without", "", "quit", []string{"Windows is generalized", "Shutting down virtual machine..."}},
		{"shutdown, with shutdown_command", command, "shutdown", []string{"Windows is generalized", "Virtual machine is already powered off."}},
		{"shutdown, without", "", "shutdown", []string{"Windows is generalized", "Virtual machine is already powered off."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			v := startVCenter(t)
			guest := inProcess(t, winsim.Scenario{}, winsim.ServerOptions{}, nil)
			ctx, cancel := context.WithCancel(context.Background())
			ended := v.holds(ctx, t, "image", guest)
			p := startCommand(t, []string{built("packer")}, plugins,
				vsphereBuild(v, "image", c.source, sysprepBlock(fmt.Sprintf("action = %q", c.action), `shutdown_timeout = "30s"`), guest.Port), nil)
			p.expect(0, c.texts...)
			select {
			case <-guest.Off():
			case <-time.After(2 * time.Minute):
				t.Error("Windows was not shut down")
			}
			cancel()
			<-ended
			v.awaitOff(t, "image")
			t.Logf("exit code 0 after %s: %s", time.Since(began).Round(time.Second), strings.Join(c.texts, "; "))
		})
	}
}

// A power-off that vCenter has not noticed yet is what makes builds fail with a
// shutdown_command: the guest takes no command any more. It is loud.
func TestVSphereCloneWhoseVCenterDoesNotSeeThePowerOff(t *testing.T) {
	plugins := withPlugins(t, "vsphere")
	t.Parallel()
	v := startVCenter(t)
	guest := inProcess(t, winsim.Scenario{}, winsim.ServerOptions{}, nil)
	p := startCommand(t, []string{built("packer")}, plugins,
		vsphereBuild(v, "image", `shutdown_command = "shutdown /s /t 5 /f"`, sysprepBlock(`action = "shutdown"`, `shutdown_timeout = "30s"`), guest.Port), nil)
	p.expect(1, "Windows is generalized", "error sending shutdown command")
}
