// Package sysprep is the provisioner that generalizes a Windows guest: it runs
// sysprep, watches it, and does not return success before the guest has proven
// it.
package sysprep

import (
	"context"

	"github.com/hashicorp/hcl/v2/hcldec"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge/packerui"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/parent"
)

// Provisioner is the component that Packer calls.
type Provisioner struct {
	config Config
}

var _ packersdk.Provisioner = (*Provisioner)(nil)

// ConfigSpec describes the options for HCL.
func (p *Provisioner) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Prepare checks the options. Packer calls it twice, first with values it does
// not know yet.
func (p *Provisioner) Prepare(raws ...any) error { return edge.Error(p.config.decode(raws...)) }

// Provision runs sysprep.
func (p *Provisioner) Provision(ctx context.Context, ui packersdk.Ui, comm packersdk.Communicator, data map[string]any) error {
	ctx, cancel := parent.Bind(ctx)
	defer cancel()
	return edge.Error(newRun(p.config, packerui.Wrap(ui), comm, data).provision(ctx))
}
