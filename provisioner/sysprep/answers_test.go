package sysprep

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// onUpload calls a function before every upload.
type onUpload struct {
	packersdk.Communicator
	see func(path string)
}

func (o onUpload) Upload(path string, r io.Reader, info *os.FileInfo) error {
	o.see(path)
	return o.Communicator.Upload(path, r, info)
}

// inGuest runs a command in the simulated guest and wants it to work.
func (g *guestRun) inGuest(line string) {
	g.t.Helper()
	if exit, said := g.exec(line); exit != 0 {
		g.t.Fatalf("%s: %d, %s", line, exit, said)
	}
}

func (g *guestRun) exec(line string) (exit int, said string) {
	g.t.Helper()
	var out, errs bytes.Buffer
	cmd := &packersdk.RemoteCmd{Command: line, Stdout: &out, Stderr: &errs}
	if err := g.communicator().Start(context.WithoutCancel(g.ctx), cmd); err != nil {
		g.t.Fatal(err)
	}
	return cmd.Wait(), out.String() + errs.String()
}

func (g *guestRun) write(text string, elem ...string) {
	g.t.Helper()
	path := g.file(elem...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guestRun) read(elem ...string) string {
	g.t.Helper()
	text, err := os.ReadFile(g.file(elem...))
	if err != nil {
		g.t.Error(err)
	}
	return string(text)
}

func TestOnlyAdministratorsCanReadTheUpload(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"answer_file_content": testAnswer})
	uploads := 0
	g.wrap = func(c packersdk.Communicator) packersdk.Communicator {
		return onUpload{c, func(path string) {
			folder, file, _ := strings.Cut(path, `\unattend.xml`)
			if !strings.Contains(path, "packer-unattend-") {
				return
			}
			uploads++
			if file != "" || strings.Contains(path, " ") {
				t.Errorf("the path is %s", path)
			}
			if acl := g.sim.Guest.ACL(folder); !slices.Equal(acl, []string{"*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F"}) {
				t.Errorf("before the upload the folder's permissions are %q", acl)
			}
		}}
	}
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	if uploads != 1 {
		t.Errorf("%d uploads of an answer file", uploads)
	}
	wantNothingLeft(t, g)
}

func TestAFolderThatCannotBeMadePrivateEndsTheRun(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"answer_file_content": testAnswer})
	g.wrap = func(c packersdk.Communicator) packersdk.Communicator { return failsAt{c, "icacls"} }
	wantError(t, g.provision(), "the answer file could not be put into the guest", "administrator with the elevated token")
	wantNothingLeft(t, g)
}

func TestNoSecretOfTheBlockIsShownLoggedOrLeft(t *testing.T) {
	var logged bytes.Buffer
	before := log.Writer()
	log.SetOutput(&logged)
	defer log.SetOutput(before)
	secrets := []string{"Adm1n<&>Secret", "Us3r'\"Secret", "L0gon-Secret", "ABCDE-12345-FGHIJ-67890-KLMNO", "Aud1t-Secret", "J0in-Secret"}
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"unattend": map[string]any{
		"computer_name": "*", "administrator_password": secrets[0], "product_key": secrets[3],
		"local_account": []any{map[string]any{"name": "ann", "password": secrets[1]}},
		"auto_logon":    map[string]any{"username": "ann", "password": secrets[2]},
		"audit":         map[string]any{"administrator_password": secrets[4]},
		"component": []any{map[string]any{"pass": "specialize", "name": "Microsoft-Windows-UnattendedJoin",
			"settings": map[string]any{`Identification\Credentials\Password`: secrets[5]}}},
	}})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		for _, form := range []string{secret, strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(secret),
			answerfile.EncodePassword(secret, "Password"), answerfile.EncodePassword(secret, "AdministratorPassword")} {
			for where, text := range map[string]string{"log": logged.String(), "user interface": g.ui.text()} {
				if strings.Contains(text, form) {
					t.Errorf("%q is in the %s", form, where)
				}
			}
		}
	}
	want(t, g.ui.text(), `Warning: C:\Windows\Panther\unattend.xml stays in the image and holds secrets (specialize ProductKey, `+
		`specialize Identification\Credentials\Password, auditSystem UserAccounts\AdministratorPassword, oobeSystem AutoLogon\Password, `+
		`oobeSystem UserAccounts\AdministratorPassword, oobeSystem UserAccounts\LocalAccounts\LocalAccount\Password)`)
	cached, err := answerfile.Parse([]byte(g.read("Windows", "Panther", "unattend.xml")))
	if err != nil {
		t.Fatal(err)
	}
	got := values(cached)
	for _, w := range []string{shellOOBE + `UserAccounts\AdministratorPassword = ` + secrets[0] + " (encoded true)", account + "Password = " + secrets[1] + " (encoded true)",
		"specialize Shell-Setup ProductKey = " + secrets[3]} {
		if !slices.Contains(got, w) {
			t.Errorf("%q is not in the image", w)
		}
	}
	wantNothingLeft(t, g)
}

func TestAGuestThatGoesDownIsToldWhatItsCopyHolds(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{ShutdownTakes: seconds(20)}, map[string]any{
		"action": "shutdown", "answer_file_content": testAnswer, "shutdown_timeout": "8s", "delete_cached_answer_file": true})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), `stays in the image and holds secrets (oobeSystem UserAccounts\AdministratorPassword) until SetupComplete.cmd deletes it`)
}

// leaveAnswerFiles puts one into every place that Windows looks at.
func (g *guestRun) leaveAnswerFiles() {
	g.start()
	g.write(testAnswer, "Windows", "Panther", "Unattend", "Unattend.xml")
	g.write(testAnswer, "Windows", "Panther", "unattend.xml")
	g.write(testAnswer, "Windows", "System32", "Sysprep", "unattend.xml")
	g.write(testAnswer, "Autounattend.xml")
	g.write(testAnswer, "answers", "own.xml")
	g.inGuest(`reg add HKLM\SYSTEM\Setup /v UnattendFile /d C:\answers\own.xml /f`)
}

func TestOtherAnswerFilesAreReportedAndStay(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, nil)
	g.leaveAnswerFiles()
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), `there is an answer file C:\answers\own.xml: HKLM\SYSTEM\Setup\UnattendFile names it`,
		`there is an answer file C:\Windows\Panther\Unattend\Unattend.xml: the first boot reads it before`,
		`there is an answer file C:\Windows\Panther\unattend.xml: it was left by an earlier run`,
		`there is an answer file C:\Windows\System32\Sysprep\Unattend.xml: Windows takes from it`,
		`there is an answer file C:\Autounattend.xml: Windows takes from it`, "or set remove_answer_files = true",
		`C:\Windows\Panther\unattend.xml stays in the image and holds secrets`)
	for _, path := range [][]string{{"Windows", "Panther", "Unattend", "Unattend.xml"}, {"Windows", "System32", "Sysprep", "unattend.xml"}, {"Autounattend.xml"}} {
		if g.read(path...) != testAnswer {
			t.Errorf("%q was changed", path)
		}
	}
}

func TestOtherAnswerFilesAreRemovedWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"remove_answer_files": true})
	g.leaveAnswerFiles()
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), `Removed the answer file C:\Windows\Panther\Unattend\Unattend.xml`, `Removed the answer file C:\Windows\Panther\unattend.xml`,
		`Removed the answer file C:\Windows\System32\Sysprep\Unattend.xml`, `Removed the answer file C:\Autounattend.xml`,
		`Removed the registry's pointer to an answer file; C:\answers\own.xml itself stays`)
	if strings.Contains(g.ui.text(), "there is an answer file") {
		t.Error("removed files are warned of")
	}
	for _, path := range [][]string{{"Windows", "Panther", "Unattend", "Unattend.xml"}, {"Windows", "Panther", "unattend.xml"}, {"Windows", "System32", "Sysprep", "unattend.xml"}, {"Autounattend.xml"}} {
		if _, err := os.Stat(g.file(path...)); !os.IsNotExist(err) {
			t.Errorf("%q: %v", path, err)
		}
	}
	if g.read("answers", "own.xml") != testAnswer {
		t.Error("a file was removed that may be anything")
	}
	if exit, said := g.exec(`reg query HKLM\SYSTEM\Setup /v UnattendFile`); exit != 1 {
		t.Errorf("the registry's pointer: %d, %q", exit, said)
	}
}

func TestAnswerFilesThatCannotBeRemovedEndTheRun(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"remove_answer_files": true})
	g.leaveAnswerFiles()
	g.wrap = func(c packersdk.Communicator) packersdk.Communicator { return failsAt{c, "reg delete"} }
	wantError(t, g.provision(), "sysprep was not started: answer files could not be removed from the guest")
}

func TestWhatAnotherAnswerFileMeans(t *testing.T) {
	found := guest.AnswerFiles{Cached: `C:\c.xml`, Media: []string{`D:\Unattend.xml`}}
	if w := otherWarnings(found, true); len(w) != 1 || !strings.Contains(w[0], `D:\Unattend.xml: if that drive is removable`) {
		t.Errorf("with a file of our own, which replaces the copy: %q", w)
	}
	if w := otherWarnings(found, false); len(w) != 2 {
		t.Errorf("without one: %q", w)
	}
	if w := otherWarnings(guest.AnswerFiles{}, false); len(w) != 0 {
		t.Errorf("for nothing: %q", w)
	}
}

func TestSetupCompleteDeletesTheCopyAndRunsWhatWasThere(t *testing.T) {
	t.Parallel()
	const line = `@del /f /q C:\Windows\Panther\unattend.xml` + "\r\n"
	for name, before := range map[string]string{"none": "", "one that ends the script": "@echo off\r\ncall C:\\setup.cmd\r\nexit /b 0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{Outcome: winsim.Refused, Class: "F22"}, map[string]any{"delete_cached_answer_file": true})
			if before != "" {
				g.write(before, "Windows", "Setup", "Scripts", "SetupComplete.cmd")
			}
			for range 2 { // a machine that is refused is tried again
				if err := g.provision(); err == nil {
					t.Fatal("no refusal")
				}
				if got := g.read("Windows", "Setup", "Scripts", "SetupComplete.cmd"); got != line+before {
					t.Errorf("the script is %q", got)
				}
			}
			want(t, g.ui.text(), `SetupComplete.cmd of the image will delete C:\Windows\Panther\unattend.xml`)
			if files, err := os.ReadDir(g.file("Windows", "Setup", "Scripts")); err != nil || len(files) != 1 {
				t.Errorf("beside the script there is %v, %v", files, err)
			}
		})
	}
}

func TestWarningsOfTheLinterAreShownBeforeTheRun(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{Outcome: winsim.Refused, Class: "F22"}, map[string]any{
		"answer_file_content": testAnswer, "unattend": map[string]any{"administrator_password": "An0ther-Secret", "oobe": map[string]any{"network_location": "Home"}}})
	if err := g.provision(); err == nil {
		t.Fatal("no refusal")
	}
	text := g.ui.text()
	warned := strings.Index(text, "Warning: unattend: ")
	if warned < 0 || warned > strings.Index(text, "Starting sysprep") {
		t.Error("no warning before the start")
	}
	want(t, text, "Windows 10 and later ignore it", "Warning: unattend over answer_file_content: line 5: replaced (oobeSystem, Microsoft-Windows-Shell-Setup, UserAccounts\\AdministratorPassword)")
	if strings.Contains(text, fmt.Sprint("An0ther", "-Secret")) {
		t.Error("a secret is shown")
	}
}
