package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each text of QEMU that has an advice, in a line that says why and what to do; the processor is
// then not asked for again.
func TestAnAcceleratorThatTheHostDoesNotGive(t *testing.T) {
	for _, c := range []struct{ goos, printed, says string }{
		{"linux", "Could not access KVM kernel module: Permission denied\nqemu-system-x86_64: failed to initialize kvm: Permission denied",
			"accelerator kvm: this account may not open /dev/kvm; add it to the group of that file (usually kvm)"},
		{"linux", "Could not access KVM kernel module: No such file or directory\nqemu-system-x86_64: failed to initialize kvm: No such file or directory",
			"accelerator kvm: there is no /dev/kvm; switch virtualization on"},
		{"linux", "ioctl(KVM_CREATE_VM) failed: 16 Device or resource busy", "accelerator kvm: another hypervisor holds the processor; end it"},
		{"windows", "WHPX: No accelerator found, hr=00000000", "accelerator whpx: the Windows Hypervisor Platform is not there; switch the Windows feature"},
	} {
		tries := 0
		accelerator, _, passed, err := chooseAccelerator(t.Context(), "auto", "", c.goos, func(_ context.Context, accelerator, _ string) error {
			if tries++; accelerator == "tcg" {
				return nil
			}
			return errors.New(c.printed)
		})
		if err != nil || accelerator != "tcg" || tries != 2 || len(passed) != 1 {
			t.Errorf("%s: chose %s after %d tries, passed over %v: %v", c.printed, accelerator, tries, passed, err)
			continue
		}
		first, rest, _ := strings.Cut(passed[0].Error(), "\n")
		if !strings.HasPrefix(first, c.says) || rest != c.printed {
			t.Errorf("%s is told as %q", c.printed, passed[0])
		}
	}
	if why, next := notGiven("kvm", "failed to set MSR 0x1"); why+next != "" {
		t.Errorf("a fault of the processor has the advice %q, %q", why, next)
	}
}

func TestChooseAccelerator(t *testing.T) {
	only := func(works ...string) tryFunc {
		return func(_ context.Context, accelerator, cpu string) error {
			for _, w := range works {
				if w == accelerator {
					return nil
				}
			}
			return fmt.Errorf("%s is not to be had with %s", accelerator, cpu)
		}
	}
	for _, c := range []struct {
		name, wanted, cpu, goos string
		try                     tryFunc
		accelerator, model      string
		passed                  int
		err                     string
	}{
		{name: "KVM works", wanted: "auto", goos: "linux", try: only("kvm", "tcg"), accelerator: "kvm", model: defaultCPUs("kvm")[0]},
		{name: "KVM does not", wanted: "auto", goos: "linux", try: only("tcg"), accelerator: "tcg", model: "max", passed: 2},
		{name: "KVM without enlightenments", wanted: "auto", goos: "linux", try: func(_ context.Context, _, cpu string) error {
			if cpu != "host" {
				return errors.New("failed to set MSR")
			}
			return nil
		}, accelerator: "kvm", model: "host", passed: 1},
		{name: "macOS", wanted: "", goos: "darwin", try: only("hvf"), accelerator: "hvf", model: "host"},
		{name: "Windows", wanted: "auto", goos: "windows", try: only("whpx"), accelerator: "whpx", model: "max"},
		{name: "elsewhere", wanted: "auto", goos: "plan9", try: only("tcg"), accelerator: "tcg", model: "max"},
		{name: "what is asked for is not replaced", wanted: "kvm", goos: "linux", try: only("tcg"), err: "kvm is not to be had with host"},
		{name: "the user's processor", wanted: "tcg", cpu: "qemu64,+ssse3", goos: "linux", try: only("tcg"), accelerator: "tcg", model: "qemu64,+ssse3"},
		{name: "nothing works", wanted: "auto", goos: "linux", try: only(), err: "tcg is not to be had"},
	} {
		t.Run(c.name, func(t *testing.T) {
			accelerator, model, passed, err := chooseAccelerator(t.Context(), c.wanted, c.cpu, c.goos, c.try)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || accelerator != c.accelerator || model != c.model || len(passed) != c.passed {
				t.Errorf("got %s %s %v, %v", accelerator, model, passed, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, _, err := chooseAccelerator(ctx, "auto", "", "linux", only()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

const plainDescriptor = `{"interface-types": ["uefi"],
 "mapping": {"device": "flash", "executable": {"filename": "/f/CODE.fd", "format": "raw"}, "nvram-template": {"filename": "/f/VARS.fd", "format": "raw"}},
 "targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*", "pc-q35-*"]}], "features": ["acpi-s3"]}`

func TestParseDescriptor(t *testing.T) {
	for _, machineType := range []string{"pc", "q35", "pc-q35-7.2"} {
		files, err := parseDescriptor([]byte(plainDescriptor), machineType)
		if err != nil || files != (firmwareFiles{"/f/CODE.fd", "/f/VARS.fd"}) {
			t.Errorf("%s: %+v, %v", machineType, files, err)
		}
	}
	for name, change := range map[string][2]string{
		"another architecture":    {`"x86_64"`, `"aarch64"`},
		"keys enrolled":           {`"acpi-s3"`, `"enrolled-keys"`},
		"System Management Mode":  {`"acpi-s3"`, `"requires-smm"`},
		"BIOS":                    {`"uefi"`, `"bios"`},
		"memory instead of flash": {`"flash"`, `"memory"`},
		"qcow2 variables":         {`VARS.fd", "format": "raw"`, `VARS.qcow2", "format": "qcow2"`},
		"stateless":               {`"device": "flash"`, `"device": "flash", "mode": "stateless"`},
		"another machine":         {`"pc-i440fx-*", "pc-q35-*"`, `"microvm"`},
		"not JSON":                {`{"interface-types"`, `x`},
	} {
		text := strings.Replace(plainDescriptor, change[0], change[1], 1)
		if text == plainDescriptor {
			t.Fatalf("%s: nothing was changed", name)
		}
		if files, err := parseDescriptor([]byte(text), "q35"); err == nil {
			t.Errorf("%s was taken: %+v", name, files)
		}
	}
}

func TestFindFirmwareBesideQEMU(t *testing.T) {
	home := t.TempDir()
	share := filepath.Join(home, "share", "qemu")
	for _, name := range []string{"bin/qemu-system-x86_64", "share/qemu/edk2-x86_64-code.fd", "share/qemu/edk2-i386-vars.fd"} {
		path := filepath.Join(home, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Where the system has firmware of its own, that is found first.
	files, err := findFirmware(filepath.Join(home, "bin", "qemu-system-x86_64"), "q35")
	if err != nil {
		t.Fatal(err)
	}
	if !files.exist() {
		t.Errorf("%+v does not exist", files)
	}
	beside := firmwareFiles{filepath.Join(home, "bin", "..", "share", "qemu", "edk2-x86_64-code.fd"), filepath.Join(share, "edk2-i386-vars.fd")}
	if !beside.exist() || (firmwareFiles{home, home}).exist() || (firmwareFiles{}).exist() {
		t.Error("exist takes what is not a file")
	}
}

func FuzzParseDescriptor(f *testing.F) {
	f.Add([]byte(plainDescriptor))
	f.Fuzz(func(t *testing.T, text []byte) {
		if files, err := parseDescriptor(text, "q35"); err == nil && (files.code == "" || files.vars == "") {
			t.Error("accepted without files")
		}
	})
}
