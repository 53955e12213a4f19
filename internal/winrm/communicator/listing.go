package communicator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
)

const (
	mostListed  = 16 << 20 // bytes of a listing
	mostEntries = 100_000
)

// tree is what is to be downloaded; its paths are below root, with slashes.
type tree struct {
	root           string
	files, folders []string
}

// list asks cmd.exe what is in a folder; a junction is neither shown nor entered
// where dir does not. What it says is UTF-8, which is the code page of our shells.
func (c *Communicator) list(ctx context.Context, src string, exclude []string) (*tree, error) {
	where, pattern := src, ""
	if strings.ContainsAny(src, "*?") {
		at := strings.LastIndexAny(src, `\/`)
		where, pattern = src[:at+1], src[at+1:]
	}
	root, err := files.WindowsPath(folder(where))
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(pattern, `"<>|&^%`) || strings.ContainsAny(where, "*?") {
		return nil, errors.New("wildcards are allowed only in the last part of the path, which must not contain \"<>|&^%")
	}
	root = strings.TrimRight(root, `\`)
	// The path as it is, because dir shows it so, and not the variables in it.
	line := fmt.Sprintf(`cd /d "%s\" && cd && (dir /b /s /a:d-l & echo %s& dir /b /s /a:-d-l)`, root, between)
	if pattern != "" {
		line = fmt.Sprintf(`cd /d "%s\" && cd && (echo %s& dir /b /a:-d-l "%s")`, root, between, pattern)
	}
	limited, cancel := context.WithTimeoutCause(ctx, c.options.Silence, files.ErrStalled)
	defer cancel()
	var out limitedBuffer
	var complaint head
	if _, err := c.run(limited, winrm.Command{Line: line, Stdout: &out, Stderr: &complaint}); err != nil {
		return nil, because(limited, err)
	}
	t, err := readListing(out.String(), pattern == "")
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, strings.Join(strings.Fields(string(complaint)), " "))
	}
	if pattern != "" && len(t.files) == 0 {
		return nil, fmt.Errorf("no file in %s matches %s: %w", t.root, pattern, fs.ErrNotExist)
	}
	t.leaveOut(exclude)
	return t, nil
}

// between stands between folders and files: no path of Windows holds it.
const between = "?files?"

// readListing reads what dir says.
func readListing(text string, full bool) (*tree, error) {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	t := &tree{root: strings.TrimRight(strings.TrimSpace(lines[0]), `\`)}
	if t.root == "" {
		return nil, fmt.Errorf("there is no such folder in the guest: check the path: %w", fs.ErrNotExist)
	}
	if len(lines) > mostEntries {
		return nil, fmt.Errorf("it holds more than %d files and folders: download a part of it", mostEntries)
	}
	list := &t.folders
	for _, line := range lines[1:] {
		switch strings.TrimSpace(line) {
		case "":
			continue
		case between:
			list = &t.files
			continue
		}
		name := line
		if full {
			var ok bool
			if name, ok = cutFold(line, t.root+`\`); !ok {
				return nil, fmt.Errorf("the guest lists %q, which is not below %s", line, t.root)
			}
		}
		name = strings.ReplaceAll(name, `\`, "/")
		if !fs.ValidPath(name) || strings.ContainsAny(name, `:"<>|*?`) {
			return nil, fmt.Errorf("the guest lists %q, which is not the path of a file", line)
		}
		*list = append(*list, name)
	}
	if list != &t.files {
		return nil, errors.New("the guest did not list the folder to its end")
	}
	return t, nil
}

func cutFold(line, before string) (string, bool) {
	if len(line) < len(before) || !strings.EqualFold(line[:len(before)], before) {
		return "", false
	}
	return line[len(before):], true
}

func patterns(exclude []string) error {
	for _, p := range exclude {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("exclude: %q is not a valid pattern: correct it", p)
		}
	}
	return nil
}

// leaveOut removes what is excluded, with everything below it.
func (t *tree) leaveOut(exclude []string) {
	out := func(name string) bool {
		for ; name != "."; name = path.Dir(name) {
			if slices.ContainsFunc(exclude, func(pattern string) bool {
				pattern = strings.TrimSuffix(strings.TrimPrefix(pattern, "./"), "/")
				whole, _ := path.Match(pattern, name)
				last, _ := path.Match(pattern, path.Base(name))
				return whole || last
			}) {
				return true
			}
		}
		return false
	}
	t.files, t.folders = slices.DeleteFunc(t.files, out), slices.DeleteFunc(t.folders, out)
}

// limitedBuffer takes no more than mostListed bytes.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > mostListed {
		return 0, errors.New("the listing of the folder is too long: download a part of it")
	}
	return b.Buffer.Write(p)
}
