package winimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

var (
	sysprepFolder = windows.SysprepFolder.OnVolume()
	tagFile       = windows.Tag.OnVolume()
	actLog        = windows.SysprepLog.OnVolume()
	stateINI      = windows.StateINI.OnVolume()

	cachedAnswerFile = windows.CachedAnswerFile.OnVolume()
)

const (
	logTail = 256 << 10
	// lastLines is how much of a log a report quotes.
	lastLines = 20
)

// ExtractLogs returns the logs of every Windows on the disk, by path: what a
// failed build is diagnosed from when the guest cannot be asked any more.
// Logs that are absent are left out.
func ExtractLogs(ctx context.Context, d diskimage.Disk) (map[windows.Path][]byte, error) {
	var r Facts
	volumes, err := openVolumes(ctx, d, &r, false)
	if err != nil {
		return nil, err
	}
	logs := map[windows.Path][]byte{}
	var problems []error
	left := int64(maxSaved)
	for _, v := range volumes {
		if v.ntfs == nil || !v.drive.hasWindows() {
			continue
		}
		for _, log := range windows.Logs() {
			path := log.Path.OnVolume()
			content, err := v.drive.read(path, left)
			left -= int64(len(content))
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				problems = append(problems, fmt.Errorf("%s: %w", path, err))
			default:
				logs[log.Path] = content
			}
		}
	}
	return logs, errors.Join(problems...)
}

// AnsiPage is the number of the ANSI code page of the first Windows of a disk, in which
// its programs write logs that are not in Unicode (Control\Nls\CodePage, ACP); 0 where the
// registry does not say it.
func AnsiPage(ctx context.Context, d diskimage.Disk) int {
	volumes, err := openVolumes(ctx, d, new(Facts), false)
	if err != nil {
		return 0
	}
	for _, v := range volumes {
		if v.ntfs == nil || !v.drive.hasWindows() {
			continue
		}
		system := v.drive.openHive("SYSTEM")
		page := int(decimal(system.text(controlSet(system)+`\Control\Nls\CodePage`, "ACP")))
		system.close()
		return page
	}
	return 0
}

// leftovers are files and tasks that Packer or this plugin brought.
func (d *drive) leftovers() []string {
	list, more := []string{}, 0
	for _, below := range footprint.Folders() {
		folder := windows.Path(below).OnVolume()
		d.eachName(folder, func(name string) {
			_, ours := footprint.Find(below, name)
			switch {
			case !ours:
			case len(list) == maxList:
				more++
			default:
				list = append(list, folder+`\`+name)
			}
		})
	}
	if more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return list
}

var imageStateLine = lazyregexp.New(`(?im)^\s*ImageState\s*=\s*"?([A-Z_]+)"?\s*$`)

// parseStateINI finds ImageState in State.ini, which is written with and
// without quotes, in 8-bit and in UTF-16 text.
func parseStateINI(b []byte) string {
	if rest, ok := bytes.CutPrefix(b, []byte{0xff, 0xfe}); ok {
		units := make([]uint16, len(rest)/2)
		for i := range units {
			units[i] = uint16(rest[2*i]) | uint16(rest[2*i+1])<<8
		}
		b = []byte(string(utf16.Decode(units)))
	}
	m := imageStateLine.FindSubmatch(bytes.ReplaceAll(b, []byte("\r"), nil))
	if m == nil {
		return ""
	}
	return string(m[1])
}
