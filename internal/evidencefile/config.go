//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config
//go:generate go tool packer-sdc struct-markdown

// Package evidencefile makes evidence as part of a build: the block evidence { } that
// builder and post-processor share, and writing the files beside the disk.
package evidencefile

import (
	"errors"
	"fmt"

	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

// Config is the block `evidence`. With it, even empty, a statement that the image is
// proven is written beside the disk, in a form that other programs verify
// ([Evidence](https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/blob/main/docs/evidence.md)):
// without `key` as `<disk>.statement.json`, signed as `<disk>.intoto.json` and
// `<disk>.intoto.sigstore.json`. Of an image that is not proven there is none.
type Config struct {
	// Make the evidence. Defaults to `true` where the block is there.
	Enabled config.Trilean `mapstructure:"enabled"`
	// The path of the private key that signs the statement: a PEM file without a
	// passphrase, of ECDSA over P-256, Ed25519, or RSA with 2048 bits or more. It is read
	// when the template is validated, and never shown. Keys of `cosign`, of a KMS or on
	// a token are not read here: leave it out, and sign the statement with
	// `cosign attest-blob --statement`. Empty by default: the statement is not signed.
	Key string `mapstructure:"key"`

	key *evidence.Key
}

// Wanted reports whether evidence is to be made. A nil Config stands for no block.
func (c *Config) Wanted() bool { return c != nil && !c.Enabled.False() }

// Prepare reads the key and returns everything that is wrong with the options, each
// error beginning with the option's name. proven: the block verify is not switched off.
// It can be called any number of times, and does not look at what is not known yet.
func (c *Config) Prepare(proven bool) (errs []error) {
	if c == nil {
		return nil
	}
	c.key = nil
	if c.Enabled == config.TriUnset {
		c.Enabled = config.TriTrue
	}
	if !c.Wanted() {
		return nil
	}
	if !proven {
		errs = append(errs, errors.New("evidence, verify.enabled: evidence states what was proven; remove verify.enabled = false, or the block evidence"))
	}
	if c.Key == "" || unknown.In(c.Key) {
		return errs
	}
	var err error
	if c.key, err = evidence.LoadKey(c.Key); err != nil {
		errs = append(errs, fmt.Errorf("evidence.key: %w", err))
	}
	return errs
}

// Inputs are the files that the block names for reading, as far as they are known.
func (c *Config) Inputs() []string {
	if !c.Wanted() || c.Key == "" || unknown.In(c.Key) {
		return nil
	}
	return []string{c.Key}
}

// Check says why the evidence on a disk cannot be written, prefix being what the names
// of its files begin with. Inputs are files that are never replaced.
func (c *Config) Check(prefix string, inputs ...string) []error {
	if !c.Wanted() || unknown.In(prefix) {
		return nil
	}
	if err := evidence.Check(prefix, append(inputs[:len(inputs):len(inputs)], c.Inputs()...)...); err != nil {
		return []error{fmt.Errorf("evidence: %w", err)}
	}
	return nil
}

// CheckDisk refuses a disk whose file holds only a part of it: a digest of that would
// say nothing about the rest.
func (c *Config) CheckDisk(info diskimage.Info, fix string) error {
	if !c.Wanted() || len(info.Files) < 2 {
		return nil
	}
	return fmt.Errorf("evidence: %s is only a part of the disk, which is in %d files, and evidence is about one file; %s", info.Files[0], len(info.Files), fix)
}
