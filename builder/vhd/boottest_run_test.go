package vhd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/boottest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// cloneBench is a boot test whose clone is a fake and whose disk says what the test
// wants, one answer a look; the last stays.
func cloneBench(t *testing.T, block map[string]any, disks ...winimage.SetupState) (*cloneTest, *bench) {
	t.Helper()
	live := 0
	if len(disks) > 1 && disks[0].State == "" {
		live = 1 // the last is seen of a clone that is off only
	}
	block["log_directory"] = filepath.Join(t.TempDir(), "kept")
	b := newBench(t, map[string]any{"boot_test": block})
	test := &cloneTest{run: b.run, ui: b.Get("ui").(*lockedUI), block: b.run.config.BootTest, every: time.Millisecond, offLimit: time.Second, want: boottest.ReachLogon}
	b.run.config = b.run.config.clone()
	if err := os.MkdirAll(test.block.LogDirectory, 0o755); err != nil {
		t.Fatal(err)
	}
	b.run.disk.Path = filepath.Join(t.TempDir(), "clone.qcow2")
	var looks atomic.Int64
	test.inside = func(context.Context) (winimage.SetupState, error) {
		if len(disks) == 0 {
			return winimage.SetupState{}, errors.New("its table is torn")
		}
		b.fake.mu.Lock()
		defer b.fake.mu.Unlock()
		if b.fake.closed {
			return disks[len(disks)-1], nil
		}
		return disks[min(int(looks.Add(1)), max(1, len(disks)-live))-1], nil
	}
	b.fake.powerDown = func() error { b.fake.end(hypervisor.Fate{Cause: hypervisor.CauseHostRequest}); return nil }
	return test, b
}

// saying is what the user reads.
func saying(b *bench) string {
	var lines []string
	for _, m := range b.said.SayMessages {
		lines = append(lines, m.Message)
	}
	return strings.Join(lines, "\n")
}

func disks(states ...windows.State) (all []winimage.SetupState) {
	for _, s := range states {
		all = append(all, winimage.SetupState{State: s})
	}
	return all
}

var refusedKey = &diagnosis.Diagnosis{Finding: finding.Finding{ID: "F68", Name: "PRODUCTKEY_INVALID", Summary: "the key does not fit", Remedy: []string{"use another key"}}}

func TestACloneIsWatchedAndSwitchedOff(t *testing.T) {
	quick := func(pairs ...string) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	failing := winimage.SetupState{State: windows.StateUndeployable, Cause: refusedKey}
	for name, c := range map[string]struct {
		block map[string]any
		disks []winimage.SetupState
		fate  *hypervisor.Fate // before any look
		deaf  bool             // to the power button
		class boottest.Class
		calls string
		says  []string
	}{
		"it comes to logon": {quick(), disks(windows.StateUndeployable, windows.StateSpecializeToOOBE, windows.StateComplete), nil, false, boottest.Booted, "power-down",
			[]string{"Boot test: specialize, ", "Boot test: OOBE, ", "Boot test: logon, ", "its disk says IMAGE_STATE_COMPLETE; switching the clone off", "the clone booted as far as logon"}},
		"it is deaf to the power button":                      {quick(), disks(windows.StateComplete), nil, true, boottest.Booted, "kill", []string{"did not shut down by its power button within 1s, and is forced off"}},
		"a limit is over, and the disk says that all is well": {quick("start_timeout", "5ms"), disks("", windows.StateComplete), nil, false, boottest.Booted, "power-down", nil},
		"it stands still in specialize":                       {quick("stall_timeout", "20ms"), disks(windows.StateUndeployable), nil, false, boottest.Waiting, "power-down", []string{"the first boot is stuck in specialize", "no sign of life for 20ms"}},
		"a cause is on its disk":                              {quick("stall_timeout", "20ms"), []winimage.SetupState{failing}, nil, false, boottest.Failed, "power-down", []string{"names a failure (F68); waiting 20s", "the first boot failed in specialize", "the key does not fit"}},
		"its disk is never read":                              {quick("start_timeout", "20ms"), nil, nil, false, boottest.Undecided, "power-down", []string{"could not be judged", "its table is torn"}},
		"it crashes":                                          {quick(), disks(windows.StateUndeployable), &crashed, false, boottest.Failed, "close", []string{"the machine crashed"}},
		"it powers itself off when all is done":               {quick(), disks(windows.StateComplete), &poweredOff, false, boottest.Booted, "close", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test, b := cloneBench(t, c.block, c.disks...)
			if c.fate != nil {
				b.fake.end(*c.fate)
			}
			if c.deaf {
				b.fake.powerDown = func() error { return nil }
			}
			v, err := test.boot(t.Context(), ableMachine{b.fake})
			if err != nil || v.Class != c.class {
				t.Fatalf("%s, %v; %s", v.Class, err, v.Headline())
			}
			if calls := b.fake.called(); !strings.Contains(calls, c.calls) || !strings.HasSuffix(calls, "close") {
				t.Errorf("the machine was asked: %s", calls)
			}
			said := saying(b)
			for _, text := range c.says {
				if !strings.Contains(said, text) {
					t.Errorf("%q is missing in:\n%s", text, said)
				}
			}
			if c.class != boottest.Booted && !strings.Contains(v.text(), "\nnext: ") {
				t.Errorf("no way out: %s", v.text())
			}
			if c.fate == nil {
				if _, err := os.Stat(filepath.Join(test.block.LogDirectory, "end.png")); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// The account of the clone is a secret too, and that of the build still is.
func TestNoLogOfACloneHasAPassword(t *testing.T) {
	for _, block := range []map[string]any{{}, {"communicator": "winrm", "winrm_password": "Clone-canary"}} {
		test, _ := cloneBench(t, block)
		test.config.Comm.SSHPassword = "Build-canary"
		if got := test.hide("Clone-canary Build-canary"); strings.Contains(got, "Build-canary") || block["communicator"] != nil && strings.Contains(got, "Clone-canary") {
			t.Error(got)
		}
	}
}

func TestACancelEndsTheClone(t *testing.T) {
	test, b := cloneBench(t, map[string]any{}, disks(windows.StateUndeployable)...)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := test.boot(ctx, ableMachine{b.fake}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if calls := b.fake.called(); strings.Contains(calls, "power-down") || !strings.HasSuffix(calls, "close") {
		t.Errorf("the machine was asked: %s", calls)
	}
}

func TestAGuestThatIsAskedHasToAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		says  windows.State
		limit string
		class boottest.Class
	}{"and does": {windows.StateComplete, "1h", boottest.Booted}, "and does not": {"", "300ms", boottest.Waiting}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test, b := cloneBench(t, map[string]any{"communicator": "winrm", "oobe_timeout": c.limit}, disks(windows.StateComplete)...)
			test.question = func(context.Context) windows.State { return c.says }
			v, err := test.boot(t.Context(), ableMachine{b.fake})
			if err != nil || v.Class != c.class {
				t.Errorf("%s, %v: %s", v.Class, err, v.Headline())
			}
			if b.fake.spec.GuestPort != 5985 {
				t.Errorf("port %d", b.fake.spec.GuestPort)
			}
		})
	}
}

func TestWhatABootTestMakesOfTheImage(t *testing.T) {
	booted, stuck := cloneVerdict{Verdict: boottest.Verdict{Class: boottest.Booted}}, cloneVerdict{Verdict: boottest.Verdict{Class: boottest.Waiting, Why: "it stood still", Next: "look"}, logs: "kept"}
	caused := cloneVerdict{Verdict: boottest.Verdict{Class: boottest.Failed, Cause: refusedKey}, logs: "kept"}
	for name, c := range map[string]struct {
		v       cloneVerdict
		err     error
		warn    bool
		touched bool
		want    []string // of the error; empty: the image is handed over
		says    string
	}{
		"it booted":              {booted, nil, false, false, nil, ""},
		"it is stuck":            {stuck, nil, false, false, []string{"boot test: the first boot is stuck in firmware: it stood still", "\nnext: look", "\npictures and logs: kept"}, ""},
		"a cause is named":       {caused, nil, false, false, []string{"F68 PRODUCTKEY_INVALID: the key does not fit", "next: use another key"}, ""},
		"it is stuck, a warning": {stuck, nil, true, false, nil, "Warning: boot test: the first boot is stuck"},
		"no test could be made":  {booted, noTest("starting the clone", errors.New("no QEMU")), false, false, []string{"boot test: starting the clone: no QEMU", "next: "}, ""},
		"the image was changed":  {booted, nil, true, true, []string{"was changed while its clone ran"}, ""},
	} {
		test, b := cloneBench(t, map[string]any{})
		test.image = filepath.Join(t.TempDir(), "image.vhd")
		if err := os.WriteFile(test.image, []byte("image"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := stampOf(test.image)
		if c.warn {
			test.block.OnFailure = onFailureWarn
		}
		if c.touched {
			if err := os.WriteFile(test.image, []byte("another"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := test.outcome(t.Context(), before, c.v, c.err)
		if (err == nil) != (len(c.want) == 0) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, text := range c.want {
			if booted := (*bootTestError)(nil); !errors.As(err, &booted) || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q is missing in: %v", name, text, err)
			}
		}
		if !strings.Contains(saying(b), c.says) {
			t.Errorf("%s: %s", name, saying(b))
		}
	}
}

// What is made for the clone: an overlay whose base is the image, which nobody writes
// to.
func TestTheCloneIsAnOverlayOfTheImage(t *testing.T) {
	image := winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	b := newBench(t, map[string]any{"boot_test": map[string]any{"log_directory": filepath.Join(t.TempDir(), "kept"), "start_timeout": "20ms"}})
	b.run.openLog()
	before := stampOf(image)
	kept := b.run.config.BootTest.LogDirectory
	if err := os.MkdirAll(kept, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"logon.png", "mine.txt"} {
		if err := os.WriteFile(filepath.Join(kept, name), []byte("of another test"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var disk hypervisor.Disk
	b.run.newClone = func(func(string)) hypervisor.Machine {
		b.fake.powerDown = func() error {
			disk = b.fake.spec.Disk
			if _, err := os.Stat(disk.Path); err != nil {
				t.Error(err)
			}
			b.fake.end(hypervisor.Fate{Cause: hypervisor.CauseHostRequest})
			return nil
		}
		return ableMachine{b.fake}
	}
	err := b.run.bootTest(t.Context(), b.Get("ui").(*lockedUI), image)
	if err == nil || !strings.Contains(err.Error(), "nothing on the disk was started") {
		t.Errorf("a clone that does nothing: %v", err)
	}
	if stampOf(image) != before {
		t.Error("the image was changed")
	}
	if p := b.run.log.Log().Phases; len(p) != 1 || p[0].Name != "boot-test" || p[0].Outcome != "failed" {
		t.Errorf("phases: %+v", p)
	}
	if disk.Format != "qcow2" || disk.BackingFormat == "" {
		t.Errorf("%+v", disk)
	}
	if _, err := os.Stat(disk.Path); err == nil {
		t.Error("the overlay is still there")
	}
	names, err := filepath.Glob(filepath.Join(kept, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		names[i] = filepath.Base(name)
	}
	if want := []string{"end.png", "mine.txt"}; !slices.Equal(slices.DeleteFunc(names, func(n string) bool { return n == "sysprep" || n == "setup" || n == "oobe" }), want) {
		t.Errorf("kept: %v", names)
	}
}

// How far the clone has to come follows the answer file on the image, and what is left
// open is said before it boots.
func TestTheCloneHasToComeAsFarAsTheAnswerFileLeads(t *testing.T) {
	whole := strings.Replace(winimagetest.AnswerFile, "<TimeZone>UTC</TimeZone>", `<OOBE><HideEULAPage>true</HideEULAPage><HideLocalAccountScreen>true</HideLocalAccountScreen></OOBE></component>
    <component name="Microsoft-Windows-International-Core" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS"><UILanguage>en-US</UILanguage>`, 1)
	const warning = "Warning: boot test: the answer file \\Windows\\Panther\\unattend.xml of the image leaves pages of OOBE to a person (region and keyboard, licence terms, password of the Administrator): "
	for name, c := range map[string]struct {
		file, reach string
		want        string // part of what is said
		warned      bool
	}{
		"pages are open":                {winimagetest.AnswerFile, "auto", "which has to come to oobe", true},
		"pages are open, and not asked": {winimagetest.AnswerFile, "oobe", "which has to come to oobe", false},
		"pages are open for logon":      {winimagetest.AnswerFile, "logon", "which has to come to logon", true},
		"every page is answered":        {whole, "auto", "which has to come to logon", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := winimagetest.Disk(t, winimagetest.Spec{Generalized: true, Files: map[string]string{winimagetest.Cached: c.file}})
			b := newBench(t, map[string]any{"boot_test": map[string]any{"log_directory": filepath.Join(t.TempDir(), "kept"), "start_timeout": "20ms", "reach": c.reach, "on_failure": "warn"}})
			b.run.openLog()
			b.run.newClone = func(func(string)) hypervisor.Machine {
				b.fake.powerDown = func() error { b.fake.end(hypervisor.Fate{Cause: hypervisor.CauseHostRequest}); return nil }
				return ableMachine{b.fake}
			}
			if err := b.run.bootTest(t.Context(), b.Get("ui").(*lockedUI), image); err != nil {
				t.Fatal(err)
			}
			said := saying(b)
			if !strings.Contains(said, c.want) || strings.Contains(said, warning) != c.warned {
				t.Errorf("%s", said)
			}
		})
	}
}
