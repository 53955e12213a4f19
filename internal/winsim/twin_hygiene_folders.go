package winsim

import (
	"regexp"
	"slices"
	"strings"
)

func (c *cleaning) junction(path string) bool { return contains(c.g.scenario.Junctions, path) }

func (c *cleaning) refuse(folder, why string) {
	if text := folder + " is left alone: " + why; !slices.Contains(c.refused, text) {
		c.refused = append(c.refused, text)
	}
}

// within reports whether a path is a folder, or below it.
func within(path, folder string) bool {
	return len(path) >= len(folder) && strings.EqualFold(path[:len(folder)], folder) && (len(path) == len(folder) || path[len(folder)] == '\\')
}

// detour is Get-Detour. No drive but the one of Windows is a local disk here.
func (c *cleaning) detour(folder string) string {
	switch drive := c.g.drive.Name(); {
	case strings.HasPrefix(folder, `\\`):
		return "it is on the network"
	case !within(folder, drive):
		return "its drive is no local disk (Network)"
	}
	for at := folder; strings.Contains(at, `\`); at = at[:strings.LastIndexByte(at, '\\')] {
		if c.junction(at) {
			return at + " is a junction or a link"
		}
	}
	return ""
}

var (
	temporary = regexp.MustCompile(`(?i)^(temp|tmp|systemtemp)$`)
	digits    = regexp.MustCompile(`^\d+$`)
)

// refusal is Get-Refusal.
func (c *cleaning) refusal(folder string) string {
	if why := c.detour(folder); why != "" {
		return why
	}
	if strings.EqualFold(folder, c.g.drive.Name()) {
		return "it is the root of a drive"
	}
	for _, name := range []string{`%windir%`, `%windir%\System32`, `%SystemDrive%\Users`, `%ProgramFiles%`, `%ProgramData%`} {
		if full := c.full(name); within(full, folder) {
			return "it holds " + full
		}
	}
	parts := strings.Split(folder, `\`)
	above := strings.Join(parts[:len(parts)-1], `\`)
	if strings.EqualFold(folder, c.full(`%USERPROFILE%`)) || strings.EqualFold(above, c.full(`%SystemDrive%\Users`)) {
		return "it is a profile"
	}
	name := parts[len(parts)-1]
	if digits.MatchString(name) {
		name = parts[len(parts)-2]
	}
	if !temporary.MatchString(name) {
		return "its name is not that of a temporary folder (Temp, Tmp)"
	}
	return ""
}

// temps is Get-TempFolder.
func (c *cleaning) temps() (temps []string) {
	folders := []string{c.full(`%windir%\Temp`)}
	if own := strings.TrimRight(c.c.Env.Get("TEMP"), `\`); own != "" && !strings.EqualFold(own, folders[0]) {
		folders = append(folders, own)
	}
	for _, folder := range folders {
		if why := c.refusal(folder); why != "" {
			c.refuse(folder, why+"; set TEMP and TMP of the build account to a folder for temporary files")
			continue
		}
		temps = append(temps, folder)
	}
	return temps
}

// own is Get-OwnEntry.
func (c *cleaning) own(folder string) []string {
	if why := c.detour(folder); why != "" {
		c.refuse(folder, why)
		return nil
	}
	return c.names(folder, anything)
}
