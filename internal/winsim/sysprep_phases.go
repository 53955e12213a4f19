package winsim

import (
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// validate runs the pre-validation, which changes nothing.
func (p *preparation) validate(f setuplog.Failure, fails bool) bool {
	total := p.scenario.Validate.or(p.g.durations().validate)
	fails = fails && f.Phase != setuplog.Provider
	if fails && f.Phase == setuplog.Command {
		p.log(f.Lines(nil)...)
		return false
	}
	p.log(p.run.ValidateCleanup()...)
	if p.scenario.Outcome == Hang && p.scenario.HangIn == "validate" {
		return true // main hangs
	}
	if !p.pace(total, 2) {
		return false
	}
	if fails && f.Cleanup {
		p.logElsewhere(f)
		p.log(f.Lines(p.scenario.Packages)...)
		return false
	}
	p.log(p.run.CleanupValid()...)
	if p.opt.generalize {
		p.log(p.run.ValidateGeneralize()...)
	}
	if !p.pace(total, 2) {
		return false
	}
	if fails {
		p.logElsewhere(f)
		p.log(f.Lines(p.scenario.Packages)...)
		return false
	}
	if p.opt.generalize {
		p.log(p.run.GeneralizeValid()...)
	}
	return true
}

// change runs the cleanup and generalize phases, which cannot be undone.
func (p *preparation) change(f setuplog.Failure, fails bool) bool {
	g := p.g
	p.reached(AtGeneralize)
	if err := g.setImageState(imageUndeployable); err != nil {
		g.logf("sysprep: %v", err)
	}
	p.log(setuplog.Noise()[0])
	if p.opt.generalize {
		g.reg.SetDWord(keySysprep, "GeneralizationState", 3)
	}
	steps := p.run.Cleanup()
	middle := len(steps)
	if p.opt.generalize {
		steps = append(steps, p.run.GeneralizePhase()...)
	}
	total := p.scenario.Generalize.or(g.durations().generalize)
	if p.scenario.Outcome == Slow {
		total *= 10
	}
	for i, lines := range steps {
		if fails && ((f.Cleanup && i == middle/2) || (!f.Cleanup && i == (middle+len(steps))/2)) {
			p.log(f.Lines(p.scenario.Packages)...)
			return false
		}
		p.log(lines...)
		if i == middle {
			p.winrmDies()
		}
		if hang, ok := setuplog.Hang(p.scenario.HangIn); ok && p.scenario.Outcome == Hang && i == middle {
			p.log(hang...)
			p.dialog("hang in " + p.scenario.HangIn)
			return false
		}
		if p.scenario.Outcome == Hang && i >= (middle+len(steps))/2 {
			p.dialog("hang in generalize")
			return false
		}
		if !p.pace(total, len(steps)) {
			return false
		}
	}
	p.log(setuplog.Noise()[1:]...)
	return true
}

func (p *preparation) winrmDies() {
	if s := p.scenario; s.WinRMDies != WinRMUp {
		p.g.winRM(s.WinRMDies, time.Duration(s.WinRMBack), WinRMUp)
	}
}
