package proof

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// zones are the host's: none of them may change a judgement.
var zones = map[string]*time.Location{
	"UTC": time.UTC, "PST8": time.FixedZone("PST8", -8*3600), "Asia/Kolkata": time.FixedZone("IST", 19800), "<+14>-14": time.FixedZone("+14", 14*3600),
}

// in runs a test in every zone of the host.
func in(t *testing.T, f func(t *testing.T)) {
	for name, zone := range zones {
		t.Run(name, func(t *testing.T) {
			before := time.Local
			time.Local = zone
			defer func() { time.Local = before }()
			f(t)
		})
	}
}

// originOf is what a build remembers of its source disk.
func originOf(path string) (*winimage.Source, error) {
	r, err := Check(context.Background(), Options{Disk: File(path)})
	if err != nil {
		return nil, err
	}
	return r.Facts.Windows[0].Origin(), nil
}

// The guest's clock may be hours off the host's, in either direction: with
// -rtc base=localtime a Windows that takes its clock for UTC is off by the
// host's zone. A good image is proven all the same, and a tag that came with
// the source is not taken for a new one.
func TestTheTagIsJudgedWithoutTheHostsClock(t *testing.T) {
	plain := winimagetest.Disk(t, winimagetest.Spec{})
	source, err := originOf(plain)
	if err != nil || source == nil || source.Tag != nil {
		t.Fatalf("the source: %+v, %v", source, err)
	}
	for name, off := range map[string]time.Duration{"eight hours behind": -8 * time.Hour, "fourteen hours ahead": 14 * time.Hour, "in another year": -400 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			image := winimagetest.Disk(t, winimagetest.Spec{Generalized: true, TagTime: time.Now().Add(off)})
			stale, err := originOf(image)
			if err != nil {
				t.Fatal(err)
			}
			in(t, func(t *testing.T) {
				r, err := Check(context.Background(), Options{Disk: File(image), Source: source})
				if err != nil || !r.Proven() {
					t.Errorf("a good image: %v, failed %v", err, ids(finding.Failed(r.Findings, finding.Fail)))
				}
				r, err = Check(context.Background(), Options{Disk: File(image), Source: stale})
				if err != nil || !slices.Equal(ids(finding.Failed(r.Findings, finding.Fail)), []string{"tag"}) {
					t.Errorf("the tag of the source: %v, failed %v", err, ids(finding.Failed(r.Findings, finding.Fail)))
				}
			})
		})
	}
}

// Without a source disk a tag that is there is all that can be said, and the
// report says so.
func TestWithoutASourceTheReportSaysWhatTheTagDoesNotProve(t *testing.T) {
	r, err := Check(context.Background(), Options{Disk: File(winimagetest.Disk(t, winimagetest.Spec{Generalized: true}))})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(r.Findings, func(a finding.Finding) bool { return a.ID == "tag" })
	if a := r.Findings[at]; !a.Holds || !strings.Contains(a.Note, "not known") || strings.Contains(a.Summary, "this build") {
		t.Errorf("%+v", a)
	}
}

// answers is an answer file with one setting in one pass.
func answers(pass, component, settings string) string {
	return `<unattend xmlns="` + answerfile.Namespace + `"><settings pass="` + pass + `"><component name="` + component +
		`" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">` + settings + `</component></settings></unattend>`
}

func TestEveryKindOfSecretIsFoundInTheImage(t *testing.T) {
	const shell, key, value = "Microsoft-Windows-Shell-Setup", "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE", "Sesame-Open-1"
	password := "<Password><Value>" + value + "</Value><PlainText>true</PlainText></Password>"
	cases := []struct{ name, file, want string }{
		{"the administrator's password", answers("oobeSystem", shell, "<UserAccounts><AdministratorPassword><Value>"+value+"</Value><PlainText>true</PlainText></AdministratorPassword></UserAccounts>"), `oobeSystem UserAccounts\AdministratorPassword`},
		{"one that is encoded", answers("oobeSystem", shell, "<AutoLogon><Password><Value>"+answerfile.EncodePassword(value, "Password")+"</Value><PlainText>false</PlainText></Password></AutoLogon>"), `oobeSystem AutoLogon\Password`},
		{"one that is not encoded as it says", answers("oobeSystem", shell, "<AutoLogon><Password><Value>"+value+"</Value><PlainText>false</PlainText></Password></AutoLogon>"), `oobeSystem AutoLogon\Password`},
		{"a local account's", answers("oobeSystem", shell, "<UserAccounts><LocalAccounts><LocalAccount>"+password+"<Name>a</Name></LocalAccount></LocalAccounts></UserAccounts>"), `oobeSystem UserAccounts\LocalAccounts\LocalAccount\Password`},
		{"a domain's", answers("specialize", "Microsoft-Windows-UnattendedJoin", "<Identification><Credentials><Domain>d</Domain><Password>"+value+"</Password><Username>u</Username></Credentials></Identification>"), `specialize Identification\Credentials\Password`},
		{"a command's", answers("specialize", "Microsoft-Windows-Deployment", "<RunSynchronous><RunSynchronousCommand><Credentials><Password>"+value+"</Password></Credentials><Path>x</Path></RunSynchronousCommand></RunSynchronous>"), `specialize RunSynchronous\RunSynchronousCommand\Credentials\Password`},
		{"a machine's account", answers("specialize", "Microsoft-Windows-UnattendedJoin", "<Identification><Provisioning><AccountData>"+value+"</AccountData></Provisioning></Identification>"), `specialize Identification\Provisioning\AccountData`},
		{"a product key of Setup", answers("windowsPE", "Microsoft-Windows-Setup", "<UserData><ProductKey><Key>"+key+"</Key></ProductKey></UserData>"), `windowsPE UserData\ProductKey\Key`},
		{"a published key", answers("specialize", shell, "<ProductKey>WX4NM-KYWYW-QJJR4-XV3QB-6VM33</ProductKey>"), ""},
		{"a published key of Setup", answers("windowsPE", "Microsoft-Windows-Setup", "<UserData><ProductKey><Key>wx4nm-kywyw-qjjr4-xv3qb-6vm33</Key></ProductKey></UserData>"), ""},
		{"a password that Windows deleted", answers("oobeSystem", shell, "<AutoLogon><Password>*SENSITIVE*DATA*DELETED*</Password></AutoLogon>"), ""},
	}
	for _, pass := range []string{"windowsPE", "offlineServicing", "generalize", "specialize", "auditSystem", "auditUser", "oobeSystem"} {
		cases = append(cases, struct{ name, file, want string }{"a product key in " + pass, answers(pass, shell, "<ProductKey>"+key+"</ProductKey>"), pass + " ProductKey"})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ui, said := recorder()
			r, err := Run(context.Background(), ui, Options{Disk: File(winimagetest.Disk(t, winimagetest.Spec{Generalized: true, Files: map[string]string{winimagetest.Cached: c.file}}))})
			var refused *NotProven
			if errors.As(err, &refused) || err != nil {
				t.Fatal(err)
			}
			a := r.Facts.Windows[0].AnswerFiles[0]
			if got := strings.Join(a.Secrets, ", "); got != c.want || a.Problem != "" {
				t.Errorf("found %q, want %q; problem %q", got, c.want, a.Problem)
			}
			if warned := slices.Contains(ids(finding.Failed(r.Findings, finding.Warn)), "secrets"); warned != (c.want != "") {
				t.Errorf("warned: %t", warned)
			}
			if text := said.String(); strings.Contains(text, value) || strings.Contains(text, key) {
				t.Errorf("the Ui shows the secret:\n%s", text)
			}
		})
	}
}
