//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config
//go:generate go tool packer-sdc struct-markdown

// Package proof proves an image as part of a build: the block verify { } that
// builder and post-processor share, the judgement in Packer's Ui, and the report
// beside the disk.
package proof

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/boots"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/target"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// Config is the block `verify`. Without any option the image has to be proven
// to be generalized and ready for its first boot (OOBE).
type Config struct {
	// Prove the image before it is handed over. Defaults to `true`. With
	// `false` nothing checks whether Windows is generalized.
	Enabled config.Trilean `mapstructure:"enabled"`
	// What Windows must start into next: `oobe` (default) or `audit`.
	Expect string `mapstructure:"expect"`
	// Which installations of Windows are held against it, where a disk has
	// several: `all` (default), since each of them has to be generalized, or the
	// number of the partition of one, as `inspect` names it.
	Windows string `mapstructure:"windows"`
	// Where the image goes: `azure`, `hyperv`, `aws` or `openstack`. What that place
	// asks of the file (its format, where its footer is, its size, which firmware
	// starts it) is asserted of the finished image as well, one assertion a rule, and
	// one that does not hold refuses the image. By default nothing is asked for any
	// place.
	Target string `mapstructure:"target"`
	// Where the Windows of the image is to start: a list of targets such as
	// `["azure-gen2", "hyperv", "qemu-virtio"]`. Of each it is said whether it starts
	// there, `yes`, `no` or `unknown`, by the drivers of the disk's controller, the
	// filter drivers, the firmware and the boot files, and what of the network card and
	// the agent is missing. A `no` refuses the image; what is `unknown` warns. All
	// targets, and what each needs, are in `docs/boots-on.md`. Nothing is started for
	// it. By default nothing is asked for.
	BootsOn []string `mapstructure:"boots_on"`
	// With `boots_on`, refuse an image of which it is `unknown` whether it starts on
	// one of the targets. Defaults to `false`.
	BootsOnStrict bool `mapstructure:"boots_on_strict"`
	// The severity of an assertion that does not hold, by its id: `fail` (the
	// image is not handed over), `warn`, `info` or `off`. Assertions that are not
	// named here keep their own severity. `windows` stays `fail`. The ids are
	// those in the report and in the messages, for instance
	// `severities = { secrets = "fail", autologon = "off" }`.
	Severities map[string]string `mapstructure:"severities"`
	// The path of the report, a JSON file with every fact and every assertion
	// (docs/report.md).
	// It is written whether or not the image is proven, and replaces only an
	// earlier report or an empty file. While an earlier image is kept, so is its
	// report, and the report on a refused image is written elsewhere. Defaults
	// to the path of the disk with `.report.json` added.
	Report string `mapstructure:"report"`
	// Read the converted disk back as a whole and compare it with its source
	// before it gets its final name. This takes about as long as the conversion.
	// Without it a sample is compared: some places that were written and some
	// that hold zeros. Defaults to `false`.
	Compare bool `mapstructure:"compare"`
}

const (
	expectOOBE  = "oobe"
	expectAudit = "audit"
	allWindows  = "all"
)

// Prepare fills in defaults and returns everything that is wrong with the
// options, each error beginning with the option's name. It can be called any
// number of times.
func (c *Config) Prepare() (errs []error) {
	if c.Enabled == config.TriUnset {
		c.Enabled = config.TriTrue
	}
	if c.Expect == "" {
		c.Expect = expectOOBE
	}
	if c.Expect != expectOOBE && c.Expect != expectAudit && c.Expect != unknown.Value {
		errs = append(errs, fmt.Errorf("verify.expect: %q is not one of %s, %s", c.Expect, expectOOBE, expectAudit))
	}
	if c.Windows == "" {
		c.Windows = allWindows
	}
	if n, err := strconv.Atoi(c.Windows); c.Windows != allWindows && c.Windows != unknown.Value && (err != nil || n < 1) {
		errs = append(errs, fmt.Errorf("verify.windows: %q is neither %s nor the number of a partition, from 1", c.Windows, allWindows))
	}
	if c.Target != "" && c.Target != unknown.Value && !slices.Contains(target.Names(), c.Target) {
		errs = append(errs, fmt.Errorf("verify.target: %q is not one of %s", c.Target, strings.Join(target.Names(), ", ")))
	}
	for _, name := range c.BootsOn {
		if name != unknown.Value && !slices.Contains(boots.Names(), name) {
			errs = append(errs, fmt.Errorf("verify.boots_on: %q is not one of %s", name, strings.Join(boots.Names(), ", ")))
		}
	}
	// A build that relies on it would be held against no target.
	if c.BootsOnStrict && len(c.BootsOn) == 0 {
		errs = append(errs, errors.New("verify.boots_on_strict: it refuses nothing, because verify.boots_on names no target; "+
			"name the targets there, for instance boots_on = [\"azure-gen2\"], or remove boots_on_strict"))
	}
	_, wrong := c.overrides()
	return append(errs, wrong...)
}

// overrides are the severities that were chosen, without those not known yet.
func (c *Config) overrides() (finding.Overrides, []error) {
	words := maps.Clone(c.Severities)
	maps.DeleteFunc(words, func(id, severity string) bool { return id == unknown.Value || severity == unknown.Value })
	chosen, errs := finding.ParseOverrides("verify.severities", "assertion", words, slices.Concat(winimage.AssertionIDs(), target.IDs(), boots.IDs()))
	if s, ok := chosen[winimage.WindowsID]; ok && s != finding.Fail {
		errs = append(errs, fmt.Errorf("verify.severities: %s cannot be %q, because nothing can be asserted without Windows; remove it, or set verify.enabled = false", winimage.WindowsID, s))
	}
	return chosen, errs
}

// PrepareTarget says why the target, or a place of boots_on, does not take what is
// going to be written. It says nothing of what is not known yet.
func (c *Config) PrepareTarget(format, vhdType string) (errs []error) {
	if !slices.Contains(diskimage.Outputs(), format) || vhdType == unknown.Value {
		return nil
	}
	if slices.Contains(target.Names(), c.Target) {
		if err := target.Takes(target.Target(c.Target), diskimage.Format(format), vhdType); err != nil {
			errs = append(errs, fmt.Errorf("verify.target, format: %w", err))
		}
	}
	if name, place := boots.OfFile(c.BootsOn); name != "" {
		if err := target.Takes(place, diskimage.Format(format), vhdType); err != nil {
			errs = append(errs, fmt.Errorf("verify.boots_on has %s, format: %w", name, err))
		}
	}
	return errs
}

// PrepareBackingFiles checks the option backing_files of the components. The
// files may come into being later, so they are not looked for.
func PrepareBackingFiles(paths []string) (errs []error) {
	for _, path := range paths {
		if path == "" {
			errs = append(errs, errors.New("backing_files: a path is empty; remove it, or name the file or folder that the disk may be based on"))
		}
	}
	return errs
}

// expectation is what the image is held against.
func (c *Config) expectation(o Options) winimage.Expectation {
	chosen, _ := c.overrides()              // what is wrong with them Prepare has said
	partition, _ := strconv.Atoi(c.Windows) // 0: all
	return winimage.Expectation{
		Partition: partition,
		Audit:     c.Expect == expectAudit, Source: o.Source, Run: o.Run, VMMode: o.VMMode, AnswerFile: o.AnswerFile, Severities: chosen,
	}
}
