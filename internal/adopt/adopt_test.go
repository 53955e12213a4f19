package adopt

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readTest reads from testdata what a template there names.
func readTest(path string) ([]byte, error) { return os.ReadFile(filepath.Join("testdata", path)) }

// adopted is a template of testdata, read as from its folder.
func adopted(t *testing.T, name string) Result {
	t.Helper()
	text, err := readTest(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Template(name, bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), Folder{}, readTest)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

// TestTemplatesAreAdopted holds what is said of each template of testdata: the diff, then
// the notes.
func TestTemplatesAreAdopted(t *testing.T) {
	for name, want := range map[string]struct{ steps, replaced int }{
		"azure.pkr.hcl": {1, 1}, "between.pkr.hcl": {1, 1}, "shutdown.pkr.hcl": {2, 2}, "text.pkr.hcl": {2, 0},
		"scripts.json": {3, 1}, "agents.json": {1, 1}, "none.json": {1, 1}, "linux.json": {0, 0},
	} {
		r := adopted(t, name)
		if r.Steps != want.steps || r.Replaced != want.replaced {
			t.Errorf("%s: %d steps, %d replaced, want %v", name, r.Steps, r.Replaced, want)
		}
		got := r.Diff
		for _, n := range r.Notes {
			got += fmt.Sprintf("%s:%d: decide %v: %s\n", n.File, n.Line, n.Decide, n.Text)
		}
		golden(t, name+".golden", got)
		// What came out is a template, without what was replaced.
		again, err := Template(name, r.After, Folder{}, readTest)
		if err != nil || again.Replaced != 0 || again.Steps != want.steps-want.replaced {
			t.Errorf("%s: once more: %d steps, %d replaced, %v\n%s", name, again.Steps, again.Replaced, err, again.Diff)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func inline(lines string) string {
	var all []string
	for line := range strings.SplitSeq(lines, "\n") {
		all = append(all, quoted(line))
	}
	return "build {\n  provisioner \"powershell\" {\n    inline = [" + strings.Join(all, ", ") + "]\n  }\n}\n"
}

func TestACallOfSysprepIsRead(t *testing.T) {
	const sysprep = `& $env:SystemRoot\System32\Sysprep\Sysprep.exe `
	for lines, want := range map[string]string{
		sysprep + `/generalize /oobe /quiet`:                                                             "{}",
		sysprep + `-generalize -oobe -quiet -quit`:                                                       "{}",
		`C:/Windows/System32/Sysprep/sysprep.exe /GENERALIZE /OOBE /MODE:VM`:                             "vm_mode = true",
		sysprep + `/generalize /audit /reboot`:                                                           "mode   = \"audit\"\n    action = \"reboot\"",
		sysprep + `/oobe /quit`:                                                                          "generalize = false",
		sysprep + `/generalize /oobe /unattend:"C:\My Files\u.xml"`:                                      `answer_file_in_guest = "C:\\My Files\\u.xml"`,
		sysprep + `/generalize /oobe "/unattend:$env:WINDIR/u.xml"`:                                      `answer_file_in_guest = "%WINDIR%\\u.xml"`,
		"$f = 'D:\\u.xml'\n" + sysprep + `/generalize /oobe /unattend:$f`:                                `answer_file_in_guest = "D:\\u.xml"`,
		`Start-Process C:\sysprep.exe -Wait -ArgumentList '/generalize','/oobe','/mode:vm'`:              "vm_mode = true",
		`Start-Process -FilePath "C:\sysprep.exe" -ArgumentList "/generalize /oobe /mode:vm"`:            "vm_mode = true",
		sysprep + "`\n  /generalize `\n  /oobe /mode:vm":                                                 "vm_mode = true",
		`& "$env:ProgramFiles\Amazon\EC2Launch\EC2Launch.exe" sysprep --shutdown`:                        `agent = "ec2launch-v2"`,
		`GCESysprep -no_shutdown`:                                                                        `agent = "gcesysprep"`,
		sysprep + `/generalize /oobe /selfoob`:                                                           `extra_arguments = ["/selfoob"]`,
		sysprep + "/generalize /oobe\nGet-Process sysprep | Wait-Process":                                "{}",
		"$p = 1\n" + sysprep + "/generalize /oobe\nwhile ($p) { $p = Get-Process sysprep* }":             "{}",
		"if (Test-Path C:\\u.xml) {\n" + sysprep + "/generalize /oobe /unattend:C:\\u.xml\n}":            `answer_file_in_guest = "C:\\u.xml"`,
		"Set-Location -Path \"C:\\Our Agent\\conf\\\"\n" + sysprep + "/generalize /oobe /unattend:u.xml": `answer_file_in_guest = "C:\\Our Agent\\conf\\u.xml"`,
		sysprep + "/generalize /oobe /mode:vm\nshutdown /s /t 0":                                         "vm_mode",
		sysprep + "/generalize /oobe /mode:vm\nStop-Computer -Force\nStop-Transcript":                    "vm_mode",
		sysprep + "/generalize /oobe /mode:vm\nwhile ($true)\n{\n  $s = (Get-ItemProperty HKLM:\\x).ImageState\n  if ($s -eq 'y')\n  {\n    break\n  }\n  else\n  {\n    Start-Sleep 5\n  }\n}": "vm_mode",
		"while ((Get-Service RdAgent).Status -ne 'Running')\n{\n  Start-Sleep 5\n}\n" + sysprep + "/generalize /oobe /mode:vm":                                                                  "vm_mode",
		"$gone = Join-Path $env:windir 'System32\\Sysprep\\unattend.xml'\nRemove-Item $gone -Force\n" + sysprep + "/generalize /oobe":                                                           "remove_answer_files = true",
		"<# sysprep.exe /generalize\n/oobe #>\n" + sysprep + "/generalize /oobe # /mode:vm here":                                                                                                "vm_mode",
	} {
		r, err := Template("t.pkr.hcl", []byte(inline(lines)), Folder{}, readTest)
		if err != nil || r.Replaced != 1 || !strings.Contains(string(r.After), want) || strings.Contains(string(r.After), "powershell") {
			t.Errorf("%s: %v, %d replaced, want %q\n%s%v", lines, err, r.Replaced, want, r.After, r.Notes)
		}
	}
}

// What else is done within a loop that goes is named.
func TestWhatGoesWithALoopIsSaid(t *testing.T) {
	for text, want := range map[string]string{
		"sysprep.exe /generalize /oobe /quit\nwhile ((Get-ItemProperty HKLM:\\x).ImageState -ne 'y') { Start-Sleep 5; Stop-Service wuauserv }": "[Stop-Service] 2",
		"sysprep.exe /generalize /oobe /quit\nwhile ((Get-ItemProperty HKLM:\\x).ImageState -ne 'y') {\n  Start-Sleep 5\n  Copy-Item a b\n}":   "[Copy-Item] 4",
		"if (Test-Path C:\\unattend.xml) { Remove-Item C:\\unattend.xml }\nStart-Process sysprep.exe -ArgumentList '/generalize /oobe'":        "[] 0",
		"Stop-Service wuauserv\nsysprep.exe /generalize /oobe /quit":                                                                           "[] 0",
	} {
		names, line := besides(statements(pieces([]elem{{line: 1, text: text}})))
		if got := fmt.Sprint(names, line); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestWhatIsNoCallIsLeftAlone(t *testing.T) {
	for _, lines := range []string{
		"", "Write-Output 'running sysprep.exe /generalize /oobe'", "# sysprep.exe /generalize", "Get-Content C:\\Windows\\System32\\Sysprep\\Panther\\setupact.log",
		"Get-ItemProperty HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\State", "virt-sysprep --enable machine-id", "Copy-Item u.xml C:\\Windows\\System32\\Sysprep\\",
	} {
		if r, err := Template("t.pkr.hcl", []byte(inline(lines)), Folder{}, readTest); err != nil || r.Steps != 0 || r.Diff != "" || !bytes.Equal(r.After, []byte(inline(lines))) {
			t.Errorf("%s: %v %+v", lines, err, r)
		}
	}
}

func TestWhatCannotBeDecidedIsSaid(t *testing.T) {
	const sysprep = `sysprep.exe /generalize /oobe `
	for lines, says := range map[string]string{
		sysprep + `/unattend:unattend.xml`:                                                    "a path that only the guest knows",
		sysprep + `/unattend:%~dp0u.xml`:                                                      "a path that only the guest knows",
		"function f {\n" + strings.Repeat("Do-It\n", 20) + sysprep + "\n}\nf":                 "inside a larger statement",
		"if ($a) {\n" + sysprep + "/mode:vm\n} else {\n" + sysprep + "\n}":                    "under a condition",
		"Stop-Service x\nif exist C:\\x " + sysprep:                                           "under a condition",
		"Remove-Item 'a; b'; " + sysprep:                                                      "one text holds the call",
		"echo 'a' && " + sysprep + "& del c":                                                  "one text holds the call",
		sysprep + "\nwhile ($true) { ImageState; Start-Sleep 5 }; Restart-Service x":          "one text holds the call",
		"try { " + sysprep + "; Do-More } catch { }":                                          "inside a larger statement",
		sysprep + "/frobnicate":                                                               "/frobnicate is handed on",
		"& 'C:\\sysprep.exe' `\n  '/generalize' `\n '/oobe' `\n \"/unattend:$(Get-Answers)\"": "a path that only the guest knows",
	} {
		r, err := Template("t.pkr.hcl", []byte(inline(lines)), Folder{}, readTest)
		said := ""
		for _, n := range r.Notes {
			if n.Decide && n.Line > 0 {
				said += n.Text
			}
		}
		if err != nil || r.Steps != 1 || !strings.Contains(said, says) {
			t.Errorf("%s: %v, %d steps, %v, want %q", lines, err, r.Steps, r.Notes, says)
		}
	}
}

func TestTextThatIsNoTemplateIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"a.pkr.hcl": "build {", "b.json": `{"provisioners": [}`, "c.json": "[]", "d.json": "\xef\xbb\xbf{}", "e.pkr.json": "{}", "f.json": "",
		"g.json": strings.Repeat("[", 1000), "h.pkr.hcl": strings.Repeat(" ", MaxSize+1), "i.json": `{"a":`,
	} {
		if r, err := Template(name, []byte(text), Folder{}, readTest); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v %+v", name, err, r)
		}
	}
}

// Line ends, and a mark of the encoding, stay as they are.
func TestTheFormOfATextStays(t *testing.T) {
	text := "\xef\xbb\xbf" + strings.ReplaceAll(inline("sysprep.exe /generalize /oobe /mode:vm"), "\n", "\r\n")
	r, err := Template("t.pkr.hcl", []byte(text), Folder{}, readTest)
	if err != nil || r.Replaced != 1 || bytes.Count(r.After, []byte("\n")) != bytes.Count(r.After, []byte("\r\n")) || !bytes.HasPrefix(r.After, []byte("\xef\xbb\xbfpacker {")) {
		t.Errorf("%v\n%q", err, r.After)
	}
}

func FuzzTemplate(f *testing.F) {
	names, err := filepath.Glob("testdata/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil && filepath.Ext(name) != ".golden" {
			f.Add(filepath.Ext(name) == ".json", text)
		}
	}
	f.Add(false, []byte(inline("a\nsysprep.exe /generalize /unattend:$x\nb")))
	f.Fuzz(func(t *testing.T, asJSON bool, text []byte) {
		name := "t.pkr.hcl"
		if asJSON {
			name = "t.json"
		}
		r, err := Template(name, text, Folder{}, readTest)
		if err != nil {
			return
		}
		if r.Replaced > r.Steps || r.Replaced > 0 && r.Diff == "" {
			t.Errorf("%d steps, %d replaced, diff %q", r.Steps, r.Replaced, r.Diff)
		}
		if _, err := Template(name, r.After, Folder{}, readTest); err != nil {
			t.Errorf("the change makes no template: %v\n%s", err, r.After)
		}
	})
}

// Packer takes the files of a folder as one template, in which a plugin is named once.
func TestAPluginThatIsNamedElsewhereIsNotNamedAgain(t *testing.T) {
	text := []byte(inline("sysprep.exe /generalize /oobe"))
	r, err := Template("t.pkr.hcl", text, Folder{Named: "plugins.pkr.hcl"}, readTest)
	if err != nil || r.Replaced != 1 || Names(r.After) || len(r.Notes) == 0 || !strings.Contains(r.Notes[0].Text, "named in plugins.pkr.hcl") {
		t.Errorf("%v\n%s%v", err, r.After, r.Notes)
	}
	if r, err = Template("t.pkr.hcl", text, Folder{}, readTest); err != nil || !Names(r.After) {
		t.Errorf("%v\n%s", err, r.After)
	}
}

// A text of several lines that a script writes into a file is no call.
func TestATextOfSeveralLinesRunsNothing(t *testing.T) {
	for text, want := range map[string]bool{
		"$c = @\"\nsysprep.exe /generalize /oobe\n\"@\nSet-Content C:\\later.cmd $c":                         false,
		"Set-Content C:\\later.cmd @'\nsysprep.exe /generalize /oobe\n'@":                                    false,
		"Set-Content C:\\later.cmd -Value @\"\nsysprep.exe /oobe\n\"@ -Force\nsysprep.exe /generalize /oobe": true,
		"# a mail address ends in @\"\nsysprep.exe /generalize /oobe":                                        true,
	} {
		if got := calling(statements(pieces([]elem{{line: 1, text: text}}))); got != want {
			t.Errorf("%q: called %v, want %v", text, got, want)
		}
	}
}

// variables are templates in which what calls sysprep is behind a name.
func TestVariablesAreLookedUp(t *testing.T) {
	const (
		source = "source \"qemu\" \"a\" {\n  shutdown_command = var.down\n}\nsource \"qemu\" \"b\" {\n  shutdown_command = \"${var.down}\"\n}\nbuild {\n  sources = [\"qemu.a\", \"qemu.b\"]\n}\n"
		call   = `C:/Windows/System32/Sysprep/sysprep.exe /generalize /oobe /shutdown /mode:vm`
		step   = "\nbuild {\n  provisioner \"powershell\" {\n    %s\n  }\n}\n"
	)
	for name, c := range map[string]struct {
		file, text      string
		steps, replaced int
		want            string // in what comes out, or in a note
	}{
		"a default":                        {"t.pkr.hcl", "variable \"down\" {\n  default = \"" + call + "\"\n}\n" + source, 2, 2, "variable \"down\" {\n  default = \"shutdown /s /t 5 /f\"\n}"},
		"a default of the short form":      {"t.pkr.hcl", "variables {\n  down = \"" + call + "\"\n}\n" + source, 2, 2, "  provisioner \"sysprep\" {\n    vm_mode = true\n  }"},
		"a default that is a local":        {"t.pkr.hcl", "locals {\n  x = \"" + call + "\"\n}\n" + strings.ReplaceAll(source, "var.down", "local.x"), 2, 2, "  x = \"shutdown /s /t 5 /f\""},
		"a variable file may have another": {"t.pkr.hcl", "variable \"down\" {\n  default = \"" + call + "\"\n}\n" + source, 2, 2, "a value that a variable file, -var or the environment gives instead has to be changed there"},
		"no default":                       {"t.pkr.hcl", "variable \"down\" {\n  type = string\n}\n" + source, 0, 0, ""},
		"a default behind itself":          {"t.pkr.hcl", "locals {\n  x = local.y\n  y = local.x\n}\n" + strings.ReplaceAll(source, "var.down", "local.x"), 0, 0, ""},
		"one of JSON":                      {"t.json", `{"variables": {"down": "` + call + `"}, "builders": [{"type": "qemu", "shutdown_command": "{{ user ` + "`down`" + ` }}"}], "provisioners": []}`, 1, 1, `{"variables": {"down": "shutdown /s /t 5 /f"}`},
		"one that a builder still needs":   {"t.pkr.hcl", "variable \"down\" {\n  default = \"sysprep.exe /generalize /oobe /unattend:u.xml\"\n}\n" + strings.Replace(source, "down\n", "down\n  cd_files = [\"u.xml\"]\n", 1), 2, 0, "a path that only the guest knows"},
		"commands in a local":              {"t.pkr.hcl", "locals {\n  x = [\"" + call + "\"]\n}" + fmt.Sprintf(step, "inline = local.x"), 1, 0, "inline is local.x, which calls sysprep in line 2"},
		"a script in a local":              {"t.pkr.hcl", "locals {\n  d = \"scripts\"\n  x = \"${local.d}/only.ps1\"\n}" + fmt.Sprintf(step, "script = local.x"), 1, 1, "provisioner \"sysprep\""},
		"a script in a folder":             {"t.pkr.hcl", "variable \"d\" {\n  default = \"scripts\"\n}" + fmt.Sprintf(step, "script = \"${var.d}/only.ps1\""), 1, 1, "provisioner \"sysprep\""},
		"one of the scripts of a local":    {"t.pkr.hcl", "locals {\n  x = [\"install.ps1\", \"scripts/only.ps1\"]\n}" + fmt.Sprintf(step, "scripts = local.x"), 1, 0, "scripts/only.ps1 calls sysprep: take it out of this list, and put provisioner \"sysprep\" after the step of line 6"},
		"a command in a map of locals":     {"t.pkr.hcl", "locals {\n  x = { y = \"" + call + "\" }\n}" + fmt.Sprintf(step, `inline = ["ver", local.x.y]`), 1, 0, "inline holds local.x.y, which calls sysprep"},
		"a part of a command":              {"t.pkr.hcl", "variable \"p\" {\n  default = \"sysprep.exe\"\n}" + fmt.Sprintf(step, `inline = ["${var.p} /generalize /oobe"]`), 1, 0, "inline holds \"${var.p} /generalize /oobe\""},
		"a restart by sysprep":             {"t.pkr.hcl", "build {\n  provisioner \"windows-restart\" {\n    restart_command = \"" + call + "\"\n  }\n}\n", 1, 0, "restart_command calls sysprep"},
		"a plain restart":                  {"t.pkr.hcl", "build {\n  provisioner \"windows-restart\" {\n    restart_command = \"shutdown /r\"\n  }\n  provisioner \"windows-restart\" {}\n}\n", 0, 0, ""},
		"a program of this machine":        {"t.json", `{"builders": [{"type": "null"}], "provisioners": [{"type": "shell-local", "command": "az vm run-command invoke --scripts 'sysprep.exe /generalize /oobe'"}]}`, 1, 0, "a program on this machine has sysprep run in the guest"},
		"an override":                      {"t.json", `{"builders": [{"type": "null"}], "provisioners": [{"type": "powershell", "inline": ["sysprep.exe /generalize /oobe"], "override": {"null": {}}}]}`, 1, 1, "override is left out"},
		"an agent that is not known":       {"t.pkr.hcl", fmt.Sprintf(step, `inline = ["& 'C:\\Program Files\\Amazon\\Ec2ConfigService\\ec2config.exe' -sysprep"]`), 1, 0, "EC2Config runs sysprep here"},
	} {
		r, err := Template(c.file, []byte(c.text), Folder{}, readTest)
		if err != nil || r.Steps != c.steps || r.Replaced != c.replaced || !strings.Contains(string(r.After)+fmt.Sprint(r.Notes), c.want) {
			t.Errorf("%s: %v, %d steps, %d replaced, want %d, %d and %q\n%s%v", name, err, r.Steps, r.Replaced, c.steps, c.replaced, c.want, r.After, r.Notes)
		}
		if c.replaced == 0 && string(r.After) != c.text {
			t.Errorf("%s: changed although nothing was replaced\n%s", name, r.Diff)
		}
	}
}

// A .cmd on the floppy that starts the .ps1 of its own name.
func TestAScriptBesideIsFollowed(t *testing.T) {
	files := map[string]string{
		"run.cmd": "@echo off\r\npowershell -File \"%~dp0%~n0.ps1\"\r\n", "run.ps1": "& C:\\Windows\\System32\\Sysprep\\sysprep.exe /generalize /oobe /mode:vm",
		"sysprep-later.cmd": "call other.cmd",
	}
	for script, want := range map[string]string{"run.cmd": "vm_mode = true", "sysprep-later.cmd": "does not call sysprep itself"} {
		text := "source \"qemu\" \"a\" {\n  floppy_files = [\"run.cmd\", \"run.ps1\", \"sysprep-later.cmd\"]\n  shutdown_command = \"a:\\\\" + script + "\"\n}\nbuild {\n  sources = [\"qemu.a\"]\n}\n"
		r, err := Template("t.pkr.hcl", []byte(text), Folder{}, func(path string) ([]byte, error) {
			if f, ok := files[path]; ok {
				return []byte(f), nil
			}
			return nil, os.ErrNotExist
		})
		if err != nil || r.Steps != 1 || !strings.Contains(string(r.After)+fmt.Sprint(r.Notes), want) {
			t.Errorf("%s: %v, %d steps, want %q\n%s%v", script, err, r.Steps, want, r.After, r.Notes)
		}
	}
}

// What calls sysprep stands in another file of the folder: it is named, and nothing is changed.
func TestValuesOfOtherFilesAreNamed(t *testing.T) {
	const template = "source \"vmware-iso\" \"a\" {\n  floppy_files     = var.files\n  shutdown_command = var.down\n}\nbuild {\n  sources = [\"vmware-iso.a\"]\n}\n"
	const call = "sysprep.exe /generalize /oobe /shutdown"
	for name, c := range map[string]struct {
		files map[string]string
		steps int
		want  string
	}{
		"a default":                       {map[string]string{"variables.pkr.hcl": "variable \"x\" {}\nvariable \"down\" {\n  default = \"" + call + "\"\n}\n"}, 1, "shutdown_command is var.down, and its value in line 3 of variables.pkr.hcl calls sysprep"},
		"a variable file":                 {map[string]string{"a.pkrvars.hcl": "down = \"" + call + "\"\n"}, 1, "in line 1 of a.pkrvars.hcl calls sysprep"},
		"a script on the floppy":          {map[string]string{"a.pkrvars.hcl": "down = \"a:/only.ps1\"\nfiles = [\"scripts/only.ps1\"]\n"}, 1, "runs a:/only.ps1, which calls sysprep"},
		"a script that cannot be read":    {map[string]string{"a.pkrvars.hcl": "down = \"powershell -File a:/run-sysprep.ps1\"\n"}, 1, "runs a:/run-sysprep.ps1, which may call sysprep"},
		"a plain shutdown":                {map[string]string{"a.pkrvars.hcl": "down = \"shutdown /s\"\n", "b.pkrvars.hcl": "= broken"}, 0, ""},
		"one of two variable files":       {map[string]string{"a.pkrvars.hcl": "down = \"shutdown /s\"\n", "b.pkrvars.hcl": "down = \"" + call + "\"\n"}, 1, "line 1 of b.pkrvars.hcl"},
		"two of them, which is said once": {map[string]string{"a.pkrvars.hcl": "down = \"" + call + "\"\n", "b.pkrvars.hcl": "down = \"" + call + "\"\n"}, 1, "line 1 of a.pkrvars.hcl"},
	} {
		folder := Folder{Files: map[string][]byte{}}
		for file, text := range c.files {
			folder.Files[file] = []byte(text)
		}
		r, err := Template("t.pkr.hcl", []byte(template), folder, readTest)
		if err != nil || r.Steps != c.steps || r.Replaced != 0 || len(r.Notes) != c.steps || !strings.Contains(fmt.Sprint(r.Notes), c.want) || string(r.After) != template {
			t.Errorf("%s: %v, %d steps, want %d and %q\n%v", name, err, r.Steps, c.steps, c.want, r.Notes)
		}
	}
	// The default calls sysprep too: it is changed, and the file that overrules it is named.
	own := "variable \"down\" {\n  default = \"" + call + "\"\n}\n" + template
	r, err := Template("t.pkr.hcl", []byte(own), Folder{Files: map[string][]byte{"a.pkrvars.hcl": []byte("down = \"" + call + "\"\n")}}, readTest)
	if err != nil || r.Replaced != 1 || !strings.Contains(fmt.Sprint(r.Notes), "has to be changed there") {
		t.Errorf("%v, %d replaced\n%v", err, r.Replaced, r.Notes)
	}
}
