// Verifiers that others wrote are test tools and nothing more: they live in a module of
// their own and never enter the plugin's go.mod.
module github.com/packer-plugin-sysprep/packer-plugin-sysprep/tools/verifiers

go 1.25.8

require (
	github.com/in-toto/attestation v1.2.0
	github.com/secure-systems-lab/go-securesystemslib v0.11.1
	google.golang.org/protobuf v1.36.11
)

require (
	golang.org/x/crypto v0.55.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)
