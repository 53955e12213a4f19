//go:generate go tool packer-sdc struct-markdown

package sysprep

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

// Remedying is the part of the block preflight that changes the guest.
type Remedying struct {
	// Ids of [remedies](https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/blob/main/docs/remedies.md)
	// that are applied before sysprep is started, where there is something for them to
	// do. `"suggested"` stands for those that are harmless. Each says what it will
	// change and what it has changed, and is verified by the checks it answers. Nothing
	// is changed by default, nor with `report_only`.
	Remedies []string `mapstructure:"remedies"`
	// Providers of other software below SysPrepExternal that the remedy
	// `external-providers` removes though their DLL is there: the name of the value, or
	// the path of the DLL.
	RemoveProviders []string `mapstructure:"remove_providers"`
	// How long the remedy `bitlocker` waits until the drive is decrypted. Defaults to
	// `2h`.
	BitLockerTimeout time.Duration `mapstructure:"bitlocker_timeout"`
}

const bitLockerTimeout = 2 * time.Hour

func (o *Remedying) setRemedyDefaults() {
	if o.BitLockerTimeout == 0 {
		o.BitLockerTimeout = bitLockerTimeout
	}
}

// choice is which remedies were asked for; keep are files that the run needs.
func (o Remedying) choice(keep ...string) preflight.Choice {
	return preflight.Choice{IDs: o.Remedies, Providers: o.RemoveProviders, Keep: keep}
}

// checkRemedies returns everything that is wrong with it.
func (o Remedying) checkRemedies() (errs []error) {
	if slices.ContainsFunc(slices.Concat(o.Remedies, o.RemoveProviders), unknown.In) {
		return nil
	}
	for _, err := range o.choice().Check() {
		errs = append(errs, fmt.Errorf("preflight.%w", err))
	}
	if o.BitLockerTimeout < time.Second {
		errs = append(errs, fmt.Errorf("preflight.bitlocker_timeout: %s is less than a second; write it with its unit, e.g. \"2h\"", o.BitLockerTimeout))
	}
	return errs
}

// checkHygiene refuses what cannot be cleaned, or not so.
func (c *Config) checkHygiene() (errs []error) {
	if slices.ContainsFunc(c.Hygiene, unknown.In) {
		return nil
	}
	errs = preflight.CheckCleanings(c.Hygiene)
	end := c.endCleanings()
	if len(end) == 0 {
		return errs
	}
	var names []string
	for _, cleaning := range end {
		names = append(names, cleaning.ID)
	}
	action := c.Action
	if action == actionAuto {
		action, _ = c.autoAction()
	}
	b, _ := handover(c.PackerBuilderType)
	switch {
	case unknown.In(c.Action) || unknown.In(c.Mode):
	case !c.generalize() || c.Mode == modeAudit:
		errs = append(errs, fmt.Errorf("hygiene: %s is for an image that is generalized for OOBE; remove it, or set generalize = true and mode = \"oobe\"", strings.Join(names, " and ")))
	case action == actionReboot:
		errs = append(errs, fmt.Errorf("hygiene: %s is for an image, and action = \"reboot\" begins its first boot; remove it, or set action = \"shutdown\"", strings.Join(names, " and ")))
	case action == actionQuit && !b.noLogin:
		errs = append(errs, fmt.Errorf("hygiene: %s would keep the builder %q from logging in to shut Windows down; set action = \"shutdown\", and no shutdown_command in the source", strings.Join(names, " and "), c.PackerBuilderType))
	}
	return errs
}

// endCleanings are those that are done right before Windows goes down.
func (c *Config) endCleanings() []preflight.Cleaning {
	return preflight.CleaningsOf(c.Hygiene, true)
}
