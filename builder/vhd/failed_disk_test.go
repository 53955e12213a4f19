package vhd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// recorder returns a Ui and what it was told.
func recorder() (packersdk.Ui, *bytes.Buffer) {
	var said bytes.Buffer
	return &packersdk.BasicUi{Writer: &said}, &said
}

func TestTheDiskOfAFailedBuildSaysWhy(t *testing.T) {
	for _, c := range []struct {
		name  string
		spec  winimagetest.Spec
		cause string
		said  []string
		since time.Time // of the build
	}{
		{"refused", winimagetest.Spec{Files: map[string]string{winimagetest.Log: winimagetest.RefusedLog}}, "F01", []string{"says why sysprep failed", "Contoso.Notes", "  next: ", "IMAGE_STATE_COMPLETE"}, time.Time{}},
		{"killed midway", winimagetest.Spec{Files: map[string]string{winimagetest.Log: winimagetest.CutLog}}, "", []string{"ends in the middle", "if it hung: sysprep hangs in GeneralizeForImaging", "next: On a fresh machine before sysprep: sc config wuauserv"}, time.Time{}},
		{"never started", winimagetest.Spec{}, "", nil, time.Time{}},
		{"succeeded", winimagetest.Spec{Generalized: true}, "", []string{"sysprep succeeded"}, time.Time{}},
		{"an older run failed, the last succeeded", winimagetest.Spec{Generalized: true, Files: map[string]string{winimagetest.Log: winimagetest.RefusedLog + winimagetest.GoodLog}}, "", []string{"sysprep succeeded"}, time.Time{}},
		{"an earlier build refused", winimagetest.Spec{Files: map[string]string{winimagetest.Log: winimagetest.RefusedLog}}, "", []string{"has no run from this build", "began at 2026-11-23 12:00:00"}, time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)},
		{"an earlier build succeeded", winimagetest.Spec{Files: map[string]string{winimagetest.Log: winimagetest.GoodLog}}, "", []string{"has no run from this build"}, time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)},
		{"without Windows", winimagetest.Spec{Empty: true}, "", nil, time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ui, said := recorder()
			d, err := diagnose(context.Background(), ui, proof.File(winimagetest.Disk(t, c.spec)), "", verdict.Head{}, c.since, strings.Clone)
			if err != nil {
				t.Fatal(err)
			}
			if (d.Cause == nil) != (c.cause == "") || d.Cause != nil && d.Cause.ID != c.cause {
				t.Errorf("cause %+v, want %q", d.Cause, c.cause)
			}
			if c.said == nil && said.Len() > 0 {
				t.Errorf("no news, but it said:\n%s", said)
			}
			for _, want := range c.said {
				if !strings.Contains(said.String(), want) {
					t.Errorf("%q was not said:\n%s", want, said)
				}
			}
		})
	}
}

// They lie where the provisioner's log_directory has them.
func TestLogsAreKeptByTheirPlace(t *testing.T) {
	files := map[string]string{}
	for _, log := range windows.Logs() {
		files[log.Path.OnVolume()] = string(log.Path)
	}
	disk := winimagetest.Disk(t, winimagetest.Spec{Files: files})
	dir := filepath.Join(t.TempDir(), "logs")
	ui, said := recorder()
	d, err := diagnose(context.Background(), ui, proof.File(disk), dir, verdict.Head{}, time.Time{}, strings.Clone)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Logs) != len(windows.Logs()) || !strings.Contains(said.String(), "(files: 12)") {
		t.Errorf("%v, said:\n%s", d.Logs, said)
	}
	for _, log := range windows.Logs() {
		path := log.OnHost(dir)
		if got, err := os.ReadFile(path); err != nil || string(got) != string(log.Path) || !slices.Contains(d.Logs, path) {
			t.Errorf("%s: %q (%v)", path, got, err)
		}
	}
}

func TestADiskThatCannotBeReadIsNoDiagnosis(t *testing.T) {
	ui, said := recorder()
	if _, err := diagnose(context.Background(), ui, proof.File(filepath.Join(t.TempDir(), "absent")), "", verdict.Head{}, time.Time{}, strings.Clone); err == nil || said.Len() > 0 {
		t.Errorf("error %v, said %q", err, said)
	}
}

func TestTheFailureAtTheEndOfALongLogIsFound(t *testing.T) {
	long := []byte(strings.Repeat("2026-11-23 12:00:00, Error SYSPRP x\r\n", 600_000) + winimagetest.RefusedLog)
	d := causeIn(long, time.Time{})
	if d.Cause == nil || d.Progress.Runs != 1 {
		t.Errorf("the failure at the end of a long log: %+v", d)
	}
}
