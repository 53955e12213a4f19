package diagnosis

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The places of settings are those of the table of Microsoft's reference, which
// stands in another room.
func TestWhereSettingsBelongIsWhatTheReferenceSays(t *testing.T) {
	table, err := os.ReadFile("../answerfile/settings.tsv")
	if err != nil {
		t.Fatal(err)
	}
	tops, below := map[string][]string{}, map[string][]string{}
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(line, "\t")
		if strings.HasPrefix(line, "#") || len(cells) < 5 {
			continue
		}
		steps := strings.Split(strings.ToLower(cells[1]), `\`)
		tops[steps[0]] = append(tops[steps[0]], cells[0])
		if len(steps) > 1 {
			below[steps[len(steps)-1]] = append(below[steps[len(steps)-1]], steps[len(steps)-2])
		}
	}
	// Newer or older than the reference of 2017, or not in it.
	others := strings.Fields("showwindowslive startpaneloff configurechatautoinstall ceipenabled driverpaths home_page disablefirstrunwizard disableaccelerators disableoobaccelerators blockpopups skipmachineoobe skipuseroobe")
	for name, component := range homes.all() {
		if !slices.Contains(tops[name], component) && !slices.Contains(others, name) {
			t.Errorf("%s is at home in %v, not in %s", spelled()[name], tops[name], component)
		}
	}
	for name, parent := range parents.all() {
		if !slices.Contains(below[name], strings.ToLower(parent)) && !slices.Contains(others, name) {
			t.Errorf("%s stands below %v, not below %s", spelled()[name], below[name], parent)
		}
		if homes.all()[strings.ToLower(parent)] == "" {
			t.Errorf("%s, the parent of %s, is at home nowhere", parent, name)
		}
	}
	for _, name := range others {
		if homes.all()[name] == "" && parents.all()[name] == "" {
			t.Errorf("%s is not in the lists", name)
		}
	}
}

func TestWhereASettingBelongs(t *testing.T) {
	for _, test := range []struct{ component, path, want string }{
		{"Microsoft-Windows-Deployment", "/settings/FirstLogonCommands", "Move FirstLogonCommands to Microsoft-Windows-Shell-Setup."},
		{"Microsoft-Windows-Shell-Setup", "/settings/InputLocale", "Move InputLocale to Microsoft-Windows-International-Core."},
		{"Microsoft-Windows-Shell-Setup", "/settings/JoinDomain", "Move JoinDomain below Identification of Microsoft-Windows-UnattendedJoin."},
		{"Microsoft-Windows-UnattendedJoin", "/settings/JoinDomain", "Move JoinDomain below Identification of Microsoft-Windows-UnattendedJoin."},
		{"Microsoft-Windows-Shell-Setup", "/settings/PersistAllDeviceInstalls", "Move PersistAllDeviceInstalls to Microsoft-Windows-PnpSysprep."},
		{"Microsoft-Windows-Shell-Setup", "/settings/UserAccounts/ProtectYourPC", "Move ProtectYourPC out of UserAccounts to below OOBE of Microsoft-Windows-Shell-Setup."},
		{"Microsoft-Windows-Shell-Setup", "/settings/ComputerNam", "Write ComputerName instead of ComputerNam, if that is meant; otherwise remove it from Microsoft-Windows-Shell-Setup."},
		{"Microsoft-Windows-Shell-Setup", "/settings/Contoso", "Remove Contoso from Microsoft-Windows-Shell-Setup, or move it to the component that has it: Microsoft's reference lists the settings of each, and in which passes."},
	} {
		if got := settingNames(map[string]string{"component": test.component, "setting": test.path})["move"]; got != test.want {
			t.Errorf("%s of %s: %q", test.path, test.component, got)
		}
	}
	if got := meant(strings.Repeat("x", 100)); got != "" {
		t.Error(got)
	}
}
