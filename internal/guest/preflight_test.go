package guest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// askedGroup is the group that a line asks for; empty: it is another line.
func askedGroup(t *testing.T, line string) Group {
	t.Helper()
	_, argument, found := strings.Cut(line, "preflight.ps1 -Json ")
	if !found {
		return ""
	}
	var p struct{ Groups []Group }
	raw, err := base64.StdEncoding.DecodeString(argument)
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil || len(p.Groups) != 1 {
		t.Fatalf("%s: %v", line, err)
	}
	return p.Groups[0]
}

func preflightSays(facts string) string {
	return `{"script":"preflight","schema":1,"ok":true,"time":"2026-01-02T03:04:05.0000000Z","ms":1500,"facts":` + facts + "}\r\n"
}

func TestEachGroupIsACommandWithItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{start: func(ctx context.Context, r Request) error {
			switch askedGroup(t, r.Line) {
			case GroupBase:
				return says(preflightSays(`{"disk":{"value":{"free":1},"ms":3}}`), "")(ctx, r)
			case GroupAppx:
				return says(`{"script":"preflight","schema":1,"ok":false,"error":{"name":"script","message":"no"}}`+"\r\n", "")(ctx, r)
			case GroupRoles:
				return says("a banner\r\n", "")(ctx, r)
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}}
		begun := time.Now()
		a, err := New(f, "id").Preflight(t.Context(), []Group{GroupBase, GroupAppx, GroupLicensing, GroupRoles})
		if took := time.Since(begun); err != nil || a.WithoutPowerShell || took != groups[GroupLicensing].limit || len(a.Groups) != 4 {
			t.Fatalf("%v after %s: %+v", err, took, a)
		}
		if g := a.Groups[0]; g.Err != nil || g.Took != 1500*time.Millisecond || g.Time.Year() != 2026 {
			t.Errorf("%+v", g)
		}
		for i, want := range map[int]error{1: &ScriptError{Name: "script"}, 2: ErrNoAnswer, 3: ErrNoDocument} {
			if !errors.Is(a.Groups[i].Err, want) {
				t.Errorf("%s: %v, want %v", a.Groups[i].Group, a.Groups[i].Err, want)
			}
		}
		facts := a.Facts()
		if string(facts["disk"]) != `{"value":{"free":1},"ms":3}` {
			t.Errorf("disk is %s", facts["disk"])
		}
		for name, want := range map[string]string{"licensing": "no answer in time", "appx": "guest script preflight: script: no", "roles": "a banner", "os": "did not tell"} {
			var f struct{ Error, ErrorID string }
			if err := json.Unmarshal(facts[name], &f); err != nil || f.ErrorID != ErrorIDGroup || !strings.Contains(f.Error, want) {
				t.Errorf("%s: %v, %s", name, err, facts[name])
			}
		}
	})
}

func TestNoGroupIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(&fake{start: func(ctx context.Context, _ Request) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}, "id")
		if _, err := s.Preflight(t.Context(), DefaultGroups()); !errors.Is(err, ErrNoAnswer) {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Preflight(ctx, DefaultGroups()); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if _, err := s.Preflight(t.Context(), []Group{"nonsense"}); err == nil {
			t.Error("a group that nobody knows was asked for")
		}
	})
}

// An answer that does not come says nothing about PowerShell, and what is cancelled
// nothing about the guest.
func TestWhatIsCutShortIsNoLookWithoutPowerShell(t *testing.T) {
	f := &fake{start: says("packer-part:end\r\n", ""), upload: func(string, []byte) error { return ErrNoAnswer }}
	if a, err := New(f, "id").Preflight(t.Context(), DefaultGroups()); !errors.Is(err, ErrNoAnswer) || a.WithoutPowerShell {
		t.Errorf("%v, %+v", err, a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f = &fake{start: func(_ context.Context, r Request) error {
		cancel()
		return says(preflightSays(`{"disk":{"value":{},"ms":3}}`), "")(ctx, r)
	}}
	if a, err := New(f, "id").Preflight(ctx, []Group{GroupBase}); !errors.Is(err, context.Canceled) || a.Groups[0].Facts == nil {
		t.Errorf("%v, %+v", err, a)
	}
}

// The facts of a group are those that the script answers with.
func TestTheGroupsHaveTheFactsOfTheScript(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testutil.Root(), "internal", "guest", "scripts", "golden", "preflight-clean-win11.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Groups []Group
		Facts  map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, group := range want.Groups {
		for _, name := range groups[group].facts {
			if n++; want.Facts[name] == nil {
				t.Errorf("%s has no fact %s", group, name)
			}
		}
	}
	if n != len(want.Facts) || len(want.Groups) != len(groups) {
		t.Errorf("%d facts in %d groups, want %d in %d", n, len(groups), len(want.Facts), len(want.Groups))
	}
}

// Where PowerShell runs nothing, no other group is tried, and cmd.exe is asked.
func TestPowerShellIsTriedOnce(t *testing.T) {
	f := &fake{start: func(ctx context.Context, r Request) error {
		if askedGroup(t, r.Line) != "" {
			return says("", "This script is blocked by policy.")(ctx, r)
		}
		return says("packer-part:registry\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\r\n    ProductName    REG_SZ    Windows 10 Pro\r\npacker-part:end\r\n", "")(ctx, r)
	}}
	a, err := New(f, "id").Preflight(t.Context(), DefaultGroups())
	if err != nil || !a.WithoutPowerShell || !strings.Contains(a.Reason, "blocked by policy") || len(a.Groups) != 4 {
		t.Fatalf("%v, %+v", err, a)
	}
	tried := slices.DeleteFunc(f.lines(), func(line string) bool { return askedGroup(t, line) == "" })
	if len(tried) != 1 {
		t.Errorf("PowerShell was tried %d times", len(tried))
	}
	facts := a.Facts()
	for name, want := range map[string]string{"os": `"ProductName":"Windows 10 Pro"`, "appx": ErrorIDWithoutPowerShell, "identity": ErrorIDWithoutPowerShell, "bitlocker": ErrorIDWithoutPowerShell} {
		if !strings.Contains(string(facts[name]), want) {
			t.Errorf("%s: %s, want %s", name, facts[name], want)
		}
	}
	// Nothing is said of a registry that reg.exe does not list.
	f.start = says("packer-part:end\r\n", "")
	if a, err := New(f, "id").Preflight(t.Context(), DefaultGroups()); !errors.Is(err, ErrUnreadable) {
		t.Errorf("%v, %+v", err, a)
	}
}

func TestTheQuestionsWithoutPowerShellFitOnLines(t *testing.T) {
	asks := askFacts()
	lines := inLines(asks)
	for _, n := range []int{1, 3} {
		var many []question
		for range n {
			many = append(many, asks...)
		}
		for _, line := range inLines(many) {
			whole := all(line, echo("end"))
			if err := whole.fits(); err != nil {
				t.Error(err)
			}
			if first, _, _ := strings.Cut(strings.ReplaceAll(line.text, "&& ", "then "), "& "); !strings.Contains(first, "packer-^part:") {
				t.Errorf("a line begins with what has no mark: %s", first)
			}
		}
	}
	if len(lines) > 2 {
		t.Errorf("%d lines", len(lines))
	}
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(line.text + "\n")
	}
	for _, q := range asks {
		if !strings.Contains(text.String(), q.c.text) || q.part != "" && !strings.Contains(text.String(), echo(q.part).text+"& ") {
			t.Errorf("%s is not asked", q.c.text)
		}
	}
	// A password is not listed, nor what it may be made of.
	if strings.Contains(text.String(), `Winlogon" /reg`) || strings.Contains(text.String(), `Windows NT\CurrentVersion" /reg`) {
		t.Error("a key that holds secrets is listed")
	}
	if !regexp.MustCompile(`/v DefaultPassword /reg:64>nul 2>nul&&`).MatchString(text.String()) {
		t.Error("a password may be shown")
	}
}

func TestWhatCmdTellsIsRead(t *testing.T) {
	const services = `HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\`
	a := readAnswer(strings.Join([]string{
		"packer-part:registry",
		`HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "    ProductName    REG_SZ    Windows 10 Pro",
		`HKEY_LOCAL_MACHINE\SYSTEM\Setup`, "    CmdLine    REG_SZ", "    SetupType    REG_DWORD    0x0", "",
		`HKEY_LOCAL_MACHINE\SYSTEM\Setup\Source OS (Updated on 6/14/2025 10:39:22)`, `HKEY_LOCAL_MACHINE\SYSTEM\Setup\Status`,
		`HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Session Manager`, `    PendingFileRenameOperations    REG_MULTI_SZ    \??\C:\a.tmp\0\0\??\C:\b.tmp\0`,
		`HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\TimeZoneInformation`, "    ActiveTimeBias    REG_DWORD    0xffffffc4",
		`HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal\Cleanup`, `    an agent    REG_SZ    "C:\Program Files\Contoso\agent.dll",Cleanup`,
		`HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal\Generalize`, "    bare    REG_SZ    missing.dll,Entry",
		`HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList\S-1-5-18`, `    ProfileImagePath    REG_EXPAND_SZ    %systemroot%\system32\config\systemprofile`,
		`HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\ProductOptions`, "    ProductType    REG_SZ    LanmanNT",
		services + "WSearch", "    Start    REG_DWORD    0x2", services + "AppXSvc", "    Start    REG_DWORD    0x4",
		"packer-part:running",
		"SERVICE_NAME: WSearch ", "        TYP                : 10  WIN32_OWN_PROCESS  ", "        STATUS             : 4  RUNNING ", "                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)",
		"[SC] EnumQueryServicesStatus:OpenService FEHLER 1060:", "Der angegebene Dienst ist kein installierter Dienst.",
		"packer-part:tasks", `"TiWorker.exe","812","Services","0","12.340 K"`, `"cmd.exe","1","Services","0","1 K"`, "packer-part:listed", "packer-part:value-password", "packer-part:end",
	}, "\r\n"))
	f := cmdFacts{windir: `D:\Windows`, keys: map[string]map[string]regValue{}, names: map[string]string{}, marks: map[string]bool{}, parts: map[string][]string{}}
	f.take(a)
	f.looked = f.paths()
	f.there = []string{`C:\Program Files\Contoso\agent.dll`}
	facts, err := f.facts()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"setup":             {`"CmdLine":""`, `"SetupType":0`, `"UnattendFile":null`, `"Source OS (Updated on 6/14/2025 10:39:22)"`},
		"os":                {`"productType":2`, `"UBR":null`},
		"rebootPending":     {`"fileRenames":2`, `"cbsRebootPending":false`, `b.tmp`},
		"clock":             {`"bias":-60`},
		"services":          {`"WSearch":{"delayed":null,"start":2,"status":"Running"}`, `"AppXSvc":{"delayed":null,"start":4}`},
		"processes":         {`{"list":[{"id":812,"name":"TiWorker","session":0,"start":null}]}`},
		"autologon":         {`"defaultPasswordPresent":true`},
		"externalProviders": {`"dll":"C:\\Program Files\\Contoso\\agent.dll","exists":true,"name":"an agent","phase":"Cleanup"`, `"dll":"D:\\Windows\\System32\\missing.dll","exists":false`},
		"profiles":          {`"exists":false,"path":"D:\\Windows\\system32\\config\\systemprofile"`},
	} {
		for _, part := range want {
			if !strings.Contains(string(facts[name]), part) {
				t.Errorf("%s: %s, want %s", name, facts[name], part)
			}
		}
	}
	for _, name := range []string{"identity", "answerFiles", "bitlocker", "engine"} {
		if facts[name] != nil {
			t.Errorf("%s is told: %s", name, facts[name])
		}
	}
}
