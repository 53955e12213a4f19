// A simulated vCenter is a tool of the tests and nothing more: it lives in a
// module of its own and never enters the plugin's go.mod.
module github.com/packer-plugin-sysprep/packer-plugin-sysprep/tools/plugins/vcsim

go 1.25.8

require github.com/vmware/govmomi v0.51.0

require github.com/google/uuid v1.6.0 // indirect
