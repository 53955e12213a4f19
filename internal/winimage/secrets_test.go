package winimage

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

const (
	canary    = "Kanari3-Vogel"
	canaryKey = "BCDFG-HJKMP-QRTVW-XY234-6789B"
	publicKey = "VDYBN-27WPP-V4HQT-9VMD4-VMK7H" // Server 2022, of Microsoft's list
)

func answersWith(inside, before string) string {
	return `<?xml version="1.0" encoding="utf-8"?>` + before + `<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="oobeSystem">` +
		`<component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">` +
		inside + `</component></settings></unattend>`
}

func autologonAnswers() string {
	return answersWith(`<AutoLogon><Enabled>true</Enabled><Username>a</Username><Password><Value>`+canary+`</Value><PlainText>true</PlainText></Password></AutoLogon>`, "")
}

func wide16(s string) string {
	b := []byte{0xff, 0xfe}
	for _, r := range s {
		b = append(b, byte(r), byte(r>>8))
	}
	return string(b)
}

// encoded is a command as PowerShell takes it with -EncodedCommand.
func encoded(command string) string {
	return base64.StdEncoding.EncodeToString([]byte(wide16(command)[2:]))
}

// bigEndian is UTF-16 without its mark, as some editors write it.
func bigEndian(s string) string {
	b := []byte{}
	for _, r := range s {
		b = append(b, byte(r>>8), byte(r))
	}
	return string(b)
}

// canaries are files that hold a secret, by path: one for each place and kind.
func canaries() map[string]string {
	command := func(line string) string {
		return answersWith(`<FirstLogonCommands><SynchronousCommand><Order>1</Order><CommandLine>`+line+`</CommandLine></SynchronousCommand></FirstLogonCommands>`, "")
	}
	const profile, system = `\Users\packer`, `\Windows\System32\config\systemprofile`
	return map[string]string{
		`\Windows\Panther\unattend-original.xml`:                        autologonAnswers(),
		`\Windows\Panther\unattend.xml`:                                 autologonAnswers(),
		`\Windows\Panther\unattend.xml.bak`:                             autologonAnswers(),
		`\Windows\Panther\wide.xml`:                                     wide16(strings.Replace(autologonAnswers(), "utf-8", "utf-16", 1)),
		`\Windows\Panther\wide-comment.xml`:                             wide16(strings.Replace(answersWith("", "<!-- AccountPassword0="+canary+" -->"), "utf-8", "utf-16", 1)),
		`\Windows\System32\Sysprep\Unattend_old`:                        autologonAnswers(),
		`\Windows\Panther\NewOs\unattend.xml`:                           autologonAnswers(),
		`\Windows\Setup\Scripts\encoded.cmd`:                            "@echo off\r\npowershell -NoProfile -enc " + encoded("net user packer "+canary+" /add") + "\r\n",
		`\Unattend.xml`:                                                 command("powershell.exe -e " + encoded("$password = '"+canary+"'")),
		`\Windows\Panther\encoded.xml`:                                  command("powershell.exe -EncodedCommand " + encoded("$p = ConvertTo-SecureString '"+canary+"' -AsPlainText -Force")),
		`\Windows\Setup\Scripts\lib\users.ps1`:                          "$password = '" + canary + "'\r\n",
		`\Windows\ConfigSetRoot\Autounattend.xml`:                       autologonAnswers(),
		`\Recovery\AutoApply\unattend.xml`:                              autologonAnswers(),
		`\Recovery\AutoApply\CustomizationFiles\run.ps1`:                "$password = '" + canary + "'\r\n",
		`\Recovery\OEM\reset.cmd`:                                       "net user a " + canary + "\r\n",
		`\Windows\Setup\Scripts\big-endian.cmd`:                         bigEndian("net user packer " + canary + " /add\r\n"),
		`\Windows\Panther\old-answers.xml`:                              answersWith("", "<!-- https://example.org/?AccountPassword0="+canary+"&Lang=en -->"),
		`\Windows\Panther\Unattend\Unattend.xml`:                        answersWith(`<ProductKey>`+canaryKey+`</ProductKey>`, ""),
		`\Windows\Panther\Unattend\other.xml`:                           command("net user packer " + canary + " /add"),
		`\Windows\Panther\UnattendGC\copy-of-unattend.xml`:              autologonAnswers(),
		`\Windows\System32\Sysprep\answers.xml`:                         command("cmdkey /add:server /user:a /pass:" + canary),
		`\Windows\System32\Sysprep\unattend.xml`:                        autologonAnswers(),
		`\Windows\System32\Sysprep\mine\answers.xml`:                    autologonAnswers(),
		`\Windows\unattend.xml`:                                         autologonAnswers(),
		`\Windows\System32\autounattend.xml`:                            autologonAnswers(),
		`\$WINDOWS.~BT\Sources\Panther\unattend.xml`:                    autologonAnswers(),
		`\Windows.old\Windows\Panther\unattend-original.xml`:            autologonAnswers(),
		`\Autounattend.xml`:                                             command(`powershell -c "ConvertTo-SecureString '` + canary + `' -AsPlainText -Force"`),
		`\answers.xml`:                                                  answersWith("", "<!-- "+canaryKey+" -->"),
		`\broken.xml`:                                                   "<settings>\r\n<!-- password: " + canary + " -->\r\n",
		`\install.cmd`:                                                  "@echo off\r\nnet use z: \\\\server\\share " + canary + " /user:a\r\n",
		`\Windows\Setup\Scripts\SetupComplete.cmd`:                      "reg add \"HKLM\\x\\Winlogon\" /v DefaultPassword /t REG_SZ /d " + canary + " /f\r\n",
		`\Windows\Setup\Scripts\Specialize.ps1`:                         wide16("'" + canary + "' | ConvertTo-SecureString -AsPlainText -Force\r\n"),
		`\Windows\Setup\Scripts\autologon.ps1`:                          "Set-ItemProperty -Path $w -Name DefaultPassword -Value '" + canary + "'\n",
		`\Windows\Setup\Scripts\logon.reg`:                              wide16("[HKLM]\r\n\"DefaultPassword\"=\"" + canary + "\"\r\n"),
		`\Windows\Setup\Scripts\licence.cmd`:                            "cscript slmgr.vbs /ipk " + canaryKey + "\r\n",
		`\Windows\OEM\run.bat`:                                          "autologon64.exe /accepteula packer . " + canary + "\r\n",
		profile + psHistory:                                             "cd\r\npsexec \\\\x -u a -p " + canary + " cmd\r\n",
		system + psHistory:                                              "$password = '" + canary + "'\r\n",
		profile + `\Documents\PowerShell_transcript.A.b.1.txt`:          "PS C:\\> net user a " + canary + "\r\n",
		profile + `\Documents\20261129\PowerShell_transcript.A.b.1.txt`: "PS C:\\> schtasks /create /ru a /rp " + canary + "\r\n",
		`\user-data`:                       "#cloud-config\nusers:\n  - name: a\n    passwd: " + canary + "\n",
		`\openstack\latest\meta_data.json`: `{"name": "x", "admin_pass": "` + canary + `"}`,
		`\openstack\2018-08-27\user_data`:  "-----BEGIN RSA PRIVATE KEY-----\n" + canary + "\n",
		`\Program Files\Cloudbase Solutions\Cloudbase-Init\conf\cloudbase-init-unattend.conf`: "[DEFAULT]\nmaas_oauth_token_secret=" + canary + "\n",
		`\Program Files\Cloudbase Solutions\Cloudbase-Init\LocalScripts\one.py`:               "password = '" + canary + "'\n",
		`\ProgramData\Amazon\EC2Launch\config\agent-config.yml`:                               "  - task: setAdminAccount\n    inputs:\n      password: " + canary + "\n",
		`\ProgramData\Amazon\EC2-Windows\Launch\Config\LaunchConfig.json`:                     `{"adminPassword": "` + canary + `"}`,
		`\ProgramData\Amazon\EC2-Windows\Launch\Sysprep\Unattend.xml`:                         autologonAnswers(),
		`\Program Files\Amazon\Ec2ConfigService\sysprep2008.xml`:                              autologonAnswers(),
		`\Windows\Temp\UserScript.ps1`:                                                        "net user a \"" + canary + "\"\r\n",
		`\AzureData\CustomData.bin`:                                                           "password=" + canary,
	}
}

const psHistory = `\AppData\Roaming\Microsoft\Windows\PowerShell\PSReadLine\ConsoleHost_history.txt`

// holders are the files that a report names for a secret.
func holders(w Windows) (paths []string) {
	for _, a := range w.AnswerFiles {
		if len(a.Secrets) > 0 {
			paths = append(paths, a.Path)
		}
	}
	for _, s := range w.Secrets {
		if len(s.Where) > 0 {
			paths = append(paths, s.Path)
		}
	}
	return paths
}

// silent fails where a report shows one of the secrets.
func silent(t *testing.T, r Facts, list []finding.Finding) {
	t.Helper()
	raw, err := json.Marshal([]any{r, list})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{canary, canaryKey} {
		if said := string(raw) + strings.Join(shown(r, list), "\n"); strings.Contains(said, secret) {
			t.Errorf("%q is shown: %s", secret, said)
		}
	}
}

func TestASecretInEachPlaceIsFoundAndNotTold(t *testing.T) {
	for path, content := range canaries() {
		t.Run(path, func(t *testing.T) {
			w := Look(t.Context(), winimagetest.Spec{Generalized: true, Files: map[string]string{path: content}}.FS(t))
			if got := holders(w); !slices.Equal(got, []string{path}) {
				t.Errorf("found %q", got)
			}
			r := Facts{Windows: []Windows{w}}
			list := Prove(r, Expectation{})
			silent(t, r, list)
			f := ofID(list, "secrets")
			if f.Holds || f.Severity != finding.Warn || !strings.Contains(f.Found, path+": ") {
				t.Errorf("%+v", f)
			}
		})
	}
}

func ofID(list []finding.Finding, id string) finding.Finding {
	i := slices.IndexFunc(list, func(f finding.Finding) bool { return f.ID == id })
	return list[i]
}

func TestAllSecretsOfADiskAreFound(t *testing.T) {
	files := canaries()
	r := inspectPath(t, winimagetest.Disk(t, winimagetest.Spec{Generalized: true, Files: files}))
	// NTFS and the search order have their own ideas of capitals.
	got, want := strings.Split(strings.ToLower(strings.Join(holders(r.Windows[0]), "\n")), "\n"), []string{}
	for path := range files {
		want = append(want, strings.ToLower(path))
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("found %q\nwant  %q", got, want)
	}
	silent(t, r, Prove(r, Expectation{}))
}

func TestWhatIsNoSecretIsNotTakenForOne(t *testing.T) {
	w := Look(t.Context(), winimagetest.Spec{Generalized: true, Files: map[string]string{
		`\Windows\Setup\Scripts\SetupComplete.cmd`: "cscript slmgr.vbs /ipk " + publicKey + "\r\nnet user packer /active:no\r\nnet user packer %PW%\r\nrem XXXXX-XXXXX-XXXXX-XXXXX-XXXXX\r\ndel /f /q C:\\Windows\\Panther\\unattend.xml\r\n",
		`\Windows\Panther\unattend-original.xml`:   answersWith(`<ProductKey>`+publicKey+`</ProductKey><AutoLogon><Password>*SENSITIVE*DATA*DELETED*</Password></AutoLogon>`, "<!-- set a password before use -->"),
		`\Users\packer` + psHistory: "$password = Read-Host -AsSecureString\r\n$pwd = (Get-Location).Path\r\nnet user\r\nnet use\r\nGet-Credential\r\n" +
			"New-LocalUser a -Password $password\r\nConvertTo-SecureString $x -AsPlainText -Force\r\nget-autologon a b\r\n",
		`\ProgramData\Amazon\EC2Launch\config\agent-config.yml`:                      "      adminPassword:\n        type: random\n      password:\n",
		`\Program Files\Cloudbase Solutions\Cloudbase-Init\conf\cloudbase-init.conf`: "inject_user_password=true\nusername=Admin\nuser_password_length=20\n",
		`\Windows\Setup\Scripts\encoded.ps1`:                                         "powershell -EncodedCommand " + encoded("Get-ChildItem C:\\; net user") + "\r\npowershell -e AAAAAAAAAAAAAAAAA\r\nfc.exe /e:AAAAAAAAAAAAAAAAAAAAAAAA\r\n",
		`\Windows\System32\Sysprep\ActionFiles\Generalize.xml`:                       "<sysprepInformation><imaging/></sysprepInformation>",
	}}.FS(t))
	if len(holders(w)) > 0 || len(w.Secrets) > 0 || !w.Setup.DeletesCached {
		t.Errorf("%+v, deletes %t", w.Secrets, w.Setup.DeletesCached)
	}
	if f := ofID(Prove(Facts{Windows: []Windows{w}}, Expectation{}), "secrets"); !f.Holds {
		t.Errorf("%+v", f)
	}
}

// Where SetupComplete.cmd deletes the cached file already, nobody is told to do so.
func TestTheAdviceKnowsWhatSetupCompleteDeletes(t *testing.T) {
	for script, want := range map[string]bool{
		"@del /f /q C:\\Windows\\Panther\\unattend.xml\r\n":            true,
		"echo a\r\n  DEL %windir%\\panther\\Unattend.xml\r\n":          true,
		"rem del C:\\Windows\\Panther\\unattend.xml\r\n":               false,
		"del C:\\Windows\\Panther\\setupact.log\r\n":                   false,
		"del C:\\a.txt\r\necho C:\\Windows\\Panther\\unattend.xml\r\n": false,
	} {
		w := Look(t.Context(), winimagetest.Spec{Generalized: true, Files: map[string]string{
			cachedAnswerFile: autologonAnswers(), `\Windows\Setup\Scripts\SetupComplete.cmd`: script,
		}}.FS(t))
		f := ofID(Prove(Facts{Windows: []Windows{w}}, Expectation{}), "secrets")
		told := strings.Contains(strings.Join(f.Remedy, " "), "delete_cached_answer_file")
		if w.Setup.DeletesCached != want || told == want || strings.Contains(f.Note, "SetupComplete.cmd of the image deletes") != want || f.Holds {
			t.Errorf("%q: deletes %t, %+v", script, w.Setup.DeletesCached, f)
		}
	}
}

func TestAPlaceThatCannotBeReadIsNoPlaceWithoutSecrets(t *testing.T) {
	for unread, want := range map[string]bool{
		`\Windows\Setup\Scripts`: true, `\Users`: true, `\Users\a\Documents`: true, `\`: true,
		`\Windows\System32\Tasks`: false, `SYSTEM\Setup\UnattendFile`: false,
	} {
		r := good()
		r.Windows[0].Unread = []string{unread}
		if f := ofID(Prove(r, Expectation{}), "secrets"); f.Holds == want || want && !strings.Contains(f.Found, unread+" was not read") {
			t.Errorf("%s: %+v", unread, f)
		}
	}
	// A file that is too large is said to be so, and refuses nothing.
	w := Look(context.Background(), winimagetest.Spec{Generalized: true, Files: map[string]string{
		`\Users\a` + psHistory: strings.Repeat("x", maxSecretFile+1),
	}}.FS(t))
	if f := ofID(Prove(Facts{Windows: []Windows{w}}, Expectation{}), "secrets"); f.Holds || !strings.Contains(f.Found, "could not be read") || len(w.Limits) > 0 {
		t.Errorf("%+v, limits %q", f, w.Limits)
	}
}

func TestAnAutologonSecretOfTheLSAIsNamed(t *testing.T) {
	hive := func(key string) string {
		root := hivewrite.NewKey("ROOT")
		root.Path(key)
		return string(hivewrite.Build(root, `\SystemRoot\System32\Config\SECURITY`))
	}
	for content, want := range map[string]string{
		hive(`Policy\Secrets\DefaultPassword`):    "DefaultPassword among the secrets of the LSA",
		hive(`Policy\Secrets\NL$KM`):              "none",
		flushed(corpusHive(t, "regipy-SECURITY")): "DefaultPassword among the secrets of the LSA",
		"not a hive": `SECURITY\Policy\Secrets\DefaultPassword was not read`,
	} {
		w := Look(t.Context(), winimagetest.Spec{Generalized: true, Files: map[string]string{hivePath(securityHive): content}}.FS(t))
		if f := ofID(Prove(Facts{Windows: []Windows{w}}, Expectation{}), "autologon"); f.Found != want {
			t.Errorf("found %s, want %s", f.Found, want)
		}
	}
}

func TestATextIsReadInItsEncoding(t *testing.T) {
	for name, b := range map[string]string{
		"8 bits": "net", "UTF-8 with its mark": "\xef\xbb\xbfnet", "UTF-16 with its mark": "\xff\xfen\x00e\x00t\x00",
		"UTF-16 without": "n\x00e\x00t\x00", "big-endian": "\xfe\xff\x00n\x00e\x00t", "half a character": "\xff\xfen\x00e\x00t\x00!",
		"big-endian without its mark": "\x00n\x00e\x00t",
	} {
		if got := plainText([]byte(b)); got != "net" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What is behind the limit is said to be unread, not said to be clean.
func TestNoMoreIsReadThanTheLimitOfAllFiles(t *testing.T) {
	files := winimagetest.Spec{Empty: true, Files: map[string]string{`\a.cmd`: "net user a " + canary, `\b.cmd`: "net user b " + canary}}.FS(t)
	s := search{drive: &drive{ctx: t.Context(), fs: files}, left: int64(len("net user a "+canary)) + 5}
	if held := s.file(`\a.cmd`, windows.Scripts); len(held.Where) != 1 || held.Problem != "" {
		t.Errorf("%+v", held)
	}
	if held := s.file(`\b.cmd`, windows.Scripts); len(held.Where) != 0 || held.Problem == "" {
		t.Errorf("%+v", held)
	}
}
