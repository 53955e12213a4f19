package vhd

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
)

func TestOutputDirectoryIsMadeAndRemoved(t *testing.T) {
	for _, c := range []struct {
		name string
		fail bool
	}{{"after success it stays", false}, {"after failure it goes", true}} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, nil)
			s := new(stepOutputDirectory)
			b.wantContinue(t, s.Run(t.Context(), b))
			write(t, filepath.Join(b.run.scratch, "disk.qcow2"))
			b.run.output.path = b.run.config.outputPath()
			write(t, b.run.output.path)
			if c.fail {
				b.Put(multistep.StateHalted, true)
			}
			s.Cleanup(b)
			_, err := os.Stat(b.run.config.OutputDirectory)
			if got := errors.Is(err, os.ErrNotExist); got != c.fail {
				t.Errorf("folder gone: %v", got)
			}
			if _, err := os.Stat(b.run.scratch); err == nil {
				t.Error("scratch is still there")
			}
			if len(b.said.ErrorMessage) > 0 {
				t.Error(b.said.ErrorMessage)
			}
		})
	}
}

func TestOutputDirectoryKeepsWhatOthersMade(t *testing.T) {
	b := newBench(t, nil)
	other := filepath.Join(b.run.config.OutputDirectory, "other.txt")
	write(t, other)
	write(t, b.run.config.outputPath())
	s := new(stepOutputDirectory)
	b.wantHalt(t, s.Run(t.Context(), b), "is not empty", "-force")
	b.Put(multistep.StateHalted, true)
	s.Cleanup(b)
	for _, path := range []string{other, b.run.config.outputPath()} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}

	b.Remove("error")
	b.run.config.PackerForce = true
	s = new(stepOutputDirectory)
	b.wantContinue(t, s.Run(t.Context(), b))
	if _, err := os.Stat(b.run.config.outputPath()); err != nil {
		t.Errorf("-force removed the disk before there is another: %v", err)
	}
	s.Cleanup(b)
	if _, err := os.Stat(other); err != nil {
		t.Errorf("-force removed more than the disk: %v", err)
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}
