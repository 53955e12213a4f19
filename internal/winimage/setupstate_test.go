package winimage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

const (
	setupErr   = `\Windows\Panther\setuperr.log`
	oldErrors  = "\ufeff2019-07-27 09:00:00, Error                        [Shell Unattend] Product key could not be installed [0xc004f050]\r\n"
	specialEnd = "2026-07-27 09:01:00, Info                         [setup.exe] OrchestrateUpdateImageState: Updating image state from [IMAGE_STATE_UNDEPLOYABLE] --> [IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE]\r\n"
	scriptRuns = "2026-07-27 09:01:02, Info                         [windeploy.exe] RunUserProvidedScript: Found script at [C:\\Windows\\Setup\\Scripts\\SetupComplete.cmd]\r\n"
	specialPn  = "2026-07-27 09:00:00, Info                  SYSPRP ActionPlatform::LaunchModule: Executing method 'Sysprep_Specialize_Pnp' from C:\\Windows\\System32\\sppnp.dll\r\n"
)

// An image holds the log of the installation that it was made from, with whatever
// went wrong there: only what its own first boot logs counts.
func TestOnlyWhatTheFirstBootLogsCounts(t *testing.T) {
	newErrors := strings.TrimPrefix(refusedAtFirstBoot, "\ufeff")
	before := SetupState{Logged: map[string]int64{setupErr: int64(len(oldErrors))}}
	for name, c := range map[string]struct {
		files  map[string]string
		before SetupState
		cause  string
		hang   bool
		grown  int64
	}{
		"nothing new":         {map[string]string{setupErr: oldErrors}, before, "", false, 0},
		"new errors":          {map[string]string{setupErr: oldErrors + newErrors}, before, "F92", false, int64(len(newErrors))},
		"a log begun anew":    {map[string]string{setupErr: newErrors[:len(oldErrors)-20]}, before, "", false, int64(len(oldErrors) - 20)},
		"a log of OOBE":       {map[string]string{`\Windows\Panther\UnattendGC\setuperr.log`: newErrors}, before, "F92", false, int64(len(newErrors))},
		"something hangs":     {map[string]string{`\Windows\Panther\setupact.log`: specialPn}, before, "", true, int64(len(specialPn))},
		"a script that hangs": {map[string]string{`\Windows\Panther\setupact.log`: specialEnd, `\Windows\Panther\UnattendGC\setupact.log`: scriptRuns}, before, "", true, int64(len(specialEnd) + len(scriptRuns))},
		"a step that ended":   {map[string]string{`\Windows\Panther\setupact.log`: specialPn + specialEnd}, before, "", false, int64(len(specialPn) + len(specialEnd))},
		"sysprep's own log":   {map[string]string{winimagetest.Log: winimagetest.RefusedLog}, before, "", false, 0},
		"the image itself":    {map[string]string{setupErr: oldErrors}, SetupState{}, "", false, 0},
		"a log that is short": {map[string]string{setupErr: "x"}, before, "", false, 1},
	} {
		spec := winimagetest.Spec{Generalized: true, Files: c.files}
		d := &drive{ctx: t.Context(), fs: spec.FS(t), name: "the drive", log: logBudget(t.Context())}
		s := d.setupState(c.before)
		id := ""
		if s.Cause != nil {
			id = s.Cause.ID
			if !strings.Contains(s.Cause.Where.File, `\Panther\`) {
				t.Errorf("%s: it is in %q", name, s.Cause.Where.File)
			}
		}
		if id != c.cause || (s.Hang != nil) != c.hang || s.Grown != c.grown {
			t.Errorf("%s: %+v, want %q, %t, %d", name, s, c.cause, c.hang, c.grown)
		}
	}
}

func TestTheStateOfWindowsSetup(t *testing.T) {
	state := func(s windows.State) func(*hivewrite.Key) {
		return func(root *hivewrite.Key) {
			root.Path(`Microsoft\Windows\CurrentVersion\Setup\State`).SetString("ImageState", string(s))
		}
	}
	ini := func(s windows.State) map[string]string {
		return map[string]string{stateINI: "[State]\r\nImageState=\"" + string(s) + "\"\r\n"}
	}
	for name, c := range map[string]struct {
		spec winimagetest.Spec
		want windows.State
	}{
		"a flushed hive is believed":      {winimagetest.Spec{Generalized: true, Software: state(windows.StateUndeployable), Files: ini(windows.StateComplete)}, windows.StateUndeployable},
		"of one that was not, the later":  {winimagetest.Spec{Generalized: true, DirtyHive: "SOFTWARE", Software: state(windows.StateUndeployable), Files: ini(windows.StateComplete)}, windows.StateComplete},
		"which may be that of the hive":   {winimagetest.Spec{Generalized: true, DirtyHive: "SOFTWARE", HiveLog: true, Software: state(windows.StateComplete), Files: ini(windows.StateUndeployable)}, windows.StateComplete},
		"nothing in the hive":             {winimagetest.Spec{Generalized: true, Software: state(""), Files: ini(windows.StateSpecializeToOOBE)}, windows.StateSpecializeToOOBE},
		"what the registry does not name": {winimagetest.Spec{Generalized: true, Software: state("X")}, "X"},
	} {
		d := &drive{ctx: t.Context(), fs: c.spec.FS(t), name: "the drive", log: logBudget(t.Context())}
		if got := d.imageState(); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestADiskWithoutWindowsHasNoState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	disk, err := diskimage.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if _, err := ReadSetupState(t.Context(), disk, 0, SetupState{}); !errors.Is(err, ErrNoWindows) {
		t.Error(err)
	}
}
