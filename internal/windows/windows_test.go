package windows

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestStatesMeanTheSameForAGuestAndADisk(t *testing.T) {
	for state, want := range map[State]Meaning{
		"": Unread, StateComplete: Installed, StateSpecializeToAudit: InAudit, StateSpecializeToOOBE: BeforeOOBE,
		StateUndeployable: Unfinished, StateGeneralizeToOOBE: Generalized, StateGeneralizeToAudit: Generalized, "IMAGE_STATE_NEW": Unrecognised,
	} {
		if got := state.Means(); got != want || got.MayStart() != (want == Installed || want == InAudit) {
			t.Errorf("%s means %d, want %d", state, got, want)
		}
	}
}

func TestARunLeavesTheStateOfItsOptions(t *testing.T) {
	for _, c := range []struct {
		generalize, audit bool
		want              State
	}{
		{true, false, "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"},
		{true, true, "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT"},
		{false, false, "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE"},
		{false, true, "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT"},
	} {
		if got := StateAfter(c.generalize, c.audit); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestWhatTheNextBootRunsTellsAnArmedImage(t *testing.T) {
	number := func(n int) *int { return &n }
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		name        string
		state       State
		setupType   *int
		cmdLine     *string
		does, known bool
	}{
		{"generalized", StateGeneralizeToOOBE, number(2), text(`oobe\windeploy.exe`), true, true},
		{"a wrapper", StateGeneralizeToOOBE, number(2), text(`"C:\Program Files\Agent\WinDeploy.cmd"`), true, true},
		{"in use", StateGeneralizeToOOBE, number(0), text(""), false, true},
		{"another program", StateGeneralizeToOOBE, nil, text("setup.exe"), false, true},
		{"half of it", StateGeneralizeToOOBE, number(2), nil, true, false},
		{"nothing read", StateGeneralizeToOOBE, nil, nil, true, false},
		{"audit, something", StateGeneralizeToAudit, number(0), text("x"), true, true},
		{"audit, nothing", StateGeneralizeToAudit, number(0), text(" "), false, true},
		{"audit, half of it", StateGeneralizeToAudit, number(2), nil, false, false},
	} {
		if does, known := SetsUp(c.state, c.setupType, c.cmdLine); known != c.known || known && does != c.does {
			t.Errorf("%s: %t, %t", c.name, does, known)
		}
	}
}

func TestValuesAreNamedForTheLiveAndTheOfflineRegistry(t *testing.T) {
	hive, key := UnattendFile.Offline()
	if UnattendFile.Key() != `HKLM\SYSTEM\Setup` || UnattendFile.Name() != "UnattendFile" || hive != "SYSTEM" || key != "Setup" || UnattendFile.String() != `HKLM\SYSTEM\Setup\UnattendFile` {
		t.Errorf("%s: key %s, name %s, offline %s and %s", UnattendFile, UnattendFile.Key(), UnattendFile.Name(), hive, key)
	}
	if hive, key = ImageState.Offline(); hive != "SOFTWARE" || key != `Microsoft\Windows\CurrentVersion\Setup\State` {
		t.Errorf("%s and %s", hive, key)
	}
}

func TestPathsAreThoseOfAnyDrive(t *testing.T) {
	if got := SysprepLog.In(`D:\Windows`); got != `D:\Windows\System32\Sysprep\Panther\setupact.log` {
		t.Error(got)
	}
	if got := CachedAnswerFile.OnVolume(); got != `\Windows\Panther\unattend.xml` {
		t.Error(got)
	}
}

func TestAPartitionTableNamesItsFirmwareWhetherOrNotItStarts(t *testing.T) {
	for _, c := range []struct {
		scheme  string
		found   bool
		want    Firmware
		missing string
	}{
		{"mbr", true, BIOS, ""},
		{"mbr", false, BIOS, "an active partition in the MBR"},
		{"gpt", true, UEFI, ""},
		{"gpt", false, UEFI, "an EFI system partition"},
		{"none", false, NoFirmware, "a partition table"},
		{"none", true, NoFirmware, "a partition table"},
	} {
		if got := StartupOf(c.scheme, c.found); got != (Startup{c.want, c.missing}) {
			t.Errorf("%s, %t: %+v", c.scheme, c.found, got)
		}
	}
}

// Whoever keeps logs on the host, from a guest or from its disk, keeps them there.
func TestALogHasOnePlaceOnTheHost(t *testing.T) {
	var got []string
	for _, log := range Logs() {
		got = append(got, log.Path.In(`C:\Windows`)+" "+filepath.ToSlash(log.OnHost("logs")))
	}
	want := []string{
		`C:\Windows\System32\Sysprep\Panther\setupact.log logs/sysprep/setupact.log`,
		`C:\Windows\System32\Sysprep\Panther\setuperr.log logs/sysprep/setuperr.log`,
		`C:\Windows\System32\Sysprep\Panther\diagerr.xml logs/sysprep/diagerr.xml`,
		`C:\Windows\System32\Sysprep\Panther\diagwrn.xml logs/sysprep/diagwrn.xml`,
		`C:\Windows\Panther\setupact.log logs/setup/setupact.log`,
		`C:\Windows\Panther\setuperr.log logs/setup/setuperr.log`,
		`C:\Windows\Panther\diagerr.xml logs/setup/diagerr.xml`,
		`C:\Windows\Panther\diagwrn.xml logs/setup/diagwrn.xml`,
		`C:\Windows\Panther\UnattendGC\setupact.log logs/oobe/setupact.log`,
		`C:\Windows\Panther\UnattendGC\setuperr.log logs/oobe/setuperr.log`,
		`C:\Windows\Panther\UnattendGC\diagerr.xml logs/oobe/diagerr.xml`,
		`C:\Windows\Panther\UnattendGC\diagwrn.xml logs/oobe/diagwrn.xml`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}
