package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/inventory"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/sbom"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// listing is one call of sbom.
type listing struct {
	common
	windows value
	backing values
	limit   limit
}

func sbomCommand(c *call) *cobra.Command {
	o := listing{limit: limit(inspectLimit)}
	cmd := &cobra.Command{
		Use:   "sbom DISK [options]",
		Short: "lists what the Windows on a disk is made of (CycloneDX)",
		Long: `DISK is a VHD, VHDX, qcow2, VMDK, OVA or raw file, or an http(s) address of one on a server with range requests. Nothing is mounted, and nothing is written to the disk.

The document is a bill of materials in the form of CycloneDX 1.6: system and build, packages and updates, programs of the machine and of its users, .NET, apps, server roles, drivers, services that start by themselves and PowerShell modules. The same disk gives the same document, byte by byte. It names each place that was looked at, and says of one that could not be read why; what is never read is in docs/how-to/sbom.md.`,
		Example: `# write the bill
` + program + ` sbom -o windows.cdx.json disk.vhdx
# which build is it?
` + program + ` sbom disk.vhdx | jq -r '.metadata.component.version'
# the programs, with their versions
` + program + ` sbom disk.vhdx |
  jq -r '.components[] | select(.type == "application") | .name, .version'
# a disk with two Windows: that of partition 2
` + program + ` sbom --windows 2 disk.vhdx`,
		Annotations: map[string]string{exits: "0 all places that are read could be read\n1 the document was written, and a place could not be read: it says which, and so does standard error\n2 there is no document, or the command line is wrong\n130 ended at once by a second Ctrl-C"},
		RunE: func(cmd *cobra.Command, disks []string) error {
			disk, err := o.check(disks)
			if err != nil {
				return err
			}
			var listed string
			err = o.to(cmd.Context(), c, true, []string{disk}, func(stdout, stderr *edge.Writer) (code int) {
				code, listed = o.run(cmd.Context(), disk, stdout, stderr)
				return code
			})
			if err == nil && c.code != CannotDo && o.output != "" && o.output != "-" && !o.quiet {
				fmt.Fprintf(c.stdout, "%s: %s\n", o.output, listed)
			}
			return err
		},
	}
	f := cmd.Flags()
	o.written(f)
	f.Var(&o.windows, "windows", "which Windows, where a disk has several: the number of its `PARTITION`, as inspect names it")
	o.shared(f, &o.backing, &o.limit)
	return cmd
}

func (o *listing) check(disks []string) (string, error) {
	if o.windows != "" {
		if n, err := strconv.Atoi(string(o.windows)); err != nil || n < 0 {
			return "", fmt.Errorf("--windows %s: give the number of a partition, as inspect names it", o.windows)
		}
	}
	disks, err := expanded(runtime.GOOS, disks)
	switch {
	case err != nil:
		return "", err
	case len(disks) == 0:
		return "", errors.New("no disk is named")
	case len(disks) > 1:
		return "", fmt.Errorf("%d disks are named; a document is of one Windows, so name one disk a call", len(disks))
	}
	return disks[0], nil
}

// run writes the document, and says in a few words what it lists.
func (o *listing) run(ctx context.Context, disk string, stdout, stderr *edge.Writer) (code int, listed string) {
	if os.Getenv("GOMEMLIMIT") == "" {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryLimit))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(o.limit), fmt.Errorf("it took longer than %s; allow more with --timeout", time.Duration(o.limit)))
	defer cancel()
	inv, problems, err := o.read(ctx, disk)
	if err == nil {
		var doc sbom.Document
		if doc, err = sbom.New(inv, program, thisVersion().Version); err == nil {
			var b []byte
			if b, err = doc.Bytes(); err == nil {
				_, err = stdout.Raw().Write(b)
			}
			listed = foreign.Text(fmt.Sprintf("%s %s, components: %d", inv.OS.ProductName, inv.OS.Version, len(doc.Components)))
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "cannot list what is on %s: %s\n", weburl.Redact(disk), edge.Text(reason(ctx, err)))
		return CannotDo, ""
	}
	code = OK
	for _, s := range inv.Unreadable() {
		code = NotOK
		fmt.Fprintf(stderr, "not read to the end: %s\n", foreign.Text(s.Where+": "+strings.Join(s.Reasons, "; ")))
	}
	if o.quiet {
		problems = nil
	}
	for _, p := range problems {
		fmt.Fprintf(stderr, "beside this Windows: %s\n", foreign.Text(p))
	}
	return code, listed
}

// read takes stock of one Windows on a disk.
func (o *listing) read(ctx context.Context, disk string) (*inventory.Inventory, []string, error) {
	d, remote, err := openImage(ctx, disk, o.backing)
	if remote != nil {
		defer remote.Close()
	}
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	drives, problems, err := winimage.Drives(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	one, err := o.choose(drives, problems)
	if err != nil {
		return nil, nil, err
	}
	inv, err := inventory.ReadDrive(ctx, one.Files)
	if remote != nil {
		// What could not be fetched must not look like something that is absent.
		if lost := remote.Unchanged(); lost != nil {
			err = lost
		}
	}
	return inv, problems, err
}

// choose is the Windows that is meant.
func (o *listing) choose(drives []winimage.Drive, problems []string) (winimage.Drive, error) {
	if len(drives) == 0 {
		return winimage.Drive{}, errors.New(strings.Join(append([]string{"no Windows was found on it"}, problems...), "; "))
	}
	var partitions []string
	for _, d := range drives {
		partitions = append(partitions, strconv.Itoa(d.Partition))
	}
	where := strings.Join(partitions, " and ")
	if o.windows == "" {
		if len(drives) > 1 {
			return winimage.Drive{}, fmt.Errorf("it holds %d Windows, in the partitions %s; name one with --windows", len(drives), where)
		}
		return drives[0], nil
	}
	wanted, _ := strconv.Atoi(string(o.windows)) // checked before
	i := slices.IndexFunc(drives, func(d winimage.Drive) bool { return d.Partition == wanted })
	if i < 0 {
		return winimage.Drive{}, fmt.Errorf("partition %d holds no Windows; --windows can name %s", wanted, where)
	}
	return drives[i], nil
}
