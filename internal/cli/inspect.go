package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/boots"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/httpdisk"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/target"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// inspectLimit is how long all images together may take. A local one is read in
// less than ten seconds, whatever is on it; the rest is for slow servers.
const inspectLimit = 5 * time.Minute

// memoryLimit is what the runtime is asked to stay below. Foreign disks make
// much garbage and keep little.
const memoryLimit = 80 << 20

// parallelImages is how many images are looked into side by side.
const parallelImages = 4

// inspecting is one call of inspect.
type inspecting struct {
	common
	audit   bool
	goal    value
	boots   values
	strict  bool
	against value
	backing values
	limit   limit
	stating stating
}

func inspectCommand(c *call) *cobra.Command {
	o := inspecting{limit: limit(inspectLimit)}
	cmd := &cobra.Command{
		Use:   "inspect IMAGE... [options]",
		Short: "proves that disk images hold a generalized Windows",
		Long: `IMAGE is a VHD, VHDX, qcow2, VMDK, OVA or raw file, or an http(s) address of one on a server with range requests. The name - is standard input, redirected from a file (< disk.vhdx); a pipe is not read. Nothing is mounted, and nothing is written to an image.

One image is described in full; of several each gets a line.`,
		Example: `# all that is known about an image
` + program + ` inspect disk.vhdx
# would Azure take it?
` + program + ` inspect --for azure disk.vhd
# would its Windows start there?
` + program + ` inspect --boots-on azure-gen2,qemu-virtio disk.vhd
# many at once, for a program
` + program + ` inspect --json -o report.json *.qcow2
# in a script: the exit code is enough
` + program + ` inspect -q disk.vhdx && publish disk.vhdx
# state it for other programs, signed
` + program + ` inspect disk.vhd --evidence-key key.pem`,
		Annotations: map[string]string{exits: "0 every image is proven\n1 one is not\n2 one could not be judged, or the command line is wrong\n130 ended at once by a second Ctrl-C"},
		RunE: func(cmd *cobra.Command, images []string) error {
			images, err := o.check(images)
			if err != nil {
				return err
			}
			if o.stating.wanted() && !cmd.Flags().Changed("timeout") {
				o.limit = limit(evidenceLimit)
			}
			inputs := slices.Concat(images, []string{string(o.against), string(o.stating.keyPath)})
			if o.stating.wanted() {
				inputs = append(inputs, evidence.Paths(string(o.stating.prefix))...)
			}
			return o.to(cmd.Context(), c, o.json, inputs, func(stdout, stderr *edge.Writer) int {
				return o.run(cmd.Context(), images, stdout, stderr)
			})
		},
	}
	f := cmd.Flags()
	o.flags(f, "each image, with all facts")
	f.BoolVar(&o.audit, "audit", false, "expect an image that starts in audit mode")
	f.Var(&o.goal, "for", "where the image goes: `TARGET` is azure, hyperv, aws or openstack. What that place does not take is an error; without it what Azure does not take is told")
	f.Var(&o.boots, "boots-on", "where the Windows is to start: `TARGETS` such as azure-gen2,hyperv,qemu-virtio, of which yes, no or unknown is said; can be given several times. A no is an error. See docs/boots-on.md")
	f.BoolVar(&o.strict, "boots-on-strict", false, "with --boots-on, take unknown for an error too")
	f.Var(&o.against, "against", "the disk `SOURCE` that the image was made from: says of the machine SID, the computer name, accounts and the like what became of them. It refuses no image")
	f.Var(&o.stating.prefix, "evidence", "state that the image is proven, in a form that other programs verify (docs/evidence.md): in `PREFIX`.statement.json or, with --evidence-key, in PREFIX.intoto.json and PREFIX.intoto.sigstore.json. Mostly PREFIX is the path of the image. Of an image that is not proven nothing is written. All of the image is read, so the time that is allowed is 2h unless --timeout says otherwise")
	f.Var(&o.stating.keyPath, "evidence-key", "sign the evidence with the private key in `KEY`, a PEM file without a passphrase (ECDSA P-256, Ed25519 or RSA); without --evidence it is written beside the image")
	o.shared(f, &o.backing, &o.limit)
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(target.Names(), cobra.ShellCompDirectiveNoFileComp)) // the option is there
	_ = cmd.RegisterFlagCompletionFunc("boots-on", cobra.FixedCompletions(boots.Names(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// shared are the options of commands that read disk images.
func (o *common) shared(f *pflag.FlagSet, backing *values, limit *limit) {
	f.Var(backing, "allow-backing", "a file or a folder (`PATH`), with all below it, that an image may be based on besides the files in its own folder; can be given several times")
	f.Var(limit, "timeout", "how long all of it may take: a `DURATION` such as 90s")
}

func (o *inspecting) check(images []string) ([]string, error) {
	switch {
	case len(images) == 0:
		return nil, errors.New("no image is named")
	case o.goal != "" && !slices.Contains(target.Names(), string(o.goal)):
		return nil, fmt.Errorf("--for %s: name one of %s", o.goal, strings.Join(target.Names(), ", "))
	case o.unknownTarget() != "":
		return nil, fmt.Errorf("--boots-on %s: name some of %s", o.unknownTarget(), strings.Join(boots.Names(), ", "))
	case len(o.boots) > 0 && len(o.targets()) == 0:
		return nil, fmt.Errorf("--boots-on %s: no target is named; name some of %s", &o.boots, strings.Join(boots.Names(), ", "))
	case o.strict && len(o.boots) == 0:
		return nil, errors.New("--boots-on-strict: it is about --boots-on; name the targets there, or leave it out")
	case slices.Contains(images, "-") && len(images) > 1:
		return nil, errors.New("standard input (-) is named beside other images; inspect it in a call of its own")
	}
	images, err := expanded(runtime.GOOS, images)
	if err != nil {
		return nil, err
	}
	return images, o.stating.check(images, string(o.against))
}

// targets are those of --boots-on, which may have several, with commas.
func (o *inspecting) targets() (names []string) {
	for _, list := range o.boots {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func (o *inspecting) unknownTarget() string {
	for _, name := range o.targets() {
		if !slices.Contains(boots.Names(), name) {
			return name
		}
	}
	return ""
}

func (o *inspecting) run(ctx context.Context, images []string, stdout, stderr *edge.Writer) int {
	if os.Getenv("GOMEMLIMIT") == "" {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryLimit))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(o.limit), fmt.Errorf("it took longer than %s; allow more with --timeout", time.Duration(o.limit)))
	defer cancel()
	var source *winimage.Facts
	if o.against != "" {
		facts, info, err := look(ctx, string(o.against), o.backing, nil)
		if err != nil {
			fmt.Fprintf(stderr, "cannot compare with %s: %s; name the disk that the image was made from\n", weburl.Redact(string(o.against)), edge.Text(reason(ctx, err)))
			return CannotDo
		}
		source, o.stating.against = &facts, info
	}
	reports := make([]finding.Report, len(images))
	slots := make(chan struct{}, parallelImages)
	var wg sync.WaitGroup
	for n, image := range images {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			reports[n] = o.one(ctx, image, source)
		}()
	}
	wg.Wait()

	code := OK
	for _, r := range reports {
		code = max(code, codeOf(r))
	}
	var stated []string
	if o.stating.wanted() && code != CannotDo {
		var err error
		stated, err = o.stating.write(ctx, o, reports[0])
		switch {
		case errors.Is(err, evidence.ErrNotProven):
			fmt.Fprintf(stderr, "no evidence was written: the image is not proven\n")
			for _, path := range evidence.Left(string(o.stating.prefix)) {
				fmt.Fprintf(stderr, "%s is of an earlier time and says nothing about the image as it is: remove it, unless you know what it is about\n", path)
			}
		case err != nil:
			fmt.Fprintf(stderr, "no evidence was written: %s\n", edge.Text(reason(ctx, err)))
			code = CannotDo
		}
	}
	if o.json {
		if err := render.JSON(stdout.Raw(), reports...); err != nil {
			fmt.Fprintln(stderr, err)
			return CannotDo
		}
		return code
	}
	for _, r := range reports {
		switch {
		case len(reports) > 1:
			fmt.Fprintln(stdout, foreign.Text(lineOf(r)))
		case r.Error != "":
			fmt.Fprintf(stderr, "cannot tell whether %s is generalized: %s\n", r.Name, r.Error)
		default:
			for _, line := range inFull(r) {
				fmt.Fprintln(stdout, line)
			}
			for _, path := range stated {
				fmt.Fprintf(stdout, "evidence:      %s\n", path)
			}
		}
	}
	return code
}

// one inspects an image; source is that of --against.
func (o *inspecting) one(ctx context.Context, image string, source *winimage.Facts) finding.Report {
	r := finding.Report{Subject: finding.Disk, Name: weburl.Redact(image)}
	e, names := winimage.Expectation{Audit: o.audit}, o.targets()
	facts, info, err := look(ctx, image, o.backing, boots.Asks(names))
	if err != nil {
		r.Error = edge.Text(reason(ctx, err))
		if facts.Disk.Requests > 0 {
			r.Facts = traffic{requests{facts.Disk.Requests, facts.Disk.Bytes}}
		}
		return r
	}
	if source != nil {
		facts.Against = winimage.Against(facts, *source)
	}
	file := fileOf(info, facts.Disk)
	r.Findings = slices.Concat(winimage.Prove(facts, e), suited(file, target.Target(o.goal)), boots.Prove(names, facts, e.Judged(facts), &file, o.strict))
	r.Facts = facts
	return r
}

func fileOf(info diskimage.Info, disk winimage.Disk) target.Image {
	return target.Image{Info: info, TableSector: disk.TableSector, Scheme: disk.Scheme, Generation: disk.Generation}
}

// suited holds the file against the place that it goes to or, where none is
// named, against Azure, which asks most: that is told then, and warned of where the
// file is passed off as one for it.
func suited(image target.Image, goal target.Target) []finding.Finding {
	switch {
	case goal != "":
		return target.Judge(goal, image, finding.Fail)
	case target.PassedOff(image):
		return target.Judge(target.Azure, image, finding.Warn)
	}
	return target.Judge(target.Azure, image, finding.Info)
}

// traffic is all that is said of an image on a web server that could not be
// judged, by the keys of winimage.Facts: of the rest nobody knows what is missing.
type traffic struct {
	Disk requests `json:"disk"`
}

type requests struct {
	Requests int64 `json:"http_requests"`
	Bytes    int64 `json:"http_bytes"`
}

// look gathers what the disk says, and always what it took. wanted is what is asked of
// where it starts.
func look(ctx context.Context, image string, backing []string, wanted *winimage.Wanted) (facts winimage.Facts, info diskimage.Info, err error) {
	d, remote, err := openImage(ctx, image, backing)
	if remote != nil {
		defer remote.Close()
		defer func() { facts.Disk.Requests, facts.Disk.Bytes = remote.Traffic() }()
	}
	if err != nil {
		return facts, info, err
	}
	defer d.Close()
	info = d.Info()
	// Counting free clusters reads the volume's bitmap, too much over a network.
	facts, err = winimage.Inspect(ctx, d, winimage.Options{Name: weburl.Redact(image), Space: remote == nil, Starting: wanted})
	if remote != nil {
		// A fact that could not be read must not look like one that is absent.
		if lost := remote.Unchanged(); lost != nil {
			err = lost
		}
	}
	return facts, info, err
}

// openImage opens a file or, with remote, one on a web server; remote is there
// too where it holds no disk.
func openImage(ctx context.Context, image string, backing []string) (d diskimage.Disk, remote *httpdisk.File, err error) {
	if image == "-" {
		d, err = redirected(stdin)
		return d, nil, err
	}
	switch scheme := weburl.Scheme(image); scheme {
	case "":
		d, err = diskimage.Open(image, diskimage.Until(ctx), diskimage.Allow(backing...))
		return d, nil, err
	case "http", "https":
	default:
		return nil, nil, fmt.Errorf("images are read over http and https, not %s; download the file and inspect it here", scheme)
	}
	if remote, err = httpdisk.Open(ctx, image); err != nil {
		return nil, nil, err
	}
	if d, err = diskimage.OpenReader(remote, remote.Size(), diskimage.Named(nameOf(image))); err != nil {
		if lost := remote.Err(); lost != nil {
			err = lost
		}
	}
	return d, remote, err
}

// redirected opens standard input, where it is a file.
func redirected(in io.Reader) (diskimage.Disk, error) {
	if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return diskimage.OpenReader(f, info.Size())
		}
	}
	return nil, errors.New("standard input is not a file, and a disk cannot be read from a pipe; write it to a file and name that")
}

// nameOf is the name of the file that an address stands for.
func nameOf(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Path
	}
	return ""
}

// reason says why an image could not be judged: of an end that was asked for,
// who asked.
func reason(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return context.Cause(ctx).Error()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return err.Error() + "; check the path"
	}
	return err.Error()
}

// codeOf is the exit code that a report asks for.
func codeOf(r finding.Report) int {
	switch {
	case r.Error != "":
		return CannotDo
	case !r.Holds():
		return NotOK
	}
	return OK
}

// lineOf is one image in a list.
func lineOf(r finding.Report) string {
	facts, _ := r.Facts.(winimage.Facts) // none where there is an error
	chain := ""
	if len(facts.Disk.Chain) > 0 {
		chain = ", backing chain: " + diskimage.Lineage(facts.Disk.Chain)
	}
	switch codeOf(r) {
	case OK:
		return fmt.Sprintf("proven      %s: %s%s", r.Name, winimage.Names(facts.Windows), chain)
	case NotOK:
		var ids []string
		for _, f := range finding.Failed(r.Findings, finding.Fail) {
			ids = append(ids, f.ID)
		}
		return fmt.Sprintf("not proven  %s: %s%s", r.Name, strings.Join(ids, ", "), chain)
	}
	return fmt.Sprintf("cannot tell %s: %s", r.Name, r.Error)
}

// inFull is one image: the judgement, what speaks against it with what to do,
// then the facts.
func inFull(r finding.Report) (lines []string) {
	facts, _ := r.Facts.(winimage.Facts)
	failed, warned := finding.Failed(r.Findings, finding.Fail), finding.Failed(r.Findings, finding.Warn)
	judgement := ""
	booted := slices.IndexFunc(facts.Windows, func(w winimage.Windows) bool { return w.FirstBoot != nil })
	switch {
	case len(failed) > 0 && booted >= 0:
		cause := facts.Windows[booted].FirstBoot
		judgement = "NOT PROVEN: this image was booted and failed at its first boot: " + cause.Summary + "; " + render.Next + cause.Remedy[0]
	case len(failed) == 0 && len(warned) == 0:
		judgement = fmt.Sprintf("PROVEN: the image is generalized (%d assertions hold)", len(r.Findings)-len(finding.Failed(r.Findings, finding.Info))-told(r))
	case len(failed) == 0:
		judgement = fmt.Sprintf("PROVEN: the image is generalized (warnings: %d)", len(warned))
	default:
		judgement = fmt.Sprintf("NOT PROVEN: %s (%s is %s)", failed[0].Summary, failed[0].ID, failed[0].Found)
		if len(failed) > 1 {
			judgement += fmt.Sprintf(" and %d more", len(failed)-1)
		}
	}
	lines = append(lines, foreign.Text(judgement))
	for _, line := range slices.Concat(render.Failed(r.Findings, finding.Fail), render.Failed(r.Findings, finding.Warn), render.Causes(facts.Causes())) {
		lines = append(lines, "  "+line)
	}
	return slices.Concat(lines, facts.Describe(), startLines(r), azureLines(r))
}

// startLines say where the Windows starts, where that was asked for.
func startLines(r finding.Report) []string {
	if said := boots.Verdicts(r.Findings); said != "" {
		return []string{foreign.Text("starts on:     " + said)}
	}
	return nil
}

// told is how many findings are about a place that nobody named.
func told(r finding.Report) (n int) {
	for _, f := range r.Findings {
		if strings.HasPrefix(f.ID, string(target.Azure)+"-") && f.Severity != finding.Fail && f.Holds {
			n++
		}
	}
	return n
}

// azureLines say what Azure would not take, where nobody asked.
func azureLines(r finding.Report) (lines []string) {
	const heading = "azure:         "
	for _, f := range r.Findings {
		if strings.HasPrefix(f.ID, string(target.Azure)+"-") && f.Severity == finding.Info && !f.Holds {
			lines = append(lines, foreign.Text(fmt.Sprintf("%snot as it is: %s: expected %s, found %s; %s%s", heading, f.Summary, f.Expected, f.Found, render.Next, strings.Join(f.Remedy, ", "))))
		}
	}
	switch {
	case len(lines) > 0:
		return lines
	case told(r) > 0 && !slices.ContainsFunc(r.Findings, func(f finding.Finding) bool { return strings.HasPrefix(f.ID, "azure-") && !f.Holds }):
		return []string{heading + "takes a file like this one"}
	}
	return nil
}
