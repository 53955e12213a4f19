package cmdshell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

func (s *Shell) glob(pattern string) ([]string, error) {
	pattern = strings.ReplaceAll(pattern, "/", `\`)
	dir, last := ".", pattern
	if i := strings.LastIndexByte(pattern, '\\'); i >= 0 {
		dir, last = pattern[:i+1], pattern[i+1:]
	}
	full, err := s.full(dir)
	if err != nil {
		return nil, err
	}
	if !strings.ContainsAny(last, "*?") {
		target := strings.TrimSuffix(full, `\`) + `\` + last
		if _, err := s.Drive.Stat(target); err != nil {
			return nil, err
		}
		return []string{target}, nil
	}
	entries, err := s.Drive.ReadDir(full)
	if err != nil {
		return nil, err
	}
	if last == "*.*" {
		last = "*"
	}
	var list []string
	for _, e := range entries {
		if ok, _ := path.Match(strings.ToLower(last), strings.ToLower(e.Name())); ok {
			list = append(list, strings.TrimSuffix(full, `\`)+`\`+e.Name())
		}
	}
	return list, nil
}

func (s *Shell) typeFile(_ context.Context, args string) int {
	sw, names := operands(args)
	if !s.only("type", sw) {
		return 1
	}
	if len(names) == 0 {
		s.fail("The syntax of the command is incorrect.")
		return s.set(1)
	}
	for _, name := range names {
		if isNul(name) {
			continue
		}
		full, err := s.full(name)
		if err != nil {
			s.fail("%s", message(err))
			return s.set(1)
		}
		if s.Drive.IsDir(full) {
			s.fail("Access is denied.")
			return s.set(1)
		}
		content, err := s.Drive.ReadFile(full)
		if err != nil {
			text := message(err)
			if errors.Is(err, os.ErrNotExist) && s.Drive.IsDir(parent(full)) {
				text = "The system cannot find the file specified."
			}
			s.fail("%s", text)
			return s.set(1)
		}
		_, _ = s.Stdout.Write(content)
	}
	return s.set(0)
}

func (s *Shell) del(_ context.Context, args string) int {
	sw, names := operands(args)
	if !s.only("del", sw, "/f", "/q", "/s", "/a") {
		return 1
	}
	if slices.Contains(sw, "/s") {
		return s.unsupported("del /s")
	}
	if len(names) == 0 {
		s.fail("The syntax of the command is incorrect.")
		return s.set(1)
	}
	for _, name := range names {
		full, err := s.full(strings.NewReplacer("*", "", "?", "").Replace(name))
		if err != nil {
			s.fail("%s", message(err))
			return s.set(1)
		}
		if !strings.ContainsAny(name, "*?") && s.Drive.IsDir(full) {
			return s.unsupported("del of a folder: " + name)
		}
		list, err := s.glob(name)
		if err != nil || len(list) == 0 {
			if full, err = s.full(name); err != nil {
				full = name
			}
			s.fail("Could Not Find %s", full)
			continue
		}
		for _, file := range list {
			if !s.Drive.IsDir(file) {
				if err := s.Drive.Remove(file); err != nil {
					s.fail("%s\r\n%s", file, message(err))
				}
			}
		}
	}
	return 0
}

func (s *Shell) cd(_ context.Context, args string) int {
	text := strings.TrimSpace(args)
	if rest, ok := strings.CutPrefix(strings.ToLower(text), "/d"); ok {
		text = strings.TrimSpace(text[len(text)-len(rest):])
	}
	text = strings.ReplaceAll(text, `"`, "")
	if text == "" {
		fmt.Fprintf(s.Stdout, "%s\r\n", s.Dir)
		return s.set(0)
	}
	full, err := s.full(text)
	if err != nil || !s.Drive.IsDir(full) {
		s.fail("%s", missing(err, "The system cannot find the path specified."))
		return s.set(1)
	}
	s.Dir = full
	return s.set(0)
}

func (s *Shell) md(_ context.Context, args string) int {
	sw, names := operands(args)
	if !s.only("md", sw) {
		return 1
	}
	if len(names) == 0 {
		s.fail("The syntax of the command is incorrect.")
		return s.set(1)
	}
	for _, name := range names {
		full, err := s.full(name)
		if err == nil {
			if _, there := s.Drive.Stat(full); there == nil {
				s.fail("A subdirectory or file %s already exists.", name)
				return s.set(1)
			}
			err = s.Drive.MkdirAll(full)
		}
		if err != nil {
			s.fail("%s", message(err))
			return s.set(1)
		}
	}
	return 0
}

func (s *Shell) rd(_ context.Context, args string) int {
	sw, names := operands(args)
	if !s.only("rd", sw, "/s", "/q") {
		return 1
	}
	for _, name := range names {
		full, err := s.full(name)
		if err != nil || !s.Drive.IsDir(full) {
			s.fail("%s", missing(err, "The system cannot find the file specified."))
			return 2
		}
		if slices.Contains(sw, "/s") {
			err = s.Drive.RemoveAll(full)
		} else {
			err = s.Drive.Remove(full)
		}
		if errors.Is(err, winfs.ErrInUse) {
			s.fail("%s", message(err))
			return s.set(32)
		}
		if err != nil {
			s.fail("The directory is not empty.")
			return 145
		}
	}
	return 0
}

// pair resolves source and target of COPY and MOVE; a folder as target keeps
// the name.
func (s *Shell) pair(command, args string) (from, to string, code int) {
	sw, names := operands(args)
	if !s.only(command, sw, "/y", "/b") {
		return "", "", 1
	}
	if len(names) != 2 || strings.ContainsAny(args, "*?+") {
		s.unsupported(command + args)
		return "", "", 1
	}
	from, err := s.full(names[0])
	if err == nil {
		to, err = s.full(names[1])
	}
	if err != nil || !s.Drive.IsFile(from) {
		s.fail("%s", missing(err, "The system cannot find the file specified."))
		return "", "", s.set(1)
	}
	if s.Drive.IsDir(to) {
		to = strings.TrimSuffix(to, `\`) + from[strings.LastIndexByte(from, '\\'):]
	}
	if !s.Drive.IsDir(parent(to)) {
		s.fail("The system cannot find the path specified.")
		return "", "", s.set(1)
	}
	return from, to, 0
}

func (s *Shell) copy(_ context.Context, args string) int {
	from, to, code := s.pair("copy", args)
	if code != 0 {
		return code
	}
	content, err := s.Drive.ReadFile(from)
	if err == nil {
		err = s.Drive.WriteFile(to, content)
	}
	if err != nil {
		s.fail("%s", message(err))
		fmt.Fprint(s.Stdout, "        0 file(s) copied.\r\n")
		return s.set(1)
	}
	fmt.Fprint(s.Stdout, s.Console.Text("        1 file(s) copied.")+"\r\n")
	return s.set(0)
}

func (s *Shell) move(_ context.Context, args string) int {
	from, to, code := s.pair("move", args)
	if code != 0 {
		return code
	}
	if err := s.Drive.Rename(from, to); err != nil {
		s.fail("%s", message(err))
		return s.set(1)
	}
	fmt.Fprint(s.Stdout, s.Console.Text("        1 file(s) moved.")+"\r\n")
	return s.set(0)
}

func (s *Shell) ren(_ context.Context, args string) int {
	_, names := operands(args)
	if len(names) != 2 || strings.ContainsAny(names[1], `\/:*?`) {
		return s.unsupported("ren" + args)
	}
	from, err := s.full(names[0])
	if err == nil {
		_, err = s.Drive.Stat(from)
	}
	if err != nil {
		s.fail("%s", missing(err, "The system cannot find the file specified."))
		return s.set(1)
	}
	to, err := winfs.Clean(names[1], parent(from))
	if err != nil {
		s.fail("%s", message(err))
		return s.set(1)
	}
	if _, err := s.Drive.Stat(to); err == nil && !strings.EqualFold(from, to) {
		s.fail("A duplicate file name exists, or the file\r\ncannot be found.")
		return s.set(1)
	}
	if err := s.Drive.Rename(from, to); err != nil {
		s.fail("%s", message(err))
		return s.set(1)
	}
	return 0
}

// dir knows the bare form only; nobody should parse the other one.
func (s *Shell) dir(_ context.Context, args string) int {
	sw, names := operands(args)
	if !slices.Contains(sw, "/b") || !s.only("dir", sw, "/b", "/a", "/a:d-l", "/a:-d-l", "/s", "/o:n", "/on") || len(names) > 1 {
		return s.unsupported("dir" + args)
	}
	pattern := "*"
	if len(names) == 1 {
		pattern = names[0]
		if full, err := s.full(strings.NewReplacer("*", "", "?", "").Replace(pattern)); err == nil && !strings.ContainsAny(pattern, "*?") && s.Drive.IsDir(full) {
			pattern = strings.TrimRight(pattern, `\/`) + `\*`
		}
	}
	list, err := s.glob(pattern)
	deep := slices.Contains(sw, "/s")
	if deep && err == nil {
		list, err = s.deep(list, pattern)
	}
	list = slices.DeleteFunc(list, func(f string) bool {
		folder := s.Drive.IsDir(f)
		return slices.Contains(sw, "/a:d-l") && !folder || slices.Contains(sw, "/a:-d-l") && folder
	})
	if err != nil || len(list) == 0 {
		text := "File Not Found"
		if errors.Is(err, winfs.ErrNoDrive) {
			text = "The system cannot find the path specified."
		}
		s.fail("%s", text)
		return s.set(1)
	}
	for _, f := range list {
		if !deep {
			f = f[strings.LastIndexByte(f, '\\')+1:]
		}
		fmt.Fprintf(s.Stdout, "%s\r\n", f)
	}
	return s.set(0)
}

// deep adds what lies below the folders of a list; only for all of a folder.
func (s *Shell) deep(list []string, pattern string) ([]string, error) {
	if pattern != "*" && !strings.HasSuffix(pattern, `\*`) {
		return nil, errors.ErrUnsupported
	}
	var all []string
	for _, f := range list {
		all = append(all, f)
		if !s.Drive.IsDir(f) {
			continue
		}
		below, err := s.glob(f + `\*`)
		if err == nil {
			below, err = s.deep(below, "*")
		}
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	return all, nil
}
