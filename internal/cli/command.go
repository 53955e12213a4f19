package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/agext/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
)

// program is what the binary is called in texts; Packer installs it under a longer name.
const program = "packer-plugin-sysprep"

// exits is the annotation of a command that says what its exit codes mean, a line
// each.
const exits = "exits"

// call is one command line that is executed.
type call struct {
	stdout, stderr *edge.Writer
	code           int
}

func init() { cobra.MousetrapHelpText = "" } // no waiting for whoever clicks on it in Explorer

func newRoot(c *call) *cobra.Command {
	root := &cobra.Command{
		Use:   program + " COMMAND",
		Short: "generalizes Windows machines with Packer, and proves images",
		Long: `This is a plugin for HashiCorp Packer: its provisioner, builder and post-processor run sysprep in a Windows machine and prove the image. Packer starts it for templates that name it:

  packer {
    required_plugins {
      sysprep = {
        source  = "github.com/packer-plugin-sysprep/sysprep"
        version = ">= 0.1.0"
      }
    }
  }

The commands below need no Packer.`,
		Example: `# is this disk generalized?
` + program + ` inspect disk.vhdx
# what is wrong with this answer file?
` + program + ` lint unattend.xml
# why did sysprep fail?
` + program + ` diagnose Panther`,
		Annotations: map[string]string{exits: "0 done, and nothing is wrong\n1 what was judged is not as it should be\n2 it could not be judged, or the command line is wrong\n130 ended at once by a second Ctrl-C"},
		Args:        cobra.ArbitraryArgs,

		SilenceErrors: true, SilenceUsage: true, DisableSuggestions: true, // these are ours
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	showVersion := root.Flags().Bool("version", false, "say which version this is, as the command version does")
	root.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 0:
			return unknownCommand(root, args)
		case *showVersion:
			return c.version(common{})
		}
		_, err := io.WriteString(c.stdout.Raw(), help(cmd))
		return err
	}
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		// There is no help for a command that does not exist.
		if words := slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.HasPrefix(arg, "-") }); cmd == root && len(words) > 0 {
			c.code = c.misused(root, unknownCommand(root, words))
			return
		}
		_, _ = io.WriteString(c.stdout.Raw(), help(cmd)) // a terminal that is gone
	})
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(inspectCommand(c), captureCommand(c), lintCommand(c), diagnoseCommand(c), versionCommand(c), completionCommand(c), adoptCommand(c), sbomCommand(c))
	root.SetHelpCommand(helpCommand(c))
	root.InitDefaultHelpCmd()
	for _, cmd := range append(root.Commands(), root) {
		cmd.Flags().SortFlags = false
		cmd.Flags().BoolP("help", "h", false, "show this text")
		cmd.DisableFlagsInUseLine = true
	}
	return root
}

// common are the options of every command that reports something.
type common struct {
	json, quiet bool
	output      string
}

func (o *common) flags(f *pflag.FlagSet, each string) {
	f.BoolVar(&o.json, "json", false, "one JSON document for "+each+", on a line of its own")
	o.written(f)
}

// written are the options that say where the result goes.
func (o *common) written(f *pflag.FlagSet) {
	f.BoolVarP(&o.quiet, "quiet", "q", false, "leave out all text but errors: the exit code tells. A document that is asked for is still written")
	f.VarP((*value)(&o.output), "output", "o", "write the result to `FILE` instead of standard output; it replaces FILE when it is complete")
}

// to runs a command with its output where it is asked for. Document says that the
// output is one for programs; inputs are files that it must not replace.
func (o *common) to(ctx context.Context, c *call, document bool, inputs []string, do func(stdout, stderr *edge.Writer) int) error {
	if o.output == "" || o.output == "-" {
		stdout := c.stdout
		if o.quiet && !document {
			stdout = edge.Screen(io.Discard)
		}
		c.code = do(stdout, c.stderr)
		return nil
	}
	if err := hostfile.Writable(o.output, inputs...); err != nil {
		return fmt.Errorf("--output %s: %w", o.output, err)
	}
	var text bytes.Buffer
	c.code = do(edge.Screen(&text), c.stderr)
	if text.Len() == 0 {
		return nil // an error, which was said
	}
	if err := hostfile.WriteFile(context.WithoutCancel(ctx), o.output, text.Bytes()); err != nil {
		fmt.Fprintf(c.stderr, "--output %s: it could not be written: %s\n", o.output, err)
		c.code = CannotDo
	}
	return nil
}

// value is an option that may not be empty, and does not take the option after it
// for its text.
type value string

func (v *value) String() string { return string(*v) }
func (v *value) Type() string   { return "text" }
func (v *value) Set(s string) error {
	if s == "" || strings.HasPrefix(s, "--") {
		return errNoValue
	}
	*v = value(s)
	return nil
}

// values is one that can be given several times.
type values []string

func (v *values) String() string { return strings.Join(*v, ", ") }
func (v *values) Type() string   { return "text" }
func (v *values) Set(s string) error {
	var one value
	err := one.Set(s)
	*v = append(*v, s)
	return err
}

// limit is a time that is allowed.
type limit time.Duration

func (l *limit) String() string { return time.Duration(*l).String() }
func (l *limit) Type() string   { return "duration" }
func (l *limit) Set(s string) error {
	if s == "" || strings.HasPrefix(s, "--") {
		return errNoValue
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return errors.New("give a time with its unit, for instance 90s or 5m")
	}
	*l = limit(d)
	return nil
}

var errNoValue = errors.New("it needs a value")

// flagError says what is wrong with an option in our words, with the nearest one that
// there is.
func flagError(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			return fmt.Errorf("unknown option -%s in -%s", name, unknown.GetSpecifiedShortnames())
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		near := nearest(name, names)
		if near != "" {
			return fmt.Errorf("unknown option --%s; did you mean --%s?", name, near)
		}
		return fmt.Errorf("unknown option --%s", name)
	case errors.As(err, &missing):
		return fmt.Errorf("option --%s needs a value", missing.GetFlag().Name)
	case errors.As(err, &invalid) && errors.Is(err, errNoValue):
		return fmt.Errorf("option --%s needs a value", invalid.GetFlag().Name)
	case errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == "bool":
		return fmt.Errorf("option --%s takes no value, and %q was given", invalid.GetFlag().Name, invalid.GetValue())
	case errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == "int":
		return fmt.Errorf("--%s %s: give a whole number", invalid.GetFlag().Name, invalid.GetValue())
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s %s: %w", invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap())
	}
	return err
}

// commandOf is the command that a file is for, by the end of its name.
var commandOf = map[string]string{
	".vhd": "inspect", ".vhdx": "inspect", ".qcow2": "inspect", ".raw": "inspect", ".img": "inspect", ".vmdk": "inspect", ".ova": "inspect",
	".hcl": "adopt", ".xml": "lint", ".log": "diagnose", ".zip": "diagnose",
}

func unknownCommand(root *cobra.Command, args []string) error {
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			names = append(names, c.Name())
		}
	}
	if near := nearest(args[0], names); near != "" {
		return fmt.Errorf("unknown command %s; did you mean %s?", args[0], near)
	}
	if name := commandOf[strings.ToLower(filepath.Ext(args[0]))]; name != "" {
		return fmt.Errorf("unknown command %s; for a file of this kind: %s %s %s", args[0], program, name, args[0])
	}
	return fmt.Errorf("unknown command %s; there are %s", args[0], strings.Join(names, ", "))
}

// nearest is the name that was probably meant, or none.
func nearest(word string, names []string) (near string) {
	best := min(len(word), 1+max(2, len(word)/3)) // more is another word
	for _, name := range names {
		if word != "" && strings.HasPrefix(name, word) {
			return name
		}
		if d := levenshtein.Distance(word, name, nil); d < best {
			near, best = name, d
		}
	}
	return near
}

// misused says what is wrong with a command line, and how to call the command.
func (c *call) misused(cmd *cobra.Command, err error) int {
	fmt.Fprintf(c.stderr, "%s\nusage: %s\nfor more: %s --help\n", err, cmd.UseLine(), cmd.CommandPath())
	return CannotDo
}

// twoDashes writes options with a long name and one dash as they are read: -json is
// --json.
func twoDashes(root *cobra.Command, args []string) []string {
	args = slices.Clone(args)
	for i, arg := range args {
		if arg == "--" || strings.HasPrefix(arg, "__complete") {
			break
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || strings.HasPrefix(arg, "--") || len(name) < 2 {
			continue
		}
		for _, cmd := range append(root.Commands(), root) {
			if cmd.Flags().Lookup(name) != nil {
				args[i] = "-" + arg
			}
		}
	}
	return args
}
