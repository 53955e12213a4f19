// Package vhd is the builder "sysprep-vhd": it boots a disk image, lets
// provisioners change and generalize it, waits until the guest is off, and
// hands the disk on.
package vhd

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/download"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge/packerui"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/parent"
)

// BuilderID names the maker of an artifact to post-processors.
const BuilderID = "packer-plugin-sysprep.vhd"

// Builder implements packersdk.Builder.
type Builder struct {
	config Config
}

var _ packersdk.Builder = (*Builder)(nil)

// ConfigSpec is the schema of the options.
func (b *Builder) ConfigSpec() hcldec.ObjectSpec { return b.config.spec() }

// Prepare validates the options. It provides no build values of its own.
func (b *Builder) Prepare(raws ...any) (generatedVars, warnings []string, err error) {
	warnings, err = b.config.prepare(raws...)
	return nil, edge.Texts(warnings), edge.Error(err)
}

// Run builds one image. Nothing is left running, and no disk is left in the
// output directory, unless it succeeds.
func (b *Builder) Run(ctx context.Context, ui packersdk.Ui, hook packersdk.Hook) (packersdk.Artifact, error) {
	artifact, err := b.run(ctx, packerui.Wrap(ui), provisioners{hook})
	return artifact, edge.Error(err)
}

// provisioners gives provisioners Packer's own Ui: what they say, and in which
// colours, is theirs. Ours makes its lines safe in its own process.
type provisioners struct{ packersdk.Hook }

func (p provisioners) Run(ctx context.Context, name string, ui packersdk.Ui, comm packersdk.Communicator, data any) error {
	return p.Hook.Run(ctx, name, packerui.Unwrap(ui), comm, data)
}

func (b *Builder) run(ctx context.Context, ui packersdk.Ui, hook packersdk.Hook) (packersdk.Artifact, error) {
	ctx, cancel := parent.Bind(ctx)
	defer cancel()
	b.config.Report.Begin(ctx, ui)
	run := &run{config: &b.config, driver: b.config.driver(), newMachine: func() hypervisor.Machine { return b.config.newMachine(ui.Say) }, newClone: b.config.newMachine, heart: newHeart(ui)}
	run.openLog()
	var artifact packersdk.Artifact
	err := edge.Guard("building", func() (err error) {
		artifact, err = b.build(ctx, ui, hook, run)
		return err
	})
	if c := (*edge.Crash)(nil); errors.As(err, &c) {
		err = fmt.Errorf("%w; next: %s", err, edge.NextOfCrash)
		_ = edge.Guard("writing it down", func() error { run.closeLog(ui, err, false); return nil })
	}
	run.writeReports(ctx, ui, err)
	return artifact, err
}

// build does the steps.
func (b *Builder) build(ctx context.Context, ui packersdk.Ui, hook packersdk.Hook, run *run) (packersdk.Artifact, error) {
	state := new(multistep.BasicStateBag)
	state.Put("ui", ui)
	state.Put("hook", hook)
	state.Put(runKey, run)
	if b.config.SourceURL != "" {
		run.log.Begin(phaseDownload)
	}
	newRunner(b.steps(), b.config.PackerConfig, ui, state).Run(ctx, state)

	err := run.outcome(ctx, state)
	_, cancelled := state.GetOk(multistep.StateCancelled)
	run.closeLog(ui, err, cancelled || ctx.Err() != nil)
	if err != nil {
		return nil, err
	}
	return newArtifact(run, state.Get("generated_data")), nil
}

// outcome is why there is no image; nil: there is one.
func (r *run) outcome(ctx context.Context, state multistep.StateBag) error {
	// A cancel sets one of the last two, by race; an error says more than both.
	if err, ok := state.GetOk("error"); ok && err != nil {
		if e, ok := err.(error); ok {
			return e
		}
	}
	if _, ok := state.GetOk(multistep.StateCancelled); ok || ctx.Err() != nil {
		return r.cancelError()
	}
	if _, ok := state.GetOk(multistep.StateHalted); ok {
		return errors.New("the build stopped without giving a reason")
	}
	return nil
}

// steps are in the order they run; they are cleaned up after in reverse.
func (b *Builder) steps() []multistep.Step {
	c := &b.config
	source := download.Source{Address: c.SourceURL, Checksum: c.SourceChecksum}
	return []multistep.Step{
		&stepCheckHost{},
		&stepCheckDownload{target: source.Path},
		&stepDownload{source},
		&stepInspectSource{},
		&stepCheckFirmware{},
		&stepOutputDirectory{},
		&stepCheckSpace{},
		&stepCreateOverlay{},
		&stepDiagnose{},
		&stepStartMachine{},
		&stepWaitForGuest{},
		&stepConnect{},
		&StepProvision{},
		&stepWaitUnattended{},
		&stepWaitForPowerOff{},
		&stepProve{},
		&stepConvert{},
	}
}
