package vhd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// windowsGuest is a simulated guest, and the options of a builder that reaches it.
func windowsGuest(t *testing.T, server winsim.ServerOptions) (*winsim.Running, map[string]any) {
	t.Helper()
	guest, err := winsim.Start(t.Context(), winsim.Options{Root: t.TempDir(), User: "Administrator", Password: "secret", Speed: 100}, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := guest.Close(); err != nil {
			t.Error(err)
		}
		for _, u := range guest.Guest.Unknown() {
			t.Errorf("the guest did not know: %s", u)
		}
	})
	return guest, map[string]any{
		"winrm_host": guest.Host, "winrm_port": guest.Port, "winrm_use_ssl": server.TLS, "winrm_insecure": true, "winrm_use_ntlm": server.NTLM,
		"power_off_settle": "500ms", "verify": map[string]any{"enabled": false}, "disk_path": rawDisk(t, 1<<20, nil), "output_directory": filepath.Join(t.TempDir(), "out"),
	}
}

func TestLoginOfEveryTransport(t *testing.T) {
	for name, server := range map[string]winsim.ServerOptions{
		"Basic": {}, "NTLM": {NTLM: true, NoBasic: true}, "TLS": {TLS: true}, "TLS and NTLM": {TLS: true, NTLM: true, NoBasic: true},
	} {
		t.Run(name, func(t *testing.T) {
			guest, options := windowsGuest(t, server)
			for _, password := range []string{"secret", "wrong"} {
				options["winrm_password"] = password
				c := new(Config)
				if _, err := c.prepare(existingMachine(t, options)); err != nil {
					t.Fatal(err)
				}
				err := login(t.Context(), &run{config: c, driver: c.driver()}, hypervisor.Endpoint{Host: guest.Host, Port: guest.Port})
				if refused := errors.Is(err, errRefused); refused != (password == "wrong") || !refused && err != nil {
					t.Errorf("with %q: %v", password, err)
				}
			}
		})
	}
}

func TestBuildOfAnExistingMachine(t *testing.T) {
	guest, options := windowsGuest(t, winsim.ServerOptions{})
	options["shutdown_command"] = "shutdown /s /t 0"
	b := new(Builder)
	if _, _, err := b.Prepare(existingMachine(t, options)); err != nil {
		t.Fatal(err)
	}
	own := options["disk_path"].(string)
	before := sum(t, own)
	provisioned := false
	built, err := b.Run(t.Context(), packersdk.TestUi(t), hook(func(context.Context) error {
		provisioned = true
		select {
		case <-guest.Off():
			t.Error("the guest is off too early")
		default:
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	<-guest.Off()
	if !provisioned || sum(t, own) != before {
		t.Error("nothing was provisioned, or the machine's disk was changed")
	}
	disk, err := diskimage.Open(built.Files()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if disk.Format() != diskimage.VHD || disk.Size() != 1<<20 {
		t.Errorf("got %s of %d bytes", disk.Format(), disk.Size())
	}
	if data, ok := built.State("generated_data").(map[any]any); !ok || data["ConnType"] != "winrm" || data["ID"] != "packer-win" {
		t.Errorf("build values %v", data)
	}
}

func TestBuildWithAWrongPasswordSaysSo(t *testing.T) {
	_, options := windowsGuest(t, winsim.ServerOptions{})
	options["winrm_password"], options["winrm_timeout"] = "wrong", "3s"
	b := new(Builder)
	if _, _, err := b.Prepare(existingMachine(t, options)); err != nil {
		t.Fatal(err)
	}
	_, err := b.Run(t.Context(), packersdk.TestUi(t), hook(nil))
	if err == nil || !strings.Contains(err.Error(), `did not accept user "Administrator"`) || strings.Contains(err.Error(), "wrong") {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(b.config.OutputDirectory); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}
