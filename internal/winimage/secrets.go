package winimage

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// secrets looks into every file at the places where passwords and product keys
// stay behind (windows.SecretPlaces), but the ones that were read already.
// A volume without Windows has those only that may lie on any.
func (d *drive) secrets(known []AnswerFile, anyVolume bool) (held []Secret) {
	s := search{drive: d, left: maxSecretBytes, seen: map[string]bool{}, there: map[string]bool{}}
	for _, a := range known {
		s.seen[strings.ToLower(a.Path)] = true
	}
	for _, place := range windows.SecretPlaces {
		if place.AnyVolume || !anyVolume {
			s.below("", strings.Split(strings.Trim(place.Folder, `\`), `\`), place)
		}
	}
	return s.held
}

// search is one walk over the places.
type search struct {
	*drive
	left  int64 // bytes that may still be read
	files int
	seen  map[string]bool // paths of files in small letters
	there map[string]bool // folders that were asked for
	held  []Secret
}

// below looks into the folder that the parts lead to from a folder.
func (s *search) below(folder string, parts []string, place windows.SecretPlace) {
	if s.ctx.Err() != nil {
		return
	}
	switch {
	case len(parts) == 0 || parts[0] == "":
		s.folder(folder, place)
	case parts[0] != "*":
		path := folder + `\` + parts[0]
		there, asked := s.there[path]
		if !asked {
			there = s.exists(path)
			s.there[path] = there
		}
		if there {
			s.below(path, parts[1:], place)
		}
	default:
		var below []string
		s.eachKind(cmp.Or(folder, `\`), func(e fs.DirEntry) {
			// A link leads to a folder that is visited by its own name.
			if e.IsDir() && len(below) < maxList {
				below = append(below, e.Name())
			}
		})
		for _, name := range below {
			s.below(folder+`\`+name, parts[1:], place)
		}
	}
}

func (s *search) folder(folder string, place windows.SecretPlace) {
	found := []string{}
	if !slices.ContainsFunc(place.Names, func(name string) bool { return strings.Contains(name, "*") }) {
		// The folder may be one of the largest.
		for _, name := range place.Names {
			if path := folder + `\` + name; s.exists(path) {
				found = append(found, path)
			}
		}
		s.look(found, place)
		return
	}
	s.eachKind(cmp.Or(folder, `\`), func(e fs.DirEntry) {
		name := strings.ToLower(e.Name())
		for _, pattern := range place.Names {
			if ok, err := path.Match(pattern, name); ok && err == nil && !e.IsDir() && len(found) < maxSecretFiles {
				found = append(found, folder+`\`+e.Name())
				return
			}
		}
	})
	s.look(found, place)
}

// look looks into files of a place.
func (s *search) look(found []string, place windows.SecretPlace) {
	for _, path := range found {
		lower := strings.ToLower(path)
		if s.seen[lower] || s.ctx.Err() != nil {
			continue
		}
		s.seen[lower] = true
		if held := s.file(path, place.Keeps); (len(held.Where) > 0 || held.Problem != "") && len(s.held) < maxSecretFiles {
			s.held = append(s.held, held)
		}
	}
}

// file says where in a file something secret stands. What is too much is not
// read, and said to be so: a log of gigabytes refuses no image.
func (s *search) file(path string, keeps windows.Keeps) Secret {
	held := Secret{Path: path, Kind: string(keeps)}
	unread := func(err error) Secret {
		held.Problem = budget.Cut(err.Error(), maxShown)
		return held
	}
	if s.files++; s.files > maxSecretFiles {
		return unread(fmt.Errorf("not read, there are more than %d files at such places", maxSecretFiles))
	}
	content, err := s.read(path, min(maxSecretFile, s.left))
	switch {
	case errors.Is(err, fs.ErrNotExist): // a folder, or a link to nowhere
		return held
	case err != nil:
		return unread(err)
	}
	s.left -= int64(len(content))
	text := plainText(content)
	for _, line := range encodedSecrets(text) {
		held.add(inEncoded(line))
	}
	parsed, err := answerfile.Parse(content)
	switch {
	case err == nil:
		for _, where := range answerfile.SecretSettings(parsed) {
			held.add(budget.Cut(where, maxSetting))
		}
		return held
	case strings.Contains(text, answerNamespace) && strings.HasSuffix(strings.ToLower(path), ".xml"):
		return unread(err)
	}
	for _, line := range answerfile.SecretLines(text) {
		held.add(fmt.Sprintf("line %d", line))
	}
	return held
}

// encodedCommand is a command of PowerShell in base64 (Microsoft,
// about_PowerShell_exe: -EncodedCommand, in UTF-16; its name may be shortened).
var encodedCommand = lazyregexp.New(`(?i)[-/](?:ec|e(?:n(?:c(?:o(?:d(?:e(?:d(?:c[a-z]*)?)?)?)?)?)?)?)[\s:"'=]+([A-Za-z0-9+/]{16,}={0,2})`)

// encodedSecrets are the lines of a text with an encoded command that holds a secret.
func encodedSecrets(text string) (lines []int) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		for _, m := range encodedCommand.FindAllStringSubmatch(line, maxList) {
			b, err := base64.StdEncoding.DecodeString(m[1])
			if err == nil && len(answerfile.SecretLines(plainText(b))) > 0 {
				lines = append(lines, n)
				break
			}
		}
	}
	return lines
}

func inEncoded(line int) string { return fmt.Sprintf("line %d, in an encoded command", line) }

// answerNamespace stands in every answer file.
const answerNamespace = "urn:schemas-microsoft-com:unattend"

func (h *Secret) add(where string) {
	switch {
	case len(h.Where) < maxList:
		h.Where = append(h.Where, where)
	case len(h.Where) == maxList:
		h.Where = append(h.Where, "and more")
	}
}

// plainText decodes UTF-16 by its mark, or by the zero bytes of a text in
// Latin letters; everything else is taken for an 8-bit text.
func plainText(b []byte) string {
	big := bytes.HasPrefix(b, []byte{0xfe, 0xff})
	switch {
	case big || bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		b = b[2:]
	case len(b) >= 4 && b[1] == 0 && b[3] == 0:
	case len(b) >= 4 && b[0] == 0 && b[2] == 0 && b[1] != 0:
		big = true
	default:
		return string(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		low, high := b[2*i], b[2*i+1]
		if big {
			low, high = high, low
		}
		units[i] = uint16(low) | uint16(high)<<8
	}
	return string(utf16.Decode(units))
}

// readAutologonSecret says whether the LSA keeps a password for the automatic
// logon. Nothing of it is read but that its key is there.
func (d *drive) readAutologonSecret() bool {
	if !d.exists(hivePath(securityHive)) {
		return false
	}
	security := d.openHive(securityHive)
	there := security.key(windows.AutologonSecret) != nil
	if problem := security.close().Problem; problem != "" {
		d.missed(securityHive+`\`+windows.AutologonSecret, errors.New(problem))
	}
	return there
}

// deletesCached is a line of SetupComplete.cmd that deletes the cached answer
// file.
var deletesCached = lazyregexp.New(`(?im)^[\t ]*@?(?:del|erase)[\t ][^\r\n]*\\Panther\\unattend\.xml`)

const securityHive = "SECURITY"
