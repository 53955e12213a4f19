package verdict

import (
	"cmp"
	"fmt"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Clear judges the guest before the launch. On Wait the caller looks again
// until its own limit and then treats it as Refuse.
func Clear(first First, e Expectation) Clearance {
	e = e.withDefaults()
	switch {
	case !first.Reached:
		return Clearance{Start: Wait, Unreached: true, Reason: "the guest did not answer: " + cmp.Or(first.TransportErr, "no reason given")}
	case first.Process == Yes:
		return running(first, e)
	case first.SysprepExe == No:
		return refuse("F52", "sysprep.exe is missing")
	case first.ImageState.Means() == windows.Generalized:
		if e.Generalize && first.ImageState == e.ImageState {
			if armed(first.Observation, e.ImageState) == No {
				return Clearance{Start: Refuse, Reason: fmt.Sprintf("ImageState is %s, but the image is not armed for its first boot: %s", first.ImageState, notArmed(first.SetupType, first.CmdLine)),
					Next: unarmedNext}
			}
			return Clearance{Start: Already, Reason: fmt.Sprintf("the machine is generalized already (%s)", first.ImageState),
				Next: []string{"Do not restart it: shut it down and take the disk."}}
		}
		return refuse("F55", fmt.Sprintf("the machine is generalized already, as %s; %s is wanted", first.ImageState, e.ImageState))
	case generalizationState(first.Observation) == windows.GeneralizeUnfinished:
		return refuse("F32", fmt.Sprintf("an earlier sysprep run failed midway (GeneralizationState %d, ImageState %s)", windows.GeneralizeUnfinished, cmp.Or(first.ImageState, "unknown")))
	case generalizationState(first.Observation) == windows.GeneralizeDone && !firstBoot(first):
		return refuse("F55", fmt.Sprintf("GeneralizationState is %d (generalized), but ImageState is %s", windows.GeneralizeDone, cmp.Or(first.ImageState, "unknown")))
	}
	d := byImageState(first)
	if d.Start != Go {
		return d
	}
	if n := generalizationState(first.Observation); n >= 0 && n != windows.NeverGeneralized {
		d.Warnings = append(d.Warnings, fmt.Sprintf("GeneralizationState is %d; %d is usual on a running machine", n, windows.NeverGeneralized))
	}
	if first.Process == Unknown {
		d.Warnings = append(d.Warnings, "could not tell whether another sysprep.exe is running; if one is, it blocks this run")
	}
	return d
}

func byImageState(first First) Clearance {
	state, means := first.ImageState, first.ImageState.Means()
	switch means {
	case windows.InAudit:
		// Setup may well call itself unfinished in audit mode.
		d := Clearance{Start: Go, Reason: "Windows is in audit mode"}
		if first.AuditMode == No {
			d.Warnings = append(d.Warnings, "ImageState says audit mode, AuditBoot does not")
		}
		return d
	case windows.Unfinished:
		return Clearance{Start: Wait, Reason: fmt.Sprintf("ImageState is %s: Windows Setup may still be finishing the first boot", state),
			Next: []string{"If it stays so after Setup has ended, this installation is broken: start from another source disk."}}
	case windows.BeforeOOBE:
		// OOBE may still be finishing behind a WinRM that answers already.
		return Clearance{Start: Wait, Reason: fmt.Sprintf("ImageState is %s: the first boot has not passed OOBE, or sysprep ran without /generalize", state),
			Next: []string{"Complete OOBE before the build, with an answer file for the source machine that has LocalAccounts or AutoLogon in pass oobeSystem."}}
	case windows.Unread:
		return Clearance{Start: Wait, Reason: "ImageState could not be read",
			Next: []string{fmt.Sprintf("Check that the user may read %s.", windows.ImageState.Key())}}
	}
	if first.SystemSetupInProgress == Yes || first.OOBEInProgress == Yes {
		return Clearance{Start: Wait, Reason: "Windows Setup is still running (SystemSetupInProgress or OOBEInProgress is set)",
			Next: []string{"Let the first boot finish before the build goes on."}}
	}
	if means.MayStart() {
		return Clearance{Start: Go, Reason: "Windows is installed completely"}
	}
	return Clearance{Start: Refuse, Reason: fmt.Sprintf("ImageState is %s, which sysprep does not start from", state),
		Next: []string{fmt.Sprintf("Start from an installation whose ImageState is %s.", windows.StateComplete)}}
}

// firstBoot: a source that was generalized is in specialize, where Windows has
// the state of the generalization still.
func firstBoot(first First) bool {
	means := first.ImageState.Means()
	return first.SystemSetupInProgress == Yes && (means == windows.Unfinished || means == windows.BeforeOOBE)
}

// refuse takes the next steps from the catalogue.
func refuse(id, reason string) Clearance {
	d, _ := diagnosis.ByID(id)
	return Clearance{Start: Refuse, Reason: reason, Cause: d.Name, CauseID: d.ID, Next: d.Remedy}
}

func pid(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (process id %d)", n)
}

func generalizationState(o Observation) int {
	if o.GeneralizationState == nil {
		return -1
	}
	return *o.GeneralizationState
}
