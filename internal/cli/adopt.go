package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/adopt"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
)

// adopting is one call of adopt.
type adopting struct {
	common
	write bool
	// named are the files that name the plugin, by their folders.
	named map[string]string
}

func adoptCommand(c *call) *cobra.Command {
	var o adopting
	cmd := &cobra.Command{
		Use:   "adopt TEMPLATE... [options]",
		Short: "replaces the home-made sysprep step of a template",
		Long: `TEMPLATE is a Packer template in HCL (.pkr.hcl) or in the older JSON, or a folder with templates in HCL; - is one in HCL on standard input. It looks for calls of sysprep.exe with a loop over ImageState, for a shutdown_command that calls sysprep, and for EC2Launch's and GCE's own sysprep, also in local scripts that the template names, in variables and locals, and in the other files of the folder.

The change is printed as a diff (with -o exactly as patch and git apply take it), then what each part means, with the line of the template. What it cannot decide begins with "decide:". Nothing is written without --write.`,
		Example: `# what would change?
` + program + ` adopt windows.pkr.hcl
# all of a folder, as Packer takes it
` + program + ` adopt .
# change it
` + program + ` adopt --write windows.pkr.hcl
# the diff alone, for a review
` + program + ` adopt -q -o sysprep.patch *.pkr.hcl`,
		Annotations: map[string]string{exits: "0 nothing is left to decide: all that was found is replaced, or there is no home-made step\n1 something is left to decide, which is said\n2 a template could not be read or written, or the command line is wrong\n130 ended at once by a second Ctrl-C"},
		RunE: func(cmd *cobra.Command, files []string) error {
			switch {
			case len(files) == 0:
				return errors.New("no template is named")
			case slices.Contains(files, "-") && len(files) > 1:
				return errors.New("standard input (-) is named beside other templates; adopt it in a call of its own")
			case slices.Contains(files, "-") && o.write:
				return errors.New("--write needs a file to write to; leave it out, and apply the diff with patch")
			}
			files, err := expanded(runtime.GOOS, files)
			if err == nil {
				files, err = templates(files)
			}
			if err != nil {
				return err
			}
			return o.to(cmd.Context(), c, true, files, func(stdout, stderr *edge.Writer) int {
				return o.run(cmd.Context(), files, stdout, stderr)
			})
		},
	}
	f := cmd.Flags()
	o.flags(f, "each template")
	f.Lookup("quiet").Usage = "leave out what the change means, and print the diff alone"
	f.BoolVar(&o.write, "write", false, "write the changed template in place of the old one")
	return cmd
}

// templates are files, and of folders the templates in them, as Packer takes them.
func templates(files []string) (all []string, err error) {
	for _, file := range files {
		if at, err := os.Stat(file); err != nil || !at.IsDir() { // what is not there is said later
			all = append(all, file)
			continue
		}
		entries, err := os.ReadDir(file)
		if err != nil {
			return nil, err
		}
		found := len(all)
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".pkr.hcl") {
				all = append(all, filepath.Join(file, e.Name()))
			}
		}
		if len(all) == found {
			return nil, fmt.Errorf("the folder %s holds no .pkr.hcl; name the template itself", file)
		}
	}
	return all, nil
}

// Adopted is what adopt says of a template, for programs.
type Adopted struct {
	Template string `json:"template"`
	Written  bool   `json:"written"`
	Error    string `json:"error,omitempty"`
	adopt.Result
}

func (o *adopting) run(ctx context.Context, files []string, stdout, stderr *edge.Writer) int {
	code := OK
	o.named = map[string]string{}
	for _, file := range files {
		a := o.one(ctx, file)
		switch {
		case a.Error != "":
			code = CannotDo
		case slices.ContainsFunc(a.Notes, func(n adopt.Note) bool { return n.Decide }):
			code = max(code, NotOK)
		}
		if err := o.say(a, stdout, stderr); err != nil {
			fmt.Fprintln(stderr, err)
			return CannotDo
		}
	}
	return code
}

func (o *adopting) one(ctx context.Context, file string) Adopted {
	a := Adopted{Template: file}
	text, err := o.read(file)
	if err == nil {
		a.Result, err = adopt.Template(file, text, o.beside(file), func(path string) ([]byte, error) { return hostfile.ReadRegular(path, adopt.MaxSize) })
	}
	if adopt.Names(a.After) {
		o.named[filepath.Dir(file)] = file
	}
	if err == nil && ctx.Err() != nil {
		err = errInterrupted
	}
	if err == nil && o.write && a.Diff != "" {
		if err = hostfile.Rewrite(ctx, file, a.After); err != nil {
			err = fmt.Errorf("%s could not be changed: %w; make the file and its folder writable", file, err)
		}
		a.Written = err == nil
	}
	if err != nil {
		a.Error = edge.Text(err.Error())
	}
	if a.Notes == nil {
		a.Notes = []adopt.Note{}
	}
	return a
}

// mostBeside is how many files of a folder are read.
const mostBeside = 200

// beside is the folder of a template: the files that belong to it for Packer, variable files, and
// which of them names the plugin, or will when the changes are made.
func (o *adopting) beside(file string) adopt.Folder {
	folder := filepath.Dir(file)
	all := adopt.Folder{Named: o.named[folder], Files: map[string][]byte{}}
	if file == "-" {
		return all
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return all // the template itself was read: nothing beside it is known
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		template := strings.HasSuffix(e.Name(), ".pkr.hcl")
		if !template && !strings.HasSuffix(e.Name(), ".pkrvars.hcl") || e.Name() == filepath.Base(file) || len(all.Files) == mostBeside {
			continue
		}
		text, err := hostfile.ReadRegular(path, adopt.MaxSize)
		if err != nil {
			continue
		}
		all.Files[path] = text
		if template && all.Named == "" && adopt.Names(text) {
			all.Named = path
		}
	}
	return all
}

func (o *adopting) read(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(io.LimitReader(stdin, adopt.MaxSize+1))
	}
	text, err := hostfile.ReadRegular(file, adopt.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such file; check the path", file)
	}
	return text, err
}

// say prints the diff, then what it means.
func (o *adopting) say(a Adopted, stdout, stderr *edge.Writer) error {
	switch {
	case o.json:
		return json.NewEncoder(stdout.Raw()).Encode(a)
	case a.Error != "":
		fmt.Fprintln(stderr, a.Error)
		return nil
	}
	if err := o.diff(a.Diff, stdout); err != nil {
		return err
	}
	if o.quiet {
		return nil
	}
	head := fmt.Sprintf("home-made steps: %d, replaced: %d", a.Steps, a.Replaced)
	switch {
	case a.Steps == 0:
		head = "no home-made sysprep step was found"
	case a.Written:
		head += ", written"
	case a.Replaced > 0:
		head += "; next: read the diff, then adopt --write"
	}
	// A diff is for other programs: what it means goes beside it.
	fmt.Fprintf(stderr, "%s: %s\n", a.Template, head)
	for _, n := range a.Notes {
		mark := ""
		if n.Decide {
			mark = "decide: "
		}
		at := n.File
		if n.Line > 0 {
			at = fmt.Sprintf("%s:%d", n.File, n.Line)
		}
		fmt.Fprintf(stderr, "%s: %s%s\n", at, mark, n.Text)
	}
	return nil
}

// diff prints a diff, into a file as it is, and on a screen with what would hurt it
// escaped. Only the marks of a diff are as they are: a line cannot begin otherwise.
func (o *adopting) diff(text string, stdout *edge.Writer) error {
	if o.output != "" && o.output != "-" {
		_, err := io.WriteString(stdout.Raw(), text)
		return err
	}
	n := 0
	for line := range strings.Lines(text) {
		mark := ""
		if n++; n <= 2 {
			mark, line = line[:4], line[4:]
		}
		if _, err := io.WriteString(stdout.Raw(), mark+foreign.Text(strings.TrimRight(line, "\r\n"))+"\n"); err != nil {
			return err
		}
	}
	return nil
}
