//go:build unix

package vhd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/block"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// Boot sectors. The first copies itself to sector 5 through the BIOS and then
// powers off over ACPI (SLP_EN, S5); the second hangs, deaf to everything; the
// third faults until the board resets.
var (
	writesAndPowersOff = []byte{
		0x31, 0xc0, 0x8e, 0xc0, 0xbb, 0x00, 0x7c, // es:bx = 0:7c00
		0xb9, 0x06, 0x00, 0xba, 0x80, 0x00, 0xb8, 0x01, 0x03, 0xcd, 0x13, // write one sector
		0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xba, 0x04, 0xb0, 0xef, 0xfa, 0xf4, 0xeb, 0xfd,
	}
	hangs        = []byte{0xfa, 0xf4, 0xeb, 0xfd}
	faultsAlways = []byte{0xfa, 0x0f, 0x01, 0x1e, 0x10, 0x7c, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0xcc, 0x90, 0, 0, 0, 0, 0, 0}
)

// prepared is a builder for a disk, without a communicator.
func prepared(t *testing.T, source string, changes map[string]any) *Builder {
	t.Helper()
	testutil.Tool(t, "qemu-system-x86_64")
	options := valid(t, map[string]any{
		"source_path": source, "communicator": "none", "winrm_username": nil, "winrm_password": nil,
		"cpus": 1, "memory": 64, "accelerator": "tcg", "verify": map[string]any{"enabled": false}, "output_directory": filepath.Join(t.TempDir(), "out"),
	})
	for k, v := range changes {
		options[k] = v
	}
	b := new(Builder)
	if _, _, err := b.Prepare(options); err != nil {
		t.Fatal(err)
	}
	// A process of ours that outlives its build would keep its disk open.
	t.Cleanup(func() {
		if left := processesOn(b.config.OutputDirectory); len(left) > 0 {
			t.Errorf("still running: %v", left)
		}
	})
	return b
}

// processesOn lists command lines that name a folder (Linux only).
func processesOn(folder string) (found []string) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		if line, err := os.ReadFile(name); err == nil && bytes.Contains(line, []byte(folder)) {
			found = append(found, string(line))
		}
	}
	return found
}

func TestBuildTurnsADiskIntoAVHD(t *testing.T) {
	raw := rawDisk(t, 3<<20+512, writesAndPowersOff) // not a whole MiB
	for _, c := range []struct {
		name   string
		source string
		with   map[string]any
		file   string
	}{
		{"raw to fixed VHD", raw, nil, "packer-win.vhd"},
		{"fixed VHD to dynamic VHD", convertTo(t, raw, diskimage.Options{Format: diskimage.VHD}), map[string]any{"vhd_type": "dynamic"}, "packer-win.vhd"},
		{"dynamic VHD to VHDX on q35", convertTo(t, raw, diskimage.Options{Format: diskimage.VHD, Type: diskimage.Dynamic}), map[string]any{"format": "vhdx", "machine_type": "q35", "output_name": "w"}, "w.vhdx"},
		{"VHDX to qcow2", convertTo(t, raw, diskimage.Options{Format: diskimage.VHDX}), map[string]any{"format": "qcow2"}, "packer-win.qcow2"},
		{"qcow2 to raw", convertTo(t, raw, diskimage.Options{Format: diskimage.QCOW2}), map[string]any{"format": "raw", "accelerator": "auto"}, "packer-win.raw"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.Chmod(c.source, 0o400); err != nil {
				t.Fatal(err)
			}
			before := sum(t, c.source)
			b := prepared(t, c.source, c.with)
			reports := t.TempDir()
			b.config.Report = block.Config{JSON: filepath.Join(reports, "r.json"), HTML: filepath.Join(reports, "r.html"), JUnit: filepath.Join(reports, "r.xml")}
			provisioned := false
			built, err := b.Run(t.Context(), packersdk.TestUi(t), hook(func(context.Context) error { provisioned = true; return nil }))
			if err != nil {
				t.Fatal(err)
			}
			if !provisioned {
				t.Error("nothing was provisioned")
			}
			wantMade(t, b, c.source)
			if sum(t, c.source) != before {
				t.Error("the source changed")
			}
			directory := b.config.OutputDirectory
			path := filepath.Join(directory, c.file)
			if files := built.Files(); len(files) != 1 || files[0] != path || built.Id() != path {
				t.Errorf("files %v, id %q", files, built.Id())
			}
			if entries, _ := os.ReadDir(directory); len(entries) != 1 {
				t.Errorf("left in the folder: %v", entries)
			}
			disk, err := diskimage.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer disk.Close()
			first, fifth, end := make([]byte, 512), make([]byte, 512), make([]byte, 19)
			for off, p := range map[int64][]byte{0: first, 5 * 512: fifth, 3<<20 + 512 - 4096: end} {
				if _, err := disk.ReadAt(p, off); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(first, fifth) || string(end) != "the end of the disk" {
				t.Error("what the guest wrote, or what it left alone, is not in the output")
			}
			if f := b.config.Format; strings.HasPrefix(f, "vhd") && disk.Size() != 4<<20 {
				t.Errorf("%d bytes are not whole MiB", disk.Size())
			}
			if err := built.Destroy(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(directory); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("after Destroy: %v", err)
			}
		})
	}
}

// wantNothing checks that a failed build left no output behind.
func wantNothing(t *testing.T, b *Builder) {
	t.Helper()
	if _, err := os.Stat(b.config.OutputDirectory); !errors.Is(err, os.ErrNotExist) {
		entries, _ := os.ReadDir(b.config.OutputDirectory)
		t.Errorf("left behind: %v", entries)
	}
}

func TestBuildOfAGuestThatNeverPowersOffFails(t *testing.T) {
	b := prepared(t, rawDisk(t, 1<<20, hangs), map[string]any{"shutdown_timeout": "300ms"})
	b.config.Report = block.Config{JSON: filepath.Join(t.TempDir(), "r.json"), HTML: filepath.Join(t.TempDir(), "r.html")}
	_, err := b.Run(t.Context(), packersdk.TestUi(t), hook(nil))
	if err == nil || !strings.Contains(err.Error(), "did not power itself off within 300ms (shutdown_timeout); nothing written to its disk; its screen has not changed; restarts: 0") || !strings.Contains(err.Error(), b.config.screenPath()) {
		t.Fatalf("got %v", err)
	}
	if info, err := os.Stat(b.config.screenPath()); err != nil || info.Size() == 0 {
		t.Errorf("no picture: %v", err)
	}
	run := readReport(t, b.config.Report.JSON)
	if o := run.Outcome; o.Good || o.Class != "failed" || !strings.HasPrefix(err.Error(), o.Summary) || !strings.HasSuffix(phasesOf(run), "unattended failed") {
		t.Errorf("%+v, %s", o, phasesOf(run))
	}
	if page, err := os.ReadFile(b.config.Report.HTML); err != nil || !bytes.Contains(page, []byte(`<img src="data:image/png;base64,`)) {
		t.Errorf("the screen is not in the page: %v", err)
	}
	wantNothing(t, b)
}

func TestBuildOfAGuestThatCannotBootEndsAtOnce(t *testing.T) {
	b := prepared(t, rawDisk(t, 1<<20, faultsAlways), map[string]any{"communicator": "winrm", "winrm_username": "x"})
	_, err := b.Run(t.Context(), packersdk.TestUi(t), hook(nil))
	if err == nil || !strings.Contains(err.Error(), "waiting for WinRM") || !strings.Contains(err.Error(), "cannot boot") {
		t.Fatalf("got %v", err)
	}
	wantNothing(t, b)
}

func TestBuildWhoseGuestIsNeverUpFailsWithAPicture(t *testing.T) {
	b := prepared(t, rawDisk(t, 1<<20, hangs), map[string]any{"communicator": "winrm", "winrm_username": "x", "winrm_timeout": "500ms"})
	_, err := b.Run(t.Context(), packersdk.TestUi(t), hook(nil))
	if err == nil || !strings.Contains(err.Error(), "has not booted yet") || !strings.Contains(err.Error(), b.config.screenPath()) {
		t.Fatalf("got %v", err)
	}
	wantNothing(t, b)
}

func TestBuildDoesNotWaitForAProvisionerWithoutAGuest(t *testing.T) {
	b := prepared(t, rawDisk(t, 1<<20, writesAndPowersOff), map[string]any{"shutdown_timeout": "500ms"})
	release := make(chan struct{})
	defer close(release)
	provision := hook(func(context.Context) error { <-release; return nil }) // deaf to cancels
	_, err := b.Run(t.Context(), packersdk.TestUi(t), provision)
	if err == nil || !strings.Contains(err.Error(), "provisioning: the guest powered itself off") {
		t.Fatalf("got %v", err)
	}
	wantNothing(t, b)
}

func TestBuildThatIsNotProvenLeavesItsReportOnly(t *testing.T) {
	b := prepared(t, rawDisk(t, 1<<20, writesAndPowersOff), map[string]any{"verify": map[string]any{}})
	_, err := b.Run(t.Context(), packersdk.TestUi(t), hook(nil))
	if unproven := (*proof.NotProven)(nil); !errors.As(err, &unproven) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(b.config.beside("report.json")); err != nil {
		t.Error(err)
	}
	wantNothing(t, b)
}

func TestBuildThatFailsToProvisionKeepsTheReason(t *testing.T) {
	b := prepared(t, rawDisk(t, 1<<20, hangs), nil)
	provision := hook(func(context.Context) error { return errors.New("sysprep refused: package X") })
	if _, err := b.Run(t.Context(), packersdk.TestUi(t), provision); err == nil || err.Error() != "sysprep refused: package X" {
		t.Fatalf("got %v", err)
	}
	wantNothing(t, b)
}

func TestBuildThatQEMURefusesSaysWhy(t *testing.T) {
	b := prepared(t, rawDisk(t, 1<<20, hangs), map[string]any{"qemu_arguments": []string{"-no-such-option"}})
	if _, err := b.Run(t.Context(), packersdk.TestUi(t), hook(nil)); err == nil || !strings.Contains(err.Error(), "-no-such-option: invalid option") {
		t.Fatalf("got %v", err)
	}
	wantNothing(t, b)
}

// cancelAt is a user interface that cancels the build when a line begins so.
type cancelAt struct {
	packersdk.Ui
	line   string
	cancel context.CancelFunc
}

func (u cancelAt) Say(s string) {
	u.Ui.Say(s)
	if strings.HasPrefix(s, u.line) {
		u.cancel()
	}
}
func (u cancelAt) Sayf(format string, args ...any) { u.Say(fmt.Sprintf(format, args...)) }

func TestCancelInEveryPhaseLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		line    string
		program []byte
		with    map[string]any
	}{
		{"Source disk", hangs, nil},
		{"Starting the machine", hangs, nil},
		{"Emulating the processor", hangs, nil},
		{"Waiting for WinRM", hangs, map[string]any{"communicator": "winrm", "winrm_username": "x"}},
		{"Waiting up to", hangs, nil},
		{"The machine is off", writesAndPowersOff, nil},
		{"Writing the disk", writesAndPowersOff, nil},
		{"Wrote", writesAndPowersOff, nil},
	} {
		t.Run(c.line, func(t *testing.T) {
			b := prepared(t, rawDisk(t, 1<<20, c.program), c.with)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			ui := cancelAt{packersdk.TestUi(t), c.line, cancel}
			_, err := b.Run(ctx, ui, hook(nil))
			if err == nil || !errors.Is(ctx.Err(), context.Canceled) || !strings.Contains(err.Error(), "cancel") {
				t.Fatalf("got %v", err)
			}
			wantNothing(t, b)
		})
	}
	t.Run("provisioning", func(t *testing.T) {
		b := prepared(t, rawDisk(t, 1<<20, hangs), nil)
		ctx, cancel := context.WithCancel(t.Context())
		provision := hook(func(context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() })
		if _, err := b.Run(ctx, packersdk.TestUi(t), provision); err == nil {
			t.Fatal("succeeded")
		}
		wantNothing(t, b)
	})
}
