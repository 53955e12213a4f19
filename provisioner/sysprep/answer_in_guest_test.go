package sysprep

import (
	"os"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

const inGuest = `%ProgramFiles%\\Cloudbase Solutions\\Cloudbase-Init\\conf\\*.xml`

// cloudbase puts an answer file where cloudbase-init has it.
func (g *guestRun) cloudbase(name, text string) {
	g.write(text, "Program Files", "Cloudbase Solutions", "Cloudbase-Init", "conf", name)
}

func TestAnAnswerFileOfTheGuestIsMergedAndGivenToSysprep(t *testing.T) {
	t.Parallel()
	const secret = "0f-the-Guest"
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"answer_file_in_guest": strings.ReplaceAll(inGuest, `\\`, `\`), "unattend": map[string]any{"computer_name": "BOX"}})
	g.start()
	text := strings.Replace(testAnswer, "</UserAccounts>", `<LocalAccounts><LocalAccount wcm:action="add" xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State"><Name>ann</Name><Password><Value>`+secret+`</Value><PlainText>true</PlainText></Password></LocalAccount></LocalAccounts></UserAccounts>`, 1)
	g.cloudbase("Unattend.xml", text)
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	cached := g.read("Windows", "Panther", "unattend.xml")
	want(t, cached, "<ComputerName>BOX</ComputerName>", secret, "AdministratorPassword")
	want(t, g.ui.text(), `The answer file is C:\Program Files\Cloudbase Solutions\Cloudbase-Init\conf\Unattend.xml of the guest`)
	if strings.Contains(g.ui.text(), secret) {
		t.Error("a secret of the guest's file is shown")
	}
	if got := g.read("Program Files", "Cloudbase Solutions", "Cloudbase-Init", "conf", "Unattend.xml"); got != text {
		t.Error("the file of the guest was changed")
	}
	wantNothingLeft(t, g)
}

func TestAnAnswerFileOfTheGuestThatCannotBeUsedEndsTheRun(t *testing.T) {
	t.Parallel()
	bad := strings.Replace(testAnswer, "<UserAccounts>", "<OOBE><ProtectYourPC>9</ProtectYourPC></OOBE><UserAccounts>", 1)
	for name, test := range map[string]struct {
		files map[string]string
		path  string
		says  []string
	}{
		"none":            {nil, "", []string{"no file in the guest is %ProgramFiles%", "correct answer_file_in_guest"}},
		"two":             {map[string]string{"a.xml": testAnswer, "b.xml": testAnswer}, "", []string{`2 files in the guest are`, `conf\a.xml, C:\Program Files`}},
		"a folder":        {map[string]string{"a.xml": testAnswer}, `C:\Program Files\Cloudbase Solutions\Cloudbase-Init\conf`, []string{"is a folder; name a file"}},
		"no variable":     {nil, `%NOSUCHVARIABLE%\a.xml`, []string{"has no variable %NOSUCHVARIABLE%"}},
		"no XML":          {map[string]string{"a.xml": "<unattend"}, "", []string{`a.xml of the guest, line 1: `, "correct the file in the guest"}},
		"what is refused": {map[string]string{"a.xml": bad}, "", []string{`a.xml of the guest, line`, "[value]", "turn a rule off with lint"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := test.path
			if path == "" {
				path = strings.ReplaceAll(inGuest, `\\`, `\`)
			}
			g := newGuestRun(t, winsim.Scenario{}, map[string]any{"answer_file_in_guest": path})
			g.start()
			for file, text := range test.files {
				g.cloudbase(file, text)
			}
			wantError(t, g.provision(), append(test.says, "[not-started]", "sysprep was not started, the machine is untouched")...)
			wantNothingLeft(t, g)
		})
	}
}

func TestPathsInTheGuestAreChecked(t *testing.T) {
	for path, says := range map[string]string{
		"unattend.xml": "it is not a path in Windows", `C:\\a\\*\\b.xml`: "a wildcard in a folder", `C:\\a%b\\c.xml`: "a percent sign", `C:\\a & b.xml`: "not a path", "": "",
		`%TEMP%\\a.xml`: "", `C:\\Program Files (x86)\\a?.xml`: "",
	} {
		_, err := decodeHCL(t, `answer_file_in_guest = "`+path+`"`)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), "answer_file_in_guest: "+says) && !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err := decodeHCL(t, "answer_file_in_guest = \"C:\\\\a.xml\"\nanswer_file = \"a.xml\"")
	wantError(t, err, "answer_file_in_guest and answer_file or answer_file_content are both set")
}

func TestSetupCompleteRunsTheCommandsOfTheBlock(t *testing.T) {
	t.Parallel()
	lines := []any{`echo done > C:\done.txt & ver`, "net user ann S3cret-Line /add"}
	for name, before := range map[string]string{"none": "", "one that ends the script": "@echo off\r\nexit /b 0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{Outcome: winsim.Refused, Class: "F22"}, map[string]any{"delete_cached_answer_file": true, "unattend": map[string]any{"setup_complete": lines}})
			if before != "" {
				g.write(before, "Windows", "Setup", "Scripts", "SetupComplete.cmd")
			}
			for range 2 { // a machine that is refused is tried again
				if err := g.provision(); err == nil {
					t.Fatal("no refusal")
				}
				got := g.read("Windows", "Setup", "Scripts", "SetupComplete.cmd")
				text := "\r\necho done > C:\\done.txt & ver\r\nnet user ann S3cret-Line /add\r\n" + before
				if !strings.HasPrefix(got, "@del /f /q C:\\Windows\\Panther\\unattend.xml\r\n@rem setup_complete ") || !strings.HasSuffix(got, text) || strings.Count(got, "done.txt") != 1 {
					t.Errorf("the script is %q", got)
				}
			}
			want(t, g.ui.text(), "SetupComplete.cmd of the image will run 2 lines of setup_complete", "a line of setup_complete seems to hold a password")
			if strings.Contains(g.ui.text(), "S3cret-Line") {
				t.Error("a secret is shown")
			}
			if files, err := os.ReadDir(g.file("Windows", "Setup", "Scripts")); err != nil || len(files) != 1 {
				t.Errorf("beside the script there is %v, %v", files, err)
			}
		})
	}
}

func TestAnImageWithoutAnAnswerFileIsWarnedOfOnce(t *testing.T) {
	t.Parallel()
	const said = "there is no answer file: the first boot of the image will ask"
	for name, test := range map[string]struct {
		options map[string]any
		left    bool
		times   int
	}{
		"none":                  {nil, false, 1},
		"a file":                {map[string]any{"answer_file_content": testAnswer}, false, 0},
		"audit mode":            {map[string]any{"mode": "audit"}, false, 0},
		"one in the guest":      {nil, true, 0},
		"one that is taken out": {map[string]any{"remove_answer_files": true}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{Outcome: winsim.Refused, Class: "F22"}, test.options)
			g.start()
			if test.left {
				g.write(testAnswer, "Windows", "Panther", "unattend.xml")
			}
			if err := g.provision(); err == nil {
				t.Fatal("no refusal")
			}
			if n := strings.Count(g.ui.text(), said); n != test.times {
				t.Errorf("said %d times, want %d", n, test.times)
			}
		})
	}
}
