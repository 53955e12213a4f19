package sysprep

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// Secrets that can be recognised. Those of options may stand anywhere; of the others
// nothing is known but how a command line, or a setting, gives a password.
const (
	canaryLogin    = `C4nary-Login"1`
	canaryWinRM    = "C4nary-WinRM&2"
	canaryElevated = `C4nary-Elev"<3`
	canaryAnswer   = "C4nary-Answer-4"
	canaryKey      = "CANRY-KEY00-00000-00000-00005"
	canaryLine     = "C4nary-Before-6"
	canaryNetUser  = "C4nary-NetUser-7"
	canaryReg      = "C4nary-Reg-8"
	canarySwitch   = "C4nary-Switch-9"
	canarySetting  = "C4nary-Setting-10"
	canaryOtherKey = "CANRY-KEY00-00000-00000-00011"
	canarySplit    = "C4nary-Split-12"
	canaryProgram  = "C4nary-Program-13"
)

// canaryLog is what a log may say; the lines of others are in it with their secrets.
func canaryLog() string {
	var b strings.Builder
	for _, known := range []string{canaryLogin, canaryWinRM, canaryElevated, canaryAnswer, canaryKey} {
		fmt.Fprintf(&b, "2026-11-29 12:00:00, Info                  SYSPRP plain %s, quoted %s, in XML <a>%s</a>, base64 %s\r\n", known,
			strings.ReplaceAll(known, `"`, `\"`), strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&#34;").Replace(known), base64.StdEncoding.EncodeToString([]byte(known)))
	}
	for _, line := range []string{
		`net user Administrator ` + canaryNetUser + ` /active:yes`,
		`reg add "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon" /v DefaultPassword /t REG_SZ /d ` + canaryReg + ` /f`,
		`schtasks /create /tn x /ru admin /rp ` + canarySwitch + ` /f`,
		`setup.exe DBPASSWORD="` + canarySetting + `" /quiet`,
		`slmgr.vbs /ipk ` + canaryOtherKey,
	} {
		fmt.Fprintf(&b, "2026-11-29 12:00:01, Info                  SYSPRP CreateProcess: %s\r\n", line)
	}
	return b.String()
}

// wide is a text in UTF-16, little endian.
func wide(text string) []byte {
	out := []byte{0xff, 0xfe}
	for _, r := range text {
		out = append(out, byte(r), byte(r>>8))
	}
	return out
}

// None of them is in any file of a bundle.
func TestNoSecretIsInABundle(t *testing.T) {
	t.Parallel()
	answer := strings.ReplaceAll(testAnswer, "Tops3cret-Value", canaryAnswer)
	answer = strings.Replace(answer, `  <settings pass="oobeSystem">`, `  <settings pass="specialize">
    <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
      <ProductKey>`+canaryKey+`</ProductKey>
    </component>
  </settings>
  <settings pass="oobeSystem">`, 1)
	for name, c := range map[string]struct {
		scenario winsim.Scenario
		options  map[string]any
	}{
		"that ended well":           {winsim.Scenario{}, nil},
		"that failed":               {winsim.Scenario{Outcome: winsim.Broken, Class: "F38"}, nil},
		"of a guest that was lost":  {winsim.Scenario{WinRMDies: winsim.WinRMClosed}, nil},
		"whose last line failed":    {winsim.Scenario{}, map[string]any{"before_shutdown": []string{"echo " + canaryLine + " secret=" + canaryLine, "exit 3"}}},
		"that was not started":      {winsim.Scenario{Start: winsim.SysprepOpen}, nil},
		"of an error with a secret": {winsim.Scenario{Outcome: winsim.Refused, Class: "F01", Packages: []string{canaryElevated}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			options := map[string]any{
				"packer_builder_type": "null", "packer_build_name": "test", "winrm": map[string]any{"mode": winrmCommunicator},
				"answer_file_content": answer, "elevated_user": "other", "elevated_password": canaryElevated, "log_directory": folder,
				"report": map[string]any{"json": filepath.Join(folder, "r.json"), "html": filepath.Join(folder, "r.html"), "junit": filepath.Join(folder, "r.xml"), "sarif": filepath.Join(folder, "r.sarif")},
			}
			for k, v := range c.options {
				options[k] = v
			}
			c.scenario.Validate, c.scenario.Generalize = seconds(30), seconds(120)
			planted := false
			b := &bubbleRun{scenario: c.scenario, options: options, login: canaryLogin, accounts: map[string]string{"other": canaryElevated}}
			b.adjust = func(r *run) { r.config.WinRM.Password = canaryWinRM }
			b.onGuest = func(line string, g *winsim.Guest) {
				if planted || !strings.Contains(line, "validating: cleanup") {
					return
				}
				planted = true
				for _, log := range windows.Logs() {
					path, content := g.Host(log.Path.In(`C:\Windows`)), []byte(canaryLog())
					if log.Name == windows.ErrLog {
						content = wide(canaryLog())
					}
					if log.Path == windows.SysprepLog { // sysprep writes it: half a line now, the other half when it is written next
						old, err := os.ReadFile(path)
						if err != nil {
							t.Error(err)
						}
						content = append(old, canaryLog()+"2026-11-29 12:00:02, Info                  SYSPRP password="+canarySplit[:6]...)
						b.later = func() {
							f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
							if err == nil {
								_, err = f.WriteString(canarySplit[6:] + "\r\n")
								err = errors.Join(err, f.Close())
							}
							if err != nil {
								t.Error(err)
							}
						}
					}
					if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o600)); err != nil {
						t.Error(err)
					}
				}
			}
			l := b.do(t)
			if started := l.Launches != nil; started != planted {
				t.Fatalf("started: %v, planted: %v (%s)", started, planted, l.Verdict.FirstLine)
			}
			wantNoCanary(t, folder, planted)
		})
	}
}

func wantNoCanary(t *testing.T, folder string, planted bool) {
	t.Helper()
	list := []string{canaryLogin, canaryWinRM, canaryElevated, canaryAnswer, canaryKey, canaryLine, canaryNetUser, canaryReg, canarySwitch, canarySetting, canaryOtherKey, canarySplit, canaryProgram}
	for _, s := range list {
		list = append(list, secrets.Spelt(s)...)
	}
	list = append(list, "C4nary", "CANRY") // of each, even a part
	files, hidden := 0, 0
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		text := strings.ReplaceAll(string(content), "\x00", "")
		hidden += strings.Count(text, secrets.Redacted) + strings.Count(text, `\u003csensitive\u003e`)
		for _, s := range list {
			if at := strings.Index(text, s); at >= 0 {
				t.Errorf("%s has %q: ...%s...", filepath.Base(path), s, text[max(0, at-80):min(len(text), at+80)])
				return nil
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 5 { // run.json and the reports
		t.Errorf("there are %d files", files)
	}
	if planted && hidden < 10 {
		t.Errorf("%d secrets were hidden: they did not come so far", hidden)
	}
}

// A new option is not written down before somebody has thought about it.
func TestEveryOptionIsWrittenDownOrKnownToBeSecret(t *testing.T) {
	c, err := decode(t, map[string]any{"extra_arguments": []string{"/x"}, "before_shutdown": []string{"ver"}, "answer_file_content": testAnswer, "elevated_user": "a", "elevated_password": canaryElevated, "log_directory": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	c.AnswerFile, c.AnswerFileInGuest, c.Command, c.Lint, c.Unattend = "x", "x", "x", &answerfile.LintOptions{}, &answerfile.Unattend{}
	c.Report.JSON, c.Hygiene = "x", []string{"temp"}
	c.Preflight = &Preflight{Severities: map[string]string{"windows-search": "off"}, WaitFor: &WaitFor{}, Remedying: Remedying{RemoveProviders: []string{"x"}, Remedies: []string{"windows-search"}}}
	c.WinRM = &WinRM{Mode: winrmOwn, Port: 5985, Username: canaryLogin, Password: canaryWinRM, UseSSL: config.TriFalse, UseNTLM: config.TriTrue, CAFile: "x", Pin: "x", LoginAttempts: 7}
	shown := c.shown()
	other := map[string]string{"before_shutdown": "before_shutdown_lines", "extra_arguments": "extra_arguments_count"}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if len(field.Index) > 1 {
			continue // Packer's
		}
		name, _, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		if name == "" {
			continue
		}
		if shown[cmp.Or(other[name], name)] == nil && name != "stall_timeout" { // the default
			t.Errorf("%s is not written down: add it to shown, or that it is set", name)
		}
	}
	for name, block := range map[string]reflect.Type{"winrm": reflect.TypeFor[WinRM](), "preflight": reflect.TypeFor[Preflight](), "preflight.wait_for": reflect.TypeFor[WaitFor]()} {
		written := shown
		for part := range strings.SplitSeq(name, ".") {
			written, _ = written[part].(map[string]any)
		}
		for _, field := range reflect.VisibleFields(block) {
			option := field.Tag.Get("mapstructure")
			if option != "" && option != ",squash" && option != "remedies" && written[option] == nil { // remedies are beside the block
				t.Errorf("%s.%s is not written down: add it to shown, or that it is set", name, option)
			}
		}
	}
	if winrm := shown["winrm"].(map[string]any); winrm["login_attempts"] != 7 {
		t.Errorf("%v", winrm)
	}
	if c.WinRM.LoginAttempts = 0; c.WinRM.shown()["login_attempts"] != 4 { // the default
		t.Errorf("%v", c.WinRM.shown())
	}
	if text := fmt.Sprint(shown); strings.Contains(text, "C4nary") || strings.Contains(text, "Tops3cret") {
		t.Errorf("a secret is written down: %s", text)
	}
}

// A plugin that is killed leaves what it knew.
func TestTheFileIsThereWhileTheRunGoesOn(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var before, later runlog.Log
	b := &bubbleRun{scenario: winsim.Scenario{Validate: seconds(30), Generalize: seconds(600)}, options: map[string]any{
		"packer_builder_type": "null", "packer_build_name": "test", "winrm": map[string]any{"mode": winrmCommunicator}, "log_directory": folder}}
	b.onSay = func(line string, _ func()) {
		read := func(l *runlog.Log) {
			var err error
			if *l, err = runlog.Read(filepath.Join(folder, runlog.RunFile)); err != nil {
				t.Error(err)
			}
		}
		switch {
		case strings.HasPrefix(line, "Starting sysprep"):
			read(&before)
		case strings.Contains(line, "working on app packages"):
			read(&later)
		}
	}
	whole := b.do(t)
	if n := len(before.Phases); before.Complete || n == 0 || before.Phases[n-1].Name != "answers" || before.Phases[n-1].Outcome != runlog.OK {
		t.Errorf("at the start: complete %v, %+v", before.Complete, before.Phases)
	}
	if n := len(later.Phases); later.Complete || n == 0 || later.Phases[n-1].Name != "sysprep" || later.Phases[n-1].EndMS != nil || later.Observations.Kept < 2 {
		t.Errorf("while it works: complete %v, %+v, %d observations", later.Complete, later.Phases, later.Observations.Kept)
	}
	if !whole.Complete || len(whole.Files) == 0 || whole.Plan == nil || whole.First == nil {
		t.Errorf("in the end: complete %v, files %v, plan %v", whole.Complete, whole.Files, whole.Plan)
	}
}
