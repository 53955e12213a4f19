package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
)

// Values of SysprepStatus\GeneralizationState (field reports; Microsoft does
// not document them).
const (
	generalizeUnfinished = 3
	generalizeDone       = 4
	neverGeneralized     = 7
)

// Look judges the guest before the launch. On Wait the caller looks again
// until its own limit and then treats it as Refuse.
func Look(first First, e Expectation) Decision {
	e = e.withDefaults()
	switch {
	case !first.Reached:
		return Decision{Action: Wait, Reason: "the guest did not answer: " + cmp.Or(first.TransportErr, "no reason given")}
	case first.Process == Yes:
		d := refuse("F51", "sysprep.exe is already running"+pid(first.SysprepPID))
		if first.SysprepPID != 0 {
			d.Next = slices.Clone(d.Next)
			for i := range d.Next {
				d.Next[i] = strings.ReplaceAll(d.Next[i], "<pid>", fmt.Sprint(first.SysprepPID))
			}
		}
		if first.AuditMode == Yes {
			d.Next = append(d.Next, "In audit mode Windows opens sysprep's window at each logon: close it before this provisioner runs.")
		}
		return d
	case first.SysprepExe == No:
		return refuse("F52", "sysprep.exe is missing")
	case first.ImageState == StateGeneralizeToOOBE || first.ImageState == StateGeneralizeToAudit:
		if e.Generalize && first.ImageState == e.ImageState {
			if armed(first.Observation, e.ImageState) == No {
				return Decision{Action: Refuse, Reason: fmt.Sprintf(`ImageState is %s, but the image is not armed for its first boot: HKLM\SYSTEM\Setup has %s where a generalized image has SetupType 2, CmdLine oobe\windeploy.exe`,
					first.ImageState, armament(first.SetupType, first.CmdLine)), Next: unarmedNext}
			}
			return Decision{Action: Already, Reason: "the machine is generalized already (" + first.ImageState + ")",
				Next: []string{"Do not restart it: shut it down and take the disk."}}
		}
		return refuse("F55", fmt.Sprintf("the machine is generalized already, as %s; %s is wanted", first.ImageState, e.ImageState))
	case generalizationState(first.Observation) == generalizeUnfinished:
		return refuse("F32", "an earlier sysprep run broke off (GeneralizationState 3, ImageState "+cmp.Or(first.ImageState, "unknown")+")")
	case generalizationState(first.Observation) == generalizeDone:
		return refuse("F55", "GeneralizationState is 4 (generalized), but ImageState is "+cmp.Or(first.ImageState, "unknown"))
	}
	d := byImageState(first)
	if d.Action != Go {
		return d
	}
	if n := generalizationState(first.Observation); n >= 0 && n != neverGeneralized {
		d.Warnings = append(d.Warnings, fmt.Sprintf("GeneralizationState is %d; 7 is usual on a running machine", n))
	}
	if first.Process == Unknown {
		d.Warnings = append(d.Warnings, "could not tell whether another sysprep.exe is running; one that is would block this run")
	}
	return d
}

func byImageState(first First) Decision {
	switch first.ImageState {
	case StateSpecializeToAudit:
		// Setup may well call itself unfinished in audit mode.
		d := Decision{Action: Go, Reason: "Windows is in audit mode"}
		if first.AuditMode == No {
			d.Warnings = append(d.Warnings, "ImageState says audit mode, AuditBoot does not")
		}
		return d
	case StateUndeployable:
		return Decision{Action: Wait, Reason: "ImageState is " + StateUndeployable + ": Windows Setup may still be finishing the first boot",
			Next: []string{"If it stays so although Setup has ended, this installation is broken: start from another source disk."}}
	case StateSpecializeToOOBE:
		// OOBE may still be finishing behind a WinRM that answers already.
		return Decision{Action: Wait, Reason: "ImageState is " + StateSpecializeToOOBE + ": the first boot has not passed OOBE, or sysprep ran without /generalize",
			Next: []string{"Complete OOBE before the build, with an answer file for the source machine that has LocalAccounts or AutoLogon in pass oobeSystem."}}
	case "":
		return Decision{Action: Wait, Reason: "ImageState could not be read",
			Next: []string{`Check that the user may read HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State.`}}
	}
	if first.SystemSetupInProgress == Yes || first.OOBEInProgress == Yes {
		return Decision{Action: Wait, Reason: "Windows Setup is still running (SystemSetupInProgress or OOBEInProgress is set)",
			Next: []string{"Let the first boot finish before the build goes on."}}
	}
	if first.ImageState == StateComplete {
		return Decision{Action: Go, Reason: "Windows is installed completely"}
	}
	return Decision{Action: Refuse, Reason: "ImageState is " + first.ImageState + ", which sysprep does not start from",
		Next: []string{"Start from an installation whose ImageState is " + StateComplete + "."}}
}

// refuse takes the next steps from the catalogue.
func refuse(id, reason string) Decision {
	d, _ := diagnosis.Known(id)
	return Decision{Action: Refuse, Reason: reason, Cause: d.Name, Next: d.Remedy}
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
