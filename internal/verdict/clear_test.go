package verdict

import (
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

func TestTheFirstLookDecidesWhetherToLaunch(t *testing.T) {
	generalize := Expectation{Generalize: true}
	for name, test := range map[string]struct {
		first    func(*First)
		expect   Expectation
		want     Start
		text     string
		cause    string
		warnings int
	}{
		"an installed Windows goes":                      {func(f *First) {}, generalize, Go, "installed completely", "", 0},
		"audit mode goes":                                {func(f *First) { f.ImageState, f.AuditMode, f.OOBEInProgress = windows.StateSpecializeToAudit, Yes, Yes }, generalize, Go, "audit mode", "", 0},
		"audit mode that AuditBoot denies goes, warned":  {func(f *First) { f.ImageState, f.AuditMode = windows.StateSpecializeToAudit, No }, generalize, Go, "", "", 1},
		"an odd GeneralizationState goes, warned":        {func(f *First) { *f.GeneralizationState = 9 }, generalize, Go, "", "", 1},
		"an absent GeneralizationState goes":             {func(f *First) { f.GeneralizationState = nil }, generalize, Go, "", "", 0},
		"unreadable processes go, warned":                {func(f *First) { f.Process = Unknown }, generalize, Go, "", "", 1},
		"an unreachable guest waits":                     {func(f *First) { f.Reached, f.TransportErr = false, "timed out" }, generalize, Wait, "timed out", "", 0},
		"Setup still running waits":                      {func(f *First) { f.SystemSetupInProgress = Yes }, generalize, Wait, "still running", "", 0},
		"OOBE still running waits":                       {func(f *First) { f.OOBEInProgress = Yes }, generalize, Wait, "still running", "", 0},
		"undeployable waits":                             {func(f *First) { f.ImageState = windows.StateUndeployable }, generalize, Wait, "first boot", "", 0},
		"an unreadable state waits":                      {func(f *First) { f.ImageState = "" }, generalize, Wait, "could not be read", "", 0},
		"already generalized is said":                    {func(f *First) { f.ImageState = windows.StateGeneralizeToOOBE; *f.GeneralizationState = 4 }, generalize, Already, "already", "", 0},
		"already generalized for OOBE, audit wanted":     {func(f *First) { f.ImageState = windows.StateGeneralizeToOOBE }, Expectation{Generalize: true, ImageState: windows.StateGeneralizeToAudit}, Refuse, "is wanted", "ALREADY_GENERALIZED", 0},
		"already generalized, only OOBE wanted":          {func(f *First) { f.ImageState = windows.StateGeneralizeToOOBE }, Expectation{}, Refuse, "is wanted", "ALREADY_GENERALIZED", 0},
		"GeneralizationState 4 alone is a contradiction": {func(f *First) { *f.GeneralizationState = 4 }, generalize, Refuse, "GeneralizationState is 4", "ALREADY_GENERALIZED", 0},
		"specialize of a generalized source waits": {func(f *First) {
			f.ImageState, *f.GeneralizationState, f.SystemSetupInProgress = windows.StateUndeployable, 4, Yes
		}, generalize, Wait, "first boot", "", 0},
		"generalized in audit mode, in the midst of Setup": {func(f *First) {
			f.ImageState, *f.GeneralizationState, f.SystemSetupInProgress = windows.StateSpecializeToAudit, 4, Yes
		}, generalize, Refuse, "GeneralizationState is 4", "ALREADY_GENERALIZED", 0},
		"generalized and complete, in the midst of Setup": {func(f *First) { *f.GeneralizationState, f.SystemSetupInProgress = 4, Yes }, generalize, Refuse, "GeneralizationState is 4", "ALREADY_GENERALIZED", 0},
		"another sysprep is asked for":                    {func(f *First) { f.Process, f.SysprepPID = Yes, 4321 }, generalize, Ask, "process id 4321", "", 0},
		"a missing sysprep.exe refuses":                   {func(f *First) { f.SysprepExe = No }, generalize, Refuse, "missing", "SYSPREP_MISSING", 0},
		"an earlier broken run refuses":                   {func(f *First) { *f.GeneralizationState = 3; f.ImageState = windows.StateUndeployable }, generalize, Refuse, "GeneralizationState 3", "INVALID_STATE", 0},
		"OOBE may still be finishing, so it waits":        {func(f *First) { f.ImageState = windows.StateSpecializeToOOBE }, generalize, Wait, "OOBE", "", 0},
		"generalized but not armed refuses":               {func(f *First) { f.ImageState = windows.StateGeneralizeToOOBE; next(0, "")(&f.Observation) }, generalize, Refuse, "SetupType 0, CmdLine empty", "", 0},
		"generalized and armed is said":                   {func(f *First) { f.ImageState = windows.StateGeneralizeToOOBE; ready(&f.Observation) }, generalize, Already, "already", "", 0},
		"SetupType 0 is how a running Windows is":         {func(f *First) { next(0, "")(&f.Observation) }, generalize, Go, "", "", 0},
		"an unknown state refuses":                        {func(f *First) { f.ImageState = "IMAGE_STATE_NEW" }, generalize, Refuse, "IMAGE_STATE_NEW", "", 0},
	} {
		n := 7
		f := First{Observation: Observation{Reached: true, ImageState: windows.StateComplete, GeneralizationState: &n, Process: No}, SysprepExe: Yes, SystemSetupInProgress: No, OOBEInProgress: No}
		test.first(&f)
		d := Clear(f, test.expect)
		if d.Start != test.want || !strings.Contains(d.Reason, test.text) || d.Cause != test.cause || len(d.Warnings) != test.warnings || d.Reason == "" {
			t.Errorf("%s: %+v", name, d)
		}
		if (d.Start == Refuse || d.Start == Already) && len(d.Next) == 0 {
			t.Errorf("%s: no next step", name)
		}
	}
}
