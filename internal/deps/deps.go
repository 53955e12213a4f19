// Package deps is a placeholder while rooms are built.
package deps

import (
	_ "github.com/hashicorp/hcl/v2/hcldec"
	_ "github.com/hashicorp/packer-plugin-sdk/communicator"
	_ "github.com/hashicorp/packer-plugin-sdk/guestexec"
	_ "github.com/hashicorp/packer-plugin-sdk/multistep/commonsteps"
	_ "github.com/hashicorp/packer-plugin-sdk/packer/registry/image"
	_ "github.com/hashicorp/packer-plugin-sdk/plugin"
	_ "github.com/hashicorp/packer-plugin-sdk/shutdowncommand"
	_ "github.com/hashicorp/packer-plugin-sdk/sdk-internals/communicator/winrm"
	_ "github.com/lima-vm/go-qcow2reader"
	_ "github.com/lima-vm/go-qcow2reader/image/qcow2"
	_ "github.com/masterzen/winrm"
	_ "github.com/packer-community/winrmcp/winrmcp"
	_ "github.com/zclconf/go-cty/cty"
	_ "golang.org/x/crypto/md4"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/text/encoding/unicode"
)
