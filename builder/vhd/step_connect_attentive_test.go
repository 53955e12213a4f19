package vhd

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/communicator"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// Our own builder makes the communicator, so it can make it hear that Windows
// has forgotten a shell.
func TestTheCommunicatorHearsFaults(t *testing.T) {
	c := new(Config)
	step, ok := connector(c, nil).(*communicator.StepConnect)
	if !ok || step.Config.WinRMTransportDecorator == nil {
		t.Fatal("it has the library's own transport")
	}
	if c.Comm.WinRMTransportDecorator != nil {
		t.Error("the options were changed, by which messages tell Basic from NTLM")
	}
}

// askedFor is a locator of one function.
type askedFor func(context.Context) (hypervisor.Endpoint, error)

func (f askedFor) Endpoint(ctx context.Context) (hypervisor.Endpoint, error) { return f(ctx) }

// A machine may get another address when it restarts.
func TestTheMachineIsAskedForItsAddressAtEveryAttempt(t *testing.T) {
	asked := 0
	step := connector(new(Config), askedFor(func(ctx context.Context) (hypervisor.Endpoint, error) {
		if _, limited := ctx.Deadline(); !limited {
			t.Error("it may wait forever")
		}
		if asked++; asked > 2 {
			return hypervisor.Endpoint{}, errors.New("no address yet")
		}
		return hypervisor.Endpoint{Host: fmt.Sprintf("192.0.2.%d", asked), Port: 5980 + asked}, nil
	})).(*communicator.StepConnect)
	host, _ := step.Host(nil)
	port, _ := step.WinRMPort(nil)
	if _, err := step.SSHPort(nil); host != "192.0.2.1" || port != 5982 || err == nil {
		t.Errorf("%s, %d, %v", host, port, err)
	}
}
