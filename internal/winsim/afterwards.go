package winsim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// Afterwards is what becomes of a machine after sysprep has reported success,
// while sysprep.exe still runs.
type Afterwards string

// What may come after success.
const (
	Stays           Afterwards = ""
	BecomesUndone   Afterwards = "undone"   // the tag goes, and ImageState is UNDEPLOYABLE
	BecomesFailed   Afterwards = "failed"   // the log ends with a failure
	BecomesComplete Afterwards = "complete" // ImageState is COMPLETE again
)

func (s Scenario) checkAfterwards() error {
	var errs []error
	switch s.Afterwards {
	case Stays, BecomesUndone, BecomesFailed, BecomesComplete:
	default:
		errs = append(errs, fmt.Errorf("unknown afterwards %q", s.Afterwards))
	}
	if !slices.Contains(firstBoots, s.FirstBoot) {
		errs = append(errs, fmt.Errorf("unknown first_boot %q", s.FirstBoot))
	}
	if zone := time.Duration(s.Zone); zone.Abs() > 15*time.Hour || zone%time.Minute != 0 {
		errs = append(errs, fmt.Errorf("no zone is %s from UTC", zone))
	}
	return errors.Join(errs...)
}

// inUse: another program holds the log open, which keeps the folder above it in
// its place too.
func (s Scenario) inUse(path string) bool {
	return s.LogLocked && strings.HasPrefix(strings.ToLower(fileActLog)+`\`, strings.ToLower(path[2:])+`\`)
}

// afterwards plays what comes after success.
func (p *preparation) afterwards() {
	g := p.g
	if p.scenario.Afterwards == Stays {
		return
	}
	third := p.scenario.Lingers.or(6*time.Second) / 3
	if !g.sleep(p.ctx, third) {
		return
	}
	g.logf("after success: %s", p.scenario.Afterwards)
	switch p.scenario.Afterwards {
	case BecomesUndone:
		p.err = errors.Join(p.err, g.drive.Remove(fileTag), g.setImageState(imageUndeployable))
	case BecomesFailed:
		f, _ := setuplog.Find("F35")
		p.log(f.Lines(nil)...)
	case BecomesComplete:
		p.err = errors.Join(p.err, g.setImageState(imageComplete))
	}
	g.sleep(p.ctx, 2*third)
}
