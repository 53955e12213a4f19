// Command packer-plugin-sysprep is a Packer plugin that generalizes Windows
// machines and proves the image.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/hashicorp/packer-plugin-sdk/plugin"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/builder/vhd"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/cli"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/post-processor/image"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/provisioner/sysprep"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/version"
)

func main() {
	if !cli.ForPacker(os.Args[1:], os.Getenv(plugin.MagicCookieKey) == plugin.MagicCookieValue) {
		os.Exit(cli.Run(os.Args[1:], os.Stdout, os.Stderr))
	}
	log.SetOutput(edge.Log(os.Stderr)) // Packer shows it with PACKER_LOG=1
	set := plugin.NewSet()
	set.RegisterProvisioner(plugin.DEFAULT_NAME, new(sysprep.Provisioner))
	set.RegisterBuilder("vhd", new(vhd.Builder))
	set.RegisterPostProcessor("image", new(image.PostProcessor))
	set.SetVersion(version.PluginVersion)
	if err := set.Run(); err != nil {
		fmt.Fprintln(edge.Screen(os.Stderr), err)
		os.Exit(1)
	}
}
