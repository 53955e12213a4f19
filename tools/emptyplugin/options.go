//go:build options

package main

import (
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"
)

// With the tag it can read options as every plugin does that has any: the SDK's decoder
// brings the clients of Vault, Consul and AWS for the functions of templates.
func init() {
	decode = func(raws ...any) error {
		return config.Decode(new(options), &config.DecodeOpts{Interpolate: true, InterpolateContext: new(interpolate.Context)}, raws...)
	}
}

// options are none.
type options struct{}

func (options) FlatMapstructure() interface{ HCL2Spec() map[string]hcldec.Spec } {
	return new(flatOptions)
}

type flatOptions struct{}

func (flatOptions) HCL2Spec() map[string]hcldec.Spec { return nil }
