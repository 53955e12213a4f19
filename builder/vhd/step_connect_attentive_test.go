package vhd

import (
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/communicator"
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
