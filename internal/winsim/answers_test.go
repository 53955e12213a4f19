package winsim

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

// The goldens here are those of internal/guest/scripts/test/answers.ps1, whose cases
// they repeat.

// withArguments runs a script of ours as a call, and returns what it says.
func withArguments(t *testing.T, g *Guest, c cmdshell.Call) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.Name, c.Dir, c.Env, c.Stdout, c.Stderr = "powershell.exe", g.profile(), g.environment("packer"), &stdout, &stderr
	_, run := g.prepare(context.Background(), &c, "packer")
	run()
	if stderr.Len() > 0 {
		t.Errorf("stderr: %s", stderr.String())
	}
	return stdout.String()
}

// inlined runs a script that is no file.
func inlined(t *testing.T, g *Guest, name string, lines ...string) string {
	t.Helper()
	return withArguments(t, g, cmdshell.Call{
		Args: "-NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand " + scripts.Encoded(name), Stdin: strings.NewReader(strings.Join(lines, "\r\n")),
	})
}

func inBase64(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// zipped is a zip of names and texts.
func zipped(t *testing.T, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		w, err := z.Create(entries[i])
		if err == nil && entries[i+1] != "" {
			_, err = w.Write([]byte(entries[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t *testing.T, g *Guest, path, content string) {
	t.Helper()
	if err := g.drive.WriteFile(path, []byte(content)); err != nil {
		t.Fatal(err)
	}
}

func TestProcessesGivesTheGoldens(t *testing.T) {
	g := inState(t, "clean-server-2022", Scenario{})
	out, _ := runScript(t, g, "processes", nil, "")
	compareGolden(t, "processes-none", out)
	g.addProcess("sysprep.exe", `"C:\Windows\System32\Sysprep\sysprep.exe" /generalize /oobe /quit`, "packer", 0)
	g.addProcess("sysprep.exe", "sysprep.exe /oobe", "packer", 1)
	g.addProcess("notepad.exe", "", "packer", 1)
	for _, name := range []string{"packer-run1.mark", "packer-run1.txt", "setupact.log"} {
		write(t, g, folderSysprep+`\Panther.packer-20260101T000000Z\`+name, "x")
	}
	write(t, g, folderPanther+`\packer-run2.mark`, "x")
	numbered := func(out string) string {
		first, rest, _ := strings.Cut(samePID(out), `"id":4000`)
		return first + `"id":4000` + strings.Replace(rest, `"id":4000`, `"id":4001`, 1)
	}
	out, _ = runScript(t, g, "processes", nil, "")
	compareGolden(t, "processes", numbered(out))
	b := &call{Call: &cmdshell.Call{Env: g.environment("packer")}, user: "packer", filtered: true}
	var said bytes.Buffer
	b.Stdout = &said
	(&twin{g: g, ctx: context.Background(), c: b}).processList()
	compareGolden(t, "processes-unreadable", numbered(said.String()))

	out, code := runScript(t, inState(t, "everything-throws", Scenario{}), "processes", nil, "")
	compareGolden(t, "processes-everything-throws", out)
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
}

func TestLaunchOfAProgramGivesTheGoldens(t *testing.T) {
	p := m{"arguments": "sysprep --block", "program": `C:\Program Files\Amazon\EC2Launch\EC2Launch.exe`}
	late := Scenario{Agents: []string{"ec2launch-v2"}, Agent: Agent{Late: Duration(1 << 40)}}
	out, _ := runScript(t, inState(t, "clean-server-2022", late), "launch", p, "")
	compareGolden(t, "launch-program", samePID(out))
	p["mode"], p["logon"], p["taskName"] = "task", "system", "packer-agent"
	out, _ = runScript(t, inState(t, "clean-server-2022", late), "launch", p, "")
	compareGolden(t, "launch-program-task", out)
}

func TestWatchOfAnAgentGivesTheGolden(t *testing.T) {
	p := m{"deadlineSec": 20, "agent": `%windir%\Temp\packer-agent.exit`, "stopWhen": []m{{"agentEnded": true, "process": false}, {"imageState": []string{imageUndeployable}}}}
	out, _ := runScript(t, inState(t, "watch-agent", Scenario{}), "watch", p, "")
	compareGolden(t, "watch-agent", out)
}

func TestTheNewerRepairsGiveTheGoldens(t *testing.T) {
	const app = "Microsoft.WindowsCalculator_11.2501.0.0_x64__8wekyb3d8bbwe"
	both := m{"id": "appx-remove", "packages": []string{app}, "provisioned": []string{calc}}
	agent := m{"phase": "Generalize", "name": "agent"}
	for _, c := range []struct {
		golden, state string
		parameters    m
		scenario      Scenario
		adjust        func(*machinestate.State, *Guest)
	}{
		{"appx-first", "appx-per-user", with(both, "first", []string{"Microsoft.WindowsCalculator_8wekyb3d8bbwe"}), Scenario{}, nil},
		{"appx-stuck", "appx-per-user", both, Scenario{Repairs: Repairs{RepairFails: []string{"appx-remove"}}}, nil},
		{"appx-bundle", "appx-per-user", both, Scenario{}, nil}, // the simulated guest has no bundles: what is said is the same
		{"service-enable", "leftovers", m{"id": "service-enable", "services": []string{"AppXSvc", "wuauserv", "Spooler"}}, Scenario{}, nil},
		{"service-enable-protected", "leftovers", m{"id": "service-enable", "services": []string{"AppXSvc"}}, Scenario{}, func(s *machinestate.State, _ *Guest) { s.Protected = []string{"AppXSvc"} }},
		{"nps-clients-remove", "nps", m{"id": "nps-clients-remove", "clients": []string{"switch-1", "gone"}}, Scenario{}, nil},
		{"domain-leave", "clean-server-2022", m{"id": "domain-leave"}, Scenario{}, func(s *machinestate.State, _ *Guest) {
			s.Computer.PartOfDomain, s.Computer.DomainRole, s.Computer.Domain = true, 3, "example.test"
		}},
		{"domain-leave-controller", "domain-controller", m{"id": "domain-leave"}, Scenario{}, func(s *machinestate.State, _ *Guest) {
			s.Computer.PartOfDomain, s.Computer.DomainRole, s.Computer.Domain = true, 5, "example.test"
		}},
		{"external-provider-named", "clean-server-2022", m{"id": "external-provider-remove", "providers": []m{with(agent, "named", true), {"phase": "Cleanup", "name": "none"}}}, Scenario{}, nil},
		{"external-provider-kept", "clean-server-2022", m{"id": "external-provider-remove", "providers": []m{agent}}, Scenario{}, nil},
		{"reserved-storage-scenario", "clean-win11", m{"id": "reserved-storage-off", "scenario": true}, Scenario{}, func(s *machinestate.State, g *Guest) {
			s.ReservedStorage = "Enabled"
			g.reg.SetDWord(`HKLM\`+reserves, "ActiveScenario", 1)
		}},
		{"reserved-storage-none", "server-core-2012", m{"id": "reserved-storage-off"}, Scenario{}, func(s *machinestate.State, _ *Guest) { s.ReservedStorage = "" }},
		{"bitlocker-refused", "bitlocker-on", m{"id": "bitlocker-off"}, Scenario{}, func(s *machinestate.State, _ *Guest) { s.Volumes[0].DecryptReturn = 0x80310029 }},
	} {
		t.Run(c.golden, func(t *testing.T) {
			g := inMachineState(t, c.state, c.scenario)
			err := g.machine.Change(func(s *machinestate.State) {
				if c.adjust != nil {
					c.adjust(s, g)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			out, _ := runScript(t, g, "repair", c.parameters, "")
			if c.golden == "appx-stuck" { // the stub names the command
				out = strings.Replace(out, `"Access is denied."`, `"Remove-AppxPackage: Access is denied."`, 1)
			}
			compareGolden(t, "repair-"+c.golden, out)
		})
	}
}

func TestHygieneGivesTheGoldens(t *testing.T) {
	soiled := func(s Scenario) *Guest {
		g := inMachineState(t, "clean-server-2022", s)
		for _, folder := range []string{`\Windows\Temp`, folderEvents, folderTasks, `\Users\packer\AppData\Local\Temp`} {
			if err := g.drive.RemoveAll(folder); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{
			`\Windows\Temp\a\b.tmp`, `\Windows\SoftwareDistribution\Download\x\u.cab`, `\$Recycle.Bin\S-1-5-21-1\$R1.txt`,
			`\Users\packer\AppData\Roaming\Microsoft\Windows\PowerShell\PSReadLine\ConsoleHost_history.txt`, `\Users\packer\Documents\20260101\PowerShell_transcript.WIN.abc.txt`,
			`\Windows\Temp\packer-ps-env-vars-1.ps1`, folderTasks + `\packer-old`, folderPanther + `\packer-run1.mark`,
		} {
			write(t, g, path, "0123456789")
		}
		write(t, g, folderEvents+`\Application.evtx`, "ElfFile\x00"+strings.Repeat("r", 2992))
		if err := g.machine.Change(func(s *machinestate.State) {
			s.Shadows, s.Superseded, s.Disk.Free = []int64{400, 100}, 0, 30_000_000_000
		}); err != nil {
			t.Fatal(err)
		}
		return g
	}
	// runScript brings a script to %windir%\Temp, which is no part of this.
	run := func(g *Guest, p m) string {
		var said bytes.Buffer
		c := &call{Call: &cmdshell.Call{Env: g.environment("packer"), Stdout: &said}, user: "packer"}
		(&twin{g: g, ctx: context.Background(), c: c}).hygiene(inBase64(t, p))
		return said.String()
	}
	g := soiled(Scenario{})
	compareGolden(t, "hygiene-dry-run", run(g, m{"items": hygieneItems, "dryRun": true}))
	compareGolden(t, "hygiene", run(g, m{"items": hygieneItems}))
	compareGolden(t, "hygiene-restart", run(soiled(Scenario{Hygiene: Hygiene{ComponentStoreExit: 3010}}), m{"items": []string{"component-store"}}))
	g = soiled(Scenario{Hygiene: Hygiene{Temp: `C:\Users\packer`}})
	run(g, m{"items": hygieneItems})
	write(t, g, `\Users\packer\mine.txt`, "x")
	compareGolden(t, "hygiene-refused", run(g, m{"items": []string{"temp", "packer-leftovers"}}))
}

func TestExpandGivesTheGoldens(t *testing.T) {
	g := inState(t, "clean-server-2022", Scenario{})
	write(t, g, `\Windows\Temp\good.zip`, string(zipped(t, "empty/", "", "a/b.txt", "abc")))
	write(t, g, `\Windows\Temp\outside.zip`, string(zipped(t, "../x.txt", "abc")))
	write(t, g, `\Windows\Temp\none.zip`, "this is no zip, though it has as many bytes")
	for name, file := range map[string]string{"expand": "good", "expand-not-found": "gone", "expand-outside": "outside", "expand-no-zip": "none"} {
		out, _ := runScript(t, g, "expand", m{"archive": `%windir%\Temp\` + file + ".zip", "to": `%windir%\Temp\new`}, "")
		compareGolden(t, name, out)
	}
}

func TestStoreGivesTheGolden(t *testing.T) {
	const sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of abc
	whole := m{"path": `C:\work\new\x.bin`, "size": 3, "sha256": sum}
	probe := with(whole, "probe", true)
	empty := m{"path": `C:\work\new\y.bin`, "size": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
	g := newGuest(t, Options{})
	out := ""
	for _, c := range []struct {
		p     m
		lines []string
	}{
		{whole, []string{"YQ=="}}, {probe, nil}, {with(whole, "offset", 1), []string{"Yg==", "Yw=="}}, {probe, nil}, {with(whole, "offset", 2), nil},
		{whole, []string{"YWJk"}}, {whole, []string{"%%%"}}, {empty, nil}, {m{"path": `C:\work\new`, "size": 3, "sha256": sum}, []string{"YWJj"}},
	} {
		out += inlined(t, g, scripts.Store, append(append([]string{inBase64(t, c.p)}, c.lines...), "")...)
	}
	out += inlined(t, g, scripts.Store, "", "") + inlined(t, g, scripts.Store, "%%%", "")
	compareGolden(t, "store", out)
}

func TestPlaceGivesTheGolden(t *testing.T) {
	archive := zipped(t, "files", "abcd")
	hash := sha256.Sum256(archive)
	good := m{"zip": `C:\work\kept\x.zip`, "sha256": hex.EncodeToString(hash[:]), "files": []m{{"path": `C:\work\new\a.txt`, "size": 3}, {"path": `C:\work\new\b.txt`, "size": 1}}}
	zeros := sha256.Sum256(make([]byte, 30))
	noZip := m{"zip": `C:\work\kept\x.zip`, "sha256": hex.EncodeToString(zeros[:]), "files": []m{}}
	g := newGuest(t, Options{})
	out := inlined(t, g, scripts.Place, inBase64(t, good), base64.StdEncoding.EncodeToString(archive), "")
	out += inlined(t, g, scripts.Place, inBase64(t, good), "YWJj", "") + inlined(t, g, scripts.Place, inBase64(t, good), "%%%", "")
	out += inlined(t, g, scripts.Place, inBase64(t, noZip), strings.Repeat("AAAA", 10), "") + inlined(t, g, scripts.Place, "", "")
	compareGolden(t, "place", regexp.MustCompile(`"sha256":"[0-9A-F]{64}"`).ReplaceAllString(out, `"sha256":"`+strings.Repeat("0", 64)+`"`))
}

func TestFetchGivesTheGolden(t *testing.T) {
	g := newGuest(t, Options{})
	write(t, g, `C:\work\a.log`, "abcdef")
	write(t, g, `C:\work\b.log`, "abcdef")
	p := m{"files": []string{`C:\work\a.log`, `C:\work\none`, `C:\work\none\none`, `C:\work\b.log`}, "bytes": 4, "total": 7}
	out := inlined(t, g, scripts.Fetch, inBase64(t, p), "") + inlined(t, g, scripts.Fetch, "", "") + inlined(t, g, scripts.Fetch, "%%%", "")
	out = regexp.MustCompile(`"data":"[^"]*"`).ReplaceAllString(out, `"data":""`)
	compareGolden(t, "fetch", regexp.MustCompile(`"size":\d+`).ReplaceAllString(out, `"size":0`))
}

// The simulated guest has no password that could be refused: only the first answer is its.
func TestPasswordGivesTheGolden(t *testing.T) {
	first, _, _ := strings.Cut(golden(t, "password"), "\n")
	if out := strings.TrimSpace(inlined(t, newGuest(t, Options{}), scripts.Password)); out != first {
		t.Errorf("got %s\nwant %s", out, first)
	}
}

func TestPreflightOfSomeFactsGivesTheGoldens(t *testing.T) {
	g := preflightIn(t, "clean-win11")
	out, _ := runScript(t, g, "preflight", m{"only": []string{"imageState", "rebootPending"}}, "")
	compareGolden(t, "only-preflight", out)
	g.throws = func(cmdlet string) error {
		if cmdlet == "Get-WindowsReservedStorageState" {
			return &psError{message: cmdlet + ": Access is denied."}
		}
		return nil
	}
	out, _ = runScript(t, g, "preflight", m{"only": []string{"reservedStorage"}}, "")
	compareGolden(t, "only-preflight-stateerror", out)
}
