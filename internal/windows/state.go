package windows

import "strings"

// State is an ImageState; empty where it was not read.
type State string

// The values that Microsoft documents.
const (
	StateComplete          State = "IMAGE_STATE_COMPLETE"                   // [state-complete]
	StateUndeployable      State = "IMAGE_STATE_UNDEPLOYABLE"               // [state-undeployable]
	StateGeneralizeToOOBE  State = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"  // [state-generalize]
	StateGeneralizeToAudit State = "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT" // [state-generalize]
	StateSpecializeToOOBE  State = "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE"  // [state-specialize]
	StateSpecializeToAudit State = "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT" // [state-audit]
)

// Meaning is what an ImageState means for a run of sysprep that is to begin, in
// a guest as on the disk that a guest is started from.
type Meaning uint8

// Meanings. The first boot goes on by itself when the machine runs, and a disk
// in that state is at its beginning.
const (
	Unread       Meaning = iota // [image-state] the value is absent or could not be read
	Installed                   // [state-complete] Setup is over: sysprep may start
	InAudit                     // [state-audit] audit mode, in which images are made: sysprep may start
	BeforeOOBE                  // [state-specialize] the first boot has not passed OOBE
	Unfinished                  // [state-undeployable] a phase has begun and not ended: at work, or broken for ever
	Generalized                 // [state-generalize] done, and not started since
	Unrecognised                // [image-state] a value that Microsoft does not name
)

// Means says what the state means for a run that is to begin.
func (s State) Means() Meaning {
	switch s {
	case "":
		return Unread
	case StateComplete:
		return Installed
	case StateSpecializeToAudit:
		return InAudit
	case StateSpecializeToOOBE:
		return BeforeOOBE
	case StateUndeployable:
		return Unfinished
	case StateGeneralizeToOOBE, StateGeneralizeToAudit:
		return Generalized
	}
	return Unrecognised
}

// MayStart reports whether sysprep starts from it.
func (m Meaning) MayStart() bool { return m == Installed || m == InAudit }

// StateAfter is the ImageState that a good run leaves. [state-generalize]
// [state-specialize] [state-audit]
func StateAfter(generalize, audit bool) State {
	switch {
	case generalize && audit:
		return StateGeneralizeToAudit
	case generalize:
		return StateGeneralizeToOOBE
	case audit:
		return StateSpecializeToAudit
	}
	return StateSpecializeToOOBE
}

// Values of GeneralizationState. Others are not understood, and absent it says
// nothing.
const (
	GeneralizeUnfinished = 3 // [generalization-3]
	GeneralizeDone       = 4 // [generalization-4]
	NeverGeneralized     = 7 // [generalization-7]
)

// What a generalized Windows runs at its next boot.
const (
	SetupTypeArmed = 2                      // [setup-type]
	SetupCommand   = `oobe\` + SetupProgram // [setup-command]
	SetupProgram   = "windeploy.exe"        // [setup-command]
)

// StartsSetup reports whether the command line of the next boot sets the image
// up. Cloud agents put a wrapper into it whose name has the program's in it.
// [setup-wrappers]
func StartsSetup(cmdLine string) bool {
	return strings.Contains(strings.ToLower(cmdLine), strings.TrimSuffix(SetupProgram, ".exe"))
}

// SetsUp says whether the next boot of a generalized Windows sets it up, by
// SetupType and CmdLine, nil where they were not read. [setup-type]
// [setup-command] Of an image for audit mode we know only that something runs.
// [audit-armed]
func SetsUp(generalized State, setupType *int, cmdLine *string) (does, known bool) {
	if generalized == StateGeneralizeToAudit {
		if setupType == nil || cmdLine == nil {
			return false, false
		}
		return *setupType != 0 || strings.TrimSpace(*cmdLine) != "", true
	}
	if setupType != nil && *setupType != SetupTypeArmed || cmdLine != nil && !StartsSetup(*cmdLine) {
		return false, true
	}
	return true, setupType != nil && cmdLine != nil
}
