package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/httpdisk"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

const inspectUsage = `usage: packer-plugin-sysprep inspect IMAGE... [--json] [--audit] [--allow-backing PATH]... [--timeout 5m]
Proves that disk images hold a generalized Windows. IMAGE is a VHD, VHDX, qcow2
or raw file, or an http(s) address of one on a server with range requests.
  --json   the whole report of each image as one JSON document
  --audit  expect an image that starts in audit mode
  --allow-backing PATH
           a file, or a folder with all below it, that an image may be based on
           besides the files in its own folder; can be given several times
  --timeout DURATION
           how long all of it may take, for instance 90s; 5m by default
Exit code: 0 every image is proven, 1 one is not, 2 one could not be judged,
130 ended at once by a second Ctrl-C.`

// inspectLimit is how long all images together may take. A local one is read in
// less than ten seconds, whatever is on it; the rest is for slow servers.
const inspectLimit = 5 * time.Minute

// memoryLimit is what the runtime is asked to stay below. Foreign disks make
// much garbage and keep little.
const memoryLimit = 80 << 20

// parallelImages is how many images are looked into side by side.
const parallelImages = 4

// inspected is one image with what came of it; the form of --json.
type inspected struct {
	Image  string           `json:"image"`
	Error  string           `json:"error,omitempty"`
	Report *winimage.Report `json:"report,omitempty"`
	Proof  *winimage.Proof  `json:"proof,omitempty"`
	// Requests and Bytes are the traffic of an image on a web server.
	Requests int64 `json:"http_requests,omitempty"`
	Bytes    int64 `json:"http_bytes,omitempty"`
}

func (i inspected) code() int {
	switch {
	case i.Error != "":
		return CannotDo
	case !i.Proof.Proven:
		return NotOK
	}
	return OK
}

func inspect(ctx context.Context, args []string, stdout, stderr *edge.Writer) int {
	flags, images, err := options(args, "json", "audit", "timeout=", "allow-backing=")
	if err == nil && len(images) == 0 {
		err = errors.New("no image is named")
	}
	if err == nil {
		images, err = expanded(runtime.GOOS, images)
	}
	limit := inspectLimit
	if text := flags.last("timeout"); err == nil && flags.has("timeout") {
		if limit, err = time.ParseDuration(text); err != nil || limit <= 0 {
			err = fmt.Errorf("--timeout %s: give a time with its unit, for instance 90s or 5m", text)
		}
	}
	if err != nil {
		return usage(err, inspectUsage, stdout, stderr)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryLimit))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s; allow more with --timeout", limit))
	defer cancel()
	results := make([]inspected, len(images))
	slots := make(chan struct{}, parallelImages)
	var wg sync.WaitGroup
	for n, image := range images {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			results[n] = inspectOne(ctx, image, flags["allow-backing"], winimage.Expectation{Audit: flags.has("audit")})
		}()
	}
	wg.Wait()

	code := OK
	for _, r := range results {
		code = max(code, r.code())
		switch {
		case flags.has("json"):
			if err := stdout.JSON(r); err != nil {
				fmt.Fprintln(stderr, err)
				return CannotDo
			}
		case len(results) > 1:
			fmt.Fprintln(stdout, foreign.Text(r.line()))
		default:
			r.write(stdout, stderr)
		}
	}
	return code
}

func inspectOne(ctx context.Context, image string, backing []string, e winimage.Expectation) (r inspected) {
	r.Image = weburl.Redact(image)
	cannot := func(err error) inspected {
		r.Error = edge.Text(reason(ctx, err))
		return r
	}
	d, remote, err := openImage(ctx, image, backing)
	if err != nil {
		return cannot(err)
	}
	defer d.Close()
	if remote != nil {
		defer remote.Close()
		defer func() { r.Requests, r.Bytes = remote.Traffic() }()
	}
	// Counting free clusters reads the volume's bitmap, too much over a network.
	report, err := winimage.Inspect(ctx, d, winimage.Options{Name: r.Image, Space: remote == nil})
	if remote != nil {
		// A fact that could not be read must not look like one that is absent.
		if lost := remote.Unchanged(); lost != nil {
			err = lost
		}
	}
	if err != nil {
		return cannot(err)
	}
	proof := winimage.Prove(report, e)
	r.Report, r.Proof = &report, &proof
	return r
}

// openImage opens a file or, with remote, one on a web server.
func openImage(ctx context.Context, image string, backing []string) (d diskimage.Disk, remote *httpdisk.File, err error) {
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
	if d, err = diskimage.OpenReader(remote, remote.Size()); err != nil {
		if lost := remote.Err(); lost != nil {
			err = lost
		}
		remote.Close()
	}
	return d, remote, err
}

// reason says why an image could not be judged: of an end that was asked for,
// who asked.
func reason(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return context.Cause(ctx).Error()
	}
	return err.Error()
}

// line is one image in a list.
func (i inspected) line() string {
	switch i.code() {
	case OK:
		return fmt.Sprintf("proven      %s: %s%s", i.Image, i.Report.Windows[0].Describe(), i.chain())
	case NotOK:
		var ids []string
		for _, a := range i.Proof.Failed(winimage.Fail) {
			ids = append(ids, a.ID)
		}
		return fmt.Sprintf("not proven  %s: %s", i.Image, strings.Join(ids, ", ")+i.chain())
	}
	return fmt.Sprintf("cannot tell %s: %s", i.Image, i.Error)
}

// chain names the files of an image that is based on others.
func (i inspected) chain() string {
	if len(i.Report.Disk.Chain) == 0 {
		return ""
	}
	return ", backing chain: " + diskimage.Lineage(i.Report.Disk.Chain)
}

func (i inspected) write(stdout, stderr *edge.Writer) {
	if i.Error != "" {
		fmt.Fprintf(stderr, "cannot tell whether %s is generalized: %s\n", i.Image, i.Error)
		return
	}
	for _, line := range winimage.Describe(*i.Report, *i.Proof) {
		fmt.Fprintln(stdout, line)
	}
	if i.Requests > 0 {
		fmt.Fprintf(stdout, "traffic:       %d requests, %.1f MB\n", i.Requests, float64(i.Bytes)/1e6)
	}
}
