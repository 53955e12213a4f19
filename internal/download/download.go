// Package download fetches a file from an address in any form that Packer's downloader takes,
// into Packer's cache, under the name that the SDK's step gives it. That step links the
// clients of two clouds, which were a third of the plugin, and Packer hashes the plugin each
// time it runs: here a bucket is read by one signed request.
package download

import (
	"context"
	"crypto/sha1" //nolint:gosec // a name of a file in Packer's cache, as the SDK makes it
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	getter "github.com/hashicorp/go-getter/v2"
	urlhelper "github.com/hashicorp/go-getter/v2/helper/url"
	"github.com/hashicorp/packer-plugin-sdk/filelock"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

// Source is what is fetched.
type Source struct {
	Address string
	// Checksum of the file, as an iso_checksum; "" and "none": it is not checked, unless the
	// address carries one itself.
	Checksum string
}

const (
	// readTimeout bounds a download, unless PACKER_GETTER_READ_TIMEOUT says otherwise.
	readTimeout = 30 * time.Minute
	// lockInterval is between two looks whether another build has fetched the file.
	lockInterval = 200 * time.Millisecond
)

// ErrChecksum is a file that is not the one that was meant. It is not kept.
var ErrChecksum = errors.New("the checksum is another one")

// Path is where the file goes, unless it lies on this host.
func (s Source) Path() (string, error) {
	_, place, err := s.locate()
	return place, err
}

// locate also returns the address with the checksum, as go-getter wants it.
func (s Source) locate() (*url.URL, string, error) {
	address := s.Address
	if runtime.GOOS == "windows" && len(address) > 2 && strings.HasPrefix(address, `\\`) && address[2] != '?' {
		address = "smb://" + filepath.ToSlash(address[2:])
	}
	u, err := urlhelper.Parse(address)
	if err != nil {
		return nil, "", err
	}
	checksum := s.Checksum
	if own := u.Query().Get("checksum"); own != "" {
		checksum = own
	}
	name := u.String()
	if checksum != "" && checksum != "none" {
		q := u.Query()
		q.Set("checksum", checksum)
		u.RawQuery, name = q.Encode(), checksum
	}
	sum := sha1.Sum([]byte(name)) //nolint:gosec // see above
	place, err := packersdk.CachePath(hex.EncodeToString(sum[:]))
	if err != nil {
		return nil, "", fmt.Errorf("finding the folder of downloads: %w", err)
	}
	return u, place, nil
}

// Fetch returns the path of the file: in the cache, or where it lies on this host. An earlier
// download with the right checksum is taken. say tells the user what is done.
func (s Source) Fetch(ctx context.Context, progress getter.ProgressTracker, say func(string)) (string, error) {
	u, place, err := s.locate()
	if err != nil {
		return "", err
	}
	limit, err := timeout(os.Getenv("PACKER_GETTER_READ_TIMEOUT"))
	if err != nil {
		return "", err
	}
	log.Printf("Acquiring lock for: %s (%s)", u, place+".lock")
	free, err := lock(ctx, place+".lock")
	if err != nil {
		return "", err
	}
	defer free()
	say("Trying " + s.Address)
	folder, err := os.Getwd()
	if err != nil {
		log.Printf("The working directory is not known: %v", err) // few addresses are relative
	}
	c := client(limit)
	result, err := c.Get(ctx, &getter.Request{
		Src: sourceOf(u), Dst: place, Pwd: folder, GetMode: getter.ModeFile, Inplace: true, ProgressListener: progress,
	})
	if err != nil && !known(c, sourceOf(u), folder) {
		err = fmt.Errorf("%w: no address of this kind is known; give one that begins with https://, http://, s3::, gcs:: or smb://, or the path of a file", err)
	}
	wrong := (*getter.ChecksumError)(nil)
	switch {
	case errors.As(err, &wrong):
		if local(u) == "" { // a file of the user's own stays
			if gone := os.Remove(place); gone != nil {
				return "", fmt.Errorf("%w: %w; the file cannot be removed either: %w", ErrChecksum, err, gone)
			}
		}
		return "", fmt.Errorf("%w: %w", ErrChecksum, err)
	case err != nil:
		return "", err
	}
	say(fmt.Sprintf("%s => %s", u, result.Dst))
	return result.Dst, nil
}

// known tells whether an address is of a kind that can be fetched.
func known(c *getter.Client, source, folder string) bool {
	return slices.ContainsFunc(c.Getters, func(g getter.Getter) bool {
		is, err := getter.Detect(&getter.Request{Src: source, Pwd: folder, GetMode: getter.ModeFile}, g)
		return is || err != nil
	})
}

// sourceOf is an address as go-getter reads it: two slashes in the path of a file would name
// a folder within an archive.
func sourceOf(u *url.URL) string {
	if file := local(u); file != "" {
		clean := *u
		clean.Path, clean.RawPath = path.Clean(filepath.ToSlash(file)), ""
		text := clean.String()
		if u.Scheme != "" && strings.HasPrefix(clean.Path, "/") { // a drive stays behind file://
			text = "file:" + strings.TrimPrefix(text[len("file:"):], "//")
		}
		return text
	}
	return u.String()
}

// local is the path of a file on this host; "" where the address is of none that is there.
func local(u *url.URL) string {
	if u.Scheme != "" && !strings.EqualFold(u.Scheme, "file") {
		return ""
	}
	if _, err := os.Stat(filepath.Clean(u.Path)); err != nil {
		return ""
	}
	return u.Path
}

// timeout reads PACKER_GETTER_READ_TIMEOUT.
func timeout(text string) (time.Duration, error) {
	if text == "" {
		return readTimeout, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("PACKER_GETTER_READ_TIMEOUT: %w; set it to a duration such as 45m, or unset it", err)
	}
	return d, nil
}

// lock waits until no other build fetches the same file.
func lock(ctx context.Context, file string) (free func(), err error) {
	l := filelock.New(file)
	ticker := time.NewTicker(lockInterval)
	defer ticker.Stop()
	for {
		ours, err := l.TryLock()
		switch {
		case err != nil:
			return nil, fmt.Errorf("locking the download: %w", err)
		case ours:
			return func() { _ = l.Unlock() }, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// client knows the addresses that Packer's downloader knows, in its order.
func client(limit time.Duration) *getter.Client {
	return &getter.Client{
		DisableSymlinks: true,
		Getters: []getter.Getter{
			&getter.GitGetter{Timeout: limit, Detectors: []getter.Detector{
				new(getter.GitHubDetector), new(getter.GitDetector), new(getter.BitBucketDetector), new(getter.GitLabDetector),
			}},
			&getter.HgGetter{Timeout: limit},
			new(getter.SmbClientGetter),
			new(getter.SmbMountGetter),
			&getter.HttpGetter{Netrc: true, XTerraformGetDisabled: true, HeadFirstTimeout: limit, ReadTimeout: limit},
			new(getter.FileGetter),
			&bucket{scheme: "gcs", limit: limit, detector: gcsAddress, request: gcs{}.request},
			&bucket{scheme: "s3", limit: limit, detector: s3Address, request: s3Request},
		},
	}
}
