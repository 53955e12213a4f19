package vhd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

func probing(reaches ...winrm.Reach) func(context.Context, string, int) (winrm.Reach, error) {
	return func(_ context.Context, host string, port int) (winrm.Reach, error) {
		if host != "127.0.0.1" || port != 4711 {
			return 0, fmt.Errorf("asked %s:%d", host, port)
		}
		r := reaches[0]
		if len(reaches) > 1 {
			reaches = reaches[1:]
		}
		return r, nil
	}
}

func loggingIn(err error) func(context.Context, *run, hypervisor.Endpoint) error {
	return func(context.Context, *run, hypervisor.Endpoint) error { return err }
}

func TestWaitForGuest(t *testing.T) {
	t.Run("answers and takes the password", func(t *testing.T) {
		b := started(t, nil)
		b.wantContinue(t, (&stepWaitForGuest{probe: probing(winrm.Open), login: loggingIn(nil)}).Run(t.Context(), b))
	})
	t.Run("another communicator waits by itself", func(t *testing.T) {
		b := newBench(t, map[string]any{"communicator": "none"})
		b.wantContinue(t, new(stepWaitForGuest).Run(t.Context(), b))
	})
	for _, c := range []struct {
		name  string
		reach winrm.Reach
		login error
		want  string
	}{
		{"never up", winrm.Silent, nil, "has not booted yet"},
		{"port shut", winrm.Closed, nil, "the port was closed"},
		{"wrong password", winrm.Open, errRefused, `did not accept user "Administrator": check winrm_username and winrm_password, and that the guest allows Basic`},
		{"no shell", winrm.Open, errors.New("quota"), "no shell could be opened (quota)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := started(t, map[string]any{"winrm_timeout": "50ms"})
			b.wantHalt(t, (&stepWaitForGuest{probe: probing(c.reach), login: loggingIn(c.login)}).Run(t.Context(), b),
				c.want, "within 50ms (winrm_timeout)", "see the screenshot "+b.run.config.screenPath())
			if _, err := os.Stat(b.run.config.screenPath()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("no picture where there is no screen", func(t *testing.T) {
		b := started(t, map[string]any{"winrm_timeout": "50ms"})
		b.run.machine.able = resolve(b.fake)
		b.wantHalt(t, (&stepWaitForGuest{probe: probing(winrm.Silent), login: nil}).Run(t.Context(), b), "has not booted")
		if strings.Contains(b.Get("error").(error).Error(), "screen") {
			t.Error(b.Get("error"))
		}
	})
	t.Run("the machine ends", func(t *testing.T) {
		b := started(t, nil)
		b.over(crashed)
		b.wantHalt(t, (&stepWaitForGuest{probe: probing(winrm.Silent), login: nil}).Run(t.Context(), b), "waiting for WinRM", "kernel fell over")
	})
	t.Run("cancel", func(t *testing.T) {
		b := started(t, nil)
		b.wantQuietHalt(t, (&stepWaitForGuest{probe: probing(winrm.Silent), login: nil}).Run(cancelled(), b))
	})
}
