package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/capture"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// captureLimit is how long a capture may take. It reads a disk whole, which may lie behind
// a slow network.
const captureLimit = 6 * time.Hour

// capturing is one call of capture.
type capturing struct {
	common
	compression, name, description value
	partition                      int
	unproven, audit, force         bool
	backing                        values
	limit                          limit
}

func captureCommand(c *call) *cobra.Command {
	o := capturing{compression: value(wim.Compressions()[0]), limit: limit(captureLimit)}
	cmd := &cobra.Command{
		Use:   "capture DISK WIM [options]",
		Short: "makes a WIM of the Windows on a disk image",
		Long: `DISK is a VHD, VHDX, qcow2, VMDK, OVA or raw file, or an http(s) address of one on a server with range requests. It is proven first, as inspect does, and a disk that is not proven is not captured. Nothing is mounted, and nothing is written to the disk.

WIM is the file that is written, with one image; DISM and wimlib apply it. What DISM leaves out by default is left out (page file, hibernation file, trash, shadow copies). Files encrypted by EFS are an error. Extended attributes are not stored, and holes of sparse files are stored as zeros.`,
		Example: `# an image for DISM /Apply-Image
` + program + ` capture disk.vhdx server.wim
# its name in the WIM
` + program + ` capture --name "Server 2022" disk.qcow2 named.wim
# smaller, and takes longer
` + program + ` capture --compression lzx disk.vhdx small.wim
# a disk that is not generalized, for a backup
` + program + ` capture --unproven disk.vhdx backup.wim`,
		Annotations: map[string]string{exits: "0 the WIM is written\n1 the disk is not proven, and nothing was written\n2 the disk could not be read, or the WIM could not be written, or the command line is wrong\n130 ended at once by a second Ctrl-C"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(args); err != nil {
				return err
			}
			return o.to(cmd.Context(), c, o.json, args, func(stdout, stderr *edge.Writer) int {
				return o.run(cmd.Context(), args[0], args[1], stdout, stderr)
			})
		},
	}
	f := cmd.Flags()
	o.flags(f, "the WIM")
	f.Var(&o.compression, "compression", "how the files in it are compressed: `HOW` is xpress, lzx (smaller, and takes longer) or none; "+string(o.compression)+" by default")
	f.Lookup("compression").DefValue = ""
	f.Var(&o.name, "name", "the `NAME` of the image in the WIM; that of the Windows by default")
	f.Var(&o.description, "description", "a `TEXT` about the image in the WIM")
	f.IntVar(&o.partition, "partition", 0, "the number `N` of the partition to capture, where the disk has several Windows")
	f.BoolVar(&o.unproven, "unproven", false, "capture a disk that is not proven, too; what speaks against it is told")
	f.BoolVar(&o.audit, "audit", false, "expect an image that starts in audit mode")
	f.BoolVar(&o.force, "force", false, "replace WIM where it is there, when the new one is complete")
	o.shared(f, &o.backing, &o.limit)
	_ = cmd.RegisterFlagCompletionFunc("compression", cobra.FixedCompletions(wim.Compressions(), cobra.ShellCompDirectiveNoFileComp)) // the option is there
	return cmd
}

func (o *capturing) check(args []string) error {
	o.compression = value(strings.ToLower(string(o.compression)))
	switch {
	case len(args) != 2:
		return fmt.Errorf("name a disk and the WIM to write, in this order; files named: %d", len(args))
	case !slices.Contains(wim.Compressions(), string(o.compression)):
		return fmt.Errorf("--compression %s: name one of %s", o.compression, strings.Join(wim.Compressions(), ", "))
	case o.partition < 0:
		return fmt.Errorf("--partition %d: partitions are counted from 1", o.partition)
	case !strings.EqualFold(filepath.Ext(args[1]), capture.Extension):
		return fmt.Errorf("%s: the name of a WIM ends in %s", args[1], capture.Extension)
	}
	if err := hostfile.Writable(args[1], args[0]); err != nil {
		return err
	}
	if folder := filepath.Dir(args[1]); !isFolder(folder) {
		return fmt.Errorf("there is no folder %s for %s; make it first, or name another file", folder, args[1])
	}
	if _, err := os.Stat(args[1]); err == nil && !o.force {
		return fmt.Errorf("%s is there already; name another file, or replace it with --force", args[1])
	}
	return nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Captured is what capture says of a WIM, for programs. Sizes are bytes.
type Captured struct {
	Disk string `json:"disk"`
	WIM  string `json:"wim"`
	// Proven: the disk holds a generalized Windows. Failed are the assertions that do
	// not hold.
	Proven bool     `json:"proven"`
	Failed []string `json:"failed,omitempty"`
	Error  string   `json:"error,omitempty"`
	// The rest is absent where no WIM was written.
	Name      string `json:"name,omitempty"`
	Partition int    `json:"partition,omitempty"`
	Files     int    `json:"files,omitempty"`
	Folders   int    `json:"folders,omitempty"`
	Content   int64  `json:"content_size,omitempty"`
	Size      int64  `json:"size,omitempty"`
	// LeftOut are the files and folders that were there and are not in the WIM.
	LeftOut []string `json:"left_out,omitempty"`
}

func (o *capturing) run(ctx context.Context, disk, path string, stdout, stderr *edge.Writer) int {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(o.limit), fmt.Errorf("it took longer than %s; allow more with --timeout", time.Duration(o.limit)))
	defer cancel()
	made := Captured{Disk: weburl.Redact(disk), WIM: path}
	err := o.capture(ctx, disk, path, &made, stderr)
	if err != nil {
		made.Error = edge.Text(reason(ctx, err))
	}
	if o.json {
		if err := json.NewEncoder(stdout.Raw()).Encode(made); err != nil {
			fmt.Fprintln(stderr, err)
			return CannotDo
		}
	}
	switch {
	case errors.Is(err, errNotProven):
		if !o.json {
			fmt.Fprintf(stderr, "not captured: %s does not hold a generalized Windows: %s; see packer-plugin-sysprep inspect, or capture it all the same with --unproven\n", made.Disk, strings.Join(made.Failed, ", "))
		}
		return NotOK
	case err != nil:
		if !o.json {
			fmt.Fprintf(stderr, "%s could not be captured: %s\n", made.Disk, made.Error)
		}
		return CannotDo
	case !o.json:
		for _, line := range made.lines() {
			fmt.Fprintln(stdout, foreign.Text(line))
		}
	}
	return OK
}

var errNotProven = errors.New("the disk does not hold a generalized Windows")

func (o *capturing) capture(ctx context.Context, disk, path string, made *Captured, stderr *edge.Writer) error {
	d, remote, err := openImage(ctx, disk, o.backing)
	if remote != nil {
		defer remote.Close()
	}
	if err != nil {
		return err
	}
	defer d.Close()
	facts, err := winimage.Inspect(ctx, d, winimage.Options{Name: made.Disk})
	if err != nil {
		return err
	}
	if len(facts.Windows) > 0 {
		if _, err := capture.Choose(facts, o.partition); err != nil {
			return fmt.Errorf("--partition: %w", err)
		}
	}
	for _, f := range finding.Failed(winimage.Prove(facts, winimage.Expectation{Audit: o.audit, Partition: o.partition}), finding.Fail) {
		made.Failed = append(made.Failed, f.ID)
	}
	made.Proven = len(made.Failed) == 0
	if !made.Proven && !o.unproven {
		return errNotProven
	}
	options := capture.Options{Compression: wim.Compression(o.compression), Name: string(o.name), Description: string(o.description), Partition: o.partition}
	if !o.quiet && !o.json {
		options.Progress = fifths(stderr)
	}
	if remote != nil {
		options.Whole = remote.Unchanged // what changed while it was read is no image
	}
	r, err := capture.Write(ctx, d, facts, path, options)
	if err != nil {
		return err
	}
	made.Name, made.Partition, made.Files, made.Folders = r.Name, r.Partition, r.Files, r.Folders
	made.Content, made.Size, made.LeftOut = r.Content, r.Size, r.Excluded
	return nil
}

// fifths says how far it is.
func fifths(to *edge.Writer) func(done, total int64) {
	said := int64(0)
	return func(done, total int64) {
		if total <= 0 {
			return
		}
		if fifth := done * 5 / total; fifth > said && fifth < 5 {
			said = fifth
			fmt.Fprintf(to, "  %d%% of %d MiB\n", fifth*20, total>>20)
		}
	}
}

func (c Captured) lines() []string {
	judgement := "proven"
	if !c.Proven {
		judgement = "NOT PROVEN (" + strings.Join(c.Failed, ", ") + ")"
	}
	lines := []string{
		fmt.Sprintf("captured %s: %s", c.WIM, c.Name),
		fmt.Sprintf("  disk:     %s, partition %d, %s", c.Disk, c.Partition, judgement),
		fmt.Sprintf("  content:  %d files and %d folders with %d MiB, in %d MiB", c.Files, c.Folders, c.Content>>20, c.Size>>20),
	}
	if len(c.LeftOut) > 0 {
		lines = append(lines, "  left out: "+strings.Join(c.LeftOut, ", "))
	}
	return lines
}
