package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/rpc"
	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/schematest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// recorder returns a Ui and what it was told.
func recorder() (packersdk.Ui, *bytes.Buffer) {
	var said bytes.Buffer
	return &packersdk.BasicUi{Writer: &said}, &said
}

func yes(b bool) *bool { return &b }

const state = `Microsoft\Windows\CurrentVersion\Setup\State`

// answerFileWithSecret has a password whose clear text is secret.
const (
	secret               = "Sesame-Open-1"
	answerFileWithSecret = `<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="oobeSystem">
<component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
<UserAccounts><AdministratorPassword><Value>` + secret + `</Value><PlainText>true</PlainText></AdministratorPassword></UserAccounts></component></settings></unattend>`
)

func TestDisksAreJudgedByWhatIsOnThem(t *testing.T) {
	covered := map[string]bool{}
	for _, c := range []struct {
		name string
		spec winimagetest.Spec
		// failed and warned are exactly the assertions that do not hold; one of
		// severity info is among the warned.
		failed, warned []string
	}{
		{"generalized on MBR", winimagetest.Spec{}, nil, nil},
		{"generalized on GPT", winimagetest.Spec{GPT: true}, nil, nil},
		{"an empty EFI system partition", winimagetest.Spec{GPT: true, NoBootFiles: true}, nil, []string{"boots"}},
		{"a boot store that is none", winimagetest.Spec{Files: map[string]string{`\Boot\BCD`: "x"}}, nil, []string{"boot-entries"}},
		{"an update that waits", winimagetest.Spec{Files: map[string]string{`\Windows\WinSxS\pending.xml`: "x"}}, nil, []string{"servicing"}},
		{"ImageState of a machine in use", winimagetest.Spec{Software: func(k *hivewrite.Key) {
			k.Path(state).SetString("ImageState", "IMAGE_STATE_COMPLETE")
		}}, []string{"image-state"}, nil},
		{"State.ini says something else", winimagetest.Spec{Files: map[string]string{winimagetest.State: "[State]\r\nImageState=IMAGE_STATE_COMPLETE\r\n"}}, nil, []string{"state-ini"}},
		{"generalize failed midway", winimagetest.Spec{System: func(k *hivewrite.Key) {
			k.Path(`Setup\Status\SysprepStatus`).SetDWord("GeneralizationState", 3)
		}}, []string{"generalization-state"}, nil},
		{"no setup at the next boot", winimagetest.Spec{System: func(k *hivewrite.Key) { k.Path("Setup").SetDWord("SetupType", 0) }}, []string{"setup-type"}, nil},
		{"no command at the next boot", winimagetest.Spec{System: func(k *hivewrite.Key) { k.Path("Setup").SetString("CmdLine", "") }}, []string{"setup-command"}, nil},
		{"a cloud agent's wrapper around windeploy", winimagetest.Spec{System: func(k *hivewrite.Key) {
			k.Path("Setup").SetString("CmdLine", `C:\Windows\OEM\SetupComplete2.cmd oobe\windeploy.exe /x`)
		}}, nil, nil},
		{"no tag", winimagetest.Spec{Remove: []string{winimagetest.Tag}}, []string{"tag"}, nil},
		{"the last run was refused", winimagetest.Spec{Files: map[string]string{winimagetest.Log: winimagetest.RefusedLog}}, nil, []string{"log"}},
		{"no log", winimagetest.Spec{Remove: []string{winimagetest.Log}}, nil, []string{"log"}},
		{"audit mode is on", winimagetest.Spec{System: func(k *hivewrite.Key) { k.Path(`Setup\Status`).SetDWord("AuditBoot", 1) }}, []string{"audit-boot"}, nil},
		{"the answer file pointer dangles", winimagetest.Spec{System: func(k *hivewrite.Key) { k.Path("Setup").SetString("UnattendFile", `C:\gone.xml`) }}, []string{"unattend-pointer"}, nil},
		{"the answer file is not cached", winimagetest.Spec{Remove: []string{winimagetest.Cached}}, nil, []string{"cached-answer-file"}},
		{"the answer file holds a password", winimagetest.Spec{Files: map[string]string{winimagetest.Cached: answerFileWithSecret}}, nil, []string{"secrets"}},
		{"automatic logon", winimagetest.Spec{Software: func(k *hivewrite.Key) {
			k.Path(`Microsoft\Windows NT\CurrentVersion\Winlogon`).SetString("DefaultPassword", secret)
		}}, nil, []string{"autologon"}},
		{"a script of Packer", winimagetest.Spec{Files: map[string]string{`\Windows\Temp\script-1.ps1`: "x"}}, nil, []string{"leftovers"}},
		{"no driver starts at boot", winimagetest.Spec{System: func(k *hivewrite.Key) {
			for _, name := range []string{"storahci", "stornvme", "atapi", "intelide", "pciide"} {
				k.Path(`ControlSet001\Services\`+name).SetDWord("Start", 3)
			}
		}}, nil, []string{"boot-drivers"}},
		{"a shadow copy", winimagetest.Spec{Files: map[string]string{winimagetest.ShadowStore: "x"}}, nil, []string{"shadow-copies"}},
		{"a hibernated session", winimagetest.Spec{Files: map[string]string{`\hiberfil.sys`: "HIBR" + strings.Repeat("\x01", 4092)}}, []string{"hibernation"}, nil},
		{"a dirty volume", winimagetest.Spec{DirtyVolume: true}, []string{"file-system-clean"}, nil},
		{"a hive that was not flushed", winimagetest.Spec{DirtyHive: "SOFTWARE"}, []string{"hives-clean", "image-state"}, nil},
		{"a hive that was not flushed, with its log", winimagetest.Spec{DirtyHive: "SOFTWARE", HiveLog: true}, []string{"hives-clean"}, nil},
		{"a bad state that stands in the log only", winimagetest.Spec{DirtyHive: "SOFTWARE", HiveLog: true, Software: func(k *hivewrite.Key) {
			k.Path(state).SetString("ImageState", "IMAGE_STATE_UNDEPLOYABLE")
		}}, []string{"hives-clean", "image-state"}, nil},
		{"/mode:vm that was not asked for", winimagetest.Spec{Software: func(k *hivewrite.Key) {
			k.Path(`Microsoft\Windows\CurrentVersion\Setup\Sysprep`).SetString("SysprepMode", "VM")
		}}, nil, []string{"vm-mode"}},
		{"a driver's start that Windows overrides", winimagetest.Spec{System: func(k *hivewrite.Key) {
			for _, name := range []string{"storahci", "stornvme", "atapi", "intelide", "pciide"} {
				k.Path(`ControlSet001\Services\`+name+`\StartOverride`).SetDWord("0", 3)
			}
		}}, nil, []string{"boot-drivers"}},
		{"a value of the wrong type", winimagetest.Spec{System: func(k *hivewrite.Key) {
			k.Path(`Setup\Status\SysprepStatus`).SetString("CleanupState", "2")
		}}, nil, []string{"readable"}},
		{"an answer file that is too large to be one", winimagetest.Spec{Files: map[string]string{`\Windows\System32\Sysprep\unattend-x.xml`: strings.Repeat("<a/>", 1<<20+1)}}, []string{"limits"}, []string{"secrets"}},
		{"no active partition", winimagetest.Spec{Inactive: true}, nil, []string{"boots"}},
		{"an encrypted partition", winimagetest.Spec{BitLocker: true}, []string{"bitlocker"}, nil},
		{"nothing but an encrypted partition", winimagetest.Spec{Empty: true, BitLocker: true}, []string{"windows", "bitlocker"}, nil},
		{"no Windows", winimagetest.Spec{Empty: true, Files: map[string]string{`\readme.txt`: "x"}}, []string{"windows"}, nil},
	} {
		for _, id := range append(c.failed, c.warned...) {
			covered[id] = true
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.spec.Generalized = true
			ui, said := recorder()
			r, err := Run(context.Background(), ui, Options{Disk: File(winimagetest.Disk(t, c.spec)), Source: &winimage.Source{}, AnswerFile: true, VMMode: yes(false)})
			if got := ids(finding.Failed(r.Findings, finding.Fail)); !slices.Equal(got, c.failed) {
				t.Errorf("failed: %v, want %v", got, c.failed)
			}
			if got := ids(append(finding.Failed(r.Findings, finding.Warn), finding.Failed(r.Findings, finding.Info)...)); !slices.Equal(got, c.warned) {
				t.Errorf("warned: %v, want %v", got, c.warned)
			}
			var refused *NotProven
			if errors.As(err, &refused) != (c.failed != nil) {
				t.Fatalf("error %v, failed %v", err, c.failed)
			}
			for _, a := range append(finding.Failed(r.Findings, finding.Fail), finding.Failed(r.Findings, finding.Warn)...) {
				if !strings.Contains(said.String(), a.ID) || !strings.Contains(said.String(), a.Remedy[0]) {
					t.Errorf("the Ui was not told of %s and what to do about it:\n%s", a.ID, said)
				}
			}
			for _, a := range finding.Failed(r.Findings, finding.Fail) {
				if !strings.Contains(err.Error(), a.ID) || !strings.Contains(err.Error(), a.Remedy[0]) {
					t.Errorf("the error lacks %s or what to do about it: %v", a.ID, err)
				}
			}
			if report, err := os.ReadFile(r.ReportPath); err != nil || bytes.Contains(report, []byte(secret)) || strings.Contains(said.String(), secret) {
				t.Errorf("the report (%v) or the Ui shows the secret", err)
			}
		})
	}
	for _, id := range winimage.AssertionIDs() {
		if !covered[id] {
			t.Errorf("no disk breaks assertion %s", id)
		}
	}
}

func ids(list []finding.Finding) (ids []string) {
	for _, a := range list {
		ids = append(ids, a.ID)
	}
	return ids
}

func TestTheFirstLineOfARefusalIsTheFirstThingToDo(t *testing.T) {
	ui, said := recorder()
	_, err := Run(context.Background(), ui, Options{Disk: File(winimagetest.Disk(t, winimagetest.Spec{Files: map[string]string{winimagetest.Log: winimagetest.RefusedLog}}))})
	var refused *NotProven
	if !errors.As(err, &refused) {
		t.Fatalf("error %v, want a *NotProven", err)
	}
	first, rest, _ := strings.Cut(err.Error(), "\n")
	for _, want := range []string{"windows.raw", "image-state is IMAGE_STATE_COMPLETE (and 4 more)", "app package Contoso.Notes"} {
		if !strings.Contains(first, want) {
			t.Errorf("first line %q lacks %q", first, want)
		}
	}
	for _, want := range []string{"next: In Windows PowerShell", "generalization-state", "windows.raw.report.json"} {
		if !strings.Contains(rest, want) || !strings.Contains(said.String(), want) {
			t.Errorf("%q is not in the error or not in the Ui:\n%s", want, rest)
		}
	}
	if strings.Count(rest, "\n") > 8 || strings.Contains(rest, "SYSPRP") {
		t.Errorf("the error is long, and Packer prints it twice:\n%s", rest)
	}
	if n := strings.Count(rest, "run sysprep /generalize again"); n != 1 {
		t.Errorf("the shared remedy is said %d times, want once:\n%s", n, rest)
	}
}

func TestTheReportIsWholeAndNamesTheDisk(t *testing.T) {
	disk := winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	before, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "new", "report.json")
	ui, said := recorder()
	r, err := Run(context.Background(), ui, Options{Disk: File(disk), Name: "final.vhd", Report: path})
	if err != nil || r.ReportPath != path || !strings.HasPrefix(said.String(), "Proven: final.vhd holds Windows Server 2022") {
		t.Fatalf("%v, report %s, Ui:\n%s", err, r.ReportPath, said)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Schema   int
		Subject  finding.Subject
		Name     string
		Holds    bool
		Findings []finding.Finding
		Facts    winimage.Facts
	}
	schematest.Valid(t, content)
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != render.Schema || got.Subject != finding.Disk || got.Name != "final.vhd" || !got.Holds ||
		!reflect.DeepEqual(got.Findings, r.Findings) || !reflect.DeepEqual(got.Facts, r.Facts) {
		t.Errorf("report %+v", got)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 {
		t.Errorf("beside the report: %v", left)
	}
	if after, err := os.ReadFile(disk); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the disk was changed (%v)", err)
	}
}

func TestConfigSaysWhereTheReportLies(t *testing.T) {
	o := Options{Disk: File("d"), Name: "n"}
	if got := o.report(); got != "n.report.json" {
		t.Errorf("%s, want it beside the disk", got)
	}
	o.Report = "r"
	if got := o.report(); got != "r" {
		t.Errorf("%s, want the caller's", got)
	}
	o.Config.Report = "c"
	if got := o.report(); got != "c" {
		t.Errorf("%s, want the user's", got)
	}
	o.Replaces = true
	if got := o.report(); got != "r" {
		t.Errorf("%s, want the caller's, since the user's is about the earlier disk", got)
	}
}

func TestAProofThatIsSwitchedOffSaysSoAndReadsNothing(t *testing.T) {
	ui, said := recorder()
	r, err := Run(context.Background(), ui, Options{Config: Config{Enabled: config.TriFalse}, Disk: File("absent")})
	if err != nil || r.ReportPath != "" || !strings.Contains(said.String(), "verify.enabled") {
		t.Errorf("%+v, %v, said %s", r, err, said)
	}
}

func TestWhatCannotBeReadIsNoVerdict(t *testing.T) {
	ui, _ := recorder()
	path := filepath.Join(t.TempDir(), "absent.vhd")
	var refused *NotProven
	if _, err := Run(context.Background(), ui, Options{Disk: File(path)}); err == nil || errors.As(err, &refused) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want one of a missing file", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, ui, Options{Disk: File(winimagetest.Disk(t, winimagetest.Spec{}))}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the cancel", err)
	}
}

func TestACopyThatIsNotProvenIsRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.vhd")
	ui, _ := recorder()
	_, err := Recheck(context.Background(), ui, Options{Disk: File(winimagetest.Disk(t, winimagetest.Spec{})), Name: name})
	var refused *NotProven
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "was proven before the conversion") || !strings.Contains(err.Error(), name) {
		t.Errorf("error %v", err)
	}
	if _, err := Recheck(context.Background(), ui, Options{Disk: File(winimagetest.Disk(t, winimagetest.Spec{Generalized: true})), Name: name}); err != nil {
		t.Errorf("a good copy is refused: %v", err)
	}
}

func TestOptionsChangeTheJudgement(t *testing.T) {
	disk := winimagetest.Disk(t, winimagetest.Spec{Generalized: true, Files: map[string]string{`\Windows\Temp\packer-x`: "x"}})
	for _, c := range []struct {
		name   string
		config Config
		failed []string
	}{
		{"left alone", Config{}, nil},
		{"a warning made fatal", Config{Severities: map[string]string{"leftovers": "fail"}}, []string{"leftovers"}},
		{"an image for audit mode", Config{Expect: "audit"}, []string{"image-state", "audit-boot"}},
		{"failures made warnings", Config{Expect: "audit", Severities: map[string]string{"image-state": "warn", "audit-boot": "off"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if errs := c.config.Prepare(); errs != nil {
				t.Fatal(errs)
			}
			r, err := Check(context.Background(), Options{Config: c.config, Disk: File(disk)})
			if err != nil || !slices.Equal(ids(finding.Failed(r.Findings, finding.Fail)), c.failed) {
				t.Errorf("failed %v (%v), want %v", ids(finding.Failed(r.Findings, finding.Fail)), err, c.failed)
			}
		})
	}
}

func TestConfigReportsEveryErrorAtOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		want   []string
	}{
		{"nothing set", Config{}, nil},
		{"values that are not known yet", Config{Expect: "<unknown>", Severities: map[string]string{"<unknown>": "<unknown>", "tag": "<unknown>"}}, nil},
		{"everything wrong", Config{Expect: "sleep", Severities: map[string]string{"tga": "fail", "nope": "off", "tag": "fatal", "windows": "off"}},
			[]string{`verify.expect: "sleep"`, "no assertion is called nope or tga; use one of windows, hives-clean", `tag = "fatal"`, "windows cannot be"}},
		{"all installations", Config{Windows: "all"}, nil},
		{"one installation", Config{Windows: "3"}, nil},
		{"an installation that is not known yet", Config{Windows: "<unknown>"}, nil},
		{"no number of a partition", Config{Windows: "0"}, []string{`verify.windows: "0" is neither all nor the number of a partition, from 1`}},
		{"a drive letter", Config{Windows: "D:"}, []string{`verify.windows: "D:"`}},
		{"Windows must stay", Config{Severities: map[string]string{"windows": "fail"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Prepare()
			errs := c.config.Prepare()
			if len(errs) != len(c.want) {
				t.Fatalf("%d errors, want %d: %v", len(errs), len(c.want), errs)
			}
			text := errors.Join(errs...)
			for _, want := range c.want {
				if !strings.Contains(text.Error(), want) {
					t.Errorf("%q is missing in %v", want, errs)
				}
			}
			if !c.config.Enabled.True() {
				t.Error("the proof is off by default")
			}
		})
	}
}

func TestTheBlockCrossesTheWire(t *testing.T) {
	for name, spec := range (&Config{}).FlatMapstructure().HCL2Spec() {
		if _, err := rpc.ToProto(spec); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The option reaches the judgement.
func TestOneOfSeveralInstallationsIsHeldAgainstTheExpectation(t *testing.T) {
	for windows, want := range map[string]int{"": 0, "all": 0, "2": 2, "<unknown>": 0} {
		c := Config{Windows: windows}
		c.Prepare()
		if got := c.expectation(Options{}).Partition; got != want {
			t.Errorf("%q: partition %d", windows, got)
		}
	}
}
