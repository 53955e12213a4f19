package vhd

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/record"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
)

const (
	runKey      = "sysprep_vhd_run"
	downloadKey = "sysprep_vhd_download"
	// generatedKey is the SDK's name of the values that provisioners are given.
	generatedKey = "generated_data"
)

// run is what the steps hand on to each other, the one value in the state bag
// that is ours.
type run struct {
	config     *Config
	driver     hypervisor.Options
	newMachine func() hypervisor.Machine
	newClone   func(say func(string)) hypervisor.Machine // of bootTest
	heart      *heartbeat.Heart                          // nil: waits say nothing

	source   diskimage.Info      // stepInspectSource
	windows  sourceFacts         // stepInspectSource; empty where nothing could be read
	firmware hypervisor.Firmware // stepInspectSource
	scratch  string              // stepOutputDirectory
	disk     hypervisor.Disk     // stepCreateOverlay: what boots, and what is converted
	machine  *machine            // stepStartMachine
	events   hypervisor.EventLog // of the machine, until its fate
	started  stamp               // of the disk, before the machine was
	// provisioning is since when sysprep may have run; zero: it cannot.
	provisioning time.Time
	provisioned  bool // the provisioners have ended well
	// ran is what the sysprep provisioner left for stepProve: nil where it did not
	// run, or said nothing.
	ran       *record.Run
	log       *runlog.Recorder
	cancelled error  // what the provisioners said to a cancel
	report    string // stepConvert: the JSON report, "" without one
	output    output // stepConvert
	told      noted  // for the report on the build
}

// output is the finished disk.
type output struct {
	path        string
	virtualSize int64
	digests     diskimage.Digests // empty unless evidence is wanted
	evidence    []string          // the files of the evidence
	// madeDirectory: the build made the folder, so it may remove it.
	madeDirectory bool
	// replaces: there was a disk of that name, which -force replaces.
	replaces bool
	// kept is where a finished disk lies that could not get its name.
	kept string
}

func runOf(state multistep.StateBag) (*run, packersdk.Ui) {
	return state.Get(runKey).(*run), state.Get("ui").(packersdk.Ui)
}

// halt ends the build with an error. Packer prints it.
func halt(state multistep.StateBag, err error) multistep.StepAction {
	state.Put("error", err)
	return multistep.ActionHalt
}

// failed says whether the build is being undone.
func failed(state multistep.StateBag) bool {
	_, cancelled := state.GetOk(multistep.StateCancelled)
	_, halted := state.GetOk(multistep.StateHalted)
	return cancelled || halted
}

// inputs are the files that the build reads and never writes.
func (r *run) inputs() []string { return slices.Concat(r.config.inputs(), r.source.Files) }

// makes says whether the machine is made here, and boots a disk made here.
func (r *run) makes() bool { _, ok := r.driver.(hypervisor.Maker); return ok }

// takes says whether the machine is somebody else's, with a disk of its own.
func (r *run) takes() bool { _, ok := r.driver.(hypervisor.Taker); return ok }

// happens keeps what the machine does.
func (r *run) happens(e hypervisor.Event) {
	if err := r.events.Add(e); err != nil {
		log.Printf("%v", err) // the fate still tells the end
	}
}

// share tells the sysprep provisioner, which waits for the same machine in
// another process, where to read what the machine does, and where to leave what it
// ran.
func (r *run) share(state multistep.StateBag) {
	if r.scratch == "" {
		return
	}
	data, _ := state.Get(generatedKey).(map[string]any)
	if data == nil {
		data = map[string]any{}
	}
	data[record.Key] = r.recordPath()
	if r.machine.reporter != nil {
		path := filepath.Join(r.scratch, "events.jsonl")
		if err := r.events.Write(path); err != nil {
			log.Printf("%v", err)
		} else {
			data[hypervisor.EventsKey] = path
		}
	}
	state.Put(generatedKey, data)
}

func (r *run) recordPath() string { return filepath.Join(r.scratch, "run.json") }

// backing is what the disks of this build may be based on: what the user
// allows, and for our own overlay the source.
func (r *run) backing() []string {
	allowed := slices.Clone(r.config.BackingFiles)
	if r.makes() && len(r.source.Files) > 0 {
		allowed = append(allowed, r.source.Files[0])
	}
	return allowed
}

// open opens a disk of this build, with what it may be based on.
func (r *run) open(ctx context.Context, path string) (diskimage.Disk, error) {
	return diskimage.Open(path, diskimage.Until(ctx), diskimage.Allow(r.backing()...))
}

// photograph writes the guest's screen and returns a sentence about it for
// the end of an error, "" where there is nothing to say.
func (r *run) photograph(ctx context.Context) string {
	if r.machine == nil || r.machine.camera == nil {
		return ""
	}
	// The build may be over its time already; the picture is worth a moment.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	path := r.config.screenPath()
	err := hostfile.Writable(path, append(r.inputs(), r.config.outputPath())...)
	if err == nil {
		err = r.machine.camera.Screenshot(ctx, path)
	}
	if err != nil {
		return fmt.Sprintf("; no screenshot could be taken: %s", err)
	}
	return "; see the screenshot " + path
}

// fileSize is 0 for a file that cannot be looked at.
func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
