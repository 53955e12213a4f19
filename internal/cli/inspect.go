package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/httpdisk"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

const inspectUsage = `usage: packer-plugin-sysprep inspect IMAGE... [--json] [--audit]
Proves that disk images hold a generalized Windows. IMAGE is a VHD, VHDX, qcow2
or raw file, or an http(s) address of one on a server with range requests.
  --json   the whole report of each image as one JSON document
  --audit  expect an image that starts in audit mode
Exit code: 0 every image is proven, 1 one is not, 2 one could not be judged.`

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

func inspect(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags, images, err := options(args, "json", "audit")
	if err == nil && len(images) == 0 {
		err = errors.New("no image is named")
	}
	if err == nil {
		images, err = expanded(runtime.GOOS, images)
	}
	if err != nil {
		return usage(err, inspectUsage, stdout, stderr)
	}
	results := make([]inspected, len(images))
	slots := make(chan struct{}, parallelImages)
	var wg sync.WaitGroup
	for n, image := range images {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			results[n] = inspectOne(ctx, image, winimage.Expectation{Audit: flags["audit"]})
		}()
	}
	wg.Wait()

	code := OK
	for _, r := range results {
		code = max(code, r.code())
		switch {
		case flags["json"]:
			line, err := json.Marshal(r)
			if err != nil {
				fmt.Fprintln(stderr, err)
				return CannotDo
			}
			fmt.Fprintf(stdout, "%s\n", line)
		case len(results) > 1:
			fmt.Fprintln(stdout, r.line())
		default:
			r.write(stdout, stderr)
		}
	}
	return code
}

func inspectOne(ctx context.Context, image string, e winimage.Expectation) (r inspected) {
	r.Image = image
	var d diskimage.Disk
	var err error
	remote := isAddress(image)
	if remote {
		// The query of an address may be a signature: it is shown nowhere.
		r.Image, _, _ = strings.Cut(image, "?")
		var file *httpdisk.File
		if file, err = httpdisk.Open(ctx, image); err == nil {
			r.Image = file.Name()
			defer func() { r.Requests, r.Bytes = file.Traffic() }()
			d, err = diskimage.OpenReader(file, file.Size())
		}
	} else {
		d, err = diskimage.Open(image)
	}
	if err != nil {
		r.Error = err.Error()
		return r
	}
	defer d.Close()
	// Counting free clusters reads the volume's bitmap, too much over a network.
	report, err := winimage.Inspect(ctx, d, winimage.Options{Name: r.Image, Space: !remote})
	if err != nil {
		r.Error = err.Error()
		return r
	}
	proof := winimage.Prove(report, e)
	r.Report, r.Proof = &report, &proof
	return r
}

// line is one image in a list.
func (i inspected) line() string {
	switch i.code() {
	case OK:
		return fmt.Sprintf("proven      %s: %s", i.Image, i.Report.Windows[0].Describe())
	case NotOK:
		var ids []string
		for _, a := range i.Proof.Failed(winimage.Fail) {
			ids = append(ids, a.ID)
		}
		return fmt.Sprintf("not proven  %s: %s", i.Image, strings.Join(ids, ", "))
	}
	return fmt.Sprintf("cannot tell %s: %s", i.Image, i.Error)
}

func (i inspected) write(stdout, stderr io.Writer) {
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
