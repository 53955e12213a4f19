package image

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func put(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
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

const oldReport = `{"schema": 1, "proof": {"proven": true}}`

// in moves the bench's disk to a path below the folder it runs in.
func (b *bench) in(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(b.input.files[0], path); err != nil {
		t.Fatal(err)
	}
	b.input.files = []string{path}
}

func TestAnOutputThatIsAnInputIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		output string // what the option says, below the folder of the build
		files  func(t *testing.T, here string) []string
	}{
		{name: "the same path", output: "in/disk.raw"},
		{name: "an absolute path", files: func(t *testing.T, here string) []string { return []string{filepath.Join(here, "in", "disk.raw")} }, output: "in/disk.raw"},
		{name: "through dots", output: "in/../in/./disk.raw"},
		{name: "a linked folder", output: "link/disk.raw"},
		{name: "a linked file", output: "link.raw"},
		{name: "a hard link", output: "hard.raw"},
		{name: "the input through a link", output: "in/disk.raw", files: func(*testing.T, string) []string { return []string{"link/disk.raw"} }},
		{name: "another file of the artifact", output: "in/second.raw", files: func(t *testing.T, here string) []string {
			return []string{"in/disk.raw", put(t, "in/second.raw", "second")}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "raw", "output": c.output, "packer_force": true})
			b.in(t, filepath.Join("in", "disk.raw"))
			here, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			testutil.Symlink(t, "in", "link")
			testutil.Symlink(t, filepath.Join("in", "disk.raw"), "link.raw")
			if err := os.Link(filepath.Join("in", "disk.raw"), "hard.raw"); err != nil {
				t.Fatal(err)
			}
			if c.files != nil {
				b.input.files = c.files(t, here)
			}
			before := sum(t, filepath.Join("in", "disk.raw"))
			got, _, _, err := b.run(context.Background())
			if got != nil || err == nil || !strings.Contains(err.Error(), "output: ") || !strings.Contains(err.Error(), "is the same file as") {
				t.Errorf("%v, error %v", got, err)
			}
			if sum(t, filepath.Join("in", "disk.raw")) != before {
				t.Error("the input was changed")
			}
			if entries := dirOf(t, filepath.Join("in", "disk.raw")); len(entries) > 2 {
				t.Errorf("left %v", entries)
			}
		})
	}
}

func TestAReportReplacesNoInputAndNoOutput(t *testing.T) {
	for _, report := range []string{"in/disk.raw", "in/../in/disk.raw", "in", "out/x.vhd", "notes.txt"} {
		t.Run(report, func(t *testing.T) {
			b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "vhd", "output": "out/x.vhd"})
			b.in(t, filepath.Join("in", "disk.raw"))
			put(t, "notes.txt", "mine")
			before := sum(t, filepath.Join("in", "disk.raw"))
			b.p.config.Verify.Report = report // what Configure refuses where it is known then
			got, _, _, err := b.run(context.Background())
			if got != nil || err == nil || !strings.Contains(err.Error(), "verify.report: ") {
				t.Errorf("%v, error %v", got, err)
			}
			if sum(t, filepath.Join("in", "disk.raw")) != before {
				t.Error("the input was changed")
			}
			holds(t, "notes.txt", "mine")
			if _, err := os.Stat("out"); err == nil {
				t.Error("the disk was converted before its report was refused")
			}
		})
	}
}

func TestConfigureRefusesPathsThatCannotBeWritten(t *testing.T) {
	for _, c := range []struct {
		name    string
		options map[string]any
		want    string
	}{
		{"a device as output", map[string]any{"format": "raw", "output": "device.raw"}, "output: "},
		{"a folder as output", map[string]any{"format": "raw", "output": "folder.raw"}, "output: folder.raw is a folder"},
		{"an output below a file", map[string]any{"format": "raw", "output": "file/x.raw"}, "output: "},
		{"a device as report", map[string]any{"verify": map[string]any{"report": os.DevNull}}, "verify.report: "},
		{"a report that is something else", map[string]any{"verify": map[string]any{"report": "file"}}, "verify.report: file exists already and is not a report"},
		{"a report that is the output", map[string]any{"format": "raw", "output": "x.raw", "verify": map[string]any{"report": "./x.raw"}}, "verify.report: ./x.raw is the same file as x.raw"},
		{"the report's default folder is a file", map[string]any{"packer_build_name": "f"}, "output: output-f-image is a file"},
		{"paths that are not known", map[string]any{"format": "raw", "output": "file/<unknown>.raw", "verify": map[string]any{"report": "file/<unknown>"}}, ""},
		{"a template", map[string]any{"format": "raw", "output": "file/{{ .BuildName }}.raw"}, ""},
		{"folders that will be made", map[string]any{"format": "raw", "output": "a/b/c.raw", "verify": map[string]any{"report": "d/e.json"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			put(t, "file", "x")
			put(t, "output-f-image", "x")
			if err := os.Mkdir("folder.raw", 0o755); err != nil {
				t.Fatal(err)
			}
			if runtime.GOOS != "windows" {
				if err := os.Symlink(os.DevNull, "device.raw"); err != nil {
					t.Fatal(err)
				}
			} else {
				put(t, filepath.Join("device.raw", "x"), "") // a folder will do
			}
			before := here(t)
			var p PostProcessor
			for range 2 {
				err := p.Configure(map[string]any{"packer_build_name": "b"}, c.options)
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
			}
			if after := here(t); !slices.Equal(before, after) {
				t.Errorf("before %v, after %v", before, after)
			}
		})
	}
}

func TestAForcedBuildKeepsTheOldImageUntilTheNewOneIsProven(t *testing.T) {
	for _, c := range []struct {
		name   string
		spec   winimagetest.Spec
		report string // the option
		stop   string // cancel when this is said
		good   bool
	}{
		{"not proven", winimagetest.Spec{}, "", "", false},
		{"not proven, with a report of the user's choice", winimagetest.Spec{}, "x.raw.report.json", "", false},
		{"cancelled while it is converted", winimagetest.Spec{Generalized: true}, "", "Converted:", false},
		{"good", winimagetest.Spec{Generalized: true}, "", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, c.spec, map[string]any{"format": "raw", "output": "x.raw", "packer_force": true, "verify": map[string]any{"report": c.report}})
			put(t, "x.raw", "old")
			put(t, "x.raw.report.json", oldReport)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			b.ui = listener{b.ui, func(text string) {
				if c.stop != "" && strings.Contains(text, c.stop) {
					cancel()
				}
			}}
			_, _, _, err := b.run(ctx)
			if (err == nil) != c.good {
				t.Fatalf("error %v", err)
			}
			want := []string{"x.raw", "x.raw.report.json"}
			var refused *proof.NotProven
			if errors.As(err, &refused) {
				want = []string{"x.raw", "x.raw.not-proven.report.json", "x.raw.report.json"}
				if refused.ReportPath != "x.raw.not-proven.report.json" {
					t.Errorf("the report is said to be %s", refused.ReportPath)
				}
			}
			if got := here(t); !slices.Equal(got, want) {
				t.Errorf("there is %v, want %v", got, want)
			}
			if !c.good {
				holds(t, "x.raw", "old")
				holds(t, "x.raw.report.json", oldReport)
				return
			}
			if report, err := os.ReadFile("x.raw.report.json"); err != nil || !strings.Contains(string(report), `"path": "x.raw"`) {
				t.Errorf("the report is not that of the new image: %v, %.100s", err, report)
			}
		})
	}
}

func TestNoReportOutlivesItsImage(t *testing.T) {
	b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "raw", "output": "x.raw"})
	put(t, "x.raw.report.json", oldReport)
	ctx, cancel := context.WithCancel(context.Background())
	b.ui = listener{b.ui, func(text string) {
		if strings.Contains(text, "Converting") {
			cancel()
		}
	}}
	if _, _, _, err := b.run(ctx); err == nil {
		t.Fatal("succeeded")
	}
	if got := here(t); len(got) != 0 {
		t.Errorf("left %v", got)
	}
}

func TestOneOutputIsMadeByOneBuildAtATime(t *testing.T) {
	b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "raw", "output": "x.raw", "packer_force": true})
	release, err := hostfile.LockOutput("x.raw")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	inUse, err := hostfile.NewScratch(".", ".x.raw.scratch-")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := b.run(context.Background()); !errors.Is(err, hostfile.ErrLocked) {
		t.Errorf("error %v, want %v", err, hostfile.ErrLocked)
	}
	if _, err := os.Stat(inUse); err != nil {
		t.Errorf("the scratch folder of the other build: %v", err)
	}
	release()
	if _, _, _, err := b.run(context.Background()); err != nil {
		t.Error(err)
	}
	if got := here(t); !slices.Equal(got, []string{"x.raw", "x.raw.report.json"}) || !strings.Contains(b.said.String(), "Removed what an earlier build left") {
		t.Errorf("left %v, said:\n%s", got, &b.said)
	}
}

func TestAnArtifactWithADataDiskIsKept(t *testing.T) {
	for _, c := range []struct {
		name, file, content string
		keep                bool
	}{
		{"a disk without partitions", "data.raw", strings.Repeat("data", 1<<18), true},
		{"one that is small", "data.img", "precious", true},
		{"one that cannot be read", "data.vmdk", "KDMV", true},
		{"one whose name says nothing", "disk-2", strings.Repeat("data", 1<<18), true},
		{"a configuration", "vm.vmx", "x", false},
		{"variables of a firmware", "efivars", strings.Repeat("v", 64<<10), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "vhd", "output": "out/x.vhd"})
			b.in(t, filepath.Join("in", "os.raw"))
			b.input.files = append(b.input.files, put(t, filepath.Join("in", c.file), c.content))
			got, keep, force, err := b.run(context.Background())
			if err != nil || got == packersdk.Artifact(nil) {
				t.Fatal(err)
			}
			if keep != c.keep || force != c.keep {
				t.Errorf("keep %t, force %t; want %t", keep, force, c.keep)
			}
			if said := strings.Contains(b.said.String(), "files that are not in the output: "+b.input.files[1]); said != c.keep {
				t.Errorf("said:\n%s", &b.said)
			}
		})
	}
}

func TestADiskThatTheOutputCannotHoldIsRefusedBeforeAnythingIsDone(t *testing.T) {
	b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "vhd", "output": "x.vhd"})
	if err := os.Truncate(b.input.files[0], 2041<<30); err != nil {
		testutil.Missing(t, "the file system has no files of 2041 GiB: "+err.Error())
		return
	}
	_, _, _, err := b.run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "a VHD holds at most 2040 GiB, this disk has 2041 GiB: set format = \"vhdx\"") {
		t.Errorf("%v", err)
	}
	if got := here(t); len(got) != 0 || strings.Contains(b.said.String(), "Proven") {
		t.Errorf("left %v, said:\n%s", got, &b.said)
	}
}

func TestWhatSpeaksAgainstTheDiskIsSaid(t *testing.T) {
	for _, format := range []string{"", "vhd"} {
		options := map[string]any{}
		if format != "" {
			options["format"] = format
		}
		b := newBench(t, winimagetest.Spec{Generalized: true, GPT: true}, options)
		f, err := os.OpenFile(b.input.files[0], os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(make([]byte, 512), 512)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := b.run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if want := "Warning: " + b.input.files[0] + ": primary GPT: "; strings.Count(b.said.String(), want) != 1 {
			t.Errorf("%q is not said once:\n%s", want, &b.said)
		}
	}
}

func TestScratchFoldersOfKilledBuildsOfOtherOutputsAreRemoved(t *testing.T) {
	b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "raw", "output": "x.raw", "packer_force": true})
	dead, err := hostfile.NewScratch(".", ".other.vhd.scratch-")
	if err != nil {
		t.Fatal(err)
	}
	busy, err := hostfile.NewScratch(".", ".busy.vhd.scratch-")
	if err != nil {
		t.Fatal(err)
	}
	release, err := hostfile.LockOutput("busy.vhd")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if err := os.Mkdir(".theirs.scratch-1", 0o755); err != nil { // without our mark
		t.Fatal(err)
	}
	if _, _, _, err := b.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(b.said.String(), filepath.Base(dead)) {
		t.Errorf("of a dead build: %v\n%s", err, &b.said)
	}
	for _, kept := range []string{busy, ".theirs.scratch-1"} {
		if _, err := os.Stat(kept); err != nil {
			t.Errorf("%v", err)
		}
	}
	if _, err := os.Stat(".other.vhd.lock"); err == nil {
		t.Error("the lock of an output that nobody writes is left")
	}
}

func TestTheTargetHasASayOnTheFinishedImage(t *testing.T) {
	for _, c := range []struct {
		name    string
		spec    winimagetest.Spec
		options map[string]any
		wrong   string
	}{
		{"a fixed VHD", winimagetest.Spec{Generalized: true}, map[string]any{"format": "vhd", "verify": map[string]any{"target": "azure"}}, ""},
		{"a disk that is only proven", winimagetest.Spec{Generalized: true}, map[string]any{"verify": map[string]any{"target": "azure"}}, "azure-format (raw)"},
		{"a VHD of generation 2", winimagetest.Spec{Generalized: true, GPT: true}, map[string]any{"format": "vhd", "verify": map[string]any{"target": "hyperv"}}, "hyperv-uefi-vhdx (vhd)"},
		{"the same, wanted", winimagetest.Spec{Generalized: true, GPT: true}, map[string]any{"format": "vhd", "verify": map[string]any{"target": "hyperv", "severities": map[string]any{"hyperv-uefi-vhdx": "warn"}}}, ""},
	} {
		b := newBench(t, c.spec, c.options)
		_, _, _, err := b.run(context.Background())
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, there := os.Stat("output-b-image/packer-b.vhd"); there == nil && err != nil {
			t.Errorf("%s: an image that is refused was handed over", c.name)
		}
	}
}
