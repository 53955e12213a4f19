package winsim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

// scp is the far end of a copy, scp.exe -t (to here) or -f (from here), as
// OpenSSH's scp.c has it. Folders are not sent from here.
func (g *Guest) scp(_ context.Context, c *call) int {
	args := c.Argv()
	if len(args) != 2 || !strings.HasPrefix(args[0], "-") || strings.Trim(args[0], "-rvtf") != "" {
		g.refuse("scp %s", c.Args)
		return 1
	}
	full, err := winfs.Clean(args[1], c.Dir)
	if err != nil {
		fmt.Fprintf(c.Stdout, "\x01scp: %s: %v\n", args[1], err)
		return 1
	}
	s := scpEnd{g: g, in: bufio.NewReader(c.Stdin), out: c.Stdout}
	if strings.Contains(args[0], "t") {
		return s.sink(full)
	}
	return s.source(full)
}

// maxSCP bounds one file in bytes.
const maxSCP = 1 << 30

type scpEnd struct {
	g   *Guest
	in  *bufio.Reader
	out io.Writer
}

func (s scpEnd) ok() { fmt.Fprint(s.out, "\x00") }

func (s scpEnd) fail(format string, args ...any) int {
	fmt.Fprintf(s.out, "\x01scp: "+format+"\n", args...)
	return 1
}

// answered reads the other end's acknowledgement.
func (s scpEnd) answered() bool {
	b, err := s.in.ReadByte()
	return err == nil && b == 0
}

// sink takes files. A target that is no folder becomes a file of that name: a
// client that means a folder has to make it first.
func (s scpEnd) sink(target string) int {
	folders := []string{target}
	s.ok()
	for {
		head, err := s.in.ReadString('\n')
		if err != nil {
			return 0
		}
		head = strings.TrimSuffix(head, "\n")
		into := folders[len(folders)-1]
		var mode, size int64
		var name string
		switch head[:min(1, len(head))] {
		case "E":
			if folders = folders[:len(folders)-1]; len(folders) == 0 {
				return s.fail("protocol error: unexpected E")
			}
			s.ok()
			continue
		case "T":
			s.ok()
			continue
		case "C", "D":
			fields := strings.SplitN(head[1:], " ", 3)
			if len(fields) == 3 {
				name = fields[2]
			}
			if _, err := fmt.Sscanf(head[1:], "%o %d", &mode, &size); err != nil || size < 0 || size > maxSCP {
				return s.fail("protocol error: %q", head)
			}
		default:
			return s.fail("protocol error: %q", head)
		}
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\:`) {
			return s.fail("error: unexpected filename: %s", name)
		}
		path := into
		if s.g.drive.IsDir(into) {
			path += `\` + name
		}
		if head[0] == 'D' {
			if err := s.g.drive.MkdirAll(path); err != nil {
				return s.fail("%s: %v", path, err)
			}
			folders = append(folders, path)
			s.ok()
			continue
		}
		if parent := path[:strings.LastIndexByte(path, '\\')]; !s.g.drive.IsDir(parent) {
			return s.fail("%s: No such file or directory", path)
		}
		s.ok()
		content := make([]byte, size)
		if _, err := io.ReadFull(s.in, content); err != nil || !s.answered() {
			return 1
		}
		if err := s.g.drive.WriteFile(path, content); err != nil {
			return s.fail("%s: %v", path, err)
		}
		s.g.logf("scp: put %s", path)
		s.ok()
	}
}

// source sends one file.
func (s scpEnd) source(path string) int {
	if !s.answered() {
		return 1
	}
	content, err := s.g.drive.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.fail("%s: No such file or directory", path)
	case err != nil:
		return s.fail("%s: %v", path, err)
	}
	fmt.Fprintf(s.out, "C0644 %d %s\n", len(content), path[strings.LastIndexByte(path, '\\')+1:])
	if !s.answered() {
		return 1
	}
	_, _ = s.out.Write(content) // the client says whether it came
	s.ok()
	if !s.answered() {
		return 1
	}
	return 0
}
