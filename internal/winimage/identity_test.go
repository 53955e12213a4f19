package winimage

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// hivex says what hivex reads with a script.
func hivex(t *testing.T, hive, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hive")
	if err := os.WriteFile(path, []byte(hive), 0o600); err != nil {
		t.Fatal(err)
	}
	shell := exec.Command(testutil.Tool(t, "hivexsh"), path)
	shell.Stdin = strings.NewReader(script)
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("hivexsh: %v\n%s", err, out)
	}
	return string(bytes.TrimSpace(out))
}

func TestTheIdentityOfRealMachinesIsReadAsHivexReadsIt(t *testing.T) {
	system, software := flushed(corpusHive(t, "regipy-SYSTEM")), corpusHive(t, "plaso-SOFTWARE-win7-x86")
	sam, security := flushed(corpusHive(t, "regipy-SAM")), flushed(corpusHive(t, "regipy-SECURITY"))
	look := func(files map[string]string) Identity {
		return Look(t.Context(), winimagetest.Spec{Files: files}.FS(t)).Identity
	}
	all := map[string]string{hivePath("SYSTEM"): system, hivePath("SOFTWARE"): software, hivePath("SAM"): sam, hivePath(securityHive): security}
	got := look(all)
	if want := hivex(t, system, "cd \\ControlSet001\\Control\\ComputerName\\ComputerName\nlsval ComputerName\n"); got.ComputerName == "" || got.ComputerName != want {
		t.Errorf("computer name %q, want %q", got.ComputerName, want)
	}
	if want := hivex(t, software, "cd \\Microsoft\\Cryptography\nlsval MachineGuid\n"); got.MachineGUID == "" || got.MachineGUID != want {
		t.Errorf("MachineGuid %q, want %q", got.MachineGUID, want)
	}
	if want := hivex(t, software, "cd \\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\nlsval SusClientId\n"); got.WSUSClientID == "" || got.WSUSClientID != want {
		t.Errorf("WSUS client id %q, want %q", got.WSUSClientID, want)
	}
	names := strings.Fields(strings.ReplaceAll(hivex(t, sam, "cd \\SAM\\Domains\\Account\\Users\\Names\nls\n"), " ", "_"))
	accounts := slices.Clone(got.Accounts)
	for i := range accounts {
		accounts[i] = strings.ReplaceAll(accounts[i], " ", "_")
	}
	if slices.Sort(names); len(names) < 2 {
		t.Errorf("hivex sees %q", names)
	}
	if slices.Sort(accounts); !slices.Equal(accounts, names) {
		t.Errorf("accounts %q, want %q", accounts, names)
	}
	profiles := strings.Fields(hivex(t, software, "cd \\Microsoft\\Windows NT\\CurrentVersion\\ProfileList\nls\n"))
	if len(got.Profiles) == 0 || len(got.Profiles) != len(profiles) {
		t.Errorf("profiles %q, keys %q", got.Profiles, profiles)
	}
	// 6a7ec90e, 6c300dda and a58a91a4 in the value that hivex shows.
	if raw := hivex(t, security, "cd \\Policy\\PolAcDmS\nlsval\n"); !strings.HasSuffix(raw, "15,00,00,00,0e,c9,7e,6a,da,0d,30,6c,a4,91,8a,a5") {
		t.Errorf("PolAcDmS is %s", raw)
	}
	delete(all, hivePath("SAM"))
	if sid := look(all).MachineSID; sid != "S-1-5-21-1786693902-1815088602-2777321892" {
		t.Errorf("SID of SECURITY %q", sid)
	}
	raw := strings.Split(hivex(t, sam, "cd \\SAM\\Domains\\Account\nlsval\n"), "\"V\"=")
	value := strings.Fields(raw[len(raw)-1])[0]
	hex := strings.Split(value[strings.Index(value, ":")+1:], ",")
	if len(raw) != 2 || len(hex) < 12 {
		t.Fatalf("hivex shows %q", raw)
	}
	want := "S-1-5-21"
	for at := len(hex) - 12; at < len(hex); at += 4 {
		n, err := strconv.ParseUint(hex[at+3]+hex[at+2]+hex[at+1]+hex[at], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		want += fmt.Sprintf("-%d", n)
	}
	if got.MachineSID != want {
		t.Errorf("SID of SAM %q, want %q", got.MachineSID, want)
	}
}

// No disk says it, which is said, and what generalize does to it where that is known.
func TestTheKMSClientIdIsSaidToBeUnknown(t *testing.T) {
	one, none := uint32(1), uint32(0)
	for name, c := range map[string]struct {
		windows Windows
		says    string
	}{
		"not set":      {Windows{}, "generalize makes a new one"},
		"switched off": {Windows{SkipRearm: &none}, "generalize makes a new one"},
		"kept":         {Windows{SkipRearm: &one}, "all clones share it"},
		"not read":     {Windows{Hives: []Hive{{Name: "SOFTWARE", Problem: "x"}}}, "could not be read"},
	} {
		changes := Against(Facts{Windows: []Windows{c.windows}}, Facts{Windows: []Windows{{}}})
		if len(changes) != 1 || changes[0].Name != "KMS client id" || changes[0].State != "unknown" || changes[0].Belief || !strings.Contains(changes[0].line(), c.says) || !strings.Contains(changes[0].line(), "KMS client id unknown (") {
			t.Errorf("%s: %+v", name, changes)
		}
	}
}

func TestEachFactOfTheIdentityIsSaidToBeChangedSameOrGone(t *testing.T) {
	was := Facts{Boot: &Boot{Entries: []BootEntry{{ID: "{a}"}, {ID: "{a}"}, {ID: "{b}"}}}, Windows: []Windows{{Partition: 2, Identity: Identity{
		MachineSID: "S-1-5-21-1-2-3", ComputerName: "BUILD", MachineGUID: "g1", WSUSClientID: "w1", Accounts: []string{"Administrator", "packer"}, Profiles: []string{`C:\\Users\\packer`},
	}}}}
	is := Facts{Boot: &Boot{Entries: []BootEntry{{ID: "{A}"}}}, Windows: []Windows{{Partition: 3, Identity: Identity{
		MachineSID: "S-1-5-21-1-2-3", ComputerName: "WIN-X", MachineGUID: "g2", Accounts: []string{"administrator", "other"},
	}}}}
	got := map[string]string{}
	for _, c := range Against(is, was) {
		got[c.Name+" "+c.Was+" "+c.Is] = c.State
		if line := c.line(); !strings.HasPrefix(line, c.Name+" "+c.State) || strings.Contains(line, ": ") == (c.Was+c.Is == "") && c.State != "unknown" || strings.Contains(line, "belief, no document") != c.Belief {
			t.Errorf("%+v: %s", c, line)
		}
	}
	for key, want := range map[string]string{
		"machine SID S-1-5-21-1-2-3 S-1-5-21-1-2-3": "same", "computer name BUILD WIN-X": "changed", "MachineGuid g1 g2": "changed", "WSUS client id w1 ": "gone",
		"local account Administrator Administrator": "same", "local account packer ": "gone", "local account  other": "new", `profile C:\\Users\\packer `: "gone",
		"boot entry {a} {a}": "same", "boot entry {b} ": "gone",
		"KMS client id  ": "unknown",
	} {
		if got[key] != want {
			t.Errorf("%s: %q, want %q", key, got[key], want)
		}
		delete(got, key)
	}
	if len(got) != 0 {
		t.Errorf("more: %v", got)
	}
	if changes := Against(Facts{Windows: []Windows{{Partition: 1}, {Partition: 2}}}, Facts{Windows: []Windows{{Partition: 4, Identity: was.Windows[0].Identity}}}); len(changes) != 0 {
		t.Errorf("another installation: %+v", changes)
	}
}
