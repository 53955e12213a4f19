package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/version"
)

// These commands are about the program itself.

func helpCommand(c *call) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "explains a command",
		Example: program + ` help inspect
# the same
` + program + ` inspect --help`,
		Annotations: map[string]string{exits: "0 the help was shown\n2 there is no such command"},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			for _, sub := range listed(cmd.Root()) {
				if len(args) == 0 {
					names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			of := cmd.Root()
			for _, sub := range of.Commands() {
				if len(args) > 0 && sub.Name() == args[0] {
					of = sub
				}
			}
			if len(args) > 0 && of == cmd.Root() {
				return unknownCommand(of, args)
			}
			_, err := io.WriteString(c.stdout.Raw(), help(of))
			return err
		},
	}
}

func versionCommand(c *call) *cobra.Command {
	var o common
	cmd := &cobra.Command{
		Use:   "version [options]",
		Short: "says which version this is",
		Example: program + ` version
# for programs
` + program + ` version --json`,
		Annotations:       map[string]string{exits: "0 the version was said\n2 it could not be written, or the command line is wrong"},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return errors.New("version takes no arguments")
			}
			return c.version(o)
		},
	}
	o.flags(cmd.Flags(), "the version")
	return cmd
}

// Version is what the command version says, for programs.
type Version struct {
	Version string `json:"version"`
	// Platform is the operating system and the processor, as Go names them.
	Platform string `json:"platform"`
	Go       string `json:"go"`
	// SDK is the version of Packer's plugin SDK.
	SDK string `json:"packer_plugin_sdk,omitempty"`
	// Commit is what it was built from, where the build says it.
	Commit string `json:"commit,omitempty"`
}

func thisVersion() Version {
	v := Version{Version: version.Version, Platform: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	if version.VersionPrerelease != "" {
		v.Version += "-" + version.VersionPrerelease
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, d := range info.Deps {
		if strings.HasSuffix(d.Path, "/packer-plugin-sdk") {
			v.SDK = d.Version
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value
		}
	}
	return v
}

func (c *call) version(o common) error {
	return o.to(context.Background(), c, true, nil, func(stdout, stderr *edge.Writer) int {
		v := thisVersion()
		if o.json {
			if err := json.NewEncoder(stdout.Raw()).Encode(v); err != nil {
				fmt.Fprintln(stderr, err)
				return CannotDo
			}
			return OK
		}
		fmt.Fprintf(stdout, "%s %s\n%s, built with %s, packer-plugin-sdk %s\n", program, v.Version, v.Platform, v.Go, v.SDK)
		return OK
	})
}

// shells are those that completion scripts can be made for.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func completionCommand(c *call) *cobra.Command {
	var o common
	cmd := &cobra.Command{
		Use:   "completion SHELL [options]",
		Short: "writes a script with which a shell completes command lines",
		Long:  "SHELL is bash, zsh, fish or powershell. Bash needs the package bash-completion, PowerShell the module PSReadLine (in every console of 5.1 or later). The program has to be found as " + program + ".",
		Example: `# bash, for this session; for all: write it to
# ~/.local/share/bash-completion/completions/` + program + `
source <(` + program + ` completion bash)
# zsh: a folder of $fpath, then compinit
` + program + ` completion zsh -o ~/.zfunc/_` + program + `
# fish
` + program + ` completion fish -o \
  ~/.config/fish/completions/` + program + `.fish
# PowerShell: the same line in $PROFILE is for all sessions
` + program + ` completion powershell | Out-String | Invoke-Expression`,
		Annotations: map[string]string{exits: "0 the script was written\n2 it could not be written, or the command line is wrong"},
		ValidArgs:   shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("name one shell: %s", strings.Join(shells, ", "))
			}
			var write func(io.Writer) error
			root := cmd.Root()
			switch args[0] {
			case "bash":
				write = func(w io.Writer) error { return root.GenBashCompletionV2(w, true) }
			case "zsh":
				write = root.GenZshCompletion
			case "fish":
				write = func(w io.Writer) error { return root.GenFishCompletion(w, true) }
			case "powershell":
				write = root.GenPowerShellCompletionWithDesc
			default:
				return fmt.Errorf("unknown shell %s; name one of %s", args[0], strings.Join(shells, ", "))
			}
			return o.to(cmd.Context(), c, true, nil, func(stdout, stderr *edge.Writer) int {
				if err := write(stdout.Raw()); err != nil {
					fmt.Fprintln(stderr, err)
					return CannotDo
				}
				return OK
			})
		},
	}
	cmd.Flags().VarP((*value)(&o.output), "output", "o", "write the script to `FILE` instead of standard output")
	return cmd
}
