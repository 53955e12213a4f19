//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence/evidencetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// oneTemplate has a sysprep step of its own that adopt can replace whole.
const oneTemplate = `source "azure-arm" "x" {}

build {
  sources = ["azure-arm.x"]
  provisioner "powershell" {
    inline = [
      "& $env:SystemRoot\\System32\\Sysprep\\Sysprep.exe /oobe /generalize /quiet /quit",
      "while ($true) { $s = (Get-ItemProperty HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\State).ImageState; if ($s -eq 'IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE') { break }; Start-Sleep -s 10 }",
    ]
  }
}
`

// programs stand for what the pages call besides ours: a server, the reader's own programs,
// and the cmdlets at the end of a line for PowerShell.
var programs = map[string]string{
	"curl":              `cat "$FIXTURES/setupact.log"`,
	"render-template":   `cat "$FIXTURES/unattend.xml"`,
	"publish":           `test -f "$1"`,
	"Out-String":        `cat`,
	"Invoke-Expression": `grep -q Register-ArgumentCompleter`,
}

// image writes a disk in the format of its name.
func image(t *testing.T, raw, path string, o diskimage.Options) {
	t.Helper()
	d, err := diskimage.Open(raw, diskimage.As(diskimage.Raw))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := diskimage.Convert(t.Context(), d, path, o); err != nil {
		t.Fatal(err)
	}
}

// privateKey is one that signs evidence, in PEM form.
func privateKey(t *testing.T) []byte {
	t.Helper()
	path, _ := evidencetest.Key(t)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// fixtures makes the files that the pages name: good images, a clone that failed at its
// first boot, logs of failures, an answer file, a template, a run.
func fixtures(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	logs := filepath.Join(testutil.Root(), "internal", "cli", "testdata", "diagnose")
	if err := os.CopyFS(dir, os.DirFS(logs)); err != nil {
		t.Fatal(err)
	}
	firstBoot, err := os.ReadFile(filepath.Join(logs, "Panther", "setupact.log"))
	if err != nil {
		t.Fatal(err)
	}
	source := winimagetest.Disk(t, winimagetest.Spec{GPT: true})
	good := winimagetest.Disk(t, winimagetest.Spec{GPT: true, Generalized: true, Software: func(root *hivewrite.Key) {
		root.Path(`Microsoft\Windows\CurrentVersion\Uninstall\Contoso Agent`).SetString("DisplayName", "Contoso Agent")
	}})
	clone := winimagetest.Disk(t, winimagetest.Spec{GPT: true, Generalized: true, Files: map[string]string{`\Windows\Panther\setupact.log`: string(firstBoot)}})
	fixed := diskimage.Options{Format: diskimage.VHD, Type: diskimage.Fixed, AlignMiB: true}
	for _, name := range []string{"disk.vhd", "server2022.vhd", "windows-2022.vhd"} {
		image(t, good, in(name), fixed)
	}
	for name, raw := range map[string]string{"disk.vhdx": good, "image.vhdx": good, "clone.vhdx": clone} {
		image(t, raw, in(name), diskimage.Options{Format: diskimage.VHDX})
	}
	image(t, good, in("server.vhd"), fixed)
	image(t, source, in("source.vhd"), fixed)
	image(t, good, in("source.vhdx"), diskimage.Options{Format: diskimage.VHDX})
	for _, name := range []string{"a.qcow2", "disk.qcow2"} {
		image(t, good, in(name), diskimage.Options{Format: diskimage.QCOW2})
	}
	key := privateKey(t)
	for _, name := range []string{"key.pem", "keys/images.pem"} {
		if err := os.MkdirAll(filepath.Dir(in(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(in(name), key, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	end := int64(1200)
	run, err := json.Marshal(runlog.Log{
		Phases:       []runlog.Phase{{Name: "look", EndMS: &end, Outcome: runlog.OK}},
		Observations: runlog.Observations{List: []runlog.Observation{{Log: "2026-11-23 14:02:10, Info                  SYSPRP begins"}}},
		Verdict:      &runlog.Verdict{Class: "generalized"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"unattend.xml": winimagetest.AnswerFile, "windows.pkr.hcl": oneTemplate, "logs/run.json": string(run)} {
		if err := os.WriteFile(in(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, body := range programs {
		if err := os.MkdirAll(in("bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(in("bin/"+name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(built("packer-plugin-sysprep"), in("bin/packer-plugin-sysprep")); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"home/.zfunc", "home/.config/fish/completions"} {
		if err := os.MkdirAll(in(folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestTheCommandsOfThePagesRun runs each block of shell that is not marked with norun, in
// a folder with the files that the pages name. Each of its commands has to end with the
// exit code of its mark; without one diagnose, which is given logs of failures, and
// --boots-on, which is given a disk without drivers, with 1, and all others with 0.
func TestTheCommandsOfThePagesRun(t *testing.T) {
	t.Parallel()
	pages, err := testutil.Pages(os.DirFS(testutil.Root()))
	if err != nil {
		t.Fatal(err)
	}
	shared := fixtures(t)
	ran := 0
	for _, page := range pages {
		for _, b := range page.Blocks() {
			if _, not := b.Marks["norun"]; !b.Shell() || not {
				continue
			}
			ran++
			t.Run(b.Where, func(t *testing.T) {
				t.Parallel()
				if out, err := runBlock(t, b, shared); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
	if ran < 10 {
		t.Errorf("%d blocks were found", ran)
	}
	// A command that the page has wrong is seen.
	for _, text := range []string{"packer-plugin-sysprep inspect --nope disk.vhd", "packer-plugin-sysprep inspect disk.vhd\nfalse", "packer-plugin-sysprep inspect source.vhd", "packer-plugin-sysprep lint none.xml"} {
		if _, err := runBlock(t, testutil.Block{Where: "a.md:1", Kind: "sh", Text: text}, shared); err == nil {
			t.Errorf("%q is taken for right", text)
		}
	}
}

// runBlock runs the commands of a block in a shell of its own.
func runBlock(t *testing.T, b testutil.Block, shared string) (said string, err error) {
	t.Helper()
	for _, tool := range []string{"jq", "git"} {
		if strings.Contains("\n"+b.Text, "\n"+tool+" ") {
			testutil.Tool(t, tool)
		}
	}
	dir := filepath.Join(t.TempDir(), "work")
	if err := os.CopyFS(dir, os.DirFS(shared)); err != nil {
		return "", err
	}
	var script strings.Builder
	for _, command := range b.Commands() {
		want := b.Marks["exit"]
		if want == "" {
			want = "0"
			if strings.Contains(command, "sysprep diagnose ") || strings.Contains(command, " --boots-on ") {
				want = "1"
			}
		}
		fmt.Fprintf(&script, "%s\ncode=$?; [[ $code == %s ]] || { echo \"exit code $code, not %s, of:\"; cat <<'COMMAND'\n%s\nCOMMAND\nexit 9; }\n", command, want, want, command)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir, cmd.WaitDelay = dir, 10*time.Second
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "FIXTURES="+shared, "HOME="+filepath.Join(dir, "home"), "PACKER_NO_COLOR=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}
