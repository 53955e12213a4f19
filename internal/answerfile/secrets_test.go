package answerfile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestWhatLooksLikeAPassword(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{`https://example.com/?AccountName0=a&AccountPassword0=blue1&x=y`, []string{"blue1"}},
		{`password: Summer-24, user ann`, []string{"Summer-24"}},
		{`<Password><Value>Summer-24</Value></Password>`, []string{"Summer-24"}},
		{`<AdministratorPassword>Summer-24</AdministratorPassword>`, []string{"Summer-24"}},
		{`reg add "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon" /v DefaultPassword /t REG_SZ /d "Sup3r Secret" /f`, []string{"Sup3r Secret"}},
		{`REG.EXE ADD HKLM\x /v DefaultPassword /d Sup3rSecret /t REG_SZ /f`, []string{"Sup3rSecret"}},
		{`net user ann Summer-24 /add`, []string{"Summer-24"}},
		{`cmd /c net.exe user "ann b" "Summer 24" /add`, []string{"Summer 24"}},
		{`powershell New-LocalUser -Name a -Password (ConvertTo-SecureString "Summer-24" -AsPlainText -Force)`, []string{"Summer-24"}},
		{`schtasks /create /ru ann /rp Summer-24`, []string{"Summer-24"}},
		{`cmdkey /add:host /user:ann /pass:Summer-24`, []string{"Summer-24"}},
		// No passwords.
		{`net user ann /add`, nil},
		{`cmd /c "net user packer /delete & exit 0"`, nil},
		{`net user ann *`, nil},
		{`the password is set later`, nil},
		{`<component publicKeyToken="31bf3856ad364e35"/>`, nil},
		{`powershell -Password $env:PASSWORD`, nil},
		{`wmic useraccount set PasswordExpires=false`, nil},
		{`PASSWORD=%BUILD_PASSWORD%`, nil},
		{`<Password><Value>***</Value></Password>`, nil},
		{``, nil},
	}
	for _, tt := range tests {
		got := secretsInText(tt.text)
		slices.Sort(got)
		if !slices.Equal(slices.Compact(got), tt.want) {
			t.Errorf("%s: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestSecretsOfCommandsAndCommentsAreNamedWhereTheyStand(t *testing.T) {
	file, err := Parse([]byte(deployment(`<!-- AccountPassword0=blue-one --><RunSynchronous><RunSynchronousCommand wcm:action="add"><Order>1</Order>
<Path>net user ann S3cret-1 /add</Path></RunSynchronousCommand></RunSynchronous>`)))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`specialize RunSynchronous\RunSynchronousCommand\Path`, "comment on line 5"}
	if got := SecretSettings(file); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	got := Secrets(file)
	for _, s := range []string{"blue-one", "S3cret-1"} {
		if !slices.Contains(got, s) {
			t.Errorf("%q is missing", s)
		}
	}
}

// TestNoFindingHoldsASecret puts a secret where one can be and looks for it in
// everything that is said, also by Fix.
func TestNoFindingHoldsASecret(t *testing.T) {
	const secret = "Qx7-hunter2"
	files := []string{
		adminPassword(secret), adminValue(secret), adminValue(EncodePassword(secret, "Password")),
		account("<Name>"+secret+"@</Name>", "<Group>"+secret+"</Group><Password><Value>"+secret+"</Value></Password>"),
		accountAndLogon(secret, secret),
		shell("<TimeZone>" + secret + "</TimeZone><ProductKey>" + secret + "</ProductKey><!-- Password=" + secret + " -->"),
		german(shell("<ComputerName>" + secret + secret + "</ComputerName>")),
		strings.Replace(german(shell("")), "de-DE", secret, 1),
		deployment("<RunSynchronous><RunSynchronousCommand><Order>" + secret + "</Order><Path>net user a " + secret + "</Path></RunSynchronousCommand></RunSynchronous>"),
		wrap(Specialize, compDNS, `<DNSSuffixSearchOrder><DomainName wcm:keyValue="`+secret+`">`+secret+`</DomainName><DomainName wcm:keyValue="`+secret+`"/></DNSSuffixSearchOrder>`),
		wrap(OOBESystem, compDeployment, "<Reseal><Mode>"+secret+"</Mode><ForceShutdownNow>true</ForceShutdownNow></Reseal>"),
		shell("<!-- sysprep-lint off: " + secret + " --><TimeZone>UTC</TimeZone>"),
		wrap(Specialize, compJoin, "<Identification><Credentials><Username>u</Username><Password>"+secret+"</Password></Credentials><MachinePassword>"+secret+"</MachinePassword></Identification>"),
	}
	for _, data := range files {
		for _, ctx := range []Context{{}, toOOBE, toAudit} {
			for _, f := range Lint([]byte(data), ctx) {
				if strings.Contains(sayAll(f), secret) {
					t.Errorf("a finding holds the secret: %+v", f)
				}
			}
		}
		_, changes, err := Fix([]byte(data), FixOptions{EncodePasswords: true})
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("an error holds the secret: %v", err)
		}
		for _, f := range changes {
			if strings.Contains(sayAll(f), secret) {
				t.Errorf("a change holds the secret: %+v", f)
			}
		}
	}
}

func sayAll(f any) string { return fmt.Sprintf("%#v", f) }
