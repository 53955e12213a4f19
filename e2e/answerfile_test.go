//go:build e2e

package e2e

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// answerSecrets are the secrets of answerTemplate, with what XML escapes.
var answerSecrets = map[string]string{
	"administrator": "Adm1n<&>Of-The-Image", "account": `Acc0unt"{{Of}}'The-Image`, "logon": "L0gon-Of-The-Image",
	"key": "ABCDE-12345-FGHIJ-67890-KLMNO", "join": "J0in$Of-The-Domain",
}

// answerTemplate has every secret as a sensitive variable.
func answerTemplate(port int) string {
	var b strings.Builder
	for name, value := range answerSecrets {
		fmt.Fprintf(&b, "variable %q {\n  type      = string\n  sensitive = true\n  default   = %q\n}\n", name, value)
	}
	b.WriteString(nullBuild(port, "", sysprepBlock(`log_directory = "logs"`, `remove_answer_files = true`, `delete_cached_answer_file = true`, `unattend {
      computer_name          = "*"
      product_key            = var.key
      administrator_password = var.administrator
      extend_os_partition    = true
      run_synchronous {
        path = "cmd.exe /c \"net user packer /delete & exit 0\""
      }
      locale {
        input_locale = "0409:00000409"
      }
      oobe {
        hide_eula_page  = true
        protect_your_pc = 3
      }
      local_account {
        name     = "ann"
        password = var.account
        group    = "Administrators"
      }
      auto_logon {
        username = "ann"
        password = var.logon
      }
      component {
        pass     = "specialize"
        name     = "Microsoft-Windows-UnattendedJoin"
        settings = { "Identification\\Credentials\\Password" = var.join }
      }
    }`)))
	return b.String()
}

func answerBlock() answerfile.Unattend {
	s := func(name string) answerfile.Secret { return answerfile.Secret(answerSecrets[name]) }
	return answerfile.Unattend{
		ComputerName: "*", ProductKey: s("key"), ExtendOSPartition: config.TriTrue,
		RunSynchronous:        []answerfile.RunSynchronous{{Path: `cmd.exe /c "net user packer /delete & exit 0"`}},
		AdministratorPassword: s("administrator"),
		Locale:                &answerfile.Locale{InputLocale: "0409:00000409"},
		OOBE:                  &answerfile.OOBE{HideEULAPage: config.TriTrue, ProtectYourPC: 3},
		LocalAccounts:         []answerfile.LocalAccount{{Name: "ann", Password: s("account"), Group: "Administrators"}},
		AutoLogon:             &answerfile.AutoLogon{Username: "ann", Password: s("logon")},
		Components: []answerfile.ExtraComponent{{Pass: answerfile.Specialize, Name: "Microsoft-Windows-UnattendedJoin",
			Settings: map[string]string{`Identification\Credentials\Password`: answerSecrets["join"]}}},
	}
}

// secretForms are all the ways in which a secret can be written.
func secretForms() (forms []string) {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	escapeAll := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")
	for _, s := range answerSecrets {
		forms = append(forms, s, escape.Replace(s), escapeAll.Replace(s), strings.ReplaceAll(s, `"`, `\"`),
			answerfile.EncodePassword(s, "Password"), answerfile.EncodePassword(s, "AdministratorPassword"))
		for at := range 3 {
			// Base64 of a longer text that holds it at any place; the ends depend on
			// what stands around.
			encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", at) + s))
			forms = append(forms, encoded[4:len(encoded)-4])
		}
	}
	return forms
}

// processTexts collects the command lines of all processes until stopped.
func processTexts() (stop func() string) {
	var mu sync.Mutex
	seen := map[string]bool{}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, f := range files {
				line, _ := os.ReadFile(f)
				mu.Lock()
				seen[string(line)] = true
				mu.Unlock()
			}
			select {
			case <-ended:
				return
			case <-tick.C:
			}
		}
	}()
	return func() string {
		close(ended)
		<-done
		var b strings.Builder
		for line := range seen {
			b.WriteString(strings.ReplaceAll(line, "\x00", " ") + "\n")
		}
		return b.String()
	}
}

func TestNoSecretOfAnAnswerFileLeavesTheImage(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var ran strings.Builder // what the guest was told to run
	guest := inProcess(t, winsim.Scenario{}, winsim.ServerOptions{}, func(format string, args ...any) {
		mu.Lock()
		fmt.Fprintf(&ran, format+"\n", args...)
		mu.Unlock()
	})
	const old = `C:\Windows\Panther\Unattend\Unattend.xml`
	if err := os.MkdirAll(filepath.Dir(guest.Guest.Host(old)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(guest.Guest.Host(`C:\Windows\Panther\Unattend`)+"/Unattend.xml", []byte(answerFile), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := processTexts()
	p := startPacker(t, answerTemplate(guest.Port), nil)
	p.expect(0, "Windows is generalized", "Removed the answer file "+old, "SetupComplete.cmd of the image will delete",
		`stays in the image and holds secrets (specialize ProductKey, specialize Identification\Credentials\Password, `+
			`oobeSystem AutoLogon\Password, oobeSystem UserAccounts\AdministratorPassword, oobeSystem UserAccounts\LocalAccounts\LocalAccount\Password)`)
	processes := stop()
	if !strings.Contains(processes, "build.pkr.hcl") {
		t.Error("the process list does not show Packer itself")
	}

	// It is in the image, as it was meant.
	built, err := answerfile.Build(answerBlock(), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	cached, err := answerfile.Parse(guestFile(t, guest, `C:\Windows\Panther\unattend.xml`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(cached.Marshal()), string(built.Marshal()); got != want {
		t.Errorf("the image holds\n%s\nwant\n%s", got, want)
	}
	if got := string(guestFile(t, guest, `C:\Windows\Setup\Scripts\SetupComplete.cmd`)); got != "@del /f /q C:\\Windows\\Panther\\unattend.xml\r\n" {
		t.Errorf("SetupComplete.cmd is %q", got)
	}

	// It is nowhere else.
	places := map[string]string{"the output": p.output(), "the process list": processes}
	mu.Lock()
	places["what the guest ran"] = ran.String()
	mu.Unlock()
	reports := 0
	for _, root := range []string{p.dir, filepath.Dir(guest.Guest.Host(`C:\Windows`))} {
		err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "build.pkr.hcl") || strings.HasSuffix(strings.ToLower(path), "panther/unattend.xml") {
				return err
			}
			content, err := os.ReadFile(path)
			places[path] = string(content)
			reports++
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if reports < 10 || len(places["the output"]) == 0 || len(places[filepath.Join(p.dir, "packer.log")]) == 0 {
		t.Errorf("only %d files were searched", reports)
	}
	for place, text := range places {
		for _, form := range secretForms() {
			if strings.Contains(text, form) {
				t.Errorf("%q is in %s", form, place)
			}
		}
	}
	left, err := filepath.Glob(guest.Guest.Host(`C:\Windows\System32\Sysprep`) + "/packer-*")
	if err != nil || len(left) > 0 {
		t.Errorf("left in the guest: %v, %v", left, err)
	}
}

func TestAWrongAnswerFileIsRefusedWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	const secret = "Wr0ng-But-Secret"
	for _, c := range []struct {
		name, file, text string
		want             []string
	}{
		{"in HCL", "t.pkr.hcl", nullBuild(1, "", sysprepBlock(`unattend {
      computer_name          = "SIXTEEN-LETTERS-"
      product_key            = "`+secret+`"
      administrator_password = "`+secret+`"
    }`)), []string{"unattend.computer_name: the computer name has 16 bytes", "unattend.product_key: not in the form of a product key"}},
		{"in JSON", "t.json", `{
			"variables": {"p": "` + secret + `"},
			"builders": [{"type": "null", "communicator": "none"}],
			"provisioners": [{"type": "sysprep", "unattend": {"oobe": {"protect_your_pc": 7}, "administrator_password": "{{user ` + "`p`" + `}}"}}]
		}`, []string{"unattend: not one of the values of this setting"}},
		{"of another kind in JSON", "t.json", `{
			"builders": [{"type": "null", "communicator": "none"}],
			"provisioners": [{"type": "sysprep", "unattend": {"administrator_password": {"value": "` + secret + `"}}}]
		}`, []string{"unattend.administrator_password: the value has the wrong"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			out, log, code := runPacker(t, dir, nil, "validate", c.file)
			if code == 0 {
				t.Error("it is valid")
			}
			for _, w := range c.want {
				if !strings.Contains(out, w) {
					t.Errorf("%q is not in\n%s", w, out)
				}
			}
			if strings.Contains(out, secret) || strings.Contains(log, secret) {
				t.Errorf("the secret is shown:\n%s", out)
			}
		})
	}
}
