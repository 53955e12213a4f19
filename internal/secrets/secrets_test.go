package secrets

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"
)

// forms, each with the secret S3cret!x, what Scrub makes of it, and whether Find finds it.
var samples = []struct {
	text, want string
	found      bool
}{
	{`password=S3cret!x end`, `password=<sensitive> end`, true},
	{`"AdminPassword": "S3cret!x", "y": 1`, `"AdminPassword": <sensitive>, "y": 1`, true},
	{`cannot use Password=S3cret!x, it is bad`, `cannot use Password=<sensitive>, it is bad`, true},
	{`Server=a;Pwd=S3cret!x;Database=b`, `Server=a;Pwd=<sensitive>`, true},
	{`pwd: S3cret!x`, `pwd: <sensitive>`, true},
	{`@{ Passphrase => 'S3cret!x' }`, `@{ Passphrase => <sensitive> }`, false},
	{`AdminPass=S3cret!x`, `AdminPass=<sensitive>`, true},
	{`build_token = S3cret!x`, `build_token = <sensitive>`, true},
	{`curl -H token=S3cret!x`, `curl -H token=<sensitive>`, true},
	{`ACCESS_KEY2=S3cret!x`, `ACCESS_KEY2=<sensitive>`, true},
	// What comma, ampersand or bracket are in is hidden to its end.
	{`password=a,S3cret!x`, `password=<sensitive>`, false},
	{`password=<S3cret!x`, `password=<sensitive>`, false},
	// A quote that nobody closes, as in a line that was cut.
	{`password="a S3cret!x`, `password=<sensitive>`, false},
	{`net user joe "a S3cret!x`, `net user joe <sensitive>`, false},
	{`<Password><Value>S3cret!x</Value></Password>`, `<Password><Value><sensitive></Value></Password>`, true},
	{`<AutoLogon><Password><Value>S3cret!x</Value>`, `<AutoLogon><Password><Value><sensitive></Value>`, true},
	{`<u:Password wcm:action="add"><u:Value>S3cret!x</u:Value>`, `<u:Password wcm:action="add"><u:Value><sensitive></u:Value>`, false},
	{"<Password>\r\n  <Value>S3cret!x</Value>\r\n", "<Password>\r\n  <Value><sensitive></Value>\r\n", true},
	{"<Password>\r\n  <PlainText>true</PlainText><Value>S3cret!x</Value>\r\n", "<Password>\r\n  <PlainText>true</PlainText><Value><sensitive></Value>\r\n", false},
	{`<AdministratorPassword>S3cret!x</AdministratorPassword>`, `<AdministratorPassword><sensitive></AdministratorPassword>`, true},
	{`<AccountData>S3cret!x</AccountData>`, `<AccountData><sensitive></AccountData>`, false},
	{`<keyMaterial>S3cret!x</keyMaterial>`, `<keyMaterial><sensitive></keyMaterial>`, false},
	{`net user joe S3cret!x /add`, `net user joe <sensitive> /add`, true},
	{`cmd /c net1.exe user "joe doe" "S3cret!x" /add`, `cmd /c net1.exe user "joe doe" <sensitive> /add`, true},
	{`net use Z: \\srv\share S3cret!x`, `net use Z: \\srv\share <sensitive>`, true},
	{`net use Z: \\srv\share /user:corp\build S3cret!x`, `net use Z: \\srv\share /user:corp\build <sensitive>`, false},
	{`tool -Password S3cret!x -y`, `tool -Password <sensitive> -y`, true},
	{`tool --db-password=S3cret!x`, `tool --db-password=<sensitive>`, true},
	{`cmdkey /add:srv /user:x /pass:S3cret!x`, `cmdkey /add:srv /user:x /pass:<sensitive>`, true},
	{`Set-Thing -Password 'S3cret!x' -Name y`, `Set-Thing -Password <sensitive> -Name y`, true},
	{`schtasks /create /ru x /rp S3cret!x /tn y`, `schtasks /create /ru x /rp <sensitive> /tn y`, true},
	{`reg add K /v DefaultPassword /t REG_SZ /d S3cret!x /f`, `reg add K /v DefaultPassword /t REG_SZ /d <sensitive> /f`, true},
	{`reg add K /t REG_SZ /d S3cret!x /f /v DefaultPassword`, `reg add K /t REG_SZ /d <sensitive> /f /v DefaultPassword`, false},
	{`Set-ItemProperty HKLM:\y -Name DefaultPassword -Type String -Value S3cret!x`, `Set-ItemProperty HKLM:\y -Name DefaultPassword -Type String -Value <sensitive>`, true},
	{`autologon.exe /accepteula user dom S3cret!x`, `autologon.exe /accepteula user dom <sensitive>`, true},
	{`psexec \\srv -u adm -p S3cret!x cmd`, `psexec \\srv -u adm -p <sensitive> cmd`, true},
	{`ConvertTo-SecureString "S3cret!x" -AsPlainText`, `ConvertTo-SecureString <sensitive> -AsPlainText`, true},
	{`"S3cret!x" | ConvertTo-SecureString -AsPlainText`, `<sensitive> | ConvertTo-SecureString -AsPlainText`, true},
	{`Authorization: Basic S3cret!x`, `Authorization: Basic <sensitive>`, false},
	{`https://joe:S3cret!x@host/y`, `https://joe:<sensitive>@host/y`, true},
	{`curl -H "Authorization: Bearer S3cret!x"`, `curl -H "Authorization: Bearer <sensitive>"`, false},
	{`https://joe:a@S3cret!x@host/y`, `https://joe:<sensitive>@host/y`, false},
	{`https://host/y?a=1&sig=S3cret!x&b=2`, `https://host/y?a=1&sig=<sensitive>&b=2`, false},
	{"-----BEGIN RSA PRIVATE KEY-----\nS3cret!x\nS3cret!x\n-----END RSA PRIVATE KEY-----\nrest", "-----BEGIN RSA PRIVATE KEY-----\n<sensitive>\n<sensitive>\n-----END RSA PRIVATE KEY-----\nrest", false},
	{"y\npwd: S3cret!x\npassphrase swordfish is not one", "y\npwd: <sensitive>\npassphrase swordfish is not one", true},
}

func TestEachFormIsHiddenAndFound(t *testing.T) {
	for _, s := range samples {
		if got := Scrub(s.text); got != s.want {
			t.Errorf("%q becomes %q, want %q", s.text, got, s.want)
		}
		if again := Scrub(s.want); again != s.want {
			t.Errorf("%q becomes %q when it is done again", s.want, again)
		}
		found := false
		for _, f := range Find(s.text) {
			found = found || f == "S3cret!x"
		}
		if found != s.found {
			t.Errorf("%q: %q found", s.text, Find(s.text))
		}
	}
	for text, secret := range map[string]string{ // of other letters
		`slmgr /ipk VK7JG-NPHTM-C97JM-9MPGT-3V66T failed`:              "VK7JG",
		`slmgr /ipk vk7jg-nphtm-c97jm-9mpgt-3v66t failed`:              "vk7jg",
		`powershell.exe -enc ` + strings.Repeat("QUJD", 20):            "QUJDQUJD",
		`value = { type: 8204, bytes ( 12 ): 530033006300720065007400`: "5300330063",
	} {
		if got := Scrub(text); strings.Contains(got, secret) || !strings.Contains(got, Redacted) {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

func TestWhatIsNoSecretStays(t *testing.T) {
	for _, text := range []string{
		"nothing at all", "the password expires soon", "{12345678-1234-1234-1234-123456789012} is no key",
		"2025-07-22 21:00:19, Error SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'X' from C:\\Windows\\System32\\x.dll; dwRet = 0x5",
		"PublicKeyToken: 31bf3856ad364e35, VersionScope: nonSxS, /settings/UserAccounts/AdministratorPassword/Value",
		`Command [net use Z: \\srv\share /persistent:no] ended`, "https://example.com:443/x?y=me@z", "mkdir -p x",
		"<UserAccounts>\n  <Value>x</Value>\n", "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n",
	} {
		if got := Scrub(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	for _, text := range []string{"password=%PW%", "-Password $pw", "password: ****", "password={{user `x`}}", "tool -Password (Get-Secret)", "password=true",
		"https://joe:$pw@host/y", "https://joe:%PW%@host/y", "https://${user}:${pw}@host/y", "http://host:8080/a@b", "https://host/y?sig=short", "Authorization: Bearer $token",
		"powershell -enc " + inBase64("net user joe /active:yes; Get-Date; Get-Date")} {
		if got := Find(text); len(got) > 0 {
			t.Errorf("%q: %q found", text, got)
		}
	}
}

func TestKeysAreFoundByTheirLetters(t *testing.T) {
	if got := Keys("a VK7JG-NPHTM-C97JM-9MPGT-3V66T b AAAAA-AAAAA-AAAAA-AAAAA-AAAAA c"); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestKnownSecretsAreHiddenInEachSpelling(t *testing.T) {
	const secret = `Pa"ss<w&rd`
	k := Know("other-one", secret, secret+"longer", "")
	for _, s := range Spelt(secret) {
		if got := k.Hide("x " + s + " y"); got != "x <sensitive> y" {
			t.Errorf("%q becomes %q", s, got)
		}
	}
	if got := k.Hide(secret + "longer"); got != Redacted {
		t.Errorf("of two the shorter was hidden: %q", got)
	}
	var none *Known
	if none.Hide("x") != "x" || (&Known{}).Hide("x") != "x" || Know().Hide("x") != "x" {
		t.Error("nothing is known, and something is hidden")
	}
	if got := Spelt(`a"`)[4]; got != `a\"` {
		t.Errorf("in JSON: %s", got)
	}
}

// A short password is hidden where a password is expected: everywhere it would spell
// itself out.
func TestAShortPasswordIsHiddenWhereOneIsExpected(t *testing.T) {
	k := Know("a1", "no", "q")
	for text, want := range map[string]string{
		"a1": Redacted, " a1\r\n": " <sensitive>\r\n",
		`the password "a1" was refused`:        `the password "<sensitive>" was refused`,
		"the password is a1.":                  "the password is <sensitive>.",
		"password a1":                          "password <sensitive>",
		"WINRM_PASSWORD: 'no' and no more":     "WINRM_PASSWORD: '<sensitive>' and no more",
		"<Value>q</Value>":                     "<Value><sensitive></Value>",
		`user "joe", "a1"`:                     `user "joe", "<sensitive>"`,
		"there is no question, and a12 or xa1": "there is no question, and a12 or xa1",
		"the password NO is another":           "the password NO is another",
		"base64 cQA= of it":                    "base64 <sensitive> of it",
		`it says "yes"`:                        `it says "yes"`,
	} {
		if got := k.Hide(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got := Scrub("net user joe a1 /add"); strings.Contains(got, "a1") {
		t.Error(got)
	}
}

func TestKnownIsForManyAtOnce(t *testing.T) {
	k := Know("secret-1", "q")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := k.Hide(`secret-1 "q"`); got != `<sensitive> "<sensitive>"` {
				t.Error(got)
			}
		})
	}
	all.Wait()
}

// What Find finds, Scrub hides; and it does so once and for all.
func FuzzWhatIsFoundIsHidden(f *testing.F) {
	for _, s := range samples {
		f.Add(s.text)
	}
	f.Add("\xff")
	f.Fuzz(func(t *testing.T, text string) {
		hidden := Scrub(text)
		if strings.Count(hidden, "\n") > strings.Count(text, "\n") {
			t.Errorf("%q has more lines: %q", text, hidden)
		}
		Know(text).Hide(hidden)
		if strings.ContainsAny(text, "\r\n\v\f\u0085") { // Find goes over lines
			return
		}
		for _, s := range Find(text) {
			if len(s) > 5 && !strings.HasSuffix(s, "PRIVATE KEY") && strings.Count(text, s) == 1 && strings.Contains(hidden, s) {
				t.Errorf("%q is found in %q, and not hidden: %q", s, text, hidden)
			}
		}
	})
}

// A line may be as long as a log, and all of it secrets.
func TestTheCostIsThatOfTheLength(t *testing.T) {
	k := Know("q", "swordfish")
	for _, piece := range []string{`password="x" `, "net user psexec -p autologon ", `"q" `} {
		text := strings.Repeat(piece, (1<<17)/len(piece))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Scrub(k.Hide(text))
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 128<<20 {
			t.Errorf("%s: %d MiB", piece, took>>20)
		}
	}
}

func BenchmarkScrub(b *testing.B) {
	line := "2026-11-29 12:00:00, Info                  SYSPRP ActionPlatform::LaunchModule: Executing method 'Sysprep_Generalize_Pnp' from C:\\Windows\\System32\\sppnp.dll\r\n"
	text := strings.Repeat(line, 1000) + fmt.Sprintln("password=x")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Scrub(text)
	}
}

func TestTheTextsOfADocumentAreHidden(t *testing.T) {
	k := Know("swordfish")
	for text, want := range map[string]string{
		`{"z":"swordfish","a":[1,1.50,12345678901234567890,null,true,{"swordfish":"x swordfish"}],"e":{},"l":[]}`: `{"z":"\u003csensitive\u003e","a":[1,1.50,12345678901234567890,null,true,{"swordfish":"x \u003csensitive\u003e"}],"e":{},"l":[]}`,
		`"swordfish"`: `"\u003csensitive\u003e"`, ` 1 `: `1`,
	} {
		if got, err := InJSON([]byte(text), k.Hide); err != nil || string(got) != want {
			t.Errorf("%s becomes %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "{", `{"a"`, "[1", "1 2", `{"a":1}]`} {
		if got, err := InJSON([]byte(text), k.Hide); err == nil {
			t.Errorf("%s becomes %s", text, got)
		}
	}
}

// What is encoded is not hidden by that, and an address or a header can hold what
// opens an account.
func TestSecretsThatAreNotWrittenAsPasswordsAreFound(t *testing.T) {
	for text, want := range map[string]string{
		`powershell.exe -NoProfile -EncodedCommand ` + inBase64("net user joe S3cret!x /add"):                        "S3cret!x",
		`cmd /c pwsh -e "` + inBase64("$p = ConvertTo-SecureString 'S3cret!x' -AsPlainText -Force") + `"`:            "S3cret!x",
		`curl.exe -H "Authorization: Bearer eyJhbGciOiJub25l.e30.x" https://host`:                                    "eyJhbGciOiJub25l.e30.x",
		`Invoke-WebRequest https://acc.blob.core.windows.net/c/a.zip?sv=2024&sig=abcdefghijklmnopqrstuvwxyz%3D -o a`: "abcdefghijklmnopqrstuvwxyz%3D",
		`git clone https://build:ghp_0123456789@example.com/x.git`:                                                   "ghp_0123456789",
	} {
		if got := Find(text); !slices.Contains(got, want) {
			t.Errorf("%q: %q", text, got)
		}
		if hidden := Scrub(text); strings.Contains(hidden, want) {
			t.Errorf("%q is not hidden: %q", text, hidden)
		}
	}
}

func inBase64(command string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(command)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return base64.StdEncoding.EncodeToString(b)
}
