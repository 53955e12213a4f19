//go:build download

package main

import (
	"github.com/hashicorp/packer-plugin-sdk/multistep"
	"github.com/hashicorp/packer-plugin-sdk/multistep/commonsteps"
)

// With the tag it has the SDK's step that downloads, as every builder that boots a disk or
// an ISO has: it brings the clients of three clouds, which are most of a plugin's size.
var steps = []multistep.Step{new(commonsteps.StepDownload)}

func init() {
	if len(steps) == 0 {
		panic("the linker left the step out")
	}
}
