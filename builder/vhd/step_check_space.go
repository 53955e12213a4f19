package vhd

import (
	"context"
	"fmt"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// stepCheckSpace refuses a build that cannot end well for lack of room,
// before an hour is spent on it.
type stepCheckSpace struct {
	free func(dir string) (int64, error) // freeSpace unless a test says otherwise
}

func (s *stepCheckSpace) Run(_ context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	free := s.free
	if free == nil {
		free = freeSpace
	}
	need := spaceNeeded(run)
	have, err := free(run.scratch)
	if err != nil {
		ui.Sayf("Could not determine the free space of output_directory: %s", err)
		return multistep.ActionContinue
	}
	if have < need {
		return halt(state, fmt.Errorf("output_directory %s has %.1f GiB free; the build needs about %.1f GiB: free some space, or choose a directory on another disk",
			run.config.OutputDirectory, gib(have), gib(need)))
	}
	return multistep.ActionContinue
}

func (*stepCheckSpace) Cleanup(multistep.StateBag) {}

func gib(n int64) float64 { return float64(n) / (1 << 30) }

// spaceNeeded is a cautious guess in bytes: the output at least as large as
// the data of the source (its file, where nothing better is known, but no more
// than its virtual size), and, if the build boots an overlay, room for a
// quarter of that to be rewritten, or for all of it if it boots a copy. What the conversion needs exactly is
// checked again when it begins.
func spaceNeeded(r *run) int64 {
	var data int64
	for _, path := range r.source.Files {
		data += allocated(path)
	}
	if r.source.Type == diskimage.StreamOptimized {
		data *= 2 // compressed
	}
	if size := r.source.VirtualSize; size > 0 {
		data = min(data, size)
	}
	maker, makes := r.driver.(hypervisor.Maker)
	if !makes {
		return data
	}
	if _, copied := r.overlaid(diskimage.Format(maker.DiskFormat())); copied != "" {
		return 2 * data
	}
	if r.config.BootTest.wanted() {
		data += data / 4 // a second overlay, beside the first
	}
	return data + data/4
}
