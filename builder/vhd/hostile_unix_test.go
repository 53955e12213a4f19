//go:build unix

package vhd

import (
	"context"
	"errors"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign/foreigntest"
)

// What provisioners say is theirs: colours, progress bars and all.
func TestProvisionersKeepPackersOwnUi(t *testing.T) {
	disk := rawDisk(t, 3<<20, writesAndPowersOff)
	b := prepared(t, disk, nil)
	screen := foreigntest.NewScreen()
	const coloured = "\x1b[32mok\x1b[0m"
	_, err := b.Run(t.Context(), screen, uiHook(func(ui packersdk.Ui) error { ui.Say(coloured); return errors.New("::error::\x1b[2J") }))
	if err == nil || foreigntest.Harm(err.Error()) != "" {
		t.Errorf("the error is %q", err)
	}
	if !strings.Contains(screen.String(), coloured) {
		t.Errorf("shown is %q", screen)
	}
	if harm := foreigntest.Harm(strings.ReplaceAll(screen.String(), coloured, "")); harm != "" {
		t.Errorf("shown is %s\n%q", harm, screen)
	}
}

type uiHook func(packersdk.Ui) error

func (h uiHook) Run(_ context.Context, _ string, ui packersdk.Ui, _ packersdk.Communicator, _ any) error {
	return h(ui)
}
