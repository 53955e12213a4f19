// Command emptyplugin is a Packer plugin that does nothing: what Packer's plugin SDK costs
// by itself, for the benchmarks to compare ours with.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/plugin"
	"github.com/hashicorp/packer-plugin-sdk/version"
)

type provisioner struct{}

func (provisioner) ConfigSpec() hcldec.ObjectSpec { return hcldec.ObjectSpec{} }

// decode reads options, with the tag.
var decode = func(...any) error { return nil }

func (provisioner) Prepare(raws ...any) error { return decode(raws...) }

func (provisioner) Provision(context.Context, packer.Ui, packer.Communicator, map[string]any) error {
	return nil
}

func main() {
	set := plugin.NewSet()
	set.RegisterProvisioner(plugin.DEFAULT_NAME, provisioner{})
	set.SetVersion(version.NewPluginVersion("0.1.0", "dev", ""))
	if err := set.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
