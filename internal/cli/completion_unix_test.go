//go:build !windows

package cli

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// install puts the test binary on a path of its own under the plugin's name, and a shell's
// script beside it.
func install(t *testing.T, shell string) (dir, script string) {
	t.Helper()
	dir = t.TempDir()
	text := "#!/bin/sh\nSYSPREP_TEST_COMMAND=arguments exec '" + os.Args[0] + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, program), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	script = filepath.Join(dir, "script")
	if code, _, stderr := run(t, "completion", shell, "-o", script); code != OK {
		t.Fatalf("%d %s", code, stderr)
	}
	return dir, script
}

// TestShellsCompleteCommandLines asks real shells what they offer.
func TestShellsCompleteCommandLines(t *testing.T) {
	const bash = `. /usr/share/bash-completion/bash_completion; . "$SCRIPT"
COMP_LINE=$LINE; COMP_POINT=${#LINE}; read -ra COMP_WORDS <<<"$LINE"; [[ $LINE == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_TYPE=9
__start_packer-plugin-sysprep; printf '%s\n' "${COMPREPLY[@]}"`
	// zsh completes at a terminal only: what its function hands to compadd is printed.
	const zsh = `autoload -Uz compinit; compinit -D -u -d "$DIR/dump" 2>/dev/null; . "$SCRIPT"
_describe() { print -l -- "${(@)${(P)2}%%:*}"; }; _arguments() { :; }
words=("${(z)LINE}"); [[ $LINE == *" " ]] && words+=(""); CURRENT=${#words}; _packer-plugin-sysprep`
	const fish = `source $SCRIPT; complete -C $LINE`
	// PSReadLine, which the script asks what Tab does, is loaded at a terminal only.
	const powershell = `function Get-PSReadLineKeyHandler { [pscustomobject]@{ Key = 'Tab'; Function = 'TabCompleteNext' } }
Get-Content -Raw -LiteralPath $env:SCRIPT | Invoke-Expression
(TabExpansion2 $env:LINE $env:LINE.Length).CompletionMatches | ForEach-Object { $_.CompletionText }`
	for shell, ask := range map[string]string{"bash": bash, "zsh": zsh, "fish": fish, "powershell": powershell} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			tool, err := exec.LookPath("pwsh")
			if shell != "powershell" {
				tool = testutil.Tool(t, shell)
			} else if err != nil {
				t.Skip("SKIPPED: pwsh is not installed, which no package source of ours has") // as make test-powershell
			}
			if _, err := os.Stat("/usr/share/bash-completion/bash_completion"); shell == "bash" && err != nil {
				testutil.Missing(t, "bash-completion is not installed")
			}
			dir, script := install(t, shell)
			for line, want := range map[string][]string{
				" in":                  {"inspect"},
				" lint --s":            {"--sarif", "--severity"},
				" inspect --for ":      {"aws", "azure", "hyperv", "openstack"},
				" completion ":         {"bash", "fish", "powershell", "zsh"},
				" help di":             {"diagnose"},
				" lint --severity sec": {"secret="},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				cmd := exec.CommandContext(ctx, tool, "-c", ask)
				cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "SCRIPT="+script, "DIR="+dir, "LINE="+program+line, "HOME="+dir, "POWERSHELL_TELEMETRY_OPTOUT=1")
				out, err := cmd.Output()
				cancel()
				var got []string
				for offered := range strings.Lines(string(out)) {
					if name := strings.FieldsFunc(offered, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }); len(name) > 0 {
						got = append(got, name[0])
					}
				}
				// What does not begin as the last word does is left out by zsh itself.
				last := line[strings.LastIndex(line, " ")+1:]
				got = slices.DeleteFunc(got, func(name string) bool { return !strings.HasPrefix(name, last) })
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("%s%s: %q, want %q, %v", program, line, got, want, err)
				}
			}
		})
	}
}
