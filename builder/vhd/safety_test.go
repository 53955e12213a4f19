package vhd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

const oldReport = `{"schema": 1, "proof": {"proven": true}}`

func put(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %.40q (%v), want %q", path, got, err, want)
	}
}

func gone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there: %v", path, err)
	}
}

// files of a folder.
func entriesOf(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestPrepareRefusesPathsThatCannotBeWritten(t *testing.T) {
	for _, c := range []struct {
		name    string
		options map[string]any
		want    string
	}{
		{"the report is the source", map[string]any{"verify": map[string]any{"report": "golden/base.vhd"}}, "verify.report: golden/base.vhd is the same file as"},
		{"the report is the source through a link", map[string]any{"verify": map[string]any{"report": "link/base.vhd"}}, "verify.report: link/base.vhd is the same file as"},
		{"the report is another disk", map[string]any{"verify": map[string]any{"report": "golden/other.vhd"}}, "exists already and is not a report"},
		{"the report is the output", map[string]any{"output_directory": "out", "output_name": "x", "verify": map[string]any{"report": "out/../out/x.vhd"}}, "verify.report: out/../out/x.vhd is the same file as"},
		{"the report is a device", map[string]any{"verify": map[string]any{"report": os.DevNull}}, "verify.report: " + os.DevNull + " is a device"},
		{"the report is a folder", map[string]any{"verify": map[string]any{"report": "golden"}}, "verify.report: golden is a folder"},
		{"the report is below a file", map[string]any{"verify": map[string]any{"report": "golden/base.vhd/r.json"}}, "verify.report: "},
		{"the output is the source", map[string]any{"output_directory": "link", "output_name": "base"}, "output_directory, output_name: "},
		{"the output is a folder", map[string]any{"output_directory": "out", "output_name": "folder"}, "is a folder, which is never replaced"},
		{"the output's folder is a file", map[string]any{"output_directory": "golden/base.vhd"}, "output_directory: golden/base.vhd is a file, not a folder"},
		{"the screen is a folder", map[string]any{"output_directory": "a"}, "output_directory: a-screen.png is a folder"},
		{"the logs are a file", map[string]any{"output_directory": "b"}, "output_directory: b-logs is a file"},
		{"nothing is known", map[string]any{"output_directory": "golden/base.vhd/<unknown>", "verify": map[string]any{"report": "<unknown>/base.vhd"}}, ""},
		{"the report is not known", map[string]any{"verify": map[string]any{"report": "<unknown>"}}, ""},
		{"no report is written", map[string]any{"verify": map[string]any{"enabled": false, "report": "golden/base.vhd"}}, ""},
		{"folders that will be made", map[string]any{"output_directory": "x/y/z", "verify": map[string]any{"report": "d/e/r.json"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			source := put(t, filepath.Join("golden", "base.vhd"), "golden")
			put(t, filepath.Join("golden", "other.vhd"), "other")
			put(t, "b-logs", "")
			for _, folder := range []string{"a-screen.png", filepath.Join("out", "folder.vhd")} {
				if err := os.MkdirAll(folder, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			testutil.Symlink(t, "golden", "link")
			before := entriesOf(t, ".")
			options := valid(t, c.options)
			options["source_path"] = source
			var config Config
			for range 2 {
				_, err := config.prepare(options)
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
			}
			if after := entriesOf(t, "."); after != before {
				t.Errorf("there is %s; before: %s", after, before)
			}
		})
	}
}

func TestPathsAreCheckedAgainBeforeTheBuild(t *testing.T) {
	b := newBench(t, map[string]any{"verify": map[string]any{"report": filepath.Join(t.TempDir(), "r.json")}})
	parent := put(t, filepath.Join(t.TempDir(), "parent.vhd"), "parent of the source")
	b.run.source.Files = []string{b.run.config.SourcePath, parent}
	b.run.config.Verify.Report = parent
	b.wantHalt(t, new(stepOutputDirectory).Run(t.Context(), b), "verify.report: ", "is the same file as "+parent)
	gone(t, b.run.config.OutputDirectory)
	holds(t, parent, "parent of the source")
}

// forced is a bench over an image that an earlier build made, which has come to
// the finished disk of its machine.
func forced(t *testing.T, spec winimagetest.Spec, options map[string]any) (*bench, *stepOutputDirectory) {
	t.Helper()
	b := generalized(t, spec, options)
	b.run.config.PackerForce = true
	put(t, b.run.config.outputPath(), "old")
	put(t, b.run.config.reportPath(), oldReport)
	s := new(stepOutputDirectory)
	b.wantContinue(t, s.Run(t.Context(), b))
	return b, s
}

func TestAForcedBuildThatFailsKeepsTheOldImage(t *testing.T) {
	mine := filepath.Join(t.TempDir(), "r.json")
	for _, c := range []struct {
		name    string
		options map[string]any
		until   func(t *testing.T, b *bench)
	}{
		{"before provisioning", nil, func(t *testing.T, b *bench) {}},
		{"in provisioning, with a report of the user's choice", map[string]any{"verify": map[string]any{"report": mine}}, func(t *testing.T, b *bench) {}},
		{"not proven, with a report of the user's choice", map[string]any{"verify": map[string]any{"report": mine}}, func(t *testing.T, b *bench) {
			b.run.disk.Path = winimagetest.Disk(t, winimagetest.Spec{})
			b.wantHalt(t, new(stepProve).Run(t.Context(), b), "is not proven", b.run.config.beside("report.json"))
		}},
		{"not proven", nil, func(t *testing.T, b *bench) {
			b.run.disk.Path = winimagetest.Disk(t, winimagetest.Spec{})
			b.wantHalt(t, new(stepProve).Run(t.Context(), b), "is not proven")
		}},
		{"after the proof", nil, func(t *testing.T, b *bench) { b.wantContinue(t, new(stepProve).Run(t.Context(), b)) }},
		{"cancelled while the disk is converted", nil, func(t *testing.T, b *bench) {
			b.wantContinue(t, new(stepProve).Run(t.Context(), b))
			b.wantQuietHalt(t, new(stepConvert).Run(cancelled(), b))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, s := forced(t, winimagetest.Spec{}, c.options)
			c.until(t, b)
			b.Put(multistep.StateHalted, true)
			s.Cleanup(b)
			holds(t, b.run.config.outputPath(), "old")
			holds(t, b.run.config.reportPath(), oldReport)
			if left := strings.Fields(entriesOf(t, b.run.config.OutputDirectory)); len(left) > 2 {
				t.Errorf("left %v", left)
			}
			if report, err := os.ReadFile(b.run.config.beside("report.json")); err == nil && strings.Contains(string(report), "\n  \"holds\": true") {
				t.Error("a report claims a proof of an image that was not made")
			}
		})
	}
}

func TestAForcedBuildReplacesDiskAndReport(t *testing.T) {
	b, s := forced(t, winimagetest.Spec{}, nil)
	put(t, b.run.config.beside("report.json"), oldReport) // of a build that was refused
	b.wantContinue(t, new(stepProve).Run(t.Context(), b))
	b.wantContinue(t, new(stepConvert).Run(t.Context(), b))
	s.Cleanup(b)
	c := b.run.config
	if r, err := proof.Check(t.Context(), proof.Options{Disk: proof.File(c.outputPath())}); err != nil || !r.Proven() {
		t.Errorf("the new disk: %v", err)
	}
	if report, err := os.ReadFile(c.reportPath()); err != nil || !strings.Contains(string(report), "findings") {
		t.Errorf("the new report: %v, %.60s", err, report)
	}
	if got, want := entriesOf(t, c.OutputDirectory), filepath.Base(c.outputPath())+" "+filepath.Base(c.reportPath()); got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
}

func TestAReportThatCannotBePlacedCostsNoImage(t *testing.T) {
	mine := filepath.Join(t.TempDir(), "folder", "r.json")
	b := generalized(t, winimagetest.Spec{}, map[string]any{"verify": map[string]any{"report": mine}})
	s := new(stepOutputDirectory)
	b.wantContinue(t, s.Run(t.Context(), b))
	b.wantContinue(t, new(stepProve).Run(t.Context(), b))
	put(t, filepath.Dir(mine), "a file where the folder would be") // since the build began
	b.wantContinue(t, new(stepConvert).Run(t.Context(), b))
	s.Cleanup(b)
	if _, err := os.Stat(b.run.config.outputPath()); err != nil || b.run.report != "" {
		t.Errorf("the image: %v, report %q", err, b.run.report)
	}
	if !b.said.ErrorCalled || !strings.Contains(b.said.ErrorMessage, "whole and proven, but its report could not be written") {
		t.Errorf("said %q", b.said.ErrorMessage)
	}
}

func TestAnImageThatCannotGetItsNameIsKept(t *testing.T) {
	b := generalized(t, winimagetest.Spec{}, nil)
	s := new(stepOutputDirectory)
	b.wantContinue(t, s.Run(t.Context(), b))
	b.wantContinue(t, new(stepProve).Run(t.Context(), b))
	put(t, filepath.Join(b.run.config.outputPath(), "x"), "a folder where the disk would be") // since the build began
	b.wantHalt(t, new(stepConvert).Run(t.Context(), b), "the image is finished but could not get its name", "-finished-1.vhd: move it yourself")
	b.Put(multistep.StateHalted, true)
	s.Cleanup(b)
	if r, err := proof.Check(t.Context(), proof.Options{Disk: proof.File(b.run.output.kept)}); err != nil || !r.Proven() {
		t.Errorf("the image that was kept as %s: %v", b.run.output.kept, err)
	}
	if b.said.ErrorCalled {
		t.Error(b.said.ErrorMessage)
	}
}

func TestTheSecondBuildIntoAFolderIsRefused(t *testing.T) {
	first, second := newBench(t, nil), newBench(t, nil)
	second.run.config.OutputDirectory, second.run.config.PackerForce = first.run.config.OutputDirectory, true
	second.run.config.OutputName = "another"
	one, two := new(stepOutputDirectory), new(stepOutputDirectory)
	first.wantContinue(t, one.Run(t.Context(), first))
	second.wantHalt(t, two.Run(t.Context(), second), "output_directory: ", "is in use by another build")
	second.Put(multistep.StateHalted, true)
	two.Cleanup(second)
	if _, err := os.Stat(first.run.scratch); err != nil {
		t.Errorf("the scratch folder of the first build: %v", err)
	}
	one.Cleanup(first)
	second.Remove("error")
	second.wantContinue(t, two.Run(t.Context(), second))
	two.Cleanup(second)
	if left := entriesOf(t, first.run.config.OutputDirectory); left != "" {
		t.Errorf("left %s", left)
	}
}

func TestWhatAKilledBuildLeftIsRemoved(t *testing.T) {
	for _, force := range []bool{false, true} {
		b := newBench(t, nil)
		folder := b.run.config.OutputDirectory
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		stale, err := hostfile.NewScratch(folder, scratchPrefix)
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(stale, "disk.qcow2"), "overlay")
		put(t, filepath.Join(folder, hostfile.LockName), "4711\n")
		b.run.config.PackerForce = force
		s := new(stepOutputDirectory)
		b.wantContinue(t, s.Run(t.Context(), b))
		gone(t, stale)
		if !strings.Contains(joined(b), "Removed what an earlier build left behind when it was killed: "+stale) {
			t.Errorf("said:\n%s", joined(b))
		}
		s.Cleanup(b)
		if left := entriesOf(t, folder); left != "" {
			t.Errorf("left %s", left)
		}
	}
	// What only has such a name is somebody's.
	b := newBench(t, nil)
	theirs := put(t, filepath.Join(b.run.config.OutputDirectory, ".scratch-of-mine", "thesis.txt"), "x")
	s := new(stepOutputDirectory)
	defer s.Cleanup(b)
	b.wantHalt(t, s.Run(t.Context(), b), "is not empty (.scratch-of-mine)")
	holds(t, theirs, "x")
}
