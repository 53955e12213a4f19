package answerfile

import (
	"strings"
	"testing"
)

func TestWhereAMisplacedSettingBelongs(t *testing.T) {
	for _, tt := range []struct{ name, data, want string }{
		{"another component, valid in the pass", shell("<RunSynchronous/>"), "it belongs to " + compDeployment + ": move it there"},
		{"another component of another pass", wrap(WindowsPE, compShell, "<RunSynchronous/>"), "it belongs to Microsoft-Windows-Setup: move it there"},
		{"a container", oobe("<LocalAccounts/>"), "it belongs below UserAccounts: move it there"},
		{"no container", oobe("<OOBE><TimeZone>UTC</TimeZone></OOBE>"), "put it directly into the component"},
		{"a container of another component", deployment("<LocalAccounts/>"), "it belongs to " + compShell + ", below UserAccounts: move it there"},
		{"the twin of Path", deployment(`<RunSynchronous><RunSynchronousCommand wcm:action="add"><Order>1</Order><CommandLine>a</CommandLine></RunSynchronousCommand></RunSynchronous>`),
			"write <Path>: that is what the command line is called in RunSynchronousCommand"},
	} {
		found := ""
		for _, f := range Lint([]byte(tt.data), Context{}) {
			if f.ID == "setting-misplaced" {
				found = strings.Join(f.Remedy, "; ")
			}
		}
		if found != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, found, tt.want)
		}
	}
}

func TestTimeZonesAreNamedAsInWindows(t *testing.T) {
	for name, want := range map[string]string{
		"UTC": "UTC", "w. europe standard time": "W. Europe Standard Time", "W. Europe Standard Time_dstoff": "W. Europe Standard Time_dstoff",
		"Europe/Berlin": "W. Europe Standard Time", "asia/kolkata": "India Standard Time", "Asia/Calcutta": "India Standard Time", " Etc/UTC ": "UTC",
		"Kamchatka Standard Time": "Kamchatka Standard Time", "": "", "Mars": "", "Europe/Berlin_dstoff": "",
	} {
		if got, ok := WindowsTimeZone(name); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", name, got, ok, want)
		}
	}
	if n := len(timeZones().names); n < 130 {
		t.Errorf("only %d time zones", n)
	}
}

func TestLanguagesAreThoseOfBCP47AndWindows(t *testing.T) {
	for tag, want := range map[string]string{
		"en-US": "", "de": "", "zh-Hans-CN": "", "sr-Latn-CS": "", "ca-ES-valencia": "", "es-ES_tradnl": "", "qps-ploc": "", "es-419": "", "zh-CHS": "",
		"en-UK": "write en-GB", "EN-uk": "write en-GB", "sr-YU": "write sr-RS",
		"english": "write a tag such as en-US", "en_US": "write a tag such as en-US", "xx-US": "write a tag such as en-US: the language, a hyphen, the country",
		"en-XX": "write a tag such as en-US: the language, a hyphen, the country", "0409": "write a tag such as en-US",
	} {
		if _, fix := localeProblem(tag); fix != want {
			t.Errorf("%s: got %q, want %q", tag, fix, want)
		}
	}
}

func TestBuiltInGroupsAreNamedBySID(t *testing.T) {
	for sid, want := range map[string]string{"S-1-5-32-544": "Administrators", " s-1-5-32-555 ": "RemoteDesktopUsers", "S-1-5-21-1": "", "Administrators": ""} {
		if got, ok := GroupName(sid); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v", sid, got, ok)
		}
	}
}

func TestANameIsNearAnother(t *testing.T) {
	names := []string{"HideEULAPage", "HideOnlineAccountScreens", "OOBE", "ProtectYourPC"}
	for name, want := range map[string]string{
		"HideEulaPage": "HideEULAPage", "HideOnlineAccountScreen": "HideOnlineAccountScreens", "HideEULAPages": "HideEULAPage", "ProtectYuorPC": "ProtectYourPC",
		"SkipOOBE": "", "HidePage": "", "OOB": "OOBE", "Ob": "", strings.Repeat("x", 65): "",
	} {
		if got := new(linter).nearest(name, func() []string { return names }); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	many := &linter{guesses: maxGuesses}
	if got := many.nearest("OOB", func() []string { return names }); got != "" {
		t.Errorf("after %d guesses another is made: %q", maxGuesses, got)
	}
}

func TestEditsInsideOfOthersAreLeftOut(t *testing.T) {
	if got := string(apply([]byte("0123456789"), []edit{{6, 7, "x"}, {2, 5, ""}, {3, 4, "inner"}, {9, 9, "+"}})); got != "015x78+9" {
		t.Errorf("got %q", got)
	}
}
