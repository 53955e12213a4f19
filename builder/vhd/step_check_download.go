package vhd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/httpdisk"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

// stepCheckDownload refuses a source_url that leads nowhere useful before hours go
// into its download: a disk that the output cannot hold or the machine cannot boot,
// and a file that there is no room for. A server that does not say is no reason to
// refuse; the download and the steps behind it say what is wrong then.
type stepCheckDownload struct {
	limit time.Duration                   // of asking the server; 0: askLimit
	free  func(dir string) (int64, error) // freeSpace unless a test says otherwise
	// target is where the download goes.
	target func() (string, error)
}

// askLimit bounds what is asked of the server: a few small requests.
const askLimit = 30 * time.Second

func (s *stepCheckDownload) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	address := run.config.SourceURL
	if scheme := weburl.Scheme(address); scheme != "http" && scheme != "https" {
		return multistep.ActionContinue
	}
	size, err := s.check(ctx, run, address)
	if err != nil {
		return halt(state, fmt.Errorf("source_url: %s: %w", weburl.Redact(address), err))
	}
	if size > 0 {
		ui.Sayf("Source disk: %s has %.1f GiB", weburl.Redact(address), gib(size))
	}
	return multistep.ActionContinue
}

func (*stepCheckDownload) Cleanup(multistep.StateBag) {}

// check also returns the size of the download in bytes; 0 where it is not known.
func (s *stepCheckDownload) check(ctx context.Context, r *run, address string) (size int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.limit, askLimit))
	defer cancel()
	info, size := askServer(ctx, address)
	if info != nil {
		if err := diskimage.CanHold(*info, r.config.conversion()); err != nil {
			return 0, fmt.Errorf("the output cannot be made of it: %w", err)
		}
		if _, makes := r.driver.(hypervisor.Maker); makes {
			if err := bootable(*info); err != nil {
				return 0, fmt.Errorf("the disk %w", err)
			}
		}
	}
	if size <= 0 {
		return 0, nil
	}
	return size, s.room(r, size)
}

// askServer says what a server tells of a disk without its download; the size in
// bytes is 0, and info nil, where it tells nothing.
func askServer(ctx context.Context, address string) (info *diskimage.Info, size int64) {
	remote, err := httpdisk.Open(ctx, address)
	if err != nil {
		log.Printf("The source disk cannot be looked into before its download: %v", err)
		return nil, contentLength(ctx, address)
	}
	defer remote.Close()
	d, err := diskimage.OpenReader(remote, remote.Size())
	if err != nil {
		log.Printf("The source disk cannot be understood before its download: %v", err)
		return nil, remote.Size()
	}
	defer d.Close()
	found := d.Info()
	return &found, remote.Size()
}

// contentLength is what a server says of the length of a file that it does not
// deliver in parts.
func contentLength(ctx context.Context, address string) int64 {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return 0
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0
	}
	return response.ContentLength
}

// room asks for space for what an earlier download has not fetched, and for
// what the build makes of it.
func (s *stepCheckDownload) room(r *run, size int64) error {
	free := s.free
	if free == nil {
		free = freeSpace
	}
	// A file of this size is what the output is made of, at least.
	output := existing(r.config.OutputDirectory)
	if have, err := free(output); err == nil && have < size {
		return fmt.Errorf("it has %.1f GiB, and output_directory %s has %.1f GiB free: free some space, or choose a directory on another disk", gib(size), r.config.OutputDirectory, gib(have))
	}
	target, err := s.target()
	if err != nil {
		return nil //nolint:nilerr // the download says so
	}
	rest := size
	if info, err := os.Stat(target); err == nil {
		rest -= info.Size() // a download that was cut off goes on from there
	}
	if have, err := free(existing(filepath.Dir(target))); err == nil && have < rest {
		return fmt.Errorf("it has %.1f GiB, and the folder of Packer's downloads %s has %.1f GiB free: free some space, or set PACKER_CACHE_DIR to a folder on another disk", gib(size), filepath.Dir(target), gib(have))
	}
	return nil
}

// existing is a folder, or the one above it that is there already.
func existing(folder string) string {
	for {
		_, err := os.Stat(folder)
		above := filepath.Dir(folder)
		if !errors.Is(err, fs.ErrNotExist) || above == folder {
			return folder
		}
		folder = above
	}
}
