package communicator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
)

// carry does a transfer: it ends with the communicator and by StopTransfers. What
// it needed in the guest is removed with the last one under way, because nobody
// knows when the guest is generalized.
func (c *Communicator) carry(do func(context.Context) error) error {
	if !c.begin() {
		return ErrClosed
	}
	defer c.work.Done()
	ctx, cancel := context.WithCancelCause(c.life)
	defer cancel(nil)
	c.carrying.RLock()
	c.mu.Lock()
	c.count++
	id := c.count
	c.stop[id] = cancel
	c.mu.Unlock()
	err := do(ctx)
	if err != nil {
		err = because(ctx, err)
	}
	c.mu.Lock()
	delete(c.stop, id)
	c.mu.Unlock()
	c.carrying.RUnlock()
	if c.carrying.TryLock() {
		defer c.carrying.Unlock()
		tidying, done := context.WithTimeout(c.life, c.options.Back)
		defer done()
		if err := c.files.Close(tidying); err != nil {
			log.Printf("[WARN] %v", err) // a proof of the image finds it
		}
	}
	return err
}

// StopTransfers ends the transfers that are under way, which nothing else can:
// Packer gives them no context.
func (c *Communicator) StopTransfers(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cancel := range c.stop {
		cancel(why)
	}
}

// Upload writes a file in the guest. A path that ends in a slash is a folder, into
// which the file goes by the name of fi.
func (c *Communicator) Upload(path string, from io.Reader, fi *os.FileInfo) error {
	name := base(path)
	if strings.HasSuffix(path, `\`) || strings.HasSuffix(path, "/") {
		if fi == nil {
			return fmt.Errorf("uploading to %s: it is a folder, and the file has no name of its own: add one to the path", path)
		}
		name = base((*fi).Name())
		path += name
	}
	return c.carry(func(ctx context.Context) error {
		p := c.progress("uploading", name)
		defer p.close()
		return c.files.Upload(ctx, path, from, p.tell())
	})
}

// UploadDir writes a folder, empty folders too, without what exclude names. It gets
// the name of src unless src ends in a slash.
func (c *Communicator) UploadDir(dst, src string, exclude []string) error {
	info, err := os.Stat(src)
	if err != nil {
		return fmt.Errorf("uploading a folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("uploading a folder: %s is not a folder", src)
	}
	to := folder(dst)
	if !strings.HasSuffix(src, "/") {
		name, err := realName(src)
		if err != nil {
			return err
		}
		to = below(dst, name)
	}
	return c.carry(func(ctx context.Context) error {
		p := c.progress("uploading", filepath.Base(src))
		defer p.close()
		return c.files.UploadDir(ctx, to, files.Tree{From: os.DirFS(src), Exclude: exclude}, p.tell())
	})
}

// realName is the name of a folder of the host, also of "." and "..".
func realName(path string) (string, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding the name of %s: %w", path, err)
	}
	if name := filepath.Base(full); name != string(filepath.Separator) && name != "." {
		return name, nil
	}
	return "", fmt.Errorf("%s has no name: end it with a slash to send its content", path)
}

// Download reads a file of the guest. One that is missing is an error.
func (c *Communicator) Download(path string, to io.Writer) error {
	return c.carry(func(ctx context.Context) error {
		p := c.progress("downloading", base(path))
		defer p.close()
		_, err := c.files.Download(ctx, path, to, files.Bounds{}, p.tell())
		return err
	})
}

// DownloadDir reads a folder of the guest with all below it into one of the host,
// where it gets its own name unless src ends in a slash; or, where the last part of
// src has wildcards, the files that they stand for. What is excluded, by its name or
// its path below src, is left out.
func (c *Communicator) DownloadDir(src, dst string, exclude []string) error {
	if err := patterns(exclude); err != nil {
		return err
	}
	if !strings.ContainsAny(src, "*?") && !strings.HasSuffix(src, "/") && !strings.HasSuffix(src, `\`) {
		dst = filepath.Join(dst, base(src))
	}
	return c.carry(func(ctx context.Context) error {
		tree, err := c.list(ctx, src, exclude)
		if err != nil {
			return fmt.Errorf("downloading the folder %s: %w", src, err)
		}
		for _, sub := range append([]string{"."}, tree.folders...) {
			if err := os.MkdirAll(filepath.Join(dst, filepath.FromSlash(sub)), 0o755); err != nil {
				return fmt.Errorf("downloading the folder %s: %w", src, err)
			}
		}
		for _, file := range tree.files {
			if err := c.fetch(ctx, tree.root+`\`+strings.ReplaceAll(file, "/", `\`), filepath.Join(dst, filepath.FromSlash(file))); err != nil {
				return err
			}
		}
		return nil
	})
}

// fetch gives a file its name when it is whole.
func (c *Communicator) fetch(ctx context.Context, from, to string) (err error) {
	part, err := os.CreateTemp(filepath.Dir(to), ".packer-download-")
	if err != nil {
		return fmt.Errorf("downloading %s: %w", from, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part.Name())
		}
	}()
	p := c.progress("downloading", base(from))
	_, err = c.files.Download(ctx, from, part, files.Bounds{}, p.tell())
	p.close()
	if err = errors.Join(err, part.Chmod(0o644), part.Close()); err != nil {
		return err
	}
	if err = os.Rename(part.Name(), to); err != nil {
		return fmt.Errorf("downloading %s: %w", from, err)
	}
	return nil
}

// base is the last part of a path of Windows.
func base(path string) string {
	path = strings.TrimRight(path, `\/`)
	return path[strings.LastIndexAny(path, `\/`)+1:]
}

// folder is a path without its last slashes, unless they make it a root.
func folder(path string) string {
	short := strings.TrimRight(path, `\/`)
	if short == "" || strings.HasSuffix(short, ":") {
		return short + `\`
	}
	return short
}

func below(path, name string) string { return strings.TrimRight(path, `\/`) + `\` + name }
