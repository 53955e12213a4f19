//go:generate go tool packer-sdc struct-markdown

package sysprep

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

// Preflight is the block preflight: what is looked at in the guest before anything is
// changed there.
type Preflight struct {
	// Look for everything that sysprep would refuse to run for, or that would spoil
	// the image, before anything is changed in the guest. Defaults to `true`. Where it
	// cannot be done, as with a PowerShell that is locked down, a line says so and the
	// run goes on.
	Enabled config.Trilean `mapstructure:"enabled"`
	// How bad it is where a check does not pass, by the id of the check: `fail`,
	// `warn`, `info` (shown as a note) or `off` (not made). Example:
	// `{ "windows-search" = "off", "domain-joined" = "fail" }`.
	Severities map[string]string `mapstructure:"severities"`
	// What ends the run before sysprep is started: `fail` (default) is a check of that
	// severity, `warn` also one that warns, `never` nothing. What could not be told
	// never does.
	FailOn string `mapstructure:"fail_on"`
	// Only look, and change nothing in the guest: sysprep is not run, and what was
	// brought to look is removed. All checks are made, the slow ones too. The build
	// succeeds or fails by `fail_on`, and where the guest could not be looked at it
	// fails. Use it with a builder that makes no image, such as `null`: any other one
	// captures the machine as it is. Defaults to `false`.
	ReportOnly bool `mapstructure:"report_only"`
	// What to wait for before the checks are made. See [wait_for](#waiting-before-the-checks).
	WaitFor *WaitFor `mapstructure:"wait_for"`

	Remedying `mapstructure:",squash"`

	severities finding.Overrides
}

// WaitFor is the block wait_for in preflight. Without it the run waits only for a guest
// that does not answer and for a first boot, up to `stall_timeout`.
type WaitFor struct {
	// Wait until the first boot of the source machine has ended, up to `timeout`
	// instead of `stall_timeout`. Defaults to `false`.
	FirstBoot bool `mapstructure:"first_boot"`
	// Wait until no update and no installation is at work (TiWorker, TrustedInstaller,
	// msiexec and the like). Defaults to `false`.
	Servicing bool `mapstructure:"servicing"`
	// Wait until the agents of clouds that start with Windows run, and Cloudbase-Init has
	// ended. Defaults to `false`.
	Agents bool `mapstructure:"agents"`
	// How long to wait for all of it. Then the run ends, and the machine is untouched.
	// Defaults to `15m`.
	Timeout time.Duration `mapstructure:"timeout"`
}

// Values of fail_on.
const (
	failOnFail  = "fail"
	failOnWarn  = "warn"
	failOnNever = "never"
)

const waitForDefault = 15 * time.Minute

// preflights reports whether the checks are made.
func (c *Config) preflights() bool { return c.Preflight == nil || !c.Preflight.Enabled.False() }

// reportOnly reports whether nothing else is done.
func (c *Config) reportOnly() bool { return c.Preflight != nil && c.Preflight.ReportOnly }

// awaits is what to wait for; nothing where the block is missing.
func (c *Config) awaits() WaitFor {
	if c.Preflight == nil || c.Preflight.WaitFor == nil {
		return WaitFor{}
	}
	return *c.Preflight.WaitFor
}

// failOn is the severity that ends a run.
func (c *Config) failOn() finding.Severity {
	switch {
	case c.Preflight == nil || c.Preflight.FailOn == failOnFail:
		return finding.Fail
	case c.Preflight.FailOn == failOnWarn:
		return finding.Warn
	}
	return finding.Off
}

// checkPreflight fills in defaults and returns everything that is wrong with the block.
func (c *Config) checkPreflight() (errs []error) {
	p := c.Preflight
	if p == nil {
		return nil
	}
	refuse := func(when bool, format string, args ...any) {
		if when {
			errs = append(errs, fmt.Errorf("preflight: "+format, args...))
		}
	}
	if p.FailOn == "" {
		p.FailOn = failOnFail
	}
	values := []string{failOnFail, failOnWarn, failOnNever}
	refuse(!slices.Contains(values, p.FailOn) && !unknown.In(p.FailOn), "fail_on: %q is not one of %s", p.FailOn, strings.Join(values, ", "))
	p.setRemedyDefaults()
	errs = append(errs, p.checkRemedies()...)
	refuse(p.Enabled.False() && !p.choice().None(), "remedies are for what the checks find, which enabled = false leaves out; remove one of them")
	refuse(p.ReportOnly && p.Enabled.False(), "report_only = true with enabled = false would do nothing at all; remove one of them")
	words := maps.Clone(p.Severities)
	maps.DeleteFunc(words, func(_, word string) bool { return unknown.In(word) })
	var wrong []error
	p.severities, wrong = finding.ParseOverrides("preflight.severities", "check", words, preflight.IDs())
	errs = append(errs, wrong...)
	if w := p.WaitFor; w != nil {
		if w.Timeout == 0 {
			w.Timeout = waitForDefault
		}
		refuse(w.Timeout < time.Second, "wait_for.timeout: %s is less than a second; write it with its unit, e.g. \"15m\"", w.Timeout)
		refuse(!w.FirstBoot && !w.Servicing && !w.Agents, "wait_for: nothing is waited for; set first_boot, servicing or agents, or remove the block")
		refuse(p.Enabled.False() && (w.Servicing || w.Agents), "wait_for: servicing and agents are looked at by the checks, which enabled = false leaves out")
	}
	return errs
}
