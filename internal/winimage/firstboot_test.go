package winimage

import (
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

const refusedAtFirstBoot = "\ufeff2026-07-27 09:00:00, Error                        [setup.exe] SMI data results dump: Source = Name: Microsoft-Windows-Shell-Setup, Language: neutral, ProcessorArchitecture: amd64, PublicKeyToken: 31bf3856ad364e35, VersionScope: nonSxS, /settings/RunSynchronous\r\n" +
	"2026-07-27 09:00:00, Error                        [setup.exe] SMI data results dump: Description = x\r\n" +
	"2026-07-27 09:00:00, Error      [0x060432] IBS    The provided unattend file is not valid; hrResult = 0x80220001\r\n" +
	"2026-07-27 09:00:00, Error                        [windeploy.exe] Setup.exe failed, returning exit code [0x1f]\r\n"

// A generalized image that was booted and failed is no image any more, and
// sysprep need not be run again for it.
func TestAnImageThatFailedAtItsFirstBoot(t *testing.T) {
	state := func(image string) func(*hivewrite.Key) {
		return func(root *hivewrite.Key) {
			root.Path(`Microsoft\Windows\CurrentVersion\Setup\State`).SetString("ImageState", image)
		}
	}
	errLog := map[string]string{`\Windows\Panther\setuperr.log`: refusedAtFirstBoot}
	for name, test := range map[string]struct {
		spec winimagetest.Spec
		want bool
	}{
		"in specialize":            {winimagetest.Spec{Generalized: true, Software: state("IMAGE_STATE_UNDEPLOYABLE"), Files: errLog}, true},
		"in OOBE":                  {winimagetest.Spec{Generalized: true, Software: state("IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE"), Files: map[string]string{`\Windows\Panther\UnattendGC\setuperr.log`: refusedAtFirstBoot}}, true},
		"an image with old errors": {winimagetest.Spec{Generalized: true, Files: errLog}, false},
		"a machine in use":         {winimagetest.Spec{Files: errLog}, false},
		"no log":                   {winimagetest.Spec{Generalized: true, Software: state("IMAGE_STATE_UNDEPLOYABLE")}, false},
		"sysprep failed midway":    {winimagetest.Spec{Software: state("IMAGE_STATE_UNDEPLOYABLE"), Files: map[string]string{`\Windows\Panther\setuperr.log`: refusedAtFirstBoot, winimagetest.Log: winimagetest.RefusedLog}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			facts := Facts{Windows: []Windows{Look(t.Context(), test.spec.FS(t))}}
			cause := facts.Windows[0].FirstBoot
			if (cause != nil) != test.want {
				t.Fatalf("%+v", cause)
			}
			rerunAsked := false
			for _, f := range Prove(facts, Expectation{}) {
				rerunAsked = rerunAsked || !f.Holds && len(f.Remedy) > 0 && strings.Contains(f.Remedy[0], "run sysprep /generalize again")
			}
			if cause == nil {
				return
			}
			if rerunAsked {
				t.Error("sysprep is to be run again")
			}
			if cause.ID != "F92" || !strings.Contains(cause.Where.File, `\Windows\Panther\`) || len(facts.Causes()) != 1 {
				t.Errorf("%+v, causes %+v", cause, facts.Causes())
			}
		})
	}
}
