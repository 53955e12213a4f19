package vhd

import (
	"bytes"
	"context"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/boottest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/communicator"
)

// picture keeps the screen in the folder of the test.
func (t *cloneTest) picture(ctx context.Context, name string) {
	if t.machine.camera == nil || t.machine.over() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lifeLimit)
	defer cancel()
	if err := t.machine.camera.Screenshot(ctx, filepath.Join(t.block.LogDirectory, name+".png")); err != nil {
		log.Printf("taking a picture of the clone: %v", err)
	}
}

// clearPictures removes those of an earlier test: one that is not replaced would be
// taken for one of this.
func clearPictures(folder string) {
	names := []string{"end"}
	for _, p := range boottest.Phases() {
		names = append(names, p.File())
	}
	for _, name := range names {
		_ = os.Remove(filepath.Join(folder, name+".png")) // most are not there
	}
}

// stateLimit bounds one question over WinRM.
const stateLimit = 20 * time.Second

var imageStateWord = lazyregexp.New(`IMAGE_STATE_[A-Z_]+`)

// stateOverWinRM asks the clone for its ImageState; empty where it does not say. The
// guard of the account spaces logins that are refused.
func stateOverWinRM(ctx context.Context, r *run) windows.State {
	ctx, cancel := context.WithTimeout(ctx, stateLimit)
	defer cancel()
	at, err := r.machine.Endpoint(ctx)
	if err != nil {
		return ""
	}
	if reach, err := winrm.Probe(ctx, at.Host, at.Port); reach != winrm.Open {
		log.Printf("WinRM of the clone is %s (%v)", reach, err)
		return ""
	}
	if r.config.guard.May() != nil {
		return ""
	}
	state, err := askState(ctx, r, at)
	if err != nil {
		log.Printf("asking the clone over WinRM: %v", err)
	}
	return state
}

func askState(ctx context.Context, r *run, at hypervisor.Endpoint) (windows.State, error) {
	ways, err := r.config.winrmWays(at)
	if err != nil {
		return "", err
	}
	client, err := communicator.Connect(ctx, ways)
	if err != nil {
		return "", refusal(err)
	}
	defer client.Close()
	session := winrm.NewSession(client, winrm.ShellOptions{})
	defer session.Close(ctx)
	var out bytes.Buffer
	v := windows.ImageState
	_, err = session.Run(ctx, winrm.Command{Line: `reg query "` + v.Key() + `" /v ` + v.Name(), Stdout: &out})
	return windows.State(imageStateWord.FindString(out.String())), err
}
