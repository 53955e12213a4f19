package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/packer/registry/image"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// input is the artifact of another builder.
type input struct {
	packersdk.MockArtifact
	files []string
	text  string
	state map[string]any
}

func (i *input) Files() []string       { return i.files }
func (i *input) String() string        { return i.text }
func (i *input) State(name string) any { return i.state[name] }
func (i *input) BuilderId() string     { return "transcend.qemu" } //nolint:revive // the SDK's name

// listener is a Ui that calls heard with everything it is told.
type listener struct {
	packersdk.Ui
	heard func(string)
}

func (l listener) Say(text string)            { l.heard(text); l.Ui.Say(text) }
func (l listener) Sayf(f string, args ...any) { l.heard(f); l.Ui.Sayf(f, args...) }

// bench is a post-processor with its options, a disk and an empty folder that
// the process runs in.
type bench struct {
	p     PostProcessor
	input *input
	said  bytes.Buffer
	ui    packersdk.Ui
}

func newBench(t *testing.T, spec winimagetest.Spec, options map[string]any) *bench {
	t.Helper()
	b := &bench{input: &input{files: []string{winimagetest.Disk(t, spec)}}}
	t.Chdir(t.TempDir())
	b.ui = &packersdk.BasicUi{Writer: &b.said}
	if err := b.p.Configure(options, map[string]any{"packer_build_name": "b"}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) run(ctx context.Context) (packersdk.Artifact, bool, bool, error) {
	return b.p.PostProcess(ctx, b.ui, b.input)
}

// here lists every file below the folder the process runs in.
func here(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if path != "." {
			files = append(files, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestWithoutAFormatTheDiskIsProvenAndTheArtifactHandedOn(t *testing.T) {
	b := newBench(t, winimagetest.Spec{Generalized: true}, nil)
	before := sum(t, b.input.files[0])
	got, keep, force, err := b.run(context.Background())
	if err != nil || got != packersdk.Artifact(b.input) || !keep || !force {
		t.Fatalf("%v, keep %t, force %t, %v", got, keep, force, err)
	}
	if want := []string{"output-b-image", "output-b-image/windows.raw.report.json"}; !slices.Equal(here(t), want) {
		t.Errorf("made %v, want %v", here(t), want)
	}
	if sum(t, b.input.files[0]) != before || len(dirOf(t, b.input.files[0])) != 1 {
		t.Error("something was changed or made beside the input")
	}
}

func dirOf(t *testing.T, path string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func sum(t *testing.T, path string) [32]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

func TestAnImageThatIsNotProvenIsNotHandedOver(t *testing.T) {
	for _, options := range []map[string]any{nil, {"format": "vhd"}} {
		b := newBench(t, winimagetest.Spec{}, options)
		got, _, _, err := b.run(context.Background())
		var refused *proof.NotProven
		if got != nil || !errors.As(err, &refused) {
			t.Fatalf("%v: %v, error %v; want a *NotProven", options, got, err)
		}
		// The report says what is wrong, so it stays; nothing else does.
		if files := here(t); len(files) != 2 || !strings.HasSuffix(files[1], ".report.json") {
			t.Errorf("%v: left %v, want the report", options, files)
		}
	}
}

func TestEveryFormatIsProvenAgainAndEqualToItsInput(t *testing.T) {
	qemuImg := testutil.Tool(t, "qemu-img")
	for _, c := range []struct {
		options map[string]any
		path    string
		qemu    string
	}{
		{map[string]any{"format": "vhd"}, "output-b-image/packer-b.vhd", "vpc"},
		{map[string]any{"format": "vhd", "vhd_type": "dynamic", "output": "d/{{.BuildName}}.vhd"}, "d/b.vhd", "vpc"},
		{map[string]any{"format": "vhdx"}, "output-b-image/packer-b.vhdx", "vhdx"},
		{map[string]any{"format": "qcow2"}, "output-b-image/packer-b.qcow2", "qcow2"},
		{map[string]any{"format": "raw", "output": "flat.img"}, "flat.img", "raw"},
	} {
		t.Run(c.path+c.qemu, func(t *testing.T) {
			c.options["compact"] = false
			b := newBench(t, winimagetest.Spec{Generalized: true}, c.options)
			before := sum(t, b.input.files[0])
			b.input.state = map[string]any{"generated_data": map[string]any{"ID": "7"}}
			got, keep, force, err := b.run(context.Background())
			if err != nil || keep || force {
				t.Fatalf("keep %t, force %t, %v", keep, force, err)
			}
			if out, err := exec.Command(qemuImg, "compare", "-f", "raw", "-F", c.qemu, b.input.files[0], c.path).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			if sum(t, b.input.files[0]) != before {
				t.Error("the input was changed")
			}
			if files := got.Files(); len(files) != 1 || filepath.ToSlash(files[0]) != c.path || got.BuilderId() != BuilderID {
				t.Errorf("artifact of %s: %v", got.BuilderId(), files)
			}
			if data, ok := got.State("generated_data").(map[any]any); !ok || data["ID"] != "7" {
				t.Errorf("generated_data %v", got.State("generated_data"))
			}
			metadata, ok := got.State(image.ArtifactStateURI).(*image.Image)
			if !ok || metadata.Validate() != nil || metadata.Labels["proven"] != "true" || metadata.Labels["image_state"] == "" {
				t.Errorf("metadata %+v", metadata)
			}
			report, err := os.ReadFile(c.path + proof.ReportSuffix)
			if err != nil || !bytes.Contains(report, []byte(`"path": "`+c.path+`"`)) {
				t.Errorf("the report (%v) is not about the output:\n%.300s", err, report)
			}
			if err := got.Destroy(); err != nil || len(here(t)) != 0 {
				t.Errorf("after Destroy (%v) there is %v", err, here(t))
			}
		})
	}
}

func TestAnArtifactWithoutValuesHasNone(t *testing.T) {
	b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "raw"})
	got, _, _, err := b.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	// A nil map in an interface would not be nil to those who assert it.
	if data := got.State("generated_data"); data != nil {
		t.Errorf("generated_data %#v, want nil", data)
	}
}

func TestDestroyLeavesWhatIsNotOurs(t *testing.T) {
	b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "raw", "output": "mine/x.raw"})
	if err := os.MkdirAll("mine", 0o755); err != nil {
		t.Fatal(err)
	}
	got, _, _, err := b.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second time there is nothing left to do
		if err := got.Destroy(); err != nil || !slices.Equal(here(t), []string{"mine"}) {
			t.Errorf("after Destroy (%v) there is %v", err, here(t))
		}
	}
}

func TestAnOutputThatIsThereIsReplacedOnlyByForce(t *testing.T) {
	for _, force := range []bool{false, true} {
		b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "raw", "output": "x.raw", "packer_force": force})
		if err := os.WriteFile("x.raw", []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, _, _, err := b.run(context.Background())
		content, readErr := os.ReadFile("x.raw")
		if readErr != nil {
			t.Fatal(readErr)
		}
		if replaced := string(content) != "old"; replaced != force || (err == nil) != force {
			t.Errorf("force %t: replaced %t, error %v", force, replaced, err)
		}
	}
}

// deleted is what a deleted file left in a free cluster.
const deleted = "<Password>left behind by a deleted file</Password>"

// plant writes into a free cluster of the volume at 1 MiB.
func plant(t *testing.T, disk string) {
	t.Helper()
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, err := ntfs.Open(f, 1<<20, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	m, err := v.FreeMap(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	// Behind every file, and with other free clusters around it.
	for off := int64(16 << 20); off > 1<<20; off -= 4096 {
		if m.Skippable(off-64<<10, 128<<10) {
			if _, err := f.WriteAt([]byte(deleted), off); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("no free cluster")
}

// contents are the files of the volume at 1 MiB, by path.
func contents(t *testing.T, path string) (files map[string]string, raw []byte) {
	t.Helper()
	d, err := diskimage.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	raw = make([]byte, d.Size())
	if _, err := d.ReadAt(raw, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	v, err := ntfs.Open(bytes.NewReader(raw), 1<<20, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	err = fs.WalkDir(v.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(path, "$") && e.IsDir(): // of the file system itself
			return fs.SkipDir
		case strings.HasPrefix(path, "$"), e.IsDir():
			return nil
		}
		content, err := fs.ReadFile(v.FS(), path)
		files[`\`+strings.ReplaceAll(path, "/", `\`)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, raw
}

func TestCompactingDropsDeletedFilesAndKeepsTheOthers(t *testing.T) {
	for _, c := range []struct {
		name    string
		spec    winimagetest.Spec
		options map[string]any
		gone    bool
		said    string
	}{
		{"as it is by default", winimagetest.Spec{}, map[string]any{}, true, "Compacting:"},
		{"switched off", winimagetest.Spec{}, map[string]any{"compact": false}, false, ""},
		{"with a crash dump", winimagetest.Spec{Files: map[string]string{`\pagefile.sys`: "PAGEDU64" + strings.Repeat("x", 64<<10)}}, map[string]any{"compact": true}, false, "crash dump"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.spec.Generalized = true
			c.options["format"], c.options["output"] = "vhdx", "x.vhdx"
			b := newBench(t, c.spec, c.options)
			plant(t, b.input.files[0])
			if _, _, _, err := b.run(context.Background()); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.said.String(), c.said) {
				t.Errorf("%q was not said:\n%s", c.said, &b.said)
			}
			before, rawBefore := contents(t, b.input.files[0])
			after, rawAfter := contents(t, "x.vhdx")
			if !bytes.Contains(rawBefore, []byte(deleted)) || bytes.Contains(rawAfter, []byte(deleted)) == c.gone {
				t.Errorf("the deleted file is in the input: %t, in the output: %t", bytes.Contains(rawBefore, []byte(deleted)), bytes.Contains(rawAfter, []byte(deleted)))
			}
			if c.gone {
				if strings.Trim(after[`\pagefile.sys`], "\x00") != "" {
					t.Error("the page file was kept")
				}
				before[`\pagefile.sys`] = after[`\pagefile.sys`]
			}
			if len(before) < 11 || len(after) != len(before) {
				t.Errorf("%d files before, %d after", len(before), len(after))
			}
			for path, content := range before {
				if after[path] != content {
					t.Errorf("%s is not the same", path)
				}
			}
		})
	}
}

func TestACancelLeavesNothing(t *testing.T) {
	for _, word := range []string{"Disk of the artifact", "Proven:", "Compacting", "Converting to", "Converted:"} {
		t.Run(word, func(t *testing.T) {
			b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "vhd"})
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			b.ui = listener{b.ui, func(text string) {
				if strings.Contains(text, word) {
					cancel()
				}
			}}
			got, _, _, err := b.run(ctx)
			if got != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("%v, error %v; want the cancel", got, err)
			}
			if files := here(t); len(files) != 0 {
				t.Errorf("left %v", files)
			}
		})
	}
}

func TestAnOutputThatCannotBeMadeLeavesNothing(t *testing.T) {
	b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "vhd", "output": "file/x.vhd", "verify": map[string]any{"enabled": false}})
	if err := os.WriteFile("file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, _, _, err := b.run(context.Background())
	if got != nil || err == nil || !strings.Contains(err.Error(), "output:") || !slices.Equal(here(t), []string{"file"}) {
		t.Errorf("%v, error %v, left %v", got, err, here(t))
	}
}

func TestWithoutAProofTheDiskIsStillConverted(t *testing.T) {
	b := newBench(t, winimagetest.Spec{}, map[string]any{"format": "vhd", "output": "x.vhd", "verify": map[string]any{"enabled": false}})
	got, _, _, err := b.run(context.Background())
	if err != nil || !slices.Equal(here(t), []string{"x.vhd"}) || !strings.Contains(b.said.String(), "not proven") {
		t.Fatalf("%v, made %v, said:\n%s", err, here(t), &b.said)
	}
	if err := got.Destroy(); err != nil || len(here(t)) != 0 {
		t.Errorf("after Destroy (%v) there is %v", err, here(t))
	}
}

func TestTheInputIsKeptWhereItsFolderHoldsTheOutput(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, text string
		files      []string
		path       string
		inside     bool
	}{
		{"another folder", "", []string{"in/a"}, "out/x.vhd", false},
		{"the folder of the disk", "", []string{"in/a"}, "in/x.vhd", true},
		{"below the folder of the disk", "", []string{"in/a"}, "in/sub/x.vhd", true},
		{"a folder whose name begins alike", "", []string{"in/a"}, "in2/x.vhd", false},
		{"the folder all files have in common", "", []string{"vm/Disks/a", "vm/Machines/b"}, "vm/x.vhd", true},
		{"the folder the artifact names", "VM files in directory: " + filepath.Join(dir, "vm"), []string{"vm/Disks/a"}, "vm/x.vhd", true},
		{"the folder Packer runs in", "", []string{"a"}, "x.vhd", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(dir)
			i := &input{text: c.text}
			for _, f := range c.files {
				i.files = append(i.files, filepath.FromSlash(f))
			}
			if _, inside := removedWith(i, filepath.FromSlash(c.path)); inside != c.inside {
				t.Errorf("inside is %t, want %t", inside, c.inside)
			}
		})
	}
	disk := winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	b := newBench(t, winimagetest.Spec{}, map[string]any{"format": "vhd", "output": filepath.Join(filepath.Dir(disk), "x.vhd")})
	b.input.files = []string{disk}
	if _, keep, force, err := b.run(context.Background()); err != nil || !keep || !force || !strings.Contains(b.said.String(), "input is kept") {
		t.Errorf("keep %t, force %t, %v", keep, force, err)
	}
}
